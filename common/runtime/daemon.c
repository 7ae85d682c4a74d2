#include "common/runtime/internal.h"

#include "common/runtime/log.h"
#include "common/runtime/streams.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>

#define SYNOD_VERSION "0.1.0"

static void stop_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
}

/* Threads inherit the mask, so that it must be set before the first is made. */
static void signals_block(void)
{
    sigset_t set;
    stop_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN); /* a log nobody reads any more is no reason to end */
}

int signals_open(struct errmsg *err)
{
    signals_block();
    sigset_t set;
    stop_signals(&set);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) {
        return errmsg_set(err, ERROR_INTERNAL, "signalfd: %s; try: a higher ulimit -n",
                          strerror(errno));
    }
    return fd;
}

static int has_store(enum role role)
{
    return role != ROLE_PROPOSER;
}

static void print_help(enum role role)
{
    printf("usage: synod-%s --cluster FILE --id ID%s\n\n", role_name(role),
           has_store(role) ? " --data DIR" : "");
    printf("Runs one %s of a Synod cluster in the foreground.\n\n", role_name(role));
    printf("  --cluster FILE   cluster.yml, the same on every host\n");
    printf("  --id ID          which %s of cluster.yml this is\n", role_name(role));
    if (has_store(role)) {
        printf("  --data DIR       its store, made by `synod init`\n");
    }
    if (role != ROLE_LEARNER) {
        printf("  --lead-anyway    it may lead though `synod oracle` barred it, when nobody else "
               "can\n");
    }
    printf("  --help           this text\n"
           "  --version        the version\n\n"
           "SIGTERM or SIGINT drains and ends it. Logs go to standard error, from level\n"
           "SYNOD_LOG=debug|info|warn|error on (default info).\n"
           "Exit status: 0 stopped as asked, 1 failed, 3 bad input, 4 identity in use.\n");
}

static int parse_id(const char *text, node_id_t *id)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value == 0 ||
        value > UINT32_MAX) {
        return -1;
    }
    *id = (node_id_t)value;
    return 0;
}

/* Reads the options. 1 to go on; 0 with *exit_status to end. */
static int parse_options(int argc, char **argv, enum role role, struct daemon_arguments *out,
                         int *exit_status)
{
    static const struct option options[] = {
        {"cluster", required_argument, NULL, 'c'},
        {"id", required_argument, NULL, 'i'},
        {"data", required_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {"lead-anyway", no_argument, NULL, 'l'},
        {NULL, 0, NULL, 0},
    };
    *exit_status = 3;
    streams_open();
    opterr = 0;
    optind = 1;
    int option;
    while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            out->cluster_path = optarg;
            break;
        case 'd':
            out->data_dir = optarg;
            break;
        case 'i':
            if (parse_id(optarg, &out->id) != 0) {
                log_error("--id \"%s\" (not a number from 1); try: an id of cluster.yml", optarg);
                return 0;
            }
            break;
        case 'l':
            out->leads_anyway = 1;
            break;
        case 'h':
            print_help(role);
            *exit_status = streams_finish(0);
            return 0;
        case 'v':
            printf("synod-%s " SYNOD_VERSION "\n", role_name(role));
            *exit_status = streams_finish(0);
            return 0;
        case ':':
            log_error("option %s (its value is missing); try: --help", argv[optind - 1]);
            return 0;
        default:
            log_error("option %s (unknown); try: --help", argv[optind - 1]);
            return 0;
        }
    }
    if (optind < argc) {
        log_error("argument \"%s\" (none is expected); try: --help", argv[optind]);
        return 0;
    }
    return 1;
}

static int check_options(enum role role, const struct daemon_arguments *arguments)
{
    if (arguments->cluster_path == NULL) {
        log_error("--cluster (missing); try: --cluster cluster.yml");
    } else if (arguments->id == 0) {
        log_error("--id (missing); try: --id 1");
    } else if (has_store(role) && arguments->data_dir == NULL) {
        log_error("--data (missing, and every %s keeps a store); try: --data DIR", role_name(role));
    } else if (!has_store(role) && arguments->data_dir != NULL) {
        log_error("--data %s (no %s keeps a store); try: without it", arguments->data_dir,
                  role_name(role));
    } else {
        return 0;
    }
    return ERROR_USAGE;
}

int daemon_parse(int argc, char **argv, enum role role, struct daemon_arguments *out,
                 int *exit_status)
{
    memset(out, 0, sizeof *out);
    if (!parse_options(argc, argv, role, out, exit_status)) {
        return ERROR_USAGE;
    }
    *exit_status = 3;
    if (check_options(role, out) != 0) {
        return ERROR_USAGE;
    }
    struct errmsg err;
    int rc = config_load(out->cluster_path, &out->config, &err);
    if (rc != 0) {
        log_error("%s", err.text);
        return rc;
    }
    if (!members_contain(&out->config.members, (struct peer){role, out->id})) {
        log_error("%s %u (not in %s); try: an id that is listed there, or add it on every host",
                  role_name(role), (unsigned)out->id, out->cluster_path);
        return ERROR_USAGE;
    }
    enum role leading = out->config.protocol == CONFIG_RAFT ? ROLE_ACCEPTOR : ROLE_PROPOSER;
    if (out->leads_anyway && role != leading) {
        log_error("--lead-anyway (under this protocol no %s leads); try: it on a %s",
                  role_name(role), role_name(leading));
        return ERROR_USAGE;
    }
    log_init((struct peer){role, out->id});
    signals_block();
    return 0;
}
