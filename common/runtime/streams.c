#include "common/runtime/streams.h"

#include "common/runtime/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_closed;   /* EPIPE */
static int write_error; /* errno of any other failure */

void streams_open(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        /* The lowest number that is free is taken, which is this one. */
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd) {
            abort();
        }
    }
}

int streams_note(int is_ok)
{
    if (is_ok) {
        return 0;
    }
    if (errno == EPIPE) {
        is_closed = 1;
    } else if (write_error == 0) {
        write_error = errno;
    }
    return -1;
}

int streams_failed(void)
{
    return is_closed || write_error != 0;
}

int streams_finish(int status)
{
    streams_note(fflush(stdout) == 0);
    if (!streams_failed() && ferror(stdout)) {
        write_error = EIO; /* of a write that was not told of */
    }
    if (write_error == 0) {
        return status;
    }
    log_error("standard output cannot be written (%s); try: another place", strerror(write_error));
    return status != 0 ? status : 1;
}
