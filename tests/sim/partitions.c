/* Shapes of cut links. Host k has acceptor, proposer and learner k, as far as there are such; a
 * client is a host by itself that reaches all others unless a shape says so. */
#include "tests/sim/sim.h"

#include <string.h>

#define CLIENT_HOST 1000

static size_t host_of(const struct node *node)
{
    return node->self.role == ROLE_CLIENT ? CLIENT_HOST : (size_t)node->self.id - 1;
}

static size_t host_count(const struct sim *sim)
{
    size_t count = sim->plan.acceptors;
    count = sim->plan.proposers > count ? sim->plan.proposers : count;
    return sim->plan.learners > count ? sim->plan.learners : count;
}

void partition_heal(struct sim *sim)
{
    for (size_t i = 0; i < sim->cluster->node_count; i++) {
        for (size_t k = 0; k < sim->cluster->node_count; k++) {
            int is_apart = sim->plan.is_apart && !sim->is_healed && i < sim->plan.acceptors &&
                           k < sim->plan.acceptors;
            transport_cut(sim, i, k, is_apart);
        }
    }
}

/* 1 if the shape cuts what host a sends to host b, both of which are no clients'. */
typedef int (*cuts_fn)(const struct sim *sim, size_t a, size_t b, size_t leader, size_t hub);

static int cuts_all_but_hub(const struct sim *sim, size_t a, size_t b, size_t leader, size_t hub)
{
    (void)sim;
    (void)leader;
    return a != hub && b != hub;
}

static int cuts_leader_from_hub(const struct sim *sim, size_t a, size_t b, size_t leader,
                                size_t hub)
{
    (void)sim;
    return (a == leader && b == hub) || (a == hub && b == leader);
}

/* Each reaches a majority, the next ones around the ring, and no two the same one. */
static int cuts_majority_ring(const struct sim *sim, size_t a, size_t b, size_t leader, size_t hub)
{
    size_t count = host_count(sim);
    size_t forward = (b + count - a) % count;
    size_t distance = forward < count - forward ? forward : count - forward;
    (void)leader;
    (void)hub;
    return distance > (count + 2) / 4;
}

/* Two halves that only the hub reaches both of. */
static int cuts_bridge(const struct sim *sim, size_t a, size_t b, size_t leader, size_t hub)
{
    size_t count = host_count(sim);
    size_t place_a = (a + count - hub) % count;
    size_t place_b = (b + count - hub) % count;
    size_t half = (count + 1) / 2;
    (void)leader;
    return a != hub && b != hub && (place_a < half) != (place_b < half);
}

static int cuts_hub_off(const struct sim *sim, size_t a, size_t b, size_t leader, size_t hub)
{
    (void)sim;
    (void)leader;
    return a == hub || b == hub;
}

static int cuts_in_two(const struct sim *sim, size_t a, size_t b, size_t leader, size_t hub)
{
    size_t count = host_count(sim);
    size_t half = count / 2;
    (void)leader;
    return ((a + count - hub) % count < half) != ((b + count - hub) % count < half);
}

static void cut_hosts(struct sim *sim, cuts_fn cuts, size_t leader, size_t hub)
{
    for (size_t i = 0; i < sim->servers; i++) {
        for (size_t k = 0; k < sim->servers; k++) {
            size_t a = host_of(&sim->cluster->nodes[i]);
            size_t b = host_of(&sim->cluster->nodes[k]);
            if (a != b && cuts(sim, a, b, leader, hub)) {
                transport_cut(sim, i, k, 1);
            }
        }
    }
}

/* Between one host's leader, or who could be it, and all of a role: out, in or both. In Raft
 * mode that is its acceptor, which no client talks to. */
static void cut_leader(struct sim *sim, size_t host, enum role role, int out, int in)
{
    int is_acceptor = sim->options.is_raft && role != ROLE_CLIENT;
    size_t index = sim_index(sim, sim_node(sim, is_acceptor ? ROLE_ACCEPTOR : ROLE_PROPOSER, host));
    for (size_t i = 0; i < sim->cluster->node_count; i++) {
        if (sim->cluster->nodes[i].self.role != role || i == index) {
            continue;
        }
        if (out) {
            transport_cut(sim, index, i, 1);
        }
        if (in) {
            transport_cut(sim, i, index, 1);
        }
    }
}

static const struct {
    const char *name;
    cuts_fn cuts;
} shapes[] = {
    {"quorum-loss", cuts_all_but_hub}, {"constrained", cuts_all_but_hub},
    {"chained", cuts_leader_from_hub}, {"majority-ring", cuts_majority_ring},
    {"bridge", cuts_bridge},           {"isolated-leader", cuts_hub_off},
    {"halves", cuts_in_two},
};

int partition_named(struct sim *sim, const char *name, size_t leader, size_t hub)
{
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        if (strcmp(shapes[i].name, name) == 0) {
            cut_hosts(sim, shapes[i].cuts, leader, hub);
            return 1;
        }
    }
    if (strcmp(name, "constrained-alone") == 0) { /* and the leader reaches nobody at all */
        cut_hosts(sim, cuts_all_but_hub, leader, hub);
        cut_hosts(sim, cuts_leader_from_hub, leader, hub);
    } else if (strcmp(name, "leader-to-acceptors") == 0) {
        cut_leader(sim, leader, ROLE_ACCEPTOR, 1, 0);
    } else if (strcmp(name, "acceptors-to-leader") == 0) {
        cut_leader(sim, leader, ROLE_ACCEPTOR, 0, 1);
    } else if (strcmp(name, "leader-no-learners") == 0) {
        cut_leader(sim, leader, ROLE_LEARNER, 1, 1);
    } else if (strcmp(name, "leader-no-clients") == 0) {
        cut_leader(sim, leader, ROLE_CLIENT, 1, 1);
    } else {
        return 0;
    }
    return 1;
}

/* Every link between two roles, in one direction or both. */
static void cut_roles(struct sim *sim)
{
    enum role a = (enum role)between(&sim->fate, ROLE_ACCEPTOR, ROLE_LEARNER);
    enum role b = (enum role)between(&sim->fate, ROLE_ACCEPTOR, ROLE_CLIENT);
    int both = chance(&sim->fate, 500);
    for (size_t i = 0; i < sim->cluster->node_count; i++) {
        for (size_t k = 0; k < sim->cluster->node_count; k++) {
            if (i != k && sim->cluster->nodes[i].self.role == a &&
                sim->cluster->nodes[k].self.role == b) {
                transport_cut(sim, i, k, 1);
                if (both) {
                    transport_cut(sim, k, i, 1);
                }
            }
        }
    }
}

void partition_random(struct sim *sim)
{
    partition_heal(sim);
    size_t hosts = host_count(sim);
    size_t hub = rng_below(&sim->fate, hosts);
    size_t leader = rng_below(&sim->fate, hosts);
    size_t shape = rng_below(&sim->fate, sizeof shapes / sizeof shapes[0] + 3);
    if (shape < sizeof shapes / sizeof shapes[0]) {
        report_line(sim, NULL, "sim=partition shape=%s hub=%zu leader=%zu", shapes[shape].name,
                    hub + 1, leader + 1);
        cut_hosts(sim, shapes[shape].cuts, leader, hub);
    } else if (shape == sizeof shapes / sizeof shapes[0]) {
        report_line(sim, NULL, "sim=partition shape=roles");
        cut_roles(sim);
    } else {
        size_t proposer = rng_below(&sim->fate, sim->plan.proposers);
        enum role role = (enum role)between(&sim->fate, ROLE_ACCEPTOR, ROLE_CLIENT);
        int direction = (int)between(&sim->fate, 1, 3);
        report_line(sim, NULL, "sim=partition shape=proposer proposer=%zu from=%s direction=%d",
                    proposer + 1, role_name(role), direction);
        cut_leader(sim, proposer, role, direction & 1, direction & 2);
    }
}
