/* Records of a byte stream as `synod append` takes them: nothing added, nothing lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "deploy/input.h"

#include <stdio.h>

#define MAX 64

/* An input over a pipe; write_end gets the other end. */
static void open_pipe(struct input *in, char separator, int *write_end)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    input_init(in, fds[0], separator);
    *write_end = fds[1];
}

static void put(int fd, const char *bytes, size_t size)
{
    assert_int_equal(write(fd, bytes, size), size);
}

static void expect_record(struct input *in, const char *bytes, size_t size)
{
    const uint8_t *data = NULL;
    size_t got = 0;
    assert_int_equal(input_next(in, MAX, &data, &got), INPUT_RECORD);
    assert_int_equal(got, size);
    assert_memory_equal(data, bytes, size);
}

static void expect_result(struct input *in, enum input_result expected)
{
    const uint8_t *data = NULL;
    size_t size = 0;
    assert_int_equal(input_next(in, MAX, &data, &size), expected);
}

/* Proves: lines keep every byte but the newline, empty ones are records, and the last needs no
 * newline. */
static void test_lines(void **state)
{
    (void)state;
    struct input in;
    int fd;
    open_pipe(&in, '\n', &fd);
    put(fd, "one\n\n\0\xff\r\nlast", 13);
    close(fd);
    expect_result(&in, INPUT_NEEDS);
    assert_int_equal(input_fill(&in), 0);
    expect_record(&in, "one", 3);
    expect_record(&in, "", 0);
    expect_record(&in, "\0\xff\r", 3);
    expect_result(&in, INPUT_NEEDS);
    assert_int_equal(input_fill(&in), 0); /* the end */
    expect_record(&in, "last", 4);
    expect_result(&in, INPUT_END);
    assert_int_equal(in.record_count, 4);
    input_close(&in);
}

/* Proves: a newline at the very end adds no record, and no input at all has none. */
static void test_end(void **state)
{
    (void)state;
    struct input in;
    int fd;
    open_pipe(&in, '\n', &fd);
    put(fd, "x\n", 2);
    close(fd);
    assert_int_equal(input_fill(&in), 0);
    expect_record(&in, "x", 1);
    assert_int_equal(input_fill(&in), 0);
    expect_result(&in, INPUT_END);
    input_close(&in);
    open_pipe(&in, '\n', &fd);
    close(fd);
    assert_int_equal(input_fill(&in), 0);
    expect_result(&in, INPUT_END);
    input_close(&in);
}

/* Proves: a record that comes in pieces is given out when it is whole. */
static void test_pieces(void **state)
{
    (void)state;
    struct input in;
    int fd;
    open_pipe(&in, '\0', &fd);
    put(fd, "a\nb", 3);
    assert_int_equal(input_fill(&in), 0);
    expect_result(&in, INPUT_NEEDS);
    put(fd, "c\0d", 3);
    assert_int_equal(input_fill(&in), 0);
    expect_record(&in, "a\nbc", 4);
    expect_result(&in, INPUT_NEEDS);
    close(fd);
    assert_int_equal(input_fill(&in), 0);
    expect_record(&in, "d", 1);
    input_close(&in);
}

/* Proves: a record of the longest size passes; one byte more is refused, with its separator in
 * sight or not, and what came before has been given out. */
static void test_too_long(void **state)
{
    (void)state;
    char bytes[2 * MAX];
    memset(bytes, 'x', sizeof bytes);
    struct input in;
    int fd;
    open_pipe(&in, '\n', &fd);
    put(fd, bytes, MAX);
    put(fd, "\n", 1);
    put(fd, bytes, MAX + 1);
    assert_int_equal(input_fill(&in), 0);
    expect_record(&in, bytes, MAX);
    expect_result(&in, INPUT_TOO_LONG);
    assert_int_equal(in.record_count, 1);
    put(fd, "\n", 1);
    assert_int_equal(input_fill(&in), 0);
    expect_result(&in, INPUT_TOO_LONG);
    close(fd);
    input_close(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
