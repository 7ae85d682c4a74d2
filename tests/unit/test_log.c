/* Log lines: their form, the level, the rate limit, and values that need quotes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/runtime/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int saved_stderr = -1;
static FILE *captured;

static void capture(void)
{
    captured = tmpfile();
    assert_non_null(captured);
    saved_stderr = dup(STDERR_FILENO);
    dup2(fileno(captured), STDERR_FILENO);
}

/* What was written since capture; free it. */
static char *release(void)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    off_t size = lseek(fileno(captured), 0, SEEK_END);
    char *text = calloc(1, (size_t)size + 1);
    assert_int_equal(pread(fileno(captured), text, (size_t)size, 0), size);
    fclose(captured);
    return text;
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *p = strstr(text, part); p != NULL; p = strstr(p + 1, part)) {
        count++;
    }
    return count;
}

/* Proves: a line has time, level, role and id before its own pairs; the level holds lines back. */
static void test_form(void **state)
{
    (void)state;
    unsetenv("SYNOD_LOG");
    log_init((struct peer){ROLE_LEARNER, 3});
    capture();
    log_line(LOG_DEBUG, "event=hidden");
    log_line(LOG_INFO, "event=shown answer=%d", 42);
    char *text = release();
    assert_null(strstr(text, "hidden"));
    assert_int_equal(strncmp(text, "ts=2", 4), 0);
    assert_int_equal(strlen(strstr(text, "ts=")) > 30, 1);
    assert_int_equal(text[3 + 19], '.'); /* seconds, then milliseconds */
    assert_int_equal(text[3 + 23], 'Z');
    assert_non_null(strstr(text, "Z level=info role=learner id=3 event=shown answer=42\n"));
    free(text);

    setenv("SYNOD_LOG", "error", 1);
    log_init((struct peer){ROLE_LEARNER, 3});
    capture();
    log_line(LOG_WARN, "event=hidden");
    log_line(LOG_ERROR, "event=shown");
    text = release();
    assert_null(strstr(text, "hidden"));
    assert_non_null(strstr(text, "level=error"));
    free(text);
    unsetenv("SYNOD_LOG");
}

/* Proves: an event that repeats is cut at its limit while another one still gets through, and what
 * was left out is summed up in one line. */
static void test_rate_limit(void **state)
{
    (void)state;
    log_init((struct peer){ROLE_ACCEPTOR, 1});
    capture();
    for (int i = 0; i < 500; i++) {
        log_line(LOG_INFO, "event=flood n=%d", i);
    }
    log_line(LOG_INFO, "event=rare");
    char *text = release();
    assert_int_equal(count_of(text, "event=flood "), LOG_LINES_PER_SECOND_MAX);
    assert_int_equal(count_of(text, "event=rare"), 1);
    free(text);

    capture();
    for (int i = 0; i < 10000 && lseek(fileno(captured), 0, SEEK_END) == 0; i++) {
        log_tick(); /* says it when the second is over */
        usleep(1000);
    }
    text = release();
    assert_int_equal(count_of(text, "event=log_suppressed of=flood lines=480\n"), 1);
    assert_int_equal(count_of(text, "\n"), 1);
    free(text);
}

/* Proves: text of others cannot break out of its value or its line. */
static void test_quote(void **state)
{
    (void)state;
    struct log_value value;
    assert_string_equal(log_quote(&value, "plain text"), "\"plain text\"");
    assert_string_equal(log_quote(&value, "a \"b\" \\ c\nlevel=error"),
                        "\"a \\\"b\\\" \\\\ c?level=error\"");
    char *longer = calloc(1, 5001);
    memset(longer, '"', 5000);
    const char *cut = log_quote(&value, longer);
    assert_true(strlen(cut) < sizeof value.text);
    assert_int_equal(cut[strlen(cut) - 1], '"');
    free(longer);
}

/* Proves: the sentence of a process that ends is one line of its own, whatever it quotes. */
static void test_error(void **state)
{
    (void)state;
    capture();
    log_error("what %s (why); try: how", "it was");
    log_error("\"%s\" is none", "\x1b[2J\r\n\t\x7f");
    log_say("said of \"%s\"", "\a");
    char *text = release();
    assert_string_equal(text, "error: what it was (why); try: how\n"
                              "error: \"\\x1b[2J\\x0d\\x0a\\x09\\x7f\" is none\n"
                              "said of \"\\x07\"\n");
    free(text);
    char longer[5001];
    memset(longer, '\n', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    capture();
    log_error("%s", longer);
    text = release();
    assert_int_equal(count_of(text, "\n"), 1);
    assert_int_equal(text[strlen(text) - 1], '\n');
    free(text);
}

/* Proves: letters of every size stay; control characters of either set and what is no UTF-8 do not;
 * and nothing is written beyond the end, which cuts no character in two. */
static void test_printable(void **state)
{
    (void)state;
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"", ""},
        {"a \\ ~", "a \\ ~"},
        {"\x1f \x7f", "\\x1f \\x7f"},
        {"\xc3\xbc\xe6\xbc\xa2\xf0\x9f\x90\x9f", "\xc3\xbc\xe6\xbc\xa2\xf0\x9f\x90\x9f"},
        {"\xc2\x9b\xc2\xa0", "\\xc2\\x9b\xc2\xa0"},
        {"\x9b", "\\x9b"},
        {"\xe6\xbc", "\\xe6\\xbc"},
        {"\xe6\xbcz\xff", "\\xe6\\xbcz\\xff"},
    };
    char out[64];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(log_printable(out, sizeof out, cases[i].text), cases[i].shown);
    }
    for (size_t size = 1; size < 12; size++) {
        memset(out, '#', sizeof out);
        log_printable(out, size, "\xf0\x9f\x90\x9f\x1b\x1b");
        assert_true(strlen(out) < size && strlen(out) % 4 == 0);
        assert_int_equal(out[size], '#');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form),      cmocka_unit_test(test_rate_limit),
        cmocka_unit_test(test_quote),     cmocka_unit_test(test_error),
        cmocka_unit_test(test_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
