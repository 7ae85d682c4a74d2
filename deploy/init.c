/* synod init: cluster.yml and stores for one machine, or one store of an existing cluster. */
#include "common/runtime/log.h"
#include "deploy/local.h"
#include "deploy/options.h"
#include "deploy/output.h"
#include "deploy/verbs.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

struct init_options {
    struct local_options local;
    const char *cluster_file;
    const char *data;
    enum role role;
    uint32_t id;
    int whole_given; /* an option of the form that makes a whole cluster */
    int store_given; /* an option of the form that makes one store */
};

enum { OPTION_LOCAL = 1000, OPTION_CLUSTER_FILE, OPTION_ROLE, OPTION_ID, OPTION_DATA };

static const struct option long_options[] = {
    {"dir", required_argument, NULL, OPTION_LOCAL},
    {"cluster", required_argument, NULL, OPTION_LOCAL},
    {"acceptors", required_argument, NULL, OPTION_LOCAL},
    {"proposers", required_argument, NULL, OPTION_LOCAL},
    {"learners", required_argument, NULL, OPTION_LOCAL},
    {"port-base", required_argument, NULL, OPTION_LOCAL},
    {"protocol", required_argument, NULL, OPTION_LOCAL},
    {"oracle", required_argument, NULL, OPTION_LOCAL},
    {"cluster-file", required_argument, NULL, OPTION_CLUSTER_FILE},
    {"role", required_argument, NULL, OPTION_ROLE},
    {"id", required_argument, NULL, OPTION_ID},
    {"data", required_argument, NULL, OPTION_DATA},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int take_role(const char *value, enum role *out)
{
    static const enum role roles[] = {ROLE_ACCEPTOR, ROLE_PROPOSER, ROLE_LEARNER};
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        if (strcmp(value, role_name(roles[i])) == 0) {
            *out = roles[i];
            return 0;
        }
    }
    return verb_usage("init", "--role is acceptor or learner");
}

static int take_option(int option, int index, const char *value, struct init_options *out)
{
    if (option == OPTION_LOCAL) {
        out->whole_given = 1;
        return local_option("init", long_options[index].name, value, &out->local);
    }
    out->store_given = 1;
    switch (option) {
    case OPTION_CLUSTER_FILE:
        out->cluster_file = value;
        return 0;
    case OPTION_ROLE:
        return take_role(value, &out->role);
    case OPTION_ID:
        return local_number("init", "id", value, 1, UINT32_MAX, &out->id);
    default:
        out->data = value;
        return value[0] != '\0' ? 0 : verb_usage("init", "--data with an empty path");
    }
}

/* 0 to go on, else 1 with *exit_status. */
static int parse_options(int argc, char **argv, struct init_options *out, int *exit_status)
{
    optind = 0;
    opterr = 0;
    int option = 0;
    int index = 0;
    *exit_status = 0;
    while ((option = getopt_long(argc, argv, "+:h", long_options, &index)) != -1) {
        char problem[200];
        if (option == 'h') {
            *exit_status = verb_help("init");
            return 1;
        }
        if (option == ':' || option == '?') {
            snprintf(problem, sizeof problem, "%.100s: %s", argv[optind - 1],
                     option == ':' ? "its value is missing" : "unknown option");
            *exit_status = verb_usage("init", problem);
        } else {
            *exit_status = take_option(option, index, optarg, out);
        }
        if (*exit_status != 0) {
            return 1;
        }
    }
    if (options_arguments(argc, argv, 0, 0, "options only") < 0) {
        *exit_status = 3;
    } else if (out->whole_given && out->store_given) {
        *exit_status = verb_usage("init", "--dir makes a whole cluster and --cluster-file one "
                                          "store; they do not go together");
    } else if (out->store_given && (out->cluster_file == NULL || out->role == ROLE_NONE ||
                                    out->id == 0 || out->data == NULL)) {
        *exit_status =
            verb_usage("init", "one store needs --cluster-file, --role, --id and --data");
    } else if (!out->store_given && out->local.dir == NULL) {
        *exit_status = verb_usage("init", "--dir is missing");
    }
    return *exit_status != 0;
}

static int init_cluster(const struct init_options *options, struct errmsg *err)
{
    const char *dir = options->local.dir;
    uint32_t port_base =
        options->local.port_base > 0 ? options->local.port_base : LOCAL_PORT_BASE_DEFAULT;
    struct local_options local = options->local;
    if (local.cluster == NULL) {
        local.cluster = "synod";
    }
    struct config cfg;
    int rc = local_config(&local, port_base, &cfg, err);
    if (rc == 0) {
        rc = local_init(dir, &cfg, err);
    }
    if (rc != 0) {
        return rc;
    }
    output_text("made %s/cluster.yml: cluster %s, %zu acceptors, %zu proposers, %zu learners\n",
                dir, cfg.cluster, cfg.members.acceptor_count, cfg.members.proposer_count,
                cfg.members.learner_count);
    output_text("start it: synod dev --dir %s\n", dir);
    return 0;
}

static int init_store(const struct init_options *options, struct errmsg *err)
{
    struct config cfg;
    int rc = config_load(options->cluster_file, &cfg, err);
    if (rc == 0) {
        rc = local_init_store(&cfg, options->role, options->id, options->data, err);
    }
    if (rc == 0) {
        output_text("made %s: the store of %s %u of cluster %s\n", options->data,
                    role_name(options->role), (unsigned)options->id, cfg.cluster);
        output_text("start it: synod-%s --cluster %s --id %u --data %s\n", role_name(options->role),
                    options->cluster_file, (unsigned)options->id, options->data);
    }
    return rc;
}

int verb_init(int argc, char **argv)
{
    struct init_options options = {.role = ROLE_NONE};
    struct errmsg err = {""};
    int exit_status = 0;
    if (parse_options(argc, argv, &options, &exit_status) != 0) {
        return exit_status;
    }
    /* A Ctrl-C waits until nothing half-made can be left; local_init looks for it. */
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGHUP);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    int rc = options.store_given ? init_store(&options, &err) : init_cluster(&options, &err);
    if (rc != 0) {
        log_error("%s", err.text);
    }
    return error_exit_status(rc);
}
