#include "proposer/state.h"

#include "common/base/mutant.h"

#include <string.h>

/* A report speaks for the present only while it is this fresh, in heartbeats. */
#define FRESH_HEARTBEATS 3

int proposer_is_fresh(const struct proposer *p, const struct acceptor_view *view, time_ms_t now)
{
    return view->is_heard && !view->is_outdated &&
           now - view->heard_at <= FRESH_HEARTBEATS * p->options.heartbeat_ms;
}

/* The acceptors that have answered a heartbeat of the last election timeout. */
static acceptor_set_t reached_acceptors(const struct proposer *p, time_ms_t now)
{
    acceptor_set_t reached = 0;
    for (size_t i = 0; i < p->options.members.acceptor_count; i++) {
        const struct acceptor_view *view = &p->acceptors[i];
        if (view->is_heard && now - view->acked_sent_at < p->options.election_ms) {
            reached |= (acceptor_set_t)1 << i;
        }
    }
    return reached;
}

int proposer_reaches_quorum(const struct proposer *p, time_ms_t now)
{
    acceptor_set_t reached = reached_acceptors(p, now);
    return is_prepare_quorum(&p->options.members, reached) &&
           (is_accept_quorum(&p->options.members, reached) || MUTANT(campaigns_without_accepts));
}

int proposer_keeps_quorum(const struct proposer *p, time_ms_t now)
{
    if (MUTANT(leader_needs_prepare_quorum)) {
        return is_prepare_quorum(&p->options.members, reached_acceptors(p, now));
    }
    return is_accept_quorum(&p->options.members, reached_acceptors(p, now));
}

/* Believes the highest ballot that a fresh report has heard within one election timeout. */
static void learn_leader(struct proposer *p, time_ms_t now)
{
    struct ballot best = BALLOT_NONE;
    for (size_t i = 0; i < p->options.members.acceptor_count; i++) {
        const struct acceptor_view *view = &p->acceptors[i];
        if (proposer_is_fresh(p, view, now) &&
            view->report.leader_silence_ms < p->options.election_ms &&
            ballot_compare(&view->report.leader, &best) > 0) {
            best = view->report.leader;
        }
    }
    /* That acceptors still speak of its own ballot does not make a standby the leader. */
    int is_former_self = best.proposer == p->options.id && !proposer_is_serving(p);
    p->leader = is_former_self ? 0 : best.proposer;
    p->leader_ballot = best;
}

void proposer_send_heartbeat(struct proposer *p, time_ms_t now, struct effects *out)
{
    int is_serving = proposer_is_serving(p);
    /* The others may go by settings that do not bar us, and would wait for us for ever. */
    int could_lead = proposer_reaches_quorum(p, now) && !settings_bar(&p->settings, p->options.id);
    p->sequence++;
    p->sent_at[p->sequence % HEARTBEATS_REMEMBERED] = now;
    p->heartbeat_due_at = now + p->options.heartbeat_ms;
    struct message *msg = effects_broadcast(out, SEND_NOW, ROLE_ACCEPTOR, MSG_HEARTBEAT);
    msg->heartbeat = (struct msg_heartbeat){
        .ballot = is_serving ? p->ballot : BALLOT_NONE,
        .sequence = p->sequence,
        .commit = is_serving ? p->chosen : 0,
        .lease_ms = is_serving ? (uint32_t)p->options.election_ms : 0,
        .reaches_quorum = (uint32_t)could_lead,
        .version = p->settings.version,
    };
    if (is_serving) {
        proposer_tell_learners(p, out);
        proposer_send_commit(p, out); /* learners that missed one, or that have just come */
    }
}

/* The acceptors that have answered a heartbeat of the last election timeout as followers of this
 * leader: so long their lease keeps them from promising to anybody else. */
static acceptor_set_t following_acceptors(const struct proposer *p, time_ms_t now)
{
    acceptor_set_t following = reached_acceptors(p, now);
    for (size_t i = 0; i < p->options.members.acceptor_count; i++) {
        const struct msg_report *report = &p->acceptors[i].report;
        if (!ballot_equal(&report->promised, &p->ballot) ||
            !ballot_equal(&report->leader, &p->ballot)) {
            following &= ~((acceptor_set_t)1 << i);
        }
    }
    return following;
}

void proposer_on_deposed(struct proposer *p, int index, const char *reason, time_ms_t now,
                         struct effects *out)
{
    acceptor_set_t following = following_acceptors(p, now) & ~((acceptor_set_t)1 << index);
    /* By a clock that stands still leases would last for ever: it would come back and back. */
    int has_clock = now - p->stamp_started_at >= p->options.heartbeat_ms;
    int renews = p->state != NODE_DRAINING && has_clock &&
                 !settings_bar(&p->settings, p->options.id) &&
                 is_prepare_quorum(&p->options.members, following) &&
                 is_accept_quorum(&p->options.members, following) && !MUTANT(refused_leader_waits);
    proposer_step_down(p, reason, now, out);
    if (renews) {
        effects_mark(out, MARK_BALLOT_RENEWED);
        proposer_campaign(p, now, out);
    }
}

void proposer_on_report(struct proposer *p, const struct event *event, struct effects *out)
{
    const struct message *msg = event->msg;
    int index = members_acceptor_index(&p->options.members, msg->from.id);
    if (msg->from.role != ROLE_ACCEPTOR || index < 0 || msg->report.proposer_count > MEMBERS_MAX) {
        return;
    }
    struct acceptor_view *view = &p->acceptors[index];
    uint64_t sequence = msg->report.sequence;
    if (sequence > p->sequence || p->sequence - sequence >= HEARTBEATS_REMEMBERED) {
        effects_mark(out, MARK_REPORT_TOO_OLD);
        return; /* an answer to nothing we remember */
    }
    time_ms_t sent_at = p->sent_at[sequence % HEARTBEATS_REMEMBERED];
    if (!view->is_heard || sent_at > view->acked_sent_at) {
        view->acked_sent_at = sent_at;
    }
    view->is_heard = 1;
    view->is_outdated = 0;
    view->heard_at = event->now;
    view->report = msg->report;
    if (msg->report.proposer_count > 0) {
        memcpy(view->proposers, msg->report.proposers,
               msg->report.proposer_count * sizeof *view->proposers);
    }
    view->report.proposers = view->proposers;
    if (msg->report.promised.round > p->round_max && !MUTANT(round_not_raised)) {
        p->round_max = msg->report.promised.round;
    }
    learn_leader(p, event->now);
    /* An equal round of a former life of this proposer is as bad as a higher ballot: that acceptor
     * will take nothing of ours, and while nothing is proposed no nack says so. */
    int order = ballot_compare(&msg->report.promised, &p->ballot);
    if (proposer_is_serving(p) &&
        (order > 0 || (order == 0 && !ballot_equal(&msg->report.promised, &p->ballot)))) {
        effects_mark(out, MARK_STEP_DOWN_BY_REPORT);
        proposer_on_deposed(p, index, "an acceptor promised another ballot", event->now, out);
    }
}

/* The acceptors that have not heard a leader for an election timeout, or never had one. */
static acceptor_set_t leaderless_acceptors(const struct proposer *p, time_ms_t now)
{
    acceptor_set_t set = 0;
    for (size_t i = 0; i < p->options.members.acceptor_count; i++) {
        const struct acceptor_view *view = &p->acceptors[i];
        if (!proposer_is_fresh(p, view, now)) {
            continue;
        }
        int never_led = ballot_is_none(&view->report.promised);
        if (never_led || (view->report.leader_silence_ms >= p->options.election_ms &&
                          view->report.lease_left_ms == 0)) {
            set |= (acceptor_set_t)1 << i;
        }
    }
    return set;
}

int proposer_gate_is_open(const struct proposer *p, time_ms_t now)
{
    return is_prepare_quorum(&p->options.members, leaderless_acceptors(p, now)) &&
           proposer_reaches_quorum(p, now);
}

void proposer_maybe_campaign(struct proposer *p, time_ms_t now, struct effects *out)
{
    int is_barred = settings_bar(&p->settings, p->options.id) && !MUTANT(oracle_barred_campaigns);
    if (p->state != NODE_STANDBY || now < p->pause_until || is_barred || p->is_stopping) {
        return;
    }
    if (now < p->invited_until) {
        proposer_campaign(p, now, out);
        return;
    }
    if (!proposer_gate_is_open(p, now) && !MUTANT(oracle_unseats)) {
        return;
    }
    struct oracle_view view;
    proposer_view(p, now, &view);
    view.leader = MUTANT(oracle_unseats) ? 0 : view.leader;
    if (oracle_names(&p->oracle, &view) == p->options.id) {
        proposer_campaign(p, now, out);
    }
}
