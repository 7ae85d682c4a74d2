/* Not yet more than `connected`. */
#include "proposer/oracle/oracle.h"

static node_id_t name(const void *state, const struct oracle_view *view)
{
    (void)state;
    return view->leader != 0 ? view->leader : oracle_best(view);
}

const struct oracle_class oracle_gossip = {
    .kind = ORACLE_GOSSIP,
    .name = name,
};
