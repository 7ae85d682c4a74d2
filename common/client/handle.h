/* The handle: the thin runner around the client's core, and what its files share. Nothing outside
 * common/client includes it.
 *
 * handle.c       open and close, the turn that every call is made of, poll and descriptor
 * transport.c    connections and handshakes, frames to events and effects to frames
 * completions.c  what the core completes, to whom waits for it
 * calls.c        calls that wait: steps, interruption, going on
 *
 * The core (core/client.h) decides everything; here are the clock, the sockets, the memory of the
 * application, and the waiting. */
#ifndef SYNOD_CLIENT_HANDLE_H
#define SYNOD_CLIENT_HANDLE_H

#include "common/base/arena.h"
#include "common/base/buffer.h"
#include "common/client/core/client.h"
#include "common/client/core/holds.h"
#include "common/client/core/inquiries.h"
#include "common/client/core/leases.h"
#include "common/client/core/observations.h"
#include "common/client/synod.h"
#include "common/config/config.h"
#include "common/net/net.h"
#include "common/protocol/handshake.h"
#include "common/wire/wire.h"

#include "common/base/containers.h"

struct transport {
    struct net *net;
    struct wire_context wire;
    struct arena arena; /* of the message being handled */
    struct dialled_link proposers[MEMBERS_MAX], learners[MEMBERS_MAX];
    uint32_t dialled_learners; /* bits by position */
    node_id_t pinned;          /* the only learner that is used; 0: any */
    char refused_text[400];    /* the last process that will not talk to us, and why */
};

/* Something in the core that this handle waits for, by its id. */
struct awaited {
    uint64_t id;
    /* A completion of that id. Its last one comes after awaited_remove; pages, events, leaderships,
     * HELD with code OK, and HOLD_LOST are not the last. */
    void (*fn)(struct synod *s, struct awaited *self, const struct completion *completion);
    /* Nothing comes any more, because it was cancelled or the handle is being closed; after
     * awaited_remove. Frees what belongs to it. If s->is_closing, one that waits for its only
     * answer tells the application SYNOD_E_INTERRUPTED (the sentence is set); else it calls nobody.
     * NULL: whoever waits looks after it. */
    void (*drop)(struct synod *s, struct awaited *self);
    int is_owned;  /* the application has a pointer to it (a lock that is ours): synod_cancel by its
                     id leaves it alone */
    int is_listed; /* between awaited_add and awaited_remove */
    UT_hash_handle hh;
};

/* An asynchronous command whose result says more than a number: the beginning of what waits for it.
 * Its fn frees it and tells, once. */
struct commanded {
    struct commanded *prev, *next;
    struct synod *s;
    uint64_t number;
    void (*fn)(struct commanded *self, int code, uint64_t value, struct slice body);
};

/* What synod_cancel takes for an operation: its number with this bit, so that it is no id of the
 * core. */
#define OPERATION_ID ((uint64_t)1 << 63)

struct call;

struct synod {
    struct config config;
    struct client *core;
    struct effects fx;
    struct transport transport;
    uint64_t nonce;
    uint32_t timeout_ms;
    time_ms_t now;       /* read at the start of a turn and after every wait */
    time_ms_t wake;      /* when time alone makes something due, as of the last turn */
    time_ms_t turned_at; /* when the last turn ended; 0: there was none */
    int loop_fd;         /* epoll of the net and timer_fd, for synod_fd; -1 until it is asked for */
    int timer_fd;
    int is_in_turn; /* a callback is being called, or may be: nothing may block */
    int is_closing;
    int is_finished;  /* closing: the core has nothing left to do */
    unsigned forks;   /* of this process when it was opened: in a child the handle is dead */
    uint64_t last_id; /* of the last asynchronous call, for synod_cancel */
    struct errmsg err;

    struct awaited *awaited;       /* by id */
    struct commanded *commanded;   /* in the order of their numbers */
    const struct completion *told; /* whose callback is being called, or NULL */
    uint64_t told_count;           /* completions that were handed out so far */
    struct call *call;             /* the blocking call under way, or NULL */
    struct call *interrupted;      /* those that a signal ended: they go on when made again */
    struct synod_result *borrowed; /* what the last call lent to the application */
    synod_lost_fn session_fn;
    void *session_arg;
};

/* ---- handle.c */

time_ms_t handle_now(void);

/* One turn: sends what is due, waits for something to arrive until `until` at the latest, and
 * handles it. SYNOD_OK, SYNOD_E_INTERRUPTED or SYNOD_E_REFUSED, with the sentence set. */
int handle_turn(struct synod *s, time_ms_t until) MUST_USE;

/* 1 in the process that opened it. Sets no sentence. */
int handle_is_ours(const struct synod *s);

/* SYNOD_OK if the handle may be used at all: it is of this process, and not being closed. */
int handle_check(struct synod *s) MUST_USE;

/* SYNOD_OK if a call may wait here, too: not within a callback. Takes the time. */
int handle_may_block(struct synod *s) MUST_USE;

/* The deadline of a call that starts now; 0: the handle's own timeout, UINT32_MAX: none. */
time_ms_t handle_deadline(const struct synod *s, uint32_t timeout_ms);

/* After a call that gave the core something to do: sends it at once if it is a whole block. Never
 * calls back: what completes by that waits for the next turn. */
void handle_nudge(struct synod *s);

/* The same, whole block or not. */
void handle_flush(struct synod *s);

/* ---- transport.c */

int transport_open(struct synod *s, struct errmsg *err) MUST_USE;
void transport_close(struct synod *s);

/* Steps the core with everything that has arrived, and lets its effects out. Returns how much there
 * was. */
size_t transport_receive(struct synod *s);

/* Handshakes that are due; dials whom the core wants. Returns when to be called next. */
time_ms_t transport_work(struct synod *s);

/* Steps the core with one event and lets the effects out: messages first, then completions, unless
 * this is no turn, in which nobody may be called: then these wait, and no step may follow before
 * completions_tell. */
void transport_step(struct synod *s, enum event_kind kind, const struct message *msg,
                    struct peer peer);

/* 1 if every proposer, or every learner we may use, refuses us. */
int transport_all_refuse(const struct synod *s);

/* ---- completions.c */

/* To remove what was removed already does nothing. */
void awaited_add(struct synod *s, struct awaited *awaited, uint64_t id);
void awaited_remove(struct synod *s, struct awaited *awaited);

/* Forgets all that are awaited: removes and drops them. */
void awaited_drop_all(struct synod *s);

/* Submits a command for commanded, whose fn is set; the rest is filled in. With a code other than
 * SYNOD_OK the caller still has it. */
int commanded_submit(struct synod *s, enum command_op op, struct slice payload, time_ms_t deadline,
                     struct commanded *commanded) MUST_USE;

/* Frees all of them, without a callback. */
void commanded_free_all(struct synod *s);

/* Hands out what the core completed, and forgets it. In a turn only. */
void completions_tell(struct synod *s);

/* Of what completed and was not handed out yet: nobody hears of the operation with that fn and arg,
 * or of the loss of that lease. */
void completions_drop_operation(struct synod *s, completion_fn fn, const void *arg);
void completions_drop_lease(struct synod *s, uint64_t id);

/* Puts the sentence of a completion where synod_error finds it. Returns its code. */
int completion_code(struct synod *s, const struct completion *completion);

/* ---- calls.c: calls that wait
 *
 * A blocking call is begun with what identifies it: its name and its arguments. It is made of
 * steps, each of which is something in the core that completes. If a signal ends the wait, the call
 * and what its steps came to so far are kept; the same call with the same arguments goes on where
 * it was: its steps answer again what they came to, and the one under way is waited for. So nothing
 * happens twice, however many steps a call has. A call within a call is part of it. */

struct call_argument {
    const void *data;
    size_t size;
};

#define CALL_ARGUMENTS_MAX 8

/* SYNOD_OK, or why nothing may wait here. name is static; the arguments' bytes (not the array of
 * them) must stay as they are until call_end. */
int call_begin(struct synod *s, const char *name, const struct call_argument *arguments,
               size_t count) MUST_USE;

/* Ends what call_begin began, and returns rc. With SYNOD_E_INTERRUPTED the call is kept. Else, and
 * when a kept call is given up, what its steps wait for is ended with it (client_abandon,
 * client_cancel), also if they are done: a hold that was won goes with them, unless the step was
 * handed over. */
int call_end(struct synod *s, int rc);

/* Gives up the calls that were interrupted. */
void calls_give_up(struct synod *s);

/* For calls that need no steps, because they change nothing: turns until *is_done. SYNOD_OK, or
 * what ended the wait before. */
int call_wait(struct synod *s, const int *is_done) MUST_USE;

/* What a step came to; lives until the call ends. */
struct step {
    struct step *next;
    int is_done;
    int is_begun;
    int is_read; /* it changed nothing: if it is among the last of an interrupted call it is
                    forgotten and asked again, so that its answer is not of long ago */
    int code;
    uint64_t value;
    struct buffer body;     /* of the completion */
    void *kept;             /* what `keep` made of its detail; freed with free() */
    struct errmsg why;      /* with a code other than 0 */
    uint64_t number;        /* of the operation, or */
    struct awaited awaited; /* what it waits for */
    time_ms_t deadline;     /* of a command, as of when it was tried first; 0: it was not */
    void (*keep)(struct step *step, const struct completion *completion); /* or NULL */
    struct synod *s;
};

/* The next step of the call under way: a new one, or one that is begun or done already. */
struct step *step_next(struct synod *s);

/* For a step that is not begun: it waits for that id of the core. keep may be NULL. */
void step_await(struct synod *s, struct step *step, uint64_t id,
                void (*keep)(struct step *step, const struct completion *completion));

/* Waits for a step that is begun. Its code, with the sentence, or SYNOD_E_INTERRUPTED or
 * SYNOD_E_REFUSED of the wait. The core ends it in time, so that there is no deadline here. */
int step_wait(struct synod *s, struct step *step) MUST_USE;

/* Forgets all steps after that one, and ends what they wait for: the next step follows it. For
 * calls that go round and round, when nothing of a round matters any more in the next. */
void step_rewind(struct synod *s, struct step *step);

/* The id that a step waited for, which is done. It is the caller's from now on: the step does not
 * end it, and is told nothing of it any more. */
uint64_t step_hand_over(struct synod *s, struct step *step);

/* Whole steps. value, revision and body may be NULL; body is appended to. */
int step_command(struct synod *s, enum command_op op, struct slice payload, time_ms_t deadline,
                 uint64_t *value, struct buffer *body) MUST_USE;
int step_query(struct synod *s, const struct client_query *query, uint64_t *revision,
               struct buffer *body) MUST_USE;

#endif
