#include "common/client/core/state.h"

#include "common/base/check.h"

void contacts_init(struct client *c)
{
    struct contacts *contacts = &c->contacts;
    const struct members *members = &c->options.members;
    contacts->proposer_count = members->proposer_count;
    contacts->learner_count = members->learner_count;
    for (size_t i = 0; i < contacts->proposer_count; i++) {
        contacts->proposers[i].peer = (struct peer){ROLE_PROPOSER, members->proposers[i]};
    }
    size_t chosen = rng_below(&c->rng, contacts->learner_count);
    for (size_t i = 0; i < contacts->learner_count; i++) {
        contacts->learners[i].peer = (struct peer){ROLE_LEARNER, members->learners[i]};
        if (c->options.pinned != 0 && members->learners[i] == c->options.pinned) {
            chosen = i;
            contacts->is_pinned = 1;
        }
    }
    CHECK(c->options.pinned == 0 || contacts->is_pinned);
    contacts->learner = chosen;
    contacts->wanted = (uint32_t)1 << chosen;
}

void contacts_begin(struct client *c, time_ms_t now)
{
    c->contacts.learner_since = c->contacts.learner_heard = now;
}

struct contact *contacts_find(struct client *c, struct peer peer)
{
    struct contacts *contacts = &c->contacts;
    int is_proposer = peer.role == ROLE_PROPOSER;
    struct contact *list = is_proposer ? contacts->proposers : contacts->learners;
    size_t count = is_proposer ? contacts->proposer_count : contacts->learner_count;
    if (!is_proposer && peer.role != ROLE_LEARNER) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (list[i].peer.id == peer.id) {
            return &list[i];
        }
    }
    return NULL;
}

uint32_t client_wanted_learners(const struct client *c)
{
    return c->contacts.wanted;
}

void contacts_want_all(struct client *c)
{
    for (size_t i = 0; i < c->contacts.learner_count; i++) {
        c->contacts.wanted |= (uint32_t)1 << i;
    }
}

void contacts_note_heard(struct client *c, struct peer peer)
{
    contacts_find(c, peer)->heard_at = c->now;
    if (peer_equal(peer, contacts_learner(c)->peer)) {
        c->contacts.learner_heard = c->now;
    }
}

void contacts_change_learner(struct client *c, int keeps_polls)
{
    struct contacts *contacts = &c->contacts;
    size_t former = contacts->learner;
    contacts->learner_since = contacts->learner_heard = c->now;
    if (contacts->is_pinned || contacts->learner_count == 1) {
        return;
    }
    /* The old connection stays: its late results are as good as anybody's. */
    contacts->learner = (contacts->learner + 1) % contacts->learner_count;
    contacts->wanted |= (uint32_t)1 << contacts->learner;
    questions_forget_asked(c, former, keeps_polls);
    if (contacts_learner(c)->is_up) {
        submit_rewind(c); /* it answers what it applies from now on, and repeats from its table */
    }
}

void contacts_on_up(struct client *c, struct peer peer, struct effects *out)
{
    struct contact *contact = contacts_find(c, peer);
    (void)out;
    if (contact == NULL) {
        return;
    }
    contact->is_up = 1;
    if (contact == contacts_learner(c)) {
        questions_forget_asked(c, c->contacts.learner, 0);
        submit_rewind(c); /* results of what it applied before this were not for us */
    } else if (contact == target_contact(c)) {
        target_end_pause(c); /* it was named as the leader before we could reach it */
    }
}

void contacts_on_down(struct client *c, struct peer peer, struct effects *out)
{
    struct contact *contact = contacts_find(c, peer);
    (void)out;
    if (contact == NULL) {
        return;
    }
    contact->is_up = 0;
    inquiries_on_down(c, peer);
    if (peer.role == ROLE_LEARNER) {
        questions_forget_asked(c, (size_t)(contact - c->contacts.learners), 0);
    }
    if (contact == contacts_learner(c)) {
        contacts_change_learner(c, 0);
    } else if (contact == target_contact(c)) {
        submit_rewind(c);
        target_doubt(c);
        target_rotate(c);
    }
}

/* 1 while somebody waits for what only a learner tells. */
static int needs_learner(const struct client *c)
{
    return submit_is_in_flight(c) || c->submit.cursor != NULL ||
           c->session.state == SESSION_OPENING || !RB_EMPTY(&c->questions.timers);
}

/* Nothing is heard from an idle learner, so its silence counts only while it owes us something. */
void contacts_work(struct client *c, struct effects *out)
{
    struct contacts *contacts = &c->contacts;
    if (!needs_learner(c)) {
        contacts->learner_heard = contacts->learner_since = c->now;
        return;
    }
    if (contacts->is_pinned || contacts->learner_count == 1) {
        return;
    }
    if (!contacts_learner(c)->is_up) {
        if (c->now - contacts->learner_since >= LEARNER_CONNECT_MS) {
            contacts_change_learner(c, 0);
        }
        effects_wake(out, contacts->learner_since + LEARNER_CONNECT_MS);
        return;
    }
    if (!submit_is_in_flight(c) && c->session.state != SESSION_OPENING) {
        contacts->learner_heard = c->now; /* only questions wait, and have timers of their own */
        return;
    }
    if (c->now - contacts->learner_heard >= LEARNER_SILENCE_MS) {
        contacts_change_learner(c, 0);
    }
    effects_wake(out, contacts->learner_heard + LEARNER_SILENCE_MS);
}
