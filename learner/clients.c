#include "learner/state.h"

#include "common/base/memory.h"

#include <string.h>

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
        learner_drop_questions(l, client.id);
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
    if (last->status != RESULT_OK || next->status != RESULT_OK || last->body.size > 0 ||
        next->body.size > 0 || last->sequence + last->count != next->sequence ||
        last->value + last->count != next->value) {
        return 0;
    }
    last->count += next->count;
    return 1;
}

/* Where the run of outcomes from first on ends that goes to one session in one message. */
static size_t run_end(const struct learner *l, size_t first)
{
    const struct outcome *head = &l->outcomes[first];
    size_t end = first;
    size_t bytes = 0;
    while (end < l->outcome_count && end - first < PAGE_ENTRIES_MAX &&
           l->outcomes[end].client == head->client && l->outcomes[end].session == head->session &&
           (end == first || bytes + l->outcomes[end].range.body.size <= PAGE_BYTES_TARGET)) {
        bytes += l->outcomes[end++].range.body.size;
    }
    return end;
}

/* One message for each run of outcomes that goes to one session. */
void learner_send_results(struct learner *l, struct effects *out)
{
    size_t i = 0;
    while (i < l->outcome_count) {
        const struct outcome *first = &l->outcomes[i];
        size_t end = run_end(l, i);
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
