/* What an acceptor knows, shared by the files of this folder and by nobody else. */
#ifndef SYNOD_ACCEPTOR_STATE_H
#define SYNOD_ACCEPTOR_STATE_H

#include "acceptor/acceptor.h"
#include "common/base/check.h"

/* Slots whose ballots are held in memory: those above the chosen watermark, which are at most
 * ACCEPTOR_AHEAD_SLOTS_MAX, and as many below it. */
#define ACCEPTED_RING_SLOTS (2 * ACCEPTOR_AHEAD_SLOTS_MAX)

/* One accepted slot. */
struct accepted {
    slot_t slot;          /* 0: empty */
    struct ballot ballot; /* at which it was accepted */
    int is_lazy;          /* fetched as chosen: no vote, and perhaps not synced */
    int is_chosen;        /* chosen here (DESIGN 4.4), also above a hole; not stored */
    struct slice value;   /* a reference; empty if the value is only on disk */
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
    slot_t accepted_max;    /* never below chosen */
    uint64_t stamp_ms;      /* highest cluster time in any accepted value */

    struct accepted *ring; /* by slot % ACCEPTED_RING_SLOTS */
    size_t ring_bytes;     /* of the values in it */
    slot_t evicted_to;     /* values of slots up to here may have been dropped from memory */

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

/* The entry of a slot if the ring has it, else NULL. */
struct accepted *acceptor_find(struct acceptor *a, slot_t slot);

/* Records a vote, or a slot fetched as chosen, in the ring and for the disk. */
void acceptor_store_accepted(struct acceptor *a, enum durability durability, slot_t slot,
                             const struct ballot *ballot, struct slice value, struct effects *out);
void acceptor_store_promise(const struct acceptor *a, struct effects *out);
void acceptor_store_chosen(struct acceptor *a, enum durability durability, struct effects *out);

/* Drops values from memory beyond options.cache_bytes, oldest first. Only when all records are
 * written. */
void acceptor_evict(struct acceptor *a, struct effects *out);

/* Some accepted slots in rising order. */
struct page {
    struct slot_entry *entries; /* owned by the effects */
    uint32_t count;
    size_t bytes;
    size_t bytes_max; /* it closes there, or at PAGE_BYTES_TARGET if that is less */
    slot_t next;      /* where a further page would begin */
};

/* Collects the slots that are chosen here, from `from` on, until the page is full: all up to the
 * watermark, and those above it. */
void acceptor_read_chosen(struct acceptor *a, slot_t from, size_t bytes_max, struct page *page,
                          struct effects *out);

/* Collects accepted slots from `from` up to `to` until the page is full; at least one if there is
 * any. */
void acceptor_read_page(struct acceptor *a, slot_t from, slot_t to, size_t bytes_max,
                        struct page *page, struct effects *out);

#endif
