#include "common/protocol/handshake.h"

#include "common/base/check.h"

enum refusal_class refusal_classify(uint32_t reason)
{
    switch (reason) {
    case REFUSED_VERSION:
    case REFUSED_CLUSTER:
    case REFUSED_IDENTITY:
        return REFUSAL_FINAL;
    case REFUSED_DUPLICATE:
        return REFUSAL_DUPLICATE;
    default:
        return REFUSAL_OTHER;
    }
}

void dialled_link_init(struct dialled_link *link, struct peer self, uint64_t incarnation,
                       struct peer peer)
{
    CHECK(incarnation != 0);
    *link = (struct dialled_link){
        .peer = peer, .incarnation = incarnation, .is_client = self.role == ROLE_CLIENT};
}

static enum verdict say_hello(struct dialled_link *link, time_ms_t now)
{
    link->next_hello_at = now + HANDSHAKE_RETRY_MS;
    return VERDICT_SAY_HELLO;
}

enum verdict dialled_link_on_up(struct dialled_link *link, time_ms_t now)
{
    link->is_up = 1;
    link->is_welcomed = 0;
    link->is_refused = 0;
    return say_hello(link, now);
}

enum verdict dialled_link_on_down(struct dialled_link *link)
{
    int was_welcomed = link->is_welcomed;
    link->is_up = 0;
    link->is_welcomed = 0;
    link->is_duplicate = 0;
    return was_welcomed ? VERDICT_PEER_DOWN : VERDICT_NOTHING;
}

static enum verdict on_welcome(struct dialled_link *link, const struct message *msg, time_ms_t now)
{
    if (msg->echo == 0) {
        return say_hello(link, now);
    }
    if (msg->echo != link->incarnation || link->is_welcomed) {
        return VERDICT_NOTHING;
    }
    link->is_up = 1;
    link->is_welcomed = 1;
    link->is_refused = 0;
    link->is_duplicate = 0;
    return VERDICT_PEER_UP;
}

/* A member that was welcomed stays so unless it is a duplicate: what one frame met says nothing
 * about the others. A client has more to repeat than one frame, and shakes hands again. */
static enum verdict on_refused(struct dialled_link *link, uint32_t reason, time_ms_t now)
{
    enum refusal_class class = refusal_classify(reason);
    if (class == REFUSAL_DUPLICATE) {
        link->is_duplicate = 1;
        link->next_hello_at = now + HANDSHAKE_RETRY_MS;
    } else {
        link->next_hello_at = now + HANDSHAKE_REFUSED_RETRY_MS;
    }
    if (link->is_client || class == REFUSAL_DUPLICATE) {
        link->is_welcomed = 0;
    }
    if (link->is_client && class == REFUSAL_FINAL) {
        link->is_refused = 1;
    }
    CHECK(!(link->is_refused && link->is_welcomed));
    return VERDICT_REFUSED;
}

enum verdict dialled_link_on_message(struct dialled_link *link, const struct message *msg,
                                     time_ms_t now)
{
    int is_refusal = msg->kind == MSG_REFUSED;
    if (is_refusal && !link->is_client) {
        return on_refused(link, msg->refused.reason, now);
    }
    if (!peer_equal(msg->from, link->peer)) {
        return VERDICT_WRONG_PEER;
    }
    if (msg->kind == MSG_WELCOME) {
        return on_welcome(link, msg, now);
    }
    if (msg->kind == MSG_HELLO || message_is_stale(msg, link->incarnation)) {
        return VERDICT_NOTHING;
    }
    return is_refusal ? on_refused(link, msg->refused.reason, now) : VERDICT_DELIVER;
}

enum verdict dialled_link_on_undecodable(struct dialled_link *link, enum refusal reason)
{
    if (!link->is_client || refusal_classify((uint32_t)reason) != REFUSAL_FINAL) {
        return VERDICT_NOTHING;
    }
    link->is_refused = 1;
    link->is_welcomed = 0;
    return VERDICT_REFUSED;
}

time_ms_t dialled_link_wake_at(const struct dialled_link *link)
{
    int is_asking = link->is_up && !link->is_welcomed && !link->is_refused;
    return is_asking ? link->next_hello_at : TIME_NEVER;
}

enum verdict dialled_link_on_time(struct dialled_link *link, time_ms_t now)
{
    return dialled_link_wake_at(link) <= now ? say_hello(link, now) : VERDICT_NOTHING;
}

void dialled_link_hello(const struct dialled_link *link, struct message *out)
{
    *out = (struct message){.kind = MSG_HELLO};
    out->hello = (struct msg_hello){
        .version_min = PROTOCOL_VERSION_OLDEST,
        .version_max = PROTOCOL_VERSION,
        .wanted = link->peer,
    };
}
