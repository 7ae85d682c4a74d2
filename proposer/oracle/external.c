/* An oracle outside of Synod says who should lead: a lease row in a database, a queue, a
 * scheduler, a script (deploy/oracles, common/PROTOCOL.md "An oracle outside"). What it sends
 * is a word, MSG_NAME: "proposer X, for so many milliseconds from now".
 *
 * Algorithm: the last word is remembered, whoever said it, until it runs out or the next one
 * comes; a word about 0 takes it back. While it runs and X is fit, X is named, else whoever
 * `connected` would name. So the death of the oracle outside, or nonsense from it, changes
 * nothing but who would lead next. A word is a lease on being named, in the sense of Gray and
 * Cheriton ("Leases: An Efficient Fault-Tolerant Mechanism for Distributed File Cache
 * Consistency", SOSP 1989, section 2): the sender counts its time from before it asked for it,
 * this one from when the word came, which a difference of clocks does not touch; here it
 * protects nothing but a preference.
 *
 * Each proposer knows only what was told to it: who names tells all of them. If several
 * programs name different ones the last word wins, on each proposer for itself. So proposers
 * may be of two minds, and if each names another one nobody begins. That is why a word counts
 * for two election timeouts only once a campaign has become possible: then it was in vain, and
 * everybody goes by rank.
 *
 * Assumptions: none for safety. Bound: whatever was said, the proposer of highest rank that is
 * fit is named by all who see the same reports two election timeouts after the gate opened, and
 * stays named until somebody leads; if X is fit and told to all, X is named at once. No
 * messages among proposers; one word and one answer for each proposer and each period of the
 * program. */
#include "proposer/oracle/oracle.h"

#include "common/base/check.h"

#include <stdio.h>

/* Election timeouts with the gate open after which a word was in vain. One is not enough: the first
 * attempt of who was named may fail, and its pause be as long. */
#define PATIENCE_TIMEOUTS 2

struct external {
    node_id_t proposer;   /* of the last word; 0: none was said, or it was taken back */
    time_ms_t until;      /* when that word runs out; it may have */
    time_ms_t open_since; /* a campaign is possible since; TIME_NEVER while none is */
};

static void init(void *state, const struct oracle_view *view, struct rng *rng)
{
    (void)view;
    (void)rng;
    struct external *x = state;
    x->open_since = TIME_NEVER;
}

static void on_message(void *state, const struct oracle_view *view, const struct message *msg,
                       struct rng *rng, struct effects *out)
{
    (void)rng;
    (void)out;
    struct external *x = state;
    if (msg->kind != MSG_NAME) {
        return;
    }
    CHECK(msg->name.proposer == 0 || oracle_candidate(view, msg->name.proposer) != NULL);
    uint32_t valid_ms = msg->name.valid_ms < WORD_MS_MAX ? msg->name.valid_ms : WORD_MS_MAX;
    x->proposer = msg->name.proposer;
    x->until = view->now + (time_ms_t)valid_ms;
}

/* When the word becomes one that was in vain. */
static time_ms_t patience_ends(const struct external *x, const struct oracle_view *view)
{
    return x->open_since != TIME_NEVER ? x->open_since + PATIENCE_TIMEOUTS * view->election_ms
                                       : TIME_NEVER;
}

/* The gate is closed by somebody who leads, or because we reach no quorum; not by a campaign of our
 * own, which is no reason for more patience. */
static int is_other_matter(const struct oracle_view *view)
{
    const struct oracle_candidate *self = oracle_candidate(view, view->self);
    return view->leader != 0 || self == NULL || !self->reaches_quorum;
}

static time_ms_t tick(void *state, const struct oracle_view *view, struct rng *rng,
                      struct effects *out)
{
    (void)rng;
    (void)out;
    struct external *x = state;
    if (view->is_open && x->open_since == TIME_NEVER) {
        x->open_since = view->now;
    } else if (!view->is_open && is_other_matter(view)) {
        x->open_since = TIME_NEVER;
    }
    /* That another one is named from then on is seen at once. That a word runs out while nobody
     * leads is seen with the next heartbeat. */
    time_ms_t ends = patience_ends(x, view);
    return ends > view->now ? ends : TIME_NEVER;
}

/* What a word is worth now; the first that holds, in this order. */
enum worth { WORD_NONE, WORD_RAN_OUT, WORD_UNFIT, WORD_IN_VAIN, WORD_COUNTS };

static enum worth worth_of_word(const struct external *x, const struct oracle_view *view)
{
    if (x->proposer == 0) {
        return WORD_NONE;
    }
    if (view->now >= x->until) {
        return WORD_RAN_OUT;
    }
    const struct oracle_candidate *candidate = oracle_candidate(view, x->proposer);
    if (candidate == NULL || !oracle_is_fit(candidate)) {
        return WORD_UNFIT;
    }
    return view->now >= patience_ends(x, view) ? WORD_IN_VAIN : WORD_COUNTS;
}

static node_id_t name(const void *state, const struct oracle_view *view)
{
    const struct external *x = state;
    if (view->leader != 0) {
        return view->leader; /* no word unseats who serves */
    }
    return worth_of_word(x, view) == WORD_COUNTS ? x->proposer : oracle_best(view);
}

static const char *unfitness(const struct oracle_candidate *candidate)
{
    if (candidate == NULL || !candidate->is_alive) {
        return "is silent";
    }
    return candidate->is_barred ? "must not lead" : "reaches no quorum";
}

static void explain(const void *state, const struct oracle_view *view, char *text, size_t size)
{
    const struct external *x = state;
    const char *rule = view->leader != 0
                           ? "the one that serves a quorum stays"
                           : "the live proposer of highest rank that reaches a quorum is named";
    long long left_ms = (long long)(x->until - view->now);
    switch (worth_of_word(x, view)) {
    case WORD_NONE:
        snprintf(text, size, "no oracle outside names anybody, so %s", rule);
        break;
    case WORD_RAN_OUT:
        snprintf(text, size,
                 "the oracle outside named proposer %u, but its word ran out %lld ms "
                 "ago and was not said again, so %s",
                 x->proposer, -left_ms, rule);
        break;
    case WORD_UNFIT:
        snprintf(text, size,
                 "the oracle outside names proposer %u (for %lld ms more), which %s, so "
                 "%s",
                 x->proposer, left_ms, unfitness(oracle_candidate(view, x->proposer)), rule);
        break;
    case WORD_IN_VAIN:
        snprintf(text, size,
                 "the oracle outside names proposer %u, which had %lld ms to lead and "
                 "does not, so %s",
                 x->proposer, (long long)(view->now - x->open_since), rule);
        break;
    case WORD_COUNTS:
        snprintf(text, size, "the oracle outside names proposer %u, for %lld ms more%s",
                 x->proposer, left_ms,
                 view->leader != 0 && view->leader != x->proposer
                     ? "; that counts when the leader is gone"
                     : "");
        break;
    }
}

const struct oracle_class oracle_external = {
    .kind = ORACLE_EXTERNAL,
    .state_size = sizeof(struct external),
    .init = init,
    .on_message = on_message,
    .tick = tick,
    .name = name,
    .explain = explain,
};
