/* Requests on keys, from the public structs to bytes, and their responses back.
 *
 * request.c    requests to bytes
 * response.c   bytes to results
 * collect.c    a range of any size as one result
 * keys.c       the calls that wait, and changes that do not
 * queries.c    reads that do not wait */
#ifndef SYNOD_CLIENT_KEYS_H
#define SYNOD_CLIENT_KEYS_H

#include "common/base/buffer.h"
#include "common/base/error.h"
#include "common/client/synod.h"
#include "common/protocol/kv.h"
#include "common/protocol/message.h"
#include "common/protocol/types.h"

/* Appends the request's bytes and validates them as proposers and learners will: what passes here
 * cannot break the handle. SYNOD_E_USAGE with the sentence set. */
int keys_encode(struct synod *s, const struct synod_request *request, struct buffer *out,
                int *is_read_only) MUST_USE;

/* The same as the protocol has it; slices are borrowed. */
struct kv_range keys_range(const struct synod_range_op *op);

/* A response as one piece of memory. NULL if the bytes are none. */
struct synod_result *keys_decode(struct slice bytes, uint64_t revision) MUST_USE;

/* Gives out a response that came at a revision. SYNOD_E_CORRUPT. out may be NULL. */
int keys_take(struct synod *s, struct slice bytes, uint64_t revision,
              struct synod_result **out) MUST_USE;

/* A range that keys_encode has validated, collected as a step of the call under way. is_continued:
 * as for keys_continue. */
int collect_range(struct synod *s, const struct synod_range_op *op,
                  enum synod_consistency consistency, int is_continued, time_ms_t deadline,
                  struct synod_result **out) MUST_USE;

/* synod_request with a deadline of its own; a call, or a step of the one under way. out may be
 * NULL. */
int keys_run(struct synod *s, const struct synod_request *request,
             enum synod_consistency consistency, time_ms_t deadline,
             struct synod_result **out) MUST_USE;

/* The same of a request that changes nothing and goes on where an earlier answer to this handle
 * ended: its ranges name the revision of that. It is answered by any learner that has the revision,
 * also if it was compacted since. SYNOD_E_COMPACTED: too long ago. */
int keys_continue(struct synod *s, const struct synod_request *request, time_ms_t deadline,
                  struct synod_result **out) MUST_USE;

struct synod_bytes keys_bytes(struct slice slice);

/* A key as the application sees it; the bytes are borrowed. */
struct synod_kv keys_kv(const struct kv *kv);

static inline enum read_consistency keys_consistency(enum synod_consistency consistency)
{
    return consistency == SYNOD_LOCAL ? READ_LOCAL : READ_LINEARIZABLE;
}

#endif
