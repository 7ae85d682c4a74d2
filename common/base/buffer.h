/* Bytes that grow while they are written: big-endian integers and runs of bytes, one behind the
 * other. */
#ifndef SYNOD_BASE_BUFFER_H
#define SYNOD_BASE_BUFFER_H

#include "common/base/blob.h"

/* Zero-initialise; close with buffer_close. */
struct buffer {
    uint8_t *data;
    size_t size, capacity;
};

void buffer_close(struct buffer *buffer);

/* size more bytes, to be filled by the caller before the next call. */
uint8_t *buffer_extend(struct buffer *buffer, size_t size);

void buffer_put_u8(struct buffer *buffer, uint8_t v);
void buffer_put_u32(struct buffer *buffer, uint32_t v);
void buffer_put_u64(struct buffer *buffer, uint64_t v);
void buffer_put(struct buffer *buffer, struct slice bytes);

/* Everything written so far, borrowed until the next call. */
struct slice buffer_slice(const struct buffer *buffer);

/* A position in bytes that were written so. Reading beyond the end sets is_short and yields zeros,
 * so that one question at the end is enough. */
struct reader {
    struct slice rest;
    int is_short;
};

uint8_t reader_u8(struct reader *reader);
uint32_t reader_u32(struct reader *reader);
uint64_t reader_u64(struct reader *reader);
struct slice reader_bytes(struct reader *reader, size_t size);

#endif
