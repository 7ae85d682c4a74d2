/* The model of the state machine numbers records, executes each command once, answers retries from
 * memory, and ends sessions by cluster time alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/bytes.h"
#include "common/protocol/message.h"
#include "common/protocol/value.h"
#include "tests/check/model.h"
#include "tests/model/reference_oracle.h"

#include <string.h>

#define CLIENT 77
#define TTL_MS 1000

static struct model *model;

static int setup(void **state)
{
    (void)state;
    model = model_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    model_free(model);
    return 0;
}

/* One slot with one block of commands of the given ops, each with a payload of 4 bytes. */
static void apply(uint64_t stamp_ms, struct block block, const uint8_t *ops, uint32_t count)
{
    uint8_t bytes[512];
    uint32_t size = count * (COMMAND_HEAD_BYTES + 4);
    bytes[0] = VALUE_BATCH;
    bytes_put_u64(bytes + 1, stamp_ms);
    block.client = CLIENT;
    block.count = count;
    block_put_head(bytes + VALUE_HEAD_BYTES, &block, size);
    uint8_t *p = bytes + VALUE_HEAD_BYTES + BLOCK_HEAD_BYTES;
    for (uint32_t i = 0; i < count; i++) {
        command_put_head(p, ops[i], 4);
        bytes_put_u32(p + COMMAND_HEAD_BYTES, TTL_MS);
        p += COMMAND_HEAD_BYTES + 4;
    }
    assert_int_equal(model_apply(model, slice_borrow(bytes, (size_t)(p - bytes))), 0);
}

static void apply_appends(uint64_t stamp_ms, uint64_t first_seq, uint64_t acked_seq, uint32_t count)
{
    static const uint8_t ops[4] = {COMMAND_APPEND, COMMAND_APPEND, COMMAND_APPEND, COMMAND_APPEND};
    struct block block = {.session = 1, .first_seq = first_seq, .acked_seq = acked_seq};
    apply(stamp_ms, block, ops, count);
}

static void open_numbered(uint64_t stamp_ms, uint64_t opening, uint64_t continues)
{
    uint8_t bytes[VALUE_HEAD_BYTES + OPEN_BLOCK_BYTES];
    bytes[0] = VALUE_BATCH;
    bytes_put_u64(bytes + 1, stamp_ms);
    block_put_open(bytes + VALUE_HEAD_BYTES, CLIENT, opening, TTL_MS, continues);
    assert_int_equal(model_apply(model, slice_borrow(bytes, sizeof bytes)), 0);
}

static void apply_open(uint64_t stamp_ms)
{
    open_numbered(stamp_ms, 1, 0);
}

/* The answers of the last slot are exactly `count`, and the one at a position says this. */
static void expect_answer(size_t position, size_t count, uint64_t sequence, uint32_t status,
                          uint64_t value)
{
    size_t found;
    uint64_t slot = model_slot(model);
    const struct model_answer *answers = model_answers(model, slot, slot, &found);
    assert_int_equal(found, count);
    assert_int_equal(answers[position].sequence, sequence);
    assert_int_equal(answers[position].status, status);
    assert_int_equal(answers[position].value, value);
}

static void records_are_numbered_and_retries_change_nothing(void **state)
{
    (void)state;
    apply_open(1);
    expect_answer(0, 1, 1, RESULT_OK, 1);
    apply_appends(2, 1, 0, 3);
    expect_answer(2, 3, 3, RESULT_OK, 3);
    apply_appends(3, 2, 0, 3); /* 2 and 3 again, 4 is new */
    expect_answer(0, 3, 2, RESULT_OK, 2);
    expect_answer(2, 3, 4, RESULT_OK, 4);
    assert_int_equal(model_last_index(model, 2), 3);
    assert_int_equal(model_last_index(model, 3), 4);
    apply_appends(4, 1, 3, 4); /* what was acknowledged is forgotten */
    expect_answer(0, 4, 1, RESULT_FORGOTTEN, 0);
    expect_answer(3, 4, 4, RESULT_OK, 4);
    assert_int_equal(model_last_index(model, 4), 4);
}

static void a_gap_is_refused(void **state)
{
    (void)state;
    apply_open(1);
    apply_appends(2, 2, 0, 1);
    expect_answer(0, 1, 1, RESULT_GAP, 0);
    assert_int_equal(model_last_index(model, 2), 0);
}

static void sessions_end_by_cluster_time_and_live_by_their_blocks(void **state)
{
    (void)state;
    apply_open(0);
    apply_open(0);
    expect_answer(0, 1, 1, RESULT_OK, 1); /* the same once more */
    apply_appends(TTL_MS, 1, 0, 1);
    apply_appends(2 * TTL_MS, 2, 0, 1);
    expect_answer(0, 1, 2, RESULT_OK, 2);
    apply_appends(10, 3, 0, 1); /* time does not fall */
    expect_answer(0, 1, 3, RESULT_OK, 3);
    assert_int_equal(model_session_count(model, 5), 1);
    apply_appends(3 * TTL_MS + 1, 4, 0, 1);
    expect_answer(0, 1, 4, RESULT_UNKNOWN_SESSION, 0);
    assert_int_equal(model_session_count(model, 6), 0);
    apply_open(3 * TTL_MS + 2);
    expect_answer(0, 1, 1, RESULT_OK, 2); /* an id is never used again */
}

static void an_opening_has_a_session_of_its_own_or_continues_one(void **state)
{
    (void)state;
    apply_open(1);
    open_numbered(2, 2, 0);
    expect_answer(0, 1, 2, RESULT_OK, 2);
    open_numbered(3, 1, 0);
    expect_answer(0, 1, 1, RESULT_OK, 1);
    open_numbered(TTL_MS, 3, 1); /* a sign of life, which the other one does not give */
    expect_answer(0, 1, 3, RESULT_OK, 1);
    apply_appends(TTL_MS + 3, 1, 0, 1);
    expect_answer(0, 1, 1, RESULT_OK, 1);
    assert_int_equal(model_session_count(model, 5), 1);
    open_numbered(TTL_MS + 4, 4, 2); /* that one is gone */
    expect_answer(0, 1, 4, RESULT_OK, 3);
}

static void a_closed_session_is_unknown(void **state)
{
    (void)state;
    static const uint8_t ops[2] = {COMMAND_APPEND, COMMAND_CLOSE_SESSION};
    apply_open(1);
    apply(2, (struct block){.session = 1, .first_seq = 1}, ops, 2);
    expect_answer(1, 2, 2, RESULT_OK, 0);
    assert_int_equal(model_last_index(model, 2), 1);
    apply_appends(3, 2, 0, 1);
    expect_answer(0, 1, 2, RESULT_UNKNOWN_SESSION, 0);
}

/* Kinds of commands that come later must not stop it. */
static void an_unknown_command_uses_up_its_sequence(void **state)
{
    (void)state;
    static const uint8_t ops[2] = {200, COMMAND_APPEND};
    size_t count;
    apply_open(1);
    apply(2, (struct block){.session = 1, .first_seq = 1}, ops, 2);
    expect_answer(1, 2, 2, RESULT_OK, 1);
    assert_true(model_answers(model, 2, 2, &count)[0].is_unknown);
    apply_appends(3, 3, 0, 1);
    expect_answer(0, 1, 3, RESULT_OK, 2);
}

/* A line of one proposer. */
static void apply_line(uint64_t stamp_ms, uint32_t proposer, uint64_t incarnation)
{
    uint8_t bytes[VALUE_HEAD_BYTES + 12];
    bytes[0] = VALUE_LINE;
    bytes_put_u64(bytes + 1, stamp_ms);
    bytes_put_u32(bytes + VALUE_HEAD_BYTES, proposer);
    bytes_put_u64(bytes + VALUE_HEAD_BYTES + 4, incarnation);
    assert_int_equal(model_apply(model, slice_borrow(bytes, sizeof bytes)), 0);
}

static void what_is_said_of_oracles_is_kept_for_each_slot(void **state)
{
    (void)state;
    apply_line(1, 2, 7);
    apply_line(10001, 1, 7); /* the last moment of 2 */
    apply_line(10002, 1, 8);
    assert_int_equal(model_oracle(model, 0)->line_count, 0);
    assert_int_equal(model_oracle(model, 1)->line_count, 1);
    assert_int_equal(model_oracle(model, 2)->line_count, 2);
    assert_int_equal(model_oracle(model, 2)->line[1].proposer, 1);
    assert_int_equal(model_oracle(model, 3)->line_count, 1);
    assert_int_equal(model_oracle(model, 3)->line[0].incarnation, 8);
    assert_int_equal(model_oracle(model, 3)->line[0].since, 3);
}

static void bytes_that_are_no_value_are_refused(void **state)
{
    (void)state;
    assert_int_equal(model_apply(model, slice_borrow("\1short", 6)), ERROR_CORRUPT);
    assert_int_equal(model_slot(model), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_are_numbered_and_retries_change_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_gap_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(sessions_end_by_cluster_time_and_live_by_their_blocks,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(an_opening_has_a_session_of_its_own_or_continues_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_closed_session_is_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_command_uses_up_its_sequence, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_said_of_oracles_is_kept_for_each_slot, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(bytes_that_are_no_value_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
