/* Settings of oracles: what is written is read back, every other byte string is refused with a
 * sentence, and there is one encoding of each; and what they say of who ranks above whom. */
#include "common/base/buffer.h"
#include "common/protocol/settings.h"
#include "tests/vectors/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Something of everything. */
static struct settings some_settings(void)
{
    struct settings settings;
    settings_init(&settings);
    settings.kind = ORACLE_FLOODMAX;
    settings.preempts = 1;
    memcpy(settings.zone, "eu-1.a_B", sizeof "eu-1.a_B");
    settings.diameter = 3;
    settings.candidate_count = 2;
    settings.candidates[0] = (struct candidate_settings){.id = 4, .priority = 10, .zone = "x"};
    settings.candidates[1] = (struct candidate_settings){.id = UINT32_MAX, .is_barred = 1};
    settings.order_count = 3;
    settings.order[0] = 9;
    settings.order[1] = 2;
    settings.order[2] = 5;
    settings.edge_count = 3;
    settings.edges[0] = (struct edge){1, 2};
    settings.edges[1] = (struct edge){1, 7};
    settings.edges[2] = (struct edge){2, 3};
    return settings;
}

/* As much of everything as there can be. */
static struct settings largest_settings(void)
{
    struct settings settings;
    settings_init(&settings);
    settings.kind = ORACLE_EXTERNAL;
    settings.diameter = MEMBERS_MAX - 1;
    memset(settings.zone, 'z', ZONE_BYTES_MAX - 1);
    for (node_id_t i = 0; i < MEMBERS_MAX; i++) {
        struct candidate_settings *candidate = &settings.candidates[settings.candidate_count++];
        *candidate = (struct candidate_settings){.id = i + 1, .priority = UINT32_MAX};
        memset(candidate->zone, 'a', ZONE_BYTES_MAX - 1);
        settings.order[settings.order_count++] = MEMBERS_MAX - i;
        for (node_id_t k = i + 1; k < MEMBERS_MAX; k++) {
            settings.edges[settings.edge_count++] = (struct edge){i + 1, k + 1};
        }
    }
    return settings;
}

static void assert_same(const struct settings *a, const struct settings *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->preempts, b->preempts);
    assert_string_equal(a->zone, b->zone);
    assert_int_equal(a->diameter, b->diameter);
    assert_int_equal(a->candidate_count, b->candidate_count);
    for (size_t i = 0; i < a->candidate_count; i++) {
        assert_int_equal(a->candidates[i].id, b->candidates[i].id);
        assert_int_equal(a->candidates[i].priority, b->candidates[i].priority);
        assert_int_equal(a->candidates[i].is_barred, b->candidates[i].is_barred);
        assert_string_equal(a->candidates[i].zone, b->candidates[i].zone);
    }
    assert_int_equal(a->order_count, b->order_count);
    assert_memory_equal(a->order, b->order, sizeof a->order);
    assert_int_equal(a->edge_count, b->edge_count);
    assert_memory_equal(a->edges, b->edges, sizeof a->edges);
}

/* Refused with a sentence that has this part, and *out is as it was. */
static void assert_refused(struct slice bytes, const char *part)
{
    struct settings out = {.version = 77, .order_count = 99};
    struct errmsg err = {""};
    assert_int_equal(settings_parse(bytes, &out, &err), ERROR_USAGE);
    if (strstr(err.text, part) == NULL || err.text[0] == '\0') {
        fail_msg("\"%s\" is not in \"%s\"", part, err.text);
    }
    assert_int_equal(out.version, 77);
    assert_int_equal(out.order_count, 99);
    assert_int_equal(settings_parse(bytes, &out, NULL), ERROR_USAGE); /* nobody has to listen */
}

/* ---- bytes */

static void assert_read_back(const struct settings *settings)
{
    uint8_t bytes[SETTINGS_BYTES_MAX];
    struct settings found;
    size_t size = settings_put(bytes, settings);
    struct errmsg err = {""};
    if (settings_parse(slice_borrow(bytes, size), &found, &err) != 0) {
        fail_msg("refused: %s", err.text);
    }
    assert_same(settings, &found);
    assert_int_equal(found.version, 0); /* is no part of the bytes */
}

/* From nothing to as much as there can be, and all kinds. */
static void test_read_back(void **state)
{
    (void)state;
    struct settings settings;
    settings_init(&settings);
    assert_int_equal(settings.kind, ORACLE_CONNECTED);
    settings.version = 5;
    uint8_t bytes[SETTINGS_BYTES_MAX];
    assert_int_equal(settings_put(bytes, &settings), 11);
    assert_memory_equal(bytes, "\1\0\0\0\0\0\0\0\0\0\0", 11);
    for (int kind = 1; kind < ORACLE_KIND_END; kind++) {
        settings.kind = (enum oracle_kind)kind;
        assert_read_back(&settings);
    }
    settings = some_settings();
    assert_read_back(&settings);
    settings = largest_settings();
    assert_int_equal(settings.edge_count, EDGES_MAX);
    assert_read_back(&settings);
}

/* The layout, byte by byte. */
static void test_bytes(void **state)
{
    (void)state;
    static const char hex[] = "04 01 08 65752d312e615f42 00000003"
                              "02 00000004 0000000a 00 01 78 ffffffff 00000000 01 00"
                              "03 00000009 00000002 00000005"
                              "0003 00000001 00000002 00000001 00000007 00000002 00000003";
    uint8_t *wanted = NULL;
    size_t size = 0;
    assert_int_equal(vectors_parse_hex(hex, hex + strlen(hex), &wanted, &size), 0);
    struct settings settings = some_settings();
    uint8_t bytes[SETTINGS_BYTES_MAX];
    assert_int_equal(settings_put(bytes, &settings), size);
    assert_memory_equal(bytes, wanted, size);
    free(wanted);
}

/* What is wrong with each. The head is kind, flags, zone, diameter. */
#define HEAD "01 00 00 00000000 "
static const struct {
    const char *hex;
    const char *part;
} refusals[] = {
    {"", "unknown kind 0"},
    {"00 00 00 00000000 00 00 0000", "unknown kind 0"},
    {"09 00 00 00000000 00 00 0000", "unknown kind 9"},
    {"01 02 00 00000000 00 00 0000", "malformed head"}, /* flags */
    {"01 ff 00 00000000 00 00 0000", "malformed head"},
    {"01 00 01 20 00000000 00 00 0000", "malformed head"},   /* a space */
    {"01 00 02 6100 00000000 00 00 0000", "malformed head"}, /* "a" with a zero */
    {"01 00 01 e4 00000000 00 00 0000", "malformed head"},
    {"01 00 20 6161616161616161 6161616161616161 6161616161616161 6161616161616161 00000000 00 00"
     "0000",
     "malformed head"},
    {"01 00 05 61616161", "malformed head"}, /* cut off in it */
    {"01 00 00 00000020 00 00 0000", "diameter of 32 is out of range (0 to 31)"},
    {"01 00 00 ffffffff 00 00 0000", "diameter of 4294967295"},
    {HEAD "01 00000000 00000000 00 00 00 0000", "candidates"}, /* nobody */
    {HEAD "02 00000002 00000000 00 00 00000002 00000000 00 00 00 0000", "candidates"},
    {HEAD "02 00000002 00000000 00 00 00000001 00000000 00 00 00 0000", "candidates"},
    {HEAD "01 00000001 00000000 02 00 00 0000", "candidates"},    /* flags */
    {HEAD "01 00000001 00000000 00 01 2f 00 0000", "candidates"}, /* "/" as a zone */
    {HEAD "01 00000001 000000", "candidates"},                    /* cut off */
    {HEAD "21", "candidates"},
    {HEAD "00 01 00000000 0000", "names nobody, or one twice"},
    {HEAD "00 02 00000003 00000003 0000", "names nobody, or one twice"},
    {HEAD "00 03 00000003 00000004 00000003 0000", "names nobody, or one twice"},
    {HEAD "00 02 00000003", "names nobody, or one twice"}, /* cut off */
    {HEAD "00 21", "names nobody, or one twice"},
    {HEAD "00 00 0001 00000000 00000001", "topology"},
    {HEAD "00 00 0001 00000002 00000002", "topology"},                   /* to itself */
    {HEAD "00 00 0001 00000002 00000001", "topology"},                   /* the other way */
    {HEAD "00 00 0002 00000001 00000002 00000001 00000002", "topology"}, /* twice */
    {HEAD "00 00 0002 00000001 00000003 00000001 00000002", "topology"}, /* falling */
    {HEAD "00 00 0002 00000002 00000003 00000001 00000004", "topology"},
    {HEAD "00 00 0001 00000001", "topology"}, /* cut off */
    {HEAD "00 00 01f1", "topology"},          /* 497 */
    {HEAD "00 00 00", "cut off"},
    {HEAD "00", "cut off"},
    {HEAD, "cut off"},
    {"01", "malformed head"},
    {HEAD "00 00 0000 00", "bytes after their end"},
};

/* Each fault is refused by name. */
static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        uint8_t *bytes = NULL;
        size_t size = 0;
        const char *hex = refusals[i].hex;
        assert_int_equal(vectors_parse_hex(hex, hex + strlen(hex), &bytes, &size), 0);
        assert_refused(slice_borrow(bytes, size), refusals[i].part);
        free(bytes);
    }
}

/* One more candidate, place in the order, or edge than there can be, although they are in order. */
static void test_one_too_many(void **state)
{
    (void)state;
    struct buffer bytes = {0};
    buffer_put(&bytes, slice_borrow("\1\0\0\0\0\0\0", 7));
    buffer_put_u8(&bytes, MEMBERS_MAX + 1);
    for (uint32_t i = 1; i <= MEMBERS_MAX + 1; i++) {
        buffer_put_u32(&bytes, i);
        buffer_put(&bytes, slice_borrow("\0\0\0\0\0\0", 6));
    }
    buffer_put(&bytes, slice_borrow("\0\0\0", 3));
    assert_refused(buffer_slice(&bytes), "candidates");

    bytes.size = 7;
    buffer_put_u8(&bytes, 0);
    buffer_put_u8(&bytes, MEMBERS_MAX + 1);
    for (uint32_t i = 1; i <= MEMBERS_MAX + 1; i++) {
        buffer_put_u32(&bytes, i);
    }
    buffer_put(&bytes, slice_borrow("\0\0", 2));
    assert_refused(buffer_slice(&bytes), "order");

    bytes.size = 7;
    buffer_put(&bytes, slice_borrow("\0\0", 2));
    uint32_t edges = (uint32_t)EDGES_MAX + 1;
    buffer_put_u8(&bytes, (uint8_t)(edges >> 8));
    buffer_put_u8(&bytes, (uint8_t)edges);
    for (uint32_t i = 1; i <= edges; i++) {
        buffer_put_u32(&bytes, i);
        buffer_put_u32(&bytes, i + 1);
    }
    assert_refused(buffer_slice(&bytes), "topology");
    buffer_close(&bytes);
}

/* No prefix of settings is settings, and nothing follows them. The bytes are of the exact size, so
 * that a sanitizer sees a read beyond them. */
static void test_no_prefix_and_no_tail(void **state)
{
    (void)state;
    struct settings settings = some_settings();
    uint8_t bytes[SETTINGS_BYTES_MAX];
    size_t size = settings_put(bytes, &settings);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *part = malloc(cut > 0 ? cut : 1); /* so that a sanitizer sees one byte more */
        assert_non_null(part);
        memcpy(part, bytes, cut);
        assert_refused(slice_borrow(part, cut), "");
        free(part);
    }
    bytes[size] = 0;
    assert_refused(slice_borrow(bytes, size + 1), "bytes after their end");
}

/* Whatever one byte becomes: it is refused, or it is the one encoding of what it says. */
static void test_one_encoding_only(void **state)
{
    (void)state;
    struct settings settings = some_settings();
    uint8_t bytes[SETTINGS_BYTES_MAX];
    size_t size = settings_put(bytes, &settings);
    size_t taken = 0;
    for (size_t at = 0; at < size; at++) {
        uint8_t before = bytes[at];
        for (unsigned byte = 0; byte < 256; byte++) {
            bytes[at] = (uint8_t)byte;
            struct settings found;
            uint8_t again[SETTINGS_BYTES_MAX];
            if (settings_parse(slice_borrow(bytes, size), &found, NULL) == 0) {
                assert_int_equal(settings_put(again, &found), size);
                assert_memory_equal(again, bytes, size);
                taken++;
            }
        }
        bytes[at] = before;
    }
    assert_in_range(taken, 1000, size * 192);
}

/* ---- names */

/* Each kind has a name of its own that leads back to it. */
static void test_kinds_have_names(void **state)
{
    (void)state;
    for (int kind = 1; kind < ORACLE_KIND_END; kind++) {
        enum oracle_kind found = ORACLE_KIND_END;
        const char *name = oracle_kind_name((enum oracle_kind)kind);
        assert_string_not_equal(name, "unknown");
        assert_int_equal(oracle_kind_parse(name, &found), 0);
        assert_int_equal(found, kind);
    }
    enum oracle_kind untouched = ORACLE_RING;
    static const char *const wrong[] = {"", "Ring", "ring ", "unknown", "chang-roberts"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(oracle_kind_parse(wrong[i], &untouched), ERROR_USAGE);
    }
    assert_int_equal(untouched, ORACLE_RING);
    assert_string_equal(oracle_kind_name((enum oracle_kind)0), "unknown");
    assert_string_equal(oracle_kind_name(ORACLE_KIND_END), "unknown");
}

static void test_zones(void **state)
{
    (void)state;
    static const char *const good[] = {"", "a", "eu-west-1.b", "A_9",
                                       "0123456789abcdef0123456789ABCDE"};
    static const char *const bad[] = {
        " ", "a b", "a/b", "a\n", "\xc3\xa4", "a:b", "0123456789abcdef0123456789abcdef"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(zone_is_valid(good[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(zone_is_valid(bad[i]));
    }
}

/* ---- what they say */

/* The preferred zone goes above every priority, the priority above the id; who is not named has
 * priority 0, no zone, and may lead. */
static void test_rank(void **state)
{
    (void)state;
    struct settings settings;
    settings_init(&settings);
    settings.candidate_count = 4;
    settings.candidates[0] = (struct candidate_settings){.id = 1, .priority = 5, .zone = "a"};
    settings.candidates[1] =
        (struct candidate_settings){.id = 2, .priority = UINT32_MAX, .zone = "ab"};
    settings.candidates[2] = (struct candidate_settings){.id = 3, .is_barred = 1, .zone = "a"};
    settings.candidates[3] = (struct candidate_settings){.id = 4, .priority = 5};
    assert_ptr_equal(settings_of(&settings, 3), &settings.candidates[2]);
    assert_null(settings_of(&settings, 9));
    assert_true(settings_bar(&settings, 3));
    assert_false(settings_bar(&settings, 2));
    assert_false(settings_bar(&settings, 9));
    assert_int_equal(settings_weight(&settings, 9), 0);
    assert_int_equal(settings_weight(&settings, 1), 5); /* no zone is preferred, not even "" */
    assert_int_equal(settings_weight(&settings, 4), 5);
    settings.zone[0] = 'a';
    assert_int_equal(settings_weight(&settings, 1), ((uint64_t)1 << 32) + 5);
    assert_int_equal(settings_weight(&settings, 2), UINT32_MAX);
    assert_int_equal(settings_weight(&settings, 3), (uint64_t)1 << 32);
    assert_int_equal(settings_weight(&settings, 4), 5);
    assert_int_equal(rank_compare(5, 1, 5, 4), -1);
    assert_int_equal(rank_compare(5, 4, 5, 1), 1);
    assert_int_equal(rank_compare(5, 4, 5, 4), 0);
    assert_int_equal(rank_compare((uint64_t)1 << 32, 1, UINT32_MAX, 9), 1);
    assert_int_equal(rank_compare(0, 9, 1, 1), -1);
}

/* Under `static` a place in the order goes above zone and priority, so that everything that goes by
 * ranks, preemption and Raft's elections included, goes by the order; under another oracle the
 * order says nothing. */
static void test_rank_by_order(void **state)
{
    (void)state;
    struct settings settings;
    settings_init(&settings);
    settings.zone[0] = 'a';
    settings.candidate_count = 2;
    settings.candidates[0] =
        (struct candidate_settings){.id = 1, .priority = UINT32_MAX, .zone = "a"};
    settings.candidates[1] = (struct candidate_settings){.id = 2, .priority = 5};
    settings.order_count = 2;
    settings.order[0] = 3; /* of which nothing else is said */
    settings.order[1] = 2;
    assert_true(settings_weight(&settings, 1) > settings_weight(&settings, 2));
    assert_int_equal(settings_weight(&settings, 3), 0); /* as everybody of whom nothing is said */
    settings.kind = ORACLE_STATIC;
    assert_true(settings_weight(&settings, 3) > settings_weight(&settings, 2));
    assert_true(settings_weight(&settings, 2) > settings_weight(&settings, 1));
    assert_true(settings_weight(&settings, 1) > settings_weight(&settings, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_back),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_one_too_many),
        cmocka_unit_test(test_no_prefix_and_no_tail),
        cmocka_unit_test(test_one_encoding_only),
        cmocka_unit_test(test_kinds_have_names),
        cmocka_unit_test(test_zones),
        cmocka_unit_test(test_rank),
        cmocka_unit_test(test_rank_by_order),
    };
    return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
