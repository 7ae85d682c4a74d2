#include "common/client/client.h"

#include <stdio.h>

/* A learner that owes a page this long, beyond what it was allowed to wait, is given up. */
#define READ_SILENCE_MS 1000

/* Pause before a read is tried again that the learner could not serve. */
#define READ_PAUSE_MS 50

static void finish(struct reading *r, int code)
{
    r->is_done = 1;
    r->is_active = 0;
    r->code = code;
}

static void ask(struct synod *s)
{
    struct reading *r = &s->reading;
    struct message msg = {.kind = MSG_READ};
    uint64_t left = r->until - r->from;
    enum read_consistency consistency =
        r->consistency == SYNOD_LINEARIZABLE && r->local_at != links_learner(s)->peer.id
            ? READ_LINEARIZABLE
            : READ_LOCAL;
    r->request = ++s->request;
    msg.read = (struct msg_read){
        .request = r->request,
        .from = r->from,
        .count = left < UINT64_MAX ? left + 1 : 0,
        .bytes_max = PAGE_BYTES_TARGET,
        .wait_ms = r->is_tail ? TAIL_WAIT_MS : 0,
        .consistency = consistency,
    };
    r->asked_at = s->now;
    r->is_asked = links_send(s, links_learner(s), &msg) == 0;
    if (!r->is_asked) {
        r->not_before = s->now + READ_PAUSE_MS;
    }
}

time_ms_t read_work(struct synod *s)
{
    struct reading *r = &s->reading;
    if (!r->is_active) {
        return TIME_NEVER;
    }
    time_ms_t silence_ms = READ_SILENCE_MS + (r->is_tail ? TAIL_WAIT_MS : 0);
    if (r->is_asked && s->now - r->asked_at >= silence_ms) {
        r->is_asked = 0;
        links_change_learner(s);
    }
    if (!r->is_asked && links_learner(s)->is_welcome && s->now >= r->not_before) {
        ask(s);
    }
    if (r->is_asked) {
        return r->asked_at + silence_ms;
    }
    return r->not_before > s->now ? r->not_before : TIME_NEVER;
}

/* What a refused page means; the read is tried again until its deadline where that may help. */
static void on_bad_status(struct synod *s, const struct msg_records *page)
{
    struct reading *r = &s->reading;
    switch (page->status) {
    case READ_TRIMMED:
        finish(r, errmsg_set(&s->err, SYNOD_E_NOT_FOUND,
                             "record %llu is gone (the log was trimmed, the oldest kept is %llu); "
                             "try: from %llu",
                             (unsigned long long)r->from, (unsigned long long)page->first,
                             (unsigned long long)page->first));
        return;
    case READ_NO_QUORUM:
        snprintf(s->trouble, sizeof s->trouble,
                 "no quorum of acceptors answers the learner; a local read works without");
        break;
    default:
        snprintf(s->trouble, sizeof s->trouble, "the learner has too many reads waiting");
        break;
    }
    r->is_asked = 0;
    r->not_before = s->now + READ_PAUSE_MS;
}

/* The first page says where the log ends, which bounds a read that is not a tail. */
static void note_first_page(struct reading *r, const struct msg_records *page)
{
    if (!r->has_page) {
        r->has_page = 1;
        if (!r->is_tail && page->last < r->until) {
            r->until = page->last;
        }
    }
}

static void deliver(struct reading *r, const struct msg_records *page)
{
    for (uint32_t i = 0; i < page->record_count; i++) {
        const struct slice *record = &page->records[i];
        const void *data = record->size > 0 ? (const void *)record->data : "";
        if (r->fn(r->arg, page->from + i, data, record->size) != 0) {
            finish(r, SYNOD_OK);
            return;
        }
    }
}

void read_on_records(struct synod *s, const struct message *msg)
{
    struct reading *r = &s->reading;
    const struct msg_records *page = &msg->records;
    if (!r->is_active || !r->is_asked || page->request != r->request) {
        return; /* the late answer to a read that was asked again, or is over */
    }
    r->log = (struct synod_log){page->first, page->last, page->applied};
    if (page->status != READ_OK) {
        on_bad_status(s, page);
        return;
    }
    if (page->record_count > 0 &&
        (page->from != r->from || page->record_count - 1 > r->until - r->from)) {
        finish(r, errmsg_set(&s->err, SYNOD_E_CORRUPT,
                             "learner %llu sent records that were not asked for (a bug)",
                             (unsigned long long)msg->from.id));
        return;
    }
    note_first_page(r, page);
    r->is_asked = 0;
    r->local_at = msg->from.id;
    r->progress_at = s->now;
    s->trouble[0] = '\0';
    r->from += page->record_count;
    int is_last = r->from > r->until;
    if (!is_last && page->record_count > 0) {
        ask(s); /* the next page is on its way while this one is being used */
    } else if (!is_last && !r->is_tail) {
        r->not_before = s->now + READ_PAUSE_MS; /* another learner, which lags behind */
    }
    deliver(r, page);
    if (r->is_active && is_last) {
        finish(r, SYNOD_OK);
    }
}

/* Runs the reading to its end. timeout_ms counts from the last page. */
static int run(struct synod *s, uint32_t timeout_ms)
{
    struct reading *r = &s->reading;
    while (!r->is_done) {
        time_ms_t deadline = client_deadline(r->progress_at, timeout_ms);
        int rc = client_turn(s, deadline);
        if (r->is_done) {
            break;
        }
        if (rc == SYNOD_OK && s->now >= client_deadline(r->progress_at, timeout_ms)) {
            rc = client_unavailable(s, "the read was not answered in time");
        }
        if (rc != SYNOD_OK) {
            finish(r, rc);
        }
    }
    return r->code;
}

static struct reading *start(struct synod *s, uint64_t from, synod_record_fn fn, void *arg)
{
    s->now = client_now();
    s->reading = (struct reading){
        .is_active = 1,
        .from = from != 0 ? from : 1,
        .until = UINT64_MAX,
        .fn = fn,
        .arg = arg,
        .progress_at = s->now,
    };
    return &s->reading;
}

static int check_read(struct synod *s, uint64_t from)
{
    if (from > INT64_MAX) {
        return errmsg_set(&s->err, SYNOD_E_USAGE, "%llu is no index; try: one up to %lld",
                          (unsigned long long)from, (long long)INT64_MAX);
    }
    return client_may_block(s);
}

int synod_read(struct synod *s, uint64_t from, uint64_t count, enum synod_consistency consistency,
               synod_record_fn fn, void *arg, struct synod_log *log)
{
    int rc = check_read(s, from);
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct reading *r = start(s, from, fn, arg);
    r->consistency = consistency;
    if (count != 0 && count - 1 < UINT64_MAX - r->from) {
        r->until = r->from + count - 1;
    }
    rc = run(s, s->timeout_ms);
    if (log != NULL && (rc == SYNOD_OK || rc == SYNOD_E_NOT_FOUND)) {
        *log = r->log;
    }
    return rc;
}

int synod_tail(struct synod *s, uint64_t from, synod_record_fn fn, void *arg)
{
    int rc = check_read(s, from);
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct reading *r = start(s, from, fn, arg);
    r->consistency = SYNOD_LOCAL;
    r->is_tail = 1;
    return run(s, UINT32_MAX);
}
