#include "tests/unit/fake_leading.h"

#include "common/base/bytes.h"

#include <string.h>

void fake_apply_settings(struct fake *f, const struct command *command, struct result_range *range)
{
    *range = (struct result_range){.count = 1, .status = RESULT_CHANGED};
    f->settings_version += (uint64_t)fake_count_down(&f->changed_count);
    if (bytes_get_u64(command->payload.data) == f->settings_version) {
        range->status = RESULT_OK;
        f->settings_version++;
        f->settings_size = command->payload.size - 8;
        memcpy(f->settings, command->payload.data + 8, f->settings_size);
    }
    range->value = f->settings_version;
}

void fake_answer_settings(struct fake *f, const struct msg_query *query, struct msg_answer *out,
                          struct buffer *body)
{
    buffer_put_u64(body, f->settings_version);
    buffer_put_u32(body, (uint32_t)f->settings_size);
    buffer_put(body, slice_borrow(f->settings, f->settings_size));
    for (size_t i = 0; i < f->line_count; i++) {
        buffer_put_u32(body, f->line[i].proposer);
        buffer_put_u64(body, f->line[i].incarnation);
        buffer_put_u64(body, f->line[i].since);
        buffer_put_u64(body, f->line[i].expires_ms);
    }
    *out = (struct msg_answer){.request = query->request, .body = buffer_slice(body)};
}

void fake_on_transfer(struct fake *f, struct fake_node *node, const struct message *msg)
{
    const struct msg_transfer *transfer = &msg->transfer;
    enum transfer_status status = TRANSFER_BEGUN;
    node->transfer_count++;
    if (fake_count_down(&f->transfer_drop_count)) {
        return;
    }
    if (node->peer.id != f->leader) {
        status = TRANSFER_NOT_LEADER;
    } else if (fake_count_down(&f->transfer_busy_count)) {
        status = TRANSFER_BUSY;
    } else if (fake_count_down(&f->transfer_unfit_count)) {
        status = TRANSFER_UNFIT;
    } else if (f->transfer_status != TRANSFER_BEGUN) {
        status = f->transfer_status;
    }
    struct message reply = {.kind = MSG_TRANSFERRED};
    node_id_t leader = status == TRANSFER_NOT_LEADER ? f->named_leader : f->leader;
    reply.transferred = (struct msg_transferred){transfer->request, status, leader};
    fake_send(node, msg->from, &reply);
    if (status == TRANSFER_BEGUN) {
        f->leader = f->transfer_leader != 0 ? f->transfer_leader : transfer->to;
    }
}

/* A leader that everybody hears, or a proposer that names it. */
void fake_on_explain(struct fake *f, struct fake_node *node, const struct message *msg)
{
    struct explained_acceptor acceptor = {.acceptor = 1,
                                          .silence_ms = 7,
                                          .promised = {3, 1, 77},
                                          .leader = {3, 1, 77},
                                          .leader_silence_ms = 11,
                                          .lease_left_ms = 489,
                                          .chosen = f->last};
    struct explained_link link = {1, (node_id_t)node->peer.id, 5, 1, f->settings_version};
    const char *why = "the live proposer of highest rank";
    struct message reply = {.kind = MSG_EXPLANATION};
    int is_leader = node->peer.id == f->leader;
    node->explain_count++;
    if (node->explain_limit != 0 && node->explain_count > node->explain_limit) {
        return;
    }
    reply.explanation = (struct msg_explanation){
        .request = msg->explain.request,
        .state = is_leader ? NODE_LEADING : NODE_STANDBY,
        .gate = is_leader ? GATE_SERVES : GATE_LEADER_HEARD,
        .leader = {3, f->leader, f->leader != 0 ? 77 : 0},
        .kind = ORACLE_RING,
        .version = f->settings_version,
        .named = f->leader,
        .attempts = 2,
        .pause_ms = 13,
        .oracle = slice_borrow(why, strlen(why)),
        .acceptor_count = 1,
        .acceptors = &acceptor,
        .link_count = 1,
        .links = &link,
    };
    fake_send(node, msg->from, &reply);
}

void fake_on_name(struct fake *f, struct fake_node *node, const struct message *msg)
{
    node->name_count++;
    node->name = msg->name;
    if (!node->is_name_ignored) {
        struct message reply = {.kind = MSG_NAMED};
        reply.named = (struct msg_named){msg->name.request - (uint64_t)node->is_name_late,
                                         node->name_status, f->leader};
        fake_send(node, msg->from, &reply);
    }
}
