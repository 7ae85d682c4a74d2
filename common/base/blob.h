/* Immutable, reference-counted bytes, and slices of them.
 *
 * A value that arrives in a network frame is never copied to be kept: whoever wants it beyond the
 * call takes a reference to the blob that owns the bytes. Counts are not atomic: a blob lives on
 * one thread. */
#ifndef SYNOD_BASE_BLOB_H
#define SYNOD_BASE_BLOB_H

#include <stddef.h>
#include <stdint.h>

struct blob {
    const uint8_t *data; /* immutable for the life of the blob */
    size_t size;
    uint32_t references;
    void (*release)(
        struct blob *blob); /* called with the last reference; frees data and the blob itself */
};

/* A new blob with one reference and a copy of the bytes. Never NULL: out of memory ends the
 * process. */
struct blob *blob_copy(const void *data, size_t size);

/* A new blob with one reference whose size bytes the caller fills through *data before anybody else
 * sees it. */
struct blob *blob_new(size_t size, uint8_t **data);

/* A new blob with one reference that takes over bytes from malloc. */
struct blob *blob_adopt(const uint8_t *data, size_t size);

/* Takes one more reference and returns blob. NULL is allowed and stays NULL. */
struct blob *blob_ref(struct blob *blob);

/* Gives one reference back. NULL is allowed. */
void blob_unref(struct blob *blob);

/* Bytes inside a blob, or inside memory that the context says stays valid (owner NULL). A slice is
 * a borrowed view: copying the struct takes no reference. */
struct slice {
    const uint8_t *data; /* NULL only when size is 0 */
    size_t size;
    struct blob *owner; /* the blob to reference in order to keep the bytes, or NULL: copy them */
};

#define SLICE_EMPTY ((struct slice){NULL, 0, NULL})

/* A slice of the whole blob. */
struct slice slice_of(struct blob *blob);

/* A slice of memory that is not reference-counted. */
struct slice slice_borrow(const void *data, size_t size);

/* A slice with a reference of its own: takes one on the owner, or copies bytes that have none. Give
 * it back with slice_drop. */
struct slice slice_keep(struct slice slice);

/* Gives back what slice_keep took and empties the slice. */
void slice_drop(struct slice *slice);

/* 1 if both hold the same bytes. */
int slice_equal(struct slice a, struct slice b);

#endif
