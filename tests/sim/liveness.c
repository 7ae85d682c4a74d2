/* That something happens: a run ends with a core that must be able to go on (a quorum of acceptors,
 * one proposer, one learner), while everything else stays broken for ever. Whatever was pending has
 * to be done in time, leadership has to stay where it is then, and all queues have to be empty. */
#include "common/protocol/value.h"
#include "tests/model/reference.h"
#include "tests/sim/audit.h"
#include "tests/sim/conformance.h"
#include "tests/sim/contenders.h"
#include "tests/sim/mirror.h"
#include "tests/sim/oracles.h"

#include <stdio.h>

/* In election timeouts. */
#define DONE_WITHIN 10
#define ENDED_WITHIN 2
#define HANDS_OVER_WITHIN 4
#define WATCH_US (50 * MS)

/* Late refusals, each of a ballot of its own, after which a leader prepares anew. */
#define RENEWALS_MAX 3

/* Clients leave one that sleeps after a time of their own, which shorter elections leave no room
 * for. */
#define ASLEEP_CONNECTED_MS 500

/* Messages that may wait at a process when all is well. */
#define WAITING_MAX 100

static time_us_t elections(const struct sim *sim, int64_t count)
{
    return count * sim->plan.election_ms * MS;
}

/* ---- the healing */

/* Where the choice begins: anywhere, or at who leads, or at the acceptor that was stranded last. */
static size_t first_of_core(struct sim *sim, enum role role, size_t total)
{
    size_t first = rng_below(&sim->fate, total);
    if (!chance(&sim->fate, 400)) {
        return first;
    }
    if (role == ROLE_ACCEPTOR && sim->stranded.acceptor < total) {
        return sim->stranded.acceptor;
    }
    for (size_t i = 0; i < total && role == ROLE_PROPOSER; i++) {
        const struct node *node = sim_node(sim, role, i);
        if (node->proposer != NULL && proposer_state(node->proposer) == NODE_LEADING) {
            return i;
        }
    }
    return first;
}

/* Whoever has to lead the core must never be barred: a change of the settings may be under way. */
static int may_lead_core(const struct sim *sim, enum role role, size_t position)
{
    enum role leaders = sim->options.is_raft ? ROLE_ACCEPTOR : ROLE_PROPOSER;
    return role != leaders || !oracles_may_be_barred(sim, position);
}

/* Chooses count nodes of a role among those whose store was not refused. */
static void choose_core(struct sim *sim, enum role role, size_t total, size_t count)
{
    size_t offset = first_of_core(sim, role, total);
    for (size_t i = 0; i < total && count > 0; i++) {
        size_t position = (i + offset) % total;
        size_t index = sim_index(sim, sim_node(sim, role, position));
        if (process_has_store(sim, index) && may_lead_core(sim, role, position)) {
            sim->is_core[index] = 1;
            count--;
        }
    }
}

/* What stays broken may still reach some of the core, or be reached: never a quorum both ways. */
static void break_for_ever(struct sim *sim, size_t index)
{
    int mode = (int)rng_below(&sim->fate, 5);
    const struct node *node = &sim->cluster->nodes[index];
    static const char *const names[] = {"dead", "cut off", "mute", "deaf", "asleep"};
    report_line(sim, node, "sim=broken_for_ever how=\"%s\"", names[mode]);
    sim->processes[index].is_gone |= 2; /* it does not start again */
    if (mode == 0) {
        process_crash(sim, index, 1);
    } else if (mode == 4) {
        sim->processes[index].paused_until = sim->end_at + SECOND;
    } else if (mode == 3) {
        /* What has arrived is not heard, either: one that pauses would answer it seconds later,
         * when all has been well, and tell a leader of a promise that it gave before. */
        process_drop_waiting(sim, index);
    }
    if (mode == 4 && sim->plan.election_ms >= ASLEEP_CONNECTED_MS) {
        return; /* as one that was stopped: its connections stand, and nothing comes of them */
    }
    for (size_t i = 0; i < sim->cluster->node_count; i++) {
        transport_cut(sim, index, i, mode != 3);
        transport_cut(sim, i, index, mode != 2);
    }
}

void liveness_make_well(struct sim *sim, size_t index)
{
    struct process *process = &sim->processes[index];
    process->paused_until = 0;
    process->hung_until = 0;
    process->slow_until = 0;
    process->slow_disk_until = 0;
    process->is_full = 0;
    process->fails_write = 0;
    process->crash_in = 0;
    process->straggle_until = 0;
    process->meets_clients_at = 0;
    process->ends_in_recovery = 0;
    process->dies_preparing = 0;
    process->prepares_only = 0;
    process->loses_tail = 0;
    process->sync_us = sim->plan.sync_us;
    process->turn_us = sim->plan.turn_us;
    sim->cluster->nodes[index].disk_low = 0;
    process_set_clock(sim, index, CLOCK_TRUE_RATE, 0);
    process_start_in(sim, index, 0);
    sim_at(sim, sim->now, ITEM_RESUME, (uint32_t)index, 0);
    if (sim->cluster->nodes[index].write_waits) {
        sim_at(sim, sim->now + process->sync_us, ITEM_SYNCED, (uint32_t)index, 0);
    }
}

void liveness_heal(struct sim *sim)
{
    struct plan *plan = &sim->plan;
    size_t quorum = plan->q1 > plan->q2 ? plan->q1 : plan->q2;
    sim->is_healed = 1;
    sim->epoch++;
    partition_heal(sim);
    transport_unclog(sim);
    plan->drop = plan->duplicate = plan->reorder = plan->tail = 0;
    plan->link_limit = plan->inbox_limit = 0;
    plan->late_results = 0;
    choose_core(sim, ROLE_ACCEPTOR, plan->acceptors, quorum);
    choose_core(sim, ROLE_PROPOSER, plan->proposers, 1);
    choose_core(sim, ROLE_LEARNER, plan->learners, 1);
    for (size_t i = 0; i < sim->servers; i++) {
        if (sim->is_core[i]) {
            report_line(sim, &sim->cluster->nodes[i], "sim=core");
            liveness_make_well(sim, i);
        } else {
            break_for_ever(sim, i);
        }
    }
    for (size_t i = 0; i < plan->clients; i++) {
        client_reconnect(sim, i);
    }
    sim->outcome->healed_us = -1;
    sim->led_at = sim->now;
    sim_at(sim, sim->now + WATCH_US, ITEM_WATCH, NODES_MAX, 0);
}

/* ---- watching */

/* The leader has prepared a higher ballot, because one acceptor refused its own, and it took round
 * trips and no timeout: nobody would call that a change of leader. */
static int is_renewal(const struct sim *sim, size_t index)
{
    time_us_t led_until = sim->processes[index].led_until;
    return index == sim->led_by && led_until > 0 && 2 * (sim->now - led_until) < elections(sim, 1);
}

void liveness_on_leading(struct sim *sim, size_t index)
{
    sim->outcome->leaders++;
    stranded_on_leading(sim, index);
    sim->led_at = sim->now;
    if (is_renewal(sim, index)) {
        sim->renewals += sim->is_settled;
        if (sim->renewals > RENEWALS_MAX) {
            sim_violate(sim, "stability", "%s prepares anew %d times when all was well",
                        sim->cluster->nodes[index].name, RENEWALS_MAX + 1);
        }
        return;
    }
    scenario_on_leading(sim);
    conformance_on_leading(sim, index);
    /* One outside of the core may get a late promise and believe that it leads: as long as it is
     * mute nobody knows, and if somebody did the core would change its leader. */
    if (sim->is_settled && sim->is_core[index] && !oracles_explain(sim, sim->led_by, index)) {
        sim_violate(sim, "stability", "%s begins to lead when all was well",
                    sim->cluster->nodes[index].name);
    }
    sim->led_by = index;
}

/* A scenario waits for a value that is new, not for one that was under way when it cut. */
void liveness_on_chosen(struct sim *sim, struct slice bytes)
{
    scenario_on_chosen(sim, bytes);
    conformance_on_chosen(sim, bytes);
}

/* The core agrees on where the log ends, and has learnt it. Nobody has appended for a while:
 * whatever a former leader left behind has been closed all the same (TRAPS 7.8). */
static void check_drained(struct sim *sim)
{
    slot_t end = sim->drain_to;
    if (sim->cluster->checker.chosen_prefix < sim->accepted_to) {
        sim_violate(sim, "drain", "an acceptor has a vote for slot %llu, and only %llu are chosen",
                    (unsigned long long)sim->accepted_to,
                    (unsigned long long)sim->cluster->checker.chosen_prefix);
    }
    for (size_t i = 0; i < sim->servers; i++) {
        const struct node *node = &sim->cluster->nodes[i];
        if (!sim->is_core[i]) {
            continue;
        }
        if (node->mode != NODE_UP) {
            sim_violate(sim, "drain", "%s of the healed core is down", node->name);
        } else if (node->learner != NULL && learner_applied(node->learner) < end) {
            sim_violate(sim, "drain", "%s stays at slot %llu of %llu", node->name,
                        (unsigned long long)learner_applied(node->learner),
                        (unsigned long long)end);
        } else if (node->self.role == ROLE_ACCEPTOR && node_chosen(node) < end) {
            sim_violate(sim, "drain", "%s knows %llu of %llu slots as chosen", node->name,
                        (unsigned long long)node_chosen(node), (unsigned long long)end);
        } else if (node->self.role == ROLE_PROPOSER && node_leadership(node) != NODE_LEADING) {
            sim_violate(sim, "stability", "%s does not lead the healed core", node->name);
        } else if (sim->processes[i].waiting > WAITING_MAX) {
            sim_violate(sim, "drain", "%zu messages wait at %s", sim->processes[i].waiting,
                        node->name);
        }
    }
}

/* A lease whose time is up ends, though nobody asks for anything any more. */
static void check_leases(struct sim *sim)
{
    size_t count;
    const struct reference_lease *leases = reference_leases(mirror_reference(sim->mirror), &count);
    uint64_t late_ms = (uint64_t)(ENDED_WITHIN * sim->plan.election_ms);
    for (size_t i = 0; i < count; i++) {
        if (leases[i].due_ms + late_ms < stamps_now_ms(sim)) {
            sim_violate(sim, "time",
                        "lease %llu was due at %llu ms, now it should be %llu ms, and no stamp "
                        "has told it",
                        (unsigned long long)leases[i].id, (unsigned long long)leases[i].due_ms,
                        (unsigned long long)stamps_now_ms(sim));
        }
    }
}

/* Reads need no leader, but whoever appends next does: in the core, since one outside is
 * deposed. */
static int has_leader(const struct sim *sim)
{
    int leads = !sim->options.is_raft;
    for (size_t i = 0; i < sim->servers && !leads; i++) {
        leads = sim->is_core[i] && sim->cluster->nodes[i].raft != NULL &&
                sim->processes[i].last_state == NODE_LEADING; /* and its first turn is over */
    }
    for (size_t i = 0; i < sim->servers; i++) {
        const struct node *node = &sim->cluster->nodes[i];
        if (leads && sim->is_core[i] && node->self.role == ROLE_PROPOSER &&
            node_leadership(node) == NODE_LEADING) {
            return 1;
        }
    }
    return 0;
}

/* By a rule of the settings, or because an operator wanted it, a leader may be about to hand over,
 * perhaps to one that is broken now: it leads again when it has paused for that one. */
static time_us_t may_hand_over_for(const struct sim *sim)
{
    int is_asked = sim->options.is_raft && sim->plan.pace[FAULT_TRANSFER] > 0;
    return oracles_are_steady(sim) && !is_asked ? 0 : elections(sim, HANDS_OVER_WITHIN);
}

/* Whether all is done, and whether from now on nobody may begin to lead any more. */
static void watch_progress(struct sim *sim)
{
    char text[240] = "";
    time_us_t since = sim->now - sim->heal_at;
    size_t pending = client_pending(sim, text, sizeof text);
    int is_done = pending == 0 && has_leader(sim);
    if (is_done && sim->outcome->healed_us < 0) {
        sim->outcome->healed_us = since;
    }
    if (is_done && since >= may_hand_over_for(sim)) {
        sim->is_settled = 1;
        report_line(sim, NULL, "sim=nothing_pending");
    } else if (since > elections(sim, DONE_WITHIN)) {
        sim_violate(sim, "progress", "%zu clients wait after %d election timeouts, %s leads; %s",
                    pending, DONE_WITHIN, has_leader(sim) ? "somebody" : "nobody", text);
    }
}

void liveness_on_watch(struct sim *sim)
{
    if (!sim->is_settled) {
        watch_progress(sim);
    }
    if (sim->now + elections(sim, 2) < sim->end_at) {
        sim->drain_to = sim->cluster->checker.chosen_prefix; /* known everywhere two later */
        for (size_t i = 0; i < sim->plan.acceptors; i++) {
            const struct node *node = &sim->cluster->nodes[i];
            slot_t accepted = sim->is_core[i] && node->acceptor != NULL
                                  ? acceptor_accepted_max(node->acceptor)
                                  : 0;
            sim->accepted_to = accepted > sim->accepted_to ? accepted : sim->accepted_to;
        }
    }
    if (sim->now + 2 * WATCH_US >= sim->end_at) {
        check_drained(sim);
        check_leases(sim);
        contenders_at_end(sim);
        return;
    }
    sim_at(sim, sim->now + WATCH_US, ITEM_WATCH, NODES_MAX, 0);
}
