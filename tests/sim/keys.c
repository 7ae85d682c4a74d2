#include "tests/sim/keys.h"

#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/protocol/kv.h"
#include "common/protocol/value.h"
#include "tests/check/model_keys.h"
#include "tests/model/generate.h"
#include "tests/model/reference_command.h"
#include "tests/sim/mirror.h"

#include <stdlib.h>

#define PATIENCE_US SECOND
#define WATCH_PAGES_MAX 40
#define ATTEMPTS_MAX 500

struct keys {
    struct generator generator;
    struct arena arena; /* of one operation */
    uint64_t floor;     /* highest revision that anybody was told of */
};

struct keys *keys_new(uint64_t seed)
{
    struct keys *keys = memory_calloc(1, sizeof *keys);
    generator_init(&keys->generator, seed, 0);
    return keys;
}

void keys_free(struct keys *keys)
{
    arena_close(&keys->arena);
    free(keys);
}

static struct reference *reference_of(const struct sim *sim)
{
    return mirror_reference(sim->mirror);
}

static void note_floor(struct sim *sim, uint64_t revision)
{
    if (revision > sim->keys->floor) {
        sim->keys->floor = revision;
    }
}

/* ---- commands */

static void put_head(struct buffer *out, enum command_op op, size_t size)
{
    command_put_head(buffer_extend(out, COMMAND_HEAD_BYTES), op, (uint32_t)size);
}

static void put_number(struct buffer *out, enum command_op op, uint64_t number)
{
    put_head(out, op, 8);
    buffer_put_u64(out, number);
}

/* 1 if the request may enter the log. */
static int is_allowed(struct slice bytes)
{
    struct kv_request request;
    return kv_request_parse(bytes, &request, NULL) == 0;
}

/* 1 if the operation is a command, which is written. */
static int put_command(const struct operation *operation, struct buffer *out)
{
    switch (operation->kind) {
    case OPERATION_REQUEST:
        if (!is_allowed(operation->request)) {
            return 0;
        }
        put_head(out, COMMAND_KV, operation->request.size);
        buffer_put(out, operation->request);
        return 1;
    case OPERATION_COMPACT:
        put_number(out, COMMAND_COMPACT, operation->revision);
        return 1;
    case OPERATION_GRANT:
        put_head(out, COMMAND_LEASE_GRANT, 17);
        buffer_put_u64(out, operation->id);
        buffer_put_u64(out, operation->ttl_ms);
        buffer_put_u8(out, operation->is_bound ? LEASE_BOUND : 0);
        return 1;
    case OPERATION_REVOKE:
        put_number(out, COMMAND_LEASE_REVOKE, operation->id);
        return 1;
    case OPERATION_KEEPALIVE:
        put_number(out, COMMAND_LEASE_KEEPALIVE, operation->id);
        return 1;
    default:
        return 0;
    }
}

uint64_t keys_command(struct sim *sim, struct buffer *out)
{
    struct keys *keys = sim->keys;
    struct operation operation;
    int is_put = 0;
    for (int i = 0; i < ATTEMPTS_MAX && !is_put; i++) {
        arena_reset(&keys->arena);
        generate(&keys->generator, reference_of(sim), &keys->arena, &operation);
        is_put = put_command(&operation, out);
    }
    CHECK(is_put);
    return keys->floor;
}

void keys_acknowledge(struct sim *sim, uint64_t floor, const struct result_range *range)
{
    struct kv_response response;
    struct slice rest = range->body;
    if (range->status != RESULT_OK || kv_next_response(&rest, &response) != 1) {
        return; /* of a lease, or nothing was done: no revision is told */
    }
    sim->outcome->key_commands++;
    if (range->value < floor) {
        sim_violate(sim, "real-time",
                    "a command on keys came to revision %llu, but %llu was known before it began",
                    (unsigned long long)range->value, (unsigned long long)floor);
    }
    note_floor(sim, range->value);
}

/* ---- questions */

/* A request that changes nothing. */
static struct slice draw_question(struct sim *sim)
{
    struct keys *keys = sim->keys;
    struct operation operation;
    struct kv_request request;
    for (int i = 0; i < ATTEMPTS_MAX; i++) {
        arena_reset(&keys->arena);
        generate(&keys->generator, reference_of(sim), &keys->arena, &operation);
        if (operation.kind == OPERATION_REQUEST &&
            kv_request_parse(operation.request, &request, NULL) == 0 &&
            kv_request_is_read_only(&request)) {
            return slice_keep(operation.request);
        }
    }
    return SLICE_EMPTY;
}

int keys_ask(struct sim *sim, struct keys_client *client, uint64_t request, struct message *msg)
{
    if (client->query != 0) {
        return 0;
    }
    slice_drop(&client->body);
    client->body = draw_question(sim);
    if (client->body.size == 0) {
        return 0;
    }
    client->query = request;
    client->query_until = sim->now + PATIENCE_US;
    client->query_floor = sim->keys->floor;
    client->is_local = chance(&sim->work, 100);
    *msg = (struct message){.kind = MSG_QUERY};
    msg->query = (struct msg_query){
        .request = request,
        .op = QUERY_KV,
        .consistency = (uint32_t)(client->is_local ? READ_LOCAL : READ_LINEARIZABLE),
        .body = client->body};
    return 1;
}

/* Makes the request ask for the state that was answered from, if the model can still tell. */
static int go_back(struct sim *sim, struct kv_request *request, uint64_t revision)
{
    const struct reference *reference = reference_of(sim);
    if (revision == reference_revision(reference)) {
        return 1; /* it is the present one */
    }
    if (request->op != KV_RANGE || revision < reference_compacted(reference)) {
        return 0;
    }
    if (request->range.revision == 0) {
        request->range.revision = revision;
    }
    return request->range.revision <= revision;
}

static void check_answer(struct sim *sim, const struct keys_client *client,
                         const struct message *msg)
{
    const struct msg_answer *answer = &msg->answer;
    struct kv_request request;
    struct slice rest = client->body;
    struct reference_answer expected;
    if (answer->status == RESULT_COMPACTED || kv_next_request(&rest, &request) != 1 ||
        !go_back(sim, &request, answer->revision)) {
        return; /* its revision was compacted, there or here since */
    }
    arena_reset(&sim->keys->arena);
    reference_request(reference_of(sim), &request, &sim->keys->arena, &expected);
    struct slice body = SLICE_EMPTY;
    if (expected.error == REFERENCE_OK) {
        body = model_keys_encode(&expected.response, &sim->keys->arena);
    } else if (expected.error == REFERENCE_COMPACTED) {
        return;
    }
    if (answer->status != reference_status(expected.error) || !slice_equal(answer->body, body)) {
        sim_violate(
            sim, "query",
            "a query at revision %llu is answered with status %u and %zu bytes, in place of "
            "%u and %zu",
            (unsigned long long)answer->revision, answer->status, answer->body.size,
            reference_status(expected.error), body.size);
    }
}

void keys_on_answer(struct sim *sim, struct keys_client *client, const struct message *msg)
{
    const struct msg_answer *answer = &msg->answer;
    if (client->query == 0 || answer->request != client->query) {
        return;
    }
    client->query = 0;
    if (answer->status == RESULT_NO_QUORUM || answer->status == RESULT_BUSY) {
        return;
    }
    sim->outcome->queries++;
    if (answer->status == RESULT_MALFORMED) {
        sim_violate(sim, "query", "a query is called malformed");
    }
    if (answer->status == RESULT_OK && !client->is_local &&
        answer->revision < client->query_floor) {
        sim_violate(sim, "real-time",
                    "a query is answered at revision %llu, but %llu was known before it was asked",
                    (unsigned long long)answer->revision, (unsigned long long)client->query_floor);
    }
    check_answer(sim, client, msg);
    if (answer->status == RESULT_OK && !client->is_local) {
        note_floor(sim, answer->revision);
    }
}

/* ---- watches */

/* What to watch next, from where on. */
static void draw_watch(struct sim *sim, struct keys_client *client)
{
    struct keys *keys = sim->keys;
    struct operation operation;
    struct msg_watch *position = &client->position;
    slice_drop(&position->key);
    slice_drop(&position->end);
    for (int i = 0; i < ATTEMPTS_MAX; i++) {
        arena_reset(&keys->arena);
        generate(&keys->generator, reference_of(sim), &keys->arena, &operation);
        if (operation.kind == OPERATION_WATCH && operation.key.size > 0) {
            *position = (struct msg_watch){.revision = operation.revision,
                                           .flags = operation.flags,
                                           .key = slice_keep(operation.key),
                                           .end = slice_keep(operation.end)};
            break;
        }
    }
    uint64_t revision = reference_revision(reference_of(sim));
    if (position->revision == 0 || chance(&sim->work, 500)) {
        position->revision = revision + 1;
    }
    client->pages_left = (uint32_t)between(&sim->work, 1, WATCH_PAGES_MAX);
}

int keys_watch(struct sim *sim, struct keys_client *client, uint64_t request, struct message *msg)
{
    if (client->watch != 0) {
        return 0;
    }
    if (client->pages_left == 0) {
        draw_watch(sim, client);
    }
    if (client->position.key.size == 0) {
        return 0;
    }
    client->pages_left--;
    client->watch = request;
    uint32_t wait_ms = (uint32_t)between(&sim->work, 0, 800);
    client->watch_until = sim->now + wait_ms * MS + PATIENCE_US;
    *msg = (struct message){.kind = MSG_WATCH};
    msg->watch = client->position;
    msg->watch.request = request;
    msg->watch.wait_ms = wait_ms;
    msg->watch.bytes_max = chance(&sim->work, 300) ? (uint32_t)between(&sim->work, 0, 300) : 65536;
    return 1;
}

/* 1 if (revision, sub) comes before the position at which the next page begins. */
static int is_before(uint64_t revision, uint32_t sub, const struct msg_events *page)
{
    return revision < page->next_revision ||
           (revision == page->next_revision && sub < page->next_sub);
}

static void check_events(struct sim *sim, const struct msg_watch *asked,
                         const struct msg_events *page)
{
    struct keys *keys = sim->keys;
    struct kv_event *events;
    size_t count;
    if (asked->revision <= reference_compacted(reference_of(sim))) {
        return; /* compacted since, or what was there before is */
    }
    arena_reset(&keys->arena);
    if (reference_events(reference_of(sim), asked->revision, asked->key, asked->end, asked->flags,
                         &keys->arena, &events, &count) != REFERENCE_OK) {
        sim_violate(sim, "watch", "a watch from revision %llu is answered, and cannot be",
                    (unsigned long long)asked->revision);
        return;
    }
    struct buffer expected = {0};
    for (size_t i = 0; i < count; i++) {
        const struct kv_event *event = &events[i];
        int is_told = event->kv.mod == asked->revision && event->sub < asked->sub;
        if (!is_told && is_before(event->kv.mod, event->sub, page)) {
            kv_put_event(&expected, event);
        }
    }
    if (!slice_equal(buffer_slice(&expected), page->events)) {
        sim_violate(sim, "watch",
                    "a watch from revision %llu.%u to %llu.%u is told %zu bytes in place of %zu",
                    (unsigned long long)asked->revision, asked->sub,
                    (unsigned long long)page->next_revision, page->next_sub, page->events.size,
                    expected.size);
    }
    buffer_close(&expected);
}

void keys_on_events(struct sim *sim, struct keys_client *client, const struct message *msg)
{
    const struct msg_events *page = &msg->events;
    struct msg_watch *position = &client->position;
    if (client->watch == 0 || page->request != client->watch) {
        return;
    }
    client->watch = 0;
    if (page->status == RESULT_COMPACTED) {
        if (position->revision >= reference_compacted(reference_of(sim))) {
            sim_violate(sim, "watch", "a watch from revision %llu is called compacted",
                        (unsigned long long)position->revision);
        }
        client->pages_left = 0;
        return;
    }
    if (page->status != RESULT_OK) {
        return;
    }
    sim->outcome->watch_pages++;
    if (page->next_revision < position->revision ||
        page->next_revision > reference_revision(reference_of(sim)) + 1) {
        if (page->next_revision != position->revision) { /* of the future, it waits */
            sim_violate(sim, "watch", "a watch from revision %llu goes on at %llu",
                        (unsigned long long)position->revision,
                        (unsigned long long)page->next_revision);
        }
    }
    check_events(sim, position, page);
    position->revision = page->next_revision;
    position->sub = page->next_sub;
}

/* ---- life */

void keys_give_up(struct sim *sim, struct keys_client *client)
{
    if (client->query != 0 && sim->now >= client->query_until) {
        client->query = 0;
    }
    if (client->watch != 0 && sim->now >= client->watch_until) {
        client->watch = 0;
    }
}

void keys_client_close(struct keys_client *client)
{
    slice_drop(&client->body);
    slice_drop(&client->position.key);
    slice_drop(&client->position.end);
    *client = (struct keys_client){0};
}
