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
    size_t after;   /* the operation that must come before in any case, or OPERATION_NONE */
};

enum wing_gong_step {
    STEP_ILLEGAL, /* the operation cannot have had its result in this state */
    STEP_SAME,    /* it can, and leaves the state as it is */
    STEP_CHANGED,
};

/* The sequential object. Operations are named by their position. */
struct wing_gong_object {
    void *state;
    enum wing_gong_step (*step)(void *state, size_t operation);
    void (*undo)(void *state, size_t operation); /* of the newest step that was STEP_CHANGED */
    uint64_t (*hash)(const void *state);
};

struct wing_gong_report {
    uint64_t steps;          /* that were tried */
    uint64_t configurations; /* that were remembered */
    size_t stuck; /* the operation at whose end no order was left, when it got farthest */
};

/* Returns 0; ERROR_CORRUPT: no order explains it, report->stuck says where; ERROR_BUSY: neither was
 * known after steps_max steps. */
int wing_gong_search(const struct wing_gong_operation *operations, size_t count,
                     const struct wing_gong_object *object, uint64_t steps_max,
                     struct wing_gong_report *report) MUST_USE;

#endif
