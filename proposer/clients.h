/* The clients of one proposer and the blocks of theirs that wait, within their budgets. What the
 * two cores of this folder, which drive Paxos or hand over to Raft, have in common. */
#ifndef SYNOD_PROPOSER_CLIENTS_H
#define SYNOD_PROPOSER_CLIENTS_H

#include "common/protocol/core.h"
#include "common/protocol/value.h"

/* Blocks joined into one value, at most. */
#define BATCH_BLOCKS_MAX 4096

/* One block of commands that waits. */
struct waiting_block {
    struct slice bytes; /* a reference */
    struct peer client;
    uint64_t session;
    uint64_t first_seq;
};

/* A client that said hello, or that sent a block. */
struct client {
    uint64_t nonce;
    int is_gone;     /* its connection broke; kept only while blocks of it wait */
    int has_written; /* it sent a block: it wants to hear of a new leader */
    size_t waiting_bytes;
};

/* Zero-initialise; close with clients_close. */
struct clients {
    struct client *known; /* rising nonces */
    size_t known_count, known_capacity;
    struct waiting_block *waiting; /* a ring */
    size_t waiting_head, waiting_count, waiting_capacity;
    size_t waiting_bytes;
};

void clients_close(struct clients *clients);

/* A client connected. 1, or 0 if LINKS_MAX are known already. */
int clients_up(struct clients *clients, uint64_t nonce);

/* Its connection broke. */
void clients_down(struct clients *clients, uint64_t nonce);

/* Tells a client why a block was not taken. leader: the proposer to ask instead, 0 if unknown. */
void clients_reject(struct peer client, enum reject_reason reason, node_id_t leader,
                    const struct block *block, struct effects *out);

/* Tells a client, or those that wrote or all of them, to send here. */
void clients_tell_leading(struct peer client, const struct ballot *ballot, struct effects *out);
void clients_announce(const struct clients *clients, int only_writers, const struct ballot *ballot,
                      struct effects *out);

/* Puts a valid block behind the others. 0, or ERROR_BUSY if a budget is exhausted. */
int clients_push(struct clients *clients, struct slice bytes, struct peer client,
                 const struct block *block) MUST_USE;

/* Notes that it wants to hear of a new leader, whatever became of its block. */
void clients_note_writer(struct clients *clients, uint64_t nonce);

/* Joins blocks from the head of the queue into one value, a new blob. There must be one. */
struct blob *clients_take_batch(struct clients *clients, uint64_t stamp_ms, struct effects *out);

/* Rejects everything that waits: somebody else leads. */
void clients_drop_waiting(struct clients *clients, node_id_t leader, struct effects *out);

#endif
