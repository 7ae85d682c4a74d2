/* Leases that the client keeps alive, its own session first of all, and how long they certainly
 * last.
 *
 * The rule of this file: a lease lasts until the time at which its last successful keepalive was
 * SENT, plus its ttl, less one percent for clocks that drift apart. The cluster counts from the
 * stamp that the leader gave the command, which cannot be earlier. What was sent and not answered
 * counts for nothing. */
#ifndef SYNOD_CLIENT_CORE_LEASES_H
#define SYNOD_CLIENT_CORE_LEASES_H

#include "common/client/core/client.h"

#include "common/base/containers.h"

/* A lease that this client keeps alive, or that ends with its session. */
struct known_lease {
    uint64_t id;
    int is_bound;
    int is_kept;
    time_ms_t contact; /* when its last successful keepalive was sent */
    uint64_t ttl_ms;
    completion_fn fn; /* may be NULL */
    void *arg;
    UT_hash_handle hh; /* by id */
};

struct keepalive;
struct session_wish;

struct leases {
    struct known_lease *known;
    size_t kept_count;
    time_ms_t keepalive_at;       /* when they are kept alive next */
    struct keepalive *keepalives; /* commands under way */
    time_ms_t lost_at;            /* none is lost earlier */

    int is_session_used;  /* something relies on the session: it is kept alive by commands, whose
                             results prove that it lives */
    int is_session_alive; /* as far as has been told */
    time_ms_t session_proved; /* when the last of its blocks was sent that was certainly applied */
    uint64_t session_epoch;   /* raised whenever the session ended or may have ended */
    struct session_wish *wishes; /* who waits until it is certain to live; by rising id */
};

/* ---- calls */

/* Waits until the session is open and certain to live, at most until deadline: COMPLETION_SESSION,
 * with UNAVAILABLE if it was not in time, or CORRUPT if the handle is broken. From now on the
 * session is kept alive by commands. */
uint64_t client_want_session(struct client *c, time_ms_t deadline);

/* COMPLETION_SESSION_LOST is wanted, so that the session is kept alive by commands from now on. It
 * comes with or without this call, once for each time that the session was certain to live and is
 * not any more, and before COMPLETION_LEASE_LOST of the leases that end with it. */
void client_use_session(struct client *c);

/* How long the session certainly lives on without contact; 0: it may have ended. */
uint64_t client_session_left_ms(const struct client *c, time_ms_t now);

/* The id of the session, 0: none is open. */
uint64_t client_session(const struct client *c);

/* A lease was granted that ends with the session. */
void client_note_bound(struct client *c, uint64_t id);

/* Keeps a lease alive from now on. A keepalive that was sent at sent_at had the result ttl_ms.
 * COMPLETION_LEASE_LOST, once, when it is lost: it was not there any more, or nothing was heard in
 * time. It comes also if fn is NULL. One that is kept already gets what is given here in place of
 * what it had. */
void client_keep_lease(struct client *c, uint64_t id, uint64_t ttl_ms, time_ms_t sent_at,
                       completion_fn fn, void *arg);

/* Stops keeping it alive, without a completion; it lives on for its ttl. */
void client_release_lease(struct client *c, uint64_t id);

/* It was revoked: nothing is known of it any more, and no completion follows. */
void client_forget_lease(struct client *c, uint64_t id);

/* Ends a lease without waiting for it. One that is kept is lost by that; release it first. */
void client_post_revoke(struct client *c, uint64_t id);

/* ---- for the other parts of the core */

void leases_init(struct client *c);
void leases_close(struct client *c);

/* Tells what is lost, answers who waits for the session, and keeps alive what is due. */
void leases_work(struct client *c, struct effects *out);

/* A block of the session that was sent then has been applied. */
void leases_session_proved(struct client *c, time_ms_t sent_at);

/* The cluster does not know that session any more, or another one was opened in its place. */
void leases_session_ended(struct client *c, uint64_t id, struct effects *out);

/* 1 while the session is open and certainly lives. */
int leases_is_session_certain(const struct client *c);

/* client_want_session for a part of the core: it hears COMPLETION_SESSION, within leases_work. The
 * wish is over by then. */
struct listener;
uint64_t leases_want_session(struct client *c, time_ms_t deadline, struct listener *listener);
void leases_cancel_wish(struct client *c, uint64_t id);

#endif
