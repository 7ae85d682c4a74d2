/* common/PROTOCOL.md is true: its tables are the layout of the wire and of message.h, every example
 * in it is a golden vector, and the tests that it names are there. */
#include "common/wire/layout.h"
#include "tests/vectors/vectors.h"

#include <ctype.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DOCUMENT "common/PROTOCOL.md"
#define MESSAGE_HEADER "common/protocol/message.h"
#define SETTINGS_HEADER "common/protocol/settings.h" /* has one element, the place */
#define KIND_MAX 256

/* The elements of lists, and where they are used. */
static const struct {
    const char *name;
    enum message_kind kind;
    const char *field;
} elements[] = {
    {"slot_entry", MSG_PROMISE, "entries"},
    {"slot_entry", MSG_CHOSEN, "entries"},
    {"slot_entry", MSG_APPEND, "entries"},
    {"proposer_report", MSG_REPORT, "proposers"},
    {"result_range", MSG_RESULT, "ranges"},
    {"node_status", MSG_STATUS_REPLY, "nodes"},
    {"rumor", MSG_ORACLE, "rumors"},
    {"place", MSG_SETTINGS, "line"},
    {"explained_acceptor", MSG_EXPLANATION, "acceptors"},
    {"explained_link", MSG_EXPLANATION, "links"},
};

#define ELEMENT_COUNT (sizeof elements / sizeof elements[0])

static char *read_text(const char *path)
{
    char *text = vectors_read_file(path);
    if (text == NULL) {
        fail_msg("cannot read %s", path);
    }
    return text;
}

static const struct list_layout *list_of(enum message_kind kind, const char *name)
{
    const struct layout *layout = layout_of((uint64_t)kind);
    for (size_t k = 0; k < layout->field_count; k++) {
        if (strcmp(layout->fields[k].name, name) == 0) {
            return layout->fields[k].list;
        }
    }
    return NULL;
}

/* ---- tables */

static void describe_range(const struct field *field, uint64_t type_max, char *out, size_t size)
{
    if (field->min == 0 && field->max == type_max) {
        out[0] = '\0';
    } else if (field->max == POSITION_MAX) {
        snprintf(out, size, " %" PRIu64 "..P", field->min);
    } else if (field->max == type_max) {
        snprintf(out, size, " %" PRIu64 "..", field->min);
    } else {
        snprintf(out, size, " %" PRIu64 "..%" PRIu64, field->min, field->max);
    }
}

/* The cell "type" of a field's row. */
static void describe(const struct field *field, char *out, size_t size)
{
    static const char *const names[] = {
        [FIELD_U32] = "u32",       [FIELD_U64] = "u64",
        [FIELD_BALLOT] = "ballot", [FIELD_BALLOT_OR_NONE] = "ballot or none",
        [FIELD_MEMBER] = "member", [FIELD_MEMBER_OR_NONE] = "member or none",
        [FIELD_TEXT] = "text",     [FIELD_BIN] = "bin",
        [FIELD_VALUE] = "value",   [FIELD_LIST] = "list",
    };
    char range[48] = "";
    switch (field->type) {
    case FIELD_U32:
        describe_range(field, UINT32_MAX, range, sizeof range);
        break;
    case FIELD_BALLOT:
    case FIELD_BALLOT_OR_NONE:
    case FIELD_MEMBER:
    case FIELD_MEMBER_OR_NONE:
        break;
    default:
        describe_range(field, UINT64_MAX, range, sizeof range);
        break;
    }
    snprintf(out, size, "%s%s", names[field->type], range);
}

/* The rows behind the heading must be these fields in this order. */
static void assert_table(const char *document, const char *heading, const struct field *fields,
                         size_t count)
{
    const char *at = strstr(document, heading);
    if (at == NULL) {
        fail_msg("%s has no heading \"%s\"", DOCUMENT, heading + 1);
        return;
    }
    at = strstr(at, "\n|---");
    assert_non_null(at);
    at = strchr(at + 1, '\n');
    for (size_t k = 0; k < count; k++) {
        char type[96];
        char row[192];
        describe(&fields[k], type, sizeof type);
        snprintf(row, sizeof row, "\n| `%s` | %s | ", fields[k].name, type);
        if (at == NULL || strncmp(at, row, strlen(row)) != 0) {
            fail_msg("%s, \"%s\": wanted the row \"%s\", found \"%.60s\"", DOCUMENT, heading + 1,
                     row + 1, at != NULL ? at + 1 : "");
            return;
        }
        at = strchr(at + 1, '\n');
    }
    if (at != NULL && strncmp(at, "\n|", 2) == 0) {
        fail_msg("%s, \"%s\": one row too many", DOCUMENT, heading + 1);
    }
}

/* Each kind has a section with its number, its name and its fields as they are on the wire; so has
 * each element of a list. */
static void test_tables_of_fields_are_the_layout(void **state)
{
    (void)state;
    char *document = read_text(DOCUMENT);
    char heading[96];
    for (unsigned kind = 0; kind < KIND_MAX; kind++) {
        const struct layout *layout = layout_of(kind);
        if (layout != NULL) {
            snprintf(heading, sizeof heading, "\n### %u `%s`\n", kind, layout->name);
            assert_table(document, heading, layout->fields, layout->field_count);
        }
    }
    for (size_t i = 0; i < ELEMENT_COUNT; i++) {
        const struct list_layout *list = list_of(elements[i].kind, elements[i].field);
        assert_non_null(list);
        snprintf(heading, sizeof heading, "\n### element `%s`\n", elements[i].name);
        assert_table(document, heading, list->fields, list->field_count);
    }
    free(document);
}

/* The table of all messages has one row for each kind, in the order of their numbers. */
static void test_table_of_messages_is_complete(void **state)
{
    (void)state;
    char *document = read_text(DOCUMENT);
    const char *at = document;
    for (unsigned kind = 0; kind < KIND_MAX; kind++) {
        const struct layout *layout = layout_of(kind);
        if (layout == NULL) {
            continue;
        }
        char row[96];
        snprintf(row, sizeof row, "\n| %u | [`%s`](#%u-%s) | ", kind, layout->name, kind,
                 layout->name);
        at = strstr(at, row);
        if (at == NULL) {
            fail_msg("%s has no row \"%s\" at its place", DOCUMENT, row + 1);
        }
    }
    free(document);
}

/* ---- examples */

/* Every block that begins with "```hex NAME" spells the golden vector of that name, and every kind
 * has the example that bears its name. */
static void test_examples_are_golden_vectors(void **state)
{
    (void)state;
    struct vectors messages, values;
    assert_int_equal(vectors_load(VECTOR_MESSAGES, &messages), 0);
    assert_int_equal(vectors_load(VECTOR_VALUES, &values), 0);
    char *document = read_text(DOCUMENT);
    int is_shown[KIND_MAX] = {0};
    static const char fence[] = "\n```hex ";
    for (const char *at = document; (at = strstr(at, fence)) != NULL;) {
        char name[48];
        at += sizeof fence - 1;
        size_t length = strcspn(at, "\n");
        snprintf(name, sizeof name, "%.*s", (int)length, at);
        const char *hex = at + length;
        const char *end = strstr(hex, "\n```");
        assert_non_null(end);
        const struct vector *vector = vectors_find(&messages, name);
        vector = vector != NULL ? vector : vectors_find(&values, name);
        uint8_t *bytes = NULL;
        size_t size = 0;
        if (vector == NULL || vectors_parse_hex(hex, end, &bytes, &size) != 0 ||
            size != vector->size || memcmp(bytes, vector->bytes, size) != 0) {
            fail_msg("%s: the example \"%s\" is not its golden vector", DOCUMENT, name);
        }
        free(bytes);
        for (unsigned kind = 0; kind < KIND_MAX; kind++) {
            const struct layout *layout = layout_of(kind);
            is_shown[kind] |= layout != NULL && strcmp(layout->name, name) == 0;
        }
        at = end;
    }
    for (unsigned kind = 0; kind < KIND_MAX; kind++) {
        if (layout_of(kind) != NULL && !is_shown[kind]) {
            fail_msg("%s has no example of %s", DOCUMENT, layout_of(kind)->name);
        }
    }
    for (size_t i = 0; i < values.count; i++) {
        char opening[64];
        snprintf(opening, sizeof opening, "\n```hex %s\n", values.list[i].name);
        assert_non_null(strstr(document, opening));
    }
    free(document);
    vectors_close(&messages);
    vectors_close(&values);
}

/* Every file that the document names as a witness is there. */
static void test_named_tests_exist(void **state)
{
    (void)state;
    char *document = read_text(DOCUMENT);
    size_t count = 0;
    for (const char *at = document; (at = strstr(at, "`tests/")) != NULL; count++) {
        char path[160];
        at++;
        snprintf(path, sizeof path, "%.*s", (int)strcspn(at, "`"), at);
        if (access(path, R_OK) != 0) {
            fail_msg("%s names %s, which is not there", DOCUMENT, path);
        }
    }
    assert_true(count > 20);
    free(document);
}

/* ---- message.h */

/* Overwrites comments with spaces. */
static void blank_comments(char *text)
{
    for (char *at = text; (at = strstr(at, "/*")) != NULL;) {
        char *end = strstr(at, "*/");
        assert_non_null(end);
        memset(at, ' ', (size_t)(end + 2 - at));
    }
}

static int is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* The members of the struct must be these fields in this order, but for the counts of lists, which
 * a length on the wire implies. So a member that was added but not encoded is found. */
static void assert_members(const char *header, const char *struct_name, const struct field *fields,
                           size_t count)
{
    char opening[96];
    snprintf(opening, sizeof opening, "\nstruct %s {", struct_name);
    const char *at = strstr(header, opening);
    if (at == NULL) {
        fail_msg("the headers have no struct %s", struct_name);
        return;
    }
    at += strlen(opening);
    const char *close = strstr(at, "};");
    assert_non_null(close);
    size_t k = 0;
    for (const char *semicolon; (semicolon = strchr(at, ';')) != NULL && semicolon < close;) {
        const char *begin = semicolon;
        while (is_name(begin[-1])) {
            begin--;
        }
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)(semicolon - begin), begin);
        at = semicolon + 1;
        size_t length = strlen(name);
        if (length > 6 && strcmp(name + length - 6, "_count") == 0 && k < count &&
            fields[k].type == FIELD_LIST) {
            continue; /* of the list that follows */
        }
        if (k == count || strcmp(fields[k].name, name) != 0) {
            fail_msg("struct %s has %s, which layout.c has not at that place", struct_name, name);
        }
        k++;
    }
    assert_int_equal(k, count);
}

static char *read_header(const char *path)
{
    char *header = read_text(path);
    blank_comments(header);
    return header;
}

/* Every member of every message in message.h is on the wire, in that order. */
static void test_structs_of_messages_are_the_layout(void **state)
{
    (void)state;
    char *header = read_header(MESSAGE_HEADER);
    char *settings = read_header(SETTINGS_HEADER);
    char name[64];
    for (unsigned kind = 0; kind < KIND_MAX; kind++) {
        const struct layout *layout = layout_of(kind);
        if (layout != NULL) {
            snprintf(name, sizeof name, "msg_%s", layout->name);
            assert_members(header, name, layout->fields, layout->field_count);
        }
    }
    for (size_t i = 0; i < ELEMENT_COUNT; i++) {
        const struct list_layout *list = list_of(elements[i].kind, elements[i].field);
        assert_members(strcmp(elements[i].name, "place") == 0 ? settings : header, elements[i].name,
                       list->fields, list->field_count);
    }
    free(settings);
    free(header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables_of_fields_are_the_layout),
        cmocka_unit_test(test_table_of_messages_is_complete),
        cmocka_unit_test(test_examples_are_golden_vectors),
        cmocka_unit_test(test_named_tests_exist),
        cmocka_unit_test(test_structs_of_messages_are_the_layout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
