#include "deploy/options.h"

#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/runtime/log.h"
#include "deploy/output.h"
#include "deploy/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t is_interrupted;

/* A signal that arrives just before the library waits would not end that wait; so the alarm repeats
 * it a moment later. */
static void on_signal(int number)
{
    if (number != SIGALRM) {
        is_interrupted = 1;
    }
    alarm(1);
}

static void watch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: waits have to end */
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
}

int options_is_interrupted(void)
{
    return is_interrupted != 0;
}

static const char *open_verb = "VERB"; /* the one that opened a handle */

/* What to do about a code, where its sentence does not say; NULL: the help may say. */
static const char *way_out(int code)
{
    static const struct {
        int code;
        const char *text;
    } ways[] = {
        {SYNOD_E_UNAVAILABLE, "again, or with a longer --timeout"},
        {SYNOD_E_COMPACTED, "a later revision"},
        {SYNOD_E_FUTURE, "synod get, which shows the revision with -o json"},
        {SYNOD_E_LEASE, "synod lease list"},
        {SYNOD_E_TOO_LARGE, "--limit"},
        {SYNOD_E_LOST, "to claim it again"},
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        if (ways[i].code == code) {
            return ways[i].text;
        }
    }
    return NULL;
}

int options_fail(int code, const char *sentence)
{
    const char *way = way_out(code);
    if (strstr(sentence, "try: ") != NULL) {
        log_error("%s", sentence);
    } else if (way != NULL) {
        log_error("%s; try: %s", sentence, way);
    } else {
        log_error("%s; try: %s%s --help", sentence, verb_command(), open_verb);
    }
    return code == SYNOD_E_SESSION ? 1 : error_exit_status(code);
}

static int bad_value(const char *verb, const char *name, const char *text, const char *expected)
{
    char problem[256];
    snprintf(problem, sizeof problem, "%s: \"%.60s\" is not %s", name, text, expected);
    return verb_usage(verb, problem);
}

int options_number(const char *verb, const char *name, const char *text, uint64_t lowest,
                   uint64_t highest, uint64_t *out)
{
    char expected[96];
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < lowest ||
        value > highest) {
        snprintf(expected, sizeof expected, "a number from %llu to %llu",
                 (unsigned long long)lowest, (unsigned long long)highest);
        return bad_value(verb, name, text, expected);
    }
    *out = value;
    return 0;
}

static int duration_of(const char *text, double *out_ms)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    char *end = NULL;
    double value = strtod(text, &end);
    const char *digits = text + (text[0] == '-');
    if (digits[0] < '0' || digits[0] > '9' || end != digits + strspn(digits, "0123456789.")) {
        return 0; /* strtod would also take hexadecimal digits and exponents */
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].unit) == 0) {
            *out_ms = value * units[i].ms;
            return 1;
        }
    }
    *out_ms = 0;
    return strcmp(text, "0") == 0;
}

int options_time(const char *verb, const char *name, const char *text, uint64_t lowest_ms,
                 uint64_t highest_ms, uint64_t *out_ms)
{
    double ms = 0;
    if (!duration_of(text, &ms)) {
        return bad_value(verb, name, text, "a duration like 200ms, 5s or 2m");
    }
    if (ms < (double)lowest_ms || ms > (double)highest_ms) {
        char expected[96];
        snprintf(expected, sizeof expected, "a duration from %llums to %llus",
                 (unsigned long long)lowest_ms, (unsigned long long)highest_ms / 1000);
        return bad_value(verb, name, text, expected);
    }
    *out_ms = (uint64_t)ms;
    return 0;
}

int options_duration(const char *verb, const char *name, const char *text, uint32_t *out_ms)
{
    uint64_t ms = 0;
    int rc = options_time(verb, name, text, 1, UINT32_MAX - 1, &ms);
    if (rc == 0) {
        *out_ms = (uint32_t)ms;
    }
    return rc;
}

int options_consistency(const char *verb, const char *text, enum synod_consistency *out)
{
    int is_local = strcmp(text, "local") == 0;
    if (!is_local && strcmp(text, "linearizable") != 0) {
        return bad_value(verb, "--consistency", text, "linearizable or local");
    }
    *out = is_local ? SYNOD_LOCAL : SYNOD_LINEARIZABLE;
    return 0;
}

static int take_form(const char *verb, const char *text, enum output_form *out)
{
    static const char *const names[] = {"plain", "table", "json"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum output_form)i;
            return 0;
        }
    }
    return bad_value(verb, "-o", text, "plain, table or json");
}

static int take_common(struct common_options *common, int option, const char *value)
{
    uint64_t number = 0;
    int rc = 0;
    switch (option) {
    case 'c':
        common->client.cluster = value;
        return 0;
    case 'o':
        return take_form(common->verb, value, &common->form);
    case 't':
        return options_duration(common->verb, "--timeout", value, &common->client.timeout_ms);
    default:
        rc = options_number(common->verb, "--learner", value, 1, UINT32_MAX, &number);
        common->client.learner = (uint32_t)number;
        return rc;
    }
}

static int bad_option(const char *verb, int option, char **argv)
{
    char problem[160];
    /* getopt notes its letter, and whose value is too much; only that one has a "=". */
    int is_letter = option == '?' && optopt != 0 && strchr(argv[optind - 1], '=') == NULL;
    if (is_letter) {
        snprintf(problem, sizeof problem, "unknown option: -%c", optopt);
    } else {
        snprintf(problem, sizeof problem, "%s: %.80s",
                 option == ':' ? "an option without its value" : "unknown option",
                 argv[optind - 1]);
    }
    return verb_usage(verb, problem);
}

/* A digit behind a dash is no option of any verb: the word is a negative number, which is an
 * argument, and whether it is a good one is for the verb to say. For getopt it has to be an option,
 * with whatever else is in the word. */
#define DIGITS "0::1::2::3::4::5::6::7::8::9::"

/* What getopt answers for an argument when it is told by "-" to leave them in their places. */
#define IS_ARGUMENT 1

static int take_option(struct common_options *common, own_option_fn own, void *arg, int option,
                       char **argv)
{
    if (option == ':' || option == '?') {
        return bad_option(argv[0], option, argv);
    }
    return option >= OPTION_OWN ? own(arg, option, optarg) : take_common(common, option, optarg);
}

/* Puts the arguments behind all options, as getopt would by itself. */
static void gather_arguments(int argc, char **argv, char **words, int count)
{
    for (; optind < argc; optind++) { /* what stands behind "--" */
        words[count++] = argv[optind];
    }
    optind = argc - count;
    for (int i = 0; i < count; i++) {
        argv[optind + i] = words[i];
    }
}

int options_parse(int argc, char **argv, const struct option *longs, struct common_options *common,
                  own_option_fn own, void *arg, int *exit_status)
{
    const char *shorts = common != NULL ? "-:ho:" DIGITS : "-:" DIGITS;
    if (common != NULL) {
        common->verb = argv[0];
    }
    char **words = memory_calloc((size_t)argc, sizeof *words);
    int count = 0;
    int is_help = 0;
    optind = 0; /* a fresh start, for getopt was used for the options before the verb */
    opterr = 0;
    int option = 0;
    *exit_status = 0;
    while (*exit_status == 0 && !is_help &&
           (option = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        is_help = option == 'h';
        if (option == IS_ARGUMENT || (option >= '0' && option <= '9')) {
            words[count++] = argv[optind - 1];
        } else {
            *exit_status =
                is_help ? verb_help(argv[0]) : take_option(common, own, arg, option, argv);
        }
    }
    gather_arguments(argc, argv, words, count);
    free(words);
    return is_help || *exit_status != 0;
}

int options_arguments(int argc, char **argv, int least, int most, const char *expected)
{
    int count = argc - optind;
    if (count >= least && count <= most) {
        return count;
    }
    char problem[256];
    if (count > most) {
        snprintf(problem, sizeof problem, "it takes %s, and \"%.60s\" is too much", expected,
                 argv[optind + most]);
    } else {
        snprintf(problem, sizeof problem, "it needs %s", expected);
    }
    verb_usage(argv[0], problem);
    return -1;
}

char **options_cut_command(int *argc, char **argv)
{
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            *argc = i;
            argv[i] = NULL;
            return argv + i + 1;
        }
    }
    return NULL;
}

int options_check_command(const char *verb, char **command)
{
    return command == NULL || command[0] != NULL ? 0 : verb_usage(verb, "no command follows --");
}

int options_open(const struct common_options *common, struct synod **out)
{
    char why[SYNOD_ERROR_BYTES];
    watch_signals();
    open_verb = common->verb;
    int rc = synod_open(&common->client, out, why);
    return rc == SYNOD_OK ? 0 : options_fail(rc, why);
}

int options_open_alone(int argc, char **argv, struct common_options *common, struct synod **out)
{
    static const struct option longs[] = {COMMON_LONG_OPTIONS, {NULL, 0, NULL, 0}};
    int status = 0;
    *out = NULL;
    if (options_parse(argc, argv, longs, common, NULL, NULL, &status)) {
        return status;
    }
    if (options_arguments(argc, argv, 0, 0, "no arguments, only options") < 0) {
        return 3;
    }
    output_init();
    return options_open(common, out);
}

int options_close(struct synod *s, int code)
{
    int status = 0;
    output_flush();
    if (code == SYNOD_E_INTERRUPTED) {
        status = 5;
    } else if (code != SYNOD_OK) {
        status = options_fail(code, synod_error(s));
    }
    synod_close(s);
    return status;
}

int options_ping(struct synod *s, enum synod_consistency consistency, uint64_t *revision)
{
    struct synod_request request = {.op = SYNOD_RANGE};
    request.as.range.key = (struct synod_bytes){"\0", 1};
    request.as.range.count_only = 1;
    struct synod_result *result = NULL;
    int rc = synod_request(s, &request, consistency, &result);
    if (rc == SYNOD_OK && revision != NULL) {
        *revision = result->revision;
    }
    synod_result_free(result);
    return rc;
}

static int unreadable(const char *verb, const char *path, const char *why)
{
    char problem[256];
    snprintf(problem, sizeof problem, "%.120s cannot be read (%s)",
             path != NULL ? path : "standard input", why);
    return verb_usage(verb, problem);
}

int options_read_all(const char *verb, const char *path, size_t max_bytes, char **data,
                     size_t *size)
{
    char *bytes = NULL;
    size_t capacity = 0;
    size_t used = 0;
    ssize_t n = 0;
    char why[64];
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    if (fd < 0) {
        return unreadable(verb, path, strerror(errno));
    }
    do {
        bytes = memory_grow(bytes, &capacity, used + 64 * 1024, 1);
        n = read(fd, bytes + used, capacity - used);
        used += n > 0 ? (size_t)n : 0;
    } while (n > 0 && used <= max_bytes);
    snprintf(why, sizeof why, "%s", n < 0 ? strerror(errno) : "");
    if (path != NULL) {
        close(fd);
    }
    if (n < 0 || used > max_bytes) {
        if (n >= 0) {
            snprintf(why, sizeof why, "it is longer than the limit of %zu bytes", max_bytes);
        }
        free(bytes);
        return unreadable(verb, path, why);
    }
    *data = bytes;
    *size = used;
    return 0;
}
