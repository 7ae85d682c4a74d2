/* synod queue push, claim, extend, ack, release and show. */
#include "deploy/options.h"
#include "deploy/output.h"
#include "deploy/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VISIBILITY_MS_DEFAULT 60000
#define VISIBILITY_MS_LEAST 1000
#define VISIBILITY_MS_MOST ((uint64_t)365 * 24 * 3600 * 1000)

enum { OPTION_VISIBILITY = OPTION_OWN, OPTION_WAIT };

struct queue_run {
    struct common_options common;
    uint64_t visibility_ms;
    uint64_t wait_ms;
    struct synod *s;
    const char *queue, *id;
    uint64_t token;
};

static const struct option longs[] = {COMMON_LONG_OPTIONS, {NULL, 0, NULL, 0}};

static int take_own_option(void *arg, int option, const char *value)
{
    struct queue_run *run = arg;
    return option == OPTION_WAIT
               ? options_time(run->common.verb, "--wait", value, 0, UINT32_MAX - 1, &run->wait_ms)
               : options_time(run->common.verb, "--visibility", value, VISIBILITY_MS_LEAST,
                              VISIBILITY_MS_MOST, &run->visibility_ms);
}

static int open_run(struct queue_run *run)
{
    output_init();
    return options_open(&run->common, &run->s);
}

/* For verbs on a message: queue, id and token. An open handle, or NULL and *status, all said. */
static struct synod *begin(struct queue_run *run, int argc, char **argv, int *status)
{
    if (options_parse(argc, argv, longs, &run->common, NULL, NULL, status)) {
        return NULL;
    }
    *status = 3;
    if (options_arguments(argc, argv, 3, 3, "a queue, the id of a message and its token") < 0 ||
        options_number(argv[0], "TOKEN", argv[optind + 2], 1, INT64_MAX, &run->token) != 0) {
        return NULL;
    }
    run->queue = argv[optind];
    run->id = argv[optind + 1];
    *status = open_run(run);
    return run->s;
}

/* ---- push */

static int push(struct queue_run *run, struct synod_bytes data)
{
    char id[32];
    int status = open_run(run);
    if (status != 0) {
        return status;
    }
    int rc = synod_queue_push(run->s, run->queue, data, id);
    if (rc == SYNOD_OK && run->common.form == OUTPUT_JSON) {
        output_json(json_pack("{s:s}", "id", id));
    } else if (rc == SYNOD_OK) {
        output_text("%s\n", id);
    }
    return options_close(run->s, rc);
}

int verb_queue_push(int argc, char **argv)
{
    struct queue_run run = {.queue = NULL};
    int status = 0;
    char *bytes = NULL;
    size_t size = 0;
    if (options_parse(argc, argv, longs, &run.common, NULL, NULL, &status)) {
        return status;
    }
    int count = options_arguments(argc, argv, 1, 2, "a queue and a message");
    if (count < 0) {
        return 3;
    }
    run.queue = argv[optind];
    if (count == 2) {
        return push(&run, synod_text(argv[optind + 1]));
    }
    status = options_read_all(argv[0], NULL, SYNOD_VALUE_BYTES_MAX, &bytes, &size);
    if (status == 0) {
        status = push(&run, (struct synod_bytes){bytes, size});
        free(bytes);
    }
    return status;
}

/* ---- claim */

static void print_message(enum output_form form, const struct synod_message *message)
{
    if (form == OUTPUT_JSON) {
        json_t *object =
            json_pack("{s:s, s:I}", "id", message->id, "token", (json_int_t)message->token);
        json_set_bytes(object, "data", message->data);
        output_json(object);
        return;
    }
    output_text("%s %llu\n", message->id, (unsigned long long)message->token);
    if (form == OUTPUT_TABLE) {
        output_escaped(message->data, 0);
        output_text("\n");
    } else {
        output_bytes(message->data, '\n');
    }
}

/* A message that nobody could be told of is given back at once: whoever read us went away. */
static int give_back_unread(struct queue_run *run, const struct synod_message *message)
{
    output_flush();
    return output_is_closed() ? synod_queue_release(run->s, run->queue, message->id, message->token)
                              : SYNOD_OK;
}

int verb_queue_claim(int argc, char **argv)
{
    static const struct option claim_longs[] = {
        COMMON_LONG_OPTIONS,
        {"visibility", required_argument, NULL, OPTION_VISIBILITY},
        {"wait", required_argument, NULL, OPTION_WAIT},
        {NULL, 0, NULL, 0}};
    struct queue_run run = {.visibility_ms = VISIBILITY_MS_DEFAULT};
    struct synod_message message;
    int status = 0;
    if (options_parse(argc, argv, claim_longs, &run.common, take_own_option, &run, &status)) {
        return status;
    }
    if (options_arguments(argc, argv, 1, 1, "a queue") < 0) {
        return 3;
    }
    run.queue = argv[optind];
    status = open_run(&run);
    if (status != 0) {
        return status;
    }
    /* What waits would wait through an outage, so the cluster is asked for something first. */
    int rc = run.wait_ms > 0 ? options_ping(run.s, SYNOD_LINEARIZABLE, NULL) : SYNOD_OK;
    if (rc == SYNOD_OK) {
        rc = synod_queue_claim(run.s, run.queue, run.visibility_ms, 1, (uint32_t)run.wait_ms,
                               &message);
    }
    if (rc == SYNOD_OK) {
        print_message(run.common.form, &message);
        rc = give_back_unread(&run, &message);
    }
    return options_close(run.s, rc);
}

/* ---- extend, ack, release: only JSON has something to say beyond that it is done */

typedef int (*deed_fn)(struct synod *s, const char *queue, const char *id, uint64_t token);

static int verb_deed(int argc, char **argv, deed_fn deed)
{
    struct queue_run run = {.queue = NULL};
    int status = 0;
    if (begin(&run, argc, argv, &status) == NULL) {
        return status;
    }
    int rc = deed(run.s, run.queue, run.id, run.token);
    if (rc == SYNOD_OK && run.common.form == OUTPUT_JSON) {
        json_t *object = json_object();
        json_set_bytes(object, "queue", synod_text(run.queue));
        json_set_bytes(object, "id", synod_text(run.id));
        json_object_set_new(object, "token", json_integer((json_int_t)run.token));
        output_json(object);
    }
    return options_close(run.s, rc);
}

int verb_queue_extend(int argc, char **argv)
{
    return verb_deed(argc, argv, synod_queue_extend);
}

int verb_queue_ack(int argc, char **argv)
{
    return verb_deed(argc, argv, synod_queue_acknowledge);
}

int verb_queue_release(int argc, char **argv)
{
    return verb_deed(argc, argv, synod_queue_release);
}

/* ---- show */

int verb_queue_show(int argc, char **argv)
{
    struct queue_run run = {.queue = NULL};
    struct synod_queue queue;
    int status = 0;
    if (options_parse(argc, argv, longs, &run.common, NULL, NULL, &status)) {
        return status;
    }
    if (options_arguments(argc, argv, 1, 1, "a queue") < 0) {
        return 3;
    }
    run.queue = argv[optind];
    status = open_run(&run);
    if (status != 0) {
        return status;
    }
    int rc = synod_queue_show(run.s, run.queue, &queue);
    if (rc == SYNOD_OK && run.common.form == OUTPUT_JSON) {
        json_t *object = json_pack("{s:I, s:I}", "length", (json_int_t)queue.length, "claimed",
                                   (json_int_t)queue.claimed);
        json_set_bytes(object, "queue", synod_text(run.queue));
        output_json(object);
    } else if (rc == SYNOD_OK) {
        output_text("%llu messages, %llu claimed\n", (unsigned long long)queue.length,
                    (unsigned long long)queue.claimed);
    }
    return options_close(run.s, rc);
}
