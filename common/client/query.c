#include "common/client/query.h"

#include "common/client/client.h"

#include <stdio.h>

/* A learner that owes an answer this long is given up. */
#define QUERY_SILENCE_MS 1000

/* Pause before a question is asked again that the learner could not answer. */
#define QUERY_PAUSE_MS 50

static void finish(struct query *q, int code)
{
    q->is_done = 1;
    q->is_active = 0;
    q->code = code;
}

static void ask(struct synod *s)
{
    struct query *q = &s->query;
    struct message msg = {.kind = MSG_QUERY};
    q->request = ++s->request;
    msg.query = (struct msg_query){
        .request = q->request,
        .op = q->op,
        .consistency = q->consistency == SYNOD_LOCAL ? READ_LOCAL : READ_LINEARIZABLE,
        .body = q->body,
    };
    q->asked_at = s->now;
    q->is_asked = links_send(s, links_learner(s), &msg) == 0;
    if (!q->is_asked) {
        q->not_before = s->now + QUERY_PAUSE_MS;
    }
}

time_ms_t query_work(struct synod *s)
{
    struct query *q = &s->query;
    if (!q->is_active) {
        return TIME_NEVER;
    }
    if (q->is_asked && s->now - q->asked_at >= QUERY_SILENCE_MS) {
        q->is_asked = 0;
        links_change_learner(s);
    }
    if (!q->is_asked && links_learner(s)->is_welcome && s->now >= q->not_before) {
        ask(s);
    }
    if (q->is_asked) {
        return q->asked_at + QUERY_SILENCE_MS;
    }
    return q->not_before > s->now ? q->not_before : TIME_NEVER;
}

static void ask_later(struct synod *s, const char *why)
{
    struct query *q = &s->query;
    snprintf(s->trouble, sizeof s->trouble, "%s", why);
    q->is_asked = 0;
    q->not_before = s->now + QUERY_PAUSE_MS;
    links_change_learner(s); /* this one may be cut off, or behind, alone */
}

void query_on_answer(struct synod *s, const struct message *msg)
{
    struct query *q = &s->query;
    const struct msg_answer *answer = &msg->answer;
    if (!q->is_active || !q->is_asked || answer->request != q->request) {
        return; /* the late answer to a question that was asked again, or is over */
    }
    switch (answer->status) {
    case RESULT_OK:
        buffer_put(q->answer, answer->body);
        q->revision = answer->revision;
        s->revision = answer->revision > s->revision ? answer->revision : s->revision;
        s->trouble[0] = '\0';
        finish(q, SYNOD_OK);
        return;
    case RESULT_NO_QUORUM:
        ask_later(s, "no quorum of acceptors answers the learner; a local read works without");
        return;
    case RESULT_BUSY:
        ask_later(s, "the learner has too many reads waiting");
        return;
    case RESULT_FUTURE:
        if (q->is_revision_known) {
            ask_later(s, "the learner lags behind");
            return;
        }
        break;
    default:
        break;
    }
    q->revision = answer->revision;
    finish(q, answers_code(s, answer->status, answer->revision));
}

struct question query_continued(struct slice body)
{
    return (struct question){QUERY_KV_CONTINUED, body, SYNOD_LOCAL, 1};
}

int query_run(struct synod *s, const struct question *question, time_ms_t deadline,
              uint64_t *revision, struct buffer *answer)
{
    int rc = client_may_block(s);
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct query *q = &s->query;
    *q = (struct query){
        .is_active = 1,
        .op = question->op,
        .body = question->body,
        .consistency = question->consistency,
        .is_revision_known = question->is_revision_known,
        .answer = answer,
    };
    while (!q->is_done) {
        rc = client_turn(s, deadline);
        if (q->is_done) {
            break;
        }
        if (rc == SYNOD_OK && s->now >= deadline) {
            rc = client_unavailable(s, "the question was not answered in time");
        }
        if (rc != SYNOD_OK) {
            finish(q, rc);
        }
    }
    if (revision != NULL) {
        *revision = q->revision;
    }
    return q->code;
}
