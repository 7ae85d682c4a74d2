#include "deploy/show.h"

#include <stdio.h>

/* ---- JSON */

json_t *show_json_kv(const struct synod_kv *kv, int is_keys_only)
{
    json_t *object = json_object();
    json_set_bytes(object, "key", kv->key);
    if (!is_keys_only) {
        json_set_bytes(object, "value", kv->value);
    }
    json_t *rest =
        json_pack("{s:I, s:I, s:I, s:I}", "create_revision", (json_int_t)kv->create_revision,
                  "mod_revision", (json_int_t)kv->mod_revision, "version", (json_int_t)kv->version,
                  "lease", (json_int_t)kv->lease);
    json_object_update(object, rest);
    json_decref(rest);
    return object;
}

static json_t *json_kvs(const struct synod_response *response, int is_keys_only)
{
    json_t *array = json_array();
    for (size_t i = 0; i < response->kv_count; i++) {
        json_array_append_new(array, show_json_kv(&response->kvs[i], is_keys_only));
    }
    return array;
}

/* Adds what a response has that is no transaction. */
static void set_simple(json_t *object, const struct synod_response *response, int is_keys_only)
{
    switch (response->op) {
    case SYNOD_RANGE:
        json_object_set_new(object, "count", json_integer((json_int_t)response->count));
        json_object_set_new(object, "more", json_boolean(response->more));
        json_object_set_new(object, "kvs", json_kvs(response, is_keys_only));
        break;
    case SYNOD_DELETE:
        json_object_set_new(object, "deleted", json_integer((json_int_t)response->count));
        if (response->kv_count > 0) {
            json_object_set_new(object, "previous", json_kvs(response, 0));
        }
        break;
    default:
        if (response->key.size > 0) {
            json_set_bytes(object, "key", response->key);
        }
        if (response->kv_count > 0) {
            json_object_set_new(object, "previous", show_json_kv(&response->kvs[0], 0));
        }
        break;
    }
}

/* The nesting is bounded by the store (TXN_DEPTH_MAX of limits.h). */
static void set_response(json_t *object, const struct synod_response *response, int is_keys_only)
{
    static const char *const names[] = {[SYNOD_RANGE] = "range",
                                        [SYNOD_PUT] = "put",
                                        [SYNOD_DELETE] = "delete",
                                        [SYNOD_TXN] = "txn"};
    if (response->op != SYNOD_TXN) {
        set_simple(object, response, is_keys_only);
        return;
    }
    json_t *responses = json_array();
    for (size_t i = 0; i < response->response_count; i++) {
        const struct synod_response *inner = &response->responses[i];
        json_t *item = json_pack("{s:s}", "op", names[inner->op]);
        set_response(item, inner, is_keys_only);
        json_array_append_new(responses, item);
    }
    json_object_set_new(object, "succeeded", json_boolean(response->succeeded));
    json_object_set_new(object, "responses", responses);
}

/* ---- text */

static void print_table(const struct show_options *options, const struct synod_response *response)
{
    size_t width = 3;
    for (size_t i = 0; i < response->kv_count; i++) {
        size_t w = output_escaped_width(response->kvs[i].key);
        width = w > width ? w : width;
    }
    output_text("%10s  %10s  %8s  %20s  ", "CREATE", "MOD", "VERSION", "LEASE");
    output_escaped(synod_text("KEY"), width);
    output_text("%s\n", options->is_keys_only ? "" : "  VALUE");
    for (size_t i = 0; i < response->kv_count; i++) {
        const struct synod_kv *kv = &response->kvs[i];
        output_text("%10llu  %10llu  %8llu  %20llu  ", (unsigned long long)kv->create_revision,
                    (unsigned long long)kv->mod_revision, (unsigned long long)kv->version,
                    (unsigned long long)kv->lease);
        output_escaped(kv->key, options->is_keys_only ? 0 : width);
        if (!options->is_keys_only) {
            output_text("  ");
            output_escaped(kv->value, 0);
        }
        output_text("\n");
    }
}

static void print_kvs(const struct show_options *options, const struct synod_response *response)
{
    for (size_t i = 0; i < response->kv_count; i++) {
        if (!options->is_value_only) {
            output_bytes(response->kvs[i].key, options->end);
        }
        if (!options->is_keys_only) {
            output_bytes(response->kvs[i].value, options->end);
        }
    }
}

static void print_number(const struct show_options *options, uint64_t number)
{
    output_text("%llu%c", (unsigned long long)number, options->end);
}

/* A response inside a transaction looks as it would by itself, but that a put answers OK: the
 * revision is that of the whole. */
static void print_response(const struct show_options *options,
                           const struct synod_response *response, const uint64_t *revision)
{
    if (response->op == SYNOD_RANGE && options->is_count_only) {
        print_number(options, response->count);
        return;
    }
    if (response->op == SYNOD_RANGE && options->form == OUTPUT_TABLE) {
        print_table(options, response);
        return;
    }
    if (response->op == SYNOD_DELETE) {
        print_number(options, response->count);
    } else if (response->op == SYNOD_PUT && response->key.size > 0) {
        output_bytes(response->key, options->end);
    } else if (response->op == SYNOD_PUT && revision != NULL) {
        print_number(options, *revision);
    } else if (response->op == SYNOD_PUT) {
        output_text("OK%c", options->end);
    }
    print_kvs(options, response);
}

static void print_txn(const struct show_options *options, const struct synod_response *txn)
{
    output_text("%s\n", txn->succeeded ? "SUCCESS" : "FAILURE");
    for (size_t i = 0; i < txn->response_count; i++) {
        output_text("\n");
        if (txn->responses[i].op == SYNOD_TXN) {
            print_txn(options, &txn->responses[i]);
        } else {
            print_response(options, &txn->responses[i], NULL);
        }
    }
}

void show_result(const struct show_options *options, const struct synod_result *result)
{
    if (options->form == OUTPUT_JSON) {
        json_t *object = json_pack("{s:I}", "revision", (json_int_t)result->revision);
        set_response(object, &result->response, options->is_keys_only);
        output_json(object);
    } else if (result->response.op == SYNOD_TXN) {
        print_txn(options, &result->response);
    } else {
        print_response(options, &result->response, &result->revision);
    }
}

void show_number(enum output_form form, const char *name, uint64_t number)
{
    if (form == OUTPUT_JSON) {
        output_json(json_pack("{s:I}", name, (json_int_t)number));
    } else {
        output_text("%llu\n", (unsigned long long)number);
    }
}

void show_duration(char out[32], uint64_t ms)
{
    if (ms % 1000 == 0) {
        snprintf(out, 32, "%llus", (unsigned long long)ms / 1000);
    } else {
        snprintf(out, 32, "%llu.%03us", (unsigned long long)ms / 1000, (unsigned)(ms % 1000));
    }
}
