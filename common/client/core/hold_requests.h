/* The requests that a hold sends, and what it reads from their responses. Nothing of them is
 * trusted: a response that cannot be one is malformed. */
#ifndef SYNOD_CLIENT_CORE_HOLD_REQUESTS_H
#define SYNOD_CLIENT_CORE_HOLD_REQUESTS_H

#include "common/protocol/kv.h"

/* Appends the end of the range of all keys with that prefix, which is not empty. */
void hold_put_prefix_end(struct buffer *out, struct slice prefix);

/* Puts the key under the session and reads it back: its create revision is our place in the queue.
 * One that is there already, because an attempt that was given up has left it, keeps its place. 0,
 * or ERROR_USAGE with a sentence. */
int hold_put_enter(struct buffer *out, struct slice key, struct slice value, uint64_t session,
                   struct errmsg *err) MUST_USE;

/* Deletes the key. token: only the one that was created then; 0: whichever is there. */
void hold_put_delete(struct buffer *out, struct slice key, uint64_t token);

/* Asks for the key of the queue directly before the token, and for our own. */
void hold_put_look(struct buffer *out, struct slice prefix, struct slice key, uint64_t token);

/* The token of an entry: 1, 0 if the response does not have our key, or -1 if it is malformed. */
int hold_read_token(struct slice response, struct slice key, uint64_t *token);

/* 1 if our key is there and has the token, 0 if not, -1 if the response is malformed. *before is
 * the key before it, borrowed, empty if there is none. */
int hold_read_look(struct slice response, uint64_t token, struct slice *before);

/* 1 if the comparison of a deletion held, 0 if not, -1 if the response is malformed. */
int hold_read_deleted(struct slice response);

#endif
