#include "common/protocol/kv_sort.h"

#include "common/base/memory.h"

#include <stdlib.h>
#include <string.h>

int kv_range_has_filters(const struct kv_range *range)
{
    return (range->max_mod | range->min_mod | range->max_create | range->min_create) != 0;
}

int kv_range_is_sorted(const struct kv_range *range)
{
    return range->order == KV_ORDER_DESCEND || range->target != KV_TARGET_KEY;
}

uint64_t kv_range_presort_limit(const struct kv_range *range)
{
    int is_cut_first = range->order == KV_ORDER_NONE && !kv_range_has_filters(range);
    return is_cut_first && range->limit > 0 ? range->limit + 1 : 0;
}

struct sort {
    enum kv_target target;
    int sign;
};

static int compare_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_targets(enum kv_target target, const struct kv *a, const struct kv *b)
{
    switch (target) {
    case KV_TARGET_VERSION:
        return compare_u64(a->version, b->version);
    case KV_TARGET_CREATE:
        return compare_u64(a->create, b->create);
    case KV_TARGET_MOD:
        return compare_u64(a->mod, b->mod);
    case KV_TARGET_VALUE:
        return kv_compare_keys(a->value, b->value);
    case KV_TARGET_LEASE:
    case KV_TARGET_KEY:
        break;
    }
    return kv_compare_keys(a->key, b->key);
}

/* Merges two sorted neighbours, the left one first where they are equal. */
static void merge_runs(const struct sort *sort, const struct kv *from, size_t left, size_t middle,
                       size_t right, struct kv *to)
{
    size_t i = left;
    size_t k = middle;
    for (size_t at = left; at < right; at++) {
        int takes_left =
            k == right ||
            (i < middle && sort->sign * compare_targets(sort->target, &from[i], &from[k]) <= 0);
        to[at] = takes_left ? from[i++] : from[k++];
    }
}

/* A stable sort: the C library's is none, and equal keys have to come out alike everywhere. */
void kv_sort(const struct kv_range *range, struct kv *kvs, size_t count)
{
    struct sort sort = {range->target, range->order == KV_ORDER_DESCEND ? -1 : 1};
    struct kv *other = memory_calloc(count, sizeof *other);
    struct kv *from = kvs;
    struct kv *to = other;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t left = 0; left < count; left += 2 * width) {
            size_t middle = left + width < count ? left + width : count;
            size_t right = left + 2 * width < count ? left + 2 * width : count;
            merge_runs(&sort, from, left, middle, right, to);
        }
        struct kv *swap = from;
        from = to;
        to = swap;
    }
    if (from != kvs) {
        memcpy(kvs, from, count * sizeof *kvs);
    }
    free(other);
}
