#include "tests/trace/checker.h"

#include "common/base/bytes.h"
#include "common/base/memory.h"
#include "common/protocol/value.h"
#include "tests/trace/disk.h"
#include "tests/trace/raft_rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The acceptor's disk format (common/PROTOCOL.md): 'p' -> ballot, 'c' -> slot, 'a' slot -> ballot
 * and value. */
#define BALLOT_BYTES 20
#define ACCEPTED_KEY_BYTES 9

void checker_init(struct checker *checker, const struct members *members)
{
    memset(checker, 0, sizeof *checker);
    checker->members = members;
    primary_order_init(&checker->order, 0);
}

void checker_close(struct checker *checker)
{
    for (size_t i = 0; i < checker->slot_count; i++) {
        for (size_t j = 0; j < checker->slots[i].count; j++) {
            slice_drop(&checker->slots[i].votes[j].value);
        }
        free(checker->slots[i].votes);
    }
    for (size_t i = 0; i < checker->log_count; i++) {
        blob_unref(checker->log[i].bytes);
    }
    raft_rules_free(checker->raft);
    primary_order_close(&checker->order);
    free(checker->slots);
    free(checker->attempts);
    free(checker->log);
}

void checker_violate(struct checker *checker, const char *rule, const char *fmt, ...)
{
    if (checker->rule != NULL) {
        return;
    }
    checker->rule = rule;
    va_list args;
    va_start(args, fmt);
    vsnprintf(checker->violation, sizeof checker->violation, fmt, args);
    va_end(args);
}

struct slot_votes *checker_slot(struct checker *checker, slot_t slot)
{
    size_t wanted = (size_t)slot + 1;
    if (wanted > checker->slot_count) {
        checker->slots =
            memory_grow(checker->slots, &checker->slot_capacity, wanted, sizeof *checker->slots);
        memset(&checker->slots[checker->slot_count], 0,
               (wanted - checker->slot_count) * sizeof *checker->slots);
        checker->slot_count = wanted;
    }
    return &checker->slots[slot];
}

static struct ballot read_ballot(const uint8_t *p)
{
    return (struct ballot){bytes_get_u64(p), bytes_get_u32(p + 8), bytes_get_u64(p + 12)};
}

static int same_bytes(const struct blob *blob, struct slice bytes)
{
    return slice_equal(slice_borrow(blob->data, blob->size), bytes);
}

static int is_known(const struct slot_votes *votes, struct slice value)
{
    for (size_t i = 0; i < votes->count; i++) {
        if (slice_equal(votes->votes[i].value, value)) {
            return 1;
        }
    }
    return 0;
}

/* One value per ballot and slot is checked. */
struct vote *checker_vote(struct checker *checker, slot_t slot, const struct ballot *ballot,
                          struct slice value)
{
    struct slot_votes *votes = checker_slot(checker, slot);
    for (size_t i = 0; i < votes->count; i++) {
        if (ballot_compare(&votes->votes[i].ballot, ballot) != 0) {
            continue;
        }
        if (!ballot_equal(&votes->votes[i].ballot, ballot)) {
            checker_violate(
                checker, "incarnation", "two incarnations propose for slot %llu at ballot %llu.%u",
                (unsigned long long)slot, (unsigned long long)ballot->round, ballot->proposer);
        }
        if (!slice_equal(votes->votes[i].value, value)) {
            checker_violate(checker, "one-value", "two values for slot %llu at ballot %llu.%u",
                            (unsigned long long)slot, (unsigned long long)ballot->round,
                            ballot->proposer);
        }
        return &votes->votes[i];
    }
    if (checker->listener.proposed != NULL && !is_known(votes, value)) {
        checker->listener.proposed(checker->listener.self, slot, ballot, value);
    }
    if (votes->count == votes->capacity) {
        size_t grown = votes->capacity == 0 ? 1 : votes->capacity * 2;
        votes->votes = memory_grow(votes->votes, &votes->capacity, grown, sizeof *votes->votes);
    }
    struct vote *vote = &votes->votes[votes->count++];
    *vote = (struct vote){*ballot, slice_keep(value), 0};
    return vote;
}

/* "Paxos Made Simple", 2.2, P2c: at a lower ballot no other value is chosen, or can still be chosen
 * by acceptors that have not promised a higher one. Checked when a value is proposed, it finds what
 * agreement would show only if the other value came to be chosen. */
static void check_safe(struct checker *checker, slot_t slot, const struct ballot *ballot,
                       struct slice value)
{
    const struct slot_votes *votes = checker_slot(checker, slot);
    for (size_t i = 0; i < votes->count && !checker->lenient; i++) {
        const struct vote *vote = &votes->votes[i];
        if (ballot_compare(&vote->ballot, ballot) >= 0 || slice_equal(vote->value, value)) {
            continue;
        }
        acceptor_set_t possible = vote->voters;
        for (size_t k = 0; k < checker->members->acceptor_count; k++) {
            if (ballot_compare(&checker->promised[k], &vote->ballot) <= 0) {
                possible |= (acceptor_set_t)1 << k;
            }
        }
        if (is_accept_quorum(checker->members, possible)) {
            checker_violate(checker, "safe",
                            "ballot %llu.%u proposes a value for slot %llu while another one can "
                            "be chosen at %llu.%u",
                            (unsigned long long)ballot->round, ballot->proposer,
                            (unsigned long long)slot, (unsigned long long)vote->ballot.round,
                            vote->ballot.proposer);
        }
    }
}

/* ---- the order of primaries */

void checker_on_broadcast(struct checker *checker, const struct ballot *primary, slot_t slot,
                          enum broadcast_kind kind)
{
    struct errmsg err;
    const char *rule = primary_order_on_broadcast(&checker->order, primary, slot, kind, &err);
    if (rule != NULL && !checker->lenient) {
        checker_violate(checker, rule, "%s", err.text);
    }
}

static int is_noop(struct slice value)
{
    return value.size > 0 && value.data[0] == VALUE_NOOP;
}

/* Of a value that a proposer proposes at this ballot for the first time. */
static enum broadcast_kind kind_of(const struct slot_votes *before, const struct msg_accept *accept)
{
    struct value value;
    if (is_known(before, accept->value)) {
        return BROADCAST_AGAIN;
    }
    if (is_noop(accept->value)) {
        return BROADCAST_NOOP;
    }
    if (value_parse(accept->value, &value) == 0 && value.kind == VALUE_LEAD &&
        ballot_equal(&value.lead, &accept->ballot)) {
        return BROADCAST_ANNOUNCEMENT;
    }
    return BROADCAST_OWN;
}

/* An entry of Raft keeps the ballot of its leader. A proposer proposes the values of others at its
 * own; who did so first is the first of the votes. */
static struct ballot origin_of(const struct checker *checker, const struct slot_votes *votes)
{
    size_t i = 0;
    while (checker->raft == NULL && i + 1 < votes->count &&
           !slice_equal(votes->votes[i].value, votes->chosen)) {
        i++;
    }
    return checker->raft == NULL ? votes->votes[i].ballot : votes->chosen_ballot;
}

static void check_delivery(struct checker *checker, slot_t slot, const struct slot_votes *votes)
{
    const struct delivered_value value = {.slot = slot,
                                          .origin = origin_of(checker, votes),
                                          .chosen_by = votes->chosen_ballot,
                                          .is_noop = is_noop(votes->chosen)};
    struct errmsg err;
    const char *rule = primary_order_on_delivery(&checker->order, &value, &err);
    if (rule != NULL && !checker->lenient) {
        checker_violate(checker, rule, "%s", err.text);
    }
}

static void advance_chosen_prefix(struct checker *checker)
{
    while (checker->chosen_prefix + 1 < checker->slot_count &&
           checker->slots[checker->chosen_prefix + 1].is_chosen) {
        checker->chosen_prefix++;
        const struct slot_votes *votes = &checker->slots[checker->chosen_prefix];
        check_delivery(checker, checker->chosen_prefix, votes);
        if (checker->listener.chosen != NULL) {
            checker->listener.chosen(checker->listener.self, checker->chosen_prefix,
                                     &votes->chosen_ballot, votes->chosen);
        }
    }
}

void checker_choose(struct checker *checker, slot_t slot, const struct ballot *ballot,
                    struct slice value)
{
    struct slot_votes *votes = checker_slot(checker, slot);
    struct vote *vote = checker_vote(checker, slot, ballot, value);
    if (!votes->is_chosen) {
        votes->is_chosen = 1;
        votes->chosen = vote->value;
        votes->chosen_ballot = *ballot;
    } else if (!slice_equal(votes->chosen, vote->value)) {
        checker_violate(checker, "agreement", "agreement: slot %llu was chosen with two values",
                        (unsigned long long)slot);
    }
    advance_chosen_prefix(checker);
}

static void count_vote(struct checker *checker, int acceptor, slot_t slot,
                       const struct ballot *ballot, struct slice value)
{
    if (slot == 0 || slot > 1000000) {
        checker_violate(checker, "store", "an acceptor stores slot %llu", (unsigned long long)slot);
        return;
    }
    struct vote *vote = checker_vote(checker, slot, ballot, value);
    /* What was fetched as chosen is stored, too, at the ballot that chose it: no vote. An equal
     * round of another incarnation is not what was promised. */
    const struct ballot *promised = &checker->promised[acceptor];
    int order = ballot_compare(ballot, promised);
    int is_allowed = order > 0 || (order == 0 && ballot_equal(ballot, promised));
    int is_fetched = checker_slot(checker, slot)->is_chosen &&
                     slice_equal(checker_slot(checker, slot)->chosen, value);
    if (!is_allowed && !is_fetched) {
        checker_violate(checker, "vote",
                        "acceptor %u accepts slot %llu at %llu.%u below its promise",
                        checker->members->acceptors[acceptor], (unsigned long long)slot,
                        (unsigned long long)ballot->round, ballot->proposer);
    }
    vote->voters |= (acceptor_set_t)1 << acceptor;
    if (!is_accept_quorum(checker->members, vote->voters)) {
        return;
    }
    checker_choose(checker, slot, &vote->ballot, vote->value);
}

/* The attempt of exactly that ballot, made if there is none. */
static struct attempt *attempt_of(struct checker *checker, const struct ballot *ballot)
{
    for (size_t i = checker->attempt_count; i > 0; i--) { /* the newest is the likeliest */
        if (ballot_equal(&checker->attempts[i - 1].ballot, ballot)) {
            return &checker->attempts[i - 1];
        }
    }
    checker->attempts = memory_grow(checker->attempts, &checker->attempt_capacity,
                                    checker->attempt_count + 1, sizeof *checker->attempts);
    struct attempt *attempt = &checker->attempts[checker->attempt_count++];
    *attempt = (struct attempt){.ballot = *ballot};
    return attempt;
}

static void check_promise(struct checker *checker, int acceptor, const struct blob *value)
{
    if (value == NULL || value->size < BALLOT_BYTES) {
        checker_violate(checker, "store", "acceptor %u stores a promise that is none",
                        checker->members->acceptors[acceptor]);
        return;
    }
    struct ballot ballot = read_ballot(value->data);
    struct ballot *before = &checker->promised[acceptor];
    int order = ballot_compare(&ballot, before);
    if (order < 0 || (order == 0 && !ballot_equal(&ballot, before))) {
        checker_violate(checker, "promise",
                        "the promise of acceptor %u fell from %llu.%u to %llu.%u",
                        checker->members->acceptors[acceptor], (unsigned long long)before->round,
                        before->proposer, (unsigned long long)ballot.round, ballot.proposer);
    }
    *before = ballot;
    attempt_of(checker, &ballot)->promised_by |= (acceptor_set_t)1 << acceptor;
}

static void check_watermark(struct checker *checker, int acceptor, const struct blob *value)
{
    slot_t watermark = value != NULL && value->size >= 8 ? bytes_get_u64(value->data) : 0;
    if (watermark < checker->watermark[acceptor]) {
        checker_violate(
            checker, "watermark", "acceptor %u knew %llu slots as chosen, and stores %llu",
            checker->members->acceptors[acceptor], (unsigned long long)checker->watermark[acceptor],
            (unsigned long long)watermark);
    }
    if (!checker->lenient && watermark > checker->chosen_prefix) {
        checker_violate(checker, "watermark",
                        "acceptor %u stores %llu slots as chosen, but no quorum has accepted %llu",
                        checker->members->acceptors[acceptor], (unsigned long long)watermark,
                        (unsigned long long)checker->chosen_prefix + 1);
    }
    checker->watermark[acceptor] = watermark;
}

void checker_on_durable(struct checker *checker, node_id_t acceptor, struct slice key,
                        struct blob *value)
{
    int index = members_acceptor_index(checker->members, acceptor);
    if (checker->raft != NULL) {
        raft_rules_on_durable(checker, index, key, value);
    } else if (key.size == 1 && key.data[0] == 'p') {
        check_promise(checker, index, value);
    } else if (key.size == 1 && key.data[0] == 'c') {
        check_watermark(checker, index, value);
    } else if (key.size == ACCEPTED_KEY_BYTES && key.data[0] == 'a' && value != NULL) {
        if (value->size < BALLOT_BYTES) {
            checker_violate(checker, "store", "acceptor %u stores a value without ballot",
                            acceptor);
            return;
        }
        struct ballot ballot = read_ballot(value->data);
        struct slice bytes = {value->data + BALLOT_BYTES, value->size - BALLOT_BYTES, value};
        count_vote(checker, index, bytes_get_u64(key.data + 1), &ballot, bytes);
    }
}

void checker_on_wipe(struct checker *checker, node_id_t acceptor)
{
    int index = members_acceptor_index(checker->members, acceptor);
    checker->promised[index] = BALLOT_NONE;
    checker->watermark[index] = 0;
    if (checker->raft != NULL) {
        raft_rules_on_wipe(checker, index);
    }
}

static int durable_ballot(const struct disk *disk, struct slice key, struct ballot *out)
{
    const struct blob *value = disk_durable(disk, key);
    if (value == NULL || value->size < BALLOT_BYTES) {
        return 0;
    }
    *out = read_ballot(value->data);
    return 1;
}

static void check_promise_durable(struct checker *checker, const struct msg_promise *promise,
                                  const struct disk *disk)
{
    struct ballot ballot;
    if (!durable_ballot(disk, slice_borrow("p", 1), &ballot) ||
        ballot_compare(&ballot, &promise->ballot) < 0) {
        checker_violate(checker, "durable", "promise %llu.%u left before it was durable",
                        (unsigned long long)promise->ballot.round, promise->ballot.proposer);
    }
    const struct blob *value = disk_durable(disk, slice_borrow("c", 1));
    slot_t chosen = value != NULL && value->size >= 8 ? bytes_get_u64(value->data) : 0;
    if (promise->chosen > chosen) {
        checker_violate(checker, "durable", "a promise reports %llu as chosen, durable is %llu",
                        (unsigned long long)promise->chosen, (unsigned long long)chosen);
    }
}

/* The vote of exactly that ballot, or NULL. */
static const struct vote *find_vote(struct checker *checker, slot_t slot,
                                    const struct ballot *ballot)
{
    const struct slot_votes *votes = checker_slot(checker, slot);
    for (size_t i = 0; i < votes->count; i++) {
        if (ballot_equal(&votes->votes[i].ballot, ballot)) {
            return &votes->votes[i];
        }
    }
    return NULL;
}

/* The leader counts each slot as a vote at exactly this ballot. It is one if that vote was durable
 * at any time (one at a higher ballot may have taken its place in the same batch); or if the slot
 * lies below the durable watermark and what is chosen there is what this ballot proposed. */
static void check_accepted(struct checker *checker, int acceptor,
                           const struct msg_accepted *accepted)
{
    for (slot_t slot = accepted->first; slot <= accepted->last; slot++) {
        const struct vote *vote = find_vote(checker, slot, &accepted->ballot);
        int is_voted = vote != NULL && (vote->voters >> acceptor & 1) != 0;
        int is_covered = slot <= checker->watermark[acceptor] && vote != NULL &&
                         checker_slot(checker, slot)->is_chosen &&
                         slice_equal(checker_slot(checker, slot)->chosen, vote->value);
        if (!is_voted && !is_covered && !checker->lenient) {
            checker_violate(checker, "durable",
                            "acceptor %u says accepted %llu.%u slot %llu, and has no such vote",
                            checker->members->acceptors[acceptor],
                            (unsigned long long)accepted->ballot.round, accepted->ballot.proposer,
                            (unsigned long long)slot);
            return;
        }
    }
}

/* What an acceptor says of its promise it must not forget. */
static void check_told(struct checker *checker, const char *what, const struct ballot *promised,
                       const struct disk *disk)
{
    struct ballot ballot = BALLOT_NONE;
    if (disk == NULL || ballot_is_none(promised)) {
        return;
    }
    (void)durable_ballot(disk, slice_borrow("p", 1), &ballot);
    if (ballot_compare(&ballot, promised) < 0) {
        checker_violate(checker, "durable", "a %s names promise %llu.%u before it is durable", what,
                        (unsigned long long)promised->round, promised->proposer);
    }
}

void checker_check_commit(struct checker *checker, const char *where, slot_t commit)
{
    if (!checker->lenient && commit > checker->chosen_prefix) {
        checker_violate(checker, "commit",
                        "%s says that %llu is chosen, but no quorum has accepted %llu", where,
                        (unsigned long long)commit, (unsigned long long)checker->chosen_prefix + 1);
    }
}

void checker_check_chosen(struct checker *checker, const struct msg_chosen *chosen)
{
    checker_check_commit(checker, "chosen", chosen->chosen);
    if (checker->lenient) {
        return;
    }
    for (uint32_t i = 0; i < chosen->entry_count; i++) {
        const struct slot_entry *entry = &chosen->entries[i];
        if (entry->slot > checker->chosen_prefix ||
            !slice_equal(checker->slots[entry->slot].chosen, entry->value)) {
            checker_violate(checker, "commit", "slot %llu is served as chosen with another value",
                            (unsigned long long)entry->slot);
        }
    }
}

/* The first value that an attempt proposes: a quorum has promised it exactly this ballot, and knows
 * everything below that slot as chosen, so that nothing chosen is known to fewer (DESIGN 4). */
static void check_attempt(struct checker *checker, const struct msg_accept *accept)
{
    struct attempt *attempt = attempt_of(checker, &accept->ballot);
    if (attempt->has_proposed || checker->lenient) {
        return;
    }
    attempt->has_proposed = 1;
    acceptor_set_t informed = 0;
    for (size_t i = 0; i < checker->members->acceptor_count; i++) {
        if (checker->watermark[i] + 1 >= accept->slot) {
            informed |= (acceptor_set_t)1 << i;
        }
    }
    if (!is_prepare_quorum(checker->members, attempt->promised_by)) {
        checker_violate(checker, "quorum", "ballot %llu.%u proposes without a quorum of promises",
                        (unsigned long long)accept->ballot.round, accept->ballot.proposer);
    }
    if (!is_prepare_quorum(checker->members, informed)) {
        checker_violate(checker, "recovery",
                        "ballot %llu.%u begins at slot %llu, and no quorum knows those before it "
                        "as chosen",
                        (unsigned long long)accept->ballot.round, accept->ballot.proposer,
                        (unsigned long long)accept->slot);
    }
}

/* Only the first time: what is sent again was safe then, and stays so. */
static void check_proposal(struct checker *checker, const struct msg_accept *accept)
{
    const struct slot_votes *before = checker_slot(checker, accept->slot);
    size_t count = before->count;
    enum broadcast_kind kind = kind_of(before, accept);
    check_attempt(checker, accept);
    (void)checker_vote(checker, accept->slot, &accept->ballot, accept->value);
    if (checker_slot(checker, accept->slot)->count > count) {
        checker_on_broadcast(checker, &accept->ballot, accept->slot, kind);
        check_safe(checker, accept->slot, &accept->ballot, accept->value);
    }
}

void checker_on_send(struct checker *checker, struct peer from, const struct message *msg,
                     const struct disk *disk)
{
    if (checker->raft != NULL) {
        raft_rules_on_send(checker, from, msg);
        return;
    }
    switch (msg->kind) {
    case MSG_PROMISE:
        check_promise_durable(checker, &msg->promise, disk);
        checker_check_commit(checker, "a promise", msg->promise.chosen);
        break;
    case MSG_ACCEPTED:
        check_accepted(checker, members_acceptor_index(checker->members, (node_id_t)from.id),
                       &msg->accepted);
        break;
    case MSG_ACCEPT:
        check_proposal(checker, &msg->accept);
        checker_check_commit(checker, "accept", msg->accept.commit);
        break;
    case MSG_COMMIT:
        checker_check_commit(checker, "commit", msg->commit.commit);
        break;
    case MSG_HEARTBEAT:
        checker_check_commit(checker, "heartbeat", msg->heartbeat.commit);
        break;
    case MSG_NACK:
        check_told(checker, "nack", &msg->nack.promised, disk);
        break;
    case MSG_REPORT:
        check_told(checker, "report", &msg->report.promised, disk);
        checker_check_commit(checker, "report", msg->report.chosen);
        break;
    case MSG_CHOSEN:
        checker_check_chosen(checker, &msg->chosen);
        break;
    default:
        break;
    }
}

/* What it had applied it has applied: in this life, and in the next as far as it was durable. */
static void check_applied(struct checker *checker, const struct learner_state *state)
{
    size_t index = 0;
    while (index + 1 < checker->members->learner_count &&
           checker->members->learners[index] != state->id) {
        index++;
    }
    struct learner_watch *watch = &checker->learners[index];
    slot_t before = watch->starts == state->starts ? watch->applied : 0;
    if (state->applied < before || state->applied < state->durable) {
        checker_violate(checker, "applied",
                        "learner %u is at slot %llu and was at %llu, of which %llu are durable",
                        state->id, (unsigned long long)state->applied, (unsigned long long)before,
                        (unsigned long long)state->durable);
    }
    *watch = (struct learner_watch){state->starts, state->applied};
}

void checker_on_learner(struct checker *checker, const struct learner_state *state)
{
    slot_t applied = state->applied;
    check_applied(checker, state);
    if (!checker->lenient && applied > checker->chosen_prefix) {
        checker_violate(checker, "learner", "learner %u applied slot %llu, which is not chosen",
                        state->id, (unsigned long long)applied);
    }
    struct slot_votes *slot = checker_slot(checker, applied);
    if (slot->has_digest && slot->digest != state->digest) {
        checker_violate(checker, "digest", "learner %u differs from another one at slot %llu",
                        state->id, (unsigned long long)applied);
    }
    slot->has_digest = 1;
    slot->digest = state->digest;
}

void checker_on_record(struct checker *checker, uint64_t index, struct slice bytes,
                       const char *client, int acknowledged)
{
    size_t wanted = (size_t)index + 1;
    if (wanted > checker->log_count) {
        checker->log =
            memory_grow(checker->log, &checker->log_capacity, wanted, sizeof *checker->log);
        memset(&checker->log[checker->log_count], 0,
               (wanted - checker->log_count) * sizeof *checker->log);
        checker->log_count = wanted;
    }
    struct known_record *record = &checker->log[index];
    if (record->bytes == NULL) {
        record->bytes = blob_copy(bytes.data, bytes.size);
    } else if (!same_bytes(record->bytes, bytes)) {
        checker_violate(checker, "log", "%s %s another record at index %llu than was known before",
                        client, acknowledged ? "wrote" : "read", (unsigned long long)index);
    }
    if (acknowledged && index > checker->acknowledged) {
        checker->acknowledged = index;
    }
}
