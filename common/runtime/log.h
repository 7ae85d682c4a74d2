/* logfmt lines on standard error: time, level, role, id, then the event's own pairs. Lines of the
 * same event beyond LOG_LINES_PER_SECOND_MAX are counted and summed up in one line. Not
 * thread-safe: for the thread that runs the loop. */
#ifndef SYNOD_RUNTIME_LOG_H
#define SYNOD_RUNTIME_LOG_H

#include "common/base/error.h"
#include "common/protocol/types.h"

#include <stddef.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

#define LOG_LINES_PER_SECOND_MAX 20

/* Who speaks. level: lowest that is printed; default LOG_INFO, or SYNOD_LOG=debug|info|warn|error.
 */
void log_init(struct peer self);

/* fmt gives logfmt pairs and begins with event=NAME, which is what the rate limit counts by. */
void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Call about once a second, so that the sum of suppressed lines is said even if the event stays
 * away. */
void log_tick(void);

/* Text as a logfmt value in quotes, with quotes, backslashes and control characters escaped. */
struct log_value {
    char text[640];
};

/* Fills out and returns its text, for use as an argument of log_line. Longer text is cut. */
const char *log_quote(struct log_value *out, const char *text);

/* Prints "error: " and the sentence: the last line of a process that ends for it. It may quote what
 * somebody typed: control characters are shown as \xHH, so that it stays one line. */
void log_error(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* The same of a line that is no error. */
void log_say(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Text for a terminal: control characters, and bytes that are not UTF-8, as \xHH. Longer text is
 * cut. Returns out, which is terminated. */
const char *log_printable(char *out, size_t size, const char *text);

#endif
