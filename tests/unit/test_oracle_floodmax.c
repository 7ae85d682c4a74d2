/* FloodMax: the highest rank is elected over any topology, in at most as many messages as theory
 * says; what is lost is made good, the dead are voted out and may object, and nothing late or
 * double does harm (proposer/oracle/floodmax.c). */
#include "tests/unit/oracle_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HEARTBEAT_MS 50
#define ELECTION_MS 500
#define GRACE 2 /* rounds, as in floodmax.c */
#define SEEDS 60

/* ---- topologies */

static void add_edge(struct settings *settings, size_t a, size_t b)
{
    settings->edges[settings->edge_count++] = (struct edge){(node_id_t)a + 1, (node_id_t)b + 1};
}

struct topology {
    const char *name;
    size_t n;
    int (*joins)(size_t n, size_t a, size_t b); /* a < b */
    size_t diameter;
};

static int in_line(size_t n, size_t a, size_t b)
{
    (void)n;
    return b == a + 1;
}

static int in_ring(size_t n, size_t a, size_t b)
{
    return b == a + 1 || (a == 0 && b == n - 1);
}

static int in_star(size_t n, size_t a, size_t b)
{
    (void)n, (void)b;
    return a == 0;
}

static size_t side_of(size_t n)
{
    size_t side = 1;
    while (side * side < n) {
        side++;
    }
    return side;
}

static int in_grid(size_t n, size_t a, size_t b)
{
    size_t side = side_of(n);
    return b == a + side || (b == a + 1 && b % side != 0);
}

static int in_all(size_t n, size_t a, size_t b)
{
    (void)n, (void)a, (void)b;
    return 1;
}

static const struct topology topologies[] = {
    {"line", 5, in_line, 4}, {"line", 9, in_line, 8},  {"line", 25, in_line, 24},
    {"ring", 5, in_ring, 2}, {"ring", 9, in_ring, 4},  {"ring", 25, in_ring, 12},
    {"star", 5, in_star, 2}, {"star", 9, in_star, 2},  {"star", 25, in_star, 2},
    {"grid", 9, in_grid, 4}, {"grid", 16, in_grid, 6}, {"grid", 25, in_grid, 8},
    {"all", 3, in_all, 1},   {"all", 9, in_all, 1},    {"all", 25, in_all, 1},
};

#define TOPOLOGY_COUNT (sizeof topologies / sizeof topologies[0])

static struct settings settings_over(const struct topology *topology, const uint32_t *priorities)
{
    struct settings settings = oracle_kit_settings(ORACLE_FLOODMAX, topology->n, priorities);
    for (size_t a = 0; a < topology->n; a++) {
        for (size_t b = a + 1; b < topology->n; b++) {
            if (topology->joins(topology->n, a, b)) {
                add_edge(&settings, a, b);
            }
        }
    }
    return settings;
}

static struct oracle_kit *kit_over(const struct topology *topology,
                                   struct oracle_kit_options options)
{
    options.proposers = topology->n;
    options.settings = settings_over(topology, NULL);
    return oracle_kit_new(&options);
}

static time_ms_t bound_of(const struct oracle_kit *kit)
{
    struct oracle_view view;
    oracle_kit_view(kit, 0, &view);
    return oracle_floodmax.bound_ms(&view);
}

static const struct topology line_of_5 = {"line", 5, in_line, 4};
static const struct topology line_of_3 = {"line", 3, in_line, 2};
static const struct topology star_of_5 = {"star", 5, in_star, 2};

static uint64_t maxima(const struct oracle_kit *kit)
{
    return kit->sent[ORACLE_MAXIMUM];
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

/* ---- counts */

/* Proves: over each topology all name the highest rank when the rounds of the diameter and the
 * grace are over, and not before; its messages are at most diameter * 2|edges|, fewer wherever
 * the optimisations can save one, and less than half of it over long ways. */
static void test_counts(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 412);
    print_message("seed 412\n");
    for (size_t t = 0; t < TOPOLOGY_COUNT; t++) {
        const struct topology *it = &topologies[t];
        uint64_t bound = 0, most = 0, sum = 0, beats = 0;
        const int runs = 20;
        uint32_t priorities[MEMBERS_MAX];
        for (size_t i = 0; i < it->n; i++) {
            priorities[i] = (uint32_t)i;
        }
        for (int run = 0; run < runs; run++) {
            struct oracle_kit_options options = {.proposers = it->n, .seed = 1};
            shuffle(priorities, it->n, &rng);
            options.settings = settings_over(it, priorities);
            bound = it->diameter * 2 * options.settings.edge_count;
            struct oracle_kit *kit = oracle_kit_new(&options);
            oracle_kit_open_gate(kit);
            oracle_kit_run(kit, (time_ms_t)(it->diameter + GRACE) * HEARTBEAT_MS - 1);
            assert_int_equal(oracle_kit_named(kit), 0);
            oracle_kit_run(kit, 1 + HEARTBEAT_MS / 2);
            node_id_t named = oracle_kit_named(kit);
            assert_int_not_equal(named, 0);
            assert_int_equal(priorities[named - 1], it->n - 1);
            oracle_kit_run(kit, 800);
            most = maxima(kit) > most ? maxima(kit) : most;
            sum += maxima(kit);
            beats += kit->sent[ORACLE_BEAT];
            oracle_kit_free(kit);
        }
        print_message("%s of %zu: %.0f maxima on the average, %llu at most, plain %llu; %.0f beats "
                      "until 800 ms after\n",
                      it->name, it->n, (double)sum / runs, (unsigned long long)most,
                      (unsigned long long)bound, (double)beats / runs);
        assert_true(most <= bound);
        assert_true(it->diameter == 1 || most < bound);
        assert_true(it->diameter < 4 || 2 * most < bound);
    }
}

/* Proves: a diameter of the settings counts instead of the topology's own, but no way is longer
 * than there are proposers. */
static void test_diameter_of_settings(void **state)
{
    (void)state;
    struct oracle_kit_options options = {.proposers = 5};
    options.settings = settings_over(&line_of_5, NULL);
    options.settings.diameter = 4000000000U;
    struct oracle_kit *kit = oracle_kit_new(&options);
    oracle_kit_open_gate(kit);
    assert_int_equal(oracle_kit_run_until_named(kit, 10000), (5 + GRACE) * HEARTBEAT_MS);
    oracle_kit_free(kit);
}

/* ---- who is elected */

/* Proves: who is barred or reaches no quorum passes maxima on and is not elected. */
static void test_who_cannot_stand(void **state)
{
    (void)state;
    struct oracle_kit_options options = {.proposers = 5};
    options.settings = settings_over(&line_of_5, NULL);
    options.settings.candidates[0] = (struct candidate_settings){.id = 5, .is_barred = 1};
    options.settings.candidate_count = 1;
    struct oracle_kit *kit = oracle_kit_new(&options);
    kit->nodes[2].has_no_quorum = 1;
    oracle_kit_open_gate(kit);
    oracle_kit_run(kit, 500);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(oracle_kit_name(kit, i), i == 2 ? 0 : 4); /* its gate is not open */
    }
    oracle_kit_free(kit);
}

/* Proves: gates that open one after the other lead to the same, and to one election. */
static void test_skewed_gates(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct oracle_kit *kit =
            kit_over(&topologies[9],
                     (struct oracle_kit_options){
                         .seed = seed, .skew_ms = 60, .delay_min_ms = 1, .delay_max_ms = 20});
        oracle_kit_open_gate(kit);
        oracle_kit_run(kit, 600);
        assert_int_equal(oracle_kit_named(kit), 9);
        assert_int_equal(kit->round_max, 1);
        oracle_kit_free(kit);
    }
}

/* Proves: the topology closes around the dead, even around the centre of a star. */
static void test_dead_neighbour(void **state)
{
    (void)state;
    struct oracle_kit *kit = kit_over(&star_of_5, (struct oracle_kit_options){.seed = 1});
    oracle_kit_kill(kit, 0);
    oracle_kit_run(kit, ELECTION_MS + (1 + GRACE) * HEARTBEAT_MS + 1);
    assert_int_equal(oracle_kit_named(kit), 5);
    oracle_kit_free(kit);
    kit = kit_over(&line_of_5, (struct oracle_kit_options){.seed = 1});
    oracle_kit_kill(kit, 1);
    oracle_kit_kill(kit, 2);
    oracle_kit_kill(kit, 0);
    oracle_kit_run(kit, ELECTION_MS + 300);
    assert_int_equal(oracle_kit_named(kit), 5);
    oracle_kit_free(kit);
    kit = kit_over(&line_of_5, (struct oracle_kit_options){.seed = 1});
    oracle_kit_lead(kit, 0);
    kit->leader = 4;
    oracle_kit_kill(kit, 3); /* 3 and 5 become neighbours */
    oracle_kit_run(kit, ELECTION_MS + 400);
    assert_int_equal(oracle_kit_named(kit), 5);
    oracle_kit_free(kit);
}

static int lose_maxima(struct oracle_kit *kit, size_t from, size_t to, const struct message *msg)
{
    (void)kit, (void)from, (void)to;
    return msg->kind == MSG_ORACLE && msg->oracle.type == ORACLE_MAXIMUM;
}

/* Proves: a lost maximum is made good by the next beat. */
static void test_lost_maxima(void **state)
{
    (void)state;
    struct oracle_kit *kit = kit_over(&line_of_5, (struct oracle_kit_options){.seed = 1});
    kit->loses = lose_maxima; /* all of them */
    oracle_kit_open_gate(kit);
    oracle_kit_run(kit, (4 + GRACE) * HEARTBEAT_MS + 1);
    assert_int_equal(oracle_kit_named(kit), 5);
    assert_int_equal(kit->round_max, 1);
    oracle_kit_free(kit);
}

/* ---- the dead */

/* Proves: a maximum that dies is voted out by its neighbour, as soon as the acceptors do not hear
 * it either, and the others join. */
static void test_dead_maximum(void **state)
{
    (void)state;
    struct oracle_kit *kit = kit_over(&line_of_5, (struct oracle_kit_options){.seed = 1});
    oracle_kit_open_gate(kit);
    oracle_kit_run(kit, 350);
    assert_int_equal(oracle_kit_named(kit), 5);
    oracle_kit_kill(kit, 4);
    oracle_kit_run(kit, ELECTION_MS - 50);
    assert_int_equal(oracle_kit_named(kit), 5); /* acceptors hear it still, and know better */
    oracle_kit_run(kit, 50 + (3 + GRACE + 2) * HEARTBEAT_MS);
    assert_int_equal(oracle_kit_named(kit), 4);
    assert_int_equal(kit->round_max, 2);
    assert_int_equal(kit->nodes[3].fx.marks[MARK_ORACLE_FLOODMAX_VOTES_OUT], 1);
    assert_non_null(strstr(oracle_kit_explain(kit, 0),
                           "proposer 4 ranks highest of those that election 2 has heard of; 5 was "
                           "voted out, it is dead"));
    oracle_kit_free(kit);
}

/* Proves: one that lives is not voted out for a cut link, as long as acceptors hear it. */
static void test_silent_maximum(void **state)
{
    (void)state;
    struct oracle_kit *kit = kit_over(&line_of_5, (struct oracle_kit_options){.seed = 1});
    oracle_kit_open_gate(kit);
    oracle_kit_run(kit, 350);
    oracle_kit_cut(kit, 3, 4, 1);
    oracle_kit_run(kit, 600);
    assert_int_equal(oracle_kit_named(kit), 5);
    assert_int_equal(kit->round_max, 1);
    oracle_kit_free(kit);
}

/* The acceptors do not hear 5, as all but itself see it. */
static void unheard_by_others(struct oracle_kit *kit, size_t node, struct oracle_view *view)
{
    (void)kit;
    if (node != 4) {
        view->candidates[4].is_alive = 0;
    }
}

/* Proves: one that was voted out and lives takes it back, as soon as it hears of it, in an election
 * of a higher number. */
static void test_refutation(void **state)
{
    (void)state;
    struct oracle_kit *kit = kit_over(&line_of_5, (struct oracle_kit_options){.seed = 1});
    oracle_kit_open_gate(kit);
    oracle_kit_run(kit, 350);
    oracle_kit_cut(kit, 3, 4, 1);
    kit->adjust = unheard_by_others;
    oracle_kit_run(kit, 800);
    assert_int_equal(oracle_kit_name(kit, 0), 4);
    assert_int_equal(kit->round_max, 2);
    oracle_kit_cut(kit, 3, 4, 0);
    oracle_kit_run(kit, 600);
    assert_int_equal(oracle_kit_named(kit), 5);
    assert_int_equal(kit->round_max, 3);
    oracle_kit_free(kit);
}

/* Proves: if a neighbour insists, because it never hears the one that takes it back through
 * another, the number goes up once an election timeout and not with each message. */
static void test_refutation_for_ever(void **state)
{
    (void)state;
    struct topology ring = {"ring", 5, in_ring, 2};
    struct oracle_kit *kit = kit_over(&ring, (struct oracle_kit_options){.seed = 1});
    kit->adjust = unheard_by_others;
    kit->is_cut[4][3] = 1;
    oracle_kit_open_gate(kit);
    oracle_kit_run(kit, 20000);
    assert_in_range(kit->round_max, 6, 2 * 40 + 2);
    oracle_kit_free(kit);
}

/* Proves: a maximum that lives but does not come to lead is passed over, once. */
static void test_maximum_in_vain(void **state)
{
    (void)state;
    struct oracle_kit *kit = kit_over(&line_of_3, (struct oracle_kit_options){.seed = 1});
    oracle_kit_open_gate(kit);
    oracle_kit_run(kit, 300);
    assert_int_equal(oracle_kit_named(kit), 3);
    oracle_kit_run(kit, 2 * ELECTION_MS + 250);
    assert_int_equal(oracle_kit_named(kit), 2);
    assert_non_null(strstr(oracle_kit_explain(kit, 0), "3 is passed over"));
    oracle_kit_run(kit, 2 * ELECTION_MS + 250);
    assert_int_equal(oracle_kit_named(kit), 3);
    oracle_kit_free(kit);
    /* But who is alone is not passed over. */
    kit = kit_over(&line_of_3, (struct oracle_kit_options){.seed = 1});
    oracle_kit_kill(kit, 0);
    oracle_kit_kill(kit, 1);
    oracle_kit_run(kit, ELECTION_MS + 200);
    assert_int_equal(oracle_kit_named(kit), 3);
    oracle_kit_run(kit, 2 * ELECTION_MS + 200);
    assert_int_equal(oracle_kit_named(kit), 3);
    oracle_kit_free(kit);
}

/* ---- late and double messages */

/* Proves: a message of an older election changes nothing, but its sender is told the number; one
 * that starts anew joins. */
static void test_old_elections(void **state)
{
    (void)state;
    struct oracle_kit *kit = kit_over(&line_of_3, (struct oracle_kit_options){.seed = 1});
    oracle_kit_open_gate(kit);
    oracle_kit_run(kit, 2 * ELECTION_MS + 500); /* two elections */
    assert_int_equal(oracle_kit_named(kit), 2);
    uint64_t number = kit->round_max;
    struct msg_oracle old = {.type = ORACLE_MAXIMUM,
                             .kind = ORACLE_FLOODMAX,
                             .round = number - 1,
                             .subject = 1,
                             .weight = 99,
                             .hops = 1};
    oracle_kit_inject(kit, 0, 1, &old, 1);
    oracle_kit_inject(kit, 0, 1, &old, 2);
    oracle_kit_run(kit, 100);
    assert_int_equal(oracle_kit_named(kit), 2);
    assert_int_equal(kit->round_max, number);
    oracle_kit_kill(kit, 2);
    oracle_kit_start(kit, 2);
    oracle_kit_run(kit, 400);
    assert_int_not_equal(oracle_kit_named(kit), 0);
    assert_in_range(kit->round_max, number, number + 1);
    oracle_kit_free(kit);
}

/* Proves: whatever is lost, doubled ten seconds late and overtaken, and whoever dies, somebody
 * leads within the bound once all is well, and numbers do not run away. */
static void test_storms(void **state)
{
    (void)state;
    time_ms_t worst_ms = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct rng rng;
        rng_init(&rng, seed);
        const struct topology *topology = &topologies[rng_below(&rng, TOPOLOGY_COUNT)];
        struct oracle_kit *kit = kit_over(
            topology, (struct oracle_kit_options){.seed = seed,
                                                  .delay_min_ms = 1,
                                                  .delay_max_ms = 80,
                                                  .lost_percent = (unsigned)rng_below(&rng, 60),
                                                  .doubled_percent = 30,
                                                  .doubled_late_ms = 10000,
                                                  .skew_ms = 60});
        oracle_kit_open_gate(kit);
        time_ms_t storm_ms = 2000 + (time_ms_t)rng_below(&rng, 6000);
        oracle_kit_rage(kit, &rng, storm_ms);
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

/* Proves: a change of weights or of the topology in the middle of an election begins anew, whatever
 * is still on its way; who has not heard of it yet takes part all the same. */
static void test_settings_change(void **state)
{
    (void)state;
    for (time_ms_t when_ms = 0; when_ms < 500; when_ms += 17) {
        struct oracle_kit *kit = kit_over(&line_of_5, (struct oracle_kit_options){.seed = 1});
        oracle_kit_open_gate(kit);
        oracle_kit_run(kit, when_ms + 1);
        struct settings settings = settings_over(&star_of_5, (uint32_t[]){5, 9, 3, 2, 1});
        settings.version = 1;
        for (size_t i = 0; i < 4; i++) {
            oracle_kit_set(kit, i, &settings);
            oracle_kit_run(kit, 3);
        }
        oracle_kit_run(kit, 700);
        assert_int_equal(oracle_kit_named(kit), 2);
        oracle_kit_free(kit);
    }
}

/* Proves: while somebody serves, nothing is sent; and soon nothing more after somebody does. */
static void test_quiet(void **state)
{
    (void)state;
    struct oracle_kit *kit = kit_over(&line_of_5, (struct oracle_kit_options){.seed = 1});
    oracle_kit_run(kit, 5000);
    assert_int_equal(kit->sequence, 0);
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
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_diameter_of_settings),
        cmocka_unit_test(test_who_cannot_stand),
        cmocka_unit_test(test_skewed_gates),
        cmocka_unit_test(test_dead_neighbour),
        cmocka_unit_test(test_lost_maxima),
        cmocka_unit_test(test_dead_maximum),
        cmocka_unit_test(test_silent_maximum),
        cmocka_unit_test(test_refutation),
        cmocka_unit_test(test_refutation_for_ever),
        cmocka_unit_test(test_maximum_in_vain),
        cmocka_unit_test(test_old_elections),
        cmocka_unit_test(test_storms),
        cmocka_unit_test(test_settings_change),
        cmocka_unit_test(test_quiet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
