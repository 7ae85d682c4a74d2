/* Who should lead, and why somebody does. Part of synod.h, which is to be included.
 *
 * An oracle says who should lead; which one, and how it ranks the candidates, are settings. At
 * first they are those of cluster.yml; each change replaces them as a whole through the log, and
 * raises their version by one. Candidates are the proposers, in Raft mode the acceptors. */
#ifndef SYNOD_LEADER_H
#define SYNOD_LEADER_H

#ifndef SYNOD_H
#error "include synod.h, which has this part"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The blocking calls answer besides what is said below: SYNOD_E_REFUSED, and SYNOD_E_USAGE in a
 * callback. */

/* ---- the settings */

#define SYNOD_EDGES_MAX (SYNOD_MEMBERS_MAX * (SYNOD_MEMBERS_MAX - 1) / 2)
#define SYNOD_ZONE_BYTES 32 /* with the terminator; letters, digits and . _ - */

enum synod_oracle_kind {
    SYNOD_ORACLE_CONNECTED = 1,
    SYNOD_ORACLE_LEASE = 2,
    SYNOD_ORACLE_RING = 3,
    SYNOD_ORACLE_FLOODMAX = 4,
    SYNOD_ORACLE_GOSSIP = 5,
    SYNOD_ORACLE_SUCCESSION = 6,
    SYNOD_ORACLE_STATIC = 7,
    SYNOD_ORACLE_EXTERNAL = 8
};

/* "connected", "lease", ...; "unknown" for a number that is none. Static. Any thread. */
const char *synod_oracle_kind_name(enum synod_oracle_kind kind);

/* The kind of that name into *out: 1, or 0 if there is none. Any thread. */
int synod_oracle_kind_parse(const char *name, enum synod_oracle_kind *out);

/* One that could lead. */
struct synod_candidate {
    uint32_t id;
    uint32_t priority;           /* the higher leads first; of equal ones the higher id */
    int is_barred;               /* it must not lead */
    char zone[SYNOD_ZONE_BYTES]; /* "": none */
};

/* Two proposers that speak to each other: a < b. */
struct synod_edge {
    uint32_t a, b;
};

struct synod_oracle {
    uint64_t version; /* how often the log has changed them; 0: those of cluster.yml */
    enum synod_oracle_kind kind;
    int preempts; /* a leader hands over to one that ranks higher and has been fit for a while */
    char zone[SYNOD_ZONE_BYTES]; /* candidates in it rank above all others; "": no zone does */
    uint32_t diameter;           /* FLOODMAX: rounds, at most 31; 0: the topology's own */
    enum synod_role role;   /* of the candidates: SYNOD_PROPOSER; in Raft mode SYNOD_ACCEPTOR */
    size_t candidate_count; /* all members that could lead */
    struct synod_candidate candidates[SYNOD_MEMBERS_MAX]; /* rising ids */
    size_t order_count;
    uint32_t order[SYNOD_MEMBERS_MAX]; /* STATIC: the preferred one first, each id once */
    size_t edge_count;
    struct synod_edge edges[SYNOD_EDGES_MAX]; /* FLOODMAX: by a, then b, each once; none: all */
};

/* The settings as they are, into *out (written on success). With SYNOD_LOCAL they may be old, but
 * no quorum is needed. Blocks for the handle's timeout at most. SYNOD_E_UNAVAILABLE: no answer in
 * time. SYNOD_E_INTERRUPTED: made again, it begins anew. SYNOD_E_CORRUPT. */
int synod_oracle_get(struct synod *s, enum synod_consistency consistency, struct synod_oracle *out);

/* Replaces the settings, which must still be of oracle->version: read them, change what is to be
 * changed, and set them. Goes through the log, exactly once, while somebody leads; nothing stands
 * still meanwhile. oracle is copied; *version (may be NULL) gets the new version. Blocks for the
 * handle's timeout at most. SYNOD_E_CHANGED: somebody else was first; read again and try again.
 * SYNOD_E_USAGE, before anything is sent: an id that is no candidate, all barred, a topology that
 * does not join all, an oracle that means nothing in Raft mode, a zone that is none; the sentence
 * says which. SYNOD_E_SESSION (whether they were changed is unknown: read them),
 * SYNOD_E_UNAVAILABLE (they may still be changed), SYNOD_E_INTERRUPTED (call again to go on),
 * SYNOD_E_BUSY (poll, then again), SYNOD_E_CORRUPT.
 *
 *     do {
 *         rc = synod_oracle_get(s, SYNOD_LINEARIZABLE, &oracle);
 *         oracle.kind = SYNOD_ORACLE_RING;
 *         rc = rc == SYNOD_OK ? synod_oracle_set(s, &oracle, NULL) : rc;
 *     } while (rc == SYNOD_E_CHANGED);
 */
int synod_oracle_set(struct synod *s, const struct synod_oracle *oracle, uint64_t *version);

/* A place in the line of successors, which the oracle SUCCESSION keeps in the log. */
struct synod_place {
    uint32_t proposer;
    uint64_t incarnation; /* of the process that registered */
    uint64_t since;       /* slot at which it did */
    uint64_t left_ms;     /* until it leaves the line, unless it registers again */
};

/* Writes up to capacity places (the caller's), the first in the line first; *count gets how many
 * there are. Under another oracle than SUCCESSION nobody keeps the line, and what is there is left
 * over. Linearizable. Blocks and fails as synod_oracle_get does. */
int synod_oracle_line(struct synod *s, struct synod_place *places, size_t capacity, size_t *count);

/* ---- leadership handed over */

struct synod_transfer {
    enum synod_role role; /* of both ids: SYNOD_PROPOSER; in Raft mode SYNOD_ACCEPTOR */
    uint32_t from;        /* who led; the same as `to` if it led already and nothing was done */
    uint32_t to;          /* who leads now */
    uint64_t round;       /* of its ballot; in Raft mode its term. 0: not asked for */
};

/* Asks the leader to hand over to that member, or (0) to whom the oracle names next, and waits
 * until that one leads. Clients notice no more than a pause of a round trip. *out may be NULL.
 * Blocks for the handle's timeout at most; a hand-over that was begun gets four election
 * timeouts. SYNOD_E_USAGE: no such member. SYNOD_E_UNFIT: it is barred, silent, or reaches no
 * quorum; nothing was done. SYNOD_E_UNAVAILABLE: nobody leads or answers, the leader was busy
 * all the time, or it began to hand over and the target did not lead in time; the sentence says
 * which, and who leads then. SYNOD_E_INTERRUPTED: call again to go on. */
int synod_transfer(struct synod *s, uint32_t to, struct synod_transfer *out);

/* ---- why somebody leads, or nobody does */

/* Numbers one leadership, or an attempt at it; in Raft mode round is the term, and proposer the
 * acceptor that leads in it, or got the vote. round 0: none. */
struct synod_ballot {
    uint64_t round;
    uint32_t proposer;
};

/* Why a proposer does not try to lead now; the first that holds. */
enum synod_gate {
    SYNOD_GATE_SERVES = 1,    /* it leads, recovers, or hands over */
    SYNOD_GATE_CAMPAIGNS = 2, /* it asks for promises */
    SYNOD_GATE_NO_QUORUM = 3, /* too few acceptors answer it */
    SYNOD_GATE_LEADER_HEARD =
        4,                    /* too few acceptors say that nobody leads, or that no lease runs */
    SYNOD_GATE_BARRED = 5,    /* it must not lead */
    SYNOD_GATE_NOT_NAMED = 6, /* its oracle names another one, or nobody */
    SYNOD_GATE_PAUSES = 7,    /* after an attempt that failed */
    SYNOD_GATE_OPEN = 8,      /* it is about to try */
    SYNOD_GATE_FORWARDS = 9   /* Raft mode: proposers never lead */
};

#define SYNOD_SILENT UINT32_MAX /* never heard */

/* What a proposer heard from an acceptor last. */
struct synod_explained_acceptor {
    uint32_t id;
    uint32_t silence_ms; /* since then; SYNOD_SILENT: nothing so far, and the rest is 0 */
    struct synod_ballot promised;
    struct synod_ballot leader; /* whom it heard last; none: nobody since it was started */
    uint32_t leader_silence_ms; /* when it said so: since then, or since it was started */
    uint32_t lease_left_ms;     /* likewise: how long it keeps others away; after a restart, too */
    uint64_t chosen;
};

/* What an acceptor said of a proposer. */
struct synod_explained_link {
    uint32_t acceptor;
    uint32_t proposer;
    uint32_t silence_ms; /* of the proposer, at the acceptor; SYNOD_SILENT: never heard */
    int reaches_quorum;  /* by the proposer's own word; 0 also if it knows that it is barred */
    uint64_t version;    /* of the settings that the proposer goes by */
};

#define SYNOD_SENTENCE_BYTES 401

/* What one proposer says. */
struct synod_explained_proposer {
    uint32_t id;
    int is_answering;  /* 0: nothing below is known */
    const char *state; /* as in struct synod_node; static */
    enum synod_gate gate;
    struct synod_ballot ballot; /* its own, of the running or last attempt */
    struct synod_ballot leader; /* whom it believes to lead */
    enum synod_oracle_kind kind;
    uint64_t version;                  /* of the settings that it goes by */
    uint32_t named;                    /* by its oracle; 0: nobody */
    uint32_t pause_ms;                 /* until it may try again */
    uint32_t attempts;                 /* that failed in a row */
    char oracle[SYNOD_SENTENCE_BYTES]; /* why its oracle names that one */
    size_t acceptor_count;
    struct synod_explained_acceptor acceptors[SYNOD_MEMBERS_MAX]; /* rising ids */
    size_t link_count;
    struct synod_explained_link *links; /* by acceptor, then proposer */
};

struct synod_explanation {
    int is_raft;
    uint32_t heartbeat_ms, election_ms;
    size_t prepare_quorum, accept_quorum; /* acceptors that must promise, and accept */
    size_t acceptor_count;
    uint32_t acceptors[SYNOD_MEMBERS_MAX]; /* of cluster.yml, rising ids */
    size_t proposer_count;
    struct synod_explained_proposer proposers[SYNOD_MEMBERS_MAX]; /* of cluster.yml, rising ids */
    int is_oracle_known;        /* 0: no learner answered, and oracle is that of cluster.yml */
    struct synod_oracle oracle; /* the settings, as a learner has them */
};

/* Asks every proposer, and a learner for the settings, and waits for their answers: half a second
 * for those that are silent, and if nobody answers at all, the handle's timeout. A proposer that
 * answered is asked again after such a wait, so that all times count to the end of the call. Needs
 * neither leader nor quorum. *out is written whenever anything can be said, also with
 * SYNOD_E_UNAVAILABLE (no proposer answered), and else set to NULL; give it back with
 * synod_explanation_free. SYNOD_E_INTERRUPTED: made again, it begins anew. */
int synod_explain(struct synod *s, struct synod_explanation **out);

/* Called once, with the codes of synod_explain, and with an explanation, which is the handle's,
 * also if code is SYNOD_E_UNAVAILABLE; SYNOD_E_INTERRUPTED: synod_close, and there is none. */
typedef void (*synod_explain_fn)(void *arg, int code, const struct synod_explanation *explanation);

/* The same without waiting, any number at once. timeout_ms: 0 for the handle's own; UINT32_MAX for
 * ever. *id (may be NULL) is for synod_cancel. SYNOD_OK, or SYNOD_E_USAGE, and fn is not called. */
int synod_explain_async(struct synod *s, uint32_t timeout_ms, synod_explain_fn fn, void *arg,
                        uint64_t *id);

/* Frees what synod_explain gave. NULL is allowed. Any thread. */
void synod_explanation_free(struct synod_explanation *explanation);

/* ---- an oracle outside: a program of yours says who should lead
 *
 * For `oracle: { kind: external }`. Say a word again every third of its time, and none when you are
 * not certain. It never unseats a leader; while the one it names could not lead, and when it was in
 * vain for two election timeouts, the live proposer of highest rank is named instead. */

#define SYNOD_NAME_VALID_MS_MAX (3600u * 1000u)

/* How a word was taken. */
struct synod_named {
    uint32_t told;    /* proposers that answered */
    uint32_t taken;   /* of these, how many go by it now */
    uint32_t leader;  /* proposer that leads, as they believe; 0: none that they know of */
    uint32_t missing; /* proposers that were not connected, or did not answer */
};

/* Tells every proposer that can be reached that `proposer` should lead, for valid_ms (at most
 * SYNOD_NAME_VALID_MS_MAX) from this call on; 0 instead of a proposer takes back the last word,
 * whoever said it. The last word wins, on each proposer for itself; one that restarts, or hears of
 * other settings, has forgotten it. Blocks until all have answered, a fraction of a second for
 * those that are silent, if all are, for the handle's timeout. SYNOD_OK if one takes it. *out (may
 * be NULL) is written unless an argument was wrong. SYNOD_E_USAGE: no such proposer, too long, Raft
 * mode; or the oracle is of another kind (out->told is not 0): synod_oracle_set, and it may be
 * said again. SYNOD_E_UNAVAILABLE: nobody answered. SYNOD_E_INTERRUPTED: made again, it says the
 * word anew, for valid_ms from then on. */
int synod_oracle_name(struct synod *s, uint32_t proposer, uint32_t valid_ms,
                      struct synod_named *out);

#ifdef __cplusplus
}
#endif
#endif
