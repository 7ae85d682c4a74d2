/* Runs scenario files and prints one TAP line for each.
 *
 * tool_trace [--rewrite] FILE... : with --rewrite the expected traces are replaced by what was
 * printed; look at the difference before it is committed. */
#include "tests/trace/scenario.h"

#include <stdio.h>
#include <string.h>

static void print_problem(const char *text)
{
    while (*text != '\0') {
        size_t size = strcspn(text, "\n");
        printf("# %.*s\n", (int)size, text);
        text += size + (text[size] == '\n');
    }
}

static void name_of(const char *path, char *name, size_t size)
{
    const char *slash = strrchr(path, '/');
    snprintf(name, size, "%s", slash != NULL ? slash + 1 : path);
    char *dot = strrchr(name, '.');
    if (dot != NULL) {
        *dot = '\0';
    }
}

int main(int argc, char **argv)
{
    int rewrite = argc > 1 && strcmp(argv[1], "--rewrite") == 0;
    int first = rewrite ? 2 : 1;
    int failed = 0;
    printf("1..%d\n", argc - first);
    for (int i = first; i < argc; i++) {
        struct text problem = {0};
        char name[128];
        name_of(argv[i], name, sizeof name);
        int rc = scenario_run(argv[i], rewrite, &problem);
        printf("%s %d - %s\n", rc == 0 ? "ok" : "not ok", i - first + 1, name);
        if (rc != 0) {
            print_problem(problem.data != NULL ? problem.data : "");
            failed = 1;
        }
        fflush(stdout);
        text_close(&problem);
    }
    return failed;
}
