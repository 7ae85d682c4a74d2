/* What a request must keep before it may enter the log. The rules are those of etcd's server. */
#include "common/base/memory.h"
#include "common/protocol/kv.h"
#include "common/protocol/limits.h"

#include <stdlib.h>

static int check_key(struct slice key, struct slice end, struct errmsg *err)
{
    if (key.size == 0) {
        return errmsg_set(err, ERROR_USAGE, "a key is empty; try: a key of 1 to %zu bytes",
                          KEY_BYTES_MAX);
    }
    if (key.size > KEY_BYTES_MAX || end.size > KEY_BYTES_MAX + 1) {
        return errmsg_set(err, ERROR_USAGE,
                          "a key of %zu bytes exceeds the limit of %zu; try: a shorter one",
                          key.size > end.size ? key.size : end.size, KEY_BYTES_MAX);
    }
    return 0;
}

static int check_put(const struct kv_put *put, struct errmsg *err)
{
    int rc = check_key(put->key, SLICE_EMPTY, err);
    if (rc != 0) {
        return rc;
    }
    if (put->value.size > KV_VALUE_BYTES_MAX) {
        return errmsg_set(err, ERROR_USAGE,
                          "a value of %zu bytes exceeds the limit of %zu; try: to split it",
                          put->value.size, KV_VALUE_BYTES_MAX);
    }
    if ((put->flags & KV_IGNORE_VALUE) != 0 && put->value.size > 0) {
        return errmsg_set(err, ERROR_USAGE,
                          "a value is given and is to be ignored; try: one of both");
    }
    if (put->lease > INT64_MAX) {
        return errmsg_set(err, ERROR_USAGE,
                          "a lease's id is above 2^63-1; try: one that was granted");
    }
    if ((put->flags & KV_IGNORE_LEASE) != 0 && put->lease != 0) {
        return errmsg_set(err, ERROR_USAGE,
                          "a lease is given and is to be ignored; try: one of both");
    }
    if ((put->flags & KV_SEQUENTIAL) != 0 &&
        (put->key.size + KV_SUFFIX_BYTES > KEY_BYTES_MAX ||
         (put->flags & (KV_IGNORE_VALUE | KV_IGNORE_LEASE)) != 0)) {
        return errmsg_set(
            err, ERROR_USAGE,
            "a sequential put makes a new key of at most %zu bytes, %d of them added; "
            "try: a shorter one, without what is to be ignored",
            KEY_BYTES_MAX, KV_SUFFIX_BYTES);
    }
    return 0;
}

static int check_simple(const struct kv_request *request, struct errmsg *err)
{
    switch (request->op) {
    case KV_RANGE:
        return check_key(request->range.key, request->range.end, err);
    case KV_PUT:
        return check_put(&request->put, err);
    case KV_DELETE:
        return check_key(request->delete_.key, request->delete_.end, err);
    case KV_TXN:
        return 0;
    }
    return ERROR_USAGE;
}

/* ---- transactions */

/* Where an operation stands: in which branch of which transaction of which list, from outermost. */
struct place {
    uint8_t branch[TXN_DEPTH_MAX]; /* 0: then, 1: else */
    uint16_t index[TXN_DEPTH_MAX]; /* in that branch's list */
    int depth;                     /* levels; the last is the operation itself */
};

/* A put or a delete. */
struct op {
    struct slice key, end;
    struct place place;
};

struct ops {
    struct op *items;
    size_t count, capacity;
};

/* One branch that is being read. */
struct level {
    struct slice rest;  /* of the branch */
    struct slice other; /* the else, while the then is read */
    uint32_t budget;    /* operations that a transaction in here may have */
};

struct rules {
    struct ops puts, deletes;
    size_t total;
    struct level levels[TXN_DEPTH_MAX];
    struct place place;
};

static int count_requests(struct slice rest, uint32_t *count, struct errmsg *err)
{
    struct kv_request request;
    int rc;
    *count = 0;
    while ((rc = kv_next_request(&rest, &request)) == 1) {
        (*count)++;
    }
    return rc == 0
               ? 0
               : errmsg_set(err, ERROR_USAGE,
                            "a transaction's operation is malformed (a bug); try: the same version "
                            "of Synod on both sides");
}

static int check_compares(struct slice rest, uint32_t *count, struct errmsg *err)
{
    struct kv_compare compare;
    int rc;
    *count = 0;
    while ((rc = kv_next_compare(&rest, &compare)) == 1) {
        int key = check_key(compare.key, compare.end, err);
        if (key != 0) {
            return key;
        }
        if (compare.target == KV_TARGET_KEY) {
            return errmsg_set(
                err, ERROR_USAGE,
                "a key cannot be compared with itself; try: its version, which is 0 if there is "
                "none");
        }
        (*count)++;
    }
    return rc == 0 ? 0
                   : errmsg_set(
                         err, ERROR_USAGE,
                         "a transaction's comparison is malformed (a bug); try: the same version "
                         "of Synod on both sides");
}

/* A level takes as many operations off the budget as the longest of its three lists has. */
static int enter_txn(struct rules *rules, const struct kv_txn *txn, uint32_t budget,
                     struct errmsg *err)
{
    uint32_t longest;
    uint32_t counts[2];
    int rc = check_compares(txn->compares, &longest, err);
    if (rc == 0) {
        rc = count_requests(txn->then_, &counts[0], err);
    }
    if (rc == 0) {
        rc = count_requests(txn->else_, &counts[1], err);
    }
    if (rc != 0) {
        return rc;
    }
    rules->total += longest + counts[0] + counts[1];
    for (int i = 0; i < 2; i++) {
        longest = counts[i] > longest ? counts[i] : longest;
    }
    if (longest > budget || rules->total > TXN_OPS_TOTAL_MAX) {
        return errmsg_set(
            err, ERROR_USAGE,
            "a transaction has more than %d operations along a path, or %d in all; try: to "
            "split it",
            TXN_OPS_MAX, TXN_OPS_TOTAL_MAX);
    }
    if (rules->place.depth == TXN_DEPTH_MAX) {
        return errmsg_set(err, ERROR_USAGE,
                          "transactions are nested deeper than %d; try: fewer levels",
                          TXN_DEPTH_MAX);
    }
    int depth = rules->place.depth++;
    rules->levels[depth] = (struct level){txn->then_, txn->else_, budget - longest};
    rules->place.branch[depth] = 0;
    rules->place.index[depth] = 0;
    return 0;
}

static void add_op(struct ops *ops, const struct place *place, struct slice key, struct slice end)
{
    ops->items = memory_grow(ops->items, &ops->capacity, ops->count + 1, sizeof *ops->items);
    ops->items[ops->count++] = (struct op){key, end, *place};
}

static int take_op(struct rules *rules, const struct kv_request *request, struct errmsg *err)
{
    int rc = check_simple(request, err);
    if (rc != 0) {
        return rc;
    }
    int depth = rules->place.depth;
    if (request->op == KV_PUT && (request->put.flags & KV_SEQUENTIAL) == 0) {
        add_op(&rules->puts, &rules->place, request->put.key, SLICE_EMPTY);
    } else if (request->op == KV_DELETE) {
        add_op(&rules->deletes, &rules->place, request->delete_.key, request->delete_.end);
    } else if (request->op == KV_TXN) {
        return enter_txn(rules, &request->txn, rules->levels[depth - 1].budget, err);
    }
    return 0;
}

/* Reads a whole transaction: branch by branch, the nested ones where they stand. */
static int take_txn(struct rules *rules, const struct kv_txn *txn, struct errmsg *err)
{
    int rc = enter_txn(rules, txn, TXN_OPS_MAX, err);
    while (rc == 0 && rules->place.depth > 0) {
        int depth = rules->place.depth - 1;
        struct level *level = &rules->levels[depth];
        struct kv_request request;
        if (kv_next_request(&level->rest, &request) == 1) {
            rc = take_op(rules, &request, err);
            if (rules->place.depth == depth + 1) { /* else it was entered, and counts when left */
                rules->place.index[depth]++;
            }
        } else if (rules->place.branch[depth] == 0) {
            rules->place.branch[depth] = 1;
            rules->place.index[depth] = 0;
            level->rest = level->other;
        } else {
            rules->place.depth--;
            if (depth > 0) {
                rules->place.index[depth - 1]++;
            }
        }
    }
    return rc;
}

/* The level at which two operations part; -1 if they are in the two branches of one transaction,
 * and never happen together. */
static int parting(const struct place *a, const struct place *b)
{
    for (int i = 0; i < a->depth && i < b->depth; i++) {
        if (a->branch[i] != b->branch[i]) {
            return -1;
        }
        if (a->index[i] != b->index[i]) {
            return i;
        }
    }
    return -1;
}

/* A nested put may stand before a nested delete of its key; every other order is refused. */
static int put_meets_delete(const struct op *put, const struct op *deletion)
{
    int level = parting(&put->place, &deletion->place);
    if (level < 0) {
        return 0;
    }
    int is_put_direct = put->place.depth == level + 1;
    int is_delete_direct = deletion->place.depth == level + 1;
    return is_put_direct || is_delete_direct ||
           put->place.index[level] > deletion->place.index[level];
}

static int compare_places(const struct place *a, const struct place *b)
{
    for (int i = 0; i < a->depth && i < b->depth; i++) {
        if (a->branch[i] != b->branch[i]) {
            return a->branch[i] - b->branch[i];
        }
        if (a->index[i] != b->index[i]) {
            return a->index[i] < b->index[i] ? -1 : 1;
        }
    }
    return 0;
}

static int compare_puts(const void *a, const void *b)
{
    const struct op *x = a;
    const struct op *y = b;
    int order = kv_compare_keys(x->key, y->key);
    return order != 0 ? order : compare_places(&x->place, &y->place);
}

/* As etcd 3.4 understands a delete up to "everything": as an interval that ends before it begins
 * and meets nothing. */
static int lies_in(struct slice key, const struct op *deletion)
{
    int order = kv_compare_keys(key, deletion->key);
    return deletion->end.size == 0 ? order == 0
                                   : order >= 0 && kv_compare_keys(key, deletion->end) < 0;
}

/* Of puts of one key, in the order in which they stand, only neighbours have to be compared: two
 * that are further apart part where two neighbours between them do. */
static int check_conflicts(struct ops *puts, const struct ops *deletes, struct errmsg *err)
{
    if (puts->count == 0) {
        return 0;
    }
    qsort(puts->items, puts->count, sizeof *puts->items, compare_puts);
    for (size_t i = 0; i < puts->count; i++) {
        const struct op *put = &puts->items[i];
        const struct op *next = i + 1 < puts->count ? put + 1 : NULL;
        if (next != NULL && slice_equal(put->key, next->key) &&
            parting(&put->place, &next->place) >= 0) {
            return errmsg_set(err, ERROR_USAGE,
                              "a key is put twice in one transaction; try: the last put alone");
        }
        for (size_t k = 0; k < deletes->count; k++) {
            if (lies_in(put->key, &deletes->items[k]) &&
                put_meets_delete(put, &deletes->items[k])) {
                return errmsg_set(err, ERROR_USAGE,
                                  "a key is put and deleted in one transaction; try: one of both");
            }
        }
    }
    return 0;
}

static int check_txn(const struct kv_txn *txn, struct errmsg *err)
{
    struct rules *rules = memory_calloc(1, sizeof *rules);
    int rc = take_txn(rules, txn, err);
    if (rc == 0) {
        rc = check_conflicts(&rules->puts, &rules->deletes, err);
    }
    free(rules->puts.items);
    free(rules->deletes.items);
    free(rules);
    return rc;
}

int kv_request_parse(struct slice bytes, struct kv_request *out, struct errmsg *err)
{
    if (bytes.size > KV_REQUEST_BYTES_MAX) {
        return errmsg_set(err, ERROR_USAGE,
                          "a request of %zu bytes exceeds the limit of %zu; try: to split it",
                          bytes.size, KV_REQUEST_BYTES_MAX);
    }
    struct slice rest = bytes;
    struct kv_request request;
    if (kv_next_request(&rest, &request) != 1 || rest.size != 0) {
        return errmsg_set(
            err, ERROR_USAGE,
            "a request on keys is malformed (a bug); try: the same version of Synod on both "
            "sides");
    }
    int rc = request.op == KV_TXN ? check_txn(&request.txn, err) : check_simple(&request, err);
    if (rc == 0) {
        *out = request;
    }
    return rc;
}

int kv_request_is_read_only(const struct kv_request *request)
{
    struct slice branches[2 * (TXN_DEPTH_MAX + 1)]; /* that are still to be looked at */
    int count = 0;
    if (request->op != KV_TXN) {
        return request->op == KV_RANGE;
    }
    branches[count++] = request->txn.then_;
    branches[count++] = request->txn.else_;
    while (count > 0) {
        struct kv_request next;
        if (kv_next_request(&branches[count - 1], &next) != 1) {
            count--;
        } else if (next.op == KV_TXN && count + 2 <= 2 * (TXN_DEPTH_MAX + 1)) {
            branches[count++] = next.txn.then_;
            branches[count++] = next.txn.else_;
        } else if (next.op != KV_RANGE) {
            return 0;
        }
    }
    return 1;
}
