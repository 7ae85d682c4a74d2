#include "acceptor/state.h"

#include "common/base/bytes.h"
#include "common/base/mutant.h"
#include "common/protocol/value.h"

#include <string.h>

/* Keys: 'p' promise, 'c' chosen watermark, 'a' + slot (big-endian) an accepted slot. A ballot takes
 * BALLOT_BYTES: round, proposer, incarnation. */
#define BALLOT_BYTES 20
#define SLOT_KEY_BYTES 9

static void put_ballot(uint8_t *p, const struct ballot *ballot)
{
    bytes_put_u64(p, ballot->round);
    bytes_put_u32(p + 8, ballot->proposer);
    bytes_put_u64(p + 12, ballot->incarnation);
}

static struct ballot get_ballot(const uint8_t *p)
{
    return (struct ballot){bytes_get_u64(p), bytes_get_u32(p + 8), bytes_get_u64(p + 12)};
}

static void put_slot_key(uint8_t *key, slot_t slot)
{
    key[0] = 'a';
    bytes_put_u64(key + 1, slot);
}

/* The cluster time in a value: the acceptor looks no further into it. */
static uint64_t stamp_of(struct slice value)
{
    return value.size >= VALUE_HEAD_BYTES ? bytes_get_u64(value.data + 1) : 0;
}

struct accepted *acceptor_find(struct acceptor *a, slot_t slot)
{
    struct accepted *entry = &a->ring[slot % ACCEPTED_RING_SLOTS];
    return entry->slot == slot && slot != 0 ? entry : NULL;
}

/* Puts a slot into the ring in the place of whatever was there. value is referenced if keep. */
static void ring_set(struct acceptor *a, slot_t slot, const struct ballot *ballot,
                     struct slice value, int keep)
{
    struct accepted *entry = &a->ring[slot % ACCEPTED_RING_SLOTS];
    /* What is overwritten lies a whole ring below and is chosen, or it is the same slot. */
    CHECK(entry->slot <= a->chosen || entry->slot == slot);
    a->ring_bytes -= entry->value.size;
    slice_drop(&entry->value);
    entry->is_chosen = slot <= a->chosen || (entry->slot == slot && entry->is_chosen);
    entry->slot = slot;
    entry->ballot = *ballot;
    if (keep) {
        entry->value = slice_keep(value);
        a->ring_bytes += value.size;
        if (slot <= a->evicted_to) { /* voted for again: it has to leave memory again, too */
            a->evicted_to = slot - 1;
        }
    }
    if (slot > a->accepted_max) {
        a->accepted_max = slot;
    }
    uint64_t stamp_ms = stamp_of(value);
    if (stamp_ms > a->stamp_ms && (keep || !MUTANT(stamp_of_values_in_memory))) {
        a->stamp_ms = stamp_ms;
    }
}

void acceptor_store_accepted(struct acceptor *a, enum durability durability, slot_t slot,
                             const struct ballot *ballot, struct slice value, struct effects *out)
{
    uint8_t key[SLOT_KEY_BYTES];
    uint8_t head[BALLOT_BYTES];
    put_slot_key(key, slot);
    put_ballot(head, ballot);
    effects_put(out, durability, slice_borrow(key, sizeof key), slice_borrow(head, sizeof head),
                value);
    ring_set(a, slot, ballot, value, 1);
    acceptor_find(a, slot)->is_lazy = durability == RECORD_LAZY;
}

void acceptor_store_promise(const struct acceptor *a, struct effects *out)
{
    uint8_t head[BALLOT_BYTES];
    put_ballot(head, &a->promised);
    effects_put(out, RECORD_DURABLE, slice_borrow("p", 1), slice_borrow(head, sizeof head),
                SLICE_EMPTY);
}

void acceptor_store_chosen(struct acceptor *a, enum durability durability, struct effects *out)
{
    uint8_t head[8];
    bytes_put_u64(head, a->chosen);
    effects_put(out, durability, slice_borrow("c", 1), slice_borrow(head, sizeof head),
                SLICE_EMPTY);
    a->chosen_stored = a->chosen;
    if (durability == RECORD_DURABLE) {
        a->chosen_durable = a->chosen; /* before anything that rests on it leaves */
    }
}

void acceptor_evict(struct acceptor *a, struct effects *out)
{
    while (a->ring_bytes > a->options.cache_bytes && a->evicted_to < a->accepted_max) {
        struct accepted *entry = acceptor_find(a, ++a->evicted_to);
        if (entry != NULL) {
            effects_mark(out, MARK_VALUE_EVICTED);
            a->ring_bytes -= entry->value.size;
            slice_drop(&entry->value);
        }
    }
}

/* ---- start */

struct load {
    struct acceptor *acceptor;
    struct effects *out;
};

/* Reads one small record. 1 if it is there with the right size, 0 if it is missing. */
static int load_fixed(struct acceptor *a, const char *name, uint8_t *bytes, size_t size,
                      struct effects *out)
{
    struct blob *blob;
    int rc = a->options.reader.get(a->options.reader.self, slice_borrow(name, 1), &blob);
    if (rc == ERROR_NOT_FOUND) {
        return 0;
    }
    if (rc != 0) {
        effects_fatal(out, rc, "cannot read record '%s' of the acceptor's store (%s)", name,
                      error_name(rc));
        return 0;
    }
    int ok = blob->size == size;
    if (ok) {
        memcpy(bytes, blob->data, size);
    } else {
        effects_fatal(out, ERROR_CORRUPT, "record '%s' of the acceptor's store has %zu bytes", name,
                      blob->size);
    }
    blob_unref(blob);
    return ok;
}

/* Takes one accepted slot from the disk into the ring, its value too while the budget lasts. */
static int load_accepted(void *arg, struct slice key, struct slice value)
{
    struct load *load = arg;
    struct acceptor *a = load->acceptor;
    if (key.size != SLOT_KEY_BYTES || value.size < BALLOT_BYTES + VALUE_HEAD_BYTES) {
        effects_fatal(load->out, ERROR_CORRUPT, "an accepted slot in the store has a wrong size");
        return 1;
    }
    slot_t slot = bytes_get_u64(key.data + 1);
    if (slot >= a->chosen + ACCEPTED_RING_SLOTS) {
        effects_fatal(load->out, ERROR_CORRUPT,
                      "slot %llu in the store lies too far above the chosen watermark %llu",
                      (unsigned long long)slot, (unsigned long long)a->chosen);
        return 1;
    }
    struct ballot ballot = get_ballot(value.data);
    struct slice body = {value.data + BALLOT_BYTES, value.size - BALLOT_BYTES, value.owner};
    ring_set(a, slot, &ballot, body, a->ring_bytes + body.size <= a->options.cache_bytes);
    return 0;
}

static int scan_accepted(struct acceptor *a, slot_t from, slot_t to, store_visit_fn visit,
                         void *arg)
{
    uint8_t first[SLOT_KEY_BYTES];
    uint8_t end[SLOT_KEY_BYTES];
    put_slot_key(first, from);
    put_slot_key(end, to + 1);
    return a->options.reader.scan(a->options.reader.self, slice_borrow(first, sizeof first),
                                  slice_borrow(end, sizeof end), visit, arg);
}

void acceptor_load(struct acceptor *a, struct effects *out)
{
    uint8_t ballot[BALLOT_BYTES];
    if (load_fixed(a, "p", ballot, sizeof ballot, out)) {
        a->promised = get_ballot(ballot);
        a->promised_before_start = 1;
    }
    uint8_t chosen[8];
    if (load_fixed(a, "c", chosen, sizeof chosen, out)) {
        a->chosen = bytes_get_u64(chosen);
        a->chosen_stored = a->chosen; /* and synced? the former process may not have got so far */
        a->accepted_max = a->chosen;
    }
    if (out->fatal != 0) {
        return;
    }
    /* From the watermark itself: its value carries the newest stamp when nothing lies above. */
    struct load load = {a, out};
    int rc = scan_accepted(a, a->chosen > 0 ? a->chosen : 1, UINT64_MAX - 1, load_accepted, &load);
    if (rc != 0) {
        effects_fatal(out, rc, "cannot read the accepted slots of the store (%s)", error_name(rc));
    } else if (a->chosen > 0 && out->fatal == 0 && acceptor_find(a, a->chosen) == NULL) {
        effects_fatal(out, ERROR_CORRUPT, "the store says slot %llu is chosen, but lacks it",
                      (unsigned long long)a->chosen);
    }
    if (a->accepted_max > a->chosen) {
        effects_mark(out, MARK_VOTES_AFTER_RESTART);
    }
    a->evicted_to = a->chosen > 0 ? a->chosen - 1 : 0;
}

/* ---- pages */

struct page_scan {
    struct page *page;
    struct effects *out;
    size_t capacity;
};

static int page_is_full(const struct page *page)
{
    return page->count == PAGE_ENTRIES_MAX || (page->count > 0 && page->bytes >= page->bytes_max);
}

static void page_add(struct page_scan *scan, slot_t slot, const struct ballot *ballot,
                     struct slice value)
{
    struct page *page = scan->page;
    if (page->count == scan->capacity) {
        size_t grown = scan->capacity == 0 ? 16 : scan->capacity * 2;
        struct slot_entry *entries = effects_alloc(scan->out, grown * sizeof *entries);
        if (page->count > 0) {
            memcpy(entries, page->entries, page->count * sizeof *entries);
        }
        page->entries = entries;
        scan->capacity = grown;
    }
    page->entries[page->count++] =
        (struct slot_entry){slot, *ballot, effects_hold(scan->out, value)};
    page->bytes += value.size;
    page->next = slot + 1;
}

static int page_visit(void *arg, struct slice key, struct slice value)
{
    struct page_scan *scan = arg;
    if (key.size != SLOT_KEY_BYTES || value.size < BALLOT_BYTES + VALUE_HEAD_BYTES) {
        effects_fatal(scan->out, ERROR_CORRUPT, "an accepted slot in the store has a wrong size");
        return 1;
    }
    struct ballot ballot = get_ballot(value.data);
    struct slice body = {value.data + BALLOT_BYTES, value.size - BALLOT_BYTES, value.owner};
    page_add(scan, bytes_get_u64(key.data + 1), &ballot, body);
    return page_is_full(scan->page);
}

static int is_in_memory(const struct acceptor *a, slot_t slot)
{
    const struct accepted *entry = &a->ring[slot % ACCEPTED_RING_SLOTS];
    return entry->slot == slot && entry->value.size > 0;
}

/* The end of the slots from `from` on that may come from the disk in one scan: of those that were
 * evicted, or that lie below the ring, up to the next one whose value is in memory. The disk does
 * not show the records of the turn under way yet, but their values are in memory. */
static slot_t disk_end(const struct acceptor *a, slot_t from, slot_t to)
{
    slot_t limit = a->evicted_to;
    if (a->accepted_max > ACCEPTED_RING_SLOTS && a->accepted_max - ACCEPTED_RING_SLOTS > limit) {
        limit = a->accepted_max - ACCEPTED_RING_SLOTS;
    }
    if (limit > to) {
        limit = to;
    }
    if (limit > from + PAGE_ENTRIES_MAX) {
        limit = from + PAGE_ENTRIES_MAX; /* a page holds no more */
    }
    slot_t end = from;
    while (end < limit && !is_in_memory(a, end + 1)) {
        end++;
    }
    return end;
}

void acceptor_read_page(struct acceptor *a, slot_t from, slot_t to, size_t bytes_max,
                        struct page *page, struct effects *out)
{
    *page = (struct page){
        .next = from, .bytes_max = bytes_max < PAGE_BYTES_TARGET ? bytes_max : PAGE_BYTES_TARGET};
    struct page_scan scan = {page, out, 0};
    while (page->next <= to && !page_is_full(page)) {
        struct accepted *entry = acceptor_find(a, page->next);
        if (entry != NULL && entry->value.size > 0) {
            const struct ballot *ballot =
                MUTANT(votes_told_at_promise) ? &a->promised : &entry->ballot;
            page_add(&scan, entry->slot, ballot, entry->value);
            continue;
        }
        if (entry == NULL && page->next > a->chosen) {
            page->next++; /* above the watermark the ring is complete: this slot is a gap */
            continue;
        }
        effects_mark(out, MARK_PAGE_FROM_DISK);
        uint32_t count = page->count;
        int rc = scan_accepted(a, page->next, disk_end(a, page->next, to), page_visit, &scan);
        if (rc != 0) {
            effects_fatal(out, rc, "cannot read accepted slots of the store (%s)", error_name(rc));
        } else if (page->count == count && out->fatal == 0) {
            effects_fatal(out, ERROR_CORRUPT, "slot %llu is missing in the store",
                          (unsigned long long)page->next);
        }
        if (out->fatal != 0) {
            return;
        }
    }
}

/* Adds one slot whose value is on disk alone. What was evicted was written in an earlier turn. */
static void page_add_evicted(struct acceptor *a, struct page_scan *scan, slot_t slot)
{
    uint8_t key[SLOT_KEY_BYTES];
    put_slot_key(key, slot);
    effects_mark(scan->out, MARK_PAGE_FROM_DISK);
    struct blob *blob;
    int rc = a->options.reader.get(a->options.reader.self, slice_borrow(key, sizeof key), &blob);
    if (rc != 0) {
        effects_fatal(scan->out, rc == ERROR_NOT_FOUND ? ERROR_CORRUPT : rc,
                      "cannot read slot %llu of the store (%s)", (unsigned long long)slot,
                      error_name(rc));
        return;
    }
    (void)page_visit(scan, slice_borrow(key, sizeof key), slice_of(blob));
    blob_unref(blob);
}

void acceptor_read_chosen(struct acceptor *a, slot_t from, size_t bytes_max, struct page *page,
                          struct effects *out)
{
    acceptor_read_page(a, from + MUTANT(first_slot_not_served), a->chosen, bytes_max, page, out);
    struct page_scan scan = {page, out, page->count};
    slot_t slot = page->next > a->chosen ? page->next : a->accepted_max + 1; /* full: stop here */
    for (; slot <= a->accepted_max && !page_is_full(page) && out->fatal == 0; slot++) {
        struct accepted *entry = acceptor_find(a, slot);
        if (entry == NULL || !entry->is_chosen) {
            continue;
        }
        if (entry->value.size > 0) {
            page_add(&scan, slot, &entry->ballot, entry->value);
        } else {
            page_add_evicted(a, &scan, slot);
        }
    }
}
