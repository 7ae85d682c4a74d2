/* A string that grows: what a scenario prints is collected here before it is compared. */
#ifndef SYNOD_TESTS_TRACE_TEXT_H
#define SYNOD_TESTS_TRACE_TEXT_H

#include "common/base/error.h"

#include <stddef.h>

/* Zero-initialise; give back with text_close. data is NULL while empty, else terminated. */
struct text {
    char *data;
    size_t size;
    size_t capacity;
};

void text_add(struct text *text, const char *bytes, size_t size);
void text_addf(struct text *text, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Forgets the content and keeps the memory. */
void text_clear(struct text *text);
void text_close(struct text *text);

#endif
