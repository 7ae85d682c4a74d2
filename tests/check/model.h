/* What the state machine ought to do, once more and in the simplest way: fed with the chosen
 * values in slot order it keeps sessions, answers commands and numbers records, and remembers
 * all of it for every slot. Learners are compared with it, so that an error which all of them
 * make alike shows.
 *
 * It shares no code with learner/machine, not even the reading of values, and knows no disk and no
 * cache. Keys and leases are those of the reference in tests/model, by way of model_keys.c. A kind
 * of command that it does not know uses up its sequence, and whatever is told of it is right. */
#ifndef SYNOD_TESTS_CHECK_MODEL_H
#define SYNOD_TESTS_CHECK_MODEL_H

#include "common/base/blob.h"
#include "common/base/error.h"

#include <stddef.h>
#include <stdint.h>

struct model;
struct reference;
struct reference_oracle;

struct model *model_new(void);
void model_free(struct model *model);

/* Executes the chosen value of the next slot, which it keeps a reference to. 0, or ERROR_CORRUPT if
 * it is no value; then nothing happened. */
int model_apply(struct model *model, struct slice value) MUST_USE;

/* The last slot that was executed. */
uint64_t model_slot(const struct model *model);

/* Keys and leases as they are now, sessions included. */
struct reference *model_reference(const struct model *model);

/* What there was after a slot up to that one: the index of the newest record, and the number of
 * leases, sessions included. */
uint64_t model_last_index(const struct model *model, uint64_t slot);
uint64_t model_session_count(const struct model *model, uint64_t slot);

/* What the log said of oracles after that slot. */
const struct reference_oracle *model_oracle(const struct model *model, uint64_t slot);

/* The record at an index from 1 to the newest. Borrowed from the value. */
struct slice model_record(const struct model *model, uint64_t index);

/* One answer to one command, or to a block that was not executed. */
struct model_answer {
    uint64_t slot;
    uint64_t client, session; /* of the block */
    uint64_t sequence;
    uint32_t status; /* enum result_status */
    uint64_t value;
    struct slice body;
    int is_unknown; /* status, value and body are anything */
    int is_single;  /* of a block: stands for no command */
};

/* The answers of the slots from first to last, in order; *count of them. Borrowed until the next
 * model_apply. */
const struct model_answer *model_answers(const struct model *model, uint64_t first, uint64_t last,
                                         size_t *count);

#endif
