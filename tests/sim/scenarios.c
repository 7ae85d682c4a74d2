/* Runs with a name: the swarm, a steady load, and the partial partitions of which real systems died
 * (TRAPS 8). A name may end in the number of acceptors, as in "chained:5". */
#include "tests/sim/audit.h"
#include "tests/sim/conformance.h"
#include "tests/sim/oracles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECOVERY_ELECTIONS_MAX 10
#define LEADERS_AFTER_MAX 2

/* The links are whole again so long after it has to be over. */
#define WHOLE_ELECTIONS 2

/* Stages of ITEM_CUT. */
enum { CUT_BEGINS, CUT_AGAIN, CUT_ENDS };

/* The shapes that a scenario cuts while a leader serves. */
static const char *const shapes[] = {
    "quorum-loss",         "constrained",
    "constrained-alone",   "chained",
    "majority-ring",       "bridge",
    "isolated-leader",     "halves",
    "leader-to-acceptors", "acceptors-to-leader",
    "leader-no-learners",  "leader-no-clients",
};

#define SHAPE_COUNT (sizeof shapes / sizeof shapes[0])

const char *scenario_list(void)
{
    static char list[400];
    size_t used = (size_t)snprintf(
        list, sizeof list, "swarm, plain, recipes, steady, conformance:KIND, failover:KIND");
    for (size_t i = 0; i < SHAPE_COUNT && used < sizeof list; i++) {
        used += (size_t)snprintf(list + used, sizeof list - used, ", %s", shapes[i]);
    }
    return list;
}

/* 3 acceptors, 2 proposers, 2 learners and 200 operations a second: the measure of speed. */
static void steady(struct plan *plan)
{
    *plan = (struct plan){.acceptors = 3,
                          .proposers = 2,
                          .learners = 2,
                          .clients = 4,
                          .q1 = 2,
                          .q2 = 2,
                          .heartbeat_ms = 50,
                          .election_ms = 500,
                          .latency_us = 200,
                          .jitter_us = 300,
                          .late_max_us = SECOND,
                          .sync_us = 800,
                          .turn_us = 20,
                          .operations_per_s = 200,
                          .reads = 200,
                          .keys = 300,
                          .record_bytes_max = 500,
                          .session_ttl_ms = 2000000000,
                          .outstanding_max = 40};
}

static size_t name_length(const char *name)
{
    const char *colon = strchr(name, ':');
    return colon != NULL ? (size_t)(colon - name) : strlen(name);
}

static const char *shape_of(const struct sim *sim)
{
    size_t length = name_length(sim->options.scenario);
    for (size_t i = 0; i < SHAPE_COUNT; i++) {
        if (strlen(shapes[i]) == length && strncmp(shapes[i], sim->options.scenario, length) == 0) {
            return shapes[i];
        }
    }
    return NULL;
}

/* Random faults: on all there is, without operators and oracles but the usual one, or on clients
 * that use locks and queues. */
static int is_swarm(const char *name)
{
    return strcmp(name, "swarm") == 0 || strcmp(name, "plain") == 0 || strcmp(name, "recipes") == 0;
}

int scenario_exists(const char *name)
{
    size_t length = name_length(name);
    for (size_t i = 0; i < SHAPE_COUNT; i++) {
        if (strlen(shapes[i]) == length && strncmp(shapes[i], name, length) == 0) {
            return 1;
        }
    }
    return is_swarm(name) || strcmp(name, "steady") == 0 || conformance_exists(name);
}

void scenario_prepare(struct sim *sim)
{
    if (conformance_exists(sim->options.scenario)) {
        conformance_prepare(sim);
        return;
    }
    if (is_swarm(sim->options.scenario)) {
        swarm_draw(sim);
        if (strcmp(sim->options.scenario, "plain") != 0) {
            oracles_draw(sim);
            relearn_draw(sim);
            swarm_draw_use(sim);
        }
        if (strcmp(sim->options.scenario, "recipes") == 0) {
            sim->plan.keys = 0; /* nobody else deletes what is held */
            sim->plan.recipes = 700;
        }
        return;
    }
    steady(&sim->plan);
    if (sim->options.oracle != 0) {
        sim->plan.settings.kind = sim->options.oracle;
        sim->plan.outside = OUTSIDE_STEADY;
    }
    if (shape_of(sim) == NULL) {
        return;
    }
    const char *colon = strchr(sim->options.scenario, ':');
    size_t count = colon != NULL ? (size_t)strtoul(colon + 1, NULL, 10) : 3;
    count = count >= 1 && count <= 7 ? count : 3;
    sim->plan.acceptors = count;
    sim->plan.proposers = sim->options.proposers > 0 ? sim->options.proposers : count;
    sim->plan.learners = 3;
    sim->plan.q1 = sim->plan.q2 = count / 2 + 1;
    sim->plan.operations_per_s = 100;
    sim->plan.latency_us = between(&sim->fate, 50, 2000);
    sim->plan.jitter_us = between(&sim->fate, 0, 1000);
}

void scenario_start(struct sim *sim)
{
    if (is_swarm(sim->options.scenario)) {
        fault_init(sim);
    } else if (sim->trial != NULL) {
        conformance_start(sim);
    } else if (shape_of(sim) != NULL) {
        sim_at(sim, between(&sim->fate, 3 * SECOND, 5 * SECOND), ITEM_CUT, NODES_MAX, 0);
    }
}

/* The host of the proposer, in Raft mode of the acceptor, that leads. */
static size_t leading_host(struct sim *sim)
{
    enum role role = sim->options.is_raft ? ROLE_ACCEPTOR : ROLE_PROPOSER;
    size_t count = sim->options.is_raft ? sim->plan.acceptors : sim->plan.proposers;
    for (size_t i = 0; i < count; i++) {
        const struct node *node = sim_node(sim, role, i);
        if (sim_leads(node)) {
            return i;
        }
    }
    return 0;
}

/* Another host than the leader's, with acceptor and proposer. */
static size_t another(struct sim *sim, size_t leader)
{
    size_t count =
        sim->plan.acceptors < sim->plan.proposers ? sim->plan.acceptors : sim->plan.proposers;
    if (leader >= count) {
        return rng_below(&sim->fate, count);
    }
    return count < 2 ? 0 : (leader + 1 + rng_below(&sim->fate, count - 1)) % count;
}

/* Longer than any recovery may take. */
static time_us_t patience_us(const struct sim *sim)
{
    time_us_t bound_us = oracles_bound_us(sim);
    time_us_t usual_us = RECOVERY_ELECTIONS_MAX * sim->plan.election_ms * MS;
    return bound_us > usual_us ? bound_us : usual_us;
}

void scenario_on_item(struct sim *sim, const struct item *item)
{
    const char *shape = shape_of(sim);
    size_t leader = leading_host(sim);
    if (item->b == CUT_ENDS) {
        report_line(sim, NULL, "sim=whole leader=%zu", leader + 1);
        partition_heal(sim);
        sim->scenario_whole_at = sim->now;
        return;
    }
    if (strncmp(shape, "constrained", strlen("constrained")) == 0 && item->b == CUT_BEGINS) {
        /* First the one who will be in the middle falls behind. */
        sim->scenario_hub = another(sim, leader);
        (void)partition_named(sim, "isolated-leader", leader, sim->scenario_hub);
        report_line(sim, NULL, "sim=cut hub=%zu leader=%zu", sim->scenario_hub + 1, leader + 1);
        sim_at(sim, sim->now + 2 * SECOND, ITEM_CUT, NODES_MAX, CUT_AGAIN);
        return;
    }
    if (item->b == CUT_BEGINS) {
        sim->scenario_hub = strcmp(shape, "isolated-leader") == 0 ? leader : another(sim, leader);
    }
    partition_heal(sim);
    (void)partition_named(sim, shape, leader, sim->scenario_hub);
    sim->scenario_cut_at = sim->now;
    sim->scenario_first = audit_next(sim->audit);
    report_line(sim, NULL, "sim=cut shape=%s hub=%zu leader=%zu", shape, sim->scenario_hub + 1,
                leader + 1);
    time_us_t over_at = sim->now + patience_us(sim);
    sim_at(sim, over_at, ITEM_WATCH, NODES_MAX, 1);
    sim_at(sim, over_at + WHOLE_ELECTIONS * sim->plan.election_ms * MS, ITEM_CUT, NODES_MAX,
           CUT_ENDS);
}

void scenario_on_watch(struct sim *sim)
{
    if (sim->outcome->recovered_us < 0) {
        sim_violate(sim, "recovery", "nothing new is chosen in %lld ms",
                    (long long)(patience_us(sim) / MS));
    }
}

void scenario_on_chosen(struct sim *sim, struct slice value)
{
    if (sim->scenario_cut_at == 0 || sim->outcome->recovered_us >= 0 ||
        !audit_is_new(value, sim->scenario_first)) {
        return;
    }
    sim->outcome->recovered_us = sim->now - sim->scenario_cut_at;
    if (sim->options.oracle != 0 && sim->outcome->recovered_us > oracles_bound_us(sim)) {
        sim_violate(sim, "recovery",
                    "something new is chosen after %lld ms, beyond the oracle's bound",
                    (long long)(sim->outcome->recovered_us / MS));
    }
    report_line(sim, NULL, "sim=recovered ms=%lld", (long long)(sim->outcome->recovered_us / MS));
}

void scenario_on_turn(struct sim *sim)
{
    if (sim->options.oracle != 0 && sim->scenario_cut_at > 0 && sim->scenario_whole_at == 0 &&
        !sim->is_healed) {
        uint32_t named = oracles_named(sim);
        sim->outcome->named_max = named > sim->outcome->named_max ? named : sim->outcome->named_max;
    }
}

void scenario_on_leading(struct sim *sim)
{
    if (sim->outcome->recovered_us < 0 || sim->is_healed) {
        return;
    }
    if (sim->scenario_whole_at > 0) {
        sim->outcome->leaders_whole++;
        sim_violate(sim, "stability", "the leader changes when the links are whole again");
        return;
    }
    if (++sim->outcome->leaders_after > LEADERS_AFTER_MAX) {
        sim_violate(sim, "stability", "the leader changed more than %d times after the recovery",
                    LEADERS_AFTER_MAX);
    }
}
