#include "tests/sim/mirror.h"

#include "common/base/bytes.h"
#include "common/base/memory.h"
#include "common/protocol/value.h"
#include "tests/check/model.h"
#include "tests/model/reference_oracle.h"

#include <stdlib.h>

/* The learner's disk format (learner/machine/log.c): 'l' + last index -> count, commands. */
#define CHUNK_KEY_BYTES 9

struct mirror {
    struct model *model;
    slot_t applied[NODES_MAX]; /* of each learner after its last turn, by node */
};

struct mirror *mirror_new(void)
{
    struct mirror *mirror = memory_calloc(1, sizeof *mirror);
    mirror->model = model_new();
    return mirror;
}

void mirror_free(struct mirror *mirror)
{
    model_free(mirror->model);
    free(mirror);
}

void mirror_on_chosen(struct sim *sim, slot_t slot, struct slice value)
{
    if (model_apply(sim->mirror->model, value) != 0) {
        sim_violate(sim, "validity", "the chosen value of slot %llu is malformed",
                    (unsigned long long)slot);
    }
}

uint64_t mirror_last_index(const struct mirror *mirror)
{
    return model_last_index(mirror->model, model_slot(mirror->model));
}

struct slice mirror_record(const struct mirror *mirror, uint64_t index)
{
    return model_record(mirror->model, index);
}

struct reference *mirror_reference(const struct mirror *mirror)
{
    return model_reference(mirror->model);
}

/* ---- records */

void mirror_on_writes(struct sim *sim, const struct node *node, const struct effects *fx)
{
    for (size_t i = 0; i < fx->record_count; i++) {
        const struct record *record = &fx->records[i];
        if (record->key_size != CHUNK_KEY_BYTES || record->key[0] != 'l') {
            continue;
        }
        uint64_t index = bytes_get_u64(record->key + 1) - bytes_get_u32(record->head);
        struct slice rest = record->body;
        struct command command;
        while (block_next_command(&rest, &command)) {
            index++;
            if (index > mirror_last_index(sim->mirror) ||
                !slice_equal(mirror_record(sim->mirror, index), command.payload)) {
                sim_violate(sim, "log", "%s stores at index %llu what is not agreed to be there",
                            node->name, (unsigned long long)index);
                return;
            }
        }
    }
}

void mirror_on_turn(struct sim *sim, const struct node *node)
{
    struct mirror *mirror = sim->mirror;
    slot_t applied = learner_applied(node->learner);
    mirror->applied[sim_index(sim, node)] = applied;
    if (applied > model_slot(mirror->model)) {
        return; /* the checker says so */
    }
    uint64_t expected = model_last_index(mirror->model, applied);
    if (learner_last_index(node->learner) != expected) {
        sim_violate(sim, "model", "%s has %llu records after slot %llu, and should have %llu",
                    node->name, (unsigned long long)learner_last_index(node->learner),
                    (unsigned long long)applied, (unsigned long long)expected);
    }
}

/* ---- results */

/* The answers that a learner may give in this turn. */
struct expected {
    const struct model_answer *next, *end;
    uint64_t client, session;
};

/* Finds an answer behind those that were found before: results of one session are told in order. */
static int find_answer(struct expected *expected, const struct result_range *range,
                       uint64_t sequence, uint64_t value)
{
    for (; expected->next < expected->end; expected->next++) {
        const struct model_answer *answer = expected->next;
        if (answer->client != expected->client || answer->session != expected->session ||
            answer->sequence != sequence || answer->is_single != (range->count == 0)) {
            continue;
        }
        if (answer->is_unknown || (answer->status == range->status && answer->value == value &&
                                   slice_equal(answer->body, range->body))) {
            expected->next++;
            return 1;
        }
    }
    return 0;
}

/* Says what was told, and what the model would tell of the same command. */
static void violate_result(struct sim *sim, const struct node *from,
                           const struct msg_result *result, const struct result_range *range,
                           uint64_t sequence, slot_t before)
{
    const struct model *model = sim->mirror->model;
    size_t count;
    const struct model_answer *answers = model_answers(model, before + 1, result->applied, &count);
    const struct model_answer none = {0};
    const struct model_answer *expected = &none;
    for (size_t i = 0; i < count; i++) {
        if (answers[i].session == result->session && answers[i].sequence == sequence) {
            expected = &answers[i];
        }
    }
    sim_violate(sim, "model",
                "%s tells of session %llu sequence %llu status %u value %llu and %zu bytes; slots "
                "%llu to %llu say status %u value %llu and %zu bytes in slot %llu",
                from->name, (unsigned long long)result->session, (unsigned long long)sequence,
                range->status, (unsigned long long)range->value, range->body.size,
                (unsigned long long)before + 1, (unsigned long long)result->applied,
                expected->status, (unsigned long long)expected->value, expected->body.size,
                (unsigned long long)expected->slot);
}

static void check_results(struct sim *sim, const struct node *from, const struct node *to,
                          const struct msg_result *result)
{
    const struct mirror *mirror = sim->mirror;
    slot_t before = mirror->applied[sim_index(sim, from)];
    if (result->applied > model_slot(mirror->model) || result->applied < before) {
        sim_violate(sim, "model", "%s tells results up to slot %llu, of %llu chosen ones",
                    from->name, (unsigned long long)result->applied,
                    (unsigned long long)model_slot(mirror->model));
        return;
    }
    if (result->applied > learner_applied(from->learner)) {
        sim_violate(sim, "model", "%s tells results of slot %llu, and has applied %llu", from->name,
                    (unsigned long long)result->applied,
                    (unsigned long long)learner_applied(from->learner));
        return;
    }
    size_t count;
    const struct model_answer *answers =
        model_answers(mirror->model, before + 1, result->applied, &count);
    struct expected expected = {answers, answers + count, to->self.id, result->session};
    for (uint32_t i = 0; i < result->range_count; i++) {
        const struct result_range *range = &result->ranges[i];
        uint32_t commands = range->count > 0 ? range->count : 1;
        for (uint32_t k = 0; k < commands; k++) {
            uint64_t value = range->status == RESULT_OK ? range->value + k : range->value;
            if (!find_answer(&expected, range, range->sequence + k, value)) {
                violate_result(sim, from, result, range, range->sequence + k, before);
                return;
            }
        }
    }
}

/* Nobody trims in these runs: the log begins at 1 and ends where the applied slot says. */
static void check_extent(struct sim *sim, const struct node *from,
                         const struct msg_records *records)
{
    const struct model *model = sim->mirror->model;
    if (records->applied > model_slot(model) ||
        records->last != model_last_index(model, records->applied) || records->first != 1 ||
        records->status == READ_TRIMMED) {
        sim_violate(sim, "model", "%s says its log reaches from %llu to %llu after slot %llu",
                    from->name, (unsigned long long)records->first,
                    (unsigned long long)records->last, (unsigned long long)records->applied);
    }
}

/* A learner tells of oracles what the log says after the slot that it names. */
static void check_settings(struct sim *sim, const struct node *from, const struct msg_settings *msg)
{
    const struct mirror *mirror = sim->mirror;
    const struct model *model = mirror->model;
    if (msg->applied > model_slot(model)) {
        return; /* the checker says so */
    }
    const struct reference_oracle *wanted = model_oracle(model, msg->applied);
    int is_same = msg->version == wanted->version && slice_equal(msg->settings, wanted->settings) &&
                  msg->line_count == wanted->line_count;
    for (size_t i = 0; is_same && i < wanted->line_count; i++) {
        const struct place *a = &msg->line[i];
        const struct place *b = &wanted->line[i];
        is_same = a->proposer == b->proposer && a->incarnation == b->incarnation &&
                  a->since == b->since && a->expires_ms == b->expires_ms;
    }
    if (!is_same) {
        sim_violate(
            sim, "model",
            "%s tells version %llu and a line of %u after slot %llu, not version %llu and a "
            "line of %zu",
            from->name, (unsigned long long)msg->version, msg->line_count,
            (unsigned long long)msg->applied, (unsigned long long)wanted->version,
            wanted->line_count);
    }
}

void mirror_on_send(struct sim *sim, const struct node *from, const struct node *to,
                    const struct message *msg)
{
    if (msg->kind == MSG_RESULT) {
        check_results(sim, from, to, &msg->result);
    } else if (msg->kind == MSG_RECORDS) {
        check_extent(sim, from, &msg->records);
    } else if (msg->kind == MSG_SETTINGS) {
        check_settings(sim, from, &msg->settings);
    }
}
