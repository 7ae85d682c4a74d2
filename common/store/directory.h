/* The directory a store lives in: is it on a file system that keeps its word, does it hold a store,
 * does another process use it, and how much room is left. */
#ifndef SYNOD_STORE_DIRECTORY_H
#define SYNOD_STORE_DIRECTORY_H

#include "common/base/error.h"

#include <stdint.h>

enum directory_content {
    DIRECTORY_EMPTY,   /* no file of a store; other files do not matter */
    DIRECTORY_REMAINS, /* files of a store, but not the one LevelDB begins with */
    DIRECTORY_STORE,
};

/* Makes the directory if it is missing, and makes its name durable. 0, ERROR_USAGE or ERROR_IO. */
int directory_make(const char *dir, struct errmsg *err) MUST_USE;

/* Opens the directory; the caller closes *fd. ERROR_NOT_FOUND, ERROR_USAGE (not a directory, or a
 * file system that does not keep synced data) or ERROR_IO. */
int directory_open(const char *dir, int *fd, struct errmsg *err) MUST_USE;

/* Keeps other processes, and other opens of this one, out until fd is closed. ERROR_REFUSED names
 * who is in. */
int directory_lock(int fd, const char *dir, struct errmsg *err) MUST_USE;

enum directory_content directory_content(int fd);

/* Makes names that were added to or taken from the directory durable. */
int directory_sync(int fd, struct errmsg *err) MUST_USE;

/* Opens LevelDB's newest write-ahead log for reading; the caller closes *log_fd. */
int directory_newest_log(int fd, int *log_fd, struct errmsg *err) MUST_USE;

uint64_t directory_free_bytes(int fd);

#endif
