/* What clients are told. */
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/base/memory.h"
#include "tests/model/run.h"

#include <string.h>

/* Walks through the outcomes command by command. */
struct cursor {
    const struct node *node;
    size_t at;
    uint32_t offset;
};

/* The result of the command with that sequence, which must be the next one. */
static struct told next_told(const struct run *run, struct cursor *cursor, const struct part *part,
                             uint64_t sequence, const struct operation *operation)
{
    struct errmsg why;
    const struct node *node = cursor->node;
    if (cursor->at == node->outcome_count) {
        errmsg_set(&why, ERROR_INTERNAL, "no outcome for sequence %llu of client %llu",
                   (unsigned long long)sequence, (unsigned long long)part->nonce);
        run_fail(run, operation, &why);
    }
    const struct outcome *outcome = &node->outcomes[cursor->at];
    run_must_equal(run, "client of an outcome", part->nonce, outcome->client);
    run_must_equal(run, "session of an outcome", part->session, outcome->session);
    run_must_equal(run, "sequence", sequence, outcome->range.sequence + cursor->offset);
    struct told told = {outcome->range.status, outcome->range.value, NULL, 0};
    if (outcome->range.count > 1 && told.status == RESULT_OK) {
        told.value += cursor->offset; /* appends have dense indexes */
    }
    told.body = (uint8_t *)outcome->range.body.data;
    told.size = outcome->range.body.size;
    if (++cursor->offset >= outcome->range.count) {
        cursor->at++;
        cursor->offset = 0;
    }
    return told;
}

static void check_new(struct run *run, struct client *client, const struct told *told,
                      const struct command *command, const struct operation *operation)
{
    struct reference_result wanted;
    reference_apply(run->reference, command, client->session, told->value, &run->arena, &wanted);
    struct errmsg why;
    if (!reference_result_matches(&wanted, told->status, told->value,
                                  slice_borrow(told->body, told->size), &why)) {
        run_fail(run, operation, &why);
    }
    client->told = memory_grow(client->told, &client->told_capacity, client->told_count + 1,
                               sizeof(struct told));
    struct told *kept = &client->told[client->told_count++];
    *kept = *told;
    kept->body = memory_alloc(told->size);
    if (told->size > 0) {
        memcpy(kept->body, told->body, told->size);
    }
}

static void check_again(const struct run *run, const struct client *client, uint64_t sequence,
                        const struct told *told, const struct operation *operation)
{
    const struct told *before = &client->told[sequence - 1];
    int is_same = told->status == before->status && told->value == before->value &&
                  told->size == before->size &&
                  (told->size == 0 || memcmp(told->body, before->body, told->size) == 0);
    if (sequence <= client->known_acked_seq) {
        is_same = told->status == RESULT_FORGOTTEN && told->value == 0 && told->size == 0;
    }
    struct errmsg why;
    if (!is_same) {
        errmsg_set(&why, ERROR_INTERNAL,
                   "a retry of sequence %llu is answered by status %u, value %llu, %zu bytes; "
                   "before by %u, %llu, %zu",
                   (unsigned long long)sequence, told->status, (unsigned long long)told->value,
                   told->size, before->status, (unsigned long long)before->value, before->size);
        run_fail(run, operation, &why);
    }
}

/* The first time a living session is continued, which is a sign of life; or else there is a new
 * one. The same opening once more is answered with the session that it has, and changes nothing. */
static void check_open(struct run *run, const struct part *part, struct cursor *cursor)
{
    struct client *client = part->client;
    struct told told = next_told(run, cursor, part, part->block.first_seq, NULL);
    run_must_equal(run, "status of an open", RESULT_OK, told.status);
    struct slice rest = part->block.commands;
    struct command command;
    CHECK(block_next_command(&rest, &command));
    int is_first = client->answered != client->openings;
    client->answered = client->openings;
    if (client->session != 0 && reference_lease(run->reference, client->session) != NULL) {
        run_must_equal(run, "id of the session", client->session, told.value);
        if (is_first) {
            reference_keepalive(run->reference, client->session);
        }
        return;
    }
    struct reference_result wanted;
    reference_apply(run->reference, &command, 0, told.value, &run->arena, &wanted);
    run_must_equal(run, "whether the id is a new one", RESULT_OK, wanted.status);
    client_forget_session(client);
    client->session = told.value;
}

static const struct sent *find_sent(const struct client *client, uint64_t first_seq)
{
    size_t i = 0;
    while (client->sent[i].first_seq != first_seq) {
        i++;
    }
    return &client->sent[i];
}

static void check_part(struct run *run, const struct part *part, struct cursor *cursor)
{
    struct client *client = part->client;
    if (part->session == 0) {
        check_open(run, part, cursor);
        return;
    }
    if (client->session == 0 || reference_lease(run->reference, part->session) == NULL) {
        struct told told = next_told(run, cursor, part, part->block.first_seq, NULL);
        run_must_equal(run, "status without a session", RESULT_UNKNOWN_SESSION, told.status);
        client->session = 0;
        return;
    }
    reference_keepalive(run->reference, part->session);
    if (part->block.acked_seq > client->known_acked_seq) {
        client->known_acked_seq = part->block.acked_seq;
    }
    if (part->block.first_seq > client->told_count + 1) {
        struct told told = next_told(run, cursor, part, client->told_count + 1, NULL);
        run_must_equal(run, "status of a gap", RESULT_GAP, told.status);
        return;
    }
    if (part->block.count == 0) {
        return;
    }
    const struct sent *sent = find_sent(client, part->block.first_seq);
    struct slice rest = part->block.commands;
    struct command command;
    for (uint32_t i = 0; block_next_command(&rest, &command); i++) {
        uint64_t sequence = part->block.first_seq + i;
        const struct operation *operation = &sent->operations[i];
        struct told told = next_told(run, cursor, part, sequence, operation);
        if (sequence <= client->told_count) {
            check_again(run, client, sequence, &told, operation);
            continue;
        }
        check_new(run, client, &told, &command, operation);
        if (command.op == COMMAND_CLOSE_SESSION) {
            client->session = 0;
        }
    }
}

static void check_equal_nodes(const struct run *run)
{
    const struct node *a = &run->nodes[0];
    const struct node *b = &run->nodes[1];
    run_must_equal(run, "digest of the other machine", machine_digest(a->machine),
                   machine_digest(b->machine));
    run_must_equal(run, "outcomes of the other machine", a->outcome_count, b->outcome_count);
    for (size_t i = 0; i < a->outcome_count; i++) {
        const struct result_range *one = &a->outcomes[i].range;
        const struct result_range *other = &b->outcomes[i].range;
        run_must_equal(run, "sequence of the other machine", one->sequence, other->sequence);
        run_must_equal(run, "count of the other machine", one->count, other->count);
        run_must_equal(run, "status of the other machine", one->status, other->status);
        run_must_equal(run, "value of the other machine", one->value, other->value);
        run_must_equal(run, "body of the other machine", 1,
                       (uint64_t)slice_equal(one->body, other->body));
    }
}

void run_check_outcomes(struct run *run)
{
    reference_advance(run->reference, run->stamp_ms);
    struct blob *value = run_encode_slot(run);
    if (run->line_count > 0) {
        reference_register(
            run->reference, run->slot,
            slice_borrow(value->data + VALUE_HEAD_BYTES, value->size - VALUE_HEAD_BYTES));
    }
    blob_unref(value);
    struct cursor cursor = {&run->nodes[0], 0, 0};
    for (size_t i = 0; i < run->part_count; i++) {
        check_part(run, &run->parts[i], &cursor);
    }
    run_must_equal(run, "outcomes", run->nodes[0].outcome_count, cursor.at);
    check_equal_nodes(run);
}
