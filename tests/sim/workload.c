/* What clients do, and what must hold of what they are told: each appends, changes keys, reads,
 * competes for locks, and sends many at once; and every operation comes to one result, its own. */
#include "tests/sim/workload.h"

#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/protocol/limits.h"
#include "common/protocol/value.h"
#include "tests/model/reference.h"
#include "tests/sim/mirror.h"
#include "tests/sim/oracles.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_COMMANDS_MAX 4
#define BURST_RECORD_BYTES 700000
#define BURST_RECORDS 30

/* A session with such a ttl never expires in a run. */
#define TTL_MS_LONG 60000000

/* ---- submitting */

/* Never called: the core hands it back with the token of the operation. */
static void operation_done(void *arg, int code, uint64_t value)
{
    (void)arg;
    (void)code;
    (void)value;
    CHECK(0);
}

static void note_token(struct client_state *client, uint64_t number, uint64_t token)
{
    size_t before = client->token_capacity;
    client->token_of = memory_grow(client->token_of, &client->token_capacity, (size_t)number + 1,
                                   sizeof *client->token_of);
    if (client->token_capacity > before) {
        memset(client->token_of + before, 0,
               (client->token_capacity - before) * sizeof *client->token_of);
    }
    client->token_of[number] = token;
}

/* Some callers lose their patience. */
static time_ms_t draw_deadline(struct sim *sim, const struct issued *issued)
{
    int is_patient = sim->is_healed || issued->is_recipe || issued->is_settings;
    return is_patient || !chance(&sim->work, 80) ? TIME_NEVER
                                                 : client_now(sim) + between(&sim->work, 5, 2000);
}

/* Gives one command, head and payload, to the core. Returns its token, or 0: there is no room. */
static uint64_t submit(struct sim *sim, struct client_state *client, const struct buffer *bytes,
                       struct issued issued)
{
    struct slice rest = buffer_slice(bytes);
    struct command command;
    uint64_t number = 0;
    CHECK(block_next_command(&rest, &command) && rest.size == 0);
    client->issued_count += client->issued_count == 0; /* [0] is not used */
    client->issued = memory_grow(client->issued, &client->issued_capacity, client->issued_count + 1,
                                 sizeof *client->issued);
    uint64_t token = client->issued_count;
    time_ms_t deadline = draw_deadline(sim, &issued);
    issued.has_deadline = deadline != TIME_NEVER;
    if (client_submit(client->core, command.op, command.payload, deadline, operation_done,
                      (void *)(uintptr_t)token, &number, NULL) != 0) {
        return 0;
    }
    client->issued[client->issued_count++] = issued;
    note_token(client, number, token);
    if (chance(&sim->work, 10) && !sim->is_healed && !issued.is_recipe && !issued.is_settings) {
        client_abandon(client->core, number);
        client->issued[token].is_over = 1;
    }
    return token;
}

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
    uint64_t session = client_session(client->core);
    return !sim->is_healed && client->burst == 0 && client->flood == FLOOD_NONE && session != 0 &&
           sim->plan.recipes > 0 && chance(&sim->work, sim->plan.recipes) &&
           recipes_command(sim, client->node - sim->servers, &client->recipe, session,
                           client->issued_count > 0 ? client->issued_count : 1, out);
}

static struct issued put_on_keys(struct sim *sim, const struct client_state *client,
                                 struct buffer *out)
{
    uint64_t id = chance(&sim->work, ON_REGISTERS) ? registers_command(sim, client->node, out) : 0;
    if (id != 0) {
        return (struct issued){.register_id = id};
    }
    uint64_t floor = keys_command(sim, out);
    return (struct issued){.floor = floor, .is_grant = out->data[0] == COMMAND_LEASE_GRANT};
}

/* One command. Returns the number that the audit has of it, if it is an append; or 0. */
static uint64_t command(struct sim *sim, struct client_state *client)
{
    struct buffer out = {0};
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
    uint64_t token = submit(sim, client, &out, issued);
    buffer_close(&out);
    if (token == 0 && issued.is_recipe) { /* no room: it begins another time */
        recipes_on_session_lost(sim, client->node - sim->servers, &client->recipe);
    }
    return token != 0 ? issued.number : 0;
}

/* An operator takes a lock from its holder: now and then, and once more when all is well. */
static void steal(struct sim *sim, struct client_state *client)
{
    struct buffer out = {0};
    int is_due = sim->is_healed ? !client->has_stolen && sim->plan.steals > 0
                                : chance(&sim->work, sim->plan.steals);
    client->has_stolen = sim->is_healed;
    if (is_due && contenders_put_theft(sim, &out)) {
        (void)submit(sim, client, &out, (struct issued){0});
    }
    buffer_close(&out);
}

static void commands(struct sim *sim, struct client_state *client)
{
    uint32_t count =
        chance(&sim->work, 800) ? 1 : (uint32_t)between(&sim->work, 1, BLOCK_COMMANDS_MAX);
    if (client_outstanding(client->core) > sim->plan.outstanding_max) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        (void)command(sim, client);
    }
}

/* ---- what leaves */

/* Each operation leaves in one session, whatever happens: in another one it could happen twice. */
static void note_sent(struct sim *sim, struct client_state *client, uint64_t number,
                      uint64_t session)
{
    uint64_t token = number < client->token_capacity ? client->token_of[number] : 0;
    if (token == 0) {
        return; /* the core's own */
    }
    struct issued *issued = &client->issued[token];
    if (issued->session != 0 && issued->session != session) {
        sim_violate(sim, "session", "%s sends an operation of session %llu in session %llu",
                    sim->cluster->nodes[client->node].name, (unsigned long long)issued->session,
                    (unsigned long long)session);
    }
    if (issued->session != 0) {
        return;
    }
    issued->session = session;
    if (issued->number != 0) {
        audit_sent(sim->audit, issued->number, client->node, session);
    } else if (issued->register_id != 0) {
        registers_on_sent(sim, client->node, issued->register_id, session);
    }
}

void workload_on_submit(struct sim *sim, struct client_state *client, struct slice bytes)
{
    struct block block;
    struct errmsg err;
    if (block_parse(bytes, &block, &err) != 0) {
        sim_violate(sim, "validity", "a block of %s is malformed: %s",
                    sim->cluster->nodes[client->node].name, err.text);
        return;
    }
    for (uint32_t i = 0; i < block.count && block.session != 0; i++) {
        uint64_t number = block.first_seq + i + client_first_number(client->core) - 1;
        note_sent(sim, client, number, block.session);
    }
}

/* ---- what comes of it */

static int is_long_session(const struct sim *sim)
{
    return sim->plan.session_ttl_ms > TTL_MS_LONG;
}

/* 1 if it is open as far as the log is agreed: no learner knows more. */
static int is_session_alive(const struct sim *sim, uint64_t session)
{
    return reference_lease(mirror_reference(sim->mirror), session) != NULL;
}

/* The change was made, or another one was first: value is the present version in either case. */
static void on_settings(struct sim *sim, uint64_t version)
{
    if (version > sim->settings_version) {
        sim->settings_version = version;
    }
}

/* It was executed, and perhaps refused. */
static void on_executed(struct sim *sim, struct client_state *client, uint64_t token,
                        const struct completion *completion)
{
    const struct issued *issued = &client->issued[token];
    const struct result_range range = {
        .count = 1,
        .status = completion->code == 0 ? RESULT_OK : RESULT_CHANGED,
        .value = completion->value,
        .body = completion->body,
    };
    if (issued->is_recipe) {
        recipes_on_result(sim, client->node - sim->servers, &client->recipe, token, &range);
    } else if (issued->is_settings) {
        on_settings(sim, range.value);
    } else if (issued->register_id != 0) {
        registers_on_result(sim, issued->register_id, &range);
    } else if (issued->number == 0) {
        keys_acknowledge(sim, issued->floor, &range);
        if (issued->is_grant && completion->code == 0 && completion->value == 0) {
            sim_violate(sim, "validity", "%s is granted a lease without an id",
                        sim->cluster->nodes[client->node].name);
        }
    } else {
        audit_acknowledge(sim->audit, issued->number, range.value);
        client->is_final_acked |= issued->number == client->final_number;
    }
}

static void on_operation(struct sim *sim, struct client_state *client,
                         const struct completion *completion)
{
    const char *name = sim->cluster->nodes[client->node].name;
    uint64_t token = (uint64_t)(uintptr_t)completion->arg;
    struct issued *issued = &client->issued[token];
    if (issued->is_over) {
        sim_violate(sim, "validity", "%s is told of an operation that is over", name);
        return;
    }
    issued->is_over = 1;
    switch (completion->code) {
    case ERROR_SESSION:
        if (is_long_session(sim) || is_session_alive(sim, issued->session)) {
            sim_violate(sim, "session", "the session of %s did not expire", name);
        }
        sim->outcome->met[MET_SESSION_LOST_AT_WORK]++;
        break;
    case ERROR_UNAVAILABLE:
        if (!issued->has_deadline) {
            sim_violate(sim, "validity", "%s gives up an operation without a deadline", name);
        }
        break;
    case ERROR_CORRUPT:
    case ERROR_INTERNAL:
        sim_violate(sim, "validity", "%s is told: %s", name, completion->sentence);
        break;
    case ERROR_INTERRUPTED:
        break; /* it says goodbye */
    default:
        if (issued->session == 0) {
            sim_violate(sim, "validity", "%s is told of an operation that it has not sent", name);
            return;
        }
        on_executed(sim, client, token, completion);
        break;
    }
    /* What it waited for after the healing was lost with the session: once more. */
    if (completion->code != 0 && issued->number != 0 && issued->number == client->final_number) {
        client->final_number = 0;
    }
}

void workload_on_completion(struct sim *sim, struct client_state *client,
                            const struct completion *completion)
{
    const char *name = sim->cluster->nodes[client->node].name;
    if (completion->kind == COMPLETION_OPERATION) {
        on_operation(sim, client, completion);
    } else if (reads_on_completion(sim, client, completion) ||
               contenders_on_completion(sim, client, completion)) {
        return;
    } else if (completion->id != 0 && completion->id == client->status) {
        client->status = 0;
    } else if (completion->id != 0 && completion->id == client->explanation) {
        client->explanation = 0;
    } else if (completion->kind != COMPLETION_SESSION_LOST) {
        sim_violate(sim, "validity", "%s is told of what it did not ask (%u)", name,
                    completion->kind);
    } else if (is_long_session(sim)) {
        sim_violate(sim, "session", "the session of %s is lost, and did not expire", name);
    }
}

/* What it relies on: while it is certain of its session, where clocks are right, that lives. */
static void check_certain(struct sim *sim, const struct client_state *client)
{
    if (client_session_left_ms(client->core, client_now(sim)) > 0 && sim_are_clocks_right(sim) &&
        !is_session_alive(sim, client->session_seen)) {
        sim_violate(sim, "session", "%s is certain of session %llu, which has ended",
                    sim->cluster->nodes[client->node].name,
                    (unsigned long long)client->session_seen);
    }
}

static void note_session(struct sim *sim, struct client_state *client)
{
    uint64_t session = client_session(client->core);
    if (session == client->session_seen || session == 0) {
        return;
    }
    if (client->session_seen != 0) {
        if (is_long_session(sim) || is_session_alive(sim, client->session_seen)) {
            sim_violate(sim, "session", "%s gets session %llu after %llu, which did not expire",
                        sim->cluster->nodes[client->node].name, (unsigned long long)session,
                        (unsigned long long)client->session_seen);
        }
        recipes_on_session_lost(sim, client->node - sim->servers, &client->recipe);
    }
    if (session < client->session_seen) {
        sim_violate(sim, "session", "%s gets session %llu after %llu",
                    sim->cluster->nodes[client->node].name, (unsigned long long)session,
                    (unsigned long long)client->session_seen);
    }
    client->session_seen = session;
}

void workload_on_session(struct sim *sim, struct client_state *client)
{
    note_session(sim, client);
    check_certain(sim, client);
}

/* ---- what it does */

static void ask_cluster(struct sim *sim, struct client_state *client)
{
    time_ms_t deadline = client_now(sim) + between(&sim->work, 1, 3000);
    if (client->status == 0 && chance(&sim->work, 500)) {
        client->status = client_ask_status(client->core, chance(&sim->work, 500), deadline);
    } else if (client->explanation == 0) {
        client->explanation = client_ask_explanation(client->core, deadline);
    }
}

/* After the healing nothing new begins but one append and one read of each client, and, where there
 * are keys, one query and one page of a watch. */
static void act_healed(struct sim *sim, struct client_state *client)
{
    if (sim->plan.ends_quietly) {
        client->is_final_acked = 1;
    } else if (client->final_number == 0) {
        client->final_number = command(sim, client);
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

void workload_act(struct sim *sim, struct client_state *client)
{
    reads_give_up(sim, client);
    contenders_act(sim, client);
    steal(sim, client);
    if (sim->is_healed) {
        act_healed(sim, client);
        return;
    }
    if (chance(&sim->work, 5)) {
        ask_cluster(sim, client);
    }
    if (chance(&sim->work, sim->plan.reads)) {
        if (!is_on_keys(sim, client)) {
            reads_log(sim, client);
        } else if (chance(&sim->work, 10)) {
            reads_ask_much(sim, client);
        } else {
            reads_ask_of_keys(sim, client);
        }
    } else {
        commands(sim, client);
    }
}

void client_burst(struct sim *sim, size_t position)
{
    struct client_state *client = &sim->clients[position];
    for (client->burst = BURST_RECORDS; client->burst > 0; client->burst--) {
        (void)command(sim, client);
    }
    client_flush(sim, client);
}

/* Short and long records, each in a block of its own, whether the client waits or not. */
void client_flood(struct sim *sim, size_t position)
{
    struct client_state *client = &sim->clients[position];
    uint64_t count = 1 + rng_below(&sim->work, 4);
    for (uint64_t i = 0; i < count; i++) {
        client->flood = chance(&sim->work, 300) ? FLOOD_LONG : FLOOD_SHORT;
        (void)command(sim, client);
        client_flush(sim, client);
    }
    client->flood = FLOOD_NONE;
}

void client_set_oracle(struct sim *sim, size_t position)
{
    sim->clients[position].sets_oracle = !sim->is_healed;
}

/* ---- life */

void workload_forget(struct sim *sim, struct client_state *client)
{
    recipes_on_session_lost(sim, client->node - sim->servers, &client->recipe);
    reads_close(client);
    client->contender = (struct contender){0};
    client->status = client->explanation = 0;
    client->final_number = 0;
    for (size_t i = 0; i < client->token_capacity; i++) {
        client->token_of[i] = 0;
    }
}

void workload_close(struct client_state *client)
{
    reads_close(client);
    free(client->issued);
    free(client->token_of);
}
