#include "tests/unit/client_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>
#include <time.h>

struct fake fake;

int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct synod *open_client(struct synod_options options)
{
    struct synod *s = NULL;
    char why[SYNOD_ERROR_BYTES] = "";
    options.cluster = fake.path;
    options.timeout_ms = options.timeout_ms != 0 ? options.timeout_ms : DEADLINE_MS;
    if (synod_open(&options, &s, why) != SYNOD_OK) {
        fail_msg("%s", why);
    }
    return s;
}

struct synod *start(size_t proposers, size_t learners)
{
    fake_start(&fake, proposers, learners);
    return open_client((struct synod_options){0});
}

void stop(struct synod *s)
{
    synod_close(s);
    assert_false(fake.is_acked_wrong);
    fake_stop(&fake);
}

int clean_up(void **state)
{
    (void)state;
    fake_stop(&fake);
    return 0;
}

void assert_ok(struct synod *s, int code)
{
    if (code != SYNOD_OK) {
        fail_msg("%d: %s", code, synod_error(s));
    }
}

void assert_refused(struct synod *s, int code, int wanted, const char *word)
{
    if (code != wanted || strstr(synod_error(s), word) == NULL) {
        fail_msg("%d instead of %d (%s): %s", code, wanted, word, synod_error(s));
    }
}

int is_text(struct synod_bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

void poll_for(struct synod *s, const int *what)
{
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (!*what && now_ms() < deadline) {
        assert_int_equal(synod_poll(s, 20), SYNOD_OK);
    }
    assert_true(*what);
}
