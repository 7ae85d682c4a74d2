#include "common/base/blob.h"

#include "common/base/check.h"
#include "common/base/memory.h"

#include <stdlib.h>
#include <string.h>

static void blob_free(struct blob *blob)
{
    free(blob); /* the bytes follow the header in the same allocation */
}

struct blob *blob_new(size_t size, uint8_t **data)
{
    struct blob *blob = memory_alloc(sizeof *blob + size);
    uint8_t *bytes = (uint8_t *)(blob + 1);
    *blob = (struct blob){.data = bytes, .size = size, .references = 1, .release = blob_free};
    *data = bytes;
    return blob;
}

struct blob *blob_copy(const void *data, size_t size)
{
    uint8_t *bytes;
    struct blob *blob = blob_new(size, &bytes);
    if (size > 0) {
        memcpy(bytes, data, size);
    }
    return blob;
}

static void blob_free_adopted(struct blob *blob)
{
    free((void *)(uintptr_t)blob->data);
    free(blob);
}

struct blob *blob_adopt(const uint8_t *data, size_t size)
{
    struct blob *blob = memory_alloc(sizeof *blob);
    *blob =
        (struct blob){.data = data, .size = size, .references = 1, .release = blob_free_adopted};
    return blob;
}

struct blob *blob_ref(struct blob *blob)
{
    if (blob != NULL) {
        CHECK(blob->references > 0);
        CHECK(blob->references < UINT32_MAX);
        blob->references++;
    }
    return blob;
}

void blob_unref(struct blob *blob)
{
    if (blob == NULL) {
        return;
    }
    CHECK(blob->references > 0);
    if (--blob->references == 0) {
        blob->release(blob);
    }
}

struct slice slice_of(struct blob *blob)
{
    return (struct slice){blob->data, blob->size, blob};
}

struct slice slice_borrow(const void *data, size_t size)
{
    return (struct slice){data, size, NULL};
}

struct slice slice_keep(struct slice slice)
{
    if (slice.owner != NULL) {
        blob_ref(slice.owner);
        return slice;
    }
    return slice_of(blob_copy(slice.data, slice.size));
}

void slice_drop(struct slice *slice)
{
    blob_unref(slice->owner);
    *slice = SLICE_EMPTY;
}

int slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}
