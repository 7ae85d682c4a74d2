/* From the tree of nodes to a validated struct config. */
#include "common/config/parse.h"

#include "common/base/arena.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEARTBEAT_MS_MAX 10000
#define ELECTION_MS_MAX 60000
#define ELECTION_HEARTBEATS_MIN 4

const char *parse_kind_name(const struct tree *node)
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

int parse_fields(struct parser *r, const struct tree *node, const struct field *fields,
                 size_t count)
{
    if (node->kind != TREE_MAP) {
        return tree_refuse(node, r->name, r->err, "%s (keys belong here); try: %s: %s",
                           parse_kind_name(node), fields[0].name,
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

/* The key that a value belongs to; of an element of a list, the list's. */
static const char *key_of(const struct tree *node)
{
    while (node->key == NULL && node->parent != NULL) {
        node = node->parent;
    }
    return node->key != NULL ? node->key : "KEY";
}

int parse_scalar(struct parser *r, const struct tree *node, const char *wanted)
{
    if (node->kind != TREE_SCALAR) {
        return tree_refuse(node, r->name, r->err, "%s (wanted is %s); try: %s: %s",
                           parse_kind_name(node), wanted, key_of(node), wanted);
    }
    return 0;
}

int parse_number(struct parser *r, const struct tree *node, uint64_t min, uint64_t max,
                 uint32_t *out)
{
    int rc = parse_scalar(r, node, "a number");
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
                           node->text, key_of(node), min);
    }
    if (value < min || value > max) {
        return tree_refuse(node, r->name, r->err,
                           "%.40s is out of range (%" PRIu64 " to %" PRIu64 "); try: %s: %" PRIu64,
                           node->text, min, max, key_of(node), value < min ? min : max);
    }
    *out = (uint32_t)value;
    return 0;
}

int parse_bool(struct parser *r, const struct tree *node, int *out)
{
    int rc = parse_scalar(r, node, "true or false");
    if (rc != 0) {
        return rc;
    }
    int is_true = node->is_plain && strcmp(node->text, "true") == 0;
    if (!is_true && !(node->is_plain && strcmp(node->text, "false") == 0)) {
        return tree_refuse(node, r->name, r->err,
                           "\"%.40s\" (wanted is true or false); try: %s: false", node->text,
                           key_of(node));
    }
    *out = is_true;
    return 0;
}

static int read_cluster(struct parser *r, const struct tree *node)
{
    int rc = parse_scalar(r, node, "a name");
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

static int read_id(struct parser *r, const struct tree *node)
{
    int rc = parse_scalar(r, node, "16 hexadecimal digits");
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

static int read_protocol(struct parser *r, const struct tree *node)
{
    int rc = parse_scalar(r, node, "paxos or raft");
    if (rc == 0 && config_protocol_parse(node->text, &r->out->protocol) != 0) {
        rc = tree_refuse(node, r->name, r->err,
                         "\"%.40s\" is no protocol (paxos or raft); try: protocol: paxos",
                         node->text);
    }
    return rc;
}

static int read_address(struct parser *r, const struct tree *node, const char **out)
{
    struct errmsg why;
    struct address address;
    int rc = parse_scalar(r, node, "\"tcp://host:port\"");
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
    const char *peer;
    const char *client;
    node_id_t id;
    struct candidate_settings candidate;
};

static int read_entry(struct parser *r, const struct tree *node, struct entry *out)
{
    memset(out, 0, sizeof *out);
    out->node = tree_child(node, "id");
    int rc = parse_number(r, out->node, 1, UINT32_MAX, &out->id);
    if (rc == 0) {
        rc = parse_candidate(r, node, &out->candidate);
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
static int insert_entry(struct parser *r, struct entry *entries, size_t count,
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

static int read_members(struct parser *r, const struct tree *list, const struct field *fields,
                        size_t field_count, struct entry *entries, size_t *count)
{
    if (list->kind != TREE_LIST) {
        return tree_refuse(list, r->name, r->err,
                           "%s (wanted is a list with one line for each process); try: - { id: 1, "
                           "... }",
                           parse_kind_name(list));
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
        int rc = parse_fields(r, node, fields, field_count);
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
    {"id", "1"}, {"address", ADDRESS_EXAMPLE}, {"priority", NULL}, {"zone", NULL}, {"lead", NULL}};
static const struct field proposer_fields[] = {{"id", "1"},
                                               {"peer", ADDRESS_EXAMPLE},
                                               {"client", ADDRESS_EXAMPLE},
                                               {"priority", NULL},
                                               {"zone", NULL},
                                               {"lead", NULL}};
static const struct field learner_fields[] = {
    {"id", "1"}, {"peer", ADDRESS_EXAMPLE}, {"client", ADDRESS_EXAMPLE}};

/* Addresses have been measured by address_parse. */
static void put_servers(struct config_server *servers, node_id_t *ids, const struct entry *entries,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ids[i] = servers[i].id = entries[i].id;
        memcpy(servers[i].peer, entries[i].peer, strlen(entries[i].peer));
        memcpy(servers[i].client, entries[i].client, strlen(entries[i].client));
    }
}

/* The members that lead in this protocol are the candidates of the oracle; what is said of the
 * others as candidates would be ignored, hence it is refused. */
static int put_candidates(struct parser *r, const struct entry *entries, size_t count,
                          enum config_protocol protocol)
{
    static const char *const keys[] = {"priority", "zone", "lead"};
    struct settings *settings = &r->out->settings;
    if (r->out->protocol == protocol) {
        settings->candidate_count = count;
        for (size_t i = 0; i < count; i++) {
            settings->candidates[i] = entries[i].candidate;
            settings->candidates[i].id = entries[i].id;
        }
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            const struct tree *node = tree_child(entries[i].node->parent, keys[k]);
            if (node != NULL) {
                return tree_refuse(node, r->name, r->err,
                                   "it would mean nothing (with protocol: %s it is %ss that lead); "
                                   "try: to say it of %s",
                                   config_protocol_name(r->out->protocol),
                                   config_candidate_role(r->out),
                                   protocol == CONFIG_RAFT ? "a proposer" : "an acceptor");
            }
        }
    }
    return 0;
}

static int read_acceptors(struct parser *r, const struct tree *node)
{
    struct entry entries[MEMBERS_MAX];
    struct members *members = &r->out->members;
    int rc = read_members(r, node, FIELDS(acceptor_fields), entries, &members->acceptor_count);
    for (size_t i = 0; rc == 0 && i < members->acceptor_count; i++) {
        members->acceptors[i] = r->out->acceptors[i].id = entries[i].id;
        memcpy(r->out->acceptors[i].address, entries[i].peer, strlen(entries[i].peer));
    }
    return rc != 0 ? rc : put_candidates(r, entries, members->acceptor_count, CONFIG_RAFT);
}

static int read_proposers(struct parser *r, const struct tree *node)
{
    struct entry entries[MEMBERS_MAX];
    struct members *members = &r->out->members;
    int rc = read_members(r, node, FIELDS(proposer_fields), entries, &members->proposer_count);
    if (rc == 0) {
        put_servers(r->out->proposers, members->proposers, entries, members->proposer_count);
        rc = put_candidates(r, entries, members->proposer_count, CONFIG_PAXOS);
    }
    return rc;
}

static int read_learners(struct parser *r, const struct tree *node)
{
    struct entry entries[MEMBERS_MAX];
    struct members *members = &r->out->members;
    int rc = read_members(r, node, FIELDS(learner_fields), entries, &members->learner_count);
    if (rc == 0) {
        put_servers(r->out->learners, members->learners, entries, members->learner_count);
    }
    return rc;
}

static int read_quorum(struct parser *r, const struct tree *node, size_t *out)
{
    uint32_t number = 0;
    if (node == NULL) {
        return 0;
    }
    int rc = parse_number(r, node, 1, r->out->members.acceptor_count, &number);
    if (rc == 0) {
        *out = number;
    }
    return rc;
}

static int read_quorums(struct parser *r, const struct tree *node)
{
    static const struct field fields[] = {{"prepare", NULL}, {"accept", NULL}};
    struct members *members = &r->out->members;
    int rc = parse_fields(r, node, FIELDS(fields));
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

static int read_timing(struct parser *r, const struct tree *node)
{
    static const struct field fields[] = {{"heartbeat_ms", NULL}, {"election_ms", NULL}};
    int rc = parse_fields(r, node, FIELDS(fields));
    const struct tree *heartbeat = rc == 0 ? tree_child(node, "heartbeat_ms") : NULL;
    if (heartbeat != NULL) {
        rc = parse_number(r, heartbeat, 1, HEARTBEAT_MS_MAX, &r->out->heartbeat_ms);
    }
    const struct tree *election = rc == 0 ? tree_child(node, "election_ms") : NULL;
    if (election != NULL) {
        rc = parse_number(r, election, 1, ELECTION_MS_MAX, &r->out->election_ms);
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

static int read_security(struct parser *r, const struct tree *node)
{
    static const struct field fields[] = {{"curve", "false"}};
    int rc = 0;
    int is_true = 0;
    const struct tree *curve = node->kind == TREE_MAP ? tree_child(node, "curve") : NULL;
    if (curve != NULL) {
        rc = parse_bool(r, curve, &is_true);
        if (is_true) {
            rc = tree_refuse(curve, r->name, r->err,
                             "CURVE is not in this version yet (and nobody should believe the "
                             "traffic encrypted); try: curve: false, in a network of your own");
        }
    }
    return rc != 0 ? rc : parse_fields(r, node, FIELDS(fields));
}

/* The root's keys in the order in which they are read: quorums are counted against acceptors. */
static const struct section {
    struct field field;
    int (*read)(struct parser *r, const struct tree *node);
} sections[] = {
    {{"cluster", "demo"}, read_cluster},
    {{"id", "6b1f0c9e2a7d4e55"}, read_id},
    {{"protocol", "paxos"}, read_protocol},
    {{"acceptors", "[ { id: 1, address: " ADDRESS_EXAMPLE " } ]"}, read_acceptors},
    {{"proposers", "[ { id: 1, peer: \"tcp://...\", client: \"tcp://...\" } ]"}, read_proposers},
    {{"learners", "[ { id: 1, peer: \"tcp://...\", client: \"tcp://...\" } ]"}, read_learners},
    {{"quorums", NULL}, read_quorums},
    {{"timing", NULL}, read_timing},
    {{"oracle", NULL}, parse_oracle},
    {{"security", NULL}, read_security},
};

#define SECTIONS_COUNT (sizeof sections / sizeof sections[0])

static int read_root(struct parser *r, const struct tree *root)
{
    struct field fields[SECTIONS_COUNT];
    for (size_t i = 0; i < SECTIONS_COUNT; i++) {
        fields[i] = sections[i].field;
    }
    int rc = parse_fields(r, root, fields, SECTIONS_COUNT);
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
    return rc != 0 ? rc : parse_check(r, root);
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
    struct parser reader = {.name = name, .err = err, .out = &cfg};
    struct arena arena = {0};
    struct tree *root = NULL;
    int rc = tree_read(text, size, name, &arena, &root, err);
    if (rc == 0) {
        rc = read_root(&reader, root);
    }
    if (rc == 0) {
        memcpy(out, &cfg, sizeof cfg);
    }
    arena_close(&arena);
    return rc;
}
