/* Settings of oracles and the line of successors: each change is made from the version that it
 * names and happens once, places come, stay and go in the order of the log, and a restart forgets
 * neither. */
#include "common/base/bytes.h"
#include "common/protocol/limits.h"
#include "common/protocol/settings.h"
#include "tests/unit/machine_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- settings */

/* A change from a version to settings of that kind. Borrowed until the next call. */
static struct slice change(uint64_t from, enum oracle_kind kind)
{
    static uint8_t bytes[8 + SETTINGS_BYTES_MAX];
    struct settings settings;
    settings_init(&settings);
    settings.kind = kind;
    bytes_put_u64(bytes, from);
    return slice_borrow(bytes, 8 + settings_put(bytes + 8, &settings));
}

static enum result_status set(struct machine_kit *kit, uint64_t from, enum oracle_kind kind)
{
    machine_kit_command(kit, COMMAND_SETTINGS, change(from, kind));
    assert_int_equal(kit->body.size, 0);
    return kit->status;
}

/* "2 ring", or "0". */
static const char *settings_now(const struct machine_kit *kit)
{
    static char text[64];
    const struct machine_oracle *oracle = machine_oracle(kit->machine);
    struct settings settings;
    if (oracle->settings.size == 0) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)oracle->version);
        return text;
    }
    assert_int_equal(settings_parse(oracle->settings, &settings, NULL), 0);
    snprintf(text, sizeof text, "%llu %s", (unsigned long long)oracle->version,
             oracle_kind_name(settings.kind));
    return text;
}

/* A change from the present version raises it by one; one from another version changes nothing, and
 * is told the present one. */
static void test_versions(void **state)
{
    struct machine_kit *kit = *state;
    assert_string_equal(settings_now(kit), "0");
    assert_int_equal(set(kit, 1, ORACLE_RING), RESULT_CHANGED);
    assert_int_equal(kit->value, 0);
    assert_string_equal(settings_now(kit), "0");
    assert_int_equal(set(kit, 0, ORACLE_RING), RESULT_OK);
    assert_int_equal(kit->value, 1);
    assert_int_equal(set(kit, 1, ORACLE_GOSSIP), RESULT_OK);
    assert_int_equal(kit->value, 2);
    uint64_t before = machine_oracle(kit->machine)->changes;
    assert_int_equal(set(kit, 1, ORACLE_STATIC), RESULT_CHANGED);
    assert_int_equal(kit->value, 2);
    assert_int_equal(set(kit, 3, ORACLE_STATIC), RESULT_CHANGED);
    assert_int_equal(machine_oracle(kit->machine)->changes, before);
    assert_string_equal(settings_now(kit), "2 gossip");
    assert_int_equal(machine_revision(kit->machine), 1); /* no affair of the keys */
}

/* The same command once more, even after other changes and a restart, is answered as it was and
 * does nothing. */
static void test_exactly_once(void **state)
{
    struct machine_kit *kit = *state;
    set(kit, 0, ORACLE_RING);
    machine_kit_repeat(kit, COMMAND_SETTINGS, change(0, ORACLE_RING));
    assert_int_equal(kit->status, RESULT_OK);
    assert_int_equal(kit->value, 1);
    assert_string_equal(settings_now(kit), "1 ring");
    set(kit, 0, ORACLE_LEASE); /* refused, and so is its retry, though by then it would be right */
    machine_kit_restart(kit);
    machine_kit_repeat(kit, COMMAND_SETTINGS, change(1, ORACLE_LEASE));
    assert_int_equal(kit->status, RESULT_CHANGED);
    assert_int_equal(kit->value, 1);
    assert_string_equal(settings_now(kit), "1 ring");
}

/* Two changes of one block: the second is made from the first, in the same slot. */
static void test_two_in_one_turn(void **state)
{
    struct machine_kit *kit = *state;
    kit->is_turn_open = 1;
    assert_int_equal(set(kit, 0, ORACLE_RING), RESULT_OK);
    assert_int_equal(set(kit, 0, ORACLE_LEASE), RESULT_CHANGED);
    assert_int_equal(set(kit, 1, ORACLE_LEASE), RESULT_OK);
    machine_kit_write(kit);
    machine_kit_restart(kit);
    assert_string_equal(settings_now(kit), "2 lease");
}

/* ---- the line */

struct entry {
    node_id_t proposer;
    uint64_t incarnation;
};

static void line(struct machine_kit *kit, uint64_t now_ms, const struct entry *entries,
                 size_t count)
{
    struct place places[MEMBERS_MAX];
    for (size_t i = 0; i < count; i++) {
        places[i] =
            (struct place){.proposer = entries[i].proposer, .incarnation = entries[i].incarnation};
    }
    struct blob *value = value_line(now_ms, places, count);
    kit->now_ms = now_ms;
    machine_kit_apply_value(kit, value);
}

static void line_of_one(struct machine_kit *kit, uint64_t now_ms, node_id_t proposer,
                        uint64_t incarnation)
{
    line(kit, now_ms, &(struct entry){proposer, incarnation}, 1);
}

/* "3.7@2<10100 1.5@4<10300": proposer, incarnation, since, expires. */
static const char *line_now(const struct machine_kit *kit)
{
    static char text[4096];
    const struct machine_oracle *oracle = machine_oracle(kit->machine);
    size_t size = 0;
    text[0] = '\0';
    for (size_t i = 0; i < oracle->line_count; i++) {
        const struct place *place = &oracle->line[i];
        size += (size_t)snprintf(
            text + size, sizeof text - size, "%s%u.%llu@%llu<%llu", i > 0 ? " " : "",
            place->proposer, (unsigned long long)place->incarnation,
            (unsigned long long)place->since, (unsigned long long)place->expires_ms);
    }
    return text;
}

/* Who registers goes to the end; who registers again keeps its place and lasts longer; another
 * incarnation goes to the end, once more in a later slot. The kit's session took slot 1. */
static void test_order_of_the_line(void **state)
{
    struct machine_kit *kit = *state;
    line(kit, 100, (const struct entry[]){{3, 7}, {1, 5}}, 2);
    assert_string_equal(line_now(kit), "3.7@2<10100 1.5@2<10100");
    line_of_one(kit, 200, 2, 6);
    line_of_one(kit, 300, 3, 7);
    assert_string_equal(line_now(kit), "3.7@2<10300 1.5@2<10100 2.6@3<10200");
    line_of_one(kit, 400, 3, 8);
    assert_string_equal(line_now(kit), "1.5@2<10100 2.6@3<10200 3.8@5<10400");
    line_of_one(kit, 400, 3, 7); /* the old one is another one, too */
    assert_string_equal(line_now(kit), "1.5@2<10100 2.6@3<10200 3.7@6<10400");
    line(kit, 500, (const struct entry[]){{9, 1}, {9, 2}, {9, 2}, {1, 5}}, 4);
    assert_string_equal(line_now(kit), "1.5@2<10500 2.6@3<10200 3.7@6<10400 9.2@7<10500");
}

/* A place lasts LINE_TTL_MS of cluster time. A line with a later stamp takes it out, before its own
 * entries are looked at; nothing else does. */
static void test_expiry(void **state)
{
    struct machine_kit *kit = *state;
    line_of_one(kit, 100, 1, 5);
    line_of_one(kit, 200, 2, 6);
    line_of_one(kit, 100 + LINE_TTL_MS, 2, 6); /* the last moment of 1 */
    assert_string_equal(line_now(kit), "1.5@2<10100 2.6@3<20100");
    machine_kit_tick(kit, 15000);
    assert_string_equal(line_now(kit), "1.5@2<10100 2.6@3<20100");
    line_of_one(kit, 15000, 1, 5); /* too late: it begins anew */
    assert_string_equal(line_now(kit), "2.6@3<20100 1.5@6<25000");
    line_of_one(kit, 90000, 4, 1);
    assert_string_equal(line_now(kit), "4.1@7<100000");
}

/* A stamp that lies behind the highest one does not turn time back. */
static void test_late_stamp(void **state)
{
    struct machine_kit *kit = *state;
    machine_kit_tick(kit, 20000);
    line_of_one(kit, 100, 1, 5);
    assert_string_equal(line_now(kit), "1.5@3<30000");
    line_of_one(kit, UINT64_MAX, 2, 5);
    assert_string_equal(line_now(kit), "2.5@4<18446744073709551615");
    line_of_one(kit, UINT64_MAX, 3, 5);
    assert_string_equal(line_now(kit), "2.5@4<18446744073709551615 3.5@5<18446744073709551615");
}

/* MEMBERS_MAX places: one more is not let in, as long as nobody goes; who stands in it is renewed,
 * and a new incarnation takes the place that its own old one leaves. */
static void test_full_line(void **state)
{
    struct machine_kit *kit = *state;
    struct entry entries[MEMBERS_MAX];
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        entries[i] = (struct entry){(node_id_t)(i + 1), 1};
    }
    line(kit, 100, entries, MEMBERS_MAX);
    const struct machine_oracle *oracle = machine_oracle(kit->machine);
    assert_int_equal(oracle->line_count, MEMBERS_MAX);
    line_of_one(kit, 200, 99, 1);
    assert_int_equal(oracle->line_count, MEMBERS_MAX);
    assert_int_equal(oracle->line[MEMBERS_MAX - 1].proposer, MEMBERS_MAX);
    line(kit, 300, (const struct entry[]){{1, 2}, {99, 1}}, 2);
    assert_int_equal(oracle->line_count, MEMBERS_MAX);
    assert_int_equal(oracle->line[0].proposer, 2);
    assert_int_equal(oracle->line[MEMBERS_MAX - 1].proposer, 1);
    machine_kit_restart(kit);
    oracle = machine_oracle(kit->machine);
    assert_int_equal(oracle->line_count, MEMBERS_MAX);
    line_of_one(kit, 101 + LINE_TTL_MS, 99, 1); /* all but 1 are gone */
    assert_string_equal(line_now(kit), "1.2@4<10300 99.1@5<20101");
}

/* ---- both */

/* What was there before a restart is there after it: settings, the line, and what becomes of them
 * next, by digest. */
static void test_restart(void **state)
{
    struct machine_kit *kit = *state;
    machine_kit_restart(kit);
    assert_string_equal(settings_now(kit), "0");
    assert_string_equal(line_now(kit), "");
    line(kit, 100, (const struct entry[]){{3, 7}, {1, 5}}, 2);
    machine_kit_restart(kit); /* a line alone */
    assert_string_equal(line_now(kit), "3.7@2<10100 1.5@2<10100");
    assert_string_equal(settings_now(kit), "0");
    set(kit, 0, ORACLE_SUCCESSION);
    machine_kit_restart(kit);
    assert_string_equal(line_now(kit), "3.7@2<10100 1.5@2<10100");
    assert_string_equal(settings_now(kit), "1 succession");
    assert_int_equal(machine_oracle(kit->machine)->changes, 0);
    assert_int_equal(set(kit, 1, ORACLE_RING), RESULT_OK);
    line_of_one(kit, 200, 1, 5);
    assert_string_equal(line_now(kit), "3.7@2<10100 1.5@2<10200");
}

/* Two machines with the same slots have the same digest wherever one of them restarts, and what
 * differs in either shows in it. */
static void test_digest(void **state)
{
    struct machine_kit *kit = *state;
    struct machine_kit other;
    machine_kit_open(&other);
    set(kit, 0, ORACLE_RING);
    set(&other, 0, ORACLE_RING);
    machine_kit_restart(&other);
    line_of_one(kit, 100, 1, 5);
    line_of_one(&other, 100, 1, 5);
    machine_kit_restart(&other);
    line_of_one(kit, 200, 2, 6);
    line_of_one(&other, 200, 2, 6);
    assert_int_equal(machine_digest(kit->machine), machine_digest(other.machine));

    /* As if its disk had lost the line: the same slot comes to another digest. */
    uint8_t bytes[] = {0, 0, 0, 0, 0, 0, 0, 0, 0};
    struct record record = {.key = (const uint8_t *)"o", .key_size = 1};
    record.body = slice_borrow(bytes, sizeof bytes);
    assert_int_equal(store_write(other.store, &record, 1, 0, NULL), 0);
    machine_kit_restart(&other);
    line_of_one(kit, 300, 2, 6);
    line_of_one(&other, 300, 2, 6);
    assert_int_not_equal(machine_digest(kit->machine), machine_digest(other.machine));
    machine_kit_close(&other);
}

/* What a machine says that finds this in its store. */
static int load_code(struct machine_kit *kit, const uint8_t *bytes, size_t size)
{
    struct record record = {.key = (const uint8_t *)"o", .key_size = 1};
    record.body = slice_borrow(bytes, size);
    assert_int_equal(store_write(kit->store, &record, 1, 0, NULL), 0);
    struct machine *machine = machine_new(&kit->reader);
    struct effects fx;
    effects_init(&fx);
    machine_load(machine, &fx);
    int code = fx.fatal;
    effects_close(&fx);
    machine_free(machine);
    return code;
}

/* A record that no machine writes is not taken for one: of another length, with places that cannot
 * be, or settings that are none. */
static void test_damaged_record(void **state)
{
    struct machine_kit *kit = *state;
    set(kit, 0, ORACLE_RING);
    line(kit, 100, (const struct entry[]){{3, 7}, {1, 5}}, 2);
    struct blob *blob;
    assert_int_equal(kit->reader.get(kit->reader.self, slice_borrow("o", 1), &blob), 0);
    static const struct {
        size_t at;
        uint8_t byte;
    } damages[] = {
        {7, 0},         /* version 0 has no settings */
        {8, 33},        /* more places than there can be */
        {12, 0},        /* proposer 0 */
        {12, 1},        /* the same as the second's */
        {20, 0},        /* incarnation 0 */
        {56, 4},        /* since a slot that is not applied */
        {56, 2},        /* since a slot before the first's */
        {9 + 2 * 28, 9} /* a kind of oracle that is none */
    };
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        uint8_t bytes[256];
        memcpy(bytes, blob->data, blob->size);
        assert_int_equal(load_code(kit, bytes, blob->size), 0);
        bytes[damages[i].at] = damages[i].byte;
        assert_int_equal(load_code(kit, bytes, blob->size), ERROR_CORRUPT);
    }
    for (size_t size = 0; size < blob->size + 2; size++) {
        uint8_t bytes[256] = {0};
        assert_true(blob->size < sizeof bytes - 2);
        memcpy(bytes, blob->data, size < blob->size ? size : blob->size);
        assert_int_equal(load_code(kit, bytes, size), size == blob->size ? 0 : ERROR_CORRUPT);
    }
    blob_unref(blob);
}

/* A query is told both, with what is left by the learner's own clock, which never is below 0; it
 * has no body. */
static void test_query(void **state)
{
    struct machine_kit *kit = *state;
    struct query_answer answer;
    machine_query(kit->machine, QUERY_SETTINGS, SLICE_EMPTY, 0, &answer, &kit->fx);
    assert_int_equal(answer.status, RESULT_OK);
    assert_int_equal(answer.revision, 1);
    static const uint8_t nothing[12] = {0};
    assert_true(slice_equal(answer.body, slice_borrow(nothing, sizeof nothing)));
    machine_query(kit->machine, QUERY_SETTINGS, slice_borrow("x", 1), 0, &answer, &kit->fx);
    assert_int_equal(answer.status, RESULT_MALFORMED);
    effects_clear(&kit->fx);

    set(kit, 0, ORACLE_RING);
    line_of_one(kit, 100, 1, 5);
    line_of_one(kit, 600, 2, 6);
    machine_query(kit->machine, QUERY_SETTINGS, SLICE_EMPTY, 9700, &answer, &kit->fx);
    struct reader reader = {answer.body, 0};
    assert_int_equal(reader_u64(&reader), 1);
    struct slice settings = reader_bytes(&reader, reader_u32(&reader));
    assert_true(slice_equal(settings, machine_oracle(kit->machine)->settings));
    assert_int_equal(reader_u32(&reader), 1);
    assert_int_equal(reader_u64(&reader), 5);
    assert_int_equal(reader_u64(&reader), 3);
    assert_int_equal(reader_u64(&reader), 0); /* 10,100 - 600 - 9,700 is below 0 */
    assert_int_equal(reader_u32(&reader), 2);
    assert_int_equal(reader_u64(&reader), 6);
    assert_int_equal(reader_u64(&reader), 4);
    assert_int_equal(reader_u64(&reader), 300);
    assert_false(reader.is_short);
    assert_int_equal(reader.rest.size, 0);
    effects_clear(&kit->fx);
}

#define ON_A_MACHINE(test)                                                                         \
    cmocka_unit_test_setup_teardown(test, machine_kit_setup, machine_kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_MACHINE(test_versions),        ON_A_MACHINE(test_exactly_once),
        ON_A_MACHINE(test_two_in_one_turn), ON_A_MACHINE(test_order_of_the_line),
        ON_A_MACHINE(test_expiry),          ON_A_MACHINE(test_late_stamp),
        ON_A_MACHINE(test_full_line),       ON_A_MACHINE(test_restart),
        ON_A_MACHINE(test_digest),          ON_A_MACHINE(test_damaged_record),
        ON_A_MACHINE(test_query),
    };
    return cmocka_run_group_tests_name("machine_oracle", tests, NULL, NULL);
}
