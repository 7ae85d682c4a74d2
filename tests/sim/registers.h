/* A few keys that clients use as registers, and nobody else touches: puts, deletes, transactions
 * that compare and set, and reads, each with the moments it began and ended. At the end every
 * register is searched for an order that explains what was told (tests/check/register_object.h). */
#ifndef SYNOD_TESTS_SIM_REGISTERS_H
#define SYNOD_TESTS_SIM_REGISTERS_H

#include "common/base/buffer.h"
#include "common/client/core/client.h"
#include "tests/sim/sim.h"

struct registers;

/* What one client has asked of a learner. Zero-initialise. */
struct register_client {
    uint64_t query; /* under way, 0: none */
    time_us_t until;
    uint64_t id; /* of the operation */
};

struct registers *registers_new(void);
void registers_free(struct registers *registers);

/* 1 if the request may delete registers: nobody else must. */
int registers_are_endangered(struct slice request);

/* Writes a command of the client, if it has one now. Returns the id of the operation, or 0. */
uint64_t registers_command(struct sim *sim, size_t node, struct buffer *out);

/* The command with that id leaves for the first time, in that session. */
void registers_on_sent(struct sim *sim, size_t node, uint64_t id, uint64_t session);

/* The command with that id was executed. Copies change nothing. */
void registers_on_result(struct sim *sim, uint64_t id, const struct result_range *range);

/* Begins a linearizable read, unless one is under way. */
void registers_ask(struct sim *sim, size_t node, struct client *core,
                   struct register_client *client);

/* Likewise, in the end: of the next register, each of them once. */
void registers_scan(struct sim *sim, size_t node, struct client *core,
                    struct register_client *client);

/* 1 if the completion was of such a read. */
int registers_on_completion(struct sim *sim, struct register_client *client,
                            const struct completion *completion);

/* Gives up what got no answer in time. */
void registers_give_up(const struct sim *sim, struct client *core, struct register_client *client);

/* Some order explains what every register was seen to hold. */
void registers_at_end(struct sim *sim);

#endif
