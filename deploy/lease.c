/* synod lease grant, revoke, keepalive, ttl and list. */
#include "common/protocol/limits.h"
#include "common/runtime/log.h"
#include "deploy/options.h"
#include "deploy/output.h"
#include "deploy/show.h"
#include "deploy/verbs.h"

#define TURN_MS 1000

enum { OPTION_ID = OPTION_OWN, OPTION_ONCE, OPTION_KEYS };

struct lease_run {
    struct common_options common;
    uint64_t id;
    int is_once, has_keys;
    struct synod *s;
    int is_lost;
    json_t *keys; /* while a lease is shown as JSON */
};

static int take_own_option(void *arg, int option, const char *value)
{
    struct lease_run *run = arg;
    switch (option) {
    case OPTION_ID:
        return options_number(run->common.verb, "--id", value, 0, INT64_MAX, &run->id);
    case OPTION_ONCE:
        run->is_once = 1;
        return 0;
    default:
        run->has_keys = 1;
        return 0;
    }
}

static int open_run(struct lease_run *run)
{
    output_init();
    return options_open(&run->common, &run->s);
}

/* For verbs that take an id: an open handle, or NULL and *status, all said. */
static struct synod *begin(struct lease_run *run, int argc, char **argv, const struct option *longs,
                           int *status)
{
    if (options_parse(argc, argv, longs, &run->common, take_own_option, run, status)) {
        return NULL;
    }
    *status = 3;
    if (options_arguments(argc, argv, 1, 1, "the id of a lease") < 0 ||
        options_number(argv[0], "ID", argv[optind], 1, INT64_MAX, &run->id) != 0) {
        return NULL;
    }
    *status = open_run(run);
    return run->s;
}

static const struct option plain_longs[] = {COMMON_LONG_OPTIONS, {NULL, 0, NULL, 0}};

/* ---- grant */

int verb_lease_grant(int argc, char **argv)
{
    static const struct option longs[] = {
        COMMON_LONG_OPTIONS, {"id", required_argument, NULL, OPTION_ID}, {NULL, 0, NULL, 0}};
    struct lease_run run = {.id = 0};
    uint64_t ttl_ms = 0;
    uint64_t id = 0;
    int status = 0;
    if (options_parse(argc, argv, longs, &run.common, take_own_option, &run, &status)) {
        return status;
    }
    if (options_arguments(argc, argv, 1, 1, "a TTL, like 30s") < 0 ||
        options_time(argv[0], "TTL", argv[optind], 1, LEASE_TTL_MS_MAX, &ttl_ms) != 0) {
        return 3;
    }
    status = open_run(&run);
    if (status != 0) {
        return status;
    }
    int rc = synod_lease_grant(run.s, run.id, ttl_ms, 0, &id);
    if (rc == SYNOD_OK && run.common.form == OUTPUT_JSON) {
        output_json(json_pack("{s:I, s:I}", "lease", (json_int_t)id, "ttl_ms", (json_int_t)ttl_ms));
    } else if (rc == SYNOD_OK) {
        output_text("%llu\n", (unsigned long long)id);
    }
    return options_close(run.s, rc);
}

/* ---- revoke, keepalive */

int verb_lease_revoke(int argc, char **argv)
{
    struct lease_run run = {.id = 0};
    int status = 0;
    if (begin(&run, argc, argv, plain_longs, &status) == NULL) {
        return status;
    }
    int rc = synod_lease_revoke(run.s, run.id);
    if (rc == SYNOD_OK && run.common.form == OUTPUT_JSON) {
        output_json(json_pack("{s:I}", "revoked", (json_int_t)run.id));
    }
    return options_close(run.s, rc);
}

static void print_left(const struct lease_run *run, uint64_t left_ms)
{
    char left[32];
    show_duration(left, left_ms);
    if (run->common.form == OUTPUT_JSON) {
        output_json(
            json_pack("{s:I, s:I}", "lease", (json_int_t)run->id, "left_ms", (json_int_t)left_ms));
    } else {
        output_text("%s\n", left);
    }
    output_flush();
}

static void on_lost(void *arg, uint64_t id)
{
    (void)id;
    ((struct lease_run *)arg)->is_lost = 1;
}

static int keep(struct lease_run *run)
{
    int rc = synod_lease_keep(run->s, run->id, on_lost, run);
    while (rc == SYNOD_OK && !run->is_lost) {
        rc = options_is_interrupted() ? SYNOD_E_INTERRUPTED : synod_poll(run->s, TURN_MS);
    }
    return rc;
}

int verb_lease_keepalive(int argc, char **argv)
{
    static const struct option longs[] = {
        COMMON_LONG_OPTIONS, {"once", no_argument, NULL, OPTION_ONCE}, {NULL, 0, NULL, 0}};
    struct lease_run run = {.id = 0};
    uint64_t left_ms = 0;
    int status = 0;
    if (begin(&run, argc, argv, longs, &status) == NULL) {
        return status;
    }
    int rc = synod_lease_keepalive(run.s, run.id, &left_ms);
    if (rc == SYNOD_OK) {
        print_left(&run, left_ms);
        rc = run.is_once ? SYNOD_OK : keep(&run);
    }
    status = options_close(run.s, rc);
    if (run.is_lost) {
        log_error("lease %llu is lost (it was revoked, or could not be kept alive in time); try: a "
                  "new one, with a longer TTL",
                  (unsigned long long)run.id);
        status = 1;
    }
    return status;
}

/* ---- ttl, list */

static int on_key(void *arg, struct synod_bytes key)
{
    const struct lease_run *run = arg;
    json_t *object = json_object();
    json_set_bytes(object, "key", key);
    return json_array_append_new(run->keys, object);
}

static int print_key(void *arg, struct synod_bytes key)
{
    const struct lease_run *run = arg;
    if (run->common.form == OUTPUT_TABLE) {
        output_escaped(key, 0);
        output_text("\n");
    } else {
        output_bytes(key, '\n');
    }
    return output_is_closed();
}

static json_t *json_lease(const struct synod_lease *lease)
{
    return json_pack("{s:I, s:I, s:I}", "lease", (json_int_t)lease->id, "ttl_ms",
                     (json_int_t)lease->ttl_ms, "left_ms", (json_int_t)lease->left_ms);
}

static void print_lease(const struct synod_lease *lease)
{
    char ttl[32];
    char left[32];
    show_duration(ttl, lease->ttl_ms);
    show_duration(left, lease->left_ms);
    output_text("%llu  %s  %s\n", (unsigned long long)lease->id, ttl, left);
}

/* The keys come while the call runs, the lease itself after it; so they are asked for apart when
 * they are not put into an object. */
static int show_lease(struct lease_run *run)
{
    struct synod_lease lease;
    int is_json = run->common.form == OUTPUT_JSON;
    run->keys = json_array();
    int rc =
        synod_lease_ttl(run->s, run->id, &lease, is_json && run->has_keys ? on_key : NULL, run);
    if (rc == SYNOD_OK && is_json) {
        json_t *object = json_lease(&lease);
        if (run->has_keys) {
            json_object_set(object, "keys", run->keys);
        }
        output_json(object);
    } else if (rc == SYNOD_OK) {
        print_lease(&lease);
        if (run->has_keys) {
            rc = synod_lease_ttl(run->s, run->id, &lease, print_key, run);
        }
    }
    json_decref(run->keys);
    return rc;
}

int verb_lease_ttl(int argc, char **argv)
{
    static const struct option longs[] = {
        COMMON_LONG_OPTIONS, {"keys", no_argument, NULL, OPTION_KEYS}, {NULL, 0, NULL, 0}};
    struct lease_run run = {.id = 0};
    int status = 0;
    return begin(&run, argc, argv, longs, &status) == NULL ? status
                                                           : options_close(run.s, show_lease(&run));
}

static int on_lease(void *arg, const struct synod_lease *lease)
{
    const struct lease_run *run = arg;
    if (run->common.form == OUTPUT_JSON) {
        output_json(json_lease(lease));
    } else {
        print_lease(lease);
    }
    return output_is_closed();
}

int verb_lease_list(int argc, char **argv)
{
    struct lease_run run = {.id = 0};
    int status = 0;
    if (options_parse(argc, argv, plain_longs, &run.common, NULL, NULL, &status)) {
        return status;
    }
    if (options_arguments(argc, argv, 0, 0, "options only") < 0) {
        return 3;
    }
    status = open_run(&run);
    return status != 0 ? status : options_close(run.s, synod_lease_list(run.s, on_lease, &run));
}
