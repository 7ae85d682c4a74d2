/* synod txn: a transaction from a file or standard input. */
#include "deploy/txn.h"

#include "deploy/options.h"
#include "deploy/output.h"
#include "deploy/show.h"
#include "deploy/verbs.h"

#include <stdlib.h>
#include <string.h>

enum { OPTION_JSON = OPTION_OWN };

static int take_own_option(void *arg, int option, const char *value)
{
    (void)option;
    (void)value;
    *(int *)arg = 1;
    return 0;
}

static int execute(const struct common_options *common, const struct txn *txn)
{
    struct show_options show = {.form = common->form, .end = '\n'};
    struct synod *s = NULL;
    output_init();
    int status = options_open(common, &s);
    if (status != 0) {
        return status;
    }
    struct synod_result *result = NULL;
    int rc = synod_request(s, &txn->request, SYNOD_LINEARIZABLE, &result);
    if (rc == SYNOD_OK) {
        show_result(&show, result);
    }
    synod_result_free(result);
    return options_close(s, rc);
}

int verb_txn(int argc, char **argv)
{
    static const struct option longs[] = {
        COMMON_LONG_OPTIONS, {"json", no_argument, NULL, OPTION_JSON}, {NULL, 0, NULL, 0}};
    struct common_options common = {0};
    int is_json = 0;
    int status = 0;
    char *text = NULL;
    size_t size = 0;
    if (options_parse(argc, argv, longs, &common, take_own_option, &is_json, &status)) {
        return status;
    }
    int count = options_arguments(argc, argv, 0, 1, "one file, or none for standard input");
    if (count < 0) {
        return 3;
    }
    const char *path = count == 1 && strcmp(argv[optind], "-") != 0 ? argv[optind] : NULL;
    status = options_read_all(argv[0], path, TXN_INPUT_BYTES_MAX, &text, &size);
    if (status != 0) {
        return status;
    }
    struct txn txn = {0};
    const char *source = path != NULL ? path : "standard input";
    status = is_json ? txn_parse_json(&txn, source, text, size)
                     : txn_parse_text(&txn, source, text, size);
    status = status == 0 ? execute(&common, &txn) : status;
    txn_close(&txn);
    free(text);
    return status;
}
