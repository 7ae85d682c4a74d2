/* A whole cluster of cores in one process: nodes with simulated disks, a simulated network and a
 * virtual clock. The second runner of the cores: it keeps the same rule as common/runtime.
 *
 * One turn of a node: its messages are stepped, a tick if one is due, then the flush; what may
 * leave at once leaves; the records are written, with a sync if the core asked for one; only then
 * the held messages leave, and the core learns that its records are written.
 *
 * Nothing here reads a clock or a random source: the same calls give the same run. */
#ifndef SYNOD_TESTS_TRACE_CLUSTER_H
#define SYNOD_TESTS_TRACE_CLUSTER_H

#include "acceptor/acceptor.h"
#include "acceptor/raft/raft.h"
#include "learner/learner.h"
#include "proposer/forward.h"
#include "proposer/proposer.h"
#include "tests/trace/checker.h"
#include "tests/trace/disk.h"
#include "tests/trace/network.h"

/* The clock does not start at 0, so that a core which takes 0 for a time in the past shows. */
#define CLUSTER_EPOCH_MS 100000

/* Messages of one turn, as DRAIN_MESSAGES_MAX bounds it in a daemon. */
#define TURN_MESSAGES_MAX 256

enum node_mode {
    NODE_DOWN,
    NODE_UP,
    NODE_PUPPET, /* has no core: what it gets is only shown, what it sends the test makes up */
};

/* Where in its turn a process is. A runner may crash it at any of them. */
enum turn_point {
    TURN_SENDING,   /* before a message leaves that need not wait; between those to several peers */
    TURN_WRITING,   /* before the turn's records go to the disk */
    TURN_SYNCING,   /* they are in the log and not synced */
    TURN_WRITTEN,   /* all is as durable as the core asked for */
    TURN_RELEASING, /* before a message leaves that had to wait */
    TURN_ENDING,    /* all are sent */
    TURN_POINTS,
};

struct node {
    struct peer self;
    char name[8]; /* "A1", "P2", "L1", "c1" */
    enum node_mode mode;
    uint32_t starts;      /* how often it has started */
    uint64_t incarnation; /* see node_incarnation */
    struct disk *disk;
    struct core core;
    struct acceptor *acceptor; /* exactly one of the five, while it is up */
    struct proposer *proposer;
    struct learner *learner;
    struct raft *raft; /* in Raft mode, in the place of acceptor and proposer */
    struct forward *forward;
    struct effects fx;
    time_ms_t wake_at;
    time_ms_t clock_ahead_ms; /* its own clock, less the cluster's */
    int disk_low;             /* as its core is told */
    int may_end;              /* a record of its store cannot be read: it ends when it meets it */
    int disk_held;            /* synced writes do not complete */
    int write_waits;          /* a turn's write waits for the disk: the process hangs in it */
    uint32_t priority;        /* of a proposer, in Raft mode of an acceptor */
    int leads_anyway;         /* likewise: it may lead though settings bar it */
};

struct cluster_options {
    int is_raft; /* protocol: raft */
    struct members members;
    time_ms_t heartbeat_ms;
    time_ms_t election_ms;
    time_ms_t latency_ms;
    uint64_t seed;
    size_t cache_bytes, page_bytes; /* of a Paxos acceptor; 0: as daemons have it */
    uint32_t fetch_bytes;           /* of a learner; likewise */
    uint32_t range_bytes;           /* likewise */
    struct settings settings; /* of the oracle; candidates and priorities are filled in if it has
                                 none. Zeroed: `connected` */
};

/* How another runner than cluster_run takes part. With a function that is NULL the cluster does as
 * scenarios need it. */
struct cluster_hooks {
    void *self;
    /* A message leaves. Instead of the network, which then stays empty. */
    void (*send)(void *self, const struct node *from, const struct node *to,
                 const struct message *msg);
    /* The node came up or went down. Instead of telling its peers at once. */
    void (*changed)(void *self, struct node *node, enum event_kind kind);
    /* A packet was taken. Instead of freeing it. */
    void (*done)(void *self, struct packet *packet);
    /* The node is at that point of its turn; it may be down when this returns. */
    void (*reached)(void *self, struct node *node, enum turn_point point);
};

/* What an observer is told, in the order in which it happens. Any function may be NULL. */
struct cluster_observer {
    void *self;
    /* A message arrived; fate says what became of it: NULL (taken) or why it was dropped. */
    void (*delivered)(void *self, const struct node *from, const struct node *to,
                      const struct message *msg, const char *fate);
    /* A message left; lost: over a cut link. */
    void (*sent)(void *self, const struct node *from, const struct node *to,
                 const struct message *msg, int lost);
    void (*noted)(void *self, const struct node *node, const struct note *note);
    /* A turn's records, before they are written. */
    void (*writes)(void *self, const struct node *node, const struct effects *fx);
    /* A core asked its process to end: the node is down after this. */
    void (*ended)(void *self, const struct node *node, const char *reason);
};

struct cluster {
    struct cluster_options options;
    struct node nodes[NODES_MAX];
    size_t node_count;
    time_ms_t now;
    struct network network;
    struct checker checker;
    struct cluster_observer observer;
    struct cluster_hooks hooks;
};

/* A cluster whose nodes are all down. Free with cluster_free. */
struct cluster *cluster_new(const struct cluster_options *options,
                            const struct cluster_observer *observer);
void cluster_free(struct cluster *cluster);

/* A client: a puppet that is a peer of every proposer and learner. */
struct node *cluster_add_client(struct cluster *cluster, const char *name, uint64_t nonce);

/* The node of that name, or NULL. */
struct node *cluster_node(struct cluster *cluster, const char *name);

/* The node's place in cluster->nodes. */
size_t cluster_index(const struct cluster *cluster, const struct node *node);

/* Incarnations are readable: role, id and the number of the start. */
uint64_t node_incarnation(struct peer self, uint32_t starts);

/* Starts a node that is down, from what its disk holds; peers hear that it is up. */
void cluster_start(struct cluster *cluster, struct node *node);

/* The process dies at once; what waits in it is lost. lose_lazy: the machine dies with it. */
void cluster_crash(struct cluster *cluster, struct node *node, int lose_lazy);

/* SIGTERM. The node goes down as soon as its core says that it has finished. */
void cluster_shutdown(struct cluster *cluster, struct node *node);

/* From now on synced writes of the node hang, or: go on, and the one that hangs completes. */
void cluster_hold_disk(struct cluster *cluster, struct node *node);
void cluster_release_disk(struct cluster *cluster, struct node *node);

/* What the two modes have in common; 0, NODE_UNKNOWN or BALLOT_NONE for who has none. Chosen: of an
 * acceptor. State and ballot: of a proposer; in Raft mode its leader's. */
slot_t node_chosen(const struct node *node);
enum node_state node_leadership(const struct node *node);
struct ballot node_ballot(const struct node *node);

/* Sends a message of a puppet (from and incarnation are filled in unless set). */
void cluster_send(struct cluster *cluster, const struct node *from, const struct node *to,
                  const struct message *msg);

/* Gives one packet to its receiver, in a turn of its own, whatever the time. */
void cluster_deliver(struct cluster *cluster, struct packet *packet);

/* What the node's own clock shows. */
time_ms_t node_now(const struct cluster *cluster, const struct node *node);

/* The machine dies with the process; of what it had not synced the first kept batches are left. */
void cluster_cut_power(struct cluster *cluster, struct node *node, size_t kept);

/* What the kernel writes back by itself: all but the newest left batches. */
void cluster_write_back(struct cluster *cluster, struct node *node, size_t left);

/* 1 if the node can take messages and ticks now. */
int node_can_step(const struct node *node);

/* Lets time pass up to and including until, with all deliveries and ticks that are due. */
void cluster_run(struct cluster *cluster, time_ms_t until);

/* As cluster_run but stops at the next time at which something happens; 0 if that lies beyond
 * until, and then only the clock moved. */
int cluster_run_step(struct cluster *cluster, time_ms_t until);

#endif
