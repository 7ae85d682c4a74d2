/* The monotonic clock of one machine, as the world sees it: ahead or behind, too fast or too slow,
 * jumping forward or standing still. It never falls. */
#ifndef SYNOD_TESTS_SIM_CLOCK_H
#define SYNOD_TESTS_SIM_CLOCK_H

#include "tests/sim/queue.h"

#define CLOCK_TRUE_RATE 1000000

struct sim_clock {
    time_us_t since; /* it was set or changed its rate last then */
    int64_t shown;   /* and showed this many microseconds */
    int64_t rate;    /* microseconds it gains in one second: CLOCK_TRUE_RATE if it is right */
};

static inline int64_t clock_read(const struct sim_clock *clock, time_us_t now)
{
    return clock->shown + (now - clock->since) * clock->rate / CLOCK_TRUE_RATE;
}

/* From now on it runs at that rate, from where it is plus a jump of forward microseconds. */
static inline void clock_set(struct sim_clock *clock, time_us_t now, int64_t rate, int64_t forward)
{
    clock->shown = clock_read(clock, now) + forward;
    clock->since = now;
    clock->rate = rate;
}

/* When it will show at least that; TIME_US_NEVER if it stands still before. */
static inline time_us_t clock_when(const struct sim_clock *clock, time_us_t now, int64_t shown)
{
    if (clock_read(clock, now) >= shown) {
        return now;
    }
    if (clock->rate == 0) {
        return TIME_US_NEVER;
    }
    int64_t missing = shown - clock->shown;
    return clock->since + (missing * CLOCK_TRUE_RATE + clock->rate - 1) / clock->rate;
}

#endif
