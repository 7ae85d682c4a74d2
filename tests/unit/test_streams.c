/* Standard streams that were closed: no file gets their numbers, and writing to them fails. Output
 * that did not reach its destination is a failure of the process, said in one sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/runtime/streams.h"
#include "tests/unit/say_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What is wrong in a process that has those streams closed; 0: nothing. */
static int try_without(const int is_closed[3])
{
    for (int fd = 0; fd < 3; fd++) {
        if (is_closed[fd]) {
            close(fd);
        }
    }
    streams_open();
    int file = open("/dev/null", O_WRONLY);
    int wrong = file < 3;
    for (int fd = 0; fd < 3; fd++) { /* the others are the test's own */
        wrong += is_closed[fd] && (write(fd, "x", 1) >= 0 || errno != EBADF);
    }
    return wrong;
}

static void test_closed(void **state)
{
    (void)state;
    for (int set = 0; set < 8; set++) {
        int status = -1;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            _exit(try_without((int[3]){set & 1, set & 2, set & 4}));
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
}

/* A process that prints into fd and would end with status: what it ends with instead, plus 100 if
 * it says something else than the words, or anything where there are none. */
static int finish_into(int fd, int status, int is_told, const char *words)
{
    signal(SIGPIPE, SIG_IGN);
    dup2(fd, STDOUT_FILENO);
    say_begin();
    int is_ok = printf("what was asked for\n") > 0;
    if (is_told) {
        is_ok = is_ok && fflush(stdout) == 0;
        streams_note(is_ok);
    }
    int end = streams_finish(status);
    const char *said = say_end();
    int is_right = words != NULL ? strstr(said, words) != NULL : said[0] == '\0';
    return end + (is_right ? 0 : 100);
}

static int try_finish(int fd, int status, int is_told, const char *words)
{
    int end = -1;
    fflush(stdout);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(finish_into(fd, status, is_told, words));
    }
    assert_int_equal(waitpid(pid, &end, 0), pid);
    assert_true(WIFEXITED(end));
    return WEXITSTATUS(end);
}

static void test_finish(void **state)
{
    (void)state;
    static const char full_words[] = "error: standard output cannot be written (No space left";
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int unread[2];
    assert_true(full >= 0 && null >= 0);
    assert_int_equal(pipe(unread), 0);
    close(unread[0]);
    for (int is_told = 0; is_told < 2; is_told++) {
        assert_int_equal(try_finish(full, 0, is_told, full_words), 1);
        assert_int_equal(try_finish(full, 4, is_told, full_words), 4);
        assert_int_equal(try_finish(null, 0, is_told, NULL), 0);
        assert_int_equal(try_finish(null, 4, is_told, NULL), 4);
        assert_int_equal(try_finish(unread[1], 0, is_told, NULL), 0);
    }
    close(full);
    close(null);
    close(unread[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_closed),
                                       cmocka_unit_test(test_finish)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
