#include "tests/model/reference_command.h"

#include "common/base/bytes.h"
#include "common/base/check.h"
#include "tests/model/reference_state.h"

enum result_status reference_status(enum reference_error error)
{
    switch (error) {
    case REFERENCE_OK:
        return RESULT_OK;
    case REFERENCE_COMPACTED:
        return RESULT_COMPACTED;
    case REFERENCE_FUTURE:
        return RESULT_FUTURE;
    case REFERENCE_LEASE_NOT_FOUND:
        return RESULT_LEASE_NOT_FOUND;
    case REFERENCE_LEASE_EXISTS:
        return RESULT_LEASE_EXISTS;
    case REFERENCE_KEY_NOT_FOUND:
        return RESULT_KEY_NOT_FOUND;
    default:
        return RESULT_MALFORMED;
    }
}

static void answer(struct reference_result *out, enum reference_error error, uint64_t value)
{
    out->status = reference_status(error);
    out->value = value;
    out->is_value_fixed =
        error == REFERENCE_OK || error == REFERENCE_COMPACTED || error == REFERENCE_FUTURE;
}

static void apply_request(struct reference *r, struct slice payload, struct arena *arena,
                          struct reference_result *out)
{
    struct kv_request request;
    CHECK(kv_next_request(&payload, &request) == 1 && payload.size == 0);
    reference_request(r, &request, arena, &out->kv);
    answer(out, out->kv.error, out->kv.revision);
}

static void apply_compact(struct reference *r, uint64_t revision, struct reference_result *out)
{
    enum reference_error error = reference_compact(r, revision);
    answer(out, error,
           error == REFERENCE_COMPACTED ? reference_compacted(r) : reference_revision(r));
}

static void apply_grant(struct reference *r, const uint8_t *p, uint64_t session, uint64_t chosen,
                        struct reference_result *out)
{
    uint64_t id = bytes_get_u64(p);
    id = id != 0 ? id : chosen;
    int is_bound = (p[16] & LEASE_BOUND) != 0;
    answer(out, reference_grant(r, id, bytes_get_u64(p + 8), is_bound ? session : 0), id);
}

static void apply_keepalive(struct reference *r, struct slice ids, struct arena *arena,
                            struct reference_result *out)
{
    out->lasts_count = ids.size / sizeof(uint64_t);
    uint64_t *lasts_ms = arena_alloc(arena, out->lasts_count * sizeof *lasts_ms);
    for (size_t i = 0; i < out->lasts_count; i++) {
        lasts_ms[i] = reference_keepalive(r, bytes_get_u64(ids.data + i * sizeof(uint64_t)));
    }
    out->lasts_ms = lasts_ms;
}

static void apply_settings(struct reference *r, struct slice payload, struct reference_result *out)
{
    struct slice settings = slice_borrow(payload.data + 8, payload.size - 8);
    int is_set = reference_set(r, bytes_get_u64(payload.data), settings);
    out->status = is_set ? RESULT_OK : RESULT_CHANGED;
    out->value = reference_oracle(r)->version;
    out->is_value_fixed = 1;
}

void reference_apply(struct reference *r, const struct command *command, uint64_t session,
                     uint64_t chosen, struct arena *arena, struct reference_result *out)
{
    *out = (struct reference_result){.status = RESULT_OK};
    const uint8_t *p = command->payload.data;
    switch (command->op) {
    case COMMAND_APPEND:
        answer(out, REFERENCE_OK, ++r->last_index);
        break;
    case COMMAND_OPEN_SESSION:
        answer(out, reference_grant(r, chosen, bytes_get_u32(p), 0), chosen);
        break;
    case COMMAND_CLOSE_SESSION:
        CHECK(reference_revoke(r, session) == REFERENCE_OK);
        break;
    case COMMAND_KV:
        apply_request(r, command->payload, arena, out);
        break;
    case COMMAND_COMPACT:
        apply_compact(r, bytes_get_u64(p), out);
        break;
    case COMMAND_LEASE_GRANT:
        apply_grant(r, p, session, chosen, out);
        break;
    case COMMAND_LEASE_REVOKE: {
        enum reference_error error = reference_revoke(r, bytes_get_u64(p));
        answer(out, error, reference_revision(r));
        break;
    }
    case COMMAND_LEASE_KEEPALIVE:
        apply_keepalive(r, command->payload, arena, out);
        break;
    case COMMAND_SETTINGS:
        apply_settings(r, command->payload, out);
        break;
    }
}
