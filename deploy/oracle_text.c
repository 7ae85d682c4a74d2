/* Settings of oracles, as they are typed and as they are printed. */
#include "common/base/memory.h"
#include "deploy/oracle.h"
#include "deploy/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- typed */

static int bad(const char *verb, const char *name, const char *text, const char *expected)
{
    char problem[256];
    snprintf(problem, sizeof problem, "%s: \"%.60s\" is not %s", name, text, expected);
    return verb_usage(verb, problem);
}

/* An id at the start of *text, which is moved behind it. 1, or 0 if there is none. */
static int take_id(const char **text, uint32_t *out)
{
    char *end = NULL;
    errno = 0;
    if ((*text)[0] < '1' || (*text)[0] > '9') {
        return 0;
    }
    unsigned long long id = strtoull(*text, &end, 10);
    if (errno != 0 || id > UINT32_MAX) {
        return 0;
    }
    *out = (uint32_t)id;
    *text = end;
    return 1;
}

/* A comma, if more follows, or the end. 1, or 0 if it is neither. */
static int take_comma(const char **text)
{
    if (**text == '\0') {
        return 1;
    }
    int is_comma = **text == ',' && (*text)[1] != '\0';
    *text += is_comma;
    return is_comma;
}

static int has_in_order(const struct synod_oracle *oracle, uint32_t id)
{
    for (size_t i = 0; i < oracle->order_count; i++) {
        if (oracle->order[i] == id) {
            return 1;
        }
    }
    return 0;
}

int oracle_parse_order(const char *verb, const char *text, struct synod_oracle *out)
{
    const char *rest = text;
    memset(out->order, 0, sizeof out->order);
    out->order_count = 0;
    if (strcmp(text, "none") == 0) {
        return 0;
    }
    do {
        uint32_t id = 0;
        if (!take_id(&rest, &id) || !take_comma(&rest) || has_in_order(out, id) ||
            out->order_count == SYNOD_MEMBERS_MAX) {
            return bad(verb, "--order", text, "a list of ids like 2,1,3, each once");
        }
        out->order[out->order_count++] = id;
    } while (*rest != '\0');
    return 0;
}

/* Puts an edge at its place. 0 if it is there, or joins an id with itself. */
static int put_edge(struct synod_oracle *oracle, uint32_t a, uint32_t b)
{
    struct synod_edge edge = {a < b ? a : b, a < b ? b : a};
    size_t at = oracle->edge_count;
    while (at > 0 && (oracle->edges[at - 1].a > edge.a ||
                      (oracle->edges[at - 1].a == edge.a && oracle->edges[at - 1].b >= edge.b))) {
        at--;
    }
    struct synod_edge *place = &oracle->edges[at];
    int is_there = at < oracle->edge_count && place->a == edge.a && place->b == edge.b;
    if (is_there || a == b || oracle->edge_count == SYNOD_EDGES_MAX) {
        return 0;
    }
    memmove(place + 1, place, (oracle->edge_count - at) * sizeof *place);
    *place = edge;
    oracle->edge_count++;
    return 1;
}

int oracle_parse_topology(const char *verb, const char *text, struct synod_oracle *out)
{
    const char *rest = text;
    memset(out->edges, 0, sizeof out->edges);
    out->edge_count = 0;
    if (strcmp(text, "none") == 0) {
        return 0;
    }
    do {
        uint32_t a = 0;
        uint32_t b = 0;
        int is_pair = take_id(&rest, &a) && *rest == '-';
        rest += is_pair;
        if (!is_pair || !take_id(&rest, &b) || !take_comma(&rest) || !put_edge(out, a, b)) {
            return bad(verb, "--topology", text,
                       "a list of pairs of ids like 1-2,2-3, each pair once");
        }
    } while (*rest != '\0');
    return 0;
}

int oracle_parse_pair(const char *verb, const char *text, uint32_t *id, const char **value)
{
    const char *rest = text;
    if (!take_id(&rest, id) || *rest != '=') {
        return bad(verb, "argument", text, "an id, = and a value, like 1=5");
    }
    *value = rest + 1;
    return 0;
}

/* ---- printed */

const char *oracle_role(const struct synod_oracle *oracle)
{
    return oracle->role == SYNOD_ACCEPTOR ? "acceptor" : "proposer";
}

static json_t *json_zone(const char *zone)
{
    return zone[0] != '\0' ? json_string(zone) : json_null();
}

static json_t *json_candidates(const struct synod_oracle *oracle)
{
    json_t *array = json_array();
    for (size_t i = 0; i < oracle->candidate_count; i++) {
        const struct synod_candidate *candidate = &oracle->candidates[i];
        json_array_append_new(
            array, json_pack("{s:I, s:I, s:o, s:b}", oracle_role(oracle), (json_int_t)candidate->id,
                             "priority", (json_int_t)candidate->priority, "zone",
                             json_zone(candidate->zone), "barred", candidate->is_barred != 0));
    }
    return array;
}

json_t *oracle_json(const struct synod_oracle *oracle)
{
    json_t *order = json_array();
    json_t *topology = json_array();
    for (size_t i = 0; i < oracle->order_count; i++) {
        json_array_append_new(order, json_integer((json_int_t)oracle->order[i]));
    }
    for (size_t i = 0; i < oracle->edge_count; i++) {
        json_array_append_new(topology, json_pack("[I, I]", (json_int_t)oracle->edges[i].a,
                                                  (json_int_t)oracle->edges[i].b));
    }
    return json_pack("{s:s, s:I, s:b, s:o, s:I, s:o, s:o, s:o}", "oracle",
                     synod_oracle_kind_name(oracle->kind), "version", (json_int_t)oracle->version,
                     "preempt", oracle->preempts != 0, "zone", json_zone(oracle->zone), "diameter",
                     (json_int_t)oracle->diameter, "order", order, "topology", topology,
                     "candidates", json_candidates(oracle));
}

static void print_lists(const struct synod_oracle *oracle)
{
    if (oracle->order_count > 0) {
        output_text("order");
        for (size_t i = 0; i < oracle->order_count; i++) {
            output_text("%s%u", i == 0 ? " " : ",", oracle->order[i]);
        }
        output_text("\n");
    }
    if (oracle->edge_count > 0) {
        output_text("topology");
        for (size_t i = 0; i < oracle->edge_count; i++) {
            output_text("%s%u-%u", i == 0 ? " " : ",", oracle->edges[i].a, oracle->edges[i].b);
        }
        output_text("\n");
    }
}

static void print_plain(const struct synod_oracle *oracle)
{
    output_text("oracle %s version %llu preempt %s", synod_oracle_kind_name(oracle->kind),
                (unsigned long long)oracle->version, oracle->preempts ? "on" : "off");
    if (oracle->zone[0] != '\0') {
        output_text(" zone %s", oracle->zone);
    }
    if (oracle->diameter != 0) {
        output_text(" diameter %u", oracle->diameter);
    }
    output_text("\n");
    print_lists(oracle);
    for (size_t i = 0; i < oracle->candidate_count; i++) {
        const struct synod_candidate *candidate = &oracle->candidates[i];
        output_text("%s %u priority %u%s%s%s\n", oracle_role(oracle), candidate->id,
                    candidate->priority, candidate->zone[0] != '\0' ? " zone " : "",
                    candidate->zone, candidate->is_barred ? " barred" : "");
    }
}

static void print_table(const struct synod_oracle *oracle)
{
    struct table *table = memory_calloc(1, sizeof *table);
    table_row(table);
    table_cell(table, "ORACLE");
    table_cell(table, "VERSION");
    table_cell(table, "PREEMPT");
    table_cell(table, "ZONE");
    table_cell(table, "DIAMETER");
    table_row(table);
    table_cell(table, "%s", synod_oracle_kind_name(oracle->kind));
    table_cell(table, "%llu", (unsigned long long)oracle->version);
    table_cell(table, "%s", oracle->preempts ? "on" : "off");
    table_cell(table, "%s", oracle->zone[0] != '\0' ? oracle->zone : "-");
    table_cell(table, "%u", oracle->diameter);
    table_print(table);
    print_lists(oracle);
    output_text("\n");
    memset(table, 0, sizeof *table);
    table_row(table);
    table_cell(table, "%s", oracle->role == SYNOD_ACCEPTOR ? "ACCEPTOR" : "PROPOSER");
    table_cell(table, "PRIORITY");
    table_cell(table, "ZONE");
    table_cell(table, "MAY LEAD");
    for (size_t i = 0; i < oracle->candidate_count; i++) {
        const struct synod_candidate *candidate = &oracle->candidates[i];
        table_row(table);
        table_cell(table, "%u", candidate->id);
        table_cell(table, "%u", candidate->priority);
        table_cell(table, "%s", candidate->zone[0] != '\0' ? candidate->zone : "-");
        table_cell(table, "%s", candidate->is_barred ? "barred" : "yes");
    }
    table_print(table);
    free(table);
}

void oracle_print(enum output_form form, const struct synod_oracle *oracle)
{
    if (form == OUTPUT_JSON) {
        output_json(oracle_json(oracle));
    } else if (form == OUTPUT_TABLE) {
        print_table(oracle);
    } else {
        print_plain(oracle);
    }
}
