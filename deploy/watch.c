/* synod watch: changes as they happen, printed, or given to a command one by one. */
#include "common/protocol/kv.h"
#include "common/runtime/log.h"
#include "deploy/base64.h"
#include "deploy/job.h"
#include "deploy/request.h"
#include "deploy/show.h"
#include "deploy/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURN_MS 1000

enum {
    OPTION_PREFIX = OPTION_OWN,
    OPTION_FROM_KEY,
    OPTION_REV,
    OPTION_PREV_KV,
    OPTION_NO_PUT,
    OPTION_NO_DELETE,
    OPTION_PROGRESS
};

struct watch_run {
    struct common_options common;
    struct request_args range; /* of keys */
    struct synod_watch_options options;
    char **command; /* NULL: print */

    struct synod *s;
    int code;        /* SYNOD_OK while it goes on */
    int job_status;  /* of the command that failed; 0: none did */
    uint64_t failed; /* revision of the event it was given */
    char problem[SYNOD_ERROR_BYTES];
};

static int take_own_option(void *arg, int option, const char *value)
{
    struct watch_run *run = arg;
    switch (option) {
    case OPTION_PREFIX:
        run->range.is_prefix = 1;
        break;
    case OPTION_FROM_KEY:
        run->range.is_from_key = 1;
        break;
    case OPTION_REV:
        return options_number(run->common.verb, "--rev", value, 1, INT64_MAX,
                              &run->options.revision);
    case OPTION_PREV_KV:
        run->options.previous = 1;
        break;
    case OPTION_NO_PUT:
        run->options.no_put = 1;
        break;
    case OPTION_NO_DELETE:
        run->options.no_delete = 1;
        break;
    default:
        run->options.progress = 1;
        break;
    }
    return 0;
}

static struct slice borrow(struct synod_bytes bytes)
{
    return slice_borrow(bytes.data, bytes.size);
}

static int parse(struct watch_run *run, int argc, char **argv, int *status)
{
    static const struct option longs[] = {
        COMMON_LONG_OPTIONS,
        {"prefix", no_argument, NULL, OPTION_PREFIX},
        {"from-key", no_argument, NULL, OPTION_FROM_KEY},
        {"rev", required_argument, NULL, OPTION_REV},
        {"prev-kv", no_argument, NULL, OPTION_PREV_KV},
        {"no-put", no_argument, NULL, OPTION_NO_PUT},
        {"no-delete", no_argument, NULL, OPTION_NO_DELETE},
        {"progress", no_argument, NULL, OPTION_PROGRESS},
        {NULL, 0, NULL, 0},
    };
    run->command = options_cut_command(&argc, argv);
    if (options_parse(argc, argv, longs, &run->common, take_own_option, run, status)) {
        return 1;
    }
    int count = options_arguments(argc, argv, 1, 2, "a key and perhaps an end");
    if (count < 0) {
        *status = 3;
        return 1;
    }
    run->options.key = synod_text(argv[optind]);
    run->range.has_end = count == 2;
    if (count == 2) {
        run->options.end = synod_text(argv[optind + 1]);
    }
    *status = request_range(argv[0], &run->range, &run->options.key, &run->options.end);
    *status = *status != 0 ? *status : options_check_command(argv[0], run->command);
    if (*status == 0 && kv_range_is_empty(borrow(run->options.key), borrow(run->options.end))) {
        *status = verb_usage(argv[0], "END has to be higher than KEY: no key lies in what is to be "
                                      "watched");
    }
    return *status != 0;
}

/* ---- printing */

static void print_json(const struct synod_events *events)
{
    json_t *array = json_array();
    for (size_t i = 0; i < events->count; i++) {
        const struct synod_event *event = &events->events[i];
        json_t *object = show_json_kv(&event->kv, event->is_delete);
        json_object_set_new(object, "event", json_string(event->is_delete ? "delete" : "put"));
        if (event->has_previous) {
            json_object_set_new(object, "previous", show_json_kv(&event->previous, 0));
        }
        json_array_append_new(array, object);
    }
    output_json(json_pack("{s:I, s:b, s:o}", "revision", (json_int_t)events->revision, "continued",
                          events->is_continued, "events", array));
}

static void print_table(const struct synod_events *events)
{
    for (size_t i = 0; i < events->count; i++) {
        const struct synod_event *event = &events->events[i];
        output_text("%10llu  %-6s  ", (unsigned long long)events->revision,
                    event->is_delete ? "DELETE" : "PUT");
        output_escaped(event->kv.key, 0);
        output_text("  ");
        output_escaped(event->kv.value, 0);
        output_text("\n");
    }
}

static void print_plain(const struct synod_events *events)
{
    if (events->count == 0) {
        output_text("PROGRESS %llu\n", (unsigned long long)events->revision);
    }
    for (size_t i = 0; i < events->count; i++) {
        const struct synod_event *event = &events->events[i];
        output_text("%s\n", event->is_delete ? "DELETE" : "PUT");
        if (event->has_previous) {
            output_bytes(event->previous.key, '\n');
            output_bytes(event->previous.value, '\n');
        }
        output_bytes(event->kv.key, '\n');
        output_bytes(event->kv.value, '\n');
    }
}

static void print_events(enum output_form form, const struct synod_events *events)
{
    if (form == OUTPUT_JSON) {
        print_json(events);
    } else if (form == OUTPUT_TABLE) {
        print_table(events);
    } else {
        print_plain(events);
    }
    output_flush();
}

/* ---- running a command for each event */

/* A variable ends at a zero byte: a key with one would be another key, perhaps one that exists. */
static void set_key(struct synod_bytes key)
{
    char *whole = strndup(key.data, key.size);
    char *encoded = base64_encode(key.data, key.size);
    if (whole != NULL && strlen(whole) == key.size) {
        setenv("SYNOD_KEY", whole, 1);
    } else {
        unsetenv("SYNOD_KEY");
    }
    setenv("SYNOD_KEY_BASE64", encoded != NULL ? encoded : "", 1);
    free(whole);
    free(encoded);
}

static void run_command(struct watch_run *run, const struct synod_event *event, uint64_t revision)
{
    char number[24];
    char version[24];
    snprintf(number, sizeof number, "%llu", (unsigned long long)revision);
    snprintf(version, sizeof version, "%llu", (unsigned long long)event->kv.version);
    setenv("SYNOD_EVENT", event->is_delete ? "delete" : "put", 1);
    setenv("SYNOD_REVISION", number, 1);
    setenv("SYNOD_VERSION", version, 1);
    set_key(event->kv.key);
    run->job_status = job_run(run->command, event->kv.value.data, event->kv.value.size);
    run->failed = revision;
}

static void on_events(void *arg, int code, const struct synod_events *events)
{
    struct watch_run *run = arg;
    if (code != SYNOD_OK) {
        run->code = code;
        snprintf(run->problem, sizeof run->problem, "%s", synod_error(run->s));
        return;
    }
    if (run->command == NULL) {
        print_events(run->common.form, events);
        return;
    }
    for (size_t i = 0; i < events->count && run->job_status == 0 && !options_is_interrupted();
         i++) {
        run_command(run, &events->events[i], events->revision);
    }
}

/* ---- the verb */

/* A watch would wait through an outage without a word, so the cluster is asked for something first.
 * What comes after this verb was called is what comes after the revision that it answers. */
static int find_start(struct watch_run *run)
{
    uint64_t revision = 0;
    int is_from_now = run->options.revision == 0;
    int rc = options_ping(run->s, is_from_now ? SYNOD_LINEARIZABLE : SYNOD_LOCAL, &revision);
    if (rc == SYNOD_OK && is_from_now) {
        run->options.revision = revision + 1;
    }
    return rc;
}

static int watch(struct watch_run *run)
{
    struct synod_watch *watch = NULL;
    int rc = find_start(run);
    if (rc == SYNOD_OK) {
        rc = synod_watch_start(run->s, &run->options, on_events, run, &watch);
    }
    while (rc == SYNOD_OK && run->code == SYNOD_OK && run->job_status == 0 && !output_is_closed()) {
        rc = options_is_interrupted() ? SYNOD_E_INTERRUPTED : synod_poll(run->s, TURN_MS);
    }
    synod_watch_stop(watch);
    return rc;
}

static int finish(struct watch_run *run, int rc)
{
    int status = 0;
    if (run->code == SYNOD_OK) {
        status = options_close(run->s, rc);
    } else {
        status = options_fail(run->code, run->problem);
        synod_close(run->s);
    }
    if (run->job_status != 0) {
        log_error("the command failed (exit status %d); try: --rev %llu to go on with what it was "
                  "given",
                  run->job_status, (unsigned long long)run->failed);
        status = run->job_status;
    }
    return status;
}

int verb_watch(int argc, char **argv)
{
    struct watch_run *run = calloc(1, sizeof *run);
    int status = 1;
    if (run == NULL || parse(run, argc, argv, &status)) {
        free(run);
        return status;
    }
    output_init();
    status = options_open(&run->common, &run->s);
    if (status == 0) {
        status = finish(run, watch(run));
    }
    free(run);
    return status;
}
