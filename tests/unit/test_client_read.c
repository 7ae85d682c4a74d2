/* The client's reads, tails and questions about the cluster, against a scripted one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/client/synod.h"
#include "tests/unit/fake_cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEADLINE_MS 10000
#define NODES_MAX 32

static struct fake fake; /* large, hence not on the stack */

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct synod *open_client(uint32_t timeout_ms, uint32_t learner)
{
    struct synod *s = NULL;
    char why[SYNOD_ERROR_BYTES] = "";
    struct synod_options options = {
        .cluster = fake.path, .timeout_ms = timeout_ms, .learner = learner};
    if (synod_open(&options, &s, why) != SYNOD_OK) {
        fail_msg("%s", why);
    }
    return s;
}

static struct synod *start(size_t proposers, size_t learners)
{
    fake_start(&fake, proposers, learners);
    return open_client(DEADLINE_MS, 0);
}

static void stop(struct synod *s)
{
    synod_close(s);
    fake_stop(&fake);
}

static int clean_up(void **state)
{
    (void)state;
    fake_stop(&fake);
    return 0;
}

/* What a reading saw. */
struct seen {
    uint64_t first, count;
    uint64_t stop_after; /* 0: never */
    int is_wrong;        /* an index did not follow the one before, or the text was another */
    uint64_t then_down;  /* when so many were seen, stop this */
    size_t down_node;    /* node */
};

static int note_record(void *arg, uint64_t index, const void *data, size_t size)
{
    struct seen *seen = arg;
    char text[24];
    int length = snprintf(text, sizeof text, "%llu", (unsigned long long)(index - 1));
    seen->first = seen->count == 0 ? index : seen->first;
    seen->is_wrong |= index != seen->first + seen->count || size != (size_t)length ||
                      memcmp(data, text, size) != 0;
    seen->count++;
    if (seen->count == seen->then_down) {
        fake_down(&fake, seen->down_node, 1);
    }
    return seen->stop_after != 0 && seen->count == seen->stop_after;
}

/* Proves: a read gives every record once and in order over many pages, asks the quorum once, and
 * says how the log looked. */
static void test_read_pages(void **state)
{
    (void)state;
    struct synod *s = start(1, 2);
    fake_fill(&fake, 1000);
    fake.page_records = 7;
    struct seen seen = {0};
    struct synod_log log = {0};
    assert_int_equal(synod_read(s, 0, 0, SYNOD_LINEARIZABLE, note_record, &seen, &log), SYNOD_OK);
    assert_int_equal(seen.first, 1);
    assert_int_equal(seen.count, 1000);
    assert_false(seen.is_wrong);
    assert_int_equal(log.first, 1);
    assert_int_equal(log.last, 1000);
    fake_lock(&fake);
    assert_int_equal(fake.nodes[1].linear_read_count + fake.nodes[2].linear_read_count, 1);
    fake_unlock(&fake);
    stop(s);
}

/* Proves: count bounds a read, the end of the log does too, and a read beyond it is empty, not an
 * error. */
static void test_read_bounds(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    fake_fill(&fake, 20);
    fake.page_records = 3;
    struct seen seen = {0};
    assert_int_equal(synod_read(s, 5, 8, SYNOD_LOCAL, note_record, &seen, NULL), SYNOD_OK);
    assert_int_equal(seen.first, 5);
    assert_int_equal(seen.count, 8);
    seen = (struct seen){0};
    assert_int_equal(synod_read(s, 15, 100, SYNOD_LOCAL, note_record, &seen, NULL), SYNOD_OK);
    assert_int_equal(seen.count, 6);
    assert_false(seen.is_wrong);
    struct synod_log log = {0};
    seen = (struct seen){0};
    assert_int_equal(synod_read(s, 21, 0, SYNOD_LINEARIZABLE, note_record, &seen, &log), SYNOD_OK);
    assert_int_equal(seen.count, 0);
    assert_int_equal(log.last, 20);
    assert_int_equal(synod_read(s, INT64_MAX, UINT64_MAX, SYNOD_LOCAL, note_record, &seen, &log),
                     SYNOD_OK);
    assert_int_equal(
        synod_read(s, (uint64_t)INT64_MAX + 1, 1, SYNOD_LOCAL, note_record, &seen, &log),
        SYNOD_E_USAGE);
    assert_int_equal(seen.count, 0);
    stop(s);
}

/* Proves: an empty log is read without an error and without records. */
static void test_read_empty_log(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct seen seen = {0};
    struct synod_log log = {.last = 99};
    assert_int_equal(synod_read(s, 1, 0, SYNOD_LINEARIZABLE, note_record, &seen, &log), SYNOD_OK);
    assert_int_equal(seen.count, 0);
    assert_int_equal(log.last, 0);
    stop(s);
}

/* Proves: the callback ends a read, and the page asked for ahead does not reach a later one. */
static void test_read_stopped(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    fake_fill(&fake, 100);
    fake.page_records = 10;
    struct seen seen = {.stop_after = 3};
    assert_int_equal(synod_read(s, 1, 0, SYNOD_LOCAL, note_record, &seen, NULL), SYNOD_OK);
    assert_int_equal(seen.count, 3);
    seen = (struct seen){0};
    assert_int_equal(synod_read(s, 50, 20, SYNOD_LOCAL, note_record, &seen, NULL), SYNOD_OK);
    assert_int_equal(seen.first, 50);
    assert_int_equal(seen.count, 20);
    assert_false(seen.is_wrong);
    stop(s);
}

/* Proves: what was trimmed is "not found", and the sentence and the log say what is left. */
static void test_read_trimmed(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    fake_fill(&fake, 100);
    fake.trimmed = 40;
    struct seen seen = {0};
    struct synod_log log = {0};
    assert_int_equal(synod_read(s, 40, 0, SYNOD_LOCAL, note_record, &seen, &log),
                     SYNOD_E_NOT_FOUND);
    assert_non_null(strstr(synod_error(s), "41"));
    assert_int_equal(log.first, 41);
    assert_int_equal(seen.count, 0);
    assert_int_equal(synod_tail(s, 1, note_record, &seen), SYNOD_E_NOT_FOUND);
    assert_int_equal(synod_read(s, 41, 0, SYNOD_LOCAL, note_record, &seen, NULL), SYNOD_OK);
    assert_int_equal(seen.count, 60);
    stop(s);
}

/* Proves: a read without a quorum is tried again until its deadline, then fails with the reason; a
 * local read does not need one. */
static void test_read_without_quorum(void **state)
{
    (void)state;
    fake_start(&fake, 1, 1);
    struct synod *s = open_client(300, 0);
    fake_fill(&fake, 5);
    fake_lock(&fake);
    fake.no_quorum_count = 2;
    fake_unlock(&fake);
    struct seen seen = {0};
    assert_int_equal(synod_read(s, 1, 0, SYNOD_LINEARIZABLE, note_record, &seen, NULL), SYNOD_OK);
    assert_int_equal(seen.count, 5);
    fake_lock(&fake);
    fake.no_quorum_count = 1000000;
    fake_unlock(&fake);
    assert_int_equal(synod_read(s, 1, 0, SYNOD_LINEARIZABLE, note_record, &seen, NULL),
                     SYNOD_E_UNAVAILABLE);
    assert_non_null(strstr(synod_error(s), "no quorum"));
    assert_int_equal(synod_read(s, 1, 0, SYNOD_LOCAL, note_record, &seen, NULL), SYNOD_OK);
    stop(s);
}

/* Proves: when the learner dies in the middle of a read, another one continues it at the next
 * record. */
static void test_read_failover(void **state)
{
    (void)state;
    struct synod *s = start(1, 2);
    fake_fill(&fake, 100);
    fake.page_records = 10;
    struct seen probe = {0};
    assert_int_equal(synod_read(s, 1, 1, SYNOD_LOCAL, note_record, &probe, NULL), SYNOD_OK);
    fake_lock(&fake);
    size_t used = fake.nodes[1].read_count > 0 ? 1 : 2;
    fake_unlock(&fake);
    struct seen seen = {.then_down = 25, .down_node = used};
    assert_int_equal(synod_read(s, 1, 0, SYNOD_LINEARIZABLE, note_record, &seen, NULL), SYNOD_OK);
    assert_int_equal(seen.count, 100);
    assert_false(seen.is_wrong);
    stop(s);
}

/* Proves: a learner that takes a read and never answers is given up for another. */
static void test_read_silent_learner(void **state)
{
    (void)state;
    struct synod *s = start(1, 2);
    fake_fill(&fake, 3);
    struct seen seen = {0};
    assert_int_equal(synod_read(s, 1, 1, SYNOD_LOCAL, note_record, &seen, NULL), SYNOD_OK);
    fake_lock(&fake);
    fake.nodes[fake.nodes[1].read_count > 0 ? 1 : 2].is_silent = 1;
    fake_unlock(&fake);
    int64_t before = now_ms();
    assert_int_equal(synod_read(s, 1, 0, SYNOD_LINEARIZABLE, note_record, &seen, NULL), SYNOD_OK);
    assert_true(now_ms() - before < 5000);
    assert_int_equal(seen.count, 4);
    stop(s);
}

/* A second handle appends while the first one tails, from within its callback. */
struct tailing {
    struct seen seen;
    struct synod *writer;
    size_t appended;
};

static int note_and_append(void *arg, uint64_t index, const void *data, size_t size)
{
    struct tailing *t = arg;
    int is_over = note_record(&t->seen, index, data, size);
    if (t->seen.count % 10 == 0 && !is_over) {
        for (int i = 0; i < 10; i++) {
            char text[24];
            unsigned long long number = index + (unsigned)i;
            snprintf(text, sizeof text, "%llu", number);
            uint64_t at = 0;
            if (synod_append(t->writer, text, strlen(text), &at) == SYNOD_OK) {
                t->appended++;
            }
        }
    }
    return is_over;
}

/* Proves: a tail gives what is there and what is appended later, each once and in order. */
static void test_tail(void **state)
{
    (void)state;
    fake_start(&fake, 1, 1);
    fake_fill(&fake, 10);
    struct synod *s = open_client(DEADLINE_MS, 0);
    struct tailing t = {.seen = {.stop_after = 60}, .writer = open_client(DEADLINE_MS, 0)};
    assert_int_equal(synod_tail(s, 1, note_and_append, &t), SYNOD_OK);
    assert_int_equal(t.appended, 50);
    assert_int_equal(t.seen.count, 60);
    assert_false(t.seen.is_wrong);
    synod_close(t.writer);
    stop(s);
}

/* Proves: a tail notices the restart of its learner and asks again where it was. */
static int append_after_restart(void *arg, uint64_t index, const void *data, size_t size)
{
    struct seen *seen = arg;
    int is_over = note_record(seen, index, data, size);
    if (seen->count == 10) {
        fake_down(&fake, 1, 1);
        fake_down(&fake, 1, 0);
        fake_lock(&fake);
        for (int i = 10; i < 20; i++) {
            char text[24];
            int length = snprintf(text, sizeof text, "%d", i);
            fake.log[++fake.last] = slice_keep(slice_borrow(text, (size_t)length));
        }
        fake_unlock(&fake);
    }
    return is_over;
}

static void test_tail_over_restart(void **state)
{
    (void)state;
    fake_start(&fake, 1, 1);
    fake_fill(&fake, 10);
    struct synod *s = open_client(DEADLINE_MS, 0);
    struct seen seen = {.stop_after = 20};
    int64_t before = now_ms();
    assert_int_equal(synod_tail(s, 1, append_after_restart, &seen), SYNOD_OK);
    assert_true(now_ms() - before < DEADLINE_MS); /* not by the silence of the old request */
    assert_int_equal(seen.count, 20);
    assert_false(seen.is_wrong);
    stop(s);
}

static const struct synod_node *find(const struct synod_node *nodes, size_t count,
                                     enum synod_role role, uint32_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].role == role && nodes[i].id == id) {
            return &nodes[i];
        }
    }
    fail_msg("no node %d %u", (int)role, id);
    return NULL;
}

/* Proves: status lists every member once, takes the freshest report of an acceptor, and marks who
 * does not answer without waiting for long. */
static void test_status(void **state)
{
    (void)state;
    struct synod *s = start(2, 2);
    fake_fill(&fake, 12);
    fake_lock(&fake);
    fake.leader = fake.named_leader = 2;
    fake_unlock(&fake);
    fake_down(&fake, 0, 1);
    fake_down(&fake, 3, 1);
    struct synod_node nodes[NODES_MAX];
    size_t count = 0;
    int64_t before = now_ms();
    assert_int_equal(synod_status(s, nodes, NODES_MAX, &count), SYNOD_OK);
    assert_true(now_ms() - before < 3000);
    assert_int_equal(count, 7);
    assert_string_equal(find(nodes, count, SYNOD_PROPOSER, 1)->state, "unreachable");
    assert_string_equal(find(nodes, count, SYNOD_PROPOSER, 2)->state, "leading");
    assert_string_equal(find(nodes, count, SYNOD_LEARNER, 1)->state, "applying");
    assert_int_equal(find(nodes, count, SYNOD_LEARNER, 1)->last_index, 12);
    assert_string_equal(find(nodes, count, SYNOD_LEARNER, 2)->state, "unreachable");
    assert_string_equal(find(nodes, count, SYNOD_ACCEPTOR, 3)->state, "voting");
    assert_string_equal(find(nodes, count, SYNOD_ACCEPTOR, 3)->address,
                        fake.config.acceptors[2].address);
    /* Both proposers report the acceptors now: the leader heard them later. */
    fake_down(&fake, 0, 0);
    int64_t deadline = now_ms() + DEADLINE_MS;
    do {
        assert_int_equal(synod_status(s, nodes, NODES_MAX, &count), SYNOD_OK);
    } while (strcmp(find(nodes, count, SYNOD_PROPOSER, 1)->state, "standby") != 0 &&
             now_ms() < deadline);
    assert_string_equal(find(nodes, count, SYNOD_PROPOSER, 1)->state, "standby");
    assert_string_equal(find(nodes, count, SYNOD_ACCEPTOR, 1)->state, "voting");
    assert_int_equal(find(nodes, count, SYNOD_ACCEPTOR, 1)->silence_ms, 5);
    /* A short array is filled as far as it goes. */
    assert_int_equal(synod_status(s, nodes, 2, &count), SYNOD_OK);
    assert_int_equal(count, 7);
    stop(s);
}

/* Proves: with nobody there, status says so and still lists all. */
static void test_status_of_nobody(void **state)
{
    (void)state;
    fake_start(&fake, 1, 1);
    fake_down(&fake, 0, 1);
    fake_down(&fake, 1, 1);
    struct synod *s = open_client(150, 0);
    struct synod_node nodes[NODES_MAX];
    size_t count = 0;
    assert_int_equal(synod_status(s, nodes, NODES_MAX, &count), SYNOD_E_UNAVAILABLE);
    assert_int_equal(count, 5);
    assert_string_equal(nodes[0].state, "unreachable");
    struct synod_leader leader;
    assert_int_equal(synod_leader(s, &leader), SYNOD_E_UNAVAILABLE);
    stop(s);
}

/* Proves: the leader is who says so, since the slot that a learner saw; nobody is an error. */
static void test_leader(void **state)
{
    (void)state;
    struct synod *s = start(3, 1);
    fake_lock(&fake);
    fake.leader = fake.named_leader = 3;
    fake_unlock(&fake);
    struct synod_leader leader = {0};
    assert_int_equal(synod_leader(s, &leader), SYNOD_OK);
    assert_int_equal(leader.id, 3);
    assert_int_equal(leader.round, 3);
    assert_int_equal(leader.since, 17);
    fake_lock(&fake);
    fake.leader = fake.named_leader = 0;
    fake_unlock(&fake);
    assert_int_equal(synod_leader(s, &leader), SYNOD_E_UNAVAILABLE);
    assert_non_null(strstr(synod_error(s), "nobody leads"));
    stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_read_pages, clean_up),
        cmocka_unit_test_teardown(test_read_bounds, clean_up),
        cmocka_unit_test_teardown(test_read_empty_log, clean_up),
        cmocka_unit_test_teardown(test_read_stopped, clean_up),
        cmocka_unit_test_teardown(test_read_trimmed, clean_up),
        cmocka_unit_test_teardown(test_read_without_quorum, clean_up),
        cmocka_unit_test_teardown(test_read_failover, clean_up),
        cmocka_unit_test_teardown(test_read_silent_learner, clean_up),
        cmocka_unit_test_teardown(test_tail, clean_up),
        cmocka_unit_test_teardown(test_tail_over_restart, clean_up),
        cmocka_unit_test_teardown(test_status, clean_up),
        cmocka_unit_test_teardown(test_status_of_nobody, clean_up),
        cmocka_unit_test_teardown(test_leader, clean_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
