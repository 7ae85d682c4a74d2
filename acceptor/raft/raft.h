/* A Raft node: what an acceptor runs when cluster.yml says `protocol: raft` (Ongaro, Ousterhout,
 * "In Search of an Understandable Consensus Algorithm", 2014; the figures and sections named here
 * are those of that paper). The log index is the slot, the term is the round, and an entry holds
 * the same bytes as a slot does in Paxos mode, so that learners and clients see no difference.
 *
 * raft.c         start, dispatch, tick, flush; terms and who leads
 * election.c     pre-vote, votes, stickiness, priorities
 * log.c          entries in memory and in the store, and what one conflict takes away
 * replication.c  append and its answer, on both sides; commit
 * progress.c     what one follower has, and what it is sent next
 * intake.c       blocks that proposers hand over, time for what is due, what learners are told
 * answers.c      reports, fetches, read indexes: what others ask
 * transfer.c     leadership handed to a follower */
#ifndef SYNOD_ACCEPTOR_RAFT_RAFT_H
#define SYNOD_ACCEPTOR_RAFT_RAFT_H

#include "common/protocol/core.h"
#include "common/protocol/members.h"
#include "common/protocol/settings.h"

struct raft;

struct raft_options {
    node_id_t id;
    uint64_t incarnation; /* of this process; never 0 */
    uint64_t seed;        /* of its randomised timeouts */
    struct members members;
    struct settings settings; /* of cluster.yml, for as long as the log says nothing else */
    int leads_anyway;         /* whatever settings say of this acceptor: it may lead */
    time_ms_t heartbeat_ms;
    time_ms_t election_ms; /* shortest silence of a leader after which somebody else may lead */
    struct store_reader reader; /* valid for the life of the node */
};

/* Step it with EVENT_START before anything else. Free with raft_free. */
struct raft *raft_new(const struct raft_options *options);

void raft_free(struct raft *r);

void raft_step(struct raft *r, const struct event *event, struct effects *out);

/* For a runner. */
struct core raft_core(struct raft *r);

enum raft_role {
    RAFT_FOLLOWER,
    RAFT_PRECANDIDATE, /* asks whether an election would be won, and changes nothing by it */
    RAFT_CANDIDATE,
    RAFT_LEADER,
};

/* What a test or a checker may ask; never used by a daemon's logic. */
enum raft_role raft_role(const struct raft *r);
uint64_t raft_term(const struct raft *r);
node_id_t raft_voted_for(const struct raft *r); /* in this term; 0: nobody */
slot_t raft_commit(const struct raft *r);
slot_t raft_last(const struct raft *r);
struct ballot raft_ballot(const struct raft *r);          /* of its last leadership */
slot_t raft_match(const struct raft *r, size_t acceptor); /* of a leader: "matchIndex", by index */

/* The term and the value of an entry that is in memory. 0 if it is not. */
int raft_entry(const struct raft *r, slot_t index, uint64_t *term, struct slice *value);

#endif
