#include "common/client/handle.h"
#include "common/client/lease_calls.h"

#include "common/base/bytes.h"
#include "common/base/memory.h"

#include <stdlib.h>

#define NUMBER_BYTES 8

/* ---- commands and their results */

static int check_grant(struct synod *s, uint64_t id, uint64_t ttl_ms)
{
    if (ttl_ms == 0 || ttl_ms > LEASE_TTL_MS_MAX || id > INT64_MAX) {
        return errmsg_set(
            &s->err, SYNOD_E_USAGE,
            "a lease lasts from 1 to %llu ms, not %lld, and its id is at most %lld; try: "
            "60,000 ms, and 0 to be given an id",
            (unsigned long long)LEASE_TTL_MS_MAX, (long long)ttl_ms, (long long)INT64_MAX);
    }
    return SYNOD_OK;
}

#define GRANT_BYTES (2 * NUMBER_BYTES + 1)

static void put_grant(uint8_t *payload, uint64_t id, uint64_t ttl_ms, int is_bound)
{
    bytes_put_u64(payload, id);
    bytes_put_u64(payload + NUMBER_BYTES, ttl_ms);
    payload[2 * NUMBER_BYTES] = is_bound ? LEASE_BOUND : 0;
}

static void note_granted(struct synod *s, uint64_t id, int is_bound)
{
    if (is_bound) {
        client_note_bound(s->core, id);
    }
}

/* That it is lost is no news any more, also if it was about to be told. */
static void note_revoked(struct synod *s, uint64_t id)
{
    client_forget_lease(s->core, id);
    completions_drop_lease(s, id);
}

/* What is left of the lease that was kept alive, from the result of the command. */
static int read_left(struct synod *s, struct slice body, uint64_t *left_ms)
{
    if (body.size != NUMBER_BYTES) {
        return errmsg_set(&s->err, SYNOD_E_CORRUPT,
                          "the result of a keepalive is malformed (a bug)");
    }
    uint64_t left = bytes_get_u64(body.data);
    if (left == 0) {
        return errmsg_set(&s->err, SYNOD_E_LEASE,
                          "there is no such lease (never granted, revoked or expired); try: to "
                          "grant one");
    }
    *left_ms = left;
    return SYNOD_OK;
}

/* ---- calls that wait */

int lease_grant(struct synod *s, uint64_t id, uint64_t ttl_ms, int is_bound, time_ms_t deadline,
                uint64_t *out)
{
    uint8_t payload[GRANT_BYTES];
    put_grant(payload, id, ttl_ms, is_bound);
    const struct call_argument argument = {payload, sizeof payload};
    int rc = check_grant(s, id, ttl_ms);
    if (rc == SYNOD_OK) {
        rc = call_begin(s, "lease grant", &argument, 1);
    }
    if (rc != SYNOD_OK) {
        return rc;
    }
    uint64_t granted = 0;
    rc = step_command(s, COMMAND_LEASE_GRANT, slice_borrow(payload, sizeof payload), deadline,
                      &granted, NULL);
    if (rc == SYNOD_OK) {
        note_granted(s, granted, is_bound);
        if (out != NULL) {
            *out = granted;
        }
    }
    return call_end(s, rc);
}

int synod_lease_grant(struct synod *s, uint64_t id, uint64_t ttl_ms, int is_bound, uint64_t *out)
{
    return lease_grant(s, id, ttl_ms, is_bound, handle_deadline(s, 0), out);
}

static int run_number(struct synod *s, enum command_op op, uint64_t number, time_ms_t deadline,
                      struct buffer *body)
{
    uint8_t payload[NUMBER_BYTES];
    bytes_put_u64(payload, number);
    return step_command(s, op, slice_borrow(payload, sizeof payload), deadline, NULL, body);
}

int synod_lease_revoke(struct synod *s, uint64_t id)
{
    const struct call_argument argument = {&id, sizeof id};
    int rc = call_begin(s, "lease revoke", &argument, 1);
    if (rc != SYNOD_OK) {
        return rc;
    }
    rc = run_number(s, COMMAND_LEASE_REVOKE, id, handle_deadline(s, 0), NULL);
    if (rc == SYNOD_OK) {
        note_revoked(s, id);
    }
    return call_end(s, rc);
}

void lease_post_revoke(struct synod *s, uint64_t id)
{
    client_post_revoke(s->core, id);
    handle_flush(s);
}

int lease_keepalive(struct synod *s, uint64_t id, time_ms_t deadline, uint64_t *left_ms)
{
    const struct call_argument argument = {&id, sizeof id};
    int rc = call_begin(s, "lease keepalive", &argument, 1);
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct buffer body = {0};
    uint64_t left = 0;
    rc = run_number(s, COMMAND_LEASE_KEEPALIVE, id, deadline, &body);
    if (rc == SYNOD_OK) {
        rc = read_left(s, buffer_slice(&body), &left);
    }
    buffer_close(&body);
    if (rc == SYNOD_OK && left_ms != NULL) {
        *left_ms = left;
    }
    return call_end(s, rc);
}

int synod_lease_keepalive(struct synod *s, uint64_t id, uint64_t *left_ms)
{
    return lease_keepalive(s, id, handle_deadline(s, 0), left_ms);
}

/* ---- kept alive by the handle */

/* When the call under way came here first, also if a signal has interrupted it since. */
static time_ms_t first_time(struct synod *s)
{
    struct step *step = step_next(s);
    if (!step->is_done) {
        step->is_begun = step->is_done = 1;
        step->value = (uint64_t)handle_now();
    }
    return (time_ms_t)step->value;
}

/* The core knows functions of the type of operations only, and calls none: completions.c has the
 * counterpart. */
static completion_fn as_completion(synod_lost_fn fn)
{
    return (completion_fn)(void (*)(void))fn;
}

int synod_lease_keep(struct synod *s, uint64_t id, synod_lost_fn fn, void *arg)
{
    const struct call_argument arguments[] = {
        {&id, sizeof id}, {&fn, sizeof fn}, {&arg, sizeof arg}};
    int rc = call_begin(s, "lease keep", arguments, 3);
    if (rc != SYNOD_OK) {
        return rc;
    }
    uint64_t ttl_ms = 0;
    time_ms_t before = first_time(s);
    rc = synod_lease_keepalive(s, id, &ttl_ms);
    if (rc == SYNOD_OK) {
        client_keep_lease(s->core, id, ttl_ms, before, as_completion(fn), arg);
    }
    return call_end(s, rc);
}

void synod_lease_release(struct synod *s, uint64_t id)
{
    client_release_lease(s->core, id);
    completions_drop_lease(s, id);
}

/* ---- calls that do not wait */

struct leasing {
    struct commanded commanded;
    enum command_op op;
    uint64_t id;
    int is_bound;
    synod_lease_done_fn fn;
    void *arg;
};

static void on_leasing(struct commanded *self, int code, uint64_t value, struct slice body)
{
    const struct leasing leasing = *(struct leasing *)self;
    struct synod *s = self->s;
    uint64_t number = 0;
    free(self);
    if (code == SYNOD_OK && leasing.op == COMMAND_LEASE_GRANT) {
        number = value;
        note_granted(s, value, leasing.is_bound);
    } else if (code == SYNOD_OK && leasing.op == COMMAND_LEASE_REVOKE) {
        note_revoked(s, leasing.id);
    } else if (code == SYNOD_OK) {
        code = read_left(s, body, &number);
    }
    if (leasing.fn != NULL) {
        leasing.fn(leasing.arg, code, number);
    }
}

static int submit(struct synod *s, const struct leasing *wanted, struct slice payload,
                  uint32_t timeout_ms, uint64_t *call)
{
    int rc = handle_check(s);
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct leasing *leasing = memory_alloc(sizeof *leasing);
    *leasing = *wanted;
    leasing->commanded.fn = on_leasing;
    rc = commanded_submit(s, wanted->op, payload, handle_deadline(s, timeout_ms),
                          &leasing->commanded);
    if (rc != SYNOD_OK) {
        free(leasing);
        return rc;
    }
    if (call != NULL) {
        *call = s->last_id;
    }
    return SYNOD_OK;
}

int synod_lease_grant_async(struct synod *s, uint64_t id, uint64_t ttl_ms, int is_bound,
                            uint32_t timeout_ms, synod_lease_done_fn fn, void *arg, uint64_t *call)
{
    uint8_t payload[GRANT_BYTES];
    put_grant(payload, id, ttl_ms, is_bound);
    int rc = check_grant(s, id, ttl_ms);
    if (rc != SYNOD_OK) {
        return rc;
    }
    const struct leasing leasing = {
        .op = COMMAND_LEASE_GRANT, .is_bound = is_bound, .fn = fn, .arg = arg};
    return submit(s, &leasing, slice_borrow(payload, sizeof payload), timeout_ms, call);
}

static int submit_number(struct synod *s, const struct leasing *leasing, uint32_t timeout_ms,
                         uint64_t *call)
{
    uint8_t payload[NUMBER_BYTES];
    bytes_put_u64(payload, leasing->id);
    return submit(s, leasing, slice_borrow(payload, sizeof payload), timeout_ms, call);
}

int synod_lease_revoke_async(struct synod *s, uint64_t id, uint32_t timeout_ms,
                             synod_lease_done_fn fn, void *arg, uint64_t *call)
{
    const struct leasing leasing = {.op = COMMAND_LEASE_REVOKE, .id = id, .fn = fn, .arg = arg};
    return submit_number(s, &leasing, timeout_ms, call);
}

int synod_lease_keepalive_async(struct synod *s, uint64_t id, uint32_t timeout_ms,
                                synod_lease_done_fn fn, void *arg, uint64_t *call)
{
    const struct leasing leasing = {.op = COMMAND_LEASE_KEEPALIVE, .id = id, .fn = fn, .arg = arg};
    return submit_number(s, &leasing, timeout_ms, call);
}

/* ---- the session */

int synod_session(struct synod *s, uint64_t *id)
{
    int rc = call_begin(s, "session", NULL, 0);
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct step *step = step_next(s);
    step->is_read = 1; /* to want it twice is to want it once */
    if (!step->is_begun) {
        step_await(s, step, client_want_session(s->core, handle_deadline(s, 0)), NULL);
    }
    rc = step_wait(s, step);
    if (rc == SYNOD_OK && id != NULL) {
        *id = step->value;
    }
    return call_end(s, rc);
}

uint64_t synod_session_left_ms(const struct synod *s)
{
    return client_session_left_ms(s->core, handle_now());
}

void synod_on_session_lost(struct synod *s, synod_lost_fn fn, void *arg)
{
    s->session_fn = fn;
    s->session_arg = arg;
    if (fn != NULL) {
        client_use_session(s->core);
    }
}
