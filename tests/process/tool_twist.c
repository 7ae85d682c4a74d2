/* Makes the state of a learner that does not run another one than was agreed on: `tool_twist
 * CLUSTER ID DIR` changes one bit of the digest in its store, as an error of memory or of the
 * program would have. */
#include "common/config/config.h"
#include "common/store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the digest is in record 'm' (common/PROTOCOL.md). */
#define DIGEST_AT 8

static int twist(struct store *store, struct errmsg *err)
{
    struct store_reader reader = store_reader(store);
    struct blob *found;
    int rc = reader.get(reader.self, slice_borrow("m", 1), &found);
    if (rc != 0) {
        return rc;
    }
    uint8_t *bytes;
    struct blob *value = blob_new(found->size, &bytes);
    memcpy(bytes, found->data, found->size);
    bytes[DIGEST_AT] ^= 1;
    static const uint8_t key[] = {'m'};
    struct record record = {.key = key, .key_size = sizeof key, .body = slice_of(value)};
    rc = store_write(store, &record, 1, 1, err);
    blob_unref(value);
    blob_unref(found);
    return rc;
}

int main(int argc, char **argv)
{
    struct errmsg err = {0};
    struct config config;
    struct store *store;
    if (argc != 4 || config_load(argv[1], &config, &err) != 0) {
        fprintf(stderr, "usage: tool_twist CLUSTER ID DIR (%s)\n", err.text);
        return 3;
    }
    struct store_identity identity = {
        .cluster_id = config.id,
        .node = {ROLE_LEARNER, strtoull(argv[2], NULL, 10)},
    };
    snprintf(identity.protocol, sizeof identity.protocol, "%s",
             config_protocol_name(config.protocol));
    int rc = store_open(argv[3], &identity, 0, &store, &err);
    if (rc == 0) {
        rc = twist(store, &err);
        store_close(store);
    }
    if (rc != 0) {
        fprintf(stderr, "error: %s\n", err.text);
        return 1;
    }
    return 0;
}
