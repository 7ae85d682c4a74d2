#include "common/client/core/sorting.h"

#include "common/base/memory.h"
#include "common/protocol/kv_sort.h"
#include "common/protocol/limits.h"

#include <stdlib.h>

/* Keys that a sort with a limit holds at a time, beyond twice its limit; and their bytes. */
#define SORT_SLACK 1024
#define SORT_BYTES_MIN (64 * MIB)

void sorting_init(struct sorting *sorting, const struct kv_range *wanted)
{
    *sorting = (struct sorting){.wanted = wanted, .bytes_max = SORT_BYTES_MIN};
}

/* What a blob costs beside its bytes. */
#define BLOB_OVERHEAD_BYTES (sizeof(struct blob) + 16)

static size_t kv_bytes(const struct kv *kv)
{
    return sizeof *kv + kv->key.size + kv->value.size + 2 * BLOB_OVERHEAD_BYTES;
}

static void drop_kv(struct sorting *sorting, struct kv *kv)
{
    sorting->bytes -= kv_bytes(kv);
    slice_drop(&kv->key);
    slice_drop(&kv->value);
}

static void drop_from(struct sorting *sorting, size_t from)
{
    for (size_t i = from; i < sorting->size; i++) {
        drop_kv(sorting, &sorting->kvs[i]);
    }
    sorting->size = from;
}

void sorting_close(struct sorting *sorting)
{
    drop_from(sorting, sorting->taken);
    free(sorting->kvs);
    *sorting = (struct sorting){0};
}

/* What comes later is behind those of the same rank that are kept: they come by rising keys. */
static void keep_best(struct sorting *sorting)
{
    uint64_t limit = sorting->wanted->limit;
    kv_sort(sorting->wanted, sorting->kvs, sorting->size);
    if (limit > 0 && limit < sorting->size) {
        drop_from(sorting, (size_t)limit);
    }
}

/* A reference would keep the whole page for one key of it. */
static struct slice copy(struct slice bytes)
{
    return slice_of(blob_copy(bytes.data, bytes.size));
}

void sorting_add(struct sorting *sorting, const struct kv *kv)
{
    uint64_t limit = sorting->wanted->limit;
    struct kv kept = *kv;
    kept.key = copy(kv->key);
    kept.value = copy(kv->value);
    sorting->kvs =
        memory_grow(sorting->kvs, &sorting->capacity, sorting->size + 1, sizeof *sorting->kvs);
    sorting->kvs[sorting->size++] = kept;
    sorting->bytes += kv_bytes(&kept);
    sorting->matches++;
    int is_long = limit < SIZE_MAX / 4 && sorting->size >= 2 * limit + SORT_SLACK;
    if (limit > 0 && (is_long || sorting->bytes > sorting->bytes_max)) {
        keep_best(sorting);
        sorting->bytes_max =
            2 * sorting->bytes > SORT_BYTES_MIN ? 2 * sorting->bytes : SORT_BYTES_MIN;
    }
}

int sorting_finish(struct sorting *sorting)
{
    keep_best(sorting);
    return sorting->size < sorting->matches;
}

uint32_t sorting_take_page(struct sorting *sorting, struct buffer *page)
{
    uint32_t count = 0;
    while (!sorting_is_empty(sorting) && page->size < PAGE_BYTES_TARGET) {
        struct kv *kv = &sorting->kvs[sorting->taken++];
        struct kv told = *kv;
        if ((sorting->wanted->flags & KV_KEYS_ONLY) != 0) {
            told.value = SLICE_EMPTY; /* it came for the order alone */
        }
        kv_put_kv(page, &told);
        drop_kv(sorting, kv);
        count++;
    }
    return count;
}

int sorting_is_empty(const struct sorting *sorting)
{
    return sorting->taken == sorting->size;
}
