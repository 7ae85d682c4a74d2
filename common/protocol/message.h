/* Every message that processes exchange, as the cores see it: decoded, validated, with slices into
 * the frame it came in. common/wire turns these into bytes and back; common/PROTOCOL.md shows each
 * in bytes. */
#ifndef SYNOD_PROTOCOL_MESSAGE_H
#define SYNOD_PROTOCOL_MESSAGE_H

#include "common/base/blob.h"
#include "common/protocol/limits.h"
#include "common/protocol/settings.h"
#include "common/protocol/types.h"

#include <stdint.h>

/* The wire format this build speaks, and the oldest it understands. */
#define PROTOCOL_VERSION 1
#define PROTOCOL_VERSION_OLDEST 1

enum message_kind {
    /* Handshake, on every connection; handled by the runtime, never by a core. */
    MSG_HELLO = 1,   /* dialler -> listener */
    MSG_WELCOME = 2, /* listener -> dialler */
    MSG_REFUSED =
        3, /* listener -> dialler, instead of welcome or in answer to a message it will not take */

    /* Multi-Paxos. */
    MSG_PREPARE = 10,          /* proposer -> acceptor */
    MSG_PROMISE = 11,          /* acceptor -> proposer, after its disk */
    MSG_ACCEPT = 12,           /* proposer -> acceptor and learner: the same bytes to all */
    MSG_ACCEPTED = 13,         /* acceptor -> proposer, after its disk */
    MSG_NACK = 14,             /* acceptor -> proposer */
    MSG_COMMIT = 15,           /* proposer -> learner */
    MSG_HEARTBEAT = 16,        /* proposer -> acceptor */
    MSG_REPORT = 17,           /* acceptor -> proposer, answer to a heartbeat */
    MSG_RELEASE = 18,          /* leader -> acceptors and proposers */
    MSG_REPAIR = 19,           /* proposer -> acceptor: catch up from that peer */
    MSG_FETCH = 20,            /* anyone -> acceptor */
    MSG_CHOSEN = 21,           /* acceptor -> who fetched */
    MSG_READ_INDEX = 22,       /* learner -> acceptor */
    MSG_READ_INDEX_REPLY = 23, /* acceptor -> learner */
    MSG_PROGRESS = 24,         /* learner -> proposer: how far it is, its digest, what is due */
    MSG_DIGEST = 25,           /* leader -> learner: the digest of another one */

    /* Raft, among acceptors; and how proposers reach the one that leads. */
    MSG_REQUEST_VOTE = 26, /* candidate -> acceptor */
    MSG_VOTE = 27,         /* acceptor -> candidate, after its disk */
    MSG_APPEND = 28,       /* leader -> acceptor */
    MSG_APPENDED = 29,     /* acceptor -> leader, after its disk */
    MSG_TIMEOUT_NOW = 30,  /* leader -> acceptor: lead in my place */
    MSG_PROPOSE = 31,      /* proposer -> leading acceptor: blocks of clients */
    MSG_PROPOSED = 32,     /* acceptor -> proposer: taken, or who leads */

    /* Oracles: who should lead. */
    MSG_ORACLE = 33,   /* proposer -> proposer: what the oracles of proposers tell each other */
    MSG_LEASE = 34,    /* proposer -> acceptor: grant me the lease of the oracle */
    MSG_LEASED = 35,   /* acceptor -> proposer */
    MSG_SETTINGS = 36, /* learner -> proposer and acceptor: what the log says of oracles */

    /* Clients. */
    MSG_SUBMIT = 40,       /* client -> proposer */
    MSG_REJECT = 41,       /* proposer -> client: not taken, and why */
    MSG_LEADING = 42,      /* proposer -> client, and in Raft mode acceptor -> proposer: I lead */
    MSG_RESULT = 43,       /* learner -> client */
    MSG_READ = 44,         /* client -> learner */
    MSG_RECORDS = 45,      /* learner -> client */
    MSG_STATUS = 46,       /* client -> proposer or learner */
    MSG_STATUS_REPLY = 47, /* proposer or learner -> client */
    MSG_QUERY = 48,        /* client -> learner: keys and leases */
    MSG_ANSWER = 49,       /* learner -> client */
    MSG_WATCH = 50,        /* client -> learner: what changes from a revision on */
    MSG_EVENTS = 51,       /* learner -> client */
    MSG_NAME = 52,         /* client -> proposer: an oracle outside names who should lead */
    MSG_NAMED = 53,        /* proposer -> client */
    MSG_TRANSFER = 54,     /* client -> proposer, in Raft mode proposer -> acceptor, too */
    MSG_TRANSFERRED = 55,  /* the answer */
    MSG_EXPLAIN = 56,      /* client -> proposer */
    MSG_EXPLANATION = 57,  /* proposer -> client */
};

/* The lower-case name of a kind ("prepare"), or "unknown". Static storage. */
const char *message_kind_name(enum message_kind kind);

/* One slot as an acceptor reports it. */
struct slot_entry {
    slot_t slot;
    struct ballot ballot; /* at which value was accepted; in Raft mode of the leader that made it */
    struct slice value;
};

/* ---- handshake */

struct msg_hello {
    uint32_t version_min;
    uint32_t version_max;
    struct peer
        wanted; /* whom the dialler believes to have reached; {ROLE_NONE, 0} if it does not care */
};

struct msg_welcome {
    uint32_t version; /* both speak this one from now on */
};

enum refusal {
    REFUSED_VERSION = 1, /* no common version */
    REFUSED_CLUSTER = 2, /* the frame carries another cluster's id */
    REFUSED_IDENTITY =
        3, /* the dialler wanted somebody else, or claims a role that is not served here */
    REFUSED_DUPLICATE = 4, /* another live process has the dialler's identity */
    REFUSED_MALFORMED = 5, /* bytes that are no message */
    REFUSED_KIND = 6,      /* a kind this process does not take, or does not know */
};

struct msg_refused {
    uint32_t reason;   /* enum refusal */
    struct slice text; /* one sentence, UTF-8, at most 400 bytes */
};

/* ---- phase 1 */

/* Asks for a promise for all slots, and for a page of what was accepted. */
struct msg_prepare {
    struct ballot ballot;
    slot_t from_slot; /* 0: the first page; else continue there: next_slot of the page before */
};

struct msg_promise {
    struct ballot ballot;
    slot_t from_slot;    /* of the prepare it answers */
    slot_t chosen;       /* durable chosen watermark */
    slot_t accepted_max; /* highest slot accepted, 0 if none */
    slot_t next_slot;    /* 0: this was the last page */
    uint64_t stamp_ms;   /* highest cluster time in any accepted value */
    uint32_t entry_count;
    struct slot_entry *entries; /* accepted slots above chosen, rising */
};

/* ---- phase 2 */

struct msg_accept {
    struct ballot ballot;
    slot_t slot;
    slot_t commit; /* everything up to here is chosen */
    struct slice value;
};

/* Accepted at this ballot, every slot from first to last. */
struct msg_accepted {
    struct ballot ballot;
    slot_t first;
    slot_t last;
};

enum nack_reason {
    NACK_BALLOT = 1, /* promised a higher ballot, or an equal one of another incarnation */
    NACK_LEASE =
        2, /* a leader was heard, or this acceptor has just restarted: ask again after retry_ms */
    NACK_TOO_FAR = 3, /* the slot lies too far above the chosen watermark */
};

struct msg_nack {
    struct ballot ballot; /* refused */
    struct ballot promised;
    uint32_t reason; /* enum nack_reason */
    uint32_t retry_ms;
};

struct msg_commit {
    struct ballot ballot;
    slot_t commit;
};

/* ---- who leads */

/* Tells an acceptor that this proposer is alive, and, with a ballot, that it leads. */
struct msg_heartbeat {
    struct ballot ballot; /* BALLOT_NONE from a standby */
    uint64_t sequence;    /* of this proposer's heartbeats; echoed in the report */
    slot_t commit;
    uint32_t lease_ms; /* from receiving: how long the acceptor refuses others; 0 from a standby */
    uint32_t reaches_quorum; /* 1: reports of a quorum arrived within one election timeout, and the
                                settings that it goes by do not bar it */
    uint64_t version;        /* of the settings of oracles that this proposer goes by */
};

/* What an acceptor heard of one proposer. */
struct proposer_report {
    node_id_t proposer;
    uint32_t silence_ms; /* since its last heartbeat, UINT32_MAX if never heard since start */
    uint32_t reaches_quorum;
    uint64_t version;
};

struct msg_report {
    uint64_t sequence; /* of the heartbeat it answers */
    struct ballot promised;
    struct ballot leader;       /* of the last leader heard, BALLOT_NONE if none since start */
    uint32_t leader_silence_ms; /* since then; since start if none */
    uint32_t lease_left_ms;     /* how long a prepare of another proposer would still be refused */
    slot_t chosen;
    slot_t accepted_max;
    uint32_t disk_low; /* 1: free space is below the reserve; new commands should wait */
    uint32_t proposer_count;
    struct proposer_report *proposers; /* rising ids */
};

/* The leader gives up its lease. To the successor it says: start at once; to the other proposers:
 * let it. */
struct msg_release {
    struct ballot ballot;
    node_id_t successor; /* 0 if none is known */
};

/* ---- catching up */

struct msg_repair {
    struct ballot ballot;
    slot_t target;    /* bring the chosen watermark at least here */
    node_id_t source; /* an acceptor that has it chosen */
};

struct msg_fetch {
    slot_t from; /* first slot wanted */
    uint32_t bytes_max;
};

struct msg_chosen {
    slot_t from;    /* of the fetch */
    slot_t chosen;  /* the sender's watermark */
    slot_t trimmed; /* slots up to here are gone; 0 if none */
    uint32_t entry_count;
    struct slot_entry *entries; /* from `from` on, rising, all chosen; above a hole of the
                                   sender with gaps */
};

struct msg_read_index {
    uint64_t request;
};

struct msg_read_index_reply {
    uint64_t request;
    slot_t accepted_max; /* highest slot accepted or known chosen */
};

/* ---- what learners tell */

struct msg_progress {
    slot_t applied;
    uint64_t digest; /* of the state there */
    uint64_t due_ms; /* cluster time at which a lease is up; 0 if there is none. When that passes
                           and no slot has told it, the leader proposes a no-op with its stamp */
};

struct msg_digest {
    node_id_t learner; /* whose */
    slot_t slot;
    uint64_t digest;
};

/* ---- oracles */

/* What the oracles of proposers tell each other. Which fields mean something, and what, is said by
 * the file of the oracle in proposer/oracle; the others are 0. */
enum oracle_message {
    ORACLE_TOKEN = 1,        /* ring: a candidate goes round */
    ORACLE_TOKEN_TAKEN = 2,  /* ring: the neighbour has it */
    ORACLE_ELECTED = 3,      /* ring: the winner goes round */
    ORACLE_MAXIMUM = 4,      /* floodmax: the highest that was heard of */
    ORACLE_BEAT = 5,         /* floodmax: the neighbour lives, though it has nothing new to say */
    ORACLE_PING = 6,         /* gossip */
    ORACLE_PING_REQUEST = 7, /* gossip: ping subject for me */
    ORACLE_ACK = 8,          /* gossip */
    ORACLE_REGISTER = 9,     /* succession, to the leader: keep me in the line */
};

enum rumor_state {
    RUMOR_ALIVE = 0,
    RUMOR_SUSPECT = 1,
    RUMOR_DEAD = 2,
};

/* What one proposer says of another. */
struct rumor {
    node_id_t proposer;
    uint32_t state;   /* enum rumor_state */
    uint64_t version; /* of the rumour: the proposer itself raises it to refute one */
    uint64_t weight;  /* of the proposer (settings.h) */
};

struct msg_oracle {
    uint32_t type;     /* enum oracle_message */
    uint32_t kind;     /* enum oracle_kind (settings.h): another one's message means nothing */
    uint64_t version;  /* of the settings the sender goes by */
    uint64_t round;    /* election, round of a flood, or number of a probe */
    node_id_t subject; /* the candidate, or whom to ping; 0: none */
    uint32_t hops;
    uint64_t weight; /* of subject */
    uint32_t rumor_count;
    struct rumor *rumors;
};

/* Asks an acceptor for the lease of the oracle `lease`. It is no leader's lease: what it grants is
 * to be named. */
struct msg_lease {
    uint64_t sequence; /* of this proposer's requests, rising */
    uint32_t lease_ms; /* from receiving; 0: gives it back */
};

struct msg_leased {
    uint64_t sequence; /* of the request */
    uint32_t granted;  /* 1: the sender of the request holds it */
    node_id_t holder;  /* 0: nobody holds it */
    uint32_t left_ms;  /* for the holder; or, after a restart, until anybody may hold it */
};

/* What the log says of oracles, from who has applied it. */
struct msg_settings {
    slot_t applied;        /* by the sender */
    uint64_t version;      /* 0: nothing was set, cluster.yml holds */
    struct slice settings; /* encoded (settings.h); empty for version 0 */
    uint32_t line_count;
    struct place *line; /* in order */
};

/* ---- Raft (the names are those of the paper, Fig. 2). A ballot names one leadership: its round is
 * the term, its proposer the acceptor that leads. */

enum vote_mode {
    VOTE_PRE = 1,      /* would you vote for me in that term? Changes nothing */
    VOTE_REAL = 2,     /* not listened to by who hears a leader */
    VOTE_TRANSFER = 3, /* the leader itself asked for this election */
};

struct msg_request_vote {
    uint64_t term; /* of the election; pre-vote: the one that it would be */
    uint32_t mode; /* enum vote_mode */
    slot_t last_index;
    uint64_t last_term; /* of that entry; 0 if the log is empty */
};

struct msg_vote {
    uint64_t term;       /* of the sender, now */
    uint64_t asked_term; /* of the request */
    uint32_t mode;       /* likewise */
    uint32_t granted;    /* 1: yes */
};

struct msg_append {
    struct ballot ballot;
    uint64_t sequence; /* of the leader's appends, rising; answered with it */
    slot_t prev_index;
    uint64_t prev_term;
    slot_t commit;
    uint32_t entry_count;
    struct slot_entry *entries; /* from prev_index + 1 on, dense; 0: a heartbeat */
};

struct msg_appended {
    struct ballot ballot; /* of the append */
    uint64_t term;        /* of the sender, now; above the ballot's round: the leader is none any
                             more */
    uint64_t sequence;    /* of the newest append that it answers */
    uint32_t conflict;    /* 1: prev_index and prev_term are not in the log */
    slot_t match;         /* the log is the leader's up to here, durably; of a conflict: it may be
                             so at most up to here */
    uint64_t hint_term;   /* of a conflict: the term of the entry at match */
    slot_t last_index;    /* of the sender's log */
};

struct msg_timeout_now {
    struct ballot ballot;
};

struct msg_propose {
    struct ballot ballot; /* of the leader it is meant for */
    uint64_t sequence;    /* of this proposer's batches, from 1 at its start, dense */
    uint64_t first;       /* the oldest batch that it may send (again): those below are given up */
    struct slice value;   /* a batch; its stamp means nothing */
};

enum propose_status {
    PROPOSED_TAKEN = 0,       /* every batch up to sequence is in the leader's log */
    PROPOSED_NOT_LEADING = 1, /* leader says who does */
    PROPOSED_AGAIN = 2,       /* send again what comes after sequence */
};

struct msg_proposed {
    struct ballot ballot; /* of the propose */
    uint64_t sequence;
    uint32_t status;      /* enum propose_status */
    struct ballot leader; /* whom the sender follows; BALLOT_NONE if it knows none */
};

/* ---- clients */

/* One block of commands (common/protocol/value.h). */
struct msg_submit {
    struct slice block;
};

enum reject_reason {
    REJECT_NOT_LEADER = 1, /* leader says who is, 0 if unknown */
    REJECT_BUSY = 2,       /* a byte budget is exhausted */
    REJECT_MALFORMED = 3,  /* the block breaks a rule; it will never be taken */
    REJECT_DISK = 4,       /* the acceptors have no space; reads go on */
};

struct msg_reject {
    uint32_t reason; /* enum reject_reason */
    node_id_t leader;
    uint64_t session;   /* of the block */
    uint64_t first_seq; /* of the block */
};

struct msg_leading {
    struct ballot ballot;
};

enum result_status {
    RESULT_OK = 0,
    RESULT_GAP = 1,             /* commands before these are missing: send again from sequence */
    RESULT_UNKNOWN_SESSION = 2, /* never opened, expired or closed */
    RESULT_SESSIONS_FULL = 3,   /* SESSIONS_MAX are open */
    RESULT_FORGOTTEN = 4,       /* executed, and its result was acknowledged before */
    /* Of commands and queries on keys and leases; those that failed changed nothing. */
    RESULT_COMPACTED = 5,       /* the revision is below the compacted one, which value names */
    RESULT_FUTURE = 6,          /* the revision is above the present one, which value names */
    RESULT_LEASE_NOT_FOUND = 7, /* never granted, revoked or expired */
    RESULT_LEASE_EXISTS = 8,    /* the id is taken */
    RESULT_LEASES_FULL = 9,     /* SESSIONS_MAX leases and sessions */
    RESULT_KEY_NOT_FOUND = 10,  /* to keep its value or lease the key must exist */
    RESULT_TOO_LARGE = 11,      /* the response would exceed KV_RESPONSE_BYTES_MAX */
    RESULT_CHANGED = 15, /* the settings are not those that the change was made from: value has the
                            present version */
    /* Of queries and watches only. */
    RESULT_NO_QUORUM = 12, /* the acceptors did not answer in time */
    RESULT_BUSY = 13,      /* READS_WAITING_MAX wait at this learner */
    RESULT_MALFORMED = 14, /* the query breaks a rule; it will never be answered */
};

/* Results of consecutive commands of one session. */
struct result_range {
    uint64_t sequence; /* of the first command */
    uint32_t count;    /* from 1; 0 only with RESULT_GAP and RESULT_UNKNOWN_SESSION */
    uint32_t status;   /* enum result_status, the same for all */
    uint64_t value;    /* append: index of the first record, the others follow densely; open: the
                          session's id; grant: the lease's id; keys, compact, revoke: the store's
                          revision after it */
    struct slice body; /* keys: the response (kv.h); keepalive: for each id the milliseconds it
                          lasts, u64, 0 if there is no such lease; else empty */
};

struct msg_result {
    uint64_t session;
    slot_t applied; /* the sender's applied slot */
    uint32_t range_count;
    struct result_range *ranges;
};

enum read_consistency {
    READ_LINEARIZABLE = 0, /* at least as new as everything acknowledged before the read was sent */
    READ_LOCAL = 1,        /* whatever this learner has applied */
};

struct msg_read {
    uint64_t request;
    uint64_t from;        /* first index wanted, from 1 */
    uint64_t count;       /* at most so many records; 0: no bound but the page's */
    uint32_t bytes_max;   /* of records in the reply; at least one record is sent */
    uint32_t wait_ms;     /* if there is no record at `from` yet, answer when there is one, or after
                             this long */
    uint32_t consistency; /* enum read_consistency */
};

enum read_status {
    READ_OK = 0,
    READ_TRIMMED = 1,   /* `from` is below first */
    READ_NO_QUORUM = 2, /* the acceptors did not answer in time */
    READ_BUSY = 3,      /* READS_WAITING_MAX */
};

struct msg_records {
    uint64_t request;
    uint32_t status; /* enum read_status */
    uint64_t first;  /* oldest index kept, 1 if nothing was trimmed */
    uint64_t last;   /* newest index when the reply was made, 0 if the log is empty */
    slot_t applied;
    uint64_t from; /* index of records[0] */
    uint32_t record_count;
    struct slice *records;
};

/* ---- keys and leases */

enum query_op {
    QUERY_KV = 1,       /* body: a request (kv.h) that changes nothing */
    QUERY_LEASE = 2,    /* body: id u64, keys u8 (1: name the keys that are attached) */
    QUERY_LEASES = 3,   /* body: first id u64: all leases from there on, as far as a page goes */
    QUERY_SETTINGS = 4, /* no body: what the log says of oracles */
    /* As QUERY_KV, of a question that goes on with an earlier answer, at its revision: that is read
     * as long as the learner has it, also when it was compacted since. */
    QUERY_KV_CONTINUED = 5,
};

struct msg_query {
    uint64_t request;
    uint32_t op;          /* enum query_op */
    uint32_t consistency; /* enum read_consistency */
    struct slice body;
};

struct msg_answer {
    uint64_t request;
    uint32_t status; /* enum result_status */
    slot_t applied;
    uint64_t revision; /* of the store when it was answered; compacted: the compacted one */
    /* KV: the response. If a page of a range is full there is more, and fewer keys than the limit:
     * go on behind the last key, at this revision. LEASE: ttl_ms u64, left_ms u64, key_count u32,
     * (size u32, key)*. LEASES: (id u64, ttl_ms u64, left_ms u64)*, rising ids; an empty page is
     * the end. SETTINGS: version u64, size u32, size bytes of settings (settings.h), then of each
     * place in the line of successors proposer u32, incarnation u64, since u64, left_ms u64. */
    struct slice body;
};

/* Flags of a watch. */
#define WATCH_PREVIOUS 1U  /* with what was there before */
#define WATCH_NO_PUT 2U    /* without puts */
#define WATCH_NO_DELETE 4U /* without deletes */
#define WATCH_CONTINUED 8U /* it goes on: told all from there on as long as the learner has that */

/* Asks for one page of the changes to [key, end) from a position on. The learner keeps nothing
 * beyond its answer: to watch is to ask again, anywhere, from where the page ended. */
struct msg_watch {
    uint64_t request;
    uint64_t revision; /* first wanted, from 1; may lie in the future */
    uint32_t sub;      /* and within it */
    uint32_t flags;
    uint32_t bytes_max; /* of events in the page; one revision is split only if it exceeds this */
    uint32_t wait_ms;   /* if there is nothing, answer when there is something, or after this */
    struct slice key;
    struct slice end;
};

struct msg_events {
    uint64_t request;
    uint32_t status;        /* OK, COMPACTED (watched from below it), BUSY */
    uint64_t revision;      /* of the store; compacted: the compacted one */
    uint64_t next_revision; /* everything wanted before this position is in this page or earlier */
    uint32_t next_sub;
    struct slice events; /* event* of kv.h, by revision and sub */
};

/* ---- operators, and oracles outside */

/* An oracle outside names who should lead. Its word holds for valid_ms from when it arrives; when
 * it runs out, the choice is that of `connected`. */
struct msg_name {
    uint64_t request;
    node_id_t proposer; /* 0: takes the last word back */
    uint32_t valid_ms;
};

enum name_status {
    NAME_TAKEN = 0,
    NAME_NOT_ASKED = 1, /* the oracle is of another kind than `external` */
    NAME_UNKNOWN = 2,   /* no such proposer */
};

struct msg_named {
    uint64_t request;
    uint32_t status;  /* enum name_status */
    node_id_t leader; /* who leads, as the sender believes; 0 if nobody */
};

struct msg_transfer {
    uint64_t request;
    node_id_t to; /* proposer, in Raft mode acceptor; 0: whom the oracle names next */
};

enum transfer_status {
    TRANSFER_BEGUN = 0,      /* the leader hands over; that it worked shows in who leads then */
    TRANSFER_NOT_LEADER = 1, /* leader says who is */
    TRANSFER_UNKNOWN = 2,    /* no such member */
    TRANSFER_UNFIT = 3,      /* the target is silent, or reaches no quorum */
    TRANSFER_BARRED = 4,     /* the settings say that it must not lead */
    TRANSFER_ALREADY = 5,    /* the target leads */
    TRANSFER_BUSY = 6,       /* recovering, or handing over already */
};

struct msg_transferred {
    uint64_t request;
    uint32_t status;  /* enum transfer_status */
    node_id_t leader; /* 0 if unknown */
};

struct msg_explain {
    uint64_t request;
};

/* Why a proposer does not begin a campaign now; the first that holds, in this order. */
enum gate {
    GATE_SERVES = 1,       /* it leads, or recovers, or hands over */
    GATE_CAMPAIGNS = 2,    /* it is in phase 1 */
    GATE_NO_QUORUM = 3,    /* too few acceptors answer it */
    GATE_LEADER_HEARD = 4, /* too few acceptors say that nobody leads, or that no lease runs */
    GATE_BARRED = 5,       /* the settings say that it must not lead */
    GATE_NOT_NAMED = 6,    /* its oracle names another one, or nobody */
    GATE_PAUSES = 7,       /* after an attempt that failed */
    GATE_OPEN = 8,         /* it will begin */
    GATE_FORWARDS = 9,     /* Raft mode: proposers never lead, the acceptors elect */
};

/* What one acceptor said of one proposer. */
struct explained_link {
    node_id_t acceptor;
    node_id_t proposer;
    uint32_t silence_ms; /* UINT32_MAX: never heard */
    uint32_t reaches_quorum;
    uint64_t version; /* of the settings that the proposer goes by */
};

/* What one acceptor said of itself. */
struct explained_acceptor {
    node_id_t acceptor;
    uint32_t silence_ms;    /* since it said so; UINT32_MAX: never */
    struct ballot promised; /* Raft: term, and whom it voted for or follows */
    struct ballot leader;
    uint32_t leader_silence_ms;
    uint32_t lease_left_ms; /* of the leader's lease, or of the wait after a restart */
    slot_t chosen;
};

struct msg_explanation {
    uint64_t request;
    uint32_t state;       /* enum node_state of the sender */
    uint32_t gate;        /* enum gate */
    struct ballot ballot; /* its own, of the running or last attempt; BALLOT_NONE before */
    struct ballot leader; /* whom it believes to lead */
    uint32_t kind;        /* enum oracle_kind */
    uint64_t version;     /* of its settings */
    node_id_t named;      /* by its oracle; 0: nobody */
    uint32_t pause_ms;    /* until it may try again */
    uint32_t attempts;    /* that failed in a row */
    struct slice oracle;  /* a sentence of the oracle: why that one. UTF-8, at most 400 bytes */
    uint32_t acceptor_count;
    struct explained_acceptor *acceptors; /* rising ids */
    uint32_t link_count;
    struct explained_link *links; /* by acceptor, then proposer */
};

struct msg_status {
    uint64_t request;
};

enum node_state {
    NODE_UNKNOWN = 0,     /* not heard of */
    NODE_STANDBY = 1,     /* proposer: waits */
    NODE_PREPARING = 2,   /* proposer: phase 1 */
    NODE_RECOVERING = 3,  /* proposer: closes the slots of former leaders */
    NODE_LEADING = 4,     /* proposer */
    NODE_DRAINING = 5,    /* proposer: hands over */
    NODE_VOTING = 6,      /* acceptor, as a proposer sees it */
    NODE_APPLYING = 7,    /* learner, at the newest commit it knows */
    NODE_CATCHING_UP = 8, /* learner: fetches */
    NODE_UNREACHABLE = 9, /* acceptor: silent for an election timeout */
};

/* What one process says of itself, or a proposer of an acceptor. Fields that do not apply are 0. */
struct node_status {
    struct peer node;
    uint32_t state;       /* enum node_state */
    uint32_t silence_ms;  /* since it was last heard; 0 of itself */
    struct ballot ballot; /* acceptor: promised; proposer: own or the leader's as it believes;
                             learner: of the last commit */
    node_id_t leader;     /* proposer: who leads, as it believes; 0 if unknown */
    slot_t leading_since; /* learner: slot of the last `lead` */
    slot_t chosen;        /* acceptor, proposer: chosen watermark; learner: highest commit known */
    slot_t accepted_max;  /* acceptor; proposer: highest slot proposed */
    slot_t applied;       /* learner */
    uint64_t last_index;  /* learner: newest record of the log */
    uint64_t digest;      /* learner: of the state at `applied` */
    uint64_t session_count; /* learner: leases, sessions included */
    uint64_t revision;      /* learner: of the keys */
    uint64_t compacted; /* learner: revisions up to here are gone, but for the newest of a key */
    uint64_t pending_bytes; /* proposer: commands waiting for a slot */
    uint64_t
        dropped_count; /* messages this process dropped because a peer's queue was full or gone */
};

struct msg_status_reply {
    uint64_t request;
    uint32_t node_count;
    struct node_status *nodes; /* the sender first */
};

/* ---- the message */

struct message {
    enum message_kind kind;
    struct peer from;
    uint64_t incarnation; /* of the sender's process */
    uint64_t echo; /* a reply: the incarnation it answers; else 0. Another one's echo is dropped */
    union {
        struct msg_hello hello;
        struct msg_welcome welcome;
        struct msg_refused refused;
        struct msg_prepare prepare;
        struct msg_promise promise;
        struct msg_accept accept;
        struct msg_accepted accepted;
        struct msg_nack nack;
        struct msg_commit commit;
        struct msg_heartbeat heartbeat;
        struct msg_report report;
        struct msg_release release;
        struct msg_repair repair;
        struct msg_fetch fetch;
        struct msg_chosen chosen;
        struct msg_read_index read_index;
        struct msg_read_index_reply read_index_reply;
        struct msg_submit submit;
        struct msg_reject reject;
        struct msg_leading leading;
        struct msg_result result;
        struct msg_read read;
        struct msg_records records;
        struct msg_status status;
        struct msg_status_reply status_reply;
        struct msg_progress progress;
        struct msg_digest digest;
        struct msg_query query;
        struct msg_answer answer;
        struct msg_watch watch;
        struct msg_events events;
        struct msg_request_vote request_vote;
        struct msg_vote vote;
        struct msg_append append;
        struct msg_appended appended;
        struct msg_timeout_now timeout_now;
        struct msg_propose propose;
        struct msg_proposed proposed;
        struct msg_oracle oracle;
        struct msg_lease lease;
        struct msg_leased leased;
        struct msg_settings settings;
        struct msg_name name;
        struct msg_named named;
        struct msg_transfer transfer;
        struct msg_transferred transferred;
        struct msg_explain explain;
        struct msg_explanation explanation;
    };
};

/* 1 if the message is a learner's of these members and tells settings of a higher version, which go
 * into *out. Else nobody has to go by it. */
int message_tells_settings(const struct message *msg, const struct members *members,
                           uint64_t version, struct settings *out);

/* 1 if the message answers another incarnation of this process and must be dropped (DESIGN 4,
 * Names). Both runners ask before every step. */
int message_is_stale(const struct message *msg, uint64_t own_incarnation);

#endif
