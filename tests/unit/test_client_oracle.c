/* libsynod's settings of oracles, transfers and explanations against a scripted cluster: what is
 * read is what was set, a change by somebody else is told and changes nothing, nonsense never
 * leaves the process, a transfer finds the leader and says how it failed, and an explanation
 * does without those that are silent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/client_kit.h"

#include <stdio.h>
#include <string.h>

/* Proves: before anything was set the settings are those of cluster.yml, of version 0. */
static void test_version_0(void **state)
{
    (void)state;
    struct synod *s = start(3, 2);
    struct synod_oracle oracle;
    assert_ok(s, synod_oracle_get(s, SYNOD_LINEARIZABLE, &oracle));
    assert_int_equal(oracle.version, 0);
    assert_int_equal(oracle.kind, SYNOD_ORACLE_CONNECTED);
    assert_int_equal(oracle.candidate_count, 3);
    assert_int_equal(oracle.candidates[2].id, 3);
    assert_int_equal(oracle.candidates[2].is_barred, 0);
    stop(s);
}

/* Proves: every setting travels there and back, the version rises by one, and a member without a
 * row of its own has one all the same. */
static void test_set(void **state)
{
    (void)state;
    struct synod *s = start(3, 2);
    struct synod_oracle oracle;
    struct synod_oracle back;
    uint64_t version = 0;
    assert_ok(s, synod_oracle_get(s, SYNOD_LINEARIZABLE, &oracle));
    oracle.kind = SYNOD_ORACLE_FLOODMAX;
    oracle.preempts = 1;
    snprintf(oracle.zone, sizeof oracle.zone, "eu");
    oracle.diameter = 2;
    oracle.candidates[0].priority = 9;
    oracle.candidates[1].is_barred = 1;
    snprintf(oracle.candidates[2].zone, sizeof oracle.zone, "eu");
    oracle.order[0] = 3;
    oracle.order[1] = 1;
    oracle.order_count = 2;
    oracle.edges[0] = (struct synod_edge){1, 2};
    oracle.edges[1] = (struct synod_edge){2, 3};
    oracle.edge_count = 2;
    assert_ok(s, synod_oracle_set(s, &oracle, &version));
    assert_int_equal(version, 1);
    assert_ok(s, synod_oracle_get(s, SYNOD_LOCAL, &back));
    oracle.version = 1;
    assert_memory_equal(&oracle, &back, sizeof back);

    oracle.candidate_count = 1;
    assert_ok(s, synod_oracle_set(s, &oracle, NULL));
    assert_ok(s, synod_oracle_get(s, SYNOD_LINEARIZABLE, &back));
    assert_int_equal(back.version, 2);
    assert_int_equal(back.candidate_count, 3);
    assert_int_equal(back.candidates[1].is_barred, 0);
    stop(s);
}

/* Proves: if somebody else was first nothing is changed, the error is one of its own, and reading
 * again is the way out. */
static void test_changed(void **state)
{
    (void)state;
    struct synod *s = start(2, 2);
    struct synod_oracle oracle;
    assert_ok(s, synod_oracle_get(s, SYNOD_LINEARIZABLE, &oracle));
    oracle.kind = SYNOD_ORACLE_RING;
    assert_ok(s, synod_oracle_set(s, &oracle, NULL));
    assert_refused(s, synod_oracle_set(s, &oracle, NULL), SYNOD_E_CHANGED, "version 1");
    assert_ok(s, synod_oracle_get(s, SYNOD_LINEARIZABLE, &oracle));
    SCRIPT(changed_count, 1);
    assert_refused(s, synod_oracle_set(s, &oracle, NULL), SYNOD_E_CHANGED, "read them again");
    assert_ok(s, synod_oracle_get(s, SYNOD_LINEARIZABLE, &oracle));
    assert_int_equal(oracle.version, 2);
    oracle.kind = SYNOD_ORACLE_GOSSIP;
    assert_ok(s, synod_oracle_set(s, &oracle, NULL));
    stop(s);
}

/* Proves: settings that break a rule are refused before anything is sent; the handle goes on. */
static void test_nonsense(void **state)
{
    (void)state;
    struct synod *s = start(3, 2);
    struct synod_oracle good;
    assert_ok(s, synod_oracle_get(s, SYNOD_LINEARIZABLE, &good));
    struct synod_oracle bad = good;
    bad.kind = (enum synod_oracle_kind)99;
    assert_refused(s, synod_oracle_set(s, &bad, NULL), SYNOD_E_USAGE, "unknown kind");
    bad = good;
    memset(bad.zone, 'x', sizeof bad.zone);
    assert_refused(s, synod_oracle_set(s, &bad, NULL), SYNOD_E_USAGE, "no zone");
    bad = good;
    snprintf(bad.candidates[0].zone, sizeof bad.zone, "a b");
    assert_refused(s, synod_oracle_set(s, &bad, NULL), SYNOD_E_USAGE, "no zone");
    bad = good;
    bad.candidates[2].id = 9;
    assert_refused(s, synod_oracle_set(s, &bad, NULL), SYNOD_E_USAGE, "no proposer 9");
    bad = good;
    bad.candidate_count = 1000;
    assert_refused(s, synod_oracle_set(s, &bad, NULL), SYNOD_E_USAGE, "too many");
    bad = good;
    bad.candidates[0].is_barred = bad.candidates[1].is_barred = bad.candidates[2].is_barred = 1;
    assert_refused(s, synod_oracle_set(s, &bad, NULL), SYNOD_E_USAGE, "nobody may lead");
    bad = good;
    bad.order[0] = bad.order[1] = 1;
    bad.order_count = 2;
    assert_refused(s, synod_oracle_set(s, &bad, NULL), SYNOD_E_USAGE, "order");
    bad = good;
    bad.edges[0] = (struct synod_edge){2, 1};
    bad.edge_count = 1;
    assert_refused(s, synod_oracle_set(s, &bad, NULL), SYNOD_E_USAGE, "topology");
    bad.edges[0] = (struct synod_edge){1, 2};
    assert_refused(s, synod_oracle_set(s, &bad, NULL), SYNOD_E_USAGE, "not connected");
    bad = good;
    bad.diameter = 99;
    assert_refused(s, synod_oracle_set(s, &bad, NULL), SYNOD_E_USAGE, "diameter");
    fake_lock(&fake);
    assert_int_equal(fake.settings_version, 0);
    fake_unlock(&fake);
    assert_ok(s, synod_oracle_set(s, &good, NULL));
    stop(s);
}

/* Proves: the line of successors is told in its order, up to what there is room for. */
static void test_line(void **state)
{
    (void)state;
    struct synod *s = start(3, 1);
    struct synod_place places[2];
    size_t count = 9;
    assert_ok(s, synod_oracle_line(s, places, 2, &count));
    assert_int_equal(count, 0);
    fake_lock(&fake);
    fake.line[0] = (struct place){3, 33, 12, 900};
    fake.line[1] = (struct place){1, 11, 40, 800};
    fake.line[2] = (struct place){2, 22, 41, 700};
    fake.line_count = 3;
    fake_unlock(&fake);
    assert_ok(s, synod_oracle_line(s, places, 2, &count));
    assert_int_equal(count, 3);
    assert_int_equal(places[0].proposer, 3);
    assert_int_equal(places[0].incarnation, 33);
    assert_int_equal(places[1].since, 40);
    assert_int_equal(places[1].left_ms, 800);
    stop(s);
}

/* How often proposers were asked to hand over. */
static size_t asked_count(void)
{
    fake_lock(&fake);
    size_t count = 0;
    for (size_t i = 0; i < fake.proposer_count; i++) {
        count += fake.nodes[i].transfer_count;
    }
    fake_unlock(&fake);
    return count;
}

/* Proves: a transfer reaches the leader through whom it asks first, an answer that is lost, a
 * leader that is busy and a target that was allowed a moment ago are asked for again, and it ends
 * when the target leads. */
static void test_transfer(void **state)
{
    (void)state;
    struct synod *s = start(3, 1);
    struct synod_transfer done;
    fake_lead(&fake, 2);
    SCRIPT(transfer_unfit_count, 3); /* allowed a moment ago, and does not know it yet */
    assert_ok(s, synod_transfer(s, 3, &done));
    assert_int_equal(done.role, SYNOD_PROPOSER);
    assert_int_equal(done.from, 2);
    assert_int_equal(done.to, 3);
    assert_int_equal(done.round, 3);
    SCRIPT(named_leader, 3);
    SCRIPT(transfer_drop_count, 1);
    SCRIPT(transfer_busy_count, 2);
    SCRIPT(transfer_leader, 1);
    assert_ok(s, synod_transfer(s, 0, &done));
    assert_int_equal(done.from, 3);
    assert_int_equal(done.to, 1);
    SCRIPT(transfer_status, TRANSFER_ALREADY);
    SCRIPT(named_leader, 1);
    size_t before = asked_count();
    assert_ok(s, synod_transfer(s, 1, &done));
    assert_true(asked_count() <= before + 2); /* it follows whom the first one names */
    assert_int_equal(done.from, 1);
    assert_int_equal(done.to, 1);
    assert_ok(s, synod_transfer(s, 1, NULL));
    stop(s);
}

/* Proves: each way to fail has its sentence. */
static void test_transfer_refused(void **state)
{
    (void)state;
    struct synod *s = start(3, 1);
    assert_refused(s, synod_transfer(s, 9, NULL), SYNOD_E_USAGE, "no proposer 9");
    SCRIPT(transfer_status, TRANSFER_BARRED);
    assert_refused(s, synod_transfer(s, 2, NULL), SYNOD_E_UNFIT, "oracle allow 2");
    SCRIPT(transfer_status, TRANSFER_UNFIT);
    assert_refused(s, synod_transfer(s, 2, NULL), SYNOD_E_UNFIT, "proposer 2 cannot lead now");
    assert_refused(s, synod_transfer(s, 0, NULL), SYNOD_E_UNFIT, "no other proposer");
    SCRIPT(transfer_status, TRANSFER_UNKNOWN);
    assert_refused(s, synod_transfer(s, 2, NULL), SYNOD_E_USAGE, "knows no proposer 2");
    SCRIPT(transfer_status, TRANSFER_BEGUN);
    SCRIPT(transfer_leader, 3);
    assert_refused(s, synod_transfer(s, 2, NULL), SYNOD_E_UNAVAILABLE, "proposer 3 leads instead");
    synod_close(s);
    s = open_client((struct synod_options){.timeout_ms = 400});
    SCRIPT(transfer_leader, 0);
    SCRIPT(named_leader, 3);
    SCRIPT(transfer_busy_count, 1000000);
    assert_refused(s, synod_transfer(s, 2, NULL), SYNOD_E_UNAVAILABLE, "busy");
    SCRIPT(leader, 0);
    assert_refused(s, synod_transfer(s, 2, NULL), SYNOD_E_UNAVAILABLE, "nobody leads");
    SCRIPT(named_leader, 0);
    assert_refused(s, synod_transfer(s, 2, NULL), SYNOD_E_UNAVAILABLE, "nobody leads");
    SCRIPT(transfer_drop_count, 1000000);
    assert_refused(s, synod_transfer(s, 2, NULL), SYNOD_E_UNAVAILABLE, "no proposer answered");
    stop(s);
}

/* Proves: an explanation has what each proposer said, whole; the settings of a learner; and those
 * that are silent hold it up no longer than a status. */
static void test_explain(void **state)
{
    (void)state;
    struct synod *s = start(3, 2);
    struct synod_explanation *e = NULL;
    fake_down(&fake, 1, 1);
    SCRIPT(settings_version, 0);
    int64_t before = now_ms();
    assert_ok(s, synod_explain(s, &e));
    assert_true(now_ms() - before < 3000);
    assert_int_equal(e->is_raft, 0);
    assert_int_equal(e->acceptor_count, 3);
    assert_int_equal(e->prepare_quorum, 2);
    assert_int_equal(e->proposer_count, 3);
    assert_true(e->is_oracle_known);
    assert_int_equal(e->oracle.kind, SYNOD_ORACLE_CONNECTED);
    assert_false(e->proposers[1].is_answering);
    assert_string_equal(e->proposers[1].state, "unreachable");
    const struct synod_explained_proposer *p = &e->proposers[0];
    assert_true(p->is_answering);
    assert_string_equal(p->state, "leading");
    assert_int_equal(p->gate, SYNOD_GATE_SERVES);
    assert_int_equal(p->leader.round, 3);
    assert_int_equal(p->leader.proposer, 1);
    assert_int_equal(p->kind, SYNOD_ORACLE_RING);
    assert_int_equal(p->named, 1);
    assert_int_equal(p->pause_ms, 13);
    assert_int_equal(p->attempts, 2);
    assert_string_equal(p->oracle, "the live proposer of highest rank");
    assert_int_equal(p->acceptor_count, 1);
    assert_int_equal(p->acceptors[0].lease_left_ms, 489);
    assert_int_equal(p->acceptors[0].leader.round, 3);
    assert_int_equal(p->link_count, 1);
    assert_int_equal(p->links[0].proposer, 1);
    assert_int_equal(p->links[0].silence_ms, 5);
    assert_int_equal(e->proposers[2].gate, SYNOD_GATE_LEADER_HEARD);
    synod_explanation_free(e);
    stop(s);
}

/* Proves: what was heard half a second ago, while others were waited for, is not told as if it were
 * so now: who answered is asked again, and a leader that fell silent meanwhile does not lead. */
static void test_explain_is_fresh(void **state)
{
    (void)state;
    struct synod *s = start(3, 2);
    struct synod_explanation *e = NULL;
    fake_down(&fake, 1, 1);
    fake_lock(&fake);
    fake.nodes[0].explain_limit = 1;
    fake_unlock(&fake);
    assert_ok(s, synod_explain(s, &e));
    assert_false(e->proposers[0].is_answering);
    assert_string_equal(e->proposers[0].state, "unreachable");
    assert_int_equal(e->proposers[0].link_count, 0);
    assert_true(e->proposers[2].is_answering);
    synod_explanation_free(e);
    fake_down(&fake, 1, 0);
    stop(s);
}

/* Proves: without any proposer, and without learners, there is an explanation all the same. */
static void test_explain_alone(void **state)
{
    (void)state;
    fake_start(&fake, 2, 1);
    struct synod *s = open_client((struct synod_options){.timeout_ms = 700});
    struct synod_explanation *e = NULL;
    for (size_t i = 0; i < 3; i++) {
        fake_down(&fake, i, 1);
    }
    assert_refused(s, synod_explain(s, &e), SYNOD_E_UNAVAILABLE, "no proposer answered");
    assert_non_null(e);
    assert_false(e->proposers[0].is_answering);
    assert_false(e->is_oracle_known);
    assert_int_equal(e->oracle.candidate_count, 2);
    synod_explanation_free(e);
    synod_explanation_free(NULL);
    synod_close(s);
    for (size_t i = 0; i < 3; i++) {
        fake_down(&fake, i, 0);
    }
    fake_stop(&fake);
}

/* Proves: once a learner has answered, proposers that do not are waited for like those that are
 * silent beside others: not for the whole timeout, which this test would not survive. */
static void test_explain_without_proposers(void **state)
{
    (void)state;
    fake_start(&fake, 2, 2);
    struct synod *s = open_client((struct synod_options){.timeout_ms = 3600 * 1000});
    struct synod_explanation *e = NULL;
    fake_down(&fake, 0, 1);
    fake_down(&fake, 1, 1);
    assert_refused(s, synod_explain(s, &e), SYNOD_E_UNAVAILABLE, "no proposer answered");
    assert_non_null(e);
    assert_true(e->is_oracle_known);
    assert_false(e->proposers[0].is_answering);
    assert_false(e->proposers[1].is_answering);
    synod_explanation_free(e);
    fake_down(&fake, 0, 0);
    fake_down(&fake, 1, 0);
    stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_version_0, clean_up),
        cmocka_unit_test_teardown(test_set, clean_up),
        cmocka_unit_test_teardown(test_changed, clean_up),
        cmocka_unit_test_teardown(test_nonsense, clean_up),
        cmocka_unit_test_teardown(test_line, clean_up),
        cmocka_unit_test_teardown(test_transfer, clean_up),
        cmocka_unit_test_teardown(test_transfer_refused, clean_up),
        cmocka_unit_test_teardown(test_explain, clean_up),
        cmocka_unit_test_teardown(test_explain_is_fresh, clean_up),
        cmocka_unit_test_teardown(test_explain_alone, clean_up),
        cmocka_unit_test_teardown(test_explain_without_proposers, clean_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
