#include "common/client/client.h"

/* How long a call waits for proposers that are not connected, as long as another one answered: on a
 * handle that has just been opened they will be within a round trip. */
#define NAME_CONNECT_MS 150

_Static_assert(SYNOD_NAME_VALID_MS_MAX == WORD_MS_MAX, "limits differ");

/* What is left of the word: who is told later is told a shorter one. */
static uint32_t left_ms(const struct naming *n, time_ms_t now)
{
    time_ms_t gone_ms = now - n->began_at;
    return gone_ms < (time_ms_t)n->valid_ms ? n->valid_ms - (uint32_t)gone_ms : 0;
}

void name_work(struct synod *s)
{
    struct naming *n = &s->naming;
    for (size_t i = 0; n->request != 0 && i < s->proposer_count; i++) {
        struct contact *contact = &s->proposers[i];
        if (n->is_told[i] || !contact->is_welcome) {
            continue;
        }
        struct message msg = {.kind = MSG_NAME};
        msg.name = (struct msg_name){n->request, n->proposer, left_ms(n, s->now)};
        n->is_told[i] = links_send(s, contact, &msg) == 0;
    }
}

void name_on_named(struct synod *s, const struct message *msg)
{
    const struct msg_named *named = &msg->named;
    struct naming *n = &s->naming;
    const struct contact *contact = links_proposer(s, msg->from.id);
    if (n->request == 0 || named->request != n->request || contact == NULL ||
        msg->from.role != ROLE_PROPOSER) {
        return;
    }
    size_t index = (size_t)(contact - s->proposers);
    if (n->is_answered[index]) {
        return;
    }
    n->is_answered[index] = 1;
    n->result.told++;
    if (named->status == NAME_TAKEN) {
        n->result.taken++;
    } else {
        n->refused = named->status;
    }
    /* Who leads knows best. */
    if (named->leader == msg->from.id || (named->leader != 0 && n->result.leader == 0)) {
        n->result.leader = named->leader;
    }
}

/* Until when this proposer is waited for; 0 if not at all. */
static time_ms_t patience_with(const struct synod *s, size_t index)
{
    const struct naming *n = &s->naming;
    if (n->is_answered[index] || s->proposers[index].is_refused) {
        return 0;
    }
    return n->began_at + (n->is_told[index] ? STATUS_SILENCE_MS : NAME_CONNECT_MS);
}

static int tell(struct synod *s)
{
    const struct naming *n = &s->naming;
    time_ms_t deadline = client_deadline(n->began_at, s->timeout_ms);
    for (;;) {
        time_ms_t until = n->result.told > 0 ? 0 : deadline;
        for (size_t i = 0; i < s->proposer_count; i++) {
            time_ms_t patience = patience_with(s, i);
            until = patience > until ? patience : until;
        }
        until = until < deadline ? until : deadline;
        if (client_now() >= until) {
            return SYNOD_OK;
        }
        int rc = client_turn(s, until);
        if (rc != SYNOD_OK) {
            return rc;
        }
    }
}

static int check(struct synod *s, uint32_t proposer, uint32_t valid_ms)
{
    if (s->config.protocol == CONFIG_RAFT) {
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "nobody can be named (in Raft mode the acceptors elect, and proposers do "
                          "not lead); try: priorities of acceptors");
    }
    if (proposer != 0 && links_proposer(s, proposer) == NULL) {
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "there is no proposer %u (cluster.yml lists %zu); try: one of its ids",
                          proposer, s->proposer_count);
    }
    if (valid_ms > SYNOD_NAME_VALID_MS_MAX) {
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "a word runs for %u ms at most, not %u; try: to say it again",
                          SYNOD_NAME_VALID_MS_MAX, valid_ms);
    }
    return client_may_block(s);
}

/* What it means that nobody goes by the word. */
static int fail(struct synod *s)
{
    switch (s->naming.refused) {
    case NAME_TAKEN:
        return client_leaderless(s, "no proposer answered in time");
    case NAME_NOT_ASKED:
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "nobody was named (the oracle of this cluster is not external); try: "
                          "synod oracle set external");
    default:
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "the proposers do not know proposer %u (their cluster.yml is another "
                          "one); try: the cluster.yml that they were started with",
                          s->naming.proposer);
    }
}

int synod_oracle_name(struct synod *s, uint32_t proposer, uint32_t valid_ms,
                      struct synod_named *out)
{
    int rc = check(s, proposer, valid_ms);
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct naming *n = &s->naming;
    *n = (struct naming){.request = ++s->request,
                         .proposer = proposer,
                         .valid_ms = valid_ms,
                         .began_at = client_now(),
                         .refused = NAME_TAKEN};
    rc = tell(s);
    n->request = 0;
    n->result.missing = (uint32_t)s->proposer_count - n->result.told;
    if (rc == SYNOD_OK && n->result.taken == 0) {
        rc = fail(s);
    }
    if (out != NULL) {
        *out = n->result;
    }
    return rc;
}
