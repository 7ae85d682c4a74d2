/* Recipes: locks, elections, work and queues, made of keys, leases and transactions. Part of
 * synod.h, which is to be included. */
#ifndef SYNOD_RECIPES_H
#define SYNOD_RECIPES_H

#ifndef SYNOD_H
#error "include synod.h, which has this part"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Names have 1 to 1024 bytes; names, values and results are copied or sent before a call returns.
 *
 * Where they wait, these calls wait for the handle's timeout at most, or, where they have a
 * timeout_ms of their own, for the longer of the two. They answer besides what is said below:
 * SYNOD_E_USAGE (a name or another argument, or in a callback), SYNOD_E_SESSION (whether it
 * happened is unknown: look), SYNOD_E_UNAVAILABLE (a change may still happen), SYNOD_E_INTERRUPTED
 * (call again to go on), SYNOD_E_BUSY (poll, then again), SYNOD_E_CORRUPT, SYNOD_E_REFUSED. Out
 * pointers are written with SYNOD_OK only. */

/* ---- locks
 *
 * What is locked must check the token: a holder that stood still for longer than its session lives
 * does not know yet that another one has the lock. Tokens rise from holder to holder; a resource
 * that refuses a token below the highest it has seen is safe.
 *
 * Who waits is served in the order of arrival. A lock is released when the session ends. It belongs
 * to the handle until it is given back: by synod_unlock, or with synod_close. */

struct synod_lock;

/* Waits until the lock is ours, at most timeout_ms (UINT32_MAX: for ever; 0: only if it is free
 * now), and gives *out: give it back with synod_unlock. SYNOD_E_UNAVAILABLE: not in time, and we do
 * not wait any more. SYNOD_E_SESSION: our session ended while we waited; lock again.
 * SYNOD_E_EXISTS: this handle has it or waits for it, or did not give it back: it must be unlocked
 * first. An interrupted call keeps its place in the queue until synod_cancel(s, 0), and may get the
 * lock meanwhile. */
int synod_lock(struct synod *s, const char *name, uint32_t timeout_ms, struct synod_lock **out);

/* Called once, with the codes of synod_lock, or SYNOD_E_INTERRUPTED: synod_close. lock is NULL
 * unless code is SYNOD_OK; it is to be given back. */
typedef void (*synod_lock_fn)(void *arg, int code, struct synod_lock *lock);

/* The same without waiting. fn must not be NULL. lost_fn (may be NULL) is called once, with the
 * token, if the lock is lost after that; it may give the lock back, which has to be done all the
 * same. *id (may be NULL) is for synod_cancel, which leaves the queue; once fn was called it does
 * nothing. SYNOD_OK, or SYNOD_E_USAGE, and nothing is called. */
int synod_lock_async(struct synod *s, const char *name, uint32_t timeout_ms, synod_lock_fn fn,
                     synod_lost_fn lost_fn, void *arg, uint64_t *id);

/* Larger than that of every holder before. Does not block. Any thread. */
uint64_t synod_lock_token(const struct synod_lock *lock);

/* 1 while the lock is certainly ours, by the clock and what the handle knows; it learns from
 * synod_poll and the blocking calls that the key of the lock was deleted, by itself or with the
 * session. Does not block. 0 in the child of a fork. */
int synod_lock_is_held(const struct synod_lock *lock);

/* fn is called once, with the token, when the lock is lost; NULL: nobody. It replaces the lost_fn
 * of synod_lock_async. Does not block. SYNOD_E_LOST: the lock is lost already, and fn is not
 * called. */
int synod_lock_on_lost(struct synod_lock *lock, synod_lost_fn fn, void *arg);

/* Releases the lock and frees it, whatever the code but SYNOD_E_INTERRUPTED: then the same call
 * goes on, or synod_cancel(s, 0) frees it. SYNOD_E_LOST: it was not ours any more, which takes no
 * time if the handle knew. In a callback (SYNOD_E_USAGE), and with other codes, it is released as
 * soon as that can be sent. */
int synod_unlock(struct synod_lock *lock);

/* Called once, with the codes of synod_unlock; SYNOD_E_INTERRUPTED: synod_close. */
typedef void (*synod_released_fn)(void *arg, int code);

/* The same without waiting: the lock is freed when the call returns. fn may be NULL. SYNOD_E_USAGE:
 * an interrupted synod_unlock is giving it back. */
int synod_unlock_async(struct synod_lock *lock, synod_released_fn fn, void *arg);

/* ---- elections: the same with a value that others can see */

struct synod_election;

/* Waits until we lead, as synod_lock does. value (copied; up to SYNOD_VALUE_BYTES_MAX / 2 bytes,
 * say, our address) is what observers see. Give *out back with synod_resign. */
int synod_campaign(struct synod *s, const char *name, struct synod_bytes value, uint32_t timeout_ms,
                   struct synod_election **out);

/* As synod_lock_fn and synod_lock_async. */
typedef void (*synod_campaign_fn)(void *arg, int code, struct synod_election *election);
int synod_campaign_async(struct synod *s, const char *name, struct synod_bytes value,
                         uint32_t timeout_ms, synod_campaign_fn fn, synod_lost_fn lost_fn,
                         void *arg, uint64_t *id);

/* As synod_lock_token, synod_lock_is_held and synod_lock_on_lost. */
uint64_t synod_election_token(const struct synod_election *election);
int synod_election_is_held(const struct synod_election *election);
int synod_election_on_lost(struct synod_election *election, synod_lost_fn fn, void *arg);

/* Changes the value while we lead. Blocks. SYNOD_E_LOST: we do not, and nothing was changed. */
int synod_proclaim(struct synod_election *election, struct synod_bytes value);

/* Ends our leadership and frees the election, as synod_unlock and synod_unlock_async do. */
int synod_resign(struct synod_election *election);
int synod_resign_async(struct synod_election *election, synod_released_fn fn, void *arg);

struct synod_leadership {
    uint64_t token; /* 0: nobody leads */
    struct synod_bytes value;
};

/* Return 0 to go on, anything else to stop. A callback. */
typedef int (*synod_observe_fn)(void *arg, const struct synod_leadership *leadership);

/* Tells of the present leader, and of every change of leader or value since, until fn returns other
 * than 0 (SYNOD_OK), or a signal (SYNOD_E_INTERRUPTED; made again, it begins with the leader of
 * then). Waits through outages. All observers see the same leaders in the same order; one that is
 * so slow that what it has to see was compacted goes on with the present leader. SYNOD_E_CORRUPT.
 * */
int synod_observe(struct synod *s, const char *name, synod_observe_fn fn, void *arg);

/* code SYNOD_OK, and as synod_observe_fn; or an error that will not go away, with which the
 * observation ends: leadership is NULL, and the result is not looked at. */
typedef int (*synod_observing_fn)(void *arg, int code, const struct synod_leadership *leadership);

/* The same without waiting, any number at once, until fn returns other than 0, or synod_cancel with
 * *id (may be NULL), or synod_close. SYNOD_OK, or SYNOD_E_USAGE. */
int synod_observe_start(struct synod *s, const char *name, synod_observing_fn fn, void *arg,
                        uint64_t *id);

/* ---- work: who does what, how often was it taken over, and is it done?
 *
 * The table of leases that one would otherwise keep in SQL. An item is claimed for a time, renewed,
 * and completed by its holder; if the holder falls silent another one takes over and the counter
 * rises. A claim whose token is of the past changes nothing any more.
 *
 * The counter is 1 with the first claim and rises with each take-over: a claim by another owner, or
 * by anybody after one that expired or ended with its session. It stands when a claim is renewed,
 * or released and made again by its owner. It is no fence: the token is, and rises each time. */

#define SYNOD_RESULT_BYTES_MAX (SYNOD_VALUE_BYTES_MAX - 1024)

enum synod_work_state { SYNOD_WORK_FREE = 0, SYNOD_WORK_CLAIMED = 1, SYNOD_WORK_DONE = 2 };

struct synod_work {
    enum synod_work_state state;
    uint64_t counter; /* 1, and one more for each time that it was taken over */
    uint64_t token;   /* of the present claim, or of the one that completed it */
    char owner[256];
    struct synod_bytes result; /* DONE: as its holder gave it; valid until the next call */
};

/* Claims an item (which begins to exist by that) for ttl_ms, 1 to a year. owner: who we are, for
 * people to read, up to 255 bytes. is_detached: the claim outlives this handle's session. Blocks.
 * SYNOD_E_EXISTS: it is claimed or done; *out says by whom. SYNOD_E_UNAVAILABLE, besides: ttl_ms is
 * too short to make a claim at all. */
int synod_work_claim(struct synod *s, const char *item, const char *owner, uint64_t ttl_ms,
                     int is_detached, struct synod_work *out);

/* The claim lasts for its ttl_ms from now; it is given up, and the item free; it is done, with a
 * result of up to SYNOD_RESULT_BYTES_MAX bytes. From any handle that knows the token. They block.
 * SYNOD_E_LOST: the token is of the past, and nothing was changed. */
int synod_work_renew(struct synod *s, const char *item, uint64_t token);
int synod_work_release(struct synod *s, const char *item, uint64_t token);
int synod_work_complete(struct synod *s, const char *item, uint64_t token,
                        struct synod_bytes result);

/* What is known of an item. Blocks. Linearizable. SYNOD_E_NOT_FOUND: never claimed. */
int synod_work_show(struct synod *s, const char *item, struct synod_work *out);

/* Called for each item; return 0 to go on. Not a callback: it is called when nothing is waited for
 * any more, so that it may do all that its caller may. */
typedef int (*synod_work_fn)(void *arg, const char *item, const struct synod_work *work);

/* Tells all items, by rising names in their escaped form, as they are at one moment. Blocks.
 * Linearizable. SYNOD_E_COMPACTED: too much was changed and compacted meanwhile, again and again
 * for the handle's timeout; try again. */
int synod_work_list(struct synod *s, synod_work_fn fn, void *arg);

/* ---- queues
 *
 * Messages in the order of their arrival. A message is claimed for a time in which nobody else sees
 * it, and acknowledged when it is dealt with; a claim that ends without that puts it back to where
 * it was. So each is seen at least once; the token tells a second time from the first. */

struct synod_message {
    char id[32];             /* within its queue */
    uint64_t token;          /* of this claim */
    struct synod_bytes data; /* valid until the next call */
};

/* Adds a message of up to SYNOD_VALUE_BYTES_MAX bytes at the end. id (may be NULL) gets its id.
 * Blocks. */
int synod_queue_push(struct synod *s, const char *queue, struct synod_bytes data, char id[32]);

/* The same, but only if the queue holds no message, claimed ones included; however many try at
 * once, one of them pushes. SYNOD_E_EXISTS: it holds one. */
int synod_queue_push_if_empty(struct synod *s, const char *queue, struct synod_bytes data,
                              char id[32]);

/* Claims the first message that nobody has for visibility_ms, 1 to a year, waiting for one at most
 * timeout_ms (UINT32_MAX: for ever; 0: only if there is one now). is_detached: the claim outlives
 * this handle's session. SYNOD_E_NOT_FOUND: there was none in time. SYNOD_E_UNAVAILABLE, besides:
 * visibility_ms is too short to make a claim at all. */
int synod_queue_claim(struct synod *s, const char *queue, uint64_t visibility_ms, int is_detached,
                      uint32_t timeout_ms, struct synod_message *out);

/* The claim lasts for its visibility_ms from now; the message is dealt with, and gone; it is back
 * in its place. From any handle that knows the token. They block. SYNOD_E_LOST: the claim has
 * ended, and nothing was changed. */
int synod_queue_extend(struct synod *s, const char *queue, const char *id, uint64_t token);
int synod_queue_acknowledge(struct synod *s, const char *queue, const char *id, uint64_t token);
int synod_queue_release(struct synod *s, const char *queue, const char *id, uint64_t token);

struct synod_queue {
    uint64_t length; /* messages, claimed ones included */
    uint64_t claimed;
};

/* How long a queue is; one that nobody has pushed into is empty. Blocks. Linearizable. */
int synod_queue_show(struct synod *s, const char *queue, struct synod_queue *out);

#ifdef __cplusplus
}
#endif
#endif
