/* Requests on keys: checked against the state, then executed. */
#include "tests/model/reference_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- ranges */

struct sorting {
    enum kv_target target;
    int sign; /* -1: falling */
};

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* Numbers of comparisons are signed, as etcd's are. */
static int compare_signed(uint64_t a, uint64_t b)
{
    return ((int64_t)a > (int64_t)b) - ((int64_t)a < (int64_t)b);
}

static int compare_kvs(const struct kv *a, const struct kv *b, enum kv_target target)
{
    switch (target) {
    case KV_TARGET_KEY:
        return kv_compare_keys(a->key, b->key);
    case KV_TARGET_VERSION:
        return compare_numbers(a->version, b->version);
    case KV_TARGET_CREATE:
        return compare_numbers(a->create, b->create);
    case KV_TARGET_MOD:
        return compare_numbers(a->mod, b->mod);
    case KV_TARGET_VALUE:
        return kv_compare_keys(a->value, b->value);
    case KV_TARGET_LEASE:
        break;
    }
    return 0;
}

/* By insertion, so that equal ones stay in the order of their keys, falling too. etcd's order of
 * equal ones is that of its sort, which does the same up to twelve of them. */
static void sort_kvs(struct kv *kvs, size_t count, enum kv_target target, int is_falling)
{
    for (size_t i = 1; i < count; i++) {
        struct kv moved = kvs[i];
        size_t to = i;
        while (to > 0) {
            int order = compare_kvs(&kvs[to - 1], &moved, target);
            if (is_falling ? order >= 0 : order <= 0) {
                break;
            }
            kvs[to] = kvs[to - 1];
            to--;
        }
        kvs[to] = moved;
    }
}

static int is_filtered(const struct kv_range *range, const struct kv *kv)
{
    return (range->max_mod != 0 && kv->mod > range->max_mod) ||
           (range->min_mod != 0 && kv->mod < range->min_mod) ||
           (range->max_create != 0 && kv->create > range->max_create) ||
           (range->min_create != 0 && kv->create < range->min_create);
}

static enum reference_error check_revision(const struct reference *r, uint64_t revision)
{
    if (revision == 0) {
        return REFERENCE_OK;
    }
    if (revision > r->revision) {
        return REFERENCE_FUTURE;
    }
    return revision < reference_oldest(r) ? REFERENCE_COMPACTED : REFERENCE_OK;
}

static enum reference_error execute_range(const struct reference *r, const struct kv_range *range,
                                          struct arena *arena, struct reference_response *out)
{
    size_t count;
    uint64_t revision = range->revision != 0 ? range->revision : UINT64_MAX;
    struct kv *kvs = reference_kvs_at(r, range->key, range->end, revision, arena, &count);
    out->count = count;
    if ((range->flags & KV_COUNT_ONLY) != 0) {
        return REFERENCE_OK;
    }
    /* Without an order and without filters only limit + 1 keys are taken before they are sorted. */
    int has_filter = range->max_mod != 0 || range->min_mod != 0 || range->max_create != 0 ||
                     range->min_create != 0;
    if (range->order == KV_ORDER_NONE && !has_filter && range->limit > 0 &&
        count > range->limit + 1) {
        count = range->limit + 1;
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_filtered(range, &kvs[i])) {
            kvs[kept++] = kvs[i];
        }
    }
    sort_kvs(kvs, kept, range->target, range->order == KV_ORDER_DESCEND);
    if (range->limit > 0 && kept > range->limit) {
        kept = range->limit;
        out->more = 1;
    }
    for (size_t i = 0; i < kept && (range->flags & KV_KEYS_ONLY) != 0; i++) {
        kvs[i].value = SLICE_EMPTY;
    }
    out->kvs = kvs;
    out->kv_count = kept;
    return REFERENCE_OK;
}

/* ---- puts and deletes */

static const struct kv *find_kv(const struct reference *r, struct slice key, uint64_t revision,
                                struct arena *arena)
{
    size_t count;
    struct kv *kvs = reference_kvs_at(r, key, SLICE_EMPTY, revision, arena, &count);
    return count > 0 ? kvs : NULL;
}

static int has_lease(const struct reference *r, uint64_t lease)
{
    return lease == 0 || reference_lease(r, lease) != NULL;
}

/* revision: as of when a key must exist whose value or lease is to be kept. */
static enum reference_error check_existing(const struct reference *r, const struct kv_put *put,
                                           struct arena *arena)
{
    if ((put->flags & (KV_IGNORE_VALUE | KV_IGNORE_LEASE)) != 0 &&
        find_kv(r, put->key, r->revision, arena) == NULL) {
        return REFERENCE_KEY_NOT_FOUND;
    }
    return REFERENCE_OK;
}

static struct slice sequential_key(const struct reference *r, struct slice prefix,
                                   struct arena *arena)
{
    size_t size = prefix.size + KV_SUFFIX_BYTES;
    char *key = arena_alloc(arena, size + 1);
    memcpy(key, prefix.data, prefix.size);
    snprintf(key + prefix.size, KV_SUFFIX_BYTES + 1, "%016llx%08lx",
             (unsigned long long)(r->revision + 1), (unsigned long)r->next_sub);
    return slice_borrow(key, size);
}

static enum reference_error execute_put(struct reference *r, const struct kv_put *put,
                                        struct arena *arena, struct reference_response *out)
{
    struct slice key = put->key;
    if ((put->flags & KV_SEQUENTIAL) != 0) {
        key = sequential_key(r, put->key, arena);
        out->key = key;
    }
    const struct kv *before = find_kv(r, key, UINT64_MAX, arena);
    if (before != NULL && (put->flags & KV_PREVIOUS) != 0) {
        out->kvs = arena_alloc(arena, sizeof *out->kvs);
        out->kvs[0] = *before;
        out->kv_count = 1;
    }
    int keeps_value = (put->flags & KV_IGNORE_VALUE) != 0;
    int keeps_lease = (put->flags & KV_IGNORE_LEASE) != 0;
    if (before == NULL && (keeps_value || keeps_lease)) {
        return REFERENCE_KEY_NOT_FOUND; /* deleted by the same transaction: etcd panics here */
    }
    reference_write_put(r, key, keeps_value ? before->value : put->value,
                        keeps_lease ? before->lease : put->lease);
    return REFERENCE_OK;
}

static enum reference_error execute_delete(struct reference *r, const struct kv_delete *delete_,
                                           struct arena *arena, struct reference_response *out)
{
    size_t count;
    struct kv *kvs = reference_kvs_at(r, delete_->key, delete_->end, UINT64_MAX, arena, &count);
    for (size_t i = 0; i < count; i++) {
        reference_write_delete(r, kvs[i].key);
    }
    out->count = count;
    if ((delete_->flags & KV_PREVIOUS) != 0) {
        out->kvs = kvs;
        out->kv_count = count;
    }
    return REFERENCE_OK;
}

/* ---- transactions */

static int compare_holds(const struct kv_compare *compare, const struct kv *kv)
{
    struct kv wanted = {.value = compare->value};
    int order = 0;
    switch (compare->target) {
    case KV_TARGET_VERSION:
        order = compare_signed(kv->version, compare->number);
        break;
    case KV_TARGET_CREATE:
        order = compare_signed(kv->create, compare->number);
        break;
    case KV_TARGET_MOD:
        order = compare_signed(kv->mod, compare->number);
        break;
    case KV_TARGET_LEASE:
        order = compare_signed(kv->lease, compare->number);
        break;
    case KV_TARGET_VALUE:
        order = compare_kvs(kv, &wanted, KV_TARGET_VALUE);
        break;
    case KV_TARGET_KEY:
        break; /* etcd knows no such comparison */
    }
    switch (compare->relation) {
    case KV_EQUAL:
        return order == 0;
    case KV_GREATER:
        return order > 0;
    case KV_LESS:
        return order < 0;
    case KV_NOT_EQUAL:
        return order != 0;
    }
    return 0;
}

/* All comparisons, nested ones too, are made with the state before the transaction. A missing key
 * has zeros, and no value. */
static int compares_hold(const struct reference *r, const struct kv_txn *txn, struct arena *arena)
{
    struct slice rest = txn->compares;
    struct kv_compare compare;
    while (kv_next_compare(&rest, &compare) == 1) {
        size_t count;
        struct kv *kvs = reference_kvs_at(r, compare.key, compare.end, r->revision, arena, &count);
        struct kv none = {0};
        if (count == 0 && (compare.target == KV_TARGET_VALUE || !compare_holds(&compare, &none))) {
            return 0;
        }
        for (size_t i = 0; i < count; i++) {
            if (!compare_holds(&compare, &kvs[i])) {
                return 0;
            }
        }
    }
    return 1;
}

/* What will be executed is checked first, so that a transaction that fails has no effect: all puts,
 * then all ranges. op says which. */
static enum reference_error check_path(const struct reference *r, const struct kv_txn *txn,
                                       enum kv_op op, struct arena *arena)
{
    struct slice rest = compares_hold(r, txn, arena) ? txn->then_ : txn->else_;
    struct kv_request request;
    while (kv_next_request(&rest, &request) == 1) {
        enum reference_error error = REFERENCE_OK;
        if (request.op == KV_TXN) {
            error = check_path(r, &request.txn, op, arena);
        } else if (request.op == KV_PUT && op == KV_PUT) {
            error = check_existing(r, &request.put, arena);
            if (error == REFERENCE_OK && !has_lease(r, request.put.lease)) {
                error = REFERENCE_LEASE_NOT_FOUND;
            }
        } else if (request.op == KV_RANGE && op == KV_RANGE) {
            error = check_revision(r, request.range.revision);
        }
        if (error != REFERENCE_OK) {
            return error;
        }
    }
    return REFERENCE_OK;
}

static enum reference_error execute(struct reference *r, const struct kv_request *request,
                                    struct arena *arena, struct reference_response *out);

static enum reference_error execute_txn(struct reference *r, const struct kv_txn *txn,
                                        struct arena *arena, struct reference_response *out)
{
    out->succeeded = compares_hold(r, txn, arena);
    struct slice branch = out->succeeded ? txn->then_ : txn->else_;
    struct kv_request request;
    size_t count = 0;
    for (struct slice rest = branch; kv_next_request(&rest, &request) == 1;) {
        count++;
    }
    out->responses = arena_alloc(arena, count * sizeof *out->responses);
    for (struct slice rest = branch; kv_next_request(&rest, &request) == 1;) {
        struct reference_response *response = &out->responses[out->response_count++];
        *response = (struct reference_response){.op = request.op};
        enum reference_error error = execute(r, &request, arena, response);
        if (error != REFERENCE_OK) {
            return error;
        }
    }
    return REFERENCE_OK;
}

static enum reference_error execute(struct reference *r, const struct kv_request *request,
                                    struct arena *arena, struct reference_response *out)
{
    switch (request->op) {
    case KV_RANGE:
        return execute_range(r, &request->range, arena, out);
    case KV_PUT:
        return execute_put(r, &request->put, arena, out);
    case KV_DELETE:
        return execute_delete(r, &request->delete_, arena, out);
    case KV_TXN:
        break;
    }
    return execute_txn(r, &request->txn, arena, out);
}

/* ---- the whole request */

static enum reference_error check_state(const struct reference *r, const struct kv_request *request,
                                        struct arena *arena)
{
    enum reference_error error = REFERENCE_OK;
    switch (request->op) {
    case KV_RANGE:
        return check_revision(r, request->range.revision);
    case KV_PUT: /* the other way round than within a transaction */
        return has_lease(r, request->put.lease) ? check_existing(r, &request->put, arena)
                                                : REFERENCE_LEASE_NOT_FOUND;
    case KV_DELETE:
        break;
    case KV_TXN:
        error = check_path(r, &request->txn, KV_PUT, arena);
        return error != REFERENCE_OK ? error : check_path(r, &request->txn, KV_RANGE, arena);
    }
    return error;
}

void reference_request(struct reference *r, const struct kv_request *request, struct arena *arena,
                       struct reference_answer *out)
{
    *out = (struct reference_answer){.response = {.op = request->op}};
    out->error = reference_check(request);
    if (out->error == REFERENCE_OK) {
        out->error = check_state(r, request, arena);
    }
    if (out->error == REFERENCE_OK) {
        out->error = execute(r, request, arena, &out->response);
    }
    if (out->error != REFERENCE_OK) {
        reference_write_undo(r);
        out->revision = out->error == REFERENCE_COMPACTED ? r->compacted : r->revision;
        return;
    }
    reference_write_end(r);
    out->revision = r->revision;
}
