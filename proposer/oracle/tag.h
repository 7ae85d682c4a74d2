/* Which election a message belongs to. Those of newer settings come after all of older ones, so
 * that a change of weights begins anew and nothing of before can reach into it, however late. */
#ifndef SYNOD_PROPOSER_ORACLE_TAG_H
#define SYNOD_PROPOSER_ORACLE_TAG_H

#include "common/protocol/message.h"

struct tag {
    uint64_t version; /* newest settings that were heard of */
    uint64_t number;  /* of the election under them */
};

/* No honest process has held so many. */
#define TAG_NUMBER_MAX ((uint64_t)1 << 48)

static inline struct tag tag_of(const struct msg_oracle *msg)
{
    return (struct tag){msg->version, msg->round};
}

/* -1, 0 or 1. */
static inline int tag_compare(struct tag a, struct tag b)
{
    if (a.version != b.version) {
        return a.version < b.version ? -1 : 1;
    }
    return a.number < b.number ? -1 : a.number > b.number;
}

#endif
