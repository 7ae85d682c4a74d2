/* Watches: every change of a range from a revision on, once, in order, a revision whole unless it
 * is larger than a page; and the digest, which every change moves. */
#include "common/protocol/limits.h"
#include "tests/unit/machine_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define assert_text(actual, expected) assert_string_equal(actual, expected)
#define PAGE 100000

static const char *do_(struct machine_kit *kit, struct kv_request request)
{
    return machine_kit_do(kit, &request);
}

#define put(key, value) do_(kit, a_put(key, value))

/* From now, from any revision, of one key or many; filters leave out a kind. */
static void test_ranges_and_filters(void **state)
{
    struct machine_kit *kit = *state;
    put("a", "1");
    put("b", "1");
    put("a", "2");
    do_(kit, a_delete("a", NULL));
    assert_text(machine_kit_events(kit, "a", "z", 1, 0, 0, PAGE),
                "+a@2.0 +b@3.0 +a@4.0 -a@5.0 > 6.0");
    assert_text(machine_kit_events(kit, "a", NULL, 3, 0, 0, PAGE), "+a@4.0 -a@5.0 > 6.0");
    assert_text(machine_kit_events(kit, "a", NULL, 1, 0, WATCH_NO_PUT, PAGE), "-a@5.0 > 6.0");
    assert_text(machine_kit_events(kit, "a", NULL, 1, 0, WATCH_NO_DELETE, PAGE),
                "+a@2.0 +a@4.0 > 6.0");
    assert_text(machine_kit_events(kit, "x", NULL, 1, 0, 0, PAGE), "> 6.0");
    assert_text(machine_kit_events(kit, "a", "z", 6, 0, 0, PAGE), "> 6.0");
    assert_text(machine_kit_events(kit, "a", "z", 60, 0, 0, PAGE), "> 60.0");
}

/* An interval that no key can be in is refused, whatever the revision, as etcd does: nothing would
 * ever be told of it. */
static void test_empty_interval(void **state)
{
    struct machine_kit *kit = *state;
    put("a", "1");
    put("b", "1");
    machine_kit_compact(kit, 2);
    const uint64_t revisions[] = {1, 2, 60};
    for (size_t i = 0; i < sizeof revisions / sizeof revisions[0]; i++) {
        uint64_t revision = revisions[i];
        assert_text(machine_kit_events(kit, "z", "a", revision, 0, 0, PAGE), "malformed");
        assert_text(machine_kit_events(kit, "a", "a", revision, 0, 0, PAGE), "malformed");
        assert_text(machine_kit_events(kit, "ab", "a", revision, 0, 0, PAGE), "malformed");
    }
    assert_text(machine_kit_events(kit, "a", "aa", 2, 0, 0, PAGE), "+a@2.0 > 4.0");
}

/* What was there before: the key as of the revision before; nothing if it was made or if that
 * revision cannot be read any more, swept or not. */
static void test_previous(void **state)
{
    struct machine_kit *kit = *state;
    put("a", "1"); /* 2 */
    put("a", "2");
    do_(kit, a_delete("a", NULL)); /* 4 */
    put("a", "3");
    put("a", "4"); /* 6 */
    assert_text(machine_kit_events(kit, "a", NULL, 2, 0, WATCH_PREVIOUS, PAGE),
                "+a@2.0 +a@3.0(a=1/2.2.1) -a@4.0(a=2/2.3.2) +a@5.0 +a@6.0(a=3/5.5.1) > 7.0");
    machine_kit_compact(kit, 4);
    for (int swept = 0; swept < 2; swept++) {
        assert_text(machine_kit_events(kit, "a", NULL, 4, 0, WATCH_PREVIOUS, PAGE),
                    "-a@4.0 +a@5.0 +a@6.0(a=3/5.5.1) > 7.0");
        machine_kit_sweep(kit);
    }
    machine_kit_compact(kit, 5);
    machine_kit_sweep(kit);
    assert_text(machine_kit_events(kit, "a", NULL, 5, 0, WATCH_PREVIOUS, PAGE),
                "+a@5.0 +a@6.0(a=3/5.5.1) > 7.0");
}

/* Below the compacted revision events are missing, which is said; at it none is. */
static void test_compacted(void **state)
{
    struct machine_kit *kit = *state;
    put("a", "1");
    put("b", "1");
    do_(kit, a_delete("b", NULL)); /* 4 */
    put("a", "2");
    machine_kit_compact(kit, 4);
    for (int swept = 0; swept < 2; swept++) {
        assert_text(machine_kit_events(kit, "a", "z", 3, 0, 0, PAGE), "compacted");
        assert_text(machine_kit_events(kit, "a", "z", 4, 0, 0, PAGE), "-b@4.0 +a@5.0 > 6.0");
        machine_kit_sweep(kit);
    }
}

/* A watch that begins at the compacted revision is told all of it, after the sweep, too: also of a
 * key that one transaction has put and deleted again. */
static void test_compacted_revision_is_told_whole(void **state)
{
    struct machine_kit *kit = *state;
    struct buffer keep[3] = {0};
    struct kv_request put_a = a_put("a", "2");
    struct kv_request delete_a = a_delete("a", NULL);
    struct kv_request both[] = {a_txn(NULL, 0, &put_a, 1, NULL, 0, &keep[0]),
                                a_txn(NULL, 0, &delete_a, 1, NULL, 0, &keep[1])};
    put("a", "1"); /* 2 */
    do_(kit, a_txn(NULL, 0, both, 2, NULL, 0, &keep[2]));
    put("b", "1"); /* 4 */
    machine_kit_compact(kit, 3);
    const char *whole = "+a@3.0 -a@3.1 +b@4.0 > 5.0";
    assert_text(machine_kit_events(kit, "a", "z", 3, 0, 0, PAGE), whole);
    machine_kit_sweep(kit);
    assert_text(machine_kit_events(kit, "a", "z", 3, 0, 0, PAGE), whole);
    machine_kit_restart(kit);
    assert_text(machine_kit_events(kit, "a", "z", 3, 0, 0, PAGE), whole);
    for (size_t i = 0; i < 3; i++) {
        buffer_close(&keep[i]);
    }
}

/* A watch that goes on is told below the compacted revision what was not swept, and what was there
 * before, too; then that it is compacted, and nothing in part. */
static void test_continued(void **state)
{
    struct machine_kit *kit = *state;
    const uint32_t on = WATCH_CONTINUED;
    const uint32_t both = WATCH_CONTINUED | WATCH_PREVIOUS;
    put("a", "1");                 /* 2 */
    put("b", "1");                 /* 3 */
    do_(kit, a_delete("b", NULL)); /* 4 */
    put("a", "2");                 /* 5 */
    put("a", "3");                 /* 6 */
    machine_kit_compact(kit, 4);
    machine_kit_sweep(kit);
    machine_kit_compact(kit, 6);
    assert_text(machine_kit_events(kit, "a", "z", 5, 0, 0, PAGE), "compacted");
    for (int restarted = 0; restarted < 2; restarted++) {
        assert_text(machine_kit_events(kit, "a", "z", 5, 0, both, PAGE),
                    "+a@5.0(a=1/2.2.1) +a@6.0(a=2/2.5.2) > 7.0");
        assert_text(machine_kit_events(kit, "a", "z", 4, 0, on, PAGE),
                    "-b@4.0 +a@5.0 +a@6.0 > 7.0");
        assert_text(machine_kit_events(kit, "a", "z", 3, 0, on, PAGE), "compacted");
        /* What the deletion replaced is gone, so that it would be told in part. */
        assert_text(machine_kit_events(kit, "a", "z", 4, 0, both, PAGE), "compacted");
        machine_kit_restart(kit);
    }
    machine_kit_sweep(kit);
    assert_text(machine_kit_events(kit, "a", "z", 5, 0, on, PAGE), "compacted");
    /* At the compacted revision as any watch. */
    assert_text(machine_kit_events(kit, "a", "z", 6, 0, both, PAGE), "+a@6.0 > 7.0");
}

/* While the sweep is within a revision, what is left of that can be told. */
static void test_continued_within_a_revision(void **state)
{
    struct machine_kit *kit = *state;
    machine_kit_large_revision(kit);
    machine_kit_compact(kit, 603);
    for (int piece = 0; piece < 2; piece++) {
        assert_true(machine_sweep(kit->machine, 603, &kit->fx)); /* to 602.424 */
        machine_kit_write(kit);
    }
    assert_text(machine_kit_events(kit, "k", "l", 602, 423, WATCH_CONTINUED, 1), "compacted");
    assert_text(machine_kit_events(kit, "k", "l", 602, 424, WATCH_CONTINUED, 1),
                "-k424@602.424 > 602.425");
    assert_text(machine_kit_events(kit, "k", "m", 603, 0, WATCH_CONTINUED, PAGE),
                "+last@603.0 > 604.0");
}

/* A revision does not lie in two pages if it fits into one. */
static void test_pages_hold_whole_revisions(void **state)
{
    struct machine_kit *kit = *state;
    struct buffer keep = {0};
    struct kv_request three[] = {a_put("a", "1"), a_put("b", "1"), a_put("c", "1")};
    put("z", "1");
    do_(kit, a_txn(NULL, 0, three, 3, NULL, 0, &keep)); /* 3 */
    put("z", "2");
    uint32_t event = 6 + 40 + 2;
    assert_text(machine_kit_events(kit, "a", "zz", 1, 0, 0, 3 * event), "+z@2.0 > 3.0");
    assert_text(machine_kit_events(kit, "a", "zz", 3, 0, 0, 3 * event),
                "+a@3.0 +b@3.1 +c@3.2 > 4.0");
    assert_text(machine_kit_events(kit, "a", "zz", 1, 0, 0, 4 * event),
                "+z@2.0 +a@3.0 +b@3.1 +c@3.2 > 4.0");
    /* One that is larger than a page is split, and goes on where it was. */
    assert_text(machine_kit_events(kit, "a", "zz", 3, 0, 0, 2 * event), "+a@3.0 +b@3.1 > 3.2");
    assert_text(machine_kit_events(kit, "a", "zz", 3, 2, 0, 2 * event), "+c@3.2 +z@4.0 > 5.0");
    assert_text(machine_kit_events(kit, "a", "zz", 3, 1, 0, 1), "+b@3.1 > 3.2");
    buffer_close(&keep);
}

static struct store_reader counted;
static int scan_count;

static int count_scans(void *self, struct slice from, struct slice to, store_visit_fn visit,
                       void *arg)
{
    scan_count++;
    return counted.scan(self, from, to, visit, arg);
}

/* A watch that waits while others' keys change costs nothing: the last changes are known without
 * the store, but for those that were forgotten, taken back, or from before the start. */
static void test_changes_of_other_keys_are_not_read(void **state)
{
    struct machine_kit *kit = *state;
    struct buffer keep = {0};
    put("a", "before");
    counted = kit->reader;
    kit->reader.scan = count_scans;
    machine_kit_restart(kit);
    scan_count = 0;
    assert_text(machine_kit_events(kit, "a", NULL, 1, 0, 0, PAGE), "+a@2.0 > 3.0");
    assert_int_equal(scan_count, 1);
    put("b", "1"); /* 3 */
    do_(kit, a_delete("b", NULL));
    assert_text(machine_kit_events(kit, "a", NULL, 3, 0, 0, PAGE), "> 5.0");
    assert_text(machine_kit_events(kit, "b", "c", 3, 0, WATCH_NO_PUT | WATCH_NO_DELETE, PAGE),
                "> 5.0");
    assert_text(machine_kit_events(kit, "b", NULL, 4, 0, WATCH_NO_DELETE, PAGE), "> 5.0");
    assert_int_equal(scan_count, 1);
    assert_text(machine_kit_events(kit, "a", NULL, 2, 0, 0, PAGE), "+a@2.0 > 5.0");
    assert_text(machine_kit_events(kit, "b", NULL, 4, 0, 0, PAGE), "-b@4.0 > 5.0");
    assert_int_equal(scan_count, 3);
    struct kv_request missing = a_put("x", "");
    missing.put.flags = KV_IGNORE_LEASE;
    struct kv_request parts[] = {a_put("a", "x"), a_delete("x", NULL), missing};
    parts[1] = a_delete("a0", "a1");
    do_(kit, a_txn(NULL, 0, parts, 3, NULL, 0, &keep));
    assert_int_equal(kit->status, RESULT_KEY_NOT_FOUND);
    put("c", "1"); /* 5 */
    assert_text(machine_kit_events(kit, "a", NULL, 5, 0, 0, PAGE), "> 6.0");
    assert_int_equal(scan_count, 3);
    put("a", "2"); /* 6 */
    for (int i = 0; i < 5000; i++) {
        kit->acked_seq = kit->next_seq - 1;
        put("d", "1");
    }
    assert_text(machine_kit_events(kit, "a", NULL, 6, 0, 0, PAGE), "+a@6.0 > 4102.0");
    assert_text(machine_kit_events(kit, "a", NULL, 4102, 0, 0, PAGE), "> 5007.0");
    buffer_close(&keep);
}

/* A watch on a key that seldom changes is answered piece by piece: each says how far it looked. */
static void test_far_looks_come_in_pieces(void **state)
{
    struct machine_kit *kit = *state;
    put("rare", "1");
    for (int i = 0; i < 10000; i++) {
        kit->acked_seq = kit->next_seq - 1;
        put("hot", "v");
    }
    put("rare", "2");
    const char *text = machine_kit_events(kit, "rare", NULL, 1, 0, 0, PAGE);
    int pieces = 1;
    unsigned long long revision;
    unsigned sub;
    int events = 0;
    while (sscanf(strstr(text, "> "), "> %llu.%u", &revision, &sub) == 2) {
        events += text[0] == '+';
        if (revision > machine_revision(kit->machine)) {
            break;
        }
        text = machine_kit_events(kit, "rare", NULL, revision, sub, 0, PAGE);
        pieces++;
    }
    assert_int_equal(events, 2);
    assert_int_equal(pieces, 3);
}

static void put_often(struct machine_kit *kit, const char *key, int times)
{
    for (int i = 0; i < times; i++) {
        kit->acked_seq = kit->next_seq - 1;
        put(key, "v");
    }
}

static void put_both(struct machine_kit *kit)
{
    struct buffer keep = {0};
    struct kv_request both[] = {a_put("a", "1"), a_put("b", "1")};
    do_(kit, a_txn(NULL, 0, both, 2, NULL, 0, &keep));
    buffer_close(&keep);
}

/* Of a revision whose first change only was forgotten nothing is known: a watch from there asks the
 * store. */
static void test_half_forgotten_revision(void **state)
{
    struct machine_kit *kit = *state;
    put_both(kit); /* 2 */
    put_often(kit, "b", 4095);
    assert_text(machine_kit_events(kit, "a", NULL, 2, 0, 0, PAGE), "+a@2.0 > 4097.0");
    assert_text(machine_kit_events(kit, "a", NULL, 3, 0, 0, PAGE), "> 4098.0");
}

/* Whoever has looked far enough within a revision brings it to its end. */
static void test_far_looks_end_between_revisions(void **state)
{
    struct machine_kit *kit = *state;
    put_often(kit, "x", 4095);
    put_both(kit); /* 4097 */
    assert_text(machine_kit_events(kit, "a", "c", 2, 0, 0, PAGE), "+a@4097.0 +b@4097.1 > 4098.0");
}

/* Changes of the turn under way are seen, too. */
static void test_changes_of_this_turn(void **state)
{
    struct machine_kit *kit = *state;
    put("a", "1");
    kit->is_turn_open = 1;
    put("a", "2");
    assert_text(machine_kit_events(kit, "a", NULL, 1, 0, WATCH_PREVIOUS, PAGE),
                "+a@2.0 +a@3.0(a=1/2.2.1) > 4.0");
}

/* A machine that is damaged in one place is told from one that is not: what a command reads goes
 * into the digest by what it writes and answers. */
static void damage(struct machine_kit *kit, const char *key, const char *value, size_t size)
{
    struct record record = {.key = (const uint8_t *)key,
                            .key_size = (uint32_t)strlen(key),
                            .body = slice_borrow(value, size)};
    assert_int_equal(store_write(kit->store, &record, 1, 0, NULL), 0);
}

static uint64_t digest_after(int damaged, struct kv_request request)
{
    struct machine_kit kit;
    machine_kit_open(&kit);
    struct kv_request first = a_put("a", "1");
    machine_kit_do(&kit, &first);
    if (damaged) { /* another version, 36 bytes of numbers and a value */
        damage(&kit, "ka",
               "\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\11"
               "\0\0\0\0\0\0\0\0"
               "1",
               37);
    }
    machine_kit_do(&kit, &request);
    uint64_t digest = machine_digest(kit.machine);
    machine_kit_close(&kit);
    return digest;
}

static void test_digest(void **state)
{
    (void)state;
    struct kv_request requests[] = {a_put("a", "2"), a_range("a", NULL)};
    for (int i = 0; i < 2; i++) {
        assert_true(digest_after(0, requests[i]) == digest_after(0, requests[i]));
        assert_true(digest_after(0, requests[i]) != digest_after(1, requests[i]));
    }
}

/* Where turns end makes no difference to the digest, and neither does a restart or the sweep. */
static uint64_t digest_of_turns(int is_one_turn)
{
    struct machine_kit kit;
    machine_kit_open(&kit);
    kit.is_turn_open = is_one_turn;
    machine_kit_grant(&kit, 0, 100, 0);
    struct kv_request request = a_put("a", "1");
    request.put.lease = 2;
    machine_kit_do(&kit, &request);
    request.put.flags = KV_IGNORE_LEASE; /* refused with a lease; taken without */
    request.put.lease = 0;
    machine_kit_do(&kit, &request);
    machine_kit_compact(&kit, 3);
    if (!is_one_turn) {
        machine_kit_sweep(&kit);
        machine_kit_restart(&kit);
    }
    machine_kit_tick(&kit, 200);
    machine_kit_write(&kit);
    uint64_t digest = machine_digest(kit.machine);
    machine_kit_close(&kit);
    return digest;
}

static void test_digest_and_turns(void **state)
{
    (void)state;
    assert_true(digest_of_turns(0) == digest_of_turns(1));
}

/* A store that lost what something refers to, or holds nonsense, ends the process. */
static void test_damage_is_fatal(void **state)
{
    struct machine_kit *kit = *state;
    put("a", "1");
    damage(kit, "ka", "short", 5);
    struct kv_request range = a_range("a", NULL);
    struct buffer payload = {0};
    struct query_answer answer;
    kv_put_request(&payload, &range);
    machine_query(kit->machine, QUERY_KV, buffer_slice(&payload), 0, &answer, &kit->fx);
    assert_int_equal(kit->fx.fatal, ERROR_CORRUPT);
    buffer_close(&payload);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_kit_setup, machine_kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_ranges_and_filters),
        TEST(test_empty_interval),
        TEST(test_previous),
        TEST(test_compacted),
        TEST(test_compacted_revision_is_told_whole),
        TEST(test_continued),
        TEST(test_continued_within_a_revision),
        TEST(test_pages_hold_whole_revisions),
        TEST(test_changes_of_other_keys_are_not_read),
        TEST(test_far_looks_come_in_pieces),
        TEST(test_half_forgotten_revision),
        TEST(test_far_looks_end_between_revisions),
        TEST(test_changes_of_this_turn),
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_digest_and_turns),
        TEST(test_damage_is_fatal),
    };
    return cmocka_run_group_tests_name("machine_events", tests, NULL, NULL);
}
