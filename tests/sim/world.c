/* The world: what there is, and the loop over what happens. */
#include "tests/sim/sim.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "tests/sim/audit.h"
#include "tests/sim/conformance.h"
#include "tests/sim/contenders.h"
#include "tests/sim/keys.h"
#include "tests/sim/mirror.h"
#include "tests/sim/oracles.h"
#include "tests/sim/recipes.h"
#include "tests/sim/registers.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sim_at(struct sim *sim, time_us_t at, enum item_kind kind, uint32_t a, uint32_t b)
{
    uint32_t life = a < NODES_MAX ? sim->processes[a].life : 0;
    queue_put(&sim->queue,
              (struct item){.at = at, .kind = (uint32_t)kind, .a = a, .b = b, .life = life});
}

size_t sim_index(const struct sim *sim, const struct node *node)
{
    return (size_t)(node - sim->cluster->nodes);
}

struct node *sim_node(struct sim *sim, enum role role, size_t position)
{
    const struct plan *plan = &sim->plan;
    switch (role) {
    case ROLE_ACCEPTOR:
        return &sim->cluster->nodes[position];
    case ROLE_PROPOSER:
        return &sim->cluster->nodes[plan->acceptors + position];
    case ROLE_LEARNER:
        return &sim->cluster->nodes[plan->acceptors + plan->proposers + position];
    default:
        return &sim->cluster->nodes[sim->servers + position];
    }
}

void sim_violate(struct sim *sim, const char *rule, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    checker_violate(&sim->cluster->checker, rule, "%s", text);
}

int sim_has_failed(const struct sim *sim)
{
    return sim->cluster->checker.rule != NULL;
}

int sim_are_clocks_right(const struct sim *sim)
{
    const struct plan *plan = &sim->plan;
    return plan->drift == 0 && plan->pace[FAULT_CLOCK_JUMP] == 0 &&
           plan->pace[FAULT_CLOCK_RATE] == 0 && plan->pace[FAULT_CLOCK_STOP] == 0;
}

/* ---- what the cluster tells */

static void on_noted(void *self, const struct node *node, const struct note *note)
{
    struct sim *sim = self;
    if (note->level != NOTE_DEBUG) {
        report_line(sim, node, "%s", note->text);
    }
}

static void on_ended(void *self, const struct node *node, const char *reason)
{
    struct sim *sim = self;
    size_t index = sim_index(sim, node);
    report_line(sim, node, "sim=ended reason=\"%s\"", reason);
    process_start_in(sim, index, between(&sim->fate, 1 * MS, sim->is_calm ? 20 * MS : SECOND));
}

static void on_writes(void *self, const struct node *node, const struct effects *fx)
{
    struct sim *sim = self;
    if (node->self.role == ROLE_LEARNER) {
        mirror_on_writes(sim, node, fx);
    }
}

/* ---- beginning and end */

static void make_members(const struct plan *plan, struct members *members)
{
    members->number = 1;
    members->acceptor_count = plan->acceptors;
    members->proposer_count = plan->proposers;
    members->learner_count = plan->learners;
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        node_id_t id = (node_id_t)i + 1;
        members->acceptors[i] = i < plan->acceptors ? id : 0;
        members->proposers[i] = i < plan->proposers ? id : 0;
        members->learners[i] = i < plan->learners ? id : 0;
    }
    members->q1 = plan->q1;
    members->q2 = plan->q2;
}

static void make_cluster(struct sim *sim)
{
    const struct plan *plan = &sim->plan;
    struct cluster_options options = {.is_raft = sim->options.is_raft,
                                      .heartbeat_ms = plan->heartbeat_ms,
                                      .election_ms = plan->election_ms,
                                      .seed = sim->options.seed,
                                      .cache_bytes = plan->cache_bytes,
                                      .page_bytes = plan->page_bytes,
                                      .fetch_bytes = plan->fetch_bytes,
                                      .range_bytes = plan->range_bytes,
                                      .settings = plan->settings};
    make_members(plan, &options.members);
    const struct cluster_observer observer = {
        .self = sim, .noted = on_noted, .writes = on_writes, .ended = on_ended};
    sim->cluster = cluster_new(&options, &observer);
    sim->cluster->hooks = (struct cluster_hooks){.self = sim,
                                                 .send = transport_send,
                                                 .changed = transport_changed,
                                                 .done = transport_done,
                                                 .reached = process_reached};
    sim->servers = plan->acceptors + plan->proposers + plan->learners;
    for (size_t i = 0; i < plan->clients; i++) {
        char name[8];
        snprintf(name, sizeof name, "c%u", (unsigned)(i % 100 + 1));
        (void)cluster_add_client(sim->cluster, name, 0xc000000000U + i + 1);
    }
}

int sim_leads(const struct node *node)
{
    return node->raft != NULL
               ? raft_role(node->raft) == RAFT_LEADER
               : node->proposer != NULL && proposer_state(node->proposer) == NODE_LEADING;
}

static struct sim *sim_new(const struct sim_options *options, struct outcome_of_run *outcome)
{
    struct sim *sim = memory_calloc(1, sizeof *sim);
    sim->options = *options;
    sim->outcome = outcome;
    rng_init(&sim->net, options->seed * 4 + 1);
    rng_init(&sim->fate, options->seed * 4 + 2);
    rng_init(&sim->work, options->seed * 4 + 3);
    rng_init(&sim->menu, options->seed * 4);
    sim->end_at = options->length_us;
    scenario_prepare(sim);
    if (sim->plan.settings.kind == 0) {
        settings_init(&sim->plan.settings);
    }
    sim->heal_at = sim->end_at - 20 * sim->plan.election_ms * MS;
    make_cluster(sim);
    sim->report = report_new(sim);
    sim->audit = audit_new(sim);
    sim->mirror = mirror_new();
    sim->keys = keys_new(sim->options.seed);
    sim->recipes = recipes_new();
    sim->contenders = contenders_new();
    sim->registers = registers_new();
    transport_init(sim);
    for (size_t i = 0; i < sim->servers; i++) {
        process_init(sim, i);
    }
    for (size_t i = 0; i < sim->servers; i++) {
        process_start_in(sim, i, between(&sim->fate, 0, 20 * MS));
    }
    client_start_all(sim);
    scenario_start(sim);
    oracles_start(sim);
    sim_at(sim, sim->heal_at, ITEM_HEAL, NODES_MAX, 0);
    return sim;
}

static void sim_free(struct sim *sim)
{
    for (size_t i = 0; i < sim->servers; i++) {
        process_drop_waiting(sim, i);
    }
    client_free_all(sim);
    audit_free(sim->audit);
    mirror_free(sim->mirror);
    keys_free(sim->keys);
    recipes_free(sim->recipes);
    contenders_free(sim->contenders);
    registers_free(sim->registers);
    conformance_free(sim);
    report_free(sim->report);
    transport_close(sim);
    cluster_free(sim->cluster);
    queue_close(&sim->queue);
    free(sim);
}

static void dispatch(struct sim *sim, const struct item *item)
{
    switch ((enum item_kind)item->kind) {
    case ITEM_PACKET:
        transport_on_packet(sim, item);
        break;
    case ITEM_WAKE:
    case ITEM_POLL:
    case ITEM_SYNCED:
    case ITEM_START:
    case ITEM_SHUTDOWN:
        process_on_item(sim, item);
        break;
    case ITEM_CONNECTION:
        transport_on_connection(sim, item);
        break;
    case ITEM_FAULT:
        fault_on_item(sim, item);
        break;
    case ITEM_RESUME:
        fault_resume(sim, item->a);
        break;
    case ITEM_CLIENT:
        client_on_item(sim, item);
        break;
    case ITEM_HEAL:
        liveness_heal(sim);
        break;
    case ITEM_WATCH:
        if (item->b == 0) {
            liveness_on_watch(sim);
        } else {
            scenario_on_watch(sim);
        }
        break;
    case ITEM_CUT:
        scenario_on_item(sim, item);
        break;
    case ITEM_OUTSIDE:
        oracles_on_item(sim);
        break;
    case ITEM_TRIAL:
        conformance_on_item(sim, item);
        break;
    }
}

static void conclude(struct sim *sim)
{
    struct outcome_of_run *outcome = sim->outcome;
    const struct checker *checker = &sim->cluster->checker;
    if (!sim_has_failed(sim)) {
        audit_at_end(sim);
        recipes_at_end(sim);
        registers_at_end(sim);
    }
    outcome->hash = report_hash(sim);
    outcome->slots = checker->chosen_prefix;
    for (size_t i = 0; i < sim->servers; i++) {
        for (size_t k = 0; k < MARK_COUNT; k++) {
            outcome->marks[k] += sim->cluster->nodes[i].fx.marks[k];
        }
    }
    outcome->election_ms = sim->plan.election_ms;
    outcome->length_us = sim->now;
    if (sim_has_failed(sim)) {
        outcome->failed = 1;
        snprintf(outcome->rule, sizeof outcome->rule, "%s", checker->rule);
        snprintf(outcome->sentence, sizeof outcome->sentence, "%s", checker->violation);
        report_failure(sim);
    }
}

static struct sim *running; /* for check_failed alone */

/* A CHECK of a core, or of this simulator, failed: reported as what the seed found. The process is
 * in no state to go on; its parent goes on with the next seed. */
_Noreturn void check_failed(const char *condition, const char *file, int line)
{
    if (running == NULL) {
        fprintf(stderr, "CHECK(%s) failed at %s:%d\n", condition, file, line);
        abort();
    }
    struct sim *sim = running;
    running = NULL;
    sim_violate(sim, "check", "CHECK(%s) failed at %s:%d", condition, file, line);
    report_failure(sim);
    fflush(stdout);
    _Exit(SIM_CHECK_STATUS);
}

void sim_run(const struct sim_options *options, struct outcome_of_run *outcome)
{
    memset(outcome, 0, sizeof *outcome);
    outcome->seed = options->seed;
    outcome->recovered_us = -1;
    struct sim *sim = sim_new(options, outcome);
    running = sim;
    struct item item;
    while (!sim_has_failed(sim) && queue_take(&sim->queue, &item) && item.at <= sim->end_at) {
        sim->now = item.at;
        sim->cluster->now = CLUSTER_EPOCH_MS + item.at / 1000;
        dispatch(sim, &item);
    }
    conclude(sim);
    running = NULL;
    sim_free(sim);
}
