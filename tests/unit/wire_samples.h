/* One message and more of every kind, with the story it tells: what the golden vectors under
 * tests/vectors are made of. */
#ifndef SYNOD_TESTS_WIRE_SAMPLES_H
#define SYNOD_TESTS_WIRE_SAMPLES_H

#include "common/protocol/message.h"
#include "common/wire/wire.h"

#include <stddef.h>

struct wire_sample {
    const char *name; /* begins with the name of the kind */
    const char *text;
    struct message msg;
};

/* A block or a value of a slot. */
struct value_sample {
    const char *name;
    const char *text;
    struct slice bytes;
};

/* The cluster that all samples belong to. */
extern const struct wire_context sample_context;

/* All samples; static storage, filled in by the first call. */
const struct wire_sample *wire_samples(size_t *count);
const struct value_sample *value_samples(size_t *count);

/* 1 if both messages say the same, field by field of the wire. */
int wire_same(const struct message *a, const struct message *b);

#endif
