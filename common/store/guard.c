#include "common/store/guard.h"

#include "common/base/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

/* Two slots, written in turn, so that a torn write leaves the one before. */
#define SLOT_BYTES 4096
#define SLOT_COUNT 2
#define GUARD_MAGIC 0x73796e6f64677264U /* "synodgrd" */
#define SUMMED_BYTES 40                 /* of a slot, covered by the checksum behind them */

static void slot_encode(uint8_t slot[SLOT_BYTES], uint64_t store_id, const struct tail_mark *mark)
{
    memset(slot, 0, SLOT_BYTES);
    bytes_put_u64(slot, GUARD_MAGIC);
    bytes_put_u64(slot + 8, store_id);
    bytes_put_u64(slot + 16, mark->sequence);
    bytes_put_u64(slot + 24, mark->durable);
    bytes_put_u64(slot + 32, mark->chain);
    bytes_put_u64(slot + SUMMED_BYTES, XXH3_64bits(slot, SUMMED_BYTES));
}

/* 1 if the slot is whole. */
static int slot_decode(const uint8_t slot[SLOT_BYTES], uint64_t *store_id, struct tail_mark *mark)
{
    if (bytes_get_u64(slot) != GUARD_MAGIC ||
        bytes_get_u64(slot + SUMMED_BYTES) != XXH3_64bits(slot, SUMMED_BYTES)) {
        return 0;
    }
    *store_id = bytes_get_u64(slot + 8);
    mark->sequence = bytes_get_u64(slot + 16);
    mark->durable = bytes_get_u64(slot + 24);
    mark->chain = bytes_get_u64(slot + 32);
    return 1;
}

static int write_all(int fd, const uint8_t *bytes, size_t size, off_t at)
{
    while (size > 0) {
        ssize_t n = pwrite(fd, bytes, size, at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return -1;
        }
        bytes += n;
        size -= (size_t)n;
        at += n;
    }
    return 0;
}

int guard_create(int dir_fd, uint64_t store_id, const struct tail_mark *mark, struct errmsg *err)
{
    /* Both slots are written out, not only reserved: a later overwrite then changes no metadata of
     * the file, which makes its sync cheap, and cannot run out of space. */
    static const uint8_t zeros[SLOT_BYTES * SLOT_COUNT];
    int fd = openat(dir_fd, "guard", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errmsg_set(err, ERROR_IO, "cannot make the file guard (%s)", strerror(errno));
    }
    int rc = 0;
    if (write_all(fd, zeros, sizeof zeros, 0) != 0 || fsync(fd) != 0) {
        rc = errmsg_set(err, ERROR_IO, "cannot write the file guard (%s)", strerror(errno));
    }
    if (rc == 0) {
        rc = guard_write_sync(&(struct guard){.fd = fd, .store_id = store_id}, mark, err);
    }
    close(fd);
    return rc;
}

/* Reads one slot into *mark. 1 if it is whole and of this store, 0 if not; *foreign is set to 1 if
 * it is another store's. */
static int read_slot(int fd, size_t index, uint64_t store_id, struct tail_mark *mark, int *foreign)
{
    uint8_t slot[SLOT_BYTES];
    uint64_t id;
    ssize_t n = pread(fd, slot, sizeof slot, (off_t)(index * SLOT_BYTES));
    if (n != (ssize_t)sizeof slot || !slot_decode(slot, &id, mark)) {
        return 0;
    }
    if (id != store_id) {
        *foreign = 1;
        return 0;
    }
    return 1;
}

int guard_open(int dir_fd, uint64_t store_id, struct guard *guard, struct tail_mark *newest,
               struct errmsg *err)
{
    int fd = openat(dir_fd, "guard", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        int code = errno == ENOENT ? ERROR_CORRUPT : ERROR_IO;
        return errmsg_set(err, code, "its file guard cannot be opened: %s", strerror(errno));
    }
    struct tail_mark best = {0};
    int readable = 0;
    int foreign = 0;
    for (size_t i = 0; i < SLOT_COUNT; i++) {
        struct tail_mark mark;
        if (!read_slot(fd, i, store_id, &mark, &foreign)) {
            continue;
        }
        if (!readable || mark.durable > best.durable ||
            (mark.durable == best.durable && mark.sequence > best.sequence)) {
            best = mark;
        }
        readable = 1;
    }
    if (!readable || foreign) {
        close(fd);
        return errmsg_set(err, ERROR_CORRUPT, "its file guard %s",
                          foreign ? "belongs to another store" : "cannot be read in either slot");
    }
    struct flusher *flusher;
    int rc = flusher_start(fd, &flusher, err);
    if (rc != 0) {
        close(fd);
        return rc;
    }
    *guard = (struct guard){.fd = fd, .store_id = store_id, .flusher = flusher};
    *newest = best;
    return 0;
}

static int write_slot(const struct guard *guard, const struct tail_mark *mark, struct errmsg *err)
{
    uint8_t slot[SLOT_BYTES];
    slot_encode(slot, guard->store_id, mark);
    off_t at = (off_t)(mark->durable % SLOT_COUNT * SLOT_BYTES);
    if (write_all(guard->fd, slot, sizeof slot, at) != 0) {
        return errmsg_set(err, ERROR_IO, "cannot write the file guard (%s)", strerror(errno));
    }
    return 0;
}

int guard_write(const struct guard *guard, const struct tail_mark *mark, struct errmsg *err)
{
    int rc = write_slot(guard, mark, err);
    if (rc == 0) {
        flusher_poke(guard->flusher);
    }
    return rc;
}

int guard_settle(const struct guard *guard, struct errmsg *err)
{
    return flusher_wait(guard->flusher, err);
}

int guard_write_sync(const struct guard *guard, const struct tail_mark *mark, struct errmsg *err)
{
    int rc = write_slot(guard, mark, err);
    if (rc == 0 && fdatasync(guard->fd) != 0) {
        rc = errmsg_set(err, ERROR_IO, "cannot sync the file guard (%s)", strerror(errno));
    }
    return rc;
}

void guard_close(struct guard *guard)
{
    flusher_stop(guard->flusher);
    guard->flusher = NULL;
    if (guard->fd >= 0) {
        close(guard->fd);
    }
    guard->fd = -1;
}
