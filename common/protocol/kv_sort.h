/* The order in which a range tells its keys: etcd 3.4's, the same at a learner that sorts and at a
 * client that has to, because the range is too large for one answer. */
#ifndef SYNOD_PROTOCOL_KV_SORT_H
#define SYNOD_PROTOCOL_KV_SORT_H

#include "common/protocol/kv.h"

int kv_range_has_filters(const struct kv_range *range);

/* 1 if the keys are wanted in another order than that of their bytes. */
int kv_range_is_sorted(const struct kv_range *range);

/* So many of the first keys of a sorted range are sorted, the others do not matter; 0: all are. */
uint64_t kv_range_presort_limit(const struct kv_range *range);

/* Sorts as the range wants it. Those of one rank stay in the order in which they are. */
void kv_sort(const struct kv_range *range, struct kv *kvs, size_t count);

#endif
