#include "common/client/handle.h"

#include "common/base/bytes.h"

#define NUMBER_BYTES 8

static int ask(struct synod *s, enum query_op op, struct slice body, struct buffer *answer)
{
    const struct client_query query = {.op = op,
                                       .body = body,
                                       .consistency = READ_LINEARIZABLE,
                                       .deadline = handle_deadline(s, 0)};
    const struct call_argument argument = {body.data, body.size};
    int rc = call_begin(s, "lease query", &argument, 1);
    return rc == SYNOD_OK ? call_end(s, step_query(s, &query, NULL, answer)) : rc;
}

static int malformed(struct synod *s)
{
    return errmsg_set(&s->err, SYNOD_E_CORRUPT, "an answer on leases is malformed (a bug)");
}

static int tell_lease(struct synod *s, uint64_t id, struct slice answer, struct synod_lease *out,
                      synod_key_fn fn, void *arg)
{
    struct reader reader = {answer, 0};
    struct synod_lease lease = {.id = id};
    lease.ttl_ms = reader_u64(&reader);
    lease.left_ms = reader_u64(&reader);
    uint32_t count = reader_u32(&reader);
    if (reader.is_short) {
        return malformed(s);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct slice key = reader_bytes(&reader, reader_u32(&reader));
        if (reader.is_short) {
            return malformed(s);
        }
        if (fn != NULL && fn(arg, (struct synod_bytes){key.data, key.size}) != 0) {
            break;
        }
    }
    if (out != NULL) {
        *out = lease;
    }
    return SYNOD_OK;
}

int synod_lease_ttl(struct synod *s, uint64_t id, struct synod_lease *out, synod_key_fn fn,
                    void *arg)
{
    struct buffer body = {0};
    struct buffer answer = {0};
    buffer_put_u64(&body, id);
    buffer_put_u8(&body, fn != NULL);
    int rc = ask(s, QUERY_LEASE, buffer_slice(&body), &answer);
    if (rc == SYNOD_OK) {
        rc = tell_lease(s, id, buffer_slice(&answer), out, fn, arg);
    }
    buffer_close(&body);
    buffer_close(&answer);
    return rc;
}

/* Tells one page. 1 to go on behind *id, 0 at the end, or a negative code. */
static int tell_page(struct synod *s, struct slice page, uint64_t *id, synod_lease_fn fn, void *arg)
{
    struct reader reader = {page, 0};
    while (reader.rest.size > 0) {
        struct synod_lease lease = {.id = reader_u64(&reader)};
        lease.ttl_ms = reader_u64(&reader);
        lease.left_ms = reader_u64(&reader);
        if (reader.is_short || lease.id < *id || lease.id == UINT64_MAX) {
            return malformed(s);
        }
        *id = lease.id + 1;
        if (fn(arg, &lease) != 0) {
            return 0;
        }
    }
    return page.size > 0;
}

int synod_lease_list(struct synod *s, synod_lease_fn fn, void *arg)
{
    uint64_t from = 0;
    int rc;
    do {
        uint8_t body[NUMBER_BYTES];
        struct buffer answer = {0};
        bytes_put_u64(body, from);
        rc = ask(s, QUERY_LEASES, slice_borrow(body, sizeof body), &answer);
        if (rc == SYNOD_OK) {
            rc = tell_page(s, buffer_slice(&answer), &from, fn, arg);
        }
        buffer_close(&answer);
    } while (rc == 1);
    return rc;
}
