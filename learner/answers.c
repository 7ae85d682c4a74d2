/* The answers to the questions of clients, from what is applied and in the store. */
#include "learner/state.h"

static struct message *reply_to(const struct question *question, enum message_kind kind,
                                struct effects *out)
{
    struct message *msg = effects_send(out, SEND_NOW, question->client, kind);
    msg->echo = question->incarnation;
    return msg;
}

static size_t page_bytes(uint32_t wanted)
{
    return wanted < PAGE_BYTES_TARGET ? wanted : PAGE_BYTES_TARGET;
}

/* ---- records of the log */

static void send_records(struct learner *l, const struct question *question,
                         enum read_status status, struct effects *out)
{
    const struct msg_read *read = &question->ask.read;
    struct slice *records = NULL;
    uint32_t count = 0;
    uint64_t last = machine_last_index(l->machine);
    if (status == READ_OK) {
        machine_read(l->machine, read->from, read->count, page_bytes(read->bytes_max), &records,
                     &count, out);
        if (count > 0 && count != read->count && read->from + count <= last) {
            effects_mark(out, MARK_READ_PAGE_FULL);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        l->answer_bytes += records[i].size;
    }
    struct message *msg = reply_to(question, MSG_RECORDS, out);
    msg->records = (struct msg_records){.request = read->request,
                                        .status = status,
                                        .first = 1,
                                        .last = last,
                                        .applied = machine_applied(l->machine),
                                        .from = read->from,
                                        .record_count = count,
                                        .records = records};
}

/* 1 if there are records, or nobody waits for them any longer. */
static int answer_read(struct learner *l, const struct question *question, time_ms_t now,
                       struct effects *out)
{
    const struct msg_read *read = &question->ask.read;
    int has_records = read->from <= machine_last_index(l->machine);
    if (!has_records && now < question->wait_until) {
        effects_mark(out, MARK_LONG_POLL_WAITS);
        return 0;
    }
    if (!has_records && read->wait_ms > 0) {
        effects_mark(out, MARK_LONG_POLL_EXPIRED);
    }
    send_records(l, question, READ_OK, out);
    return 1;
}

/* ---- keys and leases */

static void send_answer(struct learner *l, const struct question *question,
                        const struct query_answer *answer, struct effects *out)
{
    l->answer_bytes += answer->body.size;
    struct message *msg = reply_to(question, MSG_ANSWER, out);
    msg->answer = (struct msg_answer){.request = question->ask.query.request,
                                      .status = answer->status,
                                      .applied = machine_applied(l->machine),
                                      .revision = answer->revision,
                                      .body = answer->body};
}

static int answer_query(struct learner *l, const struct question *question, time_ms_t now,
                        struct effects *out)
{
    const struct msg_query *query = &question->ask.query;
    struct query_answer answer = {0};
    machine_query(l->machine, (enum query_op)query->op, query->body,
                  (uint64_t)(now - l->stamp_seen_at), &answer, out);
    send_answer(l, question, &answer, out);
    return 1;
}

/* ---- what changed */

static void send_events(struct learner *l, const struct question *question,
                        const struct events_page *page, struct effects *out)
{
    uint64_t revision = page->status == RESULT_COMPACTED ? machine_compacted(l->machine)
                                                         : machine_revision(l->machine);
    l->answer_bytes += page->events.size;
    struct message *msg = reply_to(question, MSG_EVENTS, out);
    msg->events = (struct msg_events){.request = question->ask.watch.request,
                                      .status = page->status,
                                      .revision = revision,
                                      .next_revision = page->next_revision,
                                      .next_sub = page->next_sub,
                                      .events = page->events};
}

/* 1 if the place from which the client has asked is compacted: it has to hear of the present one as
 * long as it could go on from there at another learner, which sweeps it soon. */
static int has_old_place(const struct learner *l, const struct question *question)
{
    return question->asked_revision < machine_compacted(l->machine) &&
           question->ask.watch.revision > question->asked_revision;
}

/* A watch that finds nothing waits from where it has looked, so that nothing is read twice. */
static int answer_watch(struct learner *l, struct question *question, time_ms_t now,
                        struct effects *out)
{
    struct msg_watch *watch = &question->ask.watch;
    struct events_page page;
    uint64_t revision = machine_revision(l->machine);
    machine_events(l->machine, watch, &page, out);
    if (page.status == RESULT_OK && page.count == 0) {
        watch->revision = page.next_revision;
        watch->sub = page.next_sub;
        watch->flags |= WATCH_CONTINUED;   /* it has begun */
        if (watch->revision <= revision) { /* a long way to look: a piece of it each turn */
            l->has_more_to_scan = 1;
            return 0;
        }
        if (now < question->wait_until && !has_old_place(l, question)) {
            effects_mark(out, MARK_WATCH_WAITS);
            return 0;
        }
    }
    if (page.status == RESULT_COMPACTED) {
        effects_mark(out, MARK_WATCH_COMPACTED);
    }
    send_events(l, question, &page, out);
    return 1;
}

/* ---- all kinds */

int answer_question(struct learner *l, struct question *question, time_ms_t now,
                    struct effects *out)
{
    switch (question->kind) {
    case MSG_READ:
        return answer_read(l, question, now, out);
    case MSG_QUERY:
        return answer_query(l, question, now, out);
    default:
        return answer_watch(l, question, now, out);
    }
}

void answer_failure(struct learner *l, const struct question *question, enum answer_failure failure,
                    struct effects *out)
{
    enum result_status status = failure == ANSWER_BUSY ? RESULT_BUSY : RESULT_NO_QUORUM;
    if (question->kind == MSG_READ) {
        send_records(l, question, failure == ANSWER_BUSY ? READ_BUSY : READ_NO_QUORUM, out);
    } else if (question->kind == MSG_QUERY) {
        send_answer(
            l, question,
            &(struct query_answer){.status = status, .revision = machine_revision(l->machine)},
            out);
    } else {
        send_events(l, question,
                    &(struct events_page){.status = status,
                                          .next_revision = question->ask.watch.revision,
                                          .next_sub = question->ask.watch.sub},
                    out);
    }
}
