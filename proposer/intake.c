#include "proposer/state.h"

#include "common/protocol/value.h"

/* Whom a client should ask instead. A proposer never names itself: to whom it says so it does not
 * lead. */
static node_id_t other_leader(const struct proposer *p)
{
    return p->leader != p->options.id ? p->leader : 0;
}

void proposer_on_client(struct proposer *p, struct peer client, int is_up, struct effects *out)
{
    if (!is_up) {
        clients_down(&p->clients, client.id);
    } else if (clients_up(&p->clients, client.id) && p->state == NODE_LEADING) {
        clients_tell_leading(client, &p->ballot, out);
    }
}

void proposer_announce(struct proposer *p, struct effects *out)
{
    clients_announce(&p->clients, 0, &p->ballot, out);
}

void proposer_drop_waiting(struct proposer *p, struct effects *out)
{
    clients_drop_waiting(&p->clients, other_leader(p), out);
}

/* 1 if too few acceptors have room on their disks for an accept quorum. */
static int disks_are_low(const struct proposer *p)
{
    acceptor_set_t roomy = 0;
    for (size_t i = 0; i < p->options.members.acceptor_count; i++) {
        if (p->acceptors[i].is_heard && !p->acceptors[i].report.disk_low) {
            roomy |= (acceptor_set_t)1 << i;
        }
    }
    return !is_accept_quorum(&p->options.members, roomy);
}

static void reject(const struct proposer *p, const struct message *msg, enum reject_reason reason,
                   const struct block *block, struct effects *out)
{
    clients_reject(msg->from, reason, other_leader(p), block, out);
}

void proposer_on_submit(struct proposer *p, const struct message *msg, struct effects *out)
{
    struct slice bytes = msg->submit.block;
    struct block block;
    if (block_parse(bytes, &block, NULL) != 0 || block.client != msg->from.id) {
        reject(p, msg, REJECT_MALFORMED, &(struct block){0}, out);
        return;
    }
    /* Who is about to lead keeps what comes in: it will be proposed in a moment, or rejected. */
    if (p->state != NODE_LEADING && p->state != NODE_RECOVERING) {
        effects_mark(out, MARK_SUBMIT_TO_STANDBY);
        reject(p, msg, REJECT_NOT_LEADER, &block, out);
        return;
    }
    if (p->state == NODE_RECOVERING) {
        effects_mark(out, MARK_SUBMIT_IN_RECOVERY);
    }
    if (disks_are_low(p)) {
        effects_mark(out, MARK_SUBMIT_DISK_LOW);
        reject(p, msg, REJECT_DISK, &block, out);
        return;
    }
    if (clients_push(&p->clients, bytes, msg->from, &block) != 0) {
        effects_mark(out, MARK_SUBMIT_OVER_BUDGET);
        reject(p, msg, REJECT_BUSY, &block, out);
    }
}

void proposer_form_batches(struct proposer *p, time_ms_t now, struct effects *out)
{
    if (p->state != NODE_LEADING && p->state != NODE_DRAINING) {
        return;
    }
    while (p->clients.waiting_count > 0 && proposer_window_has_room(p)) {
        struct slice value = slice_of(clients_take_batch(&p->clients, proposer_stamp(p, now), out));
        proposer_propose(p, value, now, out);
        slice_drop(&value);
    }
    if (p->clients.waiting_count > 0) {
        effects_mark(out, MARK_WINDOW_FULL);
    }
}
