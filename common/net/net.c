#include "common/net/internal.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/protocol/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

/* ROUTER makes ids of this size for senders that chose none: a zero and 32 bits. */
#define ROUTING_ID_BYTES 5

/* A link's number holds the socket, from 1, and on listening sockets the routing id below it, so
 * that no table is needed between the two. */
#define LINK_SOCKET_SHIFT 32

static link_t link_of(size_t socket_index, uint32_t routing)
{
    return (link_t)(socket_index + 1) << LINK_SOCKET_SHIFT | routing;
}

static struct net_socket *socket_of(const struct net *net, link_t link)
{
    size_t index = (size_t)(link >> LINK_SOCKET_SHIFT);
    return index == 0 || index > net->socket_count ? NULL : &net->sockets[index - 1];
}

int net_open(struct net **out, struct errmsg *err)
{
    struct net *net = memory_calloc(1, sizeof *net);
    net->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    net->context = zmq_ctx_new();
    net->links.count_max = LINKS_MAX;
    if (net->epoll_fd < 0 || net->context == NULL) {
        errmsg_set(err, ERROR_INTERNAL, "network: %s; try: a higher ulimit -n", strerror(errno));
        net_close(net);
        return ERROR_INTERNAL;
    }
    *out = net;
    return 0;
}

static void close_socket(struct net_socket *s)
{
    if (s->monitor != NULL) {
        zmq_socket_monitor(s->handle, NULL, 0);
        zmq_close(s->monitor);
    }
    if (s->handle != NULL) {
        zmq_close(s->handle);
    }
    if (s->budget != NULL) {
        budget_unref(s->budget);
    }
}

void net_close(struct net *net)
{
    if (net == NULL) {
        return;
    }
    for (size_t i = 0; i < net->socket_count; i++) {
        close_socket(&net->sockets[i]);
    }
    if (net->context != NULL) {
        while (zmq_ctx_term(net->context) != 0 && zmq_errno() == EINTR) {
        }
    }
    links_close(&net->links);
    if (net->epoll_fd >= 0) {
        close(net->epoll_fd);
    }
    free(net->sockets);
    free(net->polled);
    free(net->gone);
    free(net);
}

static int add_to_epoll(struct net *net, int fd, struct errmsg *err)
{
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_ctl(net->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        return errmsg_set(err, ERROR_INTERNAL, "epoll: %s; try: a higher ulimit -n",
                          strerror(errno));
    }
    return 0;
}

/* Takes over the socket's handles, also when it fails. */
static int add_socket(struct net *net, struct net_socket *s, struct errmsg *err)
{
    int rc = socket_fd(s->handle, &s->fd, err);
    if (rc == 0) {
        rc = add_to_epoll(net, s->fd, err);
    }
    s->monitor_fd = -1;
    if (rc == 0 && s->monitor != NULL) {
        rc = socket_fd(s->monitor, &s->monitor_fd, err);
        if (rc == 0) {
            rc = add_to_epoll(net, s->monitor_fd, err);
        }
    }
    if (rc != 0) {
        close_socket(s);
        return rc;
    }
    s->may_have_input = 1;
    s->monitor_may_have_input = s->monitor != NULL;
    size_t index = net->socket_count++;
    net->sockets = memory_grow(net->sockets, &net->socket_capacity, net->socket_count, sizeof *s);
    net->sockets[index] = *s;
    net->polled = memory_grow(net->polled, &net->polled_capacity, 2 * net->socket_count + 1,
                              sizeof *net->polled);
    net->polled[2 * index] = (struct pollfd){.fd = s->fd, .events = POLLIN};
    net->polled[2 * index + 1] = (struct pollfd){.fd = s->monitor_fd, .events = POLLIN};
    return 0;
}

int net_listen(struct net *net, const char *address, enum net_port port, struct errmsg *err)
{
    struct net_socket s = {.port = port};
    s.budget_bytes = port == NET_PORT_PEER ? PEER_QUEUE_BYTES_MAX : CLIENT_QUEUE_BYTES_MAX;
    int rc = socket_open(net->context, ZMQ_ROUTER, address, &s.handle, err);
    if (rc != 0) {
        return rc;
    }
    rc = socket_bind(s.handle, address, err);
    if (rc != 0) {
        close_socket(&s);
        return rc;
    }
    return add_socket(net, &s, err);
}

int net_dial(struct net *net, struct peer peer, const char *address, struct errmsg *err)
{
    struct net_socket s = {.port = NET_PORT_PEER, .is_dialled = 1, .peer = peer};
    int rc = socket_open(net->context, ZMQ_DEALER, address, &s.handle, err);
    if (rc != 0) {
        return rc;
    }
    rc = socket_monitor(net->context, s.handle, net->socket_count, &s.monitor, err);
    if (rc == 0 && zmq_connect(s.handle, address) != 0) {
        rc = errmsg_set(err, ERROR_USAGE, "cannot dial %s (%s); try: tcp://HOST:PORT", address,
                        zmq_strerror(zmq_errno()));
    }
    if (rc != 0) {
        close_socket(&s);
        return rc;
    }
    s.budget = budget_new(PEER_QUEUE_BYTES_MAX);
    return add_socket(net, &s, err);
}

/* ---- waiting */

/* 1 if ZeroMQ has a message for us. It must be asked for every socket that was used since it last
 * said no, because any call on a socket may take the signal off its descriptor. */
static int has_input(struct net_socket *s)
{
    int events = 0;
    size_t size = sizeof events;
    return zmq_getsockopt(s->handle, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN) != 0;
}

/* Polls every descriptor and marks the sockets behind the readable ones. Returns poll's result. */
static int look(struct net *net, int timeout_ms, int extra_fd)
{
    size_t count = 2 * net->socket_count;
    nfds_t polled_count = (nfds_t)count;
    if (extra_fd >= 0) {
        net->polled =
            memory_grow(net->polled, &net->polled_capacity, count + 1, sizeof *net->polled);
        net->polled[count] = (struct pollfd){.fd = extra_fd, .events = POLLIN};
        polled_count++;
    }
    int ready = poll(net->polled, polled_count, timeout_ms);
    if (ready <= 0) {
        return ready;
    }
    for (size_t i = 0; i < net->socket_count; i++) {
        if (net->polled[2 * i].revents != 0) {
            net->sockets[i].may_have_input = 1;
        }
        if (net->polled[2 * i + 1].revents != 0) {
            net->sockets[i].monitor_may_have_input = 1;
        }
    }
    return ready;
}

int net_wait(struct net *net, int64_t timeout_ms, int extra_fd)
{
    net->is_fresh = 1;
    int is_ready = net->gone_taken < net->gone_count;
    for (size_t i = 0; i < net->socket_count; i++) {
        struct net_socket *s = &net->sockets[i];
        if (s->may_have_input) {
            s->may_have_input = has_input(s);
        }
        is_ready |= s->may_have_input | s->monitor_may_have_input;
    }
    int timeout = timeout_ms < 0 ? -1 : timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms;
    if (look(net, is_ready ? 0 : timeout, extra_fd) < 0) {
        /* Only a signal can be the cause: the descriptors are ours, or the caller's duty. */
        return ERROR_INTERRUPTED;
    }
    return 0;
}

int net_fd(const struct net *net)
{
    return net->epoll_fd;
}

/* ---- receiving */

/* Forgets a link, of which the caller of net_receive hears next. */
static void link_is_gone(struct net *net, struct link *link)
{
    enum net_port port = socket_of(net, link->id)->port;
    net->gone = memory_grow(net->gone, &net->gone_capacity, net->gone_count + 1, sizeof *net->gone);
    net->gone[net->gone_count++] = (struct gone_link){link->id, link->peer, port};
    links_forget(&net->links, link);
}

static int take_gone(struct net *net, struct inbound *out)
{
    if (net->gone_taken == net->gone_count) {
        net->gone_count = 0;
        net->gone_taken = 0;
        return 0;
    }
    const struct gone_link *gone = &net->gone[net->gone_taken++];
    *out = (struct inbound){
        .kind = INBOUND_DOWN, .link = gone->link, .port = gone->port, .peer = gone->peer};
    return 1;
}

static int take_event(struct net *net, size_t index, struct inbound *out)
{
    struct net_socket *s = &net->sockets[index];
    int is_up;
    while (socket_monitor_take(s->monitor, &is_up)) {
        if (is_up == s->is_up) {
            continue; /* a disconnect before any handshake */
        }
        s->is_up = is_up;
        *out = (struct inbound){.kind = is_up ? INBOUND_UP : INBOUND_DOWN,
                                .link = link_of(index, 0),
                                .is_dialled = 1,
                                .port = NET_PORT_PEER,
                                .peer = s->peer};
        return 1;
    }
    s->monitor_may_have_input = 0;
    return 0;
}

/* Reads away the parts after msg, which had `more`. */
static void discard_parts(struct net_socket *s)
{
    int more = 1;
    while (more) {
        zmq_msg_t part;
        zmq_msg_init(&part);
        if (zmq_msg_recv(&part, s->handle, ZMQ_DONTWAIT) < 0) {
            more = 0;
        } else {
            more = zmq_msg_more(&part);
        }
        zmq_msg_close(&part);
    }
}

/* Turns msg, the first payload part, into a frame. */
static struct blob *take_payload(struct net_socket *s, zmq_msg_t *msg)
{
    if (!zmq_msg_more(msg)) {
        return blob_from_msg(msg);
    }
    discard_parts(s);
    return blob_copy(NULL, 0);
}

/* The link behind a routing id, or NULL if the sender chose the id. */
static struct link *link_of_routing(struct net *net, size_t index, zmq_msg_t *id)
{
    const uint8_t *bytes = zmq_msg_data(id);
    if (zmq_msg_size(id) != ROUTING_ID_BYTES || bytes[0] != 0) {
        return NULL;
    }
    uint32_t routing;
    memcpy(&routing, bytes + 1, sizeof routing);
    struct link *link =
        links_touch(&net->links, link_of(index, routing), net->sockets[index].budget_bytes);
    /* Room for the next one is made now, so that it is heard of after the one that goes for it: who
     * counts the living never counts more than there are links. */
    if (net->links.count == net->links.count_max) {
        link_is_gone(net, net->links.oldest);
    }
    return link;
}

static void note_address(struct link *link, zmq_msg_t *msg)
{
    if (link->address[0] == '\0') {
        const char *address = zmq_msg_gets(msg, "Peer-Address");
        snprintf(link->address, sizeof link->address, "%s", address != NULL ? address : "?");
    }
}

/* After the routing id comes the payload, which ROUTER hands out in the same breath. */
static void take_routed(struct net *net, size_t index, zmq_msg_t *id, struct inbound *out)
{
    struct net_socket *s = &net->sockets[index];
    struct link *link = link_of_routing(net, index, id);
    zmq_msg_t payload;
    zmq_msg_init(&payload);
    out->frame = NULL;
    if (zmq_msg_more(id) && zmq_msg_recv(&payload, s->handle, ZMQ_DONTWAIT) >= 0) {
        if (link != NULL) {
            note_address(link, &payload);
        }
        out->frame = take_payload(s, &payload);
    }
    zmq_msg_close(&payload);
    if (link == NULL || out->frame == NULL) {
        blob_unref(out->frame);
        out->frame = blob_copy(NULL, 0);
    }
    if (link != NULL) {
        out->link = link->id;
        out->peer = link->peer;
    }
}

static int take_frame(struct net *net, size_t index, struct inbound *out)
{
    struct net_socket *s = &net->sockets[index];
    zmq_msg_t msg;
    zmq_msg_init(&msg);
    if (zmq_msg_recv(&msg, s->handle, ZMQ_DONTWAIT) < 0) {
        if (zmq_errno() == EAGAIN) {
            s->may_have_input = 0; /* from here on its descriptor tells */
        }
        zmq_msg_close(&msg);
        return 0;
    }
    *out = (struct inbound){
        .kind = INBOUND_FRAME, .is_dialled = s->is_dialled, .port = s->port, .peer = s->peer};
    if (s->is_dialled) {
        out->link = link_of(index, 0);
        out->frame = take_payload(s, &msg);
    } else {
        take_routed(net, index, &msg, out);
    }
    zmq_msg_close(&msg);
    return 1;
}

int net_receive(struct net *net, struct inbound *out)
{
    for (;;) {
        if (take_gone(net, out)) {
            return 1;
        }
        for (size_t n = 0; n < net->socket_count; n++) {
            size_t index = net->turn;
            net->turn = index + 1 < net->socket_count ? index + 1 : 0;
            const struct net_socket *s = &net->sockets[index];
            if (s->monitor_may_have_input && take_event(net, index, out)) {
                return 1;
            }
            if (s->may_have_input && take_frame(net, index, out)) {
                return 1;
            }
        }
        /* All were asked. Right after net_wait that is the answer; without it, as under somebody
         * else's loop, the descriptors have not been looked at yet. */
        if (net->is_fresh || look(net, 0, -1) <= 0) {
            net->is_fresh = 0;
            return 0;
        }
    }
}

void net_bind(struct net *net, link_t link, struct peer peer)
{
    struct link *found = links_find(&net->links, link);
    if (found != NULL) {
        links_bind(&net->links, found, peer);
    }
}

/* ---- sending */

static int count_dropped(struct net *net, uint64_t *of_peer, int code)
{
    net->dropped_count++;
    if (of_peer != NULL) {
        (*of_peer)++;
    }
    return code;
}

static int send_dialled(struct net *net, struct net_socket *s, struct frame *frame)
{
    if (!s->is_up) {
        return count_dropped(net, &s->dropped_count, ERROR_UNAVAILABLE);
    }
    zmq_msg_t msg;
    if (frame_to_msg(frame, s->budget, &msg) != 0) {
        return count_dropped(net, &s->dropped_count, ERROR_BUSY);
    }
    s->may_have_input = 1;
    if (zmq_msg_send(&msg, s->handle, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&msg);
        return count_dropped(net, &s->dropped_count, ERROR_UNAVAILABLE);
    }
    return 0;
}

static int send_routed(struct net *net, struct link *link, struct frame *frame)
{
    struct net_socket *s = socket_of(net, link->id);
    CHECK(s != NULL && !s->is_dialled);
    zmq_msg_t msg;
    if (frame_to_msg(frame, link->budget, &msg) != 0) {
        return count_dropped(net, &link->dropped_count, ERROR_BUSY);
    }
    uint8_t id[ROUTING_ID_BYTES] = {0};
    uint32_t routing = (uint32_t)link->id;
    memcpy(id + 1, &routing, sizeof routing);
    s->may_have_input = 1;
    if (zmq_send(s->handle, id, sizeof id, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0) {
        int is_gone = zmq_errno() == EHOSTUNREACH;
        zmq_msg_close(&msg);
        count_dropped(net, &link->dropped_count, ERROR_UNAVAILABLE);
        if (is_gone) {
            link_is_gone(net, link);
        }
        return ERROR_UNAVAILABLE;
    }
    if (zmq_msg_send(&msg, s->handle, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&msg);
        return count_dropped(net, &link->dropped_count, ERROR_UNAVAILABLE);
    }
    return 0;
}

static struct net_socket *dialled_to(const struct net *net, struct peer peer)
{
    for (size_t i = 0; i < net->socket_count; i++) {
        struct net_socket *s = &net->sockets[i];
        if (s->is_dialled && peer_equal(s->peer, peer)) {
            return s;
        }
    }
    return NULL;
}

int net_send(struct net *net, struct peer to, struct frame *frame)
{
    struct net_socket *dialled = to.role == ROLE_CLIENT ? NULL : dialled_to(net, to);
    if (dialled != NULL && dialled->is_up) {
        return send_dialled(net, dialled, frame);
    }
    struct link *link = links_find_peer(&net->links, to);
    if (link != NULL) {
        return send_routed(net, link, frame);
    }
    return count_dropped(net, dialled != NULL ? &dialled->dropped_count : NULL, ERROR_UNAVAILABLE);
}

int net_send_link(struct net *net, link_t link, struct frame *frame)
{
    struct link *found = links_find(&net->links, link);
    if (found != NULL) {
        return send_routed(net, found, frame);
    }
    struct net_socket *s = socket_of(net, link);
    if (s != NULL && s->is_dialled) {
        return send_dialled(net, s, frame);
    }
    return count_dropped(net, NULL, ERROR_UNAVAILABLE);
}

/* ---- questions */

int net_is_up(const struct net *net, struct peer peer)
{
    const struct net_socket *s = dialled_to(net, peer);
    return (s != NULL && s->is_up) || links_find_peer(&net->links, peer) != NULL;
}

const char *net_link_address(const struct net *net, link_t link)
{
    const struct link *found = links_find(&net->links, link);
    return found != NULL ? found->address : "";
}

uint64_t net_dropped_count(const struct net *net)
{
    return net->dropped_count;
}

uint64_t net_dropped_to(const struct net *net, struct peer peer)
{
    const struct net_socket *s = dialled_to(net, peer);
    const struct link *link = links_find_peer(&net->links, peer);
    return (s != NULL ? s->dropped_count : 0) + (link != NULL ? link->dropped_count : 0);
}

static size_t queued_in(struct budget *budget)
{
    return atomic_load_explicit(&budget->queued_bytes, memory_order_relaxed);
}

size_t net_queued_bytes(const struct net *net, struct peer peer)
{
    const struct net_socket *s = dialled_to(net, peer);
    const struct link *link = links_find_peer(&net->links, peer);
    return (s != NULL ? queued_in(s->budget) : 0) + (link != NULL ? queued_in(link->budget) : 0);
}

static int is_flushed(const struct net *net)
{
    for (size_t i = 0; i < net->socket_count; i++) {
        if (net->sockets[i].budget != NULL && queued_in(net->sockets[i].budget) != 0) {
            return 0;
        }
    }
    for (const struct link *link = net->links.oldest; link != NULL; link = link->next) {
        if (queued_in(link->budget) != 0) {
            return 0;
        }
    }
    return 1;
}

void net_flush(struct net *net, int64_t timeout_ms)
{
    const struct timespec pause = {.tv_nsec = 200000}; /* ZeroMQ tells nobody when it is done */
    for (int64_t i = 0; i < timeout_ms * 5 && !is_flushed(net); i++) {
        nanosleep(&pause, NULL);
    }
}
