/* When what was compacted is swept: not before every question that was under way had time to come
 * to its end. A compaction is the same everywhere and refuses older questions at once; the sweep is
 * this learner's own, and goes by its own clock, as the events bring it. */
#include "learner/state.h"

/* Compactions that come within this time wait as one, so that few numbers remember them all, were
 * there a thousand a second. */
#define COMPACTIONS_TOGETHER_MS (COMPACTION_GRACE_MS / 8)

/* After a restart the grace begins anew: nothing is remembered of it. */
static void note(struct learner *l, time_ms_t now)
{
    uint64_t compacted = machine_compacted(l->machine);
    if (compacted == l->compacted_seen) {
        return;
    }
    CHECK(compacted > l->compacted_seen);
    l->compacted_seen = compacted;
    struct compaction *last =
        l->compaction_count > 0 ? &l->compactions[l->compaction_count - 1] : NULL;
    if (last != NULL && (now - last->first_at < COMPACTIONS_TOGETHER_MS ||
                         l->compaction_count == COMPACTIONS_WAITING_MAX)) {
        last->revision = compacted;
        last->at = now;
    } else {
        l->compactions[l->compaction_count++] = (struct compaction){compacted, now, now};
    }
}

int learner_sweep(struct learner *l, time_ms_t now, struct effects *out)
{
    note(l, now);
    size_t old = 0;
    while (old < l->compaction_count && now >= l->compactions[old].at + COMPACTION_GRACE_MS) {
        l->sweep_up_to = l->compactions[old++].revision;
    }
    l->compaction_count -= old;
    for (size_t i = 0; old > 0 && i < l->compaction_count; i++) {
        l->compactions[i] = l->compactions[i + old];
    }
    if (l->compaction_count > 0) {
        effects_wake(out, l->compactions[0].at + COMPACTION_GRACE_MS);
    }
    return machine_sweep(l->machine, l->sweep_up_to, out);
}
