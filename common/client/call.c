#include "common/client/client.h"

#include "common/base/memory.h"

#include <stdlib.h>

/* ---- what every call asks first */

int call_check(struct synod *s)
{
    if (s->is_broken) {
        return errmsg_set(&s->err, SYNOD_E_CORRUPT,
                          "the handle is broken (its commands were called malformed); try: a new "
                          "handle");
    }
    if (s->is_closing) {
        return errmsg_set(&s->err, SYNOD_E_USAGE, "the handle is being closed; try: a new one");
    }
    return SYNOD_OK;
}

time_ms_t call_deadline(const struct synod *s, uint32_t timeout_ms)
{
    /* s->now is of the last turn, which may be long ago. */
    return client_deadline(client_now(), timeout_ms != 0 ? timeout_ms : s->timeout_ms);
}

/* ---- waiting for a result */

/* Where the result of a command goes that somebody waits for. On the heap, because the command goes
 * on after a signal has ended the wait. */
struct waiter {
    struct synod *s;
    int is_done;
    int is_abandoned;
    int code;
    uint64_t value;
    struct buffer *body; /* may be NULL; the caller's, as long as it waits */
};

static void wake_waiter(void *arg, int code, uint64_t value)
{
    struct waiter *waiter = arg;
    if (waiter->is_abandoned) {
        free(waiter);
        return;
    }
    waiter->is_done = 1;
    waiter->code = code;
    waiter->value = value;
    if (waiter->body != NULL) {
        buffer_put(waiter->body, waiter->s->body);
    }
}

/* Adds the command as soon as there is room. */
static int add_blocking(struct synod *s, enum command_op op, struct slice payload,
                        time_ms_t deadline, struct waiter *waiter)
{
    for (;;) {
        int rc = submit_add(s, op, payload.data, payload.size, deadline, wake_waiter, waiter);
        if (rc != SYNOD_E_BUSY || client_now() >= deadline) {
            return rc;
        }
        rc = client_turn(s, deadline);
        if (rc != SYNOD_OK) {
            return rc;
        }
    }
}

int call_run(struct synod *s, enum command_op op, struct slice payload, time_ms_t deadline,
             uint64_t *value, struct buffer *body)
{
    int rc = client_may_block(s);
    if (rc == SYNOD_OK) {
        rc = call_check(s);
    }
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct waiter *waiter = memory_calloc(1, sizeof *waiter);
    waiter->s = s;
    waiter->body = body;
    rc = add_blocking(s, op, payload, deadline, waiter);
    if (rc != SYNOD_OK) {
        free(waiter);
        return rc;
    }
    while (!waiter->is_done) {
        rc = client_turn(s, deadline);
        if (rc != SYNOD_OK && !waiter->is_done) {
            waiter->is_abandoned = 1;
            return rc;
        }
    }
    rc = waiter->code;
    if (rc == SYNOD_OK && value != NULL) {
        *value = waiter->value;
    }
    free(waiter);
    return rc;
}

/* ---- commands that nobody waits for */

void call_internal(void *arg, int code, uint64_t value)
{
    (void)value;
    struct internal *internal = arg;
    if (internal != NULL) {
        internal->fn(internal, code);
    }
}

void call_post(struct synod *s, enum command_op op, struct slice payload)
{
    if (s->is_broken || s->is_closing) {
        return;
    }
    /* Without room it is not sent: what it would have tidied up ends with its lease. */
    if (submit_add(s, op, payload.data, payload.size, TIME_NEVER, call_internal, NULL) ==
        SYNOD_OK) {
        submit_flush(s);
    }
}

/* ---- appends */

static int check_append(struct synod *s, size_t size)
{
    if (size > RECORD_BYTES_MAX) {
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "a record of %zu bytes is too long (the limit is %zu); try: to split it",
                          size, RECORD_BYTES_MAX);
    }
    return call_check(s);
}

int synod_append_async(struct synod *s, const void *data, size_t size, uint32_t timeout_ms,
                       synod_append_fn fn, void *arg)
{
    int rc = check_append(s, size);
    if (rc != SYNOD_OK) {
        return rc;
    }
    return submit_add(s, COMMAND_APPEND, data, size, call_deadline(s, timeout_ms), fn, arg);
}

int synod_append(struct synod *s, const void *data, size_t size, uint64_t *index)
{
    int rc = check_append(s, size);
    if (rc != SYNOD_OK) {
        return rc;
    }
    time_ms_t deadline = client_deadline(client_now(), s->timeout_ms);
    return call_run(s, COMMAND_APPEND, slice_borrow(data, size), deadline, index, NULL);
}
