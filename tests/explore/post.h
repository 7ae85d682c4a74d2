/* Values and messages as numbers. A message is the frame that common/wire makes of it, together
 * with its receiver: two messages are the same if their bytes are, and what a core is given was
 * decoded from such a frame. */
#ifndef SYNOD_TESTS_EXPLORE_POST_H
#define SYNOD_TESTS_EXPLORE_POST_H

#include "common/protocol/message.h"
#include "tests/explore/scope.h"

/* Never 0: that is no value. */
uint32_t post_value(struct slice value);

/* The value as every core holds it; its owner lives as long as the program. */
struct slice post_value_slice(uint32_t value);

/* The message's number. Ends in a failed check if it cannot be encoded. */
uint32_t post_message(const struct message *msg, unsigned to);

/* A vote, or a proposal: (slot, ballot, value). */
struct proposal {
    uint64_t slot;
    uint64_t round;
    uint64_t incarnation;
    uint32_t proposer;
    uint32_t value;
};

struct letter {
    struct message msg; /* lives as long as the program */
    unsigned from, to;
    uint32_t proposal; /* of an accept: its proposal's number + 1; else 0 */
};

const struct letter *post_letter(uint32_t message);

uint32_t post_proposal(slot_t slot, const struct ballot *ballot, struct slice value);
const struct proposal *post_get_proposal(uint32_t proposal);
struct ballot proposal_ballot(const struct proposal *proposal);

/* "accept 2.1 slot=1 commit=0 value=v3". */
void post_describe(uint32_t message, char *text, size_t size);
void post_describe_value(uint32_t id, char *text, size_t size);

size_t post_message_count(void);
void post_close(void);

#endif
