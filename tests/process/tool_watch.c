/* Watches a prefix while another process puts under it and a third compacts: `tool_watch CLUSTER
 * COUNT KEYS COMPACT_MS`. Each put is one revision and carries its number; the watcher must see all
 * of them, once, in order, whatever learner it asks. Once it has seen the first one, everything up
 * to the present is compacted every COMPACT_MS (0: never), with the watcher somewhere behind.
 * Prints events, compactions, and how many revisions the watcher was behind one of them at most; a
 * wrong or missing event ends it with 1. */
#include "common/client/synod.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PREFIX "events/"
#define UNDER_WAY_MAX 1000
#define AHEAD_MAX 20000 /* of the watcher: how slow a machine it runs on is not the question */

/* What the three processes share. */
struct shared {
    volatile uint64_t base;        /* revision before the first put; 0: not known yet */
    volatile uint64_t seen;        /* revision up to which the watcher has seen all */
    volatile uint64_t compactions; /* that succeeded */
    volatile uint64_t behind_max;  /* revisions that the watcher had not seen at one of them */
    volatile int has_failed;
};

static struct synod *open_handle(const char *cluster)
{
    struct synod *s;
    char why[SYNOD_ERROR_BYTES];
    struct synod_options options = {
        .cluster = cluster, .timeout_ms = 60000, .session_ttl_ms = 120000};
    if (synod_open(&options, &s, why) != SYNOD_OK) {
        fprintf(stderr, "error: %s\n", why);
        exit(1);
    }
    return s;
}

static int fail(struct shared *shared, const char *what, const struct synod *s)
{
    fprintf(stderr, "error: %s: %s\n", what, synod_error(s));
    shared->has_failed = 1;
    return 1;
}

/* ---- the writer */

static void on_put(void *arg, int code, const struct synod_result *result)
{
    (void)result;
    if (code != SYNOD_OK) {
        *(int *)arg = code;
    }
}

static int may_put(const struct shared *shared, const struct synod *s, uint64_t number)
{
    uint64_t seen = shared->seen > shared->base ? shared->seen : shared->base;
    return synod_outstanding(s) < UNDER_WAY_MAX && shared->base + number < seen + AHEAD_MAX;
}

static int write_all(const char *cluster, struct shared *shared, uint64_t count, uint64_t keys)
{
    struct synod *s = open_handle(cluster);
    int code = 0;
    for (uint64_t i = 0; i < count && code == 0 && !shared->has_failed;) {
        char key[40];
        char value[24];
        snprintf(key, sizeof key, PREFIX "%" PRIu64, i * 7919 % keys);
        snprintf(value, sizeof value, "%" PRIu64, i);
        struct synod_request put = {.op = SYNOD_PUT,
                                    .as.put = {.key = synod_text(key), .value = synod_text(value)}};
        if (may_put(shared, s, i) &&
            synod_request_async(s, &put, UINT32_MAX, on_put, &code) == SYNOD_OK) {
            i++;
        } else {
            synod_poll(s, 10);
        }
    }
    while (synod_outstanding(s) > 0 && code == 0) {
        synod_poll(s, 100);
    }
    if (code != 0) {
        return fail(shared, "a put", s);
    }
    synod_close(s);
    return 0;
}

/* ---- the compactor */

static int compact_all(const char *cluster, struct shared *shared, uint32_t every_ms)
{
    struct synod *s = open_handle(cluster);
    uint64_t done = 0;
    for (;;) {
        struct timespec pause = {every_ms / 1000, (long)(every_ms % 1000) * 1000000};
        nanosleep(&pause, NULL);
        struct synod_result *result;
        if (shared->seen == 0) {
            continue; /* the watch has not begun: it would be refused */
        }
        if (synod_get(s, synod_text(PREFIX), &result) != SYNOD_OK) {
            return fail(shared, "a read of the present revision", s);
        }
        uint64_t present = result->revision;
        synod_result_free(result);
        if (present > done && synod_compact(s, present) != SYNOD_OK) {
            return fail(shared, "a compaction", s);
        }
        if (present > done) {
            uint64_t behind = present > shared->seen ? present - shared->seen : 0;
            shared->behind_max = behind > shared->behind_max ? behind : shared->behind_max;
            shared->compactions++;
            done = present;
        }
    }
}

/* ---- the watcher */

struct watcher {
    struct shared *shared;
    uint64_t next; /* number of the put that is next */
    int code;
};

static void on_events(void *arg, int code, const struct synod_events *events)
{
    struct watcher *w = arg;
    w->code = code;
    if (code != SYNOD_OK) {
        return;
    }
    for (size_t i = 0; i < events->count; i++) {
        const struct synod_kv *kv = &events->events[i].kv;
        char number[24];
        snprintf(number, sizeof number, "%.*s", (int)kv->value.size, (const char *)kv->value.data);
        uint64_t found = strtoull(number, NULL, 10);
        if (found != w->next || kv->mod_revision != w->shared->base + 1 + w->next) {
            fprintf(stderr,
                    "error: wanted put %" PRIu64 " of revision %" PRIu64 ", got put %" PRIu64
                    " of revision %" PRIu64 "\n",
                    w->next, w->shared->base + 1 + w->next, found, kv->mod_revision);
            w->code = SYNOD_E_CORRUPT;
            return;
        }
        w->next++;
    }
    w->shared->seen = events->revision;
}

static int watch_all(const char *cluster, struct shared *shared, uint64_t count)
{
    struct synod *s = open_handle(cluster);
    char end[SYNOD_KEY_BYTES_MAX];
    struct synod_result *result;
    if (synod_get(s, synod_text(PREFIX), &result) != SYNOD_OK) {
        return fail(shared, "the first read", s);
    }
    shared->base = result->revision;
    synod_result_free(result);
    struct watcher w = {.shared = shared};
    struct synod_watch *watch;
    struct synod_watch_options options = {.key = synod_text(PREFIX),
                                          .end = synod_prefix_end(synod_text(PREFIX), end),
                                          .revision = shared->base + 1};
    if (synod_watch_start(s, &options, on_events, &w, &watch) != SYNOD_OK) {
        return fail(shared, "the watch", s);
    }
    while (w.next < count && w.code == 0 && !shared->has_failed) {
        synod_poll(s, 1000);
    }
    if (w.code != 0) {
        return fail(shared, "the watch", s);
    }
    synod_watch_stop(watch);
    synod_close(s);
    return 0;
}

/* ---- together */

static pid_t begin(int (*run)(const char *, struct shared *, uint64_t, uint64_t),
                   const char *cluster, struct shared *shared, uint64_t a, uint64_t b)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(run(cluster, shared, a, b));
    }
    return pid;
}

static int run_compactor(const char *cluster, struct shared *shared, uint64_t every_ms, uint64_t b)
{
    (void)b;
    return compact_all(cluster, shared, (uint32_t)every_ms);
}

static int run_watcher(const char *cluster, struct shared *shared, uint64_t count, uint64_t b)
{
    (void)b;
    return watch_all(cluster, shared, count);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: tool_watch CLUSTER COUNT KEYS COMPACT_MS\n");
        return 3;
    }
    uint64_t count = strtoull(argv[2], NULL, 10);
    uint64_t compact_ms = strtoull(argv[4], NULL, 10);
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    pid_t watcher = begin(run_watcher, argv[1], shared, count, 0);
    while (shared->base == 0 && !shared->has_failed) {
        usleep(1000);
    }
    pid_t writer = begin(write_all, argv[1], shared, count, strtoull(argv[3], NULL, 10));
    pid_t compactor = compact_ms > 0 ? begin(run_compactor, argv[1], shared, compact_ms, 0) : 0;
    int status = 0;
    waitpid(writer, &status, 0);
    int failed = status != 0;
    waitpid(watcher, &status, 0);
    failed |= status != 0;
    if (compactor > 0) {
        kill(compactor, SIGKILL);
        waitpid(compactor, NULL, 0);
    }
    printf("events=%" PRIu64 " compactions=%" PRIu64 " behind_max=%" PRIu64 "\n", count,
           shared->compactions, shared->behind_max);
    return failed || shared->has_failed;
}
