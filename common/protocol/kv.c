#include "common/protocol/kv.h"

#include "common/base/bytes.h"
#include "common/base/mutant.h"
#include "common/protocol/limits.h"

#include <string.h>

#define SIZED_HEAD_BYTES 5

/* ---- reading */

/* Takes op and body off *rest. 1, 0 at the end, -1 if cut off. */
static int take_sized(struct slice *rest, uint8_t *op, struct reader *body)
{
    if (rest->size == 0) {
        return 0;
    }
    struct reader reader = {*rest, 0};
    *op = reader_u8(&reader);
    uint32_t size = reader_u32(&reader);
    *body = (struct reader){reader_bytes(&reader, size), 0};
    if (reader.is_short) {
        return -1;
    }
    *rest = reader.rest;
    return 1;
}

static int read_range(struct reader *body, struct kv_range *out)
{
    out->flags = reader_u8(body);
    out->order = reader_u8(body);
    out->target = reader_u8(body);
    out->limit = reader_u64(body);
    out->revision = reader_u64(body);
    out->min_mod = reader_u64(body);
    out->max_mod = reader_u64(body);
    out->min_create = reader_u64(body);
    out->max_create = reader_u64(body);
    out->key = reader_bytes(body, reader_u32(body));
    out->end = body->rest;
    return body->is_short || out->flags > (KV_KEYS_ONLY | KV_COUNT_ONLY | KV_NO_COUNT) ||
           out->order > KV_ORDER_DESCEND || out->target > KV_TARGET_VALUE;
}

static int read_put(struct reader *body, struct kv_put *out)
{
    out->flags = reader_u8(body);
    out->lease = reader_u64(body);
    out->key = reader_bytes(body, reader_u32(body));
    out->value = body->rest;
    return body->is_short ||
           out->flags > (KV_PREVIOUS | KV_IGNORE_VALUE | KV_IGNORE_LEASE | KV_SEQUENTIAL);
}

static int read_delete(struct reader *body, struct kv_delete *out)
{
    out->flags = reader_u8(body);
    out->key = reader_bytes(body, reader_u32(body));
    out->end = body->rest;
    return body->is_short || out->flags > KV_PREVIOUS;
}

static int read_txn(struct reader *body, struct kv_txn *out)
{
    uint32_t compares_size = reader_u32(body);
    uint32_t then_size = reader_u32(body);
    out->compares = reader_bytes(body, compares_size);
    out->then_ = reader_bytes(body, then_size);
    out->else_ = body->rest;
    return body->is_short;
}

int kv_next_request(struct slice *rest, struct kv_request *out)
{
    uint8_t op;
    struct reader body;
    struct slice after = *rest;
    int rc = take_sized(&after, &op, &body);
    if (rc <= 0) {
        return rc == 0 ? 0 : ERROR_USAGE;
    }
    int is_bad = 1;
    out->op = op;
    switch (op) {
    case KV_RANGE:
        is_bad = read_range(&body, &out->range);
        break;
    case KV_PUT:
        is_bad = read_put(&body, &out->put);
        break;
    case KV_DELETE:
        is_bad = read_delete(&body, &out->delete_);
        break;
    case KV_TXN:
        is_bad = read_txn(&body, &out->txn);
        break;
    default:
        break;
    }
    if (is_bad) {
        return ERROR_USAGE;
    }
    *rest = after;
    return 1;
}

int kv_next_compare(struct slice *rest, struct kv_compare *out)
{
    if (rest->size == 0) {
        return 0;
    }
    struct reader reader = {*rest, 0};
    out->target = reader_u8(&reader);
    out->relation = reader_u8(&reader);
    out->number = reader_u64(&reader);
    uint32_t key_size = reader_u32(&reader);
    uint32_t end_size = reader_u32(&reader);
    uint32_t value_size = reader_u32(&reader);
    out->key = reader_bytes(&reader, key_size);
    out->end = reader_bytes(&reader, end_size);
    out->value = reader_bytes(&reader, value_size);
    int is_value = out->target == KV_TARGET_VALUE;
    if (reader.is_short || out->target > KV_TARGET_LEASE || out->relation > KV_NOT_EQUAL ||
        (is_value ? out->number != 0 : out->value.size != 0)) {
        return ERROR_USAGE;
    }
    if (MUTANT(compare_of_mod_as_version) && out->target == KV_TARGET_MOD) {
        out->target = KV_TARGET_VERSION;
    }
    *rest = reader.rest;
    return 1;
}

static struct kv read_kv(struct reader *reader)
{
    struct kv kv = {.create = reader_u64(reader)};
    kv.mod = reader_u64(reader);
    kv.version = reader_u64(reader);
    kv.lease = reader_u64(reader);
    uint32_t key_size = reader_u32(reader);
    uint32_t value_size = reader_u32(reader);
    kv.key = reader_bytes(reader, key_size);
    kv.value = reader_bytes(reader, value_size);
    return kv;
}

int kv_next(struct slice *rest, struct kv *out)
{
    if (rest->size == 0) {
        return 0;
    }
    struct reader reader = {*rest, 0};
    *out = read_kv(&reader);
    if (reader.is_short) {
        return ERROR_CORRUPT;
    }
    *rest = reader.rest;
    return 1;
}

int kv_next_event(struct slice *rest, struct kv_event *out)
{
    if (rest->size == 0) {
        return 0;
    }
    struct reader reader = {*rest, 0};
    struct kv_event event = {.kind = reader_u8(&reader)};
    event.sub = reader_u32(&reader);
    event.has_previous = reader_u8(&reader);
    event.kv = read_kv(&reader);
    if (event.has_previous) {
        event.previous = read_kv(&reader);
    }
    if (reader.is_short || event.kind > KV_EVENT_DELETE || event.has_previous > 1) {
        return ERROR_CORRUPT;
    }
    *out = event;
    *rest = reader.rest;
    return 1;
}

int kv_next_response(struct slice *rest, struct kv_response *out)
{
    uint8_t op;
    struct reader body;
    struct slice after = *rest;
    int rc = take_sized(&after, &op, &body);
    if (rc <= 0) {
        return rc == 0 ? 0 : ERROR_CORRUPT;
    }
    struct kv_response response = {.op = op};
    switch (op) {
    case KV_RANGE:
        response.count = reader_u64(&body);
        response.more = reader_u8(&body);
        response.item_count = reader_u32(&body);
        break;
    case KV_PUT:
        response.has_previous = reader_u8(&body);
        response.key = reader_bytes(&body, reader_u32(&body));
        response.item_count = response.has_previous ? 1 : 0;
        break;
    case KV_DELETE:
        response.count = reader_u64(&body);
        response.item_count = reader_u32(&body);
        break;
    case KV_TXN:
        response.succeeded = reader_u8(&body);
        response.item_count = reader_u32(&body);
        break;
    default:
        return ERROR_CORRUPT;
    }
    response.items = body.rest;
    if (body.is_short) {
        return ERROR_CORRUPT;
    }
    *out = response;
    *rest = after;
    return 1;
}

/* ---- writing */

/* Writes op and room for the size; the mark is where the size stands. */
static size_t begin_sized(struct buffer *out, uint8_t op)
{
    buffer_put_u8(out, op);
    size_t mark = out->size;
    buffer_put_u32(out, 0);
    return mark;
}

static void end_sized(struct buffer *out, size_t mark)
{
    bytes_put_u32(out->data + mark, (uint32_t)(out->size - mark - 4));
}

void kv_put_request(struct buffer *out, const struct kv_request *request)
{
    size_t mark = begin_sized(out, (uint8_t)request->op);
    switch (request->op) {
    case KV_RANGE:
        buffer_put_u8(out, (uint8_t)request->range.flags);
        buffer_put_u8(out, (uint8_t)request->range.order);
        buffer_put_u8(out, (uint8_t)request->range.target);
        buffer_put_u64(out, request->range.limit);
        buffer_put_u64(out, request->range.revision);
        buffer_put_u64(out, request->range.min_mod);
        buffer_put_u64(out, request->range.max_mod);
        buffer_put_u64(out, request->range.min_create);
        buffer_put_u64(out, request->range.max_create);
        buffer_put_u32(out, (uint32_t)request->range.key.size);
        buffer_put(out, request->range.key);
        buffer_put(out, request->range.end);
        break;
    case KV_PUT:
        buffer_put_u8(out, (uint8_t)request->put.flags);
        buffer_put_u64(out, request->put.lease);
        buffer_put_u32(out, (uint32_t)request->put.key.size);
        buffer_put(out, request->put.key);
        buffer_put(out, request->put.value);
        break;
    case KV_DELETE:
        buffer_put_u8(out, (uint8_t)request->delete_.flags);
        buffer_put_u32(out, (uint32_t)request->delete_.key.size);
        buffer_put(out, request->delete_.key);
        buffer_put(out, request->delete_.end);
        break;
    case KV_TXN:
        buffer_put_u32(out, (uint32_t)request->txn.compares.size);
        buffer_put_u32(out, (uint32_t)request->txn.then_.size);
        buffer_put(out, request->txn.compares);
        buffer_put(out, request->txn.then_);
        buffer_put(out, request->txn.else_);
        break;
    }
    end_sized(out, mark);
}

void kv_put_compare(struct buffer *out, const struct kv_compare *compare)
{
    buffer_put_u8(out, (uint8_t)compare->target);
    buffer_put_u8(out, (uint8_t)compare->relation);
    buffer_put_u64(out, compare->number);
    buffer_put_u32(out, (uint32_t)compare->key.size);
    buffer_put_u32(out, (uint32_t)compare->end.size);
    buffer_put_u32(out, (uint32_t)compare->value.size);
    buffer_put(out, compare->key);
    buffer_put(out, compare->end);
    buffer_put(out, compare->value);
}

void kv_put_kv(struct buffer *out, const struct kv *kv)
{
    buffer_put_u64(out, kv->create);
    buffer_put_u64(out, kv->mod);
    buffer_put_u64(out, kv->version);
    buffer_put_u64(out, kv->lease);
    buffer_put_u32(out, (uint32_t)kv->key.size);
    buffer_put_u32(out, (uint32_t)kv->value.size);
    buffer_put(out, kv->key);
    buffer_put(out, kv->value);
}

void kv_put_event(struct buffer *out, const struct kv_event *event)
{
    buffer_put_u8(out, (uint8_t)event->kind);
    buffer_put_u32(out, event->sub);
    buffer_put_u8(out, event->has_previous ? 1 : 0);
    kv_put_kv(out, &event->kv);
    if (event->has_previous) {
        kv_put_kv(out, &event->previous);
    }
}

size_t kv_begin_response(struct buffer *out, enum kv_op op)
{
    return begin_sized(out, (uint8_t)op);
}

void kv_end_response(struct buffer *out, size_t mark)
{
    end_sized(out, mark);
}

/* ---- ranges of keys */

int kv_compare_keys(struct slice a, struct slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    if (order != 0) {
        return order;
    }
    return a.size < b.size ? -1 : a.size > b.size;
}

/* One zero byte: the range has no end. */
static int is_open(struct slice end)
{
    return end.size == 1 && end.data[0] == 0;
}

int kv_in_range(struct slice candidate, struct slice key, struct slice end)
{
    int order = kv_compare_keys(candidate, key);
    if (end.size == 0) {
        return order == 0;
    }
    return order >= 0 && (is_open(end) || kv_compare_keys(candidate, end) < 0);
}

int kv_range_is_empty(struct slice key, struct slice end)
{
    return end.size > 0 && !is_open(end) && kv_compare_keys(key, end) >= 0;
}
