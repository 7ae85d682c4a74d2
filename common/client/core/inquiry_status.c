/* How all processes are, as they say, and acceptors as proposers say. */
#include "common/client/core/inquiry.h"

#include "common/base/memory.h"

#define NODES_MAX (3 * MEMBERS_MAX)

struct status {
    struct inquiry inquiry;
    struct inquiry_status result;
    struct node_status nodes[NODES_MAX];
    uint8_t is_heard[NODES_MAX];
};

static void note_status(struct status *status, const struct node_status *said)
{
    for (size_t i = 0; i < status->result.node_count; i++) {
        struct node_status *node = &status->nodes[i];
        /* Of several reports on an acceptor the freshest counts. */
        if (peer_equal(node->node, said->node) &&
            (!status->is_heard[i] || said->silence_ms < node->silence_ms)) {
            *node = *said;
            status->is_heard[i] = 1;
        }
    }
}

static void take(struct client *c, struct inquiry *inquiry, const struct message *msg)
{
    const struct msg_status_reply *reply = &msg->status_reply;
    if (msg->kind != MSG_STATUS_REPLY || !inquiry_take(c, inquiry, msg->from, reply->request)) {
        return;
    }
    for (uint32_t i = 0; i < reply->node_count; i++) {
        const struct node_status *said = &reply->nodes[i];
        /* Of itself, and, by hearsay, of acceptors, which take no clients. */
        if (peer_equal(said->node, msg->from) || said->node.role == ROLE_ACCEPTOR) {
            note_status((struct status *)inquiry, said);
        }
    }
}

static void work(struct client *c, struct inquiry *inquiry, struct effects *out)
{
    const struct status *status = (const struct status *)inquiry;
    const struct contact *contact;
    while ((contact = inquiry_next(c, inquiry)) != NULL) {
        effects_send(out, SEND_NOW, contact->peer, MSG_STATUS)->status.request = inquiry->request;
    }
    time_ms_t patience = inquiry_patience(inquiry);
    int is_any_answered = inquiry->answered != 0;
    if (inquiry_missing_count(inquiry) == 0 || (is_any_answered && c->now >= patience)) {
        inquiry_end(c, inquiry, COMPLETION_STATUS, 0, &status->result, out);
    } else if (c->now >= inquiry->deadline) {
        int code = leaderless(c, "no process answered in time");
        inquiry_end(c, inquiry, COMPLETION_STATUS, code, &status->result, out);
    } else {
        effects_wake(out, is_any_answered ? patience : inquiry->deadline);
    }
}

static void add_nodes(struct status *status, enum role role, const node_id_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        status->nodes[status->result.node_count++] =
            (struct node_status){.node = {role, ids[i]}, .state = NODE_UNREACHABLE};
    }
}

static const struct inquiry_type status_type = {work, take, NULL};

uint64_t client_ask_status(struct client *c, int asks_learners, time_ms_t deadline)
{
    const struct members *members = &c->options.members;
    struct status *status = memory_calloc(1, sizeof *status);
    uint64_t wanted = inquiry_proposers(c);
    status->result.nodes = status->nodes;
    status->result.is_heard = status->is_heard;
    add_nodes(status, ROLE_ACCEPTOR, members->acceptors, members->acceptor_count);
    add_nodes(status, ROLE_PROPOSER, members->proposers, members->proposer_count);
    if (asks_learners) {
        add_nodes(status, ROLE_LEARNER, members->learners, members->learner_count);
        wanted |= inquiry_learners(c);
        contacts_want_all(c);
    }
    inquiry_ask(c, &status->inquiry, wanted);
    return inquiry_add(c, &status->inquiry, &status_type, deadline);
}
