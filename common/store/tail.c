#include "common/store/tail.h"

#include "common/base/bytes.h"
#include "common/base/memory.h"

#include <inttypes.h>
#include <stdlib.h>

static void put_key(uint8_t key[TAIL_KEY_BYTES], char kind, uint32_t place)
{
    key[0] = 0; /* the store's own keys */
    key[1] = (uint8_t)kind;
    bytes_put_u32(key + 2, place);
}

void tail_put_key(uint8_t key[TAIL_KEY_BYTES], uint64_t sequence)
{
    put_key(key, 'b', (uint32_t)(sequence % TAIL_RING_MARKS));
}

void tail_put_end_key(uint8_t key[TAIL_KEY_BYTES])
{
    put_key(key, 'b' + 1, 0);
}

void tail_put_value(uint8_t value[TAIL_VALUE_BYTES], const struct tail_mark *mark)
{
    bytes_put_u64(value, mark->sequence);
    bytes_put_u64(value + 8, mark->durable);
    bytes_put_u64(value + 16, mark->chain);
}

int tail_add(struct tail *tail, struct slice key, struct slice value)
{
    if (key.size != TAIL_KEY_BYTES || value.size != TAIL_VALUE_BYTES) {
        return ERROR_CORRUPT;
    }
    struct tail_mark mark = {
        .sequence = bytes_get_u64(value.data),
        .durable = bytes_get_u64(value.data + 8),
        .chain = bytes_get_u64(value.data + 16),
    };
    uint32_t place = bytes_get_u32(key.data + 2);
    if (mark.sequence == 0 || mark.sequence % TAIL_RING_MARKS != place) {
        return ERROR_CORRUPT;
    }
    if (tail->ring == NULL) {
        tail->ring = memory_calloc(TAIL_RING_MARKS, sizeof *tail->ring);
    }
    tail->ring[place] = mark;
    if (mark.sequence > tail->last.sequence) {
        tail->last = mark;
    }
    return 0;
}

/* The mark of a sequence up to the last, or NULL if its place is empty or holds another. */
static const struct tail_mark *mark_at(const struct tail *tail, uint64_t sequence)
{
    if (tail->ring == NULL) {
        return NULL;
    }
    const struct tail_mark *mark = &tail->ring[sequence % TAIL_RING_MARKS];
    return mark->sequence == sequence ? mark : NULL;
}

/* The oldest sequence whose mark has not been overwritten by a later lap of the ring. */
static uint64_t oldest_kept(const struct tail *tail)
{
    uint64_t last = tail->last.sequence;
    return last > TAIL_RING_MARKS ? last - TAIL_RING_MARKS + 1 : 1;
}

uint64_t tail_missing(const struct tail *tail)
{
    for (uint64_t s = oldest_kept(tail); s < tail->last.sequence; s++) {
        if (mark_at(tail, s) == NULL) {
            return s;
        }
    }
    return 0;
}

int tail_compare(const struct tail *tail, const struct tail_mark *guard, struct errmsg *err)
{
    if (guard->durable > tail->last.durable || guard->sequence > tail->last.sequence) {
        return errmsg_set(err, ERROR_CORRUPT,
                          "the guard knows %" PRIu64 " synced batches, the store has %" PRIu64,
                          guard->durable, tail->last.durable);
    }
    /* More means that the guard is an old copy. */
    if (tail->last.durable - guard->durable > TAIL_GUARD_BEHIND_MAX) {
        return errmsg_set(err, ERROR_CORRUPT,
                          "the guard is out of date: it knows %" PRIu64
                          " synced batches, the store has %" PRIu64,
                          guard->durable, tail->last.durable);
    }
    if (guard->sequence < oldest_kept(tail)) {
        return 0; /* unsynced batches went round the whole ring since; the counts agree */
    }
    const struct tail_mark *mark = mark_at(tail, guard->sequence);
    if (mark == NULL || mark->durable != guard->durable || mark->chain != guard->chain) {
        return errmsg_set(err, ERROR_CORRUPT,
                          "batch %" PRIu64 " of the store is not the one the guard recorded",
                          guard->sequence);
    }
    return 0;
}

void tail_close(struct tail *tail)
{
    free(tail->ring);
    *tail = (struct tail){0};
}
