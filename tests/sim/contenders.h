/* Clients that compete for locks and leaderships by the client's own holds, and observe who leads:
 * tokens rise, nobody is told that it holds what another one certainly holds, no observer sees
 * leaders in another order, and in the end everybody knows who holds and nobody stands in a queue
 * that it has left. */
#ifndef SYNOD_TESTS_SIM_CONTENDERS_H
#define SYNOD_TESTS_SIM_CONTENDERS_H

#include "common/base/buffer.h"
#include "tests/sim/sim.h"

#define CONTENDED 2 /* names that are contended for */

struct contenders;
struct client_state;
struct completion;

/* What one client is about. Zero-initialise. */
struct contender {
    uint64_t hold;  /* 0: none */
    size_t name;    /* which of the contended */
    uint64_t floor; /* the highest token of that name that was told to anybody when it came */
    uint64_t token; /* 0: it waits */
    time_us_t until;
    uint64_t observation;
    size_t observed;
    uint64_t seen; /* the highest token that its observation was told of */
    int is_told;   /* it was told anything: */
    uint64_t told; /* the token that leads; 0: nobody does */
};

struct contenders *contenders_new(void);
void contenders_free(struct contenders *contenders);

/* Comes, waits, holds, leaves, observes: the next thing that it does now, if any. */
void contenders_act(struct sim *sim, struct client_state *client);

/* 1 if the completion was one of these. */
int contenders_on_completion(struct sim *sim, struct client_state *client,
                             const struct completion *completion);

/* Writes a command that takes a lock from its holder. 0: nobody has it. */
int contenders_put_theft(struct sim *sim, struct buffer *out);

/* What everybody must know when all has been well for long. */
void contenders_at_end(struct sim *sim);

#endif
