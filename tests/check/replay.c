#include "tests/check/replay.h"

#include "common/base/check.h"
#include "common/base/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 112

struct judge {
    const struct history *history;
    const uint64_t *log;
    size_t log_count;
    size_t *append_at; /* [index]: the append whose record is there; [0] is not used */
    size_t *index_of;  /* [operation]: where an append is, 0: nowhere */
    size_t *reads;     /* the linearizable reads that ended, by `last` */
    size_t read_count;
    struct errmsg *err;
};

static int violate(const struct judge *judge, size_t operation, const char *what, uint64_t number)
{
    char text[TEXT_MAX];
    return errmsg_set(judge->err, ERROR_CORRUPT, "%s: %s %" PRIu64,
                      history_describe(judge->history, operation, text, sizeof text), what, number);
}

struct named {
    uint64_t id;
    size_t operation;
};

static int compare_named(const void *a, const void *b)
{
    const struct named *x = a;
    const struct named *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

/* Who appended what is at each index. */
static int find_appends(struct judge *judge)
{
    const struct history *h = judge->history;
    struct named *names = memory_alloc(h->count * sizeof *names);
    size_t count = 0;
    for (size_t i = 0; i < h->count; i++) {
        if (h->operations[i].kind == OPERATION_APPEND) {
            names[count++] = (struct named){h->operations[i].id, i};
        }
    }
    qsort(names, count, sizeof *names, compare_named);
    for (size_t i = 1; i < count; i++) {
        CHECK(names[i - 1].id != names[i].id);
    }
    int rc = 0;
    for (size_t index = 1; index <= judge->log_count && rc == 0; index++) {
        const struct named wanted = {judge->log[index - 1], 0};
        const struct named *found = bsearch(&wanted, names, count, sizeof *names, compare_named);
        if (found == NULL) {
            rc = errmsg_set(judge->err, ERROR_CORRUPT,
                            "index %zu of the log holds record %" PRIu64 ", which nobody appended",
                            index, wanted.id);
        } else if (judge->index_of[found->operation] != 0) {
            rc = violate(judge, found->operation, "is in the log twice, the second time at index",
                         index);
        } else {
            judge->append_at[index] = found->operation;
            judge->index_of[found->operation] = index;
        }
    }
    free(names);
    return rc;
}

static int check_appends(const struct judge *judge)
{
    const struct history *h = judge->history;
    for (size_t i = 0; i < h->count; i++) {
        const struct history_operation *op = &h->operations[i];
        if (op->kind != OPERATION_APPEND) {
            continue;
        }
        size_t index = judge->index_of[i];
        if (op->ended != MOMENT_NEVER && index == 0) {
            return violate(judge, i, "was acknowledged and is lost; the log ends at",
                           judge->log_count);
        }
        if (op->ended != MOMENT_NEVER && index != op->index) {
            return violate(judge, i, "was acknowledged, but the log has it at index", index);
        }
        if (index == 0 || op->before == OPERATION_NONE) {
            continue;
        }
        size_t index_before = judge->index_of[op->before];
        if (index_before == 0 || index_before >= index) {
            return violate(judge, i,
                           index_before == 0
                               ? "is in the log without the one before it in its session, record"
                               : "is in the log before the one before it in its session, record",
                           h->operations[op->before].id);
        }
    }
    return 0;
}

/* What a read shows is there, was begun before the read ended, and is all that was asked for that
 * `last` tells of. */
static int check_read(const struct judge *judge, size_t position, const uint64_t *begun_up_to)
{
    const struct history *h = judge->history;
    const struct history_operation *read = &h->operations[position];
    if (read->last > judge->log_count) {
        return violate(judge, position, "saw more than the log, which ends at", judge->log_count);
    }
    if (begun_up_to[read->last] > read->ended) {
        return violate(judge, position, "saw what was not yet begun, up to index", read->last);
    }
    if (read->from == 0 || (read->count == 0 && read->from <= read->last)) {
        return violate(judge, position, "shows nothing, but there is index", read->from);
    }
    if (read->count > 0 && (read->from > read->last || read->count > read->last - read->from + 1)) {
        return violate(judge, position, "shows more records than it says there are, the last at",
                       read->last);
    }
    for (size_t k = 0; k < read->count; k++) {
        size_t index = (size_t)read->from + k;
        if (h->ids[read->ids + k] != judge->log[index - 1]) {
            return violate(judge, position, "shows another record than the log at index", index);
        }
    }
    return 0;
}

static int check_reads(struct judge *judge)
{
    const struct history *h = judge->history;
    /* [index]: the latest begin of an append up to there */
    uint64_t *begun_up_to = memory_calloc(judge->log_count + 1, sizeof *begun_up_to);
    for (size_t index = 1; index <= judge->log_count; index++) {
        uint64_t begun = h->operations[judge->append_at[index]].begun;
        begun_up_to[index] = begun > begun_up_to[index - 1] ? begun : begun_up_to[index - 1];
    }
    int rc = 0;
    for (size_t i = 0; i < h->count && rc == 0; i++) {
        const struct history_operation *op = &h->operations[i];
        if (op->kind == OPERATION_APPEND || op->ended == MOMENT_NEVER) {
            continue;
        }
        rc = check_read(judge, i, begun_up_to);
        if (op->kind == OPERATION_READ) {
            judge->reads[judge->read_count++] = i;
        }
    }
    free(begun_up_to);
    return rc;
}

/* Sorts the reads by `last`, keeping their order: by counting, since all are within the log. */
static size_t *reads_by_last(const struct judge *judge)
{
    const struct history *h = judge->history;
    size_t *first = memory_calloc(judge->log_count + 2, sizeof *first);
    for (size_t i = 0; i < judge->read_count; i++) {
        first[h->operations[judge->reads[i]].last + 1]++;
    }
    for (size_t index = 1; index <= judge->log_count + 1; index++) {
        first[index] += first[index - 1];
    }
    size_t *sorted = memory_alloc(judge->read_count * sizeof *sorted);
    for (size_t i = 0; i < judge->read_count; i++) {
        sorted[first[h->operations[judge->reads[i]].last]++] = judge->reads[i];
    }
    free(first);
    return sorted;
}

/* The operation of the prefix that began last: whatever comes after must end after that. */
struct latest {
    size_t operation;
    uint64_t begun;
};

static int must_follow(const struct judge *judge, size_t operation, const struct latest *latest)
{
    if (judge->history->operations[operation].ended > latest->begun) {
        return 0;
    }
    char later[TEXT_MAX];
    char earlier[TEXT_MAX];
    return errmsg_set(judge->err, ERROR_CORRUPT,
                      "real-time order: (%s) had ended when (%s) began, but comes after it",
                      history_describe(judge->history, operation, later, sizeof later),
                      history_describe(judge->history, latest->operation, earlier, sizeof earlier));
}

static void remember(const struct judge *judge, size_t operation, struct latest *latest)
{
    uint64_t begun = judge->history->operations[operation].begun;
    if (begun > latest->begun) {
        *latest = (struct latest){operation, begun};
    }
}

/* The order is append 1, the reads that end at 1, append 2, and so on; reads of one group are in
 * any order. Moments for all exist if and only if nothing ended before something that stands in
 * front of it began. */
static int check_real_time(const struct judge *judge)
{
    size_t *sorted = reads_by_last(judge);
    struct latest latest = {OPERATION_NONE, 0};
    size_t begin = 0;
    int rc = 0;
    for (size_t index = 0; index <= judge->log_count && rc == 0; index++) {
        if (index > 0) {
            rc = must_follow(judge, judge->append_at[index], &latest);
            remember(judge, judge->append_at[index], &latest);
        }
        size_t end = begin;
        for (; end < judge->read_count && rc == 0 &&
               judge->history->operations[sorted[end]].last == index;
             end++) {
            rc = must_follow(judge, sorted[end], &latest);
        }
        for (; begin < end; begin++) {
            remember(judge, sorted[begin], &latest);
        }
    }
    free(sorted);
    return rc;
}

int replay_judge(const struct history *history, const uint64_t *log, size_t count,
                 struct errmsg *err)
{
    if (history->broken[0] != '\0') {
        return errmsg_set(err, ERROR_CORRUPT, "%s", history->broken);
    }
    struct judge judge = {
        .history = history,
        .log = log,
        .log_count = count,
        .append_at = memory_calloc(count + 1, sizeof *judge.append_at),
        .index_of = memory_calloc(history->count, sizeof *judge.index_of),
        .reads = memory_alloc(history->count * sizeof *judge.reads),
        .err = err,
    };
    int rc = find_appends(&judge);
    if (rc == 0) {
        rc = check_appends(&judge);
    }
    if (rc == 0) {
        rc = check_reads(&judge);
    }
    if (rc == 0) {
        rc = check_real_time(&judge);
    }
    free(judge.append_at);
    free(judge.index_of);
    free(judge.reads);
    return rc;
}
