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
#include "tests/sim/registers.h"

#include <stdlib.h>

#define PATIENCE_US SECOND
#define WATCH_PAGES_MAX 40
#define ATTEMPTS_MAX 500
#define COMPACTIONS_KEPT 16

struct keys {
    struct generator generator;
    struct arena arena; /* of one operation */
    uint64_t floor;     /* highest revision that anybody was told of */
    uint64_t
        compacted[COMPACTIONS_KEPT]; /* the last ones, a ring: the sweep stops at some of them */
    size_t compaction_count;
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
    return kv_request_parse(bytes, &request, NULL) == 0 && !registers_are_endangered(bytes);
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

static uint64_t *compaction(struct keys *keys, size_t number)
{
    return &keys->compacted[number % COMPACTIONS_KEPT];
}

static void note_compaction(struct sim *sim)
{
    struct keys *keys = sim->keys;
    uint64_t compacted = reference_compacted(reference_of(sim));
    if (compacted != 0 && (keys->compaction_count == 0 ||
                           compacted != *compaction(keys, keys->compaction_count - 1))) {
        *compaction(keys, keys->compaction_count++) = compacted;
    }
}

/* Where something was compacted, most often the last one; or just below it, which is gone. */
static uint64_t draw_compaction(struct sim *sim)
{
    struct keys *keys = sim->keys;
    size_t count = keys->compaction_count;
    size_t kept = count < COMPACTIONS_KEPT ? count : COMPACTIONS_KEPT;
    size_t back = chance(&sim->work, 500) ? 0 : (size_t)rng_below(&sim->work, kept);
    uint64_t revision = *compaction(keys, count - 1 - back);
    return revision > 1 && chance(&sim->work, 300) ? revision - 1 : revision;
}

/* Any revision there was, often a late one, or one of a compaction: swept or not, too. */
static uint64_t draw_revision(struct sim *sim)
{
    note_compaction(sim);
    if (sim->keys->compaction_count > 0 && chance(&sim->work, 500)) {
        return draw_compaction(sim);
    }
    uint64_t now = reference_revision(reference_of(sim));
    uint64_t span = chance(&sim->work, 500) && now > 50 ? 50 : now;
    return now - rng_below(&sim->work, span);
}

/* A range as of some revision. */
static struct slice go_on(struct sim *sim, struct slice range)
{
    struct buffer bytes = {0};
    struct kv_request request;
    CHECK(kv_request_parse(range, &request, NULL) == 0);
    request.range.revision = draw_revision(sim);
    kv_put_request(&bytes, &request);
    struct slice kept = slice_keep(buffer_slice(&bytes));
    buffer_close(&bytes);
    return kept;
}

/* 1 if the request can be put as it is: one that a page may cut short without its count is not. */
static int is_answered_whole(const struct sim *sim, const struct kv_request *request)
{
    return sim->plan.range_bytes == 0 || request->op != KV_RANGE ||
           (request->range.flags & KV_NO_COUNT) == 0;
}

/* A request that changes nothing; a range may say that it goes on. */
static struct slice draw_question(struct sim *sim, int *is_continued)
{
    struct keys *keys = sim->keys;
    struct operation operation;
    struct kv_request request;
    for (int i = 0; i < ATTEMPTS_MAX; i++) {
        arena_reset(&keys->arena);
        generate(&keys->generator, reference_of(sim), &keys->arena, &operation);
        if (operation.kind == OPERATION_REQUEST &&
            kv_request_parse(operation.request, &request, NULL) == 0 &&
            kv_request_is_read_only(&request) && is_answered_whole(sim, &request)) {
            *is_continued = request.op == KV_RANGE && chance(&sim->work, 400);
            return *is_continued ? go_on(sim, operation.request) : slice_keep(operation.request);
        }
    }
    return SLICE_EMPTY;
}

/* 1 if it may be asked for in pages: what is counted does not depend on where a page ends. */
static int may_be_range(struct slice body)
{
    struct kv_request request;
    return kv_request_parse(body, &request, NULL) == 0 && request.op == KV_RANGE &&
           (request.range.flags & (KV_NO_COUNT | KV_COUNT_ONLY)) == 0;
}

static uint64_t begin_range(struct client *core, struct keys_client *client)
{
    struct kv_request request;
    CHECK(kv_request_parse(client->body, &request, NULL) == 0);
    client->kvs.size = 0;
    client->page = (struct range_page){0};
    const struct client_range range = {
        .range = request.range,
        .consistency = client->is_local ? READ_LOCAL : READ_LINEARIZABLE,
        .is_continued = client->is_continued,
        .deadline = TIME_NEVER,
        .timeout_ms = UINT32_MAX,
    };
    return client_range(core, &range);
}

static uint64_t begin_query(struct client *core, struct keys_client *client)
{
    const struct client_query query = {
        .op = client->is_continued ? QUERY_KV_CONTINUED : QUERY_KV,
        .body = client->body,
        .consistency = client->is_local ? READ_LOCAL : READ_LINEARIZABLE,
        .is_revision_known = client->is_continued, /* such a revision exists */
        .deadline = TIME_NEVER,
    };
    return client_query(core, &query);
}

int keys_ask(struct sim *sim, struct client *core, struct keys_client *client)
{
    if (client->query != 0) {
        return 0;
    }
    slice_drop(&client->body);
    client->body = draw_question(sim, &client->is_continued);
    if (client->body.size == 0) {
        return 0;
    }
    client->query_until = sim->now + PATIENCE_US;
    client->query_floor = sim->keys->floor;
    client->is_local = chance(&sim->work, 100);
    client->is_range =
        may_be_range(client->body) && chance(&sim->work, sim->plan.range_bytes > 0 ? 1000 : 500);
    client->is_local |= client->is_range && client->is_continued; /* any learner goes on */
    client->query = client->is_range ? begin_range(core, client) : begin_query(core, client);
    return 1;
}

/* What came of a question. */
struct keys_answer {
    int code;
    uint64_t revision;
    struct slice body;
};

/* Makes the request ask for the state that was answered from, if the model can still tell. */
static int go_back(struct sim *sim, struct kv_request *request, uint64_t revision)
{
    if (revision == reference_revision(reference_of(sim))) {
        return 1; /* it is the present one */
    }
    if (request->op != KV_RANGE) {
        return 0;
    }
    if (request->range.revision == 0) {
        request->range.revision = revision;
    }
    return request->range.revision <= revision;
}

/* It must ask for something that was compacted, at least here. */
static void check_refusal(struct sim *sim, const struct kv_request *request)
{
    uint64_t revision = request->range.revision;
    if (request->op == KV_RANGE &&
        (revision == 0 || revision >= reference_compacted(reference_of(sim)))) {
        sim_violate(sim, "query", "a range at revision %llu is called compacted",
                    (unsigned long long)revision);
    }
}

/* Whatever was compacted since: an answer is whole, or there is none. */
static void check_answer(struct sim *sim, const struct keys_client *client,
                         const struct keys_answer *answer)
{
    struct kv_request request;
    struct slice rest = client->body;
    struct reference_answer expected;
    CHECK(kv_next_request(&rest, &request) == 1);
    if (answer->code == ERROR_FUTURE && client->is_continued) {
        sim_violate(sim, "query", "a range at revision %llu, which exists, is called a future one",
                    (unsigned long long)request.range.revision);
        return;
    }
    if (answer->code == ERROR_COMPACTED) {
        check_refusal(sim, &request);
        return;
    }
    if (!go_back(sim, &request, answer->revision)) {
        return;
    }
    arena_reset(&sim->keys->arena);
    reference_remember(reference_of(sim), 1);
    reference_request(reference_of(sim), &request, &sim->keys->arena, &expected);
    reference_remember(reference_of(sim), 0);
    struct slice body = SLICE_EMPTY;
    if (expected.error == REFERENCE_OK) {
        body = model_keys_encode(&expected.response, &sim->keys->arena);
    }
    int code = client_status_code(reference_status(expected.error));
    if (answer->code == ERROR_TOO_LARGE || code == ERROR_TOO_LARGE) {
        return; /* pages have no such bound, or another one */
    }
    if (answer->code != code || !slice_equal(answer->body, body)) {
        sim_violate(sim, "query",
                    "a query at revision %llu is answered with code %d and %zu bytes, in place of "
                    "%d and %zu",
                    (unsigned long long)answer->revision, answer->code, answer->body.size, code,
                    body.size);
    }
}

static void on_page(struct keys_client *client, const struct range_page *page)
{
    if (client->page.revision == 0) {
        client->page.revision = page->revision;
        client->page.count = page->count;
    }
    client->page.kv_count += page->kv_count;
    client->page.more = page->more;
    buffer_put(&client->kvs, page->kvs);
}

/* The response that all pages together are. */
static void put_response(const struct keys_client *client, struct buffer *out)
{
    size_t mark = kv_begin_response(out, KV_RANGE);
    buffer_put_u64(out, client->page.count);
    buffer_put_u8(out, client->page.more ? 1 : 0);
    buffer_put_u32(out, client->page.kv_count);
    buffer_put(out, buffer_slice(&client->kvs));
    kv_end_response(out, mark);
}

static void on_answer(struct sim *sim, struct keys_client *client, struct keys_answer *answer)
{
    struct buffer response = {0};
    if (client->is_range && answer->code == 0) {
        put_response(client, &response);
        answer->body = buffer_slice(&response);
        answer->revision = client->page.revision;
    }
    sim->outcome->queries++;
    client->is_answered = 1;
    if (answer->code == ERROR_CORRUPT) {
        sim_violate(sim, "query", "a query is called malformed");
    }
    if (answer->code == 0 && !client->is_local && answer->revision < client->query_floor) {
        sim_violate(sim, "real-time",
                    "a query is answered at revision %llu, but %llu was known before it was asked",
                    (unsigned long long)answer->revision, (unsigned long long)client->query_floor);
    }
    check_answer(sim, client, answer);
    if (answer->code == 0 && !client->is_local) {
        note_floor(sim, answer->revision);
    }
    buffer_close(&response);
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
    } else if (chance(&sim->work, 400)) {
        position->revision = draw_revision(sim);
        position->flags |= chance(&sim->work, 700) ? WATCH_CONTINUED : 0;
        position->flags |= chance(&sim->work, 500) ? WATCH_PREVIOUS : 0;
    }
    client->pages_left = (uint32_t)between(&sim->work, 1, WATCH_PAGES_MAX);
}

int keys_watch(struct sim *sim, struct client *core, struct keys_client *client)
{
    if (client->watch != 0) {
        return 0;
    }
    if (client->pages_left == 0 || client->position.key.size == 0) {
        draw_watch(sim, client);
    }
    if (client->position.key.size == 0) {
        return 0;
    }
    const struct client_watch watch = {.key = client->position.key,
                                       .end = client->position.end,
                                       .revision = client->position.revision,
                                       .flags = client->position.flags};
    client->position.sub = 0;
    client->watch = client_watch(core, &watch);
    return 1;
}

/* 1 if (revision, sub) comes before the position at which the next page begins. */
static int is_before(uint64_t revision, uint32_t sub, const struct events_page_told *page)
{
    return revision < page->next_revision ||
           (revision == page->next_revision && sub < page->next_sub);
}

/* What was there before the first revision of a page need not be told if that was compacted. */
static int may_lack_previous(struct sim *sim, const struct kv_event *event, uint64_t first)
{
    return event->kv.mod == first && first <= reference_compacted(reference_of(sim));
}

/* Leaves of the events those that the page has to hold, as it has to hold them. */
static void put_expected(struct sim *sim, const struct msg_watch *asked,
                         const struct events_page_told *page, const struct kv_event *events,
                         size_t count, struct buffer *expected)
{
    struct slice rest = page->events;
    uint64_t first = 0;
    for (size_t i = 0; i < count; i++) {
        struct kv_event event = events[i];
        int is_told = event.kv.mod == asked->revision && event.sub < asked->sub;
        if (is_told || !is_before(event.kv.mod, event.sub, page)) {
            continue;
        }
        first = first == 0 ? event.kv.mod : first;
        struct kv_event found = {0};
        if (kv_next_event(&rest, &found) == 1 && !found.has_previous &&
            may_lack_previous(sim, &event, first)) {
            event.has_previous = 0;
        }
        kv_put_event(expected, &event);
    }
}

/* Whatever was compacted since: all that happened up to where the next page begins is told. */
static void check_events(struct sim *sim, const struct msg_watch *asked,
                         const struct events_page_told *page)
{
    struct keys *keys = sim->keys;
    struct kv_event *events;
    size_t count;
    arena_reset(&keys->arena);
    reference_remember(reference_of(sim), 1);
    enum reference_error error =
        reference_events(reference_of(sim), asked->revision, asked->key, asked->end, asked->flags,
                         &keys->arena, &events, &count);
    reference_remember(reference_of(sim), 0);
    CHECK(error == REFERENCE_OK);
    struct buffer expected = {0};
    put_expected(sim, asked, page, events, count, &expected);
    if (!slice_equal(buffer_slice(&expected), page->events)) {
        sim_violate(sim, "watch",
                    "a watch from revision %llu.%u to %llu.%u is told %zu bytes in place of %zu",
                    (unsigned long long)asked->revision, asked->sub,
                    (unsigned long long)page->next_revision, page->next_sub, page->events.size,
                    expected.size);
    }
    buffer_close(&expected);
}

/* A revision is told in one piece: a page that ends within one has nothing else. */
static void check_whole(struct sim *sim, const struct events_page_told *page)
{
    struct slice rest = page->events;
    struct kv_event event;
    uint64_t first = 0;
    while (kv_next_event(&rest, &event) == 1) {
        first = first == 0 ? event.kv.mod : first;
        if (event.kv.mod == page->next_revision && event.kv.mod != first) {
            sim_violate(sim, "watch", "a page from revision %llu on ends within %llu",
                        (unsigned long long)first, (unsigned long long)event.kv.mod);
            return;
        }
    }
}

/* One of an empty range would wait for ever. */
static void check_malformed(struct sim *sim, const struct msg_watch *asked)
{
    if (!kv_range_is_empty(asked->key, asked->end)) {
        sim_violate(sim, "watch", "a watch is called malformed");
    }
}

static void on_events(struct sim *sim, struct client *core, struct keys_client *client,
                      const struct events_page_told *page)
{
    struct msg_watch *position = &client->position;
    client->is_told = 1;
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
    check_whole(sim, page);
    position->revision = page->next_revision;
    position->sub = page->next_sub;
    position->flags |= WATCH_CONTINUED;
    if (client->pages_left > 0 && --client->pages_left == 0 && !sim->is_healed) {
        client_cancel(core, client->watch);
        client->watch = 0;
    }
}

static void on_watch_end(struct sim *sim, struct keys_client *client,
                         const struct completion *completion)
{
    struct msg_watch *position = &client->position;
    client->watch = 0;
    client->is_told = 1;
    client->pages_left = 0;
    if (completion->code == ERROR_USAGE) {
        check_malformed(sim, position);
    } else if (completion->code != ERROR_COMPACTED) {
        sim_violate(sim, "watch", "a watch ends with code %d", completion->code);
    } else if (position->revision >= reference_compacted(reference_of(sim))) {
        sim_violate(sim, "watch", "a watch from revision %llu is called compacted",
                    (unsigned long long)position->revision);
    }
}

/* ---- both */

int keys_on_completion(struct sim *sim, struct client *core, struct keys_client *client,
                       const struct completion *completion)
{
    if (client->watch != 0 && completion->id == client->watch) {
        if (completion->kind == COMPLETION_EVENTS) {
            on_events(sim, core, client, completion->detail);
        } else {
            on_watch_end(sim, client, completion);
        }
        return 1;
    }
    if (client->query == 0 || completion->id != client->query) {
        return 0;
    }
    if (completion->kind == COMPLETION_RANGE) {
        on_page(client, completion->detail);
        return 1;
    }
    struct keys_answer answer = {completion->code, completion->value, completion->body};
    client->query = 0;
    on_answer(sim, client, &answer);
    return 1;
}

/* ---- life */

void keys_begin_last(struct client *core, struct keys_client *client)
{
    client_cancel(core, client->query);
    client_cancel(core, client->watch);
    client->query = client->watch = 0;
    client->is_answered = client->is_told = 0;
}

void keys_give_up(struct sim *sim, struct client *core, struct keys_client *client)
{
    if (client->query != 0 && sim->now >= client->query_until && !sim->is_healed) {
        client_cancel(core, client->query);
        client->query = 0;
    }
}

void keys_client_close(struct keys_client *client)
{
    slice_drop(&client->body);
    slice_drop(&client->position.key);
    slice_drop(&client->position.end);
    buffer_close(&client->kvs);
    *client = (struct keys_client){0};
}
