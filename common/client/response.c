#include "common/client/keys.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/protocol/limits.h"

#include <stdlib.h>
#include <string.h>

struct synod_bytes keys_bytes(struct slice slice)
{
    return (struct synod_bytes){slice.size > 0 ? (const void *)slice.data : "", slice.size};
}

struct synod_kv keys_kv(const struct kv *kv)
{
    return (struct synod_kv){
        .key = keys_bytes(kv->key),
        .value = keys_bytes(kv->value),
        .create_revision = kv->create,
        .mod_revision = kv->mod,
        .version = kv->version,
        .lease = kv->lease,
    };
}

/* ---- bytes to results */

/* What a result needs besides its bytes. */
struct tally {
    size_t responses; /* in all transactions */
    size_t kvs;
};

static int tally_kvs(struct slice items, uint32_t count, struct tally *tally)
{
    struct kv kv;
    uint32_t found = 0;
    int rc;
    while ((rc = kv_next(&items, &kv)) == 1) {
        found++;
    }
    tally->kvs += found;
    return rc == 0 && found == count ? 0 : -1;
}

static int tally_responses(struct slice items, uint32_t count, int depth, struct tally *tally)
{
    struct kv_response response;
    uint32_t found = 0;
    int rc;
    if (depth > TXN_DEPTH_MAX) {
        return -1;
    }
    while ((rc = kv_next_response(&items, &response)) == 1) {
        int is_txn = response.op == KV_TXN;
        rc = is_txn ? tally_responses(response.items, response.item_count, depth + 1, tally)
                    : tally_kvs(response.items, response.item_count, tally);
        if (rc != 0) {
            return -1;
        }
        found++;
    }
    tally->responses += found;
    return rc == 0 && found == count ? 0 : -1;
}

/* Where the next of each kind goes. */
struct places {
    struct synod_response *response;
    struct synod_kv *kv;
};

static void fill_response(struct synod_response *out, const struct kv_response *response,
                          struct places *places)
{
    *out = (struct synod_response){
        .op = (enum synod_op)response->op,
        .count = response->count,
        .more = response->more,
        .succeeded = response->succeeded,
        .key = keys_bytes(response->key),
    };
    struct slice items = response->items;
    if (response->op == KV_TXN) {
        struct kv_response part;
        out->responses = places->response;
        out->response_count = response->item_count;
        places->response += response->item_count;
        for (size_t i = 0; kv_next_response(&items, &part) == 1; i++) {
            fill_response(&out->responses[i], &part, places);
        }
        return;
    }
    struct kv kv;
    out->kvs = places->kv;
    out->kv_count = response->item_count;
    while (kv_next(&items, &kv) == 1) {
        *places->kv++ = keys_kv(&kv);
    }
}

struct synod_result *keys_decode(struct slice bytes, uint64_t revision)
{
    struct tally tally = {0};
    if (tally_responses(bytes, 1, 0, &tally) != 0) {
        return NULL;
    }
    size_t head = sizeof(struct synod_result) + tally.responses * sizeof(struct synod_response) +
                  tally.kvs * sizeof(struct synod_kv);
    uint8_t *memory = memory_alloc(head + bytes.size);
    struct synod_result *result = (struct synod_result *)(void *)memory;
    struct places places = {.response = (struct synod_response *)(void *)(result + 1)};
    places.kv = (struct synod_kv *)(void *)(places.response + tally.responses);
    memcpy(memory + head, bytes.data, bytes.size);
    struct slice rest = slice_borrow(memory + head, bytes.size);
    struct kv_response response;
    CHECK(kv_next_response(&rest, &response) == 1);
    result->revision = revision;
    fill_response(&result->response, &response, &places);
    return result;
}

void synod_result_free(struct synod_result *result)
{
    free(result);
}
