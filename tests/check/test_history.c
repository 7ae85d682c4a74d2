/* The judges of a history of clients accept what a correct log could have answered, and reject every
 * way in which an answer can be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/base/rng.h"
#include "tests/check/log_object.h"
#include "tests/check/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MAX 16384

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

/* Proves: a repeated answer changes nothing, another answer to the same operation is a violation. */
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

/* ---- random histories */

enum { CLIENTS_MAX = 6, ACTIVE_MAX = 256 };

struct active {
    size_t operation;
    uint64_t done; /* index, or the last index that a read saw, plus one; 0: not yet */
    int is_silent; /* its client never hears of it */
};

struct generator {
    struct rng *rng;
    uint64_t session[CLIENTS_MAX];
    uint64_t sessions, ids;
    struct active active[ACTIVE_MAX];
    size_t active_count;
    unsigned loss; /* per mille of operations whose answer is lost */
};

static void begin_any(struct generator *g)
{
    uint32_t client = (uint32_t)rng_below(g->rng, CLIENTS_MAX);
    struct active *active = &g->active[g->active_count++];
    *active = (struct active){.is_silent = rng_below(g->rng, 1000) < g->loss};
    if (rng_below(g->rng, 4) == 0) {
        uint64_t from = 1 + rng_below(g->rng, agreed_count + 2);
        active->operation = history_read(&h, client, rng_below(g->rng, 8) == 0, from, 0);
        return;
    }
    active->operation = history_append(&h, client, g->session[client], ++g->ids, 0);
    if (active->is_silent) {
        g->session[client] = ++g->sessions; /* it will not go on after that one */
    }
}

/* Takes effect, if nothing of its session that is still to come stands before it. */
static void do_any(struct generator *g, struct active *active)
{
    const struct history_operation *op = &h.operations[active->operation];
    if (op->kind == OPERATION_LOCAL_READ) {
        active->done = 1 + rng_below(g->rng, agreed_count + 1);
        return;
    }
    if (op->kind == OPERATION_READ) {
        active->done = 1 + agreed_count;
        return;
    }
    for (size_t i = 0; i < g->active_count; i++) {
        if (g->active[i].operation == op->before && g->active[i].done == 0) {
            return;
        }
    }
    assert_true(agreed_count < LOG_MAX);
    agreed[agreed_count++] = op->id;
    active->done = agreed_count;
}

static void end(struct generator *g, struct active *active)
{
    const struct history_operation *op = &h.operations[active->operation];
    if (!active->is_silent && op->kind == OPERATION_APPEND) {
        history_acknowledged(&h, active->operation, active->done);
    } else if (!active->is_silent) {
        uint64_t last = active->done - 1;
        size_t there = op->from <= last ? (size_t)(last - op->from + 1) : 0;
        size_t count = there == 0 ? 0 : 1 + (size_t)rng_below(g->rng, there < 20 ? there : 20);
        history_answered(&h, active->operation, op->from, &agreed[op->from - 1], count, last);
    }
    *active = g->active[--g->active_count];
}

/* A history of about `count` operations on a correct log, of which about `width` overlap. What is
 * still under way at the end stays unknown, done or not. */
static void generate(struct rng *rng, size_t count, size_t width, unsigned loss)
{
    struct generator g = {.rng = rng, .loss = loss};
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        g.session[i] = ++g.sessions;
    }
    assert_true(width <= ACTIVE_MAX);
    while (h.count < count) {
        if (g.active_count < width && rng_below(rng, 3) == 0) {
            begin_any(&g);
        } else if (g.active_count > 0) {
            struct active *active = &g.active[rng_below(rng, g.active_count)];
            if (active->done == 0 && active->is_silent && rng_below(rng, 4) == 0) {
                *active = g.active[--g.active_count]; /* it never happens */
            } else if (active->done == 0) {
                do_any(&g, active);
            } else {
                end(&g, active);
            }
        }
    }
}

/* Proves: whatever a correct log answers, with whatever delays and losses, is accepted by both. */
static void test_random_good(void **state)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct rng rng;
        rng_init(&rng, seed);
        size_t count = 5 + rng_below(&rng, 400);
        size_t width = 1 + rng_below(&rng, 40);
        generate(&rng, count, width, (unsigned)rng_below(&rng, 150));
        struct errmsg err;
        if (replay(&err) != 0 || search(&err) != 0) {
            fail_msg("seed %" PRIu64 ": %s", seed, err.text);
        }
        teardown(state);
        setup(state);
    }
}

/* Proves: a long history, with many appends of unknown outcome, takes a number of steps in
 * proportion to what overlaps: that it is decided in milliseconds. */
static void test_long(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 4711);
    print_message("seed 4711\n");
    generate(&rng, 12000, 30, 20);
    struct errmsg err;
    struct wing_gong_report report;
    assert_int_equal(replay(&err), 0);
    assert_int_equal(log_object_judge(&h, LOG_OBJECT_STEPS_MAX, &report, &err), 0);
    print_message("%zu operations: %" PRIu64 " steps, %" PRIu64 " configurations\n", h.count,
                  report.steps, report.configurations);
    assert_true(report.steps < 100 * h.count);
    assert_true(report.configurations < 2 * h.count);
}

/* ---- one thing is made wrong */

static size_t pick(struct rng *rng, enum operation_kind kind)
{
    for (int tries = 0; tries < 100; tries++) {
        size_t i = rng_below(rng, h.count);
        if (h.operations[i].kind == kind && h.operations[i].ended != MOMENT_NEVER) {
            return i;
        }
    }
    return OPERATION_NONE;
}

static int lose_append(struct rng *rng)
{
    size_t a = pick(rng, OPERATION_APPEND);
    if (a == OPERATION_NONE) {
        return 0;
    }
    size_t at = (size_t)h.operations[a].index - 1;
    memmove(&agreed[at], &agreed[at + 1], (--agreed_count - at) * sizeof agreed[0]);
    return 1;
}

static int repeat_record(struct rng *rng)
{
    if (agreed_count == 0) {
        return 0;
    }
    size_t from = rng_below(rng, agreed_count);
    agreed[agreed_count++] = agreed[from];
    return 1;
}

static int invent_record(struct rng *rng)
{
    (void)rng;
    agreed[agreed_count++] = 1U << 30;
    return 1;
}

static int share_index(struct rng *rng)
{
    size_t a = pick(rng, OPERATION_APPEND);
    size_t b = pick(rng, OPERATION_APPEND);
    if (a == OPERATION_NONE || b == OPERATION_NONE || a == b) {
        return 0;
    }
    h.operations[a].index = h.operations[b].index;
    return 1;
}

/* The read sees one record less than was known to somebody when it began. */
static int make_stale(struct rng *rng)
{
    size_t r = pick(rng, OPERATION_READ);
    uint64_t floor = 0;
    for (size_t i = 0; r != OPERATION_NONE && i < h.count; i++) {
        const struct history_operation *op = &h.operations[i];
        uint64_t known = op->kind == OPERATION_APPEND ? op->index : op->last;
        if (op->kind != OPERATION_LOCAL_READ && op->ended < h.operations[r].begun &&
            known > floor) {
            floor = known;
        }
    }
    if (floor == 0) {
        return 0;
    }
    struct history_operation *read = &h.operations[r];
    read->last = floor - 1;
    if (read->from + read->count > floor) {
        read->count = read->from < floor ? (size_t)(floor - read->from) : 0;
    }
    return 1;
}

static int see_future(struct rng *rng)
{
    size_t r = pick(rng, OPERATION_READ);
    size_t a = pick(rng, OPERATION_APPEND);
    if (r == OPERATION_NONE || a == OPERATION_NONE || h.operations[r].count == 0 ||
        h.operations[a].begun < h.operations[r].ended) {
        return 0;
    }
    h.operations[r].last = h.operations[a].index;
    return 1;
}

static int read_other(struct rng *rng)
{
    size_t r = pick(rng, OPERATION_READ);
    if (r == OPERATION_NONE || h.operations[r].count == 0) {
        return 0;
    }
    h.ids[h.operations[r].ids + rng_below(rng, h.operations[r].count)] = 1U << 30;
    return 1;
}

static int read_swapped(struct rng *rng)
{
    size_t r = pick(rng, OPERATION_READ);
    if (r == OPERATION_NONE || h.operations[r].count < 2) {
        return 0;
    }
    /* An index that was told must be among them, or both orders may be possible. */
    uint64_t *ids = h.ids + h.operations[r].ids;
    for (size_t i = 0; i < h.count; i++) {
        if (h.operations[i].id == ids[0] && h.operations[i].ended != MOMENT_NEVER) {
            ids[0] = ids[1];
            ids[1] = h.operations[i].id;
            return 1;
        }
    }
    return 0;
}

/* Exchanges two appends everywhere, one of which had ended when the other began. */
static int invert(struct rng *rng)
{
    size_t a = pick(rng, OPERATION_APPEND);
    size_t b = pick(rng, OPERATION_APPEND);
    if (a == OPERATION_NONE || b == OPERATION_NONE ||
        h.operations[a].ended > h.operations[b].begun) {
        return 0;
    }
    struct history_operation *first = &h.operations[a];
    struct history_operation *second = &h.operations[b];
    agreed[first->index - 1] = second->id;
    agreed[second->index - 1] = first->id;
    uint64_t index = first->index;
    first->index = second->index;
    second->index = index;
    for (size_t i = 0; i < h.id_count; i++) {
        h.ids[i] = h.ids[i] == first->id    ? second->id
                   : h.ids[i] == second->id ? first->id
                                            : h.ids[i];
    }
    return 1;
}

static int tell_another(struct rng *rng)
{
    size_t a = pick(rng, OPERATION_APPEND);
    if (a == OPERATION_NONE) {
        return 0;
    }
    history_acknowledged(&h, a, h.operations[a].index + 1);
    return 1;
}

/* Proves: each single thing that is made wrong in a good history is found: by both judges, unless
 * only the log shows it. */
static void test_random_bad(void **state)
{
    static const struct {
        const char *name;
        int (*make)(struct rng *rng);
        int only_log;
    } wrongs[] = {
        {"lose_append", lose_append, 1},
        {"repeat_record", repeat_record, 1},
        {"invent_record", invent_record, 1},
        {"share_index", share_index, 0},
        {"make_stale", make_stale, 0},
        {"see_future", see_future, 0},
        {"read_other", read_other, 0},
        {"read_swapped", read_swapped, 0},
        {"invert", invert, 0},
        {"tell_another", tell_another, 0},
    };
    size_t made[sizeof wrongs / sizeof wrongs[0]] = {0};
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        struct rng rng;
        rng_init(&rng, seed);
        generate(&rng, 20 + rng_below(&rng, 200), 1 + rng_below(&rng, 20),
                 (unsigned)rng_below(&rng, 100));
        size_t kind = seed % (sizeof wrongs / sizeof wrongs[0]);
        if (wrongs[kind].make(&rng)) {
            made[kind]++;
            struct errmsg err;
            if (replay(&err) != ERROR_CORRUPT) {
                fail_msg("seed %" PRIu64 ": replay accepts %s", seed, wrongs[kind].name);
            }
            if (!wrongs[kind].only_log && search(&err) != ERROR_CORRUPT) {
                fail_msg("seed %" PRIu64 ": search accepts %s", seed, wrongs[kind].name);
            }
        }
        teardown(state);
        setup(state);
    }
    for (size_t kind = 0; kind < sizeof wrongs / sizeof wrongs[0]; kind++) {
        print_message("%s: %zu\n", wrongs[kind].name, made[kind]);
        assert_true(made[kind] >= 20);
    }
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
        TEST(test_random_good),
        TEST(test_long),
        TEST(test_random_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
