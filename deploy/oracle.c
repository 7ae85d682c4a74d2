/* synod oracle show, set, priority, zone, bar, allow and line. */
#include "deploy/oracle.h"

#include "common/base/memory.h"
#include "common/runtime/log.h"
#include "deploy/options.h"
#include "deploy/show.h"
#include "deploy/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How often a change is tried when others change the settings at the same time. */
#define TRIES_MAX 8

enum {
    OPTION_PREEMPT = OPTION_OWN,
    OPTION_NO_PREEMPT,
    OPTION_ZONE,
    OPTION_DIAMETER,
    OPTION_ORDER,
    OPTION_TOPOLOGY,
};

static const struct option plain_longs[] = {COMMON_LONG_OPTIONS, {NULL, 0, NULL, 0}};

/* ---- reading, changing, setting */

/* Changes what was read as the arguments want it. 0, or the exit status after saying what is wrong.
 */
typedef int (*change_fn)(const void *arg, const char *verb, struct synod_oracle *oracle);

/* The candidate of that id; NULL after saying that there is none. */
static struct synod_candidate *find(const char *verb, struct synod_oracle *oracle, uint32_t id)
{
    for (size_t i = 0; i < oracle->candidate_count; i++) {
        if (oracle->candidates[i].id == id) {
            return &oracle->candidates[i];
        }
    }
    char problem[96];
    snprintf(problem, sizeof problem, "there is no %s %u (cluster.yml lists who could lead)",
             oracle_role(oracle), id);
    verb_usage(verb, problem);
    return NULL;
}

/* Reads, changes and sets once. *status is other than 0 if the arguments do not fit. */
static int try_change(struct synod *s, const char *verb, change_fn change, const void *arg,
                      struct synod_oracle *oracle, int *status)
{
    int rc = synod_oracle_get(s, SYNOD_LINEARIZABLE, oracle);
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct synod_oracle before = *oracle;
    *status = change(arg, verb, oracle);
    if (*status != 0 || memcmp(&before, oracle, sizeof before) == 0) {
        return SYNOD_OK; /* each change makes all proposers begin anew: not for nothing */
    }
    return synod_oracle_set(s, oracle, &oracle->version);
}

static int run_change(const struct common_options *common, change_fn change, const void *arg)
{
    struct synod *s = NULL;
    output_init();
    int status = options_open(common, &s);
    if (status != 0) {
        return status;
    }
    struct synod_oracle oracle;
    int rc = SYNOD_E_CHANGED;
    for (int i = 0; i < TRIES_MAX && rc == SYNOD_E_CHANGED; i++) {
        rc = try_change(s, common->verb, change, arg, &oracle, &status);
    }
    if (rc == SYNOD_OK && status == 0) {
        oracle_print(common->form, &oracle);
    }
    int end = options_close(s, rc);
    return status != 0 ? status : end;
}

/* ---- show */

int verb_oracle_show(int argc, char **argv)
{
    struct common_options common = {.form = OUTPUT_TABLE};
    struct synod *s = NULL;
    int status = options_open_alone(argc, argv, &common, &s);
    if (s == NULL) {
        return status;
    }
    struct synod_oracle oracle;
    int rc = synod_oracle_get(s, SYNOD_LINEARIZABLE, &oracle);
    if (rc == SYNOD_OK) {
        oracle_print(common.form, &oracle);
    }
    return options_close(s, rc);
}

/* ---- set */

/* What was typed; the lists are in `typed`. */
struct set_run {
    struct common_options common;
    enum synod_oracle_kind kind;
    int has_preempt, has_zone, has_diameter, has_order, has_topology;
    struct synod_oracle typed;
};

/* "none" is no zone, as in every list of settings that are typed. */
static int take_zone(const char *verb, const char *name, const char *text, char *zone)
{
    static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    text = strcmp(text, "none") == 0 ? "" : text;
    size_t size = strlen(text);
    if (size >= SYNOD_ZONE_BYTES || strspn(text, chars) != size) {
        char problem[160];
        snprintf(problem, sizeof problem,
                 "%s: \"%.40s\" is no zone (it has at most %d letters, digits and . _ -)", name,
                 text, SYNOD_ZONE_BYTES - 1);
        return verb_usage(verb, problem);
    }
    memset(zone, 0, SYNOD_ZONE_BYTES);
    memcpy(zone, text, size);
    return 0;
}

static int take_set_option(void *arg, int option, const char *value)
{
    struct set_run *run = arg;
    const char *verb = run->common.verb;
    uint64_t number = 0;
    int rc = 0;
    switch (option) {
    case OPTION_PREEMPT:
    case OPTION_NO_PREEMPT:
        run->has_preempt = 1;
        run->typed.preempts = option == OPTION_PREEMPT;
        return 0;
    case OPTION_ZONE:
        run->has_zone = 1;
        return take_zone(verb, "--zone", value, run->typed.zone);
    case OPTION_DIAMETER:
        run->has_diameter = 1;
        rc = options_number(verb, "--diameter", value, 0, SYNOD_MEMBERS_MAX - 1, &number);
        run->typed.diameter = (uint32_t)number;
        return rc;
    case OPTION_ORDER:
        run->has_order = 1;
        return oracle_parse_order(verb, value, &run->typed);
    default:
        run->has_topology = 1;
        return oracle_parse_topology(verb, value, &run->typed);
    }
}

/* 1 if no candidate before this one is in its zone. */
static int is_new_zone(const struct synod_oracle *oracle, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcmp(oracle->candidates[i].zone, oracle->candidates[index].zone) == 0) {
            return 0;
        }
    }
    return oracle->candidates[index].zone[0] != '\0';
}

/* A preferred zone in which nobody is ranks nobody, which is what a typo looks like. Who means it
 * can say first who will be in it: zones of candidates alone change nothing. 0, or 3 after saying
 * which zones there are. */
static int check_zone(const struct synod_oracle *oracle, const char *zone)
{
    char zones[SYNOD_MEMBERS_MAX * (SYNOD_ZONE_BYTES + 2) + 16] = "none is in any";
    char sentence[sizeof zones + 200];
    size_t n = 0;
    for (size_t i = 0; i < oracle->candidate_count; i++) {
        if (strcmp(oracle->candidates[i].zone, zone) == 0) {
            return 0;
        }
        if (is_new_zone(oracle, i)) {
            n += (size_t)snprintf(zones + n, sizeof zones - n, "%s%s",
                                  n == 0 ? "the zones are " : ", ", oracle->candidates[i].zone);
        }
    }
    snprintf(sentence, sizeof sentence,
             "no %s is in zone \"%s\" (%s); try: %ssynod oracle zone ID=%s first",
             oracle_role(oracle), zone, zones, n > 0 ? "one of these, or " : "", zone);
    return options_fail(SYNOD_E_USAGE, sentence);
}

static int change_kind(const void *arg, const char *verb, struct synod_oracle *oracle)
{
    const struct set_run *run = arg;
    (void)verb;
    if (run->has_zone && run->typed.zone[0] != '\0' && check_zone(oracle, run->typed.zone) != 0) {
        return 3;
    }
    oracle->kind = run->kind;
    oracle->preempts = run->has_preempt ? run->typed.preempts : oracle->preempts;
    oracle->diameter = run->has_diameter ? run->typed.diameter : oracle->diameter;
    if (run->has_zone) {
        memcpy(oracle->zone, run->typed.zone, sizeof oracle->zone);
    }
    if (run->has_order) {
        oracle->order_count = run->typed.order_count;
        memcpy(oracle->order, run->typed.order, sizeof oracle->order);
    }
    if (run->has_topology) {
        oracle->edge_count = run->typed.edge_count;
        memcpy(oracle->edges, run->typed.edges, sizeof oracle->edges);
    }
    return 0;
}

static int take_kind(const char *verb, const char *text, enum synod_oracle_kind *out)
{
    char problem[200];
    if (synod_oracle_kind_parse(text, out)) {
        return 0;
    }
    snprintf(problem, sizeof problem,
             "\"%.40s\" is no oracle (connected, lease, ring, floodmax, gossip, succession, static "
             "or external)",
             text);
    return verb_usage(verb, problem);
}

int verb_oracle_set(int argc, char **argv)
{
    static const struct option longs[] = {COMMON_LONG_OPTIONS,
                                          {"preempt", no_argument, NULL, OPTION_PREEMPT},
                                          {"no-preempt", no_argument, NULL, OPTION_NO_PREEMPT},
                                          {"zone", required_argument, NULL, OPTION_ZONE},
                                          {"diameter", required_argument, NULL, OPTION_DIAMETER},
                                          {"order", required_argument, NULL, OPTION_ORDER},
                                          {"topology", required_argument, NULL, OPTION_TOPOLOGY},
                                          {NULL, 0, NULL, 0}};
    struct set_run *run = memory_calloc(1, sizeof *run);
    int status = 0;
    run->common.form = OUTPUT_TABLE;
    if (!options_parse(argc, argv, longs, &run->common, take_set_option, run, &status)) {
        status = options_arguments(argc, argv, 1, 1, "the name of an oracle") < 0
                     ? 3
                     : take_kind(argv[0], argv[optind], &run->kind);
        status = status != 0 ? status : run_change(&run->common, change_kind, run);
    }
    free(run);
    return status;
}

/* ---- priority, zone, bar, allow */

/* One argument: of whom, and what. */
struct word {
    uint32_t id;
    uint32_t priority;
    char zone[SYNOD_ZONE_BYTES];
};

struct words {
    size_t count;
    int is_barred;
    struct word list[SYNOD_MEMBERS_MAX];
};

static int change_priority(const void *arg, const char *verb, struct synod_oracle *oracle)
{
    const struct words *words = arg;
    for (size_t i = 0; i < words->count; i++) {
        struct synod_candidate *candidate = find(verb, oracle, words->list[i].id);
        if (candidate == NULL) {
            return 3;
        }
        candidate->priority = words->list[i].priority;
    }
    return 0;
}

static int change_zone(const void *arg, const char *verb, struct synod_oracle *oracle)
{
    const struct words *words = arg;
    for (size_t i = 0; i < words->count; i++) {
        struct synod_candidate *candidate = find(verb, oracle, words->list[i].id);
        if (candidate == NULL) {
            return 3;
        }
        memcpy(candidate->zone, words->list[i].zone, sizeof candidate->zone);
    }
    return 0;
}

static int change_barred(const void *arg, const char *verb, struct synod_oracle *oracle)
{
    const struct words *words = arg;
    for (size_t i = 0; i < words->count; i++) {
        struct synod_candidate *candidate = find(verb, oracle, words->list[i].id);
        if (candidate == NULL) {
            return 3;
        }
        candidate->is_barred = words->is_barred;
    }
    return 0;
}

typedef int (*word_fn)(const char *verb, const char *text, struct word *out);

static int parse_priority(const char *verb, const char *text, struct word *out)
{
    const char *value = NULL;
    uint64_t number = 0;
    int rc = oracle_parse_pair(verb, text, &out->id, &value);
    if (rc == 0) {
        rc = options_number(verb, "priority", value, 0, UINT32_MAX, &number);
        out->priority = (uint32_t)number;
    }
    return rc;
}

static int parse_zone(const char *verb, const char *text, struct word *out)
{
    const char *value = NULL;
    int rc = oracle_parse_pair(verb, text, &out->id, &value);
    return rc != 0 ? rc : take_zone(verb, "zone", value, out->zone);
}

static int parse_id(const char *verb, const char *text, struct word *out)
{
    uint64_t id = 0;
    int rc = options_number(verb, "ID", text, 1, UINT32_MAX, &id);
    out->id = (uint32_t)id;
    return rc;
}

/* A verb whose arguments each name a candidate. */
static int run_words(int argc, char **argv, const char *expected, word_fn parse, change_fn change,
                     int is_barred)
{
    struct common_options common = {.form = OUTPUT_TABLE};
    struct words words = {.is_barred = is_barred};
    int status = 0;
    if (options_parse(argc, argv, plain_longs, &common, NULL, NULL, &status)) {
        return status;
    }
    int count = options_arguments(argc, argv, 1, SYNOD_MEMBERS_MAX, expected);
    for (int i = 0; i < count; i++) {
        if (parse(argv[0], argv[optind + i], &words.list[words.count++]) != 0) {
            return 3;
        }
    }
    return count < 0 ? 3 : run_change(&common, change, &words);
}

int verb_oracle_priority(int argc, char **argv)
{
    return run_words(argc, argv, "ids with priorities, like 1=5", parse_priority, change_priority,
                     0);
}

int verb_oracle_zone(int argc, char **argv)
{
    return run_words(argc, argv, "ids with zones, like 1=eu", parse_zone, change_zone, 0);
}

int verb_oracle_bar(int argc, char **argv)
{
    return run_words(argc, argv, "ids", parse_id, change_barred, 1);
}

int verb_oracle_allow(int argc, char **argv)
{
    return run_words(argc, argv, "ids", parse_id, change_barred, 0);
}

/* ---- line */

static void print_place(enum output_form form, size_t number, const struct synod_place *place)
{
    char left[32];
    show_duration(left, place->left_ms);
    if (form == OUTPUT_JSON) {
        output_json(json_pack("{s:I, s:I, s:I, s:I}", "place", (json_int_t)number, "proposer",
                              (json_int_t)place->proposer, "since", (json_int_t)place->since,
                              "left_ms", (json_int_t)place->left_ms));
    } else {
        output_text("proposer %u since slot %llu left %s\n", place->proposer,
                    (unsigned long long)place->since, left);
    }
}

static void print_line(enum output_form form, const struct synod_place *places, size_t count)
{
    if (form != OUTPUT_TABLE) {
        for (size_t i = 0; i < count; i++) {
            print_place(form, i + 1, &places[i]);
        }
        return;
    }
    struct table *table = memory_calloc(1, sizeof *table);
    table_row(table);
    table_cell(table, "PLACE");
    table_cell(table, "PROPOSER");
    table_cell(table, "SINCE");
    table_cell(table, "LEFT");
    for (size_t i = 0; i < count; i++) {
        char left[32];
        show_duration(left, places[i].left_ms);
        table_row(table);
        table_cell(table, "%zu", i + 1);
        table_cell(table, "%u", places[i].proposer);
        table_cell(table, "%llu", (unsigned long long)places[i].since);
        table_cell(table, "%s", left);
    }
    table_print(table);
    free(table);
}

/* The line as long as it means something: what another oracle finds in the log is left over. Of an
 * empty one *sentence says why it is empty. */
static int read_line(struct synod *s, struct synod_place *places, size_t *count,
                     const char **sentence)
{
    struct synod_oracle oracle;
    int rc = synod_oracle_get(s, SYNOD_LINEARIZABLE, &oracle);
    if (rc == SYNOD_OK && oracle.kind != SYNOD_ORACLE_SUCCESSION) {
        *sentence = "there is no line of successors (another oracle is set); try: synod oracle set "
                    "succession";
        return SYNOD_OK;
    }
    if (rc == SYNOD_OK) {
        rc = synod_oracle_line(s, places, SYNOD_MEMBERS_MAX, count);
    }
    *count = *count < SYNOD_MEMBERS_MAX ? *count : SYNOD_MEMBERS_MAX;
    *sentence = "nobody is in the line yet (proposers register within moments); try: again";
    return rc;
}

int verb_oracle_line(int argc, char **argv)
{
    struct common_options common = {.form = OUTPUT_TABLE};
    struct synod *s = NULL;
    struct synod_place places[SYNOD_MEMBERS_MAX];
    size_t count = 0;
    int status = options_open_alone(argc, argv, &common, &s);
    if (s == NULL) {
        return status;
    }
    const char *sentence = NULL;
    int rc = read_line(s, places, &count, &sentence);
    if (rc == SYNOD_OK && count > 0) {
        print_line(common.form, places, count);
    }
    status = options_close(s, rc);
    if (rc == SYNOD_OK && count == 0) {
        log_error("%s", sentence);
        status = 1;
    }
    return status;
}
