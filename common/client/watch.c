#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/client/handle.h"
#include "common/client/keys.h"

#include <stdlib.h>

struct synod_watch {
    /* Of the watch, or before it begins of the question for the present revision. It is in the
     * table until the watch is given back, so that closing the handle finds it. */
    struct awaited awaited;
    struct synod *s;
    struct slice key, end; /* references */
    uint32_t flags;
    int wants_progress;
    synod_watch_fn fn;
    void *arg;
    uint64_t told; /* everything up to this revision was told, by events or as progress */
    int is_calling;
    int is_stopped; /* to be freed when its callback returns */
};

/* ---- telling */

static void free_watch(struct synod_watch *watch)
{
    slice_drop(&watch->key);
    slice_drop(&watch->end);
    free(watch);
}

static void drop_watch(struct synod *s, struct awaited *self)
{
    (void)s;
    free_watch((struct synod_watch *)self);
}

static void tell(struct synod_watch *watch, int code, const struct synod_events *events)
{
    watch->is_calling = 1;
    watch->fn(watch->arg, code, events);
    watch->is_calling = 0;
}

/* The watch ends; its owner still has to give it back. */
static void tell_end(struct synod_watch *watch, int code, uint64_t revision)
{
    const struct synod_events events = {.revision = revision};
    awaited_add(watch->s, &watch->awaited, watch->awaited.id);
    tell(watch, code, &events);
}

static void tell_event(struct synod_event *out, const struct kv_event *event)
{
    out->is_delete = event->kind == KV_EVENT_DELETE;
    out->kv = keys_kv(&event->kv);
    out->has_previous = event->has_previous;
    if (event->has_previous) {
        out->previous = keys_kv(&event->previous);
    }
}

/* Tells the events of a page, one call for each revision. Stops when the watch is stopped. */
static void tell_events(struct synod_watch *watch, const struct events_page_told *page)
{
    struct synod_event *events = memory_calloc(page->count, sizeof *events);
    struct slice rest = page->events;
    struct kv_event event;
    size_t count = 0;
    int is_more = kv_next_event(&rest, &event) == 1;
    while (is_more && !watch->is_stopped) {
        uint64_t revision = event.kv.mod;
        tell_event(&events[count++], &event);
        is_more = kv_next_event(&rest, &event) == 1;
        if (is_more && event.kv.mod == revision) {
            continue;
        }
        const struct synod_events group = {
            .revision = revision,
            .events = events,
            .count = count,
            .is_continued = page->next_revision == revision,
        };
        watch->told = revision;
        tell(watch, SYNOD_OK, &group);
        count = 0;
    }
    free(events);
}

static void tell_progress(struct synod_watch *watch, uint64_t revision)
{
    if (watch->wants_progress && !watch->is_stopped && revision > watch->told) {
        const struct synod_events progress = {.revision = revision};
        watch->told = revision;
        tell(watch, SYNOD_OK, &progress);
    }
}

static void on_events(struct synod *s, struct awaited *self, const struct completion *completion)
{
    struct synod_watch *watch = (struct synod_watch *)self;
    (void)s;
    if (completion->kind == COMPLETION_EVENTS) {
        const struct events_page_told *page = completion->detail;
        if (page->count > 0) {
            tell_events(watch, page);
        }
        if (page->next_sub == 0) {
            tell_progress(watch, page->next_revision - 1);
        }
    } else {
        tell_end(watch, completion->code, completion->value);
    }
    if (watch->is_stopped) {
        free_watch(watch);
    }
}

/* ---- beginning */

static void begin(struct synod_watch *watch, uint64_t revision, uint32_t flags)
{
    struct synod *s = watch->s;
    const struct client_watch wanted = {
        .key = watch->key, .end = watch->end, .revision = revision, .flags = watch->flags | flags};
    watch->told = revision - 1;
    watch->awaited.fn = on_events;
    awaited_add(s, &watch->awaited, client_watch(s->core, &wanted));
}

/* It begins behind the present revision, as an answer to this handle has named it: it goes on from
 * there, also if that was compacted since. */
static void on_present(struct synod *s, struct awaited *self, const struct completion *completion)
{
    struct synod_watch *watch = (struct synod_watch *)self;
    (void)s;
    if (completion->code == 0) {
        begin(watch, completion->value + 1, WATCH_CONTINUED);
        watch->told = 0;
        tell_progress(watch, completion->value);
        watch->told = completion->value;
    } else {
        tell_end(watch, completion->code, completion->value);
    }
    if (watch->is_stopped) {
        free_watch(watch);
    }
}

/* What to ask for the present revision: anything. */
static struct synod_request present(struct synod_bytes key)
{
    return (struct synod_request){
        .op = SYNOD_RANGE,
        .as.range = {.key = key, .count_only = 1},
    };
}

static int ask_present(struct synod_watch *watch, struct synod_bytes key)
{
    struct synod *s = watch->s;
    struct buffer body = {0};
    int is_read_only = 0;
    const struct synod_request request = present(key);
    int rc = keys_encode(s, &request, &body, &is_read_only);
    if (rc == SYNOD_OK) {
        const struct client_query query = {.op = QUERY_KV,
                                           .body = buffer_slice(&body),
                                           .consistency = READ_LINEARIZABLE,
                                           .deadline = TIME_NEVER};
        watch->awaited.fn = on_present;
        awaited_add(s, &watch->awaited, client_query(s->core, &query));
    }
    buffer_close(&body);
    return rc;
}

/* Waits for the present revision, which is not older than anything acknowledged to anybody. */
static int wait_for_present(struct synod *s, struct synod_bytes key, uint64_t *out)
{
    const struct synod_request request = present(key);
    struct synod_result *result = NULL;
    int rc = keys_run(s, &request, SYNOD_LINEARIZABLE, handle_deadline(s, 0), &result);
    if (rc == SYNOD_OK) {
        *out = result->revision;
        synod_result_free(result);
    }
    return rc;
}

/* ---- the calls */

static int check_options(struct synod *s, const struct synod_watch_options *options)
{
    if (options->key.size == 0 || options->key.size > KEY_BYTES_MAX ||
        options->end.size > KEY_BYTES_MAX) {
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "a watch needs a key of 1 to %zu bytes (it has %zu), and an end of at "
                          "most that; try: synod_prefix_end",
                          KEY_BYTES_MAX, options->key.size);
    }
    if (kv_range_is_empty(slice_borrow(options->key.data, options->key.size),
                          slice_borrow(options->end.data, options->end.size))) {
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "no key lies in what is to be watched (its end is not behind its key), "
                          "so nothing would ever be told; try: an end that is higher than the key");
    }
    if (options->revision > INT64_MAX) {
        return errmsg_set(&s->err, SYNOD_E_USAGE, "%lld is no revision; try: one from 1 to %lld",
                          (long long)options->revision, (long long)INT64_MAX);
    }
    return handle_check(s);
}

static struct slice keep(struct synod_bytes bytes)
{
    return slice_keep(slice_borrow(bytes.data, bytes.size));
}

static struct synod_watch *new_watch(struct synod *s, const struct synod_watch_options *options,
                                     synod_watch_fn fn, void *arg)
{
    struct synod_watch *watch = memory_calloc(1, sizeof *watch);
    watch->awaited.drop = drop_watch;
    watch->awaited.is_owned = 1;
    watch->s = s;
    watch->key = keep(options->key);
    watch->end = keep(options->end);
    watch->flags = (options->previous ? WATCH_PREVIOUS : 0) | (options->no_put ? WATCH_NO_PUT : 0) |
                   (options->no_delete ? WATCH_NO_DELETE : 0);
    watch->wants_progress = options->progress;
    watch->fn = fn;
    watch->arg = arg;
    return watch;
}

int synod_watch_start(struct synod *s, const struct synod_watch_options *options, synod_watch_fn fn,
                      void *arg, struct synod_watch **out)
{
    uint64_t revision = 0;
    int rc = check_options(s, options);
    if (rc == SYNOD_OK && options->revision == 0 && !s->is_in_turn) {
        rc = wait_for_present(s, options->key, &revision);
    }
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct synod_watch *watch = new_watch(s, options, fn, arg);
    if (options->revision != 0) {
        begin(watch, options->revision, 0);
    } else if (!s->is_in_turn) {
        begin(watch, revision + 1, WATCH_CONTINUED);
    } else {
        rc = ask_present(watch, options->key);
        CHECK(rc == SYNOD_OK); /* its key was checked */
    }
    *out = watch;
    return SYNOD_OK;
}

void synod_watch_stop(struct synod_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    client_cancel(watch->s->core, watch->awaited.id);
    awaited_remove(watch->s, &watch->awaited);
    if (watch->is_calling) {
        watch->is_stopped = 1;
        return;
    }
    free_watch(watch);
}
