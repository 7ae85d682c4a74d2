#include "tests/explore/machine.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/protocol/value.h"
#include "proposer/state.h"
#include "tests/explore/frozen.h"
#include "tests/explore/post.h"
#include "tests/explore/turn.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Timers never fire by themselves: a process' clock moves only with a choice. Leases are over as
 * soon as they are granted, so that an acceptor never refuses for the sake of one. */
#define EPOCH_MS 100000
#define HEARTBEAT_MS 10
#define ELECTION_MS 1000
#define LEASE_MS 0
#define GIVE_UP_MS (10 * ELECTION_MS)

/* One turn in so many is run twice. */
#define REPEAT_EVERY 8

static struct {
    const struct scope *scope;
    struct intern states; /* struct machine_head, then the disk, then the core */
    struct intern claims, violations;
    struct outcome *outcomes;
    size_t outcome_count, outcome_capacity;
    struct map memo; /* (state, choice) to outcome */
    struct list lists;
    struct acceptor *acceptors[ACCEPTORS]; /* hold nothing between two calls */
    struct proposer *proposers[PROPOSERS];
    struct disk disk;
    struct turn turn;
    struct bytes buffer;
    struct blob *blocks[PROPOSERS]; /* what a client submits to each */
    jmp_buf *failure;               /* where a failed check in a core goes */
    size_t repeated;
} m;

/* In the place of common/base/check.c: a core that ends its process has broken a rule, and there is
 * a trace to show how. */
_Noreturn void check_failed(const char *condition, const char *file, int line)
{
    if (m.failure == NULL) {
        fprintf(stderr, "explore: check failed: %s at %s:%d\n", condition, file, line);
        abort();
    }
    turn_violate(&m.turn, "a check of a core failed: %s at %s:%d", condition, file, line);
    longjmp(*m.failure, 1);
}

/* ---- making cores */

static struct acceptor *new_acceptor(unsigned process)
{
    struct acceptor_options options;
    memset(&options, 0, sizeof options);
    options.id = process + 1;
    options.members = *scope_members();
    options.election_ms = LEASE_MS;
    options.heartbeat_ms = HEARTBEAT_MS;
    options.reader = disk_reader(&m.disk);
    return acceptor_new(&options);
}

static uint64_t incarnation_of(const struct machine_head *head)
{
    return (uint64_t)(head->process + 1) * 100 + head->starts;
}

static struct proposer *new_proposer(const struct machine_head *head)
{
    struct proposer_options options;
    memset(&options, 0, sizeof options);
    options.id = head->process - ACCEPTORS + 1;
    options.incarnation = incarnation_of(head);
    options.seed = 1;
    options.members = *scope_members();
    settings_init(&options.settings);
    options.heartbeat_ms = HEARTBEAT_MS;
    options.election_ms = ELECTION_MS;
    return proposer_new(&options);
}

/* A block of one command, another one for each proposer. */
static struct blob *new_block(unsigned index)
{
    uint8_t *data;
    struct blob *blob = blob_new(BLOCK_HEAD_BYTES + COMMAND_HEAD_BYTES + 1, &data);
    struct block block = {
        .session = index + 1, .client = index + 1, .first_seq = 1, .acked_seq = 0, .count = 1};
    block_put_head(data, &block, COMMAND_HEAD_BYTES + 1);
    command_put_head(data + BLOCK_HEAD_BYTES, COMMAND_APPEND, 1);
    data[BLOCK_HEAD_BYTES + COMMAND_HEAD_BYTES] = 'x';
    return blob;
}

/* ---- events that the environment makes up */

static void run_event(struct machine_head *head, enum event_kind kind, const struct message *msg)
{
    struct event event = {.kind = kind, .now = head->now, .msg = msg};
    turn_run(&m.turn, &event, 1, 0);
}

/* The answer of an acceptor to the first heartbeat, so late that it does not count as a link. A
 * proposer asks such answers whether there is room on the disks before it takes a command. */
static void run_first_report(struct machine_head *head, unsigned acceptor)
{
    struct proposer_report proposers[PROPOSERS];
    memset(proposers, 0, sizeof proposers);
    for (unsigned i = 0; i < PROPOSERS; i++) {
        proposers[i].proposer = i + 1;
        proposers[i].silence_ms = UINT32_MAX;
    }
    struct message msg;
    memset(&msg, 0, sizeof msg);
    msg.kind = MSG_REPORT;
    msg.from = process_peer(acceptor);
    msg.incarnation = 1;
    msg.echo = incarnation_of(head);
    msg.report.sequence = 1;
    msg.report.proposer_count = PROPOSERS;
    msg.report.proposers = proposers;
    run_event(head, EVENT_MESSAGE, &msg);
}

/* A release that names it the successor makes a standby campaign at once. */
static void run_campaign(struct machine_head *head)
{
    const struct proposer *p = m.proposers[head->process - ACCEPTORS];
    head->now += GIVE_UP_MS;
    if (proposer_state(p) != NODE_STANDBY) {
        run_event(head, EVENT_TICK, NULL); /* whatever was under way is given up */
    }
    unsigned other = head->process == ACCEPTORS ? ACCEPTORS + 1 : ACCEPTORS;
    struct message msg;
    memset(&msg, 0, sizeof msg);
    msg.kind = MSG_RELEASE;
    msg.from = process_peer(other);
    msg.incarnation = 1;
    msg.release.ballot.round = 1;
    msg.release.ballot.proposer = (node_id_t)msg.from.id;
    msg.release.ballot.incarnation = 1;
    msg.release.successor = head->process - ACCEPTORS + 1;
    run_event(head, EVENT_MESSAGE, &msg);
    CHECK(proposer_state(p) == NODE_PREPARING);
    head->campaigns++;
}

static void run_submit(struct machine_head *head)
{
    struct blob *block = m.blocks[head->process - ACCEPTORS];
    struct message msg;
    memset(&msg, 0, sizeof msg);
    msg.kind = MSG_SUBMIT;
    msg.from = (struct peer){ROLE_CLIENT, head->process - ACCEPTORS + 1};
    msg.incarnation = msg.from.id;
    msg.submit.block = slice_of(block);
    run_event(head, EVENT_MESSAGE, &msg);
    head->submits++;
}

/* ---- start and restart */

static void start_acceptor(struct machine_head *head)
{
    struct acceptor **a = &m.acceptors[head->process];
    acceptor_free(*a);
    *a = new_acceptor(head->process);
    m.turn.core = acceptor_core(*a);
    m.turn.incarnation = incarnation_of(head);
    run_event(head, EVENT_START, NULL);
    struct ballot stored = image_promise(disk_seen(&m.disk));
    struct ballot loaded = acceptor_promised(*a);
    if (!ballot_equal(&stored, &loaded)) {
        turn_violate(&m.turn, "the promise fell by a restart");
    }
}

static void start_proposer(struct machine_head *head)
{
    struct proposer **p = &m.proposers[head->process - ACCEPTORS];
    proposer_free(*p);
    *p = new_proposer(head);
    m.turn.core = proposer_core(*p);
    m.turn.incarnation = incarnation_of(head);
    run_event(head, EVENT_START, NULL);
    head->now += GIVE_UP_MS;
    for (unsigned acceptor = 0; acceptor < ACCEPTORS; acceptor++) {
        run_first_report(head, acceptor);
    }
    CHECK(proposer_state(*p) == NODE_STANDBY);
}

/* An acceptor keeps its incarnation, which a proposer never looks at: so an answer to a fetch of
 * its former process is taken, which is more than can happen, and a restart that lost nothing does
 * not make a state of its own. */
static void start(struct machine_head *head)
{
    if (head->process >= ACCEPTORS || head->starts == 0) {
        head->starts++;
    }
    if (head->process < ACCEPTORS) {
        start_acceptor(head);
    } else {
        start_proposer(head);
    }
}

static void crash(struct machine_head *head, uint32_t survive)
{
    if (head->process < ACCEPTORS) {
        empty_acceptor(m.acceptors[head->process]);
        if (survive < m.disk.batch_count) { /* else only the process died: all is still seen */
            disk_cut(&m.disk, survive);
            turn_note_votes(&m.turn);
        }
    } else {
        head->crashes++;
        empty_proposer(m.proposers[head->process - ACCEPTORS]);
    }
    start(head);
}

/* ---- states */

/* Puts a state into its core. */
static void thaw(uint32_t state, struct machine_head *head)
{
    const uint8_t *p = intern_get(&m.states, state, NULL);
    bytes_take(&p, head, sizeof *head);
    struct turn *turn = &m.turn;
    turn->process = head->process;
    turn->incarnation = incarnation_of(head);
    if (head->process < ACCEPTORS) {
        struct acceptor *a = m.acceptors[head->process];
        thaw_disk(&m.disk, &p);
        thaw_acceptor(a, &p);
        turn->core = acceptor_core(a);
        turn->disk = &m.disk;
    } else {
        struct proposer *core = m.proposers[head->process - ACCEPTORS];
        thaw_proposer(core, &p);
        turn->core = proposer_core(core);
        turn->disk = NULL;
    }
}

/* What the core itself holds to be chosen. */
static void note_own_claims(const struct machine_head *head)
{
    if (head->process >= ACCEPTORS) {
        const struct proposer *p = m.proposers[head->process - ACCEPTORS];
        turn_claim(&m.turn, proposer_chosen(p));
        return;
    }
    slot_t chosen = acceptor_chosen(m.acceptors[head->process]);
    turn_claim(&m.turn, chosen);
    const struct image *seen = disk_seen(&m.disk);
    for (slot_t slot = 1; slot <= chosen && slot <= SLOTS; slot++) {
        if (seen->votes[slot].value == 0) {
            turn_violate(&m.turn, "slot %llu is chosen here, but its value is not stored",
                         (unsigned long long)slot);
            return;
        }
        turn_claim_value(&m.turn, slot, post_value_slice((uint32_t)seen->votes[slot].value));
    }
}

/* Field by field: the padding stays 0. */
static void set_ballot(struct ballot *to, struct ballot ballot)
{
    to->round = ballot.round;
    to->proposer = ballot.proposer;
    to->incarnation = ballot.incarnation;
}

static uint32_t freeze(struct machine_head *head)
{
    note_own_claims(head);
    head->incarnation = incarnation_of(head);
    head->state = 0;
    head->wants_repair = 0;
    head->lazy_count = 0;
    if (head->process < ACCEPTORS) {
        set_ballot(&head->promised, image_promise(&m.disk.durable));
        head->chosen = acceptor_chosen(m.acceptors[head->process]);
        head->lazy_count = (uint8_t)m.disk.batch_count;
        head->wants_repair = m.turn.wake_at != TIME_NEVER;
    } else {
        const struct proposer *p = m.proposers[head->process - ACCEPTORS];
        head->state = (uint8_t)proposer_state(p);
        set_ballot(&head->ballot, proposer_ballot(p));
        head->round_max = p->round_max;
        head->chosen = proposer_chosen(p);
    }
    m.buffer.size = 0;
    bytes_append(&m.buffer, head, sizeof *head);
    if (head->process < ACCEPTORS) {
        freeze_disk(&m.disk, &m.buffer);
        freeze_acceptor(m.acceptors[head->process], &m.buffer);
        empty_acceptor(m.acceptors[head->process]);
    } else {
        freeze_proposer(m.proposers[head->process - ACCEPTORS], &m.buffer);
        empty_proposer(m.proposers[head->process - ACCEPTORS]);
    }
    return intern_add(&m.states, m.buffer.data, m.buffer.size);
}

/* ---- choices */

static void run_messages(struct machine_head *head, choice_t choice)
{
    enum event_type type = choice_type(choice);
    struct event events[2];
    memset(events, 0, sizeof events);
    for (size_t i = 0; i < 2; i++) {
        events[i].kind = EVENT_MESSAGE;
        events[i].now = head->now;
    }
    events[0].msg = &post_letter(choice_first(choice))->msg;
    if (type == CHOICE_DELIVER_TWO) {
        events[1].msg = &post_letter(choice_second(choice))->msg;
    }
    turn_run(&m.turn, events, type == CHOICE_DELIVER_TWO ? 2 : 1, type == CHOICE_DELIVER_CRASH);
    if (type == CHOICE_DELIVER_CRASH) {
        crash(head, choice_second(choice));
    }
}

static void run_choice(struct machine_head *head, choice_t choice)
{
    switch (choice_type(choice)) {
    case CHOICE_DELIVER:
    case CHOICE_DELIVER_TWO:
    case CHOICE_DELIVER_CRASH:
        run_messages(head, choice);
        break;
    case CHOICE_CAMPAIGN:
        run_campaign(head);
        break;
    case CHOICE_SUBMIT:
        run_submit(head);
        break;
    case CHOICE_BEAT:
        head->beats++;
        head->now += 2 * HEARTBEAT_MS;
        run_event(head, EVENT_TICK, NULL);
        break;
    case CHOICE_REPAIR:
        head->repairs++;
        head->now += GIVE_UP_MS;
        run_event(head, EVENT_TICK, NULL);
        break;
    case CHOICE_CRASH:
        crash(head, choice_first(choice));
        break;
    }
}

static void reset_turn(void)
{
    effects_clear(&m.turn.fx); /* what a failed check left */
    m.turn.sends.count = 0;
    m.turn.votes.count = 0;
    memset(&m.turn.claim, 0, sizeof m.turn.claim);
    m.turn.is_leaking = 0;
    m.turn.violation[0] = '\0';
    m.turn.wake_at = TIME_NEVER;
}

static uint32_t keep_list(const struct list *list)
{
    uint32_t first = (uint32_t)m.lists.count;
    for (size_t i = 0; i < list->count; i++) {
        list_add(&m.lists, list->items[i]);
    }
    return first;
}

static struct outcome finish(uint32_t from, uint32_t state)
{
    const struct turn *turn = &m.turn;
    struct outcome outcome;
    memset(&outcome, 0, sizeof outcome);
    outcome.from = from;
    outcome.machine = state;
    outcome.first_send = keep_list(&turn->sends);
    outcome.send_count = (uint32_t)turn->sends.count;
    outcome.first_vote = keep_list(&turn->votes);
    outcome.vote_count = (uint32_t)turn->votes.count;
    outcome.claim = intern_add(&m.claims, &turn->claim, sizeof turn->claim);
    outcome.is_leaking = (uint32_t)turn->is_leaking;
    if (turn->violation[0] != '\0') {
        outcome.violation = intern_add(&m.violations, turn->violation, strlen(turn->violation) + 1);
    }
    return outcome;
}

static struct outcome compute(uint32_t state, choice_t choice)
{
    static jmp_buf failure;
    reset_turn();
    m.failure = &failure;
    uint32_t after = state;
    if (setjmp(failure) == 0) {
        struct machine_head head;
        thaw(state, &head);
        run_choice(&head, choice);
        after = freeze(&head);
        m.failure = NULL;
        return finish(state, after);
    }
    m.failure = NULL;
    return finish(state, state);
}

/* The same once more: a core that kept something outside of its state would show. */
static void repeat(uint32_t state, choice_t choice, const struct outcome *first)
{
    struct outcome again = compute(state, choice);
    CHECK(again.machine == first->machine);
    CHECK(again.claim == first->claim && again.violation == first->violation);
    CHECK(again.send_count == first->send_count && again.vote_count == first->vote_count);
    for (uint32_t i = 0; i < first->send_count; i++) {
        CHECK(m.lists.items[again.first_send + i] == m.lists.items[first->first_send + i]);
    }
    m.lists.count = again.first_send;
    m.repeated++;
}

const struct outcome *machine_step(uint32_t machine, choice_t choice)
{
    uint64_t key = (uint64_t)machine << 32 | choice;
    uint32_t known;
    if (map_find(&m.memo, key, &known)) {
        return &m.outcomes[known];
    }
    struct outcome outcome = compute(machine, choice);
    if (outcome.violation == 0 && m.outcome_count % REPEAT_EVERY == 0) {
        repeat(machine, choice, &outcome);
    }
    m.outcomes =
        memory_grow(m.outcomes, &m.outcome_capacity, m.outcome_count + 1, sizeof *m.outcomes);
    map_put(&m.memo, key, (uint32_t)m.outcome_count);
    m.outcomes[m.outcome_count] = outcome;
    return &m.outcomes[m.outcome_count++];
}

uint32_t machine_first(unsigned process)
{
    struct machine_head head;
    memset(&head, 0, sizeof head);
    head.process = (uint8_t)process;
    head.now = EPOCH_MS;
    reset_turn();
    memset(&m.disk, 0, sizeof m.disk);
    m.turn.process = process;
    m.turn.disk = process < ACCEPTORS ? &m.disk : NULL;
    start(&head);
    CHECK(m.turn.violation[0] == '\0' && m.turn.sends.count == 0);
    return freeze(&head);
}

/* ---- access */

const struct machine_head *machine_head(uint32_t machine)
{
    return intern_get(&m.states, machine, NULL);
}

const uint32_t *machine_list(uint32_t first)
{
    return first > 0 ? &m.lists.items[first] : m.lists.items;
}

const struct claim *machine_claim(uint32_t claim)
{
    return intern_get(&m.claims, claim, NULL);
}

const char *machine_violation(uint32_t violation)
{
    return intern_get(&m.violations, violation, NULL);
}

size_t machine_count(void)
{
    return m.states.count;
}

size_t machine_turn_count(void)
{
    return m.outcome_count;
}

void machine_turn(size_t number, uint32_t *from, uint32_t *to)
{
    CHECK(number < m.outcome_count);
    *from = m.outcomes[number].from;
    *to = m.outcomes[number].machine;
}

struct machine_counts machine_counts(void)
{
    struct machine_counts counts = {
        .turns = m.outcome_count, .repeated = m.repeated, .bytes = m.states.bytes};
    for (size_t i = 0; i < m.states.count; i++) {
        counts.states[machine_head((uint32_t)i)->process]++;
    }
    return counts;
}

void machines_open(const struct scope *scope)
{
    memset(&m, 0, sizeof m);
    m.scope = scope;
    m.turn.scope = scope;
    effects_init(&m.turn.fx);
    for (unsigned i = 0; i < PROPOSERS; i++) {
        m.blocks[i] = new_block(i);
    }
    const struct claim nothing = {0, {0}};
    intern_add(&m.claims, &nothing, sizeof nothing); /* 0: nothing is said */
    intern_add(&m.violations, "", 1);                /* 0: none */
}

void machines_close(void)
{
    for (unsigned i = 0; i < ACCEPTORS; i++) {
        acceptor_free(m.acceptors[i]);
    }
    for (unsigned i = 0; i < PROPOSERS; i++) {
        proposer_free(m.proposers[i]);
        blob_unref(m.blocks[i]);
    }
    effects_close(&m.turn.fx);
    intern_close(&m.states);
    intern_close(&m.claims);
    intern_close(&m.violations);
    map_close(&m.memo);
    free(m.outcomes);
    free(m.lists.items);
    free(m.turn.sends.items);
    free(m.turn.votes.items);
    free(m.buffer.data);
}
