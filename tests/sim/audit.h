/* What clients asked for and what came of it, held against the log of every learner: only what was
 * submitted is in it, each operation at most once, all that was acknowledged, in the order of real
 * time; and reads show nothing else. */
#ifndef SYNOD_TESTS_SIM_AUDIT_H
#define SYNOD_TESTS_SIM_AUDIT_H

#include "tests/sim/sim.h"

/* Bytes of a record before its padding: the operation's number. */
#define RECORD_NUMBER_BYTES 8

struct audit;

struct audit *audit_new(struct sim *sim);
void audit_free(struct audit *audit);

/* A client begins an append of a record of that size. Returns its number, from 1. */
uint64_t audit_begin(struct audit *audit, size_t client, uint64_t nonce, size_t size);

/* The number that the next one will have. */
uint64_t audit_next(const struct audit *audit);

/* The bytes of the record with that number. */
void audit_fill(uint8_t *record, uint64_t number, size_t size);

/* It was acknowledged with this index. The same answer may come again, never another one. */
void audit_acknowledge(struct audit *audit, uint64_t number, uint64_t index);

/* The highest index that anybody was told of: what begins now comes after it. */
uint64_t audit_floor(const struct audit *audit);

/* A linearizable read that began when the floor was such was answered. */
void audit_read(struct audit *audit, const struct node *client, const struct msg_records *records,
                uint64_t floor, int is_local);

/* A learner is about to store that. */
void audit_on_learner_writes(struct sim *sim, const struct node *node, const struct effects *fx);

/* Nothing that was acknowledged is missing. */
void audit_at_end(struct sim *sim);

#endif
