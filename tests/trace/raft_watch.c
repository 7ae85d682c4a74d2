#include "tests/trace/raft_watch.h"

#include <inttypes.h>

static node_id_t name(const struct checker *checker, const struct raft_step *step)
{
    return checker->members->acceptors[step->acceptor];
}

/* The message of the step if it is one of that kind from another acceptor, else NULL. */
static const struct message *taken(const struct checker *checker, const struct raft_step *step,
                                   enum message_kind kind)
{
    const struct event *event = step->event;
    if (event->kind != EVENT_MESSAGE || event->msg->kind != kind ||
        event->msg->from.role != ROLE_ACCEPTOR) {
        return NULL;
    }
    int index = members_acceptor_index(checker->members, event->msg->from.id);
    return index < 0 || index == step->acceptor ? NULL : event->msg;
}

/* The term of an entry of the node's log as it is after the step. What is not in memory any more is
 * on the disk. */
static uint64_t term_at(const struct checker *checker, const struct raft_step *step, slot_t index)
{
    uint64_t term;
    struct slice value;
    if (index == 0 || index > raft_last(step->raft)) {
        return 0;
    }
    return raft_entry(step->raft, index, &term, &value)
               ? term
               : raft_rules_durable_term(checker->raft, step->acceptor, index);
}

/* 1 if the node leads, and led before the step by the same election. */
static int still_leads(const struct raft_step *step)
{
    struct ballot ballot = raft_ballot(step->raft);
    return step->before.role == RAFT_LEADER && raft_role(step->raft) == RAFT_LEADER &&
           ballot_equal(&step->before.ballot, &ballot);
}

/* ---- votes */

/* "Each server will vote for at most one candidate in a given term" (5.2): what is forgotten within
 * the term could be given again, to another one. */
static void check_vote_kept(struct checker *checker, const struct raft_step *step)
{
    const struct raft_before *before = &step->before;
    node_id_t now = raft_voted_for(step->raft);
    if (before->voted_for != 0 && raft_term(step->raft) == before->term &&
        now != before->voted_for) {
        checker_violate(checker, "vote",
                        "acceptor %u voted for %u in term %" PRIu64 ", and now for %u (0: nobody)",
                        name(checker, step), before->voted_for, before->term, now);
    }
}

/* 1 if the node is led: it leads, or it heard the leader of its term less than the shortest
 * election timeout ago. */
static int is_led(const struct raft_watch *watch, const struct raft_step *step)
{
    const struct heard *heard = &watch->heard;
    if (step->before.role == RAFT_LEADER) {
        return 1;
    }
    return !ballot_is_none(&heard->leader) && heard->leader.round == step->before.term &&
           step->event->now - heard->at < step->election_ms;
}

static int has_granted(const struct raft_step *step)
{
    for (size_t i = step->before.send_count; i < step->fx->send_count; i++) {
        const struct message *msg = &step->fx->sends[i].msg;
        if (msg->kind == MSG_VOTE && msg->vote.granted) {
            return 1;
        }
    }
    return 0;
}

/* "If a server receives a RequestVote RPC within the minimum election timeout of hearing from a
 * current leader, it does not update its term or grant its vote" (6), nor the pre-vote (thesis,
 * 9.6), unless the leader itself wants to be followed by the candidate (thesis, 3.10). */
static void check_loyal(struct checker *checker, const struct raft_watch *watch,
                        const struct raft_step *step, const struct message *msg)
{
    const struct msg_request_vote *request = &msg->request_vote;
    if (request->mode == VOTE_TRANSFER || request->term <= step->before.term ||
        !is_led(watch, step)) {
        return;
    }
    if (has_granted(step) || raft_term(step->raft) != step->before.term) {
        checker_violate(checker, "loyalty",
                        "acceptor %u listens to candidate %" PRIu64 " in term %" PRIu64
                        ", and is led in term %" PRIu64,
                        name(checker, step), msg->from.id, request->term, step->before.term);
    }
}

/* "The voter denies its vote if its own log is more up-to-date than that of the candidate" (5.4.1);
 * of pre-votes the thesis says the same in 9.6. */
static void check_up_to_date(struct checker *checker, const struct raft_step *step,
                             const struct message *msg)
{
    const struct msg_request_vote *request = &msg->request_vote;
    int is_copy = request->mode != VOTE_PRE && request->term == step->before.term &&
                  step->before.voted_for == msg->from.id;
    if (is_copy || !has_granted(step)) {
        return;
    }
    slot_t last = raft_last(step->raft);
    uint64_t last_term = term_at(checker, step, last);
    if (request->last_term < last_term ||
        (request->last_term == last_term && request->last_index < last)) {
        checker_violate(checker, "up-to-date",
                        "acceptor %u, whose log ends with %" PRIu64 " of term %" PRIu64
                        ", grants a vote to a log that ends with %" PRIu64 " of term %" PRIu64,
                        name(checker, step), last, last_term, request->last_index,
                        request->last_term);
    }
}

/* ---- as a follower */

/* "prevLogIndex", "prevLogTerm" (Fig. 2): an append that fits says that the logs are one up to its
 * last entry (5.3). A copy that comes late proves no life. */
static void note_append(const struct checker *checker, struct raft_watch *watch,
                        const struct raft_step *step, const struct message *msg)
{
    const struct msg_append *append = &msg->append;
    struct heard *heard = &watch->heard;
    if (append->ballot.round != raft_term(step->raft) ||
        append->ballot.incarnation != msg->incarnation) {
        return;
    }
    if (!ballot_equal(&heard->leader, &append->ballot)) {
        *heard = (struct heard){.leader = append->ballot};
    }
    if (append->sequence > heard->sequence) {
        heard->sequence = append->sequence;
        heard->at = step->event->now;
    }
    slot_t end = append->prev_index + append->entry_count;
    int fits = append->prev_index <= raft_last(step->raft) &&
               term_at(checker, step, append->prev_index) == append->prev_term;
    if (fits && end > heard->matched) {
        heard->matched = end;
    }
}

/* "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry)"
 * (Fig. 2): what lies behind may be another leader's. */
static void check_follower_commit(struct checker *checker, const struct raft_watch *watch,
                                  const struct raft_step *step)
{
    slot_t commit = raft_commit(step->raft);
    if (commit > step->before.commit && commit > watch->heard.matched &&
        step->event->kind != EVENT_START) {
        checker_violate(checker, "matched",
                        "acceptor %u takes entry %" PRIu64 " for committed, its log is that of "
                        "leader %u up to %" PRIu64,
                        name(checker, step), commit, watch->heard.leader.proposer,
                        watch->heard.matched);
    }
}

/* ---- as a leader */

/* A leader begins with an entry of its own term, or it could not tell what is committed (8). */
static void on_elected(struct checker *checker, struct raft_watch *watch,
                       const struct raft_step *step)
{
    slot_t last = raft_last(step->raft);
    watch->led = (struct leadership){.ballot = raft_ballot(step->raft),
                                     .since = step->event->now,
                                     .first = step->before.last + 1};
    if (last != watch->led.first || term_at(checker, step, last) != watch->led.ballot.round) {
        checker_violate(checker, "term-start",
                        "acceptor %u leads in term %" PRIu64 " without an entry of that term",
                        name(checker, step), watch->led.ballot.round);
    }
}

/* The times at which appends left: one is remembered for each 32nd part of an election timeout. */
static void note_sent(struct leadership *led, const struct raft_step *step)
{
    for (size_t i = step->before.send_count; i < step->fx->send_count; i++) {
        const struct message *msg = &step->fx->sends[i].msg;
        const struct sent *newest = &led->sent[(led->sent_count - 1) % SENT_REMEMBERED];
        if (msg->kind == MSG_APPEND &&
            (led->sent_count == 0 || step->event->now - newest->at >= step->election_ms / 32)) {
            led->sent[led->sent_count++ % SENT_REMEMBERED] =
                (struct sent){msg->append.sequence, step->event->now};
        }
    }
}

/* When that append left, or later: before the next one that is remembered. */
static time_ms_t latest_sent_at(const struct leadership *led, uint64_t sequence, time_ms_t now)
{
    time_ms_t at = now;
    for (size_t i = led->sent_count; i > 0 && i + SENT_REMEMBERED > led->sent_count; i--) {
        const struct sent *sent = &led->sent[(i - 1) % SENT_REMEMBERED];
        if (sent->sequence <= sequence) {
            break;
        }
        at = sent->at;
    }
    return at;
}

/* "A leader steps down if an election timeout elapses without a successful round of heartbeats to a
 * majority of its cluster" (thesis, 6.2): the round is as old as the append that was answered,
 * however long the answer was under way. */
static void check_quorum(struct checker *checker, const struct leadership *led,
                         const struct raft_step *step)
{
    const struct members *members = checker->members;
    time_ms_t now = step->event->now;
    acceptor_set_t answering = (acceptor_set_t)1 << step->acceptor;
    if (step->event->kind != EVENT_TICK || now < led->since + step->election_ms) {
        return;
    }
    for (size_t i = 0; i < members->acceptor_count; i++) {
        if (led->answered[i] != 0 &&
            latest_sent_at(led, led->answered[i], now) > now - step->election_ms) {
            answering |= (acceptor_set_t)1 << i;
        }
    }
    if (!is_accept_quorum(members, answering) ||
        acceptor_set_count(answering) < majority_of(members->acceptor_count)) {
        checker_violate(checker, "check-quorum",
                        "acceptor %u leads on in term %" PRIu64 ", and of the appends of the last "
                        "election timeout only %zu members answered one",
                        name(checker, step), led->ballot.round, acceptor_set_count(answering));
    }
}

/* An answer to another term's append says nothing of this one's entries (5.3). */
static void take_appended(struct checker *checker, struct leadership *led,
                          const struct raft_step *step, const struct message *msg)
{
    const struct msg_appended *appended = &msg->appended;
    int from = members_acceptor_index(checker->members, msg->from.id);
    if (ballot_equal(&appended->ballot, &led->ballot)) {
        if (appended->sequence > led->answered[from]) {
            led->answered[from] = appended->sequence;
        }
        if (!appended->conflict && appended->match > led->acked[from]) {
            led->acked[from] = appended->match;
        }
    }
    slot_t match = raft_match(step->raft, (size_t)from);
    if (match > led->acked[from]) {
        checker_violate(checker, "acknowledged",
                        "leader %u of term %" PRIu64 " takes entry %" PRIu64
                        " for stored at %" PRIu64 ", which acknowledged %" PRIu64 " in this term",
                        name(checker, step), led->ballot.round, match, msg->from.id,
                        led->acked[from]);
    }
}

/* "If there exists an N such that N > commitIndex, a majority of matchIndex[i] >= N, and
 * log[N].term == currentTerm: set commitIndex = N" (Fig. 2; 5.3, 5.4.2). */
static void check_leader_commit(struct checker *checker, const struct leadership *led,
                                const struct raft_step *step)
{
    slot_t commit = raft_commit(step->raft);
    acceptor_set_t have = 0;
    if (commit == step->before.commit) {
        return;
    }
    for (size_t i = 0; i < checker->members->acceptor_count; i++) {
        slot_t stored = (int)i == step->acceptor
                            ? raft_rules_durable_last(checker->raft, step->acceptor)
                            : led->acked[i];
        have |= (acceptor_set_t)(stored >= commit) << i;
    }
    if (!is_accept_quorum(checker->members, have)) {
        checker_violate(checker, "acknowledged",
                        "leader %u of term %" PRIu64 " commits entry %" PRIu64
                        ", which %zu members have",
                        name(checker, step), led->ballot.round, commit, acceptor_set_count(have));
    } else if (commit < led->first) {
        checker_violate(checker, "old-term",
                        "leader %u commits entry %" PRIu64 " by counting, its term %" PRIu64
                        " begins with entry %" PRIu64,
                        name(checker, step), commit, led->ballot.round, led->first);
    }
}

/* "The prior leader fully updates the target server's log to match its own log" and then tells it
 * (thesis, 3.10): who campaigns with less cannot win, or takes away what was not committed. */
static void check_transfer(struct checker *checker, const struct leadership *led,
                           const struct raft_step *step)
{
    for (size_t i = step->before.send_count; i < step->fx->send_count; i++) {
        const struct outgoing *send = &step->fx->sends[i];
        if (send->msg.kind != MSG_TIMEOUT_NOW) {
            continue;
        }
        int to = members_acceptor_index(checker->members, send->to.id);
        if (to < 0 || led->acked[to] < raft_last(step->raft)) {
            checker_violate(checker, "transfer",
                            "leader %u, whose log ends with %" PRIu64 ", hands over to %" PRIu64
                            ", which has acknowledged %" PRIu64,
                            name(checker, step), raft_last(step->raft), send->to.id,
                            to < 0 ? 0 : led->acked[to]);
        }
    }
}

static void watch_leader(struct checker *checker, struct raft_watch *watch,
                         const struct raft_step *step)
{
    const struct message *appended = taken(checker, step, MSG_APPENDED);
    if (!still_leads(step)) {
        on_elected(checker, watch, step);
    }
    if (appended != NULL) {
        take_appended(checker, &watch->led, step, appended);
    }
    note_sent(&watch->led, step);
    check_quorum(checker, &watch->led, step);
    check_leader_commit(checker, &watch->led, step);
    check_transfer(checker, &watch->led, step);
}

void raft_watch_on_step(struct checker *checker, struct raft_watch *watch,
                        const struct raft_step *step)
{
    const struct message *request = taken(checker, step, MSG_REQUEST_VOTE);
    const struct message *append = taken(checker, step, MSG_APPEND);
    if (step->event->kind == EVENT_START) {
        *watch = (struct raft_watch){0};
    }
    check_vote_kept(checker, step);
    if (request != NULL) {
        check_loyal(checker, watch, step, request);
        check_up_to_date(checker, step, request);
    }
    if (append != NULL) {
        note_append(checker, watch, step, append);
    }
    if (raft_role(step->raft) == RAFT_LEADER) {
        watch_leader(checker, watch, step);
    } else {
        check_follower_commit(checker, watch, step);
    }
}
