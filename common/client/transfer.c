/* Leadership handed over because an operator asks: to be asked of the leader, which is looked for,
 * and to be waited for until the other one leads. */
#include "common/client/client.h"

#include <stdio.h>

/* A proposer that owes an answer this long is given up for the next. */
#define ANSWER_MS 500

/* Pause before asking again who cannot hand over now. */
#define AGAIN_MS 20

/* The leader may not have heard yet that a target was allowed a moment ago, nor the target itself,
 * which then says with each heartbeat that it could not lead. */
#define SETTLE_MS 300

/* How often it is asked who leads, while the hand-over is under way. */
#define LOOK_MS 30

/* A hand-over takes a round trip. After so many election timeouts it has failed, and whoever leads
 * has won an election. */
#define HAND_OVER_TIMEOUTS 4

void transfer_on_answer(struct synod *s, const struct message *msg)
{
    struct transfer *t = &s->transfer;
    if (t->request == 0 || msg->transferred.request != t->request ||
        !peer_equal(msg->from, t->asked)) {
        return;
    }
    t->is_answered = t->is_known = 1;
    t->status = msg->transferred.status;
    t->leader = msg->transferred.leader;
}

static int is_raft(const struct synod *s)
{
    return s->config.protocol == CONFIG_RAFT;
}

static const char *role_text(const struct synod *s)
{
    return config_candidate_role(&s->config);
}

/* ---- asking */

/* The proposer at *at if it can be asked, else the next that can; NULL if none can. */
static struct contact *choose(struct synod *s, size_t *at)
{
    for (size_t i = 0; i < s->proposer_count; i++) {
        struct contact *contact = &s->proposers[(*at + i) % s->proposer_count];
        if (contact->is_welcome) {
            *at = (*at + i) % s->proposer_count;
            return contact;
        }
    }
    return NULL;
}

static int turn_until(struct synod *s, time_ms_t until, const int *what)
{
    int rc = SYNOD_OK;
    while (rc == SYNOD_OK && !*what && client_now() < until) {
        rc = client_turn(s, until);
    }
    return rc;
}

/* Asks one proposer once, and waits for its answer. */
static int ask_one(struct synod *s, struct contact *contact, node_id_t to, time_ms_t deadline)
{
    struct transfer *t = &s->transfer;
    struct message msg = {.kind = MSG_TRANSFER};
    t->request = ++s->request;
    t->asked = contact->peer;
    t->is_answered = 0;
    msg.transfer = (struct msg_transfer){t->request, to};
    if (links_send(s, contact, &msg) != 0) {
        return SYNOD_OK; /* as if it were silent */
    }
    time_ms_t patience = client_now() + ANSWER_MS;
    return turn_until(s, patience < deadline ? patience : deadline, &t->is_answered);
}

/* Whom to ask next. Proposers name proposers, except in Raft mode, where it is acceptors that lead
 * and every proposer asks the leader itself. Returns 1 if that one may know better at once. */
static int follow(struct synod *s, size_t *at)
{
    const struct transfer *t = &s->transfer;
    struct contact *named = NULL;
    if (t->is_answered && t->status == TRANSFER_NOT_LEADER && t->leader != 0 && !is_raft(s)) {
        named = links_proposer(s, t->leader);
    }
    if (named != NULL && named->is_welcome && named != &s->proposers[*at]) {
        *at = (size_t)(named - s->proposers);
        return 1;
    }
    if (!t->is_answered || t->status == TRANSFER_NOT_LEADER) {
        *at = (*at + 1) % s->proposer_count;
    }
    return 0;
}

/* Such an answer may be of a moment ago. */
static int is_unsettled(const struct transfer *t)
{
    return t->status == TRANSFER_BARRED || t->status == TRANSFER_UNFIT;
}

static int is_final(const struct transfer *t, time_ms_t began_at)
{
    if (!t->is_answered || t->status == TRANSFER_NOT_LEADER || t->status == TRANSFER_BUSY) {
        return 0;
    }
    return !is_unsettled(t) || client_now() - began_at >= SETTLE_MS;
}

static int give_up(struct synod *s)
{
    const struct transfer *t = &s->transfer;
    if (!t->is_known) {
        return client_leaderless(s, "no proposer answered in time");
    }
    if (t->status == TRANSFER_BUSY) {
        return errmsg_set(&s->err, SYNOD_E_UNAVAILABLE,
                          "the leader is busy (it recovers what former leaders left, or hands over "
                          "already); try: again in a moment");
    }
    return errmsg_set(&s->err, SYNOD_E_UNAVAILABLE,
                      "nobody leads (so that there is nothing to hand over); try: synod explain");
}

/* Asks until somebody takes the request, or refuses it. */
static int ask_leader(struct synod *s, node_id_t to, time_ms_t deadline)
{
    static const int never = 0;
    time_ms_t began_at = client_now();
    size_t at = s->target;
    size_t hops = 0;
    for (;;) {
        struct contact *contact = choose(s, &at);
        int rc = contact != NULL ? ask_one(s, contact, to, deadline) : SYNOD_OK;
        if (rc != SYNOD_OK || is_final(&s->transfer, began_at)) {
            return rc;
        }
        if (client_now() >= deadline) {
            return s->transfer.is_known && is_unsettled(&s->transfer) ? SYNOD_OK : give_up(s);
        }
        /* Two that name each other must not keep us spinning. */
        if (contact == NULL || !follow(s, &at) || ++hops % (s->proposer_count + 1) == 0) {
            time_ms_t again = client_now() + AGAIN_MS;
            rc = turn_until(s, again < deadline ? again : deadline, &never);
        }
        if (rc != SYNOD_OK) {
            return rc;
        }
    }
}

/* ---- waiting */

static int failed(struct synod *s, node_id_t from, node_id_t to, const struct synod_leader *leader)
{
    char missed[64] = "nobody else took over";
    char now[64] = "nobody leads now";
    if (to != 0) {
        snprintf(missed, sizeof missed, "%s %u did not take over", role_text(s), (unsigned)to);
    }
    if (leader->id == from) {
        snprintf(now, sizeof now, "%s %u leads", role_text(s), (unsigned)from);
    } else if (leader->id != 0) {
        snprintf(now, sizeof now, "%s %u leads instead", role_text(s), (unsigned)leader->id);
    }
    return errmsg_set(&s->err, SYNOD_E_UNAVAILABLE,
                      "%s %u began to hand over, but %s in time (%s); try: synod explain",
                      role_text(s), (unsigned)from, missed, now);
}

/* Waits until the target leads (0: anybody but who led). */
static int wait_for_leader(struct synod *s, node_id_t from, node_id_t to, time_ms_t deadline,
                           struct synod_leader *leader)
{
    time_ms_t until = client_now() + HAND_OVER_TIMEOUTS * (time_ms_t)s->config.election_ms;
    until = deadline < until ? deadline : until;
    int rc = SYNOD_OK;
    *leader = (struct synod_leader){0};
    while (rc == SYNOD_OK) {
        struct synod_leader seen;
        time_ms_t look_again = client_now() + LOOK_MS;
        status_ask_proposers(s);
        while (rc == SYNOD_OK && client_now() < look_again) {
            rc = client_turn(s, look_again);
            if (!status_find_leader(s, &seen)) {
                continue;
            }
            *leader = seen;
            if (to != 0 ? seen.id == to : seen.id != from) {
                return SYNOD_OK;
            }
        }
        if (rc == SYNOD_OK && client_now() >= until) {
            (void)status_find_leader(s, leader);
            rc = failed(s, from, to, leader);
        }
    }
    return rc;
}

/* ---- the call */

static int check_member(struct synod *s, node_id_t to)
{
    if (to == 0 || settings_of(&s->config.settings, to) != NULL) {
        return SYNOD_OK;
    }
    return errmsg_set(&s->err, SYNOD_E_USAGE,
                      "there is no %s %u (cluster.yml lists who could lead); try: one of its ids",
                      role_text(s), (unsigned)to);
}

static int unfit(struct synod *s, node_id_t to)
{
    if (to == 0) {
        return errmsg_set(
            &s->err, SYNOD_E_UNFIT,
            "no other %s can lead now (the others are silent, reach no quorum, or are "
            "barred); try: synod explain",
            role_text(s));
    }
    return errmsg_set(&s->err, SYNOD_E_UNFIT,
                      "%s %u cannot lead now (it is silent, or reaches no quorum); try: synod "
                      "explain",
                      role_text(s), (unsigned)to);
}

/* What the leader said, as a code; SYNOD_OK if it hands over, or need not. */
static int judge(struct synod *s, node_id_t to)
{
    switch (s->transfer.status) {
    case TRANSFER_BEGUN:
    case TRANSFER_ALREADY:
        return SYNOD_OK;
    case TRANSFER_UNKNOWN:
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "the leader knows no %s %u (its cluster.yml is another one); try: the "
                          "same file on every host",
                          role_text(s), (unsigned)to);
    case TRANSFER_BARRED:
        return errmsg_set(&s->err, SYNOD_E_UNFIT,
                          "%s %u must not lead (it is barred); try: synod oracle allow %u",
                          role_text(s), (unsigned)to, (unsigned)to);
    default:
        return unfit(s, to);
    }
}

int synod_transfer(struct synod *s, uint32_t to, struct synod_transfer *out)
{
    int rc = client_may_block(s);
    if (rc == SYNOD_OK) {
        rc = check_member(s, to);
    }
    if (rc != SYNOD_OK) {
        return rc;
    }
    time_ms_t deadline = client_deadline(s->now, s->timeout_ms);
    s->transfer = (struct transfer){0};
    rc = ask_leader(s, to, deadline);
    if (rc == SYNOD_OK) {
        rc = judge(s, to);
    }
    struct transfer answer = s->transfer;
    s->transfer.request = 0;
    struct synod_leader leader = {.id = to};
    if (rc == SYNOD_OK && answer.status == TRANSFER_BEGUN) {
        rc = wait_for_leader(s, answer.leader, to, deadline, &leader);
        s->status_request = 0;
    }
    if (rc == SYNOD_OK && out != NULL) {
        *out = (struct synod_transfer){
            .role = is_raft(s) ? SYNOD_ACCEPTOR : SYNOD_PROPOSER,
            .from = answer.status == TRANSFER_ALREADY ? to : answer.leader,
            .to = leader.id,
            .round = leader.round,
        };
    }
    return rc;
}
