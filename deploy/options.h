/* What the client verbs share: the common options, the output forms, and how a failure is said. */
#ifndef SYNOD_DEPLOY_OPTIONS_H
#define SYNOD_DEPLOY_OPTIONS_H

#include "common/client/synod.h"

#include <getopt.h>
#include <stdint.h>

enum output_form { OUTPUT_PLAIN, OUTPUT_TABLE, OUTPUT_JSON };

/* Options that every client verb takes: --cluster, -o, --timeout, --learner, --help. */
struct common_options {
    const char *verb;
    enum output_form form;
    struct synod_options client;
};

/* What a verb's own options start at; below are characters and those of the common options. */
#define OPTION_OWN 2000

/* To be put first into a verb's table for getopt_long. */
/* clang-format off */
#define COMMON_LONG_OPTIONS                                                                        \
    {"cluster", required_argument, NULL, 'c'},                                                     \
    {"output", required_argument, NULL, 'o'},                                                      \
    {"timeout", required_argument, NULL, 't'},                                                     \
    {"learner", required_argument, NULL, 'l'},                                                     \
    {"help", no_argument, NULL, 'h'}
/* clang-format on */

/* A verb takes one of its own options: 0, or the exit status after saying what is wrong. */
typedef int (*own_option_fn)(void *arg, int option, const char *value);

/* Parses all options; optind is then at the first argument. 0 to go on; otherwise *exit_status is
 * how to end, all said. own may be NULL if longs holds only common ones; common, if it holds none
 * of them. */
int options_parse(int argc, char **argv, const struct option *longs, struct common_options *common,
                  own_option_fn own, void *arg, int *exit_status);

/* How many arguments there are from optind on; -1 if fewer than least or more than most, after
 * saying that the verb takes `expected`, as in "a key and perhaps a value". */
int options_arguments(int argc, char **argv, int least, int most, const char *expected);

/* Cuts "-- CMD..." off: returns CMD, or NULL if there is none. To be called before options_parse,
 * which knows nothing of it. */
char **options_cut_command(int *argc, char **argv);

/* 0; or 3 after saying that nothing follows "--", which is what `-- $UNSET` amounts to. */
int options_check_command(const char *verb, char **command);

/* A number of lowest to highest for an option. 0, or 3 after saying so. */
int options_number(const char *verb, const char *name, const char *text, uint64_t lowest,
                   uint64_t highest, uint64_t *out);

/* "5s", "200ms", "2m", "1h", "7d" to milliseconds, at least 1. 0, or 3 after saying so. */
int options_duration(const char *verb, const char *name, const char *text, uint32_t *out_ms);

/* The same, from lowest to highest; where 0 is allowed, "0" needs no unit. */
int options_time(const char *verb, const char *name, const char *text, uint64_t lowest_ms,
                 uint64_t highest_ms, uint64_t *out_ms);

/* "linearizable" or "local" for --consistency. 0, or 3 after saying so. */
int options_consistency(const char *verb, const char *text, enum synod_consistency *out);

/* Opens the handle and starts to watch for Ctrl-C and SIGTERM, after which every wait of the
 * library ends with SYNOD_E_INTERRUPTED. 0, or the exit status, all said. */
int options_open(const struct common_options *common, struct synod **out);

/* For a verb that takes common options only: parses them, refuses arguments, begins the output and
 * opens the handle. With *out NULL the verb ends with what is returned, all said. */
int options_open_alone(int argc, char **argv, struct common_options *common, struct synod **out);

/* Ends the output and closes the handle. Returns the exit status for the code of the last call,
 * after saying its sentence; an interruption needs none. */
int options_close(struct synod *s, int code);

/* 1 if Ctrl-C was pressed, or SIGTERM came. */
int options_is_interrupted(void);

/* Asks for nothing, to find out whether the cluster answers within the handle's timeout: its code.
 * revision may be NULL. */
int options_ping(struct synod *s, enum synod_consistency consistency, uint64_t *revision);

/* All of a file, or of standard input if path is NULL. *data is malloc'ed. 0, or 3 after saying
 * what is wrong; an input longer than max_bytes is. */
int options_read_all(const char *verb, const char *path, size_t max_bytes, char **data,
                     size_t *size);

/* Says "error: SENTENCE" and returns the exit status for the code. */
int options_fail(int code, const char *sentence);

#endif
