/* What a request on keys must keep before it may enter the log: sizes, flags, the budget of
 * operations, and no key put twice or put and deleted at once; each refusal with its sentence. */
#include "common/protocol/limits.h"
#include "tests/unit/machine_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BUFFERS 64

/* Transactions that are built here live in these. */
struct fixture {
    struct buffer buffers[BUFFERS];
    size_t used;
};

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct fixture));
    return *state == NULL;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < BUFFERS; i++) {
        buffer_close(&f->buffers[i]);
    }
    free(f);
    return 0;
}

static struct buffer *next_buffer(struct fixture *f)
{
    assert_true(f->used < BUFFERS);
    return &f->buffers[f->used++];
}

static struct kv_request txn2(struct fixture *f, const struct kv_request *then_, size_t then_count,
                              const struct kv_request *else_, size_t else_count)
{
    return a_txn(NULL, 0, then_, then_count, else_, else_count, next_buffer(f));
}

static struct kv_request txn(struct fixture *f, const struct kv_request *then_, size_t count)
{
    return txn2(f, then_, count, NULL, 0);
}

/* A transaction of one or two requests. */
static struct kv_request wrap(struct fixture *f, struct kv_request only)
{
    return txn(f, &only, 1);
}

static struct kv_request pair(struct fixture *f, struct kv_request first, struct kv_request second)
{
    struct kv_request both[2] = {first, second};
    return txn(f, both, 2);
}

static struct kv_request either(struct fixture *f, struct kv_request then_, struct kv_request else_)
{
    return txn2(f, &then_, 1, &else_, 1);
}

static int parse(struct kv_request request, struct errmsg *err)
{
    struct buffer bytes = {0};
    struct kv_request parsed;
    kv_put_request(&bytes, &request);
    err->text[0] = '\0';
    int rc = kv_request_parse(buffer_slice(&bytes), &parsed, err);
    buffer_close(&bytes);
    return rc;
}

static void assert_taken(struct kv_request request)
{
    struct errmsg err;
    int rc = parse(request, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(rc, 0);
}

/* Refused, with these words in the sentence, and what to do about it. */
static void assert_refused(struct kv_request request, const char *words)
{
    struct errmsg err;
    assert_int_equal(parse(request, &err), ERROR_USAGE);
    if (strstr(err.text, words) == NULL) {
        fail_msg("\"%s\" has not \"%s\"", err.text, words);
    }
    if (strstr(err.text, "; try: ") == NULL) {
        fail_msg("\"%s\" does not say what to do", err.text);
    }
}

/* Keys of 1 to KEY_BYTES_MAX bytes; values up to theirs; each limit is named. */
static void test_sizes(void **state)
{
    (void)state;
    static const uint8_t bytes[KV_VALUE_BYTES_MAX + 1];
    struct kv_request put = a_put("", "v");
    assert_refused(put, "empty");
    assert_refused(a_range("", "z"), "empty");
    assert_refused(a_delete("", NULL), "empty");
    put.put.key = slice_borrow(bytes, KEY_BYTES_MAX);
    put.put.value = slice_borrow(bytes, KV_VALUE_BYTES_MAX);
    assert_taken(put);
    put.put.value = slice_borrow(bytes, KV_VALUE_BYTES_MAX + 1);
    assert_refused(put, "limit of 1048576");
    put = a_put("", "v");
    put.put.key = slice_borrow(bytes, KEY_BYTES_MAX + 1);
    assert_refused(put, "limit of 4096");
    struct kv_request range = a_range("a", NULL);
    range.range.end = slice_borrow(bytes, KEY_BYTES_MAX + 1); /* what follows the longest key */
    assert_taken(range);
    range.range.end = slice_borrow(bytes, KEY_BYTES_MAX + 2);
    assert_refused(range, "limit of 4096");
}

/* Flags that contradict what is given. */
static void test_flags(void **state)
{
    (void)state;
    struct kv_request put = a_put("a", "v");
    put.put.flags = KV_IGNORE_VALUE;
    assert_refused(put, "value is given");
    put.put.value = SLICE_EMPTY;
    assert_taken(put);
    put.put.flags = KV_IGNORE_LEASE;
    assert_taken(put);
    put.put.lease = 1;
    assert_refused(put, "lease is given");
    put.put.flags = 0;
    put.put.lease = (uint64_t)INT64_MAX + 1;
    assert_refused(put, "2^63-1");
    put.put.lease = 0;
    put.put.flags = KV_SEQUENTIAL | KV_IGNORE_VALUE;
    assert_refused(put, "sequential");
    put.put.flags = 16;
    assert_refused(put, "malformed");
}

/* A level takes the longest of its lists off the budget of those inside it, as in etcd. */
static void test_budget(void **state)
{
    struct fixture *f = *state;
    struct kv_request ranges[TXN_OPS_MAX + 1];
    for (size_t i = 0; i < TXN_OPS_MAX + 1; i++) {
        ranges[i] = a_range("a", NULL);
    }
    assert_taken(txn(f, ranges, TXN_OPS_MAX));
    assert_refused(txn(f, ranges, TXN_OPS_MAX + 1), "more than 128 operations");
    assert_refused(txn2(f, NULL, 0, ranges, TXN_OPS_MAX + 1), "more than 128 operations");
    assert_taken(txn2(f, ranges, TXN_OPS_MAX, ranges, TXN_OPS_MAX));
    assert_taken(wrap(f, txn(f, ranges, TXN_OPS_MAX - 1)));
    assert_refused(wrap(f, txn(f, ranges, TXN_OPS_MAX)), "more than 128 operations");
    ranges[0] = txn(f, &ranges[1], 64);
    for (size_t i = 1; i < 64; i++) {
        ranges[i] = ranges[0];
    }
    assert_refused(txn(f, ranges, 64), "2048 in all");
    struct kv_request deep = a_range("a", NULL);
    for (int i = 0; i < TXN_DEPTH_MAX; i++) {
        deep = wrap(f, deep);
    }
    assert_taken(deep);
    assert_refused(wrap(f, deep), "nested deeper than 8");
}

/* Comparisons: with a key, and of something that can be compared. */
static void test_compares(void **state)
{
    struct fixture *f = *state;
    struct kv_compare compare = a_compare("a", KV_TARGET_MOD, KV_EQUAL, 1);
    assert_taken(a_txn(&compare, 1, NULL, 0, NULL, 0, next_buffer(f)));
    compare.target = KV_TARGET_KEY;
    assert_refused(a_txn(&compare, 1, NULL, 0, NULL, 0, next_buffer(f)), "compared");
    compare = a_compare("", KV_TARGET_MOD, KV_EQUAL, 1);
    assert_refused(a_txn(&compare, 1, NULL, 0, NULL, 0, next_buffer(f)), "empty");
    compare = a_compare("a", KV_TARGET_MOD, (enum kv_relation)4, 1);
    assert_refused(a_txn(&compare, 1, NULL, 0, NULL, 0, next_buffer(f)), "malformed");
}

/* A key is put once on every path. */
static void test_puts_twice(void **state)
{
    struct fixture *f = *state;
    struct kv_request a = a_put("a", "1");
    struct kv_request b = a_put("b", "1");
    assert_taken(pair(f, a, b));
    assert_refused(pair(f, a, a), "put twice");
    assert_taken(either(f, a, a));
    assert_refused(pair(f, a, wrap(f, a)), "put twice");
    assert_refused(pair(f, wrap(f, a), a), "put twice");
    assert_refused(pair(f, wrap(f, a), wrap(f, wrap(f, a))), "put twice");
    assert_taken(wrap(f, either(f, a, wrap(f, a))));
    assert_refused(pair(f, either(f, a, b), either(f, b, a)), "put twice");
    assert_refused(pair(f, either(f, a, a), a), "put twice");
    struct kv_request sequential = a;
    sequential.put.flags = KV_SEQUENTIAL;
    assert_taken(pair(f, sequential, sequential));
    assert_taken(pair(f, sequential, a));
}

/* A key is not put and deleted on one path; but a nested put may stand before a nested delete, and
 * a delete of everything from a key on meets nothing, both as in etcd 3.4. */
static void test_puts_and_deletes(void **state)
{
    struct fixture *f = *state;
    struct kv_request put = a_put("b", "1");
    struct kv_request del = a_delete("b", NULL);
    struct kv_request range = a_delete("a", "c");
    assert_refused(pair(f, put, del), "put and deleted");
    assert_refused(pair(f, del, put), "put and deleted");
    assert_refused(pair(f, range, put), "put and deleted");
    assert_taken(pair(f, a_delete("a", "b"), put));
    assert_taken(pair(f, a_delete("c", "a"), put));
    assert_taken(either(f, put, del));
    assert_refused(pair(f, wrap(f, put), range), "put and deleted");
    assert_refused(pair(f, put, wrap(f, del)), "put and deleted");
    assert_refused(pair(f, wrap(f, del), wrap(f, put)), "put and deleted");
    assert_taken(pair(f, wrap(f, put), wrap(f, del)));
    assert_taken(pair(f, either(f, put, del), a_range("b", NULL)));
    assert_taken(pair(f, a_delete("a", ""), put));
}

/* Bytes that are cut off, or go on behind the end, at every level. */
static void test_malformed(void **state)
{
    struct fixture *f = *state;
    struct buffer bytes = {0};
    struct kv_request request = pair(f, a_put("a", "1"), wrap(f, a_delete("b", NULL)));
    struct kv_request parsed;
    kv_put_request(&bytes, &request);
    assert_int_equal(kv_request_parse(buffer_slice(&bytes), &parsed, NULL), 0);
    for (size_t size = 0; size < bytes.size; size++) {
        struct slice cut = slice_borrow(bytes.data, size);
        assert_int_equal(kv_request_parse(cut, &parsed, NULL), ERROR_USAGE);
    }
    buffer_put_u8(&bytes, 0);
    assert_int_equal(kv_request_parse(buffer_slice(&bytes), &parsed, NULL), ERROR_USAGE);
    buffer_close(&bytes);
    request.txn.then_.size--; /* the nested one lost a byte */
    assert_refused(request, "malformed");
}

/* A transaction is read-only if nothing in it, on any path, changes anything. */
static void test_read_only(void **state)
{
    struct fixture *f = *state;
    struct kv_request range = a_range("a", NULL);
    struct kv_request put = a_put("a", "1");
    struct kv_request del = a_delete("a", NULL);
    assert_true(kv_request_is_read_only(&range));
    assert_false(kv_request_is_read_only(&put));
    assert_false(kv_request_is_read_only(&del));
    struct kv_request request = pair(f, range, wrap(f, either(f, range, range)));
    assert_true(kv_request_is_read_only(&request));
    request = pair(f, range, wrap(f, either(f, range, del)));
    assert_false(kv_request_is_read_only(&request));
    request = either(f, put, range);
    assert_false(kv_request_is_read_only(&request));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_sizes),     TEST(test_flags),      TEST(test_budget),
        TEST(test_compares),  TEST(test_puts_twice), TEST(test_puts_and_deletes),
        TEST(test_malformed), TEST(test_read_only),
    };
    return cmocka_run_group_tests_name("kv_rules", tests, NULL, NULL);
}
