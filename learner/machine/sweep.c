/* Compaction, second half: what can be read no more is deleted, a piece in each turn.
 *
 * Events are passed once, in order. Each names the version that it replaced, so nothing has to be
 * looked up. What belongs to the compacted revision itself is kept until the next compaction: a
 * watch may begin there.
 *
 * What is whole. While the sweep goes towards a compaction at C it deletes two things, both before
 * C: the version that an event has replaced, when it passes that event; and a tombstone, when it
 * passes it. `swept` is the first event that was not passed, and (C, 0) at the end, when those of C
 * were passed, too. In either case every event that was passed has a revision of at most
 * swept.revision, and all that was deleted lies before `swept`. Therefore
 *
 *   keys as of R           are whole if R >= swept.revision: a version that is seen at R could only
 *                          be deleted with an event above R;
 *   events from P on       are whole if P >= swept;
 *   what an event at R     is there if R > swept.revision: it is deleted with that very event.
 *   has replaced
 *
 * A question that begins is held to the compacted revision, which is never below `swept` and the
 * same at every learner; one that goes on is held to this rule. */
#include "common/base/bytes.h"
#include "common/base/mutant.h"
#include "learner/machine/state.h"

/* Events of one turn, and their bytes. */
#define SWEEP_EVENTS_MAX 512
#define SWEEP_BYTES_MAX (1 * MIB)

/* Key 'w': revision and sub of the first event that is not swept. Of this learner alone. */
#define SWEEP_VALUE_BYTES 12

static int is_before(struct position a, struct position b)
{
    return a.revision < b.revision || (a.revision == b.revision && a.sub < b.sub);
}

/* ---- what is whole */

int sweep_has_keys(const struct machine *m, uint64_t revision)
{
    return revision >= m->swept.revision || MUTANT(swept_keys_served);
}

int sweep_has_events(const struct machine *m, struct position from)
{
    return !is_before(from, m->swept) || MUTANT(swept_events_served);
}

int sweep_has_previous(const struct machine *m, uint64_t revision)
{
    return revision > m->swept.revision;
}

/* ---- sweeping */

static void forget(struct machine *m, struct slice key, struct position at)
{
    struct record_key record;
    view_delete(m, record_event(&record, at));
    view_delete(m, record_version(&record, key, at));
}

/* Deletes what an event has replaced, and a tombstone itself: what it replaced goes with it. */
static void sweep_event(struct machine *m, struct position at, const struct change *change)
{
    uint64_t target = m->sweep_target;
    CHECK(at.revision <= target);
    int is_before_target = change->previous.revision < target + MUTANT(swept_at_the_compaction);
    if (change->previous.revision != 0 && is_before_target && !MUTANT(prev_not_swept)) {
        forget(m, change->kv.key, change->previous);
    }
    if (change->kind == KV_EVENT_DELETE && at.revision < target) {
        forget(m, change->kv.key, at);
    }
}

/* What was found, to be swept when the scan is over: a visitor changes nothing. */
struct found_events {
    struct effects *out;
    struct slice values[SWEEP_EVENTS_MAX];
    struct position at[SWEEP_EVENTS_MAX];
    size_t count, bytes;
    int has_more;
    struct position next; /* if there is more */
};

static int visit_event(void *arg, struct slice record, struct slice value)
{
    struct found_events *found = arg;
    struct reader reader = {record, 0};
    reader_u8(&reader);
    struct position at = {.revision = reader_u64(&reader)};
    at.sub = reader_u32(&reader);
    if (found->count == SWEEP_EVENTS_MAX || found->bytes >= SWEEP_BYTES_MAX) {
        found->has_more = 1;
        found->next = at;
        return 1;
    }
    found->at[found->count] = at;
    found->values[found->count++] = effects_hold(found->out, value);
    found->bytes += value.size;
    return 0;
}

/* 1 if a sweep is under way. A new one begins with all of the revision that the last one reached:
 * what was kept because it stood at that compaction goes now. */
static int is_under_way(struct machine *m, uint64_t up_to)
{
    CHECK(up_to <= m->compacted);
    int is_new = up_to > m->swept.revision || (up_to == m->swept.revision && m->swept.sub > 0);
    if (m->sweep_target == 0 && is_new) {
        m->sweep_target = up_to;
        m->sweep_next = (struct position){m->swept.revision, 0};
    }
    return m->sweep_target != 0;
}

/* Writes how far the sweep is. What it looks at a second time it has not gone back to. */
static void note_swept(struct machine *m, const struct found_events *found)
{
    m->sweep_next = found->next;
    if (!found->has_more) {
        m->swept = (struct position){m->sweep_target, 0};
        m->sweep_target = 0;
    } else if (is_before(m->swept, found->next)) {
        m->swept = found->next;
    }
    CHECK(m->swept.revision <= m->compacted);
    uint8_t *value;
    struct blob *blob = blob_new(SWEEP_VALUE_BYTES, &value);
    bytes_put_u64(value, m->swept.revision);
    bytes_put_u32(value + 8, m->swept.sub);
    view_put(m, slice_borrow("w", 1), blob);
}

int machine_sweep(struct machine *m, uint64_t up_to, struct effects *out)
{
    if (!is_under_way(m, up_to)) {
        return 0;
    }
    uint64_t target = m->sweep_target;
    struct found_events found = {.out = out};
    struct record_key from;
    struct record_key to;
    view_scan(m, record_event(&from, m->sweep_next),
              record_event(&to, (struct position){target + 1, 0}), visit_event, &found);
    for (size_t i = 0; i < found.count; i++) {
        struct change change;
        if (change_decode(found.values[i], &change) != 0 ||
            !is_before(change.previous, found.at[i])) {
            machine_fail(m, ERROR_CORRUPT);
            break;
        }
        sweep_event(m, found.at[i], &change);
    }
    note_swept(m, &found);
    effects_mark(out, MARK_SWEPT);
    machine_report(m, out);
    return found.has_more || up_to > target;
}

uint64_t machine_swept(const struct machine *m)
{
    return m->swept.revision;
}

int sweep_load(struct machine *m)
{
    struct blob *blob;
    int rc = m->reader.get(m->reader.self, slice_borrow("w", 1), &blob);
    if (rc != 0) {
        return rc == ERROR_NOT_FOUND ? 0 : rc;
    }
    if (blob->size != SWEEP_VALUE_BYTES) {
        rc = ERROR_CORRUPT;
    } else {
        m->swept = (struct position){bytes_get_u64(blob->data), bytes_get_u32(blob->data + 8)};
    }
    blob_unref(blob);
    return rc == 0 && m->swept.revision > m->compacted ? ERROR_CORRUPT : rc;
}
