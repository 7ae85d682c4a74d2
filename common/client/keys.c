#include "common/client/keys.h"

#include "common/base/memory.h"
#include "common/client/client.h"

#include <stdlib.h>

int keys_take(struct synod *s, struct slice bytes, uint64_t revision, struct synod_result **out)
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

/* ---- the public calls */

static int run_query(struct synod *s, const struct question *question, time_ms_t deadline,
                     struct synod_result **out)
{
    struct buffer answer = {0};
    uint64_t revision = 0;
    int rc = query_run(s, question, deadline, &revision, &answer);
    if (rc == SYNOD_OK) {
        rc = keys_take(s, buffer_slice(&answer), revision, out);
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
        rc = keys_take(s, buffer_slice(&response), revision, out);
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
        rc = range_run(s, &request->as.range, consistency, deadline, out);
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
        rc = range_continue(s, &request->as.range, deadline, out);
    } else if (rc == SYNOD_OK) {
        const struct question question = query_continued(buffer_slice(&body));
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
        code = keys_take(requesting.s, requesting.s->body, value, &result);
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
