/* The client's leases and its session: kept alive together, and lost no later than the cluster can
 * end them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/client_kit.h"

#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct lost {
    int count;
    uint64_t id;
    int64_t at_ms;
};

static void note_lost(void *arg, uint64_t id)
{
    struct lost *lost = arg;
    lost->count++;
    lost->id = id;
    lost->at_ms = now_ms();
}

static uint64_t grant(struct synod *s, uint64_t ttl_ms, int is_bound)
{
    uint64_t id = 0;
    assert_ok(s, synod_lease_grant(s, 0, ttl_ms, is_bound, &id));
    assert_true(id != 0);
    return id;
}

/* The cluster takes nothing any more. */
static void silence(int is_silent)
{
    SCRIPT(is_submit_ignored, is_silent);
}

static size_t keepalives(void)
{
    fake_lock(&fake);
    size_t count = fake.keepalive_count;
    fake_unlock(&fake);
    return count;
}

/* Proves: grant, put under it, ttl with its keys, list in pages, keepalive, revoke. */
static void test_lease(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    uint64_t id = 0;
    assert_ok(s, synod_lease_grant(s, 77, 5000, 0, &id));
    assert_int_equal(id, 77);
    uint64_t other = grant(s, 9000, 0);
    assert_ok(s, synod_put(s, synod_text("k"), synod_text("v"), 77, NULL));
    fake_advance(&fake, 1000);
    struct synod_lease lease = {0};
    assert_ok(s, synod_lease_ttl(s, 77, &lease, NULL, NULL));
    assert_int_equal(lease.ttl_ms, 5000);
    assert_int_equal(lease.left_ms, 4000);
    uint64_t left = 0;
    assert_ok(s, synod_lease_keepalive(s, 77, &left));
    assert_int_equal(left, 5000);
    assert_ok(s, synod_lease_revoke(s, 77));
    assert_false(fake_has(&fake, "k", NULL));
    fake_advance(&fake, 9001);
    assert_refused(s, synod_lease_ttl(s, other, &lease, NULL, NULL), SYNOD_E_LEASE,
                   "no such lease");
    stop(s);
}

static int count_key(void *arg, struct synod_bytes key)
{
    int *count = arg;
    assert_true(is_text(key, "k1") || is_text(key, "k2"));
    return ++*count == 2;
}

static int count_lease(void *arg, const struct synod_lease *lease)
{
    uint64_t *last = arg;
    assert_true(lease->id > *last);
    assert_true(lease->ttl_ms > 0);
    *last = lease->id;
    return 0;
}

/* Proves: the keys under a lease are named, and all leases are listed over many pages by rising id,
 * the session among them. */
static void test_list(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    uint64_t session = 0;
    assert_ok(s, synod_session(s, &session));
    assert_ok(s, synod_lease_grant(s, 77, 5000, 0, NULL));
    assert_ok(s, synod_put(s, synod_text("k1"), synod_text("v"), 77, NULL));
    assert_ok(s, synod_put(s, synod_text("k2"), synod_text("v"), 77, NULL));
    int count = 0;
    assert_ok(s, synod_lease_ttl(s, 77, NULL, count_key, &count));
    assert_int_equal(count, 2);
    uint64_t newest = 0;
    for (int i = 0; i < 10; i++) {
        newest = grant(s, 1000, 0);
    }
    SCRIPT(page_kvs, 3);
    uint64_t last = 0;
    assert_ok(s, synod_lease_list(s, count_lease, &last));
    assert_int_equal(last, newest);
    stop(s);
}

/* Proves: each refusal has its own code. */
static void test_refusals(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    assert_refused(s, synod_lease_grant(s, 0, 0, 0, NULL), SYNOD_E_USAGE, "1 to");
    assert_refused(s, synod_lease_grant(s, 0, UINT64_MAX, 0, NULL), SYNOD_E_USAGE, "1 to");
    assert_refused(s, synod_lease_grant(s, UINT64_MAX, 5, 0, NULL), SYNOD_E_USAGE, "id");
    assert_ok(s, synod_lease_grant(s, 5, 1000, 0, NULL));
    assert_refused(s, synod_lease_grant(s, 5, 1000, 0, NULL), SYNOD_E_EXISTS, "taken");
    assert_refused(s, synod_lease_revoke(s, 6), SYNOD_E_LEASE, "no such lease");
    assert_refused(s, synod_lease_keepalive(s, 6, NULL), SYNOD_E_LEASE, "no such lease");
    assert_refused(s, synod_lease_keep(s, 6, NULL, NULL), SYNOD_E_LEASE, "no such lease");
    stop(s);
}

/* Proves: many kept leases travel in one command a time; one that is released does not. */
static void test_kept_together(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct lost lost = {0};
    uint64_t first = 0;
    for (int i = 0; i < 50; i++) {
        uint64_t id = grant(s, 300, 0);
        first = first != 0 ? first : id;
        assert_ok(s, synod_lease_keep(s, id, note_lost, &lost));
    }
    size_t before = keepalives();
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (keepalives() < before + 3 && now_ms() < deadline) {
        assert_ok(s, synod_poll(s, 20));
    }
    fake_lock(&fake);
    assert_int_equal(fake.keepalive_ids_max, 50);
    fake.keepalive_ids_max = 0;
    fake_unlock(&fake);
    synod_lease_release(s, first);
    synod_lease_release(s, first);
    before = keepalives();
    while (keepalives() < before + 2 && now_ms() < deadline) {
        assert_ok(s, synod_poll(s, 20));
    }
    fake_lock(&fake);
    assert_int_equal(fake.keepalive_ids_max, 49);
    fake_unlock(&fake);
    assert_int_equal(lost.count, 0);
    assert_int_equal(synod_outstanding(s), 0);
    stop(s);
}

/* Proves: a kept lease that the cluster has ended is told once. */
static void test_lost_in_cluster(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct lost lost = {0};
    uint64_t id = grant(s, 300, 0);
    assert_ok(s, synod_lease_keep(s, id, note_lost, &lost));
    fake_advance(&fake, 301); /* the cluster's time, not ours */
    poll_for(s, &lost.count);
    assert_int_equal(lost.id, id);
    assert_ok(s, synod_poll(s, 20));
    assert_int_equal(lost.count, 1);
    stop(s);
}

/* Proves: without an answer a lease is told as lost before its ttl has passed since the last
 * keepalive was sent, and not much earlier; sending alone proves nothing. */
static void test_lost_by_silence(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct lost lost = {0};
    uint64_t id = grant(s, 400, 0);
    int64_t before = now_ms();
    assert_ok(s, synod_lease_keep(s, id, note_lost, &lost));
    int64_t after = now_ms();
    silence(1);
    poll_for(s, &lost.count);
    assert_int_equal(lost.id, id);
    assert_true(lost.at_ms >= before + 390);
    if (after - before < 50) { /* else this machine is too busy to tell */
        assert_true(lost.at_ms <= after + 500);
    }
    silence(0);
    stop(s);
}

/* Proves: an answer that comes late counts from when the keepalive was sent, because that is from
 * when the cluster counts. */
static void test_late_answer(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct lost lost = {0};
    uint64_t id = grant(s, 3000, 0);
    assert_ok(s, synod_lease_keep(s, id, note_lost, &lost));
    size_t before = keepalives();
    SCRIPT(drop_result_count, 1); /* of the keepalive; it comes with the repetition, 300 ms later */
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (keepalives() == before && now_ms() < deadline) {
        assert_ok(s, synod_poll(s, 20));
    }
    fake_lock(&fake);
    int64_t executed_ms = fake.keepalive_ms;
    size_t submitted = fake.nodes[0].submit_count;
    fake_unlock(&fake);
    for (size_t now = submitted; now == submitted && now_ms() < deadline;) {
        assert_ok(s, synod_poll(s, 20));
        fake_lock(&fake);
        now = fake.nodes[0].submit_count;
        fake_unlock(&fake);
    }
    assert_ok(s, synod_poll(s, 100));
    silence(1);
    assert_int_equal(keepalives(), before + 1);
    poll_for(s, &lost.count);
    assert_true(lost.at_ms <= executed_ms + 3000 + 150); /* some for a busy machine */
    assert_true(lost.at_ms >= executed_ms + 2900);
    silence(0);
    stop(s);
}

/* Proves: a keepalive that gets lost on its way is sent again in time. */
static void test_keepalive_repeated(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct lost lost = {0};
    uint64_t id = grant(s, 600, 0);
    assert_ok(s, synod_lease_keep(s, id, note_lost, &lost));
    SCRIPT(drop_submit_count, 1);
    size_t before = keepalives();
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (keepalives() < before + 3 && now_ms() < deadline && lost.count == 0) {
        assert_ok(s, synod_poll(s, 20));
    }
    assert_int_equal(lost.count, 0);
    stop(s);
}

/* Proves: the session has an id under which keys can be put, is kept alive with proof, and its time
 * left is known; appends alone prove it, too. */
static void test_session(void **state)
{
    (void)state;
    fake_start(&fake, 1, 1);
    struct synod *s = open_client((struct synod_options){.session_ttl_ms = 300});
    uint64_t session = 0, again = 0;
    assert_int_equal(synod_session_left_ms(s), 0);
    assert_ok(s, synod_session(s, &session));
    assert_ok(s, synod_session(s, &again));
    assert_int_equal(session, again);
    assert_true(synod_session_left_ms(s) <= 297);
    assert_ok(s, synod_put(s, synod_text("mine"), synod_text("v"), session, NULL));
    size_t before = keepalives();
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (keepalives() < before + 4 && now_ms() < deadline) {
        assert_ok(s, synod_poll(s, 20));
        assert_true(synod_session_left_ms(s) > 0);
    }
    assert_true(fake_has(&fake, "mine", "v"));
    synod_close(s);
    assert_false(fake_has(&fake, "mine", "v")); /* gone with the session */
    fake_stop(&fake);
}

/* Proves: the session is told as lost when nothing was heard for its ttl, once; and when the
 * cluster does not know it; a later one is another. */
static void test_session_lost(void **state)
{
    (void)state;
    fake_start(&fake, 1, 1);
    struct synod *s = open_client((struct synod_options){.session_ttl_ms = 300});
    struct lost lost = {0};
    uint64_t session = 0, next = 0;
    synod_on_session_lost(s, note_lost, &lost);
    assert_ok(s, synod_session(s, &session));
    silence(1);
    poll_for(s, &lost.count);
    assert_int_equal(lost.id, session);
    assert_int_equal(synod_session_left_ms(s), 0);
    assert_ok(s, synod_poll(s, 20));
    assert_int_equal(lost.count, 1);
    silence(0); /* the cluster has not ended it */
    assert_ok(s, synod_session(s, &next));
    assert_int_equal(next, session);
    assert_true(synod_session_left_ms(s) > 0);
    fake_expire(&fake);
    lost = (struct lost){0};
    poll_for(s, &lost.count);
    assert_int_equal(lost.id, session);
    assert_ok(s, synod_session(s, &next));
    assert_true(next != session);
    assert_int_equal(lost.count, 1);
    stop(s);
}

/* Proves: a lease that is bound is lost with the session, one that is not lives on. */
static void test_bound(void **state)
{
    (void)state;
    fake_start(&fake, 1, 1);
    struct synod *s = open_client((struct synod_options){.session_ttl_ms = 400});
    struct lost bound = {0}, free_one = {0};
    uint64_t with_session = grant(s, 60000, 1);
    uint64_t alone = grant(s, 60000, 0);
    assert_ok(s, synod_lease_keep(s, with_session, note_lost, &bound));
    assert_ok(s, synod_lease_keep(s, alone, note_lost, &free_one));
    silence(1);
    poll_for(s, &bound.count);
    assert_int_equal(bound.id, with_session);
    assert_int_equal(free_one.count, 0);
    silence(0);
    stop(s);
}

/* The clock of the test's process, which can be told that the machine slept. */
static int64_t slept_s;

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): libc's are reserved */
int clock_gettime(clockid_t clock, struct timespec *out)
{
    int rc = (int)syscall(SYS_clock_gettime, clock, out);
    if (rc == 0 && clock == CLOCK_BOOTTIME) {
        out->tv_sec += slept_s;
    }
    return rc;
}

/* Proves: while the machine sleeps a session runs out as it does in the cluster; on waking up it is
 * not taken for alive until something is heard. */
static void test_sleep(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    assert_ok(s, synod_session(s, NULL));
    assert_true(synod_session_left_ms(s) > 50000);
    slept_s += 3600;
    assert_int_equal(synod_session_left_ms(s), 0);
    assert_ok(s, synod_session(s, NULL)); /* it is there still, which is proved anew */
    assert_true(synod_session_left_ms(s) > 50000);
    stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_lease, clean_up),
        cmocka_unit_test_teardown(test_list, clean_up),
        cmocka_unit_test_teardown(test_refusals, clean_up),
        cmocka_unit_test_teardown(test_kept_together, clean_up),
        cmocka_unit_test_teardown(test_lost_in_cluster, clean_up),
        cmocka_unit_test_teardown(test_lost_by_silence, clean_up),
        cmocka_unit_test_teardown(test_late_answer, clean_up),
        cmocka_unit_test_teardown(test_keepalive_repeated, clean_up),
        cmocka_unit_test_teardown(test_session, clean_up),
        cmocka_unit_test_teardown(test_session_lost, clean_up),
        cmocka_unit_test_teardown(test_bound, clean_up),
        cmocka_unit_test_teardown(test_sleep, clean_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
