#include "deploy/request.h"

#include "deploy/verbs.h"

#include <stdio.h>
#include <string.h>

enum {
    OPTION_PREFIX = OPTION_OWN,
    OPTION_FROM_KEY,
    OPTION_REV,
    OPTION_LIMIT,
    OPTION_ORDER,
    OPTION_SORT_BY,
    OPTION_KEYS_ONLY,
    OPTION_COUNT_ONLY,
    OPTION_VALUE_ONLY,
    OPTION_MIN_MOD,
    OPTION_MAX_MOD,
    OPTION_MIN_CREATE,
    OPTION_MAX_CREATE,
    OPTION_CONSISTENCY,
    OPTION_NULL,
    OPTION_LEASE,
    OPTION_PREV_KV,
    OPTION_IGNORE_VALUE,
    OPTION_IGNORE_LEASE,
    OPTION_SEQUENTIAL
};

/* clang-format off */
#define PUT_OPTIONS                                                                                \
    {"lease", required_argument, NULL, OPTION_LEASE},                                              \
    {"prev-kv", no_argument, NULL, OPTION_PREV_KV},                                                \
    {"ignore-value", no_argument, NULL, OPTION_IGNORE_VALUE},                                      \
    {"ignore-lease", no_argument, NULL, OPTION_IGNORE_LEASE},                                      \
    {"sequential", no_argument, NULL, OPTION_SEQUENTIAL}

#define RANGE_OPTIONS                                                                              \
    {"prefix", no_argument, NULL, OPTION_PREFIX},                                                  \
    {"rev", required_argument, NULL, OPTION_REV},                                                  \
    {"limit", required_argument, NULL, OPTION_LIMIT},                                              \
    {"order", required_argument, NULL, OPTION_ORDER},                                              \
    {"sort-by", required_argument, NULL, OPTION_SORT_BY},                                          \
    {"keys-only", no_argument, NULL, OPTION_KEYS_ONLY},                                            \
    {"count-only", no_argument, NULL, OPTION_COUNT_ONLY},                                          \
    {"min-mod", required_argument, NULL, OPTION_MIN_MOD},                                          \
    {"max-mod", required_argument, NULL, OPTION_MAX_MOD},                                          \
    {"min-create", required_argument, NULL, OPTION_MIN_CREATE},                                    \
    {"max-create", required_argument, NULL, OPTION_MAX_CREATE}

#define GET_OPTIONS {"from-key", no_argument, NULL, OPTION_FROM_KEY}, RANGE_OPTIONS

#define DEL_OPTIONS                                                                                \
    {"prefix", no_argument, NULL, OPTION_PREFIX},                                                  \
    {"from-key", no_argument, NULL, OPTION_FROM_KEY},                                              \
    {"prev-kv", no_argument, NULL, OPTION_PREV_KV}

/* What says how a read is made and printed, which in a transaction the whole of it says. */
#define SHOW_OPTIONS                                                                               \
    {"print-value-only", no_argument, NULL, OPTION_VALUE_ONLY},                                    \
    {"consistency", required_argument, NULL, OPTION_CONSISTENCY},                                  \
    {"null", no_argument, NULL, OPTION_NULL}

static const struct option put_longs[] = {
    COMMON_LONG_OPTIONS, PUT_OPTIONS, {"null", no_argument, NULL, OPTION_NULL}, {NULL, 0, NULL, 0}};
static const struct option get_longs[] = {
    COMMON_LONG_OPTIONS, GET_OPTIONS, SHOW_OPTIONS, {NULL, 0, NULL, 0}};
static const struct option range_longs[] = {
    COMMON_LONG_OPTIONS, RANGE_OPTIONS, SHOW_OPTIONS, {NULL, 0, NULL, 0}};
static const struct option del_longs[] = {
    COMMON_LONG_OPTIONS, DEL_OPTIONS, {"null", no_argument, NULL, OPTION_NULL}, {NULL, 0, NULL, 0}};
static const struct option put_line_longs[] = {PUT_OPTIONS, {NULL, 0, NULL, 0}};
static const struct option get_line_longs[] = {GET_OPTIONS, {NULL, 0, NULL, 0}};
static const struct option range_line_longs[] = {RANGE_OPTIONS, {NULL, 0, NULL, 0}};
static const struct option del_line_longs[] = {DEL_OPTIONS, {NULL, 0, NULL, 0}};

static const struct form {
    const char *verb;
    enum synod_op op;
    const struct option *longs, *line_longs;
    int least, most; /* arguments */
    const char *expected;
} forms[] = {
    {"put", SYNOD_PUT, put_longs, put_line_longs, 1, 2, "a key and a value"},
    {"get", SYNOD_RANGE, get_longs, get_line_longs, 1, 2, "a key and perhaps an end"},
    {"range", SYNOD_RANGE, range_longs, range_line_longs, 0, 2, "perhaps a first key and an end"},
    {"del", SYNOD_DELETE, del_longs, del_line_longs, 1, 2, "a key and perhaps an end"},
};
/* clang-format on */

/* While the options of one request are parsed. */
struct parsing {
    const char *verb;
    struct request_args *args;
    int has_order, has_target;
};

/* The position of text among count names, or -1 after saying so. */
static int choice(const char *verb, const char *option, const char *text, const char *const *names,
                  int count)
{
    char problem[200];
    int n = snprintf(problem, sizeof problem, "%s: \"%.40s\" is none of", option, text);
    for (int i = 0; i < count; i++) {
        if (strcmp(text, names[i]) == 0) {
            return i;
        }
        n += snprintf(problem + n, sizeof problem - (size_t)n, "%s %s", i > 0 ? "," : "", names[i]);
    }
    verb_usage(verb, problem);
    return -1;
}

static int take_order(struct parsing *p, const char *value)
{
    static const char *const names[] = {"asc", "desc"};
    int i = choice(p->verb, "--order", value, names, 2);
    p->has_order = 1;
    p->args->request.as.range.order = i == 1 ? SYNOD_ORDER_DESCEND : SYNOD_ORDER_ASCEND;
    return i < 0 ? 3 : 0;
}

static int take_target(struct parsing *p, const char *value)
{
    static const char *const names[] = {"key", "version", "create", "modify", "value"};
    int i = choice(p->verb, "--sort-by", value, names, 5);
    p->has_target = 1;
    p->args->request.as.range.target = (enum synod_target)(i < 0 ? 0 : i);
    return i < 0 ? 3 : 0;
}

static int take_range_number(struct parsing *p, int option, const char *value)
{
    struct synod_range_op *range = &p->args->request.as.range;
    switch (option) {
    case OPTION_REV:
        return options_number(p->verb, "--rev", value, 1, INT64_MAX, &range->revision);
    case OPTION_LIMIT:
        return options_number(p->verb, "--limit", value, 0, INT64_MAX, &range->limit);
    case OPTION_MIN_MOD:
        return options_number(p->verb, "--min-mod", value, 1, INT64_MAX, &range->min_mod);
    case OPTION_MAX_MOD:
        return options_number(p->verb, "--max-mod", value, 1, INT64_MAX, &range->max_mod);
    case OPTION_MIN_CREATE:
        return options_number(p->verb, "--min-create", value, 1, INT64_MAX, &range->min_create);
    default:
        return options_number(p->verb, "--max-create", value, 1, INT64_MAX, &range->max_create);
    }
}

static int take_put_option(struct parsing *p, int option, const char *value)
{
    struct synod_put_op *put = &p->args->request.as.put;
    switch (option) {
    case OPTION_LEASE:
        return options_number(p->verb, "--lease", value, 0, INT64_MAX, &put->lease);
    case OPTION_IGNORE_VALUE:
        put->ignore_value = 1;
        return 0;
    case OPTION_IGNORE_LEASE:
        put->ignore_lease = 1;
        return 0;
    default:
        put->sequential = 1;
        return 0;
    }
}

static void take_flag(struct request_args *args, int option)
{
    switch (option) {
    case OPTION_PREFIX:
        args->is_prefix = 1;
        break;
    case OPTION_FROM_KEY:
        args->is_from_key = 1;
        break;
    case OPTION_KEYS_ONLY:
        args->show.is_keys_only = args->request.as.range.keys_only = 1;
        break;
    case OPTION_COUNT_ONLY:
        args->show.is_count_only = args->request.as.range.count_only = 1;
        break;
    case OPTION_VALUE_ONLY:
        args->show.is_value_only = 1;
        break;
    case OPTION_NULL:
        args->show.end = '\0';
        break;
    default: /* OPTION_PREV_KV */
        if (args->request.op == SYNOD_PUT) {
            args->request.as.put.previous = 1;
        } else {
            args->request.as.del.previous = 1;
        }
        break;
    }
}

static int take_option(void *arg, int option, const char *value)
{
    struct parsing *p = arg;
    switch (option) {
    case OPTION_ORDER:
        return take_order(p, value);
    case OPTION_SORT_BY:
        return take_target(p, value);
    case OPTION_CONSISTENCY:
        return options_consistency(p->verb, value, &p->args->consistency);
    case OPTION_REV:
    case OPTION_LIMIT:
    case OPTION_MIN_MOD:
    case OPTION_MAX_MOD:
    case OPTION_MIN_CREATE:
    case OPTION_MAX_CREATE:
        return take_range_number(p, option, value);
    case OPTION_LEASE:
    case OPTION_IGNORE_VALUE:
    case OPTION_IGNORE_LEASE:
    case OPTION_SEQUENTIAL:
        return take_put_option(p, option, value);
    default:
        take_flag(p->args, option);
        return 0;
    }
}

/* One zero byte: as a key the smallest there is, as an end everything. */
static struct synod_bytes zero_byte(void)
{
    return (struct synod_bytes){"", 1};
}

int request_range(const char *verb, struct request_args *args, struct synod_bytes *key,
                  struct synod_bytes *end)
{
    if (args->is_prefix + args->is_from_key + args->has_end > 1) {
        return verb_usage(verb, "END, --prefix and --from-key exclude each other");
    }
    args->is_one_key = !args->is_prefix && !args->is_from_key && !args->has_end;
    if (key->size == 0 && args->is_one_key) {
        return verb_usage(verb, "a key has at least one byte");
    }
    if (key->size > SYNOD_KEY_BYTES_MAX) {
        return verb_usage(verb, "KEY is too long (the limit of a key is 4096 bytes)");
    }
    if (args->is_prefix) {
        *end = synod_prefix_end(*key, args->end_bytes);
    } else if (args->is_from_key) {
        *end = zero_byte();
    }
    if (key->size == 0) {
        *key = zero_byte();
    }
    return 0;
}

static int take_put(const char *verb, int count, char **arguments, struct request_args *args)
{
    struct synod_put_op *put = &args->request.as.put;
    put->key = synod_text(arguments[0]);
    if (put->key.size == 0 && !put->sequential) {
        return verb_usage(verb, "a key has at least one byte");
    }
    if (count == 2 && put->ignore_value) {
        return verb_usage(verb, "a value and --ignore-value exclude each other");
    }
    if (put->lease != 0 && put->ignore_lease) {
        return verb_usage(verb, "--lease and --ignore-lease exclude each other");
    }
    if (count == 2) {
        put->value = synod_text(arguments[1]);
    }
    args->is_without_value = count == 1 && !put->ignore_value;
    return 0;
}

/* `range` without an end goes on to the last key, and without a key begins with the first. */
static int take_range(const char *verb, int count, char **arguments, struct request_args *args)
{
    int is_delete = args->request.op == SYNOD_DELETE;
    struct synod_bytes *key = is_delete ? &args->request.as.del.key : &args->request.as.range.key;
    struct synod_bytes *end = is_delete ? &args->request.as.del.end : &args->request.as.range.end;
    if (count > 0) {
        *key = synod_text(arguments[0]);
    }
    args->has_end = count == 2;
    if (args->has_end) {
        *end = synod_text(arguments[1]);
        if (end->size == 0) {
            return verb_usage(verb, "END is empty, and no key stands before that");
        }
    }
    args->is_from_key |= strcmp(verb, "range") == 0 && count < 2 && !args->is_prefix;
    return request_range(verb, args, key, end);
}

int request_parse(int argc, char **argv, struct common_options *common, struct request_args *out,
                  int *exit_status)
{
    const struct form *form = forms;
    while (strcmp(form->verb, argv[0]) != 0) {
        form++;
    }
    memset(out, 0, sizeof *out);
    out->request.op = form->op;
    out->show.end = '\n';
    struct parsing p = {.verb = argv[0], .args = out};
    const struct option *longs = common != NULL ? form->longs : form->line_longs;
    if (options_parse(argc, argv, longs, common, take_option, &p, exit_status)) {
        return 1;
    }
    int count = options_arguments(argc, argv, form->least, form->most, form->expected);
    if (count < 0) {
        *exit_status = 3;
    } else if (form->op == SYNOD_PUT) {
        *exit_status = take_put(argv[0], count, argv + optind, out);
    } else {
        *exit_status = take_range(argv[0], count, argv + optind, out);
    }
    if (p.has_target && !p.has_order) {
        out->request.as.range.order = SYNOD_ORDER_ASCEND; /* else the target would not count */
    }
    out->show.form = common != NULL ? common->form : OUTPUT_PLAIN;
    return *exit_status != 0;
}
