/* What the log says of oracles is told to those who go by it: proposers, and in Raft mode
 * acceptors.
 *
 * To all of them when it changes, to each when its connection comes up, and to all again once an
 * election timeout, because any of these messages may be lost and nobody asks. Who hears it twice,
 * or late, goes by the higher version and by the line of who has applied more.
 *
 * It leaves behind the records of the turn (SEND_AFTER_DURABLE): what a learner has told it knows
 * after a restart, too, and so never tells less than before. It waits for no sync, like everything
 * of a learner: it says what chosen slots say, which stays true even if a power cut takes them from
 * this disk and they are learnt again. */
#include "learner/state.h"

#include <string.h>

static void describe(const struct learner *l, struct msg_settings *msg, struct effects *out)
{
    const struct machine_oracle *oracle = machine_oracle(l->machine);
    *msg = (struct msg_settings){.applied = machine_applied(l->machine),
                                 .version = oracle->version,
                                 .settings = effects_hold(out, oracle->settings),
                                 .line_count = (uint32_t)oracle->line_count};
    if (oracle->line_count > 0) {
        msg->line = effects_alloc(out, oracle->line_count * sizeof *msg->line);
        memcpy(msg->line, oracle->line, oracle->line_count * sizeof *msg->line);
    }
}

void learner_on_member_up(struct learner *l, struct peer peer)
{
    const struct members *members = &l->options.members;
    int is_proposer = peer.role == ROLE_PROPOSER;
    int index = is_proposer                  ? members_proposer_index(members, peer.id)
                : peer.role == ROLE_ACCEPTOR ? members_acceptor_index(members, peer.id)
                                             : -1;
    if (index >= 0) {
        acceptor_set_t *set = is_proposer ? &l->new_proposers : &l->new_acceptors;
        *set |= (acceptor_set_t)1 << index;
    }
}

static void tell_new(acceptor_set_t set, enum role role, const node_id_t *ids,
                     const struct msg_settings *msg, struct effects *out)
{
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        if ((set >> i & 1) != 0) {
            struct peer peer = {role, ids[i]};
            effects_send(out, SEND_AFTER_DURABLE, peer, MSG_SETTINGS)->settings = *msg;
        }
    }
}

void learner_tell_settings(struct learner *l, time_ms_t now, struct effects *out)
{
    const struct machine_oracle *oracle = machine_oracle(l->machine);
    const struct members *members = &l->options.members;
    acceptor_set_t new_proposers = l->new_proposers;
    acceptor_set_t new_acceptors = l->new_acceptors;
    l->new_proposers = 0;
    l->new_acceptors = 0;
    if (oracle->version == 0 && oracle->line_count == 0) {
        return; /* nothing was ever said: each goes by its cluster.yml */
    }
    struct msg_settings msg;
    int is_time = now >= l->settings_told_at + l->options.election_ms;
    if (oracle->changes != l->settings_told || is_time) {
        describe(l, &msg, out);
        effects_broadcast(out, SEND_AFTER_DURABLE, ROLE_PROPOSER, MSG_SETTINGS)->settings = msg;
        effects_broadcast(out, SEND_AFTER_DURABLE, ROLE_ACCEPTOR, MSG_SETTINGS)->settings = msg;
        l->settings_told = oracle->changes;
        l->settings_told_at = now;
    } else if (new_proposers != 0 || new_acceptors != 0) {
        describe(l, &msg, out);
        tell_new(new_proposers, ROLE_PROPOSER, members->proposers, &msg, out);
        tell_new(new_acceptors, ROLE_ACCEPTOR, members->acceptors, &msg, out);
    }
    effects_wake(out, l->settings_told_at + l->options.election_ms);
}
