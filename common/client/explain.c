/* What every proposer says of why somebody leads, or nobody does: collected, not judged. */
#include "common/client/client.h"

#include "common/base/memory.h"

#include <stdlib.h>
#include <string.h>

/* Answers that waited longer than this for those of others are not of now any more. */
#define STALE_MS 100

/* A proposer that answered before and does not within this time has fallen silent meanwhile. */
#define AGAIN_MS 200

_Static_assert((int)SYNOD_GATE_SERVES == (int)GATE_SERVES, "gates differ");
_Static_assert((int)SYNOD_GATE_CAMPAIGNS == (int)GATE_CAMPAIGNS, "gates differ");
_Static_assert((int)SYNOD_GATE_NO_QUORUM == (int)GATE_NO_QUORUM, "gates differ");
_Static_assert((int)SYNOD_GATE_LEADER_HEARD == (int)GATE_LEADER_HEARD, "gates differ");
_Static_assert((int)SYNOD_GATE_BARRED == (int)GATE_BARRED, "gates differ");
_Static_assert((int)SYNOD_GATE_NOT_NAMED == (int)GATE_NOT_NAMED, "gates differ");
_Static_assert((int)SYNOD_GATE_PAUSES == (int)GATE_PAUSES, "gates differ");
_Static_assert((int)SYNOD_GATE_OPEN == (int)GATE_OPEN, "gates differ");
_Static_assert((int)SYNOD_GATE_FORWARDS == (int)GATE_FORWARDS, "gates differ");

/* ---- one answer */

static struct synod_ballot tell_ballot(const struct ballot *ballot)
{
    return (struct synod_ballot){ballot->round, ballot->proposer};
}

static void tell_acceptors(const struct msg_explanation *msg, struct synod_explained_proposer *out)
{
    out->acceptor_count = msg->acceptor_count < MEMBERS_MAX ? msg->acceptor_count : MEMBERS_MAX;
    for (size_t i = 0; i < out->acceptor_count; i++) {
        const struct explained_acceptor *acceptor = &msg->acceptors[i];
        out->acceptors[i] = (struct synod_explained_acceptor){
            .id = acceptor->acceptor,
            .silence_ms = acceptor->silence_ms,
            .promised = tell_ballot(&acceptor->promised),
            .leader = tell_ballot(&acceptor->leader),
            .leader_silence_ms = acceptor->leader_silence_ms,
            .lease_left_ms = acceptor->lease_left_ms,
            .chosen = acceptor->chosen,
        };
    }
}

static void tell_links(const struct msg_explanation *msg, struct synod_explained_proposer *out)
{
    free(out->links);
    out->links = memory_calloc(msg->link_count > 0 ? msg->link_count : 1, sizeof *out->links);
    out->link_count = msg->link_count;
    for (size_t i = 0; i < msg->link_count; i++) {
        const struct explained_link *link = &msg->links[i];
        out->links[i] = (struct synod_explained_link){
            .acceptor = link->acceptor,
            .proposer = link->proposer,
            .silence_ms = link->silence_ms,
            .reaches_quorum = link->reaches_quorum != 0,
            .version = link->version,
        };
    }
}

static void tell_proposer(const struct msg_explanation *msg, struct synod_explained_proposer *out)
{
    size_t size = msg->oracle.size;
    size = size < sizeof out->oracle - 1 ? size : sizeof out->oracle - 1;
    out->is_answering = 1;
    out->state = status_state_name(msg->state);
    out->gate = (enum synod_gate)msg->gate;
    out->ballot = tell_ballot(&msg->ballot);
    out->leader = tell_ballot(&msg->leader);
    out->kind = (enum synod_oracle_kind)msg->kind;
    out->version = msg->version;
    out->named = msg->named;
    out->pause_ms = msg->pause_ms;
    out->attempts = msg->attempts;
    if (size > 0) {
        memcpy(out->oracle, msg->oracle.data, size);
    }
    out->oracle[size] = '\0';
    tell_acceptors(msg, out);
    tell_links(msg, out);
}

void explain_on_answer(struct synod *s, const struct message *msg)
{
    struct contact *contact = links_proposer(s, msg->from.id);
    if (contact == NULL || msg->from.role != ROLE_PROPOSER || s->explanation == NULL ||
        contact->explain_request == 0 || msg->explanation.request != contact->explain_request) {
        return;
    }
    contact->explain_request = 0;
    tell_proposer(&msg->explanation, &s->explanation->proposers[contact - s->proposers]);
}

/* ---- all of them */

void explain_work(struct synod *s)
{
    for (size_t i = 0; s->explanation != NULL && i < s->proposer_count; i++) {
        struct contact *contact = &s->proposers[i];
        if (contact->explain_request == 0 || contact->explain_sent || !contact->is_welcome) {
            continue;
        }
        struct message msg = {.kind = MSG_EXPLAIN};
        msg.explain.request = contact->explain_request;
        contact->explain_sent = links_send(s, contact, &msg) == 0;
    }
}

static void ask(struct contact *contact, uint64_t request)
{
    contact->explain_request = request;
    contact->explain_sent = 0;
}

static struct synod_explanation *begin(struct synod *s)
{
    const struct config *cfg = &s->config;
    struct synod_explanation *e = memory_calloc(1, sizeof *e);
    e->is_raft = cfg->protocol == CONFIG_RAFT;
    e->heartbeat_ms = cfg->heartbeat_ms;
    e->election_ms = cfg->election_ms;
    e->prepare_quorum = cfg->members.q1;
    e->accept_quorum = cfg->members.q2;
    e->acceptor_count = cfg->members.acceptor_count;
    memcpy(e->acceptors, cfg->members.acceptors, sizeof e->acceptors);
    e->proposer_count = s->proposer_count;
    settings_tell(s, &cfg->settings, &e->oracle);
    uint64_t request = ++s->request;
    for (size_t i = 0; i < s->proposer_count; i++) {
        e->proposers[i].id = (uint32_t)s->proposers[i].peer.id;
        e->proposers[i].state = status_state_name(NODE_UNREACHABLE);
        ask(&s->proposers[i], request);
        links_want(s, &s->proposers[i]);
    }
    return e;
}

static size_t unanswered_count(const struct synod *s)
{
    size_t count = 0;
    for (size_t i = 0; i < s->proposer_count; i++) {
        count += s->proposers[i].explain_request != 0;
    }
    return count;
}

/* The settings, if a learner answers soon. Proposers answer meanwhile. */
static int collect_settings(struct synod *s, struct synod_explanation *e, time_ms_t until)
{
    struct errmsg kept = s->err;
    int rc = settings_ask(s, SYNOD_LOCAL, until, &e->oracle);
    e->is_oracle_known = rc == SYNOD_OK;
    s->err = kept;
    return rc == SYNOD_E_INTERRUPTED ? rc : SYNOD_OK;
}

/* What proposers say. Once anybody has answered, a learner too, the cluster is within reach, and
 * those that are silent by then are not worth the whole timeout. */
static int collect(struct synod *s, int is_learner_heard, time_ms_t patience, time_ms_t deadline)
{
    for (;;) {
        size_t missing = unanswered_count(s);
        time_ms_t now = client_now();
        int is_alone = missing == s->proposer_count;
        if (missing == 0 || (!is_alone && now >= patience)) {
            return SYNOD_OK;
        }
        if (now >= deadline || (is_learner_heard && now >= patience)) {
            return client_unavailable(s, "no proposer answered in time");
        }
        int rc = client_turn(s, now < patience ? patience : deadline);
        if (rc != SYNOD_OK) {
            return rc;
        }
    }
}

static void forget(struct synod_explained_proposer *p)
{
    free(p->links);
    *p = (struct synod_explained_proposer){.id = p->id,
                                           .state = status_state_name(NODE_UNREACHABLE)};
}

/* Times count on and leaders die while the silent ones are waited for: who answered is asked again,
 * so that what is told is of now. */
static int refresh(struct synod *s, struct synod_explanation *e)
{
    uint64_t request = ++s->request;
    for (size_t i = 0; i < s->proposer_count; i++) {
        ask(&s->proposers[i], e->proposers[i].is_answering ? request : 0);
    }
    time_ms_t until = client_now() + AGAIN_MS;
    int rc = SYNOD_OK;
    s->explanation = e;
    while (rc == SYNOD_OK && unanswered_count(s) > 0 && client_now() < until) {
        rc = client_turn(s, until);
    }
    s->explanation = NULL;
    for (size_t i = 0; i < s->proposer_count; i++) {
        if (s->proposers[i].explain_request != 0) {
            s->proposers[i].explain_request = 0;
            forget(&e->proposers[i]);
        }
    }
    return rc;
}

int synod_explain(struct synod *s, struct synod_explanation **out)
{
    *out = NULL;
    int rc = client_may_block(s);
    if (rc != SYNOD_OK) {
        return rc;
    }
    time_ms_t began_at = client_now();
    time_ms_t deadline = client_deadline(began_at, s->timeout_ms);
    time_ms_t patience = began_at + STATUS_SILENCE_MS;
    patience = deadline < patience ? deadline : patience;
    struct synod_explanation *e = s->explanation = begin(s);
    rc = collect_settings(s, e, patience);
    if (rc == SYNOD_OK) {
        rc = collect(s, e->is_oracle_known, patience, deadline);
    }
    s->explanation = NULL;
    if (rc == SYNOD_OK && client_now() - began_at > STALE_MS) {
        rc = refresh(s, e);
    }
    if (rc != SYNOD_OK && rc != SYNOD_E_UNAVAILABLE) {
        synod_explanation_free(e);
        return rc;
    }
    *out = e;
    return rc;
}

void synod_explanation_free(struct synod_explanation *explanation)
{
    if (explanation == NULL) {
        return;
    }
    for (size_t i = 0; i < explanation->proposer_count; i++) {
        free(explanation->proposers[i].links);
    }
    free(explanation);
}
