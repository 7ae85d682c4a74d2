#include "common/client/core/state.h"

void target_init(struct client *c)
{
    c->target.proposer = rng_below(&c->rng, c->contacts.proposer_count);
    c->target.pause_ms = PAUSE_MS_MIN;
}

const struct contact *target_contact(const struct client *c)
{
    return &c->contacts.proposers[c->target.proposer];
}

void target_rotate(struct client *c)
{
    size_t count = c->contacts.proposer_count;
    for (size_t i = 1; i <= count; i++) {
        size_t next = (c->target.proposer + i) % count;
        if (c->contacts.proposers[next].is_up) {
            c->target.proposer = next;
            return;
        }
    }
}

void target_doubt(struct client *c)
{
    c->target.is_probing = 1;
}

int target_is_open(struct client *c)
{
    if (c->now < c->target.paused_until || !contacts_learner(c)->is_up) {
        return 0; /* without a learner nobody would hear the results */
    }
    if (!target_contact(c)->is_up) {
        target_rotate(c);
        target_doubt(c);
    }
    return target_contact(c)->is_up;
}

void target_note_progress(struct client *c)
{
    c->target.redirect_count = 0;
    c->target.pause_ms = PAUSE_MS_MIN;
    c->target.is_probing = 0;
}

/* ---- pauses */

void target_note_results(struct client *c)
{
    if (c->target.is_busy_pause) {
        target_end_pause(c);
    }
}

void target_end_pause(struct client *c)
{
    c->target.paused_until = 0;
    c->target.is_busy_pause = 0;
}

void target_pause_for(struct client *c, time_ms_t ms, int ends_with_results)
{
    c->target.paused_until = c->now + ms;
    c->target.is_busy_pause = ends_with_results;
}

void target_pause_growing(struct client *c)
{
    uint32_t pause_ms = c->target.pause_ms;
    target_pause_for(c, pause_ms + (time_ms_t)rng_below(&c->rng, pause_ms), 0);
    c->target.pause_ms = pause_ms * 2 < PAUSE_MS_MAX ? pause_ms * 2 : PAUSE_MS_MAX;
}

/* ---- what proposers say */

static struct contact *find_proposer(struct client *c, uint64_t id)
{
    return contacts_find(c, (struct peer){ROLE_PROPOSER, id});
}

void target_on_not_leader(struct client *c, node_id_t leader)
{
    struct target *target = &c->target;
    struct contact *named = leader != 0 ? find_proposer(c, leader) : NULL;
    target->redirect_count++;
    submit_rewind(c);
    if (named == NULL || named == target_contact(c)) {
        note_trouble(c, "no proposer leads");
        target_doubt(c);
        target_rotate(c);
        target_pause_growing(c);
        return;
    }
    target->proposer = (size_t)(named - c->contacts.proposers);
    note_trouble(c, "proposer %u is said to lead and does not answer", leader);
    /* Two that name each other, or one that names the dead, must not keep us spinning. */
    if (!named->is_up || target->redirect_count > 2 * c->contacts.proposer_count) {
        target_doubt(c);
        target_pause_growing(c);
    } else {
        target->is_probing = 0;
        target->paused_until = 0;
    }
}

void target_on_leading(struct client *c, const struct message *msg)
{
    struct target *target = &c->target;
    const struct ballot *ballot = &msg->leading.ballot;
    struct contact *leader = find_proposer(c, msg->from.id);
    int order = ballot_compare(ballot, &target->leading);
    if (leader == NULL || msg->from.role != ROLE_PROPOSER || order < 0) {
        return;
    }
    int is_news = order > 0 || leader != target_contact(c);
    target->leading = *ballot;
    if (!is_news && target->paused_until <= c->now) {
        return;
    }
    target->proposer = (size_t)(leader - c->contacts.proposers);
    target_end_pause(c);
    target_note_progress(c);
    submit_rewind(c);
}
