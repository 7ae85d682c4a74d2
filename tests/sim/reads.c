/* What clients ask: reads of the log from a learner, queries and watches of keys; and, when all
 * else is done, the whole log, so that the judges see it. */
#include "common/protocol/limits.h"
#include "tests/sim/workload.h"

#define READ_PATIENCE_US SECOND

static struct read_sent *free_read(struct client_state *client)
{
    for (size_t i = 0; i < READS_MAX; i++) {
        if (client->reads[i].request == 0) {
            return &client->reads[i];
        }
    }
    return NULL;
}

static void send_read(struct sim *sim, const struct client_state *client,
                      const struct msg_read *read)
{
    struct message msg = {.kind = MSG_READ};
    msg.read = *read;
    for (size_t i = 0; i < sim->plan.learners; i++) {
        if (i == client->learner || sim->is_healed) { /* then only one of them may be well */
            client_send(sim, client, ROLE_LEARNER, i, &msg);
        }
    }
}

void reads_log(struct sim *sim, struct client_state *client)
{
    struct read_sent *read = free_read(client);
    if (read == NULL) {
        return;
    }
    uint64_t floor = audit_floor(sim->audit);
    /* Mostly its end, often somewhere in the middle, now and then its begin. */
    uint64_t newest = floor > 20 ? floor - 20 : 1;
    if (chance(&sim->work, 500)) {
        newest = chance(&sim->work, 800) ? 1 + rng_below(&sim->work, newest) : 1;
    }
    uint64_t from = newest + rng_below(&sim->work, 20);
    uint64_t count = 1 + rng_below(&sim->work, 20);
    uint32_t wait_ms = 0;
    if (!sim->is_healed && chance(&sim->work, 100)) { /* for what is not there yet */
        from = floor + 1 + rng_below(&sim->work, 3);
        wait_ms = (uint32_t)between(&sim->work, 1, 500);
    }
    int is_local = !sim->is_healed && chance(&sim->work, 100);
    *read = (struct read_sent){.request = ++client->request,
                               .until = sim->now + READ_PATIENCE_US,
                               .question = audit_ask(sim->audit, client->node, from, is_local),
                               .is_final = sim->is_healed};
    read->question.count = count;
    const struct msg_read asked = {.request = read->request,
                                   .from = from,
                                   .count = count,
                                   .bytes_max = 4096,
                                   .wait_ms = wait_ms,
                                   .consistency =
                                       (uint32_t)(is_local ? READ_LOCAL : READ_LINEARIZABLE)};
    send_read(sim, client, &asked);
}

/* The judges see what somebody read: in the end, when all else is done, it is the whole log. */
void reads_scan(struct sim *sim, struct client_state *client)
{
    struct read_sent *read = free_read(client);
    for (size_t i = 0; i < READS_MAX; i++) {
        if (client->reads[i].request != 0 && client->reads[i].is_scan) {
            return; /* a page is under way */
        }
    }
    if (read == NULL || client->is_scanned || client != &sim->clients[0]) {
        return;
    }
    uint64_t from = client->scan_next > 0 ? client->scan_next : 1;
    *read = (struct read_sent){.request = ++client->request,
                               .until = sim->now + READ_PATIENCE_US,
                               .question = audit_ask(sim->audit, client->node, from, 0),
                               .is_scan = 1};
    const struct msg_read asked = {.request = read->request,
                                   .from = from,
                                   .bytes_max = PAGE_BYTES_TARGET,
                                   .consistency = READ_LINEARIZABLE};
    send_read(sim, client, &asked);
}

void reads_scan_registers(struct sim *sim, struct client_state *client)
{
    struct message msg;
    if (!client->is_scanned ||
        !registers_scan(sim, client->node, &client->registers, client->request + 1, &msg)) {
        return;
    }
    client->request++;
    for (size_t i = 0; i < sim->plan.learners; i++) { /* only one of them may be well */
        client_send(sim, client, ROLE_LEARNER, i, &msg);
    }
}

static int ask(struct sim *sim, struct client_state *client, uint64_t request, struct message *msg)
{
    if (chance(&sim->work, ON_REGISTERS)) {
        return registers_ask(sim, client->node, &client->registers, request, msg);
    }
    return chance(&sim->work, 500) ? keys_ask(sim, &client->keys, request, msg)
                                   : keys_watch(sim, &client->keys, request, msg);
}

/* A query or a watch of keys, or a read of a register. */
void reads_ask_of_keys(struct sim *sim, struct client_state *client)
{
    struct message msg;
    uint64_t request = ++client->request;
    if (ask(sim, client, request, &msg)) {
        client_send(sim, client, ROLE_LEARNER, rng_below(&sim->work, sim->plan.learners), &msg);
    }
}

static void ask_all(struct sim *sim, const struct client_state *client, const struct message *msg)
{
    for (size_t i = 0; i < sim->plan.learners; i++) {
        client_send(sim, client, ROLE_LEARNER, i, msg);
    }
}

void reads_ask_last_of_keys(struct sim *sim, struct client_state *client)
{
    struct message msg;
    if (!client->keys.is_answered && keys_ask(sim, &client->keys, ++client->request, &msg)) {
        ask_all(sim, client, &msg);
    }
    if (!client->keys.is_told && keys_watch(sim, &client->keys, ++client->request, &msg)) {
        ask_all(sim, client, &msg);
    }
}

int reads_are_keys_done(const struct sim *sim, const struct client_state *client)
{
    return sim->plan.keys == 0 || (client->keys.is_answered && client->keys.is_told);
}

void reads_give_up(struct sim *sim, struct client_state *client)
{
    for (size_t i = 0; i < READS_MAX; i++) {
        if (client->reads[i].request != 0 && sim->now >= client->reads[i].until) {
            client->reads[i].request = 0;
            client->learner = rng_below(&sim->work, sim->plan.learners);
        }
    }
}

int reads_is_final_sent(const struct client_state *client)
{
    for (size_t i = 0; i < READS_MAX; i++) {
        if (client->reads[i].request != 0 && client->reads[i].is_final) {
            return 1;
        }
    }
    return client->is_final_read;
}

void reads_on_records(struct sim *sim, struct client_state *client, const struct message *msg)
{
    for (size_t i = 0; i < READS_MAX; i++) {
        struct read_sent *read = &client->reads[i];
        if (read->request == 0 || read->request != msg->records.request) {
            continue;
        }
        read->request = 0;
        if (msg->records.status == READ_OK) {
            audit_answer(sim->audit, &sim->cluster->nodes[client->node], &read->question,
                         &msg->records);
            client->is_final_read |= read->is_final;
            if (read->is_scan) {
                client->scan_next = msg->records.from + msg->records.record_count;
                client->is_scanned = client->scan_next > msg->records.last;
            }
        }
    }
}
