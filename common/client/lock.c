/* Places in queues of sessions, and locks, which are such places and nothing more. */
#include "common/client/ask.h"
#include "common/client/recipe.h"

#include "common/base/memory.h"

#include <stdlib.h>

/* ---- getting a place */

/* What became of the hold. The functions of the application may free the holding. */
static void on_told(struct synod *s, struct awaited *self, const struct completion *completion)
{
    struct holding *holding = (struct holding *)self;
    int code = completion_code(s, completion);
    if (completion->kind == COMPLETION_HOLD_LOST) {
        synod_lost_fn fn = holding->lost_fn;
        holding->lost_fn = NULL;
        if (fn != NULL) {
            fn(holding->lost_arg, holding->token);
        }
    } else if (code == SYNOD_OK) {
        holding->token = completion->value;
        holding->awaited.is_owned = 1;
        holding->kind->tell(holding, SYNOD_OK);
    } else {
        holding->kind->tell(holding, code);
        free(holding);
    }
}

static void drop(struct synod *s, struct awaited *self)
{
    struct holding *holding = (struct holding *)self;
    if (s->is_closing && holding->token == 0) {
        holding->kind->tell(holding, SYNOD_E_INTERRUPTED);
    }
    free(holding);
}

static struct holding *new_holding(struct synod *s, const struct holding *told, uint64_t id)
{
    struct holding *holding = memory_alloc(sizeof *holding);
    *holding = *told;
    holding->s = s;
    holding->awaited.fn = on_told;
    holding->awaited.drop = drop;
    awaited_add(s, &holding->awaited, id);
    return holding;
}

static uint64_t acquire(struct synod *s, const struct holding_wish *wish)
{
    struct buffer prefix = {0};
    recipe_put_prefix(&prefix, wish->kind->what, wish->name);
    const struct client_hold hold = {
        .what = wish->kind->what,
        .prefix = buffer_slice(&prefix),
        .value = slice_borrow(wish->value.data, wish->value.size),
        .until = recipe_until(wish->timeout_ms),
        .timeout_ms = s->timeout_ms,
    };
    uint64_t id = client_acquire(s->core, &hold);
    buffer_close(&prefix);
    return id;
}

int holding_acquire(struct synod *s, const char *call, const struct holding_wish *wish,
                    struct holding **out)
{
    int rc = recipe_check_name(s, wish->kind->what, wish->name);
    if (rc != SYNOD_OK) {
        return rc;
    }
    const struct call_argument arguments[] = {
        recipe_text_argument(wish->name),
        {wish->value.data, wish->value.size},
        {&wish->timeout_ms, sizeof wish->timeout_ms},
    };
    rc = call_begin(s, call, arguments, 3);
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct step *step = step_next(s);
    if (!step->is_begun) {
        step_await(s, step, acquire(s, wish), NULL);
    }
    rc = step_wait(s, step);
    if (rc == SYNOD_OK) {
        const struct holding told = {
            .kind = wish->kind, .token = step->value, .awaited.is_owned = 1};
        *out = new_holding(s, &told, step_hand_over(s, step));
    }
    return call_end(s, rc);
}

int holding_acquire_async(struct synod *s, const struct holding_wish *wish,
                          const struct holding *told, uint64_t *id)
{
    int rc = handle_check(s);
    if (rc == SYNOD_OK) {
        rc = recipe_check_name(s, wish->kind->what, wish->name);
    }
    if (rc == SYNOD_OK) {
        ask_give_id(s, new_holding(s, told, acquire(s, wish))->awaited.id, id);
        handle_nudge(s);
    }
    return rc;
}

/* ---- having it */

int holding_is_held(const struct holding *holding)
{
    return handle_is_ours(holding->s) &&
           client_is_held(holding->s->core, holding->awaited.id, handle_now());
}

int holding_lost(const struct holding *holding, int is_answered)
{
    return client_hold_lost(holding->s->core, holding->awaited.id, is_answered, handle_now(),
                            &holding->s->err);
}

int holding_on_lost(struct holding *holding, synod_lost_fn fn, void *arg)
{
    int rc = handle_check(holding->s);
    if (rc == SYNOD_OK && fn != NULL && !holding_is_held(holding)) {
        rc = holding_lost(holding, 0);
    }
    if (rc == SYNOD_OK) {
        holding->lost_fn = fn;
        holding->lost_arg = arg;
    }
    return rc;
}

/* ---- giving it back */

/* From now on it is told nothing. Returns the id of the release. */
static uint64_t leave(struct holding *holding)
{
    struct synod *s = holding->s;
    awaited_remove(s, &holding->awaited);
    holding->is_leaving = 1;
    uint64_t id = client_release(s->core, holding->awaited.id, handle_deadline(s, 0));
    CHECK(id != 0);
    return id;
}

int holding_release(struct holding *holding, const char *call)
{
    struct synod *s = holding->s;
    const uint64_t hold = holding->awaited.id;
    const struct call_argument argument = {&hold, sizeof hold};
    int rc = handle_check(s);
    if (rc != SYNOD_OK) {
        return rc; /* of another process: it goes with the handle */
    }
    rc = call_begin(s, call, &argument, 1);
    if (rc != SYNOD_OK && !holding->is_leaving) {
        /* Within a callback nothing can be waited for. Others must not wait for us as long as the
         * session lives, so that it is given back all the same. */
        (void)leave(holding);
        free(holding);
        handle_nudge(s);
    }
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct step *step = step_next(s);
    if (!step->is_begun) {
        step_await(s, step, leave(holding), NULL);
        step->kept = holding; /* an interrupted call has it, until it is made again or given up */
    }
    return call_end(s, step_wait(s, step));
}

struct releasing {
    struct awaited awaited;
    synod_released_fn fn; /* may be NULL */
    void *arg;
};

static void on_released(struct synod *s, struct awaited *self, const struct completion *completion)
{
    struct releasing releasing = *(struct releasing *)self;
    if (completion->kind != COMPLETION_RELEASED) {
        return; /* that it was lost, which the release will say */
    }
    free(self);
    if (releasing.fn != NULL) {
        releasing.fn(releasing.arg, completion_code(s, completion));
    }
}

static void drop_releasing(struct synod *s, struct awaited *self)
{
    struct releasing releasing = *(struct releasing *)self;
    free(self);
    if (s->is_closing && releasing.fn != NULL) {
        releasing.fn(releasing.arg, SYNOD_E_INTERRUPTED);
    }
}

int holding_release_async(struct holding *holding, synod_released_fn fn, void *arg)
{
    struct synod *s = holding->s;
    int rc = handle_check(s);
    if (rc == SYNOD_OK && holding->is_leaving) {
        rc = errmsg_set(&s->err, SYNOD_E_USAGE,
                        "the %s is being given back already (that was interrupted); try: the same "
                        "call again",
                        holding->kind->what);
    }
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct releasing *releasing = memory_calloc(1, sizeof *releasing);
    releasing->fn = fn;
    releasing->arg = arg;
    releasing->awaited.fn = on_released;
    releasing->awaited.drop = drop_releasing;
    releasing->awaited.is_owned = 1; /* it cannot be cancelled */
    awaited_add(s, &releasing->awaited, leave(holding));
    free(holding);
    handle_nudge(s);
    return SYNOD_OK;
}

/* ---- locks */

struct synod_lock {
    struct holding holding;
};

static void tell_lock(struct holding *holding, int code)
{
    holding->fn.lock(holding->arg, code, code == SYNOD_OK ? (struct synod_lock *)holding : NULL);
}

static const struct holding_kind lock_kind = {"lock", tell_lock};

int synod_lock(struct synod *s, const char *name, uint32_t timeout_ms, struct synod_lock **out)
{
    const struct holding_wish wish = {.kind = &lock_kind, .name = name, .timeout_ms = timeout_ms};
    struct holding *holding = NULL;
    int rc = holding_acquire(s, "synod_lock", &wish, &holding);
    if (rc == SYNOD_OK) {
        *out = (struct synod_lock *)holding;
    }
    return rc;
}

int synod_lock_async(struct synod *s, const char *name, uint32_t timeout_ms, synod_lock_fn fn,
                     synod_lost_fn lost_fn, void *arg, uint64_t *id)
{
    const struct holding_wish wish = {.kind = &lock_kind, .name = name, .timeout_ms = timeout_ms};
    const struct holding told = {
        .kind = &lock_kind, .fn.lock = fn, .arg = arg, .lost_fn = lost_fn, .lost_arg = arg};
    return holding_acquire_async(s, &wish, &told, id);
}

uint64_t synod_lock_token(const struct synod_lock *lock)
{
    return lock->holding.token;
}

int synod_lock_is_held(const struct synod_lock *lock)
{
    return holding_is_held(&lock->holding);
}

int synod_lock_on_lost(struct synod_lock *lock, synod_lost_fn fn, void *arg)
{
    return holding_on_lost(&lock->holding, fn, arg);
}

int synod_unlock(struct synod_lock *lock)
{
    return holding_release(&lock->holding, "synod_unlock");
}

int synod_unlock_async(struct synod_lock *lock, synod_released_fn fn, void *arg)
{
    return holding_release_async(&lock->holding, fn, arg);
}
