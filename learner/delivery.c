#include "learner/state.h"

#include "common/base/mutant.h"

static struct pending *pending_at(struct learner *l, slot_t slot)
{
    return &l->pending[slot % LEARNER_PENDING_SLOTS_MAX];
}

static void drop(struct learner *l, struct pending *pending)
{
    l->pending_bytes -= pending->value.size;
    slice_drop(&pending->value);
    *pending = (struct pending){0};
}

void learner_drop_pending(struct learner *l)
{
    for (size_t i = 0; i < LEARNER_PENDING_SLOTS_MAX; i++) {
        drop(l, &l->pending[i]);
    }
}

static void deliver(struct learner *l, slot_t slot, struct slice value, time_ms_t now,
                    struct effects *out)
{
    CHECK(slot == machine_applied(l->machine) + 1);
    machine_apply(l->machine, slot, value, learner_tell, l, out);
    learner_note_applied(l, now);
    struct pending *pending = pending_at(l, slot);
    if (pending->slot == slot) {
        drop(l, pending);
    }
}

/* Applies every slot that the newest commit decides, in order: a value streamed under its ballot,
 * at a slot that it covers (DESIGN 4, Learner). */
static void deliver_decided(struct learner *l, time_ms_t now, struct effects *out)
{
    while (out->fatal == 0) {
        if (machine_is_full(l->machine)) { /* the rest in the next turn */
            l->is_full = 1;
            return;
        }
        slot_t next = machine_applied(l->machine) + 1;
        int skips = MUTANT(gap_skipped_by_learner) && pending_at(l, next)->slot != next;
        slot_t slot = skips ? next + 1 : next;
        struct pending *pending = pending_at(l, slot);
        if (pending->slot != slot || (slot > l->commit_slot && !pending->is_decided)) {
            return;
        }
        if (!pending->is_decided && !ballot_equal(&pending->ballot, &l->commit_ballot) &&
            !MUTANT(value_of_other_ballot_applied)) {
            effects_mark(out, MARK_LEARNED_OTHER_BALLOT);
            return;
        }
        struct slice value = slice_keep(pending->value);
        deliver(l, next, value, now, out);
        slice_drop(&value);
    }
}

void learner_deliver_rest(struct learner *l, time_ms_t now, struct effects *out)
{
    if (l->is_full) {
        l->is_full = 0;
        deliver_decided(l, now, out);
    }
}

static void note_commit(struct learner *l, const struct ballot *ballot, slot_t commit,
                        time_ms_t now, struct effects *out)
{
    l->leader_heard_at = now;
    if (commit > l->known_commit) {
        l->known_commit = commit;
    }
    if (ballot_compare(ballot, &l->commit_ballot) < 0) {
        effects_mark(out, MARK_COMMIT_OF_LOWER_BALLOT);
    }
    if (ballot_equal(ballot, &l->commit_ballot)) {
        if (commit > l->commit_slot) {
            l->commit_slot = commit;
        }
    } else if (ballot_compare(ballot, &l->commit_ballot) > 0) {
        /* A commit of a lower ballot decided what it could when it came. */
        l->commit_ballot = *ballot;
        l->commit_slot = commit;
    }
    deliver_decided(l, now, out);
}

void learner_on_accept(struct learner *l, const struct event *event, struct effects *out)
{
    const struct msg_accept *accept = &event->msg->accept;
    slot_t applied = machine_applied(l->machine);
    if (accept->slot > applied + LEARNER_PENDING_SLOTS_MAX) {
        effects_mark(out, MARK_LEARNED_TOO_MUCH);
    }
    if (accept->slot > applied && accept->slot <= applied + LEARNER_PENDING_SLOTS_MAX &&
        l->pending_bytes + accept->value.size <= LEARNER_PENDING_BYTES_MAX) {
        struct pending *pending = pending_at(l, accept->slot);
        if (pending->slot != accept->slot ||
            (!pending->is_decided && ballot_compare(&pending->ballot, &accept->ballot) < 0)) {
            if (pending->slot == accept->slot) {
                effects_mark(out, MARK_LEARNED_REPLACED);
            }
            drop(l, pending);
            *pending = (struct pending){
                .slot = accept->slot, .ballot = accept->ballot, .value = slice_keep(accept->value)};
            l->pending_bytes += accept->value.size;
        }
    }
    note_commit(l, &accept->ballot, accept->commit, event->now, out);
}

void learner_on_commit(struct learner *l, const struct event *event, struct effects *out)
{
    const struct msg_commit *commit = &event->msg->commit;
    int is_mistaken = MUTANT(commit_of_other_ballot_taken) && !ballot_is_none(&l->commit_ballot);
    note_commit(l, is_mistaken ? &l->commit_ballot : &commit->ballot, commit->commit, event->now,
                out);
}

int learner_misses_leader(const struct learner *l, time_ms_t now)
{
    return now - l->leader_heard_at >= l->options.election_ms;
}

void learner_maybe_fetch(struct learner *l, time_ms_t now, struct effects *out)
{
    slot_t applied = machine_applied(l->machine);
    slot_t wanted = learner_wanted(l);
    slot_t goal = l->known_commit > wanted ? l->known_commit : wanted;
    if (goal <= applied && !learner_misses_leader(l, now)) {
        return;
    }
    if (l->catchup.is_asked && now < l->catchup.retry_at) {
        return;
    }
    const struct members *members = &l->options.members;
    if (l->catchup.is_asked) { /* no answer, or nothing new: the next one */
        effects_mark(out, MARK_LEARNER_ELSEWHERE);
        if (!MUTANT(learner_asks_one_acceptor)) {
            l->catchup.source = (l->catchup.source + 1) % members->acceptor_count;
        }
    }
    effects_mark(out, goal > applied ? MARK_LEARNER_FETCHES_GAP : MARK_LEARNER_FETCHES_LEADERLESS);
    l->catchup.is_asked = 1;
    l->catchup.retry_at = now + l->options.heartbeat_ms;
    struct peer source = {ROLE_ACCEPTOR, members->acceptors[l->catchup.source]};
    struct message *msg = effects_send(out, SEND_NOW, source, MSG_FETCH);
    msg->fetch = (struct msg_fetch){.from = applied + 1, .bytes_max = l->options.fetch_bytes};
}

/* Keeps a slot that an acceptor has chosen until those before it are applied. */
static void keep_decided(struct learner *l, const struct slot_entry *entry, struct effects *out)
{
    slot_t applied = machine_applied(l->machine);
    if (entry->slot <= applied) {
        effects_mark(out, MARK_LEARNER_FETCHED_TWICE);
        return;
    }
    if (entry->slot > l->known_commit) {
        l->known_commit = entry->slot;
    }
    struct pending *pending = pending_at(l, entry->slot);
    int is_next = entry->slot == applied + 1; /* leaves at once, whatever the budget */
    if ((pending->slot == entry->slot && pending->is_decided) ||
        entry->slot > applied + LEARNER_PENDING_SLOTS_MAX ||
        (!is_next && l->pending_bytes + entry->value.size > LEARNER_PENDING_BYTES_MAX)) {
        return;
    }
    drop(l, pending);
    *pending = (struct pending){.slot = entry->slot,
                                .ballot = entry->ballot,
                                .is_decided = 1,
                                .value = slice_keep(entry->value)};
    l->pending_bytes += entry->value.size;
}

void learner_on_chosen(struct learner *l, const struct event *event, struct effects *out)
{
    const struct msg_chosen *chosen = &event->msg->chosen;
    if (event->msg->from.role != ROLE_ACCEPTOR) {
        return;
    }
    slot_t before = machine_applied(l->machine);
    if (chosen->trimmed > before) {
        effects_fatal(out, ERROR_UNAVAILABLE,
                      "this learner has applied slot %llu, but the acceptors keep only slots after "
                      "%llu",
                      (unsigned long long)before, (unsigned long long)chosen->trimmed);
        return;
    }
    if (chosen->chosen > l->known_commit) {
        l->known_commit = chosen->chosen;
    }
    for (uint32_t i = 0; i < chosen->entry_count && out->fatal == 0; i++) {
        keep_decided(l, &chosen->entries[i], out);
        deliver_decided(l, event->now, out);
    }
    if (machine_applied(l->machine) > before) {
        l->catchup.is_asked = 0; /* a source that has what we need: ask on at once */
    }
}
