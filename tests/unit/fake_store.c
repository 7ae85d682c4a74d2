#include "tests/unit/fake_store.h"
#include "tests/model/reference_command.h"

#include "common/base/memory.h"
#include "common/protocol/kv_sort.h"
#include "tests/model/reference.h"

#include <stdlib.h>
#include <string.h>

/* Ids of leases that the cluster chooses; those of sessions are lower. */
#define LEASES_FROM 1000000

struct fake_store {
    struct reference *reference;
    struct arena arena;
    uint64_t next_lease;
    size_t end_grants;
    int is_storm;
    uint64_t swept;
    struct machine *machine; /* answers questions on keys in place of the reference; or NULL */
};

struct fake_store *fake_store_new(void)
{
    struct fake_store *store = memory_calloc(1, sizeof *store);
    store->reference = reference_new();
    store->next_lease = LEASES_FROM;
    return store;
}

void fake_store_free(struct fake_store *store)
{
    if (store != NULL) {
        reference_free(store->reference);
        arena_close(&store->arena);
        free(store);
    }
}

void fake_store_open(struct fake_store *store, uint64_t session, uint64_t ttl_ms)
{
    (void)reference_grant(store->reference, session, ttl_ms, 0);
}

int fake_store_has_lease(const struct fake_store *store, uint64_t id)
{
    return reference_lease(store->reference, id) != NULL;
}

int fake_store_touch(struct fake_store *store, uint64_t session)
{
    return reference_keepalive(store->reference, session) != 0;
}

void fake_store_close(struct fake_store *store, uint64_t session)
{
    (void)reference_revoke(store->reference, session);
}

void fake_store_advance(struct fake_store *store, uint64_t ms)
{
    reference_advance(store->reference, reference_now_ms(store->reference) + ms);
}

uint64_t fake_store_revision(const struct fake_store *store)
{
    return reference_revision(store->reference);
}

/* ---- bytes */

static int is_cut(const struct reference_response *response, size_t most)
{
    return most != 0 && most < response->kv_count;
}

static void put_kvs(struct buffer *out, const struct reference_response *response, size_t most)
{
    size_t count = is_cut(response, most) ? most : response->kv_count;
    buffer_put_u32(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        kv_put_kv(out, &response->kvs[i]);
    }
}

static void put_response(struct buffer *out, const struct reference_response *response, size_t most)
{
    size_t mark = kv_begin_response(out, response->op);
    switch (response->op) {
    case KV_RANGE:
        buffer_put_u64(out, response->count);
        buffer_put_u8(out, response->more || is_cut(response, most));
        put_kvs(out, response, most);
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
        put_kvs(out, response, 0);
        break;
    case KV_TXN:
        buffer_put_u8(out, response->succeeded ? 1 : 0);
        buffer_put_u32(out, (uint32_t)response->response_count);
        for (size_t i = 0; i < response->response_count; i++) {
            put_response(out, &response->responses[i], 0);
        }
        break;
    }
    kv_end_response(out, mark);
}

void fake_store_storm(struct fake_store *store, int is_on)
{
    store->is_storm = is_on;
}

void fake_store_sweep(struct fake_store *store, uint64_t revision)
{
    store->swept = revision;
}

void fake_store_use(struct fake_store *store, struct machine *machine)
{
    store->machine = machine;
}

/* Has the machine answer. */
static void ask_machine(struct fake_store *store, const struct msg_query *query,
                        struct msg_answer *out, struct buffer *body)
{
    struct effects fx;
    struct query_answer answer;
    effects_init(&fx);
    machine_query(store->machine, (enum query_op)query->op, query->body, 0, &answer, &fx);
    out->status = answer.status;
    out->revision = answer.revision;
    buffer_put(body, answer.body);
    effects_close(&fx);
}

static void storm(struct fake_store *store)
{
    if (store->is_storm) {
        (void)reference_compact(store->reference, fake_store_put(store, "zzz", "storm"));
    }
}

/* Whether a question that goes on is answered as if nothing had been compacted. */
static void remember(struct fake_store *store, int is_continued, uint64_t revision)
{
    reference_remember(store->reference, is_continued && revision >= store->swept);
}

/* The oldest revision that a request that only reads asks for; UINT64_MAX: none but the present. */
static uint64_t oldest_revision(const struct kv_request *request)
{
    struct slice rest = request->op == KV_TXN ? request->txn.then_ : SLICE_EMPTY;
    struct kv_request part = *request;
    uint64_t oldest = UINT64_MAX;
    do {
        if (part.op == KV_RANGE && part.range.revision != 0 && part.range.revision < oldest) {
            oldest = part.range.revision;
        }
    } while (kv_next_request(&rest, &part) == 1);
    return oldest;
}

static enum result_status request(struct fake_store *store, struct slice bytes, size_t most,
                                  int is_continued, uint64_t *revision, struct buffer *body)
{
    struct kv_request parsed;
    struct reference_answer answer;
    if (kv_request_parse(bytes, &parsed, NULL) != 0) {
        return RESULT_MALFORMED;
    }
    arena_reset(&store->arena);
    remember(store, is_continued, oldest_revision(&parsed));
    reference_request(store->reference, &parsed, &store->arena, &answer);
    remember(store, 0, 0);
    *revision = answer.revision;
    if (answer.error == REFERENCE_OK && parsed.op == KV_RANGE && is_cut(&answer.response, most) &&
        kv_range_is_sorted(&parsed.range)) {
        return RESULT_TOO_LARGE; /* a page in another order does not say where it ended */
    }
    if (answer.error == REFERENCE_OK) {
        put_response(body, &answer.response, most);
    }
    return reference_status(answer.error);
}

/* ---- commands */

static enum result_status grant(struct fake_store *store, uint64_t session, struct reader *payload,
                                uint64_t *id)
{
    *id = reader_u64(payload);
    uint64_t ttl_ms = reader_u64(payload);
    uint64_t bound_to = reader_u8(payload) & LEASE_BOUND ? session : 0;
    *id = *id != 0 ? *id : ++store->next_lease;
    enum result_status status =
        reference_status(reference_grant(store->reference, *id, ttl_ms, bound_to));
    if (status == RESULT_OK && store->end_grants > 0) {
        store->end_grants--;
        status = reference_status(reference_revoke(store->reference, *id));
    }
    return status;
}

void fake_store_end_grants(struct fake_store *store, size_t count)
{
    store->end_grants = count;
}

void fake_store_execute(struct fake_store *store, uint64_t session, const struct command *command,
                        struct result_range *out, struct buffer *body)
{
    struct reader payload = {command->payload, 0};
    *out = (struct result_range){.count = 1};
    switch (command->op) {
    case COMMAND_KV:
        out->status = request(store, command->payload, 0, 0, &out->value, body);
        break;
    case COMMAND_COMPACT: {
        enum reference_error error = reference_compact(store->reference, reader_u64(&payload));
        out->status = reference_status(error);
        out->value = error == REFERENCE_COMPACTED ? reference_compacted(store->reference)
                                                  : reference_revision(store->reference);
        break;
    }
    case COMMAND_LEASE_GRANT:
        out->status = grant(store, session, &payload, &out->value);
        break;
    case COMMAND_LEASE_REVOKE:
        out->status = reference_status(reference_revoke(store->reference, reader_u64(&payload)));
        out->value = reference_revision(store->reference);
        break;
    case COMMAND_LEASE_KEEPALIVE:
        while (payload.rest.size > 0) {
            buffer_put_u64(body, reference_keepalive(store->reference, reader_u64(&payload)));
        }
        break;
    default:
        break;
    }
    out->body = buffer_slice(body);
}

uint64_t fake_store_put(struct fake_store *store, const char *key, const char *value)
{
    struct reference_answer answer;
    const struct kv_request put = {.op = KV_PUT,
                                   .put = {.key = slice_borrow(key, strlen(key)),
                                           .value = slice_borrow(value, strlen(value))}};
    arena_reset(&store->arena);
    reference_request(store->reference, &put, &store->arena, &answer);
    return answer.revision;
}

/* ---- questions */

static void put_lease(struct buffer *out, const struct fake_store *store,
                      const struct reference_lease *lease)
{
    uint64_t now_ms = reference_now_ms(store->reference);
    buffer_put_u64(out, lease->ttl_ms);
    buffer_put_u64(out, lease->due_ms > now_ms ? lease->due_ms - now_ms : 0);
}

static enum result_status query_lease(struct fake_store *store, struct reader *question,
                                      struct buffer *body)
{
    uint64_t id = reader_u64(question);
    const struct reference_lease *lease = reference_lease(store->reference, id);
    if (lease == NULL) {
        return RESULT_LEASE_NOT_FOUND;
    }
    struct slice *keys = NULL;
    size_t count = 0;
    arena_reset(&store->arena);
    if (reader_u8(question)) {
        reference_lease_keys(store->reference, id, &store->arena, &keys, &count);
    }
    put_lease(body, store, lease);
    buffer_put_u32(body, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        buffer_put_u32(body, (uint32_t)keys[i].size);
        buffer_put(body, keys[i]);
    }
    return RESULT_OK;
}

static void query_leases(const struct fake_store *store, uint64_t from, size_t most,
                         struct buffer *body)
{
    size_t count = 0;
    size_t told = 0;
    const struct reference_lease *leases = reference_leases(store->reference, &count);
    for (size_t i = 0; i < count && (most == 0 || told < most); i++) {
        if (leases[i].id >= from) {
            buffer_put_u64(body, leases[i].id);
            put_lease(body, store, &leases[i]);
            told++;
        }
    }
}

void fake_store_query(struct fake_store *store, const struct msg_query *query, size_t page_kvs,
                      struct msg_answer *out, struct buffer *body)
{
    struct reader question = {query->body, 0};
    *out = (struct msg_answer){.request = query->request,
                               .revision = reference_revision(store->reference)};
    switch (query->op) {
    case QUERY_KV:
    case QUERY_KV_CONTINUED:
        if (store->machine != NULL) {
            ask_machine(store, query, out, body);
            break;
        }
        out->status = request(store, query->body, page_kvs, query->op == QUERY_KV_CONTINUED,
                              &out->revision, body);
        storm(store);
        break;
    case QUERY_LEASE:
        out->status = query_lease(store, &question, body);
        break;
    case QUERY_LEASES:
        query_leases(store, reader_u64(&question), page_kvs, body);
        break;
    default:
        out->status = RESULT_MALFORMED;
        break;
    }
    out->body = buffer_slice(body);
}

size_t fake_store_events(struct fake_store *store, const struct msg_watch *watch,
                         size_t page_events, struct msg_events *out, struct buffer *body)
{
    struct kv_event *events = NULL;
    size_t count = 0;
    size_t told = 0;
    uint64_t revision = reference_revision(store->reference);
    arena_reset(&store->arena);
    *out = (struct msg_events){
        .request = watch->request,
        .revision = revision,
        .next_revision = revision + 1 > watch->revision ? revision + 1 : watch->revision,
    };
    remember(store, (watch->flags & WATCH_CONTINUED) != 0, watch->revision);
    enum reference_error error =
        reference_events(store->reference, watch->revision, watch->key, watch->end, watch->flags,
                         &store->arena, &events, &count);
    remember(store, 0, 0);
    if (error != REFERENCE_OK) {
        out->status = reference_status(error);
        out->revision = reference_compacted(store->reference);
        out->next_revision = watch->revision;
        return 1;
    }
    for (size_t i = 0; i < count; i++) {
        if (events[i].kv.mod == watch->revision && events[i].sub < watch->sub) {
            continue;
        }
        if (page_events != 0 && told == page_events) {
            out->next_revision = events[i].kv.mod;
            out->next_sub = events[i].sub;
            break;
        }
        kv_put_event(body, &events[i]);
        told++;
    }
    out->events = buffer_slice(body);
    if (told > 0) {
        storm(store);
    }
    return told;
}
