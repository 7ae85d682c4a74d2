#include "deploy/options.h"

#include "common/base/error.h"
#include "deploy/verbs.h"

#include <errno.h>
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

int options_fail(int code, const char *sentence)
{
    fprintf(stderr, "error: %s\n", sentence);
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

int options_duration(const char *verb, const char *name, const char *text, uint32_t *out_ms)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    char *end = NULL;
    double value = strtod(text, &end);
    if (text[0] >= '0' && text[0] <= '9') {
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
            double ms = value * units[i].ms;
            if (strcmp(end, units[i].unit) == 0 && ms >= 1 && ms < (double)UINT32_MAX) {
                *out_ms = (uint32_t)ms;
                return 0;
            }
        }
    }
    return bad_value(verb, name, text, "a duration like 200ms, 5s or 2m");
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
    snprintf(problem, sizeof problem, "%s: %.80s",
             option == ':' ? "an option without its value" : "unknown option", argv[optind - 1]);
    return verb_usage(verb, problem);
}

int options_parse(int argc, char **argv, const struct option *longs, struct common_options *common,
                  own_option_fn own, void *arg, int *exit_status)
{
    common->verb = argv[0];
    optind = 0; /* a fresh start, for getopt was used for the options before the verb */
    opterr = 0;
    int option = 0;
    *exit_status = 0;
    while (*exit_status == 0 && (option = getopt_long(argc, argv, ":ho:", longs, NULL)) != -1) {
        if (option == 'h') {
            *exit_status = verb_help(argv[0]);
            return 1;
        }
        if (option == ':' || option == '?') {
            *exit_status = bad_option(argv[0], option, argv);
        } else if (option >= OPTION_OWN) {
            *exit_status = own(arg, option, optarg);
        } else {
            *exit_status = take_common(common, option, optarg);
        }
    }
    return *exit_status != 0;
}

int options_open(const struct common_options *common, struct synod **out)
{
    char why[SYNOD_ERROR_BYTES];
    watch_signals();
    int rc = synod_open(&common->client, out, why);
    return rc == SYNOD_OK ? 0 : options_fail(rc, why);
}
