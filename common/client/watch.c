#include "common/client/watch.h"

#include "common/base/memory.h"
#include "common/client/client.h"
#include "common/client/keys.h"
#include "common/protocol/kv.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

/* How long a learner may hold a watch while there is nothing new, and how much longer it may be
 * silent. */
#define WATCH_WAIT_MS 10000
#define WATCH_SILENCE_MS 1000

/* Pause before a page is asked for again that the learner could not give. */
#define WATCH_PAUSE_MS 50

/* ---- asking */

static void forget_asked(struct synod_watch *watch)
{
    if (watch->is_asked) {
        HASH_DEL(watch->s->watches.by_request, watch);
        watch->is_asked = 0;
    }
    watch->s->watches.wake = 0;
}

void watch_forget_asked(struct synod *s)
{
    for (struct synod_watch *watch = s->watches.list; watch != NULL; watch = watch->next) {
        forget_asked(watch);
    }
}

static void ask(struct synod_watch *watch)
{
    struct synod *s = watch->s;
    struct message msg = {.kind = MSG_WATCH};
    watch->request = ++s->request;
    msg.watch = (struct msg_watch){
        .request = watch->request,
        .revision = watch->revision,
        .sub = watch->sub,
        .flags = watch->flags,
        .bytes_max = PAGE_BYTES_TARGET,
        .wait_ms = WATCH_WAIT_MS,
        .key = watch->key,
        .end = watch->end,
    };
    if (links_send(s, links_learner(s), &msg) != 0) {
        watch->not_before = s->now + WATCH_PAUSE_MS;
        return;
    }
    watch->asked_at = s->now;
    watch->asked_behind = s->revision;
    watch->is_asked = 1;
    HASH_ADD(hh, s->watches.by_request, request, sizeof watch->request, watch);
}

/* When this watch has to be looked at again. */
static time_ms_t work_on(struct synod_watch *watch)
{
    struct synod *s = watch->s;
    if (watch->is_over) {
        return TIME_NEVER;
    }
    if (!watch->is_asked && links_learner(s)->is_welcome && s->now >= watch->not_before) {
        ask(watch);
    }
    if (watch->is_asked) {
        return watch->asked_at + WATCH_WAIT_MS + WATCH_SILENCE_MS;
    }
    return watch->not_before > s->now ? watch->not_before : TIME_NEVER;
}

static int owes_a_page(const struct synod_watch *watch)
{
    return watch->is_asked && watch->s->now - watch->asked_at >= WATCH_WAIT_MS + WATCH_SILENCE_MS;
}

time_ms_t watch_work(struct synod *s)
{
    struct watches *w = &s->watches;
    if (w->list == NULL || s->is_closing) {
        return TIME_NEVER;
    }
    if (s->now < w->wake) {
        return w->wake;
    }
    for (const struct synod_watch *watch = w->list; watch != NULL; watch = watch->next) {
        if (owes_a_page(watch)) {
            watch_forget_asked(s);
            links_change_learner(s);
            break;
        }
    }
    time_ms_t wake = TIME_NEVER;
    for (struct synod_watch *watch = w->list; watch != NULL; watch = watch->next) {
        time_ms_t at = work_on(watch);
        wake = at < wake ? at : wake;
    }
    w->wake = wake;
    return wake;
}

/* ---- telling */

static void free_watch(struct synod_watch *watch)
{
    slice_drop(&watch->key);
    slice_drop(&watch->end);
    free(watch);
}

static void end_watch(struct synod_watch *watch)
{
    forget_asked(watch);
    DL_DELETE(watch->s->watches.list, watch);
    free_watch(watch);
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
    watch->is_over = 1;
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

/* Where the page ends, and what was asked of it. */
struct page {
    const struct msg_events *msg;
    uint64_t from_revision;
    uint32_t from_sub;
};

static int is_before(uint64_t revision, uint32_t sub, uint64_t than_revision, uint32_t than_sub)
{
    return revision < than_revision || (revision == than_revision && sub < than_sub);
}

/* Counts the events of a page. -1 if they are not what was asked for: they lie outside of its
 * bounds, are out of order or no events at all. Nothing of such a page is told. */
static int64_t count_events(const struct page *page)
{
    uint64_t revision = page->from_revision;
    uint32_t sub = page->from_sub;
    struct slice rest = page->msg->events;
    struct kv_event event;
    int64_t count = 0;
    int rc;
    if (is_before(page->msg->next_revision, page->msg->next_sub, revision, sub)) {
        return -1;
    }
    while ((rc = kv_next_event(&rest, &event)) == 1) {
        if (is_before(event.kv.mod, event.sub, revision, sub) ||
            !is_before(event.kv.mod, event.sub, page->msg->next_revision, page->msg->next_sub)) {
            return -1;
        }
        revision = event.kv.mod;
        sub = event.sub + 1;
        count++;
    }
    return rc == 0 ? count : -1;
}

/* Tells the events of a page, one call for each revision. Stops when the watch is stopped. */
static void tell_events(struct synod_watch *watch, const struct page *page,
                        struct synod_event *events)
{
    struct slice rest = page->msg->events;
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
            .is_continued = page->msg->next_revision == revision,
        };
        watch->told = revision;
        tell(watch, SYNOD_OK, &group);
        count = 0;
    }
}

static void tell_progress(struct synod_watch *watch, const struct page *page)
{
    uint64_t revision = page->msg->next_revision - 1;
    if (watch->wants_progress && !watch->is_stopped && page->msg->next_sub == 0 &&
        revision > watch->told) {
        const struct synod_events progress = {.revision = revision};
        watch->told = revision;
        tell(watch, SYNOD_OK, &progress);
    }
}

static void try_elsewhere(struct synod_watch *watch, const char *why)
{
    struct synod *s = watch->s;
    snprintf(s->trouble, sizeof s->trouble, "%s", why);
    watch->not_before = s->now + WATCH_PAUSE_MS;
    links_change_learner(s);
}

static void take_page(struct synod_watch *watch, const struct msg_events *msg)
{
    const struct page page = {msg, watch->revision, watch->sub};
    int64_t count = count_events(&page);
    if (count < 0) {
        try_elsewhere(watch, "a learner sent events that were not asked for (a bug)");
        return;
    }
    /* One that is cut off from the others answers, too, and would hold us back for ever. */
    int is_behind = msg->revision < watch->asked_behind;
    watch->s->revision = msg->revision > watch->s->revision ? msg->revision : watch->s->revision;
    watch->revision = msg->next_revision;
    watch->sub = msg->next_sub;
    watch->flags |= WATCH_CONTINUED;
    if (count == 0 && is_behind) {
        try_elsewhere(watch, "the learner lags behind");
    } else {
        ask(watch); /* the next page is on its way while this one is being used */
    }
    if (count > 0) {
        struct synod_event *events = memory_calloc((size_t)count, sizeof *events);
        tell_events(watch, &page, events);
        free(events);
    }
    tell_progress(watch, &page);
}

void watch_on_events(struct synod *s, const struct message *msg)
{
    const struct msg_events *page = &msg->events;
    struct synod_watch *watch;
    HASH_FIND(hh, s->watches.by_request, &page->request, sizeof page->request, watch);
    if (watch == NULL || s->is_closing) {
        return; /* asked again since, or stopped */
    }
    forget_asked(watch);
    switch (page->status) {
    case RESULT_OK:
        take_page(watch, page);
        break;
    case RESULT_COMPACTED:
        tell_end(watch, answers_code(s, page->status, page->revision), page->revision);
        break;
    case RESULT_MALFORMED:
        errmsg_set(
            &s->err, SYNOD_E_USAGE,
            "the learner calls the watch malformed (a bug); try: the same version of Synod on "
            "both sides");
        tell_end(watch, SYNOD_E_USAGE, 0);
        break;
    default:
        try_elsewhere(watch, "the learner has too many reads waiting");
        break;
    }
    if (watch->is_stopped) {
        end_watch(watch);
    }
}

/* ---- the public calls */

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
    if (options->revision == 0 && s->is_in_turn) {
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "a watch that starts in a callback needs a revision (the present one is "
                          "not known without waiting); try: that of the event or result, plus 1");
    }
    return call_check(s);
}

/* The present revision, which is not older than anything acknowledged to anybody. */
static int present_revision(struct synod *s, struct synod_bytes key, uint64_t *out)
{
    const struct synod_request request = {
        .op = SYNOD_RANGE,
        .as.range = {.key = key, .count_only = 1},
    };
    struct synod_result *result = NULL;
    int rc = keys_run(s, &request, SYNOD_LINEARIZABLE, client_deadline(client_now(), s->timeout_ms),
                      &result);
    if (rc == SYNOD_OK) {
        *out = result->revision;
        synod_result_free(result);
    }
    return rc;
}

static struct slice keep(struct synod_bytes bytes)
{
    return slice_keep(slice_borrow(bytes.data, bytes.size));
}

static struct synod_watch *open_watch(struct synod *s, const struct synod_watch_options *options,
                                      synod_watch_fn fn, void *arg)
{
    struct synod_watch *watch = memory_calloc(1, sizeof *watch);
    watch->s = s;
    watch->key = keep(options->key);
    watch->end = keep(options->end);
    watch->flags = (options->previous ? WATCH_PREVIOUS : 0) | (options->no_put ? WATCH_NO_PUT : 0) |
                   (options->no_delete ? WATCH_NO_DELETE : 0);
    watch->wants_progress = options->progress;
    watch->fn = fn;
    watch->arg = arg;
    watch->revision = options->revision;
    watch->told = options->revision - 1;
    DL_APPEND(s->watches.list, watch);
    s->watches.wake = 0;
    return watch;
}

int watch_continue(struct synod *s, const struct synod_watch_options *options, synod_watch_fn fn,
                   void *arg, struct synod_watch **out)
{
    CHECK(options->revision > 0);
    int rc = check_options(s, options);
    if (rc == SYNOD_OK) {
        *out = open_watch(s, options, fn, arg);
        (*out)->flags |= WATCH_CONTINUED;
    }
    return rc;
}

int synod_watch_start(struct synod *s, const struct synod_watch_options *options, synod_watch_fn fn,
                      void *arg, struct synod_watch **out)
{
    struct synod_watch_options from = *options;
    int rc = check_options(s, options);
    if (rc == SYNOD_OK && options->revision == 0) {
        rc = present_revision(s, options->key, &from.revision);
        from.revision++;
        return rc == SYNOD_OK ? watch_continue(s, &from, fn, arg, out) : rc;
    }
    if (rc == SYNOD_OK) {
        *out = open_watch(s, options, fn, arg);
    }
    return rc;
}

void synod_watch_stop(struct synod_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    if (watch->is_calling) {
        watch->is_stopped = 1;
        return;
    }
    end_watch(watch);
}

void watch_close(struct synod *s)
{
    struct synod_watch *next;
    HASH_CLEAR(hh, s->watches.by_request);
    for (struct synod_watch *watch = s->watches.list; watch != NULL; watch = next) {
        next = watch->next;
        free_watch(watch);
    }
    s->watches.list = NULL;
}
