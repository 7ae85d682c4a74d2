#include "tests/sim/conformance.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "proposer/oracle/oracle.h"
#include "tests/sim/audit.h"
#include "tests/sim/oracles.h"

#include <stdlib.h>
#include <string.h>

/* In election timeouts. */
#define BOUND_RAFT 10 /* candidates meet by chance; mostly it is 4 */
#define CALM 8
#define AGREED 6 /* after that long a calm has come to what its settings say */
#define STORM_MAX 12
#define EVENT_WITHIN 2
#define TRANSFERRED_WITHIN 3
#define BENCH_PERIOD 10

#define POLL_US (5 * MS)

/* Of the transfers that a calm asks for. */
#define TRIAL_REQUEST 0x747269616c

enum phase {
    PHASE_STORM,
    PHASE_SETTLING, /* all is well, or the leader has just ended; nobody need lead yet */
    PHASE_CALM,     /* one leads, and stays */
};

/* What happens in a calm. */
enum event_in_calm {
    EVENT_NOTHING,
    EVENT_SETTINGS, /* other ones, through the log */
    EVENT_TRANSFER, /* an operator wants another leader */
    EVENT_KILL,     /* the leader dies, and returns */
    EVENT_TERM,     /* it is told to end */
    EVENT_CHAINED,  /* it loses another host, and keeps its quorum */
    EVENT_COUNT,
};

static const char *const event_names[EVENT_COUNT] = {"nothing", "settings", "transfer",
                                                     "kill",    "term",     "chained"};

struct trial {
    int is_bench;
    enum phase phase;
    enum event_in_calm event;
    int has_happened;
    time_us_t began_at, due_at; /* of the settling */
    int is_extended;
    time_us_t happens_at, ends_at; /* of the calm */
    uint64_t first;                /* the first append that begins after began_at */
    time_us_t new_at;              /* when such a one was chosen; 0: not yet */
    time_us_t led_at; /* when the last leader began to lead, if it did since began_at */
    size_t leader;    /* of the calm; NODES_MAX: nobody */
    /* A transfer that was asked for. */
    int is_transfer_begun;
    node_id_t transfer_to; /* 0: none is open */
    time_us_t transfer_until;
    /* The leader's end. */
    int measures;
    uint64_t messages, oracle_messages;
    uint32_t named_max;
    node_id_t heir; /* who has to lead next; 0: anybody */
    /* The network of a storm. */
    uint32_t drop, duplicate, reorder, tail;
    size_t link_limit, inbox_limit;
};

/* ---- names */

static const char *kind_of(const char *scenario)
{
    static const char *const prefixes[] = {"conformance:", "failover:"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (strncmp(scenario, prefixes[i], strlen(prefixes[i])) == 0) {
            return scenario + strlen(prefixes[i]);
        }
    }
    return NULL;
}

int conformance_exists(const char *scenario)
{
    enum oracle_kind kind;
    const char *name = kind_of(scenario);
    return name != NULL && oracle_kind_parse(name, &kind) == 0;
}

static time_us_t elections(const struct sim *sim, int64_t count)
{
    return count * sim->plan.election_ms * MS;
}

/* ---- the plan */

static void draw_storm(struct sim *sim)
{
    static const enum fault never[] = {FAULT_WIPE, FAULT_ROLL_BACK, FAULT_DAMAGE,
                                       FAULT_TAIL, FAULT_BURST,     FAULT_STRANDED};
    static const size_t sizes[] = {3, 5, 9};
    struct plan *plan = &sim->plan;
    size_t proposers = sizes[rng_below(&sim->menu, 3)];
    size_t acceptors = chance(&sim->menu, 600) ? 3 : 5;
    swarm_draw(sim);
    plan->proposers = sim->options.proposers > 0 ? sim->options.proposers : proposers;
    plan->acceptors = acceptors;
    plan->q1 = plan->q2 = acceptors / 2 + 1;
    plan->is_apart = 0;
    plan->keys = plan->keys < 300 ? plan->keys : 300; /* appends tell what is new */
    plan->operations_per_s = (uint32_t)between(&sim->menu, 30, 80);
    plan->clients = plan->clients < 4 ? plan->clients : 4;
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        plan->pace[never[i]] = 0;
    }
    for (enum fault fault = 0; fault < FAULT_KINDS; fault++) { /* storms are short */
        plan->pace[fault] = plan->pace[fault] > 2 * SECOND ? 2 * SECOND : plan->pace[fault];
    }
}

/* Nothing breaks but leaders. */
static void draw_bench(struct sim *sim)
{
    struct plan *plan = &sim->plan;
    *plan = (struct plan){.acceptors = 5,
                          .proposers = sim->options.proposers > 0 ? sim->options.proposers : 3,
                          .learners = 2,
                          .clients = 2,
                          .q1 = 3,
                          .q2 = 3,
                          .heartbeat_ms = 50,
                          .election_ms = 500,
                          .latency_us = between(&sim->menu, 50, 2000),
                          .jitter_us = between(&sim->menu, 0, 1000),
                          .late_max_us = SECOND,
                          .sync_us = 800,
                          .turn_us = 20,
                          .operations_per_s = 20,
                          .reads = 200,
                          .record_bytes_max = 500,
                          .session_ttl_ms = 2000000000,
                          .outstanding_max = 40,
                          .outside = OUTSIDE_STEADY};
    settings_init(&plan->settings);
    plan->settings.candidate_count = plan->proposers;
    for (size_t i = 0; i < plan->proposers; i++) { /* ranks in any order: on a ring it matters */
        plan->settings.candidates[i] = (struct candidate_settings){
            .id = (node_id_t)i + 1, .priority = (uint32_t)rng_below(&sim->menu, 1000)};
    }
}

void conformance_prepare(struct sim *sim)
{
    struct trial *trial = memory_calloc(1, sizeof *trial);
    struct plan *plan = &sim->plan;
    sim->trial = trial;
    trial->is_bench = sim->options.scenario[0] == 'f';
    CHECK(oracle_kind_parse(kind_of(sim->options.scenario), &sim->options.oracle) == 0);
    if (trial->is_bench) {
        draw_bench(sim);
        plan->settings.kind = sim->options.oracle;
    } else {
        draw_storm(sim);
        oracles_draw(sim);
    }
    trial->leader = NODES_MAX;
    trial->drop = plan->drop;
    trial->duplicate = plan->duplicate;
    trial->reorder = plan->reorder;
    trial->tail = plan->tail;
    trial->link_limit = plan->link_limit;
    trial->inbox_limit = plan->inbox_limit;
}

void conformance_free(struct sim *sim)
{
    free(sim->trial);
}

time_us_t conformance_bound_us(const struct sim *sim)
{
    return sim->options.is_raft ? elections(sim, BOUND_RAFT) : oracles_bound_us(sim);
}

/* ---- who leads, and who could */

static enum role leading_role(const struct sim *sim)
{
    return sim->options.is_raft ? ROLE_ACCEPTOR : ROLE_PROPOSER;
}

static size_t candidate_count(const struct sim *sim)
{
    return sim->options.is_raft ? sim->plan.acceptors : sim->plan.proposers;
}

static size_t candidate_index(struct sim *sim, size_t position)
{
    return sim_index(sim, sim_node(sim, leading_role(sim), position));
}

/* The one that leads, or NODES_MAX if nobody does, or several. */
static size_t only_leader(struct sim *sim)
{
    size_t found = NODES_MAX;
    for (size_t i = 0; i < candidate_count(sim); i++) {
        size_t index = candidate_index(sim, i);
        if (sim_leads(&sim->cluster->nodes[index])) {
            if (found != NODES_MAX) {
                return NODES_MAX;
            }
            found = index;
        }
    }
    return found;
}

static int campaigns(const struct node *node)
{
    return (node->proposer != NULL && proposer_state(node->proposer) == NODE_PREPARING) ||
           (node->raft != NULL && raft_role(node->raft) == RAFT_CANDIDATE);
}

static const char *name_of(const struct sim *sim, size_t index)
{
    return index < NODES_MAX ? sim->cluster->nodes[index].name : "nobody";
}

/* ---- storms and calms */

static void begin_storm(struct sim *sim)
{
    struct trial *trial = sim->trial;
    struct plan *plan = &sim->plan;
    trial->phase = PHASE_STORM;
    sim->is_calm = 0;
    plan->drop = trial->drop;
    plan->duplicate = trial->duplicate;
    plan->reorder = trial->reorder;
    plan->tail = trial->tail;
    plan->link_limit = trial->link_limit;
    plan->inbox_limit = trial->inbox_limit;
    trial->due_at = sim->now + elections(sim, between(&sim->menu, STORM_MAX / 3, STORM_MAX));
    report_line(sim, NULL, "sim=storm");
}

static void begin_settling(struct sim *sim, const char *why)
{
    struct trial *trial = sim->trial;
    trial->phase = PHASE_SETTLING;
    trial->began_at = sim->now;
    trial->due_at = sim->now + conformance_bound_us(sim);
    trial->first = audit_next(sim->audit);
    trial->is_extended = 0;
    trial->new_at = 0;
    trial->led_at = sim->now;
    trial->transfer_to = 0;
    report_line(sim, NULL, "sim=settling why=%s", why);
}

static void begin_calm(struct sim *sim)
{
    struct plan *plan = &sim->plan;
    sim->is_calm = 1;
    sim->epoch++;
    partition_heal(sim);
    transport_unclog(sim);
    plan->drop = plan->duplicate = plan->reorder = plan->tail = 0;
    plan->link_limit = plan->inbox_limit = 0;
    for (size_t i = 0; i < sim->servers; i++) {
        liveness_make_well(sim, i);
    }
    for (size_t i = 0; i < plan->clients; i++) {
        client_sleep(sim, i, 0);
    }
    begin_settling(sim, "calm");
    sim->trial->has_happened = 0;
}

/* Somebody leads, and something new is chosen. */
static void end_settling(struct sim *sim)
{
    struct trial *trial = sim->trial;
    struct outcome_of_run *outcome = sim->outcome;
    trial->leader = only_leader(sim);
    if (trial->leader == NODES_MAX && !oracles_are_steady(sim) && !trial->is_extended) {
        trial->is_extended = 1; /* one that ranks higher is just being handed over to */
        trial->due_at += elections(sim, 1);
        return;
    }
    if (trial->leader == NODES_MAX || trial->new_at == 0) {
        sim_violate(sim, "recovery", "after %lld ms in which all was well, %s, and %s is chosen",
                    (long long)((sim->now - trial->began_at) / MS),
                    trial->leader == NODES_MAX ? "nobody leads, or several do" : "somebody leads",
                    trial->new_at == 0 ? "nothing new" : "something new");
        return;
    }
    time_us_t took = (trial->led_at > trial->new_at ? trial->led_at : trial->new_at);
    if (outcome->settled_count < TRIALS_MAX) {
        outcome->settled_us[outcome->settled_count++] = took - trial->began_at;
    }
    trial->phase = PHASE_CALM;
    trial->ends_at = sim->now + elections(sim, trial->is_bench ? BENCH_PERIOD : CALM);
    if (!trial->has_happened) {
        trial->event =
            trial->is_bench ? EVENT_KILL : (enum event_in_calm)rng_below(&sim->menu, EVENT_COUNT);
        trial->happens_at = sim->now + between(&sim->menu, 0, elections(sim, EVENT_WITHIN));
    }
    report_line(sim, NULL, "sim=settled leader=%s", name_of(sim, trial->leader));
}

/* A calm has lasted for long enough to have come to what the settings say. */
static void check_agreed(struct sim *sim)
{
    const struct settings *settings = oracles_settings(sim);
    size_t leader = only_leader(sim);
    if (leader == NODES_MAX) {
        sim_violate(sim, "stability", "at the end of a calm nobody leads, or several do");
        return;
    }
    const uint32_t *marks = sim->cluster->nodes[leader].fx.marks;
    if (sim->options.is_raft && marks[MARK_PREEMPTED] + marks[MARK_BARRED_LEADER] > 0) {
        return; /* it may have tried that in vain, and tries it again after a while */
    }
    node_id_t id = (node_id_t)sim->cluster->nodes[leader].self.id;
    for (size_t i = 0; i < candidate_count(sim); i++) {
        const struct node *other = sim_node(sim, leading_role(sim), i);
        if (!settings_bar(settings, (node_id_t)other->self.id) &&
            oracles_explain(sim, leader, sim_index(sim, other))) {
            sim_violate(sim, "rank", "at the end of a calm proposer %u leads, and %s should", id,
                        other->name);
            return;
        }
    }
}

/* ---- what happens in a calm */

static void kill_leader(struct sim *sim)
{
    struct trial *trial = sim->trial;
    trial->messages = sim->outcome->election_messages;
    trial->oracle_messages = sim->outcome->oracle_messages;
    trial->named_max = 0;
    trial->measures = 1;
    trial->heir = oracles_heir(sim, trial->leader);
    process_crash(sim, trial->leader, 0);
    process_start_in(sim, trial->leader,
                     elections(sim, trial->is_bench ? BENCH_PERIOD - 2 : 0) +
                         between(&sim->menu, 1, elections(sim, 3)));
    begin_settling(sim, "kill");
}

/* Somebody else who may lead. */
static node_id_t draw_target(struct sim *sim)
{
    size_t count = candidate_count(sim);
    size_t first = rng_below(&sim->menu, count);
    for (size_t i = 0; i < count; i++) {
        size_t position = (first + i) % count;
        const struct node *node = sim_node(sim, leading_role(sim), position);
        if (sim_index(sim, node) != sim->trial->leader &&
            !settings_bar(oracles_settings(sim), (node_id_t)node->self.id)) {
            return (node_id_t)node->self.id;
        }
    }
    return 0;
}

/* Through the proposer that leads; in Raft mode through any. */
static void ask_for_transfer(struct sim *sim)
{
    struct trial *trial = sim->trial;
    struct message msg = {.kind = MSG_TRANSFER};
    trial->transfer_to = draw_target(sim);
    if (trial->transfer_to == 0) {
        return;
    }
    trial->is_transfer_begun = 0;
    trial->transfer_until = sim->now + elections(sim, TRANSFERRED_WITHIN);
    msg.transfer = (struct msg_transfer){TRIAL_REQUEST, trial->transfer_to};
    size_t to = sim->options.is_raft ? sim->plan.acceptors : trial->leader;
    cluster_send(sim->cluster, sim_node(sim, ROLE_CLIENT, 0), &sim->cluster->nodes[to], &msg);
}

static void cut_chain(struct sim *sim)
{
    size_t leader = sim->cluster->nodes[sim->trial->leader].self.id - 1;
    size_t count = sim->plan.acceptors;
    size_t hub = leader < count ? (leader + 1 + rng_below(&sim->menu, count - 1)) % count
                                : rng_below(&sim->menu, count);
    (void)partition_named(sim, "chained", leader, hub);
}

static void happen(struct sim *sim)
{
    struct trial *trial = sim->trial;
    trial->has_happened = 1;
    report_line(sim, NULL, "sim=happens what=%s leader=%s", event_names[trial->event],
                name_of(sim, trial->leader));
    switch (trial->event) {
    case EVENT_SETTINGS:
        client_set_oracle(sim, rng_below(&sim->menu, sim->plan.clients));
        break;
    case EVENT_TRANSFER:
        ask_for_transfer(sim);
        break;
    case EVENT_KILL:
        kill_leader(sim);
        break;
    case EVENT_TERM:
        begin_settling(sim, "term");
        process_shutdown(sim, trial->leader);
        break;
    case EVENT_CHAINED:
        cut_chain(sim);
        break;
    default:
        break;
    }
}

/* ---- watching */

static void watch_calm(struct sim *sim)
{
    struct trial *trial = sim->trial;
    const struct node *leader = &sim->cluster->nodes[trial->leader];
    for (size_t i = 0; i < candidate_count(sim); i++) {
        const struct node *node = sim_node(sim, leading_role(sim), i);
        int is_asked =
            sim->options.is_raft &&
            (trial->transfer_to == node->self.id ||
             oracles_explain(sim, trial->leader,
                             sim_index(sim, node))); /* while the other one still leads */
        if (sim_leads(leader) && campaigns(node) && !is_asked) {
            sim_violate(sim, "stability", "%s campaigns while %s serves a quorum", node->name,
                        leader->name);
        }
    }
    if (trial->transfer_to != 0 && sim->now >= trial->transfer_until) {
        sim_violate(sim, "transfer", "%s does not lead, %s",
                    trial->is_transfer_begun ? "the one that it was handed over to"
                                             : "who should by an operator's wish",
                    trial->is_transfer_begun ? "and somebody began to hand over"
                                             : "and nobody began to hand over");
    }
}

static void on_time(struct sim *sim)
{
    struct trial *trial = sim->trial;
    switch (trial->phase) {
    case PHASE_STORM:
        if (sim->now >= trial->due_at) {
            begin_calm(sim);
        }
        break;
    case PHASE_SETTLING:
        if (sim->now >= trial->due_at) {
            end_settling(sim);
        }
        break;
    case PHASE_CALM:
        watch_calm(sim);
        if (!trial->has_happened && sim->now >= trial->happens_at) {
            happen(sim);
        } else if (sim->now >= trial->ends_at) {
            check_agreed(sim);
            if (trial->is_bench) {
                trial->has_happened = 0;
                begin_settling(sim, "again");
            } else {
                begin_storm(sim);
            }
        }
        break;
    }
}

void conformance_on_item(struct sim *sim, const struct item *item)
{
    (void)item;
    if (sim->is_healed) {
        return;
    }
    on_time(sim);
    sim_at(sim, sim->now + POLL_US, ITEM_TRIAL, NODES_MAX, 0);
}

void conformance_start(struct sim *sim)
{
    if (sim->trial->is_bench) {
        begin_calm(sim);
    } else {
        fault_init(sim);
        begin_storm(sim);
    }
    sim_at(sim, sim->now + POLL_US, ITEM_TRIAL, NODES_MAX, 0);
}

/* ---- what is told */

static void end_measuring(struct sim *sim)
{
    struct trial *trial = sim->trial;
    struct outcome_of_run *outcome = sim->outcome;
    if (trial->measures && outcome->failover_count < TRIALS_MAX) {
        outcome->failovers[outcome->failover_count++] = (struct failover){
            .took_us = sim->now - trial->began_at,
            .oracle_messages = (uint32_t)(outcome->oracle_messages - trial->oracle_messages),
            .messages = (uint32_t)(outcome->election_messages - trial->messages),
            .named_max = trial->named_max,
        };
    }
    trial->measures = 0;
}

/* The dead leader may be back in time. */
static void check_heir(struct sim *sim, size_t index)
{
    struct trial *trial = sim->trial;
    node_id_t id = (node_id_t)sim->cluster->nodes[index].self.id;
    if (trial->measures && trial->heir != 0 && id != trial->heir && index != trial->leader) {
        sim_violate(sim, "rank", "proposer %u leads in the place of %s, and proposer %u should", id,
                    name_of(sim, trial->leader), trial->heir);
    }
}

void conformance_on_leading(struct sim *sim, size_t index)
{
    struct trial *trial = sim->trial;
    if (trial == NULL || sim->is_healed) {
        return;
    }
    trial->led_at = sim->now;
    check_heir(sim, index);
    end_measuring(sim);
    if (trial->phase != PHASE_CALM) {
        return;
    }
    int is_wanted = trial->transfer_to == sim->cluster->nodes[index].self.id;
    if (!is_wanted && !oracles_explain(sim, trial->leader, index)) {
        sim_violate(sim, "stability", "%s leads in the place of %s, and nothing explains it",
                    name_of(sim, index), name_of(sim, trial->leader));
    }
    trial->transfer_to = is_wanted ? 0 : trial->transfer_to;
    trial->leader = index;
}

void conformance_on_chosen(struct sim *sim, struct slice value)
{
    struct trial *trial = sim->trial;
    if (trial != NULL && trial->phase == PHASE_SETTLING && trial->new_at == 0 &&
        audit_is_new(value, trial->first)) {
        trial->new_at = sim->now;
    }
}

void conformance_on_turn(struct sim *sim)
{
    struct trial *trial = sim->trial;
    if (trial != NULL && trial->measures) {
        uint32_t named = oracles_named(sim);
        trial->named_max = named > trial->named_max ? named : trial->named_max;
    }
}

void conformance_on_transferred(struct sim *sim, const struct msg_transferred *answer)
{
    struct trial *trial = sim->trial;
    if (trial == NULL || answer->request != TRIAL_REQUEST || trial->transfer_to == 0) {
        return;
    }
    if (answer->status == TRANSFER_BEGUN) {
        trial->is_transfer_begun = 1;
    } else if (answer->status == TRANSFER_BUSY || answer->status == TRANSFER_NOT_LEADER ||
               answer->status == TRANSFER_ALREADY) {
        trial->transfer_to = 0; /* the settings were first */
    } else {
        sim_violate(sim, "transfer", "in a calm an operator's wish is refused: status %u",
                    answer->status);
    }
}

void conformance_on_send(struct sim *sim, const struct node *from, const struct node *to,
                         const struct message *msg)
{
    int is_oracle = msg->kind == MSG_ORACLE || msg->kind == MSG_LEASE || msg->kind == MSG_LEASED;
    int is_between = from->self.role <= ROLE_PROPOSER && to->self.role <= ROLE_PROPOSER;
    sim->outcome->oracle_messages += (uint64_t)is_oracle;
    sim->outcome->election_messages += (uint64_t)is_between;
}
