/* How many queries one handle gets answered: `tool_questions CLUSTER QUESTIONS ROUNDS`. Puts
 * QUESTIONS keys. In each round it asks for a tenth of them one at a time, and then for all of them
 * at once, and polls until each query is answered. The handle has taken all of them before the
 * first is sent, since an asynchronous call does not send; how many it sends at a time is its own
 * affair. Prints `alone QUERIES MICROSECONDS` and `together QUERIES MICROSECONDS` for each round,
 * and the most memory that this process has had, `before KIB` the first query and `peak KIB` in
 * all. Ends with 1 if an answer is not what was put, if a query is answered twice, or at the first
 * error. */
#include "common/client/synod.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUESTIONS_MAX 1000000
#define TEXT_BYTES 64
#define TIMEOUT_MS 60000

struct asker;

struct question {
    struct asker *asker;
    unsigned number;
    unsigned answer_count; /* in this round */
};

struct asker {
    struct synod *s;
    struct question *questions;
    unsigned question_count;
    unsigned pending_count; /* puts or questions that have no answer yet */
    int has_failed;
};

static void fail(struct asker *a, const char *what, const char *why)
{
    if (!a->has_failed) {
        fprintf(stderr, "error: %s: %s\n", what, why);
    }
    a->has_failed = 1;
}

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* The most memory that this process has had so far; 0 where the system does not say. */
static unsigned long peak_kib(void)
{
    char line[256];
    unsigned long kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        (void)sscanf(line, "VmHWM: %lu", &kib);
    }
    if (status != NULL) {
        fclose(status);
    }
    return kib;
}

/* Both the key and its value. */
static struct synod_bytes text_of(unsigned number, char text[TEXT_BYTES])
{
    snprintf(text, TEXT_BYTES, "questions/%010u", number);
    return synod_text(text);
}

static void poll_until(struct asker *a, unsigned pending_count)
{
    while (a->pending_count > pending_count && !a->has_failed) {
        if (synod_poll(a->s, TIMEOUT_MS) != SYNOD_OK) {
            fail(a, "a poll", synod_error(a->s));
        }
    }
}

/* ---- what is there to be asked for */

static void on_put(void *arg, int code, const struct synod_result *result)
{
    struct asker *a = arg;
    (void)result;
    a->pending_count--;
    if (code != SYNOD_OK) {
        fail(a, "a put", synod_error(a->s));
    }
}

static void put_all(struct asker *a)
{
    char text[TEXT_BYTES];
    for (unsigned i = 0; i < a->question_count && !a->has_failed; i++) {
        struct synod_bytes bytes = text_of(i, text);
        struct synod_request put = {.op = SYNOD_PUT, .as.put = {.key = bytes, .value = bytes}};
        a->pending_count++;
        if (synod_request_async(a->s, &put, 0, on_put, a) != SYNOD_OK) {
            fail(a, "a put", synod_error(a->s));
        }
        poll_until(a, 999);
    }
    poll_until(a, 0);
}

/* ---- questions */

static void check_answer(struct asker *a, unsigned number, const struct synod_result *result)
{
    char text[TEXT_BYTES];
    struct synod_bytes expected = text_of(number, text);
    const struct synod_kv *kv = result->response.kvs;
    if (result->response.kv_count != 1 || kv->value.size != expected.size ||
        memcmp(kv->value.data, expected.data, expected.size) != 0) {
        fail(a, text, "the answer is not what was put");
    }
}

static void on_answer(void *arg, int code, const struct synod_result *result)
{
    struct question *q = arg;
    q->asker->pending_count--;
    if (code != SYNOD_OK) {
        fail(q->asker, "a query", synod_error(q->asker->s));
        return;
    }
    if (++q->answer_count > 1) {
        fail(q->asker, "a query", "it was answered twice");
    }
    check_answer(q->asker, q->number, result);
}

static void ask_one(struct asker *a, unsigned number)
{
    char text[TEXT_BYTES];
    struct synod_result *result;
    if (synod_get(a->s, text_of(number, text), &result) != SYNOD_OK) {
        fail(a, text, synod_error(a->s));
        return;
    }
    check_answer(a, number, result);
    synod_result_free(result);
}

static void ask_alone(struct asker *a)
{
    unsigned step = a->question_count < 10 ? 1 : 10;
    unsigned count = 0;
    uint64_t began = now_us();
    for (unsigned i = 0; i < a->question_count && !a->has_failed; i += step) {
        ask_one(a, i);
        count++;
    }
    printf("alone %u %" PRIu64 "\n", count, now_us() - began);
}

static void ask_together(struct asker *a)
{
    char text[TEXT_BYTES];
    uint64_t began = now_us();
    for (unsigned i = 0; i < a->question_count && !a->has_failed; i++) {
        struct question *q = &a->questions[i];
        struct synod_request get = {.op = SYNOD_RANGE, .as.range = {.key = text_of(i, text)}};
        *q = (struct question){.asker = a, .number = i};
        a->pending_count++;
        if (synod_query_async(a->s, &get, SYNOD_LINEARIZABLE, 0, on_answer, q, NULL) != SYNOD_OK) {
            fail(a, text, synod_error(a->s));
        }
    }
    if (a->pending_count != a->question_count) {
        fail(a, "the queries", "not all were under way at once");
    }
    poll_until(a, 0);
    printf("together %u %" PRIu64 "\n", a->question_count, now_us() - began);
}

int main(int argc, char **argv)
{
    char why[SYNOD_ERROR_BYTES];
    struct asker a = {.s = NULL};
    unsigned long count = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
    unsigned long rounds = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    if (count == 0 || count > QUESTIONS_MAX || rounds == 0) {
        fprintf(stderr, "usage: tool_questions CLUSTER QUESTIONS ROUNDS (at most %d questions)\n",
                QUESTIONS_MAX);
        return 3;
    }
    struct synod_options options = {.cluster = argv[1], .timeout_ms = TIMEOUT_MS};
    if (synod_open(&options, &a.s, why) != SYNOD_OK) {
        fprintf(stderr, "error: %s\n", why);
        return 1;
    }
    a.question_count = (unsigned)count;
    a.questions = calloc(count, sizeof *a.questions);
    if (a.questions == NULL) {
        fail(&a, "the questions", "no memory");
    }
    put_all(&a);
    printf("before %lu\n", peak_kib());
    for (unsigned long round = 0; round < rounds && !a.has_failed; round++) {
        ask_alone(&a);
        ask_together(&a);
    }
    printf("peak %lu\n", peak_kib());
    synod_close(a.s);
    free(a.questions);
    return a.has_failed;
}
