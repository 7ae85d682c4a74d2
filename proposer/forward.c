#include "proposer/forward.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/base/mutant.h"
#include "proposer/forward_state.h"

#include <stdlib.h>

/* Batches without an answer are sent again after so many heartbeats. */
#define PATIENCE_HEARTBEATS 4

struct forward *forward_new(const struct proposer_options *options)
{
    CHECK(options->incarnation != 0);
    CHECK(members_proposer_index(&options->members, options->id) >= 0);
    struct forward *f = memory_calloc(1, sizeof *f);
    f->options = *options;
    f->settings = options->settings;
    f->next = 1;
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        f->acceptors[i].heard_at = -options->election_ms; /* never */
    }
    return f;
}

/* ---- batches on their way */

static void drop_sent(struct forward *f)
{
    for (uint64_t sequence = f->taken + 1; sequence < f->next; sequence++) {
        slice_drop(&f->sent[sequence % SENT_BATCHES_MAX]);
    }
    f->sent_bytes = 0;
    f->taken = f->next - 1;
}

void forward_free(struct forward *f)
{
    if (f == NULL) {
        return;
    }
    drop_sent(f);
    clients_close(&f->clients);
    free(f);
}

static void send_batch(const struct forward *f, uint64_t sequence, struct effects *out)
{
    struct slice held = effects_hold(out, f->sent[sequence % SENT_BATCHES_MAX]);
    struct peer leader = {ROLE_ACCEPTOR, f->leader.proposer};
    struct message *msg = effects_send(out, SEND_NOW, leader, MSG_PROPOSE);
    msg->propose = (struct msg_propose){f->leader, sequence, f->taken + 1, held};
}

/* Sends again what the leader may have missed. Once, whatever number of answers asks for it. */
static void resend(struct forward *f, time_ms_t now, struct effects *out)
{
    if (f->taken + 1 == f->next || now < f->resent_at + f->options.heartbeat_ms) {
        return;
    }
    effects_mark(out, MARK_RAFT_PROPOSED_AGAIN);
    f->resent_at = now;
    f->sent_at = now;
    for (uint64_t sequence = f->taken + 1; sequence < f->next; sequence++) {
        send_batch(f, sequence, out);
    }
}

static void form_batches(struct forward *f, time_ms_t now, struct effects *out)
{
    while (!ballot_is_none(&f->leader) && f->clients.waiting_count > 0 &&
           f->next - f->taken <= SENT_BATCHES_MAX && f->sent_bytes < SENT_BYTES_MAX) {
        struct slice value = slice_of(clients_take_batch(&f->clients, 0, out));
        if (f->taken + 1 == f->next) {
            f->sent_at = now;
        }
        f->sent[f->next % SENT_BATCHES_MAX] = value;
        f->sent_bytes += value.size;
        send_batch(f, f->next++, out);
    }
    if (f->clients.waiting_count > 0) {
        effects_mark(out, MARK_WINDOW_FULL);
    }
}

/* ---- who leads */

/* Notes that an acceptor spoke to this proposer. NULL if the sender is none. */
static struct node_view *note_spoken(struct forward *f, const struct event *event)
{
    int index = members_acceptor_index(&f->options.members, event->msg->from.id);
    if (index < 0 || event->msg->from.role != ROLE_ACCEPTOR) {
        return NULL;
    }
    f->acceptors[index].heard_at = event->now;
    return &f->acceptors[index];
}

/* A leader that others hear, and this proposer does not, is of no use: what was handed to it would
 * never be answered, while another proposer may reach it. */
static int is_in_reach(const struct forward *f, node_id_t acceptor, time_ms_t now)
{
    int index = members_acceptor_index(&f->options.members, acceptor);
    return index >= 0 && now - f->acceptors[index].heard_at < f->options.election_ms;
}

static void lose_leader(struct forward *f, struct effects *out)
{
    if (ballot_is_none(&f->leader)) {
        return;
    }
    effects_note(out, NOTE_INFO, "event=leader_lost term=%llu leader=%u",
                 (unsigned long long)f->leader.round, f->leader.proposer);
    f->leader = BALLOT_NONE;
    drop_sent(f);
    clients_drop_waiting(&f->clients, 0, out);
}

/* What a client hears is a ballot of this proposer, so that it sends here; the term orders it. */
static struct ballot own_ballot(const struct forward *f)
{
    return (struct ballot){f->leader.round, f->options.id, f->options.incarnation};
}

static void find_leader(struct forward *f, const struct ballot *leader, time_ms_t heard_at,
                        time_ms_t now, struct effects *out)
{
    int order = ballot_compare(leader, &f->leader);
    int is_refused = ballot_compare(leader, &f->refused) <= 0;
    if (order < 0 || (is_refused && !MUTANT(raft_refused_leader_taken_again))) {
        return;
    }
    if (order == 0) {
        f->heard_at = heard_at > f->heard_at ? heard_at : f->heard_at;
        return;
    }
    if (!is_in_reach(f, leader->proposer, now)) {
        effects_mark(out, MARK_RAFT_LEADER_OUT_OF_REACH);
        return;
    }
    effects_mark(out, MARK_RAFT_LEADER_CHANGED);
    effects_note(out, NOTE_INFO, "event=leader_found term=%llu leader=%u",
                 (unsigned long long)leader->round, leader->proposer);
    drop_sent(f);
    f->leader = *leader;
    f->heard_at = heard_at;
    /* What the last one was handed may be lost. The clients know what has no result yet, and what
     * comes twice is executed once. */
    struct ballot ballot = own_ballot(f);
    clients_announce(&f->clients, 1, &ballot, out);
}

static void refuse_leader(struct forward *f, const struct ballot *leader, struct effects *out)
{
    if (ballot_compare(leader, &f->refused) > 0) {
        f->refused = *leader;
    }
    if (ballot_compare(&f->leader, &f->refused) <= 0) {
        lose_leader(f, out);
    }
}

static void on_report(struct forward *f, const struct event *event, struct effects *out)
{
    const struct message *msg = event->msg;
    struct node_view *view = note_spoken(f, event);
    if (view == NULL) {
        return;
    }
    if (view->is_heard && msg->report.sequence < view->report.sequence) {
        effects_mark(out, MARK_REPORT_TOO_OLD);
        return;
    }
    view->is_heard = 1;
    view->report = msg->report;
    view->report.proposers = NULL;
    const struct ballot *leader = &view->report.leader;
    time_ms_t silence_ms = view->report.leader_silence_ms;
    if (f->leader.proposer == msg->from.id &&
        ballot_compare(&view->report.promised, &f->leader) > 0) {
        refuse_leader(f, &f->leader, out); /* it voted for another one, or follows it */
    }
    if (!ballot_is_none(leader) && silence_ms < f->options.election_ms) {
        find_leader(f, leader, event->now - silence_ms, event->now, out);
    }
}

/* It says so itself. A copy may be late: who has said since that it leads no more never leads again
 * in that term. */
static void on_leading(struct forward *f, const struct event *event, struct effects *out)
{
    const struct ballot *ballot = &event->msg->leading.ballot;
    if (note_spoken(f, event) == NULL || event->msg->incarnation != ballot->incarnation) {
        return;
    }
    find_leader(f, ballot, event->now, event->now, out);
}

static void on_proposed(struct forward *f, const struct event *event, struct effects *out)
{
    const struct msg_proposed *proposed = &event->msg->proposed;
    (void)note_spoken(f, event);
    if (!ballot_equal(&proposed->ballot, &f->leader) || event->msg->from.id != f->leader.proposer) {
        effects_mark(out, MARK_RAFT_PROPOSED_LATE);
        return;
    }
    if (proposed->status == PROPOSED_NOT_LEADING) {
        refuse_leader(f, &proposed->ballot, out);
        if (!ballot_is_none(&proposed->leader)) {
            find_leader(f, &proposed->leader, event->now, event->now, out);
        }
        return;
    }
    while (f->taken < proposed->sequence && f->taken + 1 < f->next) {
        struct slice *batch = &f->sent[++f->taken % SENT_BATCHES_MAX];
        f->sent_bytes -= batch->size;
        slice_drop(batch);
        f->sent_at = event->now;
    }
    f->heard_at = event->now;
    if (proposed->status == PROPOSED_AGAIN) {
        resend(f, event->now, out);
    }
}

/* ---- clients */

/* 1 if too few acceptors have room on their disks for an accept quorum. */
static int disks_are_low(const struct forward *f)
{
    acceptor_set_t roomy = 0;
    for (size_t i = 0; i < f->options.members.acceptor_count; i++) {
        const struct node_view *view = &f->acceptors[i];
        if (!view->is_heard || !view->report.disk_low) {
            roomy |= (acceptor_set_t)1 << i;
        }
    }
    return !is_accept_quorum(&f->options.members, roomy);
}

static void on_submit(struct forward *f, const struct message *msg, struct effects *out)
{
    struct slice bytes = msg->submit.block;
    struct block block;
    if (block_parse(bytes, &block, NULL) != 0 || block.client != msg->from.id) {
        clients_reject(msg->from, REJECT_MALFORMED, 0, &(struct block){0}, out);
        return;
    }
    clients_note_writer(&f->clients, msg->from.id);
    if (ballot_is_none(&f->leader) || f->is_stopping) {
        effects_mark(out, MARK_SUBMIT_TO_STANDBY);
        clients_reject(msg->from, REJECT_NOT_LEADER, 0, &block, out);
    } else if (disks_are_low(f)) {
        effects_mark(out, MARK_SUBMIT_DISK_LOW);
        clients_reject(msg->from, REJECT_DISK, 0, &block, out);
    } else if (clients_push(&f->clients, bytes, msg->from, &block) != 0) {
        effects_mark(out, MARK_SUBMIT_OVER_BUDGET);
        clients_reject(msg->from, REJECT_BUSY, 0, &block, out);
    }
}

static void on_client(struct forward *f, struct peer client, int is_up)
{
    if (is_up) {
        (void)clients_up(&f->clients, client.id);
    } else {
        clients_down(&f->clients, client.id);
    }
}

/* ---- events */

static void send_heartbeat(struct forward *f, time_ms_t now, struct effects *out)
{
    f->sequence++;
    f->heartbeat_due_at = now + f->options.heartbeat_ms;
    struct message *msg = effects_broadcast(out, SEND_NOW, ROLE_ACCEPTOR, MSG_HEARTBEAT);
    msg->heartbeat = (struct msg_heartbeat){
        .ballot = BALLOT_NONE, .sequence = f->sequence, .version = f->settings.version};
}

static void on_message(struct forward *f, const struct event *event, struct effects *out)
{
    switch (event->msg->kind) {
    case MSG_REPORT:
        on_report(f, event, out);
        break;
    case MSG_LEADING:
        on_leading(f, event, out);
        break;
    case MSG_PROPOSED:
        on_proposed(f, event, out);
        break;
    case MSG_SUBMIT:
        on_submit(f, event->msg, out);
        break;
    case MSG_PROGRESS: /* for the leading acceptor, which hears it, too */
        break;
    default:
        forward_on_question(f, event, out);
        break;
    }
}

static void on_tick(struct forward *f, time_ms_t now, struct effects *out)
{
    if (!ballot_is_none(&f->leader) &&
        (now - f->heard_at >= f->options.election_ms || !is_in_reach(f, f->leader.proposer, now))) {
        lose_leader(f, out); /* should it live, and be in reach, a report will say so */
    }
    if (now >= f->heartbeat_due_at) {
        send_heartbeat(f, now, out);
    }
    if (now - f->sent_at >= PATIENCE_HEARTBEATS * f->options.heartbeat_ms) {
        resend(f, now, out);
    }
}

static void on_peer(struct forward *f, const struct event *event, struct effects *out)
{
    int is_up = event->kind == EVENT_PEER_UP;
    if (event->peer.role == ROLE_CLIENT) {
        on_client(f, event->peer, is_up);
    } else if (event->peer.role == ROLE_ACCEPTOR && is_up) {
        send_heartbeat(f, event->now, out); /* hear from it now, not at the next beat */
        if (event->peer.id == f->leader.proposer) {
            resend(f, event->now, out);
        }
    }
}

static void on_flush(struct forward *f, time_ms_t now, struct effects *out)
{
    form_batches(f, now, out);
    effects_wake(out, f->heartbeat_due_at);
    int is_taken = f->taken + 1 == f->next || MUTANT(raft_proposer_stops_untaken);
    int is_drained = f->clients.waiting_count == 0 && is_taken;
    if (f->is_stopping && (is_drained || now >= f->stop_deadline)) {
        clients_drop_waiting(&f->clients, 0, out);
        out->finished = 1;
    }
}

void forward_step(struct forward *f, const struct event *event, struct effects *out)
{
    switch (event->kind) {
    case EVENT_START:
        send_heartbeat(f, event->now, out);
        break;
    case EVENT_MESSAGE:
        on_message(f, event, out);
        break;
    case EVENT_TICK:
        on_tick(f, event->now, out);
        break;
    case EVENT_FLUSH:
        on_flush(f, event->now, out);
        break;
    case EVENT_PEER_UP:
    case EVENT_PEER_DOWN:
        on_peer(f, event, out);
        break;
    case EVENT_SHUTDOWN:
        f->is_stopping = 1;
        f->stop_deadline = event->now + f->options.election_ms;
        break;
    case EVENT_WRITTEN:
        break;
    }
    CHECK(f->taken < f->next);
    CHECK(!ballot_is_none(&f->leader) || f->sent_bytes == 0);
}

static void step(void *self, const struct event *event, struct effects *out)
{
    forward_step(self, event, out);
}

struct core forward_core(struct forward *f)
{
    return (struct core){f, step};
}

enum node_state forward_state(const struct forward *f)
{
    return ballot_is_none(&f->leader) ? NODE_STANDBY : NODE_LEADING;
}

struct ballot forward_leader(const struct forward *f)
{
    return f->leader;
}
