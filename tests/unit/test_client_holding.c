/* Locks, elections and claims without waiting, and interrupted: what is told is told once, what is
 * cancelled leaves nothing behind, and a call that signals end goes on where it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/client_kit.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 200

/* ---- locks without waiting */

struct asked {
    struct synod *s;
    uint64_t id;
    uint64_t token;
    uint64_t lost_token;
    struct synod_lock *lock;
    struct synod_election *election;
    int told; /* how often */
    int code;
    int lost; /* how often */
    int gives_back_when_lost;
    int released, released_code;
};

static void on_lock(void *arg, int code, struct synod_lock *lock)
{
    struct asked *a = arg;
    a->told++;
    a->code = code;
    a->lock = lock;
    a->token = lock != NULL ? synod_lock_token(lock) : 0;
}

static void on_released(void *arg, int code)
{
    struct asked *a = arg;
    a->released++;
    a->released_code = code;
}

static void on_lost(void *arg, uint64_t token)
{
    struct asked *a = arg;
    a->lost++;
    a->lost_token = token;
    if (a->gives_back_when_lost) {
        assert_ok(a->s, synod_unlock_async(a->lock, on_released, a));
        a->lock = NULL;
    }
}

static struct asked ask_for_lock(struct synod *s, struct asked *a, uint32_t timeout_ms)
{
    *a = (struct asked){.s = s};
    assert_ok(s, synod_lock_async(s, "job", timeout_ms, on_lock, on_lost, a, &a->id));
    assert_int_equal(a->told, 0);
    return *a;
}

static void delete_key_of(struct synod *s, const char *kind)
{
    char key[64];
    uint64_t session = 0;
    assert_ok(s, synod_session(s, &session));
    snprintf(key, sizeof key, "synod/%s/job/%016llx", kind, (unsigned long long)session);
    fake_delete(&fake, key);
}

static void wait_for_count(struct synod *s, const char *prefix, size_t count)
{
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (fake_count(&fake, prefix) != count && now_ms() < deadline) {
        assert_ok(s, synod_poll(s, 5));
    }
    assert_int_equal(fake_count(&fake, prefix), count);
}

/* Proves: a lock that is asked for is told once when it is ours, and once when it is lost, also to
 * one that gives it back then; tokens rise. */
static void test_lock_async(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct synod *other = open_client((struct synod_options){0});
    struct asked first, second;
    ask_for_lock(s, &first, 0);
    poll_for(s, &first.told);
    assert_int_equal(first.code, SYNOD_OK);
    assert_true(synod_lock_is_held(first.lock));
    ask_for_lock(other, &second, UINT32_MAX);
    wait_for_count(other, "synod/lock/job/", 2);
    assert_int_equal(second.told, 0);
    assert_ok(s, synod_unlock_async(first.lock, on_released, &first));
    poll_for(s, &first.released);
    assert_int_equal(first.released_code, SYNOD_OK);
    poll_for(other, &second.told);
    assert_int_equal(second.code, SYNOD_OK);
    assert_true(second.token > first.token);
    assert_int_equal(first.lost, 0);
    second.gives_back_when_lost = 1;
    delete_key_of(other, "lock");
    poll_for(other, &second.lost);
    assert_int_equal(second.lost_token, second.token);
    poll_for(other, &second.released);
    assert_int_equal(second.released_code, SYNOD_E_LOST);
    assert_int_equal(first.told + second.told + second.lost, 3);
    assert_int_equal(synod_lock_async(s, "", 0, on_lock, NULL, &first, NULL), SYNOD_E_USAGE);
    synod_close(other);
    stop(s);
}

/* Proves: one that gives up is told, and so is one that asks for what this handle has. */
static void test_lock_async_refused(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct synod *other = open_client((struct synod_options){0});
    struct asked held, again, late;
    ask_for_lock(s, &held, 0);
    poll_for(s, &held.told);
    ask_for_lock(s, &again, 0);
    poll_for(s, &again.told);
    assert_int_equal(again.code, SYNOD_E_EXISTS);
    assert_null(again.lock);
    ask_for_lock(other, &late, 50);
    poll_for(other, &late.told);
    assert_int_equal(late.code, SYNOD_E_UNAVAILABLE);
    assert_non_null(strstr(synod_error(other), "before us"));
    assert_int_equal(fake_count(&fake, "synod/lock/job/"), 1);
    assert_ok(s, synod_unlock(held.lock));
    synod_close(other);
    stop(s);
}

/* Proves: who gives up because a learner owes an answer, when no proposer can be reached to take
 * our place back, is told half a second later, also if nothing else happens to the handle. */
static void test_lock_given_up_alone(void **state)
{
    (void)state;
    fake_start(&fake, 1, 1);
    struct synod *other = open_client((struct synod_options){0});
    struct synod *s = open_client((struct synod_options){.timeout_ms = 400});
    struct synod_lock *held = NULL;
    assert_ok(other, synod_lock(other, "job", 0, &held));
    struct asked late;
    ask_for_lock(s, &late, 300);
    wait_for_count(s, "synod/lock/job/", 2);
    fake_down(&fake, 0, 1);
    SCRIPT(drop_query_count, 1000);
    int64_t began = now_ms();
    while (now_ms() - began < 350) { /* it looks, and waits for an answer */
        assert_ok(s, synod_poll(s, 10));
    }
    assert_int_equal(late.told, 0);
    usleep(500 * 1000); /* the program is busy; that answer is late now */
    began = now_ms();
    while (!late.told && now_ms() - began < 5000) {
        assert_ok(s, synod_poll(s, 5000));
    }
    assert_int_equal(late.told, 1);
    assert_int_equal(late.code, SYNOD_E_UNAVAILABLE);
    assert_in_range((uint64_t)(now_ms() - began), 0, 3000);
    synod_close(other);
    stop(s);
}

/* Proves: who is cancelled is told nothing and leaves the queue; what is ours is not cancelled. */
static void test_lock_cancelled(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct synod *other = open_client((struct synod_options){0});
    struct asked held, waiting, never;
    ask_for_lock(s, &held, 0);
    poll_for(s, &held.told);
    ask_for_lock(other, &waiting, UINT32_MAX);
    wait_for_count(other, "synod/lock/job/", 2);
    assert_ok(other, synod_cancel(other, waiting.id));
    wait_for_count(other, "synod/lock/job/", 1);
    ask_for_lock(other, &never, UINT32_MAX);
    assert_ok(other, synod_cancel(other, never.id)); /* before anything was sent */
    assert_ok(s, synod_cancel(s, held.id));
    assert_ok(s, synod_poll(s, 20));
    assert_true(synod_lock_is_held(held.lock));
    assert_ok(s, synod_unlock(held.lock));
    struct synod_lock *lock = NULL;
    assert_ok(s, synod_lock(s, "job", 0, &lock));
    assert_ok(other, synod_poll(other, 20));
    assert_int_equal(waiting.told + never.told + waiting.lost, 0);
    synod_close(other);
    stop(s);
}

/* Proves: the loss of a lock that was waited for is told, too, and one that is lost already says so
 * at once. */
static void test_on_lost(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct asked a = {.s = s};
    struct synod_lock *lock = NULL;
    assert_ok(s, synod_lock(s, "job", 0, &lock));
    assert_ok(s, synod_lock_on_lost(lock, on_lost, &a));
    delete_key_of(s, "lock");
    poll_for(s, &a.lost);
    assert_int_equal(a.lost_token, synod_lock_token(lock));
    assert_false(synod_lock_is_held(lock));
    assert_refused(s, synod_lock_on_lost(lock, on_lost, &a), SYNOD_E_LOST, "not ours any more");
    assert_int_equal(a.lost, 1);
    assert_int_equal(synod_unlock(lock), SYNOD_E_LOST);

    struct synod_election *election = NULL;
    assert_ok(s, synod_campaign(s, "job", synod_text("me"), 0, &election));
    assert_ok(s, synod_election_on_lost(election, on_lost, &a));
    delete_key_of(s, "election");
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (a.lost < 2 && now_ms() < deadline) {
        assert_ok(s, synod_poll(s, 20));
    }
    assert_int_equal(a.lost, 2);
    assert_int_equal(synod_resign(election), SYNOD_E_LOST);
    stop(s);
}

/* Proves: many locks are asked for at once, each is told, and a handle that is closed tells those
 * that wait, once, and nothing of what it had. */
static void test_many_and_closed(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct synod *other = open_client((struct synod_options){0});
    static struct asked locks[MANY];
    char name[32];
    memset(locks, 0, sizeof locks);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "job%d", i / 2);
        struct synod *of = i % 2 == 0 ? s : other;
        locks[i].s = of;
        assert_ok(of, synod_lock_async(of, name, UINT32_MAX, on_lock, on_lost, &locks[i], NULL));
        if (i % 2 == 0) {
            poll_for(s, &locks[i].told);
        }
    }
    wait_for_count(other, "synod/lock/", MANY);
    assert_int_equal(synod_close(other), SYNOD_OK);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(locks[i].told, 1);
        assert_int_equal(locks[i].code, i % 2 == 0 ? SYNOD_OK : SYNOD_E_INTERRUPTED);
    }
    synod_close(s);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(locks[i].told + locks[i].lost, 1);
    }
    fake_stop(&fake);
}

struct closing {
    struct synod *s;
    struct synod_lock *lock, *other_lock;
    struct synod_watch *watch;
    char trace[64]; /* who was told, in that order */
};

static void trace(struct closing *c, const char *word)
{
    size_t size = strlen(c->trace);
    snprintf(c->trace + size, sizeof c->trace - size, "%s ", word);
}

static void on_closed_query(void *arg, int code, const struct synod_result *result)
{
    struct closing *c = arg;
    (void)result;
    assert_int_equal(code, SYNOD_E_INTERRUPTED);
    trace(c, "query");
    synod_watch_stop(c->watch);
    assert_true(synod_lock_token(c->lock) > 0);
    assert_int_equal(synod_unlock_async(c->lock, NULL, NULL), SYNOD_E_USAGE);
    assert_int_equal(synod_unlock(c->other_lock), SYNOD_E_USAGE);
    assert_non_null(strstr(synod_error(c->s), "closed"));
}

static void no_events(void *arg, int code, const struct synod_events *events)
{
    (void)code;
    (void)events;
    trace(arg, "watch");
}

/* Proves: who is told that its handle is closed may give back what it has of that handle, a watch
 * and locks: these go last. */
static void test_given_back_while_closing(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct closing c = {.s = s};
    const struct synod_watch_options watch = {.key = synod_text("a"), .revision = 1};
    const struct synod_request get = {.op = SYNOD_RANGE, .as.range = {.key = synod_text("a")}};
    assert_ok(s, synod_lock(s, "job", 0, &c.lock));
    assert_ok(s, synod_lock(s, "other", 0, &c.other_lock));
    assert_ok(s, synod_watch_start(s, &watch, no_events, &c, &c.watch));
    SCRIPT(drop_query_count, 1000);
    SCRIPT(is_submit_ignored, 1);
    assert_ok(s, synod_query_async(s, &get, SYNOD_LINEARIZABLE, 0, on_closed_query, &c, NULL));
    assert_ok(s, synod_poll(s, 0));
    SCRIPT(is_submit_ignored, 0);
    assert_int_equal(synod_close(s), SYNOD_OK);
    assert_string_equal(c.trace, "query ");
    fake_stop(&fake);
}

/* ---- elections without waiting */

static void on_campaign(void *arg, int code, struct synod_election *election)
{
    struct asked *a = arg;
    a->told++;
    a->code = code;
    a->election = election;
}

struct observer {
    struct synod *s;
    uint64_t id;
    int count, stop_after, cancel_after;
    char trace[256];
};

static int on_leader(void *arg, int code, const struct synod_leadership *leadership)
{
    struct observer *o = arg;
    size_t used = strlen(o->trace);
    assert_int_equal(code, SYNOD_OK);
    snprintf(o->trace + used, sizeof o->trace - used, "%.*s ", (int)leadership->value.size,
             (const char *)leadership->value.data);
    if (++o->count == o->cancel_after) {
        assert_ok(o->s, synod_cancel(o->s, o->id));
        return 1; /* of what is cancelled already */
    }
    return o->count == o->stop_after;
}

static void poll_until_count(struct synod *s, const struct observer *o, int count)
{
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (o->count < count && now_ms() < deadline) {
        assert_ok(s, synod_poll(s, 20));
    }
    assert_int_equal(o->count, count);
}

/* Proves: campaigns and observations run beside each other on one handle; an observation ends when
 * its function wants, or by its id. */
static void test_election_async(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct observer all = {.s = s};
    struct observer two = {.s = s, .stop_after = 2};
    struct observer one = {.s = s, .cancel_after = 1};
    struct asked a = {.s = s};
    assert_ok(s, synod_observe_start(s, "job", on_leader, &all, &all.id));
    assert_ok(s, synod_observe_start(s, "job", on_leader, &two, NULL));
    assert_ok(s, synod_observe_start(s, "job", on_leader, &one, &one.id));
    poll_until_count(s, &all, 1);
    poll_until_count(s, &two, 1);
    poll_until_count(s, &one, 1);
    assert_ok(s, synod_campaign_async(s, "job", synod_text("a"), UINT32_MAX, on_campaign, on_lost,
                                      &a, NULL));
    poll_for(s, &a.told);
    assert_int_equal(a.code, SYNOD_OK);
    assert_true(synod_election_is_held(a.election));
    poll_until_count(s, &all, 2);
    assert_ok(s, synod_proclaim(a.election, synod_text("b")));
    poll_until_count(s, &all, 3);
    assert_ok(s, synod_resign_async(a.election, on_released, &a));
    poll_for(s, &a.released);
    poll_until_count(s, &all, 4);
    assert_ok(s, synod_cancel(s, all.id));
    struct synod_election *election = NULL;
    assert_ok(s, synod_campaign(s, "job", synod_text("c"), 0, &election));
    for (int i = 0; i < 10; i++) {
        assert_ok(s, synod_poll(s, 10));
    }
    assert_string_equal(all.trace, " a b  ");
    assert_string_equal(two.trace, " a ");
    assert_string_equal(one.trace, " ");
    assert_int_equal(synod_observe_start(s, "", on_leader, &all, NULL), SYNOD_E_USAGE);
    stop(s);
}

/* ---- the cluster without waiting */

struct counted {
    int told;
    int code;
    size_t count;
};

static void on_status(void *arg, int code, const struct synod_node *nodes, size_t count)
{
    struct counted *c = arg;
    c->told++;
    c->code = code;
    c->count = count;
    assert_true((nodes != NULL) == (count > 0));
}

static void on_explained(void *arg, int code, const struct synod_explanation *explanation)
{
    struct counted *c = arg;
    c->told++;
    c->code = code;
    c->count = explanation != NULL ? explanation->proposer_count : 0;
}

/* Proves: many questions to the processes run at once; what is cancelled tells nothing, what is
 * closed says so. */
static void test_status_async(void **state)
{
    (void)state;
    struct synod *s = start(3, 1);
    struct counted status[50] = {{0}}, why[50] = {{0}}, cancelled = {0}, closed[2] = {{0}};
    uint64_t id = 0;
    for (int i = 0; i < 50; i++) {
        assert_ok(s, synod_status_async(s, 0, on_status, &status[i], NULL));
        assert_ok(s, synod_explain_async(s, 0, on_explained, &why[i], NULL));
    }
    assert_ok(s, synod_status_async(s, 0, on_status, &cancelled, &id));
    assert_ok(s, synod_cancel(s, id));
    for (int i = 0; i < 50; i++) {
        poll_for(s, &status[i].told);
        poll_for(s, &why[i].told);
        assert_int_equal(status[i].code, SYNOD_OK);
        assert_int_equal(status[i].count, 7);
        assert_int_equal(why[i].code, SYNOD_OK);
        assert_int_equal(why[i].count, 3);
    }
    assert_int_equal(cancelled.told, 0);
    assert_ok(s, synod_status_async(s, 0, on_status, &closed[0], NULL));
    assert_ok(s, synod_explain_async(s, 0, on_explained, &closed[1], NULL));
    synod_close(s);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(closed[i].told, 1);
        assert_int_equal(closed[i].code, SYNOD_E_INTERRUPTED);
        assert_int_equal(closed[i].count, 0);
    }
    fake_stop(&fake);
}

/* ---- interrupted */

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
    (void)number;
    alarms++;
}

/* Of this thread only, because the cluster's must not be disturbed. */
static void mask_alarms(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    pthread_sigmask(how, &set, NULL);
}

static struct synod *start_with_alarms(void)
{
    struct sigaction action = {.sa_handler = on_alarm}; /* no SA_RESTART */
    sigaction(SIGALRM, &action, NULL);
    mask_alarms(SIG_BLOCK);
    struct synod *s = start(1, 1);
    mask_alarms(SIG_UNBLOCK);
    return s;
}

static void ring_every(int microseconds)
{
    struct itimerval often = {{0, microseconds}, {0, microseconds}};
    setitimer(ITIMER_REAL, &often, NULL);
}

static size_t watches_at_learner(void)
{
    fake_lock(&fake);
    size_t count = fake.nodes[1].watch_count;
    fake_unlock(&fake);
    return count;
}

/* Makes the call again and again while signals end it. */
#define GO_ON(call, result)                                                                        \
    do {                                                                                           \
        (result) = (call);                                                                         \
        interruptions += (result) == SYNOD_E_INTERRUPTED;                                          \
    } while ((result) == SYNOD_E_INTERRUPTED)

/* Proves: claims of work under a timer are made once, whatever step the signal meets: counters are
 * those of so many claims, and each claim has one lease. */
static void test_work_interrupted(void **state)
{
    (void)state;
    struct synod *s = start_with_alarms();
    int interruptions = 0;
    int code;
    ring_every(100);
    for (int i = 0; i < 60; i++) {
        struct synod_work work = {0};
        char owner[16];
        snprintf(owner, sizeof owner, "o%d", i);
        GO_ON(synod_work_claim(s, "item", owner, 60000, 0, &work), code);
        assert_ok(s, code);
        assert_int_equal(work.counter, i + 1);
        GO_ON(synod_work_renew(s, "item", work.token), code);
        assert_ok(s, code);
        GO_ON(synod_work_release(s, "item", work.token), code);
        assert_ok(s, code);
    }
    struct synod_work last = {0};
    GO_ON(synod_work_claim(s, "item", "last", 60000, 0, &last), code);
    assert_ok(s, code);
    GO_ON(synod_work_complete(s, "item", last.token, synod_text("done")), code);
    assert_ok(s, code);
    ring_every(0);
    assert_int_equal(last.counter, 61);
    assert_true(interruptions > 0);
    print_message("%d interruptions\n", interruptions);
    stop(s);
}

static int count_lease(void *arg, const struct synod_lease *lease)
{
    (void)lease;
    ++*(int *)arg;
    return 0;
}

/* Proves: messages that are pushed and claimed under a timer are pushed once, come in order, each
 * once, and leave no lease behind. */
static void test_queue_interrupted(void **state)
{
    (void)state;
    struct synod *s = start_with_alarms();
    int interruptions = 0;
    int code;
    char text[16];
    ring_every(100);
    for (int i = 0; i < 60; i++) {
        char id[32];
        snprintf(text, sizeof text, "m%d", i);
        GO_ON(synod_queue_push(s, "q", synod_text(text), id), code);
        assert_ok(s, code);
    }
    for (int i = 0; i < 60; i++) {
        struct synod_message m = {0};
        GO_ON(synod_queue_claim(s, "q", 60000, i % 2, 0, &m), code);
        assert_ok(s, code);
        snprintf(text, sizeof text, "m%d", i);
        assert_true(is_text(m.data, text));
        GO_ON(synod_queue_extend(s, "q", m.id, m.token), code);
        assert_ok(s, code);
        GO_ON(synod_queue_acknowledge(s, "q", m.id, m.token), code);
        assert_ok(s, code);
    }
    struct synod_queue shown = {9, 9};
    GO_ON(synod_queue_show(s, "q", &shown), code);
    assert_ok(s, code);
    ring_every(0);
    assert_int_equal(shown.length + shown.claimed, 0);
    assert_true(interruptions > 0);
    print_message("%d interruptions\n", interruptions);
    assert_ok(s, synod_put(s, synod_text("behind"), synod_text("all"), 0, NULL));
    int leases = 0;
    assert_ok(s, synod_lease_list(s, count_lease, &leases));
    assert_int_equal(leases, 1); /* the session */
    stop(s);
}

struct pusher {
    pthread_t thread;
    struct synod *s;
    int code;
};

static void *push_late(void *arg)
{
    struct pusher *p = arg;
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (watches_at_learner() < 2 && now_ms() < deadline) {
        sched_yield();
    }
    p->code = synod_queue_push(p->s, "q", synod_text("late"), NULL);
    return NULL;
}

/* Proves: a wait for a message that signals end again and again still gets it; and one that is in
 * vain ends at the deadline of the first call. */
static void test_queue_wait_interrupted(void **state)
{
    (void)state;
    struct synod *s = start_with_alarms();
    struct pusher pusher = {0};
    struct synod_message m = {0};
    int interruptions = 0;
    int code;
    mask_alarms(SIG_BLOCK);
    pusher.s = open_client((struct synod_options){0});
    pthread_create(&pusher.thread, NULL, push_late, &pusher);
    mask_alarms(SIG_UNBLOCK);
    ring_every(300);
    GO_ON(synod_queue_claim(s, "q", 60000, 0, UINT32_MAX, &m), code);
    assert_ok(s, code);
    assert_true(is_text(m.data, "late"));
    int64_t before = now_ms();
    GO_ON(synod_queue_claim(s, "q", 60000, 0, 300, &m), code);
    ring_every(0);
    assert_int_equal(code, SYNOD_E_NOT_FOUND);
    assert_in_range(now_ms() - before, 290, DEADLINE_MS / 2);
    assert_true(interruptions > 2);
    pthread_join(pusher.thread, NULL);
    assert_int_equal(pusher.code, SYNOD_OK);
    synod_close(pusher.s);
    stop(s);
}

/* Proves: an interrupted lock keeps its place, gets its turn while nobody waits, and the same call
 * has it; one that is given up leaves, also after it was won; and unlocking goes on, too. */
static void test_lock_interrupted(void **state)
{
    (void)state;
    struct synod *s = start_with_alarms();
    struct synod *other = open_client((struct synod_options){0});
    struct synod_lock *held = NULL, *out = NULL;
    int interruptions = 0;
    int code;
    for (int is_given_up = 0; is_given_up < 2; is_given_up++) {
        assert_ok(s, synod_lock(s, "job", 0, &held));
        ring_every(20000);
        while ((code = synod_lock(other, "job", UINT32_MAX, &out)) == SYNOD_E_INTERRUPTED &&
               fake_count(&fake, "synod/lock/job/") < 2) {
        }
        ring_every(0);
        assert_int_equal(code, SYNOD_E_INTERRUPTED);
        assert_ok(s, synod_unlock(held));
        for (int i = 0; i < 10; i++) {
            assert_ok(other, synod_poll(other, 10));
        }
        assert_int_equal(fake_count(&fake, "synod/lock/job/"), 1);
        if (is_given_up) {
            assert_ok(other, synod_cancel(other, 0));
            wait_for_count(other, "synod/lock/job/", 0);
        } else {
            assert_ok(other, synod_lock(other, "job", UINT32_MAX, &out));
            assert_true(synod_lock_is_held(out));
            ring_every(500);
            GO_ON(synod_unlock(out), code);
            ring_every(0);
            assert_ok(other, code);
            wait_for_count(other, "synod/lock/job/", 0);
        }
    }
    /* One that is being given back, and is never asked for again, is no leak. */
    assert_ok(s, synod_lock(s, "job", 0, &held));
    SCRIPT(is_submit_ignored, 1);
    ring_every(20000);
    assert_int_equal(synod_unlock(held), SYNOD_E_INTERRUPTED);
    ring_every(0);
    assert_int_equal(synod_unlock_async(held, NULL, NULL), SYNOD_E_USAGE);
    SCRIPT(is_submit_ignored, 0);
    wait_for_count(s, "synod/lock/job/", 0);
    synod_close(other);
    stop(s);
}

/* Proves: in the child of a fork nothing is held, and nothing can be called. */
static void test_fork(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct synod_lock *lock = NULL;
    assert_ok(s, synod_lock(s, "job", 0, &lock));
    pid_t child = fork();
    if (child == 0) {
        struct asked a = {.s = s};
        struct synod_lock *more = NULL;
        struct synod_message m;
        struct synod_work w;
        struct synod_explanation *e = NULL;
        struct counted c = {0};
        int is_right =
            !synod_lock_is_held(lock) && synod_lock_on_lost(lock, on_lost, &a) == SYNOD_E_USAGE &&
            synod_lock(s, "x", 0, &more) == SYNOD_E_USAGE &&
            synod_lock_async(s, "x", 0, on_lock, NULL, &a, NULL) == SYNOD_E_USAGE &&
            synod_queue_claim(s, "q", 5, 0, 0, &m) == SYNOD_E_USAGE &&
            synod_work_claim(s, "i", "o", 5, 0, &w) == SYNOD_E_USAGE &&
            synod_explain(s, &e) == SYNOD_E_USAGE &&
            synod_status_async(s, 0, on_status, &c, NULL) == SYNOD_E_USAGE &&
            synod_oracle_name(s, 1, 5, NULL) == SYNOD_E_USAGE &&
            synod_transfer(s, 1, NULL) == SYNOD_E_USAGE && synod_unlock(lock) == SYNOD_E_USAGE &&
            synod_unlock_async(lock, NULL, NULL) == SYNOD_E_USAGE &&
            synod_close(s) == SYNOD_E_USAGE;
        _exit(is_right ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(synod_lock_is_held(lock));
    assert_ok(s, synod_unlock(lock));
    stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_lock_async, clean_up),
        cmocka_unit_test_teardown(test_lock_async_refused, clean_up),
        cmocka_unit_test_teardown(test_lock_given_up_alone, clean_up),
        cmocka_unit_test_teardown(test_lock_cancelled, clean_up),
        cmocka_unit_test_teardown(test_on_lost, clean_up),
        cmocka_unit_test_teardown(test_many_and_closed, clean_up),
        cmocka_unit_test_teardown(test_given_back_while_closing, clean_up),
        cmocka_unit_test_teardown(test_election_async, clean_up),
        cmocka_unit_test_teardown(test_status_async, clean_up),
        cmocka_unit_test_teardown(test_work_interrupted, clean_up),
        cmocka_unit_test_teardown(test_queue_interrupted, clean_up),
        cmocka_unit_test_teardown(test_queue_wait_interrupted, clean_up),
        cmocka_unit_test_teardown(test_lock_interrupted, clean_up),
        cmocka_unit_test_teardown(test_fork, clean_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
