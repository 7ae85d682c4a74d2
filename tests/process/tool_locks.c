/* Takes and gives back one lock from many clients at once: `tool_locks CLUSTER CLIENTS COUNT TTL_MS
 * PAUSES`. Some holders stand still for longer than their session lives, and use the resource all
 * the same. The resource (a page that all clients share) checks tokens as RECIPES.md tells users
 * to: a token below the highest seen is refused. It ends with 1 if two holders had one token, if a
 * new holder's token did not rise, or if a holder without a pause was refused. */
#include "common/client/synod.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What the lock protects. */
struct resource {
    pthread_mutex_t mutex; /* of the page, not of what is tested */
    uint64_t highest;
    uint64_t owner; /* who used the highest token */
    uint64_t uses, refused, paused, errors;
};

struct task {
    const char *cluster;
    uint64_t client, count;
    uint32_t ttl_ms;
    uint64_t pause_every; /* 0: never */
    struct resource *resource;
};

static void sleep_ms(uint32_t ms)
{
    struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

/* Uses the resource under a token, for the first time if is_new. */
static void use(const struct task *task, uint64_t token, int is_new, int has_paused)
{
    struct resource *r = task->resource;
    pthread_mutex_lock(&r->mutex);
    if (token < r->highest) {
        r->refused++;
        if (!has_paused) {
            fprintf(stderr,
                    "error: client %" PRIu64 " was refused with token %" PRIu64 " of %" PRIu64
                    " and had not paused\n",
                    task->client, token, r->highest);
            r->errors++;
        }
    } else if ((token == r->highest) != (r->owner == task->client && !is_new)) {
        fprintf(stderr, "error: token %" PRIu64 " was given to %" PRIu64 " and to %" PRIu64 "\n",
                token, r->owner, task->client);
        r->errors++;
    } else {
        r->highest = token;
        r->owner = task->client;
        r->uses++;
    }
    pthread_mutex_unlock(&r->mutex);
}

/* Holds the lock once. A code of the library, 0 if all went well or as it may. */
static int hold(struct synod *s, const struct task *task, uint64_t number)
{
    struct synod_lock *lock;
    int rc = synod_lock(s, "resource", UINT32_MAX, &lock);
    if (rc == SYNOD_E_SESSION) {
        return 0; /* it stood still while it waited: again, with a new session */
    }
    if (rc != SYNOD_OK) {
        return rc;
    }
    uint64_t token = synod_lock_token(lock);
    uint64_t of_all = task->client * task->count + number;
    int pauses = task->pause_every > 0 && of_all % task->pause_every == 0;
    use(task, token, 1, 0);
    if (pauses) {
        sleep_ms(task->ttl_ms * 2);
        pthread_mutex_lock(&task->resource->mutex);
        task->resource->paused++;
        pthread_mutex_unlock(&task->resource->mutex);
    }
    use(task, token, 0, pauses);
    rc = synod_unlock(lock);
    return pauses && (rc == SYNOD_E_LOST || rc == SYNOD_E_SESSION) ? 0 : rc;
}

static int run_client(const struct task *task)
{
    struct synod *s;
    char why[SYNOD_ERROR_BYTES];
    struct synod_options options = {
        .cluster = task->cluster, .timeout_ms = 60000, .session_ttl_ms = task->ttl_ms};
    if (synod_open(&options, &s, why) != SYNOD_OK) {
        fprintf(stderr, "error: %s\n", why);
        return 1;
    }
    int rc = 0;
    for (uint64_t i = 0; i < task->count && rc == 0; i++) {
        rc = hold(s, task, i);
    }
    if (rc != 0) {
        fprintf(stderr, "error: client %" PRIu64 ": %s\n", task->client, synod_error(s));
    }
    synod_close(s);
    return rc != 0;
}

static struct resource *share_resource(void)
{
    struct resource *resource =
        mmap(NULL, sizeof *resource, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (resource == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&resource->mutex, &attributes);
    return resource;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: tool_locks CLUSTER CLIENTS COUNT TTL_MS PAUSES\n");
        return 3;
    }
    uint64_t clients = strtoull(argv[2], NULL, 10);
    uint64_t count = strtoull(argv[3], NULL, 10);
    uint64_t pauses = strtoull(argv[5], NULL, 10);
    struct resource *resource = share_resource();
    for (uint64_t i = 0; i < clients; i++) {
        struct task task = {.cluster = argv[1],
                            .client = i + 1,
                            .count = count / clients,
                            .ttl_ms = (uint32_t)strtoul(argv[4], NULL, 10),
                            .pause_every = pauses > 0 ? count / pauses : 0,
                            .resource = resource};
        if (fork() == 0) {
            _exit(run_client(&task));
        }
    }
    int failed = 0;
    for (uint64_t i = 0; i < clients; i++) {
        int status = 0;
        wait(&status);
        failed |= status != 0;
    }
    printf("uses=%" PRIu64 " refused=%" PRIu64 " paused=%" PRIu64 " errors=%" PRIu64
           " highest=%" PRIu64 "\n",
           resource->uses, resource->refused, resource->paused, resource->errors,
           resource->highest);
    return failed || resource->errors > 0;
}
