#include "common/client/handle.h"

#include "common/base/check.h"
#include "common/base/memory.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* A blocking call: what identifies it, and its journal. */
struct call {
    struct call *next;
    const char *name;
    struct call_argument arguments[CALL_ARGUMENTS_MAX];
    size_t argument_count;
    struct buffer kept; /* the bytes of the arguments, once it was interrupted */
    size_t depth;       /* calls within it that are under way, and itself */
    struct step *steps; /* in the order in which they are asked for */
    struct step *at;    /* the next to be asked for; NULL: one that was not begun yet */
};

/* ---- begin and end */

static int is_same(const struct call *call, const char *name, const struct call_argument *arguments,
                   size_t count)
{
    if (strcmp(call->name, name) != 0 || call->argument_count != count) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        const struct call_argument *argument = &call->arguments[i];
        if (argument->size != arguments[i].size ||
            (argument->size > 0 &&
             memcmp(argument->data, arguments[i].data, argument->size) != 0)) {
            return 0;
        }
    }
    return 1;
}

static struct call *take_interrupted(struct synod *s, const char *name,
                                     const struct call_argument *arguments, size_t count)
{
    for (struct call *call = s->interrupted; call != NULL; call = call->next) {
        if (is_same(call, name, arguments, count)) {
            LL_DELETE(s->interrupted, call);
            buffer_close(&call->kept);
            return call;
        }
    }
    struct call *call = memory_calloc(1, sizeof *call);
    call->name = name;
    call->argument_count = count;
    return call;
}

int call_begin(struct synod *s, const char *name, const struct call_argument *arguments,
               size_t count)
{
    int rc = handle_may_block(s);
    if (rc != SYNOD_OK) {
        return rc;
    }
    if (s->call == NULL) {
        CHECK(count <= CALL_ARGUMENTS_MAX);
        struct call *call = take_interrupted(s, name, arguments, count);
        for (size_t i = 0; i < count; i++) {
            call->arguments[i] = arguments[i];
        }
        call->at = call->steps;
        s->call = call;
    }
    s->call->depth++;
    return SYNOD_OK;
}

static void on_result(void *arg, int code, uint64_t value);

/* What the step waits for ends with it. */
static void free_step(struct synod *s, struct step *step)
{
    if (step->number != 0 && !step->is_done) {
        client_abandon(s->core, step->number);
        completions_drop_operation(s, on_result, step);
    }
    if (step->awaited.is_listed) {
        awaited_remove(s, &step->awaited);
        client_cancel(s->core, step->awaited.id);
    }
    buffer_close(&step->body);
    free(step->kept);
    free(step);
}

/* Frees the steps behind that one; NULL: all. */
static void forget_steps(struct synod *s, struct call *call, struct step *last)
{
    struct step *step = last != NULL ? last->next : call->steps;
    while (step != NULL) {
        struct step *next = step->next;
        free_step(s, step);
        step = next;
    }
    if (last != NULL) {
        last->next = NULL;
    } else {
        call->steps = NULL;
    }
    call->at = NULL;
}

static void free_call(struct synod *s, struct call *call)
{
    forget_steps(s, call, NULL);
    buffer_close(&call->kept);
    free(call);
}

/* An answer that the application did not get is not the answer to the same question later. */
static void forget_last_reads(struct synod *s, struct call *call)
{
    struct step *last = NULL;
    for (struct step *step = call->steps; step != NULL; step = step->next) {
        last = step->is_read ? last : step;
    }
    forget_steps(s, call, last);
}

/* From now on its arguments are its own. */
static void keep_arguments(struct call *call)
{
    for (size_t i = 0; i < call->argument_count; i++) {
        const struct call_argument *argument = &call->arguments[i];
        buffer_put(&call->kept, slice_borrow(argument->data, argument->size));
    }
    const uint8_t *data = call->kept.data;
    for (size_t i = 0; i < call->argument_count; i++) {
        call->arguments[i].data = data;
        data += call->arguments[i].size;
    }
}

int call_end(struct synod *s, int rc)
{
    struct call *call = s->call;
    CHECK(call != NULL && !s->is_in_turn);
    if (--call->depth > 0) {
        return rc;
    }
    s->call = NULL;
    if (rc == SYNOD_E_INTERRUPTED) {
        forget_last_reads(s, call);
    }
    if (rc == SYNOD_E_INTERRUPTED && call->steps != NULL) {
        keep_arguments(call);
        LL_PREPEND(s->interrupted, call);
    } else {
        free_call(s, call);
    }
    return rc;
}

void calls_give_up(struct synod *s)
{
    while (s->interrupted != NULL) {
        struct call *call = s->interrupted;
        LL_DELETE(s->interrupted, call);
        free_call(s, call);
    }
}

int call_wait(struct synod *s, const int *is_done)
{
    while (!*is_done) {
        int rc = handle_turn(s, TIME_NEVER);
        if (rc != SYNOD_OK && (!*is_done || !handle_is_ours(s))) {
            return rc;
        }
    }
    return SYNOD_OK;
}

/* ---- steps */

struct step *step_next(struct synod *s)
{
    struct call *call = s->call;
    struct step *step = call->at;
    if (step == NULL) {
        step = memory_calloc(1, sizeof *step);
        step->s = s;
        LL_APPEND(call->steps, step);
    }
    call->at = step->next;
    return step;
}

void step_rewind(struct synod *s, struct step *step)
{
    CHECK(s->call->at == NULL);
    forget_steps(s, s->call, step);
}

uint64_t step_hand_over(struct synod *s, struct step *step)
{
    awaited_remove(s, &step->awaited);
    return step->awaited.id;
}

static void finish(struct step *step, int code, uint64_t value, struct slice body)
{
    step->is_done = 1;
    step->code = code;
    step->value = value;
    buffer_put(&step->body, body);
    if (code != SYNOD_OK) {
        step->why = step->s->err;
    }
}

static void on_result(void *arg, int code, uint64_t value)
{
    struct step *step = arg;
    finish(step, code, value, step->s->told->body);
}

static int is_page(const struct completion *completion)
{
    return completion->kind == COMPLETION_RANGE || completion->kind == COMPLETION_RECORDS ||
           completion->kind == COMPLETION_EVENTS || completion->kind == COMPLETION_LEADERSHIP;
}

static void on_completion(struct synod *s, struct awaited *self,
                          const struct completion *completion)
{
    struct step *step = (struct step *)(void *)((char *)self - offsetof(struct step, awaited));
    (void)s;
    if (step->is_done) {
        return;
    }
    if (step->keep != NULL) {
        step->keep(step, completion);
    }
    if (!step->is_done && !is_page(completion)) {
        finish(step, completion->code, completion->value, completion->body);
    }
}

void step_await(struct synod *s, struct step *step, uint64_t id,
                void (*keep)(struct step *step, const struct completion *completion))
{
    step->is_begun = 1;
    step->keep = keep;
    step->awaited.fn = on_completion;
    awaited_add(s, &step->awaited, id);
}

int step_wait(struct synod *s, struct step *step)
{
    int rc = call_wait(s, &step->is_done);
    if (rc == SYNOD_OK && step->code != SYNOD_OK) {
        s->err = step->why;
    }
    return rc == SYNOD_OK ? step->code : rc;
}

/* Submits the command of the step as soon as there is room. What refuses it is its result. */
static int begin_command(struct synod *s, struct step *step, enum command_op op,
                         struct slice payload, time_ms_t deadline)
{
    if (step->deadline == 0) {
        step->deadline = deadline;
    }
    for (;;) {
        int rc = client_submit(s->core, op, payload, step->deadline, on_result, step, &step->number,
                               &s->err);
        if (rc == 0) {
            step->is_begun = 1;
            return SYNOD_OK;
        }
        if (rc != ERROR_BUSY || handle_now() >= step->deadline) {
            step->is_begun = 1;
            finish(step, rc, 0, SLICE_EMPTY);
            return SYNOD_OK;
        }
        rc = handle_turn(s, step->deadline);
        if (rc != SYNOD_OK) {
            return rc;
        }
    }
}

int step_command(struct synod *s, enum command_op op, struct slice payload, time_ms_t deadline,
                 uint64_t *value, struct buffer *body)
{
    struct step *step = step_next(s);
    int rc = SYNOD_OK;
    if (!step->is_begun) {
        rc = begin_command(s, step, op, payload, deadline);
    }
    if (rc == SYNOD_OK) {
        rc = step_wait(s, step);
    }
    if (rc == SYNOD_OK && value != NULL) {
        *value = step->value;
    }
    if (rc == SYNOD_OK && body != NULL) {
        buffer_put(body, buffer_slice(&step->body));
    }
    return rc;
}

int step_query(struct synod *s, const struct client_query *query, uint64_t *revision,
               struct buffer *body)
{
    struct step *step = step_next(s);
    step->is_read = 1;
    if (!step->is_begun) {
        step_await(s, step, client_query(s->core, query), NULL);
    }
    int rc = step_wait(s, step);
    if (step->is_done && revision != NULL) {
        *revision = step->value; /* of a refusal, too */
    }
    if (rc == SYNOD_OK && body != NULL) {
        buffer_put(body, buffer_slice(&step->body));
    }
    return rc;
}
