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

static void start(struct fixture *f, size_t learners)
{
    kit_open(&f->kit);
    struct learner_options options = {.id = 1,
                                      .seed = 1,
                                      .members = kit_members(3, 1, learners),
                                      .heartbeat_ms = 50,
                                      .election_ms = ELECTION_MS,
                                      .reader = store_reader(f->kit.store)};
    f->learner = learner_new(&options);
    f->kit.core = learner_core(f->learner);
    kit_event(&f->kit, EVENT_START);
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

/* The digest at each 64th slot goes to the proposers, with how far the learner is. */
static void test_checkpoints_are_told(void **state)
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
    assert_int_equal(sent->msg.progress.applied, 64);
    assert_int_equal(sent->msg.progress.digest_slot, 64);
    assert_int_equal(sent->msg.progress.digest, learner_digest(f.learner));
    stop(&f);
}

/* The same digest from another one, and digests of slots that are not reached, end nobody. */
static void test_equal_digests_are_fine(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    tell(&f, 2, 128, 5); /* will be compared when this one is there */
    apply_to(&f, 64);
    uint64_t digest = learner_digest(f.learner);
    kit_end(&f.kit);
    tell(&f, 2, 64, digest);
    tell(&f, 2, 63, digest + 1); /* no checkpoint */
    tell(&f, 9, 64, digest + 1); /* no member */
    tell(&f, 1, 64, digest + 1); /* itself */
    assert_int_equal(f.kit.fx.fatal, 0);
    stop(&f);
}

/* Of two that differ nobody can tell who is right: both end. */
static void test_two_that_differ(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    apply_to(&f, 64);
    kit_end(&f.kit);
    tell(&f, 2, 64, learner_digest(f.learner) + 1);
    assert_int_equal(f.kit.fx.fatal, ERROR_CORRUPT);
    assert_non_null(strstr(f.kit.fx.fatal_text.text, "differs from learner 2 at slot 64"));
    stop(&f);
}

/* What was told before this learner was there is compared when it is. */
static void test_told_before_it_was_applied(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2);
    tell(&f, 2, 64, 5);
    assert_int_equal(f.kit.fx.fatal, 0);
    apply_to(&f, 64);
    assert_int_equal(f.kit.fx.fatal, ERROR_CORRUPT);
    stop(&f);
}

/* One of three that differs from this one is its own business; two that agree are right. */
static void test_majority_is_right(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 3);
    apply_to(&f, 64);
    kit_end(&f.kit);
    uint64_t wrong = learner_digest(f.learner) + 1;
    tell(&f, 2, 64, wrong);
    assert_int_equal(f.kit.fx.fatal, 0);
    tell(&f, 3, 64, wrong);
    assert_int_equal(f.kit.fx.fatal, ERROR_CORRUPT);
    stop(&f);
    start(&f, 3);
    apply_to(&f, 64);
    kit_end(&f.kit);
    tell(&f, 2, 64, wrong);
    tell(&f, 3, 64, learner_digest(f.learner));
    assert_int_equal(f.kit.fx.fatal, 0);
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
    tell(&f, 2, 64, learner_digest(f.learner) + 1);
    tell(&f, 3, 64, learner_digest(f.learner) + 2);
    assert_int_equal(f.kit.fx.fatal, ERROR_CORRUPT);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checkpoints_are_told),
        cmocka_unit_test(test_equal_digests_are_fine),
        cmocka_unit_test(test_two_that_differ),
        cmocka_unit_test(test_told_before_it_was_applied),
        cmocka_unit_test(test_majority_is_right),
        cmocka_unit_test(test_no_majority),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
