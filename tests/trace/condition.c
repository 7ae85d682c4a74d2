#include "tests/trace/scenario.h"
#include "tests/trace/trace.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int scenario_node(const struct scenario *scenario, const char *name, size_t *index,
                  struct errmsg *err)
{
    if (scenario->cluster == NULL) {
        return errmsg_set(err, ERROR_USAGE, "there is no cluster yet");
    }
    if (strcmp(name, "*") == 0) {
        *index = NODES_MAX;
        return 0;
    }
    const struct node *node = cluster_node(scenario->cluster, name);
    if (node == NULL) {
        return errmsg_set(err, ERROR_USAGE, "there is no node '%s'", name);
    }
    *index = cluster_index(scenario->cluster, node);
    return 0;
}

static int pattern_matches(const char *pattern, size_t size, const char *name)
{
    if (size > 0 && pattern[size - 1] == '*') {
        return strncmp(pattern, name, size - 1) == 0;
    }
    return strlen(name) == size && strncmp(pattern, name, size) == 0;
}

int scenario_nodes(const struct scenario *scenario, const char *pattern, uint8_t marks[NODES_MAX],
                   struct errmsg *err)
{
    memset(marks, 0, NODES_MAX);
    if (scenario->cluster == NULL) {
        return errmsg_set(err, ERROR_USAGE, "there is no cluster yet");
    }
    for (const char *p = pattern; *p != '\0';) {
        size_t size = strcspn(p, ",");
        int found = 0;
        for (size_t i = 0; i < scenario->cluster->node_count; i++) {
            if (pattern_matches(p, size, scenario->cluster->nodes[i].name)) {
                marks[i] = 1;
                found = 1;
            }
        }
        if (!found) {
            return errmsg_set(err, ERROR_USAGE, "no node matches '%s'", pattern);
        }
        p += size + (p[size] == ',');
    }
    return 0;
}

int scenario_kind(const char *name, enum message_kind *kind, struct errmsg *err)
{
    *kind = 0;
    if (strcmp(name, "any") == 0) {
        return 0;
    }
    for (int k = 1; k < KINDS_MAX; k++) {
        if (strcmp(message_kind_name((enum message_kind)k), name) == 0) {
            *kind = (enum message_kind)k;
            return 0;
        }
    }
    return errmsg_set(err, ERROR_USAGE, "'%s' is no kind of message", name);
}

struct player *scenario_client(struct scenario *scenario, const char *name)
{
    for (size_t i = 0; i < scenario->client_count; i++) {
        if (strcmp(scenario->clients[i].node->name, name) == 0) {
            return &scenario->clients[i];
        }
    }
    return NULL;
}

static int acceptor_field(const struct node *node, const char *field, struct text *out)
{
    if (strcmp(field, "promised") == 0) {
        struct ballot promised = acceptor_promised(node->acceptor);
        trace_ballot(out, &promised);
    } else if (strcmp(field, "chosen") == 0) {
        text_addf(out, "%" PRIu64, acceptor_chosen(node->acceptor));
    } else if (strcmp(field, "accepted") == 0) {
        text_addf(out, "%" PRIu64, acceptor_accepted_max(node->acceptor));
    } else {
        return 0;
    }
    return 1;
}

static int proposer_field(const struct node *node, const char *field, struct text *out)
{
    if (strcmp(field, "state") == 0) {
        text_addf(out, "%s", trace_node_state(proposer_state(node->proposer)));
    } else if (strcmp(field, "ballot") == 0) {
        struct ballot ballot = proposer_ballot(node->proposer);
        trace_ballot(out, &ballot);
    } else if (strcmp(field, "chosen") == 0) {
        text_addf(out, "%" PRIu64, proposer_chosen(node->proposer));
    } else {
        return 0;
    }
    return 1;
}

static int raft_field(const struct node *node, const char *field, struct text *out)
{
    const struct raft *raft = node->raft;
    if (strcmp(field, "role") == 0) {
        text_addf(out, "%s", trace_raft_role(raft_role(raft)));
    } else if (strcmp(field, "term") == 0) {
        text_addf(out, "%" PRIu64, raft_term(raft));
    } else if (strcmp(field, "vote") == 0) {
        text_addf(out, "A%u", raft_voted_for(raft));
    } else if (strcmp(field, "commit") == 0 || strcmp(field, "chosen") == 0) {
        text_addf(out, "%" PRIu64, raft_commit(raft));
    } else if (strcmp(field, "last") == 0 || strcmp(field, "accepted") == 0) {
        text_addf(out, "%" PRIu64, raft_last(raft));
    } else {
        return 0;
    }
    return 1;
}

/* leader: "A2", or none. */
static int forward_field(const struct node *node, const char *field, struct text *out)
{
    if (strcmp(field, "state") == 0) {
        text_addf(out, "%s", trace_node_state(forward_state(node->forward)));
    } else if (strcmp(field, "leader") == 0) {
        struct ballot leader = forward_leader(node->forward);
        text_addf(out, ballot_is_none(&leader) ? "none" : "A%u", leader.proposer);
    } else {
        return 0;
    }
    return 1;
}

static int learner_field(const struct node *node, const char *field, struct text *out)
{
    if (strcmp(field, "applied") == 0) {
        text_addf(out, "%" PRIu64, learner_applied(node->learner));
    } else if (strcmp(field, "last") == 0) {
        text_addf(out, "%" PRIu64, learner_last_index(node->learner));
    } else {
        return 0;
    }
    return 1;
}

static int client_field(const struct player *client, const char *field, struct text *out)
{
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"acked", client->acked},         {"results", client->results},
        {"gaps", client->gaps},           {"unknown", client->unknown},
        {"rejects", client->rejects},     {"records", client->records},
        {"forgotten", client->forgotten}, {"open", client->session != 0},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (strcmp(field, numbers[i].name) == 0) {
            text_addf(out, "%" PRIu64, numbers[i].value);
            return 1;
        }
    }
    if (strcmp(field, "read") == 0) {
        text_addf(out, "%s", client->last_read[0] != '\0' ? client->last_read : "none");
        return 1;
    }
    if (strcmp(field, "reject") == 0) {
        text_addf(out, "%s", client->last_reject[0] != '\0' ? client->last_reject : "none");
        return 1;
    }
    return 0;
}

static int node_field(struct scenario *s, const struct node *node, const char *field,
                      struct text *out)
{
    if (strcmp(field, "up") == 0) {
        text_addf(out, "%d", node->mode == NODE_UP);
        return 1;
    }
    struct player *client = scenario_client(s, node->name);
    if (client != NULL) {
        return client_field(client, field, out);
    }
    if (node->mode != NODE_UP) {
        text_addf(out, "down");
        return 1;
    }
    if (node->acceptor != NULL) {
        return acceptor_field(node, field, out);
    }
    if (node->raft != NULL) {
        return raft_field(node, field, out);
    }
    if (node->forward != NULL) {
        return forward_field(node, field, out);
    }
    return node->proposer != NULL ? proposer_field(node, field, out)
                                  : learner_field(node, field, out);
}

static int is_number(const char *text)
{
    return *text != '\0' && strspn(text, "0123456789") == strlen(text);
}

static int holds_for(const char *actual, const char *op, const char *wanted)
{
    if (!is_number(actual) || !is_number(wanted)) {
        int equal = strcmp(actual, wanted) == 0;
        return strcmp(op, "!=") == 0 ? !equal : equal;
    }
    uint64_t a = strtoull(actual, NULL, 10);
    uint64_t w = strtoull(wanted, NULL, 10);
    switch (op[0]) {
    case '<':
        return op[1] == '=' ? a <= w : a < w;
    case '>':
        return op[1] == '=' ? a >= w : a > w;
    case '!':
        return a != w;
    default:
        return a == w;
    }
}

static int is_operator(const char *op)
{
    return strcmp(op, "=") == 0 || strcmp(op, "!=") == 0 || strcmp(op, "<") == 0 ||
           strcmp(op, "<=") == 0 || strcmp(op, ">") == 0 || strcmp(op, ">=") == 0;
}

/* seen|sent FROM TO KIND OP N */
static int count_condition(struct scenario *s, char **words, int *holds, struct text *actual,
                           struct errmsg *err)
{
    uint8_t from[NODES_MAX];
    uint8_t to[NODES_MAX];
    enum message_kind kind;
    if (scenario_nodes(s, words[1], from, err) != 0 || scenario_nodes(s, words[2], to, err) != 0 ||
        scenario_kind(words[3], &kind, err) != 0) {
        return ERROR_USAGE;
    }
    uint32_t(*counts)[NODES_MAX][KINDS_MAX] = strcmp(words[0], "seen") == 0 ? s->seen : s->sent;
    uint64_t total = 0;
    for (size_t i = 0; i < s->cluster->node_count; i++) {
        for (size_t j = 0; j < s->cluster->node_count; j++) {
            for (size_t k = 0; k < KINDS_MAX && from[i] && to[j]; k++) {
                total += kind == 0 || (size_t)kind == k ? counts[i][j][k] : 0;
            }
        }
    }
    text_addf(actual, "%" PRIu64, total);
    *holds = holds_for(actual->data, words[4], words[5]);
    return 0;
}

/* All learners that are up have applied the same slots to the same state. */
static int learners_agree(const struct scenario *s, struct text *actual)
{
    const struct learner *first = NULL;
    int agree = 1;
    for (size_t i = 0; i < s->cluster->node_count; i++) {
        const struct learner *learner = s->cluster->nodes[i].learner;
        if (learner == NULL) {
            continue;
        }
        text_addf(actual, " %s applied=%" PRIu64, s->cluster->nodes[i].name,
                  learner_applied(learner));
        if (first == NULL) {
            first = learner;
        } else if (learner_applied(first) != learner_applied(learner) ||
                   learner_digest(first) != learner_digest(learner)) {
            agree = 0;
        }
    }
    return agree;
}

int scenario_condition(struct scenario *s, char **words, size_t count, int *holds,
                       struct text *actual, struct errmsg *err)
{
    if (s->cluster == NULL) {
        return errmsg_set(err, ERROR_USAGE, "there is no cluster yet");
    }
    if (count == 2 && strcmp(words[0], "learners") == 0 && strcmp(words[1], "agree") == 0) {
        *holds = learners_agree(s, actual);
        return 0;
    }
    if (count == 6 && is_operator(words[4]) &&
        (strcmp(words[0], "seen") == 0 || strcmp(words[0], "sent") == 0)) {
        return count_condition(s, words, holds, actual, err);
    }
    if (count != 4 || !is_operator(words[2])) {
        return errmsg_set(err, ERROR_USAGE,
                          "a condition is: NODE FIELD OP VALUE, seen|sent FROM TO KIND OP N, or "
                          "learners agree");
    }
    uint8_t nodes[NODES_MAX];
    if (scenario_nodes(s, words[0], nodes, err) != 0) {
        return ERROR_USAGE;
    }
    *holds = 1;
    for (size_t i = 0; i < s->cluster->node_count; i++) {
        struct text value = {0};
        if (!nodes[i]) {
            continue;
        }
        if (!node_field(s, &s->cluster->nodes[i], words[1], &value)) {
            return errmsg_set(err, ERROR_USAGE, "%s has no '%s'", s->cluster->nodes[i].name,
                              words[1]);
        }
        *holds &= holds_for(value.data, words[2], words[3]);
        text_addf(actual, " %s %s=%s", s->cluster->nodes[i].name, words[1], value.data);
        text_close(&value);
    }
    return 0;
}
