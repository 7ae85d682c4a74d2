#include "tests/check/names.h"

#include <stdlib.h>

static int compare_names(const void *a, const void *b)
{
    const struct operation_name *x = a;
    const struct operation_name *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

void names_sort(struct operation_name *names, size_t count)
{
    qsort(names, count, sizeof *names, compare_names);
}

const struct operation_name *names_find(const struct operation_name *names, size_t count,
                                        uint64_t number)
{
    const struct operation_name wanted = {.number = number};
    return bsearch(&wanted, names, count, sizeof wanted, compare_names);
}
