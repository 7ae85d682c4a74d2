/* What the clients send. */
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/base/memory.h"
#include "tests/model/run.h"

#include <stdlib.h>
#include <string.h>

#define SESSION_TTL_MS 8000

static void *copy_of(const void *bytes, size_t size)
{
    void *copy = memory_alloc(size);
    if (size > 0) {
        memcpy(copy, bytes, size);
    }
    return copy;
}

static void put_command(struct buffer *out, enum command_op op, struct slice payload)
{
    command_put_head(buffer_extend(out, COMMAND_HEAD_BYTES), op, (uint32_t)payload.size);
    buffer_put(out, payload);
}

static void put_settings(struct buffer *out, const struct operation *operation)
{
    size_t size = 8 + operation->settings.size;
    command_put_head(buffer_extend(out, COMMAND_HEAD_BYTES), COMMAND_SETTINGS, (uint32_t)size);
    buffer_put_u64(out, operation->version);
    buffer_put(out, operation->settings);
}

/* Writes the command of an operation. 0 if it is none, but a read. */
static int put_operation(struct buffer *out, const struct operation *operation)
{
    uint8_t payload[17];
    bytes_put_u64(payload,
                  operation->kind == OPERATION_COMPACT ? operation->revision : operation->id);
    bytes_put_u64(payload + 8, operation->ttl_ms);
    payload[16] = operation->is_bound ? LEASE_BOUND : 0;
    switch (operation->kind) {
    case OPERATION_REQUEST:
        put_command(out, COMMAND_KV, operation->request);
        return 1;
    case OPERATION_COMPACT:
        put_command(out, COMMAND_COMPACT, slice_borrow(payload, 8));
        return 1;
    case OPERATION_GRANT:
        put_command(out, COMMAND_LEASE_GRANT, slice_borrow(payload, 17));
        return 1;
    case OPERATION_REVOKE:
        put_command(out, COMMAND_LEASE_REVOKE, slice_borrow(payload, 8));
        return 1;
    case OPERATION_KEEPALIVE:
        put_command(out, COMMAND_LEASE_KEEPALIVE, slice_borrow(payload, 8));
        return 1;
    case OPERATION_SETTINGS:
        put_settings(out, operation);
        return 1;
    case OPERATION_WATCH:
    case OPERATION_LEASE:
    case OPERATION_LEASES:
        break;
    }
    return 0;
}

/* 1 if the operation may enter the log; if it breaks a rule, makes sure that it is refused. */
static int may_enter(const struct run *run, const struct operation *operation)
{
    if (operation->kind != OPERATION_REQUEST) {
        return 1;
    }
    struct kv_request request;
    struct slice rest = operation->request;
    CHECK(kv_next_request(&rest, &request) == 1);
    enum reference_error error = reference_check(&request);
    struct errmsg why = {""};
    int rc = kv_request_parse(operation->request, &request, &why);
    if ((error != REFERENCE_OK) != (rc != 0)) {
        errmsg_wrap(&why, "kv_request_parse says %d, the reference %s", rc,
                    reference_error_name(error));
        run_fail(run, operation, &why);
    }
    return error == REFERENCE_OK;
}

/* A read is answered from the applied state, after the turn. */
static int is_read(struct run *run, const struct operation *operation)
{
    if (operation->kind != OPERATION_REQUEST) {
        return operation->kind >= OPERATION_WATCH;
    }
    struct kv_request request;
    struct slice rest = operation->request;
    CHECK(kv_next_request(&rest, &request) == 1);
    return kv_request_is_read_only(&request) && run_pick(run, 2) == 0;
}

static struct operation next_operation(struct run *run)
{
    for (;;) {
        struct operation operation;
        run->operation_count++;
        generate(&run->generator, run->reference, &run->arena, &operation);
        if (!may_enter(run, &operation)) {
            continue;
        }
        if (!is_read(run, &operation)) {
            return operation;
        }
        run->reads =
            memory_grow(run->reads, &run->read_capacity, run->read_count + 1, sizeof *run->reads);
        run->reads[run->read_count++] = operation;
    }
}

static void add_part(struct run *run, struct client *client, uint64_t first_seq, uint32_t count,
                     struct slice commands)
{
    CHECK(run->part_count < BLOCKS_MAX);
    run->parts[run->part_count++] = (struct part){
        .client = client,
        .session = client->session,
        .nonce = client->nonce,
        .block = {client->session, client->nonce, first_seq, client->acked_seq, count, commands}};
}

static void add_opening(struct run *run, struct client *client, uint64_t continues)
{
    uint32_t ttl_ms =
        (uint32_t)(run->generator.only_etcd ? UINT32_MAX : 1000 + run_pick(run, SESSION_TTL_MS));
    size_t size = COMMAND_HEAD_BYTES + OPEN_PAYLOAD_BYTES;
    uint8_t *bytes = arena_alloc(&run->arena, size);
    command_put_head(bytes, COMMAND_OPEN_SESSION, OPEN_PAYLOAD_BYTES);
    command_put_open(bytes + COMMAND_HEAD_BYTES, ttl_ms, continues);
    add_part(run, client, ++client->openings, 1, slice_borrow(bytes, size));
    struct part *part = &run->parts[run->part_count - 1];
    part->session = part->block.session = part->block.acked_seq = 0;
}

/* A client without a session is another one now, or the same one once more; what it wants to
 * continue is gone, or belongs to somebody else. */
static void add_open(struct run *run, struct client *client)
{
    uint64_t continues = 0;
    if (run->generator.only_etcd) {
        client_reset(client, ++run->next_nonce);
    } else {
        continues = run->clients[run_pick(run, CLIENTS)].session;
        if (client->nonce == 0 || run_pick(run, 2) == 0) {
            client_reset(client, ++run->next_nonce);
        } else {
            client_forget_session(client);
        }
    }
    add_opening(run, client, continues);
}

/* One that has a session goes on with it, or leaves it and opens another one. */
static void add_open_again(struct run *run, struct client *client)
{
    if (run_pick(run, 3) > 0) {
        add_opening(run, client, client->session);
    } else {
        client_forget_session(client);
        add_opening(run, client, 0);
    }
}

static void add_commands(struct run *run, struct client *client, const struct buffer *buffer,
                         const struct operation *operations, uint32_t count)
{
    client->sent = memory_grow(client->sent, &client->sent_capacity, client->sent_count + 1,
                               sizeof(struct sent));
    struct sent *sent = &client->sent[client->sent_count++];
    *sent = (struct sent){client->sent_seq + 1, count, copy_of(buffer->data, buffer->size),
                          buffer->size, copy_of(operations, count * sizeof *operations)};
    client->sent_seq += count;
    add_part(run, client, sent->first_seq, count, slice_borrow(sent->commands, sent->size));
}

static void add_new(struct run *run, struct client *client)
{
    struct buffer buffer = {0};
    struct operation operations[COMMANDS_MAX];
    uint32_t count = 0;
    for (uint64_t wanted = 1 + run_pick(run, COMMANDS_MAX); count < wanted;) {
        if (run_pick(run, 12) == 0) {
            put_command(&buffer, COMMAND_APPEND, slice_borrow("record", 6));
            operations[count++] = (struct operation){.kind = OPERATION_LEASES};
            continue;
        }
        operations[count] = next_operation(run);
        CHECK(put_operation(&buffer, &operations[count]));
        count++;
    }
    if (run_pick(run, 60) == 0) {
        buffer.size = 0;
        put_command(&buffer, COMMAND_CLOSE_SESSION, SLICE_EMPTY);
        operations[0] = (struct operation){.kind = OPERATION_LEASES};
        count = 1;
    }
    add_commands(run, client, &buffer, operations, count);
    buffer_close(&buffer);
}

/* A block without commands keeps the session alive; one that skips a sequence is refused. */
static void add_odd(struct run *run, struct client *client)
{
    if (run_pick(run, 2) == 0) {
        add_part(run, client, client->sent_seq + 1, 0, SLICE_EMPTY);
        return;
    }
    static const uint8_t command[COMMAND_HEAD_BYTES] = {COMMAND_APPEND};
    add_part(run, client, client->sent_seq + 2, 1, slice_borrow(command, sizeof command));
}

/* A block that was answered before, all of it or what the client acknowledged in the meantime. */
static void add_retry(struct run *run, struct client *client)
{
    const struct sent *sent = &client->sent[run_pick(run, client->sent_count)];
    add_part(run, client, sent->first_seq, sent->count, slice_borrow(sent->commands, sent->size));
    struct block *block = &run->parts[run->part_count - 1].block;
    if (block->acked_seq >= block->first_seq) {
        block->acked_seq = block->first_seq - 1; /* an old message */
    }
}

/* Now and then the same block comes twice, by the hands of two proposers. */
static void add_twin(struct run *run, uint64_t one_in)
{
    if (run_pick(run, one_in) == 0) {
        run->parts[run->part_count] = run->parts[run->part_count - 1];
        run->part_count++;
    }
}

/* Some of what the client was told it will acknowledge with its next block. */
static void acknowledge(struct run *run, struct client *client)
{
    if (run_pick(run, 4) == 0 && client->told_count > client->acked_seq) {
        client->acked_seq += run_pick(run, client->told_count - client->acked_seq + 1);
    }
}

/* Few proposers and incarnations; now and then as many as there can be, so that not all find a
 * place. */
static void make_line(struct run *run)
{
    uint64_t bound = run_pick(run, 4) == 0 ? MEMBERS_MAX : 3;
    run->line_count = (size_t)(1 + run_pick(run, bound));
    for (size_t i = 0; i < run->line_count; i++) {
        run->line[i] = (struct place){.proposer = (node_id_t)(1 + run_pick(run, 40))};
        run->line[i].incarnation = 1 + run_pick(run, 2);
    }
}

void run_make_slot(struct run *run)
{
    run->part_count = 0;
    run->line_count = 0;
    if (run_pick(run, 10) == 0) {
        make_line(run);
        return;
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *client = &run->clients[i];
        acknowledge(run, client);
        if (run_pick(run, 2) == 0) {
            continue;
        }
        if (client->session == 0) {
            add_open(run, client);
            add_twin(run, 4);
        } else if (!run->generator.only_etcd && run_pick(run, 40) == 0) {
            add_open_again(run, client);
            add_twin(run, 4);
        } else if (run_pick(run, 30) == 0) {
            add_odd(run, client);
        } else if (client->sent_count > 0 && run_pick(run, 5) == 0) {
            add_retry(run, client);
        } else {
            add_new(run, client);
            add_twin(run, 8);
        }
    }
}

void run_make_single(struct run *run)
{
    struct client *client = &run->clients[0];
    run->part_count = 0;
    run->line_count = 0;
    if (client->session == 0) {
        add_open(run, client);
        return;
    }
    struct buffer buffer = {0};
    struct operation operation = next_operation(run);
    CHECK(put_operation(&buffer, &operation));
    add_commands(run, client, &buffer, &operation, 1);
    buffer_close(&buffer);
}

struct blob *run_encode_slot(const struct run *run)
{
    struct slice blocks[BLOCKS_MAX];
    uint8_t *bytes[BLOCKS_MAX];
    for (size_t i = 0; i < run->part_count; i++) {
        const struct block *block = &run->parts[i].block;
        size_t size = BLOCK_HEAD_BYTES + block->commands.size;
        bytes[i] = memory_alloc(size);
        block_put_head(bytes[i], block, (uint32_t)block->commands.size);
        if (block->commands.size > 0) {
            memcpy(bytes[i] + BLOCK_HEAD_BYTES, block->commands.data, block->commands.size);
        }
        blocks[i] = slice_borrow(bytes[i], size);
        struct block parsed;
        struct errmsg why;
        if (block_parse(blocks[i], &parsed, &why) != 0) {
            run_fail(run, NULL, &why);
        }
    }
    struct blob *value = run->line_count > 0 ? value_line(run->stamp_ms, run->line, run->line_count)
                         : run->part_count > 0 ? value_batch(run->stamp_ms, blocks, run->part_count)
                                               : value_noop(run->stamp_ms);
    for (size_t i = 0; i < run->part_count; i++) {
        free(bytes[i]);
    }
    return value;
}
