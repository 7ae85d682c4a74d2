#include "tests/explore/turn.h"

#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/base/memory.h"
#include "tests/explore/post.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void list_add(struct list *list, uint32_t item)
{
    list->items = memory_grow(list->items, &list->capacity, list->count + 1, sizeof *list->items);
    list->items[list->count++] = item;
}

void turn_violate(struct turn *turn, const char *fmt, ...)
{
    if (turn->violation[0] != '\0') {
        return;
    }
    va_list args;
    va_start(args, fmt);
    vsnprintf(turn->violation, sizeof turn->violation, fmt, args);
    va_end(args);
}

void turn_claim(struct turn *turn, slot_t watermark)
{
    if (watermark > turn->claim.watermark) {
        turn->claim.watermark = watermark;
    }
}

void turn_claim_value(struct turn *turn, slot_t slot, struct slice value)
{
    if (slot == 0 || slot > SLOTS) {
        turn_violate(turn, "slot %llu is said to be chosen, but nobody could accept it",
                     (unsigned long long)slot);
        return;
    }
    uint32_t number = post_value(value);
    if (turn->claim.values[slot] != 0 && turn->claim.values[slot] != number) {
        turn_violate(turn, "slot %llu is said to be chosen with two values",
                     (unsigned long long)slot);
    }
    turn->claim.values[slot] = number;
}

/* ---- nothing is sent before it is durable */

/* The durable vote for a slot is at this ballot or a later one, or the slot is durably chosen. */
static int is_vote_durable(const struct image *durable, slot_t slot, const struct ballot *ballot)
{
    if (durable->has_chosen && durable->chosen >= slot) {
        return 1;
    }
    if (slot == 0 || slot > SLOTS || durable->votes[slot].value == 0) {
        return 0;
    }
    struct ballot voted = image_vote_ballot(&durable->votes[slot]);
    return ballot_compare(&voted, ballot) >= 0;
}

static void check_promise(struct turn *turn, const struct msg_promise *msg)
{
    const struct image *durable = &turn->disk->durable;
    struct ballot promised = image_promise(durable);
    if (ballot_compare(&promised, &msg->ballot) < 0) {
        turn_violate(turn, "a promise left before it was durable");
    }
    if (msg->chosen > (durable->has_chosen ? durable->chosen : 0)) {
        turn_violate(turn, "a promise reports a watermark that is not durable");
    }
    for (uint32_t i = 0; i < msg->entry_count; i++) {
        if (!is_vote_durable(durable, msg->entries[i].slot, &msg->entries[i].ballot)) {
            turn_violate(turn, "a promise reports a vote that is not durable");
        }
    }
}

static void check_durable(struct turn *turn, const struct message *msg)
{
    struct ballot promised = image_promise(&turn->disk->durable);
    switch (msg->kind) {
    case MSG_PROMISE:
        check_promise(turn, &msg->promise);
        break;
    case MSG_ACCEPTED:
        for (slot_t slot = msg->accepted.first; slot <= msg->accepted.last; slot++) {
            if (!is_vote_durable(&turn->disk->durable, slot, &msg->accepted.ballot)) {
                turn_violate(turn, "an accepted left before its vote was durable");
            }
        }
        break;
    case MSG_NACK:
        if (ballot_compare(&promised, &msg->nack.promised) < 0) {
            turn_violate(turn, "a nack names a promise that is not durable");
        }
        break;
    case MSG_REPORT:
        if (ballot_compare(&promised, &msg->report.promised) < 0) {
            turn_violate(turn, "a report names a promise that is not durable");
        }
        break;
    default:
        break;
    }
}

/* ---- what a message says is chosen */

static void note_claims(struct turn *turn, const struct message *msg, const struct peer *to)
{
    switch (msg->kind) {
    case MSG_PROMISE:
        turn_claim(turn, msg->promise.chosen);
        break;
    case MSG_ACCEPT:
        turn_claim(turn, msg->accept.commit);
        if (to->role == ROLE_LEARNER && msg->accept.slot <= msg->accept.commit) {
            turn_claim_value(turn, msg->accept.slot, msg->accept.value);
        }
        break;
    case MSG_COMMIT:
        turn_claim(turn, msg->commit.commit);
        break;
    case MSG_HEARTBEAT:
        turn_claim(turn, msg->heartbeat.commit);
        break;
    case MSG_REPORT:
        turn_claim(turn, msg->report.chosen);
        break;
    case MSG_CHOSEN:
        turn_claim(turn, msg->chosen.chosen);
        for (uint32_t i = 0; i < msg->chosen.entry_count; i++) {
            turn_claim_value(turn, msg->chosen.entries[i].slot, msg->chosen.entries[i].value);
        }
        break;
    default:
        break;
    }
}

/* ---- sending */

/* Messages that are lost, always. README.md says why that hides nothing that the scope is about. */
static int is_lost(const struct scope *scope, const struct message *msg)
{
    switch (msg->kind) {
    case MSG_ACCEPT:
        return msg->accept.slot > SLOTS;
    case MSG_HEARTBEAT:
        return !scope->heartbeats || ballot_is_none(&msg->heartbeat.ballot);
    case MSG_REPORT:
        return 1;
    case MSG_NACK:
        /* To a copy of a prepare that was promised: the proposer looks at nothing in it. */
        return msg->nack.reason == NACK_BALLOT &&
               ballot_equal(&msg->nack.promised, &msg->nack.ballot);
    default:
        return 0;
    }
}

static void send_one(struct turn *turn, const struct outgoing *out)
{
    struct message msg = out->msg;
    msg.from = process_peer(turn->process);
    msg.incarnation = turn->incarnation;
    if (turn->disk != NULL) {
        check_durable(turn, &msg);
    }
    note_claims(turn, &msg, &out->to);
    if (is_lost(turn->scope, &msg)) {
        return;
    }
    for (unsigned to = 0; to < PROCESSES; to++) {
        struct peer peer = process_peer(to);
        if (to != turn->process && peer.role == out->to.role &&
            (out->to.id == 0 || out->to.id == peer.id)) {
            list_add(&turn->sends, post_message(&msg, to));
        }
    }
}

static void send_all(struct turn *turn, enum send_when when)
{
    for (size_t i = 0; i < turn->fx.send_count; i++) {
        if (turn->fx.sends[i].when == when) {
            send_one(turn, &turn->fx.sends[i]);
        }
    }
}

/* ---- the turn */

void turn_note_votes(struct turn *turn)
{
    const struct image *durable = &turn->disk->durable;
    for (slot_t slot = 1; slot <= SLOTS; slot++) {
        const struct image_vote *vote = &durable->votes[slot];
        if (vote->value != 0) {
            struct ballot ballot = image_vote_ballot(vote);
            struct slice value = post_value_slice((uint32_t)vote->value);
            list_add(&turn->votes, post_proposal(slot, &ballot, value));
        }
    }
}

/* A vote that another one of the same batch replaced was durable, too: both were synced at once. */
static void note_batch_votes(struct turn *turn)
{
    for (size_t i = 0; i < turn->fx.record_count; i++) {
        const struct record *record = &turn->fx.records[i];
        if (record->key[0] == 'a') {
            struct ballot ballot = {bytes_get_u64(record->head), bytes_get_u32(record->head + 8),
                                    bytes_get_u64(record->head + 12)};
            list_add(&turn->votes,
                     post_proposal(bytes_get_u64(record->key + 1), &ballot, record->body));
        }
    }
}

static void write_records(struct turn *turn)
{
    if (turn->disk == NULL) {
        CHECK(turn->fx.record_count == 0);
        return;
    }
    struct ballot before = image_promise(&turn->disk->durable);
    disk_put(turn->disk, turn->fx.records, turn->fx.record_count, turn->fx.needs_sync);
    if (!turn->fx.needs_sync) {
        return;
    }
    struct ballot after = image_promise(&turn->disk->durable);
    int order = ballot_compare(&after, &before);
    if (order < 0 || (order == 0 && !ballot_equal(&after, &before))) {
        turn_violate(turn, "the durable promise fell");
    }
    note_batch_votes(turn);
    turn_note_votes(turn);
}

static void step(struct turn *turn, const struct event *event)
{
    turn->core.step(turn->core.self, event, &turn->fx);
    if (turn->fx.fatal != 0) {
        turn_violate(turn, "the process ends: %s", turn->fx.fatal_text.text);
    }
}

void turn_run(struct turn *turn, const struct event *events, size_t count, int die)
{
    for (size_t i = 0; i < count; i++) {
        if (events[i].msg == NULL || !message_is_stale(events[i].msg, turn->incarnation)) {
            step(turn, &events[i]);
        }
    }
    time_ms_t now = events[count - 1].now;
    step(turn, &(struct event){.kind = EVENT_FLUSH, .now = now});
    size_t before = turn->sends.count;
    send_all(turn, SEND_NOW);
    turn->is_leaking |= turn->sends.count > before && turn->fx.needs_sync;
    if (!die) {
        write_records(turn);
        send_all(turn, SEND_AFTER_DURABLE);
        time_ms_t wake_at = turn->fx.wake_at;
        effects_clear(&turn->fx);
        turn->fx.wake_at = wake_at;
        step(turn, &(struct event){.kind = EVENT_WRITTEN, .now = now});
        CHECK(turn->fx.record_count == 0);
        send_all(turn, SEND_NOW);
        send_all(turn, SEND_AFTER_DURABLE);
    }
    turn->wake_at = turn->fx.wake_at;
    effects_clear(&turn->fx);
}
