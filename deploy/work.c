/* synod work claim, renew, release, complete, show and list. */
#include "common/runtime/log.h"
#include "deploy/options.h"
#include "deploy/output.h"
#include "deploy/verbs.h"

#include <string.h>
#include <unistd.h>

#define TTL_MS_DEFAULT 60000
#define TTL_MS_LEAST 1000
#define TTL_MS_MOST ((uint64_t)365 * 24 * 3600 * 1000)

enum { OPTION_OWNER = OPTION_OWN, OPTION_TTL };

struct work_run {
    struct common_options common;
    const char *owner;
    uint64_t ttl_ms;
    struct synod *s;
    const char *item;
    uint64_t token;
    struct synod_bytes result;
};

static int take_own_option(void *arg, int option, const char *value)
{
    struct work_run *run = arg;
    if (option == OPTION_OWNER) {
        run->owner = value;
        return 0;
    }
    return options_time(run->common.verb, "--ttl", value, TTL_MS_LEAST, TTL_MS_MOST, &run->ttl_ms);
}

/* An open handle, or NULL and *status, all said. The arguments are an item and perhaps a token and
 * a result, as many as count. */
static struct synod *begin(struct work_run *run, int argc, char **argv, int count,
                           const char *expected, int *status)
{
    static const struct option longs[] = {COMMON_LONG_OPTIONS, {NULL, 0, NULL, 0}};
    static const struct option claim_longs[] = {COMMON_LONG_OPTIONS,
                                                {"owner", required_argument, NULL, OPTION_OWNER},
                                                {"ttl", required_argument, NULL, OPTION_TTL},
                                                {NULL, 0, NULL, 0}};
    int is_claim = run->ttl_ms != 0;
    if (options_parse(argc, argv, is_claim ? claim_longs : longs, &run->common, take_own_option,
                      run, status)) {
        return NULL;
    }
    *status = 3;
    int given = options_arguments(argc, argv, count < 2 ? count : 2, count, expected);
    if (given < 0) {
        return NULL;
    }
    if (given > 0) {
        run->item = argv[optind];
    }
    if (given > 1 &&
        options_number(argv[0], "TOKEN", argv[optind + 1], 1, INT64_MAX, &run->token) != 0) {
        return NULL;
    }
    run->result = synod_text(given > 2 ? argv[optind + 2] : "");
    output_init();
    *status = options_open(&run->common, &run->s);
    return run->s;
}

/* ---- printing */

static const char *state_name(enum synod_work_state state)
{
    static const char *const names[] = {"free", "claimed", "done"};
    return names[state];
}

static json_t *json_work(const char *item, const struct synod_work *work)
{
    json_t *object = json_object();
    json_set_bytes(object, "item", synod_text(item));
    json_t *rest = json_pack("{s:s, s:I, s:I}", "state", state_name(work->state), "counter",
                             (json_int_t)work->counter, "token", (json_int_t)work->token);
    json_object_update(object, rest);
    json_decref(rest);
    json_set_bytes(object, "owner", synod_text(work->owner));
    if (work->state == SYNOD_WORK_DONE) {
        json_set_bytes(object, "result", work->result);
    }
    return object;
}

/* Anybody chooses names and owners: they must not break the line, or speak to the terminal. */
static void print_line(const struct synod_work *work, const char *last)
{
    output_text("%-7s  %llu  %llu  ", state_name(work->state), (unsigned long long)work->counter,
                (unsigned long long)work->token);
    output_escaped(synod_text(work->owner[0] != '\0' ? work->owner : "-"), 0);
    output_text("%s", last[0] != '\0' ? "  " : "");
    output_escaped(synod_text(last), 0);
    output_text("\n");
}

/* ---- claim */

static int fail_claim(const char *item, const struct synod_work *work)
{
    if (work->state == SYNOD_WORK_DONE) {
        log_error("\"%.200s\" is done (by %s); try: synod work show %.200s", item, work->owner,
                  item);
    } else {
        log_error("\"%.200s\" is claimed (by %s, counter %llu); try: again when that claim "
                  "has ended",
                  item, work->owner, (unsigned long long)work->counter);
    }
    return 1;
}

int verb_work_claim(int argc, char **argv)
{
    struct work_run run = {.ttl_ms = TTL_MS_DEFAULT};
    struct synod_work work = {.state = SYNOD_WORK_FREE};
    char host[256] = "";
    int status = 0;
    if (begin(&run, argc, argv, 1, "an item", &status) == NULL) {
        return status;
    }
    if (run.owner == NULL) {
        gethostname(host, sizeof host - 1);
        run.owner = host;
    }
    int rc = synod_work_claim(run.s, run.item, run.owner, run.ttl_ms, 1, &work);
    if (rc == SYNOD_E_EXISTS) {
        status = fail_claim(run.item, &work);
        rc = SYNOD_OK;
    } else if (rc == SYNOD_OK && run.common.form == OUTPUT_JSON) {
        output_json(json_work(run.item, &work));
    } else if (rc == SYNOD_OK) {
        output_text("%llu\n", (unsigned long long)work.token);
    }
    int closed = options_close(run.s, rc);
    return status != 0 ? status : closed;
}

/* ---- renew, release, complete */

enum deed { RENEW, RELEASE, COMPLETE };

static int do_it(const struct work_run *run, enum deed deed)
{
    switch (deed) {
    case RENEW:
        return synod_work_renew(run->s, run->item, run->token);
    case RELEASE:
        return synod_work_release(run->s, run->item, run->token);
    default:
        return synod_work_complete(run->s, run->item, run->token, run->result);
    }
}

/* The item as the deed left it. It was read before: the token was still that of the claim when the
 * deed was done, so that nothing else had changed; and if it is claimed anew by now, that is not
 * what was done here. */
static void print_deed(const struct work_run *run, enum deed deed, struct synod_work *work)
{
    static const enum synod_work_state states[] = {SYNOD_WORK_CLAIMED, SYNOD_WORK_FREE,
                                                   SYNOD_WORK_DONE};
    work->state = states[deed];
    work->token = deed == RELEASE ? 0 : run->token;
    work->result = run->result;
    output_json(json_work(run->item, work));
}

/* Only JSON has something to say beyond that it is done. */
static int verb_deed(int argc, char **argv, enum deed deed, int count, const char *expected)
{
    struct work_run run = {.ttl_ms = 0};
    struct synod_work work = {.state = SYNOD_WORK_FREE};
    int status = 0;
    if (begin(&run, argc, argv, count, expected, &status) == NULL) {
        return status;
    }
    int is_json = run.common.form == OUTPUT_JSON;
    int rc = is_json ? synod_work_show(run.s, run.item, &work) : SYNOD_OK;
    if (rc == SYNOD_OK ||
        rc == SYNOD_E_NOT_FOUND) { /* then the token is of the past, which is said */
        rc = do_it(&run, deed);
    }
    if (rc == SYNOD_OK && is_json) {
        print_deed(&run, deed, &work);
    }
    return options_close(run.s, rc);
}

int verb_work_renew(int argc, char **argv)
{
    return verb_deed(argc, argv, RENEW, 2, "an item and the token of its claim");
}

int verb_work_release(int argc, char **argv)
{
    return verb_deed(argc, argv, RELEASE, 2, "an item and the token of its claim");
}

int verb_work_complete(int argc, char **argv)
{
    return verb_deed(argc, argv, COMPLETE, 3,
                     "an item, the token of its claim and perhaps a result");
}

/* ---- show, list */

int verb_work_show(int argc, char **argv)
{
    struct work_run run = {.ttl_ms = 0};
    struct synod_work work;
    int status = 0;
    if (begin(&run, argc, argv, 1, "an item", &status) == NULL) {
        return status;
    }
    int rc = synod_work_show(run.s, run.item, &work);
    if (rc == SYNOD_OK && run.common.form == OUTPUT_JSON) {
        output_json(json_work(run.item, &work));
    } else if (rc == SYNOD_OK) {
        print_line(&work, "");
        if (work.state == SYNOD_WORK_DONE && work.result.size > 0) {
            output_bytes(work.result, '\n');
        }
    }
    return options_close(run.s, rc);
}

static int on_work(void *arg, const char *item, const struct synod_work *work)
{
    const struct work_run *run = arg;
    if (run->common.form == OUTPUT_JSON) {
        output_json(json_work(item, work));
    } else {
        print_line(work, item);
    }
    return output_is_closed();
}

int verb_work_list(int argc, char **argv)
{
    struct work_run run = {.ttl_ms = 0};
    int status = 0;
    if (begin(&run, argc, argv, 0, "options only", &status) == NULL) {
        return status;
    }
    return options_close(run.s, synod_work_list(run.s, on_work, &run));
}
