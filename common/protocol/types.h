/* The domain scalars and identities that every other header speaks of. */
#ifndef SYNOD_PROTOCOL_TYPES_H
#define SYNOD_PROTOCOL_TYPES_H

#include <stdint.h>

typedef uint64_t slot_t;    /* position in the log, from 1; 0 means "before the first" */
typedef uint32_t node_id_t; /* identity of a member within its role, from 1; 0 means "none" */
typedef int64_t time_ms_t;  /* milliseconds of a monotonic clock with an arbitrary start */

#define TIME_NEVER INT64_MAX

/* The end of a span that begins now, as callers give it: UINT32_MAX ends never. */
static inline time_ms_t time_after(time_ms_t now, uint32_t span_ms)
{
    return span_ms == UINT32_MAX ? TIME_NEVER : now + (time_ms_t)span_ms;
}

/* A span as messages carry it: none below 0, none above UINT32_MAX. */
static inline uint32_t saturate_ms(time_ms_t ms)
{
    if (ms < 0) {
        return 0;
    }
    return ms > (time_ms_t)UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

enum role {
    ROLE_NONE = 0,
    ROLE_ACCEPTOR = 1,
    ROLE_PROPOSER = 2,
    ROLE_LEARNER = 3,
    ROLE_CLIENT = 4,
};

/* "acceptor", "proposer", ...; static storage. */
const char *role_name(enum role role);

/* Who a message comes from or goes to. For the three server roles id is the node_id_t of
 * cluster.yml; for a client it is the 64-bit nonce that it drew at its start, which is its
 * incarnation, too. */
struct peer {
    enum role role;
    uint64_t id;
};

static inline int peer_equal(struct peer a, struct peer b)
{
    return a.role == b.role && a.id == b.id;
}

/* A ballot names one leadership attempt ("Paxos Made Simple", 2.2: proposal number). Ordered by
 * (round, proposer); two ballots are the same attempt only if all three parts are equal, so that a
 * proposer that restarts can never be taken for its former self (TRAPS 7.1). */
struct ballot {
    uint64_t round; /* from 1; 0 in the ballot that is below every other */
    node_id_t proposer;
    uint64_t incarnation; /* 64 random bits drawn at process start */
};

#define BALLOT_NONE ((struct ballot){0, 0, 0})

/* -1, 0 or 1 by (round, proposer). 0 does not mean equal: see ballot_equal. */
int ballot_compare(const struct ballot *a, const struct ballot *b);

int ballot_equal(const struct ballot *a, const struct ballot *b);

static inline int ballot_is_none(const struct ballot *b)
{
    return b->round == 0;
}

#endif
