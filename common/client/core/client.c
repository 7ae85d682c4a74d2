#include "common/client/core/state.h"

#include "common/base/check.h"
#include "common/base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- life */

struct client *client_new(const struct client_options *options)
{
    struct client *c = memory_calloc(1, sizeof *c);
    CHECK(options->nonce != 0);
    CHECK(options->members.proposer_count > 0);
    CHECK(options->members.learner_count > 0);
    c->options = *options;
    if (c->options.poll_wait_ms == 0) {
        c->options.poll_wait_ms = POLL_WAIT_MS_DEFAULT;
    }
    if (c->options.page_bytes == 0) {
        c->options.page_bytes = PAGE_BYTES_TARGET;
    }
    c->self = (struct peer){ROLE_CLIENT, options->nonce};
    rng_init(&c->rng, options->seed);
    contacts_init(c);
    target_init(c);
    session_init(c);
    submit_init(c);
    questions_init(c);
    leases_init(c);
    return c;
}

void client_free(struct client *c)
{
    if (c == NULL) {
        return;
    }
    inquiries_close(c);
    observations_close(c);
    holds_close(c);
    leases_close(c);
    ranges_close(c);
    questions_close(c);
    submit_close(c);
    CHECK(c->pending == NULL);
    free(c);
}

/* ---- what is pending */

uint64_t pending_add(struct client *c, struct pending *pending, enum pending_kind kind)
{
    pending->id = ++c->last_id;
    pending->kind = kind;
    HASH_ADD(hh, c->pending, id, sizeof pending->id, pending);
    return pending->id;
}

void pending_remove(struct client *c, struct pending *pending)
{
    HASH_DEL(c->pending, pending);
}

struct pending *pending_find(const struct client *c, uint64_t id, enum pending_kind kind)
{
    struct pending *pending;
    HASH_FIND(hh, c->pending, &id, sizeof id, pending);
    return pending != NULL && pending->kind == kind ? pending : NULL;
}

void client_cancel(struct client *c, uint64_t id)
{
    struct pending *pending;
    HASH_FIND(hh, c->pending, &id, sizeof id, pending);
    if (pending == NULL) {
        return;
    }
    switch (pending->kind) {
    case PENDING_QUESTION:
        question_cancel(c, id);
        break;
    case PENDING_RANGE:
        range_cancel(c, id);
        break;
    case PENDING_HOLD:
        hold_cancel(c, id);
        break;
    case PENDING_OBSERVATION:
        observation_cancel(c, id);
        break;
    case PENDING_INQUIRY:
        inquiry_cancel(c, id);
        break;
    case PENDING_SESSION:
        leases_cancel_wish(c, id);
        break;
    }
}

/* ---- completions */

const char *keep_sentence(const struct client *c, struct effects *out)
{
    size_t size = strlen(c->err.text) + 1;
    char *sentence = effects_alloc(out, size);
    memcpy(sentence, c->err.text, size);
    return sentence;
}

struct completion *complete(struct client *c, struct effects *out, enum completion_kind kind,
                            uint64_t id, int code)
{
    struct completion *completion = effects_complete(out);
    completion->kind = (uint32_t)kind;
    completion->id = id;
    completion->code = code;
    completion->sentence = code != 0 ? keep_sentence(c, out) : NULL;
    return completion;
}

void tell_listener(struct client *c, struct listener *listener, uint64_t id,
                   const struct answer *answer, struct effects *out)
{
    if (listener != NULL) {
        listener->fn(c, listener, id, answer, out);
        return;
    }
    struct completion *completion = complete(c, out, answer->kind, id, answer->code);
    completion->value = answer->value;
    completion->body = answer->body;
    completion->detail = answer->detail;
}

/* ---- sentences */

void note_trouble(struct client *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->trouble, sizeof c->trouble, fmt, args);
    va_end(args);
}

const char *client_trouble(const struct client *c)
{
    const struct contacts *contacts = &c->contacts;
    int is_proposer_up = 0;
    for (size_t i = 0; i < contacts->proposer_count; i++) {
        is_proposer_up |= contacts->proposers[i].is_up;
    }
    int is_learner_up = contacts_learner(c)->is_up;
    if (!is_proposer_up && !is_learner_up) {
        return "neither a proposer nor a learner answers";
    }
    if (!is_proposer_up) {
        return "no proposer answers";
    }
    if (c->trouble[0] != '\0') {
        return c->trouble; /* a proposer's own word; and whoever waits for it changes learners */
    }
    if (!is_learner_up) {
        return contacts->is_pinned ? "the chosen learner does not answer" : "no learner answers";
    }
    return "the cluster does not answer";
}

int unavailable(struct client *c, const char *what)
{
    return errmsg_set(&c->err, ERROR_UNAVAILABLE, "%s (%s); try: synod status", what,
                      client_trouble(c));
}

int leaderless(struct client *c, const char *what)
{
    return errmsg_set(&c->err, ERROR_UNAVAILABLE, "%s (%s); try: synod explain", what,
                      client_trouble(c));
}

/* ---- the step */

static void on_message(struct client *c, const struct message *msg, struct effects *out)
{
    contacts_note_heard(c, msg->from);
    switch (msg->kind) {
    case MSG_RESULT:
        results_on_result(c, msg, out);
        break;
    case MSG_REJECT:
        results_on_reject(c, msg, out);
        break;
    case MSG_LEADING:
        target_on_leading(c, msg);
        break;
    case MSG_RECORDS:
    case MSG_ANSWER:
    case MSG_EVENTS:
        questions_on_message(c, msg, out);
        break;
    case MSG_STATUS_REPLY:
    case MSG_TRANSFERRED:
    case MSG_EXPLANATION:
    case MSG_NAMED:
        inquiries_on_message(c, msg, out);
        break;
    default:
        break; /* nothing that servers say to each other is for a client */
    }
}

/* Everything that time alone makes due, or what arrived has made possible. */
static void flush(struct client *c, struct effects *out)
{
    contacts_work(c, out);
    leases_work(c, out);
    holds_work(c, out);
    inquiries_work(c, out);
    questions_work(c, out); /* the parts before may have asked */
    submit_work(c, out);    /* all of them may have changed whom to send to, and added commands */
    session_work(c, out);
}

void client_step(void *client, const struct event *event, struct effects *out)
{
    struct client *c = client;
    CHECK(event->now >= c->now);
    if (c->now == 0) {
        contacts_begin(c, event->now);
    }
    c->now = event->now;
    switch (event->kind) {
    case EVENT_MESSAGE:
        if (contacts_find(c, event->msg->from) != NULL) {
            on_message(c, event->msg, out);
        }
        break;
    case EVENT_PEER_UP:
        contacts_on_up(c, event->peer, out);
        break;
    case EVENT_PEER_DOWN:
        contacts_on_down(c, event->peer, out);
        break;
    case EVENT_FLUSH:
        flush(c, out);
        break;
    case EVENT_START: /* nothing is read back: a client begins with every process anew */
    case EVENT_TICK:  /* what is due is done by the flush that follows */
    case EVENT_WRITTEN:
    case EVENT_SHUTDOWN:
        break;
    }
    client_check(c);
}

static void check_submit(const struct submit *submit)
{
    CHECK(submit->oldest <= submit->sent);
    CHECK(submit->sent <= submit->next);
    CHECK(submit->next - submit->oldest <= OPERATIONS_MAX);
    CHECK(submit->internal_count <= submit->waiting_count);
    CHECK((submit->head == NULL) == (submit->tail == NULL));
    CHECK(submit->head != NULL || submit->cursor == NULL);
    CHECK(submit->head == NULL || submit->head->first <= submit->oldest);
}

void client_check(const struct client *c)
{
    check_submit(&c->submit);
    CHECK(c->session.base < c->submit.next);
    CHECK(c->session.state == SESSION_NONE || c->session.openings > 0);
    CHECK(c->session.state != SESSION_OPEN || c->session.id != 0);
    CHECK(c->session.state == SESSION_OPENING || !c->session.is_open_due);
    CHECK(c->target.proposer < c->contacts.proposer_count);
    CHECK(c->contacts.learner < c->contacts.learner_count);
    CHECK(c->questions.asked_count <= QUESTIONS_ASKED_MAX);
}
