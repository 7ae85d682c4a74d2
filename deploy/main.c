/* The `synod` command: finds the verb and runs it. */
#include "common/client/synod.h"
#include "deploy/verbs.h"

#include <stdio.h>
#include <string.h>

static int unknown(const char *name)
{
    const char *nearest = verb_nearest(name);
    if (nearest != NULL) {
        fprintf(stderr, "error: \"%.40s\" is no verb (did you mean %s?); try: synod %s --help\n",
                name, nearest, nearest);
    } else {
        fprintf(stderr, "error: \"%.40s\" is no verb; try: synod --help\n", name);
    }
    return 3;
}

int main(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        (strcmp(argv[1], "help") == 0 && argc == 2)) {
        verb_list();
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("synod %s\n", SYNOD_VERSION);
        return 0;
    }
    int is_help = strcmp(argv[1], "help") == 0;
    const char *name = is_help ? argv[2] : argv[1];
    const struct verb *verb = verb_find(name);
    if (verb == NULL) {
        return unknown(name);
    }
    return is_help ? verb_help(name) : verb->run(argc - 1, argv + 1);
}
