/* The wire: every message to its golden bytes and back, whole or not at all, from the smallest to
 * the largest. */
#include "common/wire/wire.h"

#include "common/protocol/value.h"
#include "common/wire/layout.h"
#include "tests/unit/wire_kit.h"
#include "tests/unit/wire_samples.h"
#include "tests/vectors/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- golden vectors */

static void write_vectors(void)
{
    size_t count;
    FILE *file = fopen(VECTOR_MESSAGES, "w");
    assert_non_null(file);
    fprintf(file, "# Every message in bytes. Written by tests/unit/test_wire.c from "
                  "tests/unit/wire_samples.c when\n# SYNOD_WRITE_VECTORS is set; compared on every "
                  "other run. A change here is a change of the protocol.\n");
    const struct wire_sample *samples = wire_samples(&count);
    for (size_t i = 0; i < count; i++) {
        struct blob *blob = wire_kit_encode(&samples[i].msg);
        vectors_write(file, samples[i].name, samples[i].text, blob->data, blob->size);
        blob_unref(blob);
    }
    assert_int_equal(fclose(file), 0);
    file = fopen(VECTOR_VALUES, "w");
    assert_non_null(file);
    fprintf(file, "# Blocks of commands and values of slots in bytes (common/protocol/value.h). "
                  "Written and compared\n# as messages.txt is. A change here is a change of the "
                  "protocol and of the disk format.\n");
    const struct value_sample *values = value_samples(&count);
    for (size_t i = 0; i < count; i++) {
        vectors_write(file, values[i].name, values[i].text, values[i].bytes.data,
                      values[i].bytes.size);
    }
    assert_int_equal(fclose(file), 0);
}

static void assert_golden(const struct vectors *golden, const char *name, const char *text,
                          const uint8_t *bytes, size_t size)
{
    const struct vector *vector = vectors_find(golden, name);
    if (vector == NULL) {
        fail_msg("no golden vector %s", name);
        return;
    }
    assert_string_equal(vector->text, text);
    if (vector->size != size || memcmp(vector->bytes, bytes, size) != 0) {
        fail_msg("%s is not what its golden vector says", name);
    }
}

/* Each known message encodes to the golden bytes, and these decode to the same message. */
static void test_messages_match_the_golden_vectors(void **state)
{
    (void)state;
    struct vectors golden;
    assert_int_equal(vectors_load(VECTOR_MESSAGES, &golden), 0);
    size_t count;
    const struct wire_sample *samples = wire_samples(&count);
    assert_int_equal(golden.count, count);
    for (size_t i = 0; i < count; i++) {
        struct blob *blob = wire_kit_encode(&samples[i].msg);
        assert_golden(&golden, samples[i].name, samples[i].text, blob->data, blob->size);
        struct outcome o;
        wire_kit_decode(&o, blob->data, blob->size);
        if (o.rc != 0) {
            fail_msg("%s does not decode: %s", samples[i].name, o.err.text);
        }
        if (!wire_same(&o.msg, &samples[i].msg)) {
            fail_msg("%s decodes to something else", samples[i].name);
        }
        wire_kit_forget(&o);
        blob_unref(blob);
    }
    vectors_close(&golden);
}

/* Blocks and values are laid out as the golden bytes say, and these parse. */
static void test_values_match_the_golden_vectors(void **state)
{
    (void)state;
    struct vectors golden;
    assert_int_equal(vectors_load(VECTOR_VALUES, &golden), 0);
    size_t count;
    const struct value_sample *samples = value_samples(&count);
    assert_int_equal(golden.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_golden(&golden, samples[i].name, samples[i].text, samples[i].bytes.data,
                      samples[i].bytes.size);
        struct value value;
        struct block block;
        int is_block = strncmp(samples[i].name, "block", 5) == 0;
        assert_int_equal(is_block ? block_parse(samples[i].bytes, &block, NULL)
                                  : value_parse(samples[i].bytes, &value),
                         0);
    }
    vectors_close(&golden);
}

/* Every kind that has a name has a layout of that name and a sample; no other number has one. */
static void test_every_kind_has_a_layout_and_a_sample(void **state)
{
    (void)state;
    size_t count;
    const struct wire_sample *samples = wire_samples(&count);
    for (unsigned kind = 0; kind < 300; kind++) {
        const char *name = message_kind_name((enum message_kind)kind);
        const struct layout *layout = layout_of(kind);
        if (strcmp(name, "unknown") == 0) {
            assert_null(layout);
            continue;
        }
        assert_non_null(layout);
        assert_string_equal(layout->name, name);
        size_t found = 0;
        for (size_t i = 0; i < count; i++) {
            found += (unsigned)samples[i].msg.kind == kind;
        }
        assert_true(found > 0);
    }
    assert_null(layout_of(UINT64_MAX));
}

/* Slices of a decoded message are the frame's own bytes, so that a value is never copied. */
static void test_slices_point_into_the_frame(void **state)
{
    (void)state;
    struct message msg = wire_kit_sample("accept");
    struct blob *blob = wire_kit_encode(&msg);
    struct outcome o;
    wire_kit_decode(&o, blob->data, blob->size);
    assert_int_equal(o.rc, 0);
    const struct slice *value = &o.msg.accept.value;
    assert_ptr_equal(value->owner, o.frame);
    assert_true(value->data > o.frame->data);
    assert_ptr_equal(value->data + value->size, o.frame->data + o.frame->size);
    wire_kit_forget(&o);
    blob_unref(blob);
}

/* A message cut off anywhere, or with one byte after its end, is refused as malformed. */
static void test_no_prefix_and_no_tail_is_a_message(void **state)
{
    (void)state;
    size_t count;
    const struct wire_sample *samples = wire_samples(&count);
    for (size_t i = 0; i < count; i++) {
        struct blob *blob = wire_kit_encode(&samples[i].msg);
        struct outcome o;
        for (size_t size = 0; size < blob->size; size++) {
            wire_kit_decode(&o, blob->data, size);
            wire_kit_assert_refused(&o, REFUSED_MALFORMED, "a malformed frame: ");
            wire_kit_forget(&o);
        }
        uint8_t *longer = malloc(blob->size + 1);
        assert_non_null(longer);
        memcpy(longer, blob->data, blob->size);
        longer[blob->size] = 0xc0;
        wire_kit_decode(&o, longer, blob->size + 1);
        wire_kit_assert_refused(&o, REFUSED_MALFORMED, "1 bytes follow the end");
        wire_kit_forget(&o);
        free(longer);
        blob_unref(blob);
    }
}
/* ---- sizes */

static void assert_not_encoded(const struct message *msg)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    assert_int_equal(wire_encode(&sample_context, msg, &bytes, &size), ERROR_USAGE);
    assert_null(bytes);
}

/* Puts one element too much, by hand, where the encoder would refuse to: a frame whose last bytes
 * are a bin of size bytes. */
static void decode_with_bin(struct outcome *o, const char *head, size_t size)
{
    uint8_t *bytes = NULL;
    size_t at = 0;
    assert_int_equal(vectors_parse_hex(head, head + strlen(head), &bytes, &at), 0);
    uint8_t *grown = realloc(bytes, at + 5 + size);
    assert_non_null(grown);
    grown[at] = 0xc6;
    grown[at + 1] = (uint8_t)(size >> 24);
    grown[at + 2] = (uint8_t)(size >> 16);
    grown[at + 3] = (uint8_t)(size >> 8);
    grown[at + 4] = (uint8_t)size;
    memset(grown + at + 5, 0, size);
    wire_kit_decode(o, grown, at + 5 + size);
    free(grown);
}

/* The largest record, block and text pass unchanged; one byte more is refused, with the limit. */
static void test_the_largest_passes_and_one_byte_more_does_not(void **state)
{
    (void)state;
    uint8_t *zeros = calloc(1, VALUE_BYTES_MAX + 1);
    assert_non_null(zeros);
    struct outcome o;

    struct message msg = wire_kit_sample("submit");
    msg.submit.block = slice_borrow(zeros, BLOCK_BYTES_MAX);
    wire_kit_assert_round_trip(&msg, NULL);
    msg.submit.block.size++;
    assert_not_encoded(&msg);
    decode_with_bin(&o, HEAD "28" FROM_C "91", BLOCK_BYTES_MAX + 1);
    wire_kit_assert_refused(&o, REFUSED_MALFORMED, "block has 1114113 bytes, not 0 to 1114112");
    wire_kit_forget(&o);

    struct slice record = slice_borrow(zeros, RECORD_BYTES_MAX);
    msg = wire_kit_sample("records");
    msg.records.record_count = 1;
    msg.records.records = &record;
    wire_kit_assert_round_trip(&msg, NULL);
    record.size++;
    assert_not_encoded(&msg);
    decode_with_bin(&o, HEAD "2d" FROM_L "97 01 00 01 01 01 01 91", RECORD_BYTES_MAX + 1);
    wire_kit_assert_refused(&o, REFUSED_MALFORMED, "record has 1048577 bytes, not 0 to 1048576");
    wire_kit_forget(&o);

    decode_with_bin(&o, HEAD "0c" FROM_P "94" BALLOT "01 00", VALUE_BYTES_MAX + 1);
    wire_kit_assert_refused(&o, REFUSED_MALFORMED, "value has 1377281 bytes, not 9 to 1377280");
    wire_kit_forget(&o);

    memset(zeros, 'x', TEXT_BYTES_MAX + 1);
    msg = wire_kit_sample("refused");
    msg.refused.text = slice_borrow(zeros, TEXT_BYTES_MAX);
    wire_kit_assert_round_trip(&msg, NULL);
    msg.refused.text.size++;
    assert_not_encoded(&msg);
    free(zeros);
}

/* The longest page passes, one entry more does not, and no message exceeds MESSAGE_BYTES_MAX. */
static void test_pages_are_bounded(void **state)
{
    (void)state;
    size_t value_count;
    struct slice noop = value_samples(&value_count)[0].bytes;
    struct slot_entry *entries = calloc(PAGE_ENTRIES_MAX + 1, sizeof *entries);
    assert_non_null(entries);
    struct message msg = wire_kit_sample("promise");
    for (size_t i = 0; i <= PAGE_ENTRIES_MAX; i++) {
        entries[i] =
            (struct slot_entry){POSITION_MAX - PAGE_ENTRIES_MAX + i, msg.promise.ballot, noop};
    }
    msg.promise.accepted_max = POSITION_MAX;
    msg.promise.entries = entries;
    msg.promise.entry_count = PAGE_ENTRIES_MAX;
    wire_kit_assert_round_trip(&msg, NULL);
    msg.promise.entry_count++;
    assert_not_encoded(&msg);
    free(entries);

    uint8_t *zeros = calloc(1, RECORD_BYTES_MAX);
    assert_non_null(zeros);
    struct slice records[4];
    for (size_t i = 0; i < 4; i++) {
        records[i] = slice_borrow(zeros, RECORD_BYTES_MAX);
    }
    msg = wire_kit_sample("records");
    msg.records.records = records;
    msg.records.record_count = 3;
    wire_kit_assert_round_trip(&msg, NULL);
    msg.records.record_count = 4;
    msg.records.last = 4;
    assert_not_encoded(&msg);
    free(zeros);
}

/* A caller's bug shows where it is made: a number out of its range is not encoded. */
static void test_the_encoder_refuses_what_the_decoder_would(void **state)
{
    (void)state;
    struct message msg = {.from = {ROLE_PROPOSER, 1}, .incarnation = 1};
    assert_not_encoded(&msg);
    msg = wire_kit_sample("accept");
    msg.accept.slot = 0;
    assert_not_encoded(&msg);
    msg = wire_kit_sample("accept");
    msg.accept.value = SLICE_EMPTY;
    assert_not_encoded(&msg);
    msg = wire_kit_sample("nack");
    msg.nack.reason = 9;
    assert_not_encoded(&msg);
    struct result_range range = {1, 1, RESULT_CHANGED + 1, 0, SLICE_EMPTY};
    msg = wire_kit_sample("result");
    msg.result.range_count = 1;
    msg.result.ranges = &range;
    assert_not_encoded(&msg);
    msg = wire_kit_sample("status_reply");
    msg.status_reply.node_count = 0;
    assert_not_encoded(&msg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_match_the_golden_vectors),
        cmocka_unit_test(test_values_match_the_golden_vectors),
        cmocka_unit_test(test_every_kind_has_a_layout_and_a_sample),
        cmocka_unit_test(test_slices_point_into_the_frame),
        cmocka_unit_test(test_no_prefix_and_no_tail_is_a_message),
        cmocka_unit_test(test_the_largest_passes_and_one_byte_more_does_not),
        cmocka_unit_test(test_pages_are_bounded),
        cmocka_unit_test(test_the_encoder_refuses_what_the_decoder_would),
    };
    if (getenv("SYNOD_WRITE_VECTORS") != NULL) {
        write_vectors();
        printf("wrote %s and %s\n", VECTOR_MESSAGES, VECTOR_VALUES);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
