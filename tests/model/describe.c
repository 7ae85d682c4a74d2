#include "tests/model/describe.h"

#include "common/base/check.h"

#include <stdio.h>
#include <stdlib.h>

static void set(json_t *object, const char *name, json_t *value)
{
    CHECK(json_object_set_new(object, name, value) == 0);
}

void describe_number(json_t *object, const char *name, uint64_t number)
{
    set(object, name, json_integer((json_int_t)number));
}

void describe_bytes(json_t *object, const char *name, struct slice bytes)
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
    describe_number(object, "target", compare->target);
    describe_number(object, "relation", compare->relation);
    describe_number(object, "number", compare->number);
    describe_bytes(object, "key", compare->key);
    describe_bytes(object, "end", compare->end);
    describe_bytes(object, "value", compare->value);
    return object;
}

static json_t *json_of_requests(struct slice requests)
{
    json_t *array = json_array();
    struct kv_request request;
    while (kv_next_request(&requests, &request) == 1) {
        json_array_append_new(array, describe_request(&request));
    }
    CHECK(requests.size == 0);
    return array;
}

static void add_range(json_t *object, const struct kv_range *range)
{
    set(object, "op", json_string("range"));
    describe_number(object, "flags", range->flags);
    describe_number(object, "order", range->order);
    describe_number(object, "target", range->target);
    describe_number(object, "limit", range->limit);
    describe_number(object, "revision", range->revision);
    describe_number(object, "min_mod", range->min_mod);
    describe_number(object, "max_mod", range->max_mod);
    describe_number(object, "min_create", range->min_create);
    describe_number(object, "max_create", range->max_create);
    describe_bytes(object, "key", range->key);
    describe_bytes(object, "end", range->end);
}

json_t *describe_request(const struct kv_request *request)
{
    json_t *object = json_object();
    switch (request->op) {
    case KV_RANGE:
        add_range(object, &request->range);
        break;
    case KV_PUT:
        set(object, "op", json_string("put"));
        describe_number(object, "flags", request->put.flags);
        describe_number(object, "lease", request->put.lease);
        describe_bytes(object, "key", request->put.key);
        describe_bytes(object, "value", request->put.value);
        break;
    case KV_DELETE:
        set(object, "op", json_string("delete"));
        describe_number(object, "flags", request->delete_.flags);
        describe_bytes(object, "key", request->delete_.key);
        describe_bytes(object, "end", request->delete_.end);
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
    describe_number(object, "create", kv->create);
    describe_number(object, "mod", kv->mod);
    describe_number(object, "version", kv->version);
    describe_number(object, "lease", kv->lease);
    describe_bytes(object, "key", kv->key);
    describe_bytes(object, "value", kv->value);
    return object;
}

json_t *describe_response(const struct reference_response *response)
{
    static const char *const ops[] = {NULL, "range", "put", "delete", "txn"};
    json_t *object = json_object();
    set(object, "op", json_string(ops[response->op]));
    if (response->op == KV_TXN) {
        set(object, "succeeded", json_boolean(response->succeeded));
        json_t *responses = json_array();
        for (size_t i = 0; i < response->response_count; i++) {
            json_array_append_new(responses, describe_response(&response->responses[i]));
        }
        set(object, "responses", responses);
        return object;
    }
    if (response->op != KV_PUT) {
        describe_number(object, "count", response->count);
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

json_t *describe_events(const struct kv_event *events, size_t count)
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
    return array;
}

/* ---- operations */

json_t *describe_operation(const struct operation *operation)
{
    static const char *const kinds[] = {"request",  "compact", "grant", "revoke", "keepalive",
                                        "settings", "watch",   "lease", "leases"};
    json_t *object = json_object();
    set(object, "kind", json_string(kinds[operation->kind]));
    struct slice rest = operation->request;
    struct kv_request request;
    switch (operation->kind) {
    case OPERATION_REQUEST:
        CHECK(kv_next_request(&rest, &request) == 1 && rest.size == 0);
        set(object, "request", describe_request(&request));
        break;
    case OPERATION_COMPACT:
        describe_number(object, "revision", operation->revision);
        break;
    case OPERATION_SETTINGS:
        describe_number(object, "version", operation->version);
        describe_bytes(object, "settings", operation->settings);
        break;
    case OPERATION_WATCH:
        describe_number(object, "revision", operation->revision);
        describe_bytes(object, "key", operation->key);
        describe_bytes(object, "end", operation->end);
        describe_number(object, "flags", operation->flags);
        break;
    case OPERATION_GRANT:
        describe_number(object, "ttl_ms", operation->ttl_ms);
        describe_number(object, "is_bound", (uint64_t)operation->is_bound);
        describe_number(object, "id", operation->id);
        break;
    case OPERATION_REVOKE:
    case OPERATION_KEEPALIVE:
    case OPERATION_LEASE:
        describe_number(object, "id", operation->id);
        break;
    case OPERATION_LEASES:
        break;
    }
    return object;
}
