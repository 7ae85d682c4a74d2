/* The replicated state machine: sessions with exactly-once results, and the log of records.
 *
 * Everything here is a function of the chosen values in slot order. Nothing reads a clock, a random
 * number, an address or a configuration, so that two machines at the same slot are byte for byte
 * the same; a running digest proves it.
 *
 * machine.c   apply, digest, load and store
 * session.c   the session table and its results
 * log.c       records: chunks on disk, reading */
#ifndef SYNOD_LEARNER_MACHINE_MACHINE_H
#define SYNOD_LEARNER_MACHINE_MACHINE_H

#include "common/protocol/core.h"

struct machine;

/* reader is valid for the life of the machine. Free with machine_free. */
struct machine *machine_new(const struct store_reader *reader);

void machine_free(struct machine *m);

/* Reads back what machine_store put. Failures end up in out->fatal. */
void machine_load(struct machine *m, struct effects *out);

/* What one block of commands led to, for the client it came from. */
struct outcome {
    uint64_t client; /* nonce */
    uint64_t session;
    struct result_range range;
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

/* Reads records from index `from`, at most count (0: no bound) and bytes_max (but at least one), as
 * far as they are in the store. Slices in *records live as long as out. */
void machine_read(struct machine *m, uint64_t from, uint64_t count, size_t bytes_max,
                  struct slice **records, uint32_t *record_count, struct effects *out);

slot_t machine_applied(const struct machine *m);
uint64_t machine_digest(const struct machine *m);
uint64_t machine_last_index(const struct machine *m);
uint64_t machine_session_count(const struct machine *m);

/* The last leader that announced itself in the log, and the slot of its announcement; 0 if none. */
struct ballot machine_leader(const struct machine *m, slot_t *since);

#endif
