/* Results that clients get more than once: an operator deletes the store of a learner, or of all of
 * them within a short time, and lets it begin at slot 0, which is legal as long as acceptors keep
 * every slot. The learner executes the whole log again and sends its results again, also those of
 * sessions that have expired since. README.md has the fault model. */
#include "tests/sim/sim.h"

/* Before the healing: the learner of the core has the log when it is to answer in time. */
#define RELEARN_WITHIN_US (10 * SECOND)

/* And so much more for each slot of the log, where pages are small: a few slots a round trip. */
#define RELEARN_SLOT_US (4 * MS)

static const char *const names[MET_COUNT] = {
    "result of a relearning learner, sent before the store was deleted",
    "result of a relearning learner for an earlier session of the client",
    "result that comes more than a second late, from a process that has ended",
    "client connected to a learner before it has relearned",
    "client connected to a learner after it has relearned",
    "session expired while commands were under way",
};

const char *met_name(enum met met)
{
    return names[met];
}

/* A generator of its own keeps what else a seed draws. */
void relearn_draw(struct sim *sim)
{
    static const uint32_t fetch_bytes[] = {0, 16 * KIB, 64 * KIB};
    struct plan *plan = &sim->plan;
    struct rng rng;
    rng_init(&rng, ~(sim->options.seed << 11));
    plan->oversleeps = chance(&rng, 150);
    if (plan->oversleeps) {
        plan->session_ttl_ms = (uint32_t)between(&rng, 300, 2000);
        plan->pace[FAULT_CLIENT_SLEEPS] = SECOND / 2 << rng_below(&rng, 4);
    }
    if (chance(&rng, plan->oversleeps ? 600 : 100)) {
        plan->pace[FAULT_RELEARN] = 2 * SECOND << rng_below(&rng, 4);
        plan->fetch_bytes = fetch_bytes[rng_below(&rng, 3)];
    }
    if (chance(&rng, plan->oversleeps ? 500 : 100)) {
        plan->late_results = (uint32_t)between(&rng, 10, 300);
    }
}

/* How the log comes to it: as fast as the network is; slowly, page after page; or for a while not
 * at all, and then at once. */
static void draw_pace(struct sim *sim, size_t index)
{
    time_us_t until = sim->now + between(&sim->fate, SECOND / 2, 5 * SECOND);
    time_us_t slow_us = between(&sim->fate, 10 * MS, 250 * MS);
    uint64_t pace = rng_below(&sim->fate, 3);
    for (size_t i = 0; i < sim->plan.acceptors; i++) {
        struct link *link = &sim->links[i][index];
        if (pace == 1) {
            link->slow_us = slow_us;
            link->slow_until = until;
        } else if (pace == 2) {
            link->clogged_to = until;
        }
    }
}

static void delete_store(struct sim *sim, size_t index)
{
    struct process *process = &sim->processes[index];
    struct node *node = &sim->cluster->nodes[index];
    if (node->learner != NULL && learner_applied(node->learner) > process->relearns_to) {
        process->relearns_to = learner_applied(node->learner);
    }
    process_crash(sim, index, 0);
    disk_wipe(node->disk);
    report_line(sim, node, "sim=relearn applied=%llu", (unsigned long long)process->relearns_to);
    draw_pace(sim, index);
    /* Half of them have their clients at once, the others often when all is relearned. */
    process->meets_clients_at =
        chance(&sim->fate, 500) ? sim->now : sim->now + between(&sim->fate, 100 * MS, 4 * SECOND);
    process_start_in(sim, index, between(&sim->fate, 1, 200 * MS));
}

static time_us_t relearns_until(const struct sim *sim)
{
    time_us_t slots = (time_us_t)sim->cluster->checker.chosen_prefix;
    return sim->now + RELEARN_WITHIN_US + (sim->plan.fetch_bytes > 0 ? slots * RELEARN_SLOT_US : 0);
}

void relearn_strike(struct sim *sim)
{
    if (relearns_until(sim) > sim->heal_at) {
        return; /* how long a log takes to learn is no question of who leads */
    }
    int is_all = chance(&sim->fate, 600);
    size_t chosen = rng_below(&sim->fate, sim->plan.learners);
    for (size_t i = 0; i < sim->plan.learners; i++) {
        if (is_all || i == chosen) {
            delete_store(sim, sim_index(sim, sim_node(sim, ROLE_LEARNER, i)));
        }
    }
}

/* ---- what runs must have met */

void relearn_on_connection(struct sim *sim, size_t learner)
{
    const struct process *process = &sim->processes[learner];
    const struct node *node = &sim->cluster->nodes[learner];
    if (process->relearns_to > 0 && node->learner != NULL) {
        int is_early = learner_applied(node->learner) < process->relearns_to;
        sim->outcome->met[is_early ? MET_CONNECTED_EARLY : MET_CONNECTED_LATE]++;
    }
}

void relearn_on_result(struct sim *sim, const struct packet *packet, uint64_t session)
{
    const struct msg_result *result = &packet->msg.result;
    const struct node *node = &sim->cluster->nodes[packet->from];
    if (packet->msg.incarnation != node->incarnation || node->mode != NODE_UP) {
        sim->outcome->met[MET_RESULT_LATE] += sim->now - packet->sent_us > SECOND;
        return;
    }
    if (result->applied <= sim->processes[packet->from].relearns_to) {
        int is_former = result->session != 0 && session != 0 && result->session != session;
        sim->outcome->met[is_former ? MET_RESULT_OF_FORMER_SESSION : MET_RESULT_AGAIN]++;
    }
}
