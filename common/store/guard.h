/* The file `guard` beside LevelDB: the last synced batch, written after LevelDB has synced it and
 * before anybody is told, and synced itself before another batch is begun. It is the second witness
 * that the first one lost nothing (TRAPS 2). */
#ifndef SYNOD_STORE_GUARD_H
#define SYNOD_STORE_GUARD_H

#include "common/base/error.h"
#include "common/store/flusher.h"
#include "common/store/tail.h"

#include <stdint.h>

struct guard {
    int fd;
    uint64_t store_id;
    struct flusher *flusher;
};

/* Makes the file in the directory, full size, with mark in it, and syncs it. */
int guard_create(int dir_fd, uint64_t store_id, const struct tail_mark *mark,
                 struct errmsg *err) MUST_USE;

/* Opens the file and reads the newest mark. ERROR_CORRUPT (with a clause that says why) if it is
 * missing, of another store, or neither slot can be read; ERROR_IO. Close with guard_close. */
int guard_open(int dir_fd, uint64_t store_id, struct guard *guard, struct tail_mark *newest,
               struct errmsg *err) MUST_USE;

/* Records mark and begins to sync it. When it returns the mark survives the process; the machine,
 * one sync later. 0 or ERROR_IO. */
int guard_write(const struct guard *guard, const struct tail_mark *mark,
                struct errmsg *err) MUST_USE;

/* Waits until the last mark survives the machine, too. 0 or ERROR_IO. */
int guard_settle(const struct guard *guard, struct errmsg *err) MUST_USE;

/* Records mark and waits for the disk. */
int guard_write_sync(const struct guard *guard, const struct tail_mark *mark,
                     struct errmsg *err) MUST_USE;

void guard_close(struct guard *guard);

#endif
