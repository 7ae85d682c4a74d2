/* Cores as strings of bytes, and back: a deep copy of everything a core knows.
 *
 * The copy is of the whole struct, byte by byte, and not of chosen fields: a field that is added to
 * a core is a part of the state from that day on. Only what pointers lead to is written out, values
 * by their number. Padding is cleared. */
#ifndef SYNOD_TESTS_EXPLORE_FROZEN_H
#define SYNOD_TESTS_EXPLORE_FROZEN_H

#include "acceptor/acceptor.h"
#include "proposer/proposer.h"
#include "tests/explore/image.h"
#include "tests/explore/table.h"

/* 0: this compiler has no way to clear padding (gcc has since version 11), and equal states would
 * be taken for different ones. Nothing can be explored then. */
int frozen_is_exact(void);

void freeze_disk(const struct disk *disk, struct bytes *out);
void thaw_disk(struct disk *disk, const uint8_t **p);

void freeze_acceptor(const struct acceptor *a, struct bytes *out);

/* a is one that acceptor_new made and that holds nothing: fresh, or after empty_acceptor. */
void thaw_acceptor(struct acceptor *a, const uint8_t **p);
void empty_acceptor(struct acceptor *a);

void freeze_proposer(const struct proposer *p, struct bytes *out);
void thaw_proposer(struct proposer *p, const uint8_t **in);
void empty_proposer(struct proposer *p);

#endif
