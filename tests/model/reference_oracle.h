/* What the log says of oracles, as plainly as possible: settings with a version, and the line of
 * successors. Part of the reference, and like it free of clock, I/O and randomness. */
#ifndef SYNOD_TESTS_MODEL_REFERENCE_ORACLE_H
#define SYNOD_TESTS_MODEL_REFERENCE_ORACLE_H

#include "common/protocol/limits.h"
#include "common/protocol/settings.h"

struct reference;

struct reference_oracle {
    uint64_t version;
    struct slice settings; /* lives as long as the reference */
    size_t line_count;
    struct place line[MEMBERS_MAX];
};

/* 1 if the settings were those of version `from`, and are now these; else nothing changed. */
int reference_set(struct reference *r, uint64_t from, struct slice settings);

/* The places of a line (value.h: proposer u32, incarnation u64, each) in a slot. */
void reference_register(struct reference *r, uint64_t slot, struct slice line);

const struct reference_oracle *reference_oracle(const struct reference *r);

#endif
