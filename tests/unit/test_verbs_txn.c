/* Transactions as people write them, in etcdctl's text and as JSON: what they mean, and what is
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "deploy/txn.h"
#include "tests/unit/say_kit.h"

#include <stdio.h>

static void expect_bytes(struct synod_bytes got, const char *bytes, size_t size)
{
    assert_int_equal(got.size, size);
    assert_memory_equal(got.data, bytes, size);
}

static void expect_text(struct synod_bytes got, const char *text)
{
    expect_bytes(got, text, strlen(text));
}

/* The parts of an accepted text. */
static const struct synod_txn_op *accept(struct txn *txn, const char *text)
{
    memset(txn, 0, sizeof *txn);
    assert_int_equal(txn_parse_text(txn, "input", text, strlen(text)), 0);
    assert_int_equal(txn->request.op, SYNOD_TXN);
    return &txn->request.as.txn;
}

static const struct synod_txn_op *accept_json(struct txn *txn, const char *text)
{
    memset(txn, 0, sizeof *txn);
    assert_int_equal(txn_parse_json(txn, "input", text, strlen(text)), 0);
    assert_int_equal(txn->request.op, SYNOD_TXN);
    return &txn->request.as.txn;
}

typedef int (*parse_fn)(struct txn *txn, const char *source, const char *text, size_t size);

/* A refusal is exit status 3, and a sentence with the words. */
static void refuse(parse_fn parse, const char *text, size_t size, const char *words)
{
    struct txn txn = {0};
    say_begin();
    int status = parse(&txn, "input", text, size);
    const char *said = say_end();
    txn_close(&txn);
    if (status != 3 || strstr(said, words) == NULL || strncmp(said, "error: ", 7) != 0 ||
        strstr(said, "; try: ") == NULL) {
        fail_msg("%s\nended with %d and said: %s\ninstead of: %s", text, status, said, words);
    }
}

static void refuse_text(const char *text, const char *words)
{
    refuse(txn_parse_text, text, strlen(text), words);
}

static void refuse_json(const char *text, const char *words)
{
    refuse(txn_parse_json, text, strlen(text), words);
}

/* ---- text */

/* Proves: the three parts are told apart by empty lines, and each request is read as its verb. */
static void test_parts(void **state)
{
    (void)state;
    struct txn txn;
    const struct synod_txn_op *op = accept(&txn, "mod(\"a\") > \"7\"\n"
                                                 "value(b) = \"x y\"\n"
                                                 "\n"
                                                 "put a 1 --lease 5 --prev-kv\n"
                                                 "get b --rev 3 --limit 2 --sort-by modify\n"
                                                 " \t\n"
                                                 "del --prefix c\n");
    assert_int_equal(op->compare_count, 2);
    assert_int_equal(op->compares[0].target, SYNOD_BY_MOD);
    assert_int_equal(op->compares[0].relation, SYNOD_GREATER);
    assert_int_equal(op->compares[0].number, 7);
    expect_text(op->compares[0].key, "a");
    assert_int_equal(op->compares[1].target, SYNOD_BY_VALUE);
    assert_int_equal(op->compares[1].relation, SYNOD_EQUAL);
    expect_text(op->compares[1].value, "x y");
    assert_int_equal(op->then_count, 2);
    assert_int_equal(op->then[0].op, SYNOD_PUT);
    expect_text(op->then[0].as.put.key, "a");
    expect_text(op->then[0].as.put.value, "1");
    assert_int_equal(op->then[0].as.put.lease, 5);
    assert_int_equal(op->then[0].as.put.previous, 1);
    assert_int_equal(op->then[1].op, SYNOD_RANGE);
    assert_int_equal(op->then[1].as.range.revision, 3);
    assert_int_equal(op->then[1].as.range.limit, 2);
    assert_int_equal(op->then[1].as.range.target, SYNOD_BY_MOD);
    assert_int_equal(op->then[1].as.range.order, SYNOD_ORDER_ASCEND);
    assert_int_equal(op->otherwise_count, 1);
    assert_int_equal(op->otherwise[0].op, SYNOD_DELETE);
    expect_text(op->otherwise[0].as.del.key, "c");
    expect_text(op->otherwise[0].as.del.end, "d");
    txn_close(&txn);
}

/* Proves: parts may be empty, at the end left out, and the last line needs no newline. */
static void test_empty_parts(void **state)
{
    (void)state;
    struct txn txn;
    const struct synod_txn_op *op = accept(&txn, "");
    assert_int_equal(op->compare_count + op->then_count + op->otherwise_count, 0);
    txn_close(&txn);
    op = accept(&txn, "\nput a b");
    assert_int_equal(op->compare_count, 0);
    assert_int_equal(op->then_count, 1);
    txn_close(&txn);
    op = accept(&txn, "\n\nput a b\n\n\n");
    assert_int_equal(op->then_count, 0);
    assert_int_equal(op->otherwise_count, 1);
    txn_close(&txn);
}

/* Proves: every target and relation, in its short forms, too, is the one it says. */
static void test_compares(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum synod_target target;
        enum synod_relation relation;
        int64_t number;
    } cases[] = {
        {"version(k) = 1", SYNOD_BY_VERSION, SYNOD_EQUAL, 1},
        {"ver(\"k\")=\"1\"", SYNOD_BY_VERSION, SYNOD_EQUAL, 1},
        {"create('k') != 1", SYNOD_BY_CREATE, SYNOD_NOT_EQUAL, 1},
        {"c(k)!=-1", SYNOD_BY_CREATE, SYNOD_NOT_EQUAL, -1},
        {"mod( k ) < 1", SYNOD_BY_MOD, SYNOD_LESS, 1},
        {"m (k) > \"-1\"", SYNOD_BY_MOD, SYNOD_GREATER, -1},
        {"mod(k) < 9223372036854775807", SYNOD_BY_MOD, SYNOD_LESS, INT64_MAX},
        {"version(k) > -9223372036854775808", SYNOD_BY_VERSION, SYNOD_GREATER, INT64_MIN},
        {"lease(k) > -20", SYNOD_BY_LEASE, SYNOD_GREATER, -20},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct txn txn;
        const struct synod_txn_op *op = accept(&txn, cases[i].text);
        assert_int_equal(op->compare_count, 1);
        assert_int_equal(op->compares[0].target, cases[i].target);
        assert_int_equal(op->compares[0].relation, cases[i].relation);
        assert_int_equal((int64_t)op->compares[0].number, cases[i].number);
        expect_text(op->compares[0].key, "k");
        txn_close(&txn);
    }
}

/* Proves: words stand bare, in single quotes as they are, in double quotes with escapes. */
static void test_words(void **state)
{
    (void)state;
    struct txn txn;
    const struct synod_txn_op *op =
        accept(&txn, "\nput 'a \\n' \"b\\n\\t\\\"\\\\\\xfF\"\nput \"\\x41(\" ''\nput -- -k -v");
    assert_int_equal(op->then_count, 3);
    expect_text(op->then[0].as.put.key, "a \\n");
    expect_bytes(op->then[0].as.put.value, "b\n\t\"\\\xff", 6);
    expect_text(op->then[1].as.put.key, "A(");
    expect_text(op->then[1].as.put.value, "");
    expect_text(op->then[2].as.put.key, "-k");
    expect_text(op->then[2].as.put.value, "-v");
    txn_close(&txn);
}

/* Proves: what is wrong is refused with its line. */
static void test_text_refusals(void **state)
{
    (void)state;
    refuse_text("mod(\"a\") > \"0\"\nmod(\"a\")\n", "input:2: this is no compare");
    refuse_text("mod(\"a\") ~ 1", "input:1: this is no compare");
    refuse_text("mod(\"a\") => 1", "input:1: this is no compare");
    refuse_text("mod(\"a\") = 1 2", "input:1: this is no compare");
    refuse_text("put a b", "input:1: this is no compare");
    refuse_text("size(\"a\") = 1", "input:1: a compare is of version");
    refuse_text("mod(\"a\") = -", "input:1: it is compared with a number");
    refuse_text("mod(\"a\") = +1", "input:1: it is compared with a number");
    refuse_text("mod(\"a\") = -1x", "input:1: it is compared with a number");
    refuse_text("mod(\"a\") = -9223372036854775809", "input:1: it is compared with a number");
    refuse_text("mod(\"a\") = 9223372036854775808", "input:1: it is compared with a number");
    refuse_text("mod(\"\") = 1", "input:1: a key has at least one byte");
    refuse_text("value(\"a) = \"b\"", "input:1: ");
    refuse_text("\nput a", "input:2: this put has no value");
    refuse_text("\nput", "input:2: it needs a key");
    refuse_text("\nput a b c", "input:2: it takes a key and a value");
    refuse_text("\nput '' b", "input:2: a key has at least one byte");
    refuse_text("\nput \"a b", "input:2: a quote that is not closed");
    refuse_text("\nput \"a\\q\" b", "input:2: an escape that is none of");
    refuse_text("\nput \"a\\x4\" b", "input:2: an escape that is none of");
    refuse_text("\nput \"a\\x00\" b", "input:2: a zero byte");
    refuse_text("\nwatch a", "input:2: a request is one of put, get, range and del");
    refuse_text("\nlock a", "input:2: a request is one of put, get, range and del");
    refuse_text("\nget a --cluster x", "input:2: unknown option: --cluster");
    refuse_text("\nget a -o json", "input:2: unknown option: -o");
    refuse_text("\nget a --limit x", "input:2: --limit: \"x\" is not a number");
    refuse_text("\nput a b\n\nput a b\n\nput a b", "input:6: there is a fourth part");
    refuse(txn_parse_text, "\nput a \0b", 9, "input:2: a zero byte");
}

/* ---- JSON */

/* Proves: every member of every operation ends up in its field, any bytes included. */
static void test_json(void **state)
{
    (void)state;
    struct txn txn;
    const struct synod_txn_op *op = accept_json(
        &txn,
        "{\"compare\": [{\"key\": \"a\", \"prefix\": true, \"target\": \"value\","
        "  \"relation\": \"!=\", \"value\": \"x\\u0000y\"},"
        " {\"key_base64\": \"a/8=\", \"target\": \"lease\", \"relation\": \">\","
        "  \"number\": -12}],"
        "\"then\": [{\"put\": {\"key\": \"k\", \"value_base64\": \"AP8=\", \"lease\": 9,"
        "  \"previous\": true}},"
        " {\"put\": {\"key\": \"k2\", \"ignore_value\": true, \"ignore_lease\": false,"
        "  \"sequential\": true}},"
        " {\"range\": {\"key\": \"\", \"prefix\": true, \"limit\": 3, \"revision\": 4,"
        "  \"order\": \"desc\", \"sort_by\": \"create\", \"keys_only\": true,"
        "  \"count_only\": true, \"min_mod\": 5, \"max_mod\": 6, \"min_create\": 7,"
        "  \"max_create\": 8}}],"
        "\"else\": [{\"delete\": {\"key\": \"a\", \"end\": \"\\u0000\", \"previous\": true}}]}");
    assert_int_equal(op->compare_count, 2);
    expect_text(op->compares[0].end, "b");
    expect_bytes(op->compares[0].value, "x\0y", 3);
    assert_int_equal(op->compares[0].relation, SYNOD_NOT_EQUAL);
    expect_bytes(op->compares[1].key, "k\xff", 2);
    assert_int_equal((int64_t)op->compares[1].number, -12);
    assert_int_equal(op->then_count, 3);
    expect_bytes(op->then[0].as.put.value, "\0\xff", 2);
    assert_int_equal(op->then[0].as.put.lease, 9);
    assert_int_equal(op->then[0].as.put.previous, 1);
    assert_int_equal(op->then[1].as.put.ignore_value, 1);
    assert_int_equal(op->then[1].as.put.ignore_lease, 0);
    assert_int_equal(op->then[1].as.put.sequential, 1);
    const struct synod_range_op *range = &op->then[2].as.range;
    expect_bytes(range->key, "\0", 1);
    expect_bytes(range->end, "\0", 1);
    assert_int_equal(range->limit, 3);
    assert_int_equal(range->revision, 4);
    assert_int_equal(range->order, SYNOD_ORDER_DESCEND);
    assert_int_equal(range->target, SYNOD_BY_CREATE);
    assert_int_equal(range->keys_only, 1);
    assert_int_equal(range->count_only, 1);
    assert_int_equal(range->min_mod, 5);
    assert_int_equal(range->max_mod, 6);
    assert_int_equal(range->min_create, 7);
    assert_int_equal(range->max_create, 8);
    expect_bytes(op->otherwise[0].as.del.end, "\0", 1);
    assert_int_equal(op->otherwise[0].as.del.previous, 1);
    txn_close(&txn);
}

/* A transaction in so many others. */
static void nest(char *out, size_t size, int count)
{
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        n += (size_t)snprintf(out + n, size - n, "{\"then\": [{\"txn\": ");
    }
    n += (size_t)snprintf(out + n, size - n, "{}");
    for (int i = 0; i < count; i++) {
        n += (size_t)snprintf(out + n, size - n, "}]}");
    }
}

/* Proves: transactions nest as deep as the cluster takes them, and no deeper. */
static void test_nesting(void **state)
{
    (void)state;
    char text[1024];
    struct txn txn;
    nest(text, sizeof text, TXN_NESTING_MAX - 1);
    const struct synod_txn_op *op = accept_json(&txn, text);
    for (int i = 0; i < TXN_NESTING_MAX - 1; i++) {
        assert_int_equal(op->then_count, 1);
        assert_int_equal(op->then[0].op, SYNOD_TXN);
        op = &op->then[0].as.txn;
    }
    assert_int_equal(op->then_count, 0);
    txn_close(&txn);
    nest(text, sizeof text, TXN_NESTING_MAX);
    refuse_json(text, "transactions nest at most 8 deep");
}

/* Proves: what is wrong is refused with its place. */
static void test_json_refusals(void **state)
{
    (void)state;
    refuse_json("{\"then\": [\n}", "line 2 is no JSON");
    refuse_json("{} {}", "is no JSON");
    refuse_json("{\"then\": [], \"then\": []}", "is no JSON");
    refuse_json("[]", "input: it is no object");
    refuse_json("{\"than\": []}", "a member other than compare, then and else");
    refuse_json("{\"then\": {}}", "then is no array");
    refuse_json("{\"then\": [1]}", "then[0]: it is no object");
    refuse_json("{\"then\": [{}]}", "then[0]: it has to have one member");
    refuse_json("{\"else\": [{\"get\": {}}]}", "else[0]: it has to have one member");
    refuse_json("{\"then\": [{\"put\": {}, \"range\": {}}]}", "then[0]: it has to have one member");
    refuse_json("{\"then\": [{\"put\": 1}]}", "then[0].put: it is no object");
    refuse_json("{\"then\": [{\"put\": {}}]}", "then[0].put: key is missing or empty");
    refuse_json("{\"then\": [{\"put\": {\"key\": 1}}]}", "key is not a string");
    refuse_json("{\"then\": [{\"put\": {\"key\": \"a\", \"key_base64\": \"YQ==\"}}]}",
                "exclude each other");
    refuse_json("{\"then\": [{\"put\": {\"key_base64\": \"a\"}}]}", "key_base64 is not base64");
    refuse_json("{\"then\": [{\"put\": {\"key\": \"a\", \"lease\": -1}}]}",
                "lease is not a number from 0 on");
    refuse_json("{\"then\": [{\"put\": {\"key\": \"a\", \"previous\": 1}}]}",
                "previous is neither true nor false");
    refuse_json("{\"then\": [{\"put\": {\"key\": \"a\", \"vlaue\": \"x\"}}]}",
                "a member other than");
    refuse_json("{\"then\": [{\"range\": {\"key\": \"a\", \"end\": \"b\", \"prefix\": true}}]}",
                "end and prefix exclude each other");
    refuse_json("{\"then\": [{\"range\": {\"key\": \"a\", \"order\": \"up\"}}]}",
                "order is none of");
    refuse_json("{\"compare\": [{\"key\": \"a\", \"target\": \"mod\", \"number\": 1}]}",
                "compare[0]: relation is none of");
    refuse_json("{\"compare\": [{\"key\": \"a\", \"target\": \"x\", \"relation\": \"=\"}]}",
                "compare[0]: target is none of");
    refuse_json("{\"compare\": [{\"key\": \"a\", \"target\": \"value\", \"relation\": \"=\","
                " \"number\": 1}]}",
                "target value needs a value");
    refuse_json("{\"compare\": [{\"key\": \"a\", \"target\": \"mod\", \"relation\": \"=\"}]}",
                "the others a number");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),         cmocka_unit_test(test_empty_parts),
        cmocka_unit_test(test_compares),      cmocka_unit_test(test_words),
        cmocka_unit_test(test_text_refusals), cmocka_unit_test(test_json),
        cmocka_unit_test(test_nesting),       cmocka_unit_test(test_json_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
