/* Steps one core by hand: the runner's rule in its smallest form, with everything it would send in
 * plain view. */
#ifndef SYNOD_TESTS_UNIT_CORE_KIT_H
#define SYNOD_TESTS_UNIT_CORE_KIT_H

#include "common/protocol/core.h"
#include "common/protocol/members.h"
#include "common/protocol/value.h"
#include "common/store/store.h"

struct core_kit {
    struct core core;
    struct store *store; /* in memory */
    struct effects fx;   /* of the turn under way */
    time_ms_t now;
};

/* A store in memory; the core is set by the test afterwards. */
void kit_open(struct core_kit *kit);
void kit_close(struct core_kit *kit);

/* One event of a kind without payload. */
void kit_event(struct core_kit *kit, enum event_kind kind);

void kit_peer(struct core_kit *kit, enum event_kind kind, struct peer peer);

/* One message; msg->from and msg->incarnation are the test's. */
void kit_message(struct core_kit *kit, const struct message *msg);

/* FLUSH. What is sent and put stays in fx until kit_end. */
void kit_flush(struct core_kit *kit);

/* Writes the records, steps WRITTEN into cleared effects if there were any. */
void kit_end(struct core_kit *kit);

/* The nth (from 0) message of a kind in fx, or NULL. */
const struct outgoing *kit_sent(const struct core_kit *kit, enum message_kind kind, size_t nth);

size_t kit_sent_count(const struct core_kit *kit, enum message_kind kind);

/* 1 if a record with a key that begins with this letter is put in fx. */
int kit_puts(const struct core_kit *kit, char letter);

/* count acceptors, proposers and learners with ids from 1, majorities as quorums. */
struct members kit_members(size_t acceptors, size_t proposers, size_t learners);

/* A message of a kind from a peer, zeroed. */
struct message kit_from(enum role role, uint64_t id, uint64_t incarnation, enum message_kind kind);

/* ---- for a learner: what a leader streams */

/* An accept of the value, which is released, that says what is committed. */
void kit_stream(struct core_kit *kit, const struct ballot *leader, slot_t slot, slot_t commit,
                struct blob *value);

/* A value of one block: these commands under that head. */
struct blob *kit_block_value(uint64_t stamp_ms, const struct block *head, struct slice commands);

/* The same with one command. */
struct blob *kit_command_value(uint64_t stamp_ms, const struct block *head, enum command_op op,
                               struct slice payload);

/* A client opens a session of 60 s. */
struct blob *kit_open_value(uint64_t stamp_ms, uint64_t client);

#endif
