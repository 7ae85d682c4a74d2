/* What a seed draws. Each class of faults is on or off, and if it is on its strength is drawn: runs
 * with few classes go deep where runs with all of them would only thrash (Groce et al., "Swarm
 * Testing", 2012). */
#include "tests/sim/sim.h"

static size_t quorum_of(size_t count)
{
    return count / 2 + 1;
}

static void draw_members(struct sim *sim)
{
    struct plan *plan = &sim->plan;
    static const size_t sizes[] = {3, 3, 3, 3, 5, 5, 4, 2, 1, 7};
    plan->acceptors = sizes[rng_below(&sim->fate, sizeof sizes / sizeof sizes[0])];
    plan->proposers = (size_t)between(&sim->fate, 1, 3);
    plan->proposers = sim->options.proposers > 0 ? sim->options.proposers : plan->proposers;
    plan->learners = (size_t)between(&sim->fate, 1, 3);
    plan->clients = (size_t)between(&sim->fate, 1, 6);
    plan->q1 = plan->q2 = quorum_of(plan->acceptors);
    if (plan->acceptors > 2 && chance(&sim->fate, 150)) { /* Flexible Paxos */
        plan->q1 = (size_t)between(&sim->fate, (int64_t)quorum_of(plan->acceptors),
                                   (int64_t)plan->acceptors);
        plan->q2 = plan->acceptors + 1 - plan->q1;
        if (chance(&sim->fate, 500)) { /* also a minority that promises: then most must accept */
            size_t most = plan->q1;
            plan->q1 = plan->q2;
            plan->q2 = most;
        }
    }
    static const time_ms_t elections[] = {500, 500, 500, 200, 1000};
    plan->election_ms = elections[rng_below(&sim->fate, 5)];
    plan->heartbeat_ms = plan->election_ms / 10;
}

static void draw_network(struct sim *sim)
{
    struct plan *plan = &sim->plan;
    plan->latency_us = between(&sim->fate, 50, 3000);
    plan->jitter_us = chance(&sim->fate, 500) ? between(&sim->fate, 0, 5000) : 50;
    plan->late_max_us = chance(&sim->fate, 300) ? 10 * SECOND : between(&sim->fate, MS, SECOND);
    plan->lossy_links = chance(&sim->fate, 500) ? 1000 : (uint32_t)between(&sim->fate, 50, 800);
    plan->drop = chance(&sim->fate, 400) ? (uint32_t)between(&sim->fate, 1, 300) : 0;
    plan->duplicate = chance(&sim->fate, 400) ? (uint32_t)between(&sim->fate, 1, 200) : 0;
    plan->reorder = chance(&sim->fate, 400) ? (uint32_t)between(&sim->fate, 1, 1000) : 0;
    plan->tail = chance(&sim->fate, 400) ? (uint32_t)between(&sim->fate, 1, 300) : 0;
    plan->link_limit = chance(&sim->fate, 150) ? (size_t)between(&sim->fate, 4, 64) : 0;
    plan->inbox_limit = chance(&sim->fate, 150) ? (size_t)between(&sim->fate, 8, 128) : 0;
}

static void draw_work(struct sim *sim)
{
    struct plan *plan = &sim->plan;
    plan->operations_per_s = (uint32_t)between(&sim->fate, 10, chance(&sim->fate, 300) ? 500 : 150);
    plan->reads = (uint32_t)between(&sim->fate, 0, 500);
    plan->keys = chance(&sim->fate, 700) ? (uint32_t)between(&sim->fate, 1, 900) : 0;
    plan->record_bytes_max = chance(&sim->fate, 200) ? 40000 : 500;
    plan->session_ttl_ms =
        chance(&sim->fate, 250) ? (uint32_t)between(&sim->fate, 300, 6000) : 2000000000;
    plan->outstanding_max = (size_t)between(&sim->fate, 1, 50);
    plan->ends_quietly = chance(&sim->fate, 300);
    plan->sync_us = between(&sim->fate, 100, 6000);
    plan->turn_us = between(&sim->fate, 1, 100);
    plan->drift = chance(&sim->fate, 400) ? between(&sim->fate, 0, 50000) : 0;
}

static void draw_faults(struct sim *sim)
{
    static const struct {
        uint32_t odds;  /* per mille of seeds that have it */
        time_us_t fast; /* and then this often at most */
    } kinds[FAULT_KINDS] = {
        [FAULT_KILL] = {350, SECOND},           [FAULT_POWER] = {350, SECOND},
        [FAULT_POINT] = {400, SECOND / 2},      [FAULT_BLACKOUT] = {150, 6 * SECOND},
        [FAULT_SHUTDOWN] = {200, 2 * SECOND},   [FAULT_PAUSE] = {300, SECOND},
        [FAULT_SLOW] = {150, 2 * SECOND},       [FAULT_PARTITION] = {450, 2 * SECOND},
        [FAULT_LINK] = {250, SECOND},           [FAULT_CLOG] = {200, SECOND},
        [FAULT_SLOW_DISK] = {200, 2 * SECOND},  [FAULT_HANG_DISK] = {250, 2 * SECOND},
        [FAULT_FULL_DISK] = {150, 6 * SECOND},  [FAULT_FAIL_WRITE] = {200, 3 * SECOND},
        [FAULT_WIPE] = {150, 10 * SECOND},      [FAULT_ROLL_BACK] = {150, 8 * SECOND},
        [FAULT_DAMAGE] = {150, 10 * SECOND},    [FAULT_TAIL] = {150, 8 * SECOND},
        [FAULT_CLOCK_JUMP] = {200, 2 * SECOND}, [FAULT_CLOCK_RATE] = {200, 4 * SECOND},
        [FAULT_CLOCK_STOP] = {150, 4 * SECOND}, [FAULT_CLIENT_DIES] = {250, 3 * SECOND},
        [FAULT_BURST] = {40, 8 * SECOND},       [FAULT_CLIENT_SLEEPS] = {250, 3 * SECOND},
        [FAULT_STRAGGLE] = {250, 3 * SECOND},   [FAULT_STRANDED] = {400, 5 * SECOND},
    };
    for (enum fault fault = 0; fault < FAULT_KINDS; fault++) {
        if (chance(&sim->fate, kinds[fault].odds)) {
            sim->plan.pace[fault] = kinds[fault].fast << rng_below(&sim->fate, 4);
        }
    }
}

/* No acceptor reaches another one, so none can repair a hole: what it takes to see one fall too far
 * behind is many slots and little else that goes wrong. */
static void draw_apart(struct sim *sim)
{
    struct plan *plan = &sim->plan;
    plan->is_apart = 1;
    plan->page_bytes = 0; /* thousands of votes in small pages take longer than who leads may */
    plan->drop = (uint32_t)between(&sim->fate, 1, 100);
    plan->lossy_links = 1000;
    plan->operations_per_s = 600;
    plan->reads = 50;
    plan->outstanding_max = 50;
    plan->link_limit = plan->inbox_limit = 0;
    plan->latency_us = between(&sim->fate, 50, 500);
    plan->sync_us = between(&sim->fate, 100, 1000);
    for (enum fault fault = 0; fault < FAULT_RELEARN; fault++) { /* which is drawn later */
        if (chance(&sim->fate, 800)) {
            plan->pace[fault] = 0;
        }
    }
}

/* Values leave the memory of an acceptor after megabytes, and a promise has a second page after
 * one: hardly a run is so long. So with half of the seeds both happen early. And half of the
 * quorums that are not majorities are larger for accepts than for promises. A generator of its own
 * keeps what else a seed draws. */
static void draw_bounds(struct sim *sim)
{
    static const size_t bytes[] = {1, 4 * KIB, 16 * KIB, 64 * KIB};
    struct plan *plan = &sim->plan;
    struct rng rng;
    rng_init(&rng, ~sim->options.seed);
    if (chance(&rng, 500)) {
        plan->cache_bytes = bytes[rng_below(&rng, 4)];
    }
    if (chance(&rng, 500)) {
        plan->page_bytes = bytes[1 + rng_below(&rng, 3)];
    }
    if (chance(&rng, 500)) {
        size_t q1 = plan->q1;
        plan->q1 = plan->q2;
        plan->q2 = q1;
    }
}

void swarm_draw(struct sim *sim)
{
    draw_members(sim);
    draw_bounds(sim);
    draw_network(sim);
    draw_work(sim);
    draw_faults(sim);
    if (!sim->options.is_raft && chance(&sim->fate, 40)) {
        draw_apart(sim);
    }
}

/* What keys are used for, and how. A page of a range is a megabyte, which hardly any run has keys
 * for. A generator of its own keeps what else a seed draws. */
void swarm_draw_use(struct sim *sim)
{
    struct plan *plan = &sim->plan;
    struct rng rng;
    rng_init(&rng, ~(sim->options.seed << 12));
    if (plan->keys > 0 && chance(&rng, 400)) {
        plan->range_bytes = (uint32_t)between(&rng, 1, chance(&rng, 500) ? 200 : 2000);
    }
    if (plan->keys > 0 && chance(&rng, 200)) {
        plan->steals = (uint32_t)between(&rng, 1, 20);
    }
}
