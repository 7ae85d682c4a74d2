#include "proposer/oracle/oracle.h"

node_id_t oracle_connected(const struct oracle_view *view)
{
    if (view->leader != 0) {
        return view->leader;
    }
    const struct oracle_candidate *best = NULL;
    for (size_t i = 0; i < view->candidate_count; i++) {
        const struct oracle_candidate *candidate = &view->candidates[i];
        if (!candidate->is_alive || !candidate->reaches_quorum) {
            continue;
        }
        /* Ids rise, so that among equals the later one is the higher. */
        if (best == NULL || candidate->priority >= best->priority) {
            best = candidate;
        }
    }
    return best != NULL ? best->id : 0;
}
