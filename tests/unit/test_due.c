/* What learners tell the leader: only learners are heard, late words change nothing, digests go
 * on to all, and a stamp is wanted exactly when it would pass what is due. */
#include "common/protocol/due.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct due dues[MEMBERS_MAX];
static struct members members;
static struct effects fx;

static int setup(void **state)
{
    (void)state;
    dues[0] = dues[1] = (struct due){0};
    members = (struct members){.learner_count = 2, .learners = {4, 9}};
    effects_init(&fx);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    effects_close(&fx);
    return 0;
}

static void progress(enum role role, node_id_t id, slot_t applied, uint64_t due_ms, int is_leading)
{
    struct message msg = {.kind = MSG_PROGRESS, .from = {.role = role, .id = id}};
    msg.progress.applied = applied;
    msg.progress.due_ms = due_ms;
    msg.progress.digest = 77;
    due_on_progress(dues, &members, &msg, is_leading, &fx);
}

static int wants_stamp(uint64_t stamped_ms, uint64_t stamp_ms)
{
    return due_wants_stamp(dues, &members, stamped_ms, stamp_ms, 1000, 500, &fx);
}

/* A proposer with a learner's number, or a learner that is no member, says nothing that counts. */
static void test_only_learners_count(void **state)
{
    (void)state;
    progress(ROLE_PROPOSER, 9, 5, 100, 1);
    progress(ROLE_ACCEPTOR, 4, 5, 100, 1);
    progress(ROLE_LEARNER, 5, 5, 100, 1);
    assert_int_equal(dues[0].at_ms, 0);
    assert_int_equal(dues[1].at_ms, 0);
    assert_int_equal(fx.send_count, 0);
    progress(ROLE_LEARNER, 9, 5, 100, 0);
    assert_int_equal(dues[1].at_ms, 100);
}

/* Something said at an earlier slot comes late; at the same slot the newer word counts. */
static void test_late_words(void **state)
{
    (void)state;
    progress(ROLE_LEARNER, 4, 5, 100, 0);
    progress(ROLE_LEARNER, 4, 4, 50, 0);
    assert_int_equal(dues[0].at_ms, 100);
    progress(ROLE_LEARNER, 4, 5, 0, 0);
    assert_int_equal(dues[0].at_ms, 0);
}

/* A leader passes digests on to all learners, of slots only, and nobody else does. */
static void test_digests_go_on(void **state)
{
    (void)state;
    progress(ROLE_LEARNER, 4, 5, 0, 0);
    progress(ROLE_LEARNER, 4, 0, 0, 1);
    assert_int_equal(fx.send_count, 0);
    progress(ROLE_LEARNER, 4, 6, 0, 1);
    assert_int_equal(fx.send_count, 1);
    assert_int_equal(fx.sends[0].msg.kind, MSG_DIGEST);
    assert_int_equal(fx.sends[0].msg.digest.learner, 4);
    assert_int_equal(fx.sends[0].msg.digest.slot, 6);
    assert_int_equal(fx.sends[0].msg.digest.digest, 77);
}

/* The earliest that no stamp has passed counts: wanted after its time, not at it. */
static void test_stamp_is_wanted(void **state)
{
    (void)state;
    assert_false(wants_stamp(0, 1000000)); /* nothing is due */
    progress(ROLE_LEARNER, 4, 5, 300, 0);
    progress(ROLE_LEARNER, 9, 5, 200, 0);
    assert_false(wants_stamp(100, 200));
    assert_true(wants_stamp(100, 201));
    assert_true(wants_stamp(200, 201));  /* a stamp at it has not passed it */
    assert_false(wants_stamp(201, 202)); /* proposed already: the learners will say so */
    assert_true(wants_stamp(201, 301));
}

/* It is woken when the stamp would pass, if that is soon; later a heartbeat comes by itself. */
static void test_wakes(void **state)
{
    (void)state;
    progress(ROLE_LEARNER, 4, 5, 2000, 0);
    assert_false(wants_stamp(0, 1500));
    assert_int_equal(fx.wake_at, TIME_NEVER);
    assert_false(wants_stamp(0, 1501));
    assert_int_equal(fx.wake_at, 1500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_only_learners_count, setup, teardown),
        cmocka_unit_test_setup_teardown(test_late_words, setup, teardown),
        cmocka_unit_test_setup_teardown(test_digests_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stamp_is_wanted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wakes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
