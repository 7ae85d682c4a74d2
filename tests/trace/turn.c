#include "tests/trace/turn.h"

#include "common/base/bytes.h"
#include "common/base/check.h"
#include "tests/trace/answers.h"
#include "tests/trace/proposer_watch.h"
#include "tests/trace/raft_rules.h"
#include "tests/trace/read_watch.h"

static void observe_delivery(const struct cluster *cluster, const struct packet *packet,
                             const char *fate)
{
    const struct cluster_observer *o = &cluster->observer;
    if (o->delivered != NULL) {
        o->delivered(o->self, &cluster->nodes[packet->from], &cluster->nodes[packet->to],
                     &packet->msg, fate);
    }
}

void turn_send(struct cluster *cluster, const struct node *from, const struct node *to,
               struct message *msg)
{
    if (msg->from.role == ROLE_NONE) {
        msg->from = from->self;
    }
    if (msg->incarnation == 0) {
        msg->incarnation = from->incarnation;
    }
    if (cluster->hooks.send != NULL) {
        cluster->hooks.send(cluster->hooks.self, from, to, msg);
        return;
    }
    int sent =
        network_send(&cluster->network, cluster_index(cluster, from), cluster_index(cluster, to),
                     msg, cluster->now + cluster->options.latency_ms);
    if (cluster->observer.sent != NULL) {
        cluster->observer.sent(cluster->observer.self, from, to, msg, !sent);
    }
}

/* 1 if the process survived that point of its turn. */
static int reach(struct cluster *cluster, struct node *node, enum turn_point point)
{
    if (cluster->hooks.reached != NULL) {
        cluster->hooks.reached(cluster->hooks.self, node, point);
    }
    return node->mode == NODE_UP;
}

/* Sends to one peer, or to every member of the role but the sender. 0 if the process died. */
static int send_outgoing(struct cluster *cluster, struct node *node, struct outgoing *out,
                         enum turn_point point)
{
    checker_on_send(&cluster->checker, node->self, &out->msg,
                    node->self.role == ROLE_ACCEPTOR ? node->disk : NULL);
    CHECK(out->to.role != ROLE_NONE);
    for (size_t i = 0; i < cluster->node_count; i++) {
        struct node *to = &cluster->nodes[i];
        if (to->self.role != out->to.role || to == node ||
            (out->to.id != 0 && out->to.id != to->self.id)) {
            continue;
        }
        if (!reach(cluster, node, point)) {
            return 0;
        }
        turn_send(cluster, node, to, &out->msg);
    }
    return 1;
}

/* 0 if the process died on the way. */
static int send_all(struct cluster *cluster, struct node *node, enum send_when when,
                    enum turn_point point)
{
    for (size_t i = 0; i < node->fx.send_count; i++) {
        if (node->fx.sends[i].when == when &&
            !send_outgoing(cluster, node, &node->fx.sends[i], point)) {
            return 0;
        }
    }
    return 1;
}

static void show_notes(const struct cluster *cluster, const struct node *node)
{
    if (cluster->observer.noted == NULL) {
        return;
    }
    for (size_t i = 0; i < node->fx.note_count; i++) {
        cluster->observer.noted(cluster->observer.self, node, &node->fx.notes[i]);
    }
}

/* 1 if the core asked its process to end: it is down then. */
static int ended(struct cluster *cluster, struct node *node)
{
    if (node->fx.fatal == 0 && !node->fx.finished) {
        return 0;
    }
    if (cluster->observer.ended != NULL) {
        cluster->observer.ended(cluster->observer.self, node,
                                node->fx.fatal != 0 ? node->fx.fatal_text.text : "finished");
    }
    int is_excused = node->may_end && node->fx.fatal == ERROR_CORRUPT;
    if (node->fx.fatal != 0 && !is_excused) {
        checker_violate(&cluster->checker, "ended", "%s ends: %s", node->name,
                        node->fx.fatal_text.text);
    }
    cluster_crash(cluster, node, 0);
    return 1;
}

void turn_on_durable(void *arg, struct slice key, struct blob *value)
{
    struct durable_target *target = arg;
    if (target->node->self.role == ROLE_ACCEPTOR) {
        checker_on_durable(&target->cluster->checker, (node_id_t)target->node->self.id, key, value);
    }
}

static void step_raft(struct cluster *cluster, struct node *node, const struct event *event)
{
    const struct raft_step done = {
        .acceptor = members_acceptor_index(&cluster->options.members, node->self.id),
        .event = event,
        .election_ms = cluster->options.election_ms,
        .raft = node->raft,
        .before = raft_rules_before(node->raft, &node->fx),
        .fx = &node->fx,
    };
    node->core.step(node->core.self, event, &node->fx);
    if (node->fx.fatal == 0) {
        raft_rules_on_step(&cluster->checker, &done);
    }
}

static void step_proposer(struct cluster *cluster, struct node *node, const struct event *event)
{
    const struct proposer_step done = {
        .id = (node_id_t)node->self.id,
        .event = event,
        .heartbeat_ms = cluster->options.heartbeat_ms,
        .election_ms = cluster->options.election_ms,
        .proposer = node->proposer,
        .before = proposer_watch_before(node->proposer, &node->fx),
        .fx = &node->fx,
    };
    node->core.step(node->core.self, event, &node->fx);
    if (node->fx.fatal == 0) {
        proposer_watch_on_step(&cluster->checker, &done);
    }
}

static void step_learner(struct cluster *cluster, struct node *node, const struct event *event)
{
    const struct learner_step done = {.id = (node_id_t)node->self.id,
                                      .event = event,
                                      .fx = &node->fx,
                                      .first_send = node->fx.send_count};
    node->core.step(node->core.self, event, &node->fx);
    if (node->fx.fatal == 0) {
        read_watch_on_step(&cluster->checker, &done);
    }
}

/* Steps the core, and looks at what an acceptor says of itself by that. */
static void step(struct cluster *cluster, struct node *node, const struct event *event)
{
    if (node->raft != NULL) {
        step_raft(cluster, node, event);
        return;
    }
    if (node->proposer != NULL) {
        step_proposer(cluster, node, event);
        return;
    }
    if (node->learner != NULL) {
        step_learner(cluster, node, event);
        return;
    }
    const struct answers_step answers = {.acceptor = (node_id_t)node->self.id,
                                         .event = event,
                                         .election_ms = cluster->options.election_ms,
                                         .disk = node->disk,
                                         .fx = &node->fx,
                                         .first_send = node->fx.send_count,
                                         .first_record = node->fx.record_count};
    node->core.step(node->core.self, event, &node->fx);
    if (node->acceptor != NULL && node->fx.fatal == 0) {
        answers_on_step(&cluster->checker, &answers);
        if (event->kind == EVENT_FLUSH) {
            answers_on_flush(&cluster->checker, &answers);
        }
    }
}

static struct event event_of(const struct cluster *cluster, const struct node *node,
                             enum event_kind kind)
{
    return (struct event){.kind = kind, .now = node_now(cluster, node), .disk_low = node->disk_low};
}

/* Writes the turn's records. 0 if the process died on the way. */
static int write_records(struct cluster *cluster, struct node *node)
{
    struct durable_target target = {cluster, node};
    if (!reach(cluster, node, TURN_WRITING)) {
        return 0;
    }
    disk_append(node->disk, node->fx.records, node->fx.record_count);
    if (!reach(cluster, node, TURN_SYNCING)) {
        return 0;
    }
    if (node->fx.needs_sync) {
        disk_sync(node->disk, turn_on_durable, &target);
    }
    return reach(cluster, node, TURN_WRITTEN);
}

/* Key 'm' of the learner's disk format begins with the applied slot (common/PROTOCOL.md). */
static void watch_learner(struct cluster *cluster, const struct node *node)
{
    if (node->learner == NULL) {
        return;
    }
    const struct blob *stored = disk_durable(node->disk, slice_borrow("m", 1));
    const struct learner_state state = {
        .id = (node_id_t)node->self.id,
        .starts = node->starts,
        .applied = learner_applied(node->learner),
        .durable = stored != NULL && stored->size >= 8 ? bytes_get_u64(stored->data) : 0,
        .digest = learner_digest(node->learner)};
    checker_on_learner(&cluster->checker, &state);
}

void turn_finish(struct cluster *cluster, struct node *node)
{
    if (!write_records(cluster, node) ||
        !send_all(cluster, node, SEND_AFTER_DURABLE, TURN_RELEASING)) {
        return;
    }
    int finished = node->fx.finished;
    time_ms_t wake_at = node->fx.wake_at;
    effects_clear(&node->fx);
    node->fx.wake_at = wake_at;
    struct event event = event_of(cluster, node, EVENT_WRITTEN);
    step(cluster, node, &event);
    CHECK(node->fx.record_count == 0);
    node->fx.finished |= finished;
    node->wake_at = node->fx.wake_at;
    show_notes(cluster, node);
    if (node->fx.fatal == 0 && (!send_all(cluster, node, SEND_NOW, TURN_SENDING) ||
                                !send_all(cluster, node, SEND_AFTER_DURABLE, TURN_RELEASING))) {
        return;
    }
    if (ended(cluster, node) || !reach(cluster, node, TURN_ENDING)) {
        return;
    }
    watch_learner(cluster, node);
    effects_clear(&node->fx);
}

/* Ends the turn: flush, what may leave leaves, then the write, which may hang. */
static void end_turn(struct cluster *cluster, struct node *node)
{
    struct event event = event_of(cluster, node, EVENT_FLUSH);
    step(cluster, node, &event);
    show_notes(cluster, node);
    if (node->fx.fatal != 0) {
        (void)ended(cluster, node);
        return;
    }
    if (node->fx.record_count > 0 && cluster->observer.writes != NULL) {
        cluster->observer.writes(cluster->observer.self, node, &node->fx);
    }
    if (!send_all(cluster, node, SEND_NOW, TURN_SENDING)) {
        return;
    }
    if (node->disk_held && node->fx.needs_sync) {
        node->write_waits = 1;
        return;
    }
    turn_finish(cluster, node);
}

void turn_event(struct cluster *cluster, struct node *node, enum event_kind kind, struct peer peer)
{
    if (!node_can_step(node)) {
        return;
    }
    struct event event = event_of(cluster, node, kind);
    answers_on_turn(&cluster->checker);
    event.peer = peer;
    step(cluster, node, &event);
    end_turn(cluster, node);
}

static void free_packet(const struct cluster *cluster, struct packet *packet)
{
    if (cluster->hooks.done != NULL) {
        cluster->hooks.done(cluster->hooks.self, packet);
    } else {
        packet_free(packet);
    }
}

void turn_drop(struct cluster *cluster, struct packet *packet)
{
    const struct node *to = &cluster->nodes[packet->to];
    observe_delivery(cluster, packet, to->mode == NODE_DOWN ? "down" : NULL);
    packet_free(packet);
}

/* An answer to a former life of this process must not reach its core (DESIGN 4): the numbers
 * that it carries may have been given out again. */
static void check_echo(struct cluster *cluster, const struct node *node, const struct message *msg)
{
    if (msg->echo != 0 && msg->echo != node->incarnation) {
        checker_violate(&cluster->checker, "echo", "%s takes a %s that answers another life of it",
                        node->name, message_kind_name(msg->kind));
    }
}

void turn_messages(struct cluster *cluster, struct node *node, struct packet *list)
{
    CHECK(node_can_step(node));
    answers_on_turn(&cluster->checker);
    while (list != NULL) {
        struct packet *packet = list;
        list = packet->next;
        packet->next = NULL;
        if (packet->event != 0) {
            struct event event = event_of(cluster, node, (enum event_kind)packet->event);
            event.peer = packet->msg.from;
            step(cluster, node, &event);
        } else if (message_is_stale(&packet->msg, node->incarnation)) {
            observe_delivery(cluster, packet, "stale");
        } else {
            observe_delivery(cluster, packet, NULL);
            check_echo(cluster, node, &packet->msg);
            struct event event = event_of(cluster, node, EVENT_MESSAGE);
            event.msg = &packet->msg;
            step(cluster, node, &event);
        }
        free_packet(cluster, packet);
    }
    if (node->wake_at <= node_now(cluster, node)) {
        struct event event = event_of(cluster, node, EVENT_TICK);
        step(cluster, node, &event);
    }
    end_turn(cluster, node);
}

static int are_connected(struct peer a, struct peer b)
{
    if (a.role == ROLE_CLIENT || b.role == ROLE_CLIENT) {
        enum role other = a.role == ROLE_CLIENT ? b.role : a.role;
        return other == ROLE_PROPOSER || other == ROLE_LEARNER;
    }
    return !(a.role == ROLE_LEARNER && b.role == ROLE_LEARNER);
}

void turn_tell_peers(struct cluster *cluster, struct node *node, enum event_kind kind)
{
    for (size_t i = 0; i < cluster->node_count; i++) {
        struct node *other = &cluster->nodes[i];
        if (other == node || other->mode == NODE_DOWN || !are_connected(node->self, other->self)) {
            continue;
        }
        turn_event(cluster, other, kind, node->self);
        if (kind == EVENT_PEER_UP) {
            turn_event(cluster, node, kind, other->self);
        }
    }
}
