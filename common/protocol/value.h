/* What a slot holds: a no-op, a leader's announcement, or a batch of blocks of client commands.
 *
 * The layout is a plain one of fixed big-endian fields and not msgpack: it is what the acceptors
 * store and the digest is computed over, it has exactly one encoding, the leader joins blocks
 * without looking into their commands twice, and pure cores read it. common/PROTOCOL.md has it byte
 * by byte.
 *
 *   value   = kind u8, stamp_ms u64, then by kind:
 *             NOOP   nothing
 *             LEAD   round u64, proposer u32, incarnation u64
 *             BATCH  block, block, ...
 *             LINE   (proposer u32, incarnation u64), 1 to MEMBERS_MAX times
 *   block   = session u64, client u64, first_seq u64, acked_seq u64, count u32, size u32, then
 *             size bytes of commands
 *   command = op u8, size u32, then size bytes of payload
 */
#ifndef SYNOD_PROTOCOL_VALUE_H
#define SYNOD_PROTOCOL_VALUE_H

#include "common/base/blob.h"
#include "common/base/error.h"
#include "common/protocol/settings.h"
#include "common/protocol/types.h"

#define VALUE_HEAD_BYTES 9
#define BLOCK_HEAD_BYTES 40
#define COMMAND_HEAD_BYTES 5
#define OPEN_PAYLOAD_BYTES 12

enum value_kind {
    VALUE_NOOP = 1,
    VALUE_LEAD = 2,
    VALUE_BATCH = 3,
    VALUE_LINE = 4, /* the leader registers proposers in the line of successors, or again */
};

struct value {
    enum value_kind kind;
    /* Cluster time when it was proposed, which runs only while somebody leads. What recovery
     * proposes again keeps its own. Along the log, time is the highest stamp so far. */
    uint64_t stamp_ms;
    struct ballot lead;  /* LEAD only */
    struct slice blocks; /* BATCH only; every block in it is well-formed */
    struct slice line;   /* LINE only: value_next_place reads it */
};

/* Commands a client can submit. */
enum command_op {
    COMMAND_APPEND = 1,       /* payload: the record, up to RECORD_BYTES_MAX */
    COMMAND_OPEN_SESSION = 2, /* payload: ttl_ms u32, then u64: a session of the same client that is
                                  continued if it lives, or 0. Alone in a block with session 0,
                                  whose first_seq is the number of the opening */
    COMMAND_CLOSE_SESSION = 3, /* no payload; the last of its block */
    COMMAND_KV = 4,            /* payload: a request (kv.h) */
    COMMAND_COMPACT = 5,       /* payload: revision u64 */
    COMMAND_LEASE_GRANT = 6,   /* payload: id u64 (0: the cluster chooses), ttl_ms u64, flags u8 */
    COMMAND_LEASE_REVOKE = 7,  /* payload: id u64 */
    COMMAND_LEASE_KEEPALIVE = 8, /* payload: id u64, 1 to KEEPALIVE_LEASES_MAX times */
    COMMAND_SETTINGS = 9, /* payload: version u64 that it changes, then settings (settings.h) */
};

/* Flag of a lease grant: the lease ends with the session that asked for it. */
#define LEASE_BOUND 1U

struct command {
    enum command_op op;
    struct slice payload;
};

/* Consecutive commands of one session, sequences first_seq to first_seq + count - 1. */
struct block {
    uint64_t session;   /* 0 only to open one */
    uint64_t client;    /* its nonce: results find it by this, even those of an unknown session */
    uint64_t first_seq; /* from 1; in a block that opens a session: the number of the opening, which
                           its client chooses and uses for no other one */
    uint64_t acked_seq; /* the client has every result up to here and will not ask for them again */
    uint32_t count;     /* 0: keeps the session alive and acknowledges */
    struct slice commands;
};

/* Reads and validates all of bytes as one value; slices point into it. 0 or ERROR_CORRUPT. */
int value_parse(struct slice bytes, struct value *out) MUST_USE;

/* The stamp of a value that was parsed before. */
uint64_t value_stamp_ms(struct slice bytes);

/* Takes the next block off *rest (of a parsed value). 1, or 0 at the end. */
int value_next_block(struct slice *rest, struct block *out);

/* Takes the next place off *rest (the line of a parsed value): its proposer and incarnation. 1, or
 * 0 at the end. */
int value_next_place(struct slice *rest, struct place *out);

/* Reads and validates all of bytes as one block: the header, every command, its op and the rules
 * above. 0, or ERROR_USAGE with a sentence. */
int block_parse(struct slice bytes, struct block *out, struct errmsg *err) MUST_USE;

/* Takes the next command off *rest (of a parsed block). 1, or 0 at the end. */
int block_next_command(struct slice *rest, struct command *out);

/* New blobs with one reference. */
struct blob *value_noop(uint64_t stamp_ms);
struct blob *value_lead(uint64_t stamp_ms, const struct ballot *ballot);

/* Proposer and incarnation of 1 to MEMBERS_MAX places. */
struct blob *value_line(uint64_t stamp_ms, const struct place *places, size_t count);

/* Joins encoded, valid blocks. */
struct blob *value_batch(uint64_t stamp_ms, const struct slice *blocks, size_t block_count);

/* Writes the BLOCK_HEAD_BYTES of a block whose commands take size bytes. */
void block_put_head(uint8_t *p, const struct block *block, uint32_t size);

/* Writes the COMMAND_HEAD_BYTES of a command. */
void command_put_head(uint8_t *p, enum command_op op, uint32_t size);

/* Writes the OPEN_PAYLOAD_BYTES of COMMAND_OPEN_SESSION. */
void command_put_open(uint8_t *p, uint32_t ttl_ms, uint64_t continues);

/* A whole block that opens a session. */
#define OPEN_BLOCK_BYTES (BLOCK_HEAD_BYTES + COMMAND_HEAD_BYTES + OPEN_PAYLOAD_BYTES)
void block_put_open(uint8_t *p, uint64_t client, uint64_t opening, uint32_t ttl_ms,
                    uint64_t continues);

#endif
