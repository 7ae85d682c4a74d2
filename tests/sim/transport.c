/* The network: what becomes of a message on its way, and which connections stand. */
#include "tests/sim/sim.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "tests/sim/conformance.h"
#include "tests/sim/mirror.h"
#include "tests/trace/clone.h"

#include <stdlib.h>
#include <xxhash.h>

/* A broken connection is noticed after this, and made again that fast. */
#define BREAK_NOTICED_US (2 * SECOND)
#define RECONNECT_US (200 * MS)

#define RESULT_LATE_MAX_US (10 * SECOND)

/* ---- packets are used again: a run sends millions */

struct packet *transport_packet(struct sim *sim)
{
    struct packet *packet = sim->pool;
    if (packet == NULL) {
        return memory_calloc(1, sizeof *packet);
    }
    sim->pool = packet->next;
    packet->next = NULL;
    packet->event = 0;
    return packet;
}

void transport_free(struct sim *sim, struct packet *packet)
{
    message_drop(&packet->msg);
    packet->next = sim->pool;
    sim->pool = packet;
}

void transport_done(void *self, struct packet *packet)
{
    transport_free(self, packet);
}

void transport_close(struct sim *sim)
{
    struct item item;
    while (queue_take(&sim->queue, &item)) {
        if (item.data != NULL) {
            transport_free(sim, item.data);
        }
    }
    while (sim->pool != NULL) {
        struct packet *packet = sim->pool;
        sim->pool = packet->next;
        free(packet);
    }
}

/* ---- messages */

/* How long a message is under way: mostly the latency; in the tail, sometimes very long. */
static time_us_t draw_delay(struct sim *sim, const struct link *link)
{
    const struct plan *plan = &sim->plan;
    time_us_t delay = plan->latency_us + between(&sim->net, 0, plan->jitter_us);
    if (link->is_lossy && chance(&sim->net, plan->tail)) {
        /* Of a fraction 1/n of these the delay is n times as long: Pareto's tail. */
        delay = delay * 65536 / between(&sim->net, 1, 65536);
        delay = delay < plan->late_max_us ? delay : plan->late_max_us;
    }
    return delay;
}

/* Bytes that are sent are shared with who sent them, as they are with a socket of the library: what
 * changes them afterwards changes a message on its way. */
static uint64_t digest_of(const struct message *msg)
{
    const struct slice block = msg->kind == MSG_SUBMIT ? msg->submit.block : SLICE_EMPTY;
    return block.size > 0 ? XXH3_64bits(block.data, block.size) : 0;
}

static void put_packet(struct sim *sim, size_t from, size_t to, const struct message *msg,
                       time_us_t due)
{
    struct packet *packet = transport_packet(sim);
    packet->from = from;
    packet->to = to;
    packet->epoch = sim->epoch;
    packet->to_life = sim->processes[to].life;
    packet->sent_us = sim->now;
    packet->digest = digest_of(msg);
    message_clone(msg, &packet->msg);
    sim->links[from][to].in_flight++;
    queue_put(&sim->queue, (struct item){.at = due,
                                         .kind = ITEM_PACKET,
                                         .a = (uint32_t)from,
                                         .b = (uint32_t)to,
                                         .data = packet});
}

void transport_send(void *self, const struct node *from, const struct node *to,
                    const struct message *msg)
{
    struct sim *sim = self;
    const struct plan *plan = &sim->plan;
    size_t a = sim_index(sim, from);
    size_t b = sim_index(sim, to);
    struct link *link = &sim->links[a][b];
    if (from->learner != NULL) {
        mirror_on_send(sim, from, to, msg);
    }
    conformance_on_send(sim, from, to, msg);
    size_t only = sim->processes[a].prepares_only;
    if (link->is_cut || (sim->now < link->holes_until && chance(&sim->net, link->holes)) ||
        (msg->kind == MSG_PREPARE && only != 0 && b != only - 1) ||
        (plan->link_limit > 0 && link->in_flight >= plan->link_limit) ||
        (link->is_lossy && chance(&sim->net, plan->drop))) {
        return;
    }
    time_us_t due = sim->now + draw_delay(sim, link);
    if (sim->now < link->slow_until) {
        due += link->slow_us;
    }
    if (due < link->clogged_to) {
        due = link->clogged_to;
    }
    if (due < link->last_due && !(link->is_lossy && chance(&sim->net, plan->reorder))) {
        due = link->last_due;
    }
    if (sim->now < sim->processes[b].straggle_until && chance(&sim->net, 500)) {
        put_packet(sim, a, b, msg, due + between(&sim->net, 0, 2 * plan->election_ms * MS));
        return;
    }
    if (due - sim->now < SECOND) { /* one that is very late does not hold up the others */
        link->last_due = due;
    }
    put_packet(sim, a, b, msg, due);
    if (link->is_lossy && chance(&sim->net, plan->duplicate)) {
        time_us_t late = chance(&sim->net, 700) ? 20 * MS : plan->late_max_us;
        put_packet(sim, a, b, msg, due + between(&sim->net, 1, late));
    }
    if (msg->kind == MSG_RESULT && chance(&sim->net, plan->late_results)) {
        put_packet(sim, a, b, msg, due + between(&sim->net, SECOND, RESULT_LATE_MAX_US));
    }
}

/* What was sent before all became well, and must not arrive after it. */
static int is_void(const struct sim *sim, const struct item *item, const struct packet *packet)
{
    if (item->b >= sim->servers && packet->to_life != sim->processes[item->b].life) {
        return 1; /* a client that has ended has no connections any more */
    }
    if (packet->epoch == sim->epoch) {
        return 0;
    }
    /* Clients connect anew, and what was under way on their old connections is lost: over TCP no
     * answer of a time before comes seconds after those of the present. */
    if (item->a >= sim->servers || item->b >= sim->servers) {
        return 1;
    }
    /* An operator's wish of then explains no change of leader now; and followers are loyal to a
     * leader as long as new appends of it arrive: those of one that is broken for ever end. */
    return packet->msg.kind == MSG_TRANSFER ||
           (packet->msg.kind == MSG_APPEND && sim->is_healed && !sim->is_core[item->a]);
}

void transport_on_packet(struct sim *sim, const struct item *item)
{
    struct packet *packet = item->data;
    size_t to = item->b;
    sim->links[item->a][to].in_flight--;
    sim->outcome->messages++;
    report_mix(sim,
               (uint64_t)item->at << 20 ^ (uint64_t)item->a << 14 ^ (uint64_t)to << 8 ^
                   (uint64_t)packet->msg.kind,
               packet->msg.incarnation);
    if (sim->options.verbose > 1) {
        report_message(sim, &sim->cluster->nodes[item->a], &sim->cluster->nodes[to], &packet->msg);
    }
    if (packet->digest != digest_of(&packet->msg)) {
        sim_violate(sim, "altered", "the bytes of a block that %s has sent changed on their way",
                    sim->cluster->nodes[item->a].name);
    }
    if (is_void(sim, item, packet)) {
        transport_free(sim, packet);
        return;
    }
    if (to < sim->servers) {
        process_receive(sim, to, packet);
        return;
    }
    if (packet->msg.kind == MSG_RESULT) {
        relearn_on_result(sim, packet, client_session_of(sim, to));
    }
    client_receive(sim, to, packet);
}

/* ---- connections */

static int are_connected(const struct node *a, const struct node *b)
{
    enum role low = a->self.role < b->self.role ? a->self.role : b->self.role;
    enum role high = a->self.role < b->self.role ? b->self.role : a->self.role;
    if (high == ROLE_CLIENT) {
        return low == ROLE_PROPOSER || low == ROLE_LEARNER;
    }
    return low != high || low != ROLE_LEARNER;
}

static void watch(struct sim *sim, size_t a, size_t b, time_us_t within)
{
    size_t low = a < b ? a : b;
    size_t high = a < b ? b : a;
    struct connection *connection = &sim->connections[low][high];
    if (!are_connected(&sim->cluster->nodes[low], &sim->cluster->nodes[high])) {
        return;
    }
    time_us_t at = sim->now + between(&sim->net, within / 10, within);
    if (connection->look_at > sim->now && connection->look_at <= at) {
        return;
    }
    connection->look_at = at;
    sim_at(sim, at, ITEM_CONNECTION, (uint32_t)low, (uint32_t)high);
}

void transport_changed(void *self, struct node *node, enum event_kind kind)
{
    struct sim *sim = self;
    size_t index = sim_index(sim, node);
    (void)kind;
    if (sim->servers == 0) {
        return; /* a client of a cluster that is being made */
    }
    for (size_t i = 0; i < sim->cluster->node_count; i++) {
        if (i != index) {
            watch(sim, index, i, 20 * MS);
        }
    }
}

/* Tells one end that the connection to the other stands, or broke. */
static void tell(struct sim *sim, size_t who, size_t of, enum event_kind kind)
{
    if (!process_is_up(sim, who)) {
        return;
    }
    struct packet *packet = transport_packet(sim);
    packet->from = of;
    packet->to = who;
    packet->event = (int)kind;
    packet->msg.from = sim->cluster->nodes[of].self;
    if (who >= sim->servers) {
        client_receive(sim, who, packet);
    } else {
        process_receive(sim, who, packet);
    }
}

static uint32_t life_of(const struct sim *sim, size_t index)
{
    return sim->processes[index].life;
}

void transport_on_connection(struct sim *sim, const struct item *item)
{
    size_t a = item->a;
    size_t b = item->b;
    struct connection *connection = &sim->connections[a][b];
    int is_early = b >= sim->servers && sim->now < sim->processes[a].meets_clients_at;
    int is_new = connection->lives[0] != life_of(sim, a) || connection->lives[1] != life_of(sim, b);
    int is_possible = process_is_up(sim, a) && process_is_up(sim, b) && !sim->links[a][b].is_cut &&
                      !sim->links[b][a].is_cut && !is_early &&
                      (b < sim->servers || client_wants(sim, b, &sim->cluster->nodes[a]));
    connection->look_at = connection->look_at == item->at ? 0 : connection->look_at;
    if (connection->is_up && (is_new || !is_possible)) {
        connection->is_up = 0;
        tell(sim, a, b, EVENT_PEER_DOWN);
        tell(sim, b, a, EVENT_PEER_DOWN);
    }
    connection->lives[0] = life_of(sim, a);
    connection->lives[1] = life_of(sim, b);
    if (!connection->is_up && is_possible) {
        connection->is_up = 1;
        tell(sim, a, b, EVENT_PEER_UP);
        tell(sim, b, a, EVENT_PEER_UP);
        if (b >= sim->servers) {
            relearn_on_connection(sim, a);
        }
    }
    if (is_early) {
        watch(sim, a, b, RECONNECT_US);
    }
}

void transport_look(struct sim *sim, size_t a, size_t b)
{
    watch(sim, a, b, 20 * MS);
}

void transport_break(struct sim *sim, size_t node)
{
    for (size_t i = 0; i < sim->servers; i++) {
        struct connection *connection = &sim->connections[i][node];
        if (connection->is_up) {
            connection->is_up = 0;
            tell(sim, i, node, EVENT_PEER_DOWN);
            tell(sim, node, i, EVENT_PEER_DOWN);
        }
        watch(sim, i, node, 20 * MS);
    }
}

void transport_cut(struct sim *sim, size_t from, size_t to, int is_cut)
{
    struct link *link = &sim->links[from][to];
    if (link->is_cut == is_cut) {
        return;
    }
    link->is_cut = is_cut;
    watch(sim, from, to, is_cut ? BREAK_NOTICED_US : RECONNECT_US);
}

void transport_unclog(struct sim *sim)
{
    for (size_t i = 0; i < sim->cluster->node_count; i++) {
        for (size_t k = 0; k < sim->cluster->node_count; k++) {
            sim->links[i][k].clogged_to = sim->now;
            sim->links[i][k].last_due = sim->now;
            sim->links[i][k].holes_until = 0;
            sim->links[i][k].slow_until = 0;
        }
    }
}

void transport_init(struct sim *sim)
{
    for (size_t i = 0; i < sim->cluster->node_count; i++) {
        for (size_t k = 0; k < sim->cluster->node_count; k++) {
            sim->links[i][k].is_lossy = chance(&sim->net, sim->plan.lossy_links);
        }
    }
    partition_heal(sim);
}
