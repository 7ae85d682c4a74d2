/* Watches and queries at a learner: a watch waits for what it wants, however much else happens, is
 * answered from what is in the store, and looks at a long past a piece a turn; what nobody waits
 * for any more is dropped. What was compacted is swept after a grace. */
#include "common/base/bytes.h"
#include "common/protocol/kv.h"
#include "common/protocol/value.h"
#include "learner/learner.h"
#include "tests/unit/core_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CLIENT 4242U
#define PUTS_PER_SLOT 500

struct fixture {
    struct core_kit kit;
    struct learner *learner;
    uint64_t sequence; /* of the session's last command */
};

static const struct ballot leader = {1, 1, 101};

static void start(struct fixture *f)
{
    struct learner_options options = {.id = 1,
                                      .seed = 1,
                                      .members = kit_members(3, 1, 1),
                                      .heartbeat_ms = 50,
                                      .election_ms = 500,
                                      .reader = store_reader(f->kit.store)};
    f->learner = learner_new(&options);
    f->kit.core = learner_core(f->learner);
    kit_event(&f->kit, EVENT_START);
    kit_end(&f->kit);
    kit_peer(&f->kit, EVENT_PEER_UP, (struct peer){ROLE_CLIENT, CLIENT});
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    kit_open(&f->kit);
    start(f);
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

/* The next slot holds that value. */
static void apply_value(struct fixture *f, struct blob *value)
{
    slot_t slot = learner_applied(f->learner) + 1;
    kit_stream(&f->kit, &leader, slot, slot, value);
    assert_int_equal(learner_applied(f->learner), slot);
}

/* The next slot holds one block; its commands are given. */
static void apply(struct fixture *f, struct block head, const struct buffer *commands)
{
    apply_value(f, kit_block_value(1000, &head, buffer_slice(commands)));
}

static void open_session(struct fixture *f)
{
    apply_value(f, kit_open_value(1000, CLIENT));
}

static void put_command(struct buffer *commands, const char *key)
{
    struct buffer request = {0};
    struct kv_request put = {.op = KV_PUT};
    put.put = (struct kv_put){.key = slice_borrow(key, strlen(key)), .value = slice_borrow("v", 1)};
    kv_put_request(&request, &put);
    command_put_head(buffer_extend(commands, COMMAND_HEAD_BYTES), COMMAND_KV,
                     (uint32_t)request.size);
    buffer_put(commands, buffer_slice(&request));
    buffer_close(&request);
}

/* Puts a key so many times in one slot: as many revisions. */
static void put(struct fixture *f, const char *key, uint32_t times)
{
    struct buffer commands = {0};
    for (uint32_t i = 0; i < times; i++) {
        put_command(&commands, key);
    }
    apply(f,
          (struct block){.session = 1,
                         .client = CLIENT,
                         .first_seq = f->sequence + 1,
                         .acked_seq = f->sequence,
                         .count = times},
          &commands);
    f->sequence += times;
    buffer_close(&commands);
}

static void compact(struct fixture *f, uint64_t revision)
{
    struct buffer commands = {0};
    command_put_head(buffer_extend(&commands, COMMAND_HEAD_BYTES), COMMAND_COMPACT, 8);
    buffer_put_u64(&commands, revision);
    apply(f,
          (struct block){.session = 1,
                         .client = CLIENT,
                         .first_seq = f->sequence + 1,
                         .acked_seq = f->sequence,
                         .count = 1},
          &commands);
    f->sequence++;
    buffer_close(&commands);
}

static void end_turn(struct fixture *f)
{
    kit_flush(&f->kit);
    assert_int_equal(f->kit.fx.fatal, 0);
    kit_end(&f->kit);
}

static void watch(struct fixture *f, const char *key, uint64_t revision, uint32_t wait_ms)
{
    struct message msg = kit_from(ROLE_CLIENT, CLIENT, CLIENT, MSG_WATCH);
    msg.watch = (struct msg_watch){.request = 7,
                                   .revision = revision,
                                   .bytes_max = 65536,
                                   .wait_ms = wait_ms,
                                   .key = slice_borrow(key, strlen(key))};
    kit_message(&f->kit, &msg);
}

/* What the watch was told in the turn that is under way, or NULL. */
static const struct msg_events *told(const struct fixture *f)
{
    const struct outgoing *sent = kit_sent(&f->kit, MSG_EVENTS, 0);
    return sent != NULL ? &sent->msg.events : NULL;
}

/* What happens elsewhere wakes nobody; what is put is told once it is in the store, not before. */
static void test_waits_for_its_key(void **state)
{
    struct fixture *f = *state;
    open_session(f);
    end_turn(f);
    watch(f, "mine", 2, 5000);
    put(f, "other", 1);
    end_turn(f);
    assert_null(told(f));
    put(f, "mine", 1);
    kit_flush(&f->kit);
    assert_null(told(f));
    kit_end(&f->kit);
    assert_non_null(told(f));
    assert_int_equal(told(f)->status, RESULT_OK);
    assert_int_equal(told(f)->revision, 3);
    assert_int_equal(told(f)->next_revision, 4);
    struct slice rest = told(f)->events;
    struct kv_event event;
    assert_int_equal(kv_next_event(&rest, &event), 1);
    assert_int_equal(event.kv.mod, 3);
    assert_int_equal(rest.size, 0);
}

/* Nothing happens: it is told so when its time is up, and where to go on. */
static void test_time_is_up(void **state)
{
    struct fixture *f = *state;
    open_session(f);
    put(f, "other", 3);
    end_turn(f);
    watch(f, "mine", 2, 300);
    kit_flush(&f->kit);
    assert_null(told(f));
    assert_int_equal(f->kit.fx.wake_at, f->kit.now + 300);
    kit_end(&f->kit);
    f->kit.now += 300;
    kit_event(&f->kit, EVENT_TICK);
    kit_flush(&f->kit);
    assert_non_null(told(f));
    assert_int_equal(told(f)->next_revision, 5);
    assert_int_equal(told(f)->events.size, 0);
}

/* A key that changed once, long ago: the learner looks at a bounded piece of the past in each turn
 * and asks to be woken for the next at once, so that nobody else waits for it. */
static void test_long_past_in_pieces(void **state)
{
    struct fixture *f = *state;
    open_session(f);
    for (int i = 0; i < 20; i++) {
        put(f, "other", PUTS_PER_SLOT);
        end_turn(f);
    }
    put(f, "mine", 1);
    end_turn(f);
    watch(f, "mine", 2, 0);
    int turns = 1;
    kit_flush(&f->kit);
    while (told(f) == NULL && turns < 100) {
        assert_int_equal(f->kit.fx.wake_at, f->kit.now);
        kit_end(&f->kit);
        kit_event(&f->kit, EVENT_TICK);
        kit_flush(&f->kit);
        turns++;
    }
    assert_non_null(told(f));
    assert_in_range(turns, 2, 50);
    assert_int_equal(told(f)->next_revision, 20 * PUTS_PER_SLOT + 3);
    assert_true(told(f)->events.size > 0);
}

/* Its client is gone: so is the watch. */
static void test_of_a_client_that_is_gone(void **state)
{
    struct fixture *f = *state;
    open_session(f);
    end_turn(f);
    watch(f, "mine", 2, 5000);
    end_turn(f);
    kit_peer(&f->kit, EVENT_PEER_DOWN, (struct peer){ROLE_CLIENT, CLIENT});
    put(f, "mine", 1);
    kit_flush(&f->kit);
    kit_end(&f->kit);
    assert_null(told(f));
}

/* A malformed query is answered so, at once at a learner that is asked for what it has. */
static void test_malformed_query(void **state)
{
    struct fixture *f = *state;
    struct message msg = kit_from(ROLE_CLIENT, CLIENT, CLIENT, MSG_QUERY);
    msg.query = (struct msg_query){.request = 9,
                                   .op = QUERY_KV,
                                   .consistency = READ_LOCAL,
                                   .body = slice_borrow("nonsense", 8)};
    kit_message(&f->kit, &msg);
    kit_flush(&f->kit);
    const struct outgoing *sent = kit_sent(&f->kit, MSG_ANSWER, 0);
    assert_non_null(sent);
    assert_int_equal(sent->msg.answer.request, 9);
    assert_int_equal(sent->msg.answer.status, RESULT_MALFORMED);
    assert_int_equal(sent->msg.echo, CLIENT);
}

/* A watch of an interval without a key is answered so at once, although it begins in the future. */
static void test_empty_interval(void **state)
{
    struct fixture *f = *state;
    struct message msg = kit_from(ROLE_CLIENT, CLIENT, CLIENT, MSG_WATCH);
    msg.watch = (struct msg_watch){.request = 9,
                                   .revision = 1000,
                                   .bytes_max = 65536,
                                   .wait_ms = 5000,
                                   .key = slice_borrow("z", 1),
                                   .end = slice_borrow("a", 1)};
    kit_message(&f->kit, &msg);
    kit_flush(&f->kit);
    assert_non_null(told(f));
    assert_int_equal(told(f)->request, 9);
    assert_int_equal(told(f)->status, RESULT_MALFORMED);
    assert_int_equal(told(f)->events.size, 0);
}

/* A watch that waits has begun: what is put and compacted in one turn is told it all the same. One
 * that begins later is refused. */
static void test_waits_through_a_compaction(void **state)
{
    struct fixture *f = *state;
    open_session(f);
    end_turn(f);
    watch(f, "mine", 2, 5000);
    end_turn(f);
    put(f, "mine", 3);
    compact(f, 4);
    end_turn(f);
    assert_non_null(told(f));
    assert_int_equal(told(f)->status, RESULT_OK);
    assert_int_equal(told(f)->next_revision, 5);
    end_turn(f);
    watch(f, "mine", 2, 0);
    kit_flush(&f->kit);
    assert_int_equal(told(f)->status, RESULT_COMPACTED);
    assert_int_equal(told(f)->revision, 4);
    kit_end(&f->kit);
}

/* A watch of a key that never changes is told where it is when a compaction passes the place from
 * which it has asked: at another learner it could not go on from there when that is swept. */
static void test_idle_watch_learns_its_place(void **state)
{
    struct fixture *f = *state;
    open_session(f);
    end_turn(f);
    watch(f, "idle", 2, 5000);
    end_turn(f);
    put(f, "other", 3); /* 2 to 4 */
    end_turn(f);
    assert_null(told(f));
    compact(f, 2); /* a watch may begin there */
    end_turn(f);
    assert_null(told(f));
    compact(f, 3);
    end_turn(f);
    assert_non_null(told(f));
    assert_int_equal(told(f)->status, RESULT_OK);
    assert_int_equal(told(f)->events.size, 0);
    assert_int_equal(told(f)->next_revision, 5);
    end_turn(f);
    watch(f, "idle", 5, 5000);
    end_turn(f);
    compact(f, 4);
    end_turn(f);
    assert_null(told(f));
}

static int count_event(void *arg, struct slice key, struct slice value)
{
    (void)key;
    (void)value;
    ++*(int *)arg;
    return 0;
}

/* Changes that are in the store. */
static int stored_events(struct fixture *f)
{
    int count = 0;
    struct store_reader reader = store_reader(f->kit.store);
    reader.scan(reader.self, slice_borrow("e", 1), slice_borrow("f", 1), count_event, &count);
    return count;
}

/* Nothing else happens for so long; turns come when the learner asks for them. */
static void pass(struct fixture *f, time_ms_t ms)
{
    for (time_ms_t until = f->kit.now + ms;;) {
        kit_event(&f->kit, EVENT_TICK);
        kit_flush(&f->kit);
        assert_int_equal(f->kit.fx.fatal, 0);
        time_ms_t wake_at = f->kit.fx.wake_at;
        kit_end(&f->kit);
        if (f->kit.now == until) {
            return;
        }
        f->kit.now = wake_at > f->kit.now && wake_at < until ? wake_at : until;
    }
}

/* What was compacted is swept when the grace is over, by nobody's asking; a restart begins it anew.
 */
static void test_sweep_waits(void **state)
{
    struct fixture *f = *state;
    open_session(f);
    put(f, "k", 10); /* 2 to 11 */
    compact(f, 6);
    pass(f, COMPACTION_GRACE_MS - 1);
    assert_int_equal(stored_events(f), 10);
    pass(f, 1);
    assert_int_equal(stored_events(f), 6);
    compact(f, 11);
    pass(f, COMPACTION_GRACE_MS - 1);
    learner_free(f->learner);
    start(f);
    pass(f, COMPACTION_GRACE_MS - 1);
    assert_int_equal(stored_events(f), 6);
    pass(f, 1);
    assert_int_equal(stored_events(f), 1);
}

/* However many compactions there are, each is swept soon after its grace, and none before. */
static void test_sweep_follows_a_storm(void **state)
{
    struct fixture *f = *state;
    const time_ms_t pause_ms = 20;
    const int grace = COMPACTION_GRACE_MS / (int)pause_ms;
    open_session(f);
    for (int i = 1; i <= 4 * grace; i++) {
        put(f, "k", 1);
        compact(f, (uint64_t)i + 1); /* the present one */
        pass(f, pause_ms);
        assert_true(stored_events(f) >= (i < grace ? i : grace));
        assert_true(stored_events(f) <= grace + grace / 8 + 2);
    }
    pass(f, COMPACTION_GRACE_MS);
    assert_int_equal(stored_events(f), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_waits_for_its_key),
        TEST(test_time_is_up),
        TEST(test_long_past_in_pieces),
        TEST(test_of_a_client_that_is_gone),
        TEST(test_malformed_query),
        TEST(test_empty_interval),
        TEST(test_sweep_waits),
        TEST(test_sweep_follows_a_storm),
        TEST(test_waits_through_a_compaction),
        TEST(test_idle_watch_learns_its_place),
    };
    return cmocka_run_group_tests_name("learner_watch", tests, NULL, NULL);
}
