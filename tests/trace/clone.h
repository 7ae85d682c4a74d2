/* Deep copies of messages, for a network that keeps them longer than the effects they came from. */
#ifndef SYNOD_TESTS_TRACE_CLONE_H
#define SYNOD_TESTS_TRACE_CLONE_H

#include "common/protocol/message.h"

/* Copies msg into *copy: arrays are copied, bytes get a reference on their blob, or a blob of their
 * own if they had none. Give it back with message_drop. */
void message_clone(const struct message *msg, struct message *copy);

/* Gives back what message_clone took. */
void message_drop(struct message *copy);

#endif
