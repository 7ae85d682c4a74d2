/* Ranges of any size. A learner answers a range in the order of its keys in pages, each of which
 * goes on behind the last key of the one before, at the revision of the first: they are told as
 * they come, and held nowhere. A range in another order it answers whole, which is told as one
 * page, or says that it is too large: then it is read in the order of its keys, sorted here
 * (sorting.h), and told in pages at the end. client_range in client.h is the call.
 *
 * Who asks for the keys as they are now, at no revision, must not hear of compactions in between:
 * the range begins again from its first key if its deadline has not passed. But pages that were
 * told are not taken back: then the end is ERROR_COMPACTED, and whoever kept the pages may drop
 * them and ask again. */
#ifndef SYNOD_CLIENT_CORE_RANGES_H
#define SYNOD_CLIENT_CORE_RANGES_H

#include "common/client/core/client.h"

struct listener;

/* client_range for a part of the core: it hears COMPLETION_RANGE (detail: struct range_page) and,
 * at the end, COMPLETION_ANSWER. While it is told a page the range still exists, and may be
 * cancelled. */
uint64_t ask_range(struct client *c, const struct client_range *range, struct listener *listener);

/* Ends a range without a word. An id that is over does nothing. */
void range_cancel(struct client *c, uint64_t id);

/* Forgets all ranges. */
void ranges_close(struct client *c);

#endif
