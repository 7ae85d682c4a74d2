#include "common/protocol/due.h"

void due_on_progress(struct due dues[MEMBERS_MAX], const struct members *members,
                     const struct message *msg, int is_leading, struct effects *out)
{
    const struct msg_progress *progress = &msg->progress;
    int index = members_learner_index(members, msg->from.id);
    if (index < 0 || msg->from.role != ROLE_LEARNER) {
        return;
    }
    struct due *due = &dues[index];
    if (progress->applied >= due->applied) { /* else an older one came late, or it was made anew */
        *due = (struct due){progress->applied, progress->due_ms};
    }
    if (!is_leading || progress->applied == 0) {
        return;
    }
    struct message *digest = effects_broadcast(out, SEND_NOW, ROLE_LEARNER, MSG_DIGEST);
    digest->digest = (struct msg_digest){
        .learner = (node_id_t)msg->from.id, .slot = progress->applied, .digest = progress->digest};
}

/* The first cluster time at which something is due that no stamp has passed; 0 if nothing is. */
static uint64_t next_due_ms(const struct due dues[MEMBERS_MAX], const struct members *members,
                            uint64_t stamped_ms)
{
    uint64_t due_ms = 0;
    for (size_t i = 0; i < members->learner_count; i++) {
        uint64_t at_ms = dues[i].at_ms;
        if (at_ms >= stamped_ms && at_ms > 0 && (due_ms == 0 || at_ms < due_ms)) {
            due_ms = at_ms;
        }
    }
    return due_ms;
}

int due_wants_stamp(const struct due dues[MEMBERS_MAX], const struct members *members,
                    uint64_t stamped_ms, uint64_t stamp_ms, time_ms_t now, time_ms_t wake_within_ms,
                    struct effects *out)
{
    uint64_t due_ms = next_due_ms(dues, members, stamped_ms);
    if (due_ms == 0) {
        return 0;
    }
    if (stamp_ms > due_ms) {
        return 1;
    }
    uint64_t left_ms = due_ms - stamp_ms + 1;
    if (left_ms <= (uint64_t)wake_within_ms) {
        effects_wake(out, now + (time_ms_t)left_ms);
    }
    return 0;
}
