/* What all oracles share, and the two that only look: `connected` and `static`. Who is fit, who
 * ranks above whom, who serves stays, and the barred are never named. */
#include "proposer/oracle/oracle.h"
#include "proposer/oracle/sentence.h"
#include "tests/unit/core_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct members members;
    struct settings settings;
    struct oracle_view view;
    struct oracle oracle;
    struct effects fx;
};

/* Proposers 1, 2 and 3, all fit; nobody leads. */
static void begin(struct fixture *f, enum oracle_kind kind)
{
    memset(f, 0, sizeof *f);
    f->members = kit_members(3, 3, 1);
    settings_init(&f->settings);
    f->settings.kind = kind;
    f->view = (struct oracle_view){.now = 1000,
                                   .self = 1,
                                   .heartbeat_ms = 50,
                                   .election_ms = 500,
                                   .members = &f->members,
                                   .settings = &f->settings,
                                   .is_open = 1,
                                   .candidate_count = 3};
    for (size_t i = 0; i < 3; i++) {
        f->view.candidates[i] =
            (struct oracle_candidate){.id = (node_id_t)i + 1, .is_alive = 1, .reaches_quorum = 1};
    }
    effects_init(&f->fx);
    oracle_begin(&f->oracle, &f->view, 1, &f->fx);
}

static void end(struct fixture *f)
{
    oracle_close(&f->oracle);
    effects_close(&f->fx);
}

/* As the proposer does it before each call. */
static node_id_t names(struct fixture *f)
{
    for (size_t i = 0; i < 3; i++) {
        struct oracle_candidate *candidate = &f->view.candidates[i];
        candidate->weight = settings_weight(&f->settings, candidate->id);
        candidate->is_barred = settings_bar(&f->settings, candidate->id);
    }
    return oracle_names(&f->oracle, &f->view);
}

static void assert_explained(struct fixture *f, const char *part)
{
    char text[401];
    oracle_explain(&f->oracle, &f->view, text, sizeof text);
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", part, text);
    }
}

static struct candidate_settings *rank(struct fixture *f, node_id_t id, uint32_t priority)
{
    size_t i = f->settings.candidate_count++;
    f->settings.candidates[i] = (struct candidate_settings){.id = id, .priority = priority};
    return &f->settings.candidates[i];
}

/* The rules that hold whatever the kind, once nothing but ranks tells candidates apart. */
static void check_rules(enum oracle_kind kind)
{
    struct fixture fixture;
    struct fixture *f = &fixture;
    begin(f, kind);
    assert_int_equal(names(f), 3); /* a tie: the higher id */
    rank(f, 1, 4);
    rank(f, 2, 9);
    assert_int_equal(names(f), 2); /* priority above id */
    struct candidate_settings *third = rank(f, 3, 0);
    memcpy(third->zone, "north", 6);
    memcpy(f->settings.zone, "north", 6);
    assert_int_equal(names(f), 3); /* the zone above priority */
    f->view.leader = 1;
    assert_int_equal(names(f), 1); /* who serves stays, whoever ranks higher */
    assert_explained(f, "proposer 1 serves a quorum, and stays");
    f->view.leader = 0;
    third->is_barred = 1;
    assert_int_equal(names(f), 2);
    f->view.candidates[1].is_alive = 0;
    assert_int_equal(names(f), 1);
    f->view.candidates[1].is_alive = 1;
    f->view.candidates[1].reaches_quorum = 0;
    assert_int_equal(names(f), 1);
    f->view.candidates[0].reaches_quorum = 0;
    assert_int_equal(names(f), 0); /* nobody is better than one that cannot */
    assert_explained(f, "no proposer is alive, reaches a quorum and may lead");
    f->view.leader = 3;
    assert_int_equal(names(f), 0); /* a barred leader is not named, although it serves */
    end(f);
}

static void test_connected_goes_by_rank(void **state)
{
    (void)state;
    check_rules(ORACLE_CONNECTED);
}

/* Without an order it is `connected`. */
static void test_static_without_order_goes_by_rank(void **state)
{
    (void)state;
    check_rules(ORACLE_STATIC);
}

/* The order stands above zone and priority; who is not in it comes after all of it. */
static void test_static_goes_by_order(void **state)
{
    (void)state;
    struct fixture fixture;
    struct fixture *f = &fixture;
    begin(f, ORACLE_STATIC);
    f->settings.order_count = 2;
    f->settings.order[0] = 2;
    f->settings.order[1] = 1;
    rank(f, 1, 4);
    rank(f, 3, 9);
    assert_int_equal(names(f), 2);
    assert_explained(f, "proposer 2 is the first in the fixed order");
    f->view.candidates[1].is_alive = 0;
    assert_int_equal(names(f), 1);
    f->settings.candidates[0].is_barred = 1;
    assert_int_equal(names(f), 3);
    f->view.candidates[1].is_alive = 1;
    f->view.leader = 3;
    assert_int_equal(names(f), 3); /* who serves stays, though it is in no order */
    assert_explained(f, "proposer 3 serves a quorum, and stays");
    f->view.leader = 0;
    f->settings.order[0] = 77; /* no member */
    f->settings.order[1] = 2;
    assert_int_equal(names(f), 2);
    end(f);
}

/* Every kind has a class that says so, an explanation that is not empty, and names nobody that is
 * barred or a stranger. */
static void test_every_kind(void **state)
{
    (void)state;
    for (enum oracle_kind kind = ORACLE_CONNECTED; kind < ORACLE_KIND_END; kind++) {
        struct fixture f;
        char text[401] = "";
        begin(&f, kind);
        assert_int_equal(f.oracle.class->kind, kind);
        oracle_explain(&f.oracle, &f.view, text, sizeof text);
        assert_true(strlen(text) > 10);
        oracle_explain(&f.oracle, &f.view, text, 8); /* and it keeps to the size */
        assert_true(strlen(text) < 8);
        f.view.leader = 77;
        assert_int_equal(oracle_names(&f.oracle, &f.view), 0);
        f.view.leader = 2;
        assert_int_equal(oracle_names(&f.oracle, &f.view), 2);
        f.view.candidates[1].is_barred = 1;
        assert_int_equal(oracle_names(&f.oracle, &f.view), 0);
        end(&f);
    }
}

static void test_sentence(void **state)
{
    (void)state;
    static const node_id_t ids[] = {1, 20, 300};
    char text[16];
    for (size_t count = 0; count <= 3; count++) {
        static const char *const expected[] = {"", "1", "1 and 20", "1, 20 and 300"};
        struct sentence sentence = sentence_begin(text, sizeof text);
        sentence_add_ids(&sentence, ids, count);
        assert_string_equal(text, expected[count]);
    }
    struct sentence sentence = sentence_begin(text, sizeof text);
    sentence_add(&sentence, "%s %d ", "twelve", 12);
    sentence_add(&sentence, "and more than there is room for");
    assert_string_equal(text, "twelve 12 and m");
    sentence_add(&sentence, "more");
    assert_string_equal(text, "twelve 12 and m");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connected_goes_by_rank),
        cmocka_unit_test(test_static_without_order_goes_by_rank),
        cmocka_unit_test(test_static_goes_by_order),
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
