/* Time for the state machine, when nobody asks for anything else. Leases end by the stamps of the
 * log, so somebody has to propose one when a lease is due; the learners say when. */
#include "common/base/mutant.h"
#include "common/protocol/value.h"
#include "proposer/state.h"

void proposer_on_progress(struct proposer *p, const struct event *event, struct effects *out)
{
    const struct msg_progress *progress = &event->msg->progress;
    int index = members_learner_index(&p->options.members, event->msg->from.id);
    if (index < 0 || event->msg->from.role != ROLE_LEARNER) {
        return;
    }
    struct learner_view *view = &p->learners[index];
    if (progress->applied >= view->applied) { /* an older one came late, or it was made anew */
        view->applied = progress->applied;
        view->due_ms = progress->due_ms;
    }
    if (p->state != NODE_LEADING || progress->applied == 0) {
        return;
    }
    struct message *msg = effects_broadcast(out, SEND_NOW, ROLE_LEARNER, MSG_DIGEST);
    msg->digest = (struct msg_digest){.learner = (node_id_t)event->msg->from.id,
                                      .slot = progress->applied,
                                      .digest = progress->digest};
}

/* The first cluster time at which something is due that no stamp has passed; 0 if nothing is. */
static uint64_t next_due_ms(const struct proposer *p)
{
    uint64_t due_ms = 0;
    for (size_t i = 0; i < p->options.members.learner_count; i++) {
        uint64_t at_ms = p->learners[i].due_ms;
        if (at_ms >= p->stamped_ms && at_ms > 0 && (due_ms == 0 || at_ms < due_ms)) {
            due_ms = at_ms;
        }
    }
    return due_ms;
}

void proposer_tell_time(struct proposer *p, time_ms_t now, struct effects *out)
{
    uint64_t due_ms = next_due_ms(p);
    if (p->state != NODE_LEADING || due_ms == 0 || MUTANT(time_untold)) {
        return;
    }
    uint64_t stamp_ms = proposer_stamp(p, now);
    if (stamp_ms <= due_ms) {
        uint64_t left_ms = due_ms - stamp_ms + 1;
        if (left_ms <= (uint64_t)p->options.election_ms) { /* else a heartbeat comes before */
            effects_wake(out, now + (time_ms_t)left_ms);
        }
        return;
    }
    if (proposer_window_has_room(p)) {
        effects_mark(out, MARK_TIME_TOLD);
        struct slice noop = slice_of(value_noop(stamp_ms));
        proposer_propose(p, noop, now, out);
        slice_drop(&noop);
    }
}
