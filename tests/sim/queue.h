/* What will happen and when: a binary heap of items, taken in order of their time and, among equal
 * ones, in the order in which they were put. Nothing else orders a run. */
#ifndef SYNOD_TESTS_SIM_QUEUE_H
#define SYNOD_TESTS_SIM_QUEUE_H

#include <stddef.h>
#include <stdint.h>

/* Virtual microseconds since the start of the run. */
typedef int64_t time_us_t;

#define TIME_US_NEVER INT64_MAX

struct item {
    time_us_t at;
    uint64_t order; /* number of the put */
    uint32_t kind;  /* what to do; for the caller */
    uint32_t a, b;
    uint32_t life; /* for the caller: of which life of a process it speaks */
    void *data;
};

struct queue {
    struct item *items;
    size_t count, capacity;
    uint64_t puts;
};

/* Puts an item; its order is filled in. */
void queue_put(struct queue *queue, struct item item);

/* The earliest item, or NULL. Borrowed until the next call. */
const struct item *queue_first(const struct queue *queue);

/* Takes the earliest item out. 0 if there is none. */
int queue_take(struct queue *queue, struct item *item);

void queue_close(struct queue *queue);

#endif
