/* synod-oracle-queue: who has the one message of a queue of Synod's own says who should lead.
 *
 * The message is claimed for a time in which nobody else sees it, and never acknowledged: its
 * holder prolongs the claim, and when it falls silent the message goes to the next. The first
 * one makes it: a push that succeeds only into an empty queue, so there is one however many
 * begin at once. */
#include "deploy/oracles/claimant.h"

#include <stdio.h>
#include <string.h>

enum { OPTION_QUEUE = OPTION_AFTER_CLAIMANT };

struct ticket {
    struct claimant claimant;
    const char *queue;
    char id[32];    /* of the message */
    uint64_t token; /* of our claim; 0: none */
    int is_there;   /* somebody else has the message: wait for it */
};

static void take_hold(struct ticket *t, struct claim *out, int64_t began_ms)
{
    /* The cluster cannot have begun to count before we asked. */
    uint64_t gone_ms = (uint64_t)(claimant_now_ms() - began_ms);
    out->state = CLAIM_OURS;
    out->counter = t->token;
    out->left_ms = gone_ms < t->claimant.ttl_ms ? t->claimant.ttl_ms - gone_ms : 0;
    out->again_ms = t->claimant.period_ms;
}

/* What the library's code means here. 0, or an exit status, all said. */
static int fail(struct ticket *t, int code, struct claim *out)
{
    switch (code) {
    case SYNOD_E_USAGE:
    case SYNOD_E_REFUSED:
    case SYNOD_E_CORRUPT:
    case SYNOD_E_INTERNAL:
        return options_fail(code, synod_error(t->claimant.s));
    default:
        /* No leader, above all. A claim of ours may run on, since the cluster's time stands still;
         * but our word does not, and others are not told of anything either. */
        out->state = CLAIM_UNKNOWN;
        snprintf(out->why, sizeof out->why, "%.250s", synod_error(t->claimant.s));
        return 0;
    }
}

/* Somebody else has it, or will have. */
static void wait_on(struct claim *out)
{
    out->state = CLAIM_OTHERS;
    out->again_ms = 0; /* the next claim waits */
    snprintf(out->why, sizeof out->why, "another program");
}

/* Claims the message, waiting for it at most so long. */
static int take(struct ticket *t, uint64_t wait_ms, struct claim *out)
{
    struct synod_message message;
    int64_t began_ms = claimant_now_ms();
    int rc = synod_queue_claim(t->claimant.s, t->queue, t->claimant.ttl_ms, 1, (uint32_t)wait_ms,
                               &message);
    if (rc == SYNOD_OK) {
        memcpy(t->id, message.id, sizeof t->id);
        t->token = message.token;
        take_hold(t, out, began_ms);
        out->again_ms = 0; /* the wait has cost some of it */
    }
    return rc;
}

/* Claims the message; waits for it for a period if there is one, else makes it. */
static int claim_message(struct ticket *t, struct claim *out)
{
    int rc = take(t, t->is_there ? t->claimant.period_ms : 0, out);
    if (rc == SYNOD_E_NOT_FOUND) {
        rc = synod_queue_push_if_empty(t->claimant.s, t->queue, synod_text("who has this leads"),
                                       NULL);
        if (rc == SYNOD_OK) {
            rc = take(t, 0, out);
        }
    }
    if (rc == SYNOD_E_NOT_FOUND || rc == SYNOD_E_EXISTS) {
        t->is_there = 1;
        wait_on(out);
        return 0;
    }
    return rc == SYNOD_OK ? 0 : fail(t, rc, out);
}

static int turn(void *arg, struct claim *out)
{
    struct ticket *t = arg;
    if (t->token == 0) {
        return claim_message(t, out);
    }
    int64_t began_ms = claimant_now_ms();
    int rc = synod_queue_extend(t->claimant.s, t->queue, t->id, t->token);
    if (rc == SYNOD_OK) {
        take_hold(t, out, began_ms);
        return 0;
    }
    if (rc == SYNOD_E_LOST) {
        t->token = 0;
        wait_on(out);
        return 0;
    }
    return fail(t, rc, out);
}

static int give_back(void *arg)
{
    struct ticket *t = arg;
    if (t->token == 0) {
        return 0;
    }
    return synod_queue_release(t->claimant.s, t->queue, t->id, t->token) == SYNOD_OK ? 0 : -1;
}

/* ---- the program */

static const struct verb program = {
    .name = "synod-oracle-queue",
    .synopsis = "--proposer ID [OPTION...]",
    .help = "An oracle outside: who has the one message of a queue of this cluster says that its\n"
            "proposer should lead. One program runs for each proposer. While the cluster has no\n"
            "leader nothing can be prolonged: what was said runs out after --ttl.\n\n"
            "Options:\n" CLAIMANT_OPTIONS_HELP "  --queue NAME     for this and nothing else "
            "(default synod-oracle)\n\n" CLAIMANT_EXIT_HELP,
};

static int take_option(void *arg, int option, const char *value)
{
    struct ticket *t = arg;
    (void)option;
    t->queue = value;
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {CLAIMANT_LONG_OPTIONS,
                                          {"queue", required_argument, NULL, OPTION_QUEUE},
                                          {NULL, 0, NULL, 0}};
    struct ticket t = {.queue = "synod-oracle"};
    const struct claim_source source = {&t, turn, give_back};
    int status = 0;
    if (claimant_begin(&t.claimant, &program, argc, argv, longs, take_option, &t, &status)) {
        return status;
    }
    return claimant_run(&t.claimant, &source);
}
