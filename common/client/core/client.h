/* The client's core: what libsynod knows and decides, under the contract of common/protocol/core.h.
 *
 * Three kinds of things come in: events (client_step), calls of the application (the functions
 * below), and time, which comes with the events. What leaves is in the effects of a step: messages,
 * completions, and when to be woken. A call takes note and answers at once whether it was taken;
 * nothing leaves the core before the next step, and no function of the application is ever called
 * from here: who steps the core calls them, for the completions that it finds in the effects.
 *
 * A handshake is not the core's affair: EVENT_PEER_UP says that a proposer or learner took our
 * HELLO, EVENT_PEER_DOWN that its connection broke. A message that is not sent, because its
 * connection has just broken, is as good as lost: the core sends again what has to arrive.
 *
 * Two drive this core: the handle (common/client/handle.h) and the simulator. */
#ifndef SYNOD_CLIENT_CORE_CLIENT_H
#define SYNOD_CLIENT_CORE_CLIENT_H

#include "common/protocol/core.h"
#include "common/protocol/kv.h"
#include "common/protocol/members.h"
#include "common/protocol/value.h"

/* Commands and bytes of the application that may be outstanding; the core's own come on top. */
#define CLIENT_OUTSTANDING_MAX SESSION_OUTSTANDING_MAX
#define CLIENT_OUTSTANDING_BYTES_MAX (7 * MIB)

struct client;

struct client_options {
    struct members members; /* proposers and learners; at least one of each */
    node_id_t pinned;       /* the only learner to use; 0: any */
    uint64_t nonce;         /* the client's id and incarnation, 64 random bits, not 0 */
    uint64_t seed;          /* of its own random choices */
    uint32_t session_ttl_ms;
    int is_raft;
    uint32_t election_ms;
    uint32_t poll_wait_ms; /* how long a learner may hold what waits for something; 0: 10,000 */
    uint32_t page_bytes;   /* of a page of records or events; 0: PAGE_BYTES_TARGET */
};

/* A new core; never NULL. pinned must be a member or 0. */
struct client *client_new(const struct client_options *options);

/* What is outstanding is forgotten without a completion. NULL is allowed. */
void client_free(struct client *c);

/* The contract. EVENT_FLUSH ends a turn: it sends what may be sent, expires what is due, and leaves
 * in effects.wake_at when to come back. */
void client_step(void *client, const struct event *event, struct effects *out);

/* ---- completions: struct completion in common/protocol/core.h, of these kinds
 *
 * Slices and arrays in a completion are borrowed: from the core until its next step, and from the
 * message of the event that led to it. */

enum completion_kind {
    COMPLETION_OPERATION, /* fn, arg; id: its number; value and body: as in struct result_range */
    COMPLETION_ANSWER,    /* id; a query, or the end of a range. value: revision of the store, also
                             of a refusal; body: of the answer */
    COMPLETION_RANGE,     /* id; a page of a range: detail is struct range_page */
    COMPLETION_RECORDS,   /* id; a page of a read: detail is struct records_page */
    COMPLETION_READ,      /* id; the end of a read: detail is struct records_page without records */
    COMPLETION_EVENTS,    /* id; a page of a watch: detail is struct events_page_told */
    COMPLETION_WATCH,     /* id; the end of a watch. code: COMPACTED (value: the compacted revision)
                             or USAGE */
    COMPLETION_SESSION,   /* id; client_want_session: value is the session's id */
    COMPLETION_SESSION_LOST, /* value: the id. It ended, or may have ended */
    COMPLETION_LEASE_LOST,   /* value: the id of a lease that was kept, fn, arg */
    COMPLETION_HELD,         /* id; a lock or leadership is ours, value: its token; or code says why
                                it never will be */
    COMPLETION_HOLD_LOST,    /* id; it was ours and is not any more */
    COMPLETION_RELEASED,     /* id; the end of client_release. code: OK or LOST, or why not known */
    COMPLETION_LEADERSHIP,   /* id; an observation: value: the token, 0: nobody; body: the value */
    COMPLETION_OBSERVE,      /* id; the end of an observation */
    COMPLETION_STATUS,       /* id; detail is struct inquiry_status */
    COMPLETION_EXPLANATION,  /* id; detail is struct inquiry_explanation */
    COMPLETION_TRANSFER,     /* id; detail is struct inquiry_transfer */
    COMPLETION_NAMED,        /* id; detail is struct inquiry_named */
};

/* ---- commands */

/* Adds one command to the client's sequence. The payload is copied. When it is answered, or its
 * deadline (TIME_NEVER: none) has passed, there is one completion with fn and arg, which are not
 * looked at. *number (may be NULL) gets the operation's number. ERROR_BUSY: too much is
 * outstanding; ERROR_CORRUPT: the handle is broken; ERROR_USAGE: it is being closed. */
int client_submit(struct client *c, enum command_op op, struct slice payload, time_ms_t deadline,
                  completion_fn fn, void *arg, uint64_t *number, struct errmsg *err);

/* Nobody waits for this operation any more: no completion follows. It may still happen, and it
 * keeps its place in the sequence. fn and arg of it are not kept. */
void client_abandon(struct client *c, uint64_t number);

/* 1 if a whole block waits to be sent, so that a flush is worth its cost. */
int client_has_full_block(const struct client *c);

/* The code of a result or answer with that status (enum result_status). */
int client_status_code(uint32_t status);

/* The number of the operation that has sequence 1 in the present session. */
uint64_t client_first_number(const struct client *c);

/* Commands of the application without a completion. */
size_t client_outstanding(const struct client *c);

/* No more commands are taken. Every operation that is outstanding ends with INTERRUPTED; then the
 * session is closed, if there is one. effects.finished of a flush says that nothing is left to do.
 * */
void client_close(struct client *c, struct effects *out);

/* ---- questions: each has an id from 1, and is forgotten after its last completion */

struct client_query {
    enum query_op op;
    struct slice body; /* copied, or kept if it has an owner */
    enum read_consistency consistency;
    int is_revision_known; /* the revision asked for exists: a learner without it lags behind */
    time_ms_t deadline;
};

uint64_t client_query(struct client *c, const struct client_query *query);

/* A range of any size in pages, in the order that it wants. */
struct range_page {
    uint64_t revision; /* of the store when the first page was read: all pages are of it */
    uint64_t count;    /* keys in all, as the first page counted them */
    uint32_t kv_count;
    struct slice kvs; /* for kv_next */
    int more;         /* of the last page: the limit left some out */
    int is_last;
};

struct client_range {
    struct kv_range range; /* key and end are copied; must pass kv_request_parse */
    enum read_consistency consistency;
    int is_continued;    /* it goes on with an earlier answer: as QUERY_KV_CONTINUED */
    time_ms_t deadline;  /* of the first page */
    uint32_t timeout_ms; /* of each page after it; UINT32_MAX: none */
};

uint64_t client_range(struct client *c, const struct client_range *range);

struct records_page {
    uint64_t from; /* index of records[0] */
    uint32_t count;
    const struct slice *records;
    uint64_t first, last; /* oldest and newest index of the log */
    slot_t applied;
};

struct client_read {
    uint64_t from;  /* from 1 */
    uint64_t count; /* 0: to the end of the log as the first page finds it */
    enum read_consistency consistency;
    int is_tail;         /* goes on as records arrive, and has no end; count is not looked at */
    time_ms_t deadline;  /* of the first page */
    uint32_t timeout_ms; /* of each page after it; UINT32_MAX: none */
};

uint64_t client_read(struct client *c, const struct client_read *read);

/* A page of a watch. It was checked: all events are in order, and within what was asked for. */
struct events_page_told {
    struct slice events; /* for kv_next_event */
    size_t count;
    uint64_t next_revision;
    uint32_t next_sub;
};

struct client_watch {
    struct slice key, end; /* copied */
    uint64_t revision;     /* the first one wanted, from 1 */
    uint32_t flags;        /* WATCH_... */
};

uint64_t client_watch(struct client *c, const struct client_watch *watch);

/* Ends a question, watch, hold (which leaves its queue), observation or inquiry without a further
 * completion. An id that is over does nothing. */
void client_cancel(struct client *c, uint64_t id);

/* ---- what is known */

/* An operation on keys was answered with that revision; only its caller knows what it was. A
 * learner that does not have it yet lags behind, and a watch does not stay there. */
void client_note_revision(struct client *c, uint64_t revision);

/* Learners, as bits by position in members, that it wants to be connected to. Proposers all are. */
uint32_t client_wanted_learners(const struct client *c);

/* Why nothing goes on, as far as it is known: "no proposer answers". */
const char *client_trouble(const struct client *c);

#endif
