/* Operations by a number that names them: the id of what they wrote, or where it was put. The
 * objects that are judged look up by it who wrote what somebody saw. */
#ifndef SYNOD_TESTS_CHECK_NAMES_H
#define SYNOD_TESTS_CHECK_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct operation_name {
    uint64_t number;
    size_t operation; /* position in the history */
};

/* Sorts by rising numbers. */
void names_sort(struct operation_name *names, size_t count);

/* The name of that number among sorted ones, or NULL. */
const struct operation_name *names_find(const struct operation_name *names, size_t count,
                                        uint64_t number);

#endif
