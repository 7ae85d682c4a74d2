/* The daemons that `synod dev` starts and watches. */
#ifndef SYNOD_DEPLOY_CHILDREN_H
#define SYNOD_DEPLOY_CHILDREN_H

#include "common/base/error.h"
#include "common/protocol/types.h"

#include <limits.h>
#include <sys/types.h>

struct child {
    enum role role;
    node_id_t id;
    const char *peer;   /* its addresses in cluster.yml, borrowed */
    const char *client; /* NULL for an acceptor */
    char program[PATH_MAX];
    char data[PATH_MAX]; /* of its store; empty for a proposer */
    char log[PATH_MAX];  /* its standard output and error, appended */
    pid_t pid;           /* 0: not running */
    off_t log_seen;      /* up to here the log was searched for readiness */
    int is_ready;        /* it has said event=ready since it was started */
    time_ms_t started_at;
    time_ms_t restart_at; /* TIME_NEVER, or when to start it again */
    time_ms_t pause_ms;   /* before the next restart; grows while it keeps dying */
};

/* Finds synod-ROLE beside this executable, else in PATH. ERROR_NOT_FOUND with a sentence. */
int child_find_program(enum role role, char out[PATH_MAX], struct errmsg *err) MUST_USE;

/* Starts it in a process group of its own, so that Ctrl-C reaches only us, with nothing to read,
 * and to be killed by the kernel when we die. ERROR_IO, ERROR_INTERNAL. */
int child_start(struct child *child, const char *cluster_path, time_ms_t now,
                struct errmsg *err) MUST_USE;

/* Prints "acceptor 1  pid 1234  tcp://..." and, if given, the note. */
void child_print(const struct child *child, const char *note);

/* Looks for event=ready in what its log has got since the last look. Returns is_ready. */
int child_look_ready(struct child *child);

/* Collects it if it has ended: returns 1, with *status as of waitpid. */
int child_reap(struct child *child, int *status);

/* "exit status 1" or "signal 9 (Killed)", then the last line of its log. */
void child_describe_end(const struct child *child, int status, char *out, size_t size);

#endif
