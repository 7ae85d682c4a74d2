#include "tests/unit/core_kit.h"

#include "common/base/buffer.h"
#include "common/base/bytes.h"
#include "common/base/check.h"

#include <string.h>

void kit_open(struct core_kit *kit)
{
    memset(kit, 0, sizeof *kit);
    kit->store = store_open_memory();
    kit->now = 1000000;
    effects_init(&kit->fx);
}

void kit_close(struct core_kit *kit)
{
    effects_close(&kit->fx);
    store_close(kit->store);
}

void kit_event(struct core_kit *kit, enum event_kind kind)
{
    struct event event = {.kind = kind, .now = kit->now};
    kit->core.step(kit->core.self, &event, &kit->fx);
}

void kit_peer(struct core_kit *kit, enum event_kind kind, struct peer peer)
{
    struct event event = {.kind = kind, .now = kit->now, .peer = peer};
    kit->core.step(kit->core.self, &event, &kit->fx);
}

void kit_message(struct core_kit *kit, const struct message *msg)
{
    struct event event = {.kind = EVENT_MESSAGE, .now = kit->now, .msg = msg};
    kit->core.step(kit->core.self, &event, &kit->fx);
}

void kit_flush(struct core_kit *kit)
{
    kit_event(kit, EVENT_FLUSH);
}

void kit_end(struct core_kit *kit)
{
    size_t count = kit->fx.record_count;
    CHECK(store_write(kit->store, kit->fx.records, count, kit->fx.needs_sync, NULL) == 0);
    effects_clear(&kit->fx);
    if (count > 0) {
        kit_event(kit, EVENT_WRITTEN);
    }
}

const struct outgoing *kit_sent(const struct core_kit *kit, enum message_kind kind, size_t nth)
{
    for (size_t i = 0; i < kit->fx.send_count; i++) {
        if (kit->fx.sends[i].msg.kind == kind && nth-- == 0) {
            return &kit->fx.sends[i];
        }
    }
    return NULL;
}

size_t kit_sent_count(const struct core_kit *kit, enum message_kind kind)
{
    size_t count = 0;
    while (kit_sent(kit, kind, count) != NULL) {
        count++;
    }
    return count;
}

int kit_puts(const struct core_kit *kit, char letter)
{
    for (size_t i = 0; i < kit->fx.record_count; i++) {
        if (kit->fx.records[i].key[0] == (uint8_t)letter) {
            return 1;
        }
    }
    return 0;
}

struct members kit_members(size_t acceptors, size_t proposers, size_t learners)
{
    struct members members = {.number = 1,
                              .acceptor_count = acceptors,
                              .proposer_count = proposers,
                              .learner_count = learners,
                              .q1 = majority_of(acceptors),
                              .q2 = majority_of(acceptors)};
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        members.acceptors[i] = i < acceptors ? (node_id_t)i + 1 : 0;
        members.proposers[i] = i < proposers ? (node_id_t)i + 1 : 0;
        members.learners[i] = i < learners ? (node_id_t)i + 1 : 0;
    }
    return members;
}

struct message kit_from(enum role role, uint64_t id, uint64_t incarnation, enum message_kind kind)
{
    struct message msg;
    memset(&msg, 0, sizeof msg);
    msg.kind = kind;
    msg.from = (struct peer){role, id};
    msg.incarnation = incarnation;
    return msg;
}

/* ---- for a learner */

void kit_stream(struct core_kit *kit, const struct ballot *leader, slot_t slot, slot_t commit,
                struct blob *value)
{
    struct message msg = kit_from(ROLE_PROPOSER, leader->proposer, leader->incarnation, MSG_ACCEPT);
    msg.accept = (struct msg_accept){*leader, slot, commit, slice_of(value)};
    kit_message(kit, &msg);
    blob_unref(value);
}

struct blob *kit_block_value(uint64_t stamp_ms, const struct block *head, struct slice commands)
{
    struct buffer bytes = {0};
    block_put_head(buffer_extend(&bytes, BLOCK_HEAD_BYTES), head, (uint32_t)commands.size);
    buffer_put(&bytes, commands);
    struct slice block = buffer_slice(&bytes);
    struct blob *value = value_batch(stamp_ms, &block, 1);
    buffer_close(&bytes);
    return value;
}

struct blob *kit_command_value(uint64_t stamp_ms, const struct block *head, enum command_op op,
                               struct slice payload)
{
    struct buffer command = {0};
    command_put_head(buffer_extend(&command, COMMAND_HEAD_BYTES), op, (uint32_t)payload.size);
    buffer_put(&command, payload);
    struct blob *value = kit_block_value(stamp_ms, head, buffer_slice(&command));
    buffer_close(&command);
    return value;
}

struct blob *kit_open_value(uint64_t stamp_ms, uint64_t client)
{
    uint8_t bytes[OPEN_BLOCK_BYTES];
    block_put_open(bytes, client, 1, 60000, 0);
    struct slice block = slice_borrow(bytes, sizeof bytes);
    return value_batch(stamp_ms, &block, 1);
}
