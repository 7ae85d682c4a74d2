#include "acceptor/log/codec.h"
#include "acceptor/state.h"
#include "common/base/bytes.h"
#include "common/base/mutant.h"

/* Records: 'p' promise, 'c' chosen watermark, 'a' + slot an accepted slot. */

struct log_slot *acceptor_find(const struct acceptor *a, slot_t slot)
{
    return slot_log_find(&a->log, slot);
}

void acceptor_store_accepted(struct acceptor *a, enum durability durability, slot_t slot,
                             const struct ballot *ballot, struct slice value, struct effects *out)
{
    a->log.settled = a->chosen; /* what lies a whole ring below is chosen */
    struct log_slot *known = slot_log_put(&a->log, durability, slot, ballot, value, out);
    known->flags &= ~(unsigned)ACCEPTED_LAZY;
    known->flags |= durability == RECORD_LAZY ? ACCEPTED_LAZY : 0;
}

void acceptor_store_promise(const struct acceptor *a, struct effects *out)
{
    uint8_t bytes[BALLOT_BYTES];
    codec_put_ballot(bytes, &a->promised);
    codec_put_record(RECORD_DURABLE, 'p', bytes, sizeof bytes, out);
}

void acceptor_store_chosen(struct acceptor *a, enum durability durability, struct effects *out)
{
    uint8_t bytes[8];
    bytes_put_u64(bytes, a->chosen);
    codec_put_record(durability, 'c', bytes, sizeof bytes, out);
    a->chosen_stored = a->chosen;
    if (durability == RECORD_DURABLE) {
        a->chosen_durable = a->chosen; /* before anything that rests on it leaves */
    }
}

void acceptor_load(struct acceptor *a, struct effects *out)
{
    const struct store_reader *reader = &a->options.reader;
    uint8_t ballot[BALLOT_BYTES];
    uint8_t chosen[8];
    if (codec_read_record(reader, 'p', ballot, sizeof ballot, out)) {
        a->promised = codec_get_ballot(ballot);
        a->promised_before_start = 1;
    }
    if (codec_read_record(reader, 'c', chosen, sizeof chosen, out)) {
        a->chosen = bytes_get_u64(chosen);
        a->chosen_stored = a->chosen; /* and synced? the former process may not have got so far */
    }
    if (out->fatal != 0) {
        return;
    }
    /* From the watermark itself: its value carries the newest stamp when nothing lies above. */
    slot_log_load(&a->log, a->chosen > 0 ? a->chosen : 1, 0, out);
    if (a->chosen > 0 && out->fatal == 0 && acceptor_find(a, a->chosen) == NULL) {
        effects_fatal(out, ERROR_CORRUPT, "the store says slot %llu is chosen, but lacks it",
                      (unsigned long long)a->chosen);
    }
    if (a->log.last > a->chosen) {
        effects_mark(out, MARK_VOTES_AFTER_RESTART);
    }
}

/* ---- pages */

void acceptor_read_votes(const struct acceptor *a, struct page *page, struct effects *out)
{
    slot_log_read(&a->log, a->log.last, a->chosen, page, out);
    for (uint32_t i = 0; i < page->count && MUTANT(votes_told_at_promise); i++) {
        page->entries[i].ballot = a->promised;
    }
}

void acceptor_read_chosen(const struct acceptor *a, struct page *page, struct effects *out)
{
    page->next += MUTANT(first_slot_not_served);
    slot_log_read(&a->log, a->chosen, a->chosen, page, out);
    if (page->next <= a->chosen) {
        return; /* full */
    }
    for (slot_t slot = page->next; slot <= a->log.last && !page_is_full(page); slot++) {
        const struct log_slot *known = acceptor_find(a, slot);
        if (known != NULL && (known->flags & ACCEPTED_CHOSEN) != 0 && out->fatal == 0) {
            page->next = slot;
            slot_log_read(&a->log, slot, slot, page, out);
        }
    }
}
