#include "tests/trace/raft_rules.h"

#include "common/base/bytes.h"
#include "common/base/memory.h"
#include "tests/trace/raft_watch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The node's disk format (common/PROTOCOL.md): 't' -> term, ballot of the last vote; 'e' index ->
 * ballot and value; 'c' -> commit. */
#define BALLOT_BYTES 20
#define ENTRY_KEY_BYTES 9

/* One durable entry. */
struct durable_entry {
    struct ballot ballot;
    struct slice value; /* a reference */
};

/* What one acceptor has on its disk. */
struct durable_log {
    struct durable_entry *entries; /* by index; [0] is unused */
    size_t count, capacity;        /* one above the last index */
    uint64_t term;
    struct ballot vote;
};

/* What is known of one term. */
struct term {
    uint64_t number;
    struct ballot leader;               /* BALLOT_NONE: nobody led yet */
    acceptor_set_t voters[MEMBERS_MAX]; /* durable votes, by index of the candidate */
};

/* Log matching: an entry is known by index and term, and so is the one before it. */
struct link {
    uint64_t term, previous_term;
};

struct links {
    struct link *list;
    size_t count, capacity;
    uint64_t committed_in; /* the term whose leader committed the entry at this index */
};

struct raft_rules {
    struct durable_log logs[MEMBERS_MAX]; /* by index of the acceptor */
    struct term *terms;                   /* rising */
    size_t term_count, term_capacity;
    struct links *links; /* by index of the entry */
    size_t link_count, link_capacity;
    struct raft_watch watches[MEMBERS_MAX]; /* by index of the acceptor */
};

void raft_rules_install(struct checker *checker)
{
    checker->raft = memory_calloc(1, sizeof *checker->raft);
    primary_order_init(&checker->order, 1);
}

static void drop_from(struct durable_log *log, size_t index)
{
    while (log->count > index && log->count > 1) {
        slice_drop(&log->entries[--log->count].value);
    }
}

void raft_rules_free(struct raft_rules *rules)
{
    if (rules == NULL) {
        return;
    }
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        drop_from(&rules->logs[i], 1);
        free(rules->logs[i].entries);
    }
    for (size_t i = 0; i < rules->link_count; i++) {
        free(rules->links[i].list);
    }
    free(rules->links);
    free(rules->terms);
    free(rules);
}

static struct ballot read_ballot(const uint8_t *p)
{
    return (struct ballot){bytes_get_u64(p), bytes_get_u32(p + 8), bytes_get_u64(p + 12)};
}

static node_id_t name(const struct checker *checker, int acceptor)
{
    return checker->members->acceptors[acceptor];
}

static struct term *term_of(struct raft_rules *rules, uint64_t number)
{
    for (size_t i = rules->term_count; i > 0; i--) {
        if (rules->terms[i - 1].number == number) {
            return &rules->terms[i - 1];
        }
    }
    rules->terms = memory_grow(rules->terms, &rules->term_capacity, rules->term_count + 1,
                               sizeof *rules->terms);
    struct term *term = &rules->terms[rules->term_count++];
    *term = (struct term){.number = number};
    return term;
}

/* ---- Election Safety: at most one leader in a term */

static void note_leader(struct checker *checker, const struct ballot *ballot)
{
    struct term *term = term_of(checker->raft, ballot->round);
    if (ballot_is_none(&term->leader)) {
        term->leader = *ballot;
    } else if (!ballot_equal(&term->leader, ballot)) {
        checker_violate(checker, "election-safety",
                        "acceptors %u and %u both lead in term %" PRIu64, term->leader.proposer,
                        ballot->proposer, ballot->round);
    }
}

/* ---- terms and votes */

/* One vote a term, whether it is seen on the disk or, of a turn in which more happened, in a
 * message. */
static void note_vote(struct checker *checker, int acceptor, uint64_t number, node_id_t candidate)
{
    struct term *term = term_of(checker->raft, number);
    int index = members_acceptor_index(checker->members, candidate);
    for (size_t i = 0; i < checker->members->acceptor_count; i++) {
        if ((int)i != index && (term->voters[i] >> acceptor & 1) != 0) {
            checker_violate(checker, "vote", "acceptor %u votes for %u and for %u in term %" PRIu64,
                            name(checker, acceptor), checker->members->acceptors[i], candidate,
                            number);
        }
    }
    if (index >= 0) {
        term->voters[index] |= (acceptor_set_t)1 << acceptor;
    }
}

static void check_term(struct checker *checker, int acceptor, const struct blob *value)
{
    struct durable_log *log = &checker->raft->logs[acceptor];
    if (value == NULL || value->size != 8 + BALLOT_BYTES) {
        checker_violate(checker, "store", "acceptor %u stores a term that is none",
                        name(checker, acceptor));
        return;
    }
    uint64_t term = bytes_get_u64(value->data);
    struct ballot vote = read_ballot(value->data + 8);
    if (term < log->term) {
        checker_violate(checker, "term",
                        "the term of acceptor %u fell from %" PRIu64 " to %" PRIu64,
                        name(checker, acceptor), log->term, term);
    }
    if (log->vote.round == term && !ballot_equal(&log->vote, &vote)) {
        checker_violate(checker, "vote", "acceptor %u votes for %u and for %u in term %" PRIu64,
                        name(checker, acceptor), log->vote.proposer, vote.proposer, term);
    }
    log->term = term;
    log->vote = vote;
    if (vote.round == term) {
        note_vote(checker, acceptor, term, vote.proposer);
    }
}

/* ---- Log Matching: an entry is the same in all logs, and so is everything before it */

static void check_link(struct checker *checker, slot_t index, uint64_t term, uint64_t previous_term)
{
    struct raft_rules *rules = checker->raft;
    size_t wanted = (size_t)index + 1;
    if (wanted > rules->link_count) {
        rules->links =
            memory_grow(rules->links, &rules->link_capacity, wanted, sizeof *rules->links);
        memset(&rules->links[rules->link_count], 0,
               (wanted - rules->link_count) * sizeof *rules->links);
        rules->link_count = wanted;
    }
    struct links *links = &rules->links[index];
    for (size_t i = 0; i < links->count; i++) {
        if (links->list[i].term != term) {
            continue;
        }
        if (links->list[i].previous_term != previous_term) {
            checker_violate(checker, "log-matching",
                            "entry %" PRIu64 " of term %" PRIu64
                            " stands behind one of term %" PRIu64
                            " and behind one of term %" PRIu64,
                            index, term, links->list[i].previous_term, previous_term);
        }
        return;
    }
    links->list = memory_grow(links->list, &links->capacity, links->count + 1, sizeof *links->list);
    links->list[links->count++] = (struct link){term, previous_term};
}

/* A quorum has the entry and was in its term: it is committed with all before it. */
static void commit_up_to(struct checker *checker, const struct durable_log *log, slot_t index)
{
    for (slot_t i = checker->chosen_prefix + 1; i <= index && i < log->count; i++) {
        const struct durable_entry *entry = &log->entries[i];
        checker->raft->links[i].committed_in = log->term;
        checker_choose(checker, i, &entry->ballot, entry->value);
    }
}

static void put_entry(struct checker *checker, int acceptor, slot_t index, const struct blob *value)
{
    struct durable_log *log = &checker->raft->logs[acceptor];
    if (log->count == 0) {
        log->count = 1;
    }
    if (value->size < BALLOT_BYTES || index == 0 || index > log->count) {
        checker_violate(checker, "store", "acceptor %u stores entry %" PRIu64 " behind %zu",
                        name(checker, acceptor), index, log->count - 1);
        return;
    }
    struct durable_entry entry = {
        .ballot = read_ballot(value->data),
        .value = slice_keep((struct slice){value->data + BALLOT_BYTES, value->size - BALLOT_BYTES,
                                           (struct blob *)value}),
    };
    drop_from(log, index);
    log->entries = memory_grow(log->entries, &log->capacity, index + 1, sizeof *log->entries);
    log->entries[index] = entry;
    log->count = index + 1;
    checker_on_broadcast(checker, &entry.ballot, index, BROADCAST_OWN);
    check_link(checker, index, entry.ballot.round,
               index > 1 ? log->entries[index - 1].ballot.round : 0);
    struct vote *vote = checker_vote(checker, index, &entry.ballot, entry.value);
    /* A deposed leader may store late what it had proposed; from the term on that committed the
     * entry, which may be above that of the entry, there is no other one. */
    if (index <= checker->chosen_prefix &&
        (entry.ballot.round >= checker->raft->links[index].committed_in ||
         index <= checker->watermark[acceptor]) &&
        !slice_equal(checker->slots[index].chosen, entry.value)) {
        checker_violate(checker, "state-machine-safety",
                        "acceptor %u overwrites committed entry %" PRIu64, name(checker, acceptor),
                        index);
    }
    if (log->term != entry.ballot.round) {
        return; /* of an earlier term: what it is, and not a vote for it (5.4.2) */
    }
    vote->voters |= (acceptor_set_t)1 << acceptor;
    if (is_accept_quorum(checker->members, vote->voters)) {
        commit_up_to(checker, log, index);
    }
}

void raft_rules_on_durable(struct checker *checker, int acceptor, struct slice key,
                           struct blob *value)
{
    struct durable_log *log = &checker->raft->logs[acceptor];
    if (key.size == 1 && key.data[0] == 't') {
        check_term(checker, acceptor, value);
    } else if (key.size == ENTRY_KEY_BYTES && key.data[0] == 'e') {
        slot_t index = bytes_get_u64(key.data + 1);
        if (value != NULL) {
            put_entry(checker, acceptor, index, value);
            return;
        }
        if (index <= checker->watermark[acceptor]) {
            checker_violate(checker, "state-machine-safety",
                            "acceptor %u deletes entry %" PRIu64 ", which it knew as committed",
                            name(checker, acceptor), index);
        }
        drop_from(log, index);
    } else if (key.size == 1 && key.data[0] == 'c' && value != NULL && value->size >= 8) {
        checker->watermark[acceptor] = bytes_get_u64(value->data);
        checker_check_commit(checker, "a store", checker->watermark[acceptor]);
    }
}

void raft_rules_on_wipe(struct checker *checker, int acceptor)
{
    struct durable_log *log = &checker->raft->logs[acceptor];
    drop_from(log, 1);
    log->term = 0;
    log->vote = BALLOT_NONE;
}

/* ---- what is said */

static slot_t durable_last(const struct durable_log *log)
{
    return log->count > 0 ? log->count - 1 : 0;
}

/* echo: the incarnation of the candidate, which tells its id (node_incarnation). */
static void check_vote(struct checker *checker, int acceptor, const struct msg_vote *vote,
                       uint64_t echo)
{
    if (vote->mode != VOTE_PRE && vote->granted) {
        note_vote(checker, acceptor, vote->asked_term, (node_id_t)(echo >> 8 & 0xffff));
    }
    const struct durable_log *log = &checker->raft->logs[acceptor];
    if (vote->mode != VOTE_PRE && vote->granted && log->vote.round < vote->asked_term) {
        checker_violate(checker, "durable",
                        "a vote of acceptor %u in term %" PRIu64 " left before it was durable",
                        name(checker, acceptor), vote->asked_term);
    }
    if (log->term < vote->term) {
        checker_violate(checker, "durable",
                        "acceptor %u names term %" PRIu64 " before it is durable",
                        name(checker, acceptor), vote->term);
    }
}

static void check_appended(struct checker *checker, int acceptor,
                           const struct msg_appended *appended)
{
    const struct durable_log *log = &checker->raft->logs[acceptor];
    if (!appended->conflict && appended->match > durable_last(log)) {
        checker_violate(checker, "durable",
                        "acceptor %u acknowledges entry %" PRIu64 ", durable are %" PRIu64,
                        name(checker, acceptor), appended->match, durable_last(log));
    }
}

static void check_streamed(struct checker *checker, const struct msg_accept *accept)
{
    const struct slot_votes *votes = checker_slot(checker, accept->slot);
    note_leader(checker, &accept->ballot);
    if (accept->slot <= accept->commit && !checker->lenient &&
        (!votes->is_chosen || !slice_equal(votes->chosen, accept->value))) {
        checker_violate(checker, "commit", "slot %" PRIu64 " is streamed as committed, and is not",
                        accept->slot);
    }
}

/* Of the entries the last ones may be the leader's own. */
static void note_broadcasts(struct checker *checker, const struct msg_append *append)
{
    uint32_t own = append->entry_count;
    while (own > 0 && ballot_equal(&append->entries[own - 1].ballot, &append->ballot)) {
        own--;
    }
    for (; own < append->entry_count; own++) {
        checker_on_broadcast(checker, &append->ballot, append->entries[own].slot, BROADCAST_OWN);
    }
}

void raft_rules_on_send(struct checker *checker, struct peer from, const struct message *msg)
{
    int acceptor = members_acceptor_index(checker->members, from.id);
    switch (msg->kind) {
    case MSG_VOTE:
        check_vote(checker, acceptor, &msg->vote, msg->echo);
        break;
    case MSG_REQUEST_VOTE:
        if (msg->request_vote.mode != VOTE_PRE &&
            checker->raft->logs[acceptor].term < msg->request_vote.term) {
            checker_violate(checker, "durable", "a campaign in term %" PRIu64 " is not durable",
                            msg->request_vote.term);
        }
        break;
    case MSG_APPEND:
        note_leader(checker, &msg->append.ballot);
        note_broadcasts(checker, &msg->append);
        checker_check_commit(checker, "append", msg->append.commit);
        break;
    case MSG_APPENDED:
        check_appended(checker, acceptor, &msg->appended);
        break;
    case MSG_ACCEPT:
        check_streamed(checker, &msg->accept);
        checker_check_commit(checker, "accept", msg->accept.commit);
        break;
    case MSG_COMMIT:
        note_leader(checker, &msg->commit.ballot);
        checker_check_commit(checker, "commit", msg->commit.commit);
        break;
    case MSG_REPORT:
        checker_check_commit(checker, "report", msg->report.chosen);
        break;
    case MSG_CHOSEN:
        checker_check_chosen(checker, &msg->chosen);
        break;
    default:
        break;
    }
}

slot_t raft_rules_durable_last(const struct raft_rules *rules, int acceptor)
{
    return durable_last(&rules->logs[acceptor]);
}

uint64_t raft_rules_durable_term(const struct raft_rules *rules, int acceptor, slot_t index)
{
    const struct durable_log *log = &rules->logs[acceptor];
    return index > 0 && index < log->count ? log->entries[index].ballot.round : 0;
}

/* ---- steps of a node */

struct raft_before raft_rules_before(const struct raft *raft, const struct effects *fx)
{
    return (struct raft_before){.role = raft_role(raft),
                                .ballot = raft_ballot(raft),
                                .last = raft_last(raft),
                                .commit = raft_commit(raft),
                                .term = raft_term(raft),
                                .voted_for = raft_voted_for(raft),
                                .record_count = fx->record_count,
                                .send_count = fx->send_count};
}

/* Leader Completeness: who is elected has every entry that was committed in an earlier term, and a
 * quorum's durable votes. */
static void check_new_leader(struct checker *checker, int acceptor, const struct raft *raft)
{
    const struct durable_log *log = &checker->raft->logs[acceptor];
    struct ballot ballot = raft_ballot(raft);
    acceptor_set_t voters = term_of(checker->raft, ballot.round)->voters[acceptor];
    note_leader(checker, &ballot);
    if (acceptor_set_count(voters) < majority_of(checker->members->acceptor_count) &&
        !checker->lenient) {
        checker_violate(checker, "quorum", "acceptor %u leads in term %" PRIu64 " by %zu votes",
                        name(checker, acceptor), ballot.round, acceptor_set_count(voters));
    }
    for (slot_t i = 1; i <= checker->chosen_prefix; i++) {
        if (checker->raft->links[i].committed_in >= ballot.round) {
            continue; /* it hears of its votes late, when another one leads */
        }
        if (i >= log->count || !slice_equal(log->entries[i].value, checker->slots[i].chosen)) {
            checker_violate(checker, "leader-completeness",
                            "acceptor %u leads in term %" PRIu64
                            " without committed entry %" PRIu64,
                            name(checker, acceptor), ballot.round, i);
            return;
        }
    }
}

/* Leader Append-Only: while it leads it deletes and overwrites nothing. */
static void check_append_only(struct checker *checker, int acceptor,
                              const struct raft_before *before, const struct effects *fx)
{
    slot_t last = before->last;
    for (size_t i = before->record_count; i < fx->record_count; i++) {
        const struct record *record = &fx->records[i];
        if (record->key_size != ENTRY_KEY_BYTES || record->key[0] != 'e') {
            continue;
        }
        slot_t index = bytes_get_u64(record->key + 1);
        if (record->is_delete || index != last + 1) {
            checker_violate(checker, "append-only",
                            "leader %u changes entry %" PRIu64 " of %" PRIu64,
                            name(checker, acceptor), index, last);
            return;
        }
        last = index;
    }
}

/* What it holds to be committed is. */
static void check_committed(struct checker *checker, int acceptor, const struct raft *raft,
                            slot_t from)
{
    slot_t commit = raft_commit(raft);
    checker_check_commit(checker, "a node", commit);
    for (slot_t i = from; i <= commit && i <= checker->chosen_prefix; i++) {
        uint64_t term;
        struct slice value;
        if (raft_entry(raft, i, &term, &value) && !slice_equal(value, checker->slots[i].chosen)) {
            checker_violate(checker, "state-machine-safety",
                            "acceptor %u commits another entry %" PRIu64 " than others",
                            name(checker, acceptor), i);
        }
    }
}

/* What a process begins with is what the last one left: nothing that was deleted is there again. */
static void check_loaded(struct checker *checker, int acceptor, const struct raft *raft,
                         const struct raft_before *before, const struct effects *fx)
{
    slot_t last = durable_last(&checker->raft->logs[acceptor]);
    int is_new = before->term == 0 && before->last == 0 && before->record_count == 0;
    if (is_new && fx->record_count == 0 && raft_last(raft) != last) {
        checker_violate(checker, "store",
                        "acceptor %u begins with %" PRIu64 " entries, stored are %" PRIu64,
                        name(checker, acceptor), raft_last(raft), last);
    }
}

void raft_rules_on_step(struct checker *checker, const struct raft_step *step)
{
    const struct raft *raft = step->raft;
    const struct raft_before *before = &step->before;
    struct ballot ballot = raft_ballot(raft);
    int was_leader = before->role == RAFT_LEADER && ballot_equal(&before->ballot, &ballot);
    if (raft_role(raft) == RAFT_LEADER && !was_leader) {
        check_new_leader(checker, step->acceptor, raft);
    } else if (raft_role(raft) == RAFT_LEADER) {
        check_append_only(checker, step->acceptor, before, step->fx);
    }
    if (raft_term(raft) < before->term || raft_commit(raft) < before->commit) {
        checker_violate(checker, "term", "the term or the commit of acceptor %u fell",
                        name(checker, step->acceptor));
    }
    check_committed(checker, step->acceptor, raft, before->commit + 1);
    check_loaded(checker, step->acceptor, raft, before, step->fx);
    raft_watch_on_step(checker, &checker->raft->watches[step->acceptor], step);
}
