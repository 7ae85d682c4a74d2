/* The layout of what a slot holds: every value, block and command is read back as it was written,
 * and bytes that break a rule are refused. */
#include "common/base/bytes.h"
#include "common/base/rng.h"
#include "common/protocol/limits.h"
#include "common/protocol/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CLIENT 0x1122334455667788U

/* Encoded blocks of a test, in one buffer that is long enough for a record beyond the limit. */
static uint8_t bytes[RECORD_BYTES_MAX + 1024];

/* Appends a command to the buffer at offset and returns the offset after it. */
static size_t add_command(size_t offset, enum command_op op, const void *payload, uint32_t size)
{
    command_put_head(bytes + offset, op, size);
    if (size > 0) {
        memcpy(bytes + offset + COMMAND_HEAD_BYTES, payload, size);
    }
    return offset + COMMAND_HEAD_BYTES + size;
}

/* Encodes a block with two appends into the buffer and returns it. */
static struct slice two_appends(struct block *block)
{
    *block =
        (struct block){.session = 5, .client = CLIENT, .first_seq = 10, .acked_seq = 9, .count = 2};
    size_t end = add_command(BLOCK_HEAD_BYTES, COMMAND_APPEND, "hello", 5);
    end = add_command(end, COMMAND_APPEND, NULL, 0);
    block_put_head(bytes, block, (uint32_t)(end - BLOCK_HEAD_BYTES));
    return slice_borrow(bytes, end);
}

/* Encodes a block of one command and returns it. */
static struct slice one_command(const struct block *head, enum command_op op, const void *payload,
                                uint32_t size)
{
    size_t end = add_command(BLOCK_HEAD_BYTES, op, payload, size);
    block_put_head(bytes, head, (uint32_t)(end - BLOCK_HEAD_BYTES));
    return slice_borrow(bytes, end);
}

/* The block is refused with a sentence, and the result is left alone. */
static void assert_refused(struct slice encoded)
{
    struct block block = {.session = 77};
    struct errmsg err = {{0}};
    assert_int_equal(block_parse(encoded, &block, &err), ERROR_USAGE);
    assert_true(strlen(err.text) > 10);
    assert_int_equal(block.session, 77);
}

/* A block comes back with its head and its commands, the empty record among them. */
static void test_block_is_read_back(void **state)
{
    (void)state;
    struct block written, read;
    struct slice encoded = two_appends(&written);
    assert_int_equal(block_parse(encoded, &read, NULL), 0);
    assert_true(read.session == 5);
    assert_true(read.client == CLIENT);
    assert_true(read.first_seq == 10);
    assert_true(read.acked_seq == 9);
    assert_int_equal(read.count, 2);
    struct command command;
    assert_int_equal(block_next_command(&read.commands, &command), 1);
    assert_int_equal(command.op, COMMAND_APPEND);
    assert_true(slice_equal(command.payload, slice_borrow("hello", 5)));
    assert_int_equal(block_next_command(&read.commands, &command), 1);
    assert_int_equal(command.payload.size, 0);
    assert_int_equal(block_next_command(&read.commands, &command), 0);
}

/* The head is laid out as common/PROTOCOL.md says: changing it changes the disk format. */
static void test_block_head_bytes(void **state)
{
    (void)state;
    struct block block = {.session = 1, .client = 2, .first_seq = 3, .acked_seq = 4, .count = 5};
    uint8_t head[BLOCK_HEAD_BYTES + COMMAND_HEAD_BYTES];
    block_put_head(head, &block, 6);
    command_put_head(head + BLOCK_HEAD_BYTES, COMMAND_APPEND, 7);
    static const uint8_t expected[] = {0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
                                       2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0,
                                       0, 4, 0, 0, 0, 5, 0, 0, 0, 6, 1, 0, 0, 0, 7};
    assert_int_equal(sizeof head, sizeof expected);
    assert_memory_equal(head, expected, sizeof expected);
}

/* Slices of a parsed block know the blob they lie in, so that a record is kept without a copy. */
static void test_block_slices_keep_their_owner(void **state)
{
    (void)state;
    struct block block;
    struct slice encoded = two_appends(&block);
    struct blob *blob = blob_copy(encoded.data, encoded.size);
    assert_int_equal(block_parse(slice_of(blob), &block, NULL), 0);
    struct command command;
    assert_int_equal(block_next_command(&block.commands, &command), 1);
    assert_ptr_equal(command.payload.owner, blob);
    blob_unref(blob);
}

/* Every proper prefix of a block is refused, and so is one byte after its end. */
static void test_block_cut_short_is_refused(void **state)
{
    (void)state;
    struct block block;
    struct slice encoded = two_appends(&block);
    for (size_t size = 0; size < encoded.size; size++) {
        assert_refused(slice_borrow(bytes, size));
    }
    bytes[encoded.size] = 0;
    assert_refused(slice_borrow(bytes, encoded.size + 1));
}

/* The count must be that of the commands, neither more nor less. */
static void test_block_with_a_wrong_count_is_refused(void **state)
{
    (void)state;
    struct block block;
    for (uint32_t count = 0; count < 5; count++) {
        struct slice encoded = two_appends(&block);
        bytes_put_u32(bytes + 32, count);
        if (count != 2) {
            assert_refused(encoded);
        }
    }
    struct slice encoded = two_appends(&block);
    bytes_put_u32(bytes + 32, UINT32_MAX);
    assert_refused(encoded);
}

/* The command inside says it is longer than the block: refused, at every possible lie. */
static void test_command_beyond_its_block_is_refused(void **state)
{
    (void)state;
    static const uint32_t lies[] = {6, 11, 1000, 0x7fffffff, UINT32_MAX - 4, UINT32_MAX};
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct block block;
        struct slice encoded = two_appends(&block);
        bytes_put_u32(bytes + BLOCK_HEAD_BYTES + 1, lies[i]);
        assert_refused(encoded);
    }
}

/* A sequence starts at 1, does not overflow and does not acknowledge itself. */
static void test_block_sequences_are_bounded(void **state)
{
    (void)state;
    struct block head = {.session = 5, .client = CLIENT, .first_seq = 0, .count = 1};
    assert_refused(one_command(&head, COMMAND_APPEND, "x", 1));
    head.first_seq = UINT64_MAX;
    assert_refused(one_command(&head, COMMAND_APPEND, "x", 1));
    head.first_seq = 4;
    head.acked_seq = 4;
    assert_refused(one_command(&head, COMMAND_APPEND, "x", 1));
    head.acked_seq = 3;
    struct block block;
    assert_int_equal(block_parse(one_command(&head, COMMAND_APPEND, "x", 1), &block, NULL), 0);
}

/* Results find their client by its nonce, so a block without one is refused. */
static void test_block_without_a_client_is_refused(void **state)
{
    (void)state;
    struct block head = {.session = 5, .client = 0, .first_seq = 1, .count = 1};
    assert_refused(one_command(&head, COMMAND_APPEND, "x", 1));
}

/* An empty block of a session is a sign of life; without a session it is nothing, and refused. */
static void test_block_without_commands_keeps_a_session_alive(void **state)
{
    (void)state;
    struct block head = {.session = 5, .client = CLIENT, .first_seq = 8, .acked_seq = 7};
    struct block block;
    block_put_head(bytes, &head, 0);
    assert_int_equal(block_parse(slice_borrow(bytes, BLOCK_HEAD_BYTES), &block, NULL), 0);
    assert_int_equal(block.count, 0);
    head.session = 0;
    head.first_seq = 1;
    block_put_head(bytes, &head, 0);
    assert_refused(slice_borrow(bytes, BLOCK_HEAD_BYTES));
}

/* A record of the limit passes, one byte more is refused with both numbers. */
static void test_record_size_is_limited(void **state)
{
    (void)state;
    struct block head = {.session = 5, .client = CLIENT, .first_seq = 1, .count = 1};
    uint8_t *record = calloc(1, RECORD_BYTES_MAX + 1);
    assert_non_null(record);
    struct slice encoded = one_command(&head, COMMAND_APPEND, record, RECORD_BYTES_MAX);
    struct block block;
    assert_int_equal(block_parse(encoded, &block, NULL), 0);
    struct errmsg err;
    encoded = one_command(&head, COMMAND_APPEND, record, RECORD_BYTES_MAX + 1);
    assert_int_equal(block_parse(encoded, &block, &err), ERROR_USAGE);
    assert_non_null(strstr(err.text, "1048577"));
    assert_non_null(strstr(err.text, "1048576"));
    free(record);
}

/* A session is opened by one command alone, without a session; any number but 0 is one of an
 * opening, and the payload is the ttl and the session to continue. */
static void test_opening_a_session_stands_alone(void **state)
{
    (void)state;
    uint8_t open[OPEN_PAYLOAD_BYTES + 1] = {0};
    command_put_open(open, 30000, 0x0102030405060708);
    assert_memory_equal(open, "\x00\x00\x75\x30\x01\x02\x03\x04\x05\x06\x07\x08", 12);
    struct block head = {.session = 0, .client = CLIENT, .first_seq = 1, .count = 1};
    struct block block;
    struct slice encoded = one_command(&head, COMMAND_OPEN_SESSION, open, 12);
    assert_int_equal(block_parse(encoded, &block, NULL), 0);
    assert_int_equal(block.first_seq, 1);
    assert_refused(one_command(&head, COMMAND_OPEN_SESSION, open, 11));
    assert_refused(one_command(&head, COMMAND_OPEN_SESSION, open, 13));
    assert_refused(one_command(&head, COMMAND_OPEN_SESSION, open, 4));
    assert_refused(one_command(&head, COMMAND_APPEND, "x", 1));
    assert_refused(one_command(&head, COMMAND_CLOSE_SESSION, NULL, 0));
    head.first_seq = UINT64_MAX;
    assert_int_equal(block_parse(one_command(&head, COMMAND_OPEN_SESSION, open, 12), &block, NULL),
                     0);
    head.first_seq = 0;
    assert_refused(one_command(&head, COMMAND_OPEN_SESSION, open, 12));
    head = (struct block){.session = 5, .client = CLIENT, .first_seq = 1, .count = 1};
    assert_refused(one_command(&head, COMMAND_OPEN_SESSION, open, 12));

    head = (struct block){.session = 0, .client = CLIENT, .first_seq = 1, .count = 2};
    size_t end = add_command(BLOCK_HEAD_BYTES, COMMAND_OPEN_SESSION, open, 12);
    end = add_command(end, COMMAND_OPEN_SESSION, open, 12);
    block_put_head(bytes, &head, (uint32_t)(end - BLOCK_HEAD_BYTES));
    assert_refused(slice_borrow(bytes, end));
}

/* Nothing follows the close of a session, and it carries nothing. */
static void test_closing_a_session_comes_last(void **state)
{
    (void)state;
    struct block head = {.session = 5, .client = CLIENT, .first_seq = 1, .count = 2};
    size_t end = add_command(BLOCK_HEAD_BYTES, COMMAND_APPEND, "x", 1);
    end = add_command(end, COMMAND_CLOSE_SESSION, NULL, 0);
    block_put_head(bytes, &head, (uint32_t)(end - BLOCK_HEAD_BYTES));
    struct block block;
    assert_int_equal(block_parse(slice_borrow(bytes, end), &block, NULL), 0);

    end = add_command(BLOCK_HEAD_BYTES, COMMAND_CLOSE_SESSION, NULL, 0);
    end = add_command(end, COMMAND_APPEND, "x", 1);
    block_put_head(bytes, &head, (uint32_t)(end - BLOCK_HEAD_BYTES));
    assert_refused(slice_borrow(bytes, end));
    head.count = 1;
    assert_refused(one_command(&head, COMMAND_CLOSE_SESSION, "x", 1));
}

/* Settings are changed from a version, to settings that are well-formed. Few bytes of a version,
 * settings that are cut off, and bytes behind them are refused. */
static void test_settings_are_parsed(void **state)
{
    (void)state;
    struct block head = {.session = 5, .client = CLIENT, .first_seq = 1, .count = 1};
    static const uint8_t payload[8 + 11 + 1] = {[7] = 3, [8] = ORACLE_RING};
    struct block block;
    struct command command;
    struct slice encoded = one_command(&head, COMMAND_SETTINGS, payload, 8 + 11);
    assert_int_equal(block_parse(encoded, &block, NULL), 0);
    assert_int_equal(block_next_command(&block.commands, &command), 1);
    assert_int_equal(command.op, COMMAND_SETTINGS);
    assert_int_equal(command.payload.size, 8 + 11);
    for (uint32_t size = 0; size < 8 + 11; size++) {
        assert_refused(one_command(&head, COMMAND_SETTINGS, payload, size));
    }
    assert_refused(one_command(&head, COMMAND_SETTINGS, payload, sizeof payload));
    static const uint8_t unknown[8 + 11] = {[8] = ORACLE_KIND_END};
    assert_refused(one_command(&head, COMMAND_SETTINGS, unknown, sizeof unknown));
}

/* An operation that this version does not know is refused, never skipped. */
static void test_unknown_commands_are_refused(void **state)
{
    (void)state;
    struct block head = {.session = 5, .client = CLIENT, .first_seq = 1, .count = 1};
    assert_refused(one_command(&head, (enum command_op)0, "x", 1));
    assert_refused(one_command(&head, (enum command_op)4, "x", 1));
    assert_refused(one_command(&head, (enum command_op)255, "x", 1));
}

/* ---- values */

/* A no-op carries a time and nothing else. */
static void test_noop_is_read_back(void **state)
{
    (void)state;
    struct blob *blob = value_noop(0x0102030405060708U);
    assert_int_equal(blob->size, VALUE_HEAD_BYTES);
    assert_memory_equal(blob->data, "\x01\x01\x02\x03\x04\x05\x06\x07\x08", 9);
    struct value value;
    assert_int_equal(value_parse(slice_of(blob), &value), 0);
    assert_int_equal(value.kind, VALUE_NOOP);
    assert_true(value.stamp_ms == 0x0102030405060708U);
    blob_unref(blob);
}

/* The announcement of a leader names its ballot in all three parts. */
static void test_lead_is_read_back(void **state)
{
    (void)state;
    struct ballot ballot = {7, 3, 0xfeedfacecafebeefU};
    struct blob *blob = value_lead(1234, &ballot);
    struct value value;
    assert_int_equal(value_parse(slice_of(blob), &value), 0);
    assert_int_equal(value.kind, VALUE_LEAD);
    assert_true(value.stamp_ms == 1234);
    assert_true(ballot_equal(&value.lead, &ballot));
    blob_unref(blob);
}

/* A batch gives its blocks back in order; an empty batch gives none. */
static void test_batch_is_read_back(void **state)
{
    (void)state;
    struct block head;
    struct slice two = two_appends(&head);
    struct slice blocks[3] = {two, two, two};
    struct blob *blob = value_batch(99, blocks, 3);
    assert_int_equal(blob->size, VALUE_HEAD_BYTES + 3 * two.size);
    struct value value;
    assert_int_equal(value_parse(slice_of(blob), &value), 0);
    assert_int_equal(value.kind, VALUE_BATCH);
    struct block block;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(value_next_block(&value.blocks, &block), 1);
        assert_int_equal(block.count, 2);
        assert_ptr_equal(block.commands.owner, blob);
    }
    assert_int_equal(value_next_block(&value.blocks, &block), 0);
    blob_unref(blob);

    blob = value_batch(99, NULL, 0);
    assert_int_equal(value_parse(slice_of(blob), &value), 0);
    assert_int_equal(value_next_block(&value.blocks, &block), 0);
    blob_unref(blob);
}

/* A line gives its places back in order, as many as there can be. */
static void test_line_is_read_back(void **state)
{
    (void)state;
    struct place places[MEMBERS_MAX];
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        places[i] = (struct place){(node_id_t)(i + 1), UINT64_MAX - i, 55, 66};
    }
    struct blob *blob = value_line(1234, places, MEMBERS_MAX);
    assert_int_equal(blob->size, VALUE_HEAD_BYTES + MEMBERS_MAX * 12);
    struct value value;
    assert_int_equal(value_parse(slice_of(blob), &value), 0);
    assert_int_equal(value.kind, VALUE_LINE);
    assert_true(value.stamp_ms == 1234);
    struct place place;
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        assert_int_equal(value_next_place(&value.line, &place), 1);
        assert_int_equal(place.proposer, places[i].proposer);
        assert_true(place.incarnation == places[i].incarnation);
        assert_int_equal(place.since, 0); /* where and until when is for the machine to say */
        assert_int_equal(place.expires_ms, 0);
    }
    assert_int_equal(value_next_place(&value.line, &place), 0);
    blob_unref(blob);
}

static void assert_corrupt(const void *data, size_t size)
{
    struct value value = {.stamp_ms = 77};
    assert_int_equal(value_parse(slice_borrow(data, size), &value), ERROR_CORRUPT);
    assert_true(value.stamp_ms == 77);
}

/* Values cut short, too long, of an unknown kind or with a bad block inside are corrupt. */
static void test_damaged_values_are_corrupt(void **state)
{
    (void)state;
    struct block head;
    struct slice two = two_appends(&head);
    struct blob *batch = value_batch(99, &two, 1);
    for (size_t size = 0; size < batch->size; size++) {
        if (size != VALUE_HEAD_BYTES) { /* a batch without blocks is one, too */
            assert_corrupt(batch->data, size);
        }
    }
    uint8_t copy[256];
    memcpy(copy, batch->data, batch->size);
    copy[VALUE_HEAD_BYTES + BLOCK_HEAD_BYTES] = 200; /* the op of its first command */
    assert_corrupt(copy, batch->size);
    blob_unref(batch);

    struct ballot ballot = {7, 3, 1};
    struct blob *lead = value_lead(1, &ballot);
    memcpy(copy, lead->data, lead->size);
    assert_corrupt(copy, lead->size - 1);
    assert_corrupt(copy, lead->size + 1);
    copy[0] = VALUE_NOOP;
    assert_corrupt(copy, lead->size);
    copy[0] = 0;
    assert_corrupt(copy, lead->size);
    copy[0] = 4;
    assert_corrupt(copy, lead->size);
    blob_unref(lead);
}

/* A line without places, with one too many, one that is cut off, or one of nobody is corrupt. */
static void test_damaged_lines_are_corrupt(void **state)
{
    (void)state;
    uint8_t line[VALUE_HEAD_BYTES + (MEMBERS_MAX + 1) * 12] = {VALUE_LINE};
    for (size_t i = 0; i <= MEMBERS_MAX; i++) {
        bytes_put_u32(line + VALUE_HEAD_BYTES + i * 12, (uint32_t)i + 1);
        bytes_put_u64(line + VALUE_HEAD_BYTES + i * 12 + 4, 9);
    }
    struct value value;
    for (size_t size = 0; size <= sizeof line; size++) {
        int is_whole =
            size > VALUE_HEAD_BYTES && size < sizeof line && (size - VALUE_HEAD_BYTES) % 12 == 0;
        if (is_whole) {
            assert_int_equal(value_parse(slice_borrow(line, size), &value), 0);
        } else {
            assert_corrupt(line, size);
        }
    }
    bytes_put_u32(line + VALUE_HEAD_BYTES + 12, 0);
    assert_corrupt(line, VALUE_HEAD_BYTES + 24);
    bytes_put_u32(line + VALUE_HEAD_BYTES + 12, 2);
    bytes_put_u64(line + VALUE_HEAD_BYTES + 16, 0);
    assert_corrupt(line, VALUE_HEAD_BYTES + 24);
}

/* Random damage never makes a read outside of the bytes (a sanitizer build sees it), and what still
 * parses holds exactly the commands that it counts. */
static void test_random_damage_is_survived(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 20240601);
    struct block head;
    struct slice two = two_appends(&head);
    unsigned refused_count = 0;
    for (int round = 0; round < 20000; round++) {
        uint8_t *copy = malloc(two.size); /* of the exact size, so that one byte beyond is seen */
        assert_non_null(copy);
        memcpy(copy, two.data, two.size);
        for (uint64_t i = 0; i <= rng_below(&rng, 3); i++) {
            copy[rng_below(&rng, two.size)] = (uint8_t)rng_next(&rng);
        }
        struct block block;
        if (block_parse(slice_borrow(copy, two.size), &block, NULL) == 0) {
            struct command command;
            uint32_t count = 0;
            while (block_next_command(&block.commands, &command)) {
                count++;
            }
            assert_int_equal(count, block.count);
        } else {
            refused_count++;
        }
        free(copy);
    }
    assert_in_range(refused_count, 1000, 19999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_block_is_read_back),
        cmocka_unit_test(test_block_head_bytes),
        cmocka_unit_test(test_block_slices_keep_their_owner),
        cmocka_unit_test(test_block_cut_short_is_refused),
        cmocka_unit_test(test_block_with_a_wrong_count_is_refused),
        cmocka_unit_test(test_command_beyond_its_block_is_refused),
        cmocka_unit_test(test_block_sequences_are_bounded),
        cmocka_unit_test(test_block_without_a_client_is_refused),
        cmocka_unit_test(test_block_without_commands_keeps_a_session_alive),
        cmocka_unit_test(test_record_size_is_limited),
        cmocka_unit_test(test_opening_a_session_stands_alone),
        cmocka_unit_test(test_closing_a_session_comes_last),
        cmocka_unit_test(test_settings_are_parsed),
        cmocka_unit_test(test_unknown_commands_are_refused),
        cmocka_unit_test(test_noop_is_read_back),
        cmocka_unit_test(test_lead_is_read_back),
        cmocka_unit_test(test_batch_is_read_back),
        cmocka_unit_test(test_line_is_read_back),
        cmocka_unit_test(test_damaged_values_are_corrupt),
        cmocka_unit_test(test_damaged_lines_are_corrupt),
        cmocka_unit_test(test_random_damage_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
