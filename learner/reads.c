/* Questions that wait: for a round of the acceptors, for slots to be applied, for something new. */
#include "common/base/memory.h"
#include "common/base/mutant.h"
#include "learner/state.h"

#include <stdlib.h>
#include <string.h>

/* A linearizable question is given up after so many election timeouts without a quorum, or without
 * the slots it waits for. */
#define READ_PATIENCE_ELECTIONS 5

/* What the answers of one turn may cost, in records read and in bytes, before the rest of them
 * waits for the next: what is chosen meanwhile is applied, and memory is bounded. */
#define SERVE_RECORDS_MAX 65536
#define SERVE_BYTES_MAX (8 * MIB)

/* ---- what waits */

static size_t question_size(const struct question *question)
{
    switch (question->kind) {
    case MSG_QUERY:
        return question->ask.query.body.size;
    case MSG_WATCH:
        return question->ask.watch.key.size + question->ask.watch.end.size;
    default:
        return 0;
    }
}

static void keep(struct learner *l, struct question *question)
{
    l->question_bytes += question_size(question);
    if (question->kind == MSG_QUERY) {
        question->ask.query.body = slice_keep(question->ask.query.body);
    } else if (question->kind == MSG_WATCH) {
        question->ask.watch.key = slice_keep(question->ask.watch.key);
        question->ask.watch.end = slice_keep(question->ask.watch.end);
    }
}

static void drop(struct learner *l, struct question *question)
{
    l->question_bytes -= question_size(question);
    if (question->kind == MSG_QUERY) {
        slice_drop(&question->ask.query.body);
    } else if (question->kind == MSG_WATCH) {
        slice_drop(&question->ask.watch.key);
        slice_drop(&question->ask.watch.end);
    }
}

void learner_free_questions(struct learner *l)
{
    for (size_t i = 0; i < l->question_count; i++) {
        drop(l, &l->questions[i]);
    }
    free(l->questions);
}

/* Nobody is left to answer, and its long polls would take the room of others. */
void learner_drop_questions(struct learner *l, uint64_t nonce)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->question_count; i++) {
        if (l->questions[i].client.id == nonce) {
            drop(l, &l->questions[i]);
        } else {
            l->questions[kept++] = l->questions[i];
        }
    }
    l->question_count = kept;
}

/* What the three kinds of question have in common. */
static struct question question_of(const struct learner *l, const struct event *event)
{
    const struct message *msg = event->msg;
    struct question question = {
        .kind = msg->kind,
        .client = msg->from,
        .incarnation = msg->incarnation,
        .give_up_at = event->now + READ_PATIENCE_ELECTIONS * l->options.election_ms,
        .wait_until = event->now,
    };
    uint32_t consistency = READ_LOCAL;
    if (msg->kind == MSG_READ) {
        question.ask.read = msg->read;
        question.wait_until += msg->read.wait_ms;
        consistency = msg->read.consistency;
    } else if (msg->kind == MSG_QUERY) {
        question.ask.query = msg->query;
        consistency = msg->query.consistency;
    } else { /* what happened since a revision is the same everywhere */
        CHECK(msg->kind == MSG_WATCH);
        question.ask.watch = msg->watch;
        question.asked_revision = msg->watch.revision;
        question.wait_until += msg->watch.wait_ms;
    }
    int joins = MUTANT(read_joins_open_round) && l->round.is_open;
    question.state = joins ? READ_STATE_ROUND : READ_STATE_NEW;
    if (consistency == READ_LOCAL) {
        question.state = READ_STATE_APPLIED;
    }
    return question;
}

void learner_on_question(struct learner *l, const struct event *event, struct effects *out)
{
    struct question question = question_of(l, event);
    if (l->question_count == READS_WAITING_MAX ||
        l->question_bytes + question_size(&question) > READS_WAITING_BYTES_MAX) {
        answer_failure(l, &question, ANSWER_BUSY, out);
        return;
    }
    keep(l, &question);
    l->questions = memory_grow(l->questions, &l->question_capacity, l->question_count + 1,
                               sizeof *l->questions);
    l->questions[l->question_count++] = question;
}

/* ---- rounds of the acceptors */

static void ask_round(struct learner *l, time_ms_t now, struct effects *out)
{
    l->round.retry_at = now + 2 * l->options.heartbeat_ms;
    struct message *msg = effects_broadcast(out, SEND_NOW, ROLE_ACCEPTOR, MSG_READ_INDEX);
    msg->read_index = (struct msg_read_index){l->round.request};
}

/* What the acceptors had accepted may be taken back in Raft mode, with a leader that is deposed;
 * then its slot may never come, and another round names a lower one. */
static int must_ask_again(const struct learner *l, const struct question *question, time_ms_t now)
{
    return question->state == READ_STATE_APPLIED && question->has_target &&
           question->target > machine_applied(l->machine) && now >= question->again_at;
}

/* Begins a round for all questions that are new, if none is under way: what was acknowledged before
 * one arrived was accepted by a quorum before the round asks (Charapko et al., "Linearizable Quorum
 * Reads in Paxos", 2019). */
static void maybe_begin_round(struct learner *l, time_ms_t now, struct effects *out)
{
    int is_awaited = 0;
    for (size_t i = 0; i < l->question_count; i++) {
        is_awaited |= l->questions[i].state == READ_STATE_ROUND;
    }
    l->round.is_open = l->round.is_open && is_awaited;
    if (l->round.is_open) {
        if (now >= l->round.retry_at && !MUTANT(read_round_asked_once)) {
            effects_mark(out, MARK_READ_ROUND_RETRIED);
            ask_round(l, now, out);
        }
        return;
    }
    int is_wanted = 0;
    for (size_t i = 0; i < l->question_count; i++) {
        if (l->questions[i].state == READ_STATE_NEW || must_ask_again(l, &l->questions[i], now)) {
            l->questions[i].state = READ_STATE_ROUND;
            is_wanted = 1;
        }
    }
    if (is_wanted) {
        l->round = (struct read_round){.is_open = 1, .request = l->round.request + 1};
        ask_round(l, now, out);
    }
}

void learner_on_read_index_reply(struct learner *l, const struct event *event, struct effects *out)
{
    const struct msg_read_index_reply *reply = &event->msg->read_index_reply;
    int index = members_acceptor_index(&l->options.members, event->msg->from.id);
    if (!l->round.is_open || reply->request != l->round.request || index < 0 ||
        event->msg->from.role != ROLE_ACCEPTOR) {
        effects_mark(out, MARK_READ_REPLY_LATE);
        return;
    }
    l->round.answered |= (acceptor_set_t)1 << index;
    if (reply->accepted_max > l->round.target) {
        l->round.target = reply->accepted_max;
    }
    /* A prepare quorum meets every accept quorum, so one of them accepted what was acknowledged. */
    if (!is_prepare_quorum(&l->options.members, l->round.answered) &&
        !MUTANT(read_asks_one_acceptor)) {
        return;
    }
    if (l->round.target > machine_applied(l->machine)) {
        effects_mark(out, MARK_READ_WAITS_FOR_SLOT);
    }
    l->round.is_open = 0;
    for (size_t i = 0; i < l->question_count; i++) {
        struct question *question = &l->questions[i];
        if (question->state == READ_STATE_ROUND) {
            question->state = READ_STATE_APPLIED;
            /* Each round began after the question came: the lowest target is enough. */
            if (!question->has_target || l->round.target < question->target) {
                question->target = l->round.target;
            }
            question->has_target = 1;
            question->again_at = event->now + l->options.election_ms;
        }
    }
}

/* ---- serving */

/* Answers one question if it can be, or must be. 1 if it is done. */
static int serve(struct learner *l, struct question *question, time_ms_t now, struct effects *out)
{
    int is_applied = question->target <= l->readable || MUTANT(read_before_applied);
    if (question->state == READ_STATE_ROUND && question->has_target && is_applied) {
        question->state = READ_STATE_APPLIED; /* its slot came before the second answer did */
    }
    int is_ready = question->state == READ_STATE_APPLIED && is_applied &&
                   l->readable == machine_applied(l->machine);
    if (is_ready) {
        return answer_question(l, question, now, out);
    }
    if (now >= question->give_up_at && question->kind != MSG_WATCH &&
        !MUTANT(read_round_asked_once)) {
        effects_mark(out, MARK_READ_GIVEN_UP);
        answer_failure(l, question, ANSWER_NO_QUORUM, out);
        return 1;
    }
    return 0;
}

static void reverse(struct question *questions, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        struct question swap = questions[i];
        questions[i] = questions[count - 1 - i];
        questions[count - 1 - i] = swap;
    }
}

/* Puts those that were not reached, from next on, before those that still wait, up to kept. */
static void close_ranks(struct learner *l, size_t kept, size_t next)
{
    size_t left = l->question_count - next;
    l->question_count = kept + left;
    if (left > 0) {
        memmove(&l->questions[kept], &l->questions[next], left * sizeof *l->questions);
        reverse(l->questions, kept);
        reverse(l->questions + kept, left);
        reverse(l->questions, kept + left);
    }
}

void learner_serve_reads(struct learner *l, time_ms_t now, struct effects *out)
{
    size_t kept = 0;
    size_t next = 0;
    uint64_t visited = machine_visited(l->machine);
    l->answer_bytes = 0;
    l->has_more_to_scan = 0;
    while (next < l->question_count && l->answer_bytes < SERVE_BYTES_MAX &&
           machine_visited(l->machine) - visited < SERVE_RECORDS_MAX) {
        struct question *question = &l->questions[next++];
        if (serve(l, question, now, out)) {
            drop(l, question);
        } else {
            l->questions[kept++] = *question;
        }
    }
    l->has_more_to_scan |= next < l->question_count;
    close_ranks(l, kept, next);
    if (l->has_more_to_scan) {
        effects_wake(out, now);
    }
}

void learner_tick_reads(struct learner *l, time_ms_t now, struct effects *out)
{
    maybe_begin_round(l, now, out);
    if (l->round.is_open) {
        effects_wake(out, l->round.retry_at);
    }
    for (size_t i = 0; i < l->question_count; i++) {
        const struct question *question = &l->questions[i];
        int is_polling = question->state == READ_STATE_APPLIED && question->target <= l->readable;
        effects_wake(out, is_polling ? question->wait_until : question->give_up_at);
        if (question->has_target && !is_polling && question->again_at > now) {
            effects_wake(out, question->again_at);
        }
    }
}

slot_t learner_wanted(const struct learner *l)
{
    slot_t wanted = 0;
    for (size_t i = 0; i < l->question_count; i++) {
        if (l->questions[i].has_target && l->questions[i].target > wanted) {
            wanted = l->questions[i].target;
        }
    }
    return wanted;
}
