/* The durable state of one simulated process: what it reads back, and what a power cut would
 * leave of it.
 *
 * Writes without a sync are seen at once and become durable with the next synced write, as the
 * write-ahead log of LevelDB does it: in order, all or nothing for each batch. A power cut keeps
 * a prefix of the batches that were not synced: the first torn one and all behind it are gone.
 *
 * Beside it lies the tail guard: how many batches were synced. It is marked after the sync and
 * before the messages that wait for it leave; the mark is synced before the next batch is begun.
 * So a power cut may lose the newest mark, as long as nothing was written behind its batch. A
 * store that has fewer batches than the guard says lost what it had acknowledged, and disk_open
 * refuses it. */
#ifndef SYNOD_TESTS_TRACE_DISK_H
#define SYNOD_TESTS_TRACE_DISK_H

#include "common/protocol/core.h"

struct disk;

struct disk *disk_new(void);
void disk_free(struct disk *disk);

/* Called for every change that becomes durable, in the order of the writes; value NULL: deleted. */
typedef void (*disk_durable_fn)(void *arg, struct slice key, struct blob *value);

/* Applies the records as one batch. durable is called before this returns. */
void disk_write(struct disk *disk, const struct record *records, size_t count, int sync,
                disk_durable_fn durable, void *arg);

/* The two halves of disk_write: the batch is in the log, and: all of the log is synced. */
void disk_append(struct disk *disk, const struct record *records, size_t count);
void disk_sync(struct disk *disk, disk_durable_fn durable, void *arg);

/* Batches that a power cut may lose. */
size_t disk_lazy_batches(const struct disk *disk);

/* A power cut: what was not synced is gone. */
void disk_lose_lazy(struct disk *disk);

/* A power cut that tears the log after the first kept batches of those that were not synced. */
void disk_tear(struct disk *disk, size_t kept, disk_durable_fn durable, void *arg);

/* The kernel has written back what nobody asked for: all but the newest left batches. */
void disk_write_back(struct disk *disk, size_t left, disk_durable_fn durable, void *arg);

/* A new, empty disk. */
void disk_wipe(struct disk *disk);

/* What a process checks before it starts: 0, ERROR_NOT_FOUND if the store was wiped (init alone
 * creates one), ERROR_CORRUPT if the guard knows of more than the store has. */
int disk_open(const struct disk *disk) MUST_USE;

/* Remembers the durable state; later: puts it back in the place of what there is, but for the
 * guard. */
void disk_keep_copy(struct disk *disk);

/* 1 if something was synced since, so that the guard tells the copy from what was there. */
int disk_is_copy_older(const struct disk *disk);
void disk_roll_back(struct disk *disk);

/* A power cut takes the guard's newest mark along, unless a batch was begun since; or nothing
 * can any more. */
void disk_lose_mark(struct disk *disk);
void disk_settle(struct disk *disk);

/* 1 if a batch was begun behind one that was synced: who loses that one now must be refused. */
int disk_has_tail(const struct disk *disk);

/* The batch that was synced last cannot be read any more: for LevelDB the log ends before it.
 * What it held is left in place, since no process must ever see it. */
void disk_lose_tail(struct disk *disk);

/* The store's files vanish, the guard with them. */
void disk_remove(struct disk *disk);

/* From now on reading one of the stored pairs, chosen by pick, finds that its checksum is wrong,
 * until it is written anew: in half of the cases any, else one of those with the highest keys,
 * which are the newest slots and what there is one of. */
void disk_damage(struct disk *disk, uint64_t pick);

/* What the process sees. Valid until disk_free. */
struct store_reader disk_reader(struct disk *disk);

/* The value of a key as the process sees it, readable or not; the highest key below another one,
 * empty if there is none. Borrowed until the next write. */
const struct blob *disk_seen(const struct disk *disk, struct slice key);
struct slice disk_last_below(const struct disk *disk, struct slice key);

/* The durable value of a key, borrowed until the next write, or NULL. */
const struct blob *disk_durable(const struct disk *disk, struct slice key);

#endif
