#include "tests/model/run.h"

#include "common/base/memory.h"
#include "tests/model/describe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void client_reset(struct client *client, uint64_t nonce)
{
    for (size_t i = 0; i < client->told_count; i++) {
        free(client->told[i].body);
    }
    for (size_t i = 0; i < client->sent_count; i++) {
        free(client->sent[i].commands);
        free(client->sent[i].operations);
    }
    free(client->told);
    free(client->sent);
    *client = (struct client){.nonce = nonce};
}

void client_forget_session(struct client *client)
{
    uint64_t openings = client->openings;
    uint64_t answered = client->answered;
    client_reset(client, client->nonce);
    client->openings = openings;
    client->answered = answered;
}

uint64_t run_pick(struct run *run, uint64_t bound)
{
    return rng_below(&run->rng, bound);
}

void run_fail(const struct run *run, const struct operation *operation, const struct errmsg *why)
{
    print_message("# seed %llu, slot %llu: %s\n", (unsigned long long)run->seed,
                  (unsigned long long)run->slot, why->text);
    print_message("# revision %llu, compacted %llu, time %llu ms\n",
                  (unsigned long long)reference_revision(run->reference),
                  (unsigned long long)reference_compacted(run->reference),
                  (unsigned long long)reference_now_ms(run->reference));
    if (operation != NULL) {
        json_t *object = describe_operation(operation);
        char *text = json_dumps(object, JSON_COMPACT);
        print_message("# %s\n", text);
        free(text);
        json_decref(object);
    }
    fail();
}

void run_must_equal(const struct run *run, const char *what, uint64_t wanted, uint64_t found)
{
    struct errmsg why;
    if (wanted != found) {
        errmsg_set(&why, ERROR_INTERNAL, "%s: %llu expected, %llu found", what,
                   (unsigned long long)wanted, (unsigned long long)found);
        run_fail(run, NULL, &why);
    }
}

void run_open(struct run *run, uint64_t seed)
{
    *run = (struct run){.seed = seed, .stamp_ms = 1000, .next_nonce = 100};
    rng_init(&run->rng, seed);
    generator_init(&run->generator, seed, 0);
    run->generator.has_settings = 1;
    run->reference = reference_new();
    node_open(&run->nodes[0]);
    node_open(&run->nodes[1]);
}

void run_close(struct run *run)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        client_reset(&run->clients[i], 0);
    }
    node_close(&run->nodes[0]);
    node_close(&run->nodes[1]);
    reference_free(run->reference);
    arena_close(&run->arena);
    free(run->reads);
}
