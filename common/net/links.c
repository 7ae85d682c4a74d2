#include "common/net/internal.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/protocol/limits.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static struct peer_key key_of(struct peer peer)
{
    return (struct peer_key){(uint64_t)peer.role, peer.id};
}

static void unbind(struct links *links, struct link *link)
{
    if (link->peer.role != ROLE_NONE) {
        HASH_DELETE(by_peer, links->by_peer, link);
        link->peer = (struct peer){ROLE_NONE, 0};
    }
}

void links_forget(struct links *links, struct link *link)
{
    unbind(links, link);
    HASH_DELETE(by_id, links->by_id, link);
    DL_DELETE(links->oldest, link);
    links->count--;
    budget_unref(link->budget);
    free(link);
}

struct link *links_find(const struct links *links, link_t id)
{
    struct link *link;
    HASH_FIND(by_id, links->by_id, &id, sizeof id, link);
    return link;
}

struct link *links_find_peer(const struct links *links, struct peer peer)
{
    struct peer_key key = key_of(peer);
    struct link *link;
    HASH_FIND(by_peer, links->by_peer, &key, sizeof key, link);
    return link;
}

static int is_newest(const struct links *links, const struct link *link)
{
    return links->oldest->prev == link; /* utlist: the head's prev is the tail */
}

struct link *links_touch(struct links *links, link_t id, size_t budget_bytes)
{
    if (links->oldest != NULL && links->oldest->prev->id == id) {
        return links->oldest->prev; /* the same sender again, the common case */
    }
    struct link *link = links_find(links, id);
    if (link == NULL) {
        CHECK(links->count < links->count_max);
        link = memory_calloc(1, sizeof *link);
        link->id = id;
        link->budget = budget_new(budget_bytes);
        HASH_ADD(by_id, links->by_id, id, sizeof link->id, link);
        DL_APPEND(links->oldest, link);
        links->count++;
    } else if (!is_newest(links, link)) {
        DL_DELETE(links->oldest, link);
        DL_APPEND(links->oldest, link);
    }
    return link;
}

void links_bind(struct links *links, struct link *link, struct peer peer)
{
    struct link *former = links_find_peer(links, peer);
    if (former == link) {
        return;
    }
    if (former != NULL) {
        unbind(links, former);
    }
    unbind(links, link);
    link->peer = peer;
    link->peer_key = key_of(peer);
    HASH_ADD(by_peer, links->by_peer, peer_key, sizeof link->peer_key, link);
}

void links_close(struct links *links)
{
    while (links->oldest != NULL) {
        links_forget(links, links->oldest);
    }
}
