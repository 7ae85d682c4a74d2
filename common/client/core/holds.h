/* A hold is a place in a queue of sessions: what locks and leaderships are made of.
 *
 * Each session waits in a key of its own, PREFIX + 16 hexadecimal digits of the session. The one
 * that came first (by create revision, which is the token) holds; each other one waits for its
 * direct predecessor only, so that a hand-over wakes one waiter. */
#ifndef SYNOD_CLIENT_CORE_HOLDS_H
#define SYNOD_CLIENT_CORE_HOLDS_H

#include "common/base/tree.h"
#include "common/client/core/client.h"

struct hold;

RB_HEAD(hold_tree, hold);

struct holds {
    struct hold *list;       /* all, in the order of their calls */
    struct hold *line;       /* those with a command that had no room yet, in order */
    struct hold *by_prefix;  /* those that are not over */
    struct hold_tree timers; /* all, by due and id */
    uint64_t epoch;          /* of the session, as far as it was acted upon */
    size_t held_count;       /* holds that are ours */
};

/* ---- calls */

struct client_hold {
    const char *what;    /* "lock", "election": static, for sentences */
    struct slice prefix; /* of all keys of the queue, not empty; copied */
    struct slice value;  /* of our key; copied */
    time_ms_t until;     /* when waiting ends; a time that has passed: only if it is free now */
    uint32_t timeout_ms; /* of each single step on the way: no step ends before that, so that a
                            short wait is no reason to fail. UINT32_MAX: none */
};

/* Queues up and waits until it is our turn: COMPLETION_HELD with the token, or with UNAVAILABLE
 * (not in time, and we do not wait any more), SESSION (the session ended while we waited), EXISTS
 * (this client has a hold with that prefix). After a code other than OK the id is over; what was
 * put into the queue is taken out again. A hold that is ours ends with client_release or
 * client_cancel; COMPLETION_HOLD_LOST, with LOST and its sentence, says once that it is not ours
 * any more. */
uint64_t client_acquire(struct client *c, const struct client_hold *wanted);

/* 1 while it is certainly ours. */
int client_is_held(const struct client *c, uint64_t id, time_ms_t now);

/* Our key, borrowed until the hold ends. Empty before we are in the queue. */
struct slice client_hold_key(const struct client *c, uint64_t id);

/* The sentence of a hold that is lost, into err; ERROR_LOST. is_answered: the cluster has executed
 * a command of ours just now and did not find our key. */
int client_hold_lost(const struct client *c, uint64_t id, int is_answered, time_ms_t now,
                     struct errmsg *err);

/* Leaves the queue: COMPLETION_RELEASED, with the id of the hold, says whether it was ours until
 * then (OK) or not (LOST); what is lost already is not waited for. The hold is over with it.
 * Returns id, or 0 if it was never ours, or is over or being released: then nothing happens. */
uint64_t client_release(struct client *c, uint64_t id, time_ms_t deadline);

/* ---- for the other parts of the core */

void holds_close(struct client *c);
void holds_work(struct client *c, struct effects *out);

/* Our key is deleted behind everything that was sent; nothing is waited for. */
void hold_cancel(struct client *c, uint64_t id);

#endif
