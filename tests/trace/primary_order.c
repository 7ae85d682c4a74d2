#include "tests/trace/primary_order.h"

#include "common/base/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void primary_order_init(struct primary_order *order, int is_strict)
{
    *order = (struct primary_order){.is_strict = is_strict};
}

void primary_order_close(struct primary_order *order)
{
    free(order->primaries);
}

/* The primary of exactly that ballot, or NULL. */
static struct primary *find(const struct primary_order *order, const struct ballot *ballot)
{
    for (size_t i = order->count; i > 0; i--) { /* the newest is the likeliest */
        if (ballot_equal(&order->primaries[i - 1].ballot, ballot)) {
            return &order->primaries[i - 1];
        }
    }
    return NULL;
}

static struct primary *add(struct primary_order *order, const struct ballot *ballot, slot_t first)
{
    order->primaries =
        memory_grow(order->primaries, &order->capacity, order->count + 1, sizeof *order->primaries);
    struct primary *primary = &order->primaries[order->count++];
    *primary = (struct primary){.ballot = *ballot, .first = first, .last = first - 1};
    return primary;
}

/* A leader of Raft sends entries again, but never one that it left out the first time; a proposer
 * tells of each slot once. */
static int is_next(const struct primary_order *order, const struct primary *primary, slot_t slot)
{
    if (order->is_strict) {
        return slot >= primary->first && slot <= primary->last + 1;
    }
    return slot == primary->last + 1;
}

const char *primary_order_on_broadcast(struct primary_order *order, const struct ballot *ballot,
                                       slot_t slot, enum broadcast_kind kind, struct errmsg *err)
{
    struct primary *primary = find(order, ballot);
    if (primary == NULL) {
        primary = add(order, ballot, slot);
    }
    if (!is_next(order, primary, slot)) {
        (void)errmsg_set(err, ERROR_INTERNAL,
                         "ballot %" PRIu64 ".%u broadcasts slot %" PRIu64
                         " after the slots %" PRIu64 " to %" PRIu64,
                         ballot->round, ballot->proposer, slot, primary->first, primary->last);
        return LOCAL_PRIMARY_ORDER;
    }
    primary->last = slot > primary->last ? slot : primary->last;
    primary->is_announced |= kind == BROADCAST_ANNOUNCEMENT;
    if (!order->is_strict && kind == BROADCAST_OWN && !primary->is_announced) {
        (void)errmsg_set(err, ERROR_INTERNAL,
                         "ballot %" PRIu64 ".%u broadcasts a value of its own for slot %" PRIu64
                         ", and has not announced itself",
                         ballot->round, ballot->proposer, slot);
        return GLOBAL_PRIMARY_ORDER;
    }
    return NULL;
}

/* Zab's two orders, of a value whose origin is its ballot. */
static const char *check_strict(const struct primary_order *order,
                                const struct delivered_value *value, struct errmsg *err)
{
    const struct primary *primary = find(order, &value->origin);
    int has_begun = ballot_equal(&value->origin, &order->newest);
    if (!has_begun && ballot_compare(&value->origin, &order->newest) <= 0) {
        (void)errmsg_set(err, ERROR_INTERNAL,
                         "slot %" PRIu64 " is of primary %" PRIu64
                         ".%u, and behind a value of primary %" PRIu64 ".%u",
                         value->slot, value->origin.round, value->origin.proposer,
                         order->newest.round, order->newest.proposer);
        return GLOBAL_PRIMARY_ORDER;
    }
    if (primary == NULL || value->slot > primary->last ||
        (!has_begun && value->slot != primary->first)) {
        (void)errmsg_set(err, ERROR_INTERNAL,
                         "primary %" PRIu64 ".%u begins with slot %" PRIu64
                         ", and what is delivered of it with slot %" PRIu64,
                         value->origin.round, value->origin.proposer,
                         primary != NULL ? primary->first : 0, value->slot);
        return LOCAL_PRIMARY_ORDER;
    }
    return NULL;
}

/* An acceptor that had voted for this slot at a lower ballot, and promised that of the primary
 * below it, has reported the slot to that one, whose own values are therefore all above it. */
static const char *check_chosen_before(const struct primary_order *order,
                                       const struct delivered_value *value, struct errmsg *err)
{
    if (ballot_compare(&value->chosen_by, &order->newest) >= 0) {
        return NULL;
    }
    (void)errmsg_set(err, ERROR_INTERNAL,
                     "slot %" PRIu64 " was chosen at %" PRIu64
                     ".%u, and is behind a value of primary %" PRIu64 ".%u",
                     value->slot, value->chosen_by.round, value->chosen_by.proposer,
                     order->newest.round, order->newest.proposer);
    return GLOBAL_PRIMARY_ORDER;
}

const char *primary_order_on_delivery(struct primary_order *order,
                                      const struct delivered_value *value, struct errmsg *err)
{
    if (value->slot != order->delivered + 1) {
        (void)errmsg_set(err, ERROR_INTERNAL, "slot %" PRIu64 " is delivered after slot %" PRIu64,
                         value->slot, order->delivered);
        return LOCAL_PRIMARY_ORDER;
    }
    order->delivered = value->slot;
    const char *rule =
        order->is_strict ? check_strict(order, value, err) : check_chosen_before(order, value, err);
    if ((order->is_strict || !value->is_noop) &&
        ballot_compare(&value->origin, &order->newest) > 0) {
        order->newest = value->origin;
    }
    return rule;
}
