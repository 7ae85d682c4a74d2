/* The ring: the highest rank is elected, in as many messages as theory says; repaired around the
 * dead, started again after losses, and nothing late or double does harm (proposer/oracle/ring.c).
 */
#include "tests/unit/oracle_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HEARTBEAT_MS 50
#define ELECTION_MS 500
#define SEEDS 60

static struct oracle_kit *kit_of(size_t proposers, const uint32_t *priorities,
                                 struct oracle_kit_options options)
{
    options.proposers = proposers;
    options.settings = oracle_kit_settings(ORACLE_RING, proposers, priorities);
    return oracle_kit_new(&options);
}

static time_ms_t bound_of(const struct oracle_kit *kit)
{
    struct oracle_view view;
    oracle_kit_view(kit, 0, &view);
    return oracle_ring.bound_ms(&view);
}

static uint64_t tokens(const struct oracle_kit *kit)
{
    return kit->sent[ORACLE_TOKEN];
}

/* One election of all at once, and what it took. */
static void elect(size_t n, const uint32_t *priorities, uint64_t *token_count,
                  uint64_t *elected_count)
{
    struct oracle_kit *kit = kit_of(n, priorities, (struct oracle_kit_options){.seed = 1});
    size_t best = 0;
    for (size_t i = 1; i < n; i++) {
        best = priorities[i] >= priorities[best] ? i : best;
    }
    oracle_kit_open_gate(kit);
    oracle_kit_run(kit, HEARTBEAT_MS + (time_ms_t)n * 2 * 5 + 10);
    assert_int_equal(oracle_kit_named(kit), best + 1);
    *token_count = tokens(kit);
    *elected_count = kit->sent[ORACLE_ELECTED];
    assert_int_equal(kit->sent[ORACLE_TOKEN_TAKEN], *token_count + *elected_count);
    oracle_kit_free(kit);
}

static void shuffle(uint32_t *values, size_t count, struct rng *rng)
{
    for (size_t i = count; i > 1; i--) {
        size_t k = rng_below(rng, i);
        uint32_t value = values[i - 1];
        values[i - 1] = values[k];
        values[k] = value;
    }
}

/* Proves: tokens are n(n+1)/2 in the worst order, 2n - 1 in the best, and n announcements. */
static void test_counts_of_extremes(void **state)
{
    (void)state;
    for (size_t n = 2; n <= MEMBERS_MAX; n++) {
        uint32_t falling[MEMBERS_MAX], rising[MEMBERS_MAX];
        uint64_t token_count, elected_count;
        for (size_t i = 0; i < n; i++) {
            falling[i] = (uint32_t)(n - i);
            rising[i] = (uint32_t)i;
        }
        elect(n, falling, &token_count, &elected_count);
        assert_int_equal(token_count, n * (n + 1) / 2);
        assert_int_equal(elected_count, n);
        elect(n, rising, &token_count, &elected_count);
        assert_int_equal(token_count, 2 * n - 1);
        assert_int_equal(elected_count, n);
    }
}

/* Proves: in a random order they are n H(n) on the average. */
static void test_counts_on_the_average(void **state)
{
    (void)state;
    static const size_t sizes[] = {5, 9, 25};
    static const int runs[] = {3000, 1500, 500};
    struct rng rng;
    rng_init(&rng, 1979);
    print_message("seed 1979\n");
    for (size_t s = 0; s < 3; s++) {
        size_t n = sizes[s];
        uint64_t sum = 0;
        double expected = 0;
        uint32_t priorities[MEMBERS_MAX];
        for (size_t i = 0; i < n; i++) {
            priorities[i] = (uint32_t)i;
            expected += (double)n / (double)(i + 1);
        }
        for (int run = 0; run < runs[s]; run++) {
            uint64_t token_count, elected_count;
            shuffle(priorities, n, &rng);
            elect(n, priorities, &token_count, &elected_count);
            assert_true(token_count >= 2 * n - 1 && token_count <= n * (n + 1) / 2);
            assert_int_equal(elected_count, n);
            sum += token_count;
        }
        double average = (double)sum / runs[s];
        print_message("n %zu: %.2f tokens on the average, n H(n) is %.2f\n", n, average, expected);
        assert_true(average > 0.97 * expected && average < 1.03 * expected);
    }
}

/* Proves: without priorities the highest id wins; who is barred or reaches no quorum passes tokens
 * on and is not elected. */
static void test_who_cannot_stand(void **state)
{
    (void)state;
    struct oracle_kit_options options = {.proposers = 5};
    options.settings = oracle_kit_settings(ORACLE_RING, 5, (uint32_t[]){0, 0, 0, 0, 0});
    options.settings.candidates[4].is_barred = 1;
    struct oracle_kit *kit = oracle_kit_new(&options);
    kit->nodes[3].has_no_quorum = 1;
    oracle_kit_open_gate(kit);
    oracle_kit_run(kit, 300);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(oracle_kit_name(kit, i), i == 3 ? 0 : 3); /* its gate is not open */
    }
    assert_int_equal(kit->round_max, 1);
    oracle_kit_free(kit);
}

/* Proves: whoever is alone is elected without a message. */
static void test_alone(void **state)
{
    (void)state;
    struct oracle_kit *kit = kit_of(1, NULL, (struct oracle_kit_options){.seed = 1});
    oracle_kit_open_gate(kit);
    oracle_kit_run(kit, HEARTBEAT_MS + 1);
    assert_int_equal(oracle_kit_named(kit), 1);
    oracle_kit_free(kit);
    kit = kit_of(3, NULL, (struct oracle_kit_options){.seed = 1});
    oracle_kit_kill(kit, 0);
    oracle_kit_kill(kit, 2);
    oracle_kit_run(kit, ELECTION_MS + HEARTBEAT_MS + 1);
    assert_int_equal(oracle_kit_named(kit), 2);
    assert_int_equal(tokens(kit), 0);
    oracle_kit_free(kit);
}

/* Proves: a neighbour that the acceptors do not hear is skipped at once, without a message. */
static void test_unheard_is_skipped(void **state)
{
    (void)state;
    struct oracle_kit *kit = kit_of(5, NULL, (struct oracle_kit_options){.seed = 1});
    oracle_kit_kill(kit, 4);
    oracle_kit_kill(kit, 0); /* it led */
    oracle_kit_run(kit, ELECTION_MS + HEARTBEAT_MS + 6 * 5 + 1);
    assert_int_equal(oracle_kit_named(kit), 4);
    assert_non_null(strstr(oracle_kit_explain(kit, 3), "proposer 4 came round in round 1"));
    assert_non_null(strstr(oracle_kit_explain(kit, 3), "1 and 5 are skipped"));
    assert_int_equal(tokens(kit), 2 * 3 - 1);
    oracle_kit_free(kit);
}

/* Proves: one that the acceptors still hear, but that does not answer, is skipped after three
 * heartbeats, and is no hindrance even if it ranks highest. */
static void test_silent_is_skipped(void **state)
{
    (void)state;
    struct oracle_kit *kit = kit_of(5, NULL, (struct oracle_kit_options){.seed = 1});
    for (size_t i = 0; i < 4; i++) {
        oracle_kit_cut(kit, i, 4, 1);
    }
    oracle_kit_open_gate(kit);
    oracle_kit_run(kit, 5 * HEARTBEAT_MS);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(oracle_kit_name(kit, i), 4);
    }
    assert_non_null(strstr(oracle_kit_explain(kit, 3), "5 is skipped, it does not answer"));
    assert_int_equal(kit->nodes[3].fx.marks[MARK_ORACLE_RING_SKIPS], 1);
    oracle_kit_free(kit);
}

/* Proves: even if the acceptors hear all the others and not one of them answers, who is left is
 * elected: those found silent are not asked again until the ring is through with them. (They were,
 * after an election timeout, and it went round for ever.) */
static void test_all_others_silent(void **state)
{
    (void)state;
    for (size_t n = 2; n <= 25; n++) {
        struct oracle_kit *kit = kit_of(n, NULL, (struct oracle_kit_options){.seed = 1});
        for (size_t i = 0; i < n; i++) {
            if (i != 1) {
                kit->nodes[i].has_no_quorum = 1;
                oracle_kit_cut(kit, 1, i, 1);
            }
        }
        oracle_kit_open_gate(kit);
        time_ms_t left_ms = bound_of(kit);
        while (oracle_kit_name(kit, 1) != 2 && left_ms > 0) {
            oracle_kit_run(kit, 10);
            left_ms -= 10;
        }
        assert_int_equal(oracle_kit_name(kit, 1), 2);
        oracle_kit_free(kit);
    }
}

/* Proves: a link that is cut costs only those at its ends their place in the ring. */
static void test_cut_neighbours(void **state)
{
    (void)state;
    struct oracle_kit *kit = kit_of(5, NULL, (struct oracle_kit_options){.seed = 1});
    kit->leads_after_ms = 20;
    oracle_kit_cut(kit, 3, 4, 1); /* nobody can hand 5 its own token */
    oracle_kit_open_gate(kit);
    oracle_kit_run(kit, 600);
    assert_int_equal(kit->leader, 4);
    oracle_kit_free(kit);
}

static int lose_first_round(struct oracle_kit *kit, size_t from, size_t to,
                            const struct message *msg)
{
    (void)kit, (void)from, (void)to;
    return msg->kind == MSG_ORACLE && msg->oracle.type == ORACLE_TOKEN && msg->oracle.round == 1 &&
           msg->oracle.hops > 1;
}

/* Proves: a round whose tokens are lost for good, hops acknowledged or not, is followed by another.
 */
static void test_lost_tokens(void **state)
{
    (void)state;
    uint32_t falling[] = {3, 2, 1}; /* every token has to go further than one hop */
    struct oracle_kit *kit = kit_of(3, falling, (struct oracle_kit_options){.seed = 1});
    kit->loses = lose_first_round;
    oracle_kit_open_gate(kit);
    assert_true(oracle_kit_run_until_named(kit, bound_of(kit)) > 0);
    assert_int_equal(oracle_kit_named(kit), 1);
    assert_int_equal(kit->round_max, 2);
    oracle_kit_free(kit);
}

/* Proves: a winner that dies is succeeded, and one that lives but does not come to lead lets the
 * others try, and may try again itself after that. */
static void test_winner_in_vain(void **state)
{
    (void)state;
    struct oracle_kit *kit = kit_of(3, NULL, (struct oracle_kit_options){.seed = 1});
    oracle_kit_open_gate(kit);
    oracle_kit_run(kit, 200);
    assert_int_equal(oracle_kit_named(kit), 3);
    oracle_kit_run(kit, 2 * ELECTION_MS + 200);
    assert_int_equal(oracle_kit_named(kit), 2);
    oracle_kit_run(kit, 2 * ELECTION_MS + 200);
    assert_int_equal(oracle_kit_named(kit), 3);
    oracle_kit_kill(kit, 2);
    oracle_kit_run(kit, ELECTION_MS + 200);
    assert_int_equal(oracle_kit_named(kit), 2);
    oracle_kit_free(kit);
}

/* Proves: gates that open one after the other do not make two come round. */
static void test_skewed_gates(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct oracle_kit *kit =
            kit_of(7, NULL,
                   (struct oracle_kit_options){
                       .seed = seed, .skew_ms = 200, .delay_min_ms = 1, .delay_max_ms = 20});
        oracle_kit_open_gate(kit);
        for (int i = 0; i < 400; i++) {
            oracle_kit_run(kit, 1);
            size_t count = 0;
            for (size_t k = 0; k < 7; k++) {
                count += kit->named_self_at[k] != TIME_NEVER;
            }
            assert_in_range(count, 0, 1);
        }
        assert_int_not_equal(oracle_kit_named(kit), 0);
        assert_int_equal(kit->round_max, 1);
        oracle_kit_free(kit);
    }
}

/* Proves: a message of an older round changes nothing, and who sent it learns of the newer one. */
static void test_old_rounds(void **state)
{
    (void)state;
    struct oracle_kit *kit = kit_of(3, NULL, (struct oracle_kit_options){.seed = 1});
    oracle_kit_open_gate(kit);
    oracle_kit_run(kit, 2 * ELECTION_MS + 400); /* two rounds */
    assert_int_equal(oracle_kit_named(kit), 2);
    uint64_t round = kit->round_max;
    oracle_kit_forget_counts(kit);
    struct msg_oracle old = {.type = ORACLE_ELECTED,
                             .kind = ORACLE_RING,
                             .round = round - 1,
                             .subject = 1,
                             .weight = 99,
                             .hops = 3};
    oracle_kit_inject(kit, 0, 1, &old, 1);
    old.type = ORACLE_TOKEN;
    oracle_kit_inject(kit, 0, 2, &old, 1);
    oracle_kit_run(kit, 100);
    assert_int_equal(oracle_kit_named(kit), 2);
    assert_int_equal(tokens(kit) + kit->sent[ORACLE_ELECTED], 0);
    assert_int_equal(kit->round_max, round); /* in the acknowledgements */
    /* A process that starts anew learns the round from whoever has it. */
    oracle_kit_kill(kit, 2);
    oracle_kit_start(kit, 2);
    oracle_kit_run(kit, 4 * ELECTION_MS);
    assert_int_not_equal(oracle_kit_named(kit), 0);
    assert_in_range(kit->round_max, round + 1, round + 3);
    oracle_kit_free(kit);
}

/* Proves: whatever is lost, doubled ten seconds late and overtaken, and whoever dies, somebody
 * leads within the bound once all is well, and numbers of rounds do not run away. */
static void test_storms(void **state)
{
    (void)state;
    time_ms_t worst_ms = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct rng rng;
        rng_init(&rng, seed);
        size_t n = 2 + rng_below(&rng, 8);
        struct oracle_kit *kit =
            kit_of(n, NULL,
                   (struct oracle_kit_options){.seed = seed,
                                               .delay_min_ms = 1,
                                               .delay_max_ms = 80,
                                               .lost_percent = (unsigned)rng_below(&rng, 60),
                                               .doubled_percent = 30,
                                               .doubled_late_ms = 10000,
                                               .skew_ms = 60});
        oracle_kit_open_gate(kit);
        time_ms_t storm_ms = 2000 + (time_ms_t)rng_below(&rng, 8000);
        oracle_kit_rage(kit, &rng, storm_ms);
        /* At most one start a round's time, and one more for each process that started anew. */
        assert_true(kit->round_max <= 2 * (uint64_t)(storm_ms / 200));
        time_ms_t took_ms = oracle_kit_heal(kit, bound_of(kit));
        if (kit->leader == 0) {
            print_message("seed %llu\n", (unsigned long long)seed);
        }
        assert_int_not_equal(kit->leader, 0);
        worst_ms = took_ms > worst_ms ? took_ms : worst_ms;
        oracle_kit_free(kit);
    }
    print_message("a leader after %lld ms at worst\n", (long long)worst_ms);
}

/* Proves: a change of weights in the middle of a round begins anew under the new ones, whatever is
 * still on its way; who has not heard of it yet takes part all the same. */
static void test_weights_change(void **state)
{
    (void)state;
    for (time_ms_t when_ms = 0; when_ms < 200; when_ms += 7) {
        struct oracle_kit *kit =
            kit_of(5, (uint32_t[]){1, 2, 3, 4, 5}, (struct oracle_kit_options){.seed = 1});
        oracle_kit_open_gate(kit);
        oracle_kit_run(kit, when_ms + 1);
        struct settings settings = oracle_kit_settings(ORACLE_RING, 5, (uint32_t[]){5, 9, 3, 2, 1});
        settings.version = 1;
        for (size_t i = 0; i < 4; i++) {
            oracle_kit_set(kit, i, &settings);
            oracle_kit_run(kit, 3);
        }
        assert_true(oracle_kit_run_until_named(kit, bound_of(kit)) >= 0);
        oracle_kit_run(kit, 300);
        assert_int_equal(oracle_kit_named(kit), 2);
        oracle_kit_free(kit);
    }
}

/* Proves: while somebody serves, nothing is sent. */
static void test_quiet(void **state)
{
    (void)state;
    struct oracle_kit *kit = kit_of(5, NULL, (struct oracle_kit_options){.seed = 1});
    oracle_kit_run(kit, 5000);
    assert_int_equal(kit->sequence, 0);
    assert_int_equal(oracle_kit_named(kit), 1);
    oracle_kit_open_gate(kit);
    kit->leads_after_ms = 20;
    oracle_kit_run(kit, 1000);
    assert_int_equal(oracle_kit_named(kit), 5);
    uint64_t sequence = kit->sequence;
    oracle_kit_run(kit, 5000);
    assert_int_equal(kit->sequence, sequence);
    assert_int_equal(kit->changes, 1);
    oracle_kit_free(kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_of_extremes),
        cmocka_unit_test(test_counts_on_the_average),
        cmocka_unit_test(test_who_cannot_stand),
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_unheard_is_skipped),
        cmocka_unit_test(test_silent_is_skipped),
        cmocka_unit_test(test_all_others_silent),
        cmocka_unit_test(test_cut_neighbours),
        cmocka_unit_test(test_lost_tokens),
        cmocka_unit_test(test_winner_in_vain),
        cmocka_unit_test(test_skewed_gates),
        cmocka_unit_test(test_old_rounds),
        cmocka_unit_test(test_storms),
        cmocka_unit_test(test_weights_change),
        cmocka_unit_test(test_quiet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
