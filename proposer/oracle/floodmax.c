/* Not yet more than `connected`. */
#include "proposer/oracle/oracle.h"

static node_id_t name(const void *state, const struct oracle_view *view)
{
    (void)state;
    return view->leader != 0 ? view->leader : oracle_best(view);
}

static void explain(const void *state, const struct oracle_view *view, char *text, size_t size)
{
    oracle_connected.explain(state, view, text, size);
}

const struct oracle_class oracle_floodmax = {
    .kind = ORACLE_FLOODMAX,
    .name = name,
    .explain = explain,
};
