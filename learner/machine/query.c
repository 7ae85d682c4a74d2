/* Questions that change nothing, answered from the applied state. */
#include "common/base/bytes.h"
#include "common/base/mutant.h"
#include "learner/machine/state.h"

#define LEASES_PAGE_ENTRIES (PAGE_BYTES_TARGET / 24)

static enum result_status query_kv(struct machine *m, struct slice body, struct buffer *out)
{
    struct kv_request request;
    if (kv_request_parse(body, &request, NULL) != 0 || !kv_request_is_read_only(&request)) {
        return RESULT_MALFORMED;
    }
    return txn_execute(m, &request, 1, out);
}

uint64_t query_left_ms(const struct machine *m, uint64_t due_ms, uint64_t idle_ms)
{
    uint64_t now_ms = idle_ms > UINT64_MAX - m->stamp_ms ? UINT64_MAX : m->stamp_ms + idle_ms;
    return due_ms > now_ms ? due_ms - now_ms : 0;
}

static uint64_t left_ms(const struct machine *m, const struct lease *lease, uint64_t idle_ms)
{
    return query_left_ms(m, lease_due_ms(lease), idle_ms);
}

struct naming {
    struct buffer *out;
    uint32_t count;
};

static int name_key(void *arg, struct slice record, struct slice value)
{
    struct naming *naming = arg;
    (void)value;
    struct slice key = slice_borrow(record.data + 9, record.size - 9);
    buffer_put_u32(naming->out, (uint32_t)key.size);
    buffer_put(naming->out, key);
    naming->count++;
    return naming->out->size > KV_RESPONSE_BYTES_MAX;
}

static enum result_status query_lease(struct machine *m, struct slice body, uint64_t idle_ms,
                                      struct buffer *out)
{
    struct reader reader = {body, 0};
    uint64_t id = reader_u64(&reader);
    uint8_t names_keys = reader_u8(&reader);
    if (reader.is_short || reader.rest.size != 0 || names_keys > 1) {
        return RESULT_MALFORMED;
    }
    const struct lease *lease = lease_find(m, id);
    if (lease == NULL) {
        return RESULT_LEASE_NOT_FOUND;
    }
    buffer_put_u64(out, lease->ttl_ms);
    buffer_put_u64(out, left_ms(m, lease, idle_ms));
    size_t at = out->size;
    buffer_put_u32(out, 0);
    struct naming naming = {.out = out};
    if (names_keys) {
        struct record_key from;
        struct record_key to;
        view_scan(m, record_attached(&from, id, SLICE_EMPTY),
                  record_attached(&to, id + 1, SLICE_EMPTY), name_key, &naming);
    }
    bytes_put_u32(out->data + at, naming.count);
    return out->size > KV_RESPONSE_BYTES_MAX ? RESULT_TOO_LARGE : RESULT_OK;
}

static enum result_status query_leases(struct machine *m, struct slice body, uint64_t idle_ms,
                                       struct buffer *out)
{
    struct reader reader = {body, 0};
    uint64_t first = reader_u64(&reader);
    if (reader.is_short || reader.rest.size != 0) {
        return RESULT_MALFORMED;
    }
    size_t count = 0;
    for (const struct lease *lease = lease_from(m, first + MUTANT(leases_page_skips_first));
         lease != NULL && count < LEASES_PAGE_ENTRIES; lease = lease_after(lease)) {
        buffer_put_u64(out, lease->id);
        buffer_put_u64(out, lease->ttl_ms);
        buffer_put_u64(out, left_ms(m, lease, idle_ms));
        count++;
    }
    return RESULT_OK;
}

void machine_query(struct machine *m, enum query_op op, struct slice body, uint64_t idle_ms,
                   struct query_answer *answer, struct effects *out)
{
    struct buffer response = {0};
    enum result_status status = RESULT_MALFORMED;
    switch (op) {
    case QUERY_KV:
        status = query_kv(m, body, &response);
        break;
    case QUERY_KV_CONTINUED:
        m->is_continued = 1;
        status = query_kv(m, body, &response);
        m->is_continued = 0;
        break;
    case QUERY_LEASE:
        status = query_lease(m, body, idle_ms, &response);
        break;
    case QUERY_LEASES:
        status = query_leases(m, body, idle_ms, &response);
        break;
    case QUERY_SETTINGS:
        if (body.size == 0) {
            oracle_describe(m, idle_ms, &response);
            status = RESULT_OK;
        }
        break;
    }
    *answer = (struct query_answer){.status = status, .revision = txn_status_revision(m, status)};
    if (status == RESULT_OK) {
        answer->body = effects_hold(out, buffer_slice(&response));
    }
    buffer_close(&response);
    machine_report(m, out);
}
