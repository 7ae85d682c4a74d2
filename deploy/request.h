/* Requests on keys as they are typed: as arguments of put, get, range and del, and, in the same
 * words, as lines of a transaction. */
#ifndef SYNOD_DEPLOY_REQUEST_H
#define SYNOD_DEPLOY_REQUEST_H

#include "deploy/options.h"

/* How keys are printed. */
struct show_options {
    enum output_form form;
    char end; /* after each line of plain output */
    int is_keys_only, is_value_only;
    int is_count_only;
};

/* What was typed. Keys and values point into the arguments and into this. */
struct request_args {
    struct synod_request request;
    struct show_options show;
    enum synod_consistency consistency;
    int is_one_key;       /* neither END nor an option made a range of it */
    int is_without_value; /* of a put: none was given, and none is kept */

    int is_prefix, is_from_key;
    int has_end;
    uint8_t end_bytes[SYNOD_KEY_BYTES_MAX];
};

/* Parses what follows argv[0], which is put, get, range or del. common NULL: a line of a
 * transaction, which takes no options of clients. 0 to go on; otherwise *exit_status is how to end,
 * all said. */
int request_parse(int argc, char **argv, struct common_options *common, struct request_args *out,
                  int *exit_status);

/* Makes a range of a key and, if has_end, an end, or one of the two words that stand for it: used
 * by watches, too. end_bytes (SYNOD_KEY_BYTES_MAX) has to live as long as *end. 0, or 3 when they
 * contradict each other, after saying so. */
int request_range(const char *verb, struct request_args *args, struct synod_bytes *key,
                  struct synod_bytes *end);

#endif
