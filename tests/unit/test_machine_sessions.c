/* Openings of sessions: each has an identity of its own, by the number that its client gave it. One
 * that comes again has the answer that it had, also after a restart or when the log is learnt
 * again; another one has a session of its own, or continues the one that it names. */
#include "common/base/bytes.h"
#include "tests/unit/machine_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CLIENT 200
#define OTHER 300
#define TTL_MS 1000

/* Opens in a slot of its own. Returns the id that it was answered with. */
static uint64_t open_session(struct machine_kit *kit, uint64_t client, uint64_t opening,
                             uint64_t continues)
{
    uint8_t bytes[OPEN_BLOCK_BYTES];
    block_put_open(bytes, client, opening, TTL_MS, continues);
    machine_kit_apply(kit, slice_borrow(bytes, sizeof bytes));
    assert_int_equal(kit->outcome_count, 1);
    assert_int_equal(kit->status, RESULT_OK);
    assert_int_not_equal(kit->value, 0);
    return kit->value;
}

/* Appends one record in a slot of its own. */
static enum result_status append(struct machine_kit *kit, uint64_t session, uint64_t client,
                                 uint64_t sequence)
{
    uint8_t bytes[BLOCK_HEAD_BYTES + COMMAND_HEAD_BYTES];
    struct block block = {.session = session, .client = client, .first_seq = sequence, .count = 1};
    block_put_head(bytes, &block, COMMAND_HEAD_BYTES);
    command_put_head(bytes + BLOCK_HEAD_BYTES, COMMAND_APPEND, 0);
    machine_kit_apply(kit, slice_borrow(bytes, sizeof bytes));
    return kit->status;
}

/* Beside the kit's own. */
static uint64_t session_count(const struct machine_kit *kit)
{
    return machine_session_count(kit->machine) - 1;
}

static void test_opening_again_gives_the_same_session(void **state)
{
    struct machine_kit *kit = *state;
    uint64_t session = open_session(kit, CLIENT, 1, 0);
    assert_int_equal(append(kit, session, CLIENT, 1), RESULT_OK);
    assert_int_equal(open_session(kit, CLIENT, 1, 0), session);
    assert_int_equal(session_count(kit), 1);
    assert_int_equal(append(kit, session, CLIENT, 2), RESULT_OK);
    machine_kit_restart(kit);
    assert_int_equal(open_session(kit, CLIENT, 1, 0), session);
    assert_int_equal(session_count(kit), 1);
}

/* That it comes again is no sign of life: it may be a copy that was seconds on its way. */
static void test_opening_again_does_not_renew(void **state)
{
    struct machine_kit *kit = *state;
    uint64_t session = open_session(kit, CLIENT, 1, 0);
    kit->now_ms = TTL_MS;
    assert_int_equal(open_session(kit, CLIENT, 1, 0), session);
    machine_kit_tick(kit, TTL_MS + 1);
    assert_int_equal(session_count(kit), 0);
}

/* Numbers need not rise: what arrives late is another opening all the same. */
static void test_another_opening_has_a_session_of_its_own(void **state)
{
    struct machine_kit *kit = *state;
    uint64_t second = open_session(kit, CLIENT, 2, 0);
    uint64_t first = open_session(kit, CLIENT, 1, 0);
    uint64_t last = open_session(kit, CLIENT, UINT64_MAX, 0);
    uint64_t other = open_session(kit, OTHER, 2, 0);
    assert_int_equal(session_count(kit), 4);
    assert_true(second < first && first < last && last < other);
    assert_int_equal(append(kit, first, CLIENT, 1), RESULT_OK);
    assert_int_equal(append(kit, second, CLIENT, 1), RESULT_OK);
    assert_int_equal(append(kit, first, CLIENT, 2), RESULT_OK);
    assert_int_equal(open_session(kit, CLIENT, 2, 0), second);
    assert_int_equal(open_session(kit, CLIENT, 1, 0), first);
    assert_int_equal(open_session(kit, CLIENT, UINT64_MAX, 0), last);
    assert_int_equal(open_session(kit, OTHER, 2, 0), other);
}

/* Its commands, its results and its ttl stay; it is a sign of life. */
static void test_opening_continues_a_session(void **state)
{
    struct machine_kit *kit = *state;
    uint64_t session = open_session(kit, CLIENT, 1, 0);
    assert_int_equal(append(kit, session, CLIENT, 1), RESULT_OK);
    uint64_t index = kit->value;
    kit->now_ms = TTL_MS;
    assert_int_equal(open_session(kit, CLIENT, 2, session), session);
    assert_int_equal(session_count(kit), 1);
    machine_kit_tick(kit, 2 * TTL_MS);
    assert_int_equal(append(kit, session, CLIENT, 1), RESULT_OK); /* a retry */
    assert_int_equal(kit->value, index);
    assert_int_equal(append(kit, session, CLIENT, 2), RESULT_OK);
    assert_int_equal(kit->value, index + 1);
}

/* Its identity is the last opening that it answered: once more it is the same, and the one before
 * is known no more. */
static void test_continued_session_answers_its_last_opening(void **state)
{
    struct machine_kit *kit = *state;
    uint64_t session = open_session(kit, CLIENT, 1, 0);
    assert_int_equal(open_session(kit, CLIENT, 2, session), session);
    machine_kit_restart(kit);
    assert_int_equal(open_session(kit, CLIENT, 2, session), session);
    assert_int_equal(open_session(kit, CLIENT, 2, 0), session);
    assert_int_not_equal(open_session(kit, CLIENT, 1, 0), session);
    assert_int_equal(open_session(kit, CLIENT, 3, session), session);
    assert_int_equal(session_count(kit), 2);
}

static void test_sessions_are_continued_after_a_restart(void **state)
{
    struct machine_kit *kit = *state;
    uint64_t left = open_session(kit, CLIENT, 1, 0);
    uint64_t session = open_session(kit, CLIENT, 2, 0);
    machine_kit_restart(kit);
    assert_int_equal(session_count(kit), 2);
    assert_int_equal(open_session(kit, CLIENT, 3, session), session);
    assert_int_equal(open_session(kit, CLIENT, 1, 0), left);
    assert_int_equal(append(kit, session, CLIENT, 1), RESULT_OK);
}

/* What is there already wins: an opening that comes again is answered as it was, whatever it says
 * of another session now. */
static void test_opening_again_continues_nothing_else(void **state)
{
    struct machine_kit *kit = *state;
    uint64_t first = open_session(kit, CLIENT, 1, 0);
    uint64_t second = open_session(kit, CLIENT, 2, 0);
    assert_int_equal(open_session(kit, CLIENT, 1, second), first);
    assert_int_equal(open_session(kit, CLIENT, 2, 0), second);
}

/* Of another client, expired, closed, never there, a lease that is no session: a new one is opened,
 * and the named one is left alone. */
static void test_opening_that_continues_nothing_opens_a_session(void **state)
{
    struct machine_kit *kit = *state;
    uint64_t lease = machine_kit_grant(kit, 0, 50 * TTL_MS, 0);
    uint64_t foreign = open_session(kit, OTHER, 1, 0);
    uint64_t first = open_session(kit, CLIENT, 1, foreign);
    assert_int_not_equal(first, foreign);
    assert_int_equal(open_session(kit, OTHER, 1, 0), foreign);
    uint64_t second = open_session(kit, CLIENT, 2, lease);
    assert_true(second > first);
    uint64_t third = open_session(kit, CLIENT, 3, 12345678);
    assert_int_equal(third, second + 1);
    machine_kit_tick(kit, 2 * TTL_MS);
    assert_int_equal(session_count(kit), 1); /* the lease */
    assert_int_equal(open_session(kit, CLIENT, 4, third), third + 1);
    assert_int_equal(machine_kit_revoke(kit, third + 1), RESULT_OK);
    assert_int_equal(open_session(kit, CLIENT, 5, third + 1), third + 2);
    assert_int_equal(append(kit, third + 2, CLIENT, 1), RESULT_OK);
}

/* An opening whose session has ended may come again: it is answered with a new one, no dead one. */
static void test_opening_of_an_ended_session_opens_another(void **state)
{
    struct machine_kit *kit = *state;
    uint64_t session = open_session(kit, CLIENT, 1, 0);
    machine_kit_tick(kit, TTL_MS + 1);
    uint64_t next = open_session(kit, CLIENT, 1, 0);
    assert_true(next > session);
    assert_int_equal(append(kit, next, CLIENT, 1), RESULT_OK);
}

#define SLOTS 60

/* Some openings, most of which come more than once; the ids that they are answered with. */
static void apply_openings(struct machine_kit *kit, int restarts, uint64_t *answers)
{
    for (uint64_t i = 0; i < SLOTS; i++) {
        uint64_t client = i % 4 == 0 ? OTHER : CLIENT;
        uint64_t continues = i > 10 && i % 3 == 0 ? answers[i - 10] : 0;
        kit->now_ms += i % 7 == 0 ? TTL_MS / 2 : 0;
        answers[i] = open_session(kit, client, 1 + i * i % 13, continues);
        if (restarts && i % 5 == 0) {
            machine_kit_restart(kit);
        }
    }
}

/* Whoever learns the log again answers every opening as it was answered the first time, and comes
 * to the same state; where learners restart on the way does not matter. */
static void test_log_learnt_again_gives_the_same_answers(void **state)
{
    struct machine_kit *kit = *state;
    struct machine_kit again;
    uint64_t answers[SLOTS];
    uint64_t answers_again[SLOTS];
    apply_openings(kit, 0, answers);
    machine_kit_open(&again);
    apply_openings(&again, 1, answers_again);
    assert_memory_equal(answers, answers_again, sizeof answers);
    assert_true(machine_digest(kit->machine) == machine_digest(again.machine));
    assert_true(answers[SLOTS - 1] > 10 && session_count(kit) > 2);
    machine_kit_close(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_opening_again_gives_the_same_session,
                                        machine_kit_setup, machine_kit_teardown),
        cmocka_unit_test_setup_teardown(test_opening_again_does_not_renew, machine_kit_setup,
                                        machine_kit_teardown),
        cmocka_unit_test_setup_teardown(test_another_opening_has_a_session_of_its_own,
                                        machine_kit_setup, machine_kit_teardown),
        cmocka_unit_test_setup_teardown(test_opening_continues_a_session, machine_kit_setup,
                                        machine_kit_teardown),
        cmocka_unit_test_setup_teardown(test_continued_session_answers_its_last_opening,
                                        machine_kit_setup, machine_kit_teardown),
        cmocka_unit_test_setup_teardown(test_sessions_are_continued_after_a_restart,
                                        machine_kit_setup, machine_kit_teardown),
        cmocka_unit_test_setup_teardown(test_opening_again_continues_nothing_else,
                                        machine_kit_setup, machine_kit_teardown),
        cmocka_unit_test_setup_teardown(test_opening_that_continues_nothing_opens_a_session,
                                        machine_kit_setup, machine_kit_teardown),
        cmocka_unit_test_setup_teardown(test_opening_of_an_ended_session_opens_another,
                                        machine_kit_setup, machine_kit_teardown),
        cmocka_unit_test_setup_teardown(test_log_learnt_again_gives_the_same_answers,
                                        machine_kit_setup, machine_kit_teardown),
    };
    return cmocka_run_group_tests_name("machine_sessions", tests, NULL, NULL);
}
