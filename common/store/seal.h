/* The checksum that every value on disk carries, so that a value that was damaged, or that belongs
 * to another key, is never taken for what was written. */
#ifndef SYNOD_STORE_SEAL_H
#define SYNOD_STORE_SEAL_H

#include "common/base/blob.h"

#include <stdint.h>

/* Bytes that a sealed value is longer than the value. */
#define SEAL_BYTES 8

/* XXH3 (64 bits) of the value, seeded with the XXH3 of the key. The seal is this number,
 * big-endian, behind the value. */
uint64_t seal_hash(struct slice key, struct slice value);

/* Cuts a valid seal off *sealed. 1, or 0 if the bytes are not what was written under key. */
int seal_open(struct slice key, struct slice *sealed);

#endif
