/* A learner tells what the log says of oracles to all proposers and acceptors: when it changes, to
 * each that connects, and again each election timeout; never ahead of its own store. */
#include "common/base/buffer.h"
#include "common/base/bytes.h"
#include "common/protocol/settings.h"
#include "common/protocol/value.h"
#include "learner/learner.h"
#include "tests/unit/core_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ELECTION_MS 500
#define CLIENT 4242U

struct fixture {
    struct core_kit kit;
    struct learner *learner;
    uint64_t sequence; /* of the last command */
};

static const struct ballot leader = {1, 1, 101};

static void start(struct fixture *f)
{
    struct learner_options options = {.id = 1,
                                      .seed = 1,
                                      .members = kit_members(3, 2, 2),
                                      .heartbeat_ms = 50,
                                      .election_ms = ELECTION_MS,
                                      .reader = store_reader(f->kit.store)};
    f->learner = learner_new(&options);
    f->kit.core = learner_core(f->learner);
    kit_event(&f->kit, EVENT_START);
}

/* Applies a value as the next slot of the turn under way. */
static void apply(struct fixture *f, struct blob *value)
{
    slot_t slot = learner_applied(f->learner) + 1;
    kit_stream(&f->kit, &leader, slot, slot, value);
    assert_int_equal(learner_applied(f->learner), slot);
}

static void apply_command(struct fixture *f, enum command_op op, struct slice payload)
{
    struct block block = {.session = 1, .client = CLIENT, .first_seq = ++f->sequence, .count = 1};
    apply(f, kit_command_value(0, &block, op, payload));
}

static void apply_settings(struct fixture *f, uint64_t from, enum oracle_kind kind)
{
    uint8_t bytes[8 + SETTINGS_BYTES_MAX];
    struct settings settings;
    settings_init(&settings);
    settings.kind = kind;
    bytes_put_u64(bytes, from);
    apply_command(f, COMMAND_SETTINGS, slice_borrow(bytes, 8 + settings_put(bytes + 8, &settings)));
}

static void apply_line(struct fixture *f, uint64_t stamp_ms, node_id_t proposer)
{
    struct place place = {.proposer = proposer, .incarnation = 7};
    apply(f, value_line(stamp_ms, &place, 1));
}

static void end_turn(struct fixture *f)
{
    assert_int_equal(f->kit.fx.fatal, 0);
    kit_end(&f->kit);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    kit_open(&f->kit);
    f->kit.now = 10000;
    start(f);
    apply(f, kit_open_value(0, CLIENT));
    kit_flush(&f->kit);
    end_turn(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    effects_clear(&f->kit.fx);
    learner_free(f->learner);
    kit_close(&f->kit);
    free(f);
    return 0;
}

/* One message to all proposers and one to all acceptors, both behind the records, and no other. */
static const struct msg_settings *told_to_all(struct fixture *f)
{
    assert_int_equal(kit_sent_count(&f->kit, MSG_SETTINGS), 2);
    const struct outgoing *to_proposers = kit_sent(&f->kit, MSG_SETTINGS, 0);
    const struct outgoing *to_acceptors = kit_sent(&f->kit, MSG_SETTINGS, 1);
    assert_true(peer_equal(to_proposers->to, (struct peer){ROLE_PROPOSER, 0}));
    assert_true(peer_equal(to_acceptors->to, (struct peer){ROLE_ACCEPTOR, 0}));
    assert_int_equal(to_proposers->when, SEND_AFTER_DURABLE);
    assert_int_equal(to_acceptors->when, SEND_AFTER_DURABLE);
    assert_memory_equal(&to_proposers->msg.settings, &to_acceptors->msg.settings,
                        sizeof to_acceptors->msg.settings);
    return &to_proposers->msg.settings;
}

static void assert_kind(const struct msg_settings *msg, enum oracle_kind kind)
{
    struct settings settings;
    assert_int_equal(settings_parse(msg->settings, &settings, NULL), 0);
    assert_int_equal(settings.kind, kind);
}

static void tick(struct fixture *f, time_ms_t later_ms)
{
    f->kit.now += later_ms;
    kit_event(&f->kit, EVENT_TICK);
    kit_flush(&f->kit);
}

/* As long as nothing was ever said there is nothing to tell: not when somebody connects, and not
 * as time goes by. */
static void test_nothing_to_tell(void **state)
{
    struct fixture *f = *state;
    kit_peer(&f->kit, EVENT_PEER_UP, (struct peer){ROLE_PROPOSER, 1});
    kit_peer(&f->kit, EVENT_PEER_UP, (struct peer){ROLE_ACCEPTOR, 1});
    tick(f, 2 * ELECTION_MS);
    apply_settings(f, 3, ORACLE_RING); /* is refused */
    kit_flush(&f->kit);
    assert_int_equal(kit_sent_count(&f->kit, MSG_SETTINGS), 0);
    end_turn(f);
}

/* A change goes to all, once, with what is in the batch of this turn; a refused one does not. */
static void test_a_change_is_told(void **state)
{
    struct fixture *f = *state;
    apply_settings(f, 0, ORACLE_RING);
    assert_int_equal(kit_sent_count(&f->kit, MSG_SETTINGS), 0); /* nothing is written yet */
    kit_flush(&f->kit);
    assert_true(kit_puts(&f->kit, 'o'));
    const struct msg_settings *msg = told_to_all(f);
    assert_int_equal(msg->applied, 2);
    assert_int_equal(msg->version, 1);
    assert_int_equal(msg->line_count, 0);
    assert_kind(msg, ORACLE_RING);
    end_turn(f);
    apply_settings(f, 0, ORACLE_STATIC);
    tick(f, ELECTION_MS - 1);
    assert_int_equal(kit_sent_count(&f->kit, MSG_SETTINGS), 0);
    assert_false(kit_puts(&f->kit, 'o'));
    end_turn(f);
}

/* So does a line, and one that only renews a place. Of several changes in one turn the last is
 * told, whole. */
static void test_a_line_is_told(void **state)
{
    struct fixture *f = *state;
    apply_line(f, 100, 2);
    apply_settings(f, 0, ORACLE_SUCCESSION);
    apply_line(f, 200, 1);
    kit_flush(&f->kit);
    const struct msg_settings *msg = told_to_all(f);
    assert_int_equal(msg->applied, 4);
    assert_int_equal(msg->version, 1);
    assert_int_equal(msg->line_count, 2);
    assert_int_equal(msg->line[0].proposer, 2);
    assert_int_equal(msg->line[0].since, 2);
    assert_int_equal(msg->line[0].expires_ms, 100 + LINE_TTL_MS);
    assert_int_equal(msg->line[1].proposer, 1);
    assert_int_equal(msg->line[1].incarnation, 7);
    end_turn(f);
    apply_line(f, 300, 2);
    kit_flush(&f->kit);
    msg = told_to_all(f);
    assert_int_equal(msg->line_count, 2);
    assert_int_equal(msg->line[0].expires_ms, 300 + LINE_TTL_MS);
    end_turn(f);
}

/* Who connects is told, and nobody else; clients, learners and strangers are not. In a turn in
 * which all are told anyway nobody is told twice. */
static void test_who_connects_is_told(void **state)
{
    struct fixture *f = *state;
    apply_settings(f, 0, ORACLE_RING);
    kit_peer(&f->kit, EVENT_PEER_UP, (struct peer){ROLE_PROPOSER, 2});
    kit_flush(&f->kit);
    told_to_all(f);
    end_turn(f);
    kit_peer(&f->kit, EVENT_PEER_UP, (struct peer){ROLE_PROPOSER, 2});
    kit_peer(&f->kit, EVENT_PEER_UP, (struct peer){ROLE_ACCEPTOR, 3});
    kit_peer(&f->kit, EVENT_PEER_UP, (struct peer){ROLE_CLIENT, CLIENT});
    kit_peer(&f->kit, EVENT_PEER_UP, (struct peer){ROLE_LEARNER, 2});
    kit_peer(&f->kit, EVENT_PEER_UP, (struct peer){ROLE_PROPOSER, 9});
    kit_peer(&f->kit, EVENT_PEER_DOWN, (struct peer){ROLE_ACCEPTOR, 1});
    tick(f, 1);
    assert_int_equal(kit_sent_count(&f->kit, MSG_SETTINGS), 2);
    const struct outgoing *first = kit_sent(&f->kit, MSG_SETTINGS, 0);
    const struct outgoing *second = kit_sent(&f->kit, MSG_SETTINGS, 1);
    assert_true(peer_equal(first->to, (struct peer){ROLE_PROPOSER, 2}));
    assert_true(peer_equal(second->to, (struct peer){ROLE_ACCEPTOR, 3}));
    assert_int_equal(first->when, SEND_AFTER_DURABLE);
    assert_int_equal(first->msg.settings.version, 1);
    assert_kind(&second->msg.settings, ORACLE_RING);
    end_turn(f);
    tick(f, 1);
    assert_int_equal(kit_sent_count(&f->kit, MSG_SETTINGS), 0);
    end_turn(f);
}

/* A message may be lost: each election timeout all are told again, and it asks to be woken then. */
static void test_is_told_again(void **state)
{
    struct fixture *f = *state;
    apply_line(f, 100, 2);
    kit_flush(&f->kit);
    told_to_all(f);
    end_turn(f);
    tick(f, ELECTION_MS - 1);
    assert_int_equal(kit_sent_count(&f->kit, MSG_SETTINGS), 0);
    assert_true(f->kit.fx.wake_at <= f->kit.now + 1);
    end_turn(f);
    tick(f, 1);
    assert_int_equal(told_to_all(f)->version, 0);
    end_turn(f);
    tick(f, ELECTION_MS - 1);
    assert_int_equal(kit_sent_count(&f->kit, MSG_SETTINGS), 0);
    end_turn(f);
    tick(f, 1);
    assert_int_equal(told_to_all(f)->line_count, 1);
    end_turn(f);
}

/* It asks to be woken for that, even if nothing else is due: no lease, no silent leader. */
static void test_asks_to_be_woken(void **state)
{
    struct fixture *f = *state;
    apply_command(f, COMMAND_CLOSE_SESSION, SLICE_EMPTY);
    apply_line(f, 100, 2);
    kit_flush(&f->kit);
    time_ms_t told_at = f->kit.now;
    end_turn(f);
    f->kit.now += ELECTION_MS / 2;
    struct message msg = kit_from(ROLE_PROPOSER, 1, leader.incarnation, MSG_COMMIT);
    msg.commit = (struct msg_commit){leader, learner_applied(f->learner)};
    kit_message(&f->kit, &msg);
    kit_flush(&f->kit);
    assert_int_equal(f->kit.fx.wake_at, told_at + ELECTION_MS);
    end_turn(f);
}

/* What was told is known after a restart, and told without anybody's asking. */
static void test_restart(void **state)
{
    struct fixture *f = *state;
    apply_settings(f, 0, ORACLE_GOSSIP);
    apply_line(f, 100, 2);
    kit_flush(&f->kit);
    end_turn(f);
    learner_free(f->learner);
    f->kit.now += 1;
    start(f);
    kit_flush(&f->kit);
    const struct msg_settings *msg = told_to_all(f);
    assert_int_equal(msg->applied, 3);
    assert_int_equal(msg->version, 1);
    assert_int_equal(msg->line_count, 1);
    assert_kind(msg, ORACLE_GOSSIP);
    end_turn(f);
}

#define ON_A_LEARNER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_LEARNER(test_nothing_to_tell),  ON_A_LEARNER(test_a_change_is_told),
        ON_A_LEARNER(test_a_line_is_told),   ON_A_LEARNER(test_who_connects_is_told),
        ON_A_LEARNER(test_is_told_again),    ON_A_LEARNER(test_restart),
        ON_A_LEARNER(test_asks_to_be_woken),
    };
    return cmocka_run_group_tests_name("learner_settings", tests, NULL, NULL);
}
