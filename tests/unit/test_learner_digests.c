/* Learners compare the digests of their states, and who differs from a majority ends itself and
 * says at which slot (DESIGN 7). What is due is told to the proposers. */
#include "learner/learner.h"
#include "tests/unit/core_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ELECTION_MS 500

#define SLOTS 8192

struct fixture {
    struct core_kit kit;
    struct learner *learner;
    uint64_t digests[SLOTS]; /* as this learner has them */
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
        kit_stream(&f->kit, &leader, slot, slot, value_noop(slot));
        assert_int_equal(learner_applied(f->learner), slot);
        f->digests[slot % SLOTS] = learner_digest(f->learner);
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

/* It has been found to differ: it has written so, serves nobody any more, tells the digest in which
 * it differs, and ends an election timeout later. */
static void assert_ends(struct fixture *f, slot_t at, const char *sentence)
{
    kit_end(&f->kit);
    kit_flush(&f->kit);
    assert_int_equal(f->kit.fx.fatal, 0);
    assert_true(kit_puts(&f->kit, 'x'));
    const struct outgoing *sent = kit_sent(&f->kit, MSG_PROGRESS, 0);
    assert_non_null(sent);
    assert_int_equal(sent->when, SEND_AFTER_DURABLE);
    assert_int_equal(sent->msg.progress.applied, at);
    assert_true(sent->msg.progress.digest == f->digests[at % SLOTS]);
    struct message question = kit_from(ROLE_CLIENT, 9, 9, MSG_STATUS);
    kit_message(&f->kit, &question);
    assert_null(kit_sent(&f->kit, MSG_STATUS_REPLY, 0));
    pass(f, ELECTION_MS - 1);
    assert_int_equal(f->kit.fx.fatal, 0);
    assert_non_null(kit_sent(&f->kit, MSG_PROGRESS, 0));
    pass(f, 1);
    assert_int_equal(f->kit.fx.fatal, ERROR_CORRUPT);
    assert_non_null(strstr(f->kit.fx.fatal_text.text, sentence));
}

/* Neither has anything been found, nor would it be after a long time. */
static void assert_goes_on(struct fixture *f)
{
    for (int i = 0; i < 100; i++) {
        kit_flush(&f->kit);
        assert_false(kit_puts(&f->kit, 'x'));
        pass(f, ELECTION_MS);
    }
    assert_int_equal(f->kit.fx.fatal, 0);
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

/* Without traffic what was applied last is told after an election timeout, and then every four: it
 * may have been lost, and others may have been started since. */
static void test_rest_is_told_in_time(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    apply_to(&f, 3);
    assert_null(kit_sent(&f.kit, MSG_PROGRESS, 0));
    for (int i = 1; i <= 21; i++) {
        assert_true(f.kit.fx.wake_at <= f.kit.now + 4 * ELECTION_MS);
        pass(&f, ELECTION_MS);
        const struct outgoing *sent = kit_sent(&f.kit, MSG_PROGRESS, 0);
        assert_int_equal(sent != NULL, i % 4 == 1);
        assert_true(sent == NULL || sent->msg.progress.applied == 3);
    }
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
    assert_ends(&f, 41, "differs from learner 2 at slot 41 (digests ");
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
    assert_ends(&f, 70, "differs from learner 2 at slot 70");
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
    assert_true(kit_puts(&f.kit, 'x'));
    pass(&f, ELECTION_MS);
    assert_non_null(strstr(f.kit.fx.fatal_text.text, "differs from learner 2 at slot 64"));
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
    kit_flush(&f.kit);
    assert_false(kit_puts(&f.kit, 'x'));
    tell(&f, 3, 64, digest_of(&f));
    assert_goes_on(&f);
    stop(&f);
    start(&f, 3);
    apply_to(&f, 64);
    kit_end(&f.kit);
    tell(&f, 2, 60, 5);
    kit_flush(&f.kit);
    assert_false(kit_puts(&f.kit, 'x'));
    tell(&f, 3, 64, digest_of(&f) + 1);
    assert_ends(&f, 60, "differs from learner 2 at slot 60");
    stop(&f);
}

/* Learner 3 differs, and says so again and again for that many election timeouts. */
static void insist(struct fixture *f, int elections, node_id_t another, slot_t at)
{
    for (int i = 0; i < elections; i++) {
        tell(f, 3, 63, 1);
        if (another != 0) {
            tell(f, another, at + (slot_t)i, f->digests[at + (slot_t)i]);
        }
        kit_flush(&f->kit);
        assert_false(kit_puts(&f->kit, 'x'));
        pass(f, ELECTION_MS);
    }
    assert_false(kit_puts(&f->kit, 'x'));
}

/* Two of three differ, and the third says nothing for a long time: neither may go on. While nobody
 * is heard at all, that proves nothing. */
static void test_nobody_can_tell(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 3);
    apply_to(&f, 64);
    insist(&f, 19, 0, 0);
    pass(&f, 100 * ELECTION_MS);
    assert_false(kit_puts(&f.kit, 'x'));
    tell(&f, 3, 64, 1);
    assert_ends(&f, 63, "differs from learner 3 at slot 63");
    stop(&f);
}

/* The third is far behind, but is heard: when it comes there it will decide. */
static void test_third_is_behind(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 3);
    apply_to(&f, 64);
    insist(&f, 50, 2, 10);
    tell(&f, 2, 64, digest_of(&f));
    assert_goes_on(&f);
    stop(&f);
}

/* Of four, one is with us, one differs, and one is silent: no majority, but more have our state. */
static void test_more_have_this_state(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 4);
    apply_to(&f, 64);
    tell(&f, 2, 64, digest_of(&f));
    insist(&f, 50, 0, 0);
    assert_goes_on(&f);
    stop(&f);
}

/* What was told long ago is remembered: who is far behind compares itself there, and answers. */
static void test_told_long_ago(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    apply_to(&f, 6000);
    tell(&f, 2, 640, f.digests[640]);
    tell(&f, 2, 641, 5); /* nobody was told of that slot */
    kit_flush(&f.kit);
    assert_false(kit_puts(&f.kit, 'x'));
    tell(&f, 2, 704, 5);
    assert_ends(&f, 704, "differs from learner 2 at slot 704");
    stop(&f);
}

/* Another one was stopped, changed and started while nothing happened: the slot at which it differs
 * is one at which it was the same. */
static void test_same_slot_in_another_life(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    apply_to(&f, 40);
    tell(&f, 2, 40, digest_of(&f));
    kit_flush(&f.kit);
    tell(&f, 2, 40, 5);
    assert_ends(&f, 40, "differs from learner 2 at slot 40");
    stop(&f);
}

/* That it was the same before it differed, which comes late, clears nothing. */
static void test_late_equal_digest(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 3);
    apply_to(&f, 64);
    tell(&f, 2, 62, 5);
    tell(&f, 2, 60, f.digests[60]);
    kit_flush(&f.kit);
    assert_false(kit_puts(&f.kit, 'x'));
    tell(&f, 3, 64, 5);
    assert_ends(&f, 62, "they were the same at slot 60");
    stop(&f);
}

/* The step in which it is found answers nobody: a slot was applied in it, and its results are not
 * told, nor its state written. */
static void test_results_are_held_back(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    apply_to(&f, 40);
    kit_end(&f.kit);
    tell(&f, 2, 41, 5);
    struct peer client = {ROLE_CLIENT, 9};
    kit_peer(&f.kit, EVENT_PEER_UP, client);
    kit_stream(&f.kit, &leader, 41, 41, kit_open_value(41, client.id));
    assert_int_equal(learner_applied(f.learner), 41);
    f.digests[41] = digest_of(&f);
    kit_flush(&f.kit);
    assert_true(kit_puts(&f.kit, 'x'));
    assert_false(kit_puts(&f.kit, 'm'));
    assert_null(kit_sent(&f.kit, MSG_RESULT, 0));
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
    assert_ends(&f, 64, "differs from learner 2 at slot 64");
    stop(&f);
}

/* One that differed and was made anew is the same at a later slot: what was found is forgotten. */
static void test_made_anew(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 3);
    apply_to(&f, 64);
    tell(&f, 2, 60, 5);
    kit_flush(&f.kit);
    tell(&f, 2, 64, digest_of(&f));
    tell(&f, 3, 62, 5);
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
    kit_flush(&f.kit);
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
        cmocka_unit_test(test_third_is_behind),
        cmocka_unit_test(test_more_have_this_state),
        cmocka_unit_test(test_told_long_ago),
        cmocka_unit_test(test_same_slot_in_another_life),
        cmocka_unit_test(test_late_equal_digest),
        cmocka_unit_test(test_results_are_held_back),
        cmocka_unit_test(test_no_majority),
        cmocka_unit_test(test_made_anew),
        cmocka_unit_test(test_verdict_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
