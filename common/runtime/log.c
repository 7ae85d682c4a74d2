#include "common/runtime/log.h"

#include "common/runtime/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_BYTES_MAX 1400
#define LOG_EVENT_BYTES_MAX 40

/* Different events that are counted apart; further ones share the last counter. */
#define LOG_EVENTS_MAX 64

#define LOG_WINDOW_MS 1000

struct event_count {
    char name[LOG_EVENT_BYTES_MAX];
    time_ms_t window_start;
    uint32_t printed;
    uint64_t suppressed;
};

/* One log a process; cores never see it. */
static struct {
    struct peer self;
    enum log_level level;
    struct event_count events[LOG_EVENTS_MAX];
    size_t event_count;
} log_state = {.level = LOG_INFO};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_init(struct peer self)
{
    log_state.self = self;
    log_state.level = LOG_INFO;
    log_state.event_count = 0;
    const char *wanted = getenv("SYNOD_LOG");
    for (int i = LOG_DEBUG; wanted != NULL && i <= LOG_ERROR; i++) {
        if (strcmp(wanted, level_names[i]) == 0) {
            log_state.level = (enum log_level)i;
        }
    }
}

static void write_line(enum log_level level, const char *pairs)
{
    struct timespec t;
    struct tm utc;
    char stamp[32];
    char line[LOG_LINE_BYTES_MAX + 128];
    clock_gettime(CLOCK_REALTIME, &t);
    gmtime_r(&t.tv_sec, &utc);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    int n = snprintf(line, sizeof line, "ts=%s.%03dZ level=%s role=%s id=%" PRIu64 " %s\n", stamp,
                     (int)(t.tv_nsec / 1000000), level_names[level], role_name(log_state.self.role),
                     log_state.self.id, pairs);
    size_t size = n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
    /* One write a line, so that lines of several processes do not mix. A log that cannot be written
     * is no reason to stop. */
    ssize_t written = write(STDERR_FILENO, line, size);
    (void)written;
}

static struct event_count *count_of(const char *pairs)
{
    char name[LOG_EVENT_BYTES_MAX] = "other";
    if (strncmp(pairs, "event=", 6) == 0) {
        size_t size = strcspn(pairs + 6, " ");
        snprintf(name, sizeof name, "%.*s", (int)size, pairs + 6);
    }
    for (size_t i = 0; i < log_state.event_count; i++) {
        if (strcmp(log_state.events[i].name, name) == 0) {
            return &log_state.events[i];
        }
    }
    if (log_state.event_count == LOG_EVENTS_MAX) {
        return &log_state.events[LOG_EVENTS_MAX - 1];
    }
    struct event_count *count = &log_state.events[log_state.event_count++];
    *count = (struct event_count){.window_start = clock_now_ms()};
    memcpy(count->name, name, sizeof name);
    return count;
}

/* Starts the event's next second if the last is over, and says what was left out in that. */
static void roll(struct event_count *count, time_ms_t now)
{
    if (now - count->window_start < LOG_WINDOW_MS) {
        return;
    }
    if (count->suppressed > 0) {
        char pairs[LOG_EVENT_BYTES_MAX + 64];
        snprintf(pairs, sizeof pairs, "event=log_suppressed of=%s lines=%" PRIu64, count->name,
                 count->suppressed);
        write_line(LOG_WARN, pairs);
    }
    count->window_start = now;
    count->printed = 0;
    count->suppressed = 0;
}

void log_tick(void)
{
    time_ms_t now = clock_now_ms();
    for (size_t i = 0; i < log_state.event_count; i++) {
        roll(&log_state.events[i], now);
    }
}

void log_line(enum log_level level, const char *fmt, ...)
{
    if (level < log_state.level) {
        return;
    }
    char pairs[LOG_LINE_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(pairs, sizeof pairs, fmt, args);
    va_end(args);
    struct event_count *count = count_of(pairs);
    roll(count, clock_now_ms());
    if (count->printed >= LOG_LINES_PER_SECOND_MAX) {
        count->suppressed++;
        return;
    }
    count->printed++;
    write_line(level, pairs);
}

const char *log_quote(struct log_value *out, const char *text)
{
    size_t n = 0;
    out->text[n++] = '"';
    for (const char *p = text; *p != '\0' && n + 4 < sizeof out->text; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\') {
            out->text[n++] = '\\';
        }
        if (c < ' ' || c == 0x7f) {
            out->text[n++] = '?';
        } else {
            out->text[n++] = *p;
        }
    }
    out->text[n++] = '"';
    out->text[n] = '\0';
    return out->text;
}

/* Bytes at p that may stand as they are: one character of UTF-8. 0: the first is no such, or begins
 * a control character. The C1 controls, of which one is as good as ESC [, have two bytes. */
static size_t printable_bytes(const unsigned char *p)
{
    if (p[0] < 0x80) {
        return p[0] >= ' ' && p[0] != 0x7f;
    }
    if (p[0] < 0xc2 || p[0] > 0xf4 || (p[0] == 0xc2 && p[1] < 0xa0)) {
        return 0;
    }
    size_t size = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0; /* the end is none of these, too */
        }
    }
    return size;
}

const char *log_printable(char *out, size_t size, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t n = 0;
    while (*p != '\0' && n + 4 < size) {
        size_t count = printable_bytes(p);
        if (count > 0) {
            memcpy(out + n, p, count);
            n += count;
            p += count;
        } else {
            n += (size_t)snprintf(out + n, size - n, "\\x%02x", *p++);
        }
    }
    out[n] = '\0';
    return out;
}

static void say(const char *before, const char *fmt, va_list args)
{
    char text[LOG_LINE_BYTES_MAX];
    char line[2 * LOG_LINE_BYTES_MAX];
    size_t size = strlen(before);
    vsnprintf(text, sizeof text, fmt, args);
    memcpy(line, before, size);
    log_printable(line + size, sizeof line - size - 1, text);
    size = strlen(line);
    line[size++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, size);
    (void)written;
}

void log_error(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say("error: ", fmt, args);
    va_end(args);
}

void log_say(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say("", fmt, args);
    va_end(args);
}
