/* Leadership handed to a follower whose log is complete (Ongaro's thesis, 3.10): a round trip,
 * not a timeout. */
#include "acceptor/raft/state.h"

/* The follower that should lead next: alive, then of the highest priority, then the furthest. */
static node_id_t choose(const struct raft *r, time_ms_t now)
{
    const struct members *members = &r->options.members;
    acceptor_set_t active = raft_progress_active(r, now);
    int best = -1;
    for (size_t i = 0; i < members->acceptor_count; i++) {
        if ((int)i == r->self_index || (active >> i & 1) == 0) {
            continue;
        }
        if (best < 0 || r->options.priorities[i] > r->options.priorities[best] ||
            (r->options.priorities[i] == r->options.priorities[best] &&
             r->progress[i].match > r->progress[best].match)) {
            best = (int)i;
        }
    }
    return best < 0 ? 0 : members->acceptors[best];
}

void raft_transfer_begin(struct raft *r, time_ms_t now, struct effects *out)
{
    CHECK(r->role == RAFT_LEADER);
    r->transfer_to = choose(r, now);
    r->transfer_deadline = now + r->options.election_ms;
    r->transfer_again_at = now;
    if (r->transfer_to == 0) {
        effects_mark(out, MARK_HAND_OVER_TO_NOBODY);
    }
    effects_note(out, NOTE_INFO, "event=transferring to=%u term=%llu", r->transfer_to,
                 (unsigned long long)r->term);
}

/* Sent again each heartbeat until the target's term is heard: a copy asks for nothing new. */
static void work_as_leader(struct raft *r, time_ms_t now, struct effects *out)
{
    int index = members_acceptor_index(&r->options.members, r->transfer_to);
    if (index >= 0 && now < r->transfer_deadline) {
        effects_wake(out, r->transfer_deadline);
        int is_complete = r->progress[index].match == r->log.last;
        if (is_complete && now >= r->transfer_again_at) {
            r->transfer_again_at = now + r->options.heartbeat_ms;
            struct peer target = {ROLE_ACCEPTOR, r->transfer_to};
            effects_send(out, SEND_NOW, target, MSG_TIMEOUT_NOW)->timeout_now =
                (struct msg_timeout_now){r->ballot};
        }
        return;
    }
    r->transfer_to = 0; /* the target did not take it: go on, or end */
    if (r->is_stopping) {
        raft_follow(r, &BALLOT_NONE, "the process ends", now, out);
    }
}

void raft_transfer_work(struct raft *r, time_ms_t now, struct effects *out)
{
    if (r->role == RAFT_LEADER && (r->transfer_to != 0 || r->is_stopping)) {
        work_as_leader(r, now, out);
    }
    if (r->is_stopping && r->role != RAFT_LEADER) {
        out->finished = 1; /* the vote for the next one leaves with this turn */
    }
}

void raft_on_timeout_now(struct raft *r, const struct event *event, struct effects *out)
{
    if (r->role != RAFT_FOLLOWER || !ballot_equal(&event->msg->timeout_now.ballot, &r->leader) ||
        r->is_stopping) {
        return; /* of a leader that is none any more */
    }
    effects_mark(out, MARK_RAFT_TRANSFERRED);
    raft_campaign(r, 1, event->now, out);
}
