/* synod-sim: runs seeds of the simulator. `synod-sim --help` lists the options. */
#include "common/base/memory.h"
#include "tests/sim/sim.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 2
#define MINUTES_LEAST 0.4

/* How often the line of progress is written anew. */
#define PROGRESS_MS 100

#define ERASE_LINE "\r\033[K"

struct arguments {
    uint64_t first, last;
    int is_raft;
    const char *scenario;
    time_us_t length_us;
    int verbose;
    int marks; /* print them all */
    enum oracle_kind oracle;
    size_t proposers;
    uint64_t failures_max;
};

/* Numbers that grow. */
struct numbers {
    int64_t *values;
    size_t count, capacity;
};

/* What all seeds came to. */
struct totals {
    uint64_t seeds, failed, messages, turns, appends, reads, slots, leaders, refused;
    uint64_t key_commands, queries, watch_pages;
    uint64_t register_operations, register_steps; /* in all; of the longest search */
    uint64_t faults[FAULT_KINDS];
    uint64_t marks[MARK_COUNT];
    uint64_t met[MET_COUNT];
    time_us_t virtual_us;
    struct numbers recoveries; /* in thousandths of an election timeout */
    /* of the conformance suite: likewise; the messages; the most at once */
    struct numbers settled, failovers, failover_ms, oracle_messages, all_messages;
    uint32_t named_max;
    uint32_t leaders_after_max, leaders_whole_max;
    int64_t healed_max; /* likewise */
    uint64_t hash;      /* of the hashes of all seeds, in whatever order they came */
};

static void print_help(void)
{
    printf("usage: synod-sim [--seed N | --seeds A..B] [--scenario NAME[:ACCEPTORS]] [-v]\n"
           "                 [--protocol paxos|raft] [--minutes M] [--failures N] [--marks]\n"
           "                 [--oracle KIND] [--proposers N]\n"
           "M is the virtual time of a run, 0.4 to 600.\n"
           "scenarios: %s\n",
           scenario_list());
}

static int parse_seeds(const char *text, struct arguments *arguments)
{
    char *end;
    arguments->first = strtoull(text, &end, 10);
    if (end == text || strncmp(end, "..", 2) != 0) {
        return -1;
    }
    const char *second = end + 2;
    arguments->last = strtoull(second, &end, 10);
    return end == second || *end != '\0' || arguments->last < arguments->first ? -1 : 0;
}

/* A number of minutes such as "1" or "0.5". The slowest cluster is healed 20 s before the end. */
static int parse_minutes(const char *text, time_us_t *out)
{
    char *end;
    double minutes = strtod(text, &end);
    if (end == text || *end != '\0' || minutes < MINUTES_LEAST || minutes > 600) {
        return -1;
    }
    *out = (time_us_t)(minutes * 1000 + 0.5) * 60 * MS;
    return 0;
}

static int parse_option(const char *name, const char *value, struct arguments *arguments)
{
    if (strcmp(name, "--seed") == 0) {
        char *end;
        arguments->first = arguments->last = strtoull(value, &end, 10);
        return end == value || *end != '\0' ? -1 : 0;
    }
    if (strcmp(name, "--seeds") == 0) {
        return parse_seeds(value, arguments);
    }
    if (strcmp(name, "--scenario") == 0) {
        arguments->scenario = value;
        return scenario_exists(value) ? 0 : -1;
    }
    if (strcmp(name, "--protocol") == 0) {
        arguments->is_raft = strcmp(value, "raft") == 0;
        return arguments->is_raft || strcmp(value, "paxos") == 0 ? 0 : -1;
    }
    if (strcmp(name, "--minutes") == 0) {
        return parse_minutes(value, &arguments->length_us);
    }
    if (strcmp(name, "--oracle") == 0) {
        return oracle_kind_parse(value, &arguments->oracle);
    }
    if (strcmp(name, "--proposers") == 0) {
        arguments->proposers = strtoull(value, NULL, 10);
        return arguments->proposers >= 1 && arguments->proposers <= MEMBERS_MAX ? 0 : -1;
    }
    if (strcmp(name, "--failures") == 0) {
        arguments->failures_max = strtoull(value, NULL, 10);
        return 0;
    }
    return -1;
}

static int parse(int argc, char **argv, struct arguments *arguments)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-v") == 0) {
            arguments->verbose++;
            continue;
        }
        if (strcmp(argv[i], "--marks") == 0) {
            arguments->marks = 1;
            continue;
        }
        if (i + 1 == argc || parse_option(argv[i], argv[i + 1], arguments) != 0) {
            fprintf(stderr, "error: %s%s%s is no option of synod-sim; try: --help\n", argv[i],
                    i + 1 < argc ? " " : "", i + 1 < argc ? argv[i + 1] : "");
            return -1;
        }
        i++;
    }
    return 0;
}

static struct sim_options options_of(const struct arguments *arguments, uint64_t seed)
{
    return (struct sim_options){.seed = seed,
                                .is_raft = arguments->is_raft,
                                .scenario = arguments->scenario,
                                .length_us = arguments->length_us,
                                .verbose = arguments->verbose,
                                .oracle = arguments->oracle,
                                .proposers = arguments->proposers};
}

static void run_seed(const struct arguments *arguments, uint64_t seed,
                     struct outcome_of_run *outcome)
{
    const struct sim_options options = options_of(arguments, seed);
    sim_run(&options, outcome);
}

static void add_number(struct numbers *numbers, int64_t value)
{
    numbers->values = memory_grow(numbers->values, &numbers->capacity, numbers->count + 1,
                                  sizeof *numbers->values);
    numbers->values[numbers->count++] = value;
}

static void add_trials(struct totals *totals, const struct outcome_of_run *outcome)
{
    for (uint32_t i = 0; i < outcome->settled_count; i++) {
        add_number(&totals->settled, outcome->settled_us[i] / outcome->election_ms);
    }
    for (uint32_t i = 0; i < outcome->failover_count; i++) {
        const struct failover *failover = &outcome->failovers[i];
        add_number(&totals->failovers, failover->took_us / outcome->election_ms);
        add_number(&totals->failover_ms, failover->took_us);
        add_number(&totals->oracle_messages, (int64_t)failover->oracle_messages * 1000);
        add_number(&totals->all_messages, (int64_t)failover->messages * 1000);
        totals->named_max =
            failover->named_max > totals->named_max ? failover->named_max : totals->named_max;
    }
}

static void add(struct totals *totals, const struct outcome_of_run *outcome)
{
    totals->seeds++;
    totals->failed += outcome->failed != 0;
    totals->messages += outcome->messages;
    totals->turns += outcome->turns;
    totals->appends += outcome->appends;
    totals->reads += outcome->reads;
    totals->key_commands += outcome->key_commands;
    totals->queries += outcome->queries;
    totals->watch_pages += outcome->watch_pages;
    totals->register_operations += outcome->register_operations;
    if (outcome->register_steps > totals->register_steps) {
        totals->register_steps = outcome->register_steps;
    }
    totals->slots += outcome->slots;
    totals->leaders += outcome->leaders;
    totals->refused += outcome->refused_stores;
    totals->virtual_us += outcome->length_us;
    totals->hash += outcome->hash * (outcome->seed * 2 + 1);
    for (size_t i = 0; i < FAULT_KINDS; i++) {
        totals->faults[i] += outcome->faults[i];
    }
    for (size_t i = 0; i < MARK_COUNT; i++) {
        totals->marks[i] += outcome->marks[i];
    }
    for (size_t i = 0; i < MET_COUNT; i++) {
        totals->met[i] += outcome->met[i];
    }
    if (outcome->election_ms == 0) {
        return; /* it did not come to an end */
    }
    add_trials(totals, outcome);
    int64_t healed = outcome->healed_us / outcome->election_ms;
    totals->healed_max = healed > totals->healed_max ? healed : totals->healed_max;
    if (outcome->recovered_us >= 0) {
        add_number(&totals->recoveries, outcome->recovered_us / outcome->election_ms);
    }
    if (outcome->named_max > totals->named_max) {
        totals->named_max = outcome->named_max;
    }
    if (outcome->leaders_whole > totals->leaders_whole_max) {
        totals->leaders_whole_max = outcome->leaders_whole;
    }
    if (outcome->leaders_after > totals->leaders_after_max) {
        totals->leaders_after_max = outcome->leaders_after;
    }
}

/* ---- progress: one line on a terminal, which the next takes the place of */

static struct {
    int is_shown;
    uint64_t seeds; /* in all */
    int64_t at_ms;  /* when it was written last */
} progress;

/* Of the world outside, for people alone: no run sees it. */
static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void progress_show(const struct totals *totals)
{
    if (!progress.is_shown || now_ms() - progress.at_ms < PROGRESS_MS) {
        return;
    }
    progress.at_ms = now_ms();
    fprintf(stderr, ERASE_LINE "%" PRIu64 " of %" PRIu64 " seeds, %" PRIu64 " failed",
            totals->seeds, progress.seeds, totals->failed);
}

/* A run that prints each change of state shows by that how far it is. */
static void progress_begin(const struct arguments *arguments, const struct totals *totals)
{
    progress.is_shown = isatty(STDERR_FILENO) && arguments->verbose == 0;
    progress.seeds = arguments->last - arguments->first + 1;
    progress.at_ms = -PROGRESS_MS;
    progress_show(totals);
}

/* Before anything else is printed. */
static void progress_erase(void)
{
    if (progress.is_shown) {
        fputs(ERASE_LINE, stderr);
    }
}

/* ---- workers: one process each, so that a failed CHECK costs one seed */

struct worker {
    pid_t pid;
    int fd;
    uint64_t next; /* seed that it runs, or will run */
};

/* A failure, also of a CHECK in the middle of a seed, comes in one piece, and in place of the line
 * of progress if both go to the terminal. */
static void prepare_output(void)
{
    if (progress.is_shown && isatty(STDOUT_FILENO)) {
        fputs(ERASE_LINE, stdout);
    }
}

/* Runs every WORKERS-th seed from the given one and writes what came of each. */
static _Noreturn void work(const struct arguments *arguments, uint64_t seed, int fd)
{
    static char buffer[64 * 1024];
    if (progress.is_shown) {
        setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    }
    prepare_output();
    for (; seed <= arguments->last; seed += WORKERS) {
        struct outcome_of_run outcome;
        run_seed(arguments, seed, &outcome);
        if (outcome.failed || !progress.is_shown) {
            fflush(stdout);
            prepare_output();
        }
        if (write(fd, &outcome, sizeof outcome) != (ssize_t)sizeof outcome) {
            _exit(2);
        }
    }
    _exit(0);
}

static int begin(const struct arguments *arguments, struct worker *worker)
{
    int fds[2];
    fflush(stdout);
    if (pipe(fds) != 0) {
        return -1;
    }
    worker->pid = fork();
    if (worker->pid == 0) {
        close(fds[0]);
        work(arguments, worker->next, fds[1]);
    }
    close(fds[1]);
    worker->fd = fds[0];
    return worker->pid < 0 ? -1 : 0;
}

/* Takes one outcome. 0 if the worker has ended. */
static int take(struct worker *worker, struct outcome_of_run *outcome)
{
    size_t size = 0;
    while (size < sizeof *outcome) {
        ssize_t got = read(worker->fd, (char *)outcome + size, sizeof *outcome - size);
        if (got <= 0) {
            return 0;
        }
        size += (size_t)got;
    }
    return 1;
}

/* The worker's pipe is at its end: all is done, or the process died of its seed. */
static void end(const struct arguments *arguments, struct worker *worker, struct totals *totals)
{
    int status = 0;
    close(worker->fd);
    waitpid(worker->pid, &status, 0);
    worker->fd = -1;
    if (worker->next > arguments->last) {
        return;
    }
    if (WIFSIGNALED(status) || WEXITSTATUS(status) != SIM_CHECK_STATUS) { /* it said nothing */
        progress_erase();
        printf("FAILED seed=%" PRIu64 " scenario=%s checker=%s: ended by %s %d\n", worker->next,
               arguments->scenario, WIFSIGNALED(status) ? "signal" : "exit",
               WIFSIGNALED(status) ? "signal" : "status",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        char more[100];
        const struct sim_options options = options_of(arguments, worker->next);
        sim_say_options(&options, more, sizeof more);
        printf("replay: build/synod-sim%s --seed %" PRIu64 " --scenario %s -v\n", more,
               worker->next, arguments->scenario);
        fflush(stdout); /* the other one may take long */
    }
    totals->seeds++;
    totals->failed++;
    worker->next += WORKERS;
    if (worker->next <= arguments->last && begin(arguments, worker) != 0) {
        totals->failed++;
    }
}

/* One turn: takes an outcome of each worker that is left. Returns how many these were. */
static size_t take_outcomes(const struct arguments *arguments, struct worker workers[WORKERS],
                            struct totals *totals)
{
    size_t alive = 0;
    for (size_t i = 0; i < WORKERS; i++) {
        struct worker *worker = &workers[i];
        struct outcome_of_run outcome;
        if (worker->fd < 0) {
            continue;
        }
        alive++;
        if (take(worker, &outcome)) {
            add(totals, &outcome);
            worker->next += WORKERS;
        } else {
            end(arguments, worker, totals);
        }
        progress_show(totals);
        if (arguments->failures_max > 0 && totals->failed >= arguments->failures_max) {
            return 0;
        }
    }
    return alive;
}

static int run_all(const struct arguments *arguments, struct totals *totals)
{
    struct worker workers[WORKERS];
    progress_begin(arguments, totals);
    for (size_t i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.fd = -1, .next = arguments->first + i};
        if (workers[i].next <= arguments->last && begin(arguments, &workers[i]) != 0) {
            progress_erase();
            fprintf(stderr, "error: no worker could be started\n");
            return -1;
        }
    }
    while (take_outcomes(arguments, workers, totals) > 0) {
    }
    for (size_t i = 0; i < WORKERS; i++) {
        if (workers[i].fd >= 0) { /* enough have failed */
            kill(workers[i].pid, SIGKILL);
        }
    }
    progress_erase();
    return 0;
}

/* ---- what is said in the end */

static int compare_numbers(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Numbers of thousandths. */
static void print_spread(const char *name, struct numbers *numbers)
{
    qsort(numbers->values, numbers->count, sizeof *numbers->values, compare_numbers);
    int64_t median = numbers->values[(numbers->count - 1) / 2];
    int64_t p99 = numbers->values[(numbers->count * 99 + 99) / 100 - 1];
    int64_t most = numbers->values[numbers->count - 1];
    printf("%s count=%zu median=%lld.%03lld p99=%lld.%03lld max=%lld.%03lld", name, numbers->count,
           (long long)(median / 1000), (long long)(median % 1000), (long long)(p99 / 1000),
           (long long)(p99 % 1000), (long long)(most / 1000), (long long)(most % 1000));
}

static void print_totals(const struct arguments *arguments, struct totals *totals, double seconds)
{
    printf("seeds=%" PRIu64 " failed=%" PRIu64 " scenario=%s virtual_s=%lld", totals->seeds,
           totals->failed, arguments->scenario, (long long)(totals->virtual_us / SECOND));
    printf(" messages=%" PRIu64 " turns=%" PRIu64 " slots=%" PRIu64 " appends=%" PRIu64
           " reads=%" PRIu64 " leaders=%" PRIu64 " refused_stores=%" PRIu64 "\n",
           totals->messages, totals->turns, totals->slots, totals->appends, totals->reads,
           totals->leaders, totals->refused);
    printf("keys commands=%" PRIu64 " queries=%" PRIu64 " watch_pages=%" PRIu64 "\n",
           totals->key_commands, totals->queries, totals->watch_pages);
    printf("registers operations=%" PRIu64 " steps_max=%" PRIu64 "\n", totals->register_operations,
           totals->register_steps);
    printf("faults");
    for (size_t i = 0; i < FAULT_KINDS; i++) {
        if (totals->faults[i] > 0) {
            printf(" %s=%" PRIu64, fault_name((enum fault)i), totals->faults[i]);
        }
    }
    printf("\nhealed_max=%lld.%03lld elections\n", (long long)(totals->healed_max / 1000),
           (long long)(totals->healed_max % 1000));
    if (totals->recoveries.count > 0) {
        print_spread("recovery", &totals->recoveries);
        printf(" elections, named at once at most %u, leader changes when healed at most %u, after "
               "it at most %u\n",
               totals->named_max, totals->leaders_whole_max, totals->leaders_after_max);
    }
    if (totals->settled.count > 0) {
        print_spread("settled", &totals->settled);
        printf(" elections\n");
    }
    if (totals->failovers.count > 0) {
        print_spread("failover", &totals->failovers);
        print_spread(" elections", &totals->failover_ms);
        print_spread(" ms, oracle messages", &totals->oracle_messages);
        print_spread(" messages", &totals->all_messages);
        printf(" named at once at most %u\n", totals->named_max);
    }
    printf("hash=%016" PRIx64 "\n", totals->hash);
    for (size_t i = 0; arguments->marks && i < MARK_COUNT; i++) {
        printf("mark %9" PRIu64 " %s\n", totals->marks[i], mark_name((enum mark)i));
    }
    for (size_t i = 0; arguments->marks && i < MET_COUNT; i++) {
        printf("met %10" PRIu64 " %s\n", totals->met[i], met_name((enum met)i));
    }
    double virtual_s = (double)totals->virtual_us / 1e6;
    printf("speed=%.0f times real time (%.1f s of processor)\n",
           seconds > 0 ? virtual_s / seconds : 0.0, seconds);
}

static double processor_seconds(void)
{
    struct timespec own;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
    double seconds = (double)own.tv_sec + (double)own.tv_nsec / 1e9;
    struct rusage children;
    getrusage(RUSAGE_CHILDREN, &children);
    seconds += (double)children.ru_utime.tv_sec + (double)children.ru_utime.tv_usec / 1e6;
    return seconds + (double)children.ru_stime.tv_sec + (double)children.ru_stime.tv_usec / 1e6;
}

static int run(int argc, char **argv)
{
    struct arguments arguments = {.first = 1, .last = 1, .scenario = "swarm"};
    struct totals totals = {0};
    arguments.length_us = 60 * SECOND;
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        print_help();
        return 0;
    }
    if (parse(argc, argv, &arguments) != 0) {
        return 3;
    }
    if (arguments.first == arguments.last) {
        struct outcome_of_run outcome;
        run_seed(&arguments, arguments.first, &outcome);
        add(&totals, &outcome);
    } else if (run_all(&arguments, &totals) != 0) {
        return 1;
    }
    print_totals(&arguments, &totals, processor_seconds());
    free(totals.recoveries.values);
    free(totals.settled.values);
    free(totals.failovers.values);
    free(totals.failover_ms.values);
    free(totals.oracle_messages.values);
    free(totals.all_messages.values);
    return totals.failed == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    int status = run(argc, argv);
    int reason = fflush(stdout) != 0 ? errno : ferror(stdout) ? EIO : 0;
    if (reason == 0) {
        return status;
    }
    fprintf(stderr, "error: standard output cannot be written (%s); try: another place\n",
            strerror(reason));
    return status != 0 ? status : 1;
}
