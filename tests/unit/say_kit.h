/* What code under test says on standard error. */
#ifndef SYNOD_TESTS_SAY_KIT_H
#define SYNOD_TESTS_SAY_KIT_H

/* Standard error goes into a file from now on. */
void say_begin(void);

/* It goes on as before. What was said since, until the next call. */
const char *say_end(void);

#endif
