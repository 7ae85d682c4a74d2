/* What a Raft node knows, shared by the files of this folder and by nobody else. */
#ifndef SYNOD_ACCEPTOR_RAFT_STATE_H
#define SYNOD_ACCEPTOR_RAFT_STATE_H

#include "acceptor/log/slot_log.h"
#include "acceptor/raft/raft.h"
#include "common/base/check.h"
#include "common/base/rng.h"
#include "common/protocol/due.h"

/* Entries and bytes on the way to one follower, not yet acknowledged. */
#define FOLLOWER_ENTRIES_MAX 1024
#define FOLLOWER_BYTES_MAX (8 * MIB)

/* What the leader knows of one follower ("nextIndex" and "matchIndex" of Fig. 2, and more). */
struct progress {
    slot_t match; /* its log is ours up to here, durably: it said so in this term */
    slot_t next;  /* first entry it was not sent */
    slot_t acked; /* the stream that is under way is acknowledged up to here, or began behind it */
    uint64_t restart_sequence; /* conflicts of appends before this one are known */
    time_ms_t acked_sent_at;   /* when the newest append that it answered was sent, or earlier */
};

/* A batch of blocks that a proposer handed over and that is not in the log yet. */
struct handed {
    struct peer proposer;
    uint64_t incarnation; /* of the proposer */
    uint64_t sequence;
    struct slice value; /* a reference: a batch without stamp */
};

/* How far the stream of one proposer has come, in this term. */
struct stream {
    uint64_t incarnation; /* of the proposer; 0: nothing came */
    uint64_t sequence;    /* in the queue up to here */
    uint64_t logged;      /* and in the log */
};

/* When appends were sent: that of sequence and all behind it, up to the next such mark. */
struct sending {
    uint64_t sequence;
    time_ms_t at;
};

/* Heartbeats whose sending time is remembered until their answers are back. */
#define SENDINGS_REMEMBERED 64

/* Appends of one turn that are not yet acknowledged. */
struct acknowledgement {
    int is_open;
    struct peer to;
    uint64_t echo; /* incarnation of the leader */
    struct ballot ballot;
    uint64_t sequence;
    slot_t match;
};

struct raft {
    struct raft_options options;
    int self_index; /* in members.acceptors */
    struct rng rng;
    enum raft_role role;

    /* Durable, in one record: both are written before anything that rests on them is said. */
    uint64_t term;       /* never falls */
    struct ballot vote;  /* the last vote given; of this term if its round is the term */
    int is_term_unsaved; /* one of the two changed in this turn */

    /* The entries, without gaps. Its settled is the last that is synced ("durable"); its stamp, the
     * cluster time of the last entry, never falls along the log. */
    struct slot_log log;
    slot_t commit;        /* everything up to here is committed; never falls */
    slot_t commit_stored; /* the same, as the last record put says */

    /* election.c */
    time_ms_t election_at;   /* without news of a leader, a campaign begins then */
    uint32_t attempts;       /* failed elections in a row */
    acceptor_set_t votes;    /* for this campaign, by index; our own when it is durable */
    acceptor_set_t refusals; /* likewise */
    int is_transfer;         /* this campaign was asked for by the leader */

    /* whom we follow */
    struct ballot leader; /* of this term; BALLOT_NONE if unknown. Our own if we lead */
    struct ballot known;  /* the last one that was known, of whatever term */
    time_ms_t heard_at;   /* when it was last heard; meaningful with leader */
    uint64_t heard_sequence;
    slot_t verified; /* our log is this leader's up to here */
    struct acknowledgement ack;

    /* leading */
    struct ballot ballot; /* of our last leadership */
    slot_t lead_index;    /* first entry of our term (5.4.2: what may be committed by counting) */
    uint64_t sequence;    /* of the last append */
    time_ms_t heartbeat_at;
    struct sending sendings[SENDINGS_REMEMBERED]; /* of the last heartbeats, in a ring */
    size_t sending_count;                         /* so far in this term */
    struct progress progress[MEMBERS_MAX];        /* by index in members.acceptors */
    slot_t told;                                  /* learners were told of the commit up to here */
    slot_t streamed;                              /* long values up to here were sent to them */
    time_ms_t lead_since;
    uint64_t stamp_base_ms; /* cluster time at lead_since */

    /* intake.c */
    struct handed *handed; /* a ring */
    size_t handed_head, handed_count, handed_capacity;
    size_t handed_bytes;
    struct stream streams[MEMBERS_MAX]; /* by index in members.proposers */
    struct due dues[MEMBERS_MAX];       /* what learners say; by index in members.learners */

    /* transfer.c */
    struct settings settings; /* the newest that a learner told, or those of cluster.yml */
    node_id_t better;         /* ranks above this leader and answers, since: */
    time_ms_t better_since;
    acceptor_set_t tried;    /* by the settings they should lead, and were handed over to */
    time_ms_t tried_until;   /* and are not again before */
    uint32_t tried_in_a_row; /* so often, with no longer break in between */
    node_id_t transfer_to;   /* 0: no transfer is under way */
    time_ms_t transfer_deadline;
    time_ms_t transfer_again_at; /* when it is asked again */
    int is_stopping;             /* the process ends when leadership is gone */

    int disk_low;
};

/* ---- raft.c */

/* What holds of the whole struct between two steps. */
void raft_check(const struct raft *r);

/* The one place in which term and vote change: the term never falls, and in one term there is one
 * vote (5.2). Both are durable, in one record, before anything that rests on them leaves. */
void raft_set_term(struct raft *r, uint64_t term, const struct ballot *vote);

/* The one place in which the role changes, along the arrows of Fig. 4. */
void raft_become(struct raft *r, enum raft_role role);

/* The one place in which the commit is raised: it never falls, and lies within the log. */
void raft_raise_commit(struct raft *r, slot_t commit);

/* Goes to a term that somebody else is in. The vote is cleared only because the term is new. */
void raft_enter_term(struct raft *r, uint64_t term, time_ms_t now, struct effects *out);

/* Becomes or stays a follower in this term. leader may be BALLOT_NONE. */
void raft_follow(struct raft *r, const struct ballot *leader, const char *reason, time_ms_t now,
                 struct effects *out);
void raft_lead(struct raft *r, time_ms_t now, struct effects *out);

/* ---- election.c */
void raft_reset_timer(struct raft *r, time_ms_t now);
void raft_begin_prevote(struct raft *r, time_ms_t now, struct effects *out);
void raft_campaign(struct raft *r, int is_transfer, time_ms_t now, struct effects *out);
void raft_on_request_vote(struct raft *r, const struct event *event, struct effects *out);
void raft_on_vote(struct raft *r, const struct event *event, struct effects *out);
void raft_tick_election(struct raft *r, time_ms_t now, struct effects *out);

/* Goes on if the votes suffice. */
void raft_maybe_win(struct raft *r, time_ms_t now, struct effects *out);

/* 1 while a leader is known to serve: nobody who asks for a vote is listened to. */
int raft_hears_leader(const struct raft *r, time_ms_t now);

/* A majority that also is a prepare quorum: two of these always meet, with flexible quorums,
 * too. */
int raft_is_election_quorum(const struct raft *r, acceptor_set_t set);

/* ---- log.c */
void raft_log_open(struct raft *r);
void raft_log_load(struct raft *r, struct effects *out);

/* Puts term and vote if they changed: once a turn, and before an entry. */
void raft_log_save_term(struct raft *r, struct effects *out);

/* The term of an entry; 0 for index 0. Reads the store for an old one. */
uint64_t raft_log_term(const struct raft *r, slot_t index, struct effects *out);

/* Puts the entry behind the last one, for the store, too. value is referenced. */
void raft_log_append(struct raft *r, const struct ballot *ballot, struct slice value,
                     struct effects *out);

/* Takes away every entry from index on. Never one that is committed. */
void raft_log_truncate(struct raft *r, slot_t index, struct effects *out);

/* Everything that was appended is in the store: entries may leave memory. */
void raft_log_written(struct raft *r, struct effects *out);
void raft_log_store_commit(struct raft *r, struct effects *out);

/* 1 if one more entry may be appended in this turn. */
int raft_log_has_room(const struct raft *r);

/* Bytes of the values of entries (from, to], as far as they are known. */
uint64_t raft_log_bytes_between(const struct raft *r, slot_t from, slot_t to);

/* The highest index up to `from` whose term is not above `term`, looking at entries in memory only:
 * what it finds is a hint. */
slot_t raft_log_last_with_term(const struct raft *r, slot_t from, uint64_t term);

/* ---- replication.c */
void raft_on_append(struct raft *r, const struct event *event, struct effects *out);
void raft_on_appended(struct raft *r, const struct event *event, struct effects *out);
void raft_flush_acknowledgement(struct raft *r, struct effects *out);

/* Commits what a quorum has, if an entry of this term is among it (5.4.2, Fig. 8). */
void raft_maybe_commit(struct raft *r, struct effects *out);

/* ---- progress.c */
void raft_progress_start(struct raft *r, time_ms_t now);
void raft_progress_send_all(struct raft *r, struct effects *out);
void raft_progress_heartbeat(struct raft *r, time_ms_t now, struct effects *out);
void raft_progress_heartbeat_to(struct raft *r, size_t index, struct effects *out);

/* Notes that a member has answered the append of that sequence. */
void raft_progress_acknowledge(struct raft *r, struct progress *p, uint64_t sequence);

/* The members that have answered an append of the last election timeout, this one included. */
acceptor_set_t raft_progress_active(const struct raft *r, time_ms_t now);

/* ---- intake.c */
void raft_on_propose(struct raft *r, const struct event *event, struct effects *out);
void raft_on_progress(struct raft *r, const struct event *event, struct effects *out);
void raft_form_batches(struct raft *r, time_ms_t now, struct effects *out);
void raft_drop_handed(struct raft *r, struct effects *out);
void raft_free_handed(struct raft *r);

/* Proposes a no-op if a lease is due and no entry with a later stamp is in the log. */
void raft_tell_time(struct raft *r, time_ms_t now, struct effects *out);
uint64_t raft_stamp(const struct raft *r, time_ms_t now);
int raft_window_has_room(const struct raft *r);

/* Sends the learners what was committed since the last time. */
void raft_tell_learners(struct raft *r, struct effects *out);
void raft_send_commit(struct raft *r, struct effects *out);

/* ---- answers.c */
void raft_on_heartbeat(struct raft *r, const struct event *event, struct effects *out);
void raft_on_fetch(struct raft *r, const struct message *msg, struct effects *out);
void raft_on_read_index(struct raft *r, const struct event *event, struct effects *out);

/* ---- transfer.c */
uint64_t raft_weight(const struct raft *r, size_t index); /* of a member; higher leads first */
int raft_is_barred(const struct raft *r, size_t index);   /* a member that must not lead */
void raft_take_settings(struct raft *r, const struct settings *settings);
void raft_on_settings(struct raft *r, const struct event *event, struct effects *out);
void raft_on_transfer(struct raft *r, const struct event *event, struct effects *out);

/* to: 0 for whoever is best. */
void raft_transfer_begin(struct raft *r, node_id_t to, time_ms_t now, struct effects *out);

/* Hands over if the settings say that this one must not lead, or that another one should. */
void raft_maybe_yield(struct raft *r, time_ms_t now, struct effects *out);
void raft_transfer_work(struct raft *r, time_ms_t now, struct effects *out);
void raft_on_timeout_now(struct raft *r, const struct event *event, struct effects *out);

#endif
