/* A few keys that clients use as registers, and nobody else touches: puts, deletes, transactions
 * that compare and set, and reads, each with the moments it began and ended. At the end every
 * register is searched for an order that explains what was told (tests/check/register_object.h). */
#ifndef SYNOD_TESTS_SIM_REGISTERS_H
#define SYNOD_TESTS_SIM_REGISTERS_H

#include "common/base/buffer.h"
#include "tests/sim/sim.h"

struct registers;

/* What one client has asked of a learner. Zero-initialise. */
struct register_client {
    uint64_t request; /* under way, 0: none */
    time_us_t until;
    uint64_t id;       /* of the operation */
    struct slice body; /* of the query, a reference */
};

struct registers *registers_new(void);
void registers_free(struct registers *registers);

/* 1 if the request may delete registers: nobody else must. */
int registers_are_endangered(struct slice request);

/* Writes a command of the client in its session, if it has one now. Returns the id of the
 * operation, or 0. */
uint64_t registers_command(struct sim *sim, size_t node, uint64_t session, struct buffer *out);

/* The command with that id was executed. Copies change nothing. */
void registers_on_result(struct sim *sim, uint64_t id, const struct result_range *range);

/* Begins a linearizable read, unless one is under way: fills *msg and returns 1. request: a new
 * number. */
int registers_ask(struct sim *sim, size_t node, struct register_client *client, uint64_t request,
                  struct message *msg);

/* Likewise, in the end: of the next register, each of them once. 0 too if all were asked for. */
int registers_scan(struct sim *sim, size_t node, struct register_client *client, uint64_t request,
                   struct message *msg);

/* The answer, also one that nobody waits for any more. */
void registers_on_answer(struct sim *sim, struct register_client *client,
                         const struct message *msg);

/* Gives up what got no answer in time. */
void registers_give_up(const struct sim *sim, struct register_client *client);
void registers_client_close(struct register_client *client);

/* Some order explains what every register was seen to hold. */
void registers_at_end(struct sim *sim);

#endif
