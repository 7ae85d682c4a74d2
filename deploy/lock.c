/* synod lock and synod elect. */
#include "deploy/holder.h"
#include "deploy/output.h"
#include "deploy/show.h"
#include "deploy/verbs.h"

#include <stdio.h>
#include <string.h>

#define NAME_BYTES_MAX 1024
#define OPTION_OBSERVE OPTION_AFTER_HOLD

/* 0, or 3 after saying so. */
static int check_name(const char *verb, const char *name)
{
    size_t size = strlen(name);
    return size >= 1 && size <= NAME_BYTES_MAX
               ? 0
               : verb_usage(verb, "a name has from 1 to 1024 bytes");
}

/* ---- lock */

struct lock_run {
    struct holder_options options;
    const char *name;
    struct synod_lock *lock;
};

static int lock_acquire(void *arg, struct synod *s, uint32_t wait_ms)
{
    struct lock_run *run = arg;
    return synod_lock(s, run->name, wait_ms, &run->lock);
}

static uint64_t lock_token(void *arg)
{
    return synod_lock_token(((struct lock_run *)arg)->lock);
}

static int lock_is_held(void *arg)
{
    return synod_lock_is_held(((struct lock_run *)arg)->lock);
}

static int lock_release(void *arg)
{
    return synod_unlock(((struct lock_run *)arg)->lock);
}

static void lock_print(void *arg, enum output_form form)
{
    show_number(form, "token", lock_token(arg));
}

static int take_lock_option(void *arg, int option, const char *value)
{
    return holder_take_option(&((struct lock_run *)arg)->options, option, value);
}

int verb_lock(int argc, char **argv)
{
    static const struct option longs[] = {
        COMMON_LONG_OPTIONS, HOLD_LONG_OPTIONS, {NULL, 0, NULL, 0}};
    struct lock_run run = {.name = NULL};
    int status = 0;
    holder_defaults(&run.options);
    run.options.command = options_cut_command(&argc, argv);
    if (options_parse(argc, argv, longs, &run.options.common, take_lock_option, &run, &status)) {
        return status;
    }
    if (options_arguments(argc, argv, 1, 1, "a name, and a command after --") < 0 ||
        check_name(argv[0], argv[optind]) != 0 ||
        options_check_command(argv[0], run.options.command) != 0) {
        return 3;
    }
    run.name = argv[optind];
    struct holder hold = {.kind = "the lock",
                          .name = run.name,
                          .variable = "SYNOD_LOCK",
                          .arg = &run,
                          .acquire = lock_acquire,
                          .token = lock_token,
                          .is_held = lock_is_held,
                          .release = lock_release,
                          .print = lock_print};
    return holder_run(&run.options, &hold);
}

/* ---- elect */

struct elect_run {
    struct holder_options options;
    int is_observing;
    const char *name;
    struct synod_bytes value;
    struct synod_election *election;
};

static int elect_acquire(void *arg, struct synod *s, uint32_t wait_ms)
{
    struct elect_run *run = arg;
    return synod_campaign(s, run->name, run->value, wait_ms, &run->election);
}

static uint64_t elect_token(void *arg)
{
    return synod_election_token(((struct elect_run *)arg)->election);
}

static int elect_is_held(void *arg)
{
    return synod_election_is_held(((struct elect_run *)arg)->election);
}

static int elect_release(void *arg)
{
    return synod_resign(((struct elect_run *)arg)->election);
}

static void elect_print(void *arg, enum output_form form)
{
    show_number(form, "token", elect_token(arg));
}

static int take_elect_option(void *arg, int option, const char *value)
{
    struct elect_run *run = arg;
    if (option == OPTION_OBSERVE) {
        run->is_observing = 1;
        return 0;
    }
    return holder_take_option(&run->options, option, value);
}

static int print_leadership(void *arg, const struct synod_leadership *leadership)
{
    const struct elect_run *run = arg;
    if (run->options.common.form == OUTPUT_JSON) {
        json_t *object = json_pack("{s:I}", "token", (json_int_t)leadership->token);
        if (leadership->token != 0) {
            json_set_bytes(object, "value", leadership->value);
        }
        output_json(object);
    } else if (leadership->token == 0) {
        output_text("0\n");
    } else {
        output_text("%llu ", (unsigned long long)leadership->token);
        if (run->options.common.form == OUTPUT_TABLE) {
            output_escaped(leadership->value, 0);
            output_text("\n");
        } else {
            output_bytes(leadership->value, '\n');
        }
    }
    output_flush();
    return output_is_closed() || options_is_interrupted();
}

/* As with a watch, the cluster is asked first, since observing waits through every outage. */
static int observe(struct elect_run *run)
{
    struct synod *s = NULL;
    output_init();
    int status = options_open(&run->options.common, &s);
    if (status != 0) {
        return status;
    }
    int rc = options_ping(s, SYNOD_LINEARIZABLE, NULL);
    if (rc == SYNOD_OK) {
        rc = synod_observe(s, run->name, print_leadership, run);
    }
    return options_close(s, options_is_interrupted() ? SYNOD_E_INTERRUPTED : rc);
}

static int campaign(struct elect_run *run, const char *value)
{
    run->value = synod_text(value);
    struct holder hold = {.kind = "the leadership of",
                          .name = run->name,
                          .variable = "SYNOD_ELECTION",
                          .arg = run,
                          .acquire = elect_acquire,
                          .token = elect_token,
                          .is_held = elect_is_held,
                          .release = elect_release,
                          .print = elect_print};
    return holder_run(&run->options, &hold);
}

int verb_elect(int argc, char **argv)
{
    static const struct option longs[] = {COMMON_LONG_OPTIONS,
                                          HOLD_LONG_OPTIONS,
                                          {"observe", no_argument, NULL, OPTION_OBSERVE},
                                          {NULL, 0, NULL, 0}};
    struct elect_run run = {.name = NULL};
    int status = 0;
    holder_defaults(&run.options);
    run.options.command = options_cut_command(&argc, argv);
    if (options_parse(argc, argv, longs, &run.options.common, take_elect_option, &run, &status)) {
        return status;
    }
    int most = run.is_observing ? 1 : 2;
    if (options_arguments(argc, argv, most, most,
                          run.is_observing ? "a name" : "a name and a value") < 0 ||
        check_name(argv[0], argv[optind]) != 0 ||
        options_check_command(argv[0], run.options.command) != 0) {
        return 3;
    }
    if (run.is_observing && run.options.command != NULL) {
        return verb_usage(argv[0], "--observe runs no command");
    }
    run.name = argv[optind];
    return run.is_observing ? observe(&run) : campaign(&run, argv[optind + 1]);
}
