/* The client's watches: every event once and in order, through pages, lost messages and other
 * learners, and never a silent gap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/client_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a watch told. */
struct told {
    struct synod *s;
    struct synod_watch *watch;
    int event_count;
    int call_count;
    int is_ended; /* with this code */
    int end_code;
    uint64_t end_revision;
    uint64_t revision; /* of the last call */
    uint64_t progress; /* last revision told as progress */
    int is_disordered; /* a revision came back, or one was split and not continued */
    int is_continued;
    char trace[512]; /* "put k=v " "delete k " */
    int stop_after;  /* calls */
};

static void trace(struct told *t, const struct synod_event *event)
{
    size_t used = strlen(t->trace);
    const struct synod_kv *kv = &event->kv;
    if (event->is_delete) {
        snprintf(t->trace + used, sizeof t->trace - used, "delete %.*s ", (int)kv->key.size,
                 (const char *)kv->key.data);
    } else {
        snprintf(t->trace + used, sizeof t->trace - used, "put %.*s=%.*s ", (int)kv->key.size,
                 (const char *)kv->key.data, (int)kv->value.size, (const char *)kv->value.data);
    }
    if (event->has_previous) {
        used = strlen(t->trace);
        snprintf(t->trace + used, sizeof t->trace - used, "was %.*s ",
                 (int)event->previous.value.size, (const char *)event->previous.value.data);
    }
}

static void note(void *arg, int code, const struct synod_events *events)
{
    struct told *t = arg;
    t->call_count++;
    if (code != SYNOD_OK) {
        t->is_ended = 1;
        t->end_code = code;
        t->end_revision = events->revision;
        return;
    }
    if (events->count == 0) {
        t->progress = events->revision;
        return;
    }
    t->is_disordered |= events->revision < t->revision ||
                        (events->revision == t->revision && !t->is_continued) ||
                        (events->revision != t->revision && t->is_continued);
    t->revision = events->revision;
    t->is_continued = events->is_continued;
    for (size_t i = 0; i < events->count; i++) {
        t->is_disordered |= events->events[i].kv.mod_revision != events->revision;
        t->event_count++;
        trace(t, &events->events[i]);
    }
    if (t->stop_after != 0 && t->call_count == t->stop_after) {
        synod_watch_stop(t->watch);
        t->watch = NULL;
    }
}

static void watch(struct synod *s, struct synod_watch_options options, struct told *t)
{
    t->s = s;
    assert_ok(s, synod_watch_start(s, &options, note, t, &t->watch));
}

static struct synod_watch_options prefix(const char *from, const char *end, uint64_t revision)
{
    return (struct synod_watch_options){
        .key = synod_text(from), .end = synod_text(end), .revision = revision};
}

static void poll_some(struct synod *s, const struct told *t, int wanted)
{
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (t->event_count < wanted && now_ms() < deadline) {
        assert_ok(s, synod_poll(s, 20));
    }
    assert_true(t->event_count >= wanted);
}

static void poll_events(struct synod *s, const struct told *t, int wanted)
{
    poll_some(s, t, wanted);
    assert_int_equal(t->event_count, wanted);
}

static void put_many(const char *format, int from, int count)
{
    for (int i = from; i < from + count; i++) {
        char key[32];
        snprintf(key, sizeof key, "%s%d", format, i);
        fake_put(&fake, key, "v");
    }
}

/* Proves: a watch tells puts and deletes of its range, with what was there before if wanted, and
 * nothing of other keys. */
static void test_events(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct told t = {0};
    struct synod_watch_options options = prefix("a", "b", 2);
    options.previous = 1;
    fake_put(&fake, "a1", "x");
    watch(s, options, &t);
    fake_put(&fake, "b1", "no");
    fake_put(&fake, "a1", "y");
    fake_delete(&fake, "a1");
    poll_events(s, &t, 3);
    assert_string_equal(t.trace, "put a1=x put a1=y was x delete a1 was y ");
    synod_watch_stop(t.watch);
    stop(s);
}

/* Proves: without a revision, a watch tells what was acknowledged after it was started, even if the
 * handle is polled only later, and nothing from before. */
static void test_from_now(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct told t = {0};
    fake_put(&fake, "a1", "before");
    watch(s, prefix("a", "b", 0), &t);
    fake_put(&fake, "a2", "after");
    poll_events(s, &t, 1);
    assert_string_equal(t.trace, "put a2=after ");
    synod_watch_stop(t.watch);
    stop(s);
}

/* Proves: filters leave out what they say; progress tells of revisions that changed nothing. */
static void test_filters_and_progress(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct told puts = {0}, deletes = {0};
    SCRIPT(watch_wait_ms, 20);
    struct synod_watch_options options = prefix("a", "b", 2);
    options.no_delete = 1;
    watch(s, options, &puts);
    options.no_delete = 0;
    options.no_put = options.progress = 1;
    watch(s, options, &deletes);
    fake_put(&fake, "a1", "x");
    fake_delete(&fake, "a1");
    uint64_t last = fake_put(&fake, "c", "x");
    poll_events(s, &puts, 1);
    poll_events(s, &deletes, 1);
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (deletes.progress < last && now_ms() < deadline) {
        assert_ok(s, synod_poll(s, 20));
    }
    assert_string_equal(puts.trace, "put a1=x ");
    assert_string_equal(deletes.trace, "delete a1 ");
    assert_int_equal(deletes.progress, last);
    assert_int_equal(puts.progress, 0);
    synod_watch_stop(puts.watch);
    synod_watch_stop(deletes.watch);
    stop(s);
}

/* Proves: pages that end anywhere, within a revision too, give every event once and in order, and a
 * revision that is split is marked so. */
static void test_pages(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct told t = {0};
    put_many("a", 0, 20);
    struct synod_request ops[10];
    char keys[10][8];
    for (int i = 0; i < 10; i++) {
        snprintf(keys[i], sizeof keys[i], "a%d", i);
        ops[i] = (struct synod_request){
            .op = SYNOD_PUT, .as.put = {.key = synod_text(keys[i]), .value = synod_text("t")}};
    }
    const struct synod_request txn = {.op = SYNOD_TXN, .as.txn = {.then = ops, .then_count = 10}};
    assert_ok(s, synod_request(s, &txn, SYNOD_LINEARIZABLE, NULL));
    put_many("a", 20, 3);
    SCRIPT(page_events, 3);
    watch(s, prefix("a", "b", 2), &t);
    poll_events(s, &t, 33);
    assert_false(t.is_disordered);
    assert_false(t.is_continued);
    assert_true(t.call_count > 24); /* one a revision, and the large one in parts */
    synod_watch_stop(t.watch);
    stop(s);
}

/* Proves: a watch goes on at another learner, exactly where it was, when its learner dies; and when
 * pages are refused because the learner is busy. */
static void test_other_learner(void **state)
{
    (void)state;
    struct synod *s = start(1, 2);
    struct told t = {0};
    SCRIPT(page_events, 4);
    watch(s, prefix("a", "b", 2), &t);
    for (int round = 0; round < 4; round++) {
        put_many("a", round * 10, 10);
        poll_some(s, &t, (round + 1) * 10 - 5);
        fake_lock(&fake);
        size_t used = fake.nodes[1].watch_count > fake.nodes[2].watch_count ? 1 : 2;
        fake.nodes[1].watch_count = fake.nodes[2].watch_count = 0;
        fake.watch_busy_count = 2;
        fake_unlock(&fake);
        fake_down(&fake, used, 1);
        poll_events(s, &t, (round + 1) * 10);
        fake_down(&fake, used, 0);
    }
    assert_false(t.is_disordered);
    synod_watch_stop(t.watch);
    stop(s);
}

/* A handle that knows of five keys by a question, or because it put the last itself. */
static void leave_stuck_learner(int is_own)
{
    struct synod *s = start(1, 2);
    struct told t = {0};
    put_many("a", 0, is_own ? 4 : 5);
    assert_ok(s, synod_get(s, synod_text("a0"), NULL));
    if (is_own) {
        assert_ok(s, synod_put(s, synod_text("a4"), synod_text("v"), 0, NULL));
    }
    fake_lock(&fake);
    size_t used = fake.nodes[1].query_count > 0 ? 1 : 2;
    fake.nodes[used].stuck_revision = 3;
    fake.watch_wait_ms = 20;
    fake_unlock(&fake);
    watch(s, prefix("a", "b", 2), &t);
    poll_events(s, &t, 5);
    synod_watch_stop(t.watch);
    stop(s);
}

/* Proves: a learner that is cut off from the others is left, although it answers, as soon as
 * anything told this handle of a higher revision. */
static void test_stuck_learner(void **state)
{
    (void)state;
    leave_stuck_learner(0);
    leave_stuck_learner(1);
}

/* Proves: a watch from below what was compacted ends with that, and tells where; and one that falls
 * so far behind, while nobody polls, that what it needs is swept, too. Nothing is skipped in
 * silence. */
static void test_compacted(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct told t = {0}, late = {0};
    put_many("a", 0, 10);
    fake_compact(&fake, 8);
    watch(s, prefix("a", "b", 3), &t);
    poll_for(s, &t.is_ended);
    assert_int_equal(t.end_code, SYNOD_E_COMPACTED);
    assert_int_equal(t.end_revision, 8);
    assert_int_equal(t.event_count, 0);
    SCRIPT(page_events, 1);
    watch(s, prefix("a", "b", 9), &late);
    poll_some(s, &late, 1); /* how many come at once is the learner's affair */
    put_many("a", 10, 10);
    fake_sweep(&fake, 18);
    fake_compact(&fake, 18);
    poll_for(s, &late.is_ended);
    assert_int_equal(late.end_code, SYNOD_E_COMPACTED);
    assert_false(late.is_disordered);
    int calls = late.call_count;
    assert_ok(s, synod_poll(s, 30));
    assert_int_equal(late.call_count, calls);
    synod_watch_stop(t.watch);
    synod_watch_stop(late.watch);
    stop(s);
}

/* Proves: a watch from now, and one that has begun, hear every event while somebody compacts to the
 * present behind every page, also when they go on at another learner; with what was there before.
 */
static void test_storm_of_compactions(void **state)
{
    (void)state;
    struct synod *s = start(1, 2);
    struct told now = {0}, from = {0};
    put_many("a", 0, 10); /* 2 to 11 */
    struct synod_watch_options options = prefix("a", "b", 11);
    options.previous = 1;
    watch(s, options, &from);
    poll_events(s, &from, 1);
    fake_storm(&fake, 1);
    options.revision = 0;
    watch(s, options, &now); /* its first question finds its beginning compacted */
    SCRIPT(page_events, 1);
    for (int round = 0; round < 4; round++) {
        put_many("a", 0, 10);
        fake_down(&fake, 1 + (size_t)round % 2, 1);
        poll_events(s, &now, 10 * (round + 1));
        poll_events(s, &from, 1 + 10 * (round + 1));
        fake_down(&fake, 1 + (size_t)round % 2, 0);
    }
    assert_false(now.is_disordered || from.is_disordered);
    assert_true(strncmp(from.trace + strlen("put a9=v "), now.trace, 400) == 0);
    synod_watch_stop(now.watch);
    synod_watch_stop(from.watch);
    stop(s);
}

/* Proves: a watch may be stopped from its own callback, and tells nothing any more. */
static void test_stop_in_callback(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct told t = {.stop_after = 3};
    put_many("a", 0, 10);
    watch(s, prefix("a", "b", 2), &t);
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (t.watch != NULL && now_ms() < deadline) {
        assert_ok(s, synod_poll(s, 20));
    }
    assert_ok(s, synod_poll(s, 20));
    assert_int_equal(t.call_count, 3);
    synod_watch_stop(NULL);
    stop(s);
}

/* Proves: a hundred watches of one handle each tell their own key. */
static void test_many(void **state)
{
    (void)state;
    struct synod *s = start(1, 2);
    struct told *told = calloc(100, sizeof *told);
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "w%d", i);
        watch(s, prefix(key, "", 2), &told[i]);
    }
    put_many("w", 0, 100);
    for (int i = 0; i < 100; i++) {
        char expected[32];
        poll_events(s, &told[i], 1);
        snprintf(expected, sizeof expected, "put w%d=v ", i);
        assert_string_equal(told[i].trace, expected);
    }
    for (int i = 0; i < 50; i++) { /* the others are freed by close */
        synod_watch_stop(told[i].watch);
    }
    stop(s);
    free(told);
}

struct starts {
    struct told since, now;
};

static void start_in_callback(void *arg, int code, const struct synod_events *events)
{
    struct starts *t = arg;
    assert_int_equal(code, SYNOD_OK);
    struct synod *s = t->since.s;
    struct synod_watch_options options = prefix("b", "c", events->revision + 1);
    assert_int_equal(synod_watch_start(s, &options, note, &t->since, &t->since.watch), SYNOD_OK);
    options.revision = 0;
    options.progress = 1;
    assert_int_equal(synod_watch_start(s, &options, note, &t->now, &t->now.watch), SYNOD_OK);
    struct synod_watch *unwanted = NULL;
    assert_int_equal(synod_watch_start(s, &options, note, NULL, &unwanted), SYNOD_OK);
    synod_watch_stop(unwanted);
}

/* Proves: a watch can be started in a callback, from a revision; and without one, though nothing
 * can be waited for there: it begins behind a revision that it tells, and tells what comes later.
 * */
static void test_start_in_callback(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct starts t = {.since.s = s};
    struct synod_watch *first = NULL;
    const struct synod_watch_options options = prefix("a", "", 2);
    assert_ok(s, synod_watch_start(s, &options, start_in_callback, &t, &first));
    fake_put(&fake, "b", "early");
    fake_put(&fake, "a", "x");
    fake_put(&fake, "b", "late");
    poll_events(s, &t.since, 1);
    assert_string_equal(t.since.trace, "put b=late ");
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (t.now.progress == 0 && now_ms() < deadline) {
        assert_ok(s, synod_poll(s, 20));
    }
    assert_true(t.now.progress >= t.since.revision);
    assert_int_equal(t.now.event_count, 0);
    fake_put(&fake, "b", "later");
    poll_events(s, &t.now, 1);
    assert_string_equal(t.now.trace, "put b=later ");
    stop(s);
}

/* Proves: what is no range or no revision is refused with a sentence. */
static void test_usage(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct synod_watch *out = NULL;
    struct synod_watch_options options = prefix("", "", 2);
    assert_refused(s, synod_watch_start(s, &options, note, NULL, &out), SYNOD_E_USAGE, "key");
    options = prefix("a", "", (uint64_t)-5);
    assert_refused(s, synod_watch_start(s, &options, note, NULL, &out), SYNOD_E_USAGE,
                   "-5 is no revision");
    const char *const empty[][2] = {{"a", "a"}, {"b", "a"}, {"aa", "a"}};
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++) {
        options = prefix(empty[i][0], empty[i][1], 2);
        assert_refused(s, synod_watch_start(s, &options, note, NULL, &out), SYNOD_E_USAGE,
                       "no key lies");
    }
    assert_null(out);
    stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_events, clean_up),
        cmocka_unit_test_teardown(test_from_now, clean_up),
        cmocka_unit_test_teardown(test_filters_and_progress, clean_up),
        cmocka_unit_test_teardown(test_pages, clean_up),
        cmocka_unit_test_teardown(test_other_learner, clean_up),
        cmocka_unit_test_teardown(test_stuck_learner, clean_up),
        cmocka_unit_test_teardown(test_compacted, clean_up),
        cmocka_unit_test_teardown(test_storm_of_compactions, clean_up),
        cmocka_unit_test_teardown(test_stop_in_callback, clean_up),
        cmocka_unit_test_teardown(test_many, clean_up),
        cmocka_unit_test_teardown(test_start_in_callback, clean_up),
        cmocka_unit_test_teardown(test_usage, clean_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
