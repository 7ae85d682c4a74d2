/* The rules that a request keeps whatever the state is, as etcd's server checks them before it
 * proposes one. */
#include "tests/model/reference.h"

#include "common/base/check.h"
#include "common/protocol/limits.h"

const char *reference_error_name(enum reference_error error)
{
    static const char *const names[] = {"ok",
                                        "compacted",
                                        "future",
                                        "lease_not_found",
                                        "lease_exists",
                                        "key_not_found",
                                        "empty_key",
                                        "value_provided",
                                        "lease_provided",
                                        "too_many_ops",
                                        "duplicate_key",
                                        "empty_range"};
    return names[error];
}

int reference_error_is_rule(enum reference_error error)
{
    return error >= REFERENCE_EMPTY_KEY;
}

/* ---- each request by itself */

static enum reference_error check_one(const struct kv_request *request, size_t budget);

static size_t count_requests(struct slice requests)
{
    struct kv_request request;
    size_t count = 0;
    while (kv_next_request(&requests, &request) == 1) {
        count++;
    }
    CHECK(requests.size == 0);
    return count;
}

static enum reference_error check_branch(struct slice requests, size_t budget)
{
    struct kv_request request;
    while (kv_next_request(&requests, &request) == 1) {
        enum reference_error error = check_one(&request, budget);
        if (error != REFERENCE_OK) {
            return error;
        }
    }
    return REFERENCE_OK;
}

/* The longest of the three lists counts, and what is nested has the rest. */
static enum reference_error check_txn(const struct kv_txn *txn, size_t budget)
{
    struct slice rest = txn->compares;
    struct kv_compare compare;
    size_t most = 0;
    while (kv_next_compare(&rest, &compare) == 1) {
        most++;
    }
    CHECK(rest.size == 0);
    size_t then_count = count_requests(txn->then_);
    size_t else_count = count_requests(txn->else_);
    most = then_count > most ? then_count : most;
    most = else_count > most ? else_count : most;
    if (most > budget) {
        return REFERENCE_TOO_MANY_OPS;
    }
    rest = txn->compares;
    while (kv_next_compare(&rest, &compare) == 1) {
        if (compare.key.size == 0) {
            return REFERENCE_EMPTY_KEY;
        }
    }
    enum reference_error error = check_branch(txn->then_, budget - most);
    return error != REFERENCE_OK ? error : check_branch(txn->else_, budget - most);
}

static enum reference_error check_put(const struct kv_put *put)
{
    if (put->key.size == 0) {
        return REFERENCE_EMPTY_KEY;
    }
    if ((put->flags & KV_IGNORE_VALUE) != 0 && put->value.size > 0) {
        return REFERENCE_VALUE_PROVIDED;
    }
    if ((put->flags & KV_IGNORE_LEASE) != 0 && put->lease != 0) {
        return REFERENCE_LEASE_PROVIDED;
    }
    return REFERENCE_OK;
}

static enum reference_error check_one(const struct kv_request *request, size_t budget)
{
    switch (request->op) {
    case KV_RANGE:
        return request->range.key.size == 0 ? REFERENCE_EMPTY_KEY : REFERENCE_OK;
    case KV_PUT:
        return check_put(&request->put);
    case KV_DELETE:
        return request->delete_.key.size == 0 ? REFERENCE_EMPTY_KEY : REFERENCE_OK;
    case KV_TXN:
        return check_txn(&request->txn, budget);
    }
    return REFERENCE_OK;
}

/* ---- nothing is put twice, or put and deleted */

struct part {
    struct part *next;
    struct slice key, end;
};

/* What a list of requests, and those nested in it, may put and delete. */
struct touched {
    struct part *puts;
    struct part *deletes;
};

static void add(struct part **list, struct slice key, struct slice end, struct arena *arena)
{
    struct part *part = arena_alloc(arena, sizeof *part);
    *part = (struct part){*list, key, end};
    *list = part;
}

static int is_put(const struct part *puts, struct slice key)
{
    for (; puts != NULL; puts = puts->next) {
        if (slice_equal(puts->key, key)) {
            return 1;
        }
    }
    return 0;
}

/* An end of one zero byte is taken by its letter here: no key lies before it. So etcd does not see
 * that an open range overlaps a put, though it deletes what lies in it. */
static int is_deleted(const struct part *deletes, struct slice key)
{
    for (; deletes != NULL; deletes = deletes->next) {
        int is_hit = deletes->end.size == 0 ? slice_equal(deletes->key, key)
                                            : kv_compare_keys(deletes->key, key) <= 0 &&
                                                  kv_compare_keys(key, deletes->end) < 0;
        if (is_hit) {
            return 1;
        }
    }
    return 0;
}

static int check_overlaps(struct slice requests, struct arena *arena, struct touched *out);

/* What one nested transaction adds. Its two branches exclude each other: a key may be put in both.
 * What it deletes is compared with later puts only. */
static int add_nested(const struct kv_txn *txn, struct arena *arena, struct touched *all)
{
    struct touched then_ = {0};
    struct touched else_ = {0};
    if (!check_overlaps(txn->then_, arena, &then_) || !check_overlaps(txn->else_, arena, &else_)) {
        return 0;
    }
    for (const struct part *put = then_.puts; put != NULL; put = put->next) {
        if (is_put(all->puts, put->key) || is_deleted(all->deletes, put->key)) {
            return 0;
        }
    }
    for (const struct part *put = else_.puts; put != NULL; put = put->next) {
        if (is_put(all->puts, put->key) || is_deleted(all->deletes, put->key)) {
            return 0;
        }
    }
    const struct part *lists[] = {then_.puts, else_.puts, then_.deletes, else_.deletes};
    for (size_t i = 0; i < 4; i++) {
        for (const struct part *part = lists[i]; part != NULL; part = part->next) {
            add(i < 2 ? &all->puts : &all->deletes, part->key, part->end, arena);
        }
    }
    return 1;
}

static int check_overlaps(struct slice requests, struct arena *arena, struct touched *out)
{
    struct kv_request request;
    for (struct slice rest = requests; kv_next_request(&rest, &request) == 1;) {
        if (request.op == KV_DELETE) {
            add(&out->deletes, request.delete_.key, request.delete_.end, arena);
        }
    }
    for (struct slice rest = requests; kv_next_request(&rest, &request) == 1;) {
        if (request.op == KV_TXN && !add_nested(&request.txn, arena, out)) {
            return 0;
        }
    }
    for (struct slice rest = requests; kv_next_request(&rest, &request) == 1;) {
        if (request.op != KV_PUT || (request.put.flags & KV_SEQUENTIAL) != 0) {
            continue; /* the key of a sequential put is a new one in any case */
        }
        if (is_put(out->puts, request.put.key) || is_deleted(out->deletes, request.put.key)) {
            return 0;
        }
        add(&out->puts, request.put.key, SLICE_EMPTY, arena);
    }
    return 1;
}

enum reference_error reference_check(const struct kv_request *request)
{
    enum reference_error error = check_one(request, TXN_OPS_MAX);
    if (error != REFERENCE_OK || request->op != KV_TXN) {
        return error;
    }
    struct arena arena = {0};
    struct touched then_ = {0};
    struct touched else_ = {0};
    int is_good = check_overlaps(request->txn.then_, &arena, &then_) &&
                  check_overlaps(request->txn.else_, &arena, &else_);
    arena_close(&arena);
    return is_good ? REFERENCE_OK : REFERENCE_DUPLICATE_KEY;
}
