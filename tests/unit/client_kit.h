/* What the tests of keys, watches, leases and recipes share: one scripted cluster, and handles on
 * it. */
#ifndef SYNOD_TESTS_UNIT_CLIENT_KIT_H
#define SYNOD_TESTS_UNIT_CLIENT_KIT_H

#include "common/client/synod.h"
#include "tests/unit/fake_cluster.h"

#define DEADLINE_MS 10000

extern struct fake fake; /* large, hence not on the stack */

int64_t now_ms(void);

/* A handle; fails the test if there is none. */
struct synod *open_client(struct synod_options options);

/* A cluster, and a handle on it. */
struct synod *start(size_t proposers, size_t learners);
void stop(struct synod *s);

/* A test that failed has left its cluster behind, which must not disturb the next. */
int clean_up(void **state);

/* Sets a count or number of the script. */
#define SCRIPT(field, number)                                                                      \
    do {                                                                                           \
        fake_lock(&fake);                                                                          \
        fake.field = (number);                                                                     \
        fake_unlock(&fake);                                                                        \
    } while (0)

/* Fails with the sentence unless the call succeeded. */
void assert_ok(struct synod *s, int code);

/* Fails unless the code is that one and the sentence names the word. */
void assert_refused(struct synod *s, int code, int wanted, const char *word);

int is_text(struct synod_bytes bytes, const char *text);

/* Polls until *what is other than 0; fails after DEADLINE_MS. */
void poll_for(struct synod *s, const int *what);

#endif
