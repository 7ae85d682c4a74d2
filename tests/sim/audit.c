#include "tests/sim/audit.h"

#include "common/base/bytes.h"
#include "common/base/memory.h"
#include "common/protocol/value.h"
#include "tests/check/history.h"
#include "tests/check/log_object.h"
#include "tests/check/replay.h"
#include "tests/sim/mirror.h"
#include "tests/sim/oracles.h"

#include <stdlib.h>
#include <string.h>

struct operation {
    uint64_t nonce;
    uint64_t floor; /* when it began: its index is above */
    uint64_t index; /* in the agreed log; 0: not yet */
    uint64_t told;  /* as its client was told; 0: not yet */
    uint32_t size;
    size_t operation; /* in the history; OPERATION_NONE before it is sent */
};

struct audit {
    struct sim *sim;
    struct operation *operations; /* by number; [0] is not used */
    size_t count, capacity;
    uint64_t *log; /* numbers of operations by index, as far as it is chosen */
    size_t log_count, log_capacity;
    uint64_t floor;
    struct history history; /* for the judges at the end */
};

static void on_proposed(void *self, slot_t slot, const struct ballot *ballot, struct slice bytes);
static void on_chosen(void *self, slot_t slot, const struct ballot *ballot, struct slice bytes);

struct audit *audit_new(struct sim *sim)
{
    struct audit *audit = memory_calloc(1, sizeof *audit);
    audit->sim = sim;
    audit->count = 1;
    history_init(&audit->history);
    audit->operations = memory_grow(NULL, &audit->capacity, 1024, sizeof *audit->operations);
    audit->operations[0] = (struct operation){0};
    sim->cluster->checker.listener =
        (struct checker_listener){.self = sim, .proposed = on_proposed, .chosen = on_chosen};
    return audit;
}

void audit_free(struct audit *audit)
{
    free(audit->operations);
    free(audit->log);
    history_close(&audit->history);
    free(audit);
}

uint64_t audit_begin(struct audit *audit, const struct audit_submit *submit)
{
    audit->operations = memory_grow(audit->operations, &audit->capacity, audit->count + 1,
                                    sizeof *audit->operations);
    audit->operations[audit->count] = (struct operation){
        .nonce = submit->nonce, .size = (uint32_t)submit->size, .operation = OPERATION_NONE};
    return audit->count++;
}

void audit_sent(struct audit *audit, uint64_t number, size_t client, uint64_t session)
{
    struct operation *operation = &audit->operations[number];
    operation->floor = audit->floor;
    operation->operation =
        history_append(&audit->history, (uint32_t)client, session, number, audit->sim->now);
}

uint64_t audit_next(const struct audit *audit)
{
    return audit->count;
}

void audit_fill(uint8_t *record, uint64_t number, size_t size)
{
    bytes_put_u64(record, number);
    memset(record + RECORD_NUMBER_BYTES, (int)(number % 251), size - RECORD_NUMBER_BYTES);
}

uint64_t audit_floor(const struct audit *audit)
{
    return audit->floor;
}

/* The operation whose record that is, or NULL: nobody submitted it. */
static struct operation *operation_of(struct audit *audit, struct slice record)
{
    if (record.size < RECORD_NUMBER_BYTES) {
        return NULL;
    }
    uint64_t number = bytes_get_u64(record.data);
    if (number == 0 || number >= audit->count || audit->operations[number].size != record.size) {
        return NULL;
    }
    for (size_t i = RECORD_NUMBER_BYTES; i < record.size; i++) {
        if (record.data[i] != number % 251) {
            return NULL;
        }
    }
    return &audit->operations[number];
}

/* Where it is, and what was told of it, agree with each other and with real time. */
static void check_operation(struct audit *audit, const struct operation *operation)
{
    uint64_t number = (uint64_t)(operation - audit->operations);
    uint64_t index = operation->index != 0 ? operation->index : operation->told;
    if (operation->told != 0 && operation->told != index) {
        sim_violate(audit->sim, "exactly-once",
                    "operation %llu was acknowledged with index %llu and is at %llu",
                    (unsigned long long)number, (unsigned long long)operation->told,
                    (unsigned long long)index);
    }
    if (index <= operation->floor) {
        sim_violate(audit->sim, "real-time",
                    "operation %llu has index %llu, but %llu was known before it began",
                    (unsigned long long)number, (unsigned long long)index,
                    (unsigned long long)operation->floor);
    }
}

void audit_acknowledge(struct audit *audit, uint64_t number, uint64_t index)
{
    struct operation *operation = &audit->operations[number];
    if (operation->told != 0 && operation->told != index) {
        sim_violate(audit->sim, "retry", "operation %llu was told index %llu and then %llu",
                    (unsigned long long)number, (unsigned long long)operation->told,
                    (unsigned long long)index);
    }
    if (operation->told == 0) {
        audit->sim->outcome->appends++;
    }
    operation->told = index;
    history_acknowledged(&audit->history, operation->operation, index);
    if (index > audit->floor) {
        audit->floor = index;
    }
    if (index < audit->log_count && audit->log[index] != number) {
        sim_violate(audit->sim, "exactly-once",
                    "operation %llu was acknowledged with index %llu, where %llu is",
                    (unsigned long long)number, (unsigned long long)index,
                    (unsigned long long)audit->log[index]);
    }
    check_operation(audit, operation);
}

struct audit_question audit_ask(struct audit *audit, size_t client, uint64_t from, int is_local)
{
    return (struct audit_question){.operation = history_read(&audit->history, (uint32_t)client,
                                                             is_local, from, audit->sim->now),
                                   .floor = audit->floor,
                                   .is_local = is_local};
}

void audit_check(struct audit *audit, const struct node *client, uint64_t from,
                 const struct slice *records, size_t count, uint64_t *numbers)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t index = from + i;
        const struct operation *operation = operation_of(audit, records[i]);
        numbers[i] = operation != NULL ? (uint64_t)(operation - audit->operations) : 0;
        if (operation == NULL || index >= audit->log_count || audit->log[index] != numbers[i]) {
            sim_violate(audit->sim, "read", "%s reads at %llu what is not there", client->name,
                        (unsigned long long)index);
        }
    }
}

void audit_answer(struct audit *audit, const struct node *client,
                  const struct audit_question *question, const struct audit_answer *answer)
{
    static const uint64_t none[1];
    audit->sim->outcome->reads++;
    if (!question->is_local && answer->last < question->floor) {
        sim_violate(audit->sim, "real-time",
                    "%s reads a log up to %llu, but %llu was known before it asked", client->name,
                    (unsigned long long)answer->last, (unsigned long long)question->floor);
    }
    if (question->count > 0 && answer->count > question->count) {
        sim_violate(audit->sim, "read", "%s asked for %llu records and is told %zu", client->name,
                    (unsigned long long)question->count, answer->count);
    }
    history_answered(&audit->history, question->operation, answer->from,
                     answer->count > 0 ? answer->numbers : none, answer->count, answer->last);
    if (!question->is_local && answer->last > audit->floor) {
        audit->floor = answer->last;
    }
}

/* ---- values */

static void check_block(struct sim *sim, slot_t slot, const struct block *block)
{
    struct audit *audit = sim->audit;
    struct slice rest = block->commands;
    struct command command;
    while (block_next_command(&rest, &command)) {
        if (command.op != COMMAND_APPEND) {
            continue;
        }
        const struct operation *operation = operation_of(audit, command.payload);
        if (operation == NULL || operation->nonce != block->client) {
            sim_violate(sim, "validity", "slot %llu holds a command that nobody submitted",
                        (unsigned long long)slot);
        }
    }
}

static void on_proposed(void *self, slot_t slot, const struct ballot *ballot, struct slice bytes)
{
    struct sim *sim = self;
    struct value value;
    if (value_parse(bytes, &value) != 0) {
        sim_violate(sim, "validity", "the value proposed for slot %llu is malformed",
                    (unsigned long long)slot);
        return;
    }
    stamps_on_proposed(sim, slot, ballot, value.stamp_ms);
    struct block block;
    while (value.kind == VALUE_BATCH && value_next_block(&value.blocks, &block)) {
        check_block(sim, slot, &block);
    }
}

/* The record is agreed to be at that index. */
static void add_record(struct audit *audit, uint64_t index, struct slice record)
{
    struct operation *operation = operation_of(audit, record);
    uint64_t number = operation != NULL ? (uint64_t)(operation - audit->operations) : 0;
    audit->log =
        memory_grow(audit->log, &audit->log_capacity, (size_t)index + 1, sizeof *audit->log);
    audit->log[0] = 0;
    audit->log[index] = number;
    audit->log_count = (size_t)index + 1;
    if (operation == NULL) {
        return; /* on_proposed said so */
    }
    if (operation->index != 0) {
        sim_violate(audit->sim, "exactly-once", "operation %llu is at index %llu and at %llu",
                    (unsigned long long)number, (unsigned long long)operation->index,
                    (unsigned long long)index);
    }
    operation->index = index;
    check_operation(audit, operation);
}

static void on_chosen(void *self, slot_t slot, const struct ballot *ballot, struct slice bytes)
{
    struct sim *sim = self;
    liveness_on_chosen(sim, bytes);
    report_mix(sim, slot, bytes.size);
    stamps_on_chosen(sim, ballot, bytes);
    uint64_t before = mirror_last_index(sim->mirror);
    mirror_on_chosen(sim, slot, bytes);
    oracles_on_chosen(sim);
    for (uint64_t index = before + 1; index <= mirror_last_index(sim->mirror); index++) {
        add_record(sim->audit, index, mirror_record(sim->mirror, index));
    }
}

void audit_at_end(struct sim *sim)
{
    struct audit *audit = sim->audit;
    for (size_t number = 1; number < audit->count; number++) {
        const struct operation *operation = &audit->operations[number];
        if (operation->told != 0 && operation->index == 0) {
            sim_violate(sim, "lost",
                        "operation %zu was acknowledged with index %llu and is nowhere", number,
                        (unsigned long long)operation->told);
        }
    }
    struct errmsg err;
    size_t count = audit->log_count > 0 ? audit->log_count - 1 : 0;
    if (replay_judge(&audit->history, count > 0 ? audit->log + 1 : NULL, count, &err) != 0) {
        sim_violate(sim, "replay", "%s", err.text);
    }
    if (log_object_judge(&audit->history, LOG_OBJECT_STEPS_MAX, NULL, &err) != 0) {
        sim_violate(sim, "wing-gong", "%s", err.text);
    }
}

int audit_is_new(struct slice bytes, uint64_t first)
{
    struct value value;
    struct block block;
    struct command command;
    if (value_parse(bytes, &value) != 0 || value.kind != VALUE_BATCH) {
        return 0;
    }
    while (value_next_block(&value.blocks, &block)) {
        while (block_next_command(&block.commands, &command)) {
            if (command.op == COMMAND_APPEND && bytes_get_u64(command.payload.data) >= first) {
                return 1;
            }
        }
    }
    return 0;
}
