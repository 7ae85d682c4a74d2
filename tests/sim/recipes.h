/* Clients that use keys as locks and queues, by the transactions of the library's recipes: one
 * holder at a time, tokens that rise, every message of a queue acknowledged once or still there. */
#ifndef SYNOD_TESTS_SIM_RECIPES_H
#define SYNOD_TESTS_SIM_RECIPES_H

#include "common/base/buffer.h"
#include "tests/sim/sim.h"

struct recipes;

enum recipe_step {
    RECIPE_IDLE,
    RECIPE_LOCKING,   /* asked for the lock */
    RECIPE_HOLDING,   /* has it until a time */
    RECIPE_UNLOCKING, /* gives it back */
    RECIPE_PUSHING,   /* a message */
    RECIPE_LOOKING,   /* for the first message that nobody has */
    RECIPE_CLAIMING,  /* that one */
    RECIPE_WORKING,   /* has it until a time */
    RECIPE_ACKING,
};

#define RECIPE_KEY_BYTES 64

/* What one client is about. Zero-initialise. */
struct recipe_client {
    enum recipe_step step;
    uint64_t awaited;          /* sequence of the command whose result decides; 0: none */
    time_us_t until;           /* HOLDING, WORKING */
    uint64_t floor;            /* LOCKING: the highest token told to anybody before */
    uint64_t token;            /* of the lock or claim */
    uint64_t message;          /* number of the message pushed or claimed */
    char id[RECIPE_KEY_BYTES]; /* of the message, behind the prefix of its queue */
    size_t id_size;
};

struct recipes *recipes_new(void);
void recipes_free(struct recipes *recipes);

/* Writes the client's next command, which will have that sequence. 1, or 0 if it has none now. */
int recipes_command(struct sim *sim, size_t position, struct recipe_client *client,
                    uint64_t session, uint64_t sequence, struct buffer *out);

/* A command was executed; others than the awaited one, and copies, change nothing. */
void recipes_on_result(struct sim *sim, size_t position, struct recipe_client *client,
                       uint64_t sequence, const struct result_range *range);

/* The client's session is gone, and with it what it held. What was under way may have happened. */
void recipes_on_session_lost(struct sim *sim, size_t position, struct recipe_client *client);

/* Every message that was pushed is acknowledged, perhaps so, or there. */
void recipes_at_end(struct sim *sim);

#endif
