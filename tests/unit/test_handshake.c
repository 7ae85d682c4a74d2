/* The dialling side of the handshake, as members and as clients run it: every verdict, what each
 * kind of refusal leads to, when hello is said again, and whose messages count. */
#include "common/protocol/handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define INCARNATION 4711U
#define FORMER_INCARNATION 4710U
#define START_MS 50000

static const struct peer member = {ROLE_PROPOSER, 1};
static const struct peer client = {ROLE_CLIENT, INCARNATION};
static const struct peer acceptor_2 = {ROLE_ACCEPTOR, 2};
static const struct peer acceptor_3 = {ROLE_ACCEPTOR, 3};

static const uint32_t final_reasons[] = {REFUSED_VERSION, REFUSED_CLUSTER, REFUSED_IDENTITY};
/* 0 and 99 are no reasons of this version. */
static const uint32_t other_reasons[] = {REFUSED_MALFORMED, REFUSED_KIND, 0, 99};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct dialled_link dialled;

static void dial(struct peer self)
{
    dialled_link_init(&dialled, self, INCARNATION, acceptor_2);
}

/* Dials and connects at START_MS. */
static void connect_as(struct peer self)
{
    dial(self);
    assert_int_equal(dialled_link_on_up(&dialled, START_MS), VERDICT_SAY_HELLO);
}

static enum verdict hear_from(struct peer from, enum message_kind kind, uint64_t echo)
{
    const struct message msg = {.kind = kind, .from = from, .incarnation = 9, .echo = echo};
    return dialled_link_on_message(&dialled, &msg, START_MS);
}

static enum verdict hear(enum message_kind kind, uint64_t echo)
{
    return hear_from(acceptor_2, kind, echo);
}

static enum verdict hear_refusal_from(struct peer from, uint32_t reason, uint64_t echo,
                                      time_ms_t now)
{
    struct message msg = {.kind = MSG_REFUSED, .from = from, .incarnation = 9, .echo = echo};
    msg.refused.reason = reason;
    return dialled_link_on_message(&dialled, &msg, now);
}

static enum verdict hear_refusal(uint32_t reason, time_ms_t now)
{
    return hear_refusal_from(acceptor_2, reason, INCARNATION, now);
}

static void welcome(void)
{
    assert_int_equal(hear(MSG_WELCOME, INCARNATION), VERDICT_PEER_UP);
    assert_true(dialled.is_welcomed);
}

/* Hello is said at that time, and not a millisecond before. */
static void expect_hello_at(time_ms_t at)
{
    assert_int_equal(dialled_link_wake_at(&dialled), at);
    assert_int_equal(dialled_link_on_time(&dialled, at - 1), VERDICT_NOTHING);
    assert_int_equal(dialled_link_on_time(&dialled, at), VERDICT_SAY_HELLO);
}

static void expect_no_hello(void)
{
    assert_true(dialled_link_wake_at(&dialled) == TIME_NEVER);
    assert_int_equal(dialled_link_on_time(&dialled, START_MS + 1000000), VERDICT_NOTHING);
}

/* Proves: hello names both versions and whom the dialler wants. */
static void test_hello(void **state)
{
    (void)state;
    struct message msg;
    dial(member);
    dialled_link_hello(&dialled, &msg);
    assert_int_equal(msg.kind, MSG_HELLO);
    assert_int_equal(msg.hello.version_min, PROTOCOL_VERSION_OLDEST);
    assert_int_equal(msg.hello.version_max, PROTOCOL_VERSION);
    assert_true(peer_equal(msg.hello.wanted, acceptor_2));
    assert_int_equal(msg.echo, 0);
}

/* Proves: nothing is said before the transport connects; then hello, again and again until the
 * welcome, and no more after it. */
static void test_hello_is_repeated_until_welcome(void **state)
{
    (void)state;
    const struct peer selves[] = {member, client};
    for (size_t i = 0; i < COUNT(selves); i++) {
        dial(selves[i]);
        expect_no_hello();
        connect_as(selves[i]);
        assert_true(dialled.is_up && !dialled.is_welcomed);
        expect_hello_at(START_MS + HANDSHAKE_RETRY_MS);
        expect_hello_at(START_MS + 2 * HANDSHAKE_RETRY_MS);
        assert_int_equal(dialled_link_on_time(&dialled, START_MS + 7777), VERDICT_SAY_HELLO);
        expect_hello_at(START_MS + 7777 + HANDSHAKE_RETRY_MS); /* a late one is not caught up on */
        welcome();
        expect_no_hello();
    }
}

/* Proves: a second welcome is no second "up", and one for a former process is none at all. */
static void test_welcome_counts_once_and_for_this_process(void **state)
{
    (void)state;
    connect_as(member);
    assert_int_equal(hear(MSG_WELCOME, FORMER_INCARNATION), VERDICT_NOTHING);
    assert_false(dialled.is_welcomed);
    welcome();
    assert_int_equal(hear(MSG_WELCOME, INCARNATION), VERDICT_NOTHING);
    assert_true(dialled.is_welcomed);
}

/* Proves: a peer that asks whether this process is still there (echo 0) gets a hello, and stays
 * welcome. */
static void test_asked_whether_it_is_there(void **state)
{
    (void)state;
    connect_as(member);
    assert_int_equal(hear(MSG_WELCOME, 0), VERDICT_SAY_HELLO);
    assert_false(dialled.is_welcomed);
    welcome();
    assert_int_equal(hear(MSG_WELCOME, 0), VERDICT_SAY_HELLO);
    assert_true(dialled.is_welcomed);
    expect_no_hello();
}

/* Proves: a link goes down once, and only if it was welcomed; connected again, it begins anew. */
static void test_down(void **state)
{
    (void)state;
    connect_as(member);
    assert_int_equal(dialled_link_on_down(&dialled), VERDICT_NOTHING);
    expect_no_hello();
    connect_as(member);
    welcome();
    assert_int_equal(dialled_link_on_down(&dialled), VERDICT_PEER_DOWN);
    assert_false(dialled.is_up || dialled.is_welcomed);
    assert_int_equal(dialled_link_on_down(&dialled), VERDICT_NOTHING);
    expect_no_hello();
    assert_int_equal(dialled_link_on_up(&dialled, START_MS), VERDICT_SAY_HELLO);
    assert_false(dialled.is_welcomed);
    expect_hello_at(START_MS + HANDSHAKE_RETRY_MS);
    welcome();
}

/* Proves: what is no part of the handshake is delivered if it answers this process or nobody, also
 * before the welcome; an echo of a former process and a hello are not. */
static void test_deliver(void **state)
{
    (void)state;
    connect_as(member);
    assert_int_equal(hear(MSG_ACCEPTED, 0), VERDICT_DELIVER);
    welcome();
    assert_int_equal(hear(MSG_ACCEPTED, 0), VERDICT_DELIVER);
    assert_int_equal(hear(MSG_ACCEPTED, INCARNATION), VERDICT_DELIVER);
    assert_int_equal(hear(MSG_ACCEPTED, FORMER_INCARNATION), VERDICT_NOTHING);
    assert_int_equal(hear(MSG_HELLO, 0), VERDICT_NOTHING);
}

/* Proves: nothing that another process than the dialled one says counts. */
static void test_wrong_peer(void **state)
{
    (void)state;
    const struct peer learner_2 = {ROLE_LEARNER, 2};
    const struct peer selves[] = {member, client};
    for (size_t i = 0; i < COUNT(selves); i++) {
        connect_as(selves[i]);
        assert_int_equal(hear_from(acceptor_3, MSG_WELCOME, INCARNATION), VERDICT_WRONG_PEER);
        assert_int_equal(hear_from(learner_2, MSG_WELCOME, INCARNATION), VERDICT_WRONG_PEER);
        assert_int_equal(hear_from(acceptor_3, MSG_WELCOME, 0), VERDICT_WRONG_PEER);
        assert_int_equal(hear_from(acceptor_3, MSG_ACCEPTED, 0), VERDICT_WRONG_PEER);
        assert_false(dialled.is_welcomed);
        expect_hello_at(START_MS + HANDSHAKE_RETRY_MS);
    }
}

/* Proves: reasons fall into three classes, unknown ones into the mildest. */
static void test_classes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(final_reasons); i++) {
        assert_int_equal(refusal_classify(final_reasons[i]), REFUSAL_FINAL);
    }
    for (size_t i = 0; i < COUNT(other_reasons); i++) {
        assert_int_equal(refusal_classify(other_reasons[i]), REFUSAL_OTHER);
    }
    assert_int_equal(refusal_classify(REFUSED_DUPLICATE), REFUSAL_DUPLICATE);
}

/* Proves: a member goes on asking after every refusal, slowly unless it is called a duplicate, and
 * a refusal of one frame does not take back the welcome. */
static void test_member_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(final_reasons) + COUNT(other_reasons); i++) {
        uint32_t reason =
            i < COUNT(final_reasons) ? final_reasons[i] : other_reasons[i - COUNT(final_reasons)];
        connect_as(member);
        assert_int_equal(hear_refusal(reason, START_MS + 10), VERDICT_REFUSED);
        assert_false(dialled.is_refused || dialled.is_duplicate);
        expect_hello_at(START_MS + 10 + HANDSHAKE_REFUSED_RETRY_MS);
        welcome();
        assert_int_equal(hear_refusal(reason, START_MS + 10), VERDICT_REFUSED);
        assert_true(dialled.is_welcomed);
        expect_no_hello();
    }
}

/* Proves: a duplicate is no longer welcome, asks at the usual pace, and is called one until it is
 * welcomed or the connection breaks; another refusal does not change that. */
static void test_member_is_duplicate(void **state)
{
    (void)state;
    connect_as(member);
    welcome();
    assert_int_equal(hear_refusal(REFUSED_DUPLICATE, START_MS + 10), VERDICT_REFUSED);
    assert_true(dialled.is_duplicate && !dialled.is_welcomed && !dialled.is_refused);
    expect_hello_at(START_MS + 10 + HANDSHAKE_RETRY_MS);
    assert_int_equal(hear_refusal(REFUSED_KIND, START_MS), VERDICT_REFUSED);
    assert_true(dialled.is_duplicate);
    welcome();
    assert_false(dialled.is_duplicate);
    assert_int_equal(hear_refusal(REFUSED_DUPLICATE, START_MS), VERDICT_REFUSED);
    assert_int_equal(dialled_link_on_down(&dialled), VERDICT_NOTHING);
    assert_false(dialled.is_duplicate);
}

/* Proves: a member takes a refusal from whoever answers at the address, and to whomever: it says
 * what a person has to correct. */
static void test_member_is_refused_by_another(void **state)
{
    (void)state;
    connect_as(member);
    assert_int_equal(hear_refusal_from(acceptor_3, REFUSED_IDENTITY, INCARNATION, START_MS),
                     VERDICT_REFUSED);
    assert_int_equal(hear_refusal_from(acceptor_2, REFUSED_IDENTITY, FORMER_INCARNATION, START_MS),
                     VERDICT_REFUSED);
    expect_hello_at(START_MS + HANDSHAKE_REFUSED_RETRY_MS);
}

/* Proves: a client that is refused for good asks no more until the transport connects again, which
 * a broken connection alone is not; a welcome that was under way is taken. */
static void test_client_is_refused_for_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(final_reasons); i++) {
        connect_as(client);
        welcome();
        assert_int_equal(hear_refusal(final_reasons[i], START_MS), VERDICT_REFUSED);
        assert_true(dialled.is_refused && !dialled.is_welcomed);
        expect_no_hello();
        assert_int_equal(dialled_link_on_down(&dialled), VERDICT_NOTHING);
        assert_true(dialled.is_refused);
        expect_no_hello();
        assert_int_equal(dialled_link_on_up(&dialled, START_MS), VERDICT_SAY_HELLO);
        assert_false(dialled.is_refused);
        expect_hello_at(START_MS + HANDSHAKE_RETRY_MS);
        assert_int_equal(hear_refusal(final_reasons[i], START_MS), VERDICT_REFUSED);
        welcome();
        assert_false(dialled.is_refused);
    }
}

/* Proves: after any other refusal a client shakes hands again, not faster than the timer. */
static void test_client_is_refused_for_now(void **state)
{
    (void)state;
    connect_as(client);
    for (size_t i = 0; i < COUNT(other_reasons); i++) {
        welcome();
        assert_int_equal(hear_refusal(other_reasons[i], START_MS), VERDICT_REFUSED);
        assert_false(dialled.is_refused || dialled.is_welcomed);
        expect_hello_at(START_MS + HANDSHAKE_REFUSED_RETRY_MS);
    }
    welcome();
    assert_int_equal(hear_refusal(REFUSED_DUPLICATE, START_MS), VERDICT_REFUSED);
    assert_false(dialled.is_refused || dialled.is_welcomed);
    expect_hello_at(START_MS + HANDSHAKE_RETRY_MS);
}

/* Proves: a client's link is not ended by another process, nor by an answer to another one. A
 * refusal that echoes nobody is for every receiver: the peer could not read what it refuses. */
static void test_client_is_refused_by_the_peer_alone(void **state)
{
    (void)state;
    connect_as(client);
    welcome();
    assert_int_equal(hear_refusal_from(acceptor_3, REFUSED_CLUSTER, INCARNATION, START_MS),
                     VERDICT_WRONG_PEER);
    assert_int_equal(hear_refusal_from(acceptor_2, REFUSED_CLUSTER, FORMER_INCARNATION, START_MS),
                     VERDICT_NOTHING);
    assert_true(dialled.is_welcomed && !dialled.is_refused);
    assert_int_equal(hear_refusal_from(acceptor_2, REFUSED_CLUSTER, 0, START_MS), VERDICT_REFUSED);
    assert_true(dialled.is_refused);
}

/* Proves: bytes of another cluster or version refuse a client for good; other bytes that are no
 * message, and any to a member, change nothing. */
static void test_undecodable(void **state)
{
    (void)state;
    const enum refusal lasting[] = {REFUSED_CLUSTER, REFUSED_VERSION};
    for (size_t i = 0; i < COUNT(lasting); i++) {
        connect_as(member);
        welcome();
        assert_int_equal(dialled_link_on_undecodable(&dialled, lasting[i]), VERDICT_NOTHING);
        assert_true(dialled.is_welcomed && !dialled.is_refused);
        connect_as(client);
        welcome();
        assert_int_equal(dialled_link_on_undecodable(&dialled, REFUSED_MALFORMED), VERDICT_NOTHING);
        assert_int_equal(dialled_link_on_undecodable(&dialled, REFUSED_KIND), VERDICT_NOTHING);
        assert_true(dialled.is_welcomed);
        assert_int_equal(dialled_link_on_undecodable(&dialled, lasting[i]), VERDICT_REFUSED);
        assert_true(dialled.is_refused && !dialled.is_welcomed);
        expect_no_hello();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello),
        cmocka_unit_test(test_hello_is_repeated_until_welcome),
        cmocka_unit_test(test_welcome_counts_once_and_for_this_process),
        cmocka_unit_test(test_asked_whether_it_is_there),
        cmocka_unit_test(test_down),
        cmocka_unit_test(test_deliver),
        cmocka_unit_test(test_wrong_peer),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_member_is_refused),
        cmocka_unit_test(test_member_is_duplicate),
        cmocka_unit_test(test_member_is_refused_by_another),
        cmocka_unit_test(test_client_is_refused_for_good),
        cmocka_unit_test(test_client_is_refused_for_now),
        cmocka_unit_test(test_client_is_refused_by_the_peer_alone),
        cmocka_unit_test(test_undecodable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
