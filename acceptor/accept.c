#include "acceptor/state.h"

#include "common/base/mutant.h"

void acceptor_refuse(struct acceptor *a, const struct message *msg, const struct ballot *ballot,
                     enum nack_reason reason, time_ms_t retry_ms, struct effects *out)
{
    if (MUTANT(refusal_is_silent)) {
        return;
    }
    /* A refusal names the promise it rests on, which may be one of this very turn. */
    struct message *nack = effects_reply(out, SEND_AFTER_DURABLE, msg, MSG_NACK);
    nack->nack = (struct msg_nack){.ballot = *ballot,
                                   .promised = a->promised,
                                   .reason = reason,
                                   .retry_ms = (uint32_t)retry_ms};
}

void acceptor_flush_acknowledgement(struct acceptor *a, struct effects *out)
{
    struct acknowledgement *ack = &a->ack;
    if (!ack->is_open) {
        return;
    }
    enum send_when when = MUTANT(accepted_before_sync) ? SEND_NOW : SEND_AFTER_DURABLE;
    struct message *msg = effects_send(out, when, ack->to, MSG_ACCEPTED);
    msg->echo = ack->echo;
    msg->accepted = (struct msg_accepted){ack->ballot, ack->first, ack->last};
    ack->is_open = 0;
}

/* Adds a slot to the acknowledgement of this turn. One message covers a run of slots: the group
 * commit of the disk becomes one of the network, too. */
static void acknowledge(struct acceptor *a, const struct message *msg, struct effects *out)
{
    const struct msg_accept *accept = &msg->accept;
    struct acknowledgement *ack = &a->ack;
    if (ack->is_open && ballot_equal(&ack->ballot, &accept->ballot) &&
        peer_equal(ack->to, msg->from) && accept->slot == ack->last + 1) {
        ack->last = accept->slot;
        return;
    }
    if (ack->is_open) {
        effects_mark(out, MARK_ACCEPTS_IN_RUNS);
    }
    acceptor_flush_acknowledgement(a, out);
    *ack = (struct acknowledgement){.is_open = 1,
                                    .to = msg->from,
                                    .echo = msg->incarnation,
                                    .ballot = accept->ballot,
                                    .first = accept->slot,
                                    .last = accept->slot};
}

/* A vote at the leader's ballot for a slot that its commit covers is a vote for what was chosen. */
static void mark_chosen(struct acceptor *a, const struct ballot *ballot, slot_t from, slot_t to)
{
    for (slot_t slot = from; slot <= to; slot++) {
        struct log_slot *entry = acceptor_find(a, slot);
        if (entry != NULL &&
            (ballot_equal(&entry->ballot, ballot) || MUTANT(commit_marks_other_ballots))) {
            entry->flags |= ACCEPTED_CHOSEN;
        }
    }
}

/* The slot is chosen here with another value. */
static int contradicts_chosen(struct acceptor *a, const struct msg_accept *accept,
                              const struct log_slot *known)
{
    return known != NULL && ((known->flags & ACCEPTED_CHOSEN) != 0 || accept->slot <= a->chosen) &&
           known->value.size > 0 && !slice_equal(known->value, accept->value);
}

void acceptor_on_accept(struct acceptor *a, const struct event *event, struct effects *out)
{
    const struct message *msg = event->msg;
    const struct msg_accept *accept = &msg->accept;
    int order = ballot_compare(&accept->ballot, &a->promised);
    if (order < 0 || (order == 0 && !ballot_equal(&accept->ballot, &a->promised) &&
                      !MUTANT(other_incarnation_accepted))) {
        effects_mark(out, MARK_ACCEPT_BELOW_PROMISE);
        acceptor_refuse(a, msg, &accept->ballot, NACK_BALLOT, 0, out);
        return;
    }
    if (accept->slot > a->chosen + ACCEPTOR_AHEAD_SLOTS_MAX) {
        effects_mark(out, MARK_ACCEPT_TOO_FAR);
        /* The commit it carries may let this acceptor catch up. */
        acceptor_on_commit(a, &accept->ballot, accept->commit, event->now);
        acceptor_refuse(a, msg, &accept->ballot, NACK_TOO_FAR, a->options.heartbeat_ms, out);
        return;
    }
    struct log_slot *known = acceptor_find(a, accept->slot);
    if (contradicts_chosen(a, accept, known) && !MUTANT(chosen_slot_voted_again)) {
        if (ballot_compare(&accept->ballot, &known->ballot) <= 0) {
            /* Of a leader that was deposed before the slot was chosen. */
            effects_mark(out, MARK_ACCEPT_CONTRADICTS_CHOSEN);
            acceptor_refuse(a, msg, &accept->ballot, NACK_BALLOT, 0, out);
            return;
        }
        /* At a higher ballot than the one that chose it there is no other value, unless agreement
         * is broken already: stop before it spreads. */
        effects_fatal(out, ERROR_INTERNAL,
                      "slot %llu is chosen, and proposer %u proposes another value for it",
                      (unsigned long long)accept->slot, accept->ballot.proposer);
        return;
    }
    /* An accept raises the promise ("Paxos Made Simple", 2.2; TRAPS 7.3). */
    if (order > 0 && !MUTANT(accept_keeps_promise)) {
        effects_mark(out, MARK_ACCEPT_RAISES_PROMISE);
        if (MUTANT(raised_promise_not_stored)) {
            a->promised = accept->ballot;
        } else {
            acceptor_raise_promise(a, &accept->ballot, out);
        }
    }
    if (accept->slot <= a->chosen) {
        effects_mark(out, MARK_ACCEPT_OF_CHOSEN);
        /* What is chosen here needs no further vote: whoever prepares later learns it by the
         * watermark. That must be durable in place of the vote, or a power cut could leave a slot
         * that the leader counts as accepted and that no acceptor knows as chosen. */
        if (accept->slot > a->chosen_durable && !MUTANT(watermark_for_vote_not_durable)) {
            effects_mark(out, MARK_ACCEPT_STORES_WATERMARK);
            acceptor_store_chosen(a, RECORD_DURABLE, out);
        }
    } else if (known == NULL || (known->flags & ACCEPTED_LAZY) != 0 ||
               !ballot_equal(&known->ballot, &accept->ballot)) {
        if (known != NULL) {
            effects_mark(out, MARK_ACCEPT_REPLACES_VOTE);
        }
        enum durability durability = MUTANT(vote_not_durable) ? RECORD_LAZY : RECORD_DURABLE;
        acceptor_store_accepted(a, durability, accept->slot, &accept->ballot, accept->value, out);
    } else {
        effects_mark(out, MARK_ACCEPT_TWICE);
    }
    int is_of_commit = ballot_equal(&accept->ballot, &a->commit_ballot);
    if ((is_of_commit || MUTANT(hole_filled_by_any_ballot)) && accept->slot <= a->commit_slot) {
        mark_chosen(a, &accept->ballot, accept->slot, accept->slot); /* it filled a hole */
    }
    CHECK(!ballot_is_none(&a->promised));
    CHECK(ballot_compare(&a->promised, &accept->ballot) == 0);
    acknowledge(a, msg, out);
    acceptor_on_commit(a, &accept->ballot, accept->commit, event->now);
}

void acceptor_advance(struct acceptor *a)
{
    const struct log_slot *next;
    while ((next = acceptor_find(a, a->chosen + 1)) != NULL &&
           ((next->flags & ACCEPTED_CHOSEN) != 0 || MUTANT(votes_taken_for_chosen))) {
        a->chosen++;
    }
}

void acceptor_on_commit(struct acceptor *a, const struct ballot *ballot, slot_t commit,
                        time_ms_t now)
{
    if (commit > a->commit) {
        a->commit = commit;
    }
    if (ballot_compare(ballot, &a->commit_ballot) > 0) {
        a->commit_ballot = *ballot;
        a->commit_slot = 0;
        a->marked_to = 0;
    }
    slot_t from = a->chosen + 1;
    slot_t to = commit < a->log.last ? commit : a->log.last;
    if (ballot_equal(ballot, &a->commit_ballot)) {
        a->commit_slot = commit > a->commit_slot ? commit : a->commit_slot;
        from = a->marked_to >= from ? a->marked_to + 1 : from;
        a->marked_to = to > a->marked_to ? to : a->marked_to;
    }
    mark_chosen(a, ballot, from, to);
    acceptor_advance(a);
    CHECK(a->chosen <= a->log.last);
    if (a->chosen < a->commit && a->repair.target < a->commit) {
        if (a->repair.target <= a->chosen) { /* a new hole: give its accept a moment to come */
            a->repair.retry_at = now + a->options.heartbeat_ms / 2;
        }
        a->repair.target = a->commit;
    }
}
