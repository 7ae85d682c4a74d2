/* What the files of this folder share; nobody else includes it.
 *
 * net.c      open, close, wait, receive, send
 * sockets.c  every ZeroMQ option (TRAPS 5), addresses, monitors
 * links.c    connections of listening sockets: who is behind them, which is used the least
 * frame.c    shared frames and byte budgets */
#ifndef SYNOD_NET_INTERNAL_H
#define SYNOD_NET_INTERNAL_H

#include "common/net/net.h"

#include <poll.h>
#include <stdatomic.h>
#include <uthash.h>
#include <zmq.h>

/* ---- frame.c */

/* Bytes that ZeroMQ holds towards one peer. Given back on ZeroMQ's own thread, so it outlives the
 * link for as long as a frame is under way. */
struct budget {
    atomic_size_t queued_bytes;
    atomic_uint references; /* the link's, and one a frame under way */
    size_t max_bytes;
};

struct budget *budget_new(size_t max_bytes);
void budget_unref(struct budget *budget);

/* Makes msg a view of the frame and charges the budget. ERROR_BUSY, with msg untouched, if it is
 * used up. */
int frame_to_msg(struct frame *frame, struct budget *budget, zmq_msg_t *msg) MUST_USE;

/* Takes the content of msg, which stays valid and empty. */
struct blob *blob_from_msg(zmq_msg_t *msg);

/* ---- links.c */

#define LINK_ADDRESS_BYTES_MAX 64

/* uthash needs a key without padding. */
struct peer_key {
    uint64_t role;
    uint64_t id;
};

/* A connection of a listening socket that was heard. */
struct link {
    link_t id;
    struct peer peer;         /* {ROLE_NONE, 0} until net_bind */
    struct peer_key peer_key; /* of peer; in by_peer only while bound */
    struct budget *budget;
    uint64_t dropped_count;
    char address[LINK_ADDRESS_BYTES_MAX]; /* of the other host, "" if unknown */
    struct link *prev, *next;             /* by use, the longest unused first */
    UT_hash_handle by_id;
    UT_hash_handle by_peer;
};

struct links {
    struct link *by_id;
    struct link *by_peer;
    struct link *oldest;
    size_t count, count_max;
};

/* The link, made if it was not known, which needs room; marks it as used. */
struct link *links_touch(struct links *links, link_t id, size_t budget_bytes);

struct link *links_find(const struct links *links, link_t id);
struct link *links_find_peer(const struct links *links, struct peer peer);
void links_bind(struct links *links, struct link *link, struct peer peer);
void links_forget(struct links *links, struct link *link);
void links_close(struct links *links);

/* ---- sockets.c */

struct net_socket {
    void *handle;
    int fd;             /* ZMQ_FD */
    int may_have_input; /* 0 only if ZeroMQ said EAGAIN and nothing was done with the socket since:
                          ZMQ_FD signals nothing but what comes after that */
    int is_dialled;
    enum net_port port;
    size_t budget_bytes; /* of each link */

    /* Dialled only. */
    struct peer peer;
    int is_up;
    void *monitor; /* reports handshakes and disconnects of handle */
    int monitor_fd;
    int monitor_may_have_input;
    struct budget *budget;
    uint64_t dropped_count;
};

struct gone_link {
    link_t link;
    struct peer peer;
    enum net_port port;
};

struct net {
    void *context;
    struct net_socket *sockets;
    size_t socket_count, socket_capacity;
    struct pollfd *polled; /* two a socket: data, monitor (-1 if none); then one for extra_fd */
    size_t polled_capacity;
    int epoll_fd; /* the same descriptors for a loop of somebody else */
    size_t turn;  /* socket to ask next */
    int is_fresh; /* net_wait has just looked at all descriptors */
    struct links links;
    struct gone_link *gone; /* found out while sending; reported by net_receive */
    size_t gone_count, gone_capacity, gone_taken;
    uint64_t dropped_count;
};

/* A socket of that type with every option set. ERROR_INTERNAL: descriptors or sockets ran out. */
int socket_open(void *context, int type, const char *address, void **out,
                struct errmsg *err) MUST_USE;

/* The PAIR that reports what happens to handle; number makes its name unique. */
int socket_monitor(void *context, void *handle, size_t number, void **out,
                   struct errmsg *err) MUST_USE;

int socket_fd(void *handle, int *fd, struct errmsg *err) MUST_USE;

int socket_bind(void *handle, const char *address, struct errmsg *err) MUST_USE;

/* Reads the monitor: 1 with *is_up set for a handshake done or a connection lost; 0 if there is
 * nothing more. */
int socket_monitor_take(void *monitor, int *is_up);

#endif
