#include "learner/machine/machine.h"

#include "common/base/bytes.h"
#include "common/base/memory.h"
#include "common/base/mutant.h"
#include "learner/machine/state.h"

#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* Key 'm': applied slot, digest, last index, next lease, stamp_ms, slot and ballot of the last
 * leader's announcement, revision, compacted revision, whether it was compacted. */
#define MACHINE_BYTES 85

/* A scratch buffer that one large response made large is not kept. */
#define SCRATCH_KEPT_BYTES (256 * KIB)

struct machine *machine_new(const struct store_reader *reader)
{
    struct machine *m = memory_calloc(1, sizeof *m);
    m->reader = *reader;
    m->next_lease = 1;
    m->revision = 1; /* as etcd's, before anything was put */
    m->page_bytes = PAGE_BYTES_TARGET;
    return m;
}

void machine_set_page_bytes(struct machine *m, size_t page_bytes)
{
    m->page_bytes = page_bytes;
}

void machine_free(struct machine *m)
{
    if (m == NULL) {
        return;
    }
    lease_free_all(m);
    oracle_free(m);
    view_close(m);
    recent_close(m);
    buffer_close(&m->response);
    free(m);
}

/* ---- failures and digest */

void machine_fail(struct machine *m, int rc)
{
    CHECK(rc < 0);
    if (m->failure == 0) {
        m->failure = rc;
    }
}

void machine_report(const struct machine *m, struct effects *out)
{
    if (m->failure != 0) {
        effects_fatal(out, m->failure,
                      "cannot read the state machine from the store (%s); try: remove this "
                      "learner's directory and make it anew with synod init",
                      error_name(m->failure));
    }
}

void machine_mix(struct machine *m, const void *data, size_t size)
{
    m->changes = XXH3_64bits_withSeed(data, size, m->changes + 1);
}

void machine_mix_numbers(struct machine *m, uint8_t kind, uint64_t a, uint64_t b)
{
    uint8_t bytes[17] = {kind};
    bytes_put_u64(bytes + 1, a);
    bytes_put_u64(bytes + 9, b);
    machine_mix(m, bytes, sizeof bytes);
}

/* ---- load and store */

static void load_state(struct machine *m, const uint8_t *p)
{
    m->applied = bytes_get_u64(p);
    m->digest = bytes_get_u64(p + 8);
    m->last_index = bytes_get_u64(p + 16);
    m->next_lease = bytes_get_u64(p + 24);
    m->stamp_ms = bytes_get_u64(p + 32);
    m->lead_slot = bytes_get_u64(p + 40);
    m->lead = (struct ballot){bytes_get_u64(p + 48), bytes_get_u32(p + 56), bytes_get_u64(p + 60)};
    m->revision = bytes_get_u64(p + 68);
    m->compacted = bytes_get_u64(p + 76);
    m->is_compacted = p[84];
    m->stored = m->applied;
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
    if (rc == 0) {
        rc = lease_load(m);
    }
    if (rc == 0) {
        rc = oracle_load(m);
    }
    if (rc == 0) {
        rc = sweep_load(m);
    }
    if (rc != 0) {
        machine_fail(m, rc);
        machine_report(m, out);
    }
}

static void store_state(struct machine *m)
{
    uint8_t *state;
    struct blob *blob = blob_new(MACHINE_BYTES, &state);
    bytes_put_u64(state, m->applied);
    bytes_put_u64(state + 8, m->digest);
    bytes_put_u64(state + 16, m->last_index);
    bytes_put_u64(state + 24, m->next_lease);
    bytes_put_u64(state + 32, m->stamp_ms);
    bytes_put_u64(state + 40, m->lead_slot);
    bytes_put_u64(state + 48, m->lead.round);
    bytes_put_u32(state + 56, m->lead.proposer);
    bytes_put_u64(state + 60, m->lead.incarnation);
    bytes_put_u64(state + 68, m->revision);
    bytes_put_u64(state + 76, m->compacted);
    state[84] = (uint8_t)m->is_compacted;
    view_put(m, slice_borrow("m", 1), blob);
}

void machine_store(struct machine *m, struct effects *out)
{
    if (m->stored != m->applied) {
        store_state(m);
        if (!MUTANT(applied_apart_from_sessions) || m->applied % 2 == 0) {
            lease_store(m);
        }
        oracle_store(m);
        m->stored = m->applied;
    }
    view_flush(m, out);
    if (m->response.capacity > SCRATCH_KEPT_BYTES) {
        buffer_close(&m->response);
    }
}

void machine_written(struct machine *m)
{
    view_written(m);
    m->unwritten_bytes = 0;
}

int machine_is_full(const struct machine *m)
{
    return m->unwritten_bytes >= LEARNER_UNWRITTEN_BYTES_MAX;
}

/* ---- apply */

/* Whom to tell what came of a block. */
struct teller {
    outcome_fn tell;
    void *arg;
    uint64_t client;
    uint64_t session;
};

static void tell_range(void *arg, const struct result_range *range)
{
    const struct teller *teller = arg;
    struct outcome outcome = {
        .client = teller->client, .session = teller->session, .range = *range};
    teller->tell(teller->arg, &outcome);
}

static void tell(struct teller *teller, uint64_t sequence, uint32_t count,
                 enum result_status status, uint64_t value)
{
    struct result_range range = {
        .sequence = sequence, .count = count, .status = status, .value = value};
    tell_range(teller, &range);
}

/* A block of a living session is a sign of life. */
static void touch_session(struct machine *m, struct session *session)
{
    lease_touch(m, session->lease);
    if (!MUTANT(session_not_renewed)) {
        lease_renew(m, session->lease);
    }
}

/* The session that an opening continues, or NULL: it names none, or one that is gone or another
 * client's. */
static struct session *continued_session(struct machine *m, const struct block *block, uint64_t id)
{
    struct session *session = session_find(m, id);
    return session != NULL && session->client == block->client ? session : NULL;
}

/* An opening is known by its client and its number, so that one that comes again, in the log or
 * because the log is learnt again, has the answer that it had, and never that of another one. */
static void apply_open(struct machine *m, const struct block *block, struct teller *teller,
                       struct effects *out)
{
    struct slice rest = block->commands;
    struct command command;
    CHECK(block_next_command(&rest, &command));
    CHECK(command.op == COMMAND_OPEN_SESSION && command.payload.size == OPEN_PAYLOAD_BYTES);
    uint64_t opening = block->first_seq;
    struct session *session = session_find_opening(m, block->client, opening);
    if (session != NULL) {
        effects_mark(out, MARK_SESSION_OPENED_TWICE);
    } else {
        session = continued_session(m, block, bytes_get_u64(command.payload.data + 4));
        if (session != NULL) {
            effects_mark(out, MARK_SESSION_CONTINUED);
            session_continue(m, session, opening);
            touch_session(m, session);
        }
    }
    if (session == NULL || MUTANT(second_open_opens_another)) {
        session = session_open(m, block->client, opening, bytes_get_u32(command.payload.data));
    }
    if (session == NULL) {
        tell(teller, block->first_seq, 1, RESULT_SESSIONS_FULL, 0);
    } else {
        tell(teller, block->first_seq, 1, RESULT_OK, session->lease->id);
    }
}

/* Tells one of the results of commands that were executed before: a retry changes nothing. */
struct retelling {
    struct teller *teller;
    struct effects *out;
};

static void tell_again(void *arg, const struct result_range *range)
{
    const struct retelling *retelling = arg;
    effects_mark(retelling->out, range->status == RESULT_FORGOTTEN ? MARK_RESULT_FORGOTTEN
                                                                   : MARK_DUPLICATE_ANSWERED);
    tell_range(retelling->teller, range);
}

/* Remembers a result, then tells it. */
static void conclude(struct machine *m, struct session *session, struct result_range *range,
                     struct teller *teller, struct effects *out)
{
    session_remember(m, session, range);
    range->body = effects_hold(out, range->body);
    tell_range(teller, range);
}

/* Takes the run of appends that *rest begins with. Returns how many there are. */
static uint32_t take_appends(struct slice *rest, struct slice *appends)
{
    struct slice after = *rest;
    struct command command;
    uint32_t count = 0;
    *appends = *rest;
    while (block_next_command(&after, &command) && command.op == COMMAND_APPEND) {
        *rest = after;
        count++;
    }
    appends->size -= rest->size;
    return count;
}

static void append_run(struct machine *m, struct session *session, struct slice appends,
                       uint32_t count, struct teller *teller, struct effects *out)
{
    struct result_range range = {.count = count, .status = RESULT_OK, .value = m->last_index + 1};
    log_append(m, appends, count, out);
    conclude(m, session, &range, teller, out);
}

/* Executes one command that is no append. 0 if the session is gone after it. */
static int execute_one(struct machine *m, struct session *session, const struct command *command,
                       struct teller *teller, struct effects *out)
{
    struct result_range range;
    uint64_t sequence = session->applied_seq + 1;
    command_execute(m, session, command, &range);
    if (session_find(m, teller->session) == NULL) { /* it revoked its own lease */
        range.sequence = sequence;
        range.body = effects_hold(out, range.body);
        tell_range(teller, &range);
        return 0;
    }
    conclude(m, session, &range, teller, out);
    if (command->op == COMMAND_CLOSE_SESSION) {
        effects_mark(out, MARK_SESSION_CLOSED);
        lease_end(m, session->lease);
        return 0;
    }
    return 1;
}

/* Executes the commands of a block from the one that is next for the session. */
static void execute(struct machine *m, struct session *session, const struct block *block,
                    struct teller *teller, struct effects *out)
{
    struct slice rest = block->commands;
    struct command command;
    uint64_t last = block->first_seq + block->count - 1;
    for (uint64_t sequence = block->first_seq; sequence <= session->applied_seq; sequence++) {
        CHECK(block_next_command(&rest, &command));
    }
    while (rest.size > 0) {
        struct slice appends;
        uint32_t count = take_appends(&rest, &appends);
        if (count > 0) {
            append_run(m, session, appends, count, teller, out);
        } else if (block_next_command(&rest, &command)) {
            uint64_t next = session->applied_seq + 2;
            if (!execute_one(m, session, &command, teller, out)) {
                if (next <= last) {
                    tell(teller, next, 0, RESULT_UNKNOWN_SESSION, 0);
                }
                return;
            }
        }
    }
}

static void apply_block(struct machine *m, const struct block *block, outcome_fn fn, void *arg,
                        struct effects *out)
{
    struct teller teller = {fn, arg, block->client, block->session};
    struct retelling retelling = {&teller, out};
    if (block->session == 0) {
        apply_open(m, block, &teller, out);
        return;
    }
    struct session *session = session_find(m, block->session);
    if (session == NULL && MUTANT(unknown_session_opened)) {
        session = session_open(m, block->client, block->first_seq, 60000);
    }
    if (session == NULL || session->client != block->client) {
        effects_mark(out, MARK_SESSION_UNKNOWN);
        tell(&teller, block->first_seq, 0, RESULT_UNKNOWN_SESSION, 0);
        return;
    }
    touch_session(m, session);
    session_acknowledge(m, session,
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
        session_recall(m, session, block->first_seq, end, tell_again, &retelling, out);
    }
    if (last > session->applied_seq) {
        execute(m, session, block, &teller, out);
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
    m->changes = 0;
    m->slot_bytes = 0;
    m->slot_keys = 0;
    if (lease_expire(m) > 0) {
        effects_mark(out, MARK_SESSION_EXPIRED);
    }
    if (parsed.kind == VALUE_LEAD) {
        m->lead = parsed.lead;
        m->lead_slot = slot;
    }
    if (parsed.kind == VALUE_LINE) {
        oracle_register(m, slot, parsed.line);
    }
    struct slice rest = parsed.blocks;
    struct block block;
    while (value_next_block(&rest, &block)) {
        apply_block(m, &block, fn, arg, out);
    }
    m->applied = slot;
    m->unwritten_bytes += m->slot_bytes;
    uint64_t link[] = {m->digest,     slot,          XXH3_64bits(value.data, value.size),
                       m->last_index, m->next_lease, m->lease_count,
                       m->revision,   m->compacted,  m->changes};
    uint8_t bytes[sizeof link];
    for (size_t i = 0; i < sizeof link / sizeof link[0]; i++) {
        bytes_put_u64(bytes + 8 * i, link[i]);
    }
    m->digest = XXH3_64bits(bytes, sizeof bytes);
    machine_report(m, out);
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
    return m->lease_count;
}

uint64_t machine_visited(const struct machine *m)
{
    return m->visited;
}

uint64_t machine_revision(const struct machine *m)
{
    return m->revision;
}

uint64_t machine_compacted(const struct machine *m)
{
    return m->compacted;
}

uint64_t machine_stamp_ms(const struct machine *m)
{
    return m->stamp_ms;
}

struct ballot machine_leader(const struct machine *m, slot_t *since)
{
    *since = m->lead_slot;
    return m->lead;
}
