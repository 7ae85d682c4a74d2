/* Learners beside the model (tests/check/model.h), which executes every chosen value as soon as
 * it is chosen: what they store, what they tell clients, and how far they say they are. */
#ifndef SYNOD_TESTS_SIM_MIRROR_H
#define SYNOD_TESTS_SIM_MIRROR_H

#include "tests/sim/sim.h"

struct mirror;

struct mirror *mirror_new(void);
void mirror_free(struct mirror *mirror);

/* The next slot is chosen. */
void mirror_on_chosen(struct sim *sim, slot_t slot, struct slice value);

/* The records that are agreed: up to which index, and which at one. */
uint64_t mirror_last_index(const struct mirror *mirror);
struct slice mirror_record(const struct mirror *mirror, uint64_t index);

/* Keys and leases as they are agreed, after the last chosen slot. */
struct reference;
struct reference *mirror_reference(const struct mirror *mirror);

/* A learner is about to store records. */
void mirror_on_writes(struct sim *sim, const struct node *node, const struct effects *fx);

/* A learner has ended a turn. */
void mirror_on_turn(struct sim *sim, const struct node *node);

/* A learner sends something to a client. */
void mirror_on_send(struct sim *sim, const struct node *from, const struct node *to,
                    const struct message *msg);

#endif
