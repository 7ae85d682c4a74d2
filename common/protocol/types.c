#include "common/protocol/types.h"

const char *role_name(enum role role)
{
    switch (role) {
    case ROLE_ACCEPTOR:
        return "acceptor";
    case ROLE_PROPOSER:
        return "proposer";
    case ROLE_LEARNER:
        return "learner";
    case ROLE_CLIENT:
        return "client";
    case ROLE_NONE:
        break;
    }
    return "none";
}

int ballot_compare(const struct ballot *a, const struct ballot *b)
{
    if (a->round != b->round) {
        return a->round < b->round ? -1 : 1;
    }
    if (a->proposer != b->proposer) {
        return a->proposer < b->proposer ? -1 : 1;
    }
    return 0;
}

int ballot_equal(const struct ballot *a, const struct ballot *b)
{
    return a->round == b->round && a->proposer == b->proposer && a->incarnation == b->incarnation;
}
