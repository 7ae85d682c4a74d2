/* Decoding for the tests of the wire: one frame, what came of it, and frames spelled in hex. */
#ifndef SYNOD_TESTS_WIRE_KIT_H
#define SYNOD_TESTS_WIRE_KIT_H

#include "common/wire/wire.h"

#include <stddef.h>

/* Parts of frames. FROM_* are sender, incarnation and no echo: proposer 1, acceptor 2, learner 1
 * and a client. */
#define CLUSTER "cf6b1f0c9e2a7d4e55"
#define FROM_P " 9202 01 cf1122334455667788 00 "
#define FROM_A " 9201 02 cfa1a2a3a4a5a6a7a8 00 "
#define FROM_L " 9203 01 cfe1e2e3e4e5e6e7e8 00 "
#define FROM_C " 9204 cfc1c2c3c4c5c6c7c8 cfc1c2c3c4c5c6c7c8 00 "
#define HEAD "98 01 " CLUSTER " 01 "
#define BALLOT "93 07 01 cf1122334455667788 "
#define BALLOT_A "93 07 02 cfa1a2a3a4a5a6a7a8 " /* of a leading acceptor */
#define NONE "93 00 00 00 "
#define NOOP "c409 01 00000000000003e8 "
#define ENTRY(slot) "93 " slot BALLOT NOOP
#define NODE_REST " 00 00 " NONE "00 00 00 00 00 00 00 00 00 00 00 00 "

/* One decoding and what came of it. */
struct outcome {
    struct blob *frame;
    struct arena arena;
    struct message msg;
    enum refusal refusal;
    struct errmsg err;
    int rc;
};

/* Decodes within sample_context. Give what was decoded back with wire_kit_forget. */
void wire_kit_decode(struct outcome *o, const uint8_t *bytes, size_t size);
void wire_kit_decode_hex(struct outcome *o, const char *hex);
void wire_kit_forget(struct outcome *o);

/* Refused for that reason, by a sentence with that part, which fits a message. */
void wire_kit_assert_refused(const struct outcome *o, enum refusal refusal, const char *part);

/* Encodes, which must succeed. The caller has the reference. */
struct blob *wire_kit_encode(const struct message *msg);

/* Encodes and decodes again: part NULL: to the same message; else refused as malformed. */
void wire_kit_assert_round_trip(const struct message *msg, const char *part);

/* A copy of the sample with that name, to be changed. */
struct message wire_kit_sample(const char *name);

#endif
