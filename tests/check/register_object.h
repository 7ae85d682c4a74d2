/* The second judge of keys: asks by search (wing_gong.h) whether there is any order of operations
 * that explains what clients saw of one key, without looking at the log that was agreed. */
#ifndef SYNOD_TESTS_CHECK_REGISTER_OBJECT_H
#define SYNOD_TESTS_CHECK_REGISTER_OBJECT_H

#include "tests/check/wing_gong.h"

/* Some hundred times what a run needs: the simulator bounds the operations on one key, and those of
 * them that nobody knows the end of. */
#define REGISTER_STEPS_MAX 2000000U

enum register_kind {
    REGISTER_PUT,
    REGISTER_DELETE,
    REGISTER_COMPARE_AND_SET, /* a put if `expected` is there; if not, it changes nothing */
    REGISTER_GET,
};

/* What a key was seen to hold. */
struct register_value {
    uint64_t id;      /* of the operation that wrote it; 0: there is no such key */
    uint64_t mod;     /* revision of that */
    uint64_t version; /* changes since the key was made, from 1 */
};

/* Moments as those of struct history: of all operations on one key different, in the order in which
 * things happened. */
struct register_operation {
    enum register_kind kind;
    uint32_t client;
    uint64_t id; /* not 0 and never the same twice; what a put or compare-and-set writes is named
                    by it */
    uint64_t begun;
    uint64_t ended;    /* MOMENT_NEVER: it may have happened at any time since, or not */
    uint64_t expected; /* of a compare-and-set: the id that has to be there, 0: no key */
    size_t before;     /* an operation that the same session sent before, or OPERATION_NONE */
    /* once it ended */
    int is_done;   /* a put; a compare-and-set that found it equal; a delete that deleted */
    int has_found; /* found was told: what was there before it */
    struct register_value found;
    uint64_t revision; /* of the store after it, or when it was read */
};

/* Every write must take effect once, between its begin and its end, in the order of the revisions
 * told, and every answer must be what the writes before it come to, versions too. Returns 0;
 * ERROR_CORRUPT and in err what cannot be; ERROR_BUSY and "ran out of budget" if that was not
 * decided in steps_max steps, which is a failure, too. report may be NULL. */
int register_object_judge(const struct register_operation *operations, size_t count,
                          uint64_t steps_max, struct wing_gong_report *report,
                          struct errmsg *err) MUST_USE;

#endif
