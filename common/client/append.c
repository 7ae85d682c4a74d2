#include "common/client/handle.h"

static int check_append(struct synod *s, size_t size)
{
    if (size > RECORD_BYTES_MAX) {
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "a record of %zu bytes is too long (the limit is %zu); try: to split it",
                          size, RECORD_BYTES_MAX);
    }
    return handle_check(s);
}

int synod_append_async(struct synod *s, const void *data, size_t size, uint32_t timeout_ms,
                       synod_append_fn fn, void *arg)
{
    int rc = check_append(s, size);
    if (rc != SYNOD_OK) {
        return rc;
    }
    uint64_t number = 0;
    rc = client_submit(s->core, COMMAND_APPEND, slice_borrow(data, size),
                       handle_deadline(s, timeout_ms), fn, arg, &number, &s->err);
    if (rc == SYNOD_OK) {
        s->last_id = number | OPERATION_ID;
        handle_nudge(s);
    }
    return rc;
}

int synod_append(struct synod *s, const void *data, size_t size, uint64_t *index)
{
    const struct call_argument record = {data, size};
    int rc = check_append(s, size);
    if (rc == SYNOD_OK) {
        rc = call_begin(s, "append", &record, 1);
    }
    if (rc != SYNOD_OK) {
        return rc;
    }
    rc = step_command(s, COMMAND_APPEND, slice_borrow(data, size), handle_deadline(s, 0), index,
                      NULL);
    return call_end(s, rc);
}
