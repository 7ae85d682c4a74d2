#include "common/client/recipe.h"

#include "common/base/memory.h"
#include "common/client/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* Who waits looks by itself after this, for the case that the learner it watches is cut off from
 * the others. */
#define HOLD_LOOK_MS 5000

/* How long a place in the queue may take to be given up that we do not want any more. */
#define HOLD_WITHDRAW_MS 500

static void free_hold(struct hold *hold)
{
    synod_watch_stop(hold->watch);
    DL_DELETE(hold->s->holds, hold);
    buffer_close(&hold->prefix);
    buffer_close(&hold->key);
    free(hold);
}

static struct hold *new_hold(struct synod *s, const char *what, const char *name)
{
    struct hold *hold = memory_calloc(1, sizeof *hold);
    hold->s = s;
    hold->what = what;
    recipe_put_text(&hold->prefix, "synod/");
    recipe_put_text(&hold->prefix, what);
    recipe_put_text(&hold->prefix, "/");
    recipe_put_name(&hold->prefix, name);
    recipe_put_text(&hold->prefix, "/");
    DL_APPEND(s->holds, hold);
    return hold;
}

/* A second place under the same session would be the same key. */
static int check_single(struct synod *s, const struct hold *hold)
{
    for (const struct hold *other = s->holds; other != NULL; other = other->next) {
        if (other != hold &&
            slice_equal(buffer_slice(&other->prefix), buffer_slice(&hold->prefix))) {
            return errmsg_set(&s->err, SYNOD_E_EXISTS,
                              "this handle has that %s already, or had it and did not give it "
                              "back; try: to give it back first, or another handle",
                              hold->what);
        }
    }
    return SYNOD_OK;
}

static int session_lost(struct hold *hold)
{
    return errmsg_set(&hold->s->err, SYNOD_E_SESSION,
                      "our place in the queue for the %s is gone (the session ended, or may have "
                      "ended, or somebody deleted its key); try: again",
                      hold->what);
}

/* ---- queueing up */

/* Puts our key, unless it is there: an attempt that was given up may have left it. Its create
 * revision is our place in the queue. */
static int enter(struct hold *hold, uint64_t session, struct synod_bytes value, time_ms_t deadline)
{
    struct synod_bytes key = recipe_bytes(&hold->key);
    const struct synod_compare compare = claim_is(key, 0);
    const struct synod_request then[] = {
        {.op = SYNOD_PUT, .as.put = {.key = key, .value = value, .lease = session}},
        {.op = SYNOD_RANGE, .as.range = {.key = key, .keys_only = 1}},
    };
    const struct synod_request otherwise[] = {
        {.op = SYNOD_PUT, .as.put = {.key = key, .value = value, .ignore_lease = 1}},
        {.op = SYNOD_RANGE, .as.range = {.key = key, .keys_only = 1}},
    };
    const struct synod_request request = {
        .op = SYNOD_TXN,
        .as.txn = {&compare, 1, then, 2, otherwise, 2},
    };
    struct synod_result *result = NULL;
    int rc = keys_run(hold->s, &request, SYNOD_LINEARIZABLE, deadline, &result);
    if (rc == SYNOD_E_LEASE) {
        return session_lost(hold);
    }
    if (rc != SYNOD_OK) {
        return rc;
    }
    const struct synod_response *own = &result->response.responses[1];
    if (result->response.response_count == 2 && own->kv_count == 1) {
        hold->token = own->kvs[0].create_revision;
    } else {
        rc = errmsg_set(&hold->s->err, SYNOD_E_CORRUPT, "a key that was put is not there (a bug)");
    }
    synod_result_free(result);
    return rc;
}

/* ---- waiting */

/* Who stands directly before us. */
struct predecessor {
    struct buffer key; /* empty: nobody */
    uint64_t revision; /* as of then */
};

static int look(struct hold *hold, struct predecessor *out, time_ms_t deadline)
{
    uint8_t end[SYNOD_KEY_BYTES_MAX];
    struct synod_bytes prefix = recipe_bytes(&hold->prefix);
    const struct synod_request parts[] = {
        {.op = SYNOD_RANGE,
         .as.range = {.key = prefix,
                      .end = synod_prefix_end(prefix, end),
                      .limit = 1,
                      .order = SYNOD_ORDER_DESCEND,
                      .target = SYNOD_BY_CREATE,
                      .keys_only = 1,
                      .no_count = 1,
                      .max_create = hold->token - 1}},
        {.op = SYNOD_RANGE, .as.range = {.key = recipe_bytes(&hold->key), .keys_only = 1}},
    };
    const struct synod_request request = {.op = SYNOD_TXN,
                                          .as.txn = {.then = parts, .then_count = 2}};
    struct synod_result *result = NULL;
    int rc = keys_run(hold->s, &request, SYNOD_LINEARIZABLE, deadline, &result);
    if (rc != SYNOD_OK) {
        return rc;
    }
    const struct synod_response *before = &result->response.responses[0];
    const struct synod_response *own = &result->response.responses[1];
    if (result->response.response_count != 2) {
        rc = errmsg_set(&hold->s->err, SYNOD_E_CORRUPT, "a response is cut off (a bug)");
    } else if (own->kv_count != 1 || own->kvs[0].create_revision != hold->token) {
        rc = session_lost(hold);
    } else {
        out->revision = result->revision;
        out->key.size = 0;
        if (before->kv_count > 0) {
            buffer_put(&out->key, slice_borrow(before->kvs[0].key.data, before->kvs[0].key.size));
        }
    }
    synod_result_free(result);
    return rc;
}

/* Whatever the watch says, it is time to look again. */
static void wake(void *arg, int code, const struct synod_events *events)
{
    (void)code;
    (void)events;
    *(int *)arg = 1;
}

/* Waits until the predecessor is gone, perhaps. */
static int wait_for(struct hold *hold, const struct predecessor *before, time_ms_t deadline)
{
    struct synod *s = hold->s;
    int is_awake = 0;
    const struct synod_watch_options options = {
        .key = recipe_bytes(&before->key), .revision = before->revision + 1, .no_put = 1};
    struct synod_watch *watch = NULL;
    int rc = watch_continue(s, &options, wake, &is_awake, &watch);
    time_ms_t until = client_now() + HOLD_LOOK_MS;
    until = deadline < until ? deadline : until;
    while (rc == SYNOD_OK && !is_awake && client_now() < until &&
           s->leases.session_epoch == hold->epoch) {
        rc = client_turn(s, until);
    }
    synod_watch_stop(watch);
    return rc;
}

static void note_gone(void *arg, int code, const struct synod_events *events);

/* While we hold we watch our own key: that the session was revoked would else be heard with the
 * next keepalive, and that only the key was deleted not at all. */
static int watch_own(struct hold *hold, uint64_t since)
{
    const struct synod_watch_options options = {
        .key = recipe_bytes(&hold->key), .revision = since + 1, .no_put = 1};
    synod_watch_stop(hold->watch);
    hold->watch = NULL;
    return watch_continue(hold->s, &options, note_gone, hold, &hold->watch);
}

static void note_gone(void *arg, int code, const struct synod_events *events)
{
    struct hold *hold = arg;
    if (code == SYNOD_OK) {
        hold->is_gone = 1;
        return;
    }
    /* Otherwise what was compacted away is not heard of; what ends the session is, all the same. */
    if (code == SYNOD_E_COMPACTED && watch_own(hold, events->revision) != SYNOD_OK) {
        hold->watch = NULL;
    }
}

static int wait_in_queue(struct hold *hold, time_ms_t deadline)
{
    struct synod *s = hold->s;
    struct predecessor before = {{0}, 0};
    int rc;
    for (;;) {
        rc = look(hold, &before, recipe_call_deadline(s, deadline));
        if (rc == SYNOD_OK && s->leases.session_epoch != hold->epoch) {
            rc = session_lost(hold);
        }
        if (rc == SYNOD_OK && before.key.size == 0) {
            rc = watch_own(hold, before.revision);
            break;
        }
        if (rc != SYNOD_OK) {
            break;
        }
        if (client_now() >= deadline) {
            rc = errmsg_set(&s->err, SYNOD_E_UNAVAILABLE,
                            "the %s was not free in time (%.*s is before us); try: to wait longer",
                            hold->what, (int)(before.key.size < 200 ? before.key.size : 200),
                            (const char *)before.key.data);
            break;
        }
        rc = wait_for(hold, &before, deadline);
        if (rc != SYNOD_OK) {
            break;
        }
    }
    buffer_close(&before.key);
    return rc;
}

/* We do not wait any more: nobody must wait for us. The deletion follows the put, whatever became
 * of that. */
static void withdraw(struct hold *hold, int code)
{
    struct synod *s = hold->s;
    const struct errmsg err = s->err;
    const struct synod_request request = {.op = SYNOD_DELETE,
                                          .as.del = {.key = recipe_bytes(&hold->key)}};
    uint64_t number = s->next;
    keys_post(s, &request);
    time_ms_t until = client_now() + HOLD_WITHDRAW_MS;
    while (code != SYNOD_E_INTERRUPTED && s->oldest <= number && number < s->next &&
           client_now() < until && client_turn(s, until) == SYNOD_OK) {
    }
    s->err = err;
}

int hold_acquire(struct synod *s, const char *what, const char *name, struct synod_bytes value,
                 uint32_t timeout_ms, struct hold **out)
{
    time_ms_t deadline = client_deadline(client_now(), timeout_ms);
    uint64_t session = 0;
    int rc = recipe_check_name(s, what, name);
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct hold *hold = new_hold(s, what, name);
    rc = check_single(s, hold);
    if (rc == SYNOD_OK) {
        rc = lease_session(s, recipe_call_deadline(s, deadline), &session);
    }
    if (rc != SYNOD_OK) {
        free_hold(hold);
        return rc;
    }
    char suffix[17];
    snprintf(suffix, sizeof suffix, "%016llx", (unsigned long long)session);
    buffer_put(&hold->key, buffer_slice(&hold->prefix));
    recipe_put_text(&hold->key, suffix);
    hold->epoch = s->leases.session_epoch;
    rc = enter(hold, session, value, recipe_call_deadline(s, deadline));
    if (rc == SYNOD_OK) {
        rc = wait_in_queue(hold, deadline);
    }
    if (rc != SYNOD_OK) {
        if (rc != SYNOD_E_USAGE) { /* such a request was never sent */
            withdraw(hold, rc);
        }
        free_hold(hold);
        return rc;
    }
    *out = hold;
    return SYNOD_OK;
}

/* ---- holding */

int hold_is_held(const struct hold *hold)
{
    return !hold->is_gone && hold->s->leases.session_epoch == hold->epoch &&
           synod_session_left_ms(hold->s) > 0;
}

/* is_answered: the cluster executed a command of ours just now and did not find our key, so that
 * the session lives, unless we have lost it in between. */
static int hold_lost(const struct hold *hold, int is_answered)
{
    const char *why = "its session ended, or may have ended";
    if (hold->s->leases.session_epoch == hold->epoch && synod_session_left_ms(hold->s) > 0) {
        why = is_answered ? "somebody deleted its key"
                          : "somebody deleted its key, or ended its session";
    }
    return errmsg_set(&hold->s->err, SYNOD_E_LOST,
                      "the %s is not ours any more (%s), nothing was changed; try: to get it again",
                      hold->what, why);
}

static struct synod_request if_ours(const struct hold *hold, struct synod_compare *compare,
                                    const struct synod_request *request)
{
    *compare = claim_is(recipe_bytes(&hold->key), hold->token);
    return (struct synod_request){
        .op = SYNOD_TXN,
        .as.txn = {.compares = compare, .compare_count = 1, .then = request, .then_count = 1},
    };
}

int hold_do(struct hold *hold, const struct synod_request *request)
{
    struct synod_compare compare;
    const struct synod_request txn = if_ours(hold, &compare, request);
    struct synod_result *result = NULL;
    int rc = synod_request(hold->s, &txn, SYNOD_LINEARIZABLE, &result);
    if (rc == SYNOD_OK && !result->response.succeeded) {
        rc = hold_lost(hold, 1);
    }
    synod_result_free(result);
    return rc;
}

int hold_release(struct hold *hold)
{
    struct synod *s = hold->s;
    const struct synod_request request = {.op = SYNOD_DELETE,
                                          .as.del = {.key = recipe_bytes(&hold->key)}};
    int is_held = hold_is_held(hold);
    int rc = is_held ? hold_do(hold, &request) : hold_lost(hold, 0);
    if (rc != SYNOD_OK && !(is_held && rc == SYNOD_E_LOST)) {
        /* It is lost as far as we know, and the session may live all the same; or we are in a
         * callback, where nobody can wait; or the handle had no room. Others must not wait for us
         * as long as the session lives. To ask twice does no harm. */
        const struct errmsg err = s->err;
        struct synod_compare compare;
        const struct synod_request txn = if_ours(hold, &compare, &request);
        keys_post(s, &txn);
        s->err = err;
    }
    free_hold(hold);
    return rc;
}
