/* The rules that the processes keep only together. Checked in every state that is reached.
 *
 * Agreement: of each slot no two values were ever accepted by a quorum at one ballot each.
 * One value: of each slot and ballot no two values were ever proposed or voted for.
 * Chosen by quorum: what anybody says or holds to be chosen was accepted by a quorum.
 * Safe: a value is proposed at a ballot only if no other one can still be chosen at a lower one
 * ("Paxos Made Simple", 2.2, P2c). It breaks long before agreement does.
 * Votes: an acceptor votes for what its ballot's proposer has proposed. */
#ifndef SYNOD_TESTS_EXPLORE_SAFETY_H
#define SYNOD_TESTS_EXPLORE_SAFETY_H

#include "tests/explore/local.h"

/* The sentence of the first rule that the state breaks, or NULL. Static storage. */
const char *safety_check(const uint32_t locals[PROCESSES]);

/* The same for what a step into that state said is chosen. */
const char *safety_check_claim(const uint32_t locals[PROCESSES], uint32_t id);

/* How many slots from 1 on are chosen. */
unsigned safety_chosen(const uint32_t locals[PROCESSES]);

void safety_close(void);

#endif
