/* Is there an order of operations that explains what everybody saw? The search of Wing and Gong
 * ("Testing and Verifying Concurrent Objects", 1993) with what Lowe added ("Testing for
 * linearizability", 2017): operations are put into the order only when the end of one demands it
 * (just in time), and a configuration, which is the set of operations in the order and the state
 * they lead to, is looked at once. It knows nothing of the object: see log_object.h for one.
 *
 * Configurations are remembered by 128 bits of hash. Two that collide could make it miss an order
 * and so complain of a good history; it never takes a bad one for good. */
#ifndef SYNOD_TESTS_CHECK_WING_GONG_H
#define SYNOD_TESTS_CHECK_WING_GONG_H

#include "tests/check/history.h"

struct wing_gong_operation {
    uint64_t begun; /* moments, all different */
    uint64_t ended; /* MOMENT_NEVER: it may have happened at any time since it began, or not */
    size_t after;   /* an operation that began earlier and comes before in any case, or
                       OPERATION_NONE */
    int is_pure;    /* it never changes the state: as soon as it is legal it is put into the order,
                       and nothing else need be tried */
    int is_needed;  /* it is known to have happened although it did not end: tried before those
                       that perhaps did not, which may be many; a hint only */
};

/* The sequential object. Operations are named by their position. */
struct wing_gong_object {
    void *state; /* the first one; if there is an order, the last one when the search is over */
    /* 1 if the operation can have had its result in this state, which changes to the next one. 0 if
     * not, which leaves it as it is. */
    int (*step)(void *state, size_t operation);
    void (*undo)(void *state, size_t operation); /* of the newest step that is not pure */
    uint64_t (*hash)(const void *state);         /* equal for states with the same future */
};

struct wing_gong_report {
    uint64_t steps;          /* operations that were looked at, to find the next in the order */
    uint64_t configurations; /* that were remembered */
    size_t stuck;            /* the operation at whose end no order was left, where it got farthest;
                                OPERATION_NONE if there is an order */
};

/* Returns 0; ERROR_CORRUPT: no order explains it, report->stuck says where; ERROR_BUSY: neither was
 * known after steps_max steps, or a sixteenth as many configurations, which bounds its memory to
 * four bytes a step. */
int wing_gong_search(const struct wing_gong_operation *operations, size_t count,
                     const struct wing_gong_object *object, uint64_t steps_max,
                     struct wing_gong_report *report) MUST_USE;

#endif
