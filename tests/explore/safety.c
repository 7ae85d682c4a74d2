#include "tests/explore/safety.h"

#include "common/base/memory.h"
#include "tests/explore/post.h"
#include "tests/explore/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char text[400];

/* What the votes of three acceptors have chosen. */
struct decision {
    uint32_t values[SLOTS + 1]; /* by slot; 0: none yet */
    uint32_t prefix;            /* unbroken, from slot 1 */
    uint32_t conflict;          /* a slot with two values, or 0 */
};

static struct {
    struct intern keys; /* three sets of votes; the id is the place in decisions */
    struct decision *decisions;
    size_t capacity;
} r;

static int has(const struct set *set, uint32_t item)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->items[i] == item) {
            return 1;
        }
    }
    return 0;
}

static struct decision decide(const uint32_t locals[PROCESSES])
{
    struct decision decision;
    memset(&decision, 0, sizeof decision);
    for (unsigned a = 0; a < ACCEPTORS; a++) {
        const struct set *votes = local_votes(locals[a]);
        for (uint32_t i = 0; i < votes->count; i++) {
            acceptor_set_t voters = (acceptor_set_t)1 << a;
            for (unsigned b = a + 1; b < ACCEPTORS; b++) {
                voters |= (acceptor_set_t)has(local_votes(locals[b]), votes->items[i]) << b;
            }
            if (!is_accept_quorum(scope_members(), voters)) {
                continue;
            }
            const struct proposal *chosen = post_get_proposal(votes->items[i]);
            uint32_t *value = &decision.values[chosen->slot];
            if (*value != 0 && *value != chosen->value) {
                decision.conflict = (uint32_t)chosen->slot;
            }
            *value = chosen->value;
        }
    }
    while (decision.prefix < SLOTS && decision.values[decision.prefix + 1] != 0) {
        decision.prefix++;
    }
    return decision;
}

/* The decision of a state; most states share one with many others. */
static const struct decision *decision_of(const uint32_t locals[PROCESSES])
{
    uint32_t key[ACCEPTORS];
    for (unsigned a = 0; a < ACCEPTORS; a++) {
        key[a] = local_get(locals[a]).votes;
    }
    size_t known = r.keys.count;
    uint32_t id = intern_add(&r.keys, key, sizeof key);
    if (id == known) {
        r.decisions = memory_grow(r.decisions, &r.capacity, known + 1, sizeof *r.decisions);
        r.decisions[id] = decide(locals);
    }
    return &r.decisions[id];
}

unsigned safety_chosen(const uint32_t locals[PROCESSES])
{
    return decision_of(locals)->prefix;
}

const char *safety_check_claim(const uint32_t locals[PROCESSES], uint32_t id)
{
    const struct claim *claim = machine_claim(id);
    const struct decision *decision = decision_of(locals);
    if (claim->watermark > decision->prefix) {
        snprintf(text, sizeof text,
                 "chosen by quorum: slots up to %llu are held to be chosen, a quorum has accepted "
                 "those up to %u",
                 (unsigned long long)claim->watermark, decision->prefix);
        return text;
    }
    for (slot_t slot = 1; slot <= SLOTS; slot++) {
        if (claim->values[slot] != 0 && claim->values[slot] != decision->values[slot]) {
            char said[80];
            char real[80];
            post_describe_value((uint32_t)claim->values[slot], said, sizeof said);
            post_describe_value(decision->values[slot], real, sizeof real);
            snprintf(text, sizeof text, "chosen by quorum: slot %llu is held to be %s, but is %s",
                     (unsigned long long)slot, said, real);
            return text;
        }
    }
    return NULL;
}

/* 1 if a quorum may still accept, or has accepted, the proposal. */
static int is_choosable(const uint32_t locals[PROCESSES], uint32_t number,
                        const struct proposal *proposal)
{
    struct ballot ballot = proposal_ballot(proposal);
    acceptor_set_t able = 0;
    for (unsigned a = 0; a < ACCEPTORS; a++) {
        const struct ballot *promised = &local_head(locals[a])->promised;
        if (has(local_votes(locals[a]), number) || ballot_compare(promised, &ballot) < 0 ||
            ballot_equal(promised, &ballot)) {
            able |= (acceptor_set_t)1 << a;
        }
    }
    return is_accept_quorum(scope_members(), able);
}

static const char *check_pair(const uint32_t locals[PROCESSES], uint32_t a, uint32_t b)
{
    const struct proposal *low = post_get_proposal(a);
    const struct proposal *high = post_get_proposal(b);
    if (low->slot != high->slot || low->value == high->value) {
        return NULL;
    }
    struct ballot low_ballot = proposal_ballot(low);
    struct ballot high_ballot = proposal_ballot(high);
    int order = ballot_compare(&low_ballot, &high_ballot);
    if (order == 0 && ballot_equal(&low_ballot, &high_ballot)) {
        snprintf(text, sizeof text, "one value: slot %llu has two values at ballot %llu.%u",
                 (unsigned long long)low->slot, (unsigned long long)low->round, low->proposer);
        return text;
    }
    if (order <= 0 && is_choosable(locals, a, low)) {
        char value[80];
        char other[80];
        post_describe_value(high->value, value, sizeof value);
        post_describe_value(low->value, other, sizeof other);
        snprintf(text, sizeof text,
                 "safe: %s is proposed for slot %llu at ballot %llu.%u, while %s can still be "
                 "chosen at %llu.%u",
                 value, (unsigned long long)high->slot, (unsigned long long)high->round,
                 high->proposer, other, (unsigned long long)low->round, low->proposer);
        return text;
    }
    return NULL;
}

/* Every vote was proposed by the proposer that the ballot names. */
static const char *check_votes(const uint32_t locals[PROCESSES])
{
    for (unsigned a = 0; a < ACCEPTORS; a++) {
        const struct set *votes = local_votes(locals[a]);
        for (uint32_t i = 0; i < votes->count; i++) {
            const struct proposal *vote = post_get_proposal(votes->items[i]);
            unsigned proposer = ACCEPTORS + vote->proposer - 1;
            if (!has(local_votes(locals[proposer]), votes->items[i])) {
                snprintf(text, sizeof text,
                         "votes: %s has accepted for slot %llu at %llu.%u what was not proposed",
                         process_name(a), (unsigned long long)vote->slot,
                         (unsigned long long)vote->round, vote->proposer);
                return text;
            }
        }
    }
    return NULL;
}

const char *safety_check(const uint32_t locals[PROCESSES])
{
    const struct decision *decision = decision_of(locals);
    if (decision->conflict != 0) {
        snprintf(text, sizeof text, "agreement: slot %u was chosen with two values",
                 decision->conflict);
        return text;
    }
    for (unsigned p = ACCEPTORS; p < PROCESSES; p++) {
        for (unsigned q = ACCEPTORS; q < PROCESSES; q++) {
            const struct set *low = local_votes(locals[p]);
            const struct set *high = local_votes(locals[q]);
            for (uint32_t i = 0; i < low->count; i++) {
                for (uint32_t k = 0; k < high->count; k++) {
                    const char *broken = check_pair(locals, low->items[i], high->items[k]);
                    if (broken != NULL) {
                        return broken;
                    }
                }
            }
        }
    }
    return check_votes(locals);
}

void safety_close(void)
{
    intern_close(&r.keys);
    free(r.decisions);
    memset(&r, 0, sizeof r);
}
