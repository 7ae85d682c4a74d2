/* The section `oracle` of cluster.yml, what its members say of themselves as candidates, and the
 * rules that settings of oracles keep, wherever they come from. */
#include "common/config/parse.h"

#include <stdio.h>
#include <string.h>

/* ---- candidates */

static int parse_zone(struct parser *r, const struct tree *node, char *zone)
{
    int rc = parse_scalar(r, node, "the name of a zone");
    if (rc == 0 && (node->text[0] == '\0' || !zone_is_valid(node->text))) {
        rc = tree_refuse(node, r->name, r->err,
                         "\"%.40s\" (a zone is 1 to %d letters, digits and . _ -); try: zone: eu",
                         node->text, ZONE_BYTES_MAX - 1);
    }
    if (rc == 0) {
        memcpy(zone, node->text, strlen(node->text));
    }
    return rc;
}

int parse_candidate(struct parser *r, const struct tree *node, struct candidate_settings *out)
{
    const struct tree *priority = tree_child(node, "priority");
    const struct tree *zone = tree_child(node, "zone");
    const struct tree *lead = tree_child(node, "lead");
    int may_lead = 1;
    int rc = 0;
    if (priority != NULL) {
        rc = parse_number(r, priority, 0, UINT32_MAX, &out->priority);
    }
    if (rc == 0 && zone != NULL) {
        rc = parse_zone(r, zone, out->zone);
    }
    if (rc == 0 && lead != NULL) {
        rc = parse_bool(r, lead, &may_lead);
    }
    out->is_barred = !may_lead;
    return rc;
}

static int is_candidate(const struct config *cfg, node_id_t id)
{
    return cfg->protocol == CONFIG_RAFT ? members_acceptor_index(&cfg->members, id) >= 0
                                        : members_proposer_index(&cfg->members, id) >= 0;
}

static int parse_id(struct parser *r, const struct tree *node, node_id_t *out)
{
    int rc = parse_number(r, node, 1, UINT32_MAX, out);
    if (rc == 0 && !is_candidate(r->out, *out)) {
        rc = tree_refuse(node, r->name, r->err, "there is no %s %u; try: an id that is listed",
                         config_candidate_role(r->out), (unsigned)*out);
    }
    return rc;
}

/* ---- the section */

static int parse_kind(struct parser *r, const struct tree *node)
{
    int rc = parse_scalar(r, node, "connected");
    if (rc == 0 && oracle_kind_parse(node->text, &r->out->settings.kind) != 0) {
        rc = tree_refuse(node, r->name, r->err,
                         "\"%.40s\" is no oracle of this version (it has: connected, lease, ring, "
                         "floodmax, gossip, succession, static, external); try: kind: connected",
                         node->text);
    }
    return rc;
}

static int parse_order(struct parser *r, const struct tree *list)
{
    struct settings *settings = &r->out->settings;
    if (list->kind != TREE_LIST || list->count == 0) {
        return tree_refuse(list, r->name, r->err,
                           "%s (wanted are ids, the preferred one first); try: order: [2, 1]",
                           list->kind == TREE_LIST ? "an empty list" : parse_kind_name(list));
    }
    for (const struct tree *node = list->first; node != NULL; node = node->next) {
        node_id_t id = 0;
        int rc = parse_id(r, node, &id);
        if (rc != 0) {
            return rc;
        }
        for (size_t i = 0; i < settings->order_count; i++) {
            if (settings->order[i] == id) {
                return tree_refuse(node, r->name, r->err, "%u is there twice; try: each id once",
                                   (unsigned)id);
            }
        }
        settings->order[settings->order_count++] = id;
    }
    return 0;
}

/* Puts an edge at its place: a < b, rising. 0 if it is there. */
static int insert_edge(struct settings *settings, struct edge edge)
{
    size_t at = settings->edge_count;
    while (at > 0 &&
           (settings->edges[at - 1].a > edge.a ||
            (settings->edges[at - 1].a == edge.a && settings->edges[at - 1].b >= edge.b))) {
        at--;
    }
    struct edge *place = &settings->edges[at];
    if (at < settings->edge_count && place->a == edge.a && place->b == edge.b) {
        return 0;
    }
    memmove(place + 1, place, (settings->edge_count - at) * sizeof *place);
    *place = edge;
    settings->edge_count++;
    return 1;
}

static int parse_edge(struct parser *r, const struct tree *node)
{
    struct edge edge = {0, 0};
    if (node->kind != TREE_LIST || node->count != 2) {
        return tree_refuse(node, r->name, r->err,
                           "no pair (wanted are the two ids that an edge joins); try: [1, 2]");
    }
    int rc = parse_id(r, node->first, &edge.a);
    if (rc == 0) {
        rc = parse_id(r, node->last, &edge.b);
    }
    if (rc == 0 && edge.a == edge.b) {
        rc = tree_refuse(node, r->name, r->err, "%u is joined with itself; try: two different ids",
                         (unsigned)edge.a);
    }
    if (rc != 0) {
        return rc;
    }
    struct edge sorted = {edge.a < edge.b ? edge.a : edge.b, edge.a < edge.b ? edge.b : edge.a};
    if (!insert_edge(&r->out->settings, sorted)) {
        rc = tree_refuse(node, r->name, r->err,
                         "%u and %u are joined already (an edge has no direction); try: each edge "
                         "once",
                         (unsigned)edge.a, (unsigned)edge.b);
    }
    return rc;
}

static int parse_topology(struct parser *r, const struct tree *list)
{
    if (list->kind != TREE_LIST || list->count == 0) {
        return tree_refuse(list, r->name, r->err,
                           "%s (wanted are pairs of ids); try: topology: [[1, 2], [2, 3]]",
                           list->kind == TREE_LIST ? "an empty list" : parse_kind_name(list));
    }
    for (const struct tree *node = list->first; node != NULL; node = node->next) {
        int rc = parse_edge(r, node);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

int parse_oracle(struct parser *r, const struct tree *node)
{
    static const struct field fields[] = {{"kind", "connected"}, {"preempt", NULL},
                                          {"zone", NULL},        {"diameter", NULL},
                                          {"order", NULL},       {"topology", NULL}};
    struct settings *settings = &r->out->settings;
    int rc = parse_fields(r, node, FIELDS(fields));
    if (rc == 0) {
        rc = parse_kind(r, tree_child(node, "kind"));
    }
    const struct tree *child = rc == 0 ? tree_child(node, "preempt") : NULL;
    if (child != NULL) {
        rc = parse_bool(r, child, &settings->preempts);
    }
    child = rc == 0 ? tree_child(node, "zone") : NULL;
    if (child != NULL) {
        rc = parse_zone(r, child, settings->zone);
    }
    child = rc == 0 ? tree_child(node, "diameter") : NULL;
    if (child != NULL) {
        rc = parse_number(r, child, 0, MEMBERS_MAX - 1, &settings->diameter);
    }
    child = rc == 0 ? tree_child(node, "order") : NULL;
    if (child != NULL) {
        rc = parse_order(r, child);
    }
    child = rc == 0 ? tree_child(node, "topology") : NULL;
    if (child != NULL) {
        rc = parse_topology(r, child);
    }
    return rc;
}

/* ---- rules of settings */

static int check_id(const struct config *cfg, node_id_t id, struct errmsg *err)
{
    if (is_candidate(cfg, id)) {
        return 0;
    }
    return errmsg_set(err, ERROR_USAGE,
                      "there is no %s %u (cluster.yml lists who could lead); try: "
                      "an id that is listed",
                      config_candidate_role(cfg), (unsigned)id);
}

static int check_ids(const struct config *cfg, const struct settings *settings, struct errmsg *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < settings->candidate_count; i++) {
        rc = check_id(cfg, settings->candidates[i].id, err);
    }
    for (size_t i = 0; rc == 0 && i < settings->order_count; i++) {
        rc = check_id(cfg, settings->order[i], err);
    }
    for (size_t i = 0; rc == 0 && i < settings->edge_count; i++) {
        rc = check_id(cfg, settings->edges[i].a, err);
        rc = rc != 0 ? rc : check_id(cfg, settings->edges[i].b, err);
    }
    return rc;
}

/* The neighbours of each candidate, as a set of indexes. */
static void find_neighbours(const struct config *cfg, const struct settings *settings,
                            uint32_t neighbours[MEMBERS_MAX])
{
    int is_raft = cfg->protocol == CONFIG_RAFT;
    memset(neighbours, 0, MEMBERS_MAX * sizeof *neighbours);
    for (size_t i = 0; i < settings->edge_count; i++) {
        const struct edge *edge = &settings->edges[i];
        int a = is_raft ? members_acceptor_index(&cfg->members, edge->a)
                        : members_proposer_index(&cfg->members, edge->a);
        int b = is_raft ? members_acceptor_index(&cfg->members, edge->b)
                        : members_proposer_index(&cfg->members, edge->b);
        neighbours[a] |= UINT32_C(1) << b;
        neighbours[b] |= UINT32_C(1) << a;
    }
}

/* In how many steps one reaches all others; 0 if it does not. */
static uint32_t eccentricity(const uint32_t neighbours[MEMBERS_MAX], size_t count, size_t from)
{
    uint32_t reached = UINT32_C(1) << from;
    uint32_t all = count == 32 ? UINT32_MAX : (UINT32_C(1) << count) - 1;
    for (uint32_t steps = 1; steps < MEMBERS_MAX; steps++) {
        uint32_t next = reached;
        for (size_t i = 0; i < count; i++) {
            next |= (reached >> i & 1) != 0 ? neighbours[i] : 0;
        }
        if (next == all) {
            return steps;
        }
        if (next == reached) {
            return 0;
        }
        reached = next;
    }
    return 0;
}

static int check_topology(const struct config *cfg, const struct settings *settings,
                          struct errmsg *err)
{
    uint32_t neighbours[MEMBERS_MAX];
    int is_raft = cfg->protocol == CONFIG_RAFT;
    size_t count = is_raft ? cfg->members.acceptor_count : cfg->members.proposer_count;
    uint32_t diameter = 0;
    if (settings->edge_count == 0) {
        return 0;
    }
    find_neighbours(cfg, settings, neighbours);
    for (size_t i = 0; i < count; i++) {
        uint32_t steps = eccentricity(neighbours, count, i);
        if (steps == 0) {
            return errmsg_set(
                err, ERROR_USAGE,
                "the topology is not connected (%s %u does not reach all others, so "
                "that they would choose apart); try: an edge more",
                config_candidate_role(cfg),
                (unsigned)(is_raft ? cfg->members.acceptors[i] : cfg->members.proposers[i]));
        }
        diameter = steps > diameter ? steps : diameter;
    }
    if (settings->diameter != 0 && settings->diameter < diameter) {
        return errmsg_set(err, ERROR_USAGE,
                          "the topology has a diameter of %u, not %u (in fewer rounds the maximum "
                          "does not reach everybody); try: %u, or 0, which is the topology's own",
                          (unsigned)diameter, (unsigned)settings->diameter, (unsigned)diameter);
    }
    return 0;
}

static int check_barred(const struct config *cfg, const struct settings *settings,
                        struct errmsg *err)
{
    int is_raft = cfg->protocol == CONFIG_RAFT;
    size_t count = is_raft ? cfg->members.acceptor_count : cfg->members.proposer_count;
    for (size_t i = 0; i < count; i++) {
        node_id_t id = is_raft ? cfg->members.acceptors[i] : cfg->members.proposers[i];
        if (!settings_bar(settings, id)) {
            return 0;
        }
    }
    return errmsg_set(err, ERROR_USAGE,
                      "nobody may lead then (all %ss are barred, and nothing could be changed any "
                      "more without a leader); try: to allow one",
                      config_candidate_role(cfg));
}

static int check_kind(const struct config *cfg, const struct settings *settings, struct errmsg *err)
{
    int is_elected = settings->kind == ORACLE_CONNECTED || settings->kind == ORACLE_STATIC;
    if (cfg->protocol == CONFIG_RAFT && !is_elected) {
        return errmsg_set(
            err, ERROR_USAGE,
            "the oracle %s means nothing with protocol: raft (proposers do not lead "
            "there, acceptors elect among themselves, and voters insist on the longer "
            "log); try: connected or static, with priorities, zones and barring",
            oracle_kind_name(settings->kind));
    }
    return 0;
}

int config_check_settings(const struct config *cfg, const struct settings *settings,
                          struct errmsg *err)
{
    int rc = check_kind(cfg, settings, err);
    if (rc == 0) {
        rc = check_ids(cfg, settings, err);
    }
    if (rc == 0) {
        rc = check_topology(cfg, settings, err);
    }
    return rc != 0 ? rc : check_barred(cfg, settings, err);
}

int parse_check(struct parser *r, const struct tree *root)
{
    const struct config *cfg = r->out;
    const struct tree *oracle = tree_child(root, "oracle");
    struct errmsg why;
    if (oracle != NULL && check_kind(cfg, &cfg->settings, &why) != 0) {
        return tree_refuse(tree_child(oracle, "kind"), r->name, r->err, "%s", why.text);
    }
    if (oracle != NULL && check_topology(cfg, &cfg->settings, &why) != 0) {
        return tree_refuse(tree_child(oracle, "topology"), r->name, r->err, "%s", why.text);
    }
    if (check_barred(cfg, &cfg->settings, &why) != 0) {
        const char *role = cfg->protocol == CONFIG_RAFT ? "acceptors" : "proposers";
        return tree_refuse(tree_child(root, role), r->name, r->err, "%s", why.text);
    }
    return 0;
}
