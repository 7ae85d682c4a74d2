/* The live proposer of highest rank that reaches a quorum. Stable: whoever serves a quorum stays
 * named, whatever its rank. */
#include "proposer/oracle/oracle.h"

static node_id_t name(const void *state, const struct oracle_view *view)
{
    (void)state;
    return view->leader != 0 ? view->leader : oracle_best(view);
}

const struct oracle_class oracle_connected = {
    .kind = ORACLE_CONNECTED,
    .name = name,
};
