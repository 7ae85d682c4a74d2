#include "common/base/arena.h"

#include "common/base/memory.h"

#include <stdalign.h>
#include <stdlib.h>

#define ARENA_CHUNK_BYTES ((size_t)16 * 1024)

struct arena_chunk {
    struct arena_chunk *next;
    size_t capacity;
    alignas(max_align_t) unsigned char bytes[];
};

void *arena_alloc(struct arena *arena, size_t size)
{
    const size_t align = alignof(max_align_t);
    size = (size + align - 1) / align * align;
    if (arena->chunks == NULL || arena->chunks->capacity - arena->used < size) {
        size_t capacity = size > ARENA_CHUNK_BYTES ? size : ARENA_CHUNK_BYTES;
        struct arena_chunk *chunk = memory_alloc(sizeof *chunk + capacity);
        chunk->next = arena->chunks;
        chunk->capacity = capacity;
        arena->chunks = chunk;
        arena->used = 0;
    }
    void *p = arena->chunks->bytes + arena->used;
    arena->used += size;
    return p;
}

void arena_reset(struct arena *arena)
{
    struct arena_chunk *kept = NULL;
    while (arena->chunks != NULL) {
        struct arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        if (kept == NULL && chunk->capacity == ARENA_CHUNK_BYTES) {
            kept = chunk;
            kept->next = NULL;
        } else {
            free(chunk);
        }
    }
    arena->chunks = kept;
    arena->used = 0;
}

void arena_close(struct arena *arena)
{
    arena_reset(arena);
    free(arena->chunks);
    arena->chunks = NULL;
}
