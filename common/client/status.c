#include "common/client/client.h"

#include <string.h>

static const char *const state_names[] = {
    [NODE_UNKNOWN] = "unknown",         [NODE_STANDBY] = "standby",
    [NODE_PREPARING] = "preparing",     [NODE_RECOVERING] = "recovering",
    [NODE_LEADING] = "leading",         [NODE_DRAINING] = "draining",
    [NODE_VOTING] = "voting",           [NODE_APPLYING] = "applying",
    [NODE_CATCHING_UP] = "catching-up", [NODE_UNREACHABLE] = "unreachable",
};

const char *status_state_name(uint32_t state)
{
    return state < sizeof state_names / sizeof state_names[0] ? state_names[state] : "unknown";
}

static struct synod_node *find_node(struct synod *s, struct peer peer)
{
    for (size_t i = 0; i < s->node_count; i++) {
        if ((enum role)s->nodes[i].role == peer.role && s->nodes[i].id == peer.id) {
            return &s->nodes[i];
        }
    }
    return NULL;
}

static void note_status(struct synod *s, const struct node_status *status)
{
    struct synod_node *node = find_node(s, status->node);
    if (node == NULL) {
        return; /* a member of another configuration */
    }
    uint8_t *seen = &s->node_seen[node - s->nodes];
    if (*seen && node->silence_ms <= status->silence_ms) {
        return; /* a fresher report came from another proposer */
    }
    *seen = 1;
    node->state = status_state_name(status->state);
    node->silence_ms = status->silence_ms;
    node->ballot_round = status->ballot.round;
    node->ballot_proposer = status->ballot.proposer;
    node->leader = status->node.role == ROLE_LEARNER && status->leader == 0
                       ? status->ballot.proposer
                       : status->leader;
    node->leading_since = status->leading_since;
    node->chosen = status->chosen;
    node->accepted = status->accepted_max;
    node->applied = status->applied;
    node->last_index = status->last_index;
    node->digest = status->digest;
    node->sessions = status->session_count;
    node->revision = status->revision;
    node->compacted = status->compacted;
    node->pending_bytes = status->pending_bytes;
    node->dropped = status->dropped_count;
}

static struct contact *contact_of(struct synod *s, struct peer peer)
{
    if (peer.role == ROLE_PROPOSER) {
        return links_proposer(s, peer.id);
    }
    for (size_t i = 0; i < s->learner_count; i++) {
        if (peer.role == ROLE_LEARNER && s->learners[i].peer.id == peer.id) {
            return &s->learners[i];
        }
    }
    return NULL;
}

void status_on_reply(struct synod *s, const struct message *msg)
{
    const struct msg_status_reply *reply = &msg->status_reply;
    struct contact *contact = contact_of(s, msg->from);
    if (contact == NULL || contact->status_request == 0 ||
        reply->request != contact->status_request) {
        return;
    }
    contact->status_request = 0;
    for (uint32_t i = 0; i < reply->node_count; i++) {
        const struct node_status *status = &reply->nodes[i];
        /* Of itself, and, by hearsay, of acceptors, which take no clients. */
        if (peer_equal(status->node, msg->from) || status->node.role == ROLE_ACCEPTOR) {
            note_status(s, status);
        }
    }
}

static void ask_contact(struct synod *s, struct contact *contact)
{
    if (contact->status_request == 0 || contact->status_sent || !contact->is_welcome) {
        return;
    }
    struct message msg = {.kind = MSG_STATUS};
    msg.status.request = contact->status_request;
    contact->status_sent = links_send(s, contact, &msg) == 0;
}

void status_work(struct synod *s)
{
    if (s->status_request == 0) {
        return;
    }
    for (size_t i = 0; i < s->proposer_count; i++) {
        ask_contact(s, &s->proposers[i]);
    }
    for (size_t i = 0; i < s->learner_count; i++) {
        ask_contact(s, &s->learners[i]);
    }
}

static void start_contact(struct synod *s, struct contact *contact)
{
    contact->status_request = s->status_request;
    contact->status_sent = 0;
    links_want(s, contact);
}

static void add_node(struct synod *s, enum role role, node_id_t id, const char *address)
{
    s->nodes[s->node_count] = (struct synod_node){
        .role = (enum synod_role)role,
        .id = id,
        .state = status_state_name(NODE_UNREACHABLE),
        .address = address,
    };
    s->node_seen[s->node_count++] = 0;
}

void status_ask_proposers(struct synod *s)
{
    const struct members *members = &s->config.members;
    s->node_count = 0;
    s->status_request = ++s->request;
    for (size_t i = 0; i < members->acceptor_count; i++) {
        add_node(s, ROLE_ACCEPTOR, s->config.acceptors[i].id, s->config.acceptors[i].address);
    }
    for (size_t i = 0; i < s->proposer_count; i++) {
        add_node(s, ROLE_PROPOSER, s->config.proposers[i].id, s->config.proposers[i].peer);
        start_contact(s, &s->proposers[i]);
    }
}

static void start_status(struct synod *s)
{
    status_ask_proposers(s);
    for (size_t i = 0; i < s->learner_count; i++) {
        add_node(s, ROLE_LEARNER, s->config.learners[i].id, s->config.learners[i].peer);
        start_contact(s, &s->learners[i]);
    }
}

/* How many still owe an answer. */
static size_t unanswered_count(const struct synod *s)
{
    size_t count = 0;
    for (size_t i = 0; i < s->proposer_count; i++) {
        count += s->proposers[i].status_request != 0;
    }
    for (size_t i = 0; i < s->learner_count; i++) {
        count += s->learners[i].status_request != 0;
    }
    return count;
}

static int collect(struct synod *s)
{
    size_t asked = s->proposer_count + s->learner_count;
    time_ms_t now = client_now();
    time_ms_t patience = now + STATUS_SILENCE_MS;
    time_ms_t deadline = client_deadline(now, s->timeout_ms);
    patience = deadline < patience ? deadline : patience;
    for (;;) {
        size_t missing = unanswered_count(s);
        now = client_now();
        if (missing == 0 || (missing < asked && now >= patience)) {
            return SYNOD_OK;
        }
        if (now >= deadline) {
            return client_leaderless(s, "no process answered in time");
        }
        int rc = client_turn(s, now < patience ? patience : deadline);
        if (rc != SYNOD_OK) {
            return rc;
        }
    }
}

int synod_status(struct synod *s, struct synod_node *nodes, size_t capacity, size_t *count)
{
    *count = 0;
    int rc = client_may_block(s);
    if (rc != SYNOD_OK) {
        return rc;
    }
    start_status(s);
    rc = collect(s);
    s->status_request = 0;
    size_t copied = s->node_count < capacity ? s->node_count : capacity;
    if (copied > 0) {
        memcpy(nodes, s->nodes, copied * sizeof *nodes);
    }
    *count = s->node_count;
    return rc;
}

int status_find_leader(const struct synod *s, struct synod_leader *out)
{
    int is_raft = s->config.protocol == CONFIG_RAFT;
    struct synod_leader leader = {.role = is_raft ? SYNOD_ACCEPTOR : SYNOD_PROPOSER};
    for (size_t i = 0; i < s->node_count; i++) {
        const struct synod_node *node = &s->nodes[i];
        if (node->role == SYNOD_PROPOSER && node->state == state_names[NODE_LEADING] &&
            node->ballot_round > leader.round) {
            leader.id = is_raft ? node->ballot_proposer : node->id;
            leader.round = node->ballot_round;
        }
    }
    *out = leader;
    return leader.id != 0;
}

int synod_leader(struct synod *s, struct synod_leader *out)
{
    int rc = client_may_block(s);
    if (rc != SYNOD_OK) {
        return rc;
    }
    start_status(s);
    rc = collect(s);
    s->status_request = 0;
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct synod_leader leader;
    if (!status_find_leader(s, &leader)) {
        return errmsg_set(&s->err, SYNOD_E_UNAVAILABLE,
                          "nobody leads (no proposer that answered says so); try: synod explain");
    }
    for (size_t i = 0; i < s->node_count; i++) {
        const struct synod_node *node = &s->nodes[i];
        if (node->role == SYNOD_LEARNER && node->ballot_round == leader.round &&
            node->ballot_proposer == leader.id && node->leading_since > leader.since) {
            leader.since = node->leading_since;
        }
    }
    *out = leader;
    return SYNOD_OK;
}
