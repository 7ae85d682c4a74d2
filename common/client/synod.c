#include "common/client/client.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/client/recipe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_MS_DEFAULT 10000
#define SESSION_TTL_MS_DEFAULT 60000

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
_Static_assert(SYNOD_OUTSTANDING_MAX == SESSION_OUTSTANDING_MAX, "limits differ");
_Static_assert(SYNOD_OUTSTANDING_BYTES_MAX < CLIENT_PENDING_BYTES_MAX,
               "one handle must not exhaust its budget at the proposer");
_Static_assert(SYNOD_ERROR_BYTES == sizeof(struct errmsg), "sentences differ");

/* The clock that goes on while the machine sleeps, as the cluster's does: what ended meanwhile is
 * not taken for alive on waking up. */
time_ms_t client_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (time_ms_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

time_ms_t client_deadline(time_ms_t now, uint32_t timeout_ms)
{
    return timeout_ms == UINT32_MAX ? TIME_NEVER : now + (time_ms_t)timeout_ms;
}

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

static int open_handle(struct synod *s, const struct synod_options *options, struct errmsg *err)
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
    uint64_t nonce = 0;
    rc = draw_nonce(&nonce, err);
    if (rc != 0) {
        return rc;
    }
    s->self = (struct peer){ROLE_CLIENT, nonce};
    rng_init(&s->rng, nonce);
    s->wire = (struct wire_context){s->config.id, s->config.members.number};
    s->timeout_ms = options->timeout_ms != 0 ? options->timeout_ms : TIMEOUT_MS_DEFAULT;
    s->session_ttl_ms =
        options->session_ttl_ms != 0 ? options->session_ttl_ms : SESSION_TTL_MS_DEFAULT;
    s->now = client_now();
    s->wake = TIME_NEVER;
    rc = submit_open(s);
    if (rc == 0) {
        rc = net_open(&s->net, err);
    }
    if (rc == 0) {
        rc = links_open(s, options->learner, err);
    }
    return rc;
}

static void free_handle(struct synod *s)
{
    if (s->loop_fd >= 0) {
        close(s->timer_fd);
        close(s->loop_fd);
    }
    watch_close(s);
    lease_close(s);
    recipe_close(s);
    submit_close(s);
    if (s->net != NULL) {
        net_close(s->net);
    }
    arena_close(&s->arena);
    free(s);
}

int synod_open(const struct synod_options *options, struct synod **out, char *why)
{
    static const struct synod_options defaults;
    struct errmsg err = {""};
    struct synod *s = memory_calloc(1, sizeof *s);
    s->loop_fd = s->timer_fd = -1;
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
    return s->waiting_count - s->internal_count;
}

static const char *what_is_missing(struct synod *s)
{
    int is_proposer = 0;
    for (size_t i = 0; i < s->proposer_count; i++) {
        is_proposer |= s->proposers[i].is_welcome;
    }
    int is_learner = links_learner(s)->is_welcome;
    if (!is_proposer && !is_learner) {
        return "neither a proposer nor a learner answers";
    }
    if (!is_proposer) {
        return "no proposer answers";
    }
    if (s->trouble[0] != '\0') {
        return s->trouble; /* a proposer's own word; and whoever waits for it changes learners */
    }
    if (!is_learner) {
        return s->is_pinned ? "the chosen learner does not answer" : "no learner answers";
    }
    return "the cluster does not answer";
}

int client_unavailable(struct synod *s, const char *what)
{
    return errmsg_set(&s->err, SYNOD_E_UNAVAILABLE, "%s (%s); try: synod status", what,
                      what_is_missing(s));
}

int client_leaderless(struct synod *s, const char *what)
{
    return errmsg_set(&s->err, SYNOD_E_UNAVAILABLE, "%s (%s); try: synod explain", what,
                      what_is_missing(s));
}

static time_ms_t earlier(time_ms_t a, time_ms_t b)
{
    return a < b ? a : b;
}

/* Everything that time alone makes due, or what arrived has made possible. */
static void client_work(struct synod *s)
{
    s->now = client_now();
    time_ms_t wake = links_work(s);
    wake = earlier(wake, read_work(s));
    wake = earlier(wake, query_work(s));
    wake = earlier(wake, watch_work(s));
    wake = earlier(wake, lease_work(s));
    status_work(s);
    explain_work(s);
    name_work(s);
    s->wake = earlier(wake, submit_work(s)); /* last: the others may have changed whom to ask */
}

int client_may_block(struct synod *s)
{
    s->now = client_now();
    if (s->is_in_turn || s->is_closing) {
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "a callback may not wait; try: the asynchronous call, or to wait after "
                          "synod_poll");
    }
    return SYNOD_OK;
}

static int take_turn(struct synod *s, time_ms_t until)
{
    client_work(s);
    time_ms_t wake = earlier(s->wake, until);
    if (links_receive(s) == 0 && wake > s->now) {
        int64_t wait_ms = wake == TIME_NEVER ? -1 : wake - s->now;
        if (net_wait(s->net, wait_ms, -1) == ERROR_INTERRUPTED) {
            return errmsg_set(&s->err, SYNOD_E_INTERRUPTED, "interrupted by a signal");
        }
        s->now = client_now();
        links_receive(s);
    }
    client_work(s);
    if (links_all_refuse(s)) {
        return errmsg_set(&s->err, SYNOD_E_REFUSED,
                          "%s; try: the cluster.yml that the servers were started with",
                          s->refused_text);
    }
    return SYNOD_OK;
}

int client_turn(struct synod *s, time_ms_t until)
{
    s->is_in_turn = 1;
    int rc = take_turn(s, until);
    s->is_in_turn = 0;
    return rc;
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

int synod_fd(struct synod *s)
{
    if (s->loop_fd >= 0) {
        return s->loop_fd;
    }
    int loop = epoll_create1(EPOLL_CLOEXEC);
    int timer = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (loop < 0 || timer < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, net_fd(s->net), &event) != 0 ||
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
    int rc = client_may_block(s);
    if (rc != SYNOD_OK) {
        return rc;
    }
    rc = client_turn(s, client_deadline(s->now, timeout_ms));
    if (s->loop_fd >= 0) {
        /* Sending may have taken notice of what arrived meanwhile, and then the net's descriptor is
         * silent about it: look once more, and if there was something ask to be called again. */
        s->is_in_turn = 1;
        arm_timer(s, links_receive(s) > 0);
        s->is_in_turn = 0;
    }
    return rc;
}

static void session_closed(void *arg, int code, uint64_t index)
{
    (void)code;
    (void)index;
    *(int *)arg = 1;
}

/* The cluster forgets an abandoned session by itself after its ttl; closing it gives the memory
 * back at once, so it is worth a moment but not more. */
static void close_session(struct synod *s)
{
    if (s->session_state != SESSION_OPEN || !links_learner(s)->is_welcome) {
        return;
    }
    int is_closed = 0;
    time_ms_t deadline = client_now() + CLOSE_WAIT_MS;
    if (submit_add(s, COMMAND_CLOSE_SESSION, NULL, 0, TIME_NEVER, session_closed, &is_closed) !=
        0) {
        return;
    }
    while (!is_closed && client_now() < deadline) {
        if (client_turn(s, deadline) != SYNOD_OK) {
            return;
        }
    }
}

void synod_close(struct synod *s)
{
    if (s == NULL) {
        return;
    }
    CHECK(!s->is_in_turn); /* in a callback: what calls it would go on with freed memory */
    s->is_closing = 1;     /* a callback may not add to what is being ended */
    errmsg_set(&s->err, SYNOD_E_INTERRUPTED, "the handle was closed");
    for (uint64_t n = s->oldest; n < s->next; n++) {
        struct operation *op = &s->operations[n % OPERATIONS_MAX];
        if (op->deadline < 0) {
            continue;
        }
        synod_append_fn fn = op->fn;
        op->fn = NULL;
        op->deadline = OPERATION_EXPIRED;
        s->waiting_count--;
        s->internal_count -= fn == call_internal;
        if (fn != NULL) {
            fn(op->arg, SYNOD_E_INTERRUPTED, 0);
        }
    }
    close_session(s);
    free_handle(s);
}
