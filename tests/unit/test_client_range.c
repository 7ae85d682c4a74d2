/* The client's ranges of a real state machine: whatever their size, order and limit, they are those
 * of the reference, which answers each of them at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/client/keys.h"
#include "tests/unit/client_kit.h"
#include "tests/unit/machine_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More than a learner sorts, in values that share their beginnings. */
#define KEYS 120
#define VALUE_BYTES ((size_t)300 * KIB)

static struct machine_kit kit;

static int close_kit(void **state)
{
    int rc = clean_up(state);
    machine_kit_close(&kit);
    return rc;
}

static struct synod *start_both(void)
{
    machine_kit_open(&kit);
    return start(1, 2);
}

/* Puts a key in the machine and in the reference. */
static void put(struct slice key, struct slice value)
{
    const struct kv_request request = {.op = KV_PUT, .put = {.key = key, .value = value}};
    kit.acked_seq = kit.next_seq - 1;
    machine_kit_do(&kit, &request);
    fake_request(&fake, &request);
}

static void assert_bytes(struct synod_bytes found, struct slice wanted)
{
    assert_int_equal(found.size, wanted.size);
    assert_true(wanted.size == 0 || memcmp(found.data, wanted.data, wanted.size) == 0);
}

/* The answer that no learner could send at once. */
static void assert_response(const struct synod_result *result, const struct msg_answer *answer)
{
    struct kv_response response;
    struct slice body = answer->body;
    struct kv kv;
    assert_int_equal(answer->status, RESULT_OK);
    assert_int_equal(kv_next_response(&body, &response), 1);
    assert_int_equal(result->revision, answer->revision);
    assert_int_equal(result->response.count, response.count);
    assert_int_equal(result->response.more, response.more);
    assert_int_equal(result->response.kv_count, response.item_count);
    for (size_t i = 0; i < result->response.kv_count; i++) {
        const struct synod_kv *found = &result->response.kvs[i];
        assert_int_equal(kv_next(&response.items, &kv), 1);
        assert_bytes(found->key, kv.key);
        assert_bytes(found->value, kv.value);
        assert_int_equal(found->create_revision, kv.create);
        assert_int_equal(found->mod_revision, kv.mod);
        assert_int_equal(found->version, kv.version);
    }
}

/* Asks the machine, over the wire, and compares with the reference. */
static void compare(struct synod *s, const struct synod_range_op *op)
{
    const struct synod_request request = {.op = SYNOD_RANGE, .as.range = *op};
    struct synod_result *result = NULL;
    struct buffer bytes = {0};
    struct buffer body = {0};
    struct msg_answer answer;
    fake_lock(&fake);
    fake_store_use(fake.store, kit.machine);
    fake_unlock(&fake);
    assert_ok(s, synod_request(s, &request, SYNOD_LINEARIZABLE, &result));
    const struct kv_request wanted = {.op = KV_RANGE, .range = keys_range(op)};
    kv_put_request(&bytes, &wanted);
    const struct msg_query query = {.op = QUERY_KV, .body = buffer_slice(&bytes)};
    fake_lock(&fake);
    fake_store_use(fake.store, NULL);
    fake_store_query(fake.store, &query, 0, &answer, &body);
    fake_unlock(&fake);
    assert_response(result, &answer);
    synod_result_free(result);
    buffer_close(&bytes);
    buffer_close(&body);
}

static void fill(struct rng *rng)
{
    static uint8_t value[VALUE_BYTES];
    for (int i = 0; i < 2 * KEYS; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%03d", (int)rng_below(rng, KEYS));
        memset(value, 'v', sizeof value);
        value[rng_below(rng, 3)] = (uint8_t)('a' + rng_below(rng, 3));
        put(slice_borrow(key, strlen(key)), slice_borrow(value, 1 + rng_below(rng, sizeof value)));
    }
    put(slice_borrow("z", 1), slice_borrow("small", 5));
}

/* Proves: every order, target, limit and filter, with and without values, now and at an old
 * revision, is answered as by one learner that had room for all of it. */
static void test_sorted_ranges_of_any_size(void **state)
{
    (void)state;
    static const uint64_t limits[] = {0, 1, 7, 60, 1000};
    struct synod *s = start_both();
    struct rng rng;
    rng_init(&rng, 7);
    fill(&rng);
    for (int i = 0; i < 3 * (3 * 5 * 5 * 2); i++) {
        struct synod_range_op op = {.key = synod_text("k"),
                                    .end = synod_text("l"),
                                    .order = (enum synod_order)(i % 3),
                                    .target = (enum synod_target)(i / 3 % 5),
                                    .limit = limits[i / 15 % 5],
                                    .keys_only = i / 75 % 2};
        op.min_mod = rng_below(&rng, 4) == 0 ? 50 + rng_below(&rng, 50) : 0;
        op.max_create = rng_below(&rng, 4) == 0 ? 50 + rng_below(&rng, 150) : 0;
        op.revision = rng_below(&rng, 3) == 0 ? 150 + rng_below(&rng, 80) : 0;
        compare(s, &op);
    }
    stop(s);
}

/* Proves: of many keys the best are kept on the way, and those of one rank in the order of their
 * keys. */
static void test_best_of_many(void **state)
{
    (void)state;
    static uint8_t value[3000];
    struct synod *s = start_both();
    struct rng rng;
    rng_init(&rng, 8);
    for (int i = 0; i < 4000; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%04d", (int)rng_below(&rng, 3500));
        value[0] = (uint8_t)rng_below(&rng, 8);
        put(slice_borrow(key, strlen(key)), slice_borrow(value, sizeof value));
    }
    for (int i = 0; i < 10; i++) {
        const struct synod_range_op op = {.key = synod_text("k"),
                                          .end = synod_text("l"),
                                          .limit = 750,
                                          .order = 1 + (enum synod_order)(i % 2),
                                          .target = (enum synod_target)(i / 2)};
        compare(s, &op);
    }
    stop(s);
}

/* Proves: a page that ends with the longest key is gone on behind it, up to the very last one. */
static void test_longest_keys(void **state)
{
    (void)state;
    static uint8_t keys[3][KEY_BYTES_MAX];
    static uint8_t value[VALUE_BYTES];
    struct synod *s = start_both();
    memset(keys[0], 'k', sizeof keys[0]);
    memcpy(keys[1], keys[0], sizeof keys[1]);
    keys[1][sizeof keys[1] - 1] = 0xff;
    memset(keys[2], 0xff, sizeof keys[2]);
    for (size_t i = 0; i < 3; i++) {
        put(slice_borrow(keys[i], sizeof keys[i]), slice_borrow(value, sizeof value));
    }
    put(slice_borrow("l", 1), slice_borrow(value, sizeof value));
    for (int i = 0; i < 12; i++) { /* pages end with each of them */
        char key[2] = {(char)('0' + i), '\0'};
        put(slice_borrow(key, 1), slice_borrow(value, 1000 + (size_t)i * 20000));
        const struct synod_range_op op = {.key = synod_text("0"), .end = {"", 1}};
        compare(s, &op);
    }
    stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_sorted_ranges_of_any_size, close_kit),
        cmocka_unit_test_teardown(test_best_of_many, close_kit),
        cmocka_unit_test_teardown(test_longest_keys, close_kit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
