#include "common/store/flusher.h"

#include "common/base/check.h"
#include "common/base/memory.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct flusher {
    int fd;
    pthread_t thread;
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t poked;
    int is_waiting; /* the thread sleeps until it is poked */
    int is_dirty;
    int is_stopping;
    int failure; /* errno of the first sync that failed; 0 if none */
};

/* Waits until there is something to sync. 0 when it is time to end. */
static int take_work(struct flusher *flusher)
{
    pthread_mutex_lock(&flusher->mutex);
    flusher->is_waiting = 1;
    while (!flusher->is_dirty && !flusher->is_stopping) {
        pthread_cond_wait(&flusher->poked, &flusher->mutex);
    }
    flusher->is_waiting = 0;
    int has_work = flusher->is_dirty && flusher->failure == 0;
    flusher->is_dirty = 0;
    pthread_mutex_unlock(&flusher->mutex);
    return has_work;
}

static void *run(void *arg)
{
    struct flusher *flusher = arg;
    const struct timespec pause = {0, FLUSH_PAUSE_MS * 1000000L};
    while (take_work(flusher)) {
        if (fdatasync(flusher->fd) != 0) {
            pthread_mutex_lock(&flusher->mutex);
            flusher->failure = errno;
            pthread_mutex_unlock(&flusher->mutex);
            break;
        }
        nanosleep(&pause, NULL);
    }
    return NULL;
}

int flusher_start(int fd, struct flusher **out, struct errmsg *err)
{
    struct flusher *flusher = memory_calloc(1, sizeof *flusher);
    flusher->fd = fd;
    CHECK(pthread_mutex_init(&flusher->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&flusher->poked, NULL) == 0);
    /* Signals are the business of the thread that runs the loop. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&flusher->thread, NULL, run, flusher);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        pthread_cond_destroy(&flusher->poked);
        pthread_mutex_destroy(&flusher->mutex);
        free(flusher);
        return errmsg_set(err, ERROR_INTERNAL, "cannot start a thread (%s)", strerror(rc));
    }
    *out = flusher;
    return 0;
}

int flusher_poke(struct flusher *flusher, struct errmsg *err)
{
    pthread_mutex_lock(&flusher->mutex);
    flusher->is_dirty = 1;
    int failure = flusher->failure;
    if (flusher->is_waiting) {
        pthread_cond_signal(&flusher->poked);
    }
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
    pthread_cond_destroy(&flusher->poked);
    pthread_mutex_destroy(&flusher->mutex);
    free(flusher);
}
