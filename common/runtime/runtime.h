/* The loop that drives a core in a daemon: drain, step, one write with one sync, send.
 *
 * This is the only place where "persist before send" is implemented for real processes. One thread
 * owns the core, the store and the sockets. */
#ifndef SYNOD_RUNTIME_RUNTIME_H
#define SYNOD_RUNTIME_RUNTIME_H

#include "common/config/config.h"
#include "common/protocol/core.h"
#include "common/store/store.h"

struct runtime_options {
    const struct config *config;
    struct peer self;
    uint64_t incarnation;
    struct core core;
    struct store *store; /* NULL: a core without durable state, which may put no records */
};

/* 64 random bits from the kernel, never 0. The incarnation of a process. */
uint64_t runtime_draw_incarnation(void);

/* Listens, steps the core with EVENT_START, dials whom the role has to reach and runs until SIGTERM
 * or SIGINT has drained it (returns 0), or until a failure (a negative code, already said as
 * "error: ..."): ERROR_USAGE if it cannot listen, ERROR_REFUSED if another live process has its
 * identity. A failed write, and a core that says fatal, end the process at once with status 1, so
 * that nothing more can leave. Prints one log line "event=ready" when it listens. Must be the only
 * user of the process's signals (daemon_parse blocked them) and be called once. */
int runtime_run(const struct runtime_options *options);

/* What main.c of every role shares: parses --cluster, --id, --data, --lead-anyway, --help and
 * --version, loads the configuration and checks that the id is a member. */
struct daemon_arguments {
    const char *cluster_path;
    const char *data_dir; /* NULL for a role without store */
    node_id_t id;
    int leads_anyway; /* --lead-anyway: of a role that can lead under the protocol */
    struct config config;
};

/* 0 to go on; otherwise *exit_status says how to end (0 after --help, 3 after bad input), all said.
 * Blocks SIGTERM and SIGINT for the threads that are made from now on, until runtime_run takes
 * them: LevelDB's thread must not. */
int daemon_parse(int argc, char **argv, enum role role, struct daemon_arguments *out,
                 int *exit_status) MUST_USE;

#endif
