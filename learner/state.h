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
    READ_STATE_APPLIED, /* waits until the target is applied, and for something new if it may */
};

/* A question of a client that cannot be answered yet: a read of the log, a query, or a watch. */
struct question {
    enum message_kind kind; /* MSG_READ, MSG_QUERY or MSG_WATCH */
    struct peer client;
    uint64_t incarnation;
    union {
        struct msg_read read;
        struct msg_query query; /* body is a reference */
        struct msg_watch watch; /* key and end are references; what it has looked at is left out */
    } ask;
    uint64_t asked_revision; /* of a watch: from where its client would go on elsewhere */
    enum read_state state;
    slot_t target;        /* READ_STATE_APPLIED: apply so far before answering */
    int has_target;       /* of a round of the acceptors; a read that asks none has no target */
    time_ms_t again_at;   /* ask another round then, if the target is not applied */
    time_ms_t give_up_at; /* no quorum by then: say so */
    time_ms_t wait_until; /* long poll: answer that there is nothing new then */
};

struct slot_digest {
    slot_t slot;
    uint64_t digest;
};

/* Of so many applied slots the digests are remembered, and of so many that were told: the slots at
 * which one that is further behind compares itself. */
#define DIGESTS_KEPT 4096

/* What is known of the state of another learner. */
struct other_learner {
    struct slot_digest ahead; /* told, above what is applied: compared there; else meaningless */
    slot_t same_to;           /* highest slot at which it was found to be the same; 0: none */
    slot_t differs_at;        /* lowest slot at which it was found to differ and never, so far, at
                                 or above to be the same; 0: none */
    uint64_t own_digest;      /* meaningful with differs_at */
    uint64_t its_digest;      /* likewise */
    slot_t heard_slot;        /* what it told last; 0: never anything */
    time_ms_t heard_at;       /* and when */
};

/* This learner differs from so many that it must not serve. */
struct verdict {
    int is_reached;
    size_t other;      /* index of one of them */
    time_ms_t tell_at; /* its digest to the others, again */
    time_ms_t ends_at; /* the process */
};

/* What the acceptors are asked, for every question that was waiting then. */
struct read_round {
    int is_open;
    uint64_t request;
    acceptor_set_t answered;
    slot_t target; /* highest slot in the answers */
    time_ms_t retry_at;
};

/* A compaction that is too young to be swept, or several of them. */
struct compaction {
    uint64_t revision;
    time_ms_t first_at, at; /* when the first of them was applied, and the last */
};

/* More than there can be within the grace. */
#define COMPACTIONS_WAITING_MAX 16

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
    int is_full; /* more may be decided than this turn has room for */

    /* clients.c */
    uint64_t *clients; /* nonces of connected clients, rising */
    size_t client_count, client_capacity;
    struct outcome *outcomes; /* of this turn, for connected clients */
    size_t outcome_count, outcome_capacity;

    /* reads.c */
    struct question *questions;
    size_t question_count, question_capacity;
    size_t question_bytes; /* of what they point into */
    struct read_round round;
    slot_t readable;      /* applied slot whose records are in the store */
    int has_more_to_scan; /* questions were not reached, or a watch has looked at a part only */
    size_t answer_bytes;  /* of the answers of this turn */

    /* compactions.c */
    struct compaction compactions[COMPACTIONS_WAITING_MAX]; /* oldest first */
    size_t compaction_count;
    uint64_t compacted_seen; /* the newest compaction that was noted */
    uint64_t sweep_up_to;    /* the newest that is old enough; 0: none since the start */
    int is_sweeping;         /* there is more to delete of what was compacted */

    /* digests.c */
    uint64_t digests[DIGESTS_KEPT];           /* by slot % DIGESTS_KEPT */
    slot_t digests_from;                      /* those before are not known: applied at the start */
    struct other_learner others[MEMBERS_MAX]; /* by index in members.learners */
    time_ms_t differs_since;                  /* TIME_NEVER: nobody does */
    struct verdict verdict;
    struct slot_digest told[DIGESTS_KEPT]; /* a ring; slots rise */
    uint64_t told_next;                    /* its next place, before % DIGESTS_KEPT */
    slot_t told_applied;
    uint64_t told_due_ms;
    time_ms_t told_at;
    uint64_t stamp_seen_ms; /* highest stamp applied, and when that was */
    time_ms_t stamp_seen_at;

    /* settings.c */
    uint64_t settings_told; /* machine_oracle.changes that all were told */
    time_ms_t settings_told_at;
    acceptor_set_t new_proposers; /* by index: connected since the last turn, and not told */
    acceptor_set_t new_acceptors;
};

/* ---- learner.c */

/* What holds of the whole struct between two steps. */
void learner_check(const struct learner *l);

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

/* Applies what an earlier turn had no room for. */
void learner_deliver_rest(struct learner *l, time_ms_t now, struct effects *out);

/* ---- compactions.c */

/* Deletes some of what was compacted long enough ago. 1 if there is more to do. Once a turn. */
int learner_sweep(struct learner *l, time_ms_t now, struct effects *out);

/* ---- clients.c */
void learner_on_client(struct learner *l, struct peer client, int is_up);

/* Notes an outcome if its client is connected here (an outcome_fn). */
void learner_tell(void *learner, const struct outcome *outcome);
void learner_send_results(struct learner *l, struct effects *out);

/* ---- reads.c */
void learner_on_question(struct learner *l, const struct event *event, struct effects *out);
void learner_on_read_index_reply(struct learner *l, const struct event *event, struct effects *out);
void learner_drop_questions(struct learner *l, uint64_t nonce);
void learner_free_questions(struct learner *l);

/* Begins rounds, and asks to be woken when a question is due. */
void learner_tick_reads(struct learner *l, time_ms_t now, struct effects *out);

/* The highest slot that a question waits for: it is fetched even if no leader speaks of it. */
slot_t learner_wanted(const struct learner *l);

/* Answers what can be answered from the store. */
void learner_serve_reads(struct learner *l, time_ms_t now, struct effects *out);

/* ---- answers.c */

/* Answers a question that is ready, unless it goes on waiting for something new. 1 if it was
 * answered. */
int answer_question(struct learner *l, struct question *question, time_ms_t now,
                    struct effects *out);

enum answer_failure { ANSWER_BUSY, ANSWER_NO_QUORUM };
void answer_failure(struct learner *l, const struct question *question, enum answer_failure failure,
                    struct effects *out);

/* ---- digests.c */

/* At the start: 0, or an error after saying that a former life was found to differ. */
int learner_load_verdict(const struct learner *l, struct effects *out);
void learner_begin_digests(struct learner *l, time_ms_t now);

/* In place of all else, when the verdict is reached. */
void learner_tick_verdict(struct learner *l, time_ms_t now, struct effects *out);

/* After each slot. */
void learner_note_applied(struct learner *l, time_ms_t now);
void learner_on_digest(struct learner *l, const struct event *event);

/* In each turn, before anything leaves: the verdict, if this learner differs from too many. */
void learner_judge(struct learner *l, time_ms_t now, struct effects *out);

/* Tells who leads how far this learner is, its digest, and what is due, if that is news or was told
 * long ago. */
void learner_tell_progress(struct learner *l, time_ms_t now, struct effects *out);

/* ---- settings.c */

/* A connection to a proposer or an acceptor works (again). */
void learner_on_member_up(struct learner *l, struct peer peer);

/* At the end of a turn: tells what the log says of oracles, to whom that may be news. */
void learner_tell_settings(struct learner *l, time_ms_t now, struct effects *out);

#endif
