/* Cluster time: the stamps that leaders put on values. It runs no faster than the fastest clock
 * of any who may lead, and what a leader stamps anew is never behind what was chosen before it
 * (DESIGN 7). */
#include "common/base/bytes.h"
#include "common/protocol/value.h"
#include "tests/sim/sim.h"

/* The clock of one who may lead is set, runs at another rate, or has jumped. */
void stamps_on_clock(struct sim *sim, size_t index, int64_t forward)
{
    int64_t rate = 0;
    enum role role = sim->options.is_raft ? ROLE_ACCEPTOR : ROLE_PROPOSER;
    size_t count = sim->options.is_raft ? sim->plan.acceptors : sim->plan.proposers;
    if (sim->cluster->nodes[index].self.role != role) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        size_t leader = sim_index(sim, sim_node(sim, role, i));
        int64_t its_rate = sim->processes[leader].clock.rate;
        rate = its_rate > rate ? its_rate : rate;
    }
    clock_set(&sim->stamps.fastest, sim->now, rate, forward);
}

/* A value that was never seen for that slot: a new command, an announcement or a no-op. */
void stamps_on_proposed(struct sim *sim, slot_t slot, const struct ballot *ballot,
                        uint64_t stamp_ms)
{
    const struct stamps *stamps = &sim->stamps;
    /* Milliseconds are cut off at the begin and at the end of each reign. */
    uint64_t most_ms =
        (uint64_t)clock_read(&stamps->fastest, sim->now) / 1000 + sim->outcome->leaders + 2;
    if (stamp_ms > most_ms) {
        sim_violate(sim, "time",
                    "slot %llu is stamped %llu ms, but no clock can have come further than %llu ms",
                    (unsigned long long)slot, (unsigned long long)stamp_ms,
                    (unsigned long long)most_ms);
    }
    if (ballot_compare(ballot, &stamps->chosen_by) >= 0 && stamp_ms < stamps->chosen_ms) {
        sim_violate(sim, "time",
                    "slot %llu is stamped %llu ms at %llu.%u, after %llu ms was chosen",
                    (unsigned long long)slot, (unsigned long long)stamp_ms,
                    (unsigned long long)ballot->round, ballot->proposer,
                    (unsigned long long)stamps->chosen_ms);
    }
}

void stamps_on_chosen(struct sim *sim, const struct ballot *ballot, struct slice value)
{
    struct stamps *stamps = &sim->stamps;
    uint64_t stamp_ms = value.size >= VALUE_HEAD_BYTES ? bytes_get_u64(value.data + 1) : 0;
    if (stamp_ms > stamps->chosen_ms) {
        stamps->chosen_ms = stamp_ms;
        stamps->chosen_at = sim->now;
    }
    if (ballot_compare(ballot, &stamps->chosen_by) > 0) {
        stamps->chosen_by = *ballot;
    }
}

uint64_t stamps_now_ms(const struct sim *sim)
{
    const struct stamps *stamps = &sim->stamps;
    time_us_t since = stamps->chosen_at > sim->led_at ? stamps->chosen_at : sim->led_at;
    return stamps->chosen_ms + (uint64_t)(sim->now - since) / 1000;
}
