/* What the machine knows, shared by the files of this folder and by nobody else. */
#ifndef SYNOD_LEARNER_MACHINE_STATE_H
#define SYNOD_LEARNER_MACHINE_STATE_H

#include "common/base/check.h"
#include "common/protocol/limits.h"
#include "common/protocol/value.h"
#include "learner/machine/machine.h"

/* Results of consecutive commands: appends with dense indexes, or a single other command. */
struct result {
    uint64_t sequence;
    uint64_t value;
    uint32_t count;
};

struct session {
    uint64_t id;     /* from 1, never used again */
    uint64_t client; /* nonce it was opened with */
    uint64_t ttl_ms;
    uint64_t seen_ms;       /* cluster time of its last block */
    uint64_t applied_seq;   /* every command up to here is executed */
    uint64_t acked_seq;     /* the client has the results up to here; they are forgotten */
    struct result *results; /* of (acked_seq, applied_seq], rising, without gaps */
    size_t result_count, result_capacity;
    int is_dirty; /* differs from the store; its id is in machine.dirty */
};

struct machine {
    struct store_reader reader;
    slot_t applied;
    uint64_t digest;
    uint64_t last_index;
    uint64_t next_session;
    uint64_t stamp_ms; /* highest cluster time applied */
    slot_t lead_slot;
    struct ballot lead;

    struct session **sessions; /* rising ids */
    size_t session_count, session_capacity;
    uint64_t next_expiry_ms; /* no session expires before */
    uint64_t *dirty; /* ids of sessions that differ from the store, in the order of their change */
    size_t dirty_count, dirty_capacity;
    uint64_t *gone; /* ids of sessions that have to be deleted from the store */
    size_t gone_count, gone_capacity;
    slot_t stored; /* applied, as the store has it */
};

/* ---- session.c */
struct session *session_find(struct machine *m, uint64_t id);
struct session *session_find_client(struct machine *m, uint64_t client);

/* NULL if SESSIONS_MAX are open. */
struct session *session_open(struct machine *m, uint64_t client, uint64_t ttl_ms);
void session_close(struct machine *m, struct session *session);
void session_free(struct session *session);

/* The session will be in the next batch for the store. */
void session_touch(struct machine *m, struct session *session);

/* Removes every session whose time is up at cluster time now_ms. */
void session_expire(struct machine *m, uint64_t now_ms);

/* Forgets the results up to acked_seq. */
void session_acknowledge(struct session *session, uint64_t acked_seq);

/* Remembers the results of the next count commands. */
void session_remember(struct session *session, uint32_t count, uint64_t value);

/* The result of an executed command; how many of its neighbours above follow densely in *count, at
 * most most. 0 if it was forgotten. */
int session_recall(const struct session *session, uint64_t sequence, uint64_t most, uint64_t *value,
                   uint32_t *count);

void session_store(struct machine *m, struct effects *out);
int session_load(struct machine *m, struct slice key, struct slice value);

/* ---- log.c */

/* Appends the commands of one run of appends, count of them, under the next indexes. */
void log_append(struct machine *m, struct slice commands, uint32_t count, struct effects *out);

#endif
