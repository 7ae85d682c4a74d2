/* Learners tell each other the digests of their states, by way of the leader, and who differs ends
 * itself for good: an error of memory, disk or program must not be served to clients as agreed
 * data. The digest of a slot rests on those before it, so that two learners which have the same at
 * one slot had the same at all before, and two that differ go on to do so. */
#include "common/base/bytes.h"
#include "learner/state.h"

/* A learner tells its digest after so many slots, an election timeout after the last time if it has
 * applied more, and when nothing happens after so many election timeouts: it, or another one, may
 * have been started with another state. */
#define TELL_SLOTS 64
#define REST_ELECTIONS 4

/* In election timeouts. When two differ and those that could say who is right are silent for so
 * long, both end: one of them serves what was never agreed on. Well above REST_ELECTIONS. */
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

/* Ends this learner if no majority of all can have its state; and if that cannot be found out,
 * because the others are silent for long, unless more are known to have its state than not. */
void learner_judge(struct learner *l, time_ms_t now, struct effects *out)
{
    size_t count = l->options.members.learner_count;
    size_t differing = 0;
    size_t same = 1; /* as of the slot at which they differ, this one included */
    size_t behind = 0;
    size_t first = count; /* of those that differ: at the lowest slot */
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
    time_ms_t patience_ms = PATIENCE_ELECTIONS * l->options.election_ms;
    for (size_t i = 0; i < count; i++) {
        const struct other_learner *other = &l->others[i];
        int is_same = other->differs_at == 0 && other->same_to >= l->others[first].differs_at;
        int is_behind = !is_same && other->differs_at == 0 && other->heard_slot > 0 &&
                        now - other->heard_at < patience_ms;
        same += (size_t)is_same;
        behind += (size_t)is_behind;
    }
    /* Patience ends with the word of one that differs: it does not while nobody is heard. */
    int is_out_of_patience = now - l->differs_since >= patience_ms &&
                             l->others[first].heard_at - l->differs_since >= patience_ms;
    if (count - differing < majority_of(count) ||
        (is_out_of_patience && behind == 0 && same <= differing)) {
        condemn(l, first, now, out);
    }
}

/* Our digest of a slot: of the newest ones all are known, before them those that we have told, with
 * which who is behind compares itself. 0 if it is not known. */
static int own_digest(const struct learner *l, slot_t slot, uint64_t *out)
{
    slot_t applied = machine_applied(l->machine);
    if (slot >= l->digests_from && slot <= applied && slot + DIGESTS_KEPT > applied) {
        *out = l->digests[slot % DIGESTS_KEPT];
        return 1;
    }
    for (size_t i = 0; i < DIGESTS_KEPT && slot > 0; i++) {
        if (l->told[i].slot == slot) {
            *out = l->told[i].digest;
            return 1;
        }
    }
    return 0;
}

static void compare(struct learner *l, size_t index, slot_t slot, uint64_t digest)
{
    struct other_learner *other = &l->others[index];
    uint64_t own;
    if (!own_digest(l, slot, &own)) {
        return;
    }
    if (digest == own) {
        other->same_to = slot > other->same_to ? slot : other->same_to;
        if (slot >= other->differs_at) {
            other->differs_at = 0; /* it has been made anew since */
        }
    } else if (other->differs_at == 0 || slot < other->differs_at) {
        other->differs_at = slot;
        other->own_digest = own;
        other->its_digest = digest;
    }
}

void learner_on_digest(struct learner *l, const struct event *event)
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
    other->heard_at = event->now;
    other->heard_slot = digest->slot;
    if (digest->slot <= applied) {
        compare(l, (size_t)index, digest->slot, digest->digest);
    } else if (other->ahead.slot <= applied) {
        other->ahead = (struct slot_digest){digest->slot, digest->digest};
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

void learner_note_applied(struct learner *l, time_ms_t now)
{
    slot_t applied = machine_applied(l->machine);
    uint64_t stamp_ms = machine_stamp_ms(l->machine);
    if (stamp_ms != l->stamp_seen_ms) {
        l->stamp_seen_ms = stamp_ms;
        l->stamp_seen_at = now;
    }
    note_digest(l);
    for (size_t i = 0; i < l->options.members.learner_count; i++) {
        if (l->others[i].ahead.slot == applied) {
            compare(l, i, applied, l->others[i].ahead.digest);
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

/* Whoever leads has to hear it: a proposer, or in Raft mode an acceptor. */
static void send_progress(const struct msg_progress *progress, enum send_when when,
                          struct effects *out)
{
    effects_broadcast(out, when, ROLE_PROPOSER, MSG_PROGRESS)->progress = *progress;
    effects_broadcast(out, when, ROLE_ACCEPTOR, MSG_PROGRESS)->progress = *progress;
}

static void tell(struct learner *l, time_ms_t now, struct effects *out)
{
    slot_t applied = machine_applied(l->machine);
    struct msg_progress progress = {.applied = applied,
                                    .digest = machine_digest(l->machine),
                                    .due_ms = machine_due_ms(l->machine)};
    send_progress(&progress, SEND_NOW, out);
    if (applied != l->told_applied) {
        l->told[l->told_next++ % DIGESTS_KEPT] = (struct slot_digest){applied, progress.digest};
    }
    l->told_applied = applied;
    l->told_due_ms = progress.due_ms;
    l->told_at = now;
}

void learner_tell_progress(struct learner *l, time_ms_t now, struct effects *out)
{
    slot_t applied = machine_applied(l->machine);
    uint64_t due_ms = machine_due_ms(l->machine);
    int is_far = applied >= l->told_applied + TELL_SLOTS;
    int is_at_rest = applied == l->told_applied && due_ms == 0 && l->differs_since == TIME_NEVER;
    time_ms_t pause_ms = l->options.election_ms * (is_at_rest ? REST_ELECTIONS : 1);
    if (is_far || must_tell_due(l, due_ms) || (applied > 0 && now >= l->told_at + pause_ms)) {
        tell(l, now, out);
    }
    if (applied > 0) {
        effects_wake(out, l->told_at + pause_ms);
    }
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
        /* Of the slot that the other one can compare; and the verdict is on our disk before anybody
         * ends because of it. */
        struct msg_progress progress = {.applied = other->differs_at, .digest = other->own_digest};
        send_progress(&progress, SEND_AFTER_DURABLE, out);
    }
    effects_wake(out, l->verdict.tell_at);
}
