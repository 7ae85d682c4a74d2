#include "common/runtime/internal.h"

#include "common/runtime/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* So long may others call us a duplicate before we believe it. A former self that died without a
 * word, with its machine, is noticed well before. */
#define DUPLICATE_PATIENCE_MS 5000

/* A link that was refused for anything but malformed bytes is told again after this. */
#define TELL_AGAIN_MS 1000

/* ---- members */

static void add_members(struct runtime *rt, enum role role, const node_id_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct member *member = &rt->members[rt->member_count++];
        *member = (struct member){.peer = {role, ids[i]}};
        dialled_link_init(&member->dialled, rt->self, rt->options->incarnation, member->peer);
    }
}

void members_load(struct runtime *rt)
{
    const struct members *members = &rt->config->members;
    add_members(rt, ROLE_ACCEPTOR, members->acceptors, members->acceptor_count);
    add_members(rt, ROLE_PROPOSER, members->proposers, members->proposer_count);
    add_members(rt, ROLE_LEARNER, members->learners, members->learner_count);
}

struct member *members_find(struct runtime *rt, struct peer peer)
{
    for (size_t i = 0; i < rt->member_count; i++) {
        if (peer_equal(rt->members[i].peer, peer)) {
            return &rt->members[i];
        }
    }
    return NULL;
}

/* ---- sending */

static int send_on_link(struct runtime *rt, link_t link, struct message *msg)
{
    struct frame *frame = outbound_frame(rt, msg);
    if (frame == NULL) {
        return ERROR_INTERNAL;
    }
    int rc = net_send_link(rt->net, link, frame);
    frame_unref(frame);
    return rc;
}

static void say_hello(struct runtime *rt, const struct member *member, link_t link)
{
    struct message msg;
    dialled_link_hello(&member->dialled, &msg);
    struct frame *frame = outbound_frame(rt, &msg);
    if (frame != NULL) {
        /* A dialled peer that is not up yet has no link number here. */
        (void)(link != 0 ? net_send_link(rt->net, link, frame)
                         : net_send(rt->net, member->peer, frame));
        frame_unref(frame);
    }
    if (rt->chores_at > member->dialled.next_hello_at) {
        rt->chores_at = member->dialled.next_hello_at;
    }
}

/* echo 0 asks a peer that was welcomed before whether it is still there; it answers with hello. */
static int say_welcome(struct runtime *rt, link_t link, uint64_t echo, uint32_t version)
{
    struct message msg = {.kind = MSG_WELCOME, .echo = echo};
    msg.welcome.version = version;
    return send_on_link(rt, link, &msg);
}

static const char *refusal_name(enum refusal reason)
{
    static const char *const names[] = {
        [REFUSED_VERSION] = "version",     [REFUSED_CLUSTER] = "cluster",
        [REFUSED_IDENTITY] = "identity",   [REFUSED_DUPLICATE] = "duplicate",
        [REFUSED_MALFORMED] = "malformed", [REFUSED_KIND] = "kind",
    };
    size_t i = (size_t)reason;
    return i > 0 && i < sizeof names / sizeof names[0] ? names[i] : "unknown";
}

/* 1 if the link was told the same not long ago. Malformed bytes are answered once. */
static int was_told(struct runtime *rt, link_t link, enum refusal reason)
{
    struct told_link *told = &rt->told[link % TOLD_LINKS_MAX];
    if (told->link == link && told->reason == reason &&
        (reason == REFUSED_MALFORMED || rt->now - told->at < TELL_AGAIN_MS)) {
        return 1;
    }
    *told = (struct told_link){.link = link, .reason = reason, .at = rt->now};
    return 0;
}

static void refuse(struct runtime *rt, link_t link, uint64_t echo, enum refusal reason,
                   const char *text)
{
    struct message msg = {.kind = MSG_REFUSED, .echo = echo};
    size_t size = strnlen(text, TEXT_BYTES_MAX);
    msg.refused = (struct msg_refused){.reason = reason, .text = slice_borrow(text, size)};
    (void)send_on_link(rt, link, &msg); /* who is gone need not know */
}

/* Answers what came on a listening link and is not taken, and logs it, unless that was done. */
static void turn_away(struct runtime *rt, const struct inbound *in, const struct message *msg,
                      enum refusal reason, const char *text)
{
    if (was_told(rt, in->link, reason)) {
        return;
    }
    struct log_value quoted;
    log_line(LOG_WARN, "event=refused reason=%s from_role=%s from_id=%" PRIu64 " address=%s why=%s",
             refusal_name(reason), role_name(msg->from.role), msg->from.id,
             net_link_address(rt->net, in->link), log_quote(&quoted, text));
    if (msg->kind != MSG_REFUSED) { /* two that refuse each other would do nothing else */
        refuse(rt, in->link, msg->incarnation, reason, text);
    }
}

/* ---- links that we dialled */

void handshake_on_up(struct runtime *rt, const struct inbound *in)
{
    struct member *member = members_find(rt, in->peer);
    if (member != NULL && in->is_dialled &&
        dialled_link_on_up(&member->dialled, rt->now) == VERDICT_SAY_HELLO) {
        say_hello(rt, member, in->link);
    }
}

enum verdict handshake_on_down(struct runtime *rt, const struct inbound *in)
{
    struct member *member = members_find(rt, in->peer);
    if (member == NULL) {
        return in->peer.role == ROLE_CLIENT ? VERDICT_PEER_DOWN : VERDICT_NOTHING;
    }
    enum verdict verdict = VERDICT_NOTHING;
    if (in->is_dialled) {
        verdict = dialled_link_on_down(&member->dialled);
    } else if (member->link == in->link) {
        member->link = 0;
        verdict = VERDICT_PEER_DOWN;
    }
    if (verdict == VERDICT_PEER_DOWN) {
        log_line(LOG_INFO, "event=peer_down peer_role=%s peer_id=%" PRIu64,
                 role_name(member->peer.role), member->peer.id);
    }
    return verdict;
}

static void log_refused_by(const struct member *member, const struct message *msg)
{
    char text[TEXT_BYTES_MAX + 1];
    struct log_value quoted;
    size_t size = msg->refused.text.size < TEXT_BYTES_MAX ? msg->refused.text.size : TEXT_BYTES_MAX;
    snprintf(text, sizeof text, "%.*s", (int)size, (const char *)msg->refused.text.data);
    log_line(LOG_WARN, "event=refused_by peer_role=%s peer_id=%" PRIu64 " reason=%s why=%s",
             role_name(member->peer.role), member->peer.id,
             refusal_name((enum refusal)msg->refused.reason), log_quote(&quoted, text));
}

static enum verdict on_dialled_message(struct runtime *rt, const struct inbound *in,
                                       const struct message *msg)
{
    struct member *member = members_find(rt, in->peer);
    if (member == NULL) {
        return VERDICT_NOTHING;
    }
    enum verdict verdict = dialled_link_on_message(&member->dialled, msg, rt->now);
    switch (verdict) {
    case VERDICT_SAY_HELLO:
        say_hello(rt, member, in->link);
        return VERDICT_NOTHING;
    case VERDICT_REFUSED:
        log_refused_by(member, msg);
        return VERDICT_NOTHING;
    case VERDICT_WRONG_PEER:
        log_line(LOG_WARN,
                 "event=wrong_peer wanted_role=%s wanted_id=%" PRIu64 " got_role=%s got_id=%" PRIu64
                 " try=\"correct the addresses in cluster.yml\"",
                 role_name(member->peer.role), member->peer.id, role_name(msg->from.role),
                 msg->from.id);
        return VERDICT_NOTHING;
    case VERDICT_PEER_UP:
        log_line(LOG_INFO, "event=peer_up peer_role=%s peer_id=%" PRIu64,
                 role_name(member->peer.role), member->peer.id);
        return verdict;
    default:
        return verdict;
    }
}

/* ---- links that others dialled */

/* Whether the process behind the link is the one this member's name belongs to. The first to come
 * has it. Another one gets it when the former's connection is gone, or stays silent for an election
 * timeout after it was asked; so a restarted process is let in at once, and one beside a living
 * process never, however little that one has to say. */
static int owns_identity(struct runtime *rt, struct member *member, const struct inbound *in,
                         const struct message *msg)
{
    if (member->link == in->link && member->incarnation == msg->incarnation) {
        member->asked_at = 0;
        return 1;
    }
    if (member->link != 0 && member->incarnation != msg->incarnation) {
        if (member->asked_at == 0) {
            member->asked_at = rt->now;
        }
        int is_gone = say_welcome(rt, member->link, 0, PROTOCOL_VERSION) == ERROR_UNAVAILABLE;
        int is_silent = rt->now - member->asked_at >= (time_ms_t)rt->config->election_ms;
        if (!is_gone && !is_silent) {
            return 0;
        }
    }
    member->link = in->link;
    member->incarnation = msg->incarnation;
    member->asked_at = 0;
    return 1;
}

/* 1 if the sender may speak on this port under this name; else it was turned away. */
static int admit(struct runtime *rt, const struct inbound *in, const struct message *msg)
{
    char text[TEXT_BYTES_MAX];
    struct member *member = members_find(rt, msg->from);
    int is_served = in->port == NET_PORT_CLIENT ? msg->from.role == ROLE_CLIENT : member != NULL;
    if (!is_served) {
        snprintf(
            text, sizeof text,
            "%s %" PRIu64 " is not served at the %s address of %s %" PRIu64
            " (no member of cluster %s with this role); try: compare cluster.yml on both hosts",
            role_name(msg->from.role), msg->from.id,
            in->port == NET_PORT_CLIENT ? "client" : "peer", role_name(rt->self.role), rt->self.id,
            rt->config->cluster);
        turn_away(rt, in, msg, REFUSED_IDENTITY, text);
        return 0;
    }
    if (in->peer.role != ROLE_NONE && !peer_equal(in->peer, msg->from)) {
        snprintf(text, sizeof text, "this connection belongs to %s %" PRIu64 ", not %s %" PRIu64,
                 role_name(in->peer.role), in->peer.id, role_name(msg->from.role), msg->from.id);
        turn_away(rt, in, msg, REFUSED_IDENTITY, text);
        return 0;
    }
    if (member != NULL &&
        (peer_equal(msg->from, rt->self) || !owns_identity(rt, member, in, msg))) {
        snprintf(text, sizeof text, "another live process has the identity %s %" PRIu64,
                 role_name(msg->from.role), msg->from.id);
        turn_away(rt, in, msg, REFUSED_DUPLICATE, text);
        return 0;
    }
    return 1;
}

static enum verdict on_hello(struct runtime *rt, const struct inbound *in,
                             const struct message *msg)
{
    const struct msg_hello *hello = &msg->hello;
    char text[TEXT_BYTES_MAX];
    if (hello->version_min > PROTOCOL_VERSION || hello->version_max < PROTOCOL_VERSION_OLDEST) {
        snprintf(text, sizeof text,
                 "no common protocol version (here %d to %d, there %u to %u); try: upgrade the "
                 "older process",
                 PROTOCOL_VERSION_OLDEST, PROTOCOL_VERSION, (unsigned)hello->version_min,
                 (unsigned)hello->version_max);
        turn_away(rt, in, msg, REFUSED_VERSION, text);
        return VERDICT_NOTHING;
    }
    if (hello->wanted.role != ROLE_NONE && !peer_equal(hello->wanted, rt->self)) {
        snprintf(
            text, sizeof text,
            "this is %s %" PRIu64 ", not %s %" PRIu64 "; try: correct the addresses in cluster.yml",
            role_name(rt->self.role), rt->self.id, role_name(hello->wanted.role), hello->wanted.id);
        turn_away(rt, in, msg, REFUSED_IDENTITY, text);
        return VERDICT_NOTHING;
    }
    if (!admit(rt, in, msg)) {
        return VERDICT_NOTHING;
    }
    uint32_t version =
        hello->version_max < PROTOCOL_VERSION ? hello->version_max : PROTOCOL_VERSION;
    (void)say_welcome(rt, in->link, msg->incarnation, version); /* it asks again */
    net_bind(rt->net, in->link, msg->from);
    return VERDICT_PEER_UP;
}

static enum verdict on_listening_message(struct runtime *rt, const struct inbound *in,
                                         const struct message *msg)
{
    if (msg->kind == MSG_WELCOME || msg->kind == MSG_REFUSED) {
        return VERDICT_NOTHING; /* only who listens says these */
    }
    if (msg->kind == MSG_HELLO) {
        return on_hello(rt, in, msg);
    }
    if (!admit(rt, in, msg)) {
        return VERDICT_NOTHING;
    }
    int is_taken = !message_is_stale(msg, rt->options->incarnation);
    if (in->peer.role != ROLE_NONE) {
        return is_taken ? VERDICT_DELIVER : VERDICT_NOTHING;
    }
    net_bind(rt->net, in->link, msg->from); /* its link was forgotten, or it did without a hello */
    return is_taken ? VERDICT_PEER_UP_AND_DELIVER : VERDICT_PEER_UP;
}

enum verdict handshake_on_frame(struct runtime *rt, const struct inbound *in, struct message *out)
{
    enum refusal refusal;
    struct errmsg err;
    if (wire_decode(&rt->wire, in->frame, &rt->decoded, out, &refusal, &err) == 0) {
        return in->is_dialled ? on_dialled_message(rt, in, out) : on_listening_message(rt, in, out);
    }
    if (in->is_dialled) {
        struct log_value quoted;
        log_line(LOG_WARN, "event=undecodable peer_role=%s peer_id=%" PRIu64 " why=%s",
                 role_name(in->peer.role), in->peer.id, log_quote(&quoted, err.text));
    } else {
        turn_away(rt, in, out, refusal, err.text);
    }
    return VERDICT_NOTHING;
}

/* ---- from time to time */

/* We are the duplicate if more of those that we dial say so than take us. The one that lives is
 * welcome nearly everywhere, so that even a listener that met the duplicate first cannot end it. */
static void check_duplicate(struct runtime *rt)
{
    size_t refused = 0;
    size_t welcomed = 0;
    for (size_t i = 0; i < rt->member_count; i++) {
        refused += rt->members[i].dialled.is_duplicate != 0;
        welcomed += rt->members[i].dialled.is_welcomed != 0;
    }
    if (refused <= welcomed) {
        rt->duplicate_since = 0;
        return;
    }
    if (rt->duplicate_since == 0) {
        rt->duplicate_since = rt->now;
    } else if (rt->now - rt->duplicate_since >= DUPLICATE_PATIENCE_MS && rt->result == 0) {
        log_error("cannot serve as %s %" PRIu64
                  " (another live process has the identity %s %" PRIu64
                  ", as %zu members of cluster %s say); try: stop that one, or start this one with "
                  "its own --id",
                  role_name(rt->self.role), rt->self.id, role_name(rt->self.role), rt->self.id,
                  refused, rt->config->cluster);
        rt->result = ERROR_REFUSED;
        rt->is_stopped = 1;
    }
}

time_ms_t handshake_chores(struct runtime *rt)
{
    time_ms_t next = TIME_NEVER;
    for (size_t i = 0; i < rt->member_count; i++) {
        struct member *member = &rt->members[i];
        if (dialled_link_on_time(&member->dialled, rt->now) == VERDICT_SAY_HELLO) {
            say_hello(rt, member, 0);
        }
        time_ms_t at = dialled_link_wake_at(&member->dialled);
        next = at < next ? at : next;
    }
    check_duplicate(rt);
    return next;
}
