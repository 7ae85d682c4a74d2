#include "tests/sim/registers.h"

#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/protocol/kv.h"
#include "common/protocol/limits.h"
#include "common/protocol/value.h"
#include "tests/check/register_object.h"

#include <stdlib.h>
#include <string.h>

/* In use at a time. One that had so many operations is left alone, and a new one begun; so is one
 * with so many writes without an answer, when no answer came for a while. All that bounds the
 * search. */
#define REGISTERS 3
#define OPERATIONS_MAX 150
#define OPEN_MAX 8
#define PATIENCE_US SECOND

/* Names begin with PREFIX and have a number. It is low, so that few ranges of other requests, which
 * often have no end, reach it. */
#define PREFIX_BYTES 2
#define NAME_BYTES (PREFIX_BYTES + 4)
static const uint8_t prefix[PREFIX_BYTES] = {0, 0};

/* The last command of a session. */
struct last {
    uint64_t session; /* 0: none */
    size_t operation;
};

struct one {
    uint8_t name[NAME_BYTES];
    struct register_operation *operations;
    size_t count, capacity;
    struct last last[NODES_MAX];
    size_t open_count;          /* writes without an answer */
    time_us_t answered_at;      /* the last one */
    struct register_value seen; /* what was told of it last */
};

/* Which register an id belongs to, and where. */
struct location {
    size_t one, operation;
};

struct registers {
    struct one *ones;
    size_t count, capacity;
    size_t used[REGISTERS];
    size_t scanned;          /* so many were asked for in the end */
    struct location *places; /* by id; [0] is not used */
    uint64_t id_count;
    size_t place_capacity;
    uint64_t moment;
};

static size_t add_one(struct registers *registers, time_us_t now)
{
    size_t number = registers->count++;
    registers->ones = memory_grow(registers->ones, &registers->capacity, registers->count,
                                  sizeof *registers->ones);
    struct one *one = &registers->ones[number];
    *one = (struct one){.answered_at = now};
    memcpy(one->name, prefix, PREFIX_BYTES);
    bytes_put_u32(one->name + PREFIX_BYTES, (uint32_t)number);
    return number;
}

struct registers *registers_new(void)
{
    struct registers *registers = memory_calloc(1, sizeof *registers);
    registers->id_count = 1;
    for (size_t i = 0; i < REGISTERS; i++) {
        registers->used[i] = add_one(registers, 0);
    }
    return registers;
}

void registers_free(struct registers *registers)
{
    for (size_t i = 0; i < registers->count; i++) {
        free(registers->ones[i].operations);
    }
    free(registers->ones);
    free(registers->places);
    free(registers);
}

/* ---- what others do */

#define PARTS_MAX (3 * (TXN_DEPTH_MAX + 1))

int registers_are_endangered(struct slice request)
{
    struct slice rest[PARTS_MAX] = {request};
    size_t depth = 1;
    struct kv_request part;
    while (depth > 0) {
        if (kv_next_request(&rest[depth - 1], &part) != 1) {
            depth--;
        } else if (part.op == KV_TXN) {
            CHECK(depth + 2 <= PARTS_MAX);
            rest[depth++] = part.txn.then_;
            rest[depth++] = part.txn.else_;
        } else if (part.op == KV_DELETE && kv_in_range(slice_borrow(prefix, PREFIX_BYTES),
                                                       part.delete_.key, part.delete_.end)) {
            return 1;
        }
    }
    return 0;
}

/* ---- operations */

static struct one *draw_one(struct sim *sim)
{
    struct registers *registers = sim->registers;
    size_t *used = &registers->used[rng_below(&sim->work, REGISTERS)];
    struct one *one = &registers->ones[*used];
    int is_stuck = one->open_count >= OPEN_MAX && sim->now - one->answered_at > 2 * SECOND;
    if (one->count >= OPERATIONS_MAX || is_stuck) {
        *used = add_one(registers, sim->now);
        one = &registers->ones[*used];
    }
    return one;
}

static struct register_operation *begin(struct registers *registers, struct one *one,
                                        enum register_kind kind, size_t node)
{
    one->operations =
        memory_grow(one->operations, &one->capacity, one->count + 1, sizeof *one->operations);
    registers->places = memory_grow(registers->places, &registers->place_capacity,
                                    (size_t)registers->id_count + 1, sizeof *registers->places);
    registers->places[registers->id_count] =
        (struct location){(size_t)(one - registers->ones), one->count};
    struct register_operation *op = &one->operations[one->count++];
    *op = (struct register_operation){.kind = kind,
                                      .client = (uint32_t)node,
                                      .id = registers->id_count++,
                                      .begun = ++registers->moment,
                                      .ended = MOMENT_NEVER,
                                      .before = OPERATION_NONE};
    return op;
}

static struct register_operation *find(struct registers *registers, uint64_t id, struct one **one)
{
    const struct location *place = &registers->places[id];
    *one = &registers->ones[place->one];
    return &(*one)->operations[place->operation];
}

static void end(struct registers *registers, struct one *one, struct register_operation *op,
                uint64_t revision)
{
    op->ended = ++registers->moment;
    op->revision = revision;
    if (op->has_found && !op->is_done) {
        one->seen = op->found;
    } else if (op->is_done) {
        one->seen = (struct register_value){0};
        if (op->kind != REGISTER_DELETE) {
            one->seen = (struct register_value){.id = op->id, .mod = revision};
        }
    }
}

/* ---- commands */

static struct slice name_of(const struct one *one)
{
    return slice_borrow(one->name, NAME_BYTES);
}

static void add_range(struct buffer *out, const struct one *one)
{
    struct kv_request request = {.op = KV_RANGE};
    request.range.key = name_of(one);
    kv_put_request(out, &request);
}

/* Its answer may say what was there before. */
static void add_put(struct sim *sim, struct buffer *out, const struct one *one,
                    struct register_operation *op)
{
    uint8_t value[8];
    struct kv_request request = {.op = KV_PUT};
    bytes_put_u64(value, op->id);
    op->has_found = chance(&sim->work, 500);
    request.put = (struct kv_put){.flags = op->has_found ? KV_PREVIOUS : 0,
                                  .key = name_of(one),
                                  .value = slice_borrow(value, sizeof value)};
    kv_put_request(out, &request);
}

static void add_delete(struct buffer *out, const struct one *one, uint32_t flags)
{
    struct kv_request request = {.op = KV_DELETE};
    request.delete_ = (struct kv_delete){.flags = flags, .key = name_of(one)};
    kv_put_request(out, &request);
}

/* A write is done once and names its revision, so that the two say the same. */
static void add_compare(struct sim *sim, struct buffer *out, const struct one *one,
                        const struct register_value *expected)
{
    uint8_t value[8];
    struct kv_compare compare = {
        .target = KV_TARGET_MOD, .number = expected->mod, .key = name_of(one)};
    bytes_put_u64(value, expected->id);
    if (expected->id != 0 && chance(&sim->work, 500)) {
        compare.target = KV_TARGET_VALUE;
        compare.number = 0;
        compare.value = slice_borrow(value, sizeof value);
    }
    kv_put_compare(out, &compare);
}

static void add_txn(struct buffer *out, struct buffer *compares, struct buffer *then,
                    struct buffer *other)
{
    struct kv_request txn = {.op = KV_TXN};
    txn.txn = (struct kv_txn){.compares = buffer_slice(compares),
                              .then_ = buffer_slice(then),
                              .else_ = buffer_slice(other)};
    kv_put_request(out, &txn);
    buffer_close(compares);
    buffer_close(then);
    buffer_close(other);
}

/* A read that the log orders, or that a learner answers. */
static void add_get(struct buffer *out, const struct one *one, int is_txn)
{
    struct buffer compares = {0};
    struct buffer then = {0};
    struct buffer other = {0};
    if (!is_txn) {
        add_range(out, one);
        return;
    }
    add_range(&then, one);
    add_txn(out, &compares, &then, &other);
}

static void add_compare_and_set(struct sim *sim, struct buffer *out, const struct one *one,
                                struct register_operation *op)
{
    struct buffer compares = {0};
    struct buffer then = {0};
    struct buffer other = {0};
    const struct register_value nothing = {0};
    const struct register_value *expected = chance(&sim->work, 150) ? &nothing : &one->seen;
    op->expected = expected->id;
    add_compare(sim, &compares, one, expected);
    add_put(sim, &then, one, op);
    add_range(&other, one);
    add_txn(out, &compares, &then, &other);
}

static void add_request(struct sim *sim, struct buffer *out, const struct one *one,
                        struct register_operation *op)
{
    switch (op->kind) {
    case REGISTER_PUT:
        add_put(sim, out, one, op);
        break;
    case REGISTER_DELETE:
        add_delete(out, one, chance(&sim->work, 500) ? KV_PREVIOUS : 0);
        break;
    case REGISTER_COMPARE_AND_SET:
        add_compare_and_set(sim, out, one, op);
        break;
    case REGISTER_GET:
        add_get(out, one, 1);
        break;
    }
}

static enum register_kind draw_kind(struct sim *sim)
{
    static const enum register_kind kinds[] = {
        REGISTER_PUT,    REGISTER_PUT,
        REGISTER_PUT,    REGISTER_COMPARE_AND_SET,
        REGISTER_DELETE, REGISTER_COMPARE_AND_SET,
        REGISTER_GET,    REGISTER_COMPARE_AND_SET,
    };
    return kinds[rng_below(&sim->work, sizeof kinds / sizeof kinds[0])];
}

uint64_t registers_command(struct sim *sim, size_t node, struct buffer *out)
{
    struct one *one = draw_one(sim);
    enum register_kind kind = draw_kind(sim);
    if (one->open_count >= OPEN_MAX) {
        return 0;
    }
    struct register_operation *op = begin(sim->registers, one, kind, node);
    one->open_count += kind != REGISTER_GET;
    struct buffer request = {0};
    add_request(sim, &request, one, op);
    command_put_head(buffer_extend(out, COMMAND_HEAD_BYTES), COMMAND_KV, (uint32_t)request.size);
    buffer_put(out, buffer_slice(&request));
    buffer_close(&request);
    return op->id;
}

void registers_on_sent(struct sim *sim, size_t node, uint64_t id, uint64_t session)
{
    struct one *one;
    struct register_operation *op = find(sim->registers, id, &one);
    struct last *last = &one->last[node];
    op->before = last->session == session ? last->operation : OPERATION_NONE;
    *last = (struct last){session, (size_t)(op - one->operations)};
}

/* ---- answers */

static int take_kv(struct slice items, uint32_t count, struct register_value *out)
{
    struct kv kv;
    *out = (struct register_value){0};
    if (count == 0) {
        return 1;
    }
    if (count > 1 || kv_next(&items, &kv) != 1 || kv.value.size != 8) {
        return 0;
    }
    *out = (struct register_value){
        .id = bytes_get_u64(kv.value.data), .mod = kv.mod, .version = kv.version};
    return 1;
}

/* What the answer says of the register. 0 if it is no answer to the operation. */
static int take_response(struct register_operation *op, struct slice body)
{
    struct kv_response response;
    if (kv_next_response(&body, &response) != 1) {
        return 0;
    }
    if (response.op == KV_TXN) {
        op->is_done = op->kind == REGISTER_COMPARE_AND_SET && response.succeeded;
        body = response.items;
        if (kv_next_response(&body, &response) != 1) {
            return 0;
        }
    }
    switch (response.op) {
    case KV_PUT:
        op->is_done = 1;
        break;
    case KV_DELETE:
        op->is_done = response.count > 0;
        op->has_found = response.item_count > 0 || response.count == 0;
        break;
    default:
        op->has_found = 1;
        break;
    }
    return !op->has_found || take_kv(response.items, response.item_count, &op->found);
}

void registers_on_result(struct sim *sim, uint64_t id, const struct result_range *range)
{
    struct one *one;
    struct register_operation *op = find(sim->registers, id, &one);
    if (op->ended != MOMENT_NEVER) {
        return;
    }
    sim->outcome->key_commands++;
    if (range->status != RESULT_OK || !take_response(op, range->body)) {
        sim_violate(sim, "wing-gong", "operation %llu on a register is answered with status %u",
                    (unsigned long long)id, range->status);
        return;
    }
    if (op->kind != REGISTER_GET) {
        one->open_count--;
        one->answered_at = sim->now;
    }
    end(sim->registers, one, op, range->value);
}

/* ---- reads from a learner */

static void ask(struct sim *sim, size_t node, struct client *core, struct one *one,
                struct register_client *client)
{
    struct buffer body = {0};
    client->until = sim->now + PATIENCE_US;
    client->id = begin(sim->registers, one, REGISTER_GET, node)->id;
    add_get(&body, one, chance(&sim->work, 300));
    const struct client_query query = {.op = QUERY_KV,
                                       .body = buffer_slice(&body),
                                       .consistency = READ_LINEARIZABLE,
                                       .deadline = TIME_NEVER};
    client->query = client_query(core, &query);
    buffer_close(&body);
}

void registers_ask(struct sim *sim, size_t node, struct client *core,
                   struct register_client *client)
{
    if (client->query == 0) {
        ask(sim, node, core, draw_one(sim), client);
    }
}

void registers_scan(struct sim *sim, size_t node, struct client *core,
                    struct register_client *client)
{
    struct registers *registers = sim->registers;
    if (client->query == 0 && registers->id_count > 1 && registers->scanned < registers->count) {
        ask(sim, node, core, &registers->ones[registers->scanned++], client);
    }
}

int registers_on_completion(struct sim *sim, struct register_client *client,
                            const struct completion *completion)
{
    if (client->query == 0 || completion->id != client->query) {
        return 0;
    }
    client->query = 0;
    struct one *one;
    struct register_operation *op = find(sim->registers, client->id, &one);
    if (completion->code != 0 || !take_response(op, completion->body)) {
        sim_violate(sim, "wing-gong", "a read of a register is answered with code %d",
                    completion->code);
        return 1;
    }
    sim->outcome->queries++;
    end(sim->registers, one, op, completion->value);
    return 1;
}

void registers_give_up(const struct sim *sim, struct client *core, struct register_client *client)
{
    if (client->query != 0 && sim->now >= client->until && !sim->is_healed) {
        client_cancel(core, client->query);
        client->query = 0;
    }
}

/* ---- the end */

void registers_at_end(struct sim *sim)
{
    const struct registers *registers = sim->registers;
    for (size_t i = 0; i < registers->count; i++) {
        const struct one *one = &registers->ones[i];
        struct wing_gong_report report;
        struct errmsg err;
        if (register_object_judge(one->operations, one->count, REGISTER_STEPS_MAX, &report, &err) !=
            0) {
            sim_violate(sim, "wing-gong", "register %zu: %s", i, err.text);
        }
        sim->outcome->register_operations += one->count;
        if (report.steps > sim->outcome->register_steps) {
            sim->outcome->register_steps = report.steps;
        }
    }
}
