/* Operations and answers as JSON, for scripts and for people. Bytes are given in hexadecimal
 * digits, so that nothing has to be escaped. */
#ifndef SYNOD_TESTS_MODEL_DESCRIBE_H
#define SYNOD_TESTS_MODEL_DESCRIBE_H

#include "tests/model/generate.h"

#include <jansson.h>

void describe_number(json_t *object, const char *name, uint64_t number);
void describe_bytes(json_t *object, const char *name, struct slice bytes);

/* New references. */
json_t *describe_request(const struct kv_request *request);
json_t *describe_response(const struct reference_response *response);
json_t *describe_events(const struct kv_event *events, size_t count);

/* The operation without its answer. */
json_t *describe_operation(const struct operation *operation);

#endif
