/* A bump allocator for what lives exactly as long as one batch of effects or one decoded message.
 */
#ifndef SYNOD_BASE_ARENA_H
#define SYNOD_BASE_ARENA_H

#include <stddef.h>

struct arena_chunk;

/* Zero-initialise; close with arena_close. */
struct arena {
    struct arena_chunk *chunks; /* newest first */
    size_t used;                /* bytes used of the newest chunk */
};

/* size bytes aligned for any type, valid until arena_reset. Never NULL. */
void *arena_alloc(struct arena *arena, size_t size);

/* Forgets all allocations; keeps one chunk so that a steady state allocates nothing. */
void arena_reset(struct arena *arena);

/* Frees everything. */
void arena_close(struct arena *arena);

#endif
