/* What a Raft node does at each of its steps, held against what it has received, sent and stored
 * itself, by its own clock: rules whose breach may show in what is chosen only much later, or only
 * if something else fails as well. The sections are those of the paper (raft.h); the thesis is
 * Ongaro's. */
#ifndef SYNOD_TESTS_TRACE_RAFT_WATCH_H
#define SYNOD_TESTS_TRACE_RAFT_WATCH_H

#include "tests/trace/raft_rules.h"

/* Times of appends that are remembered: for two election timeouts, see note_sent. */
#define SENT_REMEMBERED 64

/* The leader that a node has heard last, in its present life. */
struct heard {
    struct ballot leader; /* BALLOT_NONE: nobody yet */
    uint64_t sequence;    /* of its newest append */
    time_ms_t at;         /* when that came */
    slot_t matched;       /* its appends fitted up to here: so far the two logs are one */
};

/* An append left at that time, the first of that time. */
struct sent {
    uint64_t sequence;
    time_ms_t at;
};

/* The last leadership of a node, in its present life. */
struct leadership {
    struct ballot ballot; /* BALLOT_NONE: it has not led */
    time_ms_t since;
    slot_t first;                      /* entry of its term */
    slot_t acked[MEMBERS_MAX];         /* highest match that was acknowledged at this ballot */
    uint64_t answered[MEMBERS_MAX];    /* newest append that was answered at this ballot */
    struct sent sent[SENT_REMEMBERED]; /* a ring */
    size_t sent_count;
};

struct raft_watch {
    struct heard heard;
    struct leadership led;
};

void raft_watch_on_step(struct checker *checker, struct raft_watch *watch,
                        const struct raft_step *step);

#endif
