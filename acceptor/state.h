/* What an acceptor knows, shared by the files of this folder and by nobody else. */
#ifndef SYNOD_ACCEPTOR_STATE_H
#define SYNOD_ACCEPTOR_STATE_H

#include "acceptor/acceptor.h"
#include "acceptor/log/slot_log.h"
#include "common/base/check.h"

/* Flags of a slot in the log. */
enum accepted_flag {
    ACCEPTED_LAZY = 1,   /* fetched as chosen: no vote, and perhaps not synced */
    ACCEPTED_CHOSEN = 2, /* chosen here (DESIGN 4.4), also above a hole; not stored */
};

/* How far the heartbeats of one process were heard. */
struct life {
    uint64_t incarnation; /* 0: of none */
    uint64_t sequence;    /* an older heartbeat is a late copy */
};

/* Of one proposer: late copies of a process that has died come between those of the next. */
#define LIVES_REMEMBERED 4

/* What was heard of one proposer. */
struct heard {
    int is_heard;
    time_ms_t at;
    struct life lives[LIVES_REMEMBERED];
    size_t next_life; /* the place that the next new one takes */
    uint32_t reaches_quorum;
    uint64_t version; /* of its settings */
};

/* The newest request of a proposer for the lease of the oracle. */
struct asked {
    uint64_t incarnation;
    uint64_t sequence;
};

/* Who holds the lease of the oracle here. */
struct named {
    node_id_t holder;
    uint64_t incarnation;
    uint64_t sequence; /* of the request that was granted last */
    time_ms_t until;   /* the others mean nothing any more from then on */
};

/* Accepted messages of one turn that are not yet sent: slots first to last, all at one ballot. */
struct acknowledgement {
    int is_open;
    struct peer to;
    uint64_t echo; /* incarnation of the proposer it goes to */
    struct ballot ballot;
    slot_t first;
    slot_t last;
};

/* A running attempt to close holes below a known commit. */
struct repair {
    slot_t target;    /* 0: nothing to repair */
    node_id_t source; /* acceptor asked last */
    time_ms_t retry_at;
};

struct acceptor {
    struct acceptor_options options;
    int self_index; /* in members.acceptors */

    struct ballot promised; /* never falls; durable before any reply that rests on it */
    slot_t chosen;          /* end of the unbroken prefix of slots that are chosen here */
    slot_t chosen_durable;  /* a watermark that is synced; never above chosen */
    slot_t chosen_stored;   /* the same, as the last record put says */

    /* The accepted slots. Its last is never below chosen; above chosen there may be gaps. Its stamp
     * is the highest cluster time in any accepted value. */
    struct slot_log log;

    struct ballot commit_ballot; /* highest of which a commit was heard */
    slot_t commit_slot;          /* of that ballot */
    slot_t marked_to;            /* votes at that ballot up to here are marked as chosen */
    slot_t commit;               /* everything up to here is chosen, somewhere */

    struct acknowledgement ack;
    struct repair repair;

    time_ms_t started_at;
    int promised_before_start;       /* it may have granted a lease in its former life */
    struct ballot leader;            /* last leader heard, BALLOT_NONE if none */
    time_ms_t leader_heard_at;       /* meaningful with leader */
    int is_released;                 /* that leader gave up its lease */
    time_ms_t lease_until;           /* prepares of others are refused before */
    struct heard heard[MEMBERS_MAX]; /* by index in members.proposers */
    struct asked asked[MEMBERS_MAX]; /* likewise */
    struct named named;
    int disk_low;
};

/* ---- acceptor.c */

/* What holds of the whole struct between two steps. */
void acceptor_check(const struct acceptor *a);

/* ---- accept.c */
void acceptor_on_accept(struct acceptor *a, const struct event *event, struct effects *out);
void acceptor_flush_acknowledgement(struct acceptor *a, struct effects *out);
void acceptor_refuse(struct acceptor *a, const struct message *msg, const struct ballot *ballot,
                     enum nack_reason reason, time_ms_t retry_ms, struct effects *out);

/* Notes a commit of a leader: marks the votes at its ballot that it covers as chosen, and raises
 * the watermark over the unbroken prefix of such slots (DESIGN 4.4). */
void acceptor_on_commit(struct acceptor *a, const struct ballot *ballot, slot_t commit,
                        time_ms_t now);

/* Raises the watermark over the slots after it that are chosen here. */
void acceptor_advance(struct acceptor *a);

/* ---- prepare.c */

/* The one place in which a promise is raised. It rises to a higher ballot only, and is durable
 * before anything that rests on it leaves. */
void acceptor_raise_promise(struct acceptor *a, const struct ballot *ballot, struct effects *out);
void acceptor_on_prepare(struct acceptor *a, const struct event *event, struct effects *out);

/* ---- lease.c */
void acceptor_on_heartbeat(struct acceptor *a, const struct event *event, struct effects *out);
void acceptor_on_release(struct acceptor *a, const struct message *msg, struct effects *out);

/* Milliseconds for which a prepare of this ballot's proposer must still be refused; 0 if none. */
time_ms_t acceptor_lease_left(const struct acceptor *a, const struct ballot *ballot, time_ms_t now);

/* ---- oracle_lease.c */
void acceptor_on_lease(struct acceptor *a, const struct event *event, struct effects *out);

/* ---- catchup.c */
void acceptor_on_fetch(struct acceptor *a, const struct message *msg, struct effects *out);
void acceptor_on_chosen(struct acceptor *a, const struct event *event, struct effects *out);
void acceptor_on_repair(struct acceptor *a, const struct event *event, struct effects *out);
void acceptor_maybe_repair(struct acceptor *a, time_ms_t now, struct effects *out);

/* ---- memory.c: the accepted slots in memory and on disk */

/* Loads promise, watermark and the accepted slots above it. */
void acceptor_load(struct acceptor *a, struct effects *out);

/* The slot if it is in memory, which all above the watermark are, else NULL. */
struct log_slot *acceptor_find(const struct acceptor *a, slot_t slot);

/* Records a vote, or a slot fetched as chosen, in memory and for the store. */
void acceptor_store_accepted(struct acceptor *a, enum durability durability, slot_t slot,
                             const struct ballot *ballot, struct slice value, struct effects *out);
void acceptor_store_promise(const struct acceptor *a, struct effects *out);
void acceptor_store_chosen(struct acceptor *a, enum durability durability, struct effects *out);

/* Adds the accepted slots from page->next on until the page is full; at least one if there is
 * any. */
void acceptor_read_votes(const struct acceptor *a, struct page *page, struct effects *out);

/* The same with the slots that are chosen here: all up to the watermark, and those above it. */
void acceptor_read_chosen(const struct acceptor *a, struct page *page, struct effects *out);

#endif
