/* A random run of the state machine beside the reference: clients with sessions make slots, two
 * machines apply them, and what comes of it is compared. A difference fails the test that called,
 * and says seed, slot and operation. */
#ifndef SYNOD_TESTS_MODEL_RUN_H
#define SYNOD_TESTS_MODEL_RUN_H

#include "tests/model/generate.h"
#include "tests/model/node.h"
#include "tests/model/reference_command.h"
#include "tests/model/reference_oracle.h"

#define CLIENTS 3
#define BLOCKS_MAX 8   /* of a slot */
#define COMMANDS_MAX 4 /* of a block */

/* What a client was told of one command. */
struct told {
    uint32_t status;
    uint64_t value;
    uint8_t *body;
    size_t size;
};

/* A block that was sent, to be sent again. */
struct sent {
    uint64_t first_seq;
    uint32_t count;
    uint8_t *commands;
    size_t size;
    struct operation *operations;
};

struct client {
    uint64_t nonce;
    uint64_t openings; /* number of the last one under this nonce */
    uint64_t answered; /* number of the last one that was answered */
    uint64_t session;  /* 0: to be opened */
    uint64_t sent_seq;
    uint64_t acked_seq;       /* will be told with the next block */
    uint64_t known_acked_seq; /* was told */
    struct told *told;        /* of sequence - 1 */
    size_t told_count, told_capacity;
    struct sent *sent;
    size_t sent_count, sent_capacity;
};

/* One block of the slot that is being made. */
struct part {
    struct client *client;
    uint64_t session, nonce; /* at that time */
    struct block block;
};

struct run {
    uint64_t seed;
    struct rng rng;
    struct generator generator;
    struct reference *reference;
    struct node nodes[2]; /* the first in turns, the second by single slots */
    struct client clients[CLIENTS];
    uint64_t next_nonce;
    uint64_t stamp_ms;
    slot_t slot;
    uint64_t operation_count;
    struct arena arena; /* of the turn */
    struct operation *reads;
    size_t read_count, read_capacity;
    struct part parts[BLOCKS_MAX];
    size_t part_count;
    struct place line[MEMBERS_MAX]; /* if there is one, the slot is a line and has no parts */
    size_t line_count;
};

void run_open(struct run *run, uint64_t seed);
void run_close(struct run *run);

/* ---- slot.c */

/* Fills run.parts with the blocks of the next slot, and run.reads with reads for after the turn. */
void run_make_slot(struct run *run);

/* The same with the next operation of the generator alone, in a session that does not end. */
void run_make_single(struct run *run);

/* The value of that slot, with one reference. */
struct blob *run_encode_slot(const struct run *run);

/* ---- outcomes.c */

/* Compares what the slot led to at the first machine with the reference, which executes it, and
 * with the second machine. */
void run_check_outcomes(struct run *run);

/* ---- reads.c */

/* Has one of the machines answer run.reads, and compares. */
void run_check_reads(struct run *run, struct node *node);

/* Compares what it says of oracles, and what a query is told. */
void run_check_oracle(struct run *run, struct node *node);

/* Compares what the machine says of itself. */
void run_check_numbers(const struct run *run, const struct node *node);

/* ---- run.c */

uint64_t run_pick(struct run *run, uint64_t bound);

void run_fail(const struct run *run, const struct operation *operation, const struct errmsg *why);

/* Fails unless the numbers are equal. */
void run_must_equal(const struct run *run, const char *what, uint64_t wanted, uint64_t found);

/* Forgets a client's past; it is another one now. */
void client_reset(struct client *client, uint64_t nonce);

/* Forgets what it did in its session; it is the same one. */
void client_forget_session(struct client *client);

#endif
