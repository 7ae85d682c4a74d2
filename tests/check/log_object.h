/* The second judge: asks by search (wing_gong.h) whether there is any log that explains a history,
 * without looking at the one that was agreed. */
#ifndef SYNOD_TESTS_CHECK_LOG_OBJECT_H
#define SYNOD_TESTS_CHECK_LOG_OBJECT_H

#include "tests/check/wing_gong.h"

/* Enough for some hundred thousand operations when a history is linearizable. */
#define LOG_OBJECT_STEPS_MAX 20000000U

/* Appends return their index, linearizable reads the length of the log and the records; local reads
 * must show records of the same log, of any age. Returns 0; ERROR_CORRUPT and in err what cannot
 * be; ERROR_BUSY and "ran out of budget" if that was not decided in steps_max steps, which is a
 * failure, too. report may be NULL. */
int log_object_judge(const struct history *history, uint64_t steps_max,
                     struct wing_gong_report *report, struct errmsg *err) MUST_USE;

#endif
