#include "tests/trace/text.h"

#include "common/base/check.h"
#include "common/base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_add(struct text *text, const char *bytes, size_t size)
{
    text->data = memory_grow(text->data, &text->capacity, text->size + size + 1, 1);
    if (size > 0) {
        memcpy(text->data + text->size, bytes, size);
    }
    text->size += size;
    text->data[text->size] = '\0';
}

void text_addf(struct text *text, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int size = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    CHECK(size >= 0);
    text->data = memory_grow(text->data, &text->capacity, text->size + (size_t)size + 1, 1);
    va_start(args, fmt);
    vsnprintf(text->data + text->size, (size_t)size + 1, fmt, args);
    va_end(args);
    text->size += (size_t)size;
}

void text_clear(struct text *text)
{
    text->size = 0;
    if (text->data != NULL) {
        text->data[0] = '\0';
    }
}

void text_close(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}
