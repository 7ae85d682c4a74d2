/* The verbs of the `synod` command: one table that main.c dispatches from and every help text is
 * printed from.
 *
 * A verb parses its own options with getopt_long and returns the exit status (DESIGN section 9: 0
 * done, 1 failed, 2 no connection or no quorum, 3 bad input, 4 refused, 5 interrupted). */
#ifndef SYNOD_DEPLOY_VERBS_H
#define SYNOD_DEPLOY_VERBS_H

struct verb {
    const char *name;
    const char *synopsis; /* arguments, as in "[TEXT...] [--quiet]" */
    const char *summary;  /* one line for the list of verbs */
    const char *help;     /* options and examples, one line each; lines end with \n */
    int (*run)(int argc, char **argv);
};

/* argv[0] is the verb's name. Each returns the exit status. */
int verb_append(int argc, char **argv);
int verb_bench(int argc, char **argv);
int verb_dev(int argc, char **argv);
int verb_init(int argc, char **argv);
int verb_leader(int argc, char **argv);
int verb_read(int argc, char **argv);
int verb_status(int argc, char **argv);
int verb_tail(int argc, char **argv);

/* Says on standard error what is wrong with the input: "error: PROBLEM; try: synod NAME --help".
 * Returns 3. */
int verb_usage(const char *name, const char *problem);

/* Prints the help of a verb of the table on standard output. Returns 0. */
int verb_help(const char *name);

/* The row of a verb, or NULL. */
const struct verb *verb_find(const char *name);

/* Prints all verbs with their summaries on standard output. */
void verb_list(void);

/* The verb that name is most likely a misspelling of, or NULL. */
const char *verb_nearest(const char *name);

#endif
