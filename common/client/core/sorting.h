/* Keys of a range that is too large for a learner to sort: they come in pages by rising keys, and
 * leave in pages in the order that the range wants. */
#ifndef SYNOD_CLIENT_CORE_SORTING_H
#define SYNOD_CLIENT_CORE_SORTING_H

#include "common/protocol/kv.h"

/* With a limit only the best are kept. */
struct sorting {
    const struct kv_range *wanted; /* borrowed */
    struct kv *kvs;                /* with references of their own, from `taken` on */
    size_t size, capacity;
    size_t taken;            /* have left */
    size_t bytes, bytes_max; /* what is kept; where the rest is dropped */
    uint64_t matches;        /* all that were added */
};

/* wanted: how to sort, and how many; it must stay where it is. */
void sorting_init(struct sorting *sorting, const struct kv_range *wanted);
void sorting_close(struct sorting *sorting);

/* Copies the key in. */
void sorting_add(struct sorting *sorting, const struct kv *kv);

/* All were added: sorts them. Returns 1 if the limit leaves some out. */
int sorting_finish(struct sorting *sorting);

/* Appends the next keys to a page until it has PAGE_BYTES_TARGET, and gives their memory back.
 * Returns how many. */
uint32_t sorting_take_page(struct sorting *sorting, struct buffer *page);

/* 1 if all have left. */
int sorting_is_empty(const struct sorting *sorting);

#endif
