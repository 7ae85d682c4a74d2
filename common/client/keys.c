#include "common/client/keys.h"

#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/client/handle.h"

#include <stdlib.h>

int keys_take(struct synod *s, struct slice bytes, uint64_t revision, struct synod_result **out)
{
    struct synod_result *result = keys_decode(bytes, revision);
    if (result == NULL) {
        return errmsg_set(&s->err, SYNOD_E_CORRUPT, "a response on keys is malformed (a bug)");
    }
    if (out != NULL) {
        *out = result;
    } else {
        synod_result_free(result);
    }
    return SYNOD_OK;
}

/* ---- calls that wait */

static int run_query(struct synod *s, const struct client_query *query, struct synod_result **out)
{
    struct buffer answer = {0};
    uint64_t revision = 0;
    int rc = step_query(s, query, &revision, &answer);
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
    int rc = step_command(s, COMMAND_KV, body, deadline, &revision, &response);
    if (rc == SYNOD_OK) {
        client_note_revision(s->core, revision);
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
    const struct call_argument bytes = {body.data, body.size};
    if (rc == SYNOD_OK) {
        rc = call_begin(s, "request", &bytes, 1);
    }
    if (rc != SYNOD_OK) {
        buffer_close(&body);
        return rc;
    }
    if (request->op == SYNOD_RANGE) {
        rc = collect_range(s, &request->as.range, consistency, 0, deadline, out);
    } else if (is_read_only) {
        const struct client_query query = {.op = QUERY_KV,
                                           .body = buffer_slice(&body),
                                           .consistency = keys_consistency(consistency),
                                           .deadline = deadline};
        rc = run_query(s, &query, out);
    } else {
        rc = run_command(s, buffer_slice(&body), deadline, out);
    }
    rc = call_end(s, rc);
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
    const struct call_argument bytes = {body.data, body.size};
    if (rc == SYNOD_OK) {
        rc = call_begin(s, "continue", &bytes, 1);
    }
    if (rc != SYNOD_OK) {
        buffer_close(&body);
        return rc;
    }
    if (request->op == SYNOD_RANGE) {
        rc = collect_range(s, &request->as.range, SYNOD_LOCAL, 1, deadline, out);
    } else {
        const struct client_query query = {.op = QUERY_KV_CONTINUED,
                                           .body = buffer_slice(&body),
                                           .consistency = READ_LOCAL,
                                           .is_revision_known = 1,
                                           .deadline = deadline};
        rc = run_query(s, &query, out);
    }
    rc = call_end(s, rc);
    buffer_close(&body);
    return rc;
}

int synod_request(struct synod *s, const struct synod_request *request,
                  enum synod_consistency consistency, struct synod_result **out)
{
    return keys_run(s, request, consistency, handle_deadline(s, 0), out);
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
    uint8_t payload[8];
    const struct call_argument argument = {&revision, sizeof revision};
    int rc = call_begin(s, "compact", &argument, 1);
    if (rc != SYNOD_OK) {
        return rc;
    }
    bytes_put_u64(payload, revision);
    rc = step_command(s, COMMAND_COMPACT, slice_borrow(payload, sizeof payload),
                      handle_deadline(s, 0), NULL, NULL);
    return call_end(s, rc);
}

/* ---- changes that are not waited for */

struct requesting {
    struct commanded commanded;
    synod_request_fn fn;
    void *arg;
};

static void on_requested(struct commanded *self, int code, uint64_t value, struct slice body)
{
    const struct requesting requesting = *(struct requesting *)self;
    struct synod_result *result = NULL;
    free(self);
    if (code == SYNOD_OK) {
        client_note_revision(requesting.commanded.s->core, value);
        code = keys_take(requesting.commanded.s, body, value, &result);
    }
    requesting.fn(requesting.arg, code, result);
    synod_result_free(result);
}

/* Nobody waits: its number is all there is to know of it. */
static int submit_alone(struct synod *s, struct slice body, time_ms_t deadline)
{
    uint64_t number = 0;
    int rc = client_submit(s->core, COMMAND_KV, body, deadline, NULL, NULL, &number, &s->err);
    if (rc == 0) {
        s->last_id = number | OPERATION_ID;
        handle_nudge(s);
    }
    return rc;
}

static int submit(struct synod *s, struct slice body, time_ms_t deadline, synod_request_fn fn,
                  void *arg)
{
    if (fn == NULL) {
        return submit_alone(s, body, deadline);
    }
    struct requesting *requesting = memory_alloc(sizeof *requesting);
    *requesting = (struct requesting){.commanded.fn = on_requested, .fn = fn, .arg = arg};
    int rc = commanded_submit(s, COMMAND_KV, body, deadline, &requesting->commanded);
    if (rc != SYNOD_OK) {
        free(requesting);
    }
    return rc;
}

int synod_request_async(struct synod *s, const struct synod_request *request, uint32_t timeout_ms,
                        synod_request_fn fn, void *arg)
{
    struct buffer body = {0};
    int is_read_only = 0;
    int rc = handle_check(s);
    if (rc == SYNOD_OK) {
        rc = keys_encode(s, request, &body, &is_read_only);
    }
    if (rc == SYNOD_OK && is_read_only) {
        rc = errmsg_set(&s->err, SYNOD_E_USAGE,
                        "a request that changes nothing is not sent through the log; try: "
                        "synod_query_async, or synod_request");
    }
    if (rc == SYNOD_OK) {
        rc = submit(s, buffer_slice(&body), handle_deadline(s, timeout_ms), fn, arg);
    }
    buffer_close(&body);
    return rc;
}
