#include "proposer/oracle/oracle.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/base/mutant.h"

#include <stdlib.h>

static const struct oracle_class *const classes[ORACLE_KIND_END] = {
    [ORACLE_CONNECTED] = &oracle_connected, [ORACLE_LEASE] = &oracle_lease,
    [ORACLE_RING] = &oracle_ring,           [ORACLE_FLOODMAX] = &oracle_floodmax,
    [ORACLE_GOSSIP] = &oracle_gossip,       [ORACLE_SUCCESSION] = &oracle_succession,
    [ORACLE_STATIC] = &oracle_static,       [ORACLE_EXTERNAL] = &oracle_external,
};

const struct oracle_class *oracle_class_of(enum oracle_kind kind)
{
    CHECK(kind > 0 && kind < ORACLE_KIND_END);
    return classes[kind];
}

/* ---- what oracles share */

size_t oracle_index(const struct oracle_view *view, uint64_t id)
{
    size_t index = 0;
    while (index < view->candidate_count && view->candidates[index].id != id) {
        index++;
    }
    return index;
}

const struct oracle_candidate *oracle_candidate(const struct oracle_view *view, node_id_t id)
{
    size_t index = oracle_index(view, id);
    return index < view->candidate_count ? &view->candidates[index] : NULL;
}

const struct oracle_candidate *oracle_self(const struct oracle_view *view)
{
    return oracle_candidate(view, view->self);
}

int oracle_is_fit(const struct oracle_candidate *candidate)
{
    return candidate->is_alive && candidate->reaches_quorum &&
           (!candidate->is_barred || MUTANT(oracle_barred_campaigns));
}

int oracle_others_are_fit(const struct oracle_view *view)
{
    for (size_t i = 0; i < view->candidate_count; i++) {
        if (view->candidates[i].id != view->self && oracle_is_fit(&view->candidates[i])) {
            return 1;
        }
    }
    return 0;
}

int oracle_rank(const struct oracle_candidate *a, const struct oracle_candidate *b)
{
    return rank_compare(a->weight, a->id, b->weight, b->id);
}

node_id_t oracle_best(const struct oracle_view *view)
{
    const struct oracle_candidate *best = NULL;
    for (size_t i = 0; i < view->candidate_count; i++) {
        const struct oracle_candidate *candidate = &view->candidates[i];
        if (oracle_is_fit(candidate) && (best == NULL || oracle_rank(candidate, best) > 0)) {
            best = candidate;
        }
    }
    return best != NULL ? best->id : 0;
}

struct msg_oracle *oracle_send(const struct oracle_view *view, enum oracle_message type,
                               node_id_t to, struct effects *out)
{
    CHECK(to != view->self);
    struct message *msg = effects_send(out, SEND_NOW, (struct peer){ROLE_PROPOSER, to}, MSG_ORACLE);
    msg->oracle.type = type;
    msg->oracle.kind = view->settings->kind;
    msg->oracle.version = view->settings->version;
    return &msg->oracle;
}

/* ---- an oracle at work */

void oracle_begin(struct oracle *oracle, const struct oracle_view *view, uint64_t seed,
                  struct effects *out)
{
    const struct settings *settings = view->settings;
    const struct oracle_class *class = oracle_class_of(settings->kind);
    int is_same = oracle->version == settings->version || MUTANT(oracle_same_kind_not_begun);
    if (oracle->class == class && is_same) {
        return;
    }
    oracle_close(oracle);
    oracle->class = class;
    oracle->version = settings->version;
    rng_init(&oracle->rng, seed);
    if (class->state_size > 0) {
        oracle->state = memory_calloc(1, class->state_size);
    }
    if (class->init != NULL) {
        class->init(oracle->state, view, &oracle->rng);
    }
    oracle->due_at = class->tick != NULL ? view->now : TIME_NEVER;
    oracle_tick(oracle, view, out);
}

void oracle_close(struct oracle *oracle)
{
    free(oracle->state);
    *oracle = (struct oracle){.due_at = TIME_NEVER};
}

void oracle_tick(struct oracle *oracle, const struct oracle_view *view, struct effects *out)
{
    int is_news = view->leader != oracle->leader || view->is_open != oracle->is_open;
    oracle->leader = view->leader;
    oracle->is_open = view->is_open;
    if (oracle->class->tick == NULL || (!is_news && view->now < oracle->due_at)) {
        return;
    }
    oracle->due_at = oracle->class->tick(oracle->state, view, &oracle->rng, out);
}

void oracle_on_message(struct oracle *oracle, const struct oracle_view *view,
                       const struct message *msg, struct effects *out)
{
    if (oracle->class->on_message == NULL) {
        return;
    }
    if (msg->kind == MSG_ORACLE && msg->oracle.kind != oracle->class->kind) {
        effects_mark(out, MARK_ORACLE_OF_OTHER_KIND);
        return; /* during a change of settings, or late */
    }
    oracle->class->on_message(oracle->state, view, msg, &oracle->rng, out);
    if (oracle->class->tick != NULL) {
        oracle->due_at = view->now; /* what it has heard may be a reason to be called earlier */
    }
}

node_id_t oracle_names(const struct oracle *oracle, const struct oracle_view *view)
{
    node_id_t named = oracle->class->name(oracle->state, view);
    const struct oracle_candidate *candidate = oracle_candidate(view, named);
    int may_lead = candidate != NULL && (!candidate->is_barred || MUTANT(oracle_barred_campaigns));
    return may_lead ? named : 0;
}

void oracle_explain(const struct oracle *oracle, const struct oracle_view *view, char *text,
                    size_t size)
{
    oracle->class->explain(oracle->state, view, text, size);
}
