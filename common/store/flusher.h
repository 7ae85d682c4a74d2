/* A thread that syncs one file soon after it was written to, so that nobody waits for it, unless it
 * falls far behind. */
#ifndef SYNOD_STORE_FLUSHER_H
#define SYNOD_STORE_FLUSHER_H

#include "common/base/error.h"

#include <stdint.h>

/* From one sync's end to the next one's begin. What was written is on the disk this long, and one
 * sync, later at most. */
#define FLUSH_PAUSE_MS 5

struct flusher;

/* Starts the thread for fd, which stays the caller's and open until flusher_stop. At most
 * behind_max writes may wait for their sync at any time. 0 or ERROR_INTERNAL. */
int flusher_start(int fd, uint64_t behind_max, struct flusher **out, struct errmsg *err) MUST_USE;

/* The file was written to. Blocks while more than behind_max such writes are not synced. 0, or
 * ERROR_IO if a sync failed: the file is lost for good. */
int flusher_poke(struct flusher *flusher, struct errmsg *err) MUST_USE;

/* Syncs what is left and ends the thread. NULL is allowed. */
void flusher_stop(struct flusher *flusher);

#endif
