#include "common/client/keys.h"
#include "common/client/lease_calls.h"
#include "common/client/recipe.h"

#include <stdio.h>
#include <string.h>

/* An item is two keys. "synod/work/item/NAME" stays, and counts:
 *
 *   counter u64, mark u8, token u64, owner_size u8, owner, result
 *
 * with owner and token of the last claim (token: only once it is done, because a claim's token is
 * the revision that creates it). "synod/work/claim/NAME" exists while somebody has it, under the
 * claim's lease; its create revision is the token. So an item is done if it is marked so, claimed
 * if there is a claim, else free; and when a lease ends, nothing has to be tidied up. That a holder
 * gave it up is marked, too: what is neither done nor claimed nor marked is left over from a claim
 * that expired, and to claim it is to take it over, which is what is counted. */
#define ITEM_PREFIX "synod/work/item/"
#define CLAIM_PREFIX "synod/work/claim/"

#define WHAT "work item"
#define OWNER_BYTES_MAX 255

#define ITEM_HEAD_BYTES 18 /* besides owner and result */
_Static_assert(ITEM_HEAD_BYTES + OWNER_BYTES_MAX + SYNOD_RESULT_BYTES_MAX <= SYNOD_VALUE_BYTES_MAX,
               "an item with the longest owner and result is no value");

/* What became of the last claim, as far as the item says. */
enum item_mark { ITEM_UNMARKED = 0, ITEM_DONE = 1, ITEM_RELEASED = 2 };

/* ---- items as bytes */

static void write_item(struct buffer *out, const struct synod_work *work, enum item_mark mark)
{
    size_t owner_size = strlen(work->owner);
    buffer_put_u64(out, work->counter);
    buffer_put_u8(out, (uint8_t)mark);
    buffer_put_u64(out, work->token);
    buffer_put_u8(out, (uint8_t)owner_size);
    buffer_put(out, slice_borrow(work->owner, owner_size));
    buffer_put(out, slice_borrow(work->result.data, work->result.size));
}

/* claim: its key, or NULL if there is none. -1 if the bytes are no item. */
static int read_item(const struct synod_kv *item, const struct synod_kv *claim,
                     struct synod_work *out, enum item_mark *mark)
{
    struct reader reader = {slice_borrow(item->value.data, item->value.size), 0};
    struct synod_work work = {.counter = reader_u64(&reader)};
    uint8_t byte = reader_u8(&reader);
    work.token = reader_u64(&reader);
    struct slice owner = reader_bytes(&reader, reader_u8(&reader));
    if (reader.is_short || byte > ITEM_RELEASED) {
        return -1;
    }
    *mark = (enum item_mark)byte;
    if (owner.size > 0) {
        memcpy(work.owner, owner.data, owner.size);
    }
    work.result = (struct synod_bytes){reader.rest.size > 0 ? (const void *)reader.rest.data : "",
                                       reader.rest.size};
    if (*mark == ITEM_DONE) {
        work.state = SYNOD_WORK_DONE;
    } else if (claim != NULL) {
        work.state = SYNOD_WORK_CLAIMED;
        work.token = claim->create_revision;
    }
    *out = work;
    return 0;
}

/* ---- looking */

/* The keys of an item, and what they held. */
struct view {
    struct buffer item_key, claim_key;
    struct synod_result *result;
    int exists;
    uint64_t item_mod; /* 0: it does not exist */
    enum item_mark mark;
    struct synod_work work;
};

static void view_open(struct view *v, const char *item)
{
    *v = (struct view){0};
    recipe_put_text(&v->item_key, ITEM_PREFIX);
    recipe_put_name(&v->item_key, item);
    recipe_put_text(&v->claim_key, CLAIM_PREFIX);
    recipe_put_name(&v->claim_key, item);
}

static void view_close(struct view *v)
{
    buffer_close(&v->item_key);
    buffer_close(&v->claim_key);
    synod_result_free(v->result);
}

static int no_item(struct synod *s)
{
    return errmsg_set(&s->err, SYNOD_E_CORRUPT,
                      "a key below " ITEM_PREFIX " holds no work item (somebody else wrote it); "
                      "try: to delete it");
}

static int view_read(struct synod *s, struct view *v)
{
    const struct synod_request parts[] = {
        {.op = SYNOD_RANGE, .as.range = {.key = recipe_bytes(&v->item_key)}},
        {.op = SYNOD_RANGE, .as.range = {.key = recipe_bytes(&v->claim_key)}},
    };
    const struct synod_request request = {.op = SYNOD_TXN,
                                          .as.txn = {.then = parts, .then_count = 2}};
    synod_result_free(v->result);
    v->result = NULL;
    int rc = synod_request(s, &request, SYNOD_LINEARIZABLE, &v->result);
    if (rc != SYNOD_OK) {
        return rc;
    }
    if (v->result->response.response_count != 2) {
        return errmsg_set(&s->err, SYNOD_E_CORRUPT, "a response is cut off (a bug)");
    }
    const struct synod_response *item = &v->result->response.responses[0];
    const struct synod_response *claim = &v->result->response.responses[1];
    v->exists = item->kv_count == 1;
    v->item_mod = v->exists ? item->kvs[0].mod_revision : 0;
    v->mark = ITEM_UNMARKED;
    v->work = (struct synod_work){.state = SYNOD_WORK_FREE};
    if (v->exists && read_item(&item->kvs[0], claim->kv_count == 1 ? &claim->kvs[0] : NULL,
                               &v->work, &v->mark) != 0) {
        return no_item(s);
    }
    return SYNOD_OK;
}

/* Gives out what was seen; its result lives until the next call. */
static void view_lend(struct synod *s, struct view *v, struct synod_work *out)
{
    *out = v->work;
    recipe_lend(s, v->result);
    v->result = NULL;
}

/* Every call on one item is a call of its own, between these two. */

static int begin(struct synod *s, struct view *v, const char *item, const char *call,
                 const struct call_argument *arguments, size_t count)
{
    int rc = recipe_check_name(s, WHAT, item);
    if (rc == SYNOD_OK) {
        rc = call_begin(s, call, arguments, count);
    }
    if (rc == SYNOD_OK) {
        view_open(v, item);
    }
    return rc;
}

static int end(struct synod *s, struct view *v, int rc)
{
    view_close(v);
    return call_end(s, rc);
}

/* ---- claiming */

/* The last holder gave it up and comes back: nobody takes anything over. */
static int is_own_again(const struct view *v, const char *owner)
{
    return v->mark == ITEM_RELEASED && strcmp(v->work.owner, owner) == 0;
}

/* Claims the item as it was seen. 1 if it has changed since: look again. */
static int take(struct synod *s, const struct view *v, const char *owner, uint64_t lease,
                struct synod_work *out)
{
    struct synod_work work = {.state = SYNOD_WORK_CLAIMED,
                              .counter = v->work.counter + !is_own_again(v, owner)};
    snprintf(work.owner, sizeof work.owner, "%s", owner);
    struct buffer item = {0};
    write_item(&item, &work, ITEM_UNMARKED);
    struct synod_bytes item_key = recipe_bytes(&v->item_key);
    struct synod_bytes claim_key = recipe_bytes(&v->claim_key);
    const struct synod_compare compares[] = {
        claim_is(claim_key, 0),
        {.key = item_key, .target = SYNOD_BY_MOD, .relation = SYNOD_EQUAL, .number = v->item_mod},
    };
    const struct synod_request then[] = {
        {.op = SYNOD_PUT, .as.put = {.key = claim_key, .value = synod_text(owner), .lease = lease}},
        {.op = SYNOD_PUT, .as.put = {.key = item_key, .value = recipe_bytes(&item)}},
    };
    const struct synod_request request = {
        .op = SYNOD_TXN,
        .as.txn = {.compares = compares, .compare_count = 2, .then = then, .then_count = 2},
    };
    struct synod_result *result = NULL;
    int rc = synod_request(s, &request, SYNOD_LINEARIZABLE, &result);
    if (rc == SYNOD_OK && !result->response.succeeded) {
        rc = 1;
    } else if (rc == SYNOD_OK) {
        work.token = result->revision;
        work.result = synod_text("");
        *out = work;
    }
    synod_result_free(result);
    buffer_close(&item);
    return rc;
}

static int claim(struct synod *s, struct view *v, const char *owner, uint64_t ttl_ms,
                 int is_detached, struct synod_work *out)
{
    uint64_t lease = 0;
    int tries = 0;
    int rc;
    do {
        rc = view_read(s, v);
        if (rc == SYNOD_OK && v->work.state != SYNOD_WORK_FREE) {
            rc = errmsg_set(&s->err, SYNOD_E_EXISTS, "the item is %s (by %s)%s",
                            v->work.state == SYNOD_WORK_DONE ? "done" : "claimed", v->work.owner,
                            v->work.state == SYNOD_WORK_DONE ? "" : "; try: again later");
            view_lend(s, v, out);
        }
        if (rc == SYNOD_OK && lease == 0) {
            rc = lease_grant(s, 0, ttl_ms, !is_detached, handle_deadline(s, 0), &lease);
        }
        if (rc == SYNOD_OK) {
            rc = take(s, v, owner, lease, out);
        }
        if (rc == SYNOD_E_LEASE) { /* it ended meanwhile, or the session it is bound to */
            lease = 0;
            rc = ++tries < CLAIM_TRIES ? 1 : claim_too_short(s, WHAT, ttl_ms);
        }
    } while (rc == 1);
    if (rc != SYNOD_OK && rc != SYNOD_E_INTERRUPTED && lease != 0) {
        claim_post_revoke(s, lease); /* behind the transaction, should that still happen */
    }
    return rc;
}

int synod_work_claim(struct synod *s, const char *item, const char *owner, uint64_t ttl_ms,
                     int is_detached, struct synod_work *out)
{
    struct view v;
    if (owner == NULL || strlen(owner) > OWNER_BYTES_MAX) {
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "the owner of a work item has at most %d bytes; try: a shorter name",
                          OWNER_BYTES_MAX);
    }
    const struct call_argument arguments[] = {
        recipe_text_argument(item),
        recipe_text_argument(owner),
        {&ttl_ms, sizeof ttl_ms},
        {&is_detached, sizeof is_detached},
    };
    int rc = begin(s, &v, item, "synod_work_claim", arguments, 4);
    return rc == SYNOD_OK ? end(s, &v, claim(s, &v, owner, ttl_ms, is_detached, out)) : rc;
}

/* ---- what a holder does */

int synod_work_renew(struct synod *s, const char *item, uint64_t token)
{
    struct view v;
    const struct call_argument arguments[] = {recipe_text_argument(item), {&token, sizeof token}};
    int rc = begin(s, &v, item, "synod_work_renew", arguments, 2);
    return rc == SYNOD_OK ? end(s, &v, claim_renew(s, WHAT, recipe_bytes(&v.claim_key), token))
                          : rc;
}

/* Ends the claim and says in the item what became of it. The item is still as it was seen: only
 * claims and their ends change it, and the comparison holds while there was no other. */
static int settle(struct synod *s, const struct view *v, uint64_t token,
                  const struct synod_work *work, enum item_mark mark)
{
    struct buffer item = {0};
    write_item(&item, work, mark);
    const struct synod_request put = {
        .op = SYNOD_PUT,
        .as.put = {.key = recipe_bytes(&v->item_key), .value = recipe_bytes(&item)}};
    int rc = claim_settle(s, WHAT, recipe_bytes(&v->claim_key), token, &put);
    buffer_close(&item);
    return rc;
}

int synod_work_release(struct synod *s, const char *item, uint64_t token)
{
    struct view v;
    const struct call_argument arguments[] = {recipe_text_argument(item), {&token, sizeof token}};
    int rc = begin(s, &v, item, "synod_work_release", arguments, 2);
    if (rc != SYNOD_OK) {
        return rc;
    }
    rc = view_read(s, &v);
    if (rc == SYNOD_OK) {
        struct synod_work work = v.work;
        work.token = 0;
        rc = v.exists ? settle(s, &v, token, &work, ITEM_RELEASED)
                      : claim_settle(s, WHAT, recipe_bytes(&v.claim_key), token, NULL);
    }
    return end(s, &v, rc);
}

static int is_same(struct synod_bytes a, struct synod_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static int complete(struct synod *s, struct view *v, uint64_t token, struct synod_bytes result)
{
    int rc = view_read(s, v);
    if (rc != SYNOD_OK) {
        return rc;
    }
    if (v->work.state == SYNOD_WORK_DONE && v->work.token == token &&
        is_same(v->work.result, result)) {
        return SYNOD_OK; /* done by this very claim: the answer was lost */
    }
    struct synod_work work = v->work;
    work.state = SYNOD_WORK_DONE;
    work.token = token;
    work.result = result;
    return settle(s, v, token, &work, ITEM_DONE);
}

int synod_work_complete(struct synod *s, const char *item, uint64_t token,
                        struct synod_bytes result)
{
    struct view v;
    const struct call_argument arguments[] = {
        recipe_text_argument(item),
        {&token, sizeof token},
        {result.data, result.size},
    };
    if (result.size > SYNOD_RESULT_BYTES_MAX) {
        return errmsg_set(
            &s->err, SYNOD_E_USAGE,
            "a result of %zu bytes exceeds the limit of %d; try: to put it under a key",
            result.size, SYNOD_RESULT_BYTES_MAX);
    }
    int rc = begin(s, &v, item, "synod_work_complete", arguments, 3);
    return rc == SYNOD_OK ? end(s, &v, complete(s, &v, token, result)) : rc;
}

/* ---- what anybody sees */

int synod_work_show(struct synod *s, const char *item, struct synod_work *out)
{
    struct view v;
    const struct call_argument argument = recipe_text_argument(item);
    int rc = begin(s, &v, item, "synod_work_show", &argument, 1);
    if (rc != SYNOD_OK) {
        return rc;
    }
    rc = view_read(s, &v);
    if (rc == SYNOD_OK && !v.exists) {
        rc = errmsg_set(&s->err, SYNOD_E_NOT_FOUND,
                        "there is no such work item (it was never claimed); try: to claim it");
    }
    if (rc == SYNOD_OK) {
        view_lend(s, &v, out);
    }
    return end(s, &v, rc);
}

static struct synod_request all_of(const char *prefix, uint8_t *end)
{
    return (struct synod_request){
        .op = SYNOD_RANGE,
        .as.range = {.key = synod_text(prefix), .end = synod_prefix_end(synod_text(prefix), end)}};
}

/* All items, and the claims there were at the same revision. */
static int read_all(struct synod *s, struct synod_result **items, struct synod_result **claims)
{
    uint8_t ends[2][SYNOD_KEY_BYTES_MAX];
    struct synod_request request = all_of(ITEM_PREFIX, ends[0]);
    int rc = synod_request(s, &request, SYNOD_LINEARIZABLE, items);
    if (rc == SYNOD_OK) {
        request = all_of(CLAIM_PREFIX, ends[1]);
        request.as.range.revision = (*items)->revision;
        rc = keys_continue(s, &request, handle_deadline(s, 0), claims);
    }
    return rc;
}

static struct synod_bytes name_of(const struct synod_kv *kv, const char *prefix)
{
    size_t skip = strlen(prefix);
    return (struct synod_bytes){(const char *)kv->key.data + skip, kv->key.size - skip};
}

static int compare_names(struct synod_bytes a, struct synod_bytes b)
{
    return kv_compare_keys(slice_borrow(a.data, a.size), slice_borrow(b.data, b.size));
}

/* Both are in the order of their names, so that one pass pairs them. */
static int tell_items(struct synod *s, const struct synod_response *items,
                      const struct synod_response *claims, synod_work_fn fn, void *arg)
{
    size_t c = 0;
    for (size_t i = 0; i < items->kv_count; i++) {
        struct synod_bytes escaped = name_of(&items->kvs[i], ITEM_PREFIX);
        while (c < claims->kv_count &&
               compare_names(name_of(&claims->kvs[c], CLAIM_PREFIX), escaped) < 0) {
            c++;
        }
        int is_claimed = c < claims->kv_count &&
                         compare_names(name_of(&claims->kvs[c], CLAIM_PREFIX), escaped) == 0;
        char name[RECIPE_NAME_BYTES_MAX + 1];
        struct synod_work work;
        enum item_mark mark;
        if (recipe_read_name(escaped, name) != 0 ||
            read_item(&items->kvs[i], is_claimed ? &claims->kvs[c] : NULL, &work, &mark) != 0) {
            return no_item(s);
        }
        if (fn(arg, name, &work) != 0) {
            break;
        }
    }
    return SYNOD_OK;
}

int synod_work_list(struct synod *s, synod_work_fn fn, void *arg)
{
    struct synod_result *items = NULL;
    struct synod_result *claims = NULL;
    int rc = call_begin(s, "synod_work_list", NULL, 0);
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct step *start;
    time_ms_t deadline = recipe_deadline(s, s->timeout_ms, &start);
    start->is_read = 1; /* interrupted, it begins anew */
    do {
        synod_result_free(items);
        items = NULL;
        rc = read_all(s, &items, &claims);
        /* It took so long that the revision of the items was swept: from the beginning. */
    } while (rc == SYNOD_E_COMPACTED && !recipe_is_late(s, deadline));
    rc = call_end(s, rc); /* nothing is waited for any more: fn may make calls of its own */
    if (rc == SYNOD_OK) {
        rc = tell_items(s, &items->response, &claims->response, fn, arg);
    }
    synod_result_free(items);
    synod_result_free(claims);
    return rc;
}
