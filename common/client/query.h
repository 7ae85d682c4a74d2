/* Questions about keys and leases, which a learner answers. They change nothing, so that a question
 * without an answer is simply asked again, of another learner if need be. One is under way at a
 * time, because its caller waits. */
#ifndef SYNOD_CLIENT_QUERY_H
#define SYNOD_CLIENT_QUERY_H

#include "common/base/buffer.h"
#include "common/base/error.h"
#include "common/client/synod.h"
#include "common/protocol/message.h"

struct query {
    int is_active;
    int is_asked; /* `request` waits for its answer */
    int is_done;  /* `code` is the result */
    int code;
    uint64_t request;
    enum query_op op;
    struct slice body; /* borrowed from the caller, who waits */
    enum synod_consistency consistency;
    int is_revision_known; /* the revision asked for exists: a learner that does not have it yet
                              lags behind */
    time_ms_t asked_at;
    time_ms_t not_before; /* pause after "busy" or "no quorum" */
    uint64_t revision;    /* of the store, from the answer */
    struct buffer *answer;
};

/* What to ask. With QUERY_KV_CONTINUED the revision is known. */
struct question {
    enum query_op op;
    struct slice body;
    enum synod_consistency consistency;
    int is_revision_known;
};

/* What a revision held never changes: of one that an earlier answer named, any learner may be
 * asked. */
struct question query_continued(struct slice body);

/* Asks until there is an answer, an error that will not go away, or the deadline. The answer's body
 * is appended to it. *revision (or NULL) gets the store's when it was answered, also if the answer
 * was a refusal; 0 if there was none. */
int query_run(struct synod *s, const struct question *question, time_ms_t deadline,
              uint64_t *revision, struct buffer *answer) MUST_USE;

void query_on_answer(struct synod *s, const struct message *msg);
time_ms_t query_work(struct synod *s);

#endif
