/* Queries, watches, and what a machine says of itself. */
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "tests/model/describe.h"
#include "tests/model/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check_answer(struct run *run, const struct operation *operation,
                         const struct reference_answer *wanted, const struct query_answer *answer)
{
    struct reference_result result = {.status = reference_status(wanted->error),
                                      .value = wanted->revision,
                                      .is_value_fixed = 1,
                                      .kv = *wanted};
    struct errmsg why;
    if (!reference_result_matches(&result, answer->status, answer->revision, answer->body, &why)) {
        errmsg_wrap(&why, "query");
        run_fail(run, operation, &why);
    }
}

static void check_request(struct run *run, struct node *node, const struct operation *operation)
{
    struct kv_request request;
    struct slice rest = operation->request;
    CHECK(kv_next_request(&rest, &request) == 1);
    struct reference_answer wanted;
    reference_request(run->reference, &request, &run->arena, &wanted);
    struct query_answer answer;
    machine_query(node->machine, QUERY_KV, operation->request, 0, &answer, &node->fx);
    check_answer(run, operation, &wanted, &answer);
}

/* The same at any revision there was, as a question that goes on: it is answered, and all of it, if
 * the revision was not swept. */
static void check_continued_request(struct run *run, struct node *node,
                                    const struct operation *operation)
{
    struct kv_request request;
    struct slice rest = operation->request;
    CHECK(kv_next_request(&rest, &request) == 1);
    if (request.op != KV_RANGE) {
        return;
    }
    request.range.revision = 1 + run_pick(run, reference_revision(run->reference));
    struct buffer body = {0};
    kv_put_request(&body, &request);
    struct query_answer answer;
    machine_query(node->machine, QUERY_KV_CONTINUED, buffer_slice(&body), 0, &answer, &node->fx);
    struct reference_answer wanted;
    int is_swept = request.range.revision < machine_swept(node->machine);
    reference_remember(run->reference, !is_swept);
    reference_request(run->reference, &request, &run->arena, &wanted);
    reference_remember(run->reference, 0);
    check_answer(run, operation, &wanted, &answer);
    buffer_close(&body);
}

static void check_lease(struct run *run, struct node *node, const struct operation *operation)
{
    uint8_t body[9];
    bytes_put_u64(body, operation->id);
    body[8] = 1;
    struct query_answer answer;
    uint64_t idle_ms = run_pick(run, 2) == 0 ? run_pick(run, 6000) : 0;
    machine_query(node->machine, QUERY_LEASE, slice_borrow(body, 9), idle_ms, &answer, &node->fx);
    const struct reference_lease *lease = reference_lease(run->reference, operation->id);
    run_must_equal(run, "status of a lease", lease != NULL ? RESULT_OK : RESULT_LEASE_NOT_FOUND,
                   answer.status);
    if (lease == NULL) {
        return;
    }
    struct slice *keys;
    size_t count;
    reference_lease_keys(run->reference, operation->id, &run->arena, &keys, &count);
    struct reader reader = {answer.body, 0};
    run_must_equal(run, "ttl", lease->ttl_ms, reader_u64(&reader));
    uint64_t left_ms = lease->due_ms - reference_now_ms(run->reference);
    run_must_equal(run, "time left", left_ms > idle_ms ? left_ms - idle_ms : 0,
                   reader_u64(&reader));
    run_must_equal(run, "keys of a lease", count, reader_u32(&reader));
    struct errmsg why;
    if (reader.is_short || !reference_keys_match(keys, count, reader.rest, &why)) {
        run_fail(run, operation, &why);
    }
}

/* A page begins with the very lease that it was asked to begin with. */
static void check_lease_page(struct run *run, struct node *node, uint64_t first)
{
    uint8_t body[8];
    struct query_answer answer;
    bytes_put_u64(body, first);
    machine_query(node->machine, QUERY_LEASES, slice_borrow(body, 8), 0, &answer, &node->fx);
    struct reader reader = {answer.body, 0};
    run_must_equal(run, "first lease of a page", first, reader_u64(&reader));
}

/* All leases, page by page. */
static void check_leases(struct run *run, struct node *node)
{
    size_t count;
    const struct reference_lease *leases = reference_leases(run->reference, &count);
    uint64_t first = 0;
    size_t seen = 0;
    for (;;) {
        uint8_t body[8];
        bytes_put_u64(body, first);
        struct query_answer answer;
        machine_query(node->machine, QUERY_LEASES, slice_borrow(body, 8), 0, &answer, &node->fx);
        run_must_equal(run, "status of leases", RESULT_OK, answer.status);
        if (answer.body.size == 0) {
            break;
        }
        struct reader reader = {answer.body, 0};
        while (reader.rest.size > 0 && seen < count) {
            run_must_equal(run, "lease id", leases[seen].id, reader_u64(&reader));
            run_must_equal(run, "lease ttl", leases[seen].ttl_ms, reader_u64(&reader));
            run_must_equal(run, "lease time left",
                           leases[seen].due_ms - reference_now_ms(run->reference),
                           reader_u64(&reader));
            first = leases[seen].id + 1;
            seen++;
        }
        run_must_equal(run, "bytes after the last lease", 0, reader.rest.size);
    }
    run_must_equal(run, "number of leases", count, seen);
    if (count > 0) {
        check_lease_page(run, node, leases[count / 2].id);
    }
}

static void print_event(const char *what, const struct kv_event *event)
{
    json_t *object = describe_events(event, 1);
    char *text = json_dumps(object, JSON_COMPACT);
    print_message("# %s at %llu.%u: %s\n", what, (unsigned long long)event->kv.mod, event->sub,
                  text);
    free(text);
    json_decref(object);
}

/* What a watch has to be told. */
struct expected {
    enum reference_error error;
    struct kv_event *events;
    size_t count, seen;
};

static void check_page(struct run *run, const struct operation *operation,
                       const struct events_page *page, struct expected *expected)
{
    struct errmsg why;
    struct slice rest = page->events;
    struct kv_event event;
    uint32_t in_page = 0;
    for (; kv_next_event(&rest, &event) == 1; in_page++) {
        if (expected->seen == expected->count) {
            errmsg_set(&why, ERROR_INTERNAL, "watch: more than %zu events", expected->count);
            run_fail(run, operation, &why);
        }
        const struct kv_event *wanted = &expected->events[expected->seen++];
        if (!reference_event_matches(wanted, &event, &why)) {
            print_event("expected", wanted);
            print_event("found", &event);
            errmsg_wrap(&why, "event %zu", expected->seen);
            run_fail(run, operation, &why);
        }
    }
    run_must_equal(run, "events of a page", page->count, in_page);
}

/* Reads a watch page by page to its end, perhaps with a restart in between: to go on somewhere else
 * is to ask from where the page ended. */
static void check_pages(struct run *run, struct node *node, const struct operation *operation,
                        struct msg_watch watch, struct expected *expected)
{
    while (watch.revision <= reference_revision(run->reference)) {
        struct events_page page;
        machine_events(node->machine, &watch, &page, &node->fx);
        if (page.status != reference_status(expected->error)) {
            struct errmsg why;
            errmsg_set(&why, ERROR_INTERNAL, "watch from %llu: status %u expected, %u found",
                       (unsigned long long)watch.revision, reference_status(expected->error),
                       page.status);
            run_fail(run, operation, &why);
        }
        if (expected->error != REFERENCE_OK) {
            return;
        }
        check_page(run, operation, &page, expected);
        int is_further = page.next_revision > watch.revision ||
                         (page.next_revision == watch.revision && page.next_sub > watch.sub);
        run_must_equal(run, "whether a page goes on", 1, (uint64_t)is_further);
        watch.revision = page.next_revision;
        watch.sub = page.next_sub;
        if (run_pick(run, 50) == 0) {
            effects_clear(&node->fx);
            node_restart(node);
        }
    }
    run_must_equal(run, "events of a watch", expected->count, expected->seen);
}

static struct msg_watch watch_of(struct run *run, const struct operation *operation)
{
    return (struct msg_watch){.revision = operation->revision,
                              .flags = operation->flags,
                              .bytes_max = (uint32_t)(1 + run_pick(run, 300)),
                              .key = operation->key,
                              .end = operation->end};
}

static struct expected expect(struct run *run, const struct msg_watch *watch)
{
    struct expected expected = {0};
    expected.error = reference_events(run->reference, watch->revision, watch->key, watch->end,
                                      watch->flags, &run->arena, &expected.events, &expected.count);
    return expected;
}

static void check_watch(struct run *run, struct node *node, const struct operation *operation)
{
    struct msg_watch watch = watch_of(run, operation);
    struct expected expected = expect(run, &watch);
    check_pages(run, node, operation, watch, &expected);
}

/* The same from any revision there was, as a watch that goes on: it is told everything if that
 * was not swept. */
static void check_continued_watch(struct run *run, struct node *node,
                                  const struct operation *operation)
{
    struct msg_watch watch = watch_of(run, operation);
    watch.revision = 1 + run_pick(run, reference_revision(run->reference));
    watch.flags |= WATCH_CONTINUED;
    uint64_t swept = machine_swept(node->machine);
    uint64_t compacted = machine_compacted(node->machine);
    int is_kept =
        watch.revision > swept || (watch.revision == swept && (watch.flags & WATCH_PREVIOUS) == 0);
    reference_remember(run->reference, is_kept || watch.revision >= compacted);
    struct expected expected = expect(run, &watch);
    reference_remember(run->reference, 0);
    for (size_t i = 0; i < expected.count; i++) { /* at the very revision that was compacted */
        expected.events[i].has_previous &= expected.events[i].kv.mod > swept;
    }
    check_pages(run, node, operation, watch, &expected);
}

void run_check_reads(struct run *run, struct node *node)
{
    for (size_t i = 0; i < run->read_count; i++) {
        const struct operation *operation = &run->reads[i];
        switch (operation->kind) {
        case OPERATION_WATCH:
            check_watch(run, node, operation);
            check_continued_watch(run, node, operation);
            break;
        case OPERATION_LEASE:
            check_lease(run, node, operation);
            break;
        case OPERATION_LEASES:
            check_leases(run, node);
            break;
        default:
            check_request(run, node, operation);
            check_continued_request(run, node, operation);
            break;
        }
        run_must_equal(run, "code of a read", 0, (uint64_t)-node->fx.fatal);
        effects_clear(&node->fx);
    }
}

void run_check_oracle(struct run *run, struct node *node)
{
    const struct reference_oracle *wanted = reference_oracle(run->reference);
    const struct machine_oracle *found = machine_oracle(node->machine);
    run_must_equal(run, "version of the settings", wanted->version, found->version);
    run_must_equal(run, "settings", 1, (uint64_t)slice_equal(wanted->settings, found->settings));
    run_must_equal(run, "length of the line", wanted->line_count, found->line_count);
    uint64_t idle_ms = run_pick(run, 12000);
    uint64_t now_ms = reference_now_ms(run->reference) + idle_ms;
    struct query_answer answer;
    machine_query(node->machine, QUERY_SETTINGS, SLICE_EMPTY, idle_ms, &answer, &node->fx);
    struct reader reader = {answer.body, 0};
    run_must_equal(run, "version that is told", wanted->version, reader_u64(&reader));
    struct slice settings = reader_bytes(&reader, reader_u32(&reader));
    run_must_equal(run, "settings that are told", 1,
                   (uint64_t)slice_equal(wanted->settings, settings));
    for (size_t i = 0; i < wanted->line_count; i++) {
        const struct place *place = &wanted->line[i];
        uint64_t left_ms = place->expires_ms > now_ms ? place->expires_ms - now_ms : 0;
        run_must_equal(run, "expiry", place->expires_ms, found->line[i].expires_ms);
        run_must_equal(run, "proposer", place->proposer, reader_u32(&reader));
        run_must_equal(run, "incarnation", place->incarnation, reader_u64(&reader));
        run_must_equal(run, "slot of registration", place->since, reader_u64(&reader));
        run_must_equal(run, "time left in the line", left_ms, reader_u64(&reader));
    }
    run_must_equal(run, "bytes after the line", 0, reader.rest.size);
    effects_clear(&node->fx);
}

void run_check_numbers(const struct run *run, const struct node *node)
{
    const struct reference *r = run->reference;
    size_t count;
    const struct reference_lease *leases = reference_leases(r, &count);
    uint64_t due_ms = 0;
    for (size_t i = 0; i < count; i++) {
        if (due_ms == 0 || leases[i].due_ms < due_ms) {
            due_ms = leases[i].due_ms;
        }
    }
    run_must_equal(run, "revision", reference_revision(r), machine_revision(node->machine));
    run_must_equal(run, "compacted", reference_compacted(r), machine_compacted(node->machine));
    run_must_equal(run, "cluster time", reference_now_ms(r), machine_stamp_ms(node->machine));
    run_must_equal(run, "leases", count, machine_session_count(node->machine));
    run_must_equal(run, "what is due", due_ms, machine_due_ms(node->machine));
    run_must_equal(run, "applied slot", run->slot, machine_applied(node->machine));
}
