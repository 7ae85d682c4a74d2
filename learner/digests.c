/* Learners tell each other the digests of their states, by way of the leader, and who differs ends
 * itself for good: an error of memory, disk or program must not be served to clients as agreed
 * data. The digest of a slot rests on those before it, so that two learners which have the same at
 * one slot had the same at all before, and two that differ go on to do so. */
#include "common/base/bytes.h"
#include "learner/state.h"

/* A learner tells its digest after so many slots, or an election timeout after the last time. */
#define TELL_SLOTS 64

/* When nothing new comes it tells its last digest so many times more: one may be lost, or go to
 * somebody who led no longer. */
#define TELL_AGAIN_MAX 3

/* In election timeouts. When two differ and those that could say who is right are silent for so
 * long, both end: one of them serves what was never agreed on. */
#define PATIENCE_ELECTIONS 20

/* Key 'x': the verdict. Slot, own digest, the other learner's id, its digest. */
#define VERDICT_BYTES 28

/* ---- the verdict */

/* Stops serving, in this very step. The verdict is written down, so that the next start does not
 * serve either, and our digest is told to the others, of which one may learn from it alone that it
 * differs; then the process ends. */
static void condemn(struct learner *l, size_t index, time_ms_t now, struct effects *out)
{
    const struct other_learner *other = &l->others[index];
    l->verdict = (struct verdict){.is_reached = 1, .other = index, .tell_at = now};
    l->verdict.ends_at = now + l->options.election_ms;
    uint8_t head[VERDICT_BYTES];
    bytes_put_u64(head, other->differs_at);
    bytes_put_u64(head + 8, other->own_digest);
    bytes_put_u32(head + 16, l->options.members.learners[index]);
    bytes_put_u64(head + 20, other->its_digest);
    effects_put(out, RECORD_DURABLE, slice_borrow("x", 1), slice_borrow(head, sizeof head),
                SLICE_EMPTY);
    effects_note(out, NOTE_WARN, "event=differs learner=%u slot=%llu same_to=%llu",
                 l->options.members.learners[index], (unsigned long long)other->differs_at,
                 (unsigned long long)other->same_to);
}

void learner_tick_verdict(struct learner *l, time_ms_t now, struct effects *out)
{
    const struct other_learner *other = &l->others[l->verdict.other];
    if (now >= l->verdict.ends_at) {
        effects_fatal(
            out, ERROR_CORRUPT,
            "this learner differs from learner %u at slot %llu (digests %016llx and %016llx; they "
            "were the same at slot %llu); try: remove its directory and make it anew with "
            "synod init",
            l->options.members.learners[l->verdict.other], (unsigned long long)other->differs_at,
            (unsigned long long)other->own_digest, (unsigned long long)other->its_digest,
            (unsigned long long)other->same_to);
        return;
    }
    if (now >= l->verdict.tell_at) {
        l->verdict.tell_at = now + l->options.heartbeat_ms;
        learner_tell_progress(l, now, out);
    }
    effects_wake(out, l->verdict.tell_at);
}

int learner_load_verdict(const struct learner *l, struct effects *out)
{
    struct blob *blob;
    const struct store_reader *reader = &l->options.reader;
    int rc = reader->get(reader->self, slice_borrow("x", 1), &blob);
    if (rc == ERROR_NOT_FOUND) {
        return 0;
    }
    if (rc == 0 && blob->size == VERDICT_BYTES) {
        effects_fatal(out, ERROR_CORRUPT,
                      "this learner was found to differ from learner %u at slot %llu (digests "
                      "%016llx and %016llx) and must not serve; try: remove its directory and make "
                      "it anew with synod init",
                      bytes_get_u32(blob->data + 16), (unsigned long long)bytes_get_u64(blob->data),
                      (unsigned long long)bytes_get_u64(blob->data + 8),
                      (unsigned long long)bytes_get_u64(blob->data + 20));
    } else {
        effects_fatal(out, ERROR_CORRUPT,
                      "the record of what this learner was found to differ in cannot be read; try: "
                      "remove its directory and make it anew with synod init");
    }
    if (rc == 0) {
        blob_unref(blob);
    }
    return ERROR_CORRUPT;
}

/* ---- comparing */

/* Who has the same state, this one included, as of a slot at which others differ. */
static size_t count_same(const struct learner *l, slot_t slot)
{
    size_t count = 1;
    for (size_t i = 0; i < l->options.members.learner_count; i++) {
        count += l->others[i].differs_at == 0 && l->others[i].same_to >= slot;
    }
    return count;
}

/* Ends this learner if no majority of all can have its state, and also if that cannot be found out:
 * of two that differ nobody can tell who is right. */
static void judge(struct learner *l, time_ms_t now, struct effects *out)
{
    if (l->verdict.is_reached) {
        return;
    }
    size_t count = l->options.members.learner_count;
    size_t majority = majority_of(count);
    size_t differing = 0;
    size_t first = 0; /* of them: at the lowest slot */
    for (size_t i = 0; i < count; i++) {
        slot_t at = l->others[i].differs_at;
        if (at != 0 && (differing++ == 0 || at < l->others[first].differs_at)) {
            first = i;
        }
    }
    if (differing == 0) {
        l->differs_since = TIME_NEVER;
        return;
    }
    if (l->differs_since == TIME_NEVER) {
        l->differs_since = now;
    }
    int is_undecided = count_same(l, l->others[first].differs_at) < majority;
    time_ms_t patient_until = l->differs_since + PATIENCE_ELECTIONS * l->options.election_ms;
    if (count - differing < majority || (is_undecided && now >= patient_until)) {
        condemn(l, first, now, out);
    } else if (is_undecided) {
        effects_wake(out, patient_until);
    }
}

static int has_own_digest(const struct learner *l, slot_t slot)
{
    return slot >= l->digests_from && slot <= machine_applied(l->machine) &&
           slot + DIGESTS_KEPT > machine_applied(l->machine);
}

static void compare(struct learner *l, size_t index, slot_t slot, uint64_t digest, time_ms_t now,
                    struct effects *out)
{
    struct other_learner *other = &l->others[index];
    uint64_t own_digest = l->digests[slot % DIGESTS_KEPT];
    if (slot <= other->same_to) {
        return; /* late, or of its former life: it has been made anew since */
    }
    if (digest == own_digest) {
        other->same_to = slot;
        other->differs_at = 0;
    } else if (other->differs_at == 0 || slot < other->differs_at) {
        other->differs_at = slot;
        other->own_digest = own_digest;
        other->its_digest = digest;
    }
    judge(l, now, out);
}

void learner_on_digest(struct learner *l, const struct event *event, struct effects *out)
{
    const struct msg_digest *digest = &event->msg->digest;
    int index = members_learner_index(&l->options.members, digest->learner);
    int is_leader =
        event->msg->from.role == ROLE_PROPOSER || event->msg->from.role == ROLE_ACCEPTOR;
    if (!is_leader || index < 0 || digest->learner == l->options.id) {
        return;
    }
    struct other_learner *other = &l->others[index];
    slot_t applied = machine_applied(l->machine);
    if (digest->slot > applied && other->told_at <= applied) {
        other->told_at = digest->slot; /* the first ahead: it is compared when it is applied here */
        other->told = digest->digest;
    } else if (has_own_digest(l, digest->slot)) {
        compare(l, (size_t)index, digest->slot, digest->digest, event->now, out);
    }
}

static void note_digest(struct learner *l)
{
    l->digests[machine_applied(l->machine) % DIGESTS_KEPT] = machine_digest(l->machine);
}

void learner_begin_digests(struct learner *l, time_ms_t now)
{
    l->digests_from = machine_applied(l->machine);
    l->differs_since = TIME_NEVER;
    l->told_at = now;
    note_digest(l);
}

void learner_note_applied(struct learner *l, time_ms_t now, struct effects *out)
{
    slot_t applied = machine_applied(l->machine);
    uint64_t stamp_ms = machine_stamp_ms(l->machine);
    if (stamp_ms != l->stamp_seen_ms) {
        l->stamp_seen_ms = stamp_ms;
        l->stamp_seen_at = now;
    }
    note_digest(l);
    for (size_t i = 0; i < l->options.members.learner_count; i++) {
        if (l->others[i].told_at == applied) {
            compare(l, i, applied, l->others[i].told, now, out);
        }
    }
}

/* ---- telling */

/* What is due earlier than was told cannot wait, nor what is due next when the time that was told
 * has passed. That every block of a session puts its end off can. */
static int must_tell_due(const struct learner *l, uint64_t due_ms)
{
    int is_told = l->told_due_ms != 0 && machine_stamp_ms(l->machine) <= l->told_due_ms;
    return due_ms != 0 && (!is_told || due_ms < l->told_due_ms);
}

void learner_tell_progress(struct learner *l, time_ms_t now, struct effects *out)
{
    slot_t applied = machine_applied(l->machine);
    uint64_t due_ms = machine_due_ms(l->machine);
    time_ms_t again_at = l->told_at + l->options.election_ms;
    int is_far = applied >= l->told_applied + TELL_SLOTS;
    int has_rest = applied != l->told_applied || l->tells_left > 0 || due_ms != 0;
    if (is_far || must_tell_due(l, due_ms) || l->verdict.is_reached ||
        (has_rest && now >= again_at)) {
        /* Whoever leads has to hear it: a proposer, or in Raft mode an acceptor. */
        struct msg_progress progress = {
            .applied = applied, .digest = machine_digest(l->machine), .due_ms = due_ms};
        effects_broadcast(out, SEND_NOW, ROLE_PROPOSER, MSG_PROGRESS)->progress = progress;
        effects_broadcast(out, SEND_NOW, ROLE_ACCEPTOR, MSG_PROGRESS)->progress = progress;
        l->tells_left = applied != l->told_applied ? TELL_AGAIN_MAX : l->tells_left;
        l->tells_left -= l->tells_left > 0;
        l->told_applied = applied;
        l->told_due_ms = due_ms;
        l->told_at = now;
        again_at = now + l->options.election_ms;
        has_rest = l->tells_left > 0 || due_ms != 0;
    }
    if (has_rest) {
        effects_wake(out, again_at);
    }
    if (l->differs_since != TIME_NEVER) {
        judge(l, now, out);
    }
}
