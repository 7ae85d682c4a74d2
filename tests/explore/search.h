/* Every state that can be reached, breadth first, so that the first violation has a shortest trace.
 */
#ifndef SYNOD_TESTS_EXPLORE_SEARCH_H
#define SYNOD_TESTS_EXPLORE_SEARCH_H

#include "tests/explore/local.h"

struct search_result {
    int is_complete; /* no state is left that was not looked at */
    int is_violated;
    uint64_t states;
    uint64_t combinations; /* of the cores' states with the votes that were ever made: what is left
                              of a state without the network */
    uint64_t transitions;  /* that lead to another state */
    uint64_t choices;      /* that were tried */
    unsigned depth;        /* choices on the longest of all shortest ways */
    uint64_t by_chosen[SLOTS + 1]; /* states in which so many slots are chosen */
    struct machine_counts machines;
    struct local_counts locals;
    size_t messages;
    size_t dead_checked;   /* pairs of core state and dead message that were verified */
    char dead_broken[600]; /* how a rule about them is wrong; empty if none is */
    double seconds;
    uint64_t bytes; /* of memory, at most */
};

/* Explores; on a violation prints the trace. Stops at states_max, which is a failure. */
struct search_result search_run(const struct scope *scope, uint64_t states_max, int is_plain);

#endif
