#include "tests/explore/local.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "tests/explore/dead.h"
#include "tests/explore/post.h"
#include "tests/explore/table.h"

#include <stdlib.h>
#include <string.h>

static struct {
    struct intern locals, sent, votes;
    struct step *steps;
    size_t step_count, step_capacity;
    struct map memo;   /* (local, choice) to step */
    struct map pruned; /* (local, machine of the receiver) to local */
    struct set *merged;
    size_t merged_capacity; /* of items */
} l;

struct local local_get(uint32_t local)
{
    return *(const struct local *)intern_get(&l.locals, local, NULL);
}

const struct machine_head *local_head(uint32_t local)
{
    return machine_head(local_get(local).machine);
}

const struct set *local_sent(uint32_t local)
{
    return intern_get(&l.sent, local_get(local).sent, NULL);
}

const struct set *local_votes(uint32_t local)
{
    return intern_get(&l.votes, local_get(local).votes, NULL);
}

/* ---- sets */

static int is_before(uint32_t a, uint32_t b, int by_receiver)
{
    if (by_receiver) {
        unsigned to_a = post_letter(a)->to;
        unsigned to_b = post_letter(b)->to;
        if (to_a != to_b) {
            return to_a < to_b;
        }
    }
    return a < b;
}

/* Puts one number into l.merged, which has room. */
static void insert(uint32_t item, int by_receiver)
{
    struct set *set = l.merged;
    uint32_t at = set->count;
    while (at > 0 && is_before(item, set->items[at - 1], by_receiver)) {
        at--;
    }
    if (at > 0 && set->items[at - 1] == item) {
        return;
    }
    memmove(&set->items[at + 1], &set->items[at], (set->count - at) * sizeof *set->items);
    set->items[at] = item;
    set->count++;
}

static size_t set_size(const struct set *set)
{
    return sizeof *set + set->count * sizeof set->items[0];
}

/* Room for so many items in l.merged, whose content is lost. */
static void make_room(size_t count)
{
    if (l.merged == NULL || count > l.merged_capacity) {
        free(l.merged);
        l.merged_capacity = 2 * count + 16;
        l.merged = memory_alloc(sizeof *l.merged + l.merged_capacity * sizeof l.merged->items[0]);
    }
}

static void index_receivers(struct set *set)
{
    uint32_t at = 0;
    for (unsigned to = 0; to <= PROCESSES; to++) {
        while (at < set->count && post_letter(set->items[at])->to < to) {
            at++;
        }
        set->starts[to] = at;
    }
}

/* The set with more numbers in it. */
static uint32_t set_with(struct intern *sets, uint32_t old, const uint32_t *items, size_t count,
                         int by_receiver)
{
    if (count == 0) {
        return old;
    }
    size_t size;
    const struct set *before = intern_get(sets, old, &size);
    make_room(before->count + count);
    memcpy(l.merged, before, size);
    for (size_t i = 0; i < count; i++) {
        insert(items[i], by_receiver);
    }
    if (by_receiver) {
        index_receivers(l.merged);
    }
    return intern_add(sets, l.merged, set_size(l.merged));
}

/* ---- steps */

static uint32_t add_local(uint32_t machine, uint32_t sent, uint32_t votes)
{
    struct local local = {machine, sent, votes};
    return intern_add(&l.locals, &local, sizeof local);
}

/* A proposer proposes with every accept that it sends. */
static uint32_t with_proposals(uint32_t votes, const uint32_t *sends, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t proposal = post_letter(sends[i])->proposal;
        if (proposal != 0) {
            proposal--;
            votes = set_with(&l.votes, votes, &proposal, 1, 0);
        }
    }
    return votes;
}

static struct step compute(uint32_t local, choice_t choice)
{
    struct local before = local_get(local);
    struct outcome outcome = *machine_step(before.machine, choice);
    const uint32_t *sends = machine_list(outcome.first_send);
    uint32_t sent = set_with(&l.sent, before.sent, sends, outcome.send_count, 1);
    uint32_t votes =
        set_with(&l.votes, before.votes, machine_list(outcome.first_vote), outcome.vote_count, 0);
    if (machine_head(before.machine)->process >= ACCEPTORS) {
        votes = with_proposals(votes, sends, outcome.send_count);
    }
    return (struct step){.to = add_local(outcome.machine, sent, votes),
                         .claim = outcome.claim,
                         .violation = outcome.violation,
                         .is_leaking = outcome.is_leaking};
}

struct step local_step(uint32_t local, choice_t choice)
{
    uint64_t key = (uint64_t)local << 32 | choice;
    uint32_t known;
    if (map_find(&l.memo, key, &known)) {
        return l.steps[known];
    }
    struct step step = compute(local, choice);
    l.steps = memory_grow(l.steps, &l.step_capacity, l.step_count + 1, sizeof *l.steps);
    l.steps[l.step_count] = step;
    map_put(&l.memo, key, (uint32_t)l.step_count++);
    return step;
}

static uint32_t prune(uint32_t id, unsigned to, uint32_t machine)
{
    struct local local = local_get(id);
    size_t size;
    const struct set *before = intern_get(&l.sent, local.sent, &size);
    make_room(before->count);
    memcpy(l.merged, before, size);
    l.merged->count = 0;
    for (uint32_t i = 0; i < before->count; i++) {
        uint32_t message = before->items[i];
        if (post_letter(message)->to != to || !is_dead(machine_head(machine), message)) {
            l.merged->items[l.merged->count++] = message;
        }
    }
    if (l.merged->count == before->count) {
        return id;
    }
    index_receivers(l.merged);
    uint32_t sent = intern_add(&l.sent, l.merged, set_size(l.merged));
    return add_local(local.machine, sent, local.votes);
}

uint32_t local_without_dead(uint32_t local, unsigned to, uint32_t receiver)
{
    const struct set *sent = local_sent(local);
    if (sent->starts[to] == sent->starts[to + 1]) {
        return local;
    }
    uint32_t machine = local_get(receiver).machine;
    uint64_t key = (uint64_t)local << 32 | machine;
    uint32_t known;
    if (!map_find(&l.pruned, key, &known)) {
        known = prune(local, to, machine);
        map_put(&l.pruned, key, known);
    }
    return known;
}

uint32_t local_first(unsigned process)
{
    return add_local(machine_first(process), 0, 0);
}

struct local_counts local_counts(void)
{
    struct local_counts counts = {.sent_sets = l.sent.count, .vote_sets = l.votes.count};
    for (size_t i = 0; i < l.locals.count; i++) {
        counts.locals[local_head((uint32_t)i)->process]++;
    }
    return counts;
}

void locals_open(void)
{
    memset(&l, 0, sizeof l);
    struct set empty;
    memset(&empty, 0, sizeof empty);
    uint32_t sent = intern_add(&l.sent, &empty, sizeof empty);
    uint32_t votes = intern_add(&l.votes, &empty, sizeof empty);
    CHECK(sent == 0 && votes == 0);
}

void locals_close(void)
{
    intern_close(&l.locals);
    intern_close(&l.sent);
    intern_close(&l.votes);
    map_close(&l.memo);
    map_close(&l.pruned);
    free(l.steps);
    free(l.merged);
}
