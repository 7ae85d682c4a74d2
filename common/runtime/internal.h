/* What the files of this folder share; nobody else includes it.
 *
 * runtime.c    the loop: drain, step, write, send
 * outbound.c   effects to frames
 * handshake.c  who is behind a link, and whether it may speak
 * daemon.c     arguments and signals
 * log.c, clock.c */
#ifndef SYNOD_RUNTIME_INTERNAL_H
#define SYNOD_RUNTIME_INTERNAL_H

#include "common/net/net.h"
#include "common/protocol/handshake.h"
#include "common/runtime/runtime.h"
#include "common/wire/wire.h"

/* Refused senders that are remembered, so that each link is told once. */
#define TOLD_LINKS_MAX 1024

/* What this process knows of one member of the cluster. */
struct member {
    struct peer peer;

    /* We dial it. */
    int is_dialled;
    struct dialled_link dialled;

    /* It dials us. */
    link_t link; /* 0: none that we know to work */
    uint64_t incarnation;
    /* The first time it was asked whether it is still there since it was heard; 0: it was not. */
    time_ms_t asked_at;
};

struct told_link {
    link_t link;
    enum refusal reason;
    time_ms_t at;
};

struct runtime {
    const struct runtime_options *options;
    const struct config *config;
    struct peer self;
    struct net *net;
    struct wire_context wire;
    struct effects fx;
    struct arena decoded; /* arrays of the message being stepped */
    time_ms_t now;        /* read once a turn, and again after the disk */
    time_ms_t wake_at;    /* the core's wish, of the last turn */
    time_ms_t chores_at;
    time_ms_t slow_chores_at; /* those of every second */
    int disk_low;
    int signal_fd;
    int is_stopping;         /* EVENT_SHUTDOWN was stepped */
    int is_stopped;          /* leave the loop */
    time_ms_t stop_deadline; /* while stopping */
    int result;              /* of runtime_run */

    struct member members[3 * MEMBERS_MAX]; /* acceptors, proposers, learners */
    size_t member_count;
    time_ms_t duplicate_since; /* more members call us a duplicate than welcome us; 0: not so */
    struct told_link told[TOLD_LINKS_MAX];
};

/* ---- handshake.c */

void members_load(struct runtime *rt);

/* NULL if the peer is no member, as no client is. */
struct member *members_find(struct runtime *rt, struct peer peer);

/* The next three answer handshakes and log, and never step the core: the loop does what their
 * verdict says. On a link that comes up hello is sent; the core learns of it with the welcome. */
void handshake_on_up(struct runtime *rt, const struct inbound *in);

/* PEER_DOWN (of in->peer) or NOTHING. */
enum verdict handshake_on_down(struct runtime *rt, const struct inbound *in);

/* Decodes the frame into *out, whose arrays lie in rt->decoded, and checks who speaks. NOTHING,
 * PEER_UP, DELIVER, PEER_UP_AND_DELIVER, each of out->from. */
enum verdict handshake_on_frame(struct runtime *rt, const struct inbound *in, struct message *out);

/* Repeats hellos that were not answered, and ends the process that is a duplicate. Returns when to
 * call it next. */
time_ms_t handshake_chores(struct runtime *rt);

/* ---- outbound.c */

/* Encodes msg as from this process. NULL if it breaks a rule of the wire, which is logged. */
struct frame *outbound_frame(struct runtime *rt, struct message *msg);

/* Sends the messages of the turn that wait for `when`. */
void outbound_send(struct runtime *rt, enum send_when when);

/* ---- daemon.c */

/* SIGTERM and SIGINT as a descriptor that does not block. */
int signals_open(struct errmsg *err) MUST_USE;

#endif
