/* The vocabulary of the protocol: ballots and their order, members and quorums, stale messages, and
 * the effects that a core hands to its runner. */
#include "common/protocol/core.h"
#include "common/protocol/members.h"
#include "common/protocol/message.h"
#include "common/protocol/types.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* ---- types */

/* Ballots are ordered by round, then proposer; the incarnation takes no part in the order. */
static void test_ballots_are_ordered_by_round_and_proposer(void **state)
{
    (void)state;
    struct ballot low = {1, 9, 900}, middle = {2, 1, 5}, high = {2, 3, 1};
    assert_int_equal(ballot_compare(&low, &middle), -1);
    assert_int_equal(ballot_compare(&middle, &high), -1);
    assert_int_equal(ballot_compare(&high, &low), 1);
    assert_int_equal(ballot_compare(&high, &high), 0);
    struct ballot none = BALLOT_NONE;
    assert_int_equal(ballot_compare(&none, &low), -1);
    assert_true(ballot_is_none(&none));
    assert_false(ballot_is_none(&low));
}

/* A proposer that restarted is not taken for its former self: same round, same id, other
 * incarnation is neither higher nor equal. */
static void test_ballots_of_two_incarnations_are_not_equal(void **state)
{
    (void)state;
    struct ballot before = {4, 1, 111}, after = {4, 1, 112};
    assert_int_equal(ballot_compare(&before, &after), 0);
    assert_false(ballot_equal(&before, &after));
    assert_true(ballot_equal(&before, &before));
}

/* Two peers are the same only with the same role and the same id. */
static void test_peers_are_compared_by_role_and_id(void **state)
{
    (void)state;
    struct peer a = {ROLE_ACCEPTOR, 1};
    assert_true(peer_equal(a, (struct peer){ROLE_ACCEPTOR, 1}));
    assert_false(peer_equal(a, (struct peer){ROLE_PROPOSER, 1}));
    assert_false(peer_equal(a, (struct peer){ROLE_ACCEPTOR, 2}));
    assert_false(peer_equal(a, (struct peer){ROLE_ACCEPTOR, (UINT64_C(1) << 32) + 1}));
}

/* Every role and kind has its name, and a number off the list says so. */
static void test_roles_and_kinds_have_names(void **state)
{
    (void)state;
    assert_string_equal(role_name(ROLE_ACCEPTOR), "acceptor");
    assert_string_equal(role_name(ROLE_CLIENT), "client");
    assert_string_equal(role_name(ROLE_NONE), "none");
    assert_string_equal(message_kind_name(MSG_PREPARE), "prepare");
    assert_string_equal(message_kind_name(MSG_STATUS_REPLY), "status_reply");
    assert_string_equal(message_kind_name((enum message_kind)99), "unknown");
}

/* ---- members */

static struct members five_acceptors(void)
{
    return (struct members){.number = 1,
                            .acceptors = {1, 2, 5, 7, 9},
                            .proposers = {1, 4},
                            .learners = {3},
                            .acceptor_count = 5,
                            .proposer_count = 2,
                            .learner_count = 1,
                            .q1 = 3,
                            .q2 = 3};
}

/* An id is looked up in its own role; a stranger, an id of 64 bits whose low half is a member's,
 * and id 0 are none. */
static void test_members_know_their_own(void **state)
{
    (void)state;
    struct members members = five_acceptors();
    assert_int_equal(members_acceptor_index(&members, 5), 2);
    assert_int_equal(members_acceptor_index(&members, 4), -1);
    assert_int_equal(members_acceptor_index(&members, 0), -1);
    assert_int_equal(members_acceptor_index(&members, (UINT64_C(1) << 32) + 5), -1);
    assert_int_equal(members_proposer_index(&members, 4), 1);
    assert_int_equal(members_proposer_index(&members, 5), -1);
}

/* Membership is of a role; a client is a member of nothing, whatever its id. */
static void test_members_contain_only_servers(void **state)
{
    (void)state;
    struct members members = five_acceptors();
    assert_true(members_contain(&members, (struct peer){ROLE_ACCEPTOR, 9}));
    assert_true(members_contain(&members, (struct peer){ROLE_LEARNER, 3}));
    assert_false(members_contain(&members, (struct peer){ROLE_LEARNER, 1}));
    assert_false(members_contain(&members, (struct peer){ROLE_CLIENT, 1}));
    assert_false(members_contain(&members, (struct peer){ROLE_NONE, 1}));
}

/* The smallest majority: two halves of an even number are none. */
static void test_majority_is_more_than_half(void **state)
{
    (void)state;
    static const size_t expected[][2] = {{1, 1}, {2, 2}, {3, 2}, {4, 3}, {5, 3}, {32, 17}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_int_equal(majority_of(expected[i][0]), expected[i][1]);
    }
}

/* Refused are quorums that can miss each other, that nobody can reach and that are empty; a small
 * accept quorum is fine with a prepare quorum to match. */
static void test_quorums_must_intersect(void **state)
{
    (void)state;
    static const struct {
        size_t q1, q2;
        int fine;
    } cases[] = {{3, 3, 1}, {4, 2, 1}, {5, 1, 1}, {1, 5, 1}, {2, 3, 0},
                 {3, 2, 0}, {6, 3, 0}, {3, 6, 0}, {0, 6, 0}, {5, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct members members = five_acceptors();
        members.q1 = cases[i].q1;
        members.q2 = cases[i].q2;
        assert_int_equal(members_quorums_intersect(&members), cases[i].fine);
    }
}

/* For every configuration of up to 7 acceptors and every pair of quorums that the check lets
 * through, any prepare quorum meets any accept quorum: checked over all sets. */
static void test_quorums_that_pass_do_meet(void **state)
{
    (void)state;
    for (size_t count = 1; count <= 7; count++) {
        for (size_t q1 = 1; q1 <= count; q1++) {
            for (size_t q2 = 1; q2 <= count; q2++) {
                struct members members = {.acceptor_count = count, .q1 = q1, .q2 = q2};
                int all_meet = 1;
                for (acceptor_set_t a = 0; a < 1U << count; a++) {
                    for (acceptor_set_t b = 0; b < 1U << count; b++) {
                        if (is_prepare_quorum(&members, a) && is_accept_quorum(&members, b)) {
                            all_meet &= (a & b) != 0;
                        }
                    }
                }
                assert_int_equal(members_quorums_intersect(&members), all_meet);
            }
        }
    }
}

/* Votes are counted as a set, up to the highest of 32 acceptors. */
static void test_acceptor_sets_are_counted(void **state)
{
    (void)state;
    assert_int_equal(acceptor_set_count(0), 0);
    assert_int_equal(acceptor_set_count(0x80000001U), 2);
    assert_int_equal(acceptor_set_count(UINT32_MAX), 32);
    struct members members = five_acceptors();
    assert_false(is_accept_quorum(&members, 0x3));
    assert_true(is_accept_quorum(&members, 0x13));
    members.q1 = 4;
    assert_false(is_prepare_quorum(&members, 0x13));
    assert_true(is_prepare_quorum(&members, 0x17));
}

/* ---- messages */

/* A reply to another incarnation is stale; a reply to this one, and what is no reply, is not. */
static void test_replies_to_another_incarnation_are_stale(void **state)
{
    (void)state;
    struct message msg = {.kind = MSG_PROMISE, .echo = 7};
    assert_true(message_is_stale(&msg, 8));
    assert_false(message_is_stale(&msg, 7));
    msg.echo = 0;
    assert_false(message_is_stale(&msg, 8));
}

/* ---- effects */

static struct effects fx;

static int begin_effects(void **state)
{
    (void)state;
    effects_init(&fx);
    return 0;
}

static int end_effects(void **state)
{
    (void)state;
    effects_close(&fx);
    return 0;
}

/* Fresh and cleared effects ask for nothing, and are never woken. */
static void test_effects_begin_empty(void **state)
{
    (void)state;
    effects_wake(&fx, 5);
    effects_put(&fx, RECORD_DURABLE, slice_borrow("k", 1), SLICE_EMPTY, SLICE_EMPTY);
    effects_send(&fx, SEND_NOW, (struct peer){ROLE_ACCEPTOR, 1}, MSG_PREPARE);
    effects_note(&fx, NOTE_INFO, "event=x");
    fx.finished = 1;
    effects_clear(&fx);
    assert_int_equal(fx.record_count + fx.send_count + fx.note_count + fx.held_count, 0);
    assert_int_equal(fx.record_bytes, 0);
    assert_int_equal(fx.needs_sync, 0);
    assert_int_equal(fx.finished, 0);
    assert_true(fx.wake_at == TIME_NEVER);
}

/* A durable record asks for a sync, a lazy one and a deletion do not. */
static void test_effects_sync_only_for_durable_records(void **state)
{
    (void)state;
    effects_put(&fx, RECORD_LAZY, slice_borrow("watermark", 9), slice_borrow("h", 1), SLICE_EMPTY);
    effects_delete(&fx, slice_borrow("old", 3));
    assert_int_equal(fx.needs_sync, 0);
    effects_put(&fx, RECORD_DURABLE, slice_borrow("promise", 7), slice_borrow("head", 4),
                slice_borrow("body", 4));
    assert_int_equal(fx.needs_sync, 1);
    assert_int_equal(fx.record_count, 3);
    assert_int_equal(fx.records[1].is_delete, 1);
    assert_int_equal(fx.records[2].key_size, 7);
    assert_memory_equal(fx.records[2].key, "promise", 7);
    assert_memory_equal(fx.records[2].head, "head", 4);
    assert_true(slice_equal(fx.records[2].body, slice_borrow("body", 4)));
    assert_int_equal(fx.record_bytes, 10 + 3 + 15);
}

/* What is put is copied or referenced: the caller's memory may change, and the blob may lose its
 * other owners, before the runner writes. */
static void test_effects_keep_bytes_alive(void **state)
{
    (void)state;
    char text[] = "body";
    effects_put(&fx, RECORD_LAZY, slice_borrow("k", 1), SLICE_EMPTY, slice_borrow(text, 4));
    memset(text, 'X', 4);
    assert_memory_equal(fx.records[0].body.data, "body", 4);

    struct blob *blob = blob_copy("value", 5);
    struct slice held = effects_hold(&fx, slice_of(blob));
    assert_ptr_equal(held.data, blob->data);
    assert_int_equal(blob->references, 2);
    blob_ref(blob);
    blob_unref(blob);
    effects_clear(&fx);
    assert_int_equal(blob->references, 1);
    blob_unref(blob);
}

/* Messages leave in the order in which they were sent, zeroed but for what was said. */
static void test_effects_send_in_order(void **state)
{
    (void)state;
    struct message *msg =
        effects_send(&fx, SEND_AFTER_DURABLE, (struct peer){ROLE_PROPOSER, 2}, MSG_PROMISE);
    msg->promise.chosen = 41;
    msg = effects_broadcast(&fx, SEND_NOW, ROLE_LEARNER, MSG_COMMIT);
    assert_true(msg->commit.commit == 0);
    assert_int_equal(fx.send_count, 2);
    assert_int_equal(fx.sends[0].when, SEND_AFTER_DURABLE);
    assert_true(fx.sends[0].msg.promise.chosen == 41);
    assert_true(peer_equal(fx.sends[0].to, (struct peer){ROLE_PROPOSER, 2}));
    assert_true(peer_equal(fx.sends[1].to, (struct peer){ROLE_LEARNER, 0}));
}

/* A reply goes to the sender and echoes its incarnation, so that its next life can drop it. */
static void test_effects_reply_echoes_the_incarnation(void **state)
{
    (void)state;
    struct message request = {
        .kind = MSG_PREPARE, .from = {ROLE_PROPOSER, 3}, .incarnation = 0xabcdef};
    effects_reply(&fx, SEND_NOW, &request, MSG_NACK);
    assert_true(peer_equal(fx.sends[0].to, request.from));
    assert_true(fx.sends[0].msg.echo == 0xabcdef);
    assert_int_equal(fx.sends[0].msg.kind, MSG_NACK);
}

/* The earliest wish to be woken counts. */
static void test_effects_wake_at_the_earliest(void **state)
{
    (void)state;
    effects_wake(&fx, 50);
    effects_wake(&fx, 20);
    effects_wake(&fx, 30);
    assert_true(fx.wake_at == 20);
}

/* The first reason to end is the one that is reported. */
static void test_effects_report_the_first_fatal(void **state)
{
    (void)state;
    effects_fatal(&fx, ERROR_CORRUPT, "slot %d is damaged", 7);
    effects_fatal(&fx, ERROR_IO, "and then all the rest");
    assert_int_equal(fx.fatal, ERROR_CORRUPT);
    assert_string_equal(fx.fatal_text.text, "slot 7 is damaged");
}

/* A note too long is cut and still a line. */
static void test_effects_notes_are_cut(void **state)
{
    (void)state;
    char text[400];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    effects_note(&fx, NOTE_WARN, "event=%s", text);
    assert_int_equal(fx.note_count, 1);
    assert_int_equal(strlen(fx.notes[0].text), sizeof fx.notes[0].text - 1);
    assert_int_equal(fx.notes[0].level, NOTE_WARN);
}

/* Thousands of records and messages of one turn are all kept, in order. */
static void test_effects_grow(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 5000; i++) {
        effects_put(&fx, RECORD_LAZY, slice_borrow(&i, sizeof i), SLICE_EMPTY, SLICE_EMPTY);
        effects_send(&fx, SEND_NOW, (struct peer){ROLE_CLIENT, i}, MSG_RESULT);
    }
    for (uint32_t i = 0; i < 5000; i++) {
        assert_memory_equal(fx.records[i].key, &i, sizeof i);
        assert_int_equal(fx.sends[i].to.id, i);
    }
}

/* Marks are counted, and kept when a turn is cleared, until the process ends. */
static void test_effects_count_marks(void **state)
{
    (void)state;
    effects_mark(&fx, MARK_PROMISE_IN_PAGES);
    effects_clear(&fx);
    effects_mark(&fx, MARK_PROMISE_IN_PAGES);
    assert_int_equal(fx.marks[MARK_PROMISE_IN_PAGES], 2);
    assert_int_equal(fx.marks[MARK_SESSION_EXPIRED], 0);
    effects_close(&fx);
    effects_init(&fx);
    assert_int_equal(fx.marks[MARK_PROMISE_IN_PAGES], 0);
}

/* Every mark has a text of its own. */
static void test_marks_have_names(void **state)
{
    (void)state;
    for (int i = 0; i < MARK_COUNT; i++) {
        assert_true(strlen(mark_name((enum mark)i)) > 5);
        for (int k = 0; k < i; k++) {
            assert_string_not_equal(mark_name((enum mark)i), mark_name((enum mark)k));
        }
    }
}

#define EFFECTS_TEST(fn) cmocka_unit_test_setup_teardown(fn, begin_effects, end_effects)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ballots_are_ordered_by_round_and_proposer),
        cmocka_unit_test(test_ballots_of_two_incarnations_are_not_equal),
        cmocka_unit_test(test_peers_are_compared_by_role_and_id),
        cmocka_unit_test(test_roles_and_kinds_have_names),
        cmocka_unit_test(test_members_know_their_own),
        cmocka_unit_test(test_members_contain_only_servers),
        cmocka_unit_test(test_majority_is_more_than_half),
        cmocka_unit_test(test_quorums_must_intersect),
        cmocka_unit_test(test_quorums_that_pass_do_meet),
        cmocka_unit_test(test_acceptor_sets_are_counted),
        cmocka_unit_test(test_replies_to_another_incarnation_are_stale),
        EFFECTS_TEST(test_effects_begin_empty),
        EFFECTS_TEST(test_effects_sync_only_for_durable_records),
        EFFECTS_TEST(test_effects_keep_bytes_alive),
        EFFECTS_TEST(test_effects_send_in_order),
        EFFECTS_TEST(test_effects_reply_echoes_the_incarnation),
        EFFECTS_TEST(test_effects_wake_at_the_earliest),
        EFFECTS_TEST(test_effects_report_the_first_fatal),
        EFFECTS_TEST(test_effects_notes_are_cut),
        EFFECTS_TEST(test_effects_grow),
        EFFECTS_TEST(test_effects_count_marks),
        cmocka_unit_test(test_marks_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
