/* Messages that have become meaningless to their receiver for ever, by rules of the protocol.
 *
 * They need not be in the network any more, and states that differ only by them are one. That the
 * rules are true of the cores is not taken on trust: after a search dead_verify has every state of
 * a core take each message that is dead for it, and demands that nothing happens and that dead
 * messages stay dead in every state that follows. */
#ifndef SYNOD_TESTS_EXPLORE_DEAD_H
#define SYNOD_TESTS_EXPLORE_DEAD_H

#include "tests/explore/machine.h"

int is_dead(const struct machine_head *receiver, uint32_t message);

/* NULL, or a sentence. *checked: pairs of state and dead message that were looked at. */
const char *dead_verify(size_t *checked);

#endif
