/* A nomination from outside: every proposer that can be reached hears of it. */
#include "common/client/core/inquiry.h"

#include "common/base/memory.h"

/* How long proposers that are not connected are waited for, as long as another one answered: with a
 * client that has just been opened they will be within a round trip. */
#define NAME_CONNECT_MS 150

struct nomination {
    struct inquiry inquiry;
    struct inquiry_named result;
    node_id_t proposer;
    uint32_t valid_ms;
    uint64_t reached; /* proposers to whom it was sent, on whatever connection */
    uint32_t refusal; /* enum name_status of the last one that does not go by it; else NAME_TAKEN */
};

/* What is left of the time it is valid: a proposer that is asked later gets a shorter one. */
static uint32_t left_ms(const struct client *c, const struct nomination *n)
{
    uint32_t gone_ms = saturate_ms(c->now - n->inquiry.began_at);
    return gone_ms < n->valid_ms ? n->valid_ms - gone_ms : 0;
}

static void take(struct client *c, struct inquiry *inquiry, const struct message *msg)
{
    struct nomination *n = (struct nomination *)inquiry;
    const struct msg_named *named = &msg->named;
    if (msg->kind != MSG_NAMED || !inquiry_take(c, inquiry, msg->from, named->request)) {
        return;
    }
    n->result.told++;
    if (named->status == NAME_TAKEN) {
        n->result.taken++;
    } else {
        n->refusal = named->status;
    }
    /* The one that leads knows best. */
    if (named->leader == msg->from.id || (named->leader != 0 && n->result.leader == 0)) {
        n->result.leader = named->leader;
    }
}

/* Until when answers are waited for. */
static time_ms_t patience(const struct nomination *n)
{
    const struct inquiry *inquiry = &n->inquiry;
    uint64_t missing = inquiry->wanted & ~inquiry->answered;
    time_ms_t until = inquiry->answered != 0 ? 0 : inquiry->deadline;
    if ((missing & n->reached) != 0 && inquiry->began_at + INQUIRY_SILENCE_MS > until) {
        until = inquiry->began_at + INQUIRY_SILENCE_MS;
    }
    if ((missing & ~n->reached) != 0 && inquiry->began_at + NAME_CONNECT_MS > until) {
        until = inquiry->began_at + NAME_CONNECT_MS;
    }
    return until < inquiry->deadline ? until : inquiry->deadline;
}

/* What it means that no proposer goes by it. */
static int fail(struct client *c, const struct nomination *n)
{
    switch (n->refusal) {
    case NAME_TAKEN:
        return leaderless(c, "no proposer answered in time");
    case NAME_NOT_ASKED:
        return errmsg_set(&c->err, ERROR_USAGE,
                          "nobody was named (the oracle of this cluster is not external); try: "
                          "synod oracle set external");
    default:
        return errmsg_set(&c->err, ERROR_USAGE,
                          "the proposers do not know proposer %u (their cluster.yml is another "
                          "one); try: the cluster.yml that they were started with",
                          n->proposer);
    }
}

static void work(struct client *c, struct inquiry *inquiry, struct effects *out)
{
    struct nomination *n = (struct nomination *)inquiry;
    const struct contact *contact;
    while ((contact = inquiry_next(c, inquiry)) != NULL) {
        effects_send(out, SEND_NOW, contact->peer, MSG_NAME)->name =
            (struct msg_name){inquiry->request, n->proposer, left_ms(c, n)};
    }
    n->reached |= inquiry->asked;
    time_ms_t until = patience(n);
    if (c->now < until) {
        effects_wake(out, until);
        return;
    }
    n->result.missing = (uint32_t)inquiry_missing_count(inquiry);
    inquiry_end(c, inquiry, COMPLETION_NAMED, n->result.taken == 0 ? fail(c, n) : 0, &n->result,
                out);
}

static const struct inquiry_type nomination_type = {work, take, NULL};

uint64_t client_nominate(struct client *c, node_id_t proposer, uint32_t valid_ms, time_ms_t now,
                         time_ms_t deadline)
{
    struct nomination *n = memory_calloc(1, sizeof *n);
    n->inquiry.is_begun = 1;
    n->inquiry.began_at = now;
    n->proposer = proposer;
    n->valid_ms = valid_ms;
    n->refusal = NAME_TAKEN;
    inquiry_ask(c, &n->inquiry, inquiry_proposers(c));
    return inquiry_add(c, &n->inquiry, &nomination_type, deadline);
}
