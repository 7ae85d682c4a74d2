/* One process together with its past: its state, every message that it has ever sent, and every
 * vote (of an acceptor) or proposal (of a proposer) that it has ever made.
 *
 * The network is what all processes have ever sent. Nothing is taken out of it: a message may be
 * delivered now, later, again, or never. So loss, duplication, delay and reordering are not choices
 * that a budget bounds, and the state of the whole cluster is five locals. */
#ifndef SYNOD_TESTS_EXPLORE_LOCAL_H
#define SYNOD_TESTS_EXPLORE_LOCAL_H

#include "tests/explore/machine.h"

/* Numbers in rising order. Messages are ordered by receiver first. */
struct set {
    uint32_t count;
    uint32_t starts[PROCESSES + 1]; /* of messages: where those to each process begin */
    uint32_t items[];
};

struct local {
    uint32_t machine;
    uint32_t sent;  /* a set of messages */
    uint32_t votes; /* a set of proposals */
};

/* What a choice does to a local. */
struct step {
    uint32_t to; /* the local after it */
    uint32_t claim;
    uint32_t violation; /* 0: none */
    uint32_t is_leaking;
};

void locals_open(void);
void locals_close(void);

uint32_t local_first(unsigned process);
struct local local_get(uint32_t local);
const struct machine_head *local_head(uint32_t local);
const struct set *local_sent(uint32_t local);
const struct set *local_votes(uint32_t local);
struct step local_step(uint32_t local, choice_t choice);

/* The local without those of its messages to one process that are dead there: they change nothing
 * in it now and will never do so (dead.h). */
uint32_t local_without_dead(uint32_t local, unsigned to, uint32_t receiver);

struct local_counts {
    size_t locals[PROCESSES];
    size_t sent_sets, vote_sets;
};
struct local_counts local_counts(void);

#endif
