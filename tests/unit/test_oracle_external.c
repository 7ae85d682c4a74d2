/* The oracle outside: whom a word names and for how long, when it counts for nothing, what it never
 * does, and what is answered to who said it. */
#include "proposer/oracle/oracle.h"
#include "proposer/proposer.h"
#include "tests/unit/core_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ELECTION_MS 500
#define HEARTBEAT_MS 50

/* ---- the oracle by itself: proposers 1, 2 and 3, all fit unless a test says otherwise */

struct fixture {
    struct members members;
    struct settings settings;
    struct oracle_view view;
    struct oracle oracle;
    struct effects fx;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->members = kit_members(3, 3, 1);
    settings_init(&f->settings);
    f->settings.kind = ORACLE_EXTERNAL;
    f->view = (struct oracle_view){.now = 1000000,
                                   .self = 1,
                                   .heartbeat_ms = HEARTBEAT_MS,
                                   .election_ms = ELECTION_MS,
                                   .members = &f->members,
                                   .settings = &f->settings,
                                   .candidate_count = 3};
    for (size_t i = 0; i < 3; i++) {
        f->view.candidates[i] =
            (struct oracle_candidate){.id = (node_id_t)i + 1, .is_alive = 1, .reaches_quorum = 1};
    }
    effects_init(&f->fx);
    oracle_begin(&f->oracle, &f->view, 1, &f->fx);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    oracle_close(&f->oracle);
    effects_close(&f->fx);
    free(f);
    return 0;
}

static void say(struct fixture *f, node_id_t proposer, uint32_t valid_ms)
{
    struct message msg = kit_from(ROLE_CLIENT, 4242, 4242, MSG_NAME);
    msg.name = (struct msg_name){.request = 7, .proposer = proposer, .valid_ms = valid_ms};
    oracle_on_message(&f->oracle, &f->view, &msg, &f->fx);
    assert_int_equal(f->fx.send_count, 0);
}

/* What the view shows has changed, or time has passed. */
static void tick(struct fixture *f, time_ms_t ms)
{
    f->view.now += ms;
    oracle_tick(&f->oracle, &f->view, &f->fx);
    assert_true(f->oracle.due_at > f->view.now); /* or the loop would spin */
}

static node_id_t named(const struct fixture *f)
{
    return oracle_names(&f->oracle, &f->view);
}

static void assert_explains(const struct fixture *f, const char *words)
{
    char text[401];
    oracle_explain(&f->oracle, &f->view, text, sizeof text);
    if (strstr(text, words) == NULL || strlen(text) >= sizeof text - 1) {
        fail_msg("it says \"%s\", and not \"%s\"", text, words);
    }
}

/* Proves: without a word the choice is that of `connected`. */
static void test_without_a_word(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(named(f), 3);
    assert_explains(f, "no oracle outside names anybody, so the live proposer of highest rank");
    f->view.leader = 1;
    assert_int_equal(named(f), 1);
    assert_explains(f, "no oracle outside names anybody, so the one that serves a quorum stays");
    f->view.leader = 0;
    f->view.candidates[2].is_alive = 0;
    assert_int_equal(named(f), 2);
}

/* Proves: a word names until it runs out, not a millisecond longer; saying it again prolongs it. */
static void test_word_runs_out(void **state)
{
    struct fixture *f = *state;
    say(f, 1, 300);
    assert_int_equal(named(f), 1);
    assert_explains(f, "names proposer 1, for 300 ms more");
    tick(f, 200);
    say(f, 1, 300);
    tick(f, 299);
    assert_int_equal(named(f), 1);
    tick(f, 1);
    assert_int_equal(named(f), 3);
    assert_explains(f, "ran out 0 ms ago");
}

/* Proves: whatever a program says, its word does not outlast WORD_MS_MAX. */
static void test_word_is_bounded(void **state)
{
    struct fixture *f = *state;
    say(f, 1, UINT32_MAX);
    tick(f, (time_ms_t)WORD_MS_MAX - 1);
    assert_int_equal(named(f), 1);
    tick(f, 1);
    assert_int_equal(named(f), 3);
}

/* Proves: a word about 0, or for no time, takes the last one back. */
static void test_word_is_taken_back(void **state)
{
    struct fixture *f = *state;
    say(f, 1, 60000);
    say(f, 0, 60000);
    assert_int_equal(named(f), 3);
    assert_explains(f, "no oracle outside names anybody");
    say(f, 1, 60000);
    say(f, 2, 0);
    assert_int_equal(named(f), 3);
}

/* Proves: of several programs the last word wins. */
static void test_last_word_wins(void **state)
{
    struct fixture *f = *state;
    say(f, 1, 60000);
    say(f, 2, 100);
    assert_int_equal(named(f), 2);
    tick(f, 100);
    assert_int_equal(named(f), 3); /* the one before does not come back */
}

/* Proves: a word about one that could not lead is passed over as long as that is so. */
static void test_unfit(void **state)
{
    struct fixture *f = *state;
    struct oracle_candidate *first = &f->view.candidates[0];
    say(f, 1, 60000);
    first->is_alive = 0;
    assert_int_equal(named(f), 3);
    assert_explains(f, "proposer 1 (for 60000 ms more), which is silent");
    *first = (struct oracle_candidate){.id = 1, .is_alive = 1};
    assert_int_equal(named(f), 3);
    assert_explains(f, "reaches no quorum");
    *first = (struct oracle_candidate){.id = 1, .is_alive = 1, .reaches_quorum = 1, .is_barred = 1};
    assert_int_equal(named(f), 3);
    assert_explains(f, "must not lead");
    first->is_barred = 0;
    assert_int_equal(named(f), 1);
}

/* Proves: no word unseats who serves; it counts for who comes after. */
static void test_leader_stays(void **state)
{
    struct fixture *f = *state;
    f->view.leader = 2;
    tick(f, 10);
    say(f, 1, 60000);
    assert_int_equal(named(f), 2);
    assert_explains(f, "when the leader is gone");
    f->view.leader = 0; /* as the leader itself asks, for its successor */
    f->view.candidates[1].is_alive = 0;
    assert_int_equal(named(f), 1);
}

/* Proves: a word that has not made anybody lead two election timeouts after that became possible
 * counts no more, however often it is said; and counts again when somebody led. */
static void test_word_in_vain(void **state)
{
    struct fixture *f = *state;
    say(f, 1, 60000);
    tick(f, 5000); /* nobody could campaign meanwhile: that is not the word's fault */
    f->view.is_open = 1;
    tick(f, 0);
    tick(f, 2 * ELECTION_MS - 1);
    say(f, 1, 60000);
    tick(f, 0);
    assert_int_equal(named(f), 1);
    assert_int_equal(f->oracle.due_at, f->view.now + 1);
    f->view.is_open = 0; /* a campaign of its own that fails is no reason for more patience */
    tick(f, 0);
    f->view.is_open = 1;
    tick(f, 1);
    assert_int_equal(named(f), 3);
    assert_explains(f, "had 1000 ms to lead and does not");
    say(f, 2, 60000);
    assert_int_equal(named(f), 3);
    f->view.is_open = 0;
    f->view.leader = 3;
    tick(f, 100);
    f->view.leader = 0;
    f->view.is_open = 1;
    tick(f, 100);
    assert_int_equal(named(f), 2);
    tick(f, 2 * ELECTION_MS);
    assert_int_equal(named(f), 3);
    f->view.is_open = 0; /* no quorum for a while: that is not the word's fault, either */
    f->view.candidates[0].reaches_quorum = 0;
    tick(f, 100);
    f->view.is_open = 1;
    f->view.candidates[0].reaches_quorum = 1;
    tick(f, 100);
    assert_int_equal(named(f), 2);
}

/* Proves: messages of other oracles, and other settings, leave no word behind. */
static void test_begins_anew(void **state)
{
    struct fixture *f = *state;
    struct message msg = kit_from(ROLE_ACCEPTOR, 1, 9, MSG_LEASED);
    say(f, 1, 60000);
    oracle_on_message(&f->oracle, &f->view, &msg, &f->fx);
    assert_int_equal(named(f), 1);
    f->settings.version = 1;
    oracle_begin(&f->oracle, &f->view, 1, &f->fx);
    assert_int_equal(named(f), 3);
    say(f, 1, 60000);
    assert_int_equal(named(f), 1);
}

/* ---- within a proposer: 1 of 2, the other one alive and of higher rank */

struct node {
    struct core_kit kit;
    struct proposer *proposer;
};

static void open_node(struct node *n, enum oracle_kind kind)
{
    kit_open(&n->kit);
    struct proposer_options options = {.id = 1,
                                       .incarnation = 77,
                                       .seed = 1,
                                       .members = kit_members(3, 2, 1),
                                       .heartbeat_ms = HEARTBEAT_MS,
                                       .election_ms = ELECTION_MS};
    settings_init(&options.settings);
    options.settings.kind = kind;
    n->proposer = proposer_new(&options);
    n->kit.core = proposer_core(n->proposer);
    kit_event(&n->kit, EVENT_START);
    kit_flush(&n->kit);
    uint64_t sequence = kit_sent(&n->kit, MSG_HEARTBEAT, 0)->msg.heartbeat.sequence;
    kit_end(&n->kit);
    for (uint64_t acceptor = 1; acceptor <= 3; acceptor++) {
        struct proposer_report heard[2] = {{1, 0, 1, 0}, {2, 0, 1, 0}};
        struct message msg = kit_from(ROLE_ACCEPTOR, acceptor, 200 + acceptor, MSG_REPORT);
        msg.report =
            (struct msg_report){.sequence = sequence, .proposer_count = 2, .proposers = heard};
        kit_message(&n->kit, &msg);
    }
    kit_flush(&n->kit);
    assert_int_equal(kit_sent_count(&n->kit, MSG_PREPARE), 0); /* 2 ranks higher */
    kit_end(&n->kit);
}

static void close_node(struct node *n)
{
    effects_clear(&n->kit.fx);
    proposer_free(n->proposer);
    kit_close(&n->kit);
}

/* Sends a word and returns the status of its answer, which stays in fx with what followed. */
static uint32_t tell(struct node *n, node_id_t proposer)
{
    struct message msg = kit_from(ROLE_CLIENT, 4242, 4242, MSG_NAME);
    msg.name = (struct msg_name){.request = 9, .proposer = proposer, .valid_ms = 60000};
    kit_message(&n->kit, &msg);
    kit_flush(&n->kit);
    const struct outgoing *reply = kit_sent(&n->kit, MSG_NAMED, 0);
    assert_non_null(reply);
    assert_true(peer_equal(reply->to, msg.from));
    assert_int_equal(reply->msg.echo, msg.incarnation);
    assert_int_equal(reply->msg.named.request, 9);
    assert_int_equal(reply->msg.named.leader, 0);
    return reply->msg.named.status;
}

/* Proves: a proposer that is told its own name campaigns, though another one ranks higher. */
static void test_proposer_campaigns(void **state)
{
    (void)state;
    struct node n;
    open_node(&n, ORACLE_EXTERNAL);
    assert_int_equal(tell(&n, 1), NAME_TAKEN);
    assert_int_equal(kit_sent_count(&n.kit, MSG_PREPARE), 1);
    close_node(&n);
}

/* Proves: words about strangers, and words that no oracle of this cluster asks for, are answered
 * so and change nothing. */
static void test_proposer_refuses(void **state)
{
    (void)state;
    struct node n;
    open_node(&n, ORACLE_EXTERNAL);
    assert_int_equal(tell(&n, 3), NAME_UNKNOWN);
    assert_int_equal(kit_sent_count(&n.kit, MSG_PREPARE), 0);
    close_node(&n);
    open_node(&n, ORACLE_CONNECTED);
    assert_int_equal(tell(&n, 1), NAME_NOT_ASKED);
    assert_int_equal(kit_sent_count(&n.kit, MSG_PREPARE), 0);
    close_node(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_without_a_word, setup, teardown),
        cmocka_unit_test_setup_teardown(test_word_runs_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_word_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_word_is_taken_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_last_word_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unfit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_leader_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_word_in_vain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_begins_anew, setup, teardown),
        cmocka_unit_test(test_proposer_campaigns),
        cmocka_unit_test(test_proposer_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
