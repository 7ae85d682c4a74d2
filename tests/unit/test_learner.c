/* The learner: values and commits in any order become slots in order, once; what is missing is
 * fetched; reads wait for what they must see (DESIGN 4, Learner and Reads). */
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

#define HEARTBEAT_MS 50
#define CLIENT 4242U

struct fixture {
    struct core_kit kit;
    struct learner *learner;
};

static void start(struct fixture *f)
{
    struct learner_options options = {.id = 1,
                                      .seed = 1,
                                      .members = kit_members(3, 1, 1),
                                      .heartbeat_ms = HEARTBEAT_MS,
                                      .election_ms = 500,
                                      .reader = store_reader(f->kit.store)};
    f->learner = learner_new(&options);
    f->kit.core = learner_core(f->learner);
    kit_event(&f->kit, EVENT_START);
    assert_int_equal(f->kit.fx.fatal, 0);
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

static const struct ballot first_leader = {1, 1, 101};
static const struct ballot second_leader = {2, 1, 102};

static void stream(struct fixture *f, struct ballot ballot, slot_t slot, slot_t commit,
                   struct blob *value)
{
    kit_stream(&f->kit, &ballot, slot, commit, value);
}

static void commit(struct fixture *f, struct ballot ballot, slot_t slot)
{
    struct message msg = kit_from(ROLE_PROPOSER, 1, ballot.incarnation, MSG_COMMIT);
    msg.commit = (struct msg_commit){ballot, slot};
    kit_message(&f->kit, &msg);
}

static void end_turn(struct fixture *f)
{
    kit_flush(&f->kit);
    assert_int_equal(f->kit.fx.fatal, 0);
    kit_end(&f->kit);
}

/* A batch with one block: `word` appended as sequence `sequence` of session 1. */
static struct blob *command_value(uint64_t sequence, enum command_op op, struct slice payload)
{
    const struct block head = {.session = 1, .client = CLIENT, .first_seq = sequence, .count = 1};
    return kit_command_value(0, &head, op, payload);
}

static struct blob *append_value(uint64_t sequence, const char *word)
{
    return command_value(sequence, COMMAND_APPEND, slice_borrow(word, strlen(word)));
}

static struct blob *open_value(void)
{
    return kit_open_value(0, CLIENT);
}

/* A leader that it cannot hear may serve all the same: without a word of any for an election
 * timeout it asks the acceptors, in turn, what is chosen. */
static void test_asks_while_no_leader_is_heard(void **state)
{
    struct fixture *f = *state;
    end_turn(f);
    f->kit.now += 499;
    kit_event(&f->kit, EVENT_TICK);
    kit_flush(&f->kit);
    assert_int_equal(kit_sent_count(&f->kit, MSG_FETCH), 0);
    assert_int_equal(f->kit.fx.wake_at, f->kit.now + 1);
    kit_end(&f->kit);
    f->kit.now += 1;
    kit_event(&f->kit, EVENT_TICK);
    kit_flush(&f->kit);
    assert_int_equal(kit_sent_count(&f->kit, MSG_FETCH), 1);
    assert_int_equal(f->kit.fx.wake_at, f->kit.now + HEARTBEAT_MS);
    kit_end(&f->kit);
    struct blob *value = value_noop(0);
    struct slot_entry entry = {1, first_leader, slice_of(value)};
    struct message msg = kit_from(ROLE_ACCEPTOR, 1, 201, MSG_CHOSEN);
    msg.chosen = (struct msg_chosen){.from = 1, .chosen = 1, .entry_count = 1, .entries = &entry};
    kit_message(&f->kit, &msg);
    blob_unref(value);
    assert_int_equal(learner_applied(f->learner), 1);
    end_turn(f);
}

/* Nothing is applied before a commit covers it, and then in order. */
static void test_commit_decides_in_order(void **state)
{
    struct fixture *f = *state;
    stream(f, first_leader, 2, 0, value_noop(2));
    stream(f, first_leader, 1, 0, value_noop(1));
    end_turn(f);
    assert_int_equal(learner_applied(f->learner), 0);
    commit(f, first_leader, 1);
    end_turn(f);
    assert_int_equal(learner_applied(f->learner), 1);
    stream(f, first_leader, 3, 2, value_noop(3)); /* the commit rides on the next accept */
    end_turn(f);
    assert_int_equal(learner_applied(f->learner), 2);
}

/* A value streamed under another ballot than the commit's is not decided by it: the learner fetches
 * instead of guessing. */
static void test_commit_of_another_ballot_decides_nothing(void **state)
{
    struct fixture *f = *state;
    stream(f, first_leader, 1, 0, value_noop(1));
    commit(f, second_leader, 1);
    kit_flush(&f->kit);
    const struct outgoing *fetch = kit_sent(&f->kit, MSG_FETCH, 0);
    assert_non_null(fetch);
    assert_int_equal(fetch->msg.fetch.from, 1);
    kit_end(&f->kit);
    assert_int_equal(learner_applied(f->learner), 0);
    stream(f, second_leader, 1, 1, value_noop(7));
    end_turn(f);
    assert_int_equal(learner_applied(f->learner), 1);
}

/* A late value of a deposed leader does not replace the newer one. */
static void test_older_ballot_does_not_replace(void **state)
{
    struct fixture *f = *state;
    stream(f, second_leader, 1, 0, value_noop(2));
    stream(f, first_leader, 1, 0, value_noop(1));
    commit(f, second_leader, 1);
    end_turn(f);
    assert_int_equal(learner_applied(f->learner), 1);
}

/* What is missing is fetched from an acceptor, from the next one if that stays silent, and applied
 * in order up to what it has chosen. */
static void test_gap_is_fetched(void **state)
{
    struct fixture *f = *state;
    commit(f, first_leader, 2);
    kit_flush(&f->kit);
    uint64_t asked = kit_sent(&f->kit, MSG_FETCH, 0)->to.id;
    kit_end(&f->kit);
    kit_flush(&f->kit); /* not again before its time */
    assert_int_equal(kit_sent_count(&f->kit, MSG_FETCH), 0);
    kit_end(&f->kit);
    f->kit.now += HEARTBEAT_MS;
    kit_event(&f->kit, EVENT_TICK);
    kit_flush(&f->kit);
    const struct outgoing *again = kit_sent(&f->kit, MSG_FETCH, 0);
    assert_non_null(again);
    assert_int_not_equal(again->to.id, asked);
    kit_end(&f->kit);
    struct message msg = kit_from(ROLE_ACCEPTOR, 2, 202, MSG_CHOSEN);
    struct blob *value = value_noop(1);
    struct slot_entry entries[] = {{1, first_leader, slice_of(value)},
                                   {2, first_leader, slice_of(value)}};
    msg.chosen = (struct msg_chosen){1, 2, 0, 2, entries};
    kit_message(&f->kit, &msg);
    blob_unref(value);
    end_turn(f);
    assert_int_equal(learner_applied(f->learner), 2);
}

/* Results go to a connected client once a turn, as one run; an unconnected one costs nothing. */
static void test_results_are_joined(void **state)
{
    struct fixture *f = *state;
    stream(f, first_leader, 1, 0, open_value());
    stream(f, first_leader, 2, 0, append_value(1, "one"));
    stream(f, first_leader, 3, 0, append_value(2, "two"));
    commit(f, first_leader, 3);
    kit_flush(&f->kit);
    assert_int_equal(kit_sent_count(&f->kit, MSG_RESULT), 2);
    const struct msg_result *opened = &kit_sent(&f->kit, MSG_RESULT, 0)->msg.result;
    assert_int_equal(opened->session, 0);
    assert_int_equal(opened->ranges[0].value, 1);
    const struct msg_result *appended = &kit_sent(&f->kit, MSG_RESULT, 1)->msg.result;
    assert_int_equal(appended->session, 1);
    assert_int_equal(appended->range_count, 1);
    assert_int_equal(appended->ranges[0].sequence, 1);
    assert_int_equal(appended->ranges[0].count, 2);
    kit_end(&f->kit);
    kit_peer(&f->kit, EVENT_PEER_DOWN, (struct peer){ROLE_CLIENT, CLIENT});
    stream(f, first_leader, 4, 4, append_value(3, "three"));
    kit_flush(&f->kit);
    assert_int_equal(kit_sent_count(&f->kit, MSG_RESULT), 0);
    assert_int_equal(learner_last_index(f->learner), 3);
}

static void send_read(struct fixture *f, enum read_consistency consistency, uint32_t wait_ms,
                      uint64_t from)
{
    struct message msg = kit_from(ROLE_CLIENT, CLIENT, CLIENT, MSG_READ);
    msg.read = (struct msg_read){.request = 9,
                                 .from = from,
                                 .bytes_max = 1000,
                                 .wait_ms = wait_ms,
                                 .consistency = consistency};
    kit_message(&f->kit, &msg);
}

static void reply_index(struct fixture *f, uint64_t acceptor, uint64_t request, slot_t accepted)
{
    struct message msg = kit_from(ROLE_ACCEPTOR, acceptor, 200 + acceptor, MSG_READ_INDEX_REPLY);
    msg.read_index_reply = (struct msg_read_index_reply){request, accepted};
    kit_message(&f->kit, &msg);
}

/* The long polls of a client that has gone do not take the room of others. */
static void test_reads_of_the_gone_are_dropped(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < READS_WAITING_MAX; i++) {
        send_read(f, READ_LOCAL, UINT32_MAX, 1);
    }
    send_read(f, READ_LOCAL, 0, 1);
    assert_int_equal(kit_sent(&f->kit, MSG_RECORDS, 0)->msg.records.status, READ_BUSY);
    end_turn(f);
    kit_peer(&f->kit, EVENT_PEER_DOWN, (struct peer){ROLE_CLIENT, CLIENT});
    end_turn(f);
    send_read(f, READ_LOCAL, 0, 1);
    kit_flush(&f->kit);
    assert_int_equal(kit_sent_count(&f->kit, MSG_RECORDS), 1);
    assert_int_equal(kit_sent(&f->kit, MSG_RECORDS, 0)->msg.records.status, READ_OK);
    kit_end(&f->kit);
}

static void send_query(struct fixture *f, uint64_t request, enum read_consistency consistency,
                       struct slice body)
{
    struct message msg = kit_from(ROLE_CLIENT, CLIENT, CLIENT, MSG_QUERY);
    msg.query = (struct msg_query){
        .request = request, .op = QUERY_KV, .consistency = consistency, .body = body};
    kit_message(&f->kit, &msg);
}

/* What waits is bounded by its bytes, too. */
static void test_large_queries_that_wait_are_bounded(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = calloc(1, MIB);
    assert_non_null(bytes);
    for (size_t i = 0; i <= READS_WAITING_BYTES_MAX / MIB; i++) {
        assert_int_equal(kit_sent_count(&f->kit, MSG_ANSWER), 0);
        send_query(f, i, READ_LINEARIZABLE, slice_borrow(bytes, MIB));
    }
    free(bytes);
    const struct outgoing *refused = kit_sent(&f->kit, MSG_ANSWER, 0);
    assert_non_null(refused);
    assert_int_equal(refused->msg.answer.status, RESULT_BUSY);
    assert_int_equal(refused->msg.answer.request, READS_WAITING_BYTES_MAX / MIB);
    end_turn(f);
    kit_peer(&f->kit, EVENT_PEER_DOWN, (struct peer){ROLE_CLIENT, CLIENT});
    send_query(f, 1, READ_LINEARIZABLE, SLICE_EMPTY);
    assert_int_equal(kit_sent_count(&f->kit, MSG_ANSWER), 0);
}

/* One turn answers so many bytes, and the next ones the rest, each question once and in order,
 * while those that wait for something new go on waiting. */
static void test_answers_are_spread_over_turns(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = calloc(1, MIB);
    struct buffer command = {0};
    struct kv_request put = {
        .op = KV_PUT,
        .put = {.key = slice_borrow("k", 1), .value = slice_borrow(bytes, MIB - 1000)}};
    assert_non_null(bytes);
    kv_put_request(&command, &put);
    stream(f, first_leader, 1, 1, open_value());
    stream(f, first_leader, 2, 2, command_value(1, COMMAND_KV, buffer_slice(&command)));
    end_turn(f);
    assert_int_equal(learner_applied(f->learner), 2);
    command.size = 0;
    kv_put_request(&command,
                   &(struct kv_request){.op = KV_RANGE, .range = {.key = slice_borrow("k", 1)}});
    send_read(f, READ_LOCAL, UINT32_MAX, 1);
    for (uint64_t i = 0; i < 30; i++) {
        send_query(f, i, READ_LOCAL, buffer_slice(&command));
    }
    uint64_t answered = 0;
    int turns = 0;
    while (answered < 30) {
        kit_flush(&f->kit);
        size_t count = kit_sent_count(&f->kit, MSG_ANSWER);
        assert_in_range(count, 1, 9);
        for (size_t i = 0; i < count; i++) {
            const struct msg_answer *answer = &kit_sent(&f->kit, MSG_ANSWER, i)->msg.answer;
            assert_int_equal(answer->request, answered++);
            assert_int_equal(answer->status, RESULT_OK);
        }
        assert_int_equal(kit_sent_count(&f->kit, MSG_RECORDS), 0);
        if (answered < 30) {
            assert_int_equal(f->kit.fx.wake_at, f->kit.now);
        }
        kit_end(&f->kit);
        turns++;
    }
    assert_int_equal(turns, 4);
    free(bytes);
    buffer_close(&command);
}

/* However much a slot, or many of them, ask for: what is held until it is written is bounded. A
 * slot refuses what goes beyond its own bound, everywhere alike, and a turn leaves slots to the
 * next. */
static void test_large_responses_are_bounded(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = calloc(1, MIB);
    struct buffer request = {0};
    struct buffer commands = {0};
    struct kv_request put = {
        .op = KV_PUT,
        .put = {.key = slice_borrow("k", 1), .value = slice_borrow(bytes, MIB - 1000)}};
    assert_non_null(bytes);
    kv_put_request(&request, &put);
    stream(f, first_leader, 1, 1, open_value());
    stream(f, first_leader, 2, 2, command_value(1, COMMAND_KV, buffer_slice(&request)));
    end_turn(f);
    request.size = 0;
    kv_put_request(&request,
                   &(struct kv_request){.op = KV_RANGE, .range = {.key = slice_borrow("k", 1)}});
    for (int i = 0; i < 100; i++) {
        command_put_head(buffer_extend(&commands, COMMAND_HEAD_BYTES), COMMAND_KV,
                         (uint32_t)request.size);
        buffer_put(&commands, buffer_slice(&request));
    }
    for (slot_t slot = 3; slot < 6; slot++) {
        struct buffer block = {0};
        struct block head = {
            .session = 1, .client = CLIENT, .first_seq = 2 + 100 * (slot - 3), .count = 100};
        block_put_head(buffer_extend(&block, BLOCK_HEAD_BYTES), &head, (uint32_t)commands.size);
        buffer_put(&block, buffer_slice(&commands));
        struct slice slice = buffer_slice(&block);
        stream(f, first_leader, slot, 2, value_batch(0, &slice, 1));
        buffer_close(&block);
    }
    commit(f, first_leader, 5);
    for (slot_t slot = 3; slot < 6; slot++) {
        kit_flush(&f->kit);
        assert_int_equal(learner_applied(f->learner), slot);
        uint32_t fine = 0;
        uint32_t refused = 0;
        const struct outgoing *sent;
        for (size_t i = 0; (sent = kit_sent(&f->kit, MSG_RESULT, i)) != NULL; i++) {
            for (uint32_t k = 0; k < sent->msg.result.range_count; k++) {
                const struct result_range *range = &sent->msg.result.ranges[k];
                fine += range->status == RESULT_OK ? range->count : 0;
                refused += range->status == RESULT_TOO_LARGE ? range->count : 0;
            }
        }
        assert_int_equal(fine, 17);
        assert_int_equal(refused, 83);
        assert_true(slot == 5 || f->kit.fx.wake_at == f->kit.now);
        kit_end(&f->kit);
    }
    free(bytes);
    buffer_close(&request);
    buffer_close(&commands);
}

/* A linearizable read waits until the highest slot accepted in a quorum is applied; one acceptor
 * that answers twice is no quorum, and an older round's answer does not count. */
static void test_linearizable_read_waits(void **state)
{
    struct fixture *f = *state;
    send_read(f, READ_LINEARIZABLE, 0, 1);
    kit_flush(&f->kit);
    const struct outgoing *ask = kit_sent(&f->kit, MSG_READ_INDEX, 0);
    assert_non_null(ask);
    uint64_t request = ask->msg.read_index.request;
    kit_end(&f->kit);
    reply_index(f, 1, request, 0);
    reply_index(f, 1, request, 0);
    reply_index(f, 2, request - 1, 0);
    kit_flush(&f->kit);
    assert_int_equal(kit_sent_count(&f->kit, MSG_RECORDS), 0);
    kit_end(&f->kit);
    reply_index(f, 3, request, 2); /* it has accepted slots 1 and 2 */
    kit_flush(&f->kit);
    assert_int_equal(kit_sent_count(&f->kit, MSG_RECORDS), 0);
    kit_end(&f->kit);
    stream(f, first_leader, 1, 0, open_value());
    stream(f, first_leader, 2, 2, append_value(1, "seen"));
    kit_flush(&f->kit);
    assert_int_equal(kit_sent_count(&f->kit, MSG_RECORDS), 0); /* not in the store yet */
    size_t count = f->kit.fx.record_count;
    assert_int_equal(store_write(f->kit.store, f->kit.fx.records, count, 0, NULL), 0);
    effects_clear(&f->kit.fx);
    kit_event(&f->kit, EVENT_WRITTEN);
    const struct outgoing *records = kit_sent(&f->kit, MSG_RECORDS, 0);
    assert_non_null(records);
    assert_int_equal(records->msg.records.status, READ_OK);
    assert_int_equal(records->msg.records.record_count, 1);
    assert_memory_equal(records->msg.records.records[0].data, "seen", 4);
    effects_clear(&f->kit.fx);
}

/* A read that arrives while a round is under way is not answered by it: the round may have asked
 * before something was acknowledged. */
static void test_read_during_a_round_needs_the_next(void **state)
{
    struct fixture *f = *state;
    send_read(f, READ_LINEARIZABLE, 0, 1);
    kit_flush(&f->kit);
    uint64_t request = kit_sent(&f->kit, MSG_READ_INDEX, 0)->msg.read_index.request;
    kit_end(&f->kit);
    send_read(f, READ_LINEARIZABLE, 0, 1);
    reply_index(f, 1, request, 0);
    reply_index(f, 2, request, 0);
    kit_flush(&f->kit);
    assert_int_equal(kit_sent_count(&f->kit, MSG_RECORDS), 1);
    const struct outgoing *next = kit_sent(&f->kit, MSG_READ_INDEX, 0);
    assert_non_null(next);
    assert_int_not_equal(next->msg.read_index.request, request);
}

/* Without a quorum a linearizable read is told so in the end; a local one is answered at once. */
static void test_read_without_quorum(void **state)
{
    struct fixture *f = *state;
    send_read(f, READ_LOCAL, 0, 1);
    kit_flush(&f->kit);
    assert_int_equal(kit_sent(&f->kit, MSG_RECORDS, 0)->msg.records.status, READ_OK);
    kit_end(&f->kit);
    send_read(f, READ_LINEARIZABLE, 0, 1);
    end_turn(f);
    f->kit.now += 5 * 500;
    kit_event(&f->kit, EVENT_TICK);
    kit_flush(&f->kit);
    assert_int_equal(kit_sent(&f->kit, MSG_RECORDS, 0)->msg.records.status, READ_NO_QUORUM);
}

/* A read that may wait is answered by the next record, or empty when its time is up. */
static void test_long_poll(void **state)
{
    struct fixture *f = *state;
    stream(f, first_leader, 1, 1, open_value());
    end_turn(f);
    send_read(f, READ_LOCAL, 1000, 1);
    kit_flush(&f->kit);
    assert_int_equal(kit_sent_count(&f->kit, MSG_RECORDS), 0);
    kit_end(&f->kit);
    f->kit.now += 1000;
    kit_event(&f->kit, EVENT_TICK);
    kit_flush(&f->kit);
    assert_int_equal(kit_sent(&f->kit, MSG_RECORDS, 0)->msg.records.record_count, 0);
    kit_end(&f->kit);
    send_read(f, READ_LOCAL, 1000, 1);
    stream(f, first_leader, 2, 2, append_value(1, "x"));
    kit_flush(&f->kit);
    size_t count = f->kit.fx.record_count;
    assert_int_equal(store_write(f->kit.store, f->kit.fx.records, count, 0, NULL), 0);
    effects_clear(&f->kit.fx);
    kit_event(&f->kit, EVENT_WRITTEN);
    assert_int_equal(kit_sent(&f->kit, MSG_RECORDS, 0)->msg.records.record_count, 1);
}

/* A restart goes on from the applied slot, and takes nothing twice. */
static void test_restart_resumes(void **state)
{
    struct fixture *f = *state;
    stream(f, first_leader, 1, 0, open_value());
    stream(f, first_leader, 2, 2, append_value(1, "one"));
    end_turn(f);
    uint64_t digest = learner_digest(f->learner);
    learner_free(f->learner);
    start(f);
    assert_int_equal(learner_applied(f->learner), 2);
    assert_true(learner_digest(f->learner) == digest);
    stream(f, first_leader, 2, 2, append_value(1, "one"));
    end_turn(f);
    assert_int_equal(learner_applied(f->learner), 2);
    assert_int_equal(learner_last_index(f->learner), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_asks_while_no_leader_is_heard),
        TEST(test_reads_of_the_gone_are_dropped),
        TEST(test_large_queries_that_wait_are_bounded),
        TEST(test_answers_are_spread_over_turns),
        TEST(test_large_responses_are_bounded),
        TEST(test_commit_decides_in_order),
        TEST(test_commit_of_another_ballot_decides_nothing),
        TEST(test_older_ballot_does_not_replace),
        TEST(test_gap_is_fetched),
        TEST(test_results_are_joined),
        TEST(test_linearizable_read_waits),
        TEST(test_read_during_a_round_needs_the_next),
        TEST(test_read_without_quorum),
        TEST(test_long_poll),
        TEST(test_restart_resumes),
    };
    return cmocka_run_group_tests_name("learner", tests, NULL, NULL);
}
