#include "common/store/engine.h"

#include "common/base/memory.h"
#include "common/protocol/limits.h"
#include "common/store/seal.h"

#include <stdlib.h>
#include <string.h>

/* Two of these can be in memory at once. TAIL_RING_MARKS depends on it. */
#define WRITE_BUFFER_BYTES (4 * MIB)

/* LevelDB maps whole tables into memory and keeps as many open as it may, but for 10; a mapped
 * table that was read counts as resident memory. So this bounds it however large the store is: to
 * about 64 MiB for a log, which is written at its end and read there, and 140 MiB for keys, which
 * are read all over. With the tables of a log a put of a new random key among a million took 32 us,
 * most of them to open tables again; with 90 tables for keys it took 11. */
static const struct {
    int open_files;
    size_t table_bytes;
} tables[] = {
    [ENGINE_LOG] = {74, 1 * MIB},
    [ENGINE_KEYS] = {80, 2 * MIB},
};

/* A table that does not hold a key is not read for it, but for one time in a hundred. Every put of
 * a new key asks for one that is nowhere. */
#define FILTER_BITS_PER_KEY 10

static void engine_free_options(struct engine *engine)
{
    leveldb_options_destroy(engine->options);
    leveldb_filterpolicy_destroy(engine->filter);
    leveldb_readoptions_destroy(engine->get_options);
    leveldb_readoptions_destroy(engine->scan_options);
    leveldb_writeoptions_destroy(engine->sync_options);
    leveldb_writeoptions_destroy(engine->lazy_options);
}

int engine_open(struct engine *engine, const char *dir, enum engine_use use, int create,
                struct errmsg *err)
{
    struct engine e = {
        .options = leveldb_options_create(),
        .filter = leveldb_filterpolicy_create_bloom(FILTER_BITS_PER_KEY),
        .get_options = leveldb_readoptions_create(),
        .scan_options = leveldb_readoptions_create(),
        .sync_options = leveldb_writeoptions_create(),
        .lazy_options = leveldb_writeoptions_create(),
    };
    leveldb_options_set_create_if_missing(e.options, create != 0);
    leveldb_options_set_error_if_exists(e.options, create != 0);
    leveldb_options_set_paranoid_checks(e.options, 1);
    leveldb_options_set_compression(e.options, leveldb_no_compression);
    leveldb_options_set_write_buffer_size(e.options, WRITE_BUFFER_BYTES);
    leveldb_options_set_max_open_files(e.options, tables[use].open_files);
    leveldb_options_set_max_file_size(e.options, tables[use].table_bytes);
    leveldb_options_set_filter_policy(e.options, e.filter);
    leveldb_readoptions_set_verify_checksums(e.get_options, 1);
    leveldb_readoptions_set_verify_checksums(e.scan_options, 1);
    leveldb_readoptions_set_fill_cache(e.scan_options, 0);
    leveldb_writeoptions_set_sync(e.sync_options, 1);
    char *text = NULL;
    e.db = leveldb_open(e.options, dir, &text);
    if (text != NULL) {
        engine_free_options(&e);
        return engine_error(text, "cannot open the store", err);
    }
    *engine = e;
    return 0;
}

int engine_error(char *text, const char *doing, struct errmsg *err)
{
    /* The C interface has no codes; the texts begin with the name of the status. "Invalid argument"
     * is what a missing or foreign CURRENT or manifest gives. */
    int damaged =
        strncmp(text, "Corruption", 10) == 0 || strncmp(text, "Invalid argument", 16) == 0;
    int code = damaged ? ERROR_CORRUPT : ERROR_IO;
    errmsg_set(err, code, "%s (LevelDB: %s)", doing, text);
    leveldb_free(text);
    return code;
}

static int scan_from(leveldb_iterator_t *it, struct slice to,
                     int (*visit)(void *arg, struct slice key, struct slice sealed), void *arg)
{
    for (; leveldb_iter_valid(it); leveldb_iter_next(it)) {
        size_t key_size;
        size_t size;
        const char *key = leveldb_iter_key(it, &key_size);
        size_t common = key_size < to.size ? key_size : to.size;
        int order = memcmp(key, to.data, common);
        if (order > 0 || (order == 0 && key_size >= to.size)) {
            break;
        }
        const char *value = leveldb_iter_value(it, &size);
        int rc = visit(arg, slice_borrow(key, key_size), slice_borrow(value, size));
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

int engine_scan(const struct engine *engine, struct slice from, struct slice to,
                int (*visit)(void *arg, struct slice key, struct slice sealed), void *arg,
                struct errmsg *err)
{
    if (to.size == 0) {
        return 0; /* no key is below the empty one */
    }
    leveldb_iterator_t *it = leveldb_create_iterator(engine->db, engine->scan_options);
    leveldb_iter_seek(it, (const char *)from.data, from.size);
    int rc = scan_from(it, to, visit, arg);
    char *text = NULL;
    leveldb_iter_get_error(it, &text);
    leveldb_iter_destroy(it);
    if (text != NULL) {
        return engine_error(text, "cannot read the store", err);
    }
    return rc;
}

/* The buffer that LevelDB allocated is handed out as it is, with the seal still behind the value.
 */
static void leveldb_blob_release(struct blob *blob)
{
    leveldb_free((void *)(uintptr_t)blob->data);
    free(blob);
}

int engine_get(const struct engine *engine, struct slice key, struct blob **value,
               struct errmsg *err)
{
    size_t size = 0;
    char *text = NULL;
    char *bytes = leveldb_get(engine->db, engine->get_options, (const char *)key.data, key.size,
                              &size, &text);
    if (text != NULL) {
        return engine_error(text, "cannot read the store", err);
    }
    if (bytes == NULL) {
        return ERROR_NOT_FOUND;
    }
    struct slice sealed = slice_borrow(bytes, size);
    if (!seal_open(key, &sealed)) {
        leveldb_free(bytes);
        return errmsg_set(err, ERROR_CORRUPT, "a value in the store has a wrong checksum");
    }
    struct blob *blob = memory_alloc(sizeof *blob);
    *blob = (struct blob){
        .data = sealed.data,
        .size = sealed.size,
        .references = 1,
        .release = leveldb_blob_release,
    };
    *value = blob;
    return 0;
}

void engine_close(struct engine *engine)
{
    leveldb_close(engine->db);
    engine_free_options(engine);
}
