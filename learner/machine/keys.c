/* Puts and deletes under revisions, and compaction. Every change leaves the key as it is now, an
 * event under its revision, and an entry among the versions of the key. */
#include "common/base/memory.h"
#include "common/base/mutant.h"
#include "learner/machine/state.h"

#include <stdlib.h>
#include <string.h>

/* ---- a command's revision */

uint64_t keys_revision(const struct machine *m)
{
    return m->revision + (m->sub > 0 ? 1 : 0);
}

void keys_begin(struct machine *m)
{
    CHECK(m->sub == 0);
    view_begin(m);
}

void keys_commit(struct machine *m)
{
    view_commit(m);
    if (m->sub > 0) {
        m->revision++;
        m->sub = 0;
    }
}

void keys_rollback(struct machine *m)
{
    view_rollback(m);
    recent_take_back(m);
    m->sub = 0;
}

/* ---- reading */

int keys_get(struct machine *m, struct slice key, struct present *out, struct blob **blob)
{
    struct record_key record;
    if (!view_get(m, record_now(&record, key), blob)) {
        return 0;
    }
    if (present_decode(key, slice_of(*blob), out) != 0) {
        machine_fail(m, ERROR_CORRUPT);
        blob_unref(*blob);
        return 0;
    }
    return 1;
}

int keys_change_at(struct machine *m, struct position at, struct change *out, struct blob **blob)
{
    struct record_key record;
    if (!view_get(m, record_event(&record, at), blob)) {
        machine_fail(m, ERROR_CORRUPT); /* something refers to it */
        return 0;
    }
    if (change_decode(slice_of(*blob), out) != 0) {
        machine_fail(m, ERROR_CORRUPT);
        blob_unref(*blob);
        return 0;
    }
    return 1;
}

/* ---- changing */

/* Notes a change under the next revision. */
static void note_change(struct machine *m, struct change *change, const struct present *old)
{
    struct record_key record;
    struct position at = {m->revision + 1, m->sub};
    if (old != NULL) {
        change->previous = (struct position){old->kv.mod, old->sub};
    }
    view_put_mixed(m, record_event(&record, at), change_encode(change));
    uint8_t kind = (uint8_t)change->kind;
    view_put_mixed(m, record_version(&record, change->kv.key, at), blob_copy(&kind, 1));
    recent_note(m, at.revision, change->kind, change->kv.key);
    m->sub++;
}

static void detach(struct machine *m, uint64_t lease, struct slice key)
{
    struct record_key record;
    view_delete_mixed(m, record_attached(&record, lease, key));
}

void keys_put(struct machine *m, struct slice key, struct slice value, uint64_t lease,
              const struct present *old)
{
    struct record_key record;
    uint64_t revision = m->revision + 1;
    struct present present = {.kv = {.create = old != NULL ? old->kv.create : revision,
                                     .mod = revision,
                                     .version = old != NULL ? old->kv.version + 1 : 1,
                                     .lease = lease,
                                     .key = key,
                                     .value = value},
                              .sub = m->sub};
    view_put_mixed(m, record_now(&record, key), present_encode(&present));
    uint64_t old_lease = old != NULL ? old->kv.lease : 0;
    if (old_lease != lease) {
        if (old_lease != 0 && !MUTANT(lease_not_detached)) {
            detach(m, old_lease, key);
        }
        if (lease != 0) {
            view_put_mixed(m, record_attached(&record, lease, key), blob_copy(NULL, 0));
        }
    }
    struct change change = {.kind = KV_EVENT_PUT, .kv = present.kv};
    note_change(m, &change, old);
}

static void delete_one(struct machine *m, const struct present *old)
{
    struct record_key record;
    struct slice key = old->kv.key;
    if (MUTANT(delete_keeps_version)) {
        struct present kept = *old;
        kept.kv.value = SLICE_EMPTY;
        view_put_mixed(m, record_now(&record, key), present_encode(&kept));
    } else {
        view_delete_mixed(m, record_now(&record, key));
    }
    if (old->kv.lease != 0) {
        detach(m, old->kv.lease, key);
    }
    struct change change = {.kind = KV_EVENT_DELETE, .kv = {.mod = m->revision + 1, .key = key}};
    note_change(m, &change, old);
}

/* What is going to be deleted, without the values. */
struct doomed {
    struct machine *machine;
    struct arena arena;
    struct present *keys;
    size_t count, capacity;
    keys_visit_fn visit;
    void *arg;
};

static int note_doomed(void *arg, struct slice key, struct slice value)
{
    struct doomed *doomed = arg;
    struct present present;
    if (present_decode(key, value, &present) != 0) {
        machine_fail(doomed->machine, ERROR_CORRUPT);
        return 1;
    }
    present.kv.key.data++; /* the table's byte */
    present.kv.key.size--;
    if (doomed->visit != NULL && doomed->visit(doomed->arg, &present.kv) != 0) {
        return 1;
    }
    uint8_t *copy = arena_alloc(&doomed->arena, present.kv.key.size);
    memcpy(copy, present.kv.key.data, present.kv.key.size);
    present.kv.key = slice_borrow(copy, present.kv.key.size);
    present.kv.value = SLICE_EMPTY;
    doomed->keys =
        memory_grow(doomed->keys, &doomed->capacity, doomed->count + 1, sizeof *doomed->keys);
    doomed->keys[doomed->count++] = present;
    return 0;
}

static uint64_t delete_single(struct machine *m, struct slice key, keys_visit_fn visit, void *arg)
{
    struct present old;
    struct blob *blob;
    if (!keys_get(m, key, &old, &blob)) {
        return 0;
    }
    if (visit != NULL) {
        visit(arg, &old.kv);
    }
    delete_one(m, &old);
    blob_unref(blob);
    return 1;
}

uint64_t keys_delete(struct machine *m, struct slice key, struct slice end, keys_visit_fn visit,
                     void *arg)
{
    if (end.size == 0) {
        return delete_single(m, key, visit, arg);
    }
    struct doomed doomed = {.machine = m, .visit = visit, .arg = arg};
    struct record_key from;
    struct record_key to;
    view_scan(m, record_now(&from, key), record_now_end(&to, key, end), note_doomed, &doomed);
    for (size_t i = 0; i < doomed.count; i++) {
        delete_one(m, &doomed.keys[i]);
    }
    arena_close(&doomed.arena);
    free(doomed.keys);
    return doomed.count;
}

/* ---- leases */

struct attached {
    struct arena arena;
    struct slice *keys;
    size_t count, capacity;
};

static int note_attached(void *arg, struct slice record, struct slice value)
{
    struct attached *attached = arg;
    (void)value;
    size_t size = record.size - 9; /* the table's byte and the lease's id */
    uint8_t *copy = arena_alloc(&attached->arena, size);
    memcpy(copy, record.data + 9, size);
    attached->keys = memory_grow(attached->keys, &attached->capacity, attached->count + 1,
                                 sizeof *attached->keys);
    attached->keys[attached->count++] = slice_borrow(copy, size);
    return 0;
}

void keys_delete_attached(struct machine *m, uint64_t lease)
{
    struct attached attached = {0};
    struct record_key from;
    struct record_key to;
    view_scan(m, record_attached(&from, lease, SLICE_EMPTY),
              record_attached(&to, lease + 1, SLICE_EMPTY), note_attached, &attached);
    keys_begin(m);
    for (size_t i = 0; i < attached.count; i++) {
        struct present old;
        struct blob *blob;
        if (keys_get(m, attached.keys[i], &old, &blob)) {
            delete_one(m, &old);
            blob_unref(blob);
        } else {
            machine_fail(m, ERROR_CORRUPT);
        }
    }
    keys_commit(m);
    arena_close(&attached.arena);
    free(attached.keys);
}

/* ---- compaction */

enum result_status keys_compact(struct machine *m, uint64_t revision)
{
    if (m->is_compacted && revision <= m->compacted) {
        return RESULT_COMPACTED;
    }
    if (revision > m->revision) {
        return RESULT_FUTURE;
    }
    m->is_compacted = 1;
    m->compacted = revision;
    machine_mix_numbers(m, 'c', revision, 0);
    return RESULT_OK;
}
