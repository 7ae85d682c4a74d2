/* Allocation that cannot fail: a consensus process without memory ends, and restart is the tested
 * path. */
#ifndef SYNOD_BASE_MEMORY_H
#define SYNOD_BASE_MEMORY_H

#include <stddef.h>

/* size bytes, uninitialised; never NULL. Free with free(). */
void *memory_alloc(size_t size);

/* count * size zeroed bytes; an overflow of the product ends the process. Free with free(). */
void *memory_calloc(size_t count, size_t size);

/* Grows array (of *capacity elements of size bytes) to hold at least wanted, by doubling. Returns
 * the array. */
void *memory_grow(void *array, size_t *capacity, size_t wanted, size_t size);

#endif
