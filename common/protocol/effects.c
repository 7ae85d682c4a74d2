#include "common/protocol/core.h"

#include "common/base/check.h"
#include "common/base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void effects_init(struct effects *fx)
{
    memset(fx, 0, sizeof *fx);
    fx->wake_at = TIME_NEVER;
}

void effects_clear(struct effects *fx)
{
    for (size_t i = 0; i < fx->held_count; i++) {
        blob_unref(fx->held[i]);
    }
    arena_reset(&fx->arena);
    fx->record_count = 0;
    fx->send_count = 0;
    fx->note_count = 0;
    fx->completion_count = 0;
    fx->held_count = 0;
    fx->record_bytes = 0;
    fx->needs_sync = 0;
    fx->wake_at = TIME_NEVER;
    fx->finished = 0;
    fx->fatal = 0;
}

void effects_close(struct effects *fx)
{
    effects_clear(fx);
    arena_close(&fx->arena);
    free(fx->records);
    free(fx->sends);
    free(fx->notes);
    free(fx->completions);
    free(fx->held);
    memset(fx, 0, sizeof *fx);
}

void *effects_alloc(struct effects *fx, size_t size)
{
    return arena_alloc(&fx->arena, size);
}

struct slice effects_hold(struct effects *fx, struct slice slice)
{
    if (slice.size == 0) {
        return SLICE_EMPTY;
    }
    if (slice.owner == NULL) {
        uint8_t *copy = effects_alloc(fx, slice.size);
        memcpy(copy, slice.data, slice.size);
        return slice_borrow(copy, slice.size);
    }
    fx->held = memory_grow(fx->held, &fx->held_capacity, fx->held_count + 1, sizeof *fx->held);
    fx->held[fx->held_count++] = blob_ref(slice.owner);
    return slice;
}

static struct record *append_record(struct effects *fx, struct slice key)
{
    CHECK(key.size > 0);
    CHECK(key.size <= RECORD_KEY_BYTES_MAX);
    fx->records =
        memory_grow(fx->records, &fx->record_capacity, fx->record_count + 1, sizeof *fx->records);
    uint8_t *copy = effects_alloc(fx, key.size);
    memcpy(copy, key.data, key.size);
    struct record *record = &fx->records[fx->record_count++];
    record->key = copy;
    record->key_size = (uint32_t)key.size;
    record->head_size = 0;
    record->is_delete = 0;
    record->body = SLICE_EMPTY;
    fx->record_bytes += key.size;
    return record;
}

void effects_put(struct effects *fx, enum durability durability, struct slice key,
                 struct slice head, struct slice body)
{
    CHECK(head.size <= RECORD_HEAD_BYTES_MAX);
    struct slice kept = effects_hold(fx, body);
    struct record *record = append_record(fx, key);
    if (head.size > 0) {
        memcpy(record->head, head.data, head.size);
    }
    record->head_size = (uint8_t)head.size;
    record->body = kept;
    fx->record_bytes += head.size + body.size;
    if (durability == RECORD_DURABLE) {
        fx->needs_sync = 1;
    }
}

void effects_delete(struct effects *fx, struct slice key)
{
    append_record(fx, key)->is_delete = 1;
}

void effects_grow_completions(struct effects *fx, size_t count)
{
    fx->completions = memory_grow(fx->completions, &fx->completion_capacity,
                                  fx->completion_count + count, sizeof *fx->completions);
}

struct message *effects_send(struct effects *fx, enum send_when when, struct peer to,
                             enum message_kind kind)
{
    fx->sends = memory_grow(fx->sends, &fx->send_capacity, fx->send_count + 1, sizeof *fx->sends);
    struct outgoing *out = &fx->sends[fx->send_count++];
    memset(out, 0, sizeof *out);
    out->to = to;
    out->when = when;
    out->msg.kind = kind;
    return &out->msg;
}

struct message *effects_broadcast(struct effects *fx, enum send_when when, enum role role,
                                  enum message_kind kind)
{
    return effects_send(fx, when, (struct peer){role, 0}, kind);
}

struct message *effects_reply(struct effects *fx, enum send_when when,
                              const struct message *request, enum message_kind kind)
{
    struct message *msg = effects_send(fx, when, request->from, kind);
    msg->echo = request->incarnation;
    return msg;
}

void effects_note(struct effects *fx, enum note_level level, const char *fmt, ...)
{
    fx->notes = memory_grow(fx->notes, &fx->note_capacity, fx->note_count + 1, sizeof *fx->notes);
    struct note *note = &fx->notes[fx->note_count++];
    note->level = level;
    va_list args;
    va_start(args, fmt);
    vsnprintf(note->text, sizeof note->text, fmt, args);
    va_end(args);
}

void effects_unexpected(struct effects *fx, const struct message *msg)
{
    effects_note(fx, NOTE_WARN, "event=unexpected_message kind=%s from=%s-%llu",
                 message_kind_name(msg->kind), role_name(msg->from.role),
                 (unsigned long long)msg->from.id);
}

void effects_wake(struct effects *fx, time_ms_t at)
{
    if (at < fx->wake_at) {
        fx->wake_at = at;
    }
}

void effects_fatal(struct effects *fx, int code, const char *fmt, ...)
{
    CHECK(code < 0);
    if (fx->fatal != 0) {
        return;
    }
    fx->fatal = code;
    va_list args;
    va_start(args, fmt);
    vsnprintf(fx->fatal_text.text, sizeof fx->fatal_text.text, fmt, args);
    va_end(args);
}
