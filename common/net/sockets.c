#include "common/net/internal.h"

#include "common/protocol/limits.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

/* Frames that ZeroMQ reads ahead per connection before TCP holds the sender back. Senders have byte
 * budgets of their own; this bounds what a stranger can pile up here. */
#define RECEIVE_AHEAD_FRAMES_MAX 1000

struct socket_option {
    int option;
    int value;
};

/* TCP_NODELAY is always on in ZeroMQ, ROUTER_HANDOVER stays off. ZMTP's own heartbeats are off:
 * with a session whose receive queue stays full for longer than their timeout libzmq 4.3.4 ends the
 * process ("Assertion failed: !_io_error"). TCP notices a host that is gone, and the heartbeats of
 * the cores a process that stands still. */
static const struct socket_option common_options[] = {
    {ZMQ_LINGER, 0},
    {ZMQ_SNDHWM, 0}, /* the byte budget rules */
    {ZMQ_RCVHWM, RECEIVE_AHEAD_FRAMES_MAX},
    {ZMQ_HANDSHAKE_IVL, 2000},
    {ZMQ_HEARTBEAT_IVL, 0},
    {ZMQ_TCP_MAXRT, 5000}, /* data that is not acknowledged */
    {ZMQ_TCP_KEEPALIVE, 1},
    {ZMQ_TCP_KEEPALIVE_IDLE, 2},
    {ZMQ_TCP_KEEPALIVE_INTVL, 1},
    {ZMQ_TCP_KEEPALIVE_CNT, 3},
};

static const struct socket_option router_options[] = {
    {ZMQ_ROUTER_MANDATORY, 1},
    {ZMQ_BACKLOG, 1024},
};

static const struct socket_option dealer_options[] = {
    {ZMQ_IMMEDIATE, 1},
    {ZMQ_RECONNECT_IVL, 10},
    {ZMQ_RECONNECT_IVL_MAX, 500},
    {ZMQ_CONNECT_TIMEOUT, 2000},
};

static int set_options(void *handle, const struct socket_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int value = options[i].value;
        if (zmq_setsockopt(handle, options[i].option, &value, sizeof value) != 0) {
            return -1;
        }
    }
    return 0;
}

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

int socket_open(void *context, int type, const char *address, void **out, struct errmsg *err)
{
    const char *failed = "options";
    void *handle = zmq_socket(context, type);
    if (handle == NULL) {
        failed = "socket";
        goto out;
    }
    int64_t size_max = (int64_t)MESSAGE_BYTES_MAX;
    int is_ipv6 = strchr(address, '[') != NULL;
    if (zmq_setsockopt(handle, ZMQ_MAXMSGSIZE, &size_max, sizeof size_max) != 0 ||
        zmq_setsockopt(handle, ZMQ_IPV6, &is_ipv6, sizeof is_ipv6) != 0 ||
        set_options(handle, common_options, COUNT_OF(common_options)) != 0) {
        goto out;
    }
    int rc = type == ZMQ_ROUTER ? set_options(handle, router_options, COUNT_OF(router_options))
                                : set_options(handle, dealer_options, COUNT_OF(dealer_options));
    if (rc != 0) {
        goto out;
    }
    *out = handle;
    return 0;

out:
    errmsg_set(err, ERROR_INTERNAL, "zmq %s: %s; try: a higher ulimit -n", failed,
               zmq_strerror(zmq_errno()));
    if (handle != NULL) {
        zmq_close(handle);
    }
    return ERROR_INTERNAL;
}

int socket_monitor(void *context, void *handle, size_t number, void **out, struct errmsg *err)
{
    char name[48];
    snprintf(name, sizeof name, "inproc://monitor-%zu", number);
    int unbounded = 0; /* a full monitor would block the I/O thread */
    int linger = 0;
    void *monitor = zmq_socket(context, ZMQ_PAIR);
    if (monitor == NULL || zmq_setsockopt(monitor, ZMQ_RCVHWM, &unbounded, sizeof unbounded) != 0 ||
        zmq_setsockopt(monitor, ZMQ_LINGER, &linger, sizeof linger) != 0 ||
        zmq_socket_monitor(handle, name, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED) !=
            0 ||
        zmq_connect(monitor, name) != 0) {
        errmsg_set(err, ERROR_INTERNAL, "zmq monitor: %s; try: a higher ulimit -n",
                   zmq_strerror(zmq_errno()));
        if (monitor != NULL) {
            zmq_close(monitor);
        }
        return ERROR_INTERNAL;
    }
    *out = monitor;
    return 0;
}

int socket_fd(void *handle, int *fd, struct errmsg *err)
{
    size_t size = sizeof *fd;
    if (zmq_getsockopt(handle, ZMQ_FD, fd, &size) != 0) {
        return errmsg_set(err, ERROR_INTERNAL, "zmq descriptor: %s", zmq_strerror(zmq_errno()));
    }
    return 0;
}

/* Splits "tcp://host:port". ZeroMQ binds to numbers and interfaces only, so that a host name is
 * looked up here. */
static int resolve(const char *address, char *out, size_t out_size, struct errmsg *err)
{
    static const char *form = "try: tcp://HOST:PORT";
    if (strncmp(address, "tcp://", 6) != 0) {
        return errmsg_set(err, ERROR_USAGE, "address %s (not tcp); %s", address, form);
    }
    const char *host = address + 6;
    const char *colon = strrchr(host, ':');
    if (colon == NULL || colon == host || colon[1] == '\0') {
        return errmsg_set(err, ERROR_USAGE, "address %s (host or port is missing); %s", address,
                          form);
    }
    char name[256];
    if (host[0] == '[' || host[0] == '*' || (size_t)(colon - host) >= sizeof name) {
        snprintf(out, out_size, "%s", address);
        return 0;
    }
    memcpy(name, host, (size_t)(colon - host));
    name[colon - host] = '\0';
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(name, NULL, &hints, &found);
    if (rc != 0) {
        return errmsg_set(err, ERROR_USAGE,
                          "host %s of %s cannot be found (%s); try: its IP address", name, address,
                          gai_strerror(rc));
    }
    char number[NI_MAXHOST];
    rc = getnameinfo(found->ai_addr, found->ai_addrlen, number, sizeof number, NULL, 0,
                     NI_NUMERICHOST);
    freeaddrinfo(found);
    if (rc != 0) {
        return errmsg_set(err, ERROR_USAGE, "host %s (%s)", name, gai_strerror(rc));
    }
    snprintf(out, out_size, "tcp://%s%s", number, colon);
    return 0;
}

int socket_bind(void *handle, const char *address, struct errmsg *err)
{
    char numeric[NI_MAXHOST + 32];
    int rc = resolve(address, numeric, sizeof numeric, err);
    if (rc != 0) {
        return rc;
    }
    if (zmq_bind(handle, numeric) == 0) {
        return 0;
    }
    int why = zmq_errno();
    if (why == EADDRINUSE) {
        return errmsg_set(err, ERROR_BUSY,
                          "cannot listen on %s (address already in use); try: stop the process "
                          "that has it, or another port in cluster.yml",
                          address);
    }
    if (why == EADDRNOTAVAIL || why == ENODEV) {
        return errmsg_set(err, ERROR_USAGE,
                          "cannot listen on %s (no address of this machine); try: start this id "
                          "on its own host, or correct cluster.yml",
                          address);
    }
    return errmsg_set(err, ERROR_USAGE, "cannot listen on %s (%s); try: tcp://HOST:PORT", address,
                      zmq_strerror(why));
}

int socket_monitor_take(void *monitor, int *is_up)
{
    for (;;) {
        uint8_t event[8]; /* u16 event, u32 value; the address follows as a second part */
        if (zmq_recv(monitor, event, sizeof event, ZMQ_DONTWAIT) < 0) {
            return 0;
        }
        char where[256];
        zmq_recv(monitor, where, sizeof where, ZMQ_DONTWAIT);
        uint16_t kind;
        memcpy(&kind, event, sizeof kind);
        if (kind == ZMQ_EVENT_HANDSHAKE_SUCCEEDED || kind == ZMQ_EVENT_DISCONNECTED) {
            *is_up = kind == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
            return 1;
        }
    }
}
