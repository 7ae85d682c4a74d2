#include "common/wire/layout.h"

#include "common/protocol/value.h"
#include "common/wire/wire.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* in: the struct; what: its member; lowest, highest: the range of the number, of the bytes or of
 * the elements. */
#define U32(in, what, lowest, highest)                                                             \
    {                                                                                              \
        .name = #what, .type = FIELD_U32, .offset = offsetof(struct in, what), .min = (lowest),    \
        .max = (highest)                                                                           \
    }
#define U64(in, what, lowest, highest)                                                             \
    {                                                                                              \
        .name = #what, .type = FIELD_U64, .offset = offsetof(struct in, what), .min = (lowest),    \
        .max = (highest)                                                                           \
    }
#define PLAIN(in, what, as)                                                                        \
    {                                                                                              \
        .name = #what, .type = (as), .offset = offsetof(struct in, what)                           \
    }
#define BYTES(in, what, as, lowest, highest)                                                       \
    {                                                                                              \
        .name = #what, .type = (as), .offset = offsetof(struct in, what), .min = (lowest),         \
        .max = (highest)                                                                           \
    }
#define LIST(in, what, lowest, highest, of)                                                        \
    {                                                                                              \
        .name = #what, .type = FIELD_LIST, .offset = offsetof(struct in, what), .min = (lowest),   \
        .max = (highest), .list = &(of)                                                            \
    }

/* ---- elements of lists */

static const struct field slot_entry_fields[] = {
    U64(slot_entry, slot, 1, POSITION_MAX),
    PLAIN(slot_entry, ballot, FIELD_BALLOT),
    BYTES(slot_entry, value, FIELD_VALUE, VALUE_HEAD_BYTES, VALUE_BYTES_MAX),
};

static const struct list_layout promise_entries = {
    .count_offset = offsetof(struct msg_promise, entry_count),
    .element_size = sizeof(struct slot_entry),
    .fields = slot_entry_fields,
    .field_count = COUNT_OF(slot_entry_fields),
};

static const struct list_layout append_entries = {
    .count_offset = offsetof(struct msg_append, entry_count),
    .element_size = sizeof(struct slot_entry),
    .fields = slot_entry_fields,
    .field_count = COUNT_OF(slot_entry_fields),
};

static const struct list_layout chosen_entries = {
    .count_offset = offsetof(struct msg_chosen, entry_count),
    .element_size = sizeof(struct slot_entry),
    .fields = slot_entry_fields,
    .field_count = COUNT_OF(slot_entry_fields),
};

static const struct field proposer_report_fields[] = {
    U32(proposer_report, proposer, 1, UINT32_MAX),
    U32(proposer_report, silence_ms, 0, UINT32_MAX),
    U32(proposer_report, reaches_quorum, 0, 1),
    U64(proposer_report, version, 0, POSITION_MAX),
};

static const struct list_layout report_proposers = {
    .count_offset = offsetof(struct msg_report, proposer_count),
    .element_size = sizeof(struct proposer_report),
    .fields = proposer_report_fields,
    .field_count = COUNT_OF(proposer_report_fields),
};

static const struct field rumor_fields[] = {
    U32(rumor, proposer, 1, UINT32_MAX),
    U32(rumor, state, RUMOR_ALIVE, RUMOR_DEAD),
    U64(rumor, version, 0, UINT64_MAX),
    U64(rumor, weight, 0, UINT64_MAX),
};

static const struct list_layout oracle_rumors = {
    .count_offset = offsetof(struct msg_oracle, rumor_count),
    .element_size = sizeof(struct rumor),
    .fields = rumor_fields,
    .field_count = COUNT_OF(rumor_fields),
};

static const struct field place_fields[] = {
    U32(place, proposer, 1, UINT32_MAX),
    U64(place, incarnation, 1, UINT64_MAX),
    U64(place, since, 1, POSITION_MAX),
    U64(place, expires_ms, 0, UINT64_MAX),
};

static const struct list_layout settings_line = {
    .count_offset = offsetof(struct msg_settings, line_count),
    .element_size = sizeof(struct place),
    .fields = place_fields,
    .field_count = COUNT_OF(place_fields),
};

static const struct field explained_acceptor_fields[] = {
    U32(explained_acceptor, acceptor, 1, UINT32_MAX),
    U32(explained_acceptor, silence_ms, 0, UINT32_MAX),
    PLAIN(explained_acceptor, promised, FIELD_BALLOT_OR_NONE),
    PLAIN(explained_acceptor, leader, FIELD_BALLOT_OR_NONE),
    U32(explained_acceptor, leader_silence_ms, 0, UINT32_MAX),
    U32(explained_acceptor, lease_left_ms, 0, UINT32_MAX),
    U64(explained_acceptor, chosen, 0, POSITION_MAX),
};

static const struct list_layout explanation_acceptors = {
    .count_offset = offsetof(struct msg_explanation, acceptor_count),
    .element_size = sizeof(struct explained_acceptor),
    .fields = explained_acceptor_fields,
    .field_count = COUNT_OF(explained_acceptor_fields),
};

static const struct field explained_link_fields[] = {
    U32(explained_link, acceptor, 1, UINT32_MAX),   U32(explained_link, proposer, 1, UINT32_MAX),
    U32(explained_link, silence_ms, 0, UINT32_MAX), U32(explained_link, reaches_quorum, 0, 1),
    U64(explained_link, version, 0, POSITION_MAX),
};

static const struct list_layout explanation_links = {
    .count_offset = offsetof(struct msg_explanation, link_count),
    .element_size = sizeof(struct explained_link),
    .fields = explained_link_fields,
    .field_count = COUNT_OF(explained_link_fields),
};

/* A learner that catches up joins the results of all that it applies in one turn. */
#define RANGE_COUNT_MAX ((LEARNER_PENDING_BYTES_MAX + DRAIN_BYTES_MAX) / COMMAND_HEAD_BYTES)

static const struct field result_range_fields[] = {
    U64(result_range, sequence, 0, UINT64_MAX),
    U32(result_range, count, 0, RANGE_COUNT_MAX),
    U32(result_range, status, RESULT_OK, RESULT_CHANGED),
    U64(result_range, value, 0, UINT64_MAX),
    BYTES(result_range, body, FIELD_BIN, 0, KV_RESPONSE_BYTES_MAX),
};

static const struct list_layout result_ranges = {
    .count_offset = offsetof(struct msg_result, range_count),
    .element_size = sizeof(struct result_range),
    .fields = result_range_fields,
    .field_count = COUNT_OF(result_range_fields),
};

static const struct field record_fields[] = {
    {.name = "record", .type = FIELD_BIN, .offset = 0, .min = 0, .max = RECORD_BYTES_MAX},
};

static const struct list_layout records_records = {
    .count_offset = offsetof(struct msg_records, record_count),
    .element_size = sizeof(struct slice),
    .fields = record_fields,
    .field_count = COUNT_OF(record_fields),
    .is_bare = 1,
};

static const struct field node_status_fields[] = {
    PLAIN(node_status, node, FIELD_MEMBER),
    U32(node_status, state, NODE_UNKNOWN, NODE_UNREACHABLE),
    U32(node_status, silence_ms, 0, UINT32_MAX),
    PLAIN(node_status, ballot, FIELD_BALLOT_OR_NONE),
    U32(node_status, leader, 0, UINT32_MAX),
    U64(node_status, leading_since, 0, POSITION_MAX),
    U64(node_status, chosen, 0, POSITION_MAX),
    U64(node_status, accepted_max, 0, POSITION_MAX),
    U64(node_status, applied, 0, POSITION_MAX),
    U64(node_status, last_index, 0, POSITION_MAX),
    U64(node_status, digest, 0, UINT64_MAX),
    U64(node_status, session_count, 0, UINT64_MAX),
    U64(node_status, revision, 0, POSITION_MAX),
    U64(node_status, compacted, 0, POSITION_MAX),
    U64(node_status, pending_bytes, 0, UINT64_MAX),
    U64(node_status, dropped_count, 0, UINT64_MAX),
};

static const struct list_layout status_nodes = {
    .count_offset = offsetof(struct msg_status_reply, node_count),
    .element_size = sizeof(struct node_status),
    .fields = node_status_fields,
    .field_count = COUNT_OF(node_status_fields),
};

/* ---- bodies */

static const struct field hello_fields[] = {
    U32(msg_hello, version_min, 1, UINT32_MAX),
    U32(msg_hello, version_max, 1, UINT32_MAX),
    PLAIN(msg_hello, wanted, FIELD_MEMBER_OR_NONE),
};

static const struct field welcome_fields[] = {
    U32(msg_welcome, version, 1, UINT32_MAX),
};

/* A later release may refuse for a reason that this one has no name for: it is shown all the same.
 */
static const struct field refused_fields[] = {
    U32(msg_refused, reason, 1, UINT32_MAX),
    BYTES(msg_refused, text, FIELD_TEXT, 0, TEXT_BYTES_MAX),
};

static const struct field prepare_fields[] = {
    PLAIN(msg_prepare, ballot, FIELD_BALLOT),
    U64(msg_prepare, from_slot, 0, POSITION_MAX),
};

static const struct field promise_fields[] = {
    PLAIN(msg_promise, ballot, FIELD_BALLOT),
    U64(msg_promise, from_slot, 0, POSITION_MAX),
    U64(msg_promise, chosen, 0, POSITION_MAX),
    U64(msg_promise, accepted_max, 0, POSITION_MAX),
    U64(msg_promise, next_slot, 0, POSITION_MAX),
    U64(msg_promise, stamp_ms, 0, UINT64_MAX),
    LIST(msg_promise, entries, 0, PAGE_ENTRIES_MAX, promise_entries),
};

static const struct field accept_fields[] = {
    PLAIN(msg_accept, ballot, FIELD_BALLOT),
    U64(msg_accept, slot, 1, POSITION_MAX),
    U64(msg_accept, commit, 0, POSITION_MAX),
    BYTES(msg_accept, value, FIELD_VALUE, VALUE_HEAD_BYTES, VALUE_BYTES_MAX),
};

static const struct field accepted_fields[] = {
    PLAIN(msg_accepted, ballot, FIELD_BALLOT),
    U64(msg_accepted, first, 1, POSITION_MAX),
    U64(msg_accepted, last, 1, POSITION_MAX),
};

static const struct field nack_fields[] = {
    PLAIN(msg_nack, ballot, FIELD_BALLOT),
    PLAIN(msg_nack, promised, FIELD_BALLOT_OR_NONE),
    U32(msg_nack, reason, NACK_BALLOT, NACK_TOO_FAR),
    U32(msg_nack, retry_ms, 0, UINT32_MAX),
};

static const struct field commit_fields[] = {
    PLAIN(msg_commit, ballot, FIELD_BALLOT),
    U64(msg_commit, commit, 0, POSITION_MAX),
};

static const struct field heartbeat_fields[] = {
    PLAIN(msg_heartbeat, ballot, FIELD_BALLOT_OR_NONE),
    U64(msg_heartbeat, sequence, 0, UINT64_MAX),
    U64(msg_heartbeat, commit, 0, POSITION_MAX),
    U32(msg_heartbeat, lease_ms, 0, UINT32_MAX),
    U32(msg_heartbeat, reaches_quorum, 0, 1),
    U64(msg_heartbeat, version, 0, POSITION_MAX),
};

static const struct field report_fields[] = {
    U64(msg_report, sequence, 0, UINT64_MAX),
    PLAIN(msg_report, promised, FIELD_BALLOT_OR_NONE),
    PLAIN(msg_report, leader, FIELD_BALLOT_OR_NONE),
    U32(msg_report, leader_silence_ms, 0, UINT32_MAX),
    U32(msg_report, lease_left_ms, 0, UINT32_MAX),
    U64(msg_report, chosen, 0, POSITION_MAX),
    U64(msg_report, accepted_max, 0, POSITION_MAX),
    U32(msg_report, disk_low, 0, 1),
    LIST(msg_report, proposers, 0, MEMBERS_MAX, report_proposers),
};

static const struct field release_fields[] = {
    PLAIN(msg_release, ballot, FIELD_BALLOT),
    U32(msg_release, successor, 0, UINT32_MAX),
};

static const struct field repair_fields[] = {
    PLAIN(msg_repair, ballot, FIELD_BALLOT),
    U64(msg_repair, target, 1, POSITION_MAX),
    U32(msg_repair, source, 1, UINT32_MAX),
};

static const struct field fetch_fields[] = {
    U64(msg_fetch, from, 1, POSITION_MAX),
    U32(msg_fetch, bytes_max, 0, UINT32_MAX),
};

static const struct field chosen_fields[] = {
    U64(msg_chosen, from, 1, POSITION_MAX),
    U64(msg_chosen, chosen, 0, POSITION_MAX),
    U64(msg_chosen, trimmed, 0, POSITION_MAX),
    LIST(msg_chosen, entries, 0, PAGE_ENTRIES_MAX, chosen_entries),
};

static const struct field read_index_fields[] = {
    U64(msg_read_index, request, 0, UINT64_MAX),
};

static const struct field read_index_reply_fields[] = {
    U64(msg_read_index_reply, request, 0, UINT64_MAX),
    U64(msg_read_index_reply, accepted_max, 0, POSITION_MAX),
};

/* The commands are not looked into here: a malformed block must reach the proposer, which rejects
 * it under the client's own session and sequence. */
static const struct field submit_fields[] = {
    BYTES(msg_submit, block, FIELD_BIN, 0, BLOCK_BYTES_MAX),
};

static const struct field reject_fields[] = {
    U32(msg_reject, reason, REJECT_NOT_LEADER, REJECT_DISK),
    U32(msg_reject, leader, 0, UINT32_MAX),
    U64(msg_reject, session, 0, UINT64_MAX),
    U64(msg_reject, first_seq, 0, UINT64_MAX),
};

static const struct field leading_fields[] = {
    PLAIN(msg_leading, ballot, FIELD_BALLOT),
};

static const struct field result_fields[] = {
    U64(msg_result, session, 0, UINT64_MAX),
    U64(msg_result, applied, 0, POSITION_MAX),
    LIST(msg_result, ranges, 0, PAGE_ENTRIES_MAX, result_ranges),
};

static const struct field read_fields[] = {
    U64(msg_read, request, 0, UINT64_MAX),
    U64(msg_read, from, 1, POSITION_MAX),
    U64(msg_read, count, 0, UINT64_MAX),
    U32(msg_read, bytes_max, 0, UINT32_MAX),
    U32(msg_read, wait_ms, 0, UINT32_MAX),
    U32(msg_read, consistency, READ_LINEARIZABLE, READ_LOCAL),
};

static const struct field records_fields[] = {
    U64(msg_records, request, 0, UINT64_MAX),
    U32(msg_records, status, READ_OK, READ_BUSY),
    U64(msg_records, first, 0, POSITION_MAX),
    U64(msg_records, last, 0, POSITION_MAX),
    U64(msg_records, applied, 0, POSITION_MAX),
    U64(msg_records, from, 0, POSITION_MAX),
    LIST(msg_records, records, 0, PAGE_ENTRIES_MAX, records_records),
};

static const struct field status_fields[] = {
    U64(msg_status, request, 0, UINT64_MAX),
};

static const struct field status_reply_fields[] = {
    U64(msg_status_reply, request, 0, UINT64_MAX),
    LIST(msg_status_reply, nodes, 1, 3 * MEMBERS_MAX, status_nodes),
};

static const struct field progress_fields[] = {
    U64(msg_progress, applied, 0, POSITION_MAX),
    U64(msg_progress, digest, 0, UINT64_MAX),
    U64(msg_progress, due_ms, 0, UINT64_MAX),
};

static const struct field digest_fields[] = {
    U32(msg_digest, learner, 1, UINT32_MAX),
    U64(msg_digest, slot, 1, POSITION_MAX),
    U64(msg_digest, digest, 0, UINT64_MAX),
};

static const struct field request_vote_fields[] = {
    U64(msg_request_vote, term, 1, POSITION_MAX),
    U32(msg_request_vote, mode, VOTE_PRE, VOTE_TRANSFER),
    U64(msg_request_vote, last_index, 0, POSITION_MAX),
    U64(msg_request_vote, last_term, 0, POSITION_MAX),
};

static const struct field vote_fields[] = {
    U64(msg_vote, term, 0, POSITION_MAX),
    U64(msg_vote, asked_term, 1, POSITION_MAX),
    U32(msg_vote, mode, VOTE_PRE, VOTE_TRANSFER),
    U32(msg_vote, granted, 0, 1),
};

static const struct field append_fields[] = {
    PLAIN(msg_append, ballot, FIELD_BALLOT),
    U64(msg_append, sequence, 0, UINT64_MAX),
    U64(msg_append, prev_index, 0, POSITION_MAX),
    U64(msg_append, prev_term, 0, POSITION_MAX),
    U64(msg_append, commit, 0, POSITION_MAX),
    LIST(msg_append, entries, 0, PAGE_ENTRIES_MAX, append_entries),
};

static const struct field appended_fields[] = {
    PLAIN(msg_appended, ballot, FIELD_BALLOT),      U64(msg_appended, term, 1, POSITION_MAX),
    U64(msg_appended, sequence, 0, UINT64_MAX),     U32(msg_appended, conflict, 0, 1),
    U64(msg_appended, match, 0, POSITION_MAX),      U64(msg_appended, hint_term, 0, POSITION_MAX),
    U64(msg_appended, last_index, 0, POSITION_MAX),
};

static const struct field timeout_now_fields[] = {
    PLAIN(msg_timeout_now, ballot, FIELD_BALLOT),
};

static const struct field propose_fields[] = {
    PLAIN(msg_propose, ballot, FIELD_BALLOT),
    U64(msg_propose, sequence, 1, UINT64_MAX),
    U64(msg_propose, first, 1, UINT64_MAX),
    BYTES(msg_propose, value, FIELD_VALUE, VALUE_HEAD_BYTES, VALUE_BYTES_MAX),
};

static const struct field proposed_fields[] = {
    PLAIN(msg_proposed, ballot, FIELD_BALLOT),
    U64(msg_proposed, sequence, 0, UINT64_MAX),
    U32(msg_proposed, status, PROPOSED_TAKEN, PROPOSED_AGAIN),
    PLAIN(msg_proposed, leader, FIELD_BALLOT_OR_NONE),
};

/* As with blocks, a malformed query reaches the learner, which answers it so. */
static const struct field query_fields[] = {
    U64(msg_query, request, 0, UINT64_MAX),
    U32(msg_query, op, QUERY_KV, QUERY_KV_CONTINUED),
    U32(msg_query, consistency, READ_LINEARIZABLE, READ_LOCAL),
    BYTES(msg_query, body, FIELD_BIN, 0, KV_REQUEST_BYTES_MAX),
};

static const struct field answer_fields[] = {
    U64(msg_answer, request, 0, UINT64_MAX),
    U32(msg_answer, status, RESULT_OK, RESULT_MALFORMED),
    U64(msg_answer, applied, 0, POSITION_MAX),
    U64(msg_answer, revision, 0, POSITION_MAX),
    BYTES(msg_answer, body, FIELD_BIN, 0, KV_RESPONSE_BYTES_MAX),
};

static const struct field watch_fields[] = {
    U64(msg_watch, request, 0, UINT64_MAX),
    U64(msg_watch, revision, 1, POSITION_MAX),
    U32(msg_watch, sub, 0, UINT32_MAX),
    U32(msg_watch, flags, 0, WATCH_PREVIOUS | WATCH_NO_PUT | WATCH_NO_DELETE | WATCH_CONTINUED),
    U32(msg_watch, bytes_max, 0, UINT32_MAX),
    U32(msg_watch, wait_ms, 0, UINT32_MAX),
    BYTES(msg_watch, key, FIELD_BIN, 1, KEY_BYTES_MAX),
    BYTES(msg_watch, end, FIELD_BIN, 0, KEY_BYTES_MAX + 1),
};

static const struct field events_fields[] = {
    U64(msg_events, request, 0, UINT64_MAX),
    U32(msg_events, status, RESULT_OK, RESULT_MALFORMED),
    U64(msg_events, revision, 0, POSITION_MAX),
    U64(msg_events, next_revision, 0, POSITION_MAX),
    U32(msg_events, next_sub, 0, UINT32_MAX),
    BYTES(msg_events, events, FIELD_BIN, 0, EVENTS_BYTES_MAX),
};

static const struct field oracle_fields[] = {
    U32(msg_oracle, type, ORACLE_TOKEN, ORACLE_REGISTER),
    U32(msg_oracle, kind, ORACLE_CONNECTED, ORACLE_KIND_END - 1),
    U64(msg_oracle, version, 0, POSITION_MAX),
    U64(msg_oracle, round, 0, UINT64_MAX),
    U32(msg_oracle, subject, 0, UINT32_MAX),
    U32(msg_oracle, hops, 0, UINT32_MAX),
    U64(msg_oracle, weight, 0, UINT64_MAX),
    LIST(msg_oracle, rumors, 0, MEMBERS_MAX, oracle_rumors),
};

static const struct field lease_fields[] = {
    U64(msg_lease, sequence, 0, UINT64_MAX),
    U32(msg_lease, lease_ms, 0, UINT32_MAX),
};

static const struct field leased_fields[] = {
    U64(msg_leased, sequence, 0, UINT64_MAX),
    U32(msg_leased, granted, 0, 1),
    U32(msg_leased, holder, 0, UINT32_MAX),
    U32(msg_leased, left_ms, 0, UINT32_MAX),
};

static const struct field settings_fields[] = {
    U64(msg_settings, applied, 0, POSITION_MAX),
    U64(msg_settings, version, 0, POSITION_MAX),
    BYTES(msg_settings, settings, FIELD_BIN, 0, SETTINGS_BYTES_MAX),
    LIST(msg_settings, line, 0, MEMBERS_MAX, settings_line),
};

static const struct field name_fields[] = {
    U64(msg_name, request, 0, UINT64_MAX),
    U32(msg_name, proposer, 0, UINT32_MAX),
    U32(msg_name, valid_ms, 0, UINT32_MAX),
};

static const struct field named_fields[] = {
    U64(msg_named, request, 0, UINT64_MAX),
    U32(msg_named, status, NAME_TAKEN, NAME_UNKNOWN),
    U32(msg_named, leader, 0, UINT32_MAX),
};

static const struct field transfer_fields[] = {
    U64(msg_transfer, request, 0, UINT64_MAX),
    U32(msg_transfer, to, 0, UINT32_MAX),
};

static const struct field transferred_fields[] = {
    U64(msg_transferred, request, 0, UINT64_MAX),
    U32(msg_transferred, status, TRANSFER_BEGUN, TRANSFER_BUSY),
    U32(msg_transferred, leader, 0, UINT32_MAX),
};

static const struct field explain_fields[] = {
    U64(msg_explain, request, 0, UINT64_MAX),
};

/* A sentence of an oracle. */
#define EXPLANATION_BYTES_MAX 400

static const struct field explanation_fields[] = {
    U64(msg_explanation, request, 0, UINT64_MAX),
    U32(msg_explanation, state, NODE_UNKNOWN, NODE_UNREACHABLE),
    U32(msg_explanation, gate, GATE_SERVES, GATE_FORWARDS),
    PLAIN(msg_explanation, ballot, FIELD_BALLOT_OR_NONE),
    PLAIN(msg_explanation, leader, FIELD_BALLOT_OR_NONE),
    U32(msg_explanation, kind, ORACLE_CONNECTED, ORACLE_KIND_END - 1),
    U64(msg_explanation, version, 0, POSITION_MAX),
    U32(msg_explanation, named, 0, UINT32_MAX),
    U32(msg_explanation, pause_ms, 0, UINT32_MAX),
    U32(msg_explanation, attempts, 0, UINT32_MAX),
    BYTES(msg_explanation, oracle, FIELD_TEXT, 0, EXPLANATION_BYTES_MAX),
    LIST(msg_explanation, acceptors, 0, MEMBERS_MAX, explanation_acceptors),
    LIST(msg_explanation, links, 0, MEMBERS_MAX *MEMBERS_MAX, explanation_links),
};

/* ---- kinds */

#define ACCEPTORS ROLE_BIT(ROLE_ACCEPTOR)
#define PROPOSERS ROLE_BIT(ROLE_PROPOSER)
#define LEARNERS ROLE_BIT(ROLE_LEARNER)
#define CLIENTS ROLE_BIT(ROLE_CLIENT)
#define MEMBERS (ACCEPTORS | PROPOSERS | LEARNERS)

#define LAYOUT(kind, from)                                                                         \
    {                                                                                              \
        .name = #kind, .fields = kind##_fields, .field_count = COUNT_OF(kind##_fields),            \
        .senders = (from)                                                                          \
    }

static const struct layout layouts[] = {
    [MSG_HELLO] = LAYOUT(hello, MEMBERS | CLIENTS),
    [MSG_WELCOME] = LAYOUT(welcome, MEMBERS),
    [MSG_REFUSED] = LAYOUT(refused, MEMBERS | CLIENTS),
    [MSG_PREPARE] = LAYOUT(prepare, PROPOSERS),
    [MSG_PROMISE] = LAYOUT(promise, ACCEPTORS),
    [MSG_ACCEPT] = LAYOUT(accept, PROPOSERS | ACCEPTORS),
    [MSG_ACCEPTED] = LAYOUT(accepted, ACCEPTORS),
    [MSG_NACK] = LAYOUT(nack, ACCEPTORS),
    [MSG_COMMIT] = LAYOUT(commit, PROPOSERS | ACCEPTORS),
    [MSG_HEARTBEAT] = LAYOUT(heartbeat, PROPOSERS),
    [MSG_REPORT] = LAYOUT(report, ACCEPTORS),
    [MSG_RELEASE] = LAYOUT(release, PROPOSERS),
    [MSG_REPAIR] = LAYOUT(repair, PROPOSERS),
    [MSG_FETCH] = LAYOUT(fetch, MEMBERS),
    [MSG_CHOSEN] = LAYOUT(chosen, ACCEPTORS),
    [MSG_READ_INDEX] = LAYOUT(read_index, LEARNERS),
    [MSG_READ_INDEX_REPLY] = LAYOUT(read_index_reply, ACCEPTORS),
    [MSG_PROGRESS] = LAYOUT(progress, LEARNERS),
    [MSG_DIGEST] = LAYOUT(digest, PROPOSERS | ACCEPTORS),
    [MSG_REQUEST_VOTE] = LAYOUT(request_vote, ACCEPTORS),
    [MSG_VOTE] = LAYOUT(vote, ACCEPTORS),
    [MSG_APPEND] = LAYOUT(append, ACCEPTORS),
    [MSG_APPENDED] = LAYOUT(appended, ACCEPTORS),
    [MSG_TIMEOUT_NOW] = LAYOUT(timeout_now, ACCEPTORS),
    [MSG_PROPOSE] = LAYOUT(propose, PROPOSERS),
    [MSG_PROPOSED] = LAYOUT(proposed, ACCEPTORS),
    [MSG_SUBMIT] = LAYOUT(submit, CLIENTS),
    [MSG_REJECT] = LAYOUT(reject, PROPOSERS),
    [MSG_LEADING] = LAYOUT(leading, PROPOSERS | ACCEPTORS),
    [MSG_RESULT] = LAYOUT(result, LEARNERS),
    [MSG_READ] = LAYOUT(read, CLIENTS),
    [MSG_RECORDS] = LAYOUT(records, LEARNERS),
    [MSG_STATUS] = LAYOUT(status, CLIENTS),
    [MSG_STATUS_REPLY] = LAYOUT(status_reply, PROPOSERS | LEARNERS),
    [MSG_QUERY] = LAYOUT(query, CLIENTS),
    [MSG_ANSWER] = LAYOUT(answer, LEARNERS),
    [MSG_WATCH] = LAYOUT(watch, CLIENTS),
    [MSG_EVENTS] = LAYOUT(events, LEARNERS),
    [MSG_ORACLE] = LAYOUT(oracle, PROPOSERS),
    [MSG_LEASE] = LAYOUT(lease, PROPOSERS),
    [MSG_LEASED] = LAYOUT(leased, ACCEPTORS),
    [MSG_SETTINGS] = LAYOUT(settings, LEARNERS),
    [MSG_NAME] = LAYOUT(name, CLIENTS),
    [MSG_NAMED] = LAYOUT(named, PROPOSERS),
    [MSG_TRANSFER] = LAYOUT(transfer, CLIENTS | PROPOSERS),
    [MSG_TRANSFERRED] = LAYOUT(transferred, PROPOSERS | ACCEPTORS),
    [MSG_EXPLAIN] = LAYOUT(explain, CLIENTS),
    [MSG_EXPLANATION] = LAYOUT(explanation, PROPOSERS),
};

const struct layout *layout_of(uint64_t kind)
{
    if (kind >= COUNT_OF(layouts) || layouts[kind].fields == NULL) {
        return NULL;
    }
    return &layouts[kind];
}
