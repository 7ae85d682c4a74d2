#include "common/client/handle.h"
#include "common/client/keys.h"

#include "common/base/memory.h"

#include <stdlib.h>

/* ---- one question, one answer */

struct querying {
    struct awaited awaited;
    synod_request_fn fn;
    void *arg;
};

static void on_answer(struct synod *s, struct awaited *self, const struct completion *completion)
{
    const struct querying querying = *(struct querying *)self;
    struct synod_result *result = NULL;
    int code = completion->code;
    free(self);
    if (code == SYNOD_OK) {
        code = keys_take(s, completion->body, completion->value, &result);
    }
    querying.fn(querying.arg, code, result);
    synod_result_free(result);
}

static void drop_query(struct synod *s, struct awaited *self)
{
    const struct querying querying = *(struct querying *)self;
    free(self);
    if (s->is_closing) {
        querying.fn(querying.arg, SYNOD_E_INTERRUPTED, NULL);
    }
}

static int ask(struct synod *s, const struct client_query *question, synod_request_fn fn, void *arg,
               uint64_t *id)
{
    struct querying *querying = memory_calloc(1, sizeof *querying);
    querying->awaited.fn = on_answer;
    querying->awaited.drop = drop_query;
    querying->fn = fn;
    querying->arg = arg;
    s->last_id = client_query(s->core, question);
    awaited_add(s, &querying->awaited, s->last_id);
    if (id != NULL) {
        *id = s->last_id;
    }
    return SYNOD_OK;
}

int synod_query_async(struct synod *s, const struct synod_request *request,
                      enum synod_consistency consistency, uint32_t timeout_ms, synod_request_fn fn,
                      void *arg, uint64_t *id)
{
    struct buffer body = {0};
    int is_read_only = 0;
    int rc = handle_check(s);
    if (rc == SYNOD_OK) {
        rc = keys_encode(s, request, &body, &is_read_only);
    }
    if (rc == SYNOD_OK && !is_read_only) {
        rc = errmsg_set(&s->err, SYNOD_E_USAGE,
                        "a request that changes something is no question (it goes through the "
                        "log); try: synod_request_async");
    }
    if (rc == SYNOD_OK) {
        const struct client_query question = {.op = QUERY_KV,
                                              .body = buffer_slice(&body),
                                              .consistency = keys_consistency(consistency),
                                              .deadline = handle_deadline(s, timeout_ms)};
        rc = ask(s, &question, fn, arg, id);
    }
    buffer_close(&body);
    return rc;
}

/* ---- a range, page by page */

struct ranging {
    struct awaited awaited;
    synod_page_fn fn;
    void *arg;
    int is_calling; /* fn is being called: whoever drops it leaves it to the caller of fn */
    int is_dropped;
};

/* 1 if fn wants no more. */
static int tell_page(struct ranging *r, const struct range_page *page)
{
    struct synod_kv *kvs = memory_calloc(page->kv_count > 0 ? page->kv_count : 1, sizeof *kvs);
    struct slice rest = page->kvs;
    struct kv kv;
    size_t count = 0;
    while (count < page->kv_count && kv_next(&rest, &kv) == 1) {
        kvs[count++] = keys_kv(&kv);
    }
    const struct synod_page told = {
        .revision = page->revision,
        .count = page->count,
        .kvs = kvs,
        .kv_count = count,
        .more = page->more,
        .is_last = page->is_last,
    };
    r->is_calling = 1;
    int is_stopped = r->fn(r->arg, SYNOD_OK, &told) != 0;
    r->is_calling = 0;
    free(kvs);
    return is_stopped;
}

static void on_page(struct synod *s, struct awaited *self, const struct completion *completion)
{
    struct ranging *r = (struct ranging *)self;
    if (completion->kind != COMPLETION_RANGE) {
        const struct ranging over = *r;
        free(r);
        if (completion->code != SYNOD_OK) { /* else its last page has told that */
            over.fn(over.arg, completion->code, NULL);
        }
        return;
    }
    int is_stopped = tell_page(r, completion->detail);
    if (is_stopped && !r->is_dropped) {
        client_cancel(s->core, r->awaited.id);
        awaited_remove(s, &r->awaited);
        r->is_dropped = 1;
    }
    if (r->is_dropped) {
        free(r);
    }
}

static void drop_range(struct synod *s, struct awaited *self)
{
    struct ranging *r = (struct ranging *)self;
    if (r->is_calling) {
        r->is_dropped = 1;
        return;
    }
    const struct ranging over = *r;
    free(r);
    if (s->is_closing) {
        over.fn(over.arg, SYNOD_E_INTERRUPTED, NULL);
    }
}

static void start(struct synod *s, const struct client_range *range, synod_page_fn fn, void *arg,
                  uint64_t *id)
{
    struct ranging *r = memory_calloc(1, sizeof *r);
    r->awaited.fn = on_page;
    r->awaited.drop = drop_range;
    r->fn = fn;
    r->arg = arg;
    s->last_id = client_range(s->core, range);
    awaited_add(s, &r->awaited, s->last_id);
    if (id != NULL) {
        *id = s->last_id;
    }
}

int synod_range_async(struct synod *s, const struct synod_range_op *op,
                      enum synod_consistency consistency, uint32_t timeout_ms, synod_page_fn fn,
                      void *arg, uint64_t *id)
{
    struct buffer body = {0};
    int is_read_only = 0;
    const struct synod_request request = {.op = SYNOD_RANGE, .as.range = *op};
    int rc = handle_check(s);
    if (rc == SYNOD_OK) {
        rc = keys_encode(s, &request, &body, &is_read_only); /* checks it */
    }
    buffer_close(&body);
    if (rc == SYNOD_OK) {
        const struct client_range range = {
            .range = keys_range(op),
            .consistency = keys_consistency(consistency),
            .deadline = handle_deadline(s, timeout_ms),
            .timeout_ms = timeout_ms != 0 ? timeout_ms : s->timeout_ms,
        };
        start(s, &range, fn, arg, id);
    }
    return rc;
}
