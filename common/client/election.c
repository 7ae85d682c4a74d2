#include "common/client/ask.h"
#include "common/client/keys.h"
#include "common/client/recipe.h"

#include "common/base/memory.h"

#include <stdlib.h>

#define ELECTION "election"

/* A leadership is a place in the queue "election" whose value others can see. */
struct synod_election {
    struct holding holding;
};

static void tell_election(struct holding *holding, int code)
{
    holding->fn.campaign(holding->arg, code,
                         code == SYNOD_OK ? (struct synod_election *)holding : NULL);
}

static const struct holding_kind election_kind = {ELECTION, tell_election};

int synod_campaign(struct synod *s, const char *name, struct synod_bytes value, uint32_t timeout_ms,
                   struct synod_election **out)
{
    const struct holding_wish wish = {&election_kind, name, value, timeout_ms};
    struct holding *holding = NULL;
    int rc = holding_acquire(s, "synod_campaign", &wish, &holding);
    if (rc == SYNOD_OK) {
        *out = (struct synod_election *)holding;
    }
    return rc;
}

int synod_campaign_async(struct synod *s, const char *name, struct synod_bytes value,
                         uint32_t timeout_ms, synod_campaign_fn fn, synod_lost_fn lost_fn,
                         void *arg, uint64_t *id)
{
    const struct holding_wish wish = {&election_kind, name, value, timeout_ms};
    const struct holding told = {
        .kind = &election_kind, .fn.campaign = fn, .arg = arg, .lost_fn = lost_fn, .lost_arg = arg};
    return holding_acquire_async(s, &wish, &told, id);
}

uint64_t synod_election_token(const struct synod_election *election)
{
    return election->holding.token;
}

int synod_election_is_held(const struct synod_election *election)
{
    return holding_is_held(&election->holding);
}

int synod_election_on_lost(struct synod_election *election, synod_lost_fn fn, void *arg)
{
    return holding_on_lost(&election->holding, fn, arg);
}

/* Only if our key is still the one that won. */
static int proclaim(struct holding *holding, struct synod_bytes value)
{
    struct synod *s = holding->s;
    const struct slice own = client_hold_key(s->core, holding->awaited.id);
    const struct synod_bytes key = {own.data, own.size};
    const struct synod_request put = {.op = SYNOD_PUT,
                                      .as.put = {.key = key, .value = value, .ignore_lease = 1}};
    const struct synod_compare compare = claim_is(key, holding->token);
    const struct synod_request request = {
        .op = SYNOD_TXN,
        .as.txn = {.compares = &compare, .compare_count = 1, .then = &put, .then_count = 1}};
    struct synod_result *result = NULL;
    int rc = keys_run(s, &request, SYNOD_LINEARIZABLE, handle_deadline(s, 0), &result);
    if (rc == SYNOD_OK && !result->response.succeeded) {
        rc = holding_lost(holding, 1);
    }
    synod_result_free(result);
    return rc;
}

int synod_proclaim(struct synod_election *election, struct synod_bytes value)
{
    struct holding *holding = &election->holding;
    const struct call_argument arguments[] = {
        {&holding->awaited.id, sizeof holding->awaited.id},
        {value.data, value.size},
    };
    int rc = call_begin(holding->s, "synod_proclaim", arguments, 2);
    return rc == SYNOD_OK ? call_end(holding->s, proclaim(holding, value)) : rc;
}

int synod_resign(struct synod_election *election)
{
    return holding_release(&election->holding, "synod_resign");
}

int synod_resign_async(struct synod_election *election, synod_released_fn fn, void *arg)
{
    return holding_release_async(&election->holding, fn, arg);
}

/* ---- observing */

struct observing {
    struct awaited awaited;
    synod_observing_fn fn;
    void *arg;
};

static void on_observed(struct synod *s, struct awaited *self, const struct completion *completion)
{
    struct observing *observing = (struct observing *)self;
    if (completion->kind != COMPLETION_LEADERSHIP) {
        struct observing last = *observing;
        free(observing);
        (void)last.fn(last.arg, completion_code(s, completion), NULL);
        return;
    }
    const struct slice value = completion->body;
    const struct synod_leadership leadership = {
        completion->value, {value.size > 0 ? (const void *)value.data : "", value.size}};
    const uint64_t id = observing->awaited.id; /* it may be cancelled, and freed, within fn */
    if (observing->fn(observing->arg, SYNOD_OK, &leadership) != 0) {
        (void)synod_cancel(s, id);
    }
}

static void drop(struct synod *s, struct awaited *self)
{
    (void)s;
    free(self);
}

int synod_observe_start(struct synod *s, const char *name, synod_observing_fn fn, void *arg,
                        uint64_t *id)
{
    int rc = handle_check(s);
    if (rc == SYNOD_OK) {
        rc = recipe_check_name(s, ELECTION, name);
    }
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct buffer prefix = {0};
    recipe_put_prefix(&prefix, ELECTION, name);
    struct observing *observing = memory_calloc(1, sizeof *observing);
    observing->fn = fn;
    observing->arg = arg;
    observing->awaited.fn = on_observed;
    observing->awaited.drop = drop;
    awaited_add(s, &observing->awaited, client_observe(s->core, buffer_slice(&prefix)));
    buffer_close(&prefix);
    ask_give_id(s, observing->awaited.id, id);
    handle_nudge(s);
    return SYNOD_OK;
}

/* One that is waited for. */
struct watching {
    struct synod *s;
    synod_observe_fn fn;
    void *arg;
    int is_done;
    int code;
    struct errmsg why;
};

static int on_leadership(void *arg, int code, const struct synod_leadership *leadership)
{
    struct watching *w = arg;
    if (code != SYNOD_OK) {
        w->code = code;
        w->why = w->s->err;
        w->is_done = 1;
    } else {
        w->is_done = w->fn(w->arg, leadership) != 0;
    }
    return w->is_done;
}

int synod_observe(struct synod *s, const char *name, synod_observe_fn fn, void *arg)
{
    struct watching watching = {.s = s, .fn = fn, .arg = arg};
    uint64_t id = 0;
    int rc = handle_may_block(s);
    if (rc == SYNOD_OK) {
        rc = synod_observe_start(s, name, on_leadership, &watching, &id);
    }
    if (rc == SYNOD_OK) {
        rc = ask_wait(s, &watching.is_done, id);
    }
    if (rc == SYNOD_OK && watching.code != SYNOD_OK) {
        s->err = watching.why;
        rc = watching.code;
    }
    return rc;
}
