/* The live proposer of highest rank that reaches a quorum. Stable: whoever serves a quorum stays
 * named, whatever its rank. */
#include "proposer/oracle/oracle.h"

#include <stdio.h>

static node_id_t name(const void *state, const struct oracle_view *view)
{
    (void)state;
    return view->leader != 0 ? view->leader : oracle_best(view);
}

static void explain(const void *state, const struct oracle_view *view, char *text, size_t size)
{
    node_id_t named = name(state, view);
    if (view->leader != 0) {
        snprintf(text, size, "proposer %u serves a quorum, and stays", named);
    } else if (named != 0) {
        snprintf(text, size,
                 "proposer %u ranks highest of those that are alive, reach a quorum and may lead",
                 named);
    } else {
        snprintf(text, size, "no proposer is alive, reaches a quorum and may lead");
    }
}

const struct oracle_class oracle_connected = {
    .kind = ORACLE_CONNECTED,
    .name = name,
    .explain = explain,
};
