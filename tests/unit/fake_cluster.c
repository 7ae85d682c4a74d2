#include "tests/unit/fake_cluster.h"

#include "common/base/memory.h"
#include "common/protocol/value.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- sending */

static void send_to(struct fake_node *node, struct peer to, struct message *msg)
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
                send_to(node, node->clients[c], &msg);
            }
        }
    }
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
    free(session->results);
    *session = (struct fake_session){0};
}

static void apply_open(struct fake *f, uint64_t nonce)
{
    struct fake_session *found = NULL;
    for (size_t i = 0; i < FAKE_SESSIONS_MAX && found == NULL; i++) {
        if (f->sessions[i].id != 0 && f->sessions[i].nonce == nonce) {
            found = &f->sessions[i];
        }
    }
    struct result_range range = {.sequence = nonce, .count = 1, .status = RESULT_OK};
    if (found == NULL && f->full_count > 0) {
        f->full_count--;
        range.status = RESULT_SESSIONS_FULL;
        send_range(f, 0, nonce, range);
        return;
    }
    for (size_t i = 0; i < FAKE_SESSIONS_MAX && found == NULL; i++) {
        if (f->sessions[i].id == 0) {
            found = &f->sessions[i];
            found->id = ++f->session_number * 1000;
            found->nonce = nonce;
            found->next_seq = 1;
            found->results = memory_calloc(FAKE_LOG_MAX + 1, sizeof *found->results);
            f->open_count++;
        }
    }
    range.value = found->id;
    send_range(f, 0, nonce, range);
}

static uint64_t apply_command(struct fake *f, const struct command *command)
{
    if (command->op != COMMAND_APPEND || f->last >= FAKE_LOG_MAX) {
        return 0;
    }
    f->log[++f->last] = slice_keep(slice_borrow(command->payload.data, command->payload.size));
    return f->last;
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
            session->results[sequence] = apply_command(f, &command);
            session->next_seq++;
            is_closed = command.op == COMMAND_CLOSE_SESSION;
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
    send_to(node, client, &msg);
}

static int count_down(size_t *count)
{
    if (*count == 0) {
        return 0;
    }
    --*count;
    return 1;
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
    } else if (f->is_submit_ignored || (block.session != 0 && count_down(&f->drop_submit_count))) {
        return;
    } else if (block.session != 0 && count_down(&f->busy_count)) {
        reject(f, node, msg->from, &block, REJECT_BUSY);
    } else if (block.session != 0 && count_down(&f->malformed_count)) {
        reject(f, node, msg->from, &block, REJECT_MALFORMED);
    } else if (block.session == 0) {
        apply_open(f, block.first_seq);
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
    if (read->consistency == READ_LINEARIZABLE && count_down(&f->no_quorum_count)) {
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
    send_to(node, client, &msg);
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
    send_to(node, msg->from, &reply);
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
    send_to(node, msg->from, &welcome);
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
    case MSG_STATUS:
        on_status(f, node, &msg);
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
    }
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
            send_to(node, node->clients[c], &msg);
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
        forget_session(&f->sessions[i]);
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
