/* A store on disk while it is open: LevelDB, the guard, and the marks that tie them together.
 * disk.c writes and reads; open.c makes, opens and judges. */
#ifndef SYNOD_STORE_DISK_H
#define SYNOD_STORE_DISK_H

#include "common/store/backend.h"
#include "common/store/engine.h"
#include "common/store/guard.h"
#include "common/store/tail.h"

struct disk_store {
    struct store base;
    struct engine engine;
    int dir_fd; /* holds the lock on the directory, too */
    int log_fd; /* LevelDB's live write-ahead log, to sync it when LevelDB rolls on to the next */
    uint64_t log_size;
    struct guard guard;    /* fd -1: not guarded */
    struct tail_mark mark; /* of the last batch written */
    struct errmsg failure; /* of the first failed write; empty: none failed */
    leveldb_writebatch_t *batch;
    uint8_t *scratch; /* one sealed value */
    size_t scratch_capacity;
    uint8_t *hashes; /* of one batch's records, in order */
    size_t hashes_capacity;
};

/* Wraps what open.c has opened; takes over the engine and the descriptor. */
struct disk_store *disk_store_new(const struct engine *engine, int dir_fd);

/* Writes one batch with the mark behind it. As store_write, but for the store's own keys, too. */
int disk_write(struct store *store, const struct record *records, size_t count, int sync,
               struct errmsg *err);

/* Opens the live log for the first time. */
int disk_follow_log(struct disk_store *disk, struct errmsg *err) MUST_USE;

#endif
