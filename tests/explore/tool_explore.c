/* Explores every reachable state of a small cluster of the real cores. README.md says what that
 * means.
 *
 * tool_explore [--plain] [--states-max N] SCOPE...  prints one TAP line for each scope: complete
 *     and without a violation, or the shortest way to one. --plain: without any reduction.
 * tool_explore --list  names the scopes. */
#include "tests/explore/frozen.h"
#include "tests/explore/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* States are 32-bit numbers, and memory is bounded: 40 bytes each. */
#define STATES_MAX 45000000U

static const struct scope scopes[] = {
    {.name = "solo", .campaigns = {2, 0}, .submits = {1, 0}, .acceptors_crash = 1},
    {.name = "duel", .campaigns = {1, 1}},
    {.name = "acceptors-crash", .campaigns = {1, 1}, .acceptors_crash = 1},
    {.name = "proposer-crash", .campaigns = {1, 1}, .proposer_crashes = 1},
    {.name = "all-crash", .campaigns = {1, 1}, .acceptors_crash = 1, .proposer_crashes = 1},
    {.name = "command-early", .campaigns = {1, 1}, .submits = {1, 0}},
    {.name = "command-late", .campaigns = {1, 1}, .submits = {0, 1}},
    {.name = "repair",
     .campaigns = {1, 0},
     .submits = {1, 0},
     .beats = 1,
     .repairs = 1,
     .heartbeats = 1},
    {.name = "repair-crash",
     .campaigns = {1, 0},
     .beats = 1,
     .repairs = 1,
     .heartbeats = 1,
     .acceptors_crash = 1},
    {.name = "turns", .campaigns = {1, 1}, .turn_messages = 2},
};

#define SCOPE_COUNT (sizeof scopes / sizeof scopes[0])

struct options {
    uint64_t states_max;
    int is_plain;
};

static void print_counts(const struct search_result *result)
{
    printf(
        "# %llu choices tried in %.1f s, %llu MiB; %llu states with no slot chosen, %llu with 1, "
        "%llu with 2\n",
        (unsigned long long)result->choices, result->seconds,
        (unsigned long long)(result->bytes >> 20), (unsigned long long)result->by_chosen[0],
        (unsigned long long)result->by_chosen[1], (unsigned long long)result->by_chosen[2]);
    const struct machine_counts *machines = &result->machines;
    printf("# %llu combinations of the cores' states and votes\n",
           (unsigned long long)result->combinations);
    printf("# states of one core:");
    for (unsigned i = 0; i < PROCESSES; i++) {
        printf(" %s %zu", process_name(i), machines->states[i]);
    }
    printf("; %zu turns of a core, %zu run twice; %zu distinct messages\n", machines->turns,
           machines->repeated, result->messages);
    printf("# %zu pairs of a core's state and a message that is dead to it: %s\n",
           result->dead_checked,
           result->dead_broken[0] != '\0' ? result->dead_broken : "it is, and stays so");
}

static int explore(const struct scope *scope, unsigned number, const struct options *options)
{
    struct search_result result = search_run(scope, options->states_max, options->is_plain);
    int is_good = result.is_complete && result.dead_broken[0] == '\0';
    printf("%s %u - %s: %llu states, %llu transitions, depth %u%s\n", is_good ? "ok" : "not ok",
           number, scope->name, (unsigned long long)result.states,
           (unsigned long long)result.transitions, result.depth,
           result.is_complete || result.is_violated ? "" : ", and there are more");
    print_counts(&result);
    fflush(stdout);
    return is_good ? 0 : 1;
}

static const struct scope *find_scope(const char *name)
{
    for (size_t i = 0; i < SCOPE_COUNT; i++) {
        if (strcmp(scopes[i].name, name) == 0) {
            return &scopes[i];
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    if (!frozen_is_exact()) {
        printf("1..1\nok 1 - explore # SKIP this compiler cannot clear padding, gcc can\n");
        return 0;
    }
    struct options options = {.states_max = STATES_MAX};
    int failed = 0;
    unsigned number = 0;
    for (int i = 1; i < argc; i++) {
        const struct scope *scope = find_scope(argv[i]);
        if (scope != NULL) {
            failed |= explore(scope, ++number, &options);
        } else if (strcmp(argv[i], "--plain") == 0) {
            options.is_plain = 1;
        } else if (strcmp(argv[i], "--states-max") == 0 && i + 1 < argc) {
            options.states_max = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--list") == 0) {
            for (size_t k = 0; k < SCOPE_COUNT; k++) {
                printf("%s\n", scopes[k].name);
            }
            return 0;
        } else {
            fprintf(stderr, "error: no scope \"%s\"; try: --list\n", argv[i]);
            return 3;
        }
    }
    printf("1..%u\n", number);
    return failed;
}
