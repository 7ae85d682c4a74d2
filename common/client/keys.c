#include "common/client/keys.h"

#include "common/base/memory.h"
#include "common/client/client.h"

#include <stdlib.h>

static int decode(struct synod *s, struct slice bytes, uint64_t revision, struct synod_result **out)
{
    struct synod_result *result = keys_decode(bytes, revision);
    if (result == NULL) {
        return errmsg_set(&s->err, SYNOD_E_CORRUPT, "a response on keys is malformed (a bug)");
    }
    s->revision = revision > s->revision ? revision : s->revision;
    if (out != NULL) {
        *out = result;
    } else {
        synod_result_free(result);
    }
    return SYNOD_OK;
}

/* ---- ranges in pages */

/* What a range may amount to in this process. */
#define RANGE_BYTES_MAX ((size_t)1024 * MIB)

/* A range that is being read. A page that is full has fewer keys than limit and count allow. */
struct paging {
    struct synod_range_op op; /* what is still to be asked for */
    struct buffer key;        /* where op.key or op.end lies */
    struct buffer kvs;        /* of all pages */
    uint64_t kv_count, count, revision;
    int more;
    int is_continued; /* the next page goes on with an answer that was there before */
};

/* 1 if the rest can be asked for: a page of keys in another order does not say where it ended. */
static int is_by_key(const struct synod_range_op *op)
{
    return op->target == SYNOD_BY_KEY;
}

/* Takes the page in. 1 if there is more to ask for, 0 if not, or a negative code. */
static int take_page(struct synod *s, struct paging *p, struct slice page, uint64_t revision)
{
    struct kv_response response;
    struct kv last = {0};
    if (kv_next_response(&page, &response) != 1 || page.size != 0 || response.op != KV_RANGE ||
        keys_check_kvs(response.items, response.item_count, &last) != 0) {
        return errmsg_set(&s->err, SYNOD_E_CORRUPT, "a page of keys is malformed (a bug)");
    }
    if (p->revision == 0) {
        p->revision = revision;
        p->count = response.count;
    }
    if (p->kvs.size + response.items.size > RANGE_BYTES_MAX) {
        return answers_code(s, RESULT_TOO_LARGE, 0);
    }
    p->more = response.more;
    p->kv_count += response.item_count;
    buffer_put(&p->kvs, response.items);
    struct synod_range_op *op = &p->op;
    if (response.item_count == 0 || response.item_count >= response.count ||
        (op->limit != 0 && response.item_count >= op->limit)) {
        return 0;
    }
    if (!is_by_key(op)) {
        return answers_code(s, RESULT_TOO_LARGE, 0);
    }
    p->key.size = 0;
    buffer_put(&p->key, last.key);
    if (op->order == SYNOD_ORDER_DESCEND) {
        op->end = keys_bytes(buffer_slice(&p->key));
    } else {
        buffer_put_u8(&p->key, 0); /* the first key behind it */
        op->key = keys_bytes(buffer_slice(&p->key));
    }
    op->limit -= op->limit != 0 ? response.item_count : 0;
    op->revision = op->revision != 0 ? op->revision : revision;
    op->no_count = 1; /* the first page has counted them all */
    return 1;
}

/* Makes one response of all pages. */
static int finish_pages(struct synod *s, struct paging *p, struct synod_result **out)
{
    struct buffer response = {0};
    size_t mark = kv_begin_response(&response, KV_RANGE);
    buffer_put_u64(&response, p->count);
    buffer_put_u8(&response, p->more ? 1 : 0);
    buffer_put_u32(&response, (uint32_t)p->kv_count);
    buffer_put(&response, buffer_slice(&p->kvs));
    kv_end_response(&response, mark);
    int rc = decode(s, buffer_slice(&response), p->revision, out);
    buffer_close(&response);
    return rc;
}

/* What a revision held never changes: with that of an earlier answer, any learner will do. */
static struct question continued(struct slice body)
{
    return (struct question){QUERY_KV_CONTINUED, body, SYNOD_LOCAL, 1};
}

/* The deadline starts again with every page. */
static int ask_page(struct synod *s, struct paging *p, enum synod_consistency consistency,
                    time_ms_t deadline)
{
    int is_first = p->revision == 0;
    struct buffer body = {0};
    struct buffer page = {0};
    const struct synod_request request = {.op = SYNOD_RANGE, .as.range = p->op};
    int is_read_only = 0;
    int rc = keys_encode(s, &request, &body, &is_read_only);
    if (rc == SYNOD_OK) {
        const struct question question =
            p->is_continued ? continued(buffer_slice(&body))
                            : (struct question){QUERY_KV, buffer_slice(&body), consistency, 0};
        uint64_t revision = 0;
        time_ms_t from_now = client_deadline(client_now(), s->timeout_ms);
        rc = query_run(s, &question, is_first || deadline > from_now ? deadline : from_now,
                       &revision, &page);
        if (rc == SYNOD_OK) {
            rc = take_page(s, p, buffer_slice(&page), revision);
            p->is_continued = 1;
        }
    }
    buffer_close(&body);
    buffer_close(&page);
    return rc;
}

static int run_pages(struct synod *s, struct paging *p, enum synod_consistency consistency,
                     time_ms_t deadline, struct synod_result **out)
{
    int rc;
    do {
        rc = ask_page(s, p, consistency, deadline);
    } while (rc == 1);
    if (rc == SYNOD_OK) {
        rc = finish_pages(s, p, out);
    }
    buffer_close(&p->key);
    buffer_close(&p->kvs);
    return rc;
}

static int run_range(struct synod *s, const struct synod_range_op *op,
                     enum synod_consistency consistency, time_ms_t deadline,
                     struct synod_result **out)
{
    int rc;
    do {
        struct paging p = {.op = *op};
        rc = run_pages(s, &p, consistency, deadline, out);
        /* Whoever asks for the keys as they are now must not hear of compactions in between, were
         * they so old already that their history was swept. */
    } while (rc == SYNOD_E_COMPACTED && op->revision == 0 && client_now() < deadline);
    return rc;
}

/* ---- the public calls */

static int run_query(struct synod *s, const struct question *question, time_ms_t deadline,
                     struct synod_result **out)
{
    struct buffer answer = {0};
    uint64_t revision = 0;
    int rc = query_run(s, question, deadline, &revision, &answer);
    if (rc == SYNOD_OK) {
        rc = decode(s, buffer_slice(&answer), revision, out);
    }
    buffer_close(&answer);
    return rc;
}

static int run_command(struct synod *s, struct slice body, time_ms_t deadline,
                       struct synod_result **out)
{
    struct buffer response = {0};
    uint64_t revision = 0;
    int rc = call_run(s, COMMAND_KV, body, deadline, &revision, &response);
    if (rc == SYNOD_OK) {
        rc = decode(s, buffer_slice(&response), revision, out);
    }
    buffer_close(&response);
    return rc;
}

int keys_run(struct synod *s, const struct synod_request *request,
             enum synod_consistency consistency, time_ms_t deadline, struct synod_result **out)
{
    struct buffer body = {0};
    int is_read_only = 0;
    int rc = keys_encode(s, request, &body, &is_read_only);
    if (rc == SYNOD_OK && request->op == SYNOD_RANGE) {
        rc = run_range(s, &request->as.range, consistency, deadline, out);
    } else if (rc == SYNOD_OK && is_read_only) {
        const struct question question = {QUERY_KV, buffer_slice(&body), consistency, 0};
        rc = run_query(s, &question, deadline, out);
    } else if (rc == SYNOD_OK) {
        rc = run_command(s, buffer_slice(&body), deadline, out);
    }
    buffer_close(&body);
    return rc;
}

int keys_continue(struct synod *s, const struct synod_request *request, time_ms_t deadline,
                  struct synod_result **out)
{
    struct buffer body = {0};
    int is_read_only = 0;
    int rc = keys_encode(s, request, &body, &is_read_only);
    CHECK(rc != SYNOD_OK || is_read_only);
    if (rc == SYNOD_OK && request->op == SYNOD_RANGE) {
        struct paging p = {.op = request->as.range, .is_continued = 1};
        rc = run_pages(s, &p, SYNOD_LOCAL, deadline, out);
    } else if (rc == SYNOD_OK) {
        const struct question question = continued(buffer_slice(&body));
        rc = run_query(s, &question, deadline, out);
    }
    buffer_close(&body);
    return rc;
}

void keys_post(struct synod *s, const struct synod_request *request)
{
    struct buffer body = {0};
    int is_read_only = 0;
    if (keys_encode(s, request, &body, &is_read_only) == SYNOD_OK) {
        call_post(s, COMMAND_KV, buffer_slice(&body));
    }
    buffer_close(&body);
}

int synod_request(struct synod *s, const struct synod_request *request,
                  enum synod_consistency consistency, struct synod_result **out)
{
    return keys_run(s, request, consistency, client_deadline(client_now(), s->timeout_ms), out);
}

/* An asynchronous request under way. */
struct requesting {
    struct synod *s;
    synod_request_fn fn;
    void *arg;
};

static void on_requested(void *arg, int code, uint64_t value)
{
    struct requesting requesting = *(struct requesting *)arg;
    struct synod_result *result = NULL;
    free(arg);
    if (code == SYNOD_OK) {
        code = decode(requesting.s, requesting.s->body, value, &result);
    }
    requesting.fn(requesting.arg, code, result);
    synod_result_free(result);
}

int synod_request_async(struct synod *s, const struct synod_request *request, uint32_t timeout_ms,
                        synod_request_fn fn, void *arg)
{
    struct buffer body = {0};
    struct requesting *requesting = NULL;
    int is_read_only = 0;
    int rc = call_check(s);
    if (rc == SYNOD_OK) {
        rc = keys_encode(s, request, &body, &is_read_only);
    }
    if (rc == SYNOD_OK && is_read_only) {
        rc = errmsg_set(&s->err, SYNOD_E_USAGE,
                        "a request that changes nothing is not sent through the log; try: "
                        "synod_request");
    }
    if (rc == SYNOD_OK) {
        if (fn != NULL) {
            requesting = memory_alloc(sizeof *requesting);
            *requesting = (struct requesting){s, fn, arg};
        }
        rc = submit_add(s, COMMAND_KV, body.data, body.size, call_deadline(s, timeout_ms),
                        fn != NULL ? on_requested : NULL, requesting);
        if (rc != SYNOD_OK) {
            free(requesting);
        }
    }
    buffer_close(&body);
    return rc;
}

int synod_put(struct synod *s, struct synod_bytes key, struct synod_bytes value, uint64_t lease,
              uint64_t *revision)
{
    const struct synod_request request = {.op = SYNOD_PUT,
                                          .as.put = {.key = key, .value = value, .lease = lease}};
    struct synod_result *result = NULL;
    int rc = synod_request(s, &request, SYNOD_LINEARIZABLE, &result);
    if (rc == SYNOD_OK && revision != NULL) {
        *revision = result->revision;
    }
    synod_result_free(result);
    return rc;
}

int synod_get(struct synod *s, struct synod_bytes key, struct synod_result **out)
{
    const struct synod_request request = {.op = SYNOD_RANGE, .as.range = {.key = key}};
    return synod_request(s, &request, SYNOD_LINEARIZABLE, out);
}

int synod_delete(struct synod *s, struct synod_bytes key, uint64_t *deleted)
{
    const struct synod_request request = {.op = SYNOD_DELETE, .as.del = {.key = key}};
    struct synod_result *result = NULL;
    int rc = synod_request(s, &request, SYNOD_LINEARIZABLE, &result);
    if (rc == SYNOD_OK && deleted != NULL) {
        *deleted = result->response.count;
    }
    synod_result_free(result);
    return rc;
}

int synod_compact(struct synod *s, uint64_t revision)
{
    struct buffer payload = {0};
    buffer_put_u64(&payload, revision);
    int rc = call_run(s, COMMAND_COMPACT, buffer_slice(&payload),
                      client_deadline(client_now(), s->timeout_ms), NULL, NULL);
    buffer_close(&payload);
    return rc;
}
