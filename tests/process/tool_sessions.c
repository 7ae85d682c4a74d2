/* One handle that does a mix of everything that goes through the log, while its session ends again
 * and again: `tool_sessions CLUSTER NAME TTL_MS SEED`. It goes on until its standard input ends,
 * and then until one operation of each kind has succeeded. Prints a line for each operation, with
 * the code of its outcome:
 *
 *     append CODE INDEX RECORD
 *     put CODE REVISION KEY LEASE      the value is the key
 *     grant CODE LEASE BOUND
 *
 * Every record and every key is used once. An operation whose outcome is unknown (SYNOD_E_SESSION,
 * SYNOD_E_UNAVAILABLE, SYNOD_E_INTERRUPTED) is not repeated: it may have happened, once. A put may
 * also find its lease expired (SYNOD_E_LEASE). Any other code, a lease without an id, and a key
 * that is not as it was acknowledged end the program with 1; acknowledged.py compares what was
 * printed with what the cluster holds. */
#include "common/client/synod.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TEXT_BYTES 64
#define TIMEOUT_MS 3000
#define BURST_MAX 24
#define LAST_SECONDS 120   /* for one success of each kind at the end */
#define BOUND_TTL_MS 60000 /* of a lease that ends with the session */

struct client {
    struct synod *s;
    const char *name;
    uint32_t ttl_ms;
    unsigned seed;
    uint64_t number; /* of the last record or key */
    int has_failed;
};

/* What is under way without anybody waiting for it. */
struct pending {
    struct client *client;
    char text[TEXT_BYTES];
};

static int below(struct client *c, int bound)
{
    return rand_r(&c->seed) % bound;
}

static void sleep_ms(uint32_t ms)
{
    struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

/* The next record, or with a folder the next key. */
static void next_text(struct client *c, const char *folder, char *text)
{
    snprintf(text, TEXT_BYTES, "%s%s/%" PRIu64, folder, c->name, ++c->number);
}

/* ---- what is printed */

static void fail(struct client *c, const char *what, const char *why)
{
    if (!c->has_failed) { /* what follows is of no interest */
        fprintf(stderr, "error: %s: %s\n", what, why);
    }
    c->has_failed = 1;
}

static int is_unknown(int code)
{
    return code == SYNOD_E_SESSION || code == SYNOD_E_UNAVAILABLE || code == SYNOD_E_INTERRUPTED;
}

/* Answers the code. */
static int expect(struct client *c, const char *what, int code)
{
    if (code != SYNOD_OK && !is_unknown(code)) {
        fail(c, what, synod_error(c->s));
    }
    return code;
}

static int report_append(struct client *c, int code, uint64_t index, const char *record)
{
    printf("append %d %" PRIu64 " %s\n", code, code == SYNOD_OK ? index : 0, record);
    return expect(c, record, code);
}

static int report_put(struct client *c, int code, uint64_t revision, const char *key,
                      uint64_t lease)
{
    printf("put %d %" PRIu64 " %s %" PRIu64 "\n", code, code == SYNOD_OK ? revision : 0, key,
           lease);
    return lease != 0 && code == SYNOD_E_LEASE ? code : expect(c, key, code);
}

/* ---- one operation, and wait */

static int append(struct client *c)
{
    char record[TEXT_BYTES];
    uint64_t index;
    next_text(c, "", record);
    int code = synod_append(c->s, record, strlen(record), &index);
    return report_append(c, code, index, record);
}

static void check_key(struct client *c, const struct synod_kv *kv, const char *key, uint64_t lease,
                      uint64_t revision)
{
    char why[160];
    size_t size = strlen(key);
    if (kv->lease != lease || kv->mod_revision != revision || kv->version != 1 ||
        kv->value.size != size || memcmp(kv->value.data, key, size) != 0) {
        snprintf(why, sizeof why,
                 "put at revision %" PRIu64 " with lease %" PRIu64 ", read at %" PRIu64
                 " with lease %" PRIu64 ", version %" PRIu64,
                 revision, lease, kv->mod_revision, kv->lease, kv->version);
        fail(c, key, why);
    }
}

/* A key that was acknowledged is there as it was put; only its lease may have taken it away. */
static void read_back(struct client *c, const char *key, uint64_t lease, uint64_t revision)
{
    struct synod_result *result = NULL;
    if (expect(c, "a read", synod_get(c->s, synod_text(key), &result)) != SYNOD_OK) {
        return;
    }
    if (result->response.kv_count == 1) {
        check_key(c, &result->response.kvs[0], key, lease, revision);
    } else if (lease == 0) {
        fail(c, key, "acknowledged, and not there");
    } else {
        struct synod_lease left;
        int code = synod_lease_ttl(c->s, lease, &left, NULL, NULL);
        if (code == SYNOD_OK) {
            fail(c, key, "its lease lives, and it is not there");
        } else if (code != SYNOD_E_LEASE) {
            expect(c, "a lease's time", code);
        }
    }
    synod_result_free(result);
}

static int put_under(struct client *c, uint64_t lease)
{
    char key[TEXT_BYTES];
    uint64_t revision;
    next_text(c, "keys/", key);
    int code = synod_put(c->s, synod_text(key), synod_text(key), lease, &revision);
    if (report_put(c, code, revision, key, lease) == SYNOD_OK) {
        read_back(c, key, lease, revision);
    }
    return code;
}

static int put(struct client *c)
{
    return put_under(c, 0);
}

static int lease(struct client *c)
{
    int is_bound = below(c, 2);
    uint64_t id = 0;
    int code = synod_lease_grant(c->s, 0, is_bound ? BOUND_TTL_MS : c->ttl_ms, is_bound, &id);
    printf("grant %d %" PRIu64 " %d\n", code, code == SYNOD_OK ? id : 0, is_bound);
    if (expect(c, "a grant", code) != SYNOD_OK) {
        return code;
    }
    if (id == 0) {
        fail(c, "a grant", "answered with success and without an id");
        return SYNOD_E_CORRUPT;
    }
    return put_under(c, id);
}

/* ---- many at once */

static void on_append(void *arg, int code, uint64_t index)
{
    struct pending *pending = arg;
    report_append(pending->client, code, index, pending->text);
    free(pending);
}

static void on_put(void *arg, int code, const struct synod_result *result)
{
    struct pending *pending = arg;
    report_put(pending->client, code, result != NULL ? result->revision : 0, pending->text, 0);
    free(pending);
}

static int start_one(struct client *c, uint32_t timeout_ms)
{
    struct pending *pending = malloc(sizeof *pending);
    if (pending == NULL) {
        return SYNOD_E_INTERNAL;
    }
    pending->client = c;
    if (below(c, 2) == 0) {
        next_text(c, "", pending->text);
        return synod_append_async(c->s, pending->text, strlen(pending->text), timeout_ms, on_append,
                                  pending);
    }
    next_text(c, "keys/", pending->text);
    struct synod_bytes key = synod_text(pending->text);
    struct synod_request request = {.op = SYNOD_PUT, .as.put = {.key = key, .value = key}};
    return synod_request_async(c->s, &request, timeout_ms, on_put, pending);
}

/* Some of them travel together, some behind one another; their deadlines differ. */
static void burst(struct client *c)
{
    int count = 2 + below(c, BURST_MAX - 1);
    for (int i = 0; i < count && !c->has_failed; i++) {
        if (start_one(c, (uint32_t)(TIMEOUT_MS / 10 + below(c, TIMEOUT_MS))) != SYNOD_OK) {
            fail(c, "a burst", synod_error(c->s));
        }
        if (below(c, 4) == 0) {
            synod_poll(c->s, 0);
        }
    }
    while (synod_outstanding(c->s) > 0 && !c->has_failed) {
        synod_poll(c->s, 100);
    }
}

/* ---- the mix */

static void step(struct client *c)
{
    int dice = below(c, 128);
    if (dice < 40) {
        append(c);
    } else if (dice < 64) {
        put(c);
    } else if (dice < 88) {
        lease(c);
    } else if (dice < 127) {
        burst(c);
    } else {
        sleep_ms(c->ttl_ms / 2 + (uint32_t)below(c, (int)c->ttl_ms)); /* and nobody polls */
    }
}

static int has_input_ended(void)
{
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    char byte;
    return poll(&input, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

static void run(struct client *c)
{
    int (*const kinds[])(struct client *) = {append, put, lease};
    while (!c->has_failed && !has_input_ended()) {
        step(c);
        synod_poll(c->s, 2);
    }
    time_t end = time(NULL) + LAST_SECONDS;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && !c->has_failed; i++) {
        while (kinds[i](c) != SYNOD_OK && !c->has_failed) {
            if (time(NULL) > end) {
                fail(c, "the end", synod_error(c->s));
            }
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: tool_sessions CLUSTER NAME TTL_MS SEED\n");
        return 3;
    }
    struct client c = {.name = argv[2],
                       .ttl_ms = (uint32_t)strtoul(argv[3], NULL, 10),
                       .seed = (unsigned)strtoul(argv[4], NULL, 10)};
    char why[SYNOD_ERROR_BYTES];
    struct synod_options options = {
        .cluster = argv[1], .timeout_ms = TIMEOUT_MS, .session_ttl_ms = c.ttl_ms};
    if (synod_open(&options, &c.s, why) != SYNOD_OK) {
        fprintf(stderr, "error: %s\n", why);
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0); /* what was acknowledged counts, however this program ends */
    run(&c);
    synod_close(c.s);
    return c.has_failed;
}
