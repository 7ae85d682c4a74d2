/* One turn of a node: step, flush, send, write, send what waited. The rule "persist before send" of
 * this runner is here and nowhere else. */
#ifndef SYNOD_TESTS_TRACE_TURN_H
#define SYNOD_TESTS_TRACE_TURN_H

#include "tests/trace/cluster.h"

/* Steps the node with each packet of the list (which is freed) and with a tick if one is due. */
void turn_messages(struct cluster *cluster, struct node *node, struct packet *list);

/* A turn with one event that is no message. */
void turn_event(struct cluster *cluster, struct node *node, enum event_kind kind, struct peer peer);

/* The write of a turn that hung has completed: the turn goes on. */
void turn_finish(struct cluster *cluster, struct node *node);

/* Tells everybody who has a connection to the node that it works or broke; with EVENT_PEER_UP the
 * node hears of them too. */
void turn_tell_peers(struct cluster *cluster, struct node *node, enum event_kind kind);

/* Puts a message into the network with from and incarnation filled in where they are not. */
void turn_send(struct cluster *cluster, const struct node *from, const struct node *to,
               struct message *msg);

/* Tells the checker what became durable (a disk_durable_fn). */
struct durable_target {
    struct cluster *cluster;
    const struct node *node;
};

void turn_on_durable(void *arg, struct slice key, struct blob *value);

/* A packet arrived where no core is: shown and freed. */
void turn_drop(struct cluster *cluster, struct packet *packet);

#endif
