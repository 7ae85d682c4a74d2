/* cluster.yml as `synod init` writes it. */
#include "common/config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is said of a member that could lead; nothing of one that cannot. */
static void render_candidate(FILE *f, const struct config *cfg, enum config_protocol protocol,
                             node_id_t id)
{
    const struct candidate_settings *candidate =
        cfg->protocol == protocol ? settings_of(&cfg->settings, id) : NULL;
    if (candidate == NULL) {
        return;
    }
    if (candidate->priority != 0) {
        fprintf(f, ", priority: %u", (unsigned)candidate->priority);
    }
    if (candidate->zone[0] != '\0') {
        fprintf(f, ", zone: \"%s\"", candidate->zone);
    }
    if (candidate->is_barred) {
        fprintf(f, ", lead: false");
    }
}

static void render_acceptors(FILE *f, const struct config *cfg)
{
    fprintf(f, "acceptors:\n");
    for (size_t i = 0; i < cfg->members.acceptor_count; i++) {
        fprintf(f, "  - { id: %u, address: \"%s\"", (unsigned)cfg->acceptors[i].id,
                cfg->acceptors[i].address);
        render_candidate(f, cfg, CONFIG_RAFT, cfg->acceptors[i].id);
        fprintf(f, " }\n");
    }
}

static void render_server(FILE *f, const struct config_server *server)
{
    fprintf(f, "  - { id: %u, peer: \"%s\", client: \"%s\"", (unsigned)server->id, server->peer,
            server->client);
}

static void render_servers(FILE *f, const struct config *cfg)
{
    fprintf(f, "proposers:\n");
    for (size_t i = 0; i < cfg->members.proposer_count; i++) {
        render_server(f, &cfg->proposers[i]);
        render_candidate(f, cfg, CONFIG_PAXOS, cfg->proposers[i].id);
        fprintf(f, " }\n");
    }
    fprintf(f, "learners:\n");
    for (size_t i = 0; i < cfg->members.learner_count; i++) {
        render_server(f, &cfg->learners[i]);
        fprintf(f, " }\n");
    }
}

static void render_oracle(FILE *f, const struct settings *settings)
{
    fprintf(f, "oracle: { kind: %s", oracle_kind_name(settings->kind));
    if (settings->preempts) {
        fprintf(f, ", preempt: true");
    }
    if (settings->zone[0] != '\0') {
        fprintf(f, ", zone: \"%s\"", settings->zone);
    }
    if (settings->diameter != 0) {
        fprintf(f, ", diameter: %u", (unsigned)settings->diameter);
    }
    for (size_t i = 0; i < settings->order_count; i++) {
        fprintf(f, "%s%u%s", i == 0 ? ", order: [" : ", ", (unsigned)settings->order[i],
                i + 1 == settings->order_count ? "]" : "");
    }
    for (size_t i = 0; i < settings->edge_count; i++) {
        fprintf(f, "%s[%u, %u]%s", i == 0 ? ", topology: [" : ", ", (unsigned)settings->edges[i].a,
                (unsigned)settings->edges[i].b, i + 1 == settings->edge_count ? "]" : "");
    }
    fprintf(f, " }\n");
}

static void render(FILE *f, const struct config *cfg)
{
    const struct members *members = &cfg->members;
    fprintf(f, "# One file for the whole cluster, the same on every host.\n");
    fprintf(f, "cluster: %s\n", cfg->cluster);
    fprintf(f, "id: %016" PRIx64 "\n", cfg->id);
    fprintf(f, "protocol: %s\n", config_protocol_name(cfg->protocol));
    render_acceptors(f, cfg);
    render_servers(f, cfg);
    size_t majority = majority_of(members->acceptor_count);
    if (members->q1 != majority || members->q2 != majority) {
        fprintf(f, "quorums: { prepare: %zu, accept: %zu }\n", members->q1, members->q2);
    }
    fprintf(f, "timing: { heartbeat_ms: %u, election_ms: %u }\n", (unsigned)cfg->heartbeat_ms,
            (unsigned)cfg->election_ms);
    render_oracle(f, &cfg->settings);
    fprintf(f, "security: { curve: false }\n");
}

static int sync_directory_of(const char *path)
{
    char dir[4096];
    const char *slash = strrchr(path, '/');
    size_t size = slash == NULL ? 0 : (size_t)(slash - path);
    if (size >= sizeof dir) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(dir, path, size);
    dir[size] = '\0';
    int fd = open(slash == NULL ? "." : size == 0 ? "/" : dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    int rc = fsync(fd);
    close(fd);
    return rc;
}

static int write_synced(int fd, const char *text, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, text + done, size - done);
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return fsync(fd);
}

/* Writes a neighbour and links it to its name: link never replaces a file, and whoever finds the
 * name finds all of it. */
static int put_file(const char *path, const char *text, size_t size, struct errmsg *err)
{
    char temporary[4096];
    int n = snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof temporary) {
        return errmsg_set(err, ERROR_USAGE,
                          "cannot write %.200s... (path too long); try: a shorter", path);
    }
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        return errmsg_set(err, ERROR_IO,
                          "cannot write %s (%s); try: a directory that exists and is "
                          "writable",
                          path, strerror(errno));
    }
    int rc = 0;
    if (write_synced(fd, text, size) != 0) {
        rc = errmsg_set(err, ERROR_IO, "cannot write %s (%s)", path, strerror(errno));
    } else if (link(temporary, path) != 0) {
        rc = errno == EEXIST
                 ? errmsg_set(err, ERROR_USAGE,
                              "%s exists (it is never overwritten); try: another directory", path)
                 : errmsg_set(err, ERROR_IO, "cannot write %s (%s)", path, strerror(errno));
    }
    close(fd);
    unlink(temporary);
    if (rc == 0 && sync_directory_of(path) != 0) {
        rc = errmsg_set(err, ERROR_IO, "cannot sync the directory of %s (%s)", path,
                        strerror(errno));
    }
    return rc;
}

int config_write(const char *path, const struct config *cfg, struct errmsg *err)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (f == NULL) {
        return errmsg_set(err, ERROR_INTERNAL, "cannot write %s (out of memory)", path);
    }
    render(f, cfg);
    int rc = 0;
    if (fclose(f) != 0) {
        rc = errmsg_set(err, ERROR_INTERNAL, "cannot write %s (out of memory)", path);
    }
    struct config same;
    if (rc == 0) {
        rc = config_parse(text, size, path, &same, err); /* never a file that nobody can load */
    }
    if (rc == 0) {
        rc = put_file(path, text, size, err);
    }
    free(text);
    return rc;
}
