/* What a run says: one line for each change of state, of which the last are kept for a failure, and
 * a hash over all that happened. */
#include "tests/sim/sim.h"

#include "common/base/memory.h"
#include "tests/trace/trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_KEPT 48

struct line {
    time_us_t at;
    char node[8];
    char text[240];
};

struct report {
    uint64_t hash;
    struct line lines[LINES_KEPT];
    size_t count;
};

struct report *report_new(struct sim *sim)
{
    struct report *report = memory_calloc(1, sizeof *report);
    report->hash = sim->options.seed;
    return report;
}

void report_free(struct report *report)
{
    free(report);
}

void report_mix(struct sim *sim, uint64_t a, uint64_t b)
{
    uint64_t hash = sim->report->hash;
    hash = (hash ^ a) * 0x9e3779b97f4a7c15U;
    hash = (hash ^ hash >> 29 ^ b) * 0xbf58476d1ce4e5b9U;
    sim->report->hash = hash ^ hash >> 32;
}

uint64_t report_hash(const struct sim *sim)
{
    return sim->report->hash;
}

static void print_line(const struct line *line)
{
    printf("%6lld.%06lld %-4s %s\n", (long long)(line->at / SECOND), (long long)(line->at % SECOND),
           line->node, line->text);
}

void report_line(struct sim *sim, const struct node *node, const char *fmt, ...)
{
    struct report *report = sim->report;
    struct line *line = &report->lines[report->count++ % LINES_KEPT];
    va_list args;
    line->at = sim->now;
    snprintf(line->node, sizeof line->node, "%s", node != NULL ? node->name : "-");
    va_start(args, fmt);
    vsnprintf(line->text, sizeof line->text, fmt, args);
    va_end(args);
    uint64_t sum = 0;
    for (const char *p = line->text; *p != '\0'; p++) {
        sum = sum * 31 + (uint8_t)*p;
    }
    report_mix(sim, (uint64_t)sim->now, sum);
    if (sim->options.verbose) {
        print_line(line);
    }
}

void report_message(struct sim *sim, const struct node *from, const struct node *to,
                    const struct message *msg)
{
    struct text text = {0};
    trace_message(&text, msg);
    printf("%6lld.%06lld %-4s > %-4s %s\n", (long long)(sim->now / SECOND),
           (long long)(sim->now % SECOND), from->name, to->name, text.data);
    text_close(&text);
}

void sim_say_options(const struct sim_options *options, char *text, size_t size)
{
    char oracle[32] = "";
    char proposers[40] = "";
    if (options->oracle != 0) {
        snprintf(oracle, sizeof oracle, " --oracle %s", oracle_kind_name(options->oracle));
    }
    if (options->proposers > 0) {
        snprintf(proposers, sizeof proposers, " --proposers %zu", options->proposers);
    }
    snprintf(text, size, "%s%s%s --minutes %lld.%03lld", options->is_raft ? " --protocol raft" : "",
             oracle, proposers, (long long)(options->length_us / (60 * SECOND)),
             (long long)(options->length_us % (60 * SECOND) / (60 * MS)));
}

void report_failure(const struct sim *sim)
{
    const struct report *report = sim->report;
    const struct checker *checker = &sim->cluster->checker;
    if (!sim->options.verbose) {
        size_t first = report->count > LINES_KEPT ? report->count - LINES_KEPT : 0;
        for (size_t i = first; i < report->count; i++) {
            print_line(&report->lines[i % LINES_KEPT]);
        }
    }
    printf("FAILED seed=%llu scenario=%s checker=%s at=%lld.%06llds: %s\n",
           (unsigned long long)sim->options.seed, sim->options.scenario, checker->rule,
           (long long)(sim->now / SECOND), (long long)(sim->now % SECOND), checker->violation);
    char more[100] = "";
    sim_say_options(&sim->options, more, sizeof more);
    printf("replay: build/synod-sim%s --seed %llu --scenario %s -v\n", more,
           (unsigned long long)sim->options.seed, sim->options.scenario);
}
