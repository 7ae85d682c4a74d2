/* What clients did and what came of it: each append and each linearizable or local read with the
 * moments it began and ended, for judges to look at when the run is over.
 *
 * Moments are numbers that the history gives out itself, one for every call, so that two events of
 * the same virtual time are still one before the other: it must be told of them in the order in
 * which they happen. An operation that has not ended may have been done or not, now or later.
 *
 * Two judges: replay.h holds the history against the log that was agreed; log_object.h asks,
 * without that log, whether any log explains it. */
#ifndef SYNOD_TESTS_CHECK_HISTORY_H
#define SYNOD_TESTS_CHECK_HISTORY_H

#include "common/base/error.h"

#include <stddef.h>
#include <stdint.h>

#define MOMENT_NEVER UINT64_MAX
#define OPERATION_NONE SIZE_MAX

enum operation_kind {
    OPERATION_APPEND,
    OPERATION_READ,       /* linearizable */
    OPERATION_LOCAL_READ, /* may show an old log, but never another one */
};

struct history_operation {
    enum operation_kind kind;
    uint32_t client;
    int64_t time;   /* virtual, when it began; only printed */
    uint64_t begun; /* a moment, from 1 */
    uint64_t ended; /* a moment; MOMENT_NEVER: the outcome is unknown */
    /* an append */
    uint64_t session;
    size_t before;  /* the session's append before this one, or OPERATION_NONE */
    uint64_t id;    /* of the record, not 0 and never the same twice */
    uint64_t index; /* as the client was told, 0 before it ended */
    /* a read, once it ended: count records from index `from` on, of a log that ends at `last` */
    uint64_t from, last;
    size_t ids, count; /* position in history.ids */
};

struct history {
    struct history_operation *operations; /* in the order in which they began */
    size_t count, capacity;
    uint64_t *ids; /* of the records that were read */
    size_t id_count, id_capacity;
    uint64_t moment;
    size_t *last_of_session; /* hash table: the last append of each session, or OPERATION_NONE */
    size_t session_count, session_capacity;
    char broken[256]; /* the first answer that contradicts an earlier one to the same operation */
};

void history_init(struct history *history);
void history_close(struct history *history);

/* A client sends an append for the first time. Appends of one session must be begun in the order of
 * their sequence. session: any number that no other session has, for instance the client's nonce.
 * Returns the operation. */
size_t history_append(struct history *history, uint32_t client, uint64_t session, uint64_t id,
                      int64_t time);

/* Its result arrived: the record is at that index, from 1. It may arrive again; another index is a
 * violation, which the judges tell. */
void history_acknowledged(struct history *history, size_t operation, uint64_t index);

/* A client asks for the log from an index on, from 1. Returns the operation. */
size_t history_read(struct history *history, uint32_t client, int is_local, uint64_t from,
                    int64_t time);

/* The answer to a read: `count` ids of records from `from` on, of a log whose newest index is
 * `last`. Id 0 stands for bytes that nobody appended. The ids are copied. A read that was refused
 * is not told: it ends never and means nothing. An answer that arrives again is ignored. */
void history_answered(struct history *history, size_t operation, uint64_t from, const uint64_t *ids,
                      size_t count, uint64_t last);

/* Writes what the operation was, such as "c2 append 17 at 4.250 s -> index 9", for sentences. */
const char *history_describe(const struct history *history, size_t operation, char *text,
                             size_t size);

#endif
