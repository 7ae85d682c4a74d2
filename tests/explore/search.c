#include "tests/explore/search.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "tests/explore/dead.h"
#include "tests/explore/local.h"
#include "tests/explore/post.h"
#include "tests/explore/safety.h"
#include "tests/explore/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <xxhash.h>

/* The whole state of the cluster, and how it was reached first. */
struct state {
    uint32_t locals[PROCESSES];
    uint32_t parent;
    choice_t choice; /* of which process, the difference to the parent shows */
};

static struct {
    const struct scope *scope;
    struct state *states; /* in the order of discovery: the queue of the search, too */
    size_t count, capacity;
    uint32_t *index; /* state + 1 by hash of its locals, 0: empty */
    size_t index_size;
    uint64_t states_max;
    int is_plain;
    struct map answers; /* (local, local that it hears) to the local after its answers */
    struct search_result result;
    size_t at;          /* the state that is expanded */
    const char *broken; /* the rule that broke */
    uint32_t broken_locals[PROCESSES];
    choice_t broken_choice;
} s;

/* ---- the set of states */

static size_t place_of(const uint32_t locals[PROCESSES])
{
    size_t at = XXH3_64bits(locals, PROCESSES * sizeof *locals) & (s.index_size - 1);
    while (s.index[at] != 0 &&
           memcmp(s.states[s.index[at] - 1].locals, locals, PROCESSES * sizeof *locals) != 0) {
        at = (at + 1) & (s.index_size - 1);
    }
    return at;
}

static void grow_index(void)
{
    free(s.index);
    s.index_size = s.index_size == 0 ? 1 << 16 : s.index_size * 2;
    s.index = memory_calloc(s.index_size, sizeof *s.index);
    for (size_t i = 0; i < s.count; i++) {
        s.index[place_of(s.states[i].locals)] = (uint32_t)i + 1;
    }
}

/* 1 if the state is new. */
static int add_state(const uint32_t locals[PROCESSES], choice_t choice)
{
    if (s.count * 10 >= s.index_size * 7) {
        grow_index();
    }
    size_t place = place_of(locals);
    if (s.index[place] != 0) {
        return 0;
    }
    s.states = memory_grow(s.states, &s.capacity, s.count + 1, sizeof *s.states);
    struct state *state = &s.states[s.count++];
    memcpy(state->locals, locals, sizeof state->locals);
    state->parent = (uint32_t)s.at;
    state->choice = choice;
    s.index[place] = (uint32_t)s.count;
    return 1;
}

/* ---- one choice */

static void break_rule(const char *rule, const uint32_t locals[PROCESSES], choice_t choice)
{
    if (s.broken == NULL) {
        s.broken = rule;
        memcpy(s.broken_locals, locals, sizeof s.broken_locals);
        s.broken_choice = choice;
    }
}

/* Takes what has become meaningless out of the network. */
static uint32_t without_dead(uint32_t local, const uint32_t locals[PROCESSES])
{
    for (unsigned to = 0; to < PROCESSES; to++) {
        local = local_without_dead(local, to, locals[to]);
    }
    return local;
}

static void drop_dead(uint32_t locals[PROCESSES])
{
    for (unsigned from = 0; from < PROCESSES; from++) {
        locals[from] = without_dead(locals[from], locals);
    }
}

/* The process after it has answered all messages of another one that change nothing in it but what
 * it has sent. What breaks a rule is left for a choice of its own. */
static uint32_t compute_answers(const uint32_t locals[PROCESSES], unsigned process, unsigned from)
{
    uint32_t local = locals[process];
    const struct set *sent = local_sent(locals[from]);
    for (uint32_t i = sent->starts[process]; i < sent->starts[process + 1]; i++) {
        struct step step = local_step(local, choice_of(CHOICE_DELIVER, sent->items[i], 0));
        if (step.violation == 0 && step.claim == 0 &&
            local_get(step.to).machine == local_get(local).machine) {
            local = step.to;
        }
    }
    return local;
}

static uint32_t answers(const uint32_t locals[PROCESSES], unsigned process, unsigned from)
{
    const struct set *sent = local_sent(locals[from]);
    if (sent->starts[process] == sent->starts[process + 1]) {
        return locals[process];
    }
    uint64_t key = (uint64_t)locals[process] << 32 | locals[from];
    uint32_t known;
    if (!map_find(&s.answers, key, &known)) {
        known = compute_answers(locals, process, from);
        map_put(&s.answers, key, known);
    }
    return known;
}

/* Has processes send at once what they can send without any change of themselves: nacks, mostly.
 * The state with the message allows all that the one without it does, since it need not be
 * delivered, ever. 1 if something was sent. */
static int send_freely(uint32_t locals[PROCESSES])
{
    int is_changed = 0;
    for (unsigned process = 0; process < PROCESSES; process++) {
        for (unsigned from = 0; from < PROCESSES; from++) {
            uint32_t after = answers(locals, process, from);
            if (after != locals[process]) {
                after = without_dead(after, locals);
                is_changed |= after != locals[process];
                locals[process] = after;
            }
        }
    }
    return is_changed;
}

/* Chooses the representative of all states that allow the same. */
static void normalise(uint32_t locals[PROCESSES])
{
    if (s.is_plain) {
        return;
    }
    drop_dead(locals);
    while (send_freely(locals)) {
    }
}

/* Takes the choice in the state that is expanded; the step says what it does to its process. */
static void take(unsigned process, choice_t choice, const struct step *step)
{
    uint32_t locals[PROCESSES];
    s.result.choices++;
    const struct state *from = &s.states[s.at];
    if (step->to == from->locals[process] && step->violation == 0 && step->claim == 0) {
        return; /* nothing changes */
    }
    memcpy(locals, from->locals, sizeof locals);
    locals[process] = step->to;
    if (step->violation != 0) {
        break_rule(machine_violation(step->violation), locals, choice);
        return;
    }
    const char *broken = safety_check_claim(locals, step->claim);
    int is_new = 0;
    if (broken == NULL && step->to != from->locals[process]) {
        s.result.transitions++;
        normalise(locals);
        is_new = add_state(locals, choice);
    }
    if (broken == NULL && is_new) {
        broken = safety_check(locals);
        s.result.by_chosen[safety_chosen(locals)]++;
    }
    if (broken != NULL) {
        break_rule(broken, locals, choice);
    }
}

static struct step try_choice(unsigned process, choice_t choice)
{
    struct step step = local_step(s.states[s.at].locals[process], choice);
    take(process, choice, &step);
    return step;
}

/* ---- the choices of a state */

static int may_crash(unsigned process)
{
    if (process < ACCEPTORS) {
        return s.scope->acceptors_crash;
    }
    unsigned sum = 0;
    for (unsigned i = ACCEPTORS; i < PROCESSES; i++) {
        sum += local_head(s.states[s.at].locals[i])->crashes;
    }
    return sum < s.scope->proposer_crashes;
}

/* Crashes that leave each number of unsynced batches. */
static void try_crashes(unsigned process, enum event_type type, uint32_t message)
{
    uint32_t lazy_count = local_head(s.states[s.at].locals[process])->lazy_count;
    for (uint32_t survive = 0; survive <= lazy_count; survive++) {
        try_choice(process, type == CHOICE_CRASH ? choice_of(type, survive, process)
                                                 : choice_of(type, message, survive));
    }
}

static void try_pairs(unsigned process, uint32_t first)
{
    for (unsigned from = 0; from < PROCESSES; from++) {
        const struct set *sent = local_sent(s.states[s.at].locals[from]);
        for (uint32_t i = sent->starts[process]; i < sent->starts[process + 1]; i++) {
            if (sent->items[i] != first) {
                try_choice(process, choice_of(CHOICE_DELIVER_TWO, first, sent->items[i]));
            }
        }
    }
}

static void try_message(unsigned process, uint32_t message)
{
    uint32_t before = s.states[s.at].locals[process];
    struct step step = try_choice(process, choice_of(CHOICE_DELIVER, message, 0));
    if (step.to == before) {
        return; /* a turn with it and another one is a turn of the other one */
    }
    if (process < ACCEPTORS && s.scope->turn_messages > 1) {
        try_pairs(process, message);
    }
    if (step.is_leaking && may_crash(process)) {
        try_crashes(process, CHOICE_DELIVER_CRASH, message);
    }
}

static void try_own_choices(unsigned process)
{
    const struct scope *scope = s.scope;
    const struct machine_head *head = local_head(s.states[s.at].locals[process]);
    if (may_crash(process)) {
        try_crashes(process, CHOICE_CRASH, 0);
    }
    if (process < ACCEPTORS) {
        if (head->wants_repair && head->repairs < scope->repairs) {
            try_choice(process, choice_of(CHOICE_REPAIR, 0, process));
        }
        return;
    }
    unsigned index = process - ACCEPTORS;
    int is_serving = head->state == NODE_LEADING || head->state == NODE_RECOVERING;
    if (head->campaigns < scope->campaigns[index]) {
        try_choice(process, choice_of(CHOICE_CAMPAIGN, 0, process));
    }
    if (is_serving && head->submits < scope->submits[index]) {
        try_choice(process, choice_of(CHOICE_SUBMIT, 0, process));
    }
    if (is_serving && head->beats < scope->beats) {
        try_choice(process, choice_of(CHOICE_BEAT, 0, process));
    }
}

static void expand(void)
{
    for (unsigned process = 0; process < PROCESSES; process++) {
        try_own_choices(process);
        for (unsigned from = 0; from < PROCESSES && s.broken == NULL; from++) {
            const struct set *sent = local_sent(s.states[s.at].locals[from]);
            for (uint32_t i = sent->starts[process]; i < sent->starts[process + 1]; i++) {
                try_message(process, sent->items[i]);
            }
        }
    }
}

/* ---- the trace */

static unsigned process_of_choice(choice_t choice)
{
    return choice_type(choice) < CHOICE_CAMPAIGN ? post_letter(choice_first(choice))->to
                                                 : choice_second(choice);
}

static void describe_choice(unsigned process, choice_t choice, char *text, size_t size)
{
    char first[480] = "";
    char second[480] = "";
    enum event_type type = choice_type(choice);
    const char *name = process_name(process);
    if (type == CHOICE_DELIVER || type == CHOICE_DELIVER_TWO || type == CHOICE_DELIVER_CRASH) {
        post_describe(choice_first(choice), first, sizeof first);
    }
    switch (type) {
    case CHOICE_DELIVER:
        snprintf(text, size, "%s <- %s: %s", name,
                 process_name(post_letter(choice_first(choice))->from), first);
        break;
    case CHOICE_DELIVER_TWO:
        post_describe(choice_second(choice), second, sizeof second);
        snprintf(text, size, "%s <- in one turn: %s; and %s", name, first, second);
        break;
    case CHOICE_DELIVER_CRASH:
        snprintf(text, size, "%s <- %s; dies before it syncs, restarts with %u unsynced batches",
                 name, first, choice_second(choice));
        break;
    case CHOICE_CAMPAIGN:
        snprintf(text, size, "%s campaigns", name);
        break;
    case CHOICE_SUBMIT:
        snprintf(text, size, "%s gets a command", name);
        break;
    case CHOICE_BEAT:
        snprintf(text, size, "%s beats", name);
        break;
    case CHOICE_REPAIR:
        snprintf(text, size, "%s repairs", name);
        break;
    case CHOICE_CRASH:
        snprintf(text, size, "%s crashes and restarts with %u unsynced batches", name,
                 choice_first(choice));
        break;
    }
}

/* The messages that the choice added to the network. */
static void print_sends(unsigned process, uint32_t before, uint32_t after)
{
    const struct set *old = local_sent(before);
    const struct set *new = local_sent(after);
    char last[480] = "";
    for (uint32_t i = 0; i < new->count; i++) {
        int is_known = 0;
        for (uint32_t k = 0; k < old->count; k++) {
            is_known |= old->items[k] == new->items[i];
        }
        if (is_known) {
            continue;
        }
        char text[480];
        post_describe(new->items[i], text, sizeof text);
        const char *to = process_name(post_letter(new->items[i])->to);
        if (strcmp(text, last) == 0) {
            printf(", %s", to);
        } else {
            printf("%s#         %s sends %s to %s", last[0] != '\0' ? "\n" : "",
                   process_name(process), text, to);
        }
        memcpy(last, text, sizeof last);
    }
    if (last[0] != '\0') {
        printf("\n");
    }
}

static void print_choice(unsigned number, const uint32_t before[PROCESSES],
                         const uint32_t after[PROCESSES], choice_t choice)
{
    char text[1100];
    describe_choice(process_of_choice(choice), choice, text, sizeof text);
    printf("#   %3u. %s\n", number, text);
    for (unsigned process = 0; process < PROCESSES; process++) {
        print_sends(process, before[process], after[process]);
    }
}

static unsigned depth_of(size_t at)
{
    unsigned depth = 0;
    while (at != 0) {
        at = s.states[at].parent;
        depth++;
    }
    return depth;
}

static void print_trace(void)
{
    unsigned depth = depth_of(s.at);
    size_t *way = memory_calloc((size_t)depth + 1, sizeof *way);
    size_t at = s.at;
    for (unsigned i = depth; i > 0; i--) {
        way[i] = at;
        at = s.states[at].parent;
    }
    printf("# scope %s: %s\n# the shortest way there:\n", s.scope->name, s.broken);
    for (unsigned i = 1; i <= depth; i++) {
        const struct state *state = &s.states[way[i]];
        print_choice(i, s.states[state->parent].locals, state->locals, state->choice);
    }
    print_choice(depth + 1, s.states[s.at].locals, s.broken_locals, s.broken_choice);
    free(way);
}

/* ---- the search */

static double now_seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Distinct states without what was sent, told apart by a hash: the chance that two of them share
 * one is below 1 : 10000, and nothing rests on the number but a comparison. */
static uint64_t count_combinations(void)
{
    uint64_t *hashes = memory_calloc(s.count, sizeof *hashes);
    for (size_t i = 0; i < s.count; i++) {
        uint32_t parts[2 * PROCESSES];
        for (unsigned process = 0; process < PROCESSES; process++) {
            struct local local = local_get(s.states[i].locals[process]);
            parts[2 * process] = local.machine;
            parts[2 * process + 1] = local.votes;
        }
        hashes[i] = XXH3_64bits(parts, sizeof parts);
    }
    qsort(hashes, s.count, sizeof *hashes, compare_u64);
    uint64_t count = 0;
    for (size_t i = 0; i < s.count; i++) {
        count += i == 0 || hashes[i] != hashes[i - 1];
    }
    free(hashes);
    return count;
}

static void finish(double begin)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    s.result.machines = machine_counts();
    s.result.locals = local_counts();
    s.result.messages = post_message_count();
    s.result.seconds = now_seconds() - begin;
    s.result.bytes = (uint64_t)usage.ru_maxrss * 1024;
    s.result.states = s.count;
    s.result.combinations = count_combinations();
    s.result.is_violated = s.broken != NULL;
    s.result.is_complete = s.broken == NULL && s.at == s.count;
    /* Breadth first: the state that was found last is as deep as any. */
    s.result.depth = depth_of(s.count - 1);
}

struct search_result search_run(const struct scope *scope, uint64_t states_max, int is_plain)
{
    double begin = now_seconds();
    memset(&s, 0, sizeof s);
    s.scope = scope;
    s.is_plain = is_plain;
    machines_open(scope);
    locals_open();
    uint32_t first[PROCESSES];
    for (unsigned process = 0; process < PROCESSES; process++) {
        first[process] = local_first(process);
    }
    normalise(first);
    add_state(first, 0);
    s.result.by_chosen[0]++;
    while (s.broken == NULL && s.at < s.count && s.count < states_max) {
        expand();
        s.at += s.broken == NULL;
    }
    if (s.broken != NULL) {
        print_trace();
    }
    finish(begin);
    const char *broken = dead_verify(&s.result.dead_checked);
    snprintf(s.result.dead_broken, sizeof s.result.dead_broken, "%s", broken != NULL ? broken : "");
    safety_close();
    locals_close();
    machines_close();
    post_close();
    map_close(&s.answers);
    free(s.states);
    free(s.index);
    return s.result;
}
