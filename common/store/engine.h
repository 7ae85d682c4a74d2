/* LevelDB, opened with the options that consensus needs, and its errors as sentences. */
#ifndef SYNOD_STORE_ENGINE_H
#define SYNOD_STORE_ENGINE_H

#include "common/base/blob.h"
#include "common/base/error.h"

#include <leveldb/c.h>

struct engine {
    leveldb_t *db;
    leveldb_options_t *options;
    leveldb_filterpolicy_t *filter;
    leveldb_readoptions_t *get_options;
    leveldb_readoptions_t *scan_options; /* does not push single reads out of the cache */
    leveldb_writeoptions_t *sync_options;
    leveldb_writeoptions_t *lazy_options;
};

/* What a store is mostly used for. */
enum engine_use { ENGINE_LOG, ENGINE_KEYS };

/* Opens what is in dir, or with create makes it. ERROR_CORRUPT or ERROR_IO. engine_close is due
 * after success only. */
int engine_open(struct engine *engine, const char *dir, enum engine_use use, int create,
                struct errmsg *err) MUST_USE;

/* Turns a LevelDB error text into a code and a sentence, and frees the text. */
int engine_error(char *text, const char *doing, struct errmsg *err);

/* Visits sealed pairs in [from, to) in key order until visit returns other than 0, which is
 * returned. Slices are borrowed for the call. */
int engine_scan(const struct engine *engine, struct slice from, struct slice to,
                int (*visit)(void *arg, struct slice key, struct slice sealed), void *arg,
                struct errmsg *err) MUST_USE;

/* The value of a key without its seal, as a new reference. ERROR_NOT_FOUND, ERROR_CORRUPT or
 * ERROR_IO. */
int engine_get(const struct engine *engine, struct slice key, struct blob **value,
               struct errmsg *err) MUST_USE;

void engine_close(struct engine *engine);

#endif
