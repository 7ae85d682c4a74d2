/* What a proposer knows, shared by the files of this folder and by nobody else. */
#ifndef SYNOD_PROPOSER_STATE_H
#define SYNOD_PROPOSER_STATE_H

#include "common/base/check.h"
#include "common/base/rng.h"
#include "common/protocol/due.h"
#include "common/protocol/value.h"
#include "proposer/clients.h"
#include "proposer/oracle/oracle.h"
#include "proposer/proposer.h"

/* Heartbeats whose sending time is remembered until their reports are back. */
#define HEARTBEATS_REMEMBERED 64

/* Slots that former leaders can have left above the chosen watermark of any acceptor, doubled, so
 * that of two slots which share a place the lower one is known to be chosen. */
#define RECOVERY_RING_SLOTS (2 * ACCEPTOR_AHEAD_SLOTS_MAX)

/* What is known of one acceptor. */
struct acceptor_view {
    int is_heard;             /* at least one report since the start */
    int is_outdated;          /* it refused a campaign that its last report invited: ask again */
    time_ms_t heard_at;       /* when its last report came */
    time_ms_t acked_sent_at;  /* when the newest heartbeat that it answered was sent */
    struct msg_report report; /* the last one; its proposers point to the next field */
    struct proposer_report proposers[MEMBERS_MAX];
};

/* Phase 1 towards one acceptor. */
struct promise {
    int is_promised;      /* its first page came */
    int is_complete;      /* all its pages came */
    int is_refused;       /* nack */
    slot_t expected_from; /* from_slot of the page that is due */
    slot_t chosen;        /* its durable chosen watermark */
    slot_t paged_to; /* where the furthest page so far ended: seeing a page again is no progress */
    time_ms_t asked_at; /* when the due page was asked for */
};

/* A value that recovery has to propose again. */
struct recovered {
    slot_t slot; /* 0: empty */
    int is_chosen;
    struct ballot ballot; /* highest at which it was reported */
    struct slice value;   /* a reference */
};

/* One slot in flight. */
struct flight {
    slot_t slot;
    struct slice value; /* a reference */
    acceptor_set_t accepted_by;
    int is_chosen;
    int is_streamed; /* the learners have been sent the value */
    time_ms_t sent_at;
};

struct proposer {
    struct proposer_options options;
    struct rng rng;
    enum node_state state;

    /* standby.c */
    struct acceptor_view acceptors[MEMBERS_MAX]; /* by index in members.acceptors */
    uint64_t sequence;                           /* of the last heartbeat */
    time_ms_t sent_at[HEARTBEATS_REMEMBERED];    /* by sequence % HEARTBEATS_REMEMBERED */
    time_ms_t heartbeat_due_at;
    node_id_t leader; /* who leads, as the reports say; 0 if unknown */
    struct ballot leader_ballot;
    time_ms_t pause_until;   /* no campaign before */
    time_ms_t invited_until; /* the last leader named us its successor: campaign at once */
    uint32_t attempts;       /* failed campaigns in a row */

    /* view.c */
    struct settings settings; /* the newest that a learner told, or those of cluster.yml */
    struct oracle oracle;
    struct place line[MEMBERS_MAX]; /* of successors, as the log has it */
    size_t line_count;
    slot_t line_applied; /* by the learner that told it */

    /* prepare.c, recover.c */
    struct ballot ballot; /* of the running or last attempt */
    uint64_t round_max;   /* highest round seen anywhere */
    time_ms_t attempt_deadline;
    struct promise promises[MEMBERS_MAX];
    struct recovered *recovery; /* by slot % RECOVERY_RING_SLOTS; NULL outside of an attempt */
    slot_t
        recovery_chosen; /* highest chosen watermark of the quorum: up to here values are fetched */
    slot_t recovery_end; /* last slot that has to be proposed again */
    slot_t fetching;     /* first slot of the fetch under way; 0 if none */
    int fetch_source;    /* index of the acceptor asked */
    time_ms_t fetch_retry_at;
    time_ms_t fetch_deadline; /* no answer from anybody by then: recovery starts again */
    uint64_t stamp_base_ms;   /* cluster time at stamp_started_at */
    time_ms_t stamp_started_at;

    /* window.c */
    struct flight
        flights[WINDOW_SLOTS_MAX]; /* by slot % WINDOW_SLOTS_MAX, slots in (chosen, next) */
    size_t flight_bytes;
    slot_t next_slot; /* to propose */
    slot_t chosen;    /* commit watermark */
    slot_t committed; /* the same, as learners were told; slots up to here have left the window */

    /* time.c */
    struct due dues[MEMBERS_MAX]; /* what learners say; by index in members.learners */
    uint64_t stamped_ms;          /* highest stamp of a value that was proposed under this ballot */

    /* intake.c */
    struct clients clients;

    /* transfer.c */
    node_id_t drain_to; /* hand over to this one; 0: to whom the oracle names then */
    time_ms_t drain_deadline;
    int is_stopping;  /* the process ends when leadership is gone */
    node_id_t better; /* ranks above this leader and is fit, since: */
    time_ms_t better_since;
};

/* ---- proposer.c */

/* What holds of the whole struct between two steps. */
void proposer_check(const struct proposer *p);

/* The one place in which the state changes: from standby over phase 1, recovery and leading to
 * draining, and from each of them back to standby. */
void proposer_become(struct proposer *p, enum node_state state);

/* 1 while this proposer owns a ballot that a quorum promised. */
int proposer_is_serving(const struct proposer *p);

/* Gives up leadership or an attempt at it; what clients wait for is rejected. */
void proposer_step_down(struct proposer *p, const char *reason, time_ms_t now, struct effects *out);

/* Cluster time, for the next slot. */
uint64_t proposer_stamp(const struct proposer *p, time_ms_t now);

/* ---- standby.c */
void proposer_on_report(struct proposer *p, const struct event *event, struct effects *out);
void proposer_send_heartbeat(struct proposer *p, time_ms_t now, struct effects *out);

/* An acceptor will take nothing more of this leader, because it has promised another ballot: only a
 * higher one gets it back. The leader steps down. If it is sure that nobody else can lead, since
 * quorums without that acceptor are under its lease, it prepares a higher ballot at once instead of
 * leaving the cluster without a leader for an election timeout. index: of the acceptor. */
void proposer_on_deposed(struct proposer *p, int index, const char *reason, time_ms_t now,
                         struct effects *out);

/* Both quorums answer: it could win and serve. */
int proposer_reaches_quorum(const struct proposer *p, time_ms_t now);

/* An accept quorum answers: whoever leads needs no other. */
int proposer_keeps_quorum(const struct proposer *p, time_ms_t now);
void proposer_maybe_campaign(struct proposer *p, time_ms_t now, struct effects *out);

/* 1 while a report of the acceptor speaks for the present. */
int proposer_is_fresh(const struct proposer *p, const struct acceptor_view *view, time_ms_t now);

/* A quorum of acceptors says that nobody leads, and this proposer reaches a quorum: a campaign
 * disturbs nobody. */
int proposer_gate_is_open(const struct proposer *p, time_ms_t now);

/* ---- view.c */
void proposer_view(const struct proposer *p, time_ms_t now, struct oracle_view *view);

/* Begins the oracle that the settings name: at the start, and when they change. */
void proposer_begin_oracle(struct proposer *p, time_ms_t now, struct effects *out);
void proposer_tick_oracle(struct proposer *p, time_ms_t now, struct effects *out);
void proposer_on_oracle(struct proposer *p, const struct event *event, struct effects *out);
void proposer_on_name(struct proposer *p, const struct event *event, struct effects *out);
void proposer_take_settings(struct proposer *p, const struct settings *settings);
void proposer_on_settings(struct proposer *p, const struct event *event, struct effects *out);

/* Registers proposers in the line of successors, if the oracle wants it. */
void proposer_enroll(struct proposer *p, time_ms_t now, struct effects *out);

/* ---- transfer.c */

/* Who should follow this leader; 0 if nobody is known to be fit. */
node_id_t proposer_successor(const struct proposer *p, time_ms_t now);
void proposer_on_shutdown(struct proposer *p, time_ms_t now, struct effects *out);
void proposer_on_transfer(struct proposer *p, const struct event *event, struct effects *out);
void proposer_on_release(struct proposer *p, const struct event *event, struct effects *out);

/* Hands over when all is chosen, or time is up. */
void proposer_continue_hand_over(struct proposer *p, time_ms_t now, struct effects *out);

/* Begins to hand over if the settings say that this one must not lead, or another one should. */
void proposer_maybe_yield(struct proposer *p, time_ms_t now, struct effects *out);

/* ---- explain.c */
void proposer_on_explain(struct proposer *p, const struct event *event, struct effects *out);

/* ---- prepare.c */
void proposer_campaign(struct proposer *p, time_ms_t now, struct effects *out);
void proposer_on_promise(struct proposer *p, const struct event *event, struct effects *out);
void proposer_on_nack(struct proposer *p, const struct event *event, struct effects *out);
void proposer_tick_prepare(struct proposer *p, time_ms_t now, struct effects *out);

/* ---- recover.c */
void proposer_note_recovered(struct proposer *p, const struct slot_entry *entry, int is_chosen,
                             struct effects *out);
void proposer_begin_recovery(struct proposer *p, slot_t start, slot_t chosen, slot_t end,
                             time_ms_t now, struct effects *out);
void proposer_on_chosen(struct proposer *p, const struct event *event, struct effects *out);
void proposer_continue_recovery(struct proposer *p, time_ms_t now, struct effects *out);
void proposer_drop_recovery(struct proposer *p);

/* ---- window.c */

/* 1 if one more slot may be proposed now. */
int proposer_window_has_room(const struct proposer *p);
void proposer_propose(struct proposer *p, struct slice value, time_ms_t now, struct effects *out);
void proposer_on_accepted(struct proposer *p, const struct event *event, struct effects *out);
void proposer_retransmit(struct proposer *p, time_ms_t now, struct effects *out);

/* Proposes no-ops up to the highest slot that any acceptor has accepted. A former leader may have
 * left values with acceptors whose promise was not needed; a linearizable read waits for their
 * slots, and without client traffic nobody else would close them (TRAPS 7.8). */
void proposer_fill_gap(struct proposer *p, time_ms_t now, struct effects *out);

/* Sends the learners what was chosen since the last time: values that they do not have yet, and the
 * commit. The slots leave the window. */
void proposer_tell_learners(struct proposer *p, struct effects *out);

/* The commit alone, for learners that missed one. */
void proposer_send_commit(struct proposer *p, struct effects *out);
void proposer_drop_window(struct proposer *p);

/* ---- time.c */
void proposer_on_progress(struct proposer *p, const struct event *event, struct effects *out);

/* Proposes a no-op if a lease is due and no value with a later stamp was proposed: the stamp ends
 * it. */
void proposer_tell_time(struct proposer *p, time_ms_t now, struct effects *out);

/* ---- intake.c */
void proposer_on_submit(struct proposer *p, const struct message *msg, struct effects *out);
void proposer_on_client(struct proposer *p, struct peer client, int is_up, struct effects *out);
void proposer_form_batches(struct proposer *p, time_ms_t now, struct effects *out);
void proposer_announce(struct proposer *p, struct effects *out);

/* Rejects everything that waits. */
void proposer_drop_waiting(struct proposer *p, struct effects *out);

#endif
