/* Messages to bytes and back: the only place that knows msgpack.
 *
 * A frame is one msgpack array: version, cluster id, configuration number, kind, [role, id] of the
 * sender, incarnation, echo, body. Arrays not maps, shortest form only, nothing after the end.
 * Everything is validated here, at the door, before a core sees it: ranges, enums, sizes, order of
 * slots, well-formed values and blocks. */
#ifndef SYNOD_WIRE_WIRE_H
#define SYNOD_WIRE_WIRE_H

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/protocol/message.h"

/* Longest text of MSG_REFUSED, in bytes; cut a longer sentence before it is encoded. */
#define TEXT_BYTES_MAX 400

/* What every frame of a cluster carries. */
struct wire_context {
    uint64_t cluster_id;
    uint64_t config_number;
};

/* Encodes msg. On success *data is a malloc'ed buffer of *size bytes that the caller frees.
 * ERROR_USAGE if the kind is none, a field is out of its range, or the result would exceed
 * MESSAGE_BYTES_MAX (a caller's bug: pages are bounded before). */
int wire_encode(const struct wire_context *context, const struct message *msg, uint8_t **data,
                size_t *size) MUST_USE;

/* Decodes and validates one frame. Slices in *out point into frame and carry it as owner; arrays
 * come from arena. On failure returns ERROR_REFUSED and sets *refusal to what the sender should be
 * told (REFUSED_VERSION, REFUSED_CLUSTER, REFUSED_MALFORMED, REFUSED_KIND) with a sentence in err
 * (printable, under TEXT_BYTES_MAX) that names the thing; out->kind, from, incarnation and echo are
 * then set as far as they could be read, else zero. Never answer MSG_REFUSED with MSG_REFUSED: two
 * processes that refuse each other would do nothing else. A MSG_REFUSED itself is taken from any
 * cluster. Memory taken is bounded by the frame's size, whatever it declares.
 *
 * A block in MSG_SUBMIT is not looked into, so that the proposer can reject a malformed one. */
int wire_decode(const struct wire_context *context, struct blob *frame, struct arena *arena,
                struct message *out, enum refusal *refusal, struct errmsg *err) MUST_USE;

/* The bounded pre-check alone: depth, element counts against the bytes left, shortest forms, no
 * trailing bytes, no maps, floats or extensions (TRAPS 6). 0 or ERROR_CORRUPT. */
int wire_scan(struct slice frame, struct errmsg *err) MUST_USE;

#endif
