/* What a learner knows, shared by the files of this folder and by nobody else. */
#ifndef SYNOD_LEARNER_STATE_H
#define SYNOD_LEARNER_STATE_H

#include "common/base/check.h"
#include "common/base/rng.h"
#include "learner/learner.h"
#include "learner/machine/machine.h"

/* A value that waits: for a commit that covers it, or for the slots before it. */
struct pending {
    slot_t slot; /* 0: empty */
    struct ballot ballot;
    int is_decided;     /* fetched as chosen: needs no commit */
    struct slice value; /* a reference */
};

/* A fetch of chosen slots from an acceptor. */
struct catchup {
    int is_asked;
    size_t source; /* index of the acceptor asked */
    time_ms_t retry_at;
};

enum read_state {
    READ_STATE_NEW,     /* waits for the next round to begin */
    READ_STATE_ROUND,   /* its round is under way */
    READ_STATE_APPLIED, /* waits until the target is applied, and for a record if it may wait */
};

/* A read that cannot be answered yet. */
struct waiting_read {
    struct peer client;
    uint64_t incarnation;
    struct msg_read read;
    enum read_state state;
    slot_t target;           /* READ_STATE_APPLIED: apply so far before answering */
    time_ms_t give_up_at;    /* no quorum by then: say so */
    time_ms_t records_until; /* long poll: answer without records then */
};

/* One question to the acceptors, for every read that was waiting when it was asked. */
struct read_round {
    int is_open;
    uint64_t request;
    acceptor_set_t answered;
    slot_t target; /* highest slot in the answers */
    time_ms_t retry_at;
};

struct learner {
    struct learner_options options;
    struct rng rng;
    struct machine *machine;

    /* delivery.c */
    struct pending pending[LEARNER_PENDING_SLOTS_MAX]; /* by slot % LEARNER_PENDING_SLOTS_MAX */
    size_t pending_bytes;
    struct ballot commit_ballot; /* highest ballot of which a commit was heard */
    slot_t commit_slot;          /* of that ballot */
    slot_t known_commit;         /* highest slot known to be chosen, by whatever ballot */
    time_ms_t leader_heard_at;   /* the last accept or commit of any leader, or the start */
    struct catchup catchup;

    /* service.c */
    uint64_t *clients; /* nonces of connected clients, rising */
    size_t client_count, client_capacity;
    struct waiting_read *reads;
    size_t read_count, read_capacity;
    struct read_round round;
    slot_t readable;          /* applied slot whose records are in the store */
    struct outcome *outcomes; /* of this turn, for connected clients */
    size_t outcome_count, outcome_capacity;
};

/* ---- delivery.c */
void learner_on_accept(struct learner *l, const struct event *event, struct effects *out);
void learner_on_commit(struct learner *l, const struct event *event, struct effects *out);
void learner_on_chosen(struct learner *l, const struct event *event, struct effects *out);

/* 1 if no leader was heard for an election timeout: it may serve without reaching this learner. */
int learner_misses_leader(const struct learner *l, time_ms_t now);

/* Asks an acceptor for what is known to be chosen and missing here, or, if no leader is heard, for
 * whatever it knows. */
void learner_maybe_fetch(struct learner *l, time_ms_t now, struct effects *out);
void learner_drop_pending(struct learner *l);

/* ---- service.c */
void learner_on_client(struct learner *l, struct peer client, int is_up);
void learner_on_read(struct learner *l, const struct event *event, struct effects *out);
void learner_on_read_index_reply(struct learner *l, const struct event *event, struct effects *out);
void learner_on_status(struct learner *l, const struct message *msg, struct effects *out);

/* Notes an outcome if its client is connected here (an outcome_fn). */
void learner_tell(void *learner, const struct outcome *outcome);
void learner_send_results(struct learner *l, struct effects *out);
void learner_tick_reads(struct learner *l, time_ms_t now, struct effects *out);

/* The highest slot that a read waits for: it is fetched even if no leader speaks of it. */
slot_t learner_wanted(const struct learner *l);

/* Answers the reads whose records are in the store. */
void learner_serve_reads(struct learner *l, time_ms_t now, struct effects *out);

#endif
