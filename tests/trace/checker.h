/* The rules that no run may break, whatever is lost, cut, crashed or reordered. Watched at every
 * write, every message and after every turn.
 *
 * Votes are what acceptors have made durable: an accepted value counts from the moment its record
 * is synced. A slot is chosen when an accept quorum has voted for it at one ballot, at any time. */
#ifndef SYNOD_TESTS_TRACE_CHECKER_H
#define SYNOD_TESTS_TRACE_CHECKER_H

#include "common/protocol/core.h"
#include "common/protocol/members.h"
#include "tests/trace/primary_order.h"

struct disk;

/* The votes at one ballot for one slot. */
struct vote {
    struct ballot ballot;
    struct slice value; /* a reference */
    acceptor_set_t voters;
};

struct slot_votes {
    struct vote *votes;
    size_t count, capacity;
    int is_chosen;
    struct slice chosen;         /* the value of one of votes */
    struct ballot chosen_ballot; /* the first at which it was chosen */
    int has_digest;
    uint64_t digest; /* of a learner that had applied exactly up to here */
};

/* A record of the log as it was acknowledged to its writer, or read by somebody. */
struct known_record {
    struct blob *bytes; /* NULL: not known yet */
};

/* What is known of one attempt to lead. */
struct attempt {
    struct ballot ballot;
    acceptor_set_t promised_by; /* have stored exactly this ballot as their promise, durably */
    int has_proposed;
};

/* Processes of one proposer, one after the other, of which an acceptor remembers what it heard. */
#define WATCHED_LIVES 4

/* What one acceptor in its present life has heard, as answers.c follows it. */
struct acceptor_watch {
    struct ballot promised;
    time_ms_t started_at;
    int may_have_granted; /* a lease, in a former life */
    struct ballot leader; /* whose lease it granted last */
    time_ms_t leader_heard_at, lease_until;
    int is_released; /* that leader has given it up */
    struct {
        uint64_t incarnation, sequence;  /* of the newest heartbeat of that process */
    } heard[MEMBERS_MAX][WATCHED_LIVES]; /* by index of the proposer; first come, first gone */
};

/* What an acceptor was asked in its turn. */
struct question {
    enum message_kind kind; /* 0: it was answered */
    struct peer from;
    struct ballot ballot;
    uint64_t number; /* slot, sequence or request */
};

#define QUESTIONS_MAX 256

/* Heartbeats whose answers a proposer's watch can date; several election timeouts. */
#define WATCHED_HEARTBEATS 64

/* What one proposer in its present life has asked and heard, as proposer_watch.c follows it. */
struct proposer_watch {
    time_ms_t since; /* it serves, or served last, from then on */
    struct asked {
        uint64_t sequence;
        time_ms_t at;
    } asked[WATCHED_HEARTBEATS]; /* heartbeats, by sequence */
    struct follower {
        struct ballot ballot; /* it promised, and whose leader it follows; BALLOT_NONE: neither */
        time_ms_t asked_at;   /* when the heartbeat left that it answered by that */
    } followers[MEMBERS_MAX]; /* the last answer, by index of the acceptor */
};

/* Questions that a learner's watch remembers. */
#define READS_WATCHED 512

/* What one learner in its present life was asked, and has asked, as read_watch.c follows it. */
struct read_watch {
    uint64_t round, complete; /* that it began last; the newest that a prepare quorum answered */
    acceptor_set_t answered;  /* round */
    struct linearizable {
        uint64_t client, request;
        uint64_t asked_before; /* the newest round when the question came */
        int is_linearizable, is_answered;
    } questions[READS_WATCHED]; /* a ring */
    size_t count;
    int has_lost; /* one that was never answered left the ring: nothing is judged any more */
};

/* What one learner had applied. */
struct learner_watch {
    uint32_t starts;
    slot_t applied;
};

/* Whom the checker tells what it sees first; either may be NULL. */
struct checker_listener {
    void *self;
    /* A value that was never seen for this slot was proposed, or stored. */
    void (*proposed)(void *self, slot_t slot, const struct ballot *ballot, struct slice value);
    /* The slots are chosen without a gap up to this one. */
    void (*chosen)(void *self, slot_t slot, const struct ballot *ballot, struct slice value);
};

struct raft_rules;

struct checker {
    const struct members *members;
    struct raft_rules *raft; /* Raft mode: its rules, in the place of those of Paxos; else NULL */
    int lenient; /* a puppet plays a member and may tell what no vote shows: what is chosen by its
                    word is not checked */
    struct slot_votes *slots; /* by slot */
    size_t slot_count, slot_capacity;
    slot_t chosen_prefix;                /* every slot up to here is chosen */
    struct ballot promised[MEMBERS_MAX]; /* durable, by index of the acceptor */
    slot_t watermark[MEMBERS_MAX];       /* likewise */
    struct primary_order order;          /* of what is broadcast, and delivered: chosen_prefix */
    struct attempt *attempts;            /* in the order in which their first promise was stored */
    size_t attempt_count, attempt_capacity;
    struct acceptor_watch acceptors[MEMBERS_MAX]; /* by index of the acceptor */
    struct proposer_watch proposers[MEMBERS_MAX]; /* by index of the proposer */
    struct learner_watch learners[MEMBERS_MAX];   /* by index of the learner */
    struct read_watch reads[MEMBERS_MAX];         /* likewise */
    struct question questions[QUESTIONS_MAX];     /* of the turn under way */
    size_t question_count;
    struct known_record *log; /* by record index */
    size_t log_count, log_capacity;
    uint64_t acknowledged; /* highest record index whose result reached its client */
    struct checker_listener listener;
    const char *rule;    /* the name of the first rule that was broken, or NULL */
    char violation[512]; /* how; empty if none was */
};

void checker_init(struct checker *checker, const struct members *members);
void checker_close(struct checker *checker);

/* Remembers the first broken rule, by a name of one word (static storage) and a sentence. */
void checker_violate(struct checker *checker, const char *rule, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* For the rules of both modes: the slot; the votes for a value at a ballot, made if there are
 * none; the slot is chosen; a primary broadcasts; a commit, and slots that are served, against what
 * is chosen. */
struct slot_votes *checker_slot(struct checker *checker, slot_t slot);
struct vote *checker_vote(struct checker *checker, slot_t slot, const struct ballot *ballot,
                          struct slice value);
void checker_choose(struct checker *checker, slot_t slot, const struct ballot *ballot,
                    struct slice value);
void checker_on_broadcast(struct checker *checker, const struct ballot *primary, slot_t slot,
                          enum broadcast_kind kind);
void checker_check_commit(struct checker *checker, const char *where, slot_t commit);
void checker_check_chosen(struct checker *checker, const struct msg_chosen *chosen);

/* A record of an acceptor became durable; value NULL: its deletion. */
void checker_on_durable(struct checker *checker, node_id_t acceptor, struct slice key,
                        struct blob *value);

/* The acceptor lost everything and is a new one. */
void checker_on_wipe(struct checker *checker, node_id_t acceptor);

/* A message leaves its node. disk: of an acceptor, else NULL. */
void checker_on_send(struct checker *checker, struct peer from, const struct message *msg,
                     const struct disk *disk);

/* A learner after a turn. */
struct learner_state {
    node_id_t id;
    uint32_t starts; /* of its process */
    slot_t applied;
    slot_t durable; /* applied, as its synced image says */
    uint64_t digest;
};

void checker_on_learner(struct checker *checker, const struct learner_state *state);

/* A record that a client wrote and got this index for, or read there. */
void checker_on_record(struct checker *checker, uint64_t index, struct slice bytes,
                       const char *client, int acknowledged);

#endif
