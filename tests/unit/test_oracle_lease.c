/* The oracle `lease`: two proposers never hold it at once whatever the network, the clocks (within
 * the margin) and restarts do; somebody gets it; and who does not need it does not keep it. */
#include "tests/unit/lease_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define RAGES 200

static int holds(const struct net *net, size_t proposer)
{
    return net->proposers[proposer].is_up && net_names(net, proposer) == proposer + 1;
}

static size_t holder_count(const struct net *net)
{
    size_t count = 0;
    for (size_t i = 0; i < net->members.proposer_count; i++) {
        count += holds(net, i) != 0;
    }
    return count;
}

static node_id_t holder(const struct net *net)
{
    for (size_t i = 0; i < net->members.proposer_count; i++) {
        if (holds(net, i)) {
            return (node_id_t)i + 1;
        }
    }
    return 0;
}

/* Runs until somebody holds it; how long that took. */
static time_ms_t run_until_held(struct net *net, time_ms_t ms_max)
{
    time_ms_t began_at = net->now;
    while (holder(net) == 0 && net->now - began_at < ms_max) {
        net_step(net);
    }
    assert_int_not_equal(holder(net), 0);
    return net->now - began_at;
}

static void assert_explained(const struct net *net, size_t proposer, const char *part)
{
    struct oracle_view view;
    char text[401];
    net_view(net, proposer, &view);
    oracle_explain(&net->proposers[proposer].oracle, &view, text, sizeof text);
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", part, text);
    }
}

/* The acceptors wait one lease out; then the one of highest rank has it, and the others know. */
static void test_highest_rank_gets_it_and_keeps_it(void **state)
{
    (void)state;
    struct net *net = net_new(3, 3, 1);
    net->settings.candidate_count = 1;
    net->settings.candidates[0] = (struct candidate_settings){.id = 2, .priority = 7};
    assert_explained(net, 0, "nobody is known to hold the lease, which 2 of 3 acceptors");
    time_ms_t took_ms = run_until_held(net, 2 * NET_ELECTION_MS);
    assert_true(took_ms >= NET_ELECTION_MS - 1);
    assert_int_equal(holder(net), 2);
    for (int i = 0; i < NET_ELECTION_MS && net_named_by(net, 2) < 3; i++) {
        net_step(net); /* the others ask, and are told */
    }
    assert_int_equal(net_named_by(net, 2), 3);
    assert_explained(net, 1, "proposer 2 holds the lease of acceptors 1, 2 and 3 for ");
    assert_explained(net, 0, "proposer 2 holds the lease of acceptors 1, 2 and 3 for ");
    net->leader = 2;
    for (int i = 0; i < 10 * NET_ELECTION_MS; i++) {
        net_step(net);
        assert_true(holds(net, 1));
    }
    net_free(net);
}

/* Nobody but the leader says a word while it serves, and it says one each third. */
static void test_nobody_asks_while_another_one_serves(void **state)
{
    (void)state;
    struct net *net = net_new(3, 3, 2);
    net_run(net, 2 * NET_ELECTION_MS);
    node_id_t first = holder(net);
    net->leader = first % 3 + 1; /* by an operator's transfer, say */
    net_run(net, NET_HEARTBEAT_MS);
    assert_false(holds(net, first - 1)); /* it gave the lease back */
    net_run(net, NET_ELECTION_MS);
    assert_int_equal(holder(net), net->leader);
    net->sent = 0;
    net_run(net, 3 * NET_ELECTION_MS);
    size_t renewals = 9 + 1;
    assert_true(net->sent >= 2 * 3 * (renewals - 2));
    assert_true(net->sent <= 2 * 3 * renewals);
    net_free(net);
}

/* A dead holder's lease runs out; within another election timeout the next has it. */
static void test_lease_of_the_dead_runs_out(void **state)
{
    (void)state;
    struct net *net = net_new(5, 5, 3);
    net_run(net, 2 * NET_ELECTION_MS);
    assert_int_equal(holder(net), 5);
    net->leader = 5;
    net_run(net, NET_ELECTION_MS);
    net_stop(net, 4);
    net->proposers[4].is_fit = 0;
    net->leader = 0;
    time_ms_t took_ms = run_until_held(net, 2 * NET_ELECTION_MS);
    assert_true(took_ms > NET_ELECTION_MS / 2);
    assert_int_equal(holder(net), 4);
    net_free(net);
}

/* Who must not lead, or reaches no quorum, neither asks nor keeps it. */
static void test_unfit_and_barred_do_not_hold_it(void **state)
{
    (void)state;
    struct net *net = net_new(3, 3, 4);
    net_run(net, 2 * NET_ELECTION_MS);
    assert_int_equal(holder(net), 3);
    net->proposers[2].is_fit = 0;
    net_run(net, NET_ELECTION_MS);
    assert_int_equal(holder(net), 2);
    net->settings.candidate_count = 1;
    net->settings.candidates[0] = (struct candidate_settings){.id = 2, .is_barred = 1};
    net_run(net, NET_ELECTION_MS);
    assert_int_equal(holder(net), 1);
    net_free(net);
}

/* One that holds it and never comes to lead lets another one try. */
static void test_vain_holder_lets_go(void **state)
{
    (void)state;
    struct net *net = net_new(3, 2, 5);
    int held[3] = {0};
    for (int i = 0; i < 10 * NET_ELECTION_MS; i++) {
        net_step(net);
        held[holder(net)]++;
    }
    assert_true(held[1] > NET_ELECTION_MS / 2);
    assert_true(held[2] > NET_ELECTION_MS);
    net_free(net);
}

/* A message of proposer 3, of whichever life, to that acceptor, and what it answers. */
static struct msg_leased ask(struct net *net, size_t acceptor, uint64_t incarnation,
                             uint64_t sequence, uint32_t lease_ms)
{
    struct core_kit *kit = &net->acceptors[acceptor].kit;
    struct message msg = kit_from(ROLE_PROPOSER, 3, incarnation, MSG_LEASE);
    msg.lease = (struct msg_lease){sequence, lease_ms};
    kit->now = 1000000 + net->now; /* its clock runs as the true one */
    kit_message(kit, &msg);
    struct msg_leased answer = kit_sent(kit, MSG_LEASED, 0)->msg.leased;
    effects_clear(&kit->fx);
    return answer;
}

static int is_free(struct net *net, size_t acceptor)
{
    return ask(net, acceptor, 999, (uint64_t)net->now, 1).granted != 0;
}

/* One acceptor, request by request: what it grants, to whom, and what a copy changes. */
static void test_acceptor_grants(void **state)
{
    (void)state;
    struct net *net = net_new(3, 3, 7);
    net->proposers[0].is_fit = net->proposers[1].is_fit = net->proposers[2].is_fit = 0;
    struct msg_leased answer = ask(net, 0, 100, 1, 400);
    assert_int_equal(answer.granted, 0); /* it has just started */
    assert_int_equal(answer.holder, 0);
    assert_int_equal(answer.left_ms, NET_ELECTION_MS);
    net_run(net, NET_ELECTION_MS);
    answer = ask(net, 0, 100, 2, 400);
    assert_int_equal(answer.granted, 1);
    assert_int_equal(answer.holder, 3);
    assert_int_equal(answer.left_ms, 400);
    net_run(net, 100);
    answer = ask(net, 0, 100, 2, 400); /* a copy prolongs nothing */
    assert_int_equal(answer.granted, 1);
    assert_int_equal(answer.left_ms, 300);
    answer = ask(net, 0, 100, 3, UINT32_MAX); /* nobody gets more than a restart waits out */
    assert_int_equal(answer.left_ms, NET_ELECTION_MS);
    answer = ask(net, 0, 101, 9, 400); /* a new life waits like all others */
    assert_int_equal(answer.granted, 0);
    assert_int_equal(answer.holder, 3);
    assert_int_equal(answer.left_ms, NET_ELECTION_MS);
    answer = ask(net, 0, 101, 10, 0); /* and gives back nothing that is not its own */
    assert_int_equal(answer.holder, 3);
    answer = ask(net, 0, 100, 5, 0);
    assert_int_equal(answer.granted, 0);
    assert_int_equal(answer.holder, 0);
    assert_int_equal(answer.left_ms, 0);
    answer = ask(net, 0, 100, 4, 400); /* overtaken by the last one */
    assert_int_equal(answer.granted, 0);
    assert_int_equal(answer.holder, 0);
    answer = ask(net, 0, 101, 11, 400);
    assert_int_equal(answer.granted, 1);
    net_free(net);
}

/* What a minority granted is given back as soon as the others have refused, and asked for again. */
static void test_minority_is_given_back(void **state)
{
    (void)state;
    struct net *net = net_new(3, 3, 6);
    net->proposers[0].is_fit = net->proposers[1].is_fit = net->proposers[2].is_fit = 0;
    net_run(net, 2 * NET_ELECTION_MS);
    net_restart_acceptor(net, 0);
    net_restart_acceptor(net, 1);
    net->proposers[1].is_fit = 1;
    net_run(net, 1 + 5);
    assert_false(is_free(net, 2));
    net_run(net, 20);
    assert_int_equal(holder(net), 0);
    assert_true(is_free(net, 2));
    run_until_held(net, NET_ELECTION_MS + 3 * NET_HEARTBEAT_MS);
    net_free(net);
}

/* Many that ask at once, on a network that loses half: one has it soon after it loses none. */
static void test_contention_ends(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct net *net = net_new(4, 5, seed);
        net->drop = 500;
        net_run(net, 3 * NET_ELECTION_MS);
        net->drop = 0;
        run_until_held(net, 3 * NET_ELECTION_MS);
        net_free(net);
    }
}

/* The worst clocks that the margin allows for: the acceptors' lease is over early by the holder's,
 * which sleeps and does not renew it, and another one waits for it. */
static void test_margin_covers_drift(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct net *net = net_new(3, 2, seed);
        net->delay_max = 1;
        net->proposers[0].rate = 1060;
        net->proposers[1].rate = 940;
        for (size_t i = 0; i < 3; i++) {
            net->acceptors[i].rate = 1060;
        }
        net->proposers[0].is_fit = 0; /* 2 first */
        run_until_held(net, 2 * NET_ELECTION_MS);
        assert_int_equal(holder(net), 2);
        net->proposers[0].is_fit = 1;
        net->proposers[1].asleep_until = net->now + 3 * NET_ELECTION_MS;
        while (!holds(net, 0)) {
            net_step(net);
            assert_true(holder_count(net) <= 1);
            assert_true(net->now < net->proposers[1].asleep_until);
        }
        net_free(net);
    }
}

/* A round of ms in which all that can go wrong does. Returns for how long somebody held it. */
static time_ms_t rage(struct net *net, uint64_t seed, time_ms_t ms, size_t *changes)
{
    time_ms_t held_ms = 0;
    node_id_t last = 0;
    for (time_ms_t i = 0; i < ms; i++) {
        size_t proposer = (size_t)rng_below(&net->rng, net->members.proposer_count);
        size_t acceptor = (size_t)rng_below(&net->rng, net->members.acceptor_count);
        struct net_proposer *p = &net->proposers[proposer];
        switch (rng_below(&net->rng, 1500)) {
        case 0:
            net_restart_acceptor(net, acceptor);
            break;
        case 1:
            if (p->is_up) {
                net_stop(net, proposer);
            } else {
                net_start(net, proposer);
            }
            break;
        case 2:
            p->is_fit = !p->is_fit;
            break;
        case 3:
            net->leader = rng_below(&net->rng, 2) == 0 ? 0 : (node_id_t)proposer + 1;
            break;
        case 4: /* it does not renew what it holds, and others ask for it */
        case 5:
            p->asleep_until = net->now + (time_ms_t)rng_below(&net->rng, 3 * NET_ELECTION_MS);
            break;
        default:
            break;
        }
        net_step(net);
        size_t count = holder_count(net);
        if (count > 1) {
            fail_msg("seed %llu: %zu hold it at %lld", (unsigned long long)seed, count,
                     (long long)net->now);
        }
        held_ms += count == 1;
        if (holder(net) != 0 && holder(net) != last) {
            last = holder(net);
            (*changes)++;
        }
    }
    return held_ms;
}

/* Clocks 6 % fast or slow: no two differ by more than an eighth. Messages late, twice, lost. */
static void test_two_never_hold_it(void **state)
{
    (void)state;
    time_ms_t held_ms = 0;
    size_t changes = 0;
    for (uint64_t seed = 1; seed <= RAGES; seed++) {
        struct net *net = net_new(3 + seed % 3, 2 + seed % 4, seed);
        for (size_t i = 0; i < net->members.proposer_count; i++) {
            net->proposers[i].rate = rng_below(&net->rng, 2) == 0 ? 940 : 1060;
        }
        for (size_t i = 0; i < net->members.acceptor_count; i++) {
            net->acceptors[i].rate = rng_below(&net->rng, 2) == 0 ? 940 : 1060;
        }
        net->drop = (uint32_t)rng_below(&net->rng, 200);
        net->duplicate = 200;
        net->late_max = 3 * NET_ELECTION_MS;
        net->delay_max = 1 + (time_ms_t)rng_below(&net->rng, NET_ELECTION_MS / 2);
        held_ms += rage(net, seed, 20 * NET_ELECTION_MS, &changes);
        net_free(net);
    }
    print_message("# held for %lld of %d ms, %zu changes\n", (long long)held_ms,
                  RAGES * 20 * NET_ELECTION_MS, changes);
    assert_true(held_ms > RAGES * 20 * NET_ELECTION_MS / 10);
    assert_true(changes > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acceptor_grants),
        cmocka_unit_test(test_highest_rank_gets_it_and_keeps_it),
        cmocka_unit_test(test_nobody_asks_while_another_one_serves),
        cmocka_unit_test(test_lease_of_the_dead_runs_out),
        cmocka_unit_test(test_unfit_and_barred_do_not_hold_it),
        cmocka_unit_test(test_vain_holder_lets_go),
        cmocka_unit_test(test_minority_is_given_back),
        cmocka_unit_test(test_contention_ends),
        cmocka_unit_test(test_margin_covers_drift),
        cmocka_unit_test(test_two_never_hold_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
