/* Watches. A watch is a position, revision and place within it, and one long poll at a time: the
 * learner keeps nothing of it, and any learner can go on. */
#ifndef SYNOD_CLIENT_WATCH_H
#define SYNOD_CLIENT_WATCH_H

#include "common/client/synod.h"
#include "common/protocol/message.h"

#include <uthash.h>

struct synod_watch {
    struct synod *s;
    struct synod_watch *prev, *next;
    UT_hash_handle hh; /* by request, while is_asked */

    struct slice key, end; /* its own copies */
    uint32_t flags;
    int wants_progress;
    synod_watch_fn fn;
    void *arg;

    uint64_t revision; /* the next position wanted */
    uint32_t sub;
    uint64_t told; /* everything up to this revision was told, by events or as progress */
    int is_asked;  /* `request` waits for its page */
    int is_over;   /* its last callback was called: nothing is asked any more */
    int is_calling;
    int is_stopped; /* to be freed when its callback returns */
    uint64_t request;
    uint64_t asked_behind; /* highest revision that was known when it was asked */
    time_ms_t asked_at;
    time_ms_t not_before;
};

struct watches {
    struct synod_watch *list;
    struct synod_watch *by_request;
    time_ms_t wake; /* nothing is due before; 0: something may be */
};

/* synod_watch_start from the revision after one that an answer to this handle has named: it goes on
 * from there, also if that was compacted since. */
int watch_continue(struct synod *s, const struct synod_watch_options *options, synod_watch_fn fn,
                   void *arg, struct synod_watch **out) MUST_USE;

void watch_on_events(struct synod *s, const struct message *msg);
time_ms_t watch_work(struct synod *s);

/* All have to be asked again. */
void watch_forget_asked(struct synod *s);

/* Frees all, without a callback. */
void watch_close(struct synod *s);

#endif
