/* Counts what a fuzz target allocates, where no sanitizer does so itself. For one file of a
 * program: it takes the place of the C library's malloc. */
#ifndef SYNOD_TESTS_FUZZ_MALLOC_COUNT_H
#define SYNOD_TESTS_FUZZ_MALLOC_COUNT_H

#include <malloc.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS_MEMORY 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define COUNTS_MEMORY 0
#endif
#endif
#ifndef COUNTS_MEMORY
#define COUNTS_MEMORY 1
#endif

static size_t memory_used;
static size_t memory_peak;

#if COUNTS_MEMORY
/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the C library's own names are
 * reserved */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

static void *memory_counted(void *p)
{
    memory_used += p != NULL ? malloc_usable_size(p) : 0;
    memory_peak = memory_used > memory_peak ? memory_used : memory_peak;
    return p;
}

void *malloc(size_t size)
{
    return memory_counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return memory_counted(__libc_calloc(count, size));
}

void *realloc(void *p, size_t size)
{
    size_t before = p != NULL ? malloc_usable_size(p) : 0;
    void *grown = __libc_realloc(p, size);
    memory_used -= grown != NULL ? before : 0;
    return memory_counted(grown);
}

void free(void *p)
{
    memory_used -= p != NULL ? malloc_usable_size(p) : 0;
    __libc_free(p);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
#endif

#endif
