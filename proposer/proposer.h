/* The proposer: takes client commands and, while it is the distinguished proposer, gets them
 * chosen.
 *
 * proposer.c   start, dispatch, tick, flush
 * standby.c    heartbeats, reports, whether to start phase 1 (DESIGN section 5)
 * prepare.c    phase 1: promises and their pages
 * recover.c    from promises to values: what former leaders left behind
 * window.c     phase 2: slots in flight, quorums, commit, retransmission
 * time.c       stamps for leases that are due when nobody asks for anything
 * view.c       what the oracle sees and hears, and the settings that the log holds
 * transfer.c   leadership handed over: at the end, by an operator, by a rule
 * explain.c    why it leads, or does not
 * intake.c     client commands: taken or rejected, made into batches
 * clients.c    clients and their queue, within budgets; shared with forward.c
 * oracle/      who should lead
 * forward.c    the proposer of Raft mode, a core of its own (forward.h); forward_answers.c: what it
 *              is asked */
#ifndef SYNOD_PROPOSER_PROPOSER_H
#define SYNOD_PROPOSER_PROPOSER_H

#include "common/protocol/core.h"
#include "common/protocol/members.h"
#include "common/protocol/settings.h"

struct proposer;

struct proposer_options {
    node_id_t id;
    uint64_t incarnation; /* of this process; never 0 */
    uint64_t seed;        /* of its randomised pauses */
    struct members members;
    struct settings settings; /* of cluster.yml, for as long as the log says nothing else */
    int leads_anyway;         /* whatever settings say of this proposer: it may lead */
    time_ms_t heartbeat_ms;
    time_ms_t election_ms;
};

/* Step it with EVENT_START before anything else. Free with proposer_free. */
struct proposer *proposer_new(const struct proposer_options *options);

void proposer_free(struct proposer *p);

void proposer_step(struct proposer *p, const struct event *event, struct effects *out);

/* For a runner. */
struct core proposer_core(struct proposer *p);

/* What a test or a checker may ask; never used by a daemon's logic. */
enum node_state proposer_state(const struct proposer *p);
struct ballot proposer_ballot(const struct proposer *p);
slot_t proposer_chosen(const struct proposer *p);
const struct settings *proposer_settings(const struct proposer *p);
/* Whom its oracle names; or would, if nobody served. */
node_id_t proposer_names(const struct proposer *p, time_ms_t now);
node_id_t proposer_would_name(const struct proposer *p, time_ms_t now);

#endif
