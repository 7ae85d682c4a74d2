#include "tests/explore/post.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/protocol/value.h"
#include "common/wire/wire.h"
#include "tests/explore/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct wire_context context = {.cluster_id = 1, .config_number = 1};

static struct {
    struct intern values;
    struct slice *slices; /* by value */
    size_t slice_capacity;
    struct intern messages; /* a byte for the receiver, then the frame */
    struct letter *letters; /* by message */
    struct blob **frames;
    size_t letter_capacity, frame_capacity;
    struct intern proposals;
    struct arena arena; /* of decoded messages */
} post;

uint32_t post_value(struct slice value)
{
    CHECK(value.size > 0);
    size_t known = post.values.count;
    uint32_t id = intern_add(&post.values, value.data, value.size);
    if (id == known) {
        post.slices =
            memory_grow(post.slices, &post.slice_capacity, known + 1, sizeof *post.slices);
        post.slices[id] = slice_of(blob_copy(value.data, value.size));
    }
    return id + 1;
}

struct slice post_value_slice(uint32_t value)
{
    CHECK(value >= 1 && value <= post.values.count);
    return post.slices[value - 1];
}

uint32_t post_proposal(slot_t slot, const struct ballot *ballot, struct slice value)
{
    struct proposal proposal;
    memset(&proposal, 0, sizeof proposal);
    proposal.slot = slot;
    proposal.round = ballot->round;
    proposal.incarnation = ballot->incarnation;
    proposal.proposer = ballot->proposer;
    proposal.value = post_value(value);
    return intern_add(&post.proposals, &proposal, sizeof proposal);
}

const struct proposal *post_get_proposal(uint32_t proposal)
{
    return intern_get(&post.proposals, proposal, NULL);
}

struct ballot proposal_ballot(const struct proposal *proposal)
{
    return (struct ballot){proposal->round, proposal->proposer, proposal->incarnation};
}

/* Decodes a new frame once, for ever. */
static void add_letter(uint32_t id, const uint8_t *frame, size_t size, unsigned to)
{
    post.letters =
        memory_grow(post.letters, &post.letter_capacity, (size_t)id + 1, sizeof *post.letters);
    post.frames =
        memory_grow(post.frames, &post.frame_capacity, (size_t)id + 1, sizeof(struct blob *));
    struct letter *letter = &post.letters[id];
    memset(letter, 0, sizeof *letter);
    post.frames[id] = blob_copy(frame, size);
    enum refusal refusal;
    struct errmsg err;
    int rc = wire_decode(&context, post.frames[id], &post.arena, &letter->msg, &refusal, &err);
    CHECK(rc == 0);
    letter->from = process_of(letter->msg.from);
    letter->to = to;
    if (letter->msg.kind == MSG_ACCEPT) {
        const struct msg_accept *accept = &letter->msg.accept;
        letter->proposal = post_proposal(accept->slot, &accept->ballot, accept->value) + 1;
    }
}

uint32_t post_message(const struct message *msg, unsigned to)
{
    uint8_t *frame = NULL;
    size_t size = 0;
    int rc = wire_encode(&context, msg, &frame, &size);
    CHECK(rc == 0);
    struct bytes key = {0};
    uint8_t receiver = (uint8_t)to;
    bytes_append(&key, &receiver, 1);
    bytes_append(&key, frame, size);
    size_t known = post.messages.count;
    uint32_t id = intern_add(&post.messages, key.data, key.size);
    if (id == known) {
        CHECK(id <= CHOICE_ARGUMENT_MAX);
        add_letter(id, frame, size, to);
    }
    free(key.data);
    free(frame);
    return id;
}

const struct letter *post_letter(uint32_t message)
{
    CHECK(message < post.messages.count);
    return &post.letters[message];
}

size_t post_message_count(void)
{
    return post.messages.count;
}

void post_close(void)
{
    for (size_t i = 0; i < post.values.count; i++) {
        slice_drop(&post.slices[i]);
    }
    for (size_t i = 0; i < post.messages.count; i++) {
        blob_unref(post.frames[i]);
    }
    free(post.slices);
    free(post.letters);
    free(post.frames);
    intern_close(&post.values);
    intern_close(&post.messages);
    intern_close(&post.proposals);
    arena_close(&post.arena);
    memset(&post, 0, sizeof post);
}

/* ---- text */

static void describe_ballot(const struct ballot *ballot, char *text, size_t size)
{
    snprintf(text, size, "%llu.%u#%llu", (unsigned long long)ballot->round, ballot->proposer,
             (unsigned long long)ballot->incarnation);
}

void post_describe_value(uint32_t id, char *text, size_t size)
{
    struct value value;
    if (id == 0 || value_parse(post_value_slice(id), &value) != 0) {
        snprintf(text, size, "none");
        return;
    }
    struct slice rest = value.blocks;
    struct block block;
    switch (value.kind) {
    case VALUE_NOOP:
        snprintf(text, size, "noop");
        break;
    case VALUE_LEAD:
        snprintf(text, size, "lead(%llu.%u#%llu)", (unsigned long long)value.lead.round,
                 value.lead.proposer, (unsigned long long)value.lead.incarnation);
        break;
    case VALUE_BATCH:
        snprintf(text, size, "command(%llu)",
                 value_next_block(&rest, &block) ? (unsigned long long)block.client : 0);
        break;
    case VALUE_LINE:
        snprintf(text, size, "line");
        break;
    }
}

static size_t describe_entries(const struct slot_entry *entries, uint32_t count, char *text,
                               size_t size)
{
    size_t used = 0;
    for (uint32_t i = 0; i < count && used < size; i++) {
        char ballot[64];
        char value[64];
        describe_ballot(&entries[i].ballot, ballot, sizeof ballot);
        post_describe_value(post_value(entries[i].value), value, sizeof value);
        int wrote = snprintf(text + used, size - used, " %llu:%s=%s",
                             (unsigned long long)entries[i].slot, ballot, value);
        used += wrote > 0 ? (size_t)wrote : 0;
    }
    return used;
}

static void describe_body(const struct message *msg, char *text, size_t size)
{
    char ballot[64] = "";
    char more[64] = "";
    char entries[300] = "";
    switch (msg->kind) {
    case MSG_PREPARE:
        describe_ballot(&msg->prepare.ballot, ballot, sizeof ballot);
        snprintf(text, size, "%s", ballot);
        break;
    case MSG_PROMISE:
        describe_ballot(&msg->promise.ballot, ballot, sizeof ballot);
        describe_entries(msg->promise.entries, msg->promise.entry_count, entries, sizeof entries);
        snprintf(text, size, "%s chosen=%llu%s", ballot, (unsigned long long)msg->promise.chosen,
                 entries);
        break;
    case MSG_ACCEPT:
        describe_ballot(&msg->accept.ballot, ballot, sizeof ballot);
        post_describe_value(post_value(msg->accept.value), more, sizeof more);
        snprintf(text, size, "%s slot=%llu %s commit=%llu", ballot,
                 (unsigned long long)msg->accept.slot, more,
                 (unsigned long long)msg->accept.commit);
        break;
    case MSG_ACCEPTED:
        describe_ballot(&msg->accepted.ballot, ballot, sizeof ballot);
        snprintf(text, size, "%s slots=%llu-%llu", ballot, (unsigned long long)msg->accepted.first,
                 (unsigned long long)msg->accepted.last);
        break;
    case MSG_NACK:
        describe_ballot(&msg->nack.ballot, ballot, sizeof ballot);
        describe_ballot(&msg->nack.promised, more, sizeof more);
        snprintf(text, size, "%s promised=%s", ballot, more);
        break;
    case MSG_HEARTBEAT:
        describe_ballot(&msg->heartbeat.ballot, ballot, sizeof ballot);
        snprintf(text, size, "%s commit=%llu", ballot, (unsigned long long)msg->heartbeat.commit);
        break;
    case MSG_FETCH:
        snprintf(text, size, "from=%llu", (unsigned long long)msg->fetch.from);
        break;
    case MSG_CHOSEN:
        describe_entries(msg->chosen.entries, msg->chosen.entry_count, entries, sizeof entries);
        snprintf(text, size, "chosen=%llu%s", (unsigned long long)msg->chosen.chosen, entries);
        break;
    default:
        snprintf(text, size, "...");
        break;
    }
}

void post_describe(uint32_t message, char *text, size_t size)
{
    const struct letter *letter = post_letter(message);
    char body[420] = "";
    describe_body(&letter->msg, body, sizeof body);
    snprintf(text, size, "%s %s", message_kind_name(letter->msg.kind), body);
}
