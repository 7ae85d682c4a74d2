/* Leases that the handle knows of, its own session first of all, and how long they certainly last.
 *
 * The rule of this file: a lease lasts until the time at which its last successful keepalive was
 * SENT, plus its ttl, less one percent for clocks that drift apart. The cluster counts from the
 * stamp that the leader gave the command, which cannot be earlier. What was sent and not answered
 * counts for nothing. */
#ifndef SYNOD_CLIENT_LEASE_H
#define SYNOD_CLIENT_LEASE_H

#include "common/base/error.h"
#include "common/client/synod.h"
#include "common/protocol/types.h"

#include <uthash.h>

/* A lease that this handle keeps alive, or that ends with its session. */
struct known_lease {
    uint64_t id;
    int is_bound;
    int is_kept;
    time_ms_t contact; /* when its last successful keepalive was sent */
    uint64_t ttl_ms;
    synod_lost_fn fn; /* may be NULL */
    void *arg;
    struct known_lease *next_lost;
    UT_hash_handle hh; /* by id */
};

struct leases {
    struct known_lease *known;
    struct known_lease *lost; /* no more in the table, and not told yet */
    size_t kept_count;
    time_ms_t keepalive_at; /* when they are kept alive next */
    size_t keepalive_count; /* commands under way */
    time_ms_t lost_at;      /* none is lost earlier */

    int is_session_used;  /* something relies on the session: it is kept alive by commands, whose
                             results prove that it lives */
    int is_session_alive; /* as far as has been told */
    time_ms_t session_proved; /* when the last of its blocks was sent that was certainly applied */
    uint64_t session_epoch;   /* raised whenever the session ended or may have ended */
    synod_lost_fn session_fn;
    void *session_arg;
};

time_ms_t lease_work(struct synod *s);
void lease_close(struct synod *s);

/* A block of the session that was sent then has been applied. */
void lease_session_proved(struct synod *s, time_ms_t sent_at);

/* The cluster does not know the session any more. */
void lease_session_ended(struct synod *s, uint64_t id);

/* Opens the session if need be, and waits until it is certain to live. */
int lease_session(struct synod *s, time_ms_t deadline, uint64_t *id) MUST_USE;

/* synod_lease_grant and _keepalive with a deadline of their own. */
int lease_grant(struct synod *s, uint64_t id, uint64_t ttl_ms, int is_bound, time_ms_t deadline,
                uint64_t *out) MUST_USE;
int lease_keepalive(struct synod *s, uint64_t id, time_ms_t deadline, uint64_t *left_ms) MUST_USE;

/* Ends a lease without waiting for it. */
void lease_post_revoke(struct synod *s, uint64_t id);

#endif
