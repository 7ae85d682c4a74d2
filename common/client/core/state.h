/* The inside of the client's core: what its files share. Nobody else includes it.
 *
 * client.c     the step, what is pending, sentences
 * contacts.c   which processes are up, and the choice of the learner
 * target.c     who is believed to lead, and when to try again
 * session.c    the session: opening, keeping it, its end
 * submit.c     the hot path: operations, blocks of commands, sending and sending again
 * results.c    what the cluster says about submitted commands
 * questions.c  what is asked of a learner: asked again until it is answered
 * reads.c      queries, and reads of records
 * watches.c    watches
 * ranges.c     ranges of any size, in pages; sorting.c: in another order
 * leases.c     leases that are kept alive, and how long each certainly lasts
 * holds.c      places in a queue of sessions: locks and leaderships; with hold_requests.c
 * observations.c  who leads an election
 * inquiries.c  status, explanation, transfer, and a nomination from outside; one inquiry_*.c each
 *
 * Each part of struct client is written by one file; others ask it, or call what it offers. */
#ifndef SYNOD_CLIENT_CORE_STATE_H
#define SYNOD_CLIENT_CORE_STATE_H

#include "common/base/rng.h"
#include "common/base/tree.h"
#include "common/client/core/client.h"

#include "common/base/containers.h"

/* A block closes at this size: large enough that the cost of a frame vanishes, small enough that
 * the proposer can start on the first while the next is being filled. */
#define BLOCK_BYTES_TARGET (64 * KIB)

/* The first silence after which everything outstanding is sent again, and what it grows to. */
#define RETRY_MS_MIN 300
#define RETRY_MS_MAX 1200

/* Pause after "I do not lead and know nobody who does": random in [MIN, 2 * MIN), doubling. */
#define PAUSE_MS_MIN 10
#define PAUSE_MS_MAX 100

/* How long a proposer over its budget is left alone, unless results arrive before. */
#define BUSY_PAUSE_MS 20

/* A gap reported again within this time was caused by blocks that were already on their way. */
#define GAP_IGNORE_MS 20

/* A learner that has not become usable after this is given up for one that may. */
#define LEARNER_CONNECT_MS 250

/* A learner that says nothing for so long, while something is outstanding, is given up. */
#define LEARNER_SILENCE_MS 1000

/* A learner that owes an answer so long, beyond what it was allowed to wait, is given up. */
#define ANSWER_SILENCE_MS 1000

/* Pause before a question is asked again that the learner could not answer; and what it grows to if
 * learners have no room. */
#define ASK_AGAIN_MS 50
#define ASK_BUSY_MS_MAX 1600

/* How long a learner may hold a watch, or the read of a tail, while there is nothing new. */
#define POLL_WAIT_MS_DEFAULT 10000

/* Questions under way at once that a learner answers at once; the others wait for their turn. It
 * keeps the answers within what the learner may queue for one client. */
#define QUESTIONS_ASKED_MAX 256

/* Commands of the core's own that may be outstanding besides those of the application, so that one
 * that keeps the client full does not lose its leases. */
#define INTERNAL_OPERATIONS_MAX 64
#define OPERATIONS_MAX (CLIENT_OUTSTANDING_MAX + INTERNAL_OPERATIONS_MAX)

/* ---- contacts.c */

/* One proposer or learner that this client talks to. */
struct contact {
    struct peer peer;
    int is_up;          /* it took our HELLO: messages may go there */
    time_ms_t heard_at; /* the last message from it */
};

struct contacts {
    struct contact proposers[MEMBERS_MAX];
    struct contact learners[MEMBERS_MAX];
    size_t proposer_count, learner_count;
    int is_pinned;           /* `learner` may not change */
    size_t learner;          /* index of the one in use */
    uint32_t wanted;         /* learners that were wanted so far, as bits by index */
    time_ms_t learner_since; /* when it was chosen, or was needed first */
    time_ms_t learner_heard; /* last message from it, or the start of the wait for one */
};

/* ---- target.c */

/* Who is believed to lead. */
struct target {
    size_t proposer;         /* index of the one that gets the blocks */
    struct ballot leading;   /* highest ballot announced */
    int is_probing;          /* it may not lead: send it one block, not all */
    uint32_t redirect_count; /* since the last progress */
    uint32_t pause_ms;       /* next pause, grows until progress */
    time_ms_t paused_until;  /* nothing is submitted before */
    int is_busy_pause;       /* the pause ends with the next result */
};

/* ---- session.c */

enum session_state {
    SESSION_NONE,
    SESSION_OPENING,
    SESSION_OPEN,
};

struct session {
    enum session_state state;
    uint64_t id;       /* while OPENING, that of the last one, which is continued if it lives */
    uint64_t openings; /* number of the last opening: only an answer that names it counts, because a
                          learner that learns the log again answers former ones again */
    uint64_t base;     /* number of its first operation, minus 1 */
    uint32_t ttl_ms;
    time_ms_t contact;        /* when a block of it was last sent to who did not reject it */
    time_ms_t contact_before; /* what it was before that */
    time_ms_t keepalive_at;   /* no empty block is sent before */
    int is_open_due;          /* OPENING: the command has to be sent (again) */
    time_ms_t opening_since;  /* OPENING */
};

/* ---- submit.c */

/* A command that the log has not answered. 24 bytes: a client may have 65,536 of them. */
struct operation {
    completion_fn fn; /* NULL: nobody waits for it; operation_internal: arg is a struct internal */
    void *arg;
    time_ms_t deadline; /* TIME_NEVER, or one of these two */
};
#define OPERATION_DONE (-1) /* answered by the log */
#define OPERATION_EXPIRED                                                                          \
    (-2) /* nobody waits for it any more, but its sequence is in use: it stays in flight, or there \
            would be a gap for ever */

/* An operation of the core's own: the beginning of what its result goes to. */
struct internal {
    void (*fn)(struct client *c, struct internal *self, int code, uint64_t value, struct slice body,
               struct effects *out);
};

/* Marks such an operation; never called. */
void operation_internal(void *arg, int code, uint64_t value);

/* Operations are numbered from 1 over the life of a client; within a session its sequence is the
 * number minus the session's base. A block holds consecutive ones, encoded, with room for its head
 * in front. Blocks form a list from the oldest unanswered to the one being filled. */
struct outgoing_block {
    struct outgoing_block *next;
    uint64_t first; /* number of its first operation */
    uint32_t count;
    time_ms_t sent_at; /* for the first time; 0: never */
    /* Sealed, which it is when it is sent, or full: nothing may be added. NULL: still being filled.
     * The head is written anew with each sending, unless somebody else has a reference. */
    struct blob *bytes;
    uint8_t *head_bytes; /* where bytes begin */
};

struct submit {
    /* Numbers in [oldest, next) are unanswered or wait behind one that is; those in [oldest, sent)
     * have left at least once. oldest <= sent <= next. */
    struct operation *operations; /* ring of OPERATIONS_MAX */
    uint64_t oldest, sent, next;
    size_t waiting_count;    /* completions that are still owed */
    size_t internal_count;   /* how many of these are the core's own */
    time_ms_t next_deadline; /* no operation's deadline is earlier */
    struct outgoing_block *head, *tail;
    struct outgoing_block *cursor; /* the next to send; NULL: all are sent */
    struct buffer filling;         /* the bytes of the tail that is not sealed */
    size_t capacity_hint;          /* size of the last block: the first allocation of the next */
    size_t block_bytes;            /* of all blocks */
    time_ms_t progress_at;         /* last result, or the first send after an idle time */
    uint32_t retry_ms;
    uint32_t retry_count;
    uint64_t gap_sequence; /* of the last gap acted upon */
    time_ms_t gap_at;
    int has_full_block; /* since the last flush one was sealed for want of room */
    int is_broken;      /* takes no more commands */
    struct internal closing;
    int is_closed; /* the command that closes the session was answered, or cannot be sent */
};

/* ---- what is pending: everything that has an id */

enum pending_kind {
    PENDING_QUESTION, /* a query, a read or a watch */
    PENDING_RANGE,
    PENDING_HOLD,
    PENDING_OBSERVATION,
    PENDING_INQUIRY,
    PENDING_SESSION,
};

/* The beginning of each of them. */
struct pending {
    uint64_t id;
    enum pending_kind kind;
    UT_hash_handle hh;
};

/* ---- questions.c, reads.c, watches.c */

enum question_kind { QUESTION_QUERY, QUESTION_READ, QUESTION_WATCH };

/* What an answer to a part of the core's own says. */
struct answer {
    enum completion_kind kind;
    int code;
    uint64_t value;
    struct slice body;
    const void *detail;
};

/* A part of the core that asked in the place of the application: the beginning of it. */
struct listener {
    void (*fn)(struct client *c, struct listener *self, uint64_t id, const struct answer *answer,
               struct effects *out);
};

struct question {
    struct pending pending;
    enum question_kind kind;
    struct listener *listener; /* NULL: the application asked */
    /* Where it stands. Exactly one of: waiting in line to be asked; asked; resting until
     * not_before. */
    int is_in_line;
    int is_asked;                 /* `request` waits for its answer */
    struct question *prev, *next; /* in line */
    uint64_t request;
    UT_hash_handle by_request; /* while is_asked */
    size_t learner;            /* index of the one that was asked */
    time_ms_t asked_at;
    time_ms_t not_before; /* pause after "busy" or "no quorum" */
    uint32_t busy_ms;     /* the last pause after "busy"; 0: none since there was an answer */
    time_ms_t deadline;   /* of a read: of its next page; TIME_NEVER: none */
    time_ms_t due;        /* when time alone makes something due: key in the tree of timers */
    RB_ENTRY(question) by_due;
    union {
        struct {
            enum query_op op;
            struct slice body; /* a reference */
            enum read_consistency consistency;
            int is_revision_known;
        } query;
        struct {
            uint64_t from;  /* next index wanted */
            uint64_t until; /* last index wanted */
            enum read_consistency consistency;
            int is_tail;
            int has_page;      /* the first page came: `until` is final */
            uint64_t local_at; /* the learner that answered a page at the wanted consistency: asking
                                  it for the next pages needs no quorum any more. 0: none */
            uint32_t timeout_ms;
        } read;
        struct {
            struct slice key, end; /* references */
            uint32_t flags;
            uint64_t revision; /* the next position wanted */
            uint32_t sub;
            uint64_t asked_behind; /* highest revision that was known when it was asked */
        } watch;
    };
};

RB_HEAD(question_tree, question);

struct questions {
    /* In the order in which they are to be asked: those that are answered at once, and those that
     * may wait at the learner. */
    struct question *line, *polls;
    struct question *by_request; /* those that are asked */
    struct question_tree timers; /* all, by due and id */
    size_t asked_count;          /* how many of the former are asked */
    uint64_t request;            /* last number drawn */
    uint64_t revision;           /* highest revision of the keys that anything told */
};

/* ---- the rest has headers of its own */

#include "common/client/core/holds.h"
#include "common/client/core/inquiries.h"
#include "common/client/core/leases.h"
#include "common/client/core/observations.h"
#include "common/client/core/ranges.h"

struct client {
    struct client_options options;
    struct peer self; /* {ROLE_CLIENT, nonce} */
    struct rng rng;
    time_ms_t now; /* of the step under way, or the last one */
    struct errmsg err;
    char trouble[256]; /* why nothing goes on, as far as is known; empty after progress */
    int is_closing;
    struct pending *pending; /* by id */
    uint64_t last_id;

    struct contacts contacts;
    struct target target;
    struct session session;
    struct submit submit;
    struct questions questions;
    struct leases leases;
    struct holds holds;
    struct observations observations;
    struct inquiries inquiries;
};

/* ---- client.c */

/* What holds of the whole struct between two steps. */
void client_check(const struct client *c);

/* Gives the next id to something that is pending. Returns it. */
uint64_t pending_add(struct client *c, struct pending *pending, enum pending_kind kind);
void pending_remove(struct client *c, struct pending *pending);

/* NULL if it is over, or of another kind. */
struct pending *pending_find(const struct client *c, uint64_t id, enum pending_kind kind);

/* Adds a completion and returns it, zeroed but for its kind, id and code. A code other than 0 comes
 * with the sentence of c->err. */
struct completion *complete(struct client *c, struct effects *out, enum completion_kind kind,
                            uint64_t id, int code);

/* The sentence of c->err, kept as long as the effects. */
const char *keep_sentence(const struct client *c, struct effects *out);

/* Tells what became of a question: its listener, or the application. */
void tell_listener(struct client *c, struct listener *listener, uint64_t id,
                   const struct answer *answer, struct effects *out);

/* Sets the sentence for what did not come in time, with what is known about the reason. Returns
 * ERROR_UNAVAILABLE. `leaderless`: of a question about the leader, of which an explanation tells
 * more. */
int unavailable(struct client *c, const char *what);
int leaderless(struct client *c, const char *what);

/* Notes why nothing goes on; "" after progress. */
void note_trouble(struct client *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ---- contacts.c */

void contacts_init(struct client *c);

/* The first step: the learner has its time from now on. */
void contacts_begin(struct client *c, time_ms_t now);
void contacts_on_up(struct client *c, struct peer peer, struct effects *out);
void contacts_on_down(struct client *c, struct peer peer, struct effects *out);

/* A message came from there. */
void contacts_note_heard(struct client *c, struct peer peer);

/* Timers of the learner in use. */
void contacts_work(struct client *c, struct effects *out);

/* Gives the learner in use up for the next, unless it is pinned or the only one: what was asked of
 * it is asked again. With keeps_polls what waits there for something to happen stays, because the
 * connection does, and to ask all of it again would fill one learner after the other. */
void contacts_change_learner(struct client *c, int keeps_polls);

/* All learners are wanted from now on. */
void contacts_want_all(struct client *c);

/* NULL if the peer is none of ours. */
struct contact *contacts_find(struct client *c, struct peer peer);

static inline const struct contact *contacts_learner(const struct client *c)
{
    return &c->contacts.learners[c->contacts.learner];
}

/* ---- target.c */

void target_init(struct client *c);

/* 1 if the target, or another proposer in its place, can be written to now. */
int target_is_open(struct client *c);

const struct contact *target_contact(const struct client *c);

/* Takes the next proposer that is up as the target. */
void target_rotate(struct client *c);

/* It may not lead: it gets one block until that is answered. */
void target_doubt(struct client *c);

/* Something was answered, so that somebody leads. */
void target_note_progress(struct client *c);

/* Results came: a pause because of a full budget is over. */
void target_note_results(struct client *c);

void target_pause_growing(struct client *c);
void target_pause_for(struct client *c, time_ms_t ms, int ends_with_results);
void target_end_pause(struct client *c);

/* A proposer says that it does not lead. leader: whom it names, 0: nobody. */
void target_on_not_leader(struct client *c, node_id_t leader);
void target_on_leading(struct client *c, const struct message *msg);

/* ---- session.c */

void session_init(struct client *c);

/* Sees to it that there is a session, or that a doubtful one is asked for. */
void session_want(struct client *c);

/* 1 if commands may be sent under it. */
int session_is_open(const struct client *c);

/* Sends the command that opens it, if that is due. */
void session_send_open(struct client *c, struct effects *out);

/* The opening has to be sent again. */
void session_rewind(struct client *c);

/* A block of it was sent just now; or that block was rejected. */
void session_note_contact(struct client *c);
void session_undo_contact(struct client *c);

/* 1 while the opening with that number is waited for. */
int session_is_opening(const struct client *c, uint64_t opening);

void session_on_opened(struct client *c, const struct result_range *range, struct effects *out);

/* The cluster does not know it: operations that were ever sent fail with code, the others go to the
 * next session. The sentence is set. */
void session_abandon(struct client *c, int code, struct effects *out);

/* Keeps an idle session alive. */
void session_work(struct client *c, struct effects *out);

/* ---- submit.c */

void submit_init(struct client *c);
void submit_close(struct client *c);

/* client_submit for the core's own: internal may be NULL, then nobody waits. Never ERROR_USAGE. */
int submit_internal(struct client *c, enum command_op op, struct slice payload,
                    struct internal *internal, uint64_t *number) MUST_USE;

/* The result of this operation is not waited for any more: its struct internal is not touched. */
void submit_forget(struct client *c, uint64_t number);

/* 1 while the log has not answered that operation. */
int submit_is_under_way(const struct client *c, uint64_t number);

/* Expires deadlines, sends again what got no answer. */
void submit_work(struct client *c, struct effects *out);

/* Sends as much as the state of session, contacts and pauses allows. */
void submit_flush(struct client *c, struct effects *out);

/* When the block of this operation was sent first; 0 if it is not known any more. */
time_ms_t submit_sent_at(const struct client *c, uint64_t number);

/* 1 if all that the range is about was sent in this session. */
int submit_has_sent(const struct client *c, const struct result_range *range);

/* The result of one operation: completes it, and frees what no operation needs any more. Numbers
 * that are not outstanding are ignored. */
void submit_complete(struct client *c, uint64_t number, int code, uint64_t value, struct slice body,
                     struct effects *out);

/* The same of commands of this session that were sent and have succeeded. */
void submit_complete_run(struct client *c, const struct result_range *range, struct effects *out);

/* Everything in flight has to be sent again, oldest first; or from the block that holds a number.
 * */
void submit_rewind(struct client *c);
void submit_rewind_to(struct client *c, uint64_t number);

/* The session is open: what waits may leave. */
void submit_on_opened(struct client *c);

/* The cluster misses commands from this one on. */
void submit_on_gap(struct client *c, uint64_t sequence);

/* Fails everything outstanding and all later commands. A command that can never enter the log
 * leaves a gap in the session for ever, and its sequence must not be given to another one while
 * commands behind it may still be on their way. */
void submit_break(struct client *c, int code, struct effects *out);

/* Fails all operations that were ever sent. */
void submit_fail_sent(struct client *c, int code, struct effects *out);

/* 1 while something that was sent has no answer. */
int submit_is_in_flight(const struct client *c);

/* What the cluster may forget: results below the oldest operation without one, as a sequence. */
uint64_t submit_acked_sequence(const struct client *c, uint64_t block_first);

/* Sends an encoded block to the target. */
void submit_send(struct client *c, struct slice block, struct effects *out);

/* ---- results.c */

/* What a status of results, answers and pages means to the caller, with its sentence. value is the
 * revision or the lease that the status is about. Returns the code. */
int results_code(struct client *c, uint32_t status, uint64_t value);

void results_on_result(struct client *c, const struct message *msg, struct effects *out);
void results_on_reject(struct client *c, const struct message *msg, struct effects *out);

/* ---- questions.c */

void questions_init(struct client *c);
void questions_close(struct client *c);

/* client_query, client_read and client_watch for a listener. */
uint64_t ask_query(struct client *c, const struct client_query *query, struct listener *listener);
uint64_t ask_read(struct client *c, const struct client_read *read, struct listener *listener);
uint64_t ask_watch(struct client *c, const struct client_watch *watch, struct listener *listener);

/* Ends a question without a word. An id that is over does nothing. */
void question_cancel(struct client *c, uint64_t id);

/* What was asked of that learner will not be answered: it is asked again; polls only without
 * keeps_polls. */
void questions_forget_asked(struct client *c, size_t learner, int keeps_polls);

/* Asks what can be asked, gives up learners that are silent, and expires what is due. */
void questions_work(struct client *c, struct effects *out);

void questions_on_message(struct client *c, const struct message *msg, struct effects *out);

/* ---- for reads.c and watches.c, from questions.c */

/* A new question, to be filled in; start puts it in line. */
struct question *question_new(struct client *c, enum question_kind kind, struct listener *listener,
                              time_ms_t deadline);
void question_start(struct client *c, struct question *q);

/* It is asked again: now if that is possible, or after a pause, of another learner. */
void question_again(struct client *c, struct question *q, struct effects *out);
void question_rest(struct client *c, struct question *q, const char *why);

/* The learner has no room for it: again after a pause that grows, at another one. */
void question_rest_busy(struct client *c, struct question *q);

/* Its end: frees it, then tells. */
void question_end(struct client *c, struct question *q, const struct answer *answer,
                  struct effects *out);

/* Its next page has time until then. */
void question_set_deadline(struct client *c, struct question *q, time_ms_t deadline);

/* ---- reads.c, watches.c: the message to the learner in use, but for its request number; and an
 * answer that was waited for */

void query_put(struct client *c, const struct question *q, struct message *msg);
void query_take(struct client *c, struct question *q, const struct message *msg,
                struct effects *out);
void read_put(struct client *c, const struct question *q, struct message *msg);
void read_take(struct client *c, struct question *q, const struct message *msg,
               struct effects *out);
void watch_put(struct client *c, struct question *q, struct message *msg);
void watch_take(struct client *c, struct question *q, const struct message *msg,
                struct effects *out);

/* A revision of the keys was told. */
void questions_note_revision(struct client *c, uint64_t revision);

#endif
