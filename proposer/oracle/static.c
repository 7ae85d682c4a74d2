/* A fixed order of preference: the first of it that is fit, and behind all of those the others by
 * rank. Unlike a priority, the order says itself who comes after whom. */
#include "proposer/oracle/oracle.h"

#include <stdio.h>

static node_id_t first_of_order(const struct oracle_view *view)
{
    for (size_t i = 0; i < view->settings->order_count; i++) {
        const struct oracle_candidate *candidate = oracle_candidate(view, view->settings->order[i]);
        if (candidate != NULL && oracle_is_fit(candidate)) {
            return candidate->id;
        }
    }
    return 0;
}

static node_id_t name(const void *state, const struct oracle_view *view)
{
    (void)state;
    if (view->leader != 0) {
        return view->leader;
    }
    node_id_t first = first_of_order(view);
    return first != 0 ? first : oracle_best(view);
}

static void explain(const void *state, const struct oracle_view *view, char *text, size_t size)
{
    node_id_t first = first_of_order(view);
    if (view->leader != 0 || first == 0) {
        oracle_connected.explain(state, view, text, size); /* the others are chosen by rank */
    } else {
        snprintf(text, size,
                 "proposer %u is the first in the fixed order that is alive and reaches a quorum",
                 first);
    }
}

const struct oracle_class oracle_static = {
    .kind = ORACLE_STATIC,
    .name = name,
    .explain = explain,
};
