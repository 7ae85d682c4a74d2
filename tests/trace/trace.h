/* Messages, values and records as one readable line each. Ballots are written round.proposer#start,
 * where start says which start of that process it was ("3.1#2"); other incarnations are written in
 * hexadecimal ("3.1#0xabc"). */
#ifndef SYNOD_TESTS_TRACE_TRACE_H
#define SYNOD_TESTS_TRACE_TRACE_H

#include "tests/trace/cluster.h"
#include "tests/trace/text.h"

void trace_ballot(struct text *out, const struct ballot *ballot);

/* The value of a slot: no-op, lead or the commands of a batch. */
void trace_value(struct text *out, struct slice bytes);

/* Bytes in quotes; long ones are cut and their size is given. */
void trace_bytes(struct text *out, struct slice bytes);

/* Kind and fields, without sender and receiver. */
void trace_message(struct text *out, const struct message *msg);

/* The records of a turn. */
void trace_writes(struct text *out, const struct node *node, const struct effects *fx);

/* What the node says of itself. */
void trace_node(struct text *out, const struct node *node);

/* "follower", ... */
const char *trace_raft_role(enum raft_role role);

/* "leading", ... */
const char *trace_node_state(enum node_state state);

#endif
