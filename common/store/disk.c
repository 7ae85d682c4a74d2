#include "common/store/disk.h"

#include "common/base/bytes.h"
#include "common/base/memory.h"
#include "common/protocol/limits.h"
#include "common/store/directory.h"
#include "common/store/seal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* A scratch buffer that one unusual value made large is not kept. */
#define SCRATCH_KEPT_BYTES (2 * MIB)

/* Gives the hash of a deletion another meaning than that of an empty value under the same key. */
#define DELETION_SEED 0x64656c657465U

/* Adds one record to the batch and its hash to the batch's hashes, at index. */
static void batch_add(struct disk_store *disk, const struct record *record, size_t index)
{
    struct slice key = slice_borrow(record->key, record->key_size);
    uint64_t hash;
    if (record->is_delete) {
        hash = XXH3_64bits_withSeed(key.data, key.size, DELETION_SEED);
        leveldb_writebatch_delete(disk->batch, (const char *)key.data, key.size);
    } else {
        size_t size = record->head_size + record->body.size;
        disk->scratch =
            memory_grow(disk->scratch, &disk->scratch_capacity, size + SEAL_BYTES, sizeof(uint8_t));
        memcpy(disk->scratch, record->head, record->head_size);
        if (record->body.size > 0) {
            memcpy(disk->scratch + record->head_size, record->body.data, record->body.size);
        }
        hash = seal_hash(key, slice_borrow(disk->scratch, size));
        bytes_put_u64(disk->scratch + size, hash);
        leveldb_writebatch_put(disk->batch, (const char *)key.data, key.size,
                               (const char *)disk->scratch, size + SEAL_BYTES);
    }
    bytes_put_u64(disk->hashes + index * sizeof hash, hash);
}

/* Fills the batch with the records and the mark that follows them, which is returned. */
static struct tail_mark batch_fill(struct disk_store *disk, const struct record *records,
                                   size_t count, int sync)
{
    struct tail_mark mark = {
        .sequence = disk->mark.sequence + 1,
        .durable = disk->mark.durable + (sync ? 1 : 0),
    };
    disk->hashes = memory_grow(disk->hashes, &disk->hashes_capacity, (count + 1) * sizeof(uint64_t),
                               sizeof(uint8_t));
    leveldb_writebatch_clear(disk->batch);
    for (size_t i = 0; i < count; i++) {
        batch_add(disk, &records[i], i);
    }
    mark.chain = XXH3_64bits_withSeed(disk->hashes, count * sizeof(uint64_t), disk->mark.chain);
    uint8_t key[TAIL_KEY_BYTES];
    struct record own = {.key = key, .key_size = TAIL_KEY_BYTES, .head_size = TAIL_VALUE_BYTES};
    tail_put_key(key, mark.sequence);
    tail_put_value(own.head, &mark);
    batch_add(disk, &own, count);
    return mark;
}

int disk_follow_log(struct disk_store *disk, struct errmsg *err)
{
    int fd;
    int rc = directory_newest_log(disk->dir_fd, &fd, err);
    if (rc != 0) {
        return rc;
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        rc = errmsg_set(err, ERROR_IO, "cannot look at the write-ahead log (%s)", strerror(errno));
        close(fd);
        return rc;
    }
    if (disk->log_fd >= 0) {
        close(disk->log_fd);
    }
    disk->log_fd = fd;
    disk->log_size = (uint64_t)st.st_size;
    return 0;
}

/* After each write: if the log we know did not grow, LevelDB has gone on to a new one. Then
 * unsynced batches at the end of the old log are synced, so that they cannot be lost while later
 * ones survive, and so is the name of the new log, which LevelDB itself never syncs. (The time of
 * the directory would say the same, but only to the granularity of the kernel's clock.) */
static int maybe_sync_rolled_log(struct disk_store *disk, struct errmsg *err)
{
    struct stat st;
    if (fstat(disk->log_fd, &st) != 0) {
        return errmsg_set(err, ERROR_IO, "cannot look at the write-ahead log (%s)",
                          strerror(errno));
    }
    if ((uint64_t)st.st_size > disk->log_size) {
        disk->log_size = (uint64_t)st.st_size;
        return 0;
    }
    if (fdatasync(disk->log_fd) != 0) {
        return errmsg_set(err, ERROR_IO, "cannot sync the last write-ahead log (%s)",
                          strerror(errno));
    }
    int rc = disk_follow_log(disk, err);
    return rc != 0 ? rc : directory_sync(disk->dir_fd, err);
}

static int commit(struct disk_store *disk, const struct tail_mark *mark, int sync,
                  struct errmsg *err)
{
    /* A power cut can tear what the disk is just writing, and with it the end of what was synced
     * before, which shares its page. So nothing is written behind a batch whose guard could be lost
     * by the same cut. */
    if (disk->guard.fd >= 0) {
        int rc = guard_settle(&disk->guard, err);
        if (rc != 0) {
            return rc;
        }
    }
    char *text = NULL;
    leveldb_write(disk->engine.db, sync ? disk->engine.sync_options : disk->engine.lazy_options,
                  disk->batch, &text);
    if (text != NULL) {
        engine_error(text, "cannot write the store", err);
        return ERROR_IO;
    }
    int rc = maybe_sync_rolled_log(disk, err);
    if (rc == 0 && sync && disk->guard.fd >= 0) {
        rc = guard_write(&disk->guard, mark, err);
    }
    return rc;
}

int disk_write(struct store *store, const struct record *records, size_t count, int sync,
               struct errmsg *err)
{
    struct disk_store *disk = (struct disk_store *)store;
    if (disk->failure.text[0] != '\0') {
        return errmsg_set(err, ERROR_IO,
                          "the store takes nothing more after a failed write: %.400s",
                          disk->failure.text);
    }
    if (count == 0 && !sync) {
        return 0;
    }
    struct tail_mark mark = batch_fill(disk, records, count, sync);
    int rc = commit(disk, &mark, sync, &disk->failure);
    if (rc != 0) {
        return errmsg_set(err, ERROR_IO, "%s; try: see to the disk, then start again",
                          disk->failure.text);
    }
    disk->mark = mark;
    if (disk->scratch_capacity > SCRATCH_KEPT_BYTES) {
        free(disk->scratch);
        disk->scratch = NULL;
        disk->scratch_capacity = 0;
    }
    return 0;
}

static int disk_get(void *self, struct slice key, struct blob **value)
{
    const struct disk_store *disk = self;
    return engine_get(&disk->engine, key, value, NULL);
}

struct scan {
    store_visit_fn visit;
    void *arg;
};

/* Returns other than 0 to end the scan: ERROR_CORRUPT, or 1 if the visitor has seen enough. */
static int visit_sealed(void *arg, struct slice key, struct slice sealed)
{
    struct scan *scan = arg;
    if (!seal_open(key, &sealed)) {
        return ERROR_CORRUPT;
    }
    return scan->visit(scan->arg, key, sealed) != 0 ? 1 : 0;
}

static int disk_scan(void *self, struct slice from, struct slice to, store_visit_fn visit,
                     void *arg)
{
    const struct disk_store *disk = self;
    struct scan scan = {.visit = visit, .arg = arg};
    int rc = engine_scan(&disk->engine, from, to, visit_sealed, &scan, NULL);
    return rc > 0 ? 0 : rc;
}

static uint64_t disk_free_bytes(const struct store *store)
{
    return directory_free_bytes(((const struct disk_store *)store)->dir_fd);
}

static void disk_close(struct store *store)
{
    struct disk_store *disk = (struct disk_store *)store;
    engine_close(&disk->engine);
    guard_close(&disk->guard);
    if (disk->log_fd >= 0) {
        close(disk->log_fd);
    }
    close(disk->dir_fd);
    leveldb_writebatch_destroy(disk->batch);
    free(disk->scratch);
    free(disk->hashes);
    free(disk);
}

struct disk_store *disk_store_new(const struct engine *engine, int dir_fd)
{
    static const struct store_backend backend = {
        .write = disk_write,
        .get = disk_get,
        .scan = disk_scan,
        .free_bytes = disk_free_bytes,
        .close = disk_close,
    };
    struct disk_store *disk = memory_calloc(1, sizeof *disk);
    disk->base.backend = &backend;
    disk->engine = *engine;
    disk->dir_fd = dir_fd;
    disk->log_fd = -1;
    disk->guard.fd = -1;
    disk->batch = leveldb_writebatch_create();
    return disk;
}
