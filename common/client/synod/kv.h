/* Keys and watches. Part of synod.h, which is to be included.
 *
 * The model is that of etcd v3: a key has a value, the revisions of its creation and last change, a
 * version and perhaps a lease; every transaction that changes something raises the one revision of
 * the store by one; old revisions can be read and watched until they are compacted.
 *
 * Keys have 1 to SYNOD_KEY_BYTES_MAX bytes, values up to SYNOD_VALUE_BYTES_MAX, a transaction up to
 * SYNOD_TXN_OPS_MAX operations along each path. */
#ifndef SYNOD_KV_H
#define SYNOD_KV_H

#ifndef SYNOD_H
#error "include synod.h, which has this part"
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define SYNOD_KEY_BYTES_MAX (4 * 1024)
#define SYNOD_VALUE_BYTES_MAX (1024 * 1024)
#define SYNOD_TXN_OPS_MAX 128

struct synod_bytes {
    const void *data;
    size_t size;
};

/* The bytes of a string, without its terminator; borrowed. Any thread. */
struct synod_bytes synod_text(const char *text);

/* The end of the range of all keys with that prefix: writes at most SYNOD_KEY_BYTES_MAX bytes into
 * buffer and returns them. For an empty prefix, or one of 0xff only, that is one zero byte:
 * everything from the key on. Any thread. */
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
 * request of its own a range may have any size and order that this process has memory for (a GiB;
 * synod_range_async: any size); within a transaction all responses together have at most 2 MiB. */
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

/* Frees a result with all that is in it. NULL is allowed. Any thread. */
void synod_result_free(struct synod_result *result);

/* ---- requests */

/* Executes a request and waits, at most for the handle's timeout: what changes something goes
 * through the log, exactly once; what only reads is answered by a learner, at the consistency
 * wanted (without the log, and without the leader). Bytes in the request are borrowed for the call.
 * *out (which may be NULL) is written on success; give it back with synod_result_free.
 * SYNOD_E_USAGE (the sentence names the limit or the rule), SYNOD_E_COMPACTED, SYNOD_E_FUTURE,
 * SYNOD_E_LEASE: there is no such lease; SYNOD_E_NOT_FOUND (ignore_value, ignore_lease: no such
 * key), SYNOD_E_TOO_LARGE, SYNOD_E_SESSION: whether it happened is unknown, read before doing it
 * again; SYNOD_E_UNAVAILABLE (a change may still happen), SYNOD_E_INTERRUPTED: call again to go on;
 * SYNOD_E_CORRUPT, SYNOD_E_REFUSED. */
int synod_request(struct synod *s, const struct synod_request *request,
                  enum synod_consistency consistency, struct synod_result **out);

/* Called once, with the codes of synod_request, or SYNOD_E_INTERRUPTED: synod_close. result is NULL
 * unless code is SYNOD_OK, and valid for the call only. */
typedef void (*synod_request_fn)(void *arg, int code, const struct synod_result *result);

/* The same without waiting, for what changes something. Requests, appends and lease calls of one
 * handle enter the log in the order of the calls; they are told in that order, except after lost
 * messages and deadlines that differ. Limits, deadlines and codes as in synod_append_async; and
 * SYNOD_E_USAGE for what only reads. fn may be NULL. */
int synod_request_async(struct synod *s, const struct synod_request *request, uint32_t timeout_ms,
                        synod_request_fn fn, void *arg);

/* The same for what only reads (else SYNOD_E_USAGE): transactions, and ranges of one page. A
 * learner answers an unsorted range with as many keys as go into a page (a megabyte or one key),
 * and sets response.more if it left any out; a sorted one it answers whole or with
 * SYNOD_E_TOO_LARGE: read such ranges with synod_range_async. Any number may be under way; they are
 * answered in any order. timeout_ms as in synod_append_async. fn may not be NULL. *id (may be NULL)
 * is for synod_cancel. SYNOD_OK, or SYNOD_E_USAGE, and fn is not called. */
int synod_query_async(struct synod *s, const struct synod_request *request,
                      enum synod_consistency consistency, uint32_t timeout_ms, synod_request_fn fn,
                      void *arg, uint64_t *id);

/* A part of a range. */
struct synod_page {
    uint64_t revision; /* of the store when the range was read: all pages are of it */
    uint64_t count;    /* keys in all, limit or not; with no_count: see struct synod_range_op */
    struct synod_kv *kvs;
    size_t kv_count; /* may be 0 */
    int more;        /* with is_last: the limit left some out */
    int is_last;     /* nothing follows */
};

/* Called for each page in order: code SYNOD_OK, and 0 to go on, anything else to stop, after which
 * nothing is called any more. Its last call is the page that is_last, or an error, with page NULL:
 * codes as of synod_request, or SYNOD_E_INTERRUPTED: synod_close. SYNOD_E_COMPACTED in the middle:
 * the revision of the pages was compacted and swept; what was told is right, read again for the
 * rest. */
typedef int (*synod_page_fn)(void *arg, int code, const struct synod_page *page);

/* Reads a range of any size and order in pages, which are told as they come and not collected; one
 * that is sorted in another way than by rising keys, and too large for a learner, is collected and
 * sorted here first (at most a GiB; SYNOD_E_TOO_LARGE). timeout_ms is for the first page, and again
 * for each one after it. While the handle is not polled nothing is fetched. Bytes of *op are
 * copied. fn may not be NULL. *id (may be NULL) is for synod_cancel. SYNOD_OK, or SYNOD_E_USAGE,
 * and fn is not called. */
int synod_range_async(struct synod *s, const struct synod_range_op *op,
                      enum synod_consistency consistency, uint32_t timeout_ms, synod_page_fn fn,
                      void *arg, uint64_t *id);

/* Short forms, which block, and answer as synod_request does. revision, deleted and out may be
 * NULL.
 */
int synod_put(struct synod *s, struct synod_bytes key, struct synod_bytes value, uint64_t lease,
              uint64_t *revision);
int synod_get(struct synod *s, struct synod_bytes key, struct synod_result **out);
int synod_delete(struct synod *s, struct synod_bytes key, uint64_t *deleted);

/* Forgets what was overwritten or deleted before or at the revision. Reads of older revisions and
 * watches that begin there are refused from now on. What is under way goes on: ranges that
 * take less than five seconds, and watches that are less than five seconds behind. Blocks, and
 * answers as synod_request does. SYNOD_E_COMPACTED (it was already), SYNOD_E_FUTURE. */
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

/* Called in the order of the revisions, each once. code is SYNOD_OK; or SYNOD_E_COMPACTED (events
 * were compacted before they could be told: read, and watch from a later revision) or
 * SYNOD_E_USAGE, with which the watch has ended: nothing is told any more, and it still has to be
 * stopped. */
typedef void (*synod_watch_fn)(void *arg, int code, const struct synod_events *events);

/* Starts a watch; it goes on through changes of learners and leaders until synod_watch_stop, or
 * synod_close. The handle does not run ahead of its calls: while it is not polled nothing is
 * fetched, and nothing is lost. Any number of watches may be open. options are copied; *out is
 * written with SYNOD_OK only.
 *
 * With a revision the call does not wait. Without, it asks for the present one first, and waits for
 * that as synod_request does (SYNOD_E_UNAVAILABLE, SYNOD_E_INTERRUPTED, SYNOD_E_CORRUPT,
 * SYNOD_E_REFUSED): what is acknowledged to anybody after the call is told, what was before is not.
 * In a callback it does not wait and asks all the same: then the watch begins behind a revision
 * that the store has at some time after the call, and with `progress` that one is told first.
 *
 * SYNOD_E_USAGE, also for a range that no key lies in. */
int synod_watch_start(struct synod *s, const struct synod_watch_options *options, synod_watch_fn fn,
                      void *arg, struct synod_watch **out);

/* Ends a watch, also from within its own callback, and frees it. NULL is allowed. Does not
 * block. */
void synod_watch_stop(struct synod_watch *watch);

#ifdef __cplusplus
}
#endif
#endif
