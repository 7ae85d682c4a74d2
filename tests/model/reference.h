/* What etcd 3.4 would answer: keys with all their revisions, transactions, compaction, watches and
 * leases, as plainly as possible.
 *
 * The state machine of learner/machine is compared with this, and this with a real etcd. It shares
 * with the machine the encoding of requests (kv.h) and nothing else. Nothing is ever forgotten:
 * compaction is a number below which is refused to look. No clock, no I/O, no randomness. */
#ifndef SYNOD_TESTS_MODEL_REFERENCE_H
#define SYNOD_TESTS_MODEL_REFERENCE_H

#include "common/base/arena.h"
#include "common/protocol/kv.h"

/* Why a request was refused. It has then changed nothing. */
enum reference_error {
    REFERENCE_OK,
    REFERENCE_COMPACTED,
    REFERENCE_FUTURE,
    REFERENCE_LEASE_NOT_FOUND,
    REFERENCE_LEASE_EXISTS,
    REFERENCE_KEY_NOT_FOUND,
    /* Of requests that break a rule whatever the state is. */
    REFERENCE_EMPTY_KEY,
    REFERENCE_VALUE_PROVIDED, /* although it is to be ignored */
    REFERENCE_LEASE_PROVIDED,
    REFERENCE_TOO_MANY_OPS,
    REFERENCE_DUPLICATE_KEY,
    REFERENCE_EMPTY_RANGE, /* of a watch */
};

/* "ok", "compacted", "duplicate_key", ... */
const char *reference_error_name(enum reference_error error);

/* 1 if the request would be refused in any state: it may not enter the log. */
int reference_error_is_rule(enum reference_error error);

struct reference_response {
    enum kv_op op;
    uint64_t count;   /* range: before limit and filters; delete: deleted */
    int more;         /* range */
    int succeeded;    /* txn */
    struct slice key; /* sequential put */
    struct kv *kvs;   /* range; previous ones of delete and put */
    size_t kv_count;
    struct reference_response *responses; /* txn */
    size_t response_count;
};

/* Slices live as long as the reference, arrays as long as the arena that was given. */
struct reference_answer {
    enum reference_error error;
    uint64_t revision; /* of the store afterwards; COMPACTED: the compacted one */
    struct reference_response response;
};

struct reference *reference_new(void);
void reference_free(struct reference *r);

/* ---- keys */

/* Whether a request keeps the rules that do not depend on the state. */
enum reference_error reference_check(const struct kv_request *request);

/* Executes a request, or answers why not. */
void reference_request(struct reference *r, const struct kv_request *request, struct arena *arena,
                       struct reference_answer *out);

/* revision names what reference_answer.revision would. */
enum reference_error reference_compact(struct reference *r, uint64_t revision);

/* From now on, until it is told otherwise, requests that change nothing and reference_events look
 * below the compacted revision, too, as if nothing had been compacted: what a question that goes on
 * has to be answered, if it is. */
void reference_remember(struct reference *r, int remembers);

/* All events in [key, end) from a revision on, with what was there before where that is kept; for
 * flags see msg_watch. COMPACTED, EMPTY_RANGE (no key can lie in it), or OK. */
enum reference_error reference_events(const struct reference *r, uint64_t revision,
                                      struct slice key, struct slice end, uint32_t flags,
                                      struct arena *arena, struct kv_event **events,
                                      size_t *event_count);

uint64_t reference_revision(const struct reference *r);
uint64_t reference_compacted(const struct reference *r); /* 0: nothing was */

/* ---- leases */

struct reference_lease {
    uint64_t id;
    uint64_t ttl_ms;
    uint64_t due_ms;  /* a later time ends it */
    uint64_t session; /* ends with that one; 0: with none */
    int is_ending;    /* within a call only */
};

/* Cluster time. It never falls: an earlier one changes nothing. Ends the leases whose time is up,
 * and those that are bound to them, by rising id; each under a revision of its own if it has keys.
 */
void reference_advance(struct reference *r, uint64_t now_ms);

/* id is what the cluster chose, if it was to choose. session: see LEASE_BOUND; 0: not bound. */
enum reference_error reference_grant(struct reference *r, uint64_t id, uint64_t ttl_ms,
                                     uint64_t session);

/* Ends a lease, and those that are bound to it, by rising id. The keys of each are deleted, in
 * order, under one revision if there are any. */
enum reference_error reference_revoke(struct reference *r, uint64_t id);

/* How long it lasts now; 0: there is none. */
uint64_t reference_keepalive(struct reference *r, uint64_t id);

/* NULL if there is none; valid until the next change. */
const struct reference_lease *reference_lease(const struct reference *r, uint64_t id);

/* All of them by rising id; valid until the next change. */
const struct reference_lease *reference_leases(const struct reference *r, size_t *count);

/* Keys under a lease, in order. */
void reference_lease_keys(const struct reference *r, uint64_t id, struct arena *arena,
                          struct slice **keys, size_t *key_count);

uint64_t reference_now_ms(const struct reference *r);

#endif
