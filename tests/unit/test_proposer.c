/* The proposer: when it may campaign, what it proposes after a quorum promised, when a slot is
 * chosen, whom it refuses, and how it gives up (DESIGN 4, Proposer, and 5). */
#include "common/base/bytes.h"
#include "common/protocol/value.h"
#include "proposer/proposer.h"
#include "tests/unit/core_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ELECTION_MS 500
#define HEARTBEAT_MS 50
#define INCARNATION 77U
#define CLIENT 4242U

struct fixture {
    struct core_kit kit;
    struct proposer *proposer;
    uint64_t sequence; /* of the last heartbeat seen */
};

static int setup_as(void **state, node_id_t id, size_t acceptors)
{
    struct fixture *f = calloc(1, sizeof *f);
    kit_open(&f->kit);
    struct proposer_options options = {.id = id,
                                       .incarnation = INCARNATION,
                                       .seed = 1,
                                       .members = kit_members(acceptors, 2, 1),
                                       .heartbeat_ms = HEARTBEAT_MS,
                                       .election_ms = ELECTION_MS};
    settings_init(&options.settings);
    f->proposer = proposer_new(&options);
    f->kit.core = proposer_core(f->proposer);
    kit_event(&f->kit, EVENT_START);
    kit_flush(&f->kit);
    f->sequence = kit_sent(&f->kit, MSG_HEARTBEAT, 0)->msg.heartbeat.sequence;
    kit_end(&f->kit);
    *state = f;
    return 0;
}

static int setup(void **state)
{
    return setup_as(state, 2, 3);
}

static int setup_five(void **state)
{
    return setup_as(state, 2, 5);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    effects_clear(&f->kit.fx);
    proposer_free(f->proposer);
    kit_close(&f->kit);
    free(f);
    return 0;
}

static void end_turn(struct fixture *f)
{
    kit_flush(&f->kit);
    assert_int_equal(f->kit.fx.fatal, 0);
    const struct outgoing *heartbeat = kit_sent(&f->kit, MSG_HEARTBEAT, 0);
    if (heartbeat != NULL) {
        f->sequence = heartbeat->msg.heartbeat.sequence;
    }
}

static void tick(struct fixture *f, time_ms_t ms)
{
    f->kit.now += ms;
    kit_event(&f->kit, EVENT_TICK);
    end_turn(f);
}

/* A report of an acceptor; never led if leader and promised are none. */
static void report(struct fixture *f, uint64_t acceptor, struct ballot promised,
                   struct ballot leader, uint32_t silence_ms)
{
    struct proposer_report heard[2] = {{1, UINT32_MAX, 0, 0}, {2, 0, 1, 0}};
    struct message msg = kit_from(ROLE_ACCEPTOR, acceptor, 200 + acceptor, MSG_REPORT);
    msg.report = (struct msg_report){.sequence = f->sequence,
                                     .promised = promised,
                                     .leader = leader,
                                     .leader_silence_ms = silence_ms,
                                     .proposer_count = 2,
                                     .proposers = heard};
    kit_message(&f->kit, &msg);
}

static struct ballot own_ballot(const struct fixture *f)
{
    return proposer_ballot(f->proposer);
}

static void promise(struct fixture *f, uint64_t acceptor, slot_t chosen, struct slot_entry *entries,
                    uint32_t count)
{
    struct message msg = kit_from(ROLE_ACCEPTOR, acceptor, 200 + acceptor, MSG_PROMISE);
    msg.promise = (struct msg_promise){.ballot = own_ballot(f),
                                       .chosen = chosen,
                                       .accepted_max = chosen,
                                       .entry_count = count,
                                       .entries = entries};
    kit_message(&f->kit, &msg);
}

static void accepted(struct fixture *f, uint64_t acceptor, slot_t first, slot_t last)
{
    struct message msg = kit_from(ROLE_ACCEPTOR, acceptor, 200 + acceptor, MSG_ACCEPTED);
    msg.accepted = (struct msg_accepted){own_ballot(f), first, last};
    kit_message(&f->kit, &msg);
}

/* Reports of two fresh acceptors make it campaign; ends the turn and forgets what was sent. */
static void campaign(struct fixture *f)
{
    report(f, 1, BALLOT_NONE, BALLOT_NONE, 0);
    report(f, 2, BALLOT_NONE, BALLOT_NONE, 0);
    report(f, 3, BALLOT_NONE, BALLOT_NONE, 0);
    end_turn(f);
    assert_int_equal(kit_sent_count(&f->kit, MSG_PREPARE), 1);
    kit_end(&f->kit);
}

/* Leads an empty log: slot 1 has its announcement. */
static void lead(struct fixture *f)
{
    campaign(f);
    promise(f, 1, 0, NULL, 0);
    promise(f, 2, 0, NULL, 0);
    end_turn(f);
    assert_int_equal(proposer_state(f->proposer), NODE_LEADING);
    kit_end(&f->kit);
}

/* Submits one block with `count` appends of `size` bytes each. */
static void submit(struct fixture *f, uint64_t client, uint32_t count, uint32_t size)
{
    size_t commands = (size_t)count * (COMMAND_HEAD_BYTES + size);
    uint8_t *bytes = calloc(1, BLOCK_HEAD_BYTES + commands);
    struct block block = {.session = 5, .client = client, .first_seq = 1, .count = count};
    block_put_head(bytes, &block, (uint32_t)commands);
    for (uint32_t i = 0; i < count; i++) {
        command_put_head(bytes + BLOCK_HEAD_BYTES + i * (COMMAND_HEAD_BYTES + size), COMMAND_APPEND,
                         size);
    }
    struct message msg = kit_from(ROLE_CLIENT, client, client, MSG_SUBMIT);
    msg.submit.block = slice_borrow(bytes, BLOCK_HEAD_BYTES + commands);
    kit_message(&f->kit, &msg);
    free(bytes);
}

static enum reject_reason only_rejection(struct fixture *f)
{
    assert_int_equal(kit_sent_count(&f->kit, MSG_REJECT), 1);
    return kit_sent(&f->kit, MSG_REJECT, 0)->msg.reject.reason;
}

/* One acceptor that hears no leader is no quorum: no campaign. */
static void test_campaign_needs_a_quorum_of_reports(void **state)
{
    struct fixture *f = *state;
    report(f, 1, BALLOT_NONE, BALLOT_NONE, 0);
    report(f, 1, BALLOT_NONE, BALLOT_NONE, 0);
    end_turn(f);
    assert_int_equal(kit_sent_count(&f->kit, MSG_PREPARE), 0);
    kit_end(&f->kit);
    report(f, 2, BALLOT_NONE, BALLOT_NONE, 0);
    end_turn(f);
    assert_int_equal(kit_sent_count(&f->kit, MSG_PREPARE), 1);
}

/* As long as a quorum hears a leader nobody campaigns, however silent it is towards us. */
static void test_no_campaign_while_a_leader_is_heard(void **state)
{
    struct fixture *f = *state;
    struct ballot leader = {3, 1, 9};
    report(f, 1, leader, leader, 20);
    report(f, 2, leader, leader, 30);
    report(f, 3, leader, leader, ELECTION_MS);
    end_turn(f);
    assert_int_equal(kit_sent_count(&f->kit, MSG_PREPARE), 0);
    kit_end(&f->kit);
    tick(f, HEARTBEAT_MS);
    kit_end(&f->kit);
    report(f, 1, leader, leader, ELECTION_MS);
    report(f, 2, leader, leader, 80);
    report(f, 3, leader, leader, ELECTION_MS + 50);
    end_turn(f);
    assert_int_equal(kit_sent_count(&f->kit, MSG_PREPARE), 1);
    assert_true(own_ballot(f).round > 3); /* above every round seen */
}

/* A client is told who leads, or that it is unknown; never that the one it asks does. */
static void test_standby_redirects(void **state)
{
    struct fixture *f = *state;
    submit(f, CLIENT, 1, 10);
    assert_int_equal(only_rejection(f), REJECT_NOT_LEADER);
    assert_int_equal(kit_sent(&f->kit, MSG_REJECT, 0)->msg.reject.leader, 0);
    kit_end(&f->kit);
    struct ballot leader = {3, 1, 9};
    report(f, 1, leader, leader, 20);
    submit(f, CLIENT, 1, 10);
    assert_int_equal(kit_sent(&f->kit, MSG_REJECT, 0)->msg.reject.leader, 1);
}

/* Promises of a quorum make a leader; its first own slot announces it. The same acceptor twice is
 * no quorum, nor is a promise of another attempt. */
static void test_quorum_of_promises_makes_a_leader(void **state)
{
    struct fixture *f = *state;
    campaign(f);
    promise(f, 1, 0, NULL, 0);
    promise(f, 1, 0, NULL, 0);
    struct message late = kit_from(ROLE_ACCEPTOR, 2, 202, MSG_PROMISE);
    late.promise = (struct msg_promise){.ballot = own_ballot(f)};
    late.promise.ballot.round--;
    kit_message(&f->kit, &late);
    late.promise.ballot = own_ballot(f);
    late.promise.ballot.incarnation++;
    kit_message(&f->kit, &late);
    end_turn(f);
    assert_int_equal(proposer_state(f->proposer), NODE_PREPARING);
    kit_end(&f->kit);
    promise(f, 2, 0, NULL, 0);
    end_turn(f);
    assert_int_equal(proposer_state(f->proposer), NODE_LEADING);
    const struct msg_accept *accept = &kit_sent(&f->kit, MSG_ACCEPT, 0)->msg.accept;
    struct value value;
    assert_int_equal(value_parse(accept->value, &value), 0);
    assert_int_equal(value.kind, VALUE_LEAD);
    assert_int_equal(accept->slot, 1);
}

/* Recovery: the value of the highest ballot for each slot, a no-op in a gap, the announcement only
 * after all of them ("Paxos Made Simple", 3). */
static void test_recovery_takes_the_highest_ballot(void **state)
{
    struct fixture *f = *state;
    campaign(f);
    struct blob *low = value_noop(1001);
    struct blob *high = value_noop(1002);
    struct slot_entry first[] = {{5, {1, 1, 9}, slice_of(low)}, {7, {1, 1, 9}, slice_of(low)}};
    struct slot_entry second[] = {{5, {2, 2, 8}, slice_of(high)}};
    promise(f, 1, 4, first, 2);
    promise(f, 2, 4, second, 1);
    end_turn(f);
    assert_int_equal(kit_sent_count(&f->kit, MSG_ACCEPT), 4);
    const uint64_t stamps[] = {1002, 0, 1001};
    for (size_t i = 0; i < 3; i++) {
        const struct msg_accept *accept = &kit_sent(&f->kit, MSG_ACCEPT, i)->msg.accept;
        assert_int_equal(accept->slot, 5 + i);
        assert_true(accept->ballot.incarnation == INCARNATION);
        struct value value;
        assert_int_equal(value_parse(accept->value, &value), 0);
        assert_int_equal(value.kind, VALUE_NOOP);
        assert_int_equal(value.stamp_ms, stamps[i]);
    }
    struct value value;
    assert_int_equal(value_parse(kit_sent(&f->kit, MSG_ACCEPT, 3)->msg.accept.value, &value), 0);
    assert_int_equal(value.kind, VALUE_LEAD);
    blob_unref(low);
    blob_unref(high);
}

/* It starts above the lowest watermark of the quorum: a slot that only one acceptor knows as chosen
 * is fetched there and proposed again as it is. */
static void test_recovery_starts_at_the_lowest_watermark(void **state)
{
    struct fixture *f = *state;
    campaign(f);
    promise(f, 1, 4, NULL, 0);
    promise(f, 2, 6, NULL, 0);
    end_turn(f);
    assert_int_equal(proposer_state(f->proposer), NODE_RECOVERING);
    assert_int_equal(kit_sent_count(&f->kit, MSG_ACCEPT), 0);
    const struct outgoing *fetch = kit_sent(&f->kit, MSG_FETCH, 0);
    assert_int_equal(fetch->to.id, 2);
    assert_int_equal(fetch->msg.fetch.from, 5);
    kit_end(&f->kit);
    struct blob *value = value_noop(42);
    struct slot_entry entries[] = {{5, {1, 1, 9}, slice_of(value)},
                                   {6, {1, 1, 9}, slice_of(value)}};
    struct message msg = kit_from(ROLE_ACCEPTOR, 2, 202, MSG_CHOSEN);
    msg.chosen = (struct msg_chosen){5, 6, 0, 2, entries};
    kit_message(&f->kit, &msg);
    end_turn(f);
    assert_int_equal(kit_sent(&f->kit, MSG_ACCEPT, 0)->msg.accept.slot, 5);
    assert_int_equal(kit_sent(&f->kit, MSG_ACCEPT, 1)->msg.accept.slot, 6);
    assert_int_equal(kit_sent(&f->kit, MSG_ACCEPT, 2)->msg.accept.slot, 7);
    assert_int_equal(proposer_state(f->proposer), NODE_LEADING);
    blob_unref(value);
}

/* An acceptor far behind is sent to repair itself, and counts only when it has. */
static void test_laggard_repairs_itself_first(void **state)
{
    struct fixture *f = *state;
    campaign(f);
    promise(f, 1, 10, NULL, 0);
    promise(f, 2, 5000, NULL, 0);
    end_turn(f);
    assert_int_equal(proposer_state(f->proposer), NODE_PREPARING);
    kit_end(&f->kit);
    tick(f, HEARTBEAT_MS);
    const struct outgoing *repair = kit_sent(&f->kit, MSG_REPAIR, 0);
    assert_non_null(repair);
    assert_int_equal(repair->to.id, 1);
    assert_int_equal(repair->msg.repair.target, 5000);
    assert_int_equal(repair->msg.repair.source, 2);
    assert_int_equal(kit_sent(&f->kit, MSG_PREPARE, 0)->msg.prepare.from_slot, 11);
    kit_end(&f->kit);
    struct message msg = kit_from(ROLE_ACCEPTOR, 1, 201, MSG_PROMISE);
    msg.promise = (struct msg_promise){
        .ballot = own_ballot(f), .from_slot = 11, .chosen = 5000, .accepted_max = 5000};
    kit_message(&f->kit, &msg);
    end_turn(f);
    assert_int_equal(proposer_state(f->proposer), NODE_LEADING);
    assert_int_equal(kit_sent(&f->kit, MSG_ACCEPT, 0)->msg.accept.slot, 5001);
}

/* Lets time pass while acceptors 2 and 3 go on answering; 1 if it was ever back in standby. */
static int gives_up_within(struct fixture *f, time_ms_t ms)
{
    for (time_ms_t passed = 0; passed < ms; passed += HEARTBEAT_MS) {
        tick(f, HEARTBEAT_MS);
        kit_end(&f->kit);
        if (proposer_state(f->proposer) == NODE_STANDBY) {
            return 1;
        }
        report(f, 2, own_ballot(f), own_ballot(f), 0);
        report(f, 3, own_ballot(f), own_ballot(f), 0);
        end_turn(f);
        kit_end(&f->kit);
    }
    return 0;
}

/* The only acceptor that knows a slot as chosen dies behind its promise: recovery does not ask it
 * for ever, but starts again, with the promises of the others. */
static void test_recovery_gives_up_a_dead_source(void **state)
{
    struct fixture *f = *state;
    campaign(f);
    promise(f, 1, 5, NULL, 0);
    promise(f, 2, 3, NULL, 0);
    end_turn(f);
    assert_int_equal(proposer_state(f->proposer), NODE_RECOVERING);
    assert_int_equal(kit_sent(&f->kit, MSG_FETCH, 0)->to.id, 1);
    kit_end(&f->kit);
    assert_true(gives_up_within(f, 2 * ELECTION_MS));
}

/* The same before recovery: a laggard whose source is dead sends its pages again and again, which
 * is no progress. */
static void test_attempt_ends_without_progress(void **state)
{
    struct fixture *f = *state;
    campaign(f);
    promise(f, 1, 5000, NULL, 0);
    promise(f, 2, 10, NULL, 0);
    end_turn(f);
    assert_int_equal(proposer_state(f->proposer), NODE_PREPARING);
    kit_end(&f->kit);
    for (time_ms_t passed = 0; passed < 3 * ELECTION_MS; passed += HEARTBEAT_MS) {
        tick(f, HEARTBEAT_MS);
        const struct outgoing *asked = kit_sent(&f->kit, MSG_PREPARE, 0);
        slot_t from = asked != NULL ? asked->msg.prepare.from_slot : 0;
        kit_end(&f->kit);
        if (proposer_state(f->proposer) == NODE_STANDBY) {
            return;
        }
        for (slot_t page = from; page != 0; page = page == 12 ? 0 : 12) {
            struct message msg = kit_from(ROLE_ACCEPTOR, 2, 202, MSG_PROMISE);
            msg.promise = (struct msg_promise){.ballot = own_ballot(f),
                                               .from_slot = page,
                                               .chosen = 10,
                                               .accepted_max = 20,
                                               .next_slot = page == 12 ? 0 : 12};
            kit_message(&f->kit, &msg);
            end_turn(f);
            kit_end(&f->kit);
        }
    }
    fail_msg("the attempt goes on for ever");
}

/* Slots that a former leader left with an acceptor whose promise was not needed are closed without
 * any client: a read that hears of them waits until they are applied. */
static void test_leader_fills_slots_of_a_minority(void **state)
{
    struct fixture *f = *state;
    lead(f);
    accepted(f, 1, 1, 1);
    accepted(f, 2, 1, 1);
    end_turn(f);
    kit_end(&f->kit);
    struct message msg = kit_from(ROLE_ACCEPTOR, 3, 203, MSG_REPORT);
    msg.report =
        (struct msg_report){.sequence = f->sequence, .promised = own_ballot(f), .accepted_max = 5};
    kit_message(&f->kit, &msg);
    end_turn(f);
    assert_int_equal(kit_sent_count(&f->kit, MSG_ACCEPT), 4);
    assert_int_equal(kit_sent(&f->kit, MSG_ACCEPT, 3)->msg.accept.slot, 5);
    assert_int_equal(kit_sent(&f->kit, MSG_ACCEPT, 3)->msg.accept.value.data[0], VALUE_NOOP);
    kit_end(&f->kit);
    kit_message(&f->kit, &msg);
    end_turn(f);
    assert_int_equal(kit_sent_count(&f->kit, MSG_ACCEPT), 0);
}

/* An acceptor refuses the second copy of a prepare, as it must. That costs neither the promise that
 * it gave to the first nor the leadership. */
static void test_copy_of_a_prepare_is_harmless(void **state)
{
    struct fixture *f = *state;
    campaign(f);
    for (uint64_t acceptor = 1; acceptor <= 2; acceptor++) {
        promise(f, acceptor, 0, NULL, 0);
        struct message msg = kit_from(ROLE_ACCEPTOR, acceptor, 200 + acceptor, MSG_NACK);
        msg.nack = (struct msg_nack){own_ballot(f), own_ballot(f), NACK_BALLOT, 0};
        kit_message(&f->kit, &msg);
    }
    end_turn(f);
    assert_int_equal(proposer_state(f->proposer), NODE_LEADING);
}

/* Refused by a quorum, it pauses and comes back with a higher round only. */
static void test_refused_attempt_comes_back_higher(void **state)
{
    struct fixture *f = *state;
    campaign(f);
    struct ballot first = own_ballot(f);
    for (uint64_t acceptor = 1; acceptor <= 2; acceptor++) {
        struct message msg = kit_from(ROLE_ACCEPTOR, acceptor, 200 + acceptor, MSG_NACK);
        msg.nack = (struct msg_nack){first, {9, 1, 8}, NACK_BALLOT, 0};
        kit_message(&f->kit, &msg);
    }
    assert_int_equal(proposer_state(f->proposer), NODE_STANDBY);
    end_turn(f);
    kit_end(&f->kit);
    for (int i = 0; i < 40 && proposer_state(f->proposer) == NODE_STANDBY; i++) {
        tick(f, HEARTBEAT_MS);
        report(f, 1, (struct ballot){9, 1, 8}, BALLOT_NONE, 600);
        report(f, 2, (struct ballot){9, 1, 8}, BALLOT_NONE, 600);
        end_turn(f);
        effects_clear(&f->kit.fx);
    }
    assert_int_equal(proposer_state(f->proposer), NODE_PREPARING);
    assert_int_equal(own_ballot(f).round, 10);
}

/* Chosen needs a quorum at this ballot, counted by identity; then learners get value and commit. */
static void test_chosen_by_a_quorum_at_this_ballot(void **state)
{
    struct fixture *f = *state;
    lead(f);
    accepted(f, 1, 1, 1);
    accepted(f, 1, 1, 1);
    struct message old = kit_from(ROLE_ACCEPTOR, 2, 202, MSG_ACCEPTED);
    old.accepted = (struct msg_accepted){own_ballot(f), 1, 1};
    old.accepted.ballot.incarnation--;
    kit_message(&f->kit, &old);
    end_turn(f);
    assert_int_equal(proposer_chosen(f->proposer), 0);
    kit_end(&f->kit);
    accepted(f, 3, 1, 1);
    end_turn(f);
    assert_int_equal(proposer_chosen(f->proposer), 1);
    const struct outgoing *told = kit_sent(&f->kit, MSG_ACCEPT, 0);
    assert_int_equal(told->to.role, ROLE_LEARNER);
    assert_int_equal(told->msg.accept.commit, 1);
}

/* Slots chosen out of order are committed as one unbroken prefix. */
static void test_commit_is_an_unbroken_prefix(void **state)
{
    struct fixture *f = *state;
    lead(f);
    submit(f, CLIENT, 1, 10);
    end_turn(f);
    kit_end(&f->kit);
    submit(f, CLIENT, 1, 10);
    end_turn(f);
    kit_end(&f->kit);
    accepted(f, 1, 2, 3);
    accepted(f, 2, 2, 3);
    end_turn(f);
    assert_int_equal(proposer_chosen(f->proposer), 0);
    kit_end(&f->kit);
    accepted(f, 1, 1, 1);
    accepted(f, 2, 1, 1);
    end_turn(f);
    assert_int_equal(proposer_chosen(f->proposer), 3);
}

/* What arrives in one turn travels in one slot; a lone command leaves with the turn it came in. */
static void test_commands_of_a_turn_form_a_batch(void **state)
{
    struct fixture *f = *state;
    lead(f);
    submit(f, CLIENT, 3, 10);
    submit(f, CLIENT + 1, 2, 10);
    end_turn(f);
    assert_int_equal(kit_sent_count(&f->kit, MSG_ACCEPT), 1);
    struct value value;
    assert_int_equal(value_parse(kit_sent(&f->kit, MSG_ACCEPT, 0)->msg.accept.value, &value), 0);
    struct block block;
    assert_true(value_next_block(&value.blocks, &block));
    assert_int_equal(block.count, 3);
    assert_true(value_next_block(&value.blocks, &block));
    assert_int_equal(block.client, CLIENT + 1);
    assert_false(value_next_block(&value.blocks, &block));
}

/* Beyond its byte budget a client is told busy at once; the others are not. */
static void test_budget_is_refused_at_once(void **state)
{
    struct fixture *f = *state;
    campaign(f);
    promise(f, 1, 10, NULL, 0);
    promise(f, 2, 11, NULL, 0); /* recovering: what comes in waits */
    end_turn(f);
    kit_end(&f->kit);
    size_t sent = 0;
    for (; sent < 12 && kit_sent(&f->kit, MSG_REJECT, 0) == NULL; sent++) {
        submit(f, CLIENT, 1, RECORD_BYTES_MAX);
    }
    assert_int_equal(sent, 8); /* the eighth MiB with its heads does not fit */
    assert_int_equal(only_rejection(f), REJECT_BUSY);
    submit(f, CLIENT + 1, 1, 10);
    assert_int_equal(kit_sent_count(&f->kit, MSG_REJECT), 1);
}

/* A block that breaks a rule, or speaks for another client, is refused for good. */
static void test_malformed_block_is_refused(void **state)
{
    struct fixture *f = *state;
    lead(f);
    struct message msg = kit_from(ROLE_CLIENT, CLIENT, CLIENT, MSG_SUBMIT);
    msg.submit.block = slice_borrow("nonsense", 8);
    kit_message(&f->kit, &msg);
    assert_int_equal(only_rejection(f), REJECT_MALFORMED);
    kit_end(&f->kit);
    submit(f, CLIENT, 1, RECORD_BYTES_MAX + 1);
    assert_int_equal(only_rejection(f), REJECT_MALFORMED);
}

/* Unacknowledged accepts are sent again, to those that have not answered. */
static void test_retransmission(void **state)
{
    struct fixture *f = *state;
    lead(f);
    accepted(f, 2, 1, 1);
    end_turn(f);
    kit_end(&f->kit);
    report(f, 1, own_ballot(f), own_ballot(f), 0);
    report(f, 2, own_ballot(f), own_ballot(f), 0);
    tick(f, 2 * HEARTBEAT_MS);
    assert_int_equal(kit_sent_count(&f->kit, MSG_ACCEPT), 2);
    assert_int_equal(kit_sent(&f->kit, MSG_ACCEPT, 0)->to.id, 1);
    assert_int_equal(kit_sent(&f->kit, MSG_ACCEPT, 1)->to.id, 3);
}

/* Without acknowledged heartbeats of a quorum for an election timeout a leader steps down, stops
 * heartbeats that claim a lease, and tells who waits. */
static void test_leader_without_quorum_steps_down(void **state)
{
    struct fixture *f = *state;
    lead(f);
    for (int i = 0; i < 12 && proposer_state(f->proposer) == NODE_LEADING; i++) {
        tick(f, HEARTBEAT_MS);
        effects_clear(&f->kit.fx);
        report(f, 1, own_ballot(f), own_ballot(f), 0); /* one alone */
        end_turn(f);
        effects_clear(&f->kit.fx);
    }
    assert_int_equal(proposer_state(f->proposer), NODE_STANDBY);
    tick(f, HEARTBEAT_MS);
    assert_int_equal(kit_sent(&f->kit, MSG_HEARTBEAT, 0)->msg.heartbeat.lease_ms, 0);
    assert_true(ballot_is_none(&kit_sent(&f->kit, MSG_HEARTBEAT, 0)->msg.heartbeat.ballot));
}

/* A higher promise anywhere deposes it at once. */
static void test_higher_promise_deposes(void **state)
{
    struct fixture *f = *state;
    lead(f);
    struct ballot higher = {own_ballot(f).round + 1, 1, 5};
    report(f, 3, higher, BALLOT_NONE, 0);
    end_turn(f);
    assert_int_equal(proposer_state(f->proposer), NODE_STANDBY);
}

/* Asked to stop, it waits for its slots, releases the lease, names the next, and is done. */
static void test_shutdown_hands_over(void **state)
{
    struct fixture *f = *state;
    lead(f);
    struct proposer_report heard[2] = {{1, 10, 1, 0}, {2, 0, 1, 0}};
    struct message msg = kit_from(ROLE_ACCEPTOR, 1, 201, MSG_REPORT);
    msg.report = (struct msg_report){.sequence = f->sequence,
                                     .promised = own_ballot(f),
                                     .leader = own_ballot(f),
                                     .proposer_count = 2,
                                     .proposers = heard};
    kit_message(&f->kit, &msg);
    kit_event(&f->kit, EVENT_SHUTDOWN);
    end_turn(f);
    assert_false(f->kit.fx.finished); /* slot 1 is not chosen yet */
    submit(f, CLIENT, 1, 10);
    assert_int_equal(only_rejection(f), REJECT_NOT_LEADER);
    kit_end(&f->kit);
    accepted(f, 1, 1, 1);
    accepted(f, 2, 1, 1);
    end_turn(f);
    assert_true(f->kit.fx.finished);
    assert_int_equal(kit_sent_count(&f->kit, MSG_RELEASE), 2);
    assert_int_equal(kit_sent(&f->kit, MSG_RELEASE, 0)->msg.release.successor, 1);
    assert_int_equal(kit_sent(&f->kit, MSG_RELEASE, 1)->to.role, ROLE_PROPOSER);
    assert_int_equal(kit_sent(&f->kit, MSG_RELEASE, 1)->to.id, 0); /* the others are to let it */
    assert_int_equal(kit_sent(&f->kit, MSG_HEARTBEAT, 0)->msg.heartbeat.commit, 1);
}

/* The successor named in a release campaigns at once, though leases still run as far as it knows;
 * anybody else does not. */
static void test_successor_starts_at_once(void **state)
{
    struct fixture *f = *state;
    struct ballot leader = {3, 1, 9};
    report(f, 1, leader, leader, 10);
    report(f, 2, leader, leader, 10);
    struct message msg = kit_from(ROLE_PROPOSER, 1, 9, MSG_RELEASE);
    msg.release = (struct msg_release){leader, 1};
    kit_message(&f->kit, &msg);
    end_turn(f);
    assert_int_equal(kit_sent_count(&f->kit, MSG_PREPARE), 0);
    msg.release.successor = 2;
    kit_message(&f->kit, &msg);
    end_turn(f);
    assert_int_equal(kit_sent_count(&f->kit, MSG_PREPARE), 1);
    assert_int_equal(own_ballot(f).round, 4);
}

static void progress(struct fixture *f, slot_t applied, uint64_t due_ms)
{
    struct message msg = kit_from(ROLE_LEARNER, 1, 301, MSG_PROGRESS);
    msg.progress = (struct msg_progress){.applied = applied, .due_ms = due_ms};
    kit_message(&f->kit, &msg);
}

/* A lease that is due ends by a stamp. When nobody asks for anything the leader proposes one, once,
 * and not before it is time; a standby never does. */
static void test_time_is_told_when_a_lease_is_due(void **state)
{
    struct fixture *f = *state;
    progress(f, 1, 5);
    tick(f, HEARTBEAT_MS);
    assert_int_equal(kit_sent_count(&f->kit, MSG_ACCEPT), 0);
    kit_end(&f->kit);
    lead(f);
    accepted(f, 1, 1, 1);
    accepted(f, 2, 1, 1);
    progress(f, 2, 100);
    tick(f, 100);
    assert_null(kit_sent(&f->kit, MSG_ACCEPT, 1)); /* the announcement for the learner, no more */
    assert_int_equal(f->kit.fx.wake_at, f->kit.now + 1);
    kit_end(&f->kit);
    progress(f, 1, 3); /* late */
    tick(f, 1);
    assert_int_equal(kit_sent_count(&f->kit, MSG_ACCEPT), 1);
    const struct msg_accept *accept = &kit_sent(&f->kit, MSG_ACCEPT, 0)->msg.accept;
    struct value value;
    assert_int_equal(value_parse(accept->value, &value), 0);
    assert_int_equal(value.kind, VALUE_NOOP);
    assert_int_equal(value.stamp_ms, 101);
    kit_end(&f->kit);
    tick(f, 20);
    assert_int_equal(kit_sent_count(&f->kit, MSG_ACCEPT), 0);
}

/* A stamp that was proposed and never chosen is no time that has passed: after another election the
 * cluster's time may be below it, and what is due before it ends none the less. */
static void test_time_is_told_below_a_stamp_that_was_lost(void **state)
{
    struct fixture *f = *state;
    lead(f);
    accepted(f, 1, 1, 1);
    accepted(f, 2, 1, 1);
    progress(f, 1, 100);
    tick(f, 400);
    assert_int_equal(kit_sent_count(&f->kit, MSG_ACCEPT), 2); /* the announcement, for learners */
    kit_end(&f->kit);
    struct ballot other = {9, 1, 9};
    report(f, 1, other, other, 0);
    end_turn(f);
    assert_int_equal(proposer_state(f->proposer), NODE_STANDBY);
    kit_end(&f->kit);
    tick(f, 2 * ELECTION_MS);
    kit_end(&f->kit);
    report(f, 1, other, BALLOT_NONE, 2 * ELECTION_MS);
    report(f, 2, other, BALLOT_NONE, 2 * ELECTION_MS);
    end_turn(f);
    kit_end(&f->kit);
    assert_int_equal(proposer_state(f->proposer), NODE_PREPARING);
    promise(f, 1, 1, NULL, 0);
    promise(f, 2, 1, NULL, 0);
    end_turn(f);
    kit_end(&f->kit);
    assert_int_equal(proposer_state(f->proposer), NODE_LEADING);
    accepted(f, 1, 2, 2);
    accepted(f, 2, 2, 2);
    end_turn(f);
    kit_end(&f->kit);
    progress(f, 2, 200);
    tick(f, 201);
    struct value value;
    const struct outgoing *sent = kit_sent(&f->kit, MSG_ACCEPT, 0);
    assert_non_null(sent);
    assert_int_equal(value_parse(sent->msg.accept.value, &value), 0);
    assert_int_equal(value.kind, VALUE_NOOP);
    assert_int_equal(value.stamp_ms, 201);
}

/* With five acceptors three must promise and three must accept. */
static void test_five_acceptors(void **state)
{
    struct fixture *f = *state;
    report(f, 1, BALLOT_NONE, BALLOT_NONE, 0);
    report(f, 2, BALLOT_NONE, BALLOT_NONE, 0);
    end_turn(f);
    assert_int_equal(kit_sent_count(&f->kit, MSG_PREPARE), 0);
    report(f, 5, BALLOT_NONE, BALLOT_NONE, 0);
    end_turn(f);
    kit_end(&f->kit);
    promise(f, 1, 0, NULL, 0);
    promise(f, 4, 0, NULL, 0);
    assert_int_equal(proposer_state(f->proposer), NODE_PREPARING);
    promise(f, 5, 0, NULL, 0);
    assert_int_equal(proposer_state(f->proposer), NODE_LEADING);
    accepted(f, 1, 1, 1);
    accepted(f, 2, 1, 1);
    assert_int_equal(proposer_chosen(f->proposer), 0);
    accepted(f, 3, 1, 1);
    assert_int_equal(proposer_chosen(f->proposer), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_campaign_needs_a_quorum_of_reports),
        TEST(test_no_campaign_while_a_leader_is_heard),
        TEST(test_standby_redirects),
        TEST(test_quorum_of_promises_makes_a_leader),
        TEST(test_recovery_takes_the_highest_ballot),
        TEST(test_recovery_starts_at_the_lowest_watermark),
        TEST(test_laggard_repairs_itself_first),
        TEST(test_recovery_gives_up_a_dead_source),
        TEST(test_attempt_ends_without_progress),
        TEST(test_leader_fills_slots_of_a_minority),
        TEST(test_copy_of_a_prepare_is_harmless),
        TEST(test_refused_attempt_comes_back_higher),
        TEST(test_chosen_by_a_quorum_at_this_ballot),
        TEST(test_commit_is_an_unbroken_prefix),
        TEST(test_commands_of_a_turn_form_a_batch),
        TEST(test_budget_is_refused_at_once),
        TEST(test_malformed_block_is_refused),
        TEST(test_retransmission),
        TEST(test_leader_without_quorum_steps_down),
        TEST(test_higher_promise_deposes),
        TEST(test_shutdown_hands_over),
        TEST(test_successor_starts_at_once),
        TEST(test_time_is_told_when_a_lease_is_due),
        TEST(test_time_is_told_below_a_stamp_that_was_lost),
        cmocka_unit_test_setup_teardown(test_five_acceptors, setup_five, teardown),
    };
    return cmocka_run_group_tests_name("proposer", tests, NULL, NULL);
}
