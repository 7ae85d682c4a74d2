/* Frames between processes: the only place that knows ZeroMQ.
 *
 * A process listens with ROUTER sockets (one for members, one for clients) and dials with one
 * DEALER a peer. Frames are single-part and opaque here. Every socket option of TRAPS 5 is set in
 * one function. Sockets belong to the one thread that opened the net. */
#ifndef SYNOD_NET_NET_H
#define SYNOD_NET_NET_H

#include "common/base/blob.h"
#include "common/base/error.h"
#include "common/protocol/types.h"

struct net;

enum net_port {
    NET_PORT_PEER,   /* members of the cluster */
    NET_PORT_CLIENT, /* clients */
};

/* One connection. Links of listening sockets appear with their first frame; links that were dialled
 * exist from net_dial on. 0 is never a link. */
typedef uint64_t link_t;

int net_open(struct net **out, struct errmsg *err) MUST_USE;

/* Closes every socket without lingering: what net_flush did not wait for is lost. NULL is
 * allowed. */
void net_close(struct net *net);

/* Binds a ROUTER. address as in cluster.yml, "tcp://host:port". ERROR_USAGE: not an address, or not
 * this machine's; ERROR_BUSY: in use, and the sentence says so. */
int net_listen(struct net *net, const char *address, enum net_port port,
               struct errmsg *err) MUST_USE;

/* Dials a peer with a DEALER of its own, which reconnects by itself with a back-off for ever. */
int net_dial(struct net *net, struct peer peer, const char *address, struct errmsg *err) MUST_USE;

/* Blocks until a frame, a change of a link or readable extra_fd (-1 for none), at most timeout_ms
 * (-1: for ever). 0, or ERROR_INTERRUPTED after a signal. */
int net_wait(struct net *net, int64_t timeout_ms, int extra_fd) MUST_USE;

/* A pollable descriptor for an event loop of somebody else: readable when net_wait might have
 * something. Edge semantics, because sending takes notice of what arrives: after every event of the
 * descriptor AND after every net_send call net_receive until it returns 0 before waiting on it.
 * Valid until net_close. */
int net_fd(const struct net *net);

enum inbound_kind {
    INBOUND_FRAME,
    INBOUND_UP,   /* a dialled link is connected (again): shake hands */
    INBOUND_DOWN, /* a dialled link broke, or a listening link turned out to be gone, or had to be
                     forgotten for want of room */
};

struct inbound {
    enum inbound_kind kind;
    link_t link;
    int is_dialled;
    enum net_port port; /* of the listening socket; NET_PORT_PEER for dialled links */
    struct peer peer;   /* dialled, or bound with net_bind; {ROLE_NONE, 0} if unknown */
    struct blob *frame; /* INBOUND_FRAME: one reference for the caller; its bytes are the network's
                           own buffer. Empty (no message decodes from it) in place of what was not
                           one part, or came from a sender that chose its own routing id */
};

/* Takes what has arrived, fairly over all sockets. 1 with *out set, 0 if there is nothing. Never
 * blocks. The link of a sender that chose its own routing id is 0: it cannot be answered. */
int net_receive(struct net *net, struct inbound *out);

/* From now on frames for peer go out on this listening link; an older link of the same peer is
 * forgotten. At most LINKS_MAX links are remembered. The longest unused one is forgotten first,
 * which is told as INBOUND_DOWN before another one is heard of. */
void net_bind(struct net *net, link_t link, struct peer peer);

/* An immutable frame to send, shared between sockets without a copy. */
struct frame;

/* Takes over data (malloc'ed). One reference. The count is atomic: ZeroMQ's thread gives its
 * references back. */
struct frame *frame_new(uint8_t *data, size_t size);

void frame_unref(struct frame *frame);

/* Queues the frame towards a peer. Takes its own reference. 0; ERROR_UNAVAILABLE: no connection;
 * ERROR_BUSY: the peer's byte budget is used up. In both cases the frame is dropped and counted.
 * Never blocks. */
int net_send(struct net *net, struct peer to, struct frame *frame);

/* The same on a link whose sender is not known yet. */
int net_send_link(struct net *net, link_t link, struct frame *frame);

/* 1 if a link to the peer is known to be up. */
int net_is_up(const struct net *net, struct peer peer);

/* The IP address of the other end of a listening link, "" if it is not known. Valid until the next
 * call that may forget links. */
const char *net_link_address(const struct net *net, link_t link);

/* Frames dropped since the start, in all and towards one peer. */
uint64_t net_dropped_count(const struct net *net);
uint64_t net_dropped_to(const struct net *net, struct peer peer);

/* Bytes queued towards a peer that ZeroMQ has not handed to the kernel yet, its overhead per frame
 * included. */
size_t net_queued_bytes(const struct net *net, struct peer peer);

/* Waits until the kernel has everything that was sent, at most timeout_ms. What arrives meanwhile
 * stays queued. */
void net_flush(struct net *net, int64_t timeout_ms);

#endif
