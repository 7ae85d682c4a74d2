#include "common/store/flusher.h"

#include "common/base/check.h"
#include "common/base/memory.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct flusher {
    int fd;
    pthread_t thread;
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t poked;
    pthread_cond_t synced;
    int is_waiting;        /* the thread sleeps until it is poked */
    uint64_t write_count;  /* writes to the file */
    uint64_t synced_count; /* of them, those that a sync has covered */
    int is_stopping;
    int failure; /* errno of the first sync that failed; 0 if none */
};

/* Waits until there is something to sync, and returns how many writes a sync from now on covers; 0
 * when it is time to end. */
static uint64_t take_work(struct flusher *flusher)
{
    pthread_mutex_lock(&flusher->mutex);
    flusher->is_waiting = 1;
    while (flusher->write_count == flusher->synced_count && !flusher->is_stopping) {
        pthread_cond_wait(&flusher->poked, &flusher->mutex);
    }
    flusher->is_waiting = 0;
    uint64_t count = flusher->write_count > flusher->synced_count ? flusher->write_count : 0;
    pthread_mutex_unlock(&flusher->mutex);
    return count;
}

/* Tells what a sync has covered, or that it failed. */
static void finish_work(struct flusher *flusher, uint64_t count, int failure)
{
    pthread_mutex_lock(&flusher->mutex);
    if (failure == 0) {
        flusher->synced_count = count;
    } else {
        flusher->failure = failure;
    }
    pthread_cond_signal(&flusher->synced);
    pthread_mutex_unlock(&flusher->mutex);
}

static void *run(void *arg)
{
    struct flusher *flusher = arg;
    uint64_t count;
    while ((count = take_work(flusher)) != 0) {
        int failure = fdatasync(flusher->fd) != 0 ? errno : 0;
        finish_work(flusher, count, failure);
        if (failure != 0) {
            break;
        }
    }
    return NULL;
}

int flusher_start(int fd, struct flusher **out, struct errmsg *err)
{
    struct flusher *flusher = memory_calloc(1, sizeof *flusher);
    flusher->fd = fd;
    CHECK(pthread_mutex_init(&flusher->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&flusher->poked, NULL) == 0);
    CHECK(pthread_cond_init(&flusher->synced, NULL) == 0);
    /* Signals are the business of the thread that runs the loop. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&flusher->thread, NULL, run, flusher);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        pthread_cond_destroy(&flusher->synced);
        pthread_cond_destroy(&flusher->poked);
        pthread_mutex_destroy(&flusher->mutex);
        free(flusher);
        return errmsg_set(err, ERROR_INTERNAL, "cannot start a thread (%s)", strerror(rc));
    }
    *out = flusher;
    return 0;
}

void flusher_poke(struct flusher *flusher)
{
    pthread_mutex_lock(&flusher->mutex);
    flusher->write_count++;
    if (flusher->is_waiting) {
        pthread_cond_signal(&flusher->poked);
    }
    pthread_mutex_unlock(&flusher->mutex);
}

int flusher_wait(struct flusher *flusher, struct errmsg *err)
{
    pthread_mutex_lock(&flusher->mutex);
    while (flusher->synced_count < flusher->write_count && flusher->failure == 0) {
        pthread_cond_wait(&flusher->synced, &flusher->mutex);
    }
    int failure = flusher->failure;
    pthread_mutex_unlock(&flusher->mutex);
    if (failure != 0) {
        return errmsg_set(err, ERROR_IO, "cannot sync the file guard (%s)", strerror(failure));
    }
    return 0;
}

void flusher_stop(struct flusher *flusher)
{
    if (flusher == NULL) {
        return;
    }
    pthread_mutex_lock(&flusher->mutex);
    flusher->is_stopping = 1;
    pthread_cond_signal(&flusher->poked);
    pthread_mutex_unlock(&flusher->mutex);
    pthread_join(flusher->thread, NULL);
    pthread_cond_destroy(&flusher->synced);
    pthread_cond_destroy(&flusher->poked);
    pthread_mutex_destroy(&flusher->mutex);
    free(flusher);
}
