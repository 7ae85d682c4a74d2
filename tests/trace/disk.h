/* The durable state of one simulated process: what it reads back, and what a power cut would leave
 * of it.
 *
 * Writes without a sync are seen at once and become durable with the next synced write, as the
 * write-ahead log of LevelDB does it: in order, all or nothing for each batch. */
#ifndef SYNOD_TESTS_TRACE_DISK_H
#define SYNOD_TESTS_TRACE_DISK_H

#include "common/protocol/core.h"

struct disk;

struct disk *disk_new(void);
void disk_free(struct disk *disk);

/* Called for every change that becomes durable, in the order of the writes; value NULL: deleted. */
typedef void (*disk_durable_fn)(void *arg, struct slice key, const struct blob *value);

/* Applies the records as one batch. durable is called before this returns. */
void disk_write(struct disk *disk, const struct record *records, size_t count, int sync,
                disk_durable_fn durable, void *arg);

/* A power cut: what was not synced is gone. */
void disk_lose_lazy(struct disk *disk);

/* A new, empty disk. */
void disk_wipe(struct disk *disk);

/* What the process sees. Valid until disk_free. */
struct store_reader disk_reader(struct disk *disk);

/* The durable value of a key, borrowed until the next write, or NULL. */
const struct blob *disk_durable(const struct disk *disk, struct slice key);

#endif
