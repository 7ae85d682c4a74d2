#include "tests/trace/disk.h"

#include "common/base/memory.h"

#include <stdlib.h>
#include <string.h>

/* Pairs with the highest keys that half of all damage falls on. */
#define NEWEST_PAIRS 40

struct pair {
    struct blob *key;
    struct blob *value; /* NULL in a change that deletes */
};

/* Pairs in rising order of their keys. */
struct image {
    struct pair *pairs;
    size_t count, capacity;
};

struct disk {
    struct image seen;
    struct image durable;
    struct image lazy; /* changes in the order they were written, not by key */
    size_t *batches;   /* where in lazy each batch ends */
    size_t batch_count, batch_capacity;
    uint64_t synced;           /* writes that were synced, as the store says */
    uint64_t guarded;          /* the same, as the guard says */
    uint64_t guarded_for_good; /* and as it says after a power cut: its newest mark may be lost */
    struct image copy;         /* of durable, at an earlier time */
    uint64_t copy_synced;      /* synced at that time */
    int is_removed;
    struct blob *damaged; /* key of the pair that cannot be read, or NULL */
};

static int compare_keys(const struct blob *a, struct slice b)
{
    size_t size = a->size < b.size ? a->size : b.size;
    int order = size > 0 ? memcmp(a->data, b.data, size) : 0;
    if (order != 0) {
        return order;
    }
    return a->size < b.size ? -1 : a->size > b.size;
}

/* The index of the first pair whose key is not below key. */
static size_t image_find(const struct image *image, struct slice key)
{
    size_t low = 0;
    size_t high = image->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_keys(image->pairs[middle].key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int image_has(const struct image *image, size_t index, struct slice key)
{
    return index < image->count && compare_keys(image->pairs[index].key, key) == 0;
}

static void pair_close(struct pair *pair)
{
    blob_unref(pair->key);
    blob_unref(pair->value);
}

static void image_insert(struct image *image, size_t index, struct blob *key, struct blob *value)
{
    image->pairs =
        memory_grow(image->pairs, &image->capacity, image->count + 1, sizeof *image->pairs);
    memmove(&image->pairs[index + 1], &image->pairs[index],
            (image->count - index) * sizeof *image->pairs);
    image->pairs[index] = (struct pair){blob_ref(key), blob_ref(value)};
    image->count++;
}

static void image_apply(struct image *image, const struct pair *change)
{
    struct slice key = slice_of(change->key);
    size_t index = image_find(image, key);
    int found = image_has(image, index, key);
    if (change->value == NULL) {
        if (found) {
            pair_close(&image->pairs[index]);
            image->count--;
            memmove(&image->pairs[index], &image->pairs[index + 1],
                    (image->count - index) * sizeof *image->pairs);
        }
        return;
    }
    if (found) {
        blob_unref(image->pairs[index].value);
        image->pairs[index].value = blob_ref(change->value);
        return;
    }
    image_insert(image, index, change->key, change->value);
}

static void image_clear(struct image *image)
{
    for (size_t i = 0; i < image->count; i++) {
        pair_close(&image->pairs[i]);
    }
    image->count = 0;
}

static void image_close(struct image *image)
{
    image_clear(image);
    free(image->pairs);
}

struct disk *disk_new(void)
{
    return memory_calloc(1, sizeof(struct disk));
}

void disk_free(struct disk *disk)
{
    if (disk == NULL) {
        return;
    }
    image_close(&disk->seen);
    image_close(&disk->durable);
    image_close(&disk->lazy);
    image_close(&disk->copy);
    blob_unref(disk->damaged);
    free(disk->batches);
    free(disk);
}

static struct pair pair_of(const struct record *record)
{
    struct pair pair = {blob_copy(record->key, record->key_size), NULL};
    if (record->is_delete) {
        return pair;
    }
    uint8_t *data;
    pair.value = blob_new(record->head_size + record->body.size, &data);
    if (record->head_size > 0) {
        memcpy(data, record->head, record->head_size);
    }
    if (record->body.size > 0) {
        memcpy(data + record->head_size, record->body.data, record->body.size);
    }
    return pair;
}

static int is_damaged(const struct disk *disk, const struct blob *key)
{
    return disk->damaged != NULL &&
           compare_keys(disk->damaged, slice_borrow(key->data, key->size)) == 0;
}

void disk_append(struct disk *disk, const struct record *records, size_t count)
{
    if (count == 0) {
        return;
    }
    disk->guarded_for_good = disk->guarded; /* no batch is begun before that */
    for (size_t i = 0; i < count; i++) {
        struct pair change = pair_of(&records[i]);
        if (is_damaged(disk, change.key)) { /* what is written anew can be read */
            blob_unref(disk->damaged);
            disk->damaged = NULL;
        }
        image_apply(&disk->seen, &change);
        image_insert(&disk->lazy, disk->lazy.count, change.key, change.value);
        pair_close(&change);
    }
    disk->batches = memory_grow(disk->batches, &disk->batch_capacity, disk->batch_count + 1,
                                sizeof *disk->batches);
    disk->batches[disk->batch_count++] = disk->lazy.count;
}

/* The first kept batches of the log become durable and leave it. */
static void make_durable(struct disk *disk, size_t kept, disk_durable_fn durable, void *arg)
{
    size_t end = kept == 0 ? 0 : disk->batches[kept - 1];
    for (size_t i = 0; i < end; i++) {
        struct pair *change = &disk->lazy.pairs[i];
        image_apply(&disk->durable, change);
        durable(arg, slice_of(change->key), change->value);
        pair_close(change);
    }
    disk->lazy.count -= end;
    memmove(disk->lazy.pairs, disk->lazy.pairs + end, disk->lazy.count * sizeof(struct pair));
    disk->batch_count -= kept;
    for (size_t i = 0; i < disk->batch_count; i++) {
        disk->batches[i] = disk->batches[i + kept] - end;
    }
}

void disk_sync(struct disk *disk, disk_durable_fn durable, void *arg)
{
    if (disk->batch_count > 0) {
        make_durable(disk, disk->batch_count, durable, arg);
    }
    disk->synced++;
    disk->guarded = disk->synced;
}

void disk_write(struct disk *disk, const struct record *records, size_t count, int sync,
                disk_durable_fn durable, void *arg)
{
    disk_append(disk, records, count);
    if (sync) {
        disk_sync(disk, durable, arg);
    }
}

size_t disk_lazy_batches(const struct disk *disk)
{
    return disk->batch_count;
}

static void image_copy(struct image *to, const struct image *from)
{
    image_clear(to);
    for (size_t i = 0; i < from->count; i++) {
        image_insert(to, i, from->pairs[i].key, from->pairs[i].value);
    }
}

void disk_lose_lazy(struct disk *disk)
{
    image_clear(&disk->lazy);
    disk->batch_count = 0;
    image_copy(&disk->seen, &disk->durable);
}

void disk_tear(struct disk *disk, size_t kept, disk_durable_fn durable, void *arg)
{
    if (kept > 0 && kept <= disk->batch_count) {
        make_durable(disk, kept, durable, arg);
    }
    disk_lose_lazy(disk);
}

void disk_write_back(struct disk *disk, size_t left, disk_durable_fn durable, void *arg)
{
    if (disk->batch_count > left) {
        make_durable(disk, disk->batch_count - left, durable, arg);
    }
}

void disk_wipe(struct disk *disk)
{
    image_clear(&disk->seen);
    image_clear(&disk->durable);
    image_clear(&disk->lazy);
    disk->batch_count = 0;
    disk->synced = 0;
    disk->guarded = 0;
    disk->guarded_for_good = 0;
}

int disk_open(const struct disk *disk)
{
    if (disk->is_removed) {
        return ERROR_NOT_FOUND;
    }
    return disk->synced < disk->guarded ? ERROR_CORRUPT : 0;
}

void disk_keep_copy(struct disk *disk)
{
    image_copy(&disk->copy, &disk->durable);
    disk->copy_synced = disk->synced;
}

int disk_is_copy_older(const struct disk *disk)
{
    return disk->copy_synced < disk->synced;
}

void disk_roll_back(struct disk *disk)
{
    image_copy(&disk->durable, &disk->copy);
    disk->synced = disk->copy_synced;
    disk_lose_lazy(disk);
}

void disk_lose_mark(struct disk *disk)
{
    disk->guarded = disk->guarded_for_good;
}

void disk_settle(struct disk *disk)
{
    disk->guarded_for_good = disk->guarded;
}

int disk_has_tail(const struct disk *disk)
{
    return disk->batch_count > 0 && disk->synced > 0 && disk->guarded_for_good == disk->synced;
}

void disk_lose_tail(struct disk *disk)
{
    disk->synced--;
}

void disk_remove(struct disk *disk)
{
    disk_wipe(disk);
    disk->is_removed = 1;
}

void disk_damage(struct disk *disk, uint64_t pick)
{
    size_t count = disk->seen.count;
    if (disk->damaged == NULL && count > 0) {
        size_t range = pick % 2 == 0 && count > NEWEST_PAIRS ? NEWEST_PAIRS : count;
        size_t index = count - 1 - (size_t)(pick / 2 % range);
        disk->damaged = blob_ref(disk->seen.pairs[index].key);
    }
}

static int disk_get(void *self, struct slice key, struct blob **value)
{
    struct disk *disk = self;
    size_t index = image_find(&disk->seen, key);
    if (!image_has(&disk->seen, index, key)) {
        return ERROR_NOT_FOUND;
    }
    if (is_damaged(disk, disk->seen.pairs[index].key)) {
        return ERROR_CORRUPT;
    }
    *value = blob_ref(disk->seen.pairs[index].value);
    return 0;
}

static int disk_scan(void *self, struct slice from, struct slice to, store_visit_fn visit,
                     void *arg)
{
    struct disk *disk = self;
    for (size_t i = image_find(&disk->seen, from); i < disk->seen.count; i++) {
        struct pair *pair = &disk->seen.pairs[i];
        if (compare_keys(pair->key, to) >= 0) {
            break;
        }
        if (is_damaged(disk, pair->key)) {
            return ERROR_CORRUPT;
        }
        if (visit(arg, slice_of(pair->key), slice_of(pair->value)) != 0) {
            break;
        }
    }
    return 0;
}

struct store_reader disk_reader(struct disk *disk)
{
    return (struct store_reader){.self = disk, .get = disk_get, .scan = disk_scan};
}

const struct blob *disk_seen(const struct disk *disk, struct slice key)
{
    size_t index = image_find(&disk->seen, key);
    return image_has(&disk->seen, index, key) ? disk->seen.pairs[index].value : NULL;
}

struct slice disk_last_below(const struct disk *disk, struct slice key)
{
    size_t index = image_find(&disk->seen, key);
    return index > 0 ? slice_of(disk->seen.pairs[index - 1].key) : SLICE_EMPTY;
}

const struct blob *disk_durable(const struct disk *disk, struct slice key)
{
    size_t index = image_find(&disk->durable, key);
    return image_has(&disk->durable, index, key) ? disk->durable.pairs[index].value : NULL;
}
