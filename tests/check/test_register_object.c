/* Histories of one key that some order explains are accepted, and those that none explains are
 * refused: each kind of wrong answer by hand, and short random ones against trying all orders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "tests/check/register_object.h"

#include <inttypes.h>
#include <string.h>

enum { OPERATIONS_MAX = 16 };

/* Operations as they are told; ids are positions from 1. */
struct tale {
    struct register_operation operations[OPERATIONS_MAX];
    size_t count;
    uint64_t moment;
};

static size_t begin(struct tale *tale, enum register_kind kind)
{
    tale->operations[tale->count] = (struct register_operation){.kind = kind,
                                                                .id = tale->count + 1,
                                                                .begun = ++tale->moment,
                                                                .ended = MOMENT_NEVER,
                                                                .before = OPERATION_NONE};
    return tale->count++;
}

static struct register_operation *end(struct tale *tale, size_t operation, int is_done,
                                      uint64_t revision)
{
    struct register_operation *op = &tale->operations[operation];
    op->ended = ++tale->moment;
    op->is_done = is_done;
    op->revision = revision;
    return op;
}

static size_t put(struct tale *tale, uint64_t revision)
{
    size_t operation = begin(tale, REGISTER_PUT);
    end(tale, operation, 1, revision);
    return operation;
}

static void find(struct tale *tale, size_t operation, size_t writer, uint64_t mod, uint64_t version)
{
    struct register_operation *op = &tale->operations[operation];
    op->has_found = 1;
    op->found = (struct register_value){0};
    if (writer != OPERATION_NONE) {
        op->found = (struct register_value){writer + 1, mod, version};
    }
}

/* Ends a get that finds what the operation `writer` wrote. */
static void end_get(struct tale *tale, size_t operation, size_t writer, uint64_t mod,
                    uint64_t version, uint64_t revision)
{
    end(tale, operation, 0, revision);
    find(tale, operation, writer, mod, version);
}

static void get(struct tale *tale, size_t writer, uint64_t mod, uint64_t version, uint64_t revision)
{
    end_get(tale, begin(tale, REGISTER_GET), writer, mod, version, revision);
}

static size_t begin_compare(struct tale *tale, size_t expected)
{
    size_t operation = begin(tale, REGISTER_COMPARE_AND_SET);
    tale->operations[operation].expected = expected == OPERATION_NONE ? 0 : expected + 1;
    return operation;
}

static size_t compare(struct tale *tale, size_t expected, int is_done, uint64_t revision)
{
    size_t operation = begin_compare(tale, expected);
    end(tale, operation, is_done, revision);
    return operation;
}

static int judge(const struct tale *tale)
{
    struct errmsg err;
    return register_object_judge(tale->operations, tale->count, 100000, NULL, &err);
}

static void assert_refused(const struct tale *tale, size_t stuck)
{
    struct errmsg err;
    struct wing_gong_report report;
    assert_int_equal(register_object_judge(tale->operations, tale->count, 100000, &report, &err),
                     ERROR_CORRUPT);
    assert_true(report.stuck == stuck);
}

/* Proves: puts, gets, deletes and comparisons, one after the other, with what they find. */
static void test_in_turn(void **state)
{
    (void)state;
    struct tale tale = {.count = 0};
    assert_int_equal(judge(&tale), 0);
    get(&tale, OPERATION_NONE, 0, 0, 1);
    size_t first = put(&tale, 2);
    find(&tale, first, OPERATION_NONE, 0, 0);
    get(&tale, first, 2, 1, 2);
    size_t second = compare(&tale, first, 1, 5);
    find(&tale, compare(&tale, first, 0, 6), second, 5, 2);
    size_t third = put(&tale, 7);
    find(&tale, third, second, 5, 2);
    size_t gone = begin(&tale, REGISTER_DELETE);
    end(&tale, gone, 1, 8);
    find(&tale, gone, third, 7, 3);
    end(&tale, begin(&tale, REGISTER_DELETE), 0, 8);
    size_t last = compare(&tale, OPERATION_NONE, 1, 9);
    get(&tale, last, 9, 1, 20);
    assert_int_equal(judge(&tale), 0);
}

/* Proves: a get is not answered from before a put that had ended, whatever revision it names. */
static void test_stale_get(void **state)
{
    (void)state;
    for (uint64_t revision = 2; revision <= 3; revision++) {
        struct tale tale = {.count = 0};
        size_t first = put(&tale, 2);
        (void)put(&tale, 3);
        get(&tale, first, 2, 1, revision);
        assert_refused(&tale, 2);
    }
}

/* Proves: two gets beside a put may see it in the order old, new; never new, old. */
static void test_new_then_old(void **state)
{
    (void)state;
    for (int is_bad = 0; is_bad <= 1; is_bad++) {
        struct tale tale = {.count = 0};
        size_t old = put(&tale, 2);
        size_t new = begin(&tale, REGISTER_PUT);
        if (is_bad) {
            get(&tale, new, 3, 2, 3);
            get(&tale, old, 2, 1, 2);
        } else {
            get(&tale, old, 2, 1, 2);
            get(&tale, new, 3, 2, 3);
        }
        end(&tale, new, 1, 3);
        assert_int_equal(judge(&tale), is_bad ? ERROR_CORRUPT : 0);
    }
}

/* Proves: what was put and never shown is missed by the next one's version. */
static void test_lost_put(void **state)
{
    (void)state;
    struct tale tale = {.count = 0};
    (void)put(&tale, 2);
    size_t second = put(&tale, 3);
    get(&tale, second, 3, 1, 3);
    assert_refused(&tale, 2);
}

/* Proves: a put that was executed twice is seen by its version, and by its revision. */
static void test_put_twice(void **state)
{
    (void)state;
    struct tale tale = {.count = 0};
    size_t first = put(&tale, 2);
    get(&tale, first, 2, 2, 3);
    assert_refused(&tale, 1);
    tale = (struct tale){.count = 0};
    first = put(&tale, 2);
    get(&tale, first, 3, 1, 3);
    assert_refused(&tale, OPERATION_NONE);
}

/* Proves: of two comparisons with the same value one finds it. */
static void test_compare_twice(void **state)
{
    (void)state;
    for (int is_bad = 0; is_bad <= 1; is_bad++) {
        struct tale tale = {.count = 0};
        size_t first = put(&tale, 2);
        size_t a = begin_compare(&tale, first);
        size_t b = begin_compare(&tale, first);
        end(&tale, a, 1, 3);
        end(&tale, b, is_bad, is_bad ? 4 : 3);
        assert_int_equal(judge(&tale), is_bad ? ERROR_CORRUPT : 0);
    }
}

/* Proves: a comparison that must have found its value does not fail. */
static void test_compare_in_vain(void **state)
{
    (void)state;
    struct tale tale = {.count = 0};
    size_t first = put(&tale, 2);
    (void)compare(&tale, first, 0, 2);
    assert_refused(&tale, 1);
}

/* Proves: a delete finds what is there, and leaves nothing. */
static void test_delete(void **state)
{
    (void)state;
    struct tale tale = {.count = 0};
    size_t first = put(&tale, 2);
    end(&tale, begin(&tale, REGISTER_DELETE), 0, 2);
    assert_refused(&tale, 1);
    tale.count = 1;
    end(&tale, begin(&tale, REGISTER_DELETE), 1, 3);
    assert_int_equal(judge(&tale), 0);
    get(&tale, first, 2, 1, 3);
    assert_refused(&tale, 2);
    tale.count = 2;
    end(&tale, begin(&tale, REGISTER_DELETE), 1, 4);
    assert_refused(&tale, 2);
}

/* Proves: a write that never ended may take effect long after, once; or never. */
static void test_open(void **state)
{
    (void)state;
    struct tale tale = {.count = 0};
    size_t open = begin(&tale, REGISTER_PUT);
    (void)begin(&tale, REGISTER_DELETE);
    size_t first = put(&tale, 2);
    get(&tale, first, 2, 1, 2);
    assert_int_equal(judge(&tale), 0);
    get(&tale, open, 3, 2, 3);
    get(&tale, OPERATION_NONE, 0, 0, 4);
    assert_int_equal(judge(&tale), 0);
    size_t last = put(&tale, 5);
    get(&tale, last, 5, 1, 6);
    assert_int_equal(judge(&tale), 0);
    end(&tale, begin(&tale, REGISTER_DELETE), 1, 7);
    get(&tale, open, 3, 1, 8);
    assert_refused(&tale, tale.count - 1);
}

/* Proves: puts without an end explain a version, as many as there were. */
static void test_open_versions(void **state)
{
    (void)state;
    for (uint64_t version = 1; version <= 5; version++) {
        struct tale tale = {.count = 0};
        size_t first = put(&tale, 2);
        (void)begin(&tale, REGISTER_PUT);
        (void)begin(&tale, REGISTER_PUT);
        (void)begin_compare(&tale, first);
        size_t last = put(&tale, 9);
        get(&tale, last, 9, version, 9);
        assert_int_equal(judge(&tale), version >= 2 ? 0 : ERROR_CORRUPT);
        get(&tale, last, 9, version + 1, 9);
        assert_refused(&tale, version >= 2 ? 5 + 1 : 5);
    }
}

/* Proves: a session's operations keep their order, also those whose answers are lost; one that
 * found nothing to change holds nobody up. */
static void test_session(void **state)
{
    (void)state;
    for (int is_ordered = 0; is_ordered <= 1; is_ordered++) {
        struct tale tale = {.count = 0};
        size_t open = begin(&tale, REGISTER_PUT);
        size_t second = begin(&tale, REGISTER_PUT);
        tale.operations[second].before = is_ordered ? open : OPERATION_NONE;
        end(&tale, second, 1, 3);
        get(&tale, second, 3, 1, 3);
        assert_int_equal(judge(&tale), is_ordered ? ERROR_CORRUPT : 0);
    }
    struct tale tale = {.count = 0};
    size_t first = put(&tale, 2);
    size_t vain = begin_compare(&tale, OPERATION_NONE);
    size_t asked = begin(&tale, REGISTER_GET);
    size_t last = put(&tale, 3);
    tale.operations[vain].before = first;
    tale.operations[asked].before = vain;
    tale.operations[last].before = asked;
    get(&tale, last, 3, 2, 3);
    assert_int_equal(judge(&tale), 0);
}

/* Proves: nobody is shown what nobody wrote, what was not written, or what is yet to be sent; and
 * two writes have two revisions. */
static void test_facts(void **state)
{
    (void)state;
    struct tale tale = {.count = 0};
    size_t first = put(&tale, 2);
    get(&tale, 7, 2, 1, 2);
    assert_int_equal(judge(&tale), ERROR_CORRUPT);
    tale.count = 1;
    size_t vain = compare(&tale, OPERATION_NONE, 0, 2);
    assert_int_equal(judge(&tale), 0);
    get(&tale, vain, 3, 2, 3);
    assert_int_equal(judge(&tale), ERROR_CORRUPT);
    tale.count = 1;
    get(&tale, 2, 3, 2, 3);
    (void)put(&tale, 3);
    assert_int_equal(judge(&tale), ERROR_CORRUPT);
    tale.count = 1;
    (void)put(&tale, 2);
    assert_int_equal(judge(&tale), ERROR_CORRUPT);
    tale.count = 1;
    (void)put(&tale, 1); /* began when the other one had ended */
    assert_int_equal(judge(&tale), ERROR_CORRUPT);
    (void)first;
}

/* Proves: without enough steps nothing is decided. */
static void test_budget(void **state)
{
    (void)state;
    struct tale tale = {.count = 0};
    for (int i = 0; i < 12; i++) {
        (void)begin(&tale, REGISTER_PUT);
    }
    size_t last = put(&tale, 20);
    get(&tale, last, 20, 14, 20);
    struct errmsg err;
    assert_int_equal(register_object_judge(tale.operations, tale.count, 1000, NULL, &err),
                     ERROR_BUSY);
    assert_non_null(strstr(err.text, "ran out of budget"));
}

/* ---- all orders of short histories, tried one after the other */

enum { SHORT_MAX = 7 };

struct trial {
    const struct tale *tale;
    int is_ordered[SHORT_MAX];
    uint64_t id, version;
    uint64_t revision, floor;     /* of its last change, as far as it is known; of a later read */
    uint64_t mods[SHORT_MAX + 1]; /* by id: the revision of what it wrote, 0: nobody told */
};

static int applies_to(const struct register_operation *op, uint64_t id)
{
    return op->kind == REGISTER_PUT || (op->kind == REGISTER_DELETE && id != 0) ||
           (op->kind == REGISTER_COMPARE_AND_SET && id == op->expected);
}

/* The answer is right where the operation stands. */
static int is_right(const struct trial *trial, const struct register_operation *op)
{
    int is_seen = !op->has_found || (op->found.id == trial->id &&
                                     (trial->id == 0 || (op->found.version == trial->version &&
                                                         op->found.mod == trial->mods[trial->id])));
    return is_seen && applies_to(op, trial->id) == op->is_done && op->revision >= trial->revision;
}

/* The operation can stand next, and leaves *next. */
static int stands(const struct trial *trial, const struct register_operation *op,
                  struct trial *next)
{
    int is_open = op->ended == MOMENT_NEVER;
    *next = *trial;
    if (!is_open && !is_right(trial, op)) {
        return 0;
    }
    if (!applies_to(op, trial->id)) {
        next->floor = !is_open && op->revision > trial->floor ? op->revision : trial->floor;
        return 1;
    }
    uint64_t told = is_open ? trial->mods[op->id] : op->revision;
    if (told != 0 && (told <= trial->revision || told <= trial->floor)) {
        return 0;
    }
    next->revision = told != 0 ? told : trial->revision;
    next->id = op->kind == REGISTER_DELETE ? 0 : op->id;
    next->version = op->kind == REGISTER_DELETE ? 0 : trial->version + 1;
    return 1;
}

/* 1 if some order of the others completes the one so far. */
static int try_orders(const struct trial *trial)
{
    const struct tale *tale = trial->tale;
    uint64_t first_end = MOMENT_NEVER;
    for (size_t i = 0; i < tale->count; i++) {
        if (!trial->is_ordered[i] && tale->operations[i].ended < first_end) {
            first_end = tale->operations[i].ended;
        }
    }
    if (first_end == MOMENT_NEVER) {
        return 1; /* those that are left never happened */
    }
    for (size_t i = 0; i < tale->count; i++) {
        const struct register_operation *op = &tale->operations[i];
        struct trial next;
        if (trial->is_ordered[i] || op->begun > first_end ||
            (op->before != OPERATION_NONE && !trial->is_ordered[op->before]) ||
            !stands(trial, op, &next)) {
            continue;
        }
        next.is_ordered[i] = 1;
        if (try_orders(&next)) {
            return 1;
        }
    }
    return 0;
}

/* A key as it is while a history is drawn. */
struct drawn {
    struct tale *tale;
    struct rng *rng;
    struct register_value value;
    uint64_t revision;
    size_t open[SHORT_MAX];
    size_t open_count;
};

/* The operation happens, and its client may be told. */
static void happen(struct drawn *drawn, size_t operation)
{
    struct register_operation *op = &drawn->tale->operations[operation];
    const struct register_value found = drawn->value;
    int applies = applies_to(op, found.id);
    drawn->revision += rng_below(drawn->rng, 2); /* of other keys */
    if (applies) {
        drawn->revision++;
        drawn->value = (struct register_value){0};
        if (op->kind != REGISTER_DELETE) {
            drawn->value = (struct register_value){op->id, drawn->revision, found.version + 1};
        }
    }
    if (rng_below(drawn->rng, 4) != 0) {
        end(drawn->tale, operation, applies, drawn->revision);
        op->has_found = op->kind == REGISTER_GET || rng_below(drawn->rng, 2) == 0;
        op->found = found;
    }
}

static void draw_begin(struct drawn *drawn)
{
    struct tale *tale = drawn->tale;
    enum register_kind kind = (enum register_kind)rng_below(drawn->rng, 4);
    uint64_t expected =
        rng_below(drawn->rng, 3) == 0 ? rng_below(drawn->rng, tale->count + 1) : drawn->value.id;
    uint64_t before = rng_below(drawn->rng, 2 * tale->count + 1);
    size_t operation = begin(tale, kind);
    tale->operations[operation].expected = kind == REGISTER_COMPARE_AND_SET ? expected : 0;
    tale->operations[operation].before = before < operation ? (size_t)before : OPERATION_NONE;
    drawn->open[drawn->open_count++] = operation;
}

/* And now and then something is wrong. */
static void spoil(struct drawn *drawn)
{
    struct tale *tale = drawn->tale;
    struct register_operation *a = &tale->operations[rng_below(drawn->rng, tale->count)];
    struct register_operation *b = &tale->operations[rng_below(drawn->rng, tale->count)];
    if (a->ended == MOMENT_NEVER || b->ended == MOMENT_NEVER) {
        return;
    }
    switch (rng_below(drawn->rng, 6)) {
    case 0:
        a->found = b->found;
        break;
    case 1:
        a->found.version++;
        break;
    case 2:
        a->found.mod++;
        break;
    case 3:
        a->revision++;
        break;
    case 4:
        a->is_done = a->kind != REGISTER_GET && !a->is_done;
        break;
    default:
        if (a->ended > b->begun && b->ended > a->begun) { /* other overlaps */
            uint64_t ended = a->ended;
            a->ended = b->ended;
            b->ended = ended;
        }
        break;
    }
}

static void draw(struct tale *tale, struct rng *rng)
{
    struct drawn drawn = {.tale = tale, .rng = rng, .revision = 1};
    size_t count = 3 + rng_below(rng, SHORT_MAX - 2);
    while (tale->count < count || drawn.open_count > 0) {
        if (tale->count < count && rng_below(rng, 2) == 0) {
            draw_begin(&drawn);
        } else if (drawn.open_count > 0) {
            size_t k = rng_below(rng, drawn.open_count);
            happen(&drawn, drawn.open[k]);
            drawn.open[k] = drawn.open[--drawn.open_count];
        }
    }
    if (rng_below(rng, 2) == 0) {
        spoil(&drawn);
    }
}

/* What is told of the revisions of writes without an end. */
static void note_mods(struct trial *trial)
{
    for (size_t i = 0; i < trial->tale->count; i++) {
        const struct register_operation *op = &trial->tale->operations[i];
        if (op->ended != MOMENT_NEVER && op->has_found && op->found.id != 0) {
            trial->mods[op->found.id] = op->found.mod;
        }
    }
    for (size_t i = 0; i < trial->tale->count; i++) {
        const struct register_operation *op = &trial->tale->operations[i];
        if (op->ended != MOMENT_NEVER && op->is_done) {
            trial->mods[op->id] = op->revision;
        }
    }
}

/* Proves: on short histories the judge says what trying all orders says. */
static void test_against_all_orders(void **state)
{
    (void)state;
    size_t good = 0;
    size_t bad = 0;
    for (uint64_t seed = 1; seed <= 30000; seed++) {
        struct rng rng;
        rng_init(&rng, seed);
        struct tale tale = {.count = 0};
        draw(&tale, &rng);
        struct trial trial = {.tale = &tale};
        note_mods(&trial);
        int is_good = try_orders(&trial);
        good += is_good != 0;
        bad += is_good == 0;
        struct errmsg err = {""};
        int rc = register_object_judge(tale.operations, tale.count, 1000000, NULL, &err);
        if (rc != (is_good ? 0 : ERROR_CORRUPT)) {
            fail_msg("seed %" PRIu64 ": %s, but the search says: %s", seed,
                     is_good ? "good" : "bad", rc == 0 ? "good" : err.text);
        }
    }
    print_message("%zu good, %zu bad\n", good, bad);
    assert_true(good > 3000 && bad > 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_turn),
        cmocka_unit_test(test_stale_get),
        cmocka_unit_test(test_new_then_old),
        cmocka_unit_test(test_lost_put),
        cmocka_unit_test(test_put_twice),
        cmocka_unit_test(test_compare_twice),
        cmocka_unit_test(test_compare_in_vain),
        cmocka_unit_test(test_delete),
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_open_versions),
        cmocka_unit_test(test_session),
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_against_all_orders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
