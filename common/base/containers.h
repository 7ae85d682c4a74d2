/* Hash tables (uthash) and lists (utlist) for cores: what cannot fail ends the process with CHECK,
 * as everywhere, and needs no other function of the C library. Tables keep the order of insertion
 * when they are walked through, so that nothing depends on a hash. */
#ifndef SYNOD_BASE_CONTAINERS_H
#define SYNOD_BASE_CONTAINERS_H

#include "common/base/check.h"

#include <stdlib.h>
#include <string.h>

#define uthash_fatal(msg) CHECK(0)

#include <uthash.h>
#include <utlist.h>

#undef assert
#define assert(condition) CHECK(condition)

#endif
