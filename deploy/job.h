/* Commands that verbs run for the user.
 *
 * A process that has a handle of libsynod has threads and sockets of ZeroMQ, and must not go on in
 * a fork of it. So `lock` and `elect` fork the process of their command before they open a handle;
 * it waits for its environment, or for the end. `watch` does not know how often it will run its
 * command, and leaves the fork to posix_spawn. No command inherits a descriptor but the first
 * three. */
#ifndef SYNOD_DEPLOY_JOB_H
#define SYNOD_DEPLOY_JOB_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the shell says of commands that cannot be started. */
#define JOB_NOT_EXECUTABLE 126
#define JOB_NOT_FOUND 127
#define JOB_SIGNALLED 128 /* and the number of the signal */

struct job {
    pid_t pid;      /* 0: none, or it has ended */
    int go_fd;      /* what it still needs is written here; closed: it ends */
    int verdict_fd; /* errno if it cannot be started; closed by its start */
    const char *name;
};

/* Forks the process of a command. When we die it is told by SIGTERM. 0, or 1 after saying why not.
 * To be called before synod_open. */
int job_prepare(struct job *job, char **command);

/* Starts the command with these variables in its environment: NAME=VALUE texts, up to a NULL. 0, or
 * the exit status after saying why it could not be started; it has ended then. */
int job_start(struct job *job, const char *const *variables);

/* 1 if it has ended, with *status as the shell would say it. Never waits. Takes every other child
 * of ours that has ended as well: orphans that were adopted (deploy/tree.h). */
int job_reap(struct job *job, int *status);

/* Ends a command that was prepared and not started. */
void job_drop(struct job *job);

/* Runs a command to its end, with these bytes as its standard input. Returns its exit status as the
 * shell would say it, after saying so if it could not be started. */
int job_run(char **command, const void *input, size_t size);

#endif
