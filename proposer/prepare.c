#include "proposer/state.h"

#include "common/base/memory.h"
#include "common/base/mutant.h"

#include <string.h>

/* Further behind than this, an acceptor repairs itself before its promise is made part of the
 * quorum, because every slot in between would have to be proposed again. */
#define RECOVERY_LAG_SLOTS_MAX 1024

/* Pauses after failed attempts double up to 2^this heartbeats. */
#define PAUSE_DOUBLINGS_MAX 4

void proposer_campaign(struct proposer *p, time_ms_t now, struct effects *out)
{
    proposer_become(p, NODE_PREPARING);
    /* Above every round seen; never the round of an earlier attempt (DESIGN 4, Proposer 2). */
    uint64_t round = p->round_max + 1;
    if (MUTANT(round_used_again) && !ballot_is_none(&p->ballot)) {
        round = p->ballot.round;
    }
    p->ballot = (struct ballot){round, p->options.id, p->options.incarnation};
    p->round_max = p->ballot.round;
    p->attempt_deadline = now + p->options.election_ms;
    memset(p->promises, 0, sizeof p->promises);
    CHECK(p->recovery == NULL);
    p->recovery = memory_calloc(RECOVERY_RING_SLOTS, sizeof *p->recovery);
    p->stamp_base_ms = 0;
    p->stamped_ms = 0; /* what was proposed before may be lost, and its time with it */
    struct message *msg = effects_broadcast(out, SEND_NOW, ROLE_ACCEPTOR, MSG_PREPARE);
    msg->prepare = (struct msg_prepare){.ballot = p->ballot, .from_slot = 0};
    effects_note(out, NOTE_INFO, "event=campaign round=%llu", (unsigned long long)p->ballot.round);
}

/* Ends an attempt. The next one waits for a random part of a pause that grows, so that duelling
 * proposers get out of each other's way. */
static void fail_attempt(struct proposer *p, const char *reason, time_ms_t wait_ms, time_ms_t now,
                         struct effects *out)
{
    uint32_t doublings = p->attempts < PAUSE_DOUBLINGS_MAX ? p->attempts : PAUSE_DOUBLINGS_MAX;
    uint64_t range = (uint64_t)p->options.heartbeat_ms << doublings;
    p->attempts++;
    proposer_step_down(p, reason, now, out);
    if (now < p->invited_until) {
        effects_mark(out, MARK_ATTEMPT_AFTER_INVITATION);
        p->pause_until = now + 1 + (time_ms_t)rng_below(&p->rng, 3);
        return;
    }
    p->pause_until = now + wait_ms + (time_ms_t)rng_below(&p->rng, range + 1);
}

static void ask_page(struct proposer *p, int index, slot_t from, time_ms_t now, struct effects *out)
{
    p->promises[index].expected_from = from;
    p->promises[index].asked_at = now;
    struct peer acceptor = {ROLE_ACCEPTOR, p->options.members.acceptors[index]};
    struct message *msg = effects_send(out, SEND_NOW, acceptor, MSG_PREPARE);
    msg->prepare = (struct msg_prepare){.ballot = p->ballot, .from_slot = from};
}

static acceptor_set_t complete_promises(const struct proposer *p)
{
    acceptor_set_t set = 0;
    for (size_t i = 0; i < p->options.members.acceptor_count; i++) {
        if (p->promises[i].is_complete) {
            set |= (acceptor_set_t)1 << i;
        }
    }
    return set;
}

/* The lowest chosen watermark of the best prepare quorum among the complete promises: the q1-th
 * highest. */
static slot_t quorum_chosen(const struct proposer *p)
{
    const struct members *members = &p->options.members;
    slot_t best = 0;
    for (size_t i = 0; i < members->acceptor_count; i++) {
        if (!p->promises[i].is_complete) {
            continue;
        }
        size_t at_least = 0;
        for (size_t k = 0; k < members->acceptor_count; k++) {
            at_least +=
                p->promises[k].is_complete && p->promises[k].chosen >= p->promises[i].chosen;
        }
        if (at_least >= members->q1 && p->promises[i].chosen > best) {
            best = p->promises[i].chosen;
        }
    }
    return best;
}

/* The acceptor with the highest chosen watermark. */
static int best_informed(const struct proposer *p)
{
    int best = -1;
    for (size_t i = 0; i < p->options.members.acceptor_count; i++) {
        if (p->promises[i].is_promised &&
            (best < 0 || p->promises[i].chosen > p->promises[best].chosen)) {
            best = (int)i;
        }
    }
    return best;
}

static void maybe_finish(struct proposer *p, time_ms_t now, struct effects *out)
{
    if (!is_prepare_quorum(&p->options.members, complete_promises(p))) {
        return;
    }
    slot_t start = quorum_chosen(p);
    slot_t chosen = p->promises[best_informed(p)].chosen;
    if (chosen - start > RECOVERY_LAG_SLOTS_MAX) {
        effects_mark(out, MARK_LAGGARD_WAITED_FOR);
        return; /* proposer_tick_prepare sends the laggards to repair themselves */
    }
    slot_t end = chosen;
    for (size_t i = 0; i < RECOVERY_RING_SLOTS; i++) {
        if (p->recovery[i].slot > end) {
            end = p->recovery[i].slot;
        }
    }
    p->attempts = 0;
    p->invited_until = 0;
    if (MUTANT(recovery_from_highest_watermark)) {
        start = chosen;
    }
    proposer_begin_recovery(p, start, chosen, end, now, out);
}

void proposer_on_promise(struct proposer *p, const struct event *event, struct effects *out)
{
    const struct msg_promise *msg = &event->msg->promise;
    int index = members_acceptor_index(&p->options.members, event->msg->from.id);
    int is_of_attempt =
        ballot_equal(&msg->ballot, &p->ballot) || MUTANT(promise_of_other_attempt_counted);
    if (p->state != NODE_PREPARING || index < 0 || event->msg->from.role != ROLE_ACCEPTOR ||
        !is_of_attempt) {
        effects_mark(out,
                     is_of_attempt ? MARK_PROMISE_AFTER_QUORUM : MARK_PROMISE_OF_OTHER_ATTEMPT);
        return; /* of an earlier attempt, or too late (TRAPS 7.2) */
    }
    struct promise *promise = &p->promises[index];
    if (msg->from_slot != promise->expected_from || promise->is_complete ||
        msg->chosen < promise->chosen) {
        effects_mark(out, MARK_PROMISE_PAGE_TWICE);
        return; /* a page that came twice, or that an older one overtook */
    }
    if (!promise->is_promised || msg->chosen > promise->chosen ||
        msg->next_slot > promise->paged_to) {
        p->attempt_deadline = event->now + p->options.election_ms; /* it makes progress */
    }
    if (msg->next_slot > promise->paged_to) {
        promise->paged_to = msg->next_slot;
    }
    promise->is_promised = 1;
    promise->chosen = msg->chosen;
    for (uint32_t i = 0; i < msg->entry_count; i++) {
        proposer_note_recovered(p, &msg->entries[i], 0, out);
    }
    if (msg->stamp_ms > p->stamp_base_ms && !MUTANT(stamp_begins_at_zero)) {
        p->stamp_base_ms = msg->stamp_ms;
    }
    if (msg->next_slot != 0 && !MUTANT(second_page_not_asked)) {
        ask_page(p, index, msg->next_slot, event->now, out);
        return;
    }
    promise->is_complete = 1;
    maybe_finish(p, event->now, out);
}

void proposer_on_nack(struct proposer *p, const struct event *event, struct effects *out)
{
    const struct msg_nack *nack = &event->msg->nack;
    int index = members_acceptor_index(&p->options.members, event->msg->from.id);
    if (event->msg->from.role != ROLE_ACCEPTOR || index < 0) {
        return;
    }
    if (nack->promised.round > p->round_max && !MUTANT(round_not_raised)) {
        p->round_max = nack->promised.round;
    }
    if (!ballot_equal(&nack->ballot, &p->ballot)) {
        effects_mark(out, MARK_NACK_OF_OTHER_ATTEMPT);
        return; /* of an earlier attempt */
    }
    if (nack->reason == NACK_BALLOT && ballot_equal(&nack->promised, &p->ballot)) {
        effects_mark(out, MARK_NACK_OF_COPY);
        return; /* to a copy of our prepare: it has promised us this ballot already */
    }
    if (proposer_is_serving(p)) {
        if (nack->reason == NACK_TOO_FAR) {
            effects_mark(out, MARK_NACK_TOO_FAR);
        }
        if (nack->reason == NACK_BALLOT) {
            effects_mark(out, MARK_STEP_DOWN_BY_NACK);
            proposer_on_deposed(p, index, "an acceptor refused our ballot", event->now, out);
        }
        return; /* too far: it repairs itself, and retransmission reaches it later */
    }
    if (p->state != NODE_PREPARING) {
        return;
    }
    p->promises[index].is_refused = 1;
    p->promises[index].is_complete = 0;
    p->acceptors[index].is_outdated = 1;
    acceptor_set_t possible = 0;
    for (size_t i = 0; i < p->options.members.acceptor_count; i++) {
        if (!p->promises[i].is_refused) {
            possible |= (acceptor_set_t)1 << i;
        }
    }
    if (!is_prepare_quorum(&p->options.members, possible)) {
        effects_mark(out, MARK_ATTEMPT_REFUSED);
        time_ms_t wait_ms = nack->reason == NACK_LEASE ? nack->retry_ms : 0;
        if (wait_ms > p->options.election_ms) {
            wait_ms = p->options.election_ms;
        }
        fail_attempt(p, "refused by too many acceptors", wait_ms, event->now, out);
    }
}

/* Sends those that are far behind the best informed to catch up, and asks them again. */
static void help_laggards(struct proposer *p, time_ms_t now, struct effects *out)
{
    const struct members *members = &p->options.members;
    int best = best_informed(p);
    for (size_t i = 0; i < members->acceptor_count; i++) {
        struct promise *promise = &p->promises[i];
        slot_t target = p->promises[best].chosen;
        if (!promise->is_complete || target - promise->chosen <= RECOVERY_LAG_SLOTS_MAX ||
            now - promise->asked_at < p->options.heartbeat_ms) {
            continue;
        }
        struct peer laggard = {ROLE_ACCEPTOR, members->acceptors[i]};
        struct message *msg = effects_send(out, SEND_NOW, laggard, MSG_REPAIR);
        msg->repair = (struct msg_repair){p->ballot, target, members->acceptors[best]};
        effects_note(out, NOTE_INFO, "event=laggard acceptor=%u chosen=%llu target=%llu",
                     members->acceptors[i], (unsigned long long)promise->chosen,
                     (unsigned long long)target);
        promise->is_complete = 0;
        ask_page(p, (int)i, promise->chosen + 1, now, out);
    }
}

/* Asks again for pages that were lost. Not for a first one: an acceptor that gave the promise would
 * refuse the same ballot, as it must. */
static void ask_lost_pages(struct proposer *p, time_ms_t now, struct effects *out)
{
    for (size_t i = 0; i < p->options.members.acceptor_count; i++) {
        struct promise *promise = &p->promises[i];
        if (promise->is_promised && !promise->is_complete && !promise->is_refused &&
            now - promise->asked_at >= 2 * p->options.heartbeat_ms) {
            effects_mark(out, MARK_PROMISE_PAGE_LOST);
            ask_page(p, (int)i, promise->expected_from, now, out);
        }
    }
}

void proposer_tick_prepare(struct proposer *p, time_ms_t now, struct effects *out)
{
    ask_lost_pages(p, now, out);
    acceptor_set_t complete = complete_promises(p);
    if (is_prepare_quorum(&p->options.members, complete)) {
        help_laggards(p, now, out);
    }
    if (now >= p->attempt_deadline) {
        effects_mark(out, MARK_ATTEMPT_TIMED_OUT);
        fail_attempt(p, "no quorum of promises in time", 0, now, out);
    }
}
