/* What a client of the simulator is: the client's core that ships, and what an application does
 * with it. Shared by clients.c, workload.c, reads.c and contenders.c, and by nobody else. */
#ifndef SYNOD_TESTS_SIM_WORKLOAD_H
#define SYNOD_TESTS_SIM_WORKLOAD_H

#include "common/client/core/client.h"
#include "common/client/core/holds.h"
#include "common/client/core/inquiries.h"
#include "common/client/core/leases.h"
#include "common/client/core/observations.h"
#include "tests/sim/audit.h"
#include "tests/sim/contenders.h"
#include "tests/sim/keys.h"
#include "tests/sim/recipes.h"
#include "tests/sim/registers.h"

#define READS_MAX 8
#define ASKS_MAX 100     /* queries of keys at once */
#define ON_REGISTERS 300 /* per mille of what is done to keys */

/* Records that client_flood sends: beyond STREAM_EARLY_BYTES a value goes to learners at once. */
enum flood { FLOOD_NONE, FLOOD_SHORT, FLOOD_LONG };
#define FLOOD_LONG_BYTES 12000

/* A command that was submitted. */
struct issued {
    uint64_t session; /* under which it was sent; 0: not yet */
    int is_over;      /* completed, or abandoned */
    int has_deadline;
    uint64_t number;      /* of the audit; 0: a command on keys or leases */
    int is_grant;         /* of a lease */
    int is_recipe;        /* a step of a lock or a queue */
    int is_settings;      /* an operator's, of the oracle */
    uint64_t register_id; /* an operation on a register, 0: none */
    uint64_t floor;       /* on keys: the revision known before */
};

struct read_sent {
    uint64_t id; /* 0: none */
    time_us_t until;
    struct audit_question question;
    uint64_t from, last; /* of a log that ended there when the first page was read */
    uint64_t *numbers;   /* what the pages showed */
    size_t count, capacity;
    int has_page;
    int is_tail;
    int is_final;
    int is_scan;
};

struct client_state {
    size_t node;
    uint64_t nonce;
    uint32_t lives;
    struct client *core;
    struct effects fx;
    time_us_t wake_item_at;      /* an item flushes it then */
    struct packet *first, *last; /* arrived while it slept */
    size_t waiting;
    struct blob *sent;     /* the last block of commands that left; NULL: none */
    uint64_t session_seen; /* the last one that was open */
    struct issued *issued; /* by token, from 1 */
    size_t issued_count, issued_capacity;
    uint64_t *token_of; /* by number of the operation in the core; 0: none of ours */
    size_t token_capacity;
    struct read_sent reads[READS_MAX];
    struct keys_client asks[ASKS_MAX]; /* the first one watches, too */
    struct register_client registers;
    struct recipe_client recipe;
    struct contender contender;
    uint64_t status, explanation; /* under way, 0: none */
    time_us_t sleep_until;
    int is_deaf;    /* asleep, what comes is lost */
    uint32_t burst; /* so many long records go out at once */
    enum flood flood;
    int sets_oracle; /* the next command is an operator's */
    int has_stolen;  /* after the healing, an operator with its help */
    /* After the healing: one more append and one more read of each must get through. */
    uint64_t final_number;
    int is_final_acked, is_final_read;
    int is_scanned; /* then one of them has read the whole log */
};

/* ---- clients.c: the core and its surroundings */

/* Ends a turn of the core: what the calls before gave it to do leaves. */
void client_flush(struct sim *sim, struct client_state *client);

time_ms_t client_now(const struct sim *sim);

/* ---- workload.c */

/* The core completed something. */
void workload_on_completion(struct sim *sim, struct client_state *client,
                            const struct completion *completion);

/* A block of commands leaves for the first time, or again. */
void workload_on_submit(struct sim *sim, struct client_state *client, struct slice bytes);

void workload_act(struct sim *sim, struct client_state *client);

/* What a client that ends, or whose session ended, was about. */
void workload_forget(struct sim *sim, struct client_state *client);
void workload_close(struct client_state *client);

/* After each step: another session may be open, or none. */
void workload_on_session(struct sim *sim, struct client_state *client);

/* ---- reads.c */

/* A read of a part of the log. */
void reads_log(struct sim *sim, struct client_state *client);

/* The judges see what somebody read: in the end one client reads the whole log. */
void reads_scan(struct sim *sim, struct client_state *client);

/* And after that, every register. */
void reads_scan_registers(struct sim *sim, struct client_state *client);

/* A query or a watch of keys, or a read of a register; or a hundred queries. */
void reads_ask_of_keys(struct sim *sim, struct client_state *client);
void reads_ask_much(struct sim *sim, struct client_state *client);

/* After the healing: a query and a watch; 1 if both were answered. */
void reads_ask_last_of_keys(struct sim *sim, struct client_state *client);
int reads_are_keys_done(const struct sim *sim, const struct client_state *client);

/* What was not answered in time is not waited for any more. */
void reads_give_up(struct sim *sim, struct client_state *client);

/* 1 if the last read that has to get through is under way, or answered. */
int reads_is_final_sent(const struct client_state *client);

/* 1 if the completion was of a read of records, a query, a watch or a range. */
int reads_on_completion(struct sim *sim, struct client_state *client,
                        const struct completion *completion);
void reads_close(struct client_state *client);

#endif
