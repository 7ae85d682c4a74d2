#include "common/client/core/state.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/base/mutant.h"
#include "common/client/core/hold_requests.h"

#include <stddef.h>
#include <stdlib.h>

/* Who leads as of a revision is a function of the candidates as of then: the one with the lowest
 * create revision. An observation takes them from a snapshot, applies what each revision changed,
 * and tells when that function has changed. So all observers see the same sequence, each from its
 * snapshot on. */

struct candidate {
    struct slice key, value; /* own copies */
    uint64_t create;
    UT_hash_handle hh;          /* by key */
    RB_ENTRY(candidate) by_age; /* by create, then by key: two may come with one revision */
};

RB_HEAD(candidate_tree, candidate);

struct observation {
    struct pending pending;
    struct listener listener;
    struct observation *prev, *next;
    struct slice prefix; /* an own copy */
    uint64_t question;   /* the range that reads the snapshot, or the watch behind it */
    int is_malformed;    /* a page of the snapshot was */
    uint64_t revision;   /* of the snapshot; 0: no page has come */
    uint64_t untold;     /* revision of which some changes are applied, and others may follow in
                            the next page; 0: none */
    struct candidate *candidates;
    struct candidate_tree ages;
    int is_told;
    uint64_t token;     /* told last */
    struct slice value; /* told last, a reference */
};

static int compare_age(const struct candidate *a, const struct candidate *b)
{
    if (a->create != b->create) {
        return a->create < b->create ? -1 : 1;
    }
    return kv_compare_keys(a->key, b->key);
}

TREE_GENERATE(candidate_tree, candidate, by_age, compare_age)

/* ---- candidates */

static void remove_candidate(struct observation *o, struct candidate *candidate)
{
    HASH_DEL(o->candidates, candidate);
    RB_REMOVE(candidate_tree, &o->ages, candidate);
    slice_drop(&candidate->key);
    slice_drop(&candidate->value);
    free(candidate);
}

static void remove_key(struct observation *o, struct slice key)
{
    struct candidate *candidate;
    HASH_FIND(hh, o->candidates, key.data, key.size, candidate);
    if (candidate != NULL) {
        remove_candidate(o, candidate);
    }
}

static void remove_all(struct observation *o)
{
    struct candidate *candidate;
    while ((candidate = RB_MIN(candidate_tree, &o->ages)) != NULL) {
        remove_candidate(o, candidate);
    }
}

/* The bytes are copied: with their owner they would keep a whole message. */
static void note_put(struct observation *o, const struct kv *kv)
{
    struct candidate *candidate = memory_calloc(1, sizeof *candidate);
    remove_key(o, kv->key);
    candidate->key = slice_keep(slice_borrow(kv->key.data, kv->key.size));
    candidate->value = slice_keep(slice_borrow(kv->value.data, kv->value.size));
    candidate->create = kv->create;
    HASH_ADD_KEYPTR(hh, o->candidates, candidate->key.data, candidate->key.size, candidate);
    RB_INSERT(candidate_tree, &o->ages, candidate);
}

/* ---- begin and end */

static void free_observation(struct client *c, struct observation *o)
{
    pending_remove(c, &o->pending);
    DL_DELETE(c->observations.list, o);
    remove_all(o);
    slice_drop(&o->prefix);
    slice_drop(&o->value);
    free(o);
}

void observation_cancel(struct client *c, uint64_t id)
{
    struct observation *o = (struct observation *)pending_find(c, id, PENDING_OBSERVATION);
    if (o != NULL) {
        client_cancel(c, o->question);
        free_observation(c, o);
    }
}

void observations_close(struct client *c)
{
    while (c->observations.list != NULL) {
        observation_cancel(c, c->observations.list->pending.id);
    }
}

static void end(struct client *c, struct observation *o, int code, struct effects *out)
{
    (void)complete(c, out, COMPLETION_OBSERVE, o->pending.id, code);
    free_observation(c, o);
}

/* ---- telling */

static void tell_if_changed(struct client *c, struct observation *o, struct effects *out)
{
    const struct candidate *leader = RB_MIN(candidate_tree, &o->ages);
    uint64_t token = leader != NULL ? leader->create : 0;
    struct slice value = leader != NULL ? leader->value : SLICE_EMPTY;
    o->untold = 0;
    if (o->is_told && token == o->token && slice_equal(value, o->value)) {
        return;
    }
    slice_drop(&o->value);
    o->value = leader != NULL ? slice_keep(value) : SLICE_EMPTY;
    o->token = token;
    o->is_told = 1;
    /* Another one may follow within this step, and then nothing else keeps the bytes. */
    struct slice held = value.size > 0 ? effects_hold(out, value) : SLICE_EMPTY;
    struct completion *completion = complete(c, out, COMPLETION_LEADERSHIP, o->pending.id, 0);
    completion->value = token;
    completion->body = held;
}

/* ---- the snapshot, and what changes behind it */

static void take_snapshot(struct client *c, struct observation *o)
{
    struct buffer prefix_end = {0};
    hold_put_prefix_end(&prefix_end, o->prefix);
    remove_all(o);
    o->is_malformed = 0;
    o->revision = 0;
    o->untold = 0;
    const struct client_range wanted = {
        .range = {.key = o->prefix, .end = buffer_slice(&prefix_end)},
        .consistency = READ_LINEARIZABLE,
        .deadline = TIME_NEVER,
        .timeout_ms = UINT32_MAX,
    };
    o->question = ask_range(c, &wanted, &o->listener);
    buffer_close(&prefix_end);
}

static void watch(struct client *c, struct observation *o)
{
    struct buffer prefix_end = {0};
    hold_put_prefix_end(&prefix_end, o->prefix);
    const struct client_watch wanted = {
        .key = o->prefix,
        .end = buffer_slice(&prefix_end),
        .revision = o->revision + 1,
        .flags = WATCH_CONTINUED,
    };
    o->question = ask_watch(c, &wanted, &o->listener);
    buffer_close(&prefix_end);
}

static void on_page(struct observation *o, const struct range_page *page)
{
    struct slice rest = page->kvs;
    struct kv kv;
    int rc;
    while ((rc = kv_next(&rest, &kv)) == 1) {
        note_put(o, &kv);
    }
    o->is_malformed |= rc != 0;
    o->revision = page->revision;
}

static void on_snapshot(struct client *c, struct observation *o, const struct answer *answer,
                        struct effects *out)
{
    if (answer->code == ERROR_UNAVAILABLE || answer->code == ERROR_COMPACTED) {
        take_snapshot(c, o); /* one is compacted if reading it took too long */
        return;
    }
    if (answer->code != 0) {
        end(c, o, answer->code, out);
        return;
    }
    o->revision = o->revision != 0 ? o->revision : answer->value;
    if (o->is_malformed || o->revision >= INT64_MAX) {
        end(c, o, errmsg_set(&c->err, ERROR_CORRUPT, "a response on keys is malformed (a bug)"),
            out);
        return;
    }
    tell_if_changed(c, o, out);
    watch(c, o);
}

/* A page may end within a revision: what that changes is told when the rest has come. */
static void on_events(struct client *c, struct observation *o, const struct events_page_told *page,
                      struct effects *out)
{
    struct slice rest = page->events;
    struct kv_event event;
    while (kv_next_event(&rest, &event) == 1) {
        if (o->untold != 0 && event.kv.mod != o->untold) {
            tell_if_changed(c, o, out);
        }
        if (event.kind == KV_EVENT_PUT) {
            note_put(o, &event.kv);
        } else if (!MUTANT(client_observation_ignores_deletes)) {
            remove_key(o, event.kv.key);
        }
        o->untold = event.kv.mod;
    }
    if (o->untold != 0 && page->next_revision > o->untold) {
        tell_if_changed(c, o, out);
    }
}

static void on_answer(struct client *c, struct listener *self, uint64_t id,
                      const struct answer *answer, struct effects *out)
{
    struct observation *o =
        (struct observation *)(void *)((char *)self - offsetof(struct observation, listener));
    CHECK(id == o->question);
    switch (answer->kind) {
    case COMPLETION_RANGE:
        on_page(o, answer->detail);
        break;
    case COMPLETION_ANSWER:
        on_snapshot(c, o, answer, out);
        break;
    case COMPLETION_EVENTS:
        on_events(c, o, answer->detail, out);
        break;
    default: /* COMPLETION_WATCH */
        if (answer->code == ERROR_COMPACTED) {
            take_snapshot(c, o);
        } else {
            end(c, o, answer->code, out);
        }
    }
}

/* ---- the call */

uint64_t client_observe(struct client *c, struct slice prefix)
{
    struct observation *o = memory_calloc(1, sizeof *o);
    CHECK(prefix.size > 0);
    o->listener.fn = on_answer;
    o->prefix = slice_keep(slice_borrow(prefix.data, prefix.size));
    DL_APPEND(c->observations.list, o);
    (void)pending_add(c, &o->pending, PENDING_OBSERVATION);
    take_snapshot(c, o);
    return o->pending.id;
}
