/* libsynod: the C client of a Synod cluster. This header is all of it; it includes its parts:
 *
 *     synod/log.h      appends and reads of the log
 *     synod/kv.h       keys and watches
 *     synod/lease.h    leases and the handle's session
 *     synod/recipes.h  locks, elections, work and queues
 *     synod/cluster.h  how the cluster is
 *     synod/leader.h   who should lead, and why somebody does
 *
 * Threads. A handle (struct synod) belongs to one thread at a time: no two calls on it may overlap,
 * and where a function below does not say otherwise, it is called by that thread. Different handles
 * are independent. A handle starts no thread of its own; its work is done inside the calls. A
 * program that has anything under way calls synod_poll often, or watches synod_fd.
 *
 * Two kinds of calls. A blocking call waits for what it was called for, at most until its deadline,
 * and does all other work of the handle meanwhile. An asynchronous call (its name ends in _async)
 * returns at once; thousands may be under way. What it came to is told to the function that came
 * with it.
 *
 * Callbacks are called from within synod_poll, blocking calls and synod_close of the same handle,
 * by the thread that made that call, and never from within an asynchronous one. In a callback
 * nothing can be waited for: there the blocking calls and synod_poll answer SYNOD_E_USAGE, and
 * synod_close ends the program. All others may be called; anything may be cancelled or stopped,
 * also what the callback is about. Pointers that a callback is given are valid until it returns.
 *
 * Exactly once. Everything that changes something carries the handle's session and a sequence.
 * However often the library sends it again, through whichever proposer, it happens once, and what
 * one handle sends happens in the order of the calls.
 *
 * Interrupted. A signal that has a handler ends the wait of a blocking call with
 * SYNOD_E_INTERRUPTED, but not what it waits for, which is still under way. Make the same call
 * again, with the same arguments, to go on with it: nothing is done twice, the deadline is still
 * that of the first call, and if it was answered in between, you get that answer. Arguments are the
 * same if all bytes are that the call reads; where it writes its results may differ. Other calls
 * may be made in between. Calls that only read simply begin anew. synod_cancel(s, 0) gives up all
 * that was interrupted, after which the same call is a new one; call it where you do not go on.
 *
 *     do {
 *         rc = synod_append(s, "hello", 5, &index);
 *     } while (rc == SYNOD_E_INTERRUPTED && !is_asked_to_stop);
 *
 * Forks. A handle belongs to the process that opened it. In a child every call that has a code
 * answers SYNOD_E_USAGE at once and touches nothing of the parent's: the child opens a handle of
 * its own, or calls exec. synod_close gives back the memory of the dead one.
 *
 *     struct synod *s;
 *     char why[SYNOD_ERROR_BYTES];
 *     struct synod_options options = {.cluster = "cluster.yml"};
 *     if (synod_open(&options, &s, why) != SYNOD_OK) { fprintf(stderr, "%s\n", why); exit(1); }
 *     uint64_t index;
 *     if (synod_append(s, "hello", 5, &index) != SYNOD_OK) {
 *         fprintf(stderr, "%s\n", synod_error(s));
 *     }
 *     synod_close(s);
 */
#ifndef SYNOD_H
#define SYNOD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SYNOD_VERSION "0.1.0"
#define SYNOD_ERROR_BYTES 512
#define SYNOD_RECORD_BYTES_MAX (1024 * 1024)          /* longest record */
#define SYNOD_OUTSTANDING_MAX 65536                   /* changes of one handle without a result */
#define SYNOD_OUTSTANDING_BYTES_MAX (7 * 1024 * 1024) /* bytes of these; one record always fits */

/* Every call answers one of these. The sentence is in synod_error. */
enum synod_code {
    SYNOD_OK = 0,
    SYNOD_E_USAGE = -1, /* an argument, cluster.yml or the record's size is wrong, a call that waits
                           was made in a callback, or the handle is not of this process: correct */
    SYNOD_E_BUSY = -2,  /* SYNOD_OUTSTANDING_MAX or _BYTES_MAX is reached: call synod_poll, then
                           again; or the cluster has no room for another lease */
    SYNOD_E_UNAVAILABLE = -4,  /* no connection, leader or quorum in time: it may still happen */
    SYNOD_E_REFUSED = -5,      /* the cluster does not take us: another cluster, version or key */
    SYNOD_E_CORRUPT = -7,      /* a process answered with nonsense */
    SYNOD_E_INTERNAL = -8,     /* memory or descriptors of this process */
    SYNOD_E_NOT_FOUND = -9,    /* no such index (trimmed, or beyond the end), or no such thing */
    SYNOD_E_INTERRUPTED = -10, /* a signal ended the wait: the same call again goes on with it */
    SYNOD_E_SESSION = -11,     /* the session expired with this operation outstanding: whether it
                              happened is unknown */
    SYNOD_E_COMPACTED = -12,   /* the revision was compacted: read or watch from a later one */
    SYNOD_E_FUTURE = -13,      /* the revision does not exist yet */
    SYNOD_E_LEASE = -14,       /* no such lease: never granted, revoked or expired */
    SYNOD_E_EXISTS = -15,      /* the lease's id, or the item, is taken */
    SYNOD_E_TOO_LARGE = -16,   /* the response would be too large: narrow it, or give a limit */
    SYNOD_E_LOST = -17,    /* the lock, leadership or claim is not ours (any more): its token is of
                                the past. Nothing was changed */
    SYNOD_E_CHANGED = -18, /* somebody else changed the settings meanwhile, and nothing was changed
                                here: read them again, and try again */
    SYNOD_E_UNFIT = -19    /* who was named cannot lead: it is silent, cut off, or barred */
};

enum synod_consistency {
    SYNOD_LINEARIZABLE = 0, /* sees everything acknowledged to anybody before the call */
    SYNOD_LOCAL = 1         /* what the learner has; works without a quorum */
};

struct synod; /* a handle */

struct synod_options {
    const char *cluster;     /* path of cluster.yml; NULL: environment variable SYNOD_CLUSTER */
    uint32_t learner;        /* pin this learner by id; 0: any, and another when it fails */
    uint32_t timeout_ms;     /* deadline of blocking calls, default of asynchronous; 0: 10,000;
                                UINT32_MAX: none */
    uint32_t session_ttl_ms; /* the session survives so long without contact; 0: 60,000 */
};

/* Opens a handle: reads cluster.yml, connects in the background. Does not wait for the cluster. Any
 * thread. options (NULL: all defaults) are copied. On failure *why (SYNOD_ERROR_BYTES, or NULL) has
 * the sentence and *out is not written. Give the handle back with synod_close. SYNOD_E_USAGE: no
 * cluster is named, its file is not there or wrong, or has no such learner; SYNOD_E_INTERNAL. */
int synod_open(const struct synod_options *options, struct synod **out, char *why);

/* Ends the session if the cluster can be reached within a moment (it waits for at most 200 ms), and
 * frees the handle, whatever the answer. Callbacks that wait for the only answer of an operation,
 * question or lock are called with SYNOD_E_INTERRUPTED first. Watches, observations, locks and
 * elections that were not given back are freed with it without a word, and end with its session.
 * NULL is allowed. SYNOD_OK; SYNOD_E_USAGE in the child of a fork, where nothing is called back,
 * and the memory is freed, but not the parent's connections, of which the child has a part that
 * stays until it ends or calls exec. In a callback it ends the program. */
int synod_close(struct synod *s);

/* The sentence for the last call on this handle that failed or, inside a callback with a code other
 * than SYNOD_OK, for that code: "what (why); try: how". Never NULL; valid until the next call. */
const char *synod_error(const struct synod *s);

/* Does the work: sends, receives, calls callbacks. Blocks until something happened, at most
 * timeout_ms (0: not at all; UINT32_MAX: without end). SYNOD_OK, also when nothing happened;
 * SYNOD_E_INTERRUPTED: a signal came, poll again; SYNOD_E_REFUSED: all proposers, or all learners,
 * refuse this cluster.yml or version; SYNOD_E_USAGE in a callback. */
int synod_poll(struct synod *s, uint32_t timeout_ms);

/* A descriptor for poll(2), epoll or an event loop: whenever it is readable, call synod_poll(s, 0);
 * and call that once after the last asynchronous call, before waiting. It becomes readable for what
 * arrives and for what is due, deadlines too. Does not block. The handle keeps it; -1 if there are
 * no descriptors left (the sentence is in synod_error), or in the child of a fork. Valid until
 * synod_close. */
int synod_fd(struct synod *s);

/* Changes accepted (appends, requests, lease calls) whose callback has not been called, or that are
 * waited for. Does not block. */
size_t synod_outstanding(const struct synod *s);

/* ---- giving up
 *
 * Each asynchronous call that was taken has an id, from 1, that no other call of the handle has. */

/* The id of the asynchronous call that was taken last, 0 if there was none. Does not block. For
 * synod_append_async and synod_request_async; newer calls give it by themselves. */
uint64_t synod_last_id(const struct synod *s);

/* Gives up what has that id, without a further callback: a question, a lock or leadership that is
 * waited for, an observation. A change (append, request, lease) that is under way may still happen,
 * and counts against the limits until the cluster has answered it; its callback is not called any
 * more. What is over, or was never begun, is left as it is: so are watches, and locks and
 * leaderships that are ours, which end by calls of their own. id 0: gives up all blocking calls
 * that a signal interrupted; what they were about may still happen. Does not block, and may be
 * called in any callback. SYNOD_OK; SYNOD_E_USAGE in the child of a fork. */
int synod_cancel(struct synod *s, uint64_t id);

#ifdef __cplusplus
}
#endif

#include "synod/log.h"

#include "synod/kv.h"

#include "synod/lease.h"

#include "synod/recipes.h"

#include "synod/cluster.h"

#include "synod/leader.h"

#endif
