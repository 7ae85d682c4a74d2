#include "tests/model/node.h"

#include "common/base/check.h"
#include "common/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must_go_on(const struct node *node)
{
    if (node->fx.fatal != 0) {
        fprintf(stderr, "the machine gave up: %s\n", node->fx.fatal_text.text);
    }
    CHECK(node->fx.fatal == 0);
}

static void load(struct node *node)
{
    node->machine = machine_new(&node->reader);
    machine_load(node->machine, &node->fx);
    must_go_on(node);
}

void node_open(struct node *node)
{
    *node = (struct node){.store = store_open_memory()};
    node->reader = store_reader(node->store);
    effects_init(&node->fx);
    load(node);
}

void node_close(struct node *node)
{
    machine_free(node->machine);
    effects_close(&node->fx);
    store_close(node->store);
    arena_close(&node->arena);
    free(node->outcomes);
}

static void note_outcome(void *arg, const struct outcome *outcome)
{
    struct node *node = arg;
    node->outcomes = memory_grow(node->outcomes, &node->outcome_capacity, node->outcome_count + 1,
                                 sizeof *node->outcomes);
    struct outcome *copy = &node->outcomes[node->outcome_count++];
    *copy = *outcome;
    size_t size = outcome->range.body.size;
    uint8_t *body = arena_alloc(&node->arena, size + 1);
    if (size > 0) {
        memcpy(body, outcome->range.body.data, size);
    }
    copy->range.body = slice_borrow(body, size);
}

void node_apply(struct node *node, slot_t slot, struct slice value)
{
    machine_apply(node->machine, slot, value, note_outcome, node, &node->fx);
    must_go_on(node);
}

void node_write(struct node *node, size_t sweeps)
{
    while (sweeps > 0 && machine_sweep(node->machine, node->sweep_up_to, &node->fx)) {
        sweeps--;
    }
    machine_store(node->machine, &node->fx);
    must_go_on(node);
    CHECK(store_write(node->store, node->fx.records, node->fx.record_count, 0, NULL) == 0);
    effects_clear(&node->fx);
    machine_written(node->machine);
}

void node_restart(struct node *node)
{
    machine_free(node->machine);
    load(node);
}

void node_forget(struct node *node)
{
    node->outcome_count = 0;
    arena_reset(&node->arena);
}
