/* Prints a random sequence of operations, and what the reference answers to each: one JSON object a
 * line. Bytes are given in hexadecimal digits, so that nothing has to be escaped.
 *
 *     tool_model SEED COUNT */
#include "common/base/check.h"
#include "common/protocol/message.h"
#include "tests/model/generate.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static void set(json_t *object, const char *name, json_t *value)
{
    CHECK(json_object_set_new(object, name, value) == 0);
}

static void set_number(json_t *object, const char *name, uint64_t number)
{
    set(object, name, json_integer((json_int_t)number));
}

static void set_bytes(json_t *object, const char *name, struct slice bytes)
{
    char *text = calloc(2 * bytes.size + 1, 1);
    CHECK(text != NULL);
    for (size_t i = 0; i < bytes.size; i++) {
        snprintf(text + 2 * i, 3, "%02x", bytes.data[i]);
    }
    set(object, name, json_string(text));
    free(text);
}

/* ---- requests */

static json_t *json_of_compare(const struct kv_compare *compare)
{
    json_t *object = json_object();
    set_number(object, "target", compare->target);
    set_number(object, "relation", compare->relation);
    set_number(object, "number", compare->number);
    set_bytes(object, "key", compare->key);
    set_bytes(object, "end", compare->end);
    set_bytes(object, "value", compare->value);
    return object;
}

static json_t *json_of_request(const struct kv_request *request);

static json_t *json_of_requests(struct slice requests)
{
    json_t *array = json_array();
    struct kv_request request;
    while (kv_next_request(&requests, &request) == 1) {
        json_array_append_new(array, json_of_request(&request));
    }
    CHECK(requests.size == 0);
    return array;
}

static void add_range(json_t *object, const struct kv_range *range)
{
    set(object, "op", json_string("range"));
    set_number(object, "flags", range->flags);
    set_number(object, "order", range->order);
    set_number(object, "target", range->target);
    set_number(object, "limit", range->limit);
    set_number(object, "revision", range->revision);
    set_number(object, "min_mod", range->min_mod);
    set_number(object, "max_mod", range->max_mod);
    set_number(object, "min_create", range->min_create);
    set_number(object, "max_create", range->max_create);
    set_bytes(object, "key", range->key);
    set_bytes(object, "end", range->end);
}

static json_t *json_of_request(const struct kv_request *request)
{
    json_t *object = json_object();
    switch (request->op) {
    case KV_RANGE:
        add_range(object, &request->range);
        break;
    case KV_PUT:
        set(object, "op", json_string("put"));
        set_number(object, "flags", request->put.flags);
        set_number(object, "lease", request->put.lease);
        set_bytes(object, "key", request->put.key);
        set_bytes(object, "value", request->put.value);
        break;
    case KV_DELETE:
        set(object, "op", json_string("delete"));
        set_number(object, "flags", request->delete_.flags);
        set_bytes(object, "key", request->delete_.key);
        set_bytes(object, "end", request->delete_.end);
        break;
    case KV_TXN: {
        set(object, "op", json_string("txn"));
        json_t *compares = json_array();
        struct slice rest = request->txn.compares;
        struct kv_compare compare;
        while (kv_next_compare(&rest, &compare) == 1) {
            json_array_append_new(compares, json_of_compare(&compare));
        }
        set(object, "compares", compares);
        set(object, "then", json_of_requests(request->txn.then_));
        set(object, "else", json_of_requests(request->txn.else_));
        break;
    }
    }
    return object;
}

/* ---- answers */

static json_t *json_of_kv(const struct kv *kv)
{
    json_t *object = json_object();
    set_number(object, "create", kv->create);
    set_number(object, "mod", kv->mod);
    set_number(object, "version", kv->version);
    set_number(object, "lease", kv->lease);
    set_bytes(object, "key", kv->key);
    set_bytes(object, "value", kv->value);
    return object;
}

static json_t *json_of_response(const struct reference_response *response)
{
    static const char *const ops[] = {NULL, "range", "put", "delete", "txn"};
    json_t *object = json_object();
    set(object, "op", json_string(ops[response->op]));
    if (response->op == KV_TXN) {
        set(object, "succeeded", json_boolean(response->succeeded));
        json_t *responses = json_array();
        for (size_t i = 0; i < response->response_count; i++) {
            json_array_append_new(responses, json_of_response(&response->responses[i]));
        }
        set(object, "responses", responses);
        return object;
    }
    if (response->op != KV_PUT) {
        set_number(object, "count", response->count);
    }
    if (response->op == KV_RANGE) {
        set(object, "more", json_boolean(response->more));
    }
    json_t *kvs = json_array();
    for (size_t i = 0; i < response->kv_count; i++) {
        json_array_append_new(kvs, json_of_kv(&response->kvs[i]));
    }
    set(object, "kvs", kvs);
    return object;
}

static void add_answer(json_t *object, enum reference_error error, uint64_t revision)
{
    set(object, "error", json_string(reference_error_name(error)));
    set_number(object, "revision_after", revision);
}

static void add_events(json_t *object, const struct kv_event *events, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *event = json_object();
        set(event, "kind", json_string(events[i].kind == KV_EVENT_PUT ? "put" : "delete"));
        set(event, "kv", json_of_kv(&events[i].kv));
        set(event, "previous",
            events[i].has_previous ? json_of_kv(&events[i].previous) : json_null());
        json_array_append_new(array, event);
    }
    set(object, "events", array);
}

/* ---- operations */

static void run_request(json_t *object, struct reference *r, const struct operation *operation,
                        struct arena *arena)
{
    struct kv_request request;
    struct slice rest = operation->request;
    CHECK(kv_next_request(&rest, &request) == 1 && rest.size == 0);
    struct reference_answer answer;
    reference_request(r, &request, arena, &answer);
    set(object, "request", json_of_request(&request));
    add_answer(object, answer.error, answer.revision);
    if (answer.error == REFERENCE_OK) {
        set(object, "response", json_of_response(&answer.response));
    }
}

static void run_watch(json_t *object, struct reference *r, const struct operation *operation,
                      struct arena *arena)
{
    struct kv_event *events;
    size_t count;
    enum reference_error error =
        reference_events(r, operation->revision, operation->key, operation->end, operation->flags,
                         arena, &events, &count);
    set_number(object, "revision", operation->revision);
    set_bytes(object, "key", operation->key);
    set_bytes(object, "end", operation->end);
    set_number(object, "flags", operation->flags);
    set_number(object, "compacted", reference_compacted(r));
    add_answer(object, error, reference_revision(r));
    add_events(object, events, count);
}

static void run_lease(json_t *object, const struct reference *r, uint64_t id, struct arena *arena)
{
    const struct reference_lease *lease = reference_lease(r, id);
    add_answer(object, lease != NULL ? REFERENCE_OK : REFERENCE_LEASE_NOT_FOUND,
               reference_revision(r));
    struct slice *keys;
    size_t count;
    reference_lease_keys(r, id, arena, &keys, &count);
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *key = json_object();
        set_bytes(key, "key", keys[i]);
        json_array_append_new(array, key);
    }
    set(object, "keys", array);
    set_number(object, "ttl_ms", lease != NULL ? lease->ttl_ms : 0);
}

static void run_leases(json_t *object, const struct reference *r)
{
    size_t count;
    const struct reference_lease *leases = reference_leases(r, &count);
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(array, json_integer((json_int_t)leases[i].id));
    }
    set(object, "leases", array);
    add_answer(object, REFERENCE_OK, reference_revision(r));
}

static json_t *run(struct reference *r, const struct operation *operation, struct arena *arena)
{
    static const char *const kinds[] = {"request",   "compact", "grant", "revoke",
                                        "keepalive", "watch",   "lease", "leases"};
    json_t *object = json_object();
    set(object, "kind", json_string(kinds[operation->kind]));
    set_number(object, "id", operation->id);
    enum reference_error error = REFERENCE_OK;
    switch (operation->kind) {
    case OPERATION_REQUEST:
        run_request(object, r, operation, arena);
        return object;
    case OPERATION_WATCH:
        run_watch(object, r, operation, arena);
        return object;
    case OPERATION_LEASE:
        run_lease(object, r, operation->id, arena);
        return object;
    case OPERATION_LEASES:
        run_leases(object, r);
        return object;
    case OPERATION_COMPACT:
        set_number(object, "revision", operation->revision);
        error = reference_compact(r, operation->revision);
        break;
    case OPERATION_GRANT:
        set_number(object, "ttl_ms", operation->ttl_ms);
        error = reference_grant(r, operation->id, operation->ttl_ms, 0);
        break;
    case OPERATION_REVOKE:
        error = reference_revoke(r, operation->id);
        break;
    case OPERATION_KEEPALIVE:
        set_number(object, "ttl_ms", reference_keepalive(r, operation->id));
        break;
    }
    add_answer(object, error, reference_revision(r));
    return object;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: tool_model SEED COUNT\n");
        return 2;
    }
    uint64_t seed = strtoull(argv[1], NULL, 10);
    uint64_t count = strtoull(argv[2], NULL, 10);
    struct reference *r = reference_new();
    struct generator generator;
    generator_init(&generator, seed, 1);
    struct arena arena = {0};
    for (uint64_t i = 0; i < count; i++) {
        struct operation operation;
        generate(&generator, r, &arena, &operation);
        json_t *object = run(r, &operation, &arena);
        char *line = json_dumps(object, JSON_COMPACT);
        CHECK(line != NULL);
        puts(line);
        free(line);
        json_decref(object);
        arena_reset(&arena);
    }
    arena_close(&arena);
    reference_free(r);
    return 0;
}
