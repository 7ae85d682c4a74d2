/* The verbs of the `synod` command: tables, one a subject, that main.c dispatches from and every
 * help text is printed from.
 *
 * A verb parses its own options with getopt_long and returns the exit status (DESIGN section 9: 0
 * done, 1 failed, 2 no connection or no quorum, 3 bad input, 4 refused, 5 interrupted). */
#ifndef SYNOD_DEPLOY_VERBS_H
#define SYNOD_DEPLOY_VERBS_H

#include <stddef.h>

struct verb_group;

struct verb {
    const char *name;     /* as typed; of a sub-verb, with its verb: "lease grant" */
    const char *synopsis; /* arguments, as in "[TEXT...] [--quiet]" */
    const char *summary;  /* one line for the list of verbs */
    const char *help;     /* options and examples, one line each; lines end with \n */
    int (*run)(int argc, char **argv);
    const struct verb_group *group; /* its sub-verbs, instead of run; NULL if it has none */
};

struct verb_group {
    const char *title;
    const struct verb *verbs;
    size_t count;
    int is_offline; /* they take no options of clients */
};

extern const struct verb_group verbs_local;   /* verbs_cluster.c */
extern const struct verb_group verbs_cluster; /* verbs_cluster.c */
extern const struct verb_group verbs_leading; /* verbs_leading.c */
extern const struct verb_group verbs_log;     /* verbs_log.c */
extern const struct verb_group verbs_keys;    /* verbs_keys.c */
extern const struct verb_group verbs_recipes; /* verbs_recipes.c */

/* argv[0] is the verb's name. Each returns the exit status. */
int verb_append(int argc, char **argv);
int verb_bench(int argc, char **argv);
int verb_compact(int argc, char **argv);
int verb_del(int argc, char **argv);
int verb_dev(int argc, char **argv);
int verb_elect(int argc, char **argv);
int verb_explain(int argc, char **argv);
int verb_get(int argc, char **argv);
int verb_init(int argc, char **argv);
int verb_leader(int argc, char **argv);
int verb_lease_grant(int argc, char **argv);
int verb_lease_keepalive(int argc, char **argv);
int verb_lease_list(int argc, char **argv);
int verb_lease_revoke(int argc, char **argv);
int verb_lease_ttl(int argc, char **argv);
int verb_lock(int argc, char **argv);
int verb_oracle_allow(int argc, char **argv);
int verb_oracle_bar(int argc, char **argv);
int verb_oracle_line(int argc, char **argv);
int verb_oracle_priority(int argc, char **argv);
int verb_oracle_set(int argc, char **argv);
int verb_oracle_show(int argc, char **argv);
int verb_oracle_zone(int argc, char **argv);
int verb_put(int argc, char **argv);
int verb_queue_ack(int argc, char **argv);
int verb_queue_claim(int argc, char **argv);
int verb_queue_extend(int argc, char **argv);
int verb_queue_push(int argc, char **argv);
int verb_queue_release(int argc, char **argv);
int verb_queue_show(int argc, char **argv);
int verb_read(int argc, char **argv);
int verb_status(int argc, char **argv);
int verb_tail(int argc, char **argv);
int verb_transfer(int argc, char **argv);
int verb_txn(int argc, char **argv);
int verb_watch(int argc, char **argv);
int verb_work_claim(int argc, char **argv);
int verb_work_complete(int argc, char **argv);
int verb_work_list(int argc, char **argv);
int verb_work_release(int argc, char **argv);
int verb_work_renew(int argc, char **argv);
int verb_work_show(int argc, char **argv);

/* Runs the verb that argv[0] names, or the sub-verb that argv[0] and argv[1] name, or prints its
 * help. Returns the exit status; a name that is none is answered with the nearest. */
int verb_dispatch(int argc, char **argv);

/* The same for `synod help argv...`. */
int verb_dispatch_help(int argc, char **argv);

/* Says on standard error what is wrong with the input: "error: PROBLEM; try: synod NAME --help".
 * Returns 3. */
int verb_usage(const char *name, const char *problem);

/* This program is not `synod` but one of its own (deploy/oracles): the row has its name and its
 * help, and usage and help speak of it. */
void verb_set_program(const struct verb *program);

/* What is typed before the name of a verb: "synod ", or nothing in such a program. */
const char *verb_command(void);

/* From now on verb_usage says where the input stands, as in "FILE:3"; NULL: not any more. */
void verb_set_place(const char *place);

/* Prints the help of a verb of the tables on standard output. Returns 0. */
int verb_help(const char *name);

/* The row of a verb, or of a sub-verb ("lease grant"), or NULL. */
const struct verb *verb_find(const char *name);

/* Prints all verbs with their summaries on standard output. */
void verb_list(void);

/* The verb, or (of is not NULL) the sub-verb of that verb, that name is most likely a misspelling
 * of, or NULL. */
const char *verb_nearest(const struct verb *of, const char *name);

#endif
