/* Keys and leases as clients of the simulator use them: random commands, questions and watches, and
 * what must hold of the answers. What commands come to is compared with the model by mirror.c; here
 * is what learners say of their state at other times, and real time. */
#ifndef SYNOD_TESTS_SIM_KEYS_H
#define SYNOD_TESTS_SIM_KEYS_H

#include "common/base/buffer.h"
#include "common/client/core/client.h"
#include "tests/sim/sim.h"

struct keys;

/* What one client has asked. Zero-initialise. */
struct keys_client {
    uint64_t query; /* a question under way, 0: none */
    time_us_t query_until;
    uint64_t query_floor; /* revision that was known to anybody when it was asked */
    int is_local;
    int is_continued;  /* the query says that it goes on with an earlier answer */
    struct slice body; /* of the query, a reference */
    int is_range;      /* it is asked for in pages, which are put together here: */
    struct buffer kvs;
    struct range_page page;    /* the sums of the pages so far */
    uint64_t watch;            /* a watch under way, 0: none */
    struct msg_watch position; /* what is watched, and from where on; key and end are references */
    uint32_t pages_left;       /* until it watches something else */
    int is_answered, is_told;  /* a query and a watch, since it connected anew */
};

struct keys *keys_new(uint64_t seed);
void keys_free(struct keys *keys);

/* Writes one command, head and payload, and returns the revision that was known to anybody before:
 * what it comes to is no older. */
uint64_t keys_command(struct sim *sim, struct buffer *out);

/* A command was acknowledged with this result. */
void keys_acknowledge(struct sim *sim, uint64_t floor, const struct result_range *range);

/* Begins a query or a watch, if none of the kind is under way. 1 if it did. */
int keys_ask(struct sim *sim, struct client *core, struct keys_client *client);
int keys_watch(struct sim *sim, struct client *core, struct keys_client *client);

/* 1 if the completion was for one of these. */
int keys_on_completion(struct sim *sim, struct client *core, struct keys_client *client,
                       const struct completion *completion);

/* Nothing is under way any more, and nothing was answered yet; where the watch goes on stays. */
void keys_begin_last(struct client *core, struct keys_client *client);

/* Gives up what got no answer in time. */
void keys_give_up(struct sim *sim, struct client *core, struct keys_client *client);
void keys_client_close(struct keys_client *client);

#endif
