/* What is typed after a verb: ranges of keys, durations, commands after --, names of verbs; and
 * base64, in which JSON carries other bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "deploy/base64.h"
#include "deploy/request.h"
#include "deploy/verbs.h"
#include "tests/unit/say_kit.h"

#include <stdio.h>

#define WORDS_MAX 12

/* Words at blanks; "''" is an empty one. Borrowed until the next call. */
static int words_of(const char *line, char **argv)
{
    static char text[256];
    int argc = 0;
    snprintf(text, sizeof text, "%s", line);
    for (char *rest = NULL, *word = strtok_r(text, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest)) {
        assert_true(argc < WORDS_MAX);
        argv[argc++] = strcmp(word, "''") == 0 ? word + 2 : word;
    }
    argv[argc] = NULL;
    return argc;
}

static int parse(const char *line, struct request_args *args)
{
    char *argv[WORDS_MAX + 1];
    struct common_options common = {0};
    int status = 0;
    int argc = words_of(line, argv);
    return request_parse(argc, argv, &common, args, &status) ? status : 0;
}

static void expect_bytes(struct synod_bytes got, const char *bytes, size_t size)
{
    assert_int_equal(got.size, size);
    assert_memory_equal(got.data, bytes, size);
}

static void expect_range(const char *line, const char *key, size_t key_size, const char *end,
                         size_t end_size)
{
    struct request_args args;
    assert_int_equal(parse(line, &args), 0);
    assert_int_equal(args.request.op, SYNOD_RANGE);
    expect_bytes(args.request.as.range.key, key, key_size);
    expect_bytes(args.request.as.range.end, end, end_size);
    assert_int_equal(args.is_one_key, end_size == 0);
}

static void refuse(const char *line, const char *words)
{
    struct request_args args;
    say_begin();
    int status = parse(line, &args);
    const char *said = say_end();
    if (status != 3 || strstr(said, words) == NULL) {
        fail_msg("%s ended with %d and said: %s", line, status, said);
    }
}

/* Proves: one key, an interval, a prefix, and everything from a key on are told apart. */
static void test_ranges(void **state)
{
    (void)state;
    expect_range("get a", "a", 1, "", 0);
    expect_range("get a c", "a", 1, "c", 1);
    expect_range("get --prefix ab", "ab", 2, "ac", 2);
    expect_range("get --prefix a\xff", "a\xff", 2, "b", 1);
    expect_range("get --prefix \xff\xff", "\xff\xff", 2, "\0", 1);
    expect_range("get '' --prefix", "\0", 1, "\0", 1);
    expect_range("get '' --from-key", "\0", 1, "\0", 1);
    expect_range("get a --from-key", "a", 1, "\0", 1);
    expect_range("range", "\0", 1, "\0", 1);
    expect_range("range a", "a", 1, "\0", 1);
    expect_range("range a c", "a", 1, "c", 1);
    expect_range("range --prefix a", "a", 1, "b", 1);
    expect_range("get -- -a", "-a", 2, "", 0);
}

/* Proves: contradictions and values that are none are refused by name. */
static void test_refusals(void **state)
{
    (void)state;
    refuse("get", "it needs a key");
    refuse("get a b c", "\"c\" is too much");
    refuse("get ''", "at least one byte");
    refuse("get a b --prefix", "exclude each other");
    refuse("get a --from-key --prefix", "exclude each other");
    refuse("get a ''", "END is empty");
    refuse("range a --from-key", "--from-key");
    refuse("get a --rev 0", "--rev");
    refuse("get a --rev -1", "--rev");
    refuse("get a --order up", "none of asc, desc");
    refuse("get a --sort-by lease", "none of key, version");
    refuse("get a --consistency soon", "linearizable or local");
    refuse("put a b --ignore-value", "exclude each other");
    refuse("put a b --lease 5 --ignore-lease", "exclude each other");
    refuse("put a --lease 0x5", "--lease");
    refuse("del a --limit 5", "unknown option");
    refuse("put a b --prefix", "unknown option");
}

/* Proves: a negative number is an argument like any other, or the value of an option, wherever it
 * stands; a word with another letter behind its dash is an option that there is not. */
static void test_negative_numbers(void **state)
{
    (void)state;
    struct request_args args;
    assert_int_equal(parse("put -1 -20.5 --lease 7", &args), 0);
    expect_bytes(args.request.as.put.key, "-1", 2);
    expect_bytes(args.request.as.put.value, "-20.5", 5);
    assert_int_equal(args.request.as.put.lease, 7);
    assert_int_equal(parse("put --prev-kv k --lease 7 -5s", &args), 0);
    expect_bytes(args.request.as.put.key, "k", 1);
    expect_bytes(args.request.as.put.value, "-5s", 3);
    assert_int_equal(args.request.as.put.previous, 1);
    assert_int_equal(parse("put -- -1 --lease", &args), 0);
    expect_bytes(args.request.as.put.key, "-1", 2);
    expect_bytes(args.request.as.put.value, "--lease", 7);
    refuse("get a -1 -2", "\"-2\" is too much");
    refuse("get --rev -1 a", "--rev: \"-1\" is not");
    refuse("get a --rev", "without its value: --rev");
    refuse("get a -x", "unknown option: -x");
    refuse("get -xy a", "unknown option: -x");
    refuse("get a --prefix -xy", "unknown option: -x");
    refuse("get a --prefix=b", "unknown option: --prefix=b");
    refuse("get a -5 --prefixes", "unknown option: --prefixes");
}

/* Proves: options of puts and deletes reach the request; sorting needs no --order. */
static void test_options(void **state)
{
    (void)state;
    struct request_args args;
    assert_int_equal(parse("put k v --lease 7 --prev-kv --sequential", &args), 0);
    assert_int_equal(args.request.as.put.lease, 7);
    assert_int_equal(args.request.as.put.previous, 1);
    assert_int_equal(args.request.as.put.sequential, 1);
    assert_int_equal(args.is_without_value, 0);
    assert_int_equal(parse("put k", &args), 0);
    assert_int_equal(args.is_without_value, 1);
    assert_int_equal(parse("put k --ignore-value --lease 3", &args), 0);
    assert_int_equal(args.is_without_value, 0);
    assert_int_equal(args.request.as.put.ignore_value, 1);
    assert_int_equal(parse("del k --prev-kv --prefix", &args), 0);
    assert_int_equal(args.request.as.del.previous, 1);
    assert_int_equal(parse("get a --prefix --sort-by version", &args), 0);
    assert_int_equal(args.request.as.range.order, SYNOD_ORDER_ASCEND);
    assert_int_equal(parse("get a --prefix --sort-by version --order desc", &args), 0);
    assert_int_equal(args.request.as.range.order, SYNOD_ORDER_DESCEND);
    assert_int_equal(parse("get a", &args), 0);
    assert_int_equal(args.request.as.range.order, SYNOD_ORDER_NONE);
}

/* Proves: durations have a unit, a lowest and a highest; only 0 goes without a unit. */
static void test_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"200ms", 200},  {"5s", 5000}, {"1.5s", 1500}, {"2m", 120000},
                {"1h", 3600000}, {"0", 0},     {"0ms", 0},     {"1d", 86400000}};
    static const char *const bad[] = {"",    "5",    "s",  "-5s",  "5x",
                                      "5 s", "1e3s", "2d", "0x5s", "+1s"};
    uint64_t ms = 1;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(options_time("lock", "--wait", good[i].text, 0, 86400000, &ms), 0);
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        say_begin();
        int status = options_time("lock", "--wait", bad[i], 0, 86400000, &ms);
        const char *said = say_end();
        if (status != 3 || strstr(said, "--wait") == NULL) {
            fail_msg("\"%s\" ended with %d and said: %s", bad[i], status, said);
        }
    }
    say_begin();
    assert_int_equal(options_time("lock", "--ttl", "0", 1, 1000, &ms), 3);
    assert_int_equal(options_time("lock", "--ttl", "999ms", 1000, 2000, &ms), 3);
    say_end();
}

/* Proves: a command is what stands behind the first --, with its own options and dashes. */
static void test_commands(void **state)
{
    (void)state;
    char *argv[WORDS_MAX + 1];
    int argc = words_of("lock x --ttl 5s -- cmd -a -- b", argv);
    char **command = options_cut_command(&argc, argv);
    assert_int_equal(argc, 4);
    assert_null(argv[4]);
    assert_string_equal(command[0], "cmd");
    assert_string_equal(command[2], "--");
    assert_string_equal(command[3], "b");
    argc = words_of("lock x", argv);
    command = options_cut_command(&argc, argv);
    assert_null(command);
    assert_int_equal(argc, 2);
    assert_int_equal(options_check_command("lock", command), 0);
    argc = words_of("lock x --", argv);
    command = options_cut_command(&argc, argv);
    assert_int_equal(argc, 2);
    say_begin();
    assert_int_equal(options_check_command("lock", command), 3);
    assert_non_null(strstr(say_end(), "follows --"));
}

static int dispatch(const char *line, const char **said)
{
    char *argv[WORDS_MAX + 1];
    int argc = words_of(line, argv);
    say_begin();
    int status = verb_dispatch(argc, argv);
    *said = say_end();
    return status;
}

/* Proves: sub-verbs are found by their verb, and what is misspelt is answered with the nearest. */
static void test_verbs(void **state)
{
    (void)state;
    const char *said = NULL;
    assert_non_null(verb_find("put"));
    assert_string_equal(verb_find("lease grant")->name, "lease grant");
    assert_null(verb_find("grant"));
    assert_null(verb_find("lease gran"));
    assert_null(verb_find("put grant"));
    assert_string_equal(verb_nearest(NULL, "gett"), "get");
    assert_string_equal(verb_nearest(verb_find("queue"), "psh"), "push");
    assert_null(verb_nearest(verb_find("queue"), "xyzzyx"));
    assert_int_equal(dispatch("lease", &said), 3);
    assert_non_null(strstr(said, "lease needs one of grant, revoke, keepalive, ttl, list; try: "));
    assert_int_equal(dispatch("lease grnt 5s", &said), 3);
    assert_non_null(strstr(said, "did you mean grant?); try: synod lease grant --help"));
    assert_int_equal(dispatch("wrok claim x", &said), 3);
    assert_non_null(strstr(said, "did you mean work?"));
    assert_int_equal(dispatch("lease grant", &said), 3);
    assert_non_null(strstr(said, "try: synod lease grant --help"));
}

/* Proves: base64 goes there and back for every length, and nothing else is taken for it. */
static void test_base64(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "a", "ab", "abc", "ab=c", "a===", "====", "YQ==YQ==", "YR==", "YWF=", "YW\nF", "Y*=="};
    uint8_t bytes[32];
    uint8_t back[48];
    size_t size = 0;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 37 + 200);
    }
    for (size_t n = 0; n <= sizeof bytes; n++) {
        char *text = base64_encode(bytes, n);
        assert_non_null(text);
        assert_int_equal(base64_decode(text, back, &size), 1);
        assert_int_equal(size, n);
        assert_memory_equal(back, bytes, n);
        free(text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (base64_decode(bad[i], back, &size)) {
            fail_msg("\"%s\" was taken for base64", bad[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_negative_numbers),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_verbs),
        cmocka_unit_test(test_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
