/* One state machine on a store in memory, driven in turns as a learner drives it. */
#ifndef SYNOD_TESTS_MODEL_NODE_H
#define SYNOD_TESTS_MODEL_NODE_H

#include "common/store/store.h"
#include "learner/machine/machine.h"

struct node {
    struct store *store;
    struct store_reader reader;
    struct machine *machine;
    struct effects fx;
    uint64_t sweep_up_to;     /* a compaction that was applied */
    struct arena arena;       /* of the outcomes */
    struct outcome *outcomes; /* of the slots since node_forget */
    size_t outcome_count, outcome_capacity;
};

void node_open(struct node *node);
void node_close(struct node *node);

/* Applies a value; what came of it is added to the outcomes, with copies of the bodies. */
void node_apply(struct node *node, slot_t slot, struct slice value);

/* Ends the turn: writes what changed. sweeps: how many bounded pieces of sweeping up to sweep_up_to
 * come before, at most. */
void node_write(struct node *node, size_t sweeps);

/* Between turns: as if the process had ended and been started again. */
void node_restart(struct node *node);

void node_forget(struct node *node);

#endif
