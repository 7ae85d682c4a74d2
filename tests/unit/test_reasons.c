/* The sentences of `synod explain`, word for word, in each situation in which one would ask. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "deploy/reasons.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct synod_explanation situation;
static struct reasons found;

/* ---- telling */

/* Every sentence on a line, in the order of the parts; help begins with "try: ". */
static const char *told(void)
{
    static char text[REASONS_MAX * REASON_BYTES];
    reasons_find(&situation, &found);
    size_t used = 0;
    text[0] = '\0';
    for (int part = REASON_WHO; part <= REASON_HELP; part++) {
        for (size_t i = 0; i < found.count; i++) {
            if (found.list[i].part == (enum reason_part)part) {
                used += (size_t)snprintf(text + used, sizeof text - used, "%s%s\n",
                                         part == REASON_HELP ? "try: " : "", found.list[i].text);
            }
        }
    }
    return text;
}

static void assert_told(const char *wanted, uint32_t leader)
{
    const char *text = told();
    if (strcmp(text, wanted) != 0) {
        fail_msg("told:\n%s\nwanted:\n%s", text, wanted);
    }
    assert_int_equal(found.leader.proposer, leader);
}

/* ---- situations */

static struct synod_explained_acceptor acceptor(uint32_t id)
{
    return (struct synod_explained_acceptor){.id = id,
                                             .silence_ms = 10,
                                             .promised = {4, 1},
                                             .leader = {4, 1},
                                             .leader_silence_ms = 12,
                                             .lease_left_ms = 488,
                                             .chosen = 70};
}

static void set_oracle(uint32_t proposer, const char *why)
{
    struct synod_explained_proposer *p = &situation.proposers[proposer - 1];
    snprintf(p->oracle, sizeof p->oracle, "%s", why);
}

static void prepare(int is_raft, size_t proposers)
{
    memset(&situation, 0, sizeof situation);
    situation.is_raft = is_raft;
    situation.heartbeat_ms = 50;
    situation.election_ms = 500;
    situation.prepare_quorum = situation.accept_quorum = 2;
    situation.acceptor_count = 3;
    situation.proposer_count = proposers;
    situation.is_oracle_known = 1;
    situation.oracle.kind = SYNOD_ORACLE_CONNECTED;
    situation.oracle.role = is_raft ? SYNOD_ACCEPTOR : SYNOD_PROPOSER;
    situation.oracle.candidate_count = is_raft ? 3 : proposers;
    for (uint32_t i = 0; i < 3; i++) {
        situation.acceptors[i] = i + 1;
    }
    for (uint32_t i = 0; i < situation.oracle.candidate_count; i++) {
        situation.oracle.candidates[i].id = i + 1;
    }
}

/* Proposer 1 leads, the others stand by, all is well. */
static void be_healthy(size_t proposers)
{
    prepare(0, proposers);
    for (uint32_t i = 0; i < proposers; i++) {
        struct synod_explained_proposer *p = &situation.proposers[i];
        p->id = i + 1;
        p->is_answering = 1;
        p->state = i == 0 ? "leading" : "standby";
        p->gate = i == 0 ? SYNOD_GATE_SERVES : SYNOD_GATE_LEADER_HEARD;
        p->ballot = i == 0 ? (struct synod_ballot){4, 1} : (struct synod_ballot){0, 0};
        p->leader = (struct synod_ballot){4, 1};
        p->kind = SYNOD_ORACLE_CONNECTED;
        p->named = 1;
        p->acceptor_count = 3;
        for (uint32_t k = 0; k < 3; k++) {
            p->acceptors[k] = acceptor(k + 1);
        }
        set_oracle(i + 1, "proposer 1 serves a quorum, and stays");
    }
}

/* In Raft mode: acceptor 2 leads in term 4. */
static void be_healthy_raft(void)
{
    prepare(1, 2);
    for (uint32_t i = 0; i < 2; i++) {
        struct synod_explained_proposer *p = &situation.proposers[i];
        p->id = i + 1;
        p->is_answering = 1;
        p->state = "leading";
        p->gate = SYNOD_GATE_FORWARDS;
        p->leader = (struct synod_ballot){4, 2};
        p->kind = SYNOD_ORACLE_CONNECTED;
        p->acceptor_count = 3;
        for (uint32_t k = 0; k < 3; k++) {
            p->acceptors[k] = acceptor(k + 1);
            p->acceptors[k].promised = p->acceptors[k].leader = (struct synod_ballot){4, 2};
        }
    }
}

static void silence_acceptor(uint32_t id)
{
    for (size_t i = 0; i < situation.proposer_count; i++) {
        situation.proposers[i].acceptors[id - 1].silence_ms = 5000;
    }
}

static void silence_proposer(uint32_t id)
{
    struct synod_explained_proposer *p = &situation.proposers[id - 1];
    memset(p, 0, sizeof *p);
    p->id = id;
    p->state = "unreachable";
}

/* Nobody leads any more, since so long ago. */
static void lose_leader(uint32_t ms)
{
    for (size_t i = 0; i < situation.proposer_count; i++) {
        struct synod_explained_proposer *p = &situation.proposers[i];
        p->leader = (struct synod_ballot){0, 0};
        p->state = "standby";
        p->gate = situation.is_raft ? SYNOD_GATE_FORWARDS : SYNOD_GATE_OPEN;
        for (size_t k = 0; k < p->acceptor_count; k++) {
            p->acceptors[k].leader_silence_ms = ms;
            p->acceptors[k].lease_left_ms = ms < 500 ? 500 - ms : 0;
        }
    }
}

static void set_gate(uint32_t proposer, enum synod_gate gate, uint32_t named, const char *why)
{
    situation.proposers[proposer - 1].gate = gate;
    situation.proposers[proposer - 1].named = named;
    set_oracle(proposer, why);
}

/* ---- somebody leads */

static void test_healthy(void **state)
{
    (void)state;
    be_healthy(2);
    assert_told("Proposer 1 leads under ballot 4.1.\n"
                "It is heard by acceptors 1, 2 and 3; 2 of 3 are needed.\n"
                "They promise nobody else for another 478 ms, and each heartbeat renews that.\n"
                "Its oracle, connected: proposer 1 serves a quorum, and stays.\n",
                1);
    assert_int_equal(found.leader.round, 4);
    assert_int_equal(found.heard_by, 7);
    assert_int_equal(found.lease_left_ms, 478);
}

/* Proves: what is not as it should be is said while somebody leads, too. */
static void test_healthy_but(void **state)
{
    (void)state;
    be_healthy(3);
    silence_acceptor(3);
    silence_proposer(3);
    situation.proposers[1].acceptors[1].silence_ms = 900;
    assert_told("Proposer 1 leads under ballot 4.1.\n"
                "It is heard by acceptors 1 and 2; 2 of 3 are needed.\n"
                "They promise nobody else for another 478 ms, and each heartbeat renews that.\n"
                "Its oracle, connected: proposer 1 serves a quorum, and stays.\n"
                "Acceptor 3 is silent: the others suffice, but none of them may fail.\n"
                "Proposer 2 reaches only acceptor 1, and 2 are needed.\n"
                "Proposer 3 does not answer.\n"
                "try: start acceptor 3\n"
                "try: look at the network between proposer 2 and acceptor 2\n"
                "try: start proposer 3\n",
                1);
}

/* Proves: a leader that does not answer us leads all the same if the acceptors hear it. */
static void test_out_of_reach(void **state)
{
    (void)state;
    be_healthy(2);
    silence_proposer(1);
    assert_told("Proposer 1 leads under ballot 4.1 by the word of acceptors 1, 2 and 3; it does "
                "not answer here.\n"
                "It is heard by acceptors 1, 2 and 3; 2 of 3 are needed.\n"
                "They promise nobody else for another 478 ms, and each heartbeat renews that.\n"
                "Proposer 1 does not answer.\n"
                "try: look again in 478 ms: until then its lease keeps others away\n"
                "try: start proposer 1\n",
                1);
}

/* Proves: why one that ranks higher does not lead is said, with the way to change it. */
static void test_ranks_higher(void **state)
{
    (void)state;
    be_healthy(3);
    situation.oracle.candidates[1].priority = 9;
    assert_told("Proposer 1 leads under ballot 4.1.\n"
                "It is heard by acceptors 1, 2 and 3; 2 of 3 are needed.\n"
                "They promise nobody else for another 478 ms, and each heartbeat renews that.\n"
                "Its oracle, connected: proposer 1 serves a quorum, and stays.\n"
                "Proposer 2 ranks higher by priority, but a leader that serves is not replaced: "
                "preempt is off.\n"
                "try: synod transfer --to 2, if that one should lead\n",
                1);
    snprintf(situation.oracle.zone, sizeof situation.oracle.zone, "eu");
    snprintf(situation.oracle.candidates[2].zone, sizeof situation.oracle.zone, "eu");
    situation.oracle.preempts = 1;
    assert_non_null(strstr(told(), "Proposer 3 ranks higher by zone and priority: it takes over "
                                   "when it has been fit for two election timeouts.\n"));
    situation.oracle.candidates[2].is_barred = 1;
    assert_non_null(strstr(told(), "Proposer 2 ranks higher by priority: it takes over"));
    silence_proposer(2);
    assert_null(strstr(told(), "ranks higher"));
}

/* Proves: under `static` the place in the order is the rank that is spoken of, whatever the
 * priorities are. */
static void test_ranks_higher_by_order(void **state)
{
    (void)state;
    be_healthy(3);
    situation.oracle.candidates[2].priority = 9;
    situation.oracle.order_count = 2;
    situation.oracle.order[0] = 2;
    situation.oracle.order[1] = 1;
    assert_non_null(strstr(told(), "Proposer 3 ranks higher by priority, but"));
    situation.oracle.kind = SYNOD_ORACLE_STATIC;
    assert_non_null(strstr(told(), "Proposer 2 ranks higher by the fixed order, but a leader that "
                                   "serves is not replaced: preempt is off.\n"));
    situation.oracle.order_count = 1;
    situation.oracle.order[0] = 1;
    assert_null(strstr(told(), "ranks higher"));
}

/* Proves: ranks and bars are not told from settings that proposers do not go by; and it is said
 * that no learner answered. */
static void test_settings_unknown(void **state)
{
    (void)state;
    be_healthy(2);
    situation.oracle.candidates[1].priority = 9;
    situation.oracle.candidates[0].is_barred = 1;
    situation.proposers[0].version = situation.proposers[1].version = 3;
    situation.is_oracle_known = 0;
    const char *text = told();
    assert_null(strstr(text, "ranks higher"));
    assert_null(strstr(text, "it is barred"));
    assert_null(strstr(text, "It is barred"));
    assert_non_null(strstr(text, "No learner answers: what the log says of ranks and bars is not "
                                 "known here, and clients get no results.\n"));
    assert_non_null(
        strstr(text, "try: start a learner, or look whether one is reachable from here\n"));
    situation.is_oracle_known = 1; /* but behind */
    situation.oracle.version = 2;
    text = told();
    assert_null(strstr(text, "ranks higher"));
    assert_null(strstr(text, "It is barred"));
    assert_null(strstr(text, "No learner answers"));
}

static void test_barred_leader(void **state)
{
    (void)state;
    be_healthy(2);
    situation.oracle.candidates[0].is_barred = 1;
    assert_non_null(strstr(told(), "It is barred, but leads until another one is fit to.\n"));
}

static void test_disagreement(void **state)
{
    (void)state;
    be_healthy(3);
    situation.proposers[1].leader = (struct synod_ballot){3, 2};
    situation.proposers[2].leader = (struct synod_ballot){3, 2};
    assert_non_null(strstr(told(), "Proposer 3 takes proposer 2 for the leader (ballot 3.2).\n"));
    situation.proposers[2].leader = (struct synod_ballot){0, 0};
    assert_non_null(strstr(told(), "Proposer 3 knows of no leader.\n"));
}

static void test_versions(void **state)
{
    (void)state;
    be_healthy(2);
    situation.oracle.version = 7;
    situation.proposers[0].version = 7;
    situation.proposers[1].version = 6;
    situation.proposers[1].kind = SYNOD_ORACLE_RING;
    assert_non_null(
        strstr(told(), "Proposer 2 goes by version 6 of the settings (oracle ring), the newest is "
                       "7.\n"
                       "try: wait a moment: learners tell the settings"));
    situation.proposers[1].version = 7;
    situation.oracle.version = 5;
    assert_non_null(strstr(told(), "The learner that answered has version 5 of the settings: it is "
                                   "behind.\n"));
}

/* ---- nobody leads */

static void test_no_proposer(void **state)
{
    (void)state;
    be_healthy(2);
    silence_proposer(1);
    silence_proposer(2);
    assert_told("Nobody can say who leads: no proposer answers.\n"
                "Proposers 1 and 2 are silent.\n"
                "try: start proposer 1 or 2, or look whether they are reachable from here\n",
                0);
}

static void test_no_quorum(void **state)
{
    (void)state;
    be_healthy(2);
    lose_leader(2100);
    silence_acceptor(2);
    silence_acceptor(3);
    set_gate(1, SYNOD_GATE_NO_QUORUM, 0, "");
    set_gate(2, SYNOD_GATE_NO_QUORUM, 0, "");
    assert_told("Nobody leads.\n"
                "Acceptors 2 and 3 are silent: 1 of 3 acceptors answers, and 2 are needed.\n"
                "Acceptor 1 promised ballot 4.1 to proposer 1.\n"
                "try: start acceptor 2 or 3\n",
                0);
    silence_acceptor(1);
    assert_told("Nobody leads.\n"
                "Acceptors 1, 2 and 3 are silent: 0 of 3 acceptors answer, and 2 are needed.\n"
                "try: start 2 of acceptors 1, 2 and 3\n",
                0);
}

/* Proves: acceptors enough, and each proposer cut from some of them. */
static void test_cut(void **state)
{
    (void)state;
    be_healthy(2);
    lose_leader(2100);
    situation.proposers[0].acceptors[1].silence_ms = SYNOD_SILENT;
    situation.proposers[0].acceptors[2].silence_ms = 900;
    situation.proposers[1].acceptors[0].silence_ms = 900;
    situation.proposers[1].acceptors[1].silence_ms = 900;
    situation.proposers[1].acceptors[2].promised = (struct synod_ballot){0, 0};
    set_gate(1, SYNOD_GATE_NO_QUORUM, 0, "");
    set_gate(2, SYNOD_GATE_NO_QUORUM, 0, "");
    assert_told("Nobody leads.\n"
                "Acceptor 2 is silent: the others suffice, but none of them may fail.\n"
                "Proposer 1 reaches only acceptor 1, and 2 are needed.\n"
                "Proposer 2 reaches only acceptor 3, and 2 are needed.\n"
                "Acceptor 1 promised ballot 4.1 to proposer 1.\n"
                "Acceptor 3 has promised nothing so far.\n"
                "try: start acceptor 2\n"
                "try: look at the network between proposer 1 and acceptor 3\n"
                "try: look at the network between proposer 2 and acceptor 1\n",
                0);
}

/* Proves: when only barred ones could lead, who else could is named, and the way out if that one is
 * gone; for the settings cannot be changed without a leader. */
static void test_barred(void **state)
{
    (void)state;
    be_healthy(2);
    lose_leader(2100);
    silence_proposer(1);
    situation.oracle.candidates[1].is_barred = 1;
    set_gate(2, SYNOD_GATE_BARRED, 0, "no proposer is alive, reaches a quorum and may lead");
    assert_told("Nobody leads.\n"
                "Acceptors 1, 2 and 3 promised ballot 4.1 to proposer 1.\n"
                "Proposer 1 does not answer.\n"
                "Proposer 2 must not lead (barred).\n"
                "try: start proposer 1, which may lead\n"
                "try: else start proposer 2 again with --lead-anyway, and then: synod oracle allow "
                "2\n",
                0);
}

/* Proves: one that is barred is none of the reasons while another one could lead. */
static void test_barred_beside(void **state)
{
    (void)state;
    be_healthy(2);
    lose_leader(2100);
    situation.oracle.candidates[1].is_barred = 1;
    set_gate(2, SYNOD_GATE_BARRED, 0, "");
    assert_told("Nobody leads.\n"
                "Acceptors 1, 2 and 3 promised ballot 4.1 to proposer 1.\n"
                "Proposer 1 is about to ask for promises.\n"
                "Proposer 2 must not lead (barred).\n"
                "try: wait a moment\n",
                0);
}

/* Proves: the same if the proposer knows it and no learner answered. */
static void test_barred_by_own_word(void **state)
{
    (void)state;
    be_healthy(2);
    lose_leader(2100);
    silence_proposer(1);
    situation.is_oracle_known = 0;
    set_gate(2, SYNOD_GATE_BARRED, 0, "");
    assert_non_null(strstr(told(), "Proposer 2 must not lead (barred).\n"));
    assert_non_null(strstr(told(), "try: start proposer 1, which may lead\n"));
}

static void test_lease_of_the_dead(void **state)
{
    (void)state;
    be_healthy(2);
    lose_leader(180);
    silence_proposer(1);
    situation.proposers[1].leader = (struct synod_ballot){4, 1};
    set_gate(2, SYNOD_GATE_LEADER_HEARD, 1, "");
    assert_told("Nobody leads.\n"
                "Acceptors 1, 2 and 3 promised ballot 4.1 to proposer 1.\n"
                "Acceptors 1, 2 and 3 heard proposer 1, the leader under ballot 4.1, 190 ms ago, "
                "and keep its lease for another 310 ms.\n"
                "Proposer 1 does not answer.\n"
                "Proposer 2 takes proposer 1 for the leader (ballot 4.1).\n"
                "try: wait 310 ms\n",
                0);
}

static void test_restarted(void **state)
{
    (void)state;
    be_healthy(1);
    lose_leader(2100);
    for (size_t k = 0; k < 2; k++) {
        situation.proposers[0].acceptors[k].leader = (struct synod_ballot){0, 0};
        situation.proposers[0].acceptors[k].lease_left_ms = 330;
    }
    set_gate(1, SYNOD_GATE_LEADER_HEARD, 1, "");
    assert_told("Nobody leads.\n"
                "Acceptors 1, 2 and 3 promised ballot 4.1 to proposer 1.\n"
                "Acceptors 1 and 2 were restarted, and promise nothing for another 320 ms, in case "
                "a leader still holds its lease.\n"
                "try: wait 320 ms\n",
                0);
    situation.proposers[0].acceptors[1].lease_left_ms = 0;
    assert_non_null(strstr(told(), "Acceptor 1 was restarted, and promises nothing for another 320 "
                                   "ms"));
}

static void test_oracle_names_the_dead(void **state)
{
    (void)state;
    be_healthy(2);
    lose_leader(900);
    silence_proposer(1);
    situation.proposers[1].kind = SYNOD_ORACLE_RING;
    set_gate(2, SYNOD_GATE_NOT_NAMED, 1, "proposer 1 won election 3 of the ring.");
    assert_told(
        "Nobody leads.\n"
        "Acceptors 1, 2 and 3 promised ballot 4.1 to proposer 1.\n"
        "The oracle of proposer 2 (ring) names proposer 1, which does not answer: proposer "
        "1 won election 3 of the ring.\n"
        "Proposer 1 does not answer.\n"
        "try: start proposer 1, or wait until the oracle ring has noticed that it is gone\n",
        0);
    set_gate(2, SYNOD_GATE_NOT_NAMED, 0, "the election goes on");
    assert_non_null(strstr(told(),
                           "The oracle of proposer 2 (ring) names nobody: the election goes "
                           "on.\n"));
    assert_non_null(strstr(told(), "try: wait until the oracle ring has named somebody\n"));
}

static void test_attempts(void **state)
{
    (void)state;
    be_healthy(3);
    lose_leader(900);
    set_gate(1, SYNOD_GATE_PAUSES, 1, "");
    situation.proposers[0].pause_ms = 40;
    situation.proposers[0].attempts = 3;
    set_gate(2, SYNOD_GATE_PAUSES, 2, "");
    situation.proposers[1].pause_ms = 450;
    set_gate(3, SYNOD_GATE_CAMPAIGNS, 3, "");
    situation.proposers[2].ballot = (struct synod_ballot){6, 3};
    situation.proposers[2].acceptors[1].promised = (struct synod_ballot){7, 1};
    situation.proposers[2].acceptors[1].silence_ms = 1;
    assert_told("Nobody leads.\n"
                "Acceptors 1 and 3 promised ballot 4.1 to proposer 1.\n"
                "Acceptor 2 promised ballot 7.1 to proposer 1.\n"
                "Proposer 1 pauses for another 40 ms after 3 failed attempts.\n"
                "Proposer 2 lets the successor of the last leader go first, for another 450 ms.\n"
                "Proposer 3 asks for promises under ballot 6.3.\n"
                "Acceptor 2 promised ballot 7.1, which is higher: the attempt of proposer 3 will "
                "fail.\n"
                "try: wait 40 ms\n"
                "try: wait 450 ms\n"
                "try: wait a moment\n",
                0);
}

static void test_on_the_way(void **state)
{
    (void)state;
    be_healthy(2);
    lose_leader(900);
    situation.proposers[0].state = "recovering";
    situation.proposers[0].gate = SYNOD_GATE_SERVES;
    situation.proposers[0].leader = (struct synod_ballot){4, 1};
    assert_non_null(strstr(told(), "Proposer 1 has won ballot 4.1, and first closes the slots that "
                                   "former leaders left.\n"));
    assert_int_equal(found.leader.round, 0);
    situation.proposers[0].state = "draining";
    assert_non_null(strstr(told(),
                           "Proposer 1 hands over: it leads under ballot 4.1 no more than a "
                           "moment longer.\n"));
    assert_non_null(strstr(told(), "Proposer 2 is about to ask for promises.\n"));
}

/* ---- Raft mode */

static void test_raft_healthy(void **state)
{
    (void)state;
    be_healthy_raft();
    assert_told("Acceptor 2 leads in term 4.\n"
                "Acceptors 1, 2 and 3 are for it; 2 of 3 are needed.\n"
                "They vote for nobody else for another 478 ms, and each heartbeat renews that.\n"
                "The acceptors elected it: voters insist on the longer log, and on nothing else.\n",
                2);
    situation.oracle.candidates[0].priority = 1;
    assert_non_null(strstr(told(),
                           "Acceptor 1 ranks higher by priority, but a leader that serves is "
                           "not replaced: preempt is off.\n"));
}

/* Proves: an acceptor that comes back from a pause and still takes itself for the leader is not
 * believed when somebody has heard of a later term. */
static void test_raft_deposed(void **state)
{
    (void)state;
    be_healthy_raft();
    for (size_t i = 0; i < situation.proposer_count; i++) {
        for (size_t k = 0; k < 3; k++) {
            struct synod_explained_acceptor *a = &situation.proposers[i].acceptors[k];
            if (a->id != 2) {
                a->promised = (struct synod_ballot){5, 1};
                a->leader = (struct synod_ballot){0, 0};
                a->lease_left_ms = 0;
            }
        }
    }
    assert_non_null(strstr(told(), "No acceptor leads.\n"));
    be_healthy_raft();
    situation.proposers[1].leader = (struct synod_ballot){5, 1};
    assert_non_null(strstr(told(), "No acceptor leads.\n"));
    assert_non_null(strstr(told(), "Proposer 2 takes acceptor 1 for the leader (term 5).\n"));
}

static void test_raft_no_quorum(void **state)
{
    (void)state;
    be_healthy_raft();
    lose_leader(2000);
    silence_acceptor(2);
    silence_acceptor(3);
    assert_told("No acceptor leads.\n"
                "Acceptors 2 and 3 are silent: 1 of 3 acceptors answers, and 2 are needed.\n"
                "Acceptor 1 voted for acceptor 2 in term 4, or followed it there.\n"
                "try: start acceptor 2 or 3\n",
                0);
}

static void test_raft_election(void **state)
{
    (void)state;
    be_healthy_raft();
    lose_leader(100);
    silence_acceptor(2);
    situation.proposers[0].acceptors[0].promised = (struct synod_ballot){5, 1};
    situation.proposers[1].acceptors[0].promised = (struct synod_ballot){5, 1};
    situation.proposers[0].acceptors[0].lease_left_ms = 0;
    situation.proposers[1].acceptors[0].lease_left_ms = 0;
    assert_told(
        "No acceptor leads.\n"
        "Acceptor 2 is silent: the others suffice, but none of them may fail.\n"
        "Acceptor 1 stood for election in term 5.\n"
        "Acceptor 3 voted for acceptor 2 in term 4, or followed it there.\n"
        "Acceptor 3 heard acceptor 2, the leader in term 4, 110 ms ago, and votes for nobody "
        "else for another 390 ms.\n"
        "try: start acceptor 2\n"
        "try: wait: an election takes up to 1.3 s\n",
        0);
}

static void test_raft_barred(void **state)
{
    (void)state;
    be_healthy_raft();
    lose_leader(2000);
    silence_acceptor(2);
    situation.oracle.candidates[0].is_barred = 1;
    situation.oracle.candidates[2].is_barred = 1;
    assert_told("No acceptor leads.\n"
                "Acceptor 2 is silent: the others suffice, but none of them may fail.\n"
                "Acceptors 1 and 3 voted for acceptor 2 in term 4, or followed it there.\n"
                "Acceptors 1 and 3 must not lead (barred).\n"
                "try: start acceptor 2, which may lead\n"
                "try: else start acceptor 1 again with --lead-anyway, and then: synod oracle allow "
                "1\n",
                0);
}

/* ---- bounds */

/* Proves: the largest cluster, in the worst state, overflows nothing. */
static void test_largest(void **state)
{
    (void)state;
    prepare(0, SYNOD_MEMBERS_MAX);
    situation.acceptor_count = SYNOD_MEMBERS_MAX;
    situation.prepare_quorum = situation.accept_quorum = 17;
    situation.oracle.candidate_count = SYNOD_MEMBERS_MAX;
    for (uint32_t i = 0; i < SYNOD_MEMBERS_MAX; i++) {
        struct synod_explained_proposer *p = &situation.proposers[i];
        situation.acceptors[i] = UINT32_MAX - 40 + i;
        situation.oracle.candidates[i].id = p->id = UINT32_MAX - 40 + i;
        situation.oracle.candidates[i].is_barred = 1;
        p->is_answering = 1;
        p->state = "standby";
        p->gate = SYNOD_GATE_NOT_NAMED;
        p->version = i;
        p->leader = (struct synod_ballot){i + 1, UINT32_MAX - 20};
        memset(p->oracle, 'x', sizeof p->oracle - 1);
        p->acceptor_count = SYNOD_MEMBERS_MAX;
        for (uint32_t k = 0; k < SYNOD_MEMBERS_MAX; k++) {
            p->acceptors[k] = acceptor(UINT32_MAX - 40 + k);
            p->acceptors[k].promised = (struct synod_ballot){UINT64_MAX - k, UINT32_MAX};
            p->acceptors[k].leader_silence_ms = SYNOD_SILENT;
        }
    }
    assert_true(strlen(told()) > 10000);
    assert_true(found.count <= REASONS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_healthy),
        cmocka_unit_test(test_healthy_but),
        cmocka_unit_test(test_out_of_reach),
        cmocka_unit_test(test_ranks_higher),
        cmocka_unit_test(test_ranks_higher_by_order),
        cmocka_unit_test(test_settings_unknown),
        cmocka_unit_test(test_barred_leader),
        cmocka_unit_test(test_disagreement),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_no_proposer),
        cmocka_unit_test(test_no_quorum),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_barred),
        cmocka_unit_test(test_barred_beside),
        cmocka_unit_test(test_barred_by_own_word),
        cmocka_unit_test(test_lease_of_the_dead),
        cmocka_unit_test(test_restarted),
        cmocka_unit_test(test_oracle_names_the_dead),
        cmocka_unit_test(test_attempts),
        cmocka_unit_test(test_on_the_way),
        cmocka_unit_test(test_raft_healthy),
        cmocka_unit_test(test_raft_deposed),
        cmocka_unit_test(test_raft_no_quorum),
        cmocka_unit_test(test_raft_election),
        cmocka_unit_test(test_raft_barred),
        cmocka_unit_test(test_largest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
