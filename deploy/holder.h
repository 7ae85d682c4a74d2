/* What `synod lock` and `synod elect` have in common: something is held in the cluster while a
 * command runs, or until a signal. */
#ifndef SYNOD_DEPLOY_HOLDER_H
#define SYNOD_DEPLOY_HOLDER_H

#include "deploy/job.h"
#include "deploy/options.h"

struct holder_options {
    struct common_options common;
    uint32_t wait_ms; /* UINT32_MAX: for ever */
    uint64_t ttl_ms;
    uint64_t grace_ms;
    char **command; /* NULL: none */
};

/* What is held, by its functions; arg is given to each. */
struct holder {
    const char *kind;     /* "the lock", for sentences */
    const char *name;     /* its name */
    const char *variable; /* that tells the command the name */
    void *arg;
    int (*acquire)(void *arg, struct synod *s, uint32_t wait_ms); /* a code; waits */
    uint64_t (*token)(void *arg);
    int (*is_held)(void *arg);
    int (*release)(void *arg); /* a code; frees it */
    void (*print)(void *arg, enum output_form form);
};

/* The long options of both, and what takes them. */
enum { OPTION_WAIT = OPTION_OWN, OPTION_TTL, OPTION_GRACE, OPTION_AFTER_HOLD };

/* clang-format off */
#define HOLD_LONG_OPTIONS                                                                          \
    {"wait", required_argument, NULL, OPTION_WAIT},                                                \
    {"ttl", required_argument, NULL, OPTION_TTL},                                                  \
    {"grace", required_argument, NULL, OPTION_GRACE}
/* clang-format on */

void holder_defaults(struct holder_options *options);
int holder_take_option(struct holder_options *options, int option, const char *value);

/* Opens a handle, acquires, runs the command or waits for a signal, releases. The exit status. */
int holder_run(const struct holder_options *options, const struct holder *hold);

#endif
