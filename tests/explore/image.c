#include "tests/explore/image.h"

#include "common/base/bytes.h"
#include "common/base/check.h"
#include "tests/explore/post.h"

#include <string.h>

#define BALLOT_BYTES 20
#define SLOT_KEY_BYTES 9

const struct image *disk_seen(const struct disk *disk)
{
    return disk->batch_count > 0 ? &disk->batches[disk->batch_count - 1] : &disk->durable;
}

struct ballot image_promise(const struct image *image)
{
    return (struct ballot){image->promise_round, (node_id_t)image->promise_proposer,
                           image->promise_incarnation};
}

struct ballot image_vote_ballot(const struct image_vote *vote)
{
    return (struct ballot){vote->round, (node_id_t)vote->proposer, vote->incarnation};
}

static void apply(struct image *image, const struct record *record)
{
    CHECK(!record->is_delete);
    const uint8_t *head = record->head;
    switch (record->key[0]) {
    case 'p':
        CHECK(record->key_size == 1 && record->head_size == BALLOT_BYTES);
        image->has_promise = 1;
        image->promise_round = bytes_get_u64(head);
        image->promise_proposer = bytes_get_u32(head + 8);
        image->promise_incarnation = bytes_get_u64(head + 12);
        break;
    case 'c':
        CHECK(record->key_size == 1 && record->head_size == 8);
        image->has_chosen = 1;
        image->chosen = bytes_get_u64(head);
        break;
    default: {
        CHECK(record->key[0] == 'a' && record->key_size == SLOT_KEY_BYTES);
        CHECK(record->head_size == BALLOT_BYTES);
        slot_t slot = bytes_get_u64(record->key + 1);
        CHECK(slot >= 1 && slot <= SLOTS);
        image->votes[slot] =
            (struct image_vote){bytes_get_u64(head), bytes_get_u32(head + 8),
                                bytes_get_u64(head + 12), post_value(record->body)};
        break;
    }
    }
}

void disk_put(struct disk *disk, const struct record *records, size_t count, int sync)
{
    if (count == 0) {
        CHECK(!sync);
        return;
    }
    struct image image = *disk_seen(disk);
    for (size_t i = 0; i < count; i++) {
        apply(&image, &records[i]);
    }
    if (sync) {
        disk->durable = image;
        memset(disk->batches, 0, sizeof disk->batches);
        disk->batch_count = 0;
        return;
    }
    CHECK(disk->batch_count < IMAGE_BATCHES_MAX);
    disk->batches[disk->batch_count++] = image;
}

void disk_cut(struct disk *disk, size_t survive)
{
    CHECK(survive <= disk->batch_count);
    if (survive > 0) {
        disk->durable = disk->batches[survive - 1];
    }
    memset(disk->batches, 0, sizeof disk->batches);
    disk->batch_count = 0;
}

/* ---- the reader that an acceptor is handed */

static void put_ballot(uint8_t *p, struct ballot ballot)
{
    bytes_put_u64(p, ballot.round);
    bytes_put_u32(p + 8, ballot.proposer);
    bytes_put_u64(p + 12, ballot.incarnation);
}

static int read_one(void *self, struct slice key, struct blob **value)
{
    const struct image *image = disk_seen(self);
    uint8_t bytes[BALLOT_BYTES];
    CHECK(key.size == 1);
    if (key.data[0] == 'p' && image->has_promise) {
        put_ballot(bytes, image_promise(image));
        *value = blob_copy(bytes, BALLOT_BYTES);
        return 0;
    }
    if (key.data[0] == 'c' && image->has_chosen) {
        bytes_put_u64(bytes, image->chosen);
        *value = blob_copy(bytes, 8);
        return 0;
    }
    return ERROR_NOT_FOUND;
}

static int compare(struct slice a, struct slice b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = memcmp(a.data, b.data, size);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static int read_range(void *self, struct slice from, struct slice to, store_visit_fn visit,
                      void *arg)
{
    const struct image *image = disk_seen(self);
    for (slot_t slot = 1; slot <= SLOTS; slot++) {
        uint8_t bytes[SLOT_KEY_BYTES] = {'a'};
        bytes_put_u64(bytes + 1, slot);
        struct slice key = slice_borrow(bytes, sizeof bytes);
        const struct image_vote *vote = &image->votes[slot];
        if (vote->value == 0 || compare(key, from) < 0 || compare(key, to) >= 0) {
            continue;
        }
        struct slice value = post_value_slice((uint32_t)vote->value);
        uint8_t *data;
        struct blob *blob = blob_new(BALLOT_BYTES + value.size, &data);
        put_ballot(data, image_vote_ballot(vote));
        memcpy(data + BALLOT_BYTES, value.data, value.size);
        int stop = visit(arg, key, slice_of(blob));
        blob_unref(blob);
        if (stop) {
            break;
        }
    }
    return 0;
}

struct store_reader disk_reader(struct disk *disk)
{
    return (struct store_reader){.self = disk, .get = read_one, .scan = read_range};
}
