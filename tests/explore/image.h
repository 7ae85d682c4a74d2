/* A disk as a short string of bytes: what is durable, and the batches behind it that are not. They
 * become durable in order, each whole or not at all, as the write-ahead log of LevelDB has them. */
#ifndef SYNOD_TESTS_EXPLORE_IMAGE_H
#define SYNOD_TESTS_EXPLORE_IMAGE_H

#include "common/protocol/core.h"
#include "tests/explore/scope.h"
#include "tests/explore/table.h"

#define IMAGE_BATCHES_MAX 12

/* What an acceptor has on its disk: promise, watermark and votes (common/PROTOCOL.md). */
struct image {
    uint64_t has_promise;
    uint64_t promise_round, promise_proposer, promise_incarnation;
    uint64_t has_chosen;
    uint64_t chosen;
    struct image_vote {
        uint64_t round, proposer, incarnation;
        uint64_t value; /* its number; 0: none */
    } votes[SLOTS + 1]; /* by slot */
};

struct disk {
    struct image durable;
    struct image batches[IMAGE_BATCHES_MAX]; /* each: all that would be there with it */
    uint64_t batch_count;
};

/* What the process reads back. */
const struct image *disk_seen(const struct disk *disk);

/* Writes one batch; a sync makes it durable with all before it. */
void disk_put(struct disk *disk, const struct record *records, size_t count, int sync);

/* A power cut: `survive` of the batches that were not synced are there afterwards, for good. */
void disk_cut(struct disk *disk, size_t survive);

/* Reads what is seen of *disk, at the time of the call. */
struct store_reader disk_reader(struct disk *disk);

struct ballot image_promise(const struct image *image);
struct ballot image_vote_ballot(const struct image_vote *vote);

#endif
