/* A story that chance alone seldom tells: a leader loses the other acceptors and is deposed, and one
 * acceptor, with holes in what it has, hears nobody but that leader. What it hears comes late, in two
 * bursts: time enough to fetch from the others what the next leader got chosen, before the first one's
 * own proposals for the same slots arrive. Meanwhile a learner has seen values of the deposed leader and
 * misses some of the next one's. At the end the acceptor has votes far above where the others are, and
 * often nobody appends any more. */
#include "tests/sim/sim.h"

static time_us_t elections(struct sim *sim, int64_t low_tenths, int64_t high_tenths)
{
    return sim->plan.election_ms * MS * between(&sim->fate, low_tenths, high_tenths) / 10;
}

static void next_stage(struct sim *sim, time_us_t delay, int stage)
{
    sim->stranded.stage = stage;
    sim_at(sim, sim->now + delay, ITEM_FAULT, FAULT_STRANDED, (uint32_t)stage);
}

static int choose_cast(struct sim *sim)
{
    struct stranded *cast = &sim->stranded;
    size_t leader = NODES_MAX;
    for (size_t i = 0; i < sim->plan.proposers; i++) {
        const struct node *node = sim_node(sim, ROLE_PROPOSER, i);
        if (node->proposer != NULL && proposer_state(node->proposer) == NODE_LEADING) {
            leader = sim_index(sim, node);
        }
    }
    if (leader == NODES_MAX || sim->plan.proposers < 2 || sim->plan.acceptors < 3) {
        return 0;
    }
    cast->leader = leader;
    cast->acceptor = rng_below(&sim->fate, sim->plan.acceptors);
    size_t learner = rng_below(&sim->fate, sim->plan.learners);
    cast->learner = sim_index(sim, sim_node(sim, ROLE_LEARNER, learner));
    return 1;
}

/* The acceptor loses all proposers but the leader, whose messages wait, some of them for ever. */
static void strand(struct sim *sim)
{
    const struct stranded *cast = &sim->stranded;
    for (size_t i = 0; i < sim->plan.proposers; i++) {
        size_t proposer = sim_index(sim, sim_node(sim, ROLE_PROPOSER, i));
        if (proposer != cast->leader) {
            transport_cut(sim, proposer, cast->acceptor, 1);
            sim->links[proposer][cast->learner].holes = 300;
        }
    }
    sim->links[cast->leader][cast->acceptor].holes = 200;
    sim->links[cast->leader][cast->acceptor].clogged_to = sim->now + elections(sim, 15, 50);
}

/* The leader loses all other acceptors. Clients still reach it. */
static void depose(struct sim *sim)
{
    const struct stranded *cast = &sim->stranded;
    struct link *link = &sim->links[cast->leader][cast->acceptor];
    link->holes = 0;
    if (chance(&sim->fate, 700)) {
        link->clogged_to += elections(sim, 1, 10);
    }
    for (size_t i = 0; i < sim->plan.acceptors; i++) {
        if (i != cast->acceptor) {
            transport_cut(sim, cast->leader, i, 1);
            transport_cut(sim, i, cast->leader, 1);
        }
    }
    for (size_t i = 0; i < sim->plan.clients; i++) {
        client_flood(sim, i);
    }
}

/* It is gone, or cut off from all but the acceptor. */
static void remove_leader(struct sim *sim)
{
    size_t leader = sim->stranded.leader;
    if (chance(&sim->fate, 500)) {
        if (process_is_up(sim, leader)) {
            process_crash(sim, leader, 0);
            process_start_in(sim, leader, elections(sim, 0, 60));
        }
    }
    if (chance(&sim->fate, 600)) {
        for (size_t i = 0; i < sim->plan.clients; i++) {
            client_sleep(sim, i, elections(sim, 20, 100));
        }
    }
}

static void end_story(struct sim *sim)
{
    for (size_t i = 0; i < sim->cluster->node_count; i++) {
        for (size_t k = 0; k < sim->cluster->node_count; k++) {
            sim->links[i][k].holes = 0;
        }
    }
    partition_heal(sim);
    sim->stranded.stage = 0;
}

void stranded_on_item(struct sim *sim, uint32_t stage)
{
    if (stage == 0 || stage == STRANDED_BEGINS) {
        if (sim->stranded.stage != 0 || !choose_cast(sim)) {
            return;
        }
        report_line(sim, &sim->cluster->nodes[sim->stranded.acceptor], "sim=stranded leader=%s",
                    sim->cluster->nodes[sim->stranded.leader].name);
        strand(sim);
        next_stage(sim, between(&sim->fate, 1, sim->plan.election_ms * MS), 1);
    } else if (stage == 1) {
        depose(sim);
        next_stage(sim, elections(sim, 1, 8), 2);
    } else if (stage == 2) {
        remove_leader(sim);
        next_stage(sim, elections(sim, 20, 80), 3);
    } else {
        end_story(sim);
    }
}
