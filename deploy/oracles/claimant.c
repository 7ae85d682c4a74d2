#include "deploy/oracles/claimant.h"

#include "common/config/config.h"
#include "common/runtime/log.h"
#include "common/runtime/streams.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TTL_MS_DEFAULT 9000
#define TTL_MS_LEAST 600
#define PERIODS_PER_TTL 3

/* Shortest pause between two turns that found nothing to do. */
#define PAUSE_MS_LEAST 10

int64_t claimant_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t); /* goes on while the machine sleeps, as claims do */
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- options */

static int take_option(void *arg, int option, const char *value)
{
    struct claimant *c = arg;
    uint64_t number = 0;
    int rc = 0;
    switch (option) {
    case OPTION_PROPOSER:
        rc = options_number(c->common.verb, "--proposer", value, 1, UINT32_MAX, &number);
        c->proposer = (uint32_t)number;
        return rc;
    case OPTION_TTL:
        return options_time(c->common.verb, "--ttl", value, TTL_MS_LEAST, SYNOD_NAME_VALID_MS_MAX,
                            &c->ttl_ms);
    default:
        return c->own(c->arg, option, value);
    }
}

/* What the library would say of every word is said once. */
static int check_cluster(const struct claimant *c)
{
    static struct config config; /* large */
    struct errmsg err = {""};
    char problem[160];
    const char *path =
        c->common.client.cluster != NULL ? c->common.client.cluster : getenv("SYNOD_CLUSTER");
    if (config_load(path, &config, &err) != 0) {
        return options_fail(ERROR_USAGE, err.text);
    }
    if (config.protocol == CONFIG_RAFT) {
        return verb_usage(c->common.verb, "cluster.yml says protocol: raft, where the acceptors "
                                          "elect and no proposer can be named");
    }
    if (members_proposer_index(&config.members, c->proposer) < 0) {
        snprintf(problem, sizeof problem, "--proposer: cluster.yml lists no proposer %u",
                 c->proposer);
        return verb_usage(c->common.verb, problem);
    }
    return 0;
}

int claimant_begin(struct claimant *c, const struct verb *program, int argc, char **argv,
                   const struct option *longs, own_option_fn own, void *arg, int *exit_status)
{
    char *name = (char *)(size_t)program->name; /* whatever path it was started by */
    *c = (struct claimant){.ttl_ms = TTL_MS_DEFAULT, .own = own, .arg = arg};
    streams_open();
    verb_set_program(program);
    argv[0] = name;
    if (options_parse(argc, argv, longs, &c->common, take_option, c, exit_status)) {
        *exit_status = streams_finish(*exit_status); /* nothing but the help is ever printed */
        return 1;
    }
    *exit_status = 3;
    if (options_arguments(argc, argv, 0, 0, "options only") < 0) {
        return 1;
    }
    if (c->proposer == 0) {
        *exit_status = verb_usage(name, "it needs --proposer");
        return 1;
    }
    c->period_ms = c->ttl_ms / PERIODS_PER_TTL;
    c->common.client.timeout_ms = (uint32_t)c->period_ms;
    log_init((struct peer){ROLE_CLIENT, (uint64_t)getpid()});
    *exit_status = options_open(&c->common, &c->s);
    if (*exit_status == 0) {
        *exit_status = check_cluster(c);
    }
    if (*exit_status != 0) {
        synod_close(c->s);
        c->s = NULL;
    }
    return *exit_status != 0;
}

/* ---- saying what changed */

/* Of a source that does not answer the first reason is said, and not every other one. */
static int is_news(const struct claimant *c, const struct claim *claim)
{
    return claim->state != c->state ||
           (claim->state == CLAIM_OURS && claim->counter != c->counter) ||
           (claim->state == CLAIM_OTHERS && strcmp(claim->why, c->why) != 0);
}

static void say_claim(struct claimant *c, const struct claim *claim)
{
    if (!is_news(c, claim)) {
        return;
    }
    struct log_value why;
    log_quote(&why, claim->why);
    if (c->state == CLAIM_OURS && claim->state == CLAIM_OTHERS) {
        log_line(LOG_WARN, "event=claim_lost proposer=%u counter=%llu", c->proposer,
                 (unsigned long long)c->counter);
    }
    switch (claim->state) {
    case CLAIM_OURS:
        log_line(LOG_INFO, "event=%s proposer=%u counter=%llu",
                 claim->counter == c->counter ? "claim_kept" : "claimed", c->proposer,
                 (unsigned long long)claim->counter);
        c->counter = claim->counter;
        break;
    case CLAIM_OTHERS:
        log_line(LOG_INFO, "event=waiting proposer=%u holder=%s", c->proposer, why.text);
        break;
    default:
        log_line(LOG_WARN, "event=source_lost proposer=%u reason=%s", c->proposer, why.text);
        break;
    }
    c->state = claim->state;
    memcpy(c->why, claim->why, sizeof c->why);
}

static void say_named(struct claimant *c, int code, const struct synod_named *named)
{
    if (c->is_named && code == c->named_code && named->taken == c->taken) {
        return;
    }
    c->is_named = 1;
    c->named_code = code;
    c->taken = named->taken;
    if (code == SYNOD_OK) {
        log_line(LOG_INFO, "event=named proposer=%u taken=%u missing=%u leader=%u", c->proposer,
                 named->taken, named->missing, named->leader);
        return;
    }
    struct log_value reason;
    log_line(LOG_WARN, "event=not_named proposer=%u told=%u reason=%s", c->proposer, named->told,
             log_quote(&reason, synod_error(c->s)));
}

/* ---- naming */

/* Says that our proposer should lead. 0, or an exit status, all said. An oracle of another kind is
 * no reason to end: `synod oracle set` changes it while we run. */
static int name_it(struct claimant *c, const struct claim *claim)
{
    struct synod_named named = {0};
    int rc = synod_oracle_name(c->s, c->proposer, (uint32_t)claim->left_ms, &named);
    if (rc == SYNOD_E_REFUSED || rc == SYNOD_E_CORRUPT || rc == SYNOD_E_INTERNAL) {
        return options_fail(rc, synod_error(c->s));
    }
    if (rc != SYNOD_E_INTERRUPTED) {
        say_named(c, rc, &named);
    }
    return 0;
}

/* Waits, and keeps the connections to the proposers alive meanwhile. */
static int rest(struct claimant *c, int64_t until_ms)
{
    while (!options_is_interrupted()) {
        int64_t left_ms = until_ms - claimant_now_ms();
        if (left_ms <= 0) {
            return 0;
        }
        int rc = synod_poll(c->s, (uint32_t)left_ms);
        if (rc == SYNOD_E_REFUSED) {
            return options_fail(rc, synod_error(c->s));
        }
    }
    return 0;
}

/* From now on no signal ends a wait: what is left to do ends by itself. */
static void ignore_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGALRM);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

/* First the word, then the claim: in between nobody else can have said theirs. */
static void give_back(struct claimant *c, const struct claim_source *source)
{
    ignore_signals();
    int was_ours = c->state == CLAIM_OURS;
    if (was_ours && claimant_now_ms() < c->ours_until_ms) {
        int rc = synod_oracle_name(c->s, 0, 0, NULL);
        if (rc != SYNOD_OK) { /* it runs out by itself */
            struct log_value reason;
            log_line(LOG_WARN, "event=not_taken_back proposer=%u reason=%s", c->proposer,
                     log_quote(&reason, synod_error(c->s)));
        }
    }
    int rc = source->give_back(source->arg);
    if (was_ours || rc != 0) {
        log_line(rc == 0 ? LOG_INFO : LOG_WARN, "event=%s proposer=%u counter=%llu",
                 rc == 0 ? "given_back" : "not_given_back", c->proposer,
                 (unsigned long long)c->counter);
    }
}

int claimant_run(struct claimant *c, const struct claim_source *source)
{
    int status = 0;
    while (status == 0 && !options_is_interrupted()) {
        struct claim claim = {.again_ms = c->period_ms};
        int64_t began_ms = claimant_now_ms();
        status = source->turn(source->arg, &claim);
        if (status != 0 || options_is_interrupted()) {
            break;
        }
        say_claim(c, &claim);
        c->ours_until_ms = claimant_now_ms() + (int64_t)claim.left_ms;
        int64_t until_ms = claimant_now_ms() + (int64_t)claim.again_ms;
        if (claim.state == CLAIM_OURS && claim.left_ms > 0) {
            /* Prolonged in time whatever this turn has cost. */
            until_ms = began_ms + (int64_t)claim.again_ms;
            status = name_it(c, &claim);
        } else {
            c->is_named = 0;
        }
        int64_t least_ms = claimant_now_ms() + PAUSE_MS_LEAST;
        if (status == 0) {
            status = rest(c, until_ms > least_ms ? until_ms : least_ms);
        }
    }
    give_back(c, source);
    synod_close(c->s);
    return status;
}
