/* The search for an order decides exactly what trying all orders decides, and does not look at a
 * configuration twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "tests/check/log_object.h"
#include "tests/check/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- a register, the object of Wing and Gong's examples */

enum { OPERATIONS_MAX = 16 };

struct cell {
    struct wing_gong_operation operations[OPERATIONS_MAX];
    struct {
        int is_write;
        int value;
    } what[OPERATIONS_MAX];
    size_t count;
    int value;
    int before[OPERATIONS_MAX]; /* values that were overwritten on the way here */
    size_t depth;
};

static int cell_step(void *state, size_t operation)
{
    struct cell *cell = state;
    if (!cell->what[operation].is_write) {
        return cell->what[operation].value == cell->value;
    }
    cell->before[cell->depth++] = cell->value;
    cell->value = cell->what[operation].value;
    return 1;
}

static void cell_undo(void *state, size_t operation)
{
    struct cell *cell = state;
    assert_true(cell->what[operation].is_write);
    cell->value = cell->before[--cell->depth];
}

static uint64_t cell_hash(const void *state)
{
    return (uint64_t)((const struct cell *)state)->value;
}

static void cell_add(struct cell *cell, int is_write, int value, uint64_t begun, uint64_t ended)
{
    cell->what[cell->count].is_write = is_write;
    cell->what[cell->count].value = value;
    cell->operations[cell->count++] = (struct wing_gong_operation){
        .begun = begun, .ended = ended, .after = OPERATION_NONE, .is_pure = !is_write};
}

static int cell_search(struct cell *cell, struct wing_gong_report *report)
{
    const struct wing_gong_object object = {cell, cell_step, cell_undo, cell_hash};
    cell->value = 0;
    cell->depth = 0;
    return wing_gong_search(cell->operations, cell->count, &object, 10000000, report);
}

/* Proves: no operation at all has an order. */
static void test_nothing(void **state)
{
    (void)state;
    struct cell cell = {.count = 0};
    struct wing_gong_report report;
    assert_int_equal(cell_search(&cell, &report), 0);
    assert_true(report.stuck == OPERATION_NONE);
}

/* Proves: two reads beside a write may see it in the order old, new; never new, old. */
static void test_register(void **state)
{
    (void)state;
    for (int first = 0; first <= 1; first++) {
        struct cell cell = {.count = 0};
        cell_add(&cell, 1, 1, 1, 10);
        cell_add(&cell, 0, first, 2, 3);
        cell_add(&cell, 0, 1 - first, 4, 5);
        struct wing_gong_report report;
        assert_int_equal(cell_search(&cell, &report), first == 0 ? 0 : ERROR_CORRUPT);
        assert_true(report.stuck == (first == 0 ? OPERATION_NONE : 2));
    }
}

/* Proves: a write that never ended may take effect long after, but once. */
static void test_register_pending(void **state)
{
    (void)state;
    struct cell cell = {.count = 0};
    cell_add(&cell, 1, 1, 1, MOMENT_NEVER);
    cell_add(&cell, 0, 0, 2, 3);
    cell_add(&cell, 1, 2, 4, 5);
    cell_add(&cell, 0, 1, 6, 7);
    struct wing_gong_report report;
    assert_int_equal(cell_search(&cell, &report), 0);
    cell_add(&cell, 1, 3, 8, 9);
    cell_add(&cell, 0, 1, 10, 11);
    assert_int_equal(cell_search(&cell, &report), ERROR_CORRUPT);
    assert_true(report.stuck == 5);
}

/* Proves: of two writes that overlap either may be the last, unless one must come before the
 * other. */
static void test_register_after(void **state)
{
    (void)state;
    for (int last = 1; last <= 2; last++) {
        struct cell cell = {.count = 0};
        cell_add(&cell, 1, 1, 1, 8);
        cell_add(&cell, 1, 2, 2, 7);
        cell_add(&cell, 0, last, 9, 10);
        struct wing_gong_report report;
        assert_int_equal(cell_search(&cell, &report), 0);
        cell.operations[1].after = 0;
        assert_int_equal(cell_search(&cell, &report), last == 2 ? 0 : ERROR_CORRUPT);
    }
}

/* Proves: a configuration is looked at once. Twelve writes side by side have 479,001,600 orders,
 * but 12 * 2^11 pairs of a set and one of it that was last; no order explains the read that
 * follows. */
static void test_memory(void **state)
{
    (void)state;
    struct cell cell = {.count = 0};
    for (int i = 0; i < 12; i++) {
        cell_add(&cell, 1, i + 1, (uint64_t)i + 1, (uint64_t)i + 100);
    }
    cell_add(&cell, 0, 99, 200, 201);
    struct wing_gong_report report;
    assert_int_equal(cell_search(&cell, &report), ERROR_CORRUPT);
    assert_int_equal(report.configurations, 12 << 11);
    assert_true(report.stuck == 12);
}

/* Proves: legal reads are put into the order without trying what would come of leaving them out:
 * twelve of them have 2^12 sets, and thirteen configurations are looked at. */
static void test_pure(void **state)
{
    (void)state;
    struct cell cell = {.count = 0};
    for (int i = 0; i < 12; i++) {
        cell_add(&cell, 0, 0, (uint64_t)i + 1, (uint64_t)i + 100);
    }
    cell_add(&cell, 1, 1, 13, 112);
    cell_add(&cell, 0, 99, 200, 201);
    struct wing_gong_report report;
    assert_int_equal(cell_search(&cell, &report), ERROR_CORRUPT);
    assert_int_equal(report.configurations, 13);
}

/* Proves: without enough steps for that, nothing is decided. */
static void test_budget(void **state)
{
    (void)state;
    struct cell cell = {.count = 0};
    for (int i = 0; i < 12; i++) {
        cell_add(&cell, 1, i + 1, (uint64_t)i + 1, (uint64_t)i + 100);
    }
    cell_add(&cell, 0, 99, 200, 201);
    const struct wing_gong_object object = {&cell, cell_step, cell_undo, cell_hash};
    struct wing_gong_report report;
    assert_int_equal(wing_gong_search(cell.operations, cell.count, &object, 10000, &report),
                     ERROR_BUSY);
    assert_true(report.steps <= 10100);
    assert_true(report.configurations <= 10000 / 16 + 1);
}

/* Proves: looking in vain costs steps, too. */
static void test_budget_in_vain(void **state)
{
    (void)state;
    struct cell cell = {.count = 0};
    for (int i = 0; i < 12; i++) {
        cell_add(&cell, 0, 99, (uint64_t)i + 1, (uint64_t)i + 100);
    }
    const struct wing_gong_object object = {&cell, cell_step, cell_undo, cell_hash};
    struct wing_gong_report report;
    assert_int_equal(wing_gong_search(cell.operations, cell.count, &object, 10, &report),
                     ERROR_BUSY);
    assert_int_equal(wing_gong_search(cell.operations, cell.count, &object, 20, &report),
                     ERROR_CORRUPT);
}

/* ---- all orders of short histories of the log, tried one after the other */

enum { SHORT_MAX = 7, APPENDS_MAX = 4 };

struct trial {
    const struct history *history;
    uint64_t log[SHORT_MAX];
    size_t length;
    int is_ordered[SHORT_MAX];
};

/* The operation's answer is what this log gives. */
static int is_answered_by(const struct trial *trial, const struct history_operation *op)
{
    const struct history *h = trial->history;
    if (op->kind == OPERATION_APPEND) {
        return op->ended == MOMENT_NEVER || op->index == trial->length + 1;
    }
    return op->last == trial->length &&
           memcmp(&h->ids[op->ids], &trial->log[op->from - 1], op->count * sizeof h->ids[0]) == 0;
}

/* 1 if some order of the others completes the one so far; trial->log is then the log. */
static int try_orders(struct trial *trial)
{
    const struct history *h = trial->history;
    uint64_t first_end = MOMENT_NEVER;
    for (size_t i = 0; i < h->count; i++) {
        if (!trial->is_ordered[i] && h->operations[i].ended < first_end) {
            first_end = h->operations[i].ended;
        }
    }
    if (first_end == MOMENT_NEVER) {
        return 1; /* those that are left never happened */
    }
    for (size_t i = 0; i < h->count; i++) {
        const struct history_operation *op = &h->operations[i];
        int is_read = op->kind != OPERATION_APPEND;
        if (trial->is_ordered[i] || op->begun > first_end ||
            (is_read && op->ended == MOMENT_NEVER) ||
            (op->before != OPERATION_NONE && !trial->is_ordered[op->before]) ||
            !is_answered_by(trial, op)) {
            continue;
        }
        trial->is_ordered[i] = 1;
        if (!is_read) {
            trial->log[trial->length++] = op->id;
        }
        if (try_orders(trial)) {
            return 1;
        }
        trial->is_ordered[i] = 0;
        trial->length -= !is_read;
    }
    return 0;
}

/* 1 if replay accepts the history with any log at all that begins with these records. */
static int replay_accepts_any(const struct history *h, uint64_t *log, size_t length)
{
    struct errmsg err;
    if (replay_judge(h, log, length, &err) == 0) {
        return 1;
    }
    for (size_t i = 0; i < h->count; i++) {
        int is_there = h->operations[i].kind != OPERATION_APPEND;
        for (size_t k = 0; k < length; k++) {
            is_there |= log[k] == h->operations[i].id;
        }
        if (is_there) {
            continue;
        }
        log[length] = h->operations[i].id;
        if (replay_accepts_any(h, log, length + 1)) {
            return 1;
        }
    }
    return 0;
}

/* A few operations with answers that are well-formed and often right. The state of the generator is
 * a log that grows now and then by an append that is under way. */
static void draw(struct history *h, struct rng *rng)
{
    uint64_t log[SHORT_MAX] = {0};
    size_t length = 0;
    size_t appends = 0;
    size_t open[SHORT_MAX];
    size_t open_count = 0;
    size_t count = 3 + rng_below(rng, SHORT_MAX - 2);
    while (h->count < count || (open_count > 0 && rng_below(rng, 8) != 0)) {
        if (h->count < count && rng_below(rng, 2) == 0) {
            if (appends < APPENDS_MAX && rng_below(rng, 2) == 0) {
                appends++;
                open[open_count++] = history_append(h, 1, 1 + rng_below(rng, 4), 10 + h->count, 0);
            } else {
                open[open_count++] = history_read(h, 2, 0, 1 + rng_below(rng, 3), 0);
            }
        } else if (open_count > 0) {
            size_t k = rng_below(rng, open_count);
            const struct history_operation *op = &h->operations[open[k]];
            size_t error = rng_below(rng, 16) == 0; /* and now and then it is wrong by one */
            if (op->kind == OPERATION_APPEND) {
                log[length++] = op->id;
                if (rng_below(rng, 4) != 0) {
                    history_acknowledged(h, open[k], length + error);
                }
            } else {
                size_t last = length - (error && length > 0);
                size_t shown = op->from <= last ? last - (size_t)op->from + 1 : 0;
                history_answered(h, open[k], op->from, &log[op->from - 1], shown, last);
            }
            open[k] = open[--open_count];
        }
    }
    /* Ends that change places make other overlaps, and other histories that cannot be. */
    for (size_t tries = rng_below(rng, 3); tries > 0; tries--) {
        struct history_operation *a = &h->operations[rng_below(rng, h->count)];
        struct history_operation *b = &h->operations[rng_below(rng, h->count)];
        if (a->ended != MOMENT_NEVER && b->ended != MOMENT_NEVER && a->ended > b->begun &&
            b->ended > a->begun) {
            uint64_t ended = a->ended;
            a->ended = b->ended;
            b->ended = ended;
        }
    }
}

/* Proves: on short histories, both judges say what trying all orders says: the search without the
 * log, and replay with it, and with every other log that there could be. */
static void test_against_all_orders(void **state)
{
    (void)state;
    size_t good = 0;
    size_t bad = 0;
    for (uint64_t seed = 1; seed <= 20000; seed++) {
        struct rng rng;
        rng_init(&rng, seed);
        struct history h;
        history_init(&h);
        draw(&h, &rng);
        struct trial trial = {.history = &h};
        int is_good = try_orders(&trial);
        good += is_good != 0;
        bad += is_good == 0;
        struct errmsg err = {""};
        struct wing_gong_report report;
        int rc = log_object_judge(&h, 1000000, &report, &err);
        if (rc != (is_good ? 0 : ERROR_CORRUPT)) {
            fail_msg("seed %" PRIu64 ": %s, but the search says: %s", seed,
                     is_good ? "good" : "bad", rc == 0 ? "good" : err.text);
        }
        if (is_good && replay_judge(&h, trial.log, trial.length, &err) != 0) {
            fail_msg("seed %" PRIu64 ": good, but replay says: %s", seed, err.text);
        }
        uint64_t log[SHORT_MAX];
        if (!is_good && replay_accepts_any(&h, log, 0)) {
            fail_msg("seed %" PRIu64 ": bad, but replay accepts it with some log", seed);
        }
        history_close(&h);
    }
    print_message("%zu good, %zu bad\n", good, bad);
    assert_true(good > 2000 && bad > 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_register),
        cmocka_unit_test(test_register_pending),
        cmocka_unit_test(test_register_after),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_pure),
        cmocka_unit_test(test_budget_in_vain),
        cmocka_unit_test(test_against_all_orders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
