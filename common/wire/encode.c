#include "common/wire/layout.h"
#include "common/wire/wire.h"

#include "common/base/check.h"
#include "common/base/memory.h"

#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

/* Most bytes that one number, one head of an array or one head of bytes takes. */
#define NUMBER_BYTES 9
#define HEAD_BYTES 5
#define BALLOT_BYTES (1 + 3 * NUMBER_BYTES)
#define PEER_BYTES (1 + 2 * NUMBER_BYTES)
#define ENVELOPE_BYTES (1 + 6 * NUMBER_BYTES + PEER_BYTES + HEAD_BYTES)

/* The buffer of one message, reserved once at the most it can need. */
struct buffer {
    uint8_t *data;
    size_t size, capacity;
};

static int buffer_write(void *arg, const char *bytes, size_t size)
{
    struct buffer *buffer = arg;
    CHECK(size <= buffer->capacity - buffer->size);
    memcpy(buffer->data + buffer->size, bytes, size);
    buffer->size += size;
    return 0;
}

static uint64_t read_integer(const struct field *field, const void *base)
{
    const char *at = (const char *)base + field->offset;
    if (field->type == FIELD_U64) {
        uint64_t wide;
        memcpy(&wide, at, sizeof wide);
        return wide;
    }
    uint32_t narrow;
    memcpy(&narrow, at, sizeof narrow);
    return narrow;
}

static const struct slice *slice_at(const struct field *field, const void *base)
{
    return (const void *)((const char *)base + field->offset);
}

/* Where a list's elements are, and how many. */
static const char *elements_at(const struct field *field, const void *base, uint32_t *count)
{
    const void *elements;
    memcpy(&elements, (const char *)base + field->offset, sizeof elements);
    memcpy(count, (const char *)base + field->list->count_offset, sizeof *count);
    return elements;
}

/* ---- how much to reserve, and whether every field is in its range */

static int measure_plain(const struct field *field, const void *base, size_t *bound)
{
    switch (field->type) {
    case FIELD_U32:
    case FIELD_U64: {
        uint64_t number = read_integer(field, base);
        *bound += NUMBER_BYTES;
        return number >= field->min && number <= field->max ? 0 : ERROR_USAGE;
    }
    case FIELD_BALLOT:
    case FIELD_BALLOT_OR_NONE:
        *bound += BALLOT_BYTES;
        return 0;
    case FIELD_MEMBER:
    case FIELD_MEMBER_OR_NONE:
        *bound += PEER_BYTES;
        return 0;
    default: {
        size_t size = slice_at(field, base)->size;
        *bound += HEAD_BYTES + size;
        return size >= field->min && size <= field->max ? 0 : ERROR_USAGE;
    }
    }
}

static int measure_list(const struct field *field, const void *base, size_t *bound)
{
    const struct list_layout *list = field->list;
    uint32_t count;
    const char *elements = elements_at(field, base, &count);
    if (count < field->min || count > field->max) {
        return ERROR_USAGE;
    }
    *bound += HEAD_BYTES * ((size_t)count + 1);
    for (uint32_t i = 0; i < count; i++) {
        for (size_t k = 0; k < list->field_count; k++) {
            int rc = measure_plain(&list->fields[k], elements + i * list->element_size, bound);
            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}

static int measure_body(const struct layout *layout, const void *body, size_t *bound)
{
    for (size_t k = 0; k < layout->field_count; k++) {
        const struct field *field = &layout->fields[k];
        int rc = field->type == FIELD_LIST ? measure_list(field, body, bound)
                                           : measure_plain(field, body, bound);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- packing; the buffer never refuses, so neither does msgpack */

static void pack_peer(msgpack_packer *packer, const struct peer *peer)
{
    msgpack_pack_array(packer, 2);
    msgpack_pack_uint32(packer, (uint32_t)peer->role);
    msgpack_pack_uint64(packer, peer->id);
}

static void pack_plain(msgpack_packer *packer, const struct field *field, const void *base)
{
    const void *at = (const char *)base + field->offset;
    switch (field->type) {
    case FIELD_U32:
    case FIELD_U64:
        msgpack_pack_uint64(packer, read_integer(field, base));
        break;
    case FIELD_BALLOT:
    case FIELD_BALLOT_OR_NONE: {
        const struct ballot *ballot = at;
        msgpack_pack_array(packer, 3);
        msgpack_pack_uint64(packer, ballot->round);
        msgpack_pack_uint32(packer, ballot->proposer);
        msgpack_pack_uint64(packer, ballot->incarnation);
        break;
    }
    case FIELD_MEMBER:
    case FIELD_MEMBER_OR_NONE:
        pack_peer(packer, at);
        break;
    case FIELD_TEXT: {
        const struct slice *text = at;
        msgpack_pack_str(packer, text->size);
        if (text->size > 0) {
            msgpack_pack_str_body(packer, text->data, text->size);
        }
        break;
    }
    default: {
        const struct slice *bytes = at;
        msgpack_pack_bin(packer, bytes->size);
        if (bytes->size > 0) {
            msgpack_pack_bin_body(packer, bytes->data, bytes->size);
        }
        break;
    }
    }
}

static void pack_list(msgpack_packer *packer, const struct field *field, const void *base)
{
    const struct list_layout *list = field->list;
    uint32_t count;
    const char *elements = elements_at(field, base, &count);
    msgpack_pack_array(packer, count);
    for (uint32_t i = 0; i < count; i++) {
        if (!list->is_bare) {
            msgpack_pack_array(packer, list->field_count);
        }
        for (size_t k = 0; k < list->field_count; k++) {
            pack_plain(packer, &list->fields[k], elements + i * list->element_size);
        }
    }
}

static void pack_message(msgpack_packer *packer, const struct wire_context *context,
                         const struct message *msg, const struct layout *layout)
{
    msgpack_pack_array(packer, ENVELOPE_FIELDS);
    msgpack_pack_uint32(packer, PROTOCOL_VERSION);
    msgpack_pack_uint64(packer, context->cluster_id);
    msgpack_pack_uint64(packer, context->config_number);
    msgpack_pack_uint32(packer, (uint32_t)msg->kind);
    pack_peer(packer, &msg->from);
    msgpack_pack_uint64(packer, msg->incarnation);
    msgpack_pack_uint64(packer, msg->echo);
    msgpack_pack_array(packer, layout->field_count);
    const void *body = &msg->hello; /* every body starts where the union does */
    for (size_t k = 0; k < layout->field_count; k++) {
        const struct field *field = &layout->fields[k];
        if (field->type == FIELD_LIST) {
            pack_list(packer, field, body);
        } else {
            pack_plain(packer, field, body);
        }
    }
}

int wire_encode(const struct wire_context *context, const struct message *msg, uint8_t **data,
                size_t *size)
{
    const struct layout *layout = layout_of((uint64_t)msg->kind);
    if (layout == NULL) {
        return ERROR_USAGE;
    }
    size_t bound = ENVELOPE_BYTES;
    int rc = measure_body(layout, &msg->hello, &bound);
    if (rc != 0) {
        return rc;
    }
    struct buffer buffer = {.data = memory_alloc(bound), .capacity = bound};
    msgpack_packer packer;
    msgpack_packer_init(&packer, &buffer, buffer_write);
    pack_message(&packer, context, msg, layout);
    if (buffer.size > MESSAGE_BYTES_MAX) {
        free(buffer.data);
        return ERROR_USAGE;
    }
    *data = buffer.data;
    *size = buffer.size;
    return 0;
}
