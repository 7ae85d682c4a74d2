#include "tests/unit/say_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

static int kept_fd;
static FILE *file;

void say_begin(void)
{
    file = tmpfile();
    assert_non_null(file);
    fflush(stderr);
    kept_fd = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
}

const char *say_end(void)
{
    static char text[4096];
    fflush(stderr);
    rewind(file);
    size_t n = fread(text, 1, sizeof text - 1, file);
    text[n] = '\0';
    fclose(file);
    dup2(kept_fd, STDERR_FILENO);
    close(kept_fd);
    return text;
}
