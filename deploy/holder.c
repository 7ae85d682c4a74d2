#include "deploy/holder.h"

#include "common/runtime/log.h"
#include "deploy/output.h"
#include "deploy/tree.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define TTL_MS_DEFAULT 10000
#define TTL_MS_LEAST 1000
#define GRACE_MS_DEFAULT 10000
#define HOUR_MS ((uint64_t)3600 * 1000)

/* Of the processes that go on, so many are named. */
#define LEFT_NAMED_MAX 8

/* Longest time between two looks at whether it is still held. What the cluster says wakes us at
 * once; this is for the clock, which nobody rings. */
#define LOOK_MS 200

/* How long after --grace to wait for those whom SIGKILL does not reach. */
#define REFUSED_MS 2000

struct holding {
    const struct holder_options *options;
    const struct holder *hold;
    struct synod *s;
    struct job job;
    struct tree tree; /* the command's process and all that it has started */
    int signal_fd;
    int is_asked; /* the cluster answered before we queued up */
    int is_lost;
    int is_told_to_end; /* by a signal, which was passed on to the command */
    int is_ending;   /* since then the command has ended, and some that it has started have not */
    int is_over;     /* nothing more to wait for */
    int is_given_up; /* some are left that SIGKILL does not reach */
    int status;      /* of the command */
    int64_t kill_at_ms; /* once it is lost, or is ending: when SIGKILL comes */
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- options */

void holder_defaults(struct holder_options *options)
{
    options->wait_ms = UINT32_MAX;
    options->ttl_ms = TTL_MS_DEFAULT;
    options->grace_ms = GRACE_MS_DEFAULT;
}

int holder_take_option(struct holder_options *options, int option, const char *value)
{
    const char *verb = options->common.verb;
    uint64_t wait_ms = 0;
    int rc = 0;
    switch (option) {
    case OPTION_WAIT:
        rc = options_time(verb, "--wait", value, 0, UINT32_MAX - 1, &wait_ms);
        options->wait_ms = rc == 0 ? (uint32_t)wait_ms : options->wait_ms;
        return rc;
    case OPTION_TTL:
        return options_time(verb, "--ttl", value, TTL_MS_LEAST, HOUR_MS, &options->ttl_ms);
    default:
        return options_time(verb, "--grace", value, 0, HOUR_MS, &options->grace_ms);
    }
}

/* ---- signals */

/* Until now a signal had to end the wait for the lock; from now on all of them come through a
 * descriptor, so that none ends the release. */
static int take_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGALRM);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* What the terminal sent has reached the command already: it is in the same group. */
static int is_from_terminal(const struct signalfd_siginfo *info)
{
    return info->ssi_code == SI_KERNEL;
}

static void handle_signals(struct holding *h)
{
    struct signalfd_siginfo info;
    while (read(h->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGALRM || info.ssi_signo == SIGCHLD) {
            continue;
        }
        if (h->options->command == NULL) {
            h->is_over = 1;
        } else if (h->job.pid != 0 && !is_from_terminal(&info)) {
            kill(h->job.pid, (int)info.ssi_signo);
            h->is_told_to_end |= info.ssi_signo != SIGUSR1 && info.ssi_signo != SIGUSR2;
        }
    }
}

/* ---- while it is held */

static void look_lost(struct holding *h)
{
    if (h->is_lost || h->hold->is_held(h->hold->arg)) {
        return;
    }
    h->is_lost = 1;
    h->kill_at_ms = h->is_ending ? h->kill_at_ms : now_ms() + (int64_t)h->options->grace_ms;
    if (h->options->command == NULL) {
        h->is_over = 1;
        return;
    }
    tree_tell(&h->tree, h->job.pid);
}

/* When somebody else may have the lock, or gets it next, nothing of the command must go on: the end
 * of its own process is not enough. */
static void look_tree(struct holding *h)
{
    int64_t over_ms = now_ms() - h->kill_at_ms;
    if (over_ms < 0) {
        tree_tell(&h->tree, h->job.pid);
    } else {
        tree_kill(&h->tree, h->job.pid);
    }
    job_reap(&h->job, &h->status);
    h->is_over = tree_is_empty(&h->tree);
    h->is_given_up =
        !h->is_over && over_ms >= REFUSED_MS && h->tree.left_count == h->tree.refused.count;
    if (h->is_given_up) {
        h->job.pid = 0; /* it may be one of them */
        h->is_over = 1;
    }
}

static void look_job(struct holding *h)
{
    if (h->options->command == NULL) {
        return;
    }
    if (!h->is_lost && !h->is_ending && job_reap(&h->job, &h->status)) {
        /* What it leaves behind by itself is its own affair; but a shell that is told to end leaves
         * the work itself behind, which would go on beside the next holder. */
        h->is_ending = h->is_told_to_end;
        h->is_over = !h->is_ending;
        h->kill_at_ms = now_ms() + (int64_t)h->options->grace_ms;
    }
    if (h->is_lost || h->is_ending) {
        look_tree(h);
    }
}

/* While the command gets its time to end, the lock is not ours and the handle has nothing to do. */
static void hold_on(struct holding *h)
{
    struct pollfd fds[2] = {{h->signal_fd, POLLIN, 0}, {synod_fd(h->s), POLLIN, 0}};
    for (;;) {
        look_lost(h);
        look_job(h);
        if (h->is_over) {
            return;
        }
        poll(fds, 2, LOOK_MS);
        handle_signals(h);
        int rc = synod_poll(h->s, 0);
        if (rc == SYNOD_E_REFUSED) {
            look_lost(h); /* it is told to the command when our time is up, not before */
        }
    }
}

/* ---- from the beginning to the end */

static int start_job(struct holding *h)
{
    char token[48];
    char name[1200];
    char cluster[4200];
    const char *path = h->options->common.client.cluster;
    snprintf(token, sizeof token, "SYNOD_TOKEN=%llu",
             (unsigned long long)h->hold->token(h->hold->arg));
    snprintf(name, sizeof name, "%s=%s", h->hold->variable, h->hold->name);
    snprintf(cluster, sizeof cluster, "SYNOD_CLUSTER=%s", path != NULL ? path : "");
    const char *variables[] = {token, name, path != NULL ? cluster : NULL, NULL};
    return job_start(&h->job, variables);
}

/* Who of the command goes on, as a part of a sentence; empty: nobody. */
static void describe_left(const struct holding *h, char *out, size_t size)
{
    const struct tree_list *refused = &h->tree.refused;
    out[0] = '\0';
    if (!h->is_given_up) {
        return;
    }
    int used = snprintf(out, size, ", and processes of its command go on that %s",
                        refused->count > 0 ? "are not ours to end (" : "/proc does not show");
    for (size_t i = 0; i < refused->count && i < LEFT_NAMED_MAX; i++) {
        used += snprintf(out + used, size - (size_t)used, "%s%ld", i > 0 ? ", " : "",
                         (long)refused->items[i].pid);
    }
    if (refused->count > 0) {
        snprintf(out + used, size - (size_t)used, "%s)",
                 refused->count > LEFT_NAMED_MAX ? ", ..." : "");
    }
}

static int say_lost(const struct holding *h)
{
    char left[256];
    describe_left(h, left, sizeof left);
    log_error(
        "%s \"%.200s\" was lost (the cluster was not heard within --ttl, or somebody "
        "deleted its key or ended its session)%s; try: %sto find out what was done twice, and "
        "a longer --ttl",
        h->hold->kind, h->hold->name, left, left[0] != '\0' ? "to end them, " : "");
    return 1;
}

/* Says how the release went if that matters to anybody. Returns the exit status: the one given,
 * unless it was all in vain. */
static int release(struct holding *h, int status)
{
    if (h->is_lost) {
        status = say_lost(h); /* first, since the release may wait for the cluster in vain */
    }
    int rc = h->hold->release(h->hold->arg);
    if (h->is_lost) {
        return status;
    }
    char left[256];
    describe_left(h, left, sizeof left);
    if (left[0] != '\0') {
        log_say("warning: %s \"%.200s\" was released%s", h->hold->kind, h->hold->name, left);
    }
    if (rc == SYNOD_E_LOST) {
        return say_lost(h);
    }
    if (rc != SYNOD_OK) {
        log_say("warning: %s \"%.200s\" could not be released (%.300s); others have it after --ttl",
                h->hold->kind, h->hold->name, synod_error(h->s));
    }
    return status;
}

static int hold_it(struct holding *h)
{
    if (options_is_interrupted()) {
        return release(h, 5);
    }
    int status = 0;
    if (h->options->command != NULL) {
        status = start_job(h);
    } else {
        h->hold->print(h->hold->arg, h->options->common.form);
        output_flush();
    }
    int is_in_vain = h->options->command == NULL && output_is_closed(); /* nobody has the token */
    if (status == 0 && !is_in_vain) {
        hold_on(h);
        status = h->status;
    }
    return release(h, status);
}

/* It was not ours in time. Whether the cluster or another holder was the reason can be asked, where
 * that is not known: a cluster that did not answer would cost --timeout once more. */
static int is_taken(const struct holding *h)
{
    return h->is_asked && h->options->wait_ms != UINT32_MAX &&
           options_ping(h->s, SYNOD_LINEARIZABLE, NULL) == SYNOD_OK;
}

static int fail_acquire(struct holding *h, int code)
{
    char sentence[SYNOD_ERROR_BYTES];
    snprintf(sentence, sizeof sentence, "%s", synod_error(h->s));
    if (code == SYNOD_E_INTERRUPTED || options_is_interrupted()) {
        return 5;
    }
    if (code == SYNOD_E_UNAVAILABLE && is_taken(h)) {
        log_error("%s \"%.200s\" is not ours (somebody else has it); try: a longer --wait",
                  h->hold->kind, h->hold->name);
        return 1;
    }
    return options_fail(code, sentence);
}

static int acquire(struct holding *h)
{
    int is_shown = isatty(STDERR_FILENO) && h->options->wait_ms > 0;
    int rc = options_ping(h->s, SYNOD_LINEARIZABLE, NULL);
    h->is_asked = rc == SYNOD_OK;
    if (rc == SYNOD_OK) {
        if (is_shown) {
            char name[201];
            log_printable(name, sizeof name, h->hold->name);
            fprintf(stderr, "waiting for %s \"%s\"", h->hold->kind, name);
        }
        rc = h->hold->acquire(h->hold->arg, h->s, h->options->wait_ms);
        if (is_shown) {
            fputs("\r\033[K", stderr);
        }
    }
    return rc;
}

int holder_run(const struct holder_options *options, const struct holder *hold)
{
    struct holding h = {.options = options, .hold = hold, .signal_fd = -1};
    struct common_options common = options->common;
    common.client.session_ttl_ms = (uint32_t)options->ttl_ms;
    if (options->command != NULL) {
        tree_init(&h.tree);
        if (job_prepare(&h.job, options->command) != 0) {
            tree_close(&h.tree);
            return 1;
        }
    }
    output_init();
    int status = options_open(&common, &h.s);
    if (status == 0) {
        int rc = acquire(&h);
        h.signal_fd = take_signals();
        status = rc == SYNOD_OK ? hold_it(&h) : fail_acquire(&h, rc);
        synod_close(h.s);
    }
    job_drop(&h.job);
    tree_close(&h.tree);
    if (h.signal_fd >= 0) {
        close(h.signal_fd);
    }
    return status;
}
