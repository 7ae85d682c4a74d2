/* What clients asked for and what came of it, held against the log that is agreed: only what was
 * submitted is in it, each operation at most once, all that was acknowledged, in the order of real
 * time; and reads show nothing else. */
#ifndef SYNOD_TESTS_SIM_AUDIT_H
#define SYNOD_TESTS_SIM_AUDIT_H

#include "tests/sim/sim.h"

/* Bytes of a record before its padding: the operation's number. */
#define RECORD_NUMBER_BYTES 8

struct audit;

/* An append as its client begins it. */
struct audit_submit {
    size_t client; /* its node */
    uint64_t nonce;
    size_t size; /* of the record */
};

/* A read as its client begins it. */
struct audit_question {
    size_t operation; /* in the history */
    uint64_t floor;   /* what was known to anybody then */
    int is_local;
    uint64_t count; /* so many records at most; 0: as many as there are */
};

/* What a read showed: records from an index on, by number, of a log that ends at `last`. */
struct audit_answer {
    uint64_t from, last;
    const uint64_t *numbers;
    size_t count;
};

struct audit *audit_new(struct sim *sim);
void audit_free(struct audit *audit);

/* A client begins an append of a record of that size. Returns its number, from 1. */
uint64_t audit_begin(struct audit *audit, const struct audit_submit *submit);

/* It leaves for the first time, in that session: sessions are numbered by the cluster, and never
 * twice. From here on it may happen. */
void audit_sent(struct audit *audit, uint64_t number, size_t client, uint64_t session);

/* The number that the next one will have. */
uint64_t audit_next(const struct audit *audit);

/* The bytes of the record with that number. */
void audit_fill(uint8_t *record, uint64_t number, size_t size);

/* 1 if the bytes of a value hold an append with that number, or a later one. */
int audit_is_new(struct slice bytes, uint64_t first);

/* It was acknowledged with this index. The same answer may come again, never another one. */
void audit_acknowledge(struct audit *audit, uint64_t number, uint64_t index);

/* The highest index that anybody was told of: what begins now comes after it. */
uint64_t audit_floor(const struct audit *audit);

/* A client asks for the log from an index on; and gets an answer. */
struct audit_question audit_ask(struct audit *audit, size_t client, uint64_t from, int is_local);
void audit_answer(struct audit *audit, const struct node *client,
                  const struct audit_question *question, const struct audit_answer *answer);

/* Records that a page shows are there. Writes their numbers, 0 for what nobody appended. */
void audit_check(struct audit *audit, const struct node *client, uint64_t from,
                 const struct slice *records, size_t count, uint64_t *numbers);

/* Nothing that was acknowledged is missing. */
void audit_at_end(struct sim *sim);

#endif
