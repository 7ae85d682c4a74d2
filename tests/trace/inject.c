#include "tests/trace/inject.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/protocol/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX 64

/* Candidates that made-up settings speak of: 1 to this. */
#define SETTINGS_CANDIDATES 5

int inject_parse_ballot(const char *text, struct ballot *out)
{
    if (strcmp(text, "none") == 0) {
        *out = BALLOT_NONE;
        return 0;
    }
    uint64_t round;
    unsigned proposer;
    char start[24];
    int is_raft = sscanf(text, "%" SCNu64 ".A%u#%23s", &round, &proposer, start) == 3;
    if (!is_raft && sscanf(text, "%" SCNu64 ".%u#%23s", &round, &proposer, start) != 3) {
        return ERROR_USAGE;
    }
    uint64_t incarnation = strtoull(start, NULL, 0);
    if (strncmp(start, "0x", 2) != 0) {
        struct peer peer = {is_raft ? ROLE_ACCEPTOR : ROLE_PROPOSER, proposer};
        incarnation = node_incarnation(peer, (uint32_t)incarnation);
    }
    *out = (struct ballot){round, proposer, incarnation};
    return 0;
}

/* "noop", "lead:3.1#1" or anything else: a batch with one record of that text, of session 1. */
static struct blob *make_value(const char *text)
{
    struct ballot ballot;
    if (strcmp(text, "noop") == 0) {
        return value_noop(0);
    }
    if (strncmp(text, "lead:", 5) == 0 && inject_parse_ballot(text + 5, &ballot) == 0) {
        return value_lead(0, &ballot);
    }
    size_t size = strlen(text);
    uint8_t *p;
    struct blob *bytes = blob_new(BLOCK_HEAD_BYTES + COMMAND_HEAD_BYTES + size, &p);
    struct block block = {.session = 1, .client = 1, .first_seq = 1, .count = 1};
    block_put_head(p, &block, (uint32_t)(COMMAND_HEAD_BYTES + size));
    command_put_head(p + BLOCK_HEAD_BYTES, COMMAND_APPEND, (uint32_t)size);
    memcpy(p + BLOCK_HEAD_BYTES + COMMAND_HEAD_BYTES, text, size);
    struct slice encoded = slice_of(bytes);
    struct blob *value = value_batch(0, &encoded, 1);
    blob_unref(bytes);
    return value;
}

static const char *field(char **words, size_t count, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < count; i++) {
        if (strncmp(words[i], name, size) == 0 && words[i][size] == '=') {
            return words[i] + size + 1;
        }
    }
    return NULL;
}

static uint64_t number(char **words, size_t count, const char *name)
{
    const char *text = field(words, count, name);
    return text == NULL ? 0 : strtoull(text, NULL, 0);
}

/* kind=static preempt=1 zone=eu bar=2 priority=2:9 in=2:eu order=2 */
static struct blob *make_settings(char **w, size_t n)
{
    struct settings settings;
    settings_init(&settings);
    const char *kind = field(w, n, "kind");
    const char *zone = field(w, n, "zone");
    if (kind != NULL) {
        CHECK(oracle_kind_parse(kind, &settings.kind) == 0);
    }
    settings.preempts = number(w, n, "preempt") != 0;
    snprintf(settings.zone, sizeof settings.zone, "%s", zone != NULL ? zone : "");
    for (node_id_t id = 1; id <= SETTINGS_CANDIDATES; id++) {
        struct candidate_settings *candidate = &settings.candidates[settings.candidate_count++];
        unsigned about;
        unsigned priority;
        char in[ZONE_BYTES_MAX];
        const char *text = field(w, n, "priority");
        candidate->id = id;
        candidate->is_barred = number(w, n, "bar") == id;
        if (text != NULL && sscanf(text, "%u:%u", &about, &priority) == 2 && about == id) {
            candidate->priority = priority;
        }
        text = field(w, n, "in");
        if (text != NULL && sscanf(text, "%u:%31s", &about, in) == 2 && about == id) {
            memcpy(candidate->zone, in, sizeof in);
        }
    }
    if (number(w, n, "order") != 0) {
        settings.order[settings.order_count++] = (node_id_t)number(w, n, "order");
    }
    uint8_t bytes[SETTINGS_BYTES_MAX];
    size_t size = settings_put(bytes, &settings);
    uint8_t *p;
    struct blob *blob = blob_new(size, &p);
    memcpy(p, bytes, size);
    return blob;
}

static uint32_t number32(char **words, size_t count, const char *name)
{
    return (uint32_t)number(words, count, name);
}

/* "slot@ballot:value", e.g. 3@2.1#1:noop */
static int parse_entry(const char *text, struct slot_entry *entry)
{
    char ballot[40];
    char value[64];
    if (sscanf(text, "%" SCNu64 "@%39[^:]:%63s", &entry->slot, ballot, value) != 3 ||
        inject_parse_ballot(ballot, &entry->ballot) != 0) {
        return ERROR_USAGE;
    }
    entry->value = slice_of(make_value(value));
    return 0;
}

static struct slot_entry *parse_entries(char **words, size_t count, uint32_t *entry_count)
{
    struct slot_entry *entries = memory_calloc(ENTRIES_MAX, sizeof *entries);
    *entry_count = 0;
    for (size_t i = 0; i < count && *entry_count < ENTRIES_MAX; i++) {
        if (strncmp(words[i], "entry=", 6) == 0 &&
            parse_entry(words[i] + 6, &entries[*entry_count]) == 0) {
            (*entry_count)++;
        }
    }
    return entries;
}

static void fill_votes(char **w, size_t n, const struct ballot *ballot, struct message *msg)
{
    switch (msg->kind) {
    case MSG_PREPARE:
        msg->prepare = (struct msg_prepare){*ballot, number(w, n, "from")};
        break;
    case MSG_PROMISE:
        msg->promise = (struct msg_promise){.ballot = *ballot,
                                            .from_slot = number(w, n, "from"),
                                            .chosen = number(w, n, "chosen"),
                                            .accepted_max = number(w, n, "max"),
                                            .next_slot = number(w, n, "next"),
                                            .stamp_ms = number(w, n, "stamp")};
        msg->promise.entries = parse_entries(w, n, &msg->promise.entry_count);
        break;
    case MSG_ACCEPT: {
        const char *value = field(w, n, "value");
        msg->accept = (struct msg_accept){*ballot, number(w, n, "slot"), number(w, n, "commit"),
                                          slice_of(make_value(value != NULL ? value : "noop"))};
        break;
    }
    case MSG_ACCEPTED:
        msg->accepted = (struct msg_accepted){*ballot, number(w, n, "first"), number(w, n, "last")};
        break;
    case MSG_COMMIT:
        msg->commit = (struct msg_commit){*ballot, number(w, n, "commit")};
        break;
    default:
        break;
    }
}

static void fill_others(char **w, size_t n, const struct ballot *ballot, struct message *msg)
{
    switch (msg->kind) {
    case MSG_NACK:
        msg->nack = (struct msg_nack){.ballot = *ballot,
                                      .reason = number32(w, n, "reason"),
                                      .retry_ms = number32(w, n, "retry")};
        if (field(w, n, "promised") == NULL ||
            inject_parse_ballot(field(w, n, "promised"), &msg->nack.promised) != 0) {
            msg->nack.promised = BALLOT_NONE;
        }
        break;
    case MSG_HEARTBEAT:
        msg->heartbeat = (struct msg_heartbeat){*ballot,
                                                number(w, n, "sequence"),
                                                number(w, n, "commit"),
                                                number32(w, n, "lease"),
                                                number32(w, n, "quorum"),
                                                number(w, n, "settings")};
        break;
    case MSG_PROGRESS:
        msg->progress = (struct msg_progress){.applied = number(w, n, "applied"),
                                              .due_ms = number(w, n, "due")};
        break;
    case MSG_RELEASE:
        msg->release = (struct msg_release){*ballot, number32(w, n, "successor")};
        break;
    case MSG_REPAIR:
        msg->repair =
            (struct msg_repair){*ballot, number(w, n, "target"), number32(w, n, "source")};
        break;
    case MSG_FETCH:
        msg->fetch = (struct msg_fetch){number(w, n, "from"), number32(w, n, "bytes")};
        break;
    case MSG_CHOSEN:
        msg->chosen = (struct msg_chosen){.from = number(w, n, "from"),
                                          .chosen = number(w, n, "chosen"),
                                          .trimmed = number(w, n, "trimmed")};
        msg->chosen.entries = parse_entries(w, n, &msg->chosen.entry_count);
        break;
    case MSG_READ_INDEX:
        msg->read_index = (struct msg_read_index){number(w, n, "request")};
        break;
    case MSG_READ_INDEX_REPLY:
        msg->read_index_reply =
            (struct msg_read_index_reply){number(w, n, "request"), number(w, n, "max")};
        break;
    default:
        break;
    }
}

/* mode=pre|real|transfer */
static uint32_t vote_mode(char **w, size_t n)
{
    const char *text = field(w, n, "mode");
    if (text == NULL || strcmp(text, "real") == 0) {
        return VOTE_REAL;
    }
    return strcmp(text, "pre") == 0 ? VOTE_PRE : VOTE_TRANSFER;
}

static void fill_raft(char **w, size_t n, const struct ballot *ballot, struct message *msg)
{
    switch (msg->kind) {
    case MSG_REQUEST_VOTE:
        msg->request_vote = (struct msg_request_vote){
            number(w, n, "term"), vote_mode(w, n), number(w, n, "last"), number(w, n, "last_term")};
        break;
    case MSG_VOTE:
        msg->vote = (struct msg_vote){number(w, n, "term"), number(w, n, "asked"), vote_mode(w, n),
                                      number32(w, n, "granted")};
        break;
    case MSG_APPEND:
        msg->append = (struct msg_append){.ballot = *ballot,
                                          .sequence = number(w, n, "sequence"),
                                          .prev_index = number(w, n, "prev"),
                                          .prev_term = number(w, n, "prev_term"),
                                          .commit = number(w, n, "commit")};
        msg->append.entries = parse_entries(w, n, &msg->append.entry_count);
        break;
    case MSG_APPENDED:
        msg->appended = (struct msg_appended){.ballot = *ballot,
                                              .term = number(w, n, "term"),
                                              .sequence = number(w, n, "sequence"),
                                              .conflict = number32(w, n, "conflict"),
                                              .match = number(w, n, "match"),
                                              .hint_term = number(w, n, "hint_term"),
                                              .last_index = number(w, n, "last")};
        break;
    case MSG_TIMEOUT_NOW:
        msg->timeout_now = (struct msg_timeout_now){*ballot};
        break;
    case MSG_LEADING:
        msg->leading = (struct msg_leading){*ballot};
        break;
    case MSG_PROPOSED:
        msg->proposed = (struct msg_proposed){.ballot = *ballot,
                                              .sequence = number(w, n, "sequence"),
                                              .status = number32(w, n, "status")};
        break;
    default:
        break;
    }
}

static void fill_operator(char **w, size_t n, struct message *msg)
{
    switch (msg->kind) {
    case MSG_SETTINGS:
        msg->settings = (struct msg_settings){.applied = number(w, n, "applied"),
                                              .version = number(w, n, "version"),
                                              .settings = slice_of(make_settings(w, n))};
        break;
    case MSG_TRANSFER:
        msg->transfer = (struct msg_transfer){number(w, n, "request"), number32(w, n, "to")};
        break;
    case MSG_NAME:
        msg->name = (struct msg_name){number(w, n, "request"), number32(w, n, "proposer"),
                                      number32(w, n, "valid")};
        break;
    case MSG_EXPLAIN:
        msg->explain = (struct msg_explain){number(w, n, "request")};
        break;
    default:
        break;
    }
}

int inject_parse(char **words, size_t count, struct message *msg, struct errmsg *err)
{
    *msg = (struct message){0};
    if (count == 0) {
        return errmsg_set(err, ERROR_USAGE, "no kind of message");
    }
    for (int kind = MSG_PREPARE; kind <= MSG_EXPLANATION; kind++) {
        if (strcmp(message_kind_name((enum message_kind)kind), words[0]) == 0) {
            msg->kind = (enum message_kind)kind;
        }
    }
    if (msg->kind == 0) {
        return errmsg_set(err, ERROR_USAGE, "'%s' is no kind of message to make up", words[0]);
    }
    struct ballot ballot = BALLOT_NONE;
    const char *text = field(words, count, "ballot");
    if (text != NULL && inject_parse_ballot(text, &ballot) != 0) {
        return errmsg_set(err, ERROR_USAGE, "'%s' is no ballot", text);
    }
    msg->echo = number(words, count, "echo");
    msg->incarnation = number(words, count, "incarnation");
    if (msg->incarnation == 0 && !ballot_is_none(&ballot) && msg->kind != MSG_PROMISE &&
        msg->kind != MSG_ACCEPTED && msg->kind != MSG_NACK && msg->kind != MSG_APPENDED) {
        msg->incarnation = ballot.incarnation; /* a proposer speaks of its own ballot */
    }
    fill_votes(words, count, &ballot, msg);
    fill_others(words, count, &ballot, msg);
    fill_raft(words, count, &ballot, msg);
    fill_operator(words, count, msg);
    return 0;
}

static void release_entries(struct slot_entry *entries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        slice_drop(&entries[i].value);
    }
    free(entries);
}

void inject_release(struct message *msg)
{
    if (msg->kind == MSG_PROMISE) {
        release_entries(msg->promise.entries, msg->promise.entry_count);
    } else if (msg->kind == MSG_APPEND) {
        release_entries(msg->append.entries, msg->append.entry_count);
    } else if (msg->kind == MSG_CHOSEN) {
        release_entries(msg->chosen.entries, msg->chosen.entry_count);
    } else if (msg->kind == MSG_ACCEPT) {
        slice_drop(&msg->accept.value);
    } else if (msg->kind == MSG_SETTINGS) {
        slice_drop(&msg->settings.settings);
    }
}
