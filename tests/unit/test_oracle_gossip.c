/* The oracle `gossip`: the dead are found out, the living refute it, one lost link or message is no
 * death, a partition heals within the bound, and what it sends does not grow with the members. */
#include "tests/unit/oracle_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HEARTBEAT_MS 50
#define ELECTION_MS 500

/* The acceptors know nothing better: gossip alone tells who lives. */
static void all_seem_fit(struct oracle_kit *kit, size_t node, struct oracle_view *view)
{
    (void)kit;
    (void)node;
    for (size_t i = 0; i < view->candidate_count; i++) {
        view->candidates[i].is_alive = 1;
        view->candidates[i].reaches_quorum = 1;
    }
}

static struct oracle_kit *begin(size_t proposers, uint64_t seed)
{
    struct oracle_kit_options options = {
        .proposers = proposers,
        .settings = oracle_kit_settings(ORACLE_GOSSIP, proposers, NULL),
        .seed = seed,
    };
    struct oracle_kit *kit = oracle_kit_new(&options);
    kit->adjust = all_seem_fit;
    oracle_kit_open_gate(kit);
    return kit;
}

static time_ms_t bound(const struct oracle_kit *kit)
{
    struct oracle_view view;
    oracle_kit_view(kit, 0, &view);
    return oracle_gossip.bound_ms(&view);
}

static uint64_t sent(const struct oracle_kit *kit)
{
    return kit->sent[ORACLE_PING] + kit->sent[ORACLE_PING_REQUEST] + kit->sent[ORACLE_ACK];
}

static void assert_all_name(const struct oracle_kit *kit, node_id_t id)
{
    for (size_t i = 0; i < kit->options.proposers; i++) {
        if (kit->nodes[i].is_up) {
            assert_int_equal(oracle_kit_name(kit, i), id);
        }
    }
}

/* How long until all that are up name this one; -1: not within for_ms. */
static time_ms_t run_until_all_name(struct oracle_kit *kit, node_id_t id, time_ms_t for_ms)
{
    for (time_ms_t ms = 0; ms < for_ms; ms += 5) {
        if (oracle_kit_named(kit) == id) {
            return ms;
        }
        oracle_kit_run(kit, 5);
    }
    return -1;
}

static int says(const struct oracle_kit *kit, const char *part)
{
    for (size_t i = 0; i < kit->options.proposers; i++) {
        if (kit->nodes[i].is_up && strstr(oracle_kit_explain(kit, i), part) != NULL) {
            return 1;
        }
    }
    return 0;
}

/* ---- load */

/* Not a hook that loses: it looks at what is sent. */
static int note_rumors(struct oracle_kit *kit, size_t from, size_t to, const struct message *msg)
{
    (void)from;
    (void)to;
    uint32_t *most = kit->arg;
    *most = msg->oracle.rumor_count > *most ? msg->oracle.rumor_count : *most;
    return 0;
}

/* A ping and an answer a period and member, whether there are 3 or 25; and in each message at most
 * six rumours, also while many die and return. */
static void test_load_does_not_grow(void **state)
{
    (void)state;
    static const size_t sizes[] = {2, 3, 9, 25, 32};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        uint32_t rumors = 0;
        struct oracle_kit *kit = begin(sizes[s], s);
        kit->arg = &rumors;
        kit->loses = note_rumors;
        oracle_kit_run(kit, 20 * HEARTBEAT_MS);
        oracle_kit_forget_counts(kit);
        oracle_kit_run(kit, 100 * HEARTBEAT_MS);
        assert_int_equal(kit->sent[ORACLE_PING_REQUEST], 0);
        assert_in_range(kit->sent[ORACLE_PING], 99 * sizes[s], 101 * sizes[s]);
        assert_in_range(kit->sent[ORACLE_ACK], 99 * sizes[s], 101 * sizes[s]);
        for (size_t i = 1; i < sizes[s]; i += 2) {
            oracle_kit_kill(kit, i);
        }
        oracle_kit_forget_counts(kit);
        oracle_kit_run(kit, 50 * HEARTBEAT_MS);
        assert_true(sent(kit) <= 14 * 50 * sizes[s]);
        for (size_t i = 1; i < sizes[s]; i += 2) {
            oracle_kit_start(kit, i);
        }
        oracle_kit_run(kit, 50 * HEARTBEAT_MS);
        assert_true(rumors <= 6);
        oracle_kit_free(kit);
    }
}

/* ---- death and life */

/* One that dies is suspected, stays named while it is only suspected, and is not named any more
 * within the bound. */
static void test_dead_is_found_out(void **state)
{
    (void)state;
    static const node_id_t sizes[] = {2, 3, 5, 9, 25};
    for (size_t s = 0; s < 5; s++) {
        struct oracle_kit *kit = begin(sizes[s], s);
        oracle_kit_run(kit, ELECTION_MS);
        assert_all_name(kit, sizes[s]);
        oracle_kit_kill(kit, sizes[s] - 1);
        time_ms_t died_at = kit->now;
        while (!says(kit, "suspected: ")) {
            oracle_kit_run(kit, 5);
            assert_all_name(kit, sizes[s]);
        }
        assert_true(run_until_all_name(kit, sizes[s] - 1, bound(kit)) > 0);
        time_ms_t took_ms = kit->now - died_at;
        assert_true(took_ms <= bound(kit));
        print_message("# %u proposers: dead to all after %lld ms, bound %lld\n", sizes[s],
                      (long long)took_ms, (long long)bound(kit));
        assert_true(says(kit, "held dead: "));
        oracle_kit_free(kit);
    }
}

/* It returns without a memory, finds that it is dead, and refutes that. */
static void test_restarted_is_taken_back(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct oracle_kit *kit = begin(5, seed);
        oracle_kit_kill(kit, 4);
        assert_true(run_until_all_name(kit, 4, bound(kit)) >= 0);
        oracle_kit_start(kit, 4);
        assert_true(run_until_all_name(kit, 5, bound(kit)) >= 0);
        oracle_kit_kill(kit, 4); /* and dies under the higher version, too */
        assert_true(run_until_all_name(kit, 4, bound(kit)) >= 0);
        oracle_kit_free(kit);
    }
}

static void say(struct oracle_kit *kit, size_t from, size_t to, struct msg_oracle msg,
                struct rumor *rumor)
{
    msg.kind = ORACLE_GOSSIP;
    msg.rumors = rumor;
    msg.rumor_count = rumor != NULL;
    oracle_kit_inject(kit, from, to, &msg, 1);
    oracle_kit_run(kit, 5);
}

/* A false word is refuted by the one that it is about, and by nobody else. */
static void test_false_word_is_refuted(void **state)
{
    (void)state;
    struct oracle_kit *kit = begin(5, 1);
    oracle_kit_run(kit, ELECTION_MS);
    struct rumor dead = {.proposer = 5, .state = RUMOR_DEAD, .version = 0};
    say(kit, 1, 0, (struct msg_oracle){.type = ORACLE_PING, .subject = 2}, &dead);
    assert_int_equal(oracle_kit_name(kit, 0), 4);
    assert_true(run_until_all_name(kit, 5, bound(kit)) >= 0);
    oracle_kit_run(kit, ELECTION_MS);
    assert_all_name(kit, 5);
    say(kit, 1, 0, (struct msg_oracle){.type = ORACLE_PING, .subject = 2}, &dead);
    assert_all_name(kit, 5); /* the word is known to be old now */
    oracle_kit_free(kit);
}

/* A late copy of what a dead one said when it lived proves nothing. */
static void test_late_copy_revives_nobody(void **state)
{
    (void)state;
    struct oracle_kit *kit = begin(3, 2);
    oracle_kit_kill(kit, 2);
    assert_true(run_until_all_name(kit, 2, bound(kit)) >= 0);
    struct rumor alive = {.proposer = 3, .state = RUMOR_ALIVE, .version = 0};
    for (size_t i = 0; i < 2; i++) {
        say(kit, 2, i, (struct msg_oracle){.type = ORACLE_PING, .subject = 3}, &alive);
        say(kit, 2, i, (struct msg_oracle){.type = ORACLE_ACK, .subject = (node_id_t)i + 1},
            &alive);
    }
    assert_all_name(kit, 2);
    oracle_kit_free(kit);
}

/* The newest probe of each that lives, as it goes out. */
static int note_probe(struct oracle_kit *kit, size_t from, size_t to, const struct message *msg)
{
    (void)to;
    uint64_t *probes = kit->arg;
    if (msg->oracle.type == ORACLE_PING && msg->oracle.subject == from + 1) {
        probes[from] = msg->oracle.round;
    }
    return 0;
}

/* A late answer to an older probe says nothing of whom the newer one is for: a dead one is found
 * out, however often others answer late. */
static void test_late_answer_is_to_its_own_probe(void **state)
{
    (void)state;
    struct oracle_kit *kit = begin(3, 4);
    uint64_t probes[3] = {0};
    kit->arg = probes;
    kit->loses = note_probe;
    oracle_kit_kill(kit, 2);
    time_ms_t died_at = kit->now;
    while (oracle_kit_named(kit) != 2 && kit->now - died_at < bound(kit)) {
        for (node_id_t id = 1; id <= 2; id++) {
            say(kit, 2 - id, id - 1,
                (struct msg_oracle){.type = ORACLE_ACK, .round = probes[id - 1] - 1, .subject = id},
                NULL);
        }
    }
    assert_all_name(kit, 2);
    oracle_kit_free(kit);
}

/* Nobody that does not exist is spoken of, or to; and no number is too large. */
static void test_nonsense_is_ignored(void **state)
{
    (void)state;
    struct oracle_kit *kit = begin(3, 3);
    oracle_kit_run(kit, ELECTION_MS);
    struct rumor stranger = {.proposer = 77, .state = RUMOR_DEAD, .version = 1};
    struct rumor huge = {.proposer = 3, .state = RUMOR_DEAD, .version = UINT64_MAX};
    static const uint32_t types[] = {ORACLE_PING, ORACLE_PING_REQUEST, ORACLE_ACK, ORACLE_TOKEN};
    for (size_t i = 0; i < 4; i++) {
        for (size_t to = 0; to < 3; to++) {
            size_t from = (to + 1) % 3;
            say(kit, from, to, (struct msg_oracle){.type = types[i], .subject = 77}, &stranger);
            say(kit, from, to, (struct msg_oracle){.type = types[i], .subject = 0}, &huge);
            say(kit, from, to, (struct msg_oracle){.type = types[i], .subject = (node_id_t)to + 1},
                &huge);
            say(kit, from, to,
                (struct msg_oracle){.type = types[i], .subject = (node_id_t)from + 1}, &stranger);
        }
    }
    assert_all_name(kit, 3);
    oracle_kit_free(kit);
}

/* ---- bad links */

/* Two that do not reach each other at all hear of each other through the rest. */
static void test_others_ping_for_it(void **state)
{
    (void)state;
    struct oracle_kit *kit = begin(5, 4);
    oracle_kit_cut(kit, 0, 4, 1);
    for (int i = 0; i < 400; i++) {
        oracle_kit_run(kit, HEARTBEAT_MS / 2);
        assert_all_name(kit, 5);
        assert_false(says(kit, "suspected"));
    }
    assert_true(kit->sent[ORACLE_PING_REQUEST] > 0);
    oracle_kit_free(kit);
}

/* A fifth of all messages is lost, a fifth comes again later: there are suspicions, and hardly a
 * death; and within the bound all is known to be well. */
static void test_losses_are_no_deaths(void **state)
{
    (void)state;
    size_t wrong = 0, samples = 0, suspicions = 0;
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct oracle_kit *kit = begin(5, seed);
        kit->options.lost_percent = 20;
        kit->options.doubled_percent = 20;
        kit->options.doubled_late_ms = 3 * ELECTION_MS;
        for (int i = 0; i < 400; i++, samples++) {
            oracle_kit_run(kit, HEARTBEAT_MS);
            wrong += oracle_kit_named(kit) != 5;
            suspicions += says(kit, "suspected") != 0;
        }
        kit->options.lost_percent = 0;
        assert_true(run_until_all_name(kit, 5, bound(kit)) >= 0);
        oracle_kit_free(kit);
    }
    print_message("# wrong in %zu of %zu samples, suspicions in %zu\n", wrong, samples, suspicions);
    assert_true(suspicions > 0);
    assert_true(wrong < samples / 100);
}

static void cut_in_two(struct oracle_kit *kit, int is_cut)
{
    size_t half = kit->options.proposers / 2;
    for (size_t a = 0; a < half; a++) {
        for (size_t b = half; b < kit->options.proposers; b++) {
            oracle_kit_cut(kit, a, b, is_cut);
        }
    }
}

/* Both sides hold each other dead, for longer than any rumour is told; within the bound after the
 * healing all name the same. */
static void test_partition_heals(void **state)
{
    (void)state;
    static const node_id_t sizes[] = {2, 3, 5, 9, 25};
    for (size_t s = 0; s < 5; s++) {
        time_ms_t most = 0, bound_ms = 0;
        for (uint64_t seed = 0; seed < 40; seed++) {
            struct oracle_kit *kit = begin(sizes[s], seed);
            cut_in_two(kit, 1);
            oracle_kit_run(kit, 10 * ELECTION_MS);
            assert_int_equal(oracle_kit_named(kit), 0);
            assert_int_equal(oracle_kit_name(kit, 0), sizes[s] / 2);
            assert_int_equal(oracle_kit_name(kit, sizes[s] - 1), sizes[s]);
            cut_in_two(kit, 0);
            bound_ms = bound(kit);
            time_ms_t took_ms = run_until_all_name(kit, sizes[s], bound_ms);
            assert_true(took_ms >= 0);
            most = took_ms > most ? took_ms : most;
            oracle_kit_free(kit);
        }
        print_message("# %u proposers: healed after %lld ms at most, bound %lld\n", sizes[s],
                      (long long)most, (long long)bound_ms);
    }
}

/* ---- by itself */

/* Who has slept through a suspicion has not heard the refutation: it buries nobody for that. */
static void test_sleeper_judges_nobody(void **state)
{
    (void)state;
    struct oracle_kit *kit = begin(2, 5);
    oracle_kit_run(kit, ELECTION_MS);
    oracle_kit_cut(kit, 0, 1, 1);
    while (!says(kit, "suspected")) {
        oracle_kit_run(kit, 5);
    }
    oracle_kit_cut(kit, 0, 1, 0);
    kit->now += 4 * ELECTION_MS; /* both sleep */
    oracle_kit_run(kit, 1);
    assert_all_name(kit, 2);
    assert_false(says(kit, "dead"));
    oracle_kit_run(kit, 2 * ELECTION_MS);
    assert_false(says(kit, "suspected"));
    oracle_kit_free(kit);
}

/* Alive is not enough: who must not lead, or reaches no quorum, is passed over. And who serves is
 * named whatever gossip says. */
static void test_only_the_fit_are_named(void **state)
{
    (void)state;
    static const uint32_t priorities[] = {1, 9, 5};
    struct oracle_kit_options options = {
        .proposers = 3, .settings = oracle_kit_settings(ORACLE_GOSSIP, 3, priorities)};
    options.settings.candidates[2].is_barred = 1;
    struct oracle_kit *kit = oracle_kit_new(&options);
    assert_all_name(kit, 1);
    assert_non_null(strstr(oracle_kit_explain(kit, 0), "proposer 1 serves a quorum, and stays"));
    oracle_kit_open_gate(kit);
    assert_all_name(kit, 2);
    assert_non_null(strstr(oracle_kit_explain(kit, 0), "proposer 2 ranks highest of those that"));
    kit->nodes[1].has_no_quorum = 1; /* it hears of nobody: the third is asked */
    assert_int_equal(oracle_kit_name(kit, 2), 1);
    kit->nodes[0].has_no_quorum = 1;
    assert_int_equal(oracle_kit_name(kit, 2), 0);
    assert_non_null(strstr(oracle_kit_explain(kit, 2), "no proposer that gossip holds alive"));
    oracle_kit_free(kit);
}

static void test_bound(void **state)
{
    (void)state;
    struct oracle_kit *kit = begin(3, 0);
    assert_int_equal(bound(kit), 3 * 2 * HEARTBEAT_MS + 2 * ELECTION_MS);
    oracle_kit_free(kit);
    kit = begin(25, 0);
    assert_int_equal(bound(kit), 3 * 5 * HEARTBEAT_MS + 2 * ELECTION_MS);
    oracle_kit_free(kit);
    kit = begin(1, 0);
    oracle_kit_run(kit, 2 * ELECTION_MS);
    assert_all_name(kit, 1); /* alone, it has nobody to ask */
    assert_int_equal(sent(kit), 0);
    oracle_kit_free(kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load_does_not_grow),
        cmocka_unit_test(test_dead_is_found_out),
        cmocka_unit_test(test_restarted_is_taken_back),
        cmocka_unit_test(test_false_word_is_refuted),
        cmocka_unit_test(test_late_copy_revives_nobody),
        cmocka_unit_test(test_late_answer_is_to_its_own_probe),
        cmocka_unit_test(test_nonsense_is_ignored),
        cmocka_unit_test(test_others_ping_for_it),
        cmocka_unit_test(test_losses_are_no_deaths),
        cmocka_unit_test(test_partition_heals),
        cmocka_unit_test(test_sleeper_judges_nobody),
        cmocka_unit_test(test_only_the_fit_are_named),
        cmocka_unit_test(test_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
