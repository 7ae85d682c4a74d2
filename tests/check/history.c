#include "tests/check/history.h"

#include "common/base/check.h"
#include "common/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void history_init(struct history *history)
{
    memset(history, 0, sizeof *history);
}

void history_close(struct history *history)
{
    free(history->operations);
    free(history->ids);
    free(history->last_of_session);
}

static size_t begin(struct history *history, struct history_operation operation)
{
    operation.begun = ++history->moment;
    operation.ended = MOMENT_NEVER;
    history->operations = memory_grow(history->operations, &history->capacity, history->count + 1,
                                      sizeof *history->operations);
    history->operations[history->count] = operation;
    return history->count++;
}

/* ---- the last append of each session: open addressing, never more than half full */

static size_t *place_of(size_t *table, size_t capacity, const struct history *history,
                        uint64_t session)
{
    size_t place = (size_t)((session * 0x9e3779b97f4a7c15U) >> 20) & (capacity - 1);
    while (table[place] != OPERATION_NONE && history->operations[table[place]].session != session) {
        place = (place + 1) & (capacity - 1);
    }
    return &table[place];
}

static void grow_sessions(struct history *history)
{
    size_t capacity = history->session_capacity == 0 ? 64 : history->session_capacity * 2;
    size_t *table = memory_alloc(capacity * sizeof *table);
    for (size_t i = 0; i < capacity; i++) {
        table[i] = OPERATION_NONE;
    }
    for (size_t i = 0; i < history->session_capacity; i++) {
        size_t last = history->last_of_session[i];
        if (last != OPERATION_NONE) {
            *place_of(table, capacity, history, history->operations[last].session) = last;
        }
    }
    free(history->last_of_session);
    history->last_of_session = table;
    history->session_capacity = capacity;
}

size_t history_append(struct history *history, uint32_t client, uint64_t session, uint64_t id,
                      int64_t time)
{
    CHECK(id != 0);
    if (2 * history->session_count >= history->session_capacity) {
        grow_sessions(history);
    }
    size_t *last = place_of(history->last_of_session, history->session_capacity, history, session);
    history->session_count += *last == OPERATION_NONE;
    *last = begin(history, (struct history_operation){.kind = OPERATION_APPEND,
                                                      .client = client,
                                                      .time = time,
                                                      .session = session,
                                                      .before = *last,
                                                      .id = id});
    return *last;
}

void history_acknowledged(struct history *history, size_t operation, uint64_t index)
{
    CHECK(operation < history->count);
    struct history_operation *append = &history->operations[operation];
    CHECK(append->kind == OPERATION_APPEND);
    if (append->ended == MOMENT_NEVER) {
        append->ended = ++history->moment;
        append->index = index;
    } else if (append->index != index && history->broken[0] == '\0') {
        char text[96];
        snprintf(history->broken, sizeof history->broken, "%s was told index %" PRIu64 ", too",
                 history_describe(history, operation, text, sizeof text), index);
    }
}

size_t history_read(struct history *history, uint32_t client, int is_local, uint64_t from,
                    int64_t time)
{
    return begin(history, (struct history_operation){.kind = is_local ? OPERATION_LOCAL_READ
                                                                      : OPERATION_READ,
                                                     .client = client,
                                                     .time = time,
                                                     .before = OPERATION_NONE,
                                                     .from = from});
}

void history_answered(struct history *history, size_t operation, uint64_t from, const uint64_t *ids,
                      size_t count, uint64_t last)
{
    CHECK(operation < history->count);
    struct history_operation *read = &history->operations[operation];
    CHECK(read->kind != OPERATION_APPEND);
    if (read->ended != MOMENT_NEVER) {
        return;
    }
    if (from != read->from && history->broken[0] == '\0') {
        char text[96];
        snprintf(history->broken, sizeof history->broken, "%s was answered from %" PRIu64 " on",
                 history_describe(history, operation, text, sizeof text), from);
    }
    read->ended = ++history->moment;
    read->from = from;
    read->last = last;
    read->ids = history->id_count;
    read->count = count;
    history->ids = memory_grow(history->ids, &history->id_capacity, history->id_count + count,
                               sizeof *history->ids);
    if (count > 0) {
        memcpy(&history->ids[history->id_count], ids, count * sizeof *ids);
    }
    history->id_count += count;
}

const char *history_describe(const struct history *history, size_t operation, char *text,
                             size_t size)
{
    const struct history_operation *op = &history->operations[operation];
    char result[64] = "unknown";
    if (op->ended != MOMENT_NEVER && op->kind == OPERATION_APPEND) {
        snprintf(result, sizeof result, "index %" PRIu64, op->index);
    } else if (op->ended != MOMENT_NEVER) {
        snprintf(result, sizeof result, "%zu records, last %" PRIu64, op->count, op->last);
    }
    const char *verb = op->kind == OPERATION_APPEND ? "append"
                       : op->kind == OPERATION_READ ? "read from"
                                                    : "local read from";
    snprintf(text, size, "c%" PRIu32 " %s %" PRIu64 " at %" PRId64 " -> %s", op->client, verb,
             op->kind == OPERATION_APPEND ? op->id : op->from, op->time, result);
    return text;
}
