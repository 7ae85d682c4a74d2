/* The lease of the oracle `lease` (proposer/oracle/lease.c), as one acceptor grants it: to one
 * process at a time, counted from when the request arrives. It has nothing to do with the leader's
 * lease and promises nothing; what it grants is to be named. Whether who asks may lead at all is
 * for the proposer to know.
 *
 * A grant leaves no trace on the disk. So after every start one whole lease is waited out: one that
 * never granted cannot be told from one that granted, stopped and forgot. */
#include "acceptor/state.h"

#include "common/base/mutant.h"

/* How long until anybody may hold it who does not hold it now. */
static time_ms_t time_left(const struct acceptor *a, time_ms_t now)
{
    time_ms_t restart_end = a->started_at + a->options.election_ms;
    time_ms_t end = a->named.until;
    if (restart_end > end && !MUTANT(oracle_lease_forgotten_at_restart)) {
        end = restart_end;
    }
    return end > now ? end - now : 0;
}

static int is_holder(const struct acceptor *a, const struct message *msg, time_ms_t now)
{
    return now < a->named.until && a->named.holder == msg->from.id &&
           a->named.incarnation == msg->incarnation;
}

/* A new life of the holder is another process: it waits like all others, because what the former
 * life sent may still arrive, and give back what the new one counts on. */
static void grant_or_refuse(struct acceptor *a, const struct message *msg, time_ms_t now,
                            struct effects *out)
{
    if (!is_holder(a, msg, now) && time_left(a, now) > 0) {
        effects_mark(out, MARK_ORACLE_LEASE_REFUSED);
        return;
    }
    time_ms_t lease_ms = msg->lease.lease_ms;
    if (lease_ms > a->options.election_ms) {
        lease_ms = a->options.election_ms; /* which is what a restart waits out */
    }
    a->named.holder = (node_id_t)msg->from.id;
    a->named.incarnation = msg->incarnation;
    a->named.sequence = msg->lease.sequence;
    a->named.until = now + lease_ms;
}

void acceptor_on_lease(struct acceptor *a, const struct event *event, struct effects *out)
{
    const struct message *msg = event->msg;
    int index = members_proposer_index(&a->options.members, msg->from.id);
    if (msg->from.role != ROLE_PROPOSER || index < 0) {
        return;
    }
    struct asked *asked = &a->asked[index];
    int is_late = asked->incarnation == msg->incarnation && msg->lease.sequence <= asked->sequence;
    if (is_late) {
        /* A copy, or overtaken by a later one: it would prolong the lease of one that is dead, or
         * give back what was granted since. */
        effects_mark(out, MARK_ORACLE_LEASE_LATE);
    } else {
        *asked = (struct asked){msg->incarnation, msg->lease.sequence};
        if (msg->lease.lease_ms > 0) {
            grant_or_refuse(a, msg, event->now, out);
        } else if (is_holder(a, msg, event->now)) {
            a->named.until = event->now;
        }
    }
    int is_held = event->now < a->named.until;
    int is_granted = is_holder(a, msg, event->now) && a->named.sequence == msg->lease.sequence;
    struct message *reply = effects_reply(out, SEND_NOW, msg, MSG_LEASED);
    reply->leased = (struct msg_leased){
        .sequence = msg->lease.sequence,
        .granted = (uint32_t)is_granted,
        .holder = is_held ? a->named.holder : 0,
        .left_ms = (uint32_t)(is_granted ? a->named.until - event->now : time_left(a, event->now)),
    };
}
