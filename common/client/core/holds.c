#include "common/client/core/state.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/base/mutant.h"
#include "common/client/core/hold_requests.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A waiter looks by itself after this, for the case that the learner it watches is cut off from the
 * others. */
#define HOLD_LOOK_MS 5000

/* How long a place in the queue may take to be given up that we do not want any more. */
#define HOLD_WITHDRAW_MS 500

enum hold_state {
    HOLD_NEW,         /* nothing was done yet */
    HOLD_REFUSED,     /* nothing will be: this client has a hold with that prefix */
    HOLD_OPENING,     /* `question` is the wish for the session */
    HOLD_ENTERING,    /* our key is being put: `operation`, or in line */
    HOLD_LOOKING,     /* `question` asks for the key before ours */
    HOLD_WAITING,     /* `question` watches that key; 0: the next look must do */
    HOLD_HELD,        /* `question` watches our own key; 0: the session must do */
    HOLD_LOST,        /* it was ours; the application knows */
    HOLD_LEAVING,     /* the application gives it back: RELEASING with the next step */
    HOLD_RELEASING,   /* our key is being deleted, `operation` or in line: its result is told */
    HOLD_WITHDRAWING, /* the same, but `code` and `why` are told, at the latest when it is due */
    HOLD_ABANDONED,   /* over, but for a deletion that is still in line */
};

struct hold {
    struct pending pending; /* ABANDONED: its id is over */
    struct listener listener;
    struct internal internal;
    struct hold *prev, *next;
    UT_hash_handle by_prefix; /* unless it is REFUSED or ABANDONED */
    const char *what;
    struct slice prefix, value; /* own copies; the value until the put is written */
    time_ms_t until;            /* end of the wait; LEAVING: deadline of the release */
    uint32_t timeout_ms;
    enum hold_state state;
    struct buffer key;  /* ours; empty: we have not tried to enter */
    uint64_t token;     /* 0: not known yet */
    int was_held;       /* the token was told */
    uint64_t epoch;     /* of the session when we came: while it is the same our key is there */
    uint64_t question;  /* 0: none */
    uint64_t operation; /* 0: none */
    int is_in_line;
    struct buffer request; /* the command that is in line */
    struct hold *line_prev, *line_next;
    time_ms_t due; /* key in the tree of timers; TIME_NEVER: only events move it */
    RB_ENTRY(hold) by_due;
    int code;           /* WITHDRAWING: why we do not wait any more; LEAVING: LOST if it was LOST */
    struct errmsg *why; /* the sentence of a WITHDRAWING one */
};

static int compare_due(const struct hold *a, const struct hold *b)
{
    if (a->due != b->due) {
        return a->due < b->due ? -1 : 1;
    }
    return a->pending.id < b->pending.id ? -1 : a->pending.id > b->pending.id;
}

TREE_GENERATE(hold_tree, hold, by_due, compare_due)

static struct hold *find(const struct client *c, uint64_t id)
{
    return (struct hold *)pending_find(c, id, PENDING_HOLD);
}

static void set_due(struct client *c, struct hold *hold, time_ms_t due)
{
    RB_REMOVE(hold_tree, &c->holds.timers, hold);
    hold->due = due;
    RB_INSERT(hold_tree, &c->holds.timers, hold);
}

static void set_state(struct client *c, struct hold *hold, enum hold_state state)
{
    c->holds.held_count -= hold->state == HOLD_HELD;
    c->holds.held_count += state == HOLD_HELD;
    hold->state = state;
}

/* No step ends before timeout_ms, and none before the wait does. */
static time_ms_t step_deadline(const struct client *c, const struct hold *hold)
{
    time_ms_t own = time_after(c->now, hold->timeout_ms);
    return own > hold->until ? own : hold->until;
}

/* 1 while our key, which was put under the session, is certainly not gone with it. */
static int is_session_safe(const struct client *c, const struct hold *hold, time_ms_t now)
{
    return (c->leases.session_epoch == hold->epoch && client_session_left_ms(c, now) > 0) ||
           MUTANT(client_hold_certain_for_ever);
}

/* 1 if our key may be in the queue and nothing was done about that. */
static int is_in_queue(const struct hold *hold)
{
    if (hold->state == HOLD_ENTERING) {
        return hold->operation != 0 && !MUTANT(client_hold_put_forgotten);
    }
    return hold->state >= HOLD_LOOKING && hold->state <= HOLD_LEAVING;
}

/* ---- sentences */

static int session_lost(struct client *c, const struct hold *hold)
{
    return errmsg_set(&c->err, ERROR_SESSION,
                      "our place in the queue for the %s is gone (the session ended, or may have "
                      "ended, or somebody deleted its key); try: again",
                      hold->what);
}

static int malformed(struct client *c)
{
    return errmsg_set(&c->err, ERROR_CORRUPT, "a response on keys is malformed (a bug)");
}

static int late(struct client *c)
{
    return unavailable(c, "no answer in time, the operation may still happen");
}

static int set_lost(const struct client *c, const struct hold *hold, int is_answered, time_ms_t now,
                    struct errmsg *err)
{
    const char *why = "its session ended, or may have ended";
    if (hold != NULL && is_session_safe(c, hold, now)) {
        why = is_answered ? "somebody deleted its key"
                          : "somebody deleted its key, or ended its session";
    }
    return errmsg_set(err, ERROR_LOST,
                      "the %s is not ours any more (%s), nothing was changed; try: to get it again",
                      hold != NULL ? hold->what : "place", why);
}

int client_hold_lost(const struct client *c, uint64_t id, int is_answered, time_ms_t now,
                     struct errmsg *err)
{
    return set_lost(c, find(c, id), is_answered, now, err);
}

/* ---- commands: they go out in the order in which they were wanted, so that the deletion of a key
 * never overtakes its put, nor a later put of the same key the deletion */

static int submit_request(struct client *c, struct hold *hold)
{
    int rc = submit_internal(c, COMMAND_KV, buffer_slice(&hold->request), &hold->internal,
                             &hold->operation);
    if (rc == 0) {
        buffer_close(&hold->request);
    }
    return rc;
}

static void want_submit(struct client *c, struct hold *hold)
{
    if (c->holds.line != NULL || submit_request(c, hold) != 0) {
        DL_APPEND2(c->holds.line, hold, line_prev, line_next);
        hold->is_in_line = 1;
    }
}

static void leave_line(struct client *c, struct hold *hold)
{
    if (hold->is_in_line) {
        DL_DELETE2(c->holds.line, hold, line_prev, line_next);
        hold->is_in_line = 0;
    }
}

static void forget_operation(struct client *c, struct hold *hold)
{
    if (hold->operation != 0) {
        submit_forget(c, hold->operation);
        hold->operation = 0;
    }
}

static void stop_asking(struct client *c, struct hold *hold)
{
    if (hold->question != 0) {
        client_cancel(c, hold->question); /* a question, or the wish for a session */
        hold->question = 0;
    }
}

/* ---- the end */

static void free_hold(struct client *c, struct hold *hold)
{
    stop_asking(c, hold);
    forget_operation(c, hold);
    leave_line(c, hold);
    RB_REMOVE(hold_tree, &c->holds.timers, hold);
    DL_DELETE(c->holds.list, hold);
    slice_drop(&hold->prefix);
    slice_drop(&hold->value);
    buffer_close(&hold->key);
    buffer_close(&hold->request);
    free(hold->why);
    free(hold);
}

static void forget_id(struct client *c, struct hold *hold)
{
    pending_remove(c, &hold->pending);
    if (hold->state != HOLD_REFUSED) {
        HASH_DELETE(by_prefix, c->holds.by_prefix, hold);
    }
}

/* The hold is over, but for a deletion that is still in line. */
static void end_quietly(struct client *c, struct hold *hold)
{
    forget_id(c, hold);
    if (!hold->is_in_line || hold->state == HOLD_ENTERING) {
        free_hold(c, hold);
        return;
    }
    set_state(c, hold, HOLD_ABANDONED);
    set_due(c, hold, TIME_NEVER);
}

static void end(struct client *c, struct hold *hold, enum completion_kind kind, int code,
                struct effects *out)
{
    (void)complete(c, out, kind, hold->pending.id, code);
    end_quietly(c, hold);
}

/* Deletes our key as soon as there is room for the command: behind the put, whatever became of it;
 * and if it was ours, only that one. */
static void leave_queue(struct client *c, struct hold *hold, enum hold_state state)
{
    stop_asking(c, hold);
    forget_operation(c, hold);
    hold->request.size = 0;
    hold_put_delete(&hold->request, buffer_slice(&hold->key), hold->was_held ? hold->token : 0);
    set_state(c, hold, state);
    want_submit(c, hold);
}

/* We do not wait any more, because of the code: nobody must wait for us. */
static void fail(struct client *c, struct hold *hold, int code, struct effects *out)
{
    if (!is_in_queue(hold) || c->submit.is_broken || c->is_closing ||
        MUTANT(client_hold_not_withdrawn)) {
        end(c, hold, COMPLETION_HELD, code, out);
        return;
    }
    hold->code = code;
    hold->why = memory_alloc(sizeof *hold->why);
    *hold->why = c->err;
    leave_queue(c, hold, HOLD_WITHDRAWING);
    set_due(c, hold, c->now + HOLD_WITHDRAW_MS);
    effects_wake(out, hold->due); /* this turn may have looked at the timers of holds already */
}

/* The end of a hold whose command was answered, or is not waited for. */
static void settle(struct client *c, struct hold *hold, int code, struct effects *out)
{
    enum completion_kind kind =
        hold->state == HOLD_RELEASING ? COMPLETION_RELEASED : COMPLETION_HELD;
    if (hold->state == HOLD_WITHDRAWING) {
        c->err = *hold->why;
        code = hold->code;
    }
    end(c, hold, kind, code, out);
}

static void send_line(struct client *c, struct effects *out)
{
    struct hold *hold;
    while ((hold = c->holds.line) != NULL) {
        if (!c->submit.is_broken && submit_request(c, hold) != 0) {
            return; /* there will be room when something was answered */
        }
        leave_line(c, hold);
        if (hold->state == HOLD_ABANDONED) {
            free_hold(c, hold);
        } else if (c->submit.is_broken) {
            settle(c, hold,
                   errmsg_set(&c->err, ERROR_CORRUPT,
                              "the handle is broken (its commands were called malformed); try: a "
                              "new handle"),
                   out);
        }
    }
}

/* ---- entering */

static void enter(struct client *c, struct hold *hold, uint64_t session, struct effects *out)
{
    char digits[17];
    snprintf(digits, sizeof digits, "%016llx", (unsigned long long)session);
    buffer_put(&hold->key, hold->prefix);
    buffer_put(&hold->key, slice_borrow(digits, strlen(digits)));
    hold->epoch = c->leases.session_epoch;
    int rc =
        hold_put_enter(&hold->request, buffer_slice(&hold->key), hold->value, session, &c->err);
    slice_drop(&hold->value);
    if (rc != 0) {
        fail(c, hold, rc, out);
        return;
    }
    set_state(c, hold, HOLD_ENTERING);
    set_due(c, hold, step_deadline(c, hold));
    want_submit(c, hold);
}

static void begin(struct client *c, struct hold *hold, struct effects *out)
{
    if (leases_is_session_certain(c)) {
        client_use_session(c);
        enter(c, hold, client_session(c), out);
        return;
    }
    set_state(c, hold, HOLD_OPENING);
    hold->question = leases_want_session(c, step_deadline(c, hold), &hold->listener);
    effects_wake(out, c->now); /* this turn has looked for wishes already */
}

/* ---- waiting */

static void look(struct client *c, struct hold *hold)
{
    struct buffer body = {0};
    stop_asking(c, hold);
    hold_put_look(&body, hold->prefix, buffer_slice(&hold->key), hold->token);
    const struct client_query query = {.op = QUERY_KV,
                                       .body = buffer_slice(&body),
                                       .consistency = READ_LINEARIZABLE,
                                       .deadline = step_deadline(c, hold)};
    hold->question = ask_query(c, &query, &hold->listener);
    buffer_close(&body);
    set_state(c, hold, HOLD_LOOKING);
    set_due(c, hold, TIME_NEVER);
}

/* Waits for the deletion of a key after a revision. The bytes are copied: with its owner the key
 * would keep a whole message. */
static void watch(struct client *c, struct hold *hold, struct slice key, uint64_t revision)
{
    const struct client_watch wanted = {.key = slice_borrow(key.data, key.size),
                                        .revision = revision + 1,
                                        .flags = WATCH_NO_PUT | WATCH_CONTINUED};
    hold->question = ask_watch(c, &wanted, &hold->listener);
}

static int not_free(struct client *c, const struct hold *hold, struct slice before)
{
    return errmsg_set(&c->err, ERROR_UNAVAILABLE,
                      "the %s was not free in time (%.*s is before us); try: to wait longer",
                      hold->what, (int)(before.size < 200 ? before.size : 200),
                      (const char *)before.data);
}

/* 0 if we stand in the queue, behind *before; or a code with its sentence. */
static int read_look(struct client *c, const struct hold *hold, const struct answer *answer,
                     struct slice *before)
{
    if (answer->code != 0) {
        return answer->code;
    }
    int is_there = hold_read_look(answer->body, hold->token, before);
    if (is_there < 0 || answer->value >= INT64_MAX) {
        return malformed(c);
    }
    if (!is_there || !is_session_safe(c, hold, c->now)) {
        return session_lost(c, hold);
    }
    return before->size > 0 && c->now >= hold->until ? not_free(c, hold, *before) : 0;
}

/* While it is ours we watch our own key: that the session was revoked would else be noticed with
 * the next keepalive, and that only the key was deleted not at all. */
static void take(struct client *c, struct hold *hold, uint64_t revision, struct effects *out)
{
    watch(c, hold, buffer_slice(&hold->key), revision);
    hold->was_held = 1;
    set_state(c, hold, HOLD_HELD);
    set_due(c, hold, TIME_NEVER);
    complete(c, out, COMPLETION_HELD, hold->pending.id, 0)->value = hold->token;
}

static void on_looked(struct client *c, struct hold *hold, const struct answer *answer,
                      struct effects *out)
{
    struct slice before = SLICE_EMPTY;
    int code = read_look(c, hold, answer, &before);
    if (code != 0) {
        fail(c, hold, code, out);
        return;
    }
    if (before.size > 0) {
        time_ms_t at = c->now + HOLD_LOOK_MS;
        watch(c, hold, before, answer->value);
        set_state(c, hold, HOLD_WAITING);
        set_due(c, hold, hold->until < at ? hold->until : at);
        return;
    }
    take(c, hold, answer->value, out);
}

static int has_events(const struct answer *answer)
{
    const struct events_page_told *page = answer->detail;
    return answer->kind == COMPLETION_EVENTS && page->count > 0;
}

/* A watch that was called malformed is not begun again: the next look is not far. */
static void on_watched(struct client *c, struct hold *hold, const struct answer *answer,
                       struct effects *out)
{
    if (has_events(answer) && MUTANT(client_hold_taken_unseen)) {
        stop_asking(c, hold);
        take(c, hold, answer->value, out);
    } else if (has_events(answer) || answer->code == ERROR_COMPACTED) {
        look(c, hold);
    }
}

/* ---- holding */

static void lose(struct client *c, struct hold *hold, struct effects *out)
{
    stop_asking(c, hold);
    set_state(c, hold, HOLD_LOST);
    int code = set_lost(c, hold, 0, c->now, &c->err);
    (void)complete(c, out, COMPLETION_HOLD_LOST, hold->pending.id, code);
}

/* What was compacted away is not noticed; what ends the session is, all the same. */
static void on_watched_own(struct client *c, struct hold *hold, const struct answer *answer,
                           struct effects *out)
{
    if (has_events(answer) && !MUTANT(client_hold_own_deletion_ignored)) {
        lose(c, hold, out);
    } else if (answer->code == ERROR_COMPACTED && answer->value < INT64_MAX) {
        watch(c, hold, buffer_slice(&hold->key), answer->value);
    }
}

/* The session ended, or may have ended: what stood on it is lost for good, even if it should turn
 * out to live. */
static void note_session(struct client *c, struct effects *out)
{
    struct holds *holds = &c->holds;
    struct hold *next;
    int may_be_over = holds->held_count > 0 && client_session_left_ms(c, c->now) == 0;
    if (holds->epoch == c->leases.session_epoch && !may_be_over) {
        return;
    }
    holds->epoch = c->leases.session_epoch;
    for (struct hold *hold = holds->list; hold != NULL; hold = next) {
        next = hold->next;
        if (is_session_safe(c, hold, c->now)) {
            continue;
        }
        if (hold->state == HOLD_HELD) {
            lose(c, hold, out);
        } else if (hold->state == HOLD_LOOKING || hold->state == HOLD_WAITING) {
            fail(c, hold, session_lost(c, hold), out);
        }
    }
}

/* ---- what was asked is answered */

static void on_answer(struct client *c, struct listener *self, uint64_t id,
                      const struct answer *answer, struct effects *out)
{
    struct hold *hold = (struct hold *)(void *)((char *)self - offsetof(struct hold, listener));
    CHECK(id == hold->question);
    if (answer->kind != COMPLETION_EVENTS) {
        hold->question = 0;
    }
    switch (hold->state) {
    case HOLD_OPENING:
        if (answer->code != 0) {
            fail(c, hold, answer->code, out);
        } else {
            enter(c, hold, answer->value, out);
        }
        break;
    case HOLD_LOOKING:
        on_looked(c, hold, answer, out);
        break;
    case HOLD_WAITING:
        on_watched(c, hold, answer, out);
        break;
    case HOLD_HELD:
        on_watched_own(c, hold, answer, out);
        break;
    default:
        CHECK(0); /* the others ask nothing */
    }
}

static int read_entered(struct client *c, struct hold *hold, struct slice body)
{
    int rc = hold_read_token(body, buffer_slice(&hold->key), &hold->token);
    if (rc == 0) {
        return errmsg_set(&c->err, ERROR_CORRUPT, "a key that was put is not there (a bug)");
    }
    if (rc < 0) {
        return malformed(c);
    }
    return is_session_safe(c, hold, c->now) ? 0 : session_lost(c, hold);
}

static void on_entered(struct client *c, struct hold *hold, int code, struct slice body,
                       struct effects *out)
{
    set_state(c, hold, HOLD_LOOKING); /* whatever the code, our key may be in the queue */
    set_due(c, hold, TIME_NEVER);
    if (code == 0) {
        code = read_entered(c, hold, body);
    } else if (code == ERROR_LEASE) {
        code = session_lost(c, hold);
    }
    if (code != 0) {
        fail(c, hold, code, out);
        return;
    }
    look(c, hold);
}

static void on_released(struct client *c, struct hold *hold, int code, struct slice body,
                        struct effects *out)
{
    if (code != 0) {
        /* It was not executed, and the session may live all the same. To ask twice does no harm. */
        (void)complete(c, out, COMPLETION_RELEASED, hold->pending.id, code);
        leave_queue(c, hold, HOLD_RELEASING);
        end_quietly(c, hold);
        return;
    }
    int was_ours = hold_read_deleted(body);
    if (was_ours < 0) {
        code = malformed(c);
    } else if (!was_ours) {
        code = set_lost(c, hold, 1, c->now, &c->err);
    }
    settle(c, hold, code, out);
}

static void on_result(struct client *c, struct internal *self, int code, uint64_t value,
                      struct slice body, struct effects *out)
{
    struct hold *hold = (struct hold *)(void *)((char *)self - offsetof(struct hold, internal));
    hold->operation = 0;
    if (code == 0) {
        questions_note_revision(c, value);
    }
    switch (hold->state) {
    case HOLD_ENTERING:
        on_entered(c, hold, code, body, out);
        break;
    case HOLD_WITHDRAWING:
        settle(c, hold, code, out);
        break;
    case HOLD_RELEASING:
        on_released(c, hold, code, body, out);
        break;
    default:
        CHECK(0); /* the others have sent nothing, or forgotten it */
    }
}

/* ---- time */

static int exists(struct client *c, const struct hold *hold)
{
    return errmsg_set(&c->err, ERROR_EXISTS,
                      "this handle has that %s already, or had it and did not give it back; try: "
                      "to give it back first, or another handle",
                      hold->what);
}

/* What is lost is not waited for. But the session may live all the same, and others must not wait
 * for us as long as it does. */
static void release(struct client *c, struct hold *hold, struct effects *out)
{
    int is_lost = hold->code != 0 || !is_session_safe(c, hold, c->now);
    leave_queue(c, hold, HOLD_RELEASING);
    set_due(c, hold, hold->until);
    if (is_lost) {
        settle(c, hold, set_lost(c, hold, 0, c->now, &c->err), out);
    }
}

static void on_due(struct client *c, struct hold *hold, struct effects *out)
{
    set_due(c, hold, TIME_NEVER);
    switch (hold->state) {
    case HOLD_NEW:
        begin(c, hold, out);
        break;
    case HOLD_REFUSED:
        fail(c, hold, exists(c, hold), out);
        break;
    case HOLD_ENTERING:
        fail(c, hold, late(c), out);
        break;
    case HOLD_WAITING:
        look(c, hold);
        effects_wake(out, c->now); /* this turn has sent its questions already */
        break;
    case HOLD_LEAVING:
        release(c, hold, out);
        break;
    case HOLD_RELEASING:
    case HOLD_WITHDRAWING:
        settle(c, hold, late(c), out);
        break;
    default:
        CHECK(0); /* only events move the others */
    }
}

void holds_work(struct client *c, struct effects *out)
{
    struct hold *hold;
    if (c->is_closing) {
        return;
    }
    note_session(c, out);
    while ((hold = RB_MIN(hold_tree, &c->holds.timers)) != NULL && hold->due <= c->now) {
        on_due(c, hold, out);
    }
    send_line(c, out);
    hold = RB_MIN(hold_tree, &c->holds.timers);
    if (hold != NULL) {
        effects_wake(out, hold->due);
    }
}

/* ---- calls */

uint64_t client_acquire(struct client *c, const struct client_hold *wanted)
{
    struct holds *holds = &c->holds;
    struct hold *other;
    struct hold *hold = memory_calloc(1, sizeof *hold);
    CHECK(wanted->prefix.size > 0);
    hold->listener.fn = on_answer;
    hold->internal.fn = on_result;
    hold->what = wanted->what;
    hold->prefix = slice_keep(slice_borrow(wanted->prefix.data, wanted->prefix.size));
    hold->value = slice_keep(slice_borrow(wanted->value.data, wanted->value.size));
    hold->until = wanted->until;
    hold->timeout_ms = wanted->timeout_ms;
    /* A second place under the same session would be the same key. */
    HASH_FIND(by_prefix, holds->by_prefix, hold->prefix.data, hold->prefix.size, other);
    if (other != NULL) {
        hold->state = HOLD_REFUSED;
    } else {
        HASH_ADD_KEYPTR(by_prefix, holds->by_prefix, hold->prefix.data, hold->prefix.size, hold);
    }
    (void)pending_add(c, &hold->pending, PENDING_HOLD);
    DL_APPEND(holds->list, hold);
    hold->due = c->now; /* the next step begins, with a clock that is right */
    RB_INSERT(hold_tree, &holds->timers, hold);
    return hold->pending.id;
}

int client_is_held(const struct client *c, uint64_t id, time_ms_t now)
{
    const struct hold *hold = find(c, id);
    return hold != NULL && hold->state == HOLD_HELD && is_session_safe(c, hold, now);
}

struct slice client_hold_key(const struct client *c, uint64_t id)
{
    const struct hold *hold = find(c, id);
    return hold != NULL ? buffer_slice(&hold->key) : SLICE_EMPTY;
}

uint64_t client_release(struct client *c, uint64_t id, time_ms_t deadline)
{
    struct hold *hold = find(c, id);
    if (hold == NULL || (hold->state != HOLD_HELD && hold->state != HOLD_LOST)) {
        return 0;
    }
    stop_asking(c, hold);
    hold->code = hold->state == HOLD_LOST ? ERROR_LOST : 0;
    hold->until = deadline;
    set_state(c, hold, HOLD_LEAVING);
    set_due(c, hold, c->now);
    return id;
}

void hold_cancel(struct client *c, uint64_t id)
{
    struct hold *hold = find(c, id);
    if (hold == NULL) {
        return;
    }
    if (is_in_queue(hold)) {
        leave_queue(c, hold, HOLD_RELEASING);
    }
    end_quietly(c, hold);
}

void holds_close(struct client *c)
{
    struct hold *hold;
    while ((hold = c->holds.list) != NULL) {
        if (hold->state != HOLD_ABANDONED) {
            forget_id(c, hold);
        }
        free_hold(c, hold);
    }
}
