/* Standard streams that were closed: no file gets their numbers, and writing to them fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/runtime/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

/* What is wrong in a process that has those streams closed; 0: nothing. */
static int try_without(int is_closed[3])
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_closed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
