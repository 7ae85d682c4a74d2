/* Leadership handed over because an operator asks: the leader is looked for and asked, one proposer
 * after the other, and then all proposers are asked who leads, until the new one does. */
#include "common/client/core/inquiry.h"

#include "common/base/memory.h"

#include <stdio.h>

/* A proposer that owes an answer this long is given up for the next. */
#define ANSWER_MS 500

/* Pause before the next proposer is asked, or the leader again that cannot hand over now. */
#define AGAIN_MS 20

/* The leader may not know yet that a target was allowed a moment ago, nor the target itself, which
 * then says with each heartbeat that it could not lead. */
#define SETTLE_MS 300

/* How often proposers are asked who leads, while the hand-over is under way. */
#define LOOK_MS 30

/* A hand-over takes a round trip. After so many election timeouts it has failed, and whoever leads
 * has won an election. */
#define HAND_OVER_TIMEOUTS 4

enum transfer_phase {
    TRANSFER_PAUSES, /* until `until`; then a proposer is asked */
    TRANSFER_ASKS,   /* waits until `until` for the answer of one */
    TRANSFER_LOOKS,  /* waits until `until` for the new leader */
};

struct transfer {
    struct inquiry inquiry;
    struct inquiry_transfer result;
    node_id_t to; /* 0: anybody but the present leader */
    enum transfer_phase phase;
    time_ms_t until;
    size_t at;    /* proposer that is asked, or to be asked */
    size_t hops;  /* proposers that were asked because another one named them */
    int is_known; /* an answer came; the last one: */
    uint32_t status;
    node_id_t leader;
    /* While it looks. */
    uint64_t first_look;  /* request of the first round of questions */
    time_ms_t look_again; /* when the next one begins */
    node_id_t seen;       /* who leads, as the answers of this round say; 0: nobody */
    uint64_t seen_round;
};

static const char *role_text(const struct client *c)
{
    return c->options.is_raft ? "acceptor" : "proposer";
}

/* ---- answers */

/* A proposer says of itself that it leads, in Raft mode for the acceptor that does. An answer to an
 * earlier round counts, too: over a slow network none would ever come in time. So does what another
 * inquiry asked since. */
static void take_status(struct client *c, struct transfer *t, const struct message *msg)
{
    const struct msg_status_reply *reply = &msg->status_reply;
    if (t->phase != TRANSFER_LOOKS || msg->from.role != ROLE_PROPOSER ||
        reply->request < t->first_look) {
        return;
    }
    for (uint32_t i = 0; i < reply->node_count; i++) {
        const struct node_status *node = &reply->nodes[i];
        if (peer_equal(node->node, msg->from) && node->state == NODE_LEADING &&
            node->ballot.round > t->seen_round) {
            t->seen = c->options.is_raft ? node->ballot.proposer : (node_id_t)node->node.id;
            t->seen_round = node->ballot.round;
        }
    }
}

static void take(struct client *c, struct inquiry *inquiry, const struct message *msg)
{
    struct transfer *t = (struct transfer *)inquiry;
    if (msg->kind == MSG_STATUS_REPLY) {
        take_status(c, t, msg);
    } else if (msg->kind == MSG_TRANSFERRED && t->phase != TRANSFER_LOOKS &&
               inquiry_take(c, inquiry, msg->from, msg->transferred.request)) {
        t->phase = TRANSFER_ASKS; /* it may have been given up a moment ago */
        t->is_known = 1;
        t->status = msg->transferred.status;
        t->leader = msg->transferred.leader;
    }
}

/* 1 if the proposer that was asked last has answered. */
static int is_answered(const struct transfer *t)
{
    return t->inquiry.answered != 0;
}

/* ---- the end */

static void end(struct client *c, struct transfer *t, int code, node_id_t leader, uint64_t round,
                struct effects *out)
{
    t->result = (struct inquiry_transfer){
        .is_answered = t->is_known,
        .status = t->status,
        .from = t->is_known && t->status == TRANSFER_ALREADY ? t->to : t->leader,
        .leader = leader,
        .round = round,
    };
    inquiry_end(c, &t->inquiry, COMPLETION_TRANSFER, code, &t->result, out);
}

static int give_up(struct client *c, const struct transfer *t)
{
    if (!t->is_known) {
        return leaderless(c, "no proposer answered in time");
    }
    if (t->status == TRANSFER_BUSY) {
        return errmsg_set(&c->err, ERROR_UNAVAILABLE,
                          "the leader is busy (it recovers what former leaders left, or hands over "
                          "already); try: again in a moment");
    }
    return errmsg_set(&c->err, ERROR_UNAVAILABLE,
                      "nobody leads (so that there is nothing to hand over); try: synod explain");
}

static int unfit(struct client *c, node_id_t to)
{
    if (to == 0) {
        return errmsg_set(&c->err, ERROR_UNFIT,
                          "no other %s can lead now (the others are silent, reach no quorum, or "
                          "are barred); try: synod explain",
                          role_text(c));
    }
    return errmsg_set(&c->err, ERROR_UNFIT,
                      "%s %u cannot lead now (it is silent, or reaches no quorum); try: synod "
                      "explain",
                      role_text(c), to);
}

/* What the leader said, as a code; 0 if it hands over, or need not. */
static int judge(struct client *c, const struct transfer *t)
{
    switch (t->status) {
    case TRANSFER_BEGUN:
    case TRANSFER_ALREADY:
        return 0;
    case TRANSFER_UNKNOWN:
        return errmsg_set(&c->err, ERROR_USAGE,
                          "the leader knows no %s %u (its cluster.yml is another one); try: the "
                          "same file on every host",
                          role_text(c), t->to);
    case TRANSFER_BARRED:
        return errmsg_set(&c->err, ERROR_UNFIT,
                          "%s %u must not lead (it is barred); try: synod oracle allow %u",
                          role_text(c), t->to, t->to);
    default:
        return unfit(c, t->to);
    }
}

/* ---- waiting for the new leader */

static int fail_hand_over(struct client *c, const struct transfer *t)
{
    char missed[64] = "nobody else took over";
    char now[64] = "nobody leads now";
    if (t->to != 0) {
        snprintf(missed, sizeof missed, "%s %u did not take over", role_text(c), t->to);
    }
    if (t->seen == t->leader) {
        snprintf(now, sizeof now, "%s %u leads", role_text(c), t->leader);
    } else if (t->seen != 0) {
        snprintf(now, sizeof now, "%s %u leads instead", role_text(c), t->seen);
    }
    return errmsg_set(&c->err, ERROR_UNAVAILABLE,
                      "%s %u began to hand over, but %s in time (%s); try: synod explain",
                      role_text(c), t->leader, missed, now);
}

static void ask_who_leads(struct client *c, struct transfer *t)
{
    inquiry_ask(c, &t->inquiry, inquiry_proposers(c));
    t->look_again = c->now + LOOK_MS;
    t->seen = 0;
    t->seen_round = 0;
}

static void begin_looking(struct client *c, struct transfer *t)
{
    time_ms_t until = c->now + HAND_OVER_TIMEOUTS * (time_ms_t)c->options.election_ms;
    t->phase = TRANSFER_LOOKS;
    t->until = t->inquiry.deadline < until ? t->inquiry.deadline : until;
    ask_who_leads(c, t);
    t->first_look = t->inquiry.request;
}

static void look(struct client *c, struct transfer *t, struct effects *out)
{
    const struct contact *contact;
    if (t->seen != 0 && (t->to != 0 ? t->seen == t->to : t->seen != t->leader)) {
        end(c, t, 0, t->seen, t->seen_round, out);
        return;
    }
    if (c->now >= t->look_again) {
        if (c->now >= t->until) {
            end(c, t, fail_hand_over(c, t), t->seen, t->seen_round, out);
            return;
        }
        ask_who_leads(c, t);
    }
    while ((contact = inquiry_next(c, &t->inquiry)) != NULL) {
        effects_send(out, SEND_NOW, contact->peer, MSG_STATUS)->status.request = t->inquiry.request;
    }
    effects_wake(out, t->look_again);
}

/* ---- asking the leader */

/* Such an answer may be of a moment ago. */
static int is_unsettled(const struct transfer *t)
{
    return t->status == TRANSFER_BARRED || t->status == TRANSFER_UNFIT;
}

static int is_final(const struct client *c, const struct transfer *t)
{
    if (!is_answered(t) || t->status == TRANSFER_NOT_LEADER || t->status == TRANSFER_BUSY) {
        return 0;
    }
    return !is_unsettled(t) || c->now - t->inquiry.began_at >= SETTLE_MS;
}

static void settle(struct client *c, struct transfer *t, struct effects *out)
{
    int code = judge(c, t);
    if (code == 0 && t->status == TRANSFER_BEGUN) {
        begin_looking(c, t);
        look(c, t, out);
    } else {
        end(c, t, code, t->status == TRANSFER_ALREADY ? t->to : t->leader, 0, out);
    }
}

/* Whom to ask next. Proposers name proposers, except in Raft mode, where it is acceptors that lead
 * and every proposer asks the leader itself. Returns 1 if that one may know better at once. */
static int follow(struct client *c, struct transfer *t)
{
    const struct contact *named = NULL;
    if (is_answered(t) && t->status == TRANSFER_NOT_LEADER && !c->options.is_raft) {
        named = contacts_find(c, (struct peer){ROLE_PROPOSER, t->leader});
    }
    if (named != NULL && named->is_up && named != &c->contacts.proposers[t->at]) {
        t->at = (size_t)(named - c->contacts.proposers);
        return 1;
    }
    if (!is_answered(t) || t->status == TRANSFER_NOT_LEADER) {
        t->at = (t->at + 1) % c->contacts.proposer_count;
    }
    return 0;
}

/* Asks the proposer at `at` if it is up, else the next that is. 0 if none is. */
static int ask(struct client *c, struct transfer *t, struct effects *out)
{
    size_t count = c->contacts.proposer_count;
    for (size_t i = 0; i < count; i++) {
        size_t at = (t->at + i) % count;
        if (c->contacts.proposers[at].is_up) {
            time_ms_t until = c->now + ANSWER_MS;
            t->at = at;
            t->phase = TRANSFER_ASKS;
            t->until = t->inquiry.deadline < until ? t->inquiry.deadline : until;
            inquiry_ask(c, &t->inquiry, inquiry_proposer(at));
            const struct contact *contact = inquiry_next(c, &t->inquiry);
            effects_send(out, SEND_NOW, contact->peer, MSG_TRANSFER)->transfer =
                (struct msg_transfer){t->inquiry.request, t->to};
            effects_wake(out, t->until);
            return 1;
        }
    }
    return 0;
}

/* The proposer that was asked has answered or is silent, or none could be asked. Returns 1 if the
 * next is to be asked at once. */
static int go_on(struct client *c, struct transfer *t, int was_asked, struct effects *out)
{
    time_ms_t deadline = t->inquiry.deadline;
    if (is_final(c, t) || (c->now >= deadline && t->is_known && is_unsettled(t))) {
        settle(c, t, out);
        return 0;
    }
    if (c->now >= deadline) {
        end(c, t, give_up(c, t), t->leader, 0, out);
        return 0;
    }
    /* Two that name each other must not keep us spinning. */
    if (was_asked && follow(c, t) && ++t->hops % (c->contacts.proposer_count + 1) != 0) {
        return 1;
    }
    t->phase = TRANSFER_PAUSES;
    t->until = c->now + AGAIN_MS < deadline ? c->now + AGAIN_MS : deadline;
    effects_wake(out, t->until);
    return 0;
}

/* ---- all of it */

static void work(struct client *c, struct inquiry *inquiry, struct effects *out)
{
    struct transfer *t = (struct transfer *)inquiry;
    if (t->phase == TRANSFER_LOOKS) {
        look(c, t, out);
        return;
    }
    int was_asked = t->phase == TRANSFER_ASKS;
    /* Of a connection that broke no answer comes. */
    int is_over = was_asked && (is_answered(t) || inquiry->asked == 0);
    if (c->now < t->until && !is_over) {
        effects_wake(out, t->until);
    } else if ((!was_asked || go_on(c, t, 1, out)) && !ask(c, t, out)) {
        (void)go_on(c, t, 0, out);
    }
}

static const struct inquiry_type transfer_type = {work, take, NULL};

uint64_t client_ask_transfer(struct client *c, node_id_t to, time_ms_t deadline)
{
    struct transfer *t = memory_calloc(1, sizeof *t);
    t->to = to;
    t->phase = TRANSFER_PAUSES; /* which is over at once */
    t->at = c->target.proposer;
    return inquiry_add(c, &t->inquiry, &transfer_type, deadline);
}
