/* What learners tell whoever leads: how far they are, with the digest of it, and at which cluster
 * time a lease is due next. Leases end by the stamps of the log alone, so that the leader has to
 * propose one when a lease is due and nobody asks for anything else; both protocols go by this. */
#ifndef SYNOD_PROTOCOL_DUE_H
#define SYNOD_PROTOCOL_DUE_H

#include "common/protocol/core.h"
#include "common/protocol/members.h"
#include "common/protocol/types.h"

/* What one learner said last; by index in members.learners. */
struct due {
    slot_t applied; /* where it was then */
    uint64_t at_ms; /* cluster time, 0 if nothing is due */
};

/* Notes what MSG_PROGRESS says, if a learner of the configuration sent it. A leader passes the
 * digest on to all learners, each of which compares it with its own. */
void due_on_progress(struct due dues[MEMBERS_MAX], const struct members *members,
                     const struct message *msg, int is_leading, struct effects *out);

/* 1 if something is due that no stamp has passed and that a stamp of now would pass. Asks to be
 * woken at the moment when it would, if that comes within wake_within_ms of now.
 *   stamped_ms  the highest stamp that was proposed, cluster time
 *   stamp_ms    the one that a value proposed now would get, cluster time */
int due_wants_stamp(const struct due dues[MEMBERS_MAX], const struct members *members,
                    uint64_t stamped_ms, uint64_t stamp_ms, time_ms_t now, time_ms_t wake_within_ms,
                    struct effects *out);

#endif
