/* A configuration: who belongs to the cluster and which sets of acceptors are quorums. Quorums are
 * computed from a configuration, never from a constant, so that a later configuration can differ.
 */
#ifndef SYNOD_PROTOCOL_MEMBERS_H
#define SYNOD_PROTOCOL_MEMBERS_H

#include "common/protocol/limits.h"
#include "common/protocol/types.h"

#include <stddef.h>

/* Ids are strictly rising within a role. */
struct members {
    uint64_t number; /* of this configuration, from 1 */
    node_id_t acceptors[MEMBERS_MAX];
    node_id_t proposers[MEMBERS_MAX];
    node_id_t learners[MEMBERS_MAX];
    size_t acceptor_count;
    size_t proposer_count;
    size_t learner_count;
    size_t q1; /* acceptors that must promise (phase 1, prepare) */
    size_t q2; /* acceptors that must accept (phase 2) */
};

/* A set of acceptors, by index in members.acceptors. */
typedef uint32_t acceptor_set_t;

/* The index of an acceptor, or -1 if it is no member. */
int members_acceptor_index(const struct members *members, uint64_t id);

/* The index of a proposer, or -1 if it is no member. */
int members_proposer_index(const struct members *members, uint64_t id);

/* The index of a learner, or -1 if it is no member. */
int members_learner_index(const struct members *members, uint64_t id);

/* 1 if the peer is listed under its role; a client is a member of nothing. */
int members_contain(const struct members *members, struct peer peer);

/* 1 if every prepare quorum meets every accept quorum ("Flexible Paxos", Howard 2016: |Q1| + |Q2| >
 * N) and both are reachable at all. */
int members_quorums_intersect(const struct members *members);

/* The smallest majority of count. */
size_t majority_of(size_t count);

/* How many acceptors the set holds. */
size_t acceptor_set_count(acceptor_set_t set);

int is_prepare_quorum(const struct members *members, acceptor_set_t set);
int is_accept_quorum(const struct members *members, acceptor_set_t set);

#endif
