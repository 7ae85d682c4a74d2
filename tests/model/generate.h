/* Random operations on keys and leases, from a seed: few keys, so that things collide, and all that
 * etcd knows of each request, what it refuses included. */
#ifndef SYNOD_TESTS_MODEL_GENERATE_H
#define SYNOD_TESTS_MODEL_GENERATE_H

#include "common/base/rng.h"
#include "tests/model/reference.h"

enum operation_kind {
    OPERATION_REQUEST,   /* request */
    OPERATION_COMPACT,   /* revision */
    OPERATION_GRANT,     /* id, ttl_ms, is_bound */
    OPERATION_REVOKE,    /* id */
    OPERATION_KEEPALIVE, /* id */
    OPERATION_SETTINGS,  /* version, settings */
    OPERATION_WATCH,     /* revision, key, end, flags */
    OPERATION_LEASE,     /* id: what is left of it, and its keys */
    OPERATION_LEASES,    /* all of them */
};

struct operation {
    enum operation_kind kind;
    struct slice request; /* encoded, see kv.h */
    uint64_t revision;
    uint64_t id;
    uint64_t ttl_ms;
    int is_bound;
    uint64_t version;
    struct slice settings; /* encoded, see settings.h */
    struct slice key, end;
    uint32_t flags; /* as in msg_watch */
};

struct generator {
    struct rng rng;
    int only_etcd; /* nothing that etcd has not: sequential puts, ids of its own choice, expiry */
    int has_settings;      /* of oracles, too. Never with only_etcd */
    uint64_t watches_left; /* watches come several at a time */
    /* For the transaction that is being made: etcd ends with a panic if it deletes a key by an open
     * range and then is to keep that key's value. So there is only one of the two. */
    int has_open_deletes;
};

void generator_init(struct generator *g, uint64_t seed, int only_etcd);

/* Makes the next operation. r: what the operations before came to; it is read, so that revisions
 * and leases are often those that exist. Slices live as long as the arena. */
void generate(struct generator *g, const struct reference *r, struct arena *arena,
              struct operation *out);

#endif
