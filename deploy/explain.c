/* synod explain: why somebody leads, or nobody does. */
#include "common/base/memory.h"
#include "deploy/options.h"
#include "deploy/oracle.h"
#include "deploy/output.h"
#include "deploy/reasons.h"
#include "deploy/verbs.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- JSON */

static json_t *json_ballot(struct synod_ballot ballot)
{
    if (ballot.round == 0) {
        return json_null();
    }
    return json_pack("{s:I, s:I}", "round", (json_int_t)ballot.round, "proposer",
                     (json_int_t)ballot.proposer);
}

/* In Raft mode a term, and the acceptor it is of. */
static json_t *json_term(int is_raft, struct synod_ballot ballot)
{
    if (!is_raft || ballot.round == 0) {
        return json_ballot(ballot);
    }
    return json_pack("{s:I, s:I}", "term", (json_int_t)ballot.round, "acceptor",
                     (json_int_t)ballot.proposer);
}

static json_t *json_ms(uint32_t ms)
{
    return ms == SYNOD_SILENT ? json_null() : json_integer((json_int_t)ms);
}

static json_t *json_leader(const struct synod_explanation *e, const struct reasons *reasons)
{
    if (reasons->leader.round == 0) {
        return json_null();
    }
    json_t *heard_by = json_array();
    for (size_t k = 0; k < reasons->acceptor_count; k++) {
        if ((reasons->heard_by >> k & 1) != 0) {
            json_array_append_new(heard_by, json_integer((json_int_t)reasons->acceptors[k].id));
        }
    }
    return json_pack("{s:s, s:I, s:o, s:o, s:I}", "role", e->is_raft ? "acceptor" : "proposer",
                     "id", (json_int_t)reasons->leader.proposer, e->is_raft ? "term" : "ballot",
                     e->is_raft ? json_integer((json_int_t)reasons->leader.round)
                                : json_ballot(reasons->leader),
                     "heard_by", heard_by, "lease_left_ms", (json_int_t)reasons->lease_left_ms);
}

static json_t *json_sentences(const struct reasons *reasons, enum reason_part part)
{
    json_t *array = json_array();
    for (size_t i = 0; i < reasons->count; i++) {
        if (reasons->list[i].part == part) {
            json_array_append_new(array, json_string(reasons->list[i].text));
        }
    }
    return array;
}

static json_t *json_acceptors(const struct synod_explanation *e, const struct reasons *reasons)
{
    json_t *array = json_array();
    for (size_t k = 0; k < reasons->acceptor_count; k++) {
        const struct scene_acceptor *a = &reasons->acceptors[k];
        json_t *object = json_pack("{s:I, s:b, s:o}", "id", (json_int_t)a->id, "answers",
                                   a->is_alive, "silence_ms", json_ms(a->silence_ms));
        if (a->silence_ms != SYNOD_SILENT) {
            json_t *rest = json_pack("{s:o, s:o, s:o, s:I, s:I}", "promised",
                                     json_term(e->is_raft, a->promised), "leader",
                                     json_term(e->is_raft, a->leader), "leader_silence_ms",
                                     json_ms(a->leader_silence_ms), "lease_left_ms",
                                     (json_int_t)a->lease_left_ms, "chosen", (json_int_t)a->chosen);
            json_object_update(object, rest);
            json_decref(rest);
        }
        json_array_append_new(array, object);
    }
    return array;
}

static json_t *json_links(const struct synod_explained_proposer *p)
{
    json_t *array = json_array();
    for (size_t i = 0; i < p->link_count; i++) {
        const struct synod_explained_link *link = &p->links[i];
        json_array_append_new(
            array, json_pack("{s:I, s:I, s:o, s:b, s:I}", "acceptor", (json_int_t)link->acceptor,
                             "proposer", (json_int_t)link->proposer, "silence_ms",
                             json_ms(link->silence_ms), "reaches_quorum", link->reaches_quorum,
                             "version", (json_int_t)link->version));
    }
    return array;
}

static json_t *json_reach(const struct synod_explanation *e,
                          const struct synod_explained_proposer *p)
{
    json_t *array = json_array();
    for (size_t i = 0; i < p->acceptor_count; i++) {
        if (p->acceptors[i].silence_ms < e->election_ms) {
            json_array_append_new(array, json_integer((json_int_t)p->acceptors[i].id));
        }
    }
    return array;
}

static const char *gate_name(enum synod_gate gate)
{
    static const char *const names[] = {
        [SYNOD_GATE_SERVES] = "serves",       [SYNOD_GATE_CAMPAIGNS] = "campaigns",
        [SYNOD_GATE_NO_QUORUM] = "no-quorum", [SYNOD_GATE_LEADER_HEARD] = "leader-heard",
        [SYNOD_GATE_BARRED] = "barred",       [SYNOD_GATE_NOT_NAMED] = "not-named",
        [SYNOD_GATE_PAUSES] = "pauses",       [SYNOD_GATE_OPEN] = "open",
        [SYNOD_GATE_FORWARDS] = "forwards",
    };
    return gate > 0 && gate <= SYNOD_GATE_FORWARDS ? names[gate] : "unknown";
}

static json_t *json_proposers(const struct synod_explanation *e)
{
    json_t *array = json_array();
    for (size_t i = 0; i < e->proposer_count; i++) {
        const struct synod_explained_proposer *p = &e->proposers[i];
        json_t *object =
            json_pack("{s:I, s:b}", "id", (json_int_t)p->id, "answers", p->is_answering);
        if (p->is_answering) {
            json_t *rest = json_pack(
                "{s:s, s:s, s:o, s:o, s:s, s:I, s:I, s:s, s:I, s:I, s:o, s:o}", "state", p->state,
                "gate", gate_name(p->gate), "ballot", json_term(e->is_raft, p->ballot), "leader",
                json_term(e->is_raft, p->leader), "oracle", synod_oracle_kind_name(p->kind),
                "version", (json_int_t)p->version, "named", (json_int_t)p->named, "why", p->oracle,
                "pause_ms", (json_int_t)p->pause_ms, "attempts", (json_int_t)p->attempts, "reaches",
                json_reach(e, p), "links", json_links(p));
            json_object_update(object, rest);
            json_decref(rest);
        }
        json_array_append_new(array, object);
    }
    return array;
}

static void print_json(const struct synod_explanation *e, const struct reasons *reasons)
{
    json_t *oracle = oracle_json(&e->oracle);
    json_object_set_new(oracle, "known", json_boolean(e->is_oracle_known));
    output_json(json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "protocol", e->is_raft ? "raft" : "paxos",
        "leader", json_leader(e, reasons), "who", json_sentences(reasons, REASON_WHO), "why",
        json_sentences(reasons, REASON_WHY), "missing", json_sentences(reasons, REASON_MISSING),
        "try", json_sentences(reasons, REASON_HELP), "oracle", oracle, "acceptors",
        json_acceptors(e, reasons), "proposers", json_proposers(e)));
}

/* ---- sentences */

static void print_sentences(const struct reasons *reasons)
{
    static const char *const before[] = {
        [REASON_WHO] = "", [REASON_WHY] = "  ", [REASON_MISSING] = "  ", [REASON_HELP] = "try: "};
    for (int part = REASON_WHO; part <= REASON_HELP; part++) {
        for (size_t i = 0; i < reasons->count; i++) {
            if (reasons->list[i].part == (enum reason_part)part) {
                output_text("%s%s\n", before[part], reasons->list[i].text);
            }
        }
    }
}

/* Rows are proposers, columns acceptors: when the one heard the other last. */
static void print_reach(const struct synod_explanation *e)
{
    struct table *table = memory_calloc(1, sizeof *table);
    table_row(table);
    table_cell(table, "PROPOSER");
    table_cell(table, "STATE");
    for (size_t k = 0; k < e->acceptor_count; k++) {
        table_cell(table, "FROM A%u", e->acceptors[k]);
    }
    for (size_t i = 0; i < e->proposer_count; i++) {
        const struct synod_explained_proposer *p = &e->proposers[i];
        table_row(table);
        table_cell(table, "%u", p->id);
        table_cell(table, "%s", p->state);
        for (size_t k = 0; k < p->acceptor_count; k++) {
            if (p->acceptors[k].silence_ms == SYNOD_SILENT) {
                table_cell(table, "never");
            } else {
                table_cell(table, "%u ms", p->acceptors[k].silence_ms);
            }
        }
    }
    output_text("\n");
    table_print(table);
    free(table);
}

int verb_explain(int argc, char **argv)
{
    struct common_options common = {.form = OUTPUT_PLAIN};
    struct synod *s = NULL;
    struct synod_explanation *e = NULL;
    int status = options_open_alone(argc, argv, &common, &s);
    if (s == NULL) {
        return status;
    }
    int rc = synod_explain(s, &e);
    if (e == NULL) {
        return options_close(s, rc);
    }
    struct reasons *reasons = memory_calloc(1, sizeof *reasons);
    reasons_find(e, reasons);
    if (common.form == OUTPUT_JSON) {
        print_json(e, reasons);
    } else {
        print_sentences(reasons);
    }
    if (common.form == OUTPUT_TABLE) {
        print_reach(e);
    }
    status = reasons->leader.round != 0 ? 0 : 2;
    free(reasons);
    synod_explanation_free(e);
    synod_close(s);
    return status;
}
