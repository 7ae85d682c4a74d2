/* Clients that never rest: each has a session, sends blocks of appends to whom it believes to lead,
 * sends them again elsewhere when nothing comes back, reads from a learner, and now and then dies,
 * or sleeps for longer than its session lives. */
#include "tests/sim/workload.h"
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/protocol/limits.h"
#include "common/protocol/value.h"
#include "tests/sim/conformance.h"
#include "tests/sim/oracles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_COMMANDS_MAX 4
#define RETRY_US (120 * MS)
#define BURST_RECORD_BYTES 700000
#define BURST_RECORDS 30
#define FEW_PROPOSERS 3

static struct client_state *client_of(struct sim *sim, size_t node)
{
    return &sim->clients[node - sim->servers];
}

void client_send(struct sim *sim, const struct client_state *client, enum role role,
                 size_t position, const struct message *msg)
{
    cluster_send(sim->cluster, &sim->cluster->nodes[client->node], sim_node(sim, role, position),
                 msg);
}

static void submit(struct sim *sim, const struct client_state *client, struct slice block,
                   size_t proposer)
{
    struct message msg = {.kind = MSG_SUBMIT};
    msg.submit.block = block;
    client_send(sim, client, ROLE_PROPOSER, proposer, &msg);
}

/* To whom it believes to lead. In the end, when only one of many may be well, to all: clients with
 * more patience than that would find it by and by. */
static void submit_somewhere(struct sim *sim, const struct client_state *client, struct slice block)
{
    int asks_all = sim->is_healed && sim->plan.proposers > FEW_PROPOSERS;
    for (size_t i = 0; i < sim->plan.proposers; i++) {
        if (asks_all || i == client->target) {
            submit(sim, client, block, i);
        }
    }
}

static void send_open(struct sim *sim, const struct client_state *client)
{
    uint8_t bytes[BLOCK_HEAD_BYTES + COMMAND_HEAD_BYTES + 4];
    const struct block head = {.client = client->nonce, .first_seq = client->nonce, .count = 1};
    block_put_head(bytes, &head, COMMAND_HEAD_BYTES + 4);
    command_put_head(bytes + BLOCK_HEAD_BYTES, COMMAND_OPEN_SESSION, 4);
    bytes_put_u32(bytes + BLOCK_HEAD_BYTES + COMMAND_HEAD_BYTES, sim->plan.session_ttl_ms);
    submit_somewhere(sim, client, slice_borrow(bytes, sizeof bytes));
}

static void drop_blocks(struct client_state *client)
{
    for (size_t i = 0; i < client->block_count; i++) {
        blob_unref(client->blocks[i].bytes);
    }
    client->block_count = 0;
}

/* The session is gone; what was under way may have happened or not, and is not asked for again. */
static void forget_session(struct sim *sim, struct client_state *client)
{
    recipes_on_session_lost(sim, client->node - sim->servers, &client->recipe);
    drop_blocks(client);
    if (client->session > client->session_lost) {
        client->session_lost = client->session;
    }
    client->session = 0;
    client->state = SESSION_NONE;
    client->next_seq = 1;
    client->acked = 0;
    client->final_number = 0;
}

static void open_session(struct sim *sim, struct client_state *client)
{
    client->state = SESSION_OPENING;
    client->progress_at = sim->now;
    send_open(sim, client);
}

/* ---- appends */

static size_t draw_size(struct sim *sim, const struct client_state *client)
{
    size_t size = RECORD_NUMBER_BYTES + rng_below(&sim->work, 24);
    if (chance(&sim->work, client->burst > 0 ? 1000 : 50)) {
        size += rng_below(&sim->work,
                          client->burst > 0 ? BURST_RECORD_BYTES : sim->plan.record_bytes_max);
    }
    return size + (client->flood == FLOOD_LONG ? FLOOD_LONG_BYTES : 0);
}

static struct issued put_append(struct sim *sim, const struct client_state *client,
                                struct buffer *out)
{
    size_t size = draw_size(sim, client);
    uint64_t number = audit_begin(sim->audit, &(struct audit_submit){
                                                  .client = client->node,
                                                  .nonce = client->nonce,
                                                  .session = client->session,
                                                  .size = size,
                                              });
    uint8_t *p = buffer_extend(out, COMMAND_HEAD_BYTES + size);
    command_put_head(p, COMMAND_APPEND, (uint32_t)size);
    audit_fill(p + COMMAND_HEAD_BYTES, number, size);
    return (struct issued){.number = number};
}

/* 1 if the next operation is one on keys. */
static int is_on_keys(struct sim *sim, const struct client_state *client)
{
    return !sim->is_healed && client->burst == 0 && client->flood == FLOOD_NONE &&
           chance(&sim->work, sim->plan.keys);
}

/* 1 if the next step of a lock or a queue was written. */
static int put_recipe(struct sim *sim, struct client_state *client, struct buffer *out)
{
    return !sim->is_healed && client->burst == 0 && client->flood == FLOOD_NONE &&
           sim->plan.recipes > 0 && chance(&sim->work, sim->plan.recipes) &&
           recipes_command(sim, client->node - sim->servers, &client->recipe, client->session,
                           client->next_seq, out);
}

static struct issued put_on_keys(struct sim *sim, const struct client_state *client,
                                 struct buffer *out)
{
    uint64_t id = chance(&sim->work, ON_REGISTERS)
                      ? registers_command(sim, client->node, client->session, out)
                      : 0;
    if (id != 0) {
        return (struct issued){.register_id = id};
    }
    return (struct issued){.floor = keys_command(sim, out)};
}

/* A block of count commands at the client's next sequences. */
static struct blob *encode(struct sim *sim, struct client_state *client, uint32_t count)
{
    struct buffer out = {0};
    /* The client has every result below its oldest block. */
    const struct block head = {.session = client->session,
                               .client = client->nonce,
                               .first_seq = client->next_seq,
                               .acked_seq = client->acked,
                               .count = count};
    (void)buffer_extend(&out, BLOCK_HEAD_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        struct issued issued;
        if (client->sets_oracle) {
            client->sets_oracle = 0;
            oracles_put_command(sim, &out);
            issued = (struct issued){.is_settings = 1};
        } else if (put_recipe(sim, client, &out)) {
            issued = (struct issued){.is_recipe = 1};
        } else if (is_on_keys(sim, client)) {
            issued = put_on_keys(sim, client, &out);
        } else {
            issued = put_append(sim, client, &out);
        }
        uint64_t seq = client->next_seq++;
        client->issued = memory_grow(client->issued, &client->issued_capacity, (size_t)seq + 1,
                                     sizeof *client->issued);
        client->issued[seq] = issued;
    }
    block_put_head(out.data, &head, (uint32_t)(out.size - BLOCK_HEAD_BYTES));
    struct blob *blob = blob_copy(out.data, out.size);
    buffer_close(&out);
    return blob;
}

static void append(struct sim *sim, struct client_state *client)
{
    size_t most = client->burst > 0 || client->flood != FLOOD_NONE ? BURST_RECORDS
                                                                   : sim->plan.outstanding_max;
    if (client->block_count == BLOCKS_MAX || client->next_seq - client->acked > most) {
        return;
    }
    uint32_t count = chance(&sim->work, 800) || client->burst > 0
                         ? 1
                         : (uint32_t)between(&sim->work, 1, BLOCK_COMMANDS_MAX);
    uint64_t first = client->next_seq;
    struct blob *bytes = encode(sim, client, count);
    if (client->block_count == 0) {
        client->progress_at = sim->now;
    }
    client->blocks[client->block_count++] = (struct block_sent){bytes, first, count};
    if (sim->is_healed && client->final_number == 0) {
        client->final_number = client->issued[first].number;
    }
    if (sim->now >= client->hold_until) {
        submit(sim, client, slice_of(bytes), client->target);
    }
}

/* Two blocks become one: whoever has executed the first must execute the second alone. */
static void send_joined(struct sim *sim, const struct client_state *client)
{
    const struct block_sent *first = &client->blocks[0];
    const struct block_sent *second = &client->blocks[1];
    size_t size = first->bytes->size + second->bytes->size - 2 * BLOCK_HEAD_BYTES;
    const struct block head = {.session = client->session,
                               .client = client->nonce,
                               .first_seq = first->first_seq,
                               .acked_seq = first->first_seq - 1,
                               .count = first->count + second->count};
    uint8_t *p;
    struct blob *blob = blob_new(BLOCK_HEAD_BYTES + size, &p);
    size_t first_size = first->bytes->size - BLOCK_HEAD_BYTES;
    block_put_head(p, &head, (uint32_t)size);
    memcpy(p + BLOCK_HEAD_BYTES, first->bytes->data + BLOCK_HEAD_BYTES, first_size);
    memcpy(p + BLOCK_HEAD_BYTES + first_size, second->bytes->data + BLOCK_HEAD_BYTES,
           size - first_size);
    submit(sim, client, slice_of(blob), client->target);
    blob_unref(blob);
}

static void resend(struct sim *sim, struct client_state *client, uint64_t from_seq)
{
    if (client->state == SESSION_OPENING) {
        send_open(sim, client);
        return;
    }
    if (client->block_count > 1 && chance(&sim->work, 200) &&
        client->blocks[0].bytes->size + client->blocks[1].bytes->size < RECORD_BYTES_MAX) {
        send_joined(sim, client);
    }
    for (size_t i = 0; i < client->block_count; i++) {
        const struct block_sent *block = &client->blocks[i];
        if (block->first_seq + block->count > from_seq) {
            submit_somewhere(sim, client, slice_of(block->bytes));
        }
    }
}

/* Nothing came back in time: first the same proposer again, then the next. */
static void maybe_retry(struct sim *sim, struct client_state *client)
{
    int is_waiting = client->block_count > 0 || client->state == SESSION_OPENING;
    if (!is_waiting || sim->now < client->hold_until) {
        return;
    }
    if (client->is_due) {
        client->is_due = 0;
        client->progress_at = sim->now;
        resend(sim, client, 0);
        return;
    }
    if (sim->now - client->progress_at < client->retry_us) {
        return;
    }
    client->progress_at = sim->now;
    if (client->retry_us > RETRY_US || chance(&sim->work, 200)) {
        client->target = (client->target + 1) % sim->plan.proposers;
    }
    time_us_t most = sim->plan.election_ms * MS;
    client->retry_us = client->retry_us * 2 < most ? client->retry_us * 2 : most;
    resend(sim, client, 0);
}

/* ---- answers */

static void advance(struct sim *sim, struct client_state *client, uint64_t seq)
{
    if (seq <= client->acked) {
        return;
    }
    client->acked = seq;
    client->progress_at = sim->now;
    client->retry_us = RETRY_US;
    client->redirects = 0;
    size_t gone = 0;
    while (gone < client->block_count &&
           client->blocks[gone].first_seq + client->blocks[gone].count - 1 <= seq) {
        blob_unref(client->blocks[gone].bytes);
        gone++;
    }
    client->block_count -= gone;
    memmove(client->blocks, client->blocks + gone, client->block_count * sizeof *client->blocks);
}

static void on_opened(struct sim *sim, struct client_state *client,
                      const struct result_range *range)
{
    if (range->sequence != client->nonce || range->status != RESULT_OK) {
        return; /* of a former life */
    }
    if (client->state == SESSION_OPENING && range->value > client->session_lost) {
        client->state = SESSION_OPEN;
        client->session = range->value;
        client->progress_at = sim->now;
        client->retry_us = RETRY_US;
        return;
    }
    if (client->state == SESSION_OPEN && range->value > client->session &&
        sim->plan.session_ttl_ms > 60000000) {
        sim_violate(sim, "session", "one nonce got the sessions %llu and %llu",
                    (unsigned long long)client->session, (unsigned long long)range->value);
    }
}

/* The change was made, or another one was first: value is the present version in either case. */
static void on_settings(struct sim *sim, const struct result_range *range)
{
    if (range->value > sim->settings_version) {
        sim->settings_version = range->value;
    }
}

static void on_executed(struct sim *sim, struct client_state *client,
                        const struct result_range *range)
{
    for (uint32_t i = 0; i < range->count; i++) {
        uint64_t seq = range->sequence + i;
        if (seq == 0 || seq >= client->next_seq) {
            sim_violate(sim, "validity", "%s is told of a command that it did not send",
                        sim->cluster->nodes[client->node].name);
            return;
        }
        const struct issued *issued = &client->issued[seq];
        if (issued->is_recipe) {
            recipes_on_result(sim, client->node - sim->servers, &client->recipe, seq, range);
            continue;
        }
        if (issued->is_settings) {
            on_settings(sim, range);
            continue;
        }
        if (issued->register_id != 0) {
            registers_on_result(sim, issued->register_id, range);
            continue;
        }
        if (issued->number == 0) {
            keys_acknowledge(sim, issued->floor, range);
            continue;
        }
        audit_acknowledge(sim->audit, issued->number, range->value + i);
        if (issued->number == client->final_number) {
            client->is_final_acked = 1;
        }
    }
    /* Results come in the order of the sequences, but over a network that reorders. */
    if (range->sequence <= client->acked + 1) {
        advance(sim, client, range->sequence + range->count - 1);
    }
}

static void on_range(struct sim *sim, struct client_state *client, uint64_t session,
                     const struct result_range *range)
{
    if (session == 0) {
        on_opened(sim, client, range);
        return;
    }
    if (session != client->session || client->state != SESSION_OPEN) {
        return;
    }
    switch (range->status) {
    case RESULT_OK:
    case RESULT_COMPACTED:
    case RESULT_FUTURE:
    case RESULT_LEASE_NOT_FOUND:
    case RESULT_LEASE_EXISTS:
    case RESULT_LEASES_FULL:
    case RESULT_KEY_NOT_FOUND:
    case RESULT_TOO_LARGE:
    case RESULT_CHANGED:
        on_executed(sim, client, range);
        break;
    case RESULT_GAP:
        if (range->sequence > client->acked && sim->now - client->progress_at > 20 * MS) {
            client->progress_at = sim->now;
            resend(sim, client, range->sequence);
        }
        break;
    case RESULT_UNKNOWN_SESSION:
        if (sim->plan.session_ttl_ms > 60000000) {
            sim_violate(sim, "session", "session %llu is unknown, and did not expire",
                        (unsigned long long)session);
        }
        forget_session(sim, client);
        break;
    case RESULT_FORGOTTEN:
        if (range->sequence + range->count - 1 > client->acked) {
            sim_violate(sim, "retry", "a result is forgotten that its client does not have");
        }
        break;
    default:
        break;
    }
}

static void on_reject(struct sim *sim, struct client_state *client, const struct message *msg)
{
    const struct msg_reject *reject = &msg->reject;
    if (reject->session != client->session) {
        return;
    }
    switch (reject->reason) {
    case REJECT_NOT_LEADER:
        if (msg->from.id != client->target + 1) {
            return; /* of one that was asked before */
        }
        /* Two that name each other, one of which answers what was asked seconds ago, would keep it
         * from the one that leads. */
        client->redirects++;
        if (reject->leader != 0 && reject->leader <= sim->plan.proposers &&
            client->redirects <= 2 * sim->plan.proposers) {
            client->target = reject->leader - 1;
        } else {
            client->target = (client->target + 1) % sim->plan.proposers;
        }
        client->hold_until = sim->now + between(&sim->work, 1 * MS, 40 * MS);
        client->is_due = 1;
        break;
    case REJECT_MALFORMED:
        sim_violate(sim, "validity", "a block of %s is called malformed",
                    sim->cluster->nodes[client->node].name);
        break;
    default:
        client->hold_until = sim->now + between(&sim->work, 10 * MS, 100 * MS);
        break;
    }
}

/* As the library does: who leads since later than all that it knows of is asked at once, whatever
 * was said before. */
static void on_leading(struct client_state *client, const struct message *msg)
{
    const struct ballot *ballot = &msg->leading.ballot;
    size_t leader = (size_t)msg->from.id - 1;
    int order = ballot_compare(ballot, &client->leading);
    if (order < 0 || (order == 0 && leader == client->target)) {
        return;
    }
    client->leading = *ballot;
    client->target = leader;
    client->redirects = 0;
    client->retry_us = RETRY_US;
    client->hold_until = 0;
    client->is_due = 1;
}

void client_take(struct sim *sim, size_t node, const struct message *msg)
{
    struct client_state *client = client_of(sim, node);
    if (sim->now < client->sleep_until) {
        return;
    }
    switch (msg->kind) {
    case MSG_RESULT:
        for (uint32_t i = 0; i < msg->result.range_count; i++) {
            on_range(sim, client, msg->result.session, &msg->result.ranges[i]);
        }
        break;
    case MSG_REJECT:
        on_reject(sim, client, msg);
        break;
    case MSG_RECORDS:
        if (msg->echo == client->nonce) {
            reads_on_records(sim, client, msg);
        }
        break;
    case MSG_ANSWER:
        if (msg->echo == client->nonce) {
            keys_on_answer(sim, &client->keys, msg);
            registers_on_answer(sim, &client->registers, msg);
        }
        break;
    case MSG_EVENTS:
        if (msg->echo == client->nonce) {
            keys_on_events(sim, &client->keys, msg);
        }
        break;
    case MSG_TRANSFERRED:
        conformance_on_transferred(sim, &msg->transferred);
        break;
    case MSG_LEADING:
        on_leading(client, msg);
        break;
    default:
        break;
    }
}

/* ---- life */

static void plan_next(struct sim *sim, size_t position)
{
    time_us_t mean = SECOND * (time_us_t)sim->plan.clients / sim->plan.operations_per_s;
    mean = mean < 1 ? 1 : mean;
    if (sim->is_healed && mean > 20 * MS) {
        mean = 20 * MS; /* nobody sleeps through the little time there is */
    }
    sim_at(sim, sim->now + between(&sim->work, 1, 2 * mean), ITEM_CLIENT,
           (uint32_t)(sim->servers + position), 0);
}

/* After the healing nothing new begins but one append and one read of each client, and, where there
 * are keys, one query and one page of a watch. */
static void act_healed(struct sim *sim, struct client_state *client)
{
    if (sim->plan.ends_quietly) {
        client->is_final_acked = 1;
    } else if (client->state == SESSION_OPEN && client->final_number == 0) {
        append(sim, client);
    }
    if (!reads_are_keys_done(sim, client)) {
        reads_ask_last_of_keys(sim, client);
    }
    if (!reads_is_final_sent(client)) {
        reads_log(sim, client);
    } else if (client->is_final_read && client->is_final_acked) {
        reads_scan(sim, client);
        reads_scan_registers(sim, client);
    }
}

void client_on_item(struct sim *sim, const struct item *item)
{
    struct client_state *client = client_of(sim, item->a);
    plan_next(sim, item->a - sim->servers);
    if (sim->now < client->sleep_until) {
        return;
    }
    reads_give_up(sim, client);
    keys_give_up(sim, &client->keys);
    registers_give_up(sim, &client->registers);
    maybe_retry(sim, client);
    if (client->state == SESSION_NONE) {
        open_session(sim, client);
    }
    if (sim->is_healed) {
        act_healed(sim, client);
    } else if (chance(&sim->work, sim->plan.reads)) {
        if (is_on_keys(sim, client)) {
            reads_ask_of_keys(sim, client);
        } else {
            reads_log(sim, client);
        }
    } else if (client->state == SESSION_OPEN) {
        append(sim, client);
    }
}

void client_start_all(struct sim *sim)
{
    sim->clients = memory_calloc(sim->plan.clients, sizeof *sim->clients);
    for (size_t i = 0; i < sim->plan.clients; i++) {
        struct client_state *client = &sim->clients[i];
        client->node = sim->servers + i;
        client->nonce = sim->cluster->nodes[client->node].incarnation;
        client->next_seq = 1;
        client->retry_us = RETRY_US;
        client->target = rng_below(&sim->work, sim->plan.proposers);
        client->learner = rng_below(&sim->work, sim->plan.learners);
        plan_next(sim, i);
    }
}

void client_free_all(struct sim *sim)
{
    for (size_t i = 0; i < sim->plan.clients; i++) {
        drop_blocks(&sim->clients[i]);
        free(sim->clients[i].issued);
        keys_client_close(&sim->clients[i].keys);
        registers_client_close(&sim->clients[i].registers);
    }
    free(sim->clients);
}

/* Says goodbye: nobody waits for the answer. */
static void close_session(struct sim *sim, const struct client_state *client)
{
    uint8_t bytes[BLOCK_HEAD_BYTES + COMMAND_HEAD_BYTES];
    const struct block head = {.session = client->session,
                               .client = client->nonce,
                               .first_seq = client->next_seq,
                               .acked_seq = client->acked,
                               .count = 1};
    block_put_head(bytes, &head, COMMAND_HEAD_BYTES);
    command_put_head(bytes + BLOCK_HEAD_BYTES, COMMAND_CLOSE_SESSION, 0);
    submit(sim, client, slice_borrow(bytes, sizeof bytes), client->target);
}

void client_burst(struct sim *sim, size_t position)
{
    struct client_state *client = &sim->clients[position];
    client->burst = BURST_RECORDS;
    while (client->burst > 0) {
        if (client->state == SESSION_OPEN) {
            append(sim, client);
        }
        client->burst--;
    }
}

/* Short and long records, each in a block of its own, whether the client waits or not. */
void client_flood(struct sim *sim, size_t position)
{
    struct client_state *client = &sim->clients[position];
    uint64_t count = 1 + rng_below(&sim->work, 4);
    for (uint64_t i = 0; i < count && client->state == SESSION_OPEN; i++) {
        client->flood = chance(&sim->work, 300) ? FLOOD_LONG : FLOOD_SHORT;
        append(sim, client);
    }
    client->flood = FLOOD_NONE;
}

void client_die(struct sim *sim, size_t position)
{
    struct client_state *client = &sim->clients[position];
    struct node *node = &sim->cluster->nodes[client->node];
    if (client->state == SESSION_OPEN && chance(&sim->fate, 500)) {
        close_session(sim, client);
    }
    forget_session(sim, client);
    memset(client->reads, 0, sizeof client->reads);
    keys_client_close(&client->keys);
    registers_client_close(&client->registers);
    client->session_lost = 0;
    client->leading = (struct ballot){0};
    client->lives++;
    client->nonce = 0xc000000000U + ((uint64_t)client->lives << 16) + position + 1;
    node->self.id = client->nonce;
    node->incarnation = client->nonce;
    sim->processes[client->node].life++;
    transport_changed(sim, node, EVENT_PEER_UP);
}

void client_set_oracle(struct sim *sim, size_t position)
{
    sim->clients[position].sets_oracle = !sim->is_healed;
}

void client_sleep(struct sim *sim, size_t position, time_us_t for_us)
{
    sim->clients[position].sleep_until = sim->now + for_us;
}

void client_reconnect(struct sim *sim, size_t position)
{
    client_sleep(sim, position, 0);
    keys_reconnect(&sim->clients[position].keys);
}

size_t client_pending(const struct sim *sim, char *text, size_t size)
{
    size_t pending = 0;
    for (size_t i = 0; i < sim->plan.clients; i++) {
        const struct client_state *client = &sim->clients[i];
        int is_on_keys_done = reads_are_keys_done(sim, client);
        if (client->block_count == 0 && client->state != SESSION_OPENING &&
            client->is_final_acked && client->is_final_read && is_on_keys_done) {
            continue;
        }
        if (pending++ == 0 && text != NULL) {
            snprintf(text, size,
                     "%s: session %llu, %zu blocks from %llu, append %s, read %s, keys %s",
                     sim->cluster->nodes[client->node].name, (unsigned long long)client->session,
                     client->block_count, (unsigned long long)client->acked + 1,
                     client->is_final_acked ? "done" : "open",
                     client->is_final_read ? "done" : "open", is_on_keys_done ? "done" : "open");
        }
    }
    return pending;
}
