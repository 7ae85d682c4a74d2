/* Durable state of one process: LevelDB with the rules that make it safe for consensus, and an
 * in-memory store with the same contract.
 *
 * Rules kept here and nowhere else: only store_create creates; every open checks identity and
 * format, and that no batch is missing between the first and the last; every value carries a
 * checksum over key and value; the first failed write poisons the store for good (TRAPS 1); a
 * guarded store detects that it lost what it had acknowledged (TRAPS 2); the last write-ahead log
 * is synced and the directory too when LevelDB rolls on to the next. One thread uses a store. Keys
 * that begin with byte 0 belong to the store itself and are hidden from its readers; to write one,
 * or an empty key, is a bug. */
#ifndef SYNOD_STORE_STORE_H
#define SYNOD_STORE_STORE_H

#include "common/base/error.h"
#include "common/protocol/core.h"

/* Raised with every incompatible change of what is on disk. */
#define STORE_FORMAT 3

/* Whose state this is. Compared at every open. */
struct store_identity {
    uint64_t cluster_id;
    struct peer node;
    char protocol[16]; /* "paxos" or "raft" */
};

struct store;

/* Makes an empty store in dir, which is created and must not hold one already, and syncs it.
 * guarded as in store_open. The directory above must exist. 0, ERROR_USAGE (exists, not a
 * directory, unsupported file system), ERROR_REFUSED (another process is making it), ERROR_INTERNAL
 * (too few descriptors), ERROR_IO. */
int store_create(const char *dir, const struct store_identity *identity, int guarded,
                 struct errmsg *err) MUST_USE;

/* Opens an existing store. The caller gives it back with store_close.
 * guarded: durable batches are counted and chained, and the count is written to the file `guard`
 * right after LevelDB's sync and before store_write returns (its own sync follows, and no later
 * batch is begun before it is done; README.md says why); opening refuses a store that lost
 * acknowledged batches. Must be what it was when the store was made.
 * ERROR_NOT_FOUND (no store in dir: says how to make one), ERROR_REFUSED (another cluster, node,
 * protocol, format or guarding; in use by a running process), ERROR_CORRUPT (damaged, or lost
 * acknowledged state), ERROR_USAGE (not a directory, unsupported file system), ERROR_INTERNAL (too
 * few descriptors), ERROR_IO. */
int store_open(const char *dir, const struct store_identity *identity, int guarded,
               struct store **out, struct errmsg *err) MUST_USE;

/* An empty store in memory. Never fails. */
struct store *store_open_memory(void);

/* 1 if dir holds a store, or files that are left of one. */
int store_exists(const char *dir);

/* Writes all records as one atomic batch. With sync it is durable when this returns 0. After any
 * failure the store takes nothing more: ERROR_IO for ever, and the process must end. Batches
 * written without sync become durable with the next that is synced, one without records, too; a
 * crash before may lose the newest of them, never one before another that is kept. */
int store_write(struct store *store, const struct record *records, size_t count, int sync,
                struct errmsg *err) MUST_USE;

/* Reads what was written. Valid until store_close. */
struct store_reader store_reader(struct store *store);

/* Free bytes on the store's file system; UINT64_MAX in memory. Cheap enough to ask every second. */
uint64_t store_free_bytes(const struct store *store);

void store_close(struct store *store);

#endif
