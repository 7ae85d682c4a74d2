/* Oracles of the kind `lease` and the real acceptors that grant it, on a network that drops,
 * doubles and delays, with clocks that do not run alike. Nothing is agreed: the test says who
 * leads. What proposers say to each other is the business of oracle_kit.h. */
#ifndef SYNOD_TESTS_UNIT_LEASE_KIT_H
#define SYNOD_TESTS_UNIT_LEASE_KIT_H

#include "acceptor/acceptor.h"
#include "proposer/oracle/oracle.h"
#include "tests/unit/core_kit.h"

#define NET_HEARTBEAT_MS 50
#define NET_ELECTION_MS 500

struct net_proposer {
    struct oracle oracle;
    struct effects fx;
    uint64_t incarnation;
    int is_up;
    int is_fit; /* as all views show it, itself included */
    int rate;   /* of its clock: such milliseconds in a thousand */
    time_ms_t asleep_until;
};

struct net_acceptor {
    struct core_kit kit;
    struct acceptor *acceptor;
    int rate;
};

struct net_letter {
    time_ms_t at;
    struct peer to;
    struct message msg;
};

struct net {
    struct members members;
    struct settings settings;
    struct rng rng;
    time_ms_t now; /* the true time */
    struct net_proposer proposers[MEMBERS_MAX];
    struct net_acceptor acceptors[MEMBERS_MAX];
    struct net_letter *letters; /* under way, in no order */
    size_t letter_count, letter_capacity;
    node_id_t leader; /* in every view */
    /* Faults. */
    uint32_t drop, duplicate; /* in a thousand */
    time_ms_t delay_min, delay_max, late_max;
    uint64_t incarnations; /* given out */
    size_t sent;           /* messages */
};

struct net *net_new(size_t acceptors, size_t proposers, uint64_t seed);
void net_free(struct net *net);

/* By index, which is the id less one. */
void net_stop(struct net *net, size_t proposer);
void net_start(struct net *net, size_t proposer);
void net_restart_acceptor(struct net *net, size_t acceptor);

/* One true millisecond. */
void net_step(struct net *net);
void net_run(struct net *net, time_ms_t ms);

void net_view(const struct net *net, size_t proposer, struct oracle_view *view);

/* Whom its oracle names, asked with nobody leading. */
node_id_t net_names(const struct net *net, size_t proposer);

/* How many of those that are up name this one. */
size_t net_named_by(const struct net *net, node_id_t id);

#endif
