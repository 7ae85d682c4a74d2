#include "common/client/core/hold_requests.h"

#include "common/protocol/limits.h"

/* An empty store has revision 1, so that no key was created at a lower one than this. */
#define TOKEN_MIN 2

/* ---- requests */

void hold_put_prefix_end(struct buffer *out, struct slice prefix)
{
    size_t size = prefix.size;
    while (size > 0 && prefix.data[size - 1] == 0xff) {
        size--;
    }
    if (size == 0) { /* no byte can be raised: everything from the prefix on */
        buffer_put_u8(out, 0);
        return;
    }
    buffer_put(out, slice_borrow(prefix.data, size));
    out->data[out->size - 1]++;
}

static void put_range(struct buffer *out, const struct kv_range *range)
{
    const struct kv_request request = {.op = KV_RANGE, .range = *range};
    kv_put_request(out, &request);
}

static void put_and_read(struct buffer *out, const struct kv_put *put)
{
    const struct kv_request request = {.op = KV_PUT, .put = *put};
    const struct kv_range own = {.flags = KV_KEYS_ONLY, .key = put->key};
    kv_put_request(out, &request);
    put_range(out, &own);
}

static void put_compare(struct buffer *out, struct slice key, uint64_t token)
{
    const struct kv_compare compare = {
        .target = KV_TARGET_CREATE, .relation = KV_EQUAL, .number = token, .key = key};
    kv_put_compare(out, &compare);
}

/* A transaction while it is written. */
struct parts {
    struct buffer compares, then, otherwise;
};

static void put_txn(struct buffer *out, struct parts *parts)
{
    const struct kv_request request = {.op = KV_TXN,
                                       .txn = {.compares = buffer_slice(&parts->compares),
                                               .then_ = buffer_slice(&parts->then),
                                               .else_ = buffer_slice(&parts->otherwise)}};
    kv_put_request(out, &request);
    buffer_close(&parts->compares);
    buffer_close(&parts->then);
    buffer_close(&parts->otherwise);
}

int hold_put_enter(struct buffer *out, struct slice key, struct slice value, uint64_t session,
                   struct errmsg *err)
{
    struct parts parts = {{0}, {0}, {0}};
    struct kv_request parsed;
    if (value.size > KV_REQUEST_BYTES_MAX) { /* sizes in a request have 32 bits */
        return errmsg_set(
            err, ERROR_USAGE,
            "a key or value of %zu bytes exceeds the limits (%zu and %zu); try: to split it",
            value.size, KEY_BYTES_MAX, KV_VALUE_BYTES_MAX);
    }
    const struct kv_put first = {.lease = session, .key = key, .value = value};
    const struct kv_put again = {.flags = KV_IGNORE_LEASE, .key = key, .value = value};
    put_compare(&parts.compares, key, 0);
    put_and_read(&parts.then, &first);
    put_and_read(&parts.otherwise, &again);
    put_txn(out, &parts);
    return kv_request_parse(buffer_slice(out), &parsed, err);
}

void hold_put_delete(struct buffer *out, struct slice key, uint64_t token)
{
    struct parts parts = {{0}, {0}, {0}};
    const struct kv_request request = {.op = KV_DELETE, .delete_ = {.key = key}};
    if (token != 0) {
        put_compare(&parts.compares, key, token);
    }
    kv_put_request(&parts.then, &request);
    put_txn(out, &parts);
}

void hold_put_look(struct buffer *out, struct slice prefix, struct slice key, uint64_t token)
{
    struct parts parts = {{0}, {0}, {0}};
    struct buffer end = {0};
    hold_put_prefix_end(&end, prefix);
    const struct kv_range before = {.flags = KV_KEYS_ONLY | KV_NO_COUNT,
                                    .order = KV_ORDER_DESCEND,
                                    .target = KV_TARGET_CREATE,
                                    .limit = 1,
                                    .max_create = token - 1,
                                    .key = prefix,
                                    .end = buffer_slice(&end)};
    const struct kv_range own = {.flags = KV_KEYS_ONLY, .key = key};
    put_range(&parts.then, &before);
    put_range(&parts.then, &own);
    put_txn(out, &parts);
    buffer_close(&end);
}

/* ---- responses */

static int read_txn(struct slice bytes, struct kv_response *txn)
{
    int is_one = kv_next_response(&bytes, txn) == 1 && bytes.size == 0 && txn->op == KV_TXN;
    return is_one ? 0 : -1;
}

static int read_two(struct slice bytes, struct kv_response parts[2])
{
    struct kv_response txn;
    if (read_txn(bytes, &txn) != 0 || txn.item_count != 2 ||
        kv_next_response(&txn.items, &parts[0]) != 1 ||
        kv_next_response(&txn.items, &parts[1]) != 1) {
        return -1;
    }
    return txn.items.size == 0 ? 0 : -1;
}

/* The key of a range that can have one only: 1, 0 if there is none, or -1. */
static int read_single(const struct kv_response *range, struct kv *out)
{
    struct slice items = range->items;
    if (range->op != KV_RANGE || range->item_count > 1) {
        return -1;
    }
    if (range->item_count == 1 && kv_next(&items, out) != 1) {
        return -1;
    }
    return items.size == 0 ? (int)range->item_count : -1;
}

int hold_read_token(struct slice response, struct slice key, uint64_t *token)
{
    struct kv_response parts[2];
    struct kv own;
    int rc = read_two(response, parts);
    if (rc == 0) {
        rc = read_single(&parts[1], &own);
    }
    if (rc != 1) {
        return rc;
    }
    if (own.create < TOKEN_MIN || !slice_equal(own.key, key)) {
        return -1;
    }
    *token = own.create;
    return 1;
}

int hold_read_look(struct slice response, uint64_t token, struct slice *before)
{
    struct kv_response parts[2];
    struct kv former = {0};
    struct kv own;
    if (read_two(response, parts) != 0) {
        return -1;
    }
    int has_former = read_single(&parts[0], &former);
    int has_own = read_single(&parts[1], &own);
    if (has_former < 0 || has_own < 0 ||
        (has_former == 1 && (former.create >= token || former.key.size == 0))) {
        return -1;
    }
    *before = former.key;
    return has_own == 1 && own.create == token;
}

int hold_read_deleted(struct slice response)
{
    struct kv_response txn;
    return read_txn(response, &txn) == 0 ? txn.succeeded : -1;
}
