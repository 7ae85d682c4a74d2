#include "deploy/verbs.h"

#include "common/runtime/log.h"
#include "deploy/output.h"

#include <stdio.h>
#include <string.h>

static const struct verb_group *const groups[] = {&verbs_local,   &verbs_log,     &verbs_keys,
                                                  &verbs_recipes, &verbs_leading, &verbs_cluster};

#define GROUP_COUNT (sizeof groups / sizeof groups[0])

static const char client_options[] =
    "Options of every client verb:\n"
    "  --cluster FILE   cluster.yml (default: the environment variable SYNOD_CLUSTER)\n"
    "  -o plain|table|json\n"
    "  --timeout D      how long to wait for the cluster, like 500ms or 5s (default 10s)\n"
    "  --learner ID     use this learner and no other\n";

/* ---- looking up */

/* Of a sub-verb the part that is typed after its verb. */
static const char *last_word(const char *name)
{
    const char *space = strrchr(name, ' ');
    return space != NULL ? space + 1 : name;
}

static const struct verb *find_in(const struct verb_group *group, const char *word)
{
    for (size_t i = 0; i < group->count; i++) {
        if (strcmp(last_word(group->verbs[i].name), word) == 0) {
            return &group->verbs[i];
        }
    }
    return NULL;
}

/* The verb that is spelt by the first size bytes of name; *group gets the one it is of. */
static const struct verb *find_first(const char *name, size_t size, const struct verb_group **group)
{
    for (size_t g = 0; g < GROUP_COUNT; g++) {
        for (size_t i = 0; i < groups[g]->count; i++) {
            const struct verb *verb = &groups[g]->verbs[i];
            if (strncmp(verb->name, name, size) == 0 && verb->name[size] == '\0') {
                *group = groups[g];
                return verb;
            }
        }
    }
    return NULL;
}

static const struct verb *find(const char *name, const struct verb_group **group)
{
    size_t size = strcspn(name, " ");
    const struct verb *verb = find_first(name, size, group);
    if (verb == NULL || name[size] == '\0') {
        return verb;
    }
    return verb->group != NULL ? find_in(verb->group, last_word(name)) : NULL;
}

const struct verb *verb_find(const char *name)
{
    const struct verb_group *group = NULL;
    return find(name, &group);
}

#define NAME_BYTES_MAX 16

/* Levenshtein's distance; names longer than any verb are as far away as can be. */
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(a);
    size_t m = strlen(b);
    size_t row[NAME_BYTES_MAX + 1];
    if (n > NAME_BYTES_MAX || m > NAME_BYTES_MAX) {
        return NAME_BYTES_MAX;
    }
    for (size_t j = 0; j <= m; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[m];
}

static void look_nearest(const struct verb_group *group, const char *name, size_t *least,
                         const char **nearest)
{
    for (size_t i = 0; i < group->count; i++) {
        const char *word = last_word(group->verbs[i].name);
        size_t d = distance(name, word);
        if (d < *least || (d == *least && *nearest == NULL)) {
            *least = d;
            *nearest = word;
        }
    }
}

const char *verb_nearest(const struct verb *of, const char *name)
{
    const char *nearest = NULL;
    size_t least = strlen(name) / 2 + 1; /* farther away it would be a guess, not a typo */
    if (of != NULL) {
        look_nearest(of->group, name, &least, &nearest);
        return nearest;
    }
    for (size_t g = 0; g < GROUP_COUNT; g++) {
        look_nearest(groups[g], name, &least, &nearest);
    }
    return nearest;
}

/* ---- saying */

static const char *place; /* of the input that is being read; NULL: the command line */

void verb_set_place(const char *new_place)
{
    place = new_place;
}

static const struct verb *program; /* NULL: `synod` */

void verb_set_program(const struct verb *new_program)
{
    program = new_program;
}

const char *verb_command(void)
{
    return program != NULL ? "" : "synod ";
}

int verb_usage(const char *name, const char *problem)
{
    log_error("%s%s%s; try: %s%s --help", place != NULL ? place : "", place != NULL ? ": " : "",
              problem, verb_command(), program != NULL ? program->name : name);
    return 3;
}

int verb_help(const char *name)
{
    const struct verb_group *group = NULL;
    if (program != NULL) {
        output_text("usage: %s %s\n\n%s", program->name, program->synopsis, program->help);
        return 0;
    }
    const struct verb *verb = find(name, &group);
    if (verb == NULL) {
        return verb_usage(name, "there is no such verb");
    }
    output_text("usage: synod %s %s\n\n%s", verb->name, verb->synopsis, verb->help);
    if (verb->group != NULL) {
        output_text("\n");
        for (size_t i = 0; i < verb->group->count; i++) {
            const struct verb *sub = &verb->group->verbs[i];
            output_text("  %s %s\n      %s\n", sub->name, sub->synopsis, sub->summary);
        }
        output_text("\n`synod %s %s --help` and so on explain more.\n", verb->name,
                    last_word(verb->group->verbs[0].name));
    }
    if (!group->is_offline) {
        output_text("\n%s", client_options);
    }
    return 0;
}

void verb_list(void)
{
    output_text("usage: synod VERB [OPTION...] [ARGUMENT...]\n\n"
                "A replicated command log, and leaders, locks, leases and keys on top of it.\n");
    for (size_t g = 0; g < GROUP_COUNT; g++) {
        output_text("\n%s:\n", groups[g]->title);
        for (size_t i = 0; i < groups[g]->count; i++) {
            output_text("  %-8s %s\n", groups[g]->verbs[i].name, groups[g]->verbs[i].summary);
        }
    }
    output_text("\n%s\n", client_options);
    output_text(
        "Exit status: 0 done, 1 failed, 2 no connection or no quorum, 3 bad input, 4 refused,\n"
        "5 interrupted. `synod VERB --help` explains a verb.\n");
}

/* ---- dispatch */

/* of: the verb whose sub-verb name should be, or NULL. */
static int unknown(const struct verb *of, const char *name)
{
    const char *nearest = verb_nearest(of, name);
    const char *verb = of != NULL ? of->name : "";
    const char *space = of != NULL ? " " : "";
    if (nearest != NULL) {
        log_error("\"%s%s%.40s\" is no verb (did you mean %s?); try: synod %s%s%s --help", verb,
                  space, name, nearest, verb, space, nearest);
    } else {
        log_error("\"%s%s%.40s\" is no verb; try: synod %s%s--help", verb, space, name, verb,
                  space);
    }
    return 3;
}

static int is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* Says which sub-verbs there are. */
static int missing(const struct verb *verb)
{
    char problem[160];
    int n = snprintf(problem, sizeof problem, "%s needs one of", verb->name);
    for (size_t i = 0; i < verb->group->count && n > 0 && (size_t)n < sizeof problem; i++) {
        n += snprintf(problem + n, sizeof problem - (size_t)n, "%s %s", i > 0 ? "," : "",
                      last_word(verb->group->verbs[i].name));
    }
    return verb_usage(verb->name, problem);
}

/* The row that the words name: how many of them were used up, or 0 and *status, all said. */
static int resolve(int argc, char **argv, const struct verb **out, int *status)
{
    const struct verb_group *group = NULL;
    const struct verb *verb = find_first(argv[0], strlen(argv[0]), &group);
    if (verb == NULL) {
        *status = unknown(NULL, argv[0]);
        return 0;
    }
    *out = verb;
    if (verb->group == NULL || argc < 2 || is_help(argv[1])) {
        return 1;
    }
    *out = find_in(verb->group, argv[1]);
    if (*out == NULL) {
        *status = argv[1][0] == '-' ? missing(verb) : unknown(verb, argv[1]);
        return 0;
    }
    return 2;
}

int verb_dispatch(int argc, char **argv)
{
    const struct verb *verb = NULL;
    int status = 0;
    int used = resolve(argc, argv, &verb, &status);
    if (used == 0) {
        return status;
    }
    if (verb->group != NULL) {
        return argc > 1 ? verb_help(verb->name) : missing(verb);
    }
    argv += used - 1;
    argv[0] = (char *)(size_t)verb->name; /* the options and the sentences know it by this name */
    return verb->run(argc - used + 1, argv);
}

int verb_dispatch_help(int argc, char **argv)
{
    const struct verb *verb = NULL;
    int status = 0;
    return resolve(argc, argv, &verb, &status) == 0 ? status : verb_help(verb->name);
}
