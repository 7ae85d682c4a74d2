/* Whether what a machine answers is what the reference answers, and if not, in which field. */
#include "common/base/bytes.h"
#include "tests/model/reference_command.h"

static int differs(struct errmsg *why, const char *field, uint64_t wanted, uint64_t found)
{
    errmsg_set(why, ERROR_INTERNAL, "%s: %llu expected, %llu found", field,
               (unsigned long long)wanted, (unsigned long long)found);
    return 0;
}

static int same_number(struct errmsg *why, const char *field, uint64_t wanted, uint64_t found)
{
    return wanted == found || differs(why, field, wanted, found);
}

static int same_bytes(struct errmsg *why, const char *field, struct slice wanted,
                      struct slice found)
{
    if (slice_equal(wanted, found)) {
        return 1;
    }
    errmsg_set(why, ERROR_INTERNAL, "%s: %zu bytes \"%.*s\" expected, %zu bytes \"%.*s\" found",
               field, wanted.size, (int)wanted.size,
               wanted.size > 0 ? (const char *)wanted.data : "", found.size, (int)found.size,
               found.size > 0 ? (const char *)found.data : "");
    return 0;
}

static int same_kv(struct errmsg *why, const struct kv *wanted, const struct kv *found)
{
    return same_bytes(why, "key", wanted->key, found->key) &&
           same_number(why, "create revision", wanted->create, found->create) &&
           same_number(why, "mod revision", wanted->mod, found->mod) &&
           same_number(why, "version", wanted->version, found->version) &&
           same_number(why, "lease", wanted->lease, found->lease) &&
           same_bytes(why, "value", wanted->value, found->value);
}

/* ---- responses */

static int same_kvs(struct errmsg *why, const struct reference_response *wanted,
                    const struct kv_response *found)
{
    struct slice rest = found->items;
    if (!same_number(why, "number of keys", wanted->kv_count, found->item_count)) {
        return 0;
    }
    for (size_t i = 0; i < wanted->kv_count; i++) {
        struct kv kv;
        if (kv_next(&rest, &kv) != 1) {
            errmsg_set(why, ERROR_INTERNAL, "key %zu of the response is cut off", i);
            return 0;
        }
        if (!same_kv(why, &wanted->kvs[i], &kv)) {
            errmsg_wrap(why, "key %zu", i);
            return 0;
        }
    }
    return same_number(why, "bytes after the last key", 0, rest.size);
}

static int take_response(const struct reference_response *wanted, struct slice *rest,
                         struct errmsg *why)
{
    struct kv_response found;
    if (kv_next_response(rest, &found) != 1) {
        errmsg_set(why, ERROR_INTERNAL, "the response is malformed");
        return 0;
    }
    if (!same_number(why, "op", wanted->op, found.op)) {
        return 0;
    }
    switch (wanted->op) {
    case KV_RANGE:
        return same_number(why, "count", wanted->count, found.count) &&
               same_number(why, "more", (uint64_t)wanted->more, (uint64_t)found.more) &&
               same_kvs(why, wanted, &found);
    case KV_PUT:
        return same_number(why, "previous", wanted->kv_count, (uint64_t)found.has_previous) &&
               same_bytes(why, "key that was put", wanted->key, found.key) &&
               same_kvs(why, wanted, &found);
    case KV_DELETE:
        return same_number(why, "deleted", wanted->count, found.count) &&
               same_kvs(why, wanted, &found);
    case KV_TXN:
        break;
    }
    if (!same_number(why, "succeeded", (uint64_t)wanted->succeeded, (uint64_t)found.succeeded) ||
        !same_number(why, "responses", wanted->response_count, found.item_count)) {
        return 0;
    }
    for (size_t i = 0; i < wanted->response_count; i++) {
        if (!take_response(&wanted->responses[i], &found.items, why)) {
            errmsg_wrap(why, "response %zu", i);
            return 0;
        }
    }
    return same_number(why, "bytes after the last response", 0, found.items.size);
}

int reference_response_matches(const struct reference_response *wanted, struct slice bytes,
                               struct errmsg *why)
{
    return take_response(wanted, &bytes, why) &&
           same_number(why, "bytes after the response", 0, bytes.size);
}

/* ---- results, events, keys */

static int same_lasts(struct errmsg *why, const struct reference_result *wanted, struct slice body)
{
    if (!same_number(why, "bytes of a keepalive", wanted->lasts_count * sizeof(uint64_t),
                     body.size)) {
        return 0;
    }
    for (size_t i = 0; i < wanted->lasts_count; i++) {
        uint64_t found = bytes_get_u64(body.data + i * sizeof(uint64_t));
        if (!same_number(why, "how long a lease lasts", wanted->lasts_ms[i], found)) {
            return 0;
        }
    }
    return 1;
}

int reference_result_matches(const struct reference_result *wanted, uint32_t status, uint64_t value,
                             struct slice body, struct errmsg *why)
{
    if (!same_number(why, "status", wanted->status, status) ||
        (wanted->is_value_fixed && !same_number(why, "value", wanted->value, value))) {
        return 0;
    }
    if (wanted->status == RESULT_OK && wanted->kv.response.op != 0) {
        return reference_response_matches(&wanted->kv.response, body, why);
    }
    if (wanted->lasts_count > 0) {
        return same_lasts(why, wanted, body);
    }
    return same_number(why, "bytes of an empty body", 0, body.size);
}

int reference_event_matches(const struct kv_event *wanted, const struct kv_event *found,
                            struct errmsg *why)
{
    if (!same_number(why, "kind", wanted->kind, found->kind) ||
        !same_number(why, "position", wanted->sub, found->sub) ||
        !same_kv(why, &wanted->kv, &found->kv) ||
        !same_number(why, "previous", (uint64_t)wanted->has_previous,
                     (uint64_t)found->has_previous)) {
        return 0;
    }
    if (wanted->has_previous && !same_kv(why, &wanted->previous, &found->previous)) {
        errmsg_wrap(why, "previous");
        return 0;
    }
    return 1;
}

int reference_keys_match(const struct slice *wanted, size_t count, struct slice bytes,
                         struct errmsg *why)
{
    struct reader reader = {bytes, 0};
    for (size_t i = 0; i < count; i++) {
        struct slice key = reader_bytes(&reader, reader_u32(&reader));
        if (reader.is_short || !same_bytes(why, "key of the lease", wanted[i], key)) {
            return 0;
        }
    }
    return same_number(why, "bytes after the last key", 0, reader.rest.size);
}
