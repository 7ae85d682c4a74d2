#include "tests/trace/player.h"

#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/protocol/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void player_init(struct player *client, struct node *node)
{
    memset(client, 0, sizeof *client);
    client->node = node;
    client->command_count = 1;
    client->commands = memory_grow(NULL, &client->command_capacity, 1, sizeof *client->commands);
    client->commands[0] = (struct client_command){0};
}

void player_close(struct player *client)
{
    for (size_t i = 1; i < client->command_count; i++) {
        blob_unref(client->commands[i].record);
    }
    for (size_t i = 0; i < client->block_count; i++) {
        blob_unref(client->blocks[i].bytes);
    }
    free(client->commands);
    free(client->blocks);
}

static void submit(struct cluster *cluster, const struct player *client, struct blob *block,
                   const struct node *via)
{
    struct message msg = {.kind = MSG_SUBMIT};
    msg.submit.block = slice_of(block);
    cluster_send(cluster, client->node, via, &msg);
}

static void remember(struct player *client, struct blob *bytes, uint64_t first_seq, uint32_t count)
{
    client->blocks = memory_grow(client->blocks, &client->block_capacity, client->block_count + 1,
                                 sizeof *client->blocks);
    client->blocks[client->block_count++] = (struct client_block){bytes, first_seq, count};
}

/* A new blob: one command of size bytes each for every payload. */
static struct blob *encode(const struct block *block, enum command_op op,
                           const struct slice *payloads)
{
    size_t size = 0;
    for (uint32_t i = 0; i < block->count; i++) {
        size += COMMAND_HEAD_BYTES + payloads[i].size;
    }
    uint8_t *p;
    struct blob *bytes = blob_new(BLOCK_HEAD_BYTES + size, &p);
    block_put_head(p, block, (uint32_t)size);
    p += BLOCK_HEAD_BYTES;
    for (uint32_t i = 0; i < block->count; i++) {
        command_put_head(p, op, (uint32_t)payloads[i].size);
        p += COMMAND_HEAD_BYTES;
        if (payloads[i].size > 0) {
            memcpy(p, payloads[i].data, payloads[i].size);
        }
        p += payloads[i].size;
    }
    return bytes;
}

void player_open(struct cluster *cluster, struct player *client, uint32_t ttl_ms,
                 const struct node *via)
{
    CHECK(client->block_count == 0);
    uint8_t *p;
    struct blob *bytes = blob_new(OPEN_BLOCK_BYTES, &p);
    block_put_open(p, client->node->incarnation, CLIENT_OPENING, ttl_ms, 0);
    remember(client, bytes, CLIENT_OPENING, 1);
    submit(cluster, client, client->blocks[0].bytes, via);
}

void player_append(struct cluster *cluster, struct player *client, const struct slice *records,
                   uint32_t count, const struct node *via)
{
    struct block block = {.session = client->session,
                          .client = client->node->incarnation,
                          .first_seq = client->command_count,
                          .acked_seq = client->acked,
                          .count = count};
    for (uint32_t i = 0; i < count; i++) {
        client->commands = memory_grow(client->commands, &client->command_capacity,
                                       client->command_count + 1, sizeof *client->commands);
        client->commands[client->command_count++] =
            (struct client_command){.record = blob_copy(records[i].data, records[i].size)};
    }
    struct blob *bytes = encode(&block, COMMAND_APPEND, records);
    remember(client, bytes, block.first_seq, count);
    submit(cluster, client, bytes, via);
}

void player_forge(struct cluster *cluster, struct player *client, uint64_t session,
                  uint64_t first_seq, struct slice record, const struct node *via)
{
    struct block block = {.session = session,
                          .client = client->node->incarnation,
                          .first_seq = first_seq,
                          .count = 1};
    struct blob *bytes = encode(&block, COMMAND_APPEND, &record);
    submit(cluster, client, bytes, via);
    blob_unref(bytes);
}

void player_keepalive(struct cluster *cluster, struct player *client, int is_close,
                      const struct node *via)
{
    struct block block = {.session = client->session,
                          .client = client->node->incarnation,
                          .first_seq = client->command_count,
                          .acked_seq = client->acked,
                          .count = is_close ? 1 : 0};
    struct slice nothing = SLICE_EMPTY;
    struct blob *bytes = encode(&block, COMMAND_CLOSE_SESSION, &nothing);
    submit(cluster, client, bytes, via);
    blob_unref(bytes);
}

void player_garbage(struct cluster *cluster, struct player *client, const struct node *via)
{
    struct blob *bytes = blob_copy("this is no block", 16);
    submit(cluster, client, bytes, via);
    blob_unref(bytes);
}

static int is_answered(const struct player *client, const struct client_block *block)
{
    if (block == &client->blocks[0]) {
        return client->session != 0;
    }
    return client->acked >= block->first_seq + block->count - 1;
}

void player_resend(struct cluster *cluster, struct player *client, int all, const struct node *via)
{
    for (size_t i = 0; i < client->block_count; i++) {
        if (all || !is_answered(client, &client->blocks[i])) {
            submit(cluster, client, client->blocks[i].bytes, via);
        }
    }
}

void player_read(struct cluster *cluster, struct player *client, struct msg_read read,
                 const struct node *from)
{
    CHECK(client->read_count + 1 < CLIENT_READS_MAX);
    struct message msg = {.kind = MSG_READ};
    read.request = ++client->read_count;
    if (read.consistency == READ_LINEARIZABLE) {
        client->read_floor[read.request] = cluster->checker.acknowledged;
    }
    msg.read = read;
    cluster_send(cluster, client->node, from, &msg);
}

static void acknowledge(struct cluster *cluster, struct player *client, uint64_t sequence,
                        uint64_t index)
{
    if (sequence >= client->command_count) {
        return; /* of a close, or a forged block */
    }
    struct client_command *command = &client->commands[sequence];
    if (command->acknowledged && command->index != index) {
        checker_violate(&cluster->checker, "retry",
                        "%s was told index %" PRIu64 " and then %" PRIu64 " for sequence %" PRIu64,
                        client->node->name, command->index, index, sequence);
    }
    command->acknowledged = 1;
    command->index = index;
    checker_on_record(&cluster->checker, index, slice_of(command->record), client->node->name, 1);
    while (client->acked + 1 < client->command_count &&
           client->commands[client->acked + 1].acknowledged) {
        client->acked++;
    }
}

static void receive_range(struct cluster *cluster, struct player *client, uint64_t session,
                          const struct result_range *range)
{
    switch (range->status) {
    case RESULT_OK:
        break;
    case RESULT_GAP:
        client->gaps++;
        return;
    case RESULT_UNKNOWN_SESSION:
        client->unknown++;
        return;
    case RESULT_FORGOTTEN:
        client->forgotten++;
        return;
    default:
        return;
    }
    client->results++;
    if (session == 0) {
        if (range->sequence != CLIENT_OPENING) {
            checker_violate(&cluster->checker, "session", "%s got a session for opening %" PRIu64,
                            client->node->name, range->sequence);
        }
        if (client->session != 0 && client->session != range->value) {
            checker_violate(&cluster->checker, "session", "%s got two sessions for one opening",
                            client->node->name);
        }
        client->session = range->value;
        return;
    }
    for (uint32_t i = 0; i < range->count; i++) {
        acknowledge(cluster, client, range->sequence + i, range->value + i);
    }
}

static void receive_records(struct cluster *cluster, struct player *client,
                            const struct msg_records *m)
{
    static const char *const names[] = {"ok", "trimmed", "no_quorum", "busy"};
    snprintf(client->last_read, sizeof client->last_read, "%s",
             m->status < sizeof names / sizeof *names ? names[m->status] : "?");
    if (m->status != READ_OK) {
        return;
    }
    client->records += m->record_count;
    if (m->request >= CLIENT_READS_MAX || m->last < client->read_floor[m->request]) {
        checker_violate(&cluster->checker, "real-time",
                        "%s read up to %" PRIu64 ", but more was acknowledged before it asked",
                        client->node->name, m->last);
    }
    for (uint32_t i = 0; i < m->record_count; i++) {
        checker_on_record(&cluster->checker, m->from + i, m->records[i], client->node->name, 0);
    }
}

void player_receive(struct cluster *cluster, struct player *client, const struct message *msg)
{
    static const char *const rejects[] = {"?", "not_leader", "busy", "malformed", "disk"};
    switch (msg->kind) {
    case MSG_RESULT:
        for (uint32_t i = 0; i < msg->result.range_count; i++) {
            receive_range(cluster, client, msg->result.session, &msg->result.ranges[i]);
        }
        break;
    case MSG_RECORDS:
        receive_records(cluster, client, &msg->records);
        break;
    case MSG_REJECT:
        client->rejects++;
        snprintf(client->last_reject, sizeof client->last_reject, "%s",
                 msg->reject.reason < 5 ? rejects[msg->reject.reason] : "?");
        break;
    default:
        break;
    }
}
