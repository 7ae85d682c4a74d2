/* A small seeded generator (xorshift64*, Vigna 2016), so that a core's randomness is a function of
 * its seed. Not for keys or secrets. */
#ifndef SYNOD_BASE_RNG_H
#define SYNOD_BASE_RNG_H

#include "common/base/check.h"

#include <stdint.h>

struct rng {
    uint64_t state; /* never 0 */
};

/* Any seed is fine, 0 too. */
static inline void rng_init(struct rng *rng, uint64_t seed)
{
    seed += 0x9e3779b97f4a7c15U; /* splitmix64, so that neighbouring seeds do not start alike */
    seed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9U;
    seed = (seed ^ (seed >> 27)) * 0x94d049bb133111ebU;
    seed ^= seed >> 31;
    rng->state = seed != 0 ? seed : 1;
}

static inline uint64_t rng_next(struct rng *rng)
{
    rng->state ^= rng->state >> 12;
    rng->state ^= rng->state << 25;
    rng->state ^= rng->state >> 27;
    return rng->state * 0x2545f4914f6cdd1dU;
}

/* A number in [0, bound), bound > 0. The bias below 2^-32 does not matter for pauses and picks. */
static inline uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    CHECK(bound > 0);
    return (rng_next(rng) >> 16) % bound;
}

#endif
