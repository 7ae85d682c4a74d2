#include "common/client/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Frames handled before what they made possible is sent: results arrive in bursts, and the next
 * commands should not wait for the end of one. */
#define RECEIVE_BURST 64

static int contact_dial(struct synod *s, struct contact *contact, struct errmsg *err)
{
    if (contact->is_dialled) {
        return 0;
    }
    int rc = net_dial(s->net, contact->peer, contact->address, err);
    if (rc == 0) {
        contact->is_dialled = 1;
    }
    return rc;
}

static void open_contact(struct contact *contact, enum role role,
                         const struct config_server *server)
{
    contact->peer = (struct peer){role, server->id};
    contact->address = server->client;
}

int links_open(struct synod *s, uint32_t pinned, struct errmsg *err)
{
    const struct members *members = &s->config.members;
    s->proposer_count = members->proposer_count;
    s->learner_count = members->learner_count;
    if (s->proposer_count == 0 || s->learner_count == 0) {
        return errmsg_set(err, SYNOD_E_USAGE, "cluster.yml lists no %s",
                          s->proposer_count == 0 ? "proposers" : "learners");
    }
    for (size_t i = 0; i < s->proposer_count; i++) {
        open_contact(&s->proposers[i], ROLE_PROPOSER, &s->config.proposers[i]);
        s->proposers[i].is_wanted = 1;
        int rc = contact_dial(s, &s->proposers[i], err);
        if (rc != 0) {
            return rc;
        }
    }
    size_t chosen = rng_below(&s->rng, s->learner_count);
    for (size_t i = 0; i < s->learner_count; i++) {
        open_contact(&s->learners[i], ROLE_LEARNER, &s->config.learners[i]);
        if (pinned != 0 && s->learners[i].peer.id == pinned) {
            chosen = i;
            s->is_pinned = 1;
        }
    }
    if (pinned != 0 && !s->is_pinned) {
        return errmsg_set(err, SYNOD_E_USAGE,
                          "there is no learner %u (cluster.yml lists %zu); try: one of its ids",
                          pinned, s->learner_count);
    }
    s->target = rng_below(&s->rng, s->proposer_count);
    s->learner = chosen;
    s->learner_since = s->learner_heard = s->now;
    s->learners[chosen].is_wanted = 1;
    return contact_dial(s, &s->learners[chosen], err);
}

struct contact *links_proposer(struct synod *s, uint64_t id)
{
    for (size_t i = 0; i < s->proposer_count; i++) {
        if (s->proposers[i].peer.id == id) {
            return &s->proposers[i];
        }
    }
    return NULL;
}

static struct contact *find_contact(struct synod *s, struct peer peer)
{
    if (peer.role == ROLE_PROPOSER) {
        return links_proposer(s, peer.id);
    }
    for (size_t i = 0; peer.role == ROLE_LEARNER && i < s->learner_count; i++) {
        if (s->learners[i].peer.id == peer.id) {
            return &s->learners[i];
        }
    }
    return NULL;
}

int links_send(struct synod *s, const struct contact *to, struct message *msg)
{
    msg->from = s->self;
    msg->incarnation = s->self.id;
    uint8_t *data;
    size_t size;
    int rc = wire_encode(&s->wire, msg, &data, &size);
    if (rc != 0) {
        return rc;
    }
    struct frame *frame = frame_new(data, size);
    rc = net_send(s->net, to->peer, frame);
    frame_unref(frame);
    return rc;
}

static void say_hello(struct synod *s, struct contact *contact)
{
    struct message msg = {.kind = MSG_HELLO};
    msg.hello = (struct msg_hello){PROTOCOL_VERSION_OLDEST, PROTOCOL_VERSION, contact->peer};
    contact->hello_at = s->now;
    if (links_send(s, contact, &msg) != 0) {
        return; /* said again by the timer */
    }
}

void links_want(struct synod *s, struct contact *contact)
{
    contact->is_wanted = 1;
    struct errmsg err;
    if (contact_dial(s, contact, &err) != 0) {
        snprintf(s->trouble, sizeof s->trouble, "%.250s", err.text);
        return;
    }
    if (contact->is_up && !contact->is_welcome && contact->hello_at == 0) {
        say_hello(s, contact);
    }
}

static int needs_learner(const struct synod *s)
{
    return s->sent > s->oldest || s->cursor != NULL || s->session_state == SESSION_OPENING ||
           s->reading.is_active || s->query.is_active || s->watches.list != NULL;
}

void links_forget_asked(struct synod *s)
{
    s->reading.is_asked = 0;
    s->query.is_asked = 0;
    watch_forget_asked(s);
}

void links_change_learner(struct synod *s)
{
    s->learner_since = s->learner_heard = s->now;
    if (s->is_pinned || s->learner_count == 1) {
        return;
    }
    /* The old link stays up: its late results are as good as anybody's. */
    s->learner = (s->learner + 1) % s->learner_count;
    links_want(s, links_learner(s));
    links_forget_asked(s);
    if (links_learner(s)->is_welcome) {
        submit_rewind(s); /* it answers what it applies from now on, and repeats from its table */
    }
}

static void on_down(struct synod *s, struct contact *contact)
{
    contact->is_up = contact->is_welcome = 0;
    contact->hello_at = 0;
    if (contact->status_request != 0) {
        contact->status_sent = 0;
    }
    contact->explain_sent = 0;
    if (contact == links_learner(s)) {
        links_forget_asked(s);
        links_change_learner(s);
    } else if (contact == &s->proposers[s->target]) {
        submit_rewind(s);
        s->is_probing = 1;
        submit_rotate(s);
    }
}

static void on_up(struct synod *s, struct contact *contact)
{
    contact->is_up = 1;
    contact->is_welcome = contact->is_refused = 0;
    contact->hello_at = 0;
    if (contact->is_wanted) {
        say_hello(s, contact);
    }
}

static void on_welcome(struct synod *s, struct contact *contact)
{
    contact->is_welcome = 1;
    contact->is_refused = 0;
    if (contact == links_learner(s)) {
        links_forget_asked(s);
        submit_rewind(s); /* results of what it applied before this were not for us */
    } else if (contact == &s->proposers[s->target]) {
        s->paused_until = 0; /* it was named as the leader before we could reach it */
    }
}

static void refuse(struct synod *s, struct contact *contact, const char *text, size_t size)
{
    contact->is_refused = 1;
    contact->is_welcome = 0;
    snprintf(s->refused_text, sizeof s->refused_text, "%s %llu at %s refuses us (%.*s)",
             role_name(contact->peer.role), (unsigned long long)contact->peer.id, contact->address,
             (int)(size < 200 ? size : 200), text);
}

static void on_refused(struct synod *s, struct contact *contact, const struct msg_refused *refused)
{
    switch (refused->reason) {
    case REFUSED_VERSION:
    case REFUSED_CLUSTER:
    case REFUSED_IDENTITY:
        refuse(s, contact, (const char *)refused->text.data, refused->text.size);
        break;
    default:
        /* It does not know us, perhaps because it restarted, or it takes us for a former
         * connection of ours: shake hands again, not faster than the timer. */
        contact->is_welcome = 0;
        snprintf(s->trouble, sizeof s->trouble, "%s %llu: %.*s", role_name(contact->peer.role),
                 (unsigned long long)contact->peer.id,
                 (int)(refused->text.size < 200 ? refused->text.size : 200),
                 refused->text.size > 0 ? (const char *)refused->text.data : "");
        break;
    }
}

static void dispatch(struct synod *s, struct contact *contact, const struct message *msg)
{
    switch (msg->kind) {
    case MSG_WELCOME:
        on_welcome(s, contact);
        break;
    case MSG_REFUSED:
        on_refused(s, contact, &msg->refused);
        break;
    case MSG_RESULT:
        answers_on_result(s, msg);
        break;
    case MSG_REJECT:
        answers_on_reject(s, msg);
        break;
    case MSG_LEADING:
        answers_on_leading(s, msg);
        break;
    case MSG_RECORDS:
        read_on_records(s, msg);
        break;
    case MSG_ANSWER:
        query_on_answer(s, msg);
        break;
    case MSG_EVENTS:
        watch_on_events(s, msg);
        break;
    case MSG_STATUS_REPLY:
        status_on_reply(s, msg);
        break;
    case MSG_TRANSFERRED:
        transfer_on_answer(s, msg);
        break;
    case MSG_EXPLANATION:
        explain_on_answer(s, msg);
        break;
    case MSG_NAMED:
        name_on_named(s, msg);
        break;
    default:
        break; /* nothing that servers say to each other is for a client */
    }
}

static void on_frame(struct synod *s, struct contact *contact, struct blob *frame)
{
    struct message msg;
    enum refusal refusal = REFUSED_MALFORMED;
    struct errmsg err = {""};
    arena_reset(&s->arena);
    if (wire_decode(&s->wire, frame, &s->arena, &msg, &refusal, &err) != 0) {
        if (refusal == REFUSED_CLUSTER || refusal == REFUSED_VERSION) {
            refuse(s, contact, err.text, strlen(err.text));
        } else {
            snprintf(s->trouble, sizeof s->trouble, "%.250s", err.text);
        }
        return;
    }
    if (!peer_equal(msg.from, contact->peer) || message_is_stale(&msg, s->self.id)) {
        return;
    }
    if (contact == links_learner(s)) {
        s->learner_heard = s->now;
    }
    dispatch(s, contact, &msg);
}

size_t links_receive(struct synod *s)
{
    struct inbound in;
    size_t count = 0;
    while (net_receive(s->net, &in) == 1) {
        struct contact *contact = find_contact(s, in.peer);
        if (contact != NULL && in.kind == INBOUND_UP) {
            on_up(s, contact);
        } else if (contact != NULL && in.kind == INBOUND_DOWN) {
            on_down(s, contact);
        } else if (contact != NULL && in.kind == INBOUND_FRAME) {
            on_frame(s, contact, in.frame);
        }
        if (in.kind == INBOUND_FRAME) {
            blob_unref(in.frame);
        }
        count++;
        if (count % RECEIVE_BURST == 0) {
            submit_flush(s);
        }
    }
    return count;
}

static time_ms_t hello_work(struct synod *s, struct contact *contact)
{
    if (!contact->is_up || !contact->is_wanted || contact->is_welcome || contact->is_refused) {
        return TIME_NEVER;
    }
    if (s->now - contact->hello_at >= HELLO_RETRY_MS) {
        say_hello(s, contact);
    }
    return contact->hello_at + HELLO_RETRY_MS;
}

/* Nothing is heard from an idle learner, so its silence counts only while it owes us something. */
static time_ms_t learner_work(struct synod *s)
{
    if (!needs_learner(s)) {
        s->learner_heard = s->learner_since = s->now;
        return TIME_NEVER;
    }
    if (s->is_pinned || s->learner_count == 1) {
        return TIME_NEVER;
    }
    if (!links_learner(s)->is_welcome) {
        if (s->now - s->learner_since >= LEARNER_CONNECT_MS || links_learner(s)->is_refused) {
            links_change_learner(s);
        }
        return s->learner_since + LEARNER_CONNECT_MS;
    }
    if (s->sent == s->oldest && s->session_state != SESSION_OPENING) {
        s->learner_heard = s->now; /* only reads and watches wait, and have timers of their own */
        return TIME_NEVER;
    }
    if (s->now - s->learner_heard >= LEARNER_SILENCE_MS) {
        links_change_learner(s);
    }
    return s->learner_heard + LEARNER_SILENCE_MS;
}

time_ms_t links_work(struct synod *s)
{
    time_ms_t wake = learner_work(s);
    for (size_t i = 0; i < s->proposer_count; i++) {
        time_ms_t at = hello_work(s, &s->proposers[i]);
        wake = at < wake ? at : wake;
    }
    for (size_t i = 0; i < s->learner_count; i++) {
        time_ms_t at = hello_work(s, &s->learners[i]);
        wake = at < wake ? at : wake;
    }
    return wake;
}

int links_all_refuse(const struct synod *s)
{
    size_t refused = 0;
    for (size_t i = 0; i < s->proposer_count; i++) {
        refused += s->proposers[i].is_refused != 0;
    }
    if (refused == s->proposer_count) {
        return 1;
    }
    if (s->is_pinned) {
        return s->learners[s->learner].is_refused;
    }
    refused = 0;
    for (size_t i = 0; i < s->learner_count; i++) {
        refused += s->learners[i].is_refused != 0;
    }
    return refused == s->learner_count;
}
