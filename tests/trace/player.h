/* A client as a scenario plays it: it opens a session, submits blocks, sends them again, reads; and
 * it remembers what it was told, because an answer never changes. */
#ifndef SYNOD_TESTS_TRACE_PLAYER_H
#define SYNOD_TESTS_TRACE_PLAYER_H

#include "tests/trace/cluster.h"

struct client_command {
    struct blob *record;
    int acknowledged;
    uint64_t index; /* of the record, once acknowledged */
};

struct client_block {
    struct blob *bytes;
    uint64_t first_seq;
    uint32_t count;
};

#define CLIENT_READS_MAX 64
#define CLIENT_OPENING 1 /* a client of a scenario opens one session */

struct player {
    struct node *node;
    uint64_t session;                /* 0 until the open was answered */
    uint64_t acked;                  /* every command up to here is acknowledged */
    struct client_command *commands; /* by sequence; [0] is not used */
    size_t command_count, command_capacity;
    struct client_block *blocks; /* [0] opens the session */
    size_t block_count, block_capacity;
    uint64_t read_floor[CLIENT_READS_MAX]; /* by request: what was acknowledged to anybody before */
    uint64_t read_count;
    /* What it was told since the last `mark`. */
    uint64_t results, gaps, unknown, forgotten, rejects, records;
    char last_read[16]; /* status of the last read: "ok", ... */
    char last_reject[16];
};

void player_init(struct player *client, struct node *node);
void player_close(struct player *client);

void player_open(struct cluster *cluster, struct player *client, uint32_t ttl_ms,
                 const struct node *via);

/* One block with all records, at the client's next sequences. */
void player_append(struct cluster *cluster, struct player *client, const struct slice *records,
                   uint32_t count, const struct node *via);

/* A block with the given session and sequence that the client does not remember. */
void player_forge(struct cluster *cluster, struct player *client, uint64_t session,
                  uint64_t first_seq, struct slice record, const struct node *via);

/* Only keeps the session alive and says what was received; with is_close ends it. */
void player_keepalive(struct cluster *cluster, struct player *client, int is_close,
                      const struct node *via);

/* Bytes that are no block. */
void player_garbage(struct cluster *cluster, struct player *client, const struct node *via);

/* Sends the same blocks again: those that are not answered, or all. */
void player_resend(struct cluster *cluster, struct player *client, int all, const struct node *via);

void player_read(struct cluster *cluster, struct player *client, struct msg_read read,
                 const struct node *from);

/* A message for the client arrived. */
void player_receive(struct cluster *cluster, struct player *client, const struct message *msg);

#endif
