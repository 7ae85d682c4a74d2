#include "common/client/client.h"

#include "common/base/check.h"
#include "common/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_CAPACITY_MIN 512

int submit_open(struct synod *s)
{
    s->operations = memory_calloc(OPERATIONS_MAX, sizeof *s->operations);
    s->oldest = s->sent = s->next = 1;
    s->next_deadline = TIME_NEVER;
    s->retry_ms = RETRY_MS_MIN;
    s->pause_ms = PAUSE_MS_MIN;
    return 0;
}

static void free_block(struct outgoing_block *block)
{
    free(block->bytes);
    free(block);
}

void submit_close(struct synod *s)
{
    while (s->head != NULL) {
        struct outgoing_block *block = s->head;
        s->head = block->next;
        free_block(block);
    }
    free(s->operations);
}

/* ---- filling blocks */

/* The commands' bytes are written once, into what becomes the block; its head is filled in when it
 * leaves, because the session and the acknowledgement are known only then. */
static struct outgoing_block *start_block(struct synod *s)
{
    struct outgoing_block *block = memory_calloc(1, sizeof *block);
    block->first = s->next;
    block->size = BLOCK_HEAD_BYTES;
    block->capacity = s->capacity_hint > BLOCK_CAPACITY_MIN ? s->capacity_hint : BLOCK_CAPACITY_MIN;
    block->bytes = memory_alloc(block->capacity);
    if (s->tail != NULL) {
        s->tail->next = block;
    } else {
        s->head = block;
    }
    s->tail = block;
    if (s->cursor == NULL) {
        s->cursor = block;
    }
    s->block_bytes += block->size;
    return block;
}

static void seal_block(struct synod *s, struct outgoing_block *block)
{
    block->is_sealed = 1;
    s->capacity_hint = block->size < BLOCK_BYTES_TARGET ? block->size : BLOCK_BYTES_TARGET;
    if (block->size < block->capacity / 2) {
        uint8_t *smaller = realloc(block->bytes, block->size);
        if (smaller != NULL) {
            block->bytes = smaller;
            block->capacity = block->size;
        }
    }
}

static struct outgoing_block *block_for(struct synod *s, size_t command_bytes)
{
    struct outgoing_block *block = s->tail;
    if (block == NULL || block->is_sealed) {
        block = start_block(s);
    } else if (block->size + command_bytes > BLOCK_BYTES_TARGET && block->count > 0) {
        seal_block(s, block);
        submit_flush(s);
        block = start_block(s);
    }
    if (block->capacity - block->size < command_bytes) {
        block->bytes = memory_grow(block->bytes, &block->capacity, block->size + command_bytes, 1);
    }
    return block;
}

int submit_add(struct synod *s, enum command_op op, const void *data, size_t size,
               time_ms_t deadline, synod_append_fn fn, void *arg)
{
    size_t bytes = COMMAND_HEAD_BYTES + size;
    int is_internal = fn == call_internal;
    uint64_t limit = is_internal ? OPERATIONS_MAX : SYNOD_OUTSTANDING_MAX;
    if (s->next - s->oldest >= limit ||
        (s->block_bytes + bytes + BLOCK_HEAD_BYTES > SYNOD_OUTSTANDING_BYTES_MAX &&
         s->block_bytes > 0 && !is_internal)) {
        return errmsg_set(&s->err, SYNOD_E_BUSY,
                          "too much is outstanding (%llu commands, %zu bytes; the limits are %d "
                          "and %d); try: synod_poll first",
                          (unsigned long long)(s->next - s->oldest), s->block_bytes,
                          SYNOD_OUTSTANDING_MAX, SYNOD_OUTSTANDING_BYTES_MAX);
    }
    struct outgoing_block *block = block_for(s, bytes);
    uint8_t *p = block->bytes + block->size;
    command_put_head(p, op, (uint32_t)size);
    if (size > 0) {
        memcpy(p + COMMAND_HEAD_BYTES, data, size);
    }
    block->size += bytes;
    block->count++;
    s->block_bytes += bytes;
    s->operations[s->next % OPERATIONS_MAX] = (struct operation){fn, arg, deadline};
    s->next++;
    s->waiting_count++;
    s->internal_count += (size_t)is_internal;
    if (deadline < s->next_deadline) {
        s->next_deadline = deadline;
    }
    return SYNOD_OK;
}

/* ---- sending */

void submit_rotate(struct synod *s)
{
    for (size_t i = 1; i <= s->proposer_count; i++) {
        size_t next = (s->target + i) % s->proposer_count;
        if (s->proposers[next].is_welcome) {
            s->target = next;
            return;
        }
    }
}

static int send_block(struct synod *s, struct slice block)
{
    struct message msg = {.kind = MSG_SUBMIT};
    msg.submit.block = block;
    int rc = links_send(s, &s->proposers[s->target], &msg);
    if (rc == 0) {
        s->session_contact_before = s->session_contact;
        s->session_contact = s->now;
    }
    return rc;
}

/* A session that is only doubtful is continued if it lives. */
static int send_open(struct synod *s)
{
    uint8_t bytes[OPEN_BLOCK_BYTES];
    block_put_open(bytes, s->self.id, s->openings, s->session_ttl_ms, s->session);
    return send_block(s, slice_borrow(bytes, sizeof bytes));
}

/* What the cluster may forget: results below the oldest operation without one. */
static uint64_t acked_sequence(const struct synod *s, uint64_t block_first)
{
    uint64_t bound = s->oldest < block_first ? s->oldest : block_first;
    return bound - 1 - s->session_base;
}

static int send_commands(struct synod *s, struct outgoing_block *block)
{
    const struct block head = {
        .session = s->session,
        .client = s->self.id,
        .first_seq = block->first - s->session_base,
        .acked_seq = acked_sequence(s, block->first),
        .count = block->count,
    };
    CHECK(head.acked_seq < head.first_seq);
    block_put_head(block->bytes, &head, (uint32_t)(block->size - BLOCK_HEAD_BYTES));
    return send_block(s, slice_borrow(block->bytes, block->size));
}

static void send_keepalive(struct synod *s)
{
    uint8_t bytes[BLOCK_HEAD_BYTES];
    const struct block head = {
        .session = s->session,
        .client = s->self.id,
        .first_seq = s->next - s->session_base,
        .acked_seq = acked_sequence(s, s->next),
    };
    block_put_head(bytes, &head, 0);
    if (send_block(s, slice_borrow(bytes, sizeof bytes)) != 0) {
        return; /* no connection: the timer tries again */
    }
}

/* 1 if the target, or another proposer in its place, can be written to. */
static int may_submit(struct synod *s)
{
    if (s->now < s->paused_until || !links_learner(s)->is_welcome) {
        return 0; /* without a learner nobody would hear the results */
    }
    if (!s->proposers[s->target].is_welcome) {
        submit_rotate(s);
        s->is_probing = 1;
    }
    return s->proposers[s->target].is_welcome;
}

/* The first of what is sent after an idle time starts the clock for sending it again. */
static void note_sent(struct synod *s, int was_idle)
{
    if (was_idle) {
        s->progress_at = s->now;
    }
}

static void flush_blocks(struct synod *s)
{
    while (s->cursor != NULL && (!s->is_probing || s->cursor == s->head)) {
        struct outgoing_block *block = s->cursor;
        int was_idle = s->sent == s->oldest;
        if (!block->is_sealed) {
            seal_block(s, block);
        }
        if (send_commands(s, block) != 0) {
            /* The connection or its budget: the rest would fare no better now. */
            s->paused_until = s->now + BUSY_PAUSE_MS;
            s->is_busy_pause = 1;
            return;
        }
        if (block->sent_at == 0) {
            block->sent_at = s->now;
        }
        uint64_t end = block->first + block->count;
        s->sent = end > s->sent ? end : s->sent;
        s->cursor = block->next;
        note_sent(s, was_idle);
    }
}

/* 1 if the session may have expired unnoticed, because nobody polled: an opening that continues it
 * gives the same one if it still lives. Only with nothing in flight, whose fate the cluster would
 * know. */
static int is_session_doubtful(const struct synod *s)
{
    return s->session_state == SESSION_OPEN && s->sent == s->oldest &&
           s->now - s->session_contact > (time_ms_t)s->session_ttl_ms * 2 / 3;
}

void submit_want_session(struct synod *s)
{
    if (s->session_state == SESSION_NONE || is_session_doubtful(s)) {
        s->session_state = SESSION_OPENING;
        s->openings++;
        s->is_open_due = 1;
        s->opening_since = s->now;
        s->progress_at = s->now;
    }
}

void submit_note_contact(struct synod *s, uint64_t number)
{
    for (const struct outgoing_block *b = s->head; b != NULL && b->first <= number; b = b->next) {
        if (number < b->first + b->count) {
            lease_session_proved(s, b->sent_at);
            return;
        }
    }
}

void submit_flush(struct synod *s)
{
    if (s->cursor == NULL && s->session_state != SESSION_OPENING) {
        return;
    }
    submit_want_session(s);
    if (!may_submit(s)) {
        return;
    }
    if (s->session_state == SESSION_OPENING) {
        if (s->is_open_due && send_open(s) == 0) {
            s->is_open_due = 0;
            s->progress_at = s->now;
        }
        return;
    }
    flush_blocks(s);
}

void submit_rewind(struct synod *s)
{
    if (s->session_state == SESSION_OPENING) {
        s->is_open_due = 1;
    }
    s->cursor = s->head;
}

void submit_rewind_to(struct synod *s, uint64_t number)
{
    for (struct outgoing_block *b = s->head; b != NULL && b != s->cursor; b = b->next) {
        if (number < b->first + b->count) {
            s->cursor = b;
            return;
        }
    }
}

/* ---- results */

static void free_answered_blocks(struct synod *s)
{
    while (s->head != NULL && s->head->is_sealed && s->head->first + s->head->count <= s->oldest) {
        struct outgoing_block *block = s->head;
        s->head = block->next;
        if (s->tail == block) {
            s->tail = NULL;
        }
        if (s->cursor == block) {
            s->cursor = block->next;
        }
        s->block_bytes -= block->size;
        free_block(block);
    }
}

static void advance_oldest(struct synod *s)
{
    while (s->oldest < s->next &&
           s->operations[s->oldest % OPERATIONS_MAX].deadline == OPERATION_DONE) {
        s->oldest++;
    }
    if (s->sent < s->oldest) {
        s->sent = s->oldest;
    }
    free_answered_blocks(s);
    s->progress_at = s->now;
    s->retry_ms = RETRY_MS_MIN;
    s->retry_count = 0;
    s->redirect_count = 0;
    s->pause_ms = PAUSE_MS_MIN;
    s->is_probing = 0;
    s->trouble[0] = '\0';
}

void submit_complete(struct synod *s, uint64_t number, int code, uint64_t index)
{
    if (number < s->oldest || number >= s->next) {
        return;
    }
    struct operation *op = &s->operations[number % OPERATIONS_MAX];
    if (op->deadline == OPERATION_DONE) {
        return;
    }
    const struct operation answered = *op;
    op->deadline = OPERATION_DONE;
    if (number == s->oldest) {
        advance_oldest(s);
    }
    if (answered.deadline == OPERATION_EXPIRED) {
        return;
    }
    s->waiting_count--;
    s->internal_count -= answered.fn == call_internal;
    if (answered.fn != NULL) {
        answered.fn(answered.arg, code, index);
    }
}

void submit_break(struct synod *s, int code)
{
    uint64_t end = s->next;
    s->is_broken = 1;
    s->session_state = SESSION_NONE;
    s->cursor = NULL;
    if (s->tail != NULL) {
        s->tail->is_sealed = 1;
    }
    for (uint64_t n = s->oldest; n < end; n++) {
        submit_complete(s, n, code, 0);
    }
}

void submit_abandon_session(struct synod *s, int code)
{
    uint64_t end = s->sent;
    s->session_lost = s->session;
    s->session_state = SESSION_NONE;
    s->session = 0;
    s->session_base = end - 1;
    lease_session_ended(s, s->session_lost); /* first, so that the callbacks below know it */
    for (uint64_t n = s->oldest; n < end; n++) {
        submit_complete(s, n, code, 0);
    }
    s->cursor = s->head; /* what is left was never sent */
}

/* ---- timers */

static void expire(struct synod *s)
{
    if (s->now < s->next_deadline) {
        return;
    }
    uint64_t end = s->next;
    s->next_deadline = TIME_NEVER;
    for (uint64_t n = s->oldest; n < end; n++) {
        struct operation *op = &s->operations[n % OPERATIONS_MAX];
        if (op->deadline < 0) {
            continue;
        }
        if (op->deadline > s->now) {
            s->next_deadline = op->deadline < s->next_deadline ? op->deadline : s->next_deadline;
            continue;
        }
        op->deadline = OPERATION_EXPIRED;
        s->waiting_count--;
        int code = client_unavailable(s, "no answer in time, the operation may still happen");
        if (op->fn != NULL) {
            op->fn(op->arg, code, 0);
        }
    }
}

/* First the believed leader again, because a lost frame is likelier than a silent change. */
static void retry(struct synod *s)
{
    s->progress_at = s->now;
    s->retry_ms = s->retry_ms * 2 < RETRY_MS_MAX ? s->retry_ms * 2 : RETRY_MS_MAX;
    s->retry_count++;
    if (s->retry_count > 1) {
        submit_rotate(s);
        s->is_probing = 1;
    }
    submit_rewind(s);
}

/* Only for an idle session: commands keep it alive, too. It gets no answer, which is cheap but
 * proves nothing; a session that something relies on is kept alive by lease.c. */
static time_ms_t keepalive_work(struct synod *s)
{
    if (s->session_state != SESSION_OPEN || s->next > s->oldest || is_session_doubtful(s) ||
        s->leases.is_session_used) {
        return TIME_NEVER; /* of a doubtful one the next append finds out */
    }
    time_ms_t due = s->session_contact + s->session_ttl_ms / 3;
    due = s->keepalive_at > due ? s->keepalive_at : due;
    if (s->now < due) {
        return due;
    }
    if (may_submit(s)) {
        send_keepalive(s);
    }
    uint32_t pause_ms = s->session_ttl_ms / 6;
    s->keepalive_at = s->now + (pause_ms < PAUSE_MS_MAX ? pause_ms : PAUSE_MS_MAX);
    return s->keepalive_at;
}

time_ms_t submit_work(struct synod *s)
{
    expire(s);
    int is_in_flight = s->sent > s->oldest || s->session_state == SESSION_OPENING;
    if (is_in_flight && s->now - s->progress_at >= (time_ms_t)s->retry_ms) {
        retry(s);
    }
    submit_flush(s);
    time_ms_t wake = keepalive_work(s);
    wake = s->next_deadline < wake ? s->next_deadline : wake;
    is_in_flight = s->sent > s->oldest || s->session_state == SESSION_OPENING;
    if (is_in_flight && s->progress_at + s->retry_ms < wake) {
        wake = s->progress_at + s->retry_ms;
    }
    if ((s->cursor != NULL || s->is_open_due) && s->paused_until > s->now &&
        s->paused_until < wake) {
        wake = s->paused_until;
    }
    return wake;
}
