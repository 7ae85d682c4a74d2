#include "acceptor/log/slot_log.h"

#include "acceptor/log/codec.h"
#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/base/mutant.h"
#include "common/protocol/value.h"

#include <stdlib.h>
#include <string.h>

void slot_log_open(struct slot_log *log, const struct store_reader *reader, char letter,
                   size_t cache_bytes)
{
    *log = (struct slot_log){
        .reader = *reader, .letter = letter, .cache_bytes = cache_bytes, .oldest = 1};
    log->ring = memory_calloc(SLOT_LOG_RING, sizeof *log->ring);
}

void slot_log_close(struct slot_log *log)
{
    for (size_t i = 0; i < SLOT_LOG_RING; i++) {
        slice_drop(&log->ring[i].value);
    }
    free(log->ring);
}

void slot_log_check(const struct slot_log *log)
{
    CHECK(log->settled <= log->last);
    CHECK(log->evicted_to <= log->last);
    CHECK(log->oldest <= log->last + 1);
    CHECK(log->last < log->oldest + SLOT_LOG_RING);
}

/* ---- in memory */

static struct log_slot *ring_at(const struct slot_log *log, slot_t slot)
{
    return &log->ring[slot % SLOT_LOG_RING];
}

struct log_slot *slot_log_find(const struct slot_log *log, slot_t slot)
{
    struct log_slot *known = ring_at(log, slot);
    return known->slot == slot && slot != 0 ? known : NULL;
}

static void drop_value(struct slot_log *log, struct log_slot *known)
{
    log->ring_bytes -= known->value.size;
    slice_drop(&known->value);
}

/* Puts a slot into the ring in the place of whatever was there. value is referenced if keep. */
static struct log_slot *ring_set(struct slot_log *log, slot_t slot, const struct ballot *ballot,
                                 struct slice value, int keep)
{
    struct log_slot *known = ring_at(log, slot);
    int is_same = known->slot == slot;
    CHECK(is_same || known->slot <= log->settled); /* what it displaces can be read */
    drop_value(log, known);
    log->bytes += value.size;
    *known = (struct log_slot){.slot = slot,
                               .ballot = *ballot,
                               .stamp_ms = value_stamp_ms(value),
                               .bytes_to = log->bytes,
                               .flags = is_same ? known->flags : 0};
    if (keep) {
        known->value = slice_keep(value);
        log->ring_bytes += value.size;
        if (slot <= log->evicted_to) { /* put again: it has to leave memory again, too */
            log->evicted_to = slot - 1;
        }
    }
    log->last = slot > log->last ? slot : log->last;
    if (slot >= log->oldest + SLOT_LOG_RING) {
        log->oldest = slot - SLOT_LOG_RING + 1;
    }
    if (known->stamp_ms > log->stamp_ms && (keep || !MUTANT(stamp_of_values_in_memory))) {
        log->stamp_ms = known->stamp_ms;
    }
    return known;
}

void slot_log_evict(struct slot_log *log, struct effects *out)
{
    while (log->ring_bytes > log->cache_bytes && log->evicted_to < log->last) {
        struct log_slot *known = slot_log_find(log, ++log->evicted_to);
        if (known != NULL) {
            effects_mark(out, MARK_VALUE_EVICTED);
            drop_value(log, known);
        }
    }
}

/* ---- changes */

struct log_slot *slot_log_put(struct slot_log *log, enum durability durability, slot_t slot,
                              const struct ballot *ballot, struct slice value, struct effects *out)
{
    uint8_t key[SLOT_KEY_BYTES];
    uint8_t head[BALLOT_BYTES];
    codec_put_slot_key(key, log->letter, slot);
    codec_put_ballot(head, ballot);
    effects_put(out, durability, slice_borrow(key, sizeof key), slice_borrow(head, sizeof head),
                value);
    return ring_set(log, slot, ballot, value, 1);
}

static slot_t lower_of(slot_t a, slot_t b)
{
    return a < b ? a : b;
}

void slot_log_truncate(struct slot_log *log, slot_t slot, struct effects *out)
{
    for (slot_t i = slot; i <= log->last; i++) {
        uint8_t key[SLOT_KEY_BYTES];
        codec_put_slot_key(key, log->letter, i);
        if (i == slot || !MUTANT(raft_truncated_tail_kept)) {
            effects_delete(out, slice_borrow(key, sizeof key));
        }
        struct log_slot *known = slot_log_find(log, i);
        if (known != NULL) {
            drop_value(log, known);
            *known = (struct log_slot){0};
        }
    }
    out->needs_sync = 1; /* together with what takes their place, or with the answer */
    log->last = slot - 1;
    log->settled = lower_of(log->settled, log->last);
    log->evicted_to = lower_of(log->evicted_to, log->last);
    log->oldest = lower_of(log->oldest, slot);
    /* Time goes back to that of the log that is left. A later leader that went on from what was
     * taken away would let the leases that were renewed meanwhile end before their time. */
    if (!MUTANT(raft_stamp_of_truncated_kept)) {
        log->stamp_ms = slot_log_describe(log, log->last, out).stamp_ms;
    }
}

/* ---- the store */

/* Takes a slot apart as it stands in the store. 0, or -1 after saying what is wrong. */
static int parse(struct slice key, struct slice stored, struct slot_entry *entry,
                 struct effects *out)
{
    entry->slot = codec_get_slot_key(key);
    if (entry->slot == 0 || stored.size < BALLOT_BYTES + VALUE_HEAD_BYTES) {
        effects_fatal(out, ERROR_CORRUPT, "slot %llu in the store has a wrong size",
                      (unsigned long long)entry->slot);
        return -1;
    }
    entry->ballot = codec_get_ballot(stored.data);
    entry->value =
        (struct slice){stored.data + BALLOT_BYTES, stored.size - BALLOT_BYTES, stored.owner};
    return 0;
}

static int scan(const struct slot_log *log, slot_t from, slot_t to, store_visit_fn visit, void *arg)
{
    uint8_t first[SLOT_KEY_BYTES];
    uint8_t end[SLOT_KEY_BYTES];
    codec_put_slot_key(first, log->letter, from);
    codec_put_slot_key(end, log->letter, to + 1);
    return log->reader.scan(log->reader.self, slice_borrow(first, sizeof first),
                            slice_borrow(end, sizeof end), visit, arg);
}

struct log_slot slot_log_describe(const struct slot_log *log, slot_t slot, struct effects *out)
{
    CHECK(slot <= log->last);
    if (slot == 0) {
        return (struct log_slot){0};
    }
    const struct log_slot *known = slot_log_find(log, slot);
    if (known != NULL) {
        return *known;
    }
    CHECK(slot <= log->settled);
    uint8_t key[SLOT_KEY_BYTES];
    codec_put_slot_key(key, log->letter, slot);
    struct blob *blob;
    int rc = log->reader.get(log->reader.self, slice_borrow(key, sizeof key), &blob);
    if (rc != 0) {
        effects_fatal(out, rc == ERROR_NOT_FOUND ? ERROR_CORRUPT : rc,
                      "cannot read slot %llu of the store (%s)", (unsigned long long)slot,
                      error_name(rc));
        return (struct log_slot){0};
    }
    struct slot_entry entry;
    struct log_slot found = {0};
    if (parse(slice_borrow(key, sizeof key), slice_of(blob), &entry, out) == 0) {
        found = (struct log_slot){
            .slot = slot, .ballot = entry.ballot, .stamp_ms = value_stamp_ms(entry.value)};
    }
    blob_unref(blob);
    return found;
}

struct load {
    struct slot_log *log;
    struct effects *out;
    slot_t from;
    int is_dense;
};

/* Takes one slot into memory, its value too while the budget lasts. */
static int load_slot(void *arg, struct slice key, struct slice stored)
{
    struct load *load = arg;
    struct slot_log *log = load->log;
    struct slot_entry entry;
    if (parse(key, stored, &entry, load->out) != 0) {
        return 1;
    }
    if (load->is_dense) {
        if (entry.slot != log->last + 1) {
            effects_fatal(load->out, ERROR_CORRUPT, "the store lacks slot %llu of the log",
                          (unsigned long long)log->last + 1);
            return 1;
        }
        log->settled = log->last; /* for the place that this one may take */
    } else if (entry.slot >= load->from + SLOT_LOG_RING) {
        effects_fatal(load->out, ERROR_CORRUPT,
                      "slot %llu in the store lies too far above the chosen watermark",
                      (unsigned long long)entry.slot);
        return 1;
    }
    int keep = log->ring_bytes + entry.value.size <= log->cache_bytes;
    (void)ring_set(log, entry.slot, &entry.ballot, entry.value, keep);
    return 0;
}

void slot_log_load(struct slot_log *log, slot_t from, int is_dense, struct effects *out)
{
    struct load load = {log, out, from, is_dense};
    log->last = from - 1;
    log->settled = log->last;
    log->evicted_to = log->last;
    log->oldest = from;
    int rc = scan(log, from, UINT64_MAX - 1, load_slot, &load);
    if (rc != 0) {
        effects_fatal(out, rc, "cannot read the slots of the store (%s)", error_name(rc));
    }
}

/* ---- pages */

struct page page_at(slot_t from, size_t bytes_max)
{
    return (struct page){
        .next = from, .bytes_max = bytes_max < PAGE_BYTES_TARGET ? bytes_max : PAGE_BYTES_TARGET};
}

int page_is_full(const struct page *page)
{
    return page->count == PAGE_ENTRIES_MAX || (page->count > 0 && page->bytes >= page->bytes_max);
}

static void page_add(struct page *page, slot_t slot, const struct ballot *ballot,
                     struct slice value, struct effects *out)
{
    if (page->count == page->capacity) {
        page->capacity = page->capacity == 0 ? 16 : page->capacity * 2;
        struct slot_entry *entries = effects_alloc(out, page->capacity * sizeof *entries);
        if (page->count > 0) {
            memcpy(entries, page->entries, page->count * sizeof *entries);
        }
        page->entries = entries;
    }
    page->entries[page->count++] = (struct slot_entry){slot, *ballot, effects_hold(out, value)};
    page->bytes += value.size;
    page->next = slot + 1;
}

static void lacks(const struct page *page, struct effects *out)
{
    effects_fatal(out, ERROR_CORRUPT, "slot %llu is missing in the store",
                  (unsigned long long)page->next);
}

struct page_scan {
    struct page *page;
    slot_t dense_to;
    struct effects *out;
};

static int page_visit(void *arg, struct slice key, struct slice stored)
{
    struct page_scan *pages = arg;
    struct slot_entry entry;
    if (parse(key, stored, &entry, pages->out) != 0) {
        return 1;
    }
    if (entry.slot != pages->page->next && pages->page->next <= pages->dense_to) {
        lacks(pages->page, pages->out);
        return 1;
    }
    page_add(pages->page, entry.slot, &entry.ballot, entry.value, pages->out);
    return page_is_full(pages->page);
}

static int is_in_memory(const struct slot_log *log, slot_t slot)
{
    const struct log_slot *known = slot_log_find(log, slot);
    return known != NULL && known->value.size > 0;
}

/* The end of the slots from `from` on that come from the store in one scan: up to the next one
 * whose value is in memory. The store does not show the records of the turn under way yet, but
 * their values are in memory. */
static slot_t disk_end(const struct slot_log *log, slot_t from, slot_t to)
{
    slot_t end = from;
    while (end < to && end - from < PAGE_ENTRIES_MAX && !is_in_memory(log, end + 1)) {
        end++;
    }
    return end;
}

void slot_log_read(const struct slot_log *log, slot_t to, slot_t dense_to, struct page *page,
                   struct effects *out)
{
    struct page_scan pages = {page, dense_to, out};
    CHECK(to <= log->last);
    while (page->next <= to && !page_is_full(page) && out->fatal == 0) {
        const struct log_slot *known = slot_log_find(log, page->next);
        if (known != NULL && known->value.size > 0) {
            page_add(page, known->slot, &known->ballot, known->value, out);
            continue;
        }
        if (known == NULL && page->next > dense_to) {
            page->next++; /* behind it the ring is complete: this slot is a gap */
            continue;
        }
        effects_mark(out, MARK_PAGE_FROM_DISK);
        uint32_t count = page->count;
        int rc = scan(log, page->next, disk_end(log, page->next, to), page_visit, &pages);
        if (rc != 0) {
            effects_fatal(out, rc, "cannot read slots of the store (%s)", error_name(rc));
        } else if (page->count == count) {
            lacks(page, out);
        }
    }
}
