/* What goes wrong by itself: each kind of fault comes again and again, at random, until the
 * healing. README.md says what each stands for. */
#include "tests/sim/oracles.h"

#include "common/base/check.h"

static const char *const names[FAULT_KINDS] = {
    "kill",       "power",      "point",      "blackout",    "shutdown",  "pause",
    "slow",       "partition",  "link",       "clog",        "slow_disk", "hang_disk",
    "full_disk",  "fail_write", "wipe",       "roll_back",   "damage",    "tail",
    "clock_jump", "clock_rate", "clock_stop", "client_dies", "burst",     "client_sleeps",
    "straggle",   "stranded",   "transfer",   "settings",    "relearn",
};

const char *fault_name(enum fault fault)
{
    return names[fault];
}

/* One of count. */
static size_t below(struct sim *sim, size_t count)
{
    CHECK(count > 0);
    return rng_below(&sim->fate, count);
}

static void plan_fault(struct sim *sim, enum fault fault)
{
    time_us_t pace = sim->plan.pace[fault];
    struct rng *rng = fault < FAULT_TRANSFER ? &sim->fate : &sim->menu;
    if (pace > 0) {
        sim_at(sim, sim->now + between(rng, pace / 10, 2 * pace), ITEM_FAULT, fault, 0);
    }
}

void fault_init(struct sim *sim)
{
    for (enum fault fault = 0; fault < FAULT_KINDS; fault++) {
        plan_fault(sim, fault);
    }
    if (sim->plan.pace[FAULT_STRANDED] > 0) { /* one just before the healing */
        sim_at(sim, sim->heal_at - 7 * sim->plan.election_ms * MS, ITEM_FAULT, FAULT_STRANDED,
               STRANDED_BEGINS);
    }
}

/* A process, those more often on which most depends: that lead or want to. */
static size_t pick(struct sim *sim)
{
    if (chance(&sim->fate, 300)) {
        for (size_t i = 0; i < sim->servers; i++) {
            const struct node *node = &sim->cluster->nodes[i];
            if ((node->proposer != NULL && proposer_state(node->proposer) >= NODE_PREPARING) ||
                (node->raft != NULL && raft_role(node->raft) != RAFT_FOLLOWER)) {
                return i;
            }
        }
    }
    return below(sim, sim->servers);
}

/* A span around what matters: a heartbeat, the election timeout, the lease, several of them. */
static time_us_t span(struct sim *sim)
{
    time_us_t election = sim->plan.election_ms * MS;
    switch (below(sim, 4)) {
    case 0:
        return between(&sim->fate, 1 * MS, 3 * sim->plan.heartbeat_ms * MS);
    case 1:
        return between(&sim->fate, election * 9 / 10, election * 11 / 10);
    case 2:
        return between(&sim->fate, election / 2, 3 * election);
    default:
        return between(&sim->fate, 0, 10 * election);
    }
}

static void end_process(struct sim *sim, size_t index, int cuts_power)
{
    if (process_is_up(sim, index)) {
        process_crash(sim, index, cuts_power);
        process_start_in(sim, index,
                         chance(&sim->fate, 500) ? between(&sim->fate, 1, 50 * MS) : span(sim));
    }
}

static void black_out(struct sim *sim)
{
    int cuts_power = chance(&sim->fate, 700);
    int spares = (int)below(sim, 3); /* nobody, or all but acceptors, or but proposers */
    for (size_t i = 0; i < sim->servers; i++) {
        enum role role = sim->cluster->nodes[i].self.role;
        if (spares == 0 || (spares == 1 && role == ROLE_ACCEPTOR) ||
            (spares == 2 && role == ROLE_PROPOSER)) {
            end_process(sim, i, cuts_power);
        }
    }
}

/* ---- stores */

/* So many keep their stores that they can be a quorum. */
int fault_may_lose(const struct sim *sim, size_t index)
{
    const struct plan *plan = &sim->plan;
    size_t quorum = plan->q1 > plan->q2 ? plan->q1 : plan->q2;
    size_t left = 0;
    for (size_t i = 0; i < plan->acceptors; i++) {
        left += (size_t)process_has_store(sim, i);
    }
    return left > quorum && process_has_store(sim, index);
}

/* An acceptor whose store may be lost for good, or NODES_MAX. */
static size_t pick_expendable(struct sim *sim)
{
    size_t index = below(sim, sim->plan.acceptors);
    return fault_may_lose(sim, index) ? index : NODES_MAX;
}

static void lose_store(struct sim *sim, enum fault fault)
{
    size_t index = pick_expendable(sim);
    if (index == NODES_MAX || !process_is_up(sim, index)) {
        return;
    }
    struct node *node = &sim->cluster->nodes[index];
    struct process *process = &sim->processes[index];
    if (fault == FAULT_DAMAGE) {
        node->may_end = 1; /* it ends when it comes across it, and never lives well again */
        process->is_damaged = 1;
        disk_damage(node->disk, rng_next(&sim->fate) >> 8);
        report_line(sim, node, "sim=damaged");
        end_process(sim, index, chance(&sim->fate, 500));
        return;
    }
    if (fault == FAULT_ROLL_BACK && (!process->has_copy || !disk_is_copy_older(node->disk))) {
        disk_keep_copy(node->disk);
        process->has_copy = 1;
        return;
    }
    if (fault == FAULT_TAIL) {
        process->loses_tail = 1;
        return;
    }
    disk_settle(node->disk); /* that the guard goes back, too, is outside of the model */
    process_crash(sim, index, 1);
    if (fault == FAULT_WIPE) {
        disk_remove(node->disk);
    } else {
        disk_roll_back(node->disk);
    }
    process->is_lost_store = disk_open(node->disk) != 0;
    report_line(sim, node, "sim=store_lost how=%s", names[fault]);
    process_start_in(sim, index, span(sim));
}

/* ---- disks, clocks and processes that misbehave for a while */

static void resume_at(struct sim *sim, size_t index, time_us_t at)
{
    sim_at(sim, at, ITEM_RESUME, (uint32_t)index, 0);
}

void fault_resume(struct sim *sim, size_t index)
{
    struct process *process = &sim->processes[index];
    struct node *node = &sim->cluster->nodes[index];
    if (sim->now >= process->slow_until) {
        process->turn_us = sim->plan.turn_us;
    }
    if (sim->now >= process->slow_disk_until) {
        process->sync_us = sim->plan.sync_us;
    }
    if (process->is_full && sim->now >= process->full_until) {
        process->is_full = 0;
        node->disk_low = 0;
        report_line(sim, node, "sim=disk_has_room");
    }
    if (node->disk_low && !process->is_full && sim->now >= process->low_until) {
        process->is_full = !sim->is_healed && !sim->is_calm;
        process->full_until = sim->now + between(&sim->fate, 1, 4 * SECOND);
        resume_at(sim, index, process->full_until);
    }
    if (process->clock.rate == 0 && sim->now >= process->stopped_until) {
        report_line(sim, node, "sim=clock_runs");
        process_set_clock(sim, index, CLOCK_TRUE_RATE, 0);
    }
    process_poll(sim, index);
}

/* Whom a fault meets that makes syncs wait: only acceptors wait for theirs. */
static size_t syncing(const struct sim *sim, size_t index)
{
    int is_acceptor = sim->cluster->nodes[index].self.role == ROLE_ACCEPTOR;
    return is_acceptor ? index : index % sim->plan.acceptors;
}

static void misbehave(struct sim *sim, enum fault fault, size_t index)
{
    if (fault == FAULT_SLOW_DISK || fault == FAULT_HANG_DISK) {
        index = syncing(sim, index);
    }
    struct process *process = &sim->processes[index];
    time_us_t until = sim->now + span(sim);
    switch (fault) {
    case FAULT_PAUSE:
        process->paused_until = until;
        break;
    case FAULT_SLOW:
        process->turn_us = between(&sim->fate, MS, 30 * MS);
        process->slow_until = until;
        break;
    case FAULT_SLOW_DISK:
        process->sync_us = between(&sim->fate, 10 * MS, 400 * MS);
        process->slow_disk_until = until;
        break;
    case FAULT_HANG_DISK:
        process->hung_until = until;
        break;
    case FAULT_FULL_DISK:
        sim->cluster->nodes[index].disk_low = 1;
        process->low_until = until;
        break;
    case FAULT_FAIL_WRITE:
        process->fails_write = 1;
        break;
    case FAULT_CLOCK_JUMP:
        process_set_clock(sim, index, process->clock.rate, span(sim));
        break;
    case FAULT_CLOCK_RATE:
        process_set_clock(sim, index,
                          between(&sim->fate, CLOCK_TRUE_RATE * 7 / 10, CLOCK_TRUE_RATE * 13 / 10),
                          0);
        break;
    default:
        CHECK(fault == FAULT_CLOCK_STOP);
        process->stopped_until = until;
        process_set_clock(sim, index, 0, 0);
        break;
    }
    report_line(sim, &sim->cluster->nodes[index], "sim=%s ms=%lld", names[fault],
                (long long)((until - sim->now) / MS));
    resume_at(sim, index, until);
}

static void cut_link(struct sim *sim)
{
    size_t a = below(sim, sim->cluster->node_count);
    size_t b = below(sim, sim->cluster->node_count);
    int is_cut = chance(&sim->fate, 600);
    transport_cut(sim, a, b, is_cut);
    if (chance(&sim->fate, 500)) {
        transport_cut(sim, b, a, is_cut);
    }
    report_line(sim, &sim->cluster->nodes[a], "sim=link to=%s cut=%d", sim->cluster->nodes[b].name,
                is_cut);
}

static void clog_link(struct sim *sim)
{
    size_t a = below(sim, sim->cluster->node_count);
    size_t b = below(sim, sim->cluster->node_count);
    sim->links[a][b].clogged_to = sim->now + span(sim);
    report_line(sim, &sim->cluster->nodes[a], "sim=clog to=%s", sim->cluster->nodes[b].name);
}

/* Mostly a proposer: what comes late there belongs to an attempt that is over. */
static void straggle(struct sim *sim)
{
    size_t index = chance(&sim->fate, 700) ? sim->plan.acceptors + below(sim, sim->plan.proposers)
                                           : below(sim, sim->servers);
    sim->processes[index].straggle_until =
        sim->now + between(&sim->fate, 2, 8) * sim->plan.election_ms * MS;
    report_line(sim, &sim->cluster->nodes[index], "sim=straggle");
}

static void end_in_order(struct sim *sim)
{
    if (chance(&sim->fate, 300)) {
        size_t proposer = below(sim, sim->plan.proposers);
        sim->processes[sim_index(sim, sim_node(sim, ROLE_PROPOSER, proposer))].ends_in_recovery = 1;
        return;
    }
    process_shutdown(sim, pick(sim));
}

/* It dies with its prepare, which often gets through to one acceptor alone: in its next life it may
 * take the same round once more. */
static void die_preparing(struct sim *sim)
{
    struct process *process =
        &sim->processes[sim->plan.acceptors + below(sim, sim->plan.proposers)];
    process->dies_preparing = 1;
    process->prepares_only = chance(&sim->fate, 700) ? 1 + below(sim, sim->plan.acceptors) : 0;
}

static void plan_crash(struct sim *sim, size_t index)
{
    struct process *process = &sim->processes[index];
    process->crash_at = (enum turn_point)below(sim, TURN_POINTS);
    process->crash_in = (int)between(&sim->fate, 1, 30);
    process->crash_cuts_power = chance(&sim->fate, 600);
}

/* One disk runs full, or those of all acceptors, as happens to machines bought together. */
static void fill_disks(struct sim *sim)
{
    if (chance(&sim->fate, 600)) {
        misbehave(sim, FAULT_FULL_DISK, pick(sim));
        return;
    }
    for (size_t i = 0; i < sim->plan.acceptors; i++) {
        misbehave(sim, FAULT_FULL_DISK, i);
    }
}

static void sleep_client(struct sim *sim)
{
    size_t position = below(sim, sim->plan.clients);
    if (!sim->plan.oversleeps) {
        client_sleep(sim, position, span(sim));
        return;
    }
    time_us_t ttl = sim->plan.session_ttl_ms * MS;
    client_sleep(sim, position, between(&sim->fate, ttl / 2, 3 * ttl));
}

static void change_partition(struct sim *sim)
{
    if (chance(&sim->fate, 350)) {
        report_line(sim, NULL, "sim=heal");
        partition_heal(sim);
    } else {
        partition_random(sim);
    }
}

static void strike(struct sim *sim, enum fault fault)
{
    switch (fault) {
    case FAULT_KILL:
    case FAULT_POWER:
        end_process(sim, pick(sim), fault == FAULT_POWER);
        break;
    case FAULT_POINT:
        if (chance(&sim->fate, 200)) {
            die_preparing(sim);
        } else {
            plan_crash(sim, pick(sim));
        }
        break;
    case FAULT_BLACKOUT:
        black_out(sim);
        break;
    case FAULT_SHUTDOWN:
        end_in_order(sim);
        break;
    case FAULT_PARTITION:
        change_partition(sim);
        break;
    case FAULT_LINK:
        cut_link(sim);
        break;
    case FAULT_CLOG:
        clog_link(sim);
        break;
    case FAULT_WIPE:
    case FAULT_ROLL_BACK:
    case FAULT_DAMAGE:
    case FAULT_TAIL:
        lose_store(sim, fault);
        break;
    case FAULT_CLIENT_DIES:
        client_die(sim, below(sim, sim->plan.clients));
        break;
    case FAULT_BURST:
        client_burst(sim, below(sim, sim->plan.clients));
        break;
    case FAULT_FULL_DISK:
        fill_disks(sim);
        break;
    case FAULT_CLIENT_SLEEPS:
        sleep_client(sim);
        break;
    case FAULT_STRAGGLE:
        straggle(sim);
        break;
    case FAULT_STRANDED:
        stranded_on_item(sim, 0);
        break;
    case FAULT_TRANSFER:
        oracles_transfer(sim);
        break;
    case FAULT_RELEARN:
        relearn_strike(sim);
        break;
    case FAULT_SETTINGS:
        client_set_oracle(sim, rng_below(&sim->menu, sim->plan.clients));
        break;
    default:
        misbehave(sim, fault, pick(sim));
        break;
    }
}

void fault_on_item(struct sim *sim, const struct item *item)
{
    enum fault fault = (enum fault)item->a;
    if (sim->is_healed) {
        return;
    }
    if (item->b > 0) {
        stranded_on_item(sim, item->b);
        return;
    }
    plan_fault(sim, fault);
    if (sim->is_calm) {
        return;
    }
    if (sim->stranded.stage != 0 && sim->stranded.is_last) {
        return; /* nothing else happens in the last story */
    }
    sim->outcome->faults[fault]++;
    strike(sim, fault);
}
