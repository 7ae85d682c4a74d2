/* synod transfer: leadership handed over. */
#include "deploy/options.h"
#include "deploy/output.h"
#include "deploy/verbs.h"

#include <stdio.h>

enum { OPTION_TO = OPTION_OWN };

struct transfer_run {
    struct common_options common;
    uint64_t to;
};

static int take_own_option(void *arg, int option, const char *value)
{
    struct transfer_run *run = arg;
    (void)option;
    return options_number(run->common.verb, "--to", value, 1, UINT32_MAX, &run->to);
}

/* The ballot of who leads now, in Raft mode the term. Who led already was not asked for it. */
static json_t *json_number(const struct synod_transfer *done)
{
    if (done->round == 0) {
        return json_null();
    }
    if (done->role == SYNOD_ACCEPTOR) {
        return json_integer((json_int_t)done->round);
    }
    return json_pack("{s:I, s:I}", "round", (json_int_t)done->round, "proposer",
                     (json_int_t)done->to);
}

static void print_transfer(enum output_form form, const struct synod_transfer *done)
{
    const char *role = done->role == SYNOD_ACCEPTOR ? "acceptor" : "proposer";
    int is_already = done->from == done->to;
    if (form == OUTPUT_JSON) {
        output_json(json_pack("{s:s, s:I, s:I, s:o, s:b}", "role", role, "from",
                              (json_int_t)done->from, "to", (json_int_t)done->to,
                              done->role == SYNOD_ACCEPTOR ? "term" : "ballot", json_number(done),
                              "already", is_already));
    } else if (is_already) {
        output_text("%s %u leads already\n", role, done->to);
    } else if (done->role == SYNOD_ACCEPTOR) {
        output_text("acceptor %u leads in term %llu, handed over by acceptor %u\n", done->to,
                    (unsigned long long)done->round, done->from);
    } else {
        output_text("proposer %u leads under ballot %llu.%u, handed over by proposer %u\n",
                    done->to, (unsigned long long)done->round, done->to, done->from);
    }
}

int verb_transfer(int argc, char **argv)
{
    static const struct option longs[] = {
        COMMON_LONG_OPTIONS, {"to", required_argument, NULL, OPTION_TO}, {NULL, 0, NULL, 0}};
    struct transfer_run run = {.to = 0};
    struct synod *s = NULL;
    struct synod_transfer done;
    int status = 0;
    if (options_parse(argc, argv, longs, &run.common, take_own_option, &run, &status)) {
        return status;
    }
    if (options_arguments(argc, argv, 0, 0, "no arguments, only options like --to 2") < 0) {
        return 3;
    }
    output_init();
    status = options_open(&run.common, &s);
    if (status != 0) {
        return status;
    }
    int rc = synod_transfer(s, (uint32_t)run.to, &done);
    if (rc == SYNOD_OK) {
        print_transfer(run.common.form, &done);
    }
    return options_close(s, rc);
}
