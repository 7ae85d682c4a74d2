/* Leadership handed over: at the end of the process, because an operator asks, or by a rule of the
 * settings. A round trip, not a timeout. */
#include "common/base/mutant.h"
#include "proposer/state.h"

/* Election timeouts for which another one has to be fit and of higher rank before it is handed
 * over to: one that comes and goes must not make the leader change. */
#define PREEMPT_TIMEOUTS 2

node_id_t proposer_successor(const struct proposer *p, time_ms_t now)
{
    struct oracle_view view;
    proposer_view(p, now, &view);
    view.leader = 0;
    for (size_t i = 0; i < view.candidate_count; i++) {
        if (view.candidates[i].id == p->options.id) {
            view.candidates[i].is_alive = 0;
        }
    }
    const struct oracle_candidate *named = oracle_candidate(&view, oracle_names(&p->oracle, &view));
    return named != NULL && oracle_is_fit(named) ? named->id : oracle_best(&view);
}

static void drain(struct proposer *p, node_id_t to, time_ms_t now, struct effects *out)
{
    proposer_become(p, NODE_DRAINING);
    p->drain_to = to;
    p->drain_deadline = now + p->options.election_ms;
    effects_note(out, NOTE_INFO, "event=draining waiting_bytes=%zu", p->clients.waiting_bytes);
}

/* Nothing is left to get chosen, or no time: gives up the lease and names the next. */
static void hand_over(struct proposer *p, time_ms_t now, struct effects *out)
{
    proposer_send_heartbeat(p, now, out); /* with the last commit */
    node_id_t successor = p->drain_to != 0 ? p->drain_to : proposer_successor(p, now);
    struct msg_release release = {.ballot = p->ballot, .successor = successor};
    effects_broadcast(out, SEND_NOW, ROLE_ACCEPTOR, MSG_RELEASE)->release = release;
    if (successor == 0) {
        effects_mark(out, MARK_HAND_OVER_TO_NOBODY);
    } else {
        effects_broadcast(out, SEND_NOW, ROLE_PROPOSER, MSG_RELEASE)->release = release;
    }
    effects_note(out, NOTE_INFO, "event=handed_over successor=%u chosen=%llu", successor,
                 (unsigned long long)p->chosen);
    proposer_step_down(p, "handed over", now, out);
    if (successor != 0) {
        p->pause_until = now + p->options.election_ms; /* that one goes first */
    }
    out->finished = p->is_stopping;
}

void proposer_on_shutdown(struct proposer *p, time_ms_t now, struct effects *out)
{
    p->is_stopping = 1;
    switch (p->state) {
    case NODE_LEADING:
        drain(p, 0, now, out);
        break;
    case NODE_RECOVERING:
        effects_mark(out, MARK_HAND_OVER_IN_RECOVERY);
        p->drain_to = 0;
        hand_over(p, now, out);
        break;
    case NODE_DRAINING:
        break; /* for a transfer; it ends then */
    default:
        out->finished = 1;
        break;
    }
}

void proposer_continue_hand_over(struct proposer *p, time_ms_t now, struct effects *out)
{
    if (p->state == NODE_DRAINING) {
        int is_drained = p->clients.waiting_count == 0 && p->chosen + 1 == p->next_slot;
        if (is_drained || (now >= p->drain_deadline && !MUTANT(drains_for_ever))) {
            effects_mark(out, is_drained ? MARK_HAND_OVER_DRAINED : MARK_HAND_OVER_TIMED_OUT);
            hand_over(p, now, out);
        }
    } else if (p->is_stopping && !proposer_is_serving(p)) {
        out->finished = 1; /* another one leads, or nobody answers */
    }
}

/* ---- an operator asks */

static enum transfer_status judge(const struct proposer *p, node_id_t to, time_ms_t now)
{
    if (p->state == NODE_RECOVERING || p->state == NODE_DRAINING) {
        return TRANSFER_BUSY;
    }
    if (p->state != NODE_LEADING) {
        return TRANSFER_NOT_LEADER;
    }
    if (to == 0) {
        return proposer_successor(p, now) != 0 ? TRANSFER_BEGUN : TRANSFER_UNFIT;
    }
    if (to == p->options.id) {
        return TRANSFER_ALREADY;
    }
    struct oracle_view view;
    proposer_view(p, now, &view);
    const struct oracle_candidate *target = oracle_candidate(&view, to);
    if (target == NULL) {
        return TRANSFER_UNKNOWN;
    }
    if (target->is_barred) {
        return TRANSFER_BARRED;
    }
    return oracle_is_fit(target) ? TRANSFER_BEGUN : TRANSFER_UNFIT;
}

void proposer_on_transfer(struct proposer *p, const struct event *event, struct effects *out)
{
    const struct msg_transfer *transfer = &event->msg->transfer;
    enum transfer_status status = judge(p, transfer->to, event->now);
    struct message *reply = effects_reply(out, SEND_NOW, event->msg, MSG_TRANSFERRED);
    reply->transferred = (struct msg_transferred){
        transfer->request, status, proposer_is_serving(p) ? p->options.id : p->leader};
    if (status == TRANSFER_BEGUN) {
        effects_mark(out, MARK_TRANSFER_ASKED);
        drain(p, MUTANT(oracle_transfer_to_anybody) ? 0 : transfer->to, event->now, out);
    }
}

/* ---- rules of the settings */

/* 1 if a living proposer goes by newer settings than this one. */
static int newer_settings_exist(const struct proposer *p, time_ms_t now)
{
    for (size_t i = 0; i < p->options.members.acceptor_count; i++) {
        const struct acceptor_view *view = &p->acceptors[i];
        for (size_t k = 0; proposer_is_fresh(p, view, now) && k < view->report.proposer_count;
             k++) {
            const struct proposer_report *heard = &view->proposers[k];
            if (heard->silence_ms < p->options.election_ms &&
                heard->version > p->settings.version) {
                return 1;
            }
        }
    }
    return 0;
}

/* Who ranks above this leader and is fit; 0 if nobody does, or the rule is off. Whoever is cut off
 * from the learners and goes by older ranks would give back at once what it was given by the newer
 * ones, for ever. A quorum has to hear it: what one acceptor hears may be the late words of a
 * proposer that is dead. */
static node_id_t better_leader(const struct proposer *p, time_ms_t now)
{
    if ((!p->settings.preempts && !MUTANT(oracle_preempts_unasked)) ||
        newer_settings_exist(p, now)) {
        return 0;
    }
    struct oracle_view view;
    proposer_view(p, now, &view);
    for (size_t i = 0; i < view.candidate_count; i++) {
        struct oracle_candidate *candidate = &view.candidates[i];
        if (candidate->id != p->options.id && !MUTANT(oracle_preempts_by_hearsay) &&
            !is_prepare_quorum(&p->options.members, candidate->heard_by)) {
            candidate->is_alive = 0;
        }
    }
    node_id_t best = oracle_best(&view);
    /* An id alone is no reason to change. */
    return best != 0 && settings_weight(&p->settings, best) >
                            settings_weight(&p->settings, p->options.id)
               ? best
               : 0;
}

void proposer_maybe_yield(struct proposer *p, time_ms_t now, struct effects *out)
{
    if (p->state != NODE_LEADING) {
        return;
    }
    if (settings_bar(&p->settings, p->options.id) && !MUTANT(oracle_barred_leader_stays)) {
        node_id_t successor = proposer_successor(p, now);
        if (successor != 0 || MUTANT(oracle_barred_leader_leaves_nobody)) {
            /* If nobody follows, better this one than none. */
            effects_mark(out, MARK_BARRED_LEADER);
            drain(p, successor, now, out);
        }
        return;
    }
    node_id_t better = better_leader(p, now);
    if (better == 0 || better != p->better) {
        p->better = better;
        p->better_since = now;
        return;
    }
    if (now - p->better_since >= PREEMPT_TIMEOUTS * p->options.election_ms) {
        p->better = 0;
        effects_mark(out, MARK_PREEMPTED);
        drain(p, better, now, out);
    }
}

/* ---- the others */

void proposer_on_release(struct proposer *p, const struct event *event, struct effects *out)
{
    const struct msg_release *release = &event->msg->release;
    if (event->msg->from.role != ROLE_PROPOSER || event->msg->from.id != release->ballot.proposer) {
        return;
    }
    /* An old one comes late. Who has tried in vain knows higher rounds than that of the one that
     * still led. */
    int is_known =
        release->ballot.round >= p->round_max || ballot_equal(&release->ballot, &p->leader_ballot);
    if (release->ballot.round > p->round_max) {
        p->round_max = release->ballot.round;
    }
    int is_invited = release->successor == p->options.id;
    if (!is_known && !MUTANT(oracle_old_invitation_taken)) {
        return;
    }
    if (p->state == NODE_PREPARING && is_invited) {
        /* Its attempt was begun beside that leader, and is in vain: it begins anew, above. */
        proposer_step_down(p, "invited to lead", event->now, out);
    }
    if (p->state != NODE_STANDBY) {
        return;
    }
    if (!is_invited) {
        if (release->successor != 0 && !MUTANT(oracle_release_holds_nobody)) {
            effects_mark(out, MARK_RELEASE_HOLDS_BACK);
            p->pause_until = event->now + p->options.election_ms;
        }
        return;
    }
    /* The acceptors hear of the release at about the same time as we do: a first refusal by the old
     * lease is followed by another attempt within milliseconds. */
    effects_mark(out, MARK_RELEASE_INVITES);
    p->invited_until = MUTANT(oracle_invitation_ignored) ? 0 : event->now + p->options.election_ms;
    p->pause_until = event->now;
    effects_note(out, NOTE_INFO, "event=invited by=%u round=%llu", release->ballot.proposer,
                 (unsigned long long)release->ballot.round);
    proposer_maybe_campaign(p, event->now, out);
}
