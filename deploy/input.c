#include "deploy/input.h"

#include "common/base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES ((size_t)256 * 1024)

void input_init(struct input *in, int fd, char separator)
{
    *in = (struct input){.fd = fd, .separator = separator};
}

void input_close(struct input *in)
{
    free(in->bytes);
    if (in->fd > 0) {
        close(in->fd);
    }
}

enum input_result input_next(struct input *in, size_t max_bytes, const uint8_t **data, size_t *size)
{
    const uint8_t *found = NULL;
    if (in->end > in->scanned) {
        found = memchr(in->bytes + in->scanned, in->separator, in->end - in->scanned);
    }
    size_t stop = found != NULL ? (size_t)(found - in->bytes) : in->end;
    in->scanned = stop;
    if (stop - in->start > max_bytes) {
        return INPUT_TOO_LONG;
    }
    if (found == NULL && !in->is_end) {
        return INPUT_NEEDS;
    }
    if (found == NULL && stop == in->start) {
        return INPUT_END; /* what follows the last separator is a record only if it has bytes */
    }
    *data = in->bytes + in->start;
    *size = stop - in->start;
    in->start = in->scanned = found != NULL ? stop + 1 : stop;
    in->record_count++;
    return INPUT_RECORD;
}

int input_fill(struct input *in)
{
    if (in->start > 0) {
        memmove(in->bytes, in->bytes + in->start, in->end - in->start);
        in->end -= in->start;
        in->scanned -= in->start;
        in->start = 0;
    }
    in->bytes = memory_grow(in->bytes, &in->capacity, in->end + READ_BYTES, 1);
    ssize_t n = read(in->fd, in->bytes + in->end, in->capacity - in->end);
    if (n < 0) {
        return errno == EINTR || errno == EAGAIN ? 0 : -1;
    }
    in->is_end = n == 0;
    in->end += (size_t)n;
    return 0;
}
