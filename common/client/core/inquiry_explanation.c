/* What every proposer says of why one leads, or none does: collected, not judged. */
#include "common/client/core/inquiry.h"

#include "common/base/memory.h"

#include <stdlib.h>
#include <string.h>

/* Answers that waited longer than this for those of others are out of date. */
#define STALE_MS 100

/* A proposer that answered before and does not within this time has fallen silent meanwhile. */
#define AGAIN_MS 200

#define EXPLAINED_LINKS_MAX ((uint32_t)MEMBERS_MAX * MEMBERS_MAX)

struct explanation;

/* The question for the settings, which a learner answers. */
struct settings_question {
    struct listener listener;
    struct explanation *explanation;
    uint64_t id; /* 0: it is over */
};

struct explanation {
    struct inquiry inquiry;
    struct inquiry_explanation result;
    struct inquiry_explained proposers[MEMBERS_MAX];
    struct settings_question question;
    int is_refreshing;
    time_ms_t refresh_until; /* while is_refreshing */
};

/* ---- one answer */

static void forget(struct inquiry_explained *explained)
{
    slice_drop(&explained->said.oracle);
    free(explained->said.acceptors);
    free(explained->said.links);
    *explained = (struct inquiry_explained){0};
}

static void *copy_array(const void *array, size_t count, size_t size)
{
    void *copy = memory_calloc(count > 0 ? count : 1, size);
    if (count > 0) {
        memcpy(copy, array, count * size);
    }
    return copy;
}

static void note_answer(struct inquiry_explained *explained, const struct msg_explanation *msg)
{
    struct msg_explanation *said = &explained->said;
    forget(explained);
    explained->is_answering = 1;
    *said = *msg;
    said->oracle = slice_keep(msg->oracle);
    said->acceptor_count = msg->acceptor_count < MEMBERS_MAX ? msg->acceptor_count : MEMBERS_MAX;
    said->acceptors = copy_array(msg->acceptors, said->acceptor_count, sizeof *said->acceptors);
    said->link_count =
        msg->link_count < EXPLAINED_LINKS_MAX ? msg->link_count : EXPLAINED_LINKS_MAX;
    said->links = copy_array(msg->links, said->link_count, sizeof *said->links);
}

static void take(struct client *c, struct inquiry *inquiry, const struct message *msg)
{
    struct explanation *e = (struct explanation *)inquiry;
    if (msg->kind == MSG_EXPLANATION &&
        inquiry_take(c, inquiry, msg->from, msg->explanation.request)) {
        const struct contact *contact = contacts_find(c, msg->from);
        note_answer(&e->proposers[contact - c->contacts.proposers], &msg->explanation);
    }
}

static void on_settings(struct client *c, struct listener *self, uint64_t id,
                        const struct answer *answer, struct effects *out)
{
    struct settings_question *question = (struct settings_question *)self;
    struct inquiry_explanation *result = &question->explanation->result;
    (void)c;
    (void)id;
    (void)out;
    question->id = 0;
    if (answer->code == 0) {
        result->is_settings_known = 1;
        result->settings = slice_keep(answer->body);
    }
}

/* ---- all of them */

static void cancel_settings(struct client *c, struct explanation *e)
{
    if (e->question.id != 0) {
        question_cancel(c, e->question.id);
        e->question.id = 0;
    }
}

static void ask_proposers(struct client *c, struct explanation *e, struct effects *out)
{
    const struct contact *contact;
    while ((contact = inquiry_next(c, &e->inquiry)) != NULL) {
        effects_send(out, SEND_NOW, contact->peer, MSG_EXPLAIN)->explain.request =
            e->inquiry.request;
    }
}

static void end(struct client *c, struct explanation *e, int code, struct effects *out)
{
    inquiry_end(c, &e->inquiry, COMPLETION_EXPLANATION, code, &e->result, out);
}

/* Times count on and leaders die while the silent ones are waited for: the proposers that answered
 * are asked again, so that the result is of now. */
static void begin_refresh(struct client *c, struct explanation *e, struct effects *out)
{
    e->is_refreshing = 1;
    e->refresh_until = c->now + AGAIN_MS;
    inquiry_ask(c, &e->inquiry, e->inquiry.answered);
    ask_proposers(c, e, out);
    effects_wake(out, e->refresh_until);
}

static void refresh(struct client *c, struct explanation *e, struct effects *out)
{
    if (inquiry_missing_count(&e->inquiry) > 0 && c->now < e->refresh_until) {
        effects_wake(out, e->refresh_until);
        return;
    }
    for (size_t i = 0; i < e->result.proposer_count; i++) {
        if ((e->inquiry.answered & inquiry_proposer(i)) == 0) {
            forget(&e->proposers[i]);
        }
    }
    end(c, e, 0, out);
}

/* Once anybody has answered, a learner too, the cluster is within reach, and proposers that are
 * silent by then are not worth the whole timeout. */
static void collect(struct client *c, struct explanation *e, struct effects *out)
{
    const struct inquiry *inquiry = &e->inquiry;
    time_ms_t patience = inquiry_patience(inquiry);
    if (e->question.id != 0 && c->now < patience) {
        effects_wake(out, patience);
        return;
    }
    cancel_settings(c, e);
    int is_any_answered = inquiry->answered != 0;
    if (inquiry_missing_count(inquiry) == 0 || (is_any_answered && c->now >= patience)) {
        if (c->now - inquiry->began_at > STALE_MS) {
            begin_refresh(c, e, out);
        } else {
            end(c, e, 0, out);
        }
    } else if (c->now >= inquiry->deadline || (e->result.is_settings_known && c->now >= patience)) {
        end(c, e, unavailable(c, "no proposer answered in time"), out);
    } else {
        effects_wake(out, c->now < patience ? patience : inquiry->deadline);
    }
}

static void work(struct client *c, struct inquiry *inquiry, struct effects *out)
{
    struct explanation *e = (struct explanation *)inquiry;
    ask_proposers(c, e, out);
    if (e->is_refreshing) {
        refresh(c, e, out);
    } else {
        collect(c, e, out);
    }
}

static void give_back(struct client *c, struct inquiry *inquiry)
{
    struct explanation *e = (struct explanation *)inquiry;
    cancel_settings(c, e);
    for (size_t i = 0; i < e->result.proposer_count; i++) {
        forget(&e->proposers[i]);
    }
    slice_drop(&e->result.settings);
}

static const struct inquiry_type explanation_type = {work, take, give_back};

uint64_t client_ask_explanation(struct client *c, time_ms_t deadline)
{
    struct explanation *e = memory_calloc(1, sizeof *e);
    const struct client_query query = {
        .op = QUERY_SETTINGS, .consistency = READ_LOCAL, .deadline = TIME_NEVER};
    e->result.proposer_count = c->contacts.proposer_count;
    e->result.proposers = e->proposers;
    e->question.listener.fn = on_settings;
    e->question.explanation = e;
    e->question.id = ask_query(c, &query, &e->question.listener);
    inquiry_ask(c, &e->inquiry, inquiry_proposers(c));
    return inquiry_add(c, &e->inquiry, &explanation_type, deadline);
}
