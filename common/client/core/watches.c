/* Watches. A watch is a position, revision and place within it, and one long poll at a time: the
 * learner keeps nothing of it, and any learner can go on. */
#include "common/client/core/state.h"

#include "common/base/mutant.h"

uint64_t ask_watch(struct client *c, const struct client_watch *watch, struct listener *listener)
{
    struct question *q = question_new(c, QUESTION_WATCH, listener, TIME_NEVER);
    q->watch.key = slice_keep(watch->key);
    q->watch.end = slice_keep(watch->end);
    q->watch.flags = watch->flags;
    q->watch.revision = watch->revision;
    question_start(c, q);
    return q->pending.id;
}

uint64_t client_watch(struct client *c, const struct client_watch *watch)
{
    return ask_watch(c, watch, NULL);
}

void watch_put(struct client *c, struct question *q, struct message *msg)
{
    q->watch.asked_behind = c->questions.revision;
    msg->watch = (struct msg_watch){
        .revision = q->watch.revision,
        .sub = q->watch.sub,
        .flags = q->watch.flags,
        .bytes_max = c->options.page_bytes,
        .wait_ms = c->options.poll_wait_ms,
    };
}

static int is_before(uint64_t revision, uint32_t sub, uint64_t than_revision, uint32_t than_sub)
{
    return revision < than_revision || (revision == than_revision && sub < than_sub);
}

/* Counts the events of a page. -1 if they are not what was asked for: they lie outside of its
 * bounds, are out of order or no events at all. Nothing of such a page is told. */
static int64_t count_events(const struct question *q, const struct msg_events *page)
{
    uint64_t revision = q->watch.revision;
    uint32_t sub = q->watch.sub;
    struct slice rest = page->events;
    struct kv_event event;
    int64_t count = 0;
    int rc;
    if (is_before(page->next_revision, page->next_sub, revision, sub)) {
        return -1;
    }
    while ((rc = kv_next_event(&rest, &event)) == 1) {
        if (is_before(event.kv.mod, event.sub, revision, sub) ||
            !is_before(event.kv.mod, event.sub, page->next_revision, page->next_sub)) {
            return -1;
        }
        revision = event.kv.mod;
        sub = event.sub + 1;
        count++;
    }
    return rc == 0 ? count : -1;
}

static void take_page(struct client *c, struct question *q, const struct msg_events *page,
                      struct effects *out)
{
    int64_t count = count_events(q, page);
    if (count < 0) {
        question_rest(c, q, "a learner sent events that were not asked for (a bug)");
        return;
    }
    struct events_page_told *told = effects_alloc(out, sizeof *told);
    *told = (struct events_page_told){.events = page->events,
                                      .count = (size_t)count,
                                      .next_revision = page->next_revision,
                                      .next_sub = page->next_sub};
    struct listener *listener = q->listener;
    uint64_t id = q->pending.id;
    /* One that is cut off from the others answers, too, and would hold us back for ever. */
    int is_behind = page->revision < q->watch.asked_behind;
    questions_note_revision(c, page->revision);
    q->watch.revision = MUTANT(client_watch_skips_pages) ? page->revision + 1 : page->next_revision;
    q->watch.sub = MUTANT(client_watch_repeats_revision) ? 0 : page->next_sub;
    q->watch.flags |= WATCH_CONTINUED;
    if (count == 0 && is_behind) {
        question_rest(c, q, "the learner lags behind");
    } else {
        question_again(c, q, out); /* the next page is on its way while this one is being used */
    }
    const struct answer answer = {
        .kind = COMPLETION_EVENTS, .value = page->revision, .detail = told};
    tell_listener(c, listener, id, &answer, out);
}

void watch_take(struct client *c, struct question *q, const struct message *msg,
                struct effects *out)
{
    const struct msg_events *page = &msg->events;
    struct answer end = {.kind = COMPLETION_WATCH};
    switch (page->status) {
    case RESULT_OK:
        take_page(c, q, page, out);
        return;
    case RESULT_COMPACTED:
        end.code = results_code(c, page->status, page->revision);
        end.value = page->revision;
        break;
    case RESULT_MALFORMED:
        end.code = errmsg_set(&c->err, ERROR_USAGE,
                              "the learner calls the watch malformed (a bug); try: the same "
                              "version of Synod on both sides");
        break;
    default:
        question_rest_busy(c, q);
        return;
    }
    question_end(c, q, &end, out);
}
