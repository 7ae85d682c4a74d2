/* Who should lead, as a seed wants it: the oracle and its settings, and the program outside that
 * names somebody, or falls silent. They are drawn from a generator of their own, so that all else a
 * seed does stays as it is. */
#include "tests/sim/oracles.h"

#include "common/protocol/value.h"
#include "proposer/oracle/oracle.h"
#include "tests/model/reference_oracle.h"
#include "tests/sim/mirror.h"

#include <stdio.h>
#include <string.h>

/* Candidates are proposers, in Raft mode acceptors. */
static size_t candidate_count(const struct sim *sim)
{
    return sim->options.is_raft ? sim->plan.acceptors : sim->plan.proposers;
}

/* ---- settings */

/* In election timeouts: of an oracle that does not state one of its own. */
#define BOUND_ELECTIONS 4

static enum oracle_kind any_kind(struct sim *sim)
{
    return (enum oracle_kind)between(&sim->menu, 1, ORACLE_KIND_END - 1);
}

static enum oracle_kind draw_kind(struct sim *sim)
{
    if (sim->options.oracle != 0) {
        return sim->options.oracle;
    }
    if (chance(&sim->menu, 500)) {
        return ORACLE_CONNECTED;
    }
    return any_kind(sim);
}

static void draw_candidates(struct sim *sim, struct settings *settings)
{
    static const char *const zones[] = {"", "east", "west"};
    int has_priorities = chance(&sim->menu, 500);
    int has_zones = chance(&sim->menu, 300);
    settings->candidate_count = candidate_count(sim);
    for (size_t i = 0; i < settings->candidate_count; i++) {
        struct candidate_settings *candidate = &settings->candidates[i];
        candidate->id = (node_id_t)i + 1;
        candidate->priority = (uint32_t)(has_priorities ? rng_below(&sim->menu, 4) * 10 : 100 - i);
        candidate->is_barred = (sim->plan.may_be_barred >> i & 1) && chance(&sim->menu, 500);
        snprintf(candidate->zone, sizeof candidate->zone, "%s",
                 zones[has_zones ? rng_below(&sim->menu, 3) : 0]);
    }
    snprintf(settings->zone, sizeof settings->zone, "%s", has_zones ? "east" : "");
}

/* Some of the proposers, in any order. */
static void draw_order(struct sim *sim, struct settings *settings)
{
    size_t count = sim->plan.proposers;
    node_id_t ids[MEMBERS_MAX];
    for (size_t i = 0; i < count; i++) {
        ids[i] = (node_id_t)i + 1;
    }
    settings->order_count = rng_below(&sim->menu, count + 1);
    for (size_t i = 0; i < settings->order_count; i++) {
        size_t at = i + rng_below(&sim->menu, count - i);
        settings->order[i] = ids[at];
        ids[at] = ids[i];
    }
}

/* A tree, and some edges more, so that each proposer hears of each other one. */
static void draw_topology(struct sim *sim, struct settings *settings)
{
    uint32_t parents[MEMBERS_MAX] = {0};
    size_t count = sim->plan.proposers;
    uint32_t more = (uint32_t)rng_below(&sim->menu, 500);
    for (size_t i = 1; i < count; i++) {
        parents[i] = (uint32_t)rng_below(&sim->menu, i);
    }
    for (size_t a = 0; a < count; a++) {
        for (size_t b = a + 1; b < count; b++) {
            if (parents[b] == a || chance(&sim->menu, more)) {
                settings->edges[settings->edge_count++] =
                    (struct edge){(node_id_t)a + 1, (node_id_t)b + 1};
            }
        }
    }
    if (chance(&sim->menu, 300)) { /* an operator's guess that is long enough */
        settings->diameter = (uint32_t)count;
    }
}

void oracles_draw_settings(struct sim *sim, enum oracle_kind kind, struct settings *settings)
{
    settings_init(settings);
    settings->kind = kind;
    settings->preempts = chance(&sim->menu, 250);
    draw_candidates(sim, settings);
    if (kind == ORACLE_STATIC || chance(&sim->menu, 100)) {
        draw_order(sim, settings);
    }
    if (kind == ORACLE_FLOODMAX && chance(&sim->menu, 700)) {
        draw_topology(sim, settings);
    }
}

/* Whom no settings of this run ever bar: at least one that the healed core will have. In Raft mode
 * that needs acceptors that keep their stores, since who lacks entries cannot lead. */
static uint32_t draw_may_be_barred(struct sim *sim)
{
    const struct plan *plan = &sim->plan;
    size_t count = candidate_count(sim);
    size_t quorum = plan->q1 > plan->q2 ? plan->q1 : plan->q2;
    size_t most = sim->options.is_raft ? count - quorum : count - 1;
    int loses = plan->pace[FAULT_WIPE] > 0 || plan->pace[FAULT_ROLL_BACK] > 0 ||
                plan->pace[FAULT_DAMAGE] > 0 || plan->pace[FAULT_TAIL] > 0;
    uint32_t set = 0;
    if (!chance(&sim->menu, 300) || (sim->options.is_raft && loses)) {
        return 0;
    }
    for (size_t i = 0; i < count && most > 0; i++) {
        if (chance(&sim->menu, 600)) {
            set |= (uint32_t)1 << i;
            most--;
        }
    }
    return set;
}

void oracles_draw(struct sim *sim)
{
    struct plan *plan = &sim->plan;
    enum oracle_kind kind = draw_kind(sim);
    plan->may_be_barred = draw_may_be_barred(sim);
    oracles_draw_settings(sim, kind, &plan->settings);
    static const struct {
        uint32_t odds;
        time_us_t fast;
    } kinds[] = {[FAULT_TRANSFER] = {300, SECOND}, [FAULT_SETTINGS] = {350, 2 * SECOND}};
    for (enum fault fault = FAULT_TRANSFER; fault <= FAULT_SETTINGS; fault++) {
        if (chance(&sim->menu, kinds[fault].odds)) {
            plan->pace[fault] = kinds[fault].fast << rng_below(&sim->menu, 4);
        }
    }
    plan->outside = (enum outside)between(&sim->menu, OUTSIDE_SILENT, OUTSIDE_FICKLE);
}

int oracles_may_be_barred(const struct sim *sim, size_t position)
{
    return (sim->plan.may_be_barred >> position & 1) != 0;
}

/* ---- those in force */

const struct settings *oracles_settings(const struct sim *sim)
{
    return sim->ruling.version > 0 ? &sim->ruling : &sim->plan.settings;
}

void oracles_on_chosen(struct sim *sim)
{
    const struct reference_oracle *oracle = reference_oracle(mirror_reference(sim->mirror));
    struct settings settings;
    if (oracle->version == sim->ruling.version ||
        settings_parse(oracle->settings, &settings, NULL) != 0) {
        return;
    }
    settings.version = oracle->version;
    sim->ruled = *oracles_settings(sim);
    sim->ruled_until = sim->now + 4 * sim->plan.election_ms * MS;
    sim->ruling = settings;
    report_line(sim, NULL, "sim=oracle_set version=%llu kind=%s preempts=%d",
                (unsigned long long)settings.version, oracle_kind_name(settings.kind),
                settings.preempts);
}

/* Those before, while some may still go by them; else those in force. */
static const struct settings *former(const struct sim *sim)
{
    return sim->now < sim->ruled_until ? &sim->ruled : oracles_settings(sim);
}

static time_us_t bound_us(const struct sim *sim, const struct settings *settings)
{
    const struct oracle_class *class = oracle_class_of(settings->kind);
    struct oracle_view view = {.now = sim->cluster->now,
                               .self = 1,
                               .heartbeat_ms = sim->plan.heartbeat_ms,
                               .election_ms = sim->plan.election_ms,
                               .members = &sim->cluster->options.members,
                               .settings = settings,
                               .candidate_count = sim->plan.proposers};
    for (size_t i = 0; i < view.candidate_count; i++) {
        view.candidates[i] =
            (struct oracle_candidate){.id = (node_id_t)i + 1, .is_alive = 1, .reaches_quorum = 1};
    }
    time_ms_t bound_ms = class->bound_ms != NULL ? class->bound_ms(&view) : 0;
    time_ms_t least_ms = BOUND_ELECTIONS * sim->plan.election_ms;
    return (bound_ms > least_ms ? bound_ms : least_ms) * MS;
}

time_us_t oracles_bound_us(const struct sim *sim)
{
    time_us_t now = bound_us(sim, oracles_settings(sim));
    time_us_t before = bound_us(sim, former(sim));
    return now > before ? now : before;
}

int oracles_are_steady(const struct sim *sim)
{
    return !oracles_settings(sim)->preempts && sim->now >= sim->ruled_until;
}

static int explains(const struct settings *settings, node_id_t from, node_id_t to)
{
    return settings_bar(settings, from) ||
           (settings->preempts && settings_weight(settings, to) > settings_weight(settings, from));
}

int oracles_explain(const struct sim *sim, size_t leader, size_t next)
{
    node_id_t from = (node_id_t)sim->cluster->nodes[leader].self.id;
    node_id_t to = (node_id_t)sim->cluster->nodes[next].self.id;
    return explains(oracles_settings(sim), from, to) || explains(former(sim), from, to);
}

/* ---- whom oracles name */

static int may_follow(const struct sim *sim, node_id_t id, size_t leader)
{
    return id != sim->cluster->nodes[leader].self.id && !settings_bar(oracles_settings(sim), id);
}

static node_id_t highest(const struct sim *sim, size_t leader)
{
    const struct settings *settings = oracles_settings(sim);
    node_id_t best = 0;
    for (node_id_t id = 1; id <= sim->plan.proposers; id++) {
        if (may_follow(sim, id, leader) &&
            (best == 0 || rank_compare(settings_weight(settings, id), id,
                                       settings_weight(settings, best), best) > 0)) {
            best = id;
        }
    }
    return best;
}

static node_id_t first_of(const struct sim *sim, const node_id_t *ids, size_t count, size_t leader)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] <= sim->plan.proposers && may_follow(sim, ids[i], leader)) {
            return ids[i];
        }
    }
    return highest(sim, leader);
}

node_id_t oracles_heir(const struct sim *sim, size_t leader)
{
    const struct settings *settings = oracles_settings(sim);
    const struct reference_oracle *oracle = reference_oracle(mirror_reference(sim->mirror));
    node_id_t line[MEMBERS_MAX];
    for (size_t i = 0; i < oracle->line_count; i++) {
        line[i] = oracle->line[i].proposer;
    }
    if (sim->options.is_raft || sim->now < sim->ruled_until) {
        return 0;
    }
    switch (settings->kind) {
    case ORACLE_CONNECTED:
    case ORACLE_GOSSIP:
        return highest(sim, leader);
    case ORACLE_STATIC:
        return first_of(sim, settings->order, settings->order_count, leader);
    case ORACLE_SUCCESSION:
        return first_of(sim, line, oracle->line_count, leader);
    default:
        return 0;
    }
}

/* Its oracle names it, or has just done so: it campaigns. */
static int names_itself(const struct sim *sim, const struct node *node)
{
    const struct proposer *p = node->proposer;
    return p != NULL && (proposer_state(p) >= NODE_PREPARING ||
                         proposer_names(p, node_now(sim->cluster, node)) == node->self.id);
}

uint32_t oracles_named(struct sim *sim)
{
    uint32_t named = 0;
    for (size_t i = 0; i < sim->plan.proposers; i++) {
        named += names_itself(sim, sim_node(sim, ROLE_PROPOSER, i)) != 0;
    }
    return named;
}

/* It would be named if nobody served. */
static int holds_lease(const struct sim *sim, const struct node *node)
{
    const struct proposer *p = node->proposer;
    return p != NULL && proposer_settings(p)->kind == ORACLE_LEASE &&
           proposer_would_name(p, node_now(sim->cluster, node)) == node->self.id;
}

void oracles_on_turn(struct sim *sim, const struct node *node)
{
    const time_us_t *pace = sim->plan.pace;
    if (pace[FAULT_CLOCK_JUMP] > 0 || pace[FAULT_CLOCK_RATE] > 0 || pace[FAULT_CLOCK_STOP] > 0 ||
        !holds_lease(sim, node)) {
        return; /* it rests on clocks that do not differ by too much */
    }
    for (size_t i = 0; i < sim->plan.proposers; i++) {
        const struct node *other = sim_node(sim, ROLE_PROPOSER, i);
        if (other != node && holds_lease(sim, other)) {
            sim_violate(sim, "holder", "%s and %s hold the lease of the oracle at once", node->name,
                        other->name);
        }
    }
}

/* ---- operators */

void oracles_put_command(struct sim *sim, struct buffer *out)
{
    struct settings settings;
    uint8_t bytes[SETTINGS_BYTES_MAX];
    int is_any = sim->trial != NULL && chance(&sim->menu, 500); /* away from the one on trial */
    oracles_draw_settings(sim, is_any ? any_kind(sim) : draw_kind(sim), &settings);
    size_t size = settings_put(bytes, &settings);
    command_put_head(buffer_extend(out, COMMAND_HEAD_BYTES), COMMAND_SETTINGS, (uint32_t)size + 8);
    uint64_t version = sim->settings_version;
    if (version > 0 && chance(&sim->menu, 150)) {
        version--; /* somebody changes what has been changed since */
    }
    buffer_put_u64(out, version);
    buffer_put(out, slice_borrow(bytes, size));
}

void oracles_transfer(struct sim *sim)
{
    size_t count = candidate_count(sim);
    size_t proposer = rng_below(&sim->menu, sim->plan.proposers);
    struct message msg = {.kind = MSG_TRANSFER};
    msg.transfer.request = rng_next(&sim->menu);
    msg.transfer.to = (node_id_t)rng_below(&sim->menu, count + 1); /* 0: whoever */
    for (size_t i = 0; i < sim->plan.proposers; i++) {
        if (node_leadership(sim_node(sim, ROLE_PROPOSER, i)) == NODE_LEADING) {
            proposer = chance(&sim->menu, 700) ? i : proposer;
        }
    }
    cluster_send(sim->cluster, sim_node(sim, ROLE_CLIENT, 0),
                 sim_node(sim, ROLE_PROPOSER, proposer), &msg);
}

/* ---- the program outside */

static void name(struct sim *sim, node_id_t proposer, uint32_t valid_ms)
{
    struct message msg = {.kind = MSG_NAME};
    msg.name = (struct msg_name){++sim->outside_request, proposer, valid_ms};
    for (size_t i = 0; i < sim->plan.proposers; i++) {
        cluster_send(sim->cluster, sim_node(sim, ROLE_CLIENT, 0), sim_node(sim, ROLE_PROPOSER, i),
                     &msg);
    }
}

static node_id_t draw_proposer(struct sim *sim)
{
    return (node_id_t)between(&sim->menu, 1, (int64_t)sim->plan.proposers);
}

void oracles_start(struct sim *sim)
{
    if (sim->plan.outside != OUTSIDE_SILENT) {
        sim->outside_names = draw_proposer(sim);
        sim_at(sim, sim->now + between(&sim->menu, 1, SECOND), ITEM_OUTSIDE, NODES_MAX, 0);
    }
}

void oracles_on_item(struct sim *sim)
{
    time_ms_t election_ms = sim->plan.election_ms;
    if (sim->plan.outside == OUTSIDE_FICKLE && !sim->is_healed && chance(&sim->menu, 50)) {
        sim->outside_names = chance(&sim->menu, 200) ? 0 : draw_proposer(sim);
    }
    name(sim, sim->outside_names, (uint32_t)between(&sim->menu, 1, 4 * election_ms));
    sim_at(sim, sim->now + between(&sim->menu, 1, election_ms * MS), ITEM_OUTSIDE, NODES_MAX, 0);
}
