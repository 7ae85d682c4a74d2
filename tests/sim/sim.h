/* The simulator: a whole cluster of cores with its clients, network, disks and clocks in virtual
 * time, from one seed. It drives the cluster of tests/trace, which keeps the rule "persist before
 * send", and adds what scenarios leave out: time that passes, everything that breaks, and clients
 * that never rest. README.md has the fault model.
 *
 * The same seed gives the same run, on every machine and with every compiler: one queue orders all
 * that happens, all randomness comes from generators seeded with the seed, in integers. */
#ifndef SYNOD_TESTS_SIM_SIM_H
#define SYNOD_TESTS_SIM_SIM_H

#include "common/base/rng.h"
#include "tests/sim/clock.h"
#include "tests/sim/queue.h"
#include "tests/trace/cluster.h"

#define MS ((time_us_t)1000)
#define SECOND ((time_us_t)1000000)

/* What can go wrong by itself in a swarm run; each kind is on or off by seed. */
enum fault {
    FAULT_KILL,          /* a process dies, its machine goes on */
    FAULT_POWER,         /* a machine dies; what was not synced is lost, or torn anywhere */
    FAULT_POINT,         /* the same at a named point of a turn */
    FAULT_BLACKOUT,      /* all processes of a role, or all, at once */
    FAULT_SHUTDOWN,      /* SIGTERM */
    FAULT_PAUSE,         /* a process stands still, around lease and election timeout */
    FAULT_SLOW,          /* a process is slow */
    FAULT_PARTITION,     /* one shape of cut links replaces the former */
    FAULT_LINK,          /* one more link is cut, in one direction or both */
    FAULT_CLOG,          /* a link holds everything back and lets it go at once */
    FAULT_SLOW_DISK,     /* syncs take long */
    FAULT_HANG_DISK,     /* a sync does not end for seconds */
    FAULT_FULL_DISK,     /* the disk runs full: first it is low, then writes fail */
    FAULT_FAIL_WRITE,    /* one write fails: the process must end */
    FAULT_WIPE,          /* an acceptor's store is gone */
    FAULT_ROLL_BACK,     /* an acceptor's store is an old copy */
    FAULT_DAMAGE,        /* an acceptor's store has a record that cannot be read */
    FAULT_TAIL,          /* a power cut takes a batch along that was synced, and one behind it */
    FAULT_CLOCK_JUMP,    /* forward */
    FAULT_CLOCK_RATE,    /* drift */
    FAULT_CLOCK_STOP,    /* stands still for a while */
    FAULT_CLIENT_DIES,   /* and another one takes its place */
    FAULT_BURST,         /* a client sends many long records at once */
    FAULT_CLIENT_SLEEPS, /* perhaps beyond its session */
    FAULT_STRAGGLE,      /* many messages to one process come late, behind later ones */
    FAULT_STRANDED,      /* an acceptor that hears of a deposed leader alone (stranded.c) */
    FAULT_TRANSFER,      /* an operator wants somebody else to lead */
    FAULT_SETTINGS,      /* or changes how that is decided, through the log */
    FAULT_RELEARN,       /* or deletes the stores of learners, which begin at slot 0 (relearn.c) */
    FAULT_KINDS,
};

/* What the program outside does, to which the oracle `external` listens. */
enum outside {
    OUTSIDE_SILENT,
    OUTSIDE_STEADY, /* names one proposer for ever */
    OUTSIDE_FICKLE, /* another one now and then, or takes its word back */
};

/* Rare events of the world that runs must meet, as marks are those of the cores (relearn.c). */
enum met {
    MET_RESULT_AGAIN,
    MET_RESULT_OF_FORMER_SESSION,
    MET_RESULT_LATE,
    MET_CONNECTED_EARLY,
    MET_CONNECTED_LATE,
    MET_SESSION_LOST_AT_WORK,
    MET_COUNT,
};

/* What a seed draws before the run; a scenario sets it by hand. */
struct plan {
    size_t acceptors, proposers, learners, clients;
    size_t q1, q2;
    time_ms_t heartbeat_ms, election_ms;
    /* the network */
    time_us_t latency_us, jitter_us;
    uint32_t drop, duplicate, reorder, tail; /* per mille of messages */
    time_us_t late_max_us;                   /* of duplicates and of the tail of delays */
    int is_apart;                            /* no acceptor reaches another one */
    uint32_t lossy_links;                    /* per mille of links that these three apply to */
    size_t link_limit;                       /* messages in flight over one link; 0: no limit */
    size_t inbox_limit;                      /* messages waiting at one process; 0: no limit */
    uint32_t late_results; /* per mille of results to clients of which a copy comes seconds late */
    /* disks and processes */
    size_t cache_bytes, page_bytes; /* of acceptors; 0: as daemons have it */
    uint32_t fetch_bytes;           /* of learners; likewise */
    uint32_t range_bytes;           /* likewise */
    time_us_t sync_us, turn_us;
    int64_t drift; /* largest error of a clock's rate, in millionths */
    /* clients */
    uint32_t operations_per_s; /* of all clients */
    uint32_t reads;            /* per mille of operations */
    uint32_t keys;             /* per mille of operations, reads too, that are on keys */
    uint32_t steals;           /* per mille of turns in which an operator takes a lock away */
    uint32_t recipes;          /* per mille of commands that are steps of locks and queues */
    size_t record_bytes_max;
    uint32_t session_ttl_ms;
    int oversleeps;         /* clients sleep beyond their sessions, again and again */
    size_t outstanding_max; /* commands without answer, of one client */
    int ends_quietly;       /* after the healing clients only read */
    /* faults: the mean time between two of a kind; 0: none */
    time_us_t pace[FAULT_KINDS];
    /* who should lead */
    struct settings settings; /* those of cluster.yml */
    uint32_t may_be_barred;   /* candidates, by position, that some settings bar */
    enum outside outside;
};

/* One direction between two nodes. */
struct link {
    int is_cut;
    int is_lossy;
    time_us_t last_due;            /* messages keep their order behind this */
    time_us_t clogged_to;          /* nothing arrives before */
    time_us_t slow_us, slow_until; /* messages take that much longer until then */
    uint32_t holes;                /* per mille of messages that are lost, besides all else */
    time_us_t holes_until;
    uint32_t in_flight;
};

/* A connection between two nodes that have one. */
struct connection {
    int is_up;
    uint32_t lives[2]; /* of the processes it connects */
    time_us_t look_at; /* an item looks after it then; 0: none does */
};

/* The cast of stranded.c. */
struct stranded {
    int stage;   /* 0: nobody is on stage */
    int returns; /* the leader that was deposed leads again */
    int is_last; /* the healing follows */
    size_t leader, acceptor, learner;
};

/* Cluster time, as far as it is known. */
struct stamps {
    struct sim_clock
        fastest;             /* runs as fast as the fastest clock of any proposer, with all jumps */
    uint64_t chosen_ms;      /* highest stamp among the chosen values */
    time_us_t chosen_at;     /* and when it was chosen */
    struct ballot chosen_by; /* highest ballot that chose one */
};

/* What the world knows of one process. */
struct process {
    struct sim_clock clock;
    time_ms_t clock_last_ms;     /* never falls, across restarts neither */
    struct packet *first, *last; /* arrived and not taken */
    size_t waiting;
    time_us_t busy_until;
    time_us_t poll_at;      /* an item polls it then; TIME_US_NEVER if none does */
    time_us_t wake_item_at; /* an item wakes it then */
    uint32_t life;          /* counts starts and ends: items of former lives are void */
    time_us_t paused_until;
    time_us_t meets_clients_at; /* a learner: clients connect to it from then on */
    slot_t relearns_to; /* it had applied that before its store was deleted; 0: it was not */
    time_us_t turn_us, sync_us; /* how long these take */
    time_us_t slow_until, slow_disk_until;
    time_us_t hung_until;     /* the disk */
    time_us_t straggle_until; /* messages to it come late */
    int crash_in;             /* crashes at the crash_in-th time it reaches crash_at; 0: not */
    enum turn_point crash_at;
    int crash_cuts_power;
    int fails_write;
    int ends_in_recovery; /* SIGTERM as soon as it recovers */
    int dies_preparing;   /* as soon as its prepare is out, and is back at once */
    size_t prepares_only; /* 1 + the acceptor that such a prepare gets through to; 0: to all */
    int loses_tail;       /* as soon as there is one, with the power */
    int is_full;          /* its disk */
    int is_gone;          /* for good: the store was refused */
    int is_lost_store;    /* its store must be refused at the next start */
    int is_damaged;       /* its store has a record that cannot be read */
    int has_copy;         /* of its store, for a roll-back */
    time_us_t full_until, low_until, stopped_until; /* the disk, the clock */
    enum node_state last_state;                     /* of a proposer, after its last turn */
    time_us_t led_until;                            /* when it led last; 0 in this life never */
    struct ballot last_leading;
    uint32_t turns_at_once; /* turns in one millisecond of its clock */
};

struct client_state;
struct audit;
struct mirror;
struct report;
struct trial;

struct sim_options {
    uint64_t seed;
    int is_raft;
    const char *scenario; /* "swarm", or a name of scenarios.c */
    time_us_t length_us;
    int verbose;
    enum oracle_kind oracle; /* 0: as the scenario draws it */
    size_t proposers;        /* 0: likewise */
};

/* What the end of a leader led to, until the next one led. */
struct failover {
    time_us_t took_us;
    uint32_t oracle_messages; /* of oracles, and of their leases */
    uint32_t messages;        /* all between proposers and acceptors */
    uint32_t named_max;       /* proposers that named themselves at one instant */
};

#define TRIALS_MAX 40

/* What a run came to. Plain numbers, so that workers can hand it to their parent. */
struct outcome_of_run {
    uint64_t seed;
    uint64_t hash;
    int failed;
    char rule[24];
    char sentence[512];
    uint64_t messages, turns, appends, reads, slots;
    uint64_t key_commands, queries, watch_pages;
    uint64_t register_operations, register_steps; /* in all; of the longest search */
    uint32_t faults[FAULT_KINDS];
    uint32_t marks[MARK_COUNT]; /* rare events of the cores (common/protocol/marks.h) */
    uint32_t met[MET_COUNT];
    uint32_t leaders; /* how often one began to lead */
    uint32_t refused_stores;
    time_us_t healed_us;    /* from the healing until nothing was pending */
    time_us_t recovered_us; /* a scenario: from its cut to the next new value; -1 if it has none */
    uint32_t leaders_after; /* a scenario: changes of leader after that */
    uint32_t leaders_whole; /* likewise: since its links are whole again */
    uint32_t named_max;     /* likewise: proposers that named themselves at once, while cut */
    time_ms_t election_ms;
    time_us_t length_us;
    /* conformance.c */
    uint64_t oracle_messages, election_messages; /* sent so far, as in struct failover */
    uint32_t settled_count, failover_count;
    time_us_t settled_us[TRIALS_MAX]; /* from when all is well until somebody leads for good */
    struct failover failovers[TRIALS_MAX];
};

struct sim {
    struct sim_options options;
    struct plan plan;
    struct cluster *cluster;
    struct queue queue;
    time_us_t now;
    time_us_t heal_at; /* faults end, and the core is healed */
    time_us_t end_at;
    struct rng net, fate, work; /* of the network, of faults, of clients */
    struct rng menu;            /* of oracles, their settings, and operators */
    struct link links[NODES_MAX][NODES_MAX];
    struct connection connections[NODES_MAX][NODES_MAX]; /* [lower][higher] */
    struct process processes[NODES_MAX];
    size_t servers;             /* nodes [0, servers) are processes, then come clients */
    struct packet *pool;        /* packets to use again */
    uint8_t is_core[NODES_MAX]; /* after the healing: must be able to go on */
    uint8_t is_healed;
    uint8_t is_settled;  /* all was done since, and leadership has to stay where it is */
    uint8_t is_calm;     /* no fault strikes (conformance.c) */
    uint32_t epoch;      /* clients connect anew in each */
    struct trial *trial; /* of conformance.c, or NULL */
    struct client_state *clients;
    struct audit *audit;
    struct keys *keys;
    struct recipes *recipes;
    struct contenders *contenders;
    struct registers *registers;
    struct mirror *mirror;
    struct stamps stamps;
    struct stranded stranded;
    node_id_t outside_names; /* 0: nobody */
    uint64_t outside_request;
    struct settings ruling, ruled; /* those of the log, and before; version 0: of cluster.yml */
    time_us_t ruled_until;         /* some may go by the ones before */
    uint64_t settings_version;     /* the newest that a client was told of */
    struct report *report;
    struct outcome_of_run *outcome;
    /* a scenario: the host in the middle, when it cut, the first operation that began after that */
    size_t scenario_hub;
    time_us_t scenario_cut_at, scenario_whole_at;
    uint64_t scenario_first;
    slot_t drain_to;    /* chosen long enough before the end for everybody to know it */
    slot_t accepted_to; /* accepted in the core long enough before the end to be chosen */
    time_us_t led_at;   /* when somebody last began to lead */
    size_t led_by;      /* and who did */
    int renewals;       /* of its ballot by the leader, when all was well */
};

enum item_kind {
    ITEM_PACKET,     /* data arrives at b from a */
    ITEM_WAKE,       /* a wants a tick */
    ITEM_POLL,       /* a may take what waits */
    ITEM_SYNCED,     /* a's write has completed */
    ITEM_START,      /* a starts */
    ITEM_CONNECTION, /* between a and b */
    ITEM_FAULT,      /* of kind a; b: its stage */
    ITEM_RESUME,     /* a's process, disk or clock is well again */
    ITEM_SHUTDOWN,   /* SIGTERM to a */
    ITEM_CLIENT,     /* client a acts */
    ITEM_HEAL,
    ITEM_WATCH,   /* the progress of the healed core, or of a scenario */
    ITEM_CUT,     /* a scenario cuts its links */
    ITEM_OUTSIDE, /* the program outside speaks */
    ITEM_TRIAL,   /* the conformance suite looks */
};

/* ---- world.c */

/* With this a process ends after a CHECK that failed, when it has said so. */
#define SIM_CHECK_STATUS 9

void sim_run(const struct sim_options *options, struct outcome_of_run *outcome);
void sim_at(struct sim *sim, time_us_t at, enum item_kind kind, uint32_t a, uint32_t b);
struct node *sim_node(struct sim *sim, enum role role, size_t position);
size_t sim_index(const struct sim *sim, const struct node *node);

/* 1 if no clock of this run is wrong, but for its offset. */
int sim_are_clocks_right(const struct sim *sim);

/* The first rule that was broken, whoever noticed. */
void sim_violate(struct sim *sim, const char *rule, const char *fmt, ...) PRINTF_LIKE(3, 4);
int sim_has_failed(const struct sim *sim);

/* ---- process.c: turns, starts and ends */
void process_init(struct sim *sim, size_t index);
void process_receive(struct sim *sim, size_t index, struct packet *packet);
void process_poll(struct sim *sim, size_t index);
void process_on_item(struct sim *sim, const struct item *item);
void process_start(struct sim *sim, size_t index);
void process_crash(struct sim *sim, size_t index, int cuts_power);
void process_start_in(struct sim *sim, size_t index, time_us_t delay);
void process_set_clock(struct sim *sim, size_t index, int64_t rate, int64_t forward);
void process_shutdown(struct sim *sim, size_t index);

/* 1 if its store is what it was told to keep. */
int process_has_store(const struct sim *sim, size_t index);
void process_reached(void *self, struct node *node, enum turn_point point);
int process_is_up(const struct sim *sim, size_t index);
void process_drop_waiting(struct sim *sim, size_t index);

/* ---- transport.c */
void transport_init(struct sim *sim);
void transport_send(void *self, const struct node *from, const struct node *to,
                    const struct message *msg);
void transport_on_packet(struct sim *sim, const struct item *item);
void transport_changed(void *self, struct node *node, enum event_kind kind);
void transport_on_connection(struct sim *sim, const struct item *item);
struct packet *transport_packet(struct sim *sim);
void transport_free(struct sim *sim, struct packet *packet);
void transport_done(void *self, struct packet *packet);

/* The connections of a node are looked after soon; those of a client break, and come back. */
void transport_look(struct sim *sim, size_t a, size_t b);
void transport_break(struct sim *sim, size_t node);
void transport_cut(struct sim *sim, size_t from, size_t to, int is_cut);
void transport_unclog(struct sim *sim);
void transport_close(struct sim *sim);

/* ---- partitions.c */
struct shape;
void partition_heal(struct sim *sim);
void partition_random(struct sim *sim);

/* The links of a named shape. hub is the host in the middle of it, leader the one that leads. 0 if
 * there is no such shape. */
int partition_named(struct sim *sim, const char *name, size_t leader, size_t hub);

/* ---- faults.c */
void fault_init(struct sim *sim);
void fault_on_item(struct sim *sim, const struct item *item);
void fault_resume(struct sim *sim, size_t index);
const char *fault_name(enum fault fault);

/* 1 if so many acceptors still have their stores that this one's may be lost. */
int fault_may_lose(const struct sim *sim, size_t index);

/* ---- stranded.c */
#define STRANDED_BEGINS 100 /* a stage */
void stranded_on_item(struct sim *sim, uint32_t stage);
void rejoin_on_item(struct sim *sim, uint32_t stage); /* Raft: the story of rejoin.c */
void stranded_on_leading(struct sim *sim, size_t index);

/* ---- relearn.c */
void relearn_draw(struct sim *sim);
void relearn_strike(struct sim *sim);
const char *met_name(enum met met);

/* A client is connected to a learner. */
void relearn_on_connection(struct sim *sim, size_t learner);

/* A client takes results, in that session or, if 0, in none. */
void relearn_on_result(struct sim *sim, const struct packet *packet, uint64_t session);

/* ---- swarm.c, scenarios.c */
void swarm_draw(struct sim *sim);
void swarm_draw_use(struct sim *sim);
int scenario_exists(const char *name);
void scenario_prepare(struct sim *sim);
void scenario_on_leading(struct sim *sim);
void scenario_on_turn(struct sim *sim); /* of a proposer */
void scenario_start(struct sim *sim);
void scenario_on_item(struct sim *sim, const struct item *item);
void scenario_on_chosen(struct sim *sim, struct slice value);
void scenario_on_watch(struct sim *sim);
const char *scenario_list(void);

/* ---- clients.c, workload.c */
void client_start_all(struct sim *sim);
void client_free_all(struct sim *sim);
void client_on_item(struct sim *sim, const struct item *item);

/* A message, or news of a connection. Takes the packet over. */
void client_receive(struct sim *sim, size_t node, struct packet *packet);

/* 1 if the client wants a connection to that proposer or learner. */
int client_wants(const struct sim *sim, size_t node, const struct node *server);
void client_die(struct sim *sim, size_t position);
void client_burst(struct sim *sim, size_t position);
void client_flood(struct sim *sim, size_t position);
void client_set_oracle(struct sim *sim, size_t position);

/* What comes meanwhile waits in its sockets, or is lost. */
void client_sleep(struct sim *sim, size_t position, time_us_t for_us);

/* 0 if it has none. */
uint64_t client_session_of(const struct sim *sim, size_t node);

/* It is awake, and what it had asked over its old connections it asks anew. */
void client_reconnect(struct sim *sim, size_t position);
size_t client_pending(const struct sim *sim, char *text, size_t size);

/* ---- stamps.c */
void stamps_on_clock(struct sim *sim, size_t index, int64_t forward);
void stamps_on_proposed(struct sim *sim, slot_t slot, const struct ballot *ballot,
                        uint64_t stamp_ms);
void stamps_on_chosen(struct sim *sim, const struct ballot *ballot, struct slice value);

/* What cluster time must have come to by now in the healed core, whose clocks are right. */
uint64_t stamps_now_ms(const struct sim *sim);

/* ---- liveness.c */
void liveness_heal(struct sim *sim);

/* The process is up, or will be at once, and nothing of it is slow, full or late. */
void liveness_make_well(struct sim *sim, size_t index);
void liveness_on_watch(struct sim *sim);
void liveness_on_leading(struct sim *sim, size_t index);
void liveness_on_chosen(struct sim *sim, struct slice bytes);

/* ---- report.c */
struct report *report_new(struct sim *sim);
void report_free(struct report *report);
void report_line(struct sim *sim, const struct node *node, const char *fmt, ...) PRINTF_LIKE(3, 4);
void report_mix(struct sim *sim, uint64_t a, uint64_t b);
uint64_t report_hash(const struct sim *sim);
void report_failure(const struct sim *sim);

/* The options of a run, but seed and scenario, as its command line has them. */
void sim_say_options(const struct sim_options *options, char *text, size_t size);

/* With -v twice: a message arrives. */
void report_message(struct sim *sim, const struct node *from, const struct node *to,
                    const struct message *msg);

/* 1 if the node leads: a proposer, in Raft mode an acceptor. */
int sim_leads(const struct node *node);

/* ---- small helps */
static inline int chance(struct rng *rng, uint32_t per_mille)
{
    return per_mille > 0 && rng_below(rng, 1000) < per_mille;
}

/* A number in [low, high]. */
static inline int64_t between(struct rng *rng, int64_t low, int64_t high)
{
    return low + (int64_t)rng_below(rng, (uint64_t)(high - low) + 1);
}

#endif
