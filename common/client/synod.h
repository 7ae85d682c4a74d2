/* libsynod: the C client of a Synod cluster.
 *
 * A handle (struct synod) belongs to one thread at a time: no two calls on it may overlap. It
 * starts no thread of its own; its work is done inside the calls below. A program that has
 * operations under way calls synod_poll often, or watches synod_fd. Different handles are
 * independent.
 *
 * Exactly once: every append carries the handle's session and a sequence. However often the library
 * sends it again, through whichever proposer, it enters the log once. Appends of one handle enter
 * the log in the order of the calls.
 *
 *     struct synod *s;
 *     char why[SYNOD_ERROR_BYTES];
 *     struct synod_options options = {.cluster = "cluster.yml"};
 *     if (synod_open(&options, &s, why) != SYNOD_OK) { fprintf(stderr, "%s\n", why); exit(1); }
 *     uint64_t index;
 *     if (synod_append(s, "hello", 5, &index) != SYNOD_OK) { fprintf(stderr, "%s\n",
 * synod_error(s)); } synod_close(s);
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
#define SYNOD_OUTSTANDING_MAX 65536                   /* appends of one handle without a result */
#define SYNOD_OUTSTANDING_BYTES_MAX (7 * 1024 * 1024) /* bytes of these; one record always fits */

/* Every call answers one of these. The sentence is in synod_error. */
enum synod_code {
    SYNOD_OK = 0,
    SYNOD_E_USAGE = -1, /* an argument, cluster.yml or the record's size is wrong: correct it */
    SYNOD_E_BUSY = -2,  /* SYNOD_OUTSTANDING_MAX or _BYTES_MAX is reached: call synod_poll, then
                           again */
    SYNOD_E_UNAVAILABLE =
        -4, /* no connection, leader or quorum before the deadline. An append may still happen */
    SYNOD_E_REFUSED = -5,   /* the cluster does not take us: another cluster, version or key */
    SYNOD_E_CORRUPT = -7,   /* a process answered with nonsense */
    SYNOD_E_INTERNAL = -8,  /* memory or descriptors of this process */
    SYNOD_E_NOT_FOUND = -9, /* no such index (trimmed, or beyond the end) */
    SYNOD_E_INTERRUPTED =
        -10, /* a signal ended the wait; the operations go on with the next call */
    SYNOD_E_SESSION =
        -11 /* the session expired with this append outstanding: whether it happened is unknown */
};

struct synod; /* a handle */

struct synod_options {
    const char *cluster; /* path of cluster.yml; NULL: environment variable SYNOD_CLUSTER */
    uint32_t learner;    /* pin this learner by id; 0: any, and another when it fails */
    uint32_t
        timeout_ms; /* deadline of blocking calls and default of asynchronous ones; 0: 10,000 */
    uint32_t session_ttl_ms; /* the session survives so long without contact; 0: 60,000 */
};

/* Opens a handle: reads cluster.yml, connects in the background. Does not wait for the cluster.
 * options are copied. On failure *why (SYNOD_ERROR_BYTES) has the sentence. Give it back with
 * synod_close. */
int synod_open(const struct synod_options *options, struct synod **out, char *why);

/* Ends the session if the cluster can be reached within a moment, and frees the handle. Callbacks
 * of operations that are still outstanding are called with SYNOD_E_INTERRUPTED first. NULL is
 * allowed. */
void synod_close(struct synod *s);

/* The sentence for the last call on this handle that failed or, inside a callback with a code other
 * than SYNOD_OK, for that code: "what (why); try: how". Valid until the next call. */
const char *synod_error(const struct synod *s);

/* ---- append */

/* Called once per append, from within synod_poll or any blocking call of the same handle, as the
 * results arrive: in the order of the appends, except after lost messages and deadlines that
 * differ. code SYNOD_OK: the record is in the log at index, for ever. The callback may call
 * synod_append_async, but no blocking call. */
typedef void (*synod_append_fn)(void *arg, int code, uint64_t index);

/* Takes a record (copied; 0 to SYNOD_RECORD_BYTES_MAX bytes, any bytes). Returns at once: SYNOD_OK,
 * and fn (which may be NULL) will be called; SYNOD_E_USAGE if it is too long; SYNOD_E_BUSY. Appends
 * made between two polls travel together. timeout_ms: 0 for the handle's own; UINT32_MAX for ever;
 * deadlines are kept to about 10 ms. An append whose deadline passed counts against the limits
 * until the cluster has answered it, because it may still enter the log. */
int synod_append_async(struct synod *s, const void *data, size_t size, uint32_t timeout_ms,
                       synod_append_fn fn, void *arg);

/* The same, and waits. index may be NULL. SYNOD_E_UNAVAILABLE: no answer in time; the record may
 * still be appended. */
int synod_append(struct synod *s, const void *data, size_t size, uint64_t *index);

/* Appends accepted whose callback has not been called. */
size_t synod_outstanding(const struct synod *s);

/* Does the work: sends, receives, calls callbacks. Blocks until something happened, at most
 * timeout_ms (0: not at all). SYNOD_OK, also when nothing happened; SYNOD_E_INTERRUPTED;
 * SYNOD_E_REFUSED. */
int synod_poll(struct synod *s, uint32_t timeout_ms);

/* A descriptor for poll(2), epoll or an event loop: whenever it is readable, call synod_poll(s, 0);
 * and call that once after the last append_async, before waiting. It becomes readable for what
 * arrives and for what is due, deadlines too. The handle keeps it; -1 if there are no descriptors
 * left (SYNOD_E_INTERNAL in synod_error). Valid until synod_close. */
int synod_fd(struct synod *s);

/* ---- read */

/* Called for each record in order, from within the reading call. data is valid for the call only.
 * Return 0 to go on, anything else to stop. */
typedef int (*synod_record_fn)(void *arg, uint64_t index, const void *data, size_t size);

enum synod_consistency {
    SYNOD_LINEARIZABLE = 0, /* sees everything acknowledged to anybody before the call */
    SYNOD_LOCAL = 1         /* what the learner has; works without a quorum */
};

/* What the log looked like when a read was answered. */
struct synod_log {
    uint64_t first;   /* oldest index that is kept; 1 if nothing was trimmed */
    uint64_t last;    /* newest index, 0 if empty */
    uint64_t applied; /* slot up to which the learner had applied */
};

/* Reads up to count records (0: to the end of the log as it is now) from index `from` (0 counts as
 * 1) and blocks. log may be NULL. SYNOD_E_NOT_FOUND if from was trimmed. The deadline is that of
 * the handle, and starts again with every page. log is also written with SYNOD_E_NOT_FOUND. fn may
 * call synod_append_async, but no blocking call. */
int synod_read(struct synod *s, uint64_t from, uint64_t count, enum synod_consistency consistency,
               synod_record_fn fn, void *arg, struct synod_log *log);

/* Reads from `from` and goes on as records arrive, through changes of learners and leaders, until
 * fn stops it (SYNOD_OK) or a signal (SYNOD_E_INTERRUPTED). Every record once, in order. Waits
 * through outages. */
int synod_tail(struct synod *s, uint64_t from, synod_record_fn fn, void *arg);

/* ---- the cluster */

enum synod_role { SYNOD_ACCEPTOR = 1, SYNOD_PROPOSER = 2, SYNOD_LEARNER = 3 };

/* One process of the cluster, as far as it could be found out. Fields that do not apply are 0. */
struct synod_node {
    enum synod_role role;
    uint32_t id;
    const char *state; /* "leading", "standby", "voting", "applying", "unreachable", ...; static */
    const char *address;   /* from cluster.yml: peer address; valid until synod_close */
    uint32_t silence_ms;   /* since it was last heard */
    uint64_t ballot_round; /* acceptor: promised; proposer: own; learner: of the last commit */
    uint32_t ballot_proposer;
    uint32_t leader;        /* proposer, learner: who leads, as it believes; 0 if unknown */
    uint64_t leading_since; /* learner: slot at which the leader announced itself */
    uint64_t chosen;        /* acceptor, proposer, learner: highest slot known to be chosen */
    uint64_t accepted;      /* acceptor: highest slot accepted */
    uint64_t applied;       /* learner */
    uint64_t last_index;    /* learner: newest record of the log */
    uint64_t digest;        /* learner: of its state at `applied` */
    uint64_t sessions;      /* learner */
    uint64_t pending_bytes; /* proposer: commands that wait for a slot */
    uint64_t dropped;       /* messages dropped towards slow or absent peers */
};

/* Asks every proposer and learner, waits for their answers (at most the handle's timeout, and no
 * longer than half a second for those that are silent), and writes up to capacity nodes, every
 * member of cluster.yml once. *count gets how many there are. SYNOD_E_UNAVAILABLE if nobody
 * answered; nodes are filled in all the same. */
int synod_status(struct synod *s, struct synod_node *nodes, size_t capacity, size_t *count);

/* Who leads. */
struct synod_leader {
    uint32_t proposer;
    uint64_t round;
    uint64_t since; /* slot of its announcement in the log */
};

/* SYNOD_E_UNAVAILABLE if nobody leads, or nobody could say. */
int synod_leader(struct synod *s, struct synod_leader *out);

#ifdef __cplusplus
}
#endif
#endif
