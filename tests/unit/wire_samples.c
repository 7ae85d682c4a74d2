#include "tests/unit/wire_samples.h"

#include "common/protocol/kv.h"
#include "common/protocol/settings.h"
#include "common/protocol/value.h"
#include "common/wire/layout.h"

#include <string.h>

const struct wire_context sample_context = {.cluster_id = 0x6b1f0c9e2a7d4e55, .config_number = 1};

#define SAMPLES_MAX 96

static struct wire_sample samples[SAMPLES_MAX];
static size_t sample_count;

/* ---- who speaks */

#define PROPOSER_INCARNATION 0x1122334455667788
#define ACCEPTOR_INCARNATION 0xa1a2a3a4a5a6a7a8
#define LEARNER_INCARNATION 0xe1e2e3e4e5e6e7e8
#define CLIENT_NONCE 0xc1c2c3c4c5c6c7c8

static const struct peer proposer = {ROLE_PROPOSER, 1};
static const struct peer acceptor = {ROLE_ACCEPTOR, 2};
static const struct peer learner = {ROLE_LEARNER, 1};
static const struct peer client = {ROLE_CLIENT, CLIENT_NONCE};
static const struct ballot ballot = {7, 1, PROPOSER_INCARNATION};
static const struct ballot older = {5, 2, 0x99};

/* ---- what slots hold */

enum {
    NOOP,
    LEAD,
    APPEND,
    TWO_BLOCKS,
    BLOCK_OPEN,
    BLOCK_OPEN_AGAIN,
    BLOCK_APPEND,
    BLOCK_CLOSE,
    BLOCK_TXN,
    BLOCK_GRANT,
    LINE,
    BLOCK_SETTINGS,
    VALUE_COUNT
};

static struct value_sample values[VALUE_COUNT];

/* A block with up to two commands. The first one has a payload, the second, if any, is a close. */
static struct blob *make_block(struct block head, enum command_op op, const void *payload,
                               size_t payload_size, int closes)
{
    size_t size = 2 * COMMAND_HEAD_BYTES + payload_size;
    size -= closes ? 0 : COMMAND_HEAD_BYTES;
    uint8_t *p;
    struct blob *blob = blob_new(BLOCK_HEAD_BYTES + size, &p);
    block_put_head(p, &head, (uint32_t)size);
    p += BLOCK_HEAD_BYTES;
    command_put_head(p, op, (uint32_t)payload_size);
    memcpy(p + COMMAND_HEAD_BYTES, payload, payload_size);
    if (closes) {
        command_put_head(p + COMMAND_HEAD_BYTES + payload_size, COMMAND_CLOSE_SESSION, 0);
    }
    return blob;
}

/* ---- requests on keys */

static const struct kv put_hello = {.create = 7,
                                    .mod = 9,
                                    .version = 2,
                                    .lease = 3,
                                    .key = {(const uint8_t *)"k", 1, NULL},
                                    .value = {(const uint8_t *)"hello", 5, NULL}};

static struct slice take(struct buffer *buffer)
{
    struct slice kept = slice_of(blob_copy(buffer->data, buffer->size)); /* until the end */
    buffer_close(buffer);
    return kept;
}

static struct slice range_request(void)
{
    struct buffer buffer = {0};
    struct kv_request request = {.op = KV_RANGE};
    request.range =
        (struct kv_range){.limit = 10, .key = slice_borrow("k", 1), .end = slice_borrow("l", 1)};
    kv_put_request(&buffer, &request);
    return take(&buffer);
}

/* If "k" does not exist it is put under lease 3, else it is read. */
static struct slice txn_request(void)
{
    struct buffer compares = {0};
    struct buffer put = {0};
    struct buffer range = {0};
    struct buffer buffer = {0};
    kv_put_compare(&compares, &(struct kv_compare){.target = KV_TARGET_CREATE,
                                                   .relation = KV_EQUAL,
                                                   .key = put_hello.key});
    struct kv_request request = {.op = KV_PUT};
    request.put = (struct kv_put){.lease = 3, .key = put_hello.key, .value = put_hello.value};
    kv_put_request(&put, &request);
    request = (struct kv_request){.op = KV_RANGE};
    request.range.key = put_hello.key;
    kv_put_request(&range, &request);
    request = (struct kv_request){.op = KV_TXN};
    request.txn =
        (struct kv_txn){buffer_slice(&compares), buffer_slice(&put), buffer_slice(&range)};
    kv_put_request(&buffer, &request);
    buffer_close(&compares);
    buffer_close(&put);
    buffer_close(&range);
    return take(&buffer);
}

static struct slice range_response(void)
{
    struct buffer buffer = {0};
    size_t mark = kv_begin_response(&buffer, KV_RANGE);
    buffer_put_u64(&buffer, 1);
    buffer_put_u8(&buffer, 0);
    buffer_put_u32(&buffer, 1);
    kv_put_kv(&buffer, &put_hello);
    kv_end_response(&buffer, mark);
    return take(&buffer);
}

static struct slice put_response(void)
{
    struct buffer buffer = {0};
    size_t mark = kv_begin_response(&buffer, KV_PUT);
    buffer_put_u8(&buffer, 0);
    buffer_put_u32(&buffer, 0);
    kv_end_response(&buffer, mark);
    return take(&buffer);
}

static struct slice one_event(void)
{
    struct buffer buffer = {0};
    kv_put_event(&buffer, &(struct kv_event){.kind = KV_EVENT_PUT, .kv = put_hello});
    return take(&buffer);
}

/* ---- settings of oracles */

static struct slice some_settings(void)
{
    static uint8_t bytes[SETTINGS_BYTES_MAX];
    struct settings settings;
    settings_init(&settings);
    settings.kind = ORACLE_RING;
    settings.preempts = 1;
    memcpy(settings.zone, "east", sizeof "east");
    settings.diameter = 2;
    settings.candidate_count = 2;
    settings.candidates[0] = (struct candidate_settings){.id = 1, .priority = 100, .zone = "east"};
    settings.candidates[1] = (struct candidate_settings){.id = 2, .is_barred = 1};
    settings.order_count = 2;
    settings.order[0] = 3;
    settings.order[1] = 1;
    settings.edge_count = 2;
    settings.edges[0] = (struct edge){1, 2};
    settings.edges[1] = (struct edge){2, 3};
    return slice_borrow(bytes, settings_put(bytes, &settings));
}

/* Changes the settings that were changed once. */
static struct slice settings_payload(void)
{
    struct buffer buffer = {0};
    buffer_put_u64(&buffer, 1);
    buffer_put(&buffer, some_settings());
    return take(&buffer);
}

static void set_value(int which, const char *name, const char *text, struct blob *blob)
{
    values[which] = (struct value_sample){name, text, slice_of(blob)};
}

const struct value_sample *value_samples(size_t *count)
{
    if (values[NOOP].name == NULL) {
        const uint8_t open[OPEN_PAYLOAD_BYTES] = {[2] = 0xea, [3] = 0x60};
        set_value(BLOCK_OPEN, "block-open",
                  "client c1c2c3c4c5c6c7c8, in its first opening, opens a session that survives "
                  "60,000 ms of silence",
                  make_block((struct block){0, CLIENT_NONCE, 1, 0, 1, SLICE_EMPTY},
                             COMMAND_OPEN_SESSION, open, sizeof open, 0));
        const uint8_t again[OPEN_PAYLOAD_BYTES] = {[2] = 0xea, [3] = 0x60, [11] = 3};
        set_value(BLOCK_OPEN_AGAIN, "block-open-again",
                  "the same client, in its second opening, continues session 3 if it lives",
                  make_block((struct block){0, CLIENT_NONCE, 2, 0, 1, SLICE_EMPTY},
                             COMMAND_OPEN_SESSION, again, sizeof again, 0));
        set_value(BLOCK_APPEND, "block-append", "session 3 appends \"hello\" as its command 12",
                  make_block((struct block){3, CLIENT_NONCE, 12, 11, 1, SLICE_EMPTY},
                             COMMAND_APPEND, "hello", 5, 0));
        set_value(BLOCK_CLOSE, "block-append-close",
                  "session 3 appends an empty record as its command 13 and closes with command 14",
                  make_block((struct block){3, CLIENT_NONCE, 13, 12, 2, SLICE_EMPTY},
                             COMMAND_APPEND, "", 0, 1));
        struct slice txn = txn_request();
        set_value(BLOCK_TXN, "block-txn",
                  "session 3, as its command 15: if \"k\" does not exist it is put, else read",
                  make_block((struct block){3, CLIENT_NONCE, 15, 14, 1, SLICE_EMPTY}, COMMAND_KV,
                             txn.data, txn.size, 0));
        slice_drop(&txn);
        const uint8_t grant[17] = {[14] = 0x27, [15] = 0x10, [16] = LEASE_BOUND};
        set_value(BLOCK_GRANT, "block-grant",
                  "session 3, as its command 16, asks for a lease of 10,000 ms that ends with it",
                  make_block((struct block){3, CLIENT_NONCE, 16, 15, 1, SLICE_EMPTY},
                             COMMAND_LEASE_GRANT, grant, sizeof grant, 0));
        struct slice blocks[] = {values[BLOCK_APPEND].bytes, values[BLOCK_OPEN].bytes};
        set_value(NOOP, "value-noop", "a no-op at cluster time 1000 ms", value_noop(1000));
        set_value(LEAD, "value-lead", "proposer 1 announces at 1000 ms that it leads with round 7",
                  value_lead(1000, &ballot));
        set_value(APPEND, "value-batch", "a batch of the one block \"block-append\" at 1002 ms",
                  value_batch(1002, blocks, 1));
        set_value(TWO_BLOCKS, "value-batch-of-two",
                  "a batch of \"block-append\" and \"block-open\" at 1003 ms",
                  value_batch(1003, blocks, 2));
    }
    if (values[LINE].name == NULL) {
        const struct place places[] = {{.proposer = 1, .incarnation = PROPOSER_INCARNATION},
                                       {.proposer = 2, .incarnation = 0x99}};
        set_value(LINE, "value-line", "proposers 1 and 2 are registered as successors at 1004 ms",
                  value_line(1004, places, 2));
        struct slice payload = settings_payload();
        set_value(BLOCK_SETTINGS, "block-settings",
                  "session 3, as its command 17, changes version 1 of the settings of oracles",
                  make_block((struct block){3, CLIENT_NONCE, 17, 16, 1, SLICE_EMPTY},
                             COMMAND_SETTINGS, payload.data, payload.size, 0));
        slice_drop(&payload);
    }
    *count = VALUE_COUNT;
    return values;
}

/* ---- the messages */

static struct message *add(const char *name, enum message_kind kind, struct peer from,
                           const char *text)
{
    static const uint64_t incarnations[] = {
        [ROLE_ACCEPTOR] = ACCEPTOR_INCARNATION,
        [ROLE_PROPOSER] = PROPOSER_INCARNATION,
        [ROLE_LEARNER] = LEARNER_INCARNATION,
        [ROLE_CLIENT] = CLIENT_NONCE,
    };
    struct wire_sample *sample = &samples[sample_count++];
    *sample = (struct wire_sample){.name = name, .text = text};
    sample->msg.kind = kind;
    sample->msg.from = from;
    sample->msg.incarnation = incarnations[from.role];
    return &sample->msg;
}

static struct message *add_reply(const char *name, enum message_kind kind, struct peer from,
                                 uint64_t echo, const char *text)
{
    struct message *msg = add(name, kind, from, text);
    msg->echo = echo;
    return msg;
}

static void add_handshake(void)
{
    static const char why[] = "a frame of cluster 00000000deadbeef (this process belongs to "
                              "6b1f0c9e2a7d4e55); try: compare id and addresses in both "
                              "cluster.yml";
    add("hello", MSG_HELLO, proposer, "proposer 1 dials what it takes for acceptor 2")->hello =
        (struct msg_hello){1, 1, acceptor};
    add("hello-client", MSG_HELLO, client, "a client says hello and does not care to whom")->hello =
        (struct msg_hello){1, 3, {ROLE_NONE, 0}};
    add_reply("welcome", MSG_WELCOME, acceptor, PROPOSER_INCARNATION,
              "acceptor 2 welcomes proposer 1; both speak version 1")
        ->welcome = (struct msg_welcome){1};
    add_reply("refused", MSG_REFUSED, acceptor, PROPOSER_INCARNATION,
              "acceptor 2 will not take a frame of another cluster")
        ->refused = (struct msg_refused){REFUSED_CLUSTER, slice_borrow(why, sizeof why - 1)};
    add_reply("refused-later", MSG_REFUSED, acceptor, PROPOSER_INCARNATION,
              "a later release refuses for a reason that this one cannot name, without text")
        ->refused = (struct msg_refused){300, SLICE_EMPTY};
}

static void add_phase_1(void)
{
    static struct slot_entry entries[2];
    entries[0] = (struct slot_entry){41, older, values[APPEND].bytes};
    entries[1] = (struct slot_entry){43, older, values[NOOP].bytes};
    add("prepare", MSG_PREPARE, proposer, "proposer 1 asks for a promise at round 7")->prepare =
        (struct msg_prepare){ballot, 0};
    add("prepare-page", MSG_PREPARE, proposer, "the same, for the page from slot 300")->prepare =
        (struct msg_prepare){ballot, 300};
    add_reply("promise", MSG_PROMISE, acceptor, PROPOSER_INCARNATION,
              "acceptor 2 promises; above its watermark 40 it accepted slots 41 and 43 in round 5")
        ->promise = (struct msg_promise){.ballot = ballot,
                                         .chosen = 40,
                                         .accepted_max = 43,
                                         .stamp_ms = 1002,
                                         .entry_count = 2,
                                         .entries = entries};
    add_reply("promise-empty", MSG_PROMISE, acceptor, PROPOSER_INCARNATION,
              "an acceptor that accepted nothing yet promises")
        ->promise = (struct msg_promise){.ballot = ballot};
    add_reply("promise-page", MSG_PROMISE, acceptor, PROPOSER_INCARNATION,
              "the page from slot 41 on; another one follows from slot 44")
        ->promise = (struct msg_promise){.ballot = ballot,
                                         .from_slot = 41,
                                         .chosen = 40,
                                         .accepted_max = 900,
                                         .next_slot = 44,
                                         .stamp_ms = 70000,
                                         .entry_count = 2,
                                         .entries = entries};
}

static void add_phase_2(void)
{
    add("accept", MSG_ACCEPT, proposer, "proposer 1 proposes a batch for slot 44; 42 is committed")
        ->accept = (struct msg_accept){ballot, 44, 42, values[APPEND].bytes};
    add("accept-lead", MSG_ACCEPT, proposer, "the first slot of a new leader announces it")
        ->accept = (struct msg_accept){ballot, 1, 0, values[LEAD].bytes};
    add_reply("accepted", MSG_ACCEPTED, acceptor, PROPOSER_INCARNATION,
              "acceptor 2 has slots 44 to 47 on its disk")
        ->accepted = (struct msg_accepted){ballot, 44, 47};
    add_reply("nack", MSG_NACK, acceptor, PROPOSER_INCARNATION,
              "acceptor 2 refuses round 5: it has promised round 7")
        ->nack = (struct msg_nack){{5, 1, PROPOSER_INCARNATION}, {7, 2, 0x99}, NACK_BALLOT, 0};
    add_reply("nack-lease", MSG_NACK, acceptor, PROPOSER_INCARNATION,
              "acceptor 2 restarted without a promise and waits out leases for 480 ms more")
        ->nack = (struct msg_nack){ballot, BALLOT_NONE, NACK_LEASE, 480};
    add("commit", MSG_COMMIT, proposer, "everything up to slot 44 is chosen")->commit =
        (struct msg_commit){ballot, 44};
}

static void add_leadership(void)
{
    static struct proposer_report proposers[] = {{1, 12, 1, 2}, {2, UINT32_MAX, 0, 0}};
    add("heartbeat", MSG_HEARTBEAT, proposer, "the leader asks for a lease of 500 ms")->heartbeat =
        (struct msg_heartbeat){ballot, 1001, 44, 500, 1, 2};
    add("heartbeat-standby", MSG_HEARTBEAT, proposer, "a standby says that it is alive")
        ->heartbeat = (struct msg_heartbeat){BALLOT_NONE, 9, 0, 0, 1, 2};
    add_reply("report", MSG_REPORT, acceptor, PROPOSER_INCARNATION,
              "acceptor 2 heard the leader, proposer 1, 12 ms ago, and proposer 2 never")
        ->report = (struct msg_report){.sequence = 1001,
                                       .promised = ballot,
                                       .leader = ballot,
                                       .leader_silence_ms = 12,
                                       .lease_left_ms = 488,
                                       .chosen = 44,
                                       .accepted_max = 47,
                                       .disk_low = 1,
                                       .proposer_count = 2,
                                       .proposers = proposers};
    add_reply("report-fresh", MSG_REPORT, acceptor, PROPOSER_INCARNATION,
              "acceptor 2 has just started and heard nobody")
        ->report = (struct msg_report){.sequence = 1, .lease_left_ms = 500};
    add("release", MSG_RELEASE, proposer, "the leader hands over to proposer 2")->release =
        (struct msg_release){ballot, 2};
}

static void add_catching_up(void)
{
    static struct slot_entry entries[2];
    entries[0] = (struct slot_entry){41, older, values[APPEND].bytes};
    entries[1] = (struct slot_entry){42, ballot, values[LEAD].bytes};
    add("repair", MSG_REPAIR, proposer, "a laggard is to fetch up to slot 900 from acceptor 3")
        ->repair = (struct msg_repair){ballot, 900, 3};
    add("fetch", MSG_FETCH, learner, "learner 1 wants the slots from 41 on, a page of 1 MiB")
        ->fetch = (struct msg_fetch){41, 1048576};
    add_reply("chosen", MSG_CHOSEN, acceptor, LEARNER_INCARNATION,
              "acceptor 2 answers with slots 41 and 42, the last that it knows to be chosen")
        ->chosen = (struct msg_chosen){
        .from = 41, .chosen = 42, .trimmed = 0, .entry_count = 2, .entries = entries};
    add_reply("chosen-trimmed", MSG_CHOSEN, acceptor, LEARNER_INCARNATION,
              "slots up to 10,000 are gone")
        ->chosen = (struct msg_chosen){.from = 41, .chosen = 12345, .trimmed = 10000};
    add("read_index", MSG_READ_INDEX, learner, "learner 1 asks for the highest slot accepted")
        ->read_index = (struct msg_read_index){77};
    add_reply("read_index_reply", MSG_READ_INDEX_REPLY, acceptor, LEARNER_INCARNATION,
              "acceptor 2 accepted nothing above slot 47")
        ->read_index_reply = (struct msg_read_index_reply){77, 47};
}

/* Terms and an acceptor that leads, in place of rounds and a proposer. */
static const struct peer raft_leader = {ROLE_ACCEPTOR, 2};
static const struct peer raft_follower = {ROLE_ACCEPTOR, 3};
static const struct ballot term = {7, 2, ACCEPTOR_INCARNATION};
static const struct ballot older_term = {5, 3, 0x99};

static void add_elections(void)
{
    add("request_vote", MSG_REQUEST_VOTE, raft_leader,
        "acceptor 2, whose log ends with entry 43 of term 5, asks for votes in term 7")
        ->request_vote = (struct msg_request_vote){7, VOTE_REAL, 43, 5};
    add("request_vote-pre", MSG_REQUEST_VOTE, raft_leader,
        "it asks first whether it would get them; its log is empty")
        ->request_vote = (struct msg_request_vote){7, VOTE_PRE, 0, 0};
    add_reply("vote", MSG_VOTE, raft_leader, PROPOSER_INCARNATION, "acceptor 2 gives its vote")
        ->vote = (struct msg_vote){7, 7, VOTE_REAL, 1};
    add_reply("vote-refused", MSG_VOTE, raft_leader, PROPOSER_INCARNATION,
              "acceptor 2 is in term 9 already")
        ->vote = (struct msg_vote){9, 7, VOTE_PRE, 0};
    add("timeout_now", MSG_TIMEOUT_NOW, raft_leader, "acceptor 2 wants the receiver to lead")
        ->timeout_now = (struct msg_timeout_now){term};
    add("leading-acceptor", MSG_LEADING, raft_leader,
        "acceptor 2 tells the proposers that it leads")
        ->leading = (struct msg_leading){term};
}

static void add_replication(void)
{
    static struct slot_entry entries[2];
    entries[0] = (struct slot_entry){44, older_term, values[APPEND].bytes};
    entries[1] = (struct slot_entry){45, term, values[LEAD].bytes};
    add("append", MSG_APPEND, raft_leader,
        "behind entry 43 of term 5 come one more of that term and the first of term 7")
        ->append = (struct msg_append){.ballot = term,
                                       .sequence = 12,
                                       .prev_index = 43,
                                       .prev_term = 5,
                                       .commit = 42,
                                       .entry_count = 2,
                                       .entries = entries};
    add("append-heartbeat", MSG_APPEND, raft_leader, "acceptor 2 leads, and has nothing new")
        ->append = (struct msg_append){
        .ballot = term, .sequence = 13, .prev_index = 45, .prev_term = 7, .commit = 45};
    add_reply("appended", MSG_APPENDED, raft_follower, ACCEPTOR_INCARNATION,
              "acceptor 3 has everything up to entry 45 on its disk")
        ->appended = (struct msg_appended){
        .ballot = term, .term = 7, .sequence = 12, .match = 45, .last_index = 45};
    add_reply("appended-conflict", MSG_APPENDED, raft_follower, ACCEPTOR_INCARNATION,
              "acceptor 3 has another entry 43; at most up to 40, of term 4, the logs may agree")
        ->appended = (struct msg_appended){.ballot = term,
                                           .term = 7,
                                           .sequence = 12,
                                           .conflict = 1,
                                           .match = 40,
                                           .hint_term = 4,
                                           .last_index = 44};
    add("propose", MSG_PROPOSE, proposer,
        "proposer 1 hands its third batch to acceptor 2; the first is done with")
        ->propose = (struct msg_propose){term, 3, 2, values[APPEND].bytes};
    add_reply("proposed", MSG_PROPOSED, acceptor, PROPOSER_INCARNATION,
              "acceptor 2 has three batches in its log")
        ->proposed = (struct msg_proposed){term, 3, PROPOSED_TAKEN, term};
    add_reply("proposed-elsewhere", MSG_PROPOSED, acceptor, PROPOSER_INCARNATION,
              "acceptor 2 leads no more, and knows nobody who does")
        ->proposed = (struct msg_proposed){term, 4, PROPOSED_NOT_LEADING, BALLOT_NONE};
}

static void add_appending(void)
{
    static struct result_range opened[] = {{2, 1, RESULT_OK, 3, {NULL, 0, NULL}}};
    static struct result_range ranges[] = {{12, 2, RESULT_OK, 100001, {NULL, 0, NULL}},
                                           {14, 0, RESULT_GAP, 0, {NULL, 0, NULL}}};
    static struct result_range put[] = {{15, 1, RESULT_OK, 9, {NULL, 0, NULL}}};
    put[0].body = put_response();
    add("submit", MSG_SUBMIT, client, "session 3 appends \"hello\"")->submit =
        (struct msg_submit){values[BLOCK_APPEND].bytes};
    add("submit-malformed", MSG_SUBMIT, client,
        "bytes that are no block pass the wire: the proposer rejects them")
        ->submit = (struct msg_submit){slice_borrow("no block", 8)};
    add_reply("reject", MSG_REJECT, proposer, CLIENT_NONCE,
              "proposer 1 does not lead, but knows that proposer 2 does")
        ->reject = (struct msg_reject){REJECT_NOT_LEADER, 2, 3, 12};
    add("leading", MSG_LEADING, proposer, "proposer 1 leads with round 7")->leading =
        (struct msg_leading){ballot};
    add("result-open", MSG_RESULT, learner, "the session of the second opening has the id 3")
        ->result = (struct msg_result){0, 43, 1, opened};
    add("result", MSG_RESULT, learner,
        "commands 12 and 13 got indexes 100,001 and 100,002; command 14 has yet to come")
        ->result = (struct msg_result){3, 44, 2, ranges};
    add("result-put", MSG_RESULT, learner, "command 15, a put, made revision 9")->result =
        (struct msg_result){3, 45, 1, put};
}

static void add_keys(void)
{
    add("progress", MSG_PROGRESS, learner,
        "learner 1 has applied slot 130, tells its digest there, and that a lease is up at cluster "
        "time 71,000 ms")
        ->progress = (struct msg_progress){130, 0xd1d2d3d4d5d6d7d8, 71000};
    add("digest", MSG_DIGEST, proposer, "the leader passes on what learner 2 told")->digest =
        (struct msg_digest){2, 130, 0xd1d2d3d4d5d6d7d8};
    add("query", MSG_QUERY, client, "the first ten keys from \"k\" to before \"l\"")->query =
        (struct msg_query){81, QUERY_KV, READ_LINEARIZABLE, range_request()};
    add_reply("answer", MSG_ANSWER, learner, CLIENT_NONCE, "there is one, \"k\"")->answer =
        (struct msg_answer){81, RESULT_OK, 45, 9, range_response()};
    add("watch", MSG_WATCH, client,
        "what changes \"k\" from revision 9 on, waiting up to 10,000 ms for it")
        ->watch = (struct msg_watch){
        .request = 82, .revision = 9, .bytes_max = 1048576, .wait_ms = 10000, .key = put_hello.key};
    add("query-continued", MSG_QUERY, client, "the same as a later page of a range")->query =
        (struct msg_query){84, QUERY_KV_CONTINUED, READ_LOCAL, range_request()};
    add("watch-continued", MSG_WATCH, client, "a later page: from within revision 9 on")->watch =
        (struct msg_watch){.request = 85,
                           .revision = 9,
                           .sub = 2,
                           .flags = WATCH_CONTINUED,
                           .bytes_max = 1048576,
                           .wait_ms = 10000,
                           .key = put_hello.key};
    add_reply("events", MSG_EVENTS, learner, CLIENT_NONCE, "revision 9 put \"hello\" under \"k\"")
        ->events = (struct msg_events){.request = 82,
                                       .status = RESULT_OK,
                                       .revision = 9,
                                       .next_revision = 10,
                                       .events = one_event()};
}

static void add_reading(void)
{
    static struct slice records[3];
    static struct node_status nodes[2];
    records[0] = slice_borrow("hello", 5);
    records[1] = SLICE_EMPTY;
    records[2] = slice_borrow("\x00\xff", 2);
    nodes[0] = (struct node_status){.node = proposer,
                                    .state = NODE_LEADING,
                                    .ballot = ballot,
                                    .leader = 1,
                                    .chosen = 44,
                                    .accepted_max = 47,
                                    .pending_bytes = 70000};
    nodes[1] = (struct node_status){.node = acceptor,
                                    .state = NODE_VOTING,
                                    .silence_ms = 12,
                                    .ballot = ballot,
                                    .chosen = 44,
                                    .accepted_max = 47};
    add("read", MSG_READ, client,
        "up to 100 records from index 1 on, waiting 1000 ms for the first")
        ->read = (struct msg_read){78, 1, 100, 1048576, 1000, READ_LINEARIZABLE};
    add_reply("records", MSG_RECORDS, learner, CLIENT_NONCE,
              "three of three records: \"hello\", an empty one, and the bytes 00 ff")
        ->records = (struct msg_records){.request = 78,
                                         .status = READ_OK,
                                         .first = 1,
                                         .last = 3,
                                         .applied = 44,
                                         .from = 1,
                                         .record_count = 3,
                                         .records = records};
    add_reply("records-trimmed", MSG_RECORDS, learner, CLIENT_NONCE,
              "index 1 was trimmed; the oldest kept is 101")
        ->records = (struct msg_records){
        .request = 79, .status = READ_TRIMMED, .first = 101, .last = 300, .applied = 44, .from = 1};
    add("status", MSG_STATUS, client, "a client asks how things are")->status =
        (struct msg_status){80};
    add_reply("status_reply", MSG_STATUS_REPLY, proposer, CLIENT_NONCE,
              "proposer 1 leads; it heard acceptor 2 12 ms ago")
        ->status_reply = (struct msg_status_reply){80, 2, nodes};
}

static void add_oracles(void)
{
    static struct rumor rumors[] = {{1, RUMOR_ALIVE, 3, 100}, {2, RUMOR_SUSPECT, 1, 0}};
    static struct place line[] = {{2, 0x99, 40, 81002}, {1, PROPOSER_INCARNATION, 43, 81002}};
    add("oracle", MSG_ORACLE, proposer,
        "gossip: proposer 1 asks another one to probe proposer 2, and says what it has heard")
        ->oracle = (struct msg_oracle){.type = ORACLE_PING_REQUEST,
                                       .kind = ORACLE_GOSSIP,
                                       .version = 2,
                                       .round = 17,
                                       .subject = 2,
                                       .rumor_count = 2,
                                       .rumors = rumors};
    add("oracle-token", MSG_ORACLE, proposer,
        "candidate 2 goes round the ring, in election 5, two places so far")
        ->oracle = (struct msg_oracle){.type = ORACLE_TOKEN,
                                       .kind = ORACLE_RING,
                                       .round = 5,
                                       .subject = 2,
                                       .hops = 2,
                                       .weight = 100};
    add("lease", MSG_LEASE, proposer, "proposer 1 asks to be named for 1000 ms")->lease =
        (struct msg_lease){7, 1000};
    add_reply("leased", MSG_LEASED, acceptor, PROPOSER_INCARNATION, "proposer 1 has acceptor 2's")
        ->leased = (struct msg_leased){7, 1, 1, 1000};
    add_reply("leased-restarted", MSG_LEASED, acceptor, PROPOSER_INCARNATION,
              "acceptor 2 has restarted, and grants nothing for 420 ms")
        ->leased = (struct msg_leased){8, 0, 0, 420};
    add("settings", MSG_SETTINGS, learner,
        "learner 1 has applied slot 44; version 2 of the settings holds, and proposers 2 and 1 "
        "stand in line")
        ->settings = (struct msg_settings){44, 2, some_settings(), 2, line};
    add("settings-none", MSG_SETTINGS, learner, "nothing was ever set: cluster.yml holds")
        ->settings = (struct msg_settings){.applied = 44};
    add("query-settings", MSG_QUERY, client, "what the log says of oracles")->query =
        (struct msg_query){83, QUERY_SETTINGS, READ_LINEARIZABLE, SLICE_EMPTY};
}

static void add_operators(void)
{
    static struct explained_acceptor acceptors[2];
    static struct explained_link links[] = {{2, 1, 12, 1, 2}, {2, 2, UINT32_MAX, 0, 0}};
    static const char why[] = "the live proposer of highest rank that reaches a quorum";
    acceptors[0] = (struct explained_acceptor){.acceptor = 1, .silence_ms = UINT32_MAX};
    acceptors[1] = (struct explained_acceptor){2, 12, ballot, older, 730, 0, 44};
    add("name", MSG_NAME, client, "an oracle outside names proposer 2 for 3000 ms")->name =
        (struct msg_name){84, 2, 3000};
    add_reply("named", MSG_NAMED, proposer, CLIENT_NONCE, "taken; proposer 1 leads as yet")->named =
        (struct msg_named){84, NAME_TAKEN, 1};
    add("transfer", MSG_TRANSFER, client, "proposer 2 is to lead")->transfer =
        (struct msg_transfer){85, 2};
    add("transfer-raft", MSG_TRANSFER, proposer,
        "Raft mode: proposer 1 passes on that whoever is next is to lead")
        ->transfer = (struct msg_transfer){1, 0};
    add_reply("transferred", MSG_TRANSFERRED, proposer, CLIENT_NONCE,
              "proposer 1 leads, and begins to hand over")
        ->transferred = (struct msg_transferred){85, TRANSFER_BEGUN, 1};
    add_reply("transferred-raft", MSG_TRANSFERRED, acceptor, PROPOSER_INCARNATION,
              "Raft mode: acceptor 2 does not lead, and knows nobody who does")
        ->transferred = (struct msg_transferred){1, TRANSFER_NOT_LEADER, 0};
    add("explain", MSG_EXPLAIN, client, "a client asks why")->explain = (struct msg_explain){86};
    add_reply("explanation", MSG_EXPLANATION, proposer, CLIENT_NONCE,
              "proposer 1 does not campaign: only acceptor 2 answers it")
        ->explanation = (struct msg_explanation){.request = 86,
                                                 .state = NODE_STANDBY,
                                                 .gate = GATE_NO_QUORUM,
                                                 .ballot = ballot,
                                                 .leader = older,
                                                 .kind = ORACLE_CONNECTED,
                                                 .version = 2,
                                                 .named = 1,
                                                 .pause_ms = 250,
                                                 .attempts = 1,
                                                 .oracle = slice_borrow(why, sizeof why - 1),
                                                 .acceptor_count = 2,
                                                 .acceptors = acceptors,
                                                 .link_count = 2,
                                                 .links = links};
}

const struct wire_sample *wire_samples(size_t *count)
{
    if (sample_count == 0) {
        size_t value_count;
        (void)value_samples(&value_count);
        add_handshake();
        add_phase_1();
        add_phase_2();
        add_leadership();
        add_catching_up();
        add_elections();
        add_replication();
        add_appending();
        add_reading();
        add_keys();
        add_oracles();
        add_operators();
    }
    *count = sample_count;
    return samples;
}

/* ---- comparing */

static int plain_same(const struct field *field, const char *a, const char *b)
{
    const void *at_a = a + field->offset;
    const void *at_b = b + field->offset;
    switch (field->type) {
    case FIELD_U32:
        return memcmp(at_a, at_b, sizeof(uint32_t)) == 0;
    case FIELD_U64:
        return memcmp(at_a, at_b, sizeof(uint64_t)) == 0;
    case FIELD_BALLOT:
    case FIELD_BALLOT_OR_NONE:
        return ballot_equal(at_a, at_b);
    case FIELD_MEMBER:
    case FIELD_MEMBER_OR_NONE:
        return peer_equal(*(const struct peer *)at_a, *(const struct peer *)at_b);
    default:
        return slice_equal(*(const struct slice *)at_a, *(const struct slice *)at_b);
    }
}

static int list_same(const struct field *field, const char *a, const char *b)
{
    const struct list_layout *list = field->list;
    uint32_t count_a, count_b;
    const char *elements_a, *elements_b;
    memcpy(&count_a, a + list->count_offset, sizeof count_a);
    memcpy(&count_b, b + list->count_offset, sizeof count_b);
    memcpy(&elements_a, a + field->offset, sizeof elements_a);
    memcpy(&elements_b, b + field->offset, sizeof elements_b);
    if (count_a != count_b) {
        return 0;
    }
    for (size_t i = 0; i < count_a * list->field_count; i++) {
        size_t offset = i / list->field_count * list->element_size;
        if (!plain_same(&list->fields[i % list->field_count], elements_a + offset,
                        elements_b + offset)) {
            return 0;
        }
    }
    return 1;
}

int wire_same(const struct message *a, const struct message *b)
{
    if (a->kind != b->kind || !peer_equal(a->from, b->from) || a->incarnation != b->incarnation ||
        a->echo != b->echo) {
        return 0;
    }
    const struct layout *layout = layout_of((uint64_t)a->kind);
    for (size_t k = 0; k < layout->field_count; k++) {
        const struct field *field = &layout->fields[k];
        const char *body_a = (const char *)&a->hello;
        const char *body_b = (const char *)&b->hello;
        if (field->type == FIELD_LIST ? !list_same(field, body_a, body_b)
                                      : !plain_same(field, body_a, body_b)) {
            return 0;
        }
    }
    return 1;
}
