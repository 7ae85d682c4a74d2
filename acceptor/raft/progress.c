#include "acceptor/raft/state.h"

#include "common/base/mutant.h"

void raft_progress_start(struct raft *r, time_ms_t now)
{
    for (size_t i = 0; i < r->options.members.acceptor_count; i++) {
        /* "initialized to leader last log index + 1" (Fig. 2), the entry of our term among them */
        r->progress[i] =
            (struct progress){.next = r->log.last + 1, .acked = r->log.last, .acked_sent_at = now};
    }
    r->sending_count = 0;
}

/* From now on appends are known to be sent at this time or later. */
static void note_sending(struct raft *r, time_ms_t now)
{
    r->sendings[r->sending_count++ % SENDINGS_REMEMBERED] = (struct sending){r->sequence + 1, now};
}

/* An answer proves that the follower was there after its append was sent, and nothing about the
 * time at which it came: it may have been under way for long. */
void raft_progress_acknowledge(struct raft *r, struct progress *p, uint64_t sequence)
{
    for (size_t i = 0; i < SENDINGS_REMEMBERED && i < r->sending_count; i++) {
        const struct sending *sending = &r->sendings[i];
        if ((sending->sequence <= sequence || MUTANT(raft_ack_dated_by_receipt)) &&
            sending->at > p->acked_sent_at) {
            p->acked_sent_at = sending->at;
        }
    }
}

acceptor_set_t raft_progress_active(const struct raft *r, time_ms_t now)
{
    acceptor_set_t active = (acceptor_set_t)1 << r->self_index;
    for (size_t i = 0; i < r->options.members.acceptor_count; i++) {
        const struct progress *p = &r->progress[i];
        if (now - p->acked_sent_at < r->options.election_ms) {
            active |= (acceptor_set_t)1 << i;
        }
    }
    return active;
}

/* The last entry that may be on its way to a follower now. What left memory is sent page by
 * page. */
static slot_t send_end(const struct raft *r, const struct progress *p)
{
    slot_t end = p->acked + FOLLOWER_ENTRIES_MAX;
    end = end < r->log.last ? end : r->log.last;
    const struct log_slot *next = slot_log_find(&r->log, p->next);
    int is_from_disk = next == NULL || next->value.size == 0;
    if (p->next - 1 > p->acked &&
        (is_from_disk || raft_log_bytes_between(r, p->acked, p->next - 1) >= FOLLOWER_BYTES_MAX)) {
        return p->next - 1;
    }
    return end;
}

/* Fills in an append with entries [next, end], as far as one page goes. Returns the last one. */
static slot_t fill(struct raft *r, struct message *msg, slot_t next, slot_t end,
                   struct effects *out)
{
    struct page page = page_at(next, PAGE_BYTES_TARGET);
    slot_log_read(&r->log, end, end, &page, out);
    msg->append = (struct msg_append){.ballot = r->ballot,
                                      .sequence = ++r->sequence,
                                      .prev_index = next - 1,
                                      .prev_term = raft_log_term(r, next - 1, out),
                                      .commit = r->commit,
                                      .entry_count = page.count,
                                      .entries = page.entries};
    return page.next - 1;
}

static struct peer follower(const struct raft *r, size_t index)
{
    return (struct peer){ROLE_ACCEPTOR, r->options.members.acceptors[index]};
}

static void send_to(struct raft *r, size_t index, struct effects *out)
{
    struct progress *p = &r->progress[index];
    slot_t end;
    while (out->fatal == 0 && p->next <= (end = send_end(r, p))) {
        struct message msg = {0};
        slot_t sent_to = fill(r, &msg, p->next, end, out);
        effects_send(out, SEND_NOW, follower(r, index), MSG_APPEND)->append = msg.append;
        if (sent_to < p->next) {
            return;
        }
        p->next = sent_to + 1;
    }
}

/* The followers get the same bytes when they are equally far, which they nearly always are: one
 * message that is encoded once. 1 if they are. */
static int are_level(const struct raft *r, slot_t *next, slot_t *end)
{
    const struct progress *first = NULL;
    for (size_t i = 0; i < r->options.members.acceptor_count; i++) {
        const struct progress *p = &r->progress[i];
        if ((int)i == r->self_index) {
            continue;
        }
        slot_t own_end = send_end(r, p);
        if (first != NULL && (p->next != first->next || own_end != *end)) {
            return 0;
        }
        first = p;
        *next = p->next;
        *end = own_end;
    }
    return first != NULL;
}

static void send_level(struct raft *r, slot_t next, slot_t end, struct effects *out)
{
    struct message msg = {0};
    slot_t sent_to = fill(r, &msg, next, end, out);
    effects_broadcast(out, SEND_NOW, ROLE_ACCEPTOR, MSG_APPEND)->append = msg.append;
    for (size_t i = 0; i < r->options.members.acceptor_count; i++) {
        r->progress[i].next = sent_to + 1;
    }
}

void raft_progress_send_all(struct raft *r, struct effects *out)
{
    slot_t next;
    slot_t end;
    while (out->fatal == 0 && are_level(r, &next, &end)) {
        if (next > end) {
            return;
        }
        send_level(r, next, end, out);
    }
    for (size_t i = 0; i < r->options.members.acceptor_count; i++) {
        if ((int)i != r->self_index) {
            send_to(r, i, out);
        }
    }
}

/* An append without entries. Behind everything that was sent, so that it finds out what was
 * lost. */
void raft_progress_heartbeat_to(struct raft *r, size_t index, struct effects *out)
{
    struct message msg = {0};
    slot_t next = r->progress[index].next;
    if ((int)index == r->self_index) {
        return;
    }
    (void)fill(r, &msg, next, next - 1, out);
    effects_send(out, SEND_NOW, follower(r, index), MSG_APPEND)->append = msg.append;
}

void raft_progress_heartbeat(struct raft *r, time_ms_t now, struct effects *out)
{
    r->heartbeat_at = now + r->options.heartbeat_ms;
    note_sending(r, now);
    slot_t next;
    slot_t end;
    if (are_level(r, &next, &end)) {
        send_level(r, next, next - 1, out);
    } else {
        for (size_t i = 0; i < r->options.members.acceptor_count; i++) {
            raft_progress_heartbeat_to(r, i, out);
        }
    }
    raft_send_commit(r, out); /* learners that missed one, or that have just come */
}
