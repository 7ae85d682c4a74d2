#include "common/client/handle.h"

#include "common/base/check.h"
#include "common/base/memory.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_MS_DEFAULT 10000
#define SESSION_TTL_MS_DEFAULT 60000

/* Longest wait for the result of the command that closes the session. */
#define CLOSE_WAIT_MS 200

/* A handle that took no turn for so long may have answers waiting in its sockets. */
#define LATE_MS 300

/* How often one turn sends what callbacks of its own flush gave the core to do. */
#define FLUSHES_MAX 4

/* The public codes are the internal ones, so that no table has to translate them. */
_Static_assert((int)SYNOD_E_USAGE == (int)ERROR_USAGE, "codes differ");
_Static_assert((int)SYNOD_E_BUSY == (int)ERROR_BUSY, "codes differ");
_Static_assert((int)SYNOD_E_UNAVAILABLE == (int)ERROR_UNAVAILABLE, "codes differ");
_Static_assert((int)SYNOD_E_REFUSED == (int)ERROR_REFUSED, "codes differ");
_Static_assert((int)SYNOD_E_CORRUPT == (int)ERROR_CORRUPT, "codes differ");
_Static_assert((int)SYNOD_E_INTERNAL == (int)ERROR_INTERNAL, "codes differ");
_Static_assert((int)SYNOD_E_NOT_FOUND == (int)ERROR_NOT_FOUND, "codes differ");
_Static_assert((int)SYNOD_E_INTERRUPTED == (int)ERROR_INTERRUPTED, "codes differ");
_Static_assert((int)SYNOD_E_SESSION == (int)ERROR_SESSION, "codes differ");
_Static_assert((int)SYNOD_E_COMPACTED == (int)ERROR_COMPACTED, "codes differ");
_Static_assert((int)SYNOD_E_FUTURE == (int)ERROR_FUTURE, "codes differ");
_Static_assert((int)SYNOD_E_LEASE == (int)ERROR_LEASE, "codes differ");
_Static_assert((int)SYNOD_E_EXISTS == (int)ERROR_EXISTS, "codes differ");
_Static_assert((int)SYNOD_E_TOO_LARGE == (int)ERROR_TOO_LARGE, "codes differ");
_Static_assert((int)SYNOD_E_LOST == (int)ERROR_LOST, "codes differ");
_Static_assert((int)SYNOD_E_CHANGED == (int)ERROR_CHANGED, "codes differ");
_Static_assert((int)SYNOD_E_UNFIT == (int)ERROR_UNFIT, "codes differ");
_Static_assert(SYNOD_RECORD_BYTES_MAX == RECORD_BYTES_MAX, "limits differ");
_Static_assert(SYNOD_OUTSTANDING_MAX == CLIENT_OUTSTANDING_MAX, "limits differ");
_Static_assert(SYNOD_OUTSTANDING_BYTES_MAX == CLIENT_OUTSTANDING_BYTES_MAX, "limits differ");
_Static_assert(SYNOD_OUTSTANDING_BYTES_MAX < CLIENT_PENDING_BYTES_MAX,
               "one handle must not exhaust its budget at the proposer");
_Static_assert(SYNOD_ERROR_BYTES == sizeof(struct errmsg), "sentences differ");

/* ---- time and forks */

/* The clock that goes on while the machine sleeps, as the cluster's does: what ended meanwhile is
 * not taken for alive on waking up. */
time_ms_t handle_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (time_ms_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

time_ms_t handle_deadline(const struct synod *s, uint32_t timeout_ms)
{
    return time_after(handle_now(), timeout_ms != 0 ? timeout_ms : s->timeout_ms);
}

/* Forks between this process and the one that first opened a handle. A child has none of the
 * threads that serve its parent's sockets, and would wait for them for ever; to ask for the id of
 * the process instead would cost every call a system call. */
static atomic_uint forks;

static void on_fork_in_child(void)
{
    atomic_fetch_add_explicit(&forks, 1, memory_order_relaxed);
}

static void watch_forks(void)
{
    int rc = pthread_atfork(NULL, NULL, on_fork_in_child);
    CHECK(rc == 0);
}

int handle_is_ours(const struct synod *s)
{
    return s->forks == atomic_load_explicit(&forks, memory_order_relaxed);
}

int handle_check(struct synod *s)
{
    if (!handle_is_ours(s)) {
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "the handle belongs to the process that forked this one (its connections "
                          "cannot be shared); try: to open one here");
    }
    if (s->is_closing) {
        return errmsg_set(&s->err, SYNOD_E_USAGE, "the handle is being closed; try: a new one");
    }
    return SYNOD_OK;
}

int handle_may_block(struct synod *s)
{
    int rc = handle_check(s);
    if (rc != SYNOD_OK) {
        return rc;
    }
    if (s->is_in_turn) {
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "a callback may not wait; try: the asynchronous call, or to wait after "
                          "synod_poll");
    }
    s->now = handle_now();
    return SYNOD_OK;
}

/* ---- open */

static int draw_nonce(uint64_t *out, struct errmsg *err)
{
    uint64_t nonce = 0;
    while (nonce == 0) {
        if (getrandom(&nonce, sizeof nonce, 0) != (ssize_t)sizeof nonce) {
            return errmsg_set(err, SYNOD_E_INTERNAL, "the kernel gives no random bits");
        }
    }
    *out = nonce;
    return 0;
}

static int load_config(struct synod *s, const struct synod_options *options, struct errmsg *err)
{
    const char *path = options->cluster != NULL ? options->cluster : getenv("SYNOD_CLUSTER");
    if (path == NULL || path[0] == '\0') {
        return errmsg_set(err, SYNOD_E_USAGE,
                          "no cluster is named (no file was given and SYNOD_CLUSTER is not set); "
                          "try: --cluster cluster.yml");
    }
    int rc = config_load(path, &s->config, err);
    if (rc != 0) {
        return rc == ERROR_IO || rc == ERROR_NOT_FOUND ? SYNOD_E_USAGE : rc;
    }
    const struct members *members = &s->config.members;
    if (members->proposer_count == 0 || members->learner_count == 0) {
        return errmsg_set(err, SYNOD_E_USAGE, "cluster.yml lists no %s",
                          members->proposer_count == 0 ? "proposers" : "learners");
    }
    if (options->learner != 0 && members_learner_index(members, options->learner) < 0) {
        return errmsg_set(err, SYNOD_E_USAGE,
                          "there is no learner %u (cluster.yml lists %zu); try: one of its ids",
                          options->learner, members->learner_count);
    }
    return 0;
}

static int open_handle(struct synod *s, const struct synod_options *options, struct errmsg *err)
{
    int rc = load_config(s, options, err);
    if (rc == 0) {
        rc = draw_nonce(&s->nonce, err);
    }
    if (rc != 0) {
        return rc;
    }
    const struct client_options client = {
        .members = s->config.members,
        .pinned = options->learner,
        .nonce = s->nonce,
        .seed = s->nonce,
        .session_ttl_ms =
            options->session_ttl_ms != 0 ? options->session_ttl_ms : SESSION_TTL_MS_DEFAULT,
        .is_raft = s->config.protocol == CONFIG_RAFT,
        .election_ms = s->config.election_ms,
    };
    s->core = client_new(&client);
    s->transport.pinned = options->learner;
    s->timeout_ms = options->timeout_ms != 0 ? options->timeout_ms : TIMEOUT_MS_DEFAULT;
    return transport_open(s, err);
}

static void free_handle(struct synod *s)
{
    if (s->loop_fd >= 0) {
        close(s->timer_fd);
        close(s->loop_fd);
    }
    awaited_drop_all(s);
    calls_give_up(s);
    commanded_free_all(s);
    synod_result_free(s->borrowed);
    effects_close(&s->fx);
    client_free(s->core);
    transport_close(s);
    free(s);
}

int synod_open(const struct synod_options *options, struct synod **out, char *why)
{
    static const struct synod_options defaults;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct errmsg err = {""};
    pthread_once(&once, watch_forks);
    struct synod *s = memory_calloc(1, sizeof *s);
    s->loop_fd = s->timer_fd = -1;
    s->forks = atomic_load_explicit(&forks, memory_order_relaxed);
    s->wake = TIME_NEVER;
    effects_init(&s->fx);
    int rc = open_handle(s, options != NULL ? options : &defaults, &err);
    if (rc != 0) {
        free_handle(s);
        if (why != NULL) {
            memcpy(why, err.text, sizeof err.text);
        }
        return rc;
    }
    *out = s;
    return SYNOD_OK;
}

const char *synod_error(const struct synod *s)
{
    return s->err.text;
}

size_t synod_outstanding(const struct synod *s)
{
    return client_outstanding(s->core);
}

uint64_t synod_last_id(const struct synod *s)
{
    return s->last_id;
}

/* ---- the turn */

static time_ms_t earlier(time_ms_t a, time_ms_t b)
{
    return a < b ? a : b;
}

/* What callbacks give the core to do leaves in the same turn. */
static void flush(struct synod *s)
{
    for (int i = 0; i < FLUSHES_MAX; i++) {
        uint64_t told_count = s->told_count;
        transport_step(s, EVENT_FLUSH, NULL, (struct peer){ROLE_NONE, 0});
        if (s->told_count == told_count) {
            return;
        }
    }
    s->wake = s->now;
}

/* Everything that time alone makes due, or what arrived has made possible. */
static void work(struct synod *s)
{
    s->now = handle_now();
    flush(s);
    time_ms_t wake = transport_work(s); /* last: the core may have changed whom it wants */
    s->wake = earlier(s->wake, wake);
}

/* Answers that came while nobody polled are taken before anything is called silent. */
static void take_late(struct synod *s)
{
    time_ms_t now = handle_now();
    if (s->turned_at != 0 && now - s->turned_at >= LATE_MS) {
        s->now = now;
        transport_receive(s);
    }
}

/* Does not wait if anything was told, because that may be what the caller waits for. */
static int take_turn(struct synod *s, time_ms_t until)
{
    uint64_t told_count = s->told_count;
    completions_tell(s);
    take_late(s);
    work(s);
    time_ms_t wake = earlier(s->wake, until);
    if (transport_receive(s) == 0 && s->told_count == told_count && wake > s->now &&
        handle_is_ours(s)) {
        int64_t wait_ms = wake == TIME_NEVER ? -1 : wake - s->now;
        if (net_wait(s->transport.net, wait_ms, -1) == ERROR_INTERRUPTED) {
            return errmsg_set(&s->err, SYNOD_E_INTERRUPTED, "interrupted by a signal");
        }
        s->now = handle_now();
        transport_receive(s);
    }
    work(s);
    if (transport_all_refuse(s)) {
        return errmsg_set(&s->err, SYNOD_E_REFUSED,
                          "%s; try: the cluster.yml that the servers were started with",
                          s->transport.refused_text);
    }
    return SYNOD_OK;
}

/* Makes loop_fd readable at once (now), or when something is due. */
static void arm_timer(const struct synod *s, int is_now)
{
    struct itimerspec at = {0}; /* zero: never */
    if (is_now) {
        at.it_value.tv_nsec = 1;
    } else if (s->wake != TIME_NEVER) {
        at.it_value.tv_sec = s->wake / 1000;
        at.it_value.tv_nsec = s->wake % 1000 * 1000000 + 1;
    }
    timerfd_settime(s->timer_fd, is_now ? 0 : TFD_TIMER_ABSTIME, &at, NULL);
}

int handle_turn(struct synod *s, time_ms_t until)
{
    CHECK(!s->is_in_turn);
    s->is_in_turn = 1;
    int rc = take_turn(s, until);
    if (s->loop_fd >= 0) {
        /* Sending may have taken notice of what arrived meanwhile, and then the net's descriptor is
         * silent about it: look once more, and if there was something ask to be called again. */
        arm_timer(s, transport_receive(s) > 0);
    }
    s->is_in_turn = 0;
    s->turned_at = s->now;
    return handle_is_ours(s) ? rc : handle_check(s); /* a callback forked, and this is the child */
}

void handle_flush(struct synod *s)
{
    if (s->is_in_turn || s->fx.completion_count > 0) {
        return; /* the turn flushes when its callbacks have returned, the next one at its start */
    }
    s->now = handle_now();
    transport_step(s, EVENT_FLUSH, NULL, (struct peer){ROLE_NONE, 0});
}

void handle_nudge(struct synod *s)
{
    if (client_has_full_block(s->core)) {
        handle_flush(s);
    }
}

/* ---- poll */

int synod_fd(struct synod *s)
{
    if (handle_check(s) != SYNOD_OK) {
        return -1;
    }
    if (s->loop_fd >= 0) {
        return s->loop_fd;
    }
    int loop = epoll_create1(EPOLL_CLOEXEC);
    int timer = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (loop < 0 || timer < 0 ||
        epoll_ctl(loop, EPOLL_CTL_ADD, net_fd(s->transport.net), &event) != 0 ||
        epoll_ctl(loop, EPOLL_CTL_ADD, timer, &event) != 0) {
        errmsg_set(&s->err, SYNOD_E_INTERNAL, "no descriptor to wait on (%s); try: ulimit -n",
                   strerror(errno));
        if (loop >= 0) {
            close(loop);
        }
        if (timer >= 0) {
            close(timer);
        }
        return -1;
    }
    s->loop_fd = loop;
    s->timer_fd = timer;
    arm_timer(s, 1);
    return loop;
}

int synod_poll(struct synod *s, uint32_t timeout_ms)
{
    int rc = handle_may_block(s);
    if (rc != SYNOD_OK) {
        return rc;
    }
    return handle_turn(s, time_after(s->now, timeout_ms));
}

/* ---- close */

/* Whoever waits is told that it was in vain. */
static void interrupt_all(struct synod *s)
{
    s->is_in_turn = 1;
    completions_tell(s);
    s->is_closing = 1; /* a callback may not add to what is being ended */
    client_close(s->core, &s->fx);
    completions_tell(s);
    awaited_drop_all(s);
    calls_give_up(s);
    work(s);
    s->is_in_turn = 0;
}

int synod_close(struct synod *s)
{
    if (s == NULL) {
        return SYNOD_OK;
    }
    CHECK(!s->is_in_turn); /* in a callback: what calls it would go on with freed memory */
    if (!handle_is_ours(s)) {
        free_handle(s);
        return SYNOD_E_USAGE;
    }
    interrupt_all(s);
    /* The cluster forgets an abandoned session by itself after its ttl; closing it gives the memory
     * back at once, so it is worth a moment but not more. */
    time_ms_t until = handle_now() + CLOSE_WAIT_MS;
    while (!s->is_finished && s->now < until && handle_turn(s, until) == SYNOD_OK) {
    }
    free_handle(s);
    return SYNOD_OK;
}
