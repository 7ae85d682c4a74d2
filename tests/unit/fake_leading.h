/* The scripted cluster's settings of oracles, transfers, explanations and words of an
 * oracle outside. */
#ifndef SYNOD_TESTS_UNIT_FAKE_LEADING_H
#define SYNOD_TESTS_UNIT_FAKE_LEADING_H

#include "common/base/buffer.h"
#include "common/protocol/value.h"
#include "tests/unit/fake_cluster.h"

/* Executes COMMAND_SETTINGS. */
void fake_apply_settings(struct fake *f, const struct command *command, struct result_range *range);

/* Answers QUERY_SETTINGS. The body of out lies in *body. */
void fake_answer_settings(struct fake *f, const struct msg_query *query, struct msg_answer *out,
                          struct buffer *body);

void fake_on_transfer(struct fake *f, struct fake_node *node, const struct message *msg);
void fake_on_explain(struct fake *f, struct fake_node *node, const struct message *msg);
void fake_on_name(struct fake *f, struct fake_node *node, const struct message *msg);

#endif
