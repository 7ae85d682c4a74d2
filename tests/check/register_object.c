#include "tests/check/register_object.h"

#include "common/base/memory.h"
#include "tests/check/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_MAX 160

/* A key as the order so far leaves it. */
struct content {
    uint64_t id; /* 0: no key */
    uint64_t version;
    size_t writes; /* of those whose revisions are known */
};

/* What answers say of revisions. A write has one for ever, so these facts hold at all times: the
 * writes that have known ones follow each other by them, and what is left for the search is where
 * reads belong, and writes that nobody knows the end of. */
struct facts {
    const struct register_operation *operations;
    size_t count;
    uint64_t *revision_of;        /* [operation]: of a write, 0: nobody says */
    size_t *rank_of;              /* [operation]: known writes up to it, or up to what it read */
    uint8_t *is_followed;         /* [operation]: its session sent others after it */
    struct operation_name *names; /* all operations by id */
    struct operation_name *known; /* known writes by revision */
    size_t known_count;
    struct errmsg *err;
};

static const char *describe(const struct register_operation *op, char *text, size_t size)
{
    static const char *const names[] = {"put", "delete", "compare-and-set", "get"};
    char end[64] = "no end";
    if (op->ended != MOMENT_NEVER) {
        snprintf(end, sizeof end, "%s at revision %" PRIu64, op->is_done ? "done" : "told",
                 op->revision);
    }
    snprintf(text, size, "client %" PRIu32 " %s %" PRIu64 " (%s)", op->client, names[op->kind],
             op->id, end);
    return text;
}

static int violate(const struct facts *facts, size_t operation, const char *what, uint64_t number)
{
    char text[TEXT_MAX];
    return errmsg_set(facts->err, ERROR_CORRUPT, "%s: %s %" PRIu64,
                      describe(&facts->operations[operation], text, sizeof text), what, number);
}

static int has_ended(const struct register_operation *op)
{
    return op->ended != MOMENT_NEVER;
}

/* ---- facts */

/* Somebody says at which revision a write was done. */
static int learn_revision(struct facts *facts, size_t witness, size_t write, uint64_t revision)
{
    if (facts->revision_of[write] != 0 && facts->revision_of[write] != revision) {
        return violate(facts, witness, "shows a write that was done at another revision, too, at",
                       facts->revision_of[write]);
    }
    facts->revision_of[write] = revision;
    return 0;
}

static int learn_from_found(struct facts *facts, size_t witness)
{
    const struct register_value *found = &facts->operations[witness].found;
    const struct operation_name *name = names_find(facts->names, facts->count, found->id);
    if (name == NULL) {
        return violate(facts, witness, "shows what nobody wrote:", found->id);
    }
    const struct register_operation *write = &facts->operations[name->operation];
    int writes = write->kind == REGISTER_PUT || write->kind == REGISTER_COMPARE_AND_SET;
    if (!writes || (has_ended(write) && !write->is_done)) {
        return violate(facts, witness, "shows what was not written:", found->id);
    }
    return learn_revision(facts, witness, name->operation, found->mod);
}

static int learn_all(struct facts *facts)
{
    for (size_t i = 0; i < facts->count; i++) {
        const struct register_operation *op = &facts->operations[i];
        if (op->before != OPERATION_NONE) {
            facts->is_followed[op->before] = 1;
        }
        if (!has_ended(op)) {
            continue;
        }
        int rc = op->is_done ? learn_revision(facts, i, i, op->revision) : 0;
        if (rc == 0 && op->has_found && op->found.id != 0) {
            rc = learn_from_found(facts, i);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* How many known writes have that revision or a lower one. */
static size_t rank_at(const struct facts *facts, uint64_t revision)
{
    size_t low = 0;
    size_t high = facts->known_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (facts->known[middle].number <= revision) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int rank_all(struct facts *facts)
{
    for (size_t i = 0; i < facts->count; i++) {
        if (facts->revision_of[i] != 0) {
            facts->known[facts->known_count++] = (struct operation_name){facts->revision_of[i], i};
        }
    }
    names_sort(facts->known, facts->known_count);
    for (size_t k = 1; k < facts->known_count; k++) {
        if (facts->known[k].number == facts->known[k - 1].number) {
            return violate(facts, facts->known[k].operation,
                           "shares with another write the revision", facts->known[k].number);
        }
    }
    for (size_t i = 0; i < facts->count; i++) {
        uint64_t revision =
            facts->revision_of[i] != 0 ? facts->revision_of[i] : facts->operations[i].revision;
        facts->rank_of[i] = rank_at(facts, revision);
    }
    return 0;
}

/* ---- the object */

struct register_object {
    const struct facts *facts;
    const size_t *position; /* in the history, by position in the search */
    struct content content;
    struct content *former; /* before each step that was not pure */
    size_t depth;
};

static int is_pure(const struct register_operation *op)
{
    return has_ended(op) && !op->is_done;
}

static int is_as_found(const struct register_operation *op, const struct content *content)
{
    return !has_ended(op) || !op->has_found ||
           (op->found.id == content->id &&
            (op->found.id == 0 || op->found.version == content->version));
}

/* 1 if the operation changes this content. */
static int applies_to(const struct register_operation *op, const struct content *content)
{
    switch (op->kind) {
    case REGISTER_DELETE:
        return content->id != 0;
    case REGISTER_COMPARE_AND_SET:
        return op->expected == content->id;
    default:
        return op->kind == REGISTER_PUT;
    }
}

static int step(void *state, size_t operation)
{
    struct register_object *object = state;
    const struct facts *facts = object->facts;
    size_t position = object->position[operation];
    const struct register_operation *op = &facts->operations[position];
    struct content *content = &object->content;
    int is_known = facts->revision_of[position] != 0;
    int applies = applies_to(op, content);
    if (is_pure(op)) {
        return content->writes == facts->rank_of[position] && !applies && is_as_found(op, content);
    }
    /* What nobody knows the end of may have changed nothing. That is no step, unless the session's
     * later ones wait for it. */
    if ((is_known && content->writes + 1 != facts->rank_of[position]) ||
        (!applies && (is_known || !facts->is_followed[position])) || !is_as_found(op, content)) {
        return 0;
    }
    object->former[object->depth++] = *content;
    if (applies) {
        content->id = op->kind == REGISTER_DELETE ? 0 : op->id;
        content->version = op->kind == REGISTER_DELETE ? 0 : content->version + 1;
        content->writes += is_known != 0;
    }
    return 1;
}

static void undo(void *state, size_t operation)
{
    (void)operation;
    struct register_object *object = state;
    object->content = object->former[--object->depth];
}

/* The known writes are in the set of what is ordered. */
static uint64_t hash(const void *state)
{
    const struct register_object *object = state;
    return object->content.id * 0x9e3779b97f4a7c15U + object->content.version;
}

/* All but the gets without an answer, which may have seen anything. */
static int search(const struct facts *facts, uint64_t steps_max, struct wing_gong_report *report)
{
    struct wing_gong_operation *operations = memory_alloc(facts->count * sizeof *operations);
    size_t *position = memory_alloc(facts->count * sizeof *position);
    size_t *number = memory_alloc(facts->count * sizeof *number); /* the reverse */
    size_t count = 0;
    for (size_t i = 0; i < facts->count; i++) {
        const struct register_operation *op = &facts->operations[i];
        size_t after = op->before == OPERATION_NONE ? OPERATION_NONE : number[op->before];
        if (op->kind == REGISTER_GET && !has_ended(op)) {
            number[i] = after;
            continue;
        }
        number[i] = count;
        position[count] = i;
        operations[count++] = (struct wing_gong_operation){
            .begun = op->begun,
            .ended = op->ended,
            .after = after,
            .is_pure = is_pure(op),
            .is_needed = facts->revision_of[i] != 0,
        };
    }
    struct register_object state = {
        .facts = facts,
        .position = position,
        .former = memory_alloc((count + 1) * sizeof *state.former),
    };
    const struct wing_gong_object object = {
        .state = &state, .step = step, .undo = undo, .hash = hash};
    int rc = wing_gong_search(operations, count, &object, steps_max, report);
    if (report->stuck != OPERATION_NONE) {
        report->stuck = position[report->stuck];
    }
    if (rc == ERROR_BUSY) {
        errmsg_set(facts->err, rc, "ran out of budget after %" PRIu64 " steps", report->steps);
    } else if (rc != 0) {
        (void)violate(facts, report->stuck,
                      "no order of operations explains its end; steps tried:", report->steps);
    }
    free(operations);
    free(position);
    free(number);
    free(state.former);
    return rc;
}

int register_object_judge(const struct register_operation *operations, size_t count,
                          uint64_t steps_max, struct wing_gong_report *report, struct errmsg *err)
{
    struct wing_gong_report ignored;
    report = report != NULL ? report : &ignored;
    *report = (struct wing_gong_report){.stuck = OPERATION_NONE};
    struct facts facts = {
        .operations = operations,
        .count = count,
        .revision_of = memory_calloc(count, sizeof *facts.revision_of),
        .rank_of = memory_calloc(count, sizeof *facts.rank_of),
        .is_followed = memory_calloc(count, sizeof *facts.is_followed),
        .names = memory_alloc(count * sizeof *facts.names),
        .known = memory_alloc(count * sizeof *facts.known),
        .err = err,
    };
    for (size_t i = 0; i < count; i++) {
        facts.names[i] = (struct operation_name){operations[i].id, i};
    }
    names_sort(facts.names, count);
    int rc = learn_all(&facts);
    if (rc == 0) {
        rc = rank_all(&facts);
    }
    if (rc == 0) {
        rc = search(&facts, steps_max, report);
    }
    free(facts.revision_of);
    free(facts.rank_of);
    free(facts.is_followed);
    free(facts.names);
    free(facts.known);
    return rc;
}
