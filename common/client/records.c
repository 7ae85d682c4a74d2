#include "common/client/handle.h"

#include "common/base/memory.h"

#include <stdlib.h>

/* A read or a tail under way. */
struct reading {
    struct awaited awaited;
    synod_record_fn fn;
    synod_read_end_fn end; /* of an asynchronous one; may be NULL */
    void *arg;
    int is_blocking; /* it is its caller's, who waits for is_done */
    int is_calling;  /* fn is being called: whoever drops it leaves it to the caller of fn */
    int is_dropped;
    int is_done;
    int code;
    int has_log;
    struct synod_log log;
};

/* ---- what comes */

static void note_log(struct reading *r, const struct records_page *page)
{
    if (page != NULL) {
        r->log = (struct synod_log){page->first, page->last, page->applied};
        r->has_log = 1;
    }
}

/* The end of it: nothing is awaited any more. */
static void finish(struct reading *r, int code)
{
    if (r->is_blocking) {
        r->is_done = 1;
        r->code = code;
        return;
    }
    const struct reading over = *r;
    free(r);
    if (over.end != NULL) {
        over.end(over.arg, code, over.has_log ? &over.log : NULL);
    }
}

/* 1 if fn wants no more. */
static int tell_records(struct reading *r, const struct records_page *page)
{
    int is_stopped = 0;
    r->is_calling = 1;
    for (uint32_t i = 0; i < page->count && !is_stopped && !r->is_dropped; i++) {
        const struct slice *record = &page->records[i];
        const void *data = record->size > 0 ? (const void *)record->data : "";
        is_stopped = r->fn(r->arg, page->from + i, data, record->size) != 0;
    }
    r->is_calling = 0;
    return is_stopped;
}

static void on_read(struct synod *s, struct awaited *self, const struct completion *completion)
{
    struct reading *r = (struct reading *)self;
    note_log(r, completion->detail);
    if (completion->kind != COMPLETION_RECORDS) {
        finish(r, completion->code);
        return;
    }
    int is_stopped = tell_records(r, completion->detail);
    if (r->is_dropped) {
        free(r);
    } else if (is_stopped) {
        client_cancel(s->core, r->awaited.id);
        awaited_remove(s, &r->awaited);
        finish(r, SYNOD_OK);
    }
}

static void drop_reading(struct synod *s, struct awaited *self)
{
    struct reading *r = (struct reading *)self;
    if (r->is_calling) {
        r->is_dropped = 1;
    } else if (s->is_closing) {
        finish(r, SYNOD_E_INTERRUPTED);
    } else {
        free(r);
    }
}

/* ---- the calls */

static int check_read(struct synod *s, uint64_t from)
{
    if (from > INT64_MAX) {
        return errmsg_set(&s->err, SYNOD_E_USAGE, "%llu is no index; try: one up to %lld",
                          (unsigned long long)from, (long long)INT64_MAX);
    }
    return handle_check(s);
}

static struct client_read read_of(const struct synod *s, uint64_t from, uint64_t count,
                                  enum synod_consistency consistency)
{
    return (struct client_read){
        .from = from != 0 ? from : 1,
        .count = count,
        .consistency = consistency == SYNOD_LOCAL ? READ_LOCAL : READ_LINEARIZABLE,
        .deadline = handle_deadline(s, 0),
        .timeout_ms = s->timeout_ms,
    };
}

/* What the learner has is enough: a record in it was agreed, and waits for nobody. */
static struct client_read tail_of(const struct synod *s, uint64_t from)
{
    struct client_read read = read_of(s, from, 0, SYNOD_LOCAL);
    read.is_tail = 1;
    read.deadline = TIME_NEVER;
    read.timeout_ms = UINT32_MAX;
    return read;
}

static int run(struct synod *s, const struct client_read *read, struct reading *r)
{
    int rc = handle_may_block(s);
    if (rc != SYNOD_OK) {
        return rc;
    }
    r->is_blocking = 1;
    r->awaited.fn = on_read;
    awaited_add(s, &r->awaited, client_read(s->core, read));
    rc = call_wait(s, &r->is_done);
    if (rc != SYNOD_OK) {
        client_cancel(s->core, r->awaited.id);
        awaited_remove(s, &r->awaited);
    }
    return rc == SYNOD_OK ? r->code : rc;
}

int synod_read(struct synod *s, uint64_t from, uint64_t count, enum synod_consistency consistency,
               synod_record_fn fn, void *arg, struct synod_log *log)
{
    int rc = check_read(s, from);
    if (rc != SYNOD_OK) {
        return rc;
    }
    const struct client_read read = read_of(s, from, count, consistency);
    struct reading r = {.fn = fn, .arg = arg};
    rc = run(s, &read, &r);
    if (log != NULL && (rc == SYNOD_OK || rc == SYNOD_E_NOT_FOUND)) {
        *log = r.log;
    }
    return rc;
}

int synod_tail(struct synod *s, uint64_t from, synod_record_fn fn, void *arg)
{
    int rc = check_read(s, from);
    if (rc != SYNOD_OK) {
        return rc;
    }
    const struct client_read read = tail_of(s, from);
    struct reading r = {.fn = fn, .arg = arg};
    return run(s, &read, &r);
}

static int start(struct synod *s, const struct client_read *read, synod_record_fn fn,
                 synod_read_end_fn end, void *arg, uint64_t *id)
{
    struct reading *r = memory_calloc(1, sizeof *r);
    r->fn = fn;
    r->end = end;
    r->arg = arg;
    r->awaited.fn = on_read;
    r->awaited.drop = drop_reading;
    s->last_id = client_read(s->core, read);
    awaited_add(s, &r->awaited, s->last_id);
    if (id != NULL) {
        *id = s->last_id;
    }
    return SYNOD_OK;
}

int synod_read_async(struct synod *s, uint64_t from, uint64_t count,
                     enum synod_consistency consistency, synod_record_fn fn, synod_read_end_fn end,
                     void *arg, uint64_t *id)
{
    int rc = check_read(s, from);
    if (rc != SYNOD_OK) {
        return rc;
    }
    const struct client_read read = read_of(s, from, count, consistency);
    return start(s, &read, fn, end, arg, id);
}

int synod_tail_async(struct synod *s, uint64_t from, synod_record_fn fn, synod_read_end_fn end,
                     void *arg, uint64_t *id)
{
    int rc = check_read(s, from);
    if (rc != SYNOD_OK) {
        return rc;
    }
    const struct client_read read = tail_of(s, from);
    return start(s, &read, fn, end, arg, id);
}
