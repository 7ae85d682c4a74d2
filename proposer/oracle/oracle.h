/* Who should lead. An oracle names one proposer; it never decides anything: the acceptors' reports
 * gate a campaign and phase 1 settles it (DESIGN section 5). So each of them may be wrong, slow or
 * of two minds, and costs at most time.
 *
 * One file an oracle, all under this contract, and pure like every core: no clock, no I/O, what
 * they want done goes into effects. They are compared in tests/bench, and every one passes the same
 * conformance suite in the simulator (tests/sim). */
#ifndef SYNOD_PROPOSER_ORACLE_ORACLE_H
#define SYNOD_PROPOSER_ORACLE_ORACLE_H

#include "common/base/rng.h"
#include "common/protocol/core.h"
#include "common/protocol/limits.h"
#include "common/protocol/members.h"
#include "common/protocol/settings.h"
#include "common/protocol/types.h"

#include <stddef.h>

/* One proposer, as the acceptors' reports and the settings show it. */
struct oracle_candidate {
    node_id_t id;
    uint64_t weight;         /* what is compared is (weight, id) */
    int is_barred;           /* must not lead */
    int is_alive;            /* heard by an acceptor within one election timeout */
    acceptor_set_t heard_by; /* the acceptors that have; of the asker itself none */
    int reaches_quorum;      /* by its own word, which is also that it is not barred */
};

/* What an oracle may know, made anew for each call. */
struct oracle_view {
    time_ms_t now;
    node_id_t self;
    time_ms_t heartbeat_ms;
    time_ms_t election_ms;
    const struct members *members;
    const struct settings *settings;
    node_id_t leader; /* who serves a quorum now; 0 if nobody does */
    int is_open;      /* a quorum of acceptors says that nobody leads, and we reach a quorum */
    size_t candidate_count;                          /* all proposers */
    struct oracle_candidate candidates[MEMBERS_MAX]; /* rising ids; the asker among them */
    size_t line_count;
    const struct place *line; /* of successors, as the log has it */
};

/* The candidate of that id, or NULL. */
const struct oracle_candidate *oracle_candidate(const struct oracle_view *view, node_id_t id);

/* Its place in view->candidates; candidate_count if there is none of that id. */
size_t oracle_index(const struct oracle_view *view, uint64_t id);

/* The asker's own; always there. */
const struct oracle_candidate *oracle_self(const struct oracle_view *view);

/* 1 if anybody but the asker is fit. */
int oracle_others_are_fit(const struct oracle_view *view);

/* 1 if it is alive, reaches a quorum and may lead. */
int oracle_is_fit(const struct oracle_candidate *candidate);

/* -1, 0 or 1 by (weight, id). */
int oracle_rank(const struct oracle_candidate *a, const struct oracle_candidate *b);

/* The fit candidate of highest rank, or 0: what most oracles fall back on. */
node_id_t oracle_best(const struct oracle_view *view);

/* One kind of oracle. A function that a kind has no use for is NULL. */
struct oracle_class {
    enum oracle_kind kind;
    /* A state of its own, zeroed when init is called; 0 if it needs none. */
    size_t state_size;
    void (*init)(void *state, const struct oracle_view *view, struct rng *rng);
    /* A message of the oracle of another proposer of the same kind (MSG_ORACLE), an acceptor's
     * MSG_LEASED, or MSG_NAME of an oracle outside. Whatever settings the sender goes by: differing
     * versions are for the class to judge, if it cares. */
    void (*on_message)(void *state, const struct oracle_view *view, const struct message *msg,
                       struct rng *rng, struct effects *out);
    /* Called at the start, when the time that it returned last has come, after messages, and
     * whenever what the view says of the leader, or of is_open, changes. Returns when it wants to
     * be called again, or TIME_NEVER. */
    time_ms_t (*tick)(void *state, const struct oracle_view *view, struct rng *rng,
                      struct effects *out);
    /* Whom it names now, or 0. Asked with view->leader 0 when a campaign is possible, and when the
     * leader looks for a successor (then the leader itself is not alive in the view). Never
     * changes anything. */
    node_id_t (*name)(const void *state, const struct oracle_view *view);
    /* Of a leader that may propose: who is to be registered in the line of successors now, or
     * again; at most MEMBERS_MAX. incarnation: of the leader's process. */
    size_t (*enroll)(void *state, const struct oracle_view *view, uint64_t incarnation,
                     struct place *places);
    /* How long it takes at most, after network and processes are well again, until one leader is
     * named; NULL: four election timeouts. */
    time_ms_t (*bound_ms)(const struct oracle_view *view);
    /* Why, as one sentence of at most 400 bytes, for `synod explain`. */
    void (*explain)(const void *state, const struct oracle_view *view, char *text, size_t size);
};

extern const struct oracle_class oracle_connected;
extern const struct oracle_class oracle_lease;
extern const struct oracle_class oracle_ring;
extern const struct oracle_class oracle_floodmax;
extern const struct oracle_class oracle_gossip;
extern const struct oracle_class oracle_succession;
extern const struct oracle_class oracle_static;
extern const struct oracle_class oracle_external;

/* The class of a kind; never NULL for a valid one. */
const struct oracle_class *oracle_class_of(enum oracle_kind kind);

/* Sends to the oracle of another proposer: type, kind and version are filled in, the rest is for
 * the caller to set before its next call on out. */
struct msg_oracle *oracle_send(const struct oracle_view *view, enum oracle_message type,
                               node_id_t to, struct effects *out);

/* ---- an oracle at work, for the proposer */

struct oracle {
    const struct oracle_class *class;
    void *state; /* owned */
    time_ms_t due_at;
    struct rng rng;
    uint64_t version; /* of the settings it was begun with */
    node_id_t leader; /* in the view of the last tick */
    int is_open;      /* likewise */
};

/* Begins, or begins anew if the settings name another kind or have another version. */
void oracle_begin(struct oracle *oracle, const struct oracle_view *view, uint64_t seed,
                  struct effects *out);
void oracle_close(struct oracle *oracle);
void oracle_tick(struct oracle *oracle, const struct oracle_view *view, struct effects *out);
void oracle_on_message(struct oracle *oracle, const struct oracle_view *view,
                       const struct message *msg, struct effects *out);

/* Whom it names: never one that is barred. */
node_id_t oracle_names(const struct oracle *oracle, const struct oracle_view *view);
void oracle_explain(const struct oracle *oracle, const struct oracle_view *view, char *text,
                    size_t size);

#endif
