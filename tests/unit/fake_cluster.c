#include "tests/unit/fake_cluster.h"

#include "common/base/bytes.h"
#include "common/base/memory.h"
#include "common/protocol/kv.h"
#include "common/protocol/value.h"
#include "tests/unit/fake_leading.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- sending */

void fake_send(struct fake_node *node, struct peer to, struct message *msg)
{
    msg->from = node->peer;
    msg->incarnation = node->incarnation;
    msg->echo = to.id;
    uint8_t *data;
    size_t size;
    if (wire_encode(&node->wire, msg, &data, &size) != 0) {
        fprintf(stderr, "fake: a %s does not encode\n", message_kind_name(msg->kind));
        return;
    }
    struct frame *frame = frame_new(data, size);
    (void)!net_send(node->net, to, frame);
    frame_unref(frame);
}

static void send_range(struct fake *f, uint64_t session, uint64_t nonce, struct result_range range)
{
    if (f->drop_result_count > 0) {
        f->drop_result_count--;
        return;
    }
    for (size_t i = f->proposer_count; i < f->proposer_count + f->learner_count; i++) {
        struct fake_node *node = &f->nodes[i];
        for (size_t c = 0; c < node->client_count; c++) {
            if (node->clients[c].id != nonce || node->net == NULL || node->is_silent) {
                continue;
            }
            for (int twice = 0; twice <= f->is_results_doubled; twice++) {
                struct message msg = {.kind = MSG_RESULT};
                msg.result = (struct msg_result){session, f->last, 1, &range};
                fake_send(node, node->clients[c], &msg);
            }
        }
    }
}

int fake_count_down(size_t *count)
{
    if (*count == 0) {
        return 0;
    }
    --*count;
    return 1;
}

/* ---- the log and its sessions */

static struct fake_session *session_by_id(struct fake *f, uint64_t id)
{
    for (size_t i = 0; id != 0 && i < FAKE_SESSIONS_MAX; i++) {
        if (f->sessions[i].id == id) {
            return &f->sessions[i];
        }
    }
    return NULL;
}

static void forget_session(struct fake_session *session)
{
    for (size_t i = 0; i < session->other_count; i++) {
        slice_drop(&session->others[i].body);
    }
    free(session->others);
    free(session->results);
    *session = (struct fake_session){0};
}

/* The session that this opening has already, or that it continues; or a free one. */
static struct fake_session *opened_session(struct fake *f, const struct block *block,
                                           uint64_t continues)
{
    struct fake_session *found = NULL;
    for (size_t i = FAKE_SESSIONS_MAX; i > 0; i--) {
        struct fake_session *session = &f->sessions[i - 1];
        int is_own = session->id != 0 && session->nonce == block->client;
        if (is_own && session->opening == block->first_seq) {
            return session;
        }
        if (is_own ? session->id == continues : session->id == 0 && (!found || found->id == 0)) {
            found = session;
        }
    }
    return found;
}

static void apply_open(struct fake *f, const struct block *block)
{
    const uint8_t *open = block->commands.data + COMMAND_HEAD_BYTES;
    struct fake_session *session = opened_session(f, block, bytes_get_u64(open + 4));
    int is_full = session->id == 0 && fake_count_down(&f->full_count);
    struct result_range range = {.sequence = block->first_seq, .count = 1};
    range.status = is_full ? RESULT_SESSIONS_FULL : RESULT_OK;
    if (session->id == 0 && !is_full) {
        *session = (struct fake_session){.id = ++f->session_number * 1000, .next_seq = 1};
        session->nonce = block->client;
        session->results = memory_calloc(FAKE_LOG_MAX + 1, sizeof *session->results);
        f->open_count++;
        fake_store_open(f->store, session->id, bytes_get_u32(open));
    }
    session->opening = block->first_seq;
    range.value = session->id;
    send_range(f, 0, block->client, range);
}

static uint64_t apply_command(struct fake *f, const struct command *command)
{
    if (command->op != COMMAND_APPEND || f->last >= FAKE_LOG_MAX) {
        return 0;
    }
    f->log[++f->last] = slice_keep(slice_borrow(command->payload.data, command->payload.size));
    return f->last;
}

static const struct result_range *find_other(const struct fake_session *session, uint64_t sequence)
{
    for (size_t i = session->other_count; i > 0; i--) {
        if (session->others[i - 1].sequence == sequence) {
            return &session->others[i - 1];
        }
    }
    return NULL;
}

/* Executes a command on settings, keys or leases and keeps its result. */
static void apply_other(struct fake *f, struct fake_session *session, uint64_t sequence,
                        const struct command *command)
{
    struct buffer body = {0};
    struct result_range range;
    if (command->op == COMMAND_LEASE_KEEPALIVE) {
        size_t count = command->payload.size / 8;
        f->keepalive_count++;
        f->keepalive_ms = now_ms();
        f->keepalive_ids_max = count > f->keepalive_ids_max ? count : f->keepalive_ids_max;
    }
    if (command->op == COMMAND_SETTINGS) {
        fake_apply_settings(f, command, &range);
    } else {
        fake_store_execute(f->store, session->id, command, &range, &body);
    }
    range.sequence = sequence;
    range.body = slice_keep(range.body);
    session->others = memory_grow(session->others, &session->other_capacity,
                                  session->other_count + 1, sizeof *session->others);
    session->others[session->other_count++] = range;
    buffer_close(&body);
}

static void execute(struct fake *f, struct fake_session *session, uint64_t sequence,
                    const struct command *command)
{
    if (command->op == COMMAND_APPEND || command->op == COMMAND_CLOSE_SESSION) {
        session->results[sequence] = apply_command(f, command);
    } else {
        apply_other(f, session, sequence, command);
    }
    session->next_seq++;
}

/* Answers the commands of a block one range for each run of dense indexes. */
static void apply_block(struct fake *f, const struct block *block)
{
    struct fake_session *session = session_by_id(f, block->session);
    f->acked_max = block->acked_seq > f->acked_max ? block->acked_seq : f->acked_max;
    if (session == NULL) {
        send_range(f, block->session, block->client,
                   (struct result_range){.sequence = block->first_seq,
                                         .count = block->count,
                                         .status = RESULT_UNKNOWN_SESSION});
        return;
    }
    (void)fake_store_touch(f->store, session->id);
    f->is_acked_wrong |= block->acked_seq >= session->next_seq;
    if (block->first_seq > session->next_seq) {
        f->gap_count++;
        send_range(f, session->id, session->nonce,
                   (struct result_range){.sequence = session->next_seq, .status = RESULT_GAP});
        return;
    }
    f->empty_count += block->count == 0;
    struct slice rest = block->commands;
    struct command command;
    struct result_range range = {.status = RESULT_OK};
    uint64_t sequence = block->first_seq;
    int is_closed = 0;
    for (; block_next_command(&rest, &command); sequence++) {
        if (sequence == session->next_seq) {
            execute(f, session, sequence, &command);
            is_closed = command.op == COMMAND_CLOSE_SESSION;
        }
        const struct result_range *other = find_other(session, sequence);
        if (other != NULL) {
            if (range.count > 0) {
                send_range(f, session->id, session->nonce, range);
            }
            range.count = 0;
            send_range(f, session->id, session->nonce, *other);
            continue;
        }
        uint64_t value = session->results[sequence];
        if (range.count > 0 && value == range.value + range.count) {
            range.count++;
            continue;
        }
        if (range.count > 0) {
            send_range(f, session->id, session->nonce, range);
        }
        range = (struct result_range){
            .sequence = sequence, .count = 1, .status = RESULT_OK, .value = value};
    }
    if (range.count > 0) {
        send_range(f, session->id, session->nonce, range);
    }
    if (is_closed) {
        f->close_count++;
        fake_store_close(f->store, session->id);
        forget_session(session);
    }
}

static void reject(struct fake *f, struct fake_node *node, struct peer client,
                   const struct block *block, enum reject_reason reason)
{
    struct message msg = {.kind = MSG_REJECT};
    msg.reject = (struct msg_reject){reason, f->named_leader, block->session, block->first_seq};
    if (reason != REJECT_NOT_LEADER) {
        msg.reject.leader = 0;
    }
    if (reason == REJECT_MALFORMED) { /* as a proposer says it, which could not read the block */
        msg.reject.session = 0;
        msg.reject.first_seq = 0;
    }
    fake_send(node, client, &msg);
}

static void on_submit(struct fake *f, struct fake_node *node, const struct message *msg)
{
    struct block block;
    struct errmsg err;
    node->submit_count++;
    if (block_parse(msg->submit.block, &block, &err) != 0) {
        fprintf(stderr, "fake: malformed block: %s\n", err.text);
        return;
    }
    if (node->peer.id != f->leader) {
        reject(f, node, msg->from, &block, REJECT_NOT_LEADER);
    } else if (f->is_submit_ignored ||
               (block.session != 0 && fake_count_down(&f->drop_submit_count))) {
        return;
    } else if (block.session != 0 && fake_count_down(&f->busy_count)) {
        reject(f, node, msg->from, &block, REJECT_BUSY);
    } else if (block.session != 0 && fake_count_down(&f->malformed_count)) {
        reject(f, node, msg->from, &block, REJECT_MALFORMED);
    } else if (block.session == 0) {
        apply_open(f, &block);
    } else {
        apply_block(f, &block);
    }
}

/* ---- reads and status */

static void send_records(struct fake *f, struct fake_node *node, struct peer client,
                         const struct msg_read *read)
{
    struct message msg = {.kind = MSG_RECORDS};
    struct msg_records *page = &msg.records;
    *page = (struct msg_records){.request = read->request,
                                 .first = f->trimmed + 1,
                                 .last = f->last,
                                 .applied = f->last,
                                 .from = read->from};
    if (read->consistency == READ_LINEARIZABLE && fake_count_down(&f->no_quorum_count)) {
        page->status = READ_NO_QUORUM;
    } else if (read->from <= f->trimmed) {
        page->status = READ_TRIMMED;
    } else if (read->from <= f->last) {
        uint64_t count = f->last - read->from + 1;
        count = read->count != 0 && read->count < count ? read->count : count;
        count = f->page_records != 0 && f->page_records < count ? f->page_records : count;
        count = count < PAGE_ENTRIES_MAX ? count : PAGE_ENTRIES_MAX;
        page->record_count = (uint32_t)count;
        page->records = &f->log[read->from];
    }
    fake_send(node, client, &msg);
}

static void on_read(struct fake *f, struct fake_node *node, const struct message *msg)
{
    node->read_count++;
    node->linear_read_count += msg->read.consistency == READ_LINEARIZABLE;
    if (msg->read.wait_ms > 0 && msg->read.from > f->last) {
        node->waiting = msg->read;
        node->waiting_client = msg->from;
        return;
    }
    send_records(f, node, msg->from, &msg->read);
}

/* ---- keys */

static int is_counting(const struct msg_query *query)
{
    struct kv_request request;
    return (query->op == QUERY_KV || query->op == QUERY_KV_CONTINUED) &&
           kv_request_parse(query->body, &request, NULL) == 0 && request.op == KV_RANGE &&
           (request.range.flags & KV_NO_COUNT) == 0;
}

static void on_query(struct fake *f, struct fake_node *node, const struct message *msg)
{
    const struct msg_query *query = &msg->query;
    struct buffer body = {0};
    struct message reply = {.kind = MSG_ANSWER};
    node->query_count++;
    node->linear_query_count += query->consistency == READ_LINEARIZABLE;
    node->counting_query_count += (size_t)is_counting(query);
    if (fake_count_down(&f->drop_query_count)) {
        return;
    }
    if (query->op == QUERY_SETTINGS) {
        fake_answer_settings(f, query, &reply.answer, &body);
    } else {
        fake_store_query(f->store, query, f->page_kvs, &reply.answer, &body);
    }
    enum result_status refused = RESULT_OK;
    if (query->consistency == READ_LINEARIZABLE && fake_count_down(&f->no_quorum_count)) {
        refused = RESULT_NO_QUORUM;
    } else if (fake_count_down(&f->query_busy_count)) {
        refused = RESULT_BUSY;
    } else if (query->consistency == READ_LOCAL && fake_count_down(&f->query_future_count)) {
        refused = RESULT_FUTURE;
    }
    if (refused != RESULT_OK) {
        reply.answer.status = refused;
        reply.answer.body = SLICE_EMPTY;
    }
    fake_send(node, msg->from, &reply);
    buffer_close(&body);
    if (fake_count_down(&f->put_count)) {
        fake_store_put(f->store, "k4x", "late");
    }
}

static void forget_watch(struct fake_watch *watch)
{
    slice_drop(&watch->watch.key);
    slice_drop(&watch->watch.end);
    watch->client.id = 0;
}

/* Answers a watch that has something to be told, or whose time is up. */
static void serve_watch(struct fake *f, struct fake_node *node, struct fake_watch *watch)
{
    struct buffer body = {0};
    struct message reply = {.kind = MSG_EVENTS};
    size_t count = fake_store_events(f->store, &watch->watch, f->page_events, &reply.events, &body);
    if (node->stuck_revision != 0) {
        count = 0;
        reply.events = (struct msg_events){.request = watch->watch.request,
                                           .revision = node->stuck_revision,
                                           .next_revision = watch->watch.revision,
                                           .next_sub = watch->watch.sub};
    } else if (fake_count_down(&f->watch_busy_count)) {
        count = 1;
        reply.events.status = RESULT_BUSY;
        reply.events.events = SLICE_EMPTY;
    }
    if (count > 0 || now_ms() >= watch->until_ms) {
        fake_send(node, watch->client, &reply);
        forget_watch(watch);
    } else {
        watch->watch.flags |= WATCH_CONTINUED; /* it has begun */
    }
    buffer_close(&body);
}

static void on_watch(struct fake *f, struct fake_node *node, const struct message *msg)
{
    uint32_t wait_ms = f->watch_wait_ms != 0 ? f->watch_wait_ms : msg->watch.wait_ms;
    node->watch_count++;
    for (size_t i = 0; i < FAKE_WATCHES_MAX; i++) {
        struct fake_watch *watch = &node->watches[i];
        if (watch->client.id == 0) {
            watch->watch = msg->watch;
            watch->watch.key = slice_keep(msg->watch.key);
            watch->watch.end = slice_keep(msg->watch.end);
            watch->client = msg->from;
            watch->until_ms = now_ms() + wait_ms;
            return;
        }
    }
    fprintf(stderr, "fake: too many watches\n");
}

static void forget_watches(struct fake_node *node)
{
    for (size_t i = 0; i < FAKE_WATCHES_MAX; i++) {
        if (node->watches[i].client.id != 0) {
            forget_watch(&node->watches[i]);
        }
    }
}

static void on_status(struct fake *f, struct fake_node *node, const struct message *msg)
{
    struct node_status nodes[1 + MEMBERS_MAX] = {{.node = node->peer}};
    uint32_t count = 1;
    struct ballot ballot = f->leader != 0 ? (struct ballot){3, f->leader, 77} : BALLOT_NONE;
    if (node->peer.role == ROLE_PROPOSER) {
        int is_leader = node->peer.id == f->leader;
        nodes[0].state = is_leader ? NODE_LEADING : NODE_STANDBY;
        nodes[0].ballot = ballot;
        nodes[0].leader = f->leader;
        for (size_t i = 0; i < f->config.members.acceptor_count; i++) {
            nodes[count++] =
                (struct node_status){.node = {ROLE_ACCEPTOR, f->config.members.acceptors[i]},
                                     .state = is_leader ? NODE_VOTING : NODE_UNREACHABLE,
                                     .silence_ms = is_leader ? 5 : 900,
                                     .chosen = f->last};
        }
    } else {
        nodes[0].state = NODE_APPLYING;
        nodes[0].ballot = ballot;
        nodes[0].leading_since = 17;
        nodes[0].applied = f->last;
        nodes[0].last_index = f->last;
    }
    struct message reply = {.kind = MSG_STATUS_REPLY};
    reply.status_reply = (struct msg_status_reply){msg->status.request, count, nodes};
    fake_send(node, msg->from, &reply);
}

/* ---- processes */

static void on_hello(struct fake_node *node, link_t link, const struct message *msg)
{
    node->hello_count++;
    net_bind(node->net, link, msg->from);
    int is_known = 0;
    for (size_t i = 0; i < node->client_count; i++) {
        is_known |= peer_equal(node->clients[i], msg->from);
    }
    if (!is_known && node->client_count < FAKE_CLIENTS_MAX) {
        node->clients[node->client_count++] = msg->from;
    }
    struct message welcome = {.kind = MSG_WELCOME};
    welcome.welcome.version = PROTOCOL_VERSION;
    fake_send(node, msg->from, &welcome);
}

static void on_frame(struct fake *f, struct fake_node *node, const struct inbound *in)
{
    struct message msg;
    enum refusal refusal;
    struct errmsg err;
    arena_reset(&f->arena);
    if (f->wrong_cluster_id != 0 && in->link != 0) {
        /* It refuses without being able to read the frame, as a real process does. */
        struct message refused = {.kind = MSG_REFUSED, .from = node->peer, .incarnation = 5};
        const char *text = "this is cluster other";
        refused.refused = (struct msg_refused){REFUSED_CLUSTER, slice_borrow(text, strlen(text))};
        uint8_t *data;
        size_t size;
        struct wire_context other = {f->wrong_cluster_id, 1};
        if (wire_encode(&other, &refused, &data, &size) == 0) {
            struct frame *frame = frame_new(data, size);
            (void)!net_send_link(node->net, in->link, frame);
            frame_unref(frame);
        }
        return;
    }
    if (wire_decode(&node->wire, in->frame, &f->arena, &msg, &refusal, &err) != 0) {
        fprintf(stderr, "fake: %s\n", err.text);
        return;
    }
    switch (msg.kind) {
    case MSG_HELLO:
        on_hello(node, in->link, &msg);
        break;
    case MSG_SUBMIT:
        on_submit(f, node, &msg);
        break;
    case MSG_READ:
        on_read(f, node, &msg);
        break;
    case MSG_QUERY:
        on_query(f, node, &msg);
        break;
    case MSG_WATCH:
        on_watch(f, node, &msg);
        break;
    case MSG_STATUS:
        on_status(f, node, &msg);
        break;
    case MSG_TRANSFER:
        fake_on_transfer(f, node, &msg);
        break;
    case MSG_EXPLAIN:
        fake_on_explain(f, node, &msg);
        break;
    case MSG_NAME:
        fake_on_name(f, node, &msg);
        break;
    default:
        break;
    }
}

static void serve_node(struct fake *f, struct fake_node *node)
{
    struct inbound in;
    while (net_receive(node->net, &in)) {
        if (in.kind == INBOUND_FRAME) {
            if (!node->is_silent) {
                on_frame(f, node, &in);
            }
            blob_unref(in.frame);
        }
    }
    for (size_t i = 0; i < FAKE_WATCHES_MAX && !node->is_silent; i++) {
        if (node->watches[i].client.id != 0) {
            serve_watch(f, node, &node->watches[i]);
        }
    }
    if (node->waiting.wait_ms > 0 && f->last >= node->waiting.from) {
        struct msg_read read = node->waiting;
        node->waiting.wait_ms = 0;
        send_records(f, node, node->waiting_client, &read);
    }
}

static void start_node(struct fake_node *node)
{
    struct errmsg err;
    if (net_open(&node->net, &err) != 0) {
        fprintf(stderr, "fake: %s\n", err.text);
        abort();
    }
    /* A port that was just left may be busy for a moment. */
    for (int tries = 0; net_listen(node->net, node->address, NET_PORT_CLIENT, &err) != 0; tries++) {
        if (tries > 200) {
            fprintf(stderr, "fake: %s\n", err.text);
            abort();
        }
        poll(NULL, 0, 10);
    }
    node->incarnation++;
}

static void set_state(struct fake_node *node)
{
    if (node->is_down && node->net != NULL) {
        net_close(node->net);
        node->net = NULL;
        node->client_count = 0;
        node->waiting.wait_ms = 0;
        forget_watches(node);
    } else if (!node->is_down && node->net == NULL) {
        start_node(node);
    }
}

static void *serve(void *arg)
{
    struct fake *f = arg;
    for (;;) {
        struct pollfd fds[2 * FAKE_NODES_MAX];
        nfds_t count = 0;
        pthread_mutex_lock(&f->lock);
        for (size_t i = 0; i < f->proposer_count + f->learner_count; i++) {
            set_state(&f->nodes[i]);
            if (f->nodes[i].net != NULL) {
                serve_node(f, &f->nodes[i]);
                fds[count++] = (struct pollfd){net_fd(f->nodes[i].net), POLLIN, 0};
            }
        }
        int is_stopping = f->is_stopping;
        pthread_mutex_unlock(&f->lock);
        if (is_stopping) {
            return NULL;
        }
        poll(fds, count, 1); /* the script may change without an event */
    }
}

/* ---- the test's side */

void fake_lock(struct fake *f)
{
    pthread_mutex_lock(&f->lock);
    f->is_held = 1;
}

void fake_unlock(struct fake *f)
{
    f->is_held = 0;
    pthread_mutex_unlock(&f->lock);
}

static void free_address(char *out, size_t size, int fds[], size_t *fd_count)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &length) != 0) {
        abort();
    }
    fds[(*fd_count)++] = fd; /* kept until all are picked, so that no port is picked twice */
    snprintf(out, size, "tcp://127.0.0.1:%d", ntohs(a.sin_port));
}

static void open_node(struct fake *f, size_t index, enum role role, node_id_t id,
                      const char *address)
{
    struct fake_node *node = &f->nodes[index];
    node->peer = (struct peer){role, id};
    node->incarnation = 1000 * (index + 1);
    node->wire = (struct wire_context){f->config.id, f->config.members.number};
    snprintf(node->address, sizeof node->address, "%s", address);
}

void fake_start(struct fake *f, size_t proposers, size_t learners)
{
    struct errmsg err = {""};
    int fds[2 * FAKE_NODES_MAX];
    size_t fd_count = 0;
    memset(f, 0, sizeof *f);
    f->proposer_count = proposers;
    f->learner_count = learners;
    f->leader = f->named_leader = 1;
    config_for_localhost(&f->config, "fake", 0x1234, 3, proposers, learners, 20000);
    for (size_t i = 0; i < proposers; i++) {
        struct config_server *server = &f->config.proposers[i];
        free_address(server->client, sizeof server->client, fds, &fd_count);
        open_node(f, i, ROLE_PROPOSER, server->id, server->client);
    }
    for (size_t i = 0; i < learners; i++) {
        struct config_server *server = &f->config.learners[i];
        free_address(server->client, sizeof server->client, fds, &fd_count);
        open_node(f, proposers + i, ROLE_LEARNER, server->id, server->client);
    }
    while (fd_count > 0) {
        close(fds[--fd_count]);
    }
    const char *tmp = getenv("TMPDIR");
    snprintf(f->dir, sizeof f->dir, "%.40s/fake-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(f->dir) == NULL) {
        abort();
    }
    snprintf(f->path, sizeof f->path, "%s/cluster.yml", f->dir);
    if (config_write(f->path, &f->config, &err) != 0) {
        fprintf(stderr, "fake: %s\n", err.text);
        abort();
    }
    f->store = fake_store_new();
    pthread_mutex_init(&f->lock, NULL);
    pthread_create(&f->thread, NULL, serve, f);
    f->is_running = 1;
}

void fake_stop(struct fake *f)
{
    if (!f->is_running) {
        return;
    }
    f->is_running = 0;
    if (!f->is_held) { /* a failed assertion leaves it held */
        fake_lock(f);
    }
    f->is_stopping = 1;
    fake_unlock(f);
    pthread_join(f->thread, NULL);
    for (size_t i = 0; i < f->proposer_count + f->learner_count; i++) {
        net_close(f->nodes[i].net);
        forget_watches(&f->nodes[i]);
    }
    fake_store_free(f->store);
    for (size_t i = 0; i < FAKE_SESSIONS_MAX; i++) {
        forget_session(&f->sessions[i]);
    }
    for (uint64_t i = 1; i <= f->last; i++) {
        slice_drop(&f->log[i]);
    }
    arena_close(&f->arena);
    pthread_mutex_destroy(&f->lock);
    unlink(f->path);
    rmdir(f->dir);
}

void fake_lead(struct fake *f, node_id_t proposer)
{
    fake_lock(f);
    f->leader = f->named_leader = proposer;
    for (size_t i = 0; i < f->proposer_count; i++) {
        struct fake_node *node = &f->nodes[i];
        for (size_t c = 0; node->peer.id == proposer && c < node->client_count; c++) {
            struct message msg = {.kind = MSG_LEADING};
            msg.leading.ballot = (struct ballot){4, proposer, 9};
            fake_send(node, node->clients[c], &msg);
        }
    }
    fake_unlock(f);
}

void fake_down(struct fake *f, size_t node, int is_down)
{
    fake_lock(f);
    f->nodes[node].is_down = is_down;
    fake_unlock(f);
    for (int done = 0; !done;) {
        fake_lock(f);
        done = (f->nodes[node].net == NULL) == (is_down != 0);
        fake_unlock(f);
        poll(NULL, 0, 1);
    }
}

void fake_expire(struct fake *f)
{
    fake_lock(f);
    for (size_t i = 0; i < FAKE_SESSIONS_MAX; i++) {
        if (f->sessions[i].id != 0) {
            fake_store_close(f->store, f->sessions[i].id);
        }
        forget_session(&f->sessions[i]);
    }
    fake_unlock(f);
}

void fake_advance(struct fake *f, uint64_t ms)
{
    fake_lock(f);
    fake_store_advance(f->store, ms);
    for (size_t i = 0; i < FAKE_SESSIONS_MAX; i++) {
        struct fake_session *session = &f->sessions[i];
        if (session->id != 0 && !fake_store_has_lease(f->store, session->id)) {
            forget_session(session);
        }
    }
    fake_unlock(f);
}

void fake_fill(struct fake *f, uint64_t count)
{
    fake_lock(f);
    for (uint64_t i = 0; i < count; i++) {
        char text[24];
        int size = snprintf(text, sizeof text, "%llu", (unsigned long long)i);
        f->log[++f->last] = slice_keep(slice_borrow(text, (size_t)size));
    }
    fake_unlock(f);
}

int fake_holds(struct fake *f, uint64_t index, const char *text)
{
    fake_lock(f);
    int holds = index >= 1 && index <= f->last && index < sizeof f->log / sizeof f->log[0] &&
                slice_equal(f->log[index], slice_borrow(text, strlen(text)));
    fake_unlock(f);
    return holds;
}

uint64_t fake_last(struct fake *f)
{
    fake_lock(f);
    uint64_t last = f->last;
    fake_unlock(f);
    return last;
}
