/* Standard streams that whoever started us had closed, and standard output that takes nothing.
 *
 * Without them the next file or socket that is opened gets the number 0, 1 or 2, and what is meant
 * for people is written into a store, or to a peer. */
#ifndef SYNOD_RUNTIME_STREAMS_H
#define SYNOD_RUNTIME_STREAMS_H

/* To be called first in main. A closed one is opened such that writing to it fails, as it would
 * have. */
void streams_open(void);

/* Tells how a write to standard output went. If it failed, the reason (errno) is kept in mind.
 * Returns 0, or -1 if it failed. */
int streams_note(int is_ok);

/* 1 once a write failed: time to stop. */
int streams_failed(void);

/* To be called last in main: hands on what was printed. Returns status; if something did not reach
 * its destination, it says so, and 0 becomes 1. A reader that went away is not worth a word. */
int streams_finish(int status);

#endif
