/* Leases: granted, kept alive, revoked, and expired by the stamps of the log alone. */
#include "common/base/bytes.h"
#include "common/base/memory.h"
#include "common/base/mutant.h"
#include "learner/machine/state.h"

#include <stdlib.h>

/* Key 'q' + id. Value: ttl_ms, seen_ms, id of the session that it ends with or 0. A session's lease
 * is in the session's record. */
#define LEASE_KEY_BYTES 9
#define LEASE_VALUE_BYTES 24

static int compare_ids(const struct lease *a, const struct lease *b)
{
    return a->id < b->id ? -1 : a->id > b->id;
}

uint64_t lease_due_ms(const struct lease *lease)
{
    return lease->seen_ms > UINT64_MAX - lease->ttl_ms ? UINT64_MAX
                                                       : lease->seen_ms + lease->ttl_ms;
}

static int compare_due(const struct lease *a, const struct lease *b)
{
    uint64_t due_a = lease_due_ms(a);
    uint64_t due_b = lease_due_ms(b);
    if (due_a != due_b) {
        return due_a < due_b ? -1 : 1;
    }
    return compare_ids(a, b);
}

TREE_GENERATE(lease_tree, lease, by_id, compare_ids)
TREE_GENERATE(due_tree, lease, by_due, compare_due)

struct lease *lease_find(struct machine *m, uint64_t id)
{
    struct lease wanted = {.id = id};
    return RB_FIND(lease_tree, &m->leases, &wanted);
}

struct lease *lease_from(struct machine *m, uint64_t first)
{
    struct lease wanted = {.id = first};
    return RB_NFIND(lease_tree, &m->leases, &wanted);
}

struct lease *lease_after(const struct lease *lease)
{
    struct lease *at = (struct lease *)(uintptr_t)lease;
    return RB_NEXT(lease_tree, NULL, at);
}

void lease_touch(struct machine *m, struct lease *lease)
{
    if (!lease->is_dirty) {
        m->dirty = memory_grow(m->dirty, &m->dirty_capacity, m->dirty_count + 1, sizeof *m->dirty);
        m->dirty[m->dirty_count++] = lease->id;
        lease->is_dirty = 1;
    }
}

static struct lease *insert(struct machine *m, const struct lease *content)
{
    struct lease *lease = memory_alloc(sizeof *lease);
    *lease = *content;
    if (RB_INSERT(lease_tree, &m->leases, lease) != NULL) {
        free(lease);
        return NULL;
    }
    RB_INSERT(due_tree, &m->due, lease);
    m->lease_count++;
    if (lease->owner != NULL) {
        lease->next_bound = lease->owner->bound;
        lease->bound_at = &lease->owner->bound;
        lease->owner->bound = lease;
        if (lease->next_bound != NULL) {
            lease->next_bound->bound_at = &lease->next_bound;
        }
    }
    return lease;
}

struct lease *lease_add(struct machine *m, uint64_t id, uint64_t ttl_ms, struct session *owner)
{
    if (m->lease_count >= SESSIONS_MAX) {
        return NULL;
    }
    while (id == 0) { /* ids that clients chose may lie ahead of the counter */
        uint64_t next = m->next_lease++;
        id = lease_find(m, next) == NULL ? next : 0;
    }
    struct lease *lease = insert(
        m, &(struct lease){.id = id, .ttl_ms = ttl_ms, .seen_ms = m->stamp_ms, .owner = owner});
    if (lease != NULL) {
        lease_touch(m, lease);
        machine_mix_numbers(m, 'q', id, ttl_ms);
    }
    return lease;
}

void lease_renew(struct machine *m, struct lease *lease)
{
    if (lease->seen_ms != m->stamp_ms) {
        RB_REMOVE(due_tree, &m->due, lease);
        lease->seen_ms = m->stamp_ms;
        RB_INSERT(due_tree, &m->due, lease);
    }
    lease_touch(m, lease);
    machine_mix_numbers(m, 'q', lease->id, lease->seen_ms);
}

/* ---- the end */

static struct slice record_key(uint8_t *bytes, const struct lease *lease)
{
    bytes[0] = lease->session != NULL ? 's' : 'q';
    bytes_put_u64(bytes + 1, lease->id);
    return slice_borrow(bytes, LEASE_KEY_BYTES);
}

static void unbind(struct lease *lease)
{
    *lease->bound_at = lease->next_bound;
    if (lease->next_bound != NULL) {
        lease->next_bound->bound_at = lease->bound_at;
    }
}

/* Ends one lease by itself. */
static void end_one(struct machine *m, struct lease *lease)
{
    uint8_t bytes[LEASE_KEY_BYTES];
    machine_mix_numbers(m, 'x', lease->id, 0);
    if (!MUTANT(lease_keys_kept)) {
        keys_delete_attached(m, lease->id);
    }
    view_delete(m, record_key(bytes, lease));
    if (lease->owner != NULL) {
        unbind(lease);
    }
    if (lease->session != NULL) {
        for (struct lease *bound = lease->session->bound; bound != NULL;
             bound = bound->next_bound) {
            bound->owner = NULL; /* all of them are about to end */
        }
        session_remove(m, lease->session);
    }
    RB_REMOVE(lease_tree, &m->leases, lease);
    RB_REMOVE(due_tree, &m->due, lease);
    m->lease_count--;
    free(lease);
}

struct ending {
    uint64_t *ids;
    size_t count, capacity;
};

static void note_ending(struct ending *ending, uint64_t id)
{
    ending->ids =
        memory_grow(ending->ids, &ending->capacity, ending->count + 1, sizeof *ending->ids);
    ending->ids[ending->count++] = id;
}

/* A lease, and what is bound to it. */
static void note_with_bound(struct ending *ending, const struct lease *lease)
{
    note_ending(ending, lease->id);
    if (lease->session != NULL && !MUTANT(bound_lease_outlives_session)) {
        for (const struct lease *bound = lease->session->bound; bound != NULL;
             bound = bound->next_bound) {
            note_ending(ending, bound->id);
        }
    }
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* What ends at once ends in the order of the ids, each under a revision of its own. */
static void end_all(struct machine *m, struct ending *ending)
{
    if (ending->count > 0) {
        qsort(ending->ids, ending->count, sizeof *ending->ids, compare_numbers);
    }
    for (size_t i = 0; i < ending->count; i++) {
        struct lease *lease = lease_find(m, ending->ids[i]);
        if (lease != NULL) { /* else it was noted twice: up, and bound to one that is */
            end_one(m, lease);
        }
    }
    free(ending->ids);
}

void lease_end(struct machine *m, struct lease *lease)
{
    struct ending ending = {0};
    note_with_bound(&ending, lease);
    end_all(m, &ending);
}

size_t lease_expire(struct machine *m)
{
    struct ending ending = {0};
    size_t before = m->lease_count;
    struct lease *lease;
    RB_FOREACH(lease, due_tree, &m->due)
    {
        if (lease_due_ms(lease) >= m->stamp_ms) {
            break;
        }
        note_with_bound(&ending, lease);
    }
    end_all(m, &ending);
    return before - m->lease_count;
}

uint64_t machine_due_ms(const struct machine *m)
{
    struct due_tree due = m->due;
    const struct lease *first = RB_MIN(due_tree, &due);
    return first != NULL ? lease_due_ms(first) : 0;
}

/* ---- store */

static void store_one(struct machine *m, struct lease *lease)
{
    lease->is_dirty = 0;
    if (lease->session != NULL) {
        session_store(m, lease->session);
        return;
    }
    uint8_t key[LEASE_KEY_BYTES];
    uint8_t *value;
    struct blob *blob = blob_new(LEASE_VALUE_BYTES, &value);
    bytes_put_u64(value, lease->ttl_ms);
    bytes_put_u64(value + 8, lease->seen_ms);
    bytes_put_u64(value + 16, lease->owner != NULL ? lease->owner->lease->id : 0);
    view_put(m, record_key(key, lease), blob);
}

void lease_store(struct machine *m)
{
    for (size_t i = 0; i < m->dirty_count; i++) {
        struct lease *lease = lease_find(m, m->dirty[i]);
        if (lease != NULL && lease->is_dirty) { /* else it is gone, or there again */
            store_one(m, lease);
        }
    }
    m->dirty_count = 0;
}

struct lease *lease_restore(struct machine *m, uint64_t id, uint64_t ttl_ms, uint64_t seen_ms)
{
    return id == 0 ? NULL
                   : insert(m, &(struct lease){.id = id, .ttl_ms = ttl_ms, .seen_ms = seen_ms});
}

struct load {
    struct machine *machine;
    int rc;
};

static int load_lease(void *arg, struct slice key, struct slice value)
{
    struct load *load = arg;
    struct machine *m = load->machine;
    if (key.size != LEASE_KEY_BYTES || value.size != LEASE_VALUE_BYTES) {
        load->rc = ERROR_CORRUPT;
        return 1;
    }
    uint64_t owner = bytes_get_u64(value.data + 16);
    struct lease lease = {.id = bytes_get_u64(key.data + 1),
                          .ttl_ms = bytes_get_u64(value.data),
                          .seen_ms = bytes_get_u64(value.data + 8),
                          .owner = owner != 0 ? session_find(m, owner) : NULL};
    int is_orphan = owner != 0 && lease.owner == NULL;
    if (is_orphan || lease.id == 0 || insert(m, &lease) == NULL) {
        load->rc = ERROR_CORRUPT;
    }
    return load->rc != 0;
}

static int load_session(void *arg, struct slice key, struct slice value)
{
    struct load *load = arg;
    load->rc = session_load(load->machine, key, value);
    return load->rc != 0;
}

static int load_chunk(void *arg, struct slice key, struct slice value)
{
    struct load *load = arg;
    (void)value;
    load->rc = session_load_chunk(load->machine, key);
    return load->rc != 0;
}

static int load_table(struct machine *m, char table, store_visit_fn visit)
{
    struct load load = {m, 0};
    uint8_t from[1] = {(uint8_t)table};
    uint8_t to[1] = {(uint8_t)(table + 1)};
    int rc =
        m->reader.scan(m->reader.self, slice_borrow(from, 1), slice_borrow(to, 1), visit, &load);
    return rc != 0 ? rc : load.rc;
}

int lease_load(struct machine *m)
{
    int rc = load_table(m, 's', load_session);
    if (rc == 0) {
        rc = load_table(m, 'q', load_lease);
    }
    return rc != 0 ? rc : load_table(m, 'r', load_chunk);
}

void lease_free_all(struct machine *m)
{
    struct lease *next;
    for (struct lease *lease = RB_MIN(lease_tree, &m->leases); lease != NULL; lease = next) {
        next = RB_NEXT(lease_tree, NULL, lease);
        RB_REMOVE(lease_tree, &m->leases, lease);
        if (lease->session != NULL) {
            session_free(lease->session);
        }
        free(lease);
    }
    free(m->dirty);
}
