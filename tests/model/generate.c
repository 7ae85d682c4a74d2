#include "tests/model/generate.h"

#include "common/base/check.h"
#include "common/protocol/limits.h"
#include "common/protocol/message.h"
#include "tests/model/reference_oracle.h"

#include <string.h>

/* Never two draws in one expression: compilers may order them as they like, and the same seed has
 * to give the same operations everywhere. */

/* Prefixes of each other, first and last bytes. No more than twelve: up to that many etcd sorts
 * equal ones in the order of their keys. */
#define TEXT(s)                                                                                    \
    {                                                                                              \
        (const uint8_t *)(s), sizeof(s) - 1, NULL                                                  \
    }
static const struct slice keys[] = {
    TEXT("\x00"), TEXT("a"),   TEXT("a\x00"), TEXT("a\xff"),    TEXT("ab"),   TEXT("abc"),
    TEXT("b"),    TEXT("b/1"), TEXT("b/2"),   TEXT("\x7f\x80"), TEXT("\xff"), TEXT("\xff\xff"),
};
static const struct slice values[] = {
    TEXT(""), TEXT("1"), TEXT("2"), TEXT("10"), TEXT("\x00"), TEXT("\xff\xfe"), TEXT("value"),
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define LEASES 6 /* and as many ids, from a million on: sessions have small ones */
#define LEASE_FIRST 1000000
#define DEPTH_MAX 3 /* of transactions */
#define ATTEMPTS 6  /* to make a transaction that keeps the rules */

void generator_init(struct generator *g, uint64_t seed, int only_etcd)
{
    *g = (struct generator){.only_etcd = only_etcd};
    rng_init(&g->rng, seed);
}

/* 1 in n. */
static int one_in(struct generator *g, uint64_t n)
{
    return rng_below(&g->rng, n) == 0;
}

static struct slice pick_key(struct generator *g)
{
    return one_in(g, 150) ? SLICE_EMPTY : keys[rng_below(&g->rng, COUNT(keys))];
}

static struct slice pick_value(struct generator *g)
{
    return values[rng_below(&g->rng, COUNT(values))];
}

/* The end of the range of all keys with that prefix, "\0" if there is none. */
static struct slice prefix_end(struct slice prefix, struct arena *arena)
{
    uint8_t *end = arena_alloc(arena, prefix.size + 1);
    if (prefix.size > 0) {
        memcpy(end, prefix.data, prefix.size);
    }
    for (size_t size = prefix.size; size > 0; size--) {
        if (end[size - 1] != 0xff) {
            end[size - 1]++;
            return slice_borrow(end, size);
        }
    }
    end[0] = 0;
    return slice_borrow(end, 1);
}

static struct slice pick_end(struct generator *g, struct slice key, struct arena *arena)
{
    static const struct slice open = TEXT("\x00");
    switch (rng_below(&g->rng, 6)) {
    case 0:
        return open;
    case 1:
        return prefix_end(key, arena);
    case 2:
        return keys[rng_below(&g->rng, COUNT(keys))]; /* perhaps not above the key */
    case 3:
        return key;
    default:
        return SLICE_EMPTY;
    }
}

/* The present one, an older one, a compacted one or one that is yet to come. */
static uint64_t pick_revision(struct generator *g, const struct reference *r)
{
    uint64_t now = reference_revision(r);
    uint64_t oldest = reference_compacted(r);
    switch (rng_below(&g->rng, 12)) {
    case 0:
        return now + 1 + rng_below(&g->rng, 3);
    case 1:
        return now;
    case 2:
        return oldest;
    case 3:
        return oldest > 1 ? 1 + rng_below(&g->rng, oldest) : 1;
    default:
        return oldest + rng_below(&g->rng, now - oldest + 1);
    }
}

static uint64_t pick_lease(struct generator *g)
{
    return one_in(g, 3) ? LEASE_FIRST + rng_below(&g->rng, LEASES) : 0;
}

/* ---- requests */

static void make_range(struct generator *g, const struct reference *r, struct arena *arena,
                       struct kv_range *out)
{
    *out = (struct kv_range){.key = pick_key(g)};
    out->end = pick_end(g, out->key, arena);
    if (one_in(g, 2)) {
        static const struct slice all = TEXT("\x00");
        out->key = all;
        out->end = all;
    }
    out->order = (enum kv_order)rng_below(&g->rng, 3);
    out->target = (enum kv_target)rng_below(&g->rng, 5);
    out->flags = one_in(g, 8) ? (uint32_t)rng_below(&g->rng, 4) : 0;
    out->limit = one_in(g, 2) ? 1 + rng_below(&g->rng, 6) : 0;
    out->revision = one_in(g, 3) ? pick_revision(g, r) : 0;
    uint64_t *filters[] = {&out->min_mod, &out->max_mod, &out->min_create, &out->max_create};
    while (one_in(g, 4)) {
        uint64_t *filter = filters[rng_below(&g->rng, 4)];
        *filter = pick_revision(g, r);
    }
}

static void make_put(struct generator *g, int is_nested, struct kv_put *out)
{
    *out = (struct kv_put){.key = pick_key(g)};
    out->value = pick_value(g);
    out->lease = pick_lease(g);
    out->flags = one_in(g, 3) ? KV_PREVIOUS : 0;
    if (!g->only_etcd && one_in(g, 10)) {
        out->flags |= KV_SEQUENTIAL;
        return;
    }
    if (is_nested && g->only_etcd && g->has_open_deletes) {
        return;
    }
    if (one_in(g, 8)) {
        out->flags |= KV_IGNORE_VALUE;
        out->value = one_in(g, 10) ? out->value : SLICE_EMPTY;
    }
    if (one_in(g, 8)) {
        out->flags |= KV_IGNORE_LEASE;
        out->lease = one_in(g, 10) ? out->lease : 0;
    }
}

static void make_delete(struct generator *g, int is_nested, struct arena *arena,
                        struct kv_delete *out)
{
    *out = (struct kv_delete){.key = pick_key(g)};
    out->flags = one_in(g, 3) ? KV_PREVIOUS : 0;
    do {
        out->end = pick_end(g, out->key, arena);
    } while (is_nested && g->only_etcd && !g->has_open_deletes && out->end.size == 1 &&
             out->end.data[0] == 0);
}

static uint64_t pick_number(struct generator *g, const struct reference *r,
                            const struct kv_compare *compare)
{
    if (g->only_etcd && one_in(g, 12)) { /* elsewhere it would change what seeds stand for */
        return UINT64_MAX - rng_below(&g->rng, 3); /* -1 to -3 */
    }
    switch (compare->target) {
    case KV_TARGET_VERSION:
        return rng_below(&g->rng, 4);
    case KV_TARGET_LEASE:
        return pick_lease(g);
    default:
        return one_in(g, 3) ? 0 : pick_revision(g, r);
    }
}

static void put_compare(struct generator *g, const struct reference *r, struct arena *arena,
                        struct buffer *out)
{
    struct kv_compare compare = {.target = (enum kv_target)(1 + rng_below(&g->rng, 5))};
    compare.relation = (enum kv_relation)rng_below(&g->rng, 4);
    compare.key = pick_key(g);
    if (one_in(g, 3)) {
        compare.end = pick_end(g, compare.key, arena);
    }
    if (compare.target == KV_TARGET_VALUE) {
        compare.value = pick_value(g);
    } else {
        compare.number = pick_number(g, r, &compare);
    }
    kv_put_compare(out, &compare);
}

static struct slice kept(struct buffer *buffer, struct arena *arena)
{
    uint8_t *bytes = arena_alloc(arena, buffer->size + 1);
    if (buffer->size > 0) {
        memcpy(bytes, buffer->data, buffer->size);
    }
    size_t size = buffer->size;
    buffer_close(buffer);
    *buffer = (struct buffer){0};
    return slice_borrow(bytes, size);
}

static void make_txn(struct generator *g, const struct reference *r, int depth, int only_reads,
                     struct arena *arena, struct kv_txn *out);

static void put_request(struct generator *g, const struct reference *r, int depth, int only_reads,
                        struct arena *arena, struct buffer *out)
{
    struct kv_request request;
    uint64_t pick = only_reads ? 0 : rng_below(&g->rng, 20);
    if (pick < 5) {
        request.op = KV_RANGE;
        make_range(g, r, arena, &request.range);
    } else if (pick < 12) {
        request.op = KV_PUT;
        make_put(g, depth > 0, &request.put);
    } else if (pick < 15) {
        request.op = KV_DELETE;
        make_delete(g, depth > 0, arena, &request.delete_);
    } else if (depth < DEPTH_MAX) {
        request.op = KV_TXN;
        make_txn(g, r, depth + 1, 0, arena, &request.txn);
    } else {
        request.op = KV_PUT;
        make_put(g, 1, &request.put);
    }
    kv_put_request(out, &request);
}

/* Operations of one branch; few of them, or rarely as many as are allowed, or one more. */
static struct slice make_branch(struct generator *g, const struct reference *r, int depth,
                                int only_reads, struct arena *arena)
{
    uint64_t count = rng_below(&g->rng, 4);
    if (one_in(g, 100)) {
        count = TXN_OPS_MAX + rng_below(&g->rng, 2);
        only_reads = 1;
    }
    struct buffer buffer = {0};
    for (uint64_t i = 0; i < count; i++) {
        put_request(g, r, depth, only_reads, arena, &buffer);
    }
    return kept(&buffer, arena);
}

static void make_txn(struct generator *g, const struct reference *r, int depth, int only_reads,
                     struct arena *arena, struct kv_txn *out)
{
    struct buffer buffer = {0};
    for (uint64_t count = rng_below(&g->rng, 3); count > 0; count--) {
        put_compare(g, r, arena, &buffer);
    }
    out->compares = kept(&buffer, arena);
    out->then_ = make_branch(g, r, depth, only_reads, arena);
    out->else_ = make_branch(g, r, depth, only_reads, arena);
}

/* A transaction, most often one that keeps the rules. */
static void make_root_txn(struct generator *g, const struct reference *r, struct arena *arena,
                          struct kv_request *out)
{
    out->op = KV_TXN;
    int attempts = one_in(g, 5) ? 1 : ATTEMPTS;
    for (int attempt = 0; attempt < attempts; attempt++) {
        g->has_open_deletes = one_in(g, 3);
        make_txn(g, r, 1, one_in(g, 6), arena, &out->txn);
        if (reference_check(out) == REFERENCE_OK) {
            return;
        }
    }
}

static void make_request(struct generator *g, const struct reference *r, struct arena *arena,
                         struct operation *out)
{
    struct kv_request request;
    out->kind = OPERATION_REQUEST;
    switch (rng_below(&g->rng, 10)) {
    case 0:
    case 1:
    case 2:
        request.op = KV_RANGE;
        make_range(g, r, arena, &request.range);
        break;
    case 3:
    case 4:
    case 5:
        request.op = KV_PUT;
        make_put(g, 0, &request.put);
        break;
    case 6:
        request.op = KV_DELETE;
        make_delete(g, 0, arena, &request.delete_);
        break;
    default:
        make_root_txn(g, r, arena, &request);
        break;
    }
    struct buffer buffer = {0};
    kv_put_request(&buffer, &request);
    out->request = kept(&buffer, arena);
}

/* ---- the others */

static void make_watch(struct generator *g, const struct reference *r, struct arena *arena,
                       struct operation *out)
{
    out->kind = OPERATION_WATCH;
    do {
        out->key = pick_key(g);
    } while (out->key.size == 0);
    out->end = pick_end(g, out->key, arena);
    /* At the compacted one not everything is kept. */
    out->revision = one_in(g, 4) ? reference_compacted(r) : pick_revision(g, r);
    out->revision = out->revision > 0 ? out->revision : 1;
    out->flags = one_in(g, 2) ? WATCH_PREVIOUS : 0;
    out->flags |= one_in(g, 8) ? WATCH_NO_PUT : 0;
    out->flags |= one_in(g, 8) ? WATCH_NO_DELETE : 0;
}

static void make_compact(struct generator *g, const struct reference *r, struct operation *out)
{
    out->kind = OPERATION_COMPACT;
    out->revision = pick_revision(g, r);
    uint64_t now = reference_revision(r);
    if (out->revision <= now && !one_in(g, 4)) { /* most often leave something */
        uint64_t oldest = reference_compacted(r);
        out->revision = oldest + rng_below(&g->rng, (now - oldest) / 2 + 1);
    }
}

static void make_grant(struct generator *g, struct operation *out)
{
    out->kind = OPERATION_GRANT;
    out->id = LEASE_FIRST + rng_below(&g->rng, LEASES);
    out->ttl_ms = 1000 * (1000 + rng_below(&g->rng, 5));
    if (!g->only_etcd) {
        out->ttl_ms = 1 + rng_below(&g->rng, 5000);
        out->is_bound = one_in(g, 3);
        out->id = one_in(g, 3) ? 0 : out->id;
    }
}

/* From the present version, or one of those around it. */
static void make_settings(struct generator *g, const struct reference *r, struct arena *arena,
                          struct operation *out)
{
    uint64_t version = reference_oracle(r)->version;
    out->kind = OPERATION_SETTINGS;
    out->version = version;
    if (one_in(g, 3)) {
        out->version = one_in(g, 2) ? version + 1 : rng_below(&g->rng, version + 1);
    }
    struct settings settings;
    settings_init(&settings);
    settings.kind = (enum oracle_kind)(1 + rng_below(&g->rng, ORACLE_KIND_END - 1));
    settings.preempts = one_in(g, 2);
    settings.candidate_count = rng_below(&g->rng, 4);
    for (size_t i = 0; i < settings.candidate_count; i++) {
        settings.candidates[i].id = (node_id_t)(i + 1);
        settings.candidates[i].priority = (uint32_t)rng_below(&g->rng, 100);
    }
    uint8_t *bytes = arena_alloc(arena, SETTINGS_BYTES_MAX);
    out->settings = slice_borrow(bytes, settings_put(bytes, &settings));
}

void generate(struct generator *g, const struct reference *r, struct arena *arena,
              struct operation *out)
{
    *out = (struct operation){.id = LEASE_FIRST + rng_below(&g->rng, LEASES)};
    if (g->watches_left > 0) {
        g->watches_left--;
        make_watch(g, r, arena, out);
        return;
    }
    uint64_t pick = rng_below(&g->rng, 200);
    if (pick < 5) {
        make_compact(g, r, out);
    } else if (pick < 15) {
        make_grant(g, out);
    } else if (pick < 19) {
        out->kind = OPERATION_REVOKE;
    } else if (pick < 23) {
        out->kind = OPERATION_LEASE;
    } else if (pick < 25) {
        out->kind = OPERATION_LEASES;
    } else if (pick < 27) {
        out->kind = OPERATION_KEEPALIVE;
    } else if (pick < 29) {
        g->watches_left = 1 + rng_below(&g->rng, 16);
        make_watch(g, r, arena, out);
    } else if (g->has_settings && pick < 32) {
        make_settings(g, r, arena, out);
    } else {
        make_request(g, r, arena, out);
    }
}
