/* What the reference knows, shared by its files and by nobody else. */
#ifndef SYNOD_TESTS_MODEL_REFERENCE_STATE_H
#define SYNOD_TESTS_MODEL_REFERENCE_STATE_H

#include "tests/model/reference.h"
#include "tests/model/reference_oracle.h"

/* One change of one key. */
struct change {
    struct kv kv; /* a deletion has key and mod only, its version is 0 */
    uint32_t sub; /* position within the revision */
};

/* All changes of one key, oldest first. */
struct history {
    struct slice key;
    struct change **changes;
    size_t change_count, change_capacity;
};

struct reference {
    struct arena arena;  /* keys, values, changes: for ever */
    uint64_t last_index; /* of the log of records */
    uint64_t revision;
    uint64_t compacted;
    int is_compacted;          /* once, at least: the first compaction may name 0 */
    int remembers;             /* questions are answered below the compacted revision, too */
    uint32_t next_sub;         /* of the transaction under way: changes it has made */
    struct history *histories; /* rising keys */
    size_t history_count, history_capacity;
    struct change **changes; /* of all keys in the order of revision and sub */
    size_t change_count, change_capacity;
    uint64_t now_ms;
    struct reference_lease *leases; /* rising ids */
    size_t lease_count, lease_capacity;
    struct reference_oracle oracle;
};

/* Questions below it are refused. */
uint64_t reference_oldest(const struct reference *r);

/* The newest state of a key as of a revision, or NULL if it does not exist then. UINT64_MAX: the
 * changes of the transaction under way, too. */
const struct kv *reference_kv_at(const struct history *history, uint64_t revision);

/* Changes a key under the transaction under way. Slices are copied. */
void reference_write_put(struct reference *r, struct slice key, struct slice value, uint64_t lease);
void reference_write_delete(struct reference *r, struct slice key);

/* Ends it without a trace. */
void reference_write_undo(struct reference *r);

/* Ends it: the revision rises by one if it changed anything. */
void reference_write_end(struct reference *r);

/* The keys in [key, end) that exist as of a revision, rising. */
struct kv *reference_kvs_at(const struct reference *r, struct slice key, struct slice end,
                            uint64_t revision, struct arena *arena, size_t *count);

#endif
