/* The keys that changed last, in memory, so that a watch of other keys need not read the store: a
 * thousand of them wait, and each has to be asked after every turn. Of this process alone, and no
 * part of the replicated state: it begins empty, and says nothing of what it has forgotten. */
#include "common/base/memory.h"
#include "common/base/mutant.h"
#include "learner/machine/state.h"

#include <stdlib.h>

/* Changes that are remembered, and the bytes of their keys. */
#define RECENT_CHANGES_MAX 4096
#define RECENT_BYTES_MAX (1 * MIB)

struct recent_change {
    uint64_t revision;
    enum kv_event_kind kind;
    struct blob *key;
};

static struct recent_change *change_at(const struct recent *recent, size_t position)
{
    return &recent->changes[(recent->first + position) % RECENT_CHANGES_MAX];
}

static void drop_oldest(struct recent *recent)
{
    struct recent_change *oldest = change_at(recent, 0);
    recent->known_from = oldest->revision + (MUTANT(recent_knows_half_a_revision) ? 0 : 1);
    recent->bytes -= oldest->key->size;
    blob_unref(oldest->key);
    recent->first = (recent->first + 1) % RECENT_CHANGES_MAX;
    recent->count--;
}

void recent_note(struct machine *m, uint64_t revision, enum kv_event_kind kind, struct slice key)
{
    struct recent *recent = &m->recent;
    if (recent->changes == NULL) {
        recent->changes = memory_calloc(RECENT_CHANGES_MAX, sizeof *recent->changes);
        recent->known_from = revision;
    }
    while (recent->count > 0 &&
           (recent->count == RECENT_CHANGES_MAX || recent->bytes + key.size > RECENT_BYTES_MAX)) {
        drop_oldest(recent);
    }
    *change_at(recent, recent->count++) =
        (struct recent_change){revision, kind, blob_copy(key.data, key.size)};
    recent->bytes += key.size;
}

void recent_take_back(struct machine *m)
{
    struct recent *recent = &m->recent;
    while (recent->count > 0) {
        struct recent_change *newest = change_at(recent, recent->count - 1);
        if (newest->revision <= m->revision) {
            break;
        }
        recent->bytes -= newest->key->size;
        blob_unref(newest->key);
        recent->count--;
    }
}

int recent_has_none(const struct machine *m, const struct msg_watch *watch)
{
    const struct recent *recent = &m->recent;
    if (recent->changes == NULL || watch->revision < recent->known_from) {
        return 0;
    }
    for (size_t i = recent->count; i > 0; i--) {
        const struct recent_change *change = change_at(recent, i - 1);
        if (change->revision < watch->revision) {
            break;
        }
        if (events_are_wanted(watch, change->kind, slice_of(change->key))) {
            return 0;
        }
    }
    return 1;
}

void recent_close(struct machine *m)
{
    while (m->recent.count > 0) {
        drop_oldest(&m->recent);
    }
    free(m->recent.changes);
}
