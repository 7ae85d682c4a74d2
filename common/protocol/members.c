#include "common/protocol/members.h"

static int index_of(const node_id_t *ids, size_t count, uint64_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == id) {
            return (int)i;
        }
    }
    return -1;
}

int members_acceptor_index(const struct members *members, uint64_t id)
{
    return index_of(members->acceptors, members->acceptor_count, id);
}

int members_proposer_index(const struct members *members, uint64_t id)
{
    return index_of(members->proposers, members->proposer_count, id);
}

int members_learner_index(const struct members *members, uint64_t id)
{
    return index_of(members->learners, members->learner_count, id);
}

int members_contain(const struct members *members, struct peer peer)
{
    switch (peer.role) {
    case ROLE_ACCEPTOR:
        return members_acceptor_index(members, peer.id) >= 0;
    case ROLE_PROPOSER:
        return members_proposer_index(members, peer.id) >= 0;
    case ROLE_LEARNER:
        return members_learner_index(members, peer.id) >= 0;
    case ROLE_CLIENT:
    case ROLE_NONE:
        break;
    }
    return 0;
}

int members_quorums_intersect(const struct members *members)
{
    return members->q1 >= 1 && members->q2 >= 1 && members->q1 <= members->acceptor_count &&
           members->q2 <= members->acceptor_count &&
           members->q1 + members->q2 > members->acceptor_count;
}

size_t majority_of(size_t count)
{
    return count / 2 + 1;
}

size_t acceptor_set_count(acceptor_set_t set)
{
    return (size_t)__builtin_popcount(set);
}

int is_prepare_quorum(const struct members *members, acceptor_set_t set)
{
    return acceptor_set_count(set) >= members->q1;
}

int is_accept_quorum(const struct members *members, acceptor_set_t set)
{
    return acceptor_set_count(set) >= members->q2;
}
