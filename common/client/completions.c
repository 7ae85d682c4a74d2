#include "common/client/handle.h"

#include "common/base/check.h"
#include "common/base/memory.h"

#include <stdlib.h>
#include <utlist.h>

/* ---- things in the core that are waited for */

void awaited_add(struct synod *s, struct awaited *awaited, uint64_t id)
{
    CHECK(!awaited->is_listed);
    awaited->id = id;
    awaited->is_listed = 1;
    HASH_ADD(hh, s->awaited, id, sizeof awaited->id, awaited);
}

void awaited_remove(struct synod *s, struct awaited *awaited)
{
    if (awaited->is_listed) {
        HASH_DEL(s->awaited, awaited);
        awaited->is_listed = 0;
    }
}

static struct awaited *find_awaited(const struct synod *s, uint64_t id)
{
    struct awaited *awaited;
    HASH_FIND(hh, s->awaited, &id, sizeof id, awaited);
    return awaited;
}

static void drop(struct synod *s, struct awaited *awaited)
{
    awaited_remove(s, awaited);
    if (awaited->drop != NULL) {
        awaited->drop(s, awaited);
    }
}

/* One that is dropped may call the application, which may cancel others, and give back what it has
 * a pointer to: that goes last. */
void awaited_drop_all(struct synod *s)
{
    for (unsigned left = HASH_COUNT(s->awaited); left > 0 && s->awaited != NULL; left--) {
        struct awaited *awaited = s->awaited;
        if (awaited->is_owned) {
            HASH_DEL(s->awaited, awaited);
            HASH_ADD(hh, s->awaited, id, sizeof awaited->id, awaited); /* behind the others */
            continue;
        }
        if (s->is_closing) {
            errmsg_set(&s->err, SYNOD_E_INTERRUPTED, "the handle was closed");
        }
        drop(s, awaited);
    }
    while (s->awaited != NULL) {
        drop(s, s->awaited);
    }
}

/* ---- commands with more to tell than a number */

static void on_commanded(void *arg, int code, uint64_t value)
{
    struct commanded *commanded = arg;
    struct synod *s = commanded->s;
    DL_DELETE(s->commanded, commanded);
    commanded->fn(commanded, code, value, s->told->body);
}

int commanded_submit(struct synod *s, enum command_op op, struct slice payload, time_ms_t deadline,
                     struct commanded *commanded)
{
    int rc = client_submit(s->core, op, payload, deadline, on_commanded, commanded,
                           &commanded->number, &s->err);
    if (rc != 0) {
        return rc;
    }
    commanded->s = s;
    DL_APPEND(s->commanded, commanded);
    s->last_id = commanded->number | OPERATION_ID;
    handle_nudge(s);
    return SYNOD_OK;
}

void commanded_free_all(struct synod *s)
{
    while (s->commanded != NULL) {
        struct commanded *commanded = s->commanded;
        DL_DELETE(s->commanded, commanded);
        free(commanded);
    }
}

/* ---- handing out */

int completion_code(struct synod *s, const struct completion *completion)
{
    return completion->code == 0
               ? SYNOD_OK
               : errmsg_set(&s->err, completion->code, "%s", completion->sentence);
}

/* 1 if nothing follows under the same id. */
static int is_last(const struct completion *completion)
{
    switch (completion->kind) {
    case COMPLETION_RANGE:
    case COMPLETION_RECORDS:
    case COMPLETION_EVENTS:
    case COMPLETION_LEADERSHIP:
    case COMPLETION_HOLD_LOST:
        return 0;
    case COMPLETION_HELD:
        return completion->code != 0;
    default:
        return 1;
    }
}

static void tell_awaited(struct synod *s, const struct completion *completion)
{
    struct awaited *awaited = find_awaited(s, completion->id);
    if (awaited == NULL) {
        return; /* cancelled after it had completed */
    }
    (void)completion_code(s, completion);
    if (is_last(completion)) {
        awaited_remove(s, awaited);
    }
    awaited->fn(s, awaited, completion);
}

/* Functions of the application for what is lost have another type than those for operations. The
 * core carries both as the latter, and they are called as what they are. */
static void tell_lost(completion_fn fn, void *arg, uint64_t id)
{
    synod_lost_fn lost_fn = (synod_lost_fn)(void (*)(void))fn;
    if (lost_fn != NULL) {
        lost_fn(arg, id);
    }
}

static void tell(struct synod *s, const struct completion *completion)
{
    s->told = completion;
    switch (completion->kind) {
    case COMPLETION_OPERATION:
        if (completion->fn != NULL) {
            completion->fn(completion->arg, completion_code(s, completion), completion->value);
        }
        break;
    case COMPLETION_LEASE_LOST:
        tell_lost(completion->fn, completion->arg, completion->value);
        break;
    case COMPLETION_SESSION_LOST:
        if (s->session_fn != NULL) {
            s->session_fn(s->session_arg, completion->value);
        }
        break;
    default:
        tell_awaited(s, completion);
        break;
    }
    s->told = NULL;
}

/* No step can follow before the end, so that nothing of what is being told goes away meanwhile. */
void completions_tell(struct synod *s)
{
    CHECK(s->is_in_turn || s->fx.completion_count == 0);
    for (size_t i = 0; i < s->fx.completion_count; i++) {
        s->told_count++;
        tell(s, &s->fx.completions[i]);
    }
    effects_clear(&s->fx);
}

/* ---- giving up */

void completions_drop_operation(struct synod *s, completion_fn fn, const void *arg)
{
    for (size_t i = 0; i < s->fx.completion_count; i++) {
        struct completion *completion = &s->fx.completions[i];
        if (completion->kind == COMPLETION_OPERATION && completion->fn == fn &&
            completion->arg == arg) {
            completion->fn = NULL;
        }
    }
}

void completions_drop_lease(struct synod *s, uint64_t id)
{
    for (size_t i = 0; i < s->fx.completion_count; i++) {
        struct completion *completion = &s->fx.completions[i];
        if (completion->kind == COMPLETION_LEASE_LOST && completion->value == id) {
            completion->fn = NULL;
        }
    }
}

/* What it is about may still happen. */
static void cancel_operation(struct synod *s, uint64_t number)
{
    struct commanded *commanded;
    client_abandon(s->core, number);
    for (size_t i = 0; i < s->fx.completion_count; i++) {
        struct completion *completion = &s->fx.completions[i];
        if (completion->kind == COMPLETION_OPERATION && completion->id == number) {
            completion->fn = NULL;
        }
    }
    DL_SEARCH_SCALAR(s->commanded, commanded, number, number);
    if (commanded != NULL) {
        completions_drop_operation(s, on_commanded, commanded);
        DL_DELETE(s->commanded, commanded);
        free(commanded);
    }
}

int synod_cancel(struct synod *s, uint64_t id)
{
    if (!handle_is_ours(s)) {
        return handle_check(s);
    }
    if (id == 0) {
        calls_give_up(s);
        return SYNOD_OK;
    }
    if ((id & OPERATION_ID) != 0) {
        cancel_operation(s, id & ~OPERATION_ID);
        return SYNOD_OK;
    }
    struct awaited *awaited = find_awaited(s, id);
    if (awaited != NULL && !awaited->is_owned && awaited->drop != NULL) {
        client_cancel(s->core, id);
        drop(s, awaited);
    }
    return SYNOD_OK;
}
