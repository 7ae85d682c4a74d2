/* What each command of a session does. */
#include "common/base/bytes.h"
#include "common/base/mutant.h"
#include "learner/machine/state.h"

static void do_kv(struct machine *m, const struct session *session, struct slice payload,
                  struct result_range *result)
{
    struct kv_request request;
    struct slice rest = payload;
    m->response.size = 0;
    CHECK(kv_next_request(&rest, &request) == 1);
    result->status =
        session_is_full(session) ? RESULT_TOO_LARGE : txn_execute(m, &request, 0, &m->response);
    if (MUTANT(revision_raised_by_read) && kv_request_is_read_only(&request)) {
        m->revision++;
    }
    result->value = txn_status_revision(m, (enum result_status)result->status);
    result->body = buffer_slice(&m->response);
}

static void do_compact(struct machine *m, struct slice payload, struct result_range *result)
{
    result->status = keys_compact(m, bytes_get_u64(payload.data));
    result->value = txn_status_revision(m, (enum result_status)result->status);
}

static void do_grant(struct machine *m, struct session *session, struct slice payload,
                     struct result_range *result)
{
    uint64_t id = bytes_get_u64(payload.data);
    struct session *owner = (payload.data[16] & LEASE_BOUND) != 0 ? session : NULL;
    result->value = id;
    if (id != 0 && lease_find(m, id) != NULL) {
        result->status = RESULT_LEASE_EXISTS;
        return;
    }
    const struct lease *lease = lease_add(m, id, bytes_get_u64(payload.data + 8), owner);
    if (lease == NULL) {
        result->status = RESULT_LEASES_FULL;
        return;
    }
    result->value = lease->id;
}

static void do_revoke(struct machine *m, struct slice payload, struct result_range *result)
{
    struct lease *lease = lease_find(m, bytes_get_u64(payload.data));
    if (lease == NULL) {
        result->status = RESULT_LEASE_NOT_FOUND;
    } else {
        lease_end(m, lease);
    }
    result->value = m->revision;
}

static void do_keepalive(struct machine *m, struct slice payload, struct result_range *result)
{
    struct reader reader = {payload, 0};
    m->response.size = 0;
    while (reader.rest.size > 0) {
        struct lease *lease = lease_find(m, reader_u64(&reader));
        if (lease != NULL && !MUTANT(keepalive_ignored)) {
            lease_renew(m, lease);
        }
        buffer_put_u64(&m->response, lease != NULL ? lease->ttl_ms : 0);
    }
    result->body = buffer_slice(&m->response);
}

void command_execute(struct machine *m, struct session *session, const struct command *command,
                     struct result_range *result)
{
    *result = (struct result_range){.count = 1, .status = RESULT_OK};
    switch (command->op) {
    case COMMAND_KV:
        do_kv(m, session, command->payload, result);
        return;
    case COMMAND_COMPACT:
        do_compact(m, command->payload, result);
        return;
    case COMMAND_LEASE_GRANT:
        do_grant(m, session, command->payload, result);
        return;
    case COMMAND_LEASE_REVOKE:
        do_revoke(m, command->payload, result);
        return;
    case COMMAND_LEASE_KEEPALIVE:
        do_keepalive(m, command->payload, result);
        return;
    case COMMAND_SETTINGS:
        oracle_set(m, command->payload, result);
        return;
    case COMMAND_CLOSE_SESSION: /* its lease ends after the answer */
        return;
    case COMMAND_APPEND: /* in runs, by the caller */
    case COMMAND_OPEN_SESSION:
        break;
    }
    CHECK(0);
}
