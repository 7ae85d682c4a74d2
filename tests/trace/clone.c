#include "tests/trace/clone.h"

#include "common/base/memory.h"

#include <stdlib.h>
#include <string.h>

static void *copy_array(const void *array, size_t count, size_t size)
{
    if (count == 0) {
        return NULL;
    }
    void *copy = memory_calloc(count, size);
    memcpy(copy, array, count * size);
    return copy;
}

static struct slot_entry *copy_entries(const struct slot_entry *entries, uint32_t count)
{
    struct slot_entry *copy = copy_array(entries, count, sizeof *entries);
    for (uint32_t i = 0; i < count; i++) {
        copy[i].value = slice_keep(entries[i].value);
    }
    return copy;
}

static void drop_entries(struct slot_entry *entries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        slice_drop(&entries[i].value);
    }
    free(entries);
}

static struct slice *copy_slices(const struct slice *slices, uint32_t count)
{
    struct slice *copy = copy_array(slices, count, sizeof *slices);
    for (uint32_t i = 0; i < count; i++) {
        copy[i] = slice_keep(slices[i]);
    }
    return copy;
}

static void drop_slices(struct slice *slices, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        slice_drop(&slices[i]);
    }
    free(slices);
}

static void copy_explanation(const struct message *msg, struct message *copy)
{
    const struct msg_explanation *from = &msg->explanation;
    copy->explanation.oracle = slice_keep(from->oracle);
    copy->explanation.acceptors =
        copy_array(from->acceptors, from->acceptor_count, sizeof *from->acceptors);
    copy->explanation.links = copy_array(from->links, from->link_count, sizeof *from->links);
}

/* What clients and learners, and oracles, say. */
static void clone_client(const struct message *msg, struct message *copy)
{
    switch (msg->kind) {
    case MSG_SUBMIT:
        copy->submit.block = slice_keep(msg->submit.block);
        break;
    case MSG_RESULT:
        copy->result.ranges =
            copy_array(msg->result.ranges, msg->result.range_count, sizeof *msg->result.ranges);
        for (uint32_t i = 0; i < copy->result.range_count; i++) {
            copy->result.ranges[i].body = slice_keep(msg->result.ranges[i].body);
        }
        break;
    case MSG_RECORDS:
        copy->records.records = copy_slices(msg->records.records, msg->records.record_count);
        break;
    case MSG_STATUS_REPLY:
        copy->status_reply.nodes = copy_array(msg->status_reply.nodes, msg->status_reply.node_count,
                                              sizeof *msg->status_reply.nodes);
        break;
    case MSG_QUERY:
        copy->query.body = slice_keep(msg->query.body);
        break;
    case MSG_ANSWER:
        copy->answer.body = slice_keep(msg->answer.body);
        break;
    case MSG_WATCH:
        copy->watch.key = slice_keep(msg->watch.key);
        copy->watch.end = slice_keep(msg->watch.end);
        break;
    case MSG_EVENTS:
        copy->events.events = slice_keep(msg->events.events);
        break;
    case MSG_ORACLE:
        copy->oracle.rumors =
            copy_array(msg->oracle.rumors, msg->oracle.rumor_count, sizeof *msg->oracle.rumors);
        break;
    case MSG_SETTINGS:
        copy->settings.settings = slice_keep(msg->settings.settings);
        copy->settings.line =
            copy_array(msg->settings.line, msg->settings.line_count, sizeof *msg->settings.line);
        break;
    case MSG_EXPLANATION:
        copy_explanation(msg, copy);
        break;
    default:
        break; /* plain numbers */
    }
}

void message_clone(const struct message *msg, struct message *copy)
{
    *copy = *msg;
    switch (msg->kind) {
    case MSG_REFUSED:
        copy->refused.text = slice_keep(msg->refused.text);
        break;
    case MSG_PROMISE:
        copy->promise.entries = copy_entries(msg->promise.entries, msg->promise.entry_count);
        break;
    case MSG_ACCEPT:
        copy->accept.value = slice_keep(msg->accept.value);
        break;
    case MSG_APPEND:
        copy->append.entries = copy_entries(msg->append.entries, msg->append.entry_count);
        break;
    case MSG_PROPOSE:
        copy->propose.value = slice_keep(msg->propose.value);
        break;
    case MSG_CHOSEN:
        copy->chosen.entries = copy_entries(msg->chosen.entries, msg->chosen.entry_count);
        break;
    case MSG_REPORT:
        copy->report.proposers = copy_array(msg->report.proposers, msg->report.proposer_count,
                                            sizeof *msg->report.proposers);
        break;
    default:
        clone_client(msg, copy);
        break;
    }
}

static void drop_client(struct message *copy)
{
    switch (copy->kind) {
    case MSG_SUBMIT:
        slice_drop(&copy->submit.block);
        break;
    case MSG_RESULT:
        for (uint32_t i = 0; i < copy->result.range_count; i++) {
            slice_drop(&copy->result.ranges[i].body);
        }
        free(copy->result.ranges);
        break;
    case MSG_RECORDS:
        drop_slices(copy->records.records, copy->records.record_count);
        break;
    case MSG_STATUS_REPLY:
        free(copy->status_reply.nodes);
        break;
    case MSG_QUERY:
        slice_drop(&copy->query.body);
        break;
    case MSG_ANSWER:
        slice_drop(&copy->answer.body);
        break;
    case MSG_WATCH:
        slice_drop(&copy->watch.key);
        slice_drop(&copy->watch.end);
        break;
    case MSG_EVENTS:
        slice_drop(&copy->events.events);
        break;
    case MSG_ORACLE:
        free(copy->oracle.rumors);
        break;
    case MSG_SETTINGS:
        slice_drop(&copy->settings.settings);
        free(copy->settings.line);
        break;
    case MSG_EXPLANATION:
        slice_drop(&copy->explanation.oracle);
        free(copy->explanation.acceptors);
        free(copy->explanation.links);
        break;
    default:
        break;
    }
}

void message_drop(struct message *copy)
{
    switch (copy->kind) {
    case MSG_REFUSED:
        slice_drop(&copy->refused.text);
        break;
    case MSG_PROMISE:
        drop_entries(copy->promise.entries, copy->promise.entry_count);
        break;
    case MSG_ACCEPT:
        slice_drop(&copy->accept.value);
        break;
    case MSG_APPEND:
        drop_entries(copy->append.entries, copy->append.entry_count);
        break;
    case MSG_PROPOSE:
        slice_drop(&copy->propose.value);
        break;
    case MSG_CHOSEN:
        drop_entries(copy->chosen.entries, copy->chosen.entry_count);
        break;
    case MSG_REPORT:
        free(copy->report.proposers);
        break;
    default:
        drop_client(copy);
        break;
    }
    memset(copy, 0, sizeof *copy);
}
