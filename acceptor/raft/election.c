/* Who leads next: pre-vote (Ongaro's thesis, 9.6), votes (5.2, 5.4.1), and why who hears a leader
 * does not listen to others (6, last paragraph). */
#include "acceptor/raft/state.h"

#include "common/base/mutant.h"

/* Randomness of a timeout after failed elections doubles up to 2^this quarters of it. */
#define SPREAD_DOUBLINGS_MAX 2

/* How many members should rather lead. */
static uint32_t rank(const struct raft *r)
{
    uint32_t above = 0;
    uint64_t own = raft_weight(r, (size_t)r->self_index);
    for (size_t i = 0; i < r->options.members.acceptor_count; i++) {
        above += !raft_is_barred(r, i) && raft_weight(r, i) > own;
    }
    return above;
}

/* The others of higher rank are let go first: half a timeout for one, a whole for more. Nobody
 * is held back for longer, because who ranks highest may be down. */
static time_ms_t hold_back_ms(const struct raft *r)
{
    uint32_t above = rank(r);
    return above == 0 ? 0 : r->options.election_ms / (above == 1 ? 2 : 1);
}

static time_ms_t spread_ms(struct raft *r)
{
    uint32_t doublings = r->attempts < SPREAD_DOUBLINGS_MAX ? r->attempts : SPREAD_DOUBLINGS_MAX;
    uint64_t range = (uint64_t)(r->options.election_ms / 4) << doublings;
    return (time_ms_t)rng_below(&r->rng, range + 1);
}

void raft_reset_timer(struct raft *r, time_ms_t now)
{
    if (r->term == 0) {
        /* A cluster that never had a leader need not wait for one to be dead. */
        r->election_at = now + r->options.heartbeat_ms + hold_back_ms(r) + spread_ms(r);
        return;
    }
    r->election_at = now + r->options.election_ms + hold_back_ms(r) + spread_ms(r);
}

int raft_hears_leader(const struct raft *r, time_ms_t now)
{
    if (r->role == RAFT_LEADER) {
        return 1; /* it steps down by itself when no quorum answers */
    }
    return !ballot_is_none(&r->leader) && now - r->heard_at < r->options.election_ms;
}

int raft_is_election_quorum(const struct raft *r, acceptor_set_t set)
{
    const struct members *members = &r->options.members;
    return is_prepare_quorum(members, set) &&
           (acceptor_set_count(set) >= majority_of(members->acceptor_count) ||
            MUTANT(raft_prepare_quorum_elects));
}

static void ask_for_votes(struct raft *r, enum vote_mode mode, uint64_t term, struct effects *out)
{
    /* A vote is asked for when the term, and our own vote in it, cannot be forgotten any more. */
    enum send_when when = mode == VOTE_PRE ? SEND_NOW : SEND_AFTER_DURABLE;
    struct message *msg = effects_broadcast(out, when, ROLE_ACCEPTOR, MSG_REQUEST_VOTE);
    msg->request_vote = (struct msg_request_vote){
        .term = term,
        .mode = mode,
        .last_index = r->log.last,
        .last_term = raft_log_term(r, r->log.last, out),
    };
}

void raft_begin_prevote(struct raft *r, time_ms_t now, struct effects *out)
{
    raft_become(r, RAFT_PRECANDIDATE);
    r->leader = BALLOT_NONE;
    r->votes = (acceptor_set_t)1 << r->self_index;
    r->refusals = 0;
    /* It disturbs nobody, so that it may be tried again soon. */
    r->election_at = now + r->options.election_ms / 4 +
                     (time_ms_t)rng_below(&r->rng, (uint64_t)(r->options.election_ms / 4) + 1);
    if (MUTANT(raft_no_prevote)) {
        raft_campaign(r, 0, now, out);
        return;
    }
    ask_for_votes(r, VOTE_PRE, r->term + 1, out);
    raft_maybe_win(r, now, out);
}

void raft_campaign(struct raft *r, int is_transfer, time_ms_t now, struct effects *out)
{
    raft_become(r, RAFT_CANDIDATE);
    const struct ballot vote = {r->term + 1, r->options.id, r->options.incarnation};
    raft_set_term(r, r->term + 1, &vote);
    r->leader = BALLOT_NONE;
    r->votes = 0; /* our own counts when it is durable, as everybody's does */
    r->refusals = 0;
    r->is_transfer = is_transfer;
    r->attempts++;
    r->election_at = now + r->options.election_ms / 2 + spread_ms(r);
    ask_for_votes(r, is_transfer ? VOTE_TRANSFER : VOTE_REAL, r->term, out);
    effects_note(out, NOTE_INFO, "event=campaign term=%llu last=%llu last_term=%llu%s",
                 (unsigned long long)r->term, (unsigned long long)r->log.last,
                 (unsigned long long)raft_log_term(r, r->log.last, out),
                 is_transfer ? " transfer=1" : "");
}

void raft_maybe_win(struct raft *r, time_ms_t now, struct effects *out)
{
    if (!raft_is_election_quorum(r, r->votes) && !MUTANT(raft_one_vote_suffices)) {
        return;
    }
    if (r->role == RAFT_PRECANDIDATE) {
        raft_campaign(r, 0, now, out);
    } else if (r->role == RAFT_CANDIDATE && r->votes != 0) {
        r->attempts = 0;
        raft_lead(r, now, out);
    }
}

/* ---- as a voter */

/* "If votedFor is null or candidateId, and candidate's log is at least as up-to-date as receiver's
 * log, grant vote" (Fig. 2); up-to-date is what 5.4.1 says. */
static int is_up_to_date(const struct raft *r, const struct msg_request_vote *request,
                         struct effects *out)
{
    uint64_t own_term = raft_log_term(r, r->log.last, out);
    if (MUTANT(raft_votes_for_shorter_log)) {
        return request->last_term >= own_term;
    }
    return request->last_term > own_term ||
           (request->last_term == own_term && request->last_index >= r->log.last);
}

static void answer(const struct raft *r, const struct message *msg, int is_granted,
                   struct effects *out)
{
    enum send_when when = MUTANT(raft_vote_before_sync) ? SEND_NOW : SEND_AFTER_DURABLE;
    struct message *reply = effects_reply(out, when, msg, MSG_VOTE);
    reply->vote = (struct msg_vote){.term = r->term,
                                    .asked_term = msg->request_vote.term,
                                    .mode = msg->request_vote.mode,
                                    .granted = (uint32_t)is_granted};
}

static void on_prevote(struct raft *r, const struct event *event, struct effects *out)
{
    const struct msg_request_vote *request = &event->msg->request_vote;
    int is_granted = request->term > r->term &&
                     (is_up_to_date(r, request, out) || MUTANT(raft_prevote_ignores_log)) &&
                     !raft_hears_leader(r, event->now);
    if (!is_granted && raft_hears_leader(r, event->now)) {
        effects_mark(out, MARK_RAFT_PREVOTE_REFUSED_BY_LEADER);
    }
    /* A refusal carries our term: who is behind in terms could otherwise be refused for ever
     * (raft-rs #84, TRAPS 7.11). */
    answer(r, event->msg, is_granted, out);
}

void raft_on_request_vote(struct raft *r, const struct event *event, struct effects *out)
{
    const struct message *msg = event->msg;
    const struct msg_request_vote *request = &msg->request_vote;
    if (members_acceptor_index(&r->options.members, msg->from.id) < 0) {
        return;
    }
    if (request->mode == VOTE_PRE) {
        on_prevote(r, event, out);
        return;
    }
    if (request->term > r->term) {
        if (request->mode == VOTE_REAL && raft_hears_leader(r, event->now) &&
            !MUTANT(raft_no_stickiness)) {
            effects_mark(out, MARK_RAFT_VOTE_REFUSED_BY_LEADER);
            answer(r, msg, 0, out);
            return;
        }
        raft_enter_term(r, request->term, event->now, out);
    }
    /* "first-come-first-served" (5.2): one vote a term, and the same again for a copy of the
     * request */
    int has_voted = r->vote.round == r->term && !MUTANT(raft_votes_twice);
    int is_same = r->vote.round == r->term && r->vote.proposer == msg->from.id &&
                  r->vote.incarnation == msg->incarnation;
    int is_fit = request->term == r->term && is_up_to_date(r, request, out);
    int may_vote = r->role == RAFT_FOLLOWER || r->role == RAFT_PRECANDIDATE;
    int is_granted = is_fit && may_vote && (!has_voted || is_same);
    if (is_fit && has_voted && !is_same) {
        effects_mark(out, MARK_RAFT_VOTED_ALREADY);
    } else if (request->term == r->term && !is_fit) {
        effects_mark(out, MARK_RAFT_CANDIDATE_BEHIND);
    }
    if (is_granted && !is_same) {
        const struct ballot vote = {r->term, (node_id_t)msg->from.id, msg->incarnation};
        raft_set_term(r, r->term, &vote);
        raft_become(r, RAFT_FOLLOWER); /* not to campaign against the candidate it voted for */
        raft_reset_timer(r, event->now);
        effects_note(out, NOTE_INFO, "event=voted term=%llu candidate=%llu",
                     (unsigned long long)r->term, (unsigned long long)msg->from.id);
    }
    answer(r, msg, is_granted, out);
}

/* ---- as a candidate */

void raft_on_vote(struct raft *r, const struct event *event, struct effects *out)
{
    const struct msg_vote *vote = &event->msg->vote;
    int index = members_acceptor_index(&r->options.members, event->msg->from.id);
    if (index < 0) {
        return;
    }
    if (vote->term > r->term) {
        effects_mark(out, MARK_RAFT_HIGHER_TERM);
        raft_enter_term(r, vote->term, event->now, out);
        return;
    }
    int is_pre =
        r->role == RAFT_PRECANDIDATE && vote->mode == VOTE_PRE && vote->asked_term == r->term + 1;
    int is_real = r->role == RAFT_CANDIDATE && vote->mode != VOTE_PRE &&
                  (vote->asked_term == r->term || MUTANT(raft_vote_of_other_term_counted));
    if (!is_pre && !is_real) {
        effects_mark(out, MARK_RAFT_VOTE_LATE);
        return;
    }
    acceptor_set_t bit = (acceptor_set_t)1 << index; /* by identity: twice counts once */
    if (((r->votes | r->refusals) & bit) != 0) {
        effects_mark(out, MARK_RAFT_VOTE_TWICE);
        if (MUTANT(raft_vote_counted_twice)) {
            bit = ~r->votes & (r->votes + 1);
        }
    }
    if (!vote->granted) {
        r->refusals |= bit;
        return;
    }
    r->votes |= bit;
    raft_maybe_win(r, event->now, out);
}

void raft_tick_election(struct raft *r, time_ms_t now, struct effects *out)
{
    if (r->role == RAFT_LEADER || now < r->election_at || r->is_stopping) {
        return;
    }
    if (r->role == RAFT_CANDIDATE) {
        effects_mark(out, MARK_RAFT_ELECTION_TIMED_OUT);
    }
    if (raft_is_barred(r, (size_t)r->self_index)) {
        effects_mark(out, MARK_RAFT_BARRED);
        raft_follow(r, &BALLOT_NONE, "must not lead", now, out);
        raft_reset_timer(r, now);
        return;
    }
    raft_begin_prevote(r, now, out);
}
