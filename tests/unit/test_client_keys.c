/* The client's requests on keys: what goes in comes out, retries change nothing, and each refusal
 * has its own code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/client_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct synod_bytes text(const char *string)
{
    return synod_text(string);
}

static uint64_t put(struct synod *s, const char *key, const char *value)
{
    uint64_t revision = 0;
    assert_ok(s, synod_put(s, text(key), text(value), 0, &revision));
    return revision;
}

/* Proves: put, get and delete say what the store says, and a key that is not there is no error. */
static void test_put_get_delete(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    assert_int_equal(put(s, "a", "one"), 2);
    assert_int_equal(put(s, "a", "two"), 3);
    struct synod_result *result = NULL;
    assert_ok(s, synod_get(s, text("a"), &result));
    assert_int_equal(result->revision, 3);
    assert_int_equal(result->response.kv_count, 1);
    const struct synod_kv *kv = result->response.kvs;
    assert_true(is_text(kv->key, "a") && is_text(kv->value, "two"));
    assert_int_equal(kv->create_revision, 2);
    assert_int_equal(kv->mod_revision, 3);
    assert_int_equal(kv->version, 2);
    synod_result_free(result);
    uint64_t deleted = 0;
    assert_ok(s, synod_delete(s, text("a"), &deleted));
    assert_int_equal(deleted, 1);
    assert_ok(s, synod_delete(s, text("a"), &deleted));
    assert_int_equal(deleted, 0);
    assert_ok(s, synod_get(s, text("a"), &result));
    assert_int_equal(result->response.kv_count, 0);
    synod_result_free(result);
    stop(s);
}

/* Proves: the options of puts and deletes travel: previous values, sequential keys, and what is to
 * be ignored. */
static void test_put_options(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    put(s, "k", "old");
    struct synod_result *result = NULL;
    struct synod_request request = {
        .op = SYNOD_PUT, .as.put = {.key = text("k"), .value = text("new"), .previous = 1}};
    assert_ok(s, synod_request(s, &request, SYNOD_LINEARIZABLE, &result));
    assert_int_equal(result->response.op, SYNOD_PUT);
    assert_int_equal(result->response.kv_count, 1);
    assert_true(is_text(result->response.kvs[0].value, "old"));
    synod_result_free(result);
    request = (struct synod_request){
        .op = SYNOD_PUT, .as.put = {.key = text("q/"), .value = text("x"), .sequential = 1}};
    assert_ok(s, synod_request(s, &request, SYNOD_LINEARIZABLE, &result));
    assert_int_equal(result->response.key.size, 2 + 24);
    synod_result_free(result);
    request =
        (struct synod_request){.op = SYNOD_PUT, .as.put = {.key = text("none"), .ignore_value = 1}};
    assert_refused(s, synod_request(s, &request, SYNOD_LINEARIZABLE, NULL), SYNOD_E_NOT_FOUND,
                   "no such key");
    request =
        (struct synod_request){.op = SYNOD_DELETE, .as.del = {.key = text("k"), .previous = 1}};
    assert_ok(s, synod_request(s, &request, SYNOD_LINEARIZABLE, &result));
    assert_int_equal(result->response.count, 1);
    assert_true(is_text(result->response.kvs[0].value, "new"));
    synod_result_free(result);
    stop(s);
}

/* Proves: a transaction takes the path its compares say, nested ones too, and answers each
 * operation of it. */
static void test_transaction(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    put(s, "a", "1");
    const struct synod_compare compares[] = {
        {.key = text("a"), .target = SYNOD_BY_VALUE, .relation = SYNOD_EQUAL, .value = text("1")},
        {.key = text("b"), .target = SYNOD_BY_CREATE, .relation = SYNOD_EQUAL, .number = 0},
    };
    const struct synod_request inner[] = {{.op = SYNOD_RANGE, .as.range = {.key = text("a")}}};
    const struct synod_request then[] = {
        {.op = SYNOD_PUT, .as.put = {.key = text("b"), .value = text("2")}},
        {.op = SYNOD_TXN, .as.txn = {.then = inner, .then_count = 1}},
    };
    const struct synod_request otherwise[] = {
        {.op = SYNOD_DELETE, .as.del = {.key = text("b")}},
    };
    const struct synod_request request = {.op = SYNOD_TXN,
                                          .as.txn = {compares, 2, then, 2, otherwise, 1}};
    struct synod_result *result = NULL;
    assert_ok(s, synod_request(s, &request, SYNOD_LINEARIZABLE, &result));
    assert_true(result->response.succeeded);
    assert_int_equal(result->response.response_count, 2);
    const struct synod_response *nested = &result->response.responses[1];
    assert_int_equal(nested->response_count, 1);
    assert_true(is_text(nested->responses[0].kvs[0].value, "1"));
    synod_result_free(result);
    assert_ok(s, synod_request(s, &request, SYNOD_LINEARIZABLE, &result));
    assert_false(result->response.succeeded);
    assert_int_equal(result->response.responses[0].count, 1);
    synod_result_free(result);
    stop(s);
}

static void expect_usage(struct synod *s, const struct synod_request *request, const char *word)
{
    assert_refused(s, synod_request(s, request, SYNOD_LINEARIZABLE, NULL), SYNOD_E_USAGE, word);
}

/* Proves: what breaks a rule is refused before it is sent, with the limit named, and the handle
 * goes on. A malformed command would break it. */
static void test_usage(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    char *large = calloc(1, SYNOD_VALUE_BYTES_MAX + 1);
    struct synod_request request = {.op = SYNOD_PUT};
    expect_usage(s, &request, "empty");
    request.as.put.key = (struct synod_bytes){large, SYNOD_KEY_BYTES_MAX + 1};
    expect_usage(s, &request, "4096");
    request.as.put.key = text("k");
    request.as.put.value = (struct synod_bytes){large, SYNOD_VALUE_BYTES_MAX + 1};
    expect_usage(s, &request, "1048576");
    request.as.put.value = (struct synod_bytes){large, SIZE_MAX / 2};
    expect_usage(s, &request, "1048576");
    request.op = (enum synod_op)9;
    expect_usage(s, &request, "no operation");
    const struct synod_compare compare = {.key = text("k")};
    request = (struct synod_request){.op = SYNOD_TXN,
                                     .as.txn = {.compares = &compare, .compare_count = 1}};
    expect_usage(s, &request, "no target");
    struct synod_request nest[12] = {{.op = SYNOD_RANGE, .as.range = {.key = text("k")}}};
    for (size_t i = 1; i < 12; i++) {
        nest[i] = (struct synod_request){.op = SYNOD_TXN,
                                         .as.txn = {.then = &nest[i - 1], .then_count = 1}};
    }
    expect_usage(s, &nest[11], "nested");
    request = (struct synod_request){.op = SYNOD_RANGE, .as.range = {.key = text("k")}};
    assert_refused(s, synod_request_async(s, &request, 0, NULL, NULL), SYNOD_E_USAGE,
                   "changes nothing");
    put(s, "k", "v");
    free(large);
    stop(s);
}

/* Proves: revisions that are gone or to come have codes of their own, at reads and compaction. */
static void test_revisions(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    put(s, "k", "1");
    put(s, "k", "2");
    uint64_t last = put(s, "k", "3");
    struct synod_request request = {.op = SYNOD_RANGE,
                                    .as.range = {.key = text("k"), .revision = last - 1}};
    struct synod_result *result = NULL;
    assert_ok(s, synod_request(s, &request, SYNOD_LINEARIZABLE, &result));
    assert_true(is_text(result->response.kvs[0].value, "2"));
    synod_result_free(result);
    assert_ok(s, synod_compact(s, last));
    assert_refused(s, synod_request(s, &request, SYNOD_LINEARIZABLE, NULL), SYNOD_E_COMPACTED, "4");
    assert_refused(s, synod_compact(s, last), SYNOD_E_COMPACTED, "compacted");
    assert_refused(s, synod_compact(s, last + 1), SYNOD_E_FUTURE, "does not exist yet");
    request.as.range.revision = last + 5;
    assert_refused(s, synod_request(s, &request, SYNOD_LOCAL, NULL), SYNOD_E_FUTURE, "newest is 4");
    assert_refused(s, synod_put(s, text("k"), text("v"), 77, NULL), SYNOD_E_LEASE, "no such lease");
    stop(s);
}

/* Proves: a range larger than a page comes whole, at one revision, forwards and in any other order,
 * for which no learner has a page. Either way the acceptors are asked once. */
static void test_pages(void **state)
{
    (void)state;
    struct synod *s = start(1, 2);
    for (int i = 0; i < 50; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%02d", i);
        fake_put(&fake, key, key + 1);
    }
    SCRIPT(page_kvs, 7);
    struct synod_request request = {.op = SYNOD_RANGE,
                                    .as.range = {.key = text("k"), .end = text("l")}};
    for (int descend = 0; descend <= 1; descend++) {
        struct synod_result *result = NULL;
        request.as.range.order = descend ? SYNOD_ORDER_DESCEND : SYNOD_ORDER_NONE;
        SCRIPT(query_future_count, 2); /* learners that lag are asked again */
        SCRIPT(put_count, 1);          /* a key that is put meanwhile is not in the result */
        fake_lock(&fake);
        uint64_t revision = fake_store_revision(fake.store);
        fake_unlock(&fake);
        assert_ok(s, synod_request(s, &request, SYNOD_LINEARIZABLE, &result));
        assert_int_equal(result->revision, revision);
        assert_int_equal(result->response.count, 50);
        assert_int_equal(result->response.kv_count, 50);
        assert_false(result->response.more);
        for (int i = 0; i < 50; i++) {
            char key[16];
            snprintf(key, sizeof key, "k%02d", descend ? 49 - i : i);
            assert_true(is_text(result->response.kvs[i].key, key));
        }
        synod_result_free(result);
        fake_delete(&fake, "k4x");
    }
    fake_lock(&fake);
    assert_int_equal(fake.nodes[1].linear_query_count + fake.nodes[2].linear_query_count, 2);
    fake_unlock(&fake);
    fake_lock(&fake);
    size_t counting = fake.nodes[1].counting_query_count + fake.nodes[2].counting_query_count;
    fake_unlock(&fake);
    request.as.range.limit = 20;
    request.as.range.order = SYNOD_ORDER_NONE;
    struct synod_result *result = NULL;
    assert_ok(s, synod_request(s, &request, SYNOD_LOCAL, &result));
    assert_int_equal(result->response.kv_count, 20);
    assert_int_equal(result->response.count, 50);
    assert_true(result->response.more);
    synod_result_free(result);
    fake_lock(&fake); /* the first page only makes the learner count them all */
    assert_int_equal(fake.nodes[1].counting_query_count + fake.nodes[2].counting_query_count,
                     counting + 1);
    fake_unlock(&fake);
    stop(s);
}

/* Proves: a range of many pages comes whole, at one revision and without being begun anew, while
 * somebody puts and compacts to the present all the time. If it takes so long that its revision is
 * swept, it is begun anew as long as there is time, and then that is said. */
static void test_pages_in_a_storm(void **state)
{
    (void)state;
    fake_start(&fake, 1, 2);
    struct synod *s = open_client((struct synod_options){.timeout_ms = 300});
    for (int i = 0; i < 50; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%02d", i);
        fake_put(&fake, key, key + 1);
    }
    fake_storm(&fake, 1);
    SCRIPT(page_kvs, 1);
    struct synod_request request = {.op = SYNOD_RANGE,
                                    .as.range = {.key = text("k"), .end = text("zzzz")}};
    struct synod_result *result = NULL;
    assert_ok(s, synod_request(s, &request, SYNOD_LINEARIZABLE, &result));
    assert_int_equal(result->response.kv_count, 50); /* none of the storm's */
    assert_int_equal(result->revision, 51);
    synod_result_free(result);
    fake_lock(&fake);
    assert_int_equal(fake.nodes[1].linear_query_count + fake.nodes[2].linear_query_count, 1);
    fake_unlock(&fake);
    request.as.range.revision = 51; /* somebody else's question */
    assert_refused(s, synod_request(s, &request, SYNOD_LINEARIZABLE, NULL), SYNOD_E_COMPACTED,
                   "compacted");
    request.as.range.revision = 0;
    fake_sweep(&fake, UINT64_MAX);
    assert_refused(s, synod_request(s, &request, SYNOD_LINEARIZABLE, NULL), SYNOD_E_COMPACTED,
                   "compacted");
    fake_lock(&fake);
    assert_true(fake.nodes[1].linear_query_count + fake.nodes[2].linear_query_count > 4);
    fake_unlock(&fake);
    stop(s);
}

/* Proves: a question is asked again when it or its answer is lost, when the learner is busy or has
 * no quorum, and of another learner when it dies; without any quorum the sentence says so. */
static void test_read_retries(void **state)
{
    (void)state;
    fake_start(&fake, 1, 2);
    struct synod *s = open_client((struct synod_options){.timeout_ms = 3000});
    fake_put(&fake, "k", "v");
    SCRIPT(drop_query_count, 1);
    assert_ok(s, synod_get(s, text("k"), NULL));
    SCRIPT(query_busy_count, 1);
    assert_ok(s, synod_get(s, text("k"), NULL));
    SCRIPT(no_quorum_count, 2);
    assert_ok(s, synod_get(s, text("k"), NULL));
    fake_lock(&fake);
    size_t used = fake.nodes[1].query_count > fake.nodes[2].query_count ? 1 : 2;
    fake_unlock(&fake);
    fake_down(&fake, used, 1);
    assert_ok(s, synod_get(s, text("k"), NULL));
    fake_down(&fake, used, 0);
    SCRIPT(no_quorum_count, 100000);
    struct synod_request request = {.op = SYNOD_RANGE, .as.range = {.key = text("k")}};
    assert_refused(s, synod_request(s, &request, SYNOD_LINEARIZABLE, NULL), SYNOD_E_UNAVAILABLE,
                   "no quorum");
    assert_ok(s, synod_request(s, &request, SYNOD_LOCAL, NULL));
    stop(s);
}

/* Proves: a put whose block or result is lost happens once, and its answer is the first one. */
static void test_put_once(void **state)
{
    (void)state;
    struct synod *s = start(2, 2);
    assert_int_equal(put(s, "k", "0"), 2);
    SCRIPT(drop_submit_count, 1);
    assert_int_equal(put(s, "k", "1"), 3);
    SCRIPT(drop_result_count, 2); /* one to each learner's client */
    assert_int_equal(put(s, "k", "2"), 4);
    SCRIPT(is_results_doubled, 1);
    assert_int_equal(put(s, "k", "3"), 5);
    stop(s);
}

struct answers {
    struct synod *s;
    int count, code;
    uint64_t revision;
    int is_disordered;
};

static void note_result(void *arg, int code, const struct synod_result *result)
{
    struct answers *a = arg;
    a->count++;
    a->code = code;
    if (code == SYNOD_OK) {
        a->is_disordered |= result->revision != a->revision + 1;
        a->revision = result->revision;
    } else {
        assert_null(result);
    }
}

static void note_append(void *arg, int code, uint64_t index)
{
    (void)index;
    struct answers *a = arg;
    a->count++;
    assert_int_equal(code, SYNOD_OK);
}

/* Proves: asynchronous requests and appends of one handle are executed in the order of the calls;
 * one that is refused does not disturb the others. */
static void test_async(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct answers a = {.s = s, .revision = 1};
    const struct synod_request good = {.op = SYNOD_PUT,
                                       .as.put = {.key = text("k"), .value = text("v")}};
    const struct synod_request bad = {.op = SYNOD_PUT, .as.put = {.key = text("k"), .lease = 9}};
    for (int i = 0; i < 300; i++) {
        assert_ok(s, synod_request_async(s, &good, 0, note_result, &a));
        assert_ok(s, synod_append_async(s, "r", 1, 0, note_append, &a));
    }
    assert_int_equal(synod_outstanding(s), 600);
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (a.count < 600 && now_ms() < deadline) {
        assert_ok(s, synod_poll(s, 50));
    }
    assert_int_equal(a.count, 600);
    assert_false(a.is_disordered);
    assert_int_equal(fake_last(&fake), 300);
    assert_ok(s, synod_request_async(s, &bad, 0, note_result, &a));
    assert_ok(s, synod_request_async(s, &good, 0, NULL, NULL));
    while (synod_outstanding(s) > 0 && now_ms() < deadline) {
        assert_ok(s, synod_poll(s, 50));
    }
    assert_int_equal(a.code, SYNOD_E_LEASE);
    stop(s);
}

static void block_in_callback(void *arg, int code, const struct synod_result *result)
{
    (void)result;
    struct answers *a = arg;
    a->count++;
    assert_int_equal(code, SYNOD_OK);
    a->code = synod_put(a->s, text("x"), text("y"), 0, NULL);
    struct synod_node nodes[1];
    struct synod_leader leader;
    size_t count = 1;
    assert_int_equal(synod_poll(a->s, 0), SYNOD_E_USAGE);
    assert_int_equal(synod_read(a->s, 1, 0, SYNOD_LOCAL, NULL, NULL, NULL), SYNOD_E_USAGE);
    assert_int_equal(synod_tail(a->s, 1, NULL, NULL), SYNOD_E_USAGE);
    assert_int_equal(synod_status(a->s, nodes, 1, &count), SYNOD_E_USAGE);
    assert_int_equal(count, 0);
    assert_int_equal(synod_leader(a->s, &leader), SYNOD_E_USAGE);
    assert_non_null(strstr(synod_error(a->s), "may not wait"));
}

/* A read within a read would take its place. */
static int read_in_read(void *arg, uint64_t index, const void *data, size_t size)
{
    struct answers *a = arg;
    (void)index;
    (void)data;
    (void)size;
    a->count++;
    assert_int_equal(synod_read(a->s, 1, 0, SYNOD_LOCAL, read_in_read, a, NULL), SYNOD_E_USAGE);
    return 0;
}

/* Proves: a blocking call in a callback is refused instead of going round in circles. */
static void test_blocking_in_callback(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct answers a = {.s = s};
    const struct synod_request good = {.op = SYNOD_PUT, .as.put = {.key = text("k")}};
    assert_ok(s, synod_request_async(s, &good, 0, block_in_callback, &a));
    poll_for(s, &a.count);
    assert_int_equal(a.code, SYNOD_E_USAGE);
    put(s, "k", "v");
    fake_fill(&fake, 3);
    a.count = 0;
    assert_ok(s, synod_read(s, 1, 0, SYNOD_LINEARIZABLE, read_in_read, &a, NULL));
    assert_int_equal(a.count, 3);
    stop(s);
}

/* Proves: a request that was outstanding when the session turned out to be unknown says so. */
static void test_session_lost(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    put(s, "k", "v");
    fake_expire(&fake);
    assert_refused(s, synod_put(s, text("k"), text("w"), 0, NULL), SYNOD_E_SESSION, "unknown");
    put(s, "k", "x");
    stop(s);
}

/* Proves: the end of a prefix is the first key behind all that have it. */
static void test_prefix_end(void **state)
{
    (void)state;
    char buffer[SYNOD_KEY_BYTES_MAX];
    assert_true(is_text(synod_prefix_end(text("ab"), buffer), "ac"));
    assert_true(is_text(synod_prefix_end(text("a\xff\xff"), buffer), "b"));
    struct synod_bytes end = synod_prefix_end(text("\xff"), buffer);
    assert_int_equal(end.size, 1);
    assert_int_equal(buffer[0], 0);
    end = synod_prefix_end(text(""), buffer);
    assert_int_equal(end.size, 1);
    assert_int_equal(buffer[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_put_get_delete, clean_up),
        cmocka_unit_test_teardown(test_put_options, clean_up),
        cmocka_unit_test_teardown(test_transaction, clean_up),
        cmocka_unit_test_teardown(test_usage, clean_up),
        cmocka_unit_test_teardown(test_revisions, clean_up),
        cmocka_unit_test_teardown(test_pages, clean_up),
        cmocka_unit_test_teardown(test_pages_in_a_storm, clean_up),
        cmocka_unit_test_teardown(test_read_retries, clean_up),
        cmocka_unit_test_teardown(test_put_once, clean_up),
        cmocka_unit_test_teardown(test_async, clean_up),
        cmocka_unit_test_teardown(test_blocking_in_callback, clean_up),
        cmocka_unit_test_teardown(test_session_lost, clean_up),
        cmocka_unit_test(test_prefix_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
