/* Oracles in the simulator: their settings, and the program outside. */
#ifndef SYNOD_TESTS_SIM_ORACLES_H
#define SYNOD_TESTS_SIM_ORACLES_H

#include "common/base/buffer.h"
#include "tests/sim/sim.h"

/* Into the plan: when members and faults have been drawn. */
void oracles_draw(struct sim *sim);

/* Settings of that kind, for the same members, which bar nobody else than the run may. */
void oracles_draw_settings(struct sim *sim, enum oracle_kind kind, struct settings *settings);

/* An operator's command, head and payload: other settings, mostly made from the newest ones. */
void oracles_put_command(struct sim *sim, struct buffer *out);

/* An operator wants leadership to go to somebody. */
void oracles_transfer(struct sim *sim);

/* Those in force: the newest that the log has, or those of cluster.yml. */
const struct settings *oracles_settings(const struct sim *sim);

/* A value is chosen, and the model has executed it. */
void oracles_on_chosen(struct sim *sim);

/* Within how long somebody has to lead once all is well: the bound of the oracle in force, or of
 * the one before if it was changed a moment ago. */
time_us_t oracles_bound_us(const struct sim *sim);

/* 1 if nothing that the settings say or have said a moment ago makes a leader hand over. */
int oracles_are_steady(const struct sim *sim);

/* 1 if some settings of the run may bar this candidate. */
int oracles_may_be_barred(const struct sim *sim, size_t position);

/* 1 if the settings say that the one should hand over to the other: nodes, by index. */
int oracles_explain(const struct sim *sim, size_t leader, size_t next);

/* Who has to follow the leader of that index if it dies while all is well; 0 if the oracle in force
 * leaves that open. */
node_id_t oracles_heir(const struct sim *sim, size_t leader);

/* How many proposers their own oracles name now. */
uint32_t oracles_named(struct sim *sim);

/* A proposer has ended a turn: not two of them hold the lease of the oracle `lease`. */
void oracles_on_turn(struct sim *sim, const struct node *node);

/* The program outside begins, and speaks. */
void oracles_start(struct sim *sim);
void oracles_on_item(struct sim *sim);

#endif
