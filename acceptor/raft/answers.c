/* What proposers and learners ask a Raft node, answered as an acceptor of Paxos mode does. */
#include "acceptor/raft/state.h"

void raft_on_heartbeat(struct raft *r, const struct event *event, struct effects *out)
{
    time_ms_t silence_ms = r->role == RAFT_LEADER ? 0 : event->now - r->heard_at;
    int is_led = !ballot_is_none(&r->leader);
    /* Behind the disk: who cannot sync any more must not look well. */
    struct message *msg = effects_reply(out, SEND_AFTER_DURABLE, event->msg, MSG_REPORT);
    if (r->disk_low) {
        effects_mark(out, MARK_DISK_LOW);
    }
    msg->report = (struct msg_report){
        .sequence = event->msg->heartbeat.sequence,
        /* The newest vote given, or leader followed: below it nothing is taken. */
        .promised = ballot_compare(&r->vote, &r->known) > 0 ? r->vote : r->known,
        .leader = is_led ? r->leader : r->known,
        .leader_silence_ms = is_led ? saturate_ms(silence_ms) : UINT32_MAX,
        .lease_left_ms = is_led ? saturate_ms(r->options.election_ms - silence_ms) : 0,
        .chosen = r->commit,
        .accepted_max = r->log.last,
        .disk_low = r->disk_low != 0,
    };
}

void raft_on_fetch(struct raft *r, const struct message *msg, struct effects *out)
{
    const struct msg_fetch *fetch = &msg->fetch;
    struct page page = page_at(fetch->from, fetch->bytes_max);
    if (fetch->from > r->commit) {
        effects_mark(out, MARK_FETCH_BEYOND_CHOSEN);
    } else {
        slot_log_read(&r->log, r->commit, r->commit, &page, out);
        if (page.next <= r->commit) {
            effects_mark(out, MARK_PAGE_FULL);
        }
    }
    struct message *reply = effects_reply(out, SEND_NOW, msg, MSG_CHOSEN);
    reply->chosen = (struct msg_chosen){.from = fetch->from,
                                        .chosen = r->commit,
                                        .trimmed = 0,
                                        .entry_count = page.count,
                                        .entries = page.entries};
}

void raft_on_read_index(struct raft *r, const struct event *event, struct effects *out)
{
    const struct message *msg = event->msg;
    if (r->log.last > r->commit && !raft_hears_leader(r, event->now)) {
        /* Whether the end of this log will ever be committed nobody can tell, and a read that
         * waited for it could wait for ever. Where there is a leader, others answer; where there
         * is none, the learner asks again. */
        effects_mark(out, MARK_RAFT_READ_INDEX_UNSETTLED);
        return;
    }
    struct message *reply = effects_reply(out, SEND_NOW, msg, MSG_READ_INDEX_REPLY);
    reply->read_index_reply = (struct msg_read_index_reply){msg->read_index.request, r->log.last};
}
