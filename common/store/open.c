/* Making a store, opening one, and judging whether it is whole and ours. */
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/store/directory.h"
#include "common/store/disk.h"
#include "common/store/seal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

/* LevelDB's tables, the sockets and a reserve: running out of descriptors turns into a failed write
 * (TRAPS 5). */
#define DESCRIPTORS_MIN 512

/* Under the key {0, 'i'}: format u32, cluster u64, role u8, node u64, protocol 16 bytes, guarded
 * u8, store id u64. */
static const uint8_t identity_key[2] = {0, 'i'};
#define IDENTITY_BYTES 46

struct stamp {
    struct store_identity identity;
    int guarded;
    uint64_t store_id; /* random, drawn when the store is made; ties the guard to it */
};

static void stamp_encode(uint8_t bytes[IDENTITY_BYTES], const struct stamp *stamp)
{
    bytes_put_u32(bytes, STORE_FORMAT);
    bytes_put_u64(bytes + 4, stamp->identity.cluster_id);
    bytes[12] = (uint8_t)stamp->identity.node.role;
    bytes_put_u64(bytes + 13, stamp->identity.node.id);
    memcpy(bytes + 21, stamp->identity.protocol, 16);
    bytes[37] = stamp->guarded ? 1 : 0;
    bytes_put_u64(bytes + 38, stamp->store_id);
}

static int stamp_decode(const struct blob *blob, struct stamp *stamp, const char *dir,
                        struct errmsg *err)
{
    /* The format comes first and is looked at first: what follows it is only known for our own. */
    uint32_t format = blob->size >= 4 ? bytes_get_u32(blob->data) : 0;
    if (format != STORE_FORMAT) {
        return errmsg_set(err, ERROR_REFUSED,
                          "the store in %s has format %" PRIu32
                          ", this program knows format %d (it was written by another version); "
                          "try: the version that wrote it",
                          dir, format, STORE_FORMAT);
    }
    if (blob->size != IDENTITY_BYTES) {
        return errmsg_set(err, ERROR_CORRUPT, "what it says of whose it is has a wrong length");
    }
    *stamp = (struct stamp){
        .identity = {.cluster_id = bytes_get_u64(blob->data + 4),
                     .node = {.role = (enum role)blob->data[12],
                              .id = bytes_get_u64(blob->data + 13)}},
        .guarded = blob->data[37] != 0,
        .store_id = bytes_get_u64(blob->data + 38),
    };
    memcpy(stamp->identity.protocol, blob->data + 21, 16);
    stamp->identity.protocol[15] = '\0';
    return 0;
}

static int check_identity(const struct stamp *found, const struct store_identity *wanted,
                          int guarded, const char *dir, struct errmsg *err)
{
    const struct store_identity *own = &found->identity;
    if (own->cluster_id != wanted->cluster_id) {
        return errmsg_set(err, ERROR_REFUSED,
                          "the store in %s belongs to cluster %016" PRIx64 ", not to %016" PRIx64
                          " (another cluster's data directory); try: the right --data or --cluster",
                          dir, own->cluster_id, wanted->cluster_id);
    }
    if (!peer_equal(own->node, wanted->node)) {
        return errmsg_set(err, ERROR_REFUSED,
                          "the store in %s belongs to %s %" PRIu64 ", not to %s %" PRIu64
                          " (another member's data directory); try: the right --data or --id",
                          dir, role_name(own->node.role), own->node.id,
                          role_name(wanted->node.role), wanted->node.id);
    }
    if (strncmp(own->protocol, wanted->protocol, sizeof own->protocol) != 0) {
        return errmsg_set(err, ERROR_REFUSED,
                          "the store in %s was written by protocol %s, not %s (a cluster keeps its "
                          "protocol); try: protocol: %s in cluster.yml",
                          dir, own->protocol, wanted->protocol, own->protocol);
    }
    if (found->guarded != (guarded != 0)) {
        return errmsg_set(err, ERROR_REFUSED,
                          "the store in %s was made %s tail guard (this role runs %s); try: make "
                          "it with synod init",
                          dir, found->guarded ? "with a" : "without a",
                          guarded ? "with one" : "without");
    }
    return 0;
}

static int check_descriptors(struct errmsg *err)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < DESCRIPTORS_MIN) {
        return errmsg_set(err, ERROR_INTERNAL,
                          "only %" PRIu64 " files may be open at once (a store needs %d); try: "
                          "ulimit -n 4096",
                          (uint64_t)limit.rlim_cur, DESCRIPTORS_MIN);
    }
    return 0;
}

/* What to do about a store that can no longer be trusted. A guarded one holds votes, which nobody
 * can give back; any other can be filled again from its peers. */
static const char *way_out(int guarded)
{
    return guarded ? "leave this acceptor off, and never copy, repair or make anew its store "
                     "(deploy/RUNBOOK.md)"
                   : "remove the directory and make it anew with synod init";
}

/* A voter whose store is gone must not be made anew: what only it and one more had acknowledged
 * could be replaced by something else. */
static int no_store(const char *dir, const char *why, int guarded, struct errmsg *err)
{
    if (!guarded) {
        return errmsg_set(err, ERROR_NOT_FOUND, "no store in %s (%s); try: synod init", dir, why);
    }
    return errmsg_set(err, ERROR_NOT_FOUND,
                      "no store in %s (%s); try: the right --data, or mount its disk. Only for an "
                      "acceptor that never ran, make one with synod init: in the place of a store "
                      "that is lost, a new one loses acknowledged writes (deploy/RUNBOOK.md)",
                      dir, why);
}

/* Opens and locks the directory, once it is known to be of the wanted kind. */
static int enter(const char *dir, int create, int guarded, int *fd, struct errmsg *err)
{
    int rc = check_descriptors(err);
    if (rc == 0 && create) {
        rc = directory_make(dir, err);
    }
    int opened = -1;
    if (rc == 0) {
        rc = directory_open(dir, &opened, err);
    }
    if (rc == ERROR_NOT_FOUND) {
        return no_store(dir, "there is no such directory", guarded, err);
    }
    if (rc != 0) {
        return rc;
    }
    enum directory_content content = directory_content(opened);
    if (create && content != DIRECTORY_EMPTY) {
        rc = errmsg_set(err, ERROR_USAGE,
                        "there is a store in %s already (a new one would destroy it); try: another "
                        "directory",
                        dir);
    } else if (!create && content == DIRECTORY_EMPTY) {
        rc = no_store(dir, "the directory is empty", guarded, err);
    } else if (!create && content == DIRECTORY_REMAINS) {
        rc = errmsg_set(err, ERROR_CORRUPT,
                        "the store in %s is damaged (its file CURRENT is missing); try: %s", dir,
                        way_out(guarded));
    } else {
        rc = directory_lock(opened, dir, err);
    }
    if (rc != 0) {
        close(opened);
        return rc;
    }
    *fd = opened;
    return 0;
}

/* Draws the store's id, writes who it belongs to as its first batch, and makes the guard. */
static int stamp_new_store(struct disk_store *disk, const struct store_identity *identity,
                           int guarded, struct errmsg *err)
{
    struct stamp stamp = {.identity = *identity, .guarded = guarded != 0};
    if (getrandom(&stamp.store_id, sizeof stamp.store_id, 0) != (ssize_t)sizeof stamp.store_id) {
        return errmsg_set(err, ERROR_IO, "cannot draw a random id (%s)", strerror(errno));
    }
    struct record record = {
        .key = identity_key, .key_size = sizeof identity_key, .head_size = IDENTITY_BYTES};
    stamp_encode(record.head, &stamp);
    int rc = disk_follow_log(disk, err);
    if (rc == 0) {
        rc = disk_write(&disk->base, &record, 1, 1, err);
    }
    if (rc == 0 && guarded) {
        rc = guard_create(disk->dir_fd, stamp.store_id, &disk->mark, err);
    }
    return rc != 0 ? rc : directory_sync(disk->dir_fd, err);
}

static enum engine_use use_of(const struct store_identity *identity)
{
    return identity->node.role == ROLE_LEARNER ? ENGINE_KEYS : ENGINE_LOG;
}

int store_create(const char *dir, const struct store_identity *identity, int guarded,
                 struct errmsg *err)
{
    CHECK(memchr(identity->protocol, '\0', sizeof identity->protocol) != NULL);
    int fd;
    int rc = enter(dir, 1, guarded, &fd, err);
    if (rc != 0) {
        return rc;
    }
    struct engine engine;
    rc = engine_open(&engine, dir, use_of(identity), 1, err);
    if (rc != 0) {
        close(fd);
        errmsg_wrap(err, "cannot make a store in %s", dir);
        return ERROR_IO;
    }
    struct disk_store *disk = disk_store_new(&engine, fd);
    rc = stamp_new_store(disk, identity, guarded, err);
    store_close(&disk->base);
    if (rc != 0) {
        errmsg_wrap(err, "cannot make a store in %s (remove it before the next attempt)", dir);
    }
    return rc;
}

static int visit_mark(void *arg, struct slice key, struct slice sealed)
{
    return seal_open(key, &sealed) ? tail_add(arg, key, sealed) : ERROR_CORRUPT;
}

/* Reads all marks, demands that none is missing, and takes the last as the store's state. */
static int read_tail(struct disk_store *disk, struct tail *tail, struct errmsg *err)
{
    uint8_t first[TAIL_KEY_BYTES];
    uint8_t end[TAIL_KEY_BYTES];
    tail_put_key(first, 0);
    tail_put_end_key(end);
    errmsg_set(err, 0, "a mark in it is damaged");
    int rc = engine_scan(&disk->engine, slice_borrow(first, sizeof first),
                         slice_borrow(end, sizeof end), visit_mark, tail, err);
    if (rc != 0) {
        return rc;
    }
    uint64_t missing = tail_missing(tail);
    if (missing != 0) {
        return errmsg_set(err, ERROR_CORRUPT, "batch %" PRIu64 " of %" PRIu64 " is gone", missing,
                          tail->last.sequence);
    }
    disk->mark = tail->last;
    return 0;
}

static int check_guard(struct disk_store *disk, uint64_t store_id, const struct tail *tail,
                       struct errmsg *err)
{
    struct tail_mark newest;
    int rc = guard_open(disk->dir_fd, store_id, &disk->guard, &newest, err);
    if (rc == 0) {
        rc = tail_compare(tail, &newest, err);
    }
    /* From here on the process acts on everything it reads, so a last batch that was synced but
     * not yet recorded counts as acknowledged, and unsynced ones, too: LevelDB has put them into a
     * synced table while opening. */
    if (rc == 0 && newest.sequence != disk->mark.sequence) {
        rc = guard_write_sync(&disk->guard, &disk->mark, err);
    }
    return rc;
}

/* Everything that must hold before the store is handed out. */
static int check_store(struct disk_store *disk, const struct store_identity *identity, int guarded,
                       const char *dir, struct errmsg *err)
{
    struct blob *blob = NULL;
    struct stamp stamp;
    int rc = engine_get(&disk->engine, slice_borrow(identity_key, sizeof identity_key), &blob, err);
    if (rc == ERROR_NOT_FOUND) {
        rc = errmsg_set(err, ERROR_CORRUPT, "it does not say whose it is");
    }
    struct tail tail = {0};
    if (rc == 0) {
        rc = stamp_decode(blob, &stamp, dir, err);
        blob_unref(blob);
        if (rc == 0) {
            rc = check_identity(&stamp, identity, guarded, dir, err);
        }
    }
    if (rc == 0) {
        rc = read_tail(disk, &tail, err);
    }
    if (rc == 0 && guarded) {
        rc = check_guard(disk, stamp.store_id, &tail, err);
    }
    tail_close(&tail);
    if (rc == ERROR_CORRUPT) {
        struct errmsg why = err != NULL ? *err : (struct errmsg){""};
        errmsg_set(err, ERROR_CORRUPT, "store lost acknowledged state (%s: %.200s); try: %s", dir,
                   why.text, way_out(guarded));
    } else if (rc == ERROR_IO) {
        struct errmsg why = err != NULL ? *err : (struct errmsg){""};
        errmsg_set(err, ERROR_IO,
                   "the store in %s cannot be used (%.200s); try: see to the disk; if a file is "
                   "damaged, %s",
                   dir, why.text, way_out(guarded));
    }
    return rc;
}

int store_open(const char *dir, const struct store_identity *identity, int guarded,
               struct store **out, struct errmsg *err)
{
    int fd;
    int rc = enter(dir, 0, guarded, &fd, err);
    if (rc != 0) {
        return rc;
    }
    struct engine engine;
    rc = engine_open(&engine, dir, use_of(identity), 0, err);
    if (rc != 0) {
        close(fd);
        struct errmsg why = err != NULL ? *err : (struct errmsg){""};
        return errmsg_set(err, rc, "the store in %s %s (%.300s); try: %s", dir,
                          rc == ERROR_CORRUPT ? "is damaged" : "cannot be opened", why.text,
                          rc == ERROR_CORRUPT
                              ? way_out(guarded)
                              : "see to the disk and its permissions, then start again");
    }
    struct disk_store *disk = disk_store_new(&engine, fd);
    rc = check_store(disk, identity, guarded, dir, err);
    if (rc == 0) {
        rc = disk_follow_log(disk, err);
    }
    if (rc == 0) {
        rc = directory_sync(disk->dir_fd, err);
    }
    if (rc != 0) {
        store_close(&disk->base);
        return rc;
    }
    *out = &disk->base;
    return 0;
}

int store_exists(const char *dir)
{
    int fd;
    if (directory_open(dir, &fd, NULL) != 0) {
        return 0;
    }
    enum directory_content content = directory_content(fd);
    close(fd);
    return content != DIRECTORY_EMPTY;
}
