#include "common/config/config.h"

#include "common/base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const protocol_names[] = {[CONFIG_PAXOS] = "paxos", [CONFIG_RAFT] = "raft"};

const char *config_protocol_name(enum config_protocol protocol)
{
    return protocol_names[protocol];
}

int config_protocol_parse(const char *name, enum config_protocol *out)
{
    for (size_t i = 0; i < sizeof protocol_names / sizeof protocol_names[0]; i++) {
        if (strcmp(name, protocol_names[i]) == 0) {
            *out = (enum config_protocol)i;
            return 0;
        }
    }
    return ERROR_USAGE;
}

int config_name_valid(const char *name)
{
    size_t size = strlen(name);
    return size > 0 && size < CONFIG_NAME_BYTES_MAX && name[0] != '-' && name[0] != '.' &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "0123456789._-")] == '\0';
}

static void put_address(char *out, uint32_t port)
{
    snprintf(out, CONFIG_ADDRESS_BYTES_MAX, "tcp://127.0.0.1:%u", (unsigned)port);
}

const char *config_candidate_role(const struct config *cfg)
{
    return cfg->protocol == CONFIG_RAFT ? "acceptor" : "proposer";
}

void config_set_protocol(struct config *cfg, enum config_protocol protocol)
{
    const struct members *members = &cfg->members;
    struct settings *settings = &cfg->settings;
    int is_raft = protocol == CONFIG_RAFT;
    cfg->protocol = protocol;
    memset(settings->candidates, 0, sizeof settings->candidates);
    settings->candidate_count = is_raft ? members->acceptor_count : members->proposer_count;
    for (size_t i = 0; i < settings->candidate_count; i++) {
        settings->candidates[i].id = is_raft ? members->acceptors[i] : members->proposers[i];
    }
}

void config_for_localhost(struct config *out, const char *cluster, uint64_t id, size_t acceptors,
                          size_t proposers, size_t learners, uint32_t port_base)
{
    CHECK(acceptors >= 1 && acceptors <= MEMBERS_MAX);
    CHECK(proposers >= 1 && proposers <= MEMBERS_MAX);
    CHECK(learners >= 1 && learners <= MEMBERS_MAX);
    CHECK(port_base + CONFIG_LOCALHOST_PORTS <= 65536);
    CHECK(config_name_valid(cluster));
    memset(out, 0, sizeof *out);
    memcpy(out->cluster, cluster, strlen(cluster));
    out->id = id;
    out->members.number = 1;
    out->members.acceptor_count = acceptors;
    out->members.proposer_count = proposers;
    out->members.learner_count = learners;
    out->members.q1 = majority_of(acceptors);
    out->members.q2 = majority_of(acceptors);
    for (uint32_t i = 1; i <= acceptors; i++) {
        out->members.acceptors[i - 1] = out->acceptors[i - 1].id = i;
        put_address(out->acceptors[i - 1].address, port_base + i);
    }
    for (uint32_t i = 1; i <= proposers; i++) {
        out->members.proposers[i - 1] = out->proposers[i - 1].id = i;
        put_address(out->proposers[i - 1].peer, port_base + 100 + i);
        put_address(out->proposers[i - 1].client, port_base + 200 + i);
    }
    for (uint32_t i = 1; i <= learners; i++) {
        out->members.learners[i - 1] = out->learners[i - 1].id = i;
        put_address(out->learners[i - 1].peer, port_base + 300 + i);
        put_address(out->learners[i - 1].client, port_base + 400 + i);
    }
    out->heartbeat_ms = CONFIG_HEARTBEAT_MS_DEFAULT;
    out->election_ms = CONFIG_ELECTION_MS_DEFAULT;
    settings_init(&out->settings);
    config_set_protocol(out, CONFIG_PAXOS);
}

/* All of an open file, which may be a pipe, into a buffer of CONFIG_FILE_BYTES_MAX + 1 bytes. */
static int read_all(int fd, const char *path, char *buffer, size_t *size, struct errmsg *err)
{
    size_t used = 0;
    while (used <= CONFIG_FILE_BYTES_MAX) {
        ssize_t n = read(fd, buffer + used, CONFIG_FILE_BYTES_MAX + 1 - used);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errmsg_set(err, ERROR_IO, "cannot read %s (%s); try: the path of a cluster.yml",
                              path, strerror(errno));
        }
        if (n == 0) {
            *size = used;
            return 0;
        }
        used += (size_t)n;
    }
    return errmsg_set(err, ERROR_USAGE,
                      "%s:1: the file is larger than 1 MiB (no cluster.yml is); try: the path of a "
                      "cluster.yml",
                      path);
}

int config_load(const char *path, struct config *out, struct errmsg *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errmsg_set(err, errno == ENOENT ? ERROR_NOT_FOUND : ERROR_IO,
                          "cannot open %s (%s); try: synod init --help tells how to make a "
                          "cluster.yml",
                          path, strerror(errno));
    }
    char *buffer = malloc(CONFIG_FILE_BYTES_MAX + 1);
    size_t size = 0;
    int rc = 0;
    if (buffer == NULL) {
        rc = errmsg_set(err, ERROR_INTERNAL, "cannot read %s (out of memory)", path);
    } else {
        rc = read_all(fd, path, buffer, &size, err);
    }
    if (rc == 0) {
        rc = config_parse(buffer, size, path, out, err);
    }
    free(buffer);
    close(fd);
    return rc;
}
