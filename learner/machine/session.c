#include "common/base/bytes.h"
#include "common/base/memory.h"
#include "common/base/mutant.h"
#include "learner/machine/state.h"

#include <stdlib.h>
#include <string.h>

/* Key 's' + id. Value: client, ttl_ms, seen_ms, applied_seq, acked_seq, then for each result
 * sequence u64, value u64, count u32. */
#define SESSION_KEY_BYTES 9
#define SESSION_HEAD_BYTES 40
#define SESSION_RESULT_BYTES 20

static size_t session_position(const struct machine *m, uint64_t id)
{
    size_t low = 0;
    size_t high = m->session_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->sessions[middle]->id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct session *session_find(struct machine *m, uint64_t id)
{
    size_t at = session_position(m, id);
    return at < m->session_count && m->sessions[at]->id == id ? m->sessions[at] : NULL;
}

struct session *session_find_client(struct machine *m, uint64_t client)
{
    for (size_t i = m->session_count; i > 0; i--) { /* the newest is the likeliest */
        if (m->sessions[i - 1]->client == client) {
            return m->sessions[i - 1];
        }
    }
    return NULL;
}

static struct session *insert(struct machine *m, uint64_t id)
{
    /* Ids rise, here and in the store: a new one is always the last. */
    CHECK(m->session_count == 0 || m->sessions[m->session_count - 1]->id < id);
    m->sessions =
        memory_grow(m->sessions, &m->session_capacity, m->session_count + 1, sizeof *m->sessions);
    struct session *session = memory_calloc(1, sizeof *session);
    session->id = id;
    m->sessions[m->session_count++] = session;
    return session;
}

static void note_expiry(struct machine *m, const struct session *session)
{
    uint64_t at_ms = session->seen_ms + session->ttl_ms;
    if (at_ms < m->next_expiry_ms) {
        m->next_expiry_ms = at_ms;
    }
}

struct session *session_open(struct machine *m, uint64_t client, uint64_t ttl_ms)
{
    if (m->session_count == SESSIONS_MAX) {
        return NULL;
    }
    struct session *session = insert(m, m->next_session++);
    session->client = client;
    session->ttl_ms = ttl_ms;
    session->seen_ms = m->stamp_ms;
    session_touch(m, session);
    note_expiry(m, session);
    return session;
}

void session_touch(struct machine *m, struct session *session)
{
    if (!session->is_dirty) {
        m->dirty = memory_grow(m->dirty, &m->dirty_capacity, m->dirty_count + 1, sizeof *m->dirty);
        m->dirty[m->dirty_count++] = session->id;
        session->is_dirty = 1;
    }
}

void session_free(struct session *session)
{
    free(session->results);
    free(session);
}

static void forget(struct machine *m, struct session *session)
{
    m->gone = memory_grow(m->gone, &m->gone_capacity, m->gone_count + 1, sizeof *m->gone);
    m->gone[m->gone_count++] = session->id;
    session_free(session);
}

void session_close(struct machine *m, struct session *session)
{
    size_t at = session_position(m, session->id);
    CHECK(m->sessions[at] == session);
    forget(m, session);
    m->session_count--;
    memmove(&m->sessions[at], &m->sessions[at + 1],
            (m->session_count - at) * sizeof(struct session *));
}

void session_expire(struct machine *m, uint64_t now_ms)
{
    if (now_ms <= m->next_expiry_ms) {
        return;
    }
    m->next_expiry_ms = UINT64_MAX;
    size_t kept = 0;
    for (size_t i = 0; i < m->session_count; i++) {
        struct session *session = m->sessions[i];
        if (session->seen_ms + session->ttl_ms < now_ms) {
            forget(m, session);
            continue;
        }
        note_expiry(m, session);
        m->sessions[kept++] = session;
    }
    m->session_count = kept;
}

void session_acknowledge(struct session *session, uint64_t acked_seq)
{
    if (acked_seq > session->applied_seq) {
        acked_seq = session->applied_seq;
    }
    if (acked_seq <= session->acked_seq) {
        return;
    }
    size_t gone = 0;
    while (gone < session->result_count) {
        struct result *result = &session->results[gone];
        if (result->sequence + result->count - 1 > acked_seq) {
            if (result->sequence <= acked_seq) { /* the front part is forgotten */
                uint64_t cut = acked_seq + 1 - result->sequence;
                result->sequence += cut;
                result->value += cut;
                result->count -= (uint32_t)cut;
            }
            break;
        }
        gone++;
    }
    session->result_count -= gone;
    memmove(session->results, session->results + gone,
            session->result_count * sizeof *session->results);
    session->acked_seq = acked_seq;
}

void session_remember(struct session *session, uint32_t count, uint64_t value)
{
    uint64_t sequence = session->applied_seq + 1;
    session->applied_seq += count;
    if (session->result_count > 0) {
        struct result *last = &session->results[session->result_count - 1];
        if (last->value + last->count == value && last->count <= UINT32_MAX - count) {
            last->count += count;
            return;
        }
    }
    session->results = memory_grow(session->results, &session->result_capacity,
                                   session->result_count + 1, sizeof *session->results);
    session->results[session->result_count++] = (struct result){sequence, value, count};
}

int session_recall(const struct session *session, uint64_t sequence, uint64_t most, uint64_t *value,
                   uint32_t *count)
{
    size_t low = 0;
    size_t high = session->result_count;
    while (low < high) { /* the first result that ends at or after the sequence */
        size_t middle = low + (high - low) / 2;
        const struct result *result = &session->results[middle];
        if (result->sequence + result->count - 1 < sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == session->result_count || session->results[low].sequence > sequence) {
        return 0;
    }
    const struct result *result = &session->results[low];
    uint64_t offset = sequence - result->sequence;
    uint64_t left = result->count - offset;
    *value = result->value + offset;
    *count = (uint32_t)(left < most ? left : most);
    return 1;
}

/* ---- store */

static void put_session_key(uint8_t *key, uint64_t id)
{
    key[0] = 's';
    bytes_put_u64(key + 1, id);
}

static void put_session(const struct session *session, struct effects *out)
{
    uint8_t key[SESSION_KEY_BYTES];
    uint8_t head[SESSION_HEAD_BYTES];
    put_session_key(key, session->id);
    bytes_put_u64(head, session->client);
    bytes_put_u64(head + 8, session->ttl_ms);
    bytes_put_u64(head + 16, session->seen_ms);
    bytes_put_u64(head + 24, session->applied_seq);
    bytes_put_u64(head + 32, session->acked_seq);
    size_t size = session->result_count * SESSION_RESULT_BYTES;
    uint8_t *body = effects_alloc(out, size);
    for (size_t i = 0; i < session->result_count; i++) {
        uint8_t *p = body + i * SESSION_RESULT_BYTES;
        bytes_put_u64(p, session->results[i].sequence);
        bytes_put_u64(p + 8, session->results[i].value);
        bytes_put_u32(p + 16, session->results[i].count);
    }
    effects_put(out, RECORD_LAZY, slice_borrow(key, sizeof key), slice_borrow(head, sizeof head),
                slice_borrow(body, size));
}

void session_store(struct machine *m, struct effects *out)
{
    for (size_t i = 0; i < m->gone_count; i++) {
        uint8_t key[SESSION_KEY_BYTES];
        put_session_key(key, m->gone[i]);
        effects_delete(out, slice_borrow(key, sizeof key));
    }
    m->gone_count = 0;
    for (size_t i = 0; i < m->dirty_count; i++) {
        struct session *session = session_find(m, m->dirty[i]);
        if (session != NULL) { /* else it is gone again */
            put_session(session, out);
            session->is_dirty = 0;
        }
    }
    m->dirty_count = 0;
}

int session_load(struct machine *m, struct slice key, struct slice value)
{
    if (key.size != SESSION_KEY_BYTES || value.size < SESSION_HEAD_BYTES ||
        (value.size - SESSION_HEAD_BYTES) % SESSION_RESULT_BYTES != 0) {
        return ERROR_CORRUPT;
    }
    struct session *session = insert(m, bytes_get_u64(key.data + 1));
    session->client = bytes_get_u64(value.data);
    session->ttl_ms = bytes_get_u64(value.data + 8);
    session->seen_ms =
        MUTANT(restart_renews_sessions) ? m->stamp_ms : bytes_get_u64(value.data + 16);
    session->applied_seq = bytes_get_u64(value.data + 24);
    session->acked_seq = bytes_get_u64(value.data + 32);
    session->result_count = (value.size - SESSION_HEAD_BYTES) / SESSION_RESULT_BYTES;
    session->result_capacity = session->result_count;
    session->results = memory_calloc(session->result_count, sizeof *session->results);
    for (size_t i = 0; i < session->result_count; i++) {
        const uint8_t *p = value.data + SESSION_HEAD_BYTES + i * SESSION_RESULT_BYTES;
        session->results[i] =
            (struct result){bytes_get_u64(p), bytes_get_u64(p + 8), bytes_get_u32(p + 16)};
    }
    note_expiry(m, session);
    return 0;
}
