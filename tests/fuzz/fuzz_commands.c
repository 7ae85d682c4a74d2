/* Random and mutated commands against the parsers, and what they take against two machines: never a
 * crash, nothing fatal, memory bounded, responses that can be read, and equal digests although the
 * two end their turns at different places and one of them restarts.
 *
 *     build/tests/fuzz/fuzz_commands [SEED [ROUNDS]] */
#include "common/base/bytes.h"
#include "common/base/rng.h"
#include "common/protocol/kv.h"
#include "common/protocol/limits.h"
#include "common/protocol/settings.h"
#include "common/protocol/value.h"
#include "common/store/store.h"
#include "learner/machine/machine.h"
#include "tests/fuzz/malloc_count.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT 7
#define TTL_MS 50000

/* What parsing one request may take: its operations, and the rules' own state. */
#define PARSE_BYTES_MAX (1 * MIB)

struct node {
    struct store *store;
    struct store_reader reader;
    struct machine *machine;
    struct effects fx;
};

static struct {
    struct rng rng;
    struct node nodes[2];
    slot_t slot;
    uint64_t now_ms, session, next_seq, openings;
    int is_counting; /* of the two machines one is listened to */
    uint64_t parsed, refused, applied;
    uint64_t statuses[RESULT_CHANGED + 1];
    uint64_t query_statuses[RESULT_CHANGED + 1];
    uint64_t settings_parsed, settings_refused, lines;
    uint64_t pages, split_pages;
    size_t peak;
} run;

static _Noreturn void fail(const char *what, struct slice bytes)
{
    printf("# %s:", what);
    for (size_t i = 0; i < bytes.size && i < 4096; i++) {
        printf("%s%02x", i % 32 == 0 ? "\n# " : "", bytes.data[i]);
    }
    printf("\nnot ok 1 - %s\n1..1\n", what);
    fflush(stdout);
    abort();
}

static uint64_t below(uint64_t bound)
{
    return rng_below(&run.rng, bound);
}

static int chance(uint64_t of)
{
    return below(of) == 0;
}

/* ---- making */

/* Few keys, so that they meet; now and then a long one. */
static struct slice some_key(uint8_t *bytes)
{
    static const uint8_t alphabet[] = {'a', 'b', 0, 0xff};
    size_t size = chance(500) ? KEY_BYTES_MAX - below(3) : below(4) + !chance(40);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = alphabet[below(sizeof alphabet)];
    }
    return slice_borrow(bytes, size);
}

static struct slice some_end(uint8_t *bytes)
{
    if (chance(2)) {
        return SLICE_EMPTY;
    }
    if (chance(3)) {
        bytes[0] = 0;
        return slice_borrow(bytes, 1);
    }
    return some_key(bytes);
}

static uint64_t some_number(void)
{
    uint64_t revision = machine_revision(run.nodes[0].machine);
    switch (below(6)) {
    case 0:
        return below(4);
    case 1:
        return revision - below(revision < 20 ? revision : 20);
    case 2:
        return revision + below(3);
    case 3:
        return chance(10) ? rng_next(&run.rng) : 0;
    default:
        return 0;
    }
}

static struct slice some_value(uint8_t *bytes)
{
    size_t size = chance(2000) ? 400 * KIB : below(8);
    memset(bytes, 'v', size);
    return slice_borrow(bytes, size);
}

static void make_request(struct buffer *out, int depth);

static void make_list(struct buffer *out, int depth)
{
    for (uint64_t i = below(4); i > 0; i--) {
        make_request(out, depth + 1);
    }
}

static void make_compare(struct buffer *out)
{
    uint8_t key[KEY_BYTES_MAX];
    uint8_t end[KEY_BYTES_MAX];
    struct kv_compare compare = {.target = (enum kv_target)(1 + below(5)),
                                 .relation = (enum kv_relation)below(4),
                                 .key = some_key(key),
                                 .end = chance(3) ? some_end(end) : SLICE_EMPTY};
    if (compare.target == KV_TARGET_VALUE) {
        compare.value = slice_borrow("vvv", below(3));
    } else {
        compare.number = some_number();
    }
    kv_put_compare(out, &compare);
}

static struct kv_request make_txn(struct buffer *parts, int depth)
{
    struct kv_request request = {.op = KV_TXN};
    for (uint64_t i = below(3); i > 0; i--) {
        make_compare(parts);
    }
    size_t compares = parts->size;
    make_list(parts, depth);
    size_t then_ = parts->size - compares;
    make_list(parts, depth);
    request.txn.compares = slice_borrow(parts->data, compares);
    request.txn.then_ = slice_borrow(parts->data + compares, then_);
    request.txn.else_ =
        slice_borrow(parts->data + compares + then_, parts->size - compares - then_);
    return request;
}

static struct kv_range make_range(uint8_t *key, uint8_t *end)
{
    struct kv_range range = {.flags = chance(3) ? (uint32_t)below(8) : 0,
                             .order = (enum kv_order)below(3),
                             .target = (enum kv_target)below(5),
                             .limit = chance(2) ? below(4) : 0,
                             .revision = some_number(),
                             .key = some_key(key),
                             .end = some_end(end)};
    if (chance(4)) {
        range.min_mod = some_number();
        range.max_create = some_number();
    }
    return range;
}

static void make_request(struct buffer *out, int depth)
{
    static uint8_t value[400 * KIB];
    uint8_t key[KEY_BYTES_MAX];
    uint8_t end[KEY_BYTES_MAX];
    struct buffer parts = {0};
    struct kv_request request = {.op = KV_RANGE};
    uint64_t kind = below(10);
    if (kind < 4) {
        request.op = KV_PUT;
        request.put = (struct kv_put){.flags = chance(4) ? (uint32_t)below(16) : 0,
                                      .lease = chance(3) ? below(12) : 0,
                                      .key = some_key(key),
                                      .value = some_value(value)};
    } else if (kind < 6) {
        request.op = KV_DELETE;
        request.delete_ = (struct kv_delete){
            .flags = (uint32_t)below(2), .key = some_key(key), .end = some_end(end)};
    } else if (kind < 8 || depth > TXN_DEPTH_MAX) {
        request.range = make_range(key, end);
    } else {
        request = make_txn(&parts, depth);
    }
    kv_put_request(out, &request);
    buffer_close(&parts);
}

static void some_zone(char *zone)
{
    size_t size = chance(2) ? 0 : below(ZONE_BYTES_MAX);
    memset(zone, 'z', size);
    zone[size] = '\0';
}

/* Well-formed, from nothing said to as much as there can be. */
static void make_settings(struct buffer *out)
{
    static struct settings settings;
    settings_init(&settings);
    settings.kind = (enum oracle_kind)(1 + below(ORACLE_KIND_END - 1));
    settings.preempts = chance(2);
    some_zone(settings.zone);
    settings.diameter = (uint32_t)below(MEMBERS_MAX);
    uint64_t bound = chance(10) ? MEMBERS_MAX + 1 : 4;
    settings.candidate_count = below(bound);
    for (size_t i = 0; i < settings.candidate_count; i++) {
        settings.candidates[i].id = (node_id_t)(3 * i + 1);
        settings.candidates[i].priority = (uint32_t)below(UINT32_MAX);
        settings.candidates[i].is_barred = chance(3);
        some_zone(settings.candidates[i].zone);
    }
    settings.order_count = below(bound);
    for (size_t i = 0; i < settings.order_count; i++) {
        settings.order[i] = (node_id_t)(100 - i);
    }
    for (node_id_t a = 1; a < bound; a++) {
        for (node_id_t b = a + 1; b < bound; b++) {
            settings.edges[settings.edge_count++] = (struct edge){a, b};
        }
    }
    settings.edge_count = below(settings.edge_count + 1);
    settings_put(buffer_extend(out, SETTINGS_BYTES_MAX), &settings);
    uint8_t bytes[SETTINGS_BYTES_MAX];
    out->size -= SETTINGS_BYTES_MAX - settings_put(bytes, &settings);
}

static enum command_op make_payload(struct buffer *out)
{
    uint64_t kind = below(40);
    if (kind == 0) {
        buffer_put_u64(out, some_number());
        return COMMAND_COMPACT;
    }
    if (kind < 4) {
        buffer_put_u64(out, chance(2) ? 0 : below(12));
        buffer_put_u64(out, 1 + below(3000));
        buffer_put_u8(out, (uint8_t)below(2));
        return COMMAND_LEASE_GRANT;
    }
    if (kind < 6) {
        buffer_put_u64(out, below(12));
        return COMMAND_LEASE_REVOKE;
    }
    if (kind < 8) {
        for (uint64_t i = 1 + below(4); i > 0; i--) {
            buffer_put_u64(out, below(12));
        }
        return COMMAND_LEASE_KEEPALIVE;
    }
    if (kind == 8) {
        buffer_put_u64(out, machine_oracle(run.nodes[0].machine)->version + (chance(4) ? 1 : 0));
        make_settings(out);
        return COMMAND_SETTINGS;
    }
    if (kind < 11) {
        return chance(20) ? COMMAND_CLOSE_SESSION : COMMAND_APPEND;
    }
    make_request(out, 0);
    return COMMAND_KV;
}

static void make_block(struct buffer *out)
{
    struct block block = {.session = run.session,
                          .client = CLIENT,
                          .first_seq = run.next_seq - below(run.next_seq < 3 ? run.next_seq : 3),
                          .count = (uint32_t)(1 + below(4))};
    block.acked_seq = chance(2) && block.first_seq > 4 ? block.first_seq - 1 - below(4) : 0;
    buffer_extend(out, BLOCK_HEAD_BYTES);
    for (uint32_t i = 0; i < block.count; i++) {
        struct buffer payload = {0};
        enum command_op op = make_payload(&payload);
        command_put_head(buffer_extend(out, COMMAND_HEAD_BYTES), op, (uint32_t)payload.size);
        buffer_put(out, buffer_slice(&payload));
        buffer_close(&payload);
    }
    block_put_head(out->data, &block, (uint32_t)(out->size - BLOCK_HEAD_BYTES));
}

/* The last opening again, or the next one; of a session that lives, or that never was. */
static void make_open(struct buffer *out)
{
    run.openings += run.openings == 0 || !chance(3);
    block_put_open(buffer_extend(out, OPEN_BLOCK_BYTES), CLIENT, run.openings, TTL_MS,
                   chance(2) ? run.session : below(12));
}

/* A few bytes change, or go, or come twice. */
static void mutate(struct buffer *bytes)
{
    for (uint64_t i = 1 + below(3); i > 0 && bytes->size > 0; i--) {
        size_t at = (size_t)below(bytes->size);
        switch (below(4)) {
        case 0:
            bytes->data[at] ^= (uint8_t)(1U << below(8));
            break;
        case 1:
            bytes->data[at] = (uint8_t)below(256);
            break;
        case 2:
            memmove(bytes->data + at, bytes->data + at + 1, bytes->size - at - 1);
            bytes->size--;
            break;
        default:
            buffer_put_u8(bytes, 0);
            memmove(bytes->data + at + 1, bytes->data + at, bytes->size - at - 1);
            break;
        }
    }
}

/* ---- judging */

/* Reads a whole response, the nested ones, too. */
static void check_response(struct slice bytes)
{
    struct slice stack[TXN_DEPTH_MAX + 2] = {bytes};
    int depth = 1;
    while (depth > 0) {
        struct kv_response response;
        int rc = kv_next_response(&stack[depth - 1], &response);
        if (rc < 0) {
            fail("a response cannot be read", bytes);
        }
        if (rc == 0) {
            depth--;
            continue;
        }
        if (response.op == KV_TXN) {
            stack[depth++] = response.items;
            continue;
        }
        struct kv kv;
        uint32_t count = 0;
        while ((rc = kv_next(&response.items, &kv)) == 1) {
            count++;
        }
        if (rc < 0 || count != response.item_count) {
            fail("a response has other kvs than it says", bytes);
        }
    }
}

static void note_outcome(void *arg, const struct outcome *outcome)
{
    const struct result_range *range = &outcome->range;
    (void)arg;
    if (!run.is_counting) {
        return;
    }
    run.statuses[range->status]++;
    if (range->status == RESULT_UNKNOWN_SESSION) {
        run.session = 0;
    } else if (range->status == RESULT_GAP) {
        run.next_seq = range->sequence;
    } else if (outcome->session == 0) {
        run.next_seq = range->value == run.session ? run.next_seq : 1;
        run.session = range->value;
    } else if (range->sequence + range->count > run.next_seq) {
        run.next_seq = range->sequence + range->count;
    }
    if (range->body.size > 0 && range->body.size % 8 != 0) { /* else perhaps of a keepalive */
        check_response(range->body);
    }
}

static void check_fatal(const struct node *node, struct slice bytes)
{
    if (node->fx.fatal != 0) {
        printf("# %s\n", node->fx.fatal_text.text);
        fail("the machine ends itself", bytes);
    }
}

static void end_turn(struct node *node, int sweeps)
{
    if (sweeps) {
        machine_sweep(node->machine, machine_compacted(node->machine), &node->fx);
    }
    machine_store(node->machine, &node->fx);
    if (store_write(node->store, node->fx.records, node->fx.record_count, 0, NULL) != 0) {
        abort();
    }
    effects_clear(&node->fx);
    machine_written(node->machine);
}

static void open_node(struct node *node)
{
    node->store = store_open_memory();
    node->reader = store_reader(node->store);
    node->machine = machine_new(&node->reader);
    effects_init(&node->fx);
}

static void restart(struct node *node)
{
    end_turn(node, 0);
    machine_free(node->machine);
    node->machine = machine_new(&node->reader);
    machine_load(node->machine, &node->fx);
    check_fatal(node, SLICE_EMPTY);
}

static void close_node(struct node *node)
{
    machine_free(node->machine);
    effects_close(&node->fx);
    store_close(node->store);
}

static void apply_value(struct blob *value, struct slice block)
{
    run.slot++;
    for (int i = 0; i < 2; i++) {
        struct node *node = &run.nodes[i];
        run.is_counting = i == 0;
        machine_apply(node->machine, run.slot, slice_of(value), note_outcome, NULL, &node->fx);
        check_fatal(node, block);
    }
    blob_unref(value);
    run.applied++;
    if (machine_digest(run.nodes[0].machine) != machine_digest(run.nodes[1].machine)) {
        fail("two machines differ", block);
    }
    if (chance(5)) {
        end_turn(&run.nodes[0], chance(2));
    }
    end_turn(&run.nodes[1], 1);
    if (chance(500)) {
        restart(&run.nodes[1]);
    }
}

static void apply(struct slice block)
{
    run.now_ms += chance(20) ? below(400) : 0;
    apply_value(value_batch(run.now_ms, &block, 1), block);
}

/* A line of successors, or bytes that almost are one. */
static void try_line(void)
{
    struct place places[MEMBERS_MAX];
    size_t count = 1 + (size_t)below(chance(5) ? MEMBERS_MAX : 3);
    for (size_t i = 0; i < count; i++) {
        places[i] = (struct place){.proposer = (node_id_t)(1 + below(40))};
        places[i].incarnation = 1 + below(2);
    }
    struct blob *line = value_line(run.now_ms, places, count);
    struct buffer bytes = {0};
    buffer_put(&bytes, slice_of(line));
    if (chance(2)) {
        mutate(&bytes);
    }
    struct value value;
    if (bytes.size > 0 && bytes.data[0] == VALUE_LINE &&
        value_parse(buffer_slice(&bytes), &value) == 0 && value.stamp_ms < run.now_ms + 400) {
        run.now_ms = value.stamp_ms > run.now_ms ? value.stamp_ms : run.now_ms;
        apply_value(blob_copy(bytes.data, bytes.size), SLICE_EMPTY);
        run.lines++;
    }
    blob_unref(line);
    buffer_close(&bytes);
}

/* What parses is written as the very same bytes; what does not is named. */
static void try_settings(void)
{
    static struct settings settings;
    struct buffer bytes = {0};
    make_settings(&bytes);
    if (!chance(4)) {
        mutate(&bytes);
    }
    struct errmsg err = {""};
    if (settings_parse(buffer_slice(&bytes), &settings, &err) == 0) {
        uint8_t again[SETTINGS_BYTES_MAX];
        size_t size = settings_put(again, &settings);
        if (!slice_equal(buffer_slice(&bytes), slice_borrow(again, size))) {
            fail("settings have two encodings", buffer_slice(&bytes));
        }
        run.settings_parsed++;
    } else {
        if (err.text[0] == '\0') {
            fail("a refusal says nothing", buffer_slice(&bytes));
        }
        run.settings_refused++;
    }
    buffer_close(&bytes);
}

static void try_block(struct slice bytes)
{
    struct block block;
    struct errmsg err = {""};
    if (block_parse(bytes, &block, &err) == 0) {
        run.parsed++;
        apply(bytes);
    } else if (err.text[0] == '\0') {
        fail("a refusal says nothing", bytes);
    } else {
        run.refused++;
    }
}

static void try_request(struct slice bytes)
{
    struct kv_request request;
    struct errmsg err = {""};
    memory_peak = memory_used;
    size_t before = memory_used;
    int rc = kv_request_parse(bytes, &request, &err);
    size_t took = memory_peak - before;
    run.peak = took > run.peak ? took : run.peak;
    if (took > PARSE_BYTES_MAX) {
        fail("parsing takes too much memory", bytes);
    }
    if (memory_used != before) {
        fail("parsing keeps memory", bytes);
    }
    if ((rc == 0) != (err.text[0] == '\0')) {
        fail("a refusal says nothing", bytes);
    }
}

static void try_query(struct slice bytes)
{
    struct node *node = &run.nodes[below(2)];
    struct query_answer answer;
    enum query_op op = chance(8) ? (enum query_op)below(QUERY_KV_CONTINUED + 2) : QUERY_KV;
    bytes = op == QUERY_SETTINGS && chance(2) ? SLICE_EMPTY : bytes;
    machine_query(node->machine, op, bytes, below(1000), &answer, &node->fx);
    check_fatal(node, bytes);
    run.query_statuses[answer.status]++;
    if ((op == QUERY_KV || op == QUERY_KV_CONTINUED) && answer.status == RESULT_OK) {
        check_response(answer.body);
    }
}

static void try_watch(void)
{
    uint8_t key[KEY_BYTES_MAX];
    uint8_t end[KEY_BYTES_MAX];
    struct node *node = &run.nodes[below(2)];
    struct msg_watch watch = {.revision = some_number(),
                              .sub = (uint32_t)below(3),
                              .flags = (uint32_t)below(2 * WATCH_CONTINUED),
                              .bytes_max = (uint32_t)below(300),
                              .key = some_key(key),
                              .end = some_end(end)};
    struct events_page page;
    machine_events(node->machine, &watch, &page, &node->fx);
    check_fatal(node, SLICE_EMPTY);
    struct slice rest = page.events;
    struct kv_event event;
    uint32_t count = 0;
    while (kv_next_event(&rest, &event) == 1) {
        int is_before = event.kv.mod < page.next_revision ||
                        (event.kv.mod == page.next_revision && event.sub < page.next_sub);
        if (!is_before || event.kv.mod < watch.revision) {
            fail("an event lies outside of its page", page.events);
        }
        count++;
    }
    if (rest.size != 0 || count != page.count) {
        fail("a page cannot be read", page.events);
    }
    run.pages++;
    run.split_pages += page.next_sub > 0;
}

/* As many operations as a request has room for: refused, in bounded memory. */
static void try_huge(void)
{
    struct buffer bytes = {0};
    struct buffer puts = {0};
    while (puts.size < KV_REQUEST_BYTES_MAX - 100) {
        struct kv_request put = {.op = KV_PUT, .put = {.key = slice_borrow("k", 1)}};
        kv_put_request(&puts, &put);
    }
    struct kv_request request = {.op = KV_TXN, .txn = {.then_ = buffer_slice(&puts)}};
    kv_put_request(&bytes, &request);
    try_request(buffer_slice(&bytes));
    buffer_close(&bytes);
    buffer_close(&puts);
}

static void round_once(void)
{
    struct buffer bytes = {0};
    if (run.session == 0 || chance(50)) {
        make_open(&bytes);
        apply(buffer_slice(&bytes));
        bytes.size = 0;
    }
    make_block(&bytes);
    if (chance(3)) {
        mutate(&bytes);
    }
    try_block(buffer_slice(&bytes));
    bytes.size = 0;
    make_request(&bytes, 0);
    if (chance(2)) {
        mutate(&bytes);
    }
    try_request(buffer_slice(&bytes));
    if (chance(2)) {
        try_query(buffer_slice(&bytes));
    }
    if (chance(4)) {
        try_watch();
    }
    if (chance(4)) {
        try_line();
        try_settings();
    }
    buffer_close(&bytes);
}

/* ---- verdict */

static int verdict(int number, int is_ok, const char *what)
{
    printf("%sok %d - %s\n", is_ok ? "" : "not ", number, what);
    return !is_ok;
}

static int report(void)
{
    const uint64_t *seen = run.statuses;
    printf(
        "# %llu blocks taken, %llu refused; revision %llu, compacted %llu; %llu pages, %llu split; "
        "parsing took %zu bytes at most\n",
        (unsigned long long)run.parsed, (unsigned long long)run.refused,
        (unsigned long long)machine_revision(run.nodes[0].machine),
        (unsigned long long)machine_compacted(run.nodes[0].machine), (unsigned long long)run.pages,
        (unsigned long long)run.split_pages, run.peak);
    printf("# results by status:");
    for (int i = 0; i <= RESULT_CHANGED; i++) {
        printf(" %llu/%llu", (unsigned long long)seen[i],
               (unsigned long long)run.query_statuses[i]);
    }
    printf("\n");
    int failed = verdict(1, 1, "no command crashes or ends a machine, and two stay equal");
    failed += verdict(2, run.refused * 20 > run.parsed && run.parsed > run.refused,
                      "blocks are taken and refused");
    failed += verdict(3,
                      seen[RESULT_OK] && seen[RESULT_COMPACTED] && seen[RESULT_FUTURE] &&
                          seen[RESULT_LEASE_NOT_FOUND] && seen[RESULT_LEASE_EXISTS] &&
                          seen[RESULT_KEY_NOT_FOUND] && seen[RESULT_FORGOTTEN] &&
                          seen[RESULT_UNKNOWN_SESSION] && seen[RESULT_CHANGED] &&
                          run.query_statuses[RESULT_MALFORMED],
                      "each status is met");
    failed += verdict(4, run.pages > 0 && run.split_pages > 0, "pages of watches are split");
    const struct machine_oracle *oracle = machine_oracle(run.nodes[0].machine);
    printf("# settings: %llu parsed, %llu refused, version %llu; %llu lines, %zu in the last\n",
           (unsigned long long)run.settings_parsed, (unsigned long long)run.settings_refused,
           (unsigned long long)oracle->version, (unsigned long long)run.lines, oracle->line_count);
    failed +=
        verdict(5,
                run.settings_parsed * 4 > run.settings_refused && run.settings_refused > 100 &&
                    oracle->version > 20 && oracle->line_count > 0 && run.lines > 100,
                "settings and lines are taken and refused");
    printf("1..5\n");
    return failed;
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    uint64_t rounds = argc > 2 ? strtoull(argv[2], NULL, 0) : 60000;
    printf("# seed %llu, %llu rounds; memory %s\n", (unsigned long long)seed,
           (unsigned long long)rounds,
           COUNTS_MEMORY ? "counted" : "not counted under this sanitizer");
    rng_init(&run.rng, seed);
    run.next_seq = 1;
    open_node(&run.nodes[0]);
    open_node(&run.nodes[1]);
    try_huge();
    for (uint64_t i = 0; i < rounds; i++) {
        round_once();
    }
    int failed = report();
    close_node(&run.nodes[0]);
    close_node(&run.nodes[1]);
    return failed != 0;
}
