/* What a learner answers to linearizable questions, held against what it has asked the acceptors
 * since. */
#ifndef SYNOD_TESTS_TRACE_READ_WATCH_H
#define SYNOD_TESTS_TRACE_READ_WATCH_H

#include "common/protocol/core.h"
#include "tests/trace/checker.h"

/* A learner that has just taken one step of its turn. */
struct learner_step {
    node_id_t id;
    const struct event *event;
    const struct effects *fx;
    size_t first_send; /* what this step added to fx begins there */
};

/* After each step but those that ended in a fatal error. */
void read_watch_on_step(struct checker *checker, const struct learner_step *step);

#endif
