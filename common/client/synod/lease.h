/* Leases and the session. Part of synod.h, which is to be included.
 *
 * A lease is an identity that ends when it is not kept alive for its ttl; the keys that were put
 * under it are deleted with it. Its time is the cluster's, which stands while nobody leads. The
 * session of a handle is a lease, too, and kept alive by the handle as long as it is polled. */
#ifndef SYNOD_LEASE_H
#define SYNOD_LEASE_H

#ifndef SYNOD_H
#error "include synod.h, which has this part"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Where they wait, these calls wait for the handle's timeout at most, and answer besides what is
 * said below: SYNOD_E_SESSION (whether it happened is unknown: look), SYNOD_E_UNAVAILABLE (a change
 * may still happen), SYNOD_E_INTERRUPTED (call again to go on), SYNOD_E_CORRUPT, SYNOD_E_REFUSED,
 * SYNOD_E_USAGE. */

/* Grants a lease. id: 1 to INT64_MAX, or 0: the cluster chooses one. ttl_ms: 1 to a year. is_bound:
 * it ends with the session of this handle at the latest. *out (may be NULL) gets the id. Blocks.
 * SYNOD_E_EXISTS: there is a lease with that id; SYNOD_E_USAGE: ttl or id; SYNOD_E_BUSY: the
 * cluster has no room for another: revoke some. */
int synod_lease_grant(struct synod *s, uint64_t id, uint64_t ttl_ms, int is_bound, uint64_t *out);

/* Ends a lease now and deletes its keys. Blocks. SYNOD_E_LEASE: there was none. */
int synod_lease_revoke(struct synod *s, uint64_t id);

/* Keeps a lease alive once. *left_ms (may be NULL) gets how long it lasts from then on. Blocks.
 * SYNOD_E_LEASE: there is none any more. */
int synod_lease_keepalive(struct synod *s, uint64_t id, uint64_t *left_ms);

/* ---- the same without waiting
 *
 * They travel in the order of the calls with appends and requests, with the same limits and
 * deadlines (synod_append_async): SYNOD_OK, or SYNOD_E_USAGE, SYNOD_E_BUSY, SYNOD_E_CORRUPT and fn
 * is not called. fn may be NULL. *call (may be NULL) gets the id for synod_cancel. */

/* Called once, with the codes of the blocking call, or SYNOD_E_INTERRUPTED: synod_close. number,
 * with SYNOD_OK, else 0: grant: the id of the lease; keepalive: how long it lasts, in ms; revoke:
 * 0. */
typedef void (*synod_lease_done_fn)(void *arg, int code, uint64_t number);

int synod_lease_grant_async(struct synod *s, uint64_t id, uint64_t ttl_ms, int is_bound,
                            uint32_t timeout_ms, synod_lease_done_fn fn, void *arg, uint64_t *call);
int synod_lease_revoke_async(struct synod *s, uint64_t id, uint32_t timeout_ms,
                             synod_lease_done_fn fn, void *arg, uint64_t *call);
int synod_lease_keepalive_async(struct synod *s, uint64_t id, uint32_t timeout_ms,
                                synod_lease_done_fn fn, void *arg, uint64_t *call);

/* ---- kept alive by the handle */

/* Called once, when a lease that is kept is lost: no later than the cluster can expire it. */
typedef void (*synod_lost_fn)(void *arg, uint64_t id);

/* Keeps the lease alive from now on, from within synod_poll and all blocking calls; those of one
 * handle travel together. Blocks until it was kept alive once. fn (may be NULL) is called when it
 * is lost: it was not there any more, or nothing was heard in time. To keep it again replaces fn
 * and arg. SYNOD_E_LEASE: there is none. */
int synod_lease_keep(struct synod *s, uint64_t id, synod_lost_fn fn, void *arg);

/* Stops keeping it alive; it lives on for its ttl. fn of synod_lease_keep is not called any more.
 * Does not block. */
void synod_lease_release(struct synod *s, uint64_t id);

/* ---- what there is */

struct synod_lease {
    uint64_t id;
    uint64_t ttl_ms;
    uint64_t left_ms;
};

/* Called for each key; return 0 to go on. Not a callback: it is called when nothing is waited for
 * any more, so that it may do all that its caller may. */
typedef int (*synod_key_fn)(void *arg, struct synod_bytes key);

/* What is left of a lease, into *out (may be NULL). fn (may be NULL) is called for each key under
 * it. Blocks. Linearizable. SYNOD_E_LEASE: there is none. */
int synod_lease_ttl(struct synod *s, uint64_t id, struct synod_lease *out, synod_key_fn fn,
                    void *arg);

/* Called for each lease, sessions included, by rising id; return 0 to go on. Not a callback, as
 * synod_key_fn is none. */
typedef int (*synod_lease_fn)(void *arg, const struct synod_lease *lease);

/* Tells all leases, those of each page as they are when it is asked for. Blocks. Linearizable. */
int synod_lease_list(struct synod *s, synod_lease_fn fn, void *arg);

/* ---- the session */

/* Opens the handle's session if need be, waits until it is certain to live, and tells its id (*id
 * may be NULL), under which keys can be put. From then on the handle proves again and again that it
 * lives. */
int synod_session(struct synod *s, uint64_t *id);

/* How long the session certainly lives on without contact; 0: it may have ended. Does not block. */
uint64_t synod_session_left_ms(const struct synod *s);

/* fn is called, with the session's id, when the session ends or may have ended, each time; NULL:
 * nobody. Does not block. */
void synod_on_session_lost(struct synod *s, synod_lost_fn fn, void *arg);

#ifdef __cplusplus
}
#endif
#endif
