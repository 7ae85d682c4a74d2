#include "acceptor/state.h"

#include "common/base/mutant.h"

/* Answers with what was accepted above the watermark, from a slot on, as far as one page goes. The
 * watermark that a promise reports is durable with it (DESIGN 4.4). */
static void send_page(struct acceptor *a, const struct message *msg, slot_t from,
                      struct effects *out)
{
    if (a->chosen_durable != a->chosen && !MUTANT(promised_watermark_not_durable)) {
        effects_mark(out, MARK_PROMISE_STORES_WATERMARK);
        acceptor_store_chosen(a, RECORD_DURABLE, out);
    }
    struct page page = page_at(from > a->chosen ? from : a->chosen + 1, a->options.page_bytes);
    acceptor_read_votes(a, &page, out);
    if (page.count > 0) {
        effects_mark(out, MARK_PROMISE_WITH_VOTES);
    }
    if (page.next <= a->log.last) {
        effects_mark(out, MARK_PROMISE_IN_PAGES);
    }
    enum send_when when = MUTANT(promise_before_sync) ? SEND_NOW : SEND_AFTER_DURABLE;
    struct message *promise = effects_reply(out, when, msg, MSG_PROMISE);
    promise->promise = (struct msg_promise){
        .ballot = a->promised,
        .from_slot = msg->prepare.from_slot,
        .chosen = a->chosen,
        .accepted_max = a->log.last,
        .next_slot = page.next + MUTANT(last_page_untold) <= a->log.last ? page.next : 0,
        .stamp_ms = a->log.stamp_ms,
        .entry_count = page.count,
        .entries = page.entries,
    };
}

static void mark_refusal(const struct acceptor *a, const struct ballot *ballot, struct effects *out)
{
    if (ballot_compare(ballot, &a->promised) < 0) {
        effects_mark(out, MARK_PREPARE_BELOW_PROMISE);
    } else {
        effects_mark(out, ballot_equal(ballot, &a->promised) ? MARK_PREPARE_TWICE
                                                             : MARK_PREPARE_OF_OTHER_INCARNATION);
    }
}

void acceptor_raise_promise(struct acceptor *a, const struct ballot *ballot, struct effects *out)
{
    CHECK(ballot_compare(&a->promised, ballot) < 0);
    a->promised = *ballot;
    acceptor_store_promise(a, out);
}

void acceptor_on_prepare(struct acceptor *a, const struct event *event, struct effects *out)
{
    const struct message *msg = event->msg;
    const struct msg_prepare *prepare = &msg->prepare;
    if (prepare->from_slot != 0 && ballot_equal(&prepare->ballot, &a->promised)) {
        /* A further page; its promise is given and durable. */
        send_page(a, msg, prepare->from_slot, out);
        return;
    }
    int order = ballot_compare(&prepare->ballot, &a->promised);
    if (prepare->from_slot != 0 || order < 0 || (order == 0 && !MUTANT(equal_ballot_promised))) {
        mark_refusal(a, &prepare->ballot, out);
        acceptor_refuse(a, msg, &prepare->ballot, NACK_BALLOT, 0, out);
        return;
    }
    time_ms_t lease_left = acceptor_lease_left(a, &prepare->ballot, event->now);
    if (lease_left > 0 && !MUTANT(lease_ignored)) {
        effects_mark(out, event->now < a->lease_until ? MARK_PREPARE_AGAINST_LEASE
                                                      : MARK_PREPARE_AFTER_RESTART);
        acceptor_refuse(a, msg, &prepare->ballot, NACK_LEASE, lease_left, out);
        return;
    }
    acceptor_raise_promise(a, &prepare->ballot, out);
    send_page(a, msg, 0, out);
    effects_note(out, NOTE_INFO, "event=promised round=%llu proposer=%u chosen=%llu accepted=%llu",
                 (unsigned long long)a->promised.round, a->promised.proposer,
                 (unsigned long long)a->chosen, (unsigned long long)a->log.last);
}
