#include "common/client/keys.h"
#include "common/client/lease_calls.h"
#include "common/client/recipe.h"

#include <stdio.h>
#include <string.h>

/* A message is the key "synod/queue/NAME/item/ID"; the store chooses ids that rise (a sequential
 * put), so that the order of keys is the order of arrival. "synod/queue/NAME/claim/ID" exists while
 * somebody has the message, under the claim's lease; its create revision is the token. When the
 * lease ends the message is where it was: at the front. */
#define ITEM "item/"
#define CLAIM "claim/"

#define WHAT "message"

/* Messages looked at in one go, and the claims among them: there cannot be more of those before the
 * last one. */
#define PAGE_MESSAGES 64

/* Walks even without time to wait, as long as others are faster at each message. */
#define TRIES_MIN 8

/* Who waits looks by itself after this, for the case that the learner it watches is cut off from
 * the others. */
#define QUEUE_LOOK_MS 5000

/* ---- keys */

struct queue {
    struct buffer items, claims; /* prefixes */
};

/* Every call on a queue is a call of its own, between these two. */

static int begin(struct synod *s, struct queue *q, const char *name, const char *call,
                 const struct call_argument *arguments, size_t count)
{
    int rc = recipe_check_name(s, "queue", name);
    if (rc == SYNOD_OK) {
        rc = call_begin(s, call, arguments, count);
    }
    if (rc != SYNOD_OK) {
        return rc;
    }
    *q = (struct queue){0};
    recipe_put_prefix(&q->items, "queue", name);
    buffer_put(&q->claims, buffer_slice(&q->items));
    recipe_put_text(&q->items, ITEM);
    recipe_put_text(&q->claims, CLAIM);
    return SYNOD_OK;
}

static int end(struct synod *s, struct queue *q, int rc)
{
    buffer_close(&q->items);
    buffer_close(&q->claims);
    return call_end(s, rc);
}

/* Item and claim of one message. */
struct keys {
    struct buffer item, claim;
};

static struct keys keys_of(const struct queue *q, const char *id)
{
    struct keys keys = {{0}, {0}};
    buffer_put(&keys.item, buffer_slice(&q->items));
    recipe_put_text(&keys.item, id);
    buffer_put(&keys.claim, buffer_slice(&q->claims));
    recipe_put_text(&keys.claim, id);
    return keys;
}

static void free_keys(struct keys *keys)
{
    buffer_close(&keys->item);
    buffer_close(&keys->claim);
}

/* The id that follows the prefix. -1 if somebody else put that key. */
static int read_id(struct synod_bytes key, const struct buffer *prefix, char id[32])
{
    size_t size = key.size - prefix->size;
    if (key.size <= prefix->size || size >= 32) {
        return -1;
    }
    memcpy(id, (const char *)key.data + prefix->size, size);
    id[size] = '\0';
    return strlen(id) == size ? 0 : -1;
}

static int check_id(struct synod *s, const char *id)
{
    size_t size = id != NULL ? strlen(id) : 0;
    if (size == 0 || size >= 32) {
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "that is no id of a message (it has %zu bytes); try: the one that claim "
                          "or push gave",
                          size);
    }
    return SYNOD_OK;
}

/* ---- pushing */

static int push(struct synod *s, const struct queue *q, struct synod_bytes data, char id[32])
{
    const struct synod_request request = {
        .op = SYNOD_PUT,
        .as.put = {.key = recipe_bytes(&q->items), .value = data, .sequential = 1}};
    struct synod_result *result = NULL;
    int rc = synod_request(s, &request, SYNOD_LINEARIZABLE, &result);
    if (rc == SYNOD_OK && id != NULL && read_id(result->response.key, &q->items, id) != 0) {
        rc = errmsg_set(&s->err, SYNOD_E_CORRUPT, "a sequential key is malformed (a bug)");
    }
    synod_result_free(result);
    return rc;
}

int synod_queue_push(struct synod *s, const char *queue, struct synod_bytes data, char id[32])
{
    struct queue q;
    const struct call_argument arguments[] = {
        recipe_text_argument(queue),
        {data.data, data.size},
    };
    int rc = begin(s, &q, queue, "synod_queue_push", arguments, 2);
    return rc == SYNOD_OK ? end(s, &q, push(s, &q, data, id)) : rc;
}

/* A sequential key alone could not be refused: the comparison and the put are one transaction. */
static int push_if_empty(struct synod *s, const struct queue *q, struct synod_bytes data,
                         char id[32])
{
    uint8_t end[SYNOD_KEY_BYTES_MAX];
    struct synod_compare compare = claim_is(recipe_bytes(&q->items), 0);
    compare.end = synod_prefix_end(compare.key, end);
    const struct synod_request put = {
        .op = SYNOD_PUT,
        .as.put = {.key = recipe_bytes(&q->items), .value = data, .sequential = 1}};
    const struct synod_request request = {
        .op = SYNOD_TXN,
        .as.txn = {.compares = &compare, .compare_count = 1, .then = &put, .then_count = 1}};
    struct synod_result *result = NULL;
    int rc = synod_request(s, &request, SYNOD_LINEARIZABLE, &result);
    if (rc == SYNOD_OK && !result->response.succeeded) {
        rc = errmsg_set(&s->err, SYNOD_E_EXISTS,
                        "the queue holds a message already (perhaps a claimed one); try: to claim "
                        "it");
    } else if (rc == SYNOD_OK && id != NULL &&
               (result->response.response_count != 1 ||
                read_id(result->response.responses[0].key, &q->items, id) != 0)) {
        rc = errmsg_set(&s->err, SYNOD_E_CORRUPT, "a sequential key is malformed (a bug)");
    }
    synod_result_free(result);
    return rc;
}

int synod_queue_push_if_empty(struct synod *s, const char *queue, struct synod_bytes data,
                              char id[32])
{
    struct queue q;
    const struct call_argument arguments[] = {
        recipe_text_argument(queue),
        {data.data, data.size},
    };
    int rc = begin(s, &q, queue, "synod_queue_push_if_empty", arguments, 2);
    return rc == SYNOD_OK ? end(s, &q, push_if_empty(s, &q, data, id)) : rc;
}

/* ---- claiming */

/* A walk along the queue as of one revision. */
struct walk {
    const struct queue *q;
    uint64_t revision; /* 0: not begun */
    char from[32 + 1]; /* ids from there on */
    int is_end;        /* there are no more */
    int is_overtaken;  /* somebody claimed one before us */
    uint64_t lease;    /* for our claim; 0: none yet */
    uint64_t visibility_ms;
    int is_bound;
    time_ms_t step_deadline;
};

/* Items and claims from the walk's id on, both at its revision. */
static int read_page(struct synod *s, const struct walk *w, struct synod_result **out)
{
    uint8_t ends[2][SYNOD_KEY_BYTES_MAX];
    struct keys from = keys_of(w->q, w->from);
    const struct synod_request parts[] = {
        {.op = SYNOD_RANGE,
         .as.range = {.key = recipe_bytes(&from.item),
                      .end = synod_prefix_end(recipe_bytes(&w->q->items), ends[0]),
                      .limit = PAGE_MESSAGES,
                      .revision = w->revision,
                      .keys_only = 1,
                      .no_count = 1}},
        {.op = SYNOD_RANGE,
         .as.range = {.key = recipe_bytes(&from.claim),
                      .end = synod_prefix_end(recipe_bytes(&w->q->claims), ends[1]),
                      .limit = PAGE_MESSAGES,
                      .revision = w->revision,
                      .keys_only = 1,
                      .no_count = 1}},
    };
    const struct synod_request request = {.op = SYNOD_TXN,
                                          .as.txn = {.then = parts, .then_count = 2}};
    int rc = w->revision == 0 ? keys_run(s, &request, SYNOD_LINEARIZABLE, w->step_deadline, out)
                              : keys_continue(s, &request, w->step_deadline, out);
    free_keys(&from);
    if (rc == SYNOD_OK && (*out)->response.response_count != 2) {
        synod_result_free(*out);
        *out = NULL;
        rc = errmsg_set(&s->err, SYNOD_E_CORRUPT, "a response is cut off (a bug)");
    }
    return rc;
}

static int is_claimed(const struct walk *w, const struct synod_response *claims, const char *id)
{
    char claimed[32];
    for (size_t i = 0; i < claims->kv_count; i++) {
        if (read_id(claims->kvs[i].key, &w->q->claims, claimed) == 0 && strcmp(claimed, id) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Claims one message. 1 if somebody else was faster; SYNOD_E_LEASE if the lease ended meanwhile. */
static int try_take(struct synod *s, struct walk *w, const char *id, struct synod_message *out)
{
    if (w->lease == 0) {
        int rc = lease_grant(s, 0, w->visibility_ms, w->is_bound, w->step_deadline, &w->lease);
        if (rc != SYNOD_OK) {
            return rc;
        }
    }
    struct keys keys = keys_of(w->q, id);
    const struct synod_compare compares[] = {
        claim_is(recipe_bytes(&keys.claim), 0),
        claim_exists(recipe_bytes(&keys.item)),
    };
    const struct synod_request then[] = {
        {.op = SYNOD_PUT, .as.put = {.key = recipe_bytes(&keys.claim), .lease = w->lease}},
        {.op = SYNOD_RANGE, .as.range = {.key = recipe_bytes(&keys.item)}},
    };
    const struct synod_request request = {
        .op = SYNOD_TXN,
        .as.txn = {.compares = compares, .compare_count = 2, .then = then, .then_count = 2},
    };
    struct synod_result *result = NULL;
    int rc = keys_run(s, &request, SYNOD_LINEARIZABLE, w->step_deadline, &result);
    free_keys(&keys);
    if (rc != SYNOD_OK) {
        return rc;
    }
    if (!result->response.succeeded || result->response.response_count != 2 ||
        result->response.responses[1].kv_count != 1) {
        synod_result_free(result);
        return 1;
    }
    snprintf(out->id, sizeof out->id, "%s", id);
    out->token = result->revision;
    out->data = result->response.responses[1].kvs[0].value;
    recipe_lend(s, result);
    return SYNOD_OK;
}

/* The same message again if the lease has ended, or the session it is bound to: those behind it
 * come later. */
static int take(struct synod *s, struct walk *w, const char *id, struct synod_message *out)
{
    for (int tries = 0; tries < CLAIM_TRIES; tries++) {
        int rc = try_take(s, w, id, out);
        if (rc != SYNOD_E_LEASE) {
            return rc;
        }
        w->lease = 0;
    }
    return claim_too_short(s, WHAT, w->visibility_ms);
}

/* Tries the free messages of a page in their order. 1: none of them is ours. */
static int try_page(struct synod *s, struct walk *w, const struct synod_result *page,
                    struct synod_message *out)
{
    const struct synod_response *items = &page->response.responses[0];
    const struct synod_response *claims = &page->response.responses[1];
    char id[32] = "";
    w->is_end = items->kv_count == 0 || !items->more;
    for (size_t i = 0; i < items->kv_count; i++) {
        if (read_id(items->kvs[i].key, &w->q->items, id) != 0 || is_claimed(w, claims, id)) {
            continue;
        }
        int rc = take(s, w, id, out);
        if (rc != 1) {
            return rc;
        }
        w->is_overtaken = 1;
    }
    /* The next page begins with the last of this one, which cannot be ours. */
    if (id[0] == '\0' || strcmp(id, w->from) == 0) {
        w->is_end = 1;
    }
    memcpy(w->from, id, sizeof id);
    return 1;
}

/* Walks from the front to the end. 1: there is none for us. */
static int walk(struct synod *s, struct walk *w, struct synod_message *out)
{
    w->revision = 0;
    w->from[0] = '\0';
    w->is_end = w->is_overtaken = 0;
    int rc = 1;
    while (rc == 1 && !w->is_end) {
        struct synod_result *page = NULL;
        rc = read_page(s, w, &page);
        if (rc == SYNOD_OK) {
            w->revision = w->revision != 0 ? w->revision : page->revision;
            rc = try_page(s, w, page, out);
        }
        synod_result_free(page);
    }
    if (rc == SYNOD_E_COMPACTED) {
        w->is_overtaken = 1; /* the revision of the walk is gone: walk again */
        rc = 1;
    }
    return rc;
}

/* ---- waiting for a message */

/* Whatever the watch says, but that there is nothing new: it is time to look again. */
static void wake(struct step *step, const struct completion *completion)
{
    const struct events_page_told *page = completion->detail;
    if (completion->kind != COMPLETION_EVENTS || page->count > 0) {
        step->is_done = 1;
    }
}

/* A step that is done when something has changed below the prefix after the walk. */
static const struct step *watch(struct synod *s, const struct walk *w, const struct buffer *prefix,
                                uint32_t flags)
{
    struct step *step = step_next(s);
    if (!step->is_begun) {
        uint8_t end[SYNOD_KEY_BYTES_MAX];
        struct synod_bytes to = synod_prefix_end(recipe_bytes(prefix), end);
        const struct client_watch wanted = {
            .key = buffer_slice(prefix),
            .end = slice_borrow(to.data, to.size),
            .revision = w->revision + 1,
            .flags = flags | WATCH_CONTINUED,
        };
        step_await(s, step, client_watch(s->core, &wanted), wake);
    }
    return step;
}

/* Waits until a message has come, or a claim has ended, since the walk; or for so long that it is
 * worth a look. Then it forgets all steps behind `start`. An interrupted wait keeps its watches:
 * one that is interrupted all the time must not leave one after the other with the learner. */
static int wait_for_one(struct synod *s, const struct walk *w, time_ms_t deadline,
                        struct step *start)
{
    struct step *step;
    time_ms_t until = recipe_deadline(s, QUEUE_LOOK_MS, &step);
    until = deadline < until ? deadline : until;
    const struct step *items = watch(s, w, &w->q->items, WATCH_NO_DELETE);
    const struct step *claims = watch(s, w, &w->q->claims, WATCH_NO_PUT);
    int rc = SYNOD_OK;
    while (rc == SYNOD_OK && !items->is_done && !claims->is_done && handle_now() < until) {
        rc = handle_turn(s, until);
    }
    if (rc == SYNOD_OK || items->is_done || claims->is_done) {
        step_rewind(s, start);
        rc = SYNOD_OK;
    }
    return rc;
}

static int claim(struct synod *s, struct walk *w, uint32_t timeout_ms, struct synod_message *out)
{
    struct step *start;
    time_ms_t deadline = recipe_deadline(s, timeout_ms, &start);
    int rc;
    for (int tries = 1;; tries++) {
        w->step_deadline = recipe_step_deadline(s, deadline);
        rc = walk(s, w, out);
        if (rc != 1) {
            break;
        }
        int is_late = recipe_is_late(s, deadline);
        if (w->is_overtaken && (tries < TRIES_MIN || !is_late)) {
            continue;
        }
        if (is_late) {
            rc = errmsg_set(&s->err, SYNOD_E_NOT_FOUND,
                            "there was no message in time (the queue is empty, or others have all "
                            "of it); try: to wait longer");
            break;
        }
        if (w->lease != 0) { /* it would run out while we wait */
            claim_post_revoke(s, w->lease);
            w->lease = 0;
        }
        rc = wait_for_one(s, w, deadline, start);
        if (rc != SYNOD_OK) {
            break;
        }
        tries = 0; /* all is as it was in the beginning, but for the deadline */
    }
    if (rc != SYNOD_OK && rc != SYNOD_E_INTERRUPTED && w->lease != 0) {
        claim_post_revoke(s, w->lease); /* behind the transaction, should that still happen */
    }
    return rc;
}

int synod_queue_claim(struct synod *s, const char *queue, uint64_t visibility_ms, int is_detached,
                      uint32_t timeout_ms, struct synod_message *out)
{
    struct queue q;
    if (visibility_ms == 0 || visibility_ms > LEASE_TTL_MS_MAX) {
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "a message is claimed for 1 to %llu ms, not %lld; try: 30,000",
                          (unsigned long long)LEASE_TTL_MS_MAX, (long long)visibility_ms);
    }
    const struct call_argument arguments[] = {
        recipe_text_argument(queue),
        {&visibility_ms, sizeof visibility_ms},
        {&is_detached, sizeof is_detached},
        {&timeout_ms, sizeof timeout_ms},
    };
    int rc = begin(s, &q, queue, "synod_queue_claim", arguments, 4);
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct walk w = {.q = &q, .visibility_ms = visibility_ms, .is_bound = !is_detached};
    return end(s, &q, claim(s, &w, timeout_ms, out));
}

/* ---- what a holder does */

enum deed { EXTEND, ACKNOWLEDGE, RELEASE };

static int deal_with(struct synod *s, const char *queue, const char *id, uint64_t token,
                     const char *call, enum deed deed)
{
    struct queue q;
    int rc = check_id(s, id);
    if (rc != SYNOD_OK) {
        return rc;
    }
    const struct call_argument arguments[] = {
        recipe_text_argument(queue),
        recipe_text_argument(id),
        {&token, sizeof token},
    };
    rc = begin(s, &q, queue, call, arguments, 3);
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct keys keys = keys_of(&q, id);
    const struct synod_request delete_item = {.op = SYNOD_DELETE,
                                              .as.del = {.key = recipe_bytes(&keys.item)}};
    switch (deed) {
    case EXTEND:
        rc = claim_renew(s, WHAT, recipe_bytes(&keys.claim), token);
        break;
    case ACKNOWLEDGE:
        rc = claim_settle(s, WHAT, recipe_bytes(&keys.claim), token, &delete_item);
        break;
    case RELEASE:
        rc = claim_settle(s, WHAT, recipe_bytes(&keys.claim), token, NULL);
        break;
    }
    free_keys(&keys);
    return end(s, &q, rc);
}

int synod_queue_extend(struct synod *s, const char *queue, const char *id, uint64_t token)
{
    return deal_with(s, queue, id, token, "synod_queue_extend", EXTEND);
}

int synod_queue_acknowledge(struct synod *s, const char *queue, const char *id, uint64_t token)
{
    return deal_with(s, queue, id, token, "synod_queue_acknowledge", ACKNOWLEDGE);
}

int synod_queue_release(struct synod *s, const char *queue, const char *id, uint64_t token)
{
    return deal_with(s, queue, id, token, "synod_queue_release", RELEASE);
}

/* ---- what anybody sees */

int synod_queue_show(struct synod *s, const char *queue, struct synod_queue *out)
{
    struct queue q;
    const struct call_argument argument = recipe_text_argument(queue);
    int rc = begin(s, &q, queue, "synod_queue_show", &argument, 1);
    if (rc != SYNOD_OK) {
        return rc;
    }
    uint8_t ends[2][SYNOD_KEY_BYTES_MAX];
    struct synod_bytes items = recipe_bytes(&q.items);
    struct synod_bytes claims = recipe_bytes(&q.claims);
    const struct synod_request parts[] = {
        {.op = SYNOD_RANGE,
         .as.range = {.key = items, .end = synod_prefix_end(items, ends[0]), .count_only = 1}},
        {.op = SYNOD_RANGE,
         .as.range = {.key = claims, .end = synod_prefix_end(claims, ends[1]), .count_only = 1}},
    };
    const struct synod_request request = {.op = SYNOD_TXN,
                                          .as.txn = {.then = parts, .then_count = 2}};
    struct synod_result *result = NULL;
    rc = synod_request(s, &request, SYNOD_LINEARIZABLE, &result);
    if (rc == SYNOD_OK && result->response.response_count == 2) {
        *out = (struct synod_queue){.length = result->response.responses[0].count,
                                    .claimed = result->response.responses[1].count};
    }
    synod_result_free(result);
    return end(s, &q, rc);
}
