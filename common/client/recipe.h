/* What the recipes (locks, elections, work, queues) have in common: the names of their keys, the
 * application's side of a place in a queue of sessions, and the pattern to claim something under a
 * lease. The places themselves are the core's (core/holds.h).
 *
 * Keys of recipes are "synod/KIND/..." with names in which "/" and "%" are escaped as in URLs: the
 * keys of one name are never within the prefix of another.
 *
 * Work and queues are procedures of steps (calls.c), which a signal may interrupt between any two.
 * When the call is made again the procedure runs from its beginning: steps that were done answer
 * what they came to, and nothing is sent for them. This works as long as the second run asks for
 * the same steps in the same order. The rule is therefore: between two steps every decision rests
 * on arguments of the call and on results of steps, and on nothing else.
 *
 * - No decision reads the clock. Deadlines and "is it too late?" are steps themselves, which keep
 *   what they came to (recipe_deadline, recipe_is_late). The time that a single step has got to be
 *   answered may come from the clock, because a step that is begun keeps it.
 * - A wait ends in one way only, whatever ended it: the round is forgotten (step_rewind), and then
 *   everything but what was kept in steps before it is as it was in the beginning (queue.c).
 * - What is sent without waiting for a result is sent once (recipe_is_first).
 * - The last steps of an interrupted call that only read (is_read) are asked again, so that the
 *   second run may decide otherwise from there on: nothing was done on their ground.
 * - A procedure that a signal interrupted cleans nothing up: it goes on. A call that is given up
 *   leaves a lease behind, which ends by itself. */
#ifndef SYNOD_CLIENT_RECIPE_H
#define SYNOD_CLIENT_RECIPE_H

#include "common/client/handle.h"

#define RECIPE_NAME_BYTES_MAX 1024

/* SYNOD_OK, or SYNOD_E_USAGE with a sentence about the `what` of that name. */
int recipe_check_name(struct synod *s, const char *what, const char *name) MUST_USE;

/* Appends text, or a name escaped. */
void recipe_put_text(struct buffer *out, const char *text);
void recipe_put_name(struct buffer *out, const char *name);

/* Appends "synod/KIND/NAME/". */
void recipe_put_prefix(struct buffer *out, const char *kind, const char *name);

/* A name back, terminated, into RECIPE_NAME_BYTES_MAX + 1 bytes. 0, or -1 if it is none. */
int recipe_read_name(struct synod_bytes escaped, char *out) MUST_USE;

struct synod_bytes recipe_bytes(const struct buffer *buffer);

/* A text as an argument of a call (call_begin); NULL is none. */
struct call_argument recipe_text_argument(const char *text);

/* When a wait that begins now ends; 0: at once, UINT32_MAX: never. */
time_ms_t recipe_until(uint32_t timeout_ms);

/* The deadline of one step within a call that may wait until `until`: no shorter than the handle's
 * own. */
time_ms_t recipe_step_deadline(const struct synod *s, time_ms_t until);

/* Keeps a result until the next one, for what a call lends to the application. */
void recipe_lend(struct synod *s, struct synod_result *result);

/* ---- steps that are done at once, and keep what they came to */

/* recipe_until of the first run. *step is for step_rewind. */
time_ms_t recipe_deadline(struct synod *s, uint32_t timeout_ms, struct step **step);

/* 1 if the deadline has passed. */
int recipe_is_late(struct synod *s, time_ms_t deadline);

/* 1 in the run that comes here first. */
int recipe_is_first(struct synod *s);

/* ---- lock.c: a place in a queue of sessions, as the application has it */

struct holding;

/* What differs between a lock and a leadership. */
struct holding_kind {
    const char *what; /* in keys and sentences */
    /* Tells an asynchronous call what became of it; SYNOD_OK: the place is ours. */
    void (*tell)(struct holding *holding, int code);
};

/* All that struct synod_lock and struct synod_election are. */
struct holding {
    struct awaited awaited; /* of the hold; in the table unless is_leaving */
    const struct holding_kind *kind;
    struct synod *s;
    uint64_t token; /* 0: it was not ours yet */
    int is_leaving; /* it is being given back, which was interrupted */
    union {
        synod_lock_fn lock;
        synod_campaign_fn campaign;
    } fn; /* of an asynchronous call */
    void *arg;
    synod_lost_fn lost_fn; /* NULL: nobody is told, or was told already */
    void *lost_arg;
};

/* Where to queue up, with what value, and how long to wait. */
struct holding_wish {
    const struct holding_kind *kind;
    const char *name;
    struct synod_bytes value;
    uint32_t timeout_ms;
};

/* Queues up and waits until it is our turn, as the call of that name. */
int holding_acquire(struct synod *s, const char *call, const struct holding_wish *wish,
                    struct holding **out) MUST_USE;

/* The same without waiting. The functions to call are those of `told`, which is copied. */
int holding_acquire_async(struct synod *s, const struct holding_wish *wish,
                          const struct holding *told, uint64_t *id) MUST_USE;

int holding_is_held(const struct holding *holding);
int holding_on_lost(struct holding *holding, synod_lost_fn fn, void *arg);

/* The sentence that it is not ours any more; SYNOD_E_LOST. is_answered: the cluster has just said
 * so. */
int holding_lost(const struct holding *holding, int is_answered);

/* Leaves the queue as the call of that name, and frees it unless that was interrupted. */
int holding_release(struct holding *holding, const char *call);
int holding_release_async(struct holding *holding, synod_released_fn fn, void *arg);

/* ---- claim.c: something claimed under a lease of its own, whose id stands in the claim's key
 *
 * These are procedures within a call that was begun. */

/* Compares that hold while a key has this create revision (0: does not exist), or exists. */
struct synod_compare claim_is(struct synod_bytes key, uint64_t token);
struct synod_compare claim_exists(struct synod_bytes key);

/* Its lease ended before the claim was made, so many times in a row that it is too short. Returns
 * SYNOD_E_UNAVAILABLE. */
#define CLAIM_TRIES 5
int claim_too_short(struct synod *s, const char *what, uint64_t ttl_ms);

/* Ends a lease without waiting, once. */
void claim_post_revoke(struct synod *s, uint64_t lease);

/* Keeps the lease of the claim alive. SYNOD_E_LOST. */
int claim_renew(struct synod *s, const char *what, struct synod_bytes claim,
                uint64_t token) MUST_USE;

/* Deletes the claim, does what else is to be done with it, and ends its lease; all of it or, if the
 * token is of the past, nothing: SYNOD_E_LOST. */
int claim_settle(struct synod *s, const char *what, struct synod_bytes claim, uint64_t token,
                 const struct synod_request *also) MUST_USE;

#endif
