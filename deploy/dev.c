/* synod dev: a whole cluster on this machine, in the foreground.
 *
 * One thread and one loop: signals come through a descriptor, children are looked at when one of
 * them ended. This process never touches the network itself; who leads is asked by a child of its
 * own (dev_probe.c), because a process that forks must not have used ZeroMQ before (TRAPS 5). */
#include "common/base/memory.h"
#include "common/runtime/log.h"
#include "deploy/children.h"
#include "deploy/dev_probe.h"
#include "deploy/local.h"
#include "deploy/options.h"
#include "deploy/output.h"
#include "deploy/ports.h"
#include "deploy/verbs.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define READY_DEADLINE_MS 30000
#define READY_LOOK_MS 20
#define STOP_DEADLINE_MS 5000
#define RESTART_PAUSE_MS 500
#define RESTART_PAUSE_MS_MAX 10000
#define RESTART_STABLE_MS 5000 /* after living so long the pause starts small again */
#define END_TEXT_BYTES 512

struct dev {
    struct local_options options;
    int restart;                 /* --restart */
    char dir[PATH_MAX];          /* absolute */
    char cluster_path[PATH_MAX]; /* of cluster.yml in dir */
    int dir_is_temporary;
    int ports_reservation; /* -1 or as of ports_pick */
    int signal_fd;
    struct config config;
    struct child children[3 * MEMBERS_MAX];
    size_t child_count;
    struct probe probe;
    int is_ready;
    int stop_asked; /* by a signal, this many times */
    time_ms_t ready_deadline;
};

static time_ms_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (time_ms_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- options */

enum { OPTION_LOCAL = 1000, OPTION_RESTART };

/* 0 to go on, else 1 with *exit_status. */
static int parse_options(int argc, char **argv, struct dev *dev, int *exit_status)
{
    static const struct option long_options[] = {
        {"dir", required_argument, NULL, OPTION_LOCAL},
        {"acceptors", required_argument, NULL, OPTION_LOCAL},
        {"proposers", required_argument, NULL, OPTION_LOCAL},
        {"learners", required_argument, NULL, OPTION_LOCAL},
        {"port-base", required_argument, NULL, OPTION_LOCAL},
        {"protocol", required_argument, NULL, OPTION_LOCAL},
        {"oracle", required_argument, NULL, OPTION_LOCAL},
        {"restart", no_argument, NULL, OPTION_RESTART},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    optind = 0;
    opterr = 0;
    int option = 0;
    int index = 0;
    *exit_status = 0;
    while (*exit_status == 0 &&
           (option = getopt_long(argc, argv, "+:h", long_options, &index)) != -1) {
        char problem[200];
        if (option == 'h') {
            *exit_status = verb_help("dev");
            return 1;
        }
        if (option == OPTION_RESTART) {
            dev->restart = 1;
        } else if (option == OPTION_LOCAL) {
            *exit_status = local_option("dev", long_options[index].name, optarg, &dev->options);
        } else {
            snprintf(problem, sizeof problem, "%.100s: %s", argv[optind - 1],
                     option == ':' ? "its value is missing" : "unknown option");
            *exit_status = verb_usage("dev", problem);
        }
    }
    if (*exit_status == 0 && options_arguments(argc, argv, 0, 0, "options only") < 0) {
        *exit_status = 3;
    }
    return *exit_status != 0;
}

/* ---- the directory */

static int refuse_difference(const struct dev *dev, const char *name, uint64_t given,
                             uint64_t found, struct errmsg *err)
{
    if (given == 0 || given == found) {
        return 0;
    }
    return errmsg_set(
        err, ERROR_USAGE,
        "--%s %llu, but %s has %llu (an existing cluster is restarted as it is); try: "
        "without --%s, or another --dir",
        name, (unsigned long long)given, dev->cluster_path, (unsigned long long)found, name);
}

/* A cluster that was made with --port-base P has its first acceptor at P + 1. */
static uint64_t port_base_of(const struct config *cfg)
{
    struct address address;
    int rc = address_parse(cfg->acceptors[0].address, &address, NULL);
    return rc == 0 && address.port > cfg->acceptors[0].id ? address.port - cfg->acceptors[0].id : 0;
}

static int reopen(struct dev *dev, struct errmsg *err)
{
    const struct local_options *options = &dev->options;
    const struct members *members = &dev->config.members;
    int rc = config_load(dev->cluster_path, &dev->config, err);
    if (rc == 0) {
        rc = refuse_difference(dev, "acceptors", options->acceptors, members->acceptor_count, err);
    }
    if (rc == 0) {
        rc = refuse_difference(dev, "proposers", options->proposers, members->proposer_count, err);
    }
    if (rc == 0) {
        rc = refuse_difference(dev, "learners", options->learners, members->learner_count, err);
    }
    if (rc == 0) {
        rc = refuse_difference(dev, "port-base", options->port_base, port_base_of(&dev->config),
                               err);
    }
    if (rc == 0 && options->protocol_given && options->protocol != dev->config.protocol) {
        rc = errmsg_set(err, ERROR_USAGE,
                        "--protocol %s, but %s has %s (a protocol is for ever); try: another --dir",
                        config_protocol_name(options->protocol), dev->cluster_path,
                        config_protocol_name(dev->config.protocol));
    }
    if (rc == 0 && options->oracle != 0 && options->oracle != dev->config.settings.kind) {
        rc = errmsg_set(err, ERROR_USAGE,
                        "--oracle %s, but %s has %s (an existing cluster is restarted as it is); "
                        "try: without --oracle, and then synod oracle set %s",
                        oracle_kind_name(options->oracle), dev->cluster_path,
                        oracle_kind_name(dev->config.settings.kind),
                        oracle_kind_name(options->oracle));
    }
    return rc != 0 ? rc : ports_check(&dev->config, err);
}

static int make_new(struct dev *dev, struct errmsg *err)
{
    uint32_t port_base = dev->options.port_base;
    dev->options.cluster = "dev";
    int rc = local_config(&dev->options, LOCAL_PORT_BASE_DEFAULT, &dev->config, err);
    if (rc == 0 && port_base == 0) {
        rc = ports_pick(&dev->config, &port_base, &dev->ports_reservation, err);
    }
    if (rc == 0) {
        rc = local_config(&dev->options, port_base, &dev->config, err);
    }
    if (rc == 0 && dev->options.port_base != 0) {
        rc = ports_check(&dev->config, err);
    }
    return rc != 0 ? rc : local_init(dev->dir, &dev->config, err);
}

static int make_temporary(struct dev *dev, struct errmsg *err)
{
    const char *base = getenv("TMPDIR");
    int rc = local_path(dev->dir, base != NULL && base[0] != '\0' ? base : "/tmp",
                        "synod-dev-XXXXXX", err);
    if (rc == 0 && mkdtemp(dev->dir) == NULL) {
        rc = errmsg_set(err, ERROR_IO, "cannot make a directory %s (%s); try: --dir DIR", dev->dir,
                        strerror(errno));
    }
    dev->dir_is_temporary = rc == 0;
    return rc;
}

/* Makes the cluster or finds it, and all paths absolute. */
static int prepare_dir(struct dev *dev, struct errmsg *err)
{
    int rc = 0;
    if (dev->options.dir == NULL) {
        rc = make_temporary(dev, err);
    } else if (strlen(dev->options.dir) >= sizeof dev->dir) {
        rc = errmsg_set(err, ERROR_USAGE, "--dir (path too long); try: a shorter one");
    } else {
        memcpy(dev->dir, dev->options.dir, strlen(dev->options.dir) + 1);
    }
    if (rc == 0) {
        rc = local_path(dev->cluster_path, dev->dir, "cluster.yml", err);
    }
    if (rc == 0) {
        rc = access(dev->cluster_path, F_OK) == 0 ? reopen(dev, err) : make_new(dev, err);
    }
    if (rc == 0) {
        char absolute[PATH_MAX];
        if (realpath(dev->dir, absolute) == NULL) {
            return errmsg_set(err, ERROR_IO, "cannot find %s again (%s)", dev->dir,
                              strerror(errno));
        }
        memcpy(dev->dir, absolute, sizeof absolute);
        rc = local_path(dev->cluster_path, dev->dir, "cluster.yml", err);
    }
    return rc;
}

/* ---- children */

static int add_child(struct dev *dev, enum role role, node_id_t id, const char *peer,
                     const char *client, struct errmsg *err)
{
    struct child *child = &dev->children[dev->child_count];
    char name[32];
    memset(child, 0, sizeof *child);
    child->role = role;
    child->id = id;
    child->peer = peer;
    child->client = client;
    child->restart_at = TIME_NEVER;
    child->pause_ms = RESTART_PAUSE_MS;
    int rc = child_find_program(role, child->program, err);
    snprintf(name, sizeof name, "%s-%u", role_name(role), (unsigned)id);
    if (rc == 0 && role != ROLE_PROPOSER) {
        rc = local_path(child->data, dev->dir, name, err);
    }
    snprintf(name, sizeof name, "%s-%u.log", role_name(role), (unsigned)id);
    if (rc == 0) {
        rc = local_path(child->log, dev->dir, name, err);
    }
    dev->child_count += rc == 0;
    return rc;
}

static int add_children(struct dev *dev, struct errmsg *err)
{
    const struct config *cfg = &dev->config;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < cfg->members.acceptor_count; i++) {
        rc = add_child(dev, ROLE_ACCEPTOR, cfg->acceptors[i].id, cfg->acceptors[i].address, NULL,
                       err);
    }
    for (size_t i = 0; rc == 0 && i < cfg->members.proposer_count; i++) {
        rc = add_child(dev, ROLE_PROPOSER, cfg->proposers[i].id, cfg->proposers[i].peer,
                       cfg->proposers[i].client, err);
    }
    for (size_t i = 0; rc == 0 && i < cfg->members.learner_count; i++) {
        rc = add_child(dev, ROLE_LEARNER, cfg->learners[i].id, cfg->learners[i].peer,
                       cfg->learners[i].client, err);
    }
    return rc;
}

static int start_children(struct dev *dev, struct errmsg *err)
{
    int rc = add_children(dev, err);
    for (size_t i = 0; rc == 0 && i < dev->child_count; i++) {
        rc = child_start(&dev->children[i], dev->cluster_path, now_ms(), err);
        if (rc == 0) {
            child_print(&dev->children[i], NULL);
        }
    }
    return rc;
}

static size_t running_count(const struct dev *dev)
{
    size_t count = 0;
    for (size_t i = 0; i < dev->child_count; i++) {
        count += dev->children[i].pid != 0;
    }
    return count;
}

/* ---- the loop */

/* Takes what signals there are: asks to stop, or only wakes the loop (SIGCHLD). */
static void take_signals(struct dev *dev)
{
    struct signalfd_siginfo info;
    while (read(dev->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        dev->stop_asked += info.ssi_signo != SIGCHLD;
    }
}

static void wait_for_signal(struct dev *dev, time_ms_t until)
{
    struct pollfd pfd = {.fd = dev->signal_fd, .events = POLLIN};
    time_ms_t left = until == TIME_NEVER ? -1 : until - now_ms();
    if (until != TIME_NEVER && left < 0) {
        left = 0;
    }
    poll(&pfd, 1, left > INT_MAX ? INT_MAX : (int)left);
    take_signals(dev);
}

/* Says which children have ended. Before the cluster is ready that is a failure; later it is what a
 * person who tries things out does on purpose. */
static int reap_children(struct dev *dev, struct errmsg *err)
{
    for (size_t i = 0; i < dev->child_count; i++) {
        struct child *child = &dev->children[i];
        char end[END_TEXT_BYTES];
        int status = 0;
        pid_t pid = child->pid;
        if (!child_reap(child, &status)) {
            continue;
        }
        child_describe_end(child, status, end, sizeof end);
        if (!dev->is_ready) {
            return errmsg_set(err, ERROR_INTERNAL, "%s %u did not start (%s); try: read %s",
                              role_name(child->role), (unsigned)child->id, end, child->log);
        }
        output_text("%s %u  pid %ld  ended: %s\n", role_name(child->role), (unsigned)child->id,
                    (long)pid, end);
        if (dev->restart) {
            int was_stable = now_ms() - child->started_at >= RESTART_STABLE_MS;
            time_ms_t pause = was_stable ? RESTART_PAUSE_MS : child->pause_ms;
            child->restart_at = now_ms() + pause;
            child->pause_ms = pause * 2 < RESTART_PAUSE_MS_MAX ? pause * 2 : RESTART_PAUSE_MS_MAX;
        }
    }
    if (dev->is_ready && !dev->restart && running_count(dev) == 0) {
        return errmsg_set(err, ERROR_INTERNAL,
                          "no process is left (all have ended); try: --restart, which starts again "
                          "what ends");
    }
    return 0;
}

/* Starts again whose pause is over. Returns when the next one is due. */
static time_ms_t restart_children(struct dev *dev)
{
    time_ms_t next = TIME_NEVER;
    for (size_t i = 0; i < dev->child_count; i++) {
        struct child *child = &dev->children[i];
        struct errmsg err;
        if (child->restart_at <= now_ms()) {
            if (child_start(child, dev->cluster_path, now_ms(), &err) == 0) {
                child_print(child, "restarted");
            } else {
                output_text("%s %u  not restarted: %s\n", role_name(child->role),
                            (unsigned)child->id, err.text);
                child->restart_at = now_ms() + RESTART_PAUSE_MS_MAX;
            }
        }
        next = child->restart_at < next ? child->restart_at : next;
    }
    return next;
}

static void say_ready(struct dev *dev)
{
    dev->is_ready = 1;
    output_text("ready %s\n", dev->cluster_path);
    if (isatty(STDOUT_FILENO)) {
        output_text("In another terminal: export SYNOD_CLUSTER=%s\n", dev->cluster_path);
        output_text("and then, for example: synod append hello && synod read --from 1\n");
        output_text("Ctrl-C stops all%s.\n",
                    dev->dir_is_temporary ? " and removes the directory" : "");
    }
}

/* All daemons listen, then a proposer leads, then the cluster is ready. */
static int look_ready(struct dev *dev, struct errmsg *err)
{
    const struct child *waits_for = NULL;
    for (size_t i = 0; i < dev->child_count; i++) {
        if (!child_look_ready(&dev->children[i])) {
            waits_for = &dev->children[i];
        }
    }
    int rc = 0;
    if (waits_for == NULL && !probe_is_running(&dev->probe)) {
        rc = probe_start(&dev->probe, dev->cluster_path, err);
    }
    if (rc == 0 && waits_for == NULL) {
        int leads = 0;
        rc = probe_look(&dev->probe, &leads, err);
        if (rc == 0 && leads) {
            say_ready(dev);
            return 0;
        }
    }
    if (rc != 0 || now_ms() < dev->ready_deadline) {
        return rc;
    }
    if (waits_for != NULL) {
        return errmsg_set(err, ERROR_UNAVAILABLE,
                          "%s %u does not listen after %d s (no event=ready in its log); try: read "
                          "%s",
                          role_name(waits_for->role), (unsigned)waits_for->id,
                          READY_DEADLINE_MS / 1000, waits_for->log);
    }
    return errmsg_set(err, ERROR_UNAVAILABLE,
                      "no proposer leads after %d s (all processes listen); try: read the logs in "
                      "%s",
                      READY_DEADLINE_MS / 1000, dev->dir);
}

static int run(struct dev *dev, struct errmsg *err)
{
    int rc = start_children(dev, err);
    dev->ready_deadline = now_ms() + READY_DEADLINE_MS;
    while (rc == 0) {
        take_signals(dev);
        if (dev->stop_asked > 0) {
            break;
        }
        rc = reap_children(dev, err);
        if (rc == 0 && !dev->is_ready) {
            rc = look_ready(dev, err);
        }
        if (rc == 0) {
            time_ms_t next = restart_children(dev);
            wait_for_signal(dev, dev->is_ready ? next : now_ms() + READY_LOOK_MS);
        }
    }
    return rc;
}

static void signal_children(const struct dev *dev, int signo)
{
    for (size_t i = 0; i < dev->child_count; i++) {
        if (dev->children[i].pid != 0) {
            kill(dev->children[i].pid, signo);
        }
    }
}

/* SIGTERM, and SIGCONT for whom somebody has stopped; SIGKILL after the deadline or a second
 * Ctrl-C. Returns when no child is left. */
static void stop_children(struct dev *dev)
{
    int asked = dev->stop_asked;
    time_ms_t deadline = now_ms() + STOP_DEADLINE_MS;
    probe_stop(&dev->probe);
    signal_children(dev, SIGTERM);
    signal_children(dev, SIGCONT);
    while (running_count(dev) > 0) {
        int status = 0;
        for (size_t i = 0; i < dev->child_count; i++) {
            child_reap(&dev->children[i], &status);
        }
        if (running_count(dev) == 0) {
            break;
        }
        if (deadline != TIME_NEVER && (now_ms() >= deadline || dev->stop_asked > asked)) {
            for (size_t i = 0; i < dev->child_count; i++) {
                if (dev->children[i].pid != 0) {
                    child_print(&dev->children[i], "did not end by itself: killed");
                }
            }
            signal_children(dev, SIGKILL);
            deadline = TIME_NEVER;
        }
        wait_for_signal(dev, deadline);
    }
}

static int take_over_signals(struct dev *dev, struct errmsg *err)
{
    sigset_t taken;
    sigemptyset(&taken);
    sigaddset(&taken, SIGINT);
    sigaddset(&taken, SIGTERM);
    sigaddset(&taken, SIGHUP);
    sigaddset(&taken, SIGCHLD);
    sigprocmask(SIG_BLOCK, &taken, NULL);
    signal(SIGPIPE, SIG_IGN); /* `synod dev | head -1` keeps the cluster */
    signal(SIGCHLD, SIG_DFL); /* ignored by a parent, it would reap before we look */
    dev->signal_fd = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
    return dev->signal_fd >= 0
               ? 0
               : errmsg_set(err, ERROR_INTERNAL, "cannot watch signals (%s)", strerror(errno));
}

/* Before anything is made: a cluster that cannot be started should not appear. */
static int find_programs(struct errmsg *err)
{
    static const enum role roles[] = {ROLE_ACCEPTOR, ROLE_PROPOSER, ROLE_LEARNER};
    char program[PATH_MAX];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof roles / sizeof roles[0]; i++) {
        rc = child_find_program(roles[i], program, err);
    }
    return rc;
}

/* From the options to the end of the last child. Returns the exit status. */
static int live(struct dev *dev)
{
    struct errmsg err = {""};
    int rc = take_over_signals(dev, &err);
    if (rc == 0) {
        rc = find_programs(&err);
    }
    if (rc == 0) {
        rc = prepare_dir(dev, &err);
    }
    if (rc == 0) {
        rc = run(dev, &err);
    }
    if (rc != 0) {
        log_error("%s", err.text);
    }
    stop_children(dev);
    if (dev->dir_is_temporary && dev->child_count > 0 && rc != 0) {
        log_say("kept for its logs: %s", dev->dir);
    } else if (dev->dir_is_temporary) {
        local_remove(dev->dir);
    }
    return error_exit_status(rc == 0 && !dev->is_ready ? ERROR_INTERRUPTED : rc);
}

int verb_dev(int argc, char **argv)
{
    struct dev *dev = memory_calloc(1, sizeof *dev); /* its paths are too much for a stack */
    int exit_status = 0;
    dev->signal_fd = dev->ports_reservation = -1;
    if (parse_options(argc, argv, dev, &exit_status) == 0) {
        setvbuf(stdout, NULL, _IOLBF, 0); /* a script reads line by line */
        exit_status = live(dev);
    }
    if (dev->ports_reservation >= 0) {
        close(dev->ports_reservation);
    }
    if (dev->signal_fd >= 0) {
        close(dev->signal_fd);
    }
    free(dev);
    return exit_status;
}
