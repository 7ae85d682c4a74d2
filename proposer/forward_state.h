/* What the proposer of Raft mode knows, shared by its two files and by nobody else. */
#ifndef SYNOD_PROPOSER_FORWARD_STATE_H
#define SYNOD_PROPOSER_FORWARD_STATE_H

#include "proposer/clients.h"
#include "proposer/forward.h"

/* Batches and bytes on their way to the leader that it has not taken into its log. */
#define SENT_BATCHES_MAX 64
#define SENT_BYTES_MAX (8 * MIB)

/* What is known of one acceptor. */
struct node_view {
    int is_heard;             /* it sent a report */
    time_ms_t heard_at;       /* when it last spoke to this proposer */
    struct msg_report report; /* the last one, without its proposers */
};

struct forward {
    struct proposer_options options;
    struct clients clients;
    struct node_view acceptors[MEMBERS_MAX]; /* by index in members.acceptors */
    uint64_t sequence;                       /* of the last heartbeat */
    time_ms_t heartbeat_due_at;

    struct ballot leader;  /* whom batches go to; BALLOT_NONE if unknown */
    struct ballot refused; /* the last leader that said it is none any more; none below it either */
    time_ms_t heard_at;    /* when somebody last heard the leader */

    struct slice sent[SENT_BATCHES_MAX]; /* references, by sequence % SENT_BATCHES_MAX */
    size_t sent_bytes;
    uint64_t taken;    /* batches up to here are in the leader's log, or given up */
    uint64_t next;     /* sequence of the next batch, from 1 */
    time_ms_t sent_at; /* when the oldest batch without an answer was sent, or sent again */
    time_ms_t resent_at;

    struct settings settings;  /* the newest that a learner told, or those of cluster.yml */
    struct message transfer;   /* the request of a client that the leader was asked to fulfil */
    uint64_t transfer_request; /* ours to the leader; 0: none is under way */

    int is_stopping;
    time_ms_t stop_deadline;
};

/* What operators and learners say, and what is asked of it: status, explanations, a transfer. */
void forward_on_question(struct forward *f, const struct event *event, struct effects *out);

#endif
