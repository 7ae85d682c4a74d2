#include "common/base/memory.h"

#include "common/base/check.h"

#include <stdint.h>
#include <stdlib.h>

void *memory_alloc(size_t size)
{
    void *p = malloc(size > 0 ? size : 1);
    CHECK(p != NULL);
    return p;
}

void *memory_calloc(size_t count, size_t size)
{
    void *p = calloc(count > 0 ? count : 1, size > 0 ? size : 1);
    CHECK(p != NULL);
    return p;
}

void *memory_grow(void *array, size_t *capacity, size_t wanted, size_t size)
{
    if (wanted <= *capacity) {
        return array;
    }
    size_t grown = *capacity < 16 ? 16 : *capacity * 2;
    if (grown < wanted) {
        grown = wanted;
    }
    CHECK(grown <= SIZE_MAX / size);
    void *p = realloc(array, grown * size);
    CHECK(p != NULL);
    *capacity = grown;
    return p;
}
