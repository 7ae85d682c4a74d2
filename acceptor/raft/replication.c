/* AppendEntries on both sides (5.3), and what is committed by it (5.4.2). */
#include "acceptor/raft/state.h"

#include "common/base/mutant.h"

/* ---- as a follower */

static void refuse(struct raft *r, const struct message *msg, slot_t hint, uint64_t hint_term,
                   struct effects *out)
{
    struct message *reply = effects_reply(out, SEND_AFTER_DURABLE, msg, MSG_APPENDED);
    reply->appended = (struct msg_appended){.ballot = msg->append.ballot,
                                            .term = r->term,
                                            .sequence = msg->append.sequence,
                                            .conflict = 1,
                                            .match = hint,
                                            .hint_term = hint_term,
                                            .last_index = r->log.last};
}

void raft_flush_acknowledgement(struct raft *r, struct effects *out)
{
    struct acknowledgement *ack = &r->ack;
    if (!ack->is_open) {
        return;
    }
    enum send_when when = MUTANT(raft_appended_before_sync) ? SEND_NOW : SEND_AFTER_DURABLE;
    struct message *msg = effects_send(out, when, ack->to, MSG_APPENDED);
    msg->echo = ack->echo;
    msg->appended = (struct msg_appended){.ballot = ack->ballot,
                                          .term = r->term,
                                          .sequence = ack->sequence,
                                          .match = ack->match,
                                          .last_index = r->log.last};
    ack->is_open = 0;
}

/* One answer covers the appends of a turn: the group commit of the disk becomes one of the
 * network. */
static void acknowledge(struct raft *r, const struct message *msg, slot_t match)
{
    const struct msg_append *append = &msg->append;
    struct acknowledgement *ack = &r->ack;
    CHECK(match <= r->verified);
    CHECK(!ack->is_open || ballot_equal(&ack->ballot, &append->ballot));
    if (!ack->is_open || append->sequence > ack->sequence) {
        ack->sequence = append->sequence;
    }
    ack->match = ack->is_open && ack->match > match ? ack->match : match;
    ack->is_open = 1;
    ack->to = msg->from;
    ack->echo = msg->incarnation;
    ack->ballot = append->ballot;
}

/* "If an existing entry conflicts with a new one (same index but different terms), delete the
 * existing entry and all that follow it. Append any new entries not already in the log" (Fig. 2). A
 * copy of an older append finds no conflict and deletes nothing. Returns how far the log is the
 * leader's now. */
static slot_t take_entries(struct raft *r, const struct msg_append *append, struct effects *out)
{
    slot_t match = append->prev_index;
    for (uint32_t i = 0; i < append->entry_count && out->fatal == 0; i++) {
        const struct slot_entry *entry = &append->entries[i];
        CHECK(entry->slot == match + 1); /* the wire let no other through */
        if (entry->slot <= r->log.last) {
            if (raft_log_term(r, entry->slot, out) == entry->ballot.round &&
                !MUTANT(raft_truncates_always)) {
                effects_mark(out, MARK_RAFT_ENTRY_TWICE);
                match = entry->slot;
                continue;
            }
            if (entry->slot <= r->commit) {
                effects_fatal(out, ERROR_INTERNAL,
                              "entry %llu is committed, and leader %u has another one there",
                              (unsigned long long)entry->slot, append->ballot.proposer);
                break;
            }
            if (!MUTANT(raft_conflict_not_truncated)) {
                raft_log_truncate(r, entry->slot, out);
            } else {
                match = entry->slot;
                continue;
            }
        }
        if (!raft_log_has_room(r)) {
            effects_mark(out, MARK_RAFT_TURN_FULL);
            break; /* the leader finds out what was not taken */
        }
        raft_log_append(r, &entry->ballot, entry->value, out);
        match = entry->slot;
    }
    return match;
}

static void note_leader(struct raft *r, const struct event *event, struct effects *out)
{
    const struct msg_append *append = &event->msg->append;
    if (r->role != RAFT_FOLLOWER || !ballot_equal(&r->leader, &append->ballot)) {
        raft_follow(r, &append->ballot, "another leader", event->now, out);
    }
    if (append->sequence <= r->heard_sequence) {
        effects_mark(out, MARK_RAFT_APPEND_LATE);
        return; /* a late copy proves no life */
    }
    r->heard_sequence = append->sequence;
    r->heard_at = event->now;
    raft_reset_timer(r, event->now);
}

/* Where the logs differ, and from where on the leader should look: behind the last entry here whose
 * term is not above the one that it expected (5.3, last paragraph). */
static void refuse_conflict(struct raft *r, const struct message *msg, struct effects *out)
{
    const struct msg_append *append = &msg->append;
    slot_t from = append->prev_index < r->log.last ? append->prev_index : r->log.last;
    slot_t hint = from;
    if (append->prev_index <= r->log.last) {
        hint = raft_log_last_with_term(r, from, append->prev_term);
        hint -= hint == append->prev_index && hint > 0; /* of a lower term, and not the leader's */
    }
    effects_mark(out, append->prev_index > r->log.last ? MARK_RAFT_APPEND_BEHIND_GAP
                                                       : MARK_RAFT_APPEND_CONFLICTS);
    refuse(r, msg, hint, raft_log_term(r, hint, out), out);
}

void raft_on_append(struct raft *r, const struct event *event, struct effects *out)
{
    const struct message *msg = event->msg;
    const struct msg_append *append = &msg->append;
    if (members_acceptor_index(&r->options.members, msg->from.id) < 0 ||
        msg->incarnation != append->ballot.incarnation || msg->from.id == r->options.id) {
        return; /* only the process that was elected leads */
    }
    if (append->ballot.round < r->term) {
        effects_mark(out, MARK_RAFT_APPEND_OF_DEPOSED);
        refuse(r, msg, 0, 0, out); /* with our term, so that it steps down */
        return;
    }
    if (append->ballot.round > r->term) {
        raft_enter_term(r, append->ballot.round, event->now, out);
    }
    if (r->role == RAFT_LEADER ||
        (!ballot_is_none(&r->leader) && !ballot_equal(&r->leader, &append->ballot))) {
        effects_fatal(out, ERROR_INTERNAL, "acceptors %u and %u both lead in term %llu",
                      r->leader.proposer, append->ballot.proposer, (unsigned long long)r->term);
        return;
    }
    note_leader(r, event, out);
    if (append->prev_index > r->log.last ||
        (raft_log_term(r, append->prev_index, out) != append->prev_term &&
         !MUTANT(raft_prev_term_ignored))) {
        refuse_conflict(r, msg, out);
        return;
    }
    slot_t match = take_entries(r, append, out);
    if (out->fatal != 0) {
        return;
    }
    r->verified = match > r->verified ? match : r->verified;
    /* "min(leaderCommit, index of last new entry)" (Fig. 2): what lies behind the verified part may
     * be another leader's (TRAPS 7.10). */
    slot_t bound = MUTANT(raft_commits_beyond_match) ? r->log.last : r->verified;
    slot_t commit = append->commit < bound ? append->commit : bound;
    if (commit > r->commit) {
        raft_raise_commit(r, commit);
    }
    acknowledge(r, msg, MUTANT(raft_acknowledges_all_it_has) ? r->log.last : match);
}

/* ---- as the leader */

/* Sends from another place on. What is under way to there is void. */
static void restart_stream(struct raft *r, struct progress *p, slot_t behind)
{
    p->next = behind + 1;
    p->acked = behind;
    p->restart_sequence = r->sequence + 1;
}

static void on_conflict(struct raft *r, int index, const struct msg_appended *appended,
                        struct effects *out)
{
    struct progress *p = &r->progress[index];
    if (appended->sequence < p->restart_sequence) {
        return; /* the stream was set back already, for this or for an earlier one */
    }
    if (appended->last_index < p->match) {
        /* Said before it acknowledged more; or else it lost what it had acknowledged, and
         * sending that again would have it counted again (TRAPS 7.5). */
        effects_mark(out, MARK_RAFT_CONFLICT_LATE);
        return;
    }
    effects_mark(out, MARK_RAFT_STREAM_RESTARTED);
    slot_t behind = appended->match < r->log.last ? appended->match : r->log.last;
    behind = raft_log_last_with_term(r, behind, appended->hint_term);
    restart_stream(r, p, behind > p->match ? behind : p->match);
}

void raft_on_appended(struct raft *r, const struct event *event, struct effects *out)
{
    const struct msg_appended *appended = &event->msg->appended;
    int index = members_acceptor_index(&r->options.members, event->msg->from.id);
    if (index < 0 || index == r->self_index) {
        return;
    }
    if (appended->term > r->term) {
        effects_mark(out, MARK_RAFT_HIGHER_TERM);
        raft_enter_term(r, appended->term, event->now, out);
        return;
    }
    struct progress *p = &r->progress[index];
    int is_of_term =
        ballot_equal(&appended->ballot, &r->ballot) || MUTANT(raft_ack_of_other_term_counted);
    if (r->role != RAFT_LEADER || !is_of_term) {
        effects_mark(out, MARK_RAFT_APPENDED_LATE);
        return; /* of an earlier term: the entry at that index may have been another one */
    }
    raft_progress_acknowledge(r, p, appended->sequence);
    if (appended->conflict) {
        on_conflict(r, index, appended, out);
        return;
    }
    slot_t match = appended->match < r->log.last ? appended->match : r->log.last;
    p->match = match > p->match ? match : p->match;
    p->acked = match > p->acked ? match : p->acked;
    p->next = match >= p->next ? match + 1 : p->next;
}

/* How far the log is on the disk of a member, this node's own among them (thesis, 10.2.1). */
static slot_t match_of(const struct raft *r, size_t index)
{
    if ((int)index != r->self_index) {
        return r->progress[index].match;
    }
    return MUTANT(raft_leader_counts_before_sync) ? r->log.last : r->log.settled;
}

/* The highest index that an accept quorum has. */
static slot_t quorum_match(const struct raft *r)
{
    const struct members *members = &r->options.members;
    slot_t best = 0;
    for (size_t i = 0; i < members->acceptor_count; i++) {
        slot_t match = match_of(r, i);
        acceptor_set_t have = 0;
        for (size_t k = 0; k < members->acceptor_count; k++) {
            have |= (acceptor_set_t)(match_of(r, k) >= match) << k;
        }
        if ((is_accept_quorum(members, have) || MUTANT(raft_minority_commits)) && match > best) {
            best = match;
        }
    }
    return best;
}

void raft_maybe_commit(struct raft *r, struct effects *out)
{
    slot_t match = quorum_match(r);
    if (match <= r->commit) {
        return;
    }
    if (match < r->lead_index) {
        effects_mark(out, MARK_RAFT_OLD_TERM_NOT_COUNTED);
        if (!MUTANT(raft_commits_old_term)) {
            return;
        }
    }
    raft_raise_commit(r, match);
}
