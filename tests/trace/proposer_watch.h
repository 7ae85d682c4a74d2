/* What a proposer does at a step, held against what it has sent and heard itself, by its own clock:
 * rules of the leader's life whose breach costs no safety, only time. */
#ifndef SYNOD_TESTS_TRACE_PROPOSER_WATCH_H
#define SYNOD_TESTS_TRACE_PROPOSER_WATCH_H

#include "proposer/proposer.h"
#include "tests/trace/checker.h"

/* What a proposer was before a step. */
struct proposer_before {
    enum node_state state;
    size_t send_count;
};

struct proposer_before proposer_watch_before(const struct proposer *proposer,
                                             const struct effects *fx);

/* A proposer that has just taken one step of its turn. */
struct proposer_step {
    node_id_t id;
    const struct event *event;
    time_ms_t heartbeat_ms, election_ms;
    const struct proposer *proposer;
    struct proposer_before before;
    const struct effects *fx;
};

/* After each step but those that ended in a fatal error. */
void proposer_watch_on_step(struct checker *checker, const struct proposer_step *step);

#endif
