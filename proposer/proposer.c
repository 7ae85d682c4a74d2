#include "proposer/proposer.h"

#include "common/base/memory.h"
#include "common/base/mutant.h"
#include "proposer/state.h"

#include <stdlib.h>

struct proposer *proposer_new(const struct proposer_options *options)
{
    CHECK(options->incarnation != 0);
    CHECK(members_proposer_index(&options->members, options->id) >= 0);
    CHECK(members_quorums_intersect(&options->members));
    struct proposer *p = memory_calloc(1, sizeof *p);
    p->options = *options;
    proposer_take_settings(p, &options->settings);
    p->oracle.due_at = TIME_NEVER;
    p->state = NODE_STANDBY;
    p->next_slot = 1;
    rng_init(&p->rng, options->seed);
    return p;
}

void proposer_free(struct proposer *p)
{
    if (p == NULL) {
        return;
    }
    proposer_drop_recovery(p);
    proposer_drop_window(p);
    clients_close(&p->clients);
    oracle_close(&p->oracle);
    free(p);
}

/* The state before; there is one for each, but for standby. */
static enum node_state before(enum node_state state)
{
    switch (state) {
    case NODE_PREPARING:
        return NODE_STANDBY;
    case NODE_RECOVERING:
        return NODE_PREPARING;
    case NODE_LEADING:
        return NODE_RECOVERING;
    default:
        CHECK(state == NODE_DRAINING);
        return NODE_LEADING;
    }
}

void proposer_become(struct proposer *p, enum node_state state)
{
    CHECK(state == NODE_STANDBY ? p->state != NODE_STANDBY : p->state == before(state));
    p->state = state;
}

int proposer_is_serving(const struct proposer *p)
{
    return p->state == NODE_RECOVERING || p->state == NODE_LEADING || p->state == NODE_DRAINING;
}

uint64_t proposer_stamp(const struct proposer *p, time_ms_t now)
{
    CHECK(now >= p->stamp_started_at);
    if (MUTANT(stamp_of_local_clock)) {
        return (uint64_t)now;
    }
    return p->stamp_base_ms + (uint64_t)(now - p->stamp_started_at);
}

void proposer_step_down(struct proposer *p, const char *reason, time_ms_t now, struct effects *out)
{
    int was_serving = proposer_is_serving(p);
    proposer_tell_learners(p, out); /* what is chosen stays chosen */
    proposer_become(p, NODE_STANDBY);
    proposer_drop_recovery(p);
    proposer_drop_window(p);
    if (p->leader == p->options.id) {
        p->leader = 0;
    }
    proposer_drop_waiting(p, out);
    if (was_serving) {
        /* Somebody else is at it, or our links are bad: let the others go first. */
        p->pause_until = now + (time_ms_t)rng_below(&p->rng, (uint64_t)p->options.heartbeat_ms + 1);
    }
    effects_note(out, NOTE_INFO, "event=stepped_down round=%llu reason=\"%s\"",
                 (unsigned long long)p->ballot.round, reason);
}

/* ---- status */

static enum node_state acceptor_state(const struct proposer *p, const struct acceptor_view *view,
                                      time_ms_t now)
{
    if (!view->is_heard || now - view->heard_at >= p->options.election_ms) {
        return NODE_UNREACHABLE;
    }
    return NODE_VOTING;
}

/* The highest watermark that an acceptor reported. */
static slot_t reported_chosen(const struct proposer *p)
{
    slot_t chosen = 0;
    for (size_t i = 0; i < p->options.members.acceptor_count; i++) {
        if (p->acceptors[i].is_heard && p->acceptors[i].report.chosen > chosen) {
            chosen = p->acceptors[i].report.chosen;
        }
    }
    return chosen;
}

static void on_status(struct proposer *p, const struct event *event, struct effects *out)
{
    const struct members *members = &p->options.members;
    uint32_t count = (uint32_t)members->acceptor_count + 1;
    struct node_status *nodes = effects_alloc(out, count * sizeof *nodes);
    int is_serving = proposer_is_serving(p);
    nodes[0] = (struct node_status){
        .node = {ROLE_PROPOSER, p->options.id},
        .state = p->state,
        .ballot = is_serving || p->state == NODE_PREPARING ? p->ballot : p->leader_ballot,
        .leader = is_serving ? p->options.id : p->leader,
        .chosen = is_serving ? p->chosen : reported_chosen(p),
        .accepted_max = is_serving ? p->next_slot - 1 : 0,
        .pending_bytes = p->clients.waiting_bytes,
    };
    for (uint32_t i = 0; i < members->acceptor_count; i++) {
        const struct acceptor_view *view = &p->acceptors[i];
        nodes[i + 1] = (struct node_status){
            .node = {ROLE_ACCEPTOR, members->acceptors[i]},
            .state = acceptor_state(p, view, event->now),
            .silence_ms = view->is_heard ? saturate_ms(event->now - view->heard_at) : UINT32_MAX,
            .ballot = view->report.promised,
            .leader = view->report.leader.proposer,
            .chosen = view->report.chosen,
            .accepted_max = view->report.accepted_max,
        };
    }
    struct message *reply = effects_reply(out, SEND_NOW, event->msg, MSG_STATUS_REPLY);
    reply->status_reply = (struct msg_status_reply){event->msg->status.request, count, nodes};
}

/* ---- events */

static void on_client_message(struct proposer *p, const struct event *event, struct effects *out)
{
    switch (event->msg->kind) {
    case MSG_SUBMIT:
        proposer_on_submit(p, event->msg, out);
        break;
    case MSG_STATUS:
        on_status(p, event, out);
        break;
    case MSG_NAME:
        proposer_on_name(p, event, out);
        break;
    case MSG_TRANSFER:
        proposer_on_transfer(p, event, out);
        break;
    case MSG_EXPLAIN:
        proposer_on_explain(p, event, out);
        break;
    default:
        effects_unexpected(out, event->msg);
        break;
    }
}

static void on_message(struct proposer *p, const struct event *event, struct effects *out)
{
    switch (event->msg->kind) {
    case MSG_PROMISE:
        proposer_on_promise(p, event, out);
        break;
    case MSG_ACCEPTED:
        proposer_on_accepted(p, event, out);
        break;
    case MSG_NACK:
        proposer_on_nack(p, event, out);
        break;
    case MSG_REPORT:
        proposer_on_report(p, event, out);
        break;
    case MSG_RELEASE:
        proposer_on_release(p, event, out);
        break;
    case MSG_CHOSEN:
        proposer_on_chosen(p, event, out);
        break;
    case MSG_PROGRESS:
        proposer_on_progress(p, event, out);
        break;
    case MSG_ORACLE:
    case MSG_LEASED:
        proposer_on_oracle(p, event, out);
        break;
    case MSG_SETTINGS:
        proposer_on_settings(p, event, out);
        break;
    default:
        on_client_message(p, event, out);
        break;
    }
}

static void on_tick(struct proposer *p, time_ms_t now, struct effects *out)
{
    if (proposer_is_serving(p) && now >= p->stamp_started_at + p->options.election_ms &&
        !proposer_keeps_quorum(p, now) && !MUTANT(leader_stays_without_quorum)) {
        effects_mark(out, MARK_STEP_DOWN_BY_SILENCE);
        proposer_step_down(p, "no quorum of acceptors answers", now, out);
    }
    if (p->state == NODE_PREPARING) {
        proposer_tick_prepare(p, now, out);
    }
    if (now >= p->heartbeat_due_at) {
        proposer_send_heartbeat(p, now, out);
        if (proposer_is_serving(p)) {
            proposer_retransmit(p, now, out);
            proposer_maybe_yield(p, now, out);
        }
    }
}

static void on_flush(struct proposer *p, time_ms_t now, struct effects *out)
{
    proposer_tell_learners(p, out);
    proposer_continue_recovery(p, now, out);
    proposer_form_batches(p, now, out);
    proposer_fill_gap(p, now, out);
    proposer_tell_time(p, now, out);
    proposer_enroll(p, now, out);
    proposer_continue_hand_over(p, now, out);
    proposer_tick_oracle(p, now, out);
    proposer_maybe_campaign(p, now, out);
    effects_wake(out, p->heartbeat_due_at);
    if (p->state == NODE_STANDBY && p->pause_until > now) {
        effects_wake(out, p->pause_until);
    }
}

void proposer_step(struct proposer *p, const struct event *event, struct effects *out)
{
    switch (event->kind) {
    case EVENT_START:
        p->heartbeat_due_at = event->now;
        proposer_send_heartbeat(p, event->now, out);
        proposer_begin_oracle(p, event->now, out);
        break;
    case EVENT_MESSAGE:
        on_message(p, event, out);
        break;
    case EVENT_TICK:
        on_tick(p, event->now, out);
        break;
    case EVENT_FLUSH:
        on_flush(p, event->now, out);
        break;
    case EVENT_PEER_UP:
    case EVENT_PEER_DOWN:
        if (event->peer.role == ROLE_CLIENT) {
            proposer_on_client(p, event->peer, event->kind == EVENT_PEER_UP, out);
        } else if (event->kind == EVENT_PEER_UP && event->peer.role == ROLE_ACCEPTOR) {
            proposer_send_heartbeat(p, event->now,
                                    out); /* hear from it now, not at the next beat */
        }
        break;
    case EVENT_SHUTDOWN:
        proposer_on_shutdown(p, event->now, out);
        break;
    case EVENT_WRITTEN:
        break;
    }
    proposer_check(p);
}

void proposer_check(const struct proposer *p)
{
    /* The window: committed <= chosen < next_slot, and no wider than it is. */
    CHECK(p->committed <= p->chosen);
    CHECK(p->chosen < p->next_slot);
    CHECK(p->next_slot - p->committed <= WINDOW_SLOTS_MAX + 1);
    CHECK(proposer_is_serving(p) || p->flight_bytes == 0);
    CHECK(proposer_is_serving(p) || p->next_slot == p->chosen + 1);

    /* Ballots: our own, and none higher was ever used by us. */
    CHECK(p->ballot.round <= p->round_max);
    CHECK(p->state == NODE_STANDBY || p->ballot.proposer == p->options.id);
    CHECK(p->state == NODE_STANDBY || p->ballot.incarnation == p->options.incarnation);

    /* What promises reported is kept while it may have to be proposed, and no longer. */
    CHECK((p->recovery != NULL) == (p->state == NODE_PREPARING || p->state == NODE_RECOVERING));
}

static void step(void *self, const struct event *event, struct effects *out)
{
    proposer_step(self, event, out);
}

struct core proposer_core(struct proposer *p)
{
    return (struct core){p, step};
}

enum node_state proposer_state(const struct proposer *p)
{
    return p->state;
}

struct ballot proposer_ballot(const struct proposer *p)
{
    return p->ballot;
}

slot_t proposer_chosen(const struct proposer *p)
{
    return p->chosen;
}

static node_id_t named(const struct proposer *p, int is_leaderless, time_ms_t now)
{
    struct oracle_view view;
    proposer_view(p, now, &view);
    view.leader = is_leaderless ? 0 : view.leader;
    return oracle_names(&p->oracle, &view);
}

node_id_t proposer_names(const struct proposer *p, time_ms_t now)
{
    return named(p, 0, now);
}

node_id_t proposer_would_name(const struct proposer *p, time_ms_t now)
{
    return named(p, 1, now);
}

const struct settings *proposer_settings(const struct proposer *p)
{
    return &p->settings;
}
