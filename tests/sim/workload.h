/* What a client of the simulator knows; shared by workload.c and reads.c and by nobody else. */
#ifndef SYNOD_TESTS_SIM_WORKLOAD_H
#define SYNOD_TESTS_SIM_WORKLOAD_H

#include "tests/sim/audit.h"
#include "tests/sim/keys.h"
#include "tests/sim/recipes.h"
#include "tests/sim/registers.h"

#define BLOCKS_MAX 64
#define READS_MAX 8
#define ON_REGISTERS 300 /* per mille of what is done to keys */

/* Records that client_flood sends: beyond STREAM_EARLY_BYTES a value goes to learners at once. */
enum flood { FLOOD_NONE, FLOOD_SHORT, FLOOD_LONG };
#define FLOOD_LONG_BYTES 12000

enum session_state { SESSION_NONE, SESSION_OPENING, SESSION_OPEN };

struct block_sent {
    struct blob *bytes;
    uint64_t first_seq;
    uint32_t count;
};

/* A command that was submitted. */
struct issued {
    uint64_t number;      /* of the audit; 0: a command on keys or leases */
    int is_recipe;        /* a step of a lock or a queue */
    int is_settings;      /* an operator's, of the oracle */
    uint64_t register_id; /* an operation on a register, 0: none */
    uint64_t floor;       /* on keys: the revision known before */
};

struct read_sent {
    uint64_t request; /* 0: none */
    time_us_t until;
    struct audit_question question;
    int is_final;
    int is_scan;
};

struct client_state {
    size_t node;
    uint64_t nonce;
    uint32_t lives;
    enum session_state state;
    uint64_t session, session_lost; /* ids rise: one up to session_lost is never ours again */
    uint64_t next_seq, acked;       /* in this session */
    struct issued *issued;          /* by sequence */
    size_t issued_capacity;
    struct block_sent blocks[BLOCKS_MAX]; /* without an answer, in order */
    size_t block_count;
    struct read_sent reads[READS_MAX];
    struct keys_client keys;
    struct register_client registers;
    struct recipe_client recipe;
    uint64_t request;
    size_t target;         /* proposer */
    struct ballot leading; /* the highest that was announced to it */
    size_t redirects;      /* since something was answered, or announced */
    size_t learner;        /* reads go there */
    time_us_t progress_at, retry_us, hold_until, sleep_until;
    uint32_t burst; /* so many long records go out at once */
    enum flood flood;
    int sets_oracle; /* the next command is an operator's */
    int is_due;      /* the target is another one: send again as soon as hold_until allows */
    /* After the healing: one more append and one more read of each must get through. */
    uint64_t final_number;
    int is_final_acked, is_final_read;
    uint64_t scan_next; /* then one of them reads the whole log: the next index it asks for */
    int is_scanned;
};

/* ---- workload.c */
void client_send(struct sim *sim, const struct client_state *client, enum role role,
                 size_t position, const struct message *msg);

/* ---- reads.c */

/* A read of a part of the log. */
void reads_log(struct sim *sim, struct client_state *client);

/* The judges see what somebody read: in the end one client reads the whole log. */
void reads_scan(struct sim *sim, struct client_state *client);

/* And after that, every register. */
void reads_scan_registers(struct sim *sim, struct client_state *client);

/* A query or a watch of keys, or a read of a register. */
void reads_ask_of_keys(struct sim *sim, struct client_state *client);

/* After the healing: a query and a watch, of whichever learner answers; 1 if both were answered. */
void reads_ask_last_of_keys(struct sim *sim, struct client_state *client);
int reads_are_keys_done(const struct sim *sim, const struct client_state *client);

/* What was not answered in time is not waited for any more; another learner is asked next. */
void reads_give_up(struct sim *sim, struct client_state *client);

/* 1 if the last read that has to get through is under way, or answered. */
int reads_is_final_sent(const struct client_state *client);
void reads_on_records(struct sim *sim, struct client_state *client, const struct message *msg);

#endif
