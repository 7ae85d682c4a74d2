/* The five properties of Raft (Fig. 3 of the paper) and what they rest on, watched at every
 * write, every message and after every step of a Raft node. They feed the same picture of what
 * is chosen that the checker has of Paxos, so that everything that is said of learners holds in
 * both modes.
 *
 * An entry of term S counts from the moment its record is synced at an acceptor whose durable
 * term is S then. A quorum of such makes it committed, and everything before it in that log. */
#ifndef SYNOD_TESTS_TRACE_RAFT_RULES_H
#define SYNOD_TESTS_TRACE_RAFT_RULES_H

#include "acceptor/raft/raft.h"
#include "tests/trace/checker.h"

struct raft_rules;

/* Gives the checker the rules of Raft in the place of those of Paxos. Freed with the checker. */
void raft_rules_install(struct checker *checker);
void raft_rules_free(struct raft_rules *rules);

/* As the functions of the checker. */
void raft_rules_on_durable(struct checker *checker, int acceptor, struct slice key,
                           struct blob *value);
void raft_rules_on_wipe(struct checker *checker, int acceptor);
void raft_rules_on_send(struct checker *checker, struct peer from, const struct message *msg);

/* The durable log of the acceptor: its last entry, and the term of one of its entries (0: none). */
slot_t raft_rules_durable_last(const struct raft_rules *rules, int acceptor);
uint64_t raft_rules_durable_term(const struct raft_rules *rules, int acceptor, slot_t index);

/* What a node was before a step. */
struct raft_before {
    enum raft_role role;
    struct ballot ballot;
    slot_t last, commit;
    uint64_t term;
    node_id_t voted_for; /* in that term */
    size_t record_count, send_count;
};

struct raft_before raft_rules_before(const struct raft *raft, const struct effects *fx);

/* A node that has just taken one step of its turn. */
struct raft_step {
    int acceptor; /* its index */
    const struct event *event;
    time_ms_t election_ms;
    const struct raft *raft;
    struct raft_before before;
    const struct effects *fx;
};

/* After each step but those that ended in a fatal error. */
void raft_rules_on_step(struct checker *checker, const struct raft_step *step);

#endif
