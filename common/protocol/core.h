/* The contract that every core keeps: one event in, effects out.
 *
 * A core is a deterministic state machine without clock, I/O, randomness of its own or writable
 * globals. Two runners drive the same archive of cores: common/runtime in a daemon, and the
 * simulator. The rule "persist before send" lives in the runner alone: it drains what has arrived,
 * steps the core for each, writes the records in one batch with one sync, and only then lets the
 * held messages go. */
#ifndef SYNOD_PROTOCOL_CORE_H
#define SYNOD_PROTOCOL_CORE_H

#include "common/base/arena.h"
#include "common/base/blob.h"
#include "common/base/error.h"
#include "common/protocol/limits.h"
#include "common/protocol/marks.h"
#include "common/protocol/message.h"
#include "common/protocol/types.h"

#include <stddef.h>

/* ---- events */

enum event_kind {
    EVENT_START,   /* once, first: read the durable state through the store_reader */
    EVENT_MESSAGE, /* msg is set; valid and borrowed for the call */
    EVENT_TICK,    /* effects.wake_at of an earlier step has passed; may also come early */
    EVENT_FLUSH,   /* ends every turn: form batches, coalesce acknowledgements, say when to be woken
                    */
    EVENT_WRITTEN, /* after FLUSH: the turn's records are in the store and sent what waited for
                      them. Reads may be served; no records may be put */
    EVENT_PEER_UP, /* peer is set: a connection to it works (again) */
    EVENT_PEER_DOWN, /* peer is set: the connection broke */
    EVENT_SHUTDOWN,  /* asked to stop: drain, hand over, then set effects.finished */
};

struct event {
    enum event_kind kind;
    time_ms_t now; /* never falls */
    const struct message *msg;
    struct peer peer;
    int disk_low; /* in every event: less than DISK_RESERVE_BYTES are free on the store's disk */
};

/* ---- durable state, read-only */

/* Called for each pair in key order; both slices are borrowed for the call (value.owner, if set,
 * may be referenced). Returns 0 to go on, 1 to stop. */
typedef int (*store_visit_fn)(void *arg, struct slice key, struct slice value);

/* How a core reads back what it wrote. Sees the records of earlier turns, not those of the turn
 * under way. */
struct store_reader {
    void *self;
    /* The value of a key as a new reference in *value; ERROR_NOT_FOUND, ERROR_CORRUPT or ERROR_IO.
     */
    int (*get)(void *self, struct slice key, struct blob **value);
    /* Visits keys in [from, to) in rising byte order. 0, ERROR_CORRUPT or ERROR_IO. */
    int (*scan)(void *self, struct slice from, struct slice to, store_visit_fn visit, void *arg);
};

/* ---- effects */

/* Longest key (a user's key, escaped, which doubles it at most, and what orders its versions) and
 * longest head of a record's value. */
#define RECORD_KEY_BYTES_MAX (2 * KEY_BYTES_MAX + 16)
#define RECORD_HEAD_BYTES_MAX 64

/* One write: value = head followed by body, or the key's deletion. */
struct record {
    const uint8_t *key; /* lives as long as the effects */
    uint32_t key_size;
    uint8_t head[RECORD_HEAD_BYTES_MAX];
    uint8_t head_size;
    uint8_t is_delete;
    struct slice body; /* holds a reference if it has an owner */
};

enum send_when {
    SEND_NOW,           /* may leave at once */
    SEND_AFTER_DURABLE, /* only after every record of this turn is synced */
};

struct outgoing {
    struct peer to; /* id 0: every member of the role, but the sender itself */
    enum send_when when;
    struct message msg; /* from and incarnation are filled in by the runner */
};

enum note_level { NOTE_DEBUG, NOTE_INFO, NOTE_WARN };

/* A change of state worth a line in the log and in a simulator's trace. */
struct note {
    enum note_level level;
    char text[232]; /* logfmt pairs, "event=became_leader round=4 ..." */
};

/* Whom a call of the application wants called; the core keeps it and never calls it. */
typedef void (*completion_fn)(void *arg, int code, uint64_t value);

/* What a call of the application came to: effects of the client's core alone, whose header says
 * what each kind has. Slices and detail are borrowed: from the core until its next step, and from
 * the message of the event. */
struct completion {
    uint32_t kind;        /* enum completion_kind of common/client/core/client.h */
    int code;             /* 0 or an error code */
    uint64_t id;          /* of the call, in the numbering of its kind; or 0 */
    const char *sentence; /* of a code other than 0; lives as long as the effects */
    completion_fn fn;
    void *arg;
    uint64_t value;
    struct slice body;
    const void *detail;
};

/* What one turn of the loop wants done. Owned by the runner, which clears it when all is done;
 * everything in it (arrays from effects_alloc, references on blobs) stays valid until then. */
struct effects {
    struct record *records;
    size_t record_count, record_capacity;
    struct outgoing *sends;
    size_t send_count, send_capacity;
    struct note *notes;
    size_t note_count, note_capacity;
    struct completion *completions;
    size_t completion_count, completion_capacity;
    struct blob **held; /* references that live as long as the effects */
    size_t held_count, held_capacity;
    struct arena arena;
    size_t record_bytes; /* of keys and values in records */
    int needs_sync;      /* at least one record must be durable before the turn ends */
    time_ms_t wake_at; /* step me with EVENT_TICK then; what EVENT_FLUSH leaves here holds until the
                          next turn */
    int finished;      /* after EVENT_SHUTDOWN: nothing is left to do */
    int fatal; /* an error code: the process must end now, before anything more is written or sent
                */
    struct errmsg fatal_text;
    /* How often the core met each rare event. Counted from effects_init to effects_close, and kept
     * by effects_clear: the simulator adds up what it finds here before it closes a node's effects,
     * and nobody else looks. */
    uint32_t marks[MARK_COUNT];
};

void effects_init(struct effects *fx);

/* Gives back all references and forgets everything, wake_at too, but for the marks. */
void effects_clear(struct effects *fx);

void effects_close(struct effects *fx);

/* size bytes that live as long as the effects. */
void *effects_alloc(struct effects *fx, size_t size);

/* Keeps the slice's bytes alive as long as the effects (takes a reference, or copies what has no
 * owner) and returns the slice to use. */
struct slice effects_hold(struct effects *fx, struct slice slice);

enum durability {
    RECORD_LAZY,    /* written with the turn; no sync of its own */
    RECORD_DURABLE, /* synced before the turn's held messages leave */
};

/* Writes value = head + body under key. The body is held. */
void effects_put(struct effects *fx, enum durability durability, struct slice key,
                 struct slice head, struct slice body);

void effects_delete(struct effects *fx, struct slice key);

/* Room for so many completions more. */
void effects_grow_completions(struct effects *fx, size_t count);

/* Appends a completion and returns it zeroed, to be filled in before the next call on fx. Inline,
 * because clients complete hundreds of thousands of commands a second. */
static inline struct completion *effects_complete(struct effects *fx)
{
    if (fx->completion_count == fx->completion_capacity) {
        effects_grow_completions(fx, 1);
    }
    struct completion *completion = &fx->completions[fx->completion_count++];
    *completion = (struct completion){0};
    return completion;
}

/* Appends a message to one peer and returns it zeroed but for its kind, to be filled in before the
 * next call on fx. */
struct message *effects_send(struct effects *fx, enum send_when when, struct peer to,
                             enum message_kind kind);

/* The same to all members of a role. */
struct message *effects_broadcast(struct effects *fx, enum send_when when, enum role role,
                                  enum message_kind kind);

/* The same to the sender of request, with its incarnation echoed. */
struct message *effects_reply(struct effects *fx, enum send_when when,
                              const struct message *request, enum message_kind kind);

void effects_note(struct effects *fx, enum note_level level, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Counts a rare event; see marks.h. */
static inline void effects_mark(struct effects *fx, enum mark mark)
{
    fx->marks[mark]++;
}

/* Notes a message of a kind that this role does not take. */
void effects_unexpected(struct effects *fx, const struct message *msg);

/* Wake me at the earlier of this and what was asked before. */
void effects_wake(struct effects *fx, time_ms_t at);

/* The process must end: the first call's sentence is the one reported. */
void effects_fatal(struct effects *fx, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* ---- the core as the runner sees it */

struct core {
    void *self;
    void (*step)(void *self, const struct event *event, struct effects *out);
};

#endif
