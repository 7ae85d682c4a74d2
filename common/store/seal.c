#include "common/store/seal.h"

#include "common/base/bytes.h"

#include <xxhash.h>

uint64_t seal_hash(struct slice key, struct slice value)
{
    return XXH3_64bits_withSeed(value.data, value.size, XXH3_64bits(key.data, key.size));
}

int seal_open(struct slice key, struct slice *sealed)
{
    if (sealed->size < SEAL_BYTES) {
        return 0;
    }
    struct slice value = *sealed;
    value.size -= SEAL_BYTES;
    if (bytes_get_u64(value.data + value.size) != seal_hash(key, value)) {
        return 0;
    }
    *sealed = value;
    return 1;
}
