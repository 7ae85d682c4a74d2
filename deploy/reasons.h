/* From what every proposer said of the election to sentences for people: who leads and why, or what
 * is missing and what would help. Pure: the same explanation, the same sentences.
 *
 * reasons.c          what is said, in which order
 * reasons_missing.c  why nobody leads, and what would help
 * reasons_scene.c    one picture of many reports, and the words */
#ifndef SYNOD_DEPLOY_REASONS_H
#define SYNOD_DEPLOY_REASONS_H

#include "common/client/synod.h"

#include <stddef.h>

#define REASON_BYTES 768
#define REASONS_MAX 160

enum reason_part {
    REASON_WHO,     /* one sentence: who leads, or that nobody does */
    REASON_WHY,     /* of a leader: by whom it is heard, for how long, why that one */
    REASON_MISSING, /* what keeps others from leading, or is not as it should be */
    REASON_HELP,    /* what to do, without a full stop: a command, or a few words */
};

struct reason {
    enum reason_part part;
    char text[REASON_BYTES];
};

/* What the freshest report of an acceptor says now. */
struct scene_acceptor {
    uint32_t id;
    int is_alive;        /* a proposer heard it within an election timeout */
    uint32_t silence_ms; /* since the report; SYNOD_SILENT: there is none */
    struct synod_ballot promised;
    struct synod_ballot leader; /* heard last; none: nobody since it was started */
    uint32_t leader_silence_ms; /* counted on to now, as the next one */
    uint32_t lease_left_ms;
    uint64_t chosen;
};

struct reasons {
    struct synod_ballot leader; /* round 0: nobody leads */
    uint32_t heard_by;          /* acceptors, by index: a set */
    uint32_t lease_left_ms;     /* until a quorum of acceptors would promise somebody else */
    size_t acceptor_count;
    struct scene_acceptor acceptors[SYNOD_MEMBERS_MAX]; /* rising ids */
    size_t count;
    struct reason list[REASONS_MAX];
};

/* Large: on the heap, or static. */
void reasons_find(const struct synod_explanation *explanation, struct reasons *out);

#endif
