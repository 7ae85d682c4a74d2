#include "deploy/ports.h"

#include "deploy/local.h"

#include <errno.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Bases tried lie this far apart and below the ports that Linux gives to outgoing connections (from
 * 32768), which could take one of ours between a stop and a restart. */
#define PORT_BASE_STEP 500
#define PORT_BASE_MAX 32000

/* 0, or the errno of the attempt to listen there; -1 if the host is unknown. */
static int try_listen(const struct address *address)
{
    char port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    snprintf(port, sizeof port, "%u", (unsigned)address->port);
    if (getaddrinfo(address->host, port, &hints, &found) != 0) {
        return -1;
    }
    int problem = 0;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1; /* as the daemons do: connections of a former run that linger do not matter */
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 1) != 0) {
        problem = errno;
    }
    if (fd >= 0) {
        close(fd);
    }
    freeaddrinfo(found);
    return problem;
}

static int check_one(enum role role, node_id_t id, const char *text, struct errmsg *err)
{
    struct address address;
    int rc = address_parse(text, &address, err);
    if (rc != 0) {
        return rc;
    }
    int problem = try_listen(&address);
    if (problem == EADDRINUSE) {
        return errmsg_set(err, ERROR_BUSY,
                          "port %u is in use (%s %u should listen on %s); try: stop what listens "
                          "there, or another --port-base",
                          (unsigned)address.port, role_name(role), (unsigned)id, text);
    }
    if (problem != 0) {
        return errmsg_set(err, ERROR_USAGE,
                          "%s %u cannot listen on %s here (%s); try: a cluster.yml of this machine",
                          role_name(role), (unsigned)id, text,
                          problem > 0 ? strerror(problem) : "unknown host");
    }
    return 0;
}

static int check_servers(enum role role, const struct config_server *servers, size_t count,
                         struct errmsg *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = check_one(role, servers[i].id, servers[i].peer, err);
        if (rc == 0) {
            rc = check_one(role, servers[i].id, servers[i].client, err);
        }
    }
    return rc;
}

int ports_check(const struct config *cfg, struct errmsg *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < cfg->members.acceptor_count; i++) {
        rc = check_one(ROLE_ACCEPTOR, cfg->acceptors[i].id, cfg->acceptors[i].address, err);
    }
    if (rc == 0) {
        rc = check_servers(ROLE_PROPOSER, cfg->proposers, cfg->members.proposer_count, err);
    }
    if (rc == 0) {
        rc = check_servers(ROLE_LEARNER, cfg->learners, cfg->members.learner_count, err);
    }
    return rc;
}

/* A socket in Linux's abstract namespace: it lasts exactly as long as the process, and is separate
 * in each network namespace, as the ports are. -1 if somebody has it. */
static int reserve(uint32_t port_base)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int n = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "synod-dev-ports-%u",
                     (unsigned)port_base);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&name, size) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

int ports_pick(const struct config *cfg, uint32_t *port_base, int *reservation, struct errmsg *err)
{
    for (uint32_t base = LOCAL_PORT_BASE_DEFAULT; base <= PORT_BASE_MAX; base += PORT_BASE_STEP) {
        struct config tried;
        int fd = reserve(base);
        if (fd < 0) {
            continue;
        }
        config_for_localhost(&tried, cfg->cluster, cfg->id, cfg->members.acceptor_count,
                             cfg->members.proposer_count, cfg->members.learner_count, base);
        if (ports_check(&tried, err) == 0) {
            *port_base = base;
            *reservation = fd;
            return 0;
        }
        close(fd);
    }
    return errmsg_set(err, ERROR_BUSY,
                      "no range of free ports from %d to %d (all bases were tried); try: "
                      "--port-base",
                      LOCAL_PORT_BASE_DEFAULT, PORT_BASE_MAX);
}
