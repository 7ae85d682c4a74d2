/* The judges of what clients saw accept what a correct log answers, with any delays and losses, and
 * reject it when one thing is made wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "tests/check/log_object.h"
#include "tests/check/replay.h"

#include <inttypes.h>
#include <string.h>

#define LOG_MAX 16384

/* What each test works on; made anew for each history. */
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

static int replay(struct errmsg *err)
{
    return replay_judge(&h, agreed, agreed_count, err);
}

static int search(struct errmsg *err)
{
    return log_object_judge(&h, LOG_OBJECT_STEPS_MAX, NULL, err);
}

/* ---- histories of a correct log */

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
        TEST(test_random_good),
        TEST(test_long),
        TEST(test_random_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
