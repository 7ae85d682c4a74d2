/* Sessions: leases that remember the results of their commands until the client has them. */
#include "common/base/bytes.h"
#include "common/base/memory.h"
#include "common/base/mutant.h"
#include "learner/machine/state.h"

#include <stdlib.h>
#include <string.h>

/* Key 's' + id. Value: client, opening, ttl_ms, seen_ms, applied_seq, acked_seq, part_seq,
 * part_bytes, rest_bytes. */
#define SESSION_KEY_BYTES 9
#define SESSION_VALUE_BYTES 72

/* Key 'r' + id + last sequence. Value: for each result sequence u64, count u32, status u32, value
 * u64, body_size u32, body. */
#define CHUNK_KEY_BYTES 17
#define RESULT_HEAD_BYTES 28

static int compare_clients(const struct session *a, const struct session *b)
{
    if (a->client != b->client) {
        return a->client < b->client ? -1 : 1;
    }
    if (a->opening != b->opening) {
        return a->opening < b->opening ? -1 : 1;
    }
    return a->lease->id < b->lease->id ? -1 : a->lease->id > b->lease->id;
}

TREE_GENERATE(client_tree, session, by_client, compare_clients)

struct session *session_find(struct machine *m, uint64_t id)
{
    struct lease *lease = lease_find(m, id);
    return lease != NULL ? lease->session : NULL;
}

struct session *session_find_opening(struct machine *m, uint64_t client, uint64_t opening)
{
    struct lease lowest = {.id = 0};
    struct session wanted = {.client = client, .opening = opening, .lease = &lowest};
    if (MUTANT(opening_number_ignored)) {
        wanted.opening = 0;
    }
    struct session *session = RB_NFIND(client_tree, &m->clients, &wanted);
    if (session == NULL || session->client != client) {
        return NULL;
    }
    return session->opening == opening || MUTANT(opening_number_ignored) ? session : NULL;
}

static struct session *attach(struct machine *m, struct lease *lease, uint64_t client,
                              uint64_t opening)
{
    struct session *session = memory_calloc(1, sizeof *session);
    session->lease = lease;
    session->client = client;
    session->opening = opening;
    lease->session = session;
    RB_INSERT(client_tree, &m->clients, session);
    return session;
}

struct session *session_open(struct machine *m, uint64_t client, uint64_t opening, uint64_t ttl_ms)
{
    struct lease *lease = lease_add(m, 0, ttl_ms, NULL);
    if (lease == NULL) {
        return NULL;
    }
    machine_mix_numbers(m, 'i', lease->id, opening);
    return attach(m, lease, client, opening);
}

void session_continue(struct machine *m, struct session *session, uint64_t opening)
{
    RB_REMOVE(client_tree, &m->clients, session);
    session->opening = opening;
    RB_INSERT(client_tree, &m->clients, session);
    lease_touch(m, session->lease);
    machine_mix_numbers(m, 'i', session->lease->id, opening);
}

void session_free(struct session *session)
{
    buffer_close(&session->fresh);
    free(session->chunks);
    free(session);
}

static struct slice chunk_key(uint8_t *bytes, const struct session *session, uint64_t last)
{
    bytes[0] = 'r';
    bytes_put_u64(bytes + 1, session->lease->id);
    bytes_put_u64(bytes + 9, last);
    return slice_borrow(bytes, CHUNK_KEY_BYTES);
}

static void delete_chunks(struct machine *m, struct session *session, size_t count)
{
    uint8_t bytes[CHUNK_KEY_BYTES];
    for (size_t i = 0; i < count; i++) {
        view_delete(m, chunk_key(bytes, session, session->chunks[i]));
    }
    session->chunk_count -= count;
    if (count > 0) {
        memmove(session->chunks, session->chunks + count,
                session->chunk_count * sizeof *session->chunks);
    }
}

void session_remove(struct machine *m, struct session *session)
{
    delete_chunks(m, session, session->chunk_count);
    RB_REMOVE(client_tree, &m->clients, session);
    session_free(session);
}

/* ---- results */

void session_acknowledge(struct machine *m, struct session *session, uint64_t acked_seq)
{
    if (acked_seq > session->applied_seq) {
        acked_seq = session->applied_seq;
    }
    if (acked_seq <= session->acked_seq) {
        return;
    }
    session->acked_seq = acked_seq;
    if (acked_seq >= session->part_seq) {
        int is_all = acked_seq == session->applied_seq && !MUTANT(acknowledged_part_counts);
        session->part_bytes = is_all ? 0 : session->rest_bytes;
        session->part_seq = session->applied_seq;
        session->rest_bytes = 0;
    }
    size_t gone = 0;
    while (gone < session->chunk_count && session->chunks[gone] <= acked_seq) {
        gone++;
    }
    delete_chunks(m, session, gone);
    if (acked_seq == session->applied_seq) {
        buffer_close(&session->fresh);
    }
}

int session_is_full(const struct session *session)
{
    return session->part_bytes + session->rest_bytes >= SESSION_RESPONSE_BYTES_MAX;
}

static struct result_range read_result(struct reader *reader)
{
    struct result_range range = {.sequence = reader_u64(reader)};
    range.count = reader_u32(reader);
    range.status = reader_u32(reader);
    range.value = reader_u64(reader);
    range.body = reader_bytes(reader, reader_u32(reader));
    return range;
}

/* Lets the newest result stand for the next ones, too, if all are one dense run. */
static int join_result(struct session *session, const struct result_range *range)
{
    if (session->fresh.size == 0 || range->status != RESULT_OK || range->body.size > 0) {
        return 0;
    }
    uint8_t *p = session->fresh.data + session->fresh_last;
    struct reader reader = {slice_borrow(p, session->fresh.size - session->fresh_last), 0};
    struct result_range last = read_result(&reader);
    if (last.status != RESULT_OK || last.body.size > 0 || last.value + last.count != range->value ||
        last.count > UINT32_MAX - range->count) {
        return 0;
    }
    bytes_put_u32(p + 8, last.count + range->count);
    return 1;
}

void session_remember(struct machine *m, struct session *session, struct result_range *range)
{
    range->sequence = session->applied_seq + 1;
    session->applied_seq += range->count;
    session->rest_bytes += range->body.size;
    machine_mix_numbers(m, 'r', range->status, range->value);
    machine_mix(m, range->body.data, range->body.size);
    if (join_result(session, range)) {
        return;
    }
    session->fresh_last = session->fresh.size;
    buffer_put_u64(&session->fresh, range->sequence);
    buffer_put_u32(&session->fresh, range->count);
    buffer_put_u32(&session->fresh, range->status);
    buffer_put_u64(&session->fresh, range->value);
    buffer_put_u32(&session->fresh, (uint32_t)range->body.size);
    buffer_put(&session->fresh, range->body);
}

/* The chunk that holds a sequence, with a reference; what is fresh has none. */
static struct slice results_around(struct machine *m, const struct session *session,
                                   uint64_t sequence, struct blob **blob)
{
    size_t low = 0;
    size_t high = session->chunk_count;
    while (low < high) { /* the first chunk that ends at or after the sequence */
        size_t middle = low + (high - low) / 2;
        if (session->chunks[middle] < sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == session->chunk_count) {
        return buffer_slice(&session->fresh);
    }
    uint8_t bytes[CHUNK_KEY_BYTES];
    return view_get(m, chunk_key(bytes, session, session->chunks[low]), blob) ? slice_of(*blob)
                                                                              : SLICE_EMPTY;
}

/* Tells what a chunk has of first to last. Returns the sequence after what was told. */
static uint64_t recall_chunk(struct slice chunk, uint64_t first, uint64_t last,
                             session_result_fn fn, void *arg, struct effects *out)
{
    struct reader reader = {chunk, 0};
    while (reader.rest.size > 0 && first <= last) {
        struct result_range range = read_result(&reader);
        if (reader.is_short || range.sequence > first) {
            break;
        }
        if (range.sequence + range.count <= first) {
            continue;
        }
        uint64_t offset = first - range.sequence;
        uint64_t left = range.count - offset;
        range.sequence = first;
        range.value += offset;
        range.count = (uint32_t)(left < last - first + 1 ? left : last - first + 1);
        range.body = effects_hold(out, range.body);
        fn(arg, &range);
        first += range.count;
    }
    return first;
}

void session_recall(struct machine *m, struct session *session, uint64_t first, uint64_t last,
                    session_result_fn fn, void *arg, struct effects *out)
{
    if (first <= session->acked_seq) {
        uint64_t end = last < session->acked_seq ? last : session->acked_seq;
        struct result_range range = {
            .sequence = first, .count = (uint32_t)(end - first + 1), .status = RESULT_FORGOTTEN};
        fn(arg, &range);
        first = end + 1;
    }
    while (first <= last) {
        struct blob *blob = NULL;
        struct slice chunk = results_around(m, session, first, &blob);
        uint64_t next = recall_chunk(chunk, first, last, fn, arg, out);
        blob_unref(blob);
        if (next == first) { /* the store lost a result that it had */
            machine_fail(m, ERROR_CORRUPT);
            return;
        }
        first = next;
    }
}

/* ---- store */

static void store_chunk(struct machine *m, struct session *session)
{
    uint8_t bytes[CHUNK_KEY_BYTES];
    view_put(m, chunk_key(bytes, session, session->applied_seq),
             blob_copy(session->fresh.data, session->fresh.size));
    session->chunks = memory_grow(session->chunks, &session->chunk_capacity,
                                  session->chunk_count + 1, sizeof *session->chunks);
    session->chunks[session->chunk_count++] = session->applied_seq;
    buffer_close(&session->fresh);
}

void session_store(struct machine *m, struct session *session)
{
    if (session->fresh.size > 0) {
        store_chunk(m, session);
    }
    uint8_t key[SESSION_KEY_BYTES] = {'s'};
    uint8_t *value;
    struct blob *blob = blob_new(SESSION_VALUE_BYTES, &value);
    bytes_put_u64(key + 1, session->lease->id);
    bytes_put_u64(value, session->client);
    bytes_put_u64(value + 8, session->opening);
    bytes_put_u64(value + 16, session->lease->ttl_ms);
    bytes_put_u64(value + 24, session->lease->seen_ms);
    bytes_put_u64(value + 32, session->applied_seq);
    bytes_put_u64(value + 40, session->acked_seq);
    bytes_put_u64(value + 48, session->part_seq);
    bytes_put_u64(value + 56, session->part_bytes);
    bytes_put_u64(value + 64, session->rest_bytes);
    view_put(m, slice_borrow(key, sizeof key), blob);
}

int session_load(struct machine *m, struct slice key, struct slice value)
{
    if (key.size != SESSION_KEY_BYTES || value.size != SESSION_VALUE_BYTES) {
        return ERROR_CORRUPT;
    }
    struct lease *lease = lease_restore(
        m, bytes_get_u64(key.data + 1), bytes_get_u64(value.data + 16),
        MUTANT(restart_renews_sessions) ? m->stamp_ms : bytes_get_u64(value.data + 24));
    uint64_t client = bytes_get_u64(value.data);
    uint64_t opening = bytes_get_u64(value.data + 8);
    if (lease == NULL) {
        return ERROR_CORRUPT;
    }
    struct session *session = attach(m, lease, client, opening);
    session->applied_seq = bytes_get_u64(value.data + 32);
    session->acked_seq = bytes_get_u64(value.data + 40);
    session->part_seq = bytes_get_u64(value.data + 48);
    session->part_bytes = bytes_get_u64(value.data + 56);
    session->rest_bytes = bytes_get_u64(value.data + 64);
    return 0;
}

int session_load_chunk(struct machine *m, struct slice key)
{
    if (key.size != CHUNK_KEY_BYTES) {
        return ERROR_CORRUPT;
    }
    struct session *session = session_find(m, bytes_get_u64(key.data + 1));
    uint64_t last = bytes_get_u64(key.data + 9);
    if (session == NULL || last > session->applied_seq || last <= session->acked_seq) {
        return ERROR_CORRUPT;
    }
    session->chunks = memory_grow(session->chunks, &session->chunk_capacity,
                                  session->chunk_count + 1, sizeof *session->chunks);
    session->chunks[session->chunk_count++] = last;
    return 0;
}
