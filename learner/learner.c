#include "learner/learner.h"

#include "common/base/memory.h"
#include "learner/state.h"

#include <stdlib.h>

struct learner *learner_new(const struct learner_options *options)
{
    CHECK(options->members.acceptor_count > 0);
    struct learner *l = memory_calloc(1, sizeof *l);
    l->options = *options;
    l->options.fetch_bytes = options->fetch_bytes > 0 ? options->fetch_bytes : PAGE_BYTES_TARGET;
    rng_init(&l->rng, options->seed);
    l->catchup.source = rng_below(&l->rng, options->members.acceptor_count);
    l->machine = machine_new(&options->reader);
    if (options->range_bytes > 0) {
        machine_set_page_bytes(l->machine, options->range_bytes);
    }
    return l;
}

void learner_free(struct learner *l)
{
    if (l == NULL) {
        return;
    }
    learner_drop_pending(l);
    machine_free(l->machine);
    free(l->clients);
    learner_free_questions(l);
    free(l->outcomes);
    free(l);
}

static void on_start(struct learner *l, time_ms_t now, struct effects *out)
{
    l->leader_heard_at = now;
    if (learner_load_verdict(l, out) != 0) {
        return;
    }
    machine_load(l->machine, out);
    learner_begin_digests(l, now);
    l->readable = machine_applied(l->machine);
    l->stamp_seen_ms = machine_stamp_ms(l->machine);
    l->stamp_seen_at = now;
    effects_note(out, NOTE_INFO, "event=loaded applied=%llu last_index=%llu sessions=%llu",
                 (unsigned long long)machine_applied(l->machine),
                 (unsigned long long)machine_last_index(l->machine),
                 (unsigned long long)machine_session_count(l->machine));
}

static void on_status(struct learner *l, const struct message *msg, struct effects *out)
{
    struct node_status *node = effects_alloc(out, sizeof *node);
    slot_t since;
    struct ballot leader = machine_leader(l->machine, &since);
    slot_t applied = machine_applied(l->machine);
    *node = (struct node_status){
        .node = {ROLE_LEARNER, l->options.id},
        .state = applied < l->known_commit ? NODE_CATCHING_UP : NODE_APPLYING,
        .ballot = l->commit_ballot,
        .leader = leader.proposer,
        .leading_since = since,
        .chosen = l->known_commit > applied ? l->known_commit : applied,
        .applied = applied,
        .last_index = machine_last_index(l->machine),
        .digest = machine_digest(l->machine),
        .session_count = machine_session_count(l->machine),
        .revision = machine_revision(l->machine),
        .compacted = machine_compacted(l->machine),
    };
    struct message *reply = effects_reply(out, SEND_NOW, msg, MSG_STATUS_REPLY);
    reply->status_reply = (struct msg_status_reply){msg->status.request, 1, node};
}

static void on_message(struct learner *l, const struct event *event, struct effects *out)
{
    switch (event->msg->kind) {
    case MSG_ACCEPT:
        learner_on_accept(l, event, out);
        break;
    case MSG_COMMIT:
        learner_on_commit(l, event, out);
        break;
    case MSG_CHOSEN:
        learner_on_chosen(l, event, out);
        break;
    case MSG_READ_INDEX_REPLY:
        learner_on_read_index_reply(l, event, out);
        break;
    case MSG_READ:
    case MSG_QUERY:
    case MSG_WATCH:
        learner_on_question(l, event, out);
        break;
    case MSG_DIGEST:
        learner_on_digest(l, event);
        break;
    case MSG_STATUS:
        on_status(l, event->msg, out);
        break;
    default:
        effects_unexpected(out, event->msg);
        break;
    }
}

static void on_flush(struct learner *l, time_ms_t now, struct effects *out)
{
    if (!l->verdict.is_reached) {
        learner_deliver_rest(l, now, out);
        learner_judge(l, now, out);
    }
    if (l->verdict.is_reached) {
        learner_tick_verdict(l, now, out);
        return;
    }
    learner_maybe_fetch(l, now, out);
    learner_send_results(l, out);
    l->is_sweeping = learner_sweep(l, now, out);
    machine_store(l->machine, out);
    if (out->record_count == 0) { /* nothing will be written: what was applied is in the store */
        learner_serve_reads(l, now, out);
    }
    learner_tick_reads(l, now, out);
    learner_tell_progress(l, now, out);
    learner_tell_settings(l, now, out);
    if (l->is_sweeping || l->is_full) {
        effects_wake(out, now);
    }
    slot_t applied = machine_applied(l->machine);
    if (l->known_commit > applied || learner_wanted(l) > applied || learner_misses_leader(l, now)) {
        effects_wake(out, l->catchup.retry_at);
    } else {
        effects_wake(out, l->leader_heard_at + l->options.election_ms);
    }
}

void learner_step(struct learner *l, const struct event *event, struct effects *out)
{
    if (l->verdict.is_reached && event->kind != EVENT_FLUSH && event->kind != EVENT_SHUTDOWN) {
        return; /* it serves nobody any more */
    }
    switch (event->kind) {
    case EVENT_START:
        on_start(l, event->now, out);
        break;
    case EVENT_MESSAGE:
        on_message(l, event, out);
        break;
    case EVENT_FLUSH:
        on_flush(l, event->now, out);
        break;
    case EVENT_WRITTEN:
        machine_written(l->machine);
        l->readable = machine_applied(l->machine);
        learner_serve_reads(l, event->now, out);
        break;
    case EVENT_PEER_UP:
    case EVENT_PEER_DOWN:
        if (event->peer.role == ROLE_CLIENT) {
            learner_on_client(l, event->peer, event->kind == EVENT_PEER_UP);
        } else if (event->kind == EVENT_PEER_UP) {
            learner_on_member_up(l, event->peer);
        }
        break;
    case EVENT_SHUTDOWN:
        out->finished = 1; /* results of what is applied leave with this turn */
        break;
    case EVENT_TICK:
        break;
    }
    if (out->fatal == 0) {
        learner_check(l);
    }
}

void learner_check(const struct learner *l)
{
    slot_t applied = machine_applied(l->machine);
    CHECK(l->commit_slot <= l->known_commit);
    CHECK(l->readable <= applied);
    CHECK(l->pending_bytes <= LEARNER_PENDING_BYTES_MAX + VALUE_BYTES_MAX);
    CHECK(l->compaction_count <= COMPACTIONS_WAITING_MAX);
    CHECK(l->client_count <= l->client_capacity);
    CHECK(l->question_count <= l->question_capacity);
}

static void step(void *self, const struct event *event, struct effects *out)
{
    learner_step(self, event, out);
}

struct core learner_core(struct learner *l)
{
    return (struct core){l, step};
}

slot_t learner_applied(const struct learner *l)
{
    return machine_applied(l->machine);
}

uint64_t learner_digest(const struct learner *l)
{
    return machine_digest(l->machine);
}

uint64_t learner_last_index(const struct learner *l)
{
    return machine_last_index(l->machine);
}
