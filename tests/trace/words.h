/* The words of a command: key=value fields, and the commands of clients. */
#ifndef SYNOD_TESTS_TRACE_WORDS_H
#define SYNOD_TESTS_TRACE_WORDS_H

#include "tests/trace/scenario.h"

/* The value of the word "name=value", or NULL. */
const char *words_field(char **words, size_t count, const char *name);

uint64_t words_number(char **words, size_t count, const char *name, uint64_t otherwise);

/* client NAME open|append|resend|read|forge|keepalive|close|garbage ... */
int command_client(struct scenario *s, char **w, size_t n, struct errmsg *err) MUST_USE;

#endif
