/* What clients ask: reads of the log, queries, ranges and watches of keys, registers; and, when all
 * else is done, the whole log, so that the judges see it. */
#include "common/base/memory.h"
#include "common/protocol/limits.h"
#include "tests/sim/workload.h"

#include <stdlib.h>

#define READ_PATIENCE_US SECOND

static struct read_sent *free_read(struct client_state *client)
{
    for (size_t i = 0; i < READS_MAX; i++) {
        if (client->reads[i].id == 0) {
            return &client->reads[i];
        }
    }
    return NULL;
}

static void begin(struct sim *sim, struct client_state *client, struct read_sent *read,
                  uint64_t from, uint64_t count, int is_local)
{
    read->question = audit_ask(sim->audit, client->node, from, is_local);
    read->question.count = count;
    read->from = from;
    read->until = sim->now + READ_PATIENCE_US;
    const struct client_read asked = {.from = from,
                                      .count = count,
                                      .consistency = is_local ? READ_LOCAL : READ_LINEARIZABLE,
                                      .is_tail = read->is_tail,
                                      .deadline = TIME_NEVER,
                                      .timeout_ms = UINT32_MAX};
    read->id = client_read(client->core, &asked);
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
    *read = (struct read_sent){.is_final = sim->is_healed};
    if (!sim->is_healed && chance(&sim->work, 100)) { /* for what is not there yet */
        from = floor + 1 + rng_below(&sim->work, 3);
        read->is_tail = 1;
    }
    int is_local = read->is_tail || (!sim->is_healed && chance(&sim->work, 100));
    begin(sim, client, read, from, count, is_local);
}

/* The judges see what somebody read: in the end, when all else is done, it is the whole log. */
void reads_scan(struct sim *sim, struct client_state *client)
{
    struct read_sent *read = free_read(client);
    for (size_t i = 0; i < READS_MAX; i++) {
        if (client->reads[i].id != 0 && client->reads[i].is_scan) {
            return; /* it is under way */
        }
    }
    if (read == NULL || client->is_scanned || client != &sim->clients[0]) {
        return;
    }
    *read = (struct read_sent){.is_scan = 1};
    begin(sim, client, read, 1, 0, 0);
}

void reads_scan_registers(struct sim *sim, struct client_state *client)
{
    if (client->is_scanned) {
        registers_scan(sim, client->node, client->core, &client->registers);
    }
}

/* A query or a watch of keys, or a read of a register. */
void reads_ask_of_keys(struct sim *sim, struct client_state *client)
{
    if (chance(&sim->work, ON_REGISTERS)) {
        registers_ask(sim, client->node, client->core, &client->registers);
    } else if (chance(&sim->work, 500)) {
        (void)keys_ask(sim, client->core, &client->asks[0]);
    } else {
        (void)keys_watch(sim, client->core, &client->asks[0]);
    }
}

void reads_ask_much(struct sim *sim, struct client_state *client)
{
    size_t count = (size_t)between(&sim->work, 2, ASKS_MAX);
    for (size_t i = 1; i < count; i++) {
        (void)keys_ask(sim, client->core, &client->asks[i]);
    }
}

void reads_ask_last_of_keys(struct sim *sim, struct client_state *client)
{
    struct keys_client *last = &client->asks[0];
    if (!last->is_answered) {
        (void)keys_ask(sim, client->core, last);
    }
    if (!last->is_told) {
        (void)keys_watch(sim, client->core, last);
    }
}

int reads_are_keys_done(const struct sim *sim, const struct client_state *client)
{
    return sim->plan.keys == 0 || (client->asks[0].is_answered && client->asks[0].is_told);
}

static void end_read(struct read_sent *read)
{
    free(read->numbers);
    *read = (struct read_sent){0};
}

void reads_give_up(struct sim *sim, struct client_state *client)
{
    for (size_t i = 0; i < READS_MAX; i++) {
        struct read_sent *read = &client->reads[i];
        if (read->id != 0 && sim->now >= read->until && (!sim->is_healed || read->is_tail)) {
            client_cancel(client->core, read->id);
            end_read(read);
        }
    }
    for (size_t i = 0; i < ASKS_MAX; i++) {
        keys_give_up(sim, client->core, &client->asks[i]);
    }
    registers_give_up(sim, client->core, &client->registers);
}

int reads_is_final_sent(const struct client_state *client)
{
    for (size_t i = 0; i < READS_MAX; i++) {
        if (client->reads[i].id != 0 && client->reads[i].is_final) {
            return 1;
        }
    }
    return client->is_final_read;
}

/* ---- answers */

static void on_page(struct sim *sim, struct client_state *client, struct read_sent *read,
                    const struct records_page *page)
{
    const struct node *node = &sim->cluster->nodes[client->node];
    uint64_t next = read->from + read->count;
    if (page->count > 0 && page->from != next) {
        sim_violate(sim, "read", "%s is told records from %llu on in place of %llu", node->name,
                    (unsigned long long)page->from, (unsigned long long)next);
    }
    if (!read->has_page) {
        read->has_page = 1;
        read->last = page->last;
    }
    read->numbers = memory_grow(read->numbers, &read->capacity, read->count + page->count,
                                sizeof *read->numbers);
    audit_check(sim->audit, node, page->from, page->records, page->count,
                read->numbers + read->count);
    read->count += page->count;
}

/* A tail has no end: one page of it is its answer, which shows a log that ends there. */
static void conclude(struct sim *sim, struct client_state *client, struct read_sent *read)
{
    const struct audit_answer answer = {
        .from = read->from, .numbers = read->numbers, .count = read->count, .last = read->last};
    audit_answer(sim->audit, &sim->cluster->nodes[client->node], &read->question, &answer);
    client->is_final_read |= read->is_final;
    client->is_scanned |= read->is_scan;
}

static int on_read(struct sim *sim, struct client_state *client, struct read_sent *read,
                   const struct completion *completion)
{
    const struct records_page *page = completion->detail;
    if (completion->kind == COMPLETION_RECORDS) {
        on_page(sim, client, read, page);
        if (read->is_tail) {
            client_cancel(client->core, read->id);
            end_read(read);
        }
        return 1;
    }
    if (completion->code != 0) {
        sim_violate(sim, "read", "%s reads in vain: %s", sim->cluster->nodes[client->node].name,
                    completion->sentence);
    } else {
        if (!read->has_page) { /* there was nothing to tell */
            read->last = page->last;
        }
        conclude(sim, client, read);
    }
    end_read(read);
    return 1;
}

int reads_on_completion(struct sim *sim, struct client_state *client,
                        const struct completion *completion)
{
    for (size_t i = 0; i < READS_MAX && completion->id != 0; i++) {
        if (client->reads[i].id == completion->id) {
            return on_read(sim, client, &client->reads[i], completion);
        }
    }
    for (size_t i = 0; i < ASKS_MAX; i++) {
        if (keys_on_completion(sim, client->core, &client->asks[i], completion)) {
            return 1;
        }
    }
    return registers_on_completion(sim, &client->registers, completion);
}

void reads_close(struct client_state *client)
{
    for (size_t i = 0; i < READS_MAX; i++) {
        end_read(&client->reads[i]);
    }
    for (size_t i = 0; i < ASKS_MAX; i++) {
        keys_client_close(&client->asks[i]);
    }
    client->registers = (struct register_client){0};
}
