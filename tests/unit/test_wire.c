/* The wire: every message to its golden bytes and back, and everything else refused at the door with
 * a sentence that names it. */
#include "common/wire/wire.h"

#include "common/protocol/value.h"
#include "common/wire/layout.h"
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

/* One decoding and what came of it. */
struct outcome {
    struct blob *frame;
    struct arena arena;
    struct message msg;
    enum refusal refusal;
    struct errmsg err;
    int rc;
};

static void decode_bytes(struct outcome *o, const uint8_t *bytes, size_t size)
{
    *o = (struct outcome){.frame = blob_copy(bytes, size)};
    o->rc = wire_decode(&sample_context, o->frame, &o->arena, &o->msg, &o->refusal, &o->err);
}

static void decode_hex(struct outcome *o, const char *hex)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    assert_int_equal(vectors_parse_hex(hex, hex + strlen(hex), &bytes, &size), 0);
    decode_bytes(o, bytes, size);
    free(bytes);
}

static void forget(struct outcome *o)
{
    arena_close(&o->arena);
    blob_unref(o->frame);
}

static void assert_refused(const struct outcome *o, enum refusal refusal, const char *part)
{
    if (o->rc != ERROR_REFUSED || o->refusal != refusal || strstr(o->err.text, part) == NULL) {
        fail_msg("wanted refusal %d with \"%s\", got %d, %d, \"%s\"", (int)refusal, part, o->rc,
                 (int)o->refusal, o->rc != 0 ? o->err.text : "");
    }
    assert_true(strlen(o->err.text) <= TEXT_BYTES_MAX);
}

static struct blob *encode_blob(const struct message *msg)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    assert_int_equal(wire_encode(&sample_context, msg, &bytes, &size), 0);
    struct blob *blob = blob_copy(bytes, size);
    free(bytes);
    return blob;
}

/* A copy of the sample with that name, to be changed. */
static struct message sample(const char *name)
{
    size_t count;
    const struct wire_sample *samples = wire_samples(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(samples[i].name, name) == 0) {
            return samples[i].msg;
        }
    }
    fail_msg("no sample %s", name);
    return (struct message){0};
}

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
        struct blob *blob = encode_blob(&samples[i].msg);
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

/* Each known message encodes to the golden bytes, and these decode to the same message, whose slices
 * lie in the frame and name it as their owner. */
static void test_messages_match_the_golden_vectors(void **state)
{
    (void)state;
    struct vectors golden;
    assert_int_equal(vectors_load(VECTOR_MESSAGES, &golden), 0);
    size_t count;
    const struct wire_sample *samples = wire_samples(&count);
    assert_int_equal(golden.count, count);
    for (size_t i = 0; i < count; i++) {
        struct blob *blob = encode_blob(&samples[i].msg);
        assert_golden(&golden, samples[i].name, samples[i].text, blob->data, blob->size);
        struct outcome o;
        decode_bytes(&o, blob->data, blob->size);
        if (o.rc != 0) {
            fail_msg("%s does not decode: %s", samples[i].name, o.err.text);
        }
        if (!wire_same(&o.msg, &samples[i].msg)) {
            fail_msg("%s decodes to something else", samples[i].name);
        }
        forget(&o);
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
    struct message msg = sample("accept");
    struct blob *blob = encode_blob(&msg);
    struct outcome o;
    decode_bytes(&o, blob->data, blob->size);
    assert_int_equal(o.rc, 0);
    const struct slice *value = &o.msg.accept.value;
    assert_ptr_equal(value->owner, o.frame);
    assert_true(value->data > o.frame->data);
    assert_ptr_equal(value->data + value->size, o.frame->data + o.frame->size);
    forget(&o);
    blob_unref(blob);
}

/* A message cut off anywhere, or with one byte after its end, is refused as malformed. */
static void test_no_prefix_and_no_tail_is_a_message(void **state)
{
    (void)state;
    size_t count;
    const struct wire_sample *samples = wire_samples(&count);
    for (size_t i = 0; i < count; i++) {
        struct blob *blob = encode_blob(&samples[i].msg);
        struct outcome o;
        for (size_t size = 0; size < blob->size; size++) {
            decode_bytes(&o, blob->data, size);
            assert_refused(&o, REFUSED_MALFORMED, "a malformed frame: ");
            forget(&o);
        }
        uint8_t *longer = malloc(blob->size + 1);
        assert_non_null(longer);
        memcpy(longer, blob->data, blob->size);
        longer[blob->size] = 0xc0;
        decode_bytes(&o, longer, blob->size + 1);
        assert_refused(&o, REFUSED_MALFORMED, "1 bytes follow the end");
        forget(&o);
        free(longer);
        blob_unref(blob);
    }
}

/* ---- the pre-check */

static const struct {
    const char *hex;
    const char *part; /* of the sentence; NULL: taken */
} scans[] = {
    {"00", NULL},
    {"7f", NULL},
    {"a0", NULL},
    {"90", NULL},
    {"93 01 a161 c40161", NULL},
    {"cc80", NULL},
    {"cd0100", NULL},
    {"ce00010000", NULL},
    {"cf0000000100000000", NULL},
    {"", "cut off"},
    {"cc", "cut off"},
    {"cf00000001000000", "cut off"},
    {"92 01", "declared"},
    {"92 01 cd01", "cut off"},
    {"00 00", "1 bytes follow the end"},
    /* what has a shorter form */
    {"cc7f", "longer form"},
    {"cd00ff", "longer form"},
    {"ce0000ffff", "longer form"},
    {"cf00000000ffffffff", "longer form"},
    {"d90161", "longer form"},
    {"da0001 61", "longer form"},
    {"db00000001 61", "longer form"},
    {"c50001 61", "longer form"},
    {"c600000001 61", "longer form"},
    {"dc0001 00", "longer form"},
    {"dd00000001 00", "longer form"},
    /* what no message holds: nil, never used, bool, ext, float, signed, fixext, map, negative */
    {"c0", "0xc0"},
    {"c1", "0xc1"},
    {"c2", "0xc2"},
    {"c3", "0xc3"},
    {"c70101 61", "0xc7"},
    {"c8000101 61", "0xc8"},
    {"c90000000101 61", "0xc9"},
    {"ca00000000", "0xca"},
    {"cb0000000000000000", "0xcb"},
    {"d0ff", "0xd0"},
    {"d1ffff", "0xd1"},
    {"d2ffffffff", "0xd2"},
    {"d3ffffffffffffffff", "0xd3"},
    {"d40161", "0xd4"},
    {"d8", "0xd8"},
    {"80", "0x80"},
    {"810101", "0x81"},
    {"de000101 01", "0xde"},
    {"df0000000101 01", "0xdf"},
    {"ff", "0xff"},
    {"e0", "0xe0"},
    /* what declares more than can be there: the frame of TRAPS 6 first */
    {"dd20000000", "exceeds the limit of 16384"},
    {"ddffffffff", "exceeds the limit of 16384"},
    {"dc4001", "exceeds the limit of 16384"},
    {"dc4000", "16384 elements are declared where 0 bytes are left"},
    {"dc0010 000000000000000000000000000000", "16 elements are declared where 15 bytes are left"},
    {"92 92 00 00", "2 elements are declared where 2 bytes are left"},
    {"c6ffffffff", "4294967295 bytes are declared where 0 are left"},
    {"dbffffffff 61", "4294967295 bytes are declared where 1 are left"},
    {"c4ff 61", "255 bytes are declared where 1 are left"},
    /* six arrays in each other, and seven */
    {"919191919191 00", NULL},
    {"919191919191 90", NULL},
    {"91919191919191 00", "deeper than 6"},
};

/* The pre-check takes what a message may be made of, and refuses what is too long, too deep, too
 * many, or not in its shortest form, before msgpack-c sees it. */
static void test_scan_takes_shortest_forms_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scans / sizeof scans[0]; i++) {
        uint8_t *bytes = NULL;
        size_t size = 0;
        const char *hex = scans[i].hex;
        assert_int_equal(vectors_parse_hex(hex, hex + strlen(hex), &bytes, &size), 0);
        struct errmsg err = {""};
        int rc = wire_scan(slice_borrow(bytes, size), &err);
        if (scans[i].part == NULL
                ? rc != 0
                : rc != ERROR_CORRUPT || strstr(err.text, scans[i].part) == NULL) {
            fail_msg("scan of %s: %d, \"%s\"", hex, rc, err.text);
        }
        free(bytes);
    }
}

/* A frame above the limit, and one with more elements than any message has, are refused. */
static void test_scan_bounds_bytes_and_elements(void **state)
{
    (void)state;
    struct errmsg err;
    uint8_t *bytes = calloc(1, MESSAGE_BYTES_MAX + 1);
    assert_non_null(bytes);
    bytes[0] = 0xc6;
    bytes[1] = 0x00;
    bytes[2] = 0x3f;
    bytes[3] = 0xff;
    bytes[4] = 0xfb;
    assert_int_equal(wire_scan(slice_borrow(bytes, MESSAGE_BYTES_MAX), &err), 0);
    assert_int_equal(wire_scan(slice_borrow(bytes, MESSAGE_BYTES_MAX + 1), &err), ERROR_CORRUPT);
    assert_non_null(strstr(err.text, "exceeds the limit of 4194304"));

    /* 16 arrays of 16384 empty arrays each */
    size_t size = 0;
    bytes[size++] = 0xdc;
    bytes[size++] = 0x00;
    bytes[size++] = 0x10;
    for (size_t i = 0; i < 16; i++) {
        bytes[size++] = 0xdc;
        bytes[size++] = 0x40;
        bytes[size++] = 0x00;
        memset(bytes + size, 0x90, PAGE_ENTRIES_MAX);
        size += PAGE_ENTRIES_MAX;
    }
    assert_int_equal(wire_scan(slice_borrow(bytes, size), &err), ERROR_CORRUPT);
    assert_non_null(strstr(err.text, "more than 131072 elements"));
    free(bytes);
}

/* ---- what is refused, and how */

#define CLUSTER "cf6b1f0c9e2a7d4e55"
#define FROM_P " 9202 01 cf1122334455667788 00 "
#define FROM_A " 9201 02 cfa1a2a3a4a5a6a7a8 00 "
#define FROM_L " 9203 01 cfe1e2e3e4e5e6e7e8 00 "
#define FROM_C " 9204 cfc1c2c3c4c5c6c7c8 cfc1c2c3c4c5c6c7c8 00 "
#define HEAD "98 01 " CLUSTER " 01 "
#define BALLOT "93 07 01 cf1122334455667788 "
#define NONE "93 00 00 00 "
#define NOOP "c409 01 00000000000003e8 "
#define ENTRY(slot) "93 " slot BALLOT NOOP
#define NODE_REST " 00 00 " NONE "00 00 00 00 00 00 00 00 00 00 "

static const struct {
    const char *hex;
    enum refusal refusal;
    const char *part;
} refusals[] = {
    /* the envelope */
    {"00", REFUSED_MALFORMED, "no array of 8"},
    {"97 01 " CLUSTER " 01 10 9202 01 01 00", REFUSED_MALFORMED, "no array of 8"},
    {"98 01 " CLUSTER " 01 10 9202 01 01 00 90 00", REFUSED_MALFORMED, "follow the end"},
    {"98 a131 " CLUSTER " 01 0a" FROM_P "92" BALLOT "00", REFUSED_MALFORMED, "but integers"},
    {"98 01 " CLUSTER " 01 90" FROM_P "92" BALLOT "00", REFUSED_MALFORMED, "but integers"},
    {"98 01 " CLUSTER " 00 0a" FROM_P "92" BALLOT "00", REFUSED_MALFORMED, "no configuration"},
    {HEAD "0a 9200 00 01 00 92" BALLOT "00", REFUSED_MALFORMED, "no sender"},
    {HEAD "0a 9202 00 01 00 92" BALLOT "00", REFUSED_MALFORMED, "no sender"},
    {HEAD "0a 9200 01 01 00 92" BALLOT "00", REFUSED_MALFORMED, "no sender"},
    {HEAD "0a 9205 01 01 00 92" BALLOT "00", REFUSED_MALFORMED, "no sender"},
    {HEAD "0a 9202 cf0000000100000000 01 00 92" BALLOT "00", REFUSED_MALFORMED, "no sender"},
    {HEAD "0a 02 01 00 92" BALLOT "00", REFUSED_MALFORMED, ""},
    {HEAD "0a 9202 01 00 00 92" BALLOT "00", REFUSED_MALFORMED, "no incarnation"},
    {"98 00 " CLUSTER " 01 0a" FROM_P "92" BALLOT "00", REFUSED_VERSION, "version 0 "},
    {"98 02 " CLUSTER " 01 0a" FROM_P "92" BALLOT "00", REFUSED_VERSION,
     "version 2 (this process speaks 1 to 1)"},
    {"98 02 " CLUSTER " 01 ccc8" FROM_P "a0", REFUSED_VERSION, "version 2 "},
    {"98 01 cedeadbeef 01 0a" FROM_P "92" BALLOT "00", REFUSED_CLUSTER,
     "cluster 00000000deadbeef (this process belongs to 6b1f0c9e2a7d4e55)"},
    {HEAD "ccc8" FROM_P "90", REFUSED_KIND, "kind 200 "},
    {HEAD "00" FROM_P "90", REFUSED_KIND, "kind 0 "},
    {HEAD "04" FROM_P "90", REFUSED_KIND, "kind 4 "},
    {HEAD "cfffffffffffffffff" FROM_P "90", REFUSED_KIND, "kind 18446744073709551615 "},
    /* who may say what */
    {HEAD "0a" FROM_A "92" BALLOT "00", REFUSED_MALFORMED, "prepare (no acceptor sends it)"},
    {HEAD "0d" FROM_C "93" BALLOT "01 01", REFUSED_MALFORMED, "accepted (no client sends it)"},
    {HEAD "28" FROM_P "91 c400", REFUSED_MALFORMED, "submit (no proposer sends it)"},
    /* shapes of the body */
    {HEAD "0a" FROM_P "00", REFUSED_MALFORMED, "prepare: the body is no array of 2"},
    {HEAD "0a" FROM_P "91" BALLOT, REFUSED_MALFORMED, "prepare: the body is no array of 2"},
    {HEAD "0a" FROM_P "93" BALLOT "00 00", REFUSED_MALFORMED, "the body is no array of 2"},
    {HEAD "0a" FROM_P "92" BALLOT "a0", REFUSED_MALFORMED, "from_slot is no integer"},
    {HEAD "0c" FROM_P "94" BALLOT "01 00 a0", REFUSED_MALFORMED, "value is no bytes"},
    {HEAD "03" FROM_A "92 01 c400", REFUSED_MALFORMED, "text is no text"},
    {HEAD "0b" FROM_A "97" BALLOT "00 00 00 00 00 00", REFUSED_MALFORMED, "entries is no array"},
    {HEAD "0b" FROM_A "97" BALLOT "00 00 01 00 00 91 00", REFUSED_MALFORMED,
     "promise: entries[0]: no array of 3"},
    {HEAD "0b" FROM_A "97" BALLOT "00 00 01 00 00 91 92 01" BALLOT, REFUSED_MALFORMED,
     "promise: entries[0]: no array of 3"},
    /* ballots */
    {HEAD "0a" FROM_P "92" NONE "00", REFUSED_MALFORMED, "ballot is the empty ballot"},
    {HEAD "0a" FROM_P "92 93000101 00", REFUSED_MALFORMED, "ballot is no ballot"},
    {HEAD "0a" FROM_P "92 93010001 00", REFUSED_MALFORMED, "ballot is no ballot"},
    {HEAD "0a" FROM_P "92 93010100 00", REFUSED_MALFORMED, "ballot is no ballot"},
    {HEAD "0a" FROM_P "92 920101 00", REFUSED_MALFORMED, "ballot is no ballot"},
    {HEAD "0a" FROM_P "92 9301cf000000010000000001 00", REFUSED_MALFORMED, "ballot is no ballot"},
    {HEAD "0a" FROM_P "92 93cf80000000000000000101 00", REFUSED_MALFORMED, "ballot is no ballot"},
    {HEAD "10" FROM_P "96 93000001 01 00 00 01 00", REFUSED_MALFORMED, "ballot is no ballot"},
    {HEAD "0a" FROM_P "92 93070201 00", REFUSED_MALFORMED,
     "proposer 1 sends a ballot of proposer 2"},
    {HEAD "0c" FROM_P "94 93070201 01 00" NOOP, REFUSED_MALFORMED, "a ballot of proposer 2"},
    {HEAD "0f" FROM_P "92 93070201 01", REFUSED_MALFORMED, "a ballot of proposer 2"},
    {HEAD "10" FROM_P "96 93070201 01 00 05 01 00", REFUSED_MALFORMED, "a ballot of proposer 2"},
    {HEAD "12" FROM_P "92 93070201 01", REFUSED_MALFORMED, "a ballot of proposer 2"},
    {HEAD "13" FROM_P "93 93070201 01 01", REFUSED_MALFORMED, "a ballot of proposer 2"},
    {HEAD "2a" FROM_P "91 93070201", REFUSED_MALFORMED, "a ballot of proposer 2"},
    /* ranges */
    {HEAD "01" FROM_P "93 00 01 920000", REFUSED_MALFORMED, "version_min is 0"},
    {HEAD "01" FROM_P "93 02 01 920000", REFUSED_MALFORMED, "versions 2 to 1 are no range"},
    {HEAD "01" FROM_P "93 01 01 920401", REFUSED_MALFORMED, "wanted is no member"},
    {HEAD "01" FROM_P "93 01 01 920001", REFUSED_MALFORMED, "wanted is no member"},
    {HEAD "02" FROM_A "91 00", REFUSED_MALFORMED, "version is 0"},
    {HEAD "02" FROM_A "91 cf0000000100000000", REFUSED_MALFORMED, "not 1 to 4294967295"},
    {HEAD "03" FROM_A "92 00 a0", REFUSED_MALFORMED, "reason is 0"},
    {HEAD "0a" FROM_P "92" BALLOT "cf8000000000000000", REFUSED_MALFORMED,
     "from_slot is 9223372036854775808, not 0 to 9223372036854775807"},
    {HEAD "0c" FROM_P "94" BALLOT "00 00" NOOP, REFUSED_MALFORMED, "slot is 0"},
    {HEAD "0d" FROM_A "93" BALLOT "00 01", REFUSED_MALFORMED, "first is 0"},
    {HEAD "0d" FROM_A "93" BALLOT "03 02", REFUSED_MALFORMED, "slots 3 to 2 are no range"},
    {HEAD "0d" FROM_A "93" BALLOT "01 cd4001", REFUSED_MALFORMED, "slots 1 to 16385"},
    {HEAD "0e" FROM_A "94" BALLOT NONE "00 00", REFUSED_MALFORMED, "reason is 0, not 1 to 3"},
    {HEAD "0e" FROM_A "94" BALLOT NONE "04 00", REFUSED_MALFORMED, "reason is 4, not 1 to 3"},
    {HEAD "0e" FROM_A "94" NONE NONE "01 00", REFUSED_MALFORMED, "ballot is the empty ballot"},
    {HEAD "10" FROM_P "96" BALLOT "01 00 00 02 00", REFUSED_MALFORMED, "reaches_quorum is 2"},
    {HEAD "10" FROM_P "96" NONE "01 00 05 01 00", REFUSED_MALFORMED, "a standby asks for a lease"},
    {HEAD "11" FROM_A "99 01" NONE NONE "00 00 00 00 00 9294020001009402000100", REFUSED_MALFORMED,
     "proposers[1]: ids do not rise"},
    {HEAD "11" FROM_A "99 01" NONE NONE "00 00 00 00 00 9194000001 00", REFUSED_MALFORMED,
     "proposers[0]: proposer is 0"},
    {HEAD "11" FROM_A "99 01" NONE NONE "00 00 00 00 02 90", REFUSED_MALFORMED, "disk_low is 2"},
    {HEAD "13" FROM_P "93" BALLOT "00 01", REFUSED_MALFORMED, "target is 0"},
    {HEAD "13" FROM_P "93" BALLOT "01 00", REFUSED_MALFORMED, "source is 0"},
    {HEAD "14" FROM_L "92 00 00", REFUSED_MALFORMED, "from is 0"},
    {HEAD "29" FROM_P "94 05 00 00 00", REFUSED_MALFORMED, "reason is 5"},
    {HEAD "2c" FROM_C "96 01 00 00 00 00 00", REFUSED_MALFORMED, "from is 0"},
    {HEAD "2c" FROM_C "96 01 01 00 00 00 02", REFUSED_MALFORMED, "consistency is 2"},
    /* values */
    {HEAD "0c" FROM_P "94" BALLOT "01 00 c408 0100000000000003", REFUSED_MALFORMED,
     "value has 8 bytes, not 9 to"},
    {HEAD "0c" FROM_P "94" BALLOT "01 00 c409 0400000000000003e8", REFUSED_MALFORMED,
     "value is no well-formed value"},
    {HEAD "0c" FROM_P "94" BALLOT "01 00 c40a 0100000000000003e800", REFUSED_MALFORMED,
     "value is no well-formed value"},
    {HEAD "0c" FROM_P "94" BALLOT "01 00 c40a 0300000000000003e800", REFUSED_MALFORMED,
     "value is no well-formed value"},
    /* pages */
    {HEAD "0b" FROM_A "97" BALLOT "00 28 28 00 00 91" ENTRY("28"), REFUSED_MALFORMED,
     "entries[0]: slot 40 does not lie above 40"},
    {HEAD "0b" FROM_A "97" BALLOT "00 28 2a 00 00 92" ENTRY("2a") ENTRY("29"), REFUSED_MALFORMED,
     "entries[1]: slot 41 does not lie above 42"},
    {HEAD "0b" FROM_A "97" BALLOT "00 28 29 00 00 91" ENTRY("2a"), REFUSED_MALFORMED,
     "slot 42 lies above accepted_max 41"},
    {HEAD "0b" FROM_A "97" BALLOT "00 28 2a 2a 00 91" ENTRY("2a"), REFUSED_MALFORMED,
     "next_slot 42 would page backwards"},
    {HEAD "0b" FROM_A "97" BALLOT "00 00 01 00 00 91 93 01" NONE NOOP, REFUSED_MALFORMED,
     "entries[0]: ballot is the empty ballot"},
    {HEAD "15" FROM_A "94 05 09 00 92" ENTRY("05") ENTRY("07"), REFUSED_MALFORMED,
     "entries[1]: slot 7 is not 6"},
    {HEAD "15" FROM_A "94 05 09 00 91" ENTRY("06"), REFUSED_MALFORMED,
     "entries[0]: slot 6 is not 5"},
    {HEAD "15" FROM_A "94 05 04 00 91" ENTRY("05"), REFUSED_MALFORMED, "reach beyond chosen"},
    {HEAD "15" FROM_A "94 05 09 05 91" ENTRY("05"), REFUSED_MALFORMED, "or below trimmed"},
    {HEAD "15" FROM_A "94 05 09 0a 90", REFUSED_MALFORMED, "trimmed 10 lies above chosen 9"},
    /* clients */
    {HEAD "2b" FROM_L "93 03 01 91 94 01 00 00 00", REFUSED_MALFORMED,
     "ranges[0]: an empty range with status 0"},
    {HEAD "2b" FROM_L "93 03 01 91 94 01 01 05 00", REFUSED_MALFORMED, "ranges[0]: status is 5"},
    {HEAD "2b" FROM_L "93 03 01 91 94 01 ce00800001 00 00", REFUSED_MALFORMED,
     "ranges[0]: count is 8388609, not 0 to 8388608"},
    {HEAD "2d" FROM_L "97 01 01 05 05 01 05 91 c400", REFUSED_MALFORMED, "with status 1"},
    {HEAD "2d" FROM_L "97 01 00 05 05 01 04 91 c400", REFUSED_MALFORMED, "1 records from 4"},
    {HEAD "2d" FROM_L "97 01 00 05 05 01 05 92 c400 c400", REFUSED_MALFORMED, "2 records from 5"},
    {HEAD "2d" FROM_L "97 01 00 00 05 01 00 91 c400", REFUSED_MALFORMED, "1 records from 0"},
    {HEAD "2d" FROM_L "97 01 00 01 05 01 01 91 00", REFUSED_MALFORMED,
     "records[0]: record is no bytes"},
    {HEAD "2f" FROM_L "92 01 90", REFUSED_MALFORMED, "nodes has 0 elements, not 1 to 96"},
    {HEAD "2f" FROM_L "92 01 91 9e 9200 00" NODE_REST, REFUSED_MALFORMED,
     "nodes[0]: node is nobody"},
    {HEAD "2f" FROM_L "92 01 91 9e 9203 02" NODE_REST, REFUSED_MALFORMED,
     "nodes[0] is not the sender"},
};

/* Each rule of the envelope and of the bodies refuses what breaks it, and says which it was. */
static void test_what_breaks_a_rule_is_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct outcome o;
        decode_hex(&o, refusals[i].hex);
        if (o.rc == 0) {
            fail_msg("taken: %s", refusals[i].hex);
        }
        assert_refused(&o, refusals[i].refusal, refusals[i].part);
        forget(&o);
    }
}

/* The frames of the table above fail for the reason they name only: corrected, they are taken. */
static void test_the_same_frames_without_the_fault_are_taken(void **state)
{
    (void)state;
    static const char *const good[] = {
        HEAD "0a" FROM_P "92" BALLOT "00",
        HEAD "0b" FROM_A "97" BALLOT "00 28 2a 2b 00 92" ENTRY("29") ENTRY("2a"),
        HEAD "0c" FROM_P "94" BALLOT "01 00" NOOP,
        HEAD "0d" FROM_A "93" BALLOT "01 cd4000",
        HEAD "0e" FROM_A "94" BALLOT NONE "03 00",
        HEAD "10" FROM_P "96" NONE "01 00 00 01 00",
        HEAD "11" FROM_A "99 01" NONE NONE "00 00 00 00 01 9294010001009402000100",
        HEAD "15" FROM_A "94 05 06 04 92" ENTRY("05") ENTRY("06"),
        HEAD "2b" FROM_L "93 03 01 92 94 01 00 01 00 94 01 00 02 00",
        HEAD "2d" FROM_L "97 01 00 05 06 01 05 92 c400 c400",
        HEAD "2f" FROM_L "92 01 91 9e 9203 01" NODE_REST,
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct outcome o;
        decode_hex(&o, good[i]);
        if (o.rc != 0) {
            fail_msg("%s: %s", good[i], o.err.text);
        }
        forget(&o);
    }
}

/* A refusal finds its way: kind, sender, incarnation and echo are read even from a frame of another
 * version, and as far as they can be from a damaged one. */
static void test_the_sender_of_a_refused_frame_is_known(void **state)
{
    (void)state;
    struct outcome o;
    decode_hex(&o, "98 09 01 01 0a 9202 01 cf1122334455667788 05 a568656c6c6f");
    assert_refused(&o, REFUSED_VERSION, "version 9 ");
    assert_int_equal(o.msg.kind, MSG_PREPARE);
    assert_true(peer_equal(o.msg.from, (struct peer){ROLE_PROPOSER, 1}));
    assert_int_equal(o.msg.incarnation, 0x1122334455667788);
    assert_int_equal(o.msg.echo, 5);
    forget(&o);

    decode_hex(&o, HEAD "a0 9202 01 07 00 90");
    assert_refused(&o, REFUSED_MALFORMED, "but integers");
    assert_int_equal(o.msg.kind, 0);
    assert_true(peer_equal(o.msg.from, (struct peer){ROLE_PROPOSER, 1}));
    assert_int_equal(o.msg.incarnation, 7);
    forget(&o);

    decode_hex(&o, "c0");
    assert_refused(&o, REFUSED_MALFORMED, "0xc0");
    assert_int_equal(o.msg.from.role, ROLE_NONE);
    assert_int_equal(o.msg.incarnation, 0);
    forget(&o);
}

/* Who dialled another cluster is refused by a frame of that cluster, and must be able to read it. */
static void test_a_refusal_is_taken_from_another_cluster(void **state)
{
    (void)state;
    struct outcome o;
    decode_hex(&o, "98 01 02 01 03" FROM_A "92 02 a26e6f");
    assert_int_equal(o.rc, 0);
    assert_int_equal(o.msg.kind, MSG_REFUSED);
    assert_int_equal(o.msg.refused.reason, REFUSED_CLUSTER);
    assert_true(slice_equal(o.msg.refused.text, slice_borrow("no", 2)));
    forget(&o);
}

/* The configuration number is carried for later: any from 1 on is taken. */
static void test_any_configuration_number_is_taken(void **state)
{
    (void)state;
    struct outcome o;
    decode_hex(&o, "98 01 " CLUSTER " cfffffffffffffffff 0a" FROM_P "92" BALLOT "00");
    assert_int_equal(o.rc, 0);
    forget(&o);
}

/* ---- sizes */

static void assert_decodes(const struct message *msg, const char *part)
{
    struct blob *blob = encode_blob(msg);
    struct outcome o;
    decode_bytes(&o, blob->data, blob->size);
    if (part == NULL) {
        assert_int_equal(o.rc, 0);
        assert_true(wire_same(&o.msg, msg));
    } else {
        assert_refused(&o, REFUSED_MALFORMED, part);
    }
    forget(&o);
    blob_unref(blob);
}

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
    decode_bytes(o, grown, at + 5 + size);
    free(grown);
}

/* The largest record, block and text pass unchanged; one byte more is refused, with the limit. */
static void test_the_largest_passes_and_one_byte_more_does_not(void **state)
{
    (void)state;
    uint8_t *zeros = calloc(1, VALUE_BYTES_MAX + 1);
    assert_non_null(zeros);
    struct outcome o;

    struct message msg = sample("submit");
    msg.submit.block = slice_borrow(zeros, BLOCK_BYTES_MAX);
    assert_decodes(&msg, NULL);
    msg.submit.block.size++;
    assert_not_encoded(&msg);
    decode_with_bin(&o, HEAD "28" FROM_C "91", BLOCK_BYTES_MAX + 1);
    assert_refused(&o, REFUSED_MALFORMED, "block has 1114113 bytes, not 0 to 1114112");
    forget(&o);

    struct slice record = slice_borrow(zeros, RECORD_BYTES_MAX);
    msg = sample("records");
    msg.records.record_count = 1;
    msg.records.records = &record;
    assert_decodes(&msg, NULL);
    record.size++;
    assert_not_encoded(&msg);
    decode_with_bin(&o, HEAD "2d" FROM_L "97 01 00 01 01 01 01 91", RECORD_BYTES_MAX + 1);
    assert_refused(&o, REFUSED_MALFORMED, "record has 1048577 bytes, not 0 to 1048576");
    forget(&o);

    decode_with_bin(&o, HEAD "0c" FROM_P "94" BALLOT "01 00", VALUE_BYTES_MAX + 1);
    assert_refused(&o, REFUSED_MALFORMED, "value has 1377281 bytes, not 9 to 1377280");
    forget(&o);

    memset(zeros, 'x', TEXT_BYTES_MAX + 1);
    msg = sample("refused");
    msg.refused.text = slice_borrow(zeros, TEXT_BYTES_MAX);
    assert_decodes(&msg, NULL);
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
    struct message msg = sample("promise");
    for (size_t i = 0; i <= PAGE_ENTRIES_MAX; i++) {
        entries[i] =
            (struct slot_entry){POSITION_MAX - PAGE_ENTRIES_MAX + i, msg.promise.ballot, noop};
    }
    msg.promise.accepted_max = POSITION_MAX;
    msg.promise.entries = entries;
    msg.promise.entry_count = PAGE_ENTRIES_MAX;
    assert_decodes(&msg, NULL);
    msg.promise.entry_count++;
    assert_not_encoded(&msg);
    free(entries);

    uint8_t *zeros = calloc(1, RECORD_BYTES_MAX);
    assert_non_null(zeros);
    struct slice records[4];
    for (size_t i = 0; i < 4; i++) {
        records[i] = slice_borrow(zeros, RECORD_BYTES_MAX);
    }
    msg = sample("records");
    msg.records.records = records;
    msg.records.record_count = 3;
    assert_decodes(&msg, NULL);
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
    msg = sample("accept");
    msg.accept.slot = 0;
    assert_not_encoded(&msg);
    msg = sample("accept");
    msg.accept.value = SLICE_EMPTY;
    assert_not_encoded(&msg);
    msg = sample("nack");
    msg.nack.reason = 9;
    assert_not_encoded(&msg);
    struct result_range range = {1, 1, RESULT_FORGOTTEN + 1, 0};
    msg = sample("result");
    msg.result.range_count = 1;
    msg.result.ranges = &range;
    assert_not_encoded(&msg);
    msg = sample("status_reply");
    msg.status_reply.node_count = 0;
    assert_not_encoded(&msg);
}

/* The text of a refusal goes to logs and terminals: only UTF-8 without control characters passes. */
static void test_texts_are_utf8_without_control_characters(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        int is_good;
    } texts[] = {
        {"plain", 1},
        {"gr\xc3\xbc\xc3\x9f", 1},
        {"\xe2\x82\xac", 1},
        {"\xed\x9f\xbf", 1},
        {"\xf0\x9f\x90\x98", 1},
        {"\xf4\x8f\xbf\xbf", 1},
        {"\xc2\xa0", 1},
        {"two\nlines", 0},
        {"\x1b[31m", 0},
        {"\x7f", 0},
        {"\xc2\x9b", 0},         /* the other control characters */
        {"\x80", 0},             /* begins with a continuation */
        {"\xc3", 0},             /* cut off */
        {"\xc3z", 0},            /* no continuation */
        {"\xc0\xaf", 0},         /* overlong */
        {"\xe0\x80\xaf", 0},     /* overlong */
        {"\xf0\x80\x80\xaf", 0}, /* overlong */
        {"\xed\xa0\x80", 0},     /* surrogate */
        {"\xf4\x90\x80\x80", 0}, /* beyond Unicode */
        {"\xf5\x80\x80\x80", 0},
        {"\xff", 0},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct message msg = sample("refused");
        msg.refused.text = slice_borrow(texts[i].bytes, strlen(texts[i].bytes));
        assert_decodes(&msg, texts[i].is_good ? NULL : "text is not UTF-8");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_match_the_golden_vectors),
        cmocka_unit_test(test_values_match_the_golden_vectors),
        cmocka_unit_test(test_every_kind_has_a_layout_and_a_sample),
        cmocka_unit_test(test_slices_point_into_the_frame),
        cmocka_unit_test(test_no_prefix_and_no_tail_is_a_message),
        cmocka_unit_test(test_scan_takes_shortest_forms_only),
        cmocka_unit_test(test_scan_bounds_bytes_and_elements),
        cmocka_unit_test(test_what_breaks_a_rule_is_refused_by_name),
        cmocka_unit_test(test_the_same_frames_without_the_fault_are_taken),
        cmocka_unit_test(test_the_sender_of_a_refused_frame_is_known),
        cmocka_unit_test(test_a_refusal_is_taken_from_another_cluster),
        cmocka_unit_test(test_any_configuration_number_is_taken),
        cmocka_unit_test(test_the_largest_passes_and_one_byte_more_does_not),
        cmocka_unit_test(test_pages_are_bounded),
        cmocka_unit_test(test_the_encoder_refuses_what_the_decoder_would),
        cmocka_unit_test(test_texts_are_utf8_without_control_characters),
    };
    if (getenv("SYNOD_WRITE_VECTORS") != NULL) {
        write_vectors();
        printf("wrote %s and %s\n", VECTOR_MESSAGES, VECTOR_VALUES);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
