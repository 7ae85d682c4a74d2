/* The learner: puts chosen values in order, applies each once to the state machine, and serves
 * clients from it.
 *
 * learner.c    start, dispatch, tick, flush
 * delivery.c   values and commits in any order -> decided slots in order; gaps are fetched
 * clients.c    who is connected, and the results that go there
 * reads.c      questions that wait: for a quorum, for slots, for something new
 * answers.c    records, answers, events
 * compactions.c  when what was compacted is swept
 * digests.c    whether other learners have the same state; what is due
 * machine/     the replicated state machine: sessions and the log */
#ifndef SYNOD_LEARNER_LEARNER_H
#define SYNOD_LEARNER_LEARNER_H

#include "common/protocol/core.h"
#include "common/protocol/members.h"

struct learner;

struct learner_options {
    node_id_t id;
    uint64_t seed; /* which acceptor it asks first */
    struct members members;
    time_ms_t heartbeat_ms;
    time_ms_t election_ms;
    struct store_reader reader; /* valid for the life of the learner */
    uint32_t fetch_bytes;       /* of chosen slots, asked for at once; 0: PAGE_BYTES_TARGET */
    uint32_t range_bytes;       /* of a page of a range of keys; likewise */
};

/* Step it with EVENT_START before anything else. Free with learner_free. */
struct learner *learner_new(const struct learner_options *options);

void learner_free(struct learner *l);

void learner_step(struct learner *l, const struct event *event, struct effects *out);

/* For a runner. */
struct core learner_core(struct learner *l);

/* What a test or a checker may ask; never used by a daemon's logic. */
slot_t learner_applied(const struct learner *l);
uint64_t learner_digest(const struct learner *l);
uint64_t learner_last_index(const struct learner *l);

#endif
