#include "common/client/handle.h"

#include "common/base/check.h"

#include <stdio.h>
#include <string.h>

/* Frames handled before what they made possible is sent: results arrive in bursts, and the next
 * commands should not wait for the end of one. */
#define RECEIVE_BURST 64

/* Longest part of a process's own reason that is shown. */
#define REASON_BYTES_MAX 200

/* ---- open and close */

static struct peer self_of(const struct synod *s)
{
    return (struct peer){ROLE_CLIENT, s->nonce};
}

/* Where clients reach the process at the other end of a link. */
static const char *address_of(const struct synod *s, const struct dialled_link *link)
{
    return link->peer.role == ROLE_PROPOSER
               ? s->config.proposers[link - s->transport.proposers].client
               : s->config.learners[link - s->transport.learners].client;
}

static int dial(struct synod *s, const struct dialled_link *link, struct errmsg *err)
{
    return net_dial(s->transport.net, link->peer, address_of(s, link), err);
}

static int dial_learners(struct synod *s, struct errmsg *err)
{
    struct transport *t = &s->transport;
    uint32_t missing = client_wanted_learners(s->core) & ~t->dialled_learners;
    for (size_t i = 0; missing != 0 && i < s->config.members.learner_count; i++) {
        uint32_t bit = (uint32_t)1 << i;
        if ((missing & bit) != 0) {
            int rc = dial(s, &t->learners[i], err);
            if (rc != 0) {
                return rc;
            }
            t->dialled_learners |= bit;
        }
    }
    return 0;
}

int transport_open(struct synod *s, struct errmsg *err)
{
    struct transport *t = &s->transport;
    const struct members *members = &s->config.members;
    t->wire = (struct wire_context){s->config.id, members->number};
    int rc = net_open(&t->net, err);
    for (size_t i = 0; i < members->proposer_count; i++) {
        const struct peer peer = {ROLE_PROPOSER, members->proposers[i]};
        dialled_link_init(&t->proposers[i], self_of(s), s->nonce, peer);
        if (rc == 0) {
            rc = dial(s, &t->proposers[i], err);
        }
    }
    for (size_t i = 0; i < members->learner_count; i++) {
        const struct peer peer = {ROLE_LEARNER, members->learners[i]};
        dialled_link_init(&t->learners[i], self_of(s), s->nonce, peer);
    }
    return rc == 0 ? dial_learners(s, err) : rc;
}

void transport_close(struct synod *s)
{
    struct transport *t = &s->transport;
    if (t->net != NULL && handle_is_ours(s)) {
        net_close(t->net); /* never in a child: it has sockets without the threads behind them */
    }
    arena_close(&t->arena);
}

static struct dialled_link *find_link(struct synod *s, struct peer peer)
{
    const struct members *members = &s->config.members;
    int is_proposer = peer.role == ROLE_PROPOSER;
    struct dialled_link *links = is_proposer ? s->transport.proposers : s->transport.learners;
    size_t count = is_proposer ? members->proposer_count : members->learner_count;
    for (size_t i = 0; i < count; i++) {
        if (peer_equal(links[i].peer, peer)) {
            return &links[i];
        }
    }
    return NULL;
}

/* ---- sending */

/* What does not leave is as good as lost on the way: the core sends again what has to arrive. */
static void send_message(struct synod *s, struct peer to, struct message *msg)
{
    uint8_t *data;
    size_t size;
    msg->from = self_of(s);
    msg->incarnation = s->nonce;
    if (wire_encode(&s->transport.wire, msg, &data, &size) != 0) {
        return;
    }
    struct frame *frame = frame_new(data, size);
    int rc = net_send(s->transport.net, to, frame);
    (void)rc;
    frame_unref(frame);
}

static void say_hello(struct synod *s, const struct dialled_link *link)
{
    struct message msg;
    dialled_link_hello(link, &msg);
    send_message(s, link->peer, &msg);
}

void transport_step(struct synod *s, enum event_kind kind, const struct message *msg,
                    struct peer peer)
{
    struct effects *fx = &s->fx;
    const struct event event = {.kind = kind, .now = s->now, .msg = msg, .peer = peer};
    if (!handle_is_ours(s)) {
        return; /* the child of a callback's fork says nothing in its parent's name */
    }
    CHECK(fx->completion_count == 0);
    client_step(s->core, &event, fx);
    if (kind == EVENT_FLUSH) {
        s->wake = fx->wake_at;
        s->is_finished = fx->finished;
    }
    for (size_t i = 0; i < fx->send_count; i++) {
        CHECK(fx->sends[i].to.id != 0);
        send_message(s, fx->sends[i].to, &fx->sends[i].msg);
    }
    fx->send_count = 0;
    if (s->is_in_turn || fx->completion_count == 0) {
        completions_tell(s);
    }
}

/* ---- what arrives */

/* The last one's word is kept for the case that all refuse. */
static void note_refused(struct synod *s, const struct dialled_link *link, const char *why,
                         size_t size)
{
    snprintf(s->transport.refused_text, sizeof s->transport.refused_text,
             "%s %llu at %s refuses us (%.*s)", role_name(link->peer.role),
             (unsigned long long)link->peer.id, address_of(s, link),
             (int)(size < REASON_BYTES_MAX ? size : REASON_BYTES_MAX), size > 0 ? why : "");
}

/* Does what a verdict on the link says, and tells the core when it was welcomed before and is not
 * any more, for whatever reason. */
static void follow(struct synod *s, struct dialled_link *link, enum verdict verdict,
                   int was_welcomed, const struct message *msg)
{
    if (was_welcomed && !link->is_welcomed) {
        transport_step(s, EVENT_PEER_DOWN, NULL, link->peer);
    }
    switch (verdict) {
    case VERDICT_SAY_HELLO:
        say_hello(s, link);
        break;
    case VERDICT_PEER_UP:
        transport_step(s, EVENT_PEER_UP, NULL, link->peer);
        break;
    case VERDICT_DELIVER:
        transport_step(s, EVENT_MESSAGE, msg, link->peer);
        break;
    default:
        break;
    }
}

static void on_frame(struct synod *s, struct dialled_link *link, struct blob *frame)
{
    struct transport *t = &s->transport;
    struct message msg;
    enum refusal refusal = REFUSED_MALFORMED;
    struct errmsg err = {""};
    enum verdict verdict;
    int was_welcomed = link->is_welcomed;
    arena_reset(&t->arena);
    if (wire_decode(&t->wire, frame, &t->arena, &msg, &refusal, &err) != 0) {
        verdict = dialled_link_on_undecodable(link, refusal);
        if (verdict == VERDICT_REFUSED) {
            note_refused(s, link, err.text, strlen(err.text));
        }
    } else {
        verdict = dialled_link_on_message(link, &msg, s->now);
        if (verdict == VERDICT_REFUSED && link->is_refused) {
            note_refused(s, link, (const char *)msg.refused.text.data, msg.refused.text.size);
        }
    }
    follow(s, link, verdict, was_welcomed, &msg);
}

static void on_inbound(struct synod *s, const struct inbound *in)
{
    struct dialled_link *link = find_link(s, in->peer);
    if (link == NULL) {
        return;
    }
    int was_welcomed = link->is_welcomed;
    switch (in->kind) {
    case INBOUND_UP:
        follow(s, link, dialled_link_on_up(link, s->now), was_welcomed, NULL);
        break;
    case INBOUND_DOWN:
        follow(s, link, dialled_link_on_down(link), was_welcomed, NULL);
        break;
    case INBOUND_FRAME:
        on_frame(s, link, in->frame);
        break;
    }
}

size_t transport_receive(struct synod *s)
{
    struct inbound in;
    size_t count = 0;
    while (handle_is_ours(s) && net_receive(s->transport.net, &in) == 1) {
        on_inbound(s, &in);
        if (in.kind == INBOUND_FRAME) {
            blob_unref(in.frame);
        }
        count++;
        if (count % RECEIVE_BURST == 0 || client_has_full_block(s->core)) {
            transport_step(s, EVENT_FLUSH, NULL, (struct peer){ROLE_NONE, 0});
        }
    }
    return count;
}

/* ---- time */

static time_ms_t work_on(struct synod *s, struct dialled_link *links, size_t count)
{
    time_ms_t wake = TIME_NEVER;
    for (size_t i = 0; i < count; i++) {
        if (dialled_link_on_time(&links[i], s->now) == VERDICT_SAY_HELLO) {
            say_hello(s, &links[i]);
        }
        time_ms_t at = dialled_link_wake_at(&links[i]);
        wake = at < wake ? at : wake;
    }
    return wake;
}

time_ms_t transport_work(struct synod *s)
{
    const struct members *members = &s->config.members;
    struct errmsg err;
    int rc = dial_learners(s, &err);
    (void)rc; /* for want of a descriptor: tried again with every turn, until another is closed */
    time_ms_t proposers = work_on(s, s->transport.proposers, members->proposer_count);
    time_ms_t learners = work_on(s, s->transport.learners, members->learner_count);
    return proposers < learners ? proposers : learners;
}

/* ---- refusals */

static size_t refused_count(const struct dialled_link *links, size_t count)
{
    size_t refused = 0;
    for (size_t i = 0; i < count; i++) {
        refused += links[i].is_refused != 0;
    }
    return refused;
}

int transport_all_refuse(const struct synod *s)
{
    const struct transport *t = &s->transport;
    const struct members *members = &s->config.members;
    if (refused_count(t->proposers, members->proposer_count) == members->proposer_count) {
        return 1;
    }
    if (t->pinned != 0) {
        return t->learners[members_learner_index(members, t->pinned)].is_refused;
    }
    return refused_count(t->learners, members->learner_count) == members->learner_count;
}
