/* What comes into the log from outside, and what learners are told of it. */
#include "acceptor/raft/state.h"

#include "common/base/memory.h"
#include "common/base/mutant.h"
#include "common/protocol/value.h"

#include <stdlib.h>

/* Batches of proposers joined into one entry, at most. */
#define BATCHES_JOINED_MAX 256

uint64_t raft_stamp(const struct raft *r, time_ms_t now)
{
    CHECK(now >= r->lead_since);
    return r->stamp_base_ms + (uint64_t)(now - r->lead_since);
}

int raft_window_has_room(const struct raft *r)
{
    return r->log.last - r->commit < WINDOW_SLOTS_MAX && raft_log_has_room(r) &&
           raft_log_bytes_between(r, r->commit, r->log.last) < WINDOW_BYTES_MAX;
}

/* ---- batches of proposers */

static struct handed *handed_at(struct raft *r, size_t position)
{
    return &r->handed[(r->handed_head + position) % r->handed_capacity];
}

static void push(struct raft *r, struct handed handed)
{
    if (r->handed_count == r->handed_capacity) {
        size_t grown = r->handed_capacity == 0 ? 64 : r->handed_capacity * 2;
        struct handed *ring = memory_calloc(grown, sizeof *ring);
        for (size_t i = 0; i < r->handed_count; i++) {
            ring[i] = *handed_at(r, i);
        }
        free(r->handed);
        r->handed = ring;
        r->handed_head = 0;
        r->handed_capacity = grown;
    }
    r->handed_count++;
    *handed_at(r, r->handed_count - 1) = handed;
    r->handed_bytes += handed.value.size;
}

/* Takes the first batch out of the queue; its reference goes to the caller. */
static struct handed pop(struct raft *r)
{
    CHECK(r->handed_count > 0);
    struct handed handed = *handed_at(r, 0);
    r->handed_head = (r->handed_head + 1) % r->handed_capacity;
    r->handed_count--;
    r->handed_bytes -= handed.value.size;
    return handed;
}

void raft_free_handed(struct raft *r)
{
    while (r->handed_count > 0) {
        struct handed handed = pop(r);
        slice_drop(&handed.value);
    }
    free(r->handed);
}

/* It leads, and takes nothing more. */
static int is_leaving(const struct raft *r)
{
    return r->transfer_to != 0 || r->is_stopping;
}

static void answer(const struct raft *r, struct peer proposer, uint64_t echo,
                   const struct ballot *ballot, uint64_t sequence, enum propose_status status,
                   struct effects *out)
{
    struct message *msg = effects_send(out, SEND_NOW, proposer, MSG_PROPOSED);
    msg->echo = echo;
    msg->proposed = (struct msg_proposed){.ballot = *ballot,
                                          .sequence = sequence,
                                          .status = status,
                                          .leader = is_leaving(r) ? BALLOT_NONE : r->leader};
}

void raft_drop_handed(struct raft *r, struct effects *out)
{
    while (r->handed_count > 0) {
        struct handed handed = pop(r);
        effects_mark(out, MARK_SUBMIT_DROPPED);
        answer(r, handed.proposer, handed.incarnation, &r->ballot, handed.sequence,
               PROPOSED_NOT_LEADING, out);
        slice_drop(&handed.value);
    }
}

void raft_on_propose(struct raft *r, const struct event *event, struct effects *out)
{
    const struct message *msg = event->msg;
    const struct msg_propose *propose = &msg->propose;
    int index = members_proposer_index(&r->options.members, msg->from.id);
    if (index < 0) {
        return;
    }
    int leads = r->role == RAFT_LEADER && ballot_equal(&propose->ballot, &r->ballot);
    if (leads && r->transfer_to != 0 && !r->is_stopping) {
        return; /* it comes again, here if the transfer comes to nothing, else to the next leader */
    }
    if (!leads || is_leaving(r)) {
        effects_mark(out, MARK_RAFT_PROPOSE_TO_FOLLOWER);
        answer(r, msg->from, msg->incarnation, &propose->ballot, propose->sequence,
               PROPOSED_NOT_LEADING, out);
        return;
    }
    struct stream *stream = &r->streams[index];
    if (stream->incarnation != msg->incarnation) {
        *stream = (struct stream){.incarnation = msg->incarnation};
    }
    if (propose->first > stream->sequence + 1) {
        stream->sequence = propose->first - 1; /* nobody will send what came before */
    }
    if (propose->sequence <= stream->sequence) {
        effects_mark(out, MARK_RAFT_PROPOSE_TWICE);
        if (stream->logged >
            0) { /* the answer was lost; what is in the queue gets one of its own */
            answer(r, msg->from, msg->incarnation, &propose->ballot, stream->logged, PROPOSED_TAKEN,
                   out);
        }
        return;
    }
    if (propose->sequence != stream->sequence + 1 ||
        r->handed_bytes + propose->value.size > CLIENTS_PENDING_BYTES_MAX) {
        effects_mark(out, MARK_RAFT_PROPOSE_GAP);
        answer(r, msg->from, msg->incarnation, &propose->ballot, stream->sequence, PROPOSED_AGAIN,
               out);
        return;
    }
    stream->sequence = propose->sequence;
    push(r, (struct handed){.proposer = msg->from,
                            .incarnation = msg->incarnation,
                            .sequence = propose->sequence,
                            .value = slice_keep(propose->value)});
}

/* The blocks of a batch, behind its head. */
static struct slice blocks_of(struct slice value)
{
    return (struct slice){value.data + VALUE_HEAD_BYTES, value.size - VALUE_HEAD_BYTES, NULL};
}

static void note_logged(struct raft *r, const struct handed *handed)
{
    int index = members_proposer_index(&r->options.members, handed->proposer.id);
    if (r->streams[index].incarnation == handed->incarnation) { /* else it restarted since */
        r->streams[index].logged = handed->sequence;
    }
}

/* Joins batches from the head of the queue into one entry. */
static void form_entry(struct raft *r, time_ms_t now, struct effects *out)
{
    struct handed taken[BATCHES_JOINED_MAX];
    struct slice blocks[BATCHES_JOINED_MAX];
    size_t count = 0;
    size_t size = 0;
    while (r->handed_count > 0 && count < BATCHES_JOINED_MAX &&
           (count == 0 || size + handed_at(r, 0)->value.size <= BATCH_BYTES_TARGET)) {
        taken[count] = pop(r);
        blocks[count] = blocks_of(taken[count].value);
        size += blocks[count++].size;
    }
    struct slice value = slice_of(value_batch(raft_stamp(r, now), blocks, count));
    CHECK(value.size <= VALUE_BYTES_MAX);
    if (count > 1) {
        effects_mark(out, MARK_BLOCKS_JOINED);
    }
    raft_log_append(r, &r->ballot, value, out);
    slice_drop(&value);
    for (size_t i = 0; i < count; i++) {
        note_logged(r, &taken[i]);
        answer(r, taken[i].proposer, taken[i].incarnation, &r->ballot, taken[i].sequence,
               PROPOSED_TAKEN, out);
        slice_drop(&taken[i].value);
    }
}

void raft_form_batches(struct raft *r, time_ms_t now, struct effects *out)
{
    while (r->handed_count > 0 && raft_window_has_room(r)) {
        form_entry(r, now, out);
    }
    if (r->handed_count > 0) {
        effects_mark(out, MARK_WINDOW_FULL);
    }
}

/* ---- time for what is due */

void raft_on_progress(struct raft *r, const struct event *event, struct effects *out)
{
    due_on_progress(r->dues, &r->options.members, event->msg, r->role == RAFT_LEADER, out);
}

void raft_tell_time(struct raft *r, time_ms_t now, struct effects *out)
{
    if (is_leaving(r)) {
        return; /* the next leader's log has to be complete, and it tells the time */
    }
    uint64_t stamp_ms = raft_stamp(r, now);
    if (due_wants_stamp(r->dues, &r->options.members, r->log.stamp_ms, stamp_ms, now,
                        r->options.election_ms, out) && /* a heartbeat comes before that */
        raft_window_has_room(r)) {
        effects_mark(out, MARK_TIME_TOLD);
        struct slice noop = slice_of(value_noop(stamp_ms));
        raft_log_append(r, &r->ballot, noop, out);
        slice_drop(&noop);
    }
}

/* ---- learners */

void raft_send_commit(struct raft *r, struct effects *out)
{
    struct message *msg = effects_broadcast(out, SEND_NOW, ROLE_LEARNER, MSG_COMMIT);
    msg->commit = (struct msg_commit){r->ballot, r->commit};
}

static void stream(struct raft *r, const struct log_slot *entry, struct effects *out)
{
    struct slice held = effects_hold(out, entry->value);
    struct message *msg = effects_broadcast(out, SEND_NOW, ROLE_LEARNER, MSG_ACCEPT);
    msg->accept = (struct msg_accept){
        .ballot = r->ballot, .slot = entry->slot, .commit = r->commit, .value = held};
}

/* An entry never changes while its leader leads ("Leader Append-Only", Fig. 3), so that what is
 * streamed under our ballot is decided by a commit under our ballot, whatever term the entry is of.
 * What has left memory, the learners fetch. */
void raft_tell_learners(struct raft *r, struct effects *out)
{
    slot_t covered = r->told;
    for (slot_t index = r->told + 1; index <= r->commit; index++) {
        const struct log_slot *entry = slot_log_find(&r->log, index);
        int is_early = index <= r->streamed && index >= r->lead_index && entry != NULL &&
                       entry->value.size > STREAM_EARLY_BYTES;
        if (entry != NULL && entry->value.size > 0 && !is_early) {
            stream(r, entry, out);
            covered = r->commit; /* every accept carries the commit */
        }
    }
    slot_t streamed = r->streamed > r->commit ? r->streamed : r->commit;
    for (slot_t index = streamed + 1; index <= r->log.last; index++) {
        const struct log_slot *entry = slot_log_find(&r->log, index);
        if (entry != NULL && entry->value.size > STREAM_EARLY_BYTES) {
            effects_mark(out, MARK_VALUE_STREAMED_EARLY);
            stream(r, entry, out);
        }
    }
    r->streamed = r->log.last;
    r->told = r->commit;
    if (covered != r->commit) {
        raft_send_commit(r, out);
    }
}
