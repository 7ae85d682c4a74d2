/* Records of a file or of standard input, separated by one byte, read without ever blocking. */
#ifndef SYNOD_DEPLOY_INPUT_H
#define SYNOD_DEPLOY_INPUT_H

#include <stddef.h>
#include <stdint.h>

struct input {
    int fd;
    char separator;
    uint8_t *bytes;
    size_t capacity;
    size_t start;   /* first byte of the next record */
    size_t scanned; /* no separator between start and here */
    size_t end;
    int is_end;            /* the file has been read to its end */
    uint64_t record_count; /* taken so far */
};

enum input_result {
    INPUT_RECORD,   /* *data and *size are set, valid until the next call */
    INPUT_NEEDS,    /* call input_fill first */
    INPUT_END,      /* there is no more */
    INPUT_TOO_LONG, /* record record_count + 1 exceeds max_bytes */
};

/* Takes over fd. Close with input_close. */
void input_init(struct input *in, int fd, char separator);
void input_close(struct input *in);

/* The next record, without its separator. The last one needs none. */
enum input_result input_next(struct input *in, size_t max_bytes, const uint8_t **data,
                             size_t *size);

/* Reads what there is; call it when the descriptor is readable. 0, or -1 with errno. */
int input_fill(struct input *in);

#endif
