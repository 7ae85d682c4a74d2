#include "acceptor/log/codec.h"

#include "common/base/bytes.h"

#include <string.h>

void codec_put_ballot(uint8_t *p, const struct ballot *ballot)
{
    bytes_put_u64(p, ballot->round);
    bytes_put_u32(p + 8, ballot->proposer);
    bytes_put_u64(p + 12, ballot->incarnation);
}

struct ballot codec_get_ballot(const uint8_t *p)
{
    return (struct ballot){bytes_get_u64(p), bytes_get_u32(p + 8), bytes_get_u64(p + 12)};
}

void codec_put_slot_key(uint8_t *key, char letter, slot_t slot)
{
    key[0] = (uint8_t)letter;
    bytes_put_u64(key + 1, slot);
}

slot_t codec_get_slot_key(struct slice key)
{
    return key.size == SLOT_KEY_BYTES ? bytes_get_u64(key.data + 1) : 0;
}

void codec_put_record(enum durability durability, char letter, const uint8_t *bytes, size_t size,
                      struct effects *out)
{
    effects_put(out, durability, slice_borrow(&letter, 1), slice_borrow(bytes, size), SLICE_EMPTY);
}

int codec_read_record(const struct store_reader *reader, char letter, uint8_t *bytes, size_t size,
                      struct effects *out)
{
    struct blob *blob;
    int rc = reader->get(reader->self, slice_borrow(&letter, 1), &blob);
    if (rc == ERROR_NOT_FOUND) {
        return 0;
    }
    if (rc != 0) {
        effects_fatal(out, rc, "cannot read record '%c' of the acceptor's store (%s)", letter,
                      error_name(rc));
        return 0;
    }
    int ok = blob->size == size;
    if (ok) {
        memcpy(bytes, blob->data, size);
    } else {
        effects_fatal(out, ERROR_CORRUPT, "record '%c' of the acceptor's store has %zu bytes",
                      letter, blob->size);
    }
    blob_unref(blob);
    return ok;
}
