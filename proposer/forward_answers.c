/* What the proposer of Raft mode is asked, and told by operators: it decides nothing about who
 * leads, and passes on what it knows of the acceptors. */
#include "proposer/forward_state.h"

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
        nodes[i + 1] = (struct node_status){
            .node = {ROLE_ACCEPTOR, members->acceptors[i]},
            .state = acceptor_state(f, i, event->now),
            .silence_ms = view->is_heard ? saturate_ms(event->now - view->heard_at) : UINT32_MAX,
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

static void on_settings(struct forward *f, const struct event *event, struct effects *out)
{
    struct settings settings;
    if (message_tells_settings(event->msg, &f->options.members, f->settings.version, &settings)) {
        f->settings = settings;
        effects_mark(out, MARK_SETTINGS_CHANGED);
    }
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
        reply.acceptors[reply.acceptor_count++] = (struct explained_acceptor){
            .acceptor = members->acceptors[i],
            .silence_ms = view->is_heard ? saturate_ms(event->now - view->heard_at) : UINT32_MAX,
            .promised = view->report.promised,
            .leader = view->report.leader,
            .leader_silence_ms = view->report.leader_silence_ms,
            .lease_left_ms = view->report.lease_left_ms,
            .chosen = view->report.chosen,
        };
    }
    effects_reply(out, SEND_NOW, event->msg, MSG_EXPLANATION)->explanation = reply;
}

void forward_on_question(struct forward *f, const struct event *event, struct effects *out)
{
    switch (event->msg->kind) {
    case MSG_STATUS:
        on_status(f, event, out);
        break;
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
