/* Many threads in one process, each with a handle of its own on the same cluster: `tool_threads
 * CLUSTER THREADS ROUNDS`. In each round a thread appends a record, puts a key and reads it back;
 * in every LOCK_EVERY-th one it takes a lock that all share, and adds one to a counter by reading
 * and putting it. Prints a line for each operation, as acknowledged.py reads them, and ends with 1
 * at the first that fails, since nothing may fail within TIMEOUT_MS, if a key is not as it was
 * acknowledged, or if a lock's token does not rise. */
#include "common/client/synod.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS_MAX 64
#define TEXT_BYTES 64
#define TIMEOUT_MS 60000
#define LOCK_EVERY 6
#define COUNTER "counter"

struct worker {
    pthread_t thread;
    const char *cluster;
    uint64_t rounds;
    atomic_uint_fast64_t *token; /* the highest that any thread was given */
    struct synod *s;
    unsigned number;
    int has_failed;
};

static int fail(struct worker *w, const char *what, const char *why)
{
    fprintf(stderr, "error: thread %u: %s: %s\n", w->number, what, why);
    w->has_failed = 1;
    return -1;
}

/* 0, or -1 and the sentence has been printed. */
static int expect(struct worker *w, const char *what, int code)
{
    return code == SYNOD_OK ? 0 : fail(w, what, synod_error(w->s));
}

static int append(struct worker *w, uint64_t round)
{
    char record[TEXT_BYTES];
    uint64_t index;
    snprintf(record, sizeof record, "thread%u/%" PRIu64, w->number, round);
    if (expect(w, record, synod_append(w->s, record, strlen(record), &index)) != 0) {
        return -1;
    }
    printf("append 0 %" PRIu64 " %s\n", index, record);
    return 0;
}

static int read_back(struct worker *w, const char *key, uint64_t revision)
{
    struct synod_result *result;
    if (expect(w, key, synod_get(w->s, synod_text(key), &result)) != 0) {
        return -1;
    }
    const struct synod_kv *kv = result->response.kvs;
    size_t size = strlen(key);
    int is_same = result->response.kv_count == 1 && kv->mod_revision == revision &&
                  kv->version == 1 && kv->value.size == size &&
                  memcmp(kv->value.data, key, size) == 0;
    synod_result_free(result);
    return is_same ? 0 : fail(w, key, "it is not there as it was acknowledged");
}

static int put(struct worker *w, uint64_t round)
{
    char key[TEXT_BYTES];
    uint64_t revision;
    snprintf(key, sizeof key, "keys/thread%u/%" PRIu64, w->number, round);
    struct synod_bytes bytes = synod_text(key);
    if (expect(w, key, synod_put(w->s, bytes, bytes, 0, &revision)) != 0) {
        return -1;
    }
    printf("put 0 %" PRIu64 " %s 0\n", revision, key);
    return read_back(w, key, revision);
}

/* Read, add, put: one is lost if two threads hold the lock at a time. */
static int count_one(struct worker *w)
{
    char text[TEXT_BYTES] = "0";
    struct synod_result *result;
    if (expect(w, "the counter", synod_get(w->s, synod_text(COUNTER), &result)) != 0) {
        return -1;
    }
    if (result->response.kv_count == 1) {
        const struct synod_bytes *value = &result->response.kvs[0].value;
        snprintf(text, sizeof text, "%.*s", (int)value->size, (const char *)value->data);
    }
    synod_result_free(result);
    uint64_t sum = strtoull(text, NULL, 10) + 1;
    snprintf(text, sizeof text, "%" PRIu64, sum);
    return expect(w, "the counter",
                  synod_put(w->s, synod_text(COUNTER), synod_text(text), 0, NULL));
}

static int count_locked(struct worker *w)
{
    struct synod_lock *lock;
    if (expect(w, "a lock", synod_lock(w->s, "lock", TIMEOUT_MS, &lock)) != 0) {
        return -1;
    }
    uint64_t token = synod_lock_token(lock);
    if (atomic_exchange(w->token, token) >= token) {
        fail(w, "a lock", "its token does not rise");
    }
    count_one(w);
    return expect(w, "an unlock", synod_unlock(lock));
}

static void *work(void *arg)
{
    struct worker *w = arg;
    char why[SYNOD_ERROR_BYTES];
    struct synod_options options = {.cluster = w->cluster, .timeout_ms = TIMEOUT_MS};
    if (synod_open(&options, &w->s, why) != SYNOD_OK) {
        fail(w, "its handle", why);
        return NULL;
    }
    for (uint64_t round = 1; round <= w->rounds && !w->has_failed; round++) {
        if (append(w, round) == 0 && put(w, round) == 0 && round % LOCK_EVERY == 0) {
            count_locked(w);
        }
    }
    synod_close(w->s);
    return NULL;
}

int main(int argc, char **argv)
{
    static struct worker workers[THREADS_MAX];
    atomic_uint_fast64_t token = 0;
    unsigned count = argc == 4 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    if (count == 0 || count > THREADS_MAX) {
        fprintf(stderr, "usage: tool_threads CLUSTER THREADS ROUNDS (at most %d threads)\n",
                THREADS_MAX);
        return 3;
    }
    for (unsigned i = 0; i < count; i++) {
        workers[i] = (struct worker){.cluster = argv[1],
                                     .number = i + 1,
                                     .rounds = strtoull(argv[3], NULL, 10),
                                     .token = &token};
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            fprintf(stderr, "error: no thread %u\n", i + 1);
            return 1;
        }
    }
    int failed = 0;
    for (unsigned i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
        failed |= workers[i].has_failed;
    }
    return failed;
}
