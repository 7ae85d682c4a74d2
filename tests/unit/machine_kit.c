#include "tests/unit/machine_kit.h"

#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/protocol/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void machine_kit_open(struct machine_kit *kit)
{
    memset(kit, 0, sizeof *kit);
    kit->store = store_open_memory();
    kit->reader = store_reader(kit->store);
    kit->machine = machine_new(&kit->reader);
    effects_init(&kit->fx);
    machine_load(kit->machine, &kit->fx);
    uint8_t bytes[OPEN_BLOCK_BYTES];
    block_put_open(bytes, MACHINE_KIT_CLIENT, 1, MACHINE_KIT_TTL_MS, 0);
    machine_kit_apply(kit, slice_borrow(bytes, sizeof bytes));
    kit->session = kit->value;
    kit->next_seq = 1;
}

void machine_kit_close(struct machine_kit *kit)
{
    machine_free(kit->machine);
    effects_close(&kit->fx);
    store_close(kit->store);
    buffer_close(&kit->body);
    buffer_close(&kit->text);
}

int machine_kit_setup(void **state)
{
    struct machine_kit *kit = malloc(sizeof *kit);
    CHECK(kit != NULL);
    machine_kit_open(kit);
    *state = kit;
    return 0;
}

int machine_kit_teardown(void **state)
{
    machine_kit_close(*state);
    free(*state);
    return 0;
}

void machine_kit_write(struct machine_kit *kit)
{
    machine_store(kit->machine, &kit->fx);
    CHECK(kit->fx.fatal == 0);
    CHECK(store_write(kit->store, kit->fx.records, kit->fx.record_count, 0, NULL) == 0);
    effects_clear(&kit->fx);
    machine_written(kit->machine);
}

void machine_kit_restart(struct machine_kit *kit)
{
    machine_free(kit->machine);
    kit->machine = machine_new(&kit->reader);
    machine_load(kit->machine, &kit->fx);
    CHECK(kit->fx.fatal == 0);
}

static void note_outcome(void *arg, const struct outcome *outcome)
{
    struct machine_kit *kit = arg;
    kit->outcome_count++;
    kit->status = (enum result_status)outcome->range.status;
    kit->value = outcome->range.value;
    kit->body.size = 0;
    buffer_put(&kit->body, outcome->range.body);
}

void machine_kit_apply_value(struct machine_kit *kit, struct blob *value)
{
    kit->outcome_count = 0;
    machine_apply(kit->machine, ++kit->slot, slice_of(value), note_outcome, kit, &kit->fx);
    blob_unref(value);
    CHECK(kit->fx.fatal == 0);
    if (!kit->is_turn_open) {
        machine_kit_write(kit);
    }
}

void machine_kit_tick(struct machine_kit *kit, uint64_t now_ms)
{
    kit->now_ms = now_ms;
    machine_kit_apply_value(kit, value_noop(now_ms));
}

int machine_kit_sweep(struct machine_kit *kit)
{
    int pieces = 0;
    int has_more = 1;
    while (has_more) {
        has_more = machine_sweep(kit->machine, machine_compacted(kit->machine), &kit->fx);
        machine_kit_write(kit);
        pieces++;
    }
    return pieces;
}

void machine_kit_apply(struct machine_kit *kit, struct slice block)
{
    machine_kit_apply_value(kit, value_batch(kit->now_ms, &block, 1));
}

static void submit(struct machine_kit *kit, uint64_t sequence, enum command_op op,
                   struct slice payload)
{
    struct buffer bytes = {0};
    struct block block = {.session = kit->session,
                          .client = MACHINE_KIT_CLIENT,
                          .first_seq = sequence,
                          .acked_seq = kit->acked_seq,
                          .count = 1};
    block_put_head(buffer_extend(&bytes, BLOCK_HEAD_BYTES), &block,
                   (uint32_t)(COMMAND_HEAD_BYTES + payload.size));
    command_put_head(buffer_extend(&bytes, COMMAND_HEAD_BYTES), op, (uint32_t)payload.size);
    buffer_put(&bytes, payload);
    struct block parsed;
    struct errmsg err = {""};
    if (block_parse(buffer_slice(&bytes), &parsed, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        CHECK(0);
    }
    machine_kit_apply(kit, buffer_slice(&bytes));
    buffer_close(&bytes);
}

void machine_kit_command(struct machine_kit *kit, enum command_op op, struct slice payload)
{
    submit(kit, kit->next_seq++, op, payload);
}

void machine_kit_repeat(struct machine_kit *kit, enum command_op op, struct slice payload)
{
    submit(kit, kit->next_seq - 1, op, payload);
}

/* ---- text */

static void add(struct machine_kit *kit, const char *text)
{
    buffer_put(&kit->text, slice_borrow(text, strlen(text)));
}

static void add_number(struct machine_kit *kit, const char *before, uint64_t number)
{
    char text[64];
    snprintf(text, sizeof text, "%s%llu", before, (unsigned long long)number);
    add(kit, text);
}

static const char *finish(struct machine_kit *kit)
{
    buffer_put_u8(&kit->text, 0);
    return (const char *)kit->text.data;
}

/* "a=1/2.3.2", create, mod and version, and "~7" if it has a lease. */
static void add_kv(struct machine_kit *kit, const struct kv *kv)
{
    buffer_put(&kit->text, kv->key);
    add(kit, "=");
    buffer_put(&kit->text, kv->value);
    add_number(kit, "/", kv->create);
    add_number(kit, ".", kv->mod);
    add_number(kit, ".", kv->version);
    if (kv->lease != 0) {
        add_number(kit, "~", kv->lease);
    }
}

static void add_kvs(struct machine_kit *kit, struct slice rest, uint32_t count)
{
    struct kv kv;
    for (uint32_t i = 0; i < count; i++) {
        CHECK(kv_next(&rest, &kv) == 1);
        add(kit, " ");
        add_kv(kit, &kv);
    }
    CHECK(rest.size == 0);
}

static void add_response(struct machine_kit *kit, const struct kv_response *response)
{
    switch (response->op) {
    case KV_RANGE:
        add_number(kit, "range ", response->count);
        add(kit, response->more ? "+" : "");
        break;
    case KV_PUT:
        add(kit, "put");
        if (response->key.size > 0) {
            add(kit, " as ");
            buffer_put(&kit->text, response->key);
        }
        break;
    case KV_DELETE:
        add_number(kit, "del ", response->count);
        break;
    case KV_TXN:
        add(kit, response->succeeded ? "then {" : "else {");
        return;
    }
    add_kvs(kit, response->items, response->item_count);
}

/* Nested responses are told depth first; each level's rest is kept on a small stack. */
static void add_responses(struct machine_kit *kit, struct slice bytes)
{
    struct slice stack[TXN_DEPTH_MAX + 2] = {bytes};
    int depth = 1;
    int is_first = 1;
    while (depth > 0) {
        struct kv_response response;
        int rc = kv_next_response(&stack[depth - 1], &response);
        CHECK(rc >= 0);
        if (rc == 0) {
            depth--;
            add(kit, depth > 0 ? "}" : "");
            is_first = 0;
            continue;
        }
        add(kit, is_first ? "" : "; ");
        add_response(kit, &response);
        is_first = response.op == KV_TXN;
        if (response.op == KV_TXN) {
            CHECK(depth < TXN_DEPTH_MAX + 2);
            stack[depth++] = response.items;
        }
    }
}

static const char *status_name(enum result_status status)
{
    static const char *const names[] = {
        "ok",           "gap",         "unknown session", "sessions full",
        "forgotten",    "compacted",   "future",          "lease not found",
        "lease exists", "leases full", "key not found",   "too large",
        "no quorum",    "busy",        "malformed"};
    CHECK((size_t)status < sizeof names / sizeof names[0]);
    return names[status];
}

static const char *render(struct machine_kit *kit, enum result_status status, uint64_t value,
                          struct slice body)
{
    kit->text.size = 0;
    if (status == RESULT_OK) {
        add_number(kit, "", value);
        add(kit, ": ");
        add_responses(kit, body);
    } else {
        add(kit, status_name(status));
        if (status == RESULT_COMPACTED || status == RESULT_FUTURE) {
            add_number(kit, " ", value);
        }
        CHECK(body.size == 0);
    }
    return finish(kit);
}

const char *machine_kit_do(struct machine_kit *kit, const struct kv_request *request)
{
    struct buffer payload = {0};
    kv_put_request(&payload, request);
    machine_kit_command(kit, COMMAND_KV, buffer_slice(&payload));
    buffer_close(&payload);
    CHECK(kit->outcome_count == 1);
    return render(kit, kit->status, kit->value, buffer_slice(&kit->body));
}

static const char *query(struct machine_kit *kit, enum query_op op,
                         const struct kv_request *request)
{
    struct buffer payload = {0};
    struct query_answer answer;
    kv_put_request(&payload, request);
    machine_query(kit->machine, op, buffer_slice(&payload), 0, &answer, &kit->fx);
    CHECK(kit->fx.fatal == 0);
    buffer_close(&payload);
    const char *text = render(kit, answer.status, answer.revision, answer.body);
    if (!kit->is_turn_open) {
        effects_clear(&kit->fx);
    }
    return text;
}

const char *machine_kit_query(struct machine_kit *kit, const struct kv_request *request)
{
    return query(kit, QUERY_KV, request);
}

const char *machine_kit_query_on(struct machine_kit *kit, const struct kv_request *request)
{
    return query(kit, QUERY_KV_CONTINUED, request);
}

const char *machine_kit_compact(struct machine_kit *kit, uint64_t revision)
{
    uint8_t payload[8];
    bytes_put_u64(payload, revision);
    machine_kit_command(kit, COMMAND_COMPACT, slice_borrow(payload, sizeof payload));
    kit->text.size = 0;
    add(kit, status_name(kit->status));
    add_number(kit, " ", kit->value);
    return finish(kit);
}

void machine_kit_large_revision(struct machine_kit *kit)
{
    char key[16];
    struct kv_request request;
    for (int i = 0; i < 600; i++) {
        snprintf(key, sizeof key, "k%03d", i);
        request = a_put(key, "v");
        machine_kit_do(kit, &request);
    }
    request = a_delete("k", "l");
    machine_kit_do(kit, &request);
    request = a_put("last", "v");
    machine_kit_do(kit, &request);
}

uint64_t machine_kit_grant(struct machine_kit *kit, uint64_t id, uint64_t ttl_ms, uint8_t flags)
{
    uint8_t payload[17];
    bytes_put_u64(payload, id);
    bytes_put_u64(payload + 8, ttl_ms);
    payload[16] = flags;
    machine_kit_command(kit, COMMAND_LEASE_GRANT, slice_borrow(payload, sizeof payload));
    return kit->status == RESULT_OK ? kit->value : 0;
}

enum result_status machine_kit_revoke(struct machine_kit *kit, uint64_t id)
{
    uint8_t payload[8];
    bytes_put_u64(payload, id);
    machine_kit_command(kit, COMMAND_LEASE_REVOKE, slice_borrow(payload, sizeof payload));
    return kit->status;
}

uint64_t machine_kit_keep(struct machine_kit *kit, uint64_t id)
{
    uint8_t payload[8];
    bytes_put_u64(payload, id);
    machine_kit_command(kit, COMMAND_LEASE_KEEPALIVE, slice_borrow(payload, sizeof payload));
    CHECK(kit->status == RESULT_OK && kit->body.size == 8);
    return bytes_get_u64(kit->body.data);
}

const char *machine_kit_events(struct machine_kit *kit, const char *key, const char *end,
                               uint64_t revision, uint32_t sub, uint32_t flags, uint32_t bytes_max)
{
    struct msg_watch watch = {.revision = revision,
                              .sub = sub,
                              .flags = flags,
                              .bytes_max = bytes_max,
                              .key = text_slice(key),
                              .end = text_slice(end)};
    struct events_page page;
    machine_events(kit->machine, &watch, &page, &kit->fx);
    CHECK(kit->fx.fatal == 0);
    kit->text.size = 0;
    if (page.status != RESULT_OK) {
        add(kit, status_name(page.status));
        return finish(kit);
    }
    struct slice rest = page.events;
    struct kv_event event;
    uint32_t count = 0;
    while (kv_next_event(&rest, &event) == 1) {
        add(kit, event.kind == KV_EVENT_PUT ? "+" : "-");
        buffer_put(&kit->text, event.kv.key);
        add_number(kit, "@", event.kv.mod);
        add_number(kit, ".", event.sub);
        if (event.has_previous) {
            add(kit, "(");
            add_kv(kit, &event.previous);
            add(kit, ")");
        }
        add(kit, " ");
        count++;
    }
    CHECK(rest.size == 0 && count == page.count);
    add_number(kit, "> ", page.next_revision);
    add_number(kit, ".", page.next_sub);
    if (!kit->is_turn_open) {
        effects_clear(&kit->fx);
    }
    return finish(kit);
}

/* ---- requests */

struct slice text_slice(const char *text)
{
    return text == NULL ? SLICE_EMPTY : slice_borrow(text, strlen(text));
}

struct kv_request a_put(const char *key, const char *value)
{
    return (struct kv_request){.op = KV_PUT,
                               .put = {.key = text_slice(key), .value = text_slice(value)}};
}

/* "" is the end of everything, NULL of one key. */
static struct slice end_slice(const char *end)
{
    return end != NULL && end[0] == '\0' ? slice_borrow("", 1) : text_slice(end);
}

struct kv_request a_range(const char *key, const char *end)
{
    return (struct kv_request){.op = KV_RANGE,
                               .range = {.key = text_slice(key), .end = end_slice(end)}};
}

struct kv_request a_delete(const char *key, const char *end)
{
    return (struct kv_request){.op = KV_DELETE,
                               .delete_ = {.key = text_slice(key), .end = end_slice(end)}};
}

static size_t put_requests(struct buffer *out, const struct kv_request *requests, size_t count)
{
    size_t before = out->size;
    for (size_t i = 0; i < count; i++) {
        kv_put_request(out, &requests[i]);
    }
    return out->size - before;
}

struct kv_request a_txn(const struct kv_compare *compares, size_t compare_count,
                        const struct kv_request *then_, size_t then_count,
                        const struct kv_request *else_, size_t else_count, struct buffer *keep)
{
    keep->size = 0;
    for (size_t i = 0; i < compare_count; i++) {
        kv_put_compare(keep, &compares[i]);
    }
    size_t compares_size = keep->size;
    size_t then_size = put_requests(keep, then_, then_count);
    size_t else_size = put_requests(keep, else_, else_count);
    return (struct kv_request){
        .op = KV_TXN,
        .txn = {.compares = slice_borrow(keep->data, compares_size),
                .then_ = slice_borrow(keep->data + compares_size, then_size),
                .else_ = slice_borrow(keep->data + compares_size + then_size, else_size)}};
}

struct kv_compare a_compare(const char *key, enum kv_target target, enum kv_relation relation,
                            uint64_t number)
{
    return (struct kv_compare){
        .target = target, .relation = relation, .number = number, .key = text_slice(key)};
}

struct kv_compare a_value_compare(const char *key, enum kv_relation relation, const char *value)
{
    return (struct kv_compare){.target = KV_TARGET_VALUE,
                               .relation = relation,
                               .key = text_slice(key),
                               .value = text_slice(value)};
}
