#include "tests/trace/cluster.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "tests/trace/raft_rules.h"
#include "tests/trace/turn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t node_incarnation(struct peer self, uint32_t starts)
{
    return (uint64_t)self.role << 24 | self.id << 8 | starts;
}

static struct node *add_node(struct cluster *cluster, enum role role, uint64_t id, char letter)
{
    CHECK(cluster->node_count < NODES_MAX);
    struct node *node = &cluster->nodes[cluster->node_count++];
    node->self = (struct peer){role, id};
    snprintf(node->name, sizeof node->name, "%c%u", letter, (unsigned)(id % 1000));
    node->disk = disk_new();
    node->wake_at = TIME_NEVER;
    effects_init(&node->fx);
    return node;
}

struct cluster *cluster_new(const struct cluster_options *options,
                            const struct cluster_observer *observer)
{
    struct cluster *cluster = memory_calloc(1, sizeof *cluster);
    cluster->options = *options;
    if (cluster->options.settings.kind == 0) {
        settings_init(&cluster->options.settings);
    }
    cluster->observer = *observer;
    cluster->now = CLUSTER_EPOCH_MS;
    const struct members *members = &cluster->options.members;
    checker_init(&cluster->checker, members);
    if (options->is_raft) {
        raft_rules_install(&cluster->checker);
    }
    for (size_t i = 0; i < members->acceptor_count; i++) {
        add_node(cluster, ROLE_ACCEPTOR, members->acceptors[i], 'A');
    }
    for (size_t i = 0; i < members->proposer_count; i++) {
        struct node *node = add_node(cluster, ROLE_PROPOSER, members->proposers[i], 'P');
        node->priority = (uint32_t)(100 - i);
    }
    for (size_t i = 0; i < members->learner_count; i++) {
        add_node(cluster, ROLE_LEARNER, members->learners[i], 'L');
    }
    return cluster;
}

static void free_core(struct node *node)
{
    if (node->acceptor != NULL) {
        acceptor_free(node->acceptor);
    }
    if (node->proposer != NULL) {
        proposer_free(node->proposer);
    }
    if (node->learner != NULL) {
        learner_free(node->learner);
    }
    raft_free(node->raft);
    forward_free(node->forward);
    node->acceptor = NULL;
    node->proposer = NULL;
    node->learner = NULL;
    node->raft = NULL;
    node->forward = NULL;
    effects_clear(&node->fx);
}

void cluster_free(struct cluster *cluster)
{
    if (cluster == NULL) {
        return;
    }
    for (size_t i = 0; i < cluster->node_count; i++) {
        struct node *node = &cluster->nodes[i];
        free_core(node);
        effects_close(&node->fx);
        disk_free(node->disk);
    }
    network_close(&cluster->network);
    checker_close(&cluster->checker);
    free(cluster);
}

struct node *cluster_add_client(struct cluster *cluster, const char *name, uint64_t nonce)
{
    struct node *node = add_node(cluster, ROLE_CLIENT, nonce, 'c');
    snprintf(node->name, sizeof node->name, "%s", name);
    node->mode = NODE_PUPPET;
    node->incarnation = nonce;
    turn_tell_peers(cluster, node, EVENT_PEER_UP);
    return node;
}

struct node *cluster_node(struct cluster *cluster, const char *name)
{
    for (size_t i = 0; i < cluster->node_count; i++) {
        if (strcmp(cluster->nodes[i].name, name) == 0) {
            return &cluster->nodes[i];
        }
    }
    return NULL;
}

size_t cluster_index(const struct cluster *cluster, const struct node *node)
{
    return (size_t)(node - cluster->nodes);
}

/* As cluster.yml would say it: the candidates are all nodes of a role. */
static void make_settings(const struct cluster *cluster, enum role role, struct settings *settings)
{
    *settings = cluster->options.settings;
    if (settings->candidate_count > 0) {
        return;
    }
    for (size_t i = 0; i < cluster->node_count; i++) {
        const struct node *node = &cluster->nodes[i];
        if (node->self.role == role) {
            struct candidate_settings *candidate =
                &settings->candidates[settings->candidate_count++];
            candidate->id = (node_id_t)node->self.id;
            candidate->priority = node->priority;
        }
    }
}

static void make_raft(const struct cluster *cluster, struct node *node)
{
    const struct cluster_options *options = &cluster->options;
    struct settings settings;
    make_settings(cluster, ROLE_ACCEPTOR, &settings);
    struct raft_options o = {.id = (node_id_t)node->self.id,
                             .incarnation = node->incarnation,
                             .seed = options->seed ^ node->incarnation,
                             .members = options->members,
                             .heartbeat_ms = options->heartbeat_ms,
                             .election_ms = options->election_ms,
                             .settings = settings,
                             .leads_anyway = node->leads_anyway,
                             .reader = disk_reader(node->disk)};
    node->raft = raft_new(&o);
    node->core = raft_core(node->raft);
}

static void make_forward(const struct cluster *cluster, struct node *node)
{
    const struct cluster_options *options = &cluster->options;
    struct proposer_options o = {.id = (node_id_t)node->self.id,
                                 .incarnation = node->incarnation,
                                 .members = options->members,
                                 .settings = options->settings,
                                 .heartbeat_ms = options->heartbeat_ms,
                                 .election_ms = options->election_ms};
    node->forward = forward_new(&o);
    node->core = forward_core(node->forward);
}

static void make_core(const struct cluster *cluster, struct node *node)
{
    if (cluster->options.is_raft && node->self.role == ROLE_ACCEPTOR) {
        make_raft(cluster, node);
        return;
    }
    if (cluster->options.is_raft && node->self.role == ROLE_PROPOSER) {
        make_forward(cluster, node);
        return;
    }
    const struct cluster_options *options = &cluster->options;
    node_id_t id = (node_id_t)node->self.id;
    switch (node->self.role) {
    case ROLE_ACCEPTOR: {
        struct acceptor_options o = {.id = id,
                                     .members = options->members,
                                     .election_ms = options->election_ms,
                                     .heartbeat_ms = options->heartbeat_ms,
                                     .reader = disk_reader(node->disk),
                                     .cache_bytes = options->cache_bytes,
                                     .page_bytes = options->page_bytes};
        node->acceptor = acceptor_new(&o);
        node->core = acceptor_core(node->acceptor);
        break;
    }
    case ROLE_PROPOSER: {
        struct settings settings;
        make_settings(cluster, ROLE_PROPOSER, &settings);
        struct proposer_options o = {.id = id,
                                     .incarnation = node->incarnation,
                                     .seed = options->seed ^ node->incarnation,
                                     .members = options->members,
                                     .settings = settings,
                                     .leads_anyway = node->leads_anyway,
                                     .heartbeat_ms = options->heartbeat_ms,
                                     .election_ms = options->election_ms};
        node->proposer = proposer_new(&o);
        node->core = proposer_core(node->proposer);
        break;
    }
    case ROLE_LEARNER: {
        struct learner_options o = {.id = id,
                                    .seed = options->seed ^ node->incarnation,
                                    .members = options->members,
                                    .heartbeat_ms = options->heartbeat_ms,
                                    .election_ms = options->election_ms,
                                    .reader = disk_reader(node->disk),
                                    .fetch_bytes = options->fetch_bytes,
                                    .range_bytes = options->range_bytes};
        node->learner = learner_new(&o);
        node->core = learner_core(node->learner);
        break;
    }
    case ROLE_CLIENT:
    case ROLE_NONE:
        CHECK(node->self.role != ROLE_CLIENT); /* it has no core */
    }
}

static void tell_peers(struct cluster *cluster, struct node *node, enum event_kind kind)
{
    if (cluster->hooks.changed != NULL) {
        cluster->hooks.changed(cluster->hooks.self, node, kind);
    } else {
        turn_tell_peers(cluster, node, kind);
    }
}

void cluster_start(struct cluster *cluster, struct node *node)
{
    CHECK(node->mode == NODE_DOWN);
    node->starts++;
    node->incarnation = node_incarnation(node->self, node->starts);
    node->write_waits = 0;
    make_core(cluster, node);
    node->mode = NODE_UP;
    turn_event(cluster, node, EVENT_START, (struct peer){ROLE_NONE, 0});
    if (node->mode == NODE_UP) {
        tell_peers(cluster, node, EVENT_PEER_UP);
    }
}

void cluster_crash(struct cluster *cluster, struct node *node, int lose_lazy)
{
    if (node->mode != NODE_UP) {
        return;
    }
    node->mode = NODE_DOWN;
    node->wake_at = TIME_NEVER;
    node->write_waits = 0;
    node->disk_held = 0;
    free_core(node);
    if (lose_lazy) {
        disk_lose_lazy(node->disk);
    }
    tell_peers(cluster, node, EVENT_PEER_DOWN);
}

void cluster_cut_power(struct cluster *cluster, struct node *node, size_t kept)
{
    struct durable_target target = {cluster, node};
    disk_tear(node->disk, kept, turn_on_durable, &target);
    cluster_crash(cluster, node, 0);
}

void cluster_write_back(struct cluster *cluster, struct node *node, size_t left)
{
    struct durable_target target = {cluster, node};
    disk_write_back(node->disk, left, turn_on_durable, &target);
}

void cluster_shutdown(struct cluster *cluster, struct node *node)
{
    turn_event(cluster, node, EVENT_SHUTDOWN, (struct peer){ROLE_NONE, 0});
}

void cluster_hold_disk(struct cluster *cluster, struct node *node)
{
    (void)cluster;
    node->disk_held = 1;
}

void cluster_release_disk(struct cluster *cluster, struct node *node)
{
    node->disk_held = 0;
    if (node->write_waits) {
        node->write_waits = 0;
        turn_finish(cluster, node);
    }
}

void cluster_send(struct cluster *cluster, const struct node *from, const struct node *to,
                  const struct message *msg)
{
    struct message out = *msg;
    turn_send(cluster, from, to, &out);
}

time_ms_t node_now(const struct cluster *cluster, const struct node *node)
{
    return cluster->now + node->clock_ahead_ms;
}

slot_t node_chosen(const struct node *node)
{
    if (node->acceptor != NULL) {
        return acceptor_chosen(node->acceptor);
    }
    return node->raft != NULL ? raft_commit(node->raft) : 0;
}

enum node_state node_leadership(const struct node *node)
{
    if (node->proposer != NULL) {
        return proposer_state(node->proposer);
    }
    return node->forward != NULL ? forward_state(node->forward) : NODE_UNKNOWN;
}

struct ballot node_ballot(const struct node *node)
{
    if (node->proposer != NULL) {
        return proposer_ballot(node->proposer);
    }
    return node->forward != NULL ? forward_leader(node->forward) : BALLOT_NONE;
}

int node_can_step(const struct node *node)
{
    return node->mode == NODE_UP && !node->write_waits;
}

void cluster_deliver(struct cluster *cluster, struct packet *packet)
{
    struct node *to = &cluster->nodes[packet->to];
    network_take(&cluster->network, packet);
    packet->next = NULL;
    if (to->mode == NODE_UP) {
        turn_messages(cluster, to, packet);
    } else {
        turn_drop(cluster, packet);
    }
}

/* Packets wait at a process that hangs in its write; everywhere else they arrive when due. */
static int packet_can_arrive(const struct cluster *cluster, const struct packet *packet)
{
    return !cluster->network.hold[packet->from][packet->to] &&
           !cluster->nodes[packet->to].write_waits;
}

/* The next time at which a packet arrives or a node wants to be woken. */
static time_ms_t next_due(const struct cluster *cluster)
{
    time_ms_t due = TIME_NEVER;
    for (const struct packet *p = cluster->network.first; p != NULL; p = p->next) {
        if (packet_can_arrive(cluster, p) && p->due_at < due) {
            due = p->due_at;
        }
    }
    for (size_t i = 0; i < cluster->node_count; i++) {
        const struct node *node = &cluster->nodes[i];
        if (node_can_step(node) && node->wake_at < due) {
            due = node->wake_at;
        }
    }
    return due;
}

/* Takes everything that is due for the node out of the network, as a list. */
static struct packet *take_due(struct cluster *cluster, size_t to)
{
    struct packet *first = NULL;
    struct packet **end = &first;
    struct packet *next;
    size_t count = 0;
    for (struct packet *p = cluster->network.first; p != NULL && count < TURN_MESSAGES_MAX;
         p = next) {
        next = p->next;
        if (p->to == to && p->due_at <= cluster->now && packet_can_arrive(cluster, p)) {
            network_take(&cluster->network, p);
            *end = p;
            end = &p->next;
            count++;
        }
    }
    return first;
}

static void run_moment(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->node_count; i++) {
        struct node *node = &cluster->nodes[i];
        if (node->write_waits) {
            continue;
        }
        struct packet *due = take_due(cluster, i);
        if (node->mode == NODE_UP) {
            if (due != NULL || node->wake_at <= cluster->now) {
                turn_messages(cluster, node, due);
            }
            continue;
        }
        while (due != NULL) {
            struct packet *packet = due;
            due = packet->next;
            turn_drop(cluster, packet);
        }
    }
}

int cluster_run_step(struct cluster *cluster, time_ms_t until)
{
    time_ms_t due = next_due(cluster);
    if (due > until) {
        if (until > cluster->now) {
            cluster->now = until;
        }
        return 0;
    }
    if (due > cluster->now) {
        cluster->now = due;
    }
    run_moment(cluster);
    /* What the moment left due is for the next millisecond, so that a core which always wants to be
     * woken at once cannot stop the clock. */
    if (cluster->now >= until) {
        return 0;
    }
    if (next_due(cluster) <= cluster->now) {
        cluster->now++;
    }
    return 1;
}

void cluster_run(struct cluster *cluster, time_ms_t until)
{
    while (cluster_run_step(cluster, until)) {
    }
}
