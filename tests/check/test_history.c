/* The judges of what clients saw accept what a correct log could have answered, and reject each way
 * in which an answer can be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/check/log_object.h"
#include "tests/check/replay.h"

#include <string.h>

#define LOG_MAX 256

/* What each test works on; made anew for each. */
static struct history h;
static uint64_t agreed[LOG_MAX];
static size_t agreed_count;

static int setup(void **state)
{
    (void)state;
    history_init(&h);
    agreed_count = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    history_close(&h);
    return 0;
}

/* ---- short histories by hand: ids are those of the log a test sets, sessions those of clients */

static size_t begin_append(uint32_t client, uint64_t id)
{
    return history_append(&h, client, client, id, 0);
}

static size_t append(uint32_t client, uint64_t id, uint64_t index)
{
    size_t operation = begin_append(client, id);
    history_acknowledged(&h, operation, index);
    return operation;
}

static size_t begin_read(uint32_t client)
{
    return history_read(&h, client, 0, 1, 0);
}

/* The answer shows the whole log up to `last` as it is in `agreed`. */
static void answer(size_t operation, uint64_t last)
{
    history_answered(&h, operation, 1, agreed, (size_t)last, last);
}

static void read_all(uint32_t client, uint64_t last)
{
    answer(begin_read(client), last);
}

static void set_log(size_t count, ...)
{
    va_list args;
    va_start(args, count);
    for (size_t i = 0; i < count; i++) {
        agreed[i] = (uint64_t)va_arg(args, int);
    }
    va_end(args);
    agreed_count = count;
}

static int replay(struct errmsg *err)
{
    err->text[0] = '\0';
    return replay_judge(&h, agreed, agreed_count, err);
}

static int search(struct errmsg *err)
{
    err->text[0] = '\0';
    return log_object_judge(&h, LOG_OBJECT_STEPS_MAX, NULL, err);
}

static void expect_accepted(void)
{
    struct errmsg err;
    if (replay(&err) != 0) {
        fail_msg("replay: %s", err.text);
    }
    if (search(&err) != 0) {
        fail_msg("search: %s", err.text);
    }
}

/* The sentence says why; a judge that complains of something else is wrong, too. */
static void expect_replay_rejects(const char *why)
{
    struct errmsg err;
    assert_int_equal(replay(&err), ERROR_CORRUPT);
    if (strstr(err.text, why) == NULL) {
        fail_msg("replay says: %s", err.text);
    }
}

static void expect_search_rejects(const char *why)
{
    struct errmsg err;
    assert_int_equal(search(&err), ERROR_CORRUPT);
    if (strstr(err.text, why) == NULL) {
        fail_msg("search says: %s", err.text);
    }
}

/* Proves: nothing happened, and operations one after the other, are fine. */
static void test_sequential(void **state)
{
    (void)state;
    expect_accepted();
    set_log(3, 11, 12, 13);
    read_all(3, 0);
    append(1, 11, 1);
    read_all(3, 1);
    append(2, 12, 2);
    append(1, 13, 3);
    read_all(1, 3);
    expect_accepted();
}

/* Proves: of operations that overlap, any may come first, and each read may see each state. */
static void test_overlap(void **state)
{
    (void)state;
    set_log(2, 12, 11);
    size_t read_new = begin_read(3);
    size_t read_old = begin_read(4);
    size_t a = begin_append(1, 11);
    size_t b = begin_append(2, 12);
    history_acknowledged(&h, a, 2);
    answer(read_new, 2);
    answer(read_old, 0);
    history_acknowledged(&h, b, 1);
    expect_accepted();
}

/* Proves: an append without an answer may have happened at once, late, or not at all. */
static void test_unknown_outcome(void **state)
{
    (void)state;
    begin_append(1, 11);
    begin_append(2, 12);
    begin_append(3, 13);
    set_log(3, 12, 14, 11);
    append(4, 14, 2);
    read_all(4, 2);
    read_all(4, 3);
    expect_accepted();
}

/* Proves: an unknown append that nobody has seen explains an index that was left out. */
static void test_unknown_fills_gap(void **state)
{
    (void)state;
    begin_append(1, 11);
    begin_append(2, 12);
    set_log(2, 12, 13);
    append(3, 13, 2);
    expect_accepted();
    append(3, 14, 4); /* 11 may have come before it */
    set_log(4, 12, 13, 11, 14);
    expect_accepted();
    append(3, 15, 6); /* but there is nothing left for index 5 */
    set_log(5, 12, 13, 11, 14, 15);
    expect_replay_rejects("c3 append 15 at 0 -> index 6: was acknowledged, but the log has it at");
    expect_search_rejects("beyond all appends");
}

/* Proves: of many unknown appends, those that must have happened are found without trying the rest:
 * ten are followed by acknowledged ones of their sessions, thirty others could stand there. */
static void test_unknown_needed(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 30; i++) {
        begin_append(100 + i, 1000 + i);
    }
    size_t successors[10];
    for (uint32_t i = 0; i < 10; i++) {
        begin_append(1 + i, 1 + i);
        successors[i] = begin_append(1 + i, 101 + i);
        agreed[i] = 1 + i;
        agreed[11 + i] = 101 + i;
    }
    agreed[10] = 50;
    agreed_count = 21;
    append(50, 50, 11); /* the first ten are somebody's */
    for (uint32_t i = 0; i < 10; i++) {
        history_acknowledged(&h, successors[i], 12 + i);
    }
    expect_accepted();
    struct errmsg err;
    struct wing_gong_report report;
    assert_int_equal(log_object_judge(&h, 3000, &report, &err), 0);
}

/* Proves: an acknowledged append that is not in the log, and one that nobody can read, are lost. */
static void test_lost(void **state)
{
    (void)state;
    set_log(1, 12);
    append(1, 11, 1);
    append(2, 12, 2);
    expect_replay_rejects("c1 append 11 at 0 -> index 1: was acknowledged and is lost");
    read_all(3, 1); /* shows 12 at 1 */
    expect_search_rejects("contradicts another operation about index 1");
}

/* Proves: a record that is in the log twice is found, whether its append was answered or not. */
static void test_duplicated(void **state)
{
    (void)state;
    append(1, 11, 1);
    begin_append(2, 12);
    set_log(3, 11, 12, 11);
    expect_replay_rejects("c1 append 11 at 0 -> index 1: is in the log twice");
    set_log(3, 11, 12, 12);
    expect_replay_rejects("c2 append 12 at 0 -> unknown: is in the log twice");
    append(3, 13, 3);
    append(3, 14, 4);
    set_log(4, 11, 12, 12, 14);
    read_all(3, 4);
    expect_search_rejects("another");
}

/* Proves: the same record read at two places is found without the log. */
static void test_duplicated_in_reads(void **state)
{
    (void)state;
    begin_append(1, 11);
    begin_append(2, 12);
    set_log(2, 11, 11);
    read_all(3, 2);
    expect_search_rejects("is of a record that is elsewhere, too, at index 1");
}

/* Proves: a read that does not see what was acknowledged before it began is stale. */
static void test_stale_read(void **state)
{
    (void)state;
    set_log(2, 11, 12);
    append(1, 11, 1);
    append(1, 12, 2);
    read_all(2, 1);
    expect_replay_rejects(
        "real-time order: (c1 append 12 at 0 -> index 2) had ended when (c2 read");
    expect_search_rejects("c2 read from 1 at 0 -> 1 records, last 1: no order of operations");
}

/* Proves: after one read has seen an append that is not acknowledged yet, no later one may miss
 * it. */
static void test_reads_go_back(void **state)
{
    (void)state;
    set_log(1, 11);
    size_t a = begin_append(1, 11);
    read_all(2, 1);
    read_all(3, 0);
    history_acknowledged(&h, a, 1);
    expect_replay_rejects("real-time order");
    expect_search_rejects("no order of operations");
}

/* Proves: nothing can be read before its append began, neither as a record nor as a length. */
static void test_read_of_future(void **state)
{
    (void)state;
    set_log(1, 11);
    read_all(2, 1);
    append(1, 11, 1);
    expect_replay_rejects("saw what was not yet begun");
    expect_search_rejects("shows what was not yet begun");
}

static void test_length_of_future(void **state)
{
    (void)state;
    set_log(1, 11);
    size_t read = history_read(&h, 2, 0, 9, 0);
    history_answered(&h, read, 9, NULL, 0, 1);
    append(1, 11, 1);
    expect_replay_rejects("saw what was not yet begun");
    expect_search_rejects("no order of operations");
}

/* Proves: bytes that nobody appended are no record. */
static void test_read_of_nothing(void **state)
{
    (void)state;
    set_log(1, 11);
    append(1, 11, 1);
    static const uint64_t other[] = {0};
    history_answered(&h, begin_read(2), 1, other, 1, 1);
    expect_replay_rejects("shows another record than the log");
    expect_search_rejects("shows what nobody appended, record 0");
    set_log(2, 11, 99);
    expect_replay_rejects("index 2 of the log holds record 99, which nobody appended");
}

/* Proves: an answer is well-formed only if it shows what it says there is. */
static void test_misshapen_reads(void **state)
{
    static const struct {
        uint64_t asked, from, last;
        size_t count;
        const char *says;
    } answers[] = {
        {1, 1, 2, 0, "c2 read"},           /* nothing, but there is something */
        {1, 1, 1, 2, "c2 read"},           /* more than there is */
        {3, 3, 2, 1, "c2 read"},           /* a record beyond the end */
        {1, 2, 2, 1, "was answered from"}, /* not what was asked for */
        {0, 0, 2, 1, "c2 read"},           /* there is no index 0 */
        {1, 1, 3, 2, "c2 read"},           /* more than anybody appended */
        {1U << 30, 1U << 30, 1U << 30, 1, "c2 read"},
    };
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        set_log(2, 11, 12);
        append(1, 11, 1);
        append(1, 12, 2);
        size_t read = history_read(&h, 2, 0, answers[i].asked, 0);
        history_answered(&h, read, answers[i].from, agreed, answers[i].count, answers[i].last);
        expect_replay_rejects(answers[i].says);
        expect_search_rejects(answers[i].says);
        teardown(state);
        setup(state);
    }
}

/* Proves: two appends cannot have one index. */
static void test_same_index(void **state)
{
    (void)state;
    set_log(2, 11, 12);
    append(1, 11, 1);
    append(2, 12, 1);
    expect_replay_rejects("c2 append 12 at 0 -> index 1: was acknowledged, but the log has it at");
    expect_search_rejects("contradicts another operation about index 1");
}

/* Proves: what had ended before another operation began has the lower index. */
static void test_real_time_inversion(void **state)
{
    (void)state;
    set_log(2, 12, 11);
    append(1, 11, 2);
    append(2, 12, 1);
    expect_replay_rejects("real-time order: (c1 append 11 at 0 -> index 2) had ended");
    expect_search_rejects("c1 append 11 at 0 -> index 2: no order of operations");
}

/* Proves: the same holds between an acknowledged append and one whose outcome is unknown. */
static void test_unknown_before_its_begin(void **state)
{
    (void)state;
    set_log(2, 12, 11);
    append(1, 11, 2);
    begin_append(2, 12);
    expect_replay_rejects("real-time order");
    expect_search_rejects("no order of operations");
}

/* Proves: appends of one session that overlap keep their order; of two sessions they need not. */
static void test_session_order(void **state)
{
    (void)state;
    set_log(2, 12, 11);
    size_t a = begin_append(1, 11);
    size_t b = begin_append(1, 12);
    history_acknowledged(&h, a, 2);
    history_acknowledged(&h, b, 1);
    expect_replay_rejects("is in the log before the one before it in its session, record 11");
    expect_search_rejects("no order of operations");
    h.operations[b].before = OPERATION_NONE;
    expect_accepted();
}

/* Proves: if one of a session is missing, none after it can have happened. */
static void test_session_gap(void **state)
{
    (void)state;
    set_log(1, 12);
    begin_append(1, 11);
    append(1, 12, 1);
    expect_replay_rejects("is in the log without the one before it in its session, record 11");
    expect_search_rejects("no order of operations");
}

/* Proves: many sessions are kept apart. */
static void test_many_sessions(void **state)
{
    (void)state;
    for (uint64_t id = 1; id <= 3000; id++) {
        size_t operation = history_append(&h, 1, (id % 1000) << 32, id, 0);
        assert_true(h.operations[operation].before == (id <= 1000 ? OPERATION_NONE : id - 1001));
    }
}

/* Proves: a repeated answer changes nothing, another one to the same append is a violation. */
static void test_answers_again(void **state)
{
    (void)state;
    set_log(2, 11, 12);
    size_t a = append(1, 11, 1);
    size_t read = begin_read(2);
    answer(read, 1);
    append(1, 12, 2);
    history_acknowledged(&h, a, 1);
    answer(read, 0);
    expect_accepted();
    history_acknowledged(&h, a, 2);
    expect_replay_rejects("c1 append 11 at 0 -> index 1 was told index 2, too");
    expect_search_rejects("c1 append 11 at 0 -> index 1 was told index 2, too");
}

/* Proves: a local read may be as old as it likes, but shows the same log, and no future. */
static void test_local_reads(void **state)
{
    (void)state;
    set_log(3, 11, 12, 13);
    append(1, 11, 1);
    append(1, 12, 2);
    answer(history_read(&h, 2, 1, 1, 0), 1);
    answer(history_read(&h, 2, 1, 1, 0), 2);
    answer(history_read(&h, 2, 1, 1, 0), 0);
    size_t future = history_read(&h, 2, 1, 1, 0);
    answer(future, 2);
    append(1, 13, 3);
    expect_accepted();
    h.operations[future].last = h.operations[future].count = 3;
    h.ids[h.operations[future].ids + 2] = 13;
    h.id_count = h.operations[future].ids + 3;
    expect_replay_rejects(
        "local read from 1 at 0 -> 3 records, last 3: saw what was not yet begun");
    expect_search_rejects("shows what was not yet begun, at index 3");
    h.operations[future].count = h.operations[future].last = 2;
    h.ids[h.operations[future].ids] = 13;
    expect_replay_rejects("shows another record than the log at index 1");
    expect_search_rejects("not yet begun");
}

/* Proves: a search without result in its budget is a failure, and says so. */
static void test_budget(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 200; i++) {
        agreed[i - 1] = i;
        append(1, i, i);
    }
    struct errmsg err;
    struct wing_gong_report report;
    assert_int_equal(log_object_judge(&h, 100, &report, &err), ERROR_BUSY);
    assert_non_null(strstr(err.text, "ran out of budget"));
    assert_true(report.steps <= 110);
    assert_int_equal(log_object_judge(&h, 4000, &report, &err), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sequential),
        TEST(test_overlap),
        TEST(test_unknown_outcome),
        TEST(test_unknown_fills_gap),
        TEST(test_unknown_needed),
        TEST(test_lost),
        TEST(test_duplicated),
        TEST(test_duplicated_in_reads),
        TEST(test_stale_read),
        TEST(test_reads_go_back),
        TEST(test_read_of_future),
        TEST(test_length_of_future),
        TEST(test_read_of_nothing),
        TEST(test_misshapen_reads),
        TEST(test_same_index),
        TEST(test_real_time_inversion),
        TEST(test_unknown_before_its_begin),
        TEST(test_session_order),
        TEST(test_session_gap),
        TEST(test_many_sessions),
        TEST(test_answers_again),
        TEST(test_local_reads),
        TEST(test_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
