/* What ends a call, or a handle, before its time: signals, forks, closing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/client_kit.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- signals */

static void on_alarm(int number)
{
    (void)number;
}

/* Appends after which a timer of a millisecond must have interrupted one. */
#define APPENDS_MAX 20000

static void alarm_every(int us)
{
    const struct sigaction action = {.sa_handler = on_alarm};
    const struct itimerval timer = {{0, us}, {0, us}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

static int rest(void **state)
{
    alarm_every(0);
    return clean_up(state);
}

/* Proves: appends that signals interrupt, and that are made again until they are answered, enter
 * the log once each, and each call gets the index of its own record; so do two equal ones in a row.
 * */
static void test_append_again(void **state)
{
    (void)state;
    struct synod *s = start(1, 2);
    int interrupted = 0;
    int count = 0;
    uint64_t last = 0;
    alarm_every(1000);
    for (int i = 0; i < 50 || (interrupted == 0 && i < APPENDS_MAX); i++, count++) {
        char text[8];
        uint64_t index = 0;
        int size = snprintf(text, sizeof text, "%d", i / 2);
        int rc;
        while ((rc = synod_append(s, text, (size_t)size, &index)) == SYNOD_E_INTERRUPTED) {
            assert_non_null(strstr(synod_error(s), "signal"));
            interrupted++;
        }
        assert_ok(s, rc);
        assert_int_equal(index, last + 1);
        assert_true(fake_holds(&fake, index, text));
        last = index;
    }
    alarm_every(0);
    assert_int_equal(fake_last(&fake), count);
    assert_true(interrupted > 0);
    stop(s);
}

/* Interrupts a call that cannot be answered while the script holds submits back. */
static int append_interrupted(struct synod *s, const char *text)
{
    alarm_every(5000);
    int rc = synod_append(s, text, strlen(text), NULL);
    alarm_every(0);
    return rc;
}

/* Proves: interrupted calls are told apart by their arguments, and other calls may be made in
 * between; one that is given up is a new one when it is made again, and happens twice. */
static void test_told_apart(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    uint64_t index[3] = {0};
    assert_ok(s, synod_append(s, "first", 5, NULL));
    SCRIPT(is_submit_ignored, 1);
    assert_int_equal(append_interrupted(s, "a"), SYNOD_E_INTERRUPTED);
    assert_int_equal(append_interrupted(s, "b"), SYNOD_E_INTERRUPTED);
    assert_int_equal(append_interrupted(s, "a"), SYNOD_E_INTERRUPTED);
    SCRIPT(is_submit_ignored, 0);
    assert_ok(s, synod_append(s, "c", 1, &index[2]));
    assert_ok(s, synod_append(s, "b", 1, &index[1]));
    assert_ok(s, synod_append(s, "a", 1, &index[0]));
    assert_int_equal(index[0], 2);
    assert_int_equal(index[1], 3);
    assert_int_equal(index[2], 4);
    assert_ok(s, synod_append(s, "a", 1, &index[0]));
    assert_int_equal(index[0], 5);
    SCRIPT(is_submit_ignored, 1);
    assert_int_equal(append_interrupted(s, "d"), SYNOD_E_INTERRUPTED);
    assert_int_equal(synod_cancel(s, 0), SYNOD_OK);
    SCRIPT(is_submit_ignored, 0);
    assert_ok(s, synod_append(s, "d", 1, &index[0]));
    assert_int_equal(index[0], 7);
    assert_true(fake_holds(&fake, 6, "d"));
    stop(s);
}

/* Proves: the deadline of a call that is made again is that of the first one. */
static void test_deadline(void **state)
{
    (void)state;
    fake_start(&fake, 1, 1);
    struct synod *s = open_client((struct synod_options){.timeout_ms = 300});
    assert_ok(s, synod_append(s, "first", 5, NULL));
    SCRIPT(is_submit_ignored, 1);
    int64_t before = now_ms();
    int interrupted = 0;
    int rc;
    alarm_every(20000);
    while ((rc = synod_append(s, "x", 1, NULL)) == SYNOD_E_INTERRUPTED) {
        interrupted++;
    }
    alarm_every(0);
    assert_refused(s, rc, SYNOD_E_UNAVAILABLE, "no answer in time");
    assert_true(interrupted > 3);
    assert_true(now_ms() - before < 5000);
    SCRIPT(is_submit_ignored, 0);
    stop(s);
}

/* Proves: requests, compactions and lease calls that signals interrupt are done once, too; what
 * only reads begins anew, and sees what has changed since. */
static void test_others_again(void **state)
{
    (void)state;
    struct synod *s = start(1, 2);
    uint64_t revision = 0, before = 0, lease = 0;
    int rc;
    alarm_every(1000);
    for (int i = 0; i < 20; i++) {
        while ((rc = synod_put(s, synod_text("k"), synod_text("v"), 0, &revision)) ==
               SYNOD_E_INTERRUPTED) {
        }
        assert_ok(s, rc);
        assert_true(before == 0 || revision == before + 1);
        before = revision;
        while ((rc = synod_lease_grant(s, 0, 60000, 1, &lease)) == SYNOD_E_INTERRUPTED) {
        }
        assert_ok(s, rc);
        while ((rc = synod_lease_keep(s, lease, NULL, NULL)) == SYNOD_E_INTERRUPTED) {
        }
        assert_ok(s, rc);
        while ((rc = synod_lease_revoke(s, lease)) == SYNOD_E_INTERRUPTED) {
        }
        assert_ok(s, rc);
    }
    while ((rc = synod_compact(s, revision)) == SYNOD_E_INTERRUPTED) {
    }
    alarm_every(0);
    assert_ok(s, rc);
    SCRIPT(drop_query_count, 1);
    alarm_every(5000);
    rc = synod_get(s, synod_text("k"), NULL);
    alarm_every(0);
    assert_int_equal(rc, SYNOD_E_INTERRUPTED);
    fake_put(&fake, "k", "new");
    struct synod_result *result = NULL;
    assert_ok(s, synod_get(s, synod_text("k"), &result));
    assert_true(is_text(result->response.kvs[0].value, "new"));
    synod_result_free(result);
    stop(s);
}

/* ---- forks */

static void count_end(void *arg, int code, uint64_t number)
{
    (void)code;
    (void)number;
    ++*(int *)arg;
}

/* 0, or the number of the first thing that is wrong. */
static int use_in_child(struct synod *s)
{
    int calls = 0;
    uint64_t number = 0;
    const struct synod_request get = {.op = SYNOD_RANGE, .as.range = {.key = synod_text("a")}};
    const struct synod_watch_options options = {.key = synod_text("a"), .revision = 1};
    struct synod_watch *watch = NULL;
    const int codes[] = {
        synod_append(s, "x", 1, NULL),
        synod_append_async(s, "x", 1, 0, count_end, &calls),
        synod_poll(s, 1000),
        synod_request(s, &get, SYNOD_LINEARIZABLE, NULL),
        synod_query_async(s, &get, SYNOD_LINEARIZABLE, 0, NULL, NULL, NULL),
        synod_range_async(s, &get.as.range, SYNOD_LINEARIZABLE, 0, NULL, NULL, NULL),
        synod_read(s, 1, 1, SYNOD_LOCAL, NULL, NULL, NULL),
        synod_read_async(s, 1, 1, SYNOD_LOCAL, NULL, NULL, NULL, NULL),
        synod_watch_start(s, &options, NULL, NULL, &watch),
        synod_lease_grant(s, 0, 1000, 0, NULL),
        synod_lease_grant_async(s, 0, 1000, 0, 0, NULL, NULL, NULL),
        synod_session(s, &number),
        synod_cancel(s, 0),
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i] != SYNOD_E_USAGE) {
            return (int)i + 1;
        }
    }
    if (synod_fd(s) != -1 || strstr(synod_error(s), "fork") == NULL) {
        return 50;
    }
    return synod_close(s) == SYNOD_E_USAGE && calls == 0 ? 0 : 51;
}

/* Proves: in the child of a fork every call answers at once that it may not be made, closing too,
 * and nobody is called back; the parent's handle goes on, and a child's own works. */
static void test_fork(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    int calls = 0;
    assert_ok(s, synod_append(s, "0", 1, NULL));
    SCRIPT(is_submit_ignored, 1);
    assert_ok(s, synod_append_async(s, "1", 1, 0, count_end, &calls));
    assert_ok(s, synod_poll(s, 0));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int64_t before = now_ms();
        int wrong = use_in_child(s);
        struct synod *own = NULL;
        const struct synod_options options = {.cluster = fake.path};
        if (wrong == 0 &&
            (synod_open(&options, &own, NULL) != SYNOD_OK ||
             synod_get(own, synod_text("a"), NULL) != SYNOD_OK || synod_close(own) != SYNOD_OK)) {
            wrong = 52;
        }
        _exit(wrong != 0 ? wrong : now_ms() - before < 5000 ? 0 : 53);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    SCRIPT(is_submit_ignored, 0);
    poll_for(s, &calls);
    assert_ok(s, synod_append(s, "2", 1, NULL));
    stop(s);
}

static void fork_once(void *arg, int code, uint64_t number)
{
    (void)code;
    (void)number;
    *(pid_t *)arg = fork();
    if (*(pid_t *)arg == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(5); /* a child that goes on would wait for ever */
    }
}

static int poll_until_forked(struct synod *s, const pid_t *child)
{
    int rc = SYNOD_OK;
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (*child == -1 && rc == SYNOD_OK && now_ms() < deadline) {
        rc = synod_poll(s, 1000);
    }
    return rc;
}

/* Proves: a callback may fork. In the child the call that it returns into answers at once that it
 * may not be made, and in the parent that call goes on. */
static void test_fork_in_callback(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    assert_ok(s, synod_append(s, "0", 1, NULL));
    for (int is_poll = 0; is_poll < 2; is_poll++) {
        pid_t child = -1;
        int status = -1;
        assert_ok(s, synod_append_async(s, "1", 1, 0, fork_once, &child));
        int rc = is_poll ? poll_until_forked(s, &child) : synod_append(s, "2", 1, NULL);
        if (child == 0) {
            _exit(rc == SYNOD_E_USAGE && strstr(synod_error(s), "fork") != NULL ? 0 : 1);
        }
        assert_true(child > 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_ok(s, rc);
    }
    assert_int_equal(fake_last(&fake), 4);
    assert_ok(s, synod_append(s, "3", 1, NULL));
    stop(s);
}

/* ---- programs that wait by themselves */

static int is_readable(int fd, int timeout_ms)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    return poll(&pollfd, 1, timeout_ms);
}

/* Proves: the descriptor knows what a call that waited has made due: it wakes the program for the
 * keepalives of a lock, which is kept though nothing else happens. */
static void test_descriptor_after_call(void **state)
{
    (void)state;
    fake_start(&fake, 1, 1);
    struct synod *s = open_client((struct synod_options){.session_ttl_ms = 900});
    struct synod_lock *lock = NULL;
    int fd = synod_fd(s);
    assert_true(fd >= 0);
    while (is_readable(fd, 100) == 1) { /* connecting */
        assert_ok(s, synod_poll(s, 0));
    }
    assert_ok(s, synod_lock(s, "job", 0, &lock));
    int64_t began = now_ms();
    for (int64_t now = began, before; now - began < 2000;) {
        assert_int_equal(is_readable(fd, 600), 1);
        assert_ok(s, synod_poll(s, 0));
        before = now;
        now = now_ms();
        fake_advance(&fake, (uint64_t)(now - before));
    }
    assert_true(synod_lock_is_held(lock));
    assert_int_equal(fake_count(&fake, "synod/lock/job/"), 1);
    assert_int_equal(synod_unlock(lock), SYNOD_OK);
    stop(s);
}

static void count_result(void *arg, int code, const struct synod_result *result)
{
    (void)result;
    assert_int_equal(code, SYNOD_OK);
    ++*(int *)arg;
}

static size_t queries(void)
{
    fake_lock(&fake);
    size_t count = fake.nodes[1].query_count + fake.nodes[2].query_count;
    fake_unlock(&fake);
    return count;
}

/* Proves: a program that polls less often than a learner may be silent gets its answer, which has
 * been waiting in the socket, before that learner is called silent: nobody is asked again. */
static void test_polled_rarely(void **state)
{
    (void)state;
    struct synod *s = start(1, 2);
    const struct synod_request get = {.op = SYNOD_RANGE, .as.range = {.key = synod_text("a")}};
    int told = 0;
    assert_ok(s, synod_get(s, synod_text("a"), NULL));
    size_t asked = queries();
    assert_ok(s, synod_query_async(s, &get, SYNOD_LINEARIZABLE, 0, count_result, &told, NULL));
    fake_lock(&fake); /* no answer within the turn that asks */
    assert_ok(s, synod_poll(s, 0));
    fake_unlock(&fake);
    assert_int_equal(told, 0);
    for (int i = 0; i < 2; i++) {
        usleep(1200 * 1000);
        assert_ok(s, synod_poll(s, 0));
    }
    assert_int_equal(told, 1);
    assert_int_equal(queries(), asked + 1);
    stop(s);
}

/* ---- closing */

struct ends {
    int lease, query, page, read, watch;
    struct synod *s;
};

static void interrupted(struct ends *e, int *count, int code)
{
    assert_int_equal(code, SYNOD_E_INTERRUPTED);
    assert_non_null(strstr(synod_error(e->s), "closed"));
    ++*count;
    assert_int_equal(synod_append_async(e->s, "x", 1, 0, NULL, NULL), SYNOD_E_USAGE);
    assert_int_equal(synod_append(e->s, "x", 1, NULL), SYNOD_E_USAGE);
}

static void end_lease(void *arg, int code, uint64_t number)
{
    struct ends *e = arg;
    assert_int_equal(number, 0);
    interrupted(e, &e->lease, code);
}

static void end_query(void *arg, int code, const struct synod_result *result)
{
    struct ends *e = arg;
    assert_null(result);
    interrupted(e, &e->query, code);
}

static int end_page(void *arg, int code, const struct synod_page *page)
{
    struct ends *e = arg;
    assert_null(page);
    interrupted(e, &e->page, code);
    return 0;
}

static int no_record(void *arg, uint64_t index, const void *data, size_t size)
{
    (void)arg;
    (void)index;
    (void)data;
    (void)size;
    return 0;
}

static void end_read(void *arg, int code, const struct synod_log *log)
{
    struct ends *e = arg;
    (void)log;
    interrupted(e, &e->read, code);
}

static void end_watch(void *arg, int code, const struct synod_events *events)
{
    (void)code;
    (void)events;
    ((struct ends *)arg)->watch++;
}

/* Proves: closing tells whoever waits for an answer, once, and nobody else; it frees watches and
 * interrupted calls. */
static void test_close(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct ends e = {.s = s};
    struct synod_watch *watch = NULL;
    const struct synod_watch_options options = {.key = synod_text("a"), .revision = 1};
    const struct synod_request get = {.op = SYNOD_RANGE, .as.range = {.key = synod_text("a")}};
    assert_ok(s, synod_append(s, "0", 1, NULL));
    SCRIPT(drop_query_count, 1000);
    SCRIPT(is_submit_ignored, 1);
    assert_int_equal(append_interrupted(s, "1"), SYNOD_E_INTERRUPTED);
    assert_ok(s, synod_lease_grant_async(s, 0, 1000, 0, 0, end_lease, &e, NULL));
    assert_ok(s, synod_query_async(s, &get, SYNOD_LINEARIZABLE, 0, end_query, &e, NULL));
    assert_ok(s, synod_range_async(s, &get.as.range, SYNOD_LINEARIZABLE, 0, end_page, &e, NULL));
    assert_ok(s, synod_tail_async(s, 2, no_record, end_read, &e, NULL));
    assert_ok(s, synod_watch_start(s, &options, end_watch, &e, &watch));
    assert_ok(s, synod_poll(s, 0));
    SCRIPT(is_submit_ignored, 0);
    assert_int_equal(synod_close(s), SYNOD_OK);
    assert_int_equal(e.lease, 1);
    assert_int_equal(e.query, 1);
    assert_int_equal(e.page, 1);
    assert_int_equal(e.read, 1);
    assert_int_equal(e.watch, 0);
    fake_lock(&fake);
    assert_int_equal(fake.close_count, 1);
    fake_unlock(&fake);
    assert_int_equal(synod_close(NULL), SYNOD_OK);
    fake_stop(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_append_again, rest),
        cmocka_unit_test_teardown(test_told_apart, rest),
        cmocka_unit_test_teardown(test_deadline, rest),
        cmocka_unit_test_teardown(test_others_again, rest),
        cmocka_unit_test_teardown(test_fork, rest),
        cmocka_unit_test_teardown(test_fork_in_callback, rest),
        cmocka_unit_test_teardown(test_descriptor_after_call, rest),
        cmocka_unit_test_teardown(test_polled_rarely, rest),
        cmocka_unit_test_teardown(test_close, rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
