#include "common/base/buffer.h"

#include "common/base/bytes.h"
#include "common/base/memory.h"

#include <stdlib.h>
#include <string.h>

void buffer_close(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

uint8_t *buffer_extend(struct buffer *buffer, size_t size)
{
    if (buffer->capacity - buffer->size < size) {
        buffer->data = memory_grow(buffer->data, &buffer->capacity, buffer->size + size, 1);
    }
    uint8_t *p = buffer->data + buffer->size;
    buffer->size += size;
    return p;
}

void buffer_put_u8(struct buffer *buffer, uint8_t v)
{
    *buffer_extend(buffer, 1) = v;
}

void buffer_put_u32(struct buffer *buffer, uint32_t v)
{
    bytes_put_u32(buffer_extend(buffer, 4), v);
}

void buffer_put_u64(struct buffer *buffer, uint64_t v)
{
    bytes_put_u64(buffer_extend(buffer, 8), v);
}

void buffer_put(struct buffer *buffer, struct slice bytes)
{
    if (bytes.size > 0) {
        memcpy(buffer_extend(buffer, bytes.size), bytes.data, bytes.size);
    }
}

struct slice buffer_slice(const struct buffer *buffer)
{
    return slice_borrow(buffer->data, buffer->size);
}

struct slice reader_bytes(struct reader *reader, size_t size)
{
    if (size > reader->rest.size) {
        reader->is_short = 1;
        return SLICE_EMPTY;
    }
    if (size == 0) {
        return SLICE_EMPTY;
    }
    struct slice taken = {reader->rest.data, size, reader->rest.owner};
    reader->rest.data += size;
    reader->rest.size -= size;
    return taken;
}

uint8_t reader_u8(struct reader *reader)
{
    struct slice bytes = reader_bytes(reader, 1);
    return bytes.size > 0 ? bytes.data[0] : 0;
}

uint32_t reader_u32(struct reader *reader)
{
    struct slice bytes = reader_bytes(reader, 4);
    return bytes.size > 0 ? bytes_get_u32(bytes.data) : 0;
}

uint64_t reader_u64(struct reader *reader)
{
    struct slice bytes = reader_bytes(reader, 8);
    return bytes.size > 0 ? bytes_get_u64(bytes.data) : 0;
}
