#include "acceptor/raft/state.h"

#include "common/base/bytes.h"
#include "common/base/memory.h"
#include "common/base/mutant.h"
#include "common/protocol/value.h"

#include <stdlib.h>
#include <string.h>

/* Keys: 't' term and vote, 'c' commit, 'e' + index (big-endian) an entry: the ballot of the leader
 * that made it, then the value. */
#define BALLOT_BYTES 20
#define TERM_BYTES (8 + BALLOT_BYTES)
#define ENTRY_KEY_BYTES 9

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

static void put_entry_key(uint8_t *key, slot_t index)
{
    key[0] = 'e';
    bytes_put_u64(key + 1, index);
}

static struct entry *ring_at(const struct raft *r, slot_t index)
{
    return &r->log.ring[index % LOG_RING_ENTRIES];
}

const struct entry *raft_log_find(const struct raft *r, slot_t index)
{
    const struct entry *entry = ring_at(r, index);
    return entry->index == index && index != 0 ? entry : NULL;
}

static void ring_clear(struct raft *r, struct entry *entry)
{
    r->log.ring_bytes -= entry->value.size;
    slice_drop(&entry->value);
    *entry = (struct entry){0};
}

/* Puts the entry behind the last one into memory; value is referenced if keep. */
static void ring_append(struct raft *r, const struct ballot *ballot, struct slice value, int keep)
{
    struct raft_log *log = &r->log;
    slot_t index = ++log->last;
    struct entry *entry = ring_at(r, index);
    CHECK(entry->index == 0 || entry->index <= log->durable); /* what it displaces can be read */
    ring_clear(r, entry);
    if (index - log->oldest == LOG_RING_ENTRIES) {
        log->oldest++; /* displaced */
    }
    log->bytes += value.size;
    *entry = (struct entry){.index = index,
                            .ballot = *ballot,
                            .bytes_to = log->bytes,
                            .stamp_ms = value_stamp_ms(value)};
    if (keep) {
        entry->value = slice_keep(value);
        log->ring_bytes += value.size;
    }
    log->stamp_ms = entry->stamp_ms > log->stamp_ms ? entry->stamp_ms : log->stamp_ms;
}

/* ---- what is known of one entry, in memory or in the store */

/* Term and cluster time of an entry; without its value. Zeroes for index 0. */
static struct entry describe(const struct raft *r, slot_t index, struct effects *out)
{
    CHECK(index <= r->log.last);
    if (index == 0) {
        return (struct entry){0};
    }
    const struct entry *known = raft_log_find(r, index);
    if (known != NULL) {
        return *known;
    }
    CHECK(index <= r->log.durable);
    uint8_t key[ENTRY_KEY_BYTES];
    put_entry_key(key, index);
    struct blob *blob;
    int rc = r->options.reader.get(r->options.reader.self, slice_borrow(key, sizeof key), &blob);
    if (rc != 0) {
        effects_fatal(out, rc == ERROR_NOT_FOUND ? ERROR_CORRUPT : rc,
                      "cannot read entry %llu of the store (%s)", (unsigned long long)index,
                      error_name(rc));
        return (struct entry){0};
    }
    struct entry entry = {.index = index};
    if (blob->size >= BALLOT_BYTES + VALUE_HEAD_BYTES) {
        entry.ballot = get_ballot(blob->data);
        entry.stamp_ms =
            value_stamp_ms(slice_borrow(blob->data + BALLOT_BYTES, blob->size - BALLOT_BYTES));
    } else {
        effects_fatal(out, ERROR_CORRUPT, "entry %llu in the store has a wrong size",
                      (unsigned long long)index);
    }
    blob_unref(blob);
    return entry;
}

uint64_t raft_log_term(const struct raft *r, slot_t index, struct effects *out)
{
    return describe(r, index, out).ballot.round;
}

/* ---- changes */

int raft_log_has_room(const struct raft *r)
{
    return r->log.last - r->log.durable < LOG_RING_ENTRIES / 2;
}

void raft_log_save_term(struct raft *r, struct effects *out)
{
    uint8_t head[TERM_BYTES];
    if (!r->is_term_unsaved) {
        return;
    }
    r->is_term_unsaved = 0;
    bytes_put_u64(head, r->term);
    put_ballot(head + 8, &r->vote);
    /* One record: a crash between two would forget a vote of this term, or invent one of the next
     * (TRAPS 7.10). */
    effects_put(out, MUTANT(raft_vote_not_durable) ? RECORD_LAZY : RECORD_DURABLE,
                slice_borrow("t", 1), slice_borrow(head, sizeof head), SLICE_EMPTY);
}

void raft_log_append(struct raft *r, const struct ballot *ballot, struct slice value,
                     struct effects *out)
{
    uint8_t key[ENTRY_KEY_BYTES];
    uint8_t head[BALLOT_BYTES];
    CHECK(raft_log_has_room(r));
    raft_log_save_term(r, out); /* before the entries of that term */
    put_entry_key(key, r->log.last + 1);
    put_ballot(head, ballot);
    enum durability durability = MUTANT(raft_entry_not_durable) ? RECORD_LAZY : RECORD_DURABLE;
    effects_put(out, durability, slice_borrow(key, sizeof key), slice_borrow(head, sizeof head),
                value);
    ring_append(r, ballot, value, 1);
}

void raft_log_truncate(struct raft *r, slot_t index, struct effects *out)
{
    struct raft_log *log = &r->log;
    CHECK(index > r->commit);
    effects_mark(out, MARK_RAFT_TRUNCATES);
    effects_note(out, NOTE_INFO, "event=truncated from=%llu to=%llu term=%llu",
                 (unsigned long long)index, (unsigned long long)log->last,
                 (unsigned long long)r->term);
    for (slot_t i = index; i <= log->last; i++) {
        uint8_t key[ENTRY_KEY_BYTES];
        put_entry_key(key, i);
        if (i == index || !MUTANT(raft_truncated_tail_kept)) {
            effects_delete(out, slice_borrow(key, sizeof key));
        }
        if (raft_log_find(r, i) != NULL) {
            ring_clear(r, ring_at(r, i));
        }
    }
    out->needs_sync = 1; /* together with what takes their place, or with the answer */
    log->last = index - 1;
    log->durable = log->durable < log->last ? log->durable : log->last;
    log->evicted_to = log->evicted_to < log->last ? log->evicted_to : log->last;
    log->oldest = log->oldest < index ? log->oldest : index;
    /* Time goes back to that of the log that is left. A later leader that went on from what was
     * taken away would let the leases that were renewed meanwhile end before their time. */
    if (!MUTANT(raft_stamp_of_truncated_kept)) {
        log->stamp_ms = describe(r, log->last, out).stamp_ms;
    }
}

void raft_log_written(struct raft *r, struct effects *out)
{
    struct raft_log *log = &r->log;
    log->durable = log->last;
    while (log->ring_bytes > ACCEPTOR_CACHE_BYTES_MAX && log->evicted_to < log->last) {
        struct entry *entry = ring_at(r, ++log->evicted_to);
        if (entry->index == log->evicted_to) {
            effects_mark(out, MARK_VALUE_EVICTED);
            log->ring_bytes -= entry->value.size;
            slice_drop(&entry->value);
        }
    }
}

void raft_log_store_commit(struct raft *r, struct effects *out)
{
    uint8_t head[8];
    bytes_put_u64(head, r->commit);
    effects_put(out, RECORD_LAZY, slice_borrow("c", 1), slice_borrow(head, sizeof head),
                SLICE_EMPTY);
    r->commit_stored = r->commit;
}

uint64_t raft_log_bytes_between(const struct raft *r, slot_t from, slot_t to)
{
    const struct entry *last = raft_log_find(r, to);
    if (to <= from || last == NULL) {
        return 0;
    }
    /* The oldest entry in memory stands for what lies before it. */
    const struct entry *first = raft_log_find(r, from > r->log.oldest ? from : r->log.oldest);
    return first != NULL && first->bytes_to < last->bytes_to ? last->bytes_to - first->bytes_to : 0;
}

slot_t raft_log_last_with_term(const struct raft *r, slot_t from, uint64_t term)
{
    slot_t index = from;
    const struct entry *entry;
    while (index > 0 && (entry = raft_log_find(r, index)) != NULL && entry->ballot.round > term) {
        index--;
    }
    return index;
}

static int scan(const struct raft *r, slot_t from, slot_t to, store_visit_fn visit, void *arg)
{
    uint8_t first[ENTRY_KEY_BYTES];
    uint8_t end[ENTRY_KEY_BYTES];
    put_entry_key(first, from);
    put_entry_key(end, to + 1);
    return r->options.reader.scan(r->options.reader.self, slice_borrow(first, sizeof first),
                                  slice_borrow(end, sizeof end), visit, arg);
}

/* Reads one small record. 1 if it is there with the right size, 0 if it is missing. */
static int load_fixed(struct raft *r, const char *name, uint8_t *bytes, size_t size,
                      struct effects *out)
{
    struct blob *blob;
    int rc = r->options.reader.get(r->options.reader.self, slice_borrow(name, 1), &blob);
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

struct load {
    struct raft *raft;
    struct effects *out;
};

/* Takes one entry from the store into memory, its value too while the budget lasts. */
static int load_entry(void *arg, struct slice key, struct slice value)
{
    struct load *load = arg;
    struct raft *r = load->raft;
    slot_t index = key.size == ENTRY_KEY_BYTES ? bytes_get_u64(key.data + 1) : 0;
    if (index != r->log.last + 1 || value.size < BALLOT_BYTES + VALUE_HEAD_BYTES) {
        effects_fatal(load->out, ERROR_CORRUPT, "the store lacks entry %llu of the log",
                      (unsigned long long)r->log.last + 1);
        return 1;
    }
    struct ballot ballot = get_ballot(value.data);
    struct slice body = {value.data + BALLOT_BYTES, value.size - BALLOT_BYTES, value.owner};
    int keep = r->log.ring_bytes + body.size <= ACCEPTOR_CACHE_BYTES_MAX;
    r->log.durable = r->log.last; /* for the place that this one may take */
    ring_append(r, &ballot, body, keep);
    return 0;
}

void raft_log_load(struct raft *r, struct effects *out)
{
    uint8_t term[TERM_BYTES];
    uint8_t commit[8];
    r->log.ring = memory_calloc(LOG_RING_ENTRIES, sizeof *r->log.ring);
    if (load_fixed(r, "t", term, sizeof term, out)) {
        r->term = bytes_get_u64(term);
        r->vote = get_ballot(term + 8);
    }
    if (load_fixed(r, "c", commit, sizeof commit, out)) {
        r->commit = bytes_get_u64(commit);
        r->commit_stored = r->commit;
    }
    if (out->fatal != 0) {
        return;
    }
    /* From the commit itself: its term is what the leader's next append is compared with. */
    r->log.last = r->commit > 0 ? r->commit - 1 : 0;
    r->log.evicted_to = r->log.last;
    r->log.oldest = r->log.last + 1;
    struct load load = {r, out};
    int rc = scan(r, r->log.last + 1, UINT64_MAX - 1, load_entry, &load);
    if (rc != 0) {
        effects_fatal(out, rc, "cannot read the log of the store (%s)", error_name(rc));
    } else if (r->log.last < r->commit && out->fatal == 0) {
        effects_fatal(out, ERROR_CORRUPT, "the store says entry %llu is committed, but lacks it",
                      (unsigned long long)r->commit);
    }
    r->log.durable = r->log.last;
}

void raft_log_close(struct raft_log *log)
{
    for (size_t i = 0; i < LOG_RING_ENTRIES && log->ring != NULL; i++) {
        slice_drop(&log->ring[i].value);
    }
    free(log->ring);
}

/* ---- pages */

struct page_scan {
    struct raft_page *page;
    struct effects *out;
    size_t capacity;
    size_t bytes_max;
    slot_t next; /* where the page goes on */
};

static int page_is_full(const struct page_scan *scan)
{
    return scan->page->count == PAGE_ENTRIES_MAX ||
           (scan->page->count > 0 && scan->page->bytes >= scan->bytes_max);
}

static void page_add(struct page_scan *scan, const struct ballot *ballot, struct slice value)
{
    struct raft_page *page = scan->page;
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
        (struct slot_entry){scan->next++, *ballot, effects_hold(scan->out, value)};
    page->bytes += value.size;
}

static int page_visit(void *arg, struct slice key, struct slice value)
{
    struct page_scan *scan = arg;
    if (key.size != ENTRY_KEY_BYTES || bytes_get_u64(key.data + 1) != scan->next ||
        value.size < BALLOT_BYTES + VALUE_HEAD_BYTES) {
        effects_fatal(scan->out, ERROR_CORRUPT, "entry %llu is missing in the store",
                      (unsigned long long)scan->next);
        return 1;
    }
    struct ballot ballot = get_ballot(value.data);
    struct slice body = {value.data + BALLOT_BYTES, value.size - BALLOT_BYTES, value.owner};
    page_add(scan, &ballot, body);
    return page_is_full(scan);
}

static int is_in_memory(const struct raft *r, slot_t index)
{
    const struct entry *entry = raft_log_find(r, index);
    return entry != NULL && entry->value.size > 0;
}

/* The end of the entries from `from` on that have to come from the store in one scan. */
static slot_t disk_end(const struct raft *r, slot_t from, slot_t to)
{
    slot_t end = from;
    while (end < to && end - from < PAGE_ENTRIES_MAX && !is_in_memory(r, end + 1)) {
        end++;
    }
    return end;
}

void raft_log_read(const struct raft *r, slot_t from, slot_t to, size_t bytes_max,
                   struct raft_page *page, struct effects *out)
{
    *page = (struct raft_page){0};
    struct page_scan pages = {.page = page,
                              .out = out,
                              .bytes_max =
                                  bytes_max < PAGE_BYTES_TARGET ? bytes_max : PAGE_BYTES_TARGET,
                              .next = from};
    CHECK(to <= r->log.last);
    while (pages.next <= to && !page_is_full(&pages) && out->fatal == 0) {
        const struct entry *entry = raft_log_find(r, pages.next);
        if (entry != NULL && entry->value.size > 0) {
            page_add(&pages, &entry->ballot, entry->value);
            continue;
        }
        effects_mark(out, MARK_PAGE_FROM_DISK);
        slot_t before = pages.next;
        int rc = scan(r, before, disk_end(r, before, to), page_visit, &pages);
        if (rc != 0 || pages.next == before) {
            effects_fatal(out, rc != 0 ? rc : ERROR_CORRUPT, "cannot read entry %llu of the store",
                          (unsigned long long)before);
        }
    }
}
