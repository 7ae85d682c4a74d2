/* The slots of an acceptor, in both protocols: each with the ballot at which it came and its value.
 * The store has all of them; the newest stand in a ring in memory, too, most with their values. It
 * knows nothing of votes and terms: whether a slot may be put, put again or deleted is for who uses
 * it to decide. */
#ifndef SYNOD_ACCEPTOR_LOG_SLOT_LOG_H
#define SYNOD_ACCEPTOR_LOG_SLOT_LOG_H

#include "common/protocol/core.h"

/* Slots in memory: those that are not settled, at most ACCEPTOR_AHEAD_SLOTS_MAX, and as many
 * others. */
#define SLOT_LOG_RING (2 * ACCEPTOR_AHEAD_SLOTS_MAX)

/* One slot in memory. */
struct log_slot {
    slot_t slot; /* 0: empty */
    struct ballot ballot;
    uint64_t stamp_ms;  /* cluster time of its value */
    uint64_t bytes_to;  /* bytes of all values put so far, its own included */
    unsigned flags;     /* of who uses the log; kept when the slot is put again, not in the store */
    struct slice value; /* a reference; empty if the value is only in the store */
};

struct slot_log {
    struct store_reader reader;
    char letter;        /* with which its keys begin */
    size_t cache_bytes; /* of values in memory, about */

    struct log_slot *ring; /* by slot % SLOT_LOG_RING */
    size_t ring_bytes;     /* of the values in it */
    slot_t oldest;         /* no slot from here to last has left the ring for another one */
    slot_t last;           /* the highest slot; 0: there is none */
    slot_t settled;        /* slots up to here are in the store and final: others may take their
                              place in the ring. Whoever uses the log raises it */
    slot_t evicted_to;     /* values of slots up to here may have left memory */
    uint64_t stamp_ms;     /* highest cluster time in any slot */
    uint64_t bytes;        /* of all values put so far */
};

/* Slots in rising order. */
struct page {
    struct slot_entry *entries; /* owned by the effects */
    uint32_t count, capacity;
    size_t bytes;
    size_t bytes_max; /* it closes there, or at PAGE_BYTES_TARGET if that is less */
    slot_t next;      /* where a further page would begin */
};

void slot_log_open(struct slot_log *log, const struct store_reader *reader, char letter,
                   size_t cache_bytes);
void slot_log_close(struct slot_log *log);

/* What holds of the whole struct. */
void slot_log_check(const struct slot_log *log);

/* Takes the slots from `from` on out of the store into memory. Those that lack below are damage;
 * is_dense: so are gaps. */
void slot_log_load(struct slot_log *log, slot_t from, int is_dense, struct effects *out);

/* The slot if it is in memory, else NULL. */
struct log_slot *slot_log_find(const struct slot_log *log, slot_t slot);

/* What is known of a slot that is in the store or in memory, without its value. Zeroes for slot
 * 0. */
struct log_slot slot_log_describe(const struct slot_log *log, slot_t slot, struct effects *out);

/* Puts a slot, for the store, too, in the place of what it was. value is referenced. */
struct log_slot *slot_log_put(struct slot_log *log, enum durability durability, slot_t slot,
                              const struct ballot *ballot, struct slice value, struct effects *out);

/* Deletes all slots from `slot` on, here and in the store. */
void slot_log_truncate(struct slot_log *log, slot_t slot, struct effects *out);

/* Drops values from memory beyond cache_bytes, oldest first. Only when all records are written. */
void slot_log_evict(struct slot_log *log, struct effects *out);

/* Begins a page at `from`. */
struct page page_at(slot_t from, size_t bytes_max);
int page_is_full(const struct page *page);

/* Adds slots from page->next up to `to` until the page is full; at least one if there is any.
 * Behind dense_to there may be gaps, which are passed over. */
void slot_log_read(const struct slot_log *log, slot_t to, slot_t dense_to, struct page *page,
                   struct effects *out);

#endif
