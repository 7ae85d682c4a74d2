/* The net layer over real sockets on 127.0.0.1: links, budgets, and what strangers may do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/net/internal.h"
#include "common/net/net.h"
#include "common/protocol/limits.h"
#include "tests/unit/wait.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_MS 10000

static const struct peer server_peer = {ROLE_ACCEPTOR, 1};
static const struct peer other_peer = {ROLE_PROPOSER, 7};
static const struct peer client_peer = {ROLE_CLIENT, 0xfeedfeedfeedfeed};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
    close(fd);
    return ntohs(a.sin_port);
}

/* ---- one listening and one dialling net */

struct pair {
    int port;
    char address[64];
    struct net *server;
    struct net *dialler;
};

static void listen_on(struct pair *pair, enum net_port port)
{
    struct errmsg err;
    assert_int_equal(net_open(&pair->server, &err), 0);
    int rc = net_listen(pair->server, pair->address, port, &err);
    if (rc != 0) {
        fail_msg("%s", err.text);
    }
}

static void dial(struct pair *pair)
{
    struct errmsg err;
    assert_int_equal(net_open(&pair->dialler, &err), 0);
    assert_int_equal(net_dial(pair->dialler, server_peer, pair->address, &err), 0);
}

static void pair_address(struct pair *pair)
{
    memset(pair, 0, sizeof *pair);
    pair->port = free_port();
    snprintf(pair->address, sizeof pair->address, "tcp://127.0.0.1:%d", pair->port);
}

static void pair_close(struct pair *pair)
{
    net_close(pair->server);
    net_close(pair->dialler);
}

/* Waits for the next inbound of that kind; others are dropped. Fails after the deadline. */
static struct inbound expect(struct net *net, enum inbound_kind kind)
{
    int64_t deadline = now_ms() + DEADLINE_MS;
    struct inbound in;
    while (now_ms() < deadline) {
        while (net_receive(net, &in)) {
            if (in.kind == kind) {
                return in;
            }
            blob_unref(in.frame);
        }
        wait_for(net, 100, -1);
    }
    fail_msg("no event of kind %d before the deadline", (int)kind);
    return in;
}

static struct frame *frame_of(const void *data, size_t size)
{
    uint8_t *copy = malloc(size);
    memcpy(copy, data, size);
    return frame_new(copy, size);
}

static void send_text(struct net *net, struct peer to, const char *text)
{
    struct frame *frame = frame_of(text, strlen(text));
    assert_int_equal(net_send(net, to, frame), 0);
    frame_unref(frame);
}

static void expect_text(struct net *net, const char *text)
{
    struct inbound in = expect(net, INBOUND_FRAME);
    assert_int_equal(in.frame->size, strlen(text));
    assert_memory_equal(in.frame->data, text, in.frame->size);
    blob_unref(in.frame);
}

static void pair_open(struct pair *pair)
{
    pair_address(pair);
    listen_on(pair, NET_PORT_PEER);
    dial(pair);
    struct inbound up = expect(pair->dialler, INBOUND_UP);
    assert_true(up.is_dialled);
    assert_true(peer_equal(up.peer, server_peer));
}

/* Proves: a dialled link comes up, frames go both ways, small ones and the largest, and the
 * listener learns the link, its port and its address with the first frame. */
static void test_round_trip(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    assert_true(net_is_up(pair.dialler, server_peer));
    send_text(pair.dialler, server_peer, "hello");
    struct inbound in = expect(pair.server, INBOUND_FRAME);
    assert_false(in.is_dialled);
    assert_int_equal(in.port, NET_PORT_PEER);
    assert_int_equal(in.peer.role, ROLE_NONE);
    assert_string_equal(net_link_address(pair.server, in.link), "127.0.0.1");
    blob_unref(in.frame);

    uint8_t *large = malloc(MESSAGE_BYTES_MAX);
    memset(large, 0x5a, MESSAGE_BYTES_MAX);
    struct frame *frame = frame_new(large, MESSAGE_BYTES_MAX);
    assert_int_equal(net_send_link(pair.server, in.link, frame), 0);
    frame_unref(frame);
    struct inbound back = expect(pair.dialler, INBOUND_FRAME);
    assert_true(back.is_dialled);
    assert_true(peer_equal(back.peer, server_peer));
    assert_int_equal(back.frame->size, MESSAGE_BYTES_MAX);
    assert_int_equal(back.frame->data[MESSAGE_BYTES_MAX - 1], 0x5a);
    struct blob *kept = blob_ref(back.frame);
    blob_unref(back.frame);
    assert_int_equal(kept->data[0], 0x5a);
    blob_unref(kept);
    pair_close(&pair);
}

/* Proves: a listener answers by name once the link is bound, not before, and a newer link of the
 * same peer replaces the older. */
static void test_bind(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct frame *early = frame_of("x", 1);
    assert_int_equal(net_send(pair.server, other_peer, early), ERROR_UNAVAILABLE);
    frame_unref(early);

    send_text(pair.dialler, server_peer, "one");
    struct inbound first = expect(pair.server, INBOUND_FRAME);
    blob_unref(first.frame);
    net_bind(pair.server, first.link, other_peer);
    assert_true(net_is_up(pair.server, other_peer));
    send_text(pair.server, other_peer, "to the first");
    expect_text(pair.dialler, "to the first");

    struct pair second = pair;
    dial(&second);
    blob_unref(expect(second.dialler, INBOUND_UP).frame);
    send_text(second.dialler, server_peer, "two");
    struct inbound later = expect(pair.server, INBOUND_FRAME);
    blob_unref(later.frame);
    assert_true(later.link != first.link);
    net_bind(pair.server, later.link, other_peer);
    send_text(pair.server, other_peer, "to the second");
    expect_text(second.dialler, "to the second");

    send_text(pair.dialler, server_peer, "three");
    struct inbound again = expect(pair.server, INBOUND_FRAME);
    assert_true(again.link == first.link);
    assert_int_equal(again.peer.role, ROLE_NONE);
    blob_unref(again.frame);
    net_close(second.dialler);
    pair_close(&pair);
}

/* Proves: nothing is queued for a peer that is not there (TRAPS 5, IMMEDIATE): a send before the
 * connection is refused and counted, and what arrives first was sent after it. */
static void test_nothing_queues_to_the_dead(void **state)
{
    (void)state;
    struct pair pair;
    pair_address(&pair);
    dial(&pair);
    struct frame *frame = frame_of("stale", 5);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(net_send(pair.dialler, server_peer, frame), ERROR_UNAVAILABLE);
    }
    frame_unref(frame);
    assert_int_equal(net_dropped_count(pair.dialler), 100);
    assert_int_equal(net_dropped_to(pair.dialler, server_peer), 100);
    assert_int_equal(net_queued_bytes(pair.dialler, server_peer), 0);
    listen_on(&pair, NET_PORT_PEER);
    blob_unref(expect(pair.dialler, INBOUND_UP).frame);
    send_text(pair.dialler, server_peer, "fresh");
    expect_text(pair.server, "fresh");
    pair_close(&pair);
}

/* Proves: a dialler is told when the listener dies and when it is back, and goes on by itself. */
static void test_reconnect(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    net_close(pair.server);
    struct inbound down = expect(pair.dialler, INBOUND_DOWN);
    assert_true(down.is_dialled);
    assert_true(peer_equal(down.peer, server_peer));
    assert_false(net_is_up(pair.dialler, server_peer));
    listen_on(&pair, NET_PORT_PEER);
    blob_unref(expect(pair.dialler, INBOUND_UP).frame);
    send_text(pair.dialler, server_peer, "again");
    expect_text(pair.server, "again");
    pair_close(&pair);
}

/* Proves: a listener notices with its next send that a connection is gone, says so once, and counts
 * what was lost. */
static void test_listening_link_gone(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    send_text(pair.dialler, server_peer, "here");
    struct inbound in = expect(pair.server, INBOUND_FRAME);
    blob_unref(in.frame);
    net_bind(pair.server, in.link, other_peer);
    net_close(pair.dialler);
    pair.dialler = NULL;
    int64_t deadline = now_ms() + DEADLINE_MS;
    int rc = 0;
    while (rc == 0 && now_ms() < deadline) {
        struct frame *frame = frame_of("x", 1);
        rc = net_send(pair.server, other_peer, frame);
        frame_unref(frame);
        wait_for(pair.server, 5, -1);
    }
    assert_int_equal(rc, ERROR_UNAVAILABLE);
    struct inbound down;
    assert_int_equal(net_receive(pair.server, &down), 1);
    assert_int_equal(down.kind, INBOUND_DOWN);
    assert_false(down.is_dialled);
    assert_true(down.link == in.link);
    assert_true(peer_equal(down.peer, other_peer));
    assert_int_equal(net_receive(pair.server, &down), 0);
    assert_false(net_is_up(pair.server, other_peer));
    assert_int_equal(net_dropped_count(pair.server), 1);
    pair_close(&pair);
}

/* Proves: what is forgotten for want of room is said to be gone, the longest unused first, and
 * before the next one is heard of: clients that come and go without a word are never more to those
 * who count them than there are links. */
static void test_forgotten_is_gone(void **state)
{
    (void)state;
    enum { CLIENTS = 6, ROOM = 3 };
    struct pair pair;
    pair_address(&pair);
    pair.dialler = NULL;
    listen_on(&pair, NET_PORT_CLIENT);
    pair.server->links.count_max = ROOM;
    struct pair clients[CLIENTS];
    uint64_t gone = 0;
    for (uint64_t i = 0; i < CLIENTS; i++) {
        clients[i] = pair;
        clients[i].server = NULL;
        dial(&clients[i]);
        (void)expect(clients[i].dialler, INBOUND_UP);
        send_text(clients[i].dialler, server_peer, "here");
        struct inbound in = expect(pair.server, INBOUND_FRAME);
        blob_unref(in.frame);
        net_bind(pair.server, in.link, (struct peer){ROLE_CLIENT, i + 1});
        struct inbound down;
        while (net_receive(pair.server, &down)) {
            assert_int_equal(down.kind, INBOUND_DOWN);
            assert_int_equal(down.port, NET_PORT_CLIENT);
            assert_true(peer_equal(down.peer, (struct peer){ROLE_CLIENT, ++gone}));
        }
        assert_true(i + 1 - gone < ROOM);
    }
    assert_int_equal(gone, CLIENTS - ROOM + 1);
    assert_false(net_is_up(pair.server, (struct peer){ROLE_CLIENT, gone}));
    assert_true(net_is_up(pair.server, (struct peer){ROLE_CLIENT, gone + 1}));
    send_text(clients[0].dialler, server_peer, "I live"); /* whoever speaks is there again */
    expect_text(pair.server, "I live");
    for (size_t i = 0; i < CLIENTS; i++) {
        pair_close(&clients[i]);
    }
    pair_close(&pair);
}

/* Proves: a peer that does not read costs at most its budget, further frames are refused as busy
 * and counted, and the budget comes back when it reads. */
static void test_budget(void **state)
{
    (void)state;
    struct pair pair;
    pair_address(&pair);
    listen_on(&pair, NET_PORT_CLIENT);
    dial(&pair);
    blob_unref(expect(pair.dialler, INBOUND_UP).frame);
    send_text(pair.dialler, server_peer, "hi");
    struct inbound in = expect(pair.server, INBOUND_FRAME);
    assert_int_equal(in.port, NET_PORT_CLIENT);
    blob_unref(in.frame);
    net_bind(pair.server, in.link, client_peer);

    uint8_t *data = calloc(1, MIB);
    struct frame *frame = frame_new(data, MIB);
    int rc = 0;
    size_t sent = 0;
    while (rc == 0) {
        rc = net_send(pair.server, client_peer, frame);
        sent += rc == 0;
        assert_true(sent < 4096); /* the reader's side holds 1000 frames and the kernel's buffers */
        assert_true(net_queued_bytes(pair.server, client_peer) <= CLIENT_QUEUE_BYTES_MAX);
    }
    assert_int_equal(rc, ERROR_BUSY);
    assert_int_equal(net_dropped_to(pair.server, client_peer), 1);
    assert_true(net_is_up(pair.server, client_peer));
    frame_unref(frame);
    for (size_t i = 0; i < sent; i++) {
        in = expect(pair.dialler, INBOUND_FRAME);
        assert_int_equal(in.frame->size, MIB);
        blob_unref(in.frame);
    }
    net_flush(pair.server, DEADLINE_MS);
    assert_int_equal(net_queued_bytes(pair.server, client_peer), 0);
    send_text(pair.server, client_peer, "goes again");
    expect_text(pair.dialler, "goes again");
    pair_close(&pair);
}

/* Proves: one frame goes to more peers than it has room for uses, and each gets all of it. */
static void test_frame_shared(void **state)
{
    (void)state;
    struct pair pair[9];
    struct frame *frame = frame_of("to all of you", 13);
    struct errmsg err;
    struct net *sender;
    assert_int_equal(net_open(&sender, &err), 0);
    for (uint64_t i = 0; i < 9; i++) {
        pair_address(&pair[i]);
        listen_on(&pair[i], NET_PORT_PEER);
        struct peer peer = {ROLE_ACCEPTOR, i + 1};
        assert_int_equal(net_dial(sender, peer, pair[i].address, &err), 0);
    }
    for (int i = 0; i < 9; i++) {
        blob_unref(expect(sender, INBOUND_UP).frame);
    }
    for (uint64_t i = 0; i < 9; i++) {
        assert_int_equal(net_send(sender, (struct peer){ROLE_ACCEPTOR, i + 1}, frame), 0);
    }
    frame_unref(frame);
    for (int i = 0; i < 9; i++) {
        expect_text(pair[i].server, "to all of you");
        net_close(pair[i].server);
    }
    net_close(sender);
}

/* Proves: a flood on one dialled link does not keep another from being heard: its frame comes among
 * the first few. */
static void test_fair(void **state)
{
    (void)state;
    struct pair loud;
    struct pair quiet;
    pair_address(&loud);
    listen_on(&loud, NET_PORT_PEER);
    pair_address(&quiet);
    struct errmsg err;
    assert_int_equal(net_listen(loud.server, quiet.address, NET_PORT_CLIENT, &err), 0);
    dial(&loud);
    dial(&quiet);
    blob_unref(expect(loud.dialler, INBOUND_UP).frame);
    blob_unref(expect(quiet.dialler, INBOUND_UP).frame);
    send_text(quiet.dialler, server_peer, "a quiet word");
    net_flush(quiet.dialler, DEADLINE_MS);
    for (int i = 0; i < 500; i++) {
        send_text(loud.dialler, server_peer, "noise");
    }
    net_flush(loud.dialler, DEADLINE_MS);
    int noise = 0;
    int is_quiet = 0;
    while (!is_quiet) {
        struct inbound in = expect(loud.server, INBOUND_FRAME);
        is_quiet = in.port == NET_PORT_CLIENT;
        noise += !is_quiet;
        blob_unref(in.frame);
    }
    assert_true(noise < 400);
    net_close(quiet.dialler);
    pair_close(&loud);
}

/* Proves: the descriptor for somebody else's loop tells of every frame, if the rule in net.h is
 * kept, without net_wait ever being called. */
static void test_foreign_loop(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    for (int i = 0; i < 200; i++) {
        send_text(pair.dialler, server_peer, "ping");
        struct inbound in = expect(pair.server, INBOUND_FRAME);
        blob_unref(in.frame);
        struct frame *frame = frame_of("pong", 4);
        assert_int_equal(net_send_link(pair.server, in.link, frame), 0);
        frame_unref(frame);
        int got = 0;
        while (!got) {
            while (net_receive(pair.dialler, &in)) {
                got += in.kind == INBOUND_FRAME;
                blob_unref(in.frame);
            }
            struct pollfd fd = {.fd = net_fd(pair.dialler), .events = POLLIN};
            if (!got && poll(&fd, 1, DEADLINE_MS) != 1) {
                fail_msg("the descriptor missed a frame in round %d", i);
            }
        }
    }
    pair_close(&pair);
}

/* Proves: net_wait ends with its timeout, and with the extra descriptor. */
static void test_wait(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct inbound in;
    while (net_receive(pair.dialler, &in)) {
        blob_unref(in.frame);
    }
    int64_t before = now_ms();
    wait_for(pair.dialler, 30, -1);
    assert_true(now_ms() - before >= 29);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    before = now_ms();
    wait_for(pair.dialler, DEADLINE_MS, ends[0]);
    assert_true(now_ms() - before < DEADLINE_MS / 2);
    close(ends[0]);
    close(ends[1]);
    pair_close(&pair);
}

/* Proves: an address in use, a foreign one and nonsense are each refused with an own sentence. */
static void test_bad_addresses(void **state)
{
    (void)state;
    struct pair pair;
    pair_address(&pair);
    listen_on(&pair, NET_PORT_PEER);
    struct net *net;
    struct errmsg err;
    assert_int_equal(net_open(&net, &err), 0);
    assert_int_equal(net_listen(net, pair.address, NET_PORT_PEER, &err), ERROR_BUSY);
    assert_non_null(strstr(err.text, "already in use"));
    assert_non_null(strstr(err.text, pair.address));
    assert_int_equal(net_listen(net, "tcp://192.0.2.1:4711", NET_PORT_PEER, &err), ERROR_USAGE);
    assert_non_null(strstr(err.text, "no address of this machine"));
    assert_int_equal(net_listen(net, "udp://127.0.0.1:1", NET_PORT_PEER, &err), ERROR_USAGE);
    assert_int_equal(net_listen(net, "tcp://127.0.0.1", NET_PORT_PEER, &err), ERROR_USAGE);
    assert_int_equal(net_dial(net, server_peer, "tcp://127.0.0.1:port", &err), ERROR_USAGE);
    struct addrinfo *found = NULL;
    if (getaddrinfo("localhost", NULL, NULL, &found) == 0) { /* a bare machine has no such name */
        char named[64];
        snprintf(named, sizeof named, "tcp://localhost:%d", free_port());
        assert_int_equal(net_listen(net, named, NET_PORT_PEER, &err), 0);
        freeaddrinfo(found);
    }
    net_close(net);
    pair_close(&pair);
}

/* ---- strangers, on a bare TCP connection */

static int stranger(const struct pair *pair)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons((uint16_t)pair->port)};
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void put(int fd, const void *data, size_t size)
{
    const uint8_t *p = data;
    while (size > 0) {
        ssize_t n = send(fd, p, size, MSG_NOSIGNAL);
        if (n <= 0) {
            return; /* the other side hung up, which the caller checks */
        }
        p += n;
        size -= (size_t)n;
    }
}

static void take(int fd, uint8_t *data, size_t size)
{
    assert_int_equal(recv(fd, data, size, MSG_WAITALL), (ssize_t)size);
}

/* A ZMTP 3.0 greeting and READY, with a routing id of the stranger's choice if it is not empty;
 * then those of the other side. */
static void shake_hands(int fd, const char *identity)
{
    uint8_t greeting[64] = {0xff, [9] = 0x7f, [10] = 3, [12] = 'N', 'U', 'L', 'L'};
    put(fd, greeting, sizeof greeting);
    uint8_t ready[128];
    size_t n = 2;
    memcpy(ready + n, "\5READY\13Socket-Type\0\0\0\6DEALER", 6 + 12 + 4 + 6);
    n += 28;
    if (identity[0] != '\0') {
        memcpy(ready + n, "\10Identity\0\0\0", 12);
        n += 12;
        ready[n++] = (uint8_t)strlen(identity);
        memcpy(ready + n, identity, strlen(identity));
        n += strlen(identity);
    }
    ready[0] = 4; /* a short command */
    ready[1] = (uint8_t)(n - 2);
    put(fd, ready, n);
    /* Frames are taken only after both have said READY. */
    uint8_t theirs[256];
    take(fd, theirs, 64);
    take(fd, theirs, 2);
    take(fd, theirs + 2, theirs[1]);
}

/* Waits until the other side closes, however it answers before. */
static void expect_hang_up(struct net *net, int fd)
{
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (now_ms() < deadline) {
        struct inbound in;
        while (net_receive(net, &in)) {
            blob_unref(in.frame);
        }
        uint8_t sink[256];
        ssize_t n = recv(fd, sink, sizeof sink, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            return;
        }
        wait_for(net, 10, -1);
    }
    fail_msg("the connection was not closed");
}

/* Proves: neither bytes that are no ZMTP nor a frame above MESSAGE_BYTES_MAX disturb anybody: the
 * stranger is hung up on and an honest link goes on. */
static void test_garbage(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    int fd = stranger(&pair);
    put(fd, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 35);
    expect_hang_up(pair.server, fd);
    close(fd);

    fd = stranger(&pair);
    shake_hands(fd, "");
    put(fd, "\0\6honest", 8);
    expect_text(pair.server, "honest");
    uint8_t huge[9] = {2}; /* a long frame of MESSAGE_BYTES_MAX + 1 bytes */
    uint64_t size = MESSAGE_BYTES_MAX + 1;
    for (int i = 0; i < 8; i++) {
        huge[1 + i] = (uint8_t)(size >> (56 - 8 * i));
    }
    int64_t before = now_ms();
    put(fd, huge, sizeof huge);
    expect_hang_up(pair.server, fd);
    assert_true(now_ms() - before < 2500); /* for its size: for silence it takes 3 s and more */
    close(fd);

    send_text(pair.dialler, server_peer, "still here");
    expect_text(pair.server, "still here");
    pair_close(&pair);
}

/* Proves: a message of several parts and one from a sender with a routing id of its own arrive as
 * empty frames, which no decoder takes, and the next good frame arrives whole. */
static void test_malformed_frames(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    int fd = stranger(&pair);
    shake_hands(fd, "");
    put(fd, "\1\3one\1\3two\0\5three\0\4good", 23);
    struct inbound in = expect(pair.server, INBOUND_FRAME);
    assert_int_equal(in.frame->size, 0);
    assert_true(in.link != 0);
    blob_unref(in.frame);
    expect_text(pair.server, "good");
    close(fd);

    fd = stranger(&pair);
    shake_hands(fd, "acceptor-1");
    put(fd, "\0\4evil", 6);
    in = expect(pair.server, INBOUND_FRAME);
    assert_int_equal(in.frame->size, 0);
    assert_int_equal(in.link, 0);
    blob_unref(in.frame);
    close(fd);
    struct frame *frame = frame_of("x", 1);
    assert_int_equal(net_send_link(pair.server, 0, frame), ERROR_UNAVAILABLE);
    frame_unref(frame);
    send_text(pair.dialler, server_peer, "still here");
    expect_text(pair.server, "still here");
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_bind),
        cmocka_unit_test(test_nothing_queues_to_the_dead),
        cmocka_unit_test(test_reconnect),
        cmocka_unit_test(test_listening_link_gone),
        cmocka_unit_test(test_forgotten_is_gone),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_frame_shared),
        cmocka_unit_test(test_fair),
        cmocka_unit_test(test_foreign_loop),
        cmocka_unit_test(test_wait),
        cmocka_unit_test(test_bad_addresses),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_malformed_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
