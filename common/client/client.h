/* The inside of a libsynod handle: what its files share. Nothing outside common/client includes it.
 *
 * links.c    who is connected: dial, handshake, choice of the learner, dispatch of what arrives
 * submit.c   the hot path: operations, blocks of commands, sending and sending again
 * answers.c  results, rejections, leaders: what the cluster says about submitted commands
 * call.c     commands that are waited for, and those that nobody waits for
 * read.c     reads and tails
 * status.c   status and leader
 * settings.c the settings of oracles and the line of successors
 * transfer.c leadership handed over
 * explain.c  what every proposer says of why somebody leads, or nobody does
 * name.c     words of an oracle outside
 * synod.c    open, close, poll and the turn that every blocking call is made of
 *
 * What stands on these has headers of its own: keys.h, query.h, watch.h, lease.h, recipe.h. */
#ifndef SYNOD_CLIENT_CLIENT_H
#define SYNOD_CLIENT_CLIENT_H

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/rng.h"
#include "common/client/lease.h"
#include "common/client/query.h"
#include "common/client/synod.h"
#include "common/client/watch.h"
#include "common/config/config.h"
#include "common/net/net.h"
#include "common/protocol/message.h"
#include "common/protocol/value.h"
#include "common/wire/wire.h"

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

/* A handshake without an answer is tried again after this. */
#define HELLO_RETRY_MS 500

/* Longest wait for the result of the command that closes the session. */
#define CLOSE_WAIT_MS 200

/* Silent processes hold up a status no longer than this. */
#define STATUS_SILENCE_MS 500

/* How long a learner may hold a tail's read while there is nothing new. */
#define TAIL_WAIT_MS 10000

#define NODES_MAX (3 * MEMBERS_MAX)

/* One proposer or learner that this handle talks to. */
struct contact {
    struct peer peer;
    const char *address; /* for clients */
    int is_dialled;
    int is_up;               /* connected, as far as the transport knows */
    int is_wanted;           /* say HELLO as soon as it is up */
    int is_welcome;          /* the handshake is done: usable */
    int is_refused;          /* it will not talk to us; the reason is in refused_text */
    time_ms_t hello_at;      /* when HELLO was last sent on this connection, 0: not yet */
    uint64_t status_request; /* the status it still has to be asked for or to answer, 0: none */
    int status_sent;
    uint64_t explain_request; /* the explanation that it still owes, 0: none */
    int explain_sent;
};

/* The transfer under way: one request at a time. */
struct transfer {
    uint64_t request;  /* 0: none */
    struct peer asked; /* who has to answer it */
    int is_answered;
    int is_known;     /* somebody answered so far, last with these: */
    uint32_t status;  /* enum transfer_status */
    node_id_t leader; /* 0: unknown */
};

/* The word of an oracle outside that is being told; there is at most one. */
struct naming {
    uint64_t request; /* 0: none */
    node_id_t proposer;
    uint32_t valid_ms; /* from began_at on */
    time_ms_t began_at;
    uint8_t is_told[MEMBERS_MAX]; /* by index in proposers */
    uint8_t is_answered[MEMBERS_MAX];
    uint32_t refused; /* enum name_status of one that did not take it; NAME_TAKEN: none */
    struct synod_named result;
};

/* Commands of the library's own that a handle can have outstanding besides those of the
 * application, so that one that keeps the handle full does not lose its leases. */
#define INTERNAL_OPERATIONS_MAX 64
#define OPERATIONS_MAX (SYNOD_OUTSTANDING_MAX + INTERNAL_OPERATIONS_MAX)

/* A command that the log has not answered. 24 bytes: a handle may have 65,536 of them. What its
 * result says beyond a number is in the handle while fn is called (struct synod, body). */
struct operation {
    synod_append_fn fn; /* may be NULL */
    void *arg;
    time_ms_t deadline; /* TIME_NEVER, or one of these two */
};
#define OPERATION_DONE (-1) /* answered by the log */
#define OPERATION_EXPIRED                                                                          \
    (-2) /* its caller was told "unavailable", but its sequence is in use: it
                                  stays in flight, or there would be a gap for ever */

/* Operations are numbered from 1 over the life of a handle; within a session its sequence is the
 * number minus the session's base. A block holds consecutive ones, encoded, with room for its head
 * in front. Blocks form a list from the oldest unanswered to the one being filled. */
struct outgoing_block {
    struct outgoing_block *next;
    uint64_t first; /* number of its first operation */
    uint32_t count;
    int is_sealed;     /* sent, or full: nothing may be added */
    time_ms_t sent_at; /* for the first time; 0: never */
    uint8_t *bytes;
    size_t size;
    size_t capacity;
};

enum session_state {
    SESSION_NONE,
    SESSION_OPENING,
    SESSION_OPEN,
};

/* The blocking read or tail under way; there is at most one. */
struct reading {
    int is_active;
    int is_tail;
    int is_asked; /* `request` waits for its answer */
    int has_page; /* the first page came: `until` is final */
    int is_done;  /* `code` is the result */
    int code;
    uint64_t request;
    uint64_t from;  /* next index wanted */
    uint64_t until; /* last index wanted */
    enum synod_consistency consistency;
    uint64_t local_at; /* the learner that answered a page at the wanted consistency: asking it for
                          the next pages needs no quorum any more. 0: none */
    time_ms_t asked_at;
    time_ms_t not_before; /* pause after "busy" or "no quorum" */
    time_ms_t progress_at;
    synod_record_fn fn;
    void *arg;
    struct synod_log log;
};

struct synod {
    struct config config;
    struct wire_context wire;
    struct net *net;
    struct arena arena; /* of the message being handled */
    struct rng rng;
    struct peer self; /* {ROLE_CLIENT, nonce}; the nonce is the incarnation, too */
    time_ms_t now;    /* read at the start of a turn and after every wait */
    time_ms_t wake;   /* when time alone makes something due */
    int loop_fd;      /* epoll of the net and timer_fd, for synod_fd; -1 until it is asked for */
    int timer_fd;
    uint32_t timeout_ms;
    struct errmsg err;
    char trouble[256]; /* why nothing goes on, as far as is known; empty after progress */

    struct contact proposers[MEMBERS_MAX];
    struct contact learners[MEMBERS_MAX];
    size_t proposer_count, learner_count;
    int is_pinned;           /* `learner` may not change */
    size_t learner;          /* index of the one in use */
    time_ms_t learner_since; /* when it was chosen */
    time_ms_t learner_heard; /* last frame from it, or the start of the wait for one */
    char refused_text[400];

    /* Who is believed to lead. */
    size_t target;           /* index of the proposer that gets the blocks */
    struct ballot leading;   /* highest ballot announced */
    int is_probing;          /* the target may not lead: send it one block, not all */
    uint32_t redirect_count; /* since the last progress */
    uint32_t pause_ms;       /* next pause, grows until progress */
    time_ms_t paused_until;  /* nothing is submitted before */
    int is_busy_pause;       /* the pause ends with the next result */

    /* The session. */
    enum session_state session_state;
    uint64_t session;      /* id; while OPENING, that of the last one */
    uint64_t openings;     /* number of the last opening of a session, which answers must name */
    uint64_t session_lost; /* id that the cluster does not know any more: never taken again */
    uint64_t session_base; /* number of its first operation, minus 1 */
    uint32_t session_ttl_ms;
    time_ms_t session_contact; /* when a block of it was last sent to who did not reject it */
    time_ms_t session_contact_before; /* what it was before that */
    time_ms_t keepalive_at;           /* no keepalive is tried before */
    int is_open_due;                  /* OPENING: the command has to be sent (again) */
    time_ms_t opening_since;          /* OPENING */
    int is_closing;
    int is_broken;  /* takes no more commands */
    int is_in_turn; /* a callback is being called, or may be: nothing may block */

    /* Operations and their blocks. Numbers in [oldest, next) are unanswered or waiting behind one
     * that is; those in [oldest, sent) have left at least once. */
    struct operation *operations; /* ring of OPERATIONS_MAX */
    uint64_t oldest, sent, next;
    size_t waiting_count;    /* callbacks that are still to be called */
    size_t internal_count;   /* how many of these are the library's own */
    struct slice body;       /* of the result whose callback is being called, else empty */
    time_ms_t next_deadline; /* no operation's deadline is earlier */
    struct outgoing_block *head, *tail;
    struct outgoing_block *cursor; /* the next to send; NULL: all are sent */
    size_t block_bytes;            /* of all blocks */
    size_t capacity_hint;          /* size of the last block: the first allocation of the next */
    time_ms_t progress_at;         /* last result, or the first send after an idle time */
    uint32_t retry_ms;
    uint32_t retry_count;
    uint64_t gap_sequence; /* of the last gap acted upon */
    time_ms_t gap_at;

    struct reading reading;
    struct query query;
    struct watches watches;
    struct leases leases;
    uint64_t request;              /* last request id drawn */
    uint64_t revision;             /* highest revision of the keys that anything told us */
    struct hold *holds;            /* locks and leaderships that were not given back */
    struct synod_result *borrowed; /* what the last call lent to the application */

    /* The status being collected. */
    uint64_t status_request;
    size_t node_count;
    struct synod_node nodes[NODES_MAX]; /* acceptors, proposers, learners, each by rising id */
    uint8_t node_seen[NODES_MAX];

    struct transfer transfer;
    struct synod_explanation *explanation; /* being collected, or NULL */
    struct naming naming;
};

/* ---- synod.c */

time_ms_t client_now(void);

/* One turn: sends what is due, waits for something to arrive until `until` at the latest, and
 * handles it. SYNOD_OK, SYNOD_E_INTERRUPTED or SYNOD_E_REFUSED, with the sentence set. */
int client_turn(struct synod *s, time_ms_t until) MUST_USE;

/* SYNOD_OK if a call may wait here; SYNOD_E_USAGE within a callback. Takes the time. */
int client_may_block(struct synod *s) MUST_USE;

/* The deadline of a call that starts now. */
time_ms_t client_deadline(time_ms_t now, uint32_t timeout_ms);

/* Sets the sentence for what did not come in time, with what is known about the reason. Returns
 * SYNOD_E_UNAVAILABLE. */
int client_unavailable(struct synod *s, const char *what);

/* The same of a question about the leader, of which an explanation tells more. */
int client_leaderless(struct synod *s, const char *what);

/* ---- links.c */

/* Fills in the contacts, dials all proposers and one learner. pinned: id or 0. */
int links_open(struct synod *s, uint32_t pinned, struct errmsg *err) MUST_USE;

/* Takes everything that has arrived. Returns how many frames and changes of links there were. */
size_t links_receive(struct synod *s);

/* Timers of handshakes and of the learner's silence. Returns when to be called next. */
time_ms_t links_work(struct synod *s);

/* Encodes and queues one message. 0 or a negative code; nothing is kept. */
int links_send(struct synod *s, const struct contact *to, struct message *msg) MUST_USE;

/* Dials it if need be and says HELLO as soon as it is up. */
void links_want(struct synod *s, struct contact *contact);

/* What was asked of the learner in use will not be answered: ask again. */
void links_forget_asked(struct synod *s);

/* Gives the learner in use up for the next, unless it is pinned or the only one. */
void links_change_learner(struct synod *s);

/* 1 if every proposer, or every learner we may use, refuses us. */
int links_all_refuse(const struct synod *s);

struct contact *links_proposer(struct synod *s, uint64_t id);

static inline struct contact *links_learner(struct synod *s)
{
    return &s->learners[s->learner];
}

/* ---- submit.c */

int submit_open(struct synod *s) MUST_USE;
void submit_close(struct synod *s);

/* Sees to it that there is a session, or that a doubtful one is asked for. */
void submit_want_session(struct synod *s);

/* A result of this operation proves that its block was applied after it was first sent. */
void submit_note_contact(struct synod *s, uint64_t number);

/* Takes one command. SYNOD_OK, or SYNOD_E_BUSY with the sentence set. */
int submit_add(struct synod *s, enum command_op op, const void *data, size_t size,
               time_ms_t deadline, synod_append_fn fn, void *arg);

/* Sends what may be sent, expires deadlines, sends again what got no answer. Returns when to be
 * called next. */
time_ms_t submit_work(struct synod *s);

/* Sends as much as the state of session, links and pauses allows. */
void submit_flush(struct synod *s);

/* The result of one operation: calls back, and frees what no operation needs any more. Numbers that
 * are not outstanding are ignored. */
void submit_complete(struct synod *s, uint64_t number, int code, uint64_t index);

/* Everything in flight has to be sent again, oldest first. */
void submit_rewind(struct synod *s);

/* The same from the block that holds a number. */
void submit_rewind_to(struct synod *s, uint64_t number);

/* Fails everything outstanding and all later appends. A command that can never enter the log leaves
 * a gap in the session for ever, and its sequence must not be given to another one while commands
 * behind it may still be on their way. */
void submit_break(struct synod *s, int code);

/* Ends the session: operations that were ever sent get code, the others go to the next session. */
void submit_abandon_session(struct synod *s, int code);

/* Takes the next usable proposer as the target. */
void submit_rotate(struct synod *s);

/* ---- call.c */

/* An operation of the library's own: the beginning of what its callback gets. */
struct internal {
    void (*fn)(struct internal *self, int code);
};

/* The callback of these; submit.c knows them by it. */
void call_internal(void *arg, int code, uint64_t value);

/* Runs one command to its result. value and body may be NULL; body is appended to. */
int call_run(struct synod *s, enum command_op op, struct slice payload, time_ms_t deadline,
             uint64_t *value, struct buffer *body) MUST_USE;

/* Sends a command whose result nobody waits for, and that nothing depends on. It follows the
 * commands before it, whatever became of these. */
void call_post(struct synod *s, enum command_op op, struct slice payload);

/* SYNOD_OK if the handle takes commands. */
int call_check(struct synod *s) MUST_USE;

/* The deadline of an asynchronous call. */
time_ms_t call_deadline(const struct synod *s, uint32_t timeout_ms);

/* ---- answers.c */

/* What a status of results, answers and pages means to the caller, with its sentence. value is the
 * revision or the lease that the status is about. */
int answers_code(struct synod *s, uint32_t status, uint64_t value);

void answers_on_result(struct synod *s, const struct message *msg);
void answers_on_reject(struct synod *s, const struct message *msg);
void answers_on_leading(struct synod *s, const struct message *msg);

/* ---- read.c */

void read_on_records(struct synod *s, const struct message *msg);
time_ms_t read_work(struct synod *s);

/* ---- status.c */

void status_on_reply(struct synod *s, const struct message *msg);
void status_work(struct synod *s);

/* The name of an enum node_state; static. */
const char *status_state_name(uint32_t state);

/* Begins to ask all proposers anew. */
void status_ask_proposers(struct synod *s);

/* Who leads by the answers so far: of the highest round. 1, or 0 if nobody says so. */
int status_find_leader(const struct synod *s, struct synod_leader *out);

/* ---- settings.c */

/* The public form of settings: all candidates of this cluster, and no others. */
void settings_tell(const struct synod *s, const struct settings *settings,
                   struct synod_oracle *out);

/* What a learner has, at that consistency. */
int settings_ask(struct synod *s, enum synod_consistency consistency, time_ms_t deadline,
                 struct synod_oracle *out) MUST_USE;

/* ---- transfer.c */

void transfer_on_answer(struct synod *s, const struct message *msg);

/* ---- explain.c */

void explain_on_answer(struct synod *s, const struct message *msg);
void explain_work(struct synod *s);
/* ---- name.c */

void name_on_named(struct synod *s, const struct message *msg);

/* Tells the word to proposers that have become usable. */
void name_work(struct synod *s);

#endif
