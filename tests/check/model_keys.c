#include "tests/check/model_keys.h"

#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/protocol/message.h"
#include "common/protocol/value.h"
#include "tests/model/reference_command.h"
#include "tests/model/reference_oracle.h"

#include <string.h>

/* Transactions within transactions. */
#define DEPTH_MAX TXN_DEPTH_MAX

static struct slice keep(struct buffer *buffer, struct arena *arena)
{
    uint8_t *bytes = arena_alloc(arena, buffer->size);
    if (buffer->size > 0) {
        memcpy(bytes, buffer->data, buffer->size);
    }
    struct slice kept = slice_borrow(bytes, buffer->size);
    buffer_close(buffer);
    return kept;
}

static void put_kvs(struct buffer *out, const struct reference_response *response)
{
    buffer_put_u32(out, (uint32_t)response->kv_count);
    for (size_t i = 0; i < response->kv_count; i++) {
        kv_put_kv(out, &response->kvs[i]);
    }
}

/* All but a transaction. */
static void put_simple(struct buffer *out, const struct reference_response *response)
{
    size_t mark = kv_begin_response(out, response->op);
    switch (response->op) {
    case KV_RANGE:
        buffer_put_u64(out, response->count);
        buffer_put_u8(out, response->more != 0);
        put_kvs(out, response);
        break;
    case KV_PUT:
        buffer_put_u8(out, response->kv_count > 0);
        buffer_put_u32(out, (uint32_t)response->key.size);
        buffer_put(out, response->key);
        if (response->kv_count > 0) {
            kv_put_kv(out, &response->kvs[0]);
        }
        break;
    case KV_DELETE:
        buffer_put_u64(out, response->count);
        put_kvs(out, response);
        break;
    case KV_TXN:
        break;
    }
    kv_end_response(out, mark);
}

/* A transaction whose responses are being written. */
struct level {
    const struct reference_response *txn;
    size_t next, mark;
};

static struct level begin_txn(struct buffer *out, const struct reference_response *txn)
{
    struct level level = {.txn = txn, .mark = kv_begin_response(out, KV_TXN)};
    buffer_put_u8(out, txn->succeeded != 0);
    buffer_put_u32(out, (uint32_t)txn->response_count);
    return level;
}

struct slice model_keys_encode(const struct reference_response *response, struct arena *arena)
{
    struct buffer out = {0};
    struct level levels[DEPTH_MAX + 1];
    size_t depth = 0;
    if (response->op != KV_TXN) {
        put_simple(&out, response);
        return keep(&out, arena);
    }
    levels[depth++] = begin_txn(&out, response);
    while (depth > 0) {
        struct level *level = &levels[depth - 1];
        if (level->next == level->txn->response_count) {
            kv_end_response(&out, level->mark);
            depth--;
            continue;
        }
        const struct reference_response *next = &level->txn->responses[level->next++];
        if (next->op != KV_TXN) {
            put_simple(&out, next);
        } else {
            CHECK(depth <= DEPTH_MAX);
            levels[depth++] = begin_txn(&out, next);
        }
    }
    return keep(&out, arena);
}

static void execute_request(struct reference *reference, struct arena *arena, struct slice payload,
                            struct model_answer *answer)
{
    struct kv_request request;
    struct slice rest = payload;
    struct reference_answer came;
    CHECK(kv_next_request(&rest, &request) == 1);
    reference_request(reference, &request, arena, &came);
    answer->status = reference_status(came.error);
    answer->value = came.revision;
    if (came.error == REFERENCE_OK) {
        answer->body = model_keys_encode(&came.response, arena);
    }
}

static void execute_grant(struct reference *reference, uint64_t *next_id, uint64_t session,
                          struct slice payload, struct model_answer *answer)
{
    uint64_t id = bytes_get_u64(payload.data);
    size_t count;
    (void)reference_leases(reference, &count);
    if (id == 0) {
        while (reference_lease(reference, *next_id) != NULL) {
            (*next_id)++;
        }
        id = *next_id;
    }
    if (reference_lease(reference, id) != NULL) {
        answer->status = RESULT_LEASE_EXISTS;
        answer->value = id;
        return;
    }
    if (count >= SESSIONS_MAX) {
        answer->status = RESULT_LEASES_FULL;
        return;
    }
    *next_id += id == *next_id;
    int is_bound = (payload.data[16] & LEASE_BOUND) != 0;
    (void)reference_grant(reference, id, bytes_get_u64(payload.data + 8), is_bound ? session : 0);
    answer->value = id;
}

static void execute_keepalive(struct reference *reference, struct arena *arena,
                              struct slice payload, struct model_answer *answer)
{
    struct buffer out = {0};
    for (size_t at = 0; at + 8 <= payload.size; at += 8) {
        uint64_t id = bytes_get_u64(payload.data + at);
        buffer_put_u64(&out, reference_keepalive(reference, id));
    }
    answer->body = keep(&out, arena);
}

void model_keys_execute(struct reference *reference, struct arena *arena, uint64_t *next_id,
                        uint64_t session, uint8_t op, struct slice payload,
                        struct model_answer *answer)
{
    answer->status = RESULT_OK;
    switch (op) {
    case COMMAND_KV:
        execute_request(reference, arena, payload, answer);
        break;
    case COMMAND_COMPACT: {
        uint64_t revision = bytes_get_u64(payload.data);
        answer->status = reference_status(reference_compact(reference, revision));
        answer->value = answer->status == RESULT_COMPACTED ? reference_compacted(reference)
                                                           : reference_revision(reference);
        break;
    }
    case COMMAND_LEASE_GRANT:
        execute_grant(reference, next_id, session, payload, answer);
        break;
    case COMMAND_LEASE_REVOKE:
        answer->status = reference_status(reference_revoke(reference, bytes_get_u64(payload.data)));
        answer->value = reference_revision(reference);
        break;
    case COMMAND_LEASE_KEEPALIVE:
        execute_keepalive(reference, arena, payload, answer);
        break;
    case COMMAND_SETTINGS: {
        struct slice settings = slice_borrow(payload.data + 8, payload.size - 8);
        int is_set = reference_set(reference, bytes_get_u64(payload.data), settings);
        answer->status = is_set ? RESULT_OK : RESULT_CHANGED;
        answer->value = reference_oracle(reference)->version;
        break;
    }
    default:
        answer->is_unknown = 1;
        break;
    }
}
