/* Increments one key from many clients at once, each increment a transaction that compares what was
 * read: `tool_increments CLUSTER KEY CLIENTS COUNT`. A retry that was executed twice, or an
 * increment that was acknowledged and lost, makes the sum wrong. Prints how many increments were
 * acknowledged in all; a client whose outcome is unknown ends everything with 1. */
#include "common/client/synod.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NUMBER_BYTES 24

struct counter {
    uint64_t value;
    uint64_t mod_revision; /* 0: the key does not exist */
};

static void take(struct counter *counter, const struct synod_response *range)
{
    *counter = (struct counter){0, 0};
    if (range->kv_count == 1) {
        char text[NUMBER_BYTES];
        const struct synod_kv *kv = &range->kvs[0];
        snprintf(text, sizeof text, "%.*s", (int)kv->value.size, (const char *)kv->value.data);
        *counter = (struct counter){strtoull(text, NULL, 10), kv->mod_revision};
    }
}

/* One attempt: 1 if it counted, 0 if another one was faster (counter is fresh then), or a code. */
static int attempt(struct synod *s, struct synod_bytes key, struct counter *counter)
{
    char text[NUMBER_BYTES];
    snprintf(text, sizeof text, "%" PRIu64, counter->value + 1);
    struct synod_compare compare = {.key = key,
                                    .target = SYNOD_BY_MOD,
                                    .relation = SYNOD_EQUAL,
                                    .number = counter->mod_revision};
    struct synod_request put = {.op = SYNOD_PUT, .as.put = {.key = key, .value = synod_text(text)}};
    struct synod_request get = {.op = SYNOD_RANGE, .as.range = {.key = key}};
    struct synod_request txn = {.op = SYNOD_TXN,
                                .as.txn = {.compares = &compare,
                                           .compare_count = 1,
                                           .then = &put,
                                           .then_count = 1,
                                           .otherwise = &get,
                                           .otherwise_count = 1}};
    struct synod_result *result = NULL;
    int rc = synod_request(s, &txn, SYNOD_LINEARIZABLE, &result);
    if (rc != SYNOD_OK) {
        return rc;
    }
    int counted = result->response.succeeded;
    if (counted) {
        *counter = (struct counter){counter->value + 1, result->revision};
    } else {
        take(counter, &result->response.responses[0]);
    }
    synod_result_free(result);
    return counted;
}

static int run_client(const char *cluster, struct synod_bytes key, uint64_t count)
{
    struct synod *s;
    char why[SYNOD_ERROR_BYTES];
    struct synod_options options = {
        .cluster = cluster, .timeout_ms = 60000, .session_ttl_ms = 120000};
    if (synod_open(&options, &s, why) != SYNOD_OK) {
        fprintf(stderr, "error: %s\n", why);
        return 1;
    }
    struct counter counter = {0, 0};
    int rc = 0;
    for (uint64_t done = 0; done < count && rc >= 0;) {
        rc = attempt(s, key, &counter);
        done += rc == 1;
    }
    if (rc < 0) {
        fprintf(stderr, "error: %s\n", synod_error(s));
    }
    synod_close(s);
    return rc < 0;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: tool_increments CLUSTER KEY CLIENTS COUNT\n");
        return 3;
    }
    uint64_t clients = strtoull(argv[3], NULL, 10);
    uint64_t each = strtoull(argv[4], NULL, 10) / clients;
    for (uint64_t i = 0; i < clients; i++) {
        pid_t pid = fork();
        if (pid < 0) {
            perror("fork");
            return 1;
        }
        if (pid == 0) {
            _exit(run_client(argv[1], synod_text(argv[2]), each));
        }
    }
    int failed = 0;
    for (uint64_t i = 0; i < clients; i++) {
        int status = 0;
        wait(&status);
        failed |= status != 0;
    }
    printf("%" PRIu64 "\n", clients * each);
    return failed;
}
