/* synod bench: load with a latency histogram, closed loop or open loop. */
#include "common/base/memory.h"
#include "common/runtime/log.h"
#include "deploy/histogram.h"
#include "deploy/options.h"
#include "deploy/output.h"
#include "deploy/verbs.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_S 1000000000ULL

enum {
    OPTION_OUTSTANDING = OPTION_OWN,
    OPTION_SIZE,
    OPTION_DURATION,
    OPTION_WARMUP,
    OPTION_RATE,
    OPTION_KEYS,
};

struct bench;

/* An append or a put under way. */
struct probe {
    struct bench *bench;
    struct probe *next_free;
    uint64_t since_ns; /* closed loop: when it was sent; open loop: when it should have been */
};

struct bench {
    struct common_options common;
    uint64_t outstanding;
    uint64_t size;
    uint32_t duration_ms, warmup_ms;
    uint64_t rate; /* per second; 0: closed loop */
    uint64_t keys; /* puts under so many keys, in turn; 0: appends */
    uint64_t put_count;

    struct synod *s;
    uint8_t *payload;
    struct probe *probes;
    struct probe *free_probes;
    struct histogram *histogram; /* nanoseconds, of what was sent and answered while measuring */
    uint64_t measure_from_ns, measure_to_ns;
    uint64_t done_count;  /* answered while measuring */
    uint64_t error_count; /* failed, at any time */
    int code;             /* of the first failure */
    char problem[SYNOD_ERROR_BYTES];
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void note_failure(struct bench *b, int code)
{
    b->error_count++;
    if (b->code == 0) {
        b->code = code;
        snprintf(b->problem, sizeof b->problem, "%s", synod_error(b->s));
    }
}

static void on_appended(void *arg, int code, uint64_t index);
static void on_put(void *arg, int code, const struct synod_result *result);

static int put(struct bench *b, struct probe *probe)
{
    char key[40];
    snprintf(key, sizeof key, "bench/%016llx", (unsigned long long)(b->put_count % b->keys));
    struct synod_request request = {
        .op = SYNOD_PUT, .as.put = {.key = synod_text(key), .value = {b->payload, b->size}}};
    int rc = synod_request_async(b->s, &request, 0, on_put, probe);
    b->put_count += rc == SYNOD_OK;
    return rc;
}

/* 1 if the library took it. */
static int send_probe(struct bench *b, struct probe *probe, uint64_t since_ns)
{
    probe->since_ns = since_ns;
    int rc = b->keys > 0 ? put(b, probe)
                         : synod_append_async(b->s, b->payload, b->size, 0, on_appended, probe);
    if (rc == SYNOD_OK) {
        return 1;
    }
    if (rc != SYNOD_E_BUSY) {
        note_failure(b, rc);
    }
    return 0;
}

static void on_answer(struct probe *probe, int code)
{
    struct bench *b = probe->bench;
    uint64_t now = now_ns();
    if (code != SYNOD_OK) {
        if (code != SYNOD_E_INTERRUPTED) {
            note_failure(b, code);
        }
    } else if (now >= b->measure_from_ns && now < b->measure_to_ns) {
        b->done_count++;
        if (probe->since_ns >= b->measure_from_ns) {
            histogram_add(b->histogram, now - probe->since_ns);
        }
    }
    if (b->rate == 0 && b->code == 0 && now < b->measure_to_ns && send_probe(b, probe, now)) {
        return;
    }
    probe->next_free = b->free_probes;
    b->free_probes = probe;
}

static void on_appended(void *arg, int code, uint64_t index)
{
    (void)index;
    on_answer(arg, code);
}

static void on_put(void *arg, int code, const struct synod_result *result)
{
    (void)result;
    on_answer(arg, code);
}

static struct probe *take_probe(struct bench *b)
{
    struct probe *probe = b->free_probes;
    if (probe != NULL) {
        b->free_probes = probe->next_free;
    }
    return probe;
}

static void give_back(struct bench *b, struct probe *probe)
{
    probe->next_free = b->free_probes;
    b->free_probes = probe;
}

/* 1 while the load has to go on. */
static int goes_on(struct bench *b, int rc)
{
    if (rc != SYNOD_OK && rc != SYNOD_E_INTERRUPTED) {
        note_failure(b, rc);
    }
    return b->code == 0 && !options_is_interrupted() && now_ns() < b->measure_to_ns;
}

static void run_closed(struct bench *b)
{
    int rc = SYNOD_OK;
    do {
        /* Also those that found no room when their predecessor was answered. */
        struct probe *probe;
        while ((probe = take_probe(b)) != NULL) {
            if (!send_probe(b, probe, now_ns())) {
                give_back(b, probe);
                break;
            }
        }
        rc = synod_poll(b->s, 100);
    } while (goes_on(b, rc));
}

/* Waits for the cluster, or for the next append's time, which poll's milliseconds are too coarse
 * for. */
static void wait_until(struct bench *b, uint64_t at_ns)
{
    uint64_t now = now_ns();
    uint64_t wait_ns = at_ns > now ? at_ns - now : 0;
    struct timespec timeout = {(time_t)(wait_ns / NS_PER_S), (long)(wait_ns % NS_PER_S)};
    struct pollfd fd = {synod_fd(b->s), POLLIN, 0};
    ppoll(&fd, 1, &timeout, NULL);
}

/* Appends are due at fixed times whether or not the cluster keeps up, and waiting for one's turn
 * counts: otherwise a stall would be measured by one sample instead of all it delayed. */
static void run_open(struct bench *b)
{
    uint64_t start = now_ns();
    uint64_t sent = 0;
    int rc = SYNOD_OK;
    do {
        uint64_t now = now_ns();
        uint64_t due;
        struct probe *probe = NULL;
        while ((due = start + (uint64_t)((double)sent * (double)NS_PER_S / (double)b->rate)) <=
                   now &&
               (probe = take_probe(b)) != NULL) {
            if (!send_probe(b, probe, due)) {
                give_back(b, probe);
                break;
            }
            sent++;
        }
        rc = synod_poll(b->s, 0);
        if (due > now) {
            wait_until(b, due);
        } else if (probe == NULL || b->free_probes == probe) {
            rc = synod_poll(b->s, 1); /* no room: an answer has to come first */
        }
    } while (goes_on(b, rc));
}

/* ---- the report */

static double in_us(uint64_t ns)
{
    return (double)ns / 1000;
}

static void print_report(const struct bench *b, double seconds)
{
    const struct histogram *h = b->histogram;
    double rate = seconds > 0 ? (double)b->done_count / seconds : 0;
    double median = in_us(histogram_quantile(h, 0.5));
    double p99 = in_us(histogram_quantile(h, 0.99));
    double p999 = in_us(histogram_quantile(h, 0.999));
    double max = in_us(h->max);
    double mean = histogram_mean(h) / 1000;
    if (b->common.form == OUTPUT_JSON) {
        output_json(json_pack(
            "{s:s, s:I, s:I, s:I, s:I, s:f, s:I, s:f, s:f, s:{s:f, s:f, s:f, s:f, s:f}, s:I}",
            "loop", b->rate != 0 ? "open" : "closed", "outstanding", (json_int_t)b->outstanding,
            "rate", (json_int_t)b->rate, "keys", (json_int_t)b->keys, "size", (json_int_t)b->size,
            "seconds", seconds, "records", (json_int_t)b->done_count, "records_per_s", rate,
            "bytes_per_s", rate * (double)b->size, "latency_us", "mean", mean, "median", median,
            "p99", p99, "p999", p999, "max", max, "errors", (json_int_t)b->error_count));
        return;
    }
    const char *what = b->keys > 0 ? "puts" : "records";
    if (b->rate != 0) {
        output_text("open loop, %llu %s/s, %llu bytes, %.1f s\n", (unsigned long long)b->rate, what,
                    (unsigned long long)b->size, seconds);
    } else {
        output_text("closed loop, %llu %s outstanding, %llu bytes, %.1f s\n",
                    (unsigned long long)b->outstanding, what, (unsigned long long)b->size, seconds);
    }
    output_text("throughput  %.0f %s/s  %.2f MiB/s\n", rate, what,
                rate * (double)b->size / (1024 * 1024));
    output_text(
        "latency     median %.0f us  p99 %.0f us  p99.9 %.0f us  max %.0f us  mean %.0f us\n",
        median, p99, p999, max, mean);
}

/* ---- the verb */

static int take_own_option(void *arg, int option, const char *value)
{
    struct bench *b = arg;
    const char *verb = b->common.verb;
    switch (option) {
    case OPTION_OUTSTANDING:
        return options_number(verb, "--outstanding", value, 1, SYNOD_OUTSTANDING_MAX,
                              &b->outstanding);
    case OPTION_SIZE:
        return options_number(verb, "--size", value, 0, SYNOD_RECORD_BYTES_MAX, &b->size);
    case OPTION_DURATION:
        return options_duration(verb, "--duration", value, &b->duration_ms);
    case OPTION_WARMUP:
        if (strcmp(value, "0") == 0) {
            b->warmup_ms = 0;
            return 0;
        }
        return options_duration(verb, "--warmup", value, &b->warmup_ms);
    case OPTION_KEYS:
        return options_number(verb, "--keys", value, 1, INT64_MAX, &b->keys);
    default:
        return options_number(verb, "--rate", value, 1, 100000000, &b->rate);
    }
}

static int parse(struct bench *b, int argc, char **argv, int *status)
{
    static const struct option longs[] = {
        COMMON_LONG_OPTIONS,
        {"outstanding", required_argument, NULL, OPTION_OUTSTANDING},
        {"size", required_argument, NULL, OPTION_SIZE},
        {"duration", required_argument, NULL, OPTION_DURATION},
        {"warmup", required_argument, NULL, OPTION_WARMUP},
        {"rate", required_argument, NULL, OPTION_RATE},
        {"keys", required_argument, NULL, OPTION_KEYS},
        {NULL, 0, NULL, 0},
    };
    *b = (struct bench){.outstanding = 1000, .size = 64, .duration_ms = 5000, .warmup_ms = 1000};
    if (options_parse(argc, argv, longs, &b->common, take_own_option, b, status)) {
        return -1;
    }
    if (options_arguments(argc, argv, 0, 0, "no arguments, only options") < 0) {
        *status = 3;
        return -1;
    }
    return 0;
}

static void prepare(struct bench *b)
{
    uint64_t count = b->rate != 0 ? SYNOD_OUTSTANDING_MAX : b->outstanding;
    b->payload = memory_alloc(b->size + 1);
    for (uint64_t i = 0; i < b->size; i++) {
        b->payload[i] = (uint8_t)('a' + i % 26);
    }
    b->probes = memory_calloc(count, sizeof *b->probes);
    for (uint64_t i = 0; i < count; i++) {
        b->probes[i].bench = b;
        give_back(b, &b->probes[i]);
    }
    b->histogram = memory_calloc(1, sizeof *b->histogram);
    b->measure_from_ns = now_ns() + (uint64_t)b->warmup_ms * 1000000;
    b->measure_to_ns = b->measure_from_ns + (uint64_t)b->duration_ms * 1000000;
}

static int run(struct bench *b)
{
    prepare(b);
    if (b->rate != 0) {
        run_open(b);
    } else {
        run_closed(b);
    }
    uint64_t end = now_ns() < b->measure_to_ns ? now_ns() : b->measure_to_ns;
    double seconds =
        end > b->measure_from_ns ? (double)(end - b->measure_from_ns) / (double)NS_PER_S : 0;
    print_report(b, seconds);
    output_flush();
    if (options_is_interrupted()) {
        log_say("interrupted: the figures are of %.1f s", seconds);
        return 5;
    }
    return b->code != 0 ? options_fail(b->code, b->problem) : 0;
}

int verb_bench(int argc, char **argv)
{
    struct bench b;
    int status = 0;
    if (parse(&b, argc, argv, &status) != 0) {
        return status;
    }
    output_init();
    status = options_open(&b.common, &b.s);
    if (status != 0) {
        return status;
    }
    status = run(&b);
    synod_close(b.s);
    free(b.payload);
    free(b.probes);
    free(b.histogram);
    return status;
}
