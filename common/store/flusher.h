/* A thread that syncs one file as soon as it was written to, while its owner goes on with other
 * things and waits only when it has to be sure. */
#ifndef SYNOD_STORE_FLUSHER_H
#define SYNOD_STORE_FLUSHER_H

#include "common/base/error.h"

#include <stdint.h>

struct flusher;

/* Starts the thread for fd, which stays the caller's and open until flusher_stop. 0 or
 * ERROR_INTERNAL. */
int flusher_start(int fd, struct flusher **out, struct errmsg *err) MUST_USE;

/* The file was written to: its sync begins now. Does not block. */
void flusher_poke(struct flusher *flusher);

/* Blocks until all that was written is synced. 0, or ERROR_IO if a sync failed: the file is lost
 * for good. */
int flusher_wait(struct flusher *flusher, struct errmsg *err) MUST_USE;

/* Syncs what is left and ends the thread. NULL is allowed. */
void flusher_stop(struct flusher *flusher);

#endif
