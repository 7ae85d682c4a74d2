/* The orders of Zab: the rules accept what Raft and Multi-Paxos may deliver, and name each way in
 * which an order can be broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/buffer.h"
#include "common/base/bytes.h"
#include "common/protocol/value.h"
#include "tests/trace/checker.h"
#include "tests/trace/primary_order.h"
#include "tests/trace/raft_rules.h"

#define RAFT 1
#define PAXOS 0

/* What each test works on; made anew for each. */
static struct primary_order order;
static struct errmsg err;
static struct checker checker;
static const struct members members = {.acceptors = {1, 2, 3},
                                       .acceptor_count = 3,
                                       .proposers = {1, 2, 3},
                                       .proposer_count = 3,
                                       .q1 = 2,
                                       .q2 = 2};

static int teardown(void **state)
{
    (void)state;
    primary_order_close(&order);
    return 0;
}

static struct ballot ballot_of(uint64_t round)
{
    return (struct ballot){.round = round, .proposer = (node_id_t)round, .incarnation = 70 + round};
}

static const char *broadcast(uint64_t round, slot_t slot, enum broadcast_kind kind)
{
    struct ballot ballot = ballot_of(round);
    return primary_order_on_broadcast(&order, &ballot, slot, kind, &err);
}

/* Slots first to last, all new. */
static void broadcast_own(uint64_t round, slot_t first, slot_t last)
{
    for (slot_t slot = first; slot <= last; slot++) {
        enum broadcast_kind kind = slot == first ? BROADCAST_ANNOUNCEMENT : BROADCAST_OWN;
        assert_null(broadcast(round, slot, kind));
    }
}

static const char *deliver(slot_t slot, uint64_t origin, uint64_t chosen_by)
{
    return primary_order_on_delivery(&order,
                                     &(struct delivered_value){.slot = slot,
                                                               .origin = ballot_of(origin),
                                                               .chosen_by = ballot_of(chosen_by)},
                                     &err);
}

/* An entry of Raft. */
static const char *deliver_entry(slot_t slot, uint64_t term)
{
    return deliver(slot, term, term);
}

static const char *deliver_noop(slot_t slot, uint64_t origin, uint64_t chosen_by)
{
    return primary_order_on_delivery(&order,
                                     &(struct delivered_value){.slot = slot,
                                                               .origin = ballot_of(origin),
                                                               .chosen_by = ballot_of(chosen_by),
                                                               .is_noop = 1},
                                     &err);
}

/* Proves: a leader may lose the end of what it broadcast, but nothing before it, and a later leader
 * goes on from there. */
static void test_raft_loses_a_tail(void **state)
{
    (void)state;
    primary_order_init(&order, RAFT);
    broadcast_own(1, 1, 4);
    broadcast_own(3, 3, 5);
    assert_null(broadcast(3, 4, BROADCAST_OWN)); /* again, to a follower that missed it */
    assert_null(deliver_entry(1, 1));
    assert_null(deliver_entry(2, 1));
    assert_null(deliver_entry(3, 3));
    assert_null(deliver_entry(4, 3));
}

/* Proves: a delivery of w without the v that its leader broadcast before is caught (Zab, local
 * primary order). */
static void test_raft_loses_what_came_before(void **state)
{
    (void)state;
    primary_order_init(&order, RAFT);
    broadcast_own(1, 1, 2);
    broadcast_own(2, 2, 4);
    assert_null(deliver_entry(1, 1));
    assert_null(deliver_entry(2, 1)); /* in the place of the first of leader 2 */
    assert_string_equal(deliver_entry(3, 2), LOCAL_PRIMARY_ORDER);
    assert_string_equal(err.text,
                        "primary 2.2 begins with slot 2, and what is delivered of it with "
                        "slot 3");
}

/* Proves: a value of an earlier leader behind one of a later leader is caught (Zab, global primary
 * order; Fig. 1 of its paper). */
static void test_raft_goes_back_to_an_earlier_leader(void **state)
{
    (void)state;
    primary_order_init(&order, RAFT);
    broadcast_own(1, 1, 2);
    broadcast_own(2, 1, 1);
    assert_null(deliver_entry(1, 2));
    assert_string_equal(deliver_entry(2, 1), GLOBAL_PRIMARY_ORDER);
    assert_string_equal(err.text, "slot 2 is of primary 1.1, and behind a value of primary 2.2");
}

/* Proves: two leaders of one term do not follow each other unseen. */
static void test_raft_two_leaders_of_a_term(void **state)
{
    (void)state;
    primary_order_init(&order, RAFT);
    broadcast_own(1, 1, 1);
    struct ballot other = {.round = 1, .proposer = 1, .incarnation = 99};
    assert_null(primary_order_on_broadcast(&order, &other, 2, BROADCAST_OWN, &err));
    assert_null(deliver_entry(1, 1));
    const struct delivered_value value = {.slot = 2, .origin = other, .chosen_by = other};
    assert_string_equal(primary_order_on_delivery(&order, &value, &err), GLOBAL_PRIMARY_ORDER);
}

/* Proves: what nobody broadcast is not delivered (Zab, integrity). */
static void test_raft_invents_an_entry(void **state)
{
    (void)state;
    primary_order_init(&order, RAFT);
    broadcast_own(1, 1, 1);
    assert_null(deliver_entry(1, 1));
    assert_string_equal(deliver_entry(2, 1), LOCAL_PRIMARY_ORDER);
    assert_string_equal(deliver_entry(3, 7), LOCAL_PRIMARY_ORDER);
}

/* Proves: a leader of Raft that leaves an entry out, or puts one before its first, is caught at
 * that broadcast. */
static void test_raft_leaves_an_entry_out(void **state)
{
    (void)state;
    primary_order_init(&order, RAFT);
    broadcast_own(1, 5, 6);
    assert_string_equal(broadcast(1, 8, BROADCAST_OWN), LOCAL_PRIMARY_ORDER);
    assert_string_equal(broadcast(1, 4, BROADCAST_OWN), LOCAL_PRIMARY_ORDER);
}

/* Proves: slots are delivered one after the other, in both protocols. */
static void test_delivery_leaves_a_slot_out(void **state)
{
    (void)state;
    for (int is_strict = PAXOS; is_strict <= RAFT; is_strict++) {
        primary_order_init(&order, is_strict);
        broadcast_own(1, 1, 3);
        assert_null(deliver(1, 1, 1));
        assert_string_equal(deliver(3, 1, 1), LOCAL_PRIMARY_ORDER);
        assert_string_equal(err.text, "slot 3 is delivered after slot 1");
        primary_order_close(&order);
    }
    primary_order_init(&order, PAXOS);
}

/* Proves: the run of Zab's Fig. 1, and a lost value in the middle of a window, break no rule
 * of Multi-Paxos, which allows both. */
static void test_paxos_decides_each_slot_by_itself(void **state)
{
    (void)state;
    primary_order_init(&order, PAXOS);
    broadcast_own(1, 1, 4);                        /* 2 and 4 reach one acceptor each */
    broadcast_own(2, 1, 1);                        /* by a quorum without the first */
    assert_null(broadcast(3, 1, BROADCAST_AGAIN)); /* of 2 */
    assert_null(broadcast(3, 2, BROADCAST_AGAIN)); /* of 1, behind it */
    assert_null(broadcast(3, 3, BROADCAST_NOOP));  /* a gap */
    assert_null(broadcast(3, 4, BROADCAST_AGAIN)); /* of 1 */
    assert_null(broadcast(3, 5, BROADCAST_ANNOUNCEMENT));
    assert_null(deliver(1, 2, 2));
    assert_null(deliver(2, 1, 3));
    assert_null(deliver_noop(3, 3, 3));
    assert_null(deliver(4, 1, 3));
    assert_null(deliver(5, 3, 3));
}

/* Proves: a slot that an earlier ballot chose out of order may stand behind a no-op that closes the
 * gap below it, but behind no value that the later leader calls its own. */
static void test_paxos_overtakes_what_was_chosen(void **state)
{
    (void)state;
    for (int is_noop = 0; is_noop <= 1; is_noop++) {
        primary_order_init(&order, PAXOS);
        broadcast_own(1, 1, 3); /* 3 is chosen, 2 is lost */
        assert_null(deliver(1, 1, 1));
        if (is_noop) {
            assert_null(deliver_noop(2, 2, 2));
            assert_null(deliver(3, 1, 1));
        } else {
            assert_null(deliver(2, 2, 2));
            assert_string_equal(deliver(3, 1, 1), GLOBAL_PRIMARY_ORDER);
            assert_string_equal(err.text,
                                "slot 3 was chosen at 1.1, and is behind a value of primary 2.2");
        }
        primary_order_close(&order);
    }
    primary_order_init(&order, PAXOS);
}

/* Proves: a proposer that leaves a slot out, goes back, or proposes for one twice is caught. */
static void test_paxos_leaves_a_slot_out(void **state)
{
    (void)state;
    primary_order_init(&order, PAXOS);
    broadcast_own(1, 3, 4);
    assert_string_equal(broadcast(1, 6, BROADCAST_OWN), LOCAL_PRIMARY_ORDER);
    assert_string_equal(err.text, "ballot 1.1 broadcasts slot 6 after the slots 3 to 4");
    assert_string_equal(broadcast(1, 4, BROADCAST_OWN), LOCAL_PRIMARY_ORDER);
    assert_string_equal(broadcast(1, 2, BROADCAST_OWN), LOCAL_PRIMARY_ORDER);
}

/* Proves: new commands before a leader's announcement, which ends its recovery, are caught. */
static void test_paxos_speaks_before_its_announcement(void **state)
{
    (void)state;
    primary_order_init(&order, PAXOS);
    assert_null(broadcast(1, 1, BROADCAST_AGAIN));
    assert_null(broadcast(1, 2, BROADCAST_NOOP));
    assert_string_equal(broadcast(1, 3, BROADCAST_OWN), GLOBAL_PRIMARY_ORDER);
    assert_null(broadcast(1, 4, BROADCAST_ANNOUNCEMENT));
    assert_null(broadcast(1, 5, BROADCAST_OWN));
}

/* ---- what the checker makes of messages and disks: acceptors 1 to 3, records as PROTOCOL.md has
 * them */

static int checker_teardown(void **state)
{
    (void)state;
    checker_close(&checker);
    return 0;
}

static void store(node_id_t acceptor, struct slice key, const struct buffer *value)
{
    struct blob *blob = blob_copy(value->data, value->size);
    checker_on_durable(&checker, acceptor, key, blob);
    blob_unref(blob);
}

static void put_ballot(struct buffer *out, uint64_t round)
{
    struct ballot ballot = ballot_of(round);
    buffer_put_u64(out, ballot.round);
    buffer_put_u32(out, ballot.proposer);
    buffer_put_u64(out, ballot.incarnation);
}

/* A batch of one block without commands; the stamp makes it differ from others. */
static struct blob *batch(uint64_t stamp_ms)
{
    uint8_t head[BLOCK_HEAD_BYTES];
    block_put_head(head, &(struct block){.session = 1, .client = 1, .first_seq = 1}, 0);
    struct slice block = slice_borrow(head, sizeof head);
    return value_batch(stamp_ms, &block, 1);
}

static struct blob *lead(uint64_t round)
{
    struct ballot ballot = ballot_of(round);
    return value_lead(0, &ballot);
}

static void promise(node_id_t acceptor, uint64_t round, slot_t chosen)
{
    struct buffer value = {0};
    buffer_put_u64(&value, chosen);
    store(acceptor, slice_borrow("c", 1), &value);
    buffer_close(&value);
    put_ballot(&value, round);
    store(acceptor, slice_borrow("p", 1), &value);
    buffer_close(&value);
}

/* An acceptor stores the value for the slot, under a key of that kind. */
static void put(node_id_t acceptor, char kind, slot_t slot, uint64_t round, struct blob *bytes)
{
    uint8_t key[9] = {(uint8_t)kind};
    bytes_put_u64(key + 1, slot);
    struct buffer value = {0};
    put_ballot(&value, round);
    buffer_put(&value, slice_of(bytes));
    store(acceptor, slice_borrow(key, sizeof key), &value);
    buffer_close(&value);
}

/* A proposer proposes the value, and the acceptors of the set vote for it. */
static void propose(uint64_t round, slot_t slot, struct blob *bytes, acceptor_set_t voters)
{
    struct message msg = {.kind = MSG_ACCEPT};
    msg.accept =
        (struct msg_accept){.ballot = ballot_of(round), .slot = slot, .value = slice_of(bytes)};
    checker_on_send(&checker, (struct peer){ROLE_PROPOSER, round}, &msg, NULL);
    for (node_id_t id = 1; id <= members.acceptor_count; id++) {
        if (voters >> (id - 1) & 1) {
            put(id, 'a', slot, round, bytes);
        }
    }
    blob_unref(bytes);
}

#define NOBODY 0U
#define FIRST_TWO 3U
#define LAST_TWO 6U

static void begin_paxos(void)
{
    checker_init(&checker, &members);
    promise(1, 1, 0);
    promise(2, 1, 0);
}

/* Proves: in a run of Multi-Paxos a slot that was chosen out of order may follow a gap which the
 * next leader closes; if that leader puts itself into the gap, the checker says so at the delivery.
 */
static void test_checker_follows_paxos(void **state)
{
    (void)state;
    for (int is_noop = 1; is_noop >= 0; is_noop--) {
        begin_paxos();
        propose(1, 1, lead(1), FIRST_TWO);
        propose(1, 2, batch(1), NOBODY);
        propose(1, 3, batch(2), FIRST_TWO);
        promise(2, 2, 1);
        promise(3, 2, 1);
        assert_null(checker.rule);
        propose(2, 2, is_noop ? value_noop(2) : lead(2), LAST_TWO);
        assert_int_equal(checker.chosen_prefix, 3);
        if (is_noop) {
            assert_null(checker.rule);
            checker_close(&checker);
        }
    }
    assert_string_equal(checker.rule, GLOBAL_PRIMARY_ORDER);
}

/* Proves: the checker sees a slot that a proposer leaves out. */
static void test_checker_sees_a_slot_left_out(void **state)
{
    (void)state;
    begin_paxos();
    propose(1, 1, lead(1), NOBODY);
    propose(1, 2, batch(1), NOBODY);
    propose(1, 1, lead(1), NOBODY); /* sent again */
    assert_null(checker.rule);
    propose(1, 4, batch(2), NOBODY);
    assert_string_equal(checker.rule, LOCAL_PRIMARY_ORDER);
}

/* Proves: the checker sees commands of a proposer that has not announced itself. */
static void test_checker_sees_commands_too_soon(void **state)
{
    (void)state;
    begin_paxos();
    propose(1, 1, value_noop(0), NOBODY);
    assert_null(checker.rule);
    propose(1, 2, batch(1), NOBODY);
    assert_string_equal(checker.rule, GLOBAL_PRIMARY_ORDER);
}

/* The term of the acceptor, in which it has voted for the leader of that term. */
static void put_term(node_id_t acceptor, uint64_t term)
{
    struct buffer value = {0};
    buffer_put_u64(&value, term);
    put_ballot(&value, term);
    store(acceptor, slice_borrow("t", 1), &value);
    buffer_close(&value);
}

static void put_entry(node_id_t acceptor, slot_t index, uint64_t term)
{
    struct blob *bytes = batch(index);
    put(acceptor, 'e', index, term, bytes);
    blob_unref(bytes);
}

/* Proves: in a log of Raft terms that fall are seen by the checker when the entry is committed. */
static void test_checker_sees_terms_fall(void **state)
{
    (void)state;
    checker_init(&checker, &members);
    raft_rules_install(&checker);
    for (node_id_t id = 1; id <= 2; id++) {
        put_term(id, 2);
        put_entry(id, 1, 2);
        assert_null(checker.rule);
    }
    assert_int_equal(checker.chosen_prefix, 1);
    for (node_id_t id = 1; id <= 2; id++) {
        put_entry(id, 2, 1);
        put_term(id, 3);
        put_entry(id, 3, 3);
    }
    assert_string_equal(checker.rule, GLOBAL_PRIMARY_ORDER);
}

/* Proves: an entry that a leader sent and that is missing before a later one of it is seen. */
static void test_checker_sees_an_entry_missing(void **state)
{
    (void)state;
    checker_init(&checker, &members);
    raft_rules_install(&checker);
    struct blob *bytes = batch(1);
    struct slot_entry sent = {.slot = 1, .ballot = ballot_of(2), .value = slice_of(bytes)};
    struct message msg = {.kind = MSG_APPEND};
    msg.append = (struct msg_append){
        .ballot = ballot_of(2), .prev_index = 0, .entry_count = 1, .entries = &sent};
    checker_on_send(&checker, (struct peer){ROLE_ACCEPTOR, 2}, &msg, NULL);
    blob_unref(bytes);
    for (node_id_t id = 1; id <= 2; id++) {
        put_term(id, 2);
        put_entry(id, 1, 1);
        put_entry(id, 2, 2);
    }
    assert_string_equal(checker.rule, LOCAL_PRIMARY_ORDER);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)
#define CHECKER_TEST(name) cmocka_unit_test_teardown(name, checker_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_raft_loses_a_tail),
        TEST(test_raft_loses_what_came_before),
        TEST(test_raft_goes_back_to_an_earlier_leader),
        TEST(test_raft_two_leaders_of_a_term),
        TEST(test_raft_invents_an_entry),
        TEST(test_raft_leaves_an_entry_out),
        TEST(test_delivery_leaves_a_slot_out),
        TEST(test_paxos_decides_each_slot_by_itself),
        TEST(test_paxos_overtakes_what_was_chosen),
        TEST(test_paxos_leaves_a_slot_out),
        TEST(test_paxos_speaks_before_its_announcement),
        CHECKER_TEST(test_checker_follows_paxos),
        CHECKER_TEST(test_checker_sees_a_slot_left_out),
        CHECKER_TEST(test_checker_sees_commands_too_soon),
        CHECKER_TEST(test_checker_sees_terms_fall),
        CHECKER_TEST(test_checker_sees_an_entry_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
