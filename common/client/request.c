#include "common/client/handle.h"
#include "common/client/keys.h"

#include <string.h>

/* The numbers are the same inside and outside, so that no table has to translate them. */
_Static_assert((int)SYNOD_RANGE == (int)KV_RANGE && (int)SYNOD_TXN == (int)KV_TXN, "ops differ");
_Static_assert((int)SYNOD_PUT == (int)KV_PUT && (int)SYNOD_DELETE == (int)KV_DELETE, "ops differ");
_Static_assert((int)SYNOD_BY_VERSION == (int)KV_TARGET_VERSION &&
                   (int)SYNOD_BY_CREATE == (int)KV_TARGET_CREATE &&
                   (int)SYNOD_BY_MOD == (int)KV_TARGET_MOD &&
                   (int)SYNOD_BY_VALUE == (int)KV_TARGET_VALUE &&
                   (int)SYNOD_BY_LEASE == (int)KV_TARGET_LEASE,
               "targets differ");
_Static_assert((int)SYNOD_EQUAL == (int)KV_EQUAL && (int)SYNOD_GREATER == (int)KV_GREATER &&
                   (int)SYNOD_LESS == (int)KV_LESS && (int)SYNOD_NOT_EQUAL == (int)KV_NOT_EQUAL,
               "relations differ");
_Static_assert((int)SYNOD_ORDER_DESCEND == (int)KV_ORDER_DESCEND, "orders differ");
_Static_assert(SYNOD_KEY_BYTES_MAX == KEY_BYTES_MAX, "limits differ");
_Static_assert(SYNOD_VALUE_BYTES_MAX == KV_VALUE_BYTES_MAX, "limits differ");
_Static_assert(SYNOD_TXN_OPS_MAX == TXN_OPS_MAX, "limits differ");

/* ---- bytes */

struct synod_bytes synod_text(const char *text)
{
    return (struct synod_bytes){text, strlen(text)};
}

struct synod_bytes synod_prefix_end(struct synod_bytes prefix, void *buffer)
{
    uint8_t *end = buffer;
    size_t size = prefix.size < SYNOD_KEY_BYTES_MAX ? prefix.size : SYNOD_KEY_BYTES_MAX;
    if (size > 0) {
        memcpy(end, prefix.data, size);
    }
    while (size > 0 && end[size - 1] == 0xff) {
        size--;
    }
    if (size == 0) {
        end[size++] = 0;
    } else {
        end[size - 1]++;
    }
    return (struct synod_bytes){buffer, size};
}

static struct slice slice_from(struct synod_bytes bytes)
{
    return slice_borrow(bytes.size > 0 ? bytes.data : NULL, bytes.size);
}

/* ---- requests to bytes */

/* Sizes are 32 bits in a request; what is far too long is refused before it is copied. */
static int check_size(struct synod *s, struct synod_bytes bytes)
{
    if (bytes.size > KV_REQUEST_BYTES_MAX) {
        return errmsg_set(
            &s->err, SYNOD_E_USAGE,
            "a key or value of %zu bytes exceeds the limits (%d and %d); try: to split it",
            bytes.size, SYNOD_KEY_BYTES_MAX, SYNOD_VALUE_BYTES_MAX);
    }
    return SYNOD_OK;
}

struct kv_range keys_range(const struct synod_range_op *op)
{
    return (struct kv_range){.flags = (op->keys_only ? KV_KEYS_ONLY : 0) |
                                      (op->count_only ? KV_COUNT_ONLY : 0) |
                                      (op->no_count ? KV_NO_COUNT : 0),
                             .order = (enum kv_order)op->order,
                             .target = (enum kv_target)op->target,
                             .limit = op->limit,
                             .revision = op->revision,
                             .min_mod = op->min_mod,
                             .max_mod = op->max_mod,
                             .min_create = op->min_create,
                             .max_create = op->max_create,
                             .key = slice_from(op->key),
                             .end = slice_from(op->end)};
}

static int encode_range(struct synod *s, const struct synod_range_op *op, struct buffer *out)
{
    if (check_size(s, op->key) != SYNOD_OK || check_size(s, op->end) != SYNOD_OK) {
        return SYNOD_E_USAGE;
    }
    const struct kv_request request = {.op = KV_RANGE, .range = keys_range(op)};
    kv_put_request(out, &request);
    return SYNOD_OK;
}

static int encode_put(struct synod *s, const struct synod_put_op *op, struct buffer *out)
{
    if (check_size(s, op->key) != SYNOD_OK || check_size(s, op->value) != SYNOD_OK) {
        return SYNOD_E_USAGE;
    }
    const struct kv_request request = {
        .op = KV_PUT,
        .put = {.flags =
                    (op->previous ? KV_PREVIOUS : 0) | (op->ignore_value ? KV_IGNORE_VALUE : 0) |
                    (op->ignore_lease ? KV_IGNORE_LEASE : 0) | (op->sequential ? KV_SEQUENTIAL : 0),
                .lease = op->lease,
                .key = slice_from(op->key),
                .value = slice_from(op->value)},
    };
    kv_put_request(out, &request);
    return SYNOD_OK;
}

static int encode_delete(struct synod *s, const struct synod_delete_op *op, struct buffer *out)
{
    if (check_size(s, op->key) != SYNOD_OK || check_size(s, op->end) != SYNOD_OK) {
        return SYNOD_E_USAGE;
    }
    const struct kv_request request = {
        .op = KV_DELETE,
        .delete_ = {.flags = op->previous ? KV_PREVIOUS : 0,
                    .key = slice_from(op->key),
                    .end = slice_from(op->end)},
    };
    kv_put_request(out, &request);
    return SYNOD_OK;
}

static int encode_compares(struct synod *s, const struct synod_txn_op *op, struct buffer *out)
{
    for (size_t i = 0; i < op->compare_count; i++) {
        const struct synod_compare *compare = &op->compares[i];
        int is_value = compare->target == SYNOD_BY_VALUE;
        if (compare->target == SYNOD_BY_KEY || (unsigned)compare->target > SYNOD_BY_LEASE ||
            (unsigned)compare->relation > SYNOD_NOT_EQUAL) {
            return errmsg_set(&s->err, SYNOD_E_USAGE,
                              "comparison %zu has no target or no relation; try: SYNOD_BY_CREATE "
                              "and SYNOD_EQUAL",
                              i + 1);
        }
        if (check_size(s, compare->key) != SYNOD_OK || check_size(s, compare->end) != SYNOD_OK ||
            check_size(s, compare->value) != SYNOD_OK) {
            return SYNOD_E_USAGE;
        }
        const struct kv_compare bytes = {
            .target = (enum kv_target)compare->target,
            .relation = (enum kv_relation)compare->relation,
            .number = is_value ? 0 : compare->number,
            .key = slice_from(compare->key),
            .end = slice_from(compare->end),
            .value = is_value ? slice_from(compare->value) : SLICE_EMPTY,
        };
        kv_put_compare(out, &bytes);
    }
    return SYNOD_OK;
}

static int encode_request(struct synod *s, const struct synod_request *request, int depth,
                          struct buffer *out);

static int encode_path(struct synod *s, const struct synod_request *requests, size_t count,
                       int depth, struct buffer *out)
{
    for (size_t i = 0; i < count; i++) {
        int rc = encode_request(s, &requests[i], depth, out);
        if (rc != SYNOD_OK) {
            return rc;
        }
        if (out->size > KV_REQUEST_BYTES_MAX) {
            return errmsg_set(&s->err, SYNOD_E_USAGE,
                              "a transaction exceeds the limit of %zu bytes; try: to split it",
                              KV_REQUEST_BYTES_MAX);
        }
    }
    return SYNOD_OK;
}

static int encode_txn(struct synod *s, const struct synod_txn_op *op, int depth, struct buffer *out)
{
    if (depth == TXN_DEPTH_MAX) {
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "transactions are nested deeper than the limit of %d; try: fewer levels",
                          TXN_DEPTH_MAX);
    }
    struct buffer parts[3] = {{0}};
    int rc = encode_compares(s, op, &parts[0]);
    if (rc == SYNOD_OK) {
        rc = encode_path(s, op->then, op->then_count, depth + 1, &parts[1]);
    }
    if (rc == SYNOD_OK) {
        rc = encode_path(s, op->otherwise, op->otherwise_count, depth + 1, &parts[2]);
    }
    if (rc == SYNOD_OK) {
        const struct kv_request request = {
            .op = KV_TXN,
            .txn = {.compares = buffer_slice(&parts[0]),
                    .then_ = buffer_slice(&parts[1]),
                    .else_ = buffer_slice(&parts[2])},
        };
        kv_put_request(out, &request);
    }
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        buffer_close(&parts[i]);
    }
    return rc;
}

static int encode_request(struct synod *s, const struct synod_request *request, int depth,
                          struct buffer *out)
{
    switch (request->op) {
    case SYNOD_RANGE:
        return encode_range(s, &request->as.range, out);
    case SYNOD_PUT:
        return encode_put(s, &request->as.put, out);
    case SYNOD_DELETE:
        return encode_delete(s, &request->as.del, out);
    case SYNOD_TXN:
        return encode_txn(s, &request->as.txn, depth, out);
    }
    return errmsg_set(&s->err, SYNOD_E_USAGE, "%d is no operation on keys; try: SYNOD_PUT",
                      (int)request->op);
}

int keys_encode(struct synod *s, const struct synod_request *request, struct buffer *out,
                int *is_read_only)
{
    int rc = encode_request(s, request, 0, out);
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct kv_request parsed;
    rc = kv_request_parse(buffer_slice(out), &parsed, &s->err);
    if (rc == SYNOD_OK) {
        *is_read_only = kv_request_is_read_only(&parsed);
    }
    return rc;
}
