/* What changed since a revision, page by page, for watches. */
#include "common/base/mutant.h"
#include "learner/machine/state.h"

/* Changes, and their bytes, that one page looks at. A watch on a key that seldom changes asks
 * again for the next piece instead of holding everybody up. */
#define EVENTS_SCANNED_MAX 4096
#define EVENTS_SCANNED_BYTES_MAX (4 * MIB)

struct reading {
    struct machine *machine;
    const struct msg_watch *watch;
    struct buffer page;
    size_t bytes_max;
    uint32_t count;
    size_t scanned, scanned_bytes;
    uint64_t revision;      /* the one that is being added */
    size_t revision_begins; /* where it begins in the page */
    uint32_t count_before;  /* events before it */
    struct position next;
    int is_full;
};

int events_are_wanted(const struct msg_watch *watch, enum kv_event_kind kind, struct slice key)
{
    uint32_t filter = kind == KV_EVENT_PUT ? WATCH_NO_PUT : WATCH_NO_DELETE;
    return (watch->flags & filter) == 0 && kv_in_range(key, watch->key, watch->end);
}

struct earlier {
    struct machine *machine;
    struct kv *kv;
    struct blob **blob;
    int is_found;
};

static int visit_earlier(void *arg, struct found *found)
{
    struct earlier *earlier = arg;
    if (found_load(earlier->machine, found)) {
        *earlier->kv = found->kv;
        *earlier->blob = blob_ref(found->blob);
        earlier->is_found = 1;
    }
    return 1;
}

/* 1 if what an event has replaced can be told: above the compacted revision, and where a watch goes
 * on as far as it is there. */
static int is_previous_kept(const struct reading *reading, uint64_t revision)
{
    const struct machine *m = reading->machine;
    return revision > m->compacted ||
           ((reading->watch->flags & WATCH_CONTINUED) != 0 && sweep_has_previous(m, revision));
}

/* The key as of the revision before the change, if that can be read still. */
static int load_previous(const struct reading *reading, const struct change *change,
                         struct kv *previous, struct blob **blob)
{
    struct machine *m = reading->machine;
    uint64_t revision = change->kv.mod;
    struct position at = change->previous;
    if (at.revision == 0 || !is_previous_kept(reading, revision) ||
        (change->kind == KV_EVENT_PUT && change->kv.version == 1)) {
        return 0;
    }
    if (at.revision == revision) {
        /* Several changes of one key in one revision have one before. If the key was deleted and
         * made anew in between, no chain leads there. */
        m->slot_keys = 0;
        struct earlier earlier = {.machine = m, .kv = previous, .blob = blob};
        range_walk(m, change->kv.key, SLICE_EMPTY, revision - 1, visit_earlier, &earlier);
        return earlier.is_found;
    }
    struct change before;
    if (!keys_change_at(m, at, &before, blob)) {
        return 0;
    }
    *previous = before.kv;
    return 1;
}

/* The page ends before the position; a revision of which it has a part goes out of it, unless it
 * has nothing else. */
static int end_page(struct reading *reading, struct position at)
{
    reading->is_full = 1;
    reading->next = at;
    if (reading->revision == at.revision && reading->count_before > 0 &&
        !MUTANT(watch_page_splits_revision)) {
        reading->page.size = reading->revision_begins;
        reading->count = reading->count_before;
        reading->next = (struct position){at.revision, 0};
    }
    return 1;
}

static void begin_revision(struct reading *reading, uint64_t revision)
{
    if (reading->revision != revision) {
        reading->revision = revision;
        reading->revision_begins = reading->page.size;
        reading->count_before = reading->count;
    }
}

static int add_event(struct reading *reading, struct position at, const struct change *change)
{
    struct blob *blob = NULL;
    struct kv_event event = {.kind = change->kind, .sub = at.sub, .kv = change->kv};
    if ((reading->watch->flags & WATCH_PREVIOUS) != 0) {
        event.has_previous = load_previous(reading, change, &event.previous, &blob);
    }
    size_t before = reading->page.size;
    kv_put_event(&reading->page, &event);
    if (event.has_previous) {
        blob_unref(blob);
    }
    if (before > 0 && reading->page.size > reading->bytes_max) {
        reading->page.size = before;
        return end_page(reading, at);
    }
    reading->count++;
    return 0;
}

/* 1 if enough was looked at; but a revision that was begun is brought to its end. */
static int is_enough(const struct reading *reading, struct position at)
{
    int is_far = reading->scanned >= EVENTS_SCANNED_MAX ||
                 reading->scanned_bytes >= EVENTS_SCANNED_BYTES_MAX;
    int is_begun = reading->revision == at.revision && reading->count > reading->count_before;
    return is_far && (!is_begun || MUTANT(watch_far_look_splits_revision));
}

static int visit_event(void *arg, struct slice record, struct slice value)
{
    struct reading *reading = arg;
    struct change change;
    struct reader reader = {record, 0};
    reader_u8(&reader);
    struct position at = {.revision = reader_u64(&reader)};
    at.sub = reader_u32(&reader);
    if (reader.is_short || change_decode(value, &change) != 0) {
        machine_fail(reading->machine, ERROR_CORRUPT);
        return 1;
    }
    if (is_enough(reading, at)) {
        reading->is_full = 1;
        reading->next = at;
        return 1;
    }
    begin_revision(reading, at.revision);
    reading->scanned++;
    reading->scanned_bytes += value.size;
    if (!events_are_wanted(reading->watch, change.kind, change.kv.key) ||
        (MUTANT(watch_skips_sub) && at.sub > 0)) {
        return 0;
    }
    return add_event(reading, at, &change);
}

/* 1 if all that the watch asks for is there. One that goes on below the compacted revision is told
 * all of it, also what was there before, or nothing. */
static int can_be_told(const struct machine *m, const struct msg_watch *watch)
{
    struct position from = {watch->revision, watch->sub};
    uint64_t allowed = watch->revision + MUTANT(watch_begins_below_compaction);
    if (allowed >= m->compacted || MUTANT(compacted_read_allowed)) {
        return 1;
    }
    return (watch->flags & WATCH_CONTINUED) != 0 && sweep_has_events(m, from) &&
           ((watch->flags & WATCH_PREVIOUS) == 0 || sweep_has_previous(m, watch->revision));
}

void machine_events(struct machine *m, const struct msg_watch *watch, struct events_page *page,
                    struct effects *out)
{
    uint64_t after = m->revision + 1;
    *page = (struct events_page){
        .status = RESULT_OK, .next_revision = watch->revision, .next_sub = watch->sub};
    if (kv_range_is_empty(watch->key, watch->end)) {
        page->status = RESULT_MALFORMED; /* it would wait for ever */
        return;
    }
    if (!can_be_told(m, watch)) {
        page->status = RESULT_COMPACTED;
        return;
    }
    if (watch->revision >= after) {
        return;
    }
    if (recent_has_none(m, watch)) {
        page->next_revision = after;
        page->next_sub = 0;
        return;
    }
    size_t wanted = watch->bytes_max;
    struct reading reading = {.machine = m,
                              .watch = watch,
                              .bytes_max = wanted < PAGE_BYTES_TARGET ? wanted : PAGE_BYTES_TARGET};
    struct record_key from;
    struct record_key to;
    view_scan(m, record_event(&from, (struct position){watch->revision, watch->sub}),
              record_table_end(&to, TABLE_EVENTS), visit_event, &reading);
    machine_report(m, out);
    page->next_revision = reading.is_full ? reading.next.revision : after;
    page->next_sub = reading.is_full ? reading.next.sub : 0;
    page->count = reading.count;
    page->events = effects_hold(out, buffer_slice(&reading.page));
    buffer_close(&reading.page);
}
