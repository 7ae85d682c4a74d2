/* Whether somebody leads, asked by a child process through libsynod, so that the process that
 * starts daemons stays free of sockets and threads. */
#ifndef SYNOD_DEPLOY_DEV_PROBE_H
#define SYNOD_DEPLOY_DEV_PROBE_H

#include "common/base/error.h"

#include <sys/types.h>

/* Zero-initialise; stop with probe_stop. */
struct probe {
    pid_t pid; /* 0: not running */
    int fd;    /* its sentence comes through this pipe if it fails */
};

int probe_is_running(const struct probe *probe);

/* Forks the child, which asks until there is a leader. ERROR_INTERNAL. */
int probe_start(struct probe *probe, const char *cluster_path, struct errmsg *err) MUST_USE;

/* Never blocks. 0 with *leads; a negative code if the question itself is refused. */
int probe_look(struct probe *probe, int *leads, struct errmsg *err) MUST_USE;

void probe_stop(struct probe *probe);

#endif
