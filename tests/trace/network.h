/* The simulated network: messages in flight between nodes, and links that can be cut or held.
 *
 * Nodes are numbers here. Between two nodes messages keep their order unless a test changes it.
 * Cutting a link loses what is sent over it from then on, silently, as a dropped route does. */
#ifndef SYNOD_TESTS_TRACE_NETWORK_H
#define SYNOD_TESTS_TRACE_NETWORK_H

#include "common/protocol/message.h"
#include "common/protocol/types.h"

#include <stddef.h>

#define NODES_MAX 64

/* In network.lose: the bit of a kind, and all of them. */
#define LOSE_KIND(kind) ((uint64_t)1 << (kind))
#define LOSE_ALL UINT64_MAX

/* A message in flight. */
struct packet {
    struct packet *next;
    size_t from, to;
    time_ms_t due_at; /* not before */
    int event;        /* 0: msg arrives; else the enum event_kind of news about peer msg.from */
    uint32_t epoch;   /* the simulator: when it was sent */
    uint32_t to_life; /* likewise: to which life of a client */
    int64_t sent_us;  /* likewise */
    uint64_t digest;  /* likewise: of the bytes of a block when it was sent */
    struct message msg;
};

struct network {
    struct packet *first; /* in the order in which they will be delivered when due alike */
    struct packet *last;
    uint64_t lose[NODES_MAX][NODES_MAX]; /* [from][to]: kinds that are lost, by bit */
    uint8_t hold[NODES_MAX][NODES_MAX];  /* messages wait until the link is released */
};

/* Chooses packets. from and to may be NODES_MAX: any; kind 0: any. */
struct packet_filter {
    size_t from, to;
    enum message_kind kind;
};

/* Sends a copy of msg. 1, or 0 if the link is cut and it was lost. */
int network_send(struct network *network, size_t from, size_t to, const struct message *msg,
                 time_ms_t due_at);

int packet_matches(const struct packet *packet, const struct packet_filter *filter);

/* The first packet that matches, or NULL; held links count only with including_held. */
struct packet *network_find(const struct network *network, const struct packet_filter *filter,
                            int including_held);

/* Takes a packet out of the network. The caller frees it with packet_free. */
void network_take(struct network *network, struct packet *packet);

/* Puts a packet that was taken back, first or last among all. */
void network_put(struct network *network, struct packet *packet, int is_first);

/* One more of it, right behind it. */
void network_duplicate(struct network *network, struct packet *packet);

void packet_free(struct packet *packet);

void network_close(struct network *network);

#endif
