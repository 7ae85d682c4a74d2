/* Standard streams that whoever started us had closed.
 *
 * Without them the next file or socket that is opened gets the number 0, 1 or 2, and what is meant
 * for people is written into a store, or to a peer. */
#ifndef SYNOD_RUNTIME_STREAMS_H
#define SYNOD_RUNTIME_STREAMS_H

/* To be called first in main. A closed one is opened such that writing to it fails, as it would
 * have. */
void streams_open(void);

#endif
