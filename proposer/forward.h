/* The proposer of Raft mode. It holds no ballot: the acceptors elect one of themselves, and this
 * core hands the blocks of its clients to that one, finds it again when it changes, and tells
 * the clients to send again what may be lost by that. Every proposer that knows a leader serves. */
#ifndef SYNOD_PROPOSER_FORWARD_H
#define SYNOD_PROPOSER_FORWARD_H

#include "proposer/proposer.h"

struct forward;

/* Step it with EVENT_START before anything else. Free with forward_free. seed and priority of the
 * options mean nothing here. */
struct forward *forward_new(const struct proposer_options *options);

void forward_free(struct forward *f);

void forward_step(struct forward *f, const struct event *event, struct effects *out);

/* For a runner. */
struct core forward_core(struct forward *f);

/* What a test or a checker may ask. Leading: it knows a leader, and takes commands. */
enum node_state forward_state(const struct forward *f);

/* The leader that it hands over to; BALLOT_NONE if it knows none. */
struct ballot forward_leader(const struct forward *f);

#endif
