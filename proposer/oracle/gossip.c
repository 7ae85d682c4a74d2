/* The highest of those that gossip holds alive and that reach a quorum (Das, Gupta and Motivala,
 * "SWIM: Scalable Weakly-consistent Infection-style Process Group Membership Protocol", DSN 2002).
 *
 * Once a period, which is a heartbeat, a proposer pings one other; without an answer in half a
 * period it asks INDIRECT_PINGS others to ping it (3.1), and without any by the end of the period
 * it suspects it (4.2). The suspect stays a candidate. It is told of the suspicion by whoever pings
 * it or is pinged by it, and refutes it with a higher incarnation number, which it alone may raise
 * (`version` of a rumour). A suspicion that nobody refutes in time becomes a death. What is new
 * rides on pings and answers, RUMORS_MAX at a time, what was told least first, each some
 * log2 n times (4.1). Targets come in a shuffled order, each once a round (4.3), so that everybody
 * is pinged within 2n - 1 periods.
 *
 * Unlike there, members never change: the dead are pinged like all others and can refute their
 * death, too, or no partition would heal. And who has slept itself judges nobody for it.
 *
 * Load: a ping and an answer a period and member, and 4 * INDIRECT_PINGS more for each that is
 * silent; no message grows with the number of members.
 *
 * Messages: PING (round: number of the probe; subject: who wants to know), PING_REQUEST (round;
 * subject: whom to ping), ACK (round; subject: who wants to know; a helper passes it on). The
 * weight in a rumour is for the eye: all compare those of their settings.
 *
 * Assumption: proposers reach each other, if not all directly. Those that do not may each name
 * another one, and phase 1 settles it.
 *
 * Bound: gossip_suspicion_ms after healing every suspicion is refuted or has become a death, one
 * election timeout later whoever lives has refuted what it was held for, and in another one the
 * acceptors' reports have come and a campaign is over. */
#include "common/base/mutant.h"
#include "proposer/oracle/oracle.h"
#include "proposer/oracle/sentence.h"

/* Others that ping for one that gets no answer: k in the paper. */
#define INDIRECT_PINGS 3

/* Rumours in a message. */
#define RUMORS_MAX 6

/* A rumour is told, and a suspicion lasts, so many times log2 n: messages, or periods. */
#define SPREAD_FACTOR 3

/* No honest process has refuted so much. */
#define VERSION_MAX ((uint64_t)1 << 48)

/* What is held of a proposer; of oneself, too. */
struct held {
    enum rumor_state state;
    uint64_t version;
    uint32_t told;   /* how often, since it is so */
    time_ms_t until; /* suspect: dead then */
};

struct gossip {
    struct held held[MEMBERS_MAX]; /* by index in members.proposers */
    size_t order[MEMBERS_MAX];     /* the others, by such index, as they are pinged in this round */
    size_t order_count;
    size_t order_next;
    uint64_t probe;  /* number of the one under way */
    size_t target;   /* of it; MEMBERS_MAX: none, or it has answered */
    int is_indirect; /* others were asked to ping it */
    time_ms_t indirect_at;
    time_ms_t period_at; /* when the next one begins */
    time_ms_t tick_at;   /* when it wanted to be called */
};

/* Smallest n with 2^n > count. */
static uint32_t log2_above(size_t count)
{
    uint32_t bits = 0;
    for (; count > 0; count >>= 1) {
        bits++;
    }
    return bits;
}

static uint32_t spread(size_t proposer_count)
{
    return SPREAD_FACTOR * log2_above(proposer_count);
}

static time_ms_t suspicion_ms(const struct oracle_view *view)
{
    return spread(view->candidate_count) * view->heartbeat_ms;
}

static time_ms_t bound_ms(const struct oracle_view *view)
{
    return suspicion_ms(view) + 2 * view->election_ms;
}

static void init(void *state, const struct oracle_view *view, struct rng *rng)
{
    struct gossip *gossip = state;
    for (size_t i = 0; i < view->candidate_count; i++) {
        if (view->candidates[i].id != view->self) {
            gossip->order[gossip->order_count++] = i;
        }
        gossip->held[i].told = spread(view->candidate_count); /* that all live is no news */
    }
    gossip->order_next = gossip->order_count;
    gossip->target = MEMBERS_MAX;
    gossip->probe = rng_next(rng) >> 1; /* no answer to a former life fits */
    gossip->tick_at = view->now;
    gossip->indirect_at = TIME_NEVER;
    /* Not all at once. */
    gossip->period_at = view->now + (time_ms_t)rng_below(rng, (uint64_t)view->heartbeat_ms);
}

/* ---- rumours */

static void hold(struct gossip *gossip, size_t index, enum rumor_state rumor_state,
                 uint64_t version, const struct oracle_view *view)
{
    gossip->held[index] = (struct held){
        .state = rumor_state, .version = version, .until = view->now + suspicion_ms(view)};
}

/* What others say of oneself: whoever hears it lives. */
static void hear_of_self(struct gossip *gossip, size_t index, const struct rumor *rumor,
                         struct effects *out)
{
    struct held *self = &gossip->held[index];
    if (rumor->state == RUMOR_ALIVE) {
        if (rumor->version > self->version) {
            self->version = rumor->version; /* of a former life */
        }
        return;
    }
    if (rumor->version >= self->version && !MUTANT(oracle_gossip_never_refutes)) {
        effects_mark(out, MARK_ORACLE_GOSSIP_REFUTED);
        self->version = rumor->version + 1;
    }
}

/* Of two the higher version holds, and of one version the worse word. */
static void hear(struct gossip *gossip, const struct rumor *rumor, const struct oracle_view *view,
                 struct effects *out)
{
    size_t index = oracle_index(view, rumor->proposer);
    if (index == view->candidate_count || rumor->version > VERSION_MAX) {
        return;
    }
    const struct held *held = &gossip->held[index];
    if (rumor->proposer == view->self) {
        hear_of_self(gossip, index, rumor, out);
    } else if (rumor->version > held->version ||
               (rumor->version == held->version && rumor->state > held->state)) {
        hold(gossip, index, rumor->state, rumor->version, view);
    }
}

static void add_rumor(struct gossip *gossip, const struct oracle_view *view, size_t index,
                      struct msg_oracle *msg)
{
    struct held *held = &gossip->held[index];
    msg->rumors[msg->rumor_count++] =
        (struct rumor){view->candidates[index].id, (uint32_t)held->state, held->version,
                       view->candidates[index].weight};
    held->told++;
}

static int has_rumor(const struct msg_oracle *msg, node_id_t id)
{
    for (uint32_t i = 0; i < msg->rumor_count; i++) {
        if (msg->rumors[i].proposer == id) {
            return 1;
        }
    }
    return 0;
}

/* The rumour that was told least and is not in the message; candidate_count if none is left. */
static size_t newest_rumor(const struct gossip *gossip, const struct oracle_view *view,
                           const struct msg_oracle *msg)
{
    size_t best = view->candidate_count;
    for (size_t i = 0; i < view->candidate_count; i++) {
        if (gossip->held[i].told < spread(view->candidate_count) &&
            !has_rumor(msg, view->candidates[i].id) &&
            (best == view->candidate_count || gossip->held[i].told < gossip->held[best].told)) {
            best = i;
        }
    }
    return best;
}

/* Tells of oneself, of `about`, and what is new. */
static void send(struct gossip *gossip, const struct oracle_view *view, enum oracle_message type,
                 node_id_t to, uint64_t round, node_id_t subject, node_id_t about,
                 struct effects *out)
{
    struct msg_oracle *msg = oracle_send(view, type, to, out);
    msg->round = round;
    msg->subject = subject;
    msg->rumors = effects_alloc(out, RUMORS_MAX * sizeof *msg->rumors);
    add_rumor(gossip, view, oracle_index(view, view->self), msg);
    size_t index = oracle_index(view, about);
    if (gossip->held[index].state != RUMOR_ALIVE || about != to) {
        add_rumor(gossip, view, index, msg); /* it is to refute it, or somebody asked */
    }
    while (msg->rumor_count < RUMORS_MAX &&
           (index = newest_rumor(gossip, view, msg)) < view->candidate_count) {
        add_rumor(gossip, view, index, msg);
    }
}

/* ---- probes */

static void on_message(void *state, const struct oracle_view *view, const struct message *msg,
                       struct rng *rng, struct effects *out)
{
    (void)rng;
    struct gossip *gossip = state;
    const struct msg_oracle *word = &msg->oracle;
    node_id_t from = (node_id_t)msg->from.id;
    if (msg->kind != MSG_ORACLE || from == view->self ||
        oracle_index(view, from) == view->candidate_count ||
        oracle_index(view, word->subject) == view->candidate_count) {
        return;
    }
    for (uint32_t i = 0; i < word->rumor_count; i++) {
        hear(gossip, &word->rumors[i], view, out);
    }
    switch (word->type) {
    case ORACLE_PING:
        send(gossip, view, ORACLE_ACK, from, word->round, word->subject, from, out);
        break;
    case ORACLE_PING_REQUEST:
        if (word->subject != view->self) {
            send(gossip, view, ORACLE_PING, word->subject, word->round, from, word->subject, out);
        }
        break;
    case ORACLE_ACK:
        if (word->subject != view->self) {
            send(gossip, view, ORACLE_ACK, word->subject, word->round, word->subject, from, out);
        } else if (word->round == gossip->probe || MUTANT(oracle_gossip_late_answer_counts)) {
            gossip->target = MEMBERS_MAX;
        }
        break;
    default:
        break;
    }
}

static void shuffle(struct gossip *gossip, struct rng *rng)
{
    for (size_t i = gossip->order_count; i > 1; i--) {
        size_t k = (size_t)rng_below(rng, i);
        size_t swapped = gossip->order[i - 1];
        gossip->order[i - 1] = gossip->order[k];
        gossip->order[k] = swapped;
    }
    gossip->order_next = 0;
}

static void end_probe(struct gossip *gossip, const struct oracle_view *view, struct effects *out)
{
    if (gossip->target == MEMBERS_MAX) {
        return;
    }
    const struct held *held = &gossip->held[gossip->target];
    if (held->state == RUMOR_ALIVE) {
        effects_mark(out, MARK_ORACLE_GOSSIP_SUSPECTS);
        hold(gossip, gossip->target, RUMOR_SUSPECT, held->version, view);
    }
    gossip->target = MEMBERS_MAX;
}

static void begin_probe(struct gossip *gossip, const struct oracle_view *view, struct rng *rng,
                        struct effects *out)
{
    if (gossip->order_next == gossip->order_count) {
        shuffle(gossip, rng);
    }
    gossip->probe++;
    gossip->target = gossip->order[gossip->order_next++];
    gossip->is_indirect = 0;
    gossip->indirect_at = view->now + view->heartbeat_ms / 2;
    gossip->period_at = view->now + view->heartbeat_ms;
    node_id_t target = view->candidates[gossip->target].id;
    send(gossip, view, ORACLE_PING, target, gossip->probe, view->self, target, out);
}

static void ask_others(struct gossip *gossip, const struct oracle_view *view, struct rng *rng,
                       struct effects *out)
{
    gossip->is_indirect = 1;
    node_id_t target = view->candidates[gossip->target].id;
    size_t begin = (size_t)rng_below(rng, gossip->order_count);
    for (size_t i = 0, asked = 0; i < gossip->order_count && asked < INDIRECT_PINGS; i++) {
        size_t helper = gossip->order[(begin + i) % gossip->order_count];
        if (helper != gossip->target && gossip->held[helper].state != RUMOR_DEAD) {
            send(gossip, view, ORACLE_PING_REQUEST, view->candidates[helper].id, gossip->probe,
                 target, target, out);
            asked++;
        }
    }
}

/* Who comes a period late has heard nothing in the meantime: that proves nothing of the others. */
static void make_up_for_sleep(struct gossip *gossip, const struct oracle_view *view,
                              struct effects *out)
{
    time_ms_t late_ms = view->now - gossip->tick_at;
    if (late_ms <= view->heartbeat_ms) {
        return;
    }
    effects_mark(out, MARK_ORACLE_GOSSIP_SLEPT);
    gossip->target = MEMBERS_MAX;
    for (size_t i = 0; i < view->candidate_count; i++) {
        gossip->held[i].until += late_ms;
    }
}

/* Suspicions that nobody refuted. Returns when the next one ends. */
static time_ms_t bury(struct gossip *gossip, const struct oracle_view *view, struct effects *out)
{
    time_ms_t next = TIME_NEVER;
    for (size_t i = 0; i < view->candidate_count; i++) {
        struct held *held = &gossip->held[i];
        if (held->state == RUMOR_SUSPECT && view->now >= held->until) {
            effects_mark(out, MARK_ORACLE_GOSSIP_BURIES);
            hold(gossip, i, RUMOR_DEAD, held->version, view);
        } else if (held->state == RUMOR_SUSPECT && held->until < next) {
            next = held->until;
        }
    }
    return next;
}

static time_ms_t tick(void *state, const struct oracle_view *view, struct rng *rng,
                      struct effects *out)
{
    struct gossip *gossip = state;
    if (gossip->order_count == 0) {
        return TIME_NEVER;
    }
    make_up_for_sleep(gossip, view, out);
    if (view->now >= gossip->period_at) {
        end_probe(gossip, view, out);
        begin_probe(gossip, view, rng, out);
    } else if (gossip->target != MEMBERS_MAX && !gossip->is_indirect &&
               view->now >= gossip->indirect_at) {
        ask_others(gossip, view, rng, out);
    }
    time_ms_t next = bury(gossip, view, out);
    if (gossip->target != MEMBERS_MAX && !gossip->is_indirect && gossip->indirect_at < next) {
        next = gossip->indirect_at;
    }
    gossip->tick_at = gossip->period_at < next ? gossip->period_at : next;
    return gossip->tick_at;
}

/* ---- who is named */

static node_id_t best(const struct gossip *gossip, const struct oracle_view *view)
{
    const struct oracle_candidate *found = NULL;
    for (size_t i = 0; i < view->candidate_count; i++) {
        const struct oracle_candidate *candidate = &view->candidates[i];
        if (gossip->held[i].state != RUMOR_DEAD && oracle_is_fit(candidate) &&
            (found == NULL || oracle_rank(candidate, found) > 0)) {
            found = candidate;
        }
    }
    return found != NULL ? found->id : 0;
}

static node_id_t name(const void *state, const struct oracle_view *view)
{
    return view->leader != 0 ? view->leader : best(state, view);
}

static void list(const struct gossip *gossip, const struct oracle_view *view,
                 enum rumor_state rumor_state, const char *what, struct sentence *sentence)
{
    node_id_t ids[MEMBERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < view->candidate_count; i++) {
        if (gossip->held[i].state == rumor_state) {
            ids[count++] = view->candidates[i].id;
        }
    }
    if (count > 0) {
        sentence_add(sentence, "; %s: ", what);
        sentence_add_ids(sentence, ids, count);
    }
}

static void explain(const void *state, const struct oracle_view *view, char *text, size_t size)
{
    const struct gossip *gossip = state;
    struct sentence sentence = sentence_begin(text, size);
    if (view->leader != 0) {
        sentence_add(&sentence, "proposer %u serves a quorum, and stays", view->leader);
    } else if (best(gossip, view) != 0) {
        sentence_add(&sentence,
                     "proposer %u ranks highest of those that gossip holds alive, that reach a "
                     "quorum and may lead",
                     best(gossip, view));
    } else {
        sentence_add(&sentence,
                     "no proposer that gossip holds alive reaches a quorum and may lead");
    }
    list(gossip, view, RUMOR_SUSPECT, "suspected", &sentence);
    list(gossip, view, RUMOR_DEAD, "held dead", &sentence);
}

const struct oracle_class oracle_gossip = {
    .kind = ORACLE_GOSSIP,
    .state_size = sizeof(struct gossip),
    .init = init,
    .on_message = on_message,
    .tick = tick,
    .name = name,
    .bound_ms = bound_ms,
    .explain = explain,
};
