/* Keys: revisions, versions and leases of puts and deletes, ranges with all their options, now and
 * at old revisions, and what compaction takes away, as etcd 3.4 has it. */
#include "common/protocol/limits.h"
#include "tests/unit/machine_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *do_(struct machine_kit *kit, struct kv_request request)
{
    return machine_kit_do(kit, &request);
}

static const char *ask(struct machine_kit *kit, struct kv_request request)
{
    return machine_kit_query(kit, &request);
}

#define put(key, value) do_(kit, a_put(key, value))
#define get(key) ask(kit, a_range(key, NULL))
#define assert_text(actual, expected) assert_string_equal(actual, expected)

static struct kv_request with_revision(struct kv_request request, uint64_t revision)
{
    request.range.revision = revision;
    return request;
}

/* The store begins at revision 1; each change raises it, and a key tells when it was made, changed
 * last and how often. */
static void test_puts_raise_revision_and_version(void **state)
{
    struct machine_kit *kit = *state;
    assert_text(get("a"), "1: range 0");
    assert_text(put("a", "1"), "2: put");
    assert_text(put("b", "2"), "3: put");
    assert_text(put("a", "3"), "4: put");
    assert_text(ask(kit, a_range("a", "z")), "4: range 2 a=3/2.4.2 b=2/3.3.1");
    assert_int_equal(machine_revision(kit->machine), 4);
    struct kv_request previous = a_put("a", "4");
    previous.put.flags = KV_PREVIOUS;
    assert_text(do_(kit, previous), "5: put a=3/2.4.2");
    previous.put.key = text_slice("new");
    assert_text(do_(kit, previous), "6: put");
}

/* What changes nothing does not raise the revision. A key that comes back begins at version 1. */
static void test_deletes(void **state)
{
    struct machine_kit *kit = *state;
    put("a", "1");
    put("ab", "2");
    put("b", "3");
    assert_text(do_(kit, a_delete("x", NULL)), "4: del 0");
    assert_text(do_(kit, a_delete("x", "z")), "4: del 0");
    assert_text(do_(kit, a_delete("b", "a")), "4: del 0");
    struct kv_request previous = a_delete("a", "b");
    previous.delete_.flags = KV_PREVIOUS;
    assert_text(do_(kit, previous), "5: del 2 a=1/2.2.1 ab=2/3.3.1");
    assert_text(ask(kit, a_range("a", "")), "5: range 1 b=3/4.4.1");
    put("a", "4");
    assert_text(get("a"), "6: range 1 a=4/6.6.1");
    assert_text(do_(kit, a_delete("a", "")), "7: del 2");
    assert_text(do_(kit, a_range("a", "")), "7: range 0"); /* as a command, too */
}

/* The value or the lease can be kept, if the key is there. */
static void test_ignore_value_and_lease(void **state)
{
    struct machine_kit *kit = *state;
    uint64_t lease = machine_kit_grant(kit, 7, 1000, 0);
    assert_int_equal(lease, 7);
    struct kv_request request = a_put("a", "");
    request.put.flags = KV_IGNORE_VALUE;
    assert_text(do_(kit, request), "key not found");
    request.put.flags = KV_IGNORE_LEASE;
    assert_text(do_(kit, request), "key not found");
    put("a", "1");
    request = a_put("a", NULL);
    request.put.flags = KV_IGNORE_VALUE;
    request.put.lease = 7;
    assert_text(do_(kit, request), "3: put");
    assert_text(get("a"), "3: range 1 a=1/2.3.2~7");
    request = a_put("a", "2");
    request.put.flags = KV_IGNORE_LEASE;
    assert_text(do_(kit, request), "4: put");
    assert_text(get("a"), "4: range 1 a=2/2.4.3~7");
    put("a", "3");
    assert_text(get("a"), "5: range 1 a=3/2.5.4");
}

/* A sequential put makes a key that sorts behind those of all earlier ones. */
static void test_sequential_puts(void **state)
{
    struct machine_kit *kit = *state;
    struct kv_request request = a_put("q/", "1");
    request.put.flags = KV_SEQUENTIAL;
    assert_text(do_(kit, request), "2: put as q/000000000000000200000000");
    for (int i = 0; i < 20; i++) {
        put("x", "");
    }
    assert_text(do_(kit, request), "23: put as q/000000000000001700000000");
    struct kv_request both[2] = {request, request};
    struct buffer keep = {0};
    assert_text(do_(kit, a_txn(NULL, 0, both, 2, NULL, 0, &keep)),
                "24: then {put as q/000000000000001800000000; put as q/000000000000001800000001}");
    buffer_close(&keep);
}

/* Limit and `more`; the count is that of the whole range; keys or the count alone. */
static void test_range_limits(void **state)
{
    struct machine_kit *kit = *state;
    put("a", "1");
    put("b", "2");
    put("c", "3");
    struct kv_request range = a_range("a", "");
    range.range.limit = 2;
    assert_text(ask(kit, range), "4: range 3+ a=1/2.2.1 b=2/3.3.1");
    range.range.flags = KV_NO_COUNT;
    range.range.limit = 1;
    assert_text(ask(kit, range), "4: range 2+ a=1/2.2.1");
    range.range.flags = 0;
    range.range.limit = 3;
    assert_text(ask(kit, range), "4: range 3 a=1/2.2.1 b=2/3.3.1 c=3/4.4.1");
    range.range.flags = KV_KEYS_ONLY;
    range.range.limit = 1;
    assert_text(ask(kit, range), "4: range 3+ a=/2.2.1");
    range.range.flags = KV_COUNT_ONLY;
    assert_text(ask(kit, range), "4: range 3");
}

/* The filters leave the count alone, and come before the limit. */
static void test_range_filters(void **state)
{
    struct machine_kit *kit = *state;
    put("a", "1");
    put("b", "2");
    put("c", "3");
    put("a", "4");
    struct kv_request range = a_range("a", "");
    range.range.min_mod = 4;
    assert_text(ask(kit, range), "5: range 3 a=4/2.5.2 c=3/4.4.1");
    range.range.limit = 1;
    assert_text(ask(kit, range), "5: range 3+ a=4/2.5.2");
    range.range.max_mod = 4;
    assert_text(ask(kit, range), "5: range 3 c=3/4.4.1");
    range = a_range("a", "");
    range.range.min_create = 3;
    range.range.max_create = 3;
    assert_text(ask(kit, range), "5: range 3 b=2/3.3.1");
}

static const char *sorted(struct machine_kit *kit, enum kv_order order, enum kv_target target,
                          uint64_t limit)
{
    struct kv_request range = a_range("a", "");
    range.range.order = order;
    range.range.target = target;
    range.range.limit = limit;
    return ask(kit, range);
}

/* Five targets, two directions; ties in the order of the keys. Without an order but with a target
 * only the first keys are sorted, as in etcd 3.4. */
static void test_range_sorts(void **state)
{
    struct machine_kit *kit = *state;
    put("c", "1");
    put("a", "3");
    put("b", "2");
    put("c", "1");
    assert_text(sorted(kit, KV_ORDER_DESCEND, KV_TARGET_KEY, 0),
                "5: range 3 c=1/2.5.2 b=2/4.4.1 a=3/3.3.1");
    assert_text(sorted(kit, KV_ORDER_ASCEND, KV_TARGET_CREATE, 1), "5: range 3+ c=1/2.5.2");
    assert_text(sorted(kit, KV_ORDER_DESCEND, KV_TARGET_MOD, 2), "5: range 3+ c=1/2.5.2 b=2/4.4.1");
    assert_text(sorted(kit, KV_ORDER_ASCEND, KV_TARGET_VALUE, 0),
                "5: range 3 c=1/2.5.2 b=2/4.4.1 a=3/3.3.1");
    assert_text(sorted(kit, KV_ORDER_DESCEND, KV_TARGET_VERSION, 0),
                "5: range 3 c=1/2.5.2 a=3/3.3.1 b=2/4.4.1");
    assert_text(sorted(kit, KV_ORDER_ASCEND, KV_TARGET_VERSION, 0),
                "5: range 3 a=3/3.3.1 b=2/4.4.1 c=1/2.5.2");
    assert_text(sorted(kit, KV_ORDER_NONE, KV_TARGET_CREATE, 1), "5: range 3+ a=3/3.3.1");
    assert_text(sorted(kit, KV_ORDER_NONE, KV_TARGET_VALUE, 2), "5: range 3+ c=1/2.5.2 b=2/4.4.1");
    assert_text(sorted(kit, KV_ORDER_NONE, KV_TARGET_VALUE, 1), "5: range 3+ b=2/4.4.1");
}

/* Every revision that was not compacted can be read, also where keys were deleted and made again,
 * and one of the future cannot. */
static void test_old_revisions(void **state)
{
    struct machine_kit *kit = *state;
    put("a", "1");
    put("b", "2");
    put("a", "3");
    do_(kit, a_delete("a", NULL));
    put("a", "4");
    struct kv_request all = a_range("a", "");
    assert_text(ask(kit, with_revision(all, 1)), "6: range 0");
    assert_text(ask(kit, with_revision(all, 2)), "6: range 1 a=1/2.2.1");
    assert_text(ask(kit, with_revision(all, 3)), "6: range 2 a=1/2.2.1 b=2/3.3.1");
    assert_text(ask(kit, with_revision(all, 4)), "6: range 2 a=3/2.4.2 b=2/3.3.1");
    assert_text(ask(kit, with_revision(all, 5)), "6: range 1 b=2/3.3.1");
    assert_text(ask(kit, with_revision(all, 6)), "6: range 2 a=4/6.6.1 b=2/3.3.1");
    assert_text(ask(kit, with_revision(all, 7)), "future 6");
    assert_text(ask(kit, with_revision(a_range("a", NULL), 4)), "6: range 1 a=3/2.4.2");
    assert_text(ask(kit, with_revision(a_range("a", NULL), 5)), "6: range 0");
    assert_text(do_(kit, with_revision(all, 7)), "future 6");
}

/* A key of a thousand versions is passed by seeks, wherever the wanted one lies. */
static void test_old_revisions_of_hot_keys(void **state)
{
    struct machine_kit *kit = *state;
    char value[16];
    put("a", "first");
    put("c", "last");
    for (int i = 0; i < 500; i++) {
        snprintf(value, sizeof value, "%d", i);
        put("b", value);
    }
    struct kv_request all = a_range("a", "");
    assert_text(ask(kit, with_revision(all, 3)), "503: range 2 a=first/2.2.1 c=last/3.3.1");
    assert_text(ask(kit, with_revision(all, 4)),
                "503: range 3 a=first/2.2.1 b=0/4.4.1 c=last/3.3.1");
    assert_text(ask(kit, with_revision(all, 250)),
                "503: range 3 a=first/2.2.1 b=246/4.250.247 c=last/3.3.1");
    assert_text(ask(kit, with_revision(all, 502)),
                "503: range 3 a=first/2.2.1 b=498/4.502.499 c=last/3.3.1");
}

/* Keys of any bytes keep their order among themselves, also among their versions. */
static void test_keys_of_any_bytes(void **state)
{
    struct machine_kit *kit = *state;
    static const char *const keys[] = {"\0",  "\0\0",   "\0\1", "\0\xff", "\1",   "a",
                                       "a\0", "a\0\0b", "a\1",  "a\xff",  "\xff", "\xff\0"};
    static const size_t sizes[] = {1, 2, 2, 2, 1, 1, 2, 4, 2, 2, 1, 2};
    size_t count = sizeof sizes / sizeof sizes[0];
    for (int round = 0; round < 2; round++) {
        for (size_t i = count; i-- > 0;) {
            struct kv_request request = a_put("", "v");
            request.put.key = slice_borrow(keys[i], sizes[i]);
            do_(kit, request);
        }
    }
    for (uint64_t revision = 0; revision <= count + 1; revision += count + 1) {
        struct kv_request range = a_range("", "");
        range.range.key = slice_borrow("\0", 1);
        range.range.flags = KV_KEYS_ONLY;
        range.range.revision = revision;
        ask(kit, range);
        struct query_answer answer;
        struct buffer payload = {0};
        kv_put_request(&payload, &range);
        machine_query(kit->machine, QUERY_KV, buffer_slice(&payload), 0, &answer, &kit->fx);
        struct kv_response response;
        assert_int_equal(kv_next_response(&answer.body, &response), 1);
        assert_int_equal(response.item_count, count);
        struct slice rest = response.items;
        for (size_t i = 0; i < count; i++) {
            struct kv kv;
            assert_int_equal(kv_next(&rest, &kv), 1);
            assert_true(slice_equal(kv.key, slice_borrow(keys[i], sizes[i])));
            assert_int_equal(kv.version, revision == 0 ? 2 : 1);
        }
        buffer_close(&payload);
        effects_clear(&kit->fx);
    }
}

/* Compaction refuses what is below at once, keeps what is visible at its revision, and says what it
 * is if it is itself refused. */
static void test_compaction(void **state)
{
    struct machine_kit *kit = *state;
    put("a", "1");                 /* 2 */
    put("b", "1");                 /* 3 */
    put("a", "2");                 /* 4 */
    do_(kit, a_delete("b", NULL)); /* 5 */
    put("a", "3");                 /* 6 */
    assert_text(machine_kit_compact(kit, 7), "future 6");
    assert_text(machine_kit_compact(kit, 5), "ok 6");
    assert_text(machine_kit_compact(kit, 5), "compacted 5");
    assert_text(machine_kit_compact(kit, 0), "compacted 5");
    struct kv_request all = a_range("a", "");
    for (int swept = 0; swept < 2; swept++) {
        assert_text(ask(kit, with_revision(all, 4)), "compacted 5");
        assert_text(ask(kit, with_revision(all, 5)), "6: range 1 a=2/2.4.2");
        assert_text(ask(kit, all), "6: range 1 a=3/2.6.3");
        machine_kit_sweep(kit);
        machine_kit_restart(kit);
        assert_int_equal(machine_compacted(kit->machine), 5);
    }
}

/* A range that goes on is read at its revision until that is swept, and then refused with the
 * compacted one; a command is not, whatever is in the store: it is the same everywhere. */
static void test_continued_ranges(void **state)
{
    struct machine_kit *kit = *state;
    put("a", "1");                 /* 2 */
    put("b", "1");                 /* 3 */
    put("a", "2");                 /* 4 */
    do_(kit, a_delete("b", NULL)); /* 5 */
    put("a", "3");                 /* 6 */
    machine_kit_compact(kit, 3);
    machine_kit_sweep(kit);
    machine_kit_compact(kit, 6);
    struct kv_request all = a_range("a", "");
    struct kv_request three = with_revision(all, 3);
    struct kv_request five = with_revision(all, 5);
    struct kv_request seven = with_revision(all, 7);
    assert_text(ask(kit, three), "compacted 6");
    assert_text(machine_kit_query_on(kit, &three), "6: range 2 a=1/2.2.1 b=1/3.3.1");
    assert_text(machine_kit_query_on(kit, &five), "6: range 1 a=2/2.4.2");
    assert_text(machine_kit_query_on(kit, &seven), "future 6");
    assert_text(do_(kit, three), "compacted 6");
    struct kv_request two = with_revision(all, 2);
    assert_text(machine_kit_query_on(kit, &two), "compacted 6");
    machine_kit_sweep(kit);
    assert_text(machine_kit_query_on(kit, &five), "compacted 6");
    assert_text(machine_kit_query_on(kit, &all), "6: range 1 a=3/2.6.3");
    struct kv_request put = a_put("c", "1");
    assert_text(machine_kit_query_on(kit, &put), "malformed");
}

struct counting {
    size_t counts[256];
};

static int count_record(void *arg, struct slice key, struct slice value)
{
    struct counting *counting = arg;
    (void)value;
    counting->counts[key.data[0]]++;
    return 0;
}

static size_t records(struct machine_kit *kit, char table)
{
    struct counting counting = {{0}};
    kit->reader.scan(kit->reader.self, slice_borrow("\1", 1), slice_borrow("\xff", 1), count_record,
                     &counting);
    return counting.counts[(uint8_t)table];
}

/* The sweep leaves the versions that can still be seen and nothing else, in bounded pieces. */
static void test_sweep_deletes_all_that_is_garbage(void **state)
{
    struct machine_kit *kit = *state;
    char key[16];
    for (int i = 0; i < 1500; i++) {
        snprintf(key, sizeof key, "k%d", i % 100);
        put(key, "v");
    }
    do_(kit, a_delete("k0", "k1"));
    put("last", "v");
    assert_int_equal(records(kit, 'e'), 1502);
    assert_int_equal(records(kit, 'h'), 1502);
    assert_text(machine_kit_compact(kit, machine_revision(kit->machine)), "ok 1503");
    uint64_t digest = machine_digest(kit->machine);
    int pieces = machine_kit_sweep(kit);
    assert_in_range(pieces, 2, 10);
    assert_true(machine_digest(kit->machine) == digest);
    assert_int_equal(records(kit, 'e'), 100);
    assert_int_equal(records(kit, 'h'), 100);
    assert_int_equal(records(kit, 'k'), 100);
    assert_int_equal(machine_kit_sweep(kit), 1); /* nothing is left to do */
}

/* What was left because it stood at the compacted revision goes with the next compaction. */
static void test_sweep_comes_back_for_the_compacted_revision(void **state)
{
    struct machine_kit *kit = *state;
    put("a", "1");
    do_(kit, a_delete("a", NULL)); /* 3 */
    put("b", "1");                 /* 4 */
    machine_kit_compact(kit, 3);
    machine_kit_sweep(kit);
    assert_int_equal(records(kit, 'e'), 2);
    machine_kit_compact(kit, 4);
    machine_kit_sweep(kit);
    assert_int_equal(records(kit, 'e'), 1);
    assert_int_equal(records(kit, 'h'), 1);
}

/* A revision that is larger than a piece, and is the compacted one, is swept to its end, also if
 * the machine is started again in between, and what was kept of it goes with the next compaction.
 */
static void test_sweep_of_a_large_revision(void **state)
{
    struct machine_kit *kit = *state;
    machine_kit_large_revision(kit);
    machine_kit_compact(kit, 602);
    for (int piece = 0; piece < 2; piece++) {
        assert_true(machine_sweep(kit->machine, 602, &kit->fx)); /* up to within 602 */
        machine_kit_write(kit);
    }
    assert_int_equal(machine_swept(kit->machine), 602);
    machine_kit_restart(kit);
    machine_kit_sweep(kit);
    assert_int_equal(records(kit, 'e'), 601);
    assert_int_equal(machine_kit_sweep(kit), 1);
    machine_kit_compact(kit, 603);
    machine_kit_sweep(kit);
    assert_int_equal(records(kit, 'e'), 1);
    assert_int_equal(records(kit, 'h'), 1);
}

/* Commands of one turn see each other, before anything is in the store; so do queries. */
static void test_commands_of_one_turn_see_each_other(void **state)
{
    struct machine_kit *kit = *state;
    put("stored", "0");
    kit->is_turn_open = 1;
    put("a", "1");
    put("b", "2");
    put("a", "3");
    do_(kit, a_delete("stored", NULL));
    put("b", "4");
    assert_text(ask(kit, a_range("a", "")), "7: range 2 a=3/3.5.2 b=4/4.7.2");
    assert_text(ask(kit, with_revision(a_range("a", ""), 5)),
                "7: range 3 a=3/3.5.2 b=2/4.4.1 stored=0/2.2.1");
    kit->is_turn_open = 0;
    machine_kit_write(kit);
    assert_text(ask(kit, a_range("a", "")), "7: range 2 a=3/3.5.2 b=4/4.7.2");
    machine_kit_restart(kit);
    assert_int_equal(machine_revision(kit->machine), 7);
    assert_text(ask(kit, a_range("a", "")), "7: range 2 a=3/3.5.2 b=4/4.7.2");
}

/* A range that is asked for as a query comes in pages; a sorted one or a command's is refused if it
 * is too large, and leaves nothing behind. */
static void test_large_ranges(void **state)
{
    struct machine_kit *kit = *state;
    size_t size = 300 * KIB;
    char *value = malloc(size + 1);
    assert_non_null(value);
    memset(value, 'v', size);
    value[size] = '\0';
    char key[16];
    for (int i = 0; i < 9; i++) {
        snprintf(key, sizeof key, "k%d", i);
        put(key, value);
    }
    free(value);
    struct kv_request all = a_range("k", "");
    assert_text(do_(kit, all), "too large");
    struct buffer payload = {0};
    struct query_answer answer;
    kv_put_request(&payload, &all);
    machine_query(kit->machine, QUERY_KV, buffer_slice(&payload), 0, &answer, &kit->fx);
    struct kv_response response;
    assert_int_equal(kv_next_response(&answer.body, &response), 1);
    assert_int_equal(response.item_count, 3);
    assert_int_equal(response.count, 9);
    assert_true(response.more);
    buffer_close(&payload);
    all.range.order = KV_ORDER_DESCEND;
    assert_text(ask(kit, all), "too large");
    all.range.flags = KV_KEYS_ONLY;
    all.range.limit = 1;
    assert_text(ask(kit, all), "10: range 9+ k8=/10.10.1");
    all.range.flags = 0;
    all.range.target = KV_TARGET_VALUE;
    all.range.order = KV_ORDER_ASCEND;
    assert_true(strncmp(ask(kit, all), "10: range 9+ k0=v", 17) == 0);
    uint64_t revision = machine_revision(kit->machine);
    size_t stored = records(kit, 'e');
    struct kv_request doomed = a_delete("k", "");
    doomed.delete_.flags = KV_PREVIOUS;
    assert_text(do_(kit, doomed), "too large");
    assert_int_equal(machine_revision(kit->machine), revision);
    assert_int_equal(records(kit, 'e'), stored);
    doomed.delete_.flags = 0;
    assert_text(do_(kit, doomed), "11: del 9");
}

/* What has no keys in it counts, too: a response that the limit would cut off on its way is refused
 * like any other that is too large. */
static void test_responses_are_bounded_by_the_byte(void **state)
{
    struct machine_kit *kit = *state;
    struct buffer keep = {0};
    /* The heads of a transaction and a range, then two keys and their heads. */
    const size_t rest = KV_RESPONSE_BYTES_MAX - 10 - 18 - 2 * (40 + 2);
    char *value = malloc(rest / 2 + 1);
    assert_non_null(value);
    memset(value, 'v', rest / 2);
    value[rest / 2] = '\0';
    put("k0", value);
    put("k1", value);
    free(value);
    struct kv_request count = a_range("k", "");
    count.range.flags = KV_COUNT_ONLY;
    struct kv_request nothing = a_txn(NULL, 0, NULL, 0, NULL, 0, &keep);
    const struct kv_request fits[] = {a_range("k", "")};
    const struct kv_request counts[] = {fits[0], count};
    const struct kv_request nests[] = {fits[0], nothing};
    do_(kit, a_txn(NULL, 0, fits, 1, NULL, 0, &keep));
    assert_int_equal(kit->status, RESULT_OK);
    assert_int_equal(kit->body.size, KV_RESPONSE_BYTES_MAX);
    assert_text(do_(kit, a_txn(NULL, 0, counts, 2, NULL, 0, &keep)), "too large");
    assert_text(do_(kit, a_txn(NULL, 0, nests, 2, NULL, 0, &keep)), "too large");
    assert_text(ask(kit, a_txn(NULL, 0, counts, 2, NULL, 0, &keep)), "too large");
    buffer_close(&keep);
}

/* The longest key, of bytes that are escaped, can be put, found, watched and swept. */
static void test_longest_key(void **state)
{
    struct machine_kit *kit = *state;
    static const uint8_t zeros[KEY_BYTES_MAX];
    struct kv_request request = a_put("", "1");
    request.put.key = slice_borrow(zeros, sizeof zeros);
    do_(kit, request);
    do_(kit, request);
    struct kv_request range = a_range("", NULL);
    range.range.key = request.put.key;
    range.range.flags = KV_COUNT_ONLY;
    assert_text(ask(kit, range), "3: range 1");
    assert_text(ask(kit, with_revision(range, 2)), "3: range 1");
    struct kv_request doomed = a_delete("", NULL);
    doomed.delete_.key = request.put.key;
    assert_text(do_(kit, doomed), "4: del 1");
    put("b", "");
    machine_kit_compact(kit, 5);
    machine_kit_sweep(kit);
    assert_int_equal(records(kit, 'h'), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_kit_setup, machine_kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_puts_raise_revision_and_version),
        TEST(test_deletes),
        TEST(test_ignore_value_and_lease),
        TEST(test_sequential_puts),
        TEST(test_range_limits),
        TEST(test_range_filters),
        TEST(test_range_sorts),
        TEST(test_old_revisions),
        TEST(test_old_revisions_of_hot_keys),
        TEST(test_keys_of_any_bytes),
        TEST(test_compaction),
        TEST(test_continued_ranges),
        TEST(test_sweep_deletes_all_that_is_garbage),
        TEST(test_sweep_comes_back_for_the_compacted_revision),
        TEST(test_sweep_of_a_large_revision),
        TEST(test_commands_of_one_turn_see_each_other),
        TEST(test_large_ranges),
        TEST(test_responses_are_bounded_by_the_byte),
        TEST(test_longest_key),
    };
    return cmocka_run_group_tests_name("machine_keys", tests, NULL, NULL);
}
