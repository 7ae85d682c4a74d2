/* Learners compare the digests of their states, and who differs from a majority ends itself and
 * says at which slot (DESIGN 7). What is due is told to the proposers. */
#include "common/protocol/value.h"
#include "learner/learner.h"
#include "tests/unit/core_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ELECTION_MS 500

struct fixture {
    struct core_kit kit;
    struct learner *learner;
};

static const struct ballot leader = {1, 1, 101};

static void begin(struct fixture *f, size_t learners)
{
    struct learner_options options = {.id = 1,
                                      .seed = 1,
                                      .members = kit_members(3, 1, learners),
                                      .heartbeat_ms = 50,
                                      .election_ms = ELECTION_MS,
                                      .reader = store_reader(f->kit.store)};
    f->learner = learner_new(&options);
    f->kit.core = learner_core(f->learner);
    kit_event(&f->kit, EVENT_START);
}

static void start(struct fixture *f, size_t learners)
{
    kit_open(&f->kit);
    begin(f, learners);
    kit_end(&f->kit);
}

static void stop(struct fixture *f)
{
    effects_clear(&f->kit.fx);
    learner_free(f->learner);
    kit_close(&f->kit);
}

/* No-ops up to that slot, each its own turn. */
static void apply_to(struct fixture *f, slot_t last)
{
    while (learner_applied(f->learner) < last) {
        slot_t slot = learner_applied(f->learner) + 1;
        struct blob *value = value_noop(slot);
        struct message msg = kit_from(ROLE_PROPOSER, 1, leader.incarnation, MSG_ACCEPT);
        msg.accept = (struct msg_accept){leader, slot, slot, slice_of(value)};
        kit_message(&f->kit, &msg);
        blob_unref(value);
        assert_int_equal(learner_applied(f->learner), slot);
        kit_flush(&f->kit);
        if (slot < last) {
            kit_end(&f->kit);
        }
    }
}

static void tell(struct fixture *f, node_id_t learner, slot_t slot, uint64_t digest)
{
    struct message msg = kit_from(ROLE_PROPOSER, 1, leader.incarnation, MSG_DIGEST);
    msg.digest = (struct msg_digest){learner, slot, digest};
    kit_message(&f->kit, &msg);
}

static uint64_t digest_of(const struct fixture *f)
{
    return learner_digest(f->learner);
}

/* Time passes, and the turn ends. */
static void pass(struct fixture *f, time_ms_t ms)
{
    kit_end(&f->kit);
    f->kit.now += ms;
    kit_event(&f->kit, EVENT_TICK);
    kit_flush(&f->kit);
}

/* It has been found to differ: it has written so, serves nobody any more, tells its digest, and
 * ends an election timeout later. */
static void assert_ends(struct fixture *f, const char *sentence)
{
    assert_int_equal(f->kit.fx.fatal, 0);
    assert_true(kit_puts(&f->kit, 'x'));
    struct message question = kit_from(ROLE_CLIENT, 9, 9, MSG_STATUS);
    kit_message(&f->kit, &question);
    assert_null(kit_sent(&f->kit, MSG_STATUS_REPLY, 0));
    kit_flush(&f->kit);
    assert_non_null(kit_sent(&f->kit, MSG_PROGRESS, 0));
    assert_true(kit_sent(&f->kit, MSG_PROGRESS, 0)->msg.progress.digest == digest_of(f));
    slot_t applied = learner_applied(f->learner);
    struct blob *value = value_noop(applied + 1);
    struct message msg = kit_from(ROLE_PROPOSER, 1, leader.incarnation, MSG_ACCEPT);
    msg.accept = (struct msg_accept){leader, applied + 1, applied + 1, slice_of(value)};
    kit_message(&f->kit, &msg);
    blob_unref(value);
    assert_int_equal(learner_applied(f->learner), applied);
    pass(f, ELECTION_MS - 1);
    assert_int_equal(f->kit.fx.fatal, 0);
    pass(f, 1);
    assert_int_equal(f->kit.fx.fatal, ERROR_CORRUPT);
    assert_non_null(strstr(f->kit.fx.fatal_text.text, sentence));
}

/* Neither has anything been found, nor would it be after a long time. */
static void assert_goes_on(struct fixture *f)
{
    assert_false(kit_puts(&f->kit, 'x'));
    pass(f, 100 * ELECTION_MS);
    assert_int_equal(f->kit.fx.fatal, 0);
    assert_false(kit_puts(&f->kit, 'x'));
    kit_end(&f->kit);
}

/* After 64 slots a digest goes to the proposers and acceptors, with how far the learner is. */
static void test_digests_are_told(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    apply_to(&f, 63);
    assert_null(kit_sent(&f.kit, MSG_PROGRESS, 0));
    kit_end(&f.kit);
    apply_to(&f, 64);
    const struct outgoing *sent = kit_sent(&f.kit, MSG_PROGRESS, 0);
    assert_non_null(sent);
    assert_int_equal(sent->to.role, ROLE_PROPOSER);
    assert_int_equal(kit_sent(&f.kit, MSG_PROGRESS, 1)->to.role, ROLE_ACCEPTOR);
    assert_int_equal(sent->msg.progress.applied, 64);
    assert_true(sent->msg.progress.digest == digest_of(&f));
    stop(&f);
}

/* Without traffic what was applied last is told after an election timeout, again in case it was
 * lost, and then nothing any more. */
static void test_rest_is_told_in_time(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    apply_to(&f, 3);
    size_t told = 0;
    assert_null(kit_sent(&f.kit, MSG_PROGRESS, 0));
    for (int i = 0; i < 20; i++) {
        assert_true(told > 0 || f.kit.fx.wake_at <= f.kit.now + ELECTION_MS);
        pass(&f, ELECTION_MS);
        const struct outgoing *sent = kit_sent(&f.kit, MSG_PROGRESS, 0);
        told += sent != NULL;
        assert_true(sent == NULL || sent->msg.progress.applied == 3);
        assert_true(i > 0 || told == 1);
    }
    assert_in_range(told, 2, 4);
    stop(&f);
}

/* The same digest from another one, and digests of slots that are not reached, of no member, or in
 * its own name, end nobody. */
static void test_equal_digests_are_fine(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    apply_to(&f, 63);
    uint64_t before = digest_of(&f);
    kit_end(&f.kit);
    apply_to(&f, 64);
    tell(&f, 2, 64, digest_of(&f));
    tell(&f, 2, 63, before);
    tell(&f, 2, 128, 5); /* is compared when this one is there */
    tell(&f, 9, 64, before);
    tell(&f, 1, 64, before);
    assert_goes_on(&f);
    stop(&f);
}

/* Of two that differ nobody can tell who is right: both end, and say since when. */
static void test_two_that_differ(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    apply_to(&f, 40);
    tell(&f, 2, 40, digest_of(&f));
    kit_end(&f.kit);
    apply_to(&f, 41);
    tell(&f, 2, 41, digest_of(&f) + 1);
    assert_ends(&f, "differs from learner 2 at slot 41 (digests ");
    assert_non_null(strstr(f.kit.fx.fatal_text.text, "they were the same at slot 40"));
    stop(&f);
}

/* One that is behind tells of a slot that was applied here long ago: it is compared there. */
static void test_one_behind_that_differs(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    apply_to(&f, 100);
    tell(&f, 2, 70, 5);
    assert_ends(&f, "differs from learner 2 at slot 70");
    stop(&f);
}

/* What was told before this learner was there is compared when it is; of what is told later, the
 * first waits, or one that is always ahead would never be compared. */
static void test_told_before_it_was_applied(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    tell(&f, 2, 64, 5);
    tell(&f, 2, 640, 6);
    kit_end(&f.kit);
    apply_to(&f, 63);
    assert_goes_on(&f);
    apply_to(&f, 64);
    assert_ends(&f, "differs from learner 2 at slot 64");
    stop(&f);
}

/* One of three that differs from this one is its own business if the third is with us; two that
 * differ from this one, though in different slots, make it end. */
static void test_majority_is_right(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 3);
    apply_to(&f, 64);
    tell(&f, 2, 64, digest_of(&f) + 1);
    assert_false(kit_puts(&f.kit, 'x'));
    tell(&f, 3, 64, digest_of(&f));
    assert_goes_on(&f);
    stop(&f);
    start(&f, 3);
    apply_to(&f, 64);
    kit_end(&f.kit);
    tell(&f, 2, 60, 5);
    assert_false(kit_puts(&f.kit, 'x'));
    tell(&f, 3, 64, digest_of(&f) + 1);
    assert_ends(&f, "differs from learner 2 at slot 60");
    stop(&f);
}

/* Two of three differ, and the third says nothing for a long time: neither may go on. */
static void test_nobody_can_tell(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 3);
    apply_to(&f, 64);
    tell(&f, 3, 63, 1); /* of a slot whose digest is another one; and then it is gone */
    kit_end(&f.kit);
    pass(&f, 19 * ELECTION_MS);
    assert_false(kit_puts(&f.kit, 'x'));
    pass(&f, ELECTION_MS);
    assert_ends(&f, "differs from learner 3 at slot 63");
    stop(&f);
}

/* Three that all differ: nobody goes on. */
static void test_no_majority(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 3);
    apply_to(&f, 64);
    kit_end(&f.kit);
    tell(&f, 2, 64, digest_of(&f) + 1);
    tell(&f, 3, 64, digest_of(&f) + 2);
    assert_ends(&f, "differs from learner 2 at slot 64");
    stop(&f);
}

/* One that differed and was made anew is the same at a later slot: what was found is forgotten, and
 * late words of its former life count no more. */
static void test_made_anew(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 3);
    apply_to(&f, 64);
    tell(&f, 2, 60, 5);
    tell(&f, 2, 64, digest_of(&f));
    tell(&f, 2, 62, 5);
    tell(&f, 3, 64, digest_of(&f));
    assert_goes_on(&f);
    stop(&f);
}

/* The next start on that store does not serve. */
static void test_verdict_is_kept(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    apply_to(&f, 5);
    tell(&f, 2, 5, digest_of(&f) + 1);
    kit_end(&f.kit);
    learner_free(f.learner);
    begin(&f, 2);
    assert_int_equal(f.kit.fx.fatal, ERROR_CORRUPT);
    assert_non_null(
        strstr(f.kit.fx.fatal_text.text, "was found to differ from learner 2 at slot 5 (digests "));
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digests_are_told),
        cmocka_unit_test(test_rest_is_told_in_time),
        cmocka_unit_test(test_equal_digests_are_fine),
        cmocka_unit_test(test_two_that_differ),
        cmocka_unit_test(test_one_behind_that_differs),
        cmocka_unit_test(test_told_before_it_was_applied),
        cmocka_unit_test(test_majority_is_right),
        cmocka_unit_test(test_nobody_can_tell),
        cmocka_unit_test(test_no_majority),
        cmocka_unit_test(test_made_anew),
        cmocka_unit_test(test_verdict_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
