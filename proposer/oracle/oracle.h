/* Who should lead. An oracle names one proposer; it never decides anything: the acceptors' reports
 * gate a campaign and phase 1 settles it (DESIGN section 5). Each oracle is one pure function of a
 * view, in a file of its own name. */
#ifndef SYNOD_PROPOSER_ORACLE_ORACLE_H
#define SYNOD_PROPOSER_ORACLE_ORACLE_H

#include "common/protocol/limits.h"
#include "common/protocol/types.h"

#include <stddef.h>

/* One proposer as the acceptors' reports show it. */
struct oracle_candidate {
    node_id_t id;
    uint32_t priority;
    int is_alive;       /* heard by an acceptor within one election timeout */
    int reaches_quorum; /* by its own word */
};

struct oracle_view {
    node_id_t leader; /* who serves a quorum now; 0 if nobody does */
    size_t candidate_count;
    struct oracle_candidate candidates[MEMBERS_MAX]; /* rising ids; the asker among them */
};

/* The id it names, or 0. */
typedef node_id_t (*oracle_fn)(const struct oracle_view *view);

/* The live proposer of highest (priority, id) that reaches a quorum. Stable: whoever serves a
 * quorum stays named, whatever its priority. */
node_id_t oracle_connected(const struct oracle_view *view);

#endif
