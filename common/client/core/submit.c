#include "common/client/core/state.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/base/mutant.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_CAPACITY_MIN 512

void submit_init(struct client *c)
{
    struct submit *submit = &c->submit;
    submit->operations = memory_calloc(OPERATIONS_MAX, sizeof *submit->operations);
    submit->oldest = submit->sent = submit->next = 1;
    submit->next_deadline = TIME_NEVER;
    submit->retry_ms = RETRY_MS_MIN;
}

static void free_block(struct outgoing_block *block)
{
    blob_unref(block->bytes);
    free(block);
}

void submit_close(struct client *c)
{
    while (c->submit.head != NULL) {
        struct outgoing_block *block = c->submit.head;
        c->submit.head = block->next;
        free_block(block);
    }
    buffer_close(&c->submit.filling);
    free(c->submit.operations);
}

/* ---- filling blocks */

/* The commands' bytes are written once, into what becomes the block; its head is filled in when it
 * leaves, because the session and the acknowledgement are known only then. */
static struct outgoing_block *start_block(struct submit *submit)
{
    struct outgoing_block *block = memory_calloc(1, sizeof *block);
    size_t hint = submit->capacity_hint;
    block->first = submit->next;
    submit->filling.data = memory_grow(NULL, &submit->filling.capacity,
                                       hint > BLOCK_CAPACITY_MIN ? hint : BLOCK_CAPACITY_MIN, 1);
    (void)buffer_extend(&submit->filling, BLOCK_HEAD_BYTES);
    if (submit->tail != NULL) {
        submit->tail->next = block;
    } else {
        submit->head = block;
    }
    submit->tail = block;
    if (submit->cursor == NULL) {
        submit->cursor = block;
    }
    submit->block_bytes += BLOCK_HEAD_BYTES;
    return block;
}

static void seal_block(struct submit *submit, struct outgoing_block *block)
{
    struct buffer *filling = &submit->filling;
    uint8_t *data = filling->data;
    submit->capacity_hint = filling->size < BLOCK_BYTES_TARGET ? filling->size : BLOCK_BYTES_TARGET;
    if (filling->size < filling->capacity / 2) {
        uint8_t *smaller = realloc(data, filling->size);
        if (smaller != NULL) {
            data = smaller;
        }
    }
    block->bytes = blob_adopt(data, filling->size);
    block->head_bytes = data;
    *filling = (struct buffer){0};
}

static struct outgoing_block *block_for(struct submit *submit, size_t command_bytes)
{
    struct outgoing_block *block = submit->tail;
    if (block == NULL || block->bytes != NULL) {
        return start_block(submit);
    }
    if (submit->filling.size + command_bytes > BLOCK_BYTES_TARGET && block->count > 0) {
        seal_block(submit, block);
        submit->has_full_block = 1;
        return start_block(submit);
    }
    return block;
}

int client_has_full_block(const struct client *c)
{
    return c->submit.has_full_block;
}

static int check_room(struct submit *submit, size_t bytes, int is_internal, struct errmsg *err)
{
    uint64_t limit = is_internal ? OPERATIONS_MAX : CLIENT_OUTSTANDING_MAX;
    if (submit->next - submit->oldest < limit &&
        (submit->block_bytes + bytes + BLOCK_HEAD_BYTES <= CLIENT_OUTSTANDING_BYTES_MAX ||
         submit->block_bytes == 0 || is_internal)) {
        return 0;
    }
    return errmsg_set(err, ERROR_BUSY,
                      "too much is outstanding (%llu commands, %zu bytes; the limits are %d and "
                      "%zu); try: synod_poll first",
                      (unsigned long long)(submit->next - submit->oldest), submit->block_bytes,
                      CLIENT_OUTSTANDING_MAX, CLIENT_OUTSTANDING_BYTES_MAX);
}

static int check_open(const struct client *c, struct errmsg *err)
{
    if (c->submit.is_broken) {
        return errmsg_set(err, ERROR_CORRUPT,
                          "the handle is broken (its commands were called malformed); try: a new "
                          "handle");
    }
    if (c->is_closing) {
        return errmsg_set(err, ERROR_USAGE, "the handle is being closed; try: a new one");
    }
    return 0;
}

static int add(struct client *c, enum command_op op, struct slice payload,
               const struct operation *operation, uint64_t *number, struct errmsg *err)
{
    struct submit *submit = &c->submit;
    size_t bytes = COMMAND_HEAD_BYTES + payload.size;
    int is_internal = operation->fn == operation_internal;
    int rc = check_room(submit, bytes, is_internal, err);
    if (rc != 0) {
        return rc;
    }
    struct outgoing_block *block = block_for(submit, bytes);
    uint8_t *p = buffer_extend(&submit->filling, bytes);
    command_put_head(p, op, (uint32_t)payload.size);
    if (payload.size > 0) {
        memcpy(p + COMMAND_HEAD_BYTES, payload.data, payload.size);
    }
    block->count++;
    submit->block_bytes += bytes;
    submit->operations[submit->next % OPERATIONS_MAX] = *operation;
    if (number != NULL) {
        *number = submit->next;
    }
    submit->next++;
    submit->waiting_count++;
    submit->internal_count += (size_t)is_internal;
    if (operation->deadline < submit->next_deadline) {
        submit->next_deadline = operation->deadline;
    }
    return 0;
}

int client_submit(struct client *c, enum command_op op, struct slice payload, time_ms_t deadline,
                  completion_fn fn, void *arg, uint64_t *number, struct errmsg *err)
{
    const struct operation operation = {fn, arg, deadline};
    int rc = check_open(c, err);
    return rc != 0 ? rc : add(c, op, payload, &operation, number, err);
}

/* ---- the core's own */

void operation_internal(void *arg, int code, uint64_t value)
{
    (void)arg;
    (void)code;
    (void)value;
    CHECK(0);
}

int submit_internal(struct client *c, enum command_op op, struct slice payload,
                    struct internal *internal, uint64_t *number)
{
    const struct operation operation = {operation_internal, internal, TIME_NEVER};
    if (c->submit.is_broken || c->is_closing) {
        return ERROR_BUSY;
    }
    return add(c, op, payload, &operation, number, NULL);
}

int submit_is_under_way(const struct client *c, uint64_t number)
{
    return number >= c->submit.oldest && number < c->submit.next &&
           c->submit.operations[number % OPERATIONS_MAX].deadline != OPERATION_DONE;
}

/* Takes the operation from who waits for it. Returns what it was. */
static inline struct operation take_owner(struct submit *submit, uint64_t number, time_ms_t becomes)
{
    struct operation *op = &submit->operations[number % OPERATIONS_MAX];
    const struct operation taken = *op;
    op->deadline = becomes;
    if (taken.deadline >= 0) {
        submit->waiting_count--;
        submit->internal_count -= taken.fn == operation_internal;
    }
    return taken;
}

static void forget(struct client *c, uint64_t number)
{
    if (submit_is_under_way(c, number) &&
        c->submit.operations[number % OPERATIONS_MAX].deadline >= 0) {
        (void)take_owner(&c->submit, number, OPERATION_EXPIRED);
    }
}

void submit_forget(struct client *c, uint64_t number)
{
    forget(c, number);
}

void client_abandon(struct client *c, uint64_t number)
{
    forget(c, number);
}

uint64_t client_first_number(const struct client *c)
{
    return c->session.base + 1;
}

size_t client_outstanding(const struct client *c)
{
    return c->submit.waiting_count - c->submit.internal_count;
}

/* ---- sending */

void submit_send(struct client *c, struct slice block, struct effects *out)
{
    struct slice held = effects_hold(out, block);
    struct message *msg = effects_send(out, SEND_NOW, target_contact(c)->peer, MSG_SUBMIT);
    msg->submit.block = held;
    session_note_contact(c);
}

uint64_t submit_acked_sequence(const struct client *c, uint64_t block_first)
{
    uint64_t bound = c->submit.oldest < block_first && !MUTANT(client_acknowledges_unanswered)
                         ? c->submit.oldest
                         : block_first;
    return bound - 1 - c->session.base;
}

/* Bytes that left before may still be on their way: they are never changed. */
static void own_bytes(struct outgoing_block *block)
{
    if (block->bytes->references == 1 || MUTANT(client_bytes_changed_on_their_way)) {
        return;
    }
    struct blob *copy = blob_new(block->bytes->size, &block->head_bytes);
    memcpy(block->head_bytes, block->bytes->data, block->bytes->size);
    blob_unref(block->bytes);
    block->bytes = copy;
}

static void send_commands(struct client *c, struct outgoing_block *block, struct effects *out)
{
    const struct block head = {
        .session = c->session.id,
        .client = c->self.id,
        .first_seq = block->first - c->session.base,
        .acked_seq = submit_acked_sequence(c, block->first),
        .count = block->count,
    };
    CHECK(head.acked_seq < head.first_seq);
    own_bytes(block);
    block_put_head(block->head_bytes, &head, (uint32_t)(block->bytes->size - BLOCK_HEAD_BYTES));
    submit_send(c, slice_of(block->bytes), out);
}

int submit_is_in_flight(const struct client *c)
{
    return c->submit.sent > c->submit.oldest;
}

static void flush_blocks(struct client *c, struct effects *out)
{
    struct submit *submit = &c->submit;
    while (submit->cursor != NULL && (!c->target.is_probing || submit->cursor == submit->head)) {
        struct outgoing_block *block = submit->cursor;
        int was_idle = !submit_is_in_flight(c);
        if (block->bytes == NULL) {
            seal_block(submit, block);
        }
        send_commands(c, block, out);
        if (block->sent_at == 0 || MUTANT(client_proved_by_last_sending)) {
            block->sent_at = c->now;
        }
        uint64_t end = block->first + block->count;
        submit->sent = end > submit->sent ? end : submit->sent;
        submit->cursor = block->next;
        if (was_idle) { /* the first of what is sent starts the clock for sending it again */
            submit->progress_at = c->now;
        }
    }
}

void submit_flush(struct client *c, struct effects *out)
{
    c->submit.has_full_block = 0;
    if (c->submit.cursor == NULL && c->session.state != SESSION_OPENING) {
        return;
    }
    session_want(c);
    if (!target_is_open(c)) {
        return;
    }
    if (c->session.state == SESSION_OPENING) {
        session_send_open(c, out);
        return;
    }
    flush_blocks(c, out);
}

void submit_rewind(struct client *c)
{
    session_rewind(c);
    c->submit.cursor = c->submit.head;
}

void submit_rewind_to(struct client *c, uint64_t number)
{
    struct submit *submit = &c->submit;
    for (struct outgoing_block *b = submit->head; b != NULL && b != submit->cursor; b = b->next) {
        if (number < b->first + b->count) {
            submit->cursor = b;
            return;
        }
    }
}

void submit_on_opened(struct client *c)
{
    c->submit.retry_ms = RETRY_MS_MIN;
    c->submit.retry_count = 0;
    c->submit.cursor = c->submit.head;
}

/* Blocks before `sequence` were lost on the way; those after it that are still in flight will
 * report the same gap once more each. */
void submit_on_gap(struct client *c, uint64_t sequence)
{
    struct submit *submit = &c->submit;
    uint64_t number = sequence + c->session.base;
    if (number < submit->oldest || number >= submit->sent) {
        return;
    }
    if (sequence == submit->gap_sequence && c->now - submit->gap_at < GAP_IGNORE_MS) {
        return;
    }
    submit->gap_sequence = sequence;
    submit->gap_at = c->now;
    submit_rewind_to(c, number);
}

/* ---- results */

int submit_has_sent(const struct client *c, const struct result_range *range)
{
    uint64_t last = c->submit.sent - 1 - c->session.base;
    return range->sequence > 0 && range->count <= last &&
           range->sequence <= last - range->count + 1;
}

time_ms_t submit_sent_at(const struct client *c, uint64_t number)
{
    for (const struct outgoing_block *b = c->submit.head; b != NULL && b->first <= number;
         b = b->next) {
        if (number < b->first + b->count) {
            return b->sent_at;
        }
    }
    return 0;
}

static void free_answered_blocks(struct submit *submit)
{
    while (submit->head != NULL && submit->head->bytes != NULL &&
           submit->head->first + submit->head->count <= submit->oldest) {
        struct outgoing_block *block = submit->head;
        submit->head = block->next;
        if (submit->tail == block) {
            submit->tail = NULL;
        }
        if (submit->cursor == block) {
            submit->cursor = block->next;
        }
        submit->block_bytes -= block->bytes->size;
        free_block(block);
    }
}

static void advance_oldest(struct client *c)
{
    struct submit *submit = &c->submit;
    while (submit->oldest < submit->next &&
           submit->operations[submit->oldest % OPERATIONS_MAX].deadline == OPERATION_DONE) {
        submit->oldest++;
    }
    if (submit->sent < submit->oldest) {
        submit->sent = submit->oldest;
    }
    free_answered_blocks(submit);
    submit->progress_at = c->now;
    submit->retry_ms = RETRY_MS_MIN;
    submit->retry_count = 0;
    target_note_progress(c);
    c->trouble[0] = '\0';
}

static inline void tell(struct client *c, uint64_t number, const struct operation *op, int code,
                        uint64_t value, struct slice body, struct effects *out)
{
    struct internal *internal = op->arg;
    if (op->deadline < 0 || op->fn == NULL) {
        return;
    }
    if (op->fn != operation_internal) {
        struct completion *completion = effects_complete(out);
        completion->kind = COMPLETION_OPERATION;
        completion->id = number;
        completion->code = code;
        completion->sentence = code != 0 ? keep_sentence(c, out) : NULL;
        completion->fn = op->fn;
        completion->arg = op->arg;
        completion->value = value;
        completion->body = body;
    } else if (internal != NULL) {
        internal->fn(c, internal, code, value, body, out);
    }
}

void submit_complete(struct client *c, uint64_t number, int code, uint64_t value, struct slice body,
                     struct effects *out)
{
    if (!submit_is_under_way(c, number)) {
        return;
    }
    const struct operation op = take_owner(&c->submit, number, OPERATION_DONE);
    if (number == c->submit.oldest) {
        advance_oldest(c);
    }
    tell(c, number, &op, code, value, body, out);
}

/* What is done to each of many: the oldest is looked for once, behind them all. */
void submit_complete_run(struct client *c, const struct result_range *range, struct effects *out)
{
    struct submit *submit = &c->submit;
    uint64_t first = range->sequence + c->session.base;
    uint64_t skipped = first < submit->oldest ? submit->oldest - first : 0;
    for (uint64_t i = skipped; i < range->count; i++) {
        struct operation *op = &submit->operations[(first + i) % OPERATIONS_MAX];
        if (op->deadline == OPERATION_DONE) {
            continue;
        }
        const struct operation taken = take_owner(submit, first + i, OPERATION_DONE);
        tell(c, first + i, &taken, 0, range->value + i, range->body, out);
    }
    if (submit->oldest < submit->next &&
        submit->operations[submit->oldest % OPERATIONS_MAX].deadline == OPERATION_DONE) {
        advance_oldest(c);
    }
}

static void fail_all(struct client *c, uint64_t end, int code, struct effects *out)
{
    const struct errmsg why = c->err;
    for (uint64_t n = c->submit.oldest; n < end; n++) {
        c->err = why; /* who heard of the one before may have set another sentence */
        submit_complete(c, n, code, 0, SLICE_EMPTY, out);
    }
}

void submit_break(struct client *c, int code, struct effects *out)
{
    struct submit *submit = &c->submit;
    submit->is_broken = 1;
    c->session.state = SESSION_NONE;
    submit->cursor = NULL;
    if (submit->tail != NULL && submit->tail->bytes == NULL) {
        seal_block(submit, submit->tail);
    }
    fail_all(c, submit->next, code, out);
}

void submit_fail_sent(struct client *c, int code, struct effects *out)
{
    fail_all(c, c->submit.sent, code, out);
    c->submit.cursor = c->submit.head; /* what is left was never sent */
}

/* ---- the end */

static void on_closed(struct client *c, struct internal *self, int code, uint64_t value,
                      struct slice body, struct effects *out)
{
    (void)self;
    (void)code;
    (void)value;
    (void)body;
    (void)out;
    c->submit.is_closed = 1;
}

/* The cluster forgets an abandoned session by itself after its ttl; closing it gives the memory
 * back at once. */
void client_close(struct client *c, struct effects *out)
{
    struct submit *submit = &c->submit;
    errmsg_set(&c->err, ERROR_INTERRUPTED, "the handle was closed");
    const struct errmsg why = c->err;
    submit->closing.fn = on_closed;
    submit->is_closed =
        !session_is_open(c) || !contacts_learner(c)->is_up ||
        submit_internal(c, COMMAND_CLOSE_SESSION, SLICE_EMPTY, &submit->closing, NULL) != 0;
    uint64_t end = submit->is_closed ? submit->next : submit->next - 1;
    c->is_closing = 1;
    for (uint64_t n = submit->oldest; n < end; n++) {
        if (submit->operations[n % OPERATIONS_MAX].deadline >= 0) {
            const struct operation op = take_owner(submit, n, OPERATION_EXPIRED);
            c->err = why;
            tell(c, n, &op, ERROR_INTERRUPTED, 0, SLICE_EMPTY, out);
        }
    }
}

/* ---- timers */

static void expire(struct client *c, struct effects *out)
{
    struct submit *submit = &c->submit;
    if (c->now < submit->next_deadline) {
        return;
    }
    uint64_t end = submit->next;
    submit->next_deadline = TIME_NEVER;
    for (uint64_t n = submit->oldest; n < end; n++) {
        time_ms_t deadline = submit->operations[n % OPERATIONS_MAX].deadline;
        if (deadline < 0) {
            continue;
        }
        if (deadline > c->now) {
            submit->next_deadline =
                deadline < submit->next_deadline ? deadline : submit->next_deadline;
            continue;
        }
        const struct operation op = take_owner(
            submit, n, MUTANT(client_expired_is_answered) ? OPERATION_DONE : OPERATION_EXPIRED);
        if (n == submit->oldest && MUTANT(client_expired_is_answered)) {
            advance_oldest(c);
        }
        int code = unavailable(c, "no answer in time, the operation may still happen");
        tell(c, n, &op, code, 0, SLICE_EMPTY, out);
    }
}

/* First the believed leader again, because a lost frame is likelier than a silent change. */
static void retry(struct client *c)
{
    struct submit *submit = &c->submit;
    submit->progress_at = c->now;
    submit->retry_ms = submit->retry_ms * 2 < RETRY_MS_MAX ? submit->retry_ms * 2 : RETRY_MS_MAX;
    submit->retry_count++;
    if (submit->retry_count > 1) {
        target_rotate(c);
        target_doubt(c);
    }
    if (!MUTANT(client_retries_nothing)) {
        submit_rewind(c);
    }
}

static int waits_for_answer(const struct client *c)
{
    return submit_is_in_flight(c) || c->session.state == SESSION_OPENING;
}

void submit_work(struct client *c, struct effects *out)
{
    struct submit *submit = &c->submit;
    expire(c, out);
    if (waits_for_answer(c) && c->now - submit->progress_at >= (time_ms_t)submit->retry_ms) {
        retry(c);
    }
    submit_flush(c, out);
    effects_wake(out, submit->next_deadline);
    if (waits_for_answer(c)) {
        effects_wake(out, submit->progress_at + submit->retry_ms);
    }
    if ((submit->cursor != NULL || c->session.is_open_due) && c->target.paused_until > c->now) {
        effects_wake(out, c->target.paused_until);
    }
    if (c->is_closing && (submit->is_closed || !contacts_learner(c)->is_up)) {
        out->finished = 1;
    }
}
