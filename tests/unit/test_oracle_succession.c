/* The oracle `succession`: who is registered when, and how seldom; who follows whom; and that there
 * is always somebody to name. */
#include "tests/unit/oracle_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ELECTION_MS 500

/* The log and a learner, in the smallest form: the line that all proposers are told. */
struct log {
    struct place line[MEMBERS_MAX];
    size_t count;
    slot_t slot;
    size_t values;   /* how many LINEs were proposed */
    size_t places;   /* in them */
    int is_detached; /* nothing that is proposed comes to be told */
};

static void show_line(struct oracle_kit *kit, size_t node, struct oracle_view *view)
{
    (void)node;
    const struct log *log = kit->arg;
    view->line = log->line;
    view->line_count = log->count;
}

static void take_place(struct log *log, const struct place *place)
{
    for (size_t i = 0; i < log->count; i++) {
        if (log->line[i].proposer == place->proposer) {
            if (log->line[i].incarnation == place->incarnation) {
                return;
            }
            memmove(&log->line[i], &log->line[i + 1], (log->count - i - 1) * sizeof *log->line);
            log->count--;
        }
    }
    log->line[log->count] = *place;
    log->line[log->count++].since = log->slot;
}

static uint64_t incarnation(const struct oracle_kit *kit, size_t node)
{
    return (node + 1) * 1000 + kit->nodes[node].lives;
}

/* The leader's flush: what it wants registered goes through the log at once. */
static void flush_leader(struct oracle_kit *kit)
{
    struct log *log = kit->arg;
    size_t leader = (size_t)kit->leader - 1;
    if (kit->leader == 0 || !kit->nodes[leader].is_up) {
        return;
    }
    struct oracle_view view;
    struct place places[MEMBERS_MAX];
    oracle_kit_view(kit, leader, &view);
    struct oracle *oracle = &kit->nodes[leader].oracle;
    size_t count = oracle->class->enroll(oracle->state, &view, incarnation(kit, leader), places);
    if (count == 0) {
        return;
    }
    log->values++;
    log->places += count;
    log->slot++;
    for (size_t i = 0; i < count && !log->is_detached; i++) {
        take_place(log, &places[i]);
    }
}

static void run(struct oracle_kit *kit, time_ms_t ms)
{
    for (time_ms_t i = 0; i < ms; i += 10) {
        oracle_kit_run(kit, 10);
        flush_leader(kit);
    }
}

static struct oracle_kit *begin(size_t proposers, struct log *log)
{
    struct oracle_kit_options options = {
        .proposers = proposers,
        .settings = oracle_kit_settings(ORACLE_SUCCESSION, proposers, NULL)};
    struct oracle_kit *kit = oracle_kit_new(&options);
    memset(log, 0, sizeof *log);
    kit->arg = log;
    kit->adjust = show_line;
    return kit;
}

static int is_registered(const struct log *log, node_id_t id)
{
    for (size_t i = 0; i < log->count; i++) {
        if (log->line[i].proposer == id) {
            return 1;
        }
    }
    return 0;
}

/* Everybody is in the line soon, the leader first; and then a value each third of a place's life is
 * all that it costs. */
static void test_all_register(void **state)
{
    (void)state;
    struct log log;
    struct oracle_kit *kit = begin(5, &log);
    flush_leader(kit);
    assert_int_equal(log.count, 1); /* the leader itself, at once */
    assert_int_equal(log.line[0].proposer, 1);
    run(kit, 100);
    assert_int_equal(log.count, 5);
    run(kit, 3 * ELECTION_MS); /* and a renewal soon after the beginning */
    log.values = log.places = 0;
    oracle_kit_forget_counts(kit);
    run(kit, 3 * LINE_TTL_MS);
    assert_int_equal(log.values, 9);
    assert_int_equal(log.places, 9 * 5);
    assert_in_range(kit->sent[ORACLE_REGISTER], 4 * 9, 4 * 10);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(log.line[i].incarnation, incarnation(kit, log.line[i].proposer - 1));
    }
    oracle_kit_free(kit);
}

/* What was proposed takes a while to be told: meanwhile it is not proposed again and again. */
static void test_nothing_is_proposed_twice(void **state)
{
    (void)state;
    struct log log;
    struct oracle_kit *kit = begin(5, &log);
    log.is_detached = 1;
    run(kit, 100);
    assert_int_equal(log.places, 5);
    run(kit, ELECTION_MS);
    assert_int_equal(log.places, 5);
    /* Another leader knows nothing of that; nor does the first, when it leads again. */
    oracle_kit_lead(kit, 2);
    run(kit, 100);
    assert_int_equal(log.places, 10);
    log.is_detached = 0;
    oracle_kit_lead(kit, 1);
    run(kit, 100);
    assert_int_equal(log.count, 5);
    oracle_kit_free(kit);
}

/* One that is not registered because its word was lost asks again before long. */
static void test_lost_word_is_repeated(void **state)
{
    (void)state;
    struct log log;
    struct oracle_kit *kit = begin(3, &log);
    kit->options.lost_percent = 100;
    oracle_kit_lead(kit, 2);
    run(kit, ELECTION_MS);
    assert_false(is_registered(&log, 3));
    kit->options.lost_percent = 0;
    run(kit, 3 * ELECTION_MS);
    assert_true(is_registered(&log, 3));
    oracle_kit_free(kit);
}

/* One that restarts stands at the end; one that is gone is not renewed. */
static void test_restarted_and_gone(void **state)
{
    (void)state;
    struct log log;
    struct oracle_kit *kit = begin(3, &log);
    run(kit, ELECTION_MS);
    node_id_t second = log.line[1].proposer;
    oracle_kit_kill(kit, second - 1);
    oracle_kit_start(kit, second - 1);
    run(kit, ELECTION_MS);
    assert_int_equal(log.count, 3);
    assert_int_equal(log.line[2].proposer, second);
    assert_int_equal(log.line[2].incarnation, incarnation(kit, second - 1));
    oracle_kit_kill(kit, second - 1);
    run(kit, LINE_TTL_MS);
    log.values = log.places = 0;
    run(kit, LINE_TTL_MS);
    assert_int_equal(log.places, 2 * log.values);
    oracle_kit_free(kit);
}

/* The first of the line that is fit is named, whatever the ranks; others come after, by rank. */
static void test_first_fit_of_the_line_is_named(void **state)
{
    (void)state;
    struct log log;
    struct oracle_kit *kit = begin(5, &log);
    assert_non_null(strstr(oracle_kit_explain(kit, 0), "nobody is registered as a successor"));
    oracle_kit_open_gate(kit);
    assert_int_equal(oracle_kit_named(kit), 5); /* nobody is registered: by rank */
    const node_id_t order[] = {3, 1, 2};
    for (size_t i = 0; i < 3; i++) {
        log.line[log.count++] = (struct place){order[i], incarnation(kit, order[i] - 1), i + 1, 1};
    }
    assert_int_equal(oracle_kit_named(kit), 3);
    assert_string_equal(oracle_kit_explain(kit, 0),
                        "proposer 3 is the first of the line that could lead; the line of "
                        "successors: 3, 1, 2");
    kit->nodes[2].has_no_quorum = 1; /* it hears of nobody: the others are asked */
    assert_int_equal(oracle_kit_name(kit, 4), 1);
    oracle_kit_kill(kit, 0);
    oracle_kit_run(kit, 2 * ELECTION_MS);
    assert_int_equal(oracle_kit_name(kit, 4), 2);
    assert_string_equal(oracle_kit_explain(kit, 1),
                        "proposer 2 is the first of the line that could lead; the line of "
                        "successors: 3 (unfit), 1 (unfit), 2");
    for (size_t i = 0; i < 5; i++) {
        kit->nodes[i].settings.candidate_count = 1;
        kit->nodes[i].settings.candidates[0] = (struct candidate_settings){.id = 2, .is_barred = 1};
    }
    assert_int_equal(oracle_kit_name(kit, 4), 5); /* the whole line is unfit */
    assert_non_null(strstr(oracle_kit_explain(kit, 4), "nobody of the line could lead, and "
                                                       "proposer 5 ranks highest of the others"));
    oracle_kit_lead(kit, 4);
    assert_int_equal(oracle_kit_name(kit, 4), 4); /* who serves stays */
    log.line[log.count++] = (struct place){.proposer = 77};
    oracle_kit_open_gate(kit);
    assert_int_equal(oracle_kit_name(kit, 4), 5); /* no member any more */
    oracle_kit_free(kit);
}

/* The line survives leaders that change faster than it is renewed. */
static void test_short_leaderships_renew(void **state)
{
    (void)state;
    struct log log;
    struct oracle_kit *kit = begin(3, &log);
    size_t renewed = 0;
    for (int i = 0; i < 12; i++) {
        oracle_kit_lead(kit, (node_id_t)(i % 3) + 1);
        log.places = 0;
        run(kit, LINE_TTL_MS / 4);
        renewed += log.places >= 3;
    }
    assert_int_equal(renewed, 12);
    oracle_kit_free(kit);
}

static void hear(struct oracle_kit *kit, const struct message *msg)
{
    struct oracle_view view;
    oracle_kit_view(kit, 0, &view);
    oracle_on_message(&kit->nodes[0].oracle, &view, msg, &kit->nodes[0].fx);
}

/* Words of other types, or of nobody, register nobody. */
static void test_other_words_are_ignored(void **state)
{
    (void)state;
    struct log log;
    struct oracle_kit *kit = begin(3, &log);
    run(kit, 2 * ELECTION_MS + 100);
    oracle_kit_kill(kit, 2);
    run(kit, 2 * LINE_TTL_MS);
    log.values = log.places = 0;
    struct message word = {
        .kind = MSG_ORACLE, .from = {ROLE_PROPOSER, 3}, .incarnation = incarnation(kit, 2)};
    word.oracle.kind = ORACLE_SUCCESSION;
    word.oracle.type = ORACLE_ACK;
    hear(kit, &word);
    word.oracle.type = ORACLE_REGISTER;
    word.from.id = 50;
    hear(kit, &word);
    run(kit, LINE_TTL_MS);
    assert_int_equal(log.places, 2 * log.values);
    word.from.id = 3;
    hear(kit, &word);
    log.values = log.places = 0;
    run(kit, LINE_TTL_MS / 3);
    assert_int_equal(log.places, 3 * log.values);
    oracle_kit_free(kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_register),
        cmocka_unit_test(test_nothing_is_proposed_twice),
        cmocka_unit_test(test_lost_word_is_repeated),
        cmocka_unit_test(test_restarted_and_gone),
        cmocka_unit_test(test_first_fit_of_the_line_is_named),
        cmocka_unit_test(test_short_leaderships_renew),
        cmocka_unit_test(test_other_words_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
