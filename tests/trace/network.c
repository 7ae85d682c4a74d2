#include "tests/trace/network.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "tests/trace/clone.h"

#include <stdlib.h>

int network_send(struct network *network, size_t from, size_t to, const struct message *msg,
                 time_ms_t due_at)
{
    CHECK(from < NODES_MAX);
    CHECK(to < NODES_MAX);
    if ((network->lose[from][to] & LOSE_KIND(msg->kind)) != 0) {
        return 0;
    }
    struct packet *packet = memory_calloc(1, sizeof *packet);
    packet->from = from;
    packet->to = to;
    packet->due_at = due_at;
    message_clone(msg, &packet->msg);
    network_put(network, packet, 0);
    return 1;
}

int packet_matches(const struct packet *packet, const struct packet_filter *filter)
{
    return (filter->from == NODES_MAX || filter->from == packet->from) &&
           (filter->to == NODES_MAX || filter->to == packet->to) &&
           (filter->kind == 0 || filter->kind == packet->msg.kind);
}

struct packet *network_find(const struct network *network, const struct packet_filter *filter,
                            int including_held)
{
    for (struct packet *packet = network->first; packet != NULL; packet = packet->next) {
        if (packet_matches(packet, filter) &&
            (including_held || !network->hold[packet->from][packet->to])) {
            return packet;
        }
    }
    return NULL;
}

void network_take(struct network *network, struct packet *packet)
{
    struct packet *before = NULL;
    for (struct packet *p = network->first; p != packet; p = p->next) {
        CHECK(p != NULL);
        before = p;
    }
    if (before != NULL) {
        before->next = packet->next;
    } else {
        network->first = packet->next;
    }
    if (network->last == packet) {
        network->last = before;
    }
    packet->next = NULL;
}

void network_put(struct network *network, struct packet *packet, int is_first)
{
    CHECK(packet->next == NULL);
    if (network->first == NULL) {
        network->first = network->last = packet;
    } else if (is_first) {
        packet->next = network->first;
        network->first = packet;
    } else {
        network->last->next = packet;
        network->last = packet;
    }
}

void network_duplicate(struct network *network, struct packet *packet)
{
    struct packet *copy = memory_calloc(1, sizeof *copy);
    copy->from = packet->from;
    copy->to = packet->to;
    copy->due_at = packet->due_at;
    message_clone(&packet->msg, &copy->msg);
    copy->next = packet->next;
    packet->next = copy;
    if (network->last == packet) {
        network->last = copy;
    }
}

void packet_free(struct packet *packet)
{
    message_drop(&packet->msg);
    free(packet);
}

void network_close(struct network *network)
{
    while (network->first != NULL) {
        struct packet *packet = network->first;
        network_take(network, packet);
        packet_free(packet);
    }
}
