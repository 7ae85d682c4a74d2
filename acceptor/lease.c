#include "acceptor/state.h"

#include "common/base/mutant.h"

time_ms_t acceptor_lease_left(const struct acceptor *a, const struct ballot *ballot, time_ms_t now)
{
    time_ms_t left = 0;
    if (!ballot_is_none(&a->leader) && now < a->lease_until &&
        !(ballot->proposer == a->leader.proposer && ballot->incarnation == a->leader.incarnation)) {
        left = a->lease_until - now;
    }
    /* In its former life it may have granted a lease that still runs. */
    time_ms_t restart_end = a->started_at + a->options.election_ms;
    if (a->promised_before_start && now < restart_end && restart_end - now > left &&
        !MUTANT(lease_forgotten_at_restart)) {
        left = restart_end - now;
    }
    return left;
}

static void send_report(struct acceptor *a, const struct event *event, struct effects *out)
{
    const struct members *members = &a->options.members;
    /* Behind the disk: a leader whose acceptors cannot sync any more must not feel safe. */
    struct message *msg = effects_reply(out, SEND_AFTER_DURABLE, event->msg, MSG_REPORT);
    struct msg_report *report = &msg->report;
    report->sequence = event->msg->heartbeat.sequence;
    report->promised = a->promised;
    report->leader = a->leader;
    if (a->is_released) {
        report->leader_silence_ms = UINT32_MAX;
    } else {
        time_ms_t since = ballot_is_none(&a->leader) ? a->started_at : a->leader_heard_at;
        report->leader_silence_ms = saturate_ms(event->now - since);
    }
    report->lease_left_ms = saturate_ms(acceptor_lease_left(a, &BALLOT_NONE, event->now));
    report->chosen = a->chosen;
    report->accepted_max = a->log.last;
    report->disk_low = a->disk_low != 0;
    if (a->disk_low) {
        effects_mark(out, MARK_DISK_LOW);
    }
    report->proposer_count = (uint32_t)members->proposer_count;
    report->proposers = effects_alloc(out, members->proposer_count * sizeof *report->proposers);
    for (size_t i = 0; i < members->proposer_count; i++) {
        const struct heard *heard = &a->heard[i];
        report->proposers[i] = (struct proposer_report){
            .proposer = members->proposers[i],
            .silence_ms = heard->is_heard ? saturate_ms(event->now - heard->at) : UINT32_MAX,
            .reaches_quorum = heard->reaches_quorum,
            .version = heard->version,
        };
    }
}

/* 0 if it is a late copy. Which of two incarnations is the living one cannot be told from them, so
 * that each is counted for itself. */
static int is_news(struct heard *heard, uint64_t incarnation, uint64_t sequence)
{
    for (size_t i = 0; i < LIVES_REMEMBERED; i++) {
        struct life *life = &heard->lives[i];
        if (life->incarnation == incarnation) {
            int is_newer = sequence > life->sequence;
            life->sequence = is_newer ? sequence : life->sequence;
            return is_newer;
        }
    }
    heard->lives[heard->next_life] = (struct life){incarnation, sequence};
    heard->next_life = (heard->next_life + 1) % LIVES_REMEMBERED;
    return 1;
}

void acceptor_on_heartbeat(struct acceptor *a, const struct event *event, struct effects *out)
{
    const struct message *msg = event->msg;
    const struct msg_heartbeat *heartbeat = &msg->heartbeat;
    int index = members_proposer_index(&a->options.members, msg->from.id);
    if (msg->from.role != ROLE_PROPOSER || index < 0) {
        return;
    }
    struct heard *heard = &a->heard[index];
    if (!is_news(heard, msg->incarnation, heartbeat->sequence) && !MUTANT(late_heartbeat_taken)) {
        /* A late copy proves no life: it would prolong the lease of a leader that is dead. */
        send_report(a, event, out);
        return;
    }
    heard->is_heard = 1;
    heard->at = event->now;
    heard->reaches_quorum = heartbeat->reaches_quorum;
    heard->version = heartbeat->version;
    int order = ballot_compare(&heartbeat->ballot, &a->promised);
    int is_leader = !ballot_is_none(&heartbeat->ballot) &&
                    (order > 0 || ballot_equal(&heartbeat->ballot, &a->promised));
    if (is_leader) {
        time_ms_t lease_ms = heartbeat->lease_ms;
        if (lease_ms > a->options.election_ms) {
            lease_ms = a->options.election_ms; /* nobody can block the cluster for longer */
        }
        if (order > 0) {
            /* A quorum promised it. Following it here, too, costs nothing, and makes the lease
             * leave a trace on the disk: after a restart it is waited out. */
            effects_mark(out, MARK_HEARTBEAT_RAISES_PROMISE);
            acceptor_raise_promise(a, &heartbeat->ballot, out);
        }
        a->leader = heartbeat->ballot;
        a->leader_heard_at = event->now;
        a->is_released = a->is_released && MUTANT(released_for_ever);
        a->lease_until = event->now + lease_ms;
        acceptor_on_commit(a, &heartbeat->ballot, heartbeat->commit, event->now);
    } else if (!ballot_is_none(&heartbeat->ballot)) {
        effects_mark(out, MARK_HEARTBEAT_OF_DEPOSED);
    }
    send_report(a, event, out);
}

void acceptor_on_release(struct acceptor *a, const struct message *msg, struct effects *out)
{
    if (!ballot_equal(&msg->release.ballot, &a->leader)) {
        effects_mark(out, MARK_RELEASE_OF_OTHER);
        return; /* a leader that this acceptor does not follow has nothing to give up here */
    }
    effects_mark(out, MARK_LEASE_RELEASED);
    a->is_released = 1;
    a->lease_until = 0;
    effects_note(out, NOTE_INFO, "event=lease_released round=%llu proposer=%u successor=%u",
                 (unsigned long long)a->leader.round, a->leader.proposer, msg->release.successor);
}
