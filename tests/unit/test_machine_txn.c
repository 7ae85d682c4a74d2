/* Transactions: which branch is taken, what a part of it sees, what is refused before anything
 * happens, and that what fails leaves no trace. */
#include "common/protocol/limits.h"
#include "tests/unit/machine_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define assert_text(actual, expected) assert_string_equal(actual, expected)
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char *do_(struct machine_kit *kit, struct kv_request request)
{
    return machine_kit_do(kit, &request);
}

#define put(key, value) do_(kit, a_put(key, value))

/* "then" or "else", for one comparison. */
static const char *decide(struct machine_kit *kit, struct kv_compare compare)
{
    struct buffer keep = {0};
    struct kv_request txn = a_txn(&compare, 1, NULL, 0, NULL, 0, &keep);
    const char *text = machine_kit_query(kit, &txn);
    buffer_close(&keep);
    return strchr(text, ' ') + 1;
}

#define assert_holds(...) assert_text(decide(kit, __VA_ARGS__), "then {}")
#define assert_fails(...) assert_text(decide(kit, __VA_ARGS__), "else {}")

/* Every target and relation, on a key that is there. */
static void test_compares(void **state)
{
    struct machine_kit *kit = *state;
    machine_kit_grant(kit, 9, 1000, 0);
    put("a", "m");
    struct kv_request leased = a_put("a", "m");
    leased.put.lease = 9;
    do_(kit, leased); /* a: create 2, mod 3, version 2, lease 9 */
    static const struct {
        enum kv_target target;
        uint64_t number;
    } targets[] = {
        {KV_TARGET_CREATE, 2}, {KV_TARGET_MOD, 3}, {KV_TARGET_VERSION, 2}, {KV_TARGET_LEASE, 9}};
    for (size_t i = 0; i < COUNT(targets); i++) {
        enum kv_target target = targets[i].target;
        uint64_t number = targets[i].number;
        assert_holds(a_compare("a", target, KV_EQUAL, number));
        assert_fails(a_compare("a", target, KV_EQUAL, number + 1));
        assert_holds(a_compare("a", target, KV_NOT_EQUAL, number - 1));
        assert_fails(a_compare("a", target, KV_NOT_EQUAL, number));
        assert_holds(a_compare("a", target, KV_GREATER, number - 1));
        assert_fails(a_compare("a", target, KV_GREATER, number));
        assert_holds(a_compare("a", target, KV_LESS, number + 1));
        assert_fails(a_compare("a", target, KV_LESS, number));
        assert_holds(a_compare("a", target, KV_GREATER, (uint64_t)-1)); /* numbers are signed */
    }
    assert_holds(a_value_compare("a", KV_EQUAL, "m"));
    assert_fails(a_value_compare("a", KV_EQUAL, "mm"));
    assert_holds(a_value_compare("a", KV_LESS, "mm"));
    assert_holds(a_value_compare("a", KV_GREATER, "lzz"));
    assert_holds(a_value_compare("a", KV_NOT_EQUAL, ""));
}

/* Where there is no key all numbers are 0, and no value compares. */
static void test_compares_of_missing_keys(void **state)
{
    struct machine_kit *kit = *state;
    assert_holds(a_compare("x", KV_TARGET_CREATE, KV_EQUAL, 0));
    assert_holds(a_compare("x", KV_TARGET_VERSION, KV_LESS, 1));
    assert_fails(a_compare("x", KV_TARGET_MOD, KV_GREATER, 0));
    assert_fails(a_value_compare("x", KV_EQUAL, ""));
    assert_fails(a_value_compare("x", KV_NOT_EQUAL, "v"));
}

/* A comparison of a range holds if it holds for each of its keys. */
static void test_compares_of_ranges(void **state)
{
    struct machine_kit *kit = *state;
    put("a", "1");
    put("b", "1");
    put("c", "2");
    struct kv_compare compare = a_value_compare("a", KV_EQUAL, "1");
    compare.end = text_slice("c");
    assert_holds(compare);
    compare.end = slice_borrow("", 1);
    assert_fails(compare);
    compare = a_compare("x", KV_TARGET_VERSION, KV_EQUAL, 0);
    compare.end = text_slice("z");
    assert_holds(compare);
}

/* Then or else; later parts see the earlier ones; one revision in all. */
static void test_branches(void **state)
{
    struct machine_kit *kit = *state;
    struct buffer keep = {0};
    struct kv_compare absent = a_compare("a", KV_TARGET_VERSION, KV_EQUAL, 0);
    struct kv_request then_[] = {a_put("a", "1"), a_put("b", "1"), a_range("a", "")};
    struct kv_request else_[] = {a_delete("a", ""), a_range("a", ""), a_put("c", "2"),
                                 a_range("a", "")};
    struct kv_request txn = a_txn(&absent, 1, then_, COUNT(then_), else_, 3, &keep);
    assert_text(do_(kit, txn), "2: then {put; put; range 2 a=1/2.2.1 b=1/2.2.1}");
    txn = a_txn(&absent, 1, then_, COUNT(then_), else_, COUNT(else_), &keep);
    assert_text(do_(kit, txn), "3: else {del 2; range 0; put; range 1 c=2/3.3.1}");
    assert_text(machine_kit_events(kit, "a", "z", 2, 0, 0, 1000),
                "+a@2.0 +b@2.1 -a@3.0 -b@3.1 +c@3.2 > 4.0");
    buffer_close(&keep);
}

/* A transaction that changes nothing leaves the revision, also as a command. */
static void test_reads_do_not_raise_the_revision(void **state)
{
    struct machine_kit *kit = *state;
    struct buffer keep = {0};
    put("a", "1");
    struct kv_request reads[] = {a_range("a", NULL), a_delete("x", NULL)};
    struct kv_request txn = a_txn(NULL, 0, reads, 2, NULL, 0, &keep);
    assert_text(do_(kit, txn), "2: then {range 1 a=1/2.2.1; del 0}");
    txn = a_txn(NULL, 0, reads, 1, NULL, 0, &keep);
    assert_text(machine_kit_query(kit, &txn), "2: then {range 1 a=1/2.2.1}");
    assert_text(do_(kit, txn), "2: then {range 1 a=1/2.2.1}");
    assert_text(put("a", "2"), "3: put");
    buffer_close(&keep);
}

/* Nested transactions: their comparisons, too, see the state before all of it. */
static void test_nesting(void **state)
{
    struct machine_kit *kit = *state;
    struct buffer inner = {0};
    struct buffer keep = {0};
    struct kv_compare absent = a_compare("a", KV_TARGET_VERSION, KV_EQUAL, 0);
    struct kv_request inner_then[] = {a_range("a", NULL), a_put("c", "inner")};
    struct kv_request inner_else[] = {a_put("d", "no")};
    struct kv_request outer[] = {a_put("a", "outer"),
                                 a_txn(&absent, 1, inner_then, 2, inner_else, 1, &inner),
                                 a_range("a", "")};
    struct kv_request txn = a_txn(NULL, 0, outer, 3, NULL, 0, &keep);
    assert_text(do_(kit, txn), "2: then {put; then {range 1 a=outer/2.2.1; put}; range 2 "
                               "a=outer/2.2.1 c=inner/2.2.1}");
    assert_text(do_(kit, txn),
                "3: then {put; else {put}; range 3 a=outer/2.3.2 c=inner/2.2.1 d=no/3.3.1}");
    struct buffer a = {0};
    struct buffer b = {0};
    txn = a_range("a", NULL);
    for (int i = 0; i < TXN_DEPTH_MAX; i++) { /* as deep as it goes */
        struct buffer *to = i % 2 == 0 ? &a : &b;
        struct kv_request part = txn;
        txn = a_txn(NULL, 0, &part, 1, NULL, 0, to);
    }
    assert_text(do_(kit, txn), "3: then {then {then {then {then {then {then {then {range 1 "
                               "a=outer/2.3.2}}}}}}}}");
    buffer_close(&inner);
    buffer_close(&keep);
    buffer_close(&a);
    buffer_close(&b);
}

/* A key that is deleted and made again within one transaction begins anew. */
static void test_delete_and_put_in_one(void **state)
{
    struct machine_kit *kit = *state;
    struct buffer keep = {0};
    put("a", "1");
    put("a", "2");
    struct kv_request both[] = {a_delete("a", ""), a_put("a", "3"), a_range("a", NULL)};
    assert_text(do_(kit, a_txn(NULL, 0, both, 3, NULL, 0, &keep)),
                "4: then {del 1; put; range 1 a=3/4.4.1}");
    struct kv_request old = a_range("a", NULL);
    old.range.revision = 3;
    assert_text(machine_kit_query(kit, &old), "4: range 1 a=2/2.3.2");
    assert_text(machine_kit_events(kit, "a", "z", 4, 0, WATCH_PREVIOUS, 1000),
                "-a@4.0(a=2/2.3.2) +a@4.1 > 5.0");
    buffer_close(&keep);
}

/* Old revisions inside a transaction are those before it, whatever it has changed. */
static void test_old_revisions_inside(void **state)
{
    struct machine_kit *kit = *state;
    struct buffer keep = {0};
    put("a", "1");
    put("a", "2");
    struct kv_request old = a_range("a", NULL);
    old.range.revision = 3;
    struct kv_request older = old;
    older.range.revision = 2;
    struct kv_request parts[] = {a_put("a", "3"), old, older, a_range("a", NULL)};
    struct kv_request txn = a_txn(NULL, 0, parts, 4, NULL, 0, &keep);
    assert_text(do_(kit, txn), "4: then {put; range 1 a=2/2.3.2; range 1 a=1/2.2.1; range 1 "
                               "a=3/2.4.3}");
    parts[1].range.revision = 5; /* its own is one of the future */
    txn = a_txn(NULL, 0, parts, 4, NULL, 0, &keep);
    assert_text(do_(kit, txn), "future 4");
    machine_kit_compact(kit, 4);
    parts[1].range.revision = 3;
    txn = a_txn(NULL, 0, parts, 4, NULL, 0, &keep);
    assert_text(do_(kit, txn), "compacted 4");
    assert_text(put("a", "4"), "5: put");
    buffer_close(&keep);
}

/* Everything on the branch is checked before anything is done, and only what is on it. */
static void test_checks_come_first(void **state)
{
    struct machine_kit *kit = *state;
    struct buffer keep = {0};
    struct kv_request leased = a_put("b", "1");
    leased.put.lease = 77;
    struct kv_request kept = a_put("c", "");
    kept.put.flags = KV_IGNORE_VALUE;
    struct kv_request parts[] = {a_put("a", "1"), leased};
    assert_text(do_(kit, a_txn(NULL, 0, parts, 2, NULL, 0, &keep)), "lease not found");
    parts[1] = kept;
    assert_text(do_(kit, a_txn(NULL, 0, parts, 2, NULL, 0, &keep)), "key not found");
    assert_text(do_(kit, leased), "lease not found");
    assert_int_equal(machine_revision(kit->machine), 1);
    struct kv_request fine[] = {a_put("d", "1")};
    assert_text(do_(kit, a_txn(NULL, 0, fine, 1, parts, 2, &keep)), "2: then {put}");
    assert_text(machine_kit_events(kit, "a", "z", 1, 0, 0, 1000), "+d@2.0 > 3.0");
    buffer_close(&keep);
}

/* What fails in the middle is undone, in the view, the effects and the digest; also within a turn
 * that had changed the same keys before. */
static void test_failure_leaves_no_trace(void **state)
{
    struct machine_kit *kit = *state;
    struct buffer keep = {0};
    put("a", "stored");
    put("gone", "stored");
    kit->is_turn_open = 1;
    put("b", "turn");
    do_(kit, a_delete("gone", NULL));
    struct kv_request kept = a_put("b", "");
    kept.put.flags = KV_IGNORE_LEASE;
    struct kv_request parts[] = {a_put("aa", "x"), a_delete("a", ""), a_put("c", "x"), kept};
    struct kv_request txn = a_txn(NULL, 0, parts, 4, NULL, 0, &keep);
    assert_text(do_(kit, txn), "key not found");
    assert_int_equal(machine_revision(kit->machine), 5);
    kit->is_turn_open = 0;
    machine_kit_write(kit);
    machine_kit_restart(kit);
    struct kv_request all = a_range("a", "");
    assert_text(machine_kit_query(kit, &all), "5: range 2 a=stored/2.2.1 b=turn/4.4.1");
    assert_text(machine_kit_events(kit, "a", "z", 2, 0, 0, 1000),
                "+a@2.0 +gone@3.0 +b@4.0 -gone@5.0 > 6.0");
    buffer_close(&keep);
}

/* Puts nearly a MiB, and returns the request that reads it. */
static struct kv_request put_large(struct machine_kit *kit)
{
    char *value = malloc(MIB);
    assert_non_null(value);
    memset(value, 'v', MIB - 1000);
    value[MIB - 1000] = '\0';
    put("k", value);
    free(value);
    return a_range("k", NULL);
}

/* Of 64 MiB that a session may owe, nothing is owed by who has acknowledged all: he gets as much
 * again. */
static void test_acknowledged_results_count_no_more(void **state)
{
    struct machine_kit *kit = *state;
    struct kv_request one = put_large(kit);
    for (int i = 0; i < 3 * 40; i++) {
        kit->acked_seq = i % 40 == 0 ? kit->next_seq - 1 : kit->acked_seq;
        do_(kit, one);
        assert_int_equal(kit->status, RESULT_OK);
    }
}

/* A client that never says that it has its results does not fill the disks: it gets no more of
 * them, before and after a restart, until it does. */
static void test_results_that_are_not_acknowledged_are_bounded(void **state)
{
    struct machine_kit *kit = *state;
    struct kv_request one = put_large(kit);
    for (int i = 0; i < 65; i++) {
        do_(kit, one);
        assert_int_equal(kit->status, RESULT_OK);
    }
    uint64_t last = kit->next_seq - 1;
    assert_text(do_(kit, one), "too large");
    machine_kit_restart(kit);
    put("other", "1");
    assert_int_equal(kit->status, RESULT_TOO_LARGE);
    kit->acked_seq = last - 10; /* a part counts until all of it is acknowledged */
    assert_text(do_(kit, one), "too large");
    kit->acked_seq = kit->next_seq - 1;
    for (int i = 0; i < 200; i++) { /* and who acknowledges as he goes is never refused */
        do_(kit, one);
        assert_int_equal(kit->status, RESULT_OK);
        kit->acked_seq = i < 10 ? kit->acked_seq : kit->next_seq - 10;
    }
}

/* What a slot may look at is bounded: comparisons of ranges in nested transactions could keep every
 * learner busy for hours, and for the same hours after each restart. */
static void test_what_is_looked_at_is_bounded(void **state)
{
    struct machine_kit *kit = *state;
    struct buffer keep = {0};
    struct buffer outer = {0};
    char key[16];
    kit->is_turn_open = 1;
    for (int i = 0; i < 12000; i++) {
        snprintf(key, sizeof key, "k%05d", i);
        kit->acked_seq = kit->next_seq - 1;
        put(key, "1");
    }
    kit->is_turn_open = 0;
    struct kv_compare all[100];
    for (size_t i = 0; i < 100; i++) {
        all[i] = a_compare("k", KV_TARGET_MOD, KV_GREATER, 1);
        all[i].end = text_slice("l");
    }
    struct kv_request nested[15];
    for (size_t i = 0; i < 15; i++) {
        nested[i] = a_txn(all, 100, NULL, 0, NULL, 0, &keep);
    }
    uint64_t revision = machine_revision(kit->machine);
    struct kv_request too_much = a_txn(NULL, 0, nested, 15, NULL, 0, &outer);
    assert_text(do_(kit, too_much), "too large");
    assert_text(machine_kit_query(kit, &too_much), "too large");
    assert_int_equal(machine_revision(kit->machine), revision);
    put("k", "2"); /* the next slot begins anew */
    assert_int_equal(kit->status, RESULT_OK);
    struct kv_request one = a_range("k", NULL);
    assert_text(machine_kit_query(kit, &one), "12002: range 1 k=2/12002.12002.1");
    buffer_close(&keep);
    buffer_close(&outer);
}

/* The same command again, under its old sequence, changes nothing and gets the same bytes, also
 * after a restart and if it failed. */
static void test_retries_get_the_same_bytes(void **state)
{
    struct machine_kit *kit = *state;
    struct kv_request requests[2] = {a_put("a", "2"), a_put("c", "1")};
    requests[0].put.flags = KV_PREVIOUS;
    requests[1].put.lease = 55;
    put("a", "1");
    for (int i = 0; i < 2; i++) {
        struct buffer payload = {0};
        struct buffer body = {0};
        kv_put_request(&payload, &requests[i]);
        machine_kit_command(kit, COMMAND_KV, buffer_slice(&payload));
        buffer_put(&body, buffer_slice(&kit->body));
        enum result_status status = kit->status;
        uint64_t value = kit->value;
        put("b", "between");
        kit->next_seq--;
        for (int round = 0; round < 2; round++) {
            machine_kit_repeat(kit, COMMAND_KV, buffer_slice(&payload));
            assert_int_equal(kit->outcome_count, 1);
            assert_int_equal(kit->status, status);
            assert_int_equal(kit->value, value);
            assert_true(slice_equal(buffer_slice(&kit->body), buffer_slice(&body)));
            machine_kit_restart(kit);
        }
        kit->next_seq++;
        buffer_close(&payload);
        buffer_close(&body);
    }
    assert_int_equal(machine_revision(kit->machine), 5);
}

/* Acknowledged results are deleted from the store, chunk by chunk, and said to be forgotten. */
static int count_chunks(void *arg, struct slice key, struct slice value)
{
    (void)value;
    *(int *)arg += key.data[0] == 'r';
    return 0;
}

static int chunks(struct machine_kit *kit)
{
    int count = 0;
    kit->reader.scan(kit->reader.self, slice_borrow("r", 1), slice_borrow("s", 1), count_chunks,
                     &count);
    return count;
}

static void test_acknowledged_chunks_are_deleted(void **state)
{
    struct machine_kit *kit = *state;
    for (int i = 0; i < 3; i++) {
        put("a", "v");
    }
    assert_int_equal(chunks(kit), 3);
    kit->acked_seq = 2;
    put("a", "v");
    assert_int_equal(chunks(kit), 2);
    kit->acked_seq = 4;
    kit->is_turn_open = 1; /* the last chunk and its end in one turn */
    put("a", "v");
    kit->acked_seq = 5;
    put("a", "v");
    kit->is_turn_open = 0;
    machine_kit_write(kit);
    assert_int_equal(chunks(kit), 1);
    machine_kit_restart(kit);
    kit->acked_seq = 0;
    kit->next_seq = 6;
    struct buffer payload = {0};
    struct kv_request request = a_put("a", "v");
    kv_put_request(&payload, &request);
    machine_kit_repeat(kit, COMMAND_KV, buffer_slice(&payload));
    assert_int_equal(kit->status, RESULT_FORGOTTEN);
    buffer_close(&payload);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_kit_setup, machine_kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_compares),
        TEST(test_compares_of_missing_keys),
        TEST(test_compares_of_ranges),
        TEST(test_branches),
        TEST(test_reads_do_not_raise_the_revision),
        TEST(test_nesting),
        TEST(test_delete_and_put_in_one),
        TEST(test_old_revisions_inside),
        TEST(test_checks_come_first),
        TEST(test_failure_leaves_no_trace),
        TEST(test_acknowledged_results_count_no_more),
        TEST(test_results_that_are_not_acknowledged_are_bounded),
        TEST(test_what_is_looked_at_is_bounded),
        TEST(test_retries_get_the_same_bytes),
        TEST(test_acknowledged_chunks_are_deleted),
    };
    return cmocka_run_group_tests_name("machine_txn", tests, NULL, NULL);
}
