/* The orders of Zab (Junqueira, Reed and Serafini, "Zab: High-performance broadcast for
 * primary-backup systems", DSN 2011), held against what is broadcast and what is delivered. A
 * primary is the leader at one ballot; it broadcasts a value when it proposes it first; a value is
 * delivered when it and everything below it is chosen, which is the order of all learners.
 *
 *   local primary order    a primary broadcasts v and then w: a process that delivers w has
 *                          delivered v before
 *   global primary order   v is of an earlier primary than w: a process that delivers both delivers
 *                          v first
 *
 * Raft keeps both, because a log takes an entry only behind the one that its leader put before it.
 * Multi-Paxos, which votes for each slot of its window by itself, keeps neither; see
 * window_keeps_no_local_primary_order.txt and recovery_keeps_no_global_primary_order.txt among the
 * scenarios. What it keeps, and what is checked instead:
 *
 *   local    a primary proposes consecutive slots, so that what is delivered of its values comes in
 *            the order in which it broadcast them, though some of them may be missing
 *   global   a primary broadcasts nothing of its own before its announcement, and no slot above a
 *            delivered value of its own was chosen at an earlier ballot: what was chosen before a
 *            primary comes before all that is its own
 *
 * No-ops are nobody's own: recovery closes gaps with them below what earlier primaries left. */
#ifndef SYNOD_TESTS_TRACE_PRIMARY_ORDER_H
#define SYNOD_TESTS_TRACE_PRIMARY_ORDER_H

#include "common/base/error.h"
#include "common/protocol/types.h"

#include <stddef.h>

/* The names of the rules. */
#define LOCAL_PRIMARY_ORDER "local-primary-order"
#define GLOBAL_PRIMARY_ORDER "global-primary-order"

/* What one primary has broadcast. */
struct primary {
    struct ballot ballot;
    slot_t first, last; /* first >= 1 */
    int is_announced;   /* its LEAD is among it */
};

struct primary_order {
    int is_strict;             /* Raft: the orders as Zab has them */
    struct primary *primaries; /* in the order in which they began */
    size_t count, capacity;
    slot_t delivered;     /* the slots up to here */
    struct ballot newest; /* highest origin among them; not of no-ops, unless is_strict */
};

enum broadcast_kind {
    BROADCAST_AGAIN,        /* known for that slot before: of an earlier primary */
    BROADCAST_NOOP,         /* new, and says nothing */
    BROADCAST_ANNOUNCEMENT, /* new, and the LEAD of this very primary */
    BROADCAST_OWN,          /* new */
};

struct delivered_value {
    slot_t slot;
    struct ballot origin;    /* of the primary that broadcast the value first */
    struct ballot chosen_by; /* the ballot at which it was chosen first */
    int is_noop;
};

void primary_order_init(struct primary_order *order, int is_strict);
void primary_order_close(struct primary_order *order);

/* A primary broadcasts a value for that slot, and where is_strict perhaps again. Returns NULL, or
 * the name of the rule that it breaks, and in err how. */
const char *primary_order_on_broadcast(struct primary_order *order, const struct ballot *primary,
                                       slot_t slot, enum broadcast_kind kind, struct errmsg *err);

/* The next slot is delivered. Returns likewise. */
const char *primary_order_on_delivery(struct primary_order *order,
                                      const struct delivered_value *value, struct errmsg *err);

#endif
