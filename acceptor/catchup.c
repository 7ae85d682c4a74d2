#include "acceptor/state.h"

#include "common/base/mutant.h"

void acceptor_on_fetch(struct acceptor *a, const struct message *msg, struct effects *out)
{
    const struct msg_fetch *fetch = &msg->fetch;
    if (fetch->from > a->chosen) {
        effects_mark(out, MARK_FETCH_BEYOND_CHOSEN);
        if (MUTANT(fetch_beyond_chosen_unanswered)) {
            return;
        }
    }
    struct page page = page_at(fetch->from, fetch->bytes_max);
    acceptor_read_chosen(a, &page, out);
    if (page.next <= a->chosen) {
        effects_mark(out, MARK_PAGE_FULL);
    }
    struct message *reply = effects_reply(out, SEND_NOW, msg, MSG_CHOSEN);
    reply->chosen = (struct msg_chosen){.from = fetch->from,
                                        .chosen = a->chosen,
                                        .trimmed = MUTANT(chosen_called_trimmed) ? a->chosen : 0,
                                        .entry_count = page.count,
                                        .entries = page.entries};
}

/* The acceptor to ask after `last`, in turn; 0 if there is no other. */
static node_id_t next_source(const struct acceptor *a, node_id_t last)
{
    const struct members *members = &a->options.members;
    int index = members_acceptor_index(members, last);
    for (size_t i = 0; i < members->acceptor_count; i++) {
        index = (index + 1) % (int)members->acceptor_count;
        if (index != a->self_index) {
            return members->acceptors[index];
        }
    }
    return 0;
}

static void send_fetch(struct acceptor *a, time_ms_t now, struct effects *out)
{
    struct peer source = {ROLE_ACCEPTOR, a->repair.source};
    struct message *msg = effects_send(out, SEND_NOW, source, MSG_FETCH);
    msg->fetch = (struct msg_fetch){.from = a->chosen + 1, .bytes_max = PAGE_BYTES_TARGET};
    a->repair.retry_at = now + 2 * a->options.heartbeat_ms;
}

void acceptor_maybe_repair(struct acceptor *a, time_ms_t now, struct effects *out)
{
    if (a->repair.target <= a->chosen || now < a->repair.retry_at) {
        return;
    }
    node_id_t source = next_source(a, a->repair.source);
    if (source == 0) {
        return; /* the only acceptor: whatever it lacks, nobody has */
    }
    if (a->repair.source != 0) {
        effects_mark(out, MARK_REPAIR_ELSEWHERE);
    }
    if (a->repair.source == 0 || !MUTANT(repair_asks_one_acceptor)) {
        a->repair.source = source;
    }
    send_fetch(a, now, out);
}

void acceptor_on_repair(struct acceptor *a, const struct event *event, struct effects *out)
{
    const struct msg_repair *repair = &event->msg->repair;
    if (ballot_compare(&repair->ballot, &a->promised) < 0 || repair->target <= a->chosen ||
        repair->source == a->options.id ||
        members_acceptor_index(&a->options.members, repair->source) < 0) {
        return; /* a hint that came too late, or that does not help; nobody waits for an answer */
    }
    int is_under_way = a->repair.target > a->chosen && a->repair.source != 0;
    if (repair->target > a->repair.target) {
        a->repair.target = repair->target;
    }
    if (is_under_way) {
        return; /* a fetch waits for its answer; without one the next source is asked */
    }
    effects_mark(out, MARK_REPAIR_ORDERED);
    a->repair.source = repair->source;
    send_fetch(a, event->now, out);
}

/* Takes a slot that a peer has chosen, unless it is known here, and raises *highest to its
 * ballot. */
static void adopt(struct acceptor *a, const struct slot_entry *entry, struct ballot *highest,
                  struct effects *out)
{
    struct log_slot *known = acceptor_find(a, entry->slot);
    if (entry->slot <= a->chosen || entry->slot > a->chosen + ACCEPTOR_AHEAD_SLOTS_MAX ||
        (known != NULL && (known->flags & ACCEPTED_CHOSEN) != 0)) {
        return;
    }
    if (known == NULL || ballot_compare(&known->ballot, &entry->ballot) < 0) {
        if (known != NULL) {
            effects_mark(out, MARK_REPAIR_REPLACES_VOTE);
        }
        /* Not a vote, so nothing rests on its being durable. That it replaces a vote at a lower
         * ballot is safe: above the ballot that chose it there is no other value for this slot. */
        acceptor_store_accepted(a, RECORD_LAZY, entry->slot, &entry->ballot, entry->value, out);
    }
    acceptor_find(a, entry->slot)->flags |=
        ACCEPTED_CHOSEN; /* a vote at that ballot or above is for it */
    acceptor_advance(a);
    if (ballot_compare(&entry->ballot, highest) > 0 && !MUTANT(chosen_slot_voted_again)) {
        effects_mark(out, MARK_REPAIR_RAISES_PROMISE);
        *highest = entry->ballot;
    }
}

void acceptor_on_chosen(struct acceptor *a, const struct event *event, struct effects *out)
{
    const struct msg_chosen *chosen = &event->msg->chosen;
    if (event->msg->from.role != ROLE_ACCEPTOR) {
        return;
    }
    slot_t before = a->chosen;
    slot_t served_to = 0;
    struct ballot highest = a->promised;
    for (uint32_t i = 0; i < chosen->entry_count; i++) {
        adopt(a, &chosen->entries[i], &highest, out);
        served_to = chosen->entries[i].slot;
    }
    if (ballot_compare(&highest, &a->promised) > 0) {
        /* A quorum has gone on to that ballot: the leader of a lower one is deposed, and what it
         * still has under way for these slots may be other values. */
        acceptor_raise_promise(a, &highest, out);
    }
    if (a->chosen == before) {
        effects_mark(out, MARK_REPAIR_LATE);
        return; /* nothing new: the timer asks the next one */
    }
    effects_mark(out, MARK_HOLE_REPAIRED);
    effects_note(out, NOTE_INFO, "event=repaired from=%llu to=%llu source=%llu target=%llu",
                 (unsigned long long)before + 1, (unsigned long long)a->chosen,
                 (unsigned long long)event->msg->from.id, (unsigned long long)a->repair.target);
    if (a->chosen < a->repair.target) {
        node_id_t source = (node_id_t)event->msg->from.id;
        /* What it passed over it does not have. */
        a->repair.source = served_to > a->chosen ? next_source(a, source) : source;
        send_fetch(a, event->now, out);
    }
}
