/* Learners tell each other the digests of their states, by way of the leader, and who differs ends
 * itself: an error of memory, disk or program must not be served to clients as agreed data. */
#include "learner/state.h"

static struct checkpoint *checkpoint_at(struct learner *l, slot_t slot)
{
    struct checkpoint *checkpoint = &l->checkpoints[slot / DIGEST_SLOTS % CHECKPOINTS_KEPT];
    if (checkpoint->slot > slot) {
        return NULL; /* older than what is kept */
    }
    if (checkpoint->slot < slot) {
        *checkpoint = (struct checkpoint){.slot = slot};
    }
    return checkpoint;
}

/* How many learners reported that digest for the slot. */
static size_t count_equal(const struct checkpoint *checkpoint, size_t count, uint64_t digest)
{
    size_t equal = 0;
    for (size_t i = 0; i < count; i++) {
        equal += (checkpoint->reported >> i & 1) != 0 && checkpoint->digests[i] == digest;
    }
    return equal;
}

/* Ends this learner if a majority of all has another state at the slot. When all have spoken and no
 * majority agrees nobody can tell who is right, and nobody goes on. */
static void judge(const struct learner *l, const struct checkpoint *checkpoint, struct effects *out)
{
    const struct members *members = &l->options.members;
    size_t count = members->learner_count;
    int self = members_learner_index(members, l->options.id);
    if (self < 0 || (checkpoint->reported >> self & 1) == 0) {
        return;
    }
    uint64_t own = checkpoint->digests[self];
    size_t most = 0; /* learners that agree on another digest */
    size_t other = 0;
    for (size_t i = 0; i < count; i++) {
        if ((checkpoint->reported >> i & 1) == 0 || checkpoint->digests[i] == own) {
            continue;
        }
        size_t equal = count_equal(checkpoint, count, checkpoint->digests[i]);
        if (equal > most) {
            most = equal;
            other = i;
        }
    }
    size_t majority = majority_of(count);
    int is_tied = acceptor_set_count(checkpoint->reported) == count && most > 0 &&
                  count_equal(checkpoint, count, own) < majority;
    if (most >= majority || is_tied) {
        effects_fatal(out, ERROR_CORRUPT,
                      "this learner differs from learner %u at slot %llu (digests %016llx and "
                      "%016llx); try: remove its directory and make it anew with synod init",
                      members->learners[other], (unsigned long long)checkpoint->slot,
                      (unsigned long long)own, (unsigned long long)checkpoint->digests[other]);
    }
}

static void note_digest(struct learner *l, int index, slot_t slot, uint64_t digest,
                        struct effects *out)
{
    struct checkpoint *checkpoint = checkpoint_at(l, slot);
    if (checkpoint == NULL) {
        return;
    }
    checkpoint->reported |= (acceptor_set_t)1 << index;
    checkpoint->digests[index] = digest;
    judge(l, checkpoint, out);
}

void learner_note_applied(struct learner *l, time_ms_t now, struct effects *out)
{
    slot_t applied = machine_applied(l->machine);
    uint64_t stamp_ms = machine_stamp_ms(l->machine);
    if (stamp_ms != l->stamp_seen_ms) {
        l->stamp_seen_ms = stamp_ms;
        l->stamp_seen_at = now;
    }
    int self = members_learner_index(&l->options.members, l->options.id);
    if (applied % DIGEST_SLOTS == 0 && self >= 0) {
        l->digest_slot = applied;
        l->digest = machine_digest(l->machine);
        note_digest(l, self, applied, l->digest, out);
    }
}

void learner_on_digest(struct learner *l, const struct event *event, struct effects *out)
{
    const struct msg_digest *digest = &event->msg->digest;
    int index = members_learner_index(&l->options.members, digest->learner);
    int is_leader =
        event->msg->from.role == ROLE_PROPOSER || event->msg->from.role == ROLE_ACCEPTOR;
    if (!is_leader || index < 0 || digest->learner == l->options.id ||
        digest->slot % DIGEST_SLOTS != 0) {
        return;
    }
    note_digest(l, index, digest->slot, digest->digest, out);
}

void learner_tell_progress(struct learner *l, time_ms_t now, struct effects *out)
{
    uint64_t due_ms = machine_due_ms(l->machine);
    /* Every block of a session puts its end off: that can wait. What is due earlier cannot, nor
     * what is due next when the time that was told has passed. */
    int is_told = l->told_due_ms != 0 && machine_stamp_ms(l->machine) <= l->told_due_ms;
    int is_earlier = due_ms != 0 && (!is_told || due_ms < l->told_due_ms);
    int is_news = l->digest_slot != l->told_digest_slot || is_earlier;
    int is_time = now >= l->told_at + l->options.election_ms && due_ms != 0;
    if (is_news || is_time) { /* again, for a proposer that is new or missed it */
        /* Whoever leads has to hear it: a proposer, or in Raft mode an acceptor. */
        struct msg_progress progress = {.applied = machine_applied(l->machine),
                                        .digest_slot = l->digest_slot,
                                        .digest = l->digest,
                                        .due_ms = due_ms};
        effects_broadcast(out, SEND_NOW, ROLE_PROPOSER, MSG_PROGRESS)->progress = progress;
        effects_broadcast(out, SEND_NOW, ROLE_ACCEPTOR, MSG_PROGRESS)->progress = progress;
        l->told_digest_slot = l->digest_slot;
        l->told_due_ms = due_ms;
        l->told_at = now;
    }
    if (due_ms != 0) {
        effects_wake(out, l->told_at + l->options.election_ms);
    }
}
