/* The client's locks and elections: one holder at a time, tokens that rise, waiters in the order in
 * which they came, and nobody who holds without knowing that it lives. */
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

#define NAME_BYTES_MAX 1024

static struct synod_lock *lock(struct synod *s, const char *name)
{
    struct synod_lock *out = NULL;
    assert_ok(s, synod_lock(s, name, 0, &out));
    assert_true(synod_lock_is_held(out));
    return out;
}

/* ---- a second handle that waits on a thread of its own */

struct waiting {
    pthread_t thread;
    struct synod *s;
    const char *name;
    uint32_t timeout_ms;
    int is_election;
    int code;
    uint64_t token;
    int64_t got_ms;
    struct synod_lock *lock;
    struct synod_election *election;
    char error[SYNOD_ERROR_BYTES];
};

static void *wait_for_it(void *arg)
{
    struct waiting *w = arg;
    w->code = w->is_election
                  ? synod_campaign(w->s, w->name, synod_text(w->name), w->timeout_ms, &w->election)
                  : synod_lock(w->s, w->name, w->timeout_ms, &w->lock);
    w->got_ms = now_ms();
    if (w->code == SYNOD_OK) {
        w->token = w->is_election ? synod_election_token(w->election) : synod_lock_token(w->lock);
    }
    snprintf(w->error, sizeof w->error, "%s", synod_error(w->s));
    return NULL;
}

static size_t waiting_watches(void)
{
    size_t count = 0;
    fake_lock(&fake);
    for (size_t n = fake.proposer_count; n < fake.proposer_count + fake.learner_count; n++) {
        for (size_t i = 0; i < FAKE_WATCHES_MAX; i++) {
            count += fake.nodes[n].watches[i].client.id != 0;
        }
    }
    fake_unlock(&fake);
    return count;
}

/* How many keys are watched. */
static size_t watched_keys(void)
{
    size_t count = 0;
    struct slice seen[FAKE_WATCHES_MAX];
    fake_lock(&fake);
    for (size_t n = fake.proposer_count; n < fake.proposer_count + fake.learner_count; n++) {
        for (size_t i = 0; i < FAKE_WATCHES_MAX; i++) {
            const struct fake_watch *watch = &fake.nodes[n].watches[i];
            size_t known = 0;
            while (known < count && !slice_equal(seen[known], watch->watch.key)) {
                known++;
            }
            if (watch->client.id != 0 && known == count) {
                seen[count++] = watch->watch.key;
            }
        }
    }
    fake_unlock(&fake);
    return count;
}

/* Starts one and returns when it has its place in the queue. */
static void start_waiting(struct waiting *w, const char *name, uint32_t timeout_ms)
{
    char prefix[64];
    snprintf(prefix, sizeof prefix, "synod/%s/%s/", w->is_election ? "election" : "lock", name);
    size_t before = fake_count(&fake, prefix);
    *w = (struct waiting){.s = open_client((struct synod_options){0}),
                          .name = name,
                          .timeout_ms = timeout_ms,
                          .is_election = w->is_election};
    pthread_create(&w->thread, NULL, wait_for_it, w);
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (fake_count(&fake, prefix) == before && now_ms() < deadline) {
        sched_yield();
    }
    assert_int_equal(fake_count(&fake, prefix), before + 1);
}

static void finish_waiting(struct waiting *w)
{
    pthread_join(w->thread, NULL);
}

/* Proves: a lock is held until it is given back; its token is the revision at which it was won, and
 * the next one is higher. */
static void test_lock(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct synod_lock *held = lock(s, "job");
    uint64_t token = synod_lock_token(held);
    assert_int_equal(token, 2);
    assert_ok(s, synod_unlock(held));
    held = lock(s, "job");
    assert_true(synod_lock_token(held) > token);
    assert_ok(s, synod_unlock(held));
    stop(s);
}

/* Proves: who does not want to wait hears at once that the lock is taken, and leaves nothing behind
 * that others would wait for; the same with a deadline. */
static void test_lock_taken(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct synod *other = open_client((struct synod_options){0});
    struct synod_lock *held = lock(s, "job");
    struct synod_lock *out = NULL;
    uint64_t session = 0;
    assert_refused(other, synod_lock(other, "job", 0, &out), SYNOD_E_UNAVAILABLE, "before us");
    assert_refused(other, synod_lock(other, "job", 50, &out), SYNOD_E_UNAVAILABLE,
                   "not free in time");
    assert_null(out);
    assert_ok(other, synod_session(other, &session));
    char key[64];
    snprintf(key, sizeof key, "synod/lock/job/%016llx", (unsigned long long)session);
    assert_false(fake_has(&fake, key, NULL));
    assert_refused(s, synod_lock(s, "job", 0, &out), SYNOD_E_EXISTS, "this handle");
    assert_ok(s, synod_unlock(held));
    out = lock(other, "job");
    synod_close(other);
    stop(s);
}

/* Proves: those who wait get the lock one after the other in the order in which they came, each
 * woken by its predecessor only, and one that gives up does not hold up the others. */
static void test_lock_order(void **state)
{
    (void)state;
    struct synod *s = start(1, 2);
    struct synod_lock *held = lock(s, "job");
    struct waiting first = {0}, giving_up = {0}, last = {0};
    start_waiting(&first, "job", UINT32_MAX);
    start_waiting(&giving_up, "job", 1000);
    start_waiting(&last, "job", UINT32_MAX);
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (waiting_watches() < 4 && now_ms() < deadline) {
        sched_yield();
    }
    assert_int_equal(waiting_watches(), 4); /* the holder watches the key that the first one does */
    assert_int_equal(watched_keys(), 3);
    finish_waiting(&giving_up);
    assert_int_equal(giving_up.code, SYNOD_E_UNAVAILABLE);
    assert_ok(s, synod_unlock(held));
    finish_waiting(&first);
    assert_int_equal(first.code, SYNOD_OK);
    assert_ok(first.s, synod_unlock(first.lock));
    finish_waiting(&last);
    assert_int_equal(last.code, SYNOD_OK);
    assert_true(last.token > first.token);
    assert_true(last.got_ms >= first.got_ms);
    assert_ok(last.s, synod_unlock(last.lock));
    synod_close(first.s);
    synod_close(giving_up.s);
    synod_close(last.s);
    stop(s);
}

/* Proves: a lock ends with the session of its holder: the next one gets it, the holder's view ends
 * no later, and giving it back says that it was lost and harms nobody. */
static void test_lock_lost(void **state)
{
    (void)state;
    fake_start(&fake, 1, 1);
    struct synod *s = open_client((struct synod_options){.session_ttl_ms = 300});
    struct synod *other = open_client((struct synod_options){0});
    struct synod_lock *held = lock(s, "job");
    SCRIPT(is_submit_ignored, 1);
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (synod_lock_is_held(held) && now_ms() < deadline) {
        assert_ok(s, synod_poll(s, 5));
    }
    assert_false(synod_lock_is_held(held));
    SCRIPT(is_submit_ignored, 0);
    fake_advance(&fake, 301);
    struct synod_lock *next = lock(other, "job");
    assert_true(synod_lock_token(next) > synod_lock_token(held));
    int code = synod_unlock(held); /* its session is gone, which it may hear first */
    assert_true(code == SYNOD_E_LOST || code == SYNOD_E_SESSION);
    assert_true(synod_lock_is_held(next));
    assert_ok(other, synod_unlock(next));
    synod_close(other);
    stop(s);
}

/* Proves: what is not held is not changed: a lock whose key is gone is lost, and that is what is
 * said, for the session lives. */
static void test_unlock_lost(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct synod_lock *held = lock(s, "job");
    uint64_t session = 0;
    assert_ok(s, synod_session(s, &session));
    char key[64];
    snprintf(key, sizeof key, "synod/lock/job/%016llx", (unsigned long long)session);
    fake_delete(&fake, key);
    assert_refused(s, synod_unlock(held), SYNOD_E_LOST, "(somebody deleted its key)");
    stop(s);
}

static void poll_until_lost(struct synod *s, const struct synod_lock *held)
{
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (synod_lock_is_held(held) && now_ms() < deadline) {
        assert_ok(s, synod_poll(s, 5));
    }
    assert_false(synod_lock_is_held(held));
}

/* Proves: a holder hears at once, and not with its next keepalive, that its key was deleted or its
 * session revoked, also when what it watches from was compacted. */
static void test_lock_taken_away(void **state)
{
    (void)state;
    struct synod *s = start(1, 2);
    struct synod_lock *held = lock(s, "job");
    char key[64];
    uint64_t session = 0;
    assert_ok(s, synod_session(s, &session));
    snprintf(key, sizeof key, "synod/lock/job/%016llx", (unsigned long long)session);
    int64_t before = now_ms();
    fake_delete(&fake, key);
    poll_until_lost(s, held);
    assert_true(now_ms() - before < 5000); /* a third of the session's 60 s */
    assert_refused(s, synod_unlock(held), SYNOD_E_LOST,
                   "(somebody deleted its key, or ended its session)");

    held = lock(s, "job");
    fake_compact(&fake, fake_put(&fake, "x", "y"));
    fake_compact(&fake, fake_put(&fake, "x", "z"));
    fake_down(&fake, 1, 1); /* the next learner is asked from where the first one was */
    before = now_ms();
    while (now_ms() - before < 500) {
        assert_ok(s, synod_poll(s, 5));
    }
    assert_true(synod_lock_is_held(held));
    fake_delete(&fake, key);
    poll_until_lost(s, held);
    assert_refused(s, synod_unlock(held), SYNOD_E_LOST, "not ours any more");
    stop(s);
}

/* Proves: to give back what is lost already takes no time, even if nobody answers; and should the
 * session live after all, nobody has to wait for it. */
static void test_unlock_lost_at_once(void **state)
{
    (void)state;
    fake_start(&fake, 1, 1);
    struct synod *s = open_client((struct synod_options){.session_ttl_ms = 300});
    struct synod *other = open_client((struct synod_options){0});
    struct synod_lock *held = lock(s, "job");
    SCRIPT(is_submit_ignored, 1);
    poll_until_lost(s, held);
    int64_t before = now_ms();
    assert_refused(s, synod_unlock(held), SYNOD_E_LOST, "(its session ended, or may have ended)");
    assert_true(now_ms() - before < 2000); /* and not the handle's 10 s */
    SCRIPT(is_submit_ignored, 0);          /* cluster time stood still: the session lives */
    assert_ok(s, synod_put(s, synod_text("x"), synod_text("y"), 0, NULL));
    assert_int_equal(fake_count(&fake, "synod/lock/job/"), 0);
    assert_ok(other, synod_unlock(lock(other, "job")));
    synod_close(other);
    stop(s);
}

struct unlocking {
    struct synod *s;
    struct synod_lock *held;
    int code;
    int is_done;
};

static void unlock_in_callback(void *arg, int code, uint64_t index)
{
    struct unlocking *u = arg;
    (void)code;
    (void)index;
    u->code = synod_unlock(u->held);
    u->is_done = 1;
}

/* Proves: what is given back within a callback, or by a handle that is full, is free afterwards. */
static void test_unlock_without_waiting(void **state)
{
    (void)state;
    fake_start(&fake, 1, 1);
    struct synod *s = open_client((struct synod_options){.timeout_ms = 300});
    struct unlocking u = {.s = s, .held = lock(s, "job")};
    assert_ok(s, synod_append_async(s, "x", 1, 0, unlock_in_callback, &u));
    poll_for(s, &u.is_done);
    assert_int_equal(u.code, SYNOD_E_USAGE);
    assert_ok(s, synod_put(s, synod_text("x"), synod_text("y"), 0, NULL));
    assert_int_equal(fake_count(&fake, "synod/lock/job/"), 0);

    struct synod_lock *held = lock(s, "job");
    SCRIPT(is_submit_ignored, 1);
    for (int i = 0; i < SYNOD_OUTSTANDING_MAX; i++) {
        assert_ok(s, synod_append_async(s, "x", 1, UINT32_MAX, NULL, NULL));
    }
    assert_int_equal(synod_unlock(held), SYNOD_E_UNAVAILABLE);
    SCRIPT(is_submit_ignored, 0);
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (fake_count(&fake, "synod/lock/job/") > 0 && now_ms() < deadline) {
        assert_ok(s, synod_poll(s, 5));
    }
    assert_int_equal(fake_count(&fake, "synod/lock/job/"), 0);
    stop(s);
}

/* Proves: who waits hears when its own session ends. */
static void test_session_lost_while_waiting(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct synod_lock *held = lock(s, "job");
    struct waiting w = {0};
    start_waiting(&w, "job", UINT32_MAX);
    /* Only the one that waits: its session is the younger one. */
    uint64_t session = 0;
    assert_ok(s, synod_session(s, &session));
    fake_lock(&fake);
    for (size_t i = 0; i < FAKE_SESSIONS_MAX; i++) {
        if (fake.sessions[i].id != 0 && fake.sessions[i].id != session) {
            fake_store_close(fake.store, fake.sessions[i].id);
            fake.sessions[i].id = 0xdead; /* nobody's */
        }
    }
    fake_unlock(&fake);
    assert_ok(s, synod_unlock(held)); /* wakes it up */
    finish_waiting(&w);
    assert_int_equal(w.code, SYNOD_E_SESSION);
    synod_close(w.s);
    stop(s);
}

/* Proves: names with a slash, or that begin like another, are locks of their own. */
static void test_names(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    /* Those with a slash first: they must not stand before the others. */
    static const char *const names[] = {"a/b", "a/00000000000003e8", "a/", "/", "a%2Fb", "a", "a%",
                                        "ab",  "\xc3\xa4",           " "};
    struct synod_lock *held[10];
    for (size_t i = 0; i < 10; i++) {
        held[i] = lock(s, names[i]);
    }
    for (size_t i = 0; i < 10; i++) {
        assert_ok(s, synod_unlock(held[i]));
    }
    struct synod_lock *out = NULL;
    char name[NAME_BYTES_MAX + 2];
    memset(name, '/', sizeof name);
    name[NAME_BYTES_MAX] = '\0';
    assert_ok(s, synod_unlock(lock(s, name)));
    name[NAME_BYTES_MAX] = '/';
    name[NAME_BYTES_MAX + 1] = '\0';
    assert_refused(s, synod_lock(s, name, 0, &out), SYNOD_E_USAGE, "1024");
    assert_refused(s, synod_lock(s, "", 0, &out), SYNOD_E_USAGE, "1 to");
    stop(s);
}

/* Proves: a lock is won once through lost blocks and results, and a put whose answer never came is
 * taken back. */
static void test_lock_retries(void **state)
{
    (void)state;
    fake_start(&fake, 2, 2);
    struct synod *s = open_client((struct synod_options){.timeout_ms = 3000});
    struct synod *other = open_client((struct synod_options){0});
    assert_ok(s, synod_unlock(lock(s, "job")));
    SCRIPT(drop_result_count, 2);
    struct synod_lock *held = lock(s, "job");
    SCRIPT(drop_submit_count, 1);
    assert_ok(s, synod_unlock(held));
    /* Nobody leads: the put is never answered, and the deletion waits behind it. */
    fake_lock(&fake);
    fake.leader = fake.named_leader = 0;
    fake_unlock(&fake);
    struct synod_lock *out = NULL;
    assert_int_equal(synod_lock(s, "job", 0, &out), SYNOD_E_UNAVAILABLE);
    fake_lead(&fake, 2);
    assert_ok(s, synod_put(s, synod_text("x"), synod_text("y"), 0, NULL));
    assert_ok(other, synod_unlock(lock(other, "job")));
    synod_close(other);
    stop(s);
}

static void on_alarm(int number)
{
    (void)number;
}

/* Proves: a signal ends the wait and not the place in the queue, which is given up by synod_cancel.
 */
static void test_lock_interrupted(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct synod *other = open_client((struct synod_options){0});
    struct synod_lock *held = lock(s, "job");
    struct sigaction action = {.sa_handler = on_alarm}; /* no SA_RESTART */
    sigaction(SIGALRM, &action, NULL);
    struct itimerval often = {{0, 50000}, {0, 200000}};
    struct synod_lock *out = NULL;
    setitimer(ITIMER_REAL, &often, NULL);
    int code = synod_lock(other, "job", UINT32_MAX, &out);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
    assert_int_equal(code, SYNOD_E_INTERRUPTED);
    assert_ok(other, synod_put(other, synod_text("x"), synod_text("y"), 0, NULL));
    assert_ok(s, synod_unlock(held));
    assert_int_equal(synod_lock(s, "job", 0, &out), SYNOD_E_UNAVAILABLE);
    assert_ok(other, synod_cancel(other, 0));
    assert_ok(other, synod_put(other, synod_text("x"), synod_text("y"), 0, NULL));
    assert_ok(s, synod_unlock(lock(s, "job")));
    synod_close(other);
    stop(s);
}

/* ---- elections */

struct observed {
    struct synod *s;
    pthread_t thread;
    char trace[512]; /* "2=a 2=b 0= " */
    int stop_after, count, code;
};

static int note_leader(void *arg, const struct synod_leadership *leader)
{
    struct observed *o = arg;
    size_t used = strlen(o->trace);
    snprintf(o->trace + used, sizeof o->trace - used, "%llu=%.*s ",
             (unsigned long long)leader->token, (int)leader->value.size,
             (const char *)leader->value.data);
    return ++o->count == o->stop_after;
}

static void *observe(void *arg)
{
    struct observed *o = arg;
    o->code = synod_observe(o->s, "boss", note_leader, o);
    return NULL;
}

/* Proves: who campaigns leads, can change its value, and is seen; observers see the same leaders
 * in the same order, also those who came first and those who fell behind a page a time. */
static void test_election(void **state)
{
    (void)state;
    struct synod *s = start(1, 2);
    SCRIPT(page_events, 1);
    fake_storm(&fake, 1);
    struct observed observers[2];
    memset(observers, 0, sizeof observers);
    size_t before = waiting_watches();
    for (int i = 0; i < 2; i++) {
        observers[i].s = open_client((struct synod_options){0});
        observers[i].stop_after = 7;
        pthread_create(&observers[i].thread, NULL, observe, &observers[i]);
    }
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (waiting_watches() < before + 2 && now_ms() < deadline) {
        sched_yield();
    }
    struct synod_election *election = NULL;
    assert_ok(s, synod_campaign(s, "boss", synod_text("a"), 0, &election));
    uint64_t first = synod_election_token(election);
    assert_true(synod_election_is_held(election));
    assert_ok(s, synod_proclaim(election, synod_text("b")));
    struct waiting next = {.is_election = 1};
    start_waiting(&next, "boss", UINT32_MAX);
    assert_ok(s, synod_proclaim(election, synod_text("still")));
    assert_ok(s, synod_resign(election));
    finish_waiting(&next);
    assert_int_equal(next.code, SYNOD_OK);
    assert_true(next.token > first);
    assert_ok(next.s, synod_resign(next.election));
    assert_ok(s, synod_campaign(s, "boss", synod_text("c"), 0, &election));
    char expected[128];
    snprintf(expected, sizeof expected, "0= %llu=a %llu=b %llu=still %llu=boss 0= %llu=c ",
             (unsigned long long)first, (unsigned long long)first, (unsigned long long)first,
             (unsigned long long)next.token, (unsigned long long)synod_election_token(election));
    for (int i = 0; i < 2; i++) {
        pthread_join(observers[i].thread, NULL);
        assert_int_equal(observers[i].code, SYNOD_OK);
        assert_string_equal(observers[i].trace, expected);
        synod_close(observers[i].s);
    }
    struct observed late = {.s = s, .stop_after = 1};
    assert_ok(s, synod_observe(s, "boss", note_leader, &late));
    assert_non_null(strstr(late.trace, "=c"));
    synod_close(next.s);
    stop(s);
}

/* Proves: a leader that was overtaken changes nothing: proclaim and resign say that it is lost. */
static void test_election_lost(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct synod_election *election = NULL;
    assert_ok(s, synod_campaign(s, "boss", synod_text("a"), 0, &election));
    uint64_t session = 0;
    assert_ok(s, synod_session(s, &session));
    char key[64];
    snprintf(key, sizeof key, "synod/election/boss/%016llx", (unsigned long long)session);
    fake_delete(&fake, key);
    fake_put(&fake, key, "somebody else");
    assert_refused(s, synod_proclaim(election, synod_text("b")), SYNOD_E_LOST,
                   "nothing was changed");
    assert_true(fake_has(&fake, key, "somebody else"));
    assert_refused(s, synod_resign(election), SYNOD_E_LOST, "somebody deleted its key");
    assert_true(fake_has(&fake, key, "somebody else"));
    stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_lock, clean_up),
        cmocka_unit_test_teardown(test_lock_taken, clean_up),
        cmocka_unit_test_teardown(test_lock_order, clean_up),
        cmocka_unit_test_teardown(test_lock_lost, clean_up),
        cmocka_unit_test_teardown(test_unlock_lost, clean_up),
        cmocka_unit_test_teardown(test_lock_taken_away, clean_up),
        cmocka_unit_test_teardown(test_unlock_lost_at_once, clean_up),
        cmocka_unit_test_teardown(test_unlock_without_waiting, clean_up),
        cmocka_unit_test_teardown(test_session_lost_while_waiting, clean_up),
        cmocka_unit_test_teardown(test_names, clean_up),
        cmocka_unit_test_teardown(test_lock_retries, clean_up),
        cmocka_unit_test_teardown(test_lock_interrupted, clean_up),
        cmocka_unit_test_teardown(test_election, clean_up),
        cmocka_unit_test_teardown(test_election_lost, clean_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
