/* Processes: when one takes its turns, how long they take it, how it starts and ends. */
#include "tests/sim/sim.h"

#include "common/base/check.h"
#include "tests/sim/conformance.h"
#include "tests/sim/mirror.h"
#include "tests/sim/oracles.h"
#include "tests/trace/turn.h"

/* A core that asks for so many turns within one millisecond of its clock spins. */
#define TURNS_AT_ONCE_MAX 5000

/* Unsynced batches that a kernel leaves to be lost, at most. */
#define LAZY_BATCHES_MAX 400

void process_init(struct sim *sim, size_t index)
{
    struct process *process = &sim->processes[index];
    process->clock = (struct sim_clock){.since = sim->now, .rate = CLOCK_TRUE_RATE};
    process->poll_at = TIME_US_NEVER;
    process->wake_item_at = TIME_US_NEVER;
    process->turn_us = sim->plan.turn_us;
    process->sync_us = sim->plan.sync_us;
    if (sim->plan.drift > 0) {
        process->clock.rate += between(&sim->fate, -sim->plan.drift, sim->plan.drift);
        process->clock.shown = between(&sim->fate, 0, 1000 * SECOND); /* the offset */
    }
    stamps_on_clock(sim, index, 0);
}

int process_is_up(const struct sim *sim, size_t index)
{
    return sim->cluster->nodes[index].mode != NODE_DOWN;
}

/* The process looks at its clock, which never falls. */
static void look_at_clock(struct sim *sim, size_t index)
{
    struct process *process = &sim->processes[index];
    time_ms_t shown = CLUSTER_EPOCH_MS + clock_read(&process->clock, sim->now) / 1000;
    if (shown < process->clock_last_ms) {
        shown = process->clock_last_ms;
    }
    process->clock_last_ms = shown;
    sim->cluster->nodes[index].clock_ahead_ms = shown - sim->cluster->now;
}

static int can_turn(const struct sim *sim, size_t index)
{
    const struct process *process = &sim->processes[index];
    return node_can_step(&sim->cluster->nodes[index]) && sim->now >= process->busy_until &&
           sim->now >= process->paused_until;
}

static void poll_at(struct sim *sim, size_t index, time_us_t at)
{
    struct process *process = &sim->processes[index];
    if (process->poll_at <= at && process->poll_at > sim->now) {
        return;
    }
    process->poll_at = at;
    sim_at(sim, at, ITEM_POLL, (uint32_t)index, 0);
}

/* Sees to it that the process gets the tick that its core asked for. */
static void plan_wake(struct sim *sim, size_t index)
{
    struct process *process = &sim->processes[index];
    const struct node *node = &sim->cluster->nodes[index];
    if (node->wake_at == TIME_NEVER) {
        return;
    }
    time_us_t at = clock_when(&process->clock, sim->now, (node->wake_at - CLUSTER_EPOCH_MS) * 1000);
    if (at < process->busy_until) {
        at = process->busy_until;
    }
    if (at >= process->wake_item_at && process->wake_item_at > sim->now) {
        return; /* that item looks again */
    }
    if (at != TIME_US_NEVER) {
        process->wake_item_at = at;
        sim_at(sim, at, ITEM_WAKE, (uint32_t)index, 0);
    }
}

static void watch_spinning(struct sim *sim, size_t index, time_ms_t before)
{
    struct process *process = &sim->processes[index];
    if (process->clock_last_ms != before || process->clock.rate == 0) {
        process->turns_at_once = 0;
    } else if (++process->turns_at_once > TURNS_AT_ONCE_MAX) {
        sim_violate(sim, "spin", "%s takes turn after turn and time stands still",
                    sim->cluster->nodes[index].name);
    }
}

/* What a turn changed. */
static void after_turn(struct sim *sim, size_t index)
{
    struct process *process = &sim->processes[index];
    struct node *node = &sim->cluster->nodes[index];
    sim->outcome->turns++;
    if (node->mode != NODE_UP) {
        return;
    }
    process->busy_until = sim->now + process->turn_us;
    if (node->learner != NULL) {
        mirror_on_turn(sim, node);
    }
    if (node->write_waits) {
        time_us_t took = process->sync_us / 2 + between(&sim->fate, 0, process->sync_us);
        sim_at(sim, sim->now + took, ITEM_SYNCED, (uint32_t)index, 0);
        return;
    }
    if (node->raft != NULL) {
        enum node_state state = sim_leads(node) ? NODE_LEADING : NODE_STANDBY;
        if (state == NODE_LEADING && process->last_state != NODE_LEADING) {
            liveness_on_leading(sim, index);
        }
        process->last_state = state;
    }
    if (node->proposer != NULL) {
        enum node_state state = proposer_state(node->proposer);
        if (state == NODE_LEADING && process->last_state != NODE_LEADING) {
            liveness_on_leading(sim, index);
        }
        process->led_until = state == NODE_LEADING ? sim->now : process->led_until;
        conformance_on_turn(sim);
        scenario_on_turn(sim);
        oracles_on_turn(sim, node);
        int is_preparing = state == NODE_PREPARING && process->last_state != NODE_PREPARING;
        process->last_state = state;
        if (is_preparing &&
            settings_bar(proposer_settings(node->proposer), (node_id_t)node->self.id)) {
            sim_violate(sim, "barred", "%s campaigns, and must not lead", node->name);
        }
        if (is_preparing && process->dies_preparing) {
            process->dies_preparing = 0;
            if (process->prepares_only != 0) { /* and does not hear of it in its next life */
                struct link *back = &sim->links[process->prepares_only - 1][index];
                back->holes = 1000;
                back->holes_until = sim->now + 4 * sim->plan.election_ms * MS;
            }
            process_crash(sim, index, 0);
            process_start_in(sim, index, between(&sim->fate, 1, 60 * MS));
            return;
        }
        if (state == NODE_RECOVERING && process->ends_in_recovery) {
            process->ends_in_recovery = 0;
            sim_at(sim, sim->now, ITEM_SHUTDOWN, (uint32_t)index, 0);
        }
    }
    if (disk_lazy_batches(node->disk) > LAZY_BATCHES_MAX) {
        cluster_write_back(sim->cluster, node, LAZY_BATCHES_MAX / 4);
    }
    if (process->waiting > 0) {
        poll_at(sim, index, process->busy_until);
    }
    plan_wake(sim, index);
}

void process_poll(struct sim *sim, size_t index)
{
    struct process *process = &sim->processes[index];
    struct node *node = &sim->cluster->nodes[index];
    if (!node_can_step(node)) {
        return;
    }
    if (!can_turn(sim, index)) {
        time_us_t free_at = process->busy_until > process->paused_until ? process->busy_until
                                                                        : process->paused_until;
        poll_at(sim, index, free_at);
        return;
    }
    time_ms_t before = process->clock_last_ms;
    look_at_clock(sim, index);
    if (process->waiting == 0 && node->wake_at > node_now(sim->cluster, node)) {
        plan_wake(sim, index);
        return;
    }
    struct packet *list = process->first;
    struct packet *last = list;
    size_t count = 1;
    while (last != NULL && last->next != NULL && count < TURN_MESSAGES_MAX) {
        last = last->next;
        count++;
    }
    if (last != NULL) {
        process->first = last->next;
        process->last = last->next != NULL ? process->last : NULL;
        process->waiting -= count;
        last->next = NULL;
    }
    watch_spinning(sim, index, before);
    turn_messages(sim->cluster, node, list);
    after_turn(sim, index);
}

void process_receive(struct sim *sim, size_t index, struct packet *packet)
{
    struct process *process = &sim->processes[index];
    if (sim->cluster->nodes[index].mode != NODE_UP ||
        (sim->plan.inbox_limit > 0 && process->waiting >= sim->plan.inbox_limit &&
         packet->event == 0)) {
        transport_free(sim, packet);
        return;
    }
    packet->next = NULL;
    if (process->last != NULL) {
        process->last->next = packet;
    } else {
        process->first = packet;
    }
    process->last = packet;
    process->waiting++;
    process_poll(sim, index);
}

void process_drop_waiting(struct sim *sim, size_t index)
{
    struct process *process = &sim->processes[index];
    while (process->first != NULL) {
        struct packet *packet = process->first;
        process->first = packet->next;
        transport_free(sim, packet);
    }
    process->last = NULL;
    process->waiting = 0;
}

/* ---- the disk */

static void on_synced(struct sim *sim, size_t index)
{
    struct process *process = &sim->processes[index];
    struct node *node = &sim->cluster->nodes[index];
    if (!node->write_waits) {
        return;
    }
    time_us_t until =
        process->hung_until > process->paused_until ? process->hung_until : process->paused_until;
    if (sim->now < until) {
        sim_at(sim, until, ITEM_SYNCED, (uint32_t)index, 0);
        return;
    }
    look_at_clock(sim, index);
    node->write_waits = 0;
    turn_finish(sim->cluster, node);
    after_turn(sim, index);
    if (node->mode == NODE_UP && process->waiting > 0) {
        process_poll(sim, index);
    }
}

/* A write that fails ends the process before anything more is sent (TRAPS 1). */
static int write_fails(struct sim *sim, size_t index)
{
    struct process *process = &sim->processes[index];
    if (sim->cluster->nodes[index].fx.record_count == 0 ||
        (!process->fails_write && !process->is_full)) {
        return 0;
    }
    process->fails_write = 0;
    report_line(sim, &sim->cluster->nodes[index], "sim=write_failed");
    return 1;
}

void process_reached(void *self, struct node *node, enum turn_point point)
{
    struct sim *sim = self;
    size_t index = sim_index(sim, node);
    struct process *process = &sim->processes[index];
    if (node->self.role == ROLE_CLIENT) {
        return;
    }
    if (point == TURN_WRITING && write_fails(sim, index)) {
        process_crash(sim, index, 0);
        process_start_in(sim, index, between(&sim->fate, 10 * MS, SECOND));
        return;
    }
    if (point == TURN_SYNCING && process->loses_tail && disk_has_tail(node->disk) &&
        fault_may_lose(sim, index)) {
        report_line(sim, node, "sim=tail_lost");
        process->loses_tail = 0;
        process->is_lost_store = 1;
        process_crash(sim, index, 1);
        disk_lose_tail(node->disk);
        process_start_in(sim, index, between(&sim->fate, 1 * MS, 2 * SECOND));
        return;
    }
    if (process->crash_in == 0 || process->crash_at != point || --process->crash_in > 0) {
        return;
    }
    static const char *const names[TURN_POINTS] = {"before_send",      "before_write",
                                                   "before_sync",      "after_sync",
                                                   "before_held_send", "after_all_sent"};
    report_line(sim, node, "sim=crash point=%s", names[point]);
    process_crash(sim, index, process->crash_cuts_power);
    process_start_in(sim, index, between(&sim->fate, 1 * MS, 2 * SECOND));
}

/* ---- life */

void process_start_in(struct sim *sim, size_t index, time_us_t delay)
{
    sim_at(sim, sim->now + delay, ITEM_START, (uint32_t)index, 0);
}

/* What synod-acceptor does before its core exists: a store that lost something is refused. 1 if it
 * may start. */
static int open_store(struct sim *sim, size_t index)
{
    struct process *process = &sim->processes[index];
    struct node *node = &sim->cluster->nodes[index];
    int rc = disk_open(node->disk);
    if (rc == 0 && process->is_lost_store) {
        sim_violate(sim, "store", "%s opens a store that lost what it had acknowledged",
                    node->name);
    }
    if (rc != 0) {
        process->is_gone = 1;
        sim->outcome->refused_stores++;
        report_line(sim, node, "sim=store_refused class=%s", error_name(rc));
    }
    return rc == 0;
}

void process_start(struct sim *sim, size_t index)
{
    struct process *process = &sim->processes[index];
    struct node *node = &sim->cluster->nodes[index];
    if (node->mode != NODE_DOWN || process->is_gone || !open_store(sim, index)) {
        return;
    }
    process->life++;
    process->busy_until = sim->now;
    process->poll_at = TIME_US_NEVER;
    process->wake_item_at = TIME_US_NEVER;
    process->last_state = NODE_STANDBY;
    process->led_until = 0;
    process->prepares_only = 0;
    process->turns_at_once = 0;
    look_at_clock(sim, index);
    node->disk_held = node->self.role == ROLE_ACCEPTOR; /* syncs take their time */
    /* LevelDB writes what it found in its log to a table, with a sync, before it opens. */
    cluster_write_back(sim->cluster, node, 0);
    cluster_start(sim->cluster, node);
    if (node->mode == NODE_UP) {
        after_turn(sim, index);
    }
}

void process_crash(struct sim *sim, size_t index, int cuts_power)
{
    struct process *process = &sim->processes[index];
    struct node *node = &sim->cluster->nodes[index];
    if (node->mode != NODE_UP) {
        return;
    }
    process->crash_in = 0;
    process->life++;
    process->paused_until = 0;
    if (node->write_waits && chance(&sim->fate, 500)) { /* it dies in the sync: the batch is in */
        disk_append(node->disk, node->fx.records, node->fx.record_count);
    }
    if (cuts_power) {
        size_t batches = disk_lazy_batches(node->disk);
        size_t kept =
            chance(&sim->fate, 500) ? 0 : (size_t)between(&sim->fate, 0, (int64_t)batches);
        report_line(sim, node, "sim=power_cut batches=%zu kept=%zu", batches, kept);
        if (chance(&sim->fate, 500)) {
            disk_lose_mark(node->disk);
        }
        cluster_cut_power(sim->cluster, node, kept);
    } else {
        report_line(sim, node, "sim=killed");
        cluster_crash(sim->cluster, node, 0);
    }
    process_drop_waiting(sim, index);
}

void process_shutdown(struct sim *sim, size_t index)
{
    struct node *node = &sim->cluster->nodes[index];
    if (!node_can_step(node) || sim->now < sim->processes[index].paused_until) {
        return;
    }
    report_line(sim, node, "sim=shutdown");
    look_at_clock(sim, index);
    cluster_shutdown(sim->cluster, node);
    after_turn(sim, index);
}

int process_has_store(const struct sim *sim, size_t index)
{
    const struct process *process = &sim->processes[index];
    return !process->is_gone && !process->is_lost_store && !process->is_damaged;
}

void process_set_clock(struct sim *sim, size_t index, int64_t rate, int64_t forward)
{
    struct process *process = &sim->processes[index];
    clock_set(&process->clock, sim->now, rate, forward);
    stamps_on_clock(sim, index, forward);
    if (node_can_step(&sim->cluster->nodes[index])) {
        process->wake_item_at = TIME_US_NEVER;
        plan_wake(sim, index);
    }
}

void process_on_item(struct sim *sim, const struct item *item)
{
    size_t index = item->a;
    struct process *process = &sim->processes[index];
    if (item->kind == ITEM_START) {
        process_start(sim, index); /* of whatever life: it is down, or this does nothing */
        return;
    }
    if (item->life != process->life) {
        return;
    }
    switch (item->kind) {
    case ITEM_SHUTDOWN:
        process_shutdown(sim, index);
        break;
    case ITEM_WAKE:
        if (process->wake_item_at == item->at) {
            process->wake_item_at = TIME_US_NEVER;
        }
        process_poll(sim, index);
        break;
    case ITEM_POLL:
        if (process->poll_at == item->at) {
            process->poll_at = TIME_US_NEVER;
        }
        process_poll(sim, index);
        break;
    default:
        on_synced(sim, index);
        break;
    }
}
