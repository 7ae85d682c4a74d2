/* The `synod` command: finds the verb and runs it. */
#include "common/client/synod.h"
#include "common/runtime/streams.h"
#include "deploy/output.h"
#include "deploy/verbs.h"

#include <string.h>

static int run(int argc, char **argv)
{
    int is_help = argc > 1 && strcmp(argv[1], "help") == 0;
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        (is_help && argc == 2)) {
        verb_list();
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        output_text("synod %s\n", SYNOD_VERSION);
        return 0;
    }
    return is_help ? verb_dispatch_help(argc - 2, argv + 2) : verb_dispatch(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    streams_open();
    return streams_finish(run(argc, argv));
}
