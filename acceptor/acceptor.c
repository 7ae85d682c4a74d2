#include "acceptor/acceptor.h"

#include "acceptor/state.h"
#include "common/base/memory.h"
#include "common/base/mutant.h"

#include <stdlib.h>

struct acceptor *acceptor_new(const struct acceptor_options *options)
{
    struct acceptor *a = memory_calloc(1, sizeof *a);
    a->options = *options;
    a->options.cache_bytes =
        options->cache_bytes > 0 ? options->cache_bytes : ACCEPTOR_CACHE_BYTES_MAX;
    a->options.page_bytes = options->page_bytes > 0 ? options->page_bytes : PAGE_BYTES_TARGET;
    CHECK(a->options.page_bytes <= PAGE_BYTES_TARGET);
    a->self_index = members_acceptor_index(&options->members, options->id);
    CHECK(a->self_index >= 0);
    CHECK(members_quorums_intersect(&options->members));
    slot_log_open(&a->log, &options->reader, 'a', a->options.cache_bytes);
    return a;
}

void acceptor_free(struct acceptor *a)
{
    if (a == NULL) {
        return;
    }
    slot_log_close(&a->log);
    free(a);
}

static void on_start(struct acceptor *a, time_ms_t now, struct effects *out)
{
    a->started_at = now;
    acceptor_load(a, out);
    if (out->fatal == 0) {
        effects_note(out, NOTE_INFO,
                     "event=loaded round=%llu proposer=%u chosen=%llu accepted=%llu",
                     (unsigned long long)a->promised.round, a->promised.proposer,
                     (unsigned long long)a->chosen, (unsigned long long)a->log.last);
    }
}

static void on_read_index(struct acceptor *a, const struct message *msg, struct effects *out)
{
    struct message *reply = effects_reply(out, SEND_NOW, msg, MSG_READ_INDEX_REPLY);
    reply->read_index_reply = (struct msg_read_index_reply){
        msg->read_index.request, MUTANT(read_index_of_chosen) ? a->chosen : a->log.last};
}

/* Only the process that made a ballot may use it. Refuses the message otherwise. */
static int is_own_ballot(struct acceptor *a, const struct message *msg, const struct ballot *ballot,
                         struct effects *out)
{
    if (msg->from.role == ROLE_PROPOSER && msg->from.id == ballot->proposer &&
        msg->incarnation == ballot->incarnation) {
        return 1;
    }
    acceptor_refuse(a, msg, ballot, NACK_BALLOT, 0, out);
    return 0;
}

static void on_message(struct acceptor *a, const struct event *event, struct effects *out)
{
    switch (event->msg->kind) {
    case MSG_PREPARE:
        if (is_own_ballot(a, event->msg, &event->msg->prepare.ballot, out)) {
            acceptor_on_prepare(a, event, out);
        }
        break;
    case MSG_ACCEPT:
        if (is_own_ballot(a, event->msg, &event->msg->accept.ballot, out)) {
            acceptor_on_accept(a, event, out);
        }
        break;
    case MSG_HEARTBEAT:
        if (ballot_is_none(&event->msg->heartbeat.ballot) ||
            is_own_ballot(a, event->msg, &event->msg->heartbeat.ballot, out)) {
            acceptor_on_heartbeat(a, event, out);
        }
        break;
    case MSG_RELEASE:
        if (is_own_ballot(a, event->msg, &event->msg->release.ballot, out)) {
            acceptor_on_release(a, event->msg, out);
        }
        break;
    case MSG_REPAIR:
        if (is_own_ballot(a, event->msg, &event->msg->repair.ballot, out)) {
            acceptor_on_repair(a, event, out);
        }
        break;
    case MSG_FETCH:
        acceptor_on_fetch(a, event->msg, out);
        break;
    case MSG_CHOSEN:
        acceptor_on_chosen(a, event, out);
        break;
    case MSG_READ_INDEX:
        on_read_index(a, event->msg, out);
        break;
    case MSG_LEASE:
        acceptor_on_lease(a, event, out);
        break;
    case MSG_SETTINGS:
    case MSG_PROGRESS: /* for who leads, which in this mode no acceptor does */
        break;
    default:
        effects_unexpected(out, event->msg);
        break;
    }
}

static void on_flush(struct acceptor *a, time_ms_t now, struct effects *out)
{
    acceptor_flush_acknowledgement(a, out);
    acceptor_maybe_repair(a, now, out);
    if (a->chosen_stored != a->chosen && out->record_count > 0 &&
        !MUTANT(promised_watermark_not_durable)) {
        acceptor_store_chosen(a, RECORD_LAZY, out);
    }
    if (out->needs_sync) { /* it takes all earlier records along */
        a->chosen_durable = a->chosen_stored;
    }
    if (a->repair.target > a->chosen) {
        effects_wake(out, a->repair.retry_at);
    }
}

void acceptor_step(struct acceptor *a, const struct event *event, struct effects *out)
{
    a->disk_low = event->disk_low;
    switch (event->kind) {
    case EVENT_START:
        on_start(a, event->now, out);
        break;
    case EVENT_MESSAGE:
        on_message(a, event, out);
        break;
    case EVENT_FLUSH:
        on_flush(a, event->now, out);
        break;
    case EVENT_WRITTEN:
        slot_log_evict(&a->log, out);
        break;
    case EVENT_SHUTDOWN:
        out->finished = 1; /* every turn ends with its acknowledgements sent: nothing is pending */
        break;
    case EVENT_TICK:
    case EVENT_PEER_UP:
    case EVENT_PEER_DOWN:
        break;
    }
    if (out->fatal == 0) {
        acceptor_check(a);
    }
}

void acceptor_check(const struct acceptor *a)
{
    slot_log_check(&a->log);

    /* How far slots are chosen: on the disk for sure, in the last record, known, accepted. */
    CHECK(a->chosen_durable <= a->chosen_stored);
    CHECK(a->chosen_stored <= a->chosen);
    CHECK(a->chosen <= a->log.last);

    /* What leaders have committed. */
    CHECK(a->commit_slot <= a->commit);
    CHECK(a->marked_to <= a->commit_slot);
    CHECK(a->marked_to <= a->log.last);

    /* Nothing goes beyond the promise: no vote, no acknowledgement, no lease. */
    const struct log_slot *newest = acceptor_find(a, a->log.last);
    CHECK(newest == NULL || ballot_compare(&newest->ballot, &a->promised) <= 0);
    CHECK(ballot_compare(&a->leader, &a->promised) <= 0);
    CHECK(!a->ack.is_open || ballot_compare(&a->ack.ballot, &a->promised) <= 0);
    CHECK(!a->ack.is_open || a->ack.first <= a->ack.last);
    CHECK(a->lease_until == 0 || !ballot_is_none(&a->leader));
    CHECK(a->lease_until == 0 || !a->is_released);
}

static void step(void *self, const struct event *event, struct effects *out)
{
    acceptor_step(self, event, out);
}

struct core acceptor_core(struct acceptor *a)
{
    return (struct core){a, step};
}

struct ballot acceptor_promised(const struct acceptor *a)
{
    return a->promised;
}

slot_t acceptor_chosen(const struct acceptor *a)
{
    return a->chosen;
}

slot_t acceptor_accepted_max(const struct acceptor *a)
{
    return a->log.last;
}
