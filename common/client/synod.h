/* libsynod: the C client of a Synod cluster.
 *
 * A handle (struct synod) belongs to one thread at a time: no two calls on it may overlap. It
 * starts no thread of its own; its work is done inside the calls below. A program that has
 * operations under way calls synod_poll often, or watches synod_fd. Different handles are
 * independent. Within a callback nothing can be waited for: there the blocking calls and synod_poll
 * answer SYNOD_E_USAGE, and synod_close ends the program.
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
                           again; or the cluster has no room for another lease */
    SYNOD_E_UNAVAILABLE = -4,  /* no connection, leader or quorum in time: it may still happen */
    SYNOD_E_REFUSED = -5,      /* the cluster does not take us: another cluster, version or key */
    SYNOD_E_CORRUPT = -7,      /* a process answered with nonsense */
    SYNOD_E_INTERNAL = -8,     /* memory or descriptors of this process */
    SYNOD_E_NOT_FOUND = -9,    /* no such index (trimmed, or beyond the end) */
    SYNOD_E_INTERRUPTED = -10, /* a signal ended the wait; the next call goes on with it */
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

struct synod; /* a handle */

struct synod_options {
    const char *cluster;     /* path of cluster.yml; NULL: environment variable SYNOD_CLUSTER */
    uint32_t learner;        /* pin this learner by id; 0: any, and another when it fails */
    uint32_t timeout_ms;     /* deadline of blocking calls, default of asynchronous; 0: 10,000 */
    uint32_t session_ttl_ms; /* the session survives so long without contact; 0: 60,000 */
};

/* Opens a handle: reads cluster.yml, connects in the background. Does not wait for the cluster.
 * options are copied. On failure *why (SYNOD_ERROR_BYTES) has the sentence. Give it back with
 * synod_close. */
int synod_open(const struct synod_options *options, struct synod **out, char *why);

/* Ends the session if the cluster can be reached within a moment, and frees the handle. Callbacks
 * of operations that are still outstanding are called with SYNOD_E_INTERRUPTED first. Watches,
 * locks and elections that were not given back are freed with it, and end with its session. NULL is
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

/* ---- keys
 *
 * The model is that of etcd v3: a key has a value, the revisions of its creation and last change, a
 * version and perhaps a lease; every transaction that changes something raises the one revision of
 * the store by one; old revisions can be read and watched until they are compacted.
 *
 * Keys have 1 to SYNOD_KEY_BYTES_MAX bytes, values up to SYNOD_VALUE_BYTES_MAX, a transaction up to
 * SYNOD_TXN_OPS_MAX operations along each path. */

#define SYNOD_KEY_BYTES_MAX (4 * 1024)
#define SYNOD_VALUE_BYTES_MAX (1024 * 1024)
#define SYNOD_TXN_OPS_MAX 128

struct synod_bytes {
    const void *data;
    size_t size;
};

/* The bytes of a string, without its terminator. */
struct synod_bytes synod_text(const char *text);

/* The end of the range of all keys with that prefix: writes at most SYNOD_KEY_BYTES_MAX bytes into
 * buffer and returns them. For an empty prefix, or one of 0xff only, that is one zero byte:
 * everything from the key on. */
struct synod_bytes synod_prefix_end(struct synod_bytes prefix, void *buffer);

struct synod_kv {
    struct synod_bytes key, value;
    uint64_t create_revision, mod_revision;
    uint64_t version; /* changes since its creation, from 1; 0: deleted */
    uint64_t lease;   /* 0: none */
};

enum synod_order { SYNOD_ORDER_NONE = 0, SYNOD_ORDER_ASCEND = 1, SYNOD_ORDER_DESCEND = 2 };

enum synod_target {
    SYNOD_BY_KEY = 0,
    SYNOD_BY_VERSION = 1,
    SYNOD_BY_CREATE = 2,
    SYNOD_BY_MOD = 3,
    SYNOD_BY_VALUE = 4,
    SYNOD_BY_LEASE = 5 /* compares only */
};

enum synod_relation { SYNOD_EQUAL = 0, SYNOD_GREATER = 1, SYNOD_LESS = 2, SYNOD_NOT_EQUAL = 3 };

/* Keys in [key, end). end empty: the one key. end one zero byte: everything from key on. As a
 * request of its own a range may have any size and order that this process has memory for (a GiB);
 * within a transaction all responses together have at most 2 MiB. */
struct synod_range_op {
    struct synod_bytes key, end;
    uint64_t limit;    /* at most so many keys; 0: all */
    uint64_t revision; /* as of then; 0: now */
    enum synod_order order;
    enum synod_target target;
    int keys_only, count_only;
    int no_count; /* count only what was looked at: cheaper where limit leaves most of it out */
    uint64_t min_mod, max_mod, min_create, max_create; /* 0: no filter */
};

struct synod_put_op {
    struct synod_bytes key, value;
    uint64_t lease;   /* the key goes with it; 0: none */
    int previous;     /* answer with what was there before */
    int ignore_value; /* keep the value: changes the lease only; the key must exist */
    int ignore_lease; /* keep the lease; the key must exist */
    int sequential; /* key is a prefix: the store appends 24 hexadecimal digits that rise with every
                         put; the response tells the whole key */
};

struct synod_delete_op {
    struct synod_bytes key, end;
    int previous; /* answer with what was deleted */
};

/* Holds if every key of the range stands in the relation to number (or value). Where there is no
 * key, all numbers are 0 and a comparison of values fails. number is taken as a signed one, as by
 * etcd: (uint64_t)-1 is below them all. */
struct synod_compare {
    struct synod_bytes key, end;
    enum synod_target target; /* what is compared; SYNOD_BY_KEY is none */
    enum synod_relation relation;
    uint64_t number;
    struct synod_bytes value; /* SYNOD_BY_VALUE */
};

struct synod_request;

/* If all compares hold then `then`, else `otherwise`; all of it or nothing, under one revision. */
struct synod_txn_op {
    const struct synod_compare *compares;
    size_t compare_count;
    const struct synod_request *then;
    size_t then_count;
    const struct synod_request *otherwise;
    size_t otherwise_count;
};

enum synod_op { SYNOD_RANGE = 1, SYNOD_PUT = 2, SYNOD_DELETE = 3, SYNOD_TXN = 4 };

struct synod_request {
    enum synod_op op;
    union {
        struct synod_range_op range;
        struct synod_put_op put;
        struct synod_delete_op del;
        struct synod_txn_op txn;
    } as;
};

struct synod_response {
    enum synod_op op;
    uint64_t count;         /* range: keys in all, limit or not; delete: how many were deleted */
    int more;               /* range: the limit left some out */
    int succeeded;          /* txn: the compares held */
    struct synod_bytes key; /* sequential put: the key that was put */
    struct synod_kv *kvs; /* range: the keys; delete and put: what was there before, if asked for */
    size_t kv_count;
    struct synod_response *responses; /* txn: one for each operation of the path taken */
    size_t response_count;
};

struct synod_result {
    uint64_t revision; /* of the store after the request */
    struct synod_response response;
};

/* Frees a result with all that is in it. NULL is allowed. */
void synod_result_free(struct synod_result *result);

/* Executes a request and waits: what changes something goes through the log, exactly once; what
 * only reads is answered by a learner, at the consistency wanted (without the log, and without the
 * leader). *out (which may be NULL) is written on success; give it back with synod_result_free.
 * SYNOD_E_USAGE (the sentence names the limit or the rule), SYNOD_E_COMPACTED, SYNOD_E_FUTURE,
 * SYNOD_E_LEASE, SYNOD_E_NOT_FOUND (ignore_value, ignore_lease: no such key), SYNOD_E_TOO_LARGE,
 * SYNOD_E_SESSION, SYNOD_E_UNAVAILABLE (a change may still happen). */
int synod_request(struct synod *s, const struct synod_request *request,
                  enum synod_consistency consistency, struct synod_result **out);

/* Called once per request, as synod_append_fn is. result is NULL unless code is SYNOD_OK, and valid
 * for the call only. */
typedef void (*synod_request_fn)(void *arg, int code, const struct synod_result *result);

/* The same without waiting, for what changes something (else SYNOD_E_USAGE). Requests, appends and
 * lease calls of one handle enter the log in the order of the calls. Limits and deadlines as in
 * synod_append_async. */
int synod_request_async(struct synod *s, const struct synod_request *request, uint32_t timeout_ms,
                        synod_request_fn fn, void *arg);

/* Short forms. revision, deleted and out may be NULL. */
int synod_put(struct synod *s, struct synod_bytes key, struct synod_bytes value, uint64_t lease,
              uint64_t *revision);
int synod_get(struct synod *s, struct synod_bytes key, struct synod_result **out);
int synod_delete(struct synod *s, struct synod_bytes key, uint64_t *deleted);

/* Forgets what was overwritten or deleted before or at the revision. Reads of older revisions and
 * watches that begin there are refused from now on. What is under way goes on: ranges that
 * take less than five seconds, and watches that are less than five seconds behind.
 * SYNOD_E_COMPACTED (it was already), SYNOD_E_FUTURE. */
int synod_compact(struct synod *s, uint64_t revision);

/* ---- watches */

struct synod_watch;

struct synod_watch_options {
    struct synod_bytes key, end; /* as in synod_range_op; copied */
    uint64_t revision;           /* the first one wanted; 0: what comes after this call */
    int previous;                /* with what was there before */
    int no_put, no_delete;       /* leave these out */
    int progress;                /* also tell of revisions that changed nothing here */
};

struct synod_event {
    int is_delete; /* kv has key and mod_revision only */
    struct synod_kv kv;
    int has_previous;
    struct synod_kv previous;
};

/* All that one revision changed in the range, in order. */
struct synod_events {
    uint64_t revision; /* SYNOD_E_COMPACTED: the compacted one */
    struct synod_event *events;
    size_t count;     /* 0: progress: everything up to revision has been told */
    int is_continued; /* more events of the same revision follow: it is too large for one page */
};

/* Called from within synod_poll and blocking calls, in the order of the revisions, each once. code
 * is SYNOD_OK; or SYNOD_E_COMPACTED (events were compacted before they could be told; the watch has
 * ended), SYNOD_E_USAGE. It may start and stop watches and call the asynchronous calls. */
typedef void (*synod_watch_fn)(void *arg, int code, const struct synod_events *events);

/* Starts a watch; it goes on through changes of learners and leaders until synod_watch_stop, or
 * synod_close. The handle does not run ahead of its calls: while it is not polled nothing is
 * fetched, and nothing is lost. Any number of watches may be open. With a revision the call does
 * not wait. Without, it asks for the present one first, as synod_request does
 * (SYNOD_E_UNAVAILABLE, SYNOD_E_INTERRUPTED): what is acknowledged to anybody after the call is
 * told, what was before is not. SYNOD_E_USAGE, also for a range that no key lies in, and in a
 * callback without a revision. */
int synod_watch_start(struct synod *s, const struct synod_watch_options *options, synod_watch_fn fn,
                      void *arg, struct synod_watch **out);

/* Ends a watch, also from within its own callback, and frees it. NULL is allowed. */
void synod_watch_stop(struct synod_watch *watch);

/* ---- leases and the session
 *
 * A lease is an identity that ends when it is not kept alive for its ttl; the keys that were put
 * under it are deleted with it. Its time is the cluster's, which stands while nobody leads. The
 * session of a handle is a lease, too, and kept alive by the handle as long as it is polled. */

/* Grants a lease. id 0: the cluster chooses one. is_bound: it ends with the session of this handle
 * at the latest. *out (may be NULL) gets the id. SYNOD_E_EXISTS, SYNOD_E_USAGE (ttl). */
int synod_lease_grant(struct synod *s, uint64_t id, uint64_t ttl_ms, int is_bound, uint64_t *out);

/* Ends a lease now and deletes its keys. SYNOD_E_LEASE. */
int synod_lease_revoke(struct synod *s, uint64_t id);

/* Keeps a lease alive once. *left_ms (may be NULL) gets how long it lasts. SYNOD_E_LEASE. */
int synod_lease_keepalive(struct synod *s, uint64_t id, uint64_t *left_ms);

/* Called once, when a lease that is kept is lost: no later than the cluster can expire it. */
typedef void (*synod_lost_fn)(void *arg, uint64_t id);

/* Keeps the lease alive from now on, from within synod_poll and all blocking calls; those of one
 * handle travel together. fn is called when it is lost: it was not there any more, or nothing was
 * heard in time. SYNOD_E_LEASE. */
int synod_lease_keep(struct synod *s, uint64_t id, synod_lost_fn fn, void *arg);

/* Stops keeping it alive; it lives on for its ttl. */
void synod_lease_release(struct synod *s, uint64_t id);

struct synod_lease {
    uint64_t id;
    uint64_t ttl_ms;
    uint64_t left_ms;
};

/* What is left of a lease. fn (may be NULL) is called for each key under it. SYNOD_E_LEASE. */
typedef int (*synod_key_fn)(void *arg, struct synod_bytes key);
int synod_lease_ttl(struct synod *s, uint64_t id, struct synod_lease *out, synod_key_fn fn,
                    void *arg);

/* Called for each lease, sessions included, by rising id; return 0 to go on. */
typedef int (*synod_lease_fn)(void *arg, const struct synod_lease *lease);
int synod_lease_list(struct synod *s, synod_lease_fn fn, void *arg);

/* Opens the handle's session if need be and tells its id, under which keys can be put. */
int synod_session(struct synod *s, uint64_t *id);

/* How long the session certainly lives on without contact; 0: it may have ended. */
uint64_t synod_session_left_ms(const struct synod *s);

/* fn is called when the session ends or may have ended; NULL: nobody. */
void synod_on_session_lost(struct synod *s, synod_lost_fn fn, void *arg);

/* ---- locks
 *
 * What is locked must check the token: a holder that stood still for longer than its session lives
 * does not know yet that another one has the lock. Tokens rise from holder to holder; a resource
 * that refuses a token below the highest it has seen is safe. */

struct synod_lock;

/* Waits until the lock is ours, at most timeout_ms (UINT32_MAX: for ever; 0: only if it is free
 * now). Those who wait are served in the order in which they came. The lock is released when the
 * session ends. name: 1 to 1024 bytes. SYNOD_E_UNAVAILABLE: not in time, and we do not wait any
 * more. SYNOD_E_SESSION: our session ended while we waited. SYNOD_E_EXISTS: this handle has it, or
 * did not give it back: it must be unlocked first. */
int synod_lock(struct synod *s, const char *name, uint32_t timeout_ms, struct synod_lock **out);
uint64_t synod_lock_token(const struct synod_lock *lock);

/* 1 while the lock is certainly ours. That its key was deleted, by itself or with the session, is
 * heard by synod_poll and the blocking calls. */
int synod_lock_is_held(const struct synod_lock *lock);

/* Releases the lock and frees it, whatever the result. SYNOD_E_LOST: it was not ours any more,
 * which takes no time if synod_lock_is_held knew. In a callback (SYNOD_E_USAGE), and with other
 * codes, it is released as soon as that can be sent. */
int synod_unlock(struct synod_lock *lock);

/* ---- elections */

struct synod_election;

/* Waits until we lead, as synod_lock does. value (say, our address) is what observers see. */
int synod_campaign(struct synod *s, const char *name, struct synod_bytes value, uint32_t timeout_ms,
                   struct synod_election **out);
uint64_t synod_election_token(const struct synod_election *election);
int synod_election_is_held(const struct synod_election *election);

/* Changes the value while we lead. SYNOD_E_LOST. */
int synod_proclaim(struct synod_election *election, struct synod_bytes value);

/* Ends our leadership and frees the election. SYNOD_E_LOST. */
int synod_resign(struct synod_election *election);

struct synod_leadership {
    uint64_t token; /* 0: nobody leads */
    struct synod_bytes value;
};

/* Tells of the present leader, and of every change of leader or value since, until fn returns other
 * than 0 (SYNOD_OK), or a signal. All observers see the same leaders in the same order; one that is
 * so slow that what it has to see was compacted goes on with the present leader. */
typedef int (*synod_observe_fn)(void *arg, const struct synod_leadership *leadership);
int synod_observe(struct synod *s, const char *name, synod_observe_fn fn, void *arg);

/* ---- work: who does what, how often was it taken over, and is it done?
 *
 * The table of leases that one would otherwise keep in SQL. An item is claimed for a time, renewed,
 * and completed by who holds it; if its holder falls silent another one takes over and the counter
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

/* Claims an item (which begins to exist by that) for ttl_ms. owner: who we are, for people to
 * read. is_detached: the claim outlives this handle's session. SYNOD_E_EXISTS: it is claimed or
 * done; *out says by whom. */
int synod_work_claim(struct synod *s, const char *item, const char *owner, uint64_t ttl_ms,
                     int is_detached, struct synod_work *out);
/* SYNOD_E_LOST: the token is of the past. A result has at most SYNOD_RESULT_BYTES_MAX bytes. */
int synod_work_renew(struct synod *s, const char *item, uint64_t token);
int synod_work_release(struct synod *s, const char *item, uint64_t token);
int synod_work_complete(struct synod *s, const char *item, uint64_t token,
                        struct synod_bytes result);
/* SYNOD_E_NOT_FOUND: never claimed. */
int synod_work_show(struct synod *s, const char *item, struct synod_work *out);
typedef int (*synod_work_fn)(void *arg, const char *item, const struct synod_work *work);
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

int synod_queue_push(struct synod *s, const char *queue, struct synod_bytes data, char id[32]);

/* The same, but only if the queue holds no message, claimed ones included; however many try at
 * once, one of them pushes. SYNOD_E_EXISTS: it holds one. */
int synod_queue_push_if_empty(struct synod *s, const char *queue, struct synod_bytes data,
                              char id[32]);

/* Claims the first message that nobody has, waiting for one at most timeout_ms. is_detached: the
 * claim outlives this handle's session. SYNOD_E_NOT_FOUND: there was none in time. */
int synod_queue_claim(struct synod *s, const char *queue, uint64_t visibility_ms, int is_detached,
                      uint32_t timeout_ms, struct synod_message *out);
/* SYNOD_E_LOST: the claim has ended. */
int synod_queue_extend(struct synod *s, const char *queue, const char *id, uint64_t token);
int synod_queue_acknowledge(struct synod *s, const char *queue, const char *id, uint64_t token);
int synod_queue_release(struct synod *s, const char *queue, const char *id, uint64_t token);

struct synod_queue {
    uint64_t length; /* messages, claimed ones included */
    uint64_t claimed;
};
int synod_queue_show(struct synod *s, const char *queue, struct synod_queue *out);

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
    uint64_t sessions;      /* learner: leases, sessions included */
    uint64_t revision;      /* learner: of the keys */
    uint64_t compacted;     /* learner: what came before was compacted */
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
    enum synod_role role; /* SYNOD_PROPOSER; in Raft mode SYNOD_ACCEPTOR */
    uint32_t id;
    uint64_t round; /* of its ballot; in Raft mode its term */
    uint64_t since; /* slot of its announcement in the log; 0: no learner told of it */
};

/* SYNOD_E_UNAVAILABLE if nobody leads, or nobody could say. */
int synod_leader(struct synod *s, struct synod_leader *out);

/* ---- who should lead
 *
 * An oracle says who should lead; which one, and how it ranks the candidates, are settings. At
 * first they are those of cluster.yml; each change replaces them as a whole through the log, and
 * raises their version by one. Candidates are the proposers, in Raft mode the acceptors. */

#define SYNOD_MEMBERS_MAX 32 /* of one role */
#define SYNOD_EDGES_MAX (SYNOD_MEMBERS_MAX * (SYNOD_MEMBERS_MAX - 1) / 2)
#define SYNOD_ZONE_BYTES 32 /* with the terminator; letters, digits and . _ - */

enum synod_oracle_kind {
    SYNOD_ORACLE_CONNECTED = 1,
    SYNOD_ORACLE_LEASE = 2,
    SYNOD_ORACLE_RING = 3,
    SYNOD_ORACLE_FLOODMAX = 4,
    SYNOD_ORACLE_GOSSIP = 5,
    SYNOD_ORACLE_SUCCESSION = 6,
    SYNOD_ORACLE_STATIC = 7,
    SYNOD_ORACLE_EXTERNAL = 8
};

/* "connected", "lease", ...; "unknown" for a number that is none. Static. Any thread. */
const char *synod_oracle_kind_name(enum synod_oracle_kind kind);

/* The kind of that name into *out: 1, or 0 if there is none. Any thread. */
int synod_oracle_kind_parse(const char *name, enum synod_oracle_kind *out);

/* One that could lead. */
struct synod_candidate {
    uint32_t id;
    uint32_t priority;           /* the higher leads first; of equal ones the higher id */
    int is_barred;               /* it must not lead */
    char zone[SYNOD_ZONE_BYTES]; /* "": none */
};

/* Two proposers that speak to each other: a < b. */
struct synod_edge {
    uint32_t a, b;
};

struct synod_oracle {
    uint64_t version; /* how often the log has changed them; 0: those of cluster.yml */
    enum synod_oracle_kind kind;
    int preempts; /* a leader hands over to one that ranks higher and has been fit for a while */
    char zone[SYNOD_ZONE_BYTES]; /* candidates in it rank above all others; "": no zone does */
    uint32_t diameter;           /* FLOODMAX: rounds, at most 31; 0: the topology's own */
    enum synod_role role;   /* of the candidates: SYNOD_PROPOSER; in Raft mode SYNOD_ACCEPTOR */
    size_t candidate_count; /* all members that could lead */
    struct synod_candidate candidates[SYNOD_MEMBERS_MAX]; /* rising ids */
    size_t order_count;
    uint32_t order[SYNOD_MEMBERS_MAX]; /* STATIC: the preferred one first, each id once */
    size_t edge_count;
    struct synod_edge edges[SYNOD_EDGES_MAX]; /* FLOODMAX: by a, then b, each once; none: all */
};

/* The settings as they are, into *out. With SYNOD_LOCAL they may be old, but no quorum is needed.
 * Blocks for the handle's timeout at most. SYNOD_E_UNAVAILABLE, SYNOD_E_INTERRUPTED,
 * SYNOD_E_CORRUPT. */
int synod_oracle_get(struct synod *s, enum synod_consistency consistency, struct synod_oracle *out);

/* Replaces the settings, which must still be of oracle->version: read them, change what is to be
 * changed, and set them. Goes through the log, exactly once, while somebody leads; nothing stands
 * still meanwhile. *version (may be NULL) gets the new version. Blocks for the handle's timeout at
 * most. SYNOD_E_CHANGED: somebody else was first; read again and try again. SYNOD_E_USAGE, before
 * anything is sent: an id that is no candidate, all barred, a topology that does not join all, an
 * oracle that means nothing in Raft mode, a zone that is none; the sentence says which.
 * SYNOD_E_SESSION, SYNOD_E_UNAVAILABLE (they may still be changed).
 *
 *     do {
 *         rc = synod_oracle_get(s, SYNOD_LINEARIZABLE, &oracle);
 *         oracle.kind = SYNOD_ORACLE_RING;
 *         rc = rc == SYNOD_OK ? synod_oracle_set(s, &oracle, NULL) : rc;
 *     } while (rc == SYNOD_E_CHANGED);
 */
int synod_oracle_set(struct synod *s, const struct synod_oracle *oracle, uint64_t *version);

/* A place in the line of successors, which the oracle SUCCESSION keeps in the log. */
struct synod_place {
    uint32_t proposer;
    uint64_t incarnation; /* of the process that registered */
    uint64_t since;       /* slot at which it did */
    uint64_t left_ms;     /* until it leaves the line, unless it registers again */
};

/* Writes up to capacity places, the first in the line first; *count gets how many there are. Under
 * another oracle than SUCCESSION nobody keeps the line, and what is there is left over.
 * Linearizable. Blocks and fails as synod_oracle_get does. */
int synod_oracle_line(struct synod *s, struct synod_place *places, size_t capacity, size_t *count);

struct synod_transfer {
    enum synod_role role; /* of both ids: SYNOD_PROPOSER; in Raft mode SYNOD_ACCEPTOR */
    uint32_t from;        /* who led; the same as `to` if it led already and nothing was done */
    uint32_t to;          /* who leads now */
    uint64_t round;       /* of its ballot; in Raft mode its term. 0: not asked for */
};

/* Asks the leader to hand over to that member, or (0) to whom the oracle names next, and waits
 * until that one leads. Clients notice no more than a pause of a round trip. *out may be NULL.
 * Blocks for the handle's timeout at most; a hand-over that was begun gets four election
 * timeouts. SYNOD_E_USAGE: no such member. SYNOD_E_UNFIT: it is barred, silent, or reaches no
 * quorum; nothing was done. SYNOD_E_UNAVAILABLE: nobody leads or answers, the leader was busy
 * all the time, or it began to hand over and the target did not lead in time; the sentence says
 * which, and who leads then. SYNOD_E_INTERRUPTED. */
int synod_transfer(struct synod *s, uint32_t to, struct synod_transfer *out);

/* ---- why somebody leads, or nobody does */

/* Numbers one leadership, or an attempt at it; in Raft mode round is the term, and proposer the
 * acceptor that leads in it, or got the vote. round 0: none. */
struct synod_ballot {
    uint64_t round;
    uint32_t proposer;
};

/* Why a proposer does not try to lead now; the first that holds. */
enum synod_gate {
    SYNOD_GATE_SERVES = 1,    /* it leads, recovers, or hands over */
    SYNOD_GATE_CAMPAIGNS = 2, /* it asks for promises */
    SYNOD_GATE_NO_QUORUM = 3, /* too few acceptors answer it */
    SYNOD_GATE_LEADER_HEARD =
        4,                    /* too few acceptors say that nobody leads, or that no lease runs */
    SYNOD_GATE_BARRED = 5,    /* it must not lead */
    SYNOD_GATE_NOT_NAMED = 6, /* its oracle names another one, or nobody */
    SYNOD_GATE_PAUSES = 7,    /* after an attempt that failed */
    SYNOD_GATE_OPEN = 8,      /* it is about to try */
    SYNOD_GATE_FORWARDS = 9   /* Raft mode: proposers never lead */
};

#define SYNOD_SILENT UINT32_MAX /* never heard */

/* What a proposer heard from an acceptor last. */
struct synod_explained_acceptor {
    uint32_t id;
    uint32_t silence_ms; /* since then; SYNOD_SILENT: nothing so far, and the rest is 0 */
    struct synod_ballot promised;
    struct synod_ballot leader; /* whom it heard last; none: nobody since it was started */
    uint32_t leader_silence_ms; /* when it said so: since then, or since it was started */
    uint32_t lease_left_ms;     /* likewise: how long it keeps others away; after a restart, too */
    uint64_t chosen;
};

/* What an acceptor said of a proposer. */
struct synod_explained_link {
    uint32_t acceptor;
    uint32_t proposer;
    uint32_t silence_ms; /* of the proposer, at the acceptor; SYNOD_SILENT: never heard */
    int reaches_quorum;  /* by the proposer's own word; 0 also if it knows that it is barred */
    uint64_t version;    /* of the settings that the proposer goes by */
};

#define SYNOD_SENTENCE_BYTES 401

/* What one proposer says. */
struct synod_explained_proposer {
    uint32_t id;
    int is_answering;  /* 0: nothing below is known */
    const char *state; /* as in struct synod_node; static */
    enum synod_gate gate;
    struct synod_ballot ballot; /* its own, of the running or last attempt */
    struct synod_ballot leader; /* whom it believes to lead */
    enum synod_oracle_kind kind;
    uint64_t version;                  /* of the settings that it goes by */
    uint32_t named;                    /* by its oracle; 0: nobody */
    uint32_t pause_ms;                 /* until it may try again */
    uint32_t attempts;                 /* that failed in a row */
    char oracle[SYNOD_SENTENCE_BYTES]; /* why its oracle names that one */
    size_t acceptor_count;
    struct synod_explained_acceptor acceptors[SYNOD_MEMBERS_MAX]; /* rising ids */
    size_t link_count;
    struct synod_explained_link *links; /* by acceptor, then proposer */
};

struct synod_explanation {
    int is_raft;
    uint32_t heartbeat_ms, election_ms;
    size_t prepare_quorum, accept_quorum; /* acceptors that must promise, and accept */
    size_t acceptor_count;
    uint32_t acceptors[SYNOD_MEMBERS_MAX]; /* of cluster.yml, rising ids */
    size_t proposer_count;
    struct synod_explained_proposer proposers[SYNOD_MEMBERS_MAX]; /* of cluster.yml, rising ids */
    int is_oracle_known;        /* 0: no learner answered, and oracle is that of cluster.yml */
    struct synod_oracle oracle; /* the settings, as a learner has them */
};

/* Asks every proposer, and a learner for the settings, and waits for their answers: half a second
 * for those that are silent, and if nobody answers at all, the handle's timeout. Who answered is
 * asked again after such a wait, so that all times count to the end of the call. Needs neither
 * leader nor quorum. *out is written whenever anything can be said, also with SYNOD_E_UNAVAILABLE
 * (no proposer answered), and else set to NULL; give it back with synod_explanation_free.
 * SYNOD_E_INTERRUPTED, SYNOD_E_REFUSED. */
int synod_explain(struct synod *s, struct synod_explanation **out);

/* NULL is allowed. */
void synod_explanation_free(struct synod_explanation *explanation);

/* ---- an oracle outside: a program of yours says who should lead
 *
 * For `oracle: { kind: external }`. Say a word again every third of its time, and none when you are
 * not certain. It never unseats a leader; while the one it names could not lead, and when it was in
 * vain for two election timeouts, the live proposer of highest rank is named instead. */

#define SYNOD_NAME_VALID_MS_MAX (3600u * 1000u)

/* How a word was taken. */
struct synod_named {
    uint32_t told;    /* proposers that answered */
    uint32_t taken;   /* of these, how many go by it now */
    uint32_t leader;  /* proposer that leads, as they believe; 0: none that they know of */
    uint32_t missing; /* proposers that were not connected, or did not answer */
};

/* Tells every proposer that can be reached that `proposer` should lead, for valid_ms (at most
 * SYNOD_NAME_VALID_MS_MAX) from this call on; 0 instead of a proposer takes back the last word,
 * whoever said it. The last word wins, on each proposer for itself; one that restarts, or hears of
 * other settings, has forgotten it. Blocks until all have answered, a fraction of a second for
 * those that are silent, if all are, for the handle's timeout. SYNOD_OK if one takes it. *out (may
 * be NULL) is written unless an argument was wrong. SYNOD_E_USAGE: no such proposer, too long, Raft
 * mode; or the oracle is of another kind (out->told is not 0): synod_oracle_set, and it may be
 * said again. SYNOD_E_UNAVAILABLE, SYNOD_E_INTERRUPTED, SYNOD_E_REFUSED. */
int synod_oracle_name(struct synod *s, uint32_t proposer, uint32_t valid_ms,
                      struct synod_named *out);

#ifdef __cplusplus
}
#endif
#endif
