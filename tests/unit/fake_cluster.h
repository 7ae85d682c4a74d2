/* A scripted cluster for tests of the client: proposers and learners that speak the real wire over
 * real sockets, with one log in memory and a thread that serves it.
 *
 * It keeps the rules a client relies on (sessions, sequences without gaps, results from a table),
 * and breaks the network where the script says so. It never asserts: it counts, and the test
 * looks. */
#ifndef SYNOD_TESTS_UNIT_FAKE_CLUSTER_H
#define SYNOD_TESTS_UNIT_FAKE_CLUSTER_H

#include "common/config/config.h"
#include "common/net/net.h"
#include "common/protocol/kv.h"
#include "common/protocol/message.h"
#include "common/wire/wire.h"
#include "tests/unit/fake_store.h"

#include <pthread.h>

#define FAKE_NODES_MAX 4
#define FAKE_SESSIONS_MAX 16
#define FAKE_CLIENTS_MAX 16
#define FAKE_WATCHES_MAX 256
#define FAKE_LOG_MAX 200000

struct fake_session {
    uint64_t id; /* 0: free */
    uint64_t nonce;
    uint64_t opening; /* of the client, which it answers */
    uint64_t next_seq;
    uint64_t *results; /* by sequence; an array of FAKE_LOG_MAX + 1 */
    /* Results of commands on keys and leases, with bodies of their own. */
    struct result_range *others;
    size_t other_count, other_capacity;
};

/* A watch that waits for events. */
struct fake_watch {
    struct msg_watch watch; /* key and end are its own */
    struct peer client;     /* id 0: none */
    int64_t until_ms;
};

struct fake_node {
    struct peer peer;
    char address[64];
    struct net *net; /* NULL while it is down */
    struct wire_context wire;
    uint64_t incarnation;
    struct peer clients[FAKE_CLIENTS_MAX]; /* that said HELLO */
    size_t client_count;
    /* a read that waits for more records */
    struct msg_read waiting;
    struct peer waiting_client;
    struct fake_watch watches[FAKE_WATCHES_MAX];

    /* Script. */
    int is_down;                  /* no process */
    int is_silent;                /* takes frames and does nothing */
    enum name_status name_status; /* what it answers to a word */
    int is_name_ignored;
    int is_name_late;        /* it answers the word before */
    size_t explain_limit;    /* other than 0: it explains so often, and then is silent */
    uint64_t stuck_revision; /* other than 0: cut off there, it answers watches with nothing new */

    /* What happened. */
    size_t hello_count;
    size_t submit_count;
    size_t read_count;
    size_t linear_read_count;
    size_t query_count;
    size_t linear_query_count;
    size_t counting_query_count; /* ranges of which all is counted */
    size_t watch_count;
    size_t transfer_count;
    size_t explain_count;
    size_t name_count;
    struct msg_name name; /* the last one */
};

struct fake {
    pthread_mutex_t lock;
    pthread_t thread;
    int is_running; /* this and the next are of the test's side alone */
    int is_held;    /* fake_lock was called and fake_unlock was not */
    int is_stopping;
    struct config config;
    char dir[64];
    char path[96];                              /* of its cluster.yml */
    struct fake_node nodes[2 * FAKE_NODES_MAX]; /* proposers, then learners */
    size_t proposer_count, learner_count;
    struct arena arena;

    struct slice log[FAKE_LOG_MAX + 1]; /* by index, from 1 */
    uint64_t last;
    struct fake_session sessions[FAKE_SESSIONS_MAX];
    uint64_t session_number;
    struct fake_store *store;

    /* What the log says of oracles. */
    uint64_t settings_version;
    uint8_t settings[SETTINGS_BYTES_MAX];
    size_t settings_size;
    struct place line[FAKE_NODES_MAX];
    size_t line_count;

    /* Script, counted down where it says count. */
    size_t changed_count; /* somebody else changes the settings first */
    size_t transfer_drop_count;
    size_t transfer_busy_count;
    size_t transfer_unfit_count;
    enum transfer_status transfer_status; /* of the leader, for what is not that simple */
    node_id_t transfer_leader;            /* who leads after a transfer; 0: whom it asked for */
    node_id_t leader;                     /* who takes commands; 0: nobody */
    node_id_t named_leader;               /* whom the others name; 0: unknown */
    int is_submit_ignored;                /* the leader takes nothing and says nothing */
    size_t drop_submit_count;
    size_t drop_result_count;
    size_t busy_count;
    size_t full_count; /* "no room for another session" */
    size_t malformed_count;
    size_t no_quorum_count;
    int is_results_doubled;
    size_t drop_query_count;
    size_t query_busy_count;
    size_t query_future_count; /* the learner does not have the revision yet */
    size_t watch_busy_count;
    size_t put_count;          /* behind so many queries, somebody puts "k4x" */
    size_t page_kvs;           /* of an answer, 0: all */
    size_t page_events;        /* 0: all */
    uint32_t watch_wait_ms;    /* answer watches after this; 0: as long as they say */
    uint64_t page_records;     /* 0: all */
    uint64_t trimmed;          /* records up to here are gone */
    uint64_t wrong_cluster_id; /* other than 0: proposers and learners are of this cluster */

    /* What happened. */
    size_t open_count;  /* sessions opened */
    size_t close_count; /* closed by a command */
    size_t empty_count; /* keepalives */
    size_t gap_count;
    size_t keepalive_count;   /* commands */
    size_t keepalive_ids_max; /* in one of them */
    int64_t keepalive_ms;     /* when the last was executed, by CLOCK_MONOTONIC */
    uint64_t acked_max;       /* highest acknowledgement seen */
    int is_acked_wrong;       /* acknowledged what was never answered */
};

/* ---- for the fake's own files */

void fake_send(struct fake_node *node, struct peer to, struct message *msg);

/* 1 as often as *count says. */
int fake_count_down(size_t *count);

/* ---- for tests */

/* Starts processes on free ports, the first proposer leading, and writes cluster.yml. */
void fake_start(struct fake *f, size_t proposers, size_t learners);

/* Nothing if it has been stopped, or was never started. */
void fake_stop(struct fake *f);

/* Hold these around every look at, and change of, a running fake. */
void fake_lock(struct fake *f);
void fake_unlock(struct fake *f);

/* The following lock by themselves. */

/* Makes a proposer the leader and announces it to every client. */
void fake_lead(struct fake *f, node_id_t proposer);

/* Stops or starts a process: index counts proposers, then learners. Returns when done. */
void fake_down(struct fake *f, size_t node, int is_down);

/* Forgets all sessions, as if they had expired. */
void fake_expire(struct fake *f);

/* Cluster time goes on: leases end, sessions too. */
void fake_advance(struct fake *f, uint64_t ms);

/* Executes a request of somebody else. Returns the revision. */
uint64_t fake_put(struct fake *f, const char *key, const char *value);
uint64_t fake_delete(struct fake *f, const char *key);

/* 1 if the key exists and holds the text (NULL: any). */
int fake_has(struct fake *f, const char *key, const char *value);

/* How many keys have the prefix, which ends in a slash. */
size_t fake_count(struct fake *f, const char *prefix);

/* Somebody else's request; returns the revision. */
uint64_t fake_request(struct fake *f, const struct kv_request *request);

/* Forgets revisions; questions that go on are answered until they are swept. */
void fake_compact(struct fake *f, uint64_t revision);
void fake_sweep(struct fake *f, uint64_t revision);

/* See fake_store_storm. */
void fake_storm(struct fake *f, int is_on);

/* Puts records "0", "1", ... into the log as if somebody else had appended them. */
void fake_fill(struct fake *f, uint64_t count);

/* 1 if the record at index holds this text. */
int fake_holds(struct fake *f, uint64_t index, const char *text);

uint64_t fake_last(struct fake *f);

#endif
