/* The state of the reference, watches and leases. */
#include "common/base/memory.h"
#include "common/protocol/message.h"
#include "tests/model/reference_state.h"

#include <stdlib.h>
#include <string.h>

struct reference *reference_new(void)
{
    struct reference *r = memory_calloc(1, sizeof *r);
    r->revision = 1;
    return r;
}

void reference_free(struct reference *r)
{
    if (r == NULL) {
        return;
    }
    for (size_t i = 0; i < r->history_count; i++) {
        free(r->histories[i].changes);
    }
    free(r->histories);
    free(r->changes);
    free(r->leases);
    arena_close(&r->arena);
    free(r);
}

uint64_t reference_revision(const struct reference *r)
{
    return r->revision;
}

uint64_t reference_compacted(const struct reference *r)
{
    return r->compacted;
}

void reference_remember(struct reference *r, int remembers)
{
    r->remembers = remembers;
}

uint64_t reference_oldest(const struct reference *r)
{
    return r->remembers ? 0 : r->compacted;
}

/* ---- revisions */

/* Position of the first history whose key is not below. */
static size_t find(const struct reference *r, struct slice key)
{
    size_t low = 0;
    size_t high = r->history_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (kv_compare_keys(r->histories[middle].key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct kv *reference_kv_at(const struct history *history, uint64_t revision)
{
    for (size_t i = history->change_count; i > 0; i--) {
        const struct kv *kv = &history->changes[i - 1]->kv;
        if (kv->mod <= revision) {
            return kv->version > 0 ? kv : NULL;
        }
    }
    return NULL;
}

struct kv *reference_kvs_at(const struct reference *r, struct slice key, struct slice end,
                            uint64_t revision, struct arena *arena, size_t *count)
{
    size_t first = find(r, key);
    size_t last = first;
    while (last < r->history_count && kv_in_range(r->histories[last].key, key, end)) {
        last++;
    }
    struct kv *kvs = arena_alloc(arena, (last - first) * sizeof *kvs);
    *count = 0;
    for (size_t i = first; i < last; i++) {
        const struct kv *kv = reference_kv_at(&r->histories[i], revision);
        if (kv != NULL) {
            kvs[(*count)++] = *kv;
        }
    }
    return kvs;
}

static struct slice keep(struct reference *r, struct slice bytes)
{
    uint8_t *copy = arena_alloc(&r->arena, bytes.size + 1);
    if (bytes.size > 0) {
        memcpy(copy, bytes.data, bytes.size);
    }
    return slice_borrow(copy, bytes.size);
}

static struct history *history_of(struct reference *r, struct slice key)
{
    size_t at = find(r, key);
    if (at < r->history_count && slice_equal(r->histories[at].key, key)) {
        return &r->histories[at];
    }
    r->histories =
        memory_grow(r->histories, &r->history_capacity, r->history_count + 1, sizeof *r->histories);
    memmove(&r->histories[at + 1], &r->histories[at],
            (r->history_count - at) * sizeof *r->histories);
    r->history_count++;
    r->histories[at] = (struct history){.key = keep(r, key)};
    return &r->histories[at];
}

static void write_change(struct reference *r, struct history *history, struct kv kv)
{
    struct change *change = arena_alloc(&r->arena, sizeof *change);
    kv.key = history->key;
    kv.mod = r->revision + 1;
    *change = (struct change){kv, r->next_sub++};
    history->changes = memory_grow(history->changes, &history->change_capacity,
                                   history->change_count + 1, sizeof(struct change *));
    history->changes[history->change_count++] = change;
    r->changes =
        memory_grow(r->changes, &r->change_capacity, r->change_count + 1, sizeof(struct change *));
    r->changes[r->change_count++] = change;
}

void reference_write_put(struct reference *r, struct slice key, struct slice value, uint64_t lease)
{
    struct history *history = history_of(r, key);
    const struct kv *before = reference_kv_at(history, UINT64_MAX);
    write_change(r, history,
                 (struct kv){.create = before != NULL ? before->create : r->revision + 1,
                             .version = before != NULL ? before->version + 1 : 1,
                             .lease = lease,
                             .value = keep(r, value)});
}

void reference_write_delete(struct reference *r, struct slice key)
{
    write_change(r, history_of(r, key), (struct kv){0});
}

void reference_write_undo(struct reference *r)
{
    for (; r->next_sub > 0; r->next_sub--) {
        const struct change *change = r->changes[--r->change_count];
        history_of(r, change->kv.key)->change_count--;
    }
}

void reference_write_end(struct reference *r)
{
    if (r->next_sub > 0) {
        r->revision++;
        r->next_sub = 0;
    }
}

enum reference_error reference_compact(struct reference *r, uint64_t revision)
{
    if (r->is_compacted && revision <= r->compacted) {
        return REFERENCE_COMPACTED;
    }
    if (revision > r->revision) {
        return REFERENCE_FUTURE;
    }
    r->compacted = revision;
    r->is_compacted = 1;
    return REFERENCE_OK;
}

/* ---- watches */

/* What was there before an event is its key as of the revision before, if that is kept, and but for
 * an event that creates the key. */
static void add_previous(const struct reference *r, struct kv_event *event)
{
    uint64_t before = event->kv.mod - 1;
    int is_creation = event->kind == KV_EVENT_PUT && event->kv.create == event->kv.mod;
    if (is_creation || before < reference_oldest(r)) {
        return;
    }
    const struct kv *kv = reference_kv_at(&r->histories[find(r, event->kv.key)], before);
    if (kv != NULL) {
        event->has_previous = 1;
        event->previous = *kv;
    }
}

enum reference_error reference_events(const struct reference *r, uint64_t revision,
                                      struct slice key, struct slice end, uint32_t flags,
                                      struct arena *arena, struct kv_event **events,
                                      size_t *event_count)
{
    *event_count = 0;
    *events = NULL;
    int is_open = end.size == 1 && end.data[0] == 0;
    if (end.size > 0 && !is_open && kv_compare_keys(key, end) >= 0) {
        return REFERENCE_EMPTY_RANGE;
    }
    if (revision < reference_oldest(r)) {
        return REFERENCE_COMPACTED;
    }
    size_t first = r->change_count;
    while (first > 0 && r->changes[first - 1]->kv.mod >= revision) {
        first--;
    }
    *events = arena_alloc(arena, (r->change_count - first) * sizeof **events);
    for (size_t i = first; i < r->change_count; i++) {
        const struct change *change = r->changes[i];
        int is_delete = change->kv.version == 0;
        if (!kv_in_range(change->kv.key, key, end) ||
            (flags & (is_delete ? WATCH_NO_DELETE : WATCH_NO_PUT)) != 0) {
            continue;
        }
        struct kv_event *event = &(*events)[(*event_count)++];
        *event = (struct kv_event){.kind = is_delete ? KV_EVENT_DELETE : KV_EVENT_PUT,
                                   .sub = change->sub,
                                   .kv = change->kv};
        if ((flags & WATCH_PREVIOUS) != 0) {
            add_previous(r, event);
        }
    }
    return REFERENCE_OK;
}

/* ---- leases */

static size_t lease_position(const struct reference *r, uint64_t id)
{
    size_t at = 0;
    while (at < r->lease_count && r->leases[at].id < id) {
        at++;
    }
    return at;
}

const struct reference_lease *reference_lease(const struct reference *r, uint64_t id)
{
    size_t at = lease_position(r, id);
    return at < r->lease_count && r->leases[at].id == id ? &r->leases[at] : NULL;
}

const struct reference_lease *reference_leases(const struct reference *r, size_t *count)
{
    *count = r->lease_count;
    return r->leases;
}

enum reference_error reference_grant(struct reference *r, uint64_t id, uint64_t ttl_ms,
                                     uint64_t session)
{
    if (reference_lease(r, id) != NULL) {
        return REFERENCE_LEASE_EXISTS;
    }
    size_t at = lease_position(r, id);
    r->leases = memory_grow(r->leases, &r->lease_capacity, r->lease_count + 1, sizeof *r->leases);
    memmove(&r->leases[at + 1], &r->leases[at], (r->lease_count - at) * sizeof *r->leases);
    r->leases[at] = (struct reference_lease){id, ttl_ms, r->now_ms + ttl_ms, session, 0};
    r->lease_count++;
    return REFERENCE_OK;
}

void reference_lease_keys(const struct reference *r, uint64_t id, struct arena *arena,
                          struct slice **keys, size_t *key_count)
{
    *keys = arena_alloc(arena, r->history_count * sizeof **keys);
    *key_count = 0;
    for (size_t i = 0; i < r->history_count; i++) {
        const struct kv *kv = reference_kv_at(&r->histories[i], UINT64_MAX);
        if (kv != NULL && kv->lease == id) {
            (*keys)[(*key_count)++] = kv->key;
        }
    }
}

/* Removes one lease, and its keys under one revision. */
static void end_lease(struct reference *r, uint64_t id)
{
    struct arena arena = {0};
    struct slice *keys;
    size_t key_count;
    reference_lease_keys(r, id, &arena, &keys, &key_count);
    for (size_t i = 0; i < key_count; i++) {
        reference_write_delete(r, keys[i]);
    }
    reference_write_end(r);
    arena_close(&arena);
    size_t at = lease_position(r, id);
    r->lease_count--;
    memmove(&r->leases[at], &r->leases[at + 1], (r->lease_count - at) * sizeof *r->leases);
}

/* Ends all leases that are marked, by rising id. */
static void end_marked(struct reference *r)
{
    size_t i = 0;
    while (i < r->lease_count) {
        if (r->leases[i].is_ending) {
            end_lease(r, r->leases[i].id);
        } else {
            i++;
        }
    }
}

/* Marks a lease, and those that are bound to it. */
static void mark(struct reference *r, uint64_t id)
{
    for (size_t i = 0; i < r->lease_count; i++) {
        if (r->leases[i].id == id || r->leases[i].session == id) {
            r->leases[i].is_ending = 1;
        }
    }
}

enum reference_error reference_revoke(struct reference *r, uint64_t id)
{
    if (id == 0 || reference_lease(r, id) == NULL) {
        return REFERENCE_LEASE_NOT_FOUND;
    }
    mark(r, id);
    end_marked(r);
    return REFERENCE_OK;
}

uint64_t reference_keepalive(struct reference *r, uint64_t id)
{
    size_t at = lease_position(r, id);
    if (at == r->lease_count || r->leases[at].id != id) {
        return 0;
    }
    r->leases[at].due_ms = r->now_ms + r->leases[at].ttl_ms;
    return r->leases[at].ttl_ms;
}

void reference_advance(struct reference *r, uint64_t now_ms)
{
    if (now_ms <= r->now_ms) {
        return;
    }
    r->now_ms = now_ms;
    for (size_t i = 0; i < r->lease_count; i++) {
        if (r->leases[i].due_ms < now_ms) {
            mark(r, r->leases[i].id);
        }
    }
    end_marked(r);
}

uint64_t reference_now_ms(const struct reference *r)
{
    return r->now_ms;
}
