#include "learner/state.h"

#include "common/base/memory.h"
#include "common/base/mutant.h"

#include <string.h>

/* A linearizable read is given up after so many election timeouts without a quorum, or without the
 * slots it waits for. */
#define READ_PATIENCE_ELECTIONS 5

/* ---- connected clients */

static size_t client_position(const struct learner *l, uint64_t nonce)
{
    size_t low = 0;
    size_t high = l->client_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l->clients[middle] < nonce) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int is_connected(const struct learner *l, uint64_t nonce)
{
    size_t at = client_position(l, nonce);
    return at < l->client_count && l->clients[at] == nonce;
}

/* Nobody is left to answer, and its long polls would take the room of others. */
static void drop_reads(struct learner *l, uint64_t nonce)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->read_count; i++) {
        if (l->reads[i].client.id != nonce) {
            l->reads[kept++] = l->reads[i];
        }
    }
    l->read_count = kept;
}

void learner_on_client(struct learner *l, struct peer client, int is_up)
{
    size_t at = client_position(l, client.id);
    int is_known = at < l->client_count && l->clients[at] == client.id;
    if (is_up && !is_known && l->client_count < LINKS_MAX) {
        l->clients =
            memory_grow(l->clients, &l->client_capacity, l->client_count + 1, sizeof *l->clients);
        memmove(&l->clients[at + 1], &l->clients[at], (l->client_count - at) * sizeof *l->clients);
        l->clients[at] = client.id;
        l->client_count++;
    } else if (!is_up && is_known) {
        drop_reads(l, client.id);
        l->client_count--;
        memmove(&l->clients[at], &l->clients[at + 1], (l->client_count - at) * sizeof *l->clients);
    }
}

/* ---- results */

void learner_tell(void *learner, const struct outcome *outcome)
{
    struct learner *l = learner;
    if (!is_connected(l, outcome->client)) {
        return; /* another learner has its connection */
    }
    l->outcomes =
        memory_grow(l->outcomes, &l->outcome_capacity, l->outcome_count + 1, sizeof *l->outcomes);
    l->outcomes[l->outcome_count++] = *outcome;
}

/* Joins a range to the one before it if both are one dense run. */
static int join_range(struct result_range *last, const struct result_range *next)
{
    if (last->status != RESULT_OK || next->status != RESULT_OK ||
        last->sequence + last->count != next->sequence ||
        last->value + last->count != next->value) {
        return 0;
    }
    last->count += next->count;
    return 1;
}

/* One message for each run of outcomes that goes to one session. */
void learner_send_results(struct learner *l, struct effects *out)
{
    size_t i = 0;
    while (i < l->outcome_count) {
        const struct outcome *first = &l->outcomes[i];
        size_t end = i;
        while (end < l->outcome_count && end - i < PAGE_ENTRIES_MAX &&
               l->outcomes[end].client == first->client &&
               l->outcomes[end].session == first->session) {
            end++;
        }
        struct result_range *ranges = effects_alloc(out, (end - i) * sizeof *ranges);
        uint32_t count = 0;
        for (size_t k = i; k < end; k++) {
            if (count == 0 || !join_range(&ranges[count - 1], &l->outcomes[k].range)) {
                ranges[count++] = l->outcomes[k].range;
            }
        }
        struct peer client = {ROLE_CLIENT, first->client};
        struct message *msg = effects_send(out, SEND_NOW, client, MSG_RESULT);
        msg->result = (struct msg_result){.session = first->session,
                                          .applied = machine_applied(l->machine),
                                          .range_count = count,
                                          .ranges = ranges};
        i = end;
    }
    l->outcome_count = 0;
}

/* ---- reads */

static struct message *reply_to(const struct waiting_read *waiting, struct effects *out)
{
    struct message *msg = effects_send(out, SEND_NOW, waiting->client, MSG_RECORDS);
    msg->echo = waiting->incarnation;
    return msg;
}

static void answer(struct learner *l, const struct waiting_read *waiting, enum read_status status,
                   struct effects *out)
{
    struct slice *records = NULL;
    uint32_t count = 0;
    uint64_t from = waiting->read.from;
    if (status == READ_OK) {
        size_t bytes_max = waiting->read.bytes_max;
        if (bytes_max > PAGE_BYTES_TARGET) {
            bytes_max = PAGE_BYTES_TARGET;
        }
        machine_read(l->machine, from, waiting->read.count, bytes_max, &records, &count, out);
        if (count > 0 && count != waiting->read.count &&
            from + count <= machine_last_index(l->machine)) {
            effects_mark(out, MARK_READ_PAGE_FULL);
        }
    }
    struct message *msg = reply_to(waiting, out);
    msg->records = (struct msg_records){.request = waiting->read.request,
                                        .status = status,
                                        .first = 1,
                                        .last = machine_last_index(l->machine),
                                        .applied = machine_applied(l->machine),
                                        .from = from,
                                        .record_count = count,
                                        .records = records};
}

void learner_on_read(struct learner *l, const struct event *event, struct effects *out)
{
    struct waiting_read waiting = {
        .client = event->msg->from,
        .incarnation = event->msg->incarnation,
        .read = event->msg->read,
        .give_up_at = event->now + READ_PATIENCE_ELECTIONS * l->options.election_ms,
        .records_until = event->now + event->msg->read.wait_ms,
    };
    int joins = MUTANT(read_joins_open_round) && l->round.is_open;
    waiting.state = joins ? READ_STATE_ROUND : READ_STATE_NEW;
    if (waiting.read.consistency == READ_LOCAL) {
        waiting.state = READ_STATE_APPLIED;
        waiting.target = 0;
    }
    if (l->read_count == READS_WAITING_MAX) {
        answer(l, &waiting, READ_BUSY, out);
        return;
    }
    l->reads = memory_grow(l->reads, &l->read_capacity, l->read_count + 1, sizeof *l->reads);
    l->reads[l->read_count++] = waiting;
}

static void ask_round(struct learner *l, time_ms_t now, struct effects *out)
{
    l->round.retry_at = now + 2 * l->options.heartbeat_ms;
    struct message *msg = effects_broadcast(out, SEND_NOW, ROLE_ACCEPTOR, MSG_READ_INDEX);
    msg->read_index = (struct msg_read_index){l->round.request};
}

/* Begins a round for all reads that are new, if none is under way: what was acknowledged before a
 * read arrived was accepted by a quorum before the round asks (Charapko et al., "Linearizable
 * Quorum Reads in Paxos", 2019). */
static void maybe_begin_round(struct learner *l, time_ms_t now, struct effects *out)
{
    int is_awaited = 0;
    for (size_t i = 0; i < l->read_count; i++) {
        is_awaited |= l->reads[i].state == READ_STATE_ROUND;
    }
    l->round.is_open = l->round.is_open && is_awaited;
    if (l->round.is_open) {
        if (now >= l->round.retry_at && !MUTANT(read_round_asked_once)) {
            effects_mark(out, MARK_READ_ROUND_RETRIED);
            ask_round(l, now, out);
        }
        return;
    }
    int is_wanted = 0;
    for (size_t i = 0; i < l->read_count; i++) {
        if (l->reads[i].state == READ_STATE_NEW) {
            l->reads[i].state = READ_STATE_ROUND;
            is_wanted = 1;
        }
    }
    if (is_wanted) {
        l->round = (struct read_round){.is_open = 1, .request = l->round.request + 1};
        ask_round(l, now, out);
    }
}

void learner_on_read_index_reply(struct learner *l, const struct event *event, struct effects *out)
{
    const struct msg_read_index_reply *reply = &event->msg->read_index_reply;
    int index = members_acceptor_index(&l->options.members, event->msg->from.id);
    if (!l->round.is_open || reply->request != l->round.request || index < 0 ||
        event->msg->from.role != ROLE_ACCEPTOR) {
        effects_mark(out, MARK_READ_REPLY_LATE);
        return;
    }
    l->round.answered |= (acceptor_set_t)1 << index;
    if (reply->accepted_max > l->round.target) {
        l->round.target = reply->accepted_max;
    }
    /* A prepare quorum meets every accept quorum, so one of them accepted what was acknowledged. */
    if (!is_prepare_quorum(&l->options.members, l->round.answered) &&
        !MUTANT(read_asks_one_acceptor)) {
        return;
    }
    if (l->round.target > machine_applied(l->machine)) {
        effects_mark(out, MARK_READ_WAITS_FOR_SLOT);
    }
    l->round.is_open = 0;
    for (size_t i = 0; i < l->read_count; i++) {
        if (l->reads[i].state == READ_STATE_ROUND) {
            l->reads[i].state = READ_STATE_APPLIED;
            l->reads[i].target = l->round.target;
        }
    }
}

void learner_serve_reads(struct learner *l, time_ms_t now, struct effects *out)
{
    slot_t readable = l->readable;
    size_t kept = 0;
    for (size_t i = 0; i < l->read_count; i++) {
        struct waiting_read *waiting = &l->reads[i];
        int is_applied = waiting->target <= readable || MUTANT(read_before_applied);
        int is_ready = waiting->state == READ_STATE_APPLIED && is_applied &&
                       readable == machine_applied(l->machine);
        int has_records = waiting->read.from <= machine_last_index(l->machine);
        if (is_ready && (has_records || now >= waiting->records_until)) {
            if (!has_records && waiting->read.wait_ms > 0) {
                effects_mark(out, MARK_LONG_POLL_EXPIRED);
            }
            answer(l, waiting, READ_OK, out);
        } else if (!is_ready && now >= waiting->give_up_at && !MUTANT(read_round_asked_once)) {
            effects_mark(out, MARK_READ_GIVEN_UP);
            answer(l, waiting, READ_NO_QUORUM, out);
        } else {
            if (is_ready) {
                effects_mark(out, MARK_LONG_POLL_WAITS);
            }
            l->reads[kept++] = *waiting;
        }
    }
    l->read_count = kept;
}

void learner_tick_reads(struct learner *l, time_ms_t now, struct effects *out)
{
    maybe_begin_round(l, now, out);
    if (l->round.is_open) {
        effects_wake(out, l->round.retry_at);
    }
    for (size_t i = 0; i < l->read_count; i++) {
        const struct waiting_read *waiting = &l->reads[i];
        effects_wake(out, waiting->state == READ_STATE_APPLIED && waiting->target <= l->readable
                              ? waiting->records_until
                              : waiting->give_up_at);
    }
}

slot_t learner_wanted(const struct learner *l)
{
    slot_t wanted = 0;
    for (size_t i = 0; i < l->read_count; i++) {
        if (l->reads[i].state == READ_STATE_APPLIED && l->reads[i].target > wanted) {
            wanted = l->reads[i].target;
        }
    }
    return wanted;
}

/* ---- status */

void learner_on_status(struct learner *l, const struct message *msg, struct effects *out)
{
    struct node_status *node = effects_alloc(out, sizeof *node);
    slot_t since;
    struct ballot leader = machine_leader(l->machine, &since);
    slot_t applied = machine_applied(l->machine);
    *node = (struct node_status){
        .node = {ROLE_LEARNER, l->options.id},
        .state = applied < l->known_commit ? NODE_CATCHING_UP : NODE_APPLYING,
        .ballot = l->commit_ballot,
        .leader = leader.proposer,
        .leading_since = since,
        .chosen = l->known_commit > applied ? l->known_commit : applied,
        .applied = applied,
        .last_index = machine_last_index(l->machine),
        .digest = machine_digest(l->machine),
        .session_count = machine_session_count(l->machine),
    };
    struct message *reply = effects_reply(out, SEND_NOW, msg, MSG_STATUS_REPLY);
    reply->status_reply = (struct msg_status_reply){msg->status.request, 1, node};
}
