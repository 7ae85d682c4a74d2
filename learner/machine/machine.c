#include "learner/machine/machine.h"

#include "common/base/bytes.h"
#include "common/base/memory.h"
#include "common/base/mutant.h"
#include "learner/machine/state.h"

#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* Key 'm': applied slot, digest, last index, next session, stamp_ms, slot and ballot of the last
 * leader's announcement. */
#define MACHINE_BYTES 68

struct machine *machine_new(const struct store_reader *reader)
{
    struct machine *m = memory_calloc(1, sizeof *m);
    m->reader = *reader;
    m->next_session = 1;
    m->next_expiry_ms = UINT64_MAX;
    return m;
}

void machine_free(struct machine *m)
{
    if (m == NULL) {
        return;
    }
    for (size_t i = 0; i < m->session_count; i++) {
        session_free(m->sessions[i]);
    }
    free(m->sessions);
    free(m->dirty);
    free(m->gone);
    free(m);
}

/* ---- load and store */

static void load_state(struct machine *m, const uint8_t *p)
{
    m->applied = bytes_get_u64(p);
    m->digest = bytes_get_u64(p + 8);
    m->last_index = bytes_get_u64(p + 16);
    m->next_session = bytes_get_u64(p + 24);
    m->stamp_ms = bytes_get_u64(p + 32);
    m->lead_slot = bytes_get_u64(p + 40);
    m->lead = (struct ballot){bytes_get_u64(p + 48), bytes_get_u32(p + 56), bytes_get_u64(p + 60)};
    m->stored = m->applied;
}

struct load {
    struct machine *machine;
    int rc;
};

static int load_session(void *arg, struct slice key, struct slice value)
{
    struct load *load = arg;
    load->rc = session_load(load->machine, key, value);
    return load->rc != 0;
}

void machine_load(struct machine *m, struct effects *out)
{
    struct blob *blob;
    int rc = m->reader.get(m->reader.self, slice_borrow("m", 1), &blob);
    if (rc == ERROR_NOT_FOUND) {
        return; /* nothing applied yet */
    }
    if (rc == 0) {
        if (blob->size == MACHINE_BYTES) {
            load_state(m, blob->data);
        } else {
            rc = ERROR_CORRUPT;
        }
        blob_unref(blob);
    }
    struct load load = {m, 0};
    if (rc == 0) {
        rc = m->reader.scan(m->reader.self, slice_borrow("s", 1), slice_borrow("t", 1),
                            load_session, &load);
    }
    if (rc == 0) {
        rc = load.rc;
    }
    if (rc != 0) {
        effects_fatal(out, rc, "cannot read the state machine from the store (%s)", error_name(rc));
    }
}

void machine_store(struct machine *m, struct effects *out)
{
    if (m->stored == m->applied) {
        return;
    }
    uint8_t state[MACHINE_BYTES];
    bytes_put_u64(state, m->applied);
    bytes_put_u64(state + 8, m->digest);
    bytes_put_u64(state + 16, m->last_index);
    bytes_put_u64(state + 24, m->next_session);
    bytes_put_u64(state + 32, m->stamp_ms);
    bytes_put_u64(state + 40, m->lead_slot);
    bytes_put_u64(state + 48, m->lead.round);
    bytes_put_u32(state + 56, m->lead.proposer);
    bytes_put_u64(state + 60, m->lead.incarnation);
    effects_put(out, RECORD_LAZY, slice_borrow("m", 1), SLICE_EMPTY,
                slice_borrow(state, sizeof state));
    if (!MUTANT(applied_apart_from_sessions) || m->applied % 2 == 0) {
        session_store(m, out);
    }
    m->stored = m->applied;
}

/* ---- apply */

/* Whom to tell what came of a block. */
struct teller {
    outcome_fn tell;
    void *arg;
    uint64_t client;
    uint64_t session;
};

static void tell(const struct teller *teller, uint64_t sequence, uint64_t count,
                 enum result_status status, uint64_t value)
{
    struct outcome outcome = {
        .client = teller->client,
        .session = teller->session,
        .range = {
            .sequence = sequence, .count = (uint32_t)count, .status = status, .value = value}};
    teller->tell(teller->arg, &outcome);
}

static void apply_open(struct machine *m, const struct block *block, const struct teller *teller,
                       struct effects *out)
{
    struct slice rest = block->commands;
    struct command command;
    CHECK(block_next_command(&rest, &command));
    CHECK(command.op == COMMAND_OPEN_SESSION);
    struct session *session = session_find_client(m, block->client);
    if (session != NULL) {
        effects_mark(out, MARK_SESSION_OPENED_TWICE);
    }
    if (session == NULL || MUTANT(second_open_opens_another)) {
        session = session_open(m, block->client, bytes_get_u32(command.payload.data));
    }
    if (session == NULL) {
        tell(teller, block->first_seq, 1, RESULT_SESSIONS_FULL, 0);
    } else {
        tell(teller, block->first_seq, 1, RESULT_OK, session->id);
    }
}

/* Answers commands that were executed before, from the table: a retry changes nothing. */
static void answer_again(const struct session *session, uint64_t first, uint64_t last,
                         const struct teller *teller, struct effects *out)
{
    while (first <= last) {
        uint64_t value = 0;
        uint32_t count = 0;
        if (session_recall(session, first, last - first + 1, &value, &count)) {
            effects_mark(out, MARK_DUPLICATE_ANSWERED);
            tell(teller, first, count, RESULT_OK, value);
            first += count;
        } else { /* forgotten, since acknowledged: so are all below acked_seq */
            uint64_t end = last < session->acked_seq ? last : session->acked_seq;
            CHECK(end >= first);
            effects_mark(out, MARK_RESULT_FORGOTTEN);
            tell(teller, first, end - first + 1, RESULT_FORGOTTEN, 0);
            first = end + 1;
        }
    }
}

/* Executes the commands of a block from the one that is next for the session. Returns 1 if the
 * session was closed by the last. */
static int execute(struct machine *m, struct session *session, const struct block *block,
                   const struct teller *teller, struct effects *out)
{
    struct slice rest = block->commands;
    struct command command;
    uint64_t sequence = block->first_seq;
    for (; sequence <= session->applied_seq; sequence++) {
        CHECK(block_next_command(&rest, &command));
    }
    struct slice appends = rest; /* the run of appends that is being collected */
    uint32_t append_count = 0;
    int is_closed = 0;
    struct slice before = rest;
    while (block_next_command(&rest, &command)) {
        if (command.op != COMMAND_APPEND) {
            CHECK(command.op == COMMAND_CLOSE_SESSION);
            is_closed = 1;
            break;
        }
        append_count++;
        before = rest;
    }
    if (append_count > 0) {
        appends.size -= before.size;
        uint64_t index = m->last_index + 1;
        log_append(m, appends, append_count, out);
        session_remember(session, append_count, index);
        tell(teller, sequence, append_count, RESULT_OK, index);
        sequence += append_count;
    }
    if (is_closed) {
        effects_mark(out, MARK_SESSION_CLOSED);
        tell(teller, sequence, 1, RESULT_OK, 0);
    }
    return is_closed;
}

static void apply_block(struct machine *m, const struct block *block, outcome_fn fn, void *arg,
                        struct effects *out)
{
    struct teller teller = {fn, arg, block->client, block->session};
    if (block->session == 0) {
        apply_open(m, block, &teller, out);
        return;
    }
    struct session *session = session_find(m, block->session);
    if (session == NULL && MUTANT(unknown_session_opened)) {
        session = session_open(m, block->client, 60000);
    }
    if (session == NULL || session->client != block->client) {
        effects_mark(out, MARK_SESSION_UNKNOWN);
        tell(&teller, block->first_seq, 0, RESULT_UNKNOWN_SESSION, 0);
        return;
    }
    session_touch(m, session);
    session->seen_ms = MUTANT(session_not_renewed) ? session->seen_ms : m->stamp_ms;
    session_acknowledge(session,
                        MUTANT(results_forgotten_early) ? session->applied_seq : block->acked_seq);
    if (MUTANT(retry_executed_again) && block->first_seq <= session->applied_seq) {
        session->applied_seq = block->first_seq - 1;
    }
    if (block->first_seq > session->applied_seq + 1 && !MUTANT(sequence_gap_accepted)) {
        effects_mark(out, MARK_SEQUENCE_GAP_REFUSED);
        /* Commands of a session are executed in the order of their sequences: what lies between was
         * lost on the way and comes again. */
        tell(&teller, session->applied_seq + 1, 0, RESULT_GAP, 0);
        return;
    }
    if (block->count == 0) {
        return;
    }
    uint64_t last = block->first_seq + block->count - 1;
    if (block->first_seq <= session->applied_seq) {
        uint64_t end = last < session->applied_seq ? last : session->applied_seq;
        if (last > end) {
            effects_mark(out, MARK_DUPLICATE_IN_PART);
        }
        answer_again(session, block->first_seq, end, &teller, out);
    }
    if (last > session->applied_seq && execute(m, session, block, &teller, out)) {
        session_close(m, session);
    }
}

void machine_apply(struct machine *m, slot_t slot, struct slice value, outcome_fn fn, void *arg,
                   struct effects *out)
{
    CHECK(slot == m->applied + 1);
    struct value parsed;
    if (value_parse(value, &parsed) != 0) {
        effects_fatal(out, ERROR_CORRUPT, "the chosen value of slot %llu is malformed",
                      (unsigned long long)slot);
        return;
    }
    if (parsed.stamp_ms > m->stamp_ms) {
        m->stamp_ms = parsed.stamp_ms;
    } else if (parsed.stamp_ms < m->stamp_ms) {
        effects_mark(out, MARK_STAMP_BEHIND);
    }
    uint64_t open_count = m->session_count;
    session_expire(m, m->stamp_ms);
    if (m->session_count < open_count) {
        effects_mark(out, MARK_SESSION_EXPIRED);
    }
    if (parsed.kind == VALUE_LEAD) {
        m->lead = parsed.lead;
        m->lead_slot = slot;
    }
    struct slice rest = parsed.blocks;
    struct block block;
    while (value_next_block(&rest, &block)) {
        apply_block(m, &block, fn, arg, out);
    }
    m->applied = slot;
    uint64_t link[6] = {
        m->digest,       slot, XXH3_64bits(value.data, value.size), m->last_index, m->next_session,
        m->session_count};
    uint8_t bytes[sizeof link];
    for (size_t i = 0; i < sizeof link / sizeof link[0]; i++) {
        bytes_put_u64(bytes + 8 * i, link[i]);
    }
    m->digest = XXH3_64bits(bytes, sizeof bytes);
}

slot_t machine_applied(const struct machine *m)
{
    return m->applied;
}

uint64_t machine_digest(const struct machine *m)
{
    return m->digest;
}

uint64_t machine_last_index(const struct machine *m)
{
    return m->last_index;
}

uint64_t machine_session_count(const struct machine *m)
{
    return m->session_count;
}

struct ballot machine_leader(const struct machine *m, slot_t *since)
{
    *since = m->lead_slot;
    return m->lead;
}
