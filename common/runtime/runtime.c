#include "common/runtime/internal.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define CHORES_MS 1000

/* A process that ends waits so long for the kernel to take its last words. */
#define LAST_WORDS_MS 200

uint64_t runtime_draw_incarnation(void)
{
    uint64_t bits = 0;
    while (bits == 0) {
        if (getrandom(&bits, sizeof bits, 0) != (ssize_t)sizeof bits) {
            bits = 0;
        }
    }
    return bits;
}

static void step(struct runtime *rt, enum event_kind kind, const struct message *msg,
                 struct peer peer)
{
    const struct event event = {
        .kind = kind, .now = rt->now, .msg = msg, .peer = peer, .disk_low = rt->disk_low};
    rt->options->core.step(rt->options->core.self, &event, &rt->fx);
}

static const struct peer nobody = {ROLE_NONE, 0};

/* Ends the process so that nothing that is not durable can leave: no message, no destructor. */
static _Noreturn void die(int code, const char *text)
{
    struct log_value quoted;
    log_line(LOG_ERROR, "event=fatal class=%s why=%s", error_name(code), log_quote(&quoted, text));
    log_error("%s", text);
    _exit(1);
}

static void log_notes(struct runtime *rt)
{
    static const enum log_level levels[] = {
        [NOTE_DEBUG] = LOG_DEBUG, [NOTE_INFO] = LOG_INFO, [NOTE_WARN] = LOG_WARN};
    for (size_t i = 0; i < rt->fx.note_count; i++) {
        log_line(levels[rt->fx.notes[i].level], "%s", rt->fx.notes[i].text);
    }
}

static void update_clock(struct runtime *rt)
{
    time_ms_t now = clock_now_ms();
    CHECK(now >= rt->now);
    rt->now = now;
}

/* What a core wants after any step, but for its records: says notes, ends the process on fatal. */
static void obey(struct runtime *rt)
{
    if (rt->fx.fatal != 0) {
        die(rt->fx.fatal, rt->fx.fatal_text.text);
    }
    log_notes(rt);
}

static void write_records(struct runtime *rt)
{
    struct effects *fx = &rt->fx;
    if (fx->record_count == 0) {
        return;
    }
    struct errmsg err;
    CHECK(rt->options->store != NULL);
    int rc = store_write(rt->options->store, fx->records, fx->record_count, fx->needs_sync, &err);
    if (rc != 0) {
        die(rc, err.text);
    }
}

/* Ends a turn. Messages that need not wait leave before the disk is asked, so that they travel
 * while it works; those that wait leave when everything of this turn is durable, and not before. */
static void finish_turn(struct runtime *rt)
{
    step(rt, EVENT_FLUSH, NULL, nobody);
    obey(rt);
    outbound_send(rt, SEND_NOW);
    write_records(rt);
    outbound_send(rt, SEND_AFTER_DURABLE);
    rt->wake_at = rt->fx.wake_at;
    int is_finished = rt->fx.finished;

    effects_clear(&rt->fx);
    update_clock(rt);
    step(rt, EVENT_WRITTEN, NULL, nobody);
    obey(rt);
    CHECK(rt->fx.record_count == 0);
    outbound_send(rt, SEND_NOW);
    outbound_send(rt, SEND_AFTER_DURABLE);
    if (rt->fx.wake_at < rt->wake_at) {
        rt->wake_at = rt->fx.wake_at;
    }
    is_finished |= rt->fx.finished;
    effects_clear(&rt->fx);
    if (rt->is_stopping && is_finished) {
        rt->is_stopped = 1;
    }
}

/* Steps the core with what the handshake lets through from the peer. */
static void step_by_verdict(struct runtime *rt, enum verdict verdict, struct peer peer,
                            const struct message *msg)
{
    if (verdict == VERDICT_PEER_UP || verdict == VERDICT_PEER_UP_AND_DELIVER) {
        step(rt, EVENT_PEER_UP, NULL, peer);
    }
    if (verdict == VERDICT_DELIVER || verdict == VERDICT_PEER_UP_AND_DELIVER) {
        step(rt, EVENT_MESSAGE, msg, peer);
    }
    if (verdict == VERDICT_PEER_DOWN) {
        step(rt, EVENT_PEER_DOWN, NULL, peer);
    }
}

static void take_frame(struct runtime *rt, const struct inbound *in)
{
    struct message msg;
    enum verdict verdict = handshake_on_frame(rt, in, &msg);
    step_by_verdict(rt, verdict, msg.from, &msg);
    arena_reset(&rt->decoded);
}

/* Takes what has arrived, up to a bound. */
static void drain(struct runtime *rt)
{
    struct inbound in;
    size_t bytes = 0;
    for (int i = 0; i < DRAIN_MESSAGES_MAX && bytes < DRAIN_BYTES_MAX; i++) {
        if (!net_receive(rt->net, &in)) {
            return;
        }
        switch (in.kind) {
        case INBOUND_UP:
            handshake_on_up(rt, &in);
            break;
        case INBOUND_DOWN:
            step_by_verdict(rt, handshake_on_down(rt, &in), in.peer, NULL);
            break;
        case INBOUND_FRAME:
            bytes += in.frame->size;
            take_frame(rt, &in);
            blob_unref(in.frame);
            break;
        }
    }
}

static void check_disk(struct runtime *rt)
{
    if (rt->options->store == NULL) {
        return;
    }
    uint64_t free_bytes = store_free_bytes(rt->options->store);
    int is_low = free_bytes < DISK_RESERVE_BYTES;
    if (is_low != rt->disk_low) {
        log_line(is_low ? LOG_WARN : LOG_INFO, "event=%s free_bytes=%" PRIu64 " reserve_bytes=%zu",
                 is_low ? "disk_low" : "disk_recovered", free_bytes, DISK_RESERVE_BYTES);
    }
    rt->disk_low = is_low;
}

static void do_chores(struct runtime *rt)
{
    if (rt->now >= rt->slow_chores_at) {
        check_disk(rt);
        log_tick();
        rt->slow_chores_at = rt->now + CHORES_MS;
    }
    rt->chores_at = rt->slow_chores_at; /* a hello said now moves it forward */
    time_ms_t next = handshake_chores(rt);
    rt->chores_at = next < rt->chores_at ? next : rt->chores_at;
}

static void take_signals(struct runtime *rt)
{
    struct signalfd_siginfo info;
    while (read(rt->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (rt->is_stopping) {
            log_line(LOG_WARN, "event=stopping reason=second_signal");
            rt->is_stopped = 1;
            continue;
        }
        log_line(LOG_INFO, "event=stopping signal=%s",
                 info.ssi_signo == (uint32_t)SIGTERM ? "SIGTERM" : "SIGINT");
        rt->is_stopping = 1;
        rt->stop_deadline = rt->now + 2 * (time_ms_t)rt->config->election_ms;
        step(rt, EVENT_SHUTDOWN, NULL, nobody);
    }
}

static int64_t wait_ms(const struct runtime *rt)
{
    time_ms_t until = rt->wake_at < rt->chores_at ? rt->wake_at : rt->chores_at;
    if (rt->is_stopping && rt->stop_deadline < until) {
        until = rt->stop_deadline;
    }
    return until > rt->now ? until - rt->now : 0;
}

static void turn(struct runtime *rt)
{
    if (net_wait(rt->net, wait_ms(rt), rt->signal_fd) != 0) {
        return; /* a signal that is not ours, such as SIGCONT */
    }
    update_clock(rt);
    take_signals(rt);
    drain(rt);
    if (rt->now >= rt->chores_at) {
        do_chores(rt);
    }
    if (rt->now >= rt->wake_at) {
        step(rt, EVENT_TICK, NULL, nobody);
    }
    finish_turn(rt);
    if (rt->is_stopping && rt->now >= rt->stop_deadline) {
        rt->is_stopped = 1;
    }
}

/* ---- start */

static int listen_at(struct runtime *rt, const char *address, enum net_port port,
                     struct errmsg *err)
{
    int rc = net_listen(rt->net, address, port, err);
    return rc == ERROR_BUSY ? ERROR_USAGE : rc; /* waiting does not help: another process has it */
}

static int listen_all(struct runtime *rt, struct errmsg *err)
{
    const struct config *cfg = rt->config;
    if (rt->self.role == ROLE_ACCEPTOR) {
        for (size_t i = 0; i < cfg->members.acceptor_count; i++) {
            if (cfg->acceptors[i].id == rt->self.id) {
                return listen_at(rt, cfg->acceptors[i].address, NET_PORT_PEER, err);
            }
        }
    }
    int is_proposer = rt->self.role == ROLE_PROPOSER;
    const struct config_server *servers = is_proposer ? cfg->proposers : cfg->learners;
    size_t count = is_proposer ? cfg->members.proposer_count : cfg->members.learner_count;
    for (size_t i = 0; i < count; i++) {
        if (servers[i].id == rt->self.id) {
            int rc = listen_at(rt, servers[i].peer, NET_PORT_PEER, err);
            return rc != 0 ? rc : listen_at(rt, servers[i].client, NET_PORT_CLIENT, err);
        }
    }
    return errmsg_set(err, ERROR_USAGE, "%s %" PRIu64 " is no member of cluster %s; try: --id",
                      role_name(rt->self.role), rt->self.id, cfg->cluster);
}

static const char *address_of(const struct config *cfg, struct peer peer)
{
    for (size_t i = 0; i < cfg->members.acceptor_count && peer.role == ROLE_ACCEPTOR; i++) {
        if (cfg->acceptors[i].id == peer.id) {
            return cfg->acceptors[i].address;
        }
    }
    int is_proposer = peer.role == ROLE_PROPOSER;
    const struct config_server *servers = is_proposer ? cfg->proposers : cfg->learners;
    size_t count = is_proposer ? cfg->members.proposer_count : cfg->members.learner_count;
    for (size_t i = 0; i < count; i++) {
        if (servers[i].id == peer.id) {
            return servers[i].peer;
        }
    }
    return "";
}

/* Everybody dials the acceptors; proposers, who speak first, dial everybody. */
static int dial_all(struct runtime *rt, struct errmsg *err)
{
    for (size_t i = 0; i < rt->member_count; i++) {
        struct member *member = &rt->members[i];
        int is_wanted = member->peer.role == ROLE_ACCEPTOR || rt->self.role == ROLE_PROPOSER;
        if (!is_wanted || peer_equal(member->peer, rt->self)) {
            continue;
        }
        int rc = net_dial(rt->net, member->peer, address_of(rt->config, member->peer), err);
        if (rc != 0) {
            return rc;
        }
        member->is_dialled = 1;
    }
    return 0;
}

static int start(struct runtime *rt, struct errmsg *err)
{
    rt->signal_fd = signals_open(err);
    if (rt->signal_fd < 0) {
        return ERROR_INTERNAL;
    }
    members_load(rt);
    int rc = net_open(&rt->net, err);
    if (rc == 0) {
        rc = listen_all(rt, err);
    }
    if (rc != 0) {
        return rc;
    }
    update_clock(rt);
    check_disk(rt);
    step(rt, EVENT_START, NULL, nobody);
    finish_turn(rt);
    rc = dial_all(rt, err);
    if (rc == 0) {
        log_line(LOG_INFO, "event=ready cluster=%s incarnation=%016" PRIx64 " pid=%ld",
                 rt->config->cluster, rt->options->incarnation, (long)getpid());
    }
    return rc;
}

int runtime_run(const struct runtime_options *options)
{
    struct errmsg err;
    struct runtime *rt = memory_calloc(1, sizeof *rt);
    rt->options = options;
    rt->config = options->config;
    rt->self = options->self;
    rt->wire = (struct wire_context){options->config->id, options->config->members.number};
    rt->wake_at = TIME_NEVER;
    effects_init(&rt->fx);
    log_init(options->self);

    rt->result = start(rt, &err);
    if (rt->result != 0) {
        log_error("%s", err.text);
        goto out;
    }
    while (!rt->is_stopped) {
        turn(rt);
    }
    net_flush(rt->net, LAST_WORDS_MS);
    if (rt->result == 0) {
        log_line(LOG_INFO, "event=stopped dropped=%" PRIu64, net_dropped_count(rt->net));
    }

out:;
    int result = rt->result;
    net_close(rt->net);
    effects_close(&rt->fx);
    arena_close(&rt->decoded);
    if (rt->signal_fd >= 0) {
        close(rt->signal_fd);
    }
    free(rt);
    return result;
}
