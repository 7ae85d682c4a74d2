/* The shape of every message in one table, read by the encoder, by the decoder and by the test that
 * compares common/PROTOCOL.md with it. Internal to common/wire. */
#ifndef SYNOD_WIRE_LAYOUT_H
#define SYNOD_WIRE_LAYOUT_H

#include "common/base/error.h"
#include "common/protocol/message.h"

#include <stddef.h>

enum field_type {
    FIELD_U32,            /* uint32_t; also the enums of message.h */
    FIELD_U64,            /* uint64_t, slot_t */
    FIELD_BALLOT,         /* struct ballot that names an attempt */
    FIELD_BALLOT_OR_NONE, /* the same, or [0, 0, 0] */
    FIELD_MEMBER,         /* struct peer of a server role */
    FIELD_MEMBER_OR_NONE, /* the same, or [0, 0] */
    FIELD_TEXT,           /* struct slice: str, UTF-8 without control characters */
    FIELD_BIN,            /* struct slice: bin */
    FIELD_VALUE,          /* struct slice: bin that value_parse takes */
    FIELD_LIST,           /* count and pointer: array */
};

/* The elements of a FIELD_LIST. */
struct list_layout {
    size_t count_offset; /* of the uint32_t count in the message's struct */
    size_t element_size; /* of one element in memory */
    const struct field *fields;
    size_t field_count;
    int is_bare; /* an element is its only field itself, without an array around it */
};

/* One field of a struct, in the order of the wire. */
struct field {
    const char *name;
    enum field_type type;
    size_t offset;
    uint64_t min, max; /* of an integer; of the bytes of a slice; of the elements of a list */
    const struct list_layout *list; /* FIELD_LIST only */
};

#define ROLE_BIT(role) (1U << (unsigned)(role))

struct layout {
    const char *name; /* the kind's, as message_kind_name says it */
    const struct field *fields;
    size_t field_count;
    unsigned senders; /* ROLE_BIT of each role that may send it */
};

/* The layout of a kind, or NULL for a number that is none. */
const struct layout *layout_of(uint64_t kind);

/* Slots, rounds and indexes end here, so that no core's sum of two of them overflows. */
#define POSITION_MAX ((uint64_t)INT64_MAX)

/* Elements in an envelope. */
#define ENVELOPE_FIELDS 8

/* All msgpack elements of one message: the longest array of the largest element (a slot entry: the
 * entry, slot, ballot with three parts, value), and room for the rest. */
#define MESSAGE_ELEMENTS_MAX ((size_t)PAGE_ENTRIES_MAX * 8)

/* What holds between the fields of one message and was not said by their ranges; called with every
 * field in range. 0 or ERROR_CORRUPT. */
int rules_check(const struct message *msg, struct errmsg *err) MUST_USE;

/* wire_scan, and how many elements the frame holds. */
int scan_frame(struct slice frame, size_t *elements, struct errmsg *err) MUST_USE;

#endif
