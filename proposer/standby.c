#include "proposer/state.h"

#include "common/base/mutant.h"

#include <string.h>

/* A report speaks for the present only while it is this fresh, in heartbeats. */
#define FRESH_HEARTBEATS 3

static int is_fresh(const struct proposer *p, const struct acceptor_view *view, time_ms_t now)
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
           is_accept_quorum(&p->options.members, reached);
}

int proposer_keeps_quorum(const struct proposer *p, time_ms_t now)
{
    return is_accept_quorum(&p->options.members, reached_acceptors(p, now));
}

void proposer_send_heartbeat(struct proposer *p, time_ms_t now, struct effects *out)
{
    int is_serving = proposer_is_serving(p);
    p->sequence++;
    p->sent_at[p->sequence % HEARTBEATS_REMEMBERED] = now;
    p->heartbeat_due_at = now + p->options.heartbeat_ms;
    struct message *msg = effects_broadcast(out, SEND_NOW, ROLE_ACCEPTOR, MSG_HEARTBEAT);
    msg->heartbeat = (struct msg_heartbeat){
        .ballot = is_serving ? p->ballot : BALLOT_NONE,
        .sequence = p->sequence,
        .commit = is_serving ? p->chosen : 0,
        .lease_ms = is_serving ? (uint32_t)p->options.election_ms : 0,
        .reaches_quorum = (uint32_t)proposer_reaches_quorum(p, now),
        .priority = p->options.priority,
    };
    if (is_serving) {
        proposer_tell_learners(p, out);
        proposer_send_commit(p, out); /* learners that missed one, or that have just come */
    }
}

/* Believes the highest ballot that a fresh report has heard within one election timeout. */
static void learn_leader(struct proposer *p, time_ms_t now)
{
    struct ballot best = BALLOT_NONE;
    for (size_t i = 0; i < p->options.members.acceptor_count; i++) {
        const struct acceptor_view *view = &p->acceptors[i];
        if (is_fresh(p, view, now) && view->report.leader_silence_ms < p->options.election_ms &&
            ballot_compare(&view->report.leader, &best) > 0) {
            best = view->report.leader;
        }
    }
    p->leader = best.proposer;
    p->leader_ballot = best;
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
        proposer_step_down(p, "an acceptor promised another ballot", event->now, out);
    }
}

/* The acceptors that have not heard a leader for an election timeout, or never had one. */
static acceptor_set_t leaderless_acceptors(const struct proposer *p, time_ms_t now)
{
    acceptor_set_t set = 0;
    for (size_t i = 0; i < p->options.members.acceptor_count; i++) {
        const struct acceptor_view *view = &p->acceptors[i];
        if (!is_fresh(p, view, now)) {
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

/* What the acceptors' reports say of the other proposers; of itself a proposer knows better. */
static void build_view(const struct proposer *p, time_ms_t now, struct oracle_view *view)
{
    const struct members *members = &p->options.members;
    memset(view, 0, sizeof *view);
    view->leader = p->leader;
    view->candidate_count = members->proposer_count;
    for (size_t i = 0; i < members->proposer_count; i++) {
        struct oracle_candidate *candidate = &view->candidates[i];
        candidate->id = members->proposers[i];
        if (candidate->id == p->options.id) {
            candidate->is_alive = 1;
            candidate->priority = p->options.priority;
            candidate->reaches_quorum = proposer_reaches_quorum(p, now);
            continue;
        }
        uint32_t silence_ms = (uint32_t)p->options.election_ms;
        for (size_t k = 0; k < members->acceptor_count; k++) {
            const struct acceptor_view *acceptor = &p->acceptors[k];
            if (!is_fresh(p, acceptor, now) || i >= acceptor->report.proposer_count) {
                continue;
            }
            const struct proposer_report *heard = &acceptor->proposers[i];
            if (heard->proposer == candidate->id && heard->silence_ms < silence_ms) {
                silence_ms = heard->silence_ms;
                candidate->is_alive = 1;
                candidate->priority = heard->priority;
                candidate->reaches_quorum = heard->reaches_quorum != 0;
            }
        }
    }
}

node_id_t proposer_successor(const struct proposer *p, time_ms_t now)
{
    struct oracle_view view;
    build_view(p, now, &view);
    view.leader = 0;
    for (size_t i = 0; i < view.candidate_count; i++) {
        if (view.candidates[i].id == p->options.id) {
            view.candidates[i].is_alive = 0;
        }
    }
    return p->oracle(&view);
}

void proposer_maybe_campaign(struct proposer *p, time_ms_t now, struct effects *out)
{
    if (p->state != NODE_STANDBY || now < p->pause_until) {
        return;
    }
    if (now < p->invited_until) {
        proposer_campaign(p, now, out);
        return;
    }
    if (!is_prepare_quorum(&p->options.members, leaderless_acceptors(p, now)) ||
        !proposer_reaches_quorum(p, now)) {
        return;
    }
    /* A quorum hears nobody, so whoever a minority still hears does not serve. */
    struct oracle_view view;
    build_view(p, now, &view);
    view.leader = 0;
    if (p->oracle(&view) == p->options.id) {
        proposer_campaign(p, now, out);
    }
}

void proposer_on_release(struct proposer *p, const struct event *event, struct effects *out)
{
    const struct msg_release *release = &event->msg->release;
    if (event->msg->from.role != ROLE_PROPOSER || event->msg->from.id != release->ballot.proposer) {
        return;
    }
    if (release->ballot.round > p->round_max) {
        p->round_max = release->ballot.round;
    }
    if (release->successor != p->options.id || p->state != NODE_STANDBY) {
        return;
    }
    /* The acceptors hear of the release at about the same time as we do: a first refusal by the old
     * lease is followed by another attempt within milliseconds. */
    effects_mark(out, MARK_RELEASE_INVITES);
    p->invited_until = event->now + p->options.election_ms;
    p->pause_until = event->now;
    effects_note(out, NOTE_INFO, "event=invited by=%u round=%llu", release->ballot.proposer,
                 (unsigned long long)release->ballot.round);
    proposer_maybe_campaign(p, event->now, out);
}
