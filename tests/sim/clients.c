/* Clients: the client's core that ships, with a clock that is right, connections that break, and a
 * process that sleeps, perhaps beyond its session, while messages wait for it. */
#include "tests/sim/workload.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "tests/sim/conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Messages that wait for a client that sleeps, at most: those beyond are lost. */
#define ASLEEP_WAITING_MAX 1000

static struct client_state *client_of(struct sim *sim, size_t node)
{
    return &sim->clients[node - sim->servers];
}

time_ms_t client_now(const struct sim *sim)
{
    return sim->cluster->now;
}

/* ---- the core and its effects */

/* Two blocks become one, as a client that is not ours may do it: whoever has executed the first
 * must execute the second alone. */
static void send_joined(struct sim *sim, const struct client_state *client, struct node *to,
                        struct slice next)
{
    struct block first;
    struct block second;
    struct errmsg err;
    CHECK(block_parse(slice_of(client->sent), &first, &err) == 0);
    CHECK(block_parse(next, &second, &err) == 0);
    size_t size = first.commands.size + second.commands.size;
    if (first.session == 0 || first.session != second.session || first.client != second.client ||
        first.first_seq + first.count != second.first_seq || size > RECORD_BYTES_MAX) {
        return;
    }
    uint8_t *p;
    struct blob *blob = blob_new(BLOCK_HEAD_BYTES + size, &p);
    first.count += second.count;
    block_put_head(p, &first, (uint32_t)size);
    memcpy(p + BLOCK_HEAD_BYTES, first.commands.data, first.commands.size);
    memcpy(p + BLOCK_HEAD_BYTES + first.commands.size, second.commands.data, second.commands.size);
    struct message msg = {.kind = MSG_SUBMIT};
    msg.submit.block = slice_of(blob);
    cluster_send(sim->cluster, &sim->cluster->nodes[client->node], to, &msg);
    blob_unref(blob);
}

static void on_submit(struct sim *sim, struct client_state *client, struct node *to,
                      struct slice block)
{
    workload_on_submit(sim, client, block);
    if (client->sent != NULL && chance(&sim->work, 10)) {
        send_joined(sim, client, to, block);
    }
    blob_unref(client->sent);
    client->sent = blob_copy(block.data, block.size);
}

static void send(struct sim *sim, struct client_state *client, const struct outgoing *out)
{
    enum role role = out->to.role;
    struct node *to = sim_node(sim, role, (size_t)out->to.id - 1);
    if (out->msg.kind == MSG_SUBMIT) {
        on_submit(sim, client, to, out->msg.submit.block);
    }
    cluster_send(sim->cluster, &sim->cluster->nodes[client->node], to, &out->msg);
}

/* The wake-up that the core asked for. */
static void plan_wake(struct sim *sim, struct client_state *client)
{
    if (client->fx.wake_at == TIME_NEVER) {
        return;
    }
    time_us_t at = (client->fx.wake_at - CLUSTER_EPOCH_MS) * 1000;
    at = at > sim->now ? at : sim->now + 1;
    if (client->wake_item_at > sim->now && client->wake_item_at <= at) {
        return; /* that item looks again */
    }
    client->wake_item_at = at;
    sim_at(sim, at, ITEM_CLIENT, (uint32_t)client->node, client->lives + 1);
}

/* Learners that the core wants now, and did not before, get connections. */
static void connect_wanted(struct sim *sim, const struct client_state *client, uint32_t before)
{
    uint32_t wanted = client_wanted_learners(client->core) & ~before;
    for (size_t i = 0; i < sim->plan.learners; i++) {
        if ((wanted >> i & 1) != 0) {
            transport_look(sim, sim_index(sim, sim_node(sim, ROLE_LEARNER, i)), client->node);
        }
    }
}

static void step(struct sim *sim, struct client_state *client, enum event_kind kind,
                 const struct message *msg, struct peer peer)
{
    const struct event event = {.kind = kind, .now = client_now(sim), .msg = msg, .peer = peer};
    struct effects *fx = &client->fx;
    uint32_t wanted = client_wanted_learners(client->core);
    client_step(client->core, &event, fx);
    for (size_t i = 0; i < fx->send_count; i++) {
        send(sim, client, &fx->sends[i]);
    }
    workload_on_session(sim, client);
    for (size_t i = 0; i < fx->completion_count; i++) {
        workload_on_completion(sim, client, &fx->completions[i]);
    }
    if (kind == EVENT_FLUSH) {
        plan_wake(sim, client);
    }
    effects_clear(fx);
    connect_wanted(sim, client, wanted);
}

void client_flush(struct sim *sim, struct client_state *client)
{
    step(sim, client, EVENT_FLUSH, NULL, (struct peer){ROLE_NONE, 0});
}

/* ---- what arrives */

static void take(struct sim *sim, struct client_state *client, const struct packet *packet)
{
    if (packet->event != 0) {
        step(sim, client, (enum event_kind)packet->event, NULL, packet->msg.from);
    } else if (packet->msg.kind == MSG_TRANSFERRED) {
        conformance_on_transferred(sim, &packet->msg.transferred); /* an operator's */
    } else if (!message_is_stale(&packet->msg, client->nonce)) {
        step(sim, client, EVENT_MESSAGE, &packet->msg, packet->msg.from);
    }
}

static void drop_waiting(struct sim *sim, struct client_state *client)
{
    while (client->first != NULL) {
        struct packet *packet = client->first;
        client->first = packet->next;
        transport_free(sim, packet);
    }
    client->last = NULL;
    client->waiting = 0;
}

static void keep_waiting(struct sim *sim, struct client_state *client, struct packet *packet)
{
    if ((client->waiting >= ASLEEP_WAITING_MAX || client->is_deaf) && packet->event == 0) {
        transport_free(sim, packet);
        return;
    }
    packet->next = NULL;
    if (client->last != NULL) {
        client->last->next = packet;
    } else {
        client->first = packet;
    }
    client->last = packet;
    client->waiting++;
}

void client_receive(struct sim *sim, size_t node, struct packet *packet)
{
    struct client_state *client = client_of(sim, node);
    if (sim->now < client->sleep_until || client->first != NULL) {
        keep_waiting(sim, client, packet);
        return;
    }
    take(sim, client, packet);
    transport_free(sim, packet);
    client_flush(sim, client);
}

/* It wakes up: all that came meanwhile is taken, before anything else is done. */
static void take_waiting(struct sim *sim, struct client_state *client)
{
    while (client->first != NULL) {
        struct packet *packet = client->first;
        client->first = packet->next;
        client->waiting--;
        take(sim, client, packet);
        transport_free(sim, packet);
    }
    client->last = NULL;
}

/* ---- time */

static void plan_next(struct sim *sim, const struct client_state *client)
{
    time_us_t mean = SECOND * (time_us_t)sim->plan.clients / sim->plan.operations_per_s;
    mean = mean < 1 ? 1 : mean;
    if (sim->is_healed && mean > 20 * MS) {
        mean = 20 * MS; /* nobody sleeps through the little time there is */
    }
    sim_at(sim, sim->now + between(&sim->work, 1, 2 * mean), ITEM_CLIENT, (uint32_t)client->node,
           0);
}

/* b: 0, it acts; else a wake-up of the core in that life. */
void client_on_item(struct sim *sim, const struct item *item)
{
    struct client_state *client = client_of(sim, item->a);
    int acts = item->b == 0;
    if (acts) {
        plan_next(sim, client);
    } else if (item->b != client->lives + 1 || client->wake_item_at != item->at) {
        return;
    }
    if (sim->now < client->sleep_until) {
        return;
    }
    take_waiting(sim, client);
    if (acts) {
        workload_act(sim, client);
    }
    client_flush(sim, client);
}

/* ---- life */

static void begin_life(struct sim *sim, struct client_state *client)
{
    const struct plan *plan = &sim->plan;
    struct client_options options = {
        .members = sim->cluster->options.members,
        .nonce = client->nonce,
        .seed = rng_next(&sim->work),
        .session_ttl_ms = plan->session_ttl_ms,
        .is_raft = sim->options.is_raft,
        .election_ms = (uint32_t)plan->election_ms,
        .poll_wait_ms = (uint32_t)between(&sim->work, 20, plan->election_ms),
        .page_bytes = chance(&sim->work, 400) ? (uint32_t)between(&sim->work, 1, 400) : 65536,
    };
    client->core = client_new(&options);
    effects_init(&client->fx);
    client->wake_item_at = 0;
    client->session_seen = 0;
    if (chance(&sim->work, 300)) {
        client_use_session(client->core);
    }
}

static void end_life(struct sim *sim, struct client_state *client)
{
    for (size_t k = 0; k < MARK_COUNT; k++) {
        sim->outcome->marks[k] += client->fx.marks[k];
    }
    drop_waiting(sim, client);
    blob_unref(client->sent);
    client->sent = NULL;
    client_free(client->core);
    effects_close(&client->fx);
    client->core = NULL;
}

void client_start_all(struct sim *sim)
{
    sim->clients = memory_calloc(sim->plan.clients, sizeof *sim->clients);
    for (size_t i = 0; i < sim->plan.clients; i++) {
        struct client_state *client = &sim->clients[i];
        client->node = sim->servers + i;
        client->nonce = sim->cluster->nodes[client->node].incarnation;
        begin_life(sim, client);
        plan_next(sim, client);
    }
}

void client_free_all(struct sim *sim)
{
    for (size_t i = 0; i < sim->plan.clients; i++) {
        struct client_state *client = &sim->clients[i];
        end_life(sim, client);
        workload_close(client);
    }
    free(sim->clients);
}

/* Says goodbye: nobody waits for the answer. */
static void say_goodbye(struct sim *sim, struct client_state *client)
{
    client_close(client->core, &client->fx);
    effects_clear(&client->fx); /* what was under way may happen or not */
    client_flush(sim, client);
}

void client_die(struct sim *sim, size_t position)
{
    struct client_state *client = &sim->clients[position];
    struct node *node = &sim->cluster->nodes[client->node];
    int says_goodbye = chance(&sim->fate, 500);
    workload_forget(sim, client);
    if (says_goodbye && sim->now >= client->sleep_until) {
        say_goodbye(sim, client);
    }
    end_life(sim, client);
    client->lives++;
    client->nonce = 0xc000000000U + ((uint64_t)client->lives << 16) + position + 1;
    node->self.id = client->nonce;
    node->incarnation = client->nonce;
    sim->processes[client->node].life++;
    begin_life(sim, client);
    transport_changed(sim, node, EVENT_PEER_UP);
}

void client_sleep(struct sim *sim, size_t position, time_us_t for_us)
{
    struct client_state *client = &sim->clients[position];
    client->sleep_until = sim->now + for_us;
    client->is_deaf = chance(&sim->work, 400);
}

uint64_t client_session_of(const struct sim *sim, size_t node)
{
    return client_session(sim->clients[node - sim->servers].core);
}

void client_reconnect(struct sim *sim, size_t position)
{
    struct client_state *client = &sim->clients[position];
    client_sleep(sim, position, 0);
    take_waiting(sim, client);
    for (size_t k = 0; k < ASKS_MAX; k++) {
        keys_begin_last(client->core, &client->asks[k]);
    }
    transport_break(sim, client->node);
}

int client_wants(const struct sim *sim, size_t node, const struct node *server)
{
    const struct client_state *client = &sim->clients[node - sim->servers];
    if (server->self.role != ROLE_LEARNER || client->core == NULL) {
        return 1;
    }
    return (client_wanted_learners(client->core) >> (server->self.id - 1) & 1) != 0;
}

size_t client_pending(const struct sim *sim, char *text, size_t size)
{
    size_t pending = 0;
    for (size_t i = 0; i < sim->plan.clients; i++) {
        const struct client_state *client = &sim->clients[i];
        int is_on_keys_done = reads_are_keys_done(sim, client);
        size_t outstanding = client_outstanding(client->core);
        if (outstanding == 0 && client->is_final_acked && client->is_final_read &&
            is_on_keys_done) {
            continue;
        }
        if (pending++ == 0 && text != NULL) {
            snprintf(text, size, "%s: session %llu, %zu commands, append %s, read %s, keys %s (%s)",
                     sim->cluster->nodes[client->node].name,
                     (unsigned long long)client_session(client->core), outstanding,
                     client->is_final_acked ? "done" : "open",
                     client->is_final_read ? "done" : "open", is_on_keys_done ? "done" : "open",
                     client_trouble(client->core));
        }
    }
    return pending;
}
