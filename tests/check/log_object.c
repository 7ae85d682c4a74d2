#include "tests/check/log_object.h"

#include "common/base/memory.h"
#include "tests/check/names.h"

#include <inttypes.h>
#include <stdlib.h>

#define TEXT_MAX 112

/* What the answers say where is. A record never moves, so these facts hold at all times; each
 * operation can be checked against them at once, and what is left for the search is the order. */
struct facts {
    const struct history *history;
    size_t *append_at;            /* [index]: the append whose record is there, or OPERATION_NONE */
    uint64_t *index_of;           /* [operation]: where an append is, 0: nobody says */
    struct operation_name *names; /* of all appends, by id */
    size_t name_count;
    struct errmsg *err;
};

static int violate(const struct facts *facts, size_t operation, const char *what, uint64_t number)
{
    char text[TEXT_MAX];
    return errmsg_set(facts->err, ERROR_CORRUPT, "%s: %s %" PRIu64,
                      history_describe(facts->history, operation, text, sizeof text), what, number);
}

/* The operation `witness` says that the append is at the index. */
static int learn(struct facts *facts, size_t witness, size_t append, uint64_t index)
{
    if (facts->history->operations[append].begun > facts->history->operations[witness].ended) {
        return violate(facts, witness, "shows what was not yet begun, at index", index);
    }
    if (facts->append_at[index] != OPERATION_NONE && facts->append_at[index] != append) {
        return violate(facts, witness, "contradicts another operation about index", index);
    }
    if (facts->index_of[append] != 0 && facts->index_of[append] != index) {
        return violate(facts, witness, "is of a record that is elsewhere, too, at index",
                       facts->index_of[append]);
    }
    facts->append_at[index] = append;
    facts->index_of[append] = index;
    return 0;
}

static int learn_from_read(struct facts *facts, size_t position)
{
    const struct history *h = facts->history;
    const struct history_operation *read = &h->operations[position];
    int is_empty = read->count == 0;
    if (read->from == 0 || (is_empty && read->from <= read->last) ||
        (!is_empty && (read->from > read->last || read->count > read->last - read->from + 1))) {
        return violate(facts, position, "shows more or less than there is, up to index",
                       read->last);
    }
    if (read->last > facts->name_count) {
        return violate(facts, position, "saw more than all appends, which are", facts->name_count);
    }
    for (size_t k = 0; k < read->count; k++) {
        uint64_t id = h->ids[read->ids + k];
        const struct operation_name *found = names_find(facts->names, facts->name_count, id);
        if (found == NULL) {
            return violate(facts, position, "shows what nobody appended, record", id);
        }
        int rc = learn(facts, position, found->operation, read->from + k);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int learn_all(struct facts *facts)
{
    const struct history *h = facts->history;
    int rc = 0;
    for (size_t i = 0; i < h->count && rc == 0; i++) {
        const struct history_operation *op = &h->operations[i];
        if (op->ended == MOMENT_NEVER) {
            continue;
        }
        if (op->kind != OPERATION_APPEND) {
            rc = learn_from_read(facts, i);
        } else if (op->index == 0 || op->index > facts->name_count) {
            rc = violate(facts, i, "is beyond all appends, which are", facts->name_count);
        } else {
            rc = learn(facts, i, i, op->index);
        }
    }
    return rc;
}

/* ---- the object: of its records only the count matters, the facts take care of the rest */

struct log_object {
    const struct facts *facts;
    const size_t *position; /* in the history, of each operation of the search */
    uint64_t length;
};

static int step(void *state, size_t operation)
{
    struct log_object *log = state;
    const struct facts *facts = log->facts;
    size_t position = log->position[operation];
    if (facts->history->operations[position].kind == OPERATION_READ) {
        return facts->history->operations[position].last == log->length;
    }
    uint64_t index = facts->index_of[position];
    size_t append_there = facts->append_at[log->length + 1];
    if (index != 0 ? index != log->length + 1 : append_there != OPERATION_NONE) {
        return 0;
    }
    log->length++;
    return 1;
}

static void undo(void *state, size_t operation)
{
    (void)operation;
    ((struct log_object *)state)->length--;
}

static uint64_t hash(const void *state)
{
    return ((const struct log_object *)state)->length;
}

/* The appends and the linearizable reads that ended: the others may have seen anything. */
static int search(const struct facts *facts, uint64_t steps_max, struct wing_gong_report *report)
{
    const struct history *h = facts->history;
    struct wing_gong_operation *operations = memory_alloc(h->count * sizeof *operations);
    size_t *position = memory_alloc(h->count * sizeof *position);
    size_t *number = memory_alloc(h->count * sizeof *number); /* the reverse */
    size_t count = 0;
    for (size_t i = 0; i < h->count; i++) {
        const struct history_operation *op = &h->operations[i];
        int is_read = op->kind != OPERATION_APPEND;
        if (is_read && (op->kind == OPERATION_LOCAL_READ || op->ended == MOMENT_NEVER)) {
            continue;
        }
        number[i] = count;
        position[count] = i;
        operations[count++] = (struct wing_gong_operation){
            .begun = op->begun,
            .ended = op->ended,
            .after = op->before == OPERATION_NONE ? OPERATION_NONE : number[op->before],
            .is_pure = is_read,
            .is_needed = facts->index_of[i] != 0,
        };
    }
    struct log_object log = {.facts = facts, .position = position};
    const struct wing_gong_object object = {
        .state = &log, .step = step, .undo = undo, .hash = hash};
    int rc = wing_gong_search(operations, count, &object, steps_max, report);
    if (rc == ERROR_BUSY) {
        errmsg_set(facts->err, rc, "ran out of budget after %" PRIu64 " steps", report->steps);
    } else if (rc != 0) {
        (void)violate(facts, position[report->stuck],
                      "no order of operations explains its end; steps tried:", report->steps);
    }
    if (report->stuck != OPERATION_NONE) {
        report->stuck = position[report->stuck];
    }
    free(operations);
    free(position);
    free(number);
    return rc;
}

int log_object_judge(const struct history *history, uint64_t steps_max,
                     struct wing_gong_report *report, struct errmsg *err)
{
    struct wing_gong_report ignored;
    report = report != NULL ? report : &ignored;
    *report = (struct wing_gong_report){.stuck = OPERATION_NONE};
    if (history->broken[0] != '\0') {
        return errmsg_set(err, ERROR_CORRUPT, "%s", history->broken);
    }
    struct facts facts = {
        .history = history,
        .index_of = memory_calloc(history->count, sizeof *facts.index_of),
        .names = memory_alloc(history->count * sizeof *facts.names),
        .err = err,
    };
    for (size_t i = 0; i < history->count; i++) {
        if (history->operations[i].kind == OPERATION_APPEND) {
            facts.names[facts.name_count++] = (struct operation_name){history->operations[i].id, i};
        }
    }
    names_sort(facts.names, facts.name_count);
    /* one more than all appends, for a step that asks what comes next */
    facts.append_at = memory_alloc((facts.name_count + 2) * sizeof *facts.append_at);
    for (size_t i = 0; i < facts.name_count + 2; i++) {
        facts.append_at[i] = OPERATION_NONE;
    }
    int rc = learn_all(&facts);
    if (rc == 0) {
        rc = search(&facts, steps_max, report);
    }
    free(facts.append_at);
    free(facts.index_of);
    free(facts.names);
    return rc;
}
