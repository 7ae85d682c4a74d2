/* The client's word for who should lead: every proposer that can be reached is told, answers are
 * counted, and what nobody goes by is a failure with a sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/client_kit.h"

#include <string.h>

/* What the proposer of that index was told last. */
static struct msg_name told(size_t index)
{
    fake_lock(&fake);
    struct msg_name name = fake.nodes[index].name;
    fake_unlock(&fake);
    return name;
}

/* Proves: every proposer is told the word and for how long, and the answers are summed up. */
static void test_all_are_told(void **state)
{
    (void)state;
    struct synod *s = start(3, 1);
    struct synod_named named = {0};
    fake_lead(&fake, 2);
    assert_ok(s, synod_oracle_name(s, 3, 9000, &named));
    assert_int_equal(named.told, 3);
    assert_int_equal(named.taken, 3);
    assert_int_equal(named.missing, 0);
    assert_int_equal(named.leader, 2);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(told(i).proposer, 3);
        assert_in_range(told(i).valid_ms, 1000, 9000);
    }
    assert_ok(s, synod_oracle_name(s, 0, 0, NULL));
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(told(i).proposer, 0);
        SCRIPT(nodes[i].name_count, 0);
    }
    assert_ok(s, synod_oracle_name(s, 1, 9000, NULL));
    for (size_t i = 0; i < 3; i++) {
        fake_lock(&fake);
        assert_int_equal(fake.nodes[i].name_count, 1);
        fake_unlock(&fake);
    }
    stop(s);
}

/* Proves: a call ends with the last answer. */
static void test_no_waiting(void **state)
{
    (void)state;
    struct synod *s = start(3, 1);
    int64_t before = now_ms();
    for (int i = 0; i < 20; i++) {
        assert_ok(s, synod_oracle_name(s, 3, 9000, NULL));
    }
    assert_true(now_ms() - before < 5000);
    stop(s);
}

/* Proves: one that is down, and one that says nothing, hold the call up for a moment only, and are
 * counted as missing. */
static void test_some_are_missing(void **state)
{
    (void)state;
    struct synod *s = start(3, 1);
    struct synod_named named = {0};
    fake_down(&fake, 0, 1);
    int64_t before = now_ms();
    assert_ok(s, synod_oracle_name(s, 1, 9000, &named));
    assert_int_equal(named.taken, 2);
    assert_int_equal(named.missing, 1);
    SCRIPT(nodes[1].is_name_ignored, 1);
    assert_ok(s, synod_oracle_name(s, 1, 9000, &named));
    assert_int_equal(named.told, 1);
    assert_int_equal(named.missing, 2);
    assert_true(now_ms() - before < DEADLINE_MS / 2);
    fake_down(&fake, 0, 0);
    SCRIPT(nodes[1].is_name_ignored, 0);
    for (int64_t end = now_ms() + DEADLINE_MS; named.taken < 3 && now_ms() < end;) {
        assert_ok(s, synod_oracle_name(s, 1, 9000, &named));
        assert_int_equal(synod_poll(s, 20), SYNOD_OK);
    }
    assert_int_equal(named.taken, 3);
    stop(s);
}

/* Proves: one that answers late to an earlier word is not counted for this one. */
static void test_late_answer(void **state)
{
    (void)state;
    struct synod *s = start(2, 1);
    struct synod_named named = {0};
    SCRIPT(nodes[1].is_name_late, 1);
    assert_ok(s, synod_oracle_name(s, 2, 9000, &named));
    assert_int_equal(named.told, 1);
    assert_int_equal(named.missing, 1);
    assert_int_equal(told(1).proposer, 2);
    stop(s);
}

/* Proves: if the oracle is of another kind everywhere that is an error, and none if it is about to
 * be changed; so is a proposer that the others do not know. */
static void test_not_taken(void **state)
{
    (void)state;
    struct synod *s = start(2, 1);
    struct synod_named named = {0};
    SCRIPT(nodes[0].name_status, NAME_NOT_ASKED);
    assert_ok(s, synod_oracle_name(s, 1, 9000, &named));
    assert_int_equal(named.taken, 1);
    SCRIPT(nodes[1].name_status, NAME_NOT_ASKED);
    assert_refused(s, synod_oracle_name(s, 1, 9000, &named), SYNOD_E_USAGE, "oracle set external");
    assert_int_equal(named.told, 2);
    assert_int_equal(named.taken, 0);
    SCRIPT(nodes[0].name_status, NAME_UNKNOWN);
    SCRIPT(nodes[1].name_status, NAME_UNKNOWN);
    assert_refused(s, synod_oracle_name(s, 1, 9000, &named), SYNOD_E_USAGE, "do not know");
    stop(s);
}

static void name_in_callback(void *arg, int code, uint64_t index)
{
    (void)code;
    (void)index;
    struct synod **s = arg;
    assert_int_equal(synod_oracle_name(*s, 1, 9000, NULL), SYNOD_E_USAGE);
    *s = NULL;
}

/* Proves: what is no word is refused before anybody is told, and nobody there is "unavailable". */
static void test_refusals(void **state)
{
    (void)state;
    fake_start(&fake, 2, 1);
    struct synod *s = open_client((struct synod_options){.timeout_ms = 700});
    struct synod_named named = {0};
    assert_refused(s, synod_oracle_name(s, 3, 9000, &named), SYNOD_E_USAGE, "no proposer 3");
    assert_refused(s, synod_oracle_name(s, 1, SYNOD_NAME_VALID_MS_MAX + 1, &named), SYNOD_E_USAGE,
                   "3600000");
    struct synod *in_callback = s; /* NULL when it was called */
    assert_non_null(s);
    assert_ok(s, synod_append_async(s, "x", 1, 0, name_in_callback, &in_callback));
    for (int64_t end = now_ms() + DEADLINE_MS; in_callback != NULL && now_ms() < end;) {
        assert_ok(s, synod_poll(s, 20));
    }
    assert_null(in_callback);
    fake_lock(&fake);
    assert_int_equal(fake.nodes[0].name_count + fake.nodes[1].name_count, 0);
    fake_unlock(&fake);
    fake_down(&fake, 0, 1);
    fake_down(&fake, 1, 1);
    assert_refused(s, synod_oracle_name(s, 1, 9000, &named), SYNOD_E_UNAVAILABLE, "no proposer");
    assert_int_equal(named.missing, 2);
    stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_all_are_told, clean_up),
        cmocka_unit_test_teardown(test_no_waiting, clean_up),
        cmocka_unit_test_teardown(test_some_are_missing, clean_up),
        cmocka_unit_test_teardown(test_late_answer, clean_up),
        cmocka_unit_test_teardown(test_not_taken, clean_up),
        cmocka_unit_test_teardown(test_refusals, clean_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
