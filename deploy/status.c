/* synod status and synod leader: what the processes of the cluster say of themselves. */
#include "common/base/memory.h"
#include "common/config/config.h"
#include "common/runtime/log.h"
#include "deploy/options.h"
#include "deploy/output.h"
#include "deploy/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX (3 * MEMBERS_MAX)

static const char *role_text(const struct synod_node *node)
{
    return role_name((enum role)node->role);
}

static int is_reachable(const struct synod_node *node)
{
    return strcmp(node->state, "unreachable") != 0;
}

/* How far a node is in the log: the number its lag is counted from. */
static uint64_t position(const struct synod_node *node)
{
    return node->role == SYNOD_LEARNER ? node->applied : node->chosen;
}

static uint64_t newest_slot(const struct synod_node *nodes, size_t count)
{
    uint64_t newest = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t highest = nodes[i].chosen > nodes[i].applied ? nodes[i].chosen : nodes[i].applied;
        newest = highest > newest ? highest : newest;
    }
    return newest;
}

static void number_cell(struct table *table, int is_shown, uint64_t value)
{
    if (is_shown) {
        table_cell(table, "%llu", (unsigned long long)value);
    } else {
        table_cell(table, "-");
    }
}

/* The protocol of the cluster that was asked. */
static struct config *load_config(const struct common_options *common)
{
    const char *path =
        common->client.cluster != NULL ? common->client.cluster : getenv("SYNOD_CLUSTER");
    struct config *config = memory_calloc(1, sizeof *config);
    if (path == NULL || config_load(path, config, NULL) != 0) {
        memset(config, 0, sizeof *config);
    }
    return config;
}

static void ballot_cell(struct table *table, const struct synod_node *node, int is_raft)
{
    if (!is_reachable(node) || node->ballot_round == 0) {
        table_cell(table, "-");
    } else if (is_raft) { /* its term, and who leads in it or got its vote */
        table_cell(table, "%llu.A%u", (unsigned long long)node->ballot_round,
                   node->ballot_proposer);
    } else {
        table_cell(table, "%llu.%u", (unsigned long long)node->ballot_round, node->ballot_proposer);
    }
}

static void add_row(struct table *table, const struct synod_node *node, uint64_t newest,
                    int is_raft)
{
    int is_here = is_reachable(node);
    int is_learner = node->role == SYNOD_LEARNER;
    table_row(table);
    table_cell(table, "%s", role_text(node));
    table_cell(table, "%u", node->id);
    table_cell(table, "%s", node->state);
    ballot_cell(table, node, is_raft);
    number_cell(table, is_here, node->chosen);
    number_cell(table, is_here && node->role == SYNOD_ACCEPTOR, node->accepted);
    number_cell(table, is_here && is_learner, node->applied);
    number_cell(table, is_here, newest - position(node));
    number_cell(table, is_here && is_learner, node->last_index);
    table_cell(table, "%s", node->address);
}

static void print_table(const struct synod_node *nodes, size_t count, int has_heading, int is_raft)
{
    static const char *const headings[] = {"ROLE",     "ID",      "STATE", "BALLOT",  "CHOSEN",
                                           "ACCEPTED", "APPLIED", "LAG",   "RECORDS", "ADDRESS"};
    struct table *table = memory_calloc(1, sizeof *table);
    uint64_t newest = newest_slot(nodes, count);
    if (has_heading) {
        table_row(table);
        for (size_t i = 0; i < sizeof headings / sizeof headings[0]; i++) {
            int is_term = is_raft && strcmp(headings[i], "BALLOT") == 0;
            table_cell(table, "%s", is_term ? "TERM" : headings[i]);
        }
    }
    for (size_t i = 0; i < count; i++) {
        add_row(table, &nodes[i], newest, is_raft);
    }
    table_print(table);
    free(table);
}

static json_t *json_node(const struct synod_node *node, uint64_t newest)
{
    char digest[17];
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)node->digest);
    json_t *object =
        json_pack("{s:s, s:I, s:s, s:s, s:b}", "role", role_text(node), "id", (json_int_t)node->id,
                  "state", node->state, "address", node->address, "reachable", is_reachable(node));
    if (!is_reachable(node)) {
        return object;
    }
    json_t *rest = json_pack(
        "{s:{s:I, s:I}, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I}", "ballot",
        "round", (json_int_t)node->ballot_round, "proposer", (json_int_t)node->ballot_proposer,
        "leader", (json_int_t)node->leader, "since", (json_int_t)node->leading_since, "chosen",
        (json_int_t)node->chosen, "accepted", (json_int_t)node->accepted, "applied",
        (json_int_t)node->applied, "lag", (json_int_t)(newest - position(node)), "records",
        (json_int_t)node->last_index, "digest", digest, "sessions", (json_int_t)node->sessions,
        "pending_bytes", (json_int_t)node->pending_bytes, "dropped", (json_int_t)node->dropped,
        "silence_ms", (json_int_t)node->silence_ms);
    json_object_update(object, rest);
    json_decref(rest);
    return object;
}

static void print_json(const struct synod_node *nodes, size_t count)
{
    json_t *array = json_array();
    uint64_t newest = newest_slot(nodes, count);
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(array, json_node(&nodes[i], newest));
    }
    output_json(json_pack("{s:o}", "nodes", array));
}

/* 0 if somebody leads a quorum, else 2 with the reason said. */
static int judge(size_t needed, const struct synod_node *nodes, size_t count)
{
    size_t voting = 0;
    size_t acceptors = 0;
    int is_led = 0;
    for (size_t i = 0; i < count; i++) {
        acceptors += nodes[i].role == SYNOD_ACCEPTOR;
        voting += nodes[i].role == SYNOD_ACCEPTOR && is_reachable(&nodes[i]);
        is_led |= nodes[i].role == SYNOD_PROPOSER && strcmp(nodes[i].state, "leading") == 0;
    }
    if (voting < needed) {
        log_error(
            "no quorum (%zu of %zu acceptors answer, %zu are needed); try: to start those that "
            "are unreachable",
            voting, acceptors, needed);
        return 2;
    }
    if (!is_led) {
        log_error("nobody leads (no proposer says so); try: again in a moment, or to "
                  "start a proposer");
        return 2;
    }
    return 0;
}

int verb_status(int argc, char **argv)
{
    struct common_options common = {.form = OUTPUT_TABLE};
    struct synod *s = NULL;
    int status = options_open_alone(argc, argv, &common, &s);
    if (s == NULL) {
        return status;
    }
    struct config *config = load_config(&common);
    struct synod_node nodes[NODES_MAX];
    size_t count = 0;
    int rc = synod_status(s, nodes, NODES_MAX, &count);
    if (rc == SYNOD_OK || rc == SYNOD_E_UNAVAILABLE) {
        if (common.form == OUTPUT_JSON) {
            print_json(nodes, count);
        } else {
            print_table(nodes, count, common.form == OUTPUT_TABLE, config->protocol == CONFIG_RAFT);
        }
        output_flush();
    }
    status =
        rc == SYNOD_OK ? judge(config->members.q2, nodes, count) : options_fail(rc, synod_error(s));
    synod_close(s);
    free(config);
    return status;
}

/* Which slot that was only a learner can say. */
static json_t *json_since(const struct synod_leader *leader)
{
    return leader->since != 0 ? json_integer((json_int_t)leader->since) : json_null();
}

static void print_leader_json(const struct synod_leader *leader)
{
    if (leader->role == SYNOD_ACCEPTOR) {
        output_json(json_pack("{s:I, s:I, s:o}", "acceptor", (json_int_t)leader->id, "term",
                              (json_int_t)leader->round, "since", json_since(leader)));
    } else {
        output_json(json_pack("{s:I, s:{s:I, s:I}, s:o}", "proposer", (json_int_t)leader->id,
                              "ballot", "round", (json_int_t)leader->round, "proposer",
                              (json_int_t)leader->id, "since", json_since(leader)));
    }
}

static void print_leader_table(const struct synod_leader *leader, const char *number)
{
    int is_raft = leader->role == SYNOD_ACCEPTOR;
    struct table *table = memory_calloc(1, sizeof *table);
    table_row(table);
    table_cell(table, "%s", is_raft ? "ACCEPTOR" : "PROPOSER");
    table_cell(table, "%s", is_raft ? "TERM" : "BALLOT");
    table_cell(table, "SINCE");
    table_row(table);
    table_cell(table, "%u", leader->id);
    table_cell(table, "%s", number);
    number_cell(table, leader->since != 0, leader->since);
    table_print(table);
    free(table);
}

static void print_leader(enum output_form form, const struct synod_leader *leader)
{
    int is_raft = leader->role == SYNOD_ACCEPTOR;
    char number[48];
    char proposer[16] = "";
    if (!is_raft) {
        snprintf(proposer, sizeof proposer, ".%u", leader->id);
    }
    snprintf(number, sizeof number, "%llu%s", (unsigned long long)leader->round, proposer);
    if (form == OUTPUT_JSON) {
        print_leader_json(leader);
        return;
    }
    if (form == OUTPUT_TABLE) {
        print_leader_table(leader, number);
        return;
    }
    output_text("%s %u %s %s", is_raft ? "acceptor" : "proposer", leader->id,
                is_raft ? "term" : "ballot", number);
    if (leader->since != 0) {
        output_text(" since slot %llu", (unsigned long long)leader->since);
    }
    output_text("\n");
}

int verb_leader(int argc, char **argv)
{
    struct common_options common = {.form = OUTPUT_PLAIN};
    struct synod *s = NULL;
    int status = options_open_alone(argc, argv, &common, &s);
    if (s == NULL) {
        return status;
    }
    struct synod_leader leader;
    int rc = synod_leader(s, &leader);
    if (rc == SYNOD_OK) {
        print_leader(common.form, &leader);
    }
    return options_close(s, rc);
}
