/* What is asked of the processes of the cluster themselves: how they are, why somebody leads, that
 * leadership moves, and whom an oracle outside nominates. */
#ifndef SYNOD_CLIENT_CORE_INQUIRIES_H
#define SYNOD_CLIENT_CORE_INQUIRIES_H

#include "common/client/core/client.h"

/* Silent processes hold up an inquiry no longer than this, once anybody has answered. */
#define INQUIRY_SILENCE_MS 500

struct inquiry;

struct inquiries {
    struct inquiry *list; /* under way, in the order in which they were begun */
    struct inquiry *done; /* over; their completions may still point into them */
};

/* ---- status: COMPLETION_STATUS, with UNAVAILABLE if nobody answered (nodes are filled in all the
 * same) */

struct inquiry_status {
    size_t node_count;
    /* Acceptors, proposers and (unless only proposers were asked) learners of the members, each by
     * rising id. What each said is unchanged; state is NODE_UNREACHABLE of those that were not
     * heard, and the rest of these is 0. */
    const struct node_status *nodes;
    const uint8_t *is_heard; /* by node */
};

/* Asks every proposer and, with asks_learners, every learner. Ends when all have answered, after
 * INQUIRY_SILENCE_MS if some have, and at the deadline. */
uint64_t client_ask_status(struct client *c, int asks_learners, time_ms_t deadline);

/* ---- why somebody leads: COMPLETION_EXPLANATION, with UNAVAILABLE if no proposer answered */

struct inquiry_explained {
    int is_answering;            /* 0: nothing of `said` is known */
    struct msg_explanation said; /* slices and arrays are the inquiry's own */
};

struct inquiry_explanation {
    size_t proposer_count;
    const struct inquiry_explained *proposers; /* by rising id of members */
    int is_settings_known;                     /* a learner answered */
    struct slice settings;                     /* body of the answer to QUERY_SETTINGS */
};

/* Asks every proposer, and a learner for the settings. Who answered is asked again if others were
 * waited for, so that all times count to the end of the inquiry. */
uint64_t client_ask_explanation(struct client *c, time_ms_t deadline);

/* ---- leadership handed over: COMPLETION_TRANSFER */

struct inquiry_transfer {
    int is_answered;  /* a proposer answered; the last one with these: */
    uint32_t status;  /* enum transfer_status */
    node_id_t from;   /* who led then; 0: unknown */
    node_id_t leader; /* who leads now, as far as it is known; 0: nobody */
    uint64_t round;   /* of its ballot; in Raft mode its term */
};

/* Asks the leader, which is looked for, to hand over to a member (0: to whom the oracle names), and
 * waits until that one leads; a hand-over that was begun gets four election timeouts. Codes and
 * sentences as synod_transfer has them. The caller has checked that `to` is one that could lead. */
uint64_t client_ask_transfer(struct client *c, node_id_t to, time_ms_t deadline);

/* ---- a nomination from outside: COMPLETION_NAMED */

struct inquiry_named {
    uint32_t told;    /* proposers that answered */
    uint32_t taken;   /* of these, how many go by it now */
    uint32_t leader;  /* proposer that leads, as they believe; 0: none that they know of */
    uint32_t missing; /* proposers that did not answer */
};

/* Tells every proposer that can be reached that `proposer` (0: nobody) should lead, for valid_ms
 * from now (the time of the call) on. The caller has checked that it is a member, and that the
 * cluster is not in Raft mode. USAGE if none goes by it, UNAVAILABLE if none answers. */
uint64_t client_nominate(struct client *c, node_id_t proposer, uint32_t valid_ms, time_ms_t now,
                         time_ms_t deadline);

/* ---- for the other parts of the core */

void inquiries_close(struct client *c);
void inquiries_on_down(struct client *c, struct peer peer);

/* Asks what can be asked, and ends what is over. No other function ends an inquiry with a
 * completion. */
void inquiries_work(struct client *c, struct effects *out);
void inquiries_on_message(struct client *c, const struct message *msg, struct effects *out);
void inquiry_cancel(struct client *c, uint64_t id);

#endif
