/* Leadership handed to a follower whose log is complete (Ongaro's thesis, 3.10): a round trip,
 * not a timeout. */
#include "acceptor/raft/state.h"

#include "common/base/mutant.h"

/* Election timeouts for which another one has to answer and rank higher before it is handed over
 * to. */
#define PREEMPT_TIMEOUTS 2

/* What the settings want may be impossible: the target cannot win, or goes by other settings and
 * gives it back. Nothing is served meanwhile, so it is tried again ever more seldom: after twice
 * PREEMPT_TIMEOUTS, then after double of that, so many times. */
#define RETRY_DOUBLINGS_MAX 5

uint64_t raft_weight(const struct raft *r, size_t index)
{
    return settings_weight(&r->settings, r->options.members.acceptors[index]);
}

int raft_is_barred(const struct raft *r, size_t index)
{
    return settings_bar(&r->settings, r->options.members.acceptors[index]);
}

static int is_better(const struct raft *r, size_t a, size_t b)
{
    uint64_t weight_a = raft_weight(r, a);
    uint64_t weight_b = raft_weight(r, b);
    return weight_a != weight_b ? weight_a > weight_b : r->progress[a].match > r->progress[b].match;
}

/* The follower that should lead next, of those that are not passed over: alive, then of the highest
 * rank, then the furthest. */
static node_id_t choose(const struct raft *r, acceptor_set_t passed_over, time_ms_t now)
{
    const struct members *members = &r->options.members;
    acceptor_set_t active = raft_progress_active(r, now) & ~passed_over;
    int best = -1;
    for (size_t i = 0; i < members->acceptor_count; i++) {
        if ((int)i == r->self_index || (active >> i & 1) == 0 || raft_is_barred(r, i)) {
            continue;
        }
        if (best < 0 || is_better(r, i, (size_t)best)) {
            best = (int)i;
        }
    }
    return best < 0 ? 0 : members->acceptors[best];
}

void raft_transfer_begin(struct raft *r, node_id_t to, time_ms_t now, struct effects *out)
{
    CHECK(r->role == RAFT_LEADER);
    r->transfer_to = to != 0 ? to : choose(r, 0, now);
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
        int is_complete = (r->progress[index].match == r->log.last && r->handed_count == 0) ||
                          MUTANT(raft_transfer_before_complete);
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
    if (raft_is_barred(r, (size_t)r->self_index)) {
        effects_mark(out, MARK_RAFT_BARRED);
        return; /* it goes by other settings, and would get it back at once */
    }
    effects_mark(out, MARK_RAFT_TRANSFERRED);
    raft_campaign(r, 1, event->now, out);
}

/* ---- an operator asks */

static enum transfer_status judge(const struct raft *r, node_id_t to, time_ms_t now)
{
    if (r->role != RAFT_LEADER) {
        return TRANSFER_NOT_LEADER;
    }
    if (r->transfer_to != 0 || r->is_stopping) {
        return TRANSFER_BUSY;
    }
    if (to == 0) {
        return choose(r, 0, now) != 0 ? TRANSFER_BEGUN : TRANSFER_UNFIT;
    }
    if (to == r->options.id) {
        return TRANSFER_ALREADY;
    }
    int index = members_acceptor_index(&r->options.members, to);
    if (index < 0) {
        return TRANSFER_UNKNOWN;
    }
    if (raft_is_barred(r, (size_t)index)) {
        return TRANSFER_BARRED;
    }
    int is_active = (raft_progress_active(r, now) >> index & 1) != 0;
    return is_active ? TRANSFER_BEGUN : TRANSFER_UNFIT;
}

void raft_on_transfer(struct raft *r, const struct event *event, struct effects *out)
{
    const struct msg_transfer *transfer = &event->msg->transfer;
    enum transfer_status status = judge(r, transfer->to, event->now);
    struct message *reply = effects_reply(out, SEND_NOW, event->msg, MSG_TRANSFERRED);
    reply->transferred = (struct msg_transferred){transfer->request, status, r->leader.proposer};
    if (status == TRANSFER_BEGUN) {
        effects_mark(out, MARK_TRANSFER_ASKED);
        raft_transfer_begin(r, transfer->to, event->now, out);
    }
}

/* ---- rules of the settings */

void raft_take_settings(struct raft *r, const struct settings *settings)
{
    r->settings = *settings;
    if (r->options.leads_anyway) {
        settings_allow(&r->settings, r->options.id);
    }
}

void raft_on_settings(struct raft *r, const struct event *event, struct effects *out)
{
    struct settings settings;
    if (!message_tells_settings(event->msg, &r->options.members, r->settings.version, &settings)) {
        return;
    }
    raft_take_settings(r, &settings);
    r->tried = 0;
    r->tried_in_a_row = 0;
    effects_mark(out, MARK_SETTINGS_CHANGED);
    effects_note(out, NOTE_INFO, "event=oracle_set version=%llu preempts=%d zone=%s",
                 (unsigned long long)settings.version, settings.preempts, settings.zone);
}

static time_ms_t retry_ms(const struct raft *r, uint32_t doublings)
{
    return (PREEMPT_TIMEOUTS * r->options.election_ms) << doublings;
}

static void yield(struct raft *r, node_id_t to, time_ms_t now, struct effects *out)
{
    if (now >= r->tried_until + retry_ms(r, RETRY_DOUBLINGS_MAX)) {
        r->tried_in_a_row = 0;
    }
    if (r->tried_in_a_row < RETRY_DOUBLINGS_MAX) {
        r->tried_in_a_row++;
    }
    r->tried |= (acceptor_set_t)1 << members_acceptor_index(&r->options.members, to);
    r->tried_until = now + retry_ms(r, r->tried_in_a_row);
    r->better = 0;
    raft_transfer_begin(r, to, now, out);
}

void raft_maybe_yield(struct raft *r, time_ms_t now, struct effects *out)
{
    if (r->role != RAFT_LEADER || r->transfer_to != 0 || r->is_stopping) {
        return;
    }
    if (now >= r->tried_until) {
        r->tried = 0;
    }
    node_id_t best = choose(r, r->tried, now);
    int index = members_acceptor_index(&r->options.members, best);
    if (index < 0) {
        r->better = 0;
        return;
    }
    if (raft_is_barred(r, (size_t)r->self_index)) {
        effects_mark(out, MARK_BARRED_LEADER);
        yield(r, best, now, out);
        return;
    }
    int is_above = r->settings.preempts &&
                   raft_weight(r, (size_t)index) > raft_weight(r, (size_t)r->self_index);
    /* Of two of the same rank now this one is further, now that one. */
    int former = members_acceptor_index(&r->options.members, r->better);
    int is_same = former >= 0 && raft_weight(r, (size_t)former) == raft_weight(r, (size_t)index);
    if (!is_above || !is_same) {
        r->better = is_above ? best : 0;
        r->better_since = now;
        return;
    }
    if (now - r->better_since >= PREEMPT_TIMEOUTS * r->options.election_ms) {
        effects_mark(out, MARK_PREEMPTED);
        yield(r, best, now, out);
    }
}
