#include "tests/sim/contenders.h"

#include "common/base/memory.h"
#include "common/protocol/value.h"
#include "tests/model/reference.h"
#include "tests/sim/mirror.h"
#include "tests/sim/workload.h"

#include <stdlib.h>

/* A session with such a ttl never expires in a run, and unless an operator steals nobody else
 * deletes these keys: what is held is not lost. */
#define TTL_MS_LONG 60000000

/* Below the registers, which no request of others deletes. */
static const uint8_t prefixes[CONTENDED][5] = {{0, 0, 'L', 'a', '/'}, {0, 0, 'L', 'b', '/'}};
static const uint8_t ends[CONTENDED][5] = {{0, 0, 'L', 'a', '0'}, {0, 0, 'L', 'b', '0'}};

struct contenders {
    uint64_t highest[CONTENDED]; /* token that was told to anybody */
};

struct contenders *contenders_new(void)
{
    return memory_calloc(1, sizeof(struct contenders));
}

void contenders_free(struct contenders *contenders)
{
    free(contenders);
}

static struct slice prefix_of(size_t name)
{
    return slice_borrow(prefixes[name], sizeof prefixes[name]);
}

static int may_lose(const struct sim *sim)
{
    return sim->plan.session_ttl_ms <= TTL_MS_LONG || sim->plan.steals > 0;
}

/* ---- the queue of a name, as it is agreed */

/* Its keys, the holder's first; they live as long as the arena. */
static const struct kv *read_queue(const struct sim *sim, size_t name, struct arena *arena,
                                   size_t *count)
{
    struct reference_answer answer;
    const struct kv_request request = {
        .op = KV_RANGE,
        .range = {.order = KV_ORDER_ASCEND,
                  .target = KV_TARGET_CREATE,
                  .key = prefix_of(name),
                  .end = slice_borrow(ends[name], sizeof ends[name])},
    };
    reference_request(mirror_reference(sim->mirror), &request, arena, &answer);
    *count = answer.response.kv_count;
    return answer.response.kvs;
}

static struct kv read_first(const struct sim *sim, size_t name, struct arena *arena)
{
    size_t count;
    const struct kv *queue = read_queue(sim, name, arena, &count);
    return count > 0 ? queue[0] : (struct kv){0};
}

static int is_in_queue(const struct sim *sim, size_t name, uint64_t token)
{
    struct arena arena = {0};
    size_t count;
    const struct kv *queue = read_queue(sim, name, &arena, &count);
    int found = 0;
    for (size_t i = 0; i < count; i++) {
        found |= queue[i].create == token;
    }
    arena_close(&arena);
    return found;
}

/* ---- what it does */

static void come(struct sim *sim, struct client_state *client)
{
    struct contender *contender = &client->contender;
    size_t name = (size_t)rng_below(&sim->work, CONTENDED);
    time_ms_t wait_ms = chance(&sim->work, 300) ? 0 : between(&sim->work, 1, 4000);
    const struct client_hold hold = {
        .what = "lock",
        .prefix = prefix_of(name),
        .until = chance(&sim->work, 300) ? TIME_NEVER : client_now(sim) + wait_ms,
        .timeout_ms = chance(&sim->work, 500) ? UINT32_MAX : 3000,
    };
    contender->name = name;
    contender->token = 0;
    contender->floor = sim->contenders->highest[name];
    contender->hold = client_acquire(client->core, &hold);
}

static void leave(struct sim *sim, struct client_state *client)
{
    struct contender *contender = &client->contender;
    time_ms_t deadline =
        chance(&sim->work, 500) ? TIME_NEVER : client_now(sim) + between(&sim->work, 1, 2000);
    if (contender->token == 0 || chance(&sim->work, 300)) {
        client_cancel(client->core, contender->hold);
        contender->hold = 0;
    } else {
        (void)client_release(client->core, contender->hold, deadline);
        contender->until = TIME_US_NEVER;
    }
    contender->token = 0;
}

static void watch_leader(struct sim *sim, struct client_state *client)
{
    struct contender *contender = &client->contender;
    if (contender->observation != 0) {
        client_cancel(client->core, contender->observation);
        contender->observation = 0;
        return;
    }
    contender->observed = (size_t)rng_below(&sim->work, CONTENDED);
    contender->seen = 0;
    contender->is_told = 0;
    contender->observation = client_observe(client->core, prefix_of(contender->observed));
}

/* What it relies on: what is certainly its own is so, as far as the log is agreed. */
static void check_held(struct sim *sim, const struct client_state *client)
{
    const struct contender *contender = &client->contender;
    struct arena arena = {0};
    if (contender->token != 0 && sim->plan.steals == 0 && sim_are_clocks_right(sim) &&
        client_is_held(client->core, contender->hold, client_now(sim)) &&
        read_first(sim, contender->name, &arena).create != contender->token) {
        sim_violate(sim, "lock", "%s is certain of a lock that it does not have",
                    sim->cluster->nodes[client->node].name);
    }
    arena_close(&arena);
}

void contenders_act(struct sim *sim, struct client_state *client)
{
    struct contender *contender = &client->contender;
    if (sim->plan.keys == 0) {
        return;
    }
    check_held(sim, client);
    if (sim->is_healed) { /* what is under way ends; half of the holders keep what they hold */
        int is_kept = contender->token != 0 && contender->token % 2 == 0;
        if (contender->hold != 0 && contender->until != TIME_US_NEVER && !is_kept) {
            leave(sim, client);
        }
        return;
    }
    if (contender->hold == 0 && chance(&sim->work, 20)) {
        come(sim, client);
    } else if (contender->hold != 0 && contender->until != TIME_US_NEVER &&
               (contender->token != 0 ? sim->now >= contender->until : chance(&sim->work, 5))) {
        leave(sim, client);
    }
    if (chance(&sim->work, 5)) {
        watch_leader(sim, client);
    }
}

/* An operator takes a lock from whoever has it: its key is deleted, if it is still there then. */
int contenders_put_theft(struct sim *sim, struct buffer *out)
{
    struct arena arena = {0};
    struct buffer compares = {0};
    struct buffer then = {0};
    struct buffer request = {0};
    const struct kv first = read_first(sim, (size_t)rng_below(&sim->work, CONTENDED), &arena);
    if (first.create != 0) {
        const struct kv_compare compare = {
            .target = KV_TARGET_CREATE, .number = first.create, .key = first.key};
        const struct kv_request deletion = {.op = KV_DELETE, .delete_ = {.key = first.key}};
        kv_put_compare(&compares, &compare);
        kv_put_request(&then, &deletion);
        const struct kv_request txn = {
            .op = KV_TXN,
            .txn = {.compares = buffer_slice(&compares), .then_ = buffer_slice(&then)}};
        kv_put_request(&request, &txn);
        command_put_head(buffer_extend(out, COMMAND_HEAD_BYTES), COMMAND_KV,
                         (uint32_t)request.size);
        buffer_put(out, buffer_slice(&request));
    }
    buffer_close(&compares);
    buffer_close(&then);
    buffer_close(&request);
    arena_close(&arena);
    return first.create != 0;
}

/* ---- what it is told */

/* Who was stolen from may not know yet, and may hear of its turn after that. */
static int is_stolen(const struct sim *sim, const struct contender *contender)
{
    return sim->plan.steals > 0 && !is_in_queue(sim, contender->name, contender->token);
}

static void check_alone(struct sim *sim, const struct client_state *client)
{
    if (is_stolen(sim, &client->contender)) {
        return;
    }
    for (size_t i = 0; i < sim->plan.clients; i++) {
        const struct client_state *other = &sim->clients[i];
        if (other != client && other->contender.token != 0 &&
            other->contender.name == client->contender.name && sim_are_clocks_right(sim) &&
            client_is_held(other->core, other->contender.hold, client_now(sim)) &&
            !is_stolen(sim, &other->contender)) {
            sim_violate(sim, "lock", "%s is told that it holds what %s certainly holds",
                        sim->cluster->nodes[client->node].name,
                        sim->cluster->nodes[other->node].name);
        }
    }
}

static void on_held(struct sim *sim, struct client_state *client,
                    const struct completion *completion)
{
    struct contender *contender = &client->contender;
    uint64_t *highest = &sim->contenders->highest[contender->name];
    const char *name = sim->cluster->nodes[client->node].name;
    if (completion->code != 0) {
        contender->hold = 0;
        if (completion->code != ERROR_UNAVAILABLE && completion->code != ERROR_SESSION) {
            sim_violate(sim, "lock", "%s waits for a lock and is told: %s", name,
                        completion->sentence);
        }
        if (completion->code == ERROR_SESSION && !may_lose(sim)) {
            sim_violate(sim, "lock", "%s loses its place, and its session lives", name);
        }
        return;
    }
    if (completion->value <= contender->floor) {
        sim_violate(sim, "lock", "%s gets token %llu, and %llu was known before it came", name,
                    (unsigned long long)completion->value, (unsigned long long)contender->floor);
    }
    contender->token = completion->value;
    check_alone(sim, client);
    contender->until = sim->now + between(&sim->work, 0, 400 * MS);
    *highest = completion->value > *highest ? completion->value : *highest;
}

static void on_lost(struct sim *sim, struct client_state *client)
{
    struct contender *contender = &client->contender;
    if (!may_lose(sim)) {
        sim_violate(sim, "lock", "%s is told that it lost a lock, and its session lives",
                    sim->cluster->nodes[client->node].name);
    }
    client_cancel(client->core, contender->hold);
    contender->hold = 0;
    contender->token = 0;
    contender->until = 0;
}

static void on_released(struct sim *sim, struct client_state *client,
                        const struct completion *completion)
{
    struct contender *contender = &client->contender;
    if (completion->code == ERROR_LOST && !may_lose(sim)) {
        sim_violate(sim, "lock", "%s gives back what it lost, and its session lives",
                    sim->cluster->nodes[client->node].name);
    }
    contender->hold = 0;
    contender->until = 0;
}

static void on_leadership(struct sim *sim, struct client_state *client,
                          const struct completion *completion)
{
    struct contender *contender = &client->contender;
    if (completion->kind == COMPLETION_OBSERVE) {
        contender->observation = 0;
        sim_violate(sim, "lock", "%s observes in vain: %s", sim->cluster->nodes[client->node].name,
                    completion->sentence);
        return;
    }
    if (completion->value != 0 && completion->value < contender->seen) {
        sim_violate(sim, "lock", "%s sees token %llu after %llu",
                    sim->cluster->nodes[client->node].name, (unsigned long long)completion->value,
                    (unsigned long long)contender->seen);
    }
    contender->seen = completion->value != 0 ? completion->value : contender->seen;
    contender->is_told = 1;
    contender->told = completion->value;
}

int contenders_on_completion(struct sim *sim, struct client_state *client,
                             const struct completion *completion)
{
    struct contender *contender = &client->contender;
    if (completion->id == 0) {
        return 0;
    }
    if (completion->id == contender->observation) {
        on_leadership(sim, client, completion);
        return 1;
    }
    if (completion->id != contender->hold) {
        return 0;
    }
    switch (completion->kind) {
    case COMPLETION_HELD:
        on_held(sim, client, completion);
        break;
    case COMPLETION_HOLD_LOST:
        on_lost(sim, client);
        break;
    default:
        on_released(sim, client, completion);
        break;
    }
    return 1;
}

/* ---- the end: all was well for long, so that everybody knows how it is */

/* Who has stopped waiting stands in nobody's way. */
static void check_wanted(struct sim *sim, size_t name, const struct kv *queue, size_t count)
{
    for (size_t i = 0; i < sim->plan.clients; i++) {
        const struct client_state *client = &sim->clients[i];
        const struct contender *contender = &client->contender;
        uint64_t session = client_session(client->core);
        int is_wanted = contender->hold != 0 && contender->name == name;
        for (size_t k = 0; k < count && session != 0 && !is_wanted; k++) {
            if (queue[k].lease == session) {
                sim_violate(sim, "lock", "%s is left in the queue of a lock that it does not want",
                            sim->cluster->nodes[client->node].name);
            }
        }
    }
}

static void check_known(struct sim *sim, const struct client_state *client)
{
    const struct contender *contender = &client->contender;
    const char *name = sim->cluster->nodes[client->node].name;
    struct arena arena = {0};
    if (contender->token != 0 &&
        read_first(sim, contender->name, &arena).create != contender->token) {
        sim_violate(sim, "lock", "%s holds token %llu, as it believes, and that is not the first",
                    name, (unsigned long long)contender->token);
    }
    if (contender->hold != 0 && contender->token == 0) {
        sim_violate(sim, "lock", "%s does not hear that it has left", name);
    }
    if (contender->observation != 0) {
        uint64_t token = read_first(sim, contender->observed, &arena).create;
        if (!contender->is_told || contender->told != token) {
            sim_violate(sim, "lock", "%s sees token %llu lead, and it is %llu", name,
                        (unsigned long long)contender->told, (unsigned long long)token);
        }
    }
    arena_close(&arena);
}

void contenders_at_end(struct sim *sim)
{
    if (sim->plan.keys == 0) {
        return;
    }
    for (size_t name = 0; name < CONTENDED; name++) {
        struct arena arena = {0};
        size_t count;
        const struct kv *queue = read_queue(sim, name, &arena, &count);
        check_wanted(sim, name, queue, count);
        arena_close(&arena);
    }
    for (size_t i = 0; i < sim->plan.clients; i++) {
        check_known(sim, &sim->clients[i]);
    }
}
