#include "tests/sim/queue.h"

#include "common/base/memory.h"

#include <stdlib.h>

static int is_before(const struct item *a, const struct item *b)
{
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

void queue_put(struct queue *queue, struct item item)
{
    queue->items =
        memory_grow(queue->items, &queue->capacity, queue->count + 1, sizeof *queue->items);
    item.order = queue->puts++;
    size_t at = queue->count++;
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (!is_before(&item, &queue->items[parent])) {
            break;
        }
        queue->items[at] = queue->items[parent];
        at = parent;
    }
    queue->items[at] = item;
}

const struct item *queue_first(const struct queue *queue)
{
    return queue->count > 0 ? &queue->items[0] : NULL;
}

int queue_take(struct queue *queue, struct item *item)
{
    if (queue->count == 0) {
        return 0;
    }
    *item = queue->items[0];
    struct item last = queue->items[--queue->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= queue->count) {
            break;
        }
        if (child + 1 < queue->count && is_before(&queue->items[child + 1], &queue->items[child])) {
            child++;
        }
        if (!is_before(&queue->items[child], &last)) {
            break;
        }
        queue->items[at] = queue->items[child];
        at = child;
    }
    queue->items[at] = last;
    return 1;
}

void queue_close(struct queue *queue)
{
    free(queue->items);
}
