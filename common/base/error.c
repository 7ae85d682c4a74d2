#include "common/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    int code;
    int exit_status;
    const char *name;
} error_table[] = {
    {0, 0, "ok"},
    {ERROR_USAGE, 3, "usage"},
    {ERROR_BUSY, 2, "busy"},
    {ERROR_REDIRECT, 2, "redirect"},
    {ERROR_UNAVAILABLE, 2, "unavailable"},
    {ERROR_REFUSED, 4, "refused"},
    {ERROR_IO, 1, "io"},
    {ERROR_CORRUPT, 1, "corrupt"},
    {ERROR_INTERNAL, 1, "internal"},
    {ERROR_NOT_FOUND, 1, "not_found"},
    {ERROR_INTERRUPTED, 5, "interrupted"},
    {ERROR_SESSION, 1, "session"},
    {ERROR_COMPACTED, 1, "compacted"},
    {ERROR_FUTURE, 1, "future"},
    {ERROR_LEASE, 1, "lease"},
    {ERROR_EXISTS, 1, "exists"},
    {ERROR_TOO_LARGE, 1, "too_large"},
    {ERROR_LOST, 1, "lost"},
    {ERROR_CHANGED, 1, "changed"},
    {ERROR_UNFIT, 1, "unfit"},
};

#define ERROR_TABLE_COUNT (sizeof error_table / sizeof error_table[0])

const char *error_name(int code)
{
    for (size_t i = 0; i < ERROR_TABLE_COUNT; i++) {
        if (error_table[i].code == code) {
            return error_table[i].name;
        }
    }
    return "unknown";
}

int error_exit_status(int code)
{
    for (size_t i = 0; i < ERROR_TABLE_COUNT; i++) {
        if (error_table[i].code == code) {
            return error_table[i].exit_status;
        }
    }
    return 1;
}

int errmsg_set(struct errmsg *err, int code, const char *fmt, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, fmt);
        vsnprintf(err->text, sizeof err->text, fmt, args);
        va_end(args);
    }
    return code;
}

void errmsg_wrap(struct errmsg *err, const char *fmt, ...)
{
    if (err == NULL) {
        return;
    }
    struct errmsg inner = *err;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof err->text) {
        size_t room = sizeof err->text - (size_t)n;
        snprintf(err->text + n, room, ": %.*s", (int)room, inner.text);
    }
}
