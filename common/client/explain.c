/* What every proposer says of why somebody leads, or nobody does: collected, not judged. */
#include "common/client/ask.h"

#include "common/base/memory.h"

#include <stdlib.h>
#include <string.h>

_Static_assert((int)SYNOD_GATE_SERVES == (int)GATE_SERVES, "gates differ");
_Static_assert((int)SYNOD_GATE_CAMPAIGNS == (int)GATE_CAMPAIGNS, "gates differ");
_Static_assert((int)SYNOD_GATE_NO_QUORUM == (int)GATE_NO_QUORUM, "gates differ");
_Static_assert((int)SYNOD_GATE_LEADER_HEARD == (int)GATE_LEADER_HEARD, "gates differ");
_Static_assert((int)SYNOD_GATE_BARRED == (int)GATE_BARRED, "gates differ");
_Static_assert((int)SYNOD_GATE_NOT_NAMED == (int)GATE_NOT_NAMED, "gates differ");
_Static_assert((int)SYNOD_GATE_PAUSES == (int)GATE_PAUSES, "gates differ");
_Static_assert((int)SYNOD_GATE_OPEN == (int)GATE_OPEN, "gates differ");
_Static_assert((int)SYNOD_GATE_FORWARDS == (int)GATE_FORWARDS, "gates differ");

/* ---- one proposer */

static struct synod_ballot tell_ballot(const struct ballot *ballot)
{
    return (struct synod_ballot){ballot->round, ballot->proposer};
}

static void tell_acceptors(const struct msg_explanation *said, struct synod_explained_proposer *out)
{
    out->acceptor_count = said->acceptor_count < MEMBERS_MAX ? said->acceptor_count : MEMBERS_MAX;
    for (size_t i = 0; i < out->acceptor_count; i++) {
        const struct explained_acceptor *acceptor = &said->acceptors[i];
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

static void tell_links(const struct msg_explanation *said, struct synod_explained_proposer *out)
{
    out->links = memory_calloc(said->link_count > 0 ? said->link_count : 1, sizeof *out->links);
    out->link_count = said->link_count;
    for (size_t i = 0; i < said->link_count; i++) {
        const struct explained_link *link = &said->links[i];
        out->links[i] = (struct synod_explained_link){
            .acceptor = link->acceptor,
            .proposer = link->proposer,
            .silence_ms = link->silence_ms,
            .reaches_quorum = link->reaches_quorum != 0,
            .version = link->version,
        };
    }
}

static void tell_proposer(const struct msg_explanation *said, struct synod_explained_proposer *out)
{
    size_t size = said->oracle.size;
    size = size < sizeof out->oracle - 1 ? size : sizeof out->oracle - 1;
    out->is_answering = 1;
    out->state = ask_state_name(said->state);
    out->gate = (enum synod_gate)said->gate;
    out->ballot = tell_ballot(&said->ballot);
    out->leader = tell_ballot(&said->leader);
    out->kind = (enum synod_oracle_kind)said->kind;
    out->version = said->version;
    out->named = said->named;
    out->pause_ms = said->pause_ms;
    out->attempts = said->attempts;
    if (size > 0) {
        memcpy(out->oracle, said->oracle.data, size);
    }
    out->oracle[size] = '\0';
    tell_acceptors(said, out);
    tell_links(said, out);
}

/* ---- all of them */

static void tell_settings(struct synod *s, const struct inquiry_explanation *found,
                          struct synod_explanation *e)
{
    struct settings settings = s->config.settings;
    struct reader rest;
    const struct errmsg kept = s->err;
    e->is_oracle_known =
        found->is_settings_known && settings_read(s, found->settings, &settings, &rest) == SYNOD_OK;
    s->err = kept; /* that they are not known is no failure */
    settings_tell(s, e->is_oracle_known ? &settings : &s->config.settings, &e->oracle);
}

static struct synod_explanation *explain(struct synod *s, const struct inquiry_explanation *found)
{
    const struct config *config = &s->config;
    struct synod_explanation *e = memory_calloc(1, sizeof *e);
    e->is_raft = config->protocol == CONFIG_RAFT;
    e->heartbeat_ms = config->heartbeat_ms;
    e->election_ms = config->election_ms;
    e->prepare_quorum = config->members.q1;
    e->accept_quorum = config->members.q2;
    e->acceptor_count = config->members.acceptor_count;
    memcpy(e->acceptors, config->members.acceptors, sizeof e->acceptors);
    e->proposer_count = found->proposer_count;
    for (size_t i = 0; i < found->proposer_count; i++) {
        e->proposers[i].id = config->members.proposers[i];
        e->proposers[i].state = ask_state_name(NODE_UNREACHABLE);
        if (found->proposers[i].is_answering) {
            tell_proposer(&found->proposers[i].said, &e->proposers[i]);
        }
    }
    tell_settings(s, found, e);
    return e;
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

/* ---- asking */

struct asking_why {
    struct awaited awaited;
    synod_explain_fn fn;
    void *arg;
    struct synod_explanation **taker; /* who keeps the explanation; NULL: nobody */
};

static void on_explained(struct synod *s, struct awaited *self, const struct completion *completion)
{
    const struct asking_why asking = *(struct asking_why *)self;
    free(self);
    int code = completion_code(s, completion);
    struct synod_explanation *e = explain(s, completion->detail);
    asking.fn(asking.arg, code, e);
    if (asking.taker != NULL) {
        *asking.taker = e;
    } else {
        synod_explanation_free(e);
    }
}

static void drop(struct synod *s, struct awaited *self)
{
    const struct asking_why asking = *(struct asking_why *)self;
    free(self);
    if (s->is_closing) {
        asking.fn(asking.arg, SYNOD_E_INTERRUPTED, NULL);
    }
}

static uint64_t ask(struct synod *s, uint32_t timeout_ms, const struct asking_why *what)
{
    struct asking_why *asking = memory_alloc(sizeof *asking);
    *asking = *what;
    asking->awaited.fn = on_explained;
    asking->awaited.drop = drop;
    awaited_add(s, &asking->awaited,
                client_ask_explanation(s->core, handle_deadline(s, timeout_ms)));
    handle_nudge(s);
    return asking->awaited.id;
}

int synod_explain_async(struct synod *s, uint32_t timeout_ms, synod_explain_fn fn, void *arg,
                        uint64_t *id)
{
    const struct asking_why asking = {.fn = fn, .arg = arg};
    int rc = handle_check(s);
    if (rc == SYNOD_OK) {
        ask_give_id(s, ask(s, timeout_ms, &asking), id);
    }
    return rc;
}

struct waiting {
    struct synod *s;
    int is_done;
    int code;
    struct errmsg why; /* with a code other than SYNOD_OK */
};

static void note_explained(void *arg, int code, const struct synod_explanation *explanation)
{
    struct waiting *w = arg;
    (void)explanation;
    w->code = code;
    w->why = w->s->err;
    w->is_done = 1;
}

int synod_explain(struct synod *s, struct synod_explanation **out)
{
    struct waiting w = {.s = s};
    const struct asking_why asking = {.fn = note_explained, .arg = &w, .taker = out};
    *out = NULL;
    int rc = handle_may_block(s);
    if (rc == SYNOD_OK) {
        rc = ask_wait(s, &w.is_done, ask(s, 0, &asking));
    }
    if (rc == SYNOD_OK && w.code != SYNOD_OK) {
        s->err = w.why;
        rc = w.code;
    }
    return rc;
}
