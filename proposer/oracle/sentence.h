/* A sentence put together piece by piece, for the `explain` of an oracle. What does not fit is cut
 * off. */
#ifndef SYNOD_PROPOSER_ORACLE_SENTENCE_H
#define SYNOD_PROPOSER_ORACLE_SENTENCE_H

#include "common/base/error.h"
#include "common/protocol/types.h"

#include <stddef.h>

struct sentence {
    char *text; /* the caller's; always ends with a terminator */
    size_t size;
    size_t used;
};

/* size > 0 */
struct sentence sentence_begin(char *text, size_t size);

void sentence_add(struct sentence *sentence, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* "1", "1 and 3", "1, 2 and 5". */
void sentence_add_ids(struct sentence *sentence, const node_id_t *ids, size_t count);

#endif
