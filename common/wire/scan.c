#include "common/wire/layout.h"
#include "common/wire/wire.h"

#include "common/base/bytes.h"

/* msgpack-c reserves what a frame declares before it looks whether it can be there (TRAPS 6), so
 * nothing reaches it that did not pass here. One pass, no allocation, no recursion. */

enum shape { SHAPE_UINT, SHAPE_BYTES, SHAPE_ARRAY };

/* The first byte of an element: what follows it and below which number a shorter form exists. */
struct form {
    enum shape shape;
    unsigned width;    /* bytes of the number after the first byte */
    uint64_t shortest; /* smallest number that needs this form */
};

/* The forms 0xc4 to 0xdd that a message may use; width 0 marks those it may not. */
static const struct form forms[] = {
    [0xc4 - 0xc0] = {SHAPE_BYTES, 1, 0},         [0xc5 - 0xc0] = {SHAPE_BYTES, 2, 0x100},
    [0xc6 - 0xc0] = {SHAPE_BYTES, 4, 0x10000},   [0xcc - 0xc0] = {SHAPE_UINT, 1, 0x80},
    [0xcd - 0xc0] = {SHAPE_UINT, 2, 0x100},      [0xce - 0xc0] = {SHAPE_UINT, 4, 0x10000},
    [0xcf - 0xc0] = {SHAPE_UINT, 8, 1ULL << 32}, [0xd9 - 0xc0] = {SHAPE_BYTES, 1, 32},
    [0xda - 0xc0] = {SHAPE_BYTES, 2, 0x100},     [0xdb - 0xc0] = {SHAPE_BYTES, 4, 0x10000},
    [0xdc - 0xc0] = {SHAPE_ARRAY, 2, 16},        [0xdd - 0xc0] = {SHAPE_ARRAY, 4, 0x10000},
};

#define FORM_COUNT (sizeof forms / sizeof forms[0])

struct scanner {
    const uint8_t *data;
    size_t size, at;
    struct errmsg *err;
};

static uint64_t read_number(const uint8_t *p, unsigned width)
{
    switch (width) {
    case 1:
        return p[0];
    case 2:
        return (uint64_t)p[0] << 8 | p[1];
    case 4:
        return bytes_get_u32(p);
    default:
        return bytes_get_u64(p);
    }
}

/* Takes the head of one element: its shape and its number (the integer, or how much follows). */
static int take_head(struct scanner *s, enum shape *shape, uint64_t *number)
{
    uint8_t first = s->data[s->at++];
    if (first < 0x80) {
        *shape = SHAPE_UINT;
        *number = first;
        return 0;
    }
    if (first >= 0x90 && first < 0xc0) {
        *shape = first < 0xa0 ? SHAPE_ARRAY : SHAPE_BYTES;
        *number = first < 0xa0 ? first & 0x0fU : first & 0x1fU;
        return 0;
    }
    size_t index = first - (size_t)0xc0;
    if (first < 0xc0 || index >= FORM_COUNT || forms[index].width == 0) {
        return errmsg_set(s->err, ERROR_CORRUPT,
                          "byte %zu is 0x%02x, which starts nothing that a message may hold",
                          s->at - 1, (unsigned)first);
    }
    const struct form *form = &forms[index];
    if (form->width > s->size - s->at) {
        return errmsg_set(s->err, ERROR_CORRUPT, "the frame of %zu bytes is cut off", s->size);
    }
    *shape = form->shape;
    *number = read_number(s->data + s->at, form->width);
    if (*number < form->shortest) {
        return errmsg_set(s->err, ERROR_CORRUPT, "byte %zu starts a longer form than needed",
                          s->at - 1);
    }
    s->at += form->width;
    return 0;
}

/* Takes one element but for an array's elements, whose number goes into *opened, else 0. pending
 * elements are known to follow this one. */
static int take_element(struct scanner *s, size_t pending, size_t *opened)
{
    enum shape shape = SHAPE_UINT;
    uint64_t number = 0;
    int rc = take_head(s, &shape, &number);
    if (rc != 0) {
        return rc;
    }
    size_t left = s->size - s->at;
    *opened = 0;
    if (shape == SHAPE_BYTES) {
        if (number > left) {
            return errmsg_set(s->err, ERROR_CORRUPT, "%llu bytes are declared where %zu are left",
                              (unsigned long long)number, left);
        }
        s->at += (size_t)number;
    } else if (shape == SHAPE_ARRAY) {
        if (number > PAGE_ENTRIES_MAX) {
            return errmsg_set(s->err, ERROR_CORRUPT,
                              "an array of %llu elements exceeds the limit of %d",
                              (unsigned long long)number, PAGE_ENTRIES_MAX);
        }
        if (number > left || pending > left - number) {
            return errmsg_set(s->err, ERROR_CORRUPT,
                              "%llu elements are declared where %zu bytes are left",
                              (unsigned long long)number, left);
        }
        *opened = (size_t)number;
    }
    return 0;
}

int scan_frame(struct slice frame, size_t *elements, struct errmsg *err)
{
    if (frame.size > MESSAGE_BYTES_MAX) {
        return errmsg_set(err, ERROR_CORRUPT, "a frame of %zu bytes exceeds the limit of %zu",
                          frame.size, MESSAGE_BYTES_MAX);
    }
    struct scanner s = {.data = frame.data, .size = frame.size, .err = err};
    size_t open[MESSAGE_DEPTH_MAX]; /* elements still to come of each array around */
    size_t depth = 0;
    size_t pending = 1; /* elements still to come in all; each takes a byte at least */
    size_t count = 0;
    while (pending > 0) {
        if (s.at == s.size) {
            return errmsg_set(err, ERROR_CORRUPT, "the frame of %zu bytes is cut off", s.size);
        }
        size_t opened = 0;
        int rc = take_element(&s, pending - 1, &opened);
        if (rc != 0) {
            return rc;
        }
        if (++count > MESSAGE_ELEMENTS_MAX) {
            return errmsg_set(err, ERROR_CORRUPT, "more than %zu elements", MESSAGE_ELEMENTS_MAX);
        }
        pending = pending - 1 + opened;
        if (depth > 0) {
            open[depth - 1]--;
        }
        if (opened > 0) {
            if (depth == MESSAGE_DEPTH_MAX) {
                return errmsg_set(err, ERROR_CORRUPT, "arrays nest deeper than %d",
                                  MESSAGE_DEPTH_MAX);
            }
            open[depth++] = opened;
        }
        while (depth > 0 && open[depth - 1] == 0) {
            depth--;
        }
    }
    if (s.at != s.size) {
        return errmsg_set(err, ERROR_CORRUPT, "%zu bytes follow the end of the message",
                          s.size - s.at);
    }
    *elements = count;
    return 0;
}

int wire_scan(struct slice frame, struct errmsg *err)
{
    size_t elements = 0;
    return scan_frame(frame, &elements, err);
}
