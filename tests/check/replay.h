/* The first judge: follows the log that was agreed and holds every operation against it. It decides
 * linearizability completely, in n log n, because the log is the order. */
#ifndef SYNOD_TESTS_CHECK_REPLAY_H
#define SYNOD_TESTS_CHECK_REPLAY_H

#include "tests/check/history.h"

/* log[0] is the id at index 1. Every acknowledged append is at its index and nowhere else, each
 * other one is there once at most, nothing is there that nobody appended; the appends of a session
 * are there in their order, none left out before one that is there; every read shows what is there;
 * and every operation can be put at one moment between its begin and its end so that the log grows
 * in the order of these moments and each linearizable read sees all of it.
 * Returns 0, or ERROR_CORRUPT and in err which rule which operations broke. */
int replay_judge(const struct history *history, const uint64_t *log, size_t count,
                 struct errmsg *err) MUST_USE;

#endif
