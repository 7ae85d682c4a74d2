#include "tests/trace/answers.h"

#include "common/base/bytes.h"
#include "common/protocol/value.h"
#include "tests/trace/disk.h"

#include <string.h>

/* The acceptor's disk format (common/PROTOCOL.md), as in checker.c. */
#define BALLOT_BYTES 20
#define ACCEPTED_KEY_BYTES 9

/* ---- what it has stored, the records of this turn included */

static struct ballot read_ballot(const uint8_t *p)
{
    return (struct ballot){bytes_get_u64(p), bytes_get_u32(p + 8), bytes_get_u64(p + 12)};
}

static int is_slot_key(struct slice key)
{
    return key.size == ACCEPTED_KEY_BYTES && key.data[0] == 'a';
}

/* The newest record of the turn with that key, or NULL. */
static const struct record *newest(const struct answers_step *step, struct slice key)
{
    for (size_t i = step->fx->record_count; i > 0; i--) {
        const struct record *record = &step->fx->records[i - 1];
        if (slice_equal(slice_borrow(record->key, record->key_size), key)) {
            return record;
        }
    }
    return NULL;
}

/* The vote for a slot. 0 if there is none. */
static int stored_vote(const struct answers_step *step, slot_t slot, struct ballot *ballot,
                       struct slice *value)
{
    uint8_t bytes[ACCEPTED_KEY_BYTES] = {'a'};
    bytes_put_u64(bytes + 1, slot);
    struct slice key = slice_borrow(bytes, sizeof bytes);
    const struct record *record = newest(step, key);
    if (record != NULL) {
        *ballot = read_ballot(record->head);
        *value = record->body;
        return !record->is_delete;
    }
    const struct blob *blob = disk_seen(step->disk, key);
    if (blob == NULL || blob->size < BALLOT_BYTES) {
        return 0;
    }
    *ballot = read_ballot(blob->data);
    *value = slice_borrow(blob->data + BALLOT_BYTES, blob->size - BALLOT_BYTES);
    return 1;
}

/* The highest slot that it has a vote for. */
static slot_t stored_max(const struct answers_step *step)
{
    struct slice key = disk_last_below(step->disk, slice_borrow("b", 1));
    slot_t most = is_slot_key(key) ? bytes_get_u64(key.data + 1) : 0;
    for (size_t i = 0; i < step->fx->record_count; i++) {
        const struct record *record = &step->fx->records[i];
        if (is_slot_key(slice_borrow(record->key, record->key_size))) {
            slot_t slot = bytes_get_u64(record->key + 1);
            most = slot > most ? slot : most;
        }
    }
    return most;
}

static slot_t stored_watermark(const struct answers_step *step)
{
    const struct record *record = newest(step, slice_borrow("c", 1));
    if (record != NULL) {
        return bytes_get_u64(record->head);
    }
    const struct blob *blob = disk_seen(step->disk, slice_borrow("c", 1));
    return blob != NULL && blob->size >= 8 ? bytes_get_u64(blob->data) : 0;
}

static struct ballot stored_promise(const struct answers_step *step)
{
    const struct record *record = newest(step, slice_borrow("p", 1));
    if (record != NULL) {
        return read_ballot(record->head);
    }
    const struct blob *blob = disk_seen(step->disk, slice_borrow("p", 1));
    return blob != NULL && blob->size >= BALLOT_BYTES ? read_ballot(blob->data) : BALLOT_NONE;
}

/* 1 if this step stored a promise. */
static int has_promised(const struct answers_step *step)
{
    for (size_t i = step->first_record; i < step->fx->record_count; i++) {
        const struct record *record = &step->fx->records[i];
        if (record->key_size == 1 && record->key[0] == 'p') {
            return 1;
        }
    }
    return 0;
}

/* ---- leases (DESIGN 5) */

static struct acceptor_watch *watch_of(struct checker *checker, node_id_t acceptor)
{
    return &checker->acceptors[members_acceptor_index(checker->members, acceptor)];
}

static void on_start(struct checker *checker, const struct answers_step *step)
{
    struct ballot promised = stored_promise(step);
    *watch_of(checker, step->acceptor) =
        (struct acceptor_watch){.promised = promised,
                                .started_at = step->event->now,
                                .may_have_granted = !ballot_is_none(&promised)};
}

/* 1 if nothing as new was heard of that process of the proposer. */
static int is_news(struct acceptor_watch *watch, size_t proposer, uint64_t incarnation,
                   uint64_t sequence)
{
    size_t last = WATCHED_LIVES - 1;
    for (size_t i = 0; i <= last; i++) {
        if (watch->heard[proposer][i].incarnation == incarnation) {
            int is_newer = sequence > watch->heard[proposer][i].sequence;
            watch->heard[proposer][i].sequence =
                is_newer ? sequence : watch->heard[proposer][i].sequence;
            return is_newer;
        }
    }
    memmove(&watch->heard[proposer][0], &watch->heard[proposer][1],
            last * sizeof watch->heard[proposer][0]);
    watch->heard[proposer][last].incarnation = incarnation;
    watch->heard[proposer][last].sequence = sequence;
    return 1;
}

/* A heartbeat of the leader it follows grants a lease; a copy of an older one does not. */
static void on_heartbeat(struct checker *checker, const struct answers_step *step)
{
    const struct message *msg = step->event->msg;
    const struct msg_heartbeat *heartbeat = &msg->heartbeat;
    struct acceptor_watch *watch = watch_of(checker, step->acceptor);
    int index = members_proposer_index(checker->members, (node_id_t)msg->from.id);
    int is_own =
        msg->from.role == ROLE_PROPOSER && index >= 0 &&
        (ballot_is_none(&heartbeat->ballot) || (heartbeat->ballot.proposer == msg->from.id &&
                                                heartbeat->ballot.incarnation == msg->incarnation));
    if (!is_own || !is_news(watch, (size_t)index, msg->incarnation, heartbeat->sequence)) {
        return;
    }
    if (ballot_is_none(&heartbeat->ballot) ||
        (ballot_compare(&heartbeat->ballot, &watch->promised) <= 0 &&
         !ballot_equal(&heartbeat->ballot, &watch->promised))) {
        return;
    }
    time_ms_t lease_ms = heartbeat->lease_ms;
    lease_ms = lease_ms < step->election_ms ? lease_ms : step->election_ms;
    watch->leader = heartbeat->ballot;
    watch->leader_heard_at = step->event->now;
    watch->is_released = 0;
    watch->lease_until = step->event->now + lease_ms;
}

static void on_release(struct checker *checker, const struct answers_step *step)
{
    struct acceptor_watch *watch = watch_of(checker, step->acceptor);
    const struct message *msg = step->event->msg;
    if (msg->from.role == ROLE_PROPOSER && msg->incarnation == msg->release.ballot.incarnation &&
        msg->from.id == msg->release.ballot.proposer &&
        ballot_equal(&msg->release.ballot, &watch->leader)) {
        watch->lease_until = 0;
        watch->is_released = 1;
    }
}

static void check_lease(struct checker *checker, const struct answers_step *step,
                        const struct ballot *ballot)
{
    const struct acceptor_watch *watch = watch_of(checker, step->acceptor);
    time_ms_t now = step->event->now;
    int is_leader = ballot->proposer == watch->leader.proposer &&
                    ballot->incarnation == watch->leader.incarnation;
    if (now < watch->lease_until && !is_leader) {
        checker_violate(checker, "lease",
                        "acceptor %u promises %llu.%u, and the lease of %llu.%u runs for %lld ms",
                        step->acceptor, (unsigned long long)ballot->round, ballot->proposer,
                        (unsigned long long)watch->leader.round, watch->leader.proposer,
                        (long long)(watch->lease_until - now));
    }
    if (watch->may_have_granted && now < watch->started_at + step->election_ms) {
        checker_violate(checker, "lease",
                        "acceptor %u promises %llu.%u %lld ms after its start: a lease of its "
                        "former life may run",
                        step->acceptor, (unsigned long long)ballot->round, ballot->proposer,
                        (long long)(now - watch->started_at));
    }
}

/* Nobody is refused for a lease that has run out: a dead leader would be waited for. */
static void check_lease_left(struct checker *checker, const struct answers_step *step,
                             time_ms_t left_ms)
{
    const struct acceptor_watch *watch = watch_of(checker, step->acceptor);
    time_ms_t until = watch->lease_until;
    if (watch->may_have_granted && watch->started_at + step->election_ms > until) {
        until = watch->started_at + step->election_ms;
    }
    time_ms_t most_ms = until > step->event->now ? until - step->event->now : 0;
    if (left_ms > most_ms) {
        checker_violate(checker, "lease",
                        "acceptor %u says that a lease runs for %lld ms, it runs for %lld ms",
                        step->acceptor, (long long)left_ms, (long long)most_ms);
    }
}

/* Whom it follows and since when it has not heard that one is what proposers go by: whether they
 * may campaign, and whom they send clients to. A leader that gave up its lease counts as silent. */
static void check_leader(struct checker *checker, const struct answers_step *step,
                         const struct msg_report *report)
{
    const struct acceptor_watch *watch = watch_of(checker, step->acceptor);
    int has_leader = !ballot_is_none(&watch->leader);
    time_ms_t silence_ms =
        step->event->now - (has_leader ? watch->leader_heard_at : watch->started_at);
    if (watch->is_released || silence_ms > UINT32_MAX) {
        silence_ms = UINT32_MAX;
    }
    if (!ballot_equal(&report->leader, &watch->leader) || report->leader_silence_ms != silence_ms) {
        checker_violate(checker, "report",
                        "acceptor %u reports leader %llu.%u, silent for %u ms, in place of "
                        "%llu.%u, for %lld ms",
                        step->acceptor, (unsigned long long)report->leader.round,
                        report->leader.proposer, report->leader_silence_ms,
                        (unsigned long long)watch->leader.round, watch->leader.proposer,
                        (long long)silence_ms);
    }
}

/* ---- what it says */

static const struct slot_entry *entry_of(const struct msg_promise *promise, slot_t slot)
{
    for (uint32_t i = 0; i < promise->entry_count; i++) {
        if (promise->entries[i].slot == slot) {
            return &promise->entries[i];
        }
    }
    return NULL;
}

/* A page of a promise holds every vote of its part of the log as it is, and nothing else. */
static void check_page(struct checker *checker, const struct answers_step *step,
                       const struct msg_promise *promise)
{
    slot_t from = promise->from_slot > promise->chosen ? promise->from_slot : promise->chosen + 1;
    slot_t to = promise->next_slot != 0 ? promise->next_slot - 1 : stored_max(step);
    uint32_t expected = 0;
    for (slot_t slot = from; slot <= to; slot++) {
        struct ballot ballot;
        struct slice value;
        if (!stored_vote(step, slot, &ballot, &value)) {
            continue;
        }
        /* Entries rise, so the next one is this slot's, or a search finds what is wrong. */
        const struct slot_entry *entry =
            expected < promise->entry_count && promise->entries[expected].slot == slot
                ? &promise->entries[expected]
                : entry_of(promise, slot);
        expected++;
        if (entry == NULL || !ballot_equal(&entry->ballot, &ballot) ||
            !slice_equal(entry->value, value) ||
            (value.size >= VALUE_HEAD_BYTES && bytes_get_u64(value.data + 1) > promise->stamp_ms)) {
            checker_violate(checker, "promise-says",
                            "a promise of acceptor %u hides its vote for slot %llu at %llu.%u",
                            step->acceptor, (unsigned long long)slot,
                            (unsigned long long)ballot.round, ballot.proposer);
            return;
        }
    }
    if (expected != promise->entry_count) {
        checker_violate(checker, "promise-says",
                        "a promise of acceptor %u holds %u votes from slot %llu, stored are %u",
                        step->acceptor, promise->entry_count, (unsigned long long)from, expected);
    }
}

static void check_promise(struct checker *checker, const struct answers_step *step,
                          const struct msg_promise *promise)
{
    struct ballot stored = stored_promise(step);
    int is_first = promise->from_slot == 0;
    if (!ballot_equal(&promise->ballot, &stored) || (is_first && !has_promised(step))) {
        checker_violate(
            checker, "promise", "acceptor %u tells of promise %llu.%u%s, stored is %llu.%u",
            step->acceptor, (unsigned long long)promise->ballot.round, promise->ballot.proposer,
            is_first ? " as a new one" : "", (unsigned long long)stored.round, stored.proposer);
    }
    if (is_first) {
        check_lease(checker, step, &promise->ballot);
    }
    if (promise->chosen > stored_watermark(step) || promise->accepted_max < stored_max(step)) {
        checker_violate(checker, "promise-says",
                        "a promise of acceptor %u says chosen %llu and accepted %llu, stored are "
                        "%llu and %llu",
                        step->acceptor, (unsigned long long)promise->chosen,
                        (unsigned long long)promise->accepted_max,
                        (unsigned long long)stored_watermark(step),
                        (unsigned long long)stored_max(step));
    }
    check_page(checker, step, promise);
}

/* What it promised it says as it is, so that whoever is refused knows what would do. */
static void check_told(struct checker *checker, const struct answers_step *step, const char *what,
                       const struct ballot *told)
{
    struct ballot stored = stored_promise(step);
    if (!ballot_equal(told, &stored)) {
        checker_violate(checker, "told", "a %s of acceptor %u names promise %llu.%u, it is %llu.%u",
                        what, step->acceptor, (unsigned long long)told->round, told->proposer,
                        (unsigned long long)stored.round, stored.proposer);
    }
}

/* A reader waits for the highest slot that a quorum names: none that was accepted may be
 * missing. */
static void check_accepted_max(struct checker *checker, const struct answers_step *step,
                               const char *what, slot_t accepted_max)
{
    slot_t stored = stored_max(step);
    slot_t watermark = stored_watermark(step);
    stored = watermark > stored ? watermark : stored;
    if (accepted_max < stored) {
        checker_violate(checker, "accepted-max",
                        "a %s of acceptor %u names slot %llu as its last, stored is %llu", what,
                        step->acceptor, (unsigned long long)accepted_max,
                        (unsigned long long)stored);
    }
}

/* Chosen slots come without a gap from the one that was asked for up to the watermark, or as far as
 * the page goes; what is gone is named (TRAPS 7.6), and is gone. */
static void check_chosen(struct checker *checker, const struct answers_step *step,
                         const struct msg_chosen *chosen)
{
    struct ballot ballot;
    struct slice value;
    int is_trimmed = chosen->trimmed > 0 && stored_vote(step, chosen->trimmed, &ballot, &value);
    slot_t next = chosen->from > chosen->trimmed ? chosen->from : chosen->trimmed + 1;
    int is_missing = chosen->entry_count == 0 && next <= chosen->chosen;
    for (uint32_t i = 0; i < chosen->entry_count; i++) {
        slot_t slot = chosen->entries[i].slot;
        /* Above the watermark there may be holes. */
        is_missing |= slot < next || (slot > next && next <= chosen->chosen);
        next = slot + 1;
    }
    if (is_trimmed || is_missing || chosen->trimmed > chosen->chosen) {
        checker_violate(
            checker, "served",
            "acceptor %u is asked for slots from %llu, has %llu chosen, %llu trimmed, "
            "and serves %u from %llu",
            step->acceptor, (unsigned long long)chosen->from, (unsigned long long)chosen->chosen,
            (unsigned long long)chosen->trimmed, chosen->entry_count,
            (unsigned long long)(chosen->entry_count > 0 ? chosen->entries[0].slot : 0));
    }
}

static void check_send(struct checker *checker, const struct answers_step *step,
                       const struct message *msg)
{
    switch (msg->kind) {
    case MSG_PROMISE:
        check_promise(checker, step, &msg->promise);
        break;
    case MSG_NACK:
        check_told(checker, step, "nack", &msg->nack.promised);
        check_lease_left(checker, step, msg->nack.reason == NACK_LEASE ? msg->nack.retry_ms : 0);
        break;
    case MSG_REPORT:
        check_told(checker, step, "report", &msg->report.promised);
        check_lease_left(checker, step, msg->report.lease_left_ms);
        check_leader(checker, step, &msg->report);
        check_accepted_max(checker, step, "report", msg->report.accepted_max);
        break;
    case MSG_READ_INDEX_REPLY:
        check_accepted_max(checker, step, "reply", msg->read_index_reply.accepted_max);
        break;
    case MSG_CHOSEN:
        check_chosen(checker, step, &msg->chosen);
        break;
    default:
        break;
    }
}

/* ---- that it answers */

static void note_question(struct checker *checker, const struct message *msg)
{
    struct question question = {.kind = msg->kind, .from = msg->from};
    switch (msg->kind) {
    case MSG_PREPARE:
        question.ballot = msg->prepare.ballot;
        question.number = msg->prepare.from_slot;
        break;
    case MSG_ACCEPT:
        question.ballot = msg->accept.ballot;
        question.number = msg->accept.slot;
        break;
    case MSG_HEARTBEAT:
        if (msg->from.role != ROLE_PROPOSER ||
            members_proposer_index(checker->members, (node_id_t)msg->from.id) < 0) {
            return; /* of no member */
        }
        question.ballot = msg->heartbeat.ballot;
        question.number = msg->heartbeat.sequence;
        break;
    case MSG_FETCH:
        question.number = msg->fetch.from;
        break;
    case MSG_READ_INDEX:
        question.number = msg->read_index.request;
        break;
    default:
        return;
    }
    if (checker->question_count < QUESTIONS_MAX) {
        checker->questions[checker->question_count++] = question;
    }
}

static int is_answer(const struct question *question, const struct outgoing *send)
{
    const struct message *msg = &send->msg;
    if (!peer_equal(send->to, question->from)) {
        return 0;
    }
    switch (msg->kind) {
    case MSG_PROMISE:
        return question->kind == MSG_PREPARE &&
               ballot_equal(&msg->promise.ballot, &question->ballot) &&
               msg->promise.from_slot == question->number;
    case MSG_NACK:
        return (question->kind == MSG_PREPARE || question->kind == MSG_ACCEPT ||
                question->kind == MSG_HEARTBEAT) &&
               ballot_equal(&msg->nack.ballot, &question->ballot);
    case MSG_ACCEPTED:
        return question->kind == MSG_ACCEPT &&
               ballot_equal(&msg->accepted.ballot, &question->ballot) &&
               msg->accepted.first <= question->number && msg->accepted.last >= question->number;
    case MSG_REPORT:
        return question->kind == MSG_HEARTBEAT && msg->report.sequence == question->number;
    case MSG_CHOSEN:
        return question->kind == MSG_FETCH && msg->chosen.from == question->number;
    case MSG_READ_INDEX_REPLY:
        return question->kind == MSG_READ_INDEX &&
               msg->read_index_reply.request == question->number;
    default:
        return 0;
    }
}

void answers_on_turn(struct checker *checker)
{
    checker->question_count = 0;
}

/* An accepted answers a run of accepts, everything else one question. */
static void take_answer(struct checker *checker, const struct outgoing *send)
{
    for (size_t k = 0; k < checker->question_count; k++) {
        struct question *question = &checker->questions[k];
        if (question->kind != 0 && is_answer(question, send)) {
            question->kind = 0;
            if (send->msg.kind != MSG_ACCEPTED) {
                return;
            }
        }
    }
}

void answers_on_flush(struct checker *checker, const struct answers_step *step)
{
    /* The runs first: a nack may be for a copy of the prepare, or for an accept. */
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < step->fx->send_count; i++) {
            const struct outgoing *send = &step->fx->sends[i];
            if ((send->msg.kind == MSG_ACCEPTED) == (pass == 0)) {
                take_answer(checker, send);
            }
        }
    }
    for (size_t k = 0; k < checker->question_count; k++) {
        const struct question *question = &checker->questions[k];
        if (question->kind != 0) {
            checker_violate(checker, "silence", "acceptor %u does not answer a %s of %s %llu",
                            step->acceptor, message_kind_name(question->kind),
                            role_name(question->from.role), (unsigned long long)question->from.id);
            return;
        }
    }
}

void answers_on_step(struct checker *checker, const struct answers_step *step)
{
    struct acceptor_watch *watch = watch_of(checker, step->acceptor);
    if (step->event->kind == EVENT_START) {
        on_start(checker, step);
    }
    if (step->event->kind == EVENT_MESSAGE) {
        note_question(checker, step->event->msg);
        if (step->event->msg->kind == MSG_HEARTBEAT) {
            on_heartbeat(checker, step);
        } else if (step->event->msg->kind == MSG_RELEASE) {
            on_release(checker, step);
        }
    }
    for (size_t i = step->first_send; i < step->fx->send_count; i++) {
        check_send(checker, step, &step->fx->sends[i].msg);
    }
    if (step->fx->record_count > step->first_record && has_promised(step)) {
        watch->promised = stored_promise(step);
    }
}
