/* What the oracle is shown, and what it is told: reports of the acceptors, messages of the oracles
 * of other proposers, and what the log says of settings. */
#include "proposer/state.h"

#include <string.h>

/* What the acceptors' reports say of another proposer. */
static void describe_other(const struct proposer *p, size_t index, time_ms_t now,
                           struct oracle_candidate *candidate)
{
    const struct members *members = &p->options.members;
    uint32_t silence_ms = (uint32_t)p->options.election_ms;
    for (size_t k = 0; k < members->acceptor_count; k++) {
        const struct acceptor_view *acceptor = &p->acceptors[k];
        if (!proposer_is_fresh(p, acceptor, now) || index >= acceptor->report.proposer_count) {
            continue;
        }
        const struct proposer_report *heard = &acceptor->proposers[index];
        if (heard->proposer != candidate->id || heard->silence_ms >= p->options.election_ms) {
            continue;
        }
        candidate->heard_by |= (acceptor_set_t)1 << k;
        if (heard->silence_ms < silence_ms) {
            silence_ms = heard->silence_ms;
            candidate->is_alive = 1;
            candidate->reaches_quorum = heard->reaches_quorum != 0;
        }
    }
}

void proposer_view(const struct proposer *p, time_ms_t now, struct oracle_view *view)
{
    const struct members *members = &p->options.members;
    memset(view, 0, sizeof *view);
    view->now = now;
    view->self = p->options.id;
    view->heartbeat_ms = p->options.heartbeat_ms;
    view->election_ms = p->options.election_ms;
    view->members = members;
    view->settings = &p->settings;
    view->is_open = p->state == NODE_STANDBY && proposer_gate_is_open(p, now);
    /* A quorum hears nobody, so whoever a minority still hears does not serve. */
    view->leader = view->is_open ? 0 : p->leader;
    if (proposer_is_serving(p)) {
        view->leader = p->options.id;
    }
    view->line = p->line;
    view->line_count = p->line_count;
    view->candidate_count = members->proposer_count;
    for (size_t i = 0; i < members->proposer_count; i++) {
        struct oracle_candidate *candidate = &view->candidates[i];
        candidate->id = members->proposers[i];
        candidate->weight = settings_weight(&p->settings, candidate->id);
        candidate->is_barred = settings_bar(&p->settings, candidate->id);
        if (candidate->id != p->options.id) {
            describe_other(p, i, now, candidate);
            continue;
        }
        candidate->is_alive = 1; /* of itself a proposer knows better */
        candidate->reaches_quorum = proposer_reaches_quorum(p, now);
    }
}

void proposer_begin_oracle(struct proposer *p, time_ms_t now, struct effects *out)
{
    struct oracle_view view;
    proposer_view(p, now, &view);
    oracle_begin(&p->oracle, &view, p->options.seed ^ p->settings.version, out);
}

void proposer_tick_oracle(struct proposer *p, time_ms_t now, struct effects *out)
{
    /* While somebody serves, nothing hangs on an oracle that is not due. */
    if (p->state == NODE_STANDBY || now >= p->oracle.due_at) {
        struct oracle_view view;
        proposer_view(p, now, &view);
        oracle_tick(&p->oracle, &view, out);
    }
    if (p->oracle.due_at != TIME_NEVER) {
        effects_wake(out, p->oracle.due_at);
    }
}

void proposer_on_oracle(struct proposer *p, const struct event *event, struct effects *out)
{
    const struct message *msg = event->msg;
    const struct members *members = &p->options.members;
    /* Two processes that were started under one id hear each other, too. */
    int is_peer =
        msg->kind == MSG_ORACLE
            ? msg->from.role == ROLE_PROPOSER && msg->from.id != p->options.id &&
                  members_proposer_index(members, msg->from.id) >= 0
            : msg->from.role == ROLE_ACCEPTOR && members_acceptor_index(members, msg->from.id) >= 0;
    if (!is_peer) {
        return;
    }
    struct oracle_view view;
    proposer_view(p, event->now, &view);
    oracle_on_message(&p->oracle, &view, msg, out);
}

void proposer_on_name(struct proposer *p, const struct event *event, struct effects *out)
{
    const struct message *msg = event->msg;
    enum name_status status = NAME_TAKEN;
    if (p->settings.kind != ORACLE_EXTERNAL) {
        status = NAME_NOT_ASKED;
    } else if (msg->name.proposer != 0 &&
               members_proposer_index(&p->options.members, msg->name.proposer) < 0) {
        status = NAME_UNKNOWN;
    } else {
        struct oracle_view view;
        proposer_view(p, event->now, &view);
        oracle_on_message(&p->oracle, &view, msg, out);
    }
    struct message *reply = effects_reply(out, SEND_NOW, msg, MSG_NAMED);
    reply->named = (struct msg_named){msg->name.request, status,
                                      proposer_is_serving(p) ? p->options.id : p->leader};
}

void proposer_take_settings(struct proposer *p, const struct settings *settings)
{
    p->settings = *settings;
    if (p->options.leads_anyway) {
        settings_allow(&p->settings, p->options.id);
    }
}

void proposer_on_settings(struct proposer *p, const struct event *event, struct effects *out)
{
    const struct msg_settings *msg = &event->msg->settings;
    if (event->msg->from.role != ROLE_LEARNER ||
        !members_contain(&p->options.members, event->msg->from)) {
        return;
    }
    if (msg->applied >= p->line_applied && msg->line_count <= MEMBERS_MAX) {
        p->line_applied = msg->applied;
        p->line_count = msg->line_count;
        if (msg->line_count > 0) {
            memcpy(p->line, msg->line, msg->line_count * sizeof *p->line);
        }
    }
    struct settings settings;
    if (!message_tells_settings(event->msg, &p->options.members, p->settings.version, &settings)) {
        return;
    }
    proposer_take_settings(p, &settings);
    effects_mark(out, MARK_SETTINGS_CHANGED);
    effects_note(out, NOTE_INFO, "event=oracle_set version=%llu kind=%s preempts=%d zone=%s",
                 (unsigned long long)settings.version, oracle_kind_name(settings.kind),
                 settings.preempts, settings.zone);
    if (p->state == NODE_PREPARING && settings_bar(&p->settings, p->options.id)) {
        p->invited_until = 0;
        proposer_step_down(p, "the settings say that it must not lead", event->now, out);
    }
    proposer_begin_oracle(p, event->now, out);
}

void proposer_enroll(struct proposer *p, time_ms_t now, struct effects *out)
{
    if (p->state != NODE_LEADING || p->oracle.class->enroll == NULL ||
        !proposer_window_has_room(p)) {
        return;
    }
    struct oracle_view view;
    struct place places[MEMBERS_MAX];
    proposer_view(p, now, &view);
    size_t count = p->oracle.class->enroll(p->oracle.state, &view, p->options.incarnation, places);
    if (count > 0) {
        struct slice value = slice_of(value_line(proposer_stamp(p, now), places, count));
        proposer_propose(p, value, now, out);
        slice_drop(&value);
    }
}
