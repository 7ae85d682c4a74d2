#include "tests/trace/trace.h"

#include "common/base/bytes.h"
#include "common/protocol/kv.h"
#include "common/protocol/value.h"

#include <inttypes.h>

#define BYTES_SHOWN_MAX 24
#define ELEMENTS_SHOWN_MAX 6

void trace_ballot(struct text *out, const struct ballot *ballot)
{
    if (ballot_is_none(ballot)) {
        text_addf(out, "none");
        return;
    }
    struct peer proposer = {ROLE_PROPOSER, ballot->proposer};
    struct peer acceptor = {ROLE_ACCEPTOR, ballot->proposer};
    uint64_t starts = ballot->incarnation & 0xff;
    int is_raft = ballot->incarnation == node_incarnation(acceptor, (uint32_t)starts);
    text_addf(out, "%" PRIu64 ".%s%u", ballot->round, is_raft ? "A" : "", ballot->proposer);
    if (is_raft || ballot->incarnation == node_incarnation(proposer, (uint32_t)starts)) {
        text_addf(out, "#%" PRIu64, starts);
    } else {
        text_addf(out, "#0x%" PRIx64, ballot->incarnation);
    }
}

void trace_bytes(struct text *out, struct slice bytes)
{
    size_t shown = bytes.size < BYTES_SHOWN_MAX ? bytes.size : BYTES_SHOWN_MAX;
    text_addf(out, "\"");
    for (size_t i = 0; i < shown; i++) {
        uint8_t c = bytes.data[i];
        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\') {
            text_addf(out, "\\x%02x", c);
        } else {
            text_addf(out, "%c", c);
        }
    }
    text_addf(out, "\"");
    if (shown < bytes.size) {
        text_addf(out, "..(%zu)", bytes.size);
    }
}

/* The kind of a request, and its key. */
static void trace_request(struct text *out, struct slice bytes)
{
    struct kv_request request;
    struct slice rest = bytes;
    if (kv_next_request(&rest, &request) != 1) {
        text_addf(out, " malformed");
        return;
    }
    switch (request.op) {
    case KV_RANGE:
        text_addf(out, " range ");
        trace_bytes(out, request.range.key);
        break;
    case KV_PUT:
        text_addf(out, " put ");
        trace_bytes(out, request.put.key);
        break;
    case KV_DELETE:
        text_addf(out, " delete ");
        trace_bytes(out, request.delete_.key);
        break;
    case KV_TXN:
        text_addf(out, " txn");
        break;
    }
}

static void trace_command(struct text *out, const struct command *command)
{
    switch (command->op) {
    case COMMAND_APPEND:
        text_addf(out, " append ");
        trace_bytes(out, command->payload);
        return;
    case COMMAND_OPEN_SESSION:
        text_addf(out, " open ttl=%u", bytes_get_u32(command->payload.data));
        return;
    case COMMAND_CLOSE_SESSION:
        text_addf(out, " close");
        return;
    case COMMAND_KV:
        trace_request(out, command->payload);
        return;
    case COMMAND_COMPACT:
        text_addf(out, " compact %" PRIu64, bytes_get_u64(command->payload.data));
        return;
    case COMMAND_LEASE_GRANT:
        text_addf(out, " grant %" PRIu64 " ttl=%" PRIu64, bytes_get_u64(command->payload.data),
                  bytes_get_u64(command->payload.data + 8));
        return;
    case COMMAND_LEASE_REVOKE:
        text_addf(out, " revoke %" PRIu64, bytes_get_u64(command->payload.data));
        return;
    case COMMAND_LEASE_KEEPALIVE:
        text_addf(out, " keepalive %" PRIu64, bytes_get_u64(command->payload.data));
        return;
    case COMMAND_SETTINGS:
        text_addf(out, " settings from=%" PRIu64, bytes_get_u64(command->payload.data));
        return;
    }
    text_addf(out, " op%u", (unsigned)command->op);
}

static void trace_block(struct text *out, const struct block *block)
{
    text_addf(out, "[");
    if (block->session == 0) {
        text_addf(out, "nonce=%" PRIx64, block->client);
    } else {
        text_addf(out, "s%" PRIx64 ":%" PRIu64, block->session, block->first_seq);
        if (block->acked_seq > 0) {
            text_addf(out, " acked=%" PRIu64, block->acked_seq);
        }
    }
    struct slice rest = block->commands;
    struct command command;
    uint32_t count = 0;
    while (count < ELEMENTS_SHOWN_MAX && block_next_command(&rest, &command)) {
        trace_command(out, &command);
        count++;
    }
    if (count < block->count) {
        text_addf(out, " ..(%u)", block->count);
    }
    text_addf(out, "]");
}

static void trace_line(struct text *out, struct slice rest)
{
    struct place place;
    text_addf(out, "line(");
    while (value_next_place(&rest, &place)) {
        text_addf(out, " P%u", place.proposer);
    }
    text_addf(out, " )");
}

void trace_value(struct text *out, struct slice bytes)
{
    struct value value;
    if (value_parse(bytes, &value) != 0) {
        text_addf(out, "corrupt");
        return;
    }
    switch (value.kind) {
    case VALUE_NOOP:
        text_addf(out, "noop");
        return;
    case VALUE_LEAD:
        text_addf(out, "lead(");
        trace_ballot(out, &value.lead);
        text_addf(out, ")");
        return;
    case VALUE_LINE:
        trace_line(out, value.line);
        return;
    case VALUE_BATCH:
        break;
    }
    struct slice rest = value.blocks;
    struct block block;
    uint32_t count = 0;
    while (value_next_block(&rest, &block)) {
        if (++count <= ELEMENTS_SHOWN_MAX) {
            trace_block(out, &block);
        }
    }
    if (count > ELEMENTS_SHOWN_MAX) {
        text_addf(out, "..(%u blocks)", count);
    }
}

static void trace_entries(struct text *out, const struct slot_entry *entries, uint32_t count)
{
    text_addf(out, " {");
    for (uint32_t i = 0; i < count && i < ELEMENTS_SHOWN_MAX; i++) {
        text_addf(out, "%s%" PRIu64 "@", i > 0 ? ", " : "", entries[i].slot);
        trace_ballot(out, &entries[i].ballot);
        text_addf(out, " ");
        trace_value(out, entries[i].value);
    }
    if (count > ELEMENTS_SHOWN_MAX) {
        text_addf(out, ", ..%" PRIu64, entries[count - 1].slot);
    }
    text_addf(out, "}");
}

static void trace_phase1(struct text *out, const struct message *msg)
{
    if (msg->kind == MSG_PREPARE) {
        text_addf(out, " ");
        trace_ballot(out, &msg->prepare.ballot);
        if (msg->prepare.from_slot > 0) {
            text_addf(out, " from=%" PRIu64, msg->prepare.from_slot);
        }
        return;
    }
    const struct msg_promise *m = &msg->promise;
    text_addf(out, " ");
    trace_ballot(out, &m->ballot);
    if (m->from_slot > 0) {
        text_addf(out, " from=%" PRIu64, m->from_slot);
    }
    text_addf(out, " chosen=%" PRIu64 " max=%" PRIu64, m->chosen, m->accepted_max);
    if (m->next_slot > 0) {
        text_addf(out, " next=%" PRIu64, m->next_slot);
    }
    if (m->entry_count > 0) {
        trace_entries(out, m->entries, m->entry_count);
    }
}

static const char *nack_name(uint32_t reason)
{
    static const char *const names[] = {"?", "ballot", "lease", "too_far", "busy"};
    return reason < sizeof names / sizeof *names ? names[reason] : "?";
}

static void trace_phase2(struct text *out, const struct message *msg)
{
    text_addf(out, " ");
    switch (msg->kind) {
    case MSG_ACCEPT:
        trace_ballot(out, &msg->accept.ballot);
        text_addf(out, " slot=%" PRIu64 " commit=%" PRIu64 " ", msg->accept.slot,
                  msg->accept.commit);
        trace_value(out, msg->accept.value);
        break;
    case MSG_ACCEPTED:
        trace_ballot(out, &msg->accepted.ballot);
        text_addf(out, " %" PRIu64 "..%" PRIu64, msg->accepted.first, msg->accepted.last);
        break;
    case MSG_NACK:
        trace_ballot(out, &msg->nack.ballot);
        text_addf(out, " %s promised=", nack_name(msg->nack.reason));
        trace_ballot(out, &msg->nack.promised);
        if (msg->nack.retry_ms > 0) {
            text_addf(out, " retry=%u", msg->nack.retry_ms);
        }
        break;
    default:
        trace_ballot(out, &msg->commit.ballot);
        text_addf(out, " commit=%" PRIu64, msg->commit.commit);
        break;
    }
}

static void trace_leading(struct text *out, const struct message *msg)
{
    text_addf(out, " ");
    switch (msg->kind) {
    case MSG_HEARTBEAT:
        trace_ballot(out, &msg->heartbeat.ballot);
        text_addf(out, " #%" PRIu64 " commit=%" PRIu64 " lease=%u quorum=%u settings=%" PRIu64,
                  msg->heartbeat.sequence, msg->heartbeat.commit, msg->heartbeat.lease_ms,
                  msg->heartbeat.reaches_quorum, msg->heartbeat.version);
        break;
    case MSG_REPORT:
        text_addf(out, "#%" PRIu64 " promised=", msg->report.sequence);
        trace_ballot(out, &msg->report.promised);
        text_addf(out, " leader=");
        trace_ballot(out, &msg->report.leader);
        text_addf(out, " silence=%u lease=%u chosen=%" PRIu64 " max=%" PRIu64 " heard",
                  msg->report.leader_silence_ms, msg->report.lease_left_ms, msg->report.chosen,
                  msg->report.accepted_max);
        for (uint32_t i = 0; i < msg->report.proposer_count; i++) {
            const struct proposer_report *p = &msg->report.proposers[i];
            if (p->silence_ms == UINT32_MAX) {
                text_addf(out, " P%u never", p->proposer);
            } else {
                text_addf(out, " P%u %ums%s", p->proposer, p->silence_ms,
                          p->reaches_quorum ? " quorum" : "");
            }
        }
        break;
    case MSG_RELEASE:
        trace_ballot(out, &msg->release.ballot);
        text_addf(out, " successor=%u", msg->release.successor);
        break;
    default:
        trace_ballot(out, &msg->leading.ballot);
        break;
    }
}

static void trace_oracle(struct text *out, const struct message *msg)
{
    switch (msg->kind) {
    case MSG_ORACLE:
        text_addf(out, " %s type=%u settings=%" PRIu64 " round=%" PRIu64 " P%u hops=%u rumors=%u",
                  oracle_kind_name(msg->oracle.kind), msg->oracle.type, msg->oracle.version,
                  msg->oracle.round, msg->oracle.subject, msg->oracle.hops,
                  msg->oracle.rumor_count);
        break;
    case MSG_LEASE:
        text_addf(out, " #%" PRIu64 " lease=%u", msg->lease.sequence, msg->lease.lease_ms);
        break;
    case MSG_LEASED:
        text_addf(out, " #%" PRIu64 " granted=%u holder=%u left=%u", msg->leased.sequence,
                  msg->leased.granted, msg->leased.holder, msg->leased.left_ms);
        break;
    default:
        text_addf(out, " settings=%" PRIu64 " line=%u", msg->settings.version,
                  msg->settings.line_count);
        break;
    }
}

static const char *transfer_text(uint32_t status)
{
    static const char *const texts[] = {"begun",  "not_leader", "unknown", "unfit",
                                        "barred", "already",    "busy"};
    return status < sizeof texts / sizeof texts[0] ? texts[status] : "?";
}

static const char *gate_text(uint32_t gate)
{
    static const char *const texts[] = {
        "?",      "serves",    "campaigns", "no_quorum", "leader_heard",
        "barred", "not_named", "pauses",    "open",      "forwards"};
    return gate < sizeof texts / sizeof texts[0] ? texts[gate] : "?";
}

static void trace_operator(struct text *out, const struct message *msg)
{
    switch (msg->kind) {
    case MSG_NAME:
        text_addf(out, " P%u valid=%u", msg->name.proposer, msg->name.valid_ms);
        break;
    case MSG_NAMED:
        text_addf(out, " status=%u leader=%u", msg->named.status, msg->named.leader);
        break;
    case MSG_TRANSFER:
        text_addf(out, " to=%u", msg->transfer.to);
        break;
    case MSG_TRANSFERRED:
        text_addf(out, " %s leader=%u", transfer_text(msg->transferred.status),
                  msg->transferred.leader);
        break;
    case MSG_EXPLANATION:
        text_addf(out, " gate=%s named=%u leader=", gate_text(msg->explanation.gate),
                  msg->explanation.named);
        trace_ballot(out, &msg->explanation.leader);
        text_addf(out, " settings=%" PRIu64 " pause=%u \"%.*s\"", msg->explanation.version,
                  msg->explanation.pause_ms, (int)msg->explanation.oracle.size,
                  (const char *)msg->explanation.oracle.data);
        break;
    default:
        break;
    }
}

static void trace_catchup(struct text *out, const struct message *msg)
{
    switch (msg->kind) {
    case MSG_REPAIR:
        text_addf(out, " ");
        trace_ballot(out, &msg->repair.ballot);
        text_addf(out, " target=%" PRIu64 " source=A%u", msg->repair.target, msg->repair.source);
        break;
    case MSG_FETCH:
        text_addf(out, " from=%" PRIu64, msg->fetch.from);
        break;
    case MSG_CHOSEN:
        text_addf(out, " from=%" PRIu64 " chosen=%" PRIu64, msg->chosen.from, msg->chosen.chosen);
        if (msg->chosen.trimmed > 0) {
            text_addf(out, " trimmed=%" PRIu64, msg->chosen.trimmed);
        }
        trace_entries(out, msg->chosen.entries, msg->chosen.entry_count);
        break;
    case MSG_READ_INDEX:
        text_addf(out, " request=%" PRIu64, msg->read_index.request);
        break;
    default:
        text_addf(out, " request=%" PRIu64 " max=%" PRIu64, msg->read_index_reply.request,
                  msg->read_index_reply.accepted_max);
        break;
    }
}

static void trace_election(struct text *out, const struct message *msg)
{
    static const char *const modes[] = {"?", "pre", "real", "transfer"};
    if (msg->kind == MSG_REQUEST_VOTE) {
        text_addf(out, " term=%" PRIu64 " %s last=%" PRIu64 "@%" PRIu64, msg->request_vote.term,
                  modes[msg->request_vote.mode % 4], msg->request_vote.last_index,
                  msg->request_vote.last_term);
    } else if (msg->kind == MSG_VOTE) {
        text_addf(out, " term=%" PRIu64 " %s %s", msg->vote.term, modes[msg->vote.mode % 4],
                  msg->vote.granted ? "granted" : "refused");
    } else {
        text_addf(out, " ");
        trace_ballot(out, &msg->timeout_now.ballot);
    }
}

static void trace_replication(struct text *out, const struct message *msg)
{
    if (msg->kind == MSG_APPEND) {
        const struct msg_append *m = &msg->append;
        text_addf(out, " ");
        trace_ballot(out, &m->ballot);
        text_addf(out, " prev=%" PRIu64 "@%" PRIu64 " commit=%" PRIu64, m->prev_index, m->prev_term,
                  m->commit);
        if (m->entry_count > 0) {
            trace_entries(out, m->entries, m->entry_count);
        }
        return;
    }
    const struct msg_appended *m = &msg->appended;
    text_addf(out, " ");
    trace_ballot(out, &m->ballot);
    if (m->term != m->ballot.round) {
        text_addf(out, " term=%" PRIu64, m->term);
    }
    if (m->conflict) {
        text_addf(out, " conflict hint=%" PRIu64 "@%" PRIu64 " last=%" PRIu64, m->match,
                  m->hint_term, m->last_index);
    } else {
        text_addf(out, " match=%" PRIu64, m->match);
    }
}

static void trace_handing_over(struct text *out, const struct message *msg)
{
    static const char *const statuses[] = {"taken", "not_leading", "again"};
    if (msg->kind == MSG_PROPOSE) {
        text_addf(out, " ");
        trace_ballot(out, &msg->propose.ballot);
        text_addf(out, " #%" PRIu64 " ", msg->propose.sequence);
        trace_value(out, msg->propose.value);
        return;
    }
    text_addf(out, " #%" PRIu64 " %s", msg->proposed.sequence,
              msg->proposed.status < 3 ? statuses[msg->proposed.status] : "?");
    if (msg->proposed.status == PROPOSED_NOT_LEADING) {
        text_addf(out, " leader=");
        trace_ballot(out, &msg->proposed.leader);
    }
}

static void trace_submit(struct text *out, struct slice bytes)
{
    struct block block;
    text_addf(out, " ");
    if (block_parse(bytes, &block, NULL) != 0) {
        text_addf(out, "malformed");
        return;
    }
    trace_block(out, &block);
}

static void trace_result(struct text *out, const struct msg_result *m)
{
    static const char *const names[] = {
        "ok",           "gap",         "unknown_session", "sessions_full",
        "forgotten",    "compacted",   "future",          "lease_not_found",
        "lease_exists", "leases_full", "key_not_found",   "too_large"};
    text_addf(out, " s%" PRIx64 " applied=%" PRIu64, m->session, m->applied);
    for (uint32_t i = 0; i < m->range_count; i++) {
        const struct result_range *r = &m->ranges[i];
        const char *name = r->status < sizeof names / sizeof *names ? names[r->status] : "?";
        text_addf(out,
                  m->session == 0 ? " [%" PRIx64 "+%u %s %" PRIu64 "]"
                                  : " [%" PRIu64 "+%u %s %" PRIu64 "]",
                  r->sequence, r->count, name, r->value);
    }
}

static void trace_records(struct text *out, const struct msg_records *m)
{
    static const char *const names[] = {"ok", "trimmed", "no_quorum", "busy"};
    text_addf(out, " request=%" PRIu64 " %s last=%" PRIu64 " applied=%" PRIu64 " from=%" PRIu64,
              m->request, m->status < sizeof names / sizeof *names ? names[m->status] : "?",
              m->last, m->applied, m->from);
    for (uint32_t i = 0; i < m->record_count && i < ELEMENTS_SHOWN_MAX; i++) {
        text_addf(out, " ");
        trace_bytes(out, m->records[i]);
    }
    if (m->record_count > ELEMENTS_SHOWN_MAX) {
        text_addf(out, " ..(%u)", m->record_count);
    }
}

static void trace_status(struct text *out, const struct msg_status_reply *m)
{
    for (uint32_t i = 0; i < m->node_count; i++) {
        const struct node_status *n = &m->nodes[i];
        text_addf(out, "%s %s%u %s leader=%u chosen=%" PRIu64 " applied=%" PRIu64, i > 0 ? "," : "",
                  role_name(n->node.role), (unsigned)n->node.id,
                  trace_node_state((enum node_state)n->state), n->leader, n->chosen, n->applied);
    }
}

static void trace_client(struct text *out, const struct message *msg)
{
    static const char *const rejects[] = {"?", "not_leader", "busy", "malformed", "disk"};
    switch (msg->kind) {
    case MSG_SUBMIT:
        trace_submit(out, msg->submit.block);
        break;
    case MSG_REJECT:
        text_addf(out, " %s", msg->reject.reason < 5 ? rejects[msg->reject.reason] : "?");
        text_addf(out, " leader=%u s%" PRIx64 ":%" PRIu64, msg->reject.leader, msg->reject.session,
                  msg->reject.first_seq);
        break;
    case MSG_RESULT:
        trace_result(out, &msg->result);
        break;
    case MSG_READ:
        text_addf(out, " request=%" PRIu64 " from=%" PRIu64 " count=%" PRIu64 "%s wait=%u",
                  msg->read.request, msg->read.from, msg->read.count,
                  msg->read.consistency == READ_LOCAL ? " local" : "", msg->read.wait_ms);
        break;
    case MSG_RECORDS:
        trace_records(out, &msg->records);
        break;
    case MSG_STATUS_REPLY:
        trace_status(out, &msg->status_reply);
        break;
    case MSG_PROGRESS:
        text_addf(out, " applied=%" PRIu64 " due=%" PRIu64, msg->progress.applied,
                  msg->progress.due_ms);
        break;
    case MSG_DIGEST:
        text_addf(out, " learner=%u slot=%" PRIu64, msg->digest.learner, msg->digest.slot);
        break;
    case MSG_QUERY:
        text_addf(out, " request=%" PRIu64, msg->query.request);
        trace_request(out, msg->query.body);
        break;
    case MSG_ANSWER:
        text_addf(out, " request=%" PRIu64 " status=%u revision=%" PRIu64, msg->answer.request,
                  msg->answer.status, msg->answer.revision);
        break;
    case MSG_WATCH:
        text_addf(out, " request=%" PRIu64 " revision=%" PRIu64 " wait=%u ", msg->watch.request,
                  msg->watch.revision, msg->watch.wait_ms);
        trace_bytes(out, msg->watch.key);
        break;
    case MSG_EVENTS:
        text_addf(out, " request=%" PRIu64 " status=%u next=%" PRIu64, msg->events.request,
                  msg->events.status, msg->events.next_revision);
        break;
    default:
        break;
    }
}

void trace_message(struct text *out, const struct message *msg)
{
    text_addf(out, "%s", message_kind_name(msg->kind));
    switch (msg->kind) {
    case MSG_PREPARE:
    case MSG_PROMISE:
        trace_phase1(out, msg);
        break;
    case MSG_ACCEPT:
    case MSG_ACCEPTED:
    case MSG_NACK:
    case MSG_COMMIT:
        trace_phase2(out, msg);
        break;
    case MSG_HEARTBEAT:
    case MSG_REPORT:
    case MSG_RELEASE:
    case MSG_LEADING:
        trace_leading(out, msg);
        break;
    case MSG_REPAIR:
    case MSG_FETCH:
    case MSG_CHOSEN:
    case MSG_READ_INDEX:
    case MSG_READ_INDEX_REPLY:
        trace_catchup(out, msg);
        break;
    case MSG_REQUEST_VOTE:
    case MSG_VOTE:
    case MSG_TIMEOUT_NOW:
        trace_election(out, msg);
        break;
    case MSG_APPEND:
    case MSG_APPENDED:
        trace_replication(out, msg);
        break;
    case MSG_PROPOSE:
    case MSG_PROPOSED:
        trace_handing_over(out, msg);
        break;
    case MSG_ORACLE:
    case MSG_LEASE:
    case MSG_LEASED:
    case MSG_SETTINGS:
        trace_oracle(out, msg);
        break;
    case MSG_NAME:
    case MSG_NAMED:
    case MSG_TRANSFER:
    case MSG_TRANSFERRED:
    case MSG_EXPLAIN:
    case MSG_EXPLANATION:
        trace_operator(out, msg);
        break;
    default:
        trace_client(out, msg);
        break;
    }
}

static void trace_acceptor_record(struct text *out, const struct record *record)
{
    struct ballot ballot;
    if (record->key[0] == 'c' && record->head_size == 8) {
        text_addf(out, " chosen=%" PRIu64, bytes_get_u64(record->head));
        return;
    }
    if (record->key[0] == 't' && record->head_size == 28) {
        ballot = (struct ballot){bytes_get_u64(record->head + 8), bytes_get_u32(record->head + 16),
                                 bytes_get_u64(record->head + 20)};
        text_addf(out, " term=%" PRIu64 " vote=", bytes_get_u64(record->head));
        trace_ballot(out, &ballot);
        return;
    }
    if (record->is_delete && record->key_size == 9) {
        text_addf(out, " -%" PRIu64, bytes_get_u64(record->key + 1));
        return;
    }
    if (record->is_delete || record->head_size < 20) {
        text_addf(out, record->is_delete ? " -%c" : " %c", record->key[0]);
        return;
    }
    ballot = (struct ballot){bytes_get_u64(record->head), bytes_get_u32(record->head + 8),
                             bytes_get_u64(record->head + 12)};
    if ((record->key[0] == 'a' || record->key[0] == 'e') && record->key_size == 9) {
        text_addf(out, " %" PRIu64 "@", bytes_get_u64(record->key + 1));
    } else {
        text_addf(out, " promised=");
    }
    trace_ballot(out, &ballot);
}

void trace_writes(struct text *out, const struct node *node, const struct effects *fx)
{
    text_addf(out, "%s writes", node->name);
    if (node->self.role == ROLE_ACCEPTOR) {
        for (size_t i = 0; i < fx->record_count && i < ELEMENTS_SHOWN_MAX; i++) {
            trace_acceptor_record(out, &fx->records[i]);
        }
    } else {
        text_addf(out, " %zu records", fx->record_count);
    }
    text_addf(out, fx->needs_sync ? " synced" : " lazily");
}

const char *trace_node_state(enum node_state state)
{
    static const char *const names[] = {"unknown",  "standby",    "preparing", "recovering",
                                        "leading",  "draining",   "voting",    "applying",
                                        "catching", "unreachable"};
    return (size_t)state < sizeof names / sizeof *names ? names[state] : "?";
}

const char *trace_raft_role(enum raft_role role)
{
    static const char *const names[] = {"follower", "precandidate", "candidate", "leader"};
    return names[role];
}

static void trace_raft(struct text *out, const struct raft *raft)
{
    text_addf(out, " %s term=%" PRIu64 " vote=A%u commit=%" PRIu64 " last=%" PRIu64 " log=",
              trace_raft_role(raft_role(raft)), raft_term(raft), raft_voted_for(raft),
              raft_commit(raft), raft_last(raft));
    slot_t from = raft_last(raft) > 12 ? raft_last(raft) - 11 : 1;
    for (slot_t i = from; i <= raft_last(raft); i++) {
        uint64_t term = 0;
        struct slice value;
        (void)raft_entry(raft, i, &term, &value);
        text_addf(out, "%s%" PRIu64, i > from ? "," : "", term);
    }
}

void trace_node(struct text *out, const struct node *node)
{
    text_addf(out, "%s", node->name);
    if (node->mode != NODE_UP) {
        text_addf(out, " %s", node->mode == NODE_DOWN ? "down" : "puppet");
    } else if (node->acceptor != NULL) {
        struct ballot promised = acceptor_promised(node->acceptor);
        text_addf(out, " promised=");
        trace_ballot(out, &promised);
        text_addf(out, " chosen=%" PRIu64 " accepted=%" PRIu64, acceptor_chosen(node->acceptor),
                  acceptor_accepted_max(node->acceptor));
    } else if (node->raft != NULL) {
        trace_raft(out, node->raft);
    } else if (node->forward != NULL) {
        struct ballot ballot = forward_leader(node->forward);
        text_addf(out, " leader=");
        trace_ballot(out, &ballot);
    } else if (node->proposer != NULL) {
        struct ballot ballot = proposer_ballot(node->proposer);
        text_addf(out, " %s ballot=", trace_node_state(proposer_state(node->proposer)));
        trace_ballot(out, &ballot);
        text_addf(out, " chosen=%" PRIu64, proposer_chosen(node->proposer));
    } else {
        text_addf(out, " applied=%" PRIu64 " last=%" PRIu64, learner_applied(node->learner),
                  learner_last_index(node->learner));
    }
    text_addf(out, "\n");
}
