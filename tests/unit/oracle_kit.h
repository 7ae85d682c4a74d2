/* Drives the oracles of a whole cluster and nothing else: no acceptors, no log. The clock is
 * virtual, the network delays, loses and doubles as it is told, and what the acceptors would report
 * is made up from who is up, who reaches a quorum and who leads.
 *
 *     struct oracle_kit *kit = oracle_kit_new(&(struct oracle_kit_options){.proposers = 5});
 *     oracle_kit_open_gate(kit);
 *     oracle_kit_run(kit, 500);
 *     assert_int_equal(oracle_kit_named(kit), 5);
 *     oracle_kit_free(kit);
 *
 * A node is a proposer's index, id - 1. */
#ifndef SYNOD_TESTS_UNIT_ORACLE_KIT_H
#define SYNOD_TESTS_UNIT_ORACLE_KIT_H

#include "proposer/oracle/oracle.h"

struct oracle_kit_options {
    size_t proposers;
    struct settings settings; /* version and all */
    uint64_t seed;            /* of the network and of the oracles */
    time_ms_t heartbeat_ms;   /* 0: 50 */
    time_ms_t election_ms;    /* 0: 500 */
    time_ms_t delay_min_ms;   /* of the network; 0 and 0: 5, fixed */
    time_ms_t delay_max_ms;
    unsigned lost_percent;
    unsigned doubled_percent; /* the second copy comes up to doubled_late_ms after the first */
    time_ms_t doubled_late_ms;
    time_ms_t skew_ms; /* views change at each node up to this much later than at the first */
};

struct kit_node {
    struct oracle oracle;
    struct effects fx;
    struct settings settings; /* those it goes by */
    int is_up;
    time_ms_t down_at; /* the acceptors hear it for an election timeout more */
    int is_unheard;    /* up, but the acceptors do not hear it */
    int has_no_quorum; /* it hears no acceptor, and therefore of nobody */
    uint32_t lives;    /* how often it has started */
    time_ms_t skew_ms; /* drawn anew for each change of the view */
};

struct kit_packet {
    time_ms_t at;
    uint64_t sequence; /* of two that arrive at once the one sent first is taken first */
    size_t from, to;
    struct message msg; /* with rumours of its own */
};

struct oracle_kit {
    struct oracle_kit_options options;
    struct members members;
    struct rng rng;
    time_ms_t now;
    struct kit_node nodes[MEMBERS_MAX];
    uint8_t is_cut[MEMBERS_MAX][MEMBERS_MAX]; /* from, to */
    node_id_t leader;                         /* who serves a quorum, or 0 */
    time_ms_t leader_since;                   /* of this leader, or of there being none */
    node_id_t leader_before;
    /* A node that names itself while the gate is open leads after this; TIME_NEVER: it never comes
     * to. */
    time_ms_t leads_after_ms;
    time_ms_t named_self_at[MEMBERS_MAX]; /* TIME_NEVER: it does not */
    struct kit_packet *packets;
    size_t packet_count, packet_capacity;
    uint64_t sequence;
    uint64_t sent[ORACLE_REGISTER + 1]; /* messages between proposers by type, lost ones too */
    uint64_t round_max;                 /* highest round in any of them */
    size_t changes;                     /* how often a leader came */
    /* What no proposer receives, such as MSG_LEASE. May be NULL. */
    void (*on_other)(struct oracle_kit *kit, size_t from, const struct outgoing *outgoing);
    /* Called with every message before it is sent: 1 loses it. May be NULL. */
    int (*loses)(struct oracle_kit *kit, size_t from, size_t to, const struct message *msg);
    /* Changes what a node sees. May be NULL. */
    void (*adjust)(struct oracle_kit *kit, size_t node, struct oracle_view *view);
    void *arg; /* of these functions */
};

/* All are up and reach a quorum; proposer 1 leads. */
struct oracle_kit *oracle_kit_new(const struct oracle_kit_options *options);
void oracle_kit_free(struct oracle_kit *kit);

/* The leader is heard no more, and every gate opens, each after its skew. */
void oracle_kit_open_gate(struct oracle_kit *kit);

/* That one serves a quorum from now on. */
void oracle_kit_lead(struct oracle_kit *kit, node_id_t leader);

/* If it leads, the gate opens an election timeout later. */
void oracle_kit_kill(struct oracle_kit *kit, size_t node);
void oracle_kit_start(struct oracle_kit *kit, size_t node);

/* Both directions between two nodes. */
void oracle_kit_cut(struct oracle_kit *kit, size_t a, size_t b, int is_cut);

/* That node goes by other settings. */
void oracle_kit_set(struct oracle_kit *kit, size_t node, const struct settings *settings);

/* Time passes. */
void oracle_kit_run(struct oracle_kit *kit, time_ms_t for_ms);

/* Time passes until all that are up and may see it name the same, or for_ms are over. Returns how
 * long it took, or -1. */
time_ms_t oracle_kit_run_until_named(struct oracle_kit *kit, time_ms_t for_ms);

/* Time passes while nodes die and start anew at random. */
void oracle_kit_rage(struct oracle_kit *kit, struct rng *rng, time_ms_t for_ms);

/* All nodes start that are down, and the network is well, until the winner leads or bound_ms are
 * over: then kit->leader is 0. Returns how long that took. */
time_ms_t oracle_kit_heal(struct oracle_kit *kit, time_ms_t bound_ms);

/* A message out of nowhere, to that node. */
void oracle_kit_inject(struct oracle_kit *kit, size_t from, size_t to, const struct msg_oracle *msg,
                       time_ms_t after_ms);

/* Whom that node names now. */
node_id_t oracle_kit_name(const struct oracle_kit *kit, size_t node);

/* Whom all that are up name now; 0 if they do not agree, or name nobody. */
node_id_t oracle_kit_named(const struct oracle_kit *kit);

/* What that node sees now. */
void oracle_kit_view(const struct oracle_kit *kit, size_t node, struct oracle_view *view);

/* Its explanation; valid until the next call. */
const char *oracle_kit_explain(const struct oracle_kit *kit, size_t node);

void oracle_kit_forget_counts(struct oracle_kit *kit);

/* Settings of a kind, with these priorities of proposers 1, 2, ...; NULL: none. */
struct settings oracle_kit_settings(enum oracle_kind kind, size_t proposers,
                                    const uint32_t *priorities);

#endif
