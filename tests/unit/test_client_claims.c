/* The client's work items and queues: one claim at a time, counters and tokens that rise, and a
 * stale holder that changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/client_kit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- work */

static struct synod_work claim(struct synod *s, const char *item, const char *owner)
{
    struct synod_work work = {0};
    assert_ok(s, synod_work_claim(s, item, owner, 5000, 0, &work));
    assert_int_equal(work.state, SYNOD_WORK_CLAIMED);
    assert_string_equal(work.owner, owner);
    return work;
}

/* Proves: an item is claimed, renewed, completed and shown, and then is done for good. */
static void test_work(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct synod_work work = claim(s, "invoice/1", "host-a");
    assert_int_equal(work.counter, 1);
    assert_true(work.token > 0);
    struct synod_work seen = {0};
    assert_ok(s, synod_work_show(s, "invoice/1", &seen));
    assert_int_equal(seen.state, SYNOD_WORK_CLAIMED);
    assert_int_equal(seen.token, work.token);
    assert_ok(s, synod_work_renew(s, "invoice/1", work.token));
    assert_ok(s, synod_work_complete(s, "invoice/1", work.token, synod_text("paid")));
    /* Again, as one does whose answer was lost; but not with another result. */
    assert_ok(s, synod_work_complete(s, "invoice/1", work.token, synod_text("paid")));
    assert_refused(s, synod_work_complete(s, "invoice/1", work.token, synod_text("not paid")),
                   SYNOD_E_LOST, "has ended");
    assert_ok(s, synod_work_show(s, "invoice/1", &seen));
    assert_int_equal(seen.state, SYNOD_WORK_DONE);
    assert_int_equal(seen.token, work.token);
    assert_true(is_text(seen.result, "paid"));
    assert_refused(s, synod_work_claim(s, "invoice/1", "host-b", 5000, 0, &seen), SYNOD_E_EXISTS,
                   "done");
    assert_string_equal(seen.owner, "host-a");
    assert_true(is_text(seen.result, "paid"));
    assert_refused(s, synod_work_renew(s, "invoice/1", work.token), SYNOD_E_LOST, "has ended");
    assert_refused(s, synod_work_show(s, "invoice/2", &seen), SYNOD_E_NOT_FOUND, "never claimed");
    stop(s);
}

/* Proves: while an item is held nobody else gets it and the counter stands; when its holder falls
 * silent another one takes over and the counter rises; whatever the first then tries is refused and
 * changes nothing. */
static void test_work_taken_over(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct synod *other = open_client((struct synod_options){0});
    struct synod_work first = claim(s, "i", "host-a");
    struct synod_work seen = {0};
    assert_refused(other, synod_work_claim(other, "i", "host-b", 5000, 0, &seen), SYNOD_E_EXISTS,
                   "host-a");
    assert_int_equal(seen.counter, 1);
    assert_int_equal(seen.token, first.token);
    fake_advance(&fake, 3000);
    assert_ok(s, synod_work_renew(s, "i", first.token));
    fake_advance(&fake, 3000);
    assert_int_equal(synod_work_claim(other, "i", "host-b", 5000, 0, &seen), SYNOD_E_EXISTS);
    fake_advance(&fake, 5001);
    struct synod_work second = claim(other, "i", "host-b");
    assert_int_equal(second.counter, 2);
    assert_true(second.token > first.token);
    assert_refused(s, synod_work_complete(s, "i", first.token, synod_text("x")), SYNOD_E_LOST,
                   "of the past");
    assert_refused(s, synod_work_renew(s, "i", first.token), SYNOD_E_LOST, "of the past");
    assert_refused(s, synod_work_release(s, "i", first.token), SYNOD_E_LOST, "of the past");
    assert_refused(s, synod_work_complete(s, "i", 0, synod_text("x")), SYNOD_E_LOST, "of the past");
    assert_ok(other, synod_work_show(other, "i", &seen));
    assert_int_equal(seen.state, SYNOD_WORK_CLAIMED);
    assert_int_equal(seen.token, second.token);
    assert_ok(other, synod_work_release(other, "i", second.token));
    assert_ok(s, synod_work_show(s, "i", &seen));
    assert_int_equal(seen.state, SYNOD_WORK_FREE);
    assert_int_equal(seen.counter, 2);
    assert_int_equal(claim(s, "i", "host-a").counter, 3);
    synod_close(other);
    stop(s);
}

/* Proves: the counter rises with a take-over, which is a claim of what another owner had, or of
 * what expired, and with nothing else: not when it is renewed, nor when its owner gives it up and
 * claims it again. The token rises with each claim all the same, and what is late is refused. */
static void test_work_counter(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct synod_work first = claim(s, "i", "host-a");
    for (int i = 0; i < 3; i++) {
        assert_ok(s, synod_work_renew(s, "i", first.token));
    }
    struct synod_work seen = {0};
    assert_ok(s, synod_work_show(s, "i", &seen));
    assert_int_equal(seen.counter, 1);
    assert_int_equal(seen.token, first.token);
    assert_ok(s, synod_work_release(s, "i", first.token));
    assert_ok(s, synod_work_show(s, "i", &seen));
    assert_int_equal(seen.state, SYNOD_WORK_FREE);
    assert_int_equal(seen.counter, 1);
    assert_int_equal(seen.token, 0);
    assert_string_equal(seen.owner, "host-a");
    struct synod_work again = claim(s, "i", "host-a");
    assert_int_equal(again.counter, 1);
    assert_true(again.token > first.token);
    assert_refused(s, synod_work_complete(s, "i", first.token, synod_text("")), SYNOD_E_LOST,
                   "of the past");
    assert_refused(s, synod_work_release(s, "i", first.token), SYNOD_E_LOST, "of the past");
    /* The late release did not make a voluntary end of what expires now. */
    fake_advance(&fake, 5001);
    struct synod_work expired = claim(s, "i", "host-a");
    assert_int_equal(expired.counter, 2);
    assert_ok(s, synod_work_release(s, "i", expired.token));
    struct synod_work other = claim(s, "i", "host-b");
    assert_int_equal(other.counter, 3);
    assert_ok(s, synod_work_release(s, "i", other.token));
    assert_int_equal(claim(s, "i", "host-b").counter, 3);
    stop(s);
}

/* Proves: a claim ends with its handle's session, unless it is detached; a detached one is renewed
 * and completed by its token from anywhere. */
static void test_work_detached(void **state)
{
    (void)state;
    fake_start(&fake, 1, 1);
    struct synod *s = open_client((struct synod_options){0});
    struct synod *other = open_client((struct synod_options){0});
    struct synod_work seen = {0}, detached = {0};
    claim(s, "bound", "a");
    assert_ok(s, synod_work_claim(s, "detached", "a", 5000, 1, &detached));
    synod_close(s);
    assert_ok(other, synod_work_show(other, "bound", &seen));
    assert_int_equal(seen.state, SYNOD_WORK_FREE);
    assert_ok(other, synod_work_renew(other, "detached", detached.token));
    assert_ok(other, synod_work_complete(other, "detached", detached.token, synod_text("")));
    stop(other);
}

static int note_item(void *arg, const char *item, const struct synod_work *work)
{
    char *trace = arg;
    size_t used = strlen(trace);
    snprintf(trace + used, 256 - used, "%s:%d:%s ", item, (int)work->state, work->owner);
    return 0;
}

/* Proves: the list shows each item with its state, in the order of their keys, over many pages,
 * also while somebody puts and compacts to the present all the time; and that it took too long is
 * said. */
static void test_work_list(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct synod_work b = claim(s, "b/1", "x");
    claim(s, "a", "y");
    struct synod_work c = claim(s, "c", "z");
    claim(s, "b", "w");
    assert_ok(s, synod_work_complete(s, "b/1", b.token, synod_text("r")));
    assert_ok(s, synod_work_release(s, "c", c.token));
    SCRIPT(page_kvs, 1);
    for (int is_storm = 0; is_storm < 2; is_storm++) {
        char trace[256] = "";
        fake_storm(&fake, is_storm);
        assert_ok(s, synod_work_list(s, note_item, trace));
        assert_string_equal(trace, "a:1:y b:1:w b/1:2:x c:0:z ");
    }
    synod_close(s);
    s = open_client((struct synod_options){.timeout_ms = 300});
    fake_sweep(&fake, UINT64_MAX);
    char trace[256] = "";
    assert_refused(s, synod_work_list(s, note_item, trace), SYNOD_E_COMPACTED, "compacted");
    assert_string_equal(trace, "");
    stop(s);
}

/* Proves: bad arguments are refused before anything is sent. */
static void test_work_usage(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct synod_work out;
    char owner[300];
    memset(owner, 'o', sizeof owner);
    owner[299] = '\0';
    assert_refused(s, synod_work_claim(s, "i", owner, 5000, 0, &out), SYNOD_E_USAGE, "255");
    assert_refused(s, synod_work_claim(s, "", "o", 5000, 0, &out), SYNOD_E_USAGE, "1 to");
    assert_refused(s, synod_work_claim(s, "i", "o", 0, 0, &out), SYNOD_E_USAGE, "1 to");
    assert_refused(s, synod_work_claim(s, "i", "o", (uint64_t)-5, 0, &out), SYNOD_E_USAGE,
                   "not -5,");
    char *large = calloc(1, SYNOD_VALUE_BYTES_MAX + 1);
    struct synod_bytes result = {large, SYNOD_RESULT_BYTES_MAX + 1};
    assert_refused(s, synod_work_complete(s, "i", 1, result), SYNOD_E_USAGE, "1047552");
    result.size = SYNOD_RESULT_BYTES_MAX; /* with the longest owner */
    owner[255] = '\0';
    struct synod_work longest;
    assert_ok(s, synod_work_claim(s, "longest", owner, 10000, 0, &longest));
    assert_ok(s, synod_work_complete(s, "longest", longest.token, result));
    free(large);
    fake_put(&fake, "synod/work/item/odd", "no item");
    assert_refused(s, synod_work_show(s, "odd", &out), SYNOD_E_CORRUPT, "no work item");
    stop(s);
}

/* ---- queues */

static void push(struct synod *s, const char *queue, const char *data)
{
    char id[32];
    assert_ok(s, synod_queue_push(s, queue, synod_text(data), id));
    assert_int_equal(strlen(id), 24);
}

static struct synod_message take(struct synod *s, const char *queue, const char *expected)
{
    struct synod_message m = {0};
    assert_ok(s, synod_queue_claim(s, queue, 5000, 0, 0, &m));
    if (!is_text(m.data, expected)) {
        fail_msg("\"%.*s\" instead of \"%s\"", (int)m.data.size, (const char *)m.data.data,
                 expected);
    }
    return m;
}

static void nothing_to_take(struct synod *s, const char *queue)
{
    struct synod_message m = {0};
    assert_refused(s, synod_queue_claim(s, queue, 5000, 0, 0, &m), SYNOD_E_NOT_FOUND, "no message");
}

/* Proves: messages are claimed in the order of arrival, each by one; acknowledged ones are gone,
 * those released or whose claim has ended are back at the front with a higher token. */
static void test_queue(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct synod *other = open_client((struct synod_options){0});
    nothing_to_take(s, "q");
    push(s, "q", "one");
    push(other, "q", "two");
    push(s, "q", "three");
    push(s, "q/item", "elsewhere");
    struct synod_message one = take(s, "q", "one");
    struct synod_message two = take(other, "q", "two");
    struct synod_queue shown = {0};
    assert_ok(s, synod_queue_show(s, "q", &shown));
    assert_int_equal(shown.length, 3);
    assert_int_equal(shown.claimed, 2);
    assert_ok(s, synod_queue_acknowledge(s, "q", one.id, one.token));
    assert_ok(other, synod_queue_release(other, "q", two.id, two.token));
    struct synod_message again = take(s, "q", "two");
    assert_string_equal(again.id, two.id);
    assert_true(again.token > two.token);
    fake_advance(&fake, 3000);
    assert_ok(s, synod_queue_extend(s, "q", again.id, again.token));
    fake_advance(&fake, 3000);
    take(other, "q", "three");
    nothing_to_take(other, "q");
    fake_advance(&fake, 2001); /* of the extended claim, which began first */
    struct synod_message third = take(other, "q", "two");
    assert_refused(s, synod_queue_acknowledge(s, "q", again.id, again.token), SYNOD_E_LOST,
                   "of the past");
    assert_refused(s, synod_queue_extend(s, "q", again.id, again.token), SYNOD_E_LOST,
                   "of the past");
    assert_refused(s, synod_queue_release(s, "q", again.id, again.token), SYNOD_E_LOST,
                   "of the past");
    assert_ok(other, synod_queue_acknowledge(other, "q", third.id, third.token));
    assert_refused(other, synod_queue_acknowledge(other, "q", third.id, third.token), SYNOD_E_LOST,
                   "of the past");
    synod_close(other);
    stop(s);
}

#define PUSHERS 6

struct pushing {
    pthread_t thread;
    struct synod *s;
    int code;
};

static void *push_if_empty(void *arg)
{
    struct pushing *p = arg;
    p->code = synod_queue_push_if_empty(p->s, "q", synod_text("the one"), NULL);
    return NULL;
}

/* Proves: of several that push into an empty queue at once one succeeds; a claimed message counts,
 * messages of other queues do not. */
static void test_queue_push_if_empty(void **state)
{
    (void)state;
    struct synod *s = start(1, 2);
    struct pushing pushers[PUSHERS];
    int pushed = 0;
    push(s, "q2", "of another queue");
    for (size_t i = 0; i < PUSHERS; i++) {
        pushers[i] = (struct pushing){.s = open_client((struct synod_options){0})};
        pthread_create(&pushers[i].thread, NULL, push_if_empty, &pushers[i]);
    }
    for (size_t i = 0; i < PUSHERS; i++) {
        pthread_join(pushers[i].thread, NULL);
        pushed += pushers[i].code == SYNOD_OK;
        assert_true(pushers[i].code == SYNOD_OK || pushers[i].code == SYNOD_E_EXISTS);
        synod_close(pushers[i].s);
    }
    assert_int_equal(pushed, 1);
    struct synod_message one = take(s, "q", "the one");
    nothing_to_take(s, "q");
    assert_refused(s, synod_queue_push_if_empty(s, "q", synod_text("x"), NULL), SYNOD_E_EXISTS,
                   "claimed");
    assert_ok(s, synod_queue_acknowledge(s, "q", one.id, one.token));
    char id[32] = "";
    assert_ok(s, synod_queue_push_if_empty(s, "q", synod_text("next"), id));
    assert_string_equal(take(s, "q", "next").id, id);
    stop(s);
}

/* Proves: the first free message is found behind many claimed ones. */
static void test_queue_long(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    char text[16];
    for (int i = 0; i < 200; i++) {
        snprintf(text, sizeof text, "m%d", i);
        push(s, "q", text);
    }
    struct synod_message tenth = {0};
    fake_storm(&fake, 1);
    for (int i = 0; i < 150; i++) {
        snprintf(text, sizeof text, "m%d", i);
        struct synod_message m = take(s, "q", text);
        tenth = i == 10 ? m : tenth;
    }
    assert_ok(s, synod_queue_release(s, "q", tenth.id, tenth.token));
    take(s, "q", "m10");
    take(s, "q", "m150");
    stop(s);
}

struct taking {
    pthread_t thread;
    struct synod *s;
    int code;
    struct synod_message message;
    char data[32];
};

static void *take_waiting(void *arg)
{
    struct taking *t = arg;
    t->code = synod_queue_claim(t->s, "q", 5000, 1, DEADLINE_MS, &t->message);
    if (t->code == SYNOD_OK) {
        snprintf(t->data, sizeof t->data, "%.*s", (int)t->message.data.size,
                 (const char *)t->message.data.data);
    }
    return NULL;
}

static void start_taking(struct taking *t)
{
    *t = (struct taking){.s = open_client((struct synod_options){0})};
    pthread_create(&t->thread, NULL, take_waiting, t);
}

/* Proves: who waits gets a message as soon as one is pushed, or as a claim ends, and each message
 * goes to one of them. */
static void test_queue_waiting(void **state)
{
    (void)state;
    struct synod *s = start(1, 2);
    struct taking t[3];
    for (size_t i = 0; i < 3; i++) {
        start_taking(&t[i]);
    }
    push(s, "q", "one");
    push(s, "q", "two");
    push(s, "q", "three");
    int seen[3] = {0};
    for (size_t i = 0; i < 3; i++) {
        pthread_join(t[i].thread, NULL);
        assert_int_equal(t[i].code, SYNOD_OK);
        seen[0] += strcmp(t[i].data, "one") == 0;
        seen[1] += strcmp(t[i].data, "two") == 0;
        seen[2] += strcmp(t[i].data, "three") == 0;
    }
    assert_true(seen[0] == 1 && seen[1] == 1 && seen[2] == 1);
    struct taking late;
    start_taking(&late);
    int64_t deadline = now_ms() + DEADLINE_MS;
    size_t watches = 0;
    while (watches < 2 && now_ms() < deadline) {
        fake_lock(&fake);
        watches = fake.nodes[1].watch_count + fake.nodes[2].watch_count;
        fake_unlock(&fake);
        sched_yield();
    }
    fake_advance(&fake, 5001); /* the claims, which are detached */
    pthread_join(late.thread, NULL);
    assert_int_equal(late.code, SYNOD_OK);
    assert_string_equal(late.data, "one");
    for (size_t i = 0; i < 3; i++) {
        synod_close(t[i].s);
    }
    synod_close(late.s);
    stop(s);
}

/* Proves: bad arguments are refused, and the end of the wait is no claim. */
static void test_queue_usage(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct synod_message m;
    assert_refused(s, synod_queue_claim(s, "q", 0, 0, 0, &m), SYNOD_E_USAGE, "1 to");
    assert_refused(s, synod_queue_claim(s, "q", (uint64_t)-5, 0, 0, &m), SYNOD_E_USAGE, "not -5;");
    assert_refused(s, synod_queue_claim(s, "", 5, 0, 0, &m), SYNOD_E_USAGE, "1 to");
    assert_refused(s, synod_queue_extend(s, "q", "", 1), SYNOD_E_USAGE, "id");
    assert_refused(s, synod_queue_extend(s, "q", "0123456789012345678901234567890123", 1),
                   SYNOD_E_USAGE, "id");
    char *large = calloc(1, SYNOD_VALUE_BYTES_MAX + 1);
    const struct synod_bytes data = {large, SYNOD_VALUE_BYTES_MAX + 1};
    assert_refused(s, synod_queue_push(s, "q", data, NULL), SYNOD_E_USAGE, "1048576");
    free(large);
    assert_refused(s, synod_queue_claim(s, "q", 1000, 0, 50, &m), SYNOD_E_NOT_FOUND, "in time");
    stop(s);
}

static int count_lease(void *arg, const struct synod_lease *lease)
{
    (void)lease;
    ++*(int *)arg;
    return 0;
}

/* Proves: a claim whose answers are lost is one claim, and leaves no lease behind that nobody
 * knows. */
static void test_claims_once(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    push(s, "q", "one");
    push(s, "q", "two");
    for (int i = 0; i < 2; i++) {
        SCRIPT(drop_submit_count, 1);
        struct synod_message m = take(s, "q", i == 0 ? "one" : "two");
        SCRIPT(drop_result_count, 1);
        assert_ok(s, synod_queue_acknowledge(s, "q", m.id, m.token));
    }
    struct synod_queue shown = {9, 9};
    assert_ok(s, synod_queue_show(s, "q", &shown));
    assert_int_equal(shown.length + shown.claimed, 0);
    SCRIPT(drop_result_count, 1);
    assert_int_equal(claim(s, "i", "o").counter, 1);
    assert_ok(s, synod_put(s, synod_text("behind"), synod_text("all"), 0, NULL));
    int leases = 0;
    assert_ok(s, synod_lease_list(s, count_lease, &leases));
    assert_int_equal(leases, 2); /* the session and the claim of the item */
    stop(s);
}

static void end_grants(size_t count)
{
    fake_lock(&fake);
    fake_store_end_grants(fake.store, count);
    fake_unlock(&fake);
}

/* Proves: a claim whose lease ended on the way is made again, for the same message; one that is too
 * short for that says so. */
static void test_lease_ends_on_the_way(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct synod_work work;
    struct synod_message message;
    push(s, "q", "first");
    push(s, "q", "second");
    end_grants(2);
    assert_ok(s, synod_work_claim(s, "i", "o", 5000, 0, &work));
    assert_int_equal(work.counter, 1);
    end_grants(2);
    assert_ok(s, synod_queue_claim(s, "q", 5000, 0, 0, &message));
    assert_true(is_text(message.data, "first"));
    end_grants(100);
    assert_refused(s, synod_work_claim(s, "j", "o", 7, 0, &work), SYNOD_E_UNAVAILABLE, "7 ms");
    assert_refused(s, synod_queue_claim(s, "q", 7, 0, 0, &message), SYNOD_E_UNAVAILABLE, "7 ms");
    stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_work, clean_up),
        cmocka_unit_test_teardown(test_work_taken_over, clean_up),
        cmocka_unit_test_teardown(test_work_counter, clean_up),
        cmocka_unit_test_teardown(test_work_detached, clean_up),
        cmocka_unit_test_teardown(test_work_list, clean_up),
        cmocka_unit_test_teardown(test_work_usage, clean_up),
        cmocka_unit_test_teardown(test_queue, clean_up),
        cmocka_unit_test_teardown(test_queue_push_if_empty, clean_up),
        cmocka_unit_test_teardown(test_queue_long, clean_up),
        cmocka_unit_test_teardown(test_queue_waiting, clean_up),
        cmocka_unit_test_teardown(test_queue_usage, clean_up),
        cmocka_unit_test_teardown(test_claims_once, clean_up),
        cmocka_unit_test_teardown(test_lease_ends_on_the_way, clean_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
