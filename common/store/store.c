#include "common/store/store.h"

#include "common/base/check.h"
#include "common/store/backend.h"

int store_write(struct store *store, const struct record *records, size_t count, int sync,
                struct errmsg *err)
{
    for (size_t i = 0; i < count; i++) {
        CHECK(records[i].key_size <= RECORD_KEY_BYTES_MAX);
        CHECK(records[i].head_size <= RECORD_HEAD_BYTES_MAX);
        CHECK(!key_is_reserved(slice_borrow(records[i].key, records[i].key_size)));
    }
    return store->backend->write(store, records, count, sync, err);
}

/* Hides the store's own keys from every reader, whatever the kind of store. */
static int reader_get(void *self, struct slice key, struct blob **value)
{
    struct store *store = self;
    if (key_is_reserved(key)) {
        return ERROR_NOT_FOUND;
    }
    return store->backend->get(store, key, value);
}

static int reader_scan(void *self, struct slice from, struct slice to, store_visit_fn visit,
                       void *arg)
{
    static const uint8_t first_key[1] = {1};
    struct store *store = self;
    if (key_is_reserved(from)) {
        from = slice_borrow(first_key, sizeof first_key);
    }
    return store->backend->scan(store, from, to, visit, arg);
}

struct store_reader store_reader(struct store *store)
{
    return (struct store_reader){.self = store, .get = reader_get, .scan = reader_scan};
}

uint64_t store_free_bytes(const struct store *store)
{
    return store->backend->free_bytes(store);
}

void store_close(struct store *store)
{
    store->backend->close(store);
}
