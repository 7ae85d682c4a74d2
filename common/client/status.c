#include "common/client/ask.h"

#include "common/base/memory.h"

#include <stdlib.h>
#include <string.h>

#define NODES_MAX (3 * MEMBERS_MAX)

static const char *const state_names[] = {
    [NODE_UNKNOWN] = "unknown",         [NODE_STANDBY] = "standby",
    [NODE_PREPARING] = "preparing",     [NODE_RECOVERING] = "recovering",
    [NODE_LEADING] = "leading",         [NODE_DRAINING] = "draining",
    [NODE_VOTING] = "voting",           [NODE_APPLYING] = "applying",
    [NODE_CATCHING_UP] = "catching-up", [NODE_UNREACHABLE] = "unreachable",
};

const char *ask_state_name(uint32_t state)
{
    return state < sizeof state_names / sizeof state_names[0] ? state_names[state] : "unknown";
}

int ask_wait(struct synod *s, const int *is_done, uint64_t id)
{
    s->last_id = 0; /* a callback must not cancel what is waited for */
    int rc = call_wait(s, is_done);
    if (rc != SYNOD_OK) {
        const struct errmsg why = s->err;
        (void)synod_cancel(s, id);
        s->err = why;
    }
    return rc;
}

/* ---- one process */

static const char *address_of(const struct config *config, struct peer peer)
{
    int index = -1;
    switch (peer.role) {
    case ROLE_ACCEPTOR:
        index = members_acceptor_index(&config->members, peer.id);
        return index >= 0 ? config->acceptors[index].address : "";
    case ROLE_PROPOSER:
        index = members_proposer_index(&config->members, peer.id);
        return index >= 0 ? config->proposers[index].peer : "";
    default:
        index = members_learner_index(&config->members, peer.id);
        return index >= 0 ? config->learners[index].peer : "";
    }
}

static void tell_node(const struct synod *s, const struct node_status *status,
                      struct synod_node *out)
{
    *out = (struct synod_node){
        .role = (enum synod_role)status->node.role,
        .id = (uint32_t)status->node.id,
        .state = ask_state_name(status->state),
        .address = address_of(&s->config, status->node),
        .silence_ms = status->silence_ms,
        .ballot_round = status->ballot.round,
        .ballot_proposer = status->ballot.proposer,
        .leader = status->node.role == ROLE_LEARNER && status->leader == 0 ? status->ballot.proposer
                                                                           : status->leader,
        .leading_since = status->leading_since,
        .chosen = status->chosen,
        .accepted = status->accepted_max,
        .applied = status->applied,
        .last_index = status->last_index,
        .digest = status->digest,
        .sessions = status->session_count,
        .revision = status->revision,
        .compacted = status->compacted,
        .pending_bytes = status->pending_bytes,
        .dropped = status->dropped_count,
    };
}

/* ---- all of them */

struct asking_status {
    struct awaited awaited;
    synod_status_fn fn;
    void *arg;
};

static void on_status(struct synod *s, struct awaited *self, const struct completion *completion)
{
    const struct asking_status asking = *(struct asking_status *)self;
    const struct inquiry_status *status = completion->detail;
    struct synod_node nodes[NODES_MAX];
    CHECK(status->node_count <= NODES_MAX);
    free(self);
    for (size_t i = 0; i < status->node_count; i++) {
        tell_node(s, &status->nodes[i], &nodes[i]);
    }
    asking.fn(asking.arg, completion_code(s, completion), nodes, status->node_count);
}

static void drop(struct synod *s, struct awaited *self)
{
    const struct asking_status asking = *(struct asking_status *)self;
    free(self);
    if (s->is_closing) {
        asking.fn(asking.arg, SYNOD_E_INTERRUPTED, NULL, 0);
    }
}

int synod_status_async(struct synod *s, uint32_t timeout_ms, synod_status_fn fn, void *arg,
                       uint64_t *id)
{
    int rc = handle_check(s);
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct asking_status *asking = memory_calloc(1, sizeof *asking);
    asking->fn = fn;
    asking->arg = arg;
    asking->awaited.fn = on_status;
    asking->awaited.drop = drop;
    awaited_add(s, &asking->awaited, client_ask_status(s->core, 1, handle_deadline(s, timeout_ms)));
    ask_give_id(s, asking->awaited.id, id);
    handle_nudge(s);
    return SYNOD_OK;
}

/* ---- the same, waited for */

struct waiting {
    struct synod *s;
    struct synod_node nodes[NODES_MAX];
    size_t count;
    int is_done;
    int code;
    struct errmsg why; /* with a code other than SYNOD_OK */
};

static void take_nodes(void *arg, int code, const struct synod_node *nodes, size_t count)
{
    struct waiting *w = arg;
    if (count > 0) {
        memcpy(w->nodes, nodes, count * sizeof *nodes);
    }
    w->count = count;
    w->code = code;
    w->why = w->s->err;
    w->is_done = 1;
}

static int ask_all(struct synod *s, struct waiting *w)
{
    uint64_t id = 0;
    *w = (struct waiting){.s = s};
    int rc = handle_may_block(s);
    if (rc == SYNOD_OK) {
        rc = synod_status_async(s, 0, take_nodes, w, &id);
    }
    if (rc == SYNOD_OK) {
        rc = ask_wait(s, &w->is_done, id);
    }
    if (rc == SYNOD_OK && w->code != SYNOD_OK) {
        s->err = w->why;
        rc = w->code;
    }
    return rc;
}

int synod_status(struct synod *s, struct synod_node *nodes, size_t capacity, size_t *count)
{
    struct waiting w;
    int rc = ask_all(s, &w);
    size_t copied = w.count < capacity ? w.count : capacity;
    if (copied > 0) {
        memcpy(nodes, w.nodes, copied * sizeof *nodes);
    }
    *count = w.count;
    return rc;
}

int synod_leader(struct synod *s, struct synod_leader *out)
{
    struct waiting w;
    int rc = ask_all(s, &w);
    if (rc != SYNOD_OK) {
        return rc;
    }
    int is_raft = s->config.protocol == CONFIG_RAFT;
    struct synod_leader leader = {.role = is_raft ? SYNOD_ACCEPTOR : SYNOD_PROPOSER};
    for (size_t i = 0; i < w.count; i++) {
        const struct synod_node *node = &w.nodes[i];
        if (node->role == SYNOD_PROPOSER && node->state == state_names[NODE_LEADING] &&
            node->ballot_round > leader.round) {
            leader.id = is_raft ? node->ballot_proposer : node->id;
            leader.round = node->ballot_round;
        }
    }
    if (leader.id == 0) {
        return errmsg_set(&s->err, SYNOD_E_UNAVAILABLE,
                          "nobody leads (no proposer that answered says so); try: synod explain");
    }
    for (size_t i = 0; i < w.count; i++) {
        const struct synod_node *node = &w.nodes[i];
        if (node->role == SYNOD_LEARNER && node->ballot_round == leader.round &&
            node->ballot_proposer == leader.id && node->leading_since > leader.since) {
            leader.since = node->leading_since;
        }
    }
    *out = leader;
    return SYNOD_OK;
}
