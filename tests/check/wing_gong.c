#include "tests/check/wing_gong.h"

#include "common/base/check.h"
#include "common/base/memory.h"

#include <stdlib.h>
#include <string.h>

/* Operations wait in three rings, each in the order in which they began; a node goes through them
 * one after the other. */
enum ring {
    RING_PURE,   /* legal now and harmless: no choice at all */
    RING_NEEDED, /* what happened for sure; the one that is demanded comes before the others */
    RING_OTHERS, /* what perhaps did not happen */
    RINGS,
};

#define CURSOR_NEW SIZE_MAX

/* A configuration on the current path, and what was tried there. */
struct node {
    enum ring ring; /* RINGS: nothing is left to try */
    size_t cursor; /* what was looked at last in this ring; CURSOR_NEW: not even the demanded one */
    size_t end;    /* position in by_end of the operation that is demanded */
    size_t chosen;
};

struct seen {
    uint64_t set, state; /* both 0: empty */
};

struct search {
    const struct wing_gong_operation *operations;
    size_t count;
    const struct wing_gong_object *object;
    size_t *by_end; /* the operations that ended */
    size_t end_count;
    uint8_t *is_ordered;
    uint8_t *is_needed;
    size_t *next, *previous; /* of those that wait; [count + ring] is the head of a ring */
    struct node *path;
    uint64_t set; /* hash of what is ordered */
    struct seen *table;
    size_t table_capacity; /* a power of two */
    uint64_t steps_max;
    struct wing_gong_report *report;
};

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

/* ---- configurations that were looked at */

static struct seen *place_of(struct seen *table, size_t capacity, struct seen wanted)
{
    size_t place = (size_t)mix(wanted.set ^ mix(wanted.state)) & (capacity - 1);
    while ((table[place].set | table[place].state) != 0 &&
           (table[place].set != wanted.set || table[place].state != wanted.state)) {
        place = (place + 1) & (capacity - 1);
    }
    return &table[place];
}

static void grow_table(struct search *search)
{
    size_t capacity = search->table_capacity == 0 ? 1024 : search->table_capacity * 2;
    struct seen *table = memory_calloc(capacity, sizeof *table);
    for (size_t i = 0; i < search->table_capacity; i++) {
        const struct seen seen = search->table[i];
        if ((seen.set | seen.state) != 0) {
            *place_of(table, capacity, seen) = seen;
        }
    }
    free(search->table);
    search->table = table;
    search->table_capacity = capacity;
}

/* 1 if the configuration is a new one; it is remembered. */
static int is_new(struct search *search)
{
    if (2 * search->report->configurations >= search->table_capacity) {
        grow_table(search);
    }
    struct seen seen = {search->set, search->object->hash(search->object->state)};
    if ((seen.set | seen.state) == 0) {
        seen.set = 1;
    }
    struct seen *place = place_of(search->table, search->table_capacity, seen);
    if ((place->set | place->state) != 0) {
        return 0;
    }
    *place = seen;
    search->report->configurations++;
    return 1;
}

/* ---- the order */

static void put(struct search *search, size_t operation)
{
    search->is_ordered[operation] = 1;
    search->set ^= mix(operation);
    search->next[search->previous[operation]] = search->next[operation];
    search->previous[search->next[operation]] = search->previous[operation];
}

/* Takes the newest one out again: its neighbours are what they were. */
static void take_back(struct search *search, size_t operation)
{
    search->is_ordered[operation] = 0;
    search->set ^= mix(operation);
    search->next[search->previous[operation]] = operation;
    search->previous[search->next[operation]] = operation;
    if (!search->operations[operation].is_pure) {
        search->object->undo(search->object->state, operation);
    }
}

/* The operation is put into the order if that is legal here. */
static int try_next(struct search *search, size_t operation)
{
    size_t after = search->operations[operation].after;
    return (after == OPERATION_NONE || search->is_ordered[after]) &&
           search->object->step(search->object->state, operation);
}

/* The next operation of the node's ring that began before the demanded one ended. OPERATION_NONE:
 * the ring is through. */
static size_t next_in_ring(const struct search *search, struct node *node, size_t demanded)
{
    if (node->cursor == CURSOR_NEW) {
        node->cursor = search->count + node->ring;
        if (node->ring == RING_NEEDED && !search->operations[demanded].is_pure) {
            return demanded;
        }
    }
    size_t operation = search->next[node->cursor];
    if (operation == demanded && node->ring == RING_NEEDED) {
        operation = search->next[operation]; /* was the first one */
    }
    if (operation >= search->count ||
        search->operations[operation].begun > search->operations[demanded].ended) {
        return OPERATION_NONE;
    }
    node->cursor = operation;
    return operation;
}

/* The next operation that can follow, after those that were tried; it was stepped. OPERATION_NONE
 * if there is none left. */
static size_t next_choice(struct search *search, struct node *node)
{
    size_t demanded = search->by_end[node->end];
    while (node->ring < RINGS && search->report->steps <= search->steps_max) {
        size_t operation = next_in_ring(search, node, demanded);
        search->report->steps++;
        if (operation == OPERATION_NONE) {
            node->ring++;
            node->cursor = CURSOR_NEW;
        } else if (try_next(search, operation)) {
            return operation;
        }
    }
    return OPERATION_NONE;
}

/* A legal pure operation leaves nothing else to try: if there is an order at all, there is one that
 * goes on with it. */
static void settle(struct node *node)
{
    if (node->ring == RING_PURE) {
        node->ring = RINGS;
    }
}

static void enter(struct search *search, size_t depth, size_t end)
{
    while (end < search->end_count && search->is_ordered[search->by_end[end]]) {
        end++;
    }
    search->path[depth] = (struct node){.ring = RING_PURE, .cursor = CURSOR_NEW, .end = end};
}

static int is_exhausted(const struct search *search)
{
    return search->report->steps > search->steps_max ||
           search->report->configurations > search->steps_max / 16;
}

static int walk(struct search *search)
{
    size_t depth = 0;
    size_t farthest = 0;
    enter(search, 0, 0);
    while (search->path[depth].end < search->end_count) {
        struct node *node = &search->path[depth];
        if (node->end >= farthest) {
            farthest = node->end;
            search->report->stuck = search->by_end[farthest];
        }
        size_t operation = next_choice(search, node);
        if (is_exhausted(search)) {
            return ERROR_BUSY;
        }
        if (operation != OPERATION_NONE) {
            put(search, operation);
            node->chosen = operation;
            if (is_new(search)) {
                enter(search, ++depth, node->end);
            } else {
                take_back(search, operation);
                settle(node);
            }
            continue;
        }
        if (depth == 0) {
            return ERROR_CORRUPT;
        }
        node = &search->path[--depth];
        take_back(search, node->chosen);
        settle(node);
    }
    search->report->stuck = OPERATION_NONE;
    return 0;
}

/* ---- before the walk */

struct moment {
    uint64_t at;
    size_t operation;
};

static int compare_moments(const void *a, const void *b)
{
    const struct moment *x = a;
    const struct moment *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

static void sort_ends(struct search *search, struct moment *moments)
{
    for (size_t i = 0; i < search->count; i++) {
        if (search->operations[i].ended != MOMENT_NEVER) {
            moments[search->end_count++] = (struct moment){search->operations[i].ended, i};
        }
    }
    qsort(moments, search->end_count, sizeof *moments, compare_moments);
    for (size_t i = 0; i < search->end_count; i++) {
        search->by_end[i] = moments[i].operation;
    }
}

/* What ended is needed, and so is all that must come before something needed. */
static void mark_needed(struct search *search)
{
    for (size_t i = 0; i < search->count; i++) {
        const struct wing_gong_operation *op = &search->operations[i];
        CHECK(op->after == OPERATION_NONE || op->after < search->count);
        if (op->ended == MOMENT_NEVER && !op->is_needed) {
            continue;
        }
        for (size_t k = i; k != OPERATION_NONE && !search->is_needed[k];
             k = search->operations[k].after) {
            search->is_needed[k] = 1;
        }
    }
}

static enum ring ring_of(const struct search *search, size_t operation)
{
    if (search->operations[operation].is_pure) {
        return RING_PURE;
    }
    return search->is_needed[operation] ? RING_NEEDED : RING_OTHERS;
}

static void link_begins(struct search *search, struct moment *moments)
{
    for (size_t i = 0; i < search->count; i++) {
        moments[i] = (struct moment){search->operations[i].begun, i};
    }
    qsort(moments, search->count, sizeof *moments, compare_moments);
    for (size_t head = search->count; head < search->count + RINGS; head++) {
        search->next[head] = search->previous[head] = head;
    }
    for (size_t i = 0; i < search->count; i++) {
        size_t operation = moments[i].operation;
        size_t head = search->count + ring_of(search, operation);
        size_t last = search->previous[head];
        search->next[last] = search->previous[head] = operation;
        search->previous[operation] = last;
        search->next[operation] = head;
    }
}

int wing_gong_search(const struct wing_gong_operation *operations, size_t count,
                     const struct wing_gong_object *object, uint64_t steps_max,
                     struct wing_gong_report *report)
{
    *report = (struct wing_gong_report){.stuck = OPERATION_NONE};
    struct search search = {
        .operations = operations,
        .count = count,
        .object = object,
        .by_end = memory_alloc(count * sizeof *search.by_end),
        .is_ordered = memory_calloc(count, sizeof *search.is_ordered),
        .is_needed = memory_calloc(count, sizeof *search.is_needed),
        .next = memory_alloc((count + RINGS) * sizeof *search.next),
        .previous = memory_alloc((count + RINGS) * sizeof *search.previous),
        .path = memory_alloc((count + 1) * sizeof *search.path),
        .steps_max = steps_max,
        .report = report,
    };
    struct moment *moments = memory_alloc(count * sizeof *moments);
    sort_ends(&search, moments);
    mark_needed(&search);
    link_begins(&search, moments);
    free(moments);
    int rc = walk(&search);
    free(search.by_end);
    free(search.is_ordered);
    free(search.is_needed);
    free(search.next);
    free(search.previous);
    free(search.path);
    free(search.table);
    return rc;
}
