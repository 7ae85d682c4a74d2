/* Commands of the log, as the reference executes them, and whether a machine's result is the same.
 * For the tests of the machine, and for a simulator that feeds it with the chosen values. */
#ifndef SYNOD_TESTS_MODEL_REFERENCE_COMMAND_H
#define SYNOD_TESTS_MODEL_REFERENCE_COMMAND_H

#include "common/protocol/message.h"
#include "common/protocol/value.h"
#include "tests/model/reference.h"

/* What one command comes to. Pointers live as long as the arena that was given. */
struct reference_result {
    enum result_status status;
    uint64_t value;
    int is_value_fixed;         /* else any value will do: a failure says nothing by it */
    struct reference_answer kv; /* of a request on keys that was executed */
    const uint64_t *lasts_ms;   /* of a keepalive: for each id */
    size_t lasts_count;
};

/* What the cluster says for an error that depends on the state. */
enum result_status reference_status(enum reference_error error);

/* Executes a command of a block that was parsed, in a session that exists. chosen: the id that the
 * cluster chose, where it is to choose (a grant with id 0, a session that is opened). Whether it is
 * executed at all, because it is new, is the caller's question. */
void reference_apply(struct reference *r, const struct command *command, uint64_t session,
                     uint64_t chosen, struct arena *arena, struct reference_result *out);

/* Compares a status, value and body with what was expected. 1, or 0 with a sentence. */
int reference_result_matches(const struct reference_result *wanted, uint32_t status, uint64_t value,
                             struct slice body, struct errmsg *why);

/* The same for one response that fills bytes, and for one event. */
int reference_response_matches(const struct reference_response *wanted, struct slice bytes,
                               struct errmsg *why);
int reference_event_matches(const struct kv_event *wanted, const struct kv_event *found,
                            struct errmsg *why);

/* 1 if the keys under a lease are those that follow one another in bytes, as (size u32, key)*. */
int reference_keys_match(const struct slice *wanted, size_t count, struct slice bytes,
                         struct errmsg *why);

#endif
