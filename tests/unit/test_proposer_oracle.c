/* What a proposer does with words about oracles that do not fit: of a second process under its id,
 * of acceptors that know more proposers, of learners of nobody. */
#include "common/protocol/value.h"
#include "proposer/proposer.h"
#include "tests/unit/core_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define INCARNATION 77U
#define CLIENT 4242U

struct fixture {
    struct core_kit kit;
    struct proposer *proposer;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    kit_open(&f->kit);
    struct proposer_options options = {.id = 2,
                                       .incarnation = INCARNATION,
                                       .seed = 1,
                                       .members = kit_members(3, 2, 1),
                                       .heartbeat_ms = 50,
                                       .election_ms = 500};
    settings_init(&options.settings);
    f->proposer = proposer_new(&options);
    f->kit.core = proposer_core(f->proposer);
    kit_event(&f->kit, EVENT_START);
    kit_flush(&f->kit);
    kit_end(&f->kit);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    effects_clear(&f->kit.fx);
    proposer_free(f->proposer);
    kit_close(&f->kit);
    free(f);
    return 0;
}

/* Proves: a message of an oracle that seems to come from this very proposer, because a second
 * process was started under its id, is ignored, whatever the oracle: none of them is made to answer
 * itself. */
static void test_oracle_of_the_same_id(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[SETTINGS_BYTES_MAX];
    for (int kind = ORACLE_CONNECTED; kind < ORACLE_KIND_END; kind++) {
        struct settings settings;
        settings_init(&settings);
        settings.kind = (enum oracle_kind)kind;
        struct message set = kit_from(ROLE_LEARNER, 1, 301, MSG_SETTINGS);
        set.settings =
            (struct msg_settings){.version = (uint64_t)kind,
                                  .settings = slice_borrow(bytes, settings_put(bytes, &settings))};
        kit_message(&f->kit, &set);
        for (uint32_t type = ORACLE_TOKEN; type <= ORACLE_REGISTER; type++) {
            struct message msg = kit_from(ROLE_PROPOSER, 2, INCARNATION + 1, MSG_ORACLE);
            msg.oracle = (struct msg_oracle){.type = type,
                                             .kind = (uint32_t)kind,
                                             .version = (uint64_t)kind,
                                             .round = type,
                                             .subject = 1,
                                             .hops = 1};
            kit_message(&f->kit, &msg);
        }
        kit_flush(&f->kit);
        kit_end(&f->kit);
    }
    assert_int_equal(proposer_settings(f->proposer)->version, ORACLE_KIND_END - 1);
}

/* Proves: an explanation holds all that an acceptor said, also of more proposers than this process
 * knows. */
static void test_explanation_of_unknown_proposers(void **state)
{
    struct fixture *f = *state;
    struct proposer_report heard[MEMBERS_MAX];
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        heard[i] = (struct proposer_report){(node_id_t)i + 1, 0, 1, 0};
    }
    for (uint64_t acceptor = 1; acceptor <= 3; acceptor++) {
        struct message msg = kit_from(ROLE_ACCEPTOR, acceptor, 200 + acceptor, MSG_REPORT);
        msg.report =
            (struct msg_report){.sequence = 1, .proposer_count = MEMBERS_MAX, .proposers = heard};
        kit_message(&f->kit, &msg);
    }
    struct message ask = kit_from(ROLE_CLIENT, CLIENT, 401, MSG_EXPLAIN);
    kit_message(&f->kit, &ask);
    const struct msg_explanation *reply = &kit_sent(&f->kit, MSG_EXPLANATION, 0)->msg.explanation;
    assert_int_equal(reply->link_count, 3 * MEMBERS_MAX);
    /* What is allocated next lies behind them. */
    assert_true((const uint8_t *)(reply->links + reply->link_count) <=
                (const uint8_t *)effects_alloc(&f->kit.fx, 1));
    kit_flush(&f->kit);
    kit_end(&f->kit);
}

/* Proves: settings come from the learners of this cluster; whoever else speaks as one, and names a
 * version that none could ever exceed, changes nothing. */
static void test_settings_of_no_learner(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[SETTINGS_BYTES_MAX];
    struct settings settings;
    settings_init(&settings);
    struct slice encoded = slice_borrow(bytes, settings_put(bytes, &settings));
    struct message msg = kit_from(ROLE_LEARNER, 9, 309, MSG_SETTINGS);
    msg.settings = (struct msg_settings){.version = UINT64_MAX / 2, .settings = encoded};
    kit_message(&f->kit, &msg);
    assert_int_equal(proposer_settings(f->proposer)->version, 0);
    msg = kit_from(ROLE_LEARNER, 1, 301, MSG_SETTINGS);
    msg.settings = (struct msg_settings){.version = 1, .settings = encoded};
    kit_message(&f->kit, &msg);
    assert_int_equal(proposer_settings(f->proposer)->version, 1);
    kit_flush(&f->kit);
    kit_end(&f->kit);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_oracle_of_the_same_id),
        TEST(test_explanation_of_unknown_proposers),
        TEST(test_settings_of_no_learner),
    };
    return cmocka_run_group_tests_name("proposer and oracles", tests, NULL, NULL);
}
