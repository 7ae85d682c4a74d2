/* Every bound and budget of the system in one place. What a peer, a file or a person sends is
 * refused beyond these, with an error that names the limit; what a process keeps in memory is
 * bounded by their sum. */
#ifndef SYNOD_PROTOCOL_LIMITS_H
#define SYNOD_PROTOCOL_LIMITS_H

#include <stddef.h>

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * 1024)

/* Members of one role in a configuration. Votes are counted in a 32-bit set. */
#define MEMBERS_MAX 32

/* One record of the log, payload only. */
#define RECORD_BYTES_MAX (1 * MIB)

/* One block of a client's commands, headers included. A block holds one record of the largest size,
 * or many small. */
#define BLOCK_BYTES_MAX (RECORD_BYTES_MAX + 64 * KIB)

/* A key, a value and a whole request on keys, transactions included. A block holds one of these. */
#define KEY_BYTES_MAX (4 * KIB)
#define KV_VALUE_BYTES_MAX (1 * MIB)
#define KV_REQUEST_BYTES_MAX (KV_VALUE_BYTES_MAX + 32 * KIB)

/* A response beyond this is refused, and what would have led to it has no effect. */
#define KV_RESPONSE_BYTES_MAX (2 * MIB)

/* Responses of one slot in all: once they come to this, its further requests on keys are refused. A
 * slot of a megabyte could ask for 40 GiB otherwise, and no learner could ever apply it. */
#define SLOT_RESPONSE_BYTES_MAX (16 * MIB)

/* Responses of one session that its client has not acknowledged: as long as there are more, its
 * requests on keys are refused. The oldest part is counted until all of it is acknowledged. */
#define SESSION_RESPONSE_BYTES_MAX (64 * MIB)

/* Keys that the ranges and comparisons of one slot, or of one query, look at in all: 128
 * comparisons with a million keys each are 20 seconds, in which a learner does nothing else. */
#define SLOT_KEYS_MAX (16 * 1024 * 1024)

/* What a learner holds of what it applied and has not written: beyond it the turn ends. */
#define LEARNER_UNWRITTEN_BYTES_MAX (16 * MIB)

/* Operations along one path of a transaction, and its nesting. */
#define TXN_OPS_MAX 128
#define TXN_DEPTH_MAX 8

/* Operations of a transaction in all, on paths that are taken and those that are not. */
#define TXN_OPS_TOTAL_MAX 2048

/* Ids in one command that keeps leases alive. */
#define KEEPALIVE_LEASES_MAX 4096

/* How long a lease may last: a year. */
#define LEASE_TTL_MS_MAX ((uint64_t)365 * 24 * 3600 * 1000)

/* How long a place in the line of successors lasts, in cluster time, unless it is registered again.
 */
#define LINE_TTL_MS 10000

/* How long a learner keeps what was compacted for questions that were under way: pages of a watch
 * or a range that go on. By its own clock, from when it applied the compaction or was started. */
#define COMPACTION_GRACE_MS 5000

/* The leader closes a batch at this size; a block is never split, so a value may exceed it by one
 * block. */
#define BATCH_BYTES_TARGET (256 * KIB)

/* One value of a slot. */
#define VALUE_BYTES_MAX (BATCH_BYTES_TARGET + BLOCK_BYTES_MAX + 1 * KIB)

/* A page of a promise, of fetched slots or of read records closes at this size; one more value may
 * follow. */
#define PAGE_BYTES_TARGET (1 * MIB)

/* A page of a watch: the page, and one event with its previous value more. */
#define EVENTS_BYTES_MAX (PAGE_BYTES_TARGET + 2 * (KV_VALUE_BYTES_MAX + KEY_BYTES_MAX + 1 * KIB))

/* Elements of any array in one message. */
#define PAGE_ENTRIES_MAX 16384

/* The largest legal message on any socket; also ZMQ_MAXMSGSIZE. */
#define MESSAGE_BYTES_MAX (4 * MIB)

/* Nesting of msgpack containers in a message. */
#define MESSAGE_DEPTH_MAX 6

/* Slots a leader has proposed and not yet seen chosen. */
#define WINDOW_SLOTS_MAX 256

/* A value longer than this goes to the learners when it is proposed, so that after the quorum only
 * a short commit has to follow. A shorter one goes with its commit: one message instead of two,
 * which wakes each learner once. */
#define STREAM_EARLY_BYTES (8 * KIB)

/* Bytes of values in that window; a new slot waits while they are exceeded. */
#define WINDOW_BYTES_MAX (16 * MIB)

/* Accepted slots an acceptor holds above its chosen watermark; beyond it answers nack "too far". It
 * exceeds what several leaders in a row can leave behind. */
#define ACCEPTOR_AHEAD_SLOTS_MAX 8192

/* Values of recent slots an acceptor keeps in memory for laggards before they have to come from the
 * disk. */
#define ACCEPTOR_CACHE_BYTES_MAX (16 * MIB)

/* Values a learner holds that no commit covers yet. */
#define LEARNER_PENDING_SLOTS_MAX 1024
#define LEARNER_PENDING_BYTES_MAX (32 * MIB)

/* Commands of one client, and of all clients, that a proposer holds before they are in a slot. */
#define CLIENT_PENDING_BYTES_MAX (8 * MIB)
#define CLIENTS_PENDING_BYTES_MAX (32 * MIB)

/* Commands of one session without an acknowledged result. */
#define SESSION_OUTSTANDING_MAX 65536

/* Leases of a cluster, sessions included; one more is refused. */
#define SESSIONS_MAX 65536

/* Reads and tails that wait at one learner. */
#define READS_WAITING_MAX 16384

/* Bytes of queries, and of the keys of watches, among them. */
#define READS_WAITING_BYTES_MAX (64 * MIB)

/* Bytes queued towards one peer or one client before further messages to it are dropped and
 * counted. */
#define PEER_QUEUE_BYTES_MAX (32 * MIB)
#define CLIENT_QUEUE_BYTES_MAX (8 * MIB)

/* Messages and bytes one turn of the loop takes in before it writes and sends. */
#define DRAIN_MESSAGES_MAX 1024
#define DRAIN_BYTES_MAX (8 * MIB)

/* Free space on a store's disk below which new commands are refused; reads go on. */
#define DISK_RESERVE_BYTES (64 * MIB)

/* How long a word of an oracle outside may run: a longer one is cut. Who stands behind it can
 * be gone for as long without anybody noticing. */
#define WORD_MS_MAX ((uint32_t)3600 * 1000)

/* Connections on listening sockets. The longest unused one counts as gone beyond it. */
#define LINKS_MAX 16384

#endif
