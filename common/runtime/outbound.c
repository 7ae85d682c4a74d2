#include "common/runtime/internal.h"
#include "common/runtime/log.h"

#include <inttypes.h>

struct frame *outbound_frame(struct runtime *rt, struct message *msg)
{
    msg->from = rt->self;
    msg->incarnation = rt->options->incarnation;
    if (msg->kind == MSG_STATUS_REPLY && msg->status_reply.node_count > 0) {
        /* Only here is it known; the sender's own row is the first. */
        msg->status_reply.nodes[0].dropped_count = net_dropped_count(rt->net);
    }
    uint8_t *data;
    size_t size;
    if (wire_encode(&rt->wire, msg, &data, &size) != 0) {
        log_line(LOG_ERROR, "event=unsendable kind=%s", message_kind_name(msg->kind));
        return NULL;
    }
    return frame_new(data, size);
}

static void send_to(struct runtime *rt, struct peer to, const struct message *msg,
                    struct frame *frame)
{
    const struct member *member = to.role == ROLE_CLIENT ? NULL : members_find(rt, to);
    int rc;
    if (member != NULL && member->is_dialled && !member->dialled.is_welcomed) {
        if (member->link == 0) {
            return; /* not shaken hands yet: the core tries again by itself */
        }
        rc = net_send_link(rt->net, member->link, frame);
    } else {
        rc = net_send(rt->net, to, frame);
    }
    if (rc == ERROR_BUSY) {
        log_line(LOG_WARN, "event=dropped kind=%s to_role=%s to_id=%" PRIu64 " reason=queue_full",
                 message_kind_name(msg->kind), role_name(to.role), to.id);
    }
}

static void send_one(struct runtime *rt, struct outgoing *out)
{
    if (peer_equal(out->to, rt->self)) {
        return; /* a core knows what it would tell itself */
    }
    struct frame *frame = outbound_frame(rt, &out->msg);
    if (frame == NULL) {
        return;
    }
    if (out->to.id != 0) {
        send_to(rt, out->to, &out->msg, frame);
    } else {
        for (size_t i = 0; i < rt->member_count; i++) {
            struct peer to = rt->members[i].peer;
            if (to.role == out->to.role && !peer_equal(to, rt->self)) {
                send_to(rt, to, &out->msg, frame);
            }
        }
    }
    frame_unref(frame);
}

void outbound_send(struct runtime *rt, enum send_when when)
{
    for (size_t i = 0; i < rt->fx.send_count; i++) {
        if (rt->fx.sends[i].when == when) {
            send_one(rt, &rt->fx.sends[i]);
        }
    }
}
