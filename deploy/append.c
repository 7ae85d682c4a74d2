/* synod append: records from arguments or lines, acknowledged in order. */
#include "common/base/memory.h"
#include "common/runtime/log.h"
#include "deploy/input.h"
#include "deploy/options.h"
#include "deploy/output.h"
#include "deploy/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Records under way: enough to fill every buffer between here and the disks, little enough that an
 * interruption leaves few in doubt. */
#define WINDOW 10000

#define PROGRESS_MS 200

enum { OPTION_QUIET = OPTION_OWN, OPTION_FILE, OPTION_NULL };

struct append_run;

/* Where the answer of one record goes; records are printed in their order, whatever the order of
 * the answers. */
struct slot {
    struct append_run *run;
    int is_done;
    uint64_t index;
};

struct append_run {
    struct common_options common;
    int is_quiet;
    const char *file;
    char separator;

    struct synod *s;
    struct input input;
    char **arguments; /* the rest of them; NULL: records come from input */
    struct slot *slots;
    uint64_t taken;   /* records handed to the library */
    uint64_t printed; /* acknowledged, with everything before */
    uint64_t first_index, last_index;
    int is_end; /* no more records will be taken */

    int status; /* other than 0: why it ends */
    char problem[SYNOD_ERROR_BYTES];
    int code; /* of the first failed append, 0: none */

    int has_progress; /* standard error is a terminal that shows how far it is */
    int64_t started_ms, progress_ms;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void print_index(struct append_run *run, uint64_t index)
{
    if (run->is_quiet) {
        return;
    }
    if (run->common.form == OUTPUT_JSON) {
        output_text("{\"index\":%llu}\n", (unsigned long long)index);
    } else {
        output_text("%llu\n", (unsigned long long)index);
    }
}

static void on_answer(void *arg, int code, uint64_t index)
{
    struct slot *slot = arg;
    struct append_run *run = slot->run;
    if (code != SYNOD_OK) {
        if (run->code == 0 && code != SYNOD_E_INTERRUPTED) {
            run->code = code;
            snprintf(run->problem, sizeof run->problem, "%s", synod_error(run->s));
        }
        return;
    }
    slot->is_done = 1;
    slot->index = index;
    for (slot = &run->slots[run->printed % WINDOW]; run->printed < run->taken && slot->is_done;
         slot = &run->slots[run->printed % WINDOW]) {
        slot->is_done = 0;
        run->first_index = run->printed == 0 ? slot->index : run->first_index;
        run->last_index = slot->index;
        print_index(run, slot->index);
        run->printed++;
    }
}

/* ---- input */

/* Says how long the record is that is too long, and stops taking more. */
static void stop_too_long(struct append_run *run, const char *what, uint64_t number)
{
    run->is_end = 1;
    run->status = 3;
    snprintf(run->problem, sizeof run->problem,
             "%s %llu is too long (the limit of a record is %d bytes); try: to split it", what,
             (unsigned long long)number, SYNOD_RECORD_BYTES_MAX);
}

static enum input_result next_record(struct append_run *run, const uint8_t **data, size_t *size)
{
    if (run->arguments == NULL) {
        enum input_result result = input_next(&run->input, SYNOD_RECORD_BYTES_MAX, data, size);
        if (result == INPUT_TOO_LONG) {
            stop_too_long(run, run->separator == '\n' ? "line" : "record",
                          run->input.record_count + 1);
        }
        return result;
    }
    if (*run->arguments == NULL) {
        return INPUT_END;
    }
    *data = (const uint8_t *)*run->arguments;
    *size = strlen(*run->arguments);
    if (*size > SYNOD_RECORD_BYTES_MAX) {
        stop_too_long(run, "argument", run->taken + 1);
        return INPUT_TOO_LONG;
    }
    run->arguments++;
    return INPUT_RECORD;
}

/* A record that the library had no room for is offered again: 1 if it was taken. */
static int offer(struct append_run *run, const uint8_t *data, size_t size)
{
    struct slot *slot = &run->slots[run->taken % WINDOW];
    slot->run = run;
    int rc;
    while ((rc = synod_append_async(run->s, data, size, 0, on_answer, slot)) == SYNOD_E_BUSY) {
        int poll_rc = synod_poll(run->s, PROGRESS_MS);
        if (run->code == 0 && poll_rc != SYNOD_OK && poll_rc != SYNOD_E_INTERRUPTED) {
            run->code = poll_rc;
            snprintf(run->problem, sizeof run->problem, "%s", synod_error(run->s));
        }
        if (run->code != 0 || options_is_interrupted()) {
            return 0;
        }
    }
    if (rc != SYNOD_OK) {
        run->code = rc;
        snprintf(run->problem, sizeof run->problem, "%s", synod_error(run->s));
        return 0;
    }
    run->taken++;
    return 1;
}

/* Takes records until the window is full or the input has none at hand. 1 if it waits for input. */
static int take_records(struct append_run *run)
{
    while (!run->is_end && run->taken - run->printed < WINDOW) {
        const uint8_t *data = NULL;
        size_t size = 0;
        enum input_result result = next_record(run, &data, &size);
        if (result == INPUT_NEEDS) {
            return 1;
        }
        if (result != INPUT_RECORD) {
            run->is_end = 1;
        } else if (!offer(run, data, size)) {
            return 0;
        }
    }
    return 0;
}

/* Waits for input or for the cluster, whichever comes first. */
static void wait_for_input(struct append_run *run)
{
    struct pollfd fds[2] = {{run->input.fd, POLLIN, 0}, {synod_fd(run->s), POLLIN, 0}};
    int n = poll(fds, 2, run->has_progress ? PROGRESS_MS : -1);
    if (n > 0 && fds[0].revents != 0 && input_fill(&run->input) != 0) {
        run->is_end = 1;
        run->status = 3;
        snprintf(run->problem, sizeof run->problem, "%.200s cannot be read (%s); try: another file",
                 run->file != NULL ? run->file : "standard input", strerror(errno));
    }
}

/* ---- progress and summary */

static void show_progress(struct append_run *run)
{
    int64_t now = now_ms();
    if (!run->has_progress || now - run->progress_ms < PROGRESS_MS) {
        return;
    }
    run->progress_ms = now;
    int64_t elapsed = now - run->started_ms;
    fprintf(stderr, "\r\033[K%llu records, %.0f/s", (unsigned long long)run->printed,
            elapsed > 0 ? (double)run->printed * 1000 / (double)elapsed : 0.0);
}

static void print_summary(const struct append_run *run)
{
    double seconds = (double)(now_ms() - run->started_ms) / 1000;
    double rate = seconds > 0 ? (double)run->printed / seconds : 0;
    if (run->common.form == OUTPUT_JSON) {
        output_json(json_pack("{s:I, s:f, s:f, s:I, s:I}", "records", (json_int_t)run->printed,
                              "seconds", seconds, "records_per_s", rate, "first",
                              (json_int_t)run->first_index, "last", (json_int_t)run->last_index));
        return;
    }
    output_text("%llu records in %.3f s, %.0f records/s", (unsigned long long)run->printed, seconds,
                rate);
    if (run->printed > 0) {
        output_text(", indexes %llu to %llu", (unsigned long long)run->first_index,
                    (unsigned long long)run->last_index);
    }
    output_text("\n");
}

static const char *records(uint64_t count)
{
    return count == 1 ? "record is" : "records are";
}

static int finish(struct append_run *run)
{
    if (run->has_progress) {
        fputs("\r\033[K", stderr);
    }
    if (run->is_quiet) {
        print_summary(run);
    }
    output_flush();
    unsigned long long acknowledged = run->printed;
    unsigned long long in_doubt = run->taken - run->printed;
    if (options_is_interrupted()) {
        log_say("interrupted: %llu %s acknowledged, %llu may or may not be appended", acknowledged,
                records(run->printed), in_doubt);
        return 5;
    }
    if (run->code != 0) {
        int status = options_fail(run->code, run->problem);
        log_say("%llu %s acknowledged, %llu may or may not be appended", acknowledged,
                records(run->printed), in_doubt);
        return status;
    }
    if (run->status != 0) {
        log_error("%s", run->problem);
        log_say("%llu %s acknowledged", acknowledged, records(run->printed));
    }
    return run->status;
}

/* ---- the verb */

static int take_own_option(void *arg, int option, const char *value)
{
    struct append_run *run = arg;
    switch (option) {
    case OPTION_QUIET:
        run->is_quiet = 1;
        break;
    case OPTION_FILE:
        run->file = value;
        break;
    default:
        run->separator = '\0';
        break;
    }
    return 0;
}

static int parse(struct append_run *run, int argc, char **argv, int *exit_status)
{
    static const struct option longs[] = {
        COMMON_LONG_OPTIONS,
        {"quiet", no_argument, NULL, OPTION_QUIET},
        {"file", required_argument, NULL, OPTION_FILE},
        {"null", no_argument, NULL, OPTION_NULL},
        {NULL, 0, NULL, 0},
    };
    run->separator = '\n';
    if (options_parse(argc, argv, longs, &run->common, take_own_option, run, exit_status)) {
        return 1;
    }
    if (optind < argc && run->file != NULL) {
        *exit_status = verb_usage(argv[0], "records come from arguments or from --file, not both");
        return 1;
    }
    run->arguments = optind < argc ? argv + optind : NULL;
    return 0;
}

static int open_input(struct append_run *run)
{
    int fd = STDIN_FILENO;
    if (run->file != NULL) {
        fd = open(run->file, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            log_error("%s cannot be opened (%s); try: --file with a readable file", run->file,
                      strerror(errno));
            return 3;
        }
    }
    input_init(&run->input, fd, run->separator);
    return 0;
}

static void append_all(struct append_run *run)
{
    run->started_ms = run->progress_ms = now_ms();
    run->has_progress = isatty(STDERR_FILENO) && (run->is_quiet || !isatty(STDOUT_FILENO));
    while (run->code == 0 && !options_is_interrupted() && !output_is_closed()) {
        int is_waiting = take_records(run);
        if (run->is_end && run->printed == run->taken) {
            return;
        }
        int rc = synod_poll(run->s, is_waiting ? 0 : PROGRESS_MS);
        if (rc != SYNOD_OK && rc != SYNOD_E_INTERRUPTED && run->code == 0) {
            run->code = rc;
            snprintf(run->problem, sizeof run->problem, "%s", synod_error(run->s));
        }
        if (is_waiting && run->code == 0) {
            output_flush();
            wait_for_input(run);
        }
        show_progress(run);
    }
}

int verb_append(int argc, char **argv)
{
    struct append_run run = {0};
    int status = 0;
    if (parse(&run, argc, argv, &status)) {
        return status;
    }
    output_init();
    status = open_input(&run);
    if (status == 0) {
        status = options_open(&run.common, &run.s);
    }
    if (status == 0) {
        run.slots = memory_calloc(WINDOW, sizeof *run.slots);
        append_all(&run);
        status = finish(&run);
        synod_close(run.s);
    }
    free(run.slots);
    input_close(&run.input);
    return status;
}
