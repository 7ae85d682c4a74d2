#include "common/client/core/state.h"

#include "common/base/mutant.h"

/* ---- queries: of keys, leases and settings. They change nothing, so that one without an answer is
 * simply asked again, of another learner if need be. */

uint64_t ask_query(struct client *c, const struct client_query *query, struct listener *listener)
{
    struct question *q = question_new(c, QUESTION_QUERY, listener, query->deadline);
    q->query.op = query->op;
    q->query.body = slice_keep(query->body);
    q->query.consistency = query->consistency;
    q->query.is_revision_known = query->is_revision_known;
    question_start(c, q);
    return q->pending.id;
}

uint64_t client_query(struct client *c, const struct client_query *query)
{
    return ask_query(c, query, NULL);
}

void query_put(struct client *c, const struct question *q, struct message *msg)
{
    (void)c;
    msg->query.op = (uint32_t)q->query.op;
    msg->query.consistency = (uint32_t)q->query.consistency;
}

void query_take(struct client *c, struct question *q, const struct message *msg,
                struct effects *out)
{
    const struct msg_answer *asked = &msg->answer;
    struct answer answer = {
        .kind = COMPLETION_ANSWER, .value = asked->revision, .body = asked->body};
    switch (asked->status) {
    case RESULT_OK:
        questions_note_revision(c, asked->revision);
        note_trouble(c, "%s", "");
        break;
    case RESULT_NO_QUORUM:
        question_rest(c, q,
                      "no quorum of acceptors answers the learner; a local read works without");
        return;
    case RESULT_BUSY:
        question_rest_busy(c, q);
        return;
    case RESULT_FUTURE:
        if (q->query.is_revision_known && !MUTANT(client_lagging_learner_believed)) {
            question_rest(c, q, "the learner lags behind");
            return;
        }
        answer.code = results_code(c, asked->status, asked->revision);
        break;
    default:
        answer.code = results_code(c, asked->status, asked->revision);
        break;
    }
    question_end(c, q, &answer, out);
}

/* ---- reads of records */

uint64_t ask_read(struct client *c, const struct client_read *read, struct listener *listener)
{
    struct question *q = question_new(c, QUESTION_READ, listener, read->deadline);
    q->read.from = read->from;
    q->read.until = UINT64_MAX;
    if (!read->is_tail && read->count != 0 && read->count - 1 < UINT64_MAX - read->from) {
        q->read.until = read->from + read->count - 1;
    }
    q->read.consistency = read->consistency;
    q->read.is_tail = read->is_tail;
    q->read.timeout_ms = read->timeout_ms;
    question_start(c, q);
    return q->pending.id;
}

uint64_t client_read(struct client *c, const struct client_read *read)
{
    return ask_read(c, read, NULL);
}

void read_put(struct client *c, const struct question *q, struct message *msg)
{
    uint64_t left = q->read.until - q->read.from;
    int is_local =
        q->read.consistency == READ_LOCAL || q->read.local_at == contacts_learner(c)->peer.id;
    msg->read = (struct msg_read){
        .from = q->read.from,
        .count = left < UINT64_MAX ? left + 1 : 0,
        .bytes_max = c->options.page_bytes,
        .wait_ms = q->read.is_tail ? c->options.poll_wait_ms : 0,
        .consistency = (uint32_t)(is_local ? READ_LOCAL : READ_LINEARIZABLE),
    };
}

static void end_read(struct client *c, struct question *q, int code, const struct msg_records *page,
                     struct effects *out)
{
    struct records_page *log = effects_alloc(out, sizeof *log);
    *log = (struct records_page){
        .from = page->from, .first = page->first, .last = page->last, .applied = page->applied};
    const struct answer answer = {.kind = COMPLETION_READ, .code = code, .detail = log};
    question_end(c, q, &answer, out);
}

/* What a refused page means; the read is tried again until its deadline where that may help. */
static void take_refusal(struct client *c, struct question *q, const struct msg_records *page,
                         struct effects *out)
{
    switch (page->status) {
    case READ_TRIMMED:
        end_read(c, q,
                 errmsg_set(&c->err, ERROR_NOT_FOUND,
                            "record %llu is gone (the log was trimmed, the oldest kept is %llu); "
                            "try: from %llu",
                            (unsigned long long)q->read.from, (unsigned long long)page->first,
                            (unsigned long long)page->first),
                 page, out);
        break;
    case READ_NO_QUORUM:
        question_rest(c, q,
                      "no quorum of acceptors answers the learner; a local read works without");
        break;
    default:
        question_rest_busy(c, q);
        break;
    }
}

/* The first page says where the log ends, which bounds a read that is not a tail. */
static void note_first_page(struct question *q, const struct msg_records *page)
{
    if (!q->read.has_page) {
        q->read.has_page = 1;
        if (!q->read.is_tail && page->last < q->read.until && !MUTANT(client_read_waits_for_more)) {
            q->read.until = page->last;
        }
    }
}

static void tell_records(struct client *c, struct listener *listener, uint64_t id,
                         const struct msg_records *page, struct effects *out)
{
    struct records_page *told = effects_alloc(out, sizeof *told);
    *told = (struct records_page){.from = page->from,
                                  .count = page->record_count,
                                  .records = page->records,
                                  .first = page->first,
                                  .last = page->last,
                                  .applied = page->applied};
    const struct answer answer = {.kind = COMPLETION_RECORDS, .detail = told};
    tell_listener(c, listener, id, &answer, out);
}

void read_take(struct client *c, struct question *q, const struct message *msg, struct effects *out)
{
    const struct msg_records *page = &msg->records;
    uint64_t id = q->pending.id;
    if (page->status != READ_OK) {
        take_refusal(c, q, page, out);
        return;
    }
    if (page->record_count > 0 &&
        (page->from != q->read.from || page->record_count - 1 > q->read.until - q->read.from)) {
        end_read(c, q,
                 errmsg_set(&c->err, ERROR_CORRUPT,
                            "learner %llu sent records that were not asked for (a bug)",
                            (unsigned long long)msg->from.id),
                 page, out);
        return;
    }
    note_first_page(q, page);
    note_trouble(c, "%s", "");
    q->read.local_at = msg->from.id;
    q->read.from += page->record_count;
    int is_last = q->read.from > q->read.until;
    struct listener *listener = q->listener;
    if (!is_last) {
        question_set_deadline(c, q, time_after(c->now, q->read.timeout_ms));
    }
    if (!is_last && page->record_count == 0 && !q->read.is_tail) {
        question_rest(c, q, "the learner lags behind"); /* the one before had more */
    } else if (!is_last) {
        question_again(c, q, out); /* the next page is on its way while this one is being used */
    }
    if (page->record_count > 0) {
        tell_records(c, listener, id, page, out);
    }
    q = (struct question *)pending_find(c, id, PENDING_QUESTION);
    if (is_last && q != NULL) {
        end_read(c, q, 0, page, out);
    }
}
