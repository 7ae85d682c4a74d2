/* Who leads an election, as all observers see it: the same leaders in the same order. */
#ifndef SYNOD_CLIENT_CORE_OBSERVATIONS_H
#define SYNOD_CLIENT_CORE_OBSERVATIONS_H

#include "common/client/core/client.h"

struct observation;

struct observations {
    struct observation *list;
};

/* Tells of the present leader of the queue with that prefix (not empty; copied), and of every
 * change of leader or value since: COMPLETION_LEADERSHIP each time, until client_cancel.
 * COMPLETION_OBSERVE ends it with an error that will not go away. One that is so slow that what it
 * has to see was compacted goes on with the present leader. */
uint64_t client_observe(struct client *c, struct slice prefix);

/* ---- for the other parts of the core */

void observations_close(struct client *c);
void observation_cancel(struct client *c, uint64_t id);

#endif
