#include "common/base/mutant.h"
#include "common/protocol/value.h"
#include "proposer/state.h"

/* Slots sent again in one tick, at most: a slow disk is not helped by more. */
#define RETRANSMIT_SLOTS_MAX 16

static struct flight *flight_at(struct proposer *p, slot_t slot)
{
    return &p->flights[slot % WINDOW_SLOTS_MAX];
}

/* Slots that occupy the window: proposed, and not yet both chosen and told to the learners. */
static slot_t in_flight(const struct proposer *p)
{
    return p->next_slot - 1 - p->committed;
}

int proposer_window_has_room(const struct proposer *p)
{
    return in_flight(p) < WINDOW_SLOTS_MAX && p->flight_bytes < WINDOW_BYTES_MAX;
}

static void fill_accept(struct proposer *p, struct message *msg, slot_t slot, struct slice value)
{
    msg->accept =
        (struct msg_accept){.ballot = p->ballot, .slot = slot, .commit = p->chosen, .value = value};
}

void proposer_propose(struct proposer *p, struct slice value, time_ms_t now, struct effects *out)
{
    CHECK(proposer_is_serving(p));
    CHECK(in_flight(p) < WINDOW_SLOTS_MAX);
    slot_t slot = p->next_slot++;
    struct flight *flight = flight_at(p, slot);
    CHECK(flight->value.size == 0);
    *flight = (struct flight){.slot = slot, .value = slice_keep(value), .sent_at = now};
    p->flight_bytes += value.size;
    uint64_t stamp_ms = value_stamp_ms(value);
    p->stamped_ms = stamp_ms > p->stamped_ms ? stamp_ms : p->stamped_ms;
    struct slice held = effects_hold(out, flight->value);
    fill_accept(p, effects_broadcast(out, SEND_NOW, ROLE_ACCEPTOR, MSG_ACCEPT), slot, held);
    if (value.size > STREAM_EARLY_BYTES) {
        effects_mark(out, MARK_VALUE_STREAMED_EARLY);
        flight->is_streamed = 1;
        fill_accept(p, effects_broadcast(out, SEND_NOW, ROLE_LEARNER, MSG_ACCEPT), slot, held);
    }
}

static void land(struct proposer *p, struct flight *flight)
{
    p->flight_bytes -= flight->value.size;
    slice_drop(&flight->value);
    *flight = (struct flight){0};
}

/* Raises the commit watermark over the unbroken prefix of chosen slots. */
static void advance(struct proposer *p)
{
    while (p->chosen + 1 < p->next_slot) {
        struct flight *flight = flight_at(p, p->chosen + 1);
        CHECK(flight->slot == p->chosen + 1);
        if (!flight->is_chosen) {
            return;
        }
        p->chosen++;
    }
}

void proposer_send_commit(struct proposer *p, struct effects *out)
{
    struct message *msg = effects_broadcast(out, SEND_NOW, ROLE_LEARNER, MSG_COMMIT);
    msg->commit = (struct msg_commit){p->ballot, p->chosen};
}

void proposer_tell_learners(struct proposer *p, struct effects *out)
{
    slot_t told = p->committed;
    for (slot_t slot = p->committed + 1; slot <= p->chosen; slot++) {
        struct flight *flight = flight_at(p, slot);
        if (!flight->is_streamed) {
            struct slice held = effects_hold(out, flight->value);
            fill_accept(p, effects_broadcast(out, SEND_NOW, ROLE_LEARNER, MSG_ACCEPT), slot, held);
            told = p->chosen; /* every accept carries the commit */
        }
        land(p, flight);
    }
    p->committed = p->chosen;
    if (told != p->chosen) {
        proposer_send_commit(p, out);
    }
}

void proposer_on_accepted(struct proposer *p, const struct event *event, struct effects *out)
{
    const struct msg_accepted *msg = &event->msg->accepted;
    int index = members_acceptor_index(&p->options.members, event->msg->from.id);
    int is_of_ballot =
        ballot_equal(&msg->ballot, &p->ballot) || MUTANT(accepted_of_other_ballot_counted);
    if (!proposer_is_serving(p) || index < 0 || event->msg->from.role != ROLE_ACCEPTOR ||
        !is_of_ballot) {
        effects_mark(out, MARK_ACCEPTED_OF_OTHER_BALLOT);
        return;
    }
    slot_t first = msg->first > p->chosen ? msg->first : p->chosen + 1;
    slot_t last = msg->last < p->next_slot ? msg->last : p->next_slot - 1;
    for (slot_t slot = first; slot <= last; slot++) {
        struct flight *flight = flight_at(p, slot);
        CHECK(flight->slot == slot);
        if (flight->accepted_by >> index & 1) {
            effects_mark(out, MARK_ACCEPTED_TWICE);
        }
        size_t bit = (size_t)index; /* by identity: twice counts once */
        if (MUTANT(acceptor_counted_twice)) {
            bit = acceptor_set_count(flight->accepted_by);
        }
        flight->accepted_by |= (acceptor_set_t)1 << bit;
        if (is_accept_quorum(&p->options.members, flight->accepted_by) ||
            MUTANT(one_acceptor_suffices)) {
            if (slot > p->chosen + 1 && !flight_at(p, slot - 1)->is_chosen) {
                effects_mark(out, MARK_CHOSEN_OUT_OF_ORDER);
            }
            flight->is_chosen = 1;
        }
    }
    advance(p);
}

void proposer_retransmit(struct proposer *p, time_ms_t now, struct effects *out)
{
    time_ms_t patience_ms = 2 * p->options.heartbeat_ms;
    size_t sent = 0;
    if (MUTANT(accept_sent_once)) {
        return;
    }
    for (slot_t slot = p->chosen + 1; slot < p->next_slot && sent < RETRANSMIT_SLOTS_MAX; slot++) {
        struct flight *flight = flight_at(p, slot);
        if (flight->is_chosen || now - flight->sent_at < patience_ms) {
            continue;
        }
        effects_mark(out, MARK_ACCEPT_SENT_AGAIN);
        flight->sent_at = now;
        sent++;
        struct slice held = effects_hold(out, flight->value);
        for (size_t i = 0; i < p->options.members.acceptor_count; i++) {
            if ((flight->accepted_by >> i & 1) == 0) {
                struct peer acceptor = {ROLE_ACCEPTOR, p->options.members.acceptors[i]};
                fill_accept(p, effects_send(out, SEND_NOW, acceptor, MSG_ACCEPT), slot, held);
            }
        }
    }
}

/* The highest slot that an acceptor says it has accepted. */
static slot_t accepted_anywhere(const struct proposer *p)
{
    slot_t highest = 0;
    for (size_t i = 0; i < p->options.members.acceptor_count; i++) {
        const struct acceptor_view *view = &p->acceptors[i];
        if (view->is_heard && view->report.accepted_max > highest) {
            highest = view->report.accepted_max;
        }
    }
    return highest;
}

void proposer_fill_gap(struct proposer *p, time_ms_t now, struct effects *out)
{
    if (p->state != NODE_LEADING || MUTANT(gap_left_open)) {
        return;
    }
    slot_t highest = accepted_anywhere(p);
    if (highest >= p->next_slot + RECOVERY_RING_SLOTS) {
        return; /* no acceptor takes a slot so far above the chosen ones */
    }
    while (p->next_slot <= highest && proposer_window_has_room(p)) {
        effects_mark(out, MARK_GAP_ABOVE_LEADER);
        struct slice noop = slice_of(value_noop(proposer_stamp(p, now)));
        proposer_propose(p, noop, now, out);
        slice_drop(&noop);
    }
}

void proposer_drop_window(struct proposer *p)
{
    for (size_t i = 0; i < WINDOW_SLOTS_MAX; i++) {
        if (p->flights[i].slot != 0) {
            land(p, &p->flights[i]);
        }
    }
    CHECK(p->flight_bytes == 0);
    p->next_slot = p->chosen + 1;
    p->committed = p->chosen;
}
