/* What an acceptor says, held against what it has stored at the very step that says it, when the
 * records of its turn are not on the disk yet; and that it answers all that it is asked (DESIGN 4:
 * silence is never an answer). */
#ifndef SYNOD_TESTS_TRACE_ANSWERS_H
#define SYNOD_TESTS_TRACE_ANSWERS_H

#include "common/protocol/core.h"
#include "tests/trace/checker.h"

/* An acceptor that has just taken one step of its turn. */
struct answers_step {
    node_id_t acceptor;
    const struct event *event;
    time_ms_t election_ms;
    const struct disk *disk; /* as it was before the turn */
    const struct effects *fx;
    size_t first_send, first_record; /* what this step added to fx begins there */
};

/* After each step but those that ended in a fatal error. */
void answers_on_step(struct checker *checker, const struct answers_step *step);

/* The acceptor starts a turn; it has flushed, and all its answers are in fx. */
void answers_on_turn(struct checker *checker);
void answers_on_flush(struct checker *checker, const struct answers_step *step);

#endif
