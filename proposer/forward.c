#include "proposer/forward.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "proposer/clients.h"

#include <stdlib.h>

/* Batches and bytes on their way to the leader that it has not taken into its log. */
#define SENT_BATCHES_MAX 64
#define SENT_BYTES_MAX (8 * MIB)

/* Batches without an answer are sent again after so many heartbeats. */
#define PATIENCE_HEARTBEATS 4

/* What is known of one acceptor. */
struct node_view {
    int is_heard;             /* it sent a report */
    time_ms_t heard_at;       /* when it last spoke to this proposer */
    struct msg_report report; /* the last one, without its proposers */
};

struct forward {
    struct proposer_options options;
    struct clients clients;
    struct node_view acceptors[MEMBERS_MAX]; /* by index in members.acceptors */
    uint64_t sequence;                       /* of the last heartbeat */
    time_ms_t heartbeat_due_at;

    struct ballot leader;  /* whom batches go to; BALLOT_NONE if unknown */
    struct ballot refused; /* the last leader that said it is none any more; none below it either */
    time_ms_t heard_at;    /* when somebody last heard the leader */

    struct slice sent[SENT_BATCHES_MAX]; /* references, by sequence % SENT_BATCHES_MAX */
    size_t sent_bytes;
    uint64_t taken;    /* batches up to here are in the leader's log, or given up */
    uint64_t next;     /* sequence of the next batch, from 1 */
    time_ms_t sent_at; /* when the oldest batch without an answer was sent, or sent again */
    time_ms_t resent_at;

    struct settings settings;  /* the newest that a learner told, or those of cluster.yml */
    struct message transfer;   /* the request of a client that the leader was asked to fulfil */
    uint64_t transfer_request; /* ours to the leader; 0: none is under way */

    int is_stopping;
    time_ms_t stop_deadline;
};

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
    if (order < 0 || ballot_compare(leader, &f->refused) <= 0) {
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

/* It says so itself: also of one that wanted to hand over, and did not. */
static void on_leading(struct forward *f, const struct event *event, struct effects *out)
{
    const struct ballot *ballot = &event->msg->leading.ballot;
    if (note_spoken(f, event) == NULL || event->msg->incarnation != ballot->incarnation) {
        return;
    }
    if (ballot_equal(ballot, &f->refused)) {
        f->refused = BALLOT_NONE;
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
        roomy |= (acceptor_set_t)(!view->is_heard || !view->report.disk_low) << i;
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

static enum node_state acceptor_state(const struct forward *f, size_t index, time_ms_t now)
{
    const struct node_view *view = &f->acceptors[index];
    if (!view->is_heard || now - view->heard_at >= f->options.election_ms) {
        return NODE_UNREACHABLE;
    }
    node_id_t id = f->options.members.acceptors[index];
    int leads = view->report.leader.proposer == id && view->report.leader_silence_ms == 0;
    return leads ? NODE_LEADING : NODE_VOTING;
}

static void on_status(const struct forward *f, const struct event *event, struct effects *out)
{
    const struct members *members = &f->options.members;
    uint32_t count = (uint32_t)members->acceptor_count + 1;
    struct node_status *nodes = effects_alloc(out, count * sizeof *nodes);
    nodes[0] = (struct node_status){
        .node = {ROLE_PROPOSER, f->options.id},
        .state = forward_state(f),
        .ballot = f->leader,
        .leader = f->leader.proposer,
        .pending_bytes = f->clients.waiting_bytes + f->sent_bytes,
    };
    for (uint32_t i = 0; i < members->acceptor_count; i++) {
        const struct node_view *view = &f->acceptors[i];
        time_ms_t silence_ms = view->is_heard ? event->now - view->heard_at : UINT32_MAX;
        nodes[i + 1] = (struct node_status){
            .node = {ROLE_ACCEPTOR, members->acceptors[i]},
            .state = acceptor_state(f, i, event->now),
            .silence_ms = silence_ms < UINT32_MAX ? (uint32_t)silence_ms : UINT32_MAX,
            .ballot = view->report.promised,
            .leader = view->report.leader.proposer,
            .chosen = view->report.chosen,
            .accepted_max = view->report.accepted_max,
        };
        if (nodes[i + 1].chosen > nodes[0].chosen) {
            nodes[0].chosen = nodes[i + 1].chosen;
        }
    }
    struct message *reply = effects_reply(out, SEND_NOW, event->msg, MSG_STATUS_REPLY);
    reply->status_reply = (struct msg_status_reply){event->msg->status.request, count, nodes};
}

static void on_client(struct forward *f, struct peer client, int is_up)
{
    if (is_up) {
        (void)clients_up(&f->clients, client.id);
    } else {
        clients_down(&f->clients, client.id);
    }
}

/* ---- operators */

static void on_settings(struct forward *f, const struct event *event, struct effects *out)
{
    const struct msg_settings *msg = &event->msg->settings;
    struct settings settings;
    if (event->msg->from.role != ROLE_LEARNER || msg->version <= f->settings.version ||
        settings_parse(msg->settings, &settings, NULL) != 0) {
        return;
    }
    f->settings = settings;
    f->settings.version = msg->version;
    effects_mark(out, MARK_SETTINGS_CHANGED);
}

/* The leading acceptor decides; clients do not speak to it. One request at a time. */
static void on_transfer(struct forward *f, const struct event *event, struct effects *out)
{
    if (ballot_is_none(&f->leader)) {
        struct message *reply = effects_reply(out, SEND_NOW, event->msg, MSG_TRANSFERRED);
        reply->transferred =
            (struct msg_transferred){event->msg->transfer.request, TRANSFER_NOT_LEADER, 0};
        return;
    }
    f->transfer = *event->msg;
    f->transfer_request++;
    struct peer leader = {ROLE_ACCEPTOR, f->leader.proposer};
    struct message *msg = effects_send(out, SEND_NOW, leader, MSG_TRANSFER);
    msg->transfer = (struct msg_transfer){f->transfer_request, event->msg->transfer.to};
}

static void on_transferred(struct forward *f, const struct event *event, struct effects *out)
{
    const struct msg_transferred *answer = &event->msg->transferred;
    if (event->msg->from.role != ROLE_ACCEPTOR || f->transfer.kind != MSG_TRANSFER ||
        answer->request != f->transfer_request) {
        return;
    }
    struct message *reply = effects_reply(out, SEND_NOW, &f->transfer, MSG_TRANSFERRED);
    reply->transferred =
        (struct msg_transferred){f->transfer.transfer.request, answer->status, answer->leader};
    f->transfer = (struct message){0};
}

/* What the acceptors said of each other: the proposer itself has no part in the election. */
static void on_explain(const struct forward *f, const struct event *event, struct effects *out)
{
    const struct members *members = &f->options.members;
    struct msg_explanation reply = {
        .request = event->msg->explain.request,
        .state = forward_state(f),
        .gate = GATE_FORWARDS,
        .leader = f->leader,
        .kind = f->settings.kind,
        .version = f->settings.version,
    };
    reply.acceptors = effects_alloc(out, members->acceptor_count * sizeof *reply.acceptors);
    for (size_t i = 0; i < members->acceptor_count; i++) {
        const struct node_view *view = &f->acceptors[i];
        time_ms_t silence_ms = view->is_heard ? event->now - view->heard_at : UINT32_MAX;
        reply.acceptors[reply.acceptor_count++] = (struct explained_acceptor){
            .acceptor = members->acceptors[i],
            .silence_ms = silence_ms < UINT32_MAX ? (uint32_t)silence_ms : UINT32_MAX,
            .promised = view->report.promised,
            .leader = view->report.leader,
            .leader_silence_ms = view->report.leader_silence_ms,
            .lease_left_ms = view->report.lease_left_ms,
            .chosen = view->report.chosen,
        };
    }
    effects_reply(out, SEND_NOW, event->msg, MSG_EXPLANATION)->explanation = reply;
}

static void on_operator(struct forward *f, const struct event *event, struct effects *out)
{
    switch (event->msg->kind) {
    case MSG_SETTINGS:
        on_settings(f, event, out);
        break;
    case MSG_TRANSFER:
        on_transfer(f, event, out);
        break;
    case MSG_TRANSFERRED:
        on_transferred(f, event, out);
        break;
    case MSG_EXPLAIN:
        on_explain(f, event, out);
        break;
    case MSG_NAME: {
        struct message *reply = effects_reply(out, SEND_NOW, event->msg, MSG_NAMED);
        reply->named =
            (struct msg_named){event->msg->name.request, NAME_NOT_ASKED, f->leader.proposer};
        break;
    }
    default:
        effects_unexpected(out, event->msg);
        break;
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
    case MSG_STATUS:
        on_status(f, event, out);
        break;
    case MSG_PROGRESS: /* for the leading acceptor, which hears it, too */
        break;
    default:
        on_operator(f, event, out);
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
    int is_drained = f->clients.waiting_count == 0 && f->taken + 1 == f->next;
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
