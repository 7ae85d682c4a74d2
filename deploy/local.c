#include "deploy/local.h"

#include "common/store/store.h"
#include "deploy/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define REMOVE_DESCRIPTORS_MAX 16

/* The names local_init makes, cluster.yml last: whoever finds it finds everything. */
struct names {
    char name[2 * MEMBERS_MAX + 1][32];
    size_t count;
};

int local_number(const char *verb, const char *name, const char *value, uint32_t min, uint32_t max,
                 uint32_t *out)
{
    size_t digits = strspn(value, "0123456789");
    unsigned long number = digits > 0 && digits <= 10 ? strtoul(value, NULL, 10) : 0;
    if (digits == 0 || value[digits] != '\0' || digits > 10 || number < min || number > max) {
        char problem[200];
        snprintf(problem, sizeof problem, "--%s %.60s (a number from %u to %u)", name, value,
                 (unsigned)min, (unsigned)max);
        return verb_usage(verb, problem);
    }
    *out = (uint32_t)number;
    return 0;
}

static int take_protocol(const char *verb, const char *value, struct local_options *options)
{
    char problem[200];
    if (config_protocol_parse(value, &options->protocol) != 0) {
        snprintf(problem, sizeof problem, "--protocol %.60s (paxos or raft)", value);
        return verb_usage(verb, problem);
    }
    options->protocol_given = 1;
    return 0;
}

static int take_oracle(const char *verb, const char *value, struct local_options *options)
{
    char problem[200];
    if (oracle_kind_parse(value, &options->oracle) != 0) {
        snprintf(problem, sizeof problem,
                 "--oracle %.60s (connected, lease, ring, floodmax, gossip, succession, static or "
                 "external)",
                 value);
        return verb_usage(verb, problem);
    }
    return 0;
}

int local_option(const char *verb, const char *name, const char *value,
                 struct local_options *options)
{
    if (strcmp(name, "dir") == 0) {
        options->dir = value;
        return value[0] != '\0' ? 0 : verb_usage(verb, "--dir with an empty path");
    }
    if (strcmp(name, "cluster") == 0) {
        options->cluster = value;
        return config_name_valid(value)
                   ? 0
                   : verb_usage(verb,
                                "--cluster takes a name of 1 to 63 letters, digits and . _ -");
    }
    if (strcmp(name, "acceptors") == 0) {
        return local_number(verb, name, value, 1, MEMBERS_MAX, &options->acceptors);
    }
    if (strcmp(name, "proposers") == 0) {
        return local_number(verb, name, value, 1, MEMBERS_MAX, &options->proposers);
    }
    if (strcmp(name, "learners") == 0) {
        return local_number(verb, name, value, 1, MEMBERS_MAX, &options->learners);
    }
    if (strcmp(name, "port-base") == 0) {
        return local_number(verb, name, value, 1, 65536 - CONFIG_LOCALHOST_PORTS,
                            &options->port_base);
    }
    if (strcmp(name, "oracle") == 0) {
        return take_oracle(verb, value, options);
    }
    return take_protocol(verb, value, options);
}

int local_path(char out[PATH_MAX], const char *dir, const char *name, struct errmsg *err)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);
    if (n < 0 || n >= PATH_MAX) {
        return errmsg_set(err, ERROR_USAGE, "%.200s... (path too long); try: a shorter one", dir);
    }
    return 0;
}

int local_config(const struct local_options *options, uint32_t port_base, struct config *out,
                 struct errmsg *err)
{
    uint64_t id = 0;
    while (id == 0) {
        if (getrandom(&id, sizeof id, 0) != (ssize_t)sizeof id && errno != EINTR) {
            return errmsg_set(err, ERROR_INTERNAL, "cannot draw a cluster id (%s)",
                              strerror(errno));
        }
    }
    config_for_localhost(out, options->cluster, id, options->acceptors > 0 ? options->acceptors : 3,
                         options->proposers > 0 ? options->proposers : 2,
                         options->learners > 0 ? options->learners : 2, port_base);
    config_set_protocol(out, options->protocol);
    if (options->oracle != 0) {
        out->settings.kind = options->oracle;
    }
    return config_check_settings(out, &out->settings, err);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    remove(path); /* what cannot be removed shows in the rmdir of what holds it */
    return 0;
}

void local_remove(const char *dir)
{
    nftw(dir, remove_entry, REMOVE_DESCRIPTORS_MAX, FTW_DEPTH | FTW_PHYS);
}

static int sync_dir(const char *dir, struct errmsg *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) != 0
                 ? errmsg_set(err, ERROR_IO, "cannot sync %s (%s)", dir, strerror(errno))
                 : 0;
    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

static int sync_parent(const char *dir, struct errmsg *err)
{
    char parent[PATH_MAX];
    int rc = local_path(parent, dir, "..", err);
    return rc != 0 ? rc : sync_dir(parent, err);
}

static struct store_identity identity_of(const struct config *cfg, enum role role, node_id_t id)
{
    struct store_identity identity;
    memset(&identity, 0, sizeof identity);
    identity.cluster_id = cfg->id;
    identity.node = (struct peer){role, id};
    snprintf(identity.protocol, sizeof identity.protocol, "%s",
             config_protocol_name(cfg->protocol));
    return identity;
}

static int create_stores(const char *dir, const struct config *cfg, enum role role,
                         const node_id_t *ids, size_t count, struct names *names,
                         struct errmsg *err)
{
    for (size_t i = 0; i < count; i++) {
        char path[PATH_MAX];
        struct store_identity identity = identity_of(cfg, role, ids[i]);
        char *name = names->name[names->count++];
        snprintf(name, sizeof names->name[0], "%s-%u", role_name(role), (unsigned)ids[i]);
        int rc = local_path(path, dir, name, err);
        if (rc == 0) {
            rc = store_create(path, &identity, role == ROLE_ACCEPTOR, err);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int create_all(const char *dir, const struct config *cfg, struct names *names,
                      struct errmsg *err)
{
    char path[PATH_MAX];
    const struct members *members = &cfg->members;
    int rc = create_stores(dir, cfg, ROLE_ACCEPTOR, members->acceptors, members->acceptor_count,
                           names, err);
    if (rc == 0) {
        rc = create_stores(dir, cfg, ROLE_LEARNER, members->learners, members->learner_count, names,
                           err);
    }
    if (rc == 0) {
        rc = local_path(path, dir, "cluster.yml", err);
    }
    if (rc == 0) {
        snprintf(names->name[names->count++], sizeof names->name[0], "cluster.yml");
        rc = config_write(path, cfg, err);
    }
    sigset_t pending;
    if (rc == 0 && sigpending(&pending) == 0 && !sigisemptyset(&pending) &&
        (sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM) ||
         sigismember(&pending, SIGHUP))) {
        rc = errmsg_set(err, ERROR_INTERRUPTED, "interrupted (nothing was made)");
    }
    return rc;
}

static int move_one(const char *from, const char *to, const char *name, struct errmsg *err)
{
    char source[PATH_MAX];
    char target[PATH_MAX];
    int rc = local_path(source, from, name, err);
    if (rc == 0) {
        rc = local_path(target, to, name, err);
    }
    if (rc != 0 || renameat2(AT_FDCWD, source, AT_FDCWD, target, RENAME_NOREPLACE) == 0) {
        return rc;
    }
    if (errno == EEXIST) {
        return errmsg_set(err, ERROR_USAGE,
                          "%s exists (it is never overwritten); try: another --dir", target);
    }
    return errmsg_set(err, ERROR_IO, "cannot make %s (%s)", target, strerror(errno));
}

/* Moves what is complete from the temporary directory to its place; takes it back on a failure. */
static int move_up(const char *from, const char *to, const struct names *names, struct errmsg *err)
{
    size_t moved = 0;
    int rc = 0;
    while (rc == 0 && moved < names->count) {
        rc = move_one(from, to, names->name[moved], err);
        moved += rc == 0;
    }
    while (rc != 0 && moved > 0) {
        char target[PATH_MAX];
        moved--;
        if (local_path(target, to, names->name[moved], NULL) == 0) {
            local_remove(target);
        }
    }
    return rc != 0 ? rc : sync_dir(to, err);
}

/* Says early what move_up would find out late. */
static int refuse_existing(const char *dir, struct errmsg *err)
{
    static const char *const first[] = {"cluster.yml", "acceptor-1", "learner-1"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        int rc = local_path(path, dir, first[i], err);
        if (rc == 0 && access(path, F_OK) == 0) {
            rc = errmsg_set(err, ERROR_USAGE,
                            "%s exists (it is never overwritten); try: another --dir", path);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

int local_init(const char *dir, const struct config *cfg, struct errmsg *err)
{
    char temporary[PATH_MAX];
    struct names names = {.count = 0};
    int made_dir = mkdir(dir, 0777) == 0;
    if (!made_dir && errno != EEXIST) {
        return errmsg_set(err, ERROR_IO,
                          "cannot make the directory %s (%s); try: a path whose parent exists and "
                          "is writable",
                          dir, strerror(errno));
    }
    int rc = refuse_existing(dir, err);
    if (rc == 0) {
        rc = local_path(temporary, dir, ".init-XXXXXX", err);
    }
    if (rc == 0 && mkdtemp(temporary) == NULL) {
        rc = errmsg_set(err, ERROR_IO, "cannot write in %s (%s); try: a writable directory", dir,
                        strerror(errno));
    } else if (rc == 0) {
        rc = create_all(temporary, cfg, &names, err);
        if (rc == 0) {
            rc = move_up(temporary, dir, &names, err);
        }
        local_remove(temporary);
    }
    if (rc != 0 && made_dir) {
        rmdir(dir);
    }
    return rc != 0 || !made_dir ? rc : sync_parent(dir, err);
}

static int check_member(const struct config *cfg, enum role role, node_id_t id, struct errmsg *err)
{
    if (role == ROLE_PROPOSER) {
        return errmsg_set(err, ERROR_USAGE,
                          "a proposer has no store (it keeps nothing on disk); try: start "
                          "synod-proposer, it needs no init");
    }
    if (!members_contain(&cfg->members, (struct peer){role, id})) {
        return errmsg_set(err, ERROR_USAGE,
                          "%s %u is not in cluster.yml (a store belongs to a member); try: an id "
                          "that is listed there",
                          role_name(role), (unsigned)id);
    }
    return 0;
}

int local_init_store(const struct config *cfg, enum role role, node_id_t id, const char *data,
                     struct errmsg *err)
{
    char temporary[PATH_MAX];
    struct store_identity identity = identity_of(cfg, role, id);
    int rc = check_member(cfg, role, id, err);
    if (rc != 0) {
        return rc;
    }
    size_t size = strlen(data);
    while (size > 1 && data[size - 1] == '/') {
        size--;
    }
    if (access(data, F_OK) == 0) { /* perhaps a mount point, which nothing can be renamed to */
        return store_create(data, &identity, role == ROLE_ACCEPTOR, err);
    }
    int n = snprintf(temporary, sizeof temporary, "%.*s.init-%ld", (int)size, data, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof temporary) {
        return errmsg_set(err, ERROR_USAGE, "--data %.200s... (path too long); try: a shorter one",
                          data);
    }
    rc = store_create(temporary, &identity, role == ROLE_ACCEPTOR, err);
    if (rc == 0 && renameat2(AT_FDCWD, temporary, AT_FDCWD, data, RENAME_NOREPLACE) != 0) {
        rc = errmsg_set(err, ERROR_IO, "cannot make %s (%s)", data, strerror(errno));
    }
    if (rc != 0) {
        local_remove(temporary);
        return rc;
    }
    return sync_parent(data, err);
}
