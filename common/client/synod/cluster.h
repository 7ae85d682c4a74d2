/* How the cluster is. Part of synod.h, which is to be included. */
#ifndef SYNOD_CLUSTER_H
#define SYNOD_CLUSTER_H

#ifndef SYNOD_H
#error "include synod.h, which has this part"
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum synod_role { SYNOD_ACCEPTOR = 1, SYNOD_PROPOSER = 2, SYNOD_LEARNER = 3 };

#define SYNOD_MEMBERS_MAX 32 /* of one role */

/* One process of the cluster, as far as it could be found out. Fields that do not apply are 0. */
struct synod_node {
    enum synod_role role;
    uint32_t id;
    const char *state; /* "leading", "standby", "voting", "applying", "unreachable", ...; static */
    const char *address;   /* from cluster.yml: peer address; valid until synod_close */
    uint32_t silence_ms;   /* since it was last heard */
    uint64_t ballot_round; /* acceptor: promised; proposer: own; learner: of the last commit */
    uint32_t ballot_proposer;
    uint32_t leader;        /* proposer, learner: who leads, as it believes; 0 if unknown */
    uint64_t leading_since; /* learner: slot at which the leader announced itself */
    uint64_t chosen;        /* acceptor, proposer, learner: highest slot known to be chosen */
    uint64_t accepted;      /* acceptor: highest slot accepted */
    uint64_t applied;       /* learner */
    uint64_t last_index;    /* learner: newest record of the log */
    uint64_t digest;        /* learner: of its state at `applied` */
    uint64_t sessions;      /* learner: leases, sessions included */
    uint64_t revision;      /* learner: of the keys */
    uint64_t compacted;     /* learner: what came before was compacted */
    uint64_t pending_bytes; /* proposer: commands that wait for a slot */
    uint64_t dropped;       /* messages dropped towards slow or absent peers */
};

/* Asks every proposer and learner, waits for their answers (at most the handle's timeout, and no
 * longer than half a second for those that are silent), and writes up to capacity nodes (the
 * caller's; 3 * SYNOD_MEMBERS_MAX are enough): every member of cluster.yml once, acceptors,
 * proposers, learners, each by rising id. *count gets how many there are. Needs neither leader nor
 * quorum. SYNOD_E_UNAVAILABLE if nobody answered; nodes are filled in all the same.
 * SYNOD_E_INTERRUPTED (made again, it begins anew), SYNOD_E_REFUSED, SYNOD_E_USAGE in a callback:
 * *count is 0. */
int synod_status(struct synod *s, struct synod_node *nodes, size_t capacity, size_t *count);

/* Called once, with the codes of synod_status, and with nodes also if code is SYNOD_E_UNAVAILABLE;
 * SYNOD_E_INTERRUPTED: synod_close, and there are none. */
typedef void (*synod_status_fn)(void *arg, int code, const struct synod_node *nodes, size_t count);

/* The same without waiting, any number at once. timeout_ms: 0 for the handle's own; UINT32_MAX for
 * ever. *id (may be NULL) is for synod_cancel. SYNOD_OK, or SYNOD_E_USAGE, and fn is not called. */
int synod_status_async(struct synod *s, uint32_t timeout_ms, synod_status_fn fn, void *arg,
                       uint64_t *id);

/* Who leads. */
struct synod_leader {
    enum synod_role role; /* SYNOD_PROPOSER; in Raft mode SYNOD_ACCEPTOR */
    uint32_t id;
    uint64_t round; /* of its ballot; in Raft mode its term */
    uint64_t since; /* slot of its announcement in the log; 0: no learner told of it */
};

/* Asks as synod_status does, and blocks as long. *out is written on success. SYNOD_E_UNAVAILABLE if
 * nobody leads, or nobody could say. */
int synod_leader(struct synod *s, struct synod_leader *out);

#ifdef __cplusplus
}
#endif
#endif
