#include "tests/sim/contenders.h"

#include "common/base/memory.h"
#include "tests/sim/workload.h"

#include <stdlib.h>

/* A session with such a ttl never expires in a run, and nobody else deletes these keys: what is
 * held is not lost. */
#define TTL_MS_LONG 60000000

/* Below the registers, which no request of others deletes. */
static const uint8_t prefixes[CONTENDED][5] = {{0, 0, 'L', 'a', '/'}, {0, 0, 'L', 'b', '/'}};

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

static int are_clocks_right(const struct sim *sim)
{
    const struct plan *plan = &sim->plan;
    return plan->drift == 0 && plan->pace[FAULT_CLOCK_JUMP] == 0 &&
           plan->pace[FAULT_CLOCK_RATE] == 0 && plan->pace[FAULT_CLOCK_STOP] == 0;
}

static int may_lose(const struct sim *sim)
{
    return sim->plan.session_ttl_ms <= TTL_MS_LONG;
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
    contender->observation = client_observe(client->core, prefix_of(contender->observed));
}

void contenders_act(struct sim *sim, struct client_state *client)
{
    struct contender *contender = &client->contender;
    if (sim->plan.keys == 0) {
        return;
    }
    if (sim->is_healed) { /* what is under way ends */
        if (contender->hold != 0 && contender->until != TIME_US_NEVER) {
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

/* ---- what it is told */

static void check_alone(struct sim *sim, const struct client_state *client)
{
    for (size_t i = 0; i < sim->plan.clients; i++) {
        const struct client_state *other = &sim->clients[i];
        if (other != client && other->contender.token != 0 &&
            other->contender.name == client->contender.name && are_clocks_right(sim) &&
            client_is_held(other->core, other->contender.hold, client_now(sim))) {
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
    check_alone(sim, client);
    contender->token = completion->value;
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
