/* The store in memory: a sorted array with the contract of the one on disk, for tests and the
 * simulator. Everything in it is durable until it is closed. */
#include "common/base/memory.h"
#include "common/store/backend.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    struct blob *value;
    struct blob *key;
};

struct memory_store {
    struct store base;
    struct entry *entries; /* rising by key */
    size_t count, capacity;
};

static int entry_compare(const struct entry *entry, struct slice key)
{
    size_t common = entry->key->size < key.size ? entry->key->size : key.size;
    int order = common > 0 ? memcmp(entry->key->data, key.data, common) : 0;
    if (order != 0) {
        return order;
    }
    return entry->key->size < key.size ? -1 : entry->key->size > key.size;
}

/* The index of the first entry whose key is not below key. */
static size_t lower_bound(const struct memory_store *m, struct slice key)
{
    size_t low = 0;
    size_t high = m->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entry_compare(&m->entries[middle], key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int holds_at(const struct memory_store *m, size_t index, struct slice key)
{
    return index < m->count && entry_compare(&m->entries[index], key) == 0;
}

static struct blob *value_of_record(const struct record *record)
{
    uint8_t *bytes;
    struct blob *value = blob_new(record->head_size + record->body.size, &bytes);
    memcpy(bytes, record->head, record->head_size);
    if (record->body.size > 0) {
        memcpy(bytes + record->head_size, record->body.data, record->body.size);
    }
    return value;
}

static void memory_put(struct memory_store *m, const struct record *record)
{
    struct slice key = slice_borrow(record->key, record->key_size);
    size_t at = lower_bound(m, key);
    if (holds_at(m, at, key)) {
        blob_unref(m->entries[at].value);
    } else {
        m->entries = memory_grow(m->entries, &m->capacity, m->count + 1, sizeof *m->entries);
        memmove(&m->entries[at + 1], &m->entries[at], (m->count - at) * sizeof *m->entries);
        m->entries[at].key = blob_copy(record->key, record->key_size);
        m->count++;
    }
    m->entries[at].value = value_of_record(record);
}

static void memory_remove(struct memory_store *m, struct slice key)
{
    size_t at = lower_bound(m, key);
    if (holds_at(m, at, key)) {
        blob_unref(m->entries[at].key);
        blob_unref(m->entries[at].value);
        m->count--;
        memmove(&m->entries[at], &m->entries[at + 1], (m->count - at) * sizeof *m->entries);
    }
}

static int memory_write(struct store *store, const struct record *records, size_t count, int sync,
                        struct errmsg *err)
{
    struct memory_store *m = (struct memory_store *)store;
    (void)sync;
    (void)err;
    for (size_t i = 0; i < count; i++) {
        if (records[i].is_delete) {
            memory_remove(m, slice_borrow(records[i].key, records[i].key_size));
        } else {
            memory_put(m, &records[i]);
        }
    }
    return 0;
}

static int memory_get(void *self, struct slice key, struct blob **value)
{
    const struct memory_store *m = self;
    size_t at = lower_bound(m, key);
    if (!holds_at(m, at, key)) {
        return ERROR_NOT_FOUND;
    }
    *value = blob_ref(m->entries[at].value);
    return 0;
}

static int memory_scan(void *self, struct slice from, struct slice to, store_visit_fn visit,
                       void *arg)
{
    const struct memory_store *m = self;
    for (size_t i = lower_bound(m, from); i < m->count; i++) {
        const struct entry *entry = &m->entries[i];
        if (entry_compare(entry, to) >= 0) {
            break;
        }
        if (visit(arg, slice_of(entry->key), slice_of(entry->value)) != 0) {
            break;
        }
    }
    return 0;
}

static uint64_t memory_free_bytes(const struct store *store)
{
    (void)store;
    return UINT64_MAX;
}

static void memory_close(struct store *store)
{
    struct memory_store *m = (struct memory_store *)store;
    for (size_t i = 0; i < m->count; i++) {
        blob_unref(m->entries[i].key);
        blob_unref(m->entries[i].value);
    }
    free(m->entries);
    free(m);
}

struct store *store_open_memory(void)
{
    static const struct store_backend backend = {
        .write = memory_write,
        .get = memory_get,
        .scan = memory_scan,
        .free_bytes = memory_free_bytes,
        .close = memory_close,
    };
    struct memory_store *m = memory_calloc(1, sizeof *m);
    m->base.backend = &backend;
    return &m->base;
}
