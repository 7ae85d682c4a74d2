#include "proposer/state.h"

#include "common/base/memory.h"
#include "common/protocol/value.h"

#include <stdlib.h>
#include <string.h>

/* Blocks joined into one value, at most. */
#define BATCH_BLOCKS_MAX 4096

/* ---- clients, by rising nonce */

static size_t client_position(const struct proposer *p, uint64_t nonce)
{
    size_t low = 0;
    size_t high = p->client_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->clients[middle].nonce < nonce) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct client *find_client(struct proposer *p, uint64_t nonce)
{
    size_t at = client_position(p, nonce);
    return at < p->client_count && p->clients[at].nonce == nonce ? &p->clients[at] : NULL;
}

/* NULL if LINKS_MAX clients are known already. */
static struct client *add_client(struct proposer *p, uint64_t nonce)
{
    size_t at = client_position(p, nonce);
    if (at < p->client_count && p->clients[at].nonce == nonce) {
        p->clients[at].is_gone = 0;
        return &p->clients[at];
    }
    if (p->client_count == LINKS_MAX) {
        return NULL;
    }
    p->clients =
        memory_grow(p->clients, &p->client_capacity, p->client_count + 1, sizeof *p->clients);
    memmove(&p->clients[at + 1], &p->clients[at], (p->client_count - at) * sizeof *p->clients);
    p->clients[at] = (struct client){.nonce = nonce};
    p->client_count++;
    return &p->clients[at];
}

/* Forgets a client that is gone, as soon as nothing of it waits. */
static void forget_if_gone(struct proposer *p, struct client *client)
{
    if (!client->is_gone || client->waiting_bytes > 0) {
        return;
    }
    size_t at = (size_t)(client - p->clients);
    p->client_count--;
    memmove(client, client + 1, (p->client_count - at) * sizeof *client);
}

static void send_leading(const struct proposer *p, struct peer client, struct effects *out)
{
    struct message *msg = effects_send(out, SEND_NOW, client, MSG_LEADING);
    msg->leading = (struct msg_leading){p->ballot};
}

void proposer_on_client(struct proposer *p, struct peer client, int is_up, struct effects *out)
{
    if (is_up) {
        if (add_client(p, client.id) != NULL && p->state == NODE_LEADING) {
            send_leading(p, client, out);
        }
        return;
    }
    struct client *known = find_client(p, client.id);
    if (known != NULL) {
        known->is_gone = 1;
        forget_if_gone(p, known);
    }
}

void proposer_announce(struct proposer *p, struct effects *out)
{
    for (size_t i = 0; i < p->client_count; i++) {
        send_leading(p, (struct peer){ROLE_CLIENT, p->clients[i].nonce}, out);
    }
}

/* ---- the queue */

static struct waiting_block *waiting_at(struct proposer *p, size_t position)
{
    return &p->waiting[(p->waiting_head + position) % p->waiting_capacity];
}

static void push_waiting(struct proposer *p, struct waiting_block block)
{
    if (p->waiting_count == p->waiting_capacity) {
        size_t grown = p->waiting_capacity == 0 ? 64 : p->waiting_capacity * 2;
        struct waiting_block *ring = memory_calloc(grown, sizeof *ring);
        for (size_t i = 0; i < p->waiting_count; i++) {
            ring[i] = *waiting_at(p, i);
        }
        free(p->waiting);
        p->waiting = ring;
        p->waiting_head = 0;
        p->waiting_capacity = grown;
    }
    p->waiting_count++;
    *waiting_at(p, p->waiting_count - 1) = block;
    p->waiting_bytes += block.bytes.size;
}

/* Takes the first block out of the queue; its reference goes to the caller. */
static struct waiting_block pop_waiting(struct proposer *p)
{
    CHECK(p->waiting_count > 0);
    struct waiting_block block = *waiting_at(p, 0);
    p->waiting_head = (p->waiting_head + 1) % p->waiting_capacity;
    p->waiting_count--;
    p->waiting_bytes -= block.bytes.size;
    struct client *client = find_client(p, block.client.id);
    if (client != NULL) {
        client->waiting_bytes -= block.bytes.size;
        forget_if_gone(p, client);
    }
    return block;
}

static void reject(struct proposer *p, struct peer client, enum reject_reason reason,
                   uint64_t session, uint64_t first_seq, struct effects *out)
{
    struct message *msg = effects_send(out, SEND_NOW, client, MSG_REJECT);
    /* A proposer never names itself here: to whom it says so it does not lead. */
    msg->reject = (struct msg_reject){.reason = reason,
                                      .leader = p->leader != p->options.id ? p->leader : 0,
                                      .session = session,
                                      .first_seq = first_seq};
    p->rejected_count++;
}

void proposer_drop_waiting(struct proposer *p, struct effects *out)
{
    while (p->waiting_count > 0) {
        struct waiting_block block = pop_waiting(p);
        effects_mark(out, MARK_SUBMIT_DROPPED);
        reject(p, block.client, REJECT_NOT_LEADER, block.session, block.first_seq, out);
        slice_drop(&block.bytes);
    }
}

void proposer_free_waiting(struct proposer *p)
{
    while (p->waiting_count > 0) {
        struct waiting_block block = pop_waiting(p);
        slice_drop(&block.bytes);
    }
    free(p->waiting);
    free(p->clients);
}

/* 1 if too few acceptors have room on their disks for an accept quorum. */
static int disks_are_low(const struct proposer *p)
{
    acceptor_set_t roomy = 0;
    for (size_t i = 0; i < p->options.members.acceptor_count; i++) {
        if (p->acceptors[i].is_heard && !p->acceptors[i].report.disk_low) {
            roomy |= (acceptor_set_t)1 << i;
        }
    }
    return !is_accept_quorum(&p->options.members, roomy);
}

void proposer_on_submit(struct proposer *p, const struct message *msg, struct effects *out)
{
    struct slice bytes = msg->submit.block;
    struct block block;
    if (block_parse(bytes, &block, NULL) != 0 || block.client != msg->from.id) {
        reject(p, msg->from, REJECT_MALFORMED, 0, 0, out);
        return;
    }
    /* Who is about to lead keeps what comes in: it will be proposed in a moment, or rejected. */
    if (p->state != NODE_LEADING && p->state != NODE_RECOVERING) {
        effects_mark(out, MARK_SUBMIT_TO_STANDBY);
        reject(p, msg->from, REJECT_NOT_LEADER, block.session, block.first_seq, out);
        return;
    }
    if (p->state == NODE_RECOVERING) {
        effects_mark(out, MARK_SUBMIT_IN_RECOVERY);
    }
    if (disks_are_low(p)) {
        effects_mark(out, MARK_SUBMIT_DISK_LOW);
        reject(p, msg->from, REJECT_DISK, block.session, block.first_seq, out);
        return;
    }
    struct client *client = add_client(p, msg->from.id);
    if (client == NULL || client->waiting_bytes + bytes.size > CLIENT_PENDING_BYTES_MAX ||
        p->waiting_bytes + bytes.size > CLIENTS_PENDING_BYTES_MAX) {
        effects_mark(out, MARK_SUBMIT_OVER_BUDGET);
        reject(p, msg->from, REJECT_BUSY, block.session, block.first_seq, out);
        return;
    }
    client->waiting_bytes += bytes.size;
    push_waiting(p, (struct waiting_block){.bytes = slice_keep(bytes),
                                           .client = msg->from,
                                           .session = block.session,
                                           .first_seq = block.first_seq});
}

/* Joins blocks from the head of the queue into one value and proposes it. */
static void form_batch(struct proposer *p, time_ms_t now, struct effects *out)
{
    struct slice blocks[BATCH_BLOCKS_MAX];
    size_t count = 0;
    size_t size = 0;
    while (p->waiting_count > 0 && count < BATCH_BLOCKS_MAX && size < BATCH_BYTES_TARGET) {
        struct waiting_block block = pop_waiting(p);
        blocks[count++] = block.bytes;
        size += block.bytes.size;
    }
    struct slice value = slice_of(value_batch(proposer_stamp(p, now), blocks, count));
    CHECK(value.size <= VALUE_BYTES_MAX);
    if (count > 1) {
        effects_mark(out, MARK_BLOCKS_JOINED);
    }
    proposer_propose(p, value, now, out);
    slice_drop(&value);
    for (size_t i = 0; i < count; i++) {
        slice_drop(&blocks[i]);
    }
}

void proposer_form_batches(struct proposer *p, time_ms_t now, struct effects *out)
{
    if (p->state != NODE_LEADING && p->state != NODE_DRAINING) {
        return;
    }
    while (p->waiting_count > 0 && proposer_window_has_room(p)) {
        form_batch(p, now, out);
    }
    if (p->waiting_count > 0) {
        effects_mark(out, MARK_WINDOW_FULL);
    }
}
