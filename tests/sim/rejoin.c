/* A story of Raft: a leader is cut off from the other acceptors while clients still reach it, so
 * that its log ends with entries of its own. When another one leads it is back, and that one
 * stands still for a moment: it hears then at once where the two logs differ and that a heartbeat
 * is due, and says how far it has committed before it has sent what replaces those entries. */
#include "tests/sim/sim.h"

enum { STAGE_FLOOD = 1, STAGE_BACK, STAGE_STILL, STAGE_OVER };

#define FLOODS 10

static size_t leader_of(const struct sim *sim)
{
    size_t leader = NODES_MAX;
    for (size_t i = 0; i < sim->plan.acceptors; i++) {
        const struct node *node = &sim->cluster->nodes[i];
        int is_newer = leader == NODES_MAX ||
                       (node->raft != NULL &&
                        raft_term(node->raft) > raft_term(sim->cluster->nodes[leader].raft));
        if (node->raft != NULL && raft_role(node->raft) == RAFT_LEADER && is_newer) {
            leader = i;
        }
    }
    return leader;
}

static void cut_off(struct sim *sim, int is_cut)
{
    for (size_t i = 0; i < sim->plan.acceptors; i++) {
        if (i != sim->stranded.leader) {
            transport_cut(sim, sim->stranded.leader, i, is_cut);
            transport_cut(sim, i, sim->stranded.leader, is_cut);
        }
    }
}

static void stage_in(struct sim *sim, time_us_t delay, int stage)
{
    sim->stranded.stage = stage;
    sim_at(sim, sim->now + delay, ITEM_FAULT, FAULT_STRANDED, (uint32_t)stage);
}

static void begin(struct sim *sim)
{
    time_us_t election = sim->plan.election_ms * MS;
    size_t leader = leader_of(sim);
    if (sim->stranded.stage != 0 || sim->plan.acceptors < 3 || leader == NODES_MAX) {
        return;
    }
    sim->stranded.leader = leader;
    report_line(sim, &sim->cluster->nodes[leader], "sim=cut_off");
    cut_off(sim, 1);
    for (int64_t i = 0; i < FLOODS; i++) {
        sim_at(sim, sim->now + between(&sim->fate, 1, election / 2), ITEM_FAULT, FAULT_STRANDED,
               STAGE_FLOOD);
    }
    stage_in(sim, between(&sim->fate, 2 * election, 4 * election), STAGE_BACK);
}

void rejoin_on_item(struct sim *sim, uint32_t stage)
{
    time_us_t heartbeat = sim->plan.heartbeat_ms * MS;
    size_t leader = leader_of(sim);
    switch (stage) {
    case 0:
        begin(sim);
        break;
    case STAGE_FLOOD:
        client_flood(sim, rng_below(&sim->fate, sim->plan.clients));
        break;
    case STAGE_BACK:
        cut_off(sim, 0);
        stage_in(sim, between(&sim->fate, 1, 2 * heartbeat), STAGE_STILL);
        break;
    case STAGE_STILL:
        if (leader != NODES_MAX && leader != sim->stranded.leader) {
            sim->processes[leader].paused_until = sim->now + between(&sim->fate, 1, 3 * heartbeat);
        }
        stage_in(sim, heartbeat, STAGE_OVER);
        break;
    case STAGE_OVER:
        sim->stranded.stage = 0;
        break;
    default:
        break; /* there is no last story */
    }
}
