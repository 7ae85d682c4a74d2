/* The first in a line of successors that lives (the election recipe of ZooKeeper: each candidate
 * makes an ephemeral node with a sequence number, whoever has the lowest leads, and each of the
 * others watches the one before it; Hunt et al., "ZooKeeper: Wait-free coordination for
 * Internet-scale systems", USENIX ATC 2010, 2.4).
 *
 * The line is kept in the log. A standby asks the leader to be registered (ORACLE_REGISTER), again
 * three times within LINE_TTL_MS; the leader proposes a LINE with those that are new at once and
 * with the renewals in batches, and itself, and every learner tells all proposers what the line is.
 * Its order is that of registration: one that restarts stands at the end, because its incarnation
 * is another, and one that is not registered again in time falls out. Who has no fit predecessor is
 * named. Who is not in the line, all of them before anybody is registered, comes after, by rank.
 *
 * Unlike there, nobody needs to be notified: what a proposer watches is in the acceptors' reports,
 * and a place may outlive its owner, who is passed over then.
 *
 * Assumption: proposers have seen the same line. One that has an older line may name another one
 * than the others do; then phase 1 settles it.
 *
 * Bound: four election timeouts after healing. The reports and the learners' words have come after
 * one, and from then on all name the same. */
#include "common/base/mutant.h"
#include "proposer/oracle/oracle.h"
#include "proposer/oracle/sentence.h"

/* A place is registered so many times while it lasts. */
#define RENEWALS 3

/* Election timeouts until one that is not yet in the line asks again; and until a new leader
 * renews, so that most have told it by then that they live. */
#define REPEAT_TIMEOUTS 2

/* What a leader knows of one that registered. */
struct registrant {
    uint64_t incarnation; /* 0: it has not */
    time_ms_t heard_at;   /* when it last did */
    uint64_t proposed;    /* incarnation that was last put into the log by this leader; 0: none */
};

struct succession {
    struct registrant registrants[MEMBERS_MAX]; /* by index in members.proposers */
    int is_leading;
    time_ms_t renew_at;    /* of the leader: when the next batch of renewals is due */
    node_id_t asked;       /* the leader that was asked last; 0: none */
    time_ms_t register_at; /* when it is asked again */
};

/* The place in the line, or NULL. */
static const struct place *place_of(const struct oracle_view *view, node_id_t id)
{
    for (size_t i = 0; i < view->line_count; i++) {
        if (view->line[i].proposer == id) {
            return &view->line[i];
        }
    }
    return NULL;
}

/* ---- of a standby */

static time_ms_t tick(void *state, const struct oracle_view *view, struct rng *rng,
                      struct effects *out)
{
    (void)rng;
    struct succession *succession = state;
    if (view->leader == view->self) {
        return TIME_NEVER; /* enroll does the rest */
    }
    succession->is_leading = 0;
    if (view->leader == 0) {
        return TIME_NEVER; /* a leader is news */
    }
    if (view->leader != succession->asked || view->now >= succession->register_at) {
        time_ms_t patience_ms = place_of(view, view->self) != NULL
                                    ? LINE_TTL_MS / RENEWALS
                                    : REPEAT_TIMEOUTS * view->election_ms;
        succession->asked = view->leader;
        succession->register_at = view->now + patience_ms;
        oracle_send(view, ORACLE_REGISTER, view->leader, out)->subject = view->self;
    }
    return succession->register_at;
}

/* ---- of a leader */

static void on_message(void *state, const struct oracle_view *view, const struct message *msg,
                       struct rng *rng, struct effects *out)
{
    (void)rng;
    (void)out;
    struct succession *succession = state;
    size_t index = oracle_index(view, msg->from.id);
    if (msg->kind != MSG_ORACLE || msg->oracle.type != ORACLE_REGISTER ||
        index == view->candidate_count) {
        return;
    }
    succession->registrants[index].incarnation = msg->incarnation;
    succession->registrants[index].heard_at = view->now;
}

/* It has no place, or its former life has. */
static int is_new(const struct registrant *registrant, const struct place *place)
{
    return registrant->proposed != registrant->incarnation &&
           (place == NULL || place->incarnation != registrant->incarnation);
}

/* It asks three times while a place lasts: whoever was silent for half of that is not renewed. */
static int lives(const struct registrant *registrant, time_ms_t now)
{
    return registrant->incarnation != 0 && now - registrant->heard_at < LINE_TTL_MS / 2;
}

static void begin_to_lead(struct succession *succession, const struct oracle_view *view)
{
    succession->is_leading = 1;
    succession->renew_at = view->now + REPEAT_TIMEOUTS * view->election_ms;
    for (size_t i = 0; i < view->candidate_count; i++) {
        /* What an earlier leadership proposed may have been lost with it. */
        succession->registrants[i].proposed = 0;
    }
}

static size_t enroll(void *state, const struct oracle_view *view, uint64_t incarnation,
                     struct place *places)
{
    struct succession *succession = state;
    if (!succession->is_leading) {
        begin_to_lead(succession, view);
    }
    struct registrant *self = &succession->registrants[oracle_index(view, view->self)];
    self->incarnation = incarnation;
    self->heard_at = view->now;
    int renews = view->now >= succession->renew_at;
    if (renews) {
        succession->renew_at = view->now + LINE_TTL_MS / RENEWALS;
    }
    size_t count = 0;
    for (size_t i = 0; i < view->candidate_count; i++) {
        struct registrant *registrant = &succession->registrants[i];
        node_id_t id = view->candidates[i].id;
        if (lives(registrant, view->now) && (renews || is_new(registrant, place_of(view, id)))) {
            registrant->proposed = registrant->incarnation;
            places[count++] =
                (struct place){.proposer = id, .incarnation = registrant->incarnation};
        }
    }
    return count;
}

/* ---- who is named */

static int is_fit(const struct oracle_view *view, node_id_t id)
{
    const struct oracle_candidate *candidate = oracle_candidate(view, id);
    return candidate != NULL && oracle_is_fit(candidate);
}

static node_id_t first_of_line(const struct oracle_view *view)
{
    for (size_t i = 0; i < view->line_count; i++) {
        if (is_fit(view, view->line[i].proposer)) {
            return view->line[i].proposer;
        }
    }
    return 0;
}

static node_id_t name(const void *state, const struct oracle_view *view)
{
    (void)state;
    if (view->leader != 0) {
        return view->leader;
    }
    node_id_t first = MUTANT(oracle_succession_forgets_line) ? 0 : first_of_line(view);
    return first != 0 ? first : oracle_best(view);
}

static void explain(const void *state, const struct oracle_view *view, char *text, size_t size)
{
    (void)state;
    struct sentence sentence = sentence_begin(text, size);
    node_id_t first = first_of_line(view);
    if (view->leader != 0) {
        sentence_add(&sentence, "proposer %u serves a quorum, and stays", view->leader);
    } else if (first != 0) {
        sentence_add(&sentence, "proposer %u is the first of the line that could lead", first);
    } else {
        sentence_add(&sentence, "nobody of the line could lead");
        node_id_t best = oracle_best(view);
        if (best != 0) {
            sentence_add(&sentence, ", and proposer %u ranks highest of the others", best);
        }
    }
    sentence_add(&sentence, view->line_count > 0 ? "; the line of successors: "
                                                 : "; nobody is registered as a successor");
    for (size_t i = 0; i < view->line_count; i++) {
        node_id_t id = view->line[i].proposer;
        sentence_add(&sentence, "%s%u%s", i > 0 ? ", " : "", id,
                     is_fit(view, id) ? "" : " (unfit)");
    }
}

const struct oracle_class oracle_succession = {
    .kind = ORACLE_SUCCESSION,
    .state_size = sizeof(struct succession),
    .on_message = on_message,
    .tick = tick,
    .name = name,
    .enroll = enroll,
    .explain = explain,
};
