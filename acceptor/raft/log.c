#include "acceptor/log/codec.h"
#include "acceptor/raft/state.h"
#include "common/base/bytes.h"
#include "common/base/mutant.h"

/* Records: 't' term and vote, 'c' commit, 'e' + index an entry with the ballot of the leader that
 * made it. */
#define TERM_BYTES (8 + BALLOT_BYTES)

void raft_log_open(struct raft *r)
{
    slot_log_open(&r->log, &r->options.reader, 'e', ACCEPTOR_CACHE_BYTES_MAX);
}

int raft_log_has_room(const struct raft *r)
{
    return r->log.last - r->log.settled < SLOT_LOG_RING / 2;
}

/* ---- changes */

void raft_log_save_term(struct raft *r, struct effects *out)
{
    uint8_t bytes[TERM_BYTES];
    if (!r->is_term_unsaved) {
        return;
    }
    r->is_term_unsaved = 0;
    bytes_put_u64(bytes, r->term);
    codec_put_ballot(bytes + 8, &r->vote);
    /* One record: a crash between two would forget a vote of this term, or invent one of the next
     * (TRAPS 7.10). */
    codec_put_record(MUTANT(raft_vote_not_durable) ? RECORD_LAZY : RECORD_DURABLE, 't', bytes,
                     sizeof bytes, out);
}

void raft_log_append(struct raft *r, const struct ballot *ballot, struct slice value,
                     struct effects *out)
{
    CHECK(raft_log_has_room(r));
    raft_log_save_term(r, out); /* before the entries of that term */
    enum durability durability = MUTANT(raft_entry_not_durable) ? RECORD_LAZY : RECORD_DURABLE;
    (void)slot_log_put(&r->log, durability, r->log.last + 1, ballot, value, out);
}

void raft_log_truncate(struct raft *r, slot_t index, struct effects *out)
{
    CHECK(index > r->commit);
    effects_mark(out, MARK_RAFT_TRUNCATES);
    effects_note(out, NOTE_INFO, "event=truncated from=%llu to=%llu term=%llu",
                 (unsigned long long)index, (unsigned long long)r->log.last,
                 (unsigned long long)r->term);
    slot_log_truncate(&r->log, index, out);
}

void raft_log_written(struct raft *r, struct effects *out)
{
    r->log.settled = r->log.last;
    slot_log_evict(&r->log, out);
}

void raft_log_store_commit(struct raft *r, struct effects *out)
{
    uint8_t bytes[8];
    bytes_put_u64(bytes, r->commit);
    codec_put_record(RECORD_LAZY, 'c', bytes, sizeof bytes, out);
    r->commit_stored = r->commit;
}

/* ---- questions */

uint64_t raft_log_term(const struct raft *r, slot_t index, struct effects *out)
{
    return slot_log_describe(&r->log, index, out).ballot.round;
}

uint64_t raft_log_bytes_between(const struct raft *r, slot_t from, slot_t to)
{
    const struct log_slot *last = slot_log_find(&r->log, to);
    if (to <= from || last == NULL) {
        return 0;
    }
    /* The oldest entry in memory stands for what lies before it. */
    const struct log_slot *first =
        slot_log_find(&r->log, from > r->log.oldest ? from : r->log.oldest);
    return first != NULL && first->bytes_to < last->bytes_to ? last->bytes_to - first->bytes_to : 0;
}

slot_t raft_log_last_with_term(const struct raft *r, slot_t from, uint64_t term)
{
    slot_t index = from;
    const struct log_slot *entry;
    while (index > 0 && (entry = slot_log_find(&r->log, index)) != NULL &&
           entry->ballot.round > term) {
        index--;
    }
    return index;
}

/* ---- start */

void raft_log_load(struct raft *r, struct effects *out)
{
    const struct store_reader *reader = &r->options.reader;
    uint8_t term[TERM_BYTES];
    uint8_t commit[8];
    if (codec_read_record(reader, 't', term, sizeof term, out)) {
        r->term = bytes_get_u64(term);
        r->vote = codec_get_ballot(term + 8);
    }
    if (codec_read_record(reader, 'c', commit, sizeof commit, out)) {
        r->commit = bytes_get_u64(commit);
        r->commit_stored = r->commit;
    }
    if (out->fatal != 0) {
        return;
    }
    /* From the commit itself: its term is what the leader's next append is compared with. */
    slot_log_load(&r->log, r->commit > 0 ? r->commit : 1, 1, out);
    if (r->log.last < r->commit && out->fatal == 0) {
        effects_fatal(out, ERROR_CORRUPT, "the store says entry %llu is committed, but lacks it",
                      (unsigned long long)r->commit);
    }
    r->log.settled = r->log.last;
}
