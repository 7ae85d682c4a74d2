/* Ranges of keys, now and at old revisions. The order of filtering, sorting and limiting is etcd
 * 3.4's, and can be seen: the limit comes before the sorting if no order was asked for. */
#include "common/base/bytes.h"
#include "common/base/memory.h"
#include "common/base/mutant.h"
#include "common/protocol/kv_sort.h"
#include "learner/machine/state.h"

#include <stdlib.h>
#include <string.h>

/* Versions of a key that are newer than what is wanted are passed over one by one, up to so many:
 * then a new seek is cheaper. */
#define VERSIONS_PASSED_MAX 16

/* Keys that a sort holds at a time, beyond twice its limit; and their bytes. */
#define SORT_SLACK 1024
#define SORT_BYTES_MAX (8 * MIB)

/* ---- walking */

int found_load(struct machine *m, struct found *found)
{
    if (!found->is_loaded) {
        struct change change;
        if (!keys_change_at(m, found->at, &change, &found->blob)) {
            return 0;
        }
        found->kv = change.kv;
        found->is_loaded = 1;
    }
    return 1;
}

struct walk {
    struct machine *machine;
    found_fn visit;
    void *arg;
    uint64_t revision;
    struct record_key key;  /* of the last record that was looked at */
    struct record_key from; /* where to go on */
    int is_decided; /* the version of `key` that counts was found: older ones do not matter */
    int passed;
    int is_stopped, is_restarted;
};

/* Visits a key. What does not depend on the sweep is counted: it is the same everywhere. */
static int visit_found(struct walk *walk, struct found *found)
{
    if (++walk->machine->slot_keys > SLOT_KEYS_MAX) {
        return 1;
    }
    return walk->visit(walk->arg, found);
}

static int visit_now(void *arg, struct slice record, struct slice value)
{
    struct walk *walk = arg;
    struct slice key = slice_borrow(record.data + 1, record.size - 1);
    struct present present;
    if (present_decode(key, value, &present) != 0) {
        machine_fail(walk->machine, ERROR_CORRUPT);
        return 1;
    }
    struct found found = {
        .key = key, .at = {present.kv.mod, present.sub}, .is_loaded = 1, .kv = present.kv};
    return visit_found(walk, &found);
}

/* Ends the scan, to begin another one at the version that counts, or behind the last one. */
static int restart(struct walk *walk, struct slice key)
{
    struct position at = {walk->is_decided ? 0 : walk->revision, walk->is_decided ? 0 : UINT32_MAX};
    record_version(&walk->from, key, at);
    walk->is_restarted = 1;
    return 1;
}

static int visit_version(void *arg, struct slice record, struct slice value)
{
    struct walk *walk = arg;
    struct record_key key;
    struct position at;
    if (version_decode(record, &key, &at) != 0 || value.size != 1) {
        machine_fail(walk->machine, ERROR_CORRUPT);
        return 1;
    }
    struct slice user = slice_borrow(key.bytes, key.size);
    if (!slice_equal(user, slice_borrow(walk->key.bytes, walk->key.size))) {
        memcpy(walk->key.bytes, key.bytes, key.size);
        walk->key.size = key.size;
        walk->is_decided = 0;
        walk->passed = 0;
    }
    if (walk->is_decided || at.revision > walk->revision) {
        return ++walk->passed > VERSIONS_PASSED_MAX ? restart(walk, user) : 0;
    }
    walk->is_decided = 1;
    walk->passed = 0;
    if (value.data[0] == KV_EVENT_DELETE) {
        return 0;
    }
    struct found found = {.key = user, .at = at};
    walk->is_stopped = visit_found(walk, &found);
    blob_unref(found.blob);
    return walk->is_stopped;
}

static void walk_versions(struct walk *walk, struct slice key, struct slice end)
{
    struct record_key to;
    uint64_t from = end.size == 0 ? walk->revision : UINT64_MAX; /* one key: straight to it */
    record_version(&walk->from, key, (struct position){from, UINT32_MAX});
    struct slice stop = record_version_end(&to, key, end);
    do {
        walk->is_restarted = 0;
        walk->passed = 0;
        struct record_key start = walk->from;
        view_scan(walk->machine, slice_borrow(start.bytes, start.size), stop, visit_version, walk);
    } while (walk->is_restarted && walk->machine->failure == 0);
}

static void walk_now(struct walk *walk, struct slice key, struct slice end)
{
    if (end.size > 0) {
        struct record_key from;
        struct record_key to;
        view_scan(walk->machine, record_now(&from, key), record_now_end(&to, key, end), visit_now,
                  walk);
        return;
    }
    struct present present;
    struct blob *blob;
    if (keys_get(walk->machine, key, &present, &blob)) {
        struct found found = {
            .key = key, .at = {present.kv.mod, present.sub}, .is_loaded = 1, .kv = present.kv};
        walk->visit(walk->arg, &found);
        blob_unref(blob);
    }
}

void range_walk(struct machine *m, struct slice key, struct slice end, uint64_t revision,
                found_fn visit, void *arg)
{
    struct walk walk = {.machine = m, .visit = visit, .arg = arg, .revision = revision};
    if (revision == 0 || revision >= keys_revision(m)) {
        walk_now(&walk, key, end);
    } else {
        walk_versions(&walk, key, end);
    }
}

enum result_status range_check(const struct machine *m, uint64_t revision)
{
    if (revision > keys_revision(m)) {
        return RESULT_FUTURE;
    }
    if (revision == 0 || revision >= m->compacted || MUTANT(compacted_read_allowed)) {
        return RESULT_OK;
    }
    return m->is_continued && sweep_has_keys(m, revision) ? RESULT_OK : RESULT_COMPACTED;
}

/* ---- responding */

struct respond {
    struct machine *machine;
    const struct kv_range *range;
    struct buffer *out;
    size_t mark; /* of the response, whose numbers are filled in at the end */
    int is_page;
    size_t room; /* bytes that the response may have */
    enum result_status status;
    uint64_t count;   /* keys of the range, whatever the filters */
    uint64_t matches; /* those that passed the filters */
    uint32_t kv_count;
    int more;
    /* Sorted ranges only. */
    struct kv *kvs; /* with references of their own */
    size_t size, capacity, bytes;
    uint64_t presort_limit; /* so many of the first keys are sorted; 0: all */
};

static size_t kv_bytes(const struct kv *kv)
{
    return 40 + kv->key.size + kv->value.size;
}

static int passes_filters(const struct kv_range *range, const struct kv *kv)
{
    int64_t mod = (int64_t)kv->mod;
    int64_t create = (int64_t)kv->create;
    return (range->max_mod == 0 || mod <= (int64_t)range->max_mod) &&
           (range->min_mod == 0 || mod >= (int64_t)range->min_mod) &&
           (range->max_create == 0 || create <= (int64_t)range->max_create) &&
           (range->min_create == 0 || create >= (int64_t)range->min_create);
}

/* Appends a kv. 0 if it does not fit any more. */
static int emit(struct respond *respond, const struct kv *kv)
{
    int is_first = respond->is_page && respond->kv_count == 0; /* a page is never empty */
    if (!is_first && respond->out->size + kv_bytes(kv) > respond->room) {
        return 0;
    }
    struct kv shown = *kv;
    if ((respond->range->flags & KV_KEYS_ONLY) != 0) {
        shown.value = SLICE_EMPTY;
    }
    kv_put_kv(respond->out, &shown);
    respond->kv_count++;
    return 1;
}

/* 1 if nothing that comes can change the response. */
static int is_over(const struct respond *respond)
{
    return respond->more && (respond->range->flags & KV_NO_COUNT) != 0;
}

/* Keys in the order in which they are wanted: nothing has to be kept. */
static int respond_in_order(void *arg, struct found *found)
{
    struct respond *respond = arg;
    const struct kv_range *range = respond->range;
    respond->count++;
    if ((range->flags & KV_COUNT_ONLY) != 0 || respond->more) {
        return is_over(respond);
    }
    if (range->limit > 0 && respond->matches == range->limit && !kv_range_has_filters(range)) {
        respond->more = 1;
        return is_over(respond);
    }
    if (!found_load(respond->machine, found)) {
        return 1;
    }
    if (!passes_filters(range, &found->kv)) {
        return 0;
    }
    if (range->limit > 0 && respond->matches == range->limit) {
        respond->more = 1;
        return is_over(respond);
    }
    respond->matches++;
    if (!emit(respond, &found->kv)) {
        if (!respond->is_page) {
            respond->status = RESULT_TOO_LARGE;
            return 1;
        }
        respond->more = 1;
        return is_over(respond);
    }
    return 0;
}

/* ---- sorting */

static void drop_kvs(struct respond *respond, size_t from)
{
    for (size_t i = from; i < respond->size; i++) {
        respond->bytes -= kv_bytes(&respond->kvs[i]);
        slice_drop(&respond->kvs[i].key);
        slice_drop(&respond->kvs[i].value);
    }
    if (from < respond->size) {
        respond->size = from;
    }
}

/* Only the best `limit` of what was seen can be in the response. */
static void keep_best(struct respond *respond)
{
    kv_sort(respond->range, respond->kvs, respond->size);
    if (respond->range->limit > 0 && respond->size > respond->range->limit) {
        drop_kvs(respond, (size_t)respond->range->limit);
    }
}

static int respond_sorted(void *arg, struct found *found)
{
    struct respond *respond = arg;
    const struct kv_range *range = respond->range;
    respond->count++;
    if ((range->flags & KV_COUNT_ONLY) != 0) {
        return 0;
    }
    if (respond->presort_limit > 0 && respond->count > respond->presort_limit) {
        return (range->flags & KV_NO_COUNT) != 0;
    }
    if (!found_load(respond->machine, found)) {
        return 1;
    }
    if (!passes_filters(range, &found->kv)) {
        return 0;
    }
    respond->matches++;
    struct kv kv = found->kv;
    if ((range->flags & KV_KEYS_ONLY) != 0 && range->target != KV_TARGET_VALUE) {
        kv.value = SLICE_EMPTY;
    }
    kv.key = slice_keep(kv.key);
    kv.value = slice_keep(kv.value);
    respond->kvs =
        memory_grow(respond->kvs, &respond->capacity, respond->size + 1, sizeof *respond->kvs);
    respond->kvs[respond->size++] = kv;
    respond->bytes += kv_bytes(&kv);
    uint64_t limit = range->limit;
    if ((limit > 0 && limit < SIZE_MAX / 4 && respond->size >= 2 * limit + SORT_SLACK) ||
        respond->bytes > SORT_BYTES_MAX) {
        keep_best(respond);
        if (respond->bytes > SORT_BYTES_MAX / 2) {
            respond->status = RESULT_TOO_LARGE;
            return 1;
        }
    }
    return 0;
}

static void emit_sorted(struct respond *respond)
{
    if (respond->status == RESULT_OK) {
        keep_best(respond);
        respond->is_page = 0; /* there is no key to go on behind */
        respond->more = respond->size < respond->matches;
        for (size_t i = 0; i < respond->size && respond->status == RESULT_OK; i++) {
            if (!emit(respond, &respond->kvs[i])) {
                respond->status = RESULT_TOO_LARGE;
            }
        }
    }
    drop_kvs(respond, 0);
    free(respond->kvs);
}

/* A query that is sorted may be answered with two pages at once, as much as any other response. */
static size_t room_of(const struct machine *m, const struct kv_range *range, int is_page)
{
    _Static_assert(2 * PAGE_BYTES_TARGET == KV_RESPONSE_BYTES_MAX, "so far for any request");
    if (!is_page) {
        return KV_RESPONSE_BYTES_MAX;
    }
    return kv_range_is_sorted(range) ? 2 * m->page_bytes : m->page_bytes;
}

enum result_status range_respond(struct machine *m, const struct kv_range *range, int is_page,
                                 struct buffer *out)
{
    struct respond respond = {.machine = m,
                              .range = range,
                              .out = out,
                              .is_page = is_page,
                              .room = room_of(m, range, is_page),
                              .status = RESULT_OK};
    respond.mark = kv_begin_response(out, KV_RANGE);
    size_t head = out->size;
    buffer_extend(out, 13);
    if (kv_range_is_sorted(range)) {
        respond.presort_limit = kv_range_presort_limit(range);
        range_walk(m, range->key, range->end, range->revision, respond_sorted, &respond);
        emit_sorted(&respond);
    } else {
        range_walk(m, range->key, range->end, range->revision, respond_in_order, &respond);
    }
    bytes_put_u64(out->data + head, respond.count);
    out->data[head + 8] = (uint8_t)respond.more;
    bytes_put_u32(out->data + head + 9, respond.kv_count);
    kv_end_response(out, respond.mark);
    return respond.status;
}
