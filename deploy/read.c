/* synod read and synod tail: records of the log on standard output. */
#include "deploy/options.h"
#include "deploy/output.h"
#include "deploy/verbs.h"

/* What `tail` without --from shows. */
#define TAIL_RECORDS 10

enum { OPTION_FROM = OPTION_OWN, OPTION_COUNT, OPTION_CONSISTENCY, OPTION_NULL, OPTION_FOLLOW };

struct read_run {
    struct common_options common;
    uint64_t from;  /* 0: not given */
    uint64_t count; /* 0: to the end */
    enum synod_consistency consistency;
    char end; /* after each record of plain output */
    int is_following;
    int is_flushed; /* each record has to be seen at once */
    uint64_t next;  /* index after the last one printed */
};

static int print_record(void *arg, uint64_t index, const void *data, size_t size)
{
    struct read_run *run = arg;
    run->next = index + 1;
    if (output_record(run->common.form, run->end, index, data, size) != 0) {
        return 1;
    }
    if (run->is_flushed) {
        output_flush();
    }
    return output_is_closed() || options_is_interrupted();
}

static int take_own_option(void *arg, int option, const char *value)
{
    struct read_run *run = arg;
    const char *verb = run->common.verb;
    switch (option) {
    case OPTION_FROM:
        return options_number(verb, "--from", value, 1, INT64_MAX, &run->from);
    case OPTION_COUNT:
        return options_number(verb, "--count", value, 1, INT64_MAX, &run->count);
    case OPTION_NULL:
        run->end = '\0';
        return 0;
    case OPTION_FOLLOW:
        run->is_following = 1;
        return 0;
    default:
        return options_consistency(verb, value, &run->consistency);
    }
}

static int open_run(struct read_run *run, int argc, char **argv, const struct option *longs,
                    struct synod **s, int *status)
{
    run->end = '\n';
    if (options_parse(argc, argv, longs, &run->common, take_own_option, run, status)) {
        return -1;
    }
    if (options_arguments(argc, argv, 0, 0, "no arguments, only options") < 0) {
        *status = 3;
        return -1;
    }
    output_init();
    *status = options_open(&run->common, s);
    return *status != 0 ? -1 : 0;
}

static int close_run(struct synod *s, int rc)
{
    return options_close(s, options_is_interrupted() ? SYNOD_E_INTERRUPTED : rc);
}

int verb_read(int argc, char **argv)
{
    static const struct option longs[] = {
        COMMON_LONG_OPTIONS,
        {"from", required_argument, NULL, OPTION_FROM},
        {"count", required_argument, NULL, OPTION_COUNT},
        {"consistency", required_argument, NULL, OPTION_CONSISTENCY},
        {"null", no_argument, NULL, OPTION_NULL},
        {NULL, 0, NULL, 0},
    };
    struct read_run run = {0};
    struct synod *s = NULL;
    int status = 0;
    if (open_run(&run, argc, argv, longs, &s, &status) != 0) {
        return status;
    }
    return close_run(s,
                     synod_read(s, run.from, run.count, run.consistency, print_record, &run, NULL));
}

static int skip_record(void *arg, uint64_t index, const void *data, size_t size)
{
    (void)arg;
    (void)index;
    (void)data;
    (void)size;
    return 1;
}

/* Where a tail without --from begins. */
static int find_start(struct synod *s, struct read_run *run)
{
    struct synod_log log = {0};
    int rc = synod_read(s, INT64_MAX, 1, run->consistency, skip_record, NULL, &log);
    if (rc == SYNOD_OK) {
        run->from = log.last > TAIL_RECORDS ? log.last - TAIL_RECORDS + 1 : 1;
        run->from = run->from < log.first ? log.first : run->from;
    }
    return rc;
}

int verb_tail(int argc, char **argv)
{
    static const struct option longs[] = {
        COMMON_LONG_OPTIONS,
        {"from", required_argument, NULL, OPTION_FROM},
        {"consistency", required_argument, NULL, OPTION_CONSISTENCY},
        {"null", no_argument, NULL, OPTION_NULL},
        {"follow", no_argument, NULL, OPTION_FOLLOW},
        {NULL, 0, NULL, 0},
    };
    struct read_run run = {0};
    struct synod *s = NULL;
    int status = 0;
    if (open_run(&run, argc, argv, longs, &s, &status) != 0) {
        return status;
    }
    int rc = run.from == 0 ? find_start(s, &run) : SYNOD_OK;
    run.next = run.from;
    if (rc == SYNOD_OK) {
        rc = synod_read(s, run.from, 0, run.consistency, print_record, &run, NULL);
    }
    if (rc == SYNOD_OK && run.is_following && !output_is_closed() && !options_is_interrupted()) {
        output_flush();
        run.is_flushed = 1;
        rc = synod_tail(s, run.next, print_record, &run);
    }
    return close_run(s, rc);
}
