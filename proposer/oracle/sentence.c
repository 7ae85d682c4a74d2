#include "proposer/oracle/sentence.h"

#include "common/base/check.h"

#include <stdarg.h>
#include <stdio.h>

struct sentence sentence_begin(char *text, size_t size)
{
    CHECK(size > 0);
    text[0] = '\0';
    return (struct sentence){text, size, 0};
}

void sentence_add(struct sentence *sentence, const char *fmt, ...)
{
    size_t left = sentence->size - sentence->used;
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(sentence->text + sentence->used, left, fmt, args);
    va_end(args);
    CHECK(length >= 0);
    sentence->used += (size_t)length < left ? (size_t)length : left - 1;
}

void sentence_add_ids(struct sentence *sentence, const node_id_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *between = i == 0 ? "" : i + 1 == count ? " and " : ", ";
        sentence_add(sentence, "%s%u", between, ids[i]);
    }
}
