/* synod put, get, range, del and compact: one request, one answer. */
#include "common/runtime/log.h"
#include "deploy/request.h"
#include "deploy/show.h"
#include "deploy/verbs.h"

#include <stdlib.h>

/* Sends what was parsed. print: 0 if the answer is a failure that was said. */
static int execute(const struct common_options *common, const struct request_args *args)
{
    struct synod *s = NULL;
    output_init();
    int status = options_open(common, &s);
    if (status != 0) {
        return status;
    }
    struct synod_result *result = NULL;
    int rc = synod_request(s, &args->request, args->consistency, &result);
    int is_missing = rc == SYNOD_OK && args->request.op == SYNOD_RANGE && args->is_one_key &&
                     !args->show.is_count_only && result->response.count == 0;
    if (is_missing) {
        log_error("there is no such key; try: synod get --prefix %.200s",
                  (const char *)args->request.as.range.key.data);
    } else if (rc == SYNOD_OK) {
        show_result(&args->show, result);
    }
    synod_result_free(result);
    status = options_close(s, rc);
    return is_missing ? 1 : status;
}

int verb_put(int argc, char **argv)
{
    struct common_options common = {0};
    struct request_args args;
    char *value = NULL;
    int status = 0;
    if (request_parse(argc, argv, &common, &args, &status)) {
        return status;
    }
    if (args.is_without_value) {
        struct synod_bytes *out = &args.request.as.put.value;
        status = options_read_all(argv[0], NULL, SYNOD_VALUE_BYTES_MAX, &value, &out->size);
        out->data = value;
    }
    status = status == 0 ? execute(&common, &args) : status;
    free(value);
    return status;
}

int verb_get(int argc, char **argv)
{
    struct common_options common = {0};
    struct request_args args;
    int status = 0;
    if (request_parse(argc, argv, &common, &args, &status)) {
        return status;
    }
    if (args.is_one_key && !args.show.is_keys_only && args.show.form == OUTPUT_PLAIN) {
        args.show.is_value_only = 1; /* whoever asks for one key knows its name */
    }
    return execute(&common, &args);
}

int verb_del(int argc, char **argv)
{
    struct common_options common = {0};
    struct request_args args;
    int status = 0;
    return request_parse(argc, argv, &common, &args, &status) ? status : execute(&common, &args);
}

int verb_compact(int argc, char **argv)
{
    static const struct option longs[] = {COMMON_LONG_OPTIONS, {NULL, 0, NULL, 0}};
    struct common_options common = {0};
    struct synod *s = NULL;
    uint64_t revision = 0;
    int status = 0;
    if (options_parse(argc, argv, longs, &common, NULL, NULL, &status)) {
        return status;
    }
    if (options_arguments(argc, argv, 1, 1, "a revision") < 0 ||
        options_number(argv[0], "REV", argv[optind], 1, INT64_MAX, &revision) != 0) {
        return 3;
    }
    output_init();
    status = options_open(&common, &s);
    if (status != 0) {
        return status;
    }
    int rc = synod_compact(s, revision);
    if (rc == SYNOD_OK) {
        show_number(common.form, "compacted", revision);
    }
    return options_close(s, rc);
}
