/* The acceptor's rules one by one (DESIGN 4 and 5): what it promises, takes and refuses, what is
 * durable before it speaks, and what survives a restart. */
#include "acceptor/state.h"
#include "common/protocol/value.h"
#include "tests/unit/core_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ELECTION_MS 500
#define HEARTBEAT_MS 50

struct fixture {
    struct core_kit kit;
    struct acceptor *acceptor;
    uint64_t sequence; /* of the last heartbeat */
};

static void start(struct fixture *f)
{
    struct acceptor_options options = {.id = 1,
                                       .members = kit_members(3, 2, 1),
                                       .election_ms = ELECTION_MS,
                                       .heartbeat_ms = HEARTBEAT_MS,
                                       .reader = store_reader(f->kit.store)};
    f->acceptor = acceptor_new(&options);
    f->kit.core = acceptor_core(f->acceptor);
    kit_event(&f->kit, EVENT_START);
    assert_int_equal(f->kit.fx.fatal, 0);
    kit_end(&f->kit);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    kit_open(&f->kit);
    start(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    effects_clear(&f->kit.fx);
    acceptor_free(f->acceptor);
    kit_close(&f->kit);
    free(f);
    return 0;
}

static void restart(struct fixture *f)
{
    effects_clear(&f->kit.fx);
    acceptor_free(f->acceptor);
    start(f);
}

static struct ballot ballot(uint64_t round, node_id_t proposer)
{
    return (struct ballot){round, proposer, 100 + proposer};
}

static void send_prepare(struct fixture *f, struct ballot b, slot_t from)
{
    struct message msg = kit_from(ROLE_PROPOSER, b.proposer, b.incarnation, MSG_PREPARE);
    msg.prepare = (struct msg_prepare){b, from};
    kit_message(&f->kit, &msg);
    kit_flush(&f->kit);
}

/* Steps an accept of a no-op whose stamp is `mark`, which makes values differ. */
static void step_accept(struct fixture *f, struct ballot b, slot_t slot, slot_t commit,
                        uint64_t mark)
{
    struct message msg = kit_from(ROLE_PROPOSER, b.proposer, b.incarnation, MSG_ACCEPT);
    struct blob *value = value_noop(mark);
    msg.accept = (struct msg_accept){b, slot, commit, slice_of(value)};
    kit_message(&f->kit, &msg);
    blob_unref(value);
}

static void send_accept(struct fixture *f, struct ballot b, slot_t slot, slot_t commit,
                        uint64_t mark)
{
    step_accept(f, b, slot, commit, mark);
    kit_flush(&f->kit);
}

static void send_heartbeat(struct fixture *f, struct ballot b, node_id_t from, uint32_t lease_ms)
{
    struct message msg = kit_from(ROLE_PROPOSER, from, 100 + from, MSG_HEARTBEAT);
    msg.heartbeat =
        (struct msg_heartbeat){.ballot = b, .sequence = ++f->sequence, .lease_ms = lease_ms};
    kit_message(&f->kit, &msg);
    kit_flush(&f->kit);
}

static void assert_nack(struct fixture *f, enum nack_reason reason)
{
    const struct outgoing *nack = kit_sent(&f->kit, MSG_NACK, 0);
    assert_non_null(nack);
    assert_int_equal(nack->msg.nack.reason, reason);
    assert_int_equal(kit_sent_count(&f->kit, MSG_PROMISE), 0);
    assert_int_equal(kit_sent_count(&f->kit, MSG_ACCEPTED), 0);
    kit_end(&f->kit);
}

static void expect_promise(struct fixture *f)
{
    assert_int_equal(kit_sent_count(&f->kit, MSG_PROMISE), 1);
    kit_end(&f->kit);
}

static void expect_accepted(struct fixture *f, slot_t first, slot_t last)
{
    const struct outgoing *accepted = kit_sent(&f->kit, MSG_ACCEPTED, 0);
    assert_non_null(accepted);
    assert_int_equal(accepted->when, SEND_AFTER_DURABLE);
    assert_int_equal(accepted->msg.accepted.first, first);
    assert_int_equal(accepted->msg.accepted.last, last);
    kit_end(&f->kit);
}

/* A promise is put, needs the sync, and the reply is held for it. */
static void test_promise_waits_for_the_disk(void **state)
{
    struct fixture *f = *state;
    send_prepare(f, ballot(1, 1), 0);
    const struct outgoing *promise = kit_sent(&f->kit, MSG_PROMISE, 0);
    assert_non_null(promise);
    assert_int_equal(promise->when, SEND_AFTER_DURABLE);
    assert_int_equal(promise->msg.echo, 101);
    assert_true(f->kit.fx.needs_sync);
    assert_true(kit_puts(&f->kit, 'p'));
}

/* Rule 1: only a strictly higher ballot is promised; the same one, also of another incarnation or
 * from the same proposer again, is refused. */
static void test_prepare_must_be_strictly_higher(void **state)
{
    struct fixture *f = *state;
    send_prepare(f, ballot(2, 1), 0);
    expect_promise(f);
    send_prepare(f, ballot(2, 1), 0);
    assert_nack(f, NACK_BALLOT);
    send_prepare(f, (struct ballot){2, 1, 999}, 0);
    assert_nack(f, NACK_BALLOT);
    send_prepare(f, ballot(1, 2), 0);
    assert_nack(f, NACK_BALLOT);
    send_prepare(f, ballot(2, 2), 0);
    expect_promise(f);
}

/* A ballot may be used by the process that made it and by no other. */
static void test_foreign_ballot_is_refused(void **state)
{
    struct fixture *f = *state;
    struct message msg = kit_from(ROLE_PROPOSER, 2, 102, MSG_PREPARE);
    msg.prepare = (struct msg_prepare){ballot(3, 1), 0};
    kit_message(&f->kit, &msg);
    kit_flush(&f->kit);
    assert_nack(f, NACK_BALLOT);
}

/* Rule 2: an accept below the promise is refused, and so is an equal one of another incarnation. */
static void test_accept_below_promise_is_refused(void **state)
{
    struct fixture *f = *state;
    send_prepare(f, ballot(5, 2), 0);
    expect_promise(f);
    send_accept(f, ballot(4, 1), 1, 0, 1);
    assert_nack(f, NACK_BALLOT);
    send_accept(f, (struct ballot){5, 2, 999}, 1, 0, 1);
    assert_nack(f, NACK_BALLOT);
    assert_int_equal(acceptor_accepted_max(f->acceptor), 0);
}

/* An accept raises the promise, durably (TRAPS 7.3), and what was promised before is then stale. */
static void test_accept_raises_the_promise(void **state)
{
    struct fixture *f = *state;
    send_prepare(f, ballot(1, 1), 0);
    expect_promise(f);
    send_accept(f, ballot(3, 2), 1, 0, 1);
    assert_true(kit_puts(&f->kit, 'p'));
    expect_accepted(f, 1, 1);
    send_accept(f, ballot(1, 1), 2, 0, 2);
    assert_nack(f, NACK_BALLOT);
    restart(f);
    assert_int_equal(acceptor_promised(f->acceptor).round, 3);
}

/* The same accept twice is acknowledged twice and written once. */
static void test_accept_is_idempotent(void **state)
{
    struct fixture *f = *state;
    send_accept(f, ballot(1, 1), 1, 0, 1);
    assert_true(kit_puts(&f->kit, 'a'));
    expect_accepted(f, 1, 1);
    send_accept(f, ballot(1, 1), 1, 0, 1);
    assert_false(kit_puts(&f->kit, 'a'));
    expect_accepted(f, 1, 1);
}

/* The accepts of one turn are acknowledged as one run; a gap begins another. */
static void test_accepts_of_a_turn_are_acknowledged_together(void **state)
{
    struct fixture *f = *state;
    for (slot_t slot = 1; slot <= 5; slot++) {
        step_accept(f, ballot(1, 1), slot, 0, slot);
    }
    step_accept(f, ballot(1, 1), 9, 0, 9);
    kit_flush(&f->kit);
    assert_int_equal(kit_sent_count(&f->kit, MSG_ACCEPTED), 2);
    assert_int_equal(kit_sent(&f->kit, MSG_ACCEPTED, 1)->msg.accepted.first, 9);
    expect_accepted(f, 1, 5);
}

/* Rule 4: the watermark rises over local votes at the leader's ballot only. */
static void test_commit_needs_the_vote_at_that_ballot(void **state)
{
    struct fixture *f = *state;
    send_accept(f, ballot(1, 1), 1, 0, 1);
    kit_end(&f->kit);
    send_accept(f, ballot(1, 1), 2, 1, 2);
    kit_end(&f->kit);
    assert_int_equal(acceptor_chosen(f->acceptor), 1);
    send_heartbeat(f, ballot(2, 2), 2, 100);
    kit_end(&f->kit);
    send_accept(f, ballot(2, 2), 4, 3, 4); /* a new leader's commit covers votes of the old one */
    kit_end(&f->kit);
    assert_int_equal(acceptor_chosen(f->acceptor), 1);
}

/* A hole is repaired from a peer's chosen slots, and what lies above it follows. */
static void test_hole_is_repaired_from_a_peer(void **state)
{
    struct fixture *f = *state;
    send_accept(f, ballot(1, 1), 1, 0, 1);
    kit_end(&f->kit);
    send_accept(f, ballot(1, 1), 3, 2, 3); /* the accept of slot 2 was lost */
    assert_int_equal(kit_sent_count(&f->kit, MSG_FETCH), 0);
    kit_end(&f->kit);
    f->kit.now += HEARTBEAT_MS;
    kit_event(&f->kit, EVENT_TICK);
    kit_flush(&f->kit);
    const struct outgoing *fetch = kit_sent(&f->kit, MSG_FETCH, 0);
    assert_non_null(fetch);
    assert_int_equal(fetch->to.role, ROLE_ACCEPTOR);
    assert_int_not_equal(fetch->to.id, 1);
    assert_int_equal(fetch->msg.fetch.from, 2);
    kit_end(&f->kit);
    struct message reply = kit_from(ROLE_ACCEPTOR, 2, 302, MSG_CHOSEN);
    struct blob *value = value_noop(2);
    struct slot_entry entry = {2, ballot(1, 1), slice_of(value)};
    reply.chosen = (struct msg_chosen){2, 2, 0, 1, &entry};
    kit_message(&f->kit, &reply);
    kit_flush(&f->kit);
    kit_end(&f->kit);
    blob_unref(value);
    assert_int_equal(acceptor_chosen(f->acceptor), 2);
    send_accept(f, ballot(1, 1), 4, 3, 4);
    kit_end(&f->kit);
    assert_int_equal(acceptor_chosen(f->acceptor), 3);
}

/* A slot far above the watermark is refused by name, not dropped. */
static void test_too_far_is_refused(void **state)
{
    struct fixture *f = *state;
    send_accept(f, ballot(1, 1), ACCEPTOR_AHEAD_SLOTS_MAX + 1, 0, 1);
    assert_nack(f, NACK_TOO_FAR);
    send_accept(f, ballot(1, 1), ACCEPTOR_AHEAD_SLOTS_MAX, 0, 1);
    expect_accepted(f, ACCEPTOR_AHEAD_SLOTS_MAX, ACCEPTOR_AHEAD_SLOTS_MAX);
}

/* Another value for a chosen slot means that agreement is broken: the process must end. */
static void test_contradiction_is_fatal(void **state)
{
    struct fixture *f = *state;
    send_accept(f, ballot(1, 1), 1, 0, 1);
    kit_end(&f->kit);
    send_accept(f, ballot(1, 1), 2, 1, 2);
    kit_end(&f->kit);
    step_accept(f, ballot(2, 2), 1, 0, 99);
    assert_int_equal(f->kit.fx.fatal, ERROR_INTERNAL);
}

/* While it hears a leader it refuses the prepare of others, and says for how long. */
static void test_lease_refuses_others(void **state)
{
    struct fixture *f = *state;
    send_prepare(f, ballot(1, 1), 0);
    expect_promise(f);
    send_heartbeat(f, ballot(1, 1), 1, ELECTION_MS);
    kit_end(&f->kit);
    f->kit.now += 200;
    send_prepare(f, ballot(2, 2), 0);
    assert_int_equal(kit_sent(&f->kit, MSG_NACK, 0)->msg.nack.retry_ms, 300);
    assert_nack(f, NACK_LEASE);
    f->kit.now += 300;
    send_prepare(f, ballot(2, 2), 0);
    expect_promise(f);
}

/* A leader asks for no longer a lease than an election timeout, whatever it sends. */
static void test_lease_is_bounded(void **state)
{
    struct fixture *f = *state;
    send_heartbeat(f, ballot(1, 1), 1, UINT32_MAX);
    kit_end(&f->kit);
    f->kit.now += ELECTION_MS;
    send_prepare(f, ballot(2, 2), 0);
    expect_promise(f);
}

/* A late copy of a heartbeat prolongs no lease; */
static void test_copy_of_a_heartbeat_proves_no_life(void **state)
{
    struct fixture *f = *state;
    send_heartbeat(f, ballot(1, 1), 1, ELECTION_MS);
    kit_end(&f->kit);
    f->kit.now += ELECTION_MS - 1;
    f->sequence--; /* the same one again */
    send_heartbeat(f, ballot(1, 1), 1, ELECTION_MS);
    assert_int_equal(kit_sent_count(&f->kit, MSG_REPORT), 1);
    kit_end(&f->kit);
    f->kit.now += 1;
    send_prepare(f, ballot(2, 2), 0);
    expect_promise(f);
}

/* A leader that releases its lease can be followed at once; somebody else's release is void. */
static void test_release_ends_the_lease(void **state)
{
    struct fixture *f = *state;
    send_heartbeat(f, ballot(3, 1), 1, ELECTION_MS);
    kit_end(&f->kit);
    struct message msg = kit_from(ROLE_PROPOSER, 2, 102, MSG_RELEASE);
    msg.release = (struct msg_release){ballot(2, 2), 0};
    kit_message(&f->kit, &msg);
    send_prepare(f, ballot(4, 2), 0);
    assert_nack(f, NACK_LEASE);
    msg = kit_from(ROLE_PROPOSER, 1, 101, MSG_RELEASE);
    msg.release = (struct msg_release){ballot(3, 1), 2};
    kit_message(&f->kit, &msg);
    send_prepare(f, ballot(4, 2), 0);
    expect_promise(f);
}

/* After a restart it waits one lease before it promises, since it may have granted one. */
static void test_restart_waits_one_lease(void **state)
{
    struct fixture *f = *state;
    send_prepare(f, ballot(1, 1), 0);
    expect_promise(f);
    restart(f);
    send_prepare(f, ballot(2, 2), 0);
    assert_nack(f, NACK_LEASE);
    f->kit.now += ELECTION_MS;
    send_prepare(f, ballot(2, 2), 0);
    expect_promise(f);
}

/* Promise, votes and watermark survive a restart, and a promise reports them. */
static void test_restart_keeps_votes(void **state)
{
    struct fixture *f = *state;
    send_accept(f, ballot(1, 1), 1, 0, 11);
    kit_end(&f->kit);
    send_accept(f, ballot(1, 1), 2, 1, 12);
    kit_end(&f->kit);
    send_accept(f, ballot(1, 1), 5, 1, 15);
    kit_end(&f->kit);
    restart(f);
    assert_int_equal(acceptor_accepted_max(f->acceptor), 5);
    assert_int_equal(acceptor_promised(f->acceptor).round, 1);
    f->kit.now += ELECTION_MS;
    send_prepare(f, ballot(2, 2), 0);
    const struct msg_promise *promise = &kit_sent(&f->kit, MSG_PROMISE, 0)->msg.promise;
    assert_int_equal(promise->chosen, 1);
    assert_int_equal(promise->entry_count, 2);
    assert_int_equal(promise->entries[0].slot, 2);
    assert_int_equal(promise->entries[1].slot, 5);
    assert_int_equal(promise->next_slot, 0);
    assert_int_equal(promise->stamp_ms, 15);
    assert_int_equal(promise->entries[1].ballot.round, 1);
}

/* What does not fit into one promise comes in pages that the proposer asks for; a page of an older
 * ballot is refused. */
static void test_promise_is_paged(void **state)
{
    struct fixture *f = *state;
    size_t size = 300 * KIB;
    uint8_t *bytes = calloc(1, size);
    for (slot_t slot = 1; slot <= 8; slot++) {
        struct message msg = kit_from(ROLE_PROPOSER, 1, 101, MSG_ACCEPT);
        msg.accept = (struct msg_accept){ballot(1, 1), slot, 0, slice_borrow(bytes, size)};
        kit_message(&f->kit, &msg);
        kit_flush(&f->kit);
        kit_end(&f->kit);
    }
    free(bytes);
    send_prepare(f, ballot(2, 2), 0);
    slot_t expected = 1;
    size_t pages = 0;
    for (;;) {
        const struct outgoing *sent = kit_sent(&f->kit, MSG_PROMISE, 0);
        assert_non_null(sent);
        const struct msg_promise *promise = &sent->msg.promise;
        pages++;
        for (uint32_t i = 0; i < promise->entry_count; i++) {
            assert_int_equal(promise->entries[i].slot, expected++);
        }
        slot_t next = promise->next_slot;
        kit_end(&f->kit);
        if (next == 0) {
            break;
        }
        send_prepare(f, ballot(2, 2), next);
    }
    assert_int_equal(expected, 9);
    assert_true(pages >= 2);
    send_prepare(f, ballot(3, 1), 0);
    expect_promise(f);
    send_prepare(f, ballot(2, 2), 4);
    assert_nack(f, NACK_BALLOT);
}

/* A page shows the votes of the turn under way although older ones lie on the disk: a promise that
 * told the older vote would let the next leader choose another value. */
static void test_page_shows_votes_of_this_turn(void **state)
{
    struct fixture *f = *state;
    size_t size = MIB;
    uint8_t *bytes = calloc(1, size);
    for (slot_t slot = 1; slot <= 19; slot++) { /* more than the cache: 1 to 3 leave memory */
        struct message msg = kit_from(ROLE_PROPOSER, 1, 101, MSG_ACCEPT);
        msg.accept = (struct msg_accept){ballot(1, 1), slot, 0,
                                         slice_borrow(bytes, slot <= 3 ? 64 * KIB : size)};
        kit_message(&f->kit, &msg);
        kit_flush(&f->kit);
        kit_end(&f->kit);
    }
    free(bytes);
    step_accept(f, ballot(2, 2), 2, 0, 77);
    send_prepare(f, ballot(3, 1), 0);
    const struct outgoing *sent = kit_sent(&f->kit, MSG_PROMISE, 0);
    assert_non_null(sent);
    const struct msg_promise *promise = &sent->msg.promise;
    assert_true(promise->entry_count >= 3);
    for (uint32_t i = 0; i < promise->entry_count; i++) {
        assert_int_equal(promise->entries[i].slot, i + 1);
    }
    assert_int_equal(promise->entries[1].ballot.round, 2);
    assert_int_equal(promise->entries[1].value.size, VALUE_HEAD_BYTES);
    assert_int_equal(promise->entries[2].ballot.round, 1);
}

/* A slot fetched as chosen tells that a quorum has gone on to its ballot: what a deposed leader
 * still has under way for that slot is refused, and the process lives. */
static void test_fetched_slot_deposes(void **state)
{
    struct fixture *f = *state;
    send_prepare(f, ballot(1, 1), 0);
    kit_end(&f->kit);
    struct blob *value = value_noop(5);
    struct slot_entry entry = {1, ballot(2, 2), slice_of(value)};
    struct message msg = kit_from(ROLE_ACCEPTOR, 2, 202, MSG_CHOSEN);
    msg.chosen = (struct msg_chosen){.from = 1, .chosen = 1, .entry_count = 1, .entries = &entry};
    kit_message(&f->kit, &msg);
    kit_flush(&f->kit);
    kit_end(&f->kit);
    blob_unref(value);
    assert_int_equal(acceptor_chosen(f->acceptor), 1);
    send_accept(f, ballot(1, 1), 1, 0, 9);
    assert_int_equal(f->kit.fx.fatal, 0);
    assert_int_equal(kit_sent(&f->kit, MSG_NACK, 0)->msg.nack.promised.round, 2);
    assert_nack(f, NACK_BALLOT);
    send_accept(f, ballot(2, 2), 1, 1, 5); /* its own leader is answered */
    expect_accepted(f, 1, 1);
}

/* An accept for a slot that is chosen here is acknowledged without a vote, but not before the
 * watermark that stands for it is durable. */
static void test_chosen_slot_is_acknowledged_when_durable(void **state)
{
    struct fixture *f = *state;
    send_prepare(f, ballot(2, 2), 0);
    kit_end(&f->kit);
    struct blob *value = value_noop(5);
    struct slot_entry entry = {1, ballot(1, 1), slice_of(value)};
    struct message msg = kit_from(ROLE_ACCEPTOR, 2, 202, MSG_CHOSEN);
    msg.chosen = (struct msg_chosen){.from = 1, .chosen = 1, .entry_count = 1, .entries = &entry};
    kit_message(&f->kit, &msg);
    kit_flush(&f->kit);
    assert_false(f->kit.fx.needs_sync); /* a repair needs no sync of its own */
    kit_end(&f->kit);
    blob_unref(value);
    send_accept(f, ballot(2, 2), 1, 0, 5);
    assert_true(f->kit.fx.needs_sync);
    expect_accepted(f, 1, 1);
    send_accept(f, ballot(2, 2), 1, 0, 5);
    assert_false(f->kit.fx.needs_sync); /* once is enough */
    expect_accepted(f, 1, 1);
}

/* A leader that repeats its hint does not keep a repair from asking the next source. */
static void test_repair_turns_to_the_next_source(void **state)
{
    struct fixture *f = *state;
    send_prepare(f, ballot(1, 1), 0);
    kit_end(&f->kit);
    int asked_other = 0;
    for (int i = 0; i < 10; i++) {
        struct message msg = kit_from(ROLE_PROPOSER, 1, 101, MSG_REPAIR);
        msg.repair = (struct msg_repair){ballot(1, 1), 100, 2};
        kit_message(&f->kit, &msg);
        kit_flush(&f->kit);
        const struct outgoing *fetch = kit_sent(&f->kit, MSG_FETCH, 0);
        asked_other |= fetch != NULL && fetch->to.id == 3;
        kit_end(&f->kit);
        f->kit.now += HEARTBEAT_MS;
    }
    assert_true(asked_other);
}

/* Only chosen slots are served, from memory and, after a restart, from the disk. */
static void test_fetch_serves_chosen_slots_only(void **state)
{
    struct fixture *f = *state;
    for (slot_t slot = 1; slot <= 6; slot++) {
        send_accept(f, ballot(1, 1), slot, slot - 1, slot);
        kit_end(&f->kit);
    }
    for (int round = 0; round < 2; round++) {
        struct message msg = kit_from(ROLE_LEARNER, 1, 201, MSG_FETCH);
        msg.fetch = (struct msg_fetch){2, 1000000};
        kit_message(&f->kit, &msg);
        const struct msg_chosen *chosen = &kit_sent(&f->kit, MSG_CHOSEN, 0)->msg.chosen;
        assert_int_equal(chosen->chosen, 5);
        assert_int_equal(chosen->entry_count, 4);
        assert_int_equal(chosen->entries[0].slot, 2);
        assert_int_equal(chosen->entries[3].slot, 5);
        restart(f);
    }
}

/* A vote that takes the place of a chosen slot in memory, a whole ring later, is not chosen for
 * that. */
static void test_vote_in_the_place_of_a_chosen_one(void **state)
{
    struct fixture *f = *state;
    const slot_t last = SLOT_LOG_RING + 1;
    for (slot_t slot = 1; slot <= last; slot++) {
        send_accept(f, ballot(1, 1), slot, slot - 1, slot);
        kit_end(&f->kit);
    }
    struct message msg = kit_from(ROLE_LEARNER, 1, 201, MSG_FETCH);
    msg.fetch = (struct msg_fetch){last - 1, 1000000};
    kit_message(&f->kit, &msg);
    const struct msg_chosen *chosen = &kit_sent(&f->kit, MSG_CHOSEN, 0)->msg.chosen;
    assert_int_equal(chosen->chosen, last - 1);
    assert_int_equal(chosen->entry_count, 1);
    assert_int_equal(chosen->entries[0].slot, last - 1);
}

/* A report tells who was heard, and when. */
static void test_report_tells_what_was_heard(void **state)
{
    struct fixture *f = *state;
    send_heartbeat(f, ballot(4, 2), 2, 100);
    kit_end(&f->kit);
    f->kit.now += 70;
    send_heartbeat(f, BALLOT_NONE, 1, 0);
    const struct msg_report *report = &kit_sent(&f->kit, MSG_REPORT, 0)->msg.report;
    assert_int_equal(report->sequence, f->sequence);
    assert_int_equal(report->leader.proposer, 2);
    assert_int_equal(report->leader_silence_ms, 70);
    assert_int_equal(report->lease_left_ms, 30);
    assert_int_equal(report->proposer_count, 2);
    assert_int_equal(report->proposers[0].silence_ms, 0);
    assert_int_equal(report->proposers[1].silence_ms, 70);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_promise_waits_for_the_disk),
        TEST(test_prepare_must_be_strictly_higher),
        TEST(test_foreign_ballot_is_refused),
        TEST(test_accept_below_promise_is_refused),
        TEST(test_accept_raises_the_promise),
        TEST(test_accept_is_idempotent),
        TEST(test_accepts_of_a_turn_are_acknowledged_together),
        TEST(test_commit_needs_the_vote_at_that_ballot),
        TEST(test_hole_is_repaired_from_a_peer),
        TEST(test_too_far_is_refused),
        TEST(test_contradiction_is_fatal),
        TEST(test_lease_refuses_others),
        TEST(test_lease_is_bounded),
        TEST(test_copy_of_a_heartbeat_proves_no_life),
        TEST(test_release_ends_the_lease),
        TEST(test_restart_waits_one_lease),
        TEST(test_restart_keeps_votes),
        TEST(test_promise_is_paged),
        TEST(test_page_shows_votes_of_this_turn),
        TEST(test_fetched_slot_deposes),
        TEST(test_chosen_slot_is_acknowledged_when_durable),
        TEST(test_repair_turns_to_the_next_source),
        TEST(test_fetch_serves_chosen_slots_only),
        TEST(test_vote_in_the_place_of_a_chosen_one),
        TEST(test_report_tells_what_was_heard),
    };
    return cmocka_run_group_tests_name("acceptor", tests, NULL, NULL);
}
