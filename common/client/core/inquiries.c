/* All inquiries: their list, and what they have in common, which is a question to several processes
 * at once. A process is asked as soon as it is up, and again after its connection came back. */
#include "common/client/core/inquiry.h"

#include "common/base/check.h"

#include <stdlib.h>

#define CONTACTS_MAX (2 * MEMBERS_MAX)

_Static_assert(CONTACTS_MAX <= 64, "contacts do not fit a set");

/* ---- the list */

uint64_t inquiry_add(struct client *c, struct inquiry *inquiry, const struct inquiry_type *type,
                     time_ms_t deadline)
{
    inquiry->type = type;
    inquiry->deadline = deadline;
    DL_APPEND(c->inquiries.list, inquiry);
    return pending_add(c, &inquiry->pending, PENDING_INQUIRY);
}

static void take_out(struct client *c, struct inquiry *inquiry)
{
    DL_DELETE(c->inquiries.list, inquiry);
    pending_remove(c, &inquiry->pending);
}

static void destroy(struct client *c, struct inquiry *inquiry)
{
    if (inquiry->type->close != NULL) {
        inquiry->type->close(c, inquiry);
    }
    free(inquiry);
}

static void destroy_done(struct client *c)
{
    struct inquiry *inquiry;
    struct inquiry *next;
    LL_FOREACH_SAFE(c->inquiries.done, inquiry, next)
    {
        destroy(c, inquiry);
    }
    c->inquiries.done = NULL;
}

void inquiry_end(struct client *c, struct inquiry *inquiry, enum completion_kind kind, int code,
                 const void *detail, struct effects *out)
{
    complete(c, out, kind, inquiry->pending.id, code)->detail = detail;
    take_out(c, inquiry);
    LL_PREPEND(c->inquiries.done, inquiry);
}

void inquiry_cancel(struct client *c, uint64_t id)
{
    struct inquiry *inquiry = (struct inquiry *)pending_find(c, id, PENDING_INQUIRY);
    if (inquiry != NULL) {
        take_out(c, inquiry);
        destroy(c, inquiry);
    }
}

void inquiries_close(struct client *c)
{
    destroy_done(c);
    while (c->inquiries.list != NULL) {
        inquiry_cancel(c, c->inquiries.list->pending.id);
    }
}

void inquiries_work(struct client *c, struct effects *out)
{
    struct inquiry *inquiry;
    struct inquiry *next;
    destroy_done(c);
    DL_FOREACH_SAFE(c->inquiries.list, inquiry, next)
    {
        if (!inquiry->is_begun) {
            inquiry->is_begun = 1;
            inquiry->began_at = c->now;
        }
        inquiry->type->work(c, inquiry, out);
    }
}

void inquiries_on_message(struct client *c, const struct message *msg, struct effects *out)
{
    struct inquiry *inquiry;
    (void)out;
    DL_FOREACH(c->inquiries.list, inquiry)
    {
        inquiry->type->take(c, inquiry, msg);
    }
}

/* ---- a question to several */

uint64_t inquiry_proposer(size_t index)
{
    CHECK(index < MEMBERS_MAX);
    return (uint64_t)1 << index;
}

uint64_t inquiry_proposers(const struct client *c)
{
    return ((uint64_t)1 << c->contacts.proposer_count) - 1;
}

uint64_t inquiry_learners(const struct client *c)
{
    return (((uint64_t)1 << c->contacts.learner_count) - 1) << MEMBERS_MAX;
}

/* No bit if the peer is none of ours. */
static uint64_t bit_of(struct client *c, struct peer peer)
{
    const struct contact *contact = contacts_find(c, peer);
    if (contact == NULL) {
        return 0;
    }
    return peer.role == ROLE_PROPOSER
               ? (uint64_t)1 << (contact - c->contacts.proposers)
               : (uint64_t)1 << (MEMBERS_MAX + (contact - c->contacts.learners));
}

void inquiries_on_down(struct client *c, struct peer peer)
{
    struct inquiry *inquiry;
    DL_FOREACH(c->inquiries.list, inquiry)
    {
        inquiry->asked &= ~bit_of(c, peer);
    }
}

void inquiry_ask(struct client *c, struct inquiry *inquiry, uint64_t wanted)
{
    inquiry->request = ++c->questions.request;
    inquiry->wanted = wanted;
    inquiry->asked = inquiry->answered = 0;
}

const struct contact *inquiry_next(struct client *c, struct inquiry *inquiry)
{
    uint64_t due = inquiry->wanted & ~inquiry->asked & ~inquiry->answered;
    for (size_t i = 0; due != 0 && i < CONTACTS_MAX; i++) {
        const struct contact *contact =
            i < MEMBERS_MAX ? &c->contacts.proposers[i] : &c->contacts.learners[i - MEMBERS_MAX];
        uint64_t bit = (uint64_t)1 << i;
        if ((due & bit) != 0 && contact->is_up) {
            inquiry->asked |= bit;
            return contact;
        }
    }
    return NULL;
}

int inquiry_take(struct client *c, struct inquiry *inquiry, struct peer from, uint64_t request)
{
    uint64_t bit = bit_of(c, from) & inquiry->wanted & ~inquiry->answered;
    if (bit == 0 || request != inquiry->request) {
        return 0;
    }
    inquiry->answered |= bit;
    return 1;
}

size_t inquiry_missing_count(const struct inquiry *inquiry)
{
    uint64_t missing = inquiry->wanted & ~inquiry->answered;
    size_t count = 0;
    for (size_t i = 0; i < CONTACTS_MAX; i++) {
        count += (size_t)(missing >> i & 1);
    }
    return count;
}

time_ms_t inquiry_patience(const struct inquiry *inquiry)
{
    time_ms_t patience = inquiry->began_at + INQUIRY_SILENCE_MS;
    return inquiry->deadline < patience ? inquiry->deadline : patience;
}
