/* The holder of a lease that a majority of acceptors granted (the master lease of Chubby: Burrows,
 * "The Chubby lock service", OSDI 2006, 2.4 and 2.8; leases: Gray and Cheriton, "Leases", SOSP
 * 1989). An acceptor grants it to one process at a time (acceptor/oracle_lease.c), and two
 * majorities share an acceptor: so at most one proposer holds it.
 *
 * Who grants counts from receiving the request, who holds from sending it, which was earlier; and
 * the holder gives it up an eighth early. Assumption: while a lease lasts, no two clocks drift
 * apart by more than that. If they do, two are named for a while, and phase 1 settles it. How long
 * a message takes does not matter. An acceptor that restarts waits one lease out.
 *
 * A lease lasts an election timeout and is renewed at its thirds. While somebody serves, the leader
 * alone asks: it keeps the lease so that after its death nobody is named before the acceptors
 * believe in it, too. When nobody serves, those that could lead ask, each a heartbeat after the one
 * that ranks above it. Grants of a minority are given back, because of two that each hold a half
 * neither would ever get the rest; then comes a random pause that grows. A holder that has not come
 * to lead within two election timeouts lets others try: the acceptors may hear it and it not them.
 *
 * Bound: four election timeouts after healing. The lease of a holder that is gone, or of one that
 * has let go because it could not lead, is free within one; those that could lead are refused, wait
 * for its end and a pause, and have it with their next request, which is one or two more. */
#include "common/base/mutant.h"
#include "proposer/oracle/oracle.h"
#include "proposer/oracle/sentence.h"

/* A lease is renewed so often while it lasts: it survives two lost requests. */
#define RENEWALS 3

/* The holder gives up this fraction of a lease, one in so many, for clocks that differ. */
#define DRIFT_FRACTION 8

/* Requests whose sending time is remembered until their answers are back. */
#define REQUESTS_REMEMBERED 16

/* Election timeouts for which a holder may try to lead. */
#define VAIN_TIMEOUTS 2

/* And for which others may try then. */
#define VAIN_PAUSE_TIMEOUTS 2

/* A pause after so many failures in a row grows no more. */
#define PAUSE_DOUBLINGS_MAX 3

/* What one acceptor said last. */
struct grantor {
    uint64_t sequence;      /* of the request that it answered; 0: none yet */
    time_ms_t own_until;    /* we count on its grant before */
    node_id_t holder;       /* somebody else; 0: nobody, as far as it knows */
    time_ms_t holder_until; /* and counts on it at least until then */
    time_ms_t free_at;      /* when it may grant it to somebody else than the holder */
};

struct lease {
    struct grantor grantors[MEMBERS_MAX]; /* by index in members.acceptors */
    uint64_t sequence;                    /* of the last request */
    uint64_t void_to; /* what these requests were granted is given back, or of another life */
    time_ms_t sent_at[REQUESTS_REMEMBERED]; /* by sequence % REQUESTS_REMEMBERED */
    int is_asking;                          /* it has asked since it gave everything back */
    time_ms_t deadline;  /* of a round without a majority so far; TIME_NEVER: none */
    time_ms_t ask_at;    /* no request before */
    time_ms_t idle_from; /* since then it has tried to hold it, or held it, and has not led */
    uint32_t failures;   /* rounds without a majority in a row */
};

static void init(void *state, const struct oracle_view *view, struct rng *rng)
{
    (void)rng;
    struct lease *lease = state;
    /* Above whatever this process sent before its settings changed: acceptors take no older one. */
    lease->sequence = (uint64_t)view->now << 8;
    lease->void_to = lease->sequence;
    lease->deadline = TIME_NEVER;
    lease->ask_at = view->now;
}

/* ---- who holds it */

static size_t majority(const struct oracle_view *view)
{
    return majority_of(view->members->acceptor_count);
}

static int is_granted(const struct lease *lease, size_t index, time_ms_t now)
{
    return now < lease->grantors[index].own_until;
}

static int holds(const struct lease *lease, const struct oracle_view *view)
{
    size_t count = 0;
    for (size_t i = 0; i < view->members->acceptor_count; i++) {
        count += is_granted(lease, i, view->now) != 0;
    }
    return count >= majority(view);
}

/* Who else holds it, as a majority said; 0 if that is nobody, or unknown. */
static node_id_t other_holder(const struct lease *lease, const struct oracle_view *view)
{
    for (size_t c = 0; c < view->candidate_count; c++) {
        node_id_t id = view->candidates[c].id;
        size_t count = 0;
        for (size_t i = 0; i < view->members->acceptor_count; i++) {
            const struct grantor *grantor = &lease->grantors[i];
            count += grantor->holder == id && view->now < grantor->holder_until;
        }
        /* Its own former life is none to wait for, and none that it may speak for. */
        if (count >= majority(view) && id != view->self) {
            return id;
        }
    }
    return 0;
}

static node_id_t name(const void *state, const struct oracle_view *view)
{
    const struct lease *lease = state;
    if (view->leader != 0) {
        return view->leader;
    }
    return holds(lease, view) ? view->self : other_holder(lease, view);
}

/* ---- asking */

static time_ms_t third(const struct oracle_view *view)
{
    return view->election_ms / RENEWALS;
}

/* How long it lets those go first that rank above it. */
static time_ms_t rank_delay(const struct oracle_view *view)
{
    const struct oracle_candidate *self = oracle_self(view);
    time_ms_t delay_ms = 0;
    for (size_t i = 0; i < view->candidate_count && view->leader != view->self; i++) {
        const struct oracle_candidate *candidate = &view->candidates[i];
        if (oracle_is_fit(candidate) && oracle_rank(candidate, self) > 0) {
            delay_ms += view->heartbeat_ms;
        }
    }
    return delay_ms < view->election_ms ? delay_ms : view->election_ms;
}

static void send(struct lease *lease, const struct oracle_view *view, time_ms_t lease_ms,
                 struct effects *out)
{
    lease->sequence++;
    lease->sent_at[lease->sequence % REQUESTS_REMEMBERED] = view->now;
    effects_broadcast(out, SEND_NOW, ROLE_ACCEPTOR, MSG_LEASE)->lease =
        (struct msg_lease){lease->sequence, (uint32_t)lease_ms};
}

static void ask(struct lease *lease, const struct oracle_view *view, struct effects *out)
{
    if (!lease->is_asking) {
        lease->idle_from = view->now;
    }
    lease->is_asking = 1;
    lease->ask_at = view->now + third(view);
    send(lease, view, view->election_ms, out);
}

static void give_back(struct lease *lease, const struct oracle_view *view, struct effects *out)
{
    send(lease, view, 0, out);
    /* A grant that is still on its way holds no more when it arrives. */
    lease->void_to = lease->sequence;
    for (size_t i = 0; i < view->members->acceptor_count; i++) {
        lease->grantors[i].own_until = view->now;
    }
    lease->is_asking = 0;
    lease->deadline = TIME_NEVER;
}

/* When a majority of acceptors can grant it again, as far as they said. */
static time_ms_t possible_at(const struct lease *lease, const struct oracle_view *view)
{
    time_ms_t best = view->now + view->election_ms;
    for (size_t i = 0; i < view->members->acceptor_count; i++) {
        time_ms_t at = lease->grantors[i].free_at;
        size_t count = 0;
        for (size_t k = 0; k < view->members->acceptor_count; k++) {
            count += lease->grantors[k].free_at <= at;
        }
        if (count >= majority(view) && at < best) {
            best = at;
        }
    }
    return best > view->now ? best : view->now;
}

static void pause_asking(struct lease *lease, const struct oracle_view *view, struct rng *rng)
{
    uint32_t doublings =
        lease->failures < PAUSE_DOUBLINGS_MAX ? lease->failures : PAUSE_DOUBLINGS_MAX;
    time_ms_t pause_max = view->heartbeat_ms << doublings;
    if (pause_max > view->election_ms) {
        pause_max = view->election_ms;
    }
    time_ms_t pause_ms = 1 + (time_ms_t)rng_below(rng, (uint64_t)pause_max);
    lease->ask_at = possible_at(lease, view) + rank_delay(view) + pause_ms;
    lease->failures++;
}

/* The round brings no majority. */
static void fail_round(struct lease *lease, const struct oracle_view *view, struct rng *rng,
                       struct effects *out)
{
    if (other_holder(lease, view) != 0) {
        lease->failures = 0; /* nobody's fault: there is a holder, as there should be */
    } else {
        effects_mark(out, MARK_ORACLE_LEASE_SPLIT);
    }
    give_back(lease, view, out);
    pause_asking(lease, view, rng);
}

/* So many have refused the last request that the others are no majority. */
static int is_hopeless(const struct lease *lease, const struct oracle_view *view)
{
    size_t refused = 0;
    for (size_t i = 0; i < view->members->acceptor_count; i++) {
        refused +=
            lease->grantors[i].sequence == lease->sequence && !is_granted(lease, i, view->now);
    }
    return refused > view->members->acceptor_count - majority(view);
}

static void on_message(void *state, const struct oracle_view *view, const struct message *msg,
                       struct rng *rng, struct effects *out)
{
    struct lease *lease = state;
    int index = members_acceptor_index(view->members, msg->from.id);
    if (msg->kind != MSG_LEASED || msg->from.role != ROLE_ACCEPTOR || index < 0) {
        return;
    }
    const struct msg_leased *leased = &msg->leased;
    struct grantor *grantor = &lease->grantors[index];
    if (leased->sequence > lease->sequence || leased->sequence <= grantor->sequence ||
        lease->sequence - leased->sequence >= REQUESTS_REMEMBERED) {
        return; /* of another life, late, or a copy */
    }
    time_ms_t sent_at = lease->sent_at[leased->sequence % REQUESTS_REMEMBERED];
    int counts = leased->granted && (leased->sequence > lease->void_to ||
                                     MUTANT(oracle_lease_counts_what_was_given_back));
    time_ms_t safe_ms = (time_ms_t)leased->left_ms - (time_ms_t)leased->left_ms / DRIFT_FRACTION;
    time_ms_t until = (MUTANT(oracle_lease_from_receiving) ? view->now : sent_at) + safe_ms;
    *grantor = (struct grantor){.sequence = leased->sequence, .own_until = view->now};
    if (counts) {
        grantor->own_until = until;
    } else if (!leased->granted) {
        grantor->free_at = view->now + leased->left_ms;
        if (leased->holder != view->self) {
            grantor->holder = leased->holder;
            grantor->holder_until = until;
        }
    }
    if (lease->deadline != TIME_NEVER && is_hopeless(lease, view)) {
        fail_round(lease, view, rng, out);
    }
}

/* ---- what it wants */

/* It leads, or would if it were named. One that holds it goes on through its campaign, although its
 * gate is not open then. */
static int wants(const struct lease *lease, const struct oracle_view *view)
{
    const struct oracle_candidate *self = oracle_self(view);
    if (self == NULL || self->is_barred) {
        return 0;
    }
    if (view->leader != 0) {
        return view->leader == view->self;
    }
    return oracle_is_fit(self) && (view->is_open || holds(lease, view));
}

static time_ms_t hold(struct lease *lease, const struct oracle_view *view, struct rng *rng,
                      struct effects *out)
{
    lease->deadline = TIME_NEVER;
    if (view->leader == view->self) {
        lease->failures = 0;
        lease->idle_from = view->now;
    } else if (view->now - lease->idle_from >= VAIN_TIMEOUTS * view->election_ms) {
        effects_mark(out, MARK_ORACLE_LEASE_IN_VAIN);
        give_back(lease, view, out);
        pause_asking(lease, view, rng);
        /* The others ask again when the lease that they were told of ends: let them go first. */
        lease->ask_at += VAIN_PAUSE_TIMEOUTS * view->election_ms;
        return lease->ask_at;
    }
    if (view->now >= lease->ask_at) {
        ask(lease, view, out);
    }
    return lease->ask_at;
}

static time_ms_t acquire(struct lease *lease, const struct oracle_view *view, struct rng *rng,
                         struct effects *out)
{
    if (lease->deadline != TIME_NEVER && view->now >= lease->deadline) {
        fail_round(lease, view, rng, out);
    }
    if (lease->deadline == TIME_NEVER && view->now >= lease->ask_at) {
        ask(lease, view, out);
        /* After a failure it is more patient: the way to a majority may be long. */
        lease->deadline = view->now + (lease->failures > 0 ? 2 : 1) * third(view);
    }
    time_ms_t next = lease->deadline != TIME_NEVER ? lease->deadline : lease->ask_at;
    time_ms_t beat = view->now + view->heartbeat_ms; /* answers change what there is to wait for */
    return next < beat ? next : beat;
}

static time_ms_t tick(void *state, const struct oracle_view *view, struct rng *rng,
                      struct effects *out)
{
    struct lease *lease = state;
    if (!wants(lease, view)) {
        if (lease->is_asking) {
            give_back(lease, view, out);
        }
        lease->failures = 0;
        lease->ask_at = TIME_NEVER;
        return TIME_NEVER; /* a leader, or an open gate, is news */
    }
    if (lease->ask_at == TIME_NEVER) {
        lease->ask_at = view->now + rank_delay(view);
    }
    if (holds(lease, view)) {
        return hold(lease, view, rng, out);
    }
    return acquire(lease, view, rng, out);
}

/* ---- why */

static void explain(const void *state, const struct oracle_view *view, char *text, size_t size)
{
    const struct lease *lease = state;
    node_id_t holder = holds(lease, view) ? view->self : other_holder(lease, view);
    node_id_t ids[MEMBERS_MAX];
    size_t count = 0;
    time_ms_t until = TIME_NEVER;
    for (size_t i = 0; i < view->members->acceptor_count; i++) {
        const struct grantor *grantor = &lease->grantors[i];
        int is_own = is_granted(lease, i, view->now);
        time_ms_t its = is_own ? grantor->own_until : grantor->holder_until;
        if (view->now < its && (is_own ? view->self : grantor->holder) == holder) {
            ids[count++] = view->members->acceptors[i];
            until = its < until ? its : until;
        }
    }
    struct sentence sentence = sentence_begin(text, size);
    if (view->leader != 0) {
        sentence_add(&sentence, "proposer %u serves a quorum, and stays%s", view->leader,
                     holder != 0 ? "; " : "");
    }
    if (holder != 0) {
        sentence_add(&sentence, "proposer %u holds the lease of acceptor%s ", holder,
                     count == 1 ? "" : "s");
        sentence_add_ids(&sentence, ids, count);
        sentence_add(&sentence, " for %lld ms more", (long long)(until - view->now));
    } else if (view->leader == 0) {
        sentence_add(&sentence,
                     "nobody is known to hold the lease, which %zu of %zu acceptors must grant",
                     majority(view), view->members->acceptor_count);
    }
}

const struct oracle_class oracle_lease = {
    .kind = ORACLE_LEASE,
    .state_size = sizeof(struct lease),
    .init = init,
    .on_message = on_message,
    .tick = tick,
    .name = name,
    .explain = explain,
};
