/* Messages that a scenario makes up for a puppet, from words such as
 * "prepare ballot=3.1#1 from=0". */
#ifndef SYNOD_TESTS_TRACE_INJECT_H
#define SYNOD_TESTS_TRACE_INJECT_H

#include "tests/trace/cluster.h"

/* "3.1#2", or "3.1#0xabc", or "none". 0 or ERROR_USAGE. */
int inject_parse_ballot(const char *text, struct ballot *out) MUST_USE;

/* Reads a kind and its key=value fields into *msg, whose values are kept until inject_release.
 * 0 or ERROR_USAGE with a sentence. */
int inject_parse(char **words, size_t count, struct message *msg, struct errmsg *err) MUST_USE;

void inject_release(struct message *msg);

#endif
