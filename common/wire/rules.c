#include "common/protocol/value.h"
#include "common/wire/layout.h"

#include <inttypes.h>

/* What a ballot in the message of who leads, or wants to, must be: its own. */
static int check_own_ballot(const struct message *msg, const struct ballot *ballot,
                            struct errmsg *err)
{
    if (!ballot_is_none(ballot) && ballot->proposer != msg->from.id) {
        return errmsg_set(err, ERROR_CORRUPT, "%s %" PRIu64 " sends a ballot of %s %u",
                          role_name(msg->from.role), msg->from.id, role_name(msg->from.role),
                          (unsigned)ballot->proposer);
    }
    return 0;
}

static int check_hello(const struct msg_hello *hello, struct errmsg *err)
{
    if (hello->version_min > hello->version_max) {
        return errmsg_set(err, ERROR_CORRUPT, "versions %u to %u are no range",
                          (unsigned)hello->version_min, (unsigned)hello->version_max);
    }
    return 0;
}

static int check_promise(const struct msg_promise *promise, struct errmsg *err)
{
    slot_t below = promise->chosen;
    for (uint32_t i = 0; i < promise->entry_count; i++) {
        slot_t slot = promise->entries[i].slot;
        if (slot <= below) {
            return errmsg_set(err, ERROR_CORRUPT,
                              "entries[%u]: slot %" PRIu64 " does not lie above %" PRIu64,
                              (unsigned)i, slot, below);
        }
        below = slot;
    }
    if (promise->entry_count > 0 && below > promise->accepted_max) {
        return errmsg_set(err, ERROR_CORRUPT, "slot %" PRIu64 " lies above accepted_max %" PRIu64,
                          below, promise->accepted_max);
    }
    if (promise->next_slot != 0 && promise->next_slot <= below) {
        return errmsg_set(err, ERROR_CORRUPT, "next_slot %" PRIu64 " would page backwards",
                          promise->next_slot);
    }
    return 0;
}

static int check_accepted(const struct msg_accepted *accepted, struct errmsg *err)
{
    if (accepted->first > accepted->last || accepted->last - accepted->first >= PAGE_ENTRIES_MAX) {
        return errmsg_set(err, ERROR_CORRUPT,
                          "slots %" PRIu64 " to %" PRIu64 " are no range of 1 to %d",
                          accepted->first, accepted->last, PAGE_ENTRIES_MAX);
    }
    return 0;
}

static int check_heartbeat(const struct message *msg, struct errmsg *err)
{
    if (ballot_is_none(&msg->heartbeat.ballot) && msg->heartbeat.lease_ms != 0) {
        return errmsg_set(err, ERROR_CORRUPT, "a standby asks for a lease");
    }
    return check_own_ballot(msg, &msg->heartbeat.ballot, err);
}

static int check_report(const struct msg_report *report, struct errmsg *err)
{
    for (uint32_t i = 1; i < report->proposer_count; i++) {
        if (report->proposers[i].proposer <= report->proposers[i - 1].proposer) {
            return errmsg_set(err, ERROR_CORRUPT, "proposers[%u]: ids do not rise", (unsigned)i);
        }
    }
    return 0;
}

static int check_chosen(const struct msg_chosen *chosen, struct errmsg *err)
{
    for (uint32_t i = 0; i < chosen->entry_count; i++) {
        slot_t bound = i == 0 ? chosen->from : chosen->entries[i - 1].slot + 1;
        if (chosen->entries[i].slot < bound) {
            return errmsg_set(err, ERROR_CORRUPT,
                              "entries[%u]: slot %" PRIu64 " lies below %" PRIu64, (unsigned)i,
                              chosen->entries[i].slot, bound);
        }
    }
    if (chosen->entry_count > 0 && chosen->from <= chosen->trimmed) {
        return errmsg_set(err, ERROR_CORRUPT, "entries reach below trimmed");
    }
    if (chosen->trimmed > chosen->chosen) {
        return errmsg_set(err, ERROR_CORRUPT, "trimmed %" PRIu64 " lies above chosen %" PRIu64,
                          chosen->trimmed, chosen->chosen);
    }
    return 0;
}

/* Entries without a gap behind prev_index, of terms that do not fall and end at the leader's. */
static int check_append(const struct message *msg, struct errmsg *err)
{
    const struct msg_append *append = &msg->append;
    uint64_t term = append->prev_term;
    for (uint32_t i = 0; i < append->entry_count; i++) {
        const struct slot_entry *entry = &append->entries[i];
        if (entry->slot != append->prev_index + 1 + i) {
            return errmsg_set(err, ERROR_CORRUPT, "entries[%u]: slot %" PRIu64 " is not %" PRIu64,
                              (unsigned)i, entry->slot, append->prev_index + 1 + i);
        }
        if (entry->ballot.round < term) {
            return errmsg_set(err, ERROR_CORRUPT, "entries[%u]: term %" PRIu64 " after %" PRIu64,
                              (unsigned)i, entry->ballot.round, term);
        }
        term = entry->ballot.round;
    }
    if (term > append->ballot.round || (append->prev_index == 0) != (append->prev_term == 0)) {
        return errmsg_set(err, ERROR_CORRUPT,
                          "terms up to %" PRIu64 " behind entry %" PRIu64 " of term %" PRIu64
                          " are no log of a leader of term %" PRIu64,
                          term, append->prev_index, append->prev_term, append->ballot.round);
    }
    return check_own_ballot(msg, &append->ballot, err);
}

static int check_request_vote(const struct msg_request_vote *request, struct errmsg *err)
{
    if ((request->last_index == 0) != (request->last_term == 0) ||
        request->last_term >= request->term) {
        return errmsg_set(err, ERROR_CORRUPT,
                          "entry %" PRIu64 " of term %" PRIu64 " is no end of the log of a "
                          "candidate in term %" PRIu64,
                          request->last_index, request->last_term, request->term);
    }
    return 0;
}

static int check_propose(const struct msg_propose *propose, struct errmsg *err)
{
    if (propose->value.data[0] != VALUE_BATCH) {
        return errmsg_set(err, ERROR_CORRUPT, "value: a proposer hands over batches only");
    }
    if (propose->first > propose->sequence) {
        return errmsg_set(err, ERROR_CORRUPT, "batch %" PRIu64 " lies below first %" PRIu64,
                          propose->sequence, propose->first);
    }
    return 0;
}

static int check_result(const struct msg_result *result, struct errmsg *err)
{
    for (uint32_t i = 0; i < result->range_count; i++) {
        const struct result_range *range = &result->ranges[i];
        if (range->status > RESULT_TOO_LARGE && range->status < RESULT_CHANGED) {
            return errmsg_set(err, ERROR_CORRUPT, "ranges[%u]: status is %u, one of queries",
                              (unsigned)i, (unsigned)range->status);
        }
        if (range->count == 0 && range->status != RESULT_GAP &&
            range->status != RESULT_UNKNOWN_SESSION) {
            return errmsg_set(err, ERROR_CORRUPT, "ranges[%u]: an empty range with status %u",
                              (unsigned)i, (unsigned)range->status);
        }
    }
    return 0;
}

static int check_records(const struct msg_records *records, struct errmsg *err)
{
    if (records->record_count == 0) {
        return 0;
    }
    if (records->status != READ_OK || records->from == 0 || records->from < records->first ||
        records->from + records->record_count - 1 > records->last) {
        return errmsg_set(err, ERROR_CORRUPT,
                          "%u records from %" PRIu64 " with status %u do not fit a log of %" PRIu64
                          " to %" PRIu64,
                          (unsigned)records->record_count, records->from, (unsigned)records->status,
                          records->first, records->last);
    }
    return 0;
}

static int check_status_reply(const struct message *msg, struct errmsg *err)
{
    if (!peer_equal(msg->status_reply.nodes[0].node, msg->from)) {
        return errmsg_set(err, ERROR_CORRUPT, "nodes[0] is not the sender");
    }
    return 0;
}

/* ---- oracles */

static int check_leased(const struct msg_leased *leased, struct errmsg *err)
{
    if (leased->granted && leased->holder == 0) {
        return errmsg_set(err, ERROR_CORRUPT, "a lease is granted that nobody holds");
    }
    return 0;
}

/* In the order in which they registered, each once, and none in a slot to come. */
static int check_line(const struct msg_settings *msg, struct errmsg *err)
{
    slot_t last = 1;
    for (uint32_t i = 0; i < msg->line_count; i++) {
        const struct place *place = &msg->line[i];
        if (place->since < last || place->since > msg->applied) {
            return errmsg_set(err, ERROR_CORRUPT,
                              "line[%u]: slot %" PRIu64 " does not lie in %" PRIu64 " to %" PRIu64,
                              (unsigned)i, place->since, last, msg->applied);
        }
        for (uint32_t k = 0; k < i; k++) {
            if (msg->line[k].proposer == place->proposer) {
                return errmsg_set(err, ERROR_CORRUPT, "line[%u]: proposer %u stands in it twice",
                                  (unsigned)i, (unsigned)place->proposer);
            }
        }
        last = place->since;
    }
    return 0;
}

static int check_settings(const struct msg_settings *msg, struct errmsg *err)
{
    struct settings settings;
    if ((msg->version == 0) != (msg->settings.size == 0)) {
        return errmsg_set(err, ERROR_CORRUPT, "%zu bytes of settings are no version %" PRIu64,
                          msg->settings.size, msg->version);
    }
    if (msg->version != 0 && settings_parse(msg->settings, &settings, err) != 0) {
        return ERROR_CORRUPT; /* in the words of the parser */
    }
    return check_line(msg, err);
}

static int check_transferred(const struct msg_transferred *answer, struct errmsg *err)
{
    int is_of_leader = answer->status == TRANSFER_BEGUN || answer->status == TRANSFER_ALREADY;
    if (is_of_leader && answer->leader == 0) {
        return errmsg_set(err, ERROR_CORRUPT, "status %u comes from no leader",
                          (unsigned)answer->status);
    }
    return 0;
}

static int check_explanation(const struct msg_explanation *msg, struct errmsg *err)
{
    for (uint32_t i = 1; i < msg->acceptor_count; i++) {
        if (msg->acceptors[i].acceptor <= msg->acceptors[i - 1].acceptor) {
            return errmsg_set(err, ERROR_CORRUPT, "acceptors[%u]: ids do not rise", (unsigned)i);
        }
    }
    for (uint32_t i = 1; i < msg->link_count; i++) {
        const struct explained_link *last = &msg->links[i - 1];
        const struct explained_link *link = &msg->links[i];
        if (link->acceptor < last->acceptor ||
            (link->acceptor == last->acceptor && link->proposer <= last->proposer)) {
            return errmsg_set(err, ERROR_CORRUPT, "links[%u]: ids do not rise", (unsigned)i);
        }
    }
    return 0;
}

int rules_check(const struct message *msg, struct errmsg *err)
{
    switch (msg->kind) {
    case MSG_HELLO:
        return check_hello(&msg->hello, err);
    case MSG_PREPARE:
        return check_own_ballot(msg, &msg->prepare.ballot, err);
    case MSG_PROMISE:
        return check_promise(&msg->promise, err);
    case MSG_ACCEPT:
        return check_own_ballot(msg, &msg->accept.ballot, err);
    case MSG_ACCEPTED:
        return check_accepted(&msg->accepted, err);
    case MSG_COMMIT:
        return check_own_ballot(msg, &msg->commit.ballot, err);
    case MSG_HEARTBEAT:
        return check_heartbeat(msg, err);
    case MSG_REPORT:
        return check_report(&msg->report, err);
    case MSG_RELEASE:
        return check_own_ballot(msg, &msg->release.ballot, err);
    case MSG_REPAIR:
        return check_own_ballot(msg, &msg->repair.ballot, err);
    case MSG_CHOSEN:
        return check_chosen(&msg->chosen, err);
    case MSG_LEADING:
        return check_own_ballot(msg, &msg->leading.ballot, err);
    case MSG_RESULT:
        return check_result(&msg->result, err);
    case MSG_REQUEST_VOTE:
        return check_request_vote(&msg->request_vote, err);
    case MSG_APPEND:
        return check_append(msg, err);
    case MSG_TIMEOUT_NOW:
        return check_own_ballot(msg, &msg->timeout_now.ballot, err);
    case MSG_PROPOSE:
        return check_propose(&msg->propose, err);
    case MSG_RECORDS:
        return check_records(&msg->records, err);
    case MSG_STATUS_REPLY:
        return check_status_reply(msg, err);
    case MSG_LEASED:
        return check_leased(&msg->leased, err);
    case MSG_SETTINGS:
        return check_settings(&msg->settings, err);
    case MSG_TRANSFERRED:
        return check_transferred(&msg->transferred, err);
    case MSG_EXPLANATION:
        return check_explanation(&msg->explanation, err);
    default:
        return 0; /* the ranges said it all */
    }
}
