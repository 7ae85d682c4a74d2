/* The client's calls that do not wait: thousands under way at once, each told once, and given up at
 * any time, also while they are being told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/client_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What callbacks of a test said. */
struct told {
    struct synod *s;
    uint64_t cancel; /* an id to give up with the next call; 0: none */
    int stop_after;  /* calls; 0: none */
    int count;
    int is_ended;
    int last_code;
    uint64_t number; /* of the last */
    char text[64];   /* likewise */
};

static void note(struct told *t, int code)
{
    t->count++;
    t->last_code = code;
    if (t->cancel != 0) {
        assert_int_equal(synod_cancel(t->s, t->cancel), SYNOD_OK);
    }
}

static void note_number(void *arg, int code, uint64_t number)
{
    struct told *t = arg;
    t->number = number;
    note(t, code);
}

static void note_result(void *arg, int code, const struct synod_result *result)
{
    struct told *t = arg;
    assert_true((result != NULL) == (code == SYNOD_OK));
    if (result != NULL && result->response.kv_count > 0) {
        const struct synod_bytes value = result->response.kvs[0].value;
        snprintf(t->text, sizeof t->text, "%.*s", (int)value.size, (const char *)value.data);
    }
    note(t, code);
}

static void poll_count(struct synod *s, const struct told *t, int wanted)
{
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (t->count < wanted && now_ms() < deadline) {
        assert_ok(s, synod_poll(s, 20));
    }
    assert_int_equal(t->count, wanted);
}

/* For what must not be told: nothing comes while something else is waited for. */
static void poll_in_vain(struct synod *s)
{
    assert_ok(s, synod_put(s, synod_text("vain"), synod_text("v"), 0, NULL));
    assert_ok(s, synod_get(s, synod_text("vain"), NULL));
    assert_ok(s, synod_poll(s, 0));
}

static struct synod_request get(const char *key)
{
    return (struct synod_request){.op = SYNOD_RANGE, .as.range = {.key = synod_text(key)}};
}

static struct synod_request put(const char *key)
{
    return (struct synod_request){.op = SYNOD_PUT,
                                  .as.put = {.key = synod_text(key), .value = synod_text("v")}};
}

static void ask(struct synod *s, const char *key, struct told *t, uint64_t *id)
{
    const struct synod_request request = get(key);
    t->s = s;
    assert_ok(s, synod_query_async(s, &request, SYNOD_LINEARIZABLE, 0, note_result, t, id));
}

/* ---- queries */

/* Proves: ten thousand questions under way at one handle are each answered once, with their own
 * answer, while appends go on; and what changes something is no question, nor the other way round.
 * */
static void test_queries(void **state)
{
    (void)state;
    enum { QUERIES = 10000, KEYS = 100 };
    struct synod *s = start(1, 2);
    struct told *told = calloc(QUERIES, sizeof *told);
    struct told appended = {0};
    for (int i = 0; i < KEYS; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        fake_put(&fake, text, text);
    }
    for (int i = 0; i < QUERIES; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i % KEYS);
        ask(s, key, &told[i], NULL);
    }
    assert_ok(s, synod_append_async(s, "x", 1, 0, note_number, &appended));
    for (int i = 0; i < QUERIES; i++) {
        char value[16];
        snprintf(value, sizeof value, "%d", i % KEYS);
        poll_count(s, &told[i], 1);
        assert_int_equal(told[i].last_code, SYNOD_OK);
        assert_string_equal(told[i].text, value);
    }
    poll_count(s, &appended, 1);
    const struct synod_request change = put("0");
    assert_refused(s, synod_query_async(s, &change, SYNOD_LINEARIZABLE, 0, note_result, NULL, NULL),
                   SYNOD_E_USAGE, "synod_request_async");
    const struct synod_request question = get("0");
    assert_refused(s, synod_request_async(s, &question, 0, note_result, NULL), SYNOD_E_USAGE,
                   "synod_query_async");
    stop(s);
    free(told);
}

/* Proves: a deadline ends a question with its sentence, at about its time. */
static void test_query_deadline(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct told t = {0};
    SCRIPT(drop_query_count, 1000);
    const struct synod_request request = get("a");
    int64_t before = now_ms();
    assert_ok(s, synod_query_async(s, &request, SYNOD_LINEARIZABLE, 60, note_result, &t, NULL));
    poll_count(s, &t, 1);
    assert_true(now_ms() - before < 5000);
    assert_int_equal(t.last_code, SYNOD_E_UNAVAILABLE);
    assert_non_null(strstr(synod_error(s), "not answered in time"));
    SCRIPT(drop_query_count, 0);
    stop(s);
}

/* Proves: a question that is given up is not told, be it before its answer, or in the callback of
 * another one or its own; and neither are appends, requests and lease calls, which happen all the
 * same. */
static void test_cancel(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct told t[2] = {0}, silent = {.s = s};
    uint64_t id = 0;
    fake_put(&fake, "a", "1");
    ask(s, "a", &silent, &id);
    assert_int_equal(synod_last_id(s), id);
    assert_int_equal(synod_cancel(s, id), SYNOD_OK);
    assert_int_equal(synod_cancel(s, id), SYNOD_OK);
    ask(s, "a", &t[0], &t[0].cancel);
    poll_count(s, &t[0], 1);
    for (int i = 0; i < 2; i++) { /* whichever is told first gives up the other */
        t[i] = (struct told){0};
        ask(s, "a", &t[i], &t[1 - i].cancel);
    }
    poll_in_vain(s);
    poll_in_vain(s);
    assert_int_equal(t[0].count + t[1].count, 1);
    assert_ok(s, synod_append_async(s, "x", 1, 0, note_number, &silent));
    assert_int_equal(synod_cancel(s, synod_last_id(s)), SYNOD_OK);
    const struct synod_request request = put("b");
    assert_ok(s, synod_request_async(s, &request, 0, note_result, &silent));
    assert_int_equal(synod_cancel(s, synod_last_id(s)), SYNOD_OK);
    assert_ok(s, synod_lease_grant_async(s, 77, 60000, 0, 0, note_number, &silent, &id));
    assert_int_equal(synod_cancel(s, id), SYNOD_OK);
    assert_int_equal(synod_outstanding(s), 0);
    poll_in_vain(s);
    assert_int_equal(silent.count, 0);
    assert_true(fake_holds(&fake, 1, "x"));
    assert_true(fake_has(&fake, "b", "v"));
    assert_ok(s, synod_lease_ttl(s, 77, NULL, NULL, NULL));
    stop(s);
}

/* Gives up all that were appended after it. */
static void cancel_others(void *arg, int code, uint64_t number)
{
    struct told *t = arg;
    note_number(t, code, number);
    for (uint64_t id = t->cancel; id <= synod_last_id(t->s); id++) {
        assert_int_equal(synod_cancel(t->s, id), SYNOD_OK);
    }
}

/* Proves: what is given up while results are being told is not told, also if its own result came in
 * the same message. */
static void test_cancel_in_batch(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct told first = {.s = s}, silent = {0};
    const struct synod_request request = put("b");
    assert_ok(s, synod_append(s, "x", 1, NULL));
    assert_ok(s, synod_append_async(s, "0", 1, 0, cancel_others, &first));
    first.cancel = synod_last_id(s) + 1;
    for (int i = 0; i < 10; i++) {
        assert_ok(s, synod_append_async(s, "1", 1, 0, note_number, &silent));
        assert_ok(s, synod_request_async(s, &request, 0, note_result, &silent));
        assert_ok(s, synod_lease_grant_async(s, 0, 60000, 0, 0, note_number, &silent, NULL));
    }
    poll_count(s, &first, 1);
    poll_in_vain(s);
    assert_int_equal(silent.count, 0);
    assert_int_equal(fake_last(&fake), 12);
    stop(s);
}

/* ---- ranges */

struct pages {
    struct told told;
    int key_count;
    int is_last;
    int is_disordered;
    uint64_t count, revision;
    char last[32];
};

static int note_page(void *arg, int code, const struct synod_page *page)
{
    struct pages *p = arg;
    assert_true((page != NULL) == (code == SYNOD_OK));
    assert_false(p->is_last);
    if (page != NULL) {
        p->count = page->count;
        p->is_disordered |= p->revision != 0 && page->revision != p->revision;
        p->revision = page->revision;
        p->is_last = page->is_last;
    }
    for (size_t i = 0; page != NULL && i < page->kv_count; i++) {
        char key[32];
        const struct synod_bytes bytes = page->kvs[i].key;
        snprintf(key, sizeof key, "%.*s", (int)bytes.size, (const char *)bytes.data);
        p->is_disordered |= strcmp(key, p->last) <= 0;
        memcpy(p->last, key, sizeof key);
        p->key_count++;
    }
    note(&p->told, code);
    return p->told.stop_after != 0 && p->told.count >= p->told.stop_after;
}

static void fill(int count)
{
    for (int i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%03d", i);
        fake_put(&fake, key, "v");
    }
}

static void range(struct synod *s, struct pages *p, uint64_t *id)
{
    const struct synod_range_op op = {.key = synod_text("k"), .end = synod_text("l")};
    p->told.s = s;
    assert_ok(s, synod_range_async(s, &op, SYNOD_LINEARIZABLE, 0, note_page, p, id));
}

static void poll_pages(struct synod *s, const struct pages *p)
{
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (!p->is_last && p->told.last_code == SYNOD_OK && now_ms() < deadline) {
        assert_ok(s, synod_poll(s, 20));
    }
}

/* Proves: ranges are told in pages of one revision, in order, each key once, many ranges at a time;
 * they stop where their function wants it or where they are given up. */
static void test_ranges(void **state)
{
    (void)state;
    struct synod *s = start(1, 2);
    struct pages p[20] = {0};
    fill(100);
    SCRIPT(page_kvs, 7);
    for (int i = 0; i < 20; i++) {
        uint64_t id = 0;
        p[i].told.stop_after = i % 4 == 1 ? 3 : 0;
        range(s, &p[i], &id);
        p[i].told.cancel = i % 4 == 2 ? id : 0; /* itself, with its first page */
    }
    fake_put(&fake, "k050x", "later");
    for (int i = 0; i < 20; i += i % 4 == 0 ? 3 : 1) {
        poll_pages(s, &p[i]);
    }
    poll_in_vain(s);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(p[i].told.last_code, SYNOD_OK);
        assert_false(p[i].is_disordered);
        assert_true(p[i].count == 100 || p[i].count == 101);
        if (i % 4 == 1) {
            assert_int_equal(p[i].told.count, 3);
        } else if (i % 4 == 2) {
            assert_int_equal(p[i].told.count, 1);
        } else {
            assert_true(p[i].is_last);
            assert_int_equal(p[i].key_count, p[i].count);
        }
    }
    stop(s);
}

/* Proves: what is no range is refused, and an error ends a range without a page. */
static void test_range_refused(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct pages p = {.told.s = s};
    struct synod_range_op op = {.key = synod_text("")};
    assert_refused(s, synod_range_async(s, &op, SYNOD_LINEARIZABLE, 0, note_page, &p, NULL),
                   SYNOD_E_USAGE, "key");
    op = (struct synod_range_op){.key = synod_text("k"), .revision = 1000};
    assert_ok(s, synod_range_async(s, &op, SYNOD_LINEARIZABLE, 0, note_page, &p, NULL));
    poll_count(s, &p.told, 1);
    assert_int_equal(p.told.last_code, SYNOD_E_FUTURE);
    stop(s);
}

/* ---- reads */

static int note_record(void *arg, uint64_t index, const void *data, size_t size)
{
    struct told *t = arg;
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)(index - 1));
    assert_int_equal(size, strlen(text));
    assert_memory_equal(data, text, size);
    assert_true(t->number == 0 || index == t->number + 1);
    t->number = index;
    note(t, SYNOD_OK);
    return t->stop_after != 0 && t->count >= t->stop_after;
}

static void note_end(void *arg, int code, const struct synod_log *log)
{
    struct told *t = arg;
    assert_false(t->is_ended);
    t->is_ended = 1;
    t->last_code = code;
    assert_true(code != SYNOD_OK || log != NULL);
}

/* Proves: reads go on beside each other and beside a tail, each from its own place; they end once,
 * also when their function stops them, and not at all when they are given up. */
static void test_reads(void **state)
{
    (void)state;
    struct synod *s = start(1, 2);
    struct told t[4] = {{.s = s}, {.s = s, .stop_after = 5}, {.s = s}, {.s = s}};
    uint64_t tail = 0;
    fake_fill(&fake, 1000);
    SCRIPT(page_records, 64);
    assert_ok(s, synod_read_async(s, 0, 0, SYNOD_LINEARIZABLE, note_record, note_end, &t[0], NULL));
    assert_ok(s, synod_read_async(s, 10, 100, SYNOD_LOCAL, note_record, note_end, &t[1], NULL));
    assert_ok(s,
              synod_read_async(s, 1, 0, SYNOD_LOCAL, note_record, note_end, &t[2], &t[2].cancel));
    assert_ok(s, synod_tail_async(s, 990, note_record, note_end, &t[3], &tail));
    poll_for(s, &t[0].is_ended);
    poll_for(s, &t[1].is_ended);
    poll_count(s, &t[3], 11);
    assert_int_equal(t[0].count, 1000);
    assert_int_equal(t[0].last_code, SYNOD_OK);
    assert_int_equal(t[1].count, 5);
    assert_int_equal(t[1].number, 14);
    assert_int_equal(t[1].last_code, SYNOD_OK);
    assert_int_equal(t[2].count, 1);
    assert_ok(s, synod_append(s, "1000", 4, NULL));
    poll_count(s, &t[3], 12);
    assert_int_equal(synod_cancel(s, tail), SYNOD_OK);
    assert_ok(s, synod_append(s, "1001", 4, NULL));
    poll_in_vain(s);
    assert_int_equal(t[3].count, 12);
    assert_false(t[2].is_ended || t[3].is_ended);
    SCRIPT(trimmed, 10);
    t[0] = (struct told){.s = s};
    assert_ok(s, synod_read_async(s, 5, 0, SYNOD_LINEARIZABLE, note_record, note_end, &t[0], NULL));
    poll_for(s, &t[0].is_ended);
    assert_int_equal(t[0].last_code, SYNOD_E_NOT_FOUND);
    stop(s);
}

/* ---- leases */

/* Proves: leases are granted, kept alive and revoked without waiting, in the order of the calls,
 * and in callbacks, too. */
static void revoke_it(void *arg, int code, uint64_t number)
{
    struct told *t = arg;
    assert_int_equal(code, SYNOD_OK);
    t->number = number;
    assert_ok(t->s, synod_lease_revoke_async(t->s, 5, 0, note_number, t, NULL));
}

static void test_leases(void **state)
{
    (void)state;
    struct synod *s = start(1, 1);
    struct told granted = {0}, kept = {.s = s}, missing = {0};
    assert_ok(s, synod_lease_grant_async(s, 5, 60000, 1, 0, note_number, &granted, NULL));
    assert_ok(s, synod_lease_keepalive_async(s, 5, 0, revoke_it, &kept, NULL));
    assert_ok(s, synod_lease_grant_async(s, 0, 60000, 0, 0, NULL, NULL, NULL));
    poll_count(s, &granted, 1);
    assert_int_equal(granted.number, 5);
    poll_count(s, &kept, 1);
    assert_int_equal(kept.last_code, SYNOD_OK);
    assert_ok(s, synod_lease_keepalive_async(s, 5, 0, note_number, &missing, NULL));
    poll_count(s, &missing, 1);
    assert_int_equal(missing.last_code, SYNOD_E_LEASE);
    assert_int_equal(missing.number, 0);
    assert_non_null(strstr(synod_error(s), "no such lease"));
    assert_refused(s, synod_lease_grant_async(s, 0, 0, 0, 0, note_number, &granted, NULL),
                   SYNOD_E_USAGE, "60,000");
    stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_queries, clean_up),
        cmocka_unit_test_teardown(test_query_deadline, clean_up),
        cmocka_unit_test_teardown(test_cancel, clean_up),
        cmocka_unit_test_teardown(test_cancel_in_batch, clean_up),
        cmocka_unit_test_teardown(test_ranges, clean_up),
        cmocka_unit_test_teardown(test_range_refused, clean_up),
        cmocka_unit_test_teardown(test_reads, clean_up),
        cmocka_unit_test_teardown(test_leases, clean_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
