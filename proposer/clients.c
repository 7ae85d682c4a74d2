#include "proposer/clients.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/base/mutant.h"

#include <stdlib.h>
#include <string.h>

/* ---- clients, by rising nonce */

static size_t client_position(const struct clients *c, uint64_t nonce)
{
    size_t low = 0;
    size_t high = c->known_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (c->known[middle].nonce < nonce) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct client *find_client(struct clients *c, uint64_t nonce)
{
    size_t at = client_position(c, nonce);
    return at < c->known_count && c->known[at].nonce == nonce ? &c->known[at] : NULL;
}

/* NULL if LINKS_MAX clients are known already. */
static struct client *add_client(struct clients *c, uint64_t nonce)
{
    size_t at = client_position(c, nonce);
    if (at < c->known_count && c->known[at].nonce == nonce) {
        c->known[at].is_gone = 0;
        return &c->known[at];
    }
    if (c->known_count == LINKS_MAX) {
        return NULL;
    }
    c->known = memory_grow(c->known, &c->known_capacity, c->known_count + 1, sizeof *c->known);
    memmove(&c->known[at + 1], &c->known[at], (c->known_count - at) * sizeof *c->known);
    c->known[at] = (struct client){.nonce = nonce};
    c->known_count++;
    return &c->known[at];
}

/* Forgets a client that is gone, as soon as nothing of it waits. */
static void forget_if_gone(struct clients *c, struct client *client)
{
    int is_awaited = client->waiting_bytes > 0 && !MUTANT(client_forgotten_while_waiting);
    if (!client->is_gone || is_awaited) {
        return;
    }
    size_t at = (size_t)(client - c->known);
    c->known_count--;
    memmove(client, client + 1, (c->known_count - at) * sizeof *client);
}

int clients_up(struct clients *c, uint64_t nonce)
{
    return add_client(c, nonce) != NULL;
}

void clients_down(struct clients *c, uint64_t nonce)
{
    struct client *known = find_client(c, nonce);
    if (known != NULL) {
        known->is_gone = 1;
        forget_if_gone(c, known);
    }
}

void clients_note_writer(struct clients *c, uint64_t nonce)
{
    struct client *client = add_client(c, nonce);
    if (client != NULL) {
        client->has_written = 1;
    }
}

/* ---- what they are told */

void clients_reject(struct peer client, enum reject_reason reason, node_id_t leader,
                    const struct block *block, struct effects *out)
{
    struct message *msg = effects_send(out, SEND_NOW, client, MSG_REJECT);
    msg->reject = (struct msg_reject){.reason = reason,
                                      .leader = leader,
                                      .session = block->session,
                                      .first_seq = block->first_seq};
}

void clients_tell_leading(struct peer client, const struct ballot *ballot, struct effects *out)
{
    effects_send(out, SEND_NOW, client, MSG_LEADING)->leading = (struct msg_leading){*ballot};
}

void clients_announce(const struct clients *c, int only_writers, const struct ballot *ballot,
                      struct effects *out)
{
    for (size_t i = 0; i < c->known_count; i++) {
        if (c->known[i].has_written || !only_writers) {
            clients_tell_leading((struct peer){ROLE_CLIENT, c->known[i].nonce}, ballot, out);
        }
    }
}

/* ---- the queue */

static struct waiting_block *waiting_at(struct clients *c, size_t position)
{
    return &c->waiting[(c->waiting_head + position) % c->waiting_capacity];
}

static void grow_queue(struct clients *c)
{
    size_t grown = c->waiting_capacity == 0 ? 64 : c->waiting_capacity * 2;
    struct waiting_block *ring = memory_calloc(grown, sizeof *ring);
    for (size_t i = 0; i < c->waiting_count; i++) {
        ring[i] = *waiting_at(c, i);
    }
    free(c->waiting);
    c->waiting = ring;
    c->waiting_head = 0;
    c->waiting_capacity = grown;
}

int clients_push(struct clients *c, struct slice bytes, struct peer client,
                 const struct block *block)
{
    struct client *known = add_client(c, client.id);
    if (known == NULL || known->waiting_bytes + bytes.size > CLIENT_PENDING_BYTES_MAX ||
        c->waiting_bytes + bytes.size > CLIENTS_PENDING_BYTES_MAX) {
        return ERROR_BUSY;
    }
    known->waiting_bytes += bytes.size;
    if (c->waiting_count == c->waiting_capacity) {
        grow_queue(c);
    }
    c->waiting_count++;
    *waiting_at(c, c->waiting_count - 1) = (struct waiting_block){.bytes = slice_keep(bytes),
                                                                  .client = client,
                                                                  .session = block->session,
                                                                  .first_seq = block->first_seq};
    c->waiting_bytes += bytes.size;
    return 0;
}

/* Takes the first block out of the queue; its reference goes to the caller. */
static struct waiting_block pop_waiting(struct clients *c)
{
    CHECK(c->waiting_count > 0);
    struct waiting_block block = *waiting_at(c, 0);
    c->waiting_head = (c->waiting_head + 1) % c->waiting_capacity;
    c->waiting_count--;
    c->waiting_bytes -= block.bytes.size;
    struct client *client = find_client(c, block.client.id);
    if (client != NULL) {
        client->waiting_bytes -= block.bytes.size;
        forget_if_gone(c, client);
    }
    return block;
}

struct blob *clients_take_batch(struct clients *c, uint64_t stamp_ms, struct effects *out)
{
    struct slice blocks[BATCH_BLOCKS_MAX];
    size_t count = 0;
    size_t size = 0;
    CHECK(c->waiting_count > 0);
    while (c->waiting_count > 0 && count < BATCH_BLOCKS_MAX && size < BATCH_BYTES_TARGET) {
        struct waiting_block block = pop_waiting(c);
        blocks[count++] = block.bytes;
        size += block.bytes.size;
    }
    struct blob *value = value_batch(stamp_ms, blocks, count);
    CHECK(value->size <= VALUE_BYTES_MAX);
    if (count > 1) {
        effects_mark(out, MARK_BLOCKS_JOINED);
    }
    for (size_t i = 0; i < count; i++) {
        slice_drop(&blocks[i]);
    }
    return value;
}

void clients_drop_waiting(struct clients *c, node_id_t leader, struct effects *out)
{
    while (c->waiting_count > 0) {
        struct waiting_block waiting = pop_waiting(c);
        const struct block block = {.session = waiting.session, .first_seq = waiting.first_seq};
        effects_mark(out, MARK_SUBMIT_DROPPED);
        clients_reject(waiting.client, REJECT_NOT_LEADER, leader, &block, out);
        slice_drop(&waiting.bytes);
    }
}

void clients_close(struct clients *c)
{
    while (c->waiting_count > 0) {
        struct waiting_block block = pop_waiting(c);
        slice_drop(&block.bytes);
    }
    free(c->waiting);
    free(c->known);
}
