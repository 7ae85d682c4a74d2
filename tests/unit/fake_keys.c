/* What somebody else does to the keys of the scripted cluster. */
#include "common/base/bytes.h"
#include "common/protocol/kv.h"
#include "tests/unit/fake_cluster.h"

#include <stdio.h>
#include <string.h>

static struct slice text(const char *string)
{
    return string != NULL ? slice_borrow(string, strlen(string)) : SLICE_EMPTY;
}

uint64_t fake_request(struct fake *f, const struct kv_request *request)
{
    struct buffer bytes = {0};
    struct buffer body = {0};
    struct result_range range;
    kv_put_request(&bytes, request);
    const struct command command = {COMMAND_KV, buffer_slice(&bytes)};
    fake_lock(f);
    fake_store_execute(f->store, 0, &command, &range, &body);
    fake_unlock(f);
    buffer_close(&bytes);
    buffer_close(&body);
    return range.value;
}

uint64_t fake_put(struct fake *f, const char *key, const char *value)
{
    fake_lock(f);
    uint64_t revision = fake_store_put(f->store, key, value);
    fake_unlock(f);
    return revision;
}

uint64_t fake_delete(struct fake *f, const char *key)
{
    const struct kv_request request = {.op = KV_DELETE, .delete_ = {.key = text(key)}};
    return fake_request(f, &request);
}

size_t fake_count(struct fake *f, const char *prefix)
{
    struct buffer bytes = {0};
    struct buffer body = {0};
    struct msg_answer answer;
    char end[128];
    snprintf(end, sizeof end, "%s", prefix);
    end[strlen(end) - 1]++; /* the slash */
    const struct kv_request request = {
        .op = KV_RANGE, .range = {.flags = KV_COUNT_ONLY, .key = text(prefix), .end = text(end)}};
    kv_put_request(&bytes, &request);
    const struct msg_query query = {.op = QUERY_KV, .body = buffer_slice(&bytes)};
    fake_lock(f);
    fake_store_query(f->store, &query, 0, &answer, &body);
    fake_unlock(f);
    struct slice rest = buffer_slice(&body);
    struct kv_response response = {0};
    size_t count = kv_next_response(&rest, &response) == 1 ? response.count : 0;
    buffer_close(&bytes);
    buffer_close(&body);
    return count;
}

int fake_has(struct fake *f, const char *key, const char *value)
{
    struct buffer bytes = {0};
    struct buffer body = {0};
    struct msg_answer answer;
    const struct kv_request request = {.op = KV_RANGE, .range = {.key = text(key)}};
    kv_put_request(&bytes, &request);
    const struct msg_query query = {.op = QUERY_KV, .body = buffer_slice(&bytes)};
    fake_lock(f);
    fake_store_query(f->store, &query, 0, &answer, &body);
    fake_unlock(f);
    struct slice rest = buffer_slice(&body);
    struct kv_response response;
    struct kv kv = {0};
    int has = kv_next_response(&rest, &response) == 1 && kv_next(&response.items, &kv) == 1 &&
              (value == NULL || slice_equal(kv.value, text(value)));
    buffer_close(&bytes);
    buffer_close(&body);
    return has;
}

void fake_compact(struct fake *f, uint64_t revision)
{
    uint8_t payload[8];
    struct buffer body = {0};
    struct result_range range;
    bytes_put_u64(payload, revision);
    const struct command command = {COMMAND_COMPACT, slice_borrow(payload, sizeof payload)};
    fake_lock(f);
    fake_store_execute(f->store, 0, &command, &range, &body);
    fake_unlock(f);
    buffer_close(&body);
}

void fake_sweep(struct fake *f, uint64_t revision)
{
    fake_lock(f);
    fake_store_sweep(f->store, revision);
    fake_unlock(f);
}

void fake_storm(struct fake *f, int is_on)
{
    fake_lock(f);
    fake_store_storm(f->store, is_on);
    fake_unlock(f);
}
