/* The store with the changes of this turn on top. Commands of one turn see each other's changes, of
 * which the store knows nothing before the turn ends. */
#include "common/base/memory.h"
#include "common/base/mutant.h"
#include "learner/machine/state.h"

#include <stdlib.h>
#include <string.h>

static int entry_compare(const struct view_entry *a, const struct view_entry *b)
{
    return kv_compare_keys(a->key, b->key);
}

TREE_GENERATE(view_tree, view_entry, link, entry_compare)

static struct view_entry *find(struct machine *m, struct slice key)
{
    struct view_entry wanted = {.key = key};
    return RB_FIND(view_tree, &m->view.entries, &wanted);
}

/* ---- reading */

int view_get(struct machine *m, struct slice key, struct blob **value)
{
    const struct view_entry *entry = find(m, key);
    m->visited++;
    if (entry != NULL) {
        *value = blob_ref(entry->value);
        return entry->value != NULL;
    }
    int rc = m->reader.get(m->reader.self, key, value);
    if (rc != 0 && rc != ERROR_NOT_FOUND) {
        machine_fail(m, rc);
    }
    return rc == 0;
}

/* The store's keys and the view's, merged; the view's count. */
struct merge {
    struct machine *machine;
    struct view_entry *next; /* of the view */
    struct slice to;
    store_visit_fn visit;
    void *arg;
    int is_stopped;
};

/* Visits what the view has before key, or to its end if key is NULL. */
static void visit_view(struct merge *merge, const struct slice *key)
{
    while (merge->next != NULL && !merge->is_stopped) {
        struct view_entry *entry = merge->next;
        if (kv_compare_keys(entry->key, key != NULL ? *key : merge->to) >= 0) {
            return;
        }
        merge->next = RB_NEXT(view_tree, NULL, entry);
        if (entry->value != NULL) {
            merge->is_stopped = merge->visit(merge->arg, entry->key, slice_of(entry->value));
        }
    }
}

static int visit_stored(void *arg, struct slice key, struct slice value)
{
    struct merge *merge = arg;
    merge->machine->visited++;
    visit_view(merge, &key);
    if (merge->is_stopped) {
        return 1;
    }
    struct view_entry *entry = merge->next;
    if (entry != NULL && slice_equal(entry->key, key)) {
        merge->next = RB_NEXT(view_tree, NULL, entry);
        if (entry->value == NULL) {
            return 0;
        }
        value = slice_of(entry->value);
    }
    merge->is_stopped = merge->visit(merge->arg, key, value);
    return merge->is_stopped;
}

void view_scan(struct machine *m, struct slice from, struct slice to, store_visit_fn visit,
               void *arg)
{
    if (kv_compare_keys(from, to) >= 0) {
        return;
    }
    m->visited++;
    struct view_entry wanted = {.key = from};
    struct merge merge = {.machine = m,
                          .next = RB_NFIND(view_tree, &m->view.entries, &wanted),
                          .to = to,
                          .visit = visit,
                          .arg = arg};
    int rc = m->reader.scan(m->reader.self, from, to, visit_stored, &merge);
    if (rc != 0) {
        machine_fail(m, rc);
        return;
    }
    visit_view(&merge, NULL);
}

/* ---- writing */

static void note_undo(struct machine *m, struct view_entry *entry, int was_absent)
{
    struct view *view = &m->view;
    view->undo =
        memory_grow(view->undo, &view->undo_capacity, view->undo_count + 1, sizeof *view->undo);
    view->undo[view->undo_count++] = (struct view_undo){.entry = entry,
                                                        .value = blob_ref(entry->value),
                                                        .was_absent = was_absent,
                                                        .was_dirty = entry->is_dirty};
}

static void set(struct machine *m, struct slice key, struct blob *value)
{
    CHECK(key.size > 0 && key.size <= RECORD_KEY_BYTES_MAX);
    struct view_entry *entry = find(m, key);
    int was_absent = entry == NULL;
    if (was_absent) {
        entry = memory_alloc(sizeof *entry + key.size);
        memcpy(entry + 1, key.data, key.size);
        *entry = (struct view_entry){.key = slice_borrow(entry + 1, key.size)};
        RB_INSERT(view_tree, &m->view.entries, entry);
    }
    if (m->view.is_recording) {
        note_undo(m, entry, was_absent);
    }
    m->unwritten_bytes += sizeof *entry + key.size + (value != NULL ? value->size : 0);
    blob_unref(entry->value);
    entry->value = value;
    entry->is_dirty = 1;
}

void view_put(struct machine *m, struct slice key, struct blob *value)
{
    CHECK(value != NULL);
    set(m, key, value);
}

void view_delete(struct machine *m, struct slice key)
{
    set(m, key, NULL);
}

void view_put_mixed(struct machine *m, struct slice key, struct blob *value)
{
    machine_mix(m, key.data, key.size);
    machine_mix(m, value->data, value->size);
    view_put(m, key, value);
}

void view_delete_mixed(struct machine *m, struct slice key)
{
    machine_mix(m, key.data, key.size);
    machine_mix(m, NULL, 0);
    view_delete(m, key);
}

/* ---- taking back */

void view_begin(struct machine *m)
{
    CHECK(!m->view.is_recording && m->view.undo_count == 0);
    m->view.is_recording = 1;
}

static void remove_entry(struct machine *m, struct view_entry *entry)
{
    RB_REMOVE(view_tree, &m->view.entries, entry);
    blob_unref(entry->value);
    free(entry);
}

void view_commit(struct machine *m)
{
    CHECK(m->view.is_recording);
    for (size_t i = 0; i < m->view.undo_count; i++) {
        blob_unref(m->view.undo[i].value);
    }
    m->view.undo_count = 0;
    m->view.is_recording = 0;
}

void view_rollback(struct machine *m)
{
    CHECK(m->view.is_recording);
    while (m->view.undo_count > 0 && !MUTANT(failed_txn_leaves_writes)) {
        struct view_undo *undo = &m->view.undo[--m->view.undo_count];
        if (undo->was_absent) {
            remove_entry(m, undo->entry);
        } else {
            blob_unref(undo->entry->value);
            undo->entry->value = undo->value;
            undo->entry->is_dirty = undo->was_dirty;
        }
    }
    view_commit(m);
}

/* ---- to the store */

void view_flush(struct machine *m, struct effects *out)
{
    struct view_entry *entry;
    RB_FOREACH(entry, view_tree, &m->view.entries)
    {
        if (!entry->is_dirty) {
            continue;
        }
        if (entry->value != NULL) {
            effects_put(out, RECORD_LAZY, entry->key, SLICE_EMPTY, slice_of(entry->value));
        } else {
            effects_delete(out, entry->key);
        }
        entry->is_dirty = 0;
    }
}

static void drop(struct machine *m, int only_written)
{
    struct view_entry *next;
    for (struct view_entry *entry = RB_MIN(view_tree, &m->view.entries); entry != NULL;
         entry = next) {
        next = RB_NEXT(view_tree, NULL, entry);
        if (!only_written || !entry->is_dirty) {
            remove_entry(m, entry);
        }
    }
}

void view_written(struct machine *m)
{
    drop(m, 1);
}

void view_close(struct machine *m)
{
    drop(m, 0);
    free(m->view.undo);
}
