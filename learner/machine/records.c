/* The records that hold users' keys. A user's key may hold any byte, so where something follows it
 * it is escaped: 00 becomes 00 ff, and 00 00 ends it. That keeps the order, a prefix first. */
#include "common/base/bytes.h"
#include "learner/machine/state.h"

#include <string.h>

#define PRESENT_HEAD_BYTES 36
#define CHANGE_HEAD_BYTES 53
#define ESCAPE_END_BYTES 2
#define POSITION_BYTES 12

/* ---- keys */

static void begin_key(struct record_key *out, char table)
{
    out->bytes[0] = (uint8_t)table;
    out->size = 1;
}

static void add_bytes(struct record_key *out, struct slice bytes)
{
    CHECK(bytes.size <= sizeof out->bytes - out->size);
    if (bytes.size > 0) {
        memcpy(out->bytes + out->size, bytes.data, bytes.size);
    }
    out->size += bytes.size;
}

static void add_u64(struct record_key *out, uint64_t v)
{
    CHECK(sizeof out->bytes - out->size >= 8);
    bytes_put_u64(out->bytes + out->size, v);
    out->size += 8;
}

static void add_u32(struct record_key *out, uint32_t v)
{
    CHECK(sizeof out->bytes - out->size >= 4);
    bytes_put_u32(out->bytes + out->size, v);
    out->size += 4;
}

static void add_escaped(struct record_key *out, struct slice key)
{
    CHECK(key.size <= (sizeof out->bytes - out->size - ESCAPE_END_BYTES) / 2);
    for (size_t i = 0; i < key.size; i++) {
        out->bytes[out->size++] = key.data[i];
        if (key.data[i] == 0) {
            out->bytes[out->size++] = 0xff;
        }
    }
    out->bytes[out->size++] = 0;
    out->bytes[out->size++] = 0;
}

static struct slice key_of(const struct record_key *key)
{
    return slice_borrow(key->bytes, key->size);
}

struct slice record_now(struct record_key *out, struct slice key)
{
    begin_key(out, TABLE_NOW);
    add_bytes(out, key);
    return key_of(out);
}

struct slice record_attached(struct record_key *out, uint64_t lease, struct slice key)
{
    begin_key(out, TABLE_ATTACHED);
    add_u64(out, lease);
    add_bytes(out, key);
    return key_of(out);
}

struct slice record_event(struct record_key *out, struct position at)
{
    begin_key(out, TABLE_EVENTS);
    add_u64(out, at.revision);
    add_u32(out, at.sub);
    return key_of(out);
}

struct slice record_version(struct record_key *out, struct slice key, struct position at)
{
    begin_key(out, TABLE_VERSIONS);
    add_escaped(out, key);
    add_u64(out, ~at.revision); /* the newest first */
    add_u32(out, ~at.sub);
    return key_of(out);
}

struct slice record_table(struct record_key *out, char table)
{
    begin_key(out, table);
    return key_of(out);
}

struct slice record_table_end(struct record_key *out, char table)
{
    begin_key(out, (char)(table + 1));
    return key_of(out);
}

static int is_open(struct slice end)
{
    return end.size == 1 && end.data[0] == 0;
}

struct slice record_now_end(struct record_key *out, struct slice key, struct slice end)
{
    if (is_open(end)) {
        return record_table_end(out, TABLE_NOW);
    }
    begin_key(out, TABLE_NOW);
    add_bytes(out, end.size > 0 ? end : key);
    if (end.size == 0) { /* what follows the one key */
        out->bytes[out->size++] = 0;
    }
    return key_of(out);
}

struct slice record_version_end(struct record_key *out, struct slice key, struct slice end)
{
    if (is_open(end)) {
        return record_table_end(out, TABLE_VERSIONS);
    }
    begin_key(out, TABLE_VERSIONS);
    add_escaped(out, end.size > 0 ? end : key);
    if (end.size == 0) { /* behind all versions of the one key: no key goes on with this byte */
        out->bytes[out->size - 1] = 1;
    }
    return key_of(out);
}

int version_decode(struct slice record, struct record_key *out, struct position *at)
{
    size_t i = 1;
    out->size = 0;
    while (i + 1 < record.size && out->size < sizeof out->bytes) {
        if (record.data[i] != 0) {
            out->bytes[out->size++] = record.data[i++];
        } else if (record.data[i + 1] == 0xff) {
            out->bytes[out->size++] = 0;
            i += 2;
        } else {
            break;
        }
    }
    if (record.size != i + ESCAPE_END_BYTES + POSITION_BYTES || record.data[i] != 0 ||
        record.data[i + 1] != 0) {
        return ERROR_CORRUPT;
    }
    at->revision = ~bytes_get_u64(record.data + i + ESCAPE_END_BYTES);
    at->sub = ~bytes_get_u32(record.data + i + ESCAPE_END_BYTES + 8);
    return 0;
}

/* ---- values */

static uint8_t *put_bytes(uint8_t *p, struct slice bytes)
{
    if (bytes.size > 0) {
        memcpy(p, bytes.data, bytes.size);
    }
    return p + bytes.size;
}

struct blob *present_encode(const struct present *present)
{
    const struct kv *kv = &present->kv;
    uint8_t *p;
    struct blob *blob = blob_new(PRESENT_HEAD_BYTES + kv->value.size, &p);
    bytes_put_u64(p, kv->create);
    bytes_put_u64(p + 8, kv->mod);
    bytes_put_u32(p + 16, present->sub);
    bytes_put_u64(p + 20, kv->version);
    bytes_put_u64(p + 28, kv->lease);
    put_bytes(p + PRESENT_HEAD_BYTES, kv->value);
    return blob;
}

int present_decode(struct slice key, struct slice value, struct present *out)
{
    struct reader reader = {value, 0};
    out->kv.key = key;
    out->kv.create = reader_u64(&reader);
    out->kv.mod = reader_u64(&reader);
    out->sub = reader_u32(&reader);
    out->kv.version = reader_u64(&reader);
    out->kv.lease = reader_u64(&reader);
    out->kv.value = reader.rest;
    return reader.is_short ? ERROR_CORRUPT : 0;
}

struct blob *change_encode(const struct change *change)
{
    const struct kv *kv = &change->kv;
    uint8_t *p;
    struct blob *blob = blob_new(CHANGE_HEAD_BYTES + kv->key.size + kv->value.size, &p);
    p[0] = (uint8_t)change->kind;
    bytes_put_u64(p + 1, change->previous.revision);
    bytes_put_u32(p + 9, change->previous.sub);
    bytes_put_u64(p + 13, kv->create);
    bytes_put_u64(p + 21, kv->mod);
    bytes_put_u64(p + 29, kv->version);
    bytes_put_u64(p + 37, kv->lease);
    bytes_put_u32(p + 45, (uint32_t)kv->key.size);
    bytes_put_u32(p + 49, (uint32_t)kv->value.size);
    put_bytes(put_bytes(p + CHANGE_HEAD_BYTES, kv->key), kv->value);
    return blob;
}

int change_decode(struct slice value, struct change *out)
{
    struct reader reader = {value, 0};
    uint8_t kind = reader_u8(&reader);
    out->kind = kind;
    out->previous.revision = reader_u64(&reader);
    out->previous.sub = reader_u32(&reader);
    struct slice rest = reader.rest;
    return reader.is_short || kind > KV_EVENT_DELETE || kv_next(&rest, &out->kv) != 1 ||
                   rest.size != 0
               ? ERROR_CORRUPT
               : 0;
}
