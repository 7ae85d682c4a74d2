/* The client's appends against a scripted cluster: exactly once and in order, whatever is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/client/synod.h"
#include "tests/unit/fake_cluster.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#define DEADLINE_MS 10000

static struct fake fake; /* large, hence not on the stack */

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct synod *open_client(struct synod_options options)
{
    struct synod *s = NULL;
    char why[SYNOD_ERROR_BYTES] = "";
    options.cluster = fake.path;
    if (synod_open(&options, &s, why) != SYNOD_OK) {
        fail_msg("%s", why);
    }
    return s;
}

static struct synod *start(size_t proposers, size_t learners)
{
    fake_start(&fake, proposers, learners);
    return open_client((struct synod_options){.timeout_ms = DEADLINE_MS});
}

static void stop(struct synod *s)
{
    synod_close(s);
    assert_false(fake.is_acked_wrong);
    fake_stop(&fake);
}

static uint64_t append_text(struct synod *s, const char *text)
{
    uint64_t index = 0;
    int rc = synod_append(s, text, strlen(text), &index);
    if (rc != SYNOD_OK) {
        fail_msg("append: %d %s", rc, synod_error(s));
    }
    return index;
}

/* What the callbacks of a test said. */
struct answers {
    size_t count;
    size_t ok_count;
    int last_code;
    uint64_t last_index;
    int is_disordered; /* an index was not larger than the one before */
};

static void note_answer(void *arg, int code, uint64_t index)
{
    struct answers *a = arg;
    a->count++;
    a->last_code = code;
    if (code == SYNOD_OK) {
        a->ok_count++;
        a->is_disordered |= index <= a->last_index;
        a->last_index = index;
    }
}

static void append_many(struct synod *s, size_t from, size_t count, struct answers *answers)
{
    for (size_t i = 0; i < count; i++) {
        char text[24];
        int size = snprintf(text, sizeof text, "%zu", from + i);
        assert_int_equal(synod_append_async(s, text, (size_t)size, 0, note_answer, answers),
                         SYNOD_OK);
    }
}

static void poll_until(struct synod *s, const size_t *count, size_t wanted)
{
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (*count < wanted && now_ms() < deadline) {
        assert_int_equal(synod_poll(s, 100), SYNOD_OK);
    }
    if (*count < wanted) {
        fail_msg("%zu of %zu answers: %s", *count, wanted, synod_error(s));
    }
}

/* The log is exactly "0", "1", ... "count - 1". */
static void assert_counts_up(uint64_t count)
{
    assert_int_equal(fake_last(&fake), count);
    for (uint64_t i = 0; i < count; i++) {
        char text[24];
        snprintf(text, sizeof text, "%llu", (unsigned long long)i);
        if (!fake_holds(&fake, i + 1, text)) {
            fail_msg("record %llu is not \"%s\"", (unsigned long long)(i + 1), text);
        }
    }
}

/* Proves: a blocking append returns the index at which the log holds the very bytes; empty records,
 * zero bytes and 1 MiB are records like others. */
static void test_append_blocking(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    assert_int_equal(append_text(s, "hello"), 1);
    assert_true(fake_holds(&fake, 1, "hello"));
    assert_int_equal(append_text(s, ""), 2);
    assert_true(fake_holds(&fake, 2, ""));
    uint8_t *large = calloc(1, SYNOD_RECORD_BYTES_MAX);
    large[SYNOD_RECORD_BYTES_MAX - 1] = 7;
    uint64_t index = 0;
    assert_int_equal(synod_append(s, large, SYNOD_RECORD_BYTES_MAX, &index), SYNOD_OK);
    assert_int_equal(index, 3);
    fake_lock(&fake);
    assert_true(slice_equal(fake.log[3], slice_borrow(large, SYNOD_RECORD_BYTES_MAX)));
    fake_unlock(&fake);
    free(large);
    stop(s);
}

/* Proves: one byte over the limit is refused at once, with the limit in the sentence, and does not
 * disturb what follows. */
static void test_append_too_long(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    char *large = calloc(1, SYNOD_RECORD_BYTES_MAX + 1);
    assert_int_equal(synod_append(s, large, SYNOD_RECORD_BYTES_MAX + 1, NULL), SYNOD_E_USAGE);
    assert_non_null(strstr(synod_error(s), "1048576"));
    assert_int_equal(synod_append_async(s, large, SYNOD_RECORD_BYTES_MAX + 1, 0, note_answer, NULL),
                     SYNOD_E_USAGE);
    free(large);
    assert_int_equal(append_text(s, "x"), 1);
    stop(s);
}

/* Proves: many asynchronous appends enter the log once each, in the order of the calls, with rising
 * indexes, in far fewer frames than records. */
static void test_append_many(void **state)
{
    (void)state;
    struct synod *s = start(2, 2);
    struct answers answers = {0};
    append_many(s, 0, 50000, &answers);
    assert_int_equal(synod_outstanding(s), 50000);
    poll_until(s, &answers.count, 50000);
    assert_int_equal(answers.ok_count, 50000);
    assert_false(answers.is_disordered);
    assert_int_equal(synod_outstanding(s), 0);
    assert_counts_up(50000);
    fake_lock(&fake);
    assert_true(fake.nodes[0].submit_count + fake.nodes[1].submit_count < 100);
    fake_unlock(&fake);
    stop(s);
}

/* Proves: a handle refuses what exceeds its bounds with "busy", by count and by bytes, and takes
 * more once the cluster has answered. */
static void test_append_busy(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct answers answers = {0};
    fake_lock(&fake);
    fake.is_submit_ignored = 1;
    fake_unlock(&fake);
    append_many(s, 0, SYNOD_OUTSTANDING_MAX, &answers);
    assert_int_equal(synod_append_async(s, "x", 1, 0, note_answer, &answers), SYNOD_E_BUSY);
    assert_non_null(strstr(synod_error(s), "65536"));
    fake_lock(&fake);
    fake.is_submit_ignored = 0;
    fake_unlock(&fake);
    poll_until(s, &answers.count, SYNOD_OUTSTANDING_MAX);
    char *large = calloc(1, SYNOD_RECORD_BYTES_MAX);
    size_t taken = 0;
    while (synod_append_async(s, large, SYNOD_RECORD_BYTES_MAX, 0, note_answer, &answers) ==
           SYNOD_OK) {
        taken++;
    }
    assert_int_equal(taken, 6);
    /* A blocking append waits for room instead. */
    assert_int_equal(synod_append(s, large, SYNOD_RECORD_BYTES_MAX, NULL), SYNOD_OK);
    free(large);
    assert_int_equal(answers.ok_count, SYNOD_OUTSTANDING_MAX + taken);
    stop(s);
}

/* Proves: a proposer that does not lead redirects the client, and nothing is lost or doubled. */
static void test_redirect(void **state)
{
    (void)state;
    struct synod *s = start(3, 1);
    fake_lock(&fake);
    fake.leader = fake.named_leader = 3;
    fake_unlock(&fake);
    struct answers answers = {0};
    append_many(s, 0, 1000, &answers);
    poll_until(s, &answers.count, 1000);
    /* A change of leader under load, of which the client hears by a rejection. */
    append_many(s, 1000, 1000, &answers);
    fake_lock(&fake);
    fake.leader = fake.named_leader = 2;
    fake_unlock(&fake);
    append_many(s, 2000, 1000, &answers);
    poll_until(s, &answers.count, 3000);
    assert_int_equal(answers.ok_count, 3000);
    assert_counts_up(3000);
    stop(s);
}

/* Proves: with no leader known the client keeps asking, and goes to a new one as soon as it
 * announces itself. */
static void test_new_leader_announced(void **state)
{
    (void)state;
    struct synod *s = start(2, 1);
    fake_lock(&fake);
    fake.leader = fake.named_leader = 0;
    fake_unlock(&fake);
    struct answers answers = {0};
    append_many(s, 0, 10, &answers);
    int64_t deadline = now_ms() + DEADLINE_MS;
    size_t tried = 0;
    while (tried < 4 && now_ms() < deadline) {
        assert_int_equal(synod_poll(s, 10), SYNOD_OK);
        fake_lock(&fake);
        tried = fake.nodes[0].submit_count + fake.nodes[1].submit_count;
        fake_unlock(&fake);
    }
    assert_true(tried >= 4);
    assert_int_equal(answers.count, 0);
    fake_lead(&fake, 2);
    poll_until(s, &answers.count, 10);
    assert_counts_up(10);
    stop(s);
}

/* Proves: when the leader's process dies under load, everything goes on through the next one,
 * once and in order. */
static void test_leader_dies(void **state)
{
    (void)state;
    struct synod *s = start(2, 1);
    struct answers answers = {0};
    append_many(s, 0, 1000, &answers);
    poll_until(s, &answers.count, 1);
    append_many(s, 1000, 20000, &answers);
    fake_down(&fake, 0, 1);
    fake_lock(&fake);
    fake.leader = fake.named_leader = 2;
    fake_unlock(&fake);
    append_many(s, 21000, 1000, &answers);
    poll_until(s, &answers.count, 22000);
    assert_int_equal(answers.ok_count, 22000);
    assert_counts_up(22000);
    stop(s);
}

/* Proves: a block lost on the way shows as a gap and is sent again from there at once, and not only
 * after 300 ms of silence. The fastest of some tries counts, for the machine is shared. */
static void test_gap(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct answers answers = {0};
    int64_t fastest = INT64_MAX;
    for (size_t i = 0; i < 5; i++) {
        append_many(s, 10001 * i, 1, &answers);
        poll_until(s, &answers.count, 10001 * i + 1);
        fake_lock(&fake);
        fake.drop_submit_count = 1;
        fake_unlock(&fake);
        int64_t before = now_ms();
        append_many(s, 10001 * i + 1, 10000, &answers); /* the first of some blocks is lost */
        poll_until(s, &answers.count, 10001 * (i + 1));
        int64_t elapsed = now_ms() - before;
        fastest = elapsed < fastest ? elapsed : fastest;
    }
    assert_int_equal(answers.ok_count, 50005);
    assert_counts_up(50005);
    assert_true(fake.gap_count > 0);
    assert_true(fastest < 250);
    stop(s);
}

/* Proves: a lost result is asked for again, and the append is not repeated. */
static void test_lost_result(void **state)
{
    (void)state;
    struct synod *s = start(2, 1);
    assert_int_equal(append_text(s, "0"), 1);
    fake_lock(&fake);
    fake.drop_result_count = 1;
    fake_unlock(&fake);
    int64_t before = now_ms();
    assert_int_equal(append_text(s, "1"), 2);
    assert_true(now_ms() - before < 5000);
    assert_counts_up(2);
    stop(s);
}

/* Proves: a result that arrives twice calls back once. */
static void test_doubled_results(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    fake_lock(&fake);
    fake.is_results_doubled = 1;
    fake_unlock(&fake);
    struct answers answers = {0};
    for (size_t i = 0; i < 100; i++) {
        append_many(s, i, 1, &answers);
        poll_until(s, &answers.count, i + 1);
    }
    assert_int_equal(append_text(s, "100"), 101);
    assert_int_equal(answers.count, 100);
    assert_counts_up(101);
    stop(s);
}

/* Proves: "busy" of the proposer holds the client back and loses nothing. */
static void test_proposer_busy(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    fake_lock(&fake);
    fake.busy_count = 3;
    fake_unlock(&fake);
    struct answers answers = {0};
    append_many(s, 0, 30000, &answers);
    poll_until(s, &answers.count, 30000);
    assert_int_equal(answers.ok_count, 30000);
    assert_counts_up(30000);
    stop(s);
}

/* Proves: what was sent when the session turned out to be unknown fails with SYNOD_E_SESSION, and
 * the next append gets a new session. */
static void test_session_unknown(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    assert_int_equal(append_text(s, "0"), 1);
    fake_expire(&fake);
    assert_int_equal(synod_append(s, "lost", 4, NULL), SYNOD_E_SESSION);
    assert_non_null(strstr(synod_error(s), "expired"));
    assert_int_equal(append_text(s, "1"), 2);
    assert_counts_up(2);
    fake_lock(&fake);
    assert_int_equal(fake.open_count, 2);
    fake_unlock(&fake);
    stop(s);
}

/* Proves: appends that never left when the session turned out to be unknown are not failed but go
 * to the next one. While no leader is known only the first block is offered around. */
static void test_session_unknown_unsent(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    assert_int_equal(append_text(s, "0"), 1);
    fake_lock(&fake);
    fake.leader = fake.named_leader = 0;
    size_t wanted = fake.nodes[0].submit_count + 3;
    fake_unlock(&fake);
    struct answers sent = {0}, unsent = {0};
    append_many(s, 99, 1, &sent);
    int64_t deadline = now_ms() + DEADLINE_MS;
    for (size_t tried = 0; tried < wanted && now_ms() < deadline;) {
        assert_int_equal(synod_poll(s, 10), SYNOD_OK);
        fake_lock(&fake);
        tried = fake.nodes[0].submit_count;
        fake_unlock(&fake);
    }
    append_many(s, 1, 30000, &unsent);
    fake_expire(&fake);
    fake_lock(&fake);
    fake.leader = fake.named_leader = 1;
    fake_unlock(&fake);
    poll_until(s, &sent.count, 1);
    poll_until(s, &unsent.count, 30000);
    assert_int_equal(sent.last_code, SYNOD_E_SESSION);
    assert_int_equal(unsent.ok_count, 30000);
    assert_counts_up(30001);
    stop(s);
}

/* Proves: a session that expired because nobody polled is replaced before anything is sent on it,
 * so that the first append afterwards succeeds. */
static void test_session_expired_idle(void **state)
{
    (void)state;
    fake_start(&fake, 1, 1);
    struct synod *s =
        open_client((struct synod_options){.timeout_ms = DEADLINE_MS, .session_ttl_ms = 1});
    assert_int_equal(append_text(s, "0"), 1);
    fake_expire(&fake);
    int64_t expired_at = now_ms() + 3;
    while (now_ms() < expired_at) {
        poll(NULL, 0, 1); /* nobody polls the handle for longer than its ttl */
    }
    assert_int_equal(append_text(s, "1"), 2);
    assert_counts_up(2);
    stop(s);
}

/* Proves: the same doubt about a session that lives on keeps it, with its sequences. */
static void test_session_doubted_but_alive(void **state)
{
    (void)state;
    fake_start(&fake, 1, 1);
    struct synod *s =
        open_client((struct synod_options){.timeout_ms = DEADLINE_MS, .session_ttl_ms = 1});
    assert_int_equal(append_text(s, "0"), 1);
    int64_t doubtful_at = now_ms() + 3;
    while (now_ms() < doubtful_at) {
        poll(NULL, 0, 1);
    }
    assert_int_equal(append_text(s, "1"), 2);
    fake_lock(&fake);
    assert_int_equal(fake.open_count, 1);
    fake_unlock(&fake);
    stop(s);
}

/* Proves: an idle handle that is polled keeps its session alive. */
static void test_keepalive(void **state)
{
    (void)state;
    fake_start(&fake, 1, 1);
    struct synod *s =
        open_client((struct synod_options){.timeout_ms = DEADLINE_MS, .session_ttl_ms = 60});
    assert_int_equal(append_text(s, "0"), 1);
    int64_t deadline = now_ms() + DEADLINE_MS;
    size_t count = 0;
    while (count < 3 && now_ms() < deadline) {
        assert_int_equal(synod_poll(s, 100), SYNOD_OK);
        fake_lock(&fake);
        count = fake.empty_count;
        fake_unlock(&fake);
    }
    assert_true(count >= 3);
    assert_true(fake.acked_max >= 1);
    stop(s);
}

/* Proves: without room for a session the client waits for some. */
static void test_sessions_full(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    fake_lock(&fake);
    fake.full_count = 2;
    fake_unlock(&fake);
    assert_int_equal(append_text(s, "0"), 1);
    stop(s);
}

/* Proves: a deadline that passes without a leader gives "unavailable" with the reason; the record
 * may still enter the log later, once; later appends are not held up by it. */
static void test_deadline(void **state)
{
    (void)state;
    struct synod *s = start(2, 1);
    assert_int_equal(append_text(s, "0"), 1);
    fake_lock(&fake);
    fake.leader = fake.named_leader = 0;
    fake_unlock(&fake);
    struct answers answers = {0};
    assert_int_equal(synod_append_async(s, "1", 1, 50, note_answer, &answers), SYNOD_OK);
    int64_t before = now_ms();
    poll_until(s, &answers.count, 1);
    assert_true(now_ms() - before < 2000);
    assert_int_equal(answers.last_code, SYNOD_E_UNAVAILABLE);
    assert_non_null(strstr(synod_error(s), "no proposer leads"));
    assert_int_equal(synod_outstanding(s), 0);
    fake_lead(&fake, 2);
    assert_int_equal(append_text(s, "2"), 3);
    assert_counts_up(3);
    assert_int_equal(answers.count, 1);
    stop(s);
}

/* Proves: with no process at all the sentence says so. */
static void test_nobody_there(void **state)
{
    (void)state;
    fake_start(&fake, 1, 1);
    fake_down(&fake, 0, 1);
    fake_down(&fake, 1, 1);
    struct synod *s = open_client((struct synod_options){.timeout_ms = 100});
    assert_int_equal(synod_append(s, "x", 1, NULL), SYNOD_E_UNAVAILABLE);
    assert_non_null(strstr(synod_error(s), "neither a proposer nor a learner answers"));
    stop(s);
}

/* Proves: when the learner in use dies or falls silent, another one gives the results. */
static void test_learner_failover(void **state)
{
    (void)state;
    struct synod *s = start(1, 2);
    assert_int_equal(append_text(s, "0"), 1);
    fake_lock(&fake);
    size_t used = fake.nodes[1].hello_count > 0 ? 1 : 2;
    fake_unlock(&fake);
    fake_down(&fake, used, 1);
    assert_int_equal(append_text(s, "1"), 2);
    fake_down(&fake, used, 0);
    fake_lock(&fake);
    fake.nodes[3 - used].is_silent = 1;
    fake_unlock(&fake);
    assert_int_equal(append_text(s, "2"), 3);
    assert_counts_up(3);
    stop(s);
}

/* Proves: a pinned learner is not exchanged, and an unknown one is refused. */
static void test_learner_pinned(void **state)
{
    (void)state;
    fake_start(&fake, 1, 2);
    struct synod *s = open_client((struct synod_options){.timeout_ms = 400, .learner = 2});
    assert_int_equal(append_text(s, "0"), 1);
    assert_int_equal(fake.nodes[1].hello_count, 0);
    fake_down(&fake, 2, 1);
    assert_int_equal(synod_append(s, "1", 1, NULL), SYNOD_E_UNAVAILABLE);
    assert_non_null(strstr(synod_error(s), "the chosen learner"));
    synod_close(s);
    char why[SYNOD_ERROR_BYTES];
    struct synod_options options = {.cluster = fake.path, .learner = 9};
    assert_int_equal(synod_open(&options, &s, why), SYNOD_E_USAGE);
    assert_non_null(strstr(why, "no learner 9"));
    fake_stop(&fake);
}

/* Proves: "malformed" fails the operations instead of repeating them for ever, and the handle says
 * that it is of no use any more. */
static void test_malformed(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    assert_int_equal(append_text(s, "0"), 1);
    fake_lock(&fake);
    fake.malformed_count = 1;
    fake_unlock(&fake);
    assert_int_equal(synod_append(s, "x", 1, NULL), SYNOD_E_CORRUPT);
    assert_non_null(strstr(synod_error(s), "malformed"));
    assert_int_equal(synod_append(s, "y", 1, NULL), SYNOD_E_CORRUPT);
    assert_non_null(strstr(synod_error(s), "a new handle"));
    assert_int_equal(fake_last(&fake), 1);
    stop(s);
}

/* Proves: a cluster with another id refuses, at once and with a sentence. */
static void test_refused(void **state)
{
    (void)state;
    fake_start(&fake, 1, 1);
    fake_lock(&fake);
    fake.wrong_cluster_id = 0x9999;
    fake_unlock(&fake);
    struct synod *s = open_client((struct synod_options){.timeout_ms = DEADLINE_MS});
    int64_t before = now_ms();
    assert_int_equal(synod_append(s, "x", 1, NULL), SYNOD_E_REFUSED);
    assert_true(now_ms() - before < 5000);
    assert_non_null(strstr(synod_error(s), "refuses us"));
    stop(s);
}

/* Proves: closing calls back what is outstanding, refuses appends from those callbacks, and ends
 * the session in the cluster. */
static void append_again(void *arg, int code, uint64_t index)
{
    (void)index;
    struct synod **s = arg;
    assert_int_equal(code, SYNOD_E_INTERRUPTED);
    assert_int_equal(synod_append_async(*s, "y", 1, 0, NULL, NULL), SYNOD_E_USAGE);
    *s = NULL;
}

static void test_close(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    assert_int_equal(append_text(s, "0"), 1);
    struct synod *seen = s;
    assert_int_equal(synod_append_async(s, "1", 1, 0, append_again, &seen), SYNOD_OK);
    synod_close(s);
    assert_null(seen);
    fake_lock(&fake);
    assert_int_equal(fake.close_count, 1);
    fake_unlock(&fake);
    synod_close(NULL);
    fake_stop(&fake);
}

/* Proves: a signal ends the wait but not the append, whose result nobody waits for any more. */
static void on_alarm(int number)
{
    (void)number;
}

static void test_interrupted(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    assert_int_equal(append_text(s, "0"), 1);
    fake_lock(&fake);
    fake.is_submit_ignored = 1;
    fake_unlock(&fake);
    struct sigaction action = {.sa_handler = on_alarm}; /* no SA_RESTART */
    sigaction(SIGALRM, &action, NULL);
    /* The fake's thread must not be the one that takes it. It repeats, so that one that comes
     * before the wait does no harm. */
    struct itimerval often = {{0, 20000}, {0, 20000}};
    setitimer(ITIMER_REAL, &often, NULL);
    int rc = synod_append(s, "1", 1, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
    assert_int_equal(rc, SYNOD_E_INTERRUPTED);
    fake_lock(&fake);
    fake.is_submit_ignored = 0;
    fake_unlock(&fake);
    assert_int_equal(append_text(s, "2"), 3);
    assert_counts_up(3);
    stop(s);
}

/* Proves: an event loop that watches synod_fd alone gets its results, and its deadlines. */
static void test_event_loop(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct answers answers = {0};
    int fd = synod_fd(s);
    assert_true(fd >= 0);
    assert_int_equal(synod_fd(s), fd);
    for (size_t i = 0; i < 200; i++) {
        append_many(s, i, 1, &answers);
        assert_int_equal(synod_poll(s, 0), SYNOD_OK);
        while (answers.count <= i) {
            struct pollfd p = {fd, POLLIN, 0};
            assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
            assert_int_equal(synod_poll(s, 0), SYNOD_OK);
        }
    }
    assert_int_equal(answers.ok_count, 200);
    fake_lock(&fake);
    fake.is_submit_ignored = 1;
    fake_unlock(&fake);
    assert_int_equal(synod_append_async(s, "x", 1, 60, note_answer, &answers), SYNOD_OK);
    assert_int_equal(synod_poll(s, 0), SYNOD_OK);
    int64_t before = now_ms();
    while (answers.count < 201) {
        struct pollfd p = {fd, POLLIN, 0};
        assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
        assert_int_equal(synod_poll(s, 0), SYNOD_OK);
    }
    assert_int_equal(answers.last_code, SYNOD_E_UNAVAILABLE);
    assert_true(now_ms() - before < 1000);
    stop(s);
}

/* Proves: what open refuses, it refuses with a sentence: no file named, none there, a bad one. */
static void test_open_refuses(void **state)
{
    (void)state;
    struct synod *s = NULL;
    char why[SYNOD_ERROR_BYTES];
    unsetenv("SYNOD_CLUSTER");
    assert_int_equal(synod_open(NULL, &s, why), SYNOD_E_USAGE);
    assert_non_null(strstr(why, "SYNOD_CLUSTER"));
    struct synod_options options = {.cluster = "/nonexistent/cluster.yml"};
    assert_int_equal(synod_open(&options, &s, why), SYNOD_E_USAGE);
    assert_non_null(strstr(why, "/nonexistent/cluster.yml"));
    assert_null(s);
    fake_start(&fake, 1, 1);
    setenv("SYNOD_CLUSTER", fake.path, 1);
    assert_int_equal(synod_open(NULL, &s, why), SYNOD_OK);
    assert_int_equal(append_text(s, "0"), 1);
    unsetenv("SYNOD_CLUSTER");
    stop(s);
}

/* A test that failed has left its cluster behind, which must not disturb the next. */
static int clean_up(void **state)
{
    (void)state;
    fake_stop(&fake);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_append_blocking, clean_up),
        cmocka_unit_test_teardown(test_append_too_long, clean_up),
        cmocka_unit_test_teardown(test_append_many, clean_up),
        cmocka_unit_test_teardown(test_append_busy, clean_up),
        cmocka_unit_test_teardown(test_redirect, clean_up),
        cmocka_unit_test_teardown(test_new_leader_announced, clean_up),
        cmocka_unit_test_teardown(test_leader_dies, clean_up),
        cmocka_unit_test_teardown(test_gap, clean_up),
        cmocka_unit_test_teardown(test_lost_result, clean_up),
        cmocka_unit_test_teardown(test_doubled_results, clean_up),
        cmocka_unit_test_teardown(test_proposer_busy, clean_up),
        cmocka_unit_test_teardown(test_session_unknown, clean_up),
        cmocka_unit_test_teardown(test_session_unknown_unsent, clean_up),
        cmocka_unit_test_teardown(test_session_expired_idle, clean_up),
        cmocka_unit_test_teardown(test_session_doubted_but_alive, clean_up),
        cmocka_unit_test_teardown(test_keepalive, clean_up),
        cmocka_unit_test_teardown(test_sessions_full, clean_up),
        cmocka_unit_test_teardown(test_deadline, clean_up),
        cmocka_unit_test_teardown(test_nobody_there, clean_up),
        cmocka_unit_test_teardown(test_learner_failover, clean_up),
        cmocka_unit_test_teardown(test_learner_pinned, clean_up),
        cmocka_unit_test_teardown(test_malformed, clean_up),
        cmocka_unit_test_teardown(test_refused, clean_up),
        cmocka_unit_test_teardown(test_close, clean_up),
        cmocka_unit_test_teardown(test_interrupted, clean_up),
        cmocka_unit_test_teardown(test_event_loop, clean_up),
        cmocka_unit_test_teardown(test_open_refuses, clean_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
