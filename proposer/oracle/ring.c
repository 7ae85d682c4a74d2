/* The election of Chang and Roberts on a ring ("An improved algorithm for decentralized
 * extrema-finding in circular configurations of processes", CACM 22(5), 1979; as LCR in Lynch,
 * "Distributed Algorithms", 3.3), repaired around the dead.
 *
 * Proposers form a ring by rising id. When nobody leads, each that could sends a token with its
 * rank to its neighbour. A larger token is passed on, a smaller one swallowed; who meets its own
 * again is elected, and that goes round as well, so that all name the same. Among n that begin at
 * once this takes n(n+1)/2 tokens in the worst order, 2n - 1 in the best and n H(n) on the average,
 * and n announcements.
 *
 * Who cannot stand (barred, without a quorum, or its gate not open yet) passes everything on. Once
 * it has passed on a smaller token than its own would be, it must not stand in that round any more:
 * else both would come round. So that all have heard that nobody leads, the first token waits for a
 * heartbeat.
 *
 * Repair: each hop is acknowledged. A neighbour that stays silent for HOP_HEARTBEATS, or that the
 * acceptors do not hear, is skipped for the rest of the round, and has one heartbeat in later
 * rounds until it answers. A token never passes its origin: if that is skipped, it ends there, and
 * others win. Alone on the ring, one is elected at once.
 *
 * Rounds: tokens carry a tag, and those of an older round are dropped. A round that has brought no
 * winner in time, or one that does not come to lead, is followed by the next number, which whoever
 * hears of it joins: two that begin at the same time share it. Nobody goes up by itself more than
 * once in that time, so that late and double messages cannot drive the number up. A winner that has
 * not come to lead lets the others try the next time.
 *
 * Messages: TOKEN and ELECTED (round; subject; weight of subject; hops, which ELECTED counts on),
 * TOKEN_TAKEN (round: the sender's own, which may be a higher one; weight: 1 while that round may
 * still bring a leader; subject and hops of what it acknowledges). weight is what the subject
 * believes itself, so that ranks agree while settings are changing.
 *
 * Assumptions: proposers reach each other, and a hop takes less than a heartbeat. Otherwise the
 * skipped may name another one, and phase 1 settles it.
 *
 * Bound: four election timeouts as for all (leases, reports, campaigns), and three times what a
 * round may take, (2n + 4) heartbeats: one that was spoilt before the healing, with its time
 * doubled, and the one that elects. */
#include "common/base/mutant.h"
#include "proposer/oracle/oracle.h"
#include "proposer/oracle/sentence.h"
#include "proposer/oracle/tag.h"

/* A neighbour has to acknowledge within so many; it is asked again at each. */
#define HOP_HEARTBEATS 3

/* A round may take two hops a proposer, and so many heartbeats more. */
#define ROUND_HEARTBEATS 4

/* A leader that is seen for so many heartbeats ends the election; one that comes and goes with a
 * lost report does not. */
#define SETTLED_HEARTBEATS 3

/* Election timeouts in which a winner has to lead. */
#define VAIN_TIMEOUTS 2

/* A message that the neighbour has not acknowledged. */
struct hop {
    enum oracle_message type; /* 0: none */
    node_id_t subject;
    uint64_t weight;
    uint32_t hops;
    node_id_t to;
    uint32_t tries;
    time_ms_t due_at; /* of the next */
};

/* One for each proposer's token, and one for the announcement. */
#define HOPS_MAX (MEMBERS_MAX + 1)
#define HOP_ELECTED MEMBERS_MAX

struct ring {
    struct tag tag;
    time_ms_t began_at; /* this round, or was heard of */
    int is_over;        /* it brings no winner any more */
    int is_candidate;   /* our token is on its way */
    int is_bystander;   /* we have passed on a smaller one, and must not send ours */
    uint32_t seen;      /* whose tokens came by: bits by index in members.proposers */
    node_id_t winner;   /* 0: none yet */
    uint64_t winner_weight;
    time_ms_t elected_at;
    uint32_t failures; /* rounds in a row without a winner */
    node_id_t leader;  /* as the view had it last */
    time_ms_t leader_since;
    time_ms_t open_since;  /* TIME_NEVER: the gate is closed */
    time_ms_t rests_until; /* we were elected in vain: the others first */
    struct hop hops[HOPS_MAX];
    uint32_t skipped;   /* in this round: bits by index in members.proposers */
    uint32_t suspected; /* skipped in some round, and has acknowledged nothing since */
};

/* ---- times */

static time_ms_t round_ms(const struct oracle_view *view)
{
    return (time_ms_t)(2 * view->candidate_count + ROUND_HEARTBEATS) * view->heartbeat_ms;
}

static time_ms_t deadline(const struct ring *ring, const struct oracle_view *view)
{
    return ring->began_at + (ring->failures > 0 ? 2 : 1) * round_ms(view);
}

static time_ms_t vain_at(const struct ring *ring, const struct oracle_view *view)
{
    return ring->elected_at + VAIN_TIMEOUTS * view->election_ms;
}

static time_ms_t bound_ms(const struct oracle_view *view)
{
    return 4 * view->election_ms + 3 * round_ms(view);
}

/* ---- what is asked of the state */

static int can_stand(const struct ring *ring, const struct oracle_view *view)
{
    int rests = view->now < ring->rests_until && oracle_others_are_fit(view);
    return view->is_open && oracle_is_fit(oracle_self(view)) && !rests;
}

static int winner_is_fresh(const struct ring *ring, const struct oracle_view *view)
{
    return ring->winner != 0 && view->now < vain_at(ring, view);
}

/* 1 while this round may still bring a leader. */
static int is_live(const struct ring *ring, const struct oracle_view *view)
{
    if (ring->winner != 0) {
        return winner_is_fresh(ring, view);
    }
    return ring->tag.number > 0 && !ring->is_over && view->now < deadline(ring, view);
}

/* The acceptors do not hear it. Who hears no acceptors itself has no say in that. */
static int is_unheard(const struct oracle_view *view, size_t index)
{
    return view->is_open && !view->candidates[index].is_alive;
}

/* Whoever is to be skipped: the acceptors do not hear it, or it has not answered. */
static int is_skipped(const struct ring *ring, const struct oracle_view *view, size_t index)
{
    return is_unheard(view, index) || (ring->skipped >> index & 1) != 0;
}

/* The first on the way from us to the subject, it included, that is not skipped; 0 if that is none.
 * The way to oneself is the whole ring, and ends at oneself. */
static node_id_t next_hop(const struct ring *ring, const struct oracle_view *view,
                          node_id_t subject)
{
    size_t count = view->candidate_count;
    size_t at = (size_t)members_proposer_index(view->members, view->self);
    for (size_t i = 0; i < count; i++) {
        at = (at + 1) % count;
        if (view->candidates[at].id == view->self || !is_skipped(ring, view, at)) {
            return view->candidates[at].id;
        }
        if (view->candidates[at].id == subject) {
            return 0;
        }
    }
    return 0;
}

/* ---- sending */

static void send_hop(const struct ring *ring, const struct oracle_view *view, struct hop *hop,
                     struct effects *out)
{
    struct msg_oracle *msg = oracle_send(view, hop->type, hop->to, out);
    msg->version = ring->tag.version;
    msg->round = ring->tag.number;
    msg->subject = hop->subject;
    msg->weight = hop->weight;
    msg->hops = hop->hops;
    hop->tries++;
    hop->due_at = view->now + view->heartbeat_ms;
}

static void acknowledge(const struct ring *ring, const struct oracle_view *view,
                        const struct message *received, struct effects *out)
{
    struct msg_oracle *msg =
        oracle_send(view, ORACLE_TOKEN_TAKEN, (node_id_t)received->from.id, out);
    msg->version = ring->tag.version;
    msg->round = ring->tag.number;
    msg->subject = received->oracle.subject;
    msg->hops = received->oracle.hops;
    msg->weight = (uint64_t)is_live(ring, view);
}

/* Our own token is back, or there is nobody else whom it could go to. */
static void win(struct ring *ring, const struct oracle_view *view)
{
    ring->winner = view->self;
    ring->winner_weight = oracle_self(view)->weight;
    ring->elected_at = view->now;
    ring->failures = 0;
}

/* Those between us and `to` that only do not answer may be well again. What goes round once must
 * not wait for that, but who has won they are told without waiting for an answer: else they would
 * begin another round. */
static void tell_skipped(const struct ring *ring, const struct oracle_view *view, node_id_t to,
                         const struct hop *elected, struct effects *out)
{
    size_t count = view->candidate_count;
    size_t at = (size_t)members_proposer_index(view->members, view->self);
    for (size_t i = 1; i < count; i++) {
        at = (at + 1) % count;
        if (view->candidates[at].id == to) {
            return;
        }
        if (!is_unheard(view, at)) {
            struct hop hop = *elected;
            hop.to = view->candidates[at].id;
            send_hop(ring, view, &hop, out);
        }
    }
}

/* Sends it on to the next that is not skipped. */
static void pass_on(struct ring *ring, const struct oracle_view *view, struct hop *hop,
                    struct effects *out)
{
    node_id_t to = next_hop(ring, view, hop->subject);
    if (hop->type == ORACLE_ELECTED) {
        tell_skipped(ring, view, to != 0 ? to : hop->subject, hop, out);
    }
    if (to == 0) {
        hop->type = 0; /* whose it is cannot be reached */
        return;
    }
    if (to == view->self) {
        if (hop->type == ORACLE_TOKEN && can_stand(ring, view)) {
            win(ring, view);
            hop->type = ORACLE_ELECTED;
            tell_skipped(ring, view, to, hop, out);
        }
        hop->type = 0;
        return;
    }
    hop->to = to;
    hop->tries = 0;
    send_hop(ring, view, hop, out);
}

static void send_token(struct ring *ring, const struct oracle_view *view, node_id_t subject,
                       uint64_t weight, uint32_t hops, struct effects *out)
{
    size_t index = (size_t)members_proposer_index(view->members, subject);
    struct hop *hop = &ring->hops[index];
    *hop = (struct hop){.type = ORACLE_TOKEN, .subject = subject, .weight = weight, .hops = hops};
    pass_on(ring, view, hop, out);
}

static void announce(struct ring *ring, const struct oracle_view *view, uint32_t hops,
                     struct effects *out)
{
    struct hop *hop = &ring->hops[HOP_ELECTED];
    *hop = (struct hop){.type = ORACLE_ELECTED,
                        .subject = ring->winner,
                        .weight = ring->winner_weight,
                        .hops = hops};
    pass_on(ring, view, hop, out);
}

/* ---- rounds */

static void enter(struct ring *ring, const struct oracle_view *view, struct tag tag)
{
    ring->tag = tag;
    ring->began_at = view->now;
    ring->is_over = 0;
    ring->is_candidate = 0;
    ring->is_bystander = 0;
    ring->seen = 0;
    ring->winner = 0;
    for (size_t i = 0; i < HOPS_MAX; i++) {
        ring->hops[i].type = 0;
    }
    ring->skipped = 0; /* all have another chance */
}

static void take_part(struct ring *ring, const struct oracle_view *view, struct effects *out)
{
    ring->is_candidate = 1;
    send_token(ring, view, view->self, oracle_self(view)->weight, 1, out);
}

static void start(struct ring *ring, const struct oracle_view *view, struct effects *out)
{
    enter(ring, view, (struct tag){ring->tag.version, ring->tag.number + 1});
    take_part(ring, view, out);
}

/* A leader ends the election, but not one that began after it was last heard of. */
static void look(struct ring *ring, const struct oracle_view *view)
{
    if (!view->is_open) {
        ring->open_since = TIME_NEVER;
    } else if (ring->open_since == TIME_NEVER) {
        ring->open_since = view->now;
    }
    if (view->leader != ring->leader) {
        ring->leader = view->leader;
        ring->leader_since = view->now;
    }
    if (view->leader != 0 && ring->began_at <= ring->leader_since &&
        view->now >= ring->leader_since + SETTLED_HEARTBEATS * view->heartbeat_ms) {
        ring->is_over = 1;
        ring->winner = 0;
        ring->failures = 0;
        ring->rests_until = 0;
    }
}

/* ---- messages */

static void on_own_token(struct ring *ring, const struct oracle_view *view, uint32_t hops,
                         struct effects *out)
{
    if (!can_stand(ring, view)) {
        return;
    }
    if (!ring->is_candidate) { /* of a former life: a new one in this round would be taken for it */
        start(ring, view, out);
        return;
    }
    win(ring, view);
    announce(ring, view, hops + 1, out);
}

static void on_token(struct ring *ring, const struct oracle_view *view,
                     const struct msg_oracle *msg, struct effects *out)
{
    uint32_t bit = (uint32_t)1 << members_proposer_index(view->members, msg->subject);
    if ((ring->seen & bit) != 0 || ring->winner != 0) {
        return;
    }
    ring->seen |= bit;
    if (msg->subject == view->self) {
        on_own_token(ring, view, msg->hops, out);
        return;
    }
    int is_smaller =
        rank_compare(msg->weight, msg->subject, oracle_self(view)->weight, view->self) < 0;
    int stands = ring->is_candidate || (can_stand(ring, view) && !ring->is_bystander);
    if (!is_smaller || !stands) {
        ring->is_bystander |= is_smaller && !stands;
        send_token(ring, view, msg->subject, msg->weight, msg->hops + 1, out);
    } else if (!ring->is_candidate) {
        take_part(ring, view, out);
    }
}

static void on_elected(struct ring *ring, const struct oracle_view *view,
                       const struct msg_oracle *msg, struct effects *out)
{
    int is_less = rank_compare(msg->weight, msg->subject, ring->winner_weight, ring->winner) <= 0;
    if (msg->subject == view->self || (ring->winner != 0 && is_less)) {
        return; /* it has come round; or another one has won that ranks higher */
    }
    ring->winner = msg->subject;
    ring->winner_weight = msg->weight;
    ring->elected_at = view->now;
    ring->failures = 0;
    announce(ring, view, msg->hops + 1, out);
}

static void on_taken(struct ring *ring, const struct oracle_view *view, const struct message *msg,
                     struct effects *out)
{
    const struct msg_oracle *taken = &msg->oracle;
    uint32_t bit = (uint32_t)1 << members_proposer_index(view->members, msg->from.id);
    ring->skipped &= ~bit;
    ring->suspected &= ~bit;
    int order = tag_compare(tag_of(taken), ring->tag);
    if (order > 0) {
        int was_candidate = ring->is_candidate;
        enter(ring, view, tag_of(taken));
        ring->is_over = taken->weight == 0;
        if (was_candidate && can_stand(ring, view)) {
            if (ring->is_over) {
                start(ring, view, out);
            } else {
                take_part(ring, view, out);
            }
        }
        return;
    }
    for (size_t i = 0; order == 0 && i < HOPS_MAX; i++) {
        struct hop *hop = &ring->hops[i];
        if (hop->type != 0 && hop->to == msg->from.id && hop->subject == taken->subject &&
            hop->hops == taken->hops) {
            hop->type = 0;
        }
    }
}

static void on_message(void *state, const struct oracle_view *view, const struct message *msg,
                       struct rng *rng, struct effects *out)
{
    (void)rng;
    struct ring *ring = state;
    const struct msg_oracle *oracle = &msg->oracle;
    if (msg->kind != MSG_ORACLE || oracle->round == 0 || oracle->round > TAG_NUMBER_MAX ||
        members_proposer_index(view->members, oracle->subject) < 0) {
        return;
    }
    look(ring, view);
    if (oracle->type == ORACLE_TOKEN_TAKEN) {
        on_taken(ring, view, msg, out);
        return;
    }
    if (oracle->type != ORACLE_TOKEN && oracle->type != ORACLE_ELECTED) {
        return;
    }
    int order = tag_compare(tag_of(oracle), ring->tag);
    if (order > 0) {
        enter(ring, view, tag_of(oracle));
    }
    acknowledge(ring, view, msg, out);
    if (order < 0) {
        effects_mark(out, MARK_ORACLE_RING_OLD);
    } else if (oracle->type == ORACLE_TOKEN) {
        on_token(ring, view, oracle, out);
    } else {
        on_elected(ring, view, oracle, out);
    }
}

/* ---- time */

/* Sends again what was not acknowledged, and goes round whoever stays silent. */
static void tend_hops(struct ring *ring, const struct oracle_view *view, struct effects *out)
{
    for (size_t i = 0; i < HOPS_MAX; i++) {
        struct hop *hop = &ring->hops[i];
        if (hop->type == 0) {
            continue;
        }
        size_t index = (size_t)members_proposer_index(view->members, hop->to);
        uint32_t bit = (uint32_t)1 << index;
        uint32_t patience = (ring->suspected & bit) != 0 ? 1 : HOP_HEARTBEATS;
        int is_silent = hop->tries >= patience && view->now >= hop->due_at;
        if (is_silent && !MUTANT(oracle_ring_never_skips)) {
            effects_mark(out, MARK_ORACLE_RING_SKIPS);
            ring->skipped |= bit;
            ring->suspected |= bit;
        }
        if (is_skipped(ring, view, index)) {
            pass_on(ring, view, hop, out);
        } else if (view->now >= hop->due_at) {
            send_hop(ring, view, hop, out);
        }
    }
}

/* A winner that has had its time, or that can be seen to be unable. */
static void judge_winner(struct ring *ring, const struct oracle_view *view, struct effects *out)
{
    if (ring->winner == 0 || view->leader != 0) {
        return;
    }
    const struct oracle_candidate *winner = oracle_candidate(view, ring->winner);
    int is_gone = view->is_open && !oracle_is_fit(winner) &&
                  view->now >= ring->elected_at + SETTLED_HEARTBEATS * view->heartbeat_ms;
    if (winner_is_fresh(ring, view) && !is_gone) {
        return;
    }
    if (ring->winner == view->self) {
        effects_mark(out, MARK_ORACLE_RING_IN_VAIN);
        ring->rests_until = view->now + round_ms(view);
    }
    ring->winner = 0;
    ring->is_over = 1;
}

static void maybe_start(struct ring *ring, const struct oracle_view *view, struct effects *out)
{
    if (!can_stand(ring, view) || view->now < ring->open_since + view->heartbeat_ms ||
        is_live(ring, view)) {
        return;
    }
    if (ring->tag.number > 0 && !ring->is_over) {
        if (MUTANT(oracle_ring_never_starts_again)) {
            return;
        }
        effects_mark(out, MARK_ORACLE_RING_AGAIN);
        ring->failures++;
    }
    start(ring, view, out);
}

static time_ms_t tick(void *state, const struct oracle_view *view, struct rng *rng,
                      struct effects *out)
{
    (void)rng;
    struct ring *ring = state;
    look(ring, view);
    tend_hops(ring, view, out);
    judge_winner(ring, view, out);
    maybe_start(ring, view, out);
    int is_busy = view->is_open || ring->winner != 0;
    for (size_t i = 0; i < HOPS_MAX; i++) {
        is_busy |= ring->hops[i].type != 0;
    }
    return is_busy ? view->now + view->heartbeat_ms : TIME_NEVER;
}

static void init(void *state, const struct oracle_view *view, struct rng *rng)
{
    (void)rng;
    struct ring *ring = state;
    ring->tag.version = view->settings->version;
    ring->open_since = TIME_NEVER;
    ring->began_at = view->now;
    ring->leader_since = view->now;
}

/* ---- who is named */

static node_id_t name(const void *state, const struct oracle_view *view)
{
    const struct ring *ring = state;
    if (view->leader != 0) {
        return view->leader;
    }
    return view->is_open && winner_is_fresh(ring, view) ? ring->winner : 0;
}

static void explain_skipped(const struct ring *ring, const struct oracle_view *view,
                            struct sentence *sentence)
{
    node_id_t ids[MEMBERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < view->candidate_count; i++) {
        if (view->candidates[i].id != view->self && is_skipped(ring, view, i)) {
            ids[count++] = view->candidates[i].id;
        }
    }
    if (count > 0) {
        sentence_add(sentence, "; ");
        sentence_add_ids(sentence, ids, count);
        sentence_add(sentence, count == 1 ? " is skipped, it does not answer"
                                          : " are skipped, they do not answer");
    }
}

static void explain(const void *state, const struct oracle_view *view, char *text, size_t size)
{
    const struct ring *ring = state;
    struct sentence sentence = sentence_begin(text, size);
    unsigned long long round = ring->tag.number;
    if (view->leader != 0) {
        sentence_add(&sentence, "proposer %u serves a quorum, and stays", view->leader);
        return;
    }
    if (winner_is_fresh(ring, view)) {
        sentence_add(&sentence, "the token of proposer %u came round in round %llu, no larger one",
                     ring->winner, round);
    } else if (!view->is_open) {
        sentence_add(&sentence, "this proposer sends no token, it only passes on those of others");
    } else if (!can_stand(ring, view)) {
        sentence_add(&sentence, "this proposer %s, and only passes on the tokens of others",
                     view->now < ring->rests_until ? "was elected in vain" : "must not lead");
    } else if (is_live(ring, view)) {
        sentence_add(&sentence, "no token has come round yet in round %llu, for %lld ms", round,
                     (long long)(view->now - ring->began_at));
    } else {
        sentence_add(&sentence, "nobody leads, and the next round is about to begin");
    }
    explain_skipped(ring, view, &sentence);
}

const struct oracle_class oracle_ring = {
    .kind = ORACLE_RING,
    .state_size = sizeof(struct ring),
    .init = init,
    .on_message = on_message,
    .tick = tick,
    .name = name,
    .bound_ms = bound_ms,
    .explain = explain,
};
