/* The replicated state machine: leases and sessions with exactly-once results, the log of records,
 * and keys with all their revisions.
 *
 * Everything here is a function of the chosen values in slot order. Nothing reads a clock, a random
 * number, an address or a configuration, so that two machines at the same slot are byte for byte
 * the same; a running digest proves it. Time enters with the stamps of the values.
 *
 * The state lives in the store, not in memory: what one turn changes is kept in a view on top of it
 * until the store has it (machine_written).
 *
 * machine.c   apply, digest, load and store
 * commands.c  what each command of a session does
 * lease.c     leases: granted, kept alive, revoked, expired
 * session.c   sessions: leases with results
 * log.c       records of the log: chunks on disk, reading
 * txn.c       requests on keys: checked, then executed
 * keys.c      puts and deletes under revisions; compaction
 * range.c     ranges of keys, now and at old revisions
 * events.c    what changed since a revision, for watches
 * recent.c    the keys that changed last, for watches that wait for others
 * oracle.c    settings of oracles, and the line of successors
 * query.c     questions
 * sweep.c     deletes what compaction has made unreachable
 * records.c   keys and values of the tables that hold users' keys
 * view.c      the store with the changes of this turn on top */
#ifndef SYNOD_LEARNER_MACHINE_MACHINE_H
#define SYNOD_LEARNER_MACHINE_MACHINE_H

#include "common/protocol/core.h"

struct machine;

/* reader is valid for the life of the machine. Free with machine_free. */
struct machine *machine_new(const struct store_reader *reader);

void machine_free(struct machine *m);

/* How large a page is that answers a query for a range: PAGE_BYTES_TARGET, unless this says another
 * number. No part of the replicated state. */
void machine_set_page_bytes(struct machine *m, size_t page_bytes);

/* Reads back what machine_store put. Failures end up in out->fatal. */
void machine_load(struct machine *m, struct effects *out);

/* What one block of commands led to, for the client it came from. */
struct outcome {
    uint64_t client; /* nonce */
    uint64_t session;
    struct result_range range; /* its body lives as long as out */
};

/* Called for each outcome, in the order of the commands. */
typedef void (*outcome_fn)(void *arg, const struct outcome *outcome);

/* Applies the value of the slot after machine_applied. Records of the log go into out at once. A
 * value that is not well-formed is fatal: it was validated before it was chosen. */
void machine_apply(struct machine *m, slot_t slot, struct slice value, outcome_fn fn, void *arg,
                   struct effects *out);

/* Puts what changed since the last call: applied slot, digest and sessions go into the same batch
 * as the records (TRAPS 7.12). Once a turn. */
void machine_store(struct machine *m, struct effects *out);

/* What machine_store put, and all the records of the turn before it, are in the store: forgets its
 * copies of them. To be called before the next machine_apply, and before reads of this turn's
 * changes (EVENT_WRITTEN). */
void machine_written(struct machine *m);

/* 1 if so much was applied since then that it should be written before more is. */
int machine_is_full(const struct machine *m);

/* Reads records from index `from`, at most count (0: no bound) and bytes_max (but at least one), as
 * far as they are in the store. Slices in *records live as long as out. */
void machine_read(struct machine *m, uint64_t from, uint64_t count, size_t bytes_max,
                  struct slice **records, uint32_t *record_count, struct effects *out);

/* What a query came to. */
struct query_answer {
    enum result_status status;
    uint64_t revision;
    struct slice body; /* lives as long as out */
};

/* Answers a query from the applied state. idle_ms: how long ago, by the learner's own clock, the
 * last stamp was applied; only what is left of leases is shortened by it. A malformed query is
 * answered so, an unreadable store is fatal. */
void machine_query(struct machine *m, enum query_op op, struct slice body, uint64_t idle_ms,
                   struct query_answer *answer, struct effects *out);

/* A page of the changes that a watch asks for, and where the next page begins. status: OK or
 * COMPACTED. One call looks at a bounded number of changes: a page without events whose
 * next_revision is not above machine_revision is not the end. */
struct events_page {
    enum result_status status;
    uint64_t next_revision;
    uint32_t next_sub;
    uint32_t count;      /* events in the page */
    struct slice events; /* lives as long as out */
};
void machine_events(struct machine *m, const struct msg_watch *watch, struct events_page *page,
                    struct effects *out);

/* Deletes some of what a compaction at `up_to` has made unreachable (not above machine_compacted),
 * a bounded piece of work for one turn. One that was begun is brought to its end first. No part of
 * the replicated state: learners may be differently far. 1 if there is more to do. Before
 * machine_store. */
int machine_sweep(struct machine *m, uint64_t up_to, struct effects *out);

uint64_t machine_revision(const struct machine *m); /* of the store; 1 when it is new, as in etcd */
uint64_t machine_compacted(const struct machine *m); /* 0: nothing yet */
uint64_t machine_swept(const struct machine *m); /* above it nothing was deleted; of this store */

/* The cluster time at which the first lease or session may be up; 0 if there is none. A slot with a
 * higher stamp ends it. */
uint64_t machine_due_ms(const struct machine *m);
uint64_t machine_stamp_ms(const struct machine *m); /* highest cluster time applied */

/* Records of the store that were read, since the start: what answers have cost. */
uint64_t machine_visited(const struct machine *m);

/* What the log says of oracles. Borrowed until the next machine_apply. */
struct machine_oracle {
    uint64_t version;      /* of the settings: how many times they were changed */
    struct slice settings; /* encoded (settings.h); empty for version 0 */
    size_t line_count;
    struct place line[MEMBERS_MAX]; /* in order */
    uint64_t changes;               /* of either, since the machine was loaded */
};
const struct machine_oracle *machine_oracle(const struct machine *m);

slot_t machine_applied(const struct machine *m);
uint64_t machine_digest(const struct machine *m);
uint64_t machine_last_index(const struct machine *m);
uint64_t machine_session_count(const struct machine *m);

/* The last leader that announced itself in the log, and the slot of its announcement; 0 if none. */
struct ballot machine_leader(const struct machine *m, slot_t *since);

#endif
