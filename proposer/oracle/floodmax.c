/* FloodMax with both optimisations (Lynch, "Distributed Algorithms", 4.1.2 and 4.1.3, OptFloodMax),
 * over a topology of the operator's, with failures and without a common clock.
 *
 * When nobody leads, each proposer that could tells its neighbours its own rank. It remembers the
 * highest that it has heard of, and at the end of a round, which is a heartbeat, passes a new one
 * on to those neighbours that it does not have it from. After as many rounds as the diameter
 * everybody knows the highest of all, and GRACE rounds later, for gates that did not open at once
 * and for the way of the messages, it is elected. So these are at most diameter * 2|edges| messages
 * (both directions of an edge counted), which is what plain FloodMax sends.
 *
 * The topology is the one of the settings; without edges everybody is a neighbour of everybody.
 * Around those that the acceptors do not hear it closes: their neighbours become each other's,
 * which keeps it in one piece and makes no way longer, so that the diameter stays a bound. The
 * diameter is that of the settings, or else that of the closed topology.
 *
 * Silence: while an election is under way, a neighbour that has nothing new to say says so with a
 * beat, each round until the end of the flood and each BEAT_ROUNDS after it. A beat carries the
 * maximum of its sender, which makes good what was lost or came late. When somebody leads, nothing
 * is sent.
 *
 * A dead maximum is voted out: a neighbour that has not heard it for DEAD_ROUNDS, and whose
 * acceptors do not hear it either, starts an election of a higher number without it. So does
 * everybody with a maximum that has not come to lead in time. Who is passed over is in the message
 * (rumours: dead, or suspect if it lives), and holds for this one election. One that was declared
 * dead and could lead starts the next itself, which takes the word back.
 *
 * Numbers: a message of a lower number is answered with a beat of the higher one and otherwise
 * ignored; a higher one is joined. Lists of one number are joined to one. A number goes up after a
 * leader was seen, a maximum's time is over or it died, and for a word that is taken back, once an
 * election timeout: not by late or double messages.
 *
 * Messages: MAXIMUM and BEAT (round: number of the election; subject and weight: the maximum, 0 if
 * none was heard of; hops: 1 while that election is under way, 0 in the answer of who knows it to
 * be over; rumours: who is passed over in it). weight is what the subject believes itself, so that
 * ranks agree while settings are changing.
 *
 * Assumptions: neighbours reach each other within a heartbeat. Otherwise there are several maxima,
 * and phase 1 settles it.
 *
 * Bound: four election timeouts as for all (leases, reports, campaigns), and three floods of
 * diameter + GRACE heartbeats: one spoilt before the healing, one with who is about to be voted
 * out, and the one that elects. */
#include "common/base/mutant.h"
#include "proposer/oracle/oracle.h"
#include "proposer/oracle/sentence.h"
#include "proposer/oracle/tag.h"

/* Rounds beyond the diameter before a maximum is elected. */
#define GRACE 2

/* After the flood a neighbour is told so often that one lives. */
#define BEAT_ROUNDS 3

/* A neighbour that was silent for so many rounds is dead, if the acceptors agree. */
#define DEAD_ROUNDS (3 * BEAT_ROUNDS)

/* A leader that is seen for so many heartbeats ends the election; one that comes and goes with a
 * lost report does not. */
#define SETTLED_HEARTBEATS 3

/* Election timeouts in which a maximum has to lead. */
#define VAIN_TIMEOUTS 2

/* Proposers as bits by index in members.proposers. */
typedef uint32_t set_t;

struct floodmax {
    struct tag tag;
    int is_active;      /* an election is under way, as far as we know */
    time_ms_t began_at; /* this election, or was heard of */
    node_id_t maximum;  /* heard of in it; 0: nobody stands yet */
    uint64_t weight;
    set_t known_to;       /* who has told us of this maximum, or was told */
    set_t heard;          /* who has said anything in this election: a neighbour, as it sees it */
    int is_decided;       /* its rounds are over: the maximum is elected */
    time_ms_t decided_at; /* then, or when a higher one came after that */
    set_t dead;           /* passed over in this election */
    set_t vain;           /* likewise: they live, and did not come to lead */
    uint32_t round;       /* that has ended, since began_at */
    time_ms_t round_at;   /* when the next one ends */
    time_ms_t heard_at[MEMBERS_MAX]; /* by index; of this election */
    time_ms_t refuted_at;            /* when we last took a word back */
    node_id_t leader;                /* as the view had it last */
    time_ms_t leader_since;
};

static set_t bit_of(const struct oracle_view *view, node_id_t id)
{
    int index = members_proposer_index(view->members, id);
    return index >= 0 ? (set_t)1 << index : 0;
}

/* ---- the topology */

static void link(set_t *neighbours, size_t a, size_t b)
{
    neighbours[a] |= (set_t)1 << b;
    neighbours[b] |= (set_t)1 << a;
}

static void draw_topology(const struct oracle_view *view, set_t *neighbours)
{
    const struct settings *settings = view->settings;
    for (size_t i = 0; i < view->candidate_count; i++) {
        neighbours[i] = 0;
    }
    for (size_t i = 0; i < settings->edge_count; i++) {
        int a = members_proposer_index(view->members, settings->edges[i].a);
        int b = members_proposer_index(view->members, settings->edges[i].b);
        if (a >= 0 && b >= 0) {
            link(neighbours, (size_t)a, (size_t)b);
        }
    }
    for (size_t a = 0; settings->edge_count == 0 && a < view->candidate_count; a++) {
        for (size_t b = a + 1; b < view->candidate_count; b++) {
            link(neighbours, a, b);
        }
    }
}

/* Takes those out that the acceptors do not hear, and makes their neighbours each other's. Who
 * hears no acceptors itself has no say in that. */
static void close_around_dead(const struct oracle_view *view, set_t *neighbours)
{
    for (size_t dead = 0; dead < view->candidate_count; dead++) {
        set_t around = neighbours[dead];
        if (view->candidates[dead].is_alive || !view->is_open) {
            continue;
        }
        for (size_t i = 0; i < view->candidate_count; i++) {
            if ((around >> i & 1) != 0) {
                neighbours[i] |= around;
                neighbours[i] &= ~((set_t)1 << i | (set_t)1 << dead);
            }
        }
        neighbours[dead] = 0;
    }
}

/* How far it is from there to the one that is furthest away; who cannot be reached does not count.
 */
static uint32_t eccentricity(const struct oracle_view *view, const set_t *neighbours, size_t from)
{
    set_t reached = (set_t)1 << from;
    set_t edge = reached; /* those at this distance */
    uint32_t distance = 0;
    for (size_t step = 0; step < view->candidate_count; step++) {
        set_t next = 0;
        for (size_t i = 0; i < view->candidate_count; i++) {
            next |= (edge >> i & 1) != 0 ? neighbours[i] : 0;
        }
        edge = next & ~reached;
        if (edge == 0) {
            break;
        }
        reached |= edge;
        distance++;
    }
    return distance;
}

static uint32_t diameter_of(const struct oracle_view *view, const set_t *neighbours)
{
    uint32_t diameter = 0;
    if (view->settings->diameter > 0) {
        uint32_t most = (uint32_t)view->candidate_count; /* no way is longer */
        return view->settings->diameter < most ? view->settings->diameter : most;
    }
    for (size_t i = 0; i < view->candidate_count; i++) {
        uint32_t distance = eccentricity(view, neighbours, i);
        diameter = distance > diameter ? distance : diameter;
    }
    return diameter;
}

/* Neighbours of this proposer, and how many rounds a flood takes. */
static set_t own_neighbours(const struct oracle_view *view, uint32_t *diameter)
{
    set_t neighbours[MEMBERS_MAX];
    draw_topology(view, neighbours);
    close_around_dead(view, neighbours);
    *diameter = diameter_of(view, neighbours);
    return neighbours[members_proposer_index(view->members, view->self)];
}

/* ---- times */

static time_ms_t bound_ms(const struct oracle_view *view)
{
    set_t neighbours[MEMBERS_MAX];
    draw_topology(view, neighbours);
    time_ms_t rounds = diameter_of(view, neighbours) + GRACE;
    return 4 * view->election_ms + 3 * rounds * view->heartbeat_ms;
}

static time_ms_t vain_at(const struct floodmax *flood, const struct oracle_view *view)
{
    return flood->decided_at + VAIN_TIMEOUTS * view->election_ms;
}

/* ---- what is asked of the state */

static int is_passed_over(const struct floodmax *flood, const struct oracle_view *view,
                          node_id_t id)
{
    return ((flood->dead | flood->vain) & bit_of(view, id)) != 0;
}

static int can_stand(const struct floodmax *flood, const struct oracle_view *view)
{
    return view->is_open && oracle_is_fit(oracle_self(view)) &&
           !is_passed_over(flood, view, view->self);
}

static int is_elected(const struct floodmax *flood, const struct oracle_view *view)
{
    return flood->is_active && flood->is_decided && flood->maximum != 0 &&
           view->now < vain_at(flood, view);
}

/* ---- sending */

static void add_passed_over(const struct floodmax *flood, const struct oracle_view *view,
                            struct msg_oracle *msg, struct effects *out)
{
    if ((flood->dead | flood->vain) == 0) {
        return;
    }
    msg->rumors = effects_alloc(out, view->candidate_count * sizeof *msg->rumors);
    for (size_t i = 0; i < view->candidate_count; i++) {
        if (((flood->dead | flood->vain) >> i & 1) == 0) {
            continue;
        }
        int is_dead = (flood->dead >> i & 1) != 0;
        msg->rumors[msg->rumor_count++] =
            (struct rumor){.proposer = view->candidates[i].id,
                           .state = is_dead ? RUMOR_DEAD : RUMOR_SUSPECT,
                           .version = flood->tag.number};
    }
}

static void send(const struct floodmax *flood, const struct oracle_view *view,
                 enum oracle_message type, node_id_t to, struct effects *out)
{
    struct msg_oracle *msg = oracle_send(view, type, to, out);
    msg->version = flood->tag.version;
    msg->round = flood->tag.number;
    msg->subject = flood->maximum;
    msg->weight = flood->weight;
    msg->hops = (uint32_t)flood->is_active;
    add_passed_over(flood, view, msg, out);
}

/* A round ends: a new maximum goes to those that it does not come from, a beat to the others. */
static void tell(struct floodmax *flood, const struct oracle_view *view, set_t neighbours,
                 int floods, struct effects *out)
{
    int beats = !flood->is_decided || flood->round % BEAT_ROUNDS == 0;
    for (size_t i = 0; i < view->candidate_count; i++) {
        set_t bit = (set_t)1 << i;
        if ((neighbours & bit) == 0) {
            continue;
        }
        if (floods && (flood->known_to & bit) == 0) {
            send(flood, view, ORACLE_MAXIMUM, view->candidates[i].id, out);
        } else if (beats) {
            send(flood, view, ORACLE_BEAT, view->candidates[i].id, out);
        }
    }
    if (floods) {
        flood->known_to |= neighbours;
    }
}

/* ---- elections */

/* The rounds begin, with nobody but oneself heard of. */
static void begin_rounds(struct floodmax *flood, const struct oracle_view *view)
{
    flood->is_active = 1;
    flood->began_at = view->now;
    flood->maximum = 0;
    flood->weight = 0;
    flood->known_to = 0;
    flood->heard = 0;
    flood->is_decided = 0;
    flood->round = 0;
    flood->round_at = view->now;
    for (size_t i = 0; i < view->candidate_count; i++) {
        flood->heard_at[i] = view->now;
    }
    if (can_stand(flood, view)) {
        flood->maximum = view->self;
        flood->weight = oracle_self(view)->weight;
    }
}

static void start(struct floodmax *flood, const struct oracle_view *view, set_t dead, set_t vain)
{
    flood->tag.number++;
    flood->dead = dead;
    flood->vain = vain;
    begin_rounds(flood, view);
}

/* Hears of a proposer that stands. 1 if there was none that ranks as high. */
static int hear_of(struct floodmax *flood, const struct oracle_view *view, node_id_t id,
                   uint64_t weight)
{
    if (id == 0 || is_passed_over(flood, view, id) ||
        (flood->maximum != 0 && rank_compare(weight, id, flood->weight, flood->maximum) <= 0)) {
        return 0;
    }
    flood->maximum = id;
    flood->weight = weight;
    flood->known_to = bit_of(view, id);
    if (flood->is_decided) {
        flood->decided_at = view->now; /* the flood was late; this one has all its time, too */
    }
    return 1;
}

/* A leader ends the election, but not one that began after it was last heard of. */
static void look(struct floodmax *flood, const struct oracle_view *view)
{
    if (view->leader != flood->leader) {
        flood->leader = view->leader;
        flood->leader_since = view->now;
    }
    if (view->leader != 0 && flood->began_at <= flood->leader_since &&
        view->now >= flood->leader_since + SETTLED_HEARTBEATS * view->heartbeat_ms) {
        flood->is_active = 0;
    }
}

/* ---- messages */

/* Whom the sender passes over in the election that we hold, too. 1 if that is news. */
static int join_lists(struct floodmax *flood, const struct oracle_view *view,
                      const struct msg_oracle *msg)
{
    set_t before = flood->dead | flood->vain;
    for (uint32_t i = 0; i < msg->rumor_count; i++) {
        set_t bit = bit_of(view, msg->rumors[i].proposer);
        if (msg->rumors[i].state == RUMOR_DEAD) {
            flood->dead |= bit;
        } else if (msg->rumors[i].state == RUMOR_SUSPECT) {
            flood->vain |= bit;
        }
    }
    return (flood->dead | flood->vain) != before;
}

/* Declared dead, and alive: the others are told with an election of the next number. */
static void maybe_refute(struct floodmax *flood, const struct oracle_view *view)
{
    set_t bit = bit_of(view, view->self);
    int is_too_soon = view->now < flood->refuted_at + view->election_ms;
    int could_lead = view->is_open && oracle_is_fit(oracle_self(view));
    if (!flood->is_active || (flood->dead & bit) == 0 || !could_lead || is_too_soon) {
        return;
    }
    flood->refuted_at = view->now;
    start(flood, view, flood->dead & ~bit, flood->vain & ~bit);
}

/* An election of a higher number: is joined, or, if it is over for who tells us, followed by
 * one. */
static void join(struct floodmax *flood, const struct oracle_view *view,
                 const struct msg_oracle *msg)
{
    int was_active = flood->is_active;
    flood->tag = tag_of(msg);
    flood->dead = flood->vain = 0;
    if (msg->hops == 0) {
        flood->is_active = 0;
        if (was_active && view->is_open) {
            start(flood, view, 0, 0);
        }
        return;
    }
    join_lists(flood, view, msg);
    begin_rounds(flood, view);
}

static void on_message(void *state, const struct oracle_view *view, const struct message *msg,
                       struct rng *rng, struct effects *out)
{
    (void)rng;
    struct floodmax *flood = state;
    const struct msg_oracle *oracle = &msg->oracle;
    int from = msg->kind == MSG_ORACLE ? members_proposer_index(view->members, msg->from.id) : -1;
    if (from < 0 || (oracle->type != ORACLE_MAXIMUM && oracle->type != ORACLE_BEAT) ||
        oracle->round == 0 || oracle->round > TAG_NUMBER_MAX ||
        (oracle->subject != 0 && bit_of(view, oracle->subject) == 0)) {
        return;
    }
    look(flood, view);
    int order = tag_compare(tag_of(oracle), flood->tag);
    if (order < 0) {
        effects_mark(out, MARK_ORACLE_FLOODMAX_OLD);
        if (oracle->hops != 0) { /* who sent it holds an election, and has missed one */
            send(flood, view, ORACLE_BEAT, (node_id_t)msg->from.id, out);
        }
        return;
    }
    if (order > 0) {
        join(flood, view, oracle);
    } else if (flood->is_active && join_lists(flood, view, oracle)) {
        begin_rounds(flood, view);
    }
    flood->heard_at[from] = view->now;
    flood->heard |= (set_t)1 << from;
    if (tag_compare(tag_of(oracle), flood->tag) == 0 && oracle->hops != 0 && flood->is_active) {
        hear_of(flood, view, oracle->subject, oracle->weight);
        if (oracle->subject == flood->maximum && oracle->weight == flood->weight) {
            flood->known_to |= (set_t)1 << from;
        }
    }
    maybe_refute(flood, view);
}

/* ---- time */

/* Not heard of for so long that it is dead, as a neighbour and the acceptors see it. Those are its
 * neighbours that the settings say: around one that the acceptors do not hear the topology has
 * closed. */
static int maximum_is_dead(const struct floodmax *flood, const struct oracle_view *view)
{
    set_t neighbours[MEMBERS_MAX];
    size_t index = (size_t)members_proposer_index(view->members, flood->maximum);
    if (flood->maximum == view->self || view->candidates[index].is_alive ||
        view->now < flood->heard_at[index] + DEAD_ROUNDS * view->heartbeat_ms) {
        return 0;
    }
    draw_topology(view, neighbours);
    return (neighbours[index] & bit_of(view, view->self)) != 0;
}

/* Starts again without a maximum that is dead or has not come to lead. */
static void judge_maximum(struct floodmax *flood, const struct oracle_view *view,
                          struct effects *out)
{
    set_t bit = bit_of(view, flood->maximum);
    if (maximum_is_dead(flood, view)) {
        effects_mark(out, MARK_ORACLE_FLOODMAX_VOTES_OUT);
        start(flood, view, flood->dead | bit, flood->vain);
    } else if (flood->is_decided && view->now >= vain_at(flood, view) &&
               !MUTANT(oracle_floodmax_waits_in_vain)) {
        effects_mark(out, MARK_ORACLE_FLOODMAX_IN_VAIN);
        int is_alive = oracle_candidate(view, flood->maximum)->is_alive;
        int is_only_one = flood->maximum == view->self && !oracle_others_are_fit(view);
        start(flood, view, 0, is_alive && !is_only_one ? bit : 0);
    }
}

/* An election that has come to nothing, as far as one can see. */
static int is_stale(const struct floodmax *flood, const struct oracle_view *view, uint32_t diameter)
{
    if (flood->is_decided) {
        return view->now >= vain_at(flood, view) && !MUTANT(oracle_floodmax_waits_in_vain);
    }
    time_ms_t decided_by = flood->began_at + (diameter + GRACE) * view->heartbeat_ms;
    return view->now >= decided_by + view->election_ms;
}

/* With an open gate an election is begun, or held to its end. */
static void hold(struct floodmax *flood, const struct oracle_view *view, uint32_t diameter,
                 struct effects *out)
{
    if (flood->is_active && flood->maximum != 0) {
        judge_maximum(flood, view, out);
    }
    if (!oracle_is_fit(oracle_self(view))) {
        return;
    }
    if (!flood->is_active || is_stale(flood, view, diameter)) {
        start(flood, view, 0, 0);
    } else if (!flood->is_decided && can_stand(flood, view)) { /* it may have opened just now */
        hear_of(flood, view, view->self, oracle_self(view)->weight);
    }
}

/* What the end of a round brings. */
static void end_round(struct floodmax *flood, const struct oracle_view *view, set_t neighbours,
                      uint32_t diameter, struct effects *out)
{
    if (view->now < flood->round_at) {
        return;
    }
    tell(flood, view, neighbours, flood->maximum != 0 && flood->round < diameter, out);
    if (!flood->is_decided && flood->maximum != 0 && flood->round >= diameter + GRACE) {
        flood->is_decided = 1;
        flood->decided_at = view->now;
    }
    flood->round++;
    flood->round_at = view->now + view->heartbeat_ms;
}

static time_ms_t tick(void *state, const struct oracle_view *view, struct rng *rng,
                      struct effects *out)
{
    (void)rng;
    struct floodmax *flood = state;
    look(flood, view);
    if (!flood->is_active && !view->is_open) {
        return TIME_NEVER; /* nothing is worked out while somebody leads */
    }
    uint32_t diameter;
    set_t neighbours = own_neighbours(view, &diameter) | flood->heard;
    if (view->is_open) {
        hold(flood, view, diameter, out);
    } else if (is_stale(flood, view, diameter) && flood->maximum != view->self) {
        flood->is_active = 0; /* we pass on what others tell, and they are silent or see nobody */
    }
    if (!flood->is_active) {
        return view->is_open ? view->now + view->heartbeat_ms : TIME_NEVER;
    }
    end_round(flood, view, neighbours, diameter, out);
    return flood->round_at;
}

static void init(void *state, const struct oracle_view *view, struct rng *rng)
{
    (void)rng;
    struct floodmax *flood = state;
    flood->tag.version = view->settings->version;
    flood->leader_since = view->now;
    flood->began_at = view->now;
    flood->refuted_at = view->now - view->election_ms;
}

/* ---- who is named */

static node_id_t name(const void *state, const struct oracle_view *view)
{
    const struct floodmax *flood = state;
    if (view->leader != 0) {
        return view->leader;
    }
    return view->is_open && is_elected(flood, view) ? flood->maximum : 0;
}

static void list(const struct oracle_view *view, set_t set, const char *one, const char *many,
                 struct sentence *sentence)
{
    node_id_t ids[MEMBERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < view->candidate_count; i++) {
        if ((set >> i & 1) != 0) {
            ids[count++] = view->candidates[i].id;
        }
    }
    if (count > 0) {
        sentence_add(sentence, "; ");
        sentence_add_ids(sentence, ids, count);
        sentence_add(sentence, " %s", count == 1 ? one : many);
    }
}

static void explain(const void *state, const struct oracle_view *view, char *text, size_t size)
{
    const struct floodmax *flood = state;
    struct sentence sentence = sentence_begin(text, size);
    unsigned long long number = flood->tag.number;
    if (view->leader != 0) {
        sentence_add(&sentence, "proposer %u serves a quorum, and stays", view->leader);
        return;
    }
    if (is_elected(flood, view)) {
        sentence_add(&sentence,
                     "proposer %u ranks highest of those that election %llu has heard of",
                     flood->maximum, number);
    } else if (!flood->is_active) {
        sentence_add(&sentence, "no election is under way");
    } else if (flood->maximum == 0) {
        sentence_add(&sentence, "nobody stands yet in election %llu", number);
    } else {
        sentence_add(&sentence, "election %llu is in round %u, and proposer %u the highest so far",
                     number, flood->round, flood->maximum);
    }
    list(view, flood->dead, "was voted out, it is dead", "were voted out, they are dead",
         &sentence);
    list(view, flood->vain, "is passed over, it did not come to lead",
         "are passed over, they did not come to lead", &sentence);
}

const struct oracle_class oracle_floodmax = {
    .kind = ORACLE_FLOODMAX,
    .state_size = sizeof(struct floodmax),
    .init = init,
    .on_message = on_message,
    .tick = tick,
    .name = name,
    .bound_ms = bound_ms,
    .explain = explain,
};
