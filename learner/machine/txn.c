/* Requests on keys: which branches are taken is decided on the state before, then everything on
 * them is checked, then executed; the order is etcd's. What still fails leaves no trace. */
#include "common/base/bytes.h"
#include "common/base/mutant.h"
#include "learner/machine/state.h"

#include <string.h>

#define NESTED_MAX (TXN_OPS_TOTAL_MAX + 1)

/* ---- walking the branches that are taken */

/* Which transactions, in the order in which they are met, take their `then`. */
struct path {
    uint8_t takes_then[NESTED_MAX];
    size_t count;
};

struct walk {
    const struct path *path;
    size_t met;                           /* transactions */
    struct slice rest[TXN_DEPTH_MAX + 1]; /* of each level's branch */
    int depth;
};

enum step { STEP_REQUEST, STEP_LEVEL_ENDS, STEP_END };

static void walk_enter(struct walk *walk, const struct kv_txn *txn)
{
    CHECK(walk->depth <= TXN_DEPTH_MAX);
    CHECK(walk->met < walk->path->count);
    int takes_then = walk->path->takes_then[walk->met++];
    walk->rest[walk->depth++] = takes_then ? txn->then_ : txn->else_;
}

/* The next request; after a transaction the caller has to enter it. */
static enum step walk_next(struct walk *walk, struct kv_request *out)
{
    if (walk->depth == 0) {
        return STEP_END;
    }
    int rc = kv_next_request(&walk->rest[walk->depth - 1], out);
    CHECK(rc >= 0); /* it was validated before it entered the log */
    if (rc == 1) {
        return STEP_REQUEST;
    }
    walk->depth--;
    return STEP_LEVEL_ENDS;
}

/* ---- compares */

static int holds(enum kv_relation relation, int order)
{
    switch (relation) {
    case KV_EQUAL:
        return order == 0;
    case KV_GREATER:
        return order > 0;
    case KV_LESS:
        return order < 0;
    case KV_NOT_EQUAL:
        break;
    }
    return order != 0;
}

static int compare_kv(const struct kv_compare *compare, const struct kv *kv)
{
    uint64_t number = 0;
    switch (compare->target) {
    case KV_TARGET_VALUE:
        return holds(compare->relation, kv_compare_keys(kv->value, compare->value));
    case KV_TARGET_VERSION:
        number = kv->version;
        break;
    case KV_TARGET_CREATE:
        number = kv->create;
        break;
    case KV_TARGET_MOD:
        number = kv->mod;
        break;
    case KV_TARGET_LEASE:
        number = kv->lease;
        break;
    case KV_TARGET_KEY: /* etcd knows none such; kv_request_parse refuses it */
        break;
    }
    int64_t a = (int64_t)number;
    int64_t b = (int64_t)compare->number;
    return holds(compare->relation, a < b ? -1 : a > b);
}

struct comparing {
    struct machine *machine;
    const struct kv_compare *compare;
    int is_found, fails;
};

static int visit_compared(void *arg, struct found *found)
{
    struct comparing *comparing = arg;
    comparing->is_found = 1;
    comparing->fails =
        !found_load(comparing->machine, found) || !compare_kv(comparing->compare, &found->kv);
    return comparing->fails;
}

/* Holds for every key of the range; where there is none, for numbers that are all 0. */
static int compare_holds(struct machine *m, const struct kv_compare *compare)
{
    struct comparing comparing = {.machine = m, .compare = compare};
    range_walk(m, compare->key, compare->end, 0, visit_compared, &comparing);
    if (comparing.is_found) {
        return !comparing.fails;
    }
    struct kv nothing = {0};
    return compare->target != KV_TARGET_VALUE && compare_kv(compare, &nothing);
}

static int compares_hold(struct machine *m, const struct kv_txn *txn)
{
    struct slice rest = txn->compares;
    struct kv_compare compare;
    while (kv_next_compare(&rest, &compare) == 1) {
        if (!compare_holds(m, &compare)) {
            return 0;
        }
    }
    return 1;
}

static void decide(struct machine *m, const struct kv_txn *txn, struct path *path)
{
    CHECK(path->count < NESTED_MAX);
    int is_then = compares_hold(m, txn);
    path->takes_then[path->count++] = (uint8_t)(MUTANT(txn_else_then_swapped) ? !is_then : is_then);
}

/* Decides all branches. Nested transactions, too, compare with the state before all of it. */
static void decide_path(struct machine *m, const struct kv_txn *txn, struct path *path)
{
    struct walk walk = {.path = path};
    struct kv_request request;
    enum step step;
    path->count = 0;
    decide(m, txn, path);
    walk_enter(&walk, txn);
    while ((step = walk_next(&walk, &request)) != STEP_END) {
        if (step == STEP_REQUEST && request.op == KV_TXN) {
            decide(m, &request.txn, path);
            walk_enter(&walk, &request.txn);
        }
    }
}

/* ---- checks */

static int lease_is_missing(struct machine *m, uint64_t lease)
{
    return lease != 0 && lease_find(m, lease) == NULL;
}

static int key_is_missing(struct machine *m, const struct kv_put *put)
{
    struct present present;
    struct blob *blob;
    if ((put->flags & (KV_IGNORE_VALUE | KV_IGNORE_LEASE)) == 0) {
        return 0;
    }
    if (!keys_get(m, put->key, &present, &blob)) {
        return 1;
    }
    blob_unref(blob);
    return 0;
}

typedef enum result_status (*check_fn)(struct machine *m, const struct kv_request *request);

static enum result_status check_put(struct machine *m, const struct kv_request *request)
{
    if (request->op != KV_PUT) {
        return RESULT_OK;
    }
    if (key_is_missing(m, &request->put)) {
        return RESULT_KEY_NOT_FOUND;
    }
    return lease_is_missing(m, request->put.lease) ? RESULT_LEASE_NOT_FOUND : RESULT_OK;
}

static enum result_status check_range(struct machine *m, const struct kv_request *request)
{
    return request->op == KV_RANGE ? range_check(m, request->range.revision) : RESULT_OK;
}

static enum result_status check_all(struct machine *m, const struct kv_txn *txn,
                                    const struct path *path, check_fn check)
{
    struct walk walk = {.path = path};
    struct kv_request request;
    enum step step;
    enum result_status status = RESULT_OK;
    walk_enter(&walk, txn);
    while (status == RESULT_OK && (step = walk_next(&walk, &request)) != STEP_END) {
        if (step == STEP_REQUEST && request.op == KV_TXN) {
            walk_enter(&walk, &request.txn);
        } else if (step == STEP_REQUEST) {
            status = check(m, &request);
        }
    }
    return status;
}

/* ---- execution */

static enum result_status size_status(const struct buffer *out)
{
    return out->size > KV_RESPONSE_BYTES_MAX ? RESULT_TOO_LARGE : RESULT_OK;
}

static void put_hexadecimal(uint8_t *p, uint64_t v, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        p[i] = (uint8_t) "0123456789abcdef"[v & 15];
        v >>= 4;
    }
}

/* The key with its place in the history behind it: no later put makes a lower one. */
static struct slice sequential_key(const struct machine *m, struct slice key, uint8_t *bytes)
{
    CHECK(key.size + KV_SUFFIX_BYTES <= KEY_BYTES_MAX);
    memcpy(bytes, key.data, key.size);
    put_hexadecimal(bytes + key.size, m->revision + 1, 16);
    put_hexadecimal(bytes + key.size + 16, m->sub, 8);
    return slice_borrow(bytes, key.size + KV_SUFFIX_BYTES);
}

static enum result_status do_put(struct machine *m, const struct kv_put *put, struct buffer *out)
{
    uint8_t bytes[KEY_BYTES_MAX];
    int is_sequential = (put->flags & KV_SEQUENTIAL) != 0;
    struct slice key = is_sequential ? sequential_key(m, put->key, bytes) : put->key;
    struct present old;
    struct blob *blob = NULL;
    int was_there = keys_get(m, key, &old, &blob);
    if (!was_there && (put->flags & (KV_IGNORE_VALUE | KV_IGNORE_LEASE)) != 0) {
        return RESULT_KEY_NOT_FOUND; /* deleted by the same transaction */
    }
    struct slice value = (put->flags & KV_IGNORE_VALUE) != 0 ? old.kv.value : put->value;
    uint64_t lease = (put->flags & KV_IGNORE_LEASE) != 0 ? old.kv.lease : put->lease;
    keys_put(m, key, value, lease, was_there ? &old : NULL);
    int tells = was_there && (put->flags & KV_PREVIOUS) != 0;
    size_t mark = kv_begin_response(out, KV_PUT);
    buffer_put_u8(out, (uint8_t)tells);
    buffer_put_u32(out, is_sequential ? (uint32_t)key.size : 0);
    if (is_sequential) {
        buffer_put(out, key);
    }
    if (tells) {
        kv_put_kv(out, &old.kv);
    }
    kv_end_response(out, mark);
    blob_unref(was_there ? blob : NULL);
    return size_status(out);
}

struct deletion {
    struct buffer *out;
    uint32_t count;
};

static int tell_deleted(void *arg, const struct kv *kv)
{
    struct deletion *deletion = arg;
    kv_put_kv(deletion->out, kv);
    deletion->count++;
    return size_status(deletion->out) != RESULT_OK;
}

static enum result_status do_delete(struct machine *m, const struct kv_delete *request,
                                    struct buffer *out)
{
    struct deletion deletion = {.out = out};
    size_t mark = kv_begin_response(out, KV_DELETE);
    size_t head = out->size;
    buffer_extend(out, 12);
    int tells = (request->flags & KV_PREVIOUS) != 0;
    uint64_t deleted =
        keys_delete(m, request->key, request->end, tells ? tell_deleted : NULL, &deletion);
    bytes_put_u64(out->data + head, deleted);
    bytes_put_u32(out->data + head + 8, deletion.count);
    kv_end_response(out, mark);
    return size_status(out);
}

/* Responses of the transactions that are under way, outermost first. */
struct open_responses {
    size_t marks[TXN_DEPTH_MAX + 1], heads[TXN_DEPTH_MAX + 1];
    uint32_t counts[TXN_DEPTH_MAX + 1];
    int depth;
};

static void open_response(struct open_responses *open, int succeeded, struct buffer *out)
{
    if (open->depth > 0) {
        open->counts[open->depth - 1]++;
    }
    open->marks[open->depth] = kv_begin_response(out, KV_TXN);
    buffer_put_u8(out, (uint8_t)succeeded);
    open->heads[open->depth] = out->size;
    buffer_put_u32(out, 0);
    open->counts[open->depth++] = 0;
}

static void close_response(struct open_responses *open, struct buffer *out)
{
    open->depth--;
    bytes_put_u32(out->data + open->heads[open->depth], open->counts[open->depth]);
    kv_end_response(out, open->marks[open->depth]);
}

static enum result_status do_simple(struct machine *m, const struct kv_request *request,
                                    int is_page, struct buffer *out)
{
    switch (request->op) {
    case KV_RANGE:
        return range_respond(m, &request->range, is_page, out);
    case KV_PUT:
        return do_put(m, &request->put, out);
    case KV_DELETE:
        return do_delete(m, &request->delete_, out);
    case KV_TXN:
        break;
    }
    CHECK(0);
    return RESULT_MALFORMED;
}

static enum result_status do_txn(struct machine *m, const struct kv_txn *txn,
                                 const struct path *path, struct buffer *out)
{
    struct walk walk = {.path = path};
    struct open_responses open = {0};
    struct kv_request request;
    enum result_status status = RESULT_OK;
    enum step step;
    open_response(&open, path->takes_then[0], out);
    walk_enter(&walk, txn);
    while (status == RESULT_OK && (step = walk_next(&walk, &request)) != STEP_END) {
        if (step == STEP_LEVEL_ENDS) {
            close_response(&open, out);
        } else if (request.op == KV_TXN) {
            open_response(&open, path->takes_then[walk.met], out);
            walk_enter(&walk, &request.txn);
        } else {
            open.counts[open.depth - 1]++;
            status = do_simple(m, &request, 0, out);
        }
    }
    return status;
}

static enum result_status execute_txn(struct machine *m, const struct kv_txn *txn,
                                      struct buffer *out)
{
    struct path path;
    decide_path(m, txn, &path);
    enum result_status status = check_all(m, txn, &path, check_put);
    if (status == RESULT_OK) {
        status = check_all(m, txn, &path, check_range);
    }
    return status == RESULT_OK ? do_txn(m, txn, &path, out) : status;
}

/* A request that is no transaction asks for the lease first, a transaction for the key. */
static enum result_status execute_single(struct machine *m, const struct kv_request *request,
                                         int is_page, struct buffer *out)
{
    enum result_status status = check_range(m, request);
    if (request->op == KV_PUT && lease_is_missing(m, request->put.lease)) {
        status = RESULT_LEASE_NOT_FOUND;
    }
    return status == RESULT_OK ? do_simple(m, request, is_page, out) : status;
}

enum result_status txn_execute(struct machine *m, const struct kv_request *request, int is_query,
                               struct buffer *out)
{
    size_t before = out->size;
    uint64_t changes = m->changes;
    if (is_query) {
        m->slot_keys = 0;
    } else if (m->slot_bytes >= SLOT_RESPONSE_BYTES_MAX || m->slot_keys > SLOT_KEYS_MAX) {
        return RESULT_TOO_LARGE;
    }
    if (!is_query) {
        keys_begin(m);
    }
    enum result_status status = request->op == KV_TXN ? execute_txn(m, &request->txn, out)
                                                      : execute_single(m, request, is_query, out);
    if (m->slot_keys > SLOT_KEYS_MAX) {
        status = RESULT_TOO_LARGE;
    } else if (status == RESULT_OK) {
        status = size_status(out); /* what has no keys in it was not counted yet */
    }
    if (status != RESULT_OK) {
        out->size = before;
    }
    if (!is_query && status == RESULT_OK) {
        m->slot_bytes += out->size - before;
        keys_commit(m);
    } else if (!is_query) {
        m->changes = changes;
        keys_rollback(m);
    }
    return status;
}

uint64_t txn_status_revision(const struct machine *m, enum result_status status)
{
    return status == RESULT_COMPACTED ? m->compacted : m->revision;
}
