/* What the oracles outside that ship with Synod have in common: something that one of several
 * programs can claim for a time, and the word of the one that has it: "my proposer should lead".
 *
 * The word is never valid for longer than the claim. When the claim cannot be prolonged, nobody
 * takes the word back: it runs out. */
#ifndef SYNOD_DEPLOY_ORACLES_CLAIMANT_H
#define SYNOD_DEPLOY_ORACLES_CLAIMANT_H

#include "deploy/options.h"
#include "deploy/verbs.h"

#include <stdint.h>

/* The long options of all of them, to be put first into a program's table. */
/* clang-format off */
enum { OPTION_PROPOSER = OPTION_OWN, OPTION_TTL, OPTION_AFTER_CLAIMANT };
#define CLAIMANT_LONG_OPTIONS                                                                      \
    {"cluster", required_argument, NULL, 'c'},                                                     \
    {"proposer", required_argument, NULL, OPTION_PROPOSER},                                        \
    {"ttl", required_argument, NULL, OPTION_TTL},                                                  \
    {"help", no_argument, NULL, 'h'}
/* clang-format on */

/* To be printed in the program's help. */
#define CLAIMANT_OPTIONS_HELP                                                                      \
    "  --cluster FILE   cluster.yml (default: the environment variable SYNOD_CLUSTER)\n"           \
    "  --proposer ID    who should lead while we have the claim\n"                                 \
    "  --ttl D          how long a claim lasts without us (default 9s); it is prolonged, and "     \
    "the\n"                                                                                        \
    "                   proposers told, every third of it\n"

#define CLAIMANT_EXIT_HELP                                                                         \
    "SIGTERM and Ctrl-C give the claim back and end the program with 0. Otherwise it ends with "   \
    "1\n"                                                                                          \
    "(failed), 3 (bad input) or 4 (refused), and a sentence. Changes are said on standard "        \
    "error.\n"

enum claim_state {
    CLAIM_NONE,    /* not looked at yet */
    CLAIM_UNKNOWN, /* nobody can say now */
    CLAIM_OTHERS,  /* somebody else has it, or is about to */
    CLAIM_OURS,
};

/* What one turn found out. */
struct claim {
    enum claim_state state;
    uint64_t counter;  /* OURS: rises from holder to holder */
    uint64_t left_ms;  /* OURS: how long it certainly lasts from now on */
    uint64_t again_ms; /* when to take the next turn, from now on; 0: at once */
    char why[256];     /* UNKNOWN: the reason; OTHERS: who has it, if that is known */
};

/* What is claimed, by its functions; arg is given to each. */
struct claim_source {
    void *arg;
    /* Claims, or prolongs what we have. Blocks for about a period at most, less if
     * options_is_interrupted. 0, or the exit status of a program that cannot go on, all said. */
    int (*turn)(void *arg, struct claim *out);
    /* Gives back what we have, if anything. Blocks for about a period. 0, or -1 if others have to
     * wait for the claim to end. */
    int (*give_back)(void *arg);
};

struct claimant {
    struct common_options common;
    uint32_t proposer;
    uint64_t ttl_ms;
    uint64_t period_ms; /* a third of it */
    struct synod *s;
    own_option_fn own; /* of the program's own options */
    void *arg;
    /* What was said last, since only changes are. */
    enum claim_state state;
    uint64_t counter;      /* of our last claim; 0: none */
    int64_t ours_until_ms; /* OURS: when that ends at the latest that we know of */
    char why[256];
    int named_code;
    uint32_t taken;
    int is_named;
};

int64_t claimant_now_ms(void);

/* Parses the options, checks them against cluster.yml and opens the handle. 0 to go on; otherwise
 * *exit_status is how to end, all said. */
int claimant_begin(struct claimant *c, const struct verb *program, int argc, char **argv,
                   const struct option *longs, own_option_fn own, void *arg, int *exit_status);

/* Claims, prolongs and names until a signal, or for ever. Returns the exit status, all said. */
int claimant_run(struct claimant *c, const struct claim_source *source);

#endif
