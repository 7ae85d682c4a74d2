/* A story that chance alone seldom tells: a leader loses the other acceptors and is deposed, and
 * one acceptor, with holes in what it has, hears nobody but that leader. What it hears comes
 * late, in two bursts: time enough to fetch from the others what the next leader got chosen,
 * before the first one's own proposals for the same slots arrive. Meanwhile a learner has seen
 * values of the deposed leader and misses some of the next one's. At the end the acceptor has
 * votes far above where the others are, and often nobody appends any more.
 *
 * Or the same leader leads again, at a higher ballot, without the acceptor; what that one had
 * accepted at the lower ballot, for the same slots, is told to it then. */
#include "tests/sim/sim.h"

/* 0: nobody is on stage. */
enum { STAGE_DEPOSED = 1, STAGE_FLOOD, STAGE_REMOVED, STAGE_AWAY, STAGE_BACK, STAGE_OVER };

#define FLOODS_MAX 60

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
    if (leader == NODES_MAX || sim->plan.acceptors < 3) {
        return 0;
    }
    cast->leader = leader;
    cast->acceptor = rng_below(&sim->fate, sim->plan.acceptors);
    size_t learner = rng_below(&sim->fate, sim->plan.learners);
    cast->learner = sim_index(sim, sim_node(sim, ROLE_LEARNER, learner));
    return 1;
}

static void make_holes(struct sim *sim, size_t from, size_t to, uint32_t per_mille, time_us_t until)
{
    sim->links[from][to].holes = per_mille;
    sim->links[from][to].holes_until = until;
}

/* A learner hears nothing of the next leader's first values, and little from acceptors. */
static void confuse_learner(struct sim *sim)
{
    const struct stranded *cast = &sim->stranded;
    time_us_t until = sim->now + elections(sim, 5, 40);
    for (size_t i = 0; i < sim->servers; i++) {
        if (i != cast->leader) {
            uint32_t per_mille = i < sim->plan.acceptors ? 950 : 1000;
            make_holes(sim, i, cast->learner, per_mille, until);
        }
    }
}

/* Nobody but the leader reaches acceptors, and what one of them answers comes late. */
static void silence_others(struct sim *sim)
{
    const struct stranded *cast = &sim->stranded;
    for (size_t i = 0; i < sim->plan.proposers; i++) {
        size_t proposer = sim_index(sim, sim_node(sim, ROLE_PROPOSER, i));
        for (size_t k = 0; k < sim->plan.acceptors && proposer != cast->leader; k++) {
            transport_cut(sim, proposer, k, 1);
        }
    }
    sim->links[cast->acceptor][cast->leader].clogged_to = sim->now + elections(sim, 15, 40);
}

/* The acceptor loses all proposers but the leader, whose messages wait, some of them for ever. */
static void strand(struct sim *sim)
{
    const struct stranded *cast = &sim->stranded;
    for (size_t i = 0; i < sim->plan.proposers; i++) {
        size_t proposer = sim_index(sim, sim_node(sim, ROLE_PROPOSER, i));
        if (proposer != cast->leader) {
            transport_cut(sim, proposer, cast->acceptor, 1);
        }
    }
    make_holes(sim, cast->leader, cast->acceptor, 200, TIME_US_NEVER);
    sim->links[cast->leader][cast->acceptor].clogged_to = sim->now + elections(sim, 15, 50);
}

static void cut_leader(struct sim *sim, int is_cut)
{
    const struct stranded *cast = &sim->stranded;
    for (size_t i = 0; i < sim->plan.acceptors; i++) {
        if (i != cast->acceptor) {
            transport_cut(sim, cast->leader, i, is_cut);
            transport_cut(sim, i, cast->leader, is_cut);
        }
    }
}

/* The leader loses all other acceptors. Clients still reach it. */
static void depose(struct sim *sim)
{
    const struct stranded *cast = &sim->stranded;
    struct link *link = &sim->links[cast->leader][cast->acceptor];
    link->holes_until = 0;
    if (!cast->returns && chance(&sim->fate, 700)) {
        link->clogged_to += elections(sim, 1, 10);
    }
    cut_leader(sim, 1);
    if (chance(&sim->fate, 600)) {
        confuse_learner(sim);
    }
    /* One after the other, so that each takes slots of its own. */
    time_us_t at = sim->now;
    for (int64_t floods = between(&sim->fate, 1, FLOODS_MAX); floods > 0; floods--) {
        sim_at(sim, at, ITEM_FAULT, FAULT_STRANDED, STAGE_FLOOD);
        at += between(&sim->fate, 1, 4 * MS);
    }
}

/* One acceptor fewer than a quorum answers the leader that is back. */
void stranded_on_leading(struct sim *sim, size_t index)
{
    const struct stranded *cast = &sim->stranded;
    if (sim->is_healed || sim->options.is_raft || cast->stage != STAGE_BACK ||
        index != cast->leader) {
        return;
    }
    size_t left = sim->plan.q2 - 1;
    for (size_t i = 0; i < sim->plan.acceptors; i++) {
        if (i == cast->acceptor) {
            continue;
        }
        if (left > 0) {
            left--;
        } else {
            transport_cut(sim, i, cast->leader, 1);
        }
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
    int fate = sim->stranded.is_last ? 1 : (int)rng_below(&sim->fate, 3); /* of the clients */
    for (size_t i = 0; i < sim->plan.clients && fate > 0; i++) {
        if (fate == 1) { /* what they sent nobody asks for any more */
            client_die(sim, i);
        }
        client_sleep(sim, i, elections(sim, 20, 100));
    }
}

static void end_story(struct sim *sim)
{
    for (size_t i = 0; i < sim->cluster->node_count; i++) {
        for (size_t k = 0; k < sim->cluster->node_count; k++) {
            sim->links[i][k].holes_until = 0;
        }
    }
    partition_heal(sim);
    sim->stranded.stage = 0;
}

/* The last story mostly leaves votes behind that nobody but the next leader looks after. */
static void begin_story(struct sim *sim, int is_last)
{
    struct stranded *cast = &sim->stranded;
    if (cast->stage != 0 || !choose_cast(sim)) {
        return;
    }
    cast->is_last = is_last;
    if (is_last) {
        partition_heal(sim);
    }
    cast->returns = sim->plan.proposers < 2 || chance(&sim->fate, is_last ? 200 : 400);
    if (is_last && chance(&sim->fate, 700)) {
        sim->plan.ends_quietly = 1;
    }
    report_line(sim, &sim->cluster->nodes[cast->acceptor], "sim=stranded leader=%s returns=%d",
                sim->cluster->nodes[cast->leader].name, cast->returns);
    if (cast->returns) {
        silence_others(sim);
    } else {
        strand(sim);
    }
    next_stage(sim, between(&sim->fate, 1, sim->plan.election_ms * MS), STAGE_DEPOSED);
}

void stranded_on_item(struct sim *sim, uint32_t stage)
{
    const struct stranded *cast = &sim->stranded;
    if (sim->options.is_raft) {
        rejoin_on_item(sim, stage);
        return;
    }
    switch (stage) {
    case STAGE_DEPOSED:
        depose(sim);
        if (cast->returns) {
            next_stage(sim, between(&sim->fate, 1, 100 * MS), STAGE_AWAY);
        } else {
            next_stage(sim, elections(sim, 1, 8), STAGE_REMOVED);
        }
        break;
    case STAGE_FLOOD:
        client_flood(sim, rng_below(&sim->fate, sim->plan.clients));
        break;
    case STAGE_AWAY: /* now it loses the last acceptor, too */
        transport_cut(sim, cast->leader, cast->acceptor, 1);
        next_stage(sim, elections(sim, 10, 15), STAGE_BACK);
        break;
    case STAGE_BACK:
        cut_leader(sim, 0);
        next_stage(sim, elections(sim, 20, 40), STAGE_OVER);
        break;
    case STAGE_REMOVED:
        remove_leader(sim);
        if (!cast->is_last) { /* else the healing ends it */
            next_stage(sim, elections(sim, 20, 80), STAGE_OVER);
        }
        break;
    case STAGE_OVER:
        end_story(sim);
        break;
    default:
        begin_story(sim, stage == STRANDED_BEGINS);
        break;
    }
}
