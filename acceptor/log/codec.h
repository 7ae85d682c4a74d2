/* Ballots, slots and small records as the store of an acceptor has them (common/PROTOCOL.md, Disk
 * formats), in both protocols. */
#ifndef SYNOD_ACCEPTOR_LOG_CODEC_H
#define SYNOD_ACCEPTOR_LOG_CODEC_H

#include "common/protocol/core.h"

/* Round, proposer, incarnation. */
#define BALLOT_BYTES 20

/* A letter and the slot, big-endian. */
#define SLOT_KEY_BYTES 9

void codec_put_ballot(uint8_t *p, const struct ballot *ballot);
struct ballot codec_get_ballot(const uint8_t *p);
void codec_put_slot_key(uint8_t *key, char letter, slot_t slot);

/* The slot of such a key; 0 if it has another size. */
slot_t codec_get_slot_key(struct slice key);

/* Puts the small record of that letter. */
void codec_put_record(enum durability durability, char letter, const uint8_t *bytes, size_t size,
                      struct effects *out);

/* Reads it. 1 if it is there with the right size, 0 if it is missing. Whatever else is wrong with
 * it is fatal. */
int codec_read_record(const struct store_reader *reader, char letter, uint8_t *bytes, size_t size,
                      struct effects *out);

#endif
