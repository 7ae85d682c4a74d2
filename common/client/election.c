#include "common/client/keys.h"
#include "common/client/recipe.h"

#include "common/base/memory.h"

#include <stdlib.h>
#include <string.h>

#define ELECTION "election"

/* A leadership is a place in the queue "election" whose value others can see. */
struct synod_election {
    struct hold hold;
};

int synod_campaign(struct synod *s, const char *name, struct synod_bytes value, uint32_t timeout_ms,
                   struct synod_election **out)
{
    struct hold *hold = NULL;
    int rc = hold_acquire(s, ELECTION, name, value, timeout_ms, &hold);
    if (rc == SYNOD_OK) {
        *out = (struct synod_election *)hold;
    }
    return rc;
}

uint64_t synod_election_token(const struct synod_election *election)
{
    return election->hold.token;
}

int synod_election_is_held(const struct synod_election *election)
{
    return hold_is_held(&election->hold);
}

int synod_proclaim(struct synod_election *election, struct synod_bytes value)
{
    const struct synod_request request = {
        .op = SYNOD_PUT,
        .as.put = {.key = recipe_bytes(&election->hold.key), .value = value, .ignore_lease = 1}};
    return hold_do(&election->hold, &request);
}

int synod_resign(struct synod_election *election)
{
    return hold_release(&election->hold);
}

/* ---- observing
 *
 * Who leads as of a revision is a function of the candidates as of then: the one with the lowest
 * create revision. An observer takes them from a snapshot, applies what each revision changed, and
 * tells when that function changed. So all see the same sequence, each from its snapshot on. */

struct candidate {
    struct slice key, value; /* own copies */
    uint64_t create;
    UT_hash_handle hh; /* by key */
};

struct observer {
    struct candidate *candidates;
    int is_told;
    uint64_t token; /* told last */
    struct slice value;
    synod_observe_fn fn;
    void *arg;
    int is_done;
    int is_behind; /* events are missing: a new snapshot is needed */
};

static void free_candidate(struct candidate *candidate)
{
    slice_drop(&candidate->key);
    slice_drop(&candidate->value);
    free(candidate);
}

static void remove_candidate(struct observer *o, struct candidate *candidate)
{
    HASH_DEL(o->candidates, candidate);
    free_candidate(candidate);
}

static void clear(struct observer *o)
{
    struct candidate *next;
    struct candidate *candidate = o->candidates;
    HASH_CLEAR(hh, o->candidates);
    for (; candidate != NULL; candidate = next) {
        next = candidate->hh.next;
        free_candidate(candidate);
    }
}

static struct candidate *find(const struct observer *o, struct synod_bytes key)
{
    struct candidate *candidate;
    HASH_FIND(hh, o->candidates, key.data, key.size, candidate);
    return candidate;
}

static void note_put(struct observer *o, const struct synod_kv *kv)
{
    struct candidate *candidate = find(o, kv->key);
    if (candidate != NULL) {
        remove_candidate(o, candidate);
    }
    candidate = memory_calloc(1, sizeof *candidate);
    candidate->key = slice_keep(slice_borrow(kv->key.data, kv->key.size));
    candidate->value = slice_keep(slice_borrow(kv->value.data, kv->value.size));
    candidate->create = kv->create_revision;
    HASH_ADD_KEYPTR(hh, o->candidates, candidate->key.data, candidate->key.size, candidate);
}

static void tell_if_changed(struct observer *o)
{
    const struct candidate *leader = NULL;
    for (const struct candidate *candidate = o->candidates; candidate != NULL;
         candidate = candidate->hh.next) {
        if (leader == NULL || candidate->create < leader->create) {
            leader = candidate;
        }
    }
    uint64_t token = leader != NULL ? leader->create : 0;
    struct slice value = leader != NULL ? leader->value : SLICE_EMPTY;
    if (o->is_told && token == o->token && slice_equal(value, o->value)) {
        return;
    }
    slice_drop(&o->value);
    o->value = slice_keep(value);
    o->token = token;
    o->is_told = 1;
    const struct synod_leadership leadership = {
        token, {value.size > 0 ? (const void *)value.data : "", value.size}};
    o->is_done = o->fn(o->arg, &leadership) != 0;
}

static void on_events(void *arg, int code, const struct synod_events *events)
{
    struct observer *o = arg;
    if (code != SYNOD_OK) {
        o->is_behind = 1;
        return;
    }
    for (size_t i = 0; i < events->count; i++) {
        const struct synod_event *event = &events->events[i];
        struct candidate *candidate = find(o, event->kv.key);
        if (!event->is_delete) {
            note_put(o, &event->kv);
        } else if (candidate != NULL) {
            remove_candidate(o, candidate);
        }
    }
    if (!events->is_continued && !o->is_done) {
        tell_if_changed(o);
    }
}

/* Reads the candidates and follows them until fn has enough, or events are missing. */
static int observe_from_snapshot(struct synod *s, struct observer *o, struct synod_bytes prefix)
{
    uint8_t end[SYNOD_KEY_BYTES_MAX];
    const struct synod_request request = {
        .op = SYNOD_RANGE, .as.range = {.key = prefix, .end = synod_prefix_end(prefix, end)}};
    struct synod_result *result = NULL;
    int rc = keys_run(s, &request, SYNOD_LINEARIZABLE, TIME_NEVER, &result);
    if (rc != SYNOD_OK) {
        return rc;
    }
    clear(o);
    for (size_t i = 0; i < result->response.kv_count; i++) {
        note_put(o, &result->response.kvs[i]);
    }
    struct synod_watch_options options = {
        .key = prefix, .end = request.as.range.end, .revision = result->revision + 1};
    synod_result_free(result);
    tell_if_changed(o);
    struct synod_watch *watch = NULL;
    o->is_behind = 0;
    rc = watch_continue(s, &options, on_events, o, &watch);
    while (rc == SYNOD_OK && !o->is_done && !o->is_behind) {
        rc = client_turn(s, TIME_NEVER);
    }
    synod_watch_stop(watch);
    return o->is_done ? SYNOD_OK : rc;
}

int synod_observe(struct synod *s, const char *name, synod_observe_fn fn, void *arg)
{
    int rc = recipe_check_name(s, ELECTION, name);
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct buffer prefix = {0};
    struct observer o = {.fn = fn, .arg = arg};
    recipe_put_text(&prefix, "synod/" ELECTION "/");
    recipe_put_name(&prefix, name);
    recipe_put_text(&prefix, "/");
    while (rc == SYNOD_OK && !o.is_done) {
        rc = observe_from_snapshot(s, &o, recipe_bytes(&prefix));
    }
    clear(&o);
    slice_drop(&o.value);
    buffer_close(&prefix);
    return rc;
}
