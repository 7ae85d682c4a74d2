#include "tests/check/model.h"

#include "common/base/bytes.h"
#include "common/base/memory.h"
#include "common/protocol/message.h"
#include "common/protocol/value.h"
#include "tests/check/model_keys.h"
#include "tests/model/reference_oracle.h"

#include <stdlib.h>

/* What a session remembers of an executed command: for ever, though clients may be told that it is
 * forgotten once they acknowledged it. */
struct memory {
    uint32_t status;
    uint64_t value;
    struct slice body;
    int is_unknown;
};

struct model_session {
    uint64_t id, client; /* as a lease it has a time to live, which the reference keeps */
    uint64_t opening;    /* of the client, which it answers */
    uint64_t executed, acknowledged; /* sequences up to here */
    struct memory *memories;         /* by sequence */
    size_t memory_capacity;
    int is_gone;
};

/* What there was after a slot. */
struct step {
    uint64_t last_index, session_count;
    size_t answers; /* so many in all */
    size_t oracle;  /* position of what the log said of oracles */
    struct slice value;
};

struct model {
    struct step *steps; /* by slot; [0] is before the first */
    size_t step_count, step_capacity;
    struct model_session *sessions; /* by rising id: also those that are gone */
    size_t session_count, session_capacity;
    struct reference *reference; /* keys and leases; a session is a lease */
    struct arena arena;          /* what the reference answered */
    uint64_t next_id;
    struct reference_oracle *oracles; /* each that there was; the first is empty */
    size_t oracle_count, oracle_capacity;
    struct slice *records;
    size_t record_count, record_capacity;
    struct model_answer *answers;
    size_t answer_count, answer_capacity;
};

/* Keeps what is said of oracles now. */
static void note_oracle(struct model *model)
{
    model->oracles = memory_grow(model->oracles, &model->oracle_capacity, model->oracle_count + 1,
                                 sizeof *model->oracles);
    model->oracles[model->oracle_count++] = *reference_oracle(model->reference);
}

struct model *model_new(void)
{
    struct model *model = memory_calloc(1, sizeof *model);
    model->steps = memory_grow(NULL, &model->step_capacity, 1, sizeof *model->steps);
    model->steps[0] = (struct step){0};
    model->step_count = 1;
    model->reference = reference_new();
    model->next_id = 1;
    note_oracle(model);
    return model;
}

void model_free(struct model *model)
{
    for (size_t i = 0; i < model->step_count; i++) {
        slice_drop(&model->steps[i].value);
    }
    for (size_t i = 0; i < model->session_count; i++) {
        free(model->sessions[i].memories);
    }
    reference_free(model->reference);
    arena_close(&model->arena);
    free(model->steps);
    free(model->sessions);
    free(model->oracles);
    free(model->records);
    free(model->answers);
    free(model);
}

/* ---- sessions */

static struct model_session *find_session(struct model *model, uint64_t id, uint64_t client)
{
    for (size_t i = model->session_count; i > 0; i--) { /* the newest is the likeliest */
        struct model_session *session = &model->sessions[i - 1];
        if (session->id == id) {
            return session->is_gone || session->client != client ? NULL : session;
        }
    }
    return NULL;
}

/* A session ends with its lease. */
static void note_the_gone(struct model *model)
{
    for (size_t i = 0; i < model->session_count; i++) {
        struct model_session *session = &model->sessions[i];
        session->is_gone |= reference_lease(model->reference, session->id) == NULL;
    }
}

/* ---- answers */

static void answer(struct model *model, const struct block *block, struct model_answer what)
{
    what.slot = model->step_count; /* of the slot under way */
    what.client = block->client;
    what.session = block->session;
    model->answers = memory_grow(model->answers, &model->answer_capacity, model->answer_count + 1,
                                 sizeof *model->answers);
    model->answers[model->answer_count++] = what;
}

static void remember(struct model_session *session, uint64_t sequence, struct memory memory)
{
    session->memories = memory_grow(session->memories, &session->memory_capacity,
                                    (size_t)sequence + 1, sizeof *session->memories);
    session->memories[sequence] = memory;
    session->executed = sequence;
}

/* ---- commands */

static uint64_t add_record(struct model *model, struct slice record)
{
    model->records = memory_grow(model->records, &model->record_capacity, model->record_count + 1,
                                 sizeof *model->records);
    model->records[model->record_count++] = record;
    return model->record_count;
}

/* Executes the next command of a session. */
static void execute(struct model *model, struct model_session *session, const struct block *block,
                    uint64_t sequence, uint8_t op, struct slice payload)
{
    struct model_answer what = {.sequence = sequence, .status = RESULT_OK};
    switch (op) {
    case COMMAND_APPEND:
        what.value = add_record(model, payload);
        break;
    case COMMAND_CLOSE_SESSION:
        (void)reference_revoke(model->reference, session->id);
        break;
    default:
        model_keys_execute(model->reference, &model->arena, &model->next_id, session->id, op,
                           payload, &what);
        break;
    }
    remember(session, sequence,
             (struct memory){what.status, what.value, what.body, what.is_unknown});
    answer(model, block, what);
    note_the_gone(model); /* leases, and so sessions, may have been revoked, this one, too */
}

/* The session that this opening has already, or that it continues; or 0. */
static uint64_t opened_session(struct model *model, const struct block *block, uint64_t continues)
{
    for (size_t i = 0; i < model->session_count; i++) {
        const struct model_session *session = &model->sessions[i];
        if (!session->is_gone && session->client == block->client &&
            session->opening == block->first_seq) {
            return session->id;
        }
    }
    struct model_session *continued = find_session(model, continues, block->client);
    if (continued == NULL) {
        return 0;
    }
    continued->opening = block->first_seq;
    (void)reference_keepalive(model->reference, continued->id);
    return continued->id;
}

static void open_session(struct model *model, const struct block *block, struct slice payload)
{
    uint64_t continues = payload.size >= 12 ? bytes_get_u64(payload.data + 4) : 0;
    struct model_answer what = {.sequence = block->first_seq,
                                .status = RESULT_OK,
                                .value = opened_session(model, block, continues)};
    size_t lease_count;
    (void)reference_leases(model->reference, &lease_count);
    if (what.value == 0 && lease_count >= SESSIONS_MAX) {
        what.status = RESULT_SESSIONS_FULL;
    } else if (what.value == 0) {
        while (reference_lease(model->reference, model->next_id) != NULL) {
            model->next_id++;
        }
        model->sessions = memory_grow(model->sessions, &model->session_capacity,
                                      model->session_count + 1, sizeof *model->sessions);
        what.value = model->next_id++;
        model->sessions[model->session_count++] = (struct model_session){
            .id = what.value, .client = block->client, .opening = block->first_seq};
        (void)reference_grant(model->reference, what.value,
                              payload.size >= 4 ? bytes_get_u32(payload.data) : 0, 0);
    }
    answer(model, block, what);
}

/* What was executed before is answered as it was then, unless its client said that it knows. */
static void repeat(struct model *model, const struct model_session *session,
                   const struct block *block, uint64_t sequence)
{
    const struct memory *memory = &session->memories[sequence];
    if (sequence <= session->acknowledged) {
        answer(model, block,
               (struct model_answer){.sequence = sequence, .status = RESULT_FORGOTTEN});
    } else {
        answer(model, block,
               (struct model_answer){.sequence = sequence,
                                     .status = memory->status,
                                     .value = memory->value,
                                     .body = memory->body,
                                     .is_unknown = memory->is_unknown});
    }
}

/* Takes op and payload of the next command off *rest. 0 at the end. */
static int next_command(struct slice *rest, uint8_t *op, struct slice *payload)
{
    if (rest->size < COMMAND_HEAD_BYTES) {
        return 0;
    }
    size_t size = bytes_get_u32(rest->data + 1);
    if (size > rest->size - COMMAND_HEAD_BYTES) {
        return 0;
    }
    *op = rest->data[0];
    *payload = slice_borrow(rest->data + COMMAND_HEAD_BYTES, size);
    *rest = slice_borrow(rest->data + COMMAND_HEAD_BYTES + size,
                         rest->size - COMMAND_HEAD_BYTES - size);
    return 1;
}

static void apply_block(struct model *model, const struct block *block)
{
    struct slice rest = block->commands;
    struct slice payload;
    uint8_t op;
    if (block->session == 0) {
        if (next_command(&rest, &op, &payload) && op == COMMAND_OPEN_SESSION) {
            open_session(model, block, payload);
        }
        return;
    }
    struct model_session *session = find_session(model, block->session, block->client);
    if (session == NULL) {
        answer(model, block,
               (struct model_answer){
                   .sequence = block->first_seq, .status = RESULT_UNKNOWN_SESSION, .is_single = 1});
        return;
    }
    (void)reference_keepalive(model->reference, session->id);
    if (block->acked_seq > session->acknowledged) {
        session->acknowledged =
            block->acked_seq < session->executed ? block->acked_seq : session->executed;
    }
    if (block->first_seq > session->executed + 1) {
        answer(model, block,
               (struct model_answer){
                   .sequence = session->executed + 1, .status = RESULT_GAP, .is_single = 1});
        return;
    }
    uint64_t sequence = block->first_seq;
    for (; !session->is_gone && next_command(&rest, &op, &payload); sequence++) {
        if (sequence <= session->executed) {
            repeat(model, session, block, sequence);
        } else {
            execute(model, session, block, sequence, op, payload);
        }
    }
}

/* ---- values */

/* Takes the next block off *rest. 0 at the end, or if there is none. */
static int next_block(struct slice *rest, struct block *block)
{
    const uint8_t *p = rest->data;
    if (rest->size < BLOCK_HEAD_BYTES || bytes_get_u32(p + 36) > rest->size - BLOCK_HEAD_BYTES) {
        return 0;
    }
    size_t size = bytes_get_u32(p + 36);
    *block = (struct block){.session = bytes_get_u64(p),
                            .client = bytes_get_u64(p + 8),
                            .first_seq = bytes_get_u64(p + 16),
                            .acked_seq = bytes_get_u64(p + 24),
                            .count = bytes_get_u32(p + 32),
                            .commands = slice_borrow(p + BLOCK_HEAD_BYTES, size)};
    *rest = slice_borrow(p + BLOCK_HEAD_BYTES + size, rest->size - BLOCK_HEAD_BYTES - size);
    return 1;
}

int model_apply(struct model *model, struct slice value)
{
    if (value.size < VALUE_HEAD_BYTES) {
        return ERROR_CORRUPT;
    }
    value = slice_keep(value); /* records are parts of it */
    uint64_t stamp_ms = bytes_get_u64(value.data + 1);
    reference_advance(model->reference, stamp_ms);
    note_the_gone(model);
    if (value.data[0] == VALUE_BATCH) {
        struct slice rest =
            slice_borrow(value.data + VALUE_HEAD_BYTES, value.size - VALUE_HEAD_BYTES);
        struct block block;
        while (next_block(&rest, &block)) {
            apply_block(model, &block);
        }
    }
    if (value.data[0] == VALUE_LINE) {
        reference_register(
            model->reference, model->step_count,
            slice_borrow(value.data + VALUE_HEAD_BYTES, value.size - VALUE_HEAD_BYTES));
    }
    uint64_t version = model->oracles[model->oracle_count - 1].version;
    if (value.data[0] == VALUE_LINE || reference_oracle(model->reference)->version != version) {
        note_oracle(model);
    }
    model->steps = memory_grow(model->steps, &model->step_capacity, model->step_count + 1,
                               sizeof *model->steps);
    size_t lease_count;
    (void)reference_leases(model->reference, &lease_count);
    model->steps[model->step_count++] = (struct step){.last_index = model->record_count,
                                                      .session_count = lease_count,
                                                      .answers = model->answer_count,
                                                      .oracle = model->oracle_count - 1,
                                                      .value = value};
    return 0;
}

/* ---- what there was */

struct reference *model_reference(const struct model *model)
{
    return model->reference;
}

uint64_t model_slot(const struct model *model)
{
    return model->step_count - 1;
}

uint64_t model_last_index(const struct model *model, uint64_t slot)
{
    return model->steps[slot].last_index;
}

uint64_t model_session_count(const struct model *model, uint64_t slot)
{
    return model->steps[slot].session_count;
}

const struct reference_oracle *model_oracle(const struct model *model, uint64_t slot)
{
    return &model->oracles[model->steps[slot].oracle];
}

struct slice model_record(const struct model *model, uint64_t index)
{
    return model->records[index - 1];
}

const struct model_answer *model_answers(const struct model *model, uint64_t first, uint64_t last,
                                         size_t *count)
{
    size_t begin = first > 0 ? model->steps[first - 1].answers : 0;
    *count = model->steps[last].answers - begin;
    return model->answers != NULL ? model->answers + begin : NULL;
}
