/* The acceptor: the memory of the cluster. It promises, accepts, and tells what it has accepted and
 * what it knows to be chosen ("Paxos Made Simple", 2.2 and 2.3); it is also the failure detector,
 * because it hears the leader's heartbeats in the same loop that syncs its disk.
 *
 * acceptor.c   start, dispatch, flush, watermark
 * prepare.c    promises, and their pages
 * accept.c     accepts and their acknowledgement
 * lease.c      heartbeats, reports, leases, release
 * oracle_lease.c   the lease of an oracle, which is none of those
 * catchup.c    serving chosen slots to others, and repairing own holes from a peer */
#ifndef SYNOD_ACCEPTOR_ACCEPTOR_H
#define SYNOD_ACCEPTOR_ACCEPTOR_H

#include "common/protocol/core.h"
#include "common/protocol/members.h"

struct acceptor;

struct acceptor_options {
    node_id_t id;
    struct members members;
    time_ms_t election_ms;      /* the longest lease it grants; how long it waits after a restart */
    time_ms_t heartbeat_ms;     /* pace of repairs */
    struct store_reader reader; /* valid for the life of the acceptor */
    /* Of values in memory, and of a page of a promise: less than ACCEPTOR_CACHE_BYTES_MAX and
     * PAGE_BYTES_TARGET for a test, which comes to the disk and to second pages early then; 0:
     * those. */
    size_t cache_bytes, page_bytes;
};

/* Step it with EVENT_START before anything else. Free with acceptor_free. */
struct acceptor *acceptor_new(const struct acceptor_options *options);

void acceptor_free(struct acceptor *a);

void acceptor_step(struct acceptor *a, const struct event *event, struct effects *out);

/* For a runner. */
struct core acceptor_core(struct acceptor *a);

/* What a test or a checker may ask; never used by a daemon's logic. */
struct ballot acceptor_promised(const struct acceptor *a);
slot_t acceptor_chosen(const struct acceptor *a);
slot_t acceptor_accepted_max(const struct acceptor *a);

#endif
