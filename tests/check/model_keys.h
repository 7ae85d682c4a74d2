/* Commands on keys and leases, for the model: executed by the reference of tests/model, which
 * shares nothing with the machine, and answered in the bytes of common/protocol/kv.h. */
#ifndef SYNOD_TESTS_CHECK_MODEL_KEYS_H
#define SYNOD_TESTS_CHECK_MODEL_KEYS_H

#include "tests/check/model.h"
#include "tests/model/reference.h"

/* Executes a command of a session. status, value and body of *answer are filled in; next_id is the
 * counter that ids are drawn from. Bodies live as long as the arena. */
void model_keys_execute(struct reference *reference, struct arena *arena, uint64_t *next_id,
                        uint64_t session, uint8_t op, struct slice payload,
                        struct model_answer *answer);

/* The bytes of a response. */
struct slice model_keys_encode(const struct reference_response *response, struct arena *arena);

#endif
