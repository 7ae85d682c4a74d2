#include "common/client/core/state.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/base/mutant.h"

#include <stdlib.h>

static int compare_due(const struct question *a, const struct question *b)
{
    if (a->due != b->due) {
        return a->due < b->due ? -1 : 1;
    }
    return a->pending.id < b->pending.id ? -1 : a->pending.id > b->pending.id;
}

TREE_GENERATE(question_tree, question, by_due, compare_due)

void questions_init(struct client *c)
{
    RB_INIT(&c->questions.timers);
}

void questions_note_revision(struct client *c, uint64_t revision)
{
    if (revision > c->questions.revision) {
        c->questions.revision = revision;
    }
}

void client_note_revision(struct client *c, uint64_t revision)
{
    questions_note_revision(c, revision);
}

/* ---- where a question stands */

/* 1 if a learner may keep it waiting for something to happen. */
static int is_poll(const struct question *q)
{
    return q->kind == QUESTION_WATCH || (q->kind == QUESTION_READ && q->read.is_tail);
}

static time_ms_t silence_ms(const struct client *c, const struct question *q)
{
    return ANSWER_SILENCE_MS + (is_poll(q) ? (time_ms_t)c->options.poll_wait_ms : 0);
}

/* When time alone makes something due. */
static time_ms_t due_of(const struct client *c, const struct question *q)
{
    time_ms_t due = q->deadline;
    if (q->is_asked && q->asked_at + silence_ms(c, q) < due) {
        due = q->asked_at + silence_ms(c, q);
    }
    if (!q->is_asked && !q->is_in_line && q->not_before < due) {
        due = q->not_before;
    }
    return due;
}

static void set_timer(struct client *c, struct question *q)
{
    time_ms_t due = due_of(c, q);
    if (due == q->due) {
        return;
    }
    RB_REMOVE(question_tree, &c->questions.timers, q);
    q->due = due;
    RB_INSERT(question_tree, &c->questions.timers, q);
}

static struct question **line_of(struct client *c, const struct question *q)
{
    return is_poll(q) ? &c->questions.polls : &c->questions.line;
}

static void leave_line(struct client *c, struct question *q)
{
    if (q->is_in_line) {
        struct question **line = line_of(c, q);
        DL_DELETE(*line, q);
        q->is_in_line = 0;
    }
}

static void unask(struct client *c, struct question *q)
{
    if (q->is_asked) {
        HASH_DELETE(by_request, c->questions.by_request, q);
        c->questions.asked_count -= !is_poll(q);
        q->is_asked = 0;
    }
}

static void enter_line(struct client *c, struct question *q, int is_first)
{
    struct question **line = line_of(c, q);
    unask(c, q);
    leave_line(c, q);
    if (is_first) {
        DL_PREPEND(*line, q);
    } else {
        DL_APPEND(*line, q);
    }
    q->is_in_line = 1;
    set_timer(c, q);
}

/* ---- begin and end */

struct question *question_new(struct client *c, enum question_kind kind, struct listener *listener,
                              time_ms_t deadline)
{
    struct question *q = memory_calloc(1, sizeof *q);
    q->kind = kind;
    q->listener = listener;
    q->deadline = q->due = deadline;
    (void)pending_add(c, &q->pending, PENDING_QUESTION);
    RB_INSERT(question_tree, &c->questions.timers, q);
    return q;
}

void question_start(struct client *c, struct question *q)
{
    enter_line(c, q, 0);
}

static void free_question(struct client *c, struct question *q)
{
    unask(c, q);
    leave_line(c, q);
    RB_REMOVE(question_tree, &c->questions.timers, q);
    pending_remove(c, &q->pending);
    if (q->kind == QUESTION_QUERY) {
        slice_drop(&q->query.body);
    } else if (q->kind == QUESTION_WATCH) {
        slice_drop(&q->watch.key);
        slice_drop(&q->watch.end);
    }
    free(q);
}

void questions_close(struct client *c)
{
    struct question *q;
    while ((q = RB_MIN(question_tree, &c->questions.timers)) != NULL) {
        free_question(c, q);
    }
}

void question_cancel(struct client *c, uint64_t id)
{
    struct pending *pending = pending_find(c, id, PENDING_QUESTION);
    if (pending != NULL) {
        free_question(c, (struct question *)pending);
    }
}

void question_end(struct client *c, struct question *q, const struct answer *answer,
                  struct effects *out)
{
    struct listener *listener = q->listener;
    uint64_t id = q->pending.id;
    free_question(c, q);
    tell_listener(c, listener, id, answer, out);
}

void question_set_deadline(struct client *c, struct question *q, time_ms_t deadline)
{
    q->deadline = deadline;
    set_timer(c, q);
}

/* ---- asking */

static void ask(struct client *c, struct question *q, struct effects *out)
{
    static const enum message_kind kinds[] = {
        [QUESTION_QUERY] = MSG_QUERY, [QUESTION_READ] = MSG_READ, [QUESTION_WATCH] = MSG_WATCH};
    leave_line(c, q);
    if (q->request == 0 || !MUTANT(client_late_answer_taken)) {
        q->request = ++c->questions.request;
    }
    struct message *msg = effects_send(out, SEND_NOW, contacts_learner(c)->peer, kinds[q->kind]);
    switch (q->kind) {
    case QUESTION_QUERY:
        query_put(c, q, msg);
        msg->query.request = q->request;
        msg->query.body = effects_hold(out, q->query.body);
        break;
    case QUESTION_READ:
        read_put(c, q, msg);
        msg->read.request = q->request;
        break;
    case QUESTION_WATCH:
        watch_put(c, q, msg);
        msg->watch.request = q->request;
        msg->watch.key = effects_hold(out, q->watch.key);
        msg->watch.end = effects_hold(out, q->watch.end);
        break;
    }
    q->asked_at = c->now;
    q->learner = c->contacts.learner;
    q->is_asked = 1;
    c->questions.asked_count += !is_poll(q);
    HASH_ADD(by_request, c->questions.by_request, request, sizeof q->request, q);
    set_timer(c, q);
}

static void ask_lines(struct client *c, struct effects *out)
{
    struct questions *questions = &c->questions;
    if (!contacts_learner(c)->is_up) {
        return;
    }
    while (questions->line != NULL && questions->asked_count < QUESTIONS_ASKED_MAX) {
        ask(c, questions->line, out);
    }
    while (questions->polls != NULL) {
        ask(c, questions->polls, out);
    }
}

void question_again(struct client *c, struct question *q, struct effects *out)
{
    q->busy_ms = 0;
    enter_line(c, q, 1);
    ask_lines(c, out);
}

static void rest(struct client *c, struct question *q, const char *why, time_ms_t pause_ms)
{
    note_trouble(c, "%s", why);
    unask(c, q);
    leave_line(c, q);
    q->not_before = c->now + pause_ms;
    set_timer(c, q);
    if (q->learner == c->contacts.learner) { /* it may be cut off, behind or full, alone */
        contacts_change_learner(c, 1);
    }
}

void question_rest(struct client *c, struct question *q, const char *why)
{
    rest(c, q, why, ASK_AGAIN_MS);
}

void question_rest_busy(struct client *c, struct question *q)
{
    q->busy_ms = q->busy_ms == 0 ? ASK_AGAIN_MS : q->busy_ms * 2;
    q->busy_ms = q->busy_ms < ASK_BUSY_MS_MAX ? q->busy_ms : ASK_BUSY_MS_MAX;
    rest(c, q, "the learner has too many reads waiting",
         q->busy_ms + (time_ms_t)rng_below(&c->rng, q->busy_ms));
}

/* They are asked again first, in the order in which they were asked. */
void questions_forget_asked(struct client *c, size_t learner, int keeps_polls)
{
    struct question *lines[2] = {NULL, NULL};
    struct question *next;
    for (struct question *q = c->questions.by_request; q != NULL; q = next) {
        next = q->by_request.next;
        if (q->learner != learner || (keeps_polls && is_poll(q))) {
            continue;
        }
        unask(c, q);
        struct question **line = &lines[is_poll(q)];
        DL_APPEND(*line, q);
        q->is_in_line = 1;
        set_timer(c, q);
    }
    DL_CONCAT(lines[0], c->questions.line);
    DL_CONCAT(lines[1], c->questions.polls);
    c->questions.line = lines[0];
    c->questions.polls = lines[1];
}

/* ---- time */

static void expire(struct client *c, struct question *q, struct effects *out)
{
    int is_read = q->kind == QUESTION_READ;
    const struct answer answer = {
        .kind = is_read ? COMPLETION_READ : COMPLETION_ANSWER,
        .code = unavailable(c, is_read ? "the read was not answered in time"
                                       : "the question was not answered in time"),
    };
    question_end(c, q, &answer, out);
}

/* 1 if it answers others, if not this question: it is busy, and what waits there is as well off as
 * anywhere. */
static int is_heard(const struct client *c, size_t learner)
{
    return c->now - c->contacts.learners[learner].heard_at < ANSWER_SILENCE_MS;
}

void questions_work(struct client *c, struct effects *out)
{
    struct questions *questions = &c->questions;
    struct question *q;
    while ((q = RB_MIN(question_tree, &questions->timers)) != NULL && q->due <= c->now) {
        if (q->deadline <= c->now) {
            expire(c, q, out);
        } else if (q->is_asked) {
            int is_in_use = q->learner == c->contacts.learner;
            enter_line(c, q, 1);
            if (is_in_use && !MUTANT(client_asks_the_silent_again)) {
                contacts_change_learner(c, is_heard(c, q->learner));
            }
        } else {
            enter_line(c, q, 0);
        }
    }
    ask_lines(c, out);
    q = RB_MIN(question_tree, &questions->timers);
    if (q != NULL) {
        effects_wake(out, q->due);
    }
}

/* ---- answers */

static uint64_t request_of(const struct message *msg, enum question_kind *kind)
{
    switch (msg->kind) {
    case MSG_ANSWER:
        *kind = QUESTION_QUERY;
        return msg->answer.request;
    case MSG_RECORDS:
        *kind = QUESTION_READ;
        return msg->records.request;
    default:
        *kind = QUESTION_WATCH;
        return msg->events.request;
    }
}

void questions_on_message(struct client *c, const struct message *msg, struct effects *out)
{
    enum question_kind kind;
    uint64_t request = request_of(msg, &kind);
    struct question *q;
    HASH_FIND(by_request, c->questions.by_request, &request, sizeof request, q);
    if (q == NULL || q->kind != kind) {
        return; /* the late answer to a question that was asked again, or is over */
    }
    unask(c, q);
    switch (kind) {
    case QUESTION_QUERY:
        query_take(c, q, msg, out);
        break;
    case QUESTION_READ:
        read_take(c, q, msg, out);
        break;
    case QUESTION_WATCH:
        watch_take(c, q, msg, out);
        break;
    }
}
