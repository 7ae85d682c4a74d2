#include "acceptor/raft/raft.h"

#include "acceptor/raft/state.h"
#include "common/base/memory.h"
#include "common/base/mutant.h"
#include "common/protocol/value.h"

#include <stdlib.h>
#include <string.h>

struct raft *raft_new(const struct raft_options *options)
{
    struct raft *r = memory_calloc(1, sizeof *r);
    CHECK(options->incarnation != 0);
    CHECK(members_quorums_intersect(&options->members));
    r->options = *options;
    raft_take_settings(r, &options->settings);
    r->self_index = members_acceptor_index(&options->members, options->id);
    CHECK(r->self_index >= 0);
    rng_init(&r->rng, options->seed);
    raft_log_open(r);
    return r;
}

void raft_free(struct raft *r)
{
    if (r == NULL) {
        return;
    }
    raft_free_handed(r);
    slot_log_close(&r->log);
    free(r);
}

/* ---- terms */

void raft_set_term(struct raft *r, uint64_t term, const struct ballot *vote)
{
    CHECK(term >= r->term);
    CHECK(vote->round <= term);
    CHECK(term > r->term || r->vote.round < term);
    r->term = term;
    r->vote = *vote;
    r->is_term_unsaved = 1;
}

void raft_become(struct raft *r, enum raft_role role)
{
    CHECK(role != RAFT_PRECANDIDATE || r->role != RAFT_LEADER);
    CHECK(role != RAFT_CANDIDATE || r->role != RAFT_LEADER);
    CHECK(role != RAFT_LEADER || r->role == RAFT_CANDIDATE);
    r->role = role;
}

void raft_raise_commit(struct raft *r, slot_t commit)
{
    CHECK(commit > r->commit);
    CHECK(commit <= r->log.last);
    r->commit = commit;
}

void raft_follow(struct raft *r, const struct ballot *leader, const char *reason, time_ms_t now,
                 struct effects *out)
{
    int was_leader = r->role == RAFT_LEADER;
    if (MUTANT(raft_vote_cleared_on_step_down) && r->role != RAFT_FOLLOWER) {
        r->vote = BALLOT_NONE;
    }
    raft_become(r, RAFT_FOLLOWER);
    r->leader = *leader;
    r->transfer_to = 0;
    if (was_leader) {
        effects_note(out, NOTE_INFO, "event=stepped_down term=%llu reason=\"%s\"",
                     (unsigned long long)r->ballot.round, reason);
        raft_tell_learners(r, out); /* what is committed stays committed */
        raft_drop_handed(r, out);
        raft_reset_timer(r, now);
    }
    r->heard_sequence = 0;
    if (!MUTANT(raft_verified_for_former_leader)) {
        r->verified = 0;
    }
    if (!MUTANT(raft_ack_of_former_leader_kept)) {
        r->ack.is_open = 0; /* nobody waits for what was not sent to the new leader */
    }
    if (!ballot_is_none(leader)) {
        CHECK(leader->round == r->term);
        r->known = *leader;
        r->attempts = 0;
        effects_note(out, NOTE_INFO, "event=following term=%llu leader=%u",
                     (unsigned long long)r->term, leader->proposer);
    }
}

void raft_enter_term(struct raft *r, uint64_t term, time_ms_t now, struct effects *out)
{
    CHECK(term > r->term);
    raft_set_term(r, term, &r->vote); /* the vote of an earlier term stays, and counts no more */
    raft_follow(r, &BALLOT_NONE, "a higher term", now, out);
}

void raft_lead(struct raft *r, time_ms_t now, struct effects *out)
{
    CHECK(r->vote.round == r->term && r->vote.proposer == r->options.id);
    raft_become(r, RAFT_LEADER);
    r->ballot = (struct ballot){r->term, r->options.id, r->options.incarnation};
    r->leader = r->ballot;
    r->known = r->ballot;
    r->verified = 0;
    r->ack.is_open = 0;
    r->lead_since = now;
    r->stamp_base_ms = r->log.stamp_ms;
    r->told = r->commit;
    r->streamed = r->log.last;
    r->heartbeat_at = now + r->options.heartbeat_ms; /* the entry of our term is the first */
    memset(r->streams, 0, sizeof r->streams);
    raft_progress_start(r, now);
    r->lead_index = r->log.last + 1;
    if (!MUTANT(raft_no_entry_at_term_start)) {
        /* Without an entry of its own term a leader could not commit those of earlier ones (8,
         * first paragraph; 5.4.2), and a read would wait until somebody writes. */
        struct slice lead = slice_of(value_lead(raft_stamp(r, now), &r->ballot));
        raft_log_append(r, &r->ballot, lead, out);
        slice_drop(&lead);
    }
    struct message *msg = effects_broadcast(out, SEND_NOW, ROLE_PROPOSER, MSG_LEADING);
    msg->leading = (struct msg_leading){r->ballot};
    effects_note(out, NOTE_INFO, "event=became_leader term=%llu last=%llu commit=%llu",
                 (unsigned long long)r->term, (unsigned long long)r->log.last,
                 (unsigned long long)r->commit);
}

/* ---- events */

static void on_start(struct raft *r, time_ms_t now, struct effects *out)
{
    raft_log_load(r, out);
    if (out->fatal != 0) {
        return;
    }
    raft_reset_timer(r, now);
    effects_note(out, NOTE_INFO, "event=loaded term=%llu vote=%u commit=%llu last=%llu",
                 (unsigned long long)r->term, raft_voted_for(r), (unsigned long long)r->commit,
                 (unsigned long long)r->log.last);
}

static void on_acceptor(struct raft *r, const struct event *event, struct effects *out)
{
    switch (event->msg->kind) {
    case MSG_REQUEST_VOTE:
        raft_on_request_vote(r, event, out);
        break;
    case MSG_VOTE:
        raft_on_vote(r, event, out);
        break;
    case MSG_APPEND:
        raft_on_append(r, event, out);
        break;
    case MSG_APPENDED:
        raft_on_appended(r, event, out);
        break;
    case MSG_TIMEOUT_NOW:
        raft_on_timeout_now(r, event, out);
        break;
    default:
        effects_unexpected(out, event->msg);
        break;
    }
}

static void on_message(struct raft *r, const struct event *event, struct effects *out)
{
    switch (event->msg->kind) {
    case MSG_PROPOSE:
        raft_on_propose(r, event, out);
        break;
    case MSG_HEARTBEAT:
        raft_on_heartbeat(r, event, out);
        break;
    case MSG_PROGRESS:
        raft_on_progress(r, event, out);
        break;
    case MSG_FETCH:
        raft_on_fetch(r, event->msg, out);
        break;
    case MSG_READ_INDEX:
        raft_on_read_index(r, event, out);
        break;
    case MSG_SETTINGS:
        raft_on_settings(r, event, out);
        break;
    case MSG_TRANSFER:
        raft_on_transfer(r, event, out);
        break;
    default:
        on_acceptor(r, event, out);
        break;
    }
}

static void tick_leader(struct raft *r, time_ms_t now, struct effects *out)
{
    acceptor_set_t active = raft_progress_active(r, now);
    int has_quorum = is_accept_quorum(&r->options.members, active) &&
                     acceptor_set_count(active) >= majority_of(r->options.members.acceptor_count);
    if (now >= r->lead_since + r->options.election_ms && !has_quorum &&
        !MUTANT(raft_no_check_quorum)) {
        effects_mark(out, MARK_RAFT_STEP_DOWN_BY_SILENCE);
        raft_follow(r, &BALLOT_NONE, "no quorum of acceptors answers", now, out);
        return;
    }
    if (now >= r->heartbeat_at) {
        raft_progress_heartbeat(r, now, out);
        raft_maybe_yield(r, now, out);
    }
}

static void on_tick(struct raft *r, time_ms_t now, struct effects *out)
{
    if (r->role == RAFT_LEADER) {
        tick_leader(r, now, out);
    }
    raft_tick_election(r, now, out);
}

static void on_flush(struct raft *r, time_ms_t now, struct effects *out)
{
    raft_maybe_win(r, now, out); /* with our own vote, which became durable in the last turn */
    if (r->role == RAFT_LEADER) {
        raft_maybe_commit(r, out);
        raft_form_batches(r, now, out);
        raft_tell_time(r, now, out);
        raft_progress_send_all(r, out);
        raft_tell_learners(r, out);
    }
    raft_transfer_work(r, now, out);
    raft_flush_acknowledgement(r, out);
    raft_log_save_term(r, out);
    if (r->commit_stored != r->commit && out->record_count > 0) {
        raft_log_store_commit(r, out);
    }
    effects_wake(out, r->role == RAFT_LEADER ? r->heartbeat_at : r->election_at);
}

/* Our own disk is one of the quorum, like those of the followers, and worked at the same time. */
static void on_written(struct raft *r, time_ms_t now, struct effects *out)
{
    raft_log_written(r, out);
    if (r->role == RAFT_CANDIDATE && r->vote.round == r->term &&
        r->vote.proposer == r->options.id) {
        r->votes |= (acceptor_set_t)1 << r->self_index;
        if (raft_is_election_quorum(r, r->votes)) {
            effects_wake(out, now);
        }
    }
    if (r->role == RAFT_LEADER) {
        slot_t before = r->commit;
        raft_maybe_commit(r, out);
        raft_tell_learners(r, out);
        if (r->commit != before && (r->handed_count > 0 || r->is_stopping)) {
            effects_wake(out, now); /* there is room again */
        }
    }
}

static void on_shutdown(struct raft *r, time_ms_t now, struct effects *out)
{
    r->is_stopping = 1;
    if (r->role == RAFT_LEADER) {
        raft_transfer_begin(r, 0, now, out);
    }
}

static void on_peer_up(struct raft *r, struct peer peer, struct effects *out)
{
    int index = members_acceptor_index(&r->options.members, peer.id);
    if (r->role != RAFT_LEADER) {
        return;
    }
    if (peer.role == ROLE_ACCEPTOR && index >= 0) {
        raft_progress_heartbeat_to(r, (size_t)index, out); /* what it lacks shows at once */
    } else if (peer.role == ROLE_PROPOSER) {
        struct message *msg = effects_send(out, SEND_NOW, peer, MSG_LEADING);
        msg->leading = (struct msg_leading){r->ballot};
    }
}

void raft_step(struct raft *r, const struct event *event, struct effects *out)
{
    r->disk_low = event->disk_low;
    switch (event->kind) {
    case EVENT_START:
        on_start(r, event->now, out);
        break;
    case EVENT_MESSAGE:
        on_message(r, event, out);
        break;
    case EVENT_TICK:
        on_tick(r, event->now, out);
        break;
    case EVENT_FLUSH:
        on_flush(r, event->now, out);
        break;
    case EVENT_WRITTEN:
        on_written(r, event->now, out);
        break;
    case EVENT_PEER_UP:
        on_peer_up(r, event->peer, out);
        break;
    case EVENT_PEER_DOWN:
        break;
    case EVENT_SHUTDOWN:
        on_shutdown(r, event->now, out);
        break;
    }
    if (out->fatal == 0) {
        raft_check(r);
    }
}

/* What a leader knows of the others lies within its own log (Fig. 2). */
static void check_leading(const struct raft *r)
{
    CHECK(r->ballot.round == r->term);
    CHECK(ballot_equal(&r->leader, &r->ballot));
    CHECK(r->vote.proposer == r->options.id);
    CHECK(r->told <= r->commit);
    CHECK(r->streamed <= r->log.last);
    for (size_t i = 0; i < r->options.members.acceptor_count; i++) {
        const struct progress *p = &r->progress[i];
        CHECK(p->match < p->next);
        CHECK(p->next <= r->log.last + 1);
        CHECK(p->match <= p->acked);
    }
}

void raft_check(const struct raft *r)
{
    slot_log_check(&r->log);
    CHECK(r->commit_stored <= r->commit);
    CHECK(r->commit <= r->log.last);
    CHECK(r->verified <= r->log.last);
    CHECK(r->vote.round <= r->term);
    CHECK(ballot_is_none(&r->leader) || r->leader.round == r->term);
    CHECK(!r->ack.is_open || r->ack.match <= r->log.last);
    CHECK(r->handed_count <= r->handed_capacity);
    if (r->role == RAFT_LEADER) {
        check_leading(r);
    }
}

static void step(void *self, const struct event *event, struct effects *out)
{
    raft_step(self, event, out);
}

struct core raft_core(struct raft *r)
{
    return (struct core){r, step};
}

enum raft_role raft_role(const struct raft *r)
{
    return r->role;
}

uint64_t raft_term(const struct raft *r)
{
    return r->term;
}

node_id_t raft_voted_for(const struct raft *r)
{
    return r->vote.round == r->term ? r->vote.proposer : 0;
}

slot_t raft_commit(const struct raft *r)
{
    return r->commit;
}

slot_t raft_last(const struct raft *r)
{
    return r->log.last;
}

struct ballot raft_ballot(const struct raft *r)
{
    return r->ballot;
}

slot_t raft_match(const struct raft *r, size_t acceptor)
{
    CHECK(acceptor < r->options.members.acceptor_count);
    return r->role == RAFT_LEADER ? r->progress[acceptor].match : 0;
}

int raft_entry(const struct raft *r, slot_t index, uint64_t *term, struct slice *value)
{
    const struct log_slot *entry = slot_log_find(&r->log, index);
    if (entry == NULL || entry->value.size == 0) {
        return 0;
    }
    *term = entry->ballot.round;
    *value = entry->value;
    return 1;
}
