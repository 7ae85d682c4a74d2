/* The JSON form of transactions. It may nest, and has any bytes. */
#include "deploy/base64.h"
#include "deploy/txn.h"
#include "deploy/verbs.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Where in the input we are, for sentences: "then[2].put". */
struct place {
    struct txn *txn;
    const char *source;
    char path[160];
};

static int complain(const struct place *place, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int complain(const struct place *place, const char *fmt, ...)
{
    char text[200];
    char problem[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    snprintf(problem, sizeof problem, "%.100s: %s%s%s", place->source, place->path,
             place->path[0] != '\0' ? ": " : "", text);
    return verb_usage("txn", problem);
}

/* The place of a member, or of an element of it. */
static struct place inside(const struct place *place, const char *name, size_t index)
{
    struct place inner = *place;
    size_t used = strlen(inner.path);
    const char *dot = used > 0 ? "." : "";
    if (index == SIZE_MAX) {
        snprintf(inner.path + used, sizeof inner.path - used, "%s%s", dot, name);
    } else {
        snprintf(inner.path + used, sizeof inner.path - used, "%s%s[%zu]", dot, name, index);
    }
    return inner;
}

/* ---- members of an object. Each takes an absent one for zero, and adds to *known what is there */

struct object {
    struct place place;
    json_t *value;
    size_t known;
};

static json_t *member(struct object *object, const char *name)
{
    json_t *value = json_object_get(object->value, name);
    object->known += value != NULL;
    return value;
}

static int take_bytes(struct object *object, const char *name, struct synod_bytes *out)
{
    char name_base64[64];
    snprintf(name_base64, sizeof name_base64, "%s_base64", name);
    json_t *text = member(object, name);
    json_t *encoded = member(object, name_base64);
    if (text != NULL && encoded != NULL) {
        return complain(&object->place, "%s and %s exclude each other", name, name_base64);
    }
    if (text != NULL && json_is_string(text)) {
        /* The parsed JSON is gone before the transaction is. */
        char *copy = txn_alloc(object->place.txn, json_string_length(text));
        memcpy(copy, json_string_value(text), json_string_length(text));
        *out = (struct synod_bytes){copy, json_string_length(text)};
    } else if (encoded != NULL && json_is_string(encoded)) {
        uint8_t *bytes = txn_alloc(object->place.txn, json_string_length(encoded));
        *out = (struct synod_bytes){bytes, 0};
        if (!base64_decode(json_string_value(encoded), bytes, &out->size)) {
            return complain(&object->place, "%s is not base64", name_base64);
        }
    } else if (text != NULL || encoded != NULL) {
        return complain(&object->place, "%s is not a string", name);
    }
    return 0;
}

static int take_number(struct object *object, const char *name, uint64_t *out)
{
    json_t *value = member(object, name);
    if (value == NULL) {
        return 0;
    }
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return complain(&object->place, "%s is not a number from 0 on", name);
    }
    *out = (uint64_t)json_integer_value(value);
    return 0;
}

/* What is compared with may be negative. */
static int take_compared(struct object *object, uint64_t *out)
{
    json_t *value = member(object, "number");
    if (value != NULL && !json_is_integer(value)) {
        return complain(&object->place, "number is not a whole number");
    }
    *out = (uint64_t)json_integer_value(value);
    return 0;
}

static int take_flag(struct object *object, const char *name, int *out)
{
    json_t *value = member(object, name);
    if (value != NULL && !json_is_boolean(value)) {
        return complain(&object->place, "%s is neither true nor false", name);
    }
    *out = json_is_true(value);
    return 0;
}

/* The position of a string among count names; an absent one is the first of them. */
static int take_choice(struct object *object, const char *name, const char *const *names, int count,
                       int *out)
{
    json_t *value = member(object, name);
    *out = 0;
    for (int i = 0; value != NULL && json_is_string(value) && i < count; i++) {
        if (strcmp(json_string_value(value), names[i]) == 0) {
            *out = i;
            return 0;
        }
    }
    return value == NULL ? 0 : complain(&object->place, "%s is none of the words for it", name);
}

/* A key that nobody knows is more likely a slip than a wish. */
static int check_known(const struct object *object, const char *members)
{
    if (object->known == json_object_size(object->value)) {
        return 0;
    }
    return complain(&object->place, "it has a member other than %s", members);
}

/* key, and end or prefix. */
static int take_range(struct object *object, struct synod_bytes *key, struct synod_bytes *end)
{
    int is_prefix = 0;
    int rc = take_bytes(object, "key", key);
    rc = rc == 0 ? take_bytes(object, "end", end) : rc;
    rc = rc == 0 ? take_flag(object, "prefix", &is_prefix) : rc;
    if (rc != 0) {
        return rc;
    }
    if (is_prefix && end->data != NULL) {
        return complain(&object->place, "end and prefix exclude each other");
    }
    if (key->size > SYNOD_KEY_BYTES_MAX) {
        return complain(&object->place, "key is longer than %d bytes", SYNOD_KEY_BYTES_MAX);
    }
    if (is_prefix) {
        *end = synod_prefix_end(*key, txn_alloc(object->place.txn, SYNOD_KEY_BYTES_MAX));
    }
    if (key->size == 0 && !is_prefix) {
        return complain(&object->place, "key is missing or empty");
    }
    if (key->size == 0) {
        *key = (struct synod_bytes){"", 1}; /* the smallest key there is */
    }
    return 0;
}

/* ---- compares and operations */

static int take_compare(struct object *object, struct synod_compare *out)
{
    json_t *relation = member(object, "relation");
    json_t *target = member(object, "target");
    int rc = take_range(object, &out->key, &out->end);
    rc = rc == 0 ? take_bytes(object, "value", &out->value) : rc;
    rc = rc == 0 ? take_compared(object, &out->number) : rc;
    if (rc != 0) {
        return rc;
    }
    if (!json_is_string(relation) || !txn_relation(json_string_value(relation), &out->relation)) {
        return complain(&object->place, "relation is none of =, !=, < and >");
    }
    if (!json_is_string(target) || !txn_target(json_string_value(target), &out->target)) {
        return complain(&object->place, "target is none of version, create, mod, value and lease");
    }
    if ((out->target == SYNOD_BY_VALUE) != (out->value.data != NULL) ||
        (out->target == SYNOD_BY_VALUE) == (json_object_get(object->value, "number") != NULL)) {
        return complain(&object->place, "target value needs a value, the others a number");
    }
    return check_known(object, "key, end, prefix, target, relation, number and value");
}

static int take_put(struct object *object, struct synod_put_op *put)
{
    int rc = take_bytes(object, "key", &put->key);
    rc = rc == 0 ? take_bytes(object, "value", &put->value) : rc;
    rc = rc == 0 ? take_number(object, "lease", &put->lease) : rc;
    rc = rc == 0 ? take_flag(object, "previous", &put->previous) : rc;
    rc = rc == 0 ? take_flag(object, "ignore_value", &put->ignore_value) : rc;
    rc = rc == 0 ? take_flag(object, "ignore_lease", &put->ignore_lease) : rc;
    rc = rc == 0 ? take_flag(object, "sequential", &put->sequential) : rc;
    if (rc != 0) {
        return rc;
    }
    if (put->key.size == 0 && !put->sequential) {
        return complain(&object->place, "key is missing or empty");
    }
    return check_known(object, "key, value, lease, previous, ignore_value, ignore_lease and "
                               "sequential");
}

static int take_get(struct object *object, struct synod_range_op *range)
{
    static const char *const orders[] = {"none", "asc", "desc"};
    static const char *const targets[] = {"key", "version", "create", "modify", "value"};
    int order = 0;
    int target = 0;
    int rc = take_range(object, &range->key, &range->end);
    rc = rc == 0 ? take_number(object, "limit", &range->limit) : rc;
    rc = rc == 0 ? take_number(object, "revision", &range->revision) : rc;
    rc = rc == 0 ? take_number(object, "min_mod", &range->min_mod) : rc;
    rc = rc == 0 ? take_number(object, "max_mod", &range->max_mod) : rc;
    rc = rc == 0 ? take_number(object, "min_create", &range->min_create) : rc;
    rc = rc == 0 ? take_number(object, "max_create", &range->max_create) : rc;
    rc = rc == 0 ? take_flag(object, "keys_only", &range->keys_only) : rc;
    rc = rc == 0 ? take_flag(object, "count_only", &range->count_only) : rc;
    rc = rc == 0 ? take_choice(object, "order", orders, 3, &order) : rc;
    rc = rc == 0 ? take_choice(object, "sort_by", targets, 5, &target) : rc;
    if (rc != 0) {
        return rc;
    }
    range->target = (enum synod_target)target;
    range->order = (enum synod_order)(order == 0 && target != 0 ? SYNOD_ORDER_ASCEND : order);
    return check_known(object, "key, end, prefix, limit, revision, order, sort_by, keys_only, "
                               "count_only and the four filters");
}

static int take_delete(struct object *object, struct synod_delete_op *del)
{
    int rc = take_range(object, &del->key, &del->end);
    rc = rc == 0 ? take_flag(object, "previous", &del->previous) : rc;
    return rc == 0 ? check_known(object, "key, end, prefix and previous") : rc;
}

static int take_txn(struct object *object, struct synod_txn_op *txn, int nesting);

static int take_request(struct object *object, struct synod_request *out, int nesting)
{
    static const struct {
        const char *name;
        enum synod_op op;
    } ops[] = {
        {"put", SYNOD_PUT}, {"range", SYNOD_RANGE}, {"delete", SYNOD_DELETE}, {"txn", SYNOD_TXN}};
    const char *name = json_object_iter_key(json_object_iter(object->value));
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (name != NULL && strcmp(name, ops[i].name) == 0) {
            out->op = ops[i].op;
        }
    }
    if (out->op == 0 || json_object_size(object->value) != 1) {
        return complain(&object->place, "it has to have one member: put, range, delete or txn");
    }
    struct object body = {inside(&object->place, name, SIZE_MAX),
                          json_object_get(object->value, name), 0};
    if (!json_is_object(body.value)) {
        return complain(&body.place, "it is no object");
    }
    switch (out->op) {
    case SYNOD_PUT:
        return take_put(&body, &out->as.put);
    case SYNOD_RANGE:
        return take_get(&body, &out->as.range);
    case SYNOD_DELETE:
        return take_delete(&body, &out->as.del);
    default:
        return take_txn(&body, &out->as.txn, nesting + 1);
    }
}

/* The array of that name, of objects; NULL with a count of 0 if it is absent. */
static int take_array(struct object *object, const char *name, json_t **out, size_t *count)
{
    *out = member(object, name);
    *count = json_array_size(*out);
    if (*out != NULL && !json_is_array(*out)) {
        return complain(&object->place, "%s is no array", name);
    }
    if (*count > TXN_LIST_MAX) {
        return complain(&object->place, "%s has more than any transaction may have", name);
    }
    for (size_t i = 0; i < *count; i++) {
        if (!json_is_object(json_array_get(*out, i))) {
            struct place place = inside(&object->place, name, i);
            return complain(&place, "it is no object");
        }
    }
    return 0;
}

static int take_requests(struct object *object, const char *name, int nesting,
                         const struct synod_request **out, size_t *count)
{
    json_t *array = NULL;
    int rc = take_array(object, name, &array, count);
    if (rc != 0) {
        return rc;
    }
    struct synod_request *requests = txn_alloc(object->place.txn, *count * sizeof *requests);
    for (size_t i = 0; rc == 0 && i < *count; i++) {
        struct object item = {inside(&object->place, name, i), json_array_get(array, i), 0};
        rc = take_request(&item, &requests[i], nesting);
    }
    *out = requests;
    return rc;
}

/* It calls itself through take_request, TXN_NESTING_MAX deep at most. */
static int take_txn(struct object *object, struct synod_txn_op *txn, int nesting)
{
    json_t *array = NULL;
    if (nesting > TXN_NESTING_MAX) {
        return complain(&object->place, "transactions nest at most %d deep", TXN_NESTING_MAX);
    }
    int rc = take_array(object, "compare", &array, &txn->compare_count);
    struct synod_compare *compares =
        txn_alloc(object->place.txn, (rc == 0 ? txn->compare_count : 0) * sizeof *compares);
    for (size_t i = 0; rc == 0 && i < txn->compare_count; i++) {
        struct object item = {inside(&object->place, "compare", i), json_array_get(array, i), 0};
        rc = take_compare(&item, &compares[i]);
    }
    txn->compares = compares;
    rc = rc == 0 ? take_requests(object, "then", nesting, &txn->then, &txn->then_count) : rc;
    rc = rc == 0 ? take_requests(object, "else", nesting, &txn->otherwise, &txn->otherwise_count)
                 : rc;
    return rc == 0 ? check_known(object, "compare, then and else") : rc;
}

int txn_parse_json(struct txn *txn, const char *source, const char *text, size_t size)
{
    struct place place = {.txn = txn, .source = source};
    json_error_t error;
    json_t *value = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (value == NULL) {
        return complain(&place, "line %d is no JSON (%s)", error.line, error.text);
    }
    struct object object = {place, value, 0};
    txn->request.op = SYNOD_TXN;
    int rc = json_is_object(value) ? take_txn(&object, &txn->request.as.txn, 1)
                                   : complain(&place, "it is no object");
    json_decref(value);
    return rc;
}
