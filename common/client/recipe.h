/* What the recipes (locks, elections, work, queues) have in common: the names of their keys, and
 * two patterns, to hold a place in a queue of sessions and to claim something under a lease.
 *
 * Keys of recipes are "synod/KIND/..." with names in which "/" and "%" are escaped as in URLs: the
 * keys of one name are never within the prefix of another. */
#ifndef SYNOD_CLIENT_RECIPE_H
#define SYNOD_CLIENT_RECIPE_H

#include "common/base/buffer.h"
#include "common/client/client.h"

#define RECIPE_NAME_BYTES_MAX 1024

/* SYNOD_OK, or SYNOD_E_USAGE with a sentence about the `what` of that name. */
int recipe_check_name(struct synod *s, const char *what, const char *name) MUST_USE;

/* Appends text, or a name escaped. */
void recipe_put_text(struct buffer *out, const char *text);
void recipe_put_name(struct buffer *out, const char *name);

/* A name back, terminated, into RECIPE_NAME_BYTES_MAX + 1 bytes. 0, or -1 if it is none. */
int recipe_read_name(struct synod_bytes escaped, char *out) MUST_USE;

struct synod_bytes recipe_bytes(const struct buffer *buffer);

/* A deadline of one call within something that may wait until `until`: no shorter than the handle's
 * own. */
time_ms_t recipe_call_deadline(const struct synod *s, time_ms_t until);

/* Keeps a result until the next one, for what a call lends to the application. */
void recipe_lend(struct synod *s, struct synod_result *result);

void recipe_close(struct synod *s);

/* ---- hold.c: a place in a queue of sessions
 *
 * Each waits in a key of its own under its session, PREFIX + 16 hexadecimal digits of the session.
 * Who came first (by create revision, which is the token) holds; each other one waits for its
 * direct predecessor only. */

struct hold {
    struct synod *s;
    struct hold *prev, *next;
    const char *what;     /* "lock", "leadership" */
    struct buffer prefix; /* of all keys of the queue */
    struct buffer key;    /* ours */
    uint64_t token;
    uint64_t epoch; /* of the session when we came: while it is the same we are certainly there */
    struct synod_watch *watch; /* on our key, while we hold */
    int is_gone;               /* somebody deleted it, by itself or with the session */
};

/* Queues up, waits until it is our turn, at most timeout_ms, and gives *out. */
int hold_acquire(struct synod *s, const char *what, const char *name, struct synod_bytes value,
                 uint32_t timeout_ms, struct hold **out) MUST_USE;

int hold_is_held(const struct hold *hold);

/* Executes one operation if we hold. SYNOD_E_LOST. */
int hold_do(struct hold *hold, const struct synod_request *request) MUST_USE;

/* Leaves the queue and frees. What is lost already is not waited for. */
int hold_release(struct hold *hold);

/* ---- claim.c: something claimed under a lease of its own, whose id stands in the claim's key */

/* Compares that hold while a key has this create revision (0: does not exist), or exists. */
struct synod_compare claim_is(struct synod_bytes key, uint64_t token);
struct synod_compare claim_exists(struct synod_bytes key);

/* Its lease ended before the claim was made, so many times in a row that it is too short. Returns
 * SYNOD_E_UNAVAILABLE. */
#define CLAIM_TRIES 5
int claim_too_short(struct synod *s, const char *what, uint64_t ttl_ms);

/* Keeps the lease of the claim alive. SYNOD_E_LOST. */
int claim_renew(struct synod *s, const char *what, struct synod_bytes claim,
                uint64_t token) MUST_USE;

/* Deletes the claim, does what else is to be done with it, and ends its lease; all of it or, if the
 * token is of the past, nothing: SYNOD_E_LOST. */
int claim_settle(struct synod *s, const char *what, struct synod_bytes claim, uint64_t token,
                 const struct synod_request *also) MUST_USE;

#endif
