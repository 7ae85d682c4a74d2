#include "tests/explore/scope.h"

const struct members *scope_members(void)
{
    static const struct members members = {
        .number = 1,
        .acceptors = {1, 2, 3},
        .proposers = {1, 2},
        .learners = {1},
        .acceptor_count = ACCEPTORS,
        .proposer_count = PROPOSERS,
        .learner_count = 1,
        .q1 = 2,
        .q2 = 2,
    };
    return &members;
}

const char *process_name(unsigned process)
{
    static const char *const names[PROCESSES + 1] = {"A1", "A2", "A3", "P1", "P2", "?"};
    return names[process < PROCESSES ? process : PROCESSES];
}

unsigned process_of(struct peer peer)
{
    if (peer.role == ROLE_ACCEPTOR && peer.id >= 1 && peer.id <= ACCEPTORS) {
        return (unsigned)peer.id - 1;
    }
    if (peer.role == ROLE_PROPOSER && peer.id >= 1 && peer.id <= PROPOSERS) {
        return ACCEPTORS + (unsigned)peer.id - 1;
    }
    return PROCESSES;
}

struct peer process_peer(unsigned process)
{
    if (process < ACCEPTORS) {
        return (struct peer){ROLE_ACCEPTOR, process + 1};
    }
    return (struct peer){ROLE_PROPOSER, process - ACCEPTORS + 1};
}
