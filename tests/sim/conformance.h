/* What every oracle has to come up to, whatever its kind: storms in which anything goes wrong, and
 * calms in which all is well, somebody leads in time, and nothing but the settings, an operator or
 * the leader's end changes who does. The bench of failovers is such a run without storms. */
#ifndef SYNOD_TESTS_SIM_CONFORMANCE_H
#define SYNOD_TESTS_SIM_CONFORMANCE_H

#include "tests/sim/sim.h"

/* 1 if the scenario is "conformance:KIND" or "failover:KIND", of a valid kind. */
int conformance_exists(const char *scenario);

/* Draws the plan. */
void conformance_prepare(struct sim *sim);
void conformance_start(struct sim *sim);
void conformance_free(struct sim *sim);

/* Time passes. */
void conformance_on_item(struct sim *sim, const struct item *item);

/* Somebody begins to lead; a value is chosen; a proposer has ended a turn; a client gets the answer
 * to a transfer. These do nothing in other scenarios. */
void conformance_on_leading(struct sim *sim, size_t index);
void conformance_on_chosen(struct sim *sim, struct slice value);
void conformance_on_turn(struct sim *sim);
void conformance_on_transferred(struct sim *sim, const struct msg_transferred *answer);

/* A message is sent. */
void conformance_on_send(struct sim *sim, const struct node *from, const struct node *to,
                         const struct message *msg);

/* Within how long somebody has to lead once all is well, by the oracles that may be in force. */
time_us_t conformance_bound_us(const struct sim *sim);

#endif
