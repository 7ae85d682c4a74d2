#include "tests/sim/recipes.h"

#include "common/base/bytes.h"
#include "common/base/memory.h"
#include "common/protocol/kv.h"
#include "common/protocol/value.h"
#include "tests/model/reference.h"
#include "tests/sim/mirror.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCK "!lock"
#define ITEMS "!queue/item/"
#define CLAIMS "!queue/claim/"
#define LOOKED_AT_MAX 8
#define NOBODY SIZE_MAX

/* A message of the queue, by number. */
struct queued {
    int is_pushed; /* its client was told so */
    uint32_t acks; /* told */
    int may_be_acked;
};

struct recipes {
    struct queued *queued; /* [0] is not used */
    size_t count, capacity;
    uint64_t highest; /* token of the lock that was told to anybody */
    size_t holder;    /* client that holds the lock for certain, or NOBODY */
};

struct recipes *recipes_new(void)
{
    struct recipes *recipes = memory_calloc(1, sizeof *recipes);
    recipes->queued = memory_grow(NULL, &recipes->capacity, 1, sizeof *recipes->queued);
    recipes->queued[0] = (struct queued){0};
    recipes->count = 1;
    recipes->holder = NOBODY;
    return recipes;
}

void recipes_free(struct recipes *recipes)
{
    free(recipes->queued);
    free(recipes);
}

/* ---- requests */

static struct slice text(const char *s)
{
    return slice_borrow(s, strlen(s));
}

static void add_put(struct buffer *out, struct slice key, struct slice value, uint64_t lease,
                    uint32_t flags)
{
    struct kv_request request = {.op = KV_PUT};
    request.put = (struct kv_put){.flags = flags, .lease = lease, .key = key, .value = value};
    kv_put_request(out, &request);
}

static void add_delete(struct buffer *out, struct slice key)
{
    struct kv_request request = {.op = KV_DELETE};
    request.delete_.key = key;
    kv_put_request(out, &request);
}

static void add_compare(struct buffer *out, struct slice key, enum kv_relation relation,
                        uint64_t number)
{
    kv_put_compare(
        out, &(struct kv_compare){
                 .target = KV_TARGET_CREATE, .relation = relation, .number = number, .key = key});
}

/* Writes the command of a request, and closes both buffers. */
static void put_txn(struct buffer *out, struct buffer *compares, struct buffer *then)
{
    struct buffer bytes = {0};
    struct kv_request txn = {.op = KV_TXN};
    txn.txn = (struct kv_txn){.compares = buffer_slice(compares), .then_ = buffer_slice(then)};
    kv_put_request(&bytes, &txn);
    command_put_head(buffer_extend(out, COMMAND_HEAD_BYTES), COMMAND_KV, (uint32_t)bytes.size);
    buffer_put(out, buffer_slice(&bytes));
    buffer_close(&bytes);
    buffer_close(compares);
    buffer_close(then);
}

static struct slice key_of(const struct recipe_client *client, const char *prefix, char *bytes)
{
    size_t size = strlen(prefix);
    memcpy(bytes, prefix, size);
    memcpy(bytes + size, client->id, client->id_size);
    return slice_borrow(bytes, size + client->id_size);
}

/* ---- commands */

static void put_lock(struct buffer *out, uint64_t session)
{
    struct buffer compares = {0};
    struct buffer then = {0};
    add_compare(&compares, text(LOCK), KV_EQUAL, 0);
    add_put(&then, text(LOCK), SLICE_EMPTY, session, 0);
    put_txn(out, &compares, &then);
}

static void put_unlock(struct buffer *out, const struct recipe_client *client)
{
    struct buffer compares = {0};
    struct buffer then = {0};
    add_compare(&compares, text(LOCK), KV_EQUAL, client->token);
    add_delete(&then, text(LOCK));
    put_txn(out, &compares, &then);
}

static void put_push(struct buffer *out, uint64_t number)
{
    uint8_t value[8];
    struct buffer compares = {0};
    struct buffer then = {0};
    bytes_put_u64(value, number);
    add_put(&then, text(ITEMS), slice_borrow(value, sizeof value), 0, KV_SEQUENTIAL);
    put_txn(out, &compares, &then);
}

static void put_look(struct buffer *out)
{
    struct buffer compares = {0};
    struct buffer then = {0};
    struct kv_request range = {.op = KV_RANGE};
    range.range =
        (struct kv_range){.key = text(ITEMS), .end = text("!queue/item0"), .limit = LOOKED_AT_MAX};
    kv_put_request(&then, &range);
    put_txn(out, &compares, &then);
}

static void put_claim(struct buffer *out, const struct recipe_client *client, uint64_t session)
{
    char item[RECIPE_KEY_BYTES * 2];
    char claim[RECIPE_KEY_BYTES * 2];
    struct buffer compares = {0};
    struct buffer then = {0};
    add_compare(&compares, key_of(client, CLAIMS, claim), KV_EQUAL, 0);
    add_compare(&compares, key_of(client, ITEMS, item), KV_GREATER, 0);
    add_put(&then, key_of(client, CLAIMS, claim), SLICE_EMPTY, session, 0);
    put_txn(out, &compares, &then);
}

static void put_ack(struct buffer *out, const struct recipe_client *client)
{
    char item[RECIPE_KEY_BYTES * 2];
    char claim[RECIPE_KEY_BYTES * 2];
    struct buffer compares = {0};
    struct buffer then = {0};
    add_compare(&compares, key_of(client, CLAIMS, claim), KV_EQUAL, client->token);
    add_delete(&then, key_of(client, ITEMS, item));
    add_delete(&then, key_of(client, CLAIMS, claim));
    put_txn(out, &compares, &then);
}

static uint64_t next_message(struct recipes *recipes)
{
    recipes->queued = memory_grow(recipes->queued, &recipes->capacity, recipes->count + 1,
                                  sizeof *recipes->queued);
    recipes->queued[recipes->count] = (struct queued){0};
    return recipes->count++;
}

/* What an idle client begins. */
static void begin(struct sim *sim, struct recipe_client *client, uint64_t session,
                  struct buffer *out)
{
    switch (rng_below(&sim->work, 3)) {
    case 0:
        client->step = RECIPE_LOCKING;
        client->floor = sim->recipes->highest;
        put_lock(out, session);
        break;
    case 1:
        client->step = RECIPE_PUSHING;
        client->message = next_message(sim->recipes);
        put_push(out, client->message);
        break;
    default:
        client->step = RECIPE_LOOKING;
        put_look(out);
        break;
    }
}

int recipes_command(struct sim *sim, size_t position, struct recipe_client *client,
                    uint64_t session, uint64_t sequence, struct buffer *out)
{
    if (client->awaited != 0 || sim->now < client->until) {
        return 0;
    }
    switch (client->step) {
    case RECIPE_HOLDING:
        if (sim->recipes->holder == position) {
            sim->recipes->holder = NOBODY; /* from here on it may be free */
        }
        client->step = RECIPE_UNLOCKING;
        put_unlock(out, client);
        break;
    case RECIPE_CLAIMING:
        put_claim(out, client, session);
        break;
    case RECIPE_WORKING:
        client->step = RECIPE_ACKING;
        put_ack(out, client);
        break;
    default:
        begin(sim, client, session, out);
        break;
    }
    client->awaited = sequence;
    return 1;
}

/* ---- results */

static void on_locked(struct sim *sim, size_t position, struct recipe_client *client,
                      uint64_t token)
{
    struct recipes *recipes = sim->recipes;
    if (token <= client->floor) {
        sim_violate(sim, "lock", "the lock is given with token %llu, and %llu was known before",
                    (unsigned long long)token, (unsigned long long)client->floor);
    }
    if (recipes->holder != NOBODY) {
        sim_violate(sim, "lock", "client %zu gets the lock while client %zu holds it", position,
                    recipes->holder);
    }
    client->token = token;
    client->step = RECIPE_HOLDING;
    client->until = sim->now + between(&sim->work, 0, 400 * MS);
    recipes->highest = token > recipes->highest ? token : recipes->highest;
    if (sim->plan.session_ttl_ms > 60000000) { /* else it may lose it without knowing */
        recipes->holder = position;
    }
}

/* One of the first messages becomes the one to claim. */
static void on_looked(struct sim *sim, struct recipe_client *client, struct slice body)
{
    struct kv_response txn;
    struct kv_response range;
    struct kv kv;
    client->step = RECIPE_IDLE;
    if (kv_next_response(&body, &txn) != 1 || kv_next_response(&txn.items, &range) != 1 ||
        range.item_count == 0) {
        return;
    }
    uint64_t skip = rng_below(&sim->work, range.item_count);
    for (uint64_t i = 0; i <= skip; i++) {
        (void)kv_next(&range.items, &kv);
    }
    size_t prefix = strlen(ITEMS);
    if (kv.value.size == 8 && kv.key.size > prefix && kv.key.size - prefix < RECIPE_KEY_BYTES) {
        client->message = bytes_get_u64(kv.value.data);
        client->id_size = kv.key.size - prefix;
        memcpy(client->id, kv.key.data + prefix, client->id_size);
        client->step = RECIPE_CLAIMING;
    }
}

static void on_acknowledged(struct sim *sim, const struct recipe_client *client)
{
    struct queued *queued = &sim->recipes->queued[client->message];
    if (++queued->acks > 1) {
        sim_violate(sim, "queue", "message %llu is acknowledged twice",
                    (unsigned long long)client->message);
    }
}

void recipes_on_result(struct sim *sim, size_t position, struct recipe_client *client,
                       uint64_t sequence, const struct result_range *range)
{
    struct kv_response response;
    struct slice rest = range->body;
    if (client->awaited != sequence) {
        return;
    }
    client->awaited = 0;
    client->until = 0;
    sim->outcome->key_commands++;
    int is_done =
        range->status == RESULT_OK && kv_next_response(&rest, &response) == 1 && response.succeeded;
    enum recipe_step step = client->step;
    client->step = RECIPE_IDLE;
    switch (step) {
    case RECIPE_LOCKING:
        if (is_done) {
            on_locked(sim, position, client, range->value);
        }
        break;
    case RECIPE_PUSHING:
        sim->recipes->queued[client->message].is_pushed |= is_done;
        break;
    case RECIPE_LOOKING:
        on_looked(sim, client, range->body);
        break;
    case RECIPE_CLAIMING:
        if (is_done) {
            client->step = RECIPE_WORKING;
            client->token = range->value;
            client->until = sim->now + between(&sim->work, 0, 400 * MS);
        }
        break;
    case RECIPE_ACKING:
        if (is_done) {
            on_acknowledged(sim, client);
        }
        break;
    default:
        break;
    }
}

void recipes_on_session_lost(struct sim *sim, size_t position, struct recipe_client *client)
{
    if (sim->recipes->holder == position) {
        sim->recipes->holder = NOBODY;
    }
    if (client->step == RECIPE_ACKING) {
        sim->recipes->queued[client->message].may_be_acked = 1;
    }
    *client = (struct recipe_client){0};
}

/* ---- the end */

void recipes_at_end(struct sim *sim)
{
    struct recipes *recipes = sim->recipes;
    struct kv_request request = {.op = KV_RANGE};
    struct reference_answer answer;
    struct arena arena = {0};
    uint8_t *is_there = memory_calloc(recipes->count, 1);
    request.range = (struct kv_range){.key = text(ITEMS), .end = text("!queue/item0")};
    reference_request(mirror_reference(sim->mirror), &request, &arena, &answer);
    for (size_t i = 0; i < answer.response.kv_count; i++) {
        struct slice value = answer.response.kvs[i].value;
        uint64_t number = value.size == 8 ? bytes_get_u64(value.data) : 0;
        is_there[number < recipes->count ? number : 0] = 1;
    }
    for (size_t number = 1; number < recipes->count; number++) {
        const struct queued *queued = &recipes->queued[number];
        if (queued->is_pushed && queued->acks == 0 && !queued->may_be_acked && !is_there[number]) {
            sim_violate(sim, "queue", "message %zu was pushed and never acknowledged, and is gone",
                        number);
        }
        if (queued->acks > 0 && is_there[number]) {
            sim_violate(sim, "queue", "message %zu was acknowledged and is still there", number);
        }
    }
    free(is_there);
    arena_close(&arena);
}
