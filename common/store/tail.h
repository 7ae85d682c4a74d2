/* The tail of a store: marks that let an open prove that every batch is there.
 *
 * LevelDB drops damaged parts of its write-ahead log without an error, the newest batches as well
 * as some in the middle (TRAPS 2). Therefore every batch carries its own mark under the store key
 * of its place in a ring that is larger than the number of batches LevelDB can hold in its logs.
 * Batches are atomic, so a batch is there if and only if its mark is, and older ones are in tables,
 * whose loss LevelDB does notice. */
#ifndef SYNOD_STORE_TAIL_H
#define SYNOD_STORE_TAIL_H

#include "common/base/blob.h"
#include "common/base/error.h"

#include <stdint.h>

/* State of a store right after one batch. */
struct tail_mark {
    uint64_t sequence; /* of the batch among all batches, from 1; 0: before the first */
    uint64_t durable;  /* synced batches so far, this one included if it was one */
    uint64_t chain;    /* hash over the chain before this batch and all its records */
};

/* At least 72 bytes of LevelDB's write buffer hold one mark, and at most two write buffers are not
 * in tables (the one being filled and the one being written out): 2 * 4 MiB / 72 = 116,509. */
#define TAIL_RING_MARKS 131072

/* Synced batches by which the guard may be behind the store after the machine's end: the last one,
 * because the next is not begun before the guard is synced. */
#define TAIL_GUARD_BEHIND_MAX 1

#define TAIL_KEY_BYTES 6
#define TAIL_VALUE_BYTES 24

/* The store key under which the mark of this sequence is put, and the first key behind all of
 * them. */
void tail_put_key(uint8_t key[TAIL_KEY_BYTES], uint64_t sequence);
void tail_put_end_key(uint8_t key[TAIL_KEY_BYTES]);

void tail_put_value(uint8_t value[TAIL_VALUE_BYTES], const struct tail_mark *mark);

/* What an open reads back. Zero-initialise; close with tail_close. */
struct tail {
    struct tail_mark *ring; /* by sequence modulo TAIL_RING_MARKS */
    struct tail_mark last;  /* of the highest sequence */
};

/* Takes one mark as it was read (value without seal). 0 or ERROR_CORRUPT. */
int tail_add(struct tail *tail, struct slice key, struct slice value) MUST_USE;

/* The first sequence that is missing before the last one; 0 if none is. */
uint64_t tail_missing(const struct tail *tail);

/* Compares the store with what its guard recorded as acknowledged. 0, or ERROR_CORRUPT with the
 * reason (a clause, no sentence). */
int tail_compare(const struct tail *tail, const struct tail_mark *guard,
                 struct errmsg *err) MUST_USE;

void tail_close(struct tail *tail);

#endif
