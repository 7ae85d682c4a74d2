#include "proposer/state.h"

#include "common/base/mutant.h"
#include "common/protocol/value.h"

#include <stdlib.h>

static struct recovered *recovered_at(struct proposer *p, slot_t slot)
{
    return &p->recovery[slot % RECOVERY_RING_SLOTS];
}

void proposer_note_recovered(struct proposer *p, const struct slot_entry *entry, int is_chosen,
                             struct effects *out)
{
    struct recovered *known = recovered_at(p, entry->slot);
    if (known->slot > entry->slot) {
        return; /* a slot a whole ring higher was accepted: this one is chosen */
    }
    if (known->slot == entry->slot && !is_chosen) {
        int order = ballot_compare(&entry->ballot, &known->ballot);
        if (order != 0) {
            effects_mark(out,
                         order < 0 ? MARK_RECOVERED_LOWER_BALLOT : MARK_RECOVERED_HIGHER_BALLOT);
        }
        if (known->is_chosen || (MUTANT(lowest_ballot_recovered) ? order >= 0 : order <= 0)) {
            return; /* of all reported values the one of the highest ballot counts */
        }
    }
    slice_drop(&known->value);
    *known = (struct recovered){.slot = entry->slot,
                                .is_chosen = is_chosen,
                                .ballot = entry->ballot,
                                .value = slice_keep(entry->value)};
}

void proposer_drop_recovery(struct proposer *p)
{
    if (p->recovery == NULL) {
        return;
    }
    for (size_t i = 0; i < RECOVERY_RING_SLOTS; i++) {
        slice_drop(&p->recovery[i].value);
    }
    free(p->recovery);
    p->recovery = NULL;
}

void proposer_begin_recovery(struct proposer *p, slot_t start, slot_t chosen, slot_t end,
                             time_ms_t now, struct effects *out)
{
    CHECK(start <= chosen && chosen <= end);
    proposer_become(p, NODE_RECOVERING);
    p->chosen = start;
    p->committed = start;
    p->next_slot = start + 1;
    p->recovery_chosen = chosen;
    p->recovery_end = end;
    p->fetching = 0;
    p->fetch_source = -1;
    p->stamp_started_at = now;
    if (end > chosen) {
        effects_mark(out, MARK_HALF_ACCEPTED_SLOT);
    }
    effects_note(out, NOTE_INFO,
                 "event=promised_by_quorum round=%llu from=%llu chosen=%llu to=%llu",
                 (unsigned long long)p->ballot.round, (unsigned long long)start + 1,
                 (unsigned long long)chosen, (unsigned long long)end);
    proposer_send_heartbeat(p, now, out); /* the lease begins with the quorum */
    proposer_continue_recovery(p, now, out);
}

/* Asks for chosen slots from the next one on, an acceptor that has them, in turn. */
static void fetch(struct proposer *p, slot_t from, time_ms_t now, struct effects *out)
{
    size_t count = p->options.members.acceptor_count;
    for (size_t i = 0; i < count; i++) {
        p->fetch_source = (p->fetch_source + 1) % (int)count;
        const struct promise *promise = &p->promises[p->fetch_source];
        if (promise->is_promised && promise->chosen >= from) {
            break;
        }
    }
    effects_mark(out, p->fetching == 0 ? MARK_CHOSEN_FETCHED : MARK_RECOVERY_ELSEWHERE);
    if (p->fetching == 0) {
        p->fetch_deadline = now + p->options.election_ms;
    }
    p->fetching = from;
    p->fetch_retry_at = now + 2 * p->options.heartbeat_ms;
    struct peer source = {ROLE_ACCEPTOR, p->options.members.acceptors[p->fetch_source]};
    struct message *msg = effects_send(out, SEND_NOW, source, MSG_FETCH);
    msg->fetch = (struct msg_fetch){.from = from, .bytes_max = PAGE_BYTES_TARGET};
}

void proposer_on_chosen(struct proposer *p, const struct event *event, struct effects *out)
{
    const struct msg_chosen *msg = &event->msg->chosen;
    if (p->state != NODE_RECOVERING || p->fetching == 0 || msg->from != p->fetching ||
        event->msg->from.role != ROLE_ACCEPTOR || msg->entry_count == 0) {
        return; /* the timer asks another one */
    }
    for (uint32_t i = 0; i < msg->entry_count; i++) {
        if (msg->entries[i].slot <= p->recovery_chosen) {
            proposer_note_recovered(p, &msg->entries[i], 1, out);
        }
    }
    p->fetching = 0;
    proposer_continue_recovery(p, event->now, out);
}

/* The value to propose for a slot that former leaders may have used ("Paxos Made Simple", 2.3 and
 * 3): as it is if it is chosen, else that of the highest ballot, else a no-op. 0 if it has to be
 * fetched first. The reference goes to the caller. */
static int take_value(struct proposer *p, slot_t slot, struct slice *value, struct effects *out)
{
    struct recovered *known = recovered_at(p, slot);
    int is_known = known->slot == slot;
    if (slot <= p->recovery_chosen && !(is_known && known->is_chosen) &&
        !MUTANT(chosen_slots_not_fetched)) {
        return 0;
    }
    if (!is_known) {
        effects_mark(out, MARK_GAP_IN_RECOVERY);
        /* It keeps the newest time: an acceptor that restarts may know no other stamp. */
        *value = slice_of(value_noop(p->stamp_base_ms));
        return 1;
    }
    *value = known->value;
    *known = (struct recovered){0};
    return 1;
}

/* All that former leaders left is proposed: from here on the log is this leader's. */
static void become_leader(struct proposer *p, time_ms_t now, struct effects *out)
{
    proposer_drop_recovery(p);
    proposer_become(p, NODE_LEADING);
    struct slice lead = slice_of(value_lead(proposer_stamp(p, now), &p->ballot));
    slot_t slot = p->next_slot;
    proposer_propose(p, lead, now, out);
    slice_drop(&lead);
    effects_note(out, NOTE_INFO, "event=leading round=%llu slot=%llu",
                 (unsigned long long)p->ballot.round, (unsigned long long)slot);
    proposer_announce(p, out);
}

void proposer_continue_recovery(struct proposer *p, time_ms_t now, struct effects *out)
{
    if (p->state != NODE_RECOVERING) {
        return;
    }
    while (p->next_slot <= p->recovery_end && !MUTANT(commands_before_recovery)) {
        if (MUTANT(recovery_ends_at_gap) && recovered_at(p, p->next_slot)->slot != p->next_slot &&
            p->next_slot > p->recovery_chosen) {
            break;
        }
        if (!proposer_window_has_room(p)) {
            effects_mark(out, MARK_RECOVERY_WINDOW_FULL);
            return;
        }
        struct slice value;
        if (!take_value(p, p->next_slot, &value, out)) {
            if (p->fetching != 0 && now >= p->fetch_deadline && !MUTANT(recovery_never_given_up)) {
                /* Those that know it as chosen do not answer any more: promises of others show what
                 * was chosen. */
                effects_mark(out, MARK_RECOVERY_GIVEN_UP);
                proposer_step_down(p, "nobody serves a slot that has to be fetched", now, out);
                return;
            }
            if (p->fetching == 0 || now >= p->fetch_retry_at) {
                fetch(p, p->next_slot, now, out);
            }
            return;
        }
        proposer_propose(p, value, now, out);
        slice_drop(&value);
    }
    if (proposer_window_has_room(p)) {
        become_leader(p, now, out);
    }
}
