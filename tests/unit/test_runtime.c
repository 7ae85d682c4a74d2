/* The loop and the handshake of a daemon: a fake core in a process of its own, and this process as
 * its peers, over real sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/runtime/clock.h"
#include "common/runtime/runtime.h"
#include "common/wire/wire.h"
#include "tests/unit/wait.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_MS 10000
#define CLUSTER_ID 0x1122334455667788U
#define ELECTION_MS 300

/* Copied and checksummed for longer than ZeroMQ needs to send what was sent before. */
#define LARGE_BYTES ((size_t)64 * 1024 * 1024)

static const struct peer acceptor_1 = {ROLE_ACCEPTOR, 1};
static const struct peer acceptor_2 = {ROLE_ACCEPTOR, 2};
static const struct peer proposer_1 = {ROLE_PROPOSER, 1};
static const struct peer learner_1 = {ROLE_LEARNER, 1};

/* ---- the fake core: what it does is chosen by the sequence of a heartbeat */

enum order {
    ORDER_PERSIST =
        1, /* put a record; report SAID_NOW at once and ORDER_PERSIST when it is durable */
    ORDER_FATAL = 2, /* say fatal, with a report that must not leave */
    ORDER_TICK = 3,  /* report ORDER_TICK with the next tick, 30 ms later */
    ORDER_LOOK = 4, /* put a record; report SEEN_EARLY or ORDER_LOOK for what EVENT_WRITTEN reads */
    ORDER_STUBBORN = 5,      /* never finish */
    ORDER_PERSIST_LARGE = 7, /* the same with a record that takes a disk store some time */
    ORDER_ALL = 6,           /* tell all proposers */
    SAID_NOW = 101,
    SEEN_EARLY = 102,
    SEEN_NEVER = 103,
    SAID_GOODBYE = 104,
};

struct fake {
    struct store_reader reader;
    time_ms_t tick_at; /* 0: none */
    int looks;
    int is_seen_early;
    int is_stubborn;
};

static const struct slice the_key = {(const uint8_t *)"k", 1, NULL};

static void report(struct effects *out, enum send_when when, struct peer to, uint64_t sequence)
{
    effects_send(out, when, to, MSG_REPORT)->report.sequence = sequence;
}

static int can_read(struct fake *f)
{
    struct blob *value = NULL;
    int rc = f->reader.get(f->reader.self, the_key, &value);
    blob_unref(value);
    return rc == 0;
}

static void fake_on_order(struct fake *f, const struct event *event, struct effects *out)
{
    struct peer from = event->msg->from;
    switch (event->msg->heartbeat.sequence) {
    case ORDER_PERSIST:
        effects_put(out, RECORD_DURABLE, the_key, SLICE_EMPTY, slice_borrow("v", 1));
        report(out, SEND_AFTER_DURABLE, from, ORDER_PERSIST);
        report(out, SEND_NOW, from, SAID_NOW);
        break;
    case ORDER_PERSIST_LARGE: {
        uint8_t *data;
        struct blob *body = blob_new(LARGE_BYTES, &data);
        memset(data, 'v', LARGE_BYTES);
        effects_put(out, RECORD_DURABLE, the_key, SLICE_EMPTY, slice_of(body));
        blob_unref(body);
        report(out, SEND_AFTER_DURABLE, from, ORDER_PERSIST_LARGE);
        report(out, SEND_NOW, from, SAID_NOW);
        break;
    }
    case ORDER_FATAL:
        report(out, SEND_NOW, from, SAID_NOW);
        effects_fatal(out, ERROR_CORRUPT, "the sky fell (it does); try: later");
        break;
    case ORDER_TICK:
        f->tick_at = event->now + 30;
        break;
    case ORDER_LOOK:
        effects_put(out, RECORD_LAZY, the_key, SLICE_EMPTY, slice_borrow("v", 1));
        f->is_seen_early = can_read(f);
        f->looks = 1;
        break;
    case ORDER_STUBBORN:
        f->is_stubborn = 1;
        effects_reply(out, SEND_NOW, event->msg, MSG_REPORT)->report.sequence = ORDER_STUBBORN;
        break;
    case ORDER_ALL:
        effects_broadcast(out, SEND_NOW, ROLE_PROPOSER, MSG_REPORT)->report.sequence = ORDER_ALL;
        break;
    default:
        effects_reply(out, SEND_NOW, event->msg, MSG_REPORT)->report.sequence =
            event->msg->heartbeat.sequence;
        break;
    }
}

static void fake_step(void *self, const struct event *event, struct effects *out)
{
    struct fake *f = self;
    if (event->kind == EVENT_MESSAGE && event->msg->kind == MSG_HEARTBEAT) {
        fake_on_order(f, event, out);
    } else if (event->kind == EVENT_TICK && f->tick_at != 0 && event->now >= f->tick_at) {
        report(out, SEND_NOW, proposer_1, ORDER_TICK);
        f->tick_at = 0;
    } else if (event->kind == EVENT_FLUSH && f->tick_at != 0) {
        effects_wake(out, f->tick_at);
    } else if (event->kind == EVENT_WRITTEN && f->looks) {
        uint64_t seen = f->is_seen_early ? SEEN_EARLY : can_read(f) ? ORDER_LOOK : SEEN_NEVER;
        report(out, SEND_NOW, proposer_1, seen);
        f->looks = 0;
    } else if (event->kind == EVENT_SHUTDOWN) {
        report(out, SEND_NOW, proposer_1, SAID_GOODBYE);
        out->finished = !f->is_stubborn;
    }
}

/* ---- the daemon under test, as acceptor 1 */

struct daemon {
    struct config cfg;
    pid_t pid;
    char dir[64];
    char log[96];
};

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

static void make_config(struct config *cfg)
{
    config_for_localhost(cfg, "test", CLUSTER_ID, 2, 2, 1, 20000);
    cfg->election_ms = ELECTION_MS;
    for (int i = 0; i < 2; i++) {
        snprintf(cfg->acceptors[i].address, sizeof cfg->acceptors[i].address, "tcp://127.0.0.1:%d",
                 free_port());
    }
}

/* Becomes the daemon. Never returns. */
static void run_daemon(const struct daemon *d, struct peer self, struct store *store)
{
    struct fake fake = {.reader = store_reader(store)};
    int log = open(d->log, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    dup2(log, STDERR_FILENO);
    alarm(60); /* a test that fails leaves nothing behind */
    int rc = runtime_run(&(struct runtime_options){.config = &d->cfg,
                                                   .self = self,
                                                   .incarnation = 4711,
                                                   .core = {&fake, fake_step},
                                                   .store = store});
    _exit(error_exit_status(rc));
}

static void prepare(struct daemon *d)
{
    const char *tmp = getenv("TMPDIR");
    memset(d, 0, sizeof *d);
    snprintf(d->dir, sizeof d->dir, "%.40s/synod-rt.XXXXXX", tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(d->dir));
    snprintf(d->log, sizeof d->log, "%s/log", d->dir);
    make_config(&d->cfg);
}

/* Before the test opens a net of its own: a fork would share ZeroMQ's descriptors. */
static void launch(struct daemon *d, struct peer self)
{
    d->pid = fork();
    assert_true(d->pid >= 0);
    if (d->pid == 0) {
        run_daemon(d, self, store_open_memory());
    }
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

/* Waits for the daemon's end and returns its exit status. Its log, up to size bytes, is in *log. */
static int finish(struct daemon *d, char *log, size_t size)
{
    int64_t deadline = clock_now_ms() + DEADLINE_MS;
    int status;
    pid_t done = 0;
    while (done == 0 && clock_now_ms() < deadline) {
        done = waitpid(d->pid, &status, WNOHANG);
        usleep(2000);
    }
    if (done == 0) {
        kill(d->pid, SIGKILL);
        waitpid(d->pid, &status, 0);
        fail_msg("the daemon did not end");
    }
    FILE *f = fopen(d->log, "r");
    assert_non_null(f);
    size_t n = fread(log, 1, size - 1, f);
    log[n] = '\0';
    fclose(f);
    nftw(d->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void stop(struct daemon *d)
{
    char log[8192];
    kill(d->pid, SIGTERM);
    int status = finish(d, log, sizeof log);
    if (status != 0) {
        fail_msg("exit status %d: %s", status, log);
    }
}

/* ---- a peer of it */

struct actor {
    struct net *net;
    struct peer self;
    struct peer to;
    uint64_t incarnation;
    struct wire_context wire;
    struct arena arena;
    struct message got; /* by the last expect; slices point into frame */
    struct blob *frame;
    link_t link; /* of got */
};

static void actor_open(struct actor *a, struct peer self, uint64_t incarnation)
{
    struct errmsg err;
    memset(a, 0, sizeof *a);
    a->self = self;
    a->incarnation = incarnation;
    a->to = acceptor_1;
    a->wire = (struct wire_context){CLUSTER_ID, 1};
    assert_int_equal(net_open(&a->net, &err), 0);
}

static void actor_close(struct actor *a)
{
    blob_unref(a->frame);
    net_close(a->net);
    arena_close(&a->arena);
}

static void wait_up(struct actor *a)
{
    int64_t deadline = clock_now_ms() + DEADLINE_MS;
    while (!net_is_up(a->net, a->to)) {
        struct inbound in;
        assert_true(clock_now_ms() < deadline);
        while (net_receive(a->net, &in)) {
            blob_unref(in.frame);
        }
        wait_for(a->net, 20, -1);
    }
}

static void actor_dial(struct actor *a, const struct daemon *d, struct peer self,
                       uint64_t incarnation)
{
    struct errmsg err;
    actor_open(a, self, incarnation);
    assert_int_equal(net_dial(a->net, a->to, d->cfg.acceptors[0].address, &err), 0);
    wait_up(a);
}

static struct frame *encode(struct actor *a, struct message *msg)
{
    uint8_t *data;
    size_t size;
    msg->from = a->self;
    msg->incarnation = a->incarnation;
    assert_int_equal(wire_encode(&a->wire, msg, &data, &size), 0);
    return frame_new(data, size);
}

static void tell(struct actor *a, struct message *msg)
{
    struct frame *frame = encode(a, msg);
    assert_int_equal(net_send(a->net, a->to, frame), 0);
    frame_unref(frame);
}

static void answer(struct actor *a, struct message *msg)
{
    struct frame *frame = encode(a, msg);
    assert_int_equal(net_send_link(a->net, a->link, frame), 0);
    frame_unref(frame);
}

static void tell_hello(struct actor *a, struct peer wanted, uint32_t version)
{
    struct message msg = {.kind = MSG_HELLO};
    msg.hello =
        (struct msg_hello){.version_min = version, .version_max = version, .wanted = wanted};
    tell(a, &msg);
}

static void tell_order(struct actor *a, uint64_t sequence)
{
    struct message msg = {.kind = MSG_HEARTBEAT};
    msg.heartbeat.sequence = sequence;
    tell(a, &msg);
}

/* Waits for the next message: 1 and a->got, or 0 after timeout_ms. */
static int next(struct actor *a, int64_t timeout_ms)
{
    int64_t deadline = clock_now_ms() + timeout_ms;
    for (;;) {
        struct inbound in;
        while (net_receive(a->net, &in)) {
            if (in.kind == INBOUND_FRAME) {
                enum refusal refusal;
                struct errmsg err;
                blob_unref(a->frame);
                a->frame = in.frame;
                a->link = in.link;
                if (wire_decode(&a->wire, in.frame, &a->arena, &a->got, &refusal, &err) != 0) {
                    fail_msg("undecodable: %s", err.text);
                }
                return 1;
            }
        }
        int64_t left = deadline - clock_now_ms();
        if (left <= 0) {
            return 0;
        }
        wait_for(a->net, left, -1);
    }
}

static void expect(struct actor *a, enum message_kind kind)
{
    if (!next(a, DEADLINE_MS)) {
        fail_msg("no %s came", message_kind_name(kind));
    }
    if (a->got.kind != kind) {
        fail_msg("%s came instead of %s", message_kind_name(a->got.kind), message_kind_name(kind));
    }
}

static void expect_refused(struct actor *a, enum refusal reason)
{
    expect(a, MSG_REFUSED);
    assert_int_equal(a->got.refused.reason, reason);
    assert_true(a->got.refused.text.size > 10);
}

static void expect_report(struct actor *a, uint64_t sequence)
{
    expect(a, MSG_REPORT);
    assert_int_equal(a->got.report.sequence, sequence);
}

/* Shakes hands as proposer 1. */
static void enter(struct actor *a, const struct daemon *d, uint64_t incarnation)
{
    actor_dial(a, d, proposer_1, incarnation);
    tell_hello(a, acceptor_1, PROTOCOL_VERSION);
    expect(a, MSG_WELCOME);
}

/* ---- tests */

/* Proves: hello is answered with welcome, a message reaches the core and its answer comes back with
 * the sender's identity and the echo; an echo of another incarnation never reaches the core. */
static void test_handshake(void **state)
{
    (void)state;
    struct daemon d;
    struct actor a;
    prepare(&d);
    launch(&d, acceptor_1);
    enter(&a, &d, 77);
    assert_int_equal(a.got.echo, 77);
    assert_int_equal(a.got.incarnation, 4711);
    assert_true(peer_equal(a.got.from, acceptor_1));
    assert_int_equal(a.got.welcome.version, PROTOCOL_VERSION);

    struct message stale = {.kind = MSG_HEARTBEAT, .echo = 4712};
    stale.heartbeat.sequence = 900;
    tell(&a, &stale);
    tell_order(&a, 901);
    expect_report(&a, 901);
    assert_int_equal(a.got.echo, 77);
    actor_close(&a);
    stop(&d);
}

/* Proves: what may leave at once leaves before what waits for the disk; EVENT_WRITTEN sees the
 * turn's record and no step before it does. */
static void test_turn(void **state)
{
    (void)state;
    struct daemon d;
    struct actor a;
    prepare(&d);
    launch(&d, acceptor_1);
    enter(&a, &d, 77);
    tell_order(&a, ORDER_LOOK);
    expect_report(&a, ORDER_LOOK);
    tell_order(&a, ORDER_PERSIST);
    expect_report(&a, SAID_NOW);
    expect_report(&a, ORDER_PERSIST);
    tell_order(&a, ORDER_TICK);
    expect_report(&a, ORDER_TICK);
    tell_order(&a, ORDER_ALL);
    expect_report(&a, ORDER_ALL);
    actor_close(&a);
    stop(&d);
}

/* Proves: each wrong way to say hello has its own refusal, and none disturbs an honest peer. */
static void test_refusals(void **state)
{
    (void)state;
    struct daemon d;
    struct actor honest;
    struct actor a;
    prepare(&d);
    launch(&d, acceptor_1);
    enter(&honest, &d, 77);

    actor_dial(&a, &d, learner_1, 5);
    tell_hello(&a, acceptor_2, PROTOCOL_VERSION);
    expect_refused(&a, REFUSED_IDENTITY);
    tell_hello(&a, acceptor_1, PROTOCOL_VERSION + 1);
    expect_refused(&a, REFUSED_VERSION);
    a.self = proposer_1; /* of which there is one */
    tell_hello(&a, acceptor_1, PROTOCOL_VERSION);
    expect_refused(&a, REFUSED_DUPLICATE);
    expect(&honest, MSG_WELCOME); /* it was asked whether it is there */
    assert_int_equal(honest.got.echo, 0);
    tell_hello(&honest, acceptor_1, PROTOCOL_VERSION);
    expect(&honest, MSG_WELCOME);
    a.self = (struct peer){ROLE_PROPOSER, 9};
    tell_hello(&a, acceptor_1, PROTOCOL_VERSION);
    expect_refused(&a, REFUSED_IDENTITY);
    actor_close(&a);

    actor_dial(&a, &d, (struct peer){ROLE_CLIENT, 5}, 5); /* acceptors serve no clients */
    tell_hello(&a, acceptor_1, PROTOCOL_VERSION);
    expect_refused(&a, REFUSED_IDENTITY);
    actor_close(&a);

    actor_dial(&a, &d, learner_1, 5);
    a.wire.cluster_id = CLUSTER_ID + 1;
    tell_hello(&a, acceptor_1, PROTOCOL_VERSION);
    expect_refused(&a, REFUSED_CLUSTER);
    actor_close(&a);

    tell_order(&honest, 900);
    expect_report(&honest, 900);
    actor_close(&honest);
    stop(&d);
}

/* Proves: garbage is answered once a link, and others are served meanwhile. */
static void test_garbage(void **state)
{
    (void)state;
    struct daemon d;
    struct actor honest;
    struct actor a;
    prepare(&d);
    launch(&d, acceptor_1);
    enter(&honest, &d, 77);
    actor_dial(&a, &d, learner_1, 5);
    for (int i = 0; i < 50; i++) {
        uint8_t *data = malloc(40);
        memset(data, 0xdd, 40);
        struct frame *frame = frame_new(data, 40);
        assert_int_equal(net_send(a.net, acceptor_1, frame), 0);
        frame_unref(frame);
    }
    expect_refused(&a, REFUSED_MALFORMED);
    tell_hello(&a, acceptor_1, PROTOCOL_VERSION); /* the same link may still become honest */
    expect(&a, MSG_WELCOME);
    tell_order(&honest, 900);
    expect_report(&honest, 900);
    actor_close(&a);
    actor_close(&honest);
    stop(&d);
}

/* Says hello until it is welcome, for at most timeout_ms, and returns how long that took; -1 if it
 * never was. `former`, if not NULL, answers when it is asked. */
static int64_t knock(struct actor *a, struct actor *former, int64_t timeout_ms)
{
    int64_t start = clock_now_ms();
    while (clock_now_ms() - start < timeout_ms) {
        tell_hello(a, acceptor_1, PROTOCOL_VERSION);
        while (former != NULL && next(former, 5)) {
            if (former->got.kind == MSG_WELCOME && former->got.echo == 0) {
                tell_hello(former, acceptor_1, PROTOCOL_VERSION);
            }
        }
        while (next(a, 20)) {
            if (a->got.kind == MSG_WELCOME) {
                return clock_now_ms() - start;
            }
        }
    }
    return -1;
}

/* Proves: a second process with a living one's name stays out for many election timeouts, and the
 * living one is served all the time; as soon as its connection is gone the other gets in. */
static void test_duplicate(void **state)
{
    (void)state;
    struct daemon d;
    struct actor first;
    struct actor second;
    prepare(&d);
    launch(&d, acceptor_1);
    enter(&first, &d, 77);
    actor_dial(&second, &d, proposer_1, 78);
    assert_int_equal(knock(&second, &first, 4 * ELECTION_MS), -1);
    while (next(&first, 50)) {
        assert_int_equal(first.got.kind, MSG_WELCOME);
    }
    tell_order(&first, 900);
    expect_report(&first, 900);
    actor_close(&first);
    assert_true(knock(&second, NULL, DEADLINE_MS) >= 0);
    tell_order(&second, 901);
    expect_report(&second, 901);
    actor_close(&second);
    stop(&d);
}

/* Proves: a former self whose connection looks alive but who does not answer is replaced after an
 * election timeout, not before. */
static void test_silent_former(void **state)
{
    (void)state;
    struct daemon d;
    struct actor first;
    struct actor second;
    prepare(&d);
    launch(&d, acceptor_1);
    enter(&first, &d, 77);
    actor_dial(&second, &d, proposer_1, 78);
    int64_t took = knock(&second, NULL, DEADLINE_MS);
    assert_true(took >= ELECTION_MS - 50);
    assert_true(took < 10 * ELECTION_MS);
    actor_close(&first);
    actor_close(&second);
    stop(&d);
}

/* Proves: a core that says fatal ends the process with its sentence, status 1 and no message. */
static void test_fatal(void **state)
{
    (void)state;
    struct daemon d;
    struct actor a;
    char log[8192];
    prepare(&d);
    launch(&d, acceptor_1);
    enter(&a, &d, 77);
    tell_order(&a, ORDER_FATAL);
    assert_int_equal(finish(&d, log, sizeof log), 1);
    assert_non_null(strstr(log, "\nerror: the sky fell (it does); try: later\n"));
    assert_int_equal(next(&a, 100), 0);
    actor_close(&a);
}

/* Proves: when the disk fails (TRAPS 1) the process says so and ends, and the message that waited
 * for it never leaves, while the one that did not wait did. */
static void test_failed_write(void **state)
{
    (void)state;
    struct daemon d;
    struct actor a;
    char log[8192];
    char dir[96];
    struct errmsg err;
    const struct store_identity identity = {CLUSTER_ID, acceptor_1, "paxos"};
    prepare(&d);
    snprintf(dir, sizeof dir, "%s/store", d.dir);
    int rc = store_create(dir, &identity, 1, &err);
    if (rc != 0) {
        fail_msg("%s", err.text);
    }
    d.pid = fork();
    if (d.pid == 0) {
        struct store *store;
        signal(SIGXFSZ, SIG_IGN);
        if (store_open(dir, &identity, 1, &store, &err) != 0) {
            _exit(99);
        }
        const struct rlimit some = {LARGE_BYTES / 4, RLIM_INFINITY}; /* enough for the log */
        setrlimit(RLIMIT_FSIZE, &some);
        run_daemon(&d, acceptor_1, store);
    }
    enter(&a, &d, 77);
    tell_order(&a, ORDER_PERSIST_LARGE);
    expect_report(&a, SAID_NOW);
    assert_int_equal(finish(&d, log, sizeof log), 1);
    assert_non_null(strstr(log, "error: "));
    assert_int_equal(next(&a, 100), 0);
    actor_close(&a);
}

/* How long a core that never finishes is waited for after a signal, or after two. */
static int64_t stop_stubborn(int second_signal)
{
    struct daemon d;
    struct actor a;
    char log[8192];
    prepare(&d);
    launch(&d, acceptor_1);
    enter(&a, &d, 77);
    tell_order(&a, ORDER_STUBBORN);
    expect_report(&a, ORDER_STUBBORN);
    int64_t before = clock_now_ms();
    kill(d.pid, SIGINT);
    expect_report(&a, SAID_GOODBYE);
    if (second_signal) {
        kill(d.pid, SIGTERM);
    }
    assert_int_equal(finish(&d, log, sizeof log), 0);
    int64_t took = clock_now_ms() - before;
    actor_close(&a);
    return took;
}

/* Proves: SIGTERM lets the core say its last words and ends with 0; a core that never finishes is
 * stopped after two election timeouts, or by a second signal at once. */
static void test_shutdown(void **state)
{
    (void)state;
    struct daemon d;
    struct actor a;
    char log[8192];
    prepare(&d);
    launch(&d, acceptor_1);
    enter(&a, &d, 77);
    kill(d.pid, SIGTERM);
    expect_report(&a, SAID_GOODBYE);
    assert_int_equal(finish(&d, log, sizeof log), 0);
    assert_non_null(strstr(log, "event=ready"));
    assert_non_null(strstr(log, "event=stopped"));
    actor_close(&a);

    assert_true(stop_stubborn(0) >= 2 * ELECTION_MS);
    /* A busy machine may make it wait, but not every time. */
    int64_t least = INT64_MAX;
    for (int i = 0; i < 10 && least >= 2 * ELECTION_MS; i++) {
        int64_t took = stop_stubborn(1);
        least = took < least ? took : least;
    }
    assert_true(least < 2 * ELECTION_MS);
}

/* Proves: an address in use ends the process with status 3 and the address in the sentence. */
static void test_address_in_use(void **state)
{
    (void)state;
    struct daemon d;
    char log[8192];
    prepare(&d);
    struct sockaddr_in in_use = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    in_use.sin_port =
        htons((uint16_t)strtol(strrchr(d.cfg.acceptors[0].address, ':') + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in_use, sizeof in_use), 0);
    assert_int_equal(listen(fd, 1), 0);
    launch(&d, acceptor_1);
    assert_int_equal(finish(&d, log, sizeof log), 3);
    assert_non_null(strstr(log, "error: cannot listen on tcp://127.0.0.1:"));
    assert_non_null(strstr(log, "already in use"));
    close(fd);
}

/* Proves: a process that dials repeats its hello until it is answered, tells its own incarnation,
 * and, refused as a duplicate for five seconds, says so and ends with status 4. */
static void test_gives_up_as_duplicate(void **state)
{
    (void)state;
    struct daemon d;
    struct actor a;
    struct errmsg err;
    char log[16384];
    prepare(&d);
    launch(&d, acceptor_2);
    actor_open(&a, acceptor_1, 77);
    assert_int_equal(net_listen(a.net, d.cfg.acceptors[0].address, NET_PORT_PEER, &err), 0);
    for (int i = 0; i < 3; i++) { /* unanswered ones are repeated */
        expect(&a, MSG_HELLO);
        assert_true(peer_equal(a.got.hello.wanted, acceptor_1));
        assert_int_equal(a.got.incarnation, 4711);
    }
    int64_t before = clock_now_ms();
    /* It asks ten times a second; silence says that it has ended. */
    while (clock_now_ms() - before < DEADLINE_MS && next(&a, 1000)) {
        struct message msg = {.kind = MSG_REFUSED, .echo = a.got.incarnation};
        msg.refused.reason = REFUSED_DUPLICATE;
        msg.refused.text = slice_borrow("there is one", 12);
        struct frame *frame = encode(&a, &msg);
        (void)net_send_link(a.net, a.link, frame);
        frame_unref(frame);
    }
    assert_int_equal(finish(&d, log, sizeof log), 4);
    assert_true(clock_now_ms() - before >= 4500);
    assert_non_null(strstr(log, "error: cannot serve as acceptor 2 (another live process has"));
    actor_close(&a);
}

/* Proves: a dialler that is refused for another reason goes on asking and lives; once welcomed it
 * asks no more, and says hello when it is asked whether it is there. */
static void test_dialler(void **state)
{
    (void)state;
    struct daemon d;
    struct actor a;
    struct errmsg err;
    prepare(&d);
    launch(&d, acceptor_2);
    actor_open(&a, acceptor_1, 77);
    assert_int_equal(net_listen(a.net, d.cfg.acceptors[0].address, NET_PORT_PEER, &err), 0);
    expect(&a, MSG_HELLO);
    struct message refused = {.kind = MSG_REFUSED, .echo = a.got.incarnation};
    refused.refused.reason = REFUSED_VERSION;
    refused.refused.text = slice_borrow("too \"old\"\n", 10);
    answer(&a, &refused);
    expect(&a, MSG_HELLO);
    struct message welcome = {.kind = MSG_WELCOME, .echo = a.got.incarnation};
    welcome.welcome.version = PROTOCOL_VERSION;
    answer(&a, &welcome);
    while (next(&a, 400)) { /* hellos that were under way before it was welcomed */
        assert_int_equal(a.got.kind, MSG_HELLO);
    }
    welcome.echo = 0; /* are you there? */
    answer(&a, &welcome);
    expect(&a, MSG_HELLO);
    actor_close(&a);
    stop(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshake),
        cmocka_unit_test(test_turn),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_duplicate),
        cmocka_unit_test(test_silent_former),
        cmocka_unit_test(test_fatal),
        cmocka_unit_test(test_failed_write),
        cmocka_unit_test(test_shutdown),
        cmocka_unit_test(test_address_in_use),
        cmocka_unit_test(test_gives_up_as_duplicate),
        cmocka_unit_test(test_dialler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
