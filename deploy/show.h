/* What requests on keys answer, on standard output. */
#ifndef SYNOD_DEPLOY_SHOW_H
#define SYNOD_DEPLOY_SHOW_H

#include "deploy/output.h"
#include "deploy/request.h"

/* An object with all that a key has; without its value if only keys were asked for. */
json_t *show_json_kv(const struct synod_kv *kv, int is_keys_only);

/* Prints a result: in the plain form as etcdctl would, one line a key and one a value. */
void show_result(const struct show_options *options, const struct synod_result *result);

/* One number: as {"NAME": NUMBER}, or by itself on a line. */
void show_number(enum output_form form, const char *name, uint64_t number);

/* "9.8s": for people. */
void show_duration(char out[32], uint64_t ms);

#endif
