/* From the tree of nodes to a validated struct config. */
#include "common/base/arena.h"
#include "common/config/config.h"
#include "common/config/tree.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEARTBEAT_MS_MAX 10000
#define ELECTION_MS_MAX 60000
#define ELECTION_HEARTBEATS_MIN 4

/* Each acceptor has one address, each proposer and learner two. */
#define ADDRESSES_MAX (5 * MEMBERS_MAX)

struct reader {
    const char *name; /* of the file, for sentences */
    struct errmsg *err;
    struct config *out;
    struct {
        const struct tree *node;
        struct address address;
    } addresses[ADDRESSES_MAX]; /* all seen so far */
    size_t address_count;
};

/* A key that a mapping may have. */
struct field {
    const char *name;
    const char *example; /* of a line for it if it must be there, else NULL */
};

#define FIELDS(array) array, sizeof(array) / sizeof((array)[0])

static const char *kind_name(const struct tree *node)
{
    switch (node->kind) {
    case TREE_MAP:
        return "a mapping";
    case TREE_LIST:
        return "a list";
    case TREE_SCALAR:
        break;
    }
    return "a single value";
}

/* Checks that node is a mapping that has every required key and no unknown one. */
static int check_fields(struct reader *r, const struct tree *node, const struct field *fields,
                        size_t count)
{
    if (node->kind != TREE_MAP) {
        return tree_refuse(node, r->name, r->err, "%s (keys belong here); try: %s: %s",
                           kind_name(node), fields[0].name,
                           fields[0].example != NULL ? fields[0].example : "...");
    }
    for (const struct tree *child = node->first; child != NULL; child = child->next) {
        size_t i = 0;
        while (i < count && strcmp(fields[i].name, child->key) != 0) {
            i++;
        }
        if (i == count) {
            char known[160] = "";
            for (i = 0; i < count; i++) {
                size_t used = strlen(known);
                snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "",
                         fields[i].name);
            }
            return tree_refuse(child, r->name, r->err,
                               "unknown key (known here: %s); try: correct or remove it", known);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (fields[i].example != NULL && tree_child(node, fields[i].name) == NULL) {
            return tree_refuse(node, r->name, r->err, "key %s is missing (required); try: %s: %s",
                               fields[i].name, fields[i].name, fields[i].example);
        }
    }
    return 0;
}

static int check_scalar(struct reader *r, const struct tree *node, const char *wanted)
{
    if (node->kind != TREE_SCALAR) {
        return tree_refuse(node, r->name, r->err, "%s (wanted is %s); try: %s: %s", kind_name(node),
                           wanted, node->key, wanted);
    }
    return 0;
}

/* A decimal number without sign, quotes or leading zeros. */
static int read_number(struct reader *r, const struct tree *node, uint64_t min, uint64_t max,
                       uint32_t *out)
{
    int rc = check_scalar(r, node, "a number");
    if (rc != 0) {
        return rc;
    }
    size_t digits = strspn(node->text, "0123456789");
    int is_number = node->is_plain && digits > 0 && node->text[digits] == '\0' &&
                    (node->text[0] != '0' || digits == 1);
    uint64_t value = is_number && digits <= 10 ? strtoull(node->text, NULL, 10) : UINT64_MAX;
    if (!is_number) {
        return tree_refuse(node, r->name, r->err,
                           "\"%.40s\" (wanted is a plain decimal number); try: %s: %" PRIu64,
                           node->text, node->key, min);
    }
    if (value < min || value > max) {
        return tree_refuse(node, r->name, r->err,
                           "%.40s is out of range (%" PRIu64 " to %" PRIu64 "); try: %s: %" PRIu64,
                           node->text, min, max, node->key, value < min ? min : max);
    }
    *out = (uint32_t)value;
    return 0;
}

static int read_cluster(struct reader *r, const struct tree *node)
{
    int rc = check_scalar(r, node, "a name");
    if (rc == 0 && !config_name_valid(node->text)) {
        rc = tree_refuse(node, r->name, r->err,
                         "\"%.40s\" (a name is 1 to %d letters, digits and . _ -, and begins with "
                         "neither - nor .); try: cluster: demo",
                         node->text, CONFIG_NAME_BYTES_MAX - 1);
    }
    if (rc == 0) {
        memcpy(r->out->cluster, node->text, strlen(node->text));
    }
    return rc;
}

static int read_id(struct reader *r, const struct tree *node)
{
    int rc = check_scalar(r, node, "16 hexadecimal digits");
    if (rc != 0) {
        return rc;
    }
    size_t digits = strspn(node->text, "0123456789abcdefABCDEF");
    if (digits != 16 || node->text[16] != '\0') {
        return tree_refuse(node, r->name, r->err,
                           "\"%.40s\" (wanted are 16 hexadecimal digits, the same on every host); "
                           "try: what synod init wrote",
                           node->text);
    }
    r->out->id = strtoull(node->text, NULL, 16);
    if (r->out->id == 0) {
        return tree_refuse(node, r->name, r->err,
                           "all zeros (an id tells clusters apart); try: what synod init wrote");
    }
    return 0;
}

static int read_protocol(struct reader *r, const struct tree *node)
{
    int rc = check_scalar(r, node, "paxos or raft");
    if (rc == 0 && config_protocol_parse(node->text, &r->out->protocol) != 0) {
        rc = tree_refuse(node, r->name, r->err,
                         "\"%.40s\" is no protocol (paxos or raft); try: protocol: paxos",
                         node->text);
    }
    return rc;
}

static int read_address(struct reader *r, const struct tree *node, const char **out)
{
    struct errmsg why;
    struct address address;
    int rc = check_scalar(r, node, "\"tcp://host:port\"");
    if (rc != 0) {
        return rc;
    }
    if (address_parse(node->text, &address, &why) != 0) {
        return tree_refuse(node, r->name, r->err,
                           "bad address \"%.130s\" (%s); try: \"tcp://10.0.0.1:7411\"", node->text,
                           why.text);
    }
    for (size_t i = 0; i < r->address_count; i++) {
        if (address_equal(&r->addresses[i].address, &address)) {
            return tree_refuse(
                node, r->name, r->err,
                "duplicate address %.130s (line %zu has it, and two cannot listen on "
                "one port); try: another port",
                node->text, r->addresses[i].node->line);
        }
    }
    r->addresses[r->address_count].node = node;
    r->addresses[r->address_count++].address = address;
    *out = node->text;
    return 0;
}

/* A member of any role. An acceptor's address is its peer. */
struct entry {
    const struct tree *node;
    node_id_t id;
    uint32_t priority;
    const char *peer;
    const char *client;
};

static int read_entry(struct reader *r, const struct tree *node, struct entry *out)
{
    memset(out, 0, sizeof *out);
    out->node = tree_child(node, "id");
    int rc = read_number(r, out->node, 1, UINT32_MAX, &out->id);
    const struct tree *priority = tree_child(node, "priority");
    if (rc == 0 && priority != NULL) {
        rc = read_number(r, priority, 0, UINT32_MAX, &out->priority);
    }
    const struct tree *peer = tree_child(node, "peer");
    if (rc == 0) {
        rc = read_address(r, peer != NULL ? peer : tree_child(node, "address"), &out->peer);
    }
    const struct tree *client = tree_child(node, "client");
    if (rc == 0 && client != NULL) {
        rc = read_address(r, client, &out->client);
    }
    return rc;
}

/* Puts an entry at its place in the order of ids. */
static int insert_entry(struct reader *r, struct entry *entries, size_t count,
                        const struct entry *entry)
{
    size_t at = count;
    while (at > 0 && entries[at - 1].id > entry->id) {
        at--;
    }
    if (at > 0 && entries[at - 1].id == entry->id) {
        return tree_refuse(entry->node, r->name, r->err,
                           "duplicate id %u (line %zu has it, and a vote is counted by id); try: "
                           "another id",
                           (unsigned)entry->id, entries[at - 1].node->line);
    }
    memmove(&entries[at + 1], &entries[at], (count - at) * sizeof entries[0]);
    entries[at] = *entry;
    return 0;
}

static int read_members(struct reader *r, const struct tree *list, const struct field *fields,
                        size_t field_count, struct entry *entries, size_t *count)
{
    if (list->kind != TREE_LIST) {
        return tree_refuse(list, r->name, r->err,
                           "%s (wanted is a list with one line for each process); try: - { id: 1, "
                           "... }",
                           kind_name(list));
    }
    if (list->count == 0) {
        return tree_refuse(list, r->name, r->err,
                           "an empty list (at least one is needed); try: - { id: 1, ... }");
    }
    if (list->count > MEMBERS_MAX) {
        return tree_refuse(list, r->name, r->err,
                           "%zu members (at most %d of one role); try: fewer", list->count,
                           MEMBERS_MAX);
    }
    *count = 0;
    for (const struct tree *node = list->first; node != NULL; node = node->next) {
        struct entry entry;
        int rc = check_fields(r, node, fields, field_count);
        if (rc == 0) {
            rc = read_entry(r, node, &entry);
        }
        if (rc == 0) {
            rc = insert_entry(r, entries, *count, &entry);
        }
        if (rc != 0) {
            return rc;
        }
        *count += 1;
    }
    return 0;
}

#define ADDRESS_EXAMPLE "\"tcp://10.0.0.1:7411\""

static const struct field acceptor_fields[] = {
    {"id", "1"}, {"address", ADDRESS_EXAMPLE}, {"priority", NULL}};
static const struct field proposer_fields[] = {
    {"id", "1"}, {"peer", ADDRESS_EXAMPLE}, {"client", ADDRESS_EXAMPLE}, {"priority", NULL}};
static const struct field learner_fields[] = {
    {"id", "1"}, {"peer", ADDRESS_EXAMPLE}, {"client", ADDRESS_EXAMPLE}};

/* Addresses have been measured by address_parse. */
static void put_servers(struct config_server *servers, node_id_t *ids, const struct entry *entries,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ids[i] = servers[i].id = entries[i].id;
        servers[i].priority = entries[i].priority;
        memcpy(servers[i].peer, entries[i].peer, strlen(entries[i].peer));
        memcpy(servers[i].client, entries[i].client, strlen(entries[i].client));
    }
}

static int read_acceptors(struct reader *r, const struct tree *node)
{
    struct entry entries[MEMBERS_MAX];
    struct members *members = &r->out->members;
    int rc = read_members(r, node, FIELDS(acceptor_fields), entries, &members->acceptor_count);
    for (size_t i = 0; rc == 0 && i < members->acceptor_count; i++) {
        members->acceptors[i] = r->out->acceptors[i].id = entries[i].id;
        r->out->acceptors[i].priority = entries[i].priority;
        memcpy(r->out->acceptors[i].address, entries[i].peer, strlen(entries[i].peer));
    }
    return rc;
}

static int read_proposers(struct reader *r, const struct tree *node)
{
    struct entry entries[MEMBERS_MAX];
    struct members *members = &r->out->members;
    int rc = read_members(r, node, FIELDS(proposer_fields), entries, &members->proposer_count);
    if (rc == 0) {
        put_servers(r->out->proposers, members->proposers, entries, members->proposer_count);
    }
    return rc;
}

static int read_learners(struct reader *r, const struct tree *node)
{
    struct entry entries[MEMBERS_MAX];
    struct members *members = &r->out->members;
    int rc = read_members(r, node, FIELDS(learner_fields), entries, &members->learner_count);
    if (rc == 0) {
        put_servers(r->out->learners, members->learners, entries, members->learner_count);
    }
    return rc;
}

static int read_quorum(struct reader *r, const struct tree *node, size_t *out)
{
    uint32_t number = 0;
    if (node == NULL) {
        return 0;
    }
    int rc = read_number(r, node, 1, r->out->members.acceptor_count, &number);
    if (rc == 0) {
        *out = number;
    }
    return rc;
}

static int read_quorums(struct reader *r, const struct tree *node)
{
    static const struct field fields[] = {{"prepare", NULL}, {"accept", NULL}};
    struct members *members = &r->out->members;
    int rc = check_fields(r, node, FIELDS(fields));
    if (rc == 0) {
        rc = read_quorum(r, tree_child(node, "prepare"), &members->q1);
    }
    if (rc == 0) {
        rc = read_quorum(r, tree_child(node, "accept"), &members->q2);
    }
    if (rc == 0 && !members_quorums_intersect(members)) {
        rc = tree_refuse(node, r->name, r->err,
                         "quorums do not intersect (prepare %zu + accept %zu must exceed the %zu "
                         "acceptors, or two values could be chosen); try: prepare: %zu",
                         members->q1, members->q2, members->acceptor_count,
                         members->acceptor_count + 1 - members->q2);
    }
    return rc;
}

static int read_timing(struct reader *r, const struct tree *node)
{
    static const struct field fields[] = {{"heartbeat_ms", NULL}, {"election_ms", NULL}};
    int rc = check_fields(r, node, FIELDS(fields));
    const struct tree *heartbeat = rc == 0 ? tree_child(node, "heartbeat_ms") : NULL;
    if (heartbeat != NULL) {
        rc = read_number(r, heartbeat, 1, HEARTBEAT_MS_MAX, &r->out->heartbeat_ms);
    }
    const struct tree *election = rc == 0 ? tree_child(node, "election_ms") : NULL;
    if (election != NULL) {
        rc = read_number(r, election, 1, ELECTION_MS_MAX, &r->out->election_ms);
    }
    uint32_t least = ELECTION_HEARTBEATS_MIN * r->out->heartbeat_ms;
    if (rc == 0 && r->out->election_ms < least) {
        rc =
            tree_refuse(election != NULL ? election : heartbeat, r->name, r->err,
                        "the election timeout of %u ms is too short for heartbeats every %u ms (it "
                        "must span %d of them, or a late one ends a leadership); try: election_ms: "
                        "%u",
                        r->out->election_ms, r->out->heartbeat_ms, ELECTION_HEARTBEATS_MIN, least);
    }
    return rc;
}

static int read_oracle(struct reader *r, const struct tree *node)
{
    static const struct field fields[] = {{"kind", "connected"}};
    int rc = check_fields(r, node, FIELDS(fields));
    const struct tree *kind = rc == 0 ? tree_child(node, "kind") : NULL;
    if (kind == NULL) {
        return rc;
    }
    rc = check_scalar(r, kind, "connected");
    if (rc == 0 && oracle_kind_parse(kind->text, &r->out->settings.kind) != 0) {
        rc = tree_refuse(kind, r->name, r->err,
                         "\"%.40s\" is no oracle of this version (it has: connected, lease, ring, "
                         "floodmax, gossip, succession, static, external); try: kind: connected",
                         kind->text);
    }
    return rc;
}

static int read_security(struct reader *r, const struct tree *node)
{
    static const struct field fields[] = {{"curve", "false"}};
    int rc = 0;
    const struct tree *curve = node->kind == TREE_MAP ? tree_child(node, "curve") : NULL;
    if (curve != NULL) {
        rc = check_scalar(r, curve, "true or false");
        int is_true = rc == 0 && curve->is_plain && strcmp(curve->text, "true") == 0;
        int is_false = rc == 0 && curve->is_plain && strcmp(curve->text, "false") == 0;
        if (is_true) {
            rc = tree_refuse(curve, r->name, r->err,
                             "CURVE is not in this version yet (and nobody should believe the "
                             "traffic encrypted); try: curve: false, in a network of your own");
        } else if (rc == 0 && !is_false) {
            rc = tree_refuse(curve, r->name, r->err,
                             "\"%.40s\" (wanted is true or false); try: curve: false", curve->text);
        }
    }
    return rc != 0 ? rc : check_fields(r, node, FIELDS(fields));
}

/* The root's keys in the order in which they are read: quorums are counted against acceptors. */
static const struct section {
    struct field field;
    int (*read)(struct reader *r, const struct tree *node);
} sections[] = {
    {{"cluster", "demo"}, read_cluster},
    {{"id", "6b1f0c9e2a7d4e55"}, read_id},
    {{"protocol", "paxos"}, read_protocol},
    {{"acceptors", "[ { id: 1, address: " ADDRESS_EXAMPLE " } ]"}, read_acceptors},
    {{"proposers", "[ { id: 1, peer: \"tcp://...\", client: \"tcp://...\" } ]"}, read_proposers},
    {{"learners", "[ { id: 1, peer: \"tcp://...\", client: \"tcp://...\" } ]"}, read_learners},
    {{"quorums", NULL}, read_quorums},
    {{"timing", NULL}, read_timing},
    {{"oracle", NULL}, read_oracle},
    {{"security", NULL}, read_security},
};

#define SECTIONS_COUNT (sizeof sections / sizeof sections[0])

static int read_root(struct reader *r, const struct tree *root)
{
    struct field fields[SECTIONS_COUNT];
    for (size_t i = 0; i < SECTIONS_COUNT; i++) {
        fields[i] = sections[i].field;
    }
    int rc = check_fields(r, root, fields, SECTIONS_COUNT);
    for (size_t i = 0; rc == 0 && i < SECTIONS_COUNT; i++) {
        const struct tree *node = tree_child(root, sections[i].field.name);
        if (node != NULL) {
            rc = sections[i].read(r, node);
        }
        if (rc == 0 && sections[i].read == read_acceptors) {
            r->out->members.q1 = majority_of(r->out->members.acceptor_count);
            r->out->members.q2 = r->out->members.q1;
        }
    }
    return rc;
}

int config_parse(const char *text, size_t size, const char *name, struct config *out,
                 struct errmsg *err)
{
    if (size > CONFIG_FILE_BYTES_MAX) {
        return errmsg_set(err, ERROR_USAGE, "%s:1: larger than 1 MiB (no cluster.yml is)", name);
    }
    struct config cfg;
    memset(&cfg, 0, sizeof cfg);
    cfg.members.number = 1;
    cfg.heartbeat_ms = CONFIG_HEARTBEAT_MS_DEFAULT;
    cfg.election_ms = CONFIG_ELECTION_MS_DEFAULT;
    settings_init(&cfg.settings);
    struct reader reader = {.name = name, .err = err, .out = &cfg};
    struct arena arena = {0};
    struct tree *root = NULL;
    int rc = tree_read(text, size, name, &arena, &root, err);
    if (rc == 0) {
        rc = read_root(&reader, root);
        config_put_candidates(&cfg);
    }
    if (rc == 0) {
        memcpy(out, &cfg, sizeof cfg);
    }
    arena_close(&arena);
    return rc;
}
