/* Time for the state machine, when nobody asks for anything else. Leases end by the stamps of the
 * log, so somebody has to propose one when a lease is due; the learners say when. */
#include "common/base/mutant.h"
#include "common/protocol/value.h"
#include "proposer/state.h"

void proposer_on_progress(struct proposer *p, const struct event *event, struct effects *out)
{
    due_on_progress(p->dues, &p->options.members, event->msg, p->state == NODE_LEADING, out);
}

void proposer_tell_time(struct proposer *p, time_ms_t now, struct effects *out)
{
    if (p->state != NODE_LEADING || MUTANT(time_untold)) {
        return;
    }
    uint64_t stamp_ms = proposer_stamp(p, now);
    if (due_wants_stamp(p->dues, &p->options.members, p->stamped_ms, stamp_ms, now,
                        p->options.election_ms, out) && /* a heartbeat comes before that */
        proposer_window_has_room(p)) {
        effects_mark(out, MARK_TIME_TOLD);
        struct slice noop = slice_of(value_noop(stamp_ms));
        proposer_propose(p, noop, now, out);
        slice_drop(&noop);
    }
}
