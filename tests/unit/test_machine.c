/* The state machine: each command of a session happens once and in order, results are repeated
 * until the client has them, sessions end by cluster time, records come back as they went in, and
 * two machines that saw the same slots are equal, also across a restart. */
#include "common/base/bytes.h"
#include "common/protocol/limits.h"
#include "common/protocol/value.h"
#include "common/store/store.h"
#include "learner/machine/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OUTCOMES_MAX 64
#define OPENING 7 /* the number that every client gives its opening */

struct fixture {
    struct store *store;
    struct store_reader reader;
    struct machine *machine;
    struct effects fx;
    struct outcome outcomes[OUTCOMES_MAX];
    size_t outcome_count;
    slot_t slot;
    uint64_t now_ms;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->store = store_open_memory();
    f->reader = store_reader(f->store);
    f->machine = machine_new(&f->reader);
    effects_init(&f->fx);
    machine_load(f->machine, &f->fx);
    assert_int_equal(f->fx.fatal, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    effects_close(&f->fx);
    machine_free(f->machine);
    store_close(f->store);
    free(f);
    return 0;
}

static void note_outcome(void *arg, const struct outcome *outcome)
{
    struct fixture *f = arg;
    assert_true(f->outcome_count < OUTCOMES_MAX);
    f->outcomes[f->outcome_count++] = *outcome;
}

/* Ends a turn: what was put goes to the store. */
static void write_turn(struct fixture *f)
{
    machine_store(f->machine, &f->fx);
    assert_int_equal(store_write(f->store, f->fx.records, f->fx.record_count, 0, NULL), 0);
    effects_clear(&f->fx);
    machine_written(f->machine);
}

/* Applies a value in the next slot; the outcomes of that slot are left in f->outcomes. */
static void apply(struct fixture *f, struct blob *value)
{
    f->outcome_count = 0;
    machine_apply(f->machine, ++f->slot, slice_of(value), note_outcome, f, &f->fx);
    blob_unref(value);
    assert_int_equal(f->fx.fatal, 0);
    write_turn(f);
}

struct test_block {
    struct block block;
    uint8_t bytes[4096];
    size_t size;
};

static void begin(struct test_block *b, uint64_t session, uint64_t client, uint64_t first,
                  uint64_t acked)
{
    *b = (struct test_block){
        .block = {.session = session, .client = client, .first_seq = first, .acked_seq = acked},
        .size = BLOCK_HEAD_BYTES};
}

static void add(struct test_block *b, enum command_op op, const void *payload, size_t size)
{
    command_put_head(b->bytes + b->size, op, (uint32_t)size);
    if (size > 0) {
        memcpy(b->bytes + b->size + COMMAND_HEAD_BYTES, payload, size);
    }
    b->size += COMMAND_HEAD_BYTES + size;
    b->block.count++;
}

static void apply_block(struct fixture *f, struct test_block *b)
{
    block_put_head(b->bytes, &b->block, (uint32_t)(b->size - BLOCK_HEAD_BYTES));
    struct slice bytes = slice_borrow(b->bytes, b->size);
    struct block parsed;
    assert_int_equal(block_parse(bytes, &parsed, NULL), 0);
    apply(f, value_batch(f->now_ms, &bytes, 1));
}

static uint64_t open_session(struct fixture *f, uint64_t client, uint32_t ttl_ms)
{
    struct test_block b;
    uint8_t payload[OPEN_PAYLOAD_BYTES];
    command_put_open(payload, ttl_ms, 0);
    begin(&b, 0, client, OPENING, 0);
    add(&b, COMMAND_OPEN_SESSION, payload, sizeof payload);
    apply_block(f, &b);
    assert_int_equal(f->outcome_count, 1);
    assert_int_equal(f->outcomes[0].range.status, RESULT_OK);
    assert_int_equal(f->outcomes[0].range.sequence, OPENING);
    return f->outcomes[0].range.value;
}

static void append_words(struct fixture *f, uint64_t session, uint64_t client, uint64_t first,
                         uint64_t acked, const char *const *words, size_t count)
{
    struct test_block b;
    begin(&b, session, client, first, acked);
    for (size_t i = 0; i < count; i++) {
        add(&b, COMMAND_APPEND, words[i], strlen(words[i]));
    }
    apply_block(f, &b);
}

static void assert_range(const struct fixture *f, size_t i, uint64_t sequence, uint32_t count,
                         enum result_status status, uint64_t value)
{
    assert_true(i < f->outcome_count);
    assert_int_equal(f->outcomes[i].range.sequence, sequence);
    assert_int_equal(f->outcomes[i].range.count, count);
    assert_int_equal(f->outcomes[i].range.status, status);
    assert_int_equal(f->outcomes[i].range.value, value);
}

static void assert_record(struct fixture *f, uint64_t index, const char *word)
{
    struct slice *records;
    uint32_t count;
    machine_read(f->machine, index, 1, 1000, &records, &count, &f->fx);
    assert_int_equal(f->fx.fatal, 0);
    assert_int_equal(count, 1);
    assert_int_equal(records[0].size, strlen(word));
    assert_memory_equal(records[0].data, word, strlen(word));
    effects_clear(&f->fx);
}

/* Records get dense indexes from 1 in the order of the commands, whoever sent them. */
static void test_append_gives_dense_indexes(void **state)
{
    struct fixture *f = *state;
    uint64_t a = open_session(f, 100, 1000);
    uint64_t b = open_session(f, 200, 1000);
    assert_int_not_equal(a, b);
    append_words(f, a, 100, 1, 0, (const char *[]){"one", "two"}, 2);
    assert_range(f, 0, 1, 2, RESULT_OK, 1);
    append_words(f, b, 200, 1, 0, (const char *[]){"three"}, 1);
    assert_range(f, 0, 1, 1, RESULT_OK, 3);
    append_words(f, a, 100, 3, 0, (const char *[]){"", "five"}, 2);
    assert_range(f, 0, 3, 2, RESULT_OK, 4);
    assert_int_equal(machine_last_index(f->machine), 5);
    const char *words[] = {"one", "two", "three", "", "five"};
    for (uint64_t i = 0; i < 5; i++) {
        assert_record(f, i + 1, words[i]);
    }
}

/* The same block again, through whichever proposer, changes nothing and gets the same answer. */
static void test_retry_is_answered_from_the_table(void **state)
{
    struct fixture *f = *state;
    uint64_t s = open_session(f, 100, 1000);
    append_words(f, s, 100, 1, 0, (const char *[]){"one", "two"}, 2);
    uint64_t other = open_session(f, 200, 1000);
    append_words(f, other, 200, 1, 0, (const char *[]){"between"}, 1);
    append_words(f, s, 100, 3, 0, (const char *[]){"three"}, 1);
    append_words(f, s, 100, 1, 0, (const char *[]){"one", "two", "three", "four"}, 4);
    assert_int_equal(f->outcome_count, 3);
    assert_range(f, 0, 1, 2, RESULT_OK, 1);
    assert_range(f, 1, 3, 1, RESULT_OK, 4);
    assert_range(f, 2, 4, 1, RESULT_OK, 5); /* the new one at the end is executed */
    assert_int_equal(machine_last_index(f->machine), 5);
}

/* What the client acknowledged is forgotten, and said to be; the rest of a run is kept. */
static void test_acknowledged_results_are_forgotten(void **state)
{
    struct fixture *f = *state;
    uint64_t s = open_session(f, 100, 1000);
    append_words(f, s, 100, 1, 0, (const char *[]){"1", "2", "3"}, 3);
    append_words(f, s, 100, 4, 2, (const char *[]){"4"}, 1);
    append_words(f, s, 100, 1, 0, (const char *[]){"1", "2", "3", "4"}, 4);
    assert_int_equal(f->outcome_count, 3);
    assert_range(f, 0, 1, 2, RESULT_FORGOTTEN, 0);
    assert_range(f, 1, 3, 1, RESULT_OK, 3);
    assert_range(f, 2, 4, 1, RESULT_OK, 4);
    assert_int_equal(machine_last_index(f->machine), 4);
}

/* A block that skips sequences is not executed at all: the client is told what is expected. */
static void test_gap_is_refused(void **state)
{
    struct fixture *f = *state;
    uint64_t s = open_session(f, 100, 1000);
    append_words(f, s, 100, 3, 0, (const char *[]){"three"}, 1);
    assert_range(f, 0, 1, 0, RESULT_GAP, 0);
    assert_int_equal(machine_last_index(f->machine), 0);
    append_words(f, s, 100, 1, 0, (const char *[]){"one"}, 1);
    append_words(f, s, 100, 3, 0, (const char *[]){"three"}, 1);
    assert_range(f, 0, 2, 0, RESULT_GAP, 0);
}

/* A session that was never opened, or is another client's, is an error and not a new session. */
static void test_unknown_session_is_refused(void **state)
{
    struct fixture *f = *state;
    append_words(f, 77, 100, 1, 0, (const char *[]){"x"}, 1);
    assert_range(f, 0, 1, 0, RESULT_UNKNOWN_SESSION, 0);
    assert_int_equal(f->outcomes[0].client, 100);
    uint64_t s = open_session(f, 100, 1000);
    append_words(f, s, 101, 1, 0, (const char *[]){"x"}, 1);
    assert_range(f, 0, 1, 0, RESULT_UNKNOWN_SESSION, 0);
    assert_int_equal(machine_last_index(f->machine), 0);
    assert_int_equal(machine_session_count(f->machine), 1);
}

/* An opening that comes twice gives one session; an id is never given again. */
static void test_opening_is_idempotent(void **state)
{
    struct fixture *f = *state;
    uint64_t s = open_session(f, 100, 1000);
    assert_int_equal(open_session(f, 100, 1000), s);
    assert_int_equal(machine_session_count(f->machine), 1);
    struct test_block b;
    begin(&b, s, 100, 1, 0);
    add(&b, COMMAND_APPEND, "last", 4);
    add(&b, COMMAND_CLOSE_SESSION, NULL, 0);
    apply_block(f, &b);
    assert_range(f, 0, 1, 1, RESULT_OK, 1);
    assert_range(f, 1, 2, 1, RESULT_OK, 0);
    assert_int_equal(machine_session_count(f->machine), 0);
    assert_int_not_equal(open_session(f, 100, 1000), s);
}

/* Sessions expire by the stamps in the log and by nothing else, and any block keeps one alive. */
static void test_sessions_expire_by_cluster_time(void **state)
{
    struct fixture *f = *state;
    f->now_ms = 1000;
    uint64_t idle = open_session(f, 100, 500);
    uint64_t busy = open_session(f, 200, 500);
    f->now_ms = 1400;
    struct test_block keepalive;
    begin(&keepalive, busy, 200, 1, 0);
    apply_block(f, &keepalive);
    assert_int_equal(f->outcome_count, 0);
    f->now_ms = 1500; /* the last moment at which the idle one lives */
    apply(f, value_noop(f->now_ms));
    assert_int_equal(machine_session_count(f->machine), 2);
    f->now_ms = 1501;
    apply(f, value_noop(f->now_ms));
    assert_int_equal(machine_session_count(f->machine), 1);
    append_words(f, idle, 100, 1, 0, (const char *[]){"late"}, 1);
    assert_range(f, 0, 1, 0, RESULT_UNKNOWN_SESSION, 0);
    append_words(f, busy, 200, 1, 0, (const char *[]){"alive"}, 1);
    assert_range(f, 0, 1, 1, RESULT_OK, 1);
}

/* A stamp that falls, as a late leader's might, moves no time backwards. */
static void test_cluster_time_never_falls(void **state)
{
    struct fixture *f = *state;
    f->now_ms = 1000;
    open_session(f, 100, 100);
    apply(f, value_noop(5));
    apply(f, value_noop(1100));
    assert_int_equal(machine_session_count(f->machine), 1);
    apply(f, value_noop(1101));
    assert_int_equal(machine_session_count(f->machine), 0);
}

/* All state comes back from the store: records, results, sessions, digest, and what follows is the
 * same as without the restart. */
static void test_restart_changes_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t s = open_session(f, 100, 1000);
    append_words(f, s, 100, 1, 0, (const char *[]){"one", "two"}, 2);
    struct ballot ballot = {7, 2, 99};
    apply(f, value_lead(0, &ballot));
    uint64_t digest = machine_digest(f->machine);
    machine_free(f->machine);
    f->machine = machine_new(&f->reader);
    machine_load(f->machine, &f->fx);
    assert_int_equal(f->fx.fatal, 0);
    assert_int_equal(machine_applied(f->machine), f->slot);
    assert_true(machine_digest(f->machine) == digest);
    slot_t since;
    struct ballot leader = machine_leader(f->machine, &since);
    assert_true(ballot_equal(&leader, &ballot));
    assert_int_equal(since, f->slot);
    append_words(f, s, 100, 1, 0, (const char *[]){"one", "two", "three"}, 3);
    assert_range(f, 0, 1, 2, RESULT_OK, 1);
    assert_range(f, 1, 3, 1, RESULT_OK, 3);
    assert_record(f, 3, "three");
}

/* The digest depends on every byte and on the order of the slots. */
static void test_digest_tells_states_apart(void **state)
{
    struct fixture *f = *state;
    uint64_t digests[3];
    const char *words[3] = {"a", "b", "a"};
    for (int i = 0; i < 3; i++) {
        struct store *store = store_open_memory();
        struct store_reader reader = store_reader(store);
        struct machine *m = machine_new(&reader);
        uint8_t bytes[BLOCK_HEAD_BYTES + COMMAND_HEAD_BYTES + 1];
        struct block block = {.session = 1, .client = 5, .first_seq = 1, .count = 1};
        block_put_head(bytes, &block, COMMAND_HEAD_BYTES + 1);
        command_put_head(bytes + BLOCK_HEAD_BYTES, COMMAND_APPEND, 1);
        bytes[sizeof bytes - 1] = (uint8_t)words[i][0];
        struct slice slice = slice_borrow(bytes, sizeof bytes);
        struct blob *value = value_batch(0, &slice, 1);
        machine_apply(m, 1, slice_of(value), note_outcome, f, &f->fx);
        digests[i] = machine_digest(m);
        blob_unref(value);
        machine_free(m);
        store_close(store);
    }
    assert_true(digests[0] != digests[1]);
    assert_true(digests[0] == digests[2]);
}

/* Reading pages: bounds by count and bytes, always at least one record, nothing beyond the end. */
static void test_read_pages(void **state)
{
    struct fixture *f = *state;
    uint64_t s = open_session(f, 100, 1000);
    append_words(f, s, 100, 1, 0, (const char *[]){"aaaa", "bbbb", "cccc"}, 3);
    append_words(f, s, 100, 4, 0, (const char *[]){"dddd"}, 1);
    struct slice *records;
    uint32_t count;
    machine_read(f->machine, 2, 0, 1000, &records, &count, &f->fx);
    assert_int_equal(count, 3);
    assert_memory_equal(records[2].data, "dddd", 4);
    machine_read(f->machine, 1, 2, 1000, &records, &count, &f->fx);
    assert_int_equal(count, 2);
    machine_read(f->machine, 1, 0, 8, &records, &count, &f->fx);
    assert_int_equal(count, 2);
    machine_read(f->machine, 3, 0, 1, &records, &count, &f->fx);
    assert_int_equal(count, 1);
    assert_memory_equal(records[0].data, "cccc", 4);
    machine_read(f->machine, 5, 0, 1000, &records, &count, &f->fx);
    assert_int_equal(count, 0);
    assert_int_equal(f->fx.fatal, 0);
}

/* A value that no leader could have made is fatal, not skipped. */
static void test_malformed_value_is_fatal(void **state)
{
    struct fixture *f = *state;
    machine_apply(f->machine, 1, slice_borrow("\x03garbage-garbage", 16), note_outcome, f, &f->fx);
    assert_int_equal(f->fx.fatal, ERROR_CORRUPT);
    assert_int_equal(machine_applied(f->machine), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_append_gives_dense_indexes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_retry_is_answered_from_the_table, setup, teardown),
        cmocka_unit_test_setup_teardown(test_acknowledged_results_are_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gap_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_session_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_opening_is_idempotent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sessions_expire_by_cluster_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cluster_time_never_falls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_digest_tells_states_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_malformed_value_is_fatal, setup, teardown),
    };
    return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
