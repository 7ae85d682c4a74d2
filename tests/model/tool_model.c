/* Prints a random sequence of operations, and what the reference answers to each: one JSON object a
 * line.
 *
 *     tool_model SEED COUNT */
#include "common/base/check.h"
#include "tests/model/describe.h"

#include <stdio.h>
#include <stdlib.h>

static void set(json_t *object, const char *name, json_t *value)
{
    CHECK(json_object_set_new(object, name, value) == 0);
}

static void add_answer(json_t *object, enum reference_error error, uint64_t revision)
{
    set(object, "error", json_string(reference_error_name(error)));
    describe_number(object, "revision_after", revision);
}

static void run_request(json_t *object, struct reference *r, const struct operation *operation,
                        struct arena *arena)
{
    struct kv_request request;
    struct slice rest = operation->request;
    CHECK(kv_next_request(&rest, &request) == 1 && rest.size == 0);
    struct reference_answer answer;
    reference_request(r, &request, arena, &answer);
    add_answer(object, answer.error, answer.revision);
    if (answer.error == REFERENCE_OK) {
        set(object, "response", describe_response(&answer.response));
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
    describe_number(object, "compacted", reference_compacted(r));
    add_answer(object, error, reference_revision(r));
    set(object, "events", describe_events(events, count));
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
        describe_bytes(key, "key", keys[i]);
        json_array_append_new(array, key);
    }
    set(object, "keys", array);
    describe_number(object, "ttl_ms", lease != NULL ? lease->ttl_ms : 0);
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
    json_t *object = describe_operation(operation);
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
        error = reference_compact(r, operation->revision);
        break;
    case OPERATION_GRANT:
        error = reference_grant(r, operation->id, operation->ttl_ms, 0);
        break;
    case OPERATION_REVOKE:
        error = reference_revoke(r, operation->id);
        break;
    case OPERATION_SETTINGS: /* etcd has none */
        break;
    case OPERATION_KEEPALIVE:
        describe_number(object, "ttl_ms", reference_keepalive(r, operation->id));
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
